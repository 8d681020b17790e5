/* qview.c - looking at messages: find, scan, filters, the history.  See spool.h. */
#include "alloc.h"
#include "err.h"
#include "qint.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct seen {
    struct sp_view pub; /* first: the caller sees only this */
    char *user;
    Sp__Envelope *env; /* rcpt is an array of ours, see sp_view_free() */
    Sp__Recipient **rcpt;
    struct sp_view_rcpt *row;
    size_t cap;
    struct part {
        Sp__Envelope *rcpt;
        Sp__JobState *state;
    } * part;
    size_t nparts, parts_cap;
    uint64_t jobs, file;
    struct sp_err lost; /* why there is no content */
};

void sp_view_free(struct sp_view *v)
{
    struct seen *w = (struct seen *)v;

    if (!w)
        return;
    if (w->env && w->rcpt) {
        w->env->n_rcpt = 0;
        w->env->rcpt = NULL;
    }
    sp_qenv_free(w->env);
    for (size_t i = 0; i < w->nparts; i++) {
        sp_qenv_free(w->part[i].rcpt);
        sp_qstate_free(w->part[i].state);
    }
    sp_free(w->part);
    sp_free(w->rcpt);
    sp_free(w->row);
    sp_free(w->user);
    sp_free(w);
}

/* ---- putting a view together -------------------------------------------------------- */

static int more_rows(struct seen *w, size_t n)
{
    size_t want = w->pub.nrcpt + n, cap = w->cap ? w->cap : 4;
    struct sp_view_rcpt *p;

    if (want <= w->cap)
        return 0;
    while (cap < want)
        cap *= 2;
    p = sp_realloc(w->row, cap * sizeof *p);
    if (!p)
        return -SP_ENOMEM;
    w->row = p;
    w->cap = cap;
    return 0;
}

/* Takes over env and state, also when it fails. */
static int add_part(struct seen *w, Sp__Envelope *env, Sp__JobState *state,
                    const struct sp_view_rcpt *like)
{
    if (w->nparts == w->parts_cap) {
        size_t cap = w->parts_cap ? w->parts_cap * 2 : 2;
        struct part *p = sp_realloc(w->part, cap * sizeof *p);

        if (!p) {
            sp_qenv_free(env);
            sp_qstate_free(state);
            return -SP_ENOMEM;
        }
        w->part = p;
        w->parts_cap = cap;
    }
    w->part[w->nparts++] = (struct part){env, state};
    if (more_rows(w, env->n_rcpt) < 0)
        return -SP_ENOMEM;
    for (size_t i = 0; i < env->n_rcpt; i++) {
        struct sp_view_rcpt *r = &w->row[w->pub.nrcpt++];

        *r = *like;
        r->rcpt = env->rcpt[i];
        r->state = state->rcpt[i];
    }
    return 0;
}

/* A job row, at its row. */
static int add_job(struct sp_spool *s, struct seen *w)
{
    sqlite3_stmt *st = s->db.st[SP_Q_JOBS_OF];
    struct sp_str rcpt = sp_qdb_col(st, 7), state = sp_qdb_col(st, 8);
    struct sp_view_rcpt like = {.job = sp_qdb_u64(st, 0), .due_ms = sp_qdb_u64(st, 2)};
    Sp__Envelope *e;
    Sp__JobState *j;
    const char *why;

    like.held = sqlite3_column_int(st, 1) == SP_JOB_HELD;
    like.leased = sp_qlease_get(&s->leased, like.job) != 0;
    e = sp__envelope__unpack(&sp_qalloc, rcpt.n, (const uint8_t *)rcpt.p);
    if (!e) {
        w->pub.damaged = "the recipients of a job cannot be read";
        return 0;
    }
    j = sp_qstate_unpack(state, e->n_rcpt, &why);
    if (!j) {
        w->pub.damaged = why;
        sp_qenv_free(e);
        return 0;
    }
    like.route = j->route[0] ? j->route : NULL;
    return add_part(w, e, j, &like);
}

static int by_index(const void *a, const void *b)
{
    uint32_t x = ((const struct sp_view_rcpt *)a)->state->index;
    uint32_t y = ((const struct sp_view_rcpt *)b)->state->index;

    return x < y ? -1 : x > y;
}

