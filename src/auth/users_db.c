/* users_db.c - see users.h: the file, its schema and its statements. */
#include "users_i.h"

#include "alloc.h"
#include "err.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The reader is an event loop: it would rather say "temporary" than stand still. */
enum { APPLICATION_ID = 0x53705573, WRITER_WAITS_MS = 2000, READER_WAITS_MS = 300 };

static const char *const sql[] = {
#define TEXT(id, s) s,
    SP_USERS_SQL(TEXT)
#undef TEXT
};

static const char schema[] =
    "CREATE TABLE meta(generation INTEGER NOT NULL, fake_key BLOB NOT NULL,"
    " iterations INTEGER NOT NULL);"
    "CREATE TABLE account(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL "
    "UNIQUE,"
    " enabled INTEGER NOT NULL DEFAULT 1, crypt TEXT, scram256 TEXT, scram1 TEXT,"
    " first_address TEXT NOT NULL DEFAULT '',"
    " message_size_max INTEGER NOT NULL DEFAULT 0,"
    " recipients_max INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL);"
    "CREATE INDEX account_generation ON account(generation);"
    "CREATE TABLE removed(name TEXT PRIMARY KEY, generation INTEGER NOT NULL);"
    "CREATE TABLE address(account INTEGER NOT NULL REFERENCES account ON DELETE "
    "CASCADE,"
    " address TEXT NOT NULL, own INTEGER NOT NULL, PRIMARY KEY(account, address))"
    " WITHOUT ROWID;"
    "CREATE INDEX address_account ON address(address, account);"
    "CREATE TABLE act_as(account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,"
    " other INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,"
    " PRIMARY KEY(account, other)) WITHOUT ROWID;"
    "CREATE INDEX act_as_other ON act_as(other);"
    "CREATE TABLE pin(spki TEXT PRIMARY KEY,"
    " account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE);"
    "CREATE TABLE mapping(kind INTEGER NOT NULL, value TEXT NOT NULL,"
    " second TEXT NOT NULL, account INTEGER NOT NULL REFERENCES account ON DELETE "
    "CASCADE,"
    " PRIMARY KEY(kind, value, second, account)) WITHOUT ROWID;";

/* What turned version n + 1 into n + 2.  A new file is made in version 1 and goes the
 * same way, so that there is one schema whatever a file's age. */
static const char *const steps[SP_USERS_SCHEMA - 1] = {
    /* 2: since when the password is what it is; what a pinned certificate was */
    "ALTER TABLE account ADD COLUMN secret_generation INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pin ADD COLUMN subject TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE pin ADD COLUMN until_s INTEGER NOT NULL DEFAULT 0;",
    /* 3: how much an account may send */
    "ALTER TABLE account ADD COLUMN sessions_max INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE account ADD COLUMN messages_m INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE account ADD COLUMN messages_h INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE account ADD COLUMN messages_d INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE account ADD COLUMN recipients_m INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE account ADD COLUMN recipients_h INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE account ADD COLUMN recipients_d INTEGER NOT NULL DEFAULT 0;",
    /* 4: the mechanisms that are strong enough for it */
    "ALTER TABLE account ADD COLUMN mechanisms TEXT NOT NULL DEFAULT '';",
};

int sp_users_sqlite(struct sp_users *u, int rc, struct sp_err *err)
{
    const char *path = u->path, *why = u->db ? sqlite3_errmsg(u->db) : "no memory";

    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN,
                          "the users database %s is busy", path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return sp_err_set(err, SP_CLASS_BUG, SP_EIO,
                          "the users database %s is damaged (%s): restore it from a "
                          "backup, or remove it and add the accounts again",
                          path, why);
    case SQLITE_FULL:
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ENOSPC,
                          "no room to write the users database %s", path);
    case SQLITE_READONLY:
        return sp_err_set(err, SP_CLASS_BUG, SP_EDENIED,
                          "the users database %s cannot be written", path);
    case SQLITE_NOMEM:
        return sp_err_nomem(err);
    default:
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "users database %s: %s",
                          path, why);
    }
}

sqlite3_stmt *sp_users_q(struct sp_users *u, enum sp_users_q q, struct sp_err *err)
{
    int rc;

    if (!u->st[q]) {
        rc = sqlite3_prepare_v3(u->db, sql[q], -1, SQLITE_PREPARE_PERSISTENT, &u->st[q],
                                NULL);
        if (rc != SQLITE_OK) {
            (void)sp_users_sqlite(u, rc, err);
            return NULL;
        }
    }
    sqlite3_reset(u->st[q]);
    sqlite3_clear_bindings(u->st[q]);
    return u->st[q];
}

