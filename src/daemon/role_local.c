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
#include "held.h"
#include "maildir.h"
#include "wallclock.h"

#include <string.h>

enum {
    CAPACITY = 16,
    CLOCK_SLACK_MS = 5000, /* the clock may have been set back a little */
};

struct local {
    struct sp_role *role;
    struct sp_conf *conf;
    struct sp_held held;
    struct sp_arena arena;
    uv_timer_t drain;
    uint64_t started_ms; /* what is older may have been delivered by one that died */
};

struct task {
    struct sp_held_job h;
    struct local *l;
    struct sp_conf *conf; /* keeps route and host name */
    uv_work_t work;
    const struct sp_conf_route *route;
};

/* ---- one recipient ---- */

static void deliver(struct task *t, size_t i, Sp__RcptOutcome *o)
{
    const Sp__Recipient *r = t->h.m->envelope->rcpt[i];
    struct sp_maildir_mail m = {
        .env = t->h.m->envelope,
        .to = {(char *)r->address.data, r->address.len},
        .prefix = {(char *)t->h.m->prefix.data, t->h.m->prefix.len},
        .content = t->h.content,
        .fd = t->h.fd,
        .id = t->h.m->id,
        .hostname = t->conf->hostname,
        .now_ms = sp_wall_ms(),
        .again = t->h.m->attempt > 1 ||
                 t->h.m->envelope->received_ms <= t->l->started_ms + CLOCK_SLACK_MS,
    };
    char path[SP_MAILDIR_PATH_MAX];
    struct sp_err err = {.text = ""};
    int rc = -SP_EINPUT;

    if (m.env->body == SP__BODY_TYPE__BODY_BINARYMIME)
        /* RFC 3030 3: a Maildir file has lines, and nothing rewrites a body. */
        (void)sp_err_set(&err, SP_CLASS_PEER, SP_EDENIED,
                         "binary content (BINARYMIME) cannot be kept in a Maildir");
    else if (t->route && t->route->path)
        rc = sp_maildir_path(t->route->path, m.to, path, sizeof path, &err);
    else
        (void)sp_err_set(&err, SP_CLASS_TEMPORARY, SP_ENOENT, "the route is not known here");
    if (rc == 0) {
        o->attempt->where = sp_held_keep(&t->h, path, strlen(path));
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
    o->attempt->text = sp_held_keep(&t->h, err.text, strlen(err.text));
    o->action = err.cls == SP_CLASS_PEER ? SP__ACTION__ACTION_BOUNCE
                                         : SP__ACTION__ACTION_RETRY;
    o->attempt->code = err.cls == SP_CLASS_PEER ? 550 : 450;
    o->attempt->enhanced =
        (char *)(uintptr_t)(err.code == SP_EDENIED && err.cls == SP_CLASS_PEER ? "5.6.3"
                            : err.cls == SP_CLASS_PEER                         ? "5.1.1"
                            : err.code == SP_ENOSPC                            ? "4.3.1"
                                                    : "4.3.0");
}

static void work_run(uv_work_t *w)
{
    struct task *t = w->data;

    for (size_t i = 0; i < t->h.m->envelope->n_rcpt; i++) {
        Sp__RcptOutcome *o = sp_held_row(&t->h, i, SP__ACTION__ACTION_RETRY);

        if (!o)
            return;
        deliver(t, i, o);
    }
}

/* ---- tasks ---- */

static void work_end(uv_work_t *w, int status)
{
    struct task *t = w->data;

    (void)status;
    sp_conf_unref(t->conf);
    t->conf = NULL;
    sp_held_done(&t->l->held, &t->h);
}

static int on_job(struct local *l, struct sp_port *p, const struct sp_frame *f,
                  struct sp_err *err)
{
    struct task *t = sp_alloc(sizeof *t);
    int rc;

    if (!t)
        return sp_err_nomem(err);
    rc = sp_held_take(&l->held, &t->h, p, f, err);
    if (rc < 0)
        return rc;
    if (l->role->draining) { /* not begun: the queue has it again when we are gone */
        sp_held_forget(&l->held, &t->h);
        return 0;
    }
    t->l = l;
    t->conf = sp_conf_ref(l->conf);
    for (size_t i = 0; i < t->conf->n_routes; i++)
        if (strcmp(t->conf->routes[i].head.name, t->h.m->route) == 0)
            t->route = &t->conf->routes[i];
    t->work.data = t;
    uv_queue_work(&l->role->loop, &t->work, work_run, work_end);
    return 0;
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
        sp_held_stored(&l->held, m);
    sp_arena_reset(&l->arena);
    return 0;
}

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    (void)why;
    sp_held_lost(&((struct local *)sp_port_arg(p))->held);
}

static void on_credit(struct sp_port *p)
{
    sp_held_credit(&((struct local *)sp_port_arg(p))->held);
}

static const struct sp_port_ops ops = {
    .frame = on_frame, .credit = on_credit, .gone = on_gone};

static int on_peer(struct sp_role *r, Sp__Role peer, unsigned instance, int fd,
                   struct sp_err *err)
{
    struct local *l = r->self;

    return sp_held_join(&l->held, &r->loop, fd, peer, instance, &ops, l, err);
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
        l->held = (struct sp_held){.role = SP__ROLE__ROLE_LOCAL, .capacity = CAPACITY};
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

    if (!l->held.jobs || ++looks > 100)
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
