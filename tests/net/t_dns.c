/*
 * t_dns.c - tests of dns.h against a name server of this file: one signed zone
 * (secure.example, ECDSA P-256), some unsigned names, some that misbehave.
 */
#include "dns.h"
#include "text.h"
#include "tnet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <time.h>

#define T_MX     15
#define T_RRSIG  46
#define T_DNSKEY 48

/* ---- wire format ---- */

static void put16(struct sp_buf *b, unsigned v)
{
    uint8_t o[2] = {(uint8_t)(v >> 8), (uint8_t)v};

    sp_buf_put(b, o, 2);
}

static void put32(struct sp_buf *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v & 0xffff);
}

static void put_name(struct sp_buf *b, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, ".");
        uint8_t len = (uint8_t)n;

        sp_buf_put(b, &len, 1);
        sp_buf_put(b, name, n);
        name += n + (name[n] == '.');
    }
    sp_buf_put(b, "", 1);
}

static void put_rr(struct sp_buf *b, const char *name, unsigned type,
                   const struct sp_buf *rdata)
{
    put_name(b, name);
    put16(b, type);
    put16(b, 1);
    put32(b, 300);
    put16(b, (unsigned)rdata->n);
    sp_buf_put(b, rdata->p, rdata->n);
}

/* ---- the signed zone ---- */

static struct {
    EVP_PKEY *key;
    struct sp_buf dnskey; /* rdata */
    unsigned tag;
} zone;

static void make_zone(void)
{
    static const uint8_t head[] = {1, 1, 3, 13}; /* KSK, DNSSEC, ECDSAP256SHA256 */
    unsigned char point[65];
    size_t n = 0;
    unsigned long sum = 0;

    zone.key = EVP_EC_gen("P-256");
    EVP_PKEY_get_octet_string_param(zone.key, "pub", point, sizeof point, &n);
    CHECK_INT(n, 65);
    sp_buf_init(&zone.dnskey, 200);
    sp_buf_put(&zone.dnskey, head, sizeof head);
    sp_buf_put(&zone.dnskey, point + 1, 64);
    for (size_t i = 0; i < zone.dnskey.n; i++) /* RFC 4034 B */
        sum += i & 1 ? (unsigned char)zone.dnskey.p[i]
                     : (unsigned long)(unsigned char)zone.dnskey.p[i] << 8;
    zone.tag = (unsigned)((sum + (sum >> 16)) & 0xffff);
}

/* RRSIG over one record (RFC 4034 3.1.8.1). */
static void sign(struct sp_buf *out, const char *name, unsigned type,
                 const struct sp_buf *rdata, bool forged)
{
    uint32_t now = (uint32_t)time(NULL);
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    unsigned char der[80], rs[64];
    const unsigned char *p = der;
    size_t n = sizeof der;
    struct sp_buf head, data;
    ECDSA_SIG *sig;

    sp_buf_init(&head, 500);
    sp_buf_init(&data, 2000);
    put16(&head, type);
    sp_buf_put(&head, "\x0d\x02", 2); /* algorithm, labels */
    put32(&head, 300);
    put32(&head, now + 86400);
    put32(&head, now - 86400);
    put16(&head, zone.tag);
    put_name(&head, "secure.example");
    sp_buf_put(&data, head.p, head.n);
    put_rr(&data, name, type, rdata);
    if (forged)
        data.p[data.n - 3] ^= 1;
    EVP_DigestSignInit(m, NULL, EVP_sha256(), NULL, zone.key);
    CHECK_INT(EVP_DigestSign(m, der, &n, (unsigned char *)data.p, data.n), 1);
    sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), rs, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), rs + 32, 32);
    sp_buf_put(&head, rs, 64);
    put_rr(out, name, T_RRSIG, &head);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(m);
    sp_buf_free(&head);
    sp_buf_free(&data);
}

/* ---- the server ---- */

