/* qread.c - jobs out of the spool: loading, claiming, leases.  See spool.h. */
#include "alloc.h"
#include "err.h"
#include "qint.h"

#include <string.h>
#include <unistd.h>

/* ---- all jobs, for the schedule ---------------------------------------------------- */

int sp_spool_jobs(struct sp_spool *s, sp_job_fn *fn, void *arg, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_JOBS_LOAD);
    int rc;

    while ((rc = sp_qdb_step(&s->db, SP_Q_JOBS_LOAD, err)) == 1) {
        rc = fn(arg, sp_qdb_u64(st, 0), sp_qdb_u64(st, 1), sp_qdb_u64(st, 3),
                sqlite3_column_int(st, 2) == SP_JOB_HELD, sp_qdb_col(st, 4),
                sp_qdb_col(st, 5), sqlite3_column_int(st, 6));
        if (rc)
            break;
    }
    sp_qdb_end(&s->db, SP_Q_JOBS_LOAD);
    return rc;
}

static int load_one(void *arg, uint64_t job, uint64_t message, uint64_t due_ms,
                    bool held, struct sp_str domain, struct sp_str user, int priority)
{
    int rc = sp_sched_add(arg, job, message, due_ms, held, domain, user);

    return rc == 0 && priority ? sp_sched_priority(arg, job, priority) : rc;
}

int sp_spool_load(struct sp_spool *s, struct sp_sched *sched, struct sp_err *err)
{
    int rc = sp_spool_jobs(s, load_one, sched, err);

    sp_qspool_lean(s);
    return rc == -SP_ENOMEM ? sp_err_nomem(err) : rc;
}

int sp_change_apply(const struct sp_change *c, struct sp_sched *sched)
{
    switch (c->kind) {
    case SP_CHANGE_NEW:
        return load_one(sched, c->job, c->message, c->due_ms, c->held, c->domain,
                        c->user, c->priority);
    case SP_CHANGE_RETRY:
        (void)sp_sched_retry(sched, c->job, c->due_ms);
        return 0;
    case SP_CHANGE_HELD:
        (void)sp_sched_hold(sched, c->job);
        return 0;
    case SP_CHANGE_RELEASED:
        (void)sp_sched_release(sched, c->job, c->due_ms);
        return 0;
    case SP_CHANGE_GONE:
        (void)sp_sched_done(sched, c->job);
        return 0;
    }
    return 0;
}

/* ---- one message, or the part of it that is a job ---------------------------------- */

struct loaded {
    struct sp_job pub; /* first: the caller sees only this */
    char *octets;      /* prefix, content, domain, user in one piece */
    uint32_t *index;
    Sp__JobState *state;
    size_t all_rcpt; /* env->rcpt has so many; pub.env->n_rcpt only the open ones */
};

void sp_job_free(struct sp_job *j)
{
    struct loaded *l = (struct loaded *)j;

    if (!l)
        return;
    if (l->pub.env)
        l->pub.env->n_rcpt = l->all_rcpt;
    sp_qenv_free(l->pub.env);
    sp_qstate_free(l->state);
    if (l->pub.fd >= 0)
        close(l->pub.fd);
    sp_free(l->octets);
    sp_free(l->index);
    sp_free(l);
}

static int damaged(struct sp_err *err, uint64_t message, const char *why)
{
    char id[SP_QID_MAX];

    sp_qid_format(message, id);
    if (strcmp(why, "out of memory") == 0)
        return sp_err_nomem(err);
    return sp_err_set(err, SP_CLASS_BUG, SP_EINPUT, "message %s is damaged: %s", id, why);
}

static struct sp_str keep(char **at, struct sp_str s)
{
    char *p = *at;

    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return (struct sp_str){p, s.n};
}

