/*
 * chk_mx.c - what a domain promises about its mail exchangers: DANE (P47, RFC 7672) and
 * MTA-STS (P48, RFC 8461), held against what the server does.
 */
#include "probe_i.h"

#include "dns.h"
#include "err.h"
#include "netaddr.h"
#include "text.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>

enum { ANSWERS = 8, RDATA = 512, POLICY_MAX = 65536, TICK_MS = 250 };

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

static void ask(struct sp_probe *p, const char *name, int type, struct answer *x)
{
    struct sp_dns_opts o = {.forwarder = p->o->dns,
                            .resolv_conf = p->o->dns == NULL,
                            .trust_anchor_file =
                                p->o->dns_anchor ? NULL : SP_DNS_ROOT_KEY,
                            .trust_anchor = p->o->dns_anchor,
                            .timeout_ms = p->dial.reply_ms};
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

static size_t collect(char *data, size_t size, size_t n, void *arg)
{
    return sp_buf_put(arg, data, size * n) < 0 ? 0 : size * n;
}

static int on_transfer(void *arg, curl_off_t a, curl_off_t b, curl_off_t c,
                       curl_off_t d)
{
    const struct sp_probe *p = arg;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return p->o->stop && *p->o->stop;
}

/* "mta-sts.example.org:443:192.0.2.1" when another resolver was given; NULL: the
 * system's. */
static struct curl_slist *policy_host(struct sp_probe *p)
{
    char text[SP_ADDR_TEXT], line[400], name[300];
    const struct sockaddr_in6 *a6;
    struct answer x;
    bool ok;

    (void)snprintf(name, sizeof name, "mta-sts.%s", p->domain);
    if (!p->o->dns || !address_of(p, name, &x))
        return NULL;
    a6 = (const struct sockaddr_in6 *)&x.address;
    ok = x.address.ss_family == AF_INET
             ? inet_ntop(AF_INET, &((const struct sockaddr_in *)&x.address)->sin_addr,
                         text, sizeof text)
             : inet_ntop(AF_INET6, &a6->sin6_addr, text, sizeof text);
    (void)snprintf(line, sizeof line, "%s:443:%s", name, text);
    return ok ? curl_slist_append(NULL, line) : NULL;
}

static void transfer_options(struct sp_probe *p, CURL *c, const char *url,
                             struct sp_buf *out)
{
    struct stat st;

    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(c, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* RFC 8461 3.3 */
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)p->dial.reply_ms * 2);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, collect);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    (void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_transfer);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, p);
    if (p->ca_path)
        (void)curl_easy_setopt(c,
                               stat(p->ca_path, &st) == 0 && S_ISDIR(st.st_mode)
                                   ? CURLOPT_CAPATH
                                   : CURLOPT_CAINFO,
                               p->ca_path);
}

static bool fetch(struct sp_probe *p, struct sp_buf *out, char *why, size_t cap)
{
    CURL *c = curl_easy_init();
    struct curl_slist *where;
    char url[400];
    long status = 0;
    CURLcode rc;

    if (!c)
        return false;
    (void)snprintf(url, sizeof url, "https://mta-sts.%s/.well-known/mta-sts.txt",
                   p->domain);
    sp_findings_say(p->f, "%s", url);
    transfer_options(p, c, url, out);
    where = policy_host(p);
    if (where)
        (void)curl_easy_setopt(c, CURLOPT_RESOLVE, where);
    rc = curl_easy_perform(c);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK)
        (void)snprintf(why, cap, "%s: %s", url, curl_easy_strerror(rc));
    else if (status != 200)
        (void)snprintf(why, cap, "%s: HTTP status %ld", url, status);
    curl_easy_cleanup(c);
    curl_slist_free_all(where);
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
    bool version, max_age, listed;
    char mode[16];
};

static void read_policy(struct sp_str text, const char *host, struct policy *ret)
{
    struct sp_str line, value;
    uint64_t seconds;

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
        else if (sp_str_is(line, "max_age"))
            ret->max_age = sp_str_u64(value, 31557600, &seconds) == 0;
        else if (sp_str_is(line, "mx"))
            ret->listed |= mx_matches(value, host);
    }
}

