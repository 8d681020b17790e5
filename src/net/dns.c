/* dns.c - see dns.h. */
#include "dns.h"

#include "alloc.h"
#include "err.h"
#include "text.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unbound.h>

#define TIMEOUT_MS  15000
#define RECORDS_MAX 256
#define CLASS_IN    1

struct sp_dns {
    uv_poll_t poll;
    struct sp_net *net;
    struct ub_ctx *ub;
    unsigned timeout_ms;
    struct sp_dns_query *queries;
    bool freed;
};

struct sp_dns_query {
    struct sp_dns *dns;
    struct sp_dns_query *next, **prev;
    struct sp_timer timer;
    sp_dns_fn *done;
    void *arg;
    int id;               /* libunbound's */
    bool asked;           /* id is good */
    struct sp_err failed; /* it could not even be asked */
    char name[256];
};

static void forget(struct sp_dns_query *q)
{
    *q->prev = q->next;
    if (q->next)
        q->next->prev = q->prev;
    sp_timer_stop(&q->timer);
    sp_free(q);
}

void sp_dns_drop(struct sp_dns_query *q)
{
    if (!q)
        return;
    if (q->asked)
        (void)ub_cancel(q->dns->ub, q->id);
    forget(q);
}

/* The one place where done() is called. */
static void answer(struct sp_dns_query *q, const struct sp_dns_answer *a)
{
    sp_dns_fn *done = q->done;
    void *arg = q->arg;

    forget(q);
    done(a, arg);
}

static void judge(struct sp_dns_query *q, const struct ub_result *r,
                  struct sp_dns_answer *a)
{
    struct sp_err *err = &a->err;

    a->status = r->bogus ? SP_DNS_BOGUS : r->secure ? SP_DNS_SECURE : SP_DNS_INSECURE;
    a->nxdomain = r->nxdomain;
    a->canonical = r->canonname;
    a->ttl = r->ttl > 0 ? (unsigned)r->ttl : 0;
    if (r->bogus) /* forged or broken: the same as no answer (RFC 4035 5.5) */
        sp_err_set(err, SP_CLASS_TEMPORARY, SP_EDENIED,
                   "%s: DNSSEC validation failed: %s", q->name,
                   r->why_bogus ? r->why_bogus : "no reason given");
    else if (r->rcode != 0 && !r->nxdomain)
        sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "%s: DNS says %s", q->name,
                   r->rcode == 2   ? "server failure"
                   : r->rcode == 5 ? "refused"
                                   : "error");
}

static void on_result(void *arg, int rc, struct ub_result *r)
{
    struct sp_str records[RECORDS_MAX];
    struct sp_dns_answer a = {.records = records};
    struct sp_dns_query *q = arg;

    q->asked = false;
    if (rc || !r)
        sp_err_set(&a.err, SP_CLASS_TEMPORARY, SP_EIO, "%s: %s", q->name,
                   ub_strerror(rc));
    else
        judge(q, r, &a);
    for (size_t i = 0; !a.err.code && r->data && r->data[i] && i < RECORDS_MAX; i++)
        if (r->len[i] >= 0)
            records[a.n++] = (struct sp_str){r->data[i], (size_t)r->len[i]};
    answer(q, &a);
    ub_resolve_free(r);
}

static void on_timer(void *arg)
{
    struct sp_dns_query *q = arg;
    struct sp_dns_answer a = {0};

    if (q->asked)
        (void)ub_cancel(q->dns->ub, q->id);
    if (q->failed.code)
        a.err = q->failed;
    else
        sp_err_set(&a.err, SP_CLASS_TEMPORARY, SP_ETIMEDOUT,
                   "%s: no answer from the DNS", q->name);
    answer(q, &a);
}

static void on_ready(uv_poll_t *h, int status, int events)
{
    struct sp_dns *dns = h->data;

    (void)status;
    (void)events;
    if (!dns->freed)
        (void)ub_process(dns->ub);
}

