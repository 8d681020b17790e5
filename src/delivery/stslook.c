/* stslook.c - see stslook.h. */
#include "stslook.h"

#include "alloc.h"
#include "err.h"
#include "netaddr.h"

#include <stdio.h>
#include <string.h>

enum { ADDRESSES = 8, REFRESH_MAX_S = 86400 };

struct sp_sts_look {
    struct sp_sts_opts o;
    struct sp_dns_query *txt, *a, *aaaa;
    struct sp_https_req *request;
    struct sockaddr_storage address[2 * ADDRESSES];
    size_t addresses;
    bool has_known;
    struct sp_sts_policy known, fetched;
    char domain[256], id[SP_STS_ID_MAX + 1], why[400];
    struct sp_sts_answer answer;
    sp_sts_fn *done;
    void *arg;
};

void sp_sts_drop(struct sp_sts_look *l)
{
    if (!l)
        return;
    sp_dns_drop(l->txt);
    sp_dns_drop(l->a);
    sp_dns_drop(l->aaaa);
    sp_https_cancel(l->request);
    sp_free(l);
}

static void tell(struct sp_sts_look *l)
{
    l->answer.why = l->why;
    l->done(&l->answer, l->arg);
    sp_sts_drop(l);
}

/* What is known counts on, if there is anything. */
static void as_before(struct sp_sts_look *l, enum sp_sts_trouble trouble,
                      const char *why)
{
    snprintf(l->why, sizeof l->why, "%s", why);
    l->answer.trouble = trouble;
    l->answer.policy = l->has_known ? &l->known : NULL;
    tell(l);
}

/* ---- the policy ---- */

static bool is_text(const char *type)
{
    struct sp_str rest = sp_str(type);

    return sp_str_caseis(sp_str_trim(sp_str_cut(&rest, ';')), "text/plain");
}

static void on_policy(void *arg, const struct sp_https_answer *a)
{
    struct sp_sts_look *l = arg;
    const char *why = NULL;
    char status[40];

    l->request = NULL;
    snprintf(status, sizeof status, "HTTP status %ld", a->status);
    if (a->why[0])
        as_before(l, a->verify_failed ? SP_STS_WEBPKI_INVALID : SP_STS_FETCH_ERROR,
                  a->why);
    else if (a->status != 200) /* a redirect is no answer, either: RFC 8461 3.3 */
        as_before(l, SP_STS_FETCH_ERROR, status);
    else if (!is_text(a->type))
        as_before(l, SP_STS_POLICY_INVALID, "it is not text/plain");
    else if (sp_sts_parse(a->body, &l->fetched, &why) < 0)
        as_before(l, SP_STS_POLICY_INVALID, why);
    else {
        memcpy(l->fetched.id, l->id, sizeof l->id);
        l->fetched.fetched_s = l->o.now_s;
        l->answer.fresh = true;
        l->answer.policy = &l->fetched;
        tell(l);
    }
}

static bool put_addresses(const struct sp_sts_look *l, struct sp_buf *out)
{
    char text[SP_ADDR_TEXT];

    if (sp_buf_printf(out, "mta-sts.%s:443:", l->domain) < 0)
        return false;
    for (size_t i = 0; i < l->addresses; i++) {
        sp_addr_ip((const struct sockaddr *)&l->address[i], text, sizeof text);
        if (sp_buf_printf(out, "%s%s", i ? "," : "", text) < 0)
            return false;
    }
    return sp_buf_cstr(out) != NULL;
}

static void request(struct sp_sts_look *l)
{
    struct sp_https_opts o = {.ca = l->o.ca,
                              .ca_path = l->o.ca_path,
                              .timeout_ms = l->o.timeout_ms,
                              .max = SP_STS_TEXT_MAX,
                              .accept = "text/plain"};
    struct sp_buf resolve;
    struct sp_err err = {.text = "out of memory"};
    char url[400];

    snprintf(url, sizeof url, "https://mta-sts.%s/.well-known/mta-sts.txt", l->domain);
    sp_buf_init(&resolve, 2048);
    if (put_addresses(l, &resolve)) {
        o.url = url;
        o.resolve = resolve.p;
        l->request = sp_https_start(l->o.https, &o, on_policy, l, &err);
    }
    sp_buf_free(&resolve);
    if (!l->request)
        as_before(l, SP_STS_FETCH_ERROR, err.text);
}

