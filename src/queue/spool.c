/* spool.c - opening, closing and the health of the spool, see spool.h. */
#include "spool.h"

#include "alloc.h"
#include "datadir.h"
#include "err.h"
#include "qint.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void sp_spool_defaults(struct sp_spool_options *o)
{
    memset(o, 0, sizeof *o);
    o->history_ms = 7ull * 86400 * 1000;
    o->key_ms = 5ull * 86400 * 1000;
    o->recipients_max = 100000;
    o->job_recipients_max = 500;
    sp_retry_defaults(&o->retry);
}

void sp_spool_reconfigure(struct sp_spool *s, const struct sp_spool_options *o)
{
    s->o.history_ms = o->history_ms;
    s->o.key_ms = o->key_ms;
    s->o.recipients_max = o->recipients_max;
    s->o.job_recipients_max = o->job_recipients_max ? o->job_recipients_max : 1;
    s->o.retry = o->retry;
}

/* ---- the lock -------------------------------------------------------------------- */

static long lock_holder(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    return n > 0 ? strtol(text, NULL, 10) : 0;
}

/* flock, not fcntl: it goes when the last descriptor of the process goes, however the process
 * ends, and closing another descriptor of the file does not drop it. */
static int take_lock(struct sp_spool *s, struct sp_err *err)
{
    char text[24];
    int n;

    s->lockfd =
        openat(s->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lockfd < 0)
        return sp_err_sys(err, SP_CLASS_TEMPORARY,
                          errno == ENOSPC || errno == EDQUOT ? SP_ENOSPC : SP_EDENIED,
                          "cannot open %s/lock", s->dir);
    if (flock(s->lockfd, LOCK_EX | LOCK_NB) < 0) {
        long pid = lock_holder(s->lockfd);

        if (errno != EWOULDBLOCK)
            return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot lock %s/lock",
                              s->dir);
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN,
                          "the data directory %s is in use by process %ld", s->dir,
                          pid);
    }
    n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* The number is for people; on a full disk the lock holds without it. */
    if (ftruncate(s->lockfd, 0) == 0)
        (void)!pwrite(s->lockfd, text, (size_t)n, 0);
    return 0;
}

/* ---- the files ------------------------------------------------------------------- */

