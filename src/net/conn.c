/*
 * conn.c - see conn.h.
 *
 * The way in:  socket -> net->in (shared) -> [SSL through bio_read()] -> net->plain
 *              (shared) -> on_read() -> what it left: c->kept / c->sealed
 * The way out: sp_conn_write() -> c->out -> [SSL through bio_write()] -> net->out
 *              (shared) -> one uv_try_write() -> what the socket left: c->flight, c->wire
 *
 * The shared buffers belong to a connection only while one of its functions runs: each
 * SSL_* call is followed by send_sealed() before any callback.
 *
 * Life: embryo (dial.c) or open -> started -> [ended: on_end() or failed on_tls()] ->
 *       closing (flush, close_notify, FIN, linger) -> dead (uv_close) -> freed.
 */
#include "conn.h"

#include "alloc.h"
#include "connint.h"
#include "err.h"
#include "netaddr.h"
#include "netint.h"
#include "secret.h"
#include "tlsint.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUT_DEFAULT     (256 * 1024)
#define WIRE_MAX        (512 * 1024) /* octets for the socket behind the flight */
#define SLICE           (64 * 1024)  /* plaintext sealed at once */
#define CLOSE_FLUSH_MS  10000
#define CLOSE_LINGER_MS 2000
#define CLOSE_DISCARD   (4 * 1024 * 1024)

/* Octets handed to libuv because the socket was full. */
struct flight {
    uv_write_t req;
    struct sp_conn *c;
    size_t n;
    char data[];
};

struct sp_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct sp_net *net;
    struct sp_conn *next, **prev;   /* all connections */
    struct sp_conn *dnext, **dprev; /* dirty ones; dprev NULL: clean */
    const struct sp_conn_ops *ops;
    void *arg;
    struct sp_timer timer;
    struct sp_tls *tls;
    struct sp_tls_ctx *want_tls; /* asked for inside on_read() */
    char *want_host;
    struct sp_buf kept;   /* readable octets the caller did not take */
    struct sp_buf sealed; /* ciphertext behind them */
    size_t sealed_off;
    struct sp_buf out; /* the caller's output */
    size_t out_off;
    struct flight *flight; /* one write request at a time */
    struct sp_buf wire;    /* for the socket, behind the flight */
    const char *in;        /* ciphertext for bio_read(): shared buffer or c->sealed */
    size_t in_n;
    size_t discarded;
    size_t gate; /* more waiting output than this stops reading; 0: nothing does */
    bool unix_socket : 1;
    bool tls_follows : 1;
    bool started : 1;
    bool reading : 1; /* uv_read_start() is in force */
    bool paused : 1;
    bool in_read : 1;  /* inside on_read() */
    bool again : 1;    /* sp_conn_resume() inside on_read() */
    bool direct : 1;   /* this read goes into the caller's buffer */
    bool tls_used : 1; /* TLS was begun: never twice */
    bool tls_seen : 1; /* the first octet of the peer's TLS was looked at */
    bool up : 1;       /* handshake done */
    bool tls_client : 1;
    bool first_read : 1; /* something was read through TLS */
    bool mute : 1;       /* nothing goes out any more */
    bool broken : 1;     /* the socket refuses output */
    bool eof : 1;        /* the socket has no more input */
    bool ended : 1;      /* on_end() or a failed on_tls() happened */
    bool sent_some : 1;  /* since the last on_drain() */
    bool closing : 1;
    bool notified : 1; /* close_notify is on its way */
    bool shut : 1;     /* FIN is on its way */
    bool dead : 1;     /* uv_close() was called */
};

static void flush(struct sp_conn *c);
static void pump(struct sp_conn *c);
static void settle(struct sp_conn *c);

/* ---- lists ---- */

static void make_dirty(struct sp_conn *c)
{
    struct sp_net *net = c->net;

    if (c->dprev || c->dead)
        return;
    c->dnext = net->dirty;
    if (c->dnext)
        c->dnext->dprev = &c->dnext;
    c->dprev = &net->dirty;
    net->dirty = c;
    sp_net_awake(net);
}

static void make_clean(struct sp_conn *c)
{
    if (!c->dprev)
        return;
    *c->dprev = c->dnext;
    if (c->dnext)
        c->dnext->dprev = c->dprev;
    c->dprev = NULL;
}

