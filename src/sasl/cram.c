/*
 * cram.c - CRAM-MD5, RFC 2195, both sides.
 *
 *     server: START --(nothing)--> FINAL --answer--> WANT_KEY --secret--> DONE
 *     client: START --challenge--> DONE
 *
 * The server must hold the secret in readable form and proves nothing to the client:
 * it is here for old clients whose users chose so.
 */
#include "sasl_i.h"

#include "text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

static int digest(struct sp_str secret, struct sp_str challenge, uint8_t out[16])
{
    return HMAC(EVP_md5(), secret.n ? secret.p : "", (int)secret.n,
                (const unsigned char *)challenge.p, challenge.n, out, NULL)
               ? 0
               : -SP_ENOMEM;
}

/* "<random@host>": RFC 2195 2 puts a clock's time there too; 18 random octets are
 * unique without one. */
static enum sp_sasl_status put_challenge(struct sp_sasl *s)
{
    unsigned char raw[18];
    char hex[2 * sizeof raw + 1];

    if (!s->nonce_fixed) {
        if (RAND_bytes(raw, sizeof raw) != 1)
            return sp_sasl_nomem(s);
        (void)sp_hex_encode(raw, sizeof raw, hex, sizeof hex);
        if (sp_buf_printf(&s->out, "<%s@", hex) < 0 ||
            sp_buf_str(&s->out, sp_buf_view(&s->challenge)) < 0 ||
            sp_buf_put(&s->out, ">", 1) < 0)
            return sp_sasl_nomem(s);
        s->challenge.n = 0;
        if (sp_buf_str(&s->challenge, sp_buf_view(&s->out)) < 0)
            return sp_sasl_nomem(s);
    } else if (sp_buf_str(&s->out, sp_buf_view(&s->challenge)) < 0) {
        return sp_sasl_nomem(s);
    }
    sp_sasl_enter(s, SP_SASL_ST_FINAL);
    return SP_SASL_CONTINUE;
}

/* user SP 32 lower-case hex digits; the user may hold blanks, so the last one counts */
static enum sp_sasl_status answer(struct sp_sasl *s, struct sp_str token)
{
    struct sp_str name, hex;
    char *room;
    int n;

    if (token.n < 34 || token.p[token.n - 33] != ' ')
        return sp_sasl_malformed(s, "answer");
    name = (struct sp_str){token.p, token.n - 33};
    hex = (struct sp_str){token.p + token.n - 32, 32};
    if (sp_hex_decode(hex, s->digest, sizeof s->digest) != (int)sizeof s->digest)
        return sp_sasl_malformed(s, "digest");
    room = sp_buf_room(&s->user, s->user.max);
    if (!room)
        return sp_sasl_nomem(s);
    n = sp_saslprep(name, room, s->user.max);
    if (n <= 0)
        return sp_sasl_malformed(s, "user name");
    s->user.n = (size_t)n;
    sp_sasl_enter(s, SP_SASL_ST_WANT_KEY);
    return SP_SASL_VERIFIER;
}

enum sp_sasl_status sp_cram_secret(struct sp_sasl *s, struct sp_str secret)
{
    uint8_t want[16];
    bool same;

    if (digest(secret, sp_buf_view(&s->challenge), want) < 0)
        return sp_sasl_nomem(s);
    same = sp_equal_ct(want, s->digest, sizeof want) & (secret.p != NULL);
    sp_wipe(want, sizeof want);
    if (!same)
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED, "the digest is wrong");
    sp_sasl_enter(s, SP_SASL_ST_DONE);
    return SP_SASL_DONE;
}

enum sp_sasl_status sp_cram_server(struct sp_sasl *s, struct sp_str token)
{
    if (s->state == SP_SASL_ST_START && token.n == 0)
        return put_challenge(s);
    if (s->state == SP_SASL_ST_START) /* RFC 4954 4: no initial response here */
        return sp_sasl_malformed(s, "exchange: the server speaks first");
    if (s->state == SP_SASL_ST_FINAL)
        return answer(s, token);
    return sp_sasl_fail(s, SP_CLASS_BUG, SP_ESTATE, "no token is due now");
}

enum sp_sasl_status sp_cram_client(struct sp_sasl *s, struct sp_str token)
{
    uint8_t mine[16];
    char hex[33];

    if (s->state != SP_SASL_ST_START)
        return sp_sasl_fail(s, SP_CLASS_BUG, SP_ESTATE, "no token is due now");
    if (token.n == 0)
        return sp_sasl_malformed(s, "challenge: empty");
    if (digest(sp_secret_get(s->password), token, mine) < 0)
        return sp_sasl_nomem(s);
    (void)sp_hex_encode(mine, sizeof mine, hex, sizeof hex);
    if (sp_buf_str(&s->out, sp_buf_view(&s->user)) < 0 ||
        sp_buf_put(&s->out, " ", 1) < 0 || sp_buf_put(&s->out, hex, 32) < 0)
        return sp_sasl_nomem(s);
    sp_sasl_enter(s, SP_SASL_ST_DONE);
    return SP_SASL_DONE;
}
