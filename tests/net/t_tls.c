/* t_tls.c - tests of tlsctx.h: who is let in, who is believed, and what is said. */
#include "dial.h"
#include "err.h"
#include "listen.h"
#include "text.h"
#include "tnet.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <time.h>

#define DAY 86400

/* Runs one handshake; the contexts are given up. */
static void shake(struct tnet *n, struct sp_tls_ctx *srv, struct sp_tls_ctx *cli,
                  const char *host)
{
    struct sp_err err;

    tnet_open(n);
    CHECK_INT(sp_conn_start_tls(n->a.c, srv, NULL, &err), 0);
    CHECK_INT(sp_conn_start_tls(n->b.c, cli, host, &err), 0);
    sp_tls_unref(srv); /* sessions keep theirs */
    sp_tls_unref(cli);
    tnet_run(n, (n->a.up || n->a.failed) && (n->b.up || n->b.failed));
}

static struct sp_tls_server_opts asking(bool crl)
{
    struct tpki *p = tpki_get();
    struct sp_tls_server_opts o = {.ask_client = true, .use_crl = crl};

    o.client_ca = pem(p->ca->cert_pem, "ca.pem");
    if (crl)
        o.crl = pem(p->crl, "ca.crl");
    return o;
}

static struct sp_tls_ctx *any_client(struct tcert *own, bool tls12)
{
    return client_ctx(
        own, (struct sp_tls_client_opts){.must_verify = 1, .tls12_at_most = tls12});
}

/* ---- client certificates ---- */

struct case_cert {
    const char *what;
    size_t at; /* offset of the certificate in struct tpki; 0: none */
    bool crl, chain, dates, names;
    const char *why; /* NULL: verified; %s is a date */
};

#define CERT(name) offsetof(struct tpki, name)
/* clang-format off */
static const struct case_cert cases[] = {
    {"good",                   CERT(alice),     false, true,  true,  true,  NULL},
    {"good, not revoked",      CERT(alice),     true,  true,  true,  true,  NULL},
    {"no extended key usage",  CERT(any),       true,  true,  true,  true,  NULL},
    {"none",                   0,               true,  false, false, false, "no certificate"},
    {"foreign CA",             CERT(foreign),   true,  false, true,  true,  "issuer not known to this listener"},
    {"self-signed",            CERT(ca2),       false, false, true,  true,  "not known to this listener"},
    {"expired",                CERT(expired),   true,  true,  false, true,  "certificate expired 2"},
    {"not yet valid",          CERT(future),    true,  true,  false, true,  "certificate not valid before 2"},
    {"revoked",                CERT(revoked),   true,  false, true,  true,  "revoked"},
    {"revoked, no CRL in use", CERT(revoked),   false, true,  true,  true,  NULL},
    {"only for servers",       CERT(no_client), true,  false, true,  true,  "not for client authentication"},
    {"NUL in a name",          CERT(nul),       true,  true,  true,  false, "a name in the certificate contains a NUL octet"},
};
/* clang-format on */

static void one_certificate(const struct case_cert *k, bool tls12)
{
    struct tpki *p = tpki_get();
    struct tcert *own = k->at ? *(struct tcert **)(void *)((char *)p + k->at) : NULL;
    struct sp_tls_facts f;
    const char *why = NULL;
    struct tnet n;
    bool ok;

    shake(&n, server_ctx(p->server, asking(k->crl)), any_client(own, tls12),
          "localhost");
    CHECK(n.a.up && n.b.up);
    CHECK_INT(sp_conn_write(n.b.c, "x", 1), 0); /* not refused later either */
    tnet_run(&n, n.a.got.n == 1);
    CHECK(sp_conn_facts(n.a.c, &f));
    CHECK_STR(f.version, tls12 ? "TLSv1.2" : "TLSv1.3");
    CHECK_INT(f.peer_cert, own != NULL);
    CHECK_INT(f.verdict.present, own != NULL);
    CHECK_INT(f.verdict.chain_ok, k->chain);
    CHECK_INT(f.verdict.dates_ok, k->dates);
    CHECK_INT(f.verdict.names_ok, k->names);
    ok = sp_tls_verified(&f.verdict, false, &why);
    CHECK_INT(ok, k->why == NULL);
    if (k->why && (!why || !strstr(why, k->why)))
        CHECK_STR(why, k->why);
    /* A pinned key replaces the chain, never dates or names. */
    CHECK_INT(sp_tls_verified(&f.verdict, true, NULL), k->dates && k->names);
    CHECK(sp_conn_facts(n.b.c, &f));
    CHECK(f.verified && f.cert_asked);
    CHECK_INT(f.cert_sent, own != NULL);
    if (t_bad)
        printf("  in case \"%s\", %s\n", k->what, tls12 ? "TLS 1.2" : "TLS 1.3");
    tnet_shut(&n);
}

TEST("no client certificate breaks the handshake, each is named right (TLS 1.3)")
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        one_certificate(&cases[i], false);
}

TEST("no client certificate breaks the handshake, each is named right (TLS 1.2)")
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        one_certificate(&cases[i], true);
}

TEST("a listener without a client CA knows no issuer, not even the system's")
{
    struct tpki *p = tpki_get();
    struct sp_tls_facts f;
    struct tnet n;

    shake(&n, server_ctx(p->server, (struct sp_tls_server_opts){.ask_client = true}),
          any_client(p->alice, false), "localhost");
    CHECK(sp_conn_facts(n.a.c, &f));
    CHECK(f.verdict.present && !f.verdict.chain_ok && f.verdict.dates_ok);
    CHECK_STR(f.verdict.chain_why, "issuer not known to this listener");
    tnet_shut(&n);
}

