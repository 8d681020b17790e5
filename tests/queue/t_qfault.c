/*
 * t_qfault.c - a disk that fails, a disk that is full, memory that is short, rows that are
 * damaged: what was acknowledged stays, what was refused never comes back, nothing crashes.
 */
#include "alloc.h"
#include "qint.h"
#include "tq.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *const bob[] = {"bob@example.org", NULL};

/* ---- a VFS whose nth operation fails ------------------------------------------------ */

enum op { SYNC, WRITE, TRUNCATE };
static struct {
    enum op op;
    long at;  /* fails when it reaches 0; negative: off */
    int code; /* with this */
    bool only_db, only_wal;
    long seen;
} fault = {.at = -1};

struct file {
    sqlite3_file base;
    bool wal, db;
    sqlite3_file *real;
};
static sqlite3_vfs *below, faulty;
static sqlite3_io_methods methods;

static sqlite3_file *real(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static bool fails(sqlite3_file *f, enum op op)
{
    const struct file *w = (const struct file *)f;

    if (fault.op != op || (fault.only_db && !w->db) || (fault.only_wal && !w->wal))
        return false;
    fault.seen++;
    return fault.at >= 0 && fault.at-- == 0;
}

#define PASS(name, decl, call)                                                         \
    static int f_##name decl                                                           \
    {                                                                                  \
        return real(f)->pMethods->x##name call;                                        \
    }
PASS(Read, (sqlite3_file * f, void *p, int n, sqlite3_int64 at), (real(f), p, n, at))
PASS(FileSize, (sqlite3_file * f, sqlite3_int64 *n), (real(f), n))
PASS(Lock, (sqlite3_file * f, int l), (real(f), l))
PASS(Unlock, (sqlite3_file * f, int l), (real(f), l))
PASS(CheckReservedLock, (sqlite3_file * f, int *r), (real(f), r))
PASS(FileControl, (sqlite3_file * f, int op, void *p), (real(f), op, p))
PASS(SectorSize, (sqlite3_file * f), (real(f)))
PASS(DeviceCharacteristics, (sqlite3_file * f), (real(f)))
PASS(ShmMap, (sqlite3_file * f, int a, int b, int c, void volatile **p),
     (real(f), a, b, c, p))
PASS(ShmLock, (sqlite3_file * f, int a, int b, int c), (real(f), a, b, c))
PASS(ShmUnmap, (sqlite3_file * f, int d), (real(f), d))
PASS(Fetch, (sqlite3_file * f, sqlite3_int64 at, int n, void **p), (real(f), at, n, p))
PASS(Unfetch, (sqlite3_file * f, sqlite3_int64 at, void *p), (real(f), at, p))

static void f_ShmBarrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int f_Close(sqlite3_file *f)
{
    return real(f)->pMethods->xClose(real(f));
}

/* A write that fails has written half of it. */
static int f_Write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (!fails(f, WRITE))
        return real(f)->pMethods->xWrite(real(f), p, n, at);
    (void)real(f)->pMethods->xWrite(real(f), p, n / 2, at);
    return fault.code;
}

static int f_Truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return fails(f, TRUNCATE) ? fault.code : real(f)->pMethods->xTruncate(real(f), n);
}

static int f_Sync(sqlite3_file *f, int flags)
{
    return fails(f, SYNC) ? fault.code : real(f)->pMethods->xSync(real(f), flags);
}