/* SQLite's own handler backs off to 100 ms and then loses against a command that writes
 * one account after the other; a writer holds the file for about a millisecond. */
static int wait_a_little(void *arg, int times)
{
    const struct sp_users *u = arg;

    if (times >= (u->writable ? WRITER_WAITS_MS : READER_WAITS_MS))
        return 0;
    (void)usleep(1000);
    return 1;
}

/* A writer that was killed inside its commit leaves a journal that must be played back
 * before anybody may read; a read-only handle is not allowed to.  Without this nobody
 * could log in until somebody happened to write. */
static bool recover(struct sp_users *u)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(
        u->path, &db,
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_READWRITE, NULL);

    if (rc == SQLITE_OK) {
        sqlite3_busy_handler(db, wait_a_little, u);
        rc = sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    }
    sqlite3_close(db);
    return rc == SQLITE_OK;
}

int sp_users_row(struct sp_users *u, sqlite3_stmt *st, struct sp_err *err)
{
    int rc = sqlite3_step(st);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE &&
        sqlite3_extended_errcode(u->db) == SQLITE_READONLY_ROLLBACK && recover(u)) {
        sqlite3_reset(st);
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW)
        return 1;
    /* Reset at once: a statement that is left open holds the file's read lock. */
    if (rc == SQLITE_DONE) {
        sqlite3_reset(st);
        return 0;
    }
    rc = sp_users_sqlite(u, rc, err);
    sqlite3_reset(st);
    return rc;
}

int sp_users_run(struct sp_users *u, enum sp_users_q q, int64_t id, struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, q, err);

    if (!st)
        return -SP_EIO;
    if (sqlite3_bind_parameter_count(st) > 0)
        sqlite3_bind_int64(st, 1, id);
    return sp_users_row(u, st, err);
}

void sp_users_bind(sqlite3_stmt *st, int at, struct sp_str s)
{
    if (s.p)
        sqlite3_bind_text(st, at, s.p, (int)s.n, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(st, at);
}

static int exec(struct sp_users *u, const char *text, struct sp_err *err)
{
    int rc = sqlite3_exec(u->db, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sp_users_sqlite(u, rc, err);
}

static int pragma_int(struct sp_users *u, const char *text, int64_t *ret,
                      struct sp_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(u->db, text, -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *ret = sqlite3_column_int64(st, 0);
        rc = 0;
    } else {
        rc = sp_users_sqlite(u, rc, err);
    }
    sqlite3_finalize(st);
    return rc;
}

static int create_schema(struct sp_users *u, struct sp_err *err)
{
    unsigned char key[32];
    char text[256], hex[65];
    int rc;

    if (RAND_bytes(key, sizeof key) != 1)
        return sp_err_set(err, SP_CLASS_BUG, SP_EIO, "no random numbers");
    (void)sp_hex_encode(key, sizeof key, hex, sizeof hex);
    snprintf(text, sizeof text,
             "INSERT INTO meta VALUES (1, x'%s', %d); PRAGMA application_id = %d", hex,
             SP_SCRAM_ITERATIONS_USUAL, APPLICATION_ID);
    rc = exec(u, schema, err);
    if (rc == 0)
        rc = exec(u, text, err);
    return rc;
}

static int migrate(struct sp_users *u, int64_t version, struct sp_err *err)
{
    char text[64];
    int rc = 0;

    for (; rc == 0 && version < SP_USERS_SCHEMA; version++)
        rc = exec(u, steps[version - 1], err);
    snprintf(text, sizeof text, "PRAGMA user_version = %d", SP_USERS_SCHEMA);
    return rc == 0 ? exec(u, text, err) : rc;
}

/* An older file is brought up to date by whoever opens it first, also for reading. */
static int migrate_by_writer(const struct sp_users *u, struct sp_err *err)
{
    struct sp_users *w;
    int rc = sp_users_open(u->path, SP_USERS_WRITE, &w, err);

    if (rc == 0)
        sp_users_close(w);
    return rc;
}

/* What is in the file?  Its own schema, nothing at all (then one is made, when we may),
 * an older one, a newer one, something else. */
static int check_schema(struct sp_users *u, struct sp_err *err)
{
    int64_t id = 0, version = 0, objects = 0;
    bool older;
    int rc = exec(u, u->writable ? "BEGIN IMMEDIATE" : "BEGIN", err);

    if (rc == 0)
        rc = pragma_int(u, "PRAGMA application_id", &id, err);
    if (rc == 0)
        rc = pragma_int(u, "PRAGMA user_version", &version, err);
    if (rc == 0)
        rc = pragma_int(u, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc == 0 && id == 0 && version == 0 && objects == 0 && u->writable) {
        rc = create_schema(u, err);
        id = APPLICATION_ID;
        version = 1;
    }
    if (rc == 0 && id != APPLICATION_ID)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EIO, "%s is not a users database",
                        u->path);
    if (rc == 0 && version > SP_USERS_SCHEMA)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EVERSION,
                        "the users database %s was written by a newer version of this "
                        "program (schema %lld, known here: %d)",
                        u->path, (long long)version, SP_USERS_SCHEMA);
    older = rc == 0 && version < SP_USERS_SCHEMA;
    if (older && u->writable)
        rc = version >= 1 ? migrate(u, version, err) : -SP_EVERSION;
    (void)exec(u, rc == 0 ? "COMMIT" : "ROLLBACK", NULL);
    return older && !u->writable ? migrate_by_writer(u, err) : rc;
}

