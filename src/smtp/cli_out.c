/* cli_out.c - see cli_out.h. */
#include "cli_out.h"

#include "alloc.h"
#include "secret.h"

#include <assert.h>
#include <string.h>

enum { FIRST = 512 };

void sp_outq_free(struct sp_outq *q)
{
    if (q->p && q->secret_end)
        sp_wipe(q->p, q->secret_end);
    sp_free(q->p);
    q->p = NULL;
    q->put -= q->tail - q->head;
    q->head = q->tail = q->cap = q->secret_end = 0;
}

void sp_outq_drop(struct sp_outq *q)
{
    if (q->secret_end)
        sp_wipe(q->p, q->secret_end);
    q->put -= q->tail - q->head;
    q->head = q->tail = q->secret_end = 0;
}

size_t sp_outq_len(const struct sp_outq *q)
{
    return q->tail - q->head;
}

size_t sp_outq_space(const struct sp_outq *q)
{
    return SP_OUTQ_MAX - q->tail;
}

/* Never realloc: it would leave a copy of a secret behind. */
static int grow(struct sp_outq *q, size_t need)
{
    size_t cap = q->cap ? q->cap : FIRST;
    char *p;

    if (need > SP_OUTQ_MAX)
        return -SP_ELIMIT;
    while (cap < need)
        cap *= 2;
    if (cap > SP_OUTQ_MAX)
        cap = SP_OUTQ_MAX;
    p = sp_alloc(cap);
    if (!p)
        return -SP_ENOMEM;
    if (q->tail)
        memcpy(p, q->p, q->tail);
    if (q->secret_end)
        sp_wipe(q->p, q->secret_end);
    sp_free(q->p);
    q->p = p;
    q->cap = cap;
    return 0;
}

char *sp_outq_room(struct sp_outq *q, size_t need)
{
    if (need > SP_OUTQ_MAX - q->tail)
        return NULL;
    if (q->cap - q->tail < need && grow(q, q->tail + need) < 0)
        return NULL;
    return q->p + q->tail;
}

void sp_outq_add(struct sp_outq *q, size_t n)
{
    assert(n <= q->cap - q->tail);
    q->tail += n;
    q->put += n;
}

int sp_outq_put(struct sp_outq *q, const void *data, size_t n, bool secret)
{
    char *p;

    if (n == 0)
        return 0;
    if (n > SP_OUTQ_MAX - q->tail)
        return -SP_ELIMIT;
    p = sp_outq_room(q, n);
    if (!p)
        return -SP_ENOMEM;
    memcpy(p, data, n);
    sp_outq_add(q, n);
    if (secret)
        q->secret_end = q->tail;
    return 0;
}

void sp_outq_ack(struct sp_outq *q, size_t n)
{
    assert(n <= sp_outq_len(q));
    if (q->head < q->secret_end)
        sp_wipe(q->p + q->head,
                n < q->secret_end - q->head ? n : q->secret_end - q->head);
    q->head += n;
    q->acked += n;
    if (q->head == q->tail)
        q->head = q->tail = q->secret_end = 0;
}

void sp_outq_trim(struct sp_outq *q)
{
    if (q->head == q->tail)
        sp_outq_free(q);
}
