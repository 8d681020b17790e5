/*
 * chk_mx.c - what a domain promises about its mail exchangers: DANE (P47, RFC 7672) and
 * MTA-STS (P48, RFC 8461), held against what the server does.
 */
#include "probe_i.h"

#include "dns.h"
#include "err.h"
#include "netaddr.h"
#include "stslook.h"
#include "text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

enum { ANSWERS = 8, RDATA = 512, TICK_MS = 250 };

/* ---- DNS, waited for ---- */

struct answer {
    bool done;
    enum sp_dns_status status;
    struct sp_err err;
    size_t n;
    struct {
        size_t n;
        char p[RDATA];
    } record[ANSWERS];
    struct sp_dns_mx mx;
    size_t n_mx;
    struct sockaddr_storage address;
    size_t n_addresses;
    struct sp_dns *dns;
    struct sp_dns_query *query;
    const volatile sig_atomic_t *stop;
};

static void on_answer(const struct sp_dns_answer *a, void *arg)
{
    struct answer *x = arg;

    x->done = true;
    x->query = NULL;
    x->status = a->status;
    x->err = a->err;
    for (size_t i = 0; i < a->n && x->n < ANSWERS; i++)
        if (a->records[i].n <= RDATA) {
            memcpy(x->record[x->n].p, a->records[i].p, a->records[i].n);
            x->record[x->n++].n = a->records[i].n;
        }
}

static void on_mx(const struct sp_dns_answer *a, void *arg)
{
    struct answer *x = arg;

    on_answer(a, arg);
    if (!a->err.code)
        x->n_mx = sp_dns_mx(a, &x->mx, 1);
}

static void on_address(const struct sp_dns_answer *a, void *arg)
{
    struct answer *x = arg;

    on_answer(a, arg);
    if (!a->err.code)
        x->n_addresses = sp_dns_addresses(a, 0, &x->address, 1);
}

/* Ctrl-C does not wait for an answer. */
static void on_tick(uv_timer_t *t)
{
    struct answer *x = t->data;

    if (x->query && x->stop && *x->stop) {
        sp_dns_drop(x->query);
        x->query = NULL;
        x->done = true;
        (void)sp_err_set(&x->err, SP_CLASS_TEMPORARY, SP_ETIMEDOUT, "stopped");
    }
}

static void wait_for(struct answer *x, uv_loop_t *loop)
{
    uv_timer_t tick;

    (void)uv_timer_init(loop, &tick);
    tick.data = x;
    (void)uv_timer_start(&tick, on_tick, TICK_MS, TICK_MS);
    while (!x->done && uv_run(loop, UV_RUN_ONCE))
        ;
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT);
}

static struct sp_dns_opts resolver(const struct sp_probe *p)
{
    return (struct sp_dns_opts){.forwarder = p->o->dns,
                                .resolv_conf = p->o->dns == NULL,
                                .trust_anchor_file =
                                    p->o->dns_anchor ? NULL : SP_DNS_ROOT_KEY,
                                .trust_anchor = p->o->dns_anchor,
                                .timeout_ms = p->dial.reply_ms};
}

static void ask(struct sp_probe *p, const char *name, int type, struct answer *x)
{
    struct sp_dns_opts o = resolver(p);
    sp_dns_fn *fn = type == SP_DNS_MX                         ? on_mx
                    : type == SP_DNS_A || type == SP_DNS_AAAA ? on_address
                                                              : on_answer;
    struct sp_net *net;
    uv_loop_t loop;

    memset(x, 0, sizeof *x);
    x->stop = p->o->stop;
    if (uv_loop_init(&loop) < 0) {
        (void)sp_err_nomem(&x->err);
        return;
    }
    net = sp_net_new(&loop);
    if (net && sp_dns_new(net, &o, &x->dns, &x->err) == 0)
        x->query = sp_dns_ask(x->dns, name, type, fn, x);
    if (x->query)
        wait_for(x, &loop);
    if (!x->done && !x->err.code)
        (void)sp_err_nomem(&x->err);
    sp_dns_free(x->dns);
    sp_net_free(net);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
}

