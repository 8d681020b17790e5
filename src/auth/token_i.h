/*
 * token_i.h - what the token_*.c share.  Everybody else: token.h.
 *
 * Each rule is asked by HOLDS() in one place.  The test program is built with
 * SP_TOKEN_BREAK: there one rule at a time can be switched off, to see that some bad
 * token would then get in, that is, that the rule is needed and tested.
 */
#ifndef SP_TOKEN_I_H
#define SP_TOKEN_I_H

#include "token.h"

#include "text.h"

#include <jansson.h>
#include <openssl/evp.h>

/* clang-format off */
#define SP_TOKEN_RULES(X)                                                              \
    X(SIZE)      /* not longer than SP_TOKEN_MAX */                                    \
    X(PARTS)     /* three parts, two dots: RFC 7515 7.1 */                             \
    X(BASE64)    /* base64url without padding or bits left over: RFC 7515 2 */         \
    X(DUPLICATE) /* no member twice: RFC 7515 4, 7519 4 */                             \
    X(TYP)       /* a JWT or an access token, nothing else: RFC 8725 3.11, 9068 2.1 */ \
    X(CRIT)      /* we know no extension: RFC 7515 4.1.11 */                           \
    X(ALG)       /* one that we do; never "none", never HMAC: RFC 8725 3.1, 3.2 */     \
    X(ALLOWED)   /* one that the configuration allows: RFC 8725 3.1 */                 \
    X(KEY_TYPE)  /* the algorithm's own type of key and curve: RFC 8725 2.1 */         \
    X(KEY_ALG)   /* the key's own `alg`: RFC 7517 4.4 */                               \
    X(KID)       /* the key that it names: RFC 7515 4.1.4 */                           \
    X(SIGNATURE)                                                                       \
    X(ACTIVE)    /* RFC 7662 2.2 */                                                    \
    X(ISS)       /* RFC 8725 3.8 */                                                    \
    X(AUD)       /* RFC 8725 3.9 */                                                    \
    X(HAS_EXP)   /* a JWT without an end is refused: RFC 9068 2.2 */                   \
    X(EXP)       /* RFC 7519 4.1.4 */                                                  \
    X(NBF)       /* RFC 7519 4.1.5 */                                                  \
    X(SCOPE)     /* RFC 8693 4.2 */                                                    \
    X(USER)      /* the claim is there, a string, and printable */                     \
    X(VERIFIED)  /* an address that the issuer has not verified names nobody */
/* clang-format on */

enum sp_token_rule {
    SP_TR_NONE,
#define X(name) SP_TR_##name,
    SP_TOKEN_RULES(X)
#undef X
        SP_TR_COUNT
};

#ifdef SP_TOKEN_BREAK
extern enum sp_token_rule sp_token_broken;
/* The two verifiers that the world has seen: one that takes "none", one that takes the
 * public key for the secret of an HMAC.  Defined in the test; asked with ALG broken. */
bool sp_token_accepts_anyhow(struct sp_str alg, struct sp_str input, struct sp_str sig);
#define SP_TOKEN_OFF(rule) (sp_token_broken == SP_TR_##rule)
#else
#define SP_TOKEN_OFF(rule) false
#endif
#define HOLDS(rule, expr) ((expr) || SP_TOKEN_OFF(rule))

enum sp_token_key_type { SP_TK_RSA, SP_TK_P256, SP_TK_P384, SP_TK_P521, SP_TK_ED };

struct sp_token_alg {
    const char *name;
    enum sp_token_key_type type;
    const EVP_MD *(*md)(void); /* NULL: the algorithm has its own */
    bool pss;
    size_t half; /* ECDSA: octets of r and of s; 0 otherwise */
};
const struct sp_token_alg *sp_token_alg_at(unsigned bit);

struct sp_token_key {
    EVP_PKEY *pkey;
    enum sp_token_key_type type;
    int alg;   /* bit of the only algorithm it is for; -1: any of its type */
    char *kid; /* NULL: it has no name and goes with any */
};
struct sp_token_keys {
    struct sp_token_key key[SP_TOKEN_KEYS_MAX];
    size_t n;
};

/* base64url (RFC 7515 2) into out: octets, or -SP_EINPUT / -SP_ELIMIT. */
int sp_token_base64(struct sp_str in, void *out, size_t cap);

/* An object, or NULL with why in reason. */
json_t *sp_token_json(struct sp_str text, char reason[200], const char *what);
struct sp_str sp_token_string(const json_t *obj,
                              const char *name); /* p NULL: no string */

enum sp_token_verdict sp_token_bad(struct sp_token_claims *c, const char *fmt, ...)
    SP_PRINTF(2, 3);
/* issuer to scope and the user; both kinds of token end here. */
enum sp_token_verdict sp_token_judge(const struct sp_token_rules *r,
                                     const json_t *claims, bool jwt, int64_t now_s,
                                     struct sp_token_claims *ret);

#endif
