/* role_server.c - see server_role.h. */
#include "server_role.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <openssl/rand.h>
#include <string.h>
#include <unistd.h>

/* ---- the channel to auth ---- */

static int malformed(struct sp_err *err, const struct sp_frame *f)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed %s", sp_msg_name(f->type));
}

static int auth_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct srv *srv = sp_port_arg(p);
    void *m = sp_frame_unpack(f, &srv->arena);

    if (!m)
        return malformed(err, f);
    srv_session_auth_frame(srv, f, m);
    sp_arena_reset(&srv->arena);
    return 0;
}

static void auth_gone(struct sp_port *p, const struct sp_err *why)
{
    struct srv *srv = sp_port_arg(p);

    sp_log(SP_LOG_WARNING, "", SP_KVS("reason", why->text));
    srv->auth = NULL;
    srv_session_auth_gone(srv);
}

static const struct sp_port_ops auth_ops = {.frame = auth_frame, .gone = auth_gone};

/* ---- the channel to queue ---- */

void srv_spare_ask(struct srv *srv)
{
    Sp__SpareWanted m = SP__SPARE_WANTED__INIT;

    if (!srv->queue || srv->spares + srv->spares_asked >= SRV_SPARES_WANTED)
        return;
    m.count = SRV_SPARES_WANTED - srv->spares - srv->spares_asked;
    if (sp_port_say(srv->queue, SP_MSG_SPARE_WANTED, &m.base) == 0)
        srv->spares_asked += m.count;
}

bool srv_spare_take(struct srv *srv, struct srv_spare *ret)
{
    bool have = srv->spares > 0;

    if (have)
        *ret = srv->spare[--srv->spares];
    srv_spare_ask(srv);
    return have;
}

void srv_spare_drop(struct srv *srv, const struct srv_spare *spare)
{
    Sp__SpareDropped m = SP__SPARE_DROPPED__INIT;

    close(spare->fd);
    m.spare = spare->id;
    if (srv->queue)
        (void)sp_port_say(srv->queue, SP_MSG_SPARE_DROPPED, &m.base);
}

static void got_spare(struct srv *srv, struct sp_port *p, const Sp__SpareFile *m)
{
    int fd = sp_port_take_fd(p);

    /* One answer says that the disk is full, however many were asked for. */
    if (m->full)
        srv->spares_asked = 0;
    else if (srv->spares_asked)
        srv->spares_asked--;
    srv->disk_full = m->full;
    if (fd >= 0 && srv->spares < SRV_SPARES_WANTED)
        srv->spare[srv->spares++] = (struct srv_spare){m->spare, fd};
    else if (fd >= 0)
        close(fd);
    srv_message_spare(srv);
}

static int queue_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct srv *srv = sp_port_arg(p);
    void *m = sp_frame_unpack(f, &srv->arena);

    if (!m)
        return malformed(err, f);
    if (f->type == SP_MSG_SPARE) {
        got_spare(srv, p, m);
    } else if (f->type == SP_MSG_TRACE_SET) {
        srv_trace_set(srv, m);
    } else if (f->type == SP_MSG_SUBMITTED) {
        const Sp__SubmittedBatch *b = m;

        for (size_t i = 0; i < b->n_done; i++)
            srv_message_stored(srv, b->done[i]);
    }
    sp_arena_reset(&srv->arena);
    return 0;
}

static void queue_gone(struct sp_port *p, const struct sp_err *why)
{
    struct srv *srv = sp_port_arg(p);

    sp_log(SP_LOG_WARNING, "", SP_KVS("reason", why->text));
    srv->queue = NULL;
    srv_trace_set(srv, &(const Sp__TraceSet)SP__TRACE_SET__INIT); /* the next one says anew */
    for (unsigned i = 0; i < srv->spares; i++)
        close(srv->spare[i].fd);
    srv->spares = srv->spares_asked = 0;
    srv_message_queue_gone(srv);
}

static const struct sp_port_ops queue_ops = {.frame = queue_frame, .gone = queue_gone};

/* ---- the channel to filter ---- */

static int filter_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct srv *srv = sp_port_arg(p);
    Sp__FilterAnswer *m = sp_frame_unpack(f, &srv->arena);
    struct sp_frame_body body = {f->raw, sp_port_take_fd(p)};
    int rc = m ? 0 : malformed(err, f);

    if (rc == 0)
        srv_filter_answer(srv, m, &body);
    if (body.fd >= 0)
        close(body.fd);
    sp_arena_reset(&srv->arena);
    return rc;
}