/* ---- its host ---- */

/* It becomes a part of a URL: nothing in it may be able to change whose URL that is. */
static bool is_name(const char *domain)
{
    static const char of[] = "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    return *domain && domain[strspn(domain, of)] == '\0';
}

static void on_addresses(struct sp_sts_look *l, const struct sp_dns_answer *a)
{
    if (!a->err.code)
        l->addresses += sp_dns_addresses(a, 443, l->address + l->addresses, ADDRESSES);
    if (l->a || l->aaaa)
        return;
    if (l->addresses)
        request(l);
    else
        as_before(l, SP_STS_FETCH_ERROR,
                  a->err.code ? a->err.text : "the policy's host has no address");
}

static void on_a(const struct sp_dns_answer *a, void *arg)
{
    struct sp_sts_look *l = arg;

    l->a = NULL;
    on_addresses(l, a);
}

static void on_aaaa(const struct sp_dns_answer *a, void *arg)
{
    struct sp_sts_look *l = arg;

    l->aaaa = NULL;
    on_addresses(l, a);
}

static void ask_host(struct sp_sts_look *l)
{
    char name[300];

    if (!is_name(l->domain)) {
        as_before(l, SP_STS_FETCH_ERROR, "the domain is no host name");
        return;
    }
    snprintf(name, sizeof name, "mta-sts.%s", l->domain);
    l->a = sp_dns_ask(l->o.dns, name, SP_DNS_A, on_a, l);
    l->aaaa = sp_dns_ask(l->o.dns, name, SP_DNS_AAAA, on_aaaa, l);
    if (!l->a && !l->aaaa)
        as_before(l, SP_STS_FETCH_ERROR, "out of memory");
}

/* ---- the record ---- */

/* RFC 8461 10.2: renewed well before it expires, at least daily where it lives longer. */
static bool is_due(const struct sp_sts_look *l)
{
    uint64_t half = l->known.max_age / 2;

    return l->o.now_s >=
           l->known.fetched_s + (half < REFRESH_MAX_S ? half : REFRESH_MAX_S);
}

static void on_record(const struct sp_dns_answer *a, void *arg)
{
    struct sp_sts_look *l = arg;
    const char *why = "";
    int rc = a->err.code ? 0 : sp_sts_record(a->records, a->n, l->id, &why);

    l->txt = NULL;
    l->answer.record = rc == 1;
    if (a->err.code)
        as_before(l, SP_STS_DNS_ERROR, a->err.text);
    else if (rc < 0)
        as_before(l, SP_STS_RECORD_INVALID, why);
    else if (rc == 0 || (l->has_known && !is_due(l) && strcmp(l->id, l->known.id) == 0))
        as_before(l, SP_STS_FINE, "");
    else if (l->o.stay_away)
        as_before(l, SP_STS_FETCH_ERROR, "it failed a short while ago");
    else
        ask_host(l);
}

const char *sp_sts_trouble_words(enum sp_sts_trouble t)
{
    static const char *const words[] = {
        [SP_STS_FINE] = "",
        [SP_STS_DNS_ERROR] = "the record cannot be looked up",
        [SP_STS_RECORD_INVALID] = "the record does not count",
        [SP_STS_FETCH_ERROR] = "the policy cannot be fetched",
        [SP_STS_WEBPKI_INVALID] = "the policy's host has no certificate that counts",
        [SP_STS_POLICY_INVALID] = "the policy is not valid"};

    return words[t];
}

struct sp_sts_look *sp_sts_look(const struct sp_sts_opts *o, sp_sts_fn *done, void *arg)
{
    struct sp_sts_look *l = sp_alloc(sizeof *l);
    char name[300];

    if (!l)
        return NULL;
    l->o = *o;
    l->done = done;
    l->arg = arg;
    snprintf(l->domain, sizeof l->domain, "%s", o->domain);
    l->has_known = o->known && sp_sts_valid(o->known, o->now_s);
    if (l->has_known)
        l->known = *o->known;
    snprintf(name, sizeof name, "_mta-sts.%s", l->domain);
    l->txt = sp_dns_ask(o->dns, name, SP_DNS_TXT, on_record, l);
    if (!l->txt) {
        sp_free(l);
        return NULL;
    }
    return l;
}
