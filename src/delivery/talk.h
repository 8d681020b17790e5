/*
 * talk.h - one client session on one connection: dial, TLS, login, transactions.
 *
 *     struct sp_talk_opts o = { .dial = ..., .cli = ..., .tls = ctx, .secret = ask, ... };
 *     t = sp_talk_new(net, &o, &ops, arg, &err);
 *     ops.ready:   sp_talk_mail(t, &mail, rcpt, n, size, &err), or sp_talk_quit(t)
 *     ops.body:    the server wants the message: sp_talk_body() while it takes octets, then
 *                  sp_talk_body_end(); called again when there is room
 *     ops.sent:    what became of each recipient; ready() follows unless it failed
 *     ops.failed:  why it cannot go on, once; closed() follows
 *     ops.closed:  the last call; t is gone
 *
 * It joins conn.h (socket, TLS), the client engine (protocol, policy) and sasl.h
 * (challenge mechanisms).  `send`, `bench`, `check` and the delivery role all talk
 * through it.  Secrets are asked for when the engine has decided that they may be sent,
 * and wiped at once.
 *
 * Reconnecting without the certificate (PROTOCOL 2, auto) happens inside; the caller
 * sees one session.  Only a transaction that was under way has no result then: ready()
 * comes again without sent(), and the caller gives the message anew, from its beginning.  A token that was refused with 535 is asked for once more with
 * `fresh` set, on a new connection.
 *
 * Everything in opts but the contexts is copied; contexts are referenced.  Any callback
 * may call sp_talk_quit() or sp_talk_abort().  A server that accepts a challenge login
 * (SCRAM) without having proved itself gets no mail: failed(), class *insecure*.
 */
#ifndef SP_TALK_H
#define SP_TALK_H

#include "dial.h"

#include <sallyport/client.h>

struct sp_talk;

enum sp_talk_secret { SP_TALK_PASSWORD, SP_TALK_TOKEN };

enum { SP_TALK_LATER = 1 };

struct sp_talk_opts {
    struct sp_dial_opts dial;
    const char *tls_name; /* the name to verify; NULL: dial.host */
    struct sp_cli_options cli;
    struct sp_tls_ctx *tls;      /* with our certificate when there is one */
    struct sp_tls_ctx *tls_bare; /* the same without it, for RECONNECT; NULL: never */
    /* Fills `out` with the password or token; <0: the session ends with this error.  For
     * a token it may return SP_TALK_LATER and call sp_talk_secret() when it is there. */
    int (*secret)(void *arg, enum sp_talk_secret what, bool fresh, struct sp_buf *out,
                  struct sp_err *err);
    void *secret_arg;
    unsigned timeout_ms; /* the most any reply may take; 0: RFC 5321 4.5.3.2 */
};

struct sp_talk_failure {
    enum sp_class cls;
    enum sp_cli_stage stage;
    struct sp_reply reply; /* code 0: the server said nothing */
    const char *words;     /* one sentence */
    bool need_login, auth_rejected;
    bool in_transaction; /* recipients were given and have had no result yet */
};

struct sp_talk_ops {
    void (*ready)(struct sp_talk *t, enum sp_cli_login login, enum sp_mech mech,
                  struct sp_str words, struct sp_str pin, void *arg);
    void (*body)(struct sp_talk *t, void *arg);
    void (*sent)(struct sp_talk *t, const struct sp_cli_event *ev, void *arg);
    void (*failed)(struct sp_talk *t, const struct sp_talk_failure *f, void *arg);
    void (*closed)(void *arg);
    sp_cli_trace_fn *trace; /* may be NULL */
};

/* NULL: no memory, or options that make no sense. */
struct sp_talk *sp_talk_new(struct sp_net *net, const struct sp_talk_opts *o,
                            const struct sp_talk_ops *ops, void *arg,
                            struct sp_err *err);

/* In ready() or later, before the next one.  See sp_cli_mail(). */
int sp_talk_mail(struct sp_talk *t, const struct sp_mail *m, const struct sp_rcpt *rcpt,
                 size_t n, uint64_t size, struct sp_err *err);
size_t sp_talk_body(struct sp_talk *t, const char *p, size_t n); /* octets taken */
void sp_talk_body_end(struct sp_talk *t);
void sp_talk_body_abort(
    struct sp_talk *t); /* the message cannot be read: send nothing */
/* After SP_TALK_LATER; err NULL: the secret is there.  Without such a question: nothing. */
void sp_talk_secret(struct sp_talk *t, struct sp_str secret, const struct sp_err *err);
/* QUIT where the protocol has room for it, otherwise as sp_talk_abort(). */
void sp_talk_quit(struct sp_talk *t);
void sp_talk_abort(struct sp_talk *t); /* no further call but closed() */

const struct sp_cli *sp_talk_engine(const struct sp_talk *t);
bool sp_talk_facts(struct sp_talk *t, struct sp_tls_facts *ret); /* false: no TLS */
void sp_talk_peer(struct sp_talk *t, char *out, size_t cap);     /* "192.0.2.1:587" */

#endif
