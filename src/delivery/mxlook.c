/* mxlook.c - see mxlook.h. */
#include "mxlook.h"

#include "alloc.h"
#include "err.h"
#include "netaddr.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TTL_MAX = 3600, PER_FAMILY = 8 };

/* What is asked about one host. */
struct asked {
    struct sp_mxlook *l;
    struct sp_dns_query *a, *aaaa, *tlsa;
    struct sockaddr_storage four[PER_FAMILY], six[PER_FAMILY];
    size_t fours, sixes;
    bool insecure, failed, gone; /* gone: there is no such name */
    char why[400];
    uint8_t data[SP_TLSA_DATA];
    size_t used;
};

struct sp_mxlook {
    struct sp_dns *dns;
    struct sp_dns_query *mx;
    sp_mxlook_fn *done;
    void *arg;
    char domain[256], self[SP_MX_SELF][256];
    uint16_t port;
    size_t open; /* questions without an answer */
    struct sp_mxlook_answer answer;
    struct sp_mx_host host[SP_MX_HOSTS];
    struct asked asked[SP_MX_HOSTS];
    size_t n;
};

void sp_mxlook_drop(struct sp_mxlook *l)
{
    if (!l)
        return;
    sp_dns_drop(l->mx);
    for (size_t i = 0; i < l->n; i++) {
        sp_dns_drop(l->asked[i].a);
        sp_dns_drop(l->asked[i].aaaa);
        sp_dns_drop(l->asked[i].tlsa);
    }
    sp_free(l);
}

static void refuse(struct sp_mxlook *l, int code, const char *enhanced,
                   const char *words)
{
    l->answer.code = code;
    l->answer.enhanced = enhanced;
    snprintf(l->answer.words, sizeof l->answer.words, "%s", words);
}

static void tell(struct sp_mxlook *l)
{
    l->done(&l->answer, l->arg);
    sp_mxlook_drop(l);
}

/* ---- the end: which hosts can be used ---- */

/* IPv6 first, then by turns. */
static void weave(const struct asked *q, struct sp_mx_host *h)
{
    size_t six = 0, four = 0;

    while (h->addresses < SP_MX_ADDRESSES && (six < q->sixes || four < q->fours)) {
        if (six < q->sixes)
            h->address[h->addresses++] = q->six[six++];
        if (four < q->fours && h->addresses < SP_MX_ADDRESSES)
            h->address[h->addresses++] = q->four[four++];
    }
}

static void conclude(struct sp_mxlook *l)
{
    bool failed = false;
    const char *why = "";
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        struct sp_mx_host *h = &l->host[i];

        weave(&l->asked[i], h);
        if (h->addresses == 0 && l->asked[i].failed) {
            failed = true;
            why = l->asked[i].why;
        }
        if (h->addresses)
            l->host[n++] = *h; /* tlsa data stays where it is */
    }
    l->answer.host = l->host;
    l->answer.n = n;
    if (n == 0 && failed)
        refuse(l, 451, "4.4.3", why);
    else if (n == 0 && l->answer.implicit)
        refuse(l, 550, l->asked[0].gone ? "5.1.2" : "5.4.4",
               l->asked[0].gone
                   ? "there is no such domain"
                   : "the domain has neither a mail exchange nor an address");
    else if (n == 0)
        refuse(l, 550, "5.4.4", "none of the domain's mail exchanges has an address");
    tell(l);
}

static void one_less(struct sp_mxlook *l)
{
    if (--l->open == 0)
        conclude(l);
}

/* ---- one host ---- */

static void shorter(struct sp_mxlook *l, const struct sp_dns_answer *a)
{
    if (a->n && a->ttl < l->answer.ttl)
        l->answer.ttl = a->ttl;
}

/* RFC 7672 3.1: what SMTP has no use for is left out. */
static bool usable(const uint8_t *p, size_t n)
{
    return (p[0] == 2 || p[0] == 3) && p[1] <= 1 && n > 3 &&
           (p[2] == 0 || (p[2] == 1 && n == 3 + 32) || (p[2] == 2 && n == 3 + 64));
}

