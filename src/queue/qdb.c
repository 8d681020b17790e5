/* qdb.c - see qdb.h. */
#include "qdb.h"

#include "err.h"
#include "spool.h"

#include <errno.h>
#include <string.h>

/*
 * Rows are found by number only: message by its queue id, the jobs of message M in the
 * range M+1 .. M+jobs.  New rows are appended, and there is no index to keep but the one
 * over large bodies, so a small message costs one row in two tables.
 *
 * message.envelope is the packed Envelope without its recipients; job.rcpt is a packed
 * Envelope with nothing but the recipients of the job.  One behind the other they are, by
 * protobuf's rule for merging, the packed Envelope of the job: a message to 10,000
 * domains is not read 10,000 times in full.  job.state is the packed JobState, in the same order.
 *
 * The blobs are the last columns: reading the small ones does not touch their pages.
 */
static const char schema[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE message(id INTEGER PRIMARY KEY, jobs INTEGER NOT NULL,"
    " created INTEGER NOT NULL, size INTEGER NOT NULL, file INTEGER, user TEXT NOT "
    "NULL,"
    " envelope BLOB NOT NULL, prefix BLOB, content BLOB);"
    "CREATE INDEX message_file ON message(file) WHERE file IS NOT NULL;"
    "CREATE TABLE job(id INTEGER PRIMARY KEY, message INTEGER NOT NULL,"
    " status INTEGER NOT NULL, due INTEGER NOT NULL, lease INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, domain TEXT NOT NULL, user TEXT NOT NULL,"
    " rcpt BLOB NOT NULL, state BLOB NOT NULL);"
    "CREATE TABLE history(id INTEGER PRIMARY KEY, created INTEGER NOT NULL,"
    " finished INTEGER NOT NULL, size INTEGER NOT NULL, user TEXT NOT NULL,"
    " envelope BLOB, state BLOB);"
    "CREATE TABLE submission(user TEXT NOT NULL, key BLOB NOT NULL,"
    " message INTEGER NOT NULL, digest BLOB NOT NULL, rcpts INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, PRIMARY KEY(user,key)) WITHOUT ROWID;"
    "CREATE INDEX submission_expires ON submission(expires);";

/* A new spool is made in version 1 and goes the same way, so that there is one schema
 * whatever a file's age. */
static const struct sp_qdb_migration migrations[] = {
    /* 2: MT-PRIORITY, for the schedule; the key of a message that is taken back goes with it */
    {1, "ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
        "CREATE INDEX submission_message ON submission(message);"},
};
enum { MIGRATIONS = sizeof migrations / sizeof migrations[0], FIRST_VERSION = 1 };

static const char *const sql[] = {
#define SP_QSTMT_SQL(id, sql) sql,
    SP_QSTMTS(SP_QSTMT_SQL)
#undef SP_QSTMT_SQL
};

/* ---- errors -------------------------------------------------------------------- */

/* errno of the last failure, of the log or else of the database file.  Not
 * sqlite3_system_errno(): cleaning up behind the failure may have reset that. */
static int last_errno(sqlite3 *h)
{
    sqlite3_file *log = NULL;
    int e = 0;

    if (!h)
        return 0;
    (void)sqlite3_file_control(h, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log && log->pMethods)
        (void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &e);
    if (!e)
        (void)sqlite3_file_control(h, "main", SQLITE_FCNTL_LAST_ERRNO, &e);
    return e ? e : sqlite3_system_errno(h);
}

static bool disk_full(sqlite3 *h, int rc)
{
    int xrc = h ? sqlite3_extended_errcode(h) : rc, sys;

    if ((rc & 0xff) == SQLITE_FULL || xrc == SQLITE_IOERR_SHMSIZE)
        return true;
    if (xrc != SQLITE_IOERR_WRITE && xrc != SQLITE_IOERR_TRUNCATE)
        return false;
    /* SQLite knows ENOSPC only; a quota or a limit on the file size is the same to us. */
    sys = last_errno(h);
    return sys == EDQUOT || sys == EFBIG || sys == ENOSPC;
}

bool sp_qdb_in_doubt(sqlite3 *h, int rc)
{
    if (disk_full(h, rc))
        return false;
    return (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CORRUPT ||
           (rc & 0xff) == SQLITE_NOTADB;
}

int sp_qdb_error(sqlite3 *h, int rc, const char *what, struct sp_err *err)
{
    const char *words = h ? sqlite3_errmsg(h) : sqlite3_errstr(rc);
    int sys = last_errno(h);

    if (disk_full(h, rc))
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ENOSPC, "%s: the disk is full",
                          what);
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return sp_err_nomem(err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN,
                          "%s: spool.db is locked by another program", what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO,
                          "%s: spool.db is damaged (%s); restore it or move it away",
                          what, words);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EDENIED, "%s: %s%s%s", what,
                          words, sys ? ": " : "", sys ? strerror(sys) : "");
    case SQLITE_IOERR:
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "%s: %s%s%s", what, words,
                          sys ? ": " : "", sys ? strerror(sys) : "");
    default:
        return sp_err_set(err, SP_CLASS_BUG, SP_EIO, "%s: %s", what, words);
    }
}

