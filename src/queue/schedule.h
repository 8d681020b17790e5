/*
 * schedule.h - which job is next.  Pure: memory only, no clock, no disk.
 *
 *     s = sp_sched_new();
 *     sp_spool_jobs(spool, add_one, s);          each job of the spool: sp_sched_add()
 *     n = sp_sched_take(s, now_ms, SP_SCHED_ANY, 20, jobs);    due jobs, now "out"
 *     ... claim and deliver, settle ...
 *     sp_sched_retry(s, job, due_ms) or sp_sched_done(s, job)
 *     timer: sp_sched_next(s, &ms)
 *
 * Times are wall clock in milliseconds as the spool stores them; the caller passes
 * now_ms, and should derive it from a monotonic clock so that a jump does not start
 * everything at once.
 *
 * Order: a job becomes ready when its time has come; ready jobs leave in the order in
 * which they became due, but in turn between users, so that one user's thousand does
 * not stand in front of another's one.  Ready jobs stand in lanes, one for each way out
 * that can be full while another has room; the caller says which lanes may move.
 *
 * Gates: a job may stand behind one, a destination that takes only so much at a time.
 * When its turn comes and the gate is shut, it is parked there, and those behind it move
 * up: nobody waits for another one's slow host.  Parked jobs come out as the caller says,
 * again in turn between users; until none is left newcomers stand behind them.
 *
 * Priority (RFC 6710, of which the three levels of MIXER are told apart: above 0, 0, below
 * 0): within a lane urgent jobs go first and low ones last.  One of a lower level goes
 * for every SP_SCHED_SHARE of higher ones, so that nobody's mail stands still because
 * somebody else calls all of his urgent.
 *
 * Jobs, domains and users are copied in.  At 100,000 jobs it needs about 11 MB.
 */
#ifndef SP_SCHEDULE_H
#define SP_SCHEDULE_H

#include <sallyport/types.h>

/* When to try again, and when to give up. */
struct sp_retry {
    uint32_t step_s[16];     /* pause behind attempt 1, 2 ...; the last one repeats */
    uint32_t nsteps;         /* 1..16 */
    uint32_t jitter_percent; /* a pause is longer by up to this much */
    uint64_t lifetime_s;     /* then it bounces */
    uint64_t notice_lifetime_s; /* the same for notices of ours */
    uint64_t delay_warning_s;   /* then the sender is told that it is late; 0 never */
};
void sp_retry_defaults(struct sp_retry *r);
/* Milliseconds to wait behind attempt number `attempts` (from 1).  The jitter comes from
 * `seed` (the job's number), so the same question has the same answer. */
uint64_t sp_retry_pause(const struct sp_retry *r, uint32_t attempts, uint64_t seed);

enum sp_sched_state {
    SP_SCHED_WAITING, /* its time has not come */
    SP_SCHED_READY,   /* could be taken */
    SP_SCHED_OUT,     /* taken, not settled */
    SP_SCHED_HELD,    /* until released */
};

/* One recipient domain.  It lives as long as there is a job for it. */
struct sp_dest {
    char *domain;
    uint32_t jobs; /* known to the schedule */
    uint32_t out;  /* of these taken and not settled */
    struct sp_dest *next_in_bucket;
};

/* Which lane means what is the caller's affair; 0 is for jobs nobody has looked at. */
enum { SP_SCHED_LANES = 4, SP_SCHED_ANY = (1 << SP_SCHED_LANES) - 1 };

struct sp_sched_job {
    uint64_t job, message;
    uint64_t due_ms;
    struct sp_str domain, user; /* borrowed by sp_sched_get(): until the job is done */
    enum sp_sched_state state;
    unsigned lane;
    int priority; /* 1, 0 or -1 */
    uint32_t gate;
    bool parked; /* ready, but its gate was shut */
};

struct sp_sched; /* opaque */

struct sp_sched *sp_sched_new(void); /* NULL: no memory */
void sp_sched_free(struct sp_sched *s);