static void on_tlsa(const struct sp_dns_answer *a, void *arg)
{
    struct asked *q = arg;
    struct sp_mxlook *l = q->l;
    struct sp_mx_host *h = &l->host[q - l->asked];

    q->tlsa = NULL;
    shorter(l, a);
    if (a->err.code)
        h->dane = SP_DANE_FAILED;
    else if (a->status == SP_DNS_SECURE && a->n) {
        h->dane = SP_DANE_UNUSABLE;
        for (size_t i = 0; i < a->n && h->tlsas < SP_MX_TLSA; i++) {
            const uint8_t *p = (const uint8_t *)a->records[i].p;
            size_t n = a->records[i].n;

            if (n < 4 || !usable(p, n) || n - 3 > sizeof q->data - q->used)
                continue;
            memcpy(q->data + q->used, p + 3, n - 3);
            h->tlsa[h->tlsas++] =
                (struct sp_tls_dane){p[0], p[1], p[2], q->data + q->used, n - 3};
            q->used += n - 3;
            h->dane = SP_DANE_USABLE;
        }
    }
    one_less(l);
}

static void ask_tlsa(struct asked *q)
{
    struct sp_mxlook *l = q->l;
    struct sp_mx_host *h = &l->host[q - l->asked];
    char name[300];

    if (q->a || q->aaaa || q->insecure || !l->answer.secure || q->fours + q->sixes == 0)
        return;
    snprintf(name, sizeof name, "_%u._tcp.%s", (unsigned)l->port, h->name);
    q->tlsa = sp_dns_ask(l->dns, name, SP_DNS_TLSA, on_tlsa, q);
    if (q->tlsa)
        l->open++;
    else
        h->dane = SP_DANE_FAILED;
}

static void addresses(struct asked *q, const struct sp_dns_answer *a,
                      struct sockaddr_storage *out, size_t *n)
{
    shorter(q->l, a);
    if (a->err.code) {
        q->failed = true;
        snprintf(q->why, sizeof q->why, "%s", a->err.text);
    } else {
        *n = sp_dns_addresses(a, q->l->port, out, PER_FAMILY);
        q->insecure |= a->n && a->status != SP_DNS_SECURE;
        q->gone |= a->nxdomain;
    }
    ask_tlsa(q);
    one_less(q->l);
}

static void on_a(const struct sp_dns_answer *a, void *arg)
{
    struct asked *q = arg;

    q->a = NULL;
    addresses(q, a, q->four, &q->fours);
}

static void on_aaaa(const struct sp_dns_answer *a, void *arg)
{
    struct asked *q = arg;

    q->aaaa = NULL;
    addresses(q, a, q->six, &q->sixes);
}

static void ask_hosts(struct sp_mxlook *l)
{
    l->open = 1; /* ours, until all are asked */
    for (size_t i = 0; i < l->n; i++) {
        struct asked *q = &l->asked[i];

        q->l = l;
        q->a = sp_dns_ask(l->dns, l->host[i].name, SP_DNS_A, on_a, q);
        q->aaaa = sp_dns_ask(l->dns, l->host[i].name, SP_DNS_AAAA, on_aaaa, q);
        l->open += (q->a != NULL) + (q->aaaa != NULL);
        q->failed = !q->a || !q->aaaa;
    }
    one_less(l);
}

/* ---- the domain ---- */

static bool is_self(const struct sp_mxlook *l, const char *name)
{
    for (size_t i = 0; i < SP_MX_SELF && l->self[i][0]; i++)
        if (sp_str_caseis(sp_str(name), l->self[i]))
            return true;
    return false;
}

/* RFC 5321 5.1: who is no better than we are would give it back to us. */
static size_t cut_self(const struct sp_mxlook *l, const struct sp_dns_mx *mx, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_self(l, mx[i].host)) {
            while (i && mx[i - 1].preference == mx[i].preference)
                i--;
            return i;
        }
    return n;
}

static void take(struct sp_mxlook *l, const struct sp_dns_mx *mx, size_t n)
{
    size_t some = cut_self(l, mx, n);

    if (n && some == 0) {
        refuse(l, 550, "5.4.6",
               "mail loops: this host is the best mail exchange of the domain, "
               "and has no other route for it");
        return;
    }
    for (size_t i = 0; i < some && l->n < SP_MX_HOSTS; i++)
        if (mx[i].host[0]) /* "." beside others is a mistake: RFC 7505 3 */
            snprintf(l->host[l->n++].name, sizeof l->host[0].name, "%s", mx[i].host);
    if (some && l->n == 0)
        refuse(l, 556, "5.1.10", "the domain takes no mail (null MX)");
}

