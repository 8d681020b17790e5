/*
 * tpki.h - a small public key infrastructure, made once a test program, and contexts of
 * it.
 *
 *     struct tpki *p = tpki_get();
 *     srv = server_ctx(p->server, (struct sp_tls_server_opts){.ask_client = true});
 *     cli = client_ctx(p->alice, (struct sp_tls_client_opts){.must_verify = true});
 *     tpki_free();
 *
 * server: for localhost, 127.0.0.1 and ::1.  alice, revoked, any: good client
 * certificates but for the list `crl`, which has `revoked`.  crl_stale is out of date.
 */
#ifndef SP_TPKI_H
#define SP_TPKI_H

#include "tcert.h"
#include "tlsctx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tpki {
    struct tcert *ca, *ca2, *server, *server2, *wild, *server_rsa, *expired_server;
    struct tcert *alice, *expired, *future, *revoked, *foreign, *no_client, *nul, *any;
    char *crl, *crl_stale;
};

static inline struct tpki *tpki_get(void)
{
    static struct tpki p;

    if (p.ca)
        return &p;
#define MAKE(by, ...) tcert_make(&(struct tcert_spec){__VA_ARGS__}, by)
    p.ca = MAKE(NULL, .cn = "Test CA", .ca = true);
    p.ca2 = MAKE(NULL, .cn = "Foreign CA", .ca = true);
    p.server = MAKE(p.ca, .cn = "not-a-name",
                    .san = "DNS:localhost,IP:127.0.0.1,IP:::1", .eku = "serverAuth");
    p.server2 = MAKE(p.ca, .cn = "two", .san = "DNS:mail.example.org");
    p.wild = MAKE(p.ca, .cn = "wild", .san = "DNS:*.example.org");
    p.server_rsa = MAKE(p.ca, .cn = "rsa", .san = "DNS:localhost,IP:127.0.0.1,IP:::1",
                        .rsa = true);
    p.expired_server =
        MAKE(p.ca, .cn = "old", .san = "DNS:localhost", .from_day = -20, .to_day = -10);
    p.alice = MAKE(p.ca, .cn = "alice", .san = "email:alice@example.org",
                   .eku = "clientAuth");
    p.expired = MAKE(p.ca, .cn = "alice", .from_day = -20, .to_day = -10);
    p.future = MAKE(p.ca, .cn = "alice", .from_day = 10, .to_day = 20);
    p.revoked = MAKE(p.ca, .cn = "mallory", .san = "email:mallory@example.org");
    p.foreign = MAKE(p.ca2, .cn = "alice", .san = "email:alice@example.org");
    p.no_client = MAKE(p.ca, .cn = "web", .eku = "serverAuth");
    p.nul = MAKE(p.ca, .cn = "nul", .nul_email = "alice@example.org#.evil.example");
    p.any = MAKE(p.ca, .cn = "any");
#undef MAKE
    p.crl = tcert_crl(p.ca, (const struct tcert *const *)&p.revoked, 1, -1, 20);
    p.crl_stale = tcert_crl(p.ca, (const struct tcert *const *)&p.revoked, 1, -20, -2);
    return &p;
}

static inline void tpki_free(void)
{
    struct tpki *p = tpki_get();
    struct tcert **c = &p->ca;

    for (size_t i = 0; i < 15; i++)
        tcert_free(c[i]);
    free(p->crl);
    free(p->crl_stale);
    memset(p, 0, sizeof *p);
}

static inline struct sp_pem pem(const char *text, const char *name)
{
    return (struct sp_pem){{text, text ? strlen(text) : 0}, name};
}

/* A server context around one certificate; o may add to it. */
static inline struct sp_tls_ctx *server_ctx(struct tcert *c,
                                            struct sp_tls_server_opts o)
{
    struct sp_tls_pair pair = {pem(c->cert_pem, "s.pem"), pem(c->key_pem, "s.key")};
    struct sp_tls_ctx *ctx = NULL;
    struct sp_err err = {0};

    o.pairs = &pair;
    o.n_pairs = 1;
    if (sp_tls_server(&o, &ctx, &err) < 0)
        printf("server context: %s\n", err.text);
    return ctx;
}

/* A client context that trusts the test CA. */
static inline struct sp_tls_ctx *client_ctx(struct tcert *own,
                                            struct sp_tls_client_opts o)
{
    struct sp_tls_ctx *ctx = NULL;
    struct sp_err err = {0};

    if (!o.ca.pem.n)
        o.ca = pem(tpki_get()->ca->cert_pem, "ca.pem");
    if (own) {
        o.cert = pem(own->cert_pem, "c.pem");
        o.key = pem(own->key_pem, "c.key");
    }
    if (sp_tls_client(&o, &ctx, &err) < 0)
        printf("client context: %s\n", err.text);
    return ctx;
}

#endif
