/* qbatch.c - group commit, see spool.h. */
#include "qbatch.h"

#include "alloc.h"
#include "err.h"
#include "text.h"

#include <string.h>

enum item_kind { SUBMIT, SETTLE, CONTROL };

struct item {
    enum item_kind kind;
    struct sp_result r;
    struct sp_qsub sub;
    int settle; /* SUBMIT: the item whose notice this is, or -1 */
    bool dropped;
    const struct sp_plan *plan;
    enum sp_control control;
    uint64_t message, job;
    const char *route; /* SP_CONTROL_REROUTE; in the arena */
};

struct sp_batch {
    struct sp_spool *s;
    struct sp_arena a;
    struct item *item;
    size_t n, cap, octets;
    uint64_t *unlink; /* body files of finished messages */
    size_t nunlink, unlink_cap;
    uint64_t ceiling; /* of ids, once this transaction is through */
};

/* ---- replies ------------------------------------------------------------------------ */

enum verdict { ACCEPTED, DUPLICATE, CLASH, STALE, NOTHING, REFUSED, FULL, FAILED, LATE };

/* clang-format off */
static const struct {
    int code;
    const char *enhanced, *text;
} verdicts[] = {
    [ACCEPTED]  = { 250, "2.0.0", "queued" },
    [DUPLICATE] = { 250, "2.0.0", "queued before under the same key" },
    [CLASH]     = { 554, "5.6.0", "this submission key was used for another message" },
    [STALE]     = { 250, "2.0.0", "settled before" },
    [NOTHING]   = { 554, "5.0.0", "no such message in the queue" },
    [REFUSED]   = { 554, "5.0.0", "its state does not allow that: release it first" },
    [FULL]      = { 452, "4.3.1", "no space left in the queue, try again later" },
    [FAILED]    = { 451, "4.3.0", "the queue cannot store the message now, try again later" },
    [LATE]      = { 451, "4.3.0", "it took too long, nothing is stored; try again later" },
};
/* clang-format on */

static void say(struct sp_result *r, enum verdict v)
{
    r->code = verdicts[v].code;
    r->enhanced = verdicts[v].enhanced;
    r->text = verdicts[v].text;
    r->stale = v == STALE;
    r->duplicate = v == DUPLICATE;
}

/* ---- filling ------------------------------------------------------------------------ */

struct sp_batch *sp_batch_new(struct sp_spool *s)
{
    struct sp_batch *b = sp_alloc(sizeof *b);

    if (b) {
        b->s = s;
        sp_arena_init(&b->a, 512u << 20);
    }
    return b;
}

/* Spares that no commit took over go, and their files with them. */
void sp_batch_reset(struct sp_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        sp_spare_free(b->item[i].sub.spare);
    sp_arena_reset(&b->a);
    b->n = b->octets = b->nunlink = 0;
}

void sp_batch_free(struct sp_batch *b)
{
    if (!b)
        return;
    sp_batch_reset(b);
    sp_free(b->item);
    sp_free(b->unlink);
    sp_free(b);
}

bool sp_batch_full(const struct sp_batch *b)
{
    return b->n >= SP_BATCH_MESSAGES || b->octets >= SP_BATCH_OCTETS;
}

size_t sp_batch_items(const struct sp_batch *b)
{
    return b->n;
}

const struct sp_result *sp_batch_result(const struct sp_batch *b, int item)
{
    return item >= 0 && (size_t)item < b->n ? &b->item[item].r : NULL;
}

/* A place for one more; only `b->n++` makes it part of the batch. */
static int room(struct sp_batch *b, struct item **ret, struct sp_err *err)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 32;
        struct item *p = sp_realloc(b->item, cap * sizeof *p);

        if (!p)
            return sp_err_nomem(err);
        b->item = p;
        b->cap = cap;
    }
    *ret = &b->item[b->n];
    memset(*ret, 0, sizeof **ret);
    (*ret)->settle = -1;
    return 0;
}

static int full(struct sp_err *err)
{
    return sp_err_set(err, SP_CLASS_BUG, SP_EAGAIN, "the batch is full");
}