static void on_mx(const struct sp_dns_answer *a, void *arg)
{
    struct sp_mxlook *l = arg;
    struct sp_dns_mx mx[32];
    size_t n = a->err.code ? 0 : sp_dns_mx(a, mx, 32);

    l->mx = NULL;
    l->answer.secure = a->status == SP_DNS_SECURE;
    shorter(l, a);
    if (a->err.code)
        refuse(l, 451, "4.4.3", a->err.text);
    else if (a->nxdomain)
        refuse(l, 550, "5.1.2", "there is no such domain");
    else if (a->n && n == 0)
        refuse(l, 451, "4.4.3", "the domain's mail exchange is malformed in DNS");
    else if (n == 0) { /* the domain itself: implicit MX */
        l->answer.implicit = true;
        snprintf(mx[0].host, sizeof mx[0].host, "%s", l->domain);
        take(l, mx, 1);
    } else
        take(l, mx, n);
    if (l->answer.code)
        tell(l);
    else
        ask_hosts(l);
}

/* [192.0.2.1], [IPv6:2001:db8::1] */
static bool literal(struct sp_mxlook *l, const char *domain)
{
    struct sp_mx_host *h = &l->host[0];
    struct sp_str s = sp_str(domain);
    char text[80];

    if (s.n < 3 || s.n > 70 || s.p[s.n - 1] != ']')
        return false;
    s = (struct sp_str){s.p + 1, s.n - 2};
    if (s.n > 5 && sp_str_caseeq((struct sp_str){s.p, 5}, SP_LIT("IPv6:")))
        s = (struct sp_str){s.p + 5, s.n - 5};
    snprintf(text, sizeof text, "%.*s", (int)s.n, s.p);
    if (sp_addr_literal(text, l->port, &h->address[0]) < 0)
        return false;
    snprintf(h->name, sizeof h->name, "%s", text);
    h->addresses = 1;
    l->answer.host = l->host;
    l->answer.n = 1;
    return true;
}

/* The answer is there at once, and still comes from the loop. */
static void on_nothing(const struct sp_dns_answer *a, void *arg)
{
    struct sp_mxlook *l = arg;

    (void)a;
    l->mx = NULL;
    tell(l);
}

struct sp_mxlook *sp_mxlook(const struct sp_mxlook_opts *o, sp_mxlook_fn *done,
                            void *arg)
{
    struct sp_mxlook *l = sp_alloc(sizeof *l);
    bool bracket = o->domain[0] == '[';

    if (!l)
        return NULL;
    l->dns = o->dns;
    l->done = done;
    l->arg = arg;
    l->port = o->port;
    l->answer.ttl = TTL_MAX;
    snprintf(l->domain, sizeof l->domain, "%s", o->domain);
    for (size_t i = 0; i < SP_MX_SELF && o->self[i]; i++)
        snprintf(l->self[i], sizeof l->self[i], "%s", o->self[i]);
    if (bracket && (!o->literals || !literal(l, o->domain)))
        refuse(l, 550, "5.1.2",
               o->literals ? "this address literal is malformed"
                           : "mail for address literals is not sent on");
    l->mx = bracket ? sp_dns_ask(l->dns, "localhost", SP_DNS_A, on_nothing, l)
                    : sp_dns_ask(l->dns, l->domain, SP_DNS_MX, on_mx, l);
    if (!l->mx) {
        sp_free(l);
        return NULL;
    }
    return l;
}

void sp_mxlook_dns(const struct sp_conf *conf, struct sp_dns_opts *ret)
{
    *ret = (struct sp_dns_opts){.trust_anchor_file = conf->dns_trust_anchor,
                                .timeout_ms = (unsigned)conf->dns_timeout_s * 1000};
    ret->resolv_conf = conf->dns_server && strcmp(conf->dns_server, "system") == 0;
    if (conf->dns_server && !ret->resolv_conf)
        ret->forwarder = conf->dns_server;
    if (!ret->trust_anchor_file && access(SP_DNS_ROOT_KEY, R_OK) == 0)
        ret->trust_anchor_file = SP_DNS_ROOT_KEY;
}

struct sp_mxlook_answer *sp_mxlook_keep(const struct sp_mxlook_answer *a)
{
    size_t data = 0, hosts = a->n * sizeof *a->host;
    struct sp_mxlook_answer *k;
    uint8_t *at;

    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < a->host[i].tlsas; j++)
            data += a->host[i].tlsa[j].n;
    k = sp_alloc(sizeof *k + hosts + data);
    if (!k)
        return NULL;
    *k = *a;
    k->host = (struct sp_mx_host *)(void *)(k + 1);
    if (a->n)
        memcpy(k->host, a->host, hosts);
    at = (uint8_t *)(k->host + a->n);
    for (size_t i = 0; i < k->n; i++)
        for (size_t j = 0; j < k->host[i].tlsas; j++) {
            struct sp_tls_dane *d = &k->host[i].tlsa[j];

            memcpy(at, d->data, d->n);
            d->data = at;
            at += d->n;
        }
    return k;
}
