/* qsub.c - a submission checked, split into jobs and packed.  See qbatch.h. */
#include "alloc.h"
#include "err.h"
#include "qbatch.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { ADDRESS_MAX = 1000, ENVELOPE_MAX = 1 << 20, KEY_MAX = 1024 };

static int bad(struct sp_err *err, const char *why)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "bad submission: %s", why);
}

static struct sp_str view(ProtobufCBinaryData d)
{
    return (struct sp_str){(const char *)d.data, d.len};
}

static bool printable(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 32 || s.p[i] == 127)
            return false;
    return s.n <= ADDRESS_MAX;
}

static int check_cuts(const Sp__Envelope *e, struct sp_err *err)
{
    uint64_t at = 0;

    if (e->header_size > e->content_size)
        return bad(err, "the header is longer than the content");
    for (size_t i = 0; i < e->n_cut; i++) {
        const Sp__Cut *c = e->cut[i];

        if (c->offset < at || c->offset > e->header_size ||
            c->length > e->header_size - c->offset)
            return bad(err, "a cut lies outside the header");
        at = c->offset + c->length;
    }
    return 0;
}

static int check_content(const struct sp_submission *m, struct sp_err *err)
{
    const struct sp_spare *f = m->spare;

    if (m->prefix.n > SP_PREFIX_MAX)
        return bad(err, "the prefix is too long");
    if (f && (!f->linked || f->lost))
        return sp_err_set(err, SP_CLASS_BUG, SP_ESTATE,
                          "the body file is not prepared");
    if (f && m->content.n)
        return bad(err, "content twice");
    if ((f ? f->size : m->content.n) != m->env->content_size)
        return bad(err, "the content has another length than the envelope says");
    if (m->content.n > SP_INLINE_MAX)
        return bad(err, "content this large needs a file");
    return 0;
}

static int check(const struct sp_spool_options *o, const struct sp_submission *m,
                 struct sp_err *err)
{
    const Sp__Envelope *e = m->env;

    if (e->n_rcpt == 0)
        return bad(err, "no recipient");
    if (e->n_rcpt > o->recipients_max)
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "too many recipients");
    if (!printable(view(e->reverse_path)))
        return bad(err, "reverse-path");
    for (size_t i = 0; i < e->n_rcpt; i++)
        if (e->rcpt[i]->address.len == 0 || !printable(view(e->rcpt[i]->address)) ||
            e->rcpt[i]->notify > 15)
            return bad(err, "recipient");
    if (e->submission_key.len > KEY_MAX)
        return bad(err, "the submission key is too long");
    if (e->submission_key.len &&
        (e->digest.len == 0 || !e->identity || !e->identity->user[0]))
        return bad(err, "a submission key needs a digest and a user");
    if (check_cuts(e, err) < 0)
        return -SP_EINPUT;
    return check_content(m, err);
}

/* ---- recipients by domain ---------------------------------------------------------- */

struct sorted {
    struct sp_str domain; /* lower case */
    uint32_t at;
};

static int by_domain(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    int c = sp_str_cmp(x->domain, y->domain);

    return c ? c : x->at < y->at ? -1 : x->at > y->at;
}

/* Behind the last @: the local part may hold quoted ones.  RFC 5321 4.1.2. */
static int domain_of(struct sp_str address, struct sp_arena *a, struct sp_str *ret)
{
    const char *at = memrchr(address.p, '@', address.n);
    size_t n = at ? (size_t)(address.p + address.n - at - 1) : 0;
    char *p = sp_arena_alloc(a, n + 1);

    if (!p)
        return -SP_ENOMEM;
    for (size_t i = 0; i < n; i++)
        p[i] = (char)sp_lower((unsigned char)at[1 + i]);
    *ret = (struct sp_str){p, n};
    return 0;
}

/* Packs the recipients sorted[0..n) and their first state. */
static int pack_part(const Sp__Envelope *e, const struct sorted *v, size_t n,
                     struct sp_arena *a, struct sp_qpart *ret)
{
    Sp__Envelope env = SP__ENVELOPE__INIT;
    Sp__JobState state = SP__JOB_STATE__INIT;
    Sp__RcptState *one = sp_arena_alloc(a, n * sizeof *one);
    uint32_t *index = sp_arena_alloc(a, n * sizeof *index);
    char *p;

    env.n_rcpt = state.n_rcpt = n;
    env.rcpt = sp_arena_alloc(a, n * sizeof *env.rcpt);
    state.rcpt = sp_arena_alloc(a, n * sizeof *state.rcpt);
    if (!one || !index || !env.rcpt || !state.rcpt)
        return -SP_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        env.rcpt[i] = e->rcpt[v[i].at];
        sp__rcpt_state__init(&one[i]);
        one[i].index = index[i] = v[i].at;
        state.rcpt[i] = &one[i];
    }
    ret->domain = v->domain;
    ret->index = index;
    ret->n = n;
    ret->rcpt.n = sp__envelope__get_packed_size(&env);
    ret->state.n = sp__job_state__get_packed_size(&state);
    p = sp_arena_alloc(a, ret->rcpt.n + ret->state.n);
    if (!p)
        return -SP_ENOMEM;
    ret->rcpt.p = p;
    ret->state.p = p + ret->rcpt.n;
    sp__envelope__pack(&env, (uint8_t *)p);
    sp__job_state__pack(&state, (uint8_t *)p + ret->rcpt.n);
    return 0;
}

