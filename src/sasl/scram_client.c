/*
 * scram_client.c - the client's side of SCRAM: RFC 5802 5 to 7.
 *
 *     START --first--> FINAL --server-first--> VERIFY --server-final--> DONE
 */
#include "sasl_i.h"

#include "text.h"

#include <string.h>

static int put_gs2(struct sp_sasl *s, const struct sp_buf **ret_data)
{
    struct sp_buf *b = &s->gs2;
    int rc;

    *ret_data = NULL;
    if (s->mech->plus) {
        /* tls-unique exists up to TLS 1.2, and there it is the one that everybody knows
         * (RFC 5802 6.1); tls-exporter takes its place in TLS 1.3 (RFC 9266 3). */
        *ret_data = s->unique.n ? &s->unique : &s->exporter;
        rc = sp_buf_puts(b, s->unique.n ? "p=tls-unique," : "p=tls-exporter,");
    } else if ((s->exporter.n || s->unique.n) && !s->plus_listed) {
        rc = sp_buf_puts(b, "y,"); /* we could; did the server really not offer it? */
    } else {
        rc = sp_buf_puts(b, "n,");
    }
    if (rc == 0 && s->authzid.n) {
        rc = sp_buf_puts(b, "a=");
        if (rc == 0)
            rc = sp_scram_put_saslname(b, sp_buf_view(&s->authzid));
    }
    return rc ? rc : sp_buf_puts(b, ",");
}

static enum sp_sasl_status first(struct sp_sasl *s)
{
    struct sp_buf *b = &s->first_bare;
    const struct sp_buf *data;

    if (put_gs2(s, &data) < 0 || sp_scram_add_nonce(s) < 0 ||
        sp_buf_puts(b, "n=") < 0 ||
        sp_scram_put_saslname(b, sp_buf_view(&s->user)) < 0 ||
        sp_buf_puts(b, ",r=") < 0 || sp_buf_str(b, sp_buf_view(&s->nonce)) < 0 ||
        sp_buf_str(&s->out, sp_buf_view(&s->gs2)) < 0 ||
        sp_buf_str(&s->out, sp_buf_view(b)) < 0)
        return sp_sasl_nomem(s);
    if (data && sp_buf_put(&s->gs2, data->p, data->n) < 0)
        return sp_sasl_nomem(s);
    sp_sasl_enter(s, SP_SASL_ST_FINAL);
    return SP_SASL_CONTINUE;
}

/* Appends ",p=<proof>" to s->out, which is client-final-without-proof; remembers the
 * signature that the server must show. */
static int prove(struct sp_sasl *s, struct sp_str salt, uint32_t iterations)
{
    enum sp_scram_hash h = s->mech->hash;
    size_t len = sp_scram_len(h);
    uint8_t salted[SP_SCRAM_KEY_MAX], key[SP_SCRAM_KEY_MAX], tmp[SP_SCRAM_KEY_MAX];
    struct sp_buf msg;
    int rc;

    sp_buf_init(&msg, 4 * SP_SASL_TOKEN_MAX);
    rc = sp_scram_auth_message(s, sp_buf_view(&s->out), &msg);
    if (rc == 0)
        rc = sp_scram_salted(h, sp_secret_get(s->password), salt, iterations, salted);
    if (rc == 0)
        rc = sp_hmac(h, salted, len, SP_LIT("Client Key"), key);
    if (rc == 0)
        rc = sp_hash(h, key, len, tmp); /* StoredKey */
    if (rc == 0)
        rc = sp_hmac(h, tmp, len, sp_buf_view(&msg), tmp); /* ClientSignature */
    if (rc == 0) {
        for (size_t i = 0; i < len; i++)
            key[i] ^= tmp[i];
        rc = sp_hmac(h, salted, len, SP_LIT("Server Key"), tmp);
    }
    if (rc == 0)
        rc = sp_hmac(h, tmp, len, sp_buf_view(&msg), s->server_signature);
    if (rc == 0)
        rc = sp_buf_puts(&s->out, ",p=");
    if (rc == 0)
        rc = sp_put_base64(&s->out, key, len);
    sp_buf_wipe(&msg);
    sp_wipe(salted, sizeof salted);
    sp_wipe(key, sizeof key);
    sp_wipe(tmp, sizeof tmp);
    return rc;
}

static enum sp_sasl_status server_first(struct sp_sasl *s, struct sp_str token)
{
    struct sp_str rest = token, r, salt64, count;
    uint8_t salt[SP_SASL_TOKEN_MAX];
    uint64_t iterations = 0;
    int salt_len;