/* An address by the resolver that was given. */
static bool address_of(struct sp_probe *p, const char *name, struct answer *x)
{
    if (p->dial.family != AF_INET6)
        ask(p, name, SP_DNS_A, x);
    if (p->dial.family == AF_INET6 || (p->dial.family == AF_UNSPEC && !x->n_addresses))
        ask(p, name, SP_DNS_AAAA, x);
    return x->n_addresses > 0;
}

/* ---- the exchange ---- */

/* The system looks names up that are dialled; not when another resolver was given. */
static bool find_address(struct sp_probe *p)
{
    struct answer x;

    if (!p->o->dns)
        return true;
    if (!address_of(p, p->host, &x)) {
        sp_findings_failed(p->f, EX_NOHOST, "%s has no address%s%s", p->host,
                           x.err.code ? ": " : "", x.err.code ? x.err.text : "");
        return false;
    }
    p->dial.peer = x.address;
    if (x.address.ss_family == AF_INET) {
        p->dial.peer_len = sizeof(struct sockaddr_in);
        ((struct sockaddr_in *)&p->dial.peer)->sin_port = htons(p->dial.port);
    } else {
        p->dial.peer_len = sizeof(struct sockaddr_in6);
        ((struct sockaddr_in6 *)&p->dial.peer)->sin6_port = htons(p->dial.port);
    }
    return true;
}

static bool no_exchange(struct sp_probe *p, const struct answer *x)
{
    if (x->err.code && x->status == SP_DNS_BOGUS) {
        if (sp_probe_want(p, SP_C_P47))
            sp_probe_found(p, NULL, 0, SP_F_MX_BOGUS, p->host, x->err.text, NULL);
        sp_probe_done(p, SP_C_P47);
        sp_findings_failed(p->f, EX_NOHOST, "which exchange %s has cannot be proven",
                           p->host);
        return true;
    }
    if (x->err.code && p->o->dns) {
        sp_findings_failed(p->f, EX_NOHOST, "%s: %s", p->host, x->err.text);
        return true;
    }
    if (x->n_mx && !x->mx.host[0]) {
        sp_findings_failed(p->f, EX_NOHOST, "%s takes no mail (RFC 7505)", p->host);
        return true;
    }
    return false;
}

/* The name given may be the domain: then its first exchange is asked.  False: there is
 * nobody to ask. */
bool sp_probe_find_mx(struct sp_probe *p)
{
    struct sockaddr_storage literal;
    struct answer x;

    if (sp_addr_literal(p->host, 0, &literal) > 0 ||
        strcasecmp(p->host, "localhost") == 0)
        return true;
    ask(p, p->host, SP_DNS_MX, &x);
    if (no_exchange(p, &x))
        return false;
    if (x.err.code || x.n_mx == 0)
        return find_address(p); /* a host's own name */
    (void)snprintf(p->domain, sizeof p->domain, "%s", p->host);
    (void)snprintf(p->mx_host, sizeof p->mx_host, "%s", x.mx.host);
    p->mx_secure = x.status == SP_DNS_SECURE;
    p->host = p->dial.host = p->mx_host;
    if (!p->o->talk->tls_name)
        p->tls_name = p->mx_host;
    (void)sp_findings_fact(p->f, "host", sp_str(p->mx_host));
    (void)sp_findings_fact(p->f, "domain", sp_str(p->domain));
    return find_address(p);
}

/* ---- DANE ---- */

static bool lookup_tlsa(struct sp_probe *p, struct answer *x)
{
    struct sockaddr_storage literal;
    char name[300];

    if (sp_addr_literal(p->host, 0, &literal) > 0) {
        sp_check_not_run(p->f, SP_C_P47, "an address has no TLSA records");
        return false;
    }
    (void)snprintf(name, sizeof name, "_%u._tcp.%s", p->dial.port, p->host);
    ask(p, name, SP_DNS_TLSA, x);
    if (x->err.code && x->status == SP_DNS_BOGUS)
        sp_probe_found(p, NULL, 0, SP_F_DANE_BOGUS, name, x->err.text, NULL);
    else if (x->err.code)
        sp_check_not_run(p->f, SP_C_P47, "%.150s", x->err.text);
    else if (!x->n)
        sp_probe_found(p, NULL, 0, SP_F_DANE_NONE, name, NULL, NULL);
    else if (x->status != SP_DNS_SECURE)
        sp_probe_found(p, NULL, 0, SP_F_DANE_UNSIGNED, name, NULL, NULL);
    else
        return true;
    sp_probe_done(p, SP_C_P47);
    return false;
}