static const char *invalid(const struct policy *y)
{
    if (!y->version)
        return "version: STSv1 is missing";
    if (strcmp(y->mode, "enforce") != 0 && strcmp(y->mode, "testing") != 0 &&
        strcmp(y->mode, "none") != 0)
        return "its mode is not enforce, testing or none";
    return y->max_age ? NULL : "it has no max_age, or none that is allowed";
}

/* A connection whose certificate was verified as clients without DANE do it. */
static const struct sp_pw *verified_wire(const struct sp_probe *p)
{
    for (unsigned i = 0; i < p->n_wires; i++)
        if (p->wire[i]->tls.up && !p->wire[i]->tls.dane_asked)
            return p->wire[i];
    return NULL;
}

static void judge_policy(struct sp_probe *p, const struct policy *y)
{
    const struct sp_pw *w = verified_wire(p);
    const struct sp_pw_facts *f = w ? &w->tls : NULL;
    enum sp_severity s =
        strcmp(y->mode, "enforce") == 0 ? SP_SEV_BROKEN : SP_SEV_ADVICE;
    const char *why = invalid(y);

    if (why)
        sp_probe_found(p, NULL, 0, SP_F_STS_POLICY_INVALID, p->domain, why, NULL);
    else if (strcmp(y->mode, "none") == 0)
        sp_probe_found(p, NULL, 0, SP_F_STS_NONE, p->domain, NULL, NULL);
    else if (!y->listed)
        sp_probe_found_as(p, s, NULL, 0, SP_F_STS_MX_NOT_LISTED, p->host, y->mode,
                          NULL);
    else if (p->tls_tried && !p->tls_works)
        sp_probe_found_as(p, s, NULL, 0, SP_F_STS_WITHOUT_TLS, p->host, y->mode, NULL);
    else if (p->clear && !(p->clear->ext & SP_EXT_STARTTLS))
        sp_probe_found_as(p, s, NULL, 0, SP_F_STS_WITHOUT_TLS, p->host, y->mode, NULL);
    else if (!f)
        sp_check_not_run(p->f, SP_C_P48, "no certificate of the exchange was seen");
    else if (!f->chain_ok || !f->name_ok || !f->dates_ok)
        sp_probe_found_as(p, s, w, 0, SP_F_STS_CERT, p->host, y->mode,
                          !f->chain_ok  ? f->chain_why
                          : !f->name_ok ? "it is for another name"
                                        : "it is out of date");
    else
        sp_probe_found(p, NULL, 0, SP_F_STS_AGREES, y->mode, NULL, NULL);
}

/* How many records claim to be the one (RFC 8461 3.1: exactly one, with an id). */
static unsigned sts_records(const struct answer *x, bool *ret_id)
{
    unsigned n = 0;

    for (size_t i = 0; i < x->n; i++) {
        struct sp_str text = {x->record[i].p + 1,
                              x->record[i].n ? x->record[i].n - 1 : 0};

        if (text.n < 7 || memcmp(text.p, "v=STSv1", 7) != 0)
            continue;
        n++;
        *ret_id = memmem(text.p, text.n, "id=", 3) != NULL;
    }
    return n;
}

void sp_probe_mta_sts(struct sp_probe *p)
{
    struct answer x;
    struct policy y;
    struct sp_buf text;
    char name[300], why[500] = "no memory";
    bool id = false;
    unsigned records;

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
    records = sts_records(&x, &id);
    sp_buf_init(&text, POLICY_MAX);
    if (!records) {
        sp_probe_found(p, NULL, 0, SP_F_STS_NONE, p->domain, NULL, NULL);
    } else if (records > 1 || !id) {
        sp_probe_found(p, NULL, 0, SP_F_STS_RECORD_INVALID, name,
                       records > 1 ? "there are several" : "it has no id", NULL);
    } else if (!fetch(p, &text, why, sizeof why)) {
        sp_probe_found(p, NULL, 0, SP_F_STS_POLICY_MISSING, why, NULL, NULL);
    } else {
        read_policy(sp_buf_view(&text), p->host, &y);
        judge_policy(p, &y);
    }
    sp_buf_free(&text);
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
