/* tokens.c - see tokens.h. */
#include "tokens.h"

#include "alloc.h"
#include "err.h"
#include "introspect.h"
#include "role.h"
#include "secret.h"

#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TAG = 32, CACHE_SETS = 256, CACHE_WAYS = 4, ISSUER_MAX = 1024 };

struct known { /* a good answer */
    uint8_t tag[TAG];
    int64_t until_s; /* 0: free */
    struct sp_token_claims claims;
};

struct issuer { /* one section */
    const struct sp_conf_oauth *o;
    struct sp_token_rules rules;
    struct sp_token_keys *keys; /* NULL: an endpoint is asked */
    struct sp_secret *secret;
    struct sp_buf ca;
    struct known *cache; /* CACHE_SETS * CACHE_WAYS; NULL: none */
};

struct book { /* the sections of one configuration */
    unsigned refs;
    struct sp_conf *conf;
    struct issuer *v;
    size_t n;
};

struct sp_tokens {
    uv_loop_t *loop;
    struct sp_introspect *introspect; /* made when first needed */
    struct book *book;
    uint8_t key[TAG];
};

struct asked { /* a question to an endpoint */
    struct book *book;
    struct issuer *i;
    uint8_t tag[TAG];
    sp_tokens_judged *judged;
    void *arg;
};

/* ---- the sections ---- */

static void book_unref(struct book *b)
{
    if (!b || --b->refs)
        return;
    for (size_t i = 0; i < b->n; i++) {
        sp_token_keys_free(b->v[i].keys);
        sp_secret_free(b->v[i].secret);
        sp_buf_free(&b->v[i].ca);
        sp_free(b->v[i].cache);
    }
    sp_free(b->v);
    sp_conf_unref(b->conf);
    sp_free(b);
}

static struct sp_token_names names(const struct sp_conf_list *l)
{
    return (struct sp_token_names){l->v, l->n};
}

static void set_rules(struct issuer *i)
{
    const struct sp_conf_oauth *o = i->o;

    i->rules.issuer = o->issuer;
    i->rules.audience = names(&o->audience);
    i->rules.scope = names(&o->scope);
    i->rules.user_claim = o->user_claim;
    i->rules.leeway_s = (uint32_t)o->leeway_s;
    for (size_t k = 0; k < o->algorithms.n; k++) {
        int bit = sp_token_algorithm(sp_str(o->algorithms.v[k]));

        if (bit >= 0)
            i->rules.algorithms |= 1u << bit;
    }
}

static int set_secret(struct issuer *i, struct sp_str file)
{
    struct sp_str line = sp_str_cut(&file, '\n');

    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    i->secret = sp_secret_new(line.n ? line.p : "", line.n);
    return i->secret ? 0 : -SP_ENOMEM;
}

static int open_issuer(struct issuer *i, const struct sp_conf_oauth *o,
                       const Sp__Setup *s, struct sp_err *err)
{
    struct sp_err why = {0};

    i->o = o;
    sp_buf_init(&i->ca, 4 << 20);
    set_rules(i);
    if (o->keys) {
        if (sp_token_keys_parse(sp_setup_file(s, o->keys), &i->keys, &why) == 0)
            return 0;
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "oauth %s: %s: %s",
                          o->head.name, o->keys, why.text);
    }
    if (set_secret(i, sp_setup_file(s, o->client_secret_file)) < 0 ||
        sp_buf_str(&i->ca, sp_setup_file(s, o->tls_ca)) < 0)
        return sp_err_nomem(err);
    if (o->introspection_cache_s)
        i->cache = sp_alloc(CACHE_SETS * CACHE_WAYS * sizeof *i->cache);
    return o->introspection_cache_s && !i->cache ? sp_err_nomem(err) : 0;
}

int sp_tokens_setup(struct sp_tokens *t, struct sp_conf *conf, const Sp__Setup *s,
                    struct sp_err *err)
{
    struct book *b = sp_alloc(sizeof *b);
    int rc = 0;

    if (!b)
        return sp_err_nomem(err);
    b->refs = 1;
    b->conf = sp_conf_ref(conf);
    b->v = sp_alloc((conf->n_oauth + 1) * sizeof *b->v);
    if (!b->v)
        rc = sp_err_nomem(err);
    for (size_t i = 0; rc == 0 && i < conf->n_oauth; i++) {
        b->n++;
        rc = open_issuer(&b->v[i], &conf->oauth[i], s, err);
        if (rc == 0 && !b->v[i].keys && !t->introspect) {
            t->introspect = sp_introspect_new(t->loop);
            rc = t->introspect ? 0 : sp_err_nomem(err);
        }
    }
    if (rc < 0) {
        book_unref(b);
        return rc;
    }
    book_unref(t->book);
    t->book = b;
    return 0;
}

struct sp_tokens *sp_tokens_new(uv_loop_t *loop)
{
    struct sp_tokens *t = sp_alloc(sizeof *t);

    if (t && RAND_bytes(t->key, sizeof t->key) != 1) {
        sp_free(t);
        return NULL;
    }
    if (t)
        t->loop = loop;
    return t;
}

void sp_tokens_free(struct sp_tokens *t)
{
    if (!t)
        return;
    sp_introspect_free(t->introspect);
    book_unref(t->book);
    sp_wipe(t, sizeof *t);
    sp_free(t);
}

/* ---- answers that are kept ---- */