struct mx {
    const char *name, *host;
    unsigned preference;
};
static const struct mx mxs[] = {
    {"plain.example", "b.plain.example", 20},
    {"plain.example", "a.plain.example", 5},
    {"plain.example", "c.plain.example", 20},
    {"null.example", "", 0},
    {"secure.example", "mx.secure.example", 10},
    {"odd.example", "a b.example", 10},
};

struct server {
    uv_udp_t udp;
    int asked;
};

static size_t answers(const char *name, unsigned type, struct sp_buf *out)
{
    bool forged = strcmp(name, "forged.secure.example") == 0;
    struct sp_buf rdata;
    size_t n = 0;

    sp_buf_init(&rdata, 500);
    for (size_t i = 0; i < sizeof mxs / sizeof *mxs && type == T_MX; i++)
        if (strcmp(mxs[i].name, name) == 0) {
            rdata.n = 0;
            put16(&rdata, mxs[i].preference);
            put_name(&rdata, mxs[i].host);
            put_rr(out, name, type, &rdata);
            n++;
        }
    if (n && strcmp(name, "secure.example") == 0) {
        sign(out, name, type, &rdata, false);
        n++;
    }
    if (forged || strcmp(name, "unsigned.secure.example") == 0) {
        rdata.n = 0;
        put32(&rdata, 0xc0000201);
        put_rr(out, name, SP_DNS_A, &rdata);
        n++;
        if (forged) {
            sign(out, name, SP_DNS_A, &rdata, true);
            n++;
        }
    }
    if (type == T_DNSKEY && strcmp(name, "secure.example") == 0) {
        put_rr(out, name, type, &zone.dnskey);
        sign(out, name, type, &zone.dnskey, false);
        n += 2;
    }
    if (strcmp(name, "a.plain.example") == 0 &&
        (type == SP_DNS_A || type == SP_DNS_AAAA)) {
        rdata.n = 0;
        if (type == SP_DNS_A)
            put32(&rdata, 0xc0000207);
        else
            sp_buf_put(&rdata, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16);
        put_rr(out, name, type, &rdata);
        n++;
    }
    sp_buf_free(&rdata);
    return n;
}

static void on_query(uv_udp_t *u, ssize_t n, const uv_buf_t *buf,
                     const struct sockaddr *from, unsigned flags)
{
    const uint8_t *q = (const uint8_t *)buf->base;
    struct server *s = u->data;
    char name[256] = "";
    struct sp_buf body, out;
    size_t at = 12, len = 0, count;
    unsigned type, rcode;

    (void)flags;
    if (n < 17 || !from)
        return;
    while (at < (size_t)n && q[at]) {
        if (len)
            name[len++] = '.';
        for (unsigned i = 0; i < q[at]; i++)
            name[len++] = (char)sp_lower(q[at + 1 + i]);
        at += 1U + q[at];
    }
    type = (unsigned)q[at + 1] << 8 | q[at + 2];
    s->asked++;
    if (strncmp(name, "silent", 6) == 0)
        return;
    sp_buf_init(&body, 4000);
    sp_buf_init(&out, 4500);
    count = answers(name, type, &body);
    rcode = strncmp(name, "fail", 4) == 0 ? 2 : strncmp(name, "gone", 4) == 0 ? 3 : 0;
    sp_buf_put(&out, q, 2);
    put16(&out, 0x8580 | rcode);
    put16(&out, 1);
    put16(&out, (unsigned)count);
    put16(&out, 0);
    put16(&out, 1);
    sp_buf_put(&out, q + 12, at + 5 - 12);
    sp_buf_put(&out, body.p, body.n);
    sp_buf_put(&out, "\0\0\x29\x10\0\0\0\x80\0\0\0", 11); /* OPT, DNSSEC OK */
    {
        uv_buf_t b = uv_buf_init(out.p, (unsigned)out.n);

        (void)uv_udp_try_send(u, &b, 1, from);
    }
    sp_buf_free(&body);
    sp_buf_free(&out);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    static char space[65536];

    (void)h;
    (void)hint;
    *b = uv_buf_init(space, sizeof space);
}

