/*
 * role_local.c - final delivery on this machine: Maildirs.
 *
 * It writes files and has no network, no keys and no users.  Each job is worked on in
 * the pool, because writing waits for the disk; outcomes that the queue has not stored
 * yet are kept and said again to a queue that was restarted.
 */
#include "role.h"

#include "alloc.h"
#include "err.h"
#include "maildir.h"
#include "stored.h"
#include "wallclock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CAPACITY = 16,
    CLOCK_SLACK_MS = 5000, /* the clock may have been set back a little */
};

struct local {
    struct sp_role *role;
    struct sp_conf *conf;
    struct sp_port *queue;
    struct task *tasks;
    struct sp_arena arena;
    uv_timer_t drain;
    uint64_t started_ms; /* what is older may have been delivered by one that died */
};

struct task {
    struct task *next;
    struct local *l;
    struct sp_conf *conf; /* keeps route and host name */
    uv_work_t work;
    struct sp_arena arena; /* the job and its outcome */
    Sp__Job *job;
    struct sp_str content;
    int fd;
    const struct sp_conf_route *route;
    Sp__Outcome out;
    bool done, said;
};

/* ---- one recipient ---- */

static const char *keep(struct task *t, const char *s)
{
    const char *copy = sp_arena_strndup(&t->arena, s, strlen(s));

    return copy ? copy : "";
}

static void deliver(struct task *t, size_t i, Sp__RcptOutcome *o)
{
    const Sp__Recipient *r = t->job->envelope->rcpt[i];
    struct sp_maildir_mail m = {
        .env = t->job->envelope,
        .to = {(char *)r->address.data, r->address.len},
        .prefix = {(char *)t->job->prefix.data, t->job->prefix.len},
        .content = t->content,
        .fd = t->fd,
        .id = t->job->id,
        .hostname = t->conf->hostname,
        .now_ms = sp_wall_ms(),
        .again = t->job->attempt > 1 ||
                 t->job->envelope->received_ms <= t->l->started_ms + CLOCK_SLACK_MS,
    };
    char path[SP_MAILDIR_PATH_MAX];
    struct sp_err err = {.text = ""};
    int rc = -SP_EINPUT;

    if (t->route && t->route->path)
        rc = sp_maildir_path(t->route->path, m.to, path, sizeof path, &err);
    else
        (void)sp_err_set(&err, SP_CLASS_TEMPORARY, SP_ENOENT, "the route is not known here");
    if (rc == 0) {
        o->attempt->where = (char *)(uintptr_t)keep(t, path);
        rc = sp_maildir_deliver(path, &m, &err);
    }
    o->attempt->at_ms = m.now_ms;
    o->attempt->stage = (char *)(uintptr_t)"maildir";
    if (rc >= 0) {
        o->action = SP__ACTION__ACTION_DELIVERED;
        o->attempt->code = 250;
        o->attempt->enhanced = (char *)(uintptr_t)"2.1.5";
        o->attempt->text =
            (char *)(uintptr_t)(rc == SP_MAILDIR_BEFORE ? "it had been delivered before"
                                                        : "delivered");
        return;
    }
    o->attempt->text = (char *)(uintptr_t)keep(t, err.text);
    o->action = err.cls == SP_CLASS_PEER ? SP__ACTION__ACTION_BOUNCE
                                         : SP__ACTION__ACTION_RETRY;
    o->attempt->code = err.cls == SP_CLASS_PEER ? 550 : 450;
    o->attempt->enhanced = (char *)(uintptr_t)(err.cls == SP_CLASS_PEER ? "5.1.1"
                                               : err.code == SP_ENOSPC ? "4.3.1"
                                                                       : "4.3.0");
}

static void work_run(uv_work_t *w)
{
    struct task *t = w->data;
    size_t n = t->job->envelope->n_rcpt;

    t->out.rcpt = sp_arena_alloc(&t->arena, (n + 1) * sizeof *t->out.rcpt);
    for (size_t i = 0; t->out.rcpt && i < n; i++) {
        Sp__RcptOutcome *o = sp_arena_alloc(&t->arena, sizeof *o);
        Sp__Attempt *a = sp_arena_alloc(&t->arena, sizeof *a);

        if (!o || !a)
            return; /* the queue tries recipients without an outcome again */
        sp__rcpt_outcome__init(o);
        sp__attempt__init(a);
        o->attempt = a;
        o->index = t->job->index[i];
        deliver(t, i, o);
        t->out.rcpt[t->out.n_rcpt++] = o;
    }
}

/* ---- tasks ---- */