TEST("a certificate is judged again: later dates, a newer list, another CA")
{
    struct tpki *p = tpki_get();
    const struct tcert *both[] = {p->revoked, p->alice};
    char *crl = tcert_crl(p->ca, both, 2, -1, 20);
    struct sp_tls_server_opts o = asking(true), stale = asking(true),
                              none = asking(true);
    struct sp_tls_ctx *now_ctx, *newer, *older, *missing;
    int64_t now = time(NULL);
    struct sp_tls_verdict v;
    struct tnet n;

    now_ctx = server_ctx(p->server, o);
    o.crl = pem(crl, "new.crl");
    stale.crl = pem(p->crl_stale, "old.crl");
    none.crl = (struct sp_pem){{NULL, 0}, "none"};
    newer = server_ctx(p->server, o);
    older = server_ctx(p->server, stale);
    missing = server_ctx(p->server, none);
    shake(&n, sp_tls_ref(now_ctx), any_client(p->alice, false), "localhost");
    for (int twice = 0; twice < 2; twice++) { /* the second answer is remembered */
        sp_conn_judge(n.a.c, now_ctx, now, &v);
        CHECK(sp_tls_verified(&v, false, NULL));
        CHECK(v.until > now + 19 * DAY &&
              v.until < now + 21 * DAY); /* the list's end */
    }
    sp_conn_judge(n.a.c, newer, now, &v);
    CHECK(!v.chain_ok && v.dates_ok);
    CHECK_STR(v.chain_why, "revoked");
    sp_conn_judge(n.a.c, older, now, &v);
    CHECK(!v.chain_ok);
    CHECK(strstr(v.chain_why, "revocation list out of date since 20"));
    sp_conn_judge(n.a.c, missing, now, &v);
    CHECK(strstr(v.chain_why, "no revocation list"));
    sp_conn_judge(n.a.c, now_ctx, now + 25 * DAY, &v);
    CHECK(v.dates_ok && !v.chain_ok);
    sp_conn_judge(n.a.c, now_ctx, now + 60 * DAY, &v);
    CHECK(!v.dates_ok && strstr(v.dates_why, "certificate expired 20"));
    sp_conn_judge(n.a.c, now_ctx, now, &v);
    CHECK(sp_tls_verified(&v, false, NULL));
    sp_tls_unref(now_ctx);
    sp_tls_unref(newer);
    sp_tls_unref(older);
    sp_tls_unref(missing);
    free(crl);
    tnet_shut(&n);
}

TEST("a certificate of an intermediate CA: the chain is followed, its revocation too")
{
    struct tpki *p = tpki_get();
    struct tcert *mid =
        tcert_make(&(struct tcert_spec){.cn = "Middle CA", .ca = true}, p->ca);
    struct tcert *leaf = tcert_make(&(struct tcert_spec){.cn = "leaf"}, mid);
    const struct tcert *bad[] = {mid};
    char *root_crl = tcert_crl(p->ca, NULL, 0, -1, 20);
    char *root_bad = tcert_crl(p->ca, bad, 1, -1, 20);
    char *mid_crl = tcert_crl(mid, NULL, 0, -1, 20);
    struct sp_buf lists, leaf_der, mid_der;
    struct sp_tls_verdict v;
    int64_t now = time(NULL);
    unsigned char *der = NULL;
    int len;

    sp_buf_init(&lists, 65536);
    sp_buf_init(&leaf_der, 65536);
    sp_buf_init(&mid_der, 65536);
    len = i2d_X509(leaf->x, &der);
    sp_buf_put(&leaf_der, der, (size_t)len);
    OPENSSL_free(der);
    der = NULL;
    len = i2d_X509(mid->x, &der);
    sp_buf_put(&mid_der, der, (size_t)len);
    OPENSSL_free(der);
    for (int how = 0; how < 5; how++) {
        struct sp_tls_server_opts o = asking(how != 0);
        struct sp_tls_ctx *ctx;

        lists.n = 0;
        if (how != 3)
            sp_buf_puts(&lists, how == 2 ? root_bad : root_crl);
        if (how != 4)
            sp_buf_puts(&lists, mid_crl);
        sp_buf_puts(&lists, "\n");
        o.crl = (struct sp_pem){sp_buf_view(&lists), "lists"};
        ctx = server_ctx(p->server, o);
        sp_tls_judge_der(ctx, sp_buf_view(&leaf_der), sp_buf_view(&mid_der), now, &v);
        CHECK_INT(v.chain_ok, how < 2);
        CHECK(v.dates_ok);
        if (how == 2)
            CHECK_STR(v.chain_why, "issuer's revoked");
        if (how > 2)
            CHECK(strstr(v.chain_why, "no revocation list"));
        sp_tls_judge_der(ctx, sp_buf_view(&leaf_der), (struct sp_str){NULL, 0}, now,
                         &v);
        CHECK(!v.chain_ok);
        sp_tls_unref(ctx);
    }
    sp_buf_free(&lists);
    sp_buf_free(&leaf_der);
    sp_buf_free(&mid_der);
    free(root_crl);
    free(root_bad);
    free(mid_crl);
    tcert_free(leaf);
    tcert_free(mid);
}

TEST("octets that are no certificate are judged, not parsed to death")
{
    struct tpki *p = tpki_get();
    struct sp_tls_ctx *ctx = server_ctx(p->server, asking(false));
    struct sp_tls_verdict v;
    const char *why;

    sp_tls_judge_der(ctx, SP_LIT("\x30\x82\xff\xff garbage"), SP_LIT("\x30"), 0, &v);
    CHECK(!sp_tls_verified(&v, true, &why));
    CHECK_STR(why, "unreadable certificate");
    sp_tls_judge_der(ctx, (struct sp_str){NULL, 0}, (struct sp_str){NULL, 0}, 0, &v);
    CHECK(!sp_tls_verified(&v, true, &why));
    CHECK_STR(why, "no certificate");
    sp_tls_unref(ctx);
}

