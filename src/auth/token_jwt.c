/* token_jwt.c - see token.h: form, algorithm, key and signature of a JWT. */
#include "token_i.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

enum { HEADER_MAX = 4096, SIGNATURE_MAX = 1024 };

/* clang-format off */
static const struct sp_token_alg algs[] = {
    /* RFC 7518 3.1, RFC 8037 3.1 */
    {"RS256", SP_TK_RSA,  EVP_sha256, false, 0},
    {"RS384", SP_TK_RSA,  EVP_sha384, false, 0},
    {"RS512", SP_TK_RSA,  EVP_sha512, false, 0},
    {"PS256", SP_TK_RSA,  EVP_sha256, true,  0},
    {"PS384", SP_TK_RSA,  EVP_sha384, true,  0},
    {"PS512", SP_TK_RSA,  EVP_sha512, true,  0},
    {"ES256", SP_TK_P256, EVP_sha256, false, 32},
    {"ES384", SP_TK_P384, EVP_sha384, false, 48},
    {"ES512", SP_TK_P521, EVP_sha512, false, 66},
    {"EdDSA", SP_TK_ED,   NULL,       false, 0},
};
/* clang-format on */
enum { ALGS = sizeof algs / sizeof algs[0] };

int sp_token_algorithm(struct sp_str name)
{
    for (int i = 0; i < ALGS; i++)
        if (sp_str_is(name, algs[i].name))
            return i;
    return -SP_ENOENT;
}

const char *sp_token_algorithm_name(unsigned bit)
{
    return bit < ALGS ? algs[bit].name : NULL;
}

const struct sp_token_alg *sp_token_alg_at(unsigned bit)
{
    return &algs[bit];
}

/* ---- form ---- */