void sp_conn_turn(struct sp_net *net)
{
    struct sp_conn *work = net->dirty;

    /* Only what is dirty now: a sender that refills in on_drain() waits for the next
     * turn, or nothing else would ever run. */
    net->dirty = NULL;
    if (work)
        work->dprev = &work;
    while (work) {
        struct sp_conn *c = work;

        make_clean(c);
        pump(c);
        settle(c);
    }
}

/* ---- the end ---- */

static void on_gone(uv_handle_t *h)
{
    struct sp_conn *c = h->data;
    struct sp_net *net = c->net;
    void (*closed)(void *) = c->ops ? c->ops->on_closed : NULL;
    void *arg = c->arg;

    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    net->n_conns--;
    sp_tls_close(c->tls);
    sp_tls_unref(c->want_tls);
    sp_free(c->want_host);
    sp_buf_wipe(&c->kept);
    sp_buf_free(&c->sealed);
    sp_buf_wipe(&c->out);
    sp_buf_free(&c->wire);
    sp_free(c);
    if (closed)
        closed(arg);
    sp_net_forget(net);
}

static void destroy(struct sp_conn *c)
{
    if (c->dead)
        return;
    c->dead = true;
    make_clean(c);
    sp_timer_stop(&c->timer);
    uv_close(&c->u.handle, on_gone);
}

/* The peer is done, in whatever way; said once. */
static void end(struct sp_conn *c, struct sp_end *e)
{
    if (c->ended || c->dead || c->closing)
        return;
    c->ended = true;
    if (e->kind == SP_END_TLS)
        c->mute = true;
    if (c->ops->on_end)
        c->ops->on_end(c, e, c->arg);
    else
        sp_conn_close(c);
}

static void end_lost(struct sp_conn *c, int uverr)
{
    struct sp_end e = {.kind = SP_END_LOST};

    sp_err_set(&e.err, SP_CLASS_TEMPORARY, SP_ECLOSED, "connection lost: %s",
               uv_strerror(uverr));
    end(c, &e);
}

static void tls_failed(struct sp_conn *c, const struct sp_err *err)
{
    if (c->ended || c->dead || c->closing)
        return;
    c->ended = true;
    c->mute = true; /* nothing in clear after a failed handshake (RFC 3207 4.1) */
    c->ops->on_tls(c, err, c->arg);
}

static void end_eof(struct sp_conn *c)
{
    struct sp_end e = {.kind = SP_END_CLEAN};

    if (c->tls && !c->up) {
        enum sp_class cls = c->tls_client ? SP_CLASS_INSECURE : SP_CLASS_PEER;

        c->tls->ended_by_peer = true;
        sp_err_set(&e.err, cls, SP_ETLS, "connection closed during the TLS handshake");
        tls_failed(c, &e.err);
        return;
    }
    if (c->tls) {
        e.kind = SP_END_TRUNCATED;
        sp_err_set(&e.err, SP_CLASS_TEMPORARY, SP_ECLOSED,
                   "connection closed without the end of TLS");
    } else {
        sp_err_set(&e.err, SP_CLASS_TEMPORARY, SP_ECLOSED, "connection closed");
    }
    end(c, &e);
}

/* ---- output ---- */

static size_t out_n(const struct sp_conn *c)
{
    return c->out.n - c->out_off;
}

static void drop_output(struct sp_conn *c)
{
    sp_buf_wipe(&c->out);
    c->out_off = 0;
    sp_buf_free(&c->wire);
}

/* The socket takes nothing more.  What the peer said before it went (a 421) may still
 * be unread: reading finds the end and reports it. */
static void break_output(struct sp_conn *c)
{
    c->broken = true;
    drop_output(c);
}

static void on_flight(uv_write_t *req, int status);

static int launch(struct sp_conn *c, const char *p, size_t n)
{
    struct flight *f = sp_alloc(sizeof *f + n);
    uv_buf_t b;

    if (!f)
        return -SP_ENOMEM;
    f->c = c;
    f->n = n;
    memcpy(f->data, p, n);
    b = uv_buf_init(f->data, (unsigned)n);
    if (uv_write(&f->req, &c->u.stream, &b, 1, on_flight) < 0) {
        sp_free(f);
        return -SP_EIO;
    }
    c->flight = f;
    return 0;
}

