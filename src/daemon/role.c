/* role.c - see role.h. */
#include "role.h"

#include "alloc.h"
#include "err.h"
#include "sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

enum { CHANNEL_FD = 3, SETUP_MAX = 32 << 20 };

struct sp_str sp_setup_file(const Sp__Setup *s, const char *path)
{
    for (size_t i = 0; path && i < s->n_file; i++)
        if (strcmp(s->file[i]->path, path) == 0)
            return sp_pb_str(s->file[i]->content);
    return (struct sp_str){NULL, 0};
}

void sp_role_exit(struct sp_role *r, int status)
{
    if (r->up)
        sp_port_flush(r->up);
    /* Nothing is torn down: the process ends, and with it all it held. */
    _exit(status);
}

/* The status becomes the supervisor's when the service was just being started. */
static void fatal(struct sp_role *r, const struct sp_err *why)
{
    sp_log(SP_LOG_FATAL, "", SP_KVS("reason", why->text));
    sp_role_exit(r, why->code == SP_ENOSPC || why->code == SP_EAGAIN ? EX_TEMPFAIL
                                                                     : EX_IOERR);
}

static void answer(struct sp_role *r, uint64_t generation, const char *problem)
{
    Sp__Ready m = SP__READY__INIT;

    m.generation = (uint32_t)generation;
    m.problem = (char *)(uintptr_t)problem;
    (void)sp_port_say(r->up, SP_MSG_READY, &m.base);
}

static struct sp_conf *parse(const char *text, struct sp_err *err)
{
    struct sp_conf_errors errs;
    struct sp_conf *c;

    sp_conf_errors_init(&errs);
    c = sp_conf_parse(sp_str(text), NULL, &errs);
    if (!c)
        (void)sp_err_set(err, SP_CLASS_BUG, SP_EINPUT, "configuration from supervisor: %s",
                         errs.n ? errs.v[0].message : "unreadable");
    sp_conf_errors_free(&errs);
    return c;
}

/* libuv opens a spare descriptor with its first stream; later nothing may be opened. */
static void open_spare(struct sp_role *r)
{
    static uv_pipe_t first;

    (void)uv_pipe_init(&r->loop, &first, 0);
    uv_unref((uv_handle_t *)&first);
}

/* What could not be had: 0 where the configuration lets us go on without. */
static int without(const struct sp_conf *conf, struct sp_err *err)
{
    struct sp_err why = *err;

    if (conf->confinement != SP_CONF_CONFINED_OR_NOT)
        return sp_err_set(err, why.cls, why.code,
                          "%s (confinement = attempted goes on without)", why.text);
    sp_log(SP_LOG_NO_SANDBOX, "", SP_KVS("reason", err->text));
    return 0;
}

static int lock_in(struct sp_role *r, const struct sp_conf *conf, struct sp_err *err)
{
    open_spare(r);
    return sp_sandbox_lock(r->ops->role, conf, err) < 0 ? without(conf, err) : 0;
}

/* A process cannot get rights back: the next one has them. */
static void begin_anew(struct sp_role *r)
{
    sp_log(SP_LOG_ROLE_AGAIN, "", SP_KVS("reason", "the configuration needs more rights"));
    if (r->ops->drain)
        r->ops->drain(r, 10);
    else
        sp_role_exit(r, 0);
}

static int on_setup(struct sp_role *r, const Sp__Setup *m, struct sp_err *err)
{
    struct sp_conf *conf = parse(m->config_text, err);
    char name[32];
    int rc;

    if (!conf)
        return -SP_EINPUT;
    snprintf(name, sizeof name, "%s.%u", sp_role_name(r->ops->role), r->instance);
    sp_log_setup(2, conf->log_format == SP_CONF_LOG_JSON, conf->log_level, name);
    if (!sp_sandbox_fits(r->ops->role, conf)) {
        sp_conf_unref(conf);
        answer(r, m->generation, "");
        begin_anew(r);
        return 0;
    }
    rc = !r->ready && sp_sandbox_confine(r->ops->role, conf, err) < 0 ? without(conf, err)
                                                                      : 0;
    if (rc == 0)
        rc = r->ops->setup(r, m, conf, err);
    if (rc == 0)
        rc = lock_in(r, conf, err);
    sp_conf_unref(conf);
    if (rc == 0) {
        r->generation = m->generation;
        answer(r, m->generation, "");
        r->ready = true;
    } else if (m->reload) {
        answer(r, m->generation, err->text);
        rc = 0; /* the old configuration stays in force */
    }
    return rc;
}