static struct known *cache_set(struct issuer *i, const uint8_t tag[TAG])
{
    return i->cache + (size_t)tag[0] % CACHE_SETS * CACHE_WAYS;
}

static const struct sp_token_claims *cached(struct issuer *i, const uint8_t tag[TAG],
                                            int64_t now_s)
{
    struct known *set = i->cache ? cache_set(i, tag) : NULL;

    for (int k = 0; set && k < CACHE_WAYS; k++)
        if (set[k].until_s > now_s && sp_equal_ct(set[k].tag, tag, TAG))
            return &set[k].claims;
    return NULL;
}

static void keep(struct issuer *i, const uint8_t tag[TAG],
                 const struct sp_token_claims *c, int64_t now_s)
{
    struct known *set, *to;
    int64_t until = now_s + (int64_t)i->o->introspection_cache_s;

    if (!i->cache)
        return;
    if (c->expires_s && c->expires_s < until)
        until = c->expires_s;
    set = to = cache_set(i, tag);
    for (int k = 1; k < CACHE_WAYS; k++)
        if (set[k].until_s < to->until_s)
            to = &set[k]; /* free, over, or the next to be */
    memcpy(to->tag, tag, TAG);
    to->claims = *c;
    to->until_s = until;
}

/* ---- asking ---- */

static void judged(sp_tokens_judged *say, void *arg, enum sp_token_verdict v,
                   const struct sp_token_claims *c, const struct issuer *i)
{
    say(arg, v, c, i ? i->rules.leeway_s : 0);
}

static void without_answer(sp_tokens_judged *say, void *arg, enum sp_token_verdict v,
                           const char *why)
{
    struct sp_token_claims c = {0};

    snprintf(c.reason, sizeof c.reason, "%.199s", why);
    judged(say, arg, v, &c, NULL);
}

static void answered(void *arg, struct sp_str body, const char *why)
{
    struct asked *a = arg;
    struct sp_token_claims c = {0};
    enum sp_token_verdict v = SP_TOKEN_TEMPORARY;
    int64_t now_s = (int64_t)time(NULL);

    if (body.p)
        v = sp_token_introspected(&a->i->rules, body, now_s, &c);
    else
        snprintf(c.reason, sizeof c.reason, "%s", why);
    if (v == SP_TOKEN_GOOD)
        keep(a->i, a->tag, &c, now_s);
    judged(a->judged, a->arg, v, &c, a->i);
    book_unref(a->book);
    sp_free(a);
}

static void ask_endpoint(struct sp_tokens *t, struct issuer *i, struct sp_str token,
                         sp_tokens_judged *say, void *arg)
{
    struct sp_endpoint e = {.url = i->o->introspection_url,
                            .client_id = i->o->client_id,
                            .secret = sp_secret_get(i->secret),
                            .ca = sp_buf_view(&i->ca),
                            .timeout_ms =
                                (unsigned)i->o->introspection_timeout_s * 1000};
    const struct sp_token_claims *c;
    struct asked *a = sp_alloc(sizeof *a);
    struct sp_err err = {0};

    if (!a || !HMAC(EVP_sha256(), t->key, TAG, (const uint8_t *)token.p, token.n,
                    a->tag, NULL)) {
        sp_free(a);
        without_answer(say, arg, SP_TOKEN_TEMPORARY, "out of memory");
        return;
    }
    c = cached(i, a->tag, (int64_t)time(NULL));
    if (c) {
        sp_free(a);
        judged(say, arg, SP_TOKEN_GOOD, c, i);
        return;
    }
    a->book = t->book;
    a->i = i;
    a->judged = say;
    a->arg = arg;
    if (sp_introspect_ask(t->introspect, &e, token, answered, a, &err) < 0) {
        sp_free(a);
        without_answer(say, arg, SP_TOKEN_TEMPORARY, err.text);
        return;
    }
    a->book->refs++;
}

/* Whose rules?  What a token says of its issuer only chooses who judges it. */
static struct issuer *issuer_of(struct book *b, struct sp_str token)
{
    char iss[ISSUER_MAX];
    bool jwt = sp_token_is_jwt(token, iss, sizeof iss);

    for (size_t i = 0; jwt && i < b->n; i++)
        if (b->v[i].o->issuer && strcmp(b->v[i].o->issuer, iss) == 0)
            return &b->v[i];
    for (size_t i = 0; i < b->n; i++)
        if (!b->v[i].keys && (!jwt || !b->v[i].o->issuer))
            return &b->v[i];
    return NULL;
}

void sp_tokens_ask(struct sp_tokens *t, struct sp_str token, sp_tokens_judged *say,
                   void *arg)
{
    struct issuer *i;
    struct sp_token_claims c;
    enum sp_token_verdict v;

    if (token.n == 0 || token.n > SP_TOKEN_MAX) {
        without_answer(say, arg, SP_TOKEN_BAD,
                       token.n ? "the token is too long" : "no token was given");
        return;
    }
    i = issuer_of(t->book, token);
    if (!i) {
        without_answer(say, arg, SP_TOKEN_BAD,
                       "the token is of no issuer that an oauth section names");
    } else if (i->keys) {
        v = sp_token_jwt(i->keys, &i->rules, token, (int64_t)time(NULL), &c);
        judged(say, arg, v, &c, i);
    } else {
        ask_endpoint(t, i, token, say, arg);
    }
}
