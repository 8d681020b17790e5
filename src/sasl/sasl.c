/* sasl.c - see sallyport/sasl.h: the mechanism table and the life of an exchange. */
#include "sasl_i.h"

#include "alloc.h"
#include "err.h"
#include "text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct sp_sasl_mech mechs[] = {
    /* name                  server           client           first  scram  plus   hash */
    {"SCRAM-SHA-256-PLUS",   sp_scram_server, sp_scram_client, true,  true,  true,  SP_SCRAM_SHA256},
    {"SCRAM-SHA-256",        sp_scram_server, sp_scram_client, true,  true,  false, SP_SCRAM_SHA256},
    {"SCRAM-SHA-1-PLUS",     sp_scram_server, sp_scram_client, true,  true,  true,  SP_SCRAM_SHA1},
    {"SCRAM-SHA-1",          sp_scram_server, sp_scram_client, true,  true,  false, SP_SCRAM_SHA1},
    {"CRAM-MD5",             sp_cram_server,  sp_cram_client,  false, false, false, SP_SCRAM_SHA1},
};
/* clang-format on */

static const struct sp_sasl_mech *find(struct sp_str name)
{
    for (size_t i = 0; i < sizeof mechs / sizeof mechs[0]; i++)
        if (sp_str_caseis(name, mechs[i].name))
            return &mechs[i];
    return NULL;
}

bool sp_sasl_known(struct sp_str mechanism)
{
    return find(mechanism) != NULL;
}

bool sp_sasl_client_first(struct sp_str mechanism)
{
    const struct sp_sasl_mech *m = find(mechanism);

    return m && m->client_first;
}

bool sp_sasl_is_plus(struct sp_str mechanism)
{
    const struct sp_sasl_mech *m = find(mechanism);

    return m && m->plus;
}

int sp_sasl_scram_hash(struct sp_str mechanism, enum sp_scram_hash *ret_hash)
{
    const struct sp_sasl_mech *m = find(mechanism);

    if (!m || !m->scram)
        return -SP_ENOENT;
    *ret_hash = m->hash;
    return 0;
}

void sp_sasl_enter(struct sp_sasl *s, enum sp_sasl_state state)
{
    assert(s->state != SP_SASL_ST_FAILED); /* sticky */
    s->state = state;
}

enum sp_sasl_status sp_sasl_fail(struct sp_sasl *s, enum sp_class cls,
                                 enum sp_code code, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)sp_err_set(&s->err, cls, code, "%s: %s", s->mech->name, text);
    s->bound = false;
    sp_sasl_enter(s, SP_SASL_ST_FAILED);
    return SP_SASL_FAILED;
}

enum sp_sasl_status sp_sasl_malformed(struct sp_sasl *s, const char *what)
{
    return sp_sasl_fail(s, SP_CLASS_PEER, SP_EINPUT, "malformed %s", what);
}

enum sp_sasl_status sp_sasl_nomem(struct sp_sasl *s)
{
    return sp_sasl_fail(s, SP_CLASS_BUG, SP_ENOMEM, "out of memory");
}

/* base fields of both sides */
static int make(struct sp_str mechanism, const struct sp_sasl_binding *cb,
                struct sp_sasl **ret_s, struct sp_err *err)
{
    const struct sp_sasl_mech *m = find(mechanism);
    struct sp_sasl *s;

