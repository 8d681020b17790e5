/* qenv.c - stored envelopes and states: unpacked and checked, see qint.h. */
#include "alloc.h"
#include "qint.h"

#include <string.h>

static void *pb_alloc(void *data, size_t n)
{
    (void)data;
    return sp_alloc(n);
}

static void pb_free(void *data, void *p)
{
    (void)data;
    sp_free(p);
}

ProtobufCAllocator sp_qalloc = {.alloc = pb_alloc, .free = pb_free};

void sp_qenv_free(Sp__Envelope *e)
{
    if (e)
        sp__envelope__free_unpacked(e, &sp_qalloc);
}

void sp_qstate_free(Sp__JobState *st)
{
    if (st)
        sp__job_state__free_unpacked(st, &sp_qalloc);
}

static const char *bad_envelope(const Sp__Envelope *e)
{
    uint64_t at = 0;

    if (e->version == 0 || e->version > SP_ENVELOPE_VERSION)
        return "the envelope has a version of its own";
    if (e->header_size > e->content_size)
        return "the header is longer than the content";
    for (size_t i = 0; i < e->n_cut; i++) {
        if (e->cut[i]->offset < at || e->cut[i]->offset > e->header_size ||
            e->cut[i]->length > e->header_size - e->cut[i]->offset)
            return "a cut lies outside the header";
        at = e->cut[i]->offset + e->cut[i]->length;
    }
    return NULL;
}

Sp__Envelope *sp_qenv_unpack(struct sp_str base, struct sp_str rcpt,
                             const char **ret_why)
{
    uint8_t *both = sp_alloc(base.n + rcpt.n);
    Sp__Envelope *e;

    if (!both) {
        *ret_why = "out of memory";
        return NULL;
    }
    if (base.n)
        memcpy(both, base.p, base.n);
    if (rcpt.n)
        memcpy(both + base.n, rcpt.p, rcpt.n);
    e = sp__envelope__unpack(&sp_qalloc, base.n + rcpt.n, both);
    sp_free(both);
    *ret_why = e ? bad_envelope(e) : "the envelope cannot be read";
    if (!*ret_why)
        return e;
    sp_qenv_free(e);
    return NULL;
}

static const char *bad_state(const Sp__JobState *st, size_t nrcpt)
{
    if (st->n_rcpt != nrcpt)
        return "the state has another number of recipients than the job";
    for (size_t i = 0; i < st->n_rcpt; i++) {
        if (i > 0 && st->rcpt[i]->index <= st->rcpt[i - 1]->index)
            return "the recipients of the state are out of order";
        if ((unsigned)st->rcpt[i]->status > SP__RCPT_STATUS__RCPT_EXPANDED)
            return "a recipient's status is unknown";
    }
    return NULL;
}

Sp__JobState *sp_qstate_unpack(struct sp_str blob, size_t nrcpt, const char **ret_why)
{
    Sp__JobState *st =
        sp__job_state__unpack(&sp_qalloc, blob.n, (const uint8_t *)blob.p);

    *ret_why = st ? bad_state(st, nrcpt) : "the state cannot be read";
    if (!*ret_why)
        return st;
    sp_qstate_free(st);
    return NULL;
}

size_t sp_qclip(const char *s, size_t n)
{
    size_t len = strnlen(s, n + 1);

    if (len <= n)
        return len;
    while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    return n;
}