struct sp_dns_query *sp_dns_ask(struct sp_dns *dns, const char *name, int type,
                                sp_dns_fn *done, void *arg)
{
    struct sp_dns_query *q = sp_alloc(sizeof *q);
    int rc;

    if (!q)
        return NULL;
    q->dns = dns;
    q->done = done;
    q->arg = arg;
    (void)snprintf(q->name, sizeof q->name, "%s", name);
    q->next = dns->queries;
    if (q->next)
        q->next->prev = &q->next;
    q->prev = &dns->queries;
    dns->queries = q;
    sp_timer_init(&q->timer, dns->net, on_timer, q);
    rc = strlen(name) < sizeof q->name
             ? ub_resolve_async(dns->ub, q->name, type, CLASS_IN, q, on_result, &q->id)
             : UB_SYNTAX;
    q->asked = rc == 0;
    if (rc)
        sp_err_set(&q->failed, SP_CLASS_PEER, SP_EINPUT, "%.100s: %s", name,
                   ub_strerror(rc));
    sp_timer_start(&q->timer, rc ? 0 : dns->timeout_ms);
    return q;
}

static int configure(struct sp_dns *dns, const struct sp_dns_opts *o,
                     struct sp_err *err)
{
    int rc = 0;

    (void)ub_ctx_debuglevel(dns->ub, 0);
    /* A resolver on this machine is a resolver. */
    (void)ub_ctx_set_option(dns->ub, "do-not-query-localhost:", "no");
    if (o->forwarder)
        rc = ub_ctx_set_fwd(dns->ub, o->forwarder);
    else if (o->resolv_conf)
        rc = ub_ctx_resolvconf(dns->ub, NULL);
    if (rc)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "DNS forwarder %s: %s",
                          o->forwarder ? o->forwarder : "in resolv.conf",
                          ub_strerror(rc));
    if (o->trust_anchor_file)
        rc = ub_ctx_add_ta_file(dns->ub, o->trust_anchor_file);
    if (!rc && o->trust_anchor)
        rc = ub_ctx_add_ta(dns->ub, o->trust_anchor);
    if (rc)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "DNSSEC trust anchor: %s",
                          ub_strerror(rc));
    rc = ub_ctx_async(dns->ub, 1); /* a thread: a forked child would have our rights */
    return rc ? sp_err_set(err, SP_CLASS_BUG, SP_EIO, "DNS: %s", ub_strerror(rc)) : 0;
}

int sp_dns_new(struct sp_net *net, const struct sp_dns_opts *o, struct sp_dns **ret,
               struct sp_err *err)
{
    struct sp_dns *dns = sp_alloc(sizeof *dns);
    int rc;

    if (!dns)
        return sp_err_nomem(err);
    dns->net = net;
    dns->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
    dns->ub = ub_ctx_create();
    rc = dns->ub ? configure(dns, o, err) : sp_err_nomem(err);
    if (rc == 0 && uv_poll_init(sp_net_loop(net), &dns->poll, ub_fd(dns->ub)) < 0)
        rc = sp_err_set(err, SP_CLASS_BUG, SP_EIO, "DNS: cannot watch its answers");
    if (rc < 0) {
        if (dns->ub)
            ub_ctx_delete(dns->ub);
        sp_free(dns);
        return rc;
    }
    dns->poll.data = dns;
    (void)uv_poll_start(&dns->poll, UV_READABLE, on_ready);
    uv_unref((uv_handle_t *)&dns->poll); /* questions keep the loop: their timers do */
    *ret = dns;
    return 0;
}

static void on_gone(uv_handle_t *h)
{
    struct sp_dns *dns = h->data;

    ub_ctx_delete(dns->ub); /* not inside its own callback */
    sp_free(dns);
}

void sp_dns_free(struct sp_dns *dns)
{
    if (!dns || dns->freed)
        return;
    while (dns->queries)
        sp_dns_drop(dns->queries);
    dns->freed = true;
    (void)uv_poll_stop(&dns->poll);
    uv_close((uv_handle_t *)&dns->poll, on_gone);
}

/* ---- records ---- */