void sp_scene_dane(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    struct sp_str tlsa[ANSWERS];
    struct answer x;

    if (!sp_probe_want(p, SP_C_P47) || !lookup_tlsa(p, &x))
        return;
    for (size_t i = 0; i < x.n; i++)
        tlsa[i] = (struct sp_str){x.record[i].p, x.record[i].n};
    t.tlsa = tlsa;
    t.n_tlsa = x.n;
    if (!sp_probe_secure(p, w, &t)) {
        if (p->clear && !(p->clear->ext & SP_EXT_STARTTLS)) {
            sp_probe_found(p, w, 0, SP_F_DANE_WITHOUT_TLS, NULL, NULL, NULL);
            sp_probe_done(p, SP_C_P47);
        }
        return;
    }
    if (!w->tls.dane_usable)
        sp_probe_found(p, w, 0, SP_F_DANE_UNUSABLE, NULL, NULL, NULL);
    else if (w->tls.dane_ok)
        sp_probe_found(p, w, 0, SP_F_DANE_MATCHES, NULL, NULL, NULL);
    else
        sp_probe_found(p, w, 0, SP_F_DANE_MISMATCH, w->tls.chain_why, NULL, NULL);
    if (p->domain[0] && !p->mx_secure)
        sp_probe_found(p, NULL, 0, SP_F_DANE_MX_UNSIGNED, p->domain, NULL, NULL);
    sp_probe_done(p, SP_C_P47);
}

/* ---- MTA-STS ---- */

/* What the delivery role would make of it: the same look-up, waited for. */
struct sts {
    bool done, none;
    struct sp_sts_answer answer;
    struct sp_sts_policy policy;
    char why[500];
    struct sp_sts_look *look;
    uv_timer_t tick; /* closed by the loop, later */
    const volatile sig_atomic_t *stop;
};

static void on_sts(const struct sp_sts_answer *a, void *arg)
{
    struct sts *x = arg;

    x->done = true;
    x->look = NULL;
    x->answer = *a;
    x->none = a->policy == NULL;
    if (a->policy)
        x->policy = *a->policy;
    (void)snprintf(x->why, sizeof x->why, "%s", a->why);
}

static void on_sts_tick(uv_timer_t *t)
{
    struct sts *x = t->data;

    if (!x->look || !x->stop || !*x->stop)
        return;
    sp_sts_drop(x->look);
    x->look = NULL;
    x->done = true;
    x->answer.trouble = SP_STS_DNS_ERROR;
    (void)snprintf(x->why, sizeof x->why, "stopped");
}

static void await_sts(struct sts *x, uv_loop_t *loop)
{
    (void)uv_timer_init(loop, &x->tick);
    x->tick.data = x;
    (void)uv_timer_start(&x->tick, on_sts_tick, TICK_MS, TICK_MS);
    while (!x->done && uv_run(loop, UV_RUN_ONCE))
        ;
    uv_close((uv_handle_t *)&x->tick, NULL);
}

static void look_at_policy(struct sp_probe *p, struct sts *x)
{
    struct sp_sts_opts o = {.domain = p->domain,
                            .ca_path = p->ca_path,
                            .timeout_ms = (unsigned)p->dial.reply_ms * 2,
                            .now_s = (uint64_t)time(NULL)};
    struct sp_dns_opts d = resolver(p);
    struct sp_net *net;
    struct sp_err err = {.text = "out of memory"};
    uv_loop_t loop;

    memset(x, 0, sizeof *x);
    x->stop = p->o->stop;
    x->answer.trouble = SP_STS_DNS_ERROR;
    if (uv_loop_init(&loop) < 0)
        return;
    net = sp_net_new(&loop);
    o.https = sp_https_new(&loop);
    if (net && o.https && sp_dns_new(net, &d, &o.dns, &err) == 0)
        x->look = sp_sts_look(&o, on_sts, x);
    if (x->look)
        await_sts(x, &loop);
    else
        (void)snprintf(x->why, sizeof x->why, "%s", err.text);
    sp_https_free(o.https);
    sp_dns_free(o.dns);
    sp_net_free(net);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
}