static int add_submit(struct sp_batch *b, int settle, const struct sp_submission *m,
                      uint64_t now_ms, struct sp_err *err)
{
    struct item *it = NULL;
    int rc = room(b, &it, err);

    if (rc == 0)
        rc = sp_qsub_make(&b->s->o, m, now_ms, &b->a, &it->sub, err);
    if (rc < 0) {
        sp_spare_free(m->spare);
        return rc;
    }
    it->kind = SUBMIT;
    it->settle = settle;
    b->octets += it->sub.env.n + it->sub.prefix.n + it->sub.content.n;
    for (size_t i = 0; i < it->sub.nparts; i++)
        b->octets += it->sub.part[i].rcpt.n + it->sub.part[i].state.n;
    return (int)b->n++;
}

int sp_batch_submit(struct sp_batch *b, const struct sp_submission *m, uint64_t now_ms,
                    struct sp_err *err)
{
    if (!sp_batch_full(b))
        return add_submit(b, -1, m, now_ms, err);
    sp_spare_free(m->spare);
    return full(err);
}

void sp_batch_drop(struct sp_batch *b, int item)
{
    if (item >= 0 && (size_t)item < b->n && b->item[item].kind == SUBMIT)
        b->item[item].dropped = true;
}

int sp_batch_settle(struct sp_batch *b, const struct sp_plan *p, struct sp_err *err)
{
    struct item *it = NULL;
    int rc;

    if (sp_batch_full(b))
        return full(err);
    rc = room(b, &it, err);
    if (rc < 0)
        return rc;
    it->kind = SETTLE;
    it->plan = p;
    return (int)b->n++;
}

int sp_batch_notice(struct sp_batch *b, int settle, const struct sp_submission *m,
                    uint64_t now_ms, struct sp_err *err)
{
    if (settle < 0 || (size_t)settle >= b->n || b->item[settle].kind != SETTLE ||
        m->env->submission_key.len) {
        sp_spare_free(m->spare);
        return sp_err_set(err, SP_CLASS_BUG, SP_ESTATE, "a notice needs its settle");
    }
    /* Never refused for a full batch: the two belong into one transaction. */
    return add_submit(b, settle, m, now_ms, err);
}

int sp_batch_control(struct sp_batch *b, enum sp_control c, uint64_t message,
                     uint64_t job, struct sp_err *err)
{
    struct item *it = NULL;
    int rc;

    if (sp_batch_full(b))
        return full(err);
    rc = room(b, &it, err);
    if (rc < 0)
        return rc;
    it->kind = CONTROL;
    it->control = c;
    it->message = message;
    it->job = job;
    return (int)b->n++;
}

int sp_batch_reroute(struct sp_batch *b, const char *route, uint64_t message,
                     uint64_t job, struct sp_err *err)
{
    size_t n = strlen(route);
    char *copy;
    int rc;

    if (n > SP_ROUTE_NAME_MAX)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "the route's name is too long");
    copy = sp_arena_strndup(&b->a, route, n);
    if (!copy)
        return sp_err_nomem(err);
    rc = sp_batch_control(b, SP_CONTROL_REROUTE, message, job, err);
    if (rc >= 0)
        b->item[rc].route = copy;
    return rc;
}

/* ---- inside the transaction: submit -------------------------------------------------- */

static struct sp_change *changes(struct sp_batch *b, struct sp_result *r, size_t n)
{
    struct sp_change *c = sp_arena_alloc(&b->a, n * sizeof *c);

    r->change = c;
    r->nchange = 0;
    return c;
}

/* 1: the key is known and r says what follows from it.  0: a new one. */
static int known_key(struct sp_batch *b, const struct sp_qsub *sub, uint64_t now_ms,
                     struct sp_result *r, struct sp_err *err)
{
    struct sp_qdb *db = &b->s->db;
    sqlite3_stmt *st = sp_qdb_stmt(db, SP_Q_KEY_GET);
    int rc;