static int check_pages(struct sp_users *u, struct sp_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(u->db, "PRAGMA quick_check(1)", -1, &st, NULL);
    const char *text;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (rc != SQLITE_ROW)
        rc = sp_users_sqlite(u, rc, err);
    else if (!text || strcmp(text, "ok") != 0)
        rc = sp_users_sqlite(u, SQLITE_CORRUPT, err);
    else
        rc = 0;
    sqlite3_finalize(st);
    return rc;
}

/* The file is made by us, so that it never exists with a wider mode. */
static int make_file(const char *path, struct sp_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd < 0 && errno == EEXIST)
        return 0;
    if (fd < 0 || fchmod(fd, 0640) < 0) {
        int rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot create %s", path);

        if (fd >= 0)
            close(fd);
        return rc;
    }
    close(fd);
    return 0;
}

/* The same before the first statement, which sp_users_row() does not see. */
static bool settle(struct sp_users *u)
{
    if (sqlite3_exec(u->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) ==
            SQLITE_OK ||
        sqlite3_extended_errcode(u->db) != SQLITE_READONLY_ROLLBACK)
        return true;
    return recover(u);
}

int sp_users_open(const char *path, enum sp_users_mode mode, struct sp_users **ret_u,
                  struct sp_err *err)
{
    struct sp_users *u = sp_alloc(sizeof *u);
    bool writable = mode == SP_USERS_WRITE;
    int rc = 0;

    if (!u || !(u->path = sp_strdup(path))) {
        sp_free(u);
        return sp_err_nomem(err);
    }
    u->writable = writable;
    u->data_version = -1;
    if (writable)
        rc = make_file(path, err);
    else if (access(path, R_OK) < 0)
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, errno == ENOENT ? SP_ENOENT : SP_EIO,
                        "cannot read the users database %s", path);
    if (rc == 0) {
        rc = sqlite3_open_v2(
            path, &u->db,
            SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                (writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY),
            NULL);
        rc = rc == SQLITE_OK ? 0 : sp_users_sqlite(u, rc, err);
    }
    if (rc == 0) {
        sqlite3_busy_handler(u->db, wait_a_little, u);
        if (!writable)
            (void)settle(u);
        /* FULL: an account that was reported as removed stays removed after a power
         * loss.  Freed hashes are overwritten. */
        rc = exec(u,
                  "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                  "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON",
                  err);
    }
    if (rc == 0)
        rc = check_schema(u, err);
    if (rc == 0)
        rc = check_pages(u, err);
    /* A writer would find what it has not committed yet.  Without memory: no cache. */
    if (rc == 0 && !writable)
        u->cache = sp_users_cache_new();
    if (rc < 0) {
        sp_users_close(u);
        return rc;
    }
    *ret_u = u;
    return 0;
}

void sp_users_close(struct sp_users *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < Q_COUNT; i++)
        sqlite3_finalize(u->st[i]);
    sp_users_cache_free(u->cache);
    sqlite3_close(u->db);
    sp_free(u->path);
    sp_free(u);
}