/* ---- opening ------------------------------------------------------------------- */

static int run(sqlite3 *h, const char *text, const char *what, struct sp_err *err)
{
    int rc = sqlite3_exec(h, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sp_qdb_error(h, rc, what, err);
}

static int open_handle(sqlite3 **ret, const char *path, int flags, const char *vfs,
                       struct sp_err *err)
{
    int rc = sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOMUTEX, vfs);

    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(*ret, 1);
        sqlite3_busy_timeout(*ret, 5000);
        return 0;
    }
    rc = sp_qdb_error(*ret, rc, "cannot open spool.db", err);
    sqlite3_close(*ret);
    *ret = NULL;
    return rc;
}

int sp_qdb_create(const char *path, const char *vfs, struct sp_err *err)
{
    char *version;
    sqlite3 *h;
    int rc;

    rc = open_handle(&h, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs, err);
    if (rc < 0)
        return rc;
    version = sqlite3_mprintf("PRAGMA application_id=%d;PRAGMA user_version=%d;COMMIT",
                              SP_QDB_APPLICATION, FIRST_VERSION);
    if (!version) {
        sqlite3_close(h);
        return sp_err_nomem(err);
    }
    /* The page size counts only before the first table. */
    rc = run(
        h,
        "PRAGMA page_size=8192;PRAGMA auto_vacuum=NONE;PRAGMA synchronous=FULL;BEGIN",
        "cannot create the spool", err);
    if (rc == 0)
        rc = run(h, schema, "cannot create the spool", err);
    if (rc == 0)
        rc = run(h, version, "cannot create the spool", err);
    sqlite3_free(version);
    sqlite3_close(h);
    return rc;
}

static int pragma_int(sqlite3 *h, const char *text, int *ret, struct sp_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(h, text, -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int(st, 0);
    else
        (void)sp_qdb_error(h, rc, "cannot read spool.db", err);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -SP_EIO;
}

int sp_qdb_migrate(sqlite3 *h, int target, const struct sp_qdb_migration *m, size_t n,
                   struct sp_err *err)
{
    int at, rc = pragma_int(h, "PRAGMA user_version", &at, err);

    while (rc == 0 && at < target) {
        char *bump;
        size_t i = 0;

        while (i < n && m[i].from != at)
            i++;
        if (i == n)
            return sp_err_set(err, SP_CLASS_BUG, SP_EVERSION,
                              "spool version %d is too old for this program", at);
        bump = sqlite3_mprintf("PRAGMA user_version=%d;COMMIT", ++at);
        rc = bump ? run(h, "BEGIN IMMEDIATE", "migration", err) : sp_err_nomem(err);
        if (rc == 0)
            rc = run(h, m[i].sql, "migration", err);
        if (rc == 0)
            rc = run(h, bump, "migration", err);
        if (rc < 0 && !sqlite3_get_autocommit(h))
            (void)sqlite3_exec(h, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_free(bump);
    }
    return rc;
}

static int check_version(sqlite3 *h, bool read_only, struct sp_err *err)
{
    int app = 0, version = 0, rc;

    rc = pragma_int(h, "PRAGMA application_id", &app, err);
    if (rc == 0)
        rc = pragma_int(h, "PRAGMA user_version", &version, err);
    if (rc < 0)
        return rc;
    if (app != SP_QDB_APPLICATION)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO,
                          "spool.db is not a spool of this program, or damaged");
    if (version > SP_SPOOL_VERSION)
        return sp_err_set(
            err, SP_CLASS_TEMPORARY, SP_EVERSION,
            "the spool has version %d, this program knows up to %d: use a "
            "newer program",
            version, SP_SPOOL_VERSION);
    if (version < SP_SPOOL_VERSION && read_only)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EVERSION,
                          "the spool has the older version %d: starting the server "
                          "migrates it",
                          version);
    return sp_qdb_migrate(h, SP_SPOOL_VERSION, migrations, MIGRATIONS, err);
}