TEST("fingerprints and the certificate itself are handed out")
{
    struct tpki *p = tpki_get();
    uint8_t want[32];
    struct sp_tls_facts f;
    struct sp_buf der;
    struct tnet n;

    sp_buf_init(&der, 65536);
    shake(&n, server_ctx(p->server, asking(false)), any_client(p->alice, false),
          "localhost");
    CHECK(sp_conn_facts(n.a.c, &f));
    X509_digest(p->alice->x, EVP_sha256(), want, NULL);
    CHECK(memcmp(f.cert_sha256, want, 32) == 0);
    CHECK(memcmp(f.spki_sha256, want, 32) != 0);
    CHECK_INT(sp_conn_peer_der(n.a.c, &der), 0);
    EVP_Digest(der.p, der.n, f.spki_sha256, NULL, EVP_sha256(), NULL);
    CHECK(memcmp(f.spki_sha256, want, 32) == 0);
    CHECK_INT(sp_conn_peer_der(n.b.c, &der), 0);
    sp_buf_free(&der);
    tnet_shut(&n);
}

TEST("CA names are sent only when asked for")
{
    struct tpki *p = tpki_get();

    for (int names = 0; names < 2; names++) {
        struct sp_tls_server_opts o = asking(false);
        struct sp_buf b;
        struct tnet n;

        o.send_ca_names = names;
        sp_buf_init(&b, 4096);
        shake(&n, server_ctx(p->server, o), any_client(p->alice, false), "localhost");
        CHECK_INT(sp_conn_ca_names(n.b.c, &b), 0);
        CHECK_INT(b.n != 0, names);
        CHECK(!names || (b.n == 12 && !memcmp(b.p, "/CN=Test CA\n", 12)));
        sp_buf_free(&b);
        tnet_shut(&n);
    }
}

TEST("a server that does not ask gets no certificate")
{
    struct tpki *p = tpki_get();
    struct sp_tls_facts f;
    struct tnet n;

    shake(&n, server_ctx(p->server, (struct sp_tls_server_opts){0}),
          any_client(p->alice, false), "localhost");
    CHECK(sp_conn_facts(n.b.c, &f));
    CHECK(!f.cert_asked && !f.cert_sent);
    CHECK(sp_conn_facts(n.a.c, &f));
    CHECK(!f.peer_cert && !f.verdict.present);
    tnet_shut(&n);
}

/* ---- the client's view of servers ---- */

static void judge_server(struct tcert *c, const char *host, struct sp_tls_client_opts o,
                         const char *why)
{
    for (int must = 0; must < 2; must++) {
        struct sp_tls_facts f;
        struct tnet n;

        o.must_verify = must;
        shake(&n, server_ctx(c, (struct sp_tls_server_opts){0}), client_ctx(NULL, o),
              host);
        if (!why || !must) {
            CHECK(n.b.up);
            CHECK(sp_conn_facts(n.b.c, &f));
            CHECK_INT(f.verified, why == NULL);
            if (why && !strstr(f.why_not, why))
                CHECK_STR(f.why_not, why);
        } else {
            CHECK(n.b.failed && n.a.failed);
            CHECK_INT(n.b.err.cls, SP_CLASS_INSECURE);
            CHECK(sp_conn_facts(n.b.c, &f) && !f.verified && !f.ended_by_peer);
            if (!strstr(n.b.err.text, why))
                CHECK_STR(n.b.err.text, why);
        }
        tnet_shut(&n);
    }
}

TEST("a server is verified against the name that the user gave, never the CN")
{
    struct tpki *p = tpki_get();
    struct sp_tls_client_opts o = {0}, other = {0};

    judge_server(p->server, "localhost", o, NULL);
    judge_server(p->server, "LOCALHOST.", o, NULL);
    judge_server(p->server, "127.0.0.1", o, NULL);
    judge_server(p->server, "[::1]", o, NULL);
    judge_server(p->wild, "smtp.example.org", o, NULL);
    judge_server(p->server, "127.0.0.2", o,
                 "certificate is for localhost, not for 127");
    judge_server(p->server, "not-a-name", o,
                 "certificate is for localhost, not for not");
    judge_server(p->wild, "a.b.example.org", o,
                 "certificate is for *.example.org, not");
    judge_server(p->wild, "example.org", o, "certificate is for *.example.org, not");
    judge_server(p->any, "any", o, "certificate is for no host name, not for any");
    judge_server(p->alice, "alice", o, "not for");
    judge_server(p->expired_server, "localhost", o, "certificate expired 20");
    other.ca = pem(p->ca2->cert_pem, "ca2.pem");
    judge_server(p->server, "localhost", other, "issuer not known to us");
    judge_server(p->ca2, "localhost", o, "self-signed certificate not known to us");
}

TEST("a pin replaces chain and name, but not the dates")
{
    struct tpki *p = tpki_get();
    struct sp_tls_client_opts o = {0};
    uint8_t d[32];
    char hex[80], colons[140] = "sha256:";
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(p->foreign->x), &der);

    EVP_Digest(der, (size_t)len, d, NULL, EVP_sha256(), NULL);
    OPENSSL_free(der);
    sp_hex_encode(d, 32, hex, sizeof hex);
    o.pin = hex;
    judge_server(p->foreign, "any.name", o, NULL);
    judge_server(p->server, "localhost", o, "not the pinned one");
    X509_digest(p->foreign->x, EVP_sha256(), d, NULL);
    for (int i = 0; i < 32; i++)
        (void)snprintf(colons + strlen(colons), 4, "%s%02X", i ? ":" : "", d[i]);
    o.pin = colons;
    judge_server(p->foreign, "any.name", o, NULL);
    X509_digest(p->expired->x, EVP_sha256(), d, NULL);
    sp_hex_encode(d, 32, hex, sizeof hex);
    o.pin = hex;
    judge_server(p->expired, "any.name", o, "pinned certificate expired 20");
}

/* ---- SNI, ALPN ---- */

