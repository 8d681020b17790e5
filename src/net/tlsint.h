/*
 * tlsint.h - TLS insides for conn.c and the tls*.c files.  Nobody else includes it.
 */
#ifndef SP_TLSINT_H
#define SP_TLSINT_H

#include "tlsctx.h"

#include <openssl/ssl.h>

/* A certificate with the names it is good for. */
struct tls_site {
    SSL_CTX *ctx;
    char **names; /* dNSNames, lower case */
    size_t n_names;
    int64_t until; /* first notAfter among its certificates */
    char *name;    /* the file, for messages */
    struct tls_staple *staple; /* one for each of its certificates that has one */
};

struct sp_tls_ctx {
    unsigned refs;
    bool client;
    uint64_t serial; /* tells contexts apart even when memory is reused */
    char trouble[200]; /* server: a staple that was left out, in words */
    /* server */
    struct tls_site *sites;
    size_t n_sites;
    X509_STORE *roots; /* NULL: no client CA */
    bool use_crl;
    /* client */
    SSL_CTX *cctx;
    bool must_verify, has_cert, has_pin;
    uint8_t pin[32];
    struct sp_tls_dane *dane; /* and their data, in one piece of memory */
    size_t n_dane;
};

/* One side of one session. */
struct sp_tls {
    SSL *ssl;
    struct sp_tls_ctx *ctx; /* a reference */
    bool plain;             /* the peer spoke plain text */
    bool ended_by_peer;     /* its alert or FIN ended the handshake */
    /* client */
    bool verified, cert_asked, cert_sent;
    bool refused; /* we refused its certificate; OpenSSL then forgets it */
    uint8_t refused_sha256[32], refused_spki[32];
    char *host, *why_not;
    bool staple_expired; /* server */
    /* server: the last verdict, so that judging at every MAIL costs nothing */
    struct sp_tls_verdict *verdict;
    uint64_t verdict_serial;
    int64_t verdict_at;
};

/* host: the client's name for the server, NULL on the server side.  Takes a reference
 * of ctx; owns bio from then on, also when it fails. */
struct sp_tls *sp_tls_open(struct sp_tls_ctx *ctx, BIO *bio, const char *host,
                           struct sp_err *err);
void sp_tls_close(struct sp_tls *t);
void sp_tls_facts_of(struct sp_tls *t, int64_t now, struct sp_tls_facts *ret);
void sp_tls_judge(struct sp_tls *t, const struct sp_tls_ctx *ctx, int64_t now,
                  struct sp_tls_verdict *ret);
int sp_tls_binding_of(struct sp_tls *t, enum sp_binding kind, uint8_t *out, size_t cap);

/* Why an SSL_* call failed, from OpenSSL's error queue, in plain words. `up`: the
 * handshake was over.  Returns -SP_ETLS. */
int sp_tls_failure(struct sp_tls *t, int ssl_error, bool up, bool *refused_us,
                   struct sp_err *err);

bool sp_tls_is_client(const struct sp_tls_ctx *ctx);

/* Callbacks of client contexts. */
int sp_tls_verify_server(X509_STORE_CTX *s, void *arg);
int sp_tls_on_asked(SSL *ssl, void *arg);

bool sp_tls_spki_sha256(X509 *x, uint8_t out[32]);

/* tlsstaple.c.  Reads the response about certs[0] (issuer among the others) and appends it;
 * NULL in *list before the first.  Not 0: it is of no use, *err says why. */
int sp_tls_staple_read(struct tls_staple **list, const struct sp_pem *der,
                       STACK_OF(X509) * certs, struct sp_err *err);
void sp_tls_staple_on(SSL_CTX *ctx, struct tls_staple *list);
void sp_tls_staple_free(struct tls_staple *list);
/* "OCSP response FILE ended 2026-01-02"; false: nothing to say. */
bool sp_tls_staple_warning(const struct tls_staple *list, int64_t now, char *text,
                           size_t cap);

/* tlsjudge.c */
void sp_tls_judge_x509(const struct sp_tls_ctx *ctx, X509 *leaf, STACK_OF(X509) * chain,
                       int64_t now, struct sp_tls_verdict *ret);
/* Appends "YYYY-MM-DD"; `t` may be malformed. */
void sp_tls_date(const ASN1_TIME *t, char out[16]);
int64_t sp_tls_seconds(const ASN1_TIME *t);
bool sp_tls_nul_in_names(X509 *x);
/* OpenSSL's code of a failed verification of `x` (may be NULL), in words. */
void sp_tls_verify_words(int code, X509 *x, const char *whose_roots, char *out,
                         size_t cap);

#endif