/* Octets for the socket as they are: now if it takes them, else behind what waits. */
static void send_raw(struct sp_conn *c, const char *p, size_t n)
{
    uv_buf_t b;
    int k = 0;

    if (c->dead || c->broken || n == 0)
        return;
    c->sent_some = true;
    if (c->flight || c->wire.n) {
        if (sp_buf_put(&c->wire, p, n) < 0)
            break_output(c);
        return;
    }
    b = uv_buf_init((char *)p, (unsigned)n);
    k = uv_try_write(&c->u.stream, &b, 1);
    if (k < 0 && k != UV_EAGAIN) {
        break_output(c);
        return;
    }
    if (k < 0)
        k = 0;
    if ((size_t)k < n && launch(c, p + k, n - (size_t)k) < 0)
        break_output(c);
}

static void on_flight(uv_write_t *req, int status)
{
    struct flight *f = (struct flight *)(void *)req;
    struct sp_conn *c = f->c;

    c->flight = NULL;
    sp_wipe(f->data, f->n);
    sp_free(f);
    if (c->dead)
        return;
    if (status < 0)
        break_output(c);
    if (c->wire.n && !c->broken) {
        if (launch(c, c->wire.p, c->wire.n) < 0)
            break_output(c);
        sp_buf_free(&c->wire);
    }
    pump(c); /* input may have waited for the output to leave */
    settle(c);
}

/* What OpenSSL wrote during the last call. */
static void send_sealed(struct sp_conn *c)
{
    size_t n = c->net->out_n;

    c->net->out_n = 0;
    send_raw(c, c->net->out, n);
}

/* One slice of the caller's output; false when nothing more can be done now. */
static bool flush_slice(struct sp_conn *c)
{
    size_t n = out_n(c);
    const char *p = c->out.p + c->out_off;

    if (c->dead || c->broken || c->mute || c->flight || n == 0)
        return false;
    if (n > SLICE)
        n = SLICE;
    if (c->tls) {
        if (!c->up)
            return false;
        ERR_clear_error();
        if (SSL_write(c->tls->ssl, p, (int)n) != (int)n) {
            c->net->out_n = 0;
            break_output(c);
            return false;
        }
        send_sealed(c);
    } else {
        send_raw(c, p, n);
    }
    if (c->broken)
        return false;
    c->out_off += n;
    if (c->out_off == c->out.n) {
        sp_buf_wipe(&c->out); /* an idle session owns no buffer */
        c->out_off = 0;
    }
    return true;
}

static void close_step(struct sp_conn *c);

static void flush(struct sp_conn *c)
{
    while (flush_slice(c))
        ;
    if (c->dead)
        return;
    if (c->broken || c->mute)
        drop_output(c);
    if (c->closing) {
        close_step(c);
        return;
    }
    if (c->sent_some && !c->flight && c->wire.n == 0 && c->out.n == 0) {
        c->sent_some = false;
        if (c->ops && c->ops->on_drain && !c->ended)
            c->ops->on_drain(c, c->arg);
    }
}

/* ---- closing ---- */

static void close_step(struct sp_conn *c)
{
    if (c->dead || c->flight || (c->out.n && !c->broken))
        return;
    if (c->broken) {
        destroy(c);
        return;
    }
    if (c->up && !c->mute && !c->notified) {
        c->notified = true;
        ERR_clear_error();
        (void)SSL_shutdown(c->tls->ssl);
        send_sealed(c);
        if (c->flight || c->broken) {
            if (c->broken)
                destroy(c);
            return;
        }
    }
    if (c->eof) {
        destroy(c);
    } else if (!c->shut) {
        uv_os_fd_t fd;

        c->shut = true;
        /* libuv holds no write of ours here, so its own queue cannot be overtaken. */
        if (uv_fileno(&c->u.handle, &fd) < 0 || shutdown(fd, SHUT_WR) < 0)
            destroy(c);
        else
            sp_timer_start(&c->timer, CLOSE_LINGER_MS);
    }
}

void sp_conn_close(struct sp_conn *c)
{
    if (c->dead || c->closing)
        return;
    c->closing = true;
    if (c->tls && !c->up)
        c->mute = true; /* what was written waits for a handshake that nobody wants */
    sp_buf_wipe(&c->kept);
    sp_buf_free(&c->sealed);
    if (!c->started) {
        destroy(c);
        return;
    }
    sp_timer_start(&c->timer, CLOSE_FLUSH_MS);
    make_dirty(c);
}

void sp_conn_abort(struct sp_conn *c)
{
    destroy(c);
}