static void sni_case(struct sp_tls_ctx *srv, const char *host, const struct tcert *want)
{
    struct sp_tls_client_opts o = {0};
    struct sp_tls_facts f;
    uint8_t d[32];
    struct tnet n;

    shake(&n, sp_tls_ref(srv), client_ctx(NULL, o), host);
    CHECK(sp_conn_facts(n.b.c, &f));
    X509_digest(want->x, EVP_sha256(), d, NULL);
    if (memcmp(f.cert_sha256, d, 32) != 0)
        CHECK_STR(host, "given another certificate");
    CHECK(sp_conn_facts(n.a.c, &f));
    if (strcmp(f.sni, host) != 0 && strcmp(host, "127.0.0.1") != 0)
        CHECK_STR(f.sni, host);
    tnet_shut(&n);
}

TEST("SNI: exact name, then wildcard, then the first certificate; RSA beside ECDSA")
{
    struct tpki *p = tpki_get();
    const struct tcert *order[] = {p->server, p->wild, p->server2, p->server_rsa};
    struct sp_tls_pair pairs[4];
    struct sp_tls_server_opts o = {.pairs = pairs, .n_pairs = 4};
    struct sp_tls_ctx *srv = NULL;
    struct sp_err err = {0};

    for (int i = 0; i < 4; i++)
        pairs[i] = (struct sp_tls_pair){pem(order[i]->cert_pem, "c"),
                                        pem(order[i]->key_pem, "k")};
    CHECK_INT(sp_tls_server(&o, &srv, &err), 0);
    CHECK_STR(err.text, err.code == SP_ENOMEM ? err.text : "");
    if (!srv)
        return;
    sni_case(srv, "localhost", p->server);
    sni_case(srv, "mail.example.org", p->server2);
    sni_case(srv, "MAIL.example.ORG", p->server2);
    sni_case(srv, "smtp.example.org", p->wild);
    sni_case(srv, "a.b.example.org", p->server);
    sni_case(srv, "unknown.test", p->server);
    sni_case(srv, "127.0.0.1", p->server);
    sp_tls_unref(srv);
}

TEST("SNI: a certificate with names of its own is shown for those and no others")
{
    static const char *const given[] = {"Other.Test", "*.wild.test"};
    struct tpki *p = tpki_get();
    struct sp_tls_pair pairs[] = {
        {pem(p->server->cert_pem, "c"), pem(p->server->key_pem, "k")},
        {pem(p->server2->cert_pem, "c"), pem(p->server2->key_pem, "k"), .names = given, .n_names = 2}};
    struct sp_tls_server_opts o = {.pairs = pairs, .n_pairs = 2};
    struct sp_tls_ctx *srv = NULL;
    struct sp_err err = {0};

    CHECK_INT(sp_tls_server(&o, &srv, &err), 0);
    if (!srv)
        return;
    sni_case(srv, "other.test", p->server2);
    sni_case(srv, "a.wild.test", p->server2);
    sni_case(srv, "mail.example.org", p->server);
    sni_case(srv, "localhost", p->server);
    sp_tls_unref(srv);
}

/* ---- a foreign client: OpenSSL's own API, without our code ---- */

struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    struct tnet n;
    int fd, sessions;
};

static int count_session(SSL *ssl, SSL_SESSION *s)
{
    struct raw *r = SSL_get_app_data(ssl);

    (void)s;
    r->sessions++;
    return 0;
}

static void raw_open(struct raw *r, bool client)
{
    int fd[2];

    memset(r, 0, sizeof *r);
    tnet_begin(&r->n);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
        abort();
    side_adopt(&r->n, &r->n.a, fd[0]);
    r->fd = fd[1];
    r->ctx = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());
    SSL_CTX_set_session_cache_mode(r->ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(r->ctx, count_session);
    SSL_CTX_set_security_level(r->ctx, 0);
}

static void raw_connect(struct raw *r, struct sp_tls_ctx *srv)
{
    struct sp_err err;

    r->ssl = SSL_new(r->ctx);
    SSL_set_fd(r->ssl, r->fd);
    SSL_set_app_data(r->ssl, r);
    SSL_set_connect_state(r->ssl);
    CHECK_INT(sp_conn_start_tls(r->n.a.c, srv, NULL, &err), 0);
}

/* 1 up, 0 still going, -1 failed */
static int raw_step(struct raw *r)
{
    int rc, e;

    ERR_clear_error();
    rc = SSL_do_handshake(r->ssl);
    e = SSL_get_error(r->ssl, rc);
    return rc == 1 ? 1 : e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static void raw_close(struct raw *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
    close(r->fd);
    tnet_shut(&r->n);
    ERR_clear_error();
}

TEST("a client that knows only RSA gets the RSA certificate of the same name")
{
    struct tpki *p = tpki_get();
    struct sp_tls_pair pairs[] = {
        {pem(p->server->cert_pem, "ec.pem"), pem(p->server->key_pem, "ec.key")},
        {pem(p->server_rsa->cert_pem, "rsa.pem"),
         pem(p->server_rsa->key_pem, "rsa.key")},
    };
    struct sp_tls_server_opts o = {.pairs = pairs, .n_pairs = 2};
    struct sp_tls_ctx *srv = NULL;
    struct sp_err err;
    struct raw r;
    int rc = 0;

    CHECK_INT(sp_tls_server(&o, &srv, &err), 0);
    raw_open(&r, true);
    SSL_CTX_set_max_proto_version(r.ctx, TLS1_2_VERSION);
    CHECK_INT(SSL_CTX_set_cipher_list(r.ctx, "ECDHE-RSA-AES128-GCM-SHA256"), 1);
    raw_connect(&r, srv);
    SSL_set_tlsext_host_name(r.ssl, "localhost");
    tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && (r.n.a.up || r.n.a.failed));
    CHECK_INT(rc, 1);
    CHECK(X509_cmp(SSL_get0_peer_certificate(r.ssl), p->server_rsa->x) == 0);
    sp_tls_unref(srv);
    raw_close(&r);
}

static int last_reason(void)
{
    return ERR_GET_REASON(ERR_peek_last_error());
}