    sp_qdb_text(st, 1, sub->user);
    sp_qdb_blob(st, 2, sub->key);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)now_ms);
    rc = sp_qdb_step(db, SP_Q_KEY_GET, err);
    if (rc != 1)
        return rc;
    if (sp_str_eq(sp_qdb_col(st, 1), sub->digest) && sp_qdb_u64(st, 2) == sub->rcpts) {
        say(r, DUPLICATE);
        r->message = sp_qdb_u64(st, 0);
        sp_qid_format(r->message, r->id);
    } else {
        say(r, CLASH);
    }
    sp_qdb_end(db, SP_Q_KEY_GET);
    return 1;
}

static int keep_key(struct sp_batch *b, const struct sp_qsub *sub, uint64_t message,
                    uint64_t now_ms, struct sp_err *err)
{
    struct sp_qdb *db = &b->s->db;
    sqlite3_stmt *st = sp_qdb_stmt(db, SP_Q_KEY_ADD);

    sp_qdb_text(st, 1, sub->user);
    sp_qdb_blob(st, 2, sub->key);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)message);
    sp_qdb_blob(st, 4, sub->digest);
    sqlite3_bind_int64(st, 5, (sqlite3_int64)sub->rcpts);
    sqlite3_bind_int64(st, 6, (sqlite3_int64)(now_ms + sub->key_ms));
    return sp_qdb_step(db, SP_Q_KEY_ADD, err);
}

/* The message's number, its jobs' numbers behind it.  Once a minute the transaction also
 * moves the mark below which numbers count as used: see start_numbers(). */
static int number(struct sp_batch *b, size_t jobs, uint64_t now_ms, uint64_t *ret,
                  struct sp_err *err)
{
    static const uint64_t minute = 60000ull << 21;
    uint64_t id = sp_qid_next(&b->s->ids, now_ms, (uint32_t)jobs + 1);
    sqlite3_stmt *st;

    if (!id || id > INT64_MAX - minute - jobs)
        return sp_err_set(err, SP_CLASS_BUG, SP_ELIMIT, "no queue id is left");
    *ret = id;
    if (id + jobs < b->ceiling)
        return 0;
    b->ceiling = id + jobs + minute;
    st = sp_qdb_stmt(&b->s->db, SP_Q_META_PUT);
    sp_qdb_text(st, 1, SP_LIT("id-ceiling"));
    sqlite3_bind_int64(st, 2, (sqlite3_int64)b->ceiling);
    return sp_qdb_step(&b->s->db, SP_Q_META_PUT, err);
}

static int add_message(struct sp_batch *b, const struct sp_qsub *sub, uint64_t id,
                       uint64_t now_ms, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&b->s->db, SP_Q_MESSAGE_ADD);

    sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)sub->nparts);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)now_ms);
    sqlite3_bind_int64(st, 4, (sqlite3_int64)sub->size);
    if (sub->spare)
        sqlite3_bind_int64(st, 5, (sqlite3_int64)sub->spare->id);
    sp_qdb_text(st, 6, sub->user);
    sp_qdb_blob(st, 7, sub->env);
    sp_qdb_blob(st, 8, sub->prefix);
    if (!sub->spare)
        sp_qdb_blob(st, 9, sub->content);
    return sp_qdb_step(&b->s->db, SP_Q_MESSAGE_ADD, err);
}

static int add_job(struct sp_batch *b, const struct sp_qsub *sub, uint64_t id,
                   const struct sp_change *c, const struct sp_qpart *p,
                   struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&b->s->db, SP_Q_JOB_ADD);

    sqlite3_bind_int64(st, 1, (sqlite3_int64)c->job);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)id);
    sqlite3_bind_int(st, 3, sub->held ? SP_JOB_HELD : SP_JOB_QUEUED);
    sqlite3_bind_int64(st, 4, (sqlite3_int64)c->due_ms);
    sp_qdb_text(st, 5, p->domain);
    sp_qdb_text(st, 6, sub->user);
    sp_qdb_blob(st, 7, p->rcpt);
    sp_qdb_blob(st, 8, p->state);
    sqlite3_bind_int(st, 9, sub->priority);
    return sp_qdb_step(&b->s->db, SP_Q_JOB_ADD, err);
}

static int do_submit(struct sp_batch *b, struct item *it, uint64_t now_ms,
                     struct sp_err *err)
{
    const struct sp_qsub *sub = &it->sub;
    struct sp_change *c;
    uint64_t id = 0;
    int rc;

