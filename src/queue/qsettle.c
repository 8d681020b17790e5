/* qsettle.c - what an outcome does, computed before it is stored.  See spool.h. */
#include "alloc.h"
#include "err.h"
#include "qint.h"

#include <string.h>

struct made {
    struct sp_plan pub; /* first: the caller sees only this */
    Sp__Envelope *env;
    Sp__JobState *state;
    struct sp_owed *owed;
    uint64_t received_ms, expire_ms, warn_ms;
    bool no_sender;
};

void sp_plan_free(struct sp_plan *p)
{
    struct made *m = (struct made *)p;

    if (!m)
        return;
    sp_qenv_free(m->env);
    sp_qstate_free(m->state);
    sp_free(m->owed);
    sp_free(m);
}

/* ---- the row --------------------------------------------------------------------------- */

static int damaged(struct sp_err *err, const struct made *m, const char *why)
{
    return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "message %s is damaged: %s",
                      m->pub.id, why);
}

static int take_rows(struct sp_spool *s, struct made *m, struct sp_err *err)
{
    sqlite3_stmt *j = s->db.st[SP_Q_JOB_GET], *h = s->db.st[SP_Q_MESSAGE_HEAD];
    const char *why;
    int rc;

    sqlite3_bind_int64(sp_qdb_stmt(&s->db, SP_Q_MESSAGE_HEAD), 1,
                       (sqlite3_int64)m->pub.message);
    rc = sp_qdb_step(&s->db, SP_Q_MESSAGE_HEAD, err);
    if (rc <= 0)
        return rc < 0 ? rc : damaged(err, m, "the job has no message");
    m->received_ms = sp_qdb_u64(h, 1);
    m->env = sp_qenv_unpack(sp_qdb_col(h, 5), sp_qdb_col(j, 7), &why);
    if (m->env)
        m->state = sp_qstate_unpack(sp_qdb_col(j, 8), m->env->n_rcpt, &why);
    sp_qdb_end(&s->db, SP_Q_MESSAGE_HEAD);
    return m->state ? 0 : damaged(err, m, why);
}

static int load(struct sp_spool *s, const Sp__Outcome *o, struct made *m,
                struct sp_err *err)
{
    sqlite3_stmt *j = sp_qdb_stmt(&s->db, SP_Q_JOB_GET);
    int rc;

    sqlite3_bind_int64(j, 1, (sqlite3_int64)o->job);
    rc = sp_qdb_step(&s->db, SP_Q_JOB_GET, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || sqlite3_column_int(j, 1) == SP_JOB_DONE) {
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "no such job");
    } else if (sp_qlease_get(&s->leased, o->job) != o->lease || o->lease == 0) {
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ESTATE, "this lease is over");
    } else {
        m->pub.job = o->job;
        m->pub.lease = o->lease;
        m->pub.message = sp_qdb_u64(j, 0);
        m->pub.attempts = (uint32_t)sqlite3_column_int(j, 4) + 1;
        sp_qid_format(m->pub.message, m->pub.id);
        rc = take_rows(s, m, err);
    }
    sp_qdb_end(&s->db, SP_Q_JOB_GET);
    return rc;
}

/* ---- times --------------------------------------------------------------------------------- */

static uint64_t later(uint64_t ms, uint64_t seconds)
{
    return seconds > (UINT64_MAX - ms) / 1000 ? UINT64_MAX : ms + seconds * 1000;
}

uint64_t sp_by_time(const Sp__Envelope *e, uint64_t received_ms)
{
    if (e->by_mode == SP__BY_MODE__BY_UNSET)
        return UINT64_MAX;
    return later(received_ms, e->by_seconds > 0 ? (uint64_t)e->by_seconds : 0);
}