TEST("ALPN: smtp is agreed on, without it a fatal alert, none is fine")
{
    struct tpki *p = tpki_get();
    static const unsigned char http[] = "\x02h2\x08http/1.1", both[] = "\x02h2\x04smtp";
    struct sp_tls_client_opts o = {.alpn = true};
    struct sp_tls_facts f;
    struct tnet n;

    shake(&n, server_ctx(p->server, (struct sp_tls_server_opts){0}),
          client_ctx(NULL, o), "localhost");
    CHECK(sp_conn_facts(n.a.c, &f) && f.alpn_smtp);
    CHECK(sp_conn_facts(n.b.c, &f) && f.alpn_smtp);
    tnet_shut(&n);
    o.alpn = false;
    shake(&n, server_ctx(p->server, (struct sp_tls_server_opts){0}),
          client_ctx(NULL, o), "localhost");
    CHECK(sp_conn_facts(n.a.c, &f) && !f.alpn_smtp);
    tnet_shut(&n);
    for (int v = 0; v < 4; v++) {
        struct sp_tls_ctx *srv = server_ctx(p->server, (struct sp_tls_server_opts){0});
        struct raw r;
        int rc = 0;

        raw_open(&r, true);
        SSL_CTX_set_max_proto_version(r.ctx, v & 1 ? TLS1_2_VERSION : TLS1_3_VERSION);
        if (v & 2)
            SSL_CTX_set_alpn_protos(r.ctx, both, sizeof both - 1);
        else
            SSL_CTX_set_alpn_protos(r.ctx, http, sizeof http - 1);
        raw_connect(&r, srv);
        tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && (r.n.a.up || r.n.a.failed));
        CHECK_INT(rc, v & 2 ? 1 : -1);
        CHECK_INT(r.n.a.failed, !(v & 2));
        if (!(v & 2)) {
            CHECK_INT(last_reason(),
                      SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
            CHECK(strstr(r.n.a.err.text, "ALPN"));
        }
        sp_tls_unref(srv);
        raw_close(&r);
    }
}

TEST("a client sees no ticket and cannot resume")
{
    struct tpki *p = tpki_get();

    for (int v = 0; v < 2; v++) {
        struct sp_tls_ctx *srv = server_ctx(p->server, asking(false));
        SSL_SESSION *old = NULL;

        for (int again = 0; again < 2; again++) {
            struct raw r;
            char b[16];
            int rc = 0;

            raw_open(&r, true);
            SSL_CTX_set_max_proto_version(r.ctx, v ? TLS1_2_VERSION : TLS1_3_VERSION);
            raw_connect(&r, srv);
            if (old)
                SSL_set_session(r.ssl, old);
            tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && r.n.a.up);
            CHECK_INT(rc, 1);
            CHECK_INT(sp_conn_write(r.n.a.c, "220 hi\n", 7), 0);
            rc = 0;
            tnet_run(&r.n, (rc = rc == 7 ? rc : SSL_read(r.ssl, b, sizeof b)) == 7);
            CHECK(!SSL_session_reused(r.ssl));
            CHECK_INT(SSL_SESSION_has_ticket(SSL_get0_session(r.ssl)), 0);
            if (!v)
                CHECK_INT(r.sessions, 0); /* TLS 1.3: NewSessionTicket */
            else
                CHECK_INT(SSL_SESSION_is_resumable(SSL_get0_session(r.ssl)), 0);
            SSL_SESSION_free(old);
            old = SSL_get1_session(r.ssl);
            CHECK_INT(SSL_SESSION_get_max_early_data(old), 0);
            raw_close(&r);
        }
        SSL_SESSION_free(old);
        sp_tls_unref(srv);
    }
}

TEST("a client cannot renegotiate; the session goes on without")
{
    struct sp_tls_ctx *srv =
        server_ctx(tpki_get()->server, (struct sp_tls_server_opts){0});
    struct raw r;
    char b[16];
    int rc = 0;

    raw_open(&r, true);
    SSL_CTX_set_max_proto_version(r.ctx, TLS1_2_VERSION);
    raw_connect(&r, srv);
    tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && r.n.a.up);
    CHECK_INT(rc, 1);
    CHECK_INT(SSL_renegotiate(r.ssl), 1);
    rc = 0;
    tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) != 0);
    CHECK_INT(rc, -1);
    (void)b;
    sp_tls_unref(srv);
    raw_close(&r);
}

static void refused_by_version(int max, const char *ciphers, const char *why)
{
    struct sp_tls_ctx *srv =
        server_ctx(tpki_get()->server, (struct sp_tls_server_opts){0});
    struct raw r;
    int rc = 0;

    raw_open(&r, true);
    SSL_CTX_set_min_proto_version(r.ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(r.ctx, max);
    if (ciphers)
        CHECK_INT(SSL_CTX_set_cipher_list(r.ctx, ciphers), 1);
    raw_connect(&r, srv);
    tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && r.n.a.failed);
    CHECK_INT(rc, -1);
    if (!strstr(r.n.a.err.text, why))
        CHECK_STR(r.n.a.err.text, why);
    sp_tls_unref(srv);
    raw_close(&r);
}

TEST("TLS 1.1 and clients without a common cipher are refused in words")
{
    refused_by_version(TLS1_1_VERSION, NULL, "no TLS version in common");
    refused_by_version(TLS1_2_VERSION, "AES128-SHA", "no cipher in common");
}