static int finish_view(struct seen *w)
{
    if (w->pub.nrcpt)
        qsort(w->row, w->pub.nrcpt, sizeof *w->row, by_index);
    w->pub.rcpt = w->row;
    if (!w->env)
        return 0;
    w->rcpt = sp_alloc(w->pub.nrcpt * sizeof(*w->rcpt));
    if (!w->rcpt)
        return -SP_ENOMEM;
    for (size_t i = 0; i < w->pub.nrcpt; i++)
        w->rcpt[i] = (Sp__Recipient *)w->row[i].rcpt;
    w->env->rcpt = w->rcpt;
    w->env->n_rcpt = w->pub.nrcpt;
    w->pub.env = w->env;
    return 0;
}

static int take_head(struct sp_spool *s, struct seen *w)
{
    sqlite3_stmt *st = s->db.st[SP_Q_MESSAGE_HEAD];
    struct sp_str user = sp_qdb_col(st, 4), none = {"", 0};

    w->jobs = sp_qdb_u64(st, 0);
    w->pub.created_ms = sp_qdb_u64(st, 1);
    w->pub.size = sp_qdb_u64(st, 2);
    w->file = sp_qdb_u64(st, 3);
    w->user = sp_strndup(user.p, user.n);
    w->pub.user = (struct sp_str){w->user, user.n};
    w->env = sp_qenv_unpack(sp_qdb_col(st, 5), none, &w->pub.damaged);
    if (w->env && w->env->n_rcpt) {
        w->pub.damaged = "the envelope has recipients of its own";
        sp_qenv_free(w->env);
        w->env = NULL;
    }
    return w->user ? 0 : -SP_ENOMEM;
}

/* Is the file that delivery needs there? */
static void look_at_content(struct sp_spool *s, struct seen *w)
{
    int fd;

    if (!w->file || !w->pub.env || w->pub.damaged)
        return;
    fd = sp_qbody_open(s, w->file, w->pub.env->content_size, &w->lost);
    if (fd >= 0)
        close(fd);
    else if (fd == -SP_EINPUT)
        w->pub.damaged = w->lost.text;
}

/* A live message: 1, none 0, or an error. */
static int view_live(struct sp_spool *s, struct seen *w, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_MESSAGE_HEAD);
    int rc;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)w->pub.message);
    rc = sp_qdb_step(&s->db, SP_Q_MESSAGE_HEAD, err);
    if (rc != 1)
        return rc;
    rc = take_head(s, w);
    sp_qdb_end(&s->db, SP_Q_MESSAGE_HEAD);
    if (rc < 0)
        return sp_err_nomem(err);
    st = sp_qdb_stmt(&s->db, SP_Q_JOBS_OF);
    sqlite3_bind_int64(st, 1, (sqlite3_int64)w->pub.message);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)sp_qjob_last(w->pub.message, w->jobs));
    while ((rc = sp_qdb_step(&s->db, SP_Q_JOBS_OF, err)) == 1)
        if (add_job(s, w) < 0)
            break;
    sp_qdb_end(&s->db, SP_Q_JOBS_OF);
    if (rc < 0)
        return rc;
    if (rc == 1 || finish_view(w) < 0)
        return sp_err_nomem(err);
    look_at_content(s, w);
    return 1;
}

static int take_history(struct sp_spool *s, struct seen *w)
{
    sqlite3_stmt *st = s->db.st[SP_Q_HISTORY_GET];
    struct sp_str user = sp_qdb_col(st, 3), none = {"", 0}, blob = sp_qdb_col(st, 5);
    struct sp_view_rcpt like = {0};
    Sp__Envelope *e;
    Sp__JobState *state;
    const char *why = NULL;

    w->pub.finished = true;
    w->pub.created_ms = sp_qdb_u64(st, 0);
    w->pub.finished_ms = sp_qdb_u64(st, 1);
    w->pub.size = sp_qdb_u64(st, 2);
    w->user = sp_strndup(user.p, user.n);
    w->pub.user = (struct sp_str){w->user, user.n};
    if (!w->user)
        return -SP_ENOMEM;
    e = sp_qenv_unpack(sp_qdb_col(st, 4), none, &why);
    state = e ? sp_qstate_unpack(blob, e->n_rcpt, &why) : NULL;
    w->pub.damaged = why;
    if (!state) {
        sp_qenv_free(e);
        return 0;
    }
    if (add_part(w, e, state, &like) < 0)
        return -SP_ENOMEM;
    w->pub.rcpt = w->row; /* stored in the envelope's order */
    w->pub.env = e;
    return 0;
}

