/*
 * dial.c - see dial.h.
 *
 * A dial counts what still refers to it: the look-up, each attempt whose connect
 * callback has not come, the handle itself.  `over` is set when done() was called or the
 * caller cancelled; the memory goes with the last reference.
 */
#include "dial.h"

#include "alloc.h"
#include "connint.h"
#include "err.h"
#include "netaddr.h"
#include "secret.h"
#include "socks.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define ADDRESSES_MAX 16
#define STAGGER_MS    250 /* RFC 8305 5: "Connection Attempt Delay" */
#define TIMEOUT_MS    30000

struct attempt {
    uv_connect_t req;
    struct sp_dial *d;
    struct sp_conn *c; /* NULL: failed or given away */
};

struct sp_dial {
    struct sp_net *net;
    sp_dial_fn *done;
    void *arg;
    unsigned refs;
    bool over;
    uv_getaddrinfo_t look;
    struct sp_timer deadline, stagger;
    struct sockaddr_storage addr[ADDRESSES_MAX], source;
    struct attempt attempt[ADDRESSES_MAX];
    size_t n, next, running;
    char *host, *unix_path; /* host: where we want to be in the end */
    uint16_t port;
    char *hop; /* what is looked up: the host, or the proxy */
    uint16_t hop_port;
    enum sp_family family;
    unsigned timeout_ms;
    bool socks, has_source;
    char *user, *password;
    struct sp_socks socks_talk;
    struct sp_conn *proxy; /* the connection that SOCKS is spoken on */
    struct sp_err first;   /* why nothing could be begun */
    char tries[240];       /* "192.0.2.1: connection refused; ..." */
};

static void unref(struct sp_dial *d)
{
    if (--d->refs)
        return;
    sp_free(d->host);
    sp_free(d->hop);
    sp_free(d->unix_path);
    sp_free(d->user);
    if (d->password)
        sp_wipe(d->password, strlen(d->password));
    sp_free(d->password);
    sp_free(d);
}

static void stop_attempts(struct sp_dial *d, const struct sp_conn *keep)
{
    sp_timer_stop(&d->stagger);
    for (size_t i = 0; i < d->next; i++) {
        struct sp_conn *c = d->attempt[i].c;

        d->attempt[i].c = NULL;
        if (c && c != keep)
            sp_conn_abort(c);
    }
}

/* Everything that runs is stopped but for `keep`. */
static void stop(struct sp_dial *d, const struct sp_conn *keep)
{
    d->over = true;
    sp_timer_stop(&d->deadline);
    stop_attempts(d, keep);
    if (d->proxy && d->proxy != keep)
        sp_conn_abort(d->proxy);
    d->proxy = NULL;
    (void)uv_cancel((uv_req_t *)&d->look); /* its callback comes in any case */
}

static void finish(struct sp_dial *d, struct sp_conn *c, const struct sp_err *err)
{
    if (d->over)
        return;
    stop(d, c);
    d->done(c, err, d->arg);
    unref(d);
}

/* "cannot connect to <where>: <why>" */
static void fail(struct sp_dial *d, enum sp_class cls, enum sp_code code,
                 const char *why)
{
    struct sp_err err;

    if (d->unix_path)
        sp_err_set(&err, cls, code, "cannot connect to %s: %s", d->unix_path, why);
    else
        sp_err_set(&err, cls, code, "cannot connect to %s:%u%s%s: %s", d->host, d->port,
                   d->socks ? " through " : "", d->socks ? d->hop : "", why);
    finish(d, NULL, &err);
}

/* ---- SOCKS5 ---- */

static struct sp_socks_want socks_want(const struct sp_dial *d)
{
    return (struct sp_socks_want){
        .host = d->host, .port = d->port, .user = d->user, .password = d->password};
}

static void socks_send(struct sp_dial *d, uint8_t *m, size_t n)
{
    if (n > 0)
        (void)sp_conn_write(d->proxy, m, n);
    sp_wipe(m, n); /* a password may have been in it */
}

/* Takes exactly the proxy's messages: what follows belongs to the next owner. */
static size_t socks_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    struct sp_dial *d = arg;
    uint8_t out[SP_SOCKS_OUT];
    size_t took = 0, k, out_n;
    struct sp_err err;
    int rc = 0;

    d->refs++; /* done() may end it */
    while (took < n && !d->over && rc == 0) {
        rc = sp_socks_take(&d->socks_talk, p + took, n - took, &k, out, &out_n, &err);
        took += k;
        if (rc > 0)
            finish(d, c, NULL);
        else if (rc < 0)
            fail(d, err.cls, err.code, err.text);
        else
            socks_send(d, out, out_n);
    }
    unref(d);
    return took;
}

static void socks_end(struct sp_conn *c, const struct sp_end *end, void *arg)
{
    (void)c;
    (void)end;
    fail(arg, SP_CLASS_TEMPORARY, SP_ECLOSED, "the proxy closed the connection");
}

static const struct sp_conn_ops socks_ops = {.on_read = socks_read,
                                             .on_end = socks_end};