    if (it->dropped) {
        say(&it->r, LATE);
        return 0;
    }
    if (it->settle >= 0 && b->item[it->settle].r.stale) {
        say(&it->r, STALE);
        return 0;
    }
    if (sub->key.n) {
        rc = known_key(b, sub, now_ms, &it->r, err);
        if (rc)
            return rc < 0 ? rc : 0;
    }
    rc = number(b, sub->nparts, now_ms, &id, err);
    if (rc == 0)
        rc = add_message(b, sub, id, now_ms, err);
    if (rc == 0 && sub->key.n)
        rc = keep_key(b, sub, id, now_ms, err);
    if (rc < 0)
        return rc;
    c = changes(b, &it->r, sub->nparts);
    if (!c)
        return sp_err_nomem(err);
    for (size_t i = 0; i < sub->nparts; i++, c++) {
        const struct sp_qpart *p = &sub->part[i];

        *c = (struct sp_change){.kind = SP_CHANGE_NEW,
                                .held = sub->held,
                                .job = id + 1 + i,
                                .message = id,
                                .due_ms = sub->due_ms,
                                .domain = p->domain,
                                .user = sub->user,
                                .priority = sub->priority,
                                .index = p->index,
                                .nindex = p->n};
        rc = add_job(b, sub, id, c, p, err);
        if (rc < 0)
            return rc;
        it->r.nchange++;
    }
    it->r.message = id;
    sp_qid_format(id, it->r.id);
    say(&it->r, ACCEPTED);
    return 0;
}

/* ---- inside the transaction: the end of a message -------------------------------------- */

static int jobs_of(struct sp_batch *b, uint64_t message, uint64_t *ret,
                   struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&b->s->db, SP_Q_MESSAGE_HEAD);
    int rc;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)message);
    rc = sp_qdb_step(&b->s->db, SP_Q_MESSAGE_HEAD, err);
    if (rc == 1)
        *ret = sp_qdb_u64(st, 0);
    sp_qdb_end(&b->s->db, SP_Q_MESSAGE_HEAD);
    return rc;
}

/* Drops the message when none of its jobs is open any more. */
static int maybe_finish(struct sp_batch *b, uint64_t message, uint64_t now_ms,
                        struct sp_err *err)
{
    uint64_t jobs, file = 0;
    sqlite3_stmt *st;
    int rc = jobs_of(b, message, &jobs, err);

    if (rc != 1)
        return rc;
    st = sp_qdb_stmt(&b->s->db, SP_Q_JOBS_OPEN);
    sqlite3_bind_int64(st, 1, (sqlite3_int64)message);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)sp_qjob_last(message, jobs));
    rc = sp_qdb_step(&b->s->db, SP_Q_JOBS_OPEN, err);
    sp_qdb_end(&b->s->db, SP_Q_JOBS_OPEN);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = sp_qhist_finish(b->s, message, now_ms, &file, err);
    if (rc < 0 || !file)
        return rc;
    if (b->nunlink == b->unlink_cap) {
        size_t cap = b->unlink_cap ? b->unlink_cap * 2 : 16;
        uint64_t *p = sp_realloc(b->unlink, cap * sizeof *p);

        if (!p)
            return sp_err_nomem(err);
        b->unlink = p;
        b->unlink_cap = cap;
    }
    b->unlink[b->nunlink++] = file;
    return 0;
}

/* ---- inside the transaction: settle ----------------------------------------------------- */

static int store_state(struct sp_batch *b, const struct sp_plan *p, int status,
                       struct sp_err *err)
{
    size_t n = sp__job_state__get_packed_size(p->state);
    uint8_t *blob = sp_arena_alloc(&b->a, n);
    sqlite3_stmt *st;

