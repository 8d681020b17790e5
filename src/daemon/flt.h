/*
 * flt.h - inside the filter role: sessions of server processes, and who is asked about them.
 *
 *     role_filter.c  sessions, questions in order, answers
 *     flt_milter.c   one milter of one session: connection, stages, changes
 *     flt_policy.c   policy services: connections that are used again, one question each
 *
 * Questions of a session are answered one after the other.  A question goes to the policy
 * services (RCPT), then to each milter in turn; the first that refuses ends it.  The role
 * keeps nothing that is needed later: when it dies, servers say 451, and its successor
 * hears of living sessions again with their next MAIL.
 */
#ifndef SP_FLT_H
#define SP_FLT_H

#include "medit.h"
#include "milter.h"
#include "policydel.h"
#include "role.h"

#include "conn.h"
#include "dial.h"

enum {
    FLT_TOTAL_MS =
        90 * 1000, /* all milters on one message; the server has 110 s in all */
    FLT_HEADER_MAX = 1 << 20,
    FLT_BODY_INLINE = 65536,
    FLT_RCPT_MAX = 1000, /* that filters add or remove, a message */
};

struct flt;
struct flt_session;
struct flt_pool; /* flt_policy.c */

/* Content that may be large: in memory, in a file of somebody's, or nobody's yet. */
struct flt_body {
    struct sp_buf mem;
    int fd; /* -1: all in mem */
    uint64_t offset, size;
};
void flt_body_init(struct flt_body *b);
void flt_body_free(struct flt_body *b);
int flt_body_put(struct flt_body *b, struct sp_str octets,
                 uint64_t max); /* -SP_ELIMIT */
/* Up to n octets from `at` into buf; <0: it cannot be read. */
int flt_body_read(const struct flt_body *b, uint64_t at, char *buf, size_t n);

struct flt_ask {
    struct flt_ask *next;
    struct sp_arena arena;
    Sp__FilterAsk *m;
    struct flt_body body;
};

enum flt_phase { FLT_HEADERS, FLT_EOH, FLT_BODY, FLT_EOM, FLT_DONE };

/* One milter of one session. */
struct flt_milter {
    struct flt_session *s;
    const struct sp_conf_milter *c;
    struct sp_dial *dial;
    struct sp_conn *conn;
    struct sp_milter *proto;
    struct sp_timer timer;
    size_t address;  /* of c->address, being tried */
    bool ready;      /* negotiated */
    bool connected;  /* CONNECT was said */
    unsigned helo;   /* the session's helo that was said */
    unsigned tx;     /* the transaction that MAIL was said of */
    bool in_message; /* MAIL was said, and its end was not */
    bool said;       /* the present question was put to it */
    bool passed_all; /* it accepted the connection unseen */
    bool passed;     /* it accepted this message unseen, or failed open */
    bool broken;     /* it failed in this transaction */
    enum flt_phase phase;
    size_t field;
    uint64_t at;
    /* What it wants, until its verdict. */
    struct sp_arena arena;
    struct flt_change {
        struct flt_change *next;
        struct sp_milter_change c;
    } * change, **last;
    struct flt_body new_body;
    bool has_body;
};

struct flt_address {
    struct flt_address *next;
    struct sp_str text, params;
};

struct flt_session {
    struct flt_session *next; /* of its bucket */
    struct flt *f;
    struct flt_server *server;
    uint64_t key;
    struct sp_conf *conf;
    const struct sp_conf_listener *l;
    struct sp_arena client_arena;
    Sp__FilterClient *client;
    unsigned helo, tx; /* counts; 0: none yet */
    struct flt_milter *milter;
    size_t n_milters, at;
    size_t policy; /* of l->policies, being asked */
    struct flt_question *question;
    struct flt_ask *now, *first, **last;
    struct sp_timer total;
    bool running, dead;

    /* The transaction. */
    struct sp_arena arena;
    const char *id, *sender;
    bool sender_changed, discard, remove_all;
    const char *hold;
    struct flt_address *added, *removed;
    size_t n_addresses;
    struct sp_buf prepend; /* fields that policy services want */
    struct sp_medit edit;
    struct flt_body body;
    bool body_changed;
};

struct flt_server {
    struct flt_server *next;
    struct flt *f;
    struct sp_port *port;
    unsigned instance;
};

enum { FLT_BUCKETS = 4096 };

struct flt {
    struct sp_role *role;
    struct sp_net *net;
    struct sp_conf *conf;
    struct flt_server *servers;
    struct flt_session *bucket[FLT_BUCKETS];
    struct flt_pool *pools;
    struct sp_arena frames;
};

/* role_filter.c.  A refusal of what is being asked; text: lines separated by LF. */
struct flt_reply {
    int code, enh[3];
    struct sp_str text;
};
void flt_refuse(struct flt_session *s, const struct flt_reply *r);
void flt_go_on(
    struct flt_session *s); /* the milter at s->at, or the policy, is done waiting */
/* then NULL: nothing is lost yet, the next MAIL tries again. */
void flt_log_failure(const struct flt_session *s, const char *kind, const char *name,
                     const char *stage, const char *reason,
                     const enum sp_conf_failure *then);
void flt_log_verdict(const struct flt_session *s, const char *kind, const char *name,
                     const char *stage, const char *verdict, const struct flt_reply *r);
/* 451, or 550: what an unavailable filter makes of mail. */
void flt_refuse_failure(struct flt_session *s, enum sp_conf_failure how);
const char *flt_keep(struct flt_session *s, struct sp_str text); /* NULL: no memory */
bool flt_address_add(struct flt_session *s, struct flt_address **list,
                     struct sp_str text, struct sp_str params);

/* flt_milter.c */
enum flt_step {
    FLT_NEXT, /* it has nothing against it */
    FLT_WAIT,
    FLT_OVER, /* the question was answered */
    FLT_SAID, /* nothing is left to say to this one */
};
void flt_milter_init(struct flt_milter *m, struct flt_session *s,
                     const struct sp_conf_milter *c);
enum flt_step flt_milter_step(struct flt_milter *m);
void flt_milter_begin(struct flt_milter *m); /* a new question */
void flt_milter_abort(struct flt_milter *m); /* the transaction is over */
void flt_milter_close(
    struct flt_milter *m); /* QUIT where it listens; may be used again */
void flt_milter_give_up(struct flt_milter *m,
                        const char *why); /* as if it had failed */

/* flt_policy.c */
/* Asks s->policy; goes on by flt_policy_done() or flt_policy_failed(). */
bool flt_policy_ask(struct flt_session *s,
                    const struct sp_conf_policy *c); /* false: no memory */
void flt_policy_cancel(struct flt_session *s);
void flt_policy_tick(
    struct flt *f); /* a new configuration: pools that nobody needs go */
void flt_policy_done(struct flt_session *s, const struct sp_policy_action *a);
void flt_policy_failed(struct flt_session *s, const char *why);

#endif
