/* probe_wire.c - see probe_wire.h.  TLS is in probe_tls.c. */
#include "probe_tls.h"

#include "alloc.h"
#include "err.h"
#include "netaddr.h"
#include "secret.h"
#include "socks.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINES_MAX = 600, /* of one connection's dialogue; later ones are not kept */
    SEEN_MAX = 300,
    REPLY_LINE = 8192,
    REPLY_LINES = 100,
    SLICE_MS = 250, /* how often *stop is looked at */
    QUIT_MS = 3000,
    GONE_MS = 1000,
};

uint64_t sp_pw_now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool sp_pw_alive(const struct sp_pw *w)
{
    return w->end == SP_PW_OPEN;
}

/* ---- the dialogue ---- */

static void record(struct sp_pw *w, enum sp_ev_dir dir, struct sp_str s, bool hidden)
{
    struct sp_pw_line *l;

    if (w->n_lines == w->max_lines) {
        unsigned n = w->max_lines ? w->max_lines * 2 : 32;

        if (w->n_lines >= LINES_MAX)
            return;
        l = sp_realloc(w->line, n * sizeof *l);
        if (!l)
            return; /* the dialogue is shorter, nothing else */
        w->line = l;
        w->max_lines = n;
    }
    l = &w->line[w->n_lines];
    memset(l, 0, sizeof *l);
    l->dir = (uint8_t)dir;
    l->in_tls = w->tls.up;
    l->hidden = hidden;
    l->clipped = s.n > SP_EV_TEXT;
    l->n = (uint16_t)(l->clipped ? SP_EV_TEXT : s.n);
    l->text = sp_strndup(s.n ? s.p : "", l->n);
    if (l->text)
        w->n_lines++;
}

void sp_pw_note(struct sp_pw *w, const char *fmt, ...)
{
    char text[SP_EV_TEXT];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    record(w, SP_EV_NOTE, sp_str(text), false);
}

void sp_pw_stop(struct sp_pw *w, enum sp_pw_end end, const char *fmt, ...)
{
    va_list ap;

    if (w->end != SP_PW_OPEN)
        return;
    w->end = end;
    va_start(ap, fmt);
    (void)vsnprintf(w->why, sizeof w->why, fmt, ap);
    va_end(ap);
    if (end != SP_PW_BYE)
        record(w, SP_EV_NOTE, sp_str(w->why), false);
}

void sp_pw_evidence(const struct sp_pw *w, unsigned from, unsigned to,
                    struct sp_evidence *ev)
{
    char where[24];

    for (unsigned i = from; i < to && i < w->n_lines; i++) {
        const struct sp_pw_line *l = &w->line[i];

        (void)snprintf(where, sizeof where, "%s, connection %u",
                       l->in_tls ? "TLS" : "clear", w->number);
        if (l->dir == SP_EV_NOTE)
            sp_ev_note(ev, where, "%.*s", (int)l->n, l->text);
        else if (l->hidden)
            sp_ev_hidden(ev, where, l->text);
        else
            sp_ev_put(ev, (enum sp_ev_dir)l->dir, where,
                      (struct sp_str){l->text, l->n});
    }
}

/* ---- waiting, reading, writing ---- */

uint64_t sp_pw_until(const struct sp_pw *w, unsigned ms)
{
    uint64_t until = sp_pw_now_ms() + ms;

    return until < w->end_ms ? until : w->end_ms;
}

/* Waits for the socket.  False: time is over (w->end stays), or stopped. */
bool sp_pw_poll(struct sp_pw *w, short events, uint64_t until)
{
    for (;;) {
        uint64_t now = sp_pw_now_ms();
        struct pollfd p = {.fd = w->fd, .events = events};
        int rc;

        if (w->d.stop && *w->d.stop) {
            sp_pw_stop(w, SP_PW_STOPPED, "stopped");
            return false;
        }
        if (now >= until)
            return false;
        rc = poll(&p, 1, until - now < SLICE_MS ? (int)(until - now) : SLICE_MS);
        if (rc > 0)
            return true;
        if (rc < 0 && errno != EINTR) {
            sp_pw_stop(w, SP_PW_RESET, "poll: %s", strerror(errno));
            return false;
        }
    }
}

static void too_slow(struct sp_pw *w)
{
    sp_pw_stop(w, SP_PW_TIMEOUT, "no answer within %u s", (w->d.reply_ms + 999) / 1000);
}

