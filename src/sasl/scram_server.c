/*
 * scram_server.c - the server's side of SCRAM: RFC 5802 5 to 7.
 *
 *     START  --client-first-->  WANT_KEY  --verifier-->  FINAL  --client-final-->  DONE
 */
#include "sasl_i.h"

#include "text.h"

#include <string.h>

/* The gs2 channel binding flag, judged: RFC 5802 6, RFC 9266.  Adds the binding data
 * that the client must show to s->gs2, which holds the header already. */
static enum sp_sasl_status judge_binding(struct sp_sasl *s, struct sp_str flag)
{
    const struct sp_buf *data = NULL;

    if (sp_str_is(flag, "n") || sp_str_is(flag, "y")) {
        if (s->mech->plus)
            return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED,
                                "the client chose -PLUS and binds no channel");
        /* "y": the client could bind but saw no -PLUS.  We listed it, so somebody in
         * between took it out of the list: a downgrade. */
        if (s->plus_listed && flag.p[0] == 'y')
            return sp_sasl_fail(s, SP_CLASS_INSECURE, SP_EDENIED,
                                "the client did not see the -PLUS mechanism that was "
                                "offered (downgrade)");
        if (s->require_binding)
            return sp_sasl_fail(s, SP_CLASS_INSECURE, SP_EDENIED,
                                "channel binding is required here");
        return SP_SASL_CONTINUE;
    }
    if (flag.n < 3 || flag.p[0] != 'p' || flag.p[1] != '=')
        return sp_sasl_malformed(s, "channel binding flag");
    if (!s->mech->plus)
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED,
                            "channel binding in a mechanism without -PLUS");
    if (sp_str_is(flag, "p=tls-exporter"))
        data = &s->exporter;
    else if (sp_str_is(flag, "p=tls-unique"))
        data = &s->unique;
    if (!data || data->n == 0)
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED,
                            "this connection has no such channel binding");
    if (sp_buf_put(&s->gs2, data->p, data->n) < 0)
        return sp_sasl_nomem(s);
    s->bound = true;
    return SP_SASL_CONTINUE;
}

static enum sp_sasl_status client_first(struct sp_sasl *s, struct sp_str token)
{
    struct sp_str rest = token, flag = sp_str_cut(&rest, ',');
    struct sp_str authz = sp_str_cut(&rest, ','), bare = rest, name, nonce;
    enum sp_sasl_status st;

    if (!bare.p)
        return sp_sasl_malformed(s, "gs2 header");
    if (sp_buf_put(&s->gs2, token.p, token.n - bare.n) < 0)
        return sp_sasl_malformed(s, "gs2 header: too long");
    if (authz.n && (authz.n < 3 || memcmp(authz.p, "a=", 2) != 0 ||
                    sp_scram_get_saslname((struct sp_str){authz.p + 2, authz.n - 2},
                                          &s->authzid) < 0))
        return sp_sasl_malformed(s, "authorization identity");
    st = judge_binding(s, flag);
    if (st == SP_SASL_FAILED)
        return st;
    if (bare.n > 1 && bare.p[0] == 'm' && bare.p[1] == '=')
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EINPUT,
                            "the client wants an extension that is unknown here");
    if (sp_scram_attr(&rest, 'n', &name) < 0 ||
        sp_scram_get_saslname(name, &s->user) < 0)
        return sp_sasl_malformed(s, "user name");
    if (sp_scram_attr(&rest, 'r', &nonce) < 0 || !sp_scram_nonce_ok(nonce))
        return sp_sasl_malformed(s, "nonce");
    if (sp_scram_extensions(rest) < 0)
        return sp_sasl_malformed(s, "extension");
    if (sp_buf_str(&s->first_bare, bare) < 0 || sp_buf_str(&s->nonce, nonce) < 0 ||
        sp_scram_add_nonce(s) < 0)
        return sp_sasl_nomem(s);
    sp_sasl_enter(s, SP_SASL_ST_WANT_KEY);
    return SP_SASL_VERIFIER;
}

enum sp_sasl_status sp_scram_given(struct sp_sasl *s)
{
    struct sp_buf *b = &s->server_first;

    if (sp_buf_puts(b, "r=") < 0 || sp_buf_str(b, sp_buf_view(&s->nonce)) < 0 ||
        sp_buf_puts(b, ",s=") < 0 || sp_put_base64(b, s->v.salt, s->v.salt_len) < 0 ||
        sp_buf_printf(b, ",i=%u", (unsigned)s->v.iterations) < 0 ||
        sp_buf_str(&s->out, sp_buf_view(b)) < 0)
        return sp_sasl_nomem(s);
    sp_sasl_enter(s, SP_SASL_ST_FINAL);
    return SP_SASL_CONTINUE;
}