static int view_history(struct sp_spool *s, struct seen *w, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_HISTORY_GET);
    int rc;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)w->pub.message);
    rc = sp_qdb_step(&s->db, SP_Q_HISTORY_GET, err);
    if (rc != 1)
        return rc;
    rc = take_history(s, w);
    sp_qdb_end(&s->db, SP_Q_HISTORY_GET);
    return rc < 0 ? sp_err_nomem(err) : 1;
}

typedef int view_fn(struct sp_spool *s, struct seen *w, struct sp_err *err);

static int view(struct sp_spool *s, uint64_t message, view_fn *fn, struct sp_view **ret,
                struct sp_err *err)
{
    struct seen *w = sp_alloc(sizeof *w);
    int rc;

    if (!w)
        return sp_err_nomem(err);
    w->pub.message = message;
    sp_qid_format(message, w->pub.id);
    rc = message > INT64_MAX ? 0 : fn(s, w, err);
    if (rc == 1)
        *ret = &w->pub;
    else
        sp_view_free(&w->pub);
    return rc;
}

int sp_spool_find(struct sp_spool *s, uint64_t message, struct sp_view **ret,
                  struct sp_err *err)
{
    int rc = view(s, message, view_live, ret, err);

    if (rc == 0)
        rc = view(s, message, view_history, ret, err);
    if (rc == 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "no such message");
    return rc < 0 ? rc : 0;
}

/* ---- the filter ----------------------------------------------------------------------- */

enum state_filter { ANY, QUEUED, HELD, DEFERRED, ACTIVE, UNKNOWN };

static enum state_filter state_filter(const char *s)
{
    static const char *const names[] = {"", "queued", "held", "deferred", "active"};

    for (int i = ANY; i < UNKNOWN; i++)
        if (strcmp(s, names[i]) == 0)
            return (enum state_filter)i;
    return UNKNOWN;
}

static struct sp_str view_of(ProtobufCBinaryData d)
{
    return (struct sp_str){(const char *)d.data, d.len};
}

static bool in_state(const struct sp_view_rcpt *r, enum state_filter want)
{
    bool open = r->state->status == SP__RCPT_STATUS__RCPT_QUEUED;

    switch (want) {
    case ANY:
        return true;
    case QUEUED:
        return open && !r->held;
    case HELD:
        return open && r->held;
    case DEFERRED:
        return open && !r->held && !r->leased && r->state->attempts > 0;
    case ACTIVE:
        return r->leased;
    case UNKNOWN:
        break;
    }
    return false;
}

static bool has_words(const Sp__RcptState *st, const char *words)
{
    for (size_t i = 0; i < st->n_history; i++)
        if (strcasestr(st->history[i]->text, words))
            return true;
    return false;
}

static bool at_domain(struct sp_str address, const char *domain)
{
    const char *at = memrchr(address.p ? address.p : "", '@', address.n);

    return at && sp_str_caseis(
                     (struct sp_str){at + 1, (size_t)(address.p + address.n - at - 1)},
                     domain);
}

static bool rcpt_matches(const struct sp_view_rcpt *r, const Sp__QueueFilter *f)
{
    struct sp_str address = view_of(r->rcpt->address);

    return (!f->recipient[0] || sp_str_caseis(address, f->recipient)) &&
           (!f->domain[0] || at_domain(address, f->domain)) &&
           in_state(r, state_filter(f->state)) &&
           (!f->text[0] || has_words(r->state, f->text));
}

/* "<>" finds the null reverse-path. */
static bool message_matches(const struct sp_view *v, const Sp__QueueFilter *f,
                            uint64_t now_ms)
{
    uint64_t age_s = now_ms > v->created_ms ? (now_ms - v->created_ms) / 1000 : 0;

    if ((f->older_than_s && age_s < f->older_than_s) ||
        (f->newer_than_s && age_s >= f->newer_than_s))
        return false;
    if (f->user[0] && !sp_str_is(v->user, f->user))
        return false;
    if (!f->sender[0])
        return true;
    if (!v->env)
        return false;
    if (strcmp(f->sender, "<>") == 0)
        return v->env->reverse_path.len == 0;
    return sp_str_caseis(view_of(v->env->reverse_path), f->sender);
}

static bool matches(struct seen *w, const Sp__QueueFilter *f, uint64_t now_ms)
{
    bool per_rcpt = f->recipient[0] || f->domain[0] || f->state[0] || f->text[0];
    bool some = !per_rcpt;

    if (!message_matches(&w->pub, f, now_ms))
        return false;
    for (size_t i = 0; per_rcpt && i < w->pub.nrcpt; i++) {
        w->row[i].other = !rcpt_matches(&w->row[i], f);
        some |= !w->row[i].other;
    }
    return some;
}