static bool exists(struct sp_spool *s, const char *name)
{
    return faccessat(s->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static int sys_failed(struct sp_err *err, const struct sp_spool *s, const char *what)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    bool denied = errno == EACCES || errno == EPERM || errno == EROFS;

    return sp_err_sys(err, SP_CLASS_TEMPORARY,
                      full     ? SP_ENOSPC
                      : denied ? SP_EDENIED
                               : SP_EIO,
                      "cannot %s in %s", what, s->dir);
}

/*
 * A new spool is made under another name and renamed when it is complete and synced; the
 * directory for bodies comes last.  So whatever of the spool exists, spool.db existed
 * before it: a missing or empty spool.db beside them means lost mail, and must not be
 * answered with an empty queue.
 */
static int create(struct sp_spool *s, struct sp_err *err)
{
    char *path = NULL;
    int fd, rc;

    if (exists(s, "bodies") || exists(s, "spool.db-wal"))
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO,
                          "%s/spool.db is missing but the rest of the spool is there: "
                          "restore it, or move bodies and spool.db-* away",
                          s->dir);
    (void)unlinkat(s->dirfd, "spool.new", 0);
    (void)unlinkat(s->dirfd, "spool.new-journal", 0);
    fd = openat(s->dirfd, "spool.new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return sys_failed(err, s, "create the spool");
    if (asprintf(&path, "%s/spool.new", s->dir) < 0) {
        close(fd);
        return sp_err_nomem(err);
    }
    rc = sp_qdb_create(path, s->vfs, err);
    free(path);
    if (rc == 0 &&
        (fsync(fd) < 0 || renameat(s->dirfd, "spool.new", s->dirfd, "spool.db") < 0 ||
         fsync(s->dirfd) < 0))
        rc = sys_failed(err, s, "create the spool");
    close(fd);
    return rc;
}

static int open_files(struct sp_spool *s, struct sp_err *err)
{
    int rc;

    if (!exists(s, "spool.db")) {
        if (s->o.read_only)
            return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ENOENT, "no spool in %s",
                              s->dir);
        rc = create(s, err);
        if (rc < 0)
            return rc;
    }
    s->dbfd = openat(s->dirfd, "spool.db", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->dbfd < 0)
        return sys_failed(err, s, "open spool.db");
    if (!s->o.read_only && mkdirat(s->dirfd, "bodies", 0700) < 0 && errno != EEXIST)
        return sys_failed(err, s, "create bodies/");
    s->bodies =
        openat(s->dirfd, "bodies", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (s->bodies < 0)
        return sys_failed(err, s, "open bodies/");
    if (!s->o.read_only && fsync(s->dirfd) < 0)
        return sys_failed(err, s, "sync the directory");
    return 0;
}

/* ---- numbers that must survive a restart ------------------------------------------ */

static int meta_get(struct sp_spool *s, const char *name, uint64_t *ret,
                    struct sp_err *err)
{
    int rc;

    sp_qdb_text(sp_qdb_stmt(&s->db, SP_Q_META_GET), 1, sp_str(name));
    rc = sp_qdb_step(&s->db, SP_Q_META_GET, err);
    if (rc < 0)
        return rc;
    *ret = rc == 1 ? sp_qdb_u64(s->db.st[SP_Q_META_GET], 0) : 0;
    sp_qdb_end(&s->db, SP_Q_META_GET);
    return 0;
}

static int meta_put(struct sp_spool *s, const char *name, uint64_t value,
                    struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_META_PUT);

    sp_qdb_text(st, 1, sp_str(name));
    sqlite3_bind_int64(st, 2, (sqlite3_int64)value);
    return sp_qdb_step(&s->db, SP_Q_META_PUT, err);
}

/* The epoch makes every lease of this run larger than those of earlier ones.  The
 * ceiling keeps numbers of deleted rows from coming again under a clock that went back. */
static int start_numbers(struct sp_spool *s, struct sp_err *err)
{
    uint64_t ceiling = 0, last = 0;
    int rc;

    rc = meta_get(s, "epoch", &s->epoch, err);
    if (rc == 0)
        rc = meta_get(s, "id-ceiling", &ceiling, err);
    if (rc == 0) {
        (void)sp_qdb_stmt(&s->db, SP_Q_LAST_ID);
        rc = sp_qdb_step(&s->db, SP_Q_LAST_ID, err);
        if (rc == 1)
            last = sp_qdb_u64(s->db.st[SP_Q_LAST_ID], 0);
        sp_qdb_end(&s->db, SP_Q_LAST_ID);
    }
    if (rc < 0)
        return rc;
    s->ids.last = last > ceiling ? last : ceiling;
    s->id_ceiling = ceiling;
    s->epoch++;
    if (s->epoch >= INT32_MAX)
        return sp_err_set(err, SP_CLASS_BUG, SP_ELIMIT,
                          "the spool was opened too often");
    return meta_put(s, "epoch", s->epoch, err);
}

static int start_writing(struct sp_spool *s, struct sp_err *err)
{
    int rc;

    rc = sp_qckpt_start(&s->ckpt, s->path, s->vfs, s->dbfd, s->db.h, !s->o.no_thread,
                        err);
    /* What a run before us left in the log may be there in the page cache only, when its
     * last sync failed.  Copy and sync all of it before anything is built upon it.  A
     * reader that is in the way (-SP_EAGAIN) only puts that off. */
    if (rc == 0)
        rc = sp_qckpt_full(s->ckpt, err);
    if (rc == -SP_EAGAIN)
        rc = 0;
    if (rc == 0)
        rc = start_numbers(s, err);
    if (rc == 0)
        rc = sp_qbody_sweep(s, err);
    return rc;
}

