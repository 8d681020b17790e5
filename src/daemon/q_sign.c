/* q_sign.c - see q_sign.h. */
#include "q_sign.h"

#include "alloc.h"
#include "dkim.h"
#include "err.h"
#include "role.h"
#include "stored.h"
#include "text.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK = 65536,
    HEADER_MAX = 4 << 20, /* a longer header is not signed */
};

struct q_signers {
    unsigned refs;
    struct sp_conf *conf;
    size_t n;
    struct sp_dkim_key *key[]; /* of the sections, in the order of the file */
};

int q_signers_new(struct sp_conf *conf, const Sp__Setup *s, struct q_signers **ret,
                  struct sp_err *err)
{
    struct q_signers *q;
    int rc = 0;

    *ret = NULL;
    if (conf->n_dkim == 0)
        return 0;
    q = sp_alloc(sizeof *q + conf->n_dkim * sizeof q->key[0]);
    if (!q)
        return sp_err_nomem(err);
    q->refs = 1;
    q->conf = sp_conf_ref(conf);
    for (; rc == 0 && q->n < conf->n_dkim; q->n += rc == 0)
        rc = sp_dkim_key_new(sp_setup_file(s, conf->dkim[q->n].key), &q->key[q->n], err);
    if (rc < 0) {
        q_signers_unref(q);
        return rc;
    }
    *ret = q;
    return 0;
}

struct q_signers *q_signers_ref(struct q_signers *s)
{
    if (s)
        s->refs++;
    return s;
}

void q_signers_unref(struct q_signers *s)
{
    if (!s || --s->refs)
        return;
    for (size_t i = 0; i < s->n; i++)
        sp_dkim_key_free(s->key[i]);
    sp_conf_unref(s->conf);
    sp_free(s);
}

static bool is_for(const struct sp_conf_dkim *d, struct sp_str author)
{
    for (size_t i = 0; i < d->authors.n; i++)
        if (sp_str_caseis(author, d->authors.v[i]))
            return true;
    return d->authors.n == 0 && sp_str_caseis(author, d->domain);
}

/* The n octets of the content from `at`.  -SP_EIO: it ends before. */
static int read_at(const struct q_unsigned *m, uint64_t at, char *to, size_t n)
{
    if (m->fd < 0) {
        if (at > m->content.n || n > m->content.n - at)
            return -SP_EIO;
        memcpy(to, m->content.p + at, n);
        return 0;
    }
    while (n) {
        ssize_t got = pread(m->fd, to, n, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -SP_EIO;
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

/* The header as the next hop gets it. */
static int header_of(const struct q_unsigned *m, struct sp_buf *out, struct sp_err *err)
{
    uint64_t size = sp_stored_header_size(m->env, m->prefix.n);
    struct sp_str head = {m->content.p, m->env->header_size};
    char *room = size <= HEADER_MAX ? sp_buf_room(out, size) : NULL;
    char *copy = NULL;
    int rc = 0;

    if (!room)
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "the header is too long to sign");
    if (m->fd >= 0) {
        head.p = copy = m->env->header_size <= HEADER_MAX ? sp_alloc(m->env->header_size + 1) : NULL;
        rc = copy ? read_at(m, 0, copy, m->env->header_size) : -SP_ENOMEM;
    }
    if (rc == 0)
        out->n = sp_stored_read(m->env, m->prefix, head, 0, room, size);
    sp_free(copy);
    return rc < 0 ? sp_err_set(err, SP_CLASS_TEMPORARY, -rc, "the message cannot be read") : 0;
}

static int hash_body(const struct q_unsigned *m, enum sp_dkim_canon c,
                     uint8_t ret[SP_DKIM_HASH], struct sp_err *err)
{
    uint64_t at = m->env->header_size, end = m->env->content_size;
    struct sp_dkim_body *b = NULL;
    char *chunk = m->fd >= 0 ? sp_alloc(CHUNK) : NULL;
    int rc = m->fd >= 0 && !chunk ? sp_err_nomem(err) : sp_dkim_body_new(c, &b, err);

    if (rc == 0 && m->fd < 0)
        sp_dkim_body_feed(b, (struct sp_str){m->content.p + at, end - at});
    while (rc == 0 && m->fd >= 0 && at < end) {
        size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;

        rc = read_at(m, at, chunk, n);
        if (rc < 0)
            rc = sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "the message cannot be read");
        else
            sp_dkim_body_feed(b, (struct sp_str){chunk, n});
        at += n;
    }
    if (rc == 0 && sp_dkim_body_end(b, ret) < 0)
        rc = sp_err_set(err, SP_CLASS_BUG, SP_EIO, "libcrypto failed: SHA-256");
    sp_dkim_body_free(b);
    sp_free(chunk);
    return rc;
}

/* By enum sp_conf_canon. */
static const enum sp_dkim_canon canon[][2] = {
    [SP_CONF_CANON_RR] = {SP_DKIM_RELAXED, SP_DKIM_RELAXED},
    [SP_CONF_CANON_RS] = {SP_DKIM_RELAXED, SP_DKIM_SIMPLE},
    [SP_CONF_CANON_SR] = {SP_DKIM_SIMPLE, SP_DKIM_RELAXED},
    [SP_CONF_CANON_SS] = {SP_DKIM_SIMPLE, SP_DKIM_SIMPLE},
};

static int sign_all(const struct q_signers *s, const struct q_unsigned *m,
                    struct sp_str header, struct sp_str author, struct sp_buf *out,
                    struct sp_err *err)
{
    uint8_t hash[2][SP_DKIM_HASH]; /* by enum sp_dkim_canon */
    bool have[2] = {false, false};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        const struct sp_conf_dkim *d = &s->conf->dkim[i];
        struct sp_dkim_how how = {.key = s->key[i],
                                  .domain = d->domain,
                                  .selector = d->selector,
                                  .header = canon[d->canonicalization][0],
                                  .body = canon[d->canonicalization][1],
                                  .sign = (const char *const *)d->headers.v,
                                  .n_sign = d->headers.n,
                                  .oversign = (const char *const *)d->oversign.v,
                                  .n_oversign = d->oversign.n,
                                  .lifetime_s = d->lifetime_s};

        if (!is_for(d, author))
            continue;
        if (!have[how.body])
            rc = hash_body(m, how.body, hash[how.body], err);
        have[how.body] = true;
        if (rc == 0)
            rc = sp_dkim_sign(&how, header, hash[how.body], (int64_t)time(NULL), out, err);
    }
    return rc;
}

int q_sign(const struct q_signers *s, const struct q_unsigned *m, struct sp_buf *out,
           struct sp_err *err)
{
    char author[256];
    struct sp_buf header;
    size_t start = out->n, n;
    int rc;

    sp_buf_init(&header, HEADER_MAX);
    rc = header_of(m, &header, err);
    n = rc == 0 ? sp_dkim_author_domain(sp_buf_view(&header), author, sizeof author) : 0;
    if (n)
        rc = sign_all(s, m, sp_buf_view(&header), (struct sp_str){author, n}, out, err);
    sp_buf_free(&header);
    if (rc < 0)
        out->n = start;
    return rc;
}
