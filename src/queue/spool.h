/*
 * spool.h - the durable spool: what was acknowledged is here until it is delivered,
 * bounced or removed.
 *
 *     struct sp_spool_options o;
 *     sp_spool_defaults(&o);
 *     sp_spool_open("/var/lib/sallyport", &o, now_ms, &spool, &err);
 *     b = sp_batch_new(spool);
 *     i = sp_batch_submit(b, &(struct sp_submission){.env = env, .prefix = p,
 *                                                     .content = c}, now_ms, &err);
 *     ... everything that is waiting ...
 *     sp_spool_commit(spool, b, now_ms, &err);       one transaction, on stable storage
 *     r = sp_batch_result(b, i);                     r->code 250: say so to the client
 *     sp_batch_reset(b);
 *
 * In the queue folder of the data directory (datadir.h), or in `dir` itself where there
 * is none: `lock`, `spool.db` (SQLite, WAL) and `bodies/` with the
 * contents that are larger than SP_INLINE_MAX.
 *
 * A message is split into jobs, one a recipient domain; a job is what is scheduled
 * (schedule.h), claimed, delivered and settled.  Numbers: qid.h.
 *
 * Threads: one call at a time on a spool and its batches; only sp_spare_prepare() may run
 * beside anything (it waits for the disk: call it from a pool thread).  A checkpointer thread of its own
 * is started by sp_spool_open() unless the options say no; open after the last fork().
 *
 * Errors: negative -SP_E..., words in sp_err.  -SP_ENOSPC is a full disk or quota: 452
 * 4.3.1 to the client; everything else 451 4.3.0.  What a role or a disk says is
 * untrusted: a damaged row gives an error for this row, never a crash.
 *
 * The caller must not: acknowledge anything before sp_spool_commit() returned and the
 * item's code is 250; use a job, plan or result behind the free or reset that ends it;
 * open and close spool.db itself in this process (POSIX locks die with the first close).
 *
 * Nothing here names SQLite but the `vfs` option, so that another store can stand behind the same calls.
 */
#ifndef SP_SPOOL_H
#define SP_SPOOL_H

#include "qid.h"
#include "schedule.h"
#include "states.h"

#include <sallyport/types.h>

#define SP_SPOOL_VERSION    2      /* of the tables */
#define SP_ENVELOPE_VERSION 1      /* of what is packed in them */
#define SP_INLINE_MAX       65536u /* larger content lives in a file of its own */
#define SP_PREFIX_MAX       65536u /* everything we add in front */
#define SP_ROUTE_NAME_MAX   255
#define SP_ATTEMPTS_KEPT    8          /* per recipient, the newest */
#define SP_BATCH_MESSAGES   256        /* a batch is full with so many items ... */
#define SP_BATCH_OCTETS     (4u << 20) /* ... or so much inline content */

struct sp_spool;
struct sp_batch;
struct sp_spare;

/* ---- open, close, health ------------------------------------------------------ */

struct sp_spool_options {
    bool read_only; /* no lock, nothing is written: listing beside a running server */
    bool lock_held; /* the caller holds the data directory's lock already */
    bool no_thread; /* no checkpointer: for a short-lived command */
    uint64_t history_ms; /* how long a finished message can be found; 0 not at all */
    uint64_t key_ms;     /* how long a submission key is remembered */
    uint32_t recipients_max; /* a message */
    uint32_t
        job_recipients_max; /* a job; more recipients at one domain make more jobs */
    struct sp_retry retry;
    const char
        *vfs; /* name of a registered SQLite VFS; NULL the system's.  For tests */
};
void sp_spool_defaults(struct sp_spool_options *o);

/* -SP_EAGAIN: locked, the text names the process.  -SP_EVERSION: written by a newer
 * program.  -SP_EIO: damaged, or the system says no; never a silent new spool. */
int sp_spool_open(const char *dir, const struct sp_spool_options *o, uint64_t now_ms,
                  struct sp_spool **ret_spool, struct sp_err *err);
void sp_spool_close(
    struct sp_spool *s); /* NULL is fine; all batches and jobs freed before */
/* A reload: takes over history_ms, key_ms, the limits and retry; the rest stays. */
void sp_spool_reconfigure(struct sp_spool *s, const struct sp_spool_options *o);