static int set_names(struct sp_spool *s, const char *dir, const char *vfs)
{
    size_t n = strlen(dir) + sizeof "/spool.db";

    s->dir = sp_strdup(dir);
    s->path = sp_alloc(n);
    s->vfs = vfs ? sp_strdup(vfs) : NULL;
    if (!s->dir || !s->path || (vfs && !s->vfs))
        return -SP_ENOMEM;
    (void)snprintf(s->path, n, "%s/spool.db", s->dir);
    return 0;
}

int sp_spool_open(const char *dir, const struct sp_spool_options *o, uint64_t now_ms,
                  struct sp_spool **ret_spool, struct sp_err *err)
{
    struct sp_spool *s = sp_alloc(sizeof *s);
    char path[4096];
    int rc;

    (void)now_ms;
    if (!s)
        return sp_err_nomem(err);
    if (sp_data_path(path, sizeof path, dir, SP_DATA_QUEUE, "") == 0)
        dir = path;
    s->dirfd = s->bodies = s->lockfd = s->dbfd = -1;
    s->o = *o;
    sp_spool_reconfigure(s, o);
    rc = set_names(s, dir, o->vfs);
    if (rc < 0) {
        (void)sp_err_nomem(err);
        goto bad;
    }
    s->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dirfd < 0) {
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY,
                        errno == ENOENT ? SP_ENOENT : SP_EDENIED,
                        "cannot open the data directory %s", dir);
        goto bad;
    }
    rc = o->read_only || o->lock_held ? 0 : take_lock(s, err);
    if (rc == 0)
        rc = open_files(s, err);
    if (rc == 0)
        rc = sp_qdb_open(&s->db, s->path, s->vfs, o->read_only, err);
    if (rc == 0 && !o->read_only)
        rc = start_writing(s, err);
    if (rc < 0)
        goto bad;
    *ret_spool = s;
    return 0;
bad:
    sp_spool_close(s);
    return rc;
}

/* A spool in doubt leaves its log alone: the next open copies it. */
static void close_db(struct sp_spool *s)
{
    struct sp_err ignored;

    if (s->ckpt && s->health == SP_SPOOL_OK && !sp_qckpt_failed(s->ckpt, NULL))
        (void)sp_qckpt_full(s->ckpt, &ignored);
    else if (s->db.h)
        (void)sqlite3_db_config(s->db.h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sp_qckpt_stop(s->ckpt);
    sp_qdb_close(&s->db);
}

void sp_spool_close(struct sp_spool *s)
{
    if (!s)
        return;
    if (s->db.h)
        close_db(s);
    if (s->dbfd >= 0)
        close(s->dbfd);
    if (s->bodies >= 0)
        close(s->bodies);
    if (s->lockfd >= 0)
        close(s->lockfd);
    if (s->dirfd >= 0)
        close(s->dirfd);
    sp_qlease_free(&s->leased);
    sp_free(s->dir);
    sp_free(s->path);
    sp_free(s->vfs);
    sp_free(s);
}

/* ---- health ---------------------------------------------------------------------- */

enum sp_spool_health sp_spool_health(struct sp_spool *s)
{
    if (s->ckpt && sp_qckpt_failed(s->ckpt, NULL))
        s->health = SP_SPOOL_FAILED;
    return s->health;
}

int sp_spool_repair(struct sp_spool *s, struct sp_err *err)
{
    int rc;

    switch (sp_spool_health(s)) {
    case SP_SPOOL_OK:
        return 0;
    case SP_SPOOL_FAILED:
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO,
                          "the spool must be closed and opened again");
    case SP_SPOOL_NEEDS_REPAIR:
        break;
    }
    rc = sp_qckpt_full(s->ckpt, err);
    if (rc == 0)
        s->health = SP_SPOOL_OK;
    return rc;
}

