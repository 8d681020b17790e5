/*
 * verify.h - is this the password?  And remembering for a short while that it was.
 *
 *     sp_password_check(user ? user->crypt : NULL, password)      in a pool thread
 *
 * A check costs about 12 ms of yescrypt, whoever asks: an account that does not exist,
 * is disabled or has no password is checked against a hash nobody knows the password
 * of, so that the time says nothing.  The functions here share no state and may run in
 * any number of threads; the cache belongs to one.
 */
#ifndef SP_VERIFY_H
#define SP_VERIFY_H

#include "text.h"

#define SP_PASSWORD_MAX   255 /* octets after SASLprep; crypt(3) takes 511 */
#define SP_CRYPT_TEXT_MAX 384 /* a crypt(5) hash, NUL included */

/* A new yescrypt hash with the system's usual cost: 0; -SP_EINPUT for a password that
 * is empty, too long or refused by SASLprep; -SP_ENOMEM. */
int sp_password_hash(struct sp_str password, char *out, size_t cap);
/* 1 it is, 0 it is not, -SP_ENOMEM.  hash NULL: always 0, at the same cost.  hash: as
 * crypt(5) has it, also behind {CRYPT} and Dovecot's names for it, or {SSHA}, {SSHA256},
 * {SSHA512} and the same without salt, as directories have them. */
int sp_password_check(const char *hash, struct sp_str password);
/* How often crypt(3) ran in this process: tests of the timing class count work. */
unsigned long sp_password_work(void);

/* ---- Successes remembered ---- */

struct sp_auth_cache; /* wiped when freed */

/* At most `entries` successes, each for life_ms (0: 5 minutes).  NULL: no memory. */
struct sp_auth_cache *sp_auth_cache_new(size_t entries, uint64_t life_ms);
void sp_auth_cache_free(struct sp_auth_cache *c);
/* Was exactly this proved before, not too long ago, with the account unchanged? */
bool sp_auth_cache_hit(struct sp_auth_cache *c, struct sp_str user, uint64_t generation,
                       struct sp_str password, uint64_t now_ms);
/* Only after a success.  Failures are never remembered: a password set just now must
 * work at once. */
void sp_auth_cache_put(struct sp_auth_cache *c, struct sp_str user, uint64_t generation,
                       struct sp_str password, uint64_t now_ms);
void sp_auth_cache_drop(struct sp_auth_cache *c,
                        struct sp_str user); /* n 0: everything */
size_t sp_auth_cache_count(const struct sp_auth_cache *c);

#endif
