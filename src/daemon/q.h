/*
 * q.h - inside the queue role: it owns the spool and hands out work.
 *
 *     role_queue.c  channels, the one commit of a turn, spares, reload, drain
 *     q_submit.c    mail from servers into the batch
 *     q_sign.c      DKIM signatures of it
 *     q_flight.c    jobs out to delivery and local, outcomes back into the batch
 *     q_pace.c      which destination may have how much of it just now
 *     q_sts.c       MTA-STS policies that are kept
 *     q_tlsrpt.c    TLSRPT: sessions that are counted, reports a day
 *     q_notice.c    bounces and warnings that an outcome owes
 *     q_admin.c     the control socket
 *     qcontrol.c    commands of administrators (also used without a server)
 *
 * Everything that one turn of the loop brings goes into one batch and is committed once,
 * in the check phase; only then do the answers leave.  Frames keep their octets until
 * then, so the content is bound without a copy.
 */
#ifndef SP_Q_H
#define SP_Q_H

#include "pace.h"
#include "q_sign.h"
#include "role.h"
#include "spool.h"
#include "suspend.h"
#include "wallclock.h"

enum { Q_PEERS_MAX = 128, Q_SPARES_A_PEER = 16, Q_ITEMS = SP_BATCH_MESSAGES };

struct q;
struct q_prepared; /* a submission that came through the pool */

/* One channel: to a server, to delivery or local, or to an administrator. */
struct q_peer {
    struct q *q;
    struct sp_port *port;
    Sp__Role role;
    unsigned instance;
    uint64_t serial;   /* this channel; the next process of that instance has another */
    bool greeted;      /* delivery, local: HELD was said */
    uint32_t capacity; /* jobs at a time */
    uint32_t out;
    struct sp_spare *spare[Q_SPARES_A_PEER];
    uint32_t spares_owed; /* asked for, but all places are taken */
    struct q_peer *next;
};

enum q_item_kind { Q_SUBMIT, Q_SETTLE, Q_NOTICE, Q_HOLD };

/* What one item of the batch belongs to. */
struct q_item {
    enum q_item_kind kind;
    int number; /* in the batch */
    uint64_t tag; /* Q_HOLD: the message */
    const char *why; /* Q_HOLD; lives in the turn's arena */
    uint64_t until_ms; /* Q_SUBMIT: the server gives up then; 0: never */
    uint64_t serial; /* of the server's channel: it may be gone when the commit is done */
    const Sp__Submit *submit; /* lives until the end of the turn, as does its content */
    struct sp_str content;
    bool large; /* the content is in a file */
    struct q_flight *flight;
    struct sp_plan *plan;
    Sp__Envelope *notice; /* lives in the turn's arena */
};

struct q {
    struct sp_role *role;
    struct sp_conf *conf;
    struct sp_spool *spool;
    struct sp_sched *sched;
    struct sp_pace *pace;
    struct sp_suspend *suspended;
    uint64_t pace_due_ms; /* loop time when a rate lets more through; 0: none waits */
    uint64_t ours;        /* outcomes of our own making */
    struct sp_batch *batch;
    struct sp_arena arena; /* of one turn: everything the batch borrows */
    struct q_item item[Q_ITEMS * 2];
    size_t items;
    struct q_peer *peers;
    struct q_flight *flights[1024]; /* by job */
    size_t flying;
    uv_check_t check;
    uv_idle_t awake; /* active: the loop does not sleep before the commit */
    uv_timer_t due, idle, drain;
    uint64_t started_ms;
    bool dispatching, open_for_work;
    unsigned preparing; /* messages in the pool: synced, signed */
    struct q_signers *signers;     /* NULL: nothing is signed */
    struct q_prepared *prepared;   /* in the batch: it borrows from them */
    uint64_t commits;
};

struct q_peer *q_peer_find(struct q *q, Sp__Role role, unsigned instance);
struct q_peer *q_peer_serial(struct q *q, uint64_t serial);
/* Sends the spare files that the server still waits for, as far as there are places. */
void q_give_spares(struct q_peer *p);
/* The batch has something: commit at the end of this turn. */
void q_want_commit(struct q *q);
/* Commits now, because the batch is full. */
void q_commit(struct q *q);
struct q_item *q_item_add(struct q *q, enum q_item_kind kind, int number);