    if (!m)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "unknown SASL mechanism");
    if (m->plus && cb->exporter.n == 0 && cb->unique.n == 0)
        return sp_err_set(err, SP_CLASS_BUG, SP_EINPUT, "%s needs channel binding data",
                          m->name);
    s = sp_alloc(sizeof *s);
    if (!s)
        return sp_err_nomem(err);
    s->mech = m;
    sp_buf_init(&s->user, SP_SASL_NAME_MAX);
    sp_buf_init(&s->authzid, SP_SASL_NAME_MAX);
    sp_buf_init(&s->exporter, 256);
    sp_buf_init(&s->unique, 256);
    sp_buf_init(&s->out, 2 * SP_SASL_TOKEN_MAX);
    sp_buf_init(&s->gs2, 3 * SP_SASL_NAME_MAX + 512);
    sp_buf_init(&s->nonce, SP_SASL_TOKEN_MAX + 64);
    sp_buf_init(&s->first_bare, SP_SASL_TOKEN_MAX);
    sp_buf_init(&s->server_first, 2 * SP_SASL_TOKEN_MAX);
    sp_buf_init(&s->challenge, SP_SASL_TOKEN_MAX);
    if (sp_buf_str(&s->exporter, cb->exporter) < 0 ||
        sp_buf_str(&s->unique, cb->unique) < 0) {
        sp_sasl_free(s);
        return sp_err_set(err, SP_CLASS_BUG, SP_ELIMIT, "channel binding too long");
    }
    *ret_s = s;
    return 0;
}

int sp_sasl_server_new(struct sp_str mechanism, const struct sp_sasl_server_opts *opts,
                       struct sp_sasl **ret_s, struct sp_err *err)
{
    struct sp_sasl *s = NULL;
    int rc = make(mechanism, &opts->binding, &s, err);

    if (rc < 0)
        return rc;
    s->is_server = true;
    s->plus_listed = opts->plus_listed;
    s->require_binding = opts->require_binding;
    /* CRAM-MD5 keeps the host where the challenge will be. */
    if (sp_buf_puts(&s->challenge, opts->host ? opts->host : "localhost") < 0) {
        sp_sasl_free(s);
        return sp_err_nomem(err);
    }
    *ret_s = s;
    return 0;
}

/* SASLprep of `in` appended to b: 0 or negative. */
static int put_prepared(struct sp_buf *b, struct sp_str in)
{
    char *room = sp_buf_room(b, b->max - b->n);
    int n = room ? sp_saslprep(in, room, b->max - b->n) : -SP_ENOMEM;

    if (n > 0)
        b->n += (size_t)n;
    return n < 0 ? n : 0;
}

static int set_password(struct sp_sasl *s, struct sp_str password)
{
    char prepared[SP_SASL_PASSWORD_MAX];
    int n;

    /* RFC 2195 knows no preparation: the octets are the secret. */
    if (!s->mech->scram) {
        s->password = sp_secret_new(password.p, password.n);
        return s->password ? 0 : -SP_ENOMEM;
    }
    n = sp_saslprep(password, prepared, sizeof prepared);
    if (n >= 0) {
        s->password = sp_secret_new(prepared, (size_t)n);
        n = s->password ? 0 : -SP_ENOMEM;
    }
    sp_wipe(prepared, sizeof prepared);
    return n;
}

int sp_sasl_client_new(struct sp_str mechanism, const struct sp_sasl_client_opts *opts,
                       struct sp_sasl **ret_s, struct sp_err *err)
{
    struct sp_sasl *s = NULL;
    int rc = make(mechanism, &opts->binding, &s, err);
    const char *what;

    if (rc < 0)
        return rc;
    s->plus_listed = opts->plus_listed;
    what = "user name";
    rc = put_prepared(&s->user, opts->user);
    if (rc == 0 && s->user.n == 0)
        rc = -SP_EINPUT;
    if (rc == 0) {
        what = "authorization identity";
        rc = put_prepared(&s->authzid, opts->authorization_identity);
    }
    if (rc == 0) {
        what = "password";
        rc = set_password(s, opts->password);
    }
    if (rc < 0) {
        sp_sasl_free(s);
        return rc == -SP_ENOMEM
                   ? sp_err_nomem(err)
                   : sp_err_set(err, SP_CLASS_PEER, (enum sp_code) - rc,
                                "the %s cannot be used: empty, too long, not UTF-8, "
                                "or with characters that RFC 4013 prohibits",
                                what);
    }
    *ret_s = s;
    return 0;
}

