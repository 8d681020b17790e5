/* token_key.c - see token.h: public keys from PEM and from a JWKS. */
#include "token_i.h"

#include "alloc.h"
#include "err.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, MEMBER_MAX = 2048 };

void sp_token_keys_free(struct sp_token_keys *k)
{
    for (size_t i = 0; k && i < k->n; i++) {
        EVP_PKEY_free(k->key[i].pkey);
        sp_free(k->key[i].kid);
    }
    sp_free(k);
}

size_t sp_token_keys_count(const struct sp_token_keys *k)
{
    return k->n;
}

static int bad(struct sp_err *err, const char *what)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s", what);
}

/* ---- what kind of key is it? ---- */

static int type_of(EVP_PKEY *k, enum sp_token_key_type *ret, struct sp_err *err)
{
    static const struct {
        const char *group;
        enum sp_token_key_type type;
    } curves[] = {
        {"prime256v1", SP_TK_P256},
        {"secp384r1", SP_TK_P384},
        {"secp521r1", SP_TK_P521},
    };
    char group[64] = "";
    int bits = EVP_PKEY_get_bits(k);

    if (EVP_PKEY_is_a(k, "RSA") || EVP_PKEY_is_a(k, "RSA-PSS")) {
        *ret = SP_TK_RSA;
        /* RFC 7518 3.3; very long ones cost too much for each login */
        return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX
                   ? 0
                   : bad(err, "an RSA key has fewer than 2048 or more than 8192 bits");
    }
    if (EVP_PKEY_is_a(k, "ED25519") || EVP_PKEY_is_a(k, "ED448")) {
        *ret = SP_TK_ED;
        return 0;
    }
    if (EVP_PKEY_is_a(k, "EC") &&
        EVP_PKEY_get_group_name(k, group, sizeof group, NULL) == 1)
        for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
            if (strcmp(group, curves[i].group) == 0) {
                *ret = curves[i].type;
                return 0;
            }
    return bad(err, "a key is neither RSA, nor EC (P-256, P-384, P-521), nor Ed25519");
}

/* Takes pkey. */
static int add(struct sp_token_keys *k, EVP_PKEY *pkey, int alg, const char *kid,
               struct sp_err *err)
{
    struct sp_token_key *new = &k->key[k->n];
    int rc = k->n < SP_TOKEN_KEYS_MAX ? type_of(pkey, &new->type, err)
                                      : bad(err, "there are more than 64 keys");

    if (rc == 0) {
        new->kid = kid ? sp_strdup(kid) : NULL;
        if (kid && !new->kid)
            rc = sp_err_nomem(err);
    }
    if (rc < 0) {
        EVP_PKEY_free(pkey);
        return rc;
    }
    new->pkey = pkey;
    new->alg = alg;
    k->n++;
    return 0;
}

/* ---- PEM ---- */

static EVP_PKEY *pem_key(const char *name, const uint8_t *der, long n)
{
    const uint8_t *p = der;
    EVP_PKEY *k = NULL;
    X509 *x;

    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        return d2i_PUBKEY(NULL, &p, n);
    if (strcmp(name, PEM_STRING_X509) != 0)
        return NULL;
    x = d2i_X509(NULL, &p, n);
    k = x ? X509_get_pubkey(x) : NULL;
    X509_free(x);
    return k;
}

static int parse_pem(struct sp_token_keys *k, struct sp_str file, struct sp_err *err)
{
    BIO *b = BIO_new_mem_buf(file.p, (int)file.n);
    char *name = NULL, *header = NULL;
    uint8_t *der = NULL;
    long n;
    int rc = b ? 0 : sp_err_nomem(err);

    while (rc == 0 && PEM_read_bio(b, &name, &header, &der, &n) == 1) {
        if (strstr(name, "PRIVATE KEY")) {
            rc = bad(err, "it holds a private key; only the public one belongs here");
        } else {
            EVP_PKEY *pkey = pem_key(name, der, n);

            rc = pkey ? add(k, pkey, -1, NULL, err)
                      : bad(err,
                            "a PEM block is neither a public key nor a certificate");
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)n);
    }
    BIO_free(b);
    ERR_clear_error();
    return rc;
}

/* ---- JWKS ---- */

/* A base64url member as octets: how many, 0 when it is not there or too long. */
static size_t member(const json_t *j, const char *name, uint8_t out[MEMBER_MAX])
{
    struct sp_str s = sp_token_string(j, name);
    int n = s.p ? sp_token_base64(s, out, MEMBER_MAX) : 0;

    return n > 0 ? (size_t)n : 0;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *k = NULL;

    if (!params || !c || EVP_PKEY_fromdata_init(c) != 1 ||
        EVP_PKEY_fromdata(c, &k, EVP_PKEY_PUBLIC_KEY, params) != 1)
        k = NULL;
    EVP_PKEY_CTX_free(c);
    OSSL_PARAM_free(params);
    return k;
}

static EVP_PKEY *jwk_rsa(const json_t *j)
{
    uint8_t n[MEMBER_MAX], e[MEMBER_MAX];
    size_t nn = member(j, "n", n), ne = member(j, "e", e);
    OSSL_PARAM_BLD *bld = nn && ne ? OSSL_PARAM_BLD_new() : NULL;
    BIGNUM *bn = bld ? BN_bin2bn(n, (int)nn, NULL) : NULL;
    BIGNUM *be = bld ? BN_bin2bn(e, (int)ne, NULL) : NULL;
    EVP_PKEY *k = NULL;

    if (bn && be && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be) == 1)
        k = from_params("RSA", bld);
    BN_free(bn);
    BN_free(be);
    OSSL_PARAM_BLD_free(bld);
    return k;
}