static void set_times(const struct sp_retry *r, struct made *m)
{
    const Sp__Envelope *e = m->env;
    /* A message that was to wait has its life from then on: RFC 4865 5. */
    uint64_t born =
        e->hold_until_ms > m->received_ms ? e->hold_until_ms : m->received_ms;
    uint64_t by;

    m->no_sender = e->is_notice || e->reverse_path.len == 0;
    m->expire_ms = later(born, e->is_notice ? r->notice_lifetime_s : r->lifetime_s);
    m->warn_ms = r->delay_warning_s ? later(born, r->delay_warning_s) : UINT64_MAX;
    /* RFC 2852 4: a return time is a promise not to deliver later; a notify time is when
     * the sender hears that it is late, once. */
    by = sp_by_time(e, m->received_ms);
    if (e->by_mode == SP__BY_MODE__BY_RETURN && by < m->expire_ms)
        m->expire_ms = by;
    if (e->by_mode == SP__BY_MODE__BY_NOTIFY && by < m->warn_ms)
        m->warn_ms = by;
    /* It was under way when an administrator gave it up: what has arrived has arrived. */
    if (m->state->given_up_ms && m->state->given_up_ms < m->expire_ms)
        m->expire_ms = m->state->given_up_ms;
}

/* ---- one recipient ------------------------------------------------------------------------- */

static char *clipped(const char *s, size_t n)
{
    return sp_strndup(s, sp_qclip(s, n));
}

/* A bounded copy of what a delivery role says: its words end up in a row per recipient. */
static Sp__Attempt *copy_attempt(const Sp__Attempt *a, uint64_t now_ms)
{
    Sp__Attempt *c = sp_alloc(sizeof *c);

    if (!c)
        return NULL;
    sp__attempt__init(c);
    c->at_ms = a->at_ms && a->at_ms <= now_ms ? a->at_ms : now_ms;
    c->code = a->code <= 999 ? a->code : 0;
    c->enhanced = clipped(a->enhanced, 16);
    c->text = clipped(a->text, 1000);
    c->where = clipped(a->where, 300);
    c->stage = clipped(a->stage, 16);
    c->tls = clipped(a->tls, 100);
    if (c->enhanced && c->text && c->where && c->stage && c->tls)
        return c;
    sp__attempt__free_unpacked(c, &sp_qalloc);
    return NULL;
}

static int remember(Sp__RcptState *st, const Sp__Attempt *a, uint64_t now_ms)
{
    size_t drop = 0;
    Sp__Attempt **h;

    st->attempts++;
    if (!a)
        return 0;
    h = sp_realloc(st->history, (st->n_history + 1) * sizeof *h);
    if (!h)
        return -SP_ENOMEM;
    st->history = h;
    h[st->n_history] = copy_attempt(a, now_ms);
    if (!h[st->n_history])
        return -SP_ENOMEM;
    st->n_history++;
    if (st->n_history > SP_ATTEMPTS_KEPT)
        drop = st->n_history - SP_ATTEMPTS_KEPT;
    for (size_t i = 0; i < drop; i++)
        sp__attempt__free_unpacked(h[i], &sp_qalloc);
    memmove(h, h + drop, (st->n_history - drop) * sizeof *h);
    st->n_history -= drop;
    return 0;
}

static enum sp_rcpt_event event_of(const struct made *m, const Sp__RcptOutcome *o,
                                   const Sp__RcptState *st, uint64_t now_ms)
{
    if (o && o->action == SP__ACTION__ACTION_DELIVERED)
        return o->traced          ? SP_QEV_TRACED
               : o->dsn_passed_on ? SP_QEV_PASSED_ON
               : o->relayed       ? SP_QEV_RELAYED
                                  : SP_QEV_DELIVERED;
    if (o && o->action == SP__ACTION__ACTION_BOUNCE)
        return SP_QEV_BOUNCE;
    if (now_ms >= m->expire_ms)
        return SP_QEV_EXPIRE;
    return now_ms >= m->warn_ms && !st->delay_notice_sent ? SP_QEV_DELAYED
                                                          : SP_QEV_RETRY;
}