static int f_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags,
                  int *out)
{
    struct file *w = (struct file *)f;
    int rc;

    (void)v;
    w->real = (sqlite3_file *)(w + 1);
    w->wal = flags & SQLITE_OPEN_WAL;
    w->db = flags & SQLITE_OPEN_MAIN_DB;
    rc = below->xOpen(below, name, w->real, flags, out);
    w->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

__attribute__((constructor)) static void in_memory(void)
{
    tq_memory = access("/dev/shm", W_OK) == 0;
}

static void install(void)
{
    if (below)
        return;
    below = sqlite3_vfs_find(NULL);
    faulty = *below;
    faulty.zName = "faulty";
    faulty.szOsFile = (int)sizeof(struct file) + below->szOsFile;
    faulty.xOpen = f_open;
    methods = (sqlite3_io_methods){3,
                                   f_Close,
                                   f_Read,
                                   f_Write,
                                   f_Truncate,
                                   f_Sync,
                                   f_FileSize,
                                   f_Lock,
                                   f_Unlock,
                                   f_CheckReservedLock,
                                   f_FileControl,
                                   f_SectorSize,
                                   f_DeviceCharacteristics,
                                   f_ShmMap,
                                   f_ShmLock,
                                   f_ShmBarrier,
                                   f_ShmUnmap,
                                   f_Fetch,
                                   f_Unfetch};
    sqlite3_vfs_register(&faulty, 0);
}

static struct sp_spool *open_faulty(void)
{
    struct sp_spool_options o = tq_options();

    install();
    o.vfs = "faulty";
    return tq_open_with(&o);
}

/* Three messages in one batch; the numbers of those with 250 are appended. */
static int put3(struct sp_spool *s, uint64_t *ack, size_t *nack)
{
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env t = {0};
    int rc;

    tq_env(&t, "u", "u@x");
    tq_to(&t, "a@b");
    for (int i = 0; i < 3; i++)
        CHECK_INT(tq_add(b, &t, "a small message\r\n"), i);
    rc = sp_spool_commit(s, b, NOW, &tq_err);
    for (int i = 0; i < 3; i++) {
        const struct sp_result *r = sp_batch_result(b, i);

        if (r->code == 250)
            ack[(*nack)++] = r->message;
        CHECK_INT(r->code, rc == 0 ? 250 : rc == -SP_ENOSPC ? 452 : 451);
        CHECK(rc == 0 || r->nchange == 0);
    }
    sp_batch_free(b);
    return rc;
}

/* The acknowledged ones, all of them and no other. */
static void check_exactly(struct sp_spool *s, const uint64_t *ack, size_t nack)
{
    struct sp_view *v;

    CHECK_INT(tq_messages(s), nack);
    for (size_t i = 0; i < nack; i++) {
        CHECK_INT(sp_spool_find(s, ack[i], &v, &tq_err), 0);
        CHECK(!v->finished && !v->damaged);
        sp_view_free(v);
    }
}

/* As a process that dies here leaves it: the files as they are now, opened elsewhere. */
static void check_after_death(const uint64_t *ack, size_t nack)
{
    char keep[64], cmd[300];
    struct sp_spool *s;

    snprintf(keep, sizeof keep, "%s", tq_dir);
    snprintf(cmd, sizeof cmd, "cp -r %s %s.dead && rm -f %s.dead/spool.db-shm", keep,
             keep, keep);
    CHECK_INT(system(cmd), 0);
    snprintf(tq_dir, sizeof tq_dir, "%.50s.dead", keep);
    s = tq_open();
    CHECK(s != NULL);
    if (s)
        check_exactly(s, ack, nack);
    sp_spool_close(s);
    tq_clean();
    snprintf(tq_dir, sizeof tq_dir, "%s", keep);
}

TEST("a failed sync of the log: 451 for the batch, no commit before the repair, no "
     "ghost")
{
    struct sp_spool *s;
    uint64_t ack[100];
    size_t nack = 0;

    tq_new_dir();
    s = open_faulty();
    CHECK_INT(put3(s, ack, &nack), 0);
    fault.op = SYNC;
    fault.code = SQLITE_IOERR_FSYNC;
    fault.only_wal = true;
    fault.at = 0;
    CHECK_INT(put3(s, ack, &nack), -SP_EIO);
    CHECK_INT(fault.at, -1);
    CHECK_INT(sp_spool_health(s), SP_SPOOL_NEEDS_REPAIR);
    CHECK_INT(put3(s, ack, &nack), -SP_EIO); /* refused without a try */
    CHECK_INT(nack, 3);
    CHECK_INT(sp_spool_repair(s, &tq_err), 0);
    CHECK_INT(sp_spool_health(s), SP_SPOOL_OK);
    check_after_death(ack, nack); /* the refused frames are not in the log any more */
    CHECK_INT(put3(s, ack, &nack), 0);
    check_exactly(s, ack, nack);
    check_after_death(ack, nack);
    sp_spool_close(s);
    fault.only_wal = false;
    tq_clean();
}

TEST("control: without the repair the refused messages would come back from the log")
{
    struct sp_spool *s;
    uint64_t ack[100], found;
    size_t nack = 0;

    tq_new_dir();
    s = open_faulty();
    CHECK_INT(put3(s, ack, &nack), 0);
    fault.op = SYNC;
    fault.code = SQLITE_IOERR_FSYNC;
    fault.only_wal = true;
    fault.at = 0;
    CHECK_INT(put3(s, ack, &nack), -SP_EIO);
    fault.only_wal = false;
    sp_spool_close(s); /* in doubt: leaves the log alone */
    s = tq_open();
    found = tq_messages(s);
    CHECK(found > nack); /* what the test above would see if nobody repaired */
    sp_spool_close(s);
    tq_clean();
}

TEST("a failed sync of the database file is final until the spool is opened again")
{
    struct sp_spool *s;
    uint64_t ack[100];
    size_t nack = 0;

    tq_new_dir();
    s = open_faulty();
    CHECK_INT(put3(s, ack, &nack), 0);
    fault.op = SYNC;
    fault.code = SQLITE_IOERR_FSYNC;
    fault.only_db = true;
    fault.at = 0;
    CHECK_INT(sp_spool_idle(s, NOW, &tq_err), 0); /* the checkpoint runs into it */
    CHECK_INT(fault.at, -1);
    CHECK_INT(sp_spool_health(s), SP_SPOOL_FAILED);
    CHECK_INT(put3(s, ack, &nack), -SP_EIO);
    CHECK_INT(sp_spool_repair(s, &tq_err), -SP_EIO);
    check_after_death(ack, nack);
    sp_spool_close(s);
    fault.only_db = false;
    s = tq_open();
    check_exactly(s, ack, nack);
    sp_spool_close(s);
    tq_clean();
}

/* Each write, sync and truncate in turn, with each error. */
static void every_point(enum op op, int code, long *ret_points)
{
    bool hit = true;
    long n;

    for (n = 0; hit && n < 200; n++) {
        uint64_t ack[100];
        size_t nack = 0;
        struct sp_spool *s;

        tq_new_dir();
        s = open_faulty();
        fault.op = op;
        fault.code = code;
        fault.at = n;
        for (int i = 0; i < 4; i++) {
            (void)put3(s, ack, &nack);
            if (i % 2)
                (void)sp_spool_idle(s, NOW, &tq_err);
            if (sp_spool_health(s) == SP_SPOOL_NEEDS_REPAIR)
                (void)sp_spool_repair(s, &tq_err);
            if (sp_spool_health(s) == SP_SPOOL_FAILED) {
                sp_spool_close(s);
                s = open_faulty();
                CHECK(s != NULL);
            }
        }
        hit = fault.at < 0;
        fault.at = -1;
        check_exactly(s, ack, nack);
        CHECK_INT(sp_spool_health(s), SP_SPOOL_OK);
        CHECK(nack >= 6); /* one fault costs one batch or two, not the service */
        CHECK_INT(sp_spool_verify(s, &tq_err), 0);
        sp_spool_close(s);
        s = tq_open();
        check_exactly(s, ack, nack);
        sp_spool_close(s);
    }
    *ret_points += n - 1;
    tq_clean();
}

TEST("whichever write, sync or truncate fails: acknowledged stays, refused is gone")
{
    long points = 0;

    every_point(SYNC, SQLITE_IOERR_FSYNC, &points);
    every_point(WRITE, SQLITE_IOERR_WRITE, &points);
    every_point(WRITE, SQLITE_FULL, &points);
    every_point(TRUNCATE, SQLITE_IOERR_TRUNCATE, &points);
    CHECK(points > 20);
    printf("  %ld failure points\n", points);
}

/* ---- the disk is full --------------------------------------------------------------- */

/* Fills the spool until it is refused, makes room, goes on.  Exit status 0: as it must
 * be. */
static int fill_up(void (*room)(void))
{
    static uint64_t ack[20000];
    struct sp_spool *s = tq_open();
    size_t nack = 0, before;
    int rc = 0;

    if (!s)
        return 10;
    while (rc == 0 && nack < 19000)
        rc = put3(s, ack, &nack);
    if (rc != -SP_ENOSPC)
        return 11;
    for (int i = 0; i < 3; i++)
        if (put3(s, ack, &nack) == 0)
            break; /* a smaller hole may still fit */
    if (sp_spool_health(s) != SP_SPOOL_OK)
        return 12;
    before = nack;
    room();
    if (put3(s, ack, &nack) != 0 || nack != before + 3)
        return 13;
    check_exactly(s, ack, nack);
    sp_spool_close(s);
    s = tq_open();
    if (!s)
        return 14;
    check_exactly(s, ack, nack);
    if (sp_spool_verify(s, &tq_err) < 0)
        return 15;
    sp_spool_close(s);
    return t_bad ? 16 : 0;
}

static void lift_limit(void)
{
    struct rlimit r;

    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_FSIZE, &r);
}

