/* alloc.c - see alloc.h. */
#include "alloc.h"

#include <stdlib.h>
#include <string.h>

/* Per thread: libuv's pool allocates too, and a test counts only its own. */
static _Thread_local long countdown = -1;
static _Thread_local long counted;
static _Thread_local int sticky_fail;

static int refused(void)
{
    counted++;
    if (countdown < 0)
        return 0;
    if (countdown > 0) {
        countdown--;
        return 0;
    }
    if (!sticky_fail)
        countdown = -1;
    return 1;
}

void *sp_alloc(size_t n)
{
    return refused() ? NULL : calloc(1, n ? n : 1);
}

void *sp_realloc(void *p, size_t n)
{
    return refused() ? NULL : realloc(p, n ? n : 1);
}

void sp_free(void *p)
{
    free(p);
}

char *sp_strndup(const char *s, size_t n)
{
    char *d = sp_alloc(n + 1);

    if (d && n)
        memcpy(d, s, n);
    return d;
}

char *sp_strdup(const char *s)
{
    return sp_strndup(s, strlen(s));
}

void sp_alloc_fail_at(long count, int sticky)
{
    countdown = count;
    sticky_fail = sticky;
    counted = 0;
}

long sp_alloc_count(void)
{
    return counted;
}