static struct sp_dns *begin(struct tnet *n, struct server *s, unsigned timeout)
{
    struct sockaddr_storage ss;
    int len = sizeof ss;
    char fwd[40], anchor[300] = "secure.example. IN DNSKEY 257 3 13 ";
    struct sp_dns_opts o = {.forwarder = fwd, .timeout_ms = timeout};
    struct sp_dns *dns = NULL;
    struct sp_err err = {0};
    size_t at = strlen(anchor);
    int k;

    tnet_begin(n);
    memset(s, 0, sizeof *s);
    make_zone();
    uv_udp_init(&n->loop, &s->udp);
    s->udp.data = s;
    {
        struct sockaddr_in sa = {.sin_family = AF_INET};

        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK_INT(uv_udp_bind(&s->udp, (struct sockaddr *)&sa, 0), 0);
    }
    uv_udp_getsockname(&s->udp, (struct sockaddr *)&ss, &len);
    uv_udp_recv_start(&s->udp, on_alloc, on_query);
    (void)snprintf(fwd, sizeof fwd, "127.0.0.1@%u",
                   ntohs(((struct sockaddr_in *)&ss)->sin_port));
    k = sp_base64_encode(zone.dnskey.p + 4, 64, anchor + at, sizeof anchor - at);
    CHECK(k > 0);
    anchor[at + (size_t)k] = 0;
    o.trust_anchor = anchor;
    CHECK_INT(sp_dns_new(n->net, &o, &dns, &err), 0);
    CHECK_STR(err.text, "");
    return dns;
}

static void finish(struct tnet *n, struct server *s, struct sp_dns *dns)
{
    sp_dns_free(dns);
    uv_close((uv_handle_t *)&s->udp, NULL);
    tnet_shut(n);
    EVP_PKEY_free(zone.key);
    sp_buf_free(&zone.dnskey);
}

struct seen {
    int done;
    enum sp_dns_status status;
    struct sp_err err;
    bool nxdomain;
    size_t n, n_mx, n_addr;
    struct sp_dns_mx mx[8];
    struct sockaddr_storage addr[8];
};

static void note(const struct sp_dns_answer *a, void *arg)
{
    struct seen *s = arg;

    s->done++;
    s->status = a->status;
    s->err = a->err;
    s->nxdomain = a->nxdomain;
    s->n = a->n;
    s->n_mx = sp_dns_mx(a, s->mx, 8);
    s->n_addr = sp_dns_addresses(a, 25, s->addr, 8);
}

static struct seen ask(struct tnet *n, struct sp_dns *dns, const char *name, int type)
{
    struct seen s = {0};

    CHECK(sp_dns_ask(dns, name, type, note, &s) != NULL);
    CHECK_INT(s.done, 0);
    tnet_run(n, s.done);
    return s;
}

TEST("MX answers: best first, null MX, no such name, nothing there, malformed hosts")
{
    struct server srv;
    struct tnet n;
    struct sp_dns *dns = begin(&n, &srv, 3000);
    struct seen s = ask(&n, dns, "plain.example", SP_DNS_MX);

    CHECK_INT(s.err.code, 0);
    CHECK_INT(s.status, SP_DNS_INSECURE);
    CHECK_INT(s.n_mx, 3);
    CHECK_STR(s.mx[0].host, "a.plain.example");
    CHECK_INT(s.mx[0].preference, 5);
    CHECK_INT(s.mx[1].preference, 20);
    CHECK_INT(s.mx[2].preference, 20);
    CHECK(strcmp(s.mx[1].host, s.mx[2].host) != 0);
    s = ask(&n, dns, "null.example", SP_DNS_MX);
    CHECK_INT(s.n_mx, 1);
    CHECK_STR(s.mx[0].host, "");
    s = ask(&n, dns, "gone.example", SP_DNS_MX);
    CHECK(s.nxdomain && s.err.code == 0 && s.n == 0);
    s = ask(&n, dns, "empty.example", SP_DNS_MX);
    CHECK(!s.nxdomain && s.err.code == 0 && s.n == 0);
    s = ask(&n, dns, "odd.example", SP_DNS_MX);
    CHECK_INT(s.n, 1);
    CHECK_INT(s.n_mx, 0);
    finish(&n, &srv, dns);
}

