/* tcert.c - see tcert.h. */
#include "tcert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x)                                                                        \
    do {                                                                               \
        if (!(x)) {                                                                    \
            fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #x);             \
            abort();                                                                   \
        }                                                                              \
    } while (0)

static char *bio_text(BIO *b)
{
    char *p, *s;
    long n = BIO_get_mem_data(b, &p);

    s = malloc((size_t)n + 1);
    MUST(s);
    memcpy(s, p, (size_t)n);
    s[n] = 0;
    BIO_free(b);
    return s;
}

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    MUST(e);
    MUST(X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

static void add_nul_email(X509 *x, const char *text)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();
    char *copy = strdup(text), *hash = strchr(copy, '#');
    size_t n = strlen(copy);

    if (hash)
        *hash = 0;
    MUST(all && g && s && ASN1_STRING_set(s, copy, (int)n));
    GENERAL_NAME_set0_value(g, GEN_EMAIL, s);
    MUST(sk_GENERAL_NAME_push(all, g));
    MUST(X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1);
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    free(copy);
}

static void add_exts(X509 *x, X509 *by, const struct tcert_spec *s)
{
    add_ext(x, by, NID_basic_constraints, s->ca ? "critical,CA:TRUE" : "CA:FALSE");
    add_ext(x, by, NID_key_usage,
            s->ca ? "critical,keyCertSign,cRLSign" : "digitalSignature,keyAgreement");
    add_ext(x, by, NID_subject_key_identifier, "hash");
    if (s->eku)
        add_ext(x, by, NID_ext_key_usage, s->eku);
    if (s->san)
        add_ext(x, by, NID_subject_alt_name, s->san);
    if (s->nul_email)
        add_nul_email(x, s->nul_email);
}

struct tcert *tcert_make(const struct tcert_spec *s, const struct tcert *issuer)
{
    struct tcert *c = calloc(1, sizeof *c);
    int from = s->from_day, to = s->to_day;
    X509_NAME *name;
    uint64_t serial;
    BIO *b;

    MUST(c);
    if (!from && !to)
        from = -1, to = 30;
    c->owns_key = !s->key;
    c->key = s->key ? s->key : s->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    c->x = X509_new();
    MUST(c->key && c->x && X509_set_version(c->x, 2));
    MUST(RAND_bytes((unsigned char *)&serial, sizeof serial) == 1);
    MUST(ASN1_INTEGER_set_uint64(X509_get_serialNumber(c->x), serial >> 1));
    MUST(X509_gmtime_adj(X509_getm_notBefore(c->x), from * 86400L));
    MUST(X509_gmtime_adj(X509_getm_notAfter(c->x), to * 86400L));
    MUST(X509_set_pubkey(c->x, c->key));
    name = X509_get_subject_name(c->x);
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    (const unsigned char *)s->cn, -1, -1, 0));
    MUST(X509_set_issuer_name(c->x, issuer ? X509_get_subject_name(issuer->x) : name));
    add_exts(c->x, issuer ? issuer->x : c->x, s);
    MUST(X509_sign(c->x, issuer ? issuer->key : c->key, EVP_sha256()));
    b = BIO_new(BIO_s_mem());
    MUST(b && PEM_write_bio_X509(b, c->x));
    c->cert_pem = bio_text(b);
    b = BIO_new(BIO_s_mem());
    MUST(b && PEM_write_bio_PKCS8PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL));
    c->key_pem = bio_text(b);
    return c;
}

void tcert_free(struct tcert *c)
{
    if (!c)
        return;
    X509_free(c->x);
    if (c->owns_key)
        EVP_PKEY_free(c->key);
    free(c->cert_pem);
    free(c->key_pem);
    free(c);
}

char *tcert_crl(const struct tcert *ca, const struct tcert *const *revoked, int n,
                int from_day, int to_day)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *t = ASN1_TIME_new();
    BIO *b = BIO_new(BIO_s_mem());

    MUST(crl && t && b && X509_CRL_set_version(crl, 1));
    MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x)));
    MUST(X509_gmtime_adj(t, from_day * 86400L));
    MUST(X509_CRL_set1_lastUpdate(crl, t));
    for (int i = 0; i < n; i++) {
        X509_REVOKED *r = X509_REVOKED_new();

        MUST(r &&
             X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked[i]->x)));
        MUST(X509_REVOKED_set_revocationDate(r, t) && X509_CRL_add0_revoked(crl, r));
    }
    MUST(X509_gmtime_adj(t, to_day * 86400L));
    MUST(X509_CRL_set1_nextUpdate(crl, t));
    MUST(X509_CRL_sort(crl) && X509_CRL_sign(crl, ca->key, EVP_sha256()));
    MUST(PEM_write_bio_X509_CRL(b, crl));
    ASN1_TIME_free(t);
    X509_CRL_free(crl);
    return bio_text(b);
}

char *tcert_p12(const struct tcert *c, const struct tcert *ca, const char *phrase,
                size_t *n)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    unsigned char *der = NULL;
    PKCS12 *p12;
    char *out;
    int len;

    MUST(chain && sk_X509_push(chain, ca->x));
    p12 = PKCS12_create(phrase, "test", c->key, c->x, chain, 0, 0, 0, 0, 0);
    MUST(p12);
    len = i2d_PKCS12(p12, &der);
    MUST(len > 0);
    out = malloc((size_t)len);
    MUST(out);
    memcpy(out, der, (size_t)len);
    *n = (size_t)len;
    OPENSSL_free(der);
    PKCS12_free(p12);
    sk_X509_free(chain);
    return out;
}

char *tcert_key_encrypted(const struct tcert *c, const char *phrase)
{
    BIO *b = BIO_new(BIO_s_mem());

    MUST(b && PEM_write_bio_PKCS8PrivateKey(b, c->key, EVP_aes_256_cbc(), phrase,
                                            (int)strlen(phrase), NULL, NULL));
    return bio_text(b);
}
