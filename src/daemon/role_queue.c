/* role_queue.c - see q.h. */
#include "q.h"

#include "metrics.h"

#include "alloc.h"
#include "err.h"
#include "qid.h"

#include <string.h>
#include <unistd.h>

enum {
    IDLE_MS = 1000,
    PACE_LOOK = 10,
    ARENA_MAX = 256 << 20,
};

struct q_peer *q_peer_find(struct q *q, Sp__Role role, unsigned instance)
{
    for (struct q_peer *p = q->peers; p; p = p->next)
        if (p->role == role && p->instance == instance && p->port)
            return p;
    return NULL;
}

struct q_peer *q_peer_serial(struct q *q, uint64_t serial)
{
    for (struct q_peer *p = q->peers; p; p = p->next)
        if (p->serial == serial && p->port)
            return p;
    return NULL;
}

/* ---- the commit of a turn ---- */

struct q_item *q_item_add(struct q *q, enum q_item_kind kind, int number)
{
    struct q_item *it = &q->item[q->items++];

    memset(it, 0, sizeof *it);
    it->kind = kind;
    it->number = number;
    return it;
}

static void check_health(struct q *q)
{
    struct sp_err err;

    switch (sp_spool_health(q->spool)) {
    case SP_SPOOL_OK:
        return;
    case SP_SPOOL_NEEDS_REPAIR:
        if (sp_spool_repair(q->spool, &err) == 0) {
            sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", "repaired after a failed write"));
            return;
        }
        sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", err.text));
        return;
    case SP_SPOOL_FAILED:
        sp_log(SP_LOG_QUEUE_ERROR, "",
               SP_KVS("reason", "the spool must be opened anew; the queue role ends and is "
                                "started again"));
        sp_role_exit(q->role, 1);
    }
}

void q_commit(struct q *q)
{
    struct q_fresh *fresh = NULL, **tail = &fresh;
    struct q_prepared *borrowed = q->prepared;
    struct sp_err err;
    size_t n = q->items;

    if (sp_batch_items(q->batch) == 0)
        return;
    q->prepared = NULL;
    q_submit_drop_late(q);
    if (sp_spool_commit(q->spool, q->batch, sp_wall_ms(), &err) < 0)
        sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", err.text));
    q->commits++;
    for (size_t i = 0; i < n; i++) {
        const struct sp_result *r = sp_batch_result(q->batch, q->item[i].number);
        bool submit = q->item[i].kind == Q_SUBMIT,
             gone = submit && r->code == 250 && q_submit_take_back(q, &q->item[i], r);

        for (size_t j = 0; !gone && r->code == 250 && j < r->nchange; j++)
            (void)sp_change_apply(&r->change[j], q->sched);
        if (submit)
            q_submit_done(&q->item[i], r, gone);
        if (submit && r->code == 250 && !gone)
            tail = q_fresh_add(q, &q->item[i], r, tail);
    }
    q_submit_answer(q);
    for (size_t i = 0; i < n; i++) {
        const struct sp_result *r = sp_batch_result(q->batch, q->item[i].number);

        if (q->item[i].kind == Q_SETTLE)
            q_settle_done(q, &q->item[i], r);
        else if (q->item[i].kind == Q_HOLD)
            q_hold_done(&q->item[i], r);
    }
    q->items = 0;
    sp_batch_reset(q->batch);
    check_health(q);
    q_fresh_go(q, fresh);
    q_submit_free(borrowed);
}

static void on_check(uv_check_t *h)
{
    struct q *q = h->data;

    uv_check_stop(h);
    uv_idle_stop(&q->awake);
    /* Fresh mail on a route that bounces makes notices at once: they are in the batch of
     * the next commit and borrow from this turn's arena.  A notice owes at most one to the
     * postmaster, so this ends. */
    do
        q_commit(q);
    while (sp_batch_items(q->batch));
    for (struct q_peer *p = q->peers; p; p = p->next)
        if (p->port)
            sp_port_release(p->port);
    sp_arena_reset(&q->arena);
    q_dispatch(q);
}

static void stay_awake(uv_idle_t *h)
{
    (void)h;
}

/* It may be wanted from the check phase itself or from a timer: without the idle handle
 * the loop would sleep first, up to a second. */
void q_want_commit(struct q *q)
{
    uv_check_start(&q->check, on_check);
    uv_idle_start(&q->awake, stay_awake);
}

/* ---- channels ---- */

static void peer_free(struct q_peer *p)
{
    for (struct q_peer **at = &p->q->peers; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    for (size_t i = 0; i < Q_SPARES_A_PEER; i++)
        sp_spare_free(p->spare[i]);
    sp_free(p);
}

/* A new spare in this place, on its way to the server. */
static int give_spare(struct q_peer *p, struct sp_spare **at, struct sp_err *err)
{
    Sp__SpareFile m = SP__SPARE_FILE__INIT;
    int fd, rc = sp_spare_new(p->q->spool, sp_wall_ms(), at, err);

    if (rc < 0) {
        *at = NULL;
        return rc;
    }
    m.spare = sp_spare_id(*at);
    fd = dup(sp_spare_fd(*at));
    rc = fd < 0 ? sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "cannot pass a file on")
                : sp_port_send(p->port, SP_MSG_SPARE, &m.base, NULL, fd);
    if (rc < 0) {
        sp_spare_free(*at);
        *at = NULL;
    }
    return rc;
}

