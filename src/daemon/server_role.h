/*
 * server_role.h - inside the server role: sessions between clients, auth and queue.
 *
 *     role_server.c   listeners, channels to auth and queue, reload, drain
 *     srv_listener.c  what is in force for one listener: policy, TLS context
 *     srv_session.c   one client: connection <-> protocol engine <-> decisions
 *     srv_message.c   one message: octets in, durable, answer
 *     srv_limit.c     how much an account and an address may send
 *     srv_key.c       a submission that is sent again
 *     srv_proxy.c     clients behind a load balancer
 *     srv_trace.c     live sessions for an administrator who asked
 *     srv_filter.c    what milters and policy services are asked
 *
 * A session waits for one thing at a time (enum srv_wait).  An answer from another role
 * names the session by its key; keys are never used twice, so an answer for a session
 * that is gone finds nobody.
 */
#ifndef SP_SERVER_ROLE_H
#define SP_SERVER_ROLE_H

#include "conn.h"
#include "fixup.h"
#include "header.h"
#include "listen.h"
#include "proxyhead.h"
#include "role.h"
#include "srv_count.h"
#include "wallclock.h"

#include <openssl/types.h>
#include <sallyport/server.h>

enum {
    SRV_SESSIONS_MAX = 20000, /* of one process; below 65536, see tag_of() */
    SRV_HEADER_MAX = 512 << 10,
    SRV_INLINE_MAX = 65536,   /* larger content goes into a file of the queue's */
    SRV_SPARES_WANTED = 4,
    SRV_ANSWER_MS = 110 * 1000, /* every reply within 120 s */
};

struct srv_message;
struct srv_trace;
struct srv_traced;

/* One listener section in force.  Immutable; sessions keep theirs over a reload. */
struct srv_listener {
    unsigned refs;
    struct sp_conf *conf; /* keeps `l` alive */
    const struct sp_conf_listener *l;
    struct sp_srv_policy policy;
    char *bearer_error;     /* the policy's; NULL: none */
    struct sp_tls_ctx *tls; /* NULL: no TLS here */
    bool staple_said;       /* that it is too old */
    struct sp_rates user_rates, address_rates;
    struct sp_fix_policy fix;
};

struct srv_listener *srv_listener_new(struct sp_conf *conf, const struct sp_conf_listener *l,
                                      const Sp__Setup *setup, struct sp_err *err);
/* Some account has a pin or a mapping, or none has any more: who left it to us to decide
 * whether clients are asked for a certificate has decided that way. */
void srv_listener_ask(struct srv_listener *l, bool some_certificate);
struct srv_listener *srv_listener_ref(struct srv_listener *l);
void srv_listener_unref(struct srv_listener *l);

struct srv_socket {
    struct srv_socket *next;
    char *name, *address;
    struct sp_listen *listen;
    struct srv *srv;
};

struct srv_spare {
    uint64_t id;
    int fd;
};

struct srv {
    struct sp_role *role;
    struct sp_net *net;
    struct sp_conf *conf;
    struct srv_listener **listener;
    size_t listeners;
    struct srv_socket *sockets;
    struct sp_port *auth, *queue, *filter; /* NULL while the role is being started again */
    struct srv_session **slot;
    uint32_t *generation; /* of each slot */
    uint32_t *free_slot;
    size_t slots, free_slots, sessions;
    struct srv_spare spare[SRV_SPARES_WANTED];
    unsigned spares, spares_asked;
    bool disk_full;
    /* As auth said last.  Until then yes: a certificate that is asked for in vain does
     * no harm, one that is not asked for is a login that fails. */
    bool some_certificate;
    struct sp_arena arena; /* frames */
    uv_idle_t spin; /* keeps the loop from sleeping while banners wait */
    uv_check_t check;
    uint64_t turn;
    struct srv_session *fresh; /* sessions whose banner waits for one poll */
    struct srv_session *want_spare;
    uv_timer_t drain_timer;
    int zone_minutes;
    uint8_t cookie[SP_COUNT_KEY];
    struct srv_trace *trace; /* NULL: nobody traces */
    struct sp_count *count; /* of sessions, over all server processes */
};