/* ---- scanning --------------------------------------------------------------------------- */

enum { PIECE = 256 };

static int next_ids(struct sp_spool *s, enum sp_qstmt q, uint64_t after, uint64_t *id,
                    struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, q);
    int n = 0, rc;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)after);
    while ((rc = sp_qdb_step(&s->db, q, err)) == 1 && n < PIECE)
        id[n++] = sp_qdb_u64(st, 0);
    sp_qdb_end(&s->db, q);
    return rc < 0 ? rc : n;
}

struct scan {
    enum sp_qstmt next;
    view_fn *look;
    sp_view_fn *fn;
    void *arg;
    const Sp__QueueFilter *f;
    uint64_t now_ms, limit;
    int found;
};

/* 1: the caller has enough. */
static int scan_one(struct sp_spool *s, struct scan *c, uint64_t id, struct sp_err *err)
{
    struct sp_view *v = NULL;
    int rc = view(s, id, c->look, &v, err);

    if (rc <= 0)
        return rc;
    rc = 0;
    if (matches((struct seen *)v, c->f, c->now_ms)) {
        c->found++;
        rc = c->fn(c->arg, v);
    }
    sp_view_free(v);
    return rc ? (rc < 0 ? rc : 1) : c->limit && (uint64_t)c->found >= c->limit;
}

static int scan(struct sp_spool *s, struct scan *c, uint64_t after, struct sp_err *err)
{
    uint64_t id[PIECE], one;
    int n, rc = 0;

    if (state_filter(c->f->state) == UNKNOWN)
        return sp_err_set(
            err, SP_CLASS_PEER, SP_EINPUT,
            "unknown state: queued, held, deferred or active is possible");
    c->limit = c->f->limit;
    if (c->f->id[0]) {
        if (sp_qid_parse(sp_str(c->f->id), &one) < 0)
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "this is not a queue id");
        rc = one > after ? scan_one(s, c, one, err) : 0;
        return rc < 0 ? rc : c->found;
    }
    do {
        n = next_ids(s, c->next, after, id, err);
        for (int i = 0; i < n && rc == 0; i++)
            rc = scan_one(s, c, after = id[i], err);
    } while (n == PIECE && rc == 0);
    return n < 0 ? n : rc < 0 ? rc : c->found;
}

int sp_spool_scan(struct sp_spool *s, const Sp__QueueFilter *f, uint64_t after,
                  uint64_t now_ms, sp_view_fn *fn, void *arg, struct sp_err *err)
{
    struct scan c = {.next = SP_Q_MESSAGE_NEXT,
                     .look = view_live,
                     .fn = fn,
                     .arg = arg,
                     .f = f,
                     .now_ms = now_ms};

    return scan(s, &c, after, err);
}

int sp_spool_scan_history(struct sp_spool *s, const Sp__QueueFilter *f, uint64_t after,
                          uint64_t now_ms, sp_view_fn *fn, void *arg,
                          struct sp_err *err)
{
    struct scan c = {.next = SP_Q_HISTORY_NEXT,
                     .look = view_history,
                     .fn = fn,
                     .arg = arg,
                     .f = f,
                     .now_ms = now_ms};

    return scan(s, &c, after, err);
}

/* ---- hold, release ... all that match ------------------------------------------------------ */

struct target {
    uint64_t message, job;
};
struct pick {
    struct target *t;
    size_t n, cap;
    uint64_t last; /* message taken */
    const Sp__QueueFilter *f;
    int messages;
};

static int pick_one(struct pick *p, uint64_t message, uint64_t job)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : SP_BATCH_MESSAGES;
        struct target *t = sp_realloc(p->t, cap * sizeof *t);

        if (!t)
            return -SP_ENOMEM;
        p->t = t;
        p->cap = cap;
    }
    p->t[p->n++] = (struct target){message, job};
    return 0;
}

