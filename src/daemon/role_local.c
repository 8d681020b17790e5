/*
 * role_local.c - final delivery on this machine: Maildirs, commands, mailbox files.
 *
 * It writes files and has no network, no keys and no users.  Of the commands and files
 * that a recipient names it uses those that an alias file names, too: a server that was
 * broken into cannot have others run.  Each job is worked on in
 * the pool, because writing waits for the disk; outcomes that the queue has not stored
 * yet are kept and said again to a queue that was restarted.
 */
#include "role.h"

#include "aliases.h"
#include "alloc.h"
#include "err.h"
#include "held.h"
#include "maildir.h"
#include "mbox.h"
#include "program.h"
#include "wallclock.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CAPACITY = 16,
    CLOCK_SLACK_MS = 5000, /* the clock may have been set back a little */
};

/* In the pool while the configuration may change. */
struct alias_share {
    unsigned refs; /* touched in the loop only */
    struct sp_aliases *al;
};

struct local {
    struct sp_role *role;
    struct sp_conf *conf;
    struct alias_share *aliases;
    struct sp_held held;
    struct sp_arena arena;
    uv_timer_t drain;
    uint64_t started_ms; /* what is older may have been delivered by one that died */
};

struct task {
    struct sp_held_job h;
    struct local *l;
    struct sp_conf *conf; /* keeps route and host name */
    struct alias_share *aliases;
    uv_work_t work;
    const struct sp_conf_route *route;
};

/* ---- one recipient ---- */

static void set(struct task *t, Sp__RcptOutcome *o, Sp__Action action, uint32_t code,
                const char *enhanced, const char *text)
{
    o->action = action;
    o->attempt->code = code;
    o->attempt->enhanced = (char *)(uintptr_t)enhanced;
    o->attempt->text = sp_held_keep(&t->h, text, strlen(text));
}

static void failed(struct task *t, Sp__RcptOutcome *o, const struct sp_err *err)
{
    bool ours = err->cls != SP_CLASS_PEER;

    set(t, o, ours ? SP__ACTION__ACTION_RETRY : SP__ACTION__ACTION_BOUNCE, ours ? 450 : 550,
        !ours && err->code == SP_EDENIED ? "5.6.3"
        : !ours                          ? "5.1.1"
        : err->code == SP_ENOSPC         ? "4.3.1"
                                         : "4.3.0",
        err->text);
}

static void to_maildir(struct task *t, const struct sp_maildir_mail *m, Sp__RcptOutcome *o)
{
    char path[SP_MAILDIR_PATH_MAX];
    struct sp_err err = {.text = ""};
    int rc = -SP_EINPUT;

    if (t->route && t->route->path)
        rc = sp_maildir_path(t->route->path, m->to, path, sizeof path, &err);
    else
        (void)sp_err_set(&err, SP_CLASS_TEMPORARY, SP_ENOENT, "the route is not known here");
    if (rc == 0) {
        o->attempt->where = sp_held_keep(&t->h, path, strlen(path));
        rc = sp_maildir_deliver(path, m, &err);
    }
    if (rc >= 0)
        set(t, o, SP__ACTION__ACTION_DELIVERED, 250, "2.1.5",
            rc == SP_MAILDIR_BEFORE ? "it had been delivered before" : "delivered");
    else
        failed(t, o, &err);
}

static void run_program(struct task *t, const struct sp_program *p,
                        const struct sp_maildir_mail *m, Sp__RcptOutcome *o)
{
    struct sp_program_result r;

    sp_program_run(p, m, &r);
    o->attempt->where = sp_held_keep(&t->h, p->argv[0], strlen(p->argv[0]));
    set(t, o, r.action, r.code, r.enhanced, r.text);
}

static void to_command(struct task *t, const struct sp_maildir_mail *m, struct sp_str original,
                       Sp__RcptOutcome *o)
{
    struct sp_program p = {.argv = t->route->command.v,
                           .argc = t->route->command.n,
                           .run_as = t->route->run_as,
                           .timeout_ms = (unsigned)t->route->command_timeout_s * 1000,
                           .original = original};

    run_program(t, &p, m, o);
}

/* "|program argument" or "/file" of an alias. */
static void by_alias(struct task *t, const struct sp_maildir_mail *m, struct sp_str deliver,
                     Sp__RcptOutcome *o)
{
    enum { ALIAS_MS = 300000 };
    const char *argv[SP_PROGRAM_WORDS];
    char line[SP_PROGRAM_LINE];
    struct sp_program p = {.argv = argv, .plain = true, .timeout_ms = ALIAS_MS};
    struct sp_err err = {.text = ""};
    const char *file = sp_held_keep(&t->h, deliver.p, deliver.n);
    int n;

    if (!sp_aliases_name(t->aliases->al, deliver)) {
        set(t, o, SP__ACTION__ACTION_RETRY, 450, "4.3.5",
            "no alias file names this command or file any more");
        return;
    }
    if (deliver.p[0] == '/') {
        o->attempt->where = (char *)(uintptr_t)file;
        if (sp_mbox_append(file, m, &err) < 0)
            failed(t, o, &err);
        else
            set(t, o, SP__ACTION__ACTION_DELIVERED, 250, "2.1.5", "delivered");
        return;
    }
    n = sp_program_words((struct sp_str){deliver.p + 1, deliver.n - 1}, line, argv);
    if (n <= 0) {
        set(t, o, SP__ACTION__ACTION_RETRY, 450, "4.3.5", "the alias's command is malformed");
        return;
    }
    p.argc = (size_t)n;
    run_program(t, &p, m, o);
}

