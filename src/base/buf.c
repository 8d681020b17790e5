/* buf.c - see buf.h. */
#include "buf.h"

#include "alloc.h"
#include "secret.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sp_buf_init(struct sp_buf *b, size_t max)
{
    memset(b, 0, sizeof *b);
    b->max = max;
}

void sp_buf_free(struct sp_buf *b)
{
    sp_free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void sp_buf_wipe(struct sp_buf *b)
{
    if (b->p)
        sp_wipe(b->p, b->cap);
    sp_buf_free(b);
}

static int grow(struct sp_buf *b, size_t n)
{
    size_t want = b->cap ? b->cap : 64;
    char *p;

    if (n > b->max || b->n > b->max - n)
        return -SP_ELIMIT;
    if (b->n + n <= b->cap)
        return 0;
    while (want < b->n + n)
        want *= 2;
    if (want > b->max)
        want = b->max;
    p = sp_realloc(b->p, want);
    if (!p)
        return -SP_ENOMEM;
    b->p = p;
    b->cap = want;
    return 0;
}

char *sp_buf_room(struct sp_buf *b, size_t n)
{
    /* A place for nothing is a place too: NULL means that there is no room. */
    if (grow(b, n) < 0 || (!b->p && grow(b, 1) < 0))
        return NULL;
    return b->p + b->n;
}

int sp_buf_put(struct sp_buf *b, const void *data, size_t n)
{
    int rc = grow(b, n);

    if (rc < 0)
        return rc;
    if (n)
        memcpy(b->p + b->n, data, n);
    b->n += n;
    return 0;
}

int sp_buf_puts(struct sp_buf *b, const char *s)
{
    return sp_buf_put(b, s, strlen(s));
}

int sp_buf_str(struct sp_buf *b, struct sp_str s)
{
    return sp_buf_put(b, s.p, s.n);
}

int sp_buf_printf(struct sp_buf *b, const char *fmt, ...)
{
    va_list ap;
    char tmp[512];
    char *big;
    int n, rc;

    va_start(ap, fmt);
    n = vsnprintf(tmp, sizeof tmp, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -SP_EINPUT;
    if ((size_t)n < sizeof tmp)
        return sp_buf_put(b, tmp, (size_t)n);
    big = sp_alloc((size_t)n + 1);
    if (!big)
        return -SP_ENOMEM;
    va_start(ap, fmt);
    vsnprintf(big, (size_t)n + 1, fmt, ap);
    va_end(ap);
    rc = sp_buf_put(b, big, (size_t)n);
    sp_free(big);
    return rc;
}

void sp_buf_drop(struct sp_buf *b, size_t n)
{
    assert(n <= b->n);
    if (n && n < b->n)
        memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

struct sp_str sp_buf_view(const struct sp_buf *b)
{
    return (struct sp_str){b->p, b->n};
}

const char *sp_buf_cstr(struct sp_buf *b)
{
    if (grow(b, 1) < 0)
        return NULL;
    b->p[b->n] = '\0';
    return b->p;
}