static void filter_gone(struct sp_port *p, const struct sp_err *why)
{
    struct srv *srv = sp_port_arg(p);

    sp_log(SP_LOG_WARNING, "", SP_KVS("reason", why->text));
    srv->filter = NULL;
    srv_filter_gone(srv);
}

static const struct sp_port_ops filter_ops = {.frame = filter_frame, .gone = filter_gone};

static int on_peer(struct sp_role *r, Sp__Role peer, unsigned instance, int fd,
                   struct sp_err *err)
{
    struct srv *srv = r->self;
    const struct {
        Sp__Role role;
        struct sp_port **at;
        const struct sp_port_ops *ops;
    } peers[] = {{SP__ROLE__ROLE_AUTH, &srv->auth, &auth_ops},
                 {SP__ROLE__ROLE_QUEUE, &srv->queue, &queue_ops},
                 {SP__ROLE__ROLE_FILTER, &srv->filter, &filter_ops}};
    size_t i = 0;

    while (i < sizeof peers / sizeof peers[0] && peers[i].role != peer)
        i++;
    if (i == sizeof peers / sizeof peers[0]) {
        close(fd);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "a server has no such peer");
    }
    if (*peers[i].at) { /* the old one died; its end may not have been seen yet */
        struct sp_err gone = {.text = "replaced by a new one"};
        struct sp_port *old = *peers[i].at;

        peers[i].ops->gone(old, &gone);
        sp_port_close(old);
    }
    *peers[i].at = sp_port_new(&r->loop, fd, SP__ROLE__ROLE_SERVER, peer, instance,
                               peers[i].ops, srv, err);
    if (!*peers[i].at)
        return -SP_ENOMEM;
    if (peer == SP__ROLE__ROLE_QUEUE) {
        srv->disk_full = false; /* it says so again when it is */
        srv_spare_ask(srv);
    }
    return 0;
}

/* ---- listeners ---- */

struct srv_listener *srv_listener_now(struct srv *srv, const char *name)
{
    for (size_t i = 0; i < srv->listeners; i++)
        if (strcmp(srv->listener[i]->l->head.name, name) == 0)
            return srv->listener[i];
    return NULL;
}

static void socket_free(struct srv_socket *so)
{
    sp_listen_free(so->listen);
    sp_free(so->name);
    sp_free(so->address);
    sp_free(so);
}

static bool still_wanted(const struct srv *srv, const struct srv_socket *so)
{
    const struct sp_conf_listener *l = sp_conf_listener_named(srv->conf, so->name);

    for (size_t i = 0; l && i < l->address.n; i++)
        if (strcmp(l->address.v[i].text, so->address) == 0)
            return true;
    return false;
}

static void drop_sockets(struct srv *srv, bool all)
{
    struct srv_socket **at = &srv->sockets;

    while (*at) {
        struct srv_socket *so = *at;

        if (!all && still_wanted(srv, so)) {
            at = &so->next;
            continue;
        }
        *at = so->next;
        socket_free(so);
    }
}

static void on_accept(struct sp_conn *conn, void *arg)
{
    srv_session_open(arg, conn);
}

static int on_listener(struct sp_role *r, const Sp__ListenerFd *m, int fd,
                       struct sp_err *err)
{
    struct srv *srv = r->self;
    struct srv_socket *so;

    /* After a reload the supervisor names all of them again; those we have stay. */
    for (so = srv->sockets; so; so = so->next)
        if (strcmp(so->name, m->name) == 0 && strcmp(so->address, m->address) == 0) {
            close(fd);
            return 0;
        }
    so = sp_alloc(sizeof *so);
    if (so) {
        so->srv = srv;
        so->name = sp_strdup(m->name);
        so->address = sp_strdup(m->address);
    }
    if (!so || !so->name || !so->address ||
        sp_listen_fd(srv->net, fd, on_accept, so, &so->listen, err) < 0) {
        close(fd);
        if (so)
            socket_free(so);
        return -SP_ENOMEM;
    }
    so->next = srv->sockets;
    srv->sockets = so;
    return 0;
}

/* ---- setup, reload ---- */