/*
 * synchronous=FULL: a transaction is on stable storage when COMMIT returns; NORMAL would
 * lose acknowledged mail at power loss.  Debian compiles secure_delete on, which doubles
 * what is written.  No automatic checkpoint: qckpt.c does it beside the writer.  40 MB of
 * pages: with 100,000 messages in the queue all processes stay below 100 MB.
 */
static const char settings[] =
    "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA secure_delete=OFF;"
    "PRAGMA cache_size=-40960;PRAGMA locking_mode=NORMAL;PRAGMA wal_autocheckpoint=0;"
    "PRAGMA foreign_keys=OFF;PRAGMA trusted_schema=OFF;PRAGMA temp_store=MEMORY";

int sp_qdb_open_bare(sqlite3 **ret, const char *path, const char *vfs,
                     struct sp_err *err)
{
    int rc = open_handle(ret, path, SQLITE_OPEN_READWRITE, vfs, err);

    if (rc < 0)
        return rc;
    rc = run(*ret, settings, "cannot open spool.db", err);
    if (rc < 0) {
        sqlite3_close(*ret);
        *ret = NULL;
    }
    return rc;
}

int sp_qdb_open(struct sp_qdb *db, const char *path, const char *vfs, bool read_only,
                struct sp_err *err)
{
    int rc;

    memset(db, 0, sizeof *db);
    rc =
        open_handle(&db->h, path,
                    read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, vfs, err);
    if (rc < 0)
        return rc;
    rc = check_version(db->h, read_only, err);
    if (rc == 0 && !read_only)
        rc = run(db->h, settings, "cannot open spool.db", err);
    for (int i = 0; rc == 0 && i < SP_QSTMTS_N; i++)
        if ((rc = sqlite3_prepare_v3(db->h, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                     &db->st[i], NULL)) != SQLITE_OK)
            rc = (rc & 0xff) == SQLITE_ERROR /* no such table, no such column */
                     ? sp_qdb_error(NULL, SQLITE_CORRUPT, "cannot open spool.db", err)
                     : sp_qdb_error(db->h, rc, "cannot open spool.db", err);
    if (rc < 0)
        sp_qdb_close(db);
    return rc;
}

void sp_qdb_close(struct sp_qdb *db)
{
    for (int i = 0; i < SP_QSTMTS_N; i++)
        sqlite3_finalize(db->st[i]);
    sqlite3_close(db->h);
    memset(db, 0, sizeof *db);
}

/* ---- statements ------------------------------------------------------------------ */

sqlite3_stmt *sp_qdb_stmt(struct sp_qdb *db, enum sp_qstmt q)
{
    sqlite3_reset(db->st[q]);
    sqlite3_clear_bindings(db->st[q]);
    return db->st[q];
}

int sp_qdb_step(struct sp_qdb *db, enum sp_qstmt q, struct sp_err *err)
{
    int rc = sqlite3_step(db->st[q]);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        rc = sp_qdb_error(db->h, rc, "spool.db", err);
    else
        rc = 0;
    sqlite3_reset(db->st[q]);
    return rc;
}

void sp_qdb_end(struct sp_qdb *db, enum sp_qstmt q)
{
    sqlite3_reset(db->st[q]);
}

void sp_qdb_text(sqlite3_stmt *st, int at, struct sp_str s)
{
    sqlite3_bind_text64(st, at, s.n ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

void sp_qdb_blob(sqlite3_stmt *st, int at, struct sp_str s)
{
    sqlite3_bind_blob64(st, at, s.n ? s.p : "", s.n, SQLITE_STATIC);
}

struct sp_str sp_qdb_col(sqlite3_stmt *st, int at)
{
    const char *p = sqlite3_column_blob(st, at);
    int n = sqlite3_column_bytes(st, at);

    return (struct sp_str){p ? p : "", p && n > 0 ? (size_t)n : 0};
}

uint64_t sp_qdb_u64(sqlite3_stmt *st, int at)
{
    sqlite3_int64 v = sqlite3_column_int64(st, at);

    return v > 0 ? (uint64_t)v : 0;
}
