/*
 * cram.c - CRAM-MD5, RFC 2195, both sides.
 *
 *     server: START --(nothing)--> FINAL --answer--> WANT_KEY --secret--> DONE
 *     client: START --challenge--> DONE
 *
 * The server must hold the secret in readable form and proves nothing to the client:
 * it is here for old clients whose users chose so.
 */
/* MD5's inner state can be had by the old functions only. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sasl_i.h"

#include "text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/md5.h>
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

/* ---- the context: HMAC's two halves after the key (RFC 2104 4) ---- */

static void put_state(const MD5_CTX *c, uint8_t *out)
{
    const MD5_LONG word[4] = {c->A, c->B, c->C, c->D};

    for (size_t i = 0; i < 16; i++)
        out[i] = (uint8_t)(word[i / 4] >> 8 * (i % 4));
}

/* As after the one block that was the key with its padding. */
static void get_state(MD5_CTX *c, const uint8_t *in)
{
    MD5_LONG word[4] = {0};

    for (size_t i = 0; i < 16; i++)
        word[i / 4] |= (MD5_LONG)in[i] << 8 * (i % 4);
    (void)MD5_Init(c);
    c->A = word[0];
    c->B = word[1];
    c->C = word[2];
    c->D = word[3];
    c->Nl = 8 * MD5_CBLOCK;
}

int sp_cram_make(struct sp_str password, uint8_t ret_context[SP_CRAM_CONTEXT])
{
    uint8_t key[MD5_CBLOCK] = {0}, pad[MD5_CBLOCK];
    MD5_CTX c;

    if (password.n == 0 || password.n > SP_SASL_PASSWORD_MAX)
        return -SP_EINPUT;
    if (password.n > sizeof key)
        (void)MD5((const unsigned char *)password.p, password.n, key);
    else
        memcpy(key, password.p, password.n);
    for (int half = 0; half < 2; half++) {
        for (size_t i = 0; i < sizeof key; i++)
            pad[i] = key[i] ^ (half ? 0x5c : 0x36);
        (void)MD5_Init(&c);
        (void)MD5_Update(&c, pad, sizeof pad);
        put_state(&c, ret_context + 16 * half);
    }
    sp_wipe(key, sizeof key);
    sp_wipe(pad, sizeof pad);
    sp_wipe(&c, sizeof c);
    return 0;
}

enum sp_sasl_status sp_cram_context(struct sp_sasl *s, const uint8_t *context)
{
    static const uint8_t nobody[SP_CRAM_CONTEXT]; /* the same work for nobody */
    struct sp_str said = sp_buf_view(&s->challenge);
    uint8_t want[16];
    MD5_CTX c;
    bool same;

    get_state(&c, context ? context : nobody);
    (void)MD5_Update(&c, said.p, said.n);
    (void)MD5_Final(want, &c);
    get_state(&c, (context ? context : nobody) + 16);
    (void)MD5_Update(&c, want, sizeof want);
    (void)MD5_Final(want, &c);
    same = sp_equal_ct(want, s->digest, sizeof want) & (context != NULL);
    sp_wipe(want, sizeof want);
    sp_wipe(&c, sizeof c);
    if (!same)
        return sp_sasl_fail(s, SP_CLASS_PEER, SP_EDENIED,
                            "the digest is wrong, or the account has none for CRAM-MD5");
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
