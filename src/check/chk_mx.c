/*
 * chk_mx.c - what a domain promises about its mail exchangers: DANE (P47, RFC 7672) and
 * MTA-STS (P48, RFC 8461), held against what the server does.
 */
#include "probe_i.h"

#include "dns.h"
#include "err.h"
#include "netaddr.h"
#include "text.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { ANSWERS = 8, RDATA = 512, POLICY_MAX = 65536 };

/* ---- DNS, waited for ---- */

struct answer {
    bool done, nothing;
    enum sp_dns_status status;
    struct sp_err err;
    size_t n;
    struct {
        size_t n;
        char p[RDATA];
    } record[ANSWERS];
    struct sp_dns_mx mx;
    size_t n_mx;
    struct sp_dns *dns;
};

static void on_answer(const struct sp_dns_answer *a, void *arg)
{
    struct answer *x = arg;

    x->done = true;
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

static void ask(struct sp_probe *p, const char *name, int type, struct answer *x)
{
    struct sp_dns_opts o = {.forwarder = p->o->dns,
                            .resolv_conf = p->o->dns == NULL,
                            .trust_anchor_file =
                                p->o->dns_anchor ? NULL : SP_DNS_ROOT_KEY,
                            .trust_anchor = p->o->dns_anchor,
                            .timeout_ms = p->dial.reply_ms};
    struct sp_net *net;
    uv_loop_t loop;

    memset(x, 0, sizeof *x);
    if (uv_loop_init(&loop) < 0)
        return;
    net = sp_net_new(&loop);
    if (net && sp_dns_new(net, &o, &x->dns, &x->err) == 0 &&
        sp_dns_ask(x->dns, name, type, type == SP_DNS_MX ? on_mx : on_answer, x))
        while (!x->done && uv_run(&loop, UV_RUN_ONCE))
            ;
    if (!x->done && !x->err.code)
        (void)sp_err_nomem(&x->err);
    sp_dns_free(x->dns);
    sp_net_free(net);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
}

/* ---- the exchange ---- */

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
    if (x.err.code || x.n_mx == 0)
        return true; /* a host's own name */
    (void)snprintf(p->domain, sizeof p->domain, "%s", p->host);
    if (!x.mx.host[0]) {
        sp_findings_failed(p->f, 68, "%s takes no mail (RFC 7505)", p->host);
        return false;
    }
    (void)snprintf(p->mx_host, sizeof p->mx_host, "%s", x.mx.host);
    p->mx_secure = x.status == SP_DNS_SECURE;
    p->host = p->dial.host = p->mx_host;
    if (!p->o->talk->tls_name)
        p->tls_name = p->mx_host;
    (void)sp_findings_fact(p->f, "host", sp_str(p->mx_host));
    return true;
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
    sp_probe_done(p, SP_C_P47);
}

/* ---- MTA-STS ---- */

static size_t collect(char *data, size_t size, size_t n, void *arg)
{
    return sp_buf_put(arg, data, size * n) < 0 ? 0 : size * n;
}

static bool fetch(struct sp_probe *p, struct sp_buf *out, char *why, size_t cap)
{
    CURL *c = curl_easy_init();
    char url[400];
    long status = 0;
    CURLcode rc;

    if (!c)
        return false;
    (void)snprintf(url, sizeof url, "https://mta-sts.%s/.well-known/mta-sts.txt",
                   p->domain);
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* RFC 8461 3.3 */
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)p->dial.reply_ms * 2);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, collect);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    if (p->ca_path)
        (void)curl_easy_setopt(c, CURLOPT_CAINFO, p->ca_path);
    rc = curl_easy_perform(c);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK)
        (void)snprintf(why, cap, "%s: %s", url, curl_easy_strerror(rc));
    else if (status != 200)
        (void)snprintf(why, cap, "%s: HTTP status %ld", url, status);
    curl_easy_cleanup(c);
    return rc == CURLE_OK && status == 200;
}

