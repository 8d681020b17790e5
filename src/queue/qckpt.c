/* qckpt.c - see qckpt.h. */
#include "qckpt.h"

#include "alloc.h"
#include "err.h"
#include "qdb.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FRAME = 8192 + 24 };
static const unsigned every = (4u << 20) / FRAME;     /* frames between two passes */
static const unsigned too_long = (64u << 20) / FRAME; /* then the writer helps ... */
static const unsigned little = (2u << 20) / FRAME;  /* ... if only this much is left */
static const unsigned limit = (128u << 20) / FRAME; /* then it does whatever is left */

enum want { NOTHING, PASS, TRUNCATE, STOP };

struct sp_qckpt {
    sqlite3 *writer, *own;
    int dbfd;
    bool threaded;
    pthread_t thread;
    pthread_mutex_t write; /* held by a commit and by a TRUNCATE */
    pthread_mutex_t m;     /* guards all below */
    pthread_cond_t wake, rested;
    enum want want;
    bool running;    /* the thread is at it */
    unsigned frames; /* in the log, behind the last commit */
    unsigned asked;  /* frames when the last pass was asked for */
    unsigned copied; /* frames that the last pass had copied */
    uint64_t passes;
    int failed; /* errno or SQLite code of the failed sync; 0: none */
    char why[80];
};

/*
 * A failed sync of the database file: the kernel has reported it once, marks the pages
 * clean and will not report it again, so a later sync that succeeds says nothing about
 * them.  The log still holds everything as long as it is not restarted.  Therefore this
 * is final for the running process: no more commits, no more checkpoints; the log stays as it is, and opening the
 * spool again copies all of it once more and syncs through new descriptors.
 */
static void fail(struct sp_qckpt *c, int code, const char *why)
{
    pthread_mutex_lock(&c->m);
    if (!c->failed) {
        c->failed = code;
        (void)snprintf(c->why, sizeof c->why, "%s", why);
    }
    pthread_mutex_unlock(&c->m);
}

/* One pass.  SQLITE_BUSY (a reader, or the other one of us two) means next time. */
static int pass(struct sp_qckpt *c, sqlite3 *h, int mode)
{
    int in_log = 0, copied = 0, rc;

    rc = sqlite3_wal_checkpoint_v2(h, NULL, mode, &in_log, &copied);
    if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
        return SQLITE_BUSY;
    if (rc != SQLITE_OK) {
        /* A full disk is no doubt about what was written: the pages that could not be
         * copied are still in the log, and so is the mark how far copying came. */
        if (sp_qdb_in_doubt(h, rc))
            fail(c, rc, sqlite3_errmsg(h));
        return rc;
    }
    if (fdatasync(c->dbfd) < 0) {
        fail(c, errno, strerror(errno));
        return SQLITE_IOERR_FSYNC;
    }
    pthread_mutex_lock(&c->m);
    c->copied = copied > 0 ? (unsigned)copied : 0;
    c->passes++;
    pthread_mutex_unlock(&c->m);
    return SQLITE_OK;
}

static void truncate_log(struct sp_qckpt *c, sqlite3 *h)
{
    /* The long part first, beside the writer; then the short one in its way. */
    if (pass(c, h, SQLITE_CHECKPOINT_PASSIVE) != SQLITE_OK)
        return;
    pthread_mutex_lock(&c->write);
    if (pass(c, h, SQLITE_CHECKPOINT_TRUNCATE) == SQLITE_OK) {
        pthread_mutex_lock(&c->m);
        c->frames = c->asked = c->copied = 0;
        pthread_mutex_unlock(&c->m);
    }
    pthread_mutex_unlock(&c->write);
}

static void *work(void *arg)
{
    struct sp_qckpt *c = arg;

    for (;;) {
        enum want want;

        pthread_mutex_lock(&c->m);
        while (c->want == NOTHING || (c->failed && c->want != STOP))
            pthread_cond_wait(&c->wake, &c->m);
        want = c->want;
        c->want = NOTHING;
        c->running = want != STOP;
        pthread_mutex_unlock(&c->m);
        if (want == STOP)
            return NULL;
        if (want == TRUNCATE)
            truncate_log(c, c->own);
        else
            (void)pass(c, c->own, SQLITE_CHECKPOINT_PASSIVE);
        pthread_mutex_lock(&c->m);
        c->running = false;
        pthread_cond_signal(&c->rested);
        pthread_mutex_unlock(&c->m);
    }
}

/* SQLite tells after each commit how long the log is. */
static int log_grew(void *arg, sqlite3 *h, const char *name, int frames)
{
    struct sp_qckpt *c = arg;

    (void)h;
    (void)name;
    pthread_mutex_lock(&c->m);
    c->frames = frames > 0 ? (unsigned)frames : 0;
    if (c->frames < c->asked || c->frames < c->copied)
        c->asked = c->copied = 0; /* it started again */
    pthread_mutex_unlock(&c->m);
    return SQLITE_OK;
}