static int bad(struct sp_err *err, const char *what)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "supervisor: bad %s", what);
}

static int on_listener(struct sp_role *r, struct sp_port *p, const Sp__ListenerFd *m,
                       struct sp_err *err)
{
    int fd = sp_port_take_fd(p);

    if (fd < 0 || !r->ops->listener)
        return bad(err, "listener");
    return r->ops->listener(r, m, fd, err);
}

static int on_peer(struct sp_role *r, struct sp_port *p, const Sp__PeerFd *m,
                   struct sp_err *err)
{
    int fd = sp_port_take_fd(p);

    if (fd < 0 || !r->ops->peer)
        return bad(err, "peer");
    return r->ops->peer(r, m->role, m->instance, fd, err);
}

static int on_shared(struct sp_role *r, struct sp_port *p, const Sp__SharedFd *m,
                     struct sp_err *err)
{
    int fd = sp_port_take_fd(p);

    if (fd < 0 || !r->ops->shared)
        return bad(err, "shared memory");
    return r->ops->shared(r, m->parts, fd, err);
}

static int on_meters(struct sp_role *r, struct sp_port *p, const Sp__MetersFd *m,
                     struct sp_err *err)
{
    int fd = sp_port_take_fd(p);

    if (fd < 0 || m->n_role != m->parts || m->mine >= m->parts || r->meters) {
        if (fd >= 0)
            close(fd);
        return bad(err, "meters");
    }
    r->meters = sp_meters_map(fd, m->parts, err);
    close(fd);
    if (!r->meters)
        return -SP_ENOMEM;
    r->parts = m->parts;
    for (unsigned i = 0; i < m->parts; i++)
        r->part_role[i] = m->role[i];
    r->service_started_s = m->started_s;
    sp_meter_use(sp_meters_part(r->meters, m->mine));
    return 0;
}

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct sp_role *r = sp_port_arg(p);
    void *m = sp_frame_unpack(f, &r->arena);
    int rc;

    if (!m)
        return bad(err, "message");
    switch ((int)f->type) {
    case SP_MSG_SETUP:
        rc = on_setup(r, m, err);
        break;
    case SP_MSG_LISTENER:
        rc = on_listener(r, p, m, err);
        break;
    case SP_MSG_PEER:
        rc = on_peer(r, p, m, err);
        break;
    case SP_MSG_SHARED:
        rc = on_shared(r, p, m, err);
        break;
    case SP_MSG_METERS:
        rc = on_meters(r, p, m, err);
        break;
    case SP_MSG_DRAIN:
        r->draining = true;
        if (r->ops->drain)
            r->ops->drain(r, ((Sp__Drain *)m)->seconds);
        else
            sp_role_exit(r, 0);
        rc = 0;
        break;
    default:
        rc = bad(err, sp_msg_name(f->type));
    }
    sp_arena_reset(&r->arena);
    if (rc < 0 && !r->ready)
        fatal(r, err);
    return rc;
}

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    struct sp_role *r = sp_port_arg(p);

    (void)why;
    r->up = NULL;
    /* kill -9 of the supervisor ends all roles: nobody would watch over them. */
    sp_role_exit(r, 0);
}

static const struct sp_port_ops up_ops = {.frame = on_frame, .gone = on_gone};

static void calm_signals(void)
{
    /* A Ctrl-C reaches the whole foreground group; only the supervisor decides. */
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
}

int sp_role_main(const struct sp_role_ops *ops, unsigned instance)
{
    static struct sp_role r;
    struct sp_err err;

    calm_signals();
    (void)sp_sandbox_memory();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    umask(027);
    r.ops = ops;
    r.instance = instance;
    sp_arena_init(&r.arena, SETUP_MAX);
    if (uv_loop_init(&r.loop) < 0)
        return 1;
    r.up = sp_port_new(&r.loop, CHANNEL_FD, ops->role, SP__ROLE__ROLE_SUPERVISOR, 0,
                       &up_ops, &r, &err);
    if (!r.up) {
        fprintf(stderr, "sallyport: a role is started by `sallyport serve` only\n");
        return 64;
    }
    uv_run(&r.loop, UV_RUN_DEFAULT);
    return 0;
}