enum sp_spool_health {
    SP_SPOOL_OK,
    SP_SPOOL_NEEDS_REPAIR, /* an I/O error in a commit: call sp_spool_repair() */
    SP_SPOOL_FAILED, /* what is in the database file is in doubt: close and open again */
};
enum sp_spool_health sp_spool_health(struct sp_spool *s);
/* Makes a spool that needs it usable again: 0, or an error and nothing changed. */
int sp_spool_repair(struct sp_spool *s, struct sp_err *err);
/* Nothing to do for a second or so: gives disk space of the log back, prunes a few
 * hundred rows of history and old keys.  Returns 1 when there is more to prune. */
int sp_spool_idle(struct sp_spool *s, uint64_t now_ms, struct sp_err *err);
/* Reads everything and compares: 0, or -SP_EIO with the first finding.  Slow. */
int sp_spool_verify(struct sp_spool *s, struct sp_err *err);

struct sp_spool_counts {
    uint64_t messages, queued, held, history; /* rows; queued and held are jobs */
    uint64_t orphans;                         /* body files removed at open */
    uint64_t log_octets;                      /* WAL, after the last commit */
    uint64_t commits, checkpoints;
};
/* Walks the tables: for people who ask.  The queue role counts with its schedule. */
int sp_spool_count(struct sp_spool *s, struct sp_spool_counts *ret, struct sp_err *err);
/* When the oldest message came, one row's look; 0: there is none. */
int sp_spool_oldest(struct sp_spool *s, uint64_t *ret_ms, struct sp_err *err);

/* ---- large contents ------------------------------------------------------------ */

/* A file without a name for content above SP_INLINE_MAX: hand sp_spare_fd() to whoever
 * writes it.  Nothing remains of it unless it is prepared and committed. */
int sp_spare_new(struct sp_spool *s, uint64_t now_ms, struct sp_spare **ret,
                 struct sp_err *err);
int sp_spare_fd(const struct sp_spare *f);
uint64_t
sp_spare_id(const struct sp_spare *f); /* SpareFile.spare in the role messages */
/* Waits for the disk: size must be content_size, then the octets and the name are made
 * durable.  Thread-safe for different spares.  On an error the file is lost, whatever is
 * done next: a second fdatasync may succeed without the octets being there. */
int sp_spare_prepare(struct sp_spare *f, uint64_t content_size, struct sp_err *err);
void sp_spare_free(
    struct sp_spare *f); /* a prepared one that was not committed is removed */

/* ---- batches ------------------------------------------------------------------- */

struct sp_submission {
    const Sp__Envelope *env; /* packed at once: may die behind sp_batch_submit() */
    struct sp_str prefix;    /* borrowed until the commit returned */
    struct sp_str content;   /* borrowed likewise; empty with a spare */
    uint64_t key_ms; /* how long its submission key is remembered; 0: the spool's default */
    struct sp_spare
        *spare; /* prepared; owned by the batch from here on, also in errors */
};

/* What became of a job, for the schedule and for those who deliver. */
enum sp_change_kind {
    SP_CHANGE_NEW,
    SP_CHANGE_RETRY,
    SP_CHANGE_HELD,
    SP_CHANGE_RELEASED,
    SP_CHANGE_GONE
};
struct sp_change {
    enum sp_change_kind kind;
    uint64_t job, message;
    uint64_t due_ms;
    bool held;
    struct sp_str domain, user; /* only with NEW */
    int priority;               /* likewise */
    const uint32_t *index;      /* only with NEW: recipients, into the envelope */
    size_t nindex;
};
/* Tells the schedule.  0 or -SP_ENOMEM. */
int sp_change_apply(const struct sp_change *c, struct sp_sched *sched);

struct sp_result {
    int code;             /* 250, 451, 452 or 554: the first digits of the reply */
    const char *enhanced; /* "2.0.0" */
    const char *text;     /* words for the reply */
    char id[SP_QID_MAX];  /* queue id, with 250 */
    uint64_t message;
    bool duplicate; /* recognised by its submission key; id is the first one's */
    bool stale;     /* a settle that came too late: nothing was done, nor need be */
    const struct sp_change *change;
    size_t nchange;
};

struct sp_batch *sp_batch_new(struct sp_spool *s); /* NULL: no memory */
void sp_batch_free(struct sp_batch *b);
void sp_batch_reset(struct sp_batch *b); /* empty again; results and changes are gone */
bool sp_batch_full(
    const struct sp_batch *b); /* commit now; one more item would be refused */
size_t sp_batch_items(const struct sp_batch *b);

/* All return the item's number for sp_batch_result(), or an error: then the item is not
 * in the batch and the others are as before.  -SP_EAGAIN: full, commit first. */
int sp_batch_submit(struct sp_batch *b, const struct sp_submission *m, uint64_t now_ms,
                    struct sp_err *err);
