/* qlease.c - leases that are out, see qint.h.  Open addressing, linear probing. */
#include "alloc.h"
#include "qint.h"

#include <string.h>

static size_t home(const struct sp_qlease *l, uint64_t job)
{
    return (size_t)((job * 0x9e3779b97f4a7c15u) >> 20) & (l->cap - 1);
}

static size_t slot_of(const struct sp_qlease *l, uint64_t job)
{
    size_t i = home(l, job);

    while (l->slot[2 * i] && l->slot[2 * i] != job)
        i = (i + 1) & (l->cap - 1);
    return i;
}

uint64_t sp_qlease_get(const struct sp_qlease *l, uint64_t job)
{
    size_t i;

    if (!l->cap || !job)
        return 0;
    i = slot_of(l, job);
    return l->slot[2 * i] ? l->slot[2 * i + 1] : 0;
}

static int grow(struct sp_qlease *l)
{
    struct sp_qlease bigger = {.cap = l->cap ? l->cap * 2 : 64, .used = l->used};

    bigger.slot = sp_alloc(2 * bigger.cap * sizeof *bigger.slot);
    if (!bigger.slot)
        return -SP_ENOMEM;
    for (size_t i = 0; i < l->cap; i++)
        if (l->slot[2 * i]) {
            size_t to = slot_of(&bigger, l->slot[2 * i]);

            memcpy(&bigger.slot[2 * to], &l->slot[2 * i], 2 * sizeof *l->slot);
        }
    sp_free(l->slot);
    *l = bigger;
    return 0;
}

int sp_qlease_put(struct sp_qlease *l, uint64_t job, uint64_t lease)
{
    size_t i;

    if ((l->used + 1) * 2 > l->cap && grow(l) < 0)
        return -SP_ENOMEM;
    i = slot_of(l, job);
    l->used += l->slot[2 * i] == 0;
    l->slot[2 * i] = job;
    l->slot[2 * i + 1] = lease;
    return 0;
}

void sp_qlease_drop(struct sp_qlease *l, uint64_t job)
{
    size_t hole, i;

    if (!l->cap || !job)
        return;
    hole = slot_of(l, job);
    if (!l->slot[2 * hole])
        return;
    l->used--;
    /* Close the gap: whoever probed over it moves up. */
    for (i = (hole + 1) & (l->cap - 1); l->slot[2 * i]; i = (i + 1) & (l->cap - 1)) {
        size_t want = home(l, l->slot[2 * i]);

        if (((i - want) & (l->cap - 1)) < ((i - hole) & (l->cap - 1)))
            continue;
        memcpy(&l->slot[2 * hole], &l->slot[2 * i], 2 * sizeof *l->slot);
        hole = i;
    }
    l->slot[2 * hole] = l->slot[2 * hole + 1] = 0;
}

void sp_qlease_free(struct sp_qlease *l)
{
    sp_free(l->slot);
    memset(l, 0, sizeof *l);
}