    if (!blob)
        return sp_err_nomem(err);
    sp__job_state__pack(p->state, blob);
    st = sp_qdb_stmt(&b->s->db, SP_Q_JOB_SETTLE);
    sqlite3_bind_int64(st, 1, (sqlite3_int64)p->job);
    sqlite3_bind_int(st, 2, status);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)p->due_ms);
    sqlite3_bind_int64(st, 4, (sqlite3_int64)p->lease);
    sqlite3_bind_int64(st, 5, p->attempts);
    sp_qdb_blob(st, 6, (struct sp_str){(const char *)blob, n});
    return sp_qdb_step(&b->s->db, SP_Q_JOB_SETTLE, err);
}

/*
 * Fencing.  Two conditions: the lease is the one that is out now, and it is newer than the
 * last one settled, which is in the row.  The second also catches an outcome that a
 * delivery role repeats after the queue had stored it and died before saying so.
 */
static int do_settle(struct sp_batch *b, struct item *it, uint64_t now_ms,
                     struct sp_err *err)
{
    const struct sp_plan *p = it->plan;
    struct sp_qdb *db = &b->s->db;
    int rc, next, status = SP_JOB_DONE;
    uint64_t fence = 0;
    struct sp_change *c;

    sqlite3_bind_int64(sp_qdb_stmt(db, SP_Q_JOB_STATE), 1, (sqlite3_int64)p->job);
    rc = sp_qdb_step(db, SP_Q_JOB_STATE, err);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        status = sqlite3_column_int(db->st[SP_Q_JOB_STATE], 1);
        fence = sp_qdb_u64(db->st[SP_Q_JOB_STATE], 2);
    }
    sp_qdb_end(db, SP_Q_JOB_STATE);
    next = sp_job_step((enum sp_job_status)status,
                       p->finished ? SP_JEV_CLOSE : SP_JEV_OPEN);
    if (next < 0 || p->lease <= fence ||
        sp_qlease_get(&b->s->leased, p->job) != p->lease) {
        say(&it->r, STALE);
        return 0;
    }
    rc = store_state(b, p, next, err);
    if (rc == 0 && p->finished)
        rc = maybe_finish(b, p->message, now_ms, err);
    if (rc < 0)
        return rc;
    c = changes(b, &it->r, 1);
    if (!c)
        return sp_err_nomem(err);
    *c = (struct sp_change){.kind = p->finished ? SP_CHANGE_GONE : SP_CHANGE_RETRY,
                            .job = p->job,
                            .message = p->message,
                            .due_ms = p->due_ms,
                            .held = next == SP_JOB_HELD};
    it->r.nchange = 1;
    it->r.message = p->message;
    say(&it->r, ACCEPTED);
    return 0;
}

/* ---- inside the transaction: what an administrator asks for ------------------------------- */

static const enum sp_job_event control_event[] = {
    [SP_CONTROL_HOLD] = SP_JEV_HOLD,           [SP_CONTROL_RELEASE] = SP_JEV_RELEASE,
    [SP_CONTROL_RETRY_NOW] = SP_JEV_RETRY_NOW, [SP_CONTROL_REMOVE] = SP_JEV_REMOVE,
    [SP_CONTROL_TAKE_BACK] = SP_JEV_REMOVE,    [SP_CONTROL_EXPIRE] = SP_JEV_EXPIRE,
    [SP_CONTROL_REROUTE] = SP_JEV_REROUTE};

struct row {
    uint64_t job, due_ms;
    int status;
    bool tried;
    struct sp_str rcpt, state;
};

/* The jobs of the message, copied: they are changed while they are walked. */
static int read_jobs(struct sp_batch *b, uint64_t message, uint64_t jobs,
                     struct row **ret, size_t *ret_n, struct sp_err *err)
{
    struct sp_qdb *db = &b->s->db;
    sqlite3_stmt *st = sp_qdb_stmt(db, SP_Q_JOBS_OF);
    size_t n = 0, cap = 0;
    int rc;