/* What is not given now is owed until a place is free: the server asks only once. */
void q_give_spares(struct q_peer *p)
{
    for (size_t i = 0; i < Q_SPARES_A_PEER && p->spares_owed; i++) {
        Sp__SpareFile full = SP__SPARE_FILE__INIT;
        struct sp_err err = {.text = "the channel is full"};

        if (p->spare[i])
            continue;
        if (give_spare(p, &p->spare[i], &err) == 0) {
            p->spares_owed--;
            continue;
        }
        sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", err.text));
        p->spares_owed = 0; /* the server knows: it asks anew */
        full.full = true;
        (void)sp_port_say(p->port, SP_MSG_SPARE, &full.base);
    }
}

static void drop_spare(struct q_peer *p, uint64_t id)
{
    for (size_t i = 0; i < Q_SPARES_A_PEER; i++)
        if (p->spare[i] && sp_spare_id(p->spare[i]) == id) {
            sp_spare_free(p->spare[i]);
            p->spare[i] = NULL;
        }
    q_give_spares(p);
}

static int small_frame(struct q_peer *p, const struct sp_frame *f, void *m,
                       struct sp_err *err)
{
    switch ((int)f->type) {
    case SP_MSG_SPARE_WANTED:
        p->spares_owed = ((Sp__SpareWanted *)m)->count;
        q_give_spares(p);
        return 0;
    case SP_MSG_SPARE_DROPPED:
        drop_spare(p, ((Sp__SpareDropped *)m)->spare);
        return 0;
    case SP_MSG_TRACED:
        q_trace_line(m);
        return 0;
    case SP_MSG_HELD:
        return q_held(p, m, err);
    case SP_MSG_STS_POLICY:
        q_sts_put(p->q, m);
        return 0;
    case SP_MSG_TLS_SESSION:
        q_rpt_put(p->q, m);
        return 0;
    case SP_MSG_TLS_REPORTED:
        q_rpt_posted(p->q, m);
        return 0;
    case SP_MSG_OUTCOME:
        return q_outcome(p, m, err);
    }
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "unexpected %s", sp_msg_name(f->type));
}

static int on_frame(struct sp_port *port, const struct sp_frame *f, struct sp_err *err)
{
    struct q_peer *p = sp_port_arg(port);
    void *m;

    q_want_commit(p->q); /* also releases the frame */
    if (f->type == SP_MSG_SUBMIT)
        return q_submit(p, f, err);
    m = sp_frame_unpack(f, &p->q->arena);
    if (!m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed %s",
                          sp_msg_name(f->type));
    return small_frame(p, f, m, err);
}

static void on_gone(struct sp_port *port, const struct sp_err *why)
{
    struct q_peer *p = sp_port_arg(port);

    /* What it had said is in the batch and borrows its frames: commit first. */
    q_commit(p->q);
    if (why->cls == SP_CLASS_PEER)
        sp_log(SP_LOG_ROLE_BAD, "", SP_KVS("role", sp_role_name(p->role)),
               SP_KVS("reason", why->text));
    p->port = NULL;
    q_peer_lost(p);
    peer_free(p);
}

static void on_credit(struct sp_port *port)
{
    q_dispatch(((struct q_peer *)sp_port_arg(port))->q);
}

static const struct sp_port_ops peer_ops = {
    .frame = on_frame, .gone = on_gone, .credit = on_credit, .keep_frames = true};

static int on_peer(struct sp_role *r, Sp__Role role, unsigned instance, int fd,
                   struct sp_err *err)
{
    static uint64_t serials;
    struct q *q = r->self;
    struct q_peer *old = q_peer_find(q, role, instance), *p;

    if (old) { /* its end was not seen yet */
        struct sp_err gone = {.cls = SP_CLASS_TEMPORARY, .text = "replaced"};
        struct sp_port *port = old->port;

        on_gone(port, &gone);
        sp_port_close(port);
    }
    p = sp_alloc(sizeof *p);
    if (!p) {
        close(fd);
        return sp_err_nomem(err);
    }
    p->q = q;
    p->role = role;
    p->instance = instance;
    p->serial = ++serials;
    p->port = sp_port_new(&r->loop, fd, SP__ROLE__ROLE_QUEUE, role, instance, &peer_ops, p,
                          err);
    if (!p->port) {
        sp_free(p);
        return -SP_ENOMEM;
    }
    p->next = q->peers;
    q->peers = p;
    q_trace_tell(p);
    return 0;
}

/* ---- timers ---- */

