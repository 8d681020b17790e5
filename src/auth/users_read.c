/* users_read.c - see users.h: finding accounts. */
#include "users_i.h"

#include "acct_dir.h"
#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <string.h>

enum { USER_ARENA_MAX = 1 << 20 };

static struct sp_str column(sqlite3_stmt *st, int i)
{
    const char *p = (const char *)sqlite3_column_text(st, i);

    return (struct sp_str){p, p ? (size_t)sqlite3_column_bytes(st, i) : 0};
}

static const char *keep(struct sp_user *user, struct sp_str s)
{
    return sp_arena_strndup(&user->arena, s.p ? s.p : "", s.n);
}

/* The first column of all rows, at most max, as an array in the user's arena. */
static int texts(struct sp_users *u, struct sp_user *user, enum sp_users_q q,
                 int64_t id, size_t max, const char ***ret, size_t *ret_n,
                 struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, q, err);
    size_t n = 0, cap = 0;
    const char **list = NULL;
    int rc;

    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, id);
    while ((rc = sp_users_row(u, st, err)) == 1 && n < max) {
        if (n == cap) {
            const char **more =
                sp_arena_alloc(&user->arena, (cap ? 2 * cap : 4) * sizeof *more);

            if (!more)
                goto nomem;
            if (n)
                memcpy(more, list, n * sizeof *more);
            list = more;
            cap = cap ? 2 * cap : 4;
        }
        list[n] = keep(user, column(st, 0));
        if (!list[n])
            goto nomem;
        n++;
        if (q == Q_ADDRESSES && sqlite3_column_int(st, 1))
            user->own_addresses = n;
    }
    sqlite3_reset(st);
    *ret = list;
    *ret_n = n;
    return rc < 0 ? rc : 0;
nomem:
    sqlite3_reset(st);
    return sp_err_nomem(err);
}

static void read_scram(struct sp_user *user, struct sp_str text,
                       enum sp_scram_hash hash)
{
    /* A text that does not parse counts as none: the fake verifier then answers. */
    user->has_scram[hash] = text.n && sp_scram_parse(text, &user->scram[hash]) == 0 &&
                            user->scram[hash].hash == hash;
}

/* One row of Q_BY_NAME. */
static int read_row(sqlite3_stmt *st, struct sp_user *user)
{
    struct sp_str hash = column(st, 3);

    user->name = keep(user, column(st, 1));
    user->enabled = sqlite3_column_int(st, 2) != 0;
    user->crypt = hash.n ? keep(user, hash) : NULL;
    read_scram(user, column(st, 4), SP_SCRAM_SHA256);
    read_scram(user, column(st, 5), SP_SCRAM_SHA1);
    user->has_password = hash.n || user->has_scram[0] || user->has_scram[1];
    user->first_address = keep(user, column(st, 6));
    user->limits.message_size_max = (uint64_t)sqlite3_column_int64(st, 7);
    user->limits.recipients_max = (uint32_t)sqlite3_column_int64(st, 8);
    user->generation = (uint64_t)sqlite3_column_int64(st, 9);
    user->secret_generation = (uint64_t)sqlite3_column_int64(st, 10);
    user->limits.sessions_max = (uint32_t)sqlite3_column_int64(st, 11);
    for (int i = 0; i < SP_RATE_WHATS * SP_RATE_PERIODS; i++)
        user->limits.rates.n[i / SP_RATE_PERIODS][i % SP_RATE_PERIODS] =
            (uint32_t)sqlite3_column_int64(st, 12 + i);
    user->mechanisms = keep(user, column(st, 12 + SP_RATE_WHATS * SP_RATE_PERIODS));
    if (!user->name || !user->first_address || !user->mechanisms)
        return -SP_ENOMEM;
    return !hash.n || user->crypt ? 0 : -SP_ENOMEM;
}

/* A text that is not one counts as none. */
static int read_cram(struct sp_users *u, struct sp_user *user, int64_t id,
                     struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, Q_HAS_CRAM, err);
    int rc = st ? sp_users_row(u, st, err) : -SP_EIO;

    if (rc == 1)
        sqlite3_reset(st);
    if (rc != 1)
        return rc;
    st = sp_users_q(u, Q_CRAM, err);
    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, id);
    rc = sp_users_row(u, st, err);
    user->has_cram = rc == 1 && sp_hex_decode(column(st, 0), user->cram,
                                              sizeof user->cram) == SP_CRAM_CONTEXT;
    sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