TEST("addresses of both families are ready for dialling")
{
    struct server srv;
    struct tnet n;
    struct sp_dns *dns = begin(&n, &srv, 3000);
    struct seen s = ask(&n, dns, "a.plain.example", SP_DNS_A);

    CHECK_INT(s.n_addr, 1);
    CHECK_INT(((struct sockaddr_in *)&s.addr[0])->sin_addr.s_addr, htonl(0xc0000207));
    CHECK_INT(((struct sockaddr_in *)&s.addr[0])->sin_port, htons(25));
    s = ask(&n, dns, "a.plain.example", SP_DNS_AAAA);
    CHECK_INT(s.n_addr, 1);
    CHECK_INT(s.addr[0].ss_family, AF_INET6);
    finish(&n, &srv, dns);
}

TEST("a signed answer is secure; unsigned or forged in a signed zone is bogus, no "
     "answer")
{
    static const char *const bad[] = {"unsigned.secure.example",
                                      "forged.secure.example"};
    struct server srv;
    struct tnet n;
    struct sp_dns *dns = begin(&n, &srv, 5000);
    struct seen s = ask(&n, dns, "secure.example", SP_DNS_MX);

    CHECK_STR(s.err.text, "");
    CHECK_INT(s.status, SP_DNS_SECURE);
    CHECK_STR(s.mx[0].host, "mx.secure.example");
    for (int i = 0; i < 2; i++) {
        s = ask(&n, dns, bad[i], SP_DNS_A);
        CHECK_INT(s.status, SP_DNS_BOGUS);
        CHECK_INT(s.err.cls, SP_CLASS_TEMPORARY);
        CHECK(strstr(s.err.text, "DNSSEC validation failed"));
        CHECK_INT(s.n, 0);
    }
    finish(&n, &srv, dns);
}

TEST("no answer, a failing server, an impossible name: an error, once, in time")
{
    struct server srv;
    struct tnet n;
    struct sp_dns *dns = begin(&n, &srv, 200);
    uint64_t t = uv_hrtime();
    char name[400];
    struct seen s = ask(&n, dns, "silent.example", SP_DNS_MX);

    t = (uv_hrtime() - t) / 1000000;
    CHECK_INT(s.err.code, SP_ETIMEDOUT);
    CHECK(t >= 190 && t < 1500);
    s = ask(&n, dns, "fail.example", SP_DNS_MX);
    CHECK(s.err.code != 0 && s.err.cls == SP_CLASS_TEMPORARY);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    s = ask(&n, dns, name, SP_DNS_MX);
    CHECK_INT(s.err.code, SP_EINPUT);
    finish(&n, &srv, dns);
}

TEST("a dropped question is never answered, and freeing drops them all")
{
    struct server srv;
    struct tnet n;
    struct sp_dns *dns = begin(&n, &srv, 3000);
    struct seen s[3] = {{0}};

    sp_dns_drop(sp_dns_ask(dns, "plain.example", SP_DNS_MX, note, &s[0]));
    CHECK(sp_dns_ask(dns, "plain.example", SP_DNS_MX, note, &s[1]) != NULL);
    tnet_run(&n, s[1].done);
    CHECK(sp_dns_ask(dns, "silent.example", SP_DNS_MX, note, &s[2]) != NULL);
    finish(&n, &srv, dns);
    CHECK(!s[0].done && !s[2].done);
}

T_MAIN