static int start_thread(struct sp_qckpt *c, struct sp_err *err)
{
    sigset_t all, old;
    int rc;

    /* Signals belong to the event loop's thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&c->thread, NULL, work, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0) {
        c->threaded = true;
        return 0;
    }
    errno = rc;
    return sp_err_sys(err, SP_CLASS_BUG, SP_EAGAIN, "cannot start the checkpointer");
}

int sp_qckpt_start(struct sp_qckpt **ret, const char *path, const char *vfs, int dbfd,
                   sqlite3 *writer, bool thread, struct sp_err *err)
{
    struct sp_qckpt *c = sp_alloc(sizeof *c);
    int rc = 0;

    if (!c)
        return sp_err_nomem(err);
    c->writer = writer;
    c->dbfd = dbfd;
    pthread_mutex_init(&c->m, NULL);
    pthread_mutex_init(&c->write, NULL);
    pthread_cond_init(&c->wake, NULL);
    pthread_cond_init(&c->rested, NULL);
    if (thread)
        rc = sp_qdb_open_bare(&c->own, path, vfs, err);
    if (rc == 0 && c->own) {
        sqlite3_busy_timeout(c->own, 0);
        rc = start_thread(c, err);
    }
    if (rc < 0) {
        sp_qckpt_stop(c);
        return rc;
    }
    sqlite3_wal_hook(writer, log_grew, c);
    *ret = c;
    return 0;
}

static void ask(struct sp_qckpt *c, enum want want)
{
    if (c->want < want)
        c->want = want;
    pthread_cond_signal(&c->wake);
}

void sp_qckpt_stop(struct sp_qckpt *c)
{
    if (!c)
        return;
    if (c->threaded) {
        pthread_mutex_lock(&c->m);
        ask(c, STOP);
        pthread_mutex_unlock(&c->m);
        pthread_join(c->thread, NULL);
    }
    sqlite3_wal_hook(c->writer, NULL, NULL);
    sqlite3_close(c->own);
    pthread_cond_destroy(&c->wake);
    pthread_cond_destroy(&c->rested);
    pthread_mutex_destroy(&c->write);
    pthread_mutex_destroy(&c->m);
    sp_free(c);
}

void sp_qckpt_lock(struct sp_qckpt *c)
{
    pthread_mutex_lock(&c->write);
}

void sp_qckpt_unlock(struct sp_qckpt *c)
{
    pthread_mutex_unlock(&c->write);
}

void sp_qckpt_wrote(struct sp_qckpt *c)
{
    bool pass_due, help;

    pthread_mutex_lock(&c->m);
    pass_due = c->frames - c->asked >= every;
    help = c->frames > too_long && c->frames - c->copied <= little;
    if (pass_due) {
        c->asked = c->frames;
        if (c->threaded)
            ask(c, PASS);
    }
    if (c->frames > limit) { /* the disk cannot follow: the writer must wait for it */
        help = true;
        while (c->running)
            pthread_cond_wait(&c->rested, &c->m);
    }
    if (c->failed)
        pass_due = help = false;
    pthread_mutex_unlock(&c->m);
    if (help || (pass_due && !c->threaded))
        (void)pass(c, c->writer, SQLITE_CHECKPOINT_PASSIVE);
}

void sp_qckpt_idle(struct sp_qckpt *c)
{
    bool any;

    pthread_mutex_lock(&c->m);
    any = c->frames > 0 && !c->failed;
    if (any && c->threaded)
        ask(c, TRUNCATE);
    pthread_mutex_unlock(&c->m);
    if (any && !c->threaded)
        truncate_log(c, c->writer);
}

int sp_qckpt_full(struct sp_qckpt *c, struct sp_err *err)
{
    int in_log = 0, copied = 0, rc;

    if (sp_qckpt_failed(c, err))
        return -SP_EIO;
    pthread_mutex_lock(&c->write);
    rc = sqlite3_wal_checkpoint_v2(c->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, &in_log,
                                   &copied);
    if (rc == SQLITE_OK && fdatasync(c->dbfd) < 0) {
        fail(c, errno, strerror(errno));
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot sync spool.db");
    } else if (rc != SQLITE_OK) {
        if (sp_qdb_in_doubt(c->writer, rc))
            fail(c, rc, sqlite3_errmsg(c->writer));
        rc = sp_qdb_error(c->writer, rc, "checkpoint", err);
    } else {
        pthread_mutex_lock(&c->m);
        c->frames = c->asked = c->copied = 0;
        c->passes++;
        pthread_mutex_unlock(&c->m);
    }
    pthread_mutex_unlock(&c->write);
    return rc;
}

bool sp_qckpt_failed(struct sp_qckpt *c, struct sp_err *err)
{
    bool failed;

    pthread_mutex_lock(&c->m);
    failed = c->failed != 0;
    if (failed)
        (void)sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO,
                         "a sync of spool.db failed (%s): no commit until the spool is "
                         "opened again",
                         c->why);
    pthread_mutex_unlock(&c->m);
    return failed;
}

uint64_t sp_qckpt_log(struct sp_qckpt *c)
{
    uint64_t n;

    pthread_mutex_lock(&c->m);
    n = (uint64_t)c->frames * FRAME;
    pthread_mutex_unlock(&c->m);
    return n;
}

uint64_t sp_qckpt_passes(struct sp_qckpt *c)
{
    uint64_t n;

    pthread_mutex_lock(&c->m);
    n = c->passes;
    pthread_mutex_unlock(&c->m);
    return n;
}