/* -1: nothing yet, *ret_events says what to wait for; 0: the end; else octets. */
static int read_clear(struct sp_pw *w, short *ret_events)
{
    ssize_t n = recv(w->fd, w->in, sizeof w->in, 0);

    *ret_events = POLLIN;
    if (n > 0)
        return (int)n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return -1;
    if (n == 0)
        sp_pw_stop(w, SP_PW_EOF, "the server closed the connection");
    else
        sp_pw_stop(w, SP_PW_RESET, "connection lost: %s", strerror(errno));
    return 0;
}

/* Octets into w->in.  False: none came in time (w->end unchanged), or the end. */
static bool fill(struct sp_pw *w, uint64_t until)
{
    w->in_at = w->in_n = 0;
    while (sp_pw_alive(w)) {
        short events = POLLIN;
        int n = w->ssl ? sp_pw_tls_read(w, &events) : read_clear(w, &events);

        if (n > 0) {
            w->in_n = (size_t)n;
            return true;
        }
        if (n == 0 || !sp_pw_poll(w, events, until))
            return false;
    }
    return false;
}

bool sp_pw_waiting(struct sp_pw *w, unsigned ms)
{
    if (w->in_at < w->in_n)
        return true;
    return sp_pw_alive(w) && fill(w, sp_pw_until(w, ms));
}

void sp_pw_leftover(struct sp_pw *w, char *out, size_t cap)
{
    struct sp_buf b;
    const char *s;

    sp_buf_init(&b, 4 * sizeof w->in + 1);
    (void)sp_put_escaped(&b, (struct sp_str){w->in + w->in_at, w->in_n - w->in_at});
    s = sp_buf_cstr(&b);
    (void)snprintf(out, cap, "%s", s ? s : "");
    sp_buf_free(&b);
}

static bool write_all(struct sp_pw *w, const char *p, size_t n)
{
    uint64_t until = sp_pw_until(w, w->d.reply_ms);

    while (n && sp_pw_alive(w)) {
        short events = POLLOUT;
        ssize_t done = w->ssl ? sp_pw_tls_write(w, p, n, &events)
                              : send(w->fd, p, n, MSG_NOSIGNAL);

        if (done > 0) {
            p += done;
            n -= (size_t)done;
        } else if (!w->ssl && done < 0 && errno != EAGAIN && errno != EINTR) {
            sp_pw_stop(w, SP_PW_RESET, "connection lost: %s", strerror(errno));
        } else if (sp_pw_alive(w) && !sp_pw_poll(w, events, until)) {
            too_slow(w);
        }
    }
    return n == 0;
}

bool sp_pw_send(struct sp_pw *w, struct sp_str octets)
{
    struct sp_str shown = octets;

    if (!sp_pw_alive(w))
        return false;
    if (shown.n >= 2 && memcmp(shown.p + shown.n - 2, "\r\n", 2) == 0)
        shown.n -= 2;
    record(w, SP_EV_CLIENT, shown, false);
    return write_all(w, octets.p, octets.n);
}

/* ---- replies ---- */

/* RFC 3463 2: the class of the enhanced code is the first digit of the reply's. */
static bool enhanced_wrong(const char *line)
{
    const char *p = line + 4;
    unsigned dots = 0;

    if (strlen(line) < 9 || (p[0] != '2' && p[0] != '4' && p[0] != '5') || p[1] != '.')
        return false;
    for (; *p && *p != ' '; p++)
        if (*p == '.')
            dots++;
        else if (*p < '0' || *p > '9')
            return false;
    return dots == 2 && line[4] != line[0];
}

static void remember(struct sp_pw *w, const struct sp_pw_reply *r)
{
    if (w->n_seen == w->max_seen) {
        unsigned n = w->max_seen ? w->max_seen * 2 : 16;
        struct sp_pw_reply *p;

        if (w->n_seen >= SEEN_MAX)
            return;
        p = sp_realloc(w->seen, n * sizeof *p);
        if (!p)
            return;
        w->seen = p;
        w->max_seen = n;
    }
    w->seen[w->n_seen++] = *r;
}