/* The jobs of the message that have a matching recipient that is still open. */
static int pick_jobs(void *arg, const struct sp_view *v)
{
    struct pick *p = arg;
    const Sp__QueueFilter *f = p->f;
    int rc = 0;

    if (p->n >= SP_BATCH_MESSAGES)
        return 1;
    if (!f->recipient[0] && !f->domain[0] && !f->state[0] && !f->text[0])
        rc = pick_one(p, v->message, 0);
    else
        for (size_t i = 0; rc == 0 && i < v->nrcpt; i++)
            if (v->rcpt[i].state->status == SP__RCPT_STATUS__RCPT_QUEUED &&
                !v->rcpt[i].other)
                rc = pick_one(p, v->message, v->rcpt[i].job);
    p->last = v->message;
    p->messages++;
    return rc;
}

static int by_job(const void *a, const void *b)
{
    const struct target *x = a, *y = b;

    if (x->message != y->message)
        return x->message < y->message ? -1 : 1;
    return x->job < y->job ? -1 : x->job > y->job;
}

static int control_batch(struct sp_spool *s, struct sp_batch *b, uint64_t now_ms,
                         sp_change_fn *fn, void *arg, struct sp_err *err)
{
    int rc = sp_spool_commit(s, b, now_ms, err);

    for (size_t i = 0; rc == 0 && fn && i < sp_batch_items(b); i++) {
        const struct sp_result *r = sp_batch_result(b, (int)i);

        for (size_t k = 0; k < r->nchange; k++)
            fn(arg, &r->change[k]);
    }
    sp_batch_reset(b);
    return rc;
}

/* What is done to all of them; route only with SP_CONTROL_REROUTE. */
struct deed {
    enum sp_control c;
    const char *route;
};

static int control_some(struct sp_spool *s, struct sp_batch *b, const struct deed *d,
                        struct pick *p, uint64_t now_ms, sp_change_fn *fn, void *arg,
                        struct sp_err *err)
{
    int rc = 0;

    qsort(p->t, p->n, sizeof *p->t, by_job);
    for (size_t i = 0; rc >= 0 && i < p->n; i++) {
        if (i > 0 && by_job(&p->t[i - 1], &p->t[i]) == 0)
            continue;
        if (sp_batch_full(b))
            rc = control_batch(s, b, now_ms, fn, arg, err);
        if (rc >= 0)
            rc = d->route
                     ? sp_batch_reroute(b, d->route, p->t[i].message, p->t[i].job, err)
                     : sp_batch_control(b, d->c, p->t[i].message, p->t[i].job, err);
    }
    return rc < 0 ? rc : control_batch(s, b, now_ms, fn, arg, err);
}

static int do_all(struct sp_spool *s, const struct deed *d, const Sp__QueueFilter *f,
                  uint64_t now_ms, sp_change_fn *fn, void *arg, struct sp_err *err)
{
    struct sp_batch *b = sp_batch_new(s);
    struct pick p = {.f = f};
    Sp__QueueFilter piece = *f;
    int rc = 0;

    if (!b)
        return sp_err_nomem(err);
    do {
        p.n = 0;
        if (f->limit && (uint64_t)p.messages >= f->limit)
            break;
        piece.limit = f->limit ? f->limit - (uint64_t)p.messages : 0;
        rc = sp_spool_scan(s, &piece, p.last, now_ms, pick_jobs, &p, err);
        if (rc == -SP_ENOMEM)
            (void)sp_err_nomem(err);
        if (rc >= 0 && p.n)
            rc = control_some(s, b, d, &p, now_ms, fn, arg, err);
    } while (rc >= 0 && p.n);
    sp_free(p.t);
    sp_batch_free(b);
    return rc < 0 ? rc : p.messages;
}

int sp_spool_control_all(struct sp_spool *s, enum sp_control c,
                         const Sp__QueueFilter *f, uint64_t now_ms, sp_change_fn *fn,
                         void *arg, struct sp_err *err)
{
    return do_all(s, &(struct deed){.c = c}, f, now_ms, fn, arg, err);
}

int sp_spool_reroute_all(struct sp_spool *s, const char *route,
                         const Sp__QueueFilter *f, uint64_t now_ms, sp_change_fn *fn,
                         void *arg, struct sp_err *err)
{
    return do_all(s, &(struct deed){.c = SP_CONTROL_REROUTE, .route = route}, f, now_ms,
                  fn, arg, err);
}

/* ---- the history ---------------------------------------------------------------------------- */

static int drop_rows(struct sp_spool *s, const struct seen *w, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_JOBS_DROP);
    int rc;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)w->pub.message);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)sp_qjob_last(w->pub.message, w->jobs));
    rc = sp_qdb_step(&s->db, SP_Q_JOBS_DROP, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_int64(sp_qdb_stmt(&s->db, SP_Q_MESSAGE_DROP), 1,
                       (sqlite3_int64)w->pub.message);
    return sp_qdb_step(&s->db, SP_Q_MESSAGE_DROP, err);
}