/* name is canonical */
static int load(struct sp_users *u, struct sp_str name, struct sp_user **ret_user,
                struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, Q_BY_NAME, err);
    struct sp_user *user;
    int64_t id;
    int rc;

    if (!st)
        return -SP_EIO;
    sp_users_bind(st, 1, name);
    rc = sp_users_row(u, st, err);
    if (rc == 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "there is no account %.*s",
                          (int)name.n, name.p);
    if (rc < 0)
        return rc;
    user = sp_alloc(sizeof *user);
    if (!user) {
        sqlite3_reset(st);
        return sp_err_nomem(err);
    }
    sp_arena_init(&user->arena, USER_ARENA_MAX);
    id = sqlite3_column_int64(st, 0);
    rc = read_row(st, user);
    sqlite3_reset(st);
    if (rc < 0)
        (void)sp_err_nomem(err);
    if (rc == 0)
        rc = read_cram(u, user, id, err);
    if (rc == 0)
        rc = texts(u, user, Q_ADDRESSES, id, SP_USER_GRANTS_MAX, &user->address,
                   &user->addresses, err);
    if (rc == 0)
        rc = texts(u, user, Q_ACT_AS, id, SP_USER_ACT_AS_MAX, &user->act_as,
                   &user->act_as_count, err);
    if (rc == 0)
        rc = texts(u, user, Q_PINS, id, SP_USER_ACT_AS_MAX, &user->pin, &user->pins,
                   err);
    if (rc < 0) {
        sp_user_free(user);
        return rc;
    }
    *ret_user = user;
    return 0;
}

static int unknown(struct sp_err *err)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "there is no such account");
}

static int by_name(struct sp_users *u, struct sp_str name, struct sp_user **ret_user,
                   struct sp_err *err)
{
    char canonical[SP_NAME_MAX + 1];
    int n = sp_account_canonical(name, canonical, sizeof canonical);

    if (n < 0)
        return unknown(err);
    return load(u, (struct sp_str){canonical, (size_t)n}, ret_user, err);
}

static int by_name_or_address(struct sp_users *u, struct sp_str text,
                              struct sp_user **ret_user, struct sp_err *err)
{
    char canonical[SP_ADDRESS_MAX + 1], name[SP_NAME_MAX + 1];
    bool pattern = false;
    sqlite3_stmt *st;
    struct sp_str found;
    size_t name_len;
    int n, rc = by_name(u, text, ret_user, err);

    if (rc != -SP_ENOENT)
        return rc;
    n = sp_grant_canonical(text, canonical, sizeof canonical, &pattern);
    if (n < 0 || pattern)
        return unknown(err);
    st = sp_users_q(u, Q_NAME_OF_ADDRESS, err);
    if (!st)
        return -SP_EIO;
    sp_users_bind(st, 1, (struct sp_str){canonical, (size_t)n});
    rc = sp_users_row(u, st, err);
    if (rc <= 0)
        return rc < 0 ? rc : unknown(err);
    found = column(st, 0);
    if (found.n > SP_NAME_MAX) {
        sqlite3_reset(st);
        return sp_users_sqlite(u, SQLITE_CORRUPT, err);
    }
    name_len = found.n;
    memcpy(name, found.p, name_len);
    rc = sp_users_row(u, st, err);
    sqlite3_reset(st);
    if (rc != 0) /* two accounts own it: it names neither */
        return rc < 0 ? rc : unknown(err);
    return load(u, (struct sp_str){name, name_len}, ret_user, err);
}

/* One read transaction around several look-ups: a writer in between would give a user
 * with rights of two different times.  What was found is kept while nobody writes. */
static int look(struct sp_users *u, bool any, struct sp_str text,
                struct sp_user **ret_user, struct sp_err *err)
{
    bool outer = sqlite3_get_autocommit(u->db) != 0;
    struct sp_user *user = NULL;
    int rc;

    if (u->cache && sp_users_cache_get(u->cache, sp_users_stamp(u), any, text, &user)) {
        *ret_user = user;
        return user ? 0 : unknown(err);
    }
    rc = outer ? sp_users_run(u, Q_READ, 0, err) : 0;
    if (rc == 0)
        rc = (any ? by_name_or_address : by_name)(u, text, &user, err);
    if (u->cache && (rc == 0 || rc == -SP_ENOENT) &&
        sqlite3_txn_state(u->db, "main") == SQLITE_TXN_READ)
        sp_users_cache_put(u->cache, sp_users_stamp(u), any, text, user);
    if (outer && !sqlite3_get_autocommit(u->db))
        (void)sp_users_run(u, Q_COMMIT, 0, NULL);
    if (rc == 0)
        *ret_user = user;
    return rc;
}

int sp_users_get(struct sp_users *u, struct sp_str name, struct sp_user **ret_user,
                 struct sp_err *err)
{
    if (u->dir)
        return sp_dir_get(u->dir, name, ret_user, err);
    return look(u, false, name, ret_user, err);
}