const char *sp_pw_kind(const char *line)
{
    static const struct {
        const char *begin, *kind;
    } kinds[] = {
        {"* OK", "this is an IMAP server"},
        {"* PREAUTH", "this is an IMAP server"},
        {"* BYE", "this is an IMAP server"},
        {"+OK", "this is a POP3 server"},
        {"-ERR", "this is a POP3 server"},
        {"SSH-", "this is an SSH server"},
        {"HTTP/", "this is a web server"},
        {"\"IMPLEMENTATION\"", "this is a ManageSieve server"},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strncmp(line, kinds[i].begin, strlen(kinds[i].begin)) == 0)
            return kinds[i].kind;
    return NULL;
}

/* What came first, fit for a sentence. */
static void first_line(const struct sp_pw *w, char *out, size_t cap)
{
    size_t n = 0;

    for (; n < w->in_n && n + 1 < cap && w->in[n] != '\r' && w->in[n] != '\n'; n++)
        out[n] = w->in[n] >= ' ' && w->in[n] <= '~' ? w->in[n] : '?';
    out[n] = '\0';
}

static void broken_reply(struct sp_pw *w, enum sp_reply_status st)
{
    char line[80];
    const char *kind;

    switch (st) {
    case SP_REPLY_GARBAGE:
        first_line(w, line, sizeof line);
        kind = sp_pw_kind(line);
        sp_pw_stop(w, SP_PW_GARBAGE, "%s: %s",
                   kind ? kind : "what the server said is no SMTP reply", line);
        break;
    case SP_REPLY_ENDLESS:
        sp_pw_stop(w, SP_PW_ENDLESS, "a reply of more than %d lines or a megabyte",
                   (int)REPLY_LINES);
        break;
    case SP_REPLY_NOMEM:
    case SP_REPLY_MORE:
    case SP_REPLY_LINE:
    case SP_REPLY_DONE:
        sp_pw_stop(w, SP_PW_NOMEM, "out of memory");
        break;
    }
}

static void take_line(struct sp_pw *w, struct sp_caps *caps, struct sp_pw_reply *r)
{
    struct sp_str line = sp_reply_line(&w->reader);

    record(w, SP_EV_SERVER, line, false);
    if (r->lines++ == 0)
        (void)snprintf(r->line, sizeof r->line, "%.*s", (int)line.n, line.p);
    if (caps)
        (void)sp_caps_line(caps, sp_reply_line_text(&w->reader));
}

static int read_reply(struct sp_pw *w, const char *line, struct sp_caps *caps,
                      struct sp_pw_reply *ret)
{
    uint64_t until = sp_pw_until(w, w->d.reply_ms);
    struct sp_pw_reply r = {0};
    struct sp_reply got;

    memset(ret, 0, sizeof *ret);
    while (sp_pw_alive(w) || w->in_at < w->in_n) {
        enum sp_reply_status st;
        size_t used;

        if (w->in_at == w->in_n && !fill(w, until)) {
            if (sp_pw_alive(w))
                too_slow(w);
            return 0;
        }
        st = sp_reply_feed(&w->reader, w->in + w->in_at, w->in_n - w->in_at, &used);
        w->in_at += used;
        if (st == SP_REPLY_LINE || st == SP_REPLY_DONE)
            take_line(w, caps, &r);
        if (st == SP_REPLY_DONE)
            break;
        if (st != SP_REPLY_LINE && st != SP_REPLY_MORE) {
            broken_reply(w, st);
            return 0;
        }
        if (sp_pw_now_ms() >= until) { /* a drop at a time is no answer either */
            too_slow(w);
            return 0;
        }
    }
    sp_reply_get(&w->reader, &got);
    r.code = got.code;
    memcpy(r.enh, got.enh, sizeof r.enh);
    r.enh_wrong = enhanced_wrong(r.line);
    (void)snprintf(r.verb, sizeof r.verb, "%.*s", (int)strcspn(line, " \r"), line);
    remember(w, &r);
    *ret = r;
    return r.code;
}

int sp_pw_reply(struct sp_pw *w, struct sp_pw_reply *ret)
{
    return read_reply(w, "", NULL, ret);
}

static int said(struct sp_pw *w, const char *line, size_t n, struct sp_caps *caps,
                struct sp_pw_reply *ret)
{
    memset(ret, 0, sizeof *ret);
    if (!sp_pw_alive(w))
        return 0;
    record(w, SP_EV_CLIENT, (struct sp_str){line, n - 2}, false);
    return write_all(w, line, n) ? read_reply(w, line, caps, ret) : 0;
}