/* The row of SP_Q_MESSAGE_ALL and, for a job, of SP_Q_JOB_GET, both at their row. */
static int take_rows(struct sp_spool *s, struct loaded *l, bool job, struct sp_err *err)
{
    sqlite3_stmt *m = s->db.st[SP_Q_MESSAGE_ALL], *j = s->db.st[SP_Q_JOB_GET];
    struct sp_str none = {"", 0}, domain = job ? sp_qdb_col(j, 5) : none;
    struct sp_str user = sp_qdb_col(m, 4), prefix = sp_qdb_col(m, 6);
    struct sp_str content = sp_qdb_col(m, 7);
    bool file = sqlite3_column_type(m, 3) != SQLITE_NULL;
    const char *why = NULL;
    char *at;

    l->pub.env = sp_qenv_unpack(sp_qdb_col(m, 5), job ? sp_qdb_col(j, 7) : none, &why);
    if (!l->pub.env)
        return damaged(err, l->pub.message, why);
    l->all_rcpt = l->pub.env->n_rcpt;
    if (job)
        l->state = sp_qstate_unpack(sp_qdb_col(j, 8), l->all_rcpt, &why);
    if (why)
        return damaged(err, l->pub.message, why);
    if (l->state) {
        l->pub.state = l->state;
        l->pub.given_up = l->state->given_up_ms != 0;
        l->pub.route = l->state->route[0] ? l->state->route : NULL;
    }
    at = l->octets = sp_alloc(domain.n + user.n + prefix.n + content.n + 1);
    if (!at)
        return sp_err_nomem(err);
    l->pub.domain = keep(&at, domain);
    l->pub.user = keep(&at, user);
    l->pub.prefix = keep(&at, prefix);
    if (!file && content.n != l->pub.env->content_size)
        return damaged(err, l->pub.message, "the content has another length");
    if (!file) {
        l->pub.content = keep(&at, content);
        return 0;
    }
    l->pub.fd = sp_qbody_open(s, sp_qdb_u64(m, 3), l->pub.env->content_size, err);
    return l->pub.fd < 0 ? l->pub.fd : 0;
}

static int load(struct sp_spool *s, struct loaded *l, bool job, struct sp_err *err)
{
    int rc;

    sqlite3_bind_int64(sp_qdb_stmt(&s->db, SP_Q_MESSAGE_ALL), 1,
                       (sqlite3_int64)l->pub.message);
    rc = sp_qdb_step(&s->db, SP_Q_MESSAGE_ALL, err);
    if (rc == 0)
        return job ? damaged(err, l->pub.message, "the job has no message")
                   : sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "no such message");
    rc = rc < 0 ? rc : take_rows(s, l, job, err);
    sp_qdb_end(&s->db, SP_Q_MESSAGE_ALL);
    return rc;
}

static struct loaded *new_loaded(void)
{
    struct loaded *l = sp_alloc(sizeof *l);

    if (l)
        l->pub.fd = -1;
    return l;
}

int sp_spool_message(struct sp_spool *s, uint64_t message, struct sp_job **ret,
                     struct sp_err *err)
{
    struct loaded *l = new_loaded();
    int rc;

    if (!l)
        return sp_err_nomem(err);
    l->pub.message = message;
    sp_qid_format(message, l->pub.id);
    rc = load(s, l, false, err);
    if (rc < 0)
        sp_job_free(&l->pub);
    else
        *ret = &l->pub;
    return rc;
}

/* The open recipients to the front, their indexes beside them. */
static int only_open(struct loaded *l, struct sp_err *err)
{
    Sp__Recipient **r = l->pub.env->rcpt, *t;
    size_t n = 0;

    l->index = sp_alloc(l->all_rcpt * sizeof *l->index);
    if (!l->index)
        return sp_err_nomem(err);
    for (size_t i = 0; i < l->all_rcpt; i++) {
        if (l->state->rcpt[i]->status != SP__RCPT_STATUS__RCPT_QUEUED)
            continue;
        l->index[n] = l->state->rcpt[i]->index;
        t = r[n];
        r[n++] = r[i];
        r[i] = t;
    }
    l->pub.env->n_rcpt = n;
    l->pub.index = l->index;
    return n ? 0
             : damaged(err, l->pub.message, "an open job without an open recipient");
}