static void socks_begin(struct sp_dial *d, struct sp_conn *c)
{
    struct sp_socks_want want = socks_want(d);
    uint8_t out[SP_SOCKS_OUT];

    d->proxy = c;
    sp_conn_start(c, &socks_ops, d);
    socks_send(d, out, sp_socks_begin(&d->socks_talk, &want, out));
}

/* ---- connecting ---- */

static void next_attempt(struct sp_dial *d);

static void note_failure(struct sp_dial *d, size_t i, int uverr)
{
    size_t n = strlen(d->tries);
    char ip[SP_ADDR_TEXT] = "";

    if (!d->unix_path)
        sp_addr_ip((const struct sockaddr *)&d->addr[i], ip, sizeof ip);
    (void)snprintf(d->tries + n, sizeof d->tries - n, "%s%s%s%s", n ? "; " : "", ip,
                   ip[0] ? ": " : "", uv_strerror(uverr));
}

static void on_connect(uv_connect_t *req, int status)
{
    struct attempt *a = req->data;
    struct sp_dial *d = a->d;
    struct sp_conn *c = a->c;

    d->running--;
    if (!d->over && c && status == 0) {
        a->c = NULL;
        if (d->socks) {
            stop_attempts(d, c);
            socks_begin(d, c);
        } else {
            finish(d, c, NULL);
        }
    } else if (!d->over && c) {
        a->c = NULL;
        note_failure(d, (size_t)(a - d->attempt), status);
        sp_conn_abort(c);
        next_attempt(d); /* at once, without waiting for the 250 ms */
    }
    unref(d);
}

/* uv_tcp_connect() or its like; false: failed at once, and noted. */
static bool begin_attempt(struct sp_dial *d, size_t i)
{
    const struct sockaddr *to = (const struct sockaddr *)&d->addr[i];
    struct attempt *a = &d->attempt[i];
    struct sp_conn *c = sp_conn_embryo(d->net, d->unix_path != NULL, 0);
    int rc = UV_ENOMEM;

    if (!c)
        goto fail;
    a->d = d;
    a->c = c;
    a->req.data = a;
    if (d->unix_path) {
        uv_pipe_connect(&a->req, (uv_pipe_t *)sp_conn_stream(c), d->unix_path,
                        on_connect);
    } else {
        rc = d->has_source ? uv_tcp_bind((uv_tcp_t *)sp_conn_stream(c),
                                         (const struct sockaddr *)&d->source, 0)
                           : 0;
        if (rc == 0)
            rc = uv_tcp_connect(&a->req, (uv_tcp_t *)sp_conn_stream(c), to, on_connect);
        if (rc < 0)
            goto fail;
    }
    d->refs++;
    d->running++;
    return true;
fail:
    a->c = NULL;
    if (c)
        sp_conn_abort(c);
    note_failure(d, i, rc);
    return false;
}

static void next_attempt(struct sp_dial *d)
{
    while (d->next < d->n) {
        if (begin_attempt(d, d->next++)) {
            if (d->next < d->n)
                sp_timer_start(&d->stagger, STAGGER_MS);
            return;
        }
    }
    if (d->running == 0)
        fail(d, SP_CLASS_TEMPORARY, SP_EIO, d->tries);
}

static void on_stagger(void *arg)
{
    struct sp_dial *d = arg;

    if (d->first.text[0])
        finish(d, NULL, &d->first);
    else
        next_attempt(d);
}

static void on_deadline(void *arg)
{
    struct sp_dial *d = arg;
    char why[300];

    (void)snprintf(why, sizeof why, "no answer within %u s%s%s",
                   (d->timeout_ms + 999) / 1000, d->tries[0] ? "; " : "", d->tries);
    fail(d, SP_CLASS_TEMPORARY, SP_ETIMEDOUT, why);
}

/* ---- names ---- */

static bool wanted(const struct sp_dial *d, int family)
{
    if (d->has_source && family != d->source.ss_family)
        return false;
    return d->family == SP_FAMILY_ANY
               ? family == AF_INET || family == AF_INET6
               : family == (d->family == SP_FAMILY_4 ? AF_INET : AF_INET6);
}

/* Families alternate, the system's favourite first (RFC 8305 4). */
static void take_addresses(struct sp_dial *d, const struct addrinfo *res)
{
    int first = 0;

    for (const struct addrinfo *r = res; r && !first; r = r->ai_next)
        if (wanted(d, r->ai_family))
            first = r->ai_family;
    for (int turn = 0; turn < 2; turn++) {
        size_t at = (size_t)turn;

        for (const struct addrinfo *r = res; r; r = r->ai_next) {
            if (!wanted(d, r->ai_family) || (r->ai_family == first) != (turn == 0))
                continue;
            if (at >= ADDRESSES_MAX)
                break;
            memcpy(&d->addr[at], r->ai_addr, r->ai_addrlen);
            at += 2;
        }
    }
    /* Close the gaps where one family had fewer. */
    for (size_t i = 0; i < ADDRESSES_MAX; i++)
        if (d->addr[i].ss_family)
            d->addr[d->n++] = d->addr[i];
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct sp_dial *d = req->data;

    if (d->over)
        goto out;
    if (status < 0) {
        bool gone = status == UV_EAI_NONAME || status == UV_EAI_NODATA;

        fail(d, gone ? SP_CLASS_PEER : SP_CLASS_TEMPORARY, gone ? SP_ENOENT : SP_EIO,
             gone ? "no such host" : uv_strerror(status));
        goto out;
    }
    take_addresses(d, res);
    if (d->n == 0)
        fail(d, SP_CLASS_PEER, SP_ENOENT, "it has no address of the wanted family");
    else
        next_attempt(d);
out:
    uv_freeaddrinfo(res);
    unref(d);
}