void sp_conn_abort_all(struct sp_net *net)
{
    for (struct sp_conn *c = net->conns; c; c = c->next)
        destroy(c);
}

static void on_timer(void *arg)
{
    struct sp_conn *c = arg;

    if (c->closing)
        destroy(c);
    else if (!c->ended && c->ops && c->ops->on_deadline)
        c->ops->on_deadline(c, c->arg);
}

/* ---- the BIO between OpenSSL and the shared buffers ---- */

static int bio_read(BIO *b, char *p, int n)
{
    struct sp_conn *c = BIO_get_data(b);
    size_t k = c->in_n;

    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    if (k == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    if (k > (size_t)n)
        k = (size_t)n;
    memcpy(p, c->in, k);
    c->in += k;
    c->in_n -= k;
    return (int)k;
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct sp_conn *c = BIO_get_data(b);
    struct sp_net *net = c->net;

    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    if ((size_t)n > sizeof net->out - net->out_n)
        send_sealed(c);
    if ((size_t)n > sizeof net->out) {
        send_raw(c, p, (size_t)n);
    } else {
        memcpy(net->out + net->out_n, p, (size_t)n);
        net->out_n += (size_t)n;
    }
    return n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH; /* everything else: not supported, 0 */
}

/* One method for all connections, made at first use and kept for good. */
static const BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *m;

    if (!m) {
        m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sp_conn");
        if (!m)
            return NULL;
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_ctrl(m, bio_ctrl);
    }
    return m;
}

/* ---- TLS ---- */

static int begin_tls(struct sp_conn *c, struct sp_tls_ctx *ctx, const char *host,
                     struct sp_err *err)
{
    BIO *b = bio_method() ? BIO_new(bio_method()) : NULL;

    if (!b)
        return sp_err_nomem(err);
    /* What was written before the switch leaves in clear, ahead of everything else. */
    if (out_n(c)) {
        send_raw(c, c->out.p + c->out_off, out_n(c));
        sp_buf_free(&c->out);
        c->out_off = 0;
    }
    BIO_set_data(b, c);
    BIO_set_init(b, 1);
    c->tls = sp_tls_open(ctx, b, host, err);
    if (!c->tls)
        return err ? -(int)err->code : -SP_ENOMEM;
    c->tls_client = host != NULL;
    make_dirty(c); /* the client's first flight leaves at the end of the turn */
    return 0;
}

static int refuse_injected(struct sp_conn *c, struct sp_err *err)
{
    return sp_err_set(err, SP_CLASS_INSECURE, SP_ETLS,
                      "%zu octets in clear were waiting behind STARTTLS: "
                      "an injection attempt or a broken peer",
                      c->kept.n);
}

void sp_conn_tls_follows(struct sp_conn *c)
{
    c->tls_follows = true;
}

/* Kept octets that are no clear text but the beginning of TLS. */
static void hand_over(struct sp_conn *c)
{
    struct sp_buf none = c->sealed;

    if (!c->tls_follows || c->kept.n == 0 || c->sealed.n)
        return;
    c->sealed = c->kept;
    c->sealed_off = 0;
    c->kept = none;
}

int sp_conn_start_tls(struct sp_conn *c, struct sp_tls_ctx *ctx, const char *host,
                      struct sp_err *err)
{
    int rc;

    if (c->tls_used || c->closing || c->dead || c->ended || !c->ops ||
        !c->ops->on_tls || sp_tls_is_client(ctx) != (host != NULL))
        return sp_err_set(err, SP_CLASS_BUG, SP_ESTATE,
                          "TLS cannot be started in this state");
    /* Command and response injection: octets that came in clear are never believed
     * on the other side of the switch (CVE-2011-0411, CVE-2021-38371). */
    if (!c->in_read)
        hand_over(c);
    if (!c->in_read && c->kept.n) {
        c->tls_used = c->mute = true;
        return refuse_injected(c, err);
    }
    c->tls_used = true;
    if (!c->in_read) {
        c->paused = false;
        rc = begin_tls(c, ctx, host, err);
        c->mute = rc < 0;
        return rc;
    }
    if (host) {
        c->want_host = sp_strdup(host);
        if (!c->want_host)
            return sp_err_nomem(err);
    }
    c->want_tls = sp_tls_ref(ctx);
    return 0;
}