    *ret = NULL;
    sqlite3_bind_int64(st, 1, (sqlite3_int64)message);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)sp_qjob_last(message, jobs));
    while ((rc = sp_qdb_step(db, SP_Q_JOBS_OF, err)) == 1) {
        if (n == cap) {
            struct row *p;

            cap = cap ? cap * 2 : 8;
            p = sp_realloc(*ret, cap * sizeof *p);
            if (!p)
                break;
            *ret = p;
        }
        (*ret)[n] = (struct row){.job = sp_qdb_u64(st, 0),
                                 .status = sqlite3_column_int(st, 1),
                                 .due_ms = sp_qdb_u64(st, 2),
                                 .tried = sqlite3_column_int(st, 4) > 0,
                                 .rcpt = sp_arena_copy(&b->a, sp_qdb_col(st, 7)),
                                 .state = sp_arena_copy(&b->a, sp_qdb_col(st, 8))};
        if (!(*ret)[n].rcpt.p || !(*ret)[n].state.p)
            break;
        n++;
    }
    sp_qdb_end(db, SP_Q_JOBS_OF);
    *ret_n = n;
    return rc == 1 ? sp_err_nomem(err) : rc;
}

static void remove_open(Sp__JobState *state)
{
    for (size_t i = 0; i < state->n_rcpt; i++) {
        const struct sp_rcpt_step *step =
            sp_rcpt_step(state->rcpt[i]->status, SP_QEV_REMOVE);

        if (step)
            state->rcpt[i]->status = step->next;
    }
}

/* The state as it is afterwards.  A damaged one stays as it is, which does for what is
 * thrown away; for all else: 1. */
static int changed_state(struct sp_batch *b, const struct item *it,
                         const struct row *row, uint64_t now_ms, struct sp_str *ret,
                         struct sp_err *err)
{
    Sp__JobState *state =
        sp__job_state__unpack(&sp_qalloc, row->state.n, (const uint8_t *)row->state.p);
    char *p, *old = NULL;

    *ret = row->state;
    if (!state)
        return it->control == SP_CONTROL_REMOVE || it->control == SP_CONTROL_TAKE_BACK
                   ? 0
                   : 1;
    if (it->control == SP_CONTROL_EXPIRE) {
        state->given_up_ms = now_ms;
    } else if (it->control == SP_CONTROL_REROUTE) {
        old = state->route; /* the unpacked copy's, which frees it */
        state->route = (char *)(uintptr_t)it->route;
    } else {
        remove_open(state);
    }
    ret->n = sp__job_state__get_packed_size(state);
    p = sp_arena_alloc(&b->a, ret->n);
    if (p)
        sp__job_state__pack(state, (uint8_t *)p);
    if (it->control == SP_CONTROL_REROUTE)
        state->route = old;
    sp_qstate_free(state);
    ret->p = p;
    return p ? 0 : sp_err_nomem(err);
}

/* When it is tried again. */
static uint64_t control_due(const struct item *it, const struct row *row, int next,
                            uint64_t now_ms)
{
    if (it->control == SP_CONTROL_HOLD)
        return row->due_ms;
    if (it->control == SP_CONTROL_REROUTE && (next == SP_JOB_HELD || !row->tried))
        return row->due_ms;
    return now_ms;
}

/* 1: nothing can be changed about it. */
static int control_job(struct sp_batch *b, struct item *it, const struct row *row,
                       int next, uint64_t now_ms, struct sp_change *c,
                       struct sp_err *err)
{
    static const enum sp_change_kind kinds[] = {
        [SP_CONTROL_HOLD] = SP_CHANGE_HELD,
        [SP_CONTROL_RELEASE] = SP_CHANGE_RELEASED,
        [SP_CONTROL_RETRY_NOW] = SP_CHANGE_RELEASED,
        [SP_CONTROL_REMOVE] = SP_CHANGE_GONE,
        [SP_CONTROL_TAKE_BACK] = SP_CHANGE_GONE,
        [SP_CONTROL_EXPIRE] = SP_CHANGE_RELEASED,
        [SP_CONTROL_REROUTE] = SP_CHANGE_RELEASED};
    bool marks = it->control == SP_CONTROL_EXPIRE || it->control == SP_CONTROL_REROUTE;
    struct sp_str state;
    sqlite3_stmt *st;
    int rc;