/* Takes a submission back before the commit: its result is then 451, and nothing of it
 * is stored.  For other items nothing happens. */
void sp_batch_drop(struct sp_batch *b, int item);
struct sp_plan;
/* The plan stays the caller's and must live until the commit returned. */
int sp_batch_settle(struct sp_batch *b, const struct sp_plan *p, struct sp_err *err);
/* A notice that settle item `settle` owes: stored in the same transaction, and only if
 * the settle was not stale.  It never carries a submission key. */
int sp_batch_notice(struct sp_batch *b, int settle, const struct sp_submission *m,
                    uint64_t now_ms, struct sp_err *err);
/* A job, or with job 0 all jobs of the message.  TAKE_BACK is for a message of which its
 * client was told that it is not stored (job 0): removed, and its submission key is free
 * again; with REMOVE the key stays, a second copy is not wanted then. */
enum sp_control {
    SP_CONTROL_HOLD,
    SP_CONTROL_RELEASE,
    SP_CONTROL_RETRY_NOW,
    SP_CONTROL_REMOVE,
    SP_CONTROL_TAKE_BACK,
    SP_CONTROL_EXPIRE, /* held or not: who claims it next finds `given_up` */
    SP_CONTROL_REROUTE /* only sp_batch_reroute(), sp_spool_reroute_all() */
};
int sp_batch_control(struct sp_batch *b, enum sp_control c, uint64_t message,
                     uint64_t job, struct sp_err *err);
/* The route for all further attempts, "": as the rules say.  Jobs that were tried before
 * are tried at once; those that are held, or wait for a time that the sender gave, go on
 * waiting.  Whether the route exists is the caller's business.  -SP_EINPUT: too long. */
int sp_batch_reroute(struct sp_batch *b, const char *route, uint64_t message,
                     uint64_t job, struct sp_err *err);

/* Everything in the batch, in one transaction.  0: each item has its result, 250 means
 * stable storage.  An error: nothing of the batch happened, every item has 451 or 452,
 * and the spool stays usable unless sp_spool_health() says otherwise. */
int sp_spool_commit(struct sp_spool *s, struct sp_batch *b, uint64_t now_ms,
                    struct sp_err *err);
const struct sp_result *sp_batch_result(const struct sp_batch *b, int item);

/* ---- jobs: claim, settle -------------------------------------------------------- */

/* Every job that is not done, in order of number: fills the schedule at start. */
typedef int sp_job_fn(void *arg, uint64_t job, uint64_t message, uint64_t due_ms,
                      bool held, struct sp_str domain, struct sp_str user,
                      int priority);
int sp_spool_jobs(struct sp_spool *s, sp_job_fn *fn, void *arg, struct sp_err *err);
/* The same straight into a schedule. */
int sp_spool_load(struct sp_spool *s, struct sp_sched *sched, struct sp_err *err);

/* A job with everything the delivering role needs: the message Job in the schema. */
struct sp_job {
    uint64_t job, message, lease;
    char id[SP_QID_MAX];
    Sp__Envelope *env; /* rcpt: only recipients of this job that are still open */
    const uint32_t
        *index; /* env->n_rcpt of them: where they stand in the stored envelope */
    struct sp_str prefix;
    struct sp_str content; /* p NULL when it is in fd */
    int fd; /* read only, at its beginning; -1 when inline.  Closed by the free */
    struct sp_str domain, user;
    uint32_t attempt; /* 1 is the first */
    bool leased;
    /* How its recipients stood, those that are closed, too; NULL: new mail. */
    const Sp__JobState *state;
    bool given_up;     /* not to be delivered: to be settled with a bounce */
    const char *route; /* chosen by an administrator; NULL: as the rules say */
};
/* Loads a job and gives it a lease, the fencing number that an outcome must carry.
 * -SP_ENOENT: no such job or done; -SP_ESTATE: held, or leased already; -SP_EINPUT: damaged,
 * or its content is lost (hold it, an administrator must look). */
int sp_spool_claim(struct sp_spool *s, uint64_t job, struct sp_job **ret,
                   struct sp_err *err);
void sp_job_free(struct sp_job *j);
/* The lease alone, for mail that is still in the caller's memory.  0: leased already. */
uint64_t sp_spool_lease(struct sp_spool *s, uint64_t job);
/* A delivery role was still busy with this when the queue restarted: its lease goes on.
 * -SP_ENOENT: the job is done, -SP_ESTATE: the lease cannot be one of ours. */
int sp_spool_adopt(struct sp_spool *s, uint64_t job, uint64_t lease,
                   struct sp_err *err);