/* After on_read(): the switch it asked for, if its hands are empty. */
static void start_wanted_tls(struct sp_conn *c)
{
    struct sp_tls_ctx *ctx = c->want_tls;
    struct sp_err err = {0};
    int rc;

    if (!ctx || c->dead || c->closing)
        return;
    c->want_tls = NULL;
    c->paused = false;
    hand_over(c);
    rc = c->kept.n ? refuse_injected(c, &err) : begin_tls(c, ctx, c->want_host, &err);
    sp_tls_unref(ctx);
    if (rc < 0)
        tls_failed(c, &err);
}

/* A TLS record of a handshake or an alert, or an SSLv2-style hello; anything a mail
 * client says in clear is a letter, a digit or a line end. */
static bool looks_like_tls(unsigned char o)
{
    return o == 0x16 || o == 0x15 || o >= 0x80;
}

/* The TLS engine said no: words for it. */
static int ssl_failure(struct sp_conn *c, int rc, bool *refused_us, struct sp_err *err)
{
    int e = SSL_get_error(c->tls->ssl, rc);

    return sp_tls_failure(c->tls, e, c->up, refused_us, err);
}

/* true: the handshake is done and the caller lives on. */
static bool handshake(struct sp_conn *c)
{
    struct sp_err err;
    int rc;

    if (!c->tls_seen && c->in_n) {
        c->tls_seen = true;
        c->tls->plain = !looks_like_tls((unsigned char)c->in[0]);
        if (c->tls->plain && !c->tls_client) {
            sp_err_set(&err, SP_CLASS_PEER, SP_ETLS,
                       "the client spoke plain text where TLS must begin");
            tls_failed(c, &err);
            return false;
        }
    }
    ERR_clear_error();
    rc = SSL_do_handshake(c->tls->ssl);
    if (rc == 1) {
        send_sealed(c);
        c->up = true;
        c->ops->on_tls(c, NULL, c->arg);
        return true;
    }
    if (SSL_get_error(c->tls->ssl, rc) == SSL_ERROR_WANT_READ) {
        send_sealed(c);
        return false;
    }
    (void)ssl_failure(c, rc, NULL, &err);
    send_sealed(c); /* the alert */
    tls_failed(c, &err);
    return false;
}

/* ---- input ---- */

static bool may_read(const struct sp_conn *c)
{
    return c->started && !c->dead && !c->ended && !c->closing && !c->paused &&
           (c->broken || !c->gate || out_n(c) + c->wire.n <= c->gate);
}

static void keep(struct sp_conn *c, struct sp_buf *b, const char *p, size_t n)
{
    if (sp_buf_put(b, p, n) < 0)
        end_lost(c, UV_ENOMEM);
}

/* Offers octets; returns how many were taken.  c may be dead afterwards. */
static size_t offer(struct sp_conn *c, const char *p, size_t n)
{
    const struct sp_conn_ops *owner = c->ops;
    size_t took = 0, k;
    int idle = 0;

    if (!owner->on_read)
        return n;
    do {
        c->again = false;
        c->in_read = true;
        k = c->ops->on_read(c, p + took, n - took, c->arg);
        c->in_read = false;
        assert(k <= n - took);
        took += k;
        idle = k ? 0 : idle + 1;
    } while (c->again && took < n && idle < 2 && c->ops == owner && !c->dead &&
             !c->closing && !c->ended);
    if (took < n && c->ops == owner)
        c->paused = true;
    return took;
}

static void give_fresh(struct sp_conn *c, const char *p, size_t n)
{
    size_t took = offer(c, p, n);

    if (took < n && !c->dead && !c->closing && !c->ended)
        keep(c, &c->kept, p + took, n - took);
    start_wanted_tls(c);
}

static void give_kept(struct sp_conn *c)
{
    size_t took = offer(c, c->kept.p, c->kept.n);

    if (c->dead || c->closing)
        return;
    sp_buf_drop(&c->kept, took);
    if (c->kept.n == 0)
        sp_buf_wipe(&c->kept);
    start_wanted_tls(c);
}

static void end_tls(struct sp_conn *c, int rc)
{
    struct sp_end e = {.kind = SP_END_TLS};

    if (SSL_get_error(c->tls->ssl, rc) == SSL_ERROR_ZERO_RETURN) {
        e.kind = SP_END_CLEAN;
        sp_err_set(&e.err, SP_CLASS_TEMPORARY, SP_ECLOSED,
                   "the peer ended TLS (close_notify)");
    } else {
        bool refused = false;

        (void)ssl_failure(c, rc, &refused, &e.err);
        /* An alert about our certificate later than the first read is about something
         * else: TLS 1.3 servers judge it before they say anything. */
        e.cert_refused = refused && c->tls_client && !c->first_read;
        send_sealed(c);
    }
    end(c, &e);
}