/* A server of OpenSSL's own that refuses every client certificate. */
static int refuse_all(X509_STORE_CTX *s, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(s, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    return 0;
}

static void refusing_server(bool tls12, bool with_cert)
{
    struct tpki *p = tpki_get();
    struct sp_tls_ctx *cli = any_client(with_cert ? p->alice : NULL, tls12);
    struct sp_err err;
    struct raw r;
    int rc = 0;

    raw_open(&r, false);
    SSL_CTX_use_certificate(r.ctx, p->server->x);
    SSL_CTX_use_PrivateKey(r.ctx, p->server->key);
    SSL_CTX_set_verify(r.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(r.ctx, refuse_all, NULL);
    r.ssl = SSL_new(r.ctx);
    SSL_set_fd(r.ssl, r.fd);
    SSL_set_app_data(r.ssl, &r);
    SSL_set_accept_state(r.ssl);
    CHECK_INT(sp_conn_start_tls(r.n.a.c, cli, "localhost", &err), 0);
    tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && (r.n.a.ended || r.n.a.failed));
    CHECK_INT(rc, -1);
    if (tls12) {
        struct sp_tls_facts f;

        CHECK(r.n.a.failed && !r.n.a.up);
        err = r.n.a.err;
        CHECK(sp_conn_facts(r.n.a.c, &f)); /* also after the failure */
        CHECK(f.cert_asked && f.cert_sent && f.ended_by_peer && f.verified);
    } else { /* TLS 1.3: our side was done, the refusal shows at the first read */
        CHECK(r.n.a.up && r.n.a.ended);
        CHECK_INT(r.n.a.end.kind, SP_END_TLS);
        CHECK(r.n.a.end.cert_refused);
        err = r.n.a.end.err;
    }
    CHECK_INT(err.cls, SP_CLASS_INSECURE);
    if (with_cert)
        CHECK(strstr(err.text, "server refused our certificate (unknown CA)"));
    else if (!tls12)
        CHECK(strstr(err.text, "server wants a certificate and got none"));
    sp_tls_unref(cli);
    raw_close(&r);
}

TEST("a server's refusal of our certificate is told apart, also when it comes late")
{
    refusing_server(true, true);
    refusing_server(false, true);
    refusing_server(false, false);
}

TEST("a certificate that the server cannot use is not sent, and not said to be sent")
{
    struct tpki *p = tpki_get();

    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct sp_tls_ctx *cli = any_client(p->alice, tls12); /* ECDSA */
        struct sp_tls_facts f;
        struct sp_err err;
        struct raw r;
        int rc = 0;

        raw_open(&r, false);
        SSL_CTX_use_certificate(r.ctx, p->server->x);
        SSL_CTX_use_PrivateKey(r.ctx, p->server->key);
        SSL_CTX_set_verify(r.ctx, SSL_VERIFY_PEER, NULL);
        CHECK_INT(SSL_CTX_set1_client_sigalgs_list(r.ctx, "rsa_pss_rsae_sha256"), 1);
        r.ssl = SSL_new(r.ctx);
        SSL_set_fd(r.ssl, r.fd);
        SSL_set_app_data(r.ssl, &r);
        SSL_set_accept_state(r.ssl);
        CHECK_INT(sp_conn_start_tls(r.n.a.c, cli, "localhost", &err), 0);
        tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && (r.n.a.up || r.n.a.failed));
        CHECK_INT(rc, 1);
        CHECK(sp_conn_facts(r.n.a.c, &f));
        CHECK(f.verified && f.cert_asked && !f.cert_sent);
        sp_tls_unref(cli);
        raw_close(&r);
    }
}

/* ---- channel binding ---- */

TEST("channel bindings are equal on both ends, and absent where they would not bind")
{
    struct tpki *p = tpki_get();
    uint8_t a[64], b[64], u[64], v[64];

    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct tnet n;
        int k;

        shake(&n, server_ctx(p->server, (struct sp_tls_server_opts){0}),
              any_client(NULL, tls12), "localhost");
        CHECK_INT(sp_conn_binding(n.a.c, SP_BINDING_EXPORTER, a, sizeof a), 32);
        CHECK_INT(sp_conn_binding(n.b.c, SP_BINDING_EXPORTER, b, sizeof b), 32);
        CHECK(memcmp(a, b, 32) == 0);
        k = sp_conn_binding(n.a.c, SP_BINDING_UNIQUE, u, sizeof u);
        CHECK_INT(k, tls12 ? 12 : -SP_ENOENT);
        CHECK_INT(sp_conn_binding(n.b.c, SP_BINDING_UNIQUE, v, sizeof v), k);
        CHECK(k < 0 || memcmp(u, v, (size_t)k) == 0);
        tnet_shut(&n);
    }
    { /* tls-unique is the client's Finished, as a client that is not ours sees it */
        struct sp_tls_ctx *srv = server_ctx(p->server, (struct sp_tls_server_opts){0});
        struct raw r;
        int rc = 0;

        raw_open(&r, true);
        SSL_CTX_set_max_proto_version(r.ctx, TLS1_2_VERSION);
        raw_connect(&r, srv);
        tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && r.n.a.up);
        CHECK_INT(sp_conn_binding(r.n.a.c, SP_BINDING_UNIQUE, a, sizeof a), 12);
        CHECK_INT(SSL_get_finished(r.ssl, b, sizeof b), 12);
        CHECK(memcmp(a, b, 12) == 0);
        sp_tls_unref(srv);
        raw_close(&r);
    }
    { /* TLS 1.2 without extended master secret */
        struct sp_tls_ctx *srv = server_ctx(p->server, (struct sp_tls_server_opts){0});
        struct sp_tls_facts f;
        struct raw r;
        int rc = 0;

        raw_open(&r, true);
        SSL_CTX_set_max_proto_version(r.ctx, TLS1_2_VERSION);
        SSL_CTX_set_options(r.ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
        raw_connect(&r, srv);
        tnet_run(&r.n, (rc = rc ? rc : raw_step(&r)) && r.n.a.up);
        CHECK(sp_conn_facts(r.n.a.c, &f) && !f.extended_master_secret);
        CHECK_INT(sp_conn_binding(r.n.a.c, SP_BINDING_EXPORTER, a, sizeof a),
                  -SP_ENOENT);
        CHECK_INT(sp_conn_binding(r.n.a.c, SP_BINDING_UNIQUE, a, sizeof a), -SP_ENOENT);
        sp_tls_unref(srv);
        raw_close(&r);
    }
}

/* ---- bad input to contexts ---- */