static void remove_ballast(void)
{
    char path[100];

    snprintf(path, sizeof path, "%s/ballast", tq_dir);
    unlink(path);
}

static int in_child(int (*fn)(void))
{
    int status = -1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        int rc;

        t_bad = 0;
        rc = fn();
        fflush(stdout);
        _exit(rc);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static int limited_file(void)
{
    struct rlimit r;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_FSIZE, &r);
    return fill_up(lift_limit);
}

TEST("a file that may not grow: 452, the spool stays usable, nothing acknowledged is "
     "lost")
{
    tq_new_dir();
    CHECK_INT(in_child(limited_file), 0);
    tq_clean();
}

static int full_tmpfs(void)
{
    static char block[65536];
    char path[100];
    int fd;

    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", tq_dir, "tmpfs", 0, "size=3m,mode=700") < 0)
        return 77;
    snprintf(path, sizeof path, "%s/ballast", tq_dir);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    for (int i = 0; i < 16; i++)
        if (write(fd, block, sizeof block) != sizeof block)
            return 20;
    close(fd);
    return fill_up(remove_ballast);
}

TEST("a file system without room: 452, the spool stays usable, nothing acknowledged is "
     "lost")
{
    int rc;

    tq_new_dir();
    rc = in_child(full_tmpfs);
    if (rc == 77)
        printf("  not run: mounting is not permitted here\n");
    else
        CHECK_INT(rc, 0);
    tq_clean();
}

