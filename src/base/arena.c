/* arena.c - see arena.h. */
#include "arena.h"

#include "alloc.h"
#include "secret.h"

#include <stdalign.h>
#include <string.h>

enum { CHUNK_MIN = 480 };

struct sp_chunk {
    struct sp_chunk *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

void sp_arena_init(struct sp_arena *a, size_t max)
{
    memset(a, 0, sizeof *a);
    a->max = max;
}

static struct sp_chunk *add_chunk(struct sp_arena *a, size_t n)
{
    size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_MIN;
    struct sp_chunk *c;

    if (size < n)
        size = n;
    c = sp_alloc(sizeof *c + size);
    if (!c)
        return NULL;
    c->size = size;
    c->next = a->chunks;
    a->chunks = c;
    return c;
}

void *sp_arena_alloc(struct sp_arena *a, size_t n)
{
    struct sp_chunk *c = a->chunks;
    void *p;

    if (n > a->max)
        return NULL;
    n = (n + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (n > a->max - a->used)
        return NULL;
    if (!c || n > c->size - c->used)
        c = add_chunk(a, n);
    if (!c)
        return NULL;
    p = c->data + c->used;
    c->used += n;
    a->used += n;
    return p;
}

char *sp_arena_strndup(struct sp_arena *a, const char *s, size_t n)
{
    char *d = n < SIZE_MAX ? sp_arena_alloc(a, n + 1) : NULL;

    if (d && n)
        memcpy(d, s, n);
    return d;
}

struct sp_str sp_arena_copy(struct sp_arena *a, struct sp_str s)
{
    char *d = sp_arena_strndup(a, s.p, s.n);

    return (struct sp_str){d, d ? s.n : 0};
}

void sp_arena_reset(struct sp_arena *a)
{
    struct sp_chunk *c, *next;

    for (c = a->chunks; c; c = next) {
        next = c->next;
        sp_wipe(c->data, c->used);
        sp_free(c);
    }
    a->chunks = NULL;
    a->used = 0;
}
