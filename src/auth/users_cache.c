/*
 * users_cache.c - accounts that were read, kept until somebody writes.
 *
 * A login reads its account more than once, and each reading costs a transaction with
 * half a dozen queries and twice as many system calls.  SQLite writes a counter into the
 * file's header with each commit in rollback-journal mode, so one read of that header
 * tells whether what was read still stands.  The counter is read through SQLite's own
 * descriptor: closing another one of the same file would drop its locks.
 *
 * It is exact, not timed.  The stamp of what is kept was read under the read lock, so it
 * is a committed one; a commit under way may already show a new counter, then the account
 * is read again and waits for the lock; if it is rolled back, the old counter returns and
 * with it the old accounts.
 */
#include "users_i.h"

#include "alloc.h"

#include <string.h>

enum {
    SLOTS = 2048,        /* a power of two */
    ACCOUNT_MAX = 16384, /* octets; a larger account is read each time */
    HEADER_AT = 18, /* of the file's header: format versions for write and read, ... */
    HEADER_SIZE = 10, /* ... up to the change counter at 24 */
    ROLLBACK_JOURNAL = 1,
};

struct slot {
    struct sp_user *user; /* NULL: nobody */
    bool used, any;
    uint16_t n;
    char asked[SP_ADDRESS_MAX + 1];
};

struct sp_users_cache {
    uint64_t stamp; /* of all that is here */
    struct slot slot[SLOTS];
};

uint64_t sp_users_stamp(struct sp_users *u)
{
    sqlite3_file *f = NULL;
    unsigned char h[HEADER_SIZE];

    if (sqlite3_file_control(u->db, "main", SQLITE_FCNTL_FILE_POINTER, &f) !=
            SQLITE_OK ||
        !f || !f->pMethods ||
        f->pMethods->xRead(f, h, sizeof h, HEADER_AT) != SQLITE_OK)
        return 0;
    /* In WAL mode the counter stands still. */
    if (h[0] != ROLLBACK_JOURNAL || h[1] != ROLLBACK_JOURNAL)
        return 0;
    return 1 +
           ((uint64_t)h[6] << 24 | (uint64_t)h[7] << 16 | (uint64_t)h[8] << 8 | h[9]);
}

struct sp_users_cache *sp_users_cache_new(void)
{
    return sp_alloc(sizeof(struct sp_users_cache));
}

static void drop(struct slot *s)
{
    sp_user_free(s->user);
    s->user = NULL;
    s->used = false;
}

void sp_users_cache_free(struct sp_users_cache *c)
{
    for (size_t i = 0; c && i < SLOTS; i++)
        drop(&c->slot[i]);
    sp_free(c);
}

static struct slot *slot_of(struct sp_users_cache *c, bool any, struct sp_str asked)
{
    uint32_t h = 2166136261U ^ any;

    for (size_t i = 0; i < asked.n; i++)
        h = (h ^ (unsigned char)asked.p[i]) * 16777619U;
    return &c->slot[(h ^ h >> 16) & (SLOTS - 1)];
}

bool sp_users_cache_get(struct sp_users_cache *c, uint64_t stamp, bool any,
                        struct sp_str asked, struct sp_user **ret_user)
{
    struct slot *s = asked.n <= SP_ADDRESS_MAX ? slot_of(c, any, asked) : NULL;

    if (!s || !s->used || !stamp || stamp != c->stamp || s->any != any ||
        !sp_str_eq(asked, (struct sp_str){s->asked, s->n}))
        return false;
    *ret_user = s->user;
    if (s->user)
        s->user->shared++;
    return true;
}

void sp_users_cache_put(struct sp_users_cache *c, uint64_t stamp, bool any,
                        struct sp_str asked, struct sp_user *user)
{
    struct slot *s;

    if (!stamp || asked.n > SP_ADDRESS_MAX || (user && user->arena.used > ACCOUNT_MAX))
        return;
    if (stamp != c->stamp)
        for (size_t i = 0; i < SLOTS; i++)
            drop(&c->slot[i]);
    c->stamp = stamp;
    s = slot_of(c, any, asked);
    drop(s);
    s->any = any;
    s->n = (uint16_t)asked.n;
    if (asked.n)
        memcpy(s->asked, asked.p, asked.n);
    s->used = true;
    s->user = user;
    if (user)
        user->shared++;
}