static int no_room_at_all(void)
{
    static char block[65536];
    struct sp_spool_options o = tq_options();
    struct sp_spool *s;
    char path[100];
    int fd, rc;

    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", tq_dir, "tmpfs", 0, "size=1m,mode=700") < 0)
        return 77;
    snprintf(path, sizeof path, "%s/ballast", tq_dir);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
    rc = sp_spool_open(tq_dir, &o, NOW, &s, &tq_err);
    if (rc != -SP_ENOSPC)
        printf("%d %s\n", rc, tq_err.text);
    if (rc != -SP_ENOSPC)
        return 21;
    remove_ballast();
    if (sp_spool_open(tq_dir, &o, NOW, &s, &tq_err) < 0)
        return 22;
    sp_spool_close(s);
    return 0;
}

TEST("opening on a full disk says so, and works when there is room")
{
    int rc;

    tq_new_dir();
    rc = in_child(no_room_at_all);
    CHECK(rc == 0 || rc == 77);
    if (rc)
        printf("  rc %d\n", rc);
    tq_clean();
}

/* ---- memory is short ------------------------------------------------------------------ */

static int no_view(void *arg, const struct sp_view *v)
{
    (void)arg;
    (void)v;
    return 0;
}

/* All that a queue does; each step may fail, none may crash or leak. */
static void life(struct sp_spool *s)
{
    Sp__QueueFilter f = SP__QUEUE_FILTER__INIT;
    struct sp_batch *b = sp_batch_new(s);
    struct sp_sched *sched = sp_sched_new();
    struct tq_env t = {0};
    struct tq_out out = {0};
    struct sp_job *j = NULL;
    struct sp_view *v = NULL;
    struct sp_plan *p = NULL;
    uint64_t m = 0;
    int i;

    tq_env(&t, "u", "u@x");
    tq_to(&t, "a@b");
    tq_to(&t, "a@c");
    t.e.submission_key = t.e.digest = tq_bin("k");
    i = b ? tq_add(b, &t, "text") : -1;
    if (i >= 0 && sp_spool_commit(s, b, NOW, &tq_err) == 0 && sched)
        m = sp_batch_result(b, i)->message;
    for (size_t k = 0; m && k < sp_batch_result(b, i)->nchange; k++)
        (void)sp_change_apply(&sp_batch_result(b, i)->change[k], sched);
    if (m && sp_spool_claim(s, m + 1, &j, &tq_err) == 0) {
        tq_out(&out, j->job, j->lease);
        tq_say(&out, 0, DELIVERED, 250, "ok");
        sp_batch_reset(b);
        if (sp_spool_plan(s, &out.o, NOW, &p, &tq_err) == 0 &&
            sp_batch_settle(b, p, &tq_err) == 0)
            (void)sp_spool_commit(s, b, NOW, &tq_err);
    }
    sp_job_free(j);
    sp_plan_free(p);
    if (m && sp_spool_find(s, m, &v, &tq_err) == 0)
        sp_view_free(v);
    (void)sp_spool_scan(s, &f, 0, NOW, no_view, NULL, &tq_err);
    f.domain = (char *)(uintptr_t) "c";
    (void)sp_spool_control_all(s, SP_CONTROL_REMOVE, &f, NOW, NULL, NULL, &tq_err);
    sp_sched_free(sched);
    sp_batch_free(b);
}