enum srv_wait {
    SRV_WAIT_NOTHING,
    SRV_WAIT_BANNER,   /* one turn of the loop: has it said something too early? */
    SRV_WAIT_STARTTLS, /* the octets already received are still to be shown */
    SRV_WAIT_PROXY,    /* the header of the PROXY protocol */
    SRV_WAIT_PEER,     /* local socket: who is this user? */
    SRV_WAIT_XCLIENT,  /* who is this user of whom the proxy speaks? */
    SRV_WAIT_CERT,
    SRV_WAIT_AUTH,
    SRV_WAIT_RECERT,   /* whose is the certificate now?  Then SRV_WAIT_STILL */
    SRV_WAIT_HOLDER,   /* a required one: may its account still act as who logged in? */
    SRV_WAIT_STILL,    /* is the login still good?  Then MAIL goes on */
    SRV_WAIT_RCPT,     /* what do these recipients become? */
    SRV_WAIT_SPARE,
    SRV_WAIT_FILTER,
    SRV_WAIT_QUEUE,
};

enum { SRV_FILTER_GROUP = 256 }; /* recipients of a pipelined group: the engine gives fewer */

/* What the filter role was asked last. */
struct srv_filter {
    uint64_t number;        /* of the last question; answers carry it */
    uint64_t first;         /* of the group of recipients; else anything below */
    Sp__FilterStage stage;
    bool open;              /* the filter role knows this session ... */
    bool transaction;       /* ... and this transaction */
    unsigned messages;
    char id[40];            /* of the transaction */
    size_t asked, left;
    uint16_t index[SRV_FILTER_GROUP]; /* in the engine's group */
};

struct srv_session {
    struct srv *srv;
    struct srv_listener *listener;
    struct sp_conn *conn; /* NULL: the client is gone, an answer is still under way */
    struct sp_srv *engine;
    uint64_t key;
    char id[20];
    char peer[80];   /* address and port */
    char address[64]; /* without the port */
    uint32_t port;
    enum srv_wait wait;
    bool in_pump, closing;
    bool tls_clear; /* a clear first line on a TLS port: answer in clear */
    uint64_t fresh_turn;
    struct srv_session *next_fresh, *next_spare;
    uint64_t opened_ms, login_by_ms;
    uint64_t ended_ns;     /* when the message was complete */
    uint64_t stored_by_ms; /* SRV_WAIT_QUEUE: the queue stores nothing after it */
    unsigned overdue;      /* how often that was over, see on_deadline() */

    struct sp_count_mark on_listener, from_address, of_user;
    struct sp_count_place user_at, address_at; /* of rates */
    uint32_t charged; /* recipients of a message counted, whose answer is not known yet */
    struct sp_proxyhead *proxy; /* SRV_WAIT_PROXY */
    char client_helo[256];      /* as a proxy said; empty: none did */
    char forwarded_id[64];      /* as XFORWARD said, for the next message */

    /* Who it is.  `who` lives in who_arena; NULL until a login. */
    struct sp_arena who_arena;
    Sp__Identity *who;
    bool check_still;     /* auth said that something changed */
    struct sp_mail mail;  /* SRV_WAIT_RECERT, SRV_WAIT_STILL: the event's, until answered */
    bool by_certificate;
    const char *mechanism; /* of the login being tried, with what it says it is */
    char login[200];
    bool cert_pinned;
    bool external_implicit; /* the login by certificate being tried is MAIL's */
    struct sp_str cert_user, cert_address, cert_fingerprint; /* in cert_arena */
    struct sp_arena cert_arena;

