/*
 * conn.h - a connection: octets in, octets out, TLS between or not.
 *
 *     static size_t on_read(struct sp_conn *c, const char *p, size_t n, void *arg)
 *     {
 *         size_t took = feed the engine;  sp_conn_write(c, its output);
 *         return took;              the rest is kept, reading stops: sp_conn_resume()
 *     }
 *     static const struct sp_conn_ops ops = {.on_read = on_read, .on_end = on_end};
 *
 *     sp_conn_start(c, &ops, arg);             c from listen.h, dial.h or a descriptor
 *     sp_conn_deadline(c, 300000);             on_deadline() if nothing moves it
 *     sp_conn_start_tls(c, ctx, NULL, &err);   once, in either role; then on_tls()
 *     sp_conn_close(c);                        flush, close_notify, FIN, linger, gone
 *
 * Reading.  Octets lie in a buffer that all connections share, valid only during
 * on_read().  What the caller does not take is kept (at most about 80 KB) and nothing
 * more is read until sp_conn_resume(): this is the backpressure that reaches the peer's
 * TCP window.  A caller that wants a message body without a copy gives on_room().
 * On connections from a listener no input is read while more than 64 KB of output wait
 * for a peer that does not read (sp_conn_gate()); a client must read while it writes.
 *
 * Writing.  sp_conn_write() collects; what was collected leaves with one SSL_write and
 * one send when on_read() returns, otherwise at the end of the loop turn.  TCP_NODELAY
 * is always on.
 *
 * Ending.  on_end() comes at most once: the peer is finished, gone or broke TLS.  The
 * caller then calls sp_conn_close() or sp_conn_abort(), as it may at any time and inside
 * any callback.  After that c must not be used, no callback comes but on_closed(), once
 * the socket is closed.  Every connection that was started gets it.
 *
 * Security.  TLS starts with empty hands: plaintext that arrived before the switch is
 * never handed to the TLS side nor believed afterwards (CVE-2011-0411, CVE-2021-38371).
 * If some is waiting, sp_conn_start_tls() refuses with class *insecure*.  After TLS has
 * failed nothing goes out in clear, unless the peer never began TLS and the caller says
 * so with sp_conn_plain_after_all().
 */
#ifndef SP_CONN_H
#define SP_CONN_H

#include "net.h"
#include "tlsctx.h"

struct sp_conn;

enum sp_end_kind {
    SP_END_CLEAN,     /* FIN in clear; close_notify in TLS */
    SP_END_TRUNCATED, /* FIN in TLS without close_notify: what came may not be all */
    SP_END_LOST,      /* reset, timed out, network down */
    SP_END_TLS,       /* an alert or garbage; class in err */
};

struct sp_end {
    enum sp_end_kind kind;
    bool cert_refused; /* the server refused our certificate (TLS 1.3 says so late) */
    struct sp_err err; /* a sentence for every kind */
};

struct sp_conn_ops {
    /* Octets from the peer; returns how many were taken (0 .. n).  NULL: all input is
     * thrown away. */
    size_t (*on_read)(struct sp_conn *c, const char *p, size_t n, void *arg);
    /* Optional: a place to read straight into, *cap octets, or NULL for on_read().  Has
     * no side effect.  on_filled() follows at once unless nothing was there. */
    char *(*on_room)(struct sp_conn *c, size_t *cap, void *arg);
    void (*on_filled)(struct sp_conn *c, size_t n, void *arg);
    /* The handshake is over: err NULL, or why it failed (then close; on_end() does not
     * follow).  May be NULL if sp_conn_start_tls() is never called. */
    void (*on_tls)(struct sp_conn *c, const struct sp_err *err, void *arg);
    /* Optional: all output has left (after some could not leave at once). */
    void (*on_drain)(struct sp_conn *c, void *arg);
    void (*on_deadline)(struct sp_conn *c, void *arg); /* optional */
    /* NULL: the connection is closed. */
    void (*on_end)(struct sp_conn *c, const struct sp_end *end, void *arg);
    void (*on_closed)(void *arg); /* optional */
};

/* A connection from a connected stream socket (TCP or Unix), which it owns from then
 * on; on failure the descriptor is still the caller's. */
int sp_conn_from_fd(struct sp_net *net, int fd, struct sp_conn **ret,
                    struct sp_err *err);

/* Begins reading; may be called again to change hands (octets that were kept are then
 * given to the new owner). */
