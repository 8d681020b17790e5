/*
 * tcert.h - certificates made on the fly, for tests.
 *
 *     struct tcert *ca = tcert_make(&(struct tcert_spec){.cn = "Test CA", .ca = true}, NULL);
 *     struct tcert *srv = tcert_make(&(struct tcert_spec){.cn = "server",
 *                             .san = "DNS:localhost,IP:127.0.0.1"}, ca);
 *     srv->cert_pem, srv->key_pem                    NUL-terminated PEM
 *     crl = tcert_crl(ca, &revoked, 1, -1, 30);      PEM, free() it
 *     tcert_free(srv);
 *
 * ECDSA P-256 unless told otherwise; valid from yesterday to in 30 days unless told
 * otherwise.  Anything that goes wrong aborts: a test cannot go on without.
 */
#ifndef SP_TCERT_H
#define SP_TCERT_H

#include <openssl/x509.h>
#include <stdbool.h>

struct tcert {
    X509 *x;
    EVP_PKEY *key;
    char *cert_pem, *key_pem; /* cert_pem holds this certificate only */
    bool owns_key;
};

struct tcert_spec {
    const char *cn;
    const char *san;      /* as in openssl.cnf: "DNS:a,email:b@c,IP:127.0.0.1" */
    const char *eku;      /* "clientAuth", "serverAuth", ...; NULL: none */
    int from_day, to_day; /* from today; both 0: -1 and 30 */
    bool ca;
    bool rsa;
    const char *nul_email; /* rfc822Name with a NUL put in place of its first '#' */
    EVP_PKEY *key;         /* use this key instead of a new one (borrowed) */
};

struct tcert *tcert_make(const struct tcert_spec *s, const struct tcert *issuer);
void tcert_free(struct tcert *c);
/* A revocation list of `ca` over n certificates. */
char *tcert_crl(const struct tcert *ca, const struct tcert *const *revoked, int n,
                int from_day, int to_day);
/* PKCS#12 of c and ca; free() it. */
char *tcert_p12(const struct tcert *c, const struct tcert *ca, const char *phrase,
                size_t *n);
/* c's key as PEM, encrypted with phrase; free() it. */
char *tcert_key_encrypted(const struct tcert *c, const char *phrase);

#endif
