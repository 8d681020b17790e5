/* srv_proxy.c - clients behind a load balancer or a mail proxy; see server_role.h. */
#include "server_role.h"

#include "alloc.h"
#include "text.h"
#include "xclient.h"

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

/* XCLIENT begins the session anew: what an earlier one said is forgotten. */
static void apply(struct srv_session *s, const struct sp_xclient *x)
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
    struct sp_xclient x;

    if (!sp_xclient_parse(attributes, &x)) {
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
    struct sp_xclient x;

    if (!sp_xclient_parse(attributes, &x)) {
        (void)sp_srv_replyf(s->engine, 501, 5, 5, 4,
                            "Bad attribute: the form is NAME=value, values in xtext");
        return;
    }
    if (x.ident[0])
        snprintf(s->forwarded_id, sizeof s->forwarded_id, "%s", x.ident);
    (void)sp_srv_accept(s->engine);
}