static int claim_row(struct sp_spool *s, struct loaded *l, struct sp_err *err)
{
    sqlite3_stmt *st = s->db.st[SP_Q_JOB_GET];
    int status = sqlite3_column_int(st, 1), rc;

    l->pub.message = sp_qdb_u64(st, 0);
    sp_qid_format(l->pub.message, l->pub.id);
    l->pub.attempt = (uint32_t)sqlite3_column_int(st, 4) + 1;
    if (status == SP_JOB_DONE)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "the job is done");
    if (sp_job_step((enum sp_job_status)status, SP_JEV_CLAIM) < 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_ESTATE, "the job is held");
    rc = load(s, l, true, err);
    if (rc == 0)
        rc = only_open(l, err);
    if (rc < 0)
        return rc;
    l->pub.lease = sp_spool_lease(s, l->pub.job);
    l->pub.leased = true;
    return l->pub.lease ? 0 : sp_err_nomem(err);
}

int sp_spool_claim(struct sp_spool *s, uint64_t job, struct sp_job **ret,
                   struct sp_err *err)
{
    struct loaded *l;
    int rc;

    if (sp_qlease_get(&s->leased, job))
        return sp_err_set(err, SP_CLASS_BUG, SP_ESTATE, "the job has a lease already");
    l = new_loaded();
    if (!l)
        return sp_err_nomem(err);
    l->pub.job = job;
    sqlite3_bind_int64(sp_qdb_stmt(&s->db, SP_Q_JOB_GET), 1, (sqlite3_int64)job);
    rc = sp_qdb_step(&s->db, SP_Q_JOB_GET, err);
    if (rc == 0)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "no such job");
    else if (rc == 1)
        rc = claim_row(s, l, err);
    sp_qdb_end(&s->db, SP_Q_JOB_GET);
    if (rc < 0)
        sp_job_free(&l->pub);
    else
        *ret = &l->pub;
    return rc;
}

/* ---- leases ------------------------------------------------------------------------- */

uint64_t sp_spool_lease(struct sp_spool *s, uint64_t job)
{
    uint64_t lease = s->epoch << 32 | (s->leases_given + 1);

    if (sp_qlease_get(&s->leased, job) || s->leases_given == UINT32_MAX - 1)
        return 0;
    if (sp_qlease_put(&s->leased, job, lease) < 0)
        return 0;
    s->leases_given++;
    return lease;
}

void sp_spool_unlease(struct sp_spool *s, uint64_t job)
{
    sp_qlease_drop(&s->leased, job);
}

uint64_t sp_spool_leased(const struct sp_spool *s, uint64_t job)
{
    return sp_qlease_get(&s->leased, job);
}

int sp_spool_adopt(struct sp_spool *s, uint64_t job, uint64_t lease, struct sp_err *err)
{
    uint64_t mine = sp_qlease_get(&s->leased, job), stored;
    int rc, status;

    if (mine == lease && lease)
        return 0;
    sqlite3_bind_int64(sp_qdb_stmt(&s->db, SP_Q_JOB_STATE), 1, (sqlite3_int64)job);
    rc = sp_qdb_step(&s->db, SP_Q_JOB_STATE, err);
    if (rc < 0)
        return rc;
    status = rc == 1 ? sqlite3_column_int(s->db.st[SP_Q_JOB_STATE], 1) : SP_JOB_DONE;
    stored = rc == 1 ? sp_qdb_u64(s->db.st[SP_Q_JOB_STATE], 2) : 0;
    sp_qdb_end(&s->db, SP_Q_JOB_STATE);
    if (status == SP_JOB_DONE)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "no such job");
    /* Of an earlier run of ours, and its outcome has not been stored. */
    if (mine || lease >> 32 >= s->epoch || lease <= stored)
        return sp_err_set(err, SP_CLASS_PEER, SP_ESTATE, "not a lease that is out");
    return sp_qlease_put(&s->leased, job, lease) < 0 ? sp_err_nomem(err) : 0;
}