/* from_data also checks that the point lies on the curve. */
static EVP_PKEY *jwk_ec(const json_t *j)
{
    static const struct {
        const char *crv, *group;
        size_t n;
    } curves[] = {{"P-256", "prime256v1", 32},
                  {"P-384", "secp384r1", 48},
                  {"P-521", "secp521r1", 66}};
    uint8_t x[MEMBER_MAX], y[MEMBER_MAX], point[1 + 2 * 66];
    struct sp_str crv = sp_token_string(j, "crv");
    size_t nx = member(j, "x", x), ny = member(j, "y", y), i = 0;
    OSSL_PARAM_BLD *bld;
    EVP_PKEY *k = NULL;

    while (i < 3 && !sp_str_is(crv, curves[i].crv))
        i++;
    /* RFC 7518 6.2.1.2: the full length, zeros in front included */
    if (i == 3 || nx != curves[i].n || ny != curves[i].n)
        return NULL;
    point[0] = 4;
    memcpy(point + 1, x, nx);
    memcpy(point + 1 + nx, y, ny);
    bld = OSSL_PARAM_BLD_new();
    if (bld &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                        curves[i].group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         1 + nx + ny) == 1)
        k = from_params("EC", bld);
    OSSL_PARAM_BLD_free(bld);
    return k;
}

static EVP_PKEY *jwk_okp(const json_t *j)
{
    uint8_t x[MEMBER_MAX];
    size_t n = member(j, "x", x);

    if (sp_str_is(sp_token_string(j, "crv"), "Ed25519"))
        return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, n);
    if (sp_str_is(sp_token_string(j, "crv"), "Ed448"))
        return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED448, NULL, x, n);
    return NULL;
}

/* RFC 7517 4.2, 4.3: is it meant for signatures that others check? */
static bool for_verifying(const json_t *j)
{
    const json_t *ops = json_object_get(j, "key_ops"), *v;
    size_t i;

    if (json_object_get(j, "use") && !sp_str_is(sp_token_string(j, "use"), "sig"))
        return false;
    if (!ops)
        return true;
    json_array_foreach(ops, i,
                       v) if (json_is_string(v) &&
                              strcmp(json_string_value(v), "verify") == 0) return true;
    return false;
}

static int add_jwk(struct sp_token_keys *k, const json_t *j, struct sp_err *err)
{
    static const struct {
        const char *kty;
        EVP_PKEY *(*make)(const json_t *j);
    } types[] = {{"RSA", jwk_rsa}, {"EC", jwk_ec}, {"OKP", jwk_okp}};
    struct sp_str kty = sp_token_string(j, "kty"), alg = sp_token_string(j, "alg");
    int only = alg.p ? sp_token_algorithm(alg) : -1;
    EVP_PKEY *pkey = NULL;
    size_t i = 0;

    while (i < 3 && !sp_str_is(kty, types[i].kty))
        i++;
    /* RFC 7517 5: what we do not know is passed over; `oct` is a secret, never a key */
    if (i == 3 || !for_verifying(j) || (alg.p && only < 0))
        return 0;
    if (json_object_get(j, "d"))
        return bad(err, "it holds a private key; only the public one belongs here");
    pkey = types[i].make(j);
    if (!pkey) {
        ERR_clear_error();
        return 0; /* a curve that we do not do */
    }
    return add(k, pkey, only, json_string_value(json_object_get(j, "kid")), err);
}

static int parse_jwks(struct sp_token_keys *k, struct sp_str file, struct sp_err *err)
{
    char reason[200] = "";
    json_t *j = sp_token_json(file, reason, "it"), *list, *v;
    size_t i;
    int rc = 0;

    if (!j)
        return bad(err, reason);
    list = json_object_get(j, "keys");
    if (!list && json_object_get(j, "kty")) /* one key by itself */
        rc = add_jwk(k, j, err);
    json_array_foreach(list, i, v) if (rc == 0) rc = add_jwk(k, v, err);
    json_decref(j);
    return rc;
}

int sp_token_keys_parse(struct sp_str file, struct sp_token_keys **ret_keys,
                        struct sp_err *err)
{
    struct sp_token_keys *k = sp_alloc(sizeof *k);
    struct sp_str rest = file;
    int rc;

    if (!k)
        return sp_err_nomem(err);
    while (rest.n &&
           (*rest.p == ' ' || *rest.p == '\n' || *rest.p == '\r' || *rest.p == '\t'))
        rest = (struct sp_str){rest.p + 1, rest.n - 1};
    if (rest.n > (4u << 20))
        rc = bad(err, "it is too large");
    else if (rest.n && *rest.p == '{')
        rc = parse_jwks(k, rest, err);
    else
        rc = parse_pem(k, rest, err);
    if (rc == 0 && k->n == 0)
        rc = bad(err, "there is no public key in it, neither as PEM nor as a JWKS");
    if (rc < 0) {
        sp_token_keys_free(k);
        return rc;
    }
    *ret_keys = k;
    return 0;
}