/* RFC 8461 4.1: "*.example.org" stands for exactly one label. */
static bool mx_matches(struct sp_str pattern, const char *host)
{
    const char *dot = strchr(host, '.');

    if (pattern.n > 2 && pattern.p[0] == '*' && pattern.p[1] == '.')
        return dot && sp_str_caseeq((struct sp_str){pattern.p + 1, pattern.n - 1},
                                    sp_str(dot));
    return sp_str_caseeq(pattern, sp_str(host));
}

struct policy {
    bool version, listed;
    char mode[16];
};

static void read_policy(struct sp_str text, const char *host, struct policy *ret)
{
    struct sp_str line, value;

    memset(ret, 0, sizeof *ret);
    while (text.n) {
        line = sp_str_cut(&text, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        value = line;
        line = sp_str_trim(sp_str_cut(&value, ':'));
        value = sp_str_trim(value);
        if (sp_str_is(line, "version"))
            ret->version = sp_str_is(value, "STSv1");
        else if (sp_str_is(line, "mode"))
            (void)snprintf(ret->mode, sizeof ret->mode, "%.*s", (int)value.n, value.p);
        else if (sp_str_is(line, "mx"))
            ret->listed |= mx_matches(value, host);
    }
}

static void judge_policy(struct sp_probe *p, const struct policy *y)
{
    const struct sp_pw_facts *f = p->n_wires > 1 ? &p->wire[1]->tls : NULL;
    bool trusted = f && f->up && f->chain_ok && f->name_ok && f->dates_ok;
    enum sp_severity s =
        strcmp(y->mode, "enforce") == 0 ? SP_SEV_BROKEN : SP_SEV_ADVICE;

    if (!y->version || !y->mode[0])
        sp_probe_found(p, NULL, 0, SP_F_STS_POLICY_INVALID, p->domain, NULL, NULL);
    else if (strcmp(y->mode, "none") == 0)
        sp_probe_found(p, NULL, 0, SP_F_STS_NONE, p->domain, NULL, NULL);
    else if (!y->listed)
        sp_probe_found_as(p, s, NULL, 0, SP_F_STS_MX_NOT_LISTED, p->host, y->mode,
                          NULL);
    else if (!trusted)
        sp_probe_found_as(p, s, NULL, 0, SP_F_STS_CERT, p->host, y->mode, NULL);
    else
        sp_probe_found(p, NULL, 0, SP_F_STS_AGREES, y->mode, NULL, NULL);
}

void sp_probe_mta_sts(struct sp_probe *p)
{
    struct answer x;
    struct policy y;
    struct sp_buf text;
    char name[300], why[500] = "no memory";
    bool record = false;

    if (!sp_probe_want(p, SP_C_P48))
        return;
    if (!p->domain[0]) {
        sp_check_not_run(p->f, SP_C_P48, "give the domain: %s has no MX record",
                         p->host);
        return;
    }
    (void)snprintf(name, sizeof name, "_mta-sts.%s", p->domain);
    ask(p, name, SP_DNS_TXT, &x);
    if (x.err.code) {
        sp_check_not_run(p->f, SP_C_P48, "%.150s", x.err.text);
        return;
    }
    for (size_t i = 0; i < x.n; i++)
        record |= x.record[i].n > 8 && memcmp(x.record[i].p + 1, "v=STSv1", 7) == 0;
    sp_buf_init(&text, POLICY_MAX);
    if (!record) {
        sp_probe_found(p, NULL, 0, SP_F_STS_NONE, p->domain, NULL, NULL);
    } else if (!fetch(p, &text, why, sizeof why)) {
        sp_probe_found(p, NULL, 0, SP_F_STS_POLICY_MISSING, why, NULL, NULL);
    } else {
        read_policy(sp_buf_view(&text), p->host, &y);
        judge_policy(p, &y);
    }
    sp_buf_free(&text);
    sp_probe_done(p, SP_C_P48);
}