/* What is worth keeping: who, to whom, and how it ended. */
static void short_envelope(const struct seen *w, Sp__Envelope *e)
{
    sp__envelope__init(e);
    e->version = SP_ENVELOPE_VERSION;
    e->n_rcpt = w->env->n_rcpt;
    e->rcpt = w->env->rcpt;
    e->received_ms = w->env->received_ms;
    e->reverse_path = w->env->reverse_path;
    e->message_id = w->env->message_id;
    e->session = w->env->session;
    e->client_address = w->env->client_address;
    e->is_notice = w->env->is_notice;
    e->notice_for = w->env->notice_for;
}

/* One recipient's end: its last attempt only, its words cut.  Changes the view's own
 * copy, which dies right after. */
static void shorten(Sp__RcptState *st)
{
    if (st->n_history > 1) {
        Sp__Attempt *last = st->history[st->n_history - 1];

        st->history[st->n_history - 1] = st->history[0];
        st->history[0] = last;
    }
    if (st->n_history) {
        Sp__Attempt *a = st->history[0];

        if (a->text[0]) /* protobuf-c's empty string is a constant */
            a->text[sp_qclip(a->text, 250)] = '\0';
    }
}

static int store_history(struct sp_spool *s, const struct seen *w, struct sp_str env,
                         struct sp_str state, uint64_t now_ms, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&s->db, SP_Q_HISTORY_ADD);

    sqlite3_bind_int64(st, 1, (sqlite3_int64)w->pub.message);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)w->pub.created_ms);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)now_ms);
    sqlite3_bind_int64(st, 4, (sqlite3_int64)w->pub.size);
    sp_qdb_text(st, 5, w->pub.user);
    sp_qdb_blob(st, 6, env);
    sp_qdb_blob(st, 7, state);
    return sp_qdb_step(&s->db, SP_Q_HISTORY_ADD, err);
}

static int keep_history(struct sp_spool *s, struct seen *w, uint64_t now_ms,
                        struct sp_err *err)
{
    Sp__Envelope e;
    Sp__JobState j = SP__JOB_STATE__INIT;
    struct sp_str env = {"", 0}, state = {"", 0};
    size_t *history = sp_alloc(w->pub.nrcpt * sizeof *history);
    uint8_t *p = NULL;
    int rc;

    j.rcpt = sp_alloc(w->pub.nrcpt * sizeof *j.rcpt);
    if (!j.rcpt || !history) {
        sp_free(j.rcpt);
        sp_free(history);
        return sp_err_nomem(err);
    }
    if (w->env) { /* a message that cannot be read leaves its number and size only */
        short_envelope(w, &e);
        j.n_rcpt = w->pub.nrcpt;
        for (size_t i = 0; i < j.n_rcpt; i++) {
            j.rcpt[i] = (Sp__RcptState *)w->row[i].state;
            shorten(j.rcpt[i]);
            history[i] = j.rcpt[i]->n_history;
            j.rcpt[i]->n_history = history[i] ? 1 : 0;
        }
        env.n = sp__envelope__get_packed_size(&e);
        state.n = sp__job_state__get_packed_size(&j);
        p = sp_alloc(env.n + state.n);
        if (p) {
            sp__envelope__pack(&e, p);
            sp__job_state__pack(&j, p + env.n);
            env.p = (const char *)p;
            state.p = (const char *)p + env.n;
        }
        for (size_t i = 0; i < j.n_rcpt; i++)
            j.rcpt[i]->n_history = history[i];
    }
    rc =
        w->env && !p ? sp_err_nomem(err) : store_history(s, w, env, state, now_ms, err);
    sp_free(p);
    sp_free(j.rcpt);
    sp_free(history);
    return rc;
}

int sp_qhist_finish(struct sp_spool *s, uint64_t message, uint64_t now_ms,
                    uint64_t *ret_file, struct sp_err *err)
{
    struct sp_view *v = NULL;
    struct seen *w;
    int rc = view(s, message, view_live, &v, err);

    if (rc <= 0)
        return rc;
    w = (struct seen *)v;
    *ret_file = w->file;
    rc = s->o.history_ms ? keep_history(s, w, now_ms, err) : 0;
    if (rc == 0)
        rc = drop_rows(s, w, err);
    sp_view_free(v);
    return rc;
}