static void on_idle(uv_timer_t *t)
{
    struct q *q = t->data;
    static uint64_t seen;
    static unsigned looks;
    struct sp_err err;

    if (q->commits == seen && sp_spool_idle(q->spool, sp_wall_ms(), &err) < 0)
        sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", err.text));
    seen = q->commits;
    q_sts_sweep(q);
    q_rpt_tick(q);
    if (++looks % PACE_LOOK == 0) {
        q_pace_tick(q, true);
        q_dispatch(q);
    }
    if (!q->open_for_work) /* a delivery role never came back */
        q_dispatch(q);
}

/* ---- setup ---- */

static void spool_options(struct sp_spool_options *o, const struct sp_conf *c)
{
    sp_spool_defaults(o);
    o->history_ms = c->history_keep_s * 1000;
    o->retry.lifetime_s = c->queue_lifetime_s;
    o->retry.delay_warning_s = c->delay_warning_s;
    o->retry.nsteps = 0;
    for (size_t i = 0; i < c->retry_intervals.n && i < 16; i++)
        o->retry.step_s[o->retry.nsteps++] = (uint32_t)c->retry_intervals.v[i];
    if (o->retry.nsteps == 0)
        sp_retry_defaults(&o->retry);
}

static int open_spool(struct q *q, const struct sp_conf *c, struct sp_err *err)
{
    struct sp_spool_options o;
    struct sp_spool_counts n;
    int rc;

    spool_options(&o, c);
    rc = sp_spool_open(c->data_directory, &o, sp_wall_ms(), &q->spool, err);
    if (rc < 0)
        return rc;
    q->sched = sp_sched_new();
    q->batch = sp_batch_new(q->spool);
    if (!q->sched || !q->batch)
        return sp_err_nomem(err);
    rc = q_pace_new(q, err);
    if (rc == 0)
        rc = sp_suspend_open(c->data_directory, &q->suspended, err);
    if (rc < 0)
        return rc;
    if (sp_suspend_unread(q->suspended))
        sp_log(SP_LOG_WARNING, "",
               SP_KVS("reason", "the list of suspended destinations has lines that cannot be read"),
               SP_KVU("lines", sp_suspend_unread(q->suspended)));
    rc = sp_spool_load(q->spool, q->sched, err);
    if (rc < 0 || sp_spool_count(q->spool, &n, err) < 0)
        return rc < 0 ? rc : -SP_EIO;
    sp_log(SP_LOG_QUEUE_OPEN, "", SP_KVU("messages", n.messages),
           SP_KVU("waiting", n.queued), SP_KVU("held", n.held));
    return 0;
}

static struct q *q_new(struct sp_role *r)
{
    struct q *q = sp_alloc(sizeof *q);

    if (!q)
        return NULL;
    q->role = r;
    sp_arena_init(&q->arena, ARENA_MAX);
    uv_check_init(&r->loop, &q->check);
    uv_idle_init(&r->loop, &q->awake);
    uv_timer_init(&r->loop, &q->due);
    uv_timer_init(&r->loop, &q->idle);
    uv_timer_init(&r->loop, &q->drain);
    q->check.data = q->due.data = q->idle.data = q->drain.data = q;
    uv_timer_start(&q->idle, on_idle, IDLE_MS, IDLE_MS);
    q->started_ms = uv_now(&r->loop);
    return q;
}

static int on_setup(struct sp_role *r, const Sp__Setup *s, struct sp_conf *conf,
                    struct sp_err *err)
{
    struct q *q = r->self;
    struct sp_spool_options o;
    struct q_signers *signers;
    int rc = q_signers_new(conf, s, &signers, err);

    if (rc < 0)
        return rc;
    if (!q) {
        q = r->self = q_new(r);
        rc = q ? open_spool(q, conf, err) : sp_err_nomem(err);
        if (rc < 0) {
            q_signers_unref(signers);
            return rc;
        }
    } else {
        spool_options(&o, conf);
        sp_spool_reconfigure(q->spool, &o);
    }
    q_signers_unref(q->signers);
    q->signers = signers;
    sp_conf_unref(q->conf);
    q->conf = sp_conf_ref(conf);
    q_pace_configure(q);
    metrics_reconfigure(conf);
    return 0;
}

/* ---- the end ---- */

static void drain_step(uv_timer_t *t)
{
    struct q *q = t->data;

    if (q->preparing)
        return;
    q_commit(q);
    sp_batch_free(q->batch);
    sp_spool_close(q->spool);
    sp_role_exit(q->role, 0);
}

static void on_drain(struct sp_role *r, unsigned seconds)
{
    struct q *q = r->self;

    (void)seconds;
    uv_timer_start(&q->drain, drain_step, 0, 50);
}

/* The supervisor has two kinds of sockets for us. */
static int on_listener(struct sp_role *r, const Sp__ListenerFd *m, int fd, struct sp_err *err)
{
    return strcmp(m->name, "metrics") == 0 ? metrics_listen(r, m->address, fd, err)
                                           : q_admin_listen(r, m, fd, err);
}

const struct sp_role_ops sp_role_queue = {
    .role = SP__ROLE__ROLE_QUEUE,
    .setup = on_setup,
    .listener = on_listener,
    .peer = on_peer,
    .drain = on_drain,
};