static void deliver(struct task *t, size_t i, Sp__RcptOutcome *o)
{
    const Sp__Recipient *r = t->h.m->envelope->rcpt[i];
    struct sp_maildir_mail m = {
        .env = t->h.m->envelope,
        .to = sp_pb_str(r->address),
        .prefix = sp_pb_str(t->h.m->prefix),
        .content = t->h.content,
        .fd = t->h.fd,
        .id = t->h.m->id,
        .hostname = t->conf->hostname,
        .now_ms = sp_wall_ms(),
        .again = t->h.m->attempt > 1 ||
                 t->h.m->envelope->received_ms <= t->l->started_ms + CLOCK_SLACK_MS,
    };
    struct sp_err err = {.text = ""};
    bool command = t->route && t->route->to == SP_CONF_TO_PIPE;

    o->attempt->at_ms = m.now_ms;
    o->attempt->stage = (char *)(uintptr_t)(command || r->deliver.len ? "command" : "maildir");
    if (m.env->body == SP__BODY_TYPE__BODY_BINARYMIME) {
        /* RFC 3030 3: a file has lines, and nothing rewrites a body. */
        (void)sp_err_set(&err, SP_CLASS_PEER, SP_EDENIED,
                         "binary content (BINARYMIME) cannot be kept in a file");
        failed(t, o, &err);
    } else if (r->deliver.len) {
        by_alias(t, &m, sp_pb_str(r->deliver), o);
    } else if (command) {
        to_command(t, &m, sp_pb_str(r->original), o);
    } else {
        to_maildir(t, &m, o);
    }
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

static void share_unref(struct alias_share *a)
{
    if (!a || --a->refs)
        return;
    sp_aliases_free(a->al);
    sp_free(a);
}

static void work_end(uv_work_t *w, int status)
{
    struct task *t = w->data;

    (void)status;
    sp_conf_unref(t->conf);
    share_unref(t->aliases);
    t->conf = NULL;
    t->aliases = NULL;
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
    t->aliases = l->aliases;
    t->aliases->refs++;
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

static struct sp_str setup_text(void *arg, const char *path)
{
    return sp_setup_file(arg, path);
}

/* We are root still: there is a route whose command runs as somebody else.  From here on
 * we are the service's user, with the right to become others and no further one. */
static int leave_root(const struct sp_conf *conf, struct sp_err *err)
{
    const struct passwd *pw = getpwnam(conf->user);
    const struct group *gr = conf->group ? getgrnam(conf->group) : NULL;

    if (!pw || (conf->group && !gr))
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "there is no user %s", conf->user);
    if (pw->pw_uid != 0 &&
        sp_program_keep_rights(pw->pw_uid, gr ? gr->gr_gid : pw->pw_gid) < 0)
        return sp_err_sys(err, SP_CLASS_BUG, SP_EDENIED, "cannot become user %s", conf->user);
    return 0;
}

static int begin(struct sp_role *r, struct sp_conf *conf, struct sp_err *err)
{
    struct local *l;

    /* A command may take its time; Maildirs shall not wait for it. */
    if (setenv("UV_THREADPOOL_SIZE", "16", 1) < 0 || (geteuid() == 0 && leave_root(conf, err) < 0))
        return -SP_EDENIED;
    l = r->self = sp_alloc(sizeof *l);
    if (!l)
        return sp_err_nomem(err);
    l->role = r;
    l->held = (struct sp_held){.role = SP__ROLE__ROLE_LOCAL, .capacity = CAPACITY};
    l->started_ms = sp_wall_ms();
    sp_arena_init(&l->arena, 1 << 20);
    uv_timer_init(&r->loop, &l->drain);
    l->drain.data = l;
    return 0;
}

static int on_setup(struct sp_role *r, const Sp__Setup *s, struct sp_conf *conf,
                    struct sp_err *err)
{
    struct alias_share *a = sp_alloc(sizeof *a);
    int rc = a ? sp_aliases_new(conf, setup_text, (void *)(uintptr_t)s, NULL, NULL, &a->al, err)
               : sp_err_nomem(err);
    struct local *l;

    if (rc == 0 && !r->self)
        rc = begin(r, conf, err);
    if (rc < 0) {
        if (a)
            sp_aliases_free(a->al);
        sp_free(a);
        return rc;
    }
    l = r->self;
    share_unref(l->aliases);
    a->refs = 1;
    l->aliases = a;
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