/* 1: the proof fits StoredKey; 0: not; negative: no memory.  On 1 s->out is the
 * server-final message. */
static int proved(struct sp_sasl *s, struct sp_str without_proof, const uint8_t *proof)
{
    enum sp_scram_hash h = s->v.hash;
    size_t len = sp_scram_len(h);
    uint8_t signature[SP_SCRAM_KEY_MAX], key[SP_SCRAM_KEY_MAX],
        server[SP_SCRAM_KEY_MAX];
    struct sp_buf msg;
    int rc;

    sp_buf_init(&msg, 4 * SP_SASL_TOKEN_MAX);
    rc = sp_scram_auth_message(s, without_proof, &msg);
    if (rc == 0)
        rc = sp_hmac(h, s->v.stored_key, len, sp_buf_view(&msg), signature);
    if (rc == 0)
        rc = sp_hmac(h, s->v.server_key, len, sp_buf_view(&msg), server);
    if (rc == 0) {
        for (size_t i = 0; i < len; i++)
            key[i] = proof[i] ^ signature[i];
        rc = sp_hash(h, key, len, signature);
    }
    if (rc == 0) /* both are looked at: nothing tells a fake verifier by its work */
        rc = sp_equal_ct(signature, s->v.stored_key, len) & !s->v.fake;
    if (rc == 1 &&
        (sp_buf_puts(&s->out, "v=") < 0 || sp_put_base64(&s->out, server, len) < 0))
        rc = -SP_ENOMEM;
    sp_buf_wipe(&msg);
    sp_wipe(signature, sizeof signature);
    sp_wipe(key, sizeof key);
    sp_wipe(server, sizeof server);
    return rc;
}

static enum sp_sasl_status client_final(struct sp_sasl *s, struct sp_str token)
{
    struct sp_str rest = token, c, r, p, p64, without_proof;
    uint8_t proof[SP_SCRAM_KEY_MAX];
    char binding[SP_SASL_TOKEN_MAX];
    int n, ok;

    if (sp_scram_attr(&rest, 'c', &c) < 0)
        return sp_sasl_malformed(s, "channel binding");
    if (sp_scram_attr(&rest, 'r', &r) < 0)
        return sp_sasl_malformed(s, "nonce");
    /* Extensions stand between the nonce and the proof, which is last. */
    p = rest;
    for (size_t i = rest.n; i > 0; i--)
        if (rest.p[i - 1] == ',') {
            p = (struct sp_str){rest.p + i, rest.n - i};
            if (sp_scram_extensions((struct sp_str){rest.p, i - 1}) < 0)
                return sp_sasl_malformed(s, "extension");
            break;
        }
    if (!p.p || token.n - p.n == 0)
        return sp_sasl_malformed(s, "proof");
    without_proof = (struct sp_str){token.p, token.n - p.n - 1};
    if (sp_scram_attr(&p, 'p', &p64) < 0 ||
        sp_base64_decode(p64, proof, sizeof proof) != (int)sp_scram_len(s->v.hash))
        return sp_sasl_malformed(s, "proof");
    n = sp_base64_decode(c, binding, sizeof binding);
    if (n < 0)
        return sp_sasl_malformed(s, "channel binding");
    if (!sp_str_eq(r, sp_buf_view(&s->nonce)))
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED, "the nonce is not ours");
    if (!sp_str_eq((struct sp_str){binding, (size_t)n}, sp_buf_view(&s->gs2)))
        return sp_sasl_fail(s, SP_CLASS_INSECURE, SP_EDENIED,
                            "the channel binding does not fit this connection");
    ok = proved(s, without_proof, proof);
    sp_wipe(proof, sizeof proof);
    if (ok < 0)
        return sp_sasl_nomem(s);
    if (!ok)
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED, "the proof is wrong");
    sp_sasl_enter(s, SP_SASL_ST_DONE);
    return SP_SASL_DONE;
}

enum sp_sasl_status sp_scram_server(struct sp_sasl *s, struct sp_str token)
{
    switch (s->state) {
    case SP_SASL_ST_START:
        /* No initial response: the client is asked for it by an empty challenge. */
        return token.p ? client_first(s, token) : SP_SASL_CONTINUE;
    case SP_SASL_ST_FINAL:
        return client_final(s, token);
    case SP_SASL_ST_WANT_KEY:
    case SP_SASL_ST_VERIFY:
    case SP_SASL_ST_DONE:
    case SP_SASL_ST_FAILED:
        break;
    }
    return sp_sasl_fail(s, SP_CLASS_BUG, SP_ESTATE, "no token is due now");
}
