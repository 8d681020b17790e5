/*
 * arena.h - many small allocations that die together.
 *
 *     struct sp_arena a;
 *     sp_arena_init(&a, 65536);     the most it may ever hand out between resets
 *     p = sp_arena_alloc(&a, n);    zeroed, aligned for any object; NULL: full
 *     sp_arena_reset(&a);           everything handed out is gone, wiped
 */
#ifndef SP_ARENA_H
#define SP_ARENA_H

#include <sallyport/types.h>

struct sp_arena {
    struct sp_chunk *chunks; /* newest first */
    size_t used;             /* octets handed out since the last reset */
    size_t max;
};

void sp_arena_init(struct sp_arena *a, size_t max);
void *sp_arena_alloc(struct sp_arena *a, size_t n);
char *sp_arena_strndup(struct sp_arena *a, const char *s, size_t n); /* NUL added */
struct sp_str sp_arena_copy(struct sp_arena *a, struct sp_str s);    /* p NULL: full */
void sp_arena_reset(struct sp_arena *a);

#endif