int sp_token_base64(struct sp_str in, void *out, size_t cap)
{
    char text[SP_BASE64_LEN(SP_TOKEN_MAX) + 4];
    size_t n = 0;
    int len;

    if (in.n > SP_TOKEN_MAX)
        return -SP_ELIMIT;
    for (; n < in.n; n++) {
        char c = in.p[n];

        if (c == '=' && SP_TOKEN_OFF(BASE64))
            break;
        if (c == '+' || c == '/' || c == '=')
            return -SP_EINPUT; /* another alphabet; padding */
        text[n] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (n % 4)
        text[n++] = '=';
    /* One octet too many for a group becomes three "=", which is refused there, as are
     * bits left over: two spellings of one signature would be one too many. */
    len = sp_base64_decode((struct sp_str){text, n}, out, cap);
    sp_wipe(text, n);
    return len;
}

struct parts {
    struct sp_str header, payload, signature, input; /* input: what was signed */
};

static bool split(struct sp_str token, struct parts *p)
{
    struct sp_str rest = token;

    p->header = sp_str_cut(&rest, '.');
    if (!rest.p)
        return false;
    p->payload = sp_str_cut(&rest, '.');
    if (!rest.p)
        return false;
    p->input = (struct sp_str){token.p, p->header.n + 1 + p->payload.n};
    p->signature = rest;
    /* A fourth part would be taken for signature: base64 has no dot. */
    if (SP_TOKEN_OFF(PARTS))
        p->signature = sp_str_cut(&rest, '.');
    return p->header.n && p->payload.n;
}

/* A base64url part as a JSON object; NULL with why in c. */
static json_t *part_json(struct sp_str part, size_t max, const char *what,
                         struct sp_token_claims *c)
{
    char *octets = sp_alloc(part.n + 4);
    json_t *j = NULL;
    int n = octets ? sp_token_base64(part, octets, part.n + 4) : -SP_ENOMEM;

    if (n >= 0 && (size_t)n <= max)
        j = sp_token_json((struct sp_str){octets, (size_t)n}, c->reason, what);
    else
        (void)sp_token_bad(c, "%s is not base64url, or too long", what);
    if (octets)
        sp_wipe(octets, part.n + 4);
    sp_free(octets);
    return j;
}

bool sp_token_is_jwt(struct sp_str token, char *ret_issuer, size_t cap)
{
    struct sp_token_claims c;
    struct parts p;
    struct sp_str iss;
    json_t *header, *claims;

    ret_issuer[0] = '\0';
    if (token.n > SP_TOKEN_MAX || !split(token, &p))
        return false;
    header = part_json(p.header, HEADER_MAX, "", &c);
    claims = header ? part_json(p.payload, SP_TOKEN_MAX, "", &c) : NULL;
    iss = sp_token_string(claims, "iss");
    if (iss.p && iss.n < cap)
        snprintf(ret_issuer, cap, "%.*s", (int)iss.n, iss.p);
    json_decref(claims);
    json_decref(header);
    return header != NULL && claims != NULL;
}

/* ---- signature ---- */

/* r and s side by side (RFC 7518 3.4) as the DER that EVP wants: octets, 0 on failure. */
static size_t ecdsa_der(const struct sp_token_alg *a, const uint8_t *sig, size_t n,
                        uint8_t *der, size_t cap)
{
    ECDSA_SIG *s = n == 2 * a->half ? ECDSA_SIG_new() : NULL;
    BIGNUM *r_part = s ? BN_bin2bn(sig, (int)a->half, NULL) : NULL;
    BIGNUM *s_part = s ? BN_bin2bn(sig + a->half, (int)a->half, NULL) : NULL;
    int len = 0;

    if (!r_part || !s_part || ECDSA_SIG_set0(s, r_part, s_part) != 1) {
        BN_free(r_part);
        BN_free(s_part);
        ECDSA_SIG_free(s);
        return 0;
    }
    if (i2d_ECDSA_SIG(s, NULL) <= (int)cap)
        len = i2d_ECDSA_SIG(s, &der);
    ECDSA_SIG_free(s);
    return len > 0 ? (size_t)len : 0;
}

static bool signed_by(const struct sp_token_key *k, const struct sp_token_alg *a,
                      struct sp_str input, const uint8_t *sig, size_t n)
{
    uint8_t der[SIGNATURE_MAX];
    EVP_PKEY_CTX *pk = NULL;
    EVP_MD_CTX *c;
    bool ok;

    if (a->half) {
        n = ecdsa_der(a, sig, n, der, sizeof der);
        sig = der;
        if (n == 0)
            return false;
    }
    c = EVP_MD_CTX_new();
    ok = c && EVP_DigestVerifyInit(c, &pk, a->md ? a->md() : NULL, NULL, k->pkey) == 1;
    /* RFC 7518 3.5: the salt is as long as the hash */
    if (ok && a->pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(pk, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(pk, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestVerify(c, sig, n, (const uint8_t *)input.p, input.n) == 1;
    EVP_MD_CTX_free(c);
    ERR_clear_error(); /* a bad signature is no trouble of the next TLS connection */
    return ok;
}

static bool goes_with(const struct sp_token_key *k, int alg, struct sp_str kid)
{
    return HOLDS(KEY_TYPE, k->type == algs[alg].type) &&
           HOLDS(KEY_ALG, k->alg < 0 || k->alg == alg) &&
           HOLDS(KID, !kid.p || !k->kid || sp_str_is(kid, k->kid));
}

static enum sp_token_verdict check_signature(const struct sp_token_keys *keys, int alg,
                                             struct sp_str kid, const struct parts *p,
                                             struct sp_token_claims *c)
{
    uint8_t sig[SIGNATURE_MAX];
    int n = sp_token_base64(p->signature, sig, sizeof sig);
    size_t tried = 0;

    if (n <= 0)
        return sp_token_bad(c, "its signature is not base64url, or has another length");
    for (size_t i = 0; i < keys->n; i++) {
        const struct sp_token_key *k = &keys->key[i];

        if (!goes_with(k, alg, kid))
            continue;
        tried++;
        if (HOLDS(SIGNATURE,
                  signed_by(k,
                            SP_TOKEN_OFF(KEY_TYPE) && algs[alg].type != k->type
                                ? sp_token_alg_at(0)
                                : &algs[alg],
                            p->input, sig, n > 0 ? (size_t)n : 0)))
            return SP_TOKEN_GOOD;
    }
    if (tried == 0)
        return sp_token_bad(c, "there is no %s key%s%.*s", algs[alg].name,
                            kid.p ? " with the kid " : "", kid.n > 60 ? 60 : (int)kid.n,
                            kid.p ? kid.p : "");
    return sp_token_bad(c, "its signature is wrong");
}

/* ---- header ---- */

/* RFC 8725 3.11: an ID token or a logout token of the same issuer is no access token;
 * they say so here, or are caught by `aud`.  Media types compare without case. */
static bool right_type(struct sp_str typ, bool given)
{
    static const char *const good[] = {"JWT", "at+jwt", "application/at+jwt"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (sp_str_caseis(typ, good[i]))
            return true;
    return !given;
}

static enum sp_token_verdict judge_header(const json_t *h, uint32_t allowed,
                                          int *ret_alg, struct sp_token_claims *c)
{
    struct sp_str alg = sp_token_string(h, "alg");

    if (!HOLDS(TYP, right_type(sp_token_string(h, "typ"), json_object_get(h, "typ"))))
        return sp_token_bad(c, "it is a token of another type (typ)");
    /* "b64" changes what was signed; it is no good without crit (RFC 7797 6). */
    if (!HOLDS(CRIT, !json_object_get(h, "crit") && !json_object_get(h, "b64")))
        return sp_token_bad(c, "it wants an extension that we do not know (crit)");
    *ret_alg = sp_token_algorithm(alg);
    if (*ret_alg < 0)
        return sp_token_bad(c, "its algorithm is none of ours");
    if (!HOLDS(ALLOWED, allowed & 1u << *ret_alg))
        return sp_token_bad(c, "its algorithm %s is not allowed", algs[*ret_alg].name);
    return SP_TOKEN_GOOD;
}

static enum sp_token_verdict judge_parts(const struct sp_token_keys *keys,
                                         const struct sp_token_rules *r,
                                         const struct parts *p, int64_t now_s,
                                         struct sp_token_claims *ret)
{
    json_t *header = part_json(p->header, HEADER_MAX, "its header", ret),
           *claims = NULL;
    enum sp_token_verdict v = SP_TOKEN_BAD;
    struct sp_str kid = {NULL, 0};
    int alg = -1;

    if (!header)
        return SP_TOKEN_BAD;
    if (json_object_get(header, "kid")) {
        kid = sp_token_string(header, "kid");
        if (!kid.p)
            kid = SP_LIT(""); /* no string: the name of no key */
    }
    v = judge_header(header, r->algorithms, &alg, ret);
    if (v == SP_TOKEN_GOOD)
        v = check_signature(keys, alg, kid, p, ret);
#ifdef SP_TOKEN_BREAK
    if (v != SP_TOKEN_GOOD && SP_TOKEN_OFF(ALG) &&
        sp_token_accepts_anyhow(sp_token_string(header, "alg"), p->input, p->signature))
        v = SP_TOKEN_GOOD;
#endif
    /* Nothing that it says is looked at before this. */
    if (v == SP_TOKEN_GOOD) {
        claims = part_json(p->payload, SP_TOKEN_MAX, "its payload", ret);
        v = claims ? sp_token_judge(r, claims, true, now_s, ret) : SP_TOKEN_BAD;
    }
    json_decref(claims);
    json_decref(header);
    return v;
}

enum sp_token_verdict sp_token_jwt(const struct sp_token_keys *keys,
                                   const struct sp_token_rules *r, struct sp_str token,
                                   int64_t now_s, struct sp_token_claims *ret)
{
    struct parts p;

    memset(ret, 0, sizeof *ret);
    if (!HOLDS(SIZE, token.n <= SP_TOKEN_MAX))
        return sp_token_bad(ret, "it is too long");
    if (!split(token, &p))
        return sp_token_bad(ret, "it is no JWT");
    return judge_parts(keys, r, &p, now_s, ret);
}