static void task_free(struct task *t)
{
    for (struct task **at = &t->l->tasks; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    if (t->fd >= 0)
        close(t->fd);
    sp_arena_reset(&t->arena);
    sp_conf_unref(t->conf);
    sp_free(t);
}

static void say(struct task *t)
{
    t->out.job = t->job->job;
    t->out.lease = t->job->lease;
    if (t->l->queue)
        t->said = sp_port_say(t->l->queue, SP_MSG_OUTCOME, &t->out.base) == 0;
}

static void work_end(uv_work_t *w, int status)
{
    struct task *t = w->data;

    (void)status;
    t->done = true;
    say(t);
}

static int on_job(struct local *l, struct sp_port *p, const struct sp_frame *f,
                  struct sp_err *err)
{
    struct task *t = sp_alloc(sizeof *t);
    const struct sp_conf_route *r = NULL;

    if (!t)
        return sp_err_nomem(err);
    t->l = l;
    t->fd = f->has_fd ? sp_port_take_fd(p) : -1;
    t->conf = sp_conf_ref(l->conf);
    t->next = l->tasks;
    l->tasks = t;
    sp__outcome__init(&t->out);
    sp_arena_init(&t->arena, 64 << 20);
    t->job = sp_frame_unpack(f, &t->arena);
    if (t->job && t->job->content_in_frame)
        t->content = sp_arena_copy(&t->arena, f->raw);
    if (!t->job || !t->job->envelope || t->job->n_index != t->job->envelope->n_rcpt ||
        sp_stored_check(t->job->envelope, t->job->prefix.len, err) < 0 ||
        (t->job->content_in_frame ? !t->content.p ||
                                        t->content.n != t->job->envelope->content_size
                                  : t->fd < 0)) {
        task_free(t);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed job");
    }
    if (l->role->draining) { /* not begun: the queue has it again when we are gone */
        task_free(t);
        return 0;
    }
    for (size_t i = 0; i < t->conf->n_routes; i++)
        if (strcmp(t->conf->routes[i].head.name, t->job->route) == 0)
            r = &t->conf->routes[i];
    t->route = r;
    t->work.data = t;
    uv_queue_work(&l->role->loop, &t->work, work_run, work_end);
    return 0;
}

static void on_stored(struct local *l, const Sp__OutcomeStored *m)
{
    struct task *t, *next;

    for (size_t i = 0; i < m->n_job; i++)
        for (t = l->tasks; t; t = next) {
            next = t->next;
            if (t->done && t->job->job == m->job[i])
                task_free(t);
        }
}

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct local *l = sp_port_arg(p);
    void *m;

    if (f->type == SP_MSG_JOB)
        return on_job(l, p, f, err);
    m = sp_frame_unpack(f, &l->arena);
    if (!m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed %s",
                          sp_msg_name(f->type));
    if (f->type == SP_MSG_STORED)
        on_stored(l, m);
    sp_arena_reset(&l->arena);
    return 0;
}

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    struct local *l = sp_port_arg(p);

    (void)why;
    l->queue = NULL;
}

static void on_credit(struct sp_port *p)
{
    struct local *l = sp_port_arg(p);

    for (struct task *t = l->tasks; t; t = t->next)
        if (t->done && !t->said)
            say(t);
}

static const struct sp_port_ops ops = {
    .frame = on_frame, .credit = on_credit, .gone = on_gone};

static int on_peer(struct sp_role *r, Sp__Role peer, unsigned instance, int fd,
                   struct sp_err *err)
{
    struct local *l = r->self;
    Sp__Held m = SP__HELD__INIT;
    size_t n = 0;
    int rc;

    sp_port_close(l->queue);
    l->queue = sp_port_new(&r->loop, fd, SP__ROLE__ROLE_LOCAL, peer, instance, &ops, l, err);
    if (!l->queue)
        return -SP_ENOMEM;
    for (struct task *t = l->tasks; t; t = t->next)
        n++;
    m.job = sp_alloc((n + 1) * sizeof *m.job);
    m.lease = sp_alloc((n + 1) * sizeof *m.lease);
    for (struct task *t = l->tasks; t && m.job && m.lease; t = t->next) {
        m.job[m.n_job++] = t->job->job;
        m.lease[m.n_lease++] = t->job->lease;
    }
    m.capacity = CAPACITY;
    rc = sp_port_say(l->queue, SP_MSG_HELD, &m.base);
    sp_free(m.job);
    sp_free(m.lease);
    for (struct task *t = l->tasks; t; t = t->next)
        if (t->done)
            say(t);
    return rc;
}

static int on_setup(struct sp_role *r, const Sp__Setup *s, struct sp_conf *conf,
                    struct sp_err *err)
{
    struct local *l = r->self;

    (void)s;
    if (!l) {
        l = r->self = sp_alloc(sizeof *l);
        if (!l)
            return sp_err_nomem(err);
        l->role = r;
        l->started_ms = sp_wall_ms();
        sp_arena_init(&l->arena, 1 << 20);
        uv_timer_init(&r->loop, &l->drain);
        l->drain.data = l;
    }
    sp_conf_unref(l->conf);
    l->conf = sp_conf_ref(conf);
    return 0;
}

/* Ends once every outcome is stored, or when the time is over: what is not stored is
 * delivered again, which is better than lost. */
static void drain_look(uv_timer_t *t)
{
    struct local *l = t->data;
    static unsigned looks;

    if (!l->tasks || ++looks > 100)
        sp_role_exit(l->role, 0);
}

static void on_drain(struct sp_role *r, unsigned seconds)
{
    struct local *l = r->self;

    (void)seconds;
    uv_timer_start(&l->drain, drain_look, 0, 100);
}

const struct sp_role_ops sp_role_local = {
    .role = SP__ROLE__ROLE_LOCAL,
    .setup = on_setup,
    .peer = on_peer,
    .drain = on_drain,
};