static int split(const struct sp_spool_options *o, const Sp__Envelope *e,
                 struct sp_arena *a, struct sp_qsub *ret)
{
    struct sorted *v = sp_arena_alloc(a, e->n_rcpt * sizeof *v);
    size_t from = 0, to;

    ret->part = sp_arena_alloc(a, e->n_rcpt * sizeof *ret->part);
    if (!v || !ret->part)
        return -SP_ENOMEM;
    for (size_t i = 0; i < e->n_rcpt; i++) {
        v[i].at = (uint32_t)i;
        if (e->content_filter[0]) /* a filter sees a message once */
            v[i].domain = sp_str(e->content_filter);
        else if (domain_of(view(e->rcpt[i]->address), a, &v[i].domain) < 0)
            return -SP_ENOMEM;
    }
    qsort(v, e->n_rcpt, sizeof *v, by_domain);
    for (; from < e->n_rcpt; from = to) {
        for (to = from + 1; to < e->n_rcpt && to - from < o->job_recipients_max; to++)
            if (!sp_str_eq(v[from].domain, v[to].domain))
                break;
        if (pack_part(e, v + from, to - from, a, &ret->part[ret->nparts]) < 0)
            return -SP_ENOMEM;
        ret->nparts++;
    }
    return 0;
}

/* ---- the key ------------------------------------------------------------------------ */

static int by_octets(const void *a, const void *b)
{
    return sp_str_cmp(*(const struct sp_str *)a, *(const struct sp_str *)b);
}

static uint64_t hash(uint64_t h, struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return (h ^ 0x100) * 1099511628211u; /* no octet: the end of this one */
}

/*
 * Whether a second submission with a known key has the same reverse-path and recipients
 * is asked of 63 bits of a plain hash (FNV-1a) over them, sorted.  No secret is needed:
 * keys belong to a user, who could only deceive himself, and gains nothing.
 */
static int hash_rcpts(const Sp__Envelope *e, struct sp_arena *a, uint64_t *ret)
{
    struct sp_str *v = sp_arena_alloc(a, e->n_rcpt * sizeof *v);
    uint64_t h = hash(14695981039346656037u, view(e->reverse_path));

    if (!v)
        return -SP_ENOMEM;
    for (size_t i = 0; i < e->n_rcpt; i++)
        v[i] = view(e->rcpt[i]->address);
    qsort(v, e->n_rcpt, sizeof *v, by_octets);
    for (size_t i = 0; i < e->n_rcpt; i++)
        h = hash(h, v[i]);
    *ret = h >> 1;
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------ */

static int pack_base(const Sp__Envelope *e, struct sp_arena *a, struct sp_str *ret)
{
    Sp__Envelope base = *e;
    char *p;

    base.version = SP_ENVELOPE_VERSION;
    base.n_rcpt = 0;
    base.rcpt = NULL;
    ret->n = sp__envelope__get_packed_size(&base);
    if (ret->n > ENVELOPE_MAX)
        return -SP_ELIMIT;
    p = sp_arena_alloc(a, ret->n);
    if (!p)
        return -SP_ENOMEM;
    sp__envelope__pack(&base, (uint8_t *)p);
    ret->p = p;
    return 0;
}

int sp_qsub_make(const struct sp_spool_options *o, const struct sp_submission *m,
                 uint64_t now_ms, struct sp_arena *a, struct sp_qsub *ret,
                 struct sp_err *err)
{
    const Sp__Envelope *e = m->env;
    int rc = check(o, m, err);

    if (rc < 0)
        return rc;
    memset(ret, 0, sizeof *ret);
    rc = pack_base(e, a, &ret->env);
    if (rc == -SP_ELIMIT)
        return bad(err, "the envelope is too long");
    if (rc < 0 || split(o, e, a, ret) < 0)
        return sp_err_nomem(err);
    ret->user = sp_arena_copy(a, sp_str(e->identity ? e->identity->user : ""));
    ret->key = sp_arena_copy(a, view(e->submission_key));
    ret->digest = sp_arena_copy(a, view(e->digest));
    if (!ret->user.p || !ret->key.p || !ret->digest.p ||
        (ret->key.n && hash_rcpts(e, a, &ret->rcpts) < 0))
        return sp_err_nomem(err);
    ret->prefix = m->prefix;
    ret->content = m->content;
    ret->spare = m->spare;
    ret->key_ms = m->key_ms ? m->key_ms : o->key_ms;
    ret->held = e->hold_reason[0] != 0;
    ret->priority = e->priority < -9 ? -9 : e->priority > 9 ? 9 : e->priority;
    ret->size = m->prefix.n + e->content_size;
    /* RFC 4865 5: not before its time. */
    ret->due_ms = e->hold_until_ms > now_ms ? e->hold_until_ms : now_ms;
    return 0;
}