/* q_submit.c */
int q_submit(struct q_peer *p, const struct sp_frame *f, struct sp_err *err);
void q_submit_done(const struct q_item *it, const struct sp_result *r, bool taken_back);
void q_submit_drop_late(struct q *q); /* before a commit */
/* After it: true when the message went out of the queue again. */
bool q_submit_take_back(struct q *q, const struct q_item *it, const struct sp_result *r);
void q_submit_answer(struct q *q); /* one frame a server for all of a commit */
void q_submit_free(struct q_prepared *list); /* behind a commit: nothing borrows any more */

/* A job of mail that was made durable in this turn and is still in memory. */
struct q_fresh {
    struct q_fresh *next;
    const Sp__Submit *m;
    struct sp_str content;
    bool large;
    uint64_t job, message;
    char id[SP_QID_MAX];
    size_t n;
    uint32_t index[]; /* its recipients in the envelope */
};

/* q_flight.c */
/* The jobs of an accepted item, copied from its result to the end of a list.  Returns
 * where the next one goes. */
struct q_fresh **q_fresh_add(struct q *q, const struct q_item *it,
                             const struct sp_result *r, struct q_fresh **tail);
/* To the roles at once, as far as they have room and nothing older waits for them. */
void q_fresh_go(struct q *q, const struct q_fresh *list);
void q_dispatch(struct q *q);
int q_outcome(struct q_peer *p, const Sp__Outcome *o, struct sp_err *err);
int q_held(struct q_peer *p, const Sp__Held *h, struct sp_err *err);
void q_settle_done(struct q *q, const struct q_item *it, const struct sp_result *r);
void q_hold_done(const struct q_item *it, const struct sp_result *r);
void q_peer_lost(struct q_peer *p); /* its jobs are nobody's now */

struct sp_qcontrol;
/* q_pace.c: the gates of the schedule are the ids of pace.h. */
int q_pace_new(struct q *q, struct sp_err *err); /* behind the schedule */
void q_pace_configure(struct q *q);
/* 0: this route has no limits, or there are too many destinations. */
uint32_t q_pace_of(struct q *q, const struct sp_conf_route *r, struct sp_str domain);
enum sp_pace_answer q_pace_ask(struct q *q, uint32_t id);
struct sp_pace_ticket q_pace_sent(struct q *q, uint32_t id);
/* For each process of the delivery role. */
uint32_t q_pace_connections(const struct q *q, uint32_t id);
void q_pace_result(struct q *q, const struct sp_pace_ticket *t, enum sp_pace_verdict v,
                   const Sp__Attempt *a);
/* What a message that it does not get is told; false: it is not dead any more. */
bool q_pace_words(struct q *q, uint32_t id, struct sp_buf *text, struct sp_buf *where);
/* Behind a change: those who wait there come out, or are due now. */
void q_pace_suspended(struct q *q, const struct sp_suspension *x, bool resumed);
/* A row for each destination that has mail or troubles. */
void q_pace_rows(struct q *q, struct sp_qcontrol *c);
/* Why this job waits, when its destination is suspended; NULL: it is not. */
const struct sp_suspension *q_pace_why(struct q *q, uint64_t job);
/* An administrator wants this job tried now; 0: any. */
void q_pace_try(struct q *q, uint64_t job);
void q_pace_tick(struct q *q, bool all); /* who may go by now; all: each few seconds */

/* q_notice.c: adds what the plan owes to the batch, behind item number `settle`. */
void q_notices(struct q *q, struct sp_plan *plan, int settle);

/* Mail of this host: a dkim section for its author's domain signs it, too. */
void q_sign_own(struct q *q, const char *about, struct sp_submission *sub);

/* q_tlsrpt.c */
void q_rpt_put(struct q *q, const Sp__TlsSession *m);
void q_rpt_posted(struct q *q, const Sp__TlsReported *m);
void q_rpt_tick(struct q *q); /* each second or so */

/* q_sts.c */
/* Adds the policy that is kept for the domain, if there is one. */
void q_sts_get(struct q *q, const char *domain, struct sp_buf *out);
void q_sts_put(struct q *q, const Sp__StsPolicy *m);
void q_sts_sweep(struct q *q); /* now and then: what has expired goes, in the pool */

/* q_admin.c: a control socket; one of another address takes the place of the one before. */
/* `sallyport trace`: what is wanted, to a server that is new; a line of one. */
void q_trace_tell(struct q_peer *p);
void q_trace_line(const Sp__Traced *m);
int q_admin_listen(struct sp_role *r, const Sp__ListenerFd *m, int fd, struct sp_err *err);

#endif