/* A connection whose certificate was verified as clients without DANE do it. */
static const struct sp_pw *verified_wire(const struct sp_probe *p)
{
    for (unsigned i = 0; i < p->n_wires; i++)
        if (p->wire[i]->tls.up && !p->wire[i]->tls.dane_asked)
            return p->wire[i];
    return NULL;
}

static void judge_policy(struct sp_probe *p, const struct sp_sts_policy *y)
{
    const struct sp_pw *w = verified_wire(p);
    const struct sp_pw_facts *f = w ? &w->tls : NULL;
    enum sp_severity s = y->mode == SP_STS_MODE_ENFORCE ? SP_SEV_BROKEN : SP_SEV_ADVICE;
    const char *mode = sp_sts_mode_name(y->mode);

    if (y->mode == SP_STS_MODE_NONE)
        sp_probe_found(p, NULL, 0, SP_F_STS_NONE, p->domain, NULL, NULL);
    else if (!sp_sts_lists(y, p->host))
        sp_probe_found_as(p, s, NULL, 0, SP_F_STS_MX_NOT_LISTED, p->host, mode, NULL);
    else if (p->tls_tried && !p->tls_works)
        sp_probe_found_as(p, s, NULL, 0, SP_F_STS_WITHOUT_TLS, p->host, mode, NULL);
    else if (p->clear && !(p->clear->ext & SP_EXT_STARTTLS))
        sp_probe_found_as(p, s, NULL, 0, SP_F_STS_WITHOUT_TLS, p->host, mode, NULL);
    else if (!f)
        sp_check_not_run(p->f, SP_C_P48, "no certificate of the exchange was seen");
    else if (!f->chain_ok || !f->name_ok || !f->dates_ok)
        sp_probe_found_as(p, s, w, 0, SP_F_STS_CERT, p->host, mode,
                          !f->chain_ok  ? f->chain_why
                          : !f->name_ok ? "it is for another name"
                                        : "it is out of date");
    else
        sp_probe_found(p, NULL, 0, SP_F_STS_AGREES, mode, NULL, NULL);
}

void sp_probe_mta_sts(struct sp_probe *p)
{
    struct sts x;
    char name[300], url[400], words[1000];

    if (!sp_probe_want(p, SP_C_P48))
        return;
    if (!p->domain[0]) {
        sp_check_not_run(p->f, SP_C_P48, "give the domain: %s has no MX record",
                         p->host);
        return;
    }
    (void)snprintf(name, sizeof name, "_mta-sts.%s", p->domain);
    (void)snprintf(url, sizeof url, "https://mta-sts.%s/.well-known/mta-sts.txt",
                   p->domain);
    look_at_policy(p, &x);
    (void)snprintf(words, sizeof words, "%s: %s", url, x.why);
    switch (x.answer.trouble) {
    case SP_STS_DNS_ERROR:
        sp_check_not_run(p->f, SP_C_P48, "%.150s", x.why);
        return;
    case SP_STS_RECORD_INVALID:
        sp_probe_found(p, NULL, 0, SP_F_STS_RECORD_INVALID, name, x.why, NULL);
        break;
    case SP_STS_FETCH_ERROR:
    case SP_STS_WEBPKI_INVALID:
        sp_probe_found(p, NULL, 0, SP_F_STS_POLICY_MISSING, words, NULL, NULL);
        break;
    case SP_STS_POLICY_INVALID:
        sp_probe_found(p, NULL, 0, SP_F_STS_POLICY_INVALID, p->domain, x.why, NULL);
        break;
    case SP_STS_FINE:
        if (x.none)
            sp_probe_found(p, NULL, 0, SP_F_STS_NONE, p->domain, NULL, NULL);
        else
            judge_policy(p, &x.policy);
        break;
    }
    sp_probe_done(p, SP_C_P48);
}

/* A connection of its own for P48, when no other showed the certificate. */
bool sp_probe_sts_needs_scene(const struct sp_probe *p)
{
    return p->domain[0] && verified_wire(p) == NULL;
}

void sp_scene_sts(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);

    if (sp_check_wanted(p->f, SP_C_P48))
        (void)sp_probe_secure(p, w, &t);
}