TEST("whichever allocation fails, nothing crashes and the spool goes on")
{
    long total;
    struct sp_spool *s = tq_fresh();

    sp_alloc_fail_at(-1, 0);
    life(s);
    total = sp_alloc_count();
    CHECK(total > 50);
    sp_spool_close(s);
    for (long n = 0; n < total; n++) {
        s = tq_fresh();
        sp_alloc_fail_at(n, 0);
        life(s);
        sp_alloc_fail_at(-1, 0);
        CHECK_INT(sp_spool_health(s), SP_SPOOL_OK);
        CHECK(tq_put(s, "u", "u@x", bob) != 0);
        sp_spool_close(s);
    }
    for (long n = 0; n < 20; n++) {
        struct sp_spool_options o = tq_options();

        sp_alloc_fail_at(n, 0);
        if (sp_spool_open(tq_dir, &o, NOW, &s, &tq_err) == 0)
            sp_spool_close(s);
        sp_alloc_fail_at(-1, 0);
    }
    tq_clean();
}

/* ---- rows are damaged -------------------------------------------------------------------- */

static const char *const columns[] = {
    "message.envelope", "message.prefix",   "message.content", "message.jobs",
    "message.size",     "message.file",     "message.user",    "message.created",
    "job.rcpt",         "job.state",        "job.message",     "job.status",
    "job.due",          "job.lease",        "job.attempts",    "job.domain",
    "job.user",         "history.envelope", "history.state",   "history.user",
    "history.finished", "submission.digest"};

/* Overwrites one column of one row with what only a broken disk would put there. */
static void damage(sqlite3 *h, unsigned long r)
{
    const char *col = columns[r % (sizeof columns / sizeof *columns)];
    int table = (int)strcspn(col, "."), kind = (int)(r / 100 % 6);
    char sql[200];
    sqlite3_stmt *st = NULL;
    unsigned char blob[300];
    int n = 0;

    snprintf(sql, sizeof sql, "SELECT %s,rowid FROM %.*s LIMIT 1 OFFSET %lu",
             col + table + 1, table, col, r / 1000 % 3);
    if (sqlite3_prepare_v2(h, sql, -1, &st, NULL) != SQLITE_OK) {
        /* WITHOUT ROWID */
        return;
    }
    if (sqlite3_step(st) == SQLITE_ROW) {
        sqlite3_int64 row = sqlite3_column_int64(st, 1);

        n = sqlite3_column_bytes(st, 0);
        n = n > 300 ? 300 : n;
        if (n)
            memcpy(blob, sqlite3_column_blob(st, 0), (size_t)n);
        sqlite3_finalize(st);
        for (int i = 0; n && i < 1 + kind; i++)
            blob[(unsigned)random() % (unsigned)n] = (unsigned char)random();
        snprintf(sql, sizeof sql, "UPDATE OR IGNORE %.*s SET %s=?1 WHERE rowid=%lld",
                 table, col, col + table + 1, row);
        CHECK_INT(sqlite3_prepare_v2(h, sql, -1, &st, NULL), SQLITE_OK);
        if (kind == 0)
            sqlite3_bind_int64(st, 1, (sqlite3_int64)random() << 32 | random());
        else if (kind == 1)
            sqlite3_bind_int64(st, 1, -(sqlite3_int64)(random() % 5));
        else if (kind == 2)
            sqlite3_bind_blob(st, 1, blob, n / 2, SQLITE_STATIC);
        else
            sqlite3_bind_blob(st, 1, blob, n, SQLITE_STATIC);
        (void)sqlite3_step(st);
    }
    sqlite3_finalize(st);
}

