/* srv_proxy.c - clients behind a load balancer or a mail proxy; see server_role.h. */
#include "server_role.h"

#include "alloc.h"
#include "text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* ---- PROXY protocol ---- */

bool srv_proxy_admits(const struct srv_listener *l, const char *address)
{
    return l->l->type != SP_CONF_PROXIED || sp_conf_nets_have(&l->l->proxies, address);
}

static void client_is(struct srv_session *s, const char *address, unsigned port)
{
    snprintf(s->address, sizeof s->address, "%s", address);
    snprintf(s->peer, sizeof s->peer, strchr(address, ':') ? "[%s]:%u" : "%s:%u",
             address, port);
    s->port = port;
    s->address_at.known = false;
}

bool srv_proxy_header(struct srv_session *s, const char *p, size_t n, size_t *ret_used)
{
    *ret_used = sp_proxyhead_feed(s->proxy, p, n);
    switch (s->proxy->state) {
    case SP_PROXY_MORE:
        return true;
    case SP_PROXY_BAD:
        return false;
    case SP_PROXY_CLIENT:
        sp_log(SP_LOG_OPEN, s->id, SP_KVS("listener", s->listener->l->head.name),
               SP_KVS("from", s->proxy->address), SP_KVS("proxy", s->peer));
        client_is(s, s->proxy->address, s->proxy->port);
        break;
    case SP_PROXY_OWN:
        break;
    }
    sp_free(s->proxy);
    s->proxy = NULL;
    s->wait = SRV_WAIT_NOTHING;
    return true;
}

/* ---- XCLIENT ---- */

struct xclient {
    char address[64], port[8], helo[256], login[256], ident[64];
};

/* "[UNAVAILABLE]" and "[TEMPUNAVAIL]" are as good as nothing said. */
static bool unavailable(struct sp_str v)
{
    return sp_str_caseis(v, "[UNAVAILABLE]") || sp_str_caseis(v, "[TEMPUNAVAIL]");
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xtext (RFC 3461 4) into a string; what could harm a log or a trace field is refused. */
static bool put_value(struct sp_str v, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < v.n; i++) {
        int c = (unsigned char)v.p[i];

        if (c == '+') {
            if (i + 2 >= v.n || hex(v.p[i + 1]) < 0 || hex(v.p[i + 2]) < 0)
                return false;
            c = hex(v.p[i + 1]) << 4 | hex(v.p[i + 2]);
            i += 2;
        }
        if (c <= 32 || c == 127 || n + 1 >= cap)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0;
}

/* "192.0.2.1" or "IPV6:2001:db8::1". */
static bool put_address(struct sp_str v, char *out, size_t cap)
{
    uint8_t raw[16];
    int family = AF_INET;

    if (v.n > 5 && sp_str_caseis((struct sp_str){v.p, 5}, "IPV6:")) {
        v = (struct sp_str){v.p + 5, v.n - 5};
        family = AF_INET6;
    }
    return put_value(v, out, cap) && inet_pton(family, out, raw) == 1 &&
           inet_ntop(family, raw, out, (socklen_t)cap);
}

static bool attribute(struct xclient *x, struct sp_str name, struct sp_str v)
{
    uint64_t port;

    if (unavailable(v))
        return true;
    if (sp_str_caseis(name, "ADDR"))
        return put_address(v, x->address, sizeof x->address);
    if (sp_str_caseis(name, "PORT"))
        return sp_str_u64(v, 65535, &port) == 0 &&
               put_value(v, x->port, sizeof x->port);
    if (sp_str_caseis(name, "HELO"))
        return put_value(v, x->helo, sizeof x->helo);
    if (sp_str_caseis(name, "LOGIN"))
        return put_value(v, x->login, sizeof x->login);
    if (sp_str_caseis(name, "IDENT"))
        return put_value(v, x->ident, sizeof x->ident);
    return sp_str_caseis(name, "NAME") || sp_str_caseis(name, "SOURCE") ||
           sp_str_caseis(name, "PROTO") || sp_str_caseis(name, "DESTADDR") ||
           sp_str_caseis(name, "DESTPORT");
}

static bool parse(struct sp_str line, struct xclient *ret)
{
    memset(ret, 0, sizeof *ret);
    while (line.n) {
        struct sp_str v = sp_str_cut(&line, ' '), name;

        if (v.n == 0)
            continue;
        name = sp_str_cut(&v, '=');
        if (!v.p || !attribute(ret, name, v))
            return false;
    }
    return true;
}

/* XCLIENT begins the session anew: what an earlier one said is forgotten. */
static void apply(struct srv_session *s, const struct xclient *x)
{
    uint64_t port = 0;

    s->who = NULL;
    s->by_certificate = s->check_still = false;
    s->user_at.known = false;
    if (s->of_user.on)
        sp_count_leave(s->srv->count, &s->of_user);
    snprintf(s->client_helo, sizeof s->client_helo, "%s", x->helo);
    (void)sp_str_u64(sp_str(x->port), 65535, &port);
    if (x->address[0])
        client_is(s, x->address, (unsigned)port);
    sp_log(SP_LOG_OPEN, s->id, SP_KVS("listener", s->listener->l->head.name),
           SP_KVS("from", s->peer), SP_KVS("login", x->login));
}

void srv_proxy_xclient(struct srv_session *s, struct sp_str attributes)
{
    struct xclient x;

    if (!parse(attributes, &x)) {
        (void)sp_srv_replyf(s->engine, 501, 5, 5, 4,
                            "Bad attribute: the form is NAME=value, values in xtext");
        return;
    }
    apply(s, &x);
    if (!srv_session_count_address(s))
        return; /* it was answered */
    if (!x.login[0] || s->listener->l->xclient != SP_CONF_XCLIENT_LOGIN) {
        (void)sp_srv_accept(s->engine);
        return;
    }
    s->mechanism = "XCLIENT";
    snprintf(s->login, sizeof s->login, "%.199s", x.login);
    s->wait = SRV_WAIT_XCLIENT;
    if (srv_session_ask_named(s, x.login) == 0)
        return;
    s->wait = SRV_WAIT_NOTHING;
    (void)sp_srv_replyf(s->engine, 451, 4, 3, 0, "try again later");
}

/* Only which message of ours it was is of use: the queue knows the rest. */
void srv_proxy_xforward(struct srv_session *s, struct sp_str attributes)
{
    struct xclient x;

    if (!parse(attributes, &x)) {
        (void)sp_srv_replyf(s->engine, 501, 5, 5, 4,
                            "Bad attribute: the form is NAME=value, values in xtext");
        return;
    }
    if (x.ident[0])
        snprintf(s->forwarded_id, sizeof s->forwarded_id, "%s", x.ident);
    (void)sp_srv_accept(s->engine);
}
