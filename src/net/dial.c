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
#define SOCKS_MAX     255 /* octets in a name, user or password (RFC 1928, 1929) */

struct attempt {
    uv_connect_t req;
    struct sp_dial *d;
    struct sp_conn *c; /* NULL: failed or given away */
};

enum socks_step { SOCKS_METHOD, SOCKS_LOGIN, SOCKS_CONNECT };

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
    enum socks_step step;
    uint8_t in[4 + 1 + SOCKS_MAX + 2]; /* the proxy's message so far */
    size_t in_n;
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

static const char *const socks_words[] = {
    "",
    "the proxy failed",
    "the proxy does not permit it",
    "the proxy says: network unreachable",
    "the proxy says: host unreachable",
    "the proxy says: connection refused",
    "the proxy says: TTL expired",
    "the proxy knows no CONNECT",
    "the proxy does not support this kind of address",
};

static void socks_login(struct sp_dial *d)
{
    uint8_t m[3 + 2 * SOCKS_MAX];
    size_t u = strlen(d->user), p = d->password ? strlen(d->password) : 0;

    m[0] = 1;
    m[1] = (uint8_t)u;
    memcpy(m + 2, d->user, u);
    m[2 + u] = (uint8_t)p;
    if (p)
        memcpy(m + 3 + u, d->password, p);
    (void)sp_conn_write(d->proxy, m, 3 + u + p);
    sp_wipe(m, sizeof m);
    d->step = SOCKS_LOGIN;
}

static void socks_connect(struct sp_dial *d)
{
    uint8_t m[7 + SOCKS_MAX] = {5, 1, 0};
    struct sockaddr_storage ss;
    size_t n = 3, len = strlen(d->host);

    if (sp_addr_literal(d->host, 0, &ss) < 0) {
        m[n++] = 3;
        m[n++] = (uint8_t)len;
        memcpy(m + n, d->host, len);
        n += len;
    } else if (ss.ss_family == AF_INET) {
        m[n++] = 1;
        memcpy(m + n, &((struct sockaddr_in *)&ss)->sin_addr, 4);
        n += 4;
    } else {
        m[n++] = 4;
        memcpy(m + n, &((struct sockaddr_in6 *)&ss)->sin6_addr, 16);
        n += 16;
    }
    m[n++] = (uint8_t)(d->port >> 8);
    m[n++] = (uint8_t)d->port;
    (void)sp_conn_write(d->proxy, m, n);
    d->step = SOCKS_CONNECT;
}

/* How many octets the proxy's present message has, as far as d->in tells. */
static size_t socks_need(const struct sp_dial *d)
{
    if (d->in_n < 2 || d->step != SOCKS_CONNECT || d->in[0] != 5 || d->in[1] != 0)
        return 2;
    if (d->in_n < 5)
        return 5;
    switch (d->in[3]) {
    case 1:
        return 4 + 4 + 2;
    case 3:
        return 4 + 1 + (size_t)d->in[4] + 2;
    case 4:
        return 4 + 16 + 2;
    default:
        return 5; /* wrong, see socks_connected() */
    }
}

static void socks_connected(struct sp_dial *d)
{
    bool known = d->in[0] == 5 && d->in[1] < sizeof socks_words / sizeof socks_words[0];

    if (d->in[0] != 5 || d->in[1] != 0)
        fail(d, SP_CLASS_TEMPORARY, SP_EIO,
             known ? socks_words[d->in[1]] : "the proxy failed");
    else if (d->in_n == 5)
        fail(d, SP_CLASS_PEER, SP_EINPUT, "the proxy's answer is malformed");
    else
        finish(d, d->proxy, NULL);
}

static void socks_message(struct sp_dial *d)
{
    const uint8_t *p = d->in;

    if (d->step == SOCKS_CONNECT)
        socks_connected(d);
    else if (d->step == SOCKS_METHOD && p[0] == 5 && p[1] == 0)
        socks_connect(d);
    else if (d->step == SOCKS_METHOD && p[0] == 5 && p[1] == 2 && d->user)
        socks_login(d);
    else if (d->step == SOCKS_LOGIN && p[0] == 1 && p[1] == 0)
        socks_connect(d);
    else
        fail(d, SP_CLASS_PEER, SP_EDENIED,
             d->step == SOCKS_LOGIN    ? "the proxy refused user or password"
             : p[0] != 5               ? "the proxy does not speak SOCKS5"
             : p[1] == 0xff && d->user ? "the proxy refused to let us log in"
                                       : "the proxy wants a login");
}

/* Takes exactly the proxy's messages: what follows belongs to the next owner. */
static size_t socks_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    struct sp_dial *d = arg;
    size_t took = 0;

    (void)c;
    d->refs++; /* done() may end it */
    while (took < n && !d->over) {
        size_t k = socks_need(d) - d->in_n;

        if (k > n - took)
            k = n - took;
        memcpy(d->in + d->in_n, p + took, k);
        d->in_n += k;
        took += k;
        if (d->in_n == socks_need(d)) {
            socks_message(d);
            d->in_n = 0;
        }
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
    static const uint8_t none[] = {5, 1, 0}, login[] = {5, 2, 0, 2};

    d->proxy = c;
    sp_conn_start(c, &socks_ops, d);
    if (d->user)
        (void)sp_conn_write(c, login, sizeof login);
    else
        (void)sp_conn_write(c, none, sizeof none);
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
    else if (d->socks && (strlen(d->host) > SOCKS_MAX || (d->user && !*d->user) ||
                          (d->user && strlen(d->user) > SOCKS_MAX) ||
                          (d->password && strlen(d->password) > SOCKS_MAX)))
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                   "host, user and password for a SOCKS proxy have 1 to 255 octets");
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