static void look_up(struct sp_dial *d)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    int rc;

    hints.ai_family = d->family == SP_FAMILY_4   ? AF_INET
                      : d->family == SP_FAMILY_6 ? AF_INET6
                                                 : AF_UNSPEC;
    (void)snprintf(port, sizeof port, "%u", d->hop_port);
    d->look.data = d;
    rc = uv_getaddrinfo(sp_net_loop(d->net), &d->look, on_looked_up, d->hop, port,
                        &hints);
    if (rc < 0)
        sp_err_set(&d->first, SP_CLASS_PEER, SP_EINPUT, "cannot look up %s: %s", d->hop,
                   uv_strerror(rc));
    else
        d->refs++;
}

/* ---- the interface ---- */

static char *copy(const char *s, bool *bad)
{
    char *p = s ? sp_strdup(s) : NULL;

    if (s && !p)
        *bad = true;
    return p;
}

/* What can be refused without trying. */
static void check(struct sp_dial *d, const struct sp_dial_opts *o)
{
    struct sp_err *err = &d->first;

    if (o->source && sp_addr_literal(o->source, 0, &d->source) < 0)
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "source \"%.80s\" is not an address",
                   o->source);
    else if (!d->unix_path && (!o->host || !*o->host || !o->port))
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "no host and port to connect to");
    else if (d->unix_path && strlen(d->unix_path) > 107)
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%.200s: path too long",
                   d->unix_path);
    else if (d->socks) {
        struct sp_socks_want want = socks_want(d);

        (void)sp_socks_check(&want, err);
    }
    d->has_source = o->source && !err->text[0];
    for (size_t i = 0; !d->socks && i < o->n_addresses && d->n < ADDRESSES_MAX; i++)
        if (wanted(d, o->addresses[i].ss_family))
            d->addr[d->n++] = o->addresses[i];
    if (o->n_addresses && d->n == 0 && !d->socks && !err->text[0])
        sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                   "%s has no address of the wanted family", d->host);
}

/* As next_attempt(), but a failure must wait until sp_dial() has returned. */
static void begin_first(struct sp_dial *d)
{
    while (d->next < d->n)
        if (begin_attempt(d, d->next++)) {
            if (d->next < d->n)
                sp_timer_start(&d->stagger, STAGGER_MS);
            return;
        }
    sp_err_set(&d->first, SP_CLASS_TEMPORARY, SP_EIO, "cannot connect to %s: %s",
               d->unix_path ? d->unix_path : d->hop, d->tries);
}

static void begin(struct sp_dial *d)
{
    if (d->n) { /* the caller's addresses */
        begin_first(d);
        return;
    }
    if (!d->unix_path && sp_addr_literal(d->hop, d->hop_port, &d->addr[0]) < 0) {
        look_up(d);
        return;
    }
    if (!d->unix_path && !wanted(d, d->addr[0].ss_family)) {
        sp_err_set(&d->first, SP_CLASS_PEER, SP_ENOENT,
                   "%s is not an address of the wanted family", d->hop);
        return;
    }
    d->n = 1;
    begin_first(d);
}

struct sp_dial *sp_dial(struct sp_net *net, const struct sp_dial_opts *o,
                        sp_dial_fn *done, void *arg)
{
    struct sp_dial *d = sp_alloc(sizeof *d);
    bool bad = false;

    if (!d)
        return NULL;
    d->refs = 1;
    d->net = net;
    d->done = done;
    d->arg = arg;
    d->family = o->family;
    d->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
    d->socks = o->socks_host && !o->unix_path;
    d->unix_path = copy(o->unix_path, &bad);
    d->host = copy(o->host ? o->host : "", &bad);
    d->port = o->port;
    d->hop = copy(d->socks ? o->socks_host : d->host, &bad);
    d->hop_port = d->socks ? o->socks_port : o->port;
    d->user = copy(d->socks ? o->socks_user : NULL, &bad);
    d->password = copy(d->socks ? o->socks_password : NULL, &bad);
    sp_timer_init(&d->deadline, net, on_deadline, d);
    sp_timer_init(&d->stagger, net, on_stagger, d);
    if (bad) {
        unref(d);
        return NULL;
    }
    check(d, o);
    if (!d->first.text[0])
        begin(d);
    if (d->first.text[0])
        sp_timer_start(&d->stagger, 0); /* done() only after we have returned */
    else
        sp_timer_start(&d->deadline, d->timeout_ms);
    return d;
}

void sp_dial_cancel(struct sp_dial *d)
{
    if (!d || d->over)
        return;
    stop(d, NULL);
    unref(d);
}