int sp_pw_cmd(struct sp_pw *w, struct sp_pw_reply *ret, const char *fmt, ...)
{
    char line[1100];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line - 2, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line - 2)
        n = (int)sizeof line - 3;
    memcpy(line + n, "\r\n", 2);
    return said(w, line, (size_t)n + 2, NULL, ret);
}

int sp_pw_ehlo(struct sp_pw *w, const char *name, struct sp_caps *caps,
               struct sp_pw_reply *ret)
{
    char line[300];
    int n = snprintf(line, sizeof line, "EHLO %.255s\r\n", name);

    return said(w, line, (size_t)n, caps, ret);
}

int sp_pw_secret(struct sp_pw *w, struct sp_pw_reply *ret, const char *shown,
                 struct sp_str secret)
{
    struct sp_buf b;
    char *place;
    int n, code = 0;

    memset(ret, 0, sizeof *ret);
    if (!sp_pw_alive(w))
        return 0;
    sp_buf_init(&b, 32768);
    record(w, SP_EV_CLIENT, sp_str(shown), true);
    (void)sp_buf_puts(&b, shown);
    place = sp_buf_room(&b, SP_BASE64_LEN(secret.n) + 2);
    if (place) {
        n = sp_base64_encode(secret.p, secret.n, place, SP_BASE64_LEN(secret.n));
        b.n += n > 0 ? (size_t)n : 0;
        (void)sp_buf_puts(&b, "\r\n");
        code = write_all(w, b.p, b.n) ? read_reply(w, "AUTH", NULL, ret) : 0;
    } else {
        sp_pw_stop(w, SP_PW_NOMEM, "out of memory");
    }
    sp_buf_wipe(&b);
    return code;
}

int sp_pw_challenge(struct sp_pw *w, char *out, size_t cap)
{
    return sp_base64_decode(sp_reply_line_text(&w->reader), out, cap);
}

/* ---- opening and closing ---- */

static int connect_to(struct sp_pw *w, const struct sockaddr *sa, socklen_t len,
                      uint64_t until)
{
    int e = 0;
    socklen_t n = sizeof e;

    w->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->fd < 0)
        return errno;
    if (w->d.source) {
        struct sockaddr_storage mine;
        int l = sp_addr_literal(w->d.source, 0, &mine);

        if (l < 0 || mine.ss_family != sa->sa_family)
            e = EAFNOSUPPORT;
        else if (bind(w->fd, (struct sockaddr *)&mine, (socklen_t)l) < 0)
            e = errno;
    }
    if (e == 0 && connect(w->fd, sa, len) < 0 && errno != EINPROGRESS)
        e = errno;
    if (e == 0 && !sp_pw_poll(w, POLLOUT, until))
        e = ETIMEDOUT;
    if (e == 0 && getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0)
        e = errno;
    if (e) {
        (void)close(w->fd);
        w->fd = -1;
    }
    return e;
}

/* Every address of the name in turn; the one that answers is kept for the whole run. */
static int first_connect(struct sp_pw_dial *d, struct sp_pw *w, struct sp_err *err)
{
    struct addrinfo hints = {.ai_family = d->family, .ai_socktype = SOCK_STREAM},
                    *list = NULL;
    const char *host = d->socks_host ? d->socks_host : d->host;
    char port[8];
    int rc, e = EADDRNOTAVAIL;

    (void)snprintf(port, sizeof port, "%u", (unsigned)(d->socks_host ? d->socks_port : d->port));
    rc = getaddrinfo(host, port, &hints, &list);
    if (rc)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ENOENT, "no host %s: %s", host,
                          gai_strerror(rc));
    for (struct addrinfo *a = list; a && sp_pw_alive(w); a = a->ai_next) {
        if (a->ai_addrlen > sizeof d->peer)
            continue;
        e = connect_to(w, a->ai_addr, a->ai_addrlen, sp_pw_until(w, d->connect_ms));
        if (e == 0) {
            memcpy(&d->peer, a->ai_addr, a->ai_addrlen);
            d->peer_len = a->ai_addrlen;
            break;
        }
    }
    freeaddrinfo(list);
    if (e)
        return sp_err_set(
            err, SP_CLASS_TEMPORARY, e == ETIMEDOUT ? SP_ETIMEDOUT : SP_ECLOSED,
            "no connection to %s%s port %s: %s", d->socks_host ? "the proxy " : "", host,
            port, strerror(e));
    return 0;
}