void sp_conn_start(struct sp_conn *c, const struct sp_conn_ops *ops, void *arg);

/* The most output that may wait, 256 KB unless set. */
void sp_conn_set_limit(struct sp_conn *c, size_t max_output);
/* While more than `high` octets of output wait, nothing is read; 0: no such gate, the
 * default but for connections from a listener.  Never on both ends: they could wait for
 * each other. */
void sp_conn_gate(struct sp_conn *c, size_t high);
size_t sp_conn_room(const struct sp_conn *c);    /* what sp_conn_write() takes now */
size_t sp_conn_waiting(const struct sp_conn *c); /* collected or not yet sent */
/* 0, or -SP_ELIMIT / -SP_ENOMEM and nothing was taken.  After on_end() the octets are
 * dropped silently. */
int sp_conn_write(struct sp_conn *c, const void *data, size_t n);

void sp_conn_pause(struct sp_conn *c);  /* stop reading until sp_conn_resume() */
void sp_conn_resume(struct sp_conn *c); /* kept octets come at the end of the turn */
size_t sp_conn_kept(const struct sp_conn *c); /* octets kept, in clear or encrypted */

/* on_deadline() in ms from now; moves an earlier one.  UINT64_MAX: none. */
void sp_conn_deadline(struct sp_conn *c, uint64_t ms);

/*
 * Switches to TLS, once.  Output written before leaves in clear first (the 220).
 * host: for a client the name to send and to verify against; NULL for a server.
 * Called outside on_read() with kept octets: fails at once, class insecure.  Called
 * inside on_read(): if that then returns less than it was given, on_tls() gets the
 * insecure error.  Returns 0, -SP_ETLS, -SP_ESTATE, -SP_ENOMEM.
 */
int sp_conn_start_tls(struct sp_conn *c, struct sp_tls_ctx *ctx, const char *host,
                      struct sp_err *err);
/* What on_read() leaves is TLS already, when TLS is started: a PROXY header stood in front
 * of it, in the same segment.  Only where TLS comes first in any case (a listener with
 * implicit TLS): behind STARTTLS such octets are an attack. */
void sp_conn_tls_follows(struct sp_conn *c);
bool sp_conn_in_tls(const struct sp_conn *c); /* the handshake succeeded */

/* In on_tls() with an error: true if the peer's first octet was not TLS, nothing of TLS
 * was sent to it, and output in clear is possible now (to say "this port speaks TLS
 * first") before sp_conn_close().  Reading stays off. */
bool sp_conn_plain_after_all(struct sp_conn *c);

/* True in TLS, and in on_tls() with an error: then the facts are as far as it got, and
 * say who ended it.  False otherwise. */
bool sp_conn_facts(struct sp_conn *c, struct sp_tls_facts *ret);
/* Server: judges the client's certificate as of now (seconds since 1970) by `ctx`, the
 * listener's present context.  Cheap when asked again.  Without one: !ret->present. */
void sp_conn_judge(struct sp_conn *c, const struct sp_tls_ctx *ctx, int64_t now,
                   struct sp_tls_verdict *ret);
/* The peer's certificate as DER, appended.  -SP_ENOENT: none. */
int sp_conn_peer_der(struct sp_conn *c, struct sp_buf *out);
/* Client: the CA names the server sent, one a line, appended. */
int sp_conn_ca_names(struct sp_conn *c, struct sp_buf *out);
/* Channel binding: its length, or -SP_ENOENT when this session has none of that kind. */
int sp_conn_binding(struct sp_conn *c, enum sp_binding kind, uint8_t *out, size_t cap);

/* Unix socket: who connected; -SP_ENOENT otherwise. */
int sp_conn_peer_uid(struct sp_conn *c, uint32_t *ret_uid, int32_t *ret_pid);
/* "192.0.2.1:587", "[2001:db8::1]:587", "unix"; empty when unknown. */
void sp_conn_peer_text(struct sp_conn *c, char *out, size_t cap);
void sp_conn_local_text(struct sp_conn *c, char *out, size_t cap);

/* Both end c for the caller.  close: what was written leaves, close_notify is sent, then
 * FIN; the peer's rest is read and thrown away for up to 2 s (a socket closed over
 * unread octets resets the connection and can take our last reply with it); a peer that
 * does not read is given 10 s.  abort: at once. */
void sp_conn_close(struct sp_conn *c);
void sp_conn_abort(struct sp_conn *c);

#endif