static void use_everything(struct sp_spool *s, const uint64_t *m)
{
    Sp__QueueFilter f = SP__QUEUE_FILTER__INIT;
    struct sp_sched *sched = sp_sched_new();
    struct sp_spool_counts c;

    (void)sp_spool_load(s, sched, &tq_err);
    sp_sched_free(sched);
    for (int i = 0; i < 3; i++)
        for (uint64_t k = 1; k <= 2; k++) {
            struct sp_job *j = NULL;
            struct sp_view *v = NULL;

            if (sp_spool_claim(s, m[i] + k, &j, &tq_err) == 0) {
                sp_job_free(j);
                (void)tq_settle(s, m[i] + k, 0, i ? RETRY : BOUNCE, NOW);
                sp_spool_unlease(s, m[i] + k);
            } else {
                CHECK(tq_err.text[0] != '\0');
            }
            j = NULL;
            if (sp_spool_message(s, m[i], &j, &tq_err) == 0)
                sp_job_free(j);
            if (sp_spool_find(s, m[i], &v, &tq_err) == 0)
                sp_view_free(v);
        }
    f.text = (char *)(uintptr_t) "went";
    (void)sp_spool_scan(s, &f, 0, NOW, no_view, NULL, &tq_err);
    (void)sp_spool_scan_history(s, &f, 0, NOW, no_view, NULL, &tq_err);
    (void)sp_spool_count(s, &c, &tq_err);
    sp__queue_filter__init(&f);
    (void)sp_spool_control_all(s, SP_CONTROL_HOLD, &f, NOW, NULL, NULL, &tq_err);
    (void)sp_spool_control_all(s, SP_CONTROL_REMOVE, &f, NOW, NULL, NULL, &tq_err);
    (void)sp_spool_idle(s, NOW + (1ull << 40), &tq_err);
}

TEST("damaged rows give errors for these rows, never a crash, and can be removed")
{
    static const char *const to[] = {"a@one.example", "b@two.example", "c@one.example",
                                     NULL};
    unsigned seed = 3;

    srandom(seed);
    for (int round = 0; round < 250; round++) {
        struct sp_spool *s = round % 50 ? tq_open() : tq_fresh();
        uint64_t m[3];

        for (int i = 0; i < 3; i++)
            m[i] = tq_put(s, "u", "u@x", to);
        CHECK(m[0] && m[1] && m[2]);
        (void)tq_settle(s, m[0] + 1, 0, RETRY, NOW);
        (void)tq_control(s, SP_CONTROL_REMOVE, tq_put(s, "u", "u@x", to), 0);
        for (int i = 0; i < 1 + round % 4; i++)
            damage(s->db.h, (unsigned long)random());
        use_everything(s, m);
        CHECK(tq_put(s, "u", "u@x", to) != 0);
        CHECK_INT(sp_spool_health(s), SP_SPOOL_OK);
        sp_spool_close(s);
    }
    tq_clean();
}

TEST("a damaged message says what is wrong with it, the others are served")
{
    struct sp_spool *s = tq_fresh();
    Sp__QueueFilter f = SP__QUEUE_FILTER__INIT;
    uint64_t m = tq_put(s, "u", "u@x", bob), n = tq_put(s, "u", "u@x", bob);
    struct sp_job *j = NULL;
    struct sp_view *v;
    char sql[100], want[100], id[SP_QID_MAX];

    snprintf(sql, sizeof sql, "UPDATE message SET envelope=x'ffff' WHERE id=%lld",
             (long long)m);
    CHECK_INT(sqlite3_exec(s->db.h, sql, NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(sp_spool_claim(s, m + 1, &j, &tq_err), -SP_EINPUT);
    sp_qid_format(m, id);
    snprintf(want, sizeof want, "message %s is damaged: the envelope cannot be read",
             id);
    CHECK_STR(tq_err.text, want);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0);
    CHECK(v->damaged && !v->env);
    sp_view_free(v);
    CHECK_INT(sp_spool_scan(s, &f, 0, NOW, no_view, NULL, &tq_err), 2);
    CHECK_INT(sp_spool_claim(s, n + 1, &j, &tq_err), 0);
    sp_job_free(j);
    CHECK_INT(tq_control(s, SP_CONTROL_REMOVE, m, 0), 250);
    CHECK_INT(tq_messages(s), 1);
    sp_spool_close(s);
    tq_clean();
}

T_MAIN