/* One record through OpenSSL to the caller; false: nothing (more) to read. */
static bool read_record(struct sp_conn *c)
{
    char *p = NULL;
    size_t cap = 0;
    int n;

    if (c->ops->on_room)
        p = c->ops->on_room(c, &cap, c->arg);
    c->direct = p && cap;
    if (!c->direct) {
        p = c->net->plain;
        cap = sizeof c->net->plain;
    }
    if (cap > SP_NET_READ)
        cap = SP_NET_READ;
    ERR_clear_error();
    n = SSL_read(c->tls->ssl, p, (int)cap);
    if (n > 0) {
        send_sealed(c); /* an answer to a key update */
        c->first_read = true;
        if (c->direct)
            c->ops->on_filled(c, (size_t)n, c->arg);
        else
            give_fresh(c, p, (size_t)n);
        if (p == c->net->plain)
            sp_wipe(p, (size_t)n); /* it may have been a password */
        return true;
    }
    if (SSL_get_error(c->tls->ssl, n) == SSL_ERROR_WANT_READ) {
        send_sealed(c);
        return false;
    }
    end_tls(c, n);
    return false;
}

/* Moves on with what is here: kept octets, then ciphertext. */
static void pump(struct sp_conn *c)
{
    bool stored = false;

    if (c->sealed.n && c->in_n == 0) {
        stored = true;
        c->in = c->sealed.p + c->sealed_off;
        c->in_n = c->sealed.n - c->sealed_off;
    }
    while (may_read(c)) {
        if (c->kept.n)
            give_kept(c);
        else if (!c->tls)
            break;
        else if (!(c->up ? read_record(c) : handshake(c)))
            break;
    }
    if (c->dead || c->closing) {
        c->in_n = 0;
        return;
    }
    if (stored) {
        c->sealed_off = c->sealed.n - c->in_n;
        if (c->in_n == 0) {
            sp_buf_free(&c->sealed);
            c->sealed_off = 0;
        }
    } else if (c->in_n && !c->ended) {
        keep(c, &c->sealed, c->in, c->in_n);
    }
    c->in_n = 0;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    struct sp_conn *c = h->data;
    size_t cap = 0;
    char *p = NULL;

    (void)hint;
    if (!c->tls && !c->closing && c->ops->on_room)
        p = c->ops->on_room(c, &cap, c->arg);
    c->direct = p && cap;
    *buf = c->direct ? uv_buf_init(p, (unsigned)(cap > 1 << 20 ? 1 << 20 : cap))
                     : uv_buf_init(c->net->in, sizeof c->net->in);
}

/* While closing: what still comes is thrown away, within limits. */
static void discard(struct sp_conn *c, ssize_t n)
{
    if (n < 0) {
        c->eof = true;
        /* FIN out and FIN in, or the peer is gone. */
        if (c->shut || n != UV_EOF)
            destroy(c);
        else
            close_step(c);
        return;
    }
    c->discarded += (size_t)n;
    if (c->discarded > CLOSE_DISCARD)
        destroy(c);
}

static void on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct sp_conn *c = s->data;

    if (c->dead || n == 0)
        return;
    if (c->closing) {
        discard(c, n);
    } else if (n < 0) {
        c->eof = true;
        if (n == UV_EOF)
            end_eof(c);
        else if (c->tls && !c->up) /* a reset inside the handshake */
            end_eof(c);
        else
            end_lost(c, (int)n);
    } else if (c->tls) {
        c->in = buf->base;
        c->in_n = (size_t)n;
        pump(c);
    } else if (c->direct) {
        c->ops->on_filled(c, (size_t)n, c->arg);
    } else {
        give_fresh(c, buf->base, (size_t)n);
    }
    settle(c);
}

