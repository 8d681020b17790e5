/*
 * srv_count.h - how many sessions there are, over all server processes.
 *
 *     sp_count_make(servers, &fd, &err);                   supervisor; fd goes to servers
 *     c = sp_count_map(fd, servers, instance, key, &err);  server; fd stays the caller's
 *     n = sp_count_enter(c, "address", "192.0.2.1", &mark);
 *     if (n > limit) ...                                   it counts until
 *     sp_count_leave(c, &mark);
 *     sp_count_clear(c, instance);                         supervisor: that server died
 *
 * One page of memory is shared, with a part for each server process that only this one
 * writes; a count is the sum over the parts.  No lock: kill -9 of a server leaves nothing
 * locked, and what it had counted goes with its part.  Two who enter at the same moment
 * both see both: never more than the limit get in, at worst one too few.
 *
 * Behind the parts lie the levels of rates (rate.h), one table for all processes, kept by
 * atomic additions: sp_count_fits() adds first, looks then, and takes back what did not
 * fit, so that at most the limit gets in, whoever asks at the same moment.  They are
 * forgotten when the service is started anew.
 *
 * A part is a count-min sketch: names are hashed into two rows of counters and the lower
 * sum is taken, so a count may be too high, by names that share both counters with a busy
 * one, and never too low.  The key keeps strangers from choosing such names.
 */
#ifndef SP_SRV_COUNT_H
#define SP_SRV_COUNT_H

#include "rate.h"

#include <sallyport/types.h>

#include <stdbool.h>
#include <stdint.h>

struct sp_err;
struct sp_count;

enum { SP_COUNT_KEY = 32, SP_COUNT_ROWS = 2 };

/* Where something is counted.  All zero: nowhere. */
struct sp_count_mark {
    bool on;
    uint32_t at[SP_COUNT_ROWS];
};

int sp_count_make(unsigned parts, int *ret_fd, struct sp_err *err);
/* mine: this process's part.  key: the same in all of them.  NULL: err says why. */
struct sp_count *sp_count_map(int fd, unsigned parts, unsigned mine,
                              const uint8_t key[SP_COUNT_KEY], struct sp_err *err);
void sp_count_free(struct sp_count *c); /* NULL is fine */

/* Counts one more under that kind and name; returns how many there are now. */
uint32_t sp_count_enter(struct sp_count *c, const char *kind, struct sp_str name,
                        struct sp_count_mark *mark);
void sp_count_leave(struct sp_count *c, struct sp_count_mark *mark);
void sp_count_clear(struct sp_count *c, unsigned part);

/* Where a name's levels are; costs a hash, so it is kept for a session. */
struct sp_count_place {
    bool known;
    uint32_t at[SP_COUNT_ROWS];
};
void sp_count_place(const struct sp_count *c, const char *kind, struct sp_str name,
                    struct sp_count_place *ret);
/* What does not fit. */
struct sp_count_over {
    enum sp_rate_what what;
    struct sp_rate limit;
    uint64_t wait_ns;
};
/* Do so many messages and recipients more fit?  take: count them if all of it does.  The
 * first limit that is in the way goes to *ret (may be NULL). */
bool sp_count_fits(struct sp_count *c, const struct sp_count_place *at,
                   const struct sp_rates *limits, uint64_t now_ns, uint32_t messages,
                   uint32_t recipients, bool take, struct sp_count_over *ret);
/* What was taken and then came to nothing. */
void sp_count_refund(struct sp_count *c, const struct sp_count_place *at,
                     const struct sp_rates *limits, uint32_t messages,
                     uint32_t recipients);

/* The name to count a client's address under: an IPv6 address is cut to its /64 network,
 * which is what one customer has; an IPv4 one in IPv6 clothes is that IPv4 address. */
struct sp_str sp_count_address(const char *address, char *buf, size_t cap);

#endif