static int settle_one(struct made *m, uint32_t pos, const Sp__RcptOutcome *o,
                      uint64_t now_ms)
{
    Sp__RcptState *st = m->state->rcpt[pos];
    enum sp_rcpt_event ev = event_of(m, o, st, now_ms);
    const struct sp_rcpt_step *step = sp_rcpt_step(st->status, ev);
    enum sp_owed_kind owed;

    if (!step)
        return o ? -SP_EINPUT : 0; /* closed before: no outcome may name it */
    if (o && remember(st, o->attempt, now_ms) < 0)
        return -SP_ENOMEM;
    st->status = step->next;
    /* The NEVER of a notice of ours is said to other servers.  When it bounces here the
     * postmaster is still told: a double bounce. */
    owed = sp_notice_owed(step->notice,
                          m->env->is_notice ? 0 : m->env->rcpt[pos]->notify, m->no_sender);
    if (ev == SP_QEV_DELAYED)
        st->delay_notice_sent = true; /* also when nobody wants it: asked once */
    if (owed != SP_OWED_NONE)
        m->owed[m->pub.nowed++] = (struct sp_owed){.pos = pos, .notice = owed};
    return 0;
}

/* ---- the outcome ---------------------------------------------------------------------------- */

static uint32_t pos_of(const Sp__JobState *st, uint32_t index)
{
    size_t lo = 0, hi = st->n_rcpt;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (st->rcpt[mid]->index < index)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < st->n_rcpt && st->rcpt[lo]->index == index ? (uint32_t)lo : UINT32_MAX;
}

/* Which recipient is named by which part of the outcome; strangers, twins and unknown
 * actions end it before anything is changed. */
static int sort_out(const struct made *m, const Sp__Outcome *o,
                    const Sp__RcptOutcome **by)
{
    for (size_t i = 0; i < o->n_rcpt; i++) {
        uint32_t pos = pos_of(m->state, o->rcpt[i]->index);

        if (pos == UINT32_MAX || by[pos] ||
            (unsigned)o->rcpt[i]->action > SP__ACTION__ACTION_BOUNCE)
            return -SP_EINPUT;
        by[pos] = o->rcpt[i];
    }
    return 0;
}

static int apply(struct sp_spool *s, const Sp__Outcome *o, struct made *m,
                 uint64_t now_ms)
{
    size_t n = m->state->n_rcpt;
    const Sp__RcptOutcome **by = sp_alloc(n * sizeof(*by));
    bool open = false;
    int rc;

    m->owed = sp_alloc(n * sizeof *m->owed);
    rc = by && m->owed ? sort_out(m, o, by) : -SP_ENOMEM;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = settle_one(m, (uint32_t)i, by[i], now_ms);
        open |= m->state->rcpt[i]->status == SP__RCPT_STATUS__RCPT_QUEUED;
    }
    sp_free(by);
    m->pub.env = m->env;
    m->pub.state = m->state;
    m->pub.owed = m->owed;
    m->pub.finished = !open;
    m->pub.host_down = o->host_down;
    m->pub.due_ms = now_ms + sp_retry_pause(&s->o.retry, m->pub.attempts, m->pub.job);
    /* One last attempt when the time is up, not hours later. */
    if (m->pub.due_ms > m->expire_ms && m->expire_ms > now_ms)
        m->pub.due_ms = m->expire_ms;
    /* A time that the sender named is kept to the second: who waits hears of it then. */
    if (m->env->by_mode == SP__BY_MODE__BY_NOTIFY && m->pub.due_ms > m->warn_ms &&
        m->warn_ms > now_ms)
        m->pub.due_ms = m->warn_ms;
    return rc;
}

int sp_spool_plan(struct sp_spool *s, const Sp__Outcome *o, uint64_t now_ms,
                  struct sp_plan **ret, struct sp_err *err)
{
    struct made *m = sp_alloc(sizeof *m);
    int rc;

    if (!m)
        return sp_err_nomem(err);
    rc = load(s, o, m, err);
    if (rc == 0) {
        set_times(&s->o.retry, m);
        rc = apply(s, o, m, now_ms);
        if (rc == -SP_EINPUT)
            (void)sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                             "the outcome names a recipient that is not this job's, or "
                             "one twice, or one that is closed");
        else if (rc < 0)
            (void)sp_err_nomem(err);
    }
    if (rc < 0)
        sp_plan_free(&m->pub);
    else
        *ret = &m->pub;
    return rc;
}