static bool host_octet(unsigned char c)
{
    return (sp_lower(c) >= 'a' && sp_lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

/* A wire name that is a host name; anything else is not for us. */
static bool read_host(const uint8_t *p, size_t n, char out[256])
{
    size_t at = 0, len = 0;

    while (at < n && p[at]) {
        size_t label = p[at++];

        if (label > 63 || label > n - at || len + label + 2 > 256)
            return false;
        if (len)
            out[len++] = '.';
        for (size_t i = 0; i < label; i++, at++, len++) {
            if (!host_octet(p[at]))
                return false;
            out[len] = (char)p[at];
        }
    }
    out[len] = 0;
    return at + 1 == n;
}

size_t sp_dns_mx(const struct sp_dns_answer *a, struct sp_dns_mx *out, size_t max)
{
    struct sp_dns_mx one;
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++) {
        const uint8_t *p = (const uint8_t *)a->records[i].p;
        size_t at, equals = 1;
        uint32_t r = 0;

        if (a->records[i].n < 3 || !read_host(p + 2, a->records[i].n - 2, one.host))
            continue;
        one.preference = (uint16_t)(p[0] << 8 | p[1]);
        /* Behind all better ones, at a random place among its equals. */
        for (at = 0; at < n && out[at].preference < one.preference; at++)
            ;
        while (at + equals - 1 < n && out[at + equals - 1].preference == one.preference)
            equals++;
        (void)uv_random(NULL, NULL, &r, sizeof r, 0, NULL);
        at += r % equals;
        if (at >= max)
            continue;
        if (n == max)
            n--;
        memmove(out + at + 1, out + at, (n - at) * sizeof *out);
        out[at] = one;
        n++;
    }
    return n;
}

/* RFC 2782: of what is left of the best priority, one by its share of the weights. */
static void draw(struct sp_dns_srv *s, size_t n)
{
    struct sp_dns_srv chosen;
    uint32_t r = 0, sum = 0, upto = 0;
    size_t best = 0, at = 0;

    for (size_t i = 1; i < n; i++)
        if (s[i].priority < s[best].priority)
            best = i;
    for (size_t i = 0; i < n; i++)
        if (s[i].priority == s[best].priority)
            sum += s[i].weight + 1U; /* so that a weight of 0 has a small chance */
    (void)uv_random(NULL, NULL, &r, sizeof r, 0, NULL);
    for (size_t i = 0; i < n; i++) {
        if (s[i].priority != s[best].priority)
            continue;
        upto += s[i].weight + 1U;
        at = i;
        if (r % sum < upto)
            break;
    }
    chosen = s[at];
    memmove(s + 1, s, at * sizeof *s);
    s[0] = chosen;
}

size_t sp_dns_srv(const struct sp_dns_answer *a, struct sp_dns_srv *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n && n < max; i++) {
        const uint8_t *p = (const uint8_t *)a->records[i].p;

        if (a->records[i].n < 7 || !read_host(p + 6, a->records[i].n - 6, out[n].host))
            continue;
        out[n].priority = (uint16_t)(p[0] << 8 | p[1]);
        out[n].weight = (uint16_t)(p[2] << 8 | p[3]);
        out[n].port = (uint16_t)(p[4] << 8 | p[5]);
        n++;
    }
    for (size_t i = 0; i + 1 < n; i++)
        draw(out + i, n - i);
    return n;
}

size_t sp_dns_addresses(const struct sp_dns_answer *a, uint16_t port,
                        struct sockaddr_storage *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n && n < max; i++) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&out[n];
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out[n];

        if (a->records[i].n != 4 && a->records[i].n != 16)
            continue;
        memset(&out[n], 0, sizeof out[n]);
        if (a->records[i].n == 4) {
            v4->sin_family = AF_INET;
            v4->sin_port = htons(port);
            memcpy(&v4->sin_addr, a->records[i].p, 4);
        } else {
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons(port);
            memcpy(&v6->sin6_addr, a->records[i].p, 16);
        }
        n++;
    }
    return n;
}