void sp_sasl_free(struct sp_sasl *s)
{
    if (!s)
        return;
    sp_buf_wipe(&s->user);
    sp_buf_wipe(&s->authzid);
    sp_buf_wipe(&s->exporter);
    sp_buf_wipe(&s->unique);
    sp_buf_wipe(&s->out);
    sp_buf_wipe(&s->gs2);
    sp_buf_wipe(&s->nonce);
    sp_buf_wipe(&s->first_bare);
    sp_buf_wipe(&s->server_first);
    sp_buf_wipe(&s->challenge);
    sp_secret_free(s->password);
    sp_wipe(s, sizeof *s);
    sp_free(s);
}

/* CONTINUE and DONE hand the out buffer to the caller. */
static enum sp_sasl_status hand_out(struct sp_sasl *s, enum sp_sasl_status st,
                                    struct sp_str *ret_out)
{
    if (st == SP_SASL_CONTINUE || st == SP_SASL_DONE)
        *ret_out = s->out.n ? sp_buf_view(&s->out) : (struct sp_str){"", 0};
    return st;
}

enum sp_sasl_status sp_sasl_step(struct sp_sasl *s, struct sp_str token,
                                 struct sp_str *ret_out)
{
    if (s->state == SP_SASL_ST_FAILED)
        return SP_SASL_FAILED;
    if (token.n > SP_SASL_TOKEN_MAX)
        return sp_sasl_malformed(s, "token: too long");
    s->out.n = 0;
    return hand_out(
        s, s->is_server ? s->mech->server(s, token) : s->mech->client(s, token),
        ret_out);
}

enum sp_sasl_status sp_sasl_give_scram(struct sp_sasl *s,
                                       const struct sp_scram_verifier *v,
                                       struct sp_str *ret_out)
{
    if (s->state == SP_SASL_ST_FAILED)
        return SP_SASL_FAILED;
    if (s->state != SP_SASL_ST_WANT_KEY || !s->mech->scram ||
        v->hash != s->mech->hash || v->salt_len == 0 || v->salt_len > SP_SCRAM_SALT_MAX)
        return sp_sasl_fail(s, SP_CLASS_BUG, SP_ESTATE,
                            "no such verifier was asked for");
    s->v = *v;
    s->out.n = 0;
    return hand_out(s, sp_scram_given(s), ret_out);
}

enum sp_sasl_status sp_sasl_give_cram(struct sp_sasl *s,
                                      const uint8_t context[SP_CRAM_CONTEXT],
                                      struct sp_str *ret_out)
{
    if (s->state == SP_SASL_ST_FAILED)
        return SP_SASL_FAILED;
    if (s->state != SP_SASL_ST_WANT_KEY || s->mech->scram)
        return sp_sasl_fail(s, SP_CLASS_BUG, SP_ESTATE, "no secret was asked for");
    s->out.n = 0;
    return hand_out(s, sp_cram_context(s, context), ret_out);
}

enum sp_sasl_status sp_sasl_give_secret(struct sp_sasl *s, struct sp_str secret,
                                        struct sp_str *ret_out)
{
    if (s->state == SP_SASL_ST_FAILED)
        return SP_SASL_FAILED;
    if (s->state != SP_SASL_ST_WANT_KEY || s->mech->scram)
        return sp_sasl_fail(s, SP_CLASS_BUG, SP_ESTATE, "no secret was asked for");
    s->out.n = 0;
    return hand_out(s, sp_cram_secret(s, secret), ret_out);
}

struct sp_str sp_sasl_user(const struct sp_sasl *s)
{
    return sp_buf_view(&s->user);
}

struct sp_str sp_sasl_authorization_identity(const struct sp_sasl *s)
{
    return sp_buf_view(&s->authzid);
}

bool sp_sasl_bound(const struct sp_sasl *s)
{
    return s->bound;
}

const char *sp_sasl_mechanism(const struct sp_sasl *s)
{
    return s->mech->name;
}

const struct sp_err *sp_sasl_error(const struct sp_sasl *s)
{
    return s->state == SP_SASL_ST_FAILED ? &s->err : NULL;
}

void sp_sasl_fix_nonce(struct sp_sasl *s, struct sp_str nonce)
{
    s->nonce_fixed = true;
    s->challenge.n = 0;
    (void)sp_buf_str(&s->challenge, nonce);
}
