/*
 * token.h - is this OAuth 2.0 access token good, and whose is it?
 *
 * A token that is a JWT (RFC 7519, judged as RFC 8725 asks), by configured public keys:
 *
 *     sp_token_keys_parse(file, &keys, &err);               PEM, or a JWKS
 *     sp_token_jwt(keys, &rules, token, now_s, &claims);    SP_TOKEN_GOOD: claims.user
 *     sp_token_keys_free(keys);
 *
 * Any token, by what an introspection endpoint (RFC 7662) said about it:
 *
 *     sp_token_introspected(&rules, json, now_s, &claims);
 *
 * Pure functions: no file, no network, no clock.  What is checked, and nothing less: one
 * row of SP_TOKEN_RULES each (token_i.h).  A key is chosen from the configured ones
 * only; `jku`, `jwk`, `x5u` and `x5c` of a token are never looked at, and `kid` is only
 * compared.  Signatures are checked by EVP; an algorithm is bound to its type of key, so
 * that a public key is never the secret of an HMAC.
 *
 * claims.reason is for the log: it never holds the token.  The caller maps claims.user
 * to an account (login.h) and must not believe it unless SP_TOKEN_GOOD was returned.
 */
#ifndef SP_TOKEN_H
#define SP_TOKEN_H

#include <sallyport/types.h>

enum {
    SP_TOKEN_MAX = 12288,        /* octets of a token */
    SP_TOKEN_KEYS_MAX = 64,      /* keys of one file */
    SP_TOKEN_ANSWER_MAX = 65536, /* octets of an introspection response */
    SP_TOKEN_USER_MAX = 320,
};

enum sp_token_verdict {
    SP_TOKEN_GOOD,
    SP_TOKEN_BAD,       /* 535 */
    SP_TOKEN_TEMPORARY, /* 454: the answer tells nothing about the token, or no memory */
};

struct sp_token_names {
    const char *const *v;
    size_t n;
};

/* What a token must be.  Borrowed. */
struct sp_token_rules {
    const char *issuer; /* `iss`, octet for octet; NULL: not asked (introspection) */
    struct sp_token_names audience; /* `aud` must have one of them; none: not asked */
    struct sp_token_names scope;    /* all of them */
    const char *user_claim;         /* "email", "sub" ... */
    uint32_t algorithms;            /* bits by sp_token_algorithm() */
    uint32_t leeway_s;              /* for exp and nbf */
};

struct sp_token_claims {
    char user[SP_TOKEN_USER_MAX + 1]; /* the claim's value; "" unless GOOD */
    int64_t expires_s;                /* `exp`; 0: the endpoint named none */
    char reason[200];                 /* why not */
};

struct sp_token_keys;

/* Public keys from PEM (keys or certificates) or a JWKS (RFC 7517).  -SP_EINPUT with
 * words: no usable key in it, a private key, RSA of less than 2048 bits ...  In a JWKS,
 * keys of unknown types and those not for signatures are passed over. */
int sp_token_keys_parse(struct sp_str file, struct sp_token_keys **ret_keys,
                        struct sp_err *err);
void sp_token_keys_free(struct sp_token_keys *k); /* NULL is fine */
size_t sp_token_keys_count(const struct sp_token_keys *k);

/* The bit number of "RS256" ...; negative: none that we do (HS256 and "none" are not). */
int sp_token_algorithm(struct sp_str name);
const char *sp_token_algorithm_name(unsigned bit); /* NULL behind the last */

/* Has it the form of a JWT?  *ret_issuer gets what it says of itself, unproved: only for
 * choosing whose rules to apply.  "" when it says nothing. */
bool sp_token_is_jwt(struct sp_str token, char *ret_issuer, size_t cap);

enum sp_token_verdict sp_token_jwt(const struct sp_token_keys *keys,
                                   const struct sp_token_rules *r, struct sp_str token,
                                   int64_t now_s, struct sp_token_claims *ret);
enum sp_token_verdict sp_token_introspected(const struct sp_token_rules *r,
                                            struct sp_str json, int64_t now_s,
                                            struct sp_token_claims *ret);

#endif