/* From the proxy to the server; what the server said behind it stays in w->in. */
static int through_proxy(struct sp_pw *w, struct sp_err *err)
{
    const struct sp_pw_dial *d = &w->d;
    struct sp_socks_want want = {.host = d->host,
                                 .port = d->port,
                                 .user = d->socks_user,
                                 .password = d->socks_password};
    uint64_t until = sp_pw_until(w, d->connect_ms);
    uint8_t out[SP_SOCKS_OUT];
    struct sp_err why = {0};
    struct sp_socks s;
    size_t n, took;
    int rc = sp_socks_check(&want, &why);

    if (rc == 0)
        n = sp_socks_begin(&s, &want, out);
    while (rc == 0) {
        if ((n && !write_all(w, (const char *)out, n)) ||
            (w->in_at == w->in_n && !fill(w, until)))
            rc = sp_err_set(&why, SP_CLASS_TEMPORARY, SP_ECLOSED, "%s",
                            sp_pw_alive(w) ? "no answer from it" : w->why);
        if (rc == 0)
            rc = sp_socks_take(&s, w->in + w->in_at, w->in_n - w->in_at, &took, out, &n,
                               &why);
        if (rc >= 0)
            w->in_at += took;
    }
    sp_wipe(out, sizeof out); /* a password may have been in it */
    if (rc > 0)
        return 0;
    return sp_err_set(err, why.cls, why.code, "no connection to %s port %u through %s: %s",
                      d->host, d->port, d->socks_host, why.text);
}

int sp_pw_open(struct sp_pw_dial *d, struct sp_pw **ret_w, struct sp_err *err)
{
    struct sp_pw *w = sp_alloc(sizeof *w);
    int rc = 0, e;

    if (!w)
        return sp_err_nomem(err);
    w->fd = -1;
    w->d = *d;
    w->end_ms = sp_pw_now_ms() + d->total_ms;
    sp_reply_init(&w->reader, REPLY_LINE, REPLY_LINES);
    if (d->peer_len == 0) {
        rc = first_connect(d, w, err);
    } else {
        e = connect_to(w, (struct sockaddr *)&d->peer, d->peer_len,
                       sp_pw_until(w, d->connect_ms));
        if (e)
            rc = sp_err_set(err, SP_CLASS_TEMPORARY,
                            e == ETIMEDOUT ? SP_ETIMEDOUT : SP_ECLOSED,
                            "no further connection: %s", strerror(e));
    }
    if (rc == 0 && d->socks_host)
        rc = through_proxy(w, err);
    if (rc == 0)
        *ret_w = w;
    else
        sp_pw_free(w);
    return rc;
}

void sp_pw_stop_quietly(struct sp_pw *w)
{
    sp_pw_stop(w, SP_PW_BYE, "we closed the connection");
}

void sp_pw_end(struct sp_pw *w)
{
    struct sp_pw_reply r;
    unsigned usual = w->d.reply_ms;
    uint64_t until;

    if (sp_pw_alive(w)) {
        w->d.reply_ms = usual < QUIT_MS ? usual : QUIT_MS;
        (void)sp_pw_cmd(w, &r, "QUIT");
        w->d.reply_ms = usual;
        if (w->end == SP_PW_TIMEOUT) { /* nobody has to wait for that one */
            w->end = SP_PW_BYE;
            return;
        }
        until = sp_pw_until(w, GONE_MS);
        while (sp_pw_alive(w) && fill(w, until))
            ;
    }
    sp_pw_stop(w, SP_PW_BYE, "we closed the connection");
    sp_pw_tls_end(w);
    if (w->fd >= 0)
        (void)close(w->fd);
    w->fd = -1;
}

void sp_pw_free(struct sp_pw *w)
{
    if (!w)
        return;
    sp_pw_tls_end(w);
    if (w->fd >= 0)
        (void)close(w->fd);
    for (unsigned i = 0; i < w->n_lines; i++)
        sp_free(w->line[i].text);
    sp_free(w->line);
    sp_free(w->seen);
    sp_reply_free(&w->reader);
    sp_wipe(w, sizeof *w);
    sp_free(w);
}