/* held: it waits for sp_sched_release().  0, -SP_EEXIST, -SP_ENOMEM. */
int sp_sched_add(struct sp_sched *s, uint64_t job, uint64_t message, uint64_t due_ms,
                 bool held, struct sp_str domain, struct sp_str user);

/* It is in lane 0 until this says otherwise; then it stays where it was put, also over
 * retries.  0 or -SP_ENOENT; lane < SP_SCHED_LANES. */
int sp_sched_lane(struct sp_sched *s, uint64_t job, unsigned lane);
/* Likewise 0 until this says otherwise: -9 to 9. */
int sp_sched_priority(struct sp_sched *s, uint64_t job, int priority);
enum { SP_SCHED_SHARE = 8 };

/* The gate that it stands behind; 0, as at the beginning: none is known.  It stays over
 * retries.  0 or -SP_ENOENT. */
int sp_sched_gate(struct sp_sched *s, uint64_t job, uint32_t gate);
/* Whoever knows whether a gate is open; asked when a job's turn has come.  NULL: all are.
 * It must not call the schedule. */
typedef bool sp_sched_open_fn(void *arg, uint32_t gate);
void sp_sched_gates(struct sp_sched *s, sp_sched_open_fn *fn, void *arg);
/* Up to n of those parked there are ready again, before all newcomers.  Returns how many
 * are still parked. */
size_t sp_sched_unpark(struct sp_sched *s, uint32_t gate, size_t n);
/* Gates that have parked jobs, at most n; returns how many there are. */
size_t sp_sched_shut(const struct sp_sched *s, uint32_t *ret_gate, size_t n);
/* All jobs leave their gates: the configuration has changed.  Parked ones are ready. */
void sp_sched_open_all(struct sp_sched *s);
/* Waiting jobs that `which` names are due now.  Returns how many. */
typedef bool sp_sched_which_fn(void *arg, const struct sp_sched_job *j);
size_t sp_sched_wake(struct sp_sched *s, uint64_t now_ms, sp_sched_which_fn *which, void *arg);
/* Up to n due jobs, now SP_SCHED_OUT; their numbers to ret_job.  Returns how many.
 * lanes: a bit for each lane that may be taken from, 1 << lane; they take turns. */
size_t sp_sched_take(struct sp_sched *s, uint64_t now_ms, unsigned lanes, size_t n,
                     uint64_t *ret_job);
/* This very job, when it is waiting or ready (a job adopted after a restart): 0, else
 * -SP_ENOENT, -SP_ESTATE. */
int sp_sched_take_one(struct sp_sched *s, uint64_t job);

/* All return 0 or -SP_ENOENT; -SP_ESTATE where the state does not allow it. */
int sp_sched_retry(struct sp_sched *s, uint64_t job, uint64_t due_ms); /* any state */
int sp_sched_back(struct sp_sched *s, uint64_t job); /* out, nothing happened: ready */
int sp_sched_hold(struct sp_sched *s,
                  uint64_t job); /* out stays out, then it is held */
int sp_sched_release(struct sp_sched *s, uint64_t job, uint64_t due_ms);
int sp_sched_done(struct sp_sched *s, uint64_t job); /* forget it */

/* When the next job becomes due; false when there is none waiting.  0 when some are
 * ready already in one of these lanes. */
bool sp_sched_next(const struct sp_sched *s, unsigned lanes, uint64_t *ret_ms);
int sp_sched_get(const struct sp_sched *s, uint64_t job, struct sp_sched_job *ret);

struct sp_sched_counts {
    size_t waiting, ready, out, held, users, dests;
    size_t parked;               /* of the ready ones */
    size_t lane[SP_SCHED_LANES]; /* of the ready ones that are not parked */
};
void sp_sched_count(const struct sp_sched *s, struct sp_sched_counts *ret);
/* The destination, or NULL.  Valid until its last job is done. */
struct sp_dest *sp_sched_dest(struct sp_sched *s, struct sp_str domain);

#endif