/* The lease ends and nothing happened (the role died).  Later outcomes with it are stale. */
void sp_spool_unlease(struct sp_spool *s, uint64_t job);
uint64_t sp_spool_leased(const struct sp_spool *s, uint64_t job); /* the lease, or 0 */

/* What an outcome does, computed and not yet stored.  Owned by the caller. */
struct sp_owed {
    uint32_t pos; /* into plan->env->rcpt and plan->state->rcpt */
    enum sp_owed_kind notice;
};
/* When the sender's time for delivery is over (RFC 2852), in ms; UINT64_MAX: none given. */
uint64_t sp_by_time(const Sp__Envelope *e, uint64_t received_ms);

struct sp_plan {
    uint64_t job, message, lease;
    char id[SP_QID_MAX];
    const Sp__Envelope *env;   /* rcpt: all recipients of the job */
    const Sp__JobState *state; /* how they stand afterwards, in the same order */
    const struct sp_owed
        *owed; /* notices that are the caller's duty in the same commit */
    size_t nowed;
    bool finished;   /* no recipient of this job is open */
    uint64_t due_ms; /* else: when to try again */
    uint32_t attempts;
    bool host_down;
};
/* Judges an untrusted outcome.  Recipients it does not name count as to be retried.
 * -SP_EINPUT: it names strangers, one twice, or what is closed already; -SP_ENOENT or
 * -SP_ESTATE: job gone or another lease: stale, tell the role that it is stored. */
int sp_spool_plan(struct sp_spool *s, const Sp__Outcome *o, uint64_t now_ms,
                  struct sp_plan **ret, struct sp_err *err);
void sp_plan_free(struct sp_plan *p);

/* A stored message's octets, for a notice: like sp_spool_claim() without lease and
 * recipients (job 0, env->n_rcpt 0). */
int sp_spool_message(struct sp_spool *s, uint64_t message, struct sp_job **ret,
                     struct sp_err *err);

/* ---- looking --------------------------------------------------------------------- */

struct sp_view_rcpt {
    const Sp__Recipient *rcpt;
    const Sp__RcptState *state;
    uint64_t job; /* 0 in the history */
    uint64_t due_ms;
    bool held, leased;
    const char *route; /* chosen by an administrator, or NULL */
    bool other; /* in a scan: the filter is about recipients, and not about this one */
};
struct sp_view {
    char id[SP_QID_MAX];
    uint64_t message;
    bool
        finished; /* from the history: env has reverse-path, recipients, user, Message-ID */
    uint64_t created_ms, finished_ms, size;
    struct sp_str user;
    const Sp__Envelope *env;         /* NULL when damaged */
    const struct sp_view_rcpt *rcpt; /* in the envelope's order */
    size_t nrcpt;
    const char *damaged; /* what is wrong with the row or the content's file, or NULL */
};
/* Live or finished.  -SP_ENOENT. */
int sp_spool_find(struct sp_spool *s, uint64_t message, struct sp_view **ret,
                  struct sp_err *err);
void sp_view_free(struct sp_view *v);

/* Matching live messages, oldest first.  `after` is the last message number seen (0: from
 * the start), so a caller can go in pieces.  fn returns 0 to go on; the view dies when fn
 * returns.  Returns how many matched.  `state`: "queued", "held", "deferred" (tried and
 * waiting), "active" (leased), "" any; an unknown one is -SP_EINPUT. */
typedef int sp_view_fn(void *arg, const struct sp_view *v);
int sp_spool_scan(struct sp_spool *s, const Sp__QueueFilter *f, uint64_t after,
                  uint64_t now_ms, sp_view_fn *fn, void *arg, struct sp_err *err);
/* The same in the history. */
int sp_spool_scan_history(struct sp_spool *s, const Sp__QueueFilter *f, uint64_t after,
                          uint64_t now_ms, sp_view_fn *fn, void *arg,
                          struct sp_err *err);

/* Hold, release, retry or remove all matches, a few hundred a transaction.  fn (may be
 * NULL) hears each change.  Returns how many messages. */
typedef void sp_change_fn(void *arg, const struct sp_change *c);
int sp_spool_control_all(struct sp_spool *s, enum sp_control c,
                         const Sp__QueueFilter *f, uint64_t now_ms, sp_change_fn *fn,
                         void *arg, struct sp_err *err);
/* The same for sp_batch_reroute(). */
int sp_spool_reroute_all(struct sp_spool *s, const char *route,
                         const Sp__QueueFilter *f, uint64_t now_ms, sp_change_fn *fn,
                         void *arg, struct sp_err *err);

#endif
