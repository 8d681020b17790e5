/*
 * throttle.h - failed logins are slowed down, per account and per address.
 *
 *     v = sp_throttle_ask(t, user, address, now_ms);      before the proof is checked
 *     v.refuse: answer "temporary" without checking; else check, answer v.delay_ms later
 *     sp_throttle_failed(...) or sp_throttle_ok(...)
 *
 * Each failure counts one; counts halve every ten minutes.  The delay grows with the
 * larger count and never passes two seconds.  Nobody can lock an account out: an
 * account's count only delays, and a pair of account and address that has logged in
 * before is not delayed by what others do (only by its own failures).  An address alone,
 * far over the limit, is refused for a while; that passes by itself, and known pairs
 * from it still get through.
 *
 * No clock inside.  Memory is fixed at creation; when it is full the least guilty are
 * forgotten first.  IPv6 addresses count by /64.
 */
#ifndef SP_THROTTLE_H
#define SP_THROTTLE_H

#include "text.h"

#define SP_THROTTLE_DELAY_MAX_MS 2000

struct sp_throttle_verdict {
    uint32_t delay_ms;
    bool refuse;
};

struct sp_throttle;

/* entries: how many accounts and addresses are remembered; 0: 16384 (1 MB).
 * refuse_at: failures of one address that make it be refused; 0: 100. */
struct sp_throttle *sp_throttle_new(size_t entries, uint32_t refuse_at);
void sp_throttle_free(struct sp_throttle *t);
struct sp_throttle_verdict sp_throttle_ask(struct sp_throttle *t, struct sp_str user,
                                           struct sp_str address, uint64_t now_ms);
void sp_throttle_failed(struct sp_throttle *t, struct sp_str user,
                        struct sp_str address, uint64_t now_ms);
void sp_throttle_ok(struct sp_throttle *t, struct sp_str user, struct sp_str address,
                    uint64_t now_ms);

#endif