static void bad_server(struct sp_pem cert, struct sp_pem key, struct sp_pem ca,
                       struct sp_pem crl, const char *why)
{
    struct sp_tls_pair pair = {cert, key};
    struct sp_tls_server_opts o = {.pairs = &pair,
                                   .n_pairs = 1,
                                   .client_ca = ca,
                                   .crl = crl,
                                   .use_crl = crl.pem.n > 0};
    struct sp_tls_ctx *ctx = NULL;
    struct sp_err err = {0};

    CHECK(sp_tls_server(&o, &ctx, &err) < 0);
    CHECK(!ctx);
    if (!strstr(err.text, why))
        CHECK_STR(err.text, why);
}

TEST("a context that cannot be made says which file and why")
{
    struct tpki *p = tpki_get();
    struct sp_pem good = pem(p->server->cert_pem, "s.pem"),
                  key = pem(p->server->key_pem, "s.key"), no = {{NULL, 0}, NULL};
    char *locked = tcert_key_encrypted(p->server, "pass");

    bad_server(good, pem(p->alice->key_pem, "other.key"), no, no,
               "the key other.key does not belong to the certificate s.pem");
    bad_server(pem("", "s.pem"), key, no, no, "s.pem is empty");
    bad_server(pem("hello", "s.pem"), key, no, no, "s.pem: no certificate (PEM) in it");
    bad_server(
        pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "s.pem"),
        key, no, no, "s.pem: certificate 1: ");
    bad_server(good, pem("hello", "s.key"), no, no,
               "s.key: no private key (PEM) in it");
    bad_server(good, pem(locked, "s.key"), no, no,
               "s.key: the private key is encrypted");
    bad_server(good, key, pem("hello", "ca.pem"), no, "ca.pem: no certificate");
    bad_server(good, key, pem(p->ca->cert_pem, "ca.pem"), pem("hello", "ca.crl"),
               "ca.crl: no revocation list (PEM) in it");
    free(locked);
}

TEST("certificates and lists that end soon are warned about")
{
    struct tpki *p = tpki_get();
    struct sp_tls_ctx *ctx = server_ctx(p->server, asking(true));
    struct sp_tls_ctx *old =
        server_ctx(p->expired_server, (struct sp_tls_server_opts){0});
    int64_t now = time(NULL);
    char text[200] = "";

    CHECK(!sp_tls_warning(ctx, now, text, sizeof text));
    CHECK(sp_tls_warning(ctx, now + 15 * DAY, text, sizeof text));
    CHECK(strstr(text, "revocation list of /CN=Test CA ends 20"));
    CHECK(sp_tls_warning(ctx, now + 25 * DAY, text, sizeof text));
    CHECK(strstr(text, "certificate s.pem expires 20"));
    CHECK(old && sp_tls_warning(old, now, text, sizeof text));
    CHECK(strstr(text, "certificate s.pem expired 20"));
    sp_tls_unref(ctx);
    sp_tls_unref(old);
}

static int give_phrase(char *buf, size_t cap, const char *name, void *arg)
{
    CHECK(name != NULL);
    return snprintf(buf, cap, "%s", (const char *)arg);
}

TEST("a client's key may be encrypted, or in PKCS#12; a wrong passphrase is named")
{
    struct tpki *p = tpki_get();
    char *locked = tcert_key_encrypted(p->alice, "right"), *p12;
    struct sp_tls_client_opts o = {.ask_pass = give_phrase};
    struct sp_tls_ctx *ctx = NULL;
    struct sp_err err = {0};
    size_t n;

    o.cert = pem(p->alice->cert_pem, "c.pem");
    o.key = pem(locked, "c.key");
    o.ask_pass_arg = (void *)"right";
    CHECK_INT(sp_tls_client(&o, &ctx, &err), 0);
    sp_tls_unref(ctx);
    o.ask_pass_arg = (void *)"wrong";
    CHECK_INT(sp_tls_client(&o, &ctx, &err), -SP_EDENIED);
    CHECK(strstr(err.text, "c.key: the passphrase"));
    o.cert = o.key = (struct sp_pem){{NULL, 0}, NULL};
    p12 = tcert_p12(p->alice, p->ca, "right", &n);
    o.pkcs12 = (struct sp_pem){{p12, n}, "c.p12"};
    CHECK_INT(sp_tls_client(&o, &ctx, &err), -SP_EDENIED);
    CHECK(strstr(err.text, "c.p12: the passphrase"));
    o.ask_pass_arg = (void *)"right";
    CHECK_INT(sp_tls_client(&o, &ctx, &err), 0);
    sp_tls_unref(ctx);
    o.ask_pass = NULL;
    CHECK(sp_tls_client(&o, &ctx, &err) < 0);
    CHECK(strstr(err.text, "encrypted"));
    free(p12);
    p12 = tcert_p12(p->alice, p->ca, "", &n);
    o.pkcs12 = (struct sp_pem){{p12, n}, "c.p12"};
    CHECK_INT(sp_tls_client(&o, &ctx, &err), 0);
    sp_tls_unref(ctx);
    o.pkcs12 = pem("junk", "c.p12");
    CHECK(sp_tls_client(&o, &ctx, &err) < 0);
    CHECK(strstr(err.text, "c.p12 is not PKCS#12"));
    o = (struct sp_tls_client_opts){.pin = "12ab"};
    CHECK(sp_tls_client(&o, &ctx, &err) < 0);
    CHECK(strstr(err.text, "\"12ab\" is not a pin"));
    o = (struct sp_tls_client_opts){.ca_path = "/no/such/file"};
    CHECK(sp_tls_client(&o, &ctx, &err) < 0);
    CHECK(strstr(err.text, "/no/such/file"));
    free(p12);
    free(locked);
}

/* ---- the openssl program as the foreign peer ---- */

struct place {
    char dir[32], sock[48], ca[48], own[48], key[48], out[48];
};

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    CHECK(f != NULL);
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