int sp_users_find(struct sp_users *u, struct sp_str name_or_address,
                  struct sp_user **ret_user, struct sp_err *err)
{
    if (u->dir)
        return sp_dir_find(u->dir, name_or_address, ret_user, err);
    return look(u, true, name_or_address, ret_user, err);
}

void sp_user_free(struct sp_user *user)
{
    struct sp_arena arena;

    if (!user || user->shared-- > 0)
        return;
    arena = user->arena;
    sp_arena_reset(&arena); /* wipes: the hash is in there */
    sp_wipe(user, sizeof *user);
    sp_free(user);
}

bool sp_user_is(const struct sp_user *user, struct sp_str name_or_address)
{
    char canonical[SP_NAME_MAX + 1];
    int n = sp_account_canonical(name_or_address, canonical, sizeof canonical);

    if (n > 0 && sp_str_is((struct sp_str){canonical, (size_t)n}, user->name))
        return true;
    for (size_t i = 0; i < user->own_addresses; i++)
        if (sp_address_same(sp_str(user->address[i]), name_or_address))
            return true;
    return false;
}

bool sp_user_may_use(const struct sp_user *user, const char *mechanism)
{
    struct sp_str rest = sp_str(user->mechanisms);

    if (rest.n == 0)
        return true;
    while (rest.n)
        if (sp_str_is(sp_str_cut(&rest, ' '), mechanism))
            return true;
    return false;
}

bool sp_user_may_act_as(const struct sp_user *user, struct sp_str name)
{
    for (size_t i = 0; i < user->act_as_count; i++)
        if (sp_str_is(name, user->act_as[i]))
            return true;
    return false;
}

bool sp_user_may_send_as(const struct sp_user *user, struct sp_str address)
{
    for (size_t i = 0; i < user->addresses; i++)
        if (sp_grant_matches(sp_str(user->address[i]), address))
            return true;
    return false;
}

int sp_users_list(struct sp_users *u,
                  int (*each)(void *arg, const struct sp_user *user), void *arg,
                  struct sp_err *err)
{
    char last[SP_NAME_MAX + 1] = "";
    int rc = 0;

    while (rc == 0) {
        sqlite3_stmt *st = sp_users_q(u, Q_NAMES, err);
        struct sp_user *user = NULL;
        struct sp_str name;

        if (!st)
            return -SP_EIO;
        sp_users_bind(st, 1, sp_str(last));
        rc = sp_users_row(u, st, err);
        if (rc <= 0)
            return rc;
        name = column(st, 0);
        if (name.n > SP_NAME_MAX) {
            sqlite3_reset(st);
            return sp_users_sqlite(u, SQLITE_CORRUPT, err);
        }
        memcpy(last, name.p, name.n);
        last[name.n] = '\0';
        sqlite3_reset(st);
        rc = sp_users_get(u, sp_str(last), &user, err);
        if (rc == 0)
            rc = each(arg, user);
        else if (rc == -SP_ENOENT)
            rc = 0; /* removed this moment */
        sp_user_free(user);
    }
    return rc;
}

int sp_users_changed(struct sp_users *u)
{
    sqlite3_stmt *st = sp_users_q(u, Q_VERSION, NULL);
    int64_t before = u->data_version;
    int rc;

    if (!st)
        return -SP_EIO;
    rc = sp_users_row(u, st, NULL);
    if (rc != 1)
        return rc < 0 ? rc : -SP_EIO;
    u->data_version = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return before >= 0 && before != u->data_version;
}

static int meta(struct sp_users *u, uint64_t *ret_generation, uint8_t *ret_key,
                uint32_t *ret_iterations, struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, Q_META, err);
    int64_t iterations;
    int rc;

    if (!st)
        return -SP_EIO;
    rc = sp_users_row(u, st, err);
    if (rc < 0)
        return rc;
    iterations = rc ? sqlite3_column_int64(st, 2) : 0;
    if (rc == 0 || sqlite3_column_bytes(st, 1) != 32 ||
        iterations < SP_SCRAM_ITERATIONS_MIN || iterations > SP_SCRAM_ITERATIONS_MAX) {
        sqlite3_reset(st);
        return sp_users_sqlite(u, SQLITE_CORRUPT, err);
    }
    *ret_generation = (uint64_t)sqlite3_column_int64(st, 0);
    memcpy(ret_key, sqlite3_column_blob(st, 1), 32);
    *ret_iterations = (uint32_t)iterations;
    sqlite3_reset(st);
    return 0;
}

uint64_t sp_users_generation(struct sp_users *u)
{
    uint64_t generation = 0;
    uint32_t iterations;
    uint8_t key[32];

    if (meta(u, &generation, key, &iterations, NULL) < 0)
        generation = 0;
    sp_wipe(key, sizeof key);
    return generation;
}