    struct srv_filter filter;
    struct srv_message *msg;
    struct srv_traced *traced; /* NULL unless somebody traces */
    uint32_t asked_rcpts; /* recipients that auth was asked about, in this session */
    uint64_t dot_ms; /* loop time at the end of the message: all replies count from it */
    uint16_t submits; /* of this session: part of the tag, see srv_message.c */
    uint64_t messages, octets_in, octets_out;
};

/* srv_session.c */
void srv_session_open(struct srv_socket *so, struct sp_conn *conn);
struct srv_session *srv_session_find(struct srv *srv, uint64_t key);
void srv_session_pump(struct srv_session *s); /* after an answer: go on */
void srv_session_auth_frame(struct srv *srv, const struct sp_frame *f, void *m);
void srv_session_auth_gone(struct srv *srv);
/* Counts the client's address; false: too many sessions from it, and it was answered. */
bool srv_session_count_address(struct srv_session *s);
int srv_session_ask(struct srv_session *s, enum sp_msg type, const ProtobufCMessage *m);
/* Asks auth who that is; got_result() goes on. */
int srv_session_ask_named(struct srv_session *s, const char *name);
void srv_session_orphan_done(struct srv_session *s); /* the last answer came: free it */
void srv_session_log_refusal(struct srv_session *s, const char *stage, int code,
                             const char *text);

/* srv_message.c.  Each answers its event, now or later. */
void srv_message_mail(struct srv_session *s, const struct sp_mail *m);
void srv_message_rcpt(struct srv_session *s, const struct sp_rcpt *r, size_t n);
/* r NULL: auth is gone, and nobody will answer. */
void srv_message_recipient(struct srv_session *s, const Sp__RecipientResult *r);
void srv_message_data(struct srv_session *s, uint64_t size_hint);
void srv_message_body(struct srv_session *s, struct sp_str octets);
void srv_message_end(struct srv_session *s, uint64_t size, bool body8, bool header8);
void srv_message_forget(struct srv_session *s);
void srv_message_stored(struct srv *srv, const Sp__Submitted *r);
void srv_message_spare(struct srv *srv); /* a spare file came */
void srv_message_queue_gone(struct srv *srv);
/* The engine has given the client an answer because ours took too long: whatever the
 * queue says later belongs to nobody. */
void srv_message_too_late(struct srv_session *s);

/* The filters had nothing against the sender; against the message, with what they changed. */
struct sp_frame_body {
    struct sp_str octets;
    int fd; /* -1: in octets.  Whoever keeps it sets -1 */
};
void srv_message_mail_accepted(struct srv_session *s);
/* One recipient of the group: false, it is none that is waited for.  Then all of them. */
bool srv_message_rcpt_answer(struct srv_session *s, size_t index, const struct sp_reply *r);
void srv_message_rcpts_filtered(struct srv_session *s);
void srv_message_filtered(struct srv_session *s, const Sp__FilterAnswer *m,
                          struct sp_frame_body *body);

/* srv_filter.c.  Each question: true when it is under way (SRV_WAIT_FILTER), and the answer
 * goes on; false: nobody can be asked. */
struct srv_filter_in {
    struct sp_str header; /* as it would be stored, without our Received field */
    struct sp_str body;
    int fd; /* -1: the body is in memory; else size octets from offset */
    uint64_t offset, size;
};
bool srv_filter_wanted(const struct srv_session *s);
bool srv_filter_ready(const struct srv_session *s);
bool srv_filter_connect(struct srv_session *s);
bool srv_filter_helo(struct srv_session *s, struct sp_str name);
bool srv_filter_mail(struct srv_session *s, struct sp_str sender, const struct sp_mail *p);
bool srv_filter_rcpt(struct srv_session *s, const struct sp_rcpt *r, struct sp_str address,
                     uint64_t size, size_t accepted);