static void place_make(struct place *w, const struct tcert *own)
{
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/t_tls.XXXXXX");
    CHECK(mkdtemp(w->dir) != NULL);
    (void)snprintf(w->sock, sizeof w->sock, "%s/sock", w->dir);
    (void)snprintf(w->ca, sizeof w->ca, "%s/ca.pem", w->dir);
    (void)snprintf(w->own, sizeof w->own, "%s/own.pem", w->dir);
    (void)snprintf(w->key, sizeof w->key, "%s/own.key", w->dir);
    (void)snprintf(w->out, sizeof w->out, "%s/out", w->dir);
    put_file(w->ca, tpki_get()->ca->cert_pem);
    put_file(w->own, own->cert_pem);
    put_file(w->key, own->key_pem);
}

static void place_drop(struct place *w)
{
    char *all[] = {w->sock, w->ca, w->own, w->key, w->out};

    for (size_t i = 0; i < 5; i++)
        (void)unlink(all[i]);
    CHECK_INT(rmdir(w->dir), 0);
}

static int exited;

static void on_exit_of(uv_process_t *p, int64_t status, int sig)
{
    (void)p;
    (void)status;
    (void)sig;
    exited++;
}

static void spawn(struct tnet *n, uv_process_t *p, char *cmd)
{
    char sh[] = "/bin/sh", c[] = "-c";
    char *args[] = {sh, c, cmd, NULL};
    uv_process_options_t o = {.file = sh, .args = args, .exit_cb = on_exit_of};

    exited = 0;
    CHECK_INT(uv_spawn(&n->loop, p, &o), 0);
}

static struct sp_tls_ctx *taking; /* what take_client() uses */

static void take_client(struct sp_conn *c, void *arg)
{
    struct tnet *n = arg;
    struct sp_err err;

    side_init(&n->a, c);
    sp_conn_start(c, &side_ops, &n->a);
    CHECK_INT(sp_conn_start_tls(c, taking, NULL, &err), 0);
}

TEST("openssl s_client, TLS 1.2 and 1.3, logs in with its certificate")
{
    struct tpki *p = tpki_get();
    struct place w;

    place_make(&w, p->alice);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct sp_tls_ctx *srv = server_ctx(p->server, asking(true));
        struct sp_listen *l = NULL;
        struct sp_tls_facts f;
        char cmd[600], said[200] = "";
        struct sp_err err;
        uv_process_t child;
        struct tnet n;
        FILE *out;
        int fd;

        tnet_begin(&n);
        taking = srv;
        CHECK_INT(sp_listen_bind_unix(w.sock, 0600, &fd, &err), 0);
        CHECK_INT(sp_listen_fd(n.net, fd, take_client, &n, &l, &err), 0);
        (void)snprintf(
            cmd, sizeof cmd,
            "printf 'EHLO x\\r\\n' | openssl s_client -unix %s %s -CAfile %s "
            "-verify_return_error -verify_hostname localhost -servername "
            "localhost -cert %s -key %s -quiet >%s 2>/dev/null",
            w.sock, tls12 ? "-tls1_2" : "-tls1_3", w.ca, w.own, w.key, w.out);
        spawn(&n, &child, cmd);
        tnet_run(&n, n.a.up && n.a.got.n == 8);
        CHECK(sp_conn_facts(n.a.c, &f));
        CHECK(sp_tls_verified(&f.verdict, false, NULL));
        CHECK_STR(f.version, tls12 ? "TLSv1.2" : "TLSv1.3");
        CHECK_STR(f.sni, "localhost");
        CHECK_INT(sp_conn_write(n.a.c, "250 hello x\r\n", 13), 0);
        sp_conn_close(n.a.c);
        tnet_run(&n, exited == 1);
        out = fopen(w.out, "r");
        CHECK(out && fgets(said, sizeof said, out));
        CHECK_STR(said, "250 hello x\r\n");
        fclose(out);
        uv_close((uv_handle_t *)&child, NULL);
        sp_listen_free(l);
        sp_tls_unref(srv);
        (void)unlink(w.sock);
        tnet_shut(&n);
    }
    place_drop(&w);
}

static void on_dial(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    struct tnet *n = arg;

    CHECK(!err);
    side_init(&n->b, c);
    if (c)
        sp_conn_start(c, &side_ops, &n->b);
}

TEST("openssl s_server, TLS 1.2 and 1.3, is verified and gets our certificate")
{
    struct tpki *p = tpki_get();
    struct place w;

    place_make(&w, p->server);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct sp_tls_ctx *cli = any_client(p->alice, tls12);
        struct sp_tls_facts f;
        struct sp_err err;
        char cmd[600];
        uv_process_t child;
        struct tnet n;

        tnet_begin(&n);
        (void)snprintf(cmd, sizeof cmd,
                       "exec openssl s_server -unix %s -cert %s -key %s -CAfile %s "
                       "-Verify 2 -verify_return_error -rev -naccept 1 >%s 2>&1",
                       w.sock, w.own, w.key, w.ca, w.out);
        spawn(&n, &child, cmd);
        tnet_run(&n, access(w.sock, F_OK) == 0);
        tnet_wait(&n, 20); /* between bind() and listen() */
        CHECK(sp_dial(n.net, &(struct sp_dial_opts){.unix_path = w.sock}, on_dial, &n));
        tnet_run(&n, n.b.c);
        CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), 0);
        CHECK_INT(sp_conn_write(n.b.c, "abc\n", 4), 0);
        tnet_run(&n, n.b.up && n.b.got.n == 4);
        CHECK(n.b.got.p && memcmp(n.b.got.p, "cba\n", 4) == 0);
        CHECK(sp_conn_facts(n.b.c, &f));
        CHECK(f.verified && f.cert_asked && f.cert_sent);
        CHECK_STR(f.version, tls12 ? "TLSv1.2" : "TLSv1.3");
        sp_conn_close(n.b.c);
        uv_process_kill(&child, SIGTERM);
        tnet_run(&n, exited == 1);
        uv_close((uv_handle_t *)&child, NULL);
        sp_tls_unref(cli);
        (void)unlink(w.sock);
        tnet_shut(&n);
    }
    place_drop(&w);
    tpki_free();
}

T_MAIN