int sp_users_scram_defaults(struct sp_users *u, uint8_t ret_key[32],
                            uint32_t *ret_iterations, struct sp_err *err)
{
    uint64_t generation;
    uint32_t elsewhere = u->dir ? sp_dir_scram_iterations(u->dir) : 0;
    int rc =
        meta(u->dir ? sp_dir_db(u->dir) : u, &generation, ret_key, ret_iterations, err);

    if (rc == 0 && elsewhere)
        *ret_iterations = elsewhere;
    return rc;
}

int sp_users_changes(struct sp_users *u, uint64_t since,
                     void (*each)(void *arg, struct sp_str name), void *arg,
                     struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, Q_CHANGES, err);
    int rc, n = 0;

    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, (int64_t)since);
    while ((rc = sp_users_row(u, st, err)) == 1) {
        each(arg, column(st, 0));
        n++;
    }
    return rc < 0 ? rc : n;
}

int sp_users_by(struct sp_users *u, enum sp_users_key key, struct sp_str value,
                struct sp_str second, struct sp_users_hit *ret_hits, size_t cap,
                struct sp_err *err)
{
    static const enum sp_users_q query[] = {
        [SP_USERS_BY_PIN] = Q_BY_PIN,
        [SP_USERS_BY_ADDRESS] = Q_BY_ADDRESS,
        [SP_USERS_BY_URI] = Q_BY_MAP,
        [SP_USERS_BY_DN] = Q_BY_MAP,
    };
    char canonical[SP_ADDRESS_MAX + 1];
    bool pattern = false;
    sqlite3_stmt *st;
    int rc, n = 0;

    if (u->dir)
        return sp_dir_by(u->dir, key, value, second, ret_hits, cap, err);
    if (key == SP_USERS_BY_ADDRESS) {
        rc = sp_grant_canonical(value, canonical, sizeof canonical, &pattern);
        if (rc < 0 || pattern)
            return 0;
        value = (struct sp_str){canonical, (size_t)rc};
    }
    st = sp_users_q(u, query[key], err);
    if (!st)
        return -SP_EIO;
    sp_users_bind(st, 1, value);
    if (query[key] == Q_BY_MAP) {
        sp_users_bind(st, 2, second.p ? second : SP_LIT(""));
        sqlite3_bind_int(st, 3, (int)key);
    }
    while ((rc = sp_users_row(u, st, err)) == 1) {
        struct sp_str name = column(st, 0);

        if ((size_t)n < cap && name.n <= SP_NAME_MAX) {
            memcpy(ret_hits[n].name, name.p, name.n);
            ret_hits[n].name[name.n] = '\0';
            ret_hits[n].enabled = sqlite3_column_int(st, 1) != 0;
            ret_hits[n].has_password = sqlite3_column_int(st, 2) != 0;
        }
        n++;
    }
    return rc < 0 ? rc : n;
}

static int certificates_of(struct sp_users *u, enum sp_users_q q,
                           int (*each)(void *arg, const struct sp_users_certificate *c),
                           void *arg, struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, q, err);
    int rc, stop = 0;

    if (!st)
        return -SP_EIO;
    while (!stop && (rc = sp_users_row(u, st, err)) == 1) {
        struct sp_users_certificate c = {
            .key = q == Q_ALL_PINS ? SP_USERS_BY_PIN
                                   : (enum sp_users_key)sqlite3_column_int(st, 2),
            .user = (const char *)sqlite3_column_text(st, 0),
            .enabled = sqlite3_column_int(st, 1) != 0,
            .value = (const char *)sqlite3_column_text(st, 3),
            .second = (const char *)sqlite3_column_text(st, 4),
            .until_s = sqlite3_column_int64(st, 5),
        };

        if (c.user && c.value && c.second)
            stop = each(arg, &c);
    }
    sqlite3_reset(st);
    return stop ? stop : rc;
}

int sp_users_certificates(struct sp_users *u,
                          int (*each)(void *arg, const struct sp_users_certificate *c),
                          void *arg, struct sp_err *err)
{
    int rc = certificates_of(u, Q_ALL_PINS, each, arg, err);

    return rc ? rc : certificates_of(u, Q_ALL_MAPS, each, arg, err);
}

int sp_users_any_certificate(struct sp_users *u, struct sp_err *err)
{
    sqlite3_stmt *st;
    int rc;

    if (u->dir)
        return sp_dir_any_certificate(u->dir, err);
    st = sp_users_q(u, Q_ANY_CERT, err);
    rc = st ? sp_users_row(u, st, err) : -SP_EIO;

    if (rc == 1)
        rc = sqlite3_column_int(st, 0) != 0;
    if (st)
        sqlite3_reset(st);
    return rc;
}