    *c = (struct sp_change){.kind = kinds[it->control],
                            .job = row->job,
                            .message = it->message,
                            .held = next == SP_JOB_HELD,
                            .due_ms = control_due(it, row, next, now_ms)};
    if (it->control == SP_CONTROL_REROUTE && next == SP_JOB_HELD)
        c->kind = SP_CHANGE_HELD;
    if (next == SP_JOB_DONE || marks) {
        rc = changed_state(b, it, row, now_ms, &state, err);
        if (rc)
            return rc;
    }
    if (next == SP_JOB_DONE) {
        st = sp_qdb_stmt(&b->s->db, SP_Q_JOB_CLOSE);
        sqlite3_bind_int64(st, 1, (sqlite3_int64)row->job);
        sp_qdb_blob(st, 2, state);
        return sp_qdb_step(&b->s->db, SP_Q_JOB_CLOSE, err);
    }
    st = sp_qdb_stmt(&b->s->db, marks ? SP_Q_JOB_MARK : SP_Q_JOB_CONTROL);
    sqlite3_bind_int64(st, 1, (sqlite3_int64)row->job);
    sqlite3_bind_int(st, 2, next);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)c->due_ms);
    if (marks)
        sp_qdb_blob(st, 4, state);
    return sp_qdb_step(&b->s->db, marks ? SP_Q_JOB_MARK : SP_Q_JOB_CONTROL, err);
}

/* Else the client that sends it again would be told "I have it already". */
static int forget_key(struct sp_batch *b, uint64_t message, struct sp_err *err)
{
    sqlite3_stmt *st = sp_qdb_stmt(&b->s->db, SP_Q_KEY_FORGET);

    sqlite3_bind_int64(st, 1, (sqlite3_int64)message);
    return sp_qdb_step(&b->s->db, SP_Q_KEY_FORGET, err);
}

static int do_control(struct sp_batch *b, struct item *it, uint64_t now_ms,
                      struct sp_err *err)
{
    struct row *row = NULL;
    struct sp_change *c;
    uint64_t jobs;
    size_t n = 0, refused = 0;
    int rc = jobs_of(b, it->message, &jobs, err);

    if (rc == 0)
        say(&it->r, NOTHING);
    if (rc != 1)
        return rc;
    rc = read_jobs(b, it->message, jobs, &row, &n, err);
    c = rc == 0 ? changes(b, &it->r, n) : NULL;
    if (rc == 0 && !c)
        rc = sp_err_nomem(err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        int next =
            sp_job_step((enum sp_job_status)row[i].status, control_event[it->control]);

        if (it->job && it->job != row[i].job)
            continue;
        if (next < 0) {
            refused += row[i].status != SP_JOB_DONE;
            continue;
        }
        rc = control_job(b, it, &row[i], next, now_ms, &c[it->r.nchange], err);
        if (rc == 0)
            it->r.nchange++;
        if (rc == 1) {
            refused++;
            rc = 0;
        }
    }
    sp_free(row);
    if (rc == 0 && it->control == SP_CONTROL_TAKE_BACK)
        rc = forget_key(b, it->message, err);
    if (rc == 0 && control_event[it->control] == SP_JEV_REMOVE)
        rc = maybe_finish(b, it->message, now_ms, err);
    it->r.message = it->message;
    sp_qid_format(it->message, it->r.id);
    say(&it->r, it->r.nchange ? ACCEPTED : refused ? REFUSED : NOTHING);
    return rc;
}

/* ---- the commit ----------------------------------------------------------------------------- */

static int run(struct sp_batch *b, uint64_t now_ms, struct sp_err *err)
{
    struct sp_qdb *db = &b->s->db;
    int rc;

    (void)sp_qdb_stmt(db, SP_Q_BEGIN);
    rc = sp_qdb_step(db, SP_Q_BEGIN, err);
    for (size_t i = 0; rc == 0 && i < b->n; i++) {
        struct item *it = &b->item[i];

        switch (it->kind) {
        case SUBMIT:
            rc = do_submit(b, it, now_ms, err);
            break;
        case SETTLE:
            rc = do_settle(b, it, now_ms, err);
            break;
        case CONTROL:
            rc = do_control(b, it, now_ms, err);
            break;
        }
    }
    if (rc < 0)
        return rc;
    (void)sp_qdb_stmt(db, SP_Q_COMMIT);
    return sp_qdb_step(db, SP_Q_COMMIT, err);
}

