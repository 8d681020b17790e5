/*
 * rate.h - so many in a minute, an hour, a day.
 *
 *     sp_rate_parse(SP_LIT("100/h"), &r)                 r.n 100, r.period SP_RATE_HOUR
 *     wait = sp_rate_wait(&r, level, now_ns, 1);         0: one more fits
 *     level = sp_rate_add(&r, level, now_ns, 1);         and this is the new level
 *
 * A level is a moment: when all that was counted will be forgotten.  Each unit moves it by
 * period / n; what would move it further than one period from now does not fit.  So from
 * rest exactly n fit at once, n + 1 do not, room comes back evenly, and there is no full
 * hour at whose turn twice as many could be sent.  (The generic cell rate algorithm.)
 *
 * Pure: no clock, no memory.  Levels and now are nanoseconds of one clock, 0 is empty.
 */
#ifndef SP_RATE_H
#define SP_RATE_H

#include <sallyport/types.h>

enum sp_rate_period { SP_RATE_MINUTE, SP_RATE_HOUR, SP_RATE_DAY, SP_RATE_PERIODS };
enum { SP_RATE_MAX = 100000000 };

struct sp_rate {
    uint64_t n; /* 0: no limit */
    enum sp_rate_period period;
};

/* What can be limited, and for each of these each period: a set of limits. */
enum sp_rate_what { SP_RATE_MESSAGES, SP_RATE_RECIPIENTS, SP_RATE_WHATS };
struct sp_rates {
    uint32_t n[SP_RATE_WHATS][SP_RATE_PERIODS]; /* 0: no limit */
};
bool sp_rates_any(const struct sp_rates *r);

/* 0, or -SP_EINPUT: N/m, N/h or N/d with 1 <= N <= SP_RATE_MAX. */
int sp_rate_parse(struct sp_str s, struct sp_rate *ret);
char sp_rate_letter(enum sp_rate_period p);
const char *sp_rate_name(enum sp_rate_period p); /* "a minute", "an hour", "a day" */

/* Nanoseconds until `cost` more fit; 0: now. */
uint64_t sp_rate_wait(const struct sp_rate *r, uint64_t level, uint64_t now_ns,
                      uint64_t cost);
uint64_t sp_rate_add(const struct sp_rate *r, uint64_t level, uint64_t now_ns,
                     uint64_t cost);
/* By how much `cost` moves a level. */
uint64_t sp_rate_step(const struct sp_rate *r, uint64_t cost);

#endif