/* After anything happened: output leaves, reading is switched on or off. */
static void settle(struct sp_conn *c)
{
    bool want;
    int rc;

    if (c->dead)
        return;
    flush(c);
    if (c->dead)
        return;
    if (may_read(c) && (c->kept.n || c->sealed.n))
        make_dirty(c); /* the output that held them up has left */
    want = c->closing ? c->started && !c->eof
                      : may_read(c) && !c->eof && c->kept.n == 0 && c->sealed.n == 0;
    if (want == c->reading)
        return;
    c->reading = want;
    if (!want) {
        (void)uv_read_stop(&c->u.stream);
        return;
    }
    rc = uv_read_start(&c->u.stream, on_alloc, on_input);
    if (rc < 0) {
        c->reading = false;
        c->eof = true;
        if (c->closing)
            close_step(c);
        else
            end_lost(c, rc);
    }
}

/* ---- making and handing over ---- */

struct sp_conn *sp_conn_embryo(struct sp_net *net, bool unix_socket, int flags)
{
    struct sp_conn *c = sp_alloc(sizeof *c);
    int rc;

    if (!c)
        return NULL;
    c->net = net;
    c->unix_socket = unix_socket;
    rc = unix_socket ? uv_pipe_init(net->loop, &c->u.pipe, 0)
                     : uv_tcp_init_ex(net->loop, &c->u.tcp, (unsigned)flags);
    if (rc < 0) {
        sp_free(c);
        return NULL;
    }
    c->u.handle.data = c;
    c->next = net->conns;
    if (c->next)
        c->next->prev = &c->next;
    c->prev = &net->conns;
    net->conns = c;
    net->n_conns++;
    sp_buf_init(&c->kept, 2 * SP_NET_READ);
    sp_buf_init(&c->sealed, 2 * SP_NET_READ);
    sp_buf_init(&c->out, OUT_DEFAULT);
    sp_buf_init(&c->wire, WIRE_MAX);
    sp_timer_init(&c->timer, net, on_timer, c);
    return c;
}

uv_stream_t *sp_conn_stream(struct sp_conn *c)
{
    return &c->u.stream;
}

int sp_conn_from_fd(struct sp_net *net, int fd, struct sp_conn **ret,
                    struct sp_err *err)
{
    int domain = 0, rc;
    socklen_t n = sizeof domain;
    struct sp_conn *c;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0)
        return sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "not a socket");
    c = sp_conn_embryo(net, domain == AF_UNIX, 0);
    if (!c)
        return sp_err_nomem(err);
    rc = c->unix_socket ? uv_pipe_open(&c->u.pipe, fd) : uv_tcp_open(&c->u.tcp, fd);
    if (rc < 0) {
        destroy(c);
        return sp_err_set(err, SP_CLASS_BUG, SP_EIO, "cannot use the socket: %s",
                          uv_strerror(rc));
    }
    *ret = c;
    return 0;
}

void sp_conn_start(struct sp_conn *c, const struct sp_conn_ops *ops, void *arg)
{
    bool first = !c->started;

    assert(!ops->on_room == !ops->on_filled);
    c->ops = ops;
    c->arg = arg;
    if (c->dead || c->closing)
        return;
    c->started = true;
    c->paused = false;
    if (first && !c->unix_socket)
        (void)uv_tcp_nodelay(&c->u.tcp, 1);
    make_dirty(c);
}

/* ---- what callers do ---- */

void sp_conn_set_limit(struct sp_conn *c, size_t max_output)
{
    c->out.max = max_output;
}

void sp_conn_gate(struct sp_conn *c, size_t high)
{
    c->gate = high;
    make_dirty(c);
}

size_t sp_conn_waiting(const struct sp_conn *c)
{
    return out_n(c) + c->wire.n + (c->flight ? c->flight->n : 0);
}

size_t sp_conn_room(const struct sp_conn *c)
{
    size_t used = out_n(c) + c->wire.n;

    return used < c->out.max ? c->out.max - used : 0;
}

int sp_conn_write(struct sp_conn *c, const void *data, size_t n)
{
    int rc;

    if (c->dead || c->closing || c->broken || c->mute || n == 0)
        return 0;
    if (n > sp_conn_room(c))
        return -SP_ELIMIT;
    if (c->out_off && c->out.n + n > c->out.max) {
        sp_buf_drop(&c->out, c->out_off);
        c->out_off = 0;
    }
    rc = sp_buf_put(&c->out, data, n);
    if (rc == 0)
        make_dirty(c);
    return rc;
}

void sp_conn_pause(struct sp_conn *c)
{
    c->paused = true;
    if (!c->in_read)
        make_dirty(c);
}