static int prune(struct sp_spool *s, uint64_t now_ms, struct sp_err *err)
{
    uint64_t cut = now_ms > s->o.history_ms ? now_ms - s->o.history_ms : 0;
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_HISTORY_PRUNE);
    int many = 0, rc;

    /* By number first: what was submitted later cannot have been finished before. */
    sqlite3_bind_int64(st, 1, (sqlite3_int64)sp_qid_floor(cut));
    sqlite3_bind_int64(st, 2, (sqlite3_int64)cut);
    rc = sp_qdb_step(&s->db, SP_Q_HISTORY_PRUNE, err);
    if (rc < 0)
        return rc;
    many = sqlite3_changes(s->db.h) >= 512;
    sqlite3_bind_int64(sp_qdb_stmt(&s->db, SP_Q_KEY_PRUNE), 1, (sqlite3_int64)now_ms);
    rc = sp_qdb_step(&s->db, SP_Q_KEY_PRUNE, err);
    return rc < 0 ? rc : many || sqlite3_changes(s->db.h) >= 512;
}

void sp_qspool_lean(struct sp_spool *s)
{
    s->lean_commits = s->commits;
    (void)sqlite3_db_release_memory(s->db.h);
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

int sp_spool_idle(struct sp_spool *s, uint64_t now_ms, struct sp_err *err)
{
    int rc;

    if (s->o.read_only || sp_spool_health(s) != SP_SPOOL_OK)
        return sp_err_set(err, SP_CLASS_BUG, SP_ESTATE, "the spool cannot be written");
    sp_qckpt_lock(s->ckpt);
    rc = prune(s, now_ms, err);
    if (rc < 0 && sp_qdb_in_doubt(s->db.h, sqlite3_errcode(s->db.h)))
        s->health = SP_SPOOL_NEEDS_REPAIR;
    sp_qckpt_unlock(s->ckpt);
    if (rc == 0)
        sp_qckpt_idle(s->ckpt);
    if (s->lean_commits != s->commits)
        sp_qspool_lean(s);
    return rc;
}

int sp_spool_verify(struct sp_spool *s, struct sp_err *err)
{
    sqlite3_stmt *st = NULL;
    const char *text;
    int rc = sqlite3_prepare_v2(s->db.h, "PRAGMA integrity_check(1)", -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_ROW) {
        rc = sp_qdb_error(s->db.h, rc, "verify", err);
    } else {
        text = (const char *)sqlite3_column_text(st, 0);
        rc = text && strcmp(text, "ok") == 0
                 ? 0
                 : sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO,
                              "spool.db is damaged: %s", text ? text : "?");
    }
    sqlite3_finalize(st);
    return rc;
}

int sp_spool_count(struct sp_spool *s, struct sp_spool_counts *ret, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_COUNT);
    int rc = sp_qdb_step(&s->db, SP_Q_COUNT, err);

    if (rc < 0)
        return rc;
    memset(ret, 0, sizeof *ret);
    ret->messages = sp_qdb_u64(st, 0);
    ret->queued = sp_qdb_u64(st, 1);
    ret->held = sp_qdb_u64(st, 2);
    ret->history = sp_qdb_u64(st, 3);
    sp_qdb_end(&s->db, SP_Q_COUNT);
    ret->orphans = s->orphans;
    ret->commits = s->commits;
    ret->log_octets = s->ckpt ? sp_qckpt_log(s->ckpt) : 0;
    ret->checkpoints = s->ckpt ? sp_qckpt_passes(s->ckpt) : 0;
    return 0;
}

int sp_spool_oldest(struct sp_spool *s, uint64_t *ret_ms, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_OLDEST);
    int rc = sp_qdb_step(&s->db, SP_Q_OLDEST, err);

    if (rc < 0)
        return rc;
    *ret_ms = rc > 0 ? sp_qdb_u64(st, 0) : 0;
    sp_qdb_end(&s->db, SP_Q_OLDEST);
    return 0;
}