static void free_listeners(struct srv_listener **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        srv_listener_unref(v[i]);
    sp_free(v);
}

static struct srv *srv_new(struct sp_role *r)
{
    struct srv *srv = sp_alloc(sizeof *srv);

    if (!srv)
        return NULL;
    srv->role = r;
    srv->some_certificate = true;
    srv->net = sp_net_new(&r->loop);
    srv->slots = SRV_SESSIONS_MAX;
    srv->slot = sp_alloc(srv->slots * sizeof *srv->slot);
    srv->generation = sp_alloc(srv->slots * sizeof *srv->generation);
    srv->free_slot = sp_alloc(srv->slots * sizeof *srv->free_slot);
    if (!srv->net || !srv->slot || !srv->generation || !srv->free_slot)
        return NULL; /* the process ends */
    /* Keys start anywhere: an answer meant for a process of this instance that died must
     * not find a session of ours (it could be a login). */
    if (RAND_bytes((unsigned char *)srv->generation,
                   (int)(srv->slots * sizeof *srv->generation)) != 1)
        return NULL;
    for (size_t i = 0; i < srv->slots; i++)
        srv->free_slot[i] = (uint32_t)(srv->slots - 1 - i);
    srv->free_slots = srv->slots;
    sp_arena_init(&srv->arena, 16 << 20);
    uv_idle_init(&r->loop, &srv->spin);
    uv_check_init(&r->loop, &srv->check);
    uv_timer_init(&r->loop, &srv->drain_timer);
    srv->spin.data = srv->check.data = srv->drain_timer.data = srv;
    return srv;
}

static int on_setup(struct sp_role *r, const Sp__Setup *s, struct sp_conf *conf,
                    struct sp_err *err)
{
    struct srv *srv = r->self ? r->self : srv_new(r);
    struct srv_listener **v = sp_alloc((conf->n_listeners + 1) * sizeof *v);
    size_t n = 0;

    if (!srv || !v)
        return sp_err_nomem(err);
    r->self = srv;
    if (s->cookie_key.len != sizeof srv->cookie) {
        sp_free(v);
        return sp_err_set(err, SP_CLASS_BUG, SP_EINPUT, "supervisor: bad key");
    }
    memcpy(srv->cookie, s->cookie_key.data, sizeof srv->cookie);
    for (; n < conf->n_listeners; n++) {
        v[n] = srv_listener_new(conf, &conf->listeners[n], s, err);
        if (!v[n]) {
            free_listeners(v, n);
            return -(int)err->code;
        }
    }
    for (size_t i = 0; i < n; i++)
        srv_listener_ask(v[i], srv->some_certificate);
    free_listeners(srv->listener, srv->listeners);
    srv->listener = v;
    srv->listeners = n;
    sp_conf_unref(srv->conf);
    srv->conf = sp_conf_ref(conf);
    drop_sockets(srv, false);
    return 0;
}

static int on_shared(struct sp_role *r, unsigned parts, int fd, struct sp_err *err)
{
    struct srv *srv = r->self;

    if (!srv->count)
        srv->count = sp_count_map(fd, parts, r->instance, srv->cookie, err);
    close(fd);
    return srv->count ? 0 : -(int)err->code;
}

/* ---- the end ---- */

static void drain_over(uv_timer_t *t)
{
    struct srv *srv = t->data;

    sp_role_exit(srv->role, 0);
}

void srv_session_closed(struct srv *srv)
{
    if (srv->role->draining && srv->sessions == 0)
        uv_timer_start(&srv->drain_timer, drain_over, 10, 0);
}

static void on_drain(struct sp_role *r, unsigned seconds)
{
    struct srv *srv = r->self;

    drop_sockets(srv, true);
    for (size_t i = 0; i < srv->slots; i++)
        if (srv->slot[i] && srv->slot[i]->engine) { /* none: auth is asked who it is */
            sp_srv_drain(srv->slot[i]->engine);
            srv_session_pump(srv->slot[i]);
        }
    uv_timer_start(&srv->drain_timer, drain_over, seconds * 1000ull, 0);
    srv_session_closed(srv);
}

const struct sp_role_ops sp_role_server = {
    .role = SP__ROLE__ROLE_SERVER,
    .setup = on_setup,
    .listener = on_listener,
    .shared = on_shared,
    .peer = on_peer,
    .drain = on_drain,
};