void sp_conn_resume(struct sp_conn *c)
{
    c->paused = false;
    c->again = true;
    make_dirty(c);
}

size_t sp_conn_kept(const struct sp_conn *c)
{
    return c->kept.n + (c->sealed.n - c->sealed_off);
}

void sp_conn_deadline(struct sp_conn *c, uint64_t ms)
{
    if (c->dead || c->closing)
        return;
    if (ms == UINT64_MAX)
        sp_timer_stop(&c->timer);
    else
        sp_timer_start(&c->timer, ms);
}

bool sp_conn_in_tls(const struct sp_conn *c)
{
    return c->up;
}

bool sp_conn_plain_after_all(struct sp_conn *c)
{
    if (!c->tls || c->up || c->tls_client || !c->tls->plain || c->dead || c->closing)
        return false;
    sp_tls_close(c->tls);
    c->tls = NULL;
    c->mute = false;
    return true;
}

bool sp_conn_facts(struct sp_conn *c, struct sp_tls_facts *ret)
{
    if (!c->tls || (!c->up && !c->ended))
        return false;
    sp_tls_facts_of(c->tls, (int64_t)time(NULL), ret);
    return true;
}

void sp_conn_judge(struct sp_conn *c, const struct sp_tls_ctx *ctx, int64_t now,
                   struct sp_tls_verdict *ret)
{
    memset(ret, 0, sizeof *ret);
    if (c->up && c->tls && !c->tls_client)
        sp_tls_judge(c->tls, ctx, now, ret);
}

int sp_conn_peer_der(struct sp_conn *c, struct sp_buf *out)
{
    X509 *x = c->up && c->tls ? SSL_get0_peer_certificate(c->tls->ssl) : NULL;
    unsigned char *der = NULL;
    int n, rc;

    if (!x)
        return -SP_ENOENT;
    n = i2d_X509(x, &der);
    if (n <= 0)
        return -SP_ENOMEM;
    rc = sp_buf_put(out, der, (size_t)n);
    OPENSSL_free(der);
    return rc;
}

int sp_conn_ca_names(struct sp_conn *c, struct sp_buf *out)
{
    const STACK_OF(X509_NAME) * names;
    int rc = 0;

    if (!c->up || !c->tls || !c->tls_client)
        return -SP_ENOENT;
    names = SSL_get0_peer_CA_list(c->tls->ssl);
    for (int i = 0; names && i < sk_X509_NAME_num(names) && rc == 0; i++) {
        char line[512];

        if (!X509_NAME_oneline(sk_X509_NAME_value(names, i), line, sizeof line))
            continue;
        rc = sp_buf_printf(out, "%s\n", line);
    }
    return rc;
}

int sp_conn_binding(struct sp_conn *c, enum sp_binding kind, uint8_t *out, size_t cap)
{
    if (!c->up || !c->tls)
        return -SP_ENOENT;
    return sp_tls_binding_of(c->tls, kind, out, cap);
}

int sp_conn_peer_uid(struct sp_conn *c, uint32_t *ret_uid, int32_t *ret_pid)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    uv_os_fd_t fd;

    if (!c->unix_socket || c->dead || uv_fileno(&c->u.handle, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
        return -SP_ENOENT;
    *ret_uid = cred.uid;
    *ret_pid = cred.pid;
    return 0;
}

typedef int name_fn(int, struct sockaddr *restrict, socklen_t *restrict);

static void name_of(struct sp_conn *c, name_fn *get, char *out, size_t cap)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    uv_os_fd_t fd;

    if (cap)
        out[0] = 0;
    memset(&ss, 0, sizeof ss);
    if (c->dead || uv_fileno(&c->u.handle, &fd) < 0 ||
        get(fd, (struct sockaddr *)&ss, &n) < 0)
        return;
    sp_naddr_text((const struct sockaddr *)&ss, out, cap);
}

static int peer_name(int fd, struct sockaddr *restrict a, socklen_t *restrict n)
{
    return getpeername(fd, a, n);
}

static int local_name(int fd, struct sockaddr *restrict a, socklen_t *restrict n)
{
    return getsockname(fd, a, n);
}

void sp_conn_peer_text(struct sp_conn *c, char *out, size_t cap)
{
    name_of(c, peer_name, out, cap);
}

void sp_conn_local_text(struct sp_conn *c, char *out, size_t cap)
{
    name_of(c, local_name, out, cap);
}