    if (token.n > 1 && token.p[0] == 'e' && token.p[1] == '=')
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED, "the server says: %.*s",
                            token.n > 80 ? 78 : (int)token.n - 2, token.p + 2);
    if (token.n > 1 && token.p[0] == 'm' && token.p[1] == '=')
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EINPUT,
                            "the server wants an extension that is unknown here");
    if (sp_scram_attr(&rest, 'r', &r) < 0 || !sp_scram_nonce_ok(r))
        return sp_sasl_malformed(s, "server nonce");
    if (sp_scram_attr(&rest, 's', &salt64) < 0 ||
        (salt_len = sp_base64_decode(salt64, salt, sizeof salt)) <= 0)
        return sp_sasl_malformed(s, "salt");
    if (sp_scram_attr(&rest, 'i', &count) < 0 || count.p[0] == '0' ||
        sp_str_u64(count, UINT32_MAX, &iterations) < 0)
        return sp_sasl_malformed(s, "iteration count");
    if (sp_scram_extensions(rest) < 0)
        return sp_sasl_malformed(s, "extension");
    /* An answer to somebody else's question, or one without entropy of its own. */
    if (r.n <= s->nonce.n || memcmp(r.p, s->nonce.p, s->nonce.n) != 0)
        return sp_sasl_fail(s, SP_CLASS_INSECURE, SP_EDENIED,
                            "the server's nonce does not continue ours");
    /* A count too low lets whoever listens guess the password offline; one too high
     * keeps this client busy for as long as the peer likes. */
    if (iterations < SP_SCRAM_ITERATIONS_MIN || iterations > SP_SCRAM_ITERATIONS_MAX)
        return sp_sasl_fail(s, SP_CLASS_INSECURE, SP_EDENIED,
                            "the iteration count %llu is outside %d to %d",
                            (unsigned long long)iterations, SP_SCRAM_ITERATIONS_MIN,
                            SP_SCRAM_ITERATIONS_MAX);
    s->nonce.n = 0;
    if (sp_buf_str(&s->nonce, r) < 0 || sp_buf_str(&s->server_first, token) < 0 ||
        sp_buf_puts(&s->out, "c=") < 0 ||
        sp_put_base64(&s->out, s->gs2.p, s->gs2.n) < 0 ||
        sp_buf_puts(&s->out, ",r=") < 0 || sp_buf_str(&s->out, r) < 0 ||
        prove(s, (struct sp_str){(const char *)salt, (size_t)salt_len},
              (uint32_t)iterations) < 0)
        return sp_sasl_nomem(s);
    sp_sasl_enter(s, SP_SASL_ST_VERIFY);
    return SP_SASL_CONTINUE;
}

static enum sp_sasl_status server_final(struct sp_sasl *s, struct sp_str token)
{
    struct sp_str rest = token, v;
    uint8_t signature[SP_SCRAM_KEY_MAX];
    size_t len = sp_scram_len(s->mech->hash);

    if (token.n > 1 && token.p[0] == 'e' && token.p[1] == '=')
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED, "the server says: %.*s",
                            token.n > 80 ? 78 : (int)token.n - 2, token.p + 2);
    if (sp_scram_attr(&rest, 'v', &v) < 0 || sp_scram_extensions(rest) < 0 ||
        sp_base64_decode(v, signature, sizeof signature) != (int)len)
        return sp_sasl_malformed(s, "server signature");
    if (!sp_equal_ct(signature, s->server_signature, len))
        return sp_sasl_fail(s, SP_CLASS_INSECURE, SP_EDENIED,
                            "the server does not know the password: its signature is "
                            "wrong");
    s->bound = s->mech->plus;
    sp_sasl_enter(s, SP_SASL_ST_DONE);
    return SP_SASL_DONE;
}

enum sp_sasl_status sp_scram_client(struct sp_sasl *s, struct sp_str token)
{
    switch (s->state) {
    case SP_SASL_ST_START:
        if (token.n)
            return sp_sasl_malformed(s, "challenge: the client speaks first");
        return first(s);
    case SP_SASL_ST_FINAL:
        return server_first(s, token);
    case SP_SASL_ST_VERIFY:
        return server_final(s, token);
    case SP_SASL_ST_WANT_KEY:
    case SP_SASL_ST_DONE:
    case SP_SASL_ST_FAILED:
        break;
    }
    return sp_sasl_fail(s, SP_CLASS_BUG, SP_ESTATE, "no token is due now");
}