/*
 * A write or sync of the log failed.  SQLite has rolled back, and its next transaction
 * would go on behind the last good one; but that is not enough:
 *  - the frames of the failed transaction may lie complete in the log.  If the process
 *    ends before they are overwritten, recovery takes them for committed, and mail that
 *    was answered with 451 is sent, and sent again when the client comes back;
 *  - after a failed fsync the kernel calls the pages clean: what recovery reads from the page
 *    cache may not be on the disk, and everything appended behind it would be lost with it.
 * So nothing more is committed until sp_spool_repair() has copied what is good into the
 * database file, synced that, and emptied the log; all of it through the connection that
 * knows which frames are good.  The client gets 451 meanwhile.  Body files of the failed
 * batch stay until the next open, which knows whether a row wants them.
 */
static void in_doubt(struct sp_batch *b)
{
    b->s->health = SP_SPOOL_NEEDS_REPAIR;
    for (size_t i = 0; i < b->n; i++)
        if (b->item[i].sub.spare)
            b->item[i].sub.spare->linked = false;
}

static void all_failed(struct sp_batch *b, int rc)
{
    for (size_t i = 0; i < b->n; i++) {
        memset(&b->item[i].r, 0, sizeof b->item[i].r);
        say(&b->item[i].r, rc == -SP_ENOSPC ? FULL : FAILED);
        sp_spare_free(b->item[i].sub.spare);
        b->item[i].sub.spare = NULL;
    }
}

static int roll_back(struct sp_batch *b, int rc)
{
    sqlite3 *h = b->s->db.h;

    if (sp_qdb_in_doubt(h, sqlite3_extended_errcode(h)))
        in_doubt(b);
    for (int i = 0; i < SP_QSTMTS_N; i++)
        sqlite3_reset(b->s->db.st[i]);
    if (!sqlite3_get_autocommit(h)) {
        (void)sp_qdb_stmt(&b->s->db, SP_Q_ROLLBACK);
        if (sp_qdb_step(&b->s->db, SP_Q_ROLLBACK, NULL) < 0)
            in_doubt(b);
    }
    all_failed(b, rc);
    return rc;
}

static void taken_over(struct sp_batch *b)
{
    struct sp_spool *s = b->s;

    s->commits++;
    s->id_ceiling = b->ceiling;
    for (size_t i = 0; i < b->n; i++) {
        struct item *it = &b->item[i];

        /* The file belongs to the row now; without a row it goes. */
        if (it->sub.spare && it->r.code == 250 && !it->r.duplicate && !it->r.stale)
            it->sub.spare->linked = false;
        sp_spare_free(it->sub.spare);
        it->sub.spare = NULL;
        if (it->kind == SETTLE && !it->r.stale)
            sp_qlease_drop(&s->leased, it->plan->job);
        for (size_t k = 0; k < it->r.nchange; k++)
            if (it->r.change[k].kind == SP_CHANGE_GONE)
                sp_qlease_drop(&s->leased, it->r.change[k].job);
    }
    for (size_t i = 0; i < b->nunlink; i++)
        sp_qbody_unlink(s, b->unlink[i]);
    b->nunlink = 0;
}

int sp_spool_commit(struct sp_spool *s, struct sp_batch *b, uint64_t now_ms,
                    struct sp_err *err)
{
    int rc;

    if (b->n == 0)
        return 0;
    if (s->o.read_only || sp_spool_health(s) != SP_SPOOL_OK) {
        all_failed(b, -SP_EIO);
        return sp_err_set(
            err, SP_CLASS_TEMPORARY, SP_EIO, "the spool takes no commits: %s",
            s->o.read_only ? "it is open read only" : "a write or sync failed before");
    }
    b->ceiling = s->id_ceiling;
    b->nunlink = 0;
    sp_qckpt_lock(s->ckpt);
    rc = run(b, now_ms, err);
    if (rc < 0)
        rc = roll_back(b, rc);
    else
        taken_over(b);
    sp_qckpt_unlock(s->ckpt);
    if (rc == 0)
        sp_qckpt_wrote(s->ckpt);
    return rc;
}
