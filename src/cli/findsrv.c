/* findsrv.c - see findsrv.h. */
#include "findsrv.h"

#include "dns.h"
#include "err.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { SERVERS = 16 };

struct asking {
    bool done;
    struct sp_err err;
    struct sp_dns_srv srv[SERVERS];
    size_t n;
};

static void on_answer(const struct sp_dns_answer *a, void *arg)
{
    struct asking *x = arg;

    x->done = true;
    x->err = a->err;
    if (a->err.code == SP_OK)
        x->n = sp_dns_srv(a, x->srv, SERVERS);
}

static int ask(struct sp_dns *dns, uv_loop_t *loop, const char *service,
               const char *domain, struct asking *x, struct sp_err *err)
{
    char name[300];

    memset(x, 0, sizeof *x);
    snprintf(name, sizeof name, "%s._tcp.%s", service, domain);
    if (strlen(name) > 253)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "the domain is too long");
    if (!sp_dns_ask(dns, name, SP_DNS_SRV, on_answer, x))
        return sp_err_nomem(err);
    while (!x->done && uv_run(loop, UV_RUN_ONCE))
        ;
    if (x->err.code == SP_OK)
        return 0;
    return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN,
                      "the DNS says nothing of %s: %s", name, x->err.text);
}

/* Is it the domain or a name below it? */
static bool within(struct sp_str host, struct sp_str domain)
{
    if (host.n > domain.n && host.p[host.n - domain.n - 1] == '.')
        host = (struct sp_str){host.p + (host.n - domain.n), domain.n};
    return sp_str_caseeq(host, domain);
}

static void take(const struct sp_dns_srv *s, const char *domain, bool implicit,
                 struct sp_found *ret)
{
    snprintf(ret->host, sizeof ret->host, "%s", s->host);
    ret->port = s->port;
    ret->implicit_tls = implicit;
    snprintf(ret->verify, sizeof ret->verify, "%s",
             within(sp_str(s->host), sp_str(domain)) ? s->host : domain);
}

static int find(struct sp_dns *dns, uv_loop_t *loop, const char *domain,
                struct sp_found *ret, struct sp_err *err)
{
    static const char *const services[] = {"_submissions", "_submission"};
    struct asking x;

    for (int i = 0; i < 2; i++) {
        int rc = ask(dns, loop, services[i], domain, &x, err);

        if (rc < 0)
            return rc;
        for (size_t k = 0; k < x.n; k++)
            if (x.srv[k].host[0] && x.srv[k].port) {
                take(&x.srv[k], domain, i == 0, ret);
                return 0;
            }
    }
    return sp_err_set(
        err, SP_CLASS_PEER, SP_ENOENT,
        "%s names no submission server in the DNS (no SRV record "
        "_submissions._tcp or _submission._tcp): name one by smtps://HOST",
        domain);
}

int sp_find_submission(const char *domain, const char *resolver, struct sp_found *ret,
                       struct sp_err *err)
{
    struct sp_dns_opts o = {.forwarder = resolver, .resolv_conf = resolver == NULL};
    struct sp_dns *dns = NULL;
    struct sp_net *net;
    uv_loop_t loop;
    int rc;

    if (uv_loop_init(&loop) < 0)
        return sp_err_nomem(err);
    net = sp_net_new(&loop);
    rc = net ? sp_dns_new(net, &o, &dns, err) : sp_err_nomem(err);
    if (rc == 0)
        rc = find(dns, &loop, domain, ret, err);
    sp_dns_free(dns);
    sp_net_free(net);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return rc;
}
