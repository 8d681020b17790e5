/*
 * pace.h - how fast a destination may be given mail.  Pure: memory only, no clock, no disk.
 *
 * A destination is a route and, where the route leads to mail exchanges, the domain.
 *
 *     p = sp_pace_new(SP_PACE_MAX);
 *     id = sp_pace_find(p, sp_str("out"), domain, &limits, now_ms);
 *     switch (sp_pace_ask(p, id, now_ms, NULL)) {     GO, FULL, LATER or DEAD
 *     case SP_PACE_GO:
 *         ticket = sp_pace_sent(p, id, now_ms);       and the job goes out
 *     ...
 *     v = sp_pace_judge(outcome->rcpt, outcome->n_rcpt, &attempt);
 *     change = sp_pace_result(p, &ticket, v, attempt, now_ms);
 *
 * Times are milliseconds of a clock that does not jump; the caller passes them.
 *
 * The rules, for each destination by itself:
 * - It begins with `start` connections at a time.  Each message that is taken while they
 *   are in use allows one more, up to `most`; behind the first refusal one more for as
 *   many messages as there are connections.
 * - A refusal (421, or a 4xx that is not about a recipient, or a connection that is lost
 *   in a transaction) halves the number, down to one.  What was under way at the time of a
 *   refusal counts no second time.
 * - A host that cannot be reached, or that refuses the session, is dead, unless a message
 *   was taken since the job was sent: then that is a refusal.  SP_PACE_REFUSALS refusals
 *   and no other answer between make it dead, too.  A dead one gets nothing before a pause
 *   is over; then one job at a time finds out, until one of them gets an answer.
 * - The pause behind failure n is half of what a message would wait behind attempt n,
 *   jitter included, and not more than `pause_most_ms`: so a message's own next attempt is
 *   not too early.
 * - Jobs out are at most twice the connections and two more, so that no connection waits
 *   for the queue; never more than SP_PACE_OUT_MAX, so that one slow host leaves room.
 * - Without mail for SP_PACE_IDLE_MS it begins anew.
 *
 * Memory: so many destinations as sp_pace_new() says.  When there are more, idle ones are
 * forgotten, and dead ones if need be, the one that was used longest ago first.  Behind
 * that a destination is not limited at all: id 0.
 *
 * All that comes from a delivery role is untrusted: words are clipped, an id or a ticket
 * of a destination that was forgotten does nothing.
 */
#ifndef SP_PACE_H
#define SP_PACE_H

#include "rate.h"
#include "schedule.h"

#include "sallyport.pb-c.h"

enum {
    SP_PACE_MAX = 4096,
    SP_PACE_REFUSALS = 5,
    SP_PACE_OUT_MAX = 100,
    SP_PACE_IDLE_MS = 300000,
    SP_PACE_WORDS_MAX = 300,
};

struct sp_pace; /* opaque */

/* Of a route; copied. */
struct sp_pace_limits {
    uint32_t start, most;                 /* connections: 1 <= start <= most */
    struct sp_rate rate[SP_RATE_PERIODS]; /* messages; n 0: no limit */
};

struct sp_pace *sp_pace_new(size_t most); /* NULL: no memory.  most <= SP_PACE_MAX */
void sp_pace_free(struct sp_pace *p);
/* How long a dead one is left alone.  Without this call as sp_retry_defaults(). */
void sp_pace_retry_rule(struct sp_pace *p, const struct sp_retry *r,
                        uint64_t pause_most_ms);

/* The destination, made when it is new; 0: there is no room for it. */
uint32_t sp_pace_find(struct sp_pace *p, struct sp_str route, struct sp_str domain,
                      const struct sp_pace_limits *limits, uint64_t now_ms);

enum sp_pace_answer {
    SP_PACE_GO,
    SP_PACE_FULL,  /* until a result comes */
    SP_PACE_LATER, /* the rate allows no more */
    SP_PACE_DEAD,  /* it is not to be tried */
};
/* ret_ms (may be NULL): how long from now, with LATER and DEAD.  id 0: GO. */
enum sp_pace_answer sp_pace_ask(const struct sp_pace *p, uint32_t id, uint64_t now_ms,
                                uint64_t *ret_ms);
/* How many jobs may go just now. */
uint32_t sp_pace_room(const struct sp_pace *p, uint32_t id, uint64_t now_ms);
/* Connections at a time just now; 0: unknown, no limit. */
uint32_t sp_pace_connections(const struct sp_pace *p, uint32_t id);
/* Somebody waits for it in the schedule: it is not forgotten meanwhile. */
void sp_pace_wanted(struct sp_pace *p, uint32_t id, bool wanted);

struct sp_pace_ticket {
    uint32_t id, round, taken;
};
struct sp_pace_ticket sp_pace_sent(struct sp_pace *p, uint32_t id, uint64_t now_ms);

enum sp_pace_verdict {
    SP_PACE_NOTHING,   /* it says nothing about the destination */
    SP_PACE_SPOKE,     /* it answered: the mail or a recipient was refused */
    SP_PACE_SLOW_DOWN, /* it refused us */
    SP_PACE_DOWN,      /* it could not be reached, or wants no session */
    SP_PACE_TOOK,      /* it took the message for somebody */
};
/* What an outcome says of the destination, and the attempt that says it (NULL: none). */
enum sp_pace_verdict sp_pace_judge(Sp__RcptOutcome *const *rcpt, size_t n,
                                   const Sp__Attempt **ret);

enum sp_pace_change { SP_PACE_SAME, SP_PACE_DIED, SP_PACE_REVIVED };
/* The job is back.  attempt may be NULL; its words are kept with SLOW_DOWN and DOWN. */
enum sp_pace_change sp_pace_result(struct sp_pace *p, const struct sp_pace_ticket *t,
                                   enum sp_pace_verdict v, const Sp__Attempt *attempt,
                                   uint64_t now_ms);
/* An administrator wants an attempt now: the pause is over. */
void sp_pace_try(struct sp_pace *p, uint32_t id, uint64_t now_ms);

/* What is known of one; texts live until the next call that changes something. */
struct sp_pace_info {
    uint32_t id;
    const char *route, *domain; /* domain "": of the whole route */
    uint32_t connections, most, out, failures;
    bool dead;
    enum sp_pace_answer answer;
    uint64_t wait_ms;          /* with LATER and DEAD */
    const char *words, *where; /* of the last trouble; "" */
    uint64_t trouble_ms;       /* when it was; 0: never */
};
bool sp_pace_get(const struct sp_pace *p, uint32_t id, uint64_t now_ms,
                 struct sp_pace_info *ret);
/* All of them: *at begins with 0.  False: that was the last. */
bool sp_pace_next(const struct sp_pace *p, size_t *at, uint64_t now_ms,
                  struct sp_pace_info *ret);
size_t sp_pace_count(const struct sp_pace *p);

#endif