bool srv_filter_data(struct srv_session *s);
bool srv_filter_message(struct srv_session *s, const struct srv_filter_in *in);
void srv_filter_unknown(struct srv_session *s); /* a command that does not exist */
void srv_filter_abort(struct srv_session *s);   /* the transaction came to nothing */
void srv_filter_close(struct srv_session *s);
void srv_filter_too_late(struct srv_session *s);
void srv_filter_answer(struct srv *srv, const Sp__FilterAnswer *m, struct sp_frame_body *body);
void srv_filter_gone(struct srv *srv);

/* srv_limit.c.  Rates are counted in memory shared by all server processes. */
struct srv_words {
    char text[300];
};
void srv_limit_set(struct sp_rates *ret, const struct sp_conf_rates *messages,
                   const struct sp_conf_rates *recipients); /* recipients may be NULL */
/* Do so many more fit, by account and by address?  take: they count from now on.  False:
 * *ret says to the client why not and until when. */
bool srv_limit_fits(struct srv_session *s, uint32_t messages, uint32_t recipients, bool take,
                    struct srv_words *ret);
void srv_limit_refund(struct srv_session *s); /* what was taken came to nothing */
void srv_limit_sent(struct srv_session *s, uint32_t recipients); /* it is durable */
/* Somebody logged in: false, when that is one session too many of the account. */
bool srv_limit_enter(struct srv_session *s);

/* srv_key.c */
struct srv_key {
    EVP_MD_CTX *md; /* over the octets received; NULL: not (yet) wanted */
    bool failed;
};
struct srv_key_in {
    struct sp_str header, content; /* content: all of it unless in_file */
    bool in_file;
    bool own_id; /* the Message-ID is the client's own */
    struct sp_arena *arena;
};
enum srv_key_answer {
    SRV_KEY_NONE,
    SRV_KEY_IMPLICIT,
    SRV_KEY_EXPLICIT, /* its field is in *ret_field */
    SRV_KEY_BAD,      /* the field is malformed, or stands twice */
    SRV_KEY_FAILED,   /* no memory */
};
/* The content becomes too large for memory: will its digest be wanted? */
void srv_key_large(struct srv_session *s, struct srv_key *k, struct sp_str so_far);
void srv_key_octets(struct srv_key *k, struct sp_str octets); /* what comes then */
enum srv_key_answer srv_key_make(struct srv_session *s, const struct srv_key_in *in,
                                 struct srv_key *k, Sp__Envelope *e,
                                 struct sp_field *ret_field);
void srv_key_free(struct srv_key *k);

/* srv_proxy.c */
bool srv_proxy_admits(const struct srv_listener *l, const char *address);
/* Octets of the header; *ret_used of them.  False: it is none, close. */
bool srv_proxy_header(struct srv_session *s, const char *p, size_t n, size_t *ret_used);
void srv_proxy_xclient(struct srv_session *s, struct sp_str attributes);
void srv_proxy_xforward(struct srv_session *s, struct sp_str attributes);

/* srv_trace.c */
void srv_trace_set(struct srv *srv, const Sp__TraceSet *m);
/* How many of these octets the engine may be shown at once; then what it took. */
size_t srv_trace_piece(struct srv_session *s, const char *p, size_t n);
void srv_trace_took(struct srv_session *s, const char *p, size_t n);
void srv_trace_out(struct srv_session *s, const char *p, size_t n);
void srv_trace_note(struct srv_session *s, const char *what, const char *more);
void srv_trace_forget(struct srv_session *s);
/* A configuration whose first listener's `proxies` is this network; NULL: it is none. */
struct sp_conf *srv_trace_network(const char *network);

/* role_server.c */
/* What is in force now, for a session that starts and for judging again; NULL: none. */
struct srv_listener *srv_listener_now(struct srv *srv, const char *name);
bool srv_spare_take(struct srv *srv, struct srv_spare *ret);
void srv_spare_ask(struct srv *srv); /* also finds out whether the disk is still full */
void srv_spare_drop(struct srv *srv, const struct srv_spare *spare);
void srv_session_closed(struct srv *srv); /* one less; ends the process when draining */

#endif
