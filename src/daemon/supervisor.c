/* supervisor.c - see supervisor.h. */
#include "supervisor.h"

#include "alloc.h"
#include "collect.h"
#include "err.h"
#include "firstrun.h"
#include "gsslogin.h"
#include "initsys.h"
#include "listen.h"
#include "material.h"
#include "meter.h"
#include "port.h"
#include "rolefiles.h"
#include "sandbox.h"
#include "secret.h"
#include "srv_count.h"
#include "wallclock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/rand.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    DRAIN_SECONDS = 30,      /* for what is in flight when we are told to stop */
    KILL_AFTER_MS = 35000,
    OTHERS_GO_MS = 2000,     /* a predecessor's roles hold the sockets so long at most */
    CRL_MS = 3600 * 1000,    /* how often our own revocation list is looked at */
    WATCH_MS = 2000,         /* how often files are looked at for changes */
    RESTART_FIRST_MS = 20,   /* a role that dies is started again at once ... */
    RESTART_MOST_MS = 5000,  /* ... and slower while it goes on dying */
    LIVED_WELL_MS = 10000,
    CHILDREN_MAX = 128,
    SOCKETS_MAX = 256,
};

struct sup;

struct child {
    struct sup *sup;
    Sp__Role role;
    unsigned instance;
    uv_process_t proc;
    uv_timer_t again;
    struct sp_port *port; /* NULL: not running */
    bool running, ready;
    int exit_status; /* of the last process, when it says something: sysexits.h */
    uint64_t started_ms;
    unsigned delay_ms;
};

struct listening {
    char *name, *address;
    char *path; /* of a Unix socket, to remove it in the end; else NULL */
    bool control; /* the queue role's: the control socket, or one for metrics */
    bool keep; /* named by the configuration being read */
    int fd;
};

/* What ends first when we stop: nothing new from clients, then what they gave us goes
 * to disk, then deliveries under way end. */
enum phase { RUNNING, STOP_SERVERS, STOP_DELIVERY, STOP_QUEUE, STOP_REST, ENDED };

struct sup {
    uv_loop_t loop;
    const struct sp_serve_options *o;
    struct sp_conf *conf;
    struct sp_material *material;
    struct sp_buf config_text;
    uint64_t generation, stamp, crl_ms;
    uint8_t cookie[SP_COUNT_KEY];
    int count_fd; /* of what servers count together */
    struct sp_count *count;
    int meters_fd; /* of what all processes count */
    struct sp_meters *meters;
    struct sp_collect collect;
    uint64_t started_s;
    unsigned servers;
    uid_t uid;
    gid_t gid;
    bool drop; /* we are root: roles become uid:gid */
    uid_t helper_uid;
    gid_t helper_gid;
    struct child child[CHILDREN_MAX];
    size_t children;
    struct listening sock[SOCKETS_MAX];
    size_t socks;
    uv_signal_t on_hup, on_term, on_int;
    uv_timer_t watch, deadline, alive;
    enum phase phase;
    bool said_ready;
    bool locked_memory;
    int status;
};

static int fail(struct sup *s, int status, const char *text)
{
    sp_log(SP_LOG_FATAL, "", SP_KVS("reason", text));
    s->status = status;
    return -1;
}

/* ---- configuration and material ---- */

static void say_lines(enum sp_log_event ev, struct sp_buf *text)
{
    struct sp_str rest = sp_buf_view(text);

    while (rest.n) {
        struct sp_str line = sp_str_cut(&rest, '\n');

        if (line.n)
            sp_log(ev, "", SP_KV("reason", line));
    }
}

static struct sp_conf *read_config(struct sup *s, enum sp_log_event ev)
{
    struct sp_conf_errors errs;
    struct sp_conf *c;

    sp_conf_errors_init(&errs);
    c = sp_conf_load(s->o->config, &errs);
    for (size_t i = 0; i < errs.n; i++) {
        struct sp_buf b;

        sp_buf_init(&b, 16384);
        if (!isatty(2) || c) { /* one log line each; on a terminal the rendered form */
            const struct sp_conf_error *e = &errs.v[i];

            (void)sp_buf_printf(&b, "%s:%u:%u: %s%s%s%s%s", s->o->config, e->line,
                                e->column, e->message, e->expected ? "; expected " : "",
                                e->expected ? e->expected : "", e->help ? "; " : "",
                                e->help ? e->help : "");
            say_lines(errs.v[i].warning ? SP_LOG_WARNING : ev, &b);
        } else if (sp_conf_error_render(&errs, i, &b, true) == 0) {
            (void)!write(2, b.p, b.n);
        }
        sp_buf_free(&b);
    }
    sp_conf_errors_free(&errs);
    return c;
}

static struct sp_material *read_material(const struct sp_conf *c, enum sp_log_event ev)
{
    struct sp_material *m;
    struct sp_buf problems;
    struct sp_err err;

    sp_buf_init(&problems, 1 << 16);
    m = sp_material_read(c, &problems);
    say_lines(m ? SP_LOG_WARNING : ev, &problems);
    sp_buf_free(&problems);
    /* Everybody else can log in without Kerberos, so that stops nobody. */
    if (m && gsslogin_check(c, &err) < 0)
        sp_log(SP_LOG_WARNING, "", SP_KVS("reason", err.text));
    return m;
}

/* PAM may want more rights than the service has: auth-helper-user, auth-helper-group. */
static int find_helper_account(struct sup *s)
{
    const char *user = s->conf->auth_helper_user, *group = s->conf->auth_helper_group;
    struct passwd *pw = user ? getpwnam(user) : NULL;
    struct group *gr = group ? getgrnam(group) : NULL;
    char text[300];

    if ((user && !pw) || (group && !gr)) {
        snprintf(text, sizeof text, "there is no %s %s (auth-helper-%s)",
                 user && !pw ? "user" : "group", user && !pw ? user : group,
                 user && !pw ? "user" : "group");
        return fail(s, EX_NOUSER, text);
    }
    s->helper_uid = pw ? pw->pw_uid : s->uid;
    s->helper_gid = gr ? gr->gr_gid : pw ? pw->pw_gid : s->gid;
    return 0;
}

static int find_account(struct sup *s)
{
    struct passwd *pw;
    struct group *gr;
    char text[300];

    s->drop = geteuid() == 0;
    s->uid = geteuid();
    s->gid = getegid();
    if (!s->drop)
        return 0;
    pw = getpwnam(s->conf->user);
    if (!pw) {
        snprintf(text, sizeof text,
                 "there is no user %s to become; create it with `useradd --system "
                 "--home-dir %s --shell /usr/sbin/nologin %s`, or name another with `user`",
                 s->conf->user, s->conf->data_directory, s->conf->user);
        return fail(s, EX_NOUSER, text);
    }
    s->uid = pw->pw_uid;
    s->gid = pw->pw_gid;
    if (s->conf->group) {
        gr = getgrnam(s->conf->group);
        if (!gr) {
            snprintf(text, sizeof text, "there is no group %s", s->conf->group);
            return fail(s, EX_NOUSER, text);
        }
        s->gid = gr->gr_gid;
    }
    s->drop = s->uid != 0; /* `user = root` is the administrator's own choice */
    return find_helper_account(s);
}

static int set_config_text(struct sup *s)
{
    struct sp_buf text;

    sp_buf_init(&text, SP_CONF_FILE_MAX * 2);
    if (sp_conf_dump(s->conf, false, &text) < 0 || !sp_buf_cstr(&text)) {
        sp_buf_free(&text);
        return -1;
    }
    sp_buf_free(&s->config_text);
    s->config_text = text;
    return 0;
}

/* ---- sockets ---- */

static struct listening *find_socket(struct sup *s, const char *name, const char *address)
{
    for (size_t i = 0; i < s->socks; i++)
        if (s->sock[i].fd >= 0 && strcmp(s->sock[i].name, name) == 0 &&
            strcmp(s->sock[i].address, address) == 0)
            return &s->sock[i];
    return NULL;
}

/* A descriptor for an address that is open under another listener's name: what renames a
 * listener must not find its own port in use.  -1: there is none. */
static int open_already(const struct sup *s, const char *address)
{
    for (size_t i = 0; i < s->socks; i++)
        if (s->sock[i].fd >= 0 && !s->sock[i].control &&
            strcmp(s->sock[i].address, address) == 0)
            return fcntl(s->sock[i].fd, F_DUPFD_CLOEXEC, 0);
    return -1;
}

/* A Unix socket's file goes too, unless it is another listener's by now. */
static void forget(struct sup *s, struct listening *l)
{
    bool shared = false;

    for (size_t i = 0; i < s->socks; i++)
        shared |= &s->sock[i] != l && s->sock[i].path && l->path &&
                  strcmp(s->sock[i].path, l->path) == 0;
    if (l->fd >= 0)
        close(l->fd);
    if (l->path && !shared)
        (void)unlink(l->path);
    sp_free(l->name);
    sp_free(l->address);
    sp_free(l->path);
    memset(l, 0, sizeof *l);
    l->fd = -1;
}

static int remember(struct sup *s, const char *name, const char *address, const char *path,
                    int fd, bool control, struct sp_err *err)
{
    struct listening *l = &s->sock[s->socks];

    if (s->socks == SOCKETS_MAX) {
        close(fd);
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "too many addresses to listen on");
    }
    l->name = sp_strdup(name);
    l->address = sp_strdup(address);
    l->path = path ? sp_strdup(path) : NULL;
    l->fd = fd;
    l->control = control;
    l->keep = true;
    s->socks++;
    if (!l->name || !l->address || (path && !l->path)) {
        forget(s, &s->sock[--s->socks]);
        return sp_err_nomem(err);
    }
    return 0;
}

static const char *tls_word(const struct sp_conf_listener *l)
{
    return l->tls == SP_CONF_STARTTLS   ? "starttls"
           : l->tls == SP_CONF_IMPLICIT ? "implicit"
                                        : "none";
}

/* The sockets that were passed to us under this name.  Whoever started us chose their
 * addresses: those of the configuration are not opened beside them.  tls NULL: the control
 * socket. */
static int use_passed(struct sup *s, const char *name, const char *tls, struct sp_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < initsys_sockets() && rc == 0; i++) {
        struct listening *have;
        char address[200];
        int fd;

        if (initsys_fd(i) < 0 || strcmp(initsys_name(i), name) != 0)
            continue;
        initsys_address(i, address, sizeof address);
        have = find_socket(s, name, address);
        if (have) {
            have->keep = true;
            continue;
        }
        fd = fcntl(initsys_fd(i), F_DUPFD_CLOEXEC, 0);
        rc = fd < 0 ? sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "a passed socket")
                    : remember(s, name, address, NULL, fd, !tls, err);
        if (rc == 0)
            sp_log(SP_LOG_LISTEN, "", SP_KVS("listener", name), SP_KVS("address", address),
                   SP_KVS("tls", tls ? tls : "none"), SP_KVS("socket", "passed"));
    }
    return rc;
}

/* One that belongs to nobody would take connections that nobody answers. */
static void say_unused(const struct sp_conf *c)
{
    for (size_t i = 0; i < initsys_sockets(); i++) {
        const char *name = initsys_name(i);
        bool known = strcmp(name, "control") == 0;

        for (size_t k = 0; k < c->n_listeners; k++)
            known |= strcmp(name, c->listeners[k].head.name) == 0;
        if (!known)
            sp_log(SP_LOG_WARNING, "",
                   SP_KVS("reason", "a socket was passed with a name that no listener has: "
                                    "FileDescriptorName= must be the listener's"),
                   SP_KVS("name", name));
    }
}

static int open_listener(struct sup *s, const struct sp_conf *c,
                         const struct sp_conf_listener *l, struct sp_err *err)
{
    if (initsys_named(l->head.name))
        return use_passed(s, l->head.name, tls_word(l), err);
    for (size_t i = 0; i < l->address.n; i++) {
        const struct sp_conf_addr *a = &l->address.v[i];
        struct listening *have = find_socket(s, l->head.name, a->text);
        int fd, rc = 0;

        if (have) {
            have->keep = true;
            continue;
        }
        fd = open_already(s, a->text);
        if (fd < 0)
            rc = a->kind == SP_CONF_ADDR_UNIX
                     ? sp_listen_bind_unix(a->host, 0666, &fd, err)
                     : sp_listen_bind(a->text, false, &fd, err);
        if (rc == 0)
            rc = remember(s, l->head.name, a->text,
                          a->kind == SP_CONF_ADDR_UNIX ? a->host : NULL, fd, false, err);
        if (rc < 0 && l->head.implied && l->type == SP_CONF_LOCAL &&
            !sp_conf_given(&c->head, sp_conf_key_named(SP_CONF_TOP, SP_LIT("local-socket")))) {
            /* Nobody asked for it: it is no reason not to serve. */
            sp_log(SP_LOG_WARNING, "", SP_KVS("reason", err->text));
            continue;
        }
        if (rc < 0)
            return rc;
        sp_log(SP_LOG_LISTEN, "", SP_KVS("listener", l->head.name),
               SP_KVS("address", a->text),
               SP_KVS("tls", tls_word(l)));
    }
    return 0;
}

/* To the group, or to nobody but root and the service's user: never more, not even for a
 * moment, so the mode is widened last and taken away first. */
static int give_control(struct sup *s, const char *path, const struct group *gr,
                        struct sp_err *err)
{
    if (chmod(path, 0600) < 0 ||
        ((s->drop || gr) && lchown(path, s->uid, gr ? gr->gr_gid : s->gid) < 0) ||
        (gr && chmod(path, 0660) < 0))
        return sp_err_sys(err, SP_CLASS_PEER, SP_EDENIED, "cannot give %s to its group", path);
    return 0;
}

static int open_control(struct sup *s, const struct sp_conf *c, struct sp_err *err)
{
    struct listening *have = find_socket(s, "control", c->control_socket);
    struct group *gr = c->admin_group ? getgrnam(c->admin_group) : NULL;
    int fd, rc;

    if (initsys_named("control"))
        return use_passed(s, "control", NULL, err);
    if (c->admin_group && !gr)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "there is no group %s (admin-group)",
                          c->admin_group);
    if (have) {
        have->keep = true;
        return give_control(s, c->control_socket, gr, err);
    }
    rc = sp_listen_bind_unix(c->control_socket, 0600, &fd, err);
    if (rc < 0 && err->code == SP_EEXIST && err->cls == SP_CLASS_TEMPORARY)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EEXIST,
                          "%s: another process listens there: the service runs already, or "
                          "another one with the same `control-socket`",
                          c->control_socket);
    if (rc < 0)
        return rc;
    rc = give_control(s, c->control_socket, gr, err);
    if (rc < 0) {
        (void)unlink(c->control_socket);
        close(fd);
        return rc;
    }
    return remember(s, "control", c->control_socket, c->control_socket, fd, true, err);
}

/* For Prometheus.  The group that may command may look, too. */
static int open_metrics(struct sup *s, const struct sp_conf *c, size_t i, struct sp_err *err)
{
    const struct sp_conf_addr *a = &c->metrics.v[i];
    struct listening *have = find_socket(s, "metrics", a->text);
    struct group *gr = c->admin_group ? getgrnam(c->admin_group) : NULL;
    const char *path = a->kind == SP_CONF_ADDR_UNIX ? a->host : NULL;
    int fd, rc = 0;

    if (have) {
        have->keep = true;
        return path ? give_control(s, path, gr, err) : 0;
    }
    rc = path ? sp_listen_bind_unix(path, 0600, &fd, err)
              : sp_listen_bind(a->text, false, &fd, err);
    if (rc == 0 && path && (rc = give_control(s, path, gr, err)) < 0) {
        (void)unlink(path);
        close(fd);
    }
    if (rc == 0)
        rc = remember(s, "metrics", a->text, path, fd, true, err);
    if (rc == 0)
        sp_log(SP_LOG_LISTEN, "", SP_KVS("listener", "metrics"), SP_KVS("address", a->text),
               SP_KVS("tls", "none"));
    return rc;
}

/* Opens what the configuration names and is not open.  On failure what was opened for
 * it is closed again; what was open before stays. */
static int open_sockets(struct sup *s, const struct sp_conf *c, struct sp_err *err)
{
    size_t before = s->socks;
    int rc;

    for (size_t i = 0; i < s->socks; i++)
        s->sock[i].keep = false;
    rc = open_control(s, c, err);
    for (size_t i = 0; rc == 0 && i < c->metrics.n; i++)
        rc = open_metrics(s, c, i, err);
    for (size_t i = 0; rc == 0 && i < c->n_listeners; i++)
        rc = open_listener(s, c, &c->listeners[i], err);
    if (rc == 0)
        return 0;
    while (s->socks > before) {
        forget(s, &s->sock[s->socks - 1]);
        s->socks--;
    }
    for (size_t i = 0; i < s->socks; i++)
        s->sock[i].keep = true;
    return rc;
}

/* The roles close their copies when they hear that the configuration has no use for
 * them; ours go now. */
static void drop_sockets(struct sup *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->socks; i++)
        if (!s->sock[i].keep)
            forget(s, &s->sock[i]);
    for (size_t i = 0; i < s->socks; i++)
        if (s->sock[i].keep)
            s->sock[kept++] = s->sock[i];
    s->socks = kept;
}

/* ---- roles ---- */

static const struct {
    Sp__Role a, b;
} links[] = {
    {SP__ROLE__ROLE_SERVER, SP__ROLE__ROLE_AUTH},
    {SP__ROLE__ROLE_AUTH, SP__ROLE__ROLE_AUTH_HELPER},
    {SP__ROLE__ROLE_SERVER, SP__ROLE__ROLE_QUEUE},
    {SP__ROLE__ROLE_SERVER, SP__ROLE__ROLE_FILTER},
    {SP__ROLE__ROLE_QUEUE, SP__ROLE__ROLE_DELIVERY},
    {SP__ROLE__ROLE_QUEUE, SP__ROLE__ROLE_LOCAL},
};

static void lost_role(struct child *c);

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err);

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    struct child *c = sp_port_arg(p);

    c->port = NULL;
    if (why->cls == SP_CLASS_PEER) {
        sp_log(SP_LOG_ROLE_BAD, "", SP_KVS("role", sp_role_name(c->role)),
               SP_KVS("reason", why->text));
        (void)uv_process_kill(&c->proc, SIGKILL);
    }
}

static const struct sp_port_ops child_ops = {.frame = on_frame, .gone = on_gone};

static int tell_setup(struct sup *s, struct child *c, bool reload)
{
    Sp__Setup m = SP__SETUP__INIT;
    int rc;

    m.role = c->role;
    m.instance = c->instance;
    m.config_text = s->config_text.p;
    m.data_directory = (char *)(uintptr_t)s->conf->data_directory;
    m.generation = s->generation;
    m.reload = reload;
    m.cookie_key = (ProtobufCBinaryData){sizeof s->cookie, s->cookie};
    rc = sp_material_share(s->material, c->role, &m);
    if (rc == 0)
        rc = sp_port_say(c->port, SP_MSG_SETUP, &m.base);
    sp_material_unshare(&m);
    return rc;
}

static void tell_listeners(struct sup *s, struct child *c)
{
    for (size_t i = 0; i < s->socks; i++) {
        Sp__ListenerFd m = SP__LISTENER_FD__INIT;
        bool wants = s->sock[i].control ? c->role == SP__ROLE__ROLE_QUEUE
                                        : c->role == SP__ROLE__ROLE_SERVER;

        if (!wants)
            continue;
        m.name = s->sock[i].name;
        m.address = s->sock[i].address;
        m.local = s->sock[i].control;
        (void)sp_port_send(c->port, SP_MSG_LISTENER, &m.base, NULL,
                           fcntl(s->sock[i].fd, F_DUPFD_CLOEXEC, 0));
    }
}

static void tell_shared(struct sup *s, struct child *c)
{
    Sp__SharedFd m = SP__SHARED_FD__INIT;

    if (c->role != SP__ROLE__ROLE_SERVER)
        return;
    m.parts = s->servers;
    (void)sp_port_send(c->port, SP_MSG_SHARED, &m.base, NULL,
                       fcntl(s->count_fd, F_DUPFD_CLOEXEC, 0));
}

static void tell_meters(struct sup *s, struct child *c)
{
    Sp__MetersFd m = SP__METERS_FD__INIT;
    Sp__Role role[1 + CHILDREN_MAX];
    uint32_t instance[1 + CHILDREN_MAX];

    role[0] = SP__ROLE__ROLE_SUPERVISOR;
    instance[0] = 0;
    for (size_t i = 0; i < s->children; i++) {
        role[1 + i] = s->child[i].role;
        instance[1 + i] = s->child[i].instance;
    }
    m.parts = sp_meters_count(s->meters);
    m.mine = (uint32_t)(1 + (c - s->child));
    m.role = role;
    m.instance = instance;
    m.n_role = m.n_instance = 1 + s->children;
    m.started_s = s->started_s;
    (void)sp_port_send(c->port, SP_MSG_METERS, &m.base, NULL,
                       fcntl(s->meters_fd, F_DUPFD_CLOEXEC, 0));
}

static void tell_peer(struct child *c, const struct child *other, int fd)
{
    Sp__PeerFd m = SP__PEER_FD__INIT;

    m.role = other->role;
    m.instance = other->instance;
    (void)sp_port_send(c->port, SP_MSG_PEER, &m.base, NULL, fd);
}

static void join_peers(struct sup *s, struct child *c)
{
    for (size_t i = 0; i < s->children; i++) {
        struct child *d = &s->child[i];

        for (size_t j = 0; j < sizeof links / sizeof links[0]; j++) {
            bool linked = (links[j].a == c->role && links[j].b == d->role) ||
                          (links[j].b == c->role && links[j].a == d->role);
            int fd[2];

            if (!linked || !d->port || !c->port || d == c)
                continue;
            if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0) {
                sp_log(SP_LOG_WARNING, "", SP_KVS("reason", "no descriptors for a channel"));
                continue;
            }
            tell_peer(c, d, fd[0]);
            tell_peer(d, c, fd[1]);
        }
    }
}

static void on_role_exit(uv_process_t *proc, int64_t status, int sig)
{
    struct child *c = proc->data;
    struct sup *s = c->sup;
    char text[64];

    c->running = c->ready = false;
    c->exit_status = !sig && status >= EX__BASE && status <= EX__MAX ? (int)status : 0;
    if (c->role == SP__ROLE__ROLE_SERVER)
        sp_count_clear(s->count, c->instance);
    sp_meter_ended(sp_meters_part(s->meters, (unsigned)(1 + (c - s->child))));
    sp_port_close(c->port);
    c->port = NULL;
    uv_close((uv_handle_t *)proc, NULL);
    snprintf(text, sizeof text, sig ? "signal %d" : "exit %d", sig ? sig : (int)status);
    if (s->phase == RUNNING && (sig || status))
        sp_log(SP_LOG_ROLE_DIED, "", SP_KVS("role", sp_role_name(c->role)),
               SP_KVU("instance", c->instance), SP_KVU("pid", (uint64_t)proc->pid),
               SP_KVS("status", text));
    lost_role(c);
}

/* Then the local role leaves root itself, and keeps the right to become these users. */
static bool runs_as_others(const struct sp_conf *c)
{
    for (size_t i = 0; i < c->n_routes; i++)
        if (c->routes[i].run_as)
            return true;
    return false;
}

/* Channel ends must not be inherited by other children: everything we open is CLOEXEC,
 * and the one end the child needs is given to it as descriptor 3. */
static int spawn(struct child *c)
{
    struct sup *s = c->sup;
    char role[32], instance[16];
    char *args[] = {(char[]){"sallyport"}, (char[]){"role"}, role, instance, NULL};
    uv_stdio_container_t io[4] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
        {.flags = UV_INHERIT_FD},
    };
    uv_process_options_t o = {.exit_cb = on_role_exit, .file = "/proc/self/exe", .args = args,
                              .stdio_count = 4, .stdio = io};
    struct sp_err err;
    int fd[2], rc;

    snprintf(role, sizeof role, "%s", sp_role_name(c->role));
    snprintf(instance, sizeof instance, "%u", c->instance);
    if (s->drop && !(c->role == SP__ROLE__ROLE_LOCAL && runs_as_others(s->conf))) {
        bool helper = c->role == SP__ROLE__ROLE_AUTH_HELPER;

        o.flags = UV_PROCESS_SETUID | UV_PROCESS_SETGID; /* and no further groups */
        o.uid = helper ? s->helper_uid : s->uid;
        o.gid = helper ? s->helper_gid : s->gid;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
        return -1;
    io[3].data.fd = fd[1];
    rc = uv_spawn(&s->loop, &c->proc, &o);
    close(fd[1]);
    c->proc.data = c;
    if (rc < 0) {
        sp_log(SP_LOG_WARNING, "", SP_KVS("reason", uv_strerror(rc)), SP_KVS("role", role));
        close(fd[0]);
        uv_close((uv_handle_t *)&c->proc, NULL);
        return -1;
    }
    c->running = true;
    c->ready = false;
    c->started_ms = uv_now(&s->loop);
    c->port = sp_port_new(&s->loop, fd[0], SP__ROLE__ROLE_SUPERVISOR, c->role, c->instance,
                          &child_ops, c, &err);
    if (!c->port) {
        (void)uv_process_kill(&c->proc, SIGKILL);
        return -1;
    }
    sp_log(SP_LOG_ROLE_START, "", SP_KVS("role", role), SP_KVU("instance", c->instance),
           SP_KVU("pid", (uint64_t)c->proc.pid));
    return 0;
}

static void start_again(uv_timer_t *t);

static void start(struct child *c)
{
    struct sup *s = c->sup;

    if (s->phase != RUNNING)
        return;
    if (spawn(c) < 0) {
        if (!c->running)
            uv_timer_start(&c->again, start_again, RESTART_MOST_MS, 0);
        return;
    }
    if (tell_setup(s, c, false) < 0) { /* it would wait for ever */
        sp_log(SP_LOG_WARNING, "", SP_KVS("role", sp_role_name(c->role)),
               SP_KVS("reason", "the configuration with its certificates is too large to "
                                "pass on, or memory is short"));
        (void)uv_process_kill(&c->proc, SIGKILL);
        return;
    }
    tell_meters(s, c);
    tell_shared(s, c);
    tell_listeners(s, c);
    join_peers(s, c);
}

static void start_again(uv_timer_t *t)
{
    start(t->data);
}

static void next_phase(struct sup *s);
static void stop(struct sup *s);

static void lost_role(struct child *c)
{
    struct sup *s = c->sup;
    bool well = uv_now(&s->loop) - c->started_ms >= LIVED_WELL_MS;

    if (s->phase != RUNNING) {
        next_phase(s);
        return;
    }
    if (!s->said_ready) { /* it never came up: that will not get better by itself */
        if (!s->status)
            s->status = c->exit_status ? c->exit_status : EX_SOFTWARE;
        sp_log(SP_LOG_FATAL, "", SP_KVS("role", sp_role_name(c->role)),
               SP_KVS("reason", "the role ended while starting; its last lines say why"));
        stop(s);
        return;
    }
    c->delay_ms = well ? RESTART_FIRST_MS
                  : c->delay_ms * 2 > RESTART_MOST_MS ? RESTART_MOST_MS
                                                      : c->delay_ms * 2;
    uv_timer_start(&c->again, start_again, c->delay_ms, 0);
}

static void check_ready(struct sup *s)
{
    for (size_t i = 0; i < s->children; i++)
        if (!s->child[i].ready)
            return;
    if (s->said_ready)
        return;
    s->said_ready = true;
    (void)initsys_say("READY=1\nSTATUS=serving");
    sp_log(SP_LOG_READY, "", SP_KVS("config", s->o->config),
           SP_KVS("data", s->conf->data_directory));
    sp_collect_now(&s->collect, s->conf);
}

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct child *c = sp_port_arg(p);
    struct sp_arena arena;
    Sp__Ready *m;

    if (f->type != SP_MSG_READY)
        return 0;
    sp_arena_init(&arena, 1 << 16);
    m = sp_frame_unpack(f, &arena);
    if (!m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed message");
    if (m->problem[0])
        sp_log(SP_LOG_RELOAD_REFUSED, "", SP_KVS("role", sp_role_name(c->role)),
               SP_KVS("reason", m->problem));
    c->ready = true;
    sp_arena_reset(&arena);
    check_ready(c->sup);
    return 0;
}

static void add_child(struct sup *s, Sp__Role role, unsigned instance)
{
    struct child *c = &s->child[s->children++];

    c->sup = s;
    c->role = role;
    c->instance = instance;
    c->delay_ms = RESTART_FIRST_MS;
    uv_timer_init(&s->loop, &c->again);
    c->again.data = c;
}

static unsigned count_servers(const struct sup *s)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t servers = s->conf->server_processes;

    if (servers == 0)
        servers = cpus > 0 ? (uint64_t)cpus : 1;
    return servers > CHILDREN_MAX / 2 ? CHILDREN_MAX / 2 : (unsigned)servers;
}

/* Only where there is something to ask. */
static struct child *add_once(struct sup *s, Sp__Role role, bool wanted)
{
    if (!wanted || s->children == CHILDREN_MAX)
        return NULL;
    for (size_t i = 0; i < s->children; i++)
        if (s->child[i].role == role)
            return NULL;
    add_child(s, role, 0);
    return &s->child[s->children - 1];
}

static struct child *add_filter(struct sup *s)
{
    return add_once(s, SP__ROLE__ROLE_FILTER, s->conf->n_milters + s->conf->n_policies > 0);
}

/* Is there an accounts section that auth cannot read by itself? */
static struct child *add_helper(struct sup *s)
{
    bool wanted = false;

    for (size_t i = 0; i < s->conf->n_accounts; i++)
        wanted |= s->conf->accounts[i].type != SP_CONF_ACCTS_SQLITE;
    return add_once(s, SP__ROLE__ROLE_AUTH_HELPER, wanted);
}

static void make_children(struct sup *s)
{
    add_child(s, SP__ROLE__ROLE_QUEUE, 0);
    add_child(s, SP__ROLE__ROLE_AUTH, 0);
    add_child(s, SP__ROLE__ROLE_LOCAL, 0);
    (void)add_filter(s);
    (void)add_helper(s);
    for (unsigned i = 0; i < s->conf->delivery_processes && s->children < 60; i++)
        add_child(s, SP__ROLE__ROLE_DELIVERY, i);
    for (unsigned i = 0; i < s->servers && s->children < CHILDREN_MAX; i++)
        add_child(s, SP__ROLE__ROLE_SERVER, i);
}

/* ---- reload ---- */

/* What this process has already done with the old value cannot be done again. */
static bool text_differs(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

static void say_restart(const struct sp_conf *old, const struct sp_conf *new)
{
    const struct {
        const char *key;
        bool differs;
    } fixed[] = {
        {"user", strcmp(old->user, new->user) != 0},
        {"group", strcmp(old->group ? old->group : "", new->group ? new->group : "") != 0},
        {"server-processes", old->server_processes != new->server_processes},
        {"delivery-processes", old->delivery_processes != new->delivery_processes},
        {"auth-helper-user", text_differs(old->auth_helper_user, new->auth_helper_user)},
        {"auth-helper-group", text_differs(old->auth_helper_group, new->auth_helper_group)},
        {"login-cache", old->login_cache_s != new->login_cache_s ||
                            old->login_cache_size != new->login_cache_size},
    };

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (fixed[i].differs)
            sp_log(SP_LOG_WARNING, "", SP_KVS("key", fixed[i].key),
                   SP_KVS("reason", "a new value of this key comes into force when the "
                                    "service is stopped and started again; the rest of the "
                                    "configuration is in force now"));
}

static uint64_t stamp_of(const struct sp_conf *c, const struct sp_material *m)
{
    return sp_material_stamp(c, m) ^ sp_sandbox_stamp(c);
}

static void put_in_force(struct sup *s, struct sp_conf *c, struct sp_material *m)
{
    struct sp_conf *old = s->conf;
    struct child *added;

    s->conf = c;
    if (set_config_text(s) < 0) {
        s->conf = old;
        sp_conf_unref(c);
        sp_material_free(m);
        sp_log(SP_LOG_RELOAD_REFUSED, "", SP_KVS("reason", "out of memory"));
        return;
    }
    sp_log_setup(2, s->o->log_json || c->log_format == SP_CONF_LOG_JSON, c->log_level,
                 "supervisor");
    say_restart(old, c);
    sp_conf_unref(old);
    sp_material_free(s->material);
    s->material = m;
    s->generation++;
    drop_sockets(s);
    for (size_t i = 0; i < s->children; i++)
        if (s->child[i].port) {
            (void)tell_setup(s, &s->child[i], true);
            tell_listeners(s, &s->child[i]);
        }
    added = add_filter(s);
    if (added)
        start(added);
    added = add_helper(s);
    if (added)
        start(added);
    sp_log(SP_LOG_RELOAD, "", SP_KVU("generation", s->generation));
    if (s->said_ready && s->phase == RUNNING)
        sp_collect_now(&s->collect, s->conf);
}

/* False: what was in force stays so. */
static bool reload(struct sup *s)
{
    struct sp_conf *c = read_config(s, SP_LOG_RELOAD_REFUSED);
    struct sp_material *m;
    struct sp_err err;

    if (!c)
        return false;
    if (strcmp(c->data_directory, s->conf->data_directory) != 0) {
        sp_log(SP_LOG_RELOAD_REFUSED, "",
               SP_KVS("reason", "data-directory cannot change while the service runs: "
                                "stop it and start it again"));
        sp_conf_unref(c);
        return false;
    }
    m = read_material(c, SP_LOG_RELOAD_REFUSED);
    if (m && open_sockets(s, c, &err) < 0) {
        sp_log(SP_LOG_RELOAD_REFUSED, "", SP_KVS("reason", err.text));
        sp_material_free(m);
        m = NULL;
    }
    if (!m) {
        sp_conf_unref(c);
        return false;
    }
    s->stamp = stamp_of(c, m);
    put_in_force(s, c, m);
    say_unused(c);
    return true;
}

static void on_hup(uv_signal_t *h, int sig)
{
    struct sup *s = h->data;

    (void)sig;
    if (s->phase != RUNNING)
        return;
    initsys_say_reloading();
    (void)initsys_say(reload(s) ? "READY=1\nSTATUS=serving, reloaded"
                                : "READY=1\nSTATUS=serving, the new configuration was "
                                  "refused: see the log");
}

/* From the loop that does everything else: one that hangs says nothing. */
static void on_alive(uv_timer_t *t)
{
    (void)t;
    (void)initsys_say("WATCHDOG=1");
}

/* Certificates, lists and passwords that changed on disk come into force by themselves;
 * half-written ones fail to parse and are looked at again when they change again. */
static void on_watch(uv_timer_t *t)
{
    struct sup *s = t->data;
    uint64_t stamp;
    struct sp_material *m;

    if (s->phase == RUNNING && uv_now(&s->loop) >= s->crl_ms) {
        s->crl_ms = uv_now(&s->loop) + CRL_MS;
        sp_renew_own_crl(s->conf);
    }
    stamp = stamp_of(s->conf, s->material);
    if (s->phase != RUNNING || stamp == s->stamp)
        return;
    s->stamp = stamp;
    m = read_material(s->conf, SP_LOG_RELOAD_REFUSED);
    if (m) {
        s->stamp = stamp_of(s->conf, m); /* it may name other lists */
        put_in_force(s, sp_conf_ref(s->conf), m);
    }
}

/* ---- the end ---- */

static bool any_running(struct sup *s, Sp__Role role)
{
    for (size_t i = 0; i < s->children; i++)
        if (s->child[i].role == role && s->child[i].running)
            return true;
    return false;
}

static void drain(struct sup *s, Sp__Role role)
{
    Sp__Drain m = SP__DRAIN__INIT;

    m.seconds = DRAIN_SECONDS;
    for (size_t i = 0; i < s->children; i++)
        if (s->child[i].role == role && s->child[i].port)
            (void)sp_port_say(s->child[i].port, SP_MSG_DRAIN, &m.base);
}

static void end(struct sup *s)
{
    s->phase = ENDED;
    for (size_t i = 0; i < s->children; i++)
        uv_close((uv_handle_t *)&s->child[i].again, NULL);
    uv_close((uv_handle_t *)&s->on_hup, NULL);
    uv_close((uv_handle_t *)&s->on_term, NULL);
    uv_close((uv_handle_t *)&s->on_int, NULL);
    uv_close((uv_handle_t *)&s->watch, NULL);
    uv_close((uv_handle_t *)&s->deadline, NULL);
    uv_close((uv_handle_t *)&s->alive, NULL);
    sp_collect_stop(&s->collect);
}

/* Enters the next phase whenever all roles of the present one have ended. */
static void next_phase(struct sup *s)
{
    static const struct {
        enum phase phase;
        Sp__Role role[3]; /* NONE: no more */
    } order[] = {
        {STOP_SERVERS, {SP__ROLE__ROLE_SERVER}},
        {STOP_DELIVERY, {SP__ROLE__ROLE_DELIVERY, SP__ROLE__ROLE_LOCAL}},
        {STOP_QUEUE, {SP__ROLE__ROLE_QUEUE}},
        {STOP_REST, {SP__ROLE__ROLE_AUTH, SP__ROLE__ROLE_AUTH_HELPER, SP__ROLE__ROLE_FILTER}},
    };

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (s->phase != order[i].phase)
            continue;
        for (size_t k = 0; k < 3 && order[i].role[k]; k++)
            if (any_running(s, order[i].role[k]))
                return;
        s->phase++;
        if (s->phase == ENDED)
            break;
        for (size_t k = 0; k < 3 && order[i + 1].role[k]; k++)
            drain(s, order[i + 1].role[k]);
    }
    if (s->phase == ENDED && !uv_is_closing((uv_handle_t *)&s->watch))
        end(s);
}

static void kill_all(struct sup *s)
{
    for (size_t i = 0; i < s->children; i++)
        if (s->child[i].running)
            (void)uv_process_kill(&s->child[i].proc, SIGKILL);
}

static void on_deadline(uv_timer_t *t)
{
    sp_log(SP_LOG_WARNING, "",
           SP_KVS("reason", "roles did not finish in time and were killed; what was "
                            "acknowledged is in the queue"));
    kill_all(t->data);
}

/* Nobody accepts from here on: with our copy of the socket open the kernel would go on
 * taking connections, and those clients would wait for nothing. */
static void close_listeners(struct sup *s)
{
    initsys_close(); /* systemd has them still: who comes now is served by the next start */
    for (size_t i = 0; i < s->socks; i++) {
        if (s->sock[i].control || s->sock[i].fd < 0)
            continue;
        close(s->sock[i].fd);
        s->sock[i].fd = -1;
    }
}

static void stop(struct sup *s)
{
    s->phase = STOP_SERVERS;
    (void)initsys_say("STOPPING=1\nSTATUS=finishing what is under way");
    close_listeners(s);
    drain(s, SP__ROLE__ROLE_SERVER);
    uv_timer_start(&s->deadline, on_deadline, KILL_AFTER_MS, 0);
    next_phase(s);
}

static void on_stop(uv_signal_t *h, int sig)
{
    struct sup *s = h->data;

    if (s->phase != RUNNING) { /* the second one: now */
        kill_all(s);
        return;
    }
    sp_log(SP_LOG_STOP, "", SP_KVS("reason", sig == SIGINT ? "SIGINT" : "SIGTERM"));
    stop(s);
}

/* ---- start ---- */

/* After kill -9 of a supervisor its roles need a moment to go; whoever starts the next
 * one at once should not have to try twice. */
static int open_sockets_patiently(struct sup *s, struct sp_err *err)
{
    int rc = open_sockets(s, s->conf, err);

    for (int i = 0; rc < 0 && err->cls == SP_CLASS_TEMPORARY && i < OTHERS_GO_MS / 100;
         i++) {
        (void)usleep(100000);
        rc = open_sockets(s, s->conf, err);
    }
    return rc;
}

/* -1: the configuration wants more than this kernel has. */
static int look_at_kernel(struct sup *s)
{
    char lacks[600], text[700];

    sp_rolefiles_lacks(lacks, sizeof lacks);
    snprintf(text, sizeof text, "this kernel cannot confine roles in all respects; it lacks %s",
             lacks);
    if (lacks[0])
        sp_log(SP_LOG_WARNING, "", SP_KVS("reason", text));
    if (!s->locked_memory)
        sp_log(SP_LOG_WARNING, "",
               SP_KVS("reason", "private keys in memory can be swapped to disk: the limit of "
                                "locked memory (LimitMEMLOCK=, ulimit -l) is below 8 MB"));
    if (lacks[0] && s->conf->confinement == SP_CONF_CONFINED_FULLY)
        return fail(s, EX_UNAVAILABLE, "confinement = full: not on this kernel");
    return 0;
}

static int prepare(struct sup *s)
{
    struct sp_err err;

    s->conf = read_config(s, SP_LOG_FATAL);
    if (!s->conf) {
        s->status = EX_CONFIG;
        return -1;
    }
    sp_log_setup(2, s->o->log_json || s->conf->log_format == SP_CONF_LOG_JSON,
                 s->conf->log_level, "supervisor");
    sp_log(SP_LOG_START, "", SP_KVS("version", SP_VERSION),
           SP_KVU("pid", (uint64_t)getpid()), SP_KVS("data", s->conf->data_directory));
    if (find_account(s) < 0)
        return -1;
    if (sp_firstrun(s->conf, s->uid, s->gid, &err) < 0)
        return fail(s, err.code == SP_EAGAIN ? EX_TEMPFAIL : EX_CANTCREAT, err.text);
    s->material = read_material(s->conf, SP_LOG_FATAL);
    if (!s->material) {
        s->status = EX_CONFIG;
        return -1;
    }
    s->stamp = stamp_of(s->conf, s->material);
    if (look_at_kernel(s) < 0)
        return -1;
    if (open_sockets_patiently(s, &err) < 0)
        return fail(s, err.cls == SP_CLASS_TEMPORARY ? EX_TEMPFAIL : EX_CONFIG, err.text);
    say_unused(s->conf);
    if (set_config_text(s) < 0 || RAND_bytes(s->cookie, sizeof s->cookie) != 1)
        return fail(s, EX_OSERR, "out of memory");
    s->servers = count_servers(s);
    s->count = sp_count_make(s->servers, &s->count_fd, &err) == 0
                   ? sp_count_map(s->count_fd, s->servers, 0, s->cookie, &err)
                   : NULL;
    return s->count ? 0 : fail(s, EX_OSERR, err.text);
}

static void watch_signals(struct sup *s)
{
    uv_signal_init(&s->loop, &s->on_hup);
    uv_signal_init(&s->loop, &s->on_term);
    uv_signal_init(&s->loop, &s->on_int);
    s->on_hup.data = s->on_term.data = s->on_int.data = s;
    uv_signal_start(&s->on_hup, on_hup, SIGHUP);
    uv_signal_start(&s->on_term, on_stop, SIGTERM);
    uv_signal_start(&s->on_int, on_stop, SIGINT);
    uv_timer_init(&s->loop, &s->watch);
    uv_timer_init(&s->loop, &s->deadline);
    s->watch.data = s->deadline.data = s;
    uv_timer_start(&s->watch, on_watch, WATCH_MS, WATCH_MS);
    uv_timer_init(&s->loop, &s->alive);
    if (initsys_watchdog_ms())
        uv_timer_start(&s->alive, on_alive, 0, initsys_watchdog_ms() / 3 + 1);
}

static void clean_up(struct sup *s)
{
    for (size_t i = 0; i < s->socks; i++)
        forget(s, &s->sock[i]);
    if (s->count_fd >= 0)
        close(s->count_fd);
    if (s->meters_fd >= 0)
        close(s->meters_fd);
    sp_meters_free(s->meters);
    sp_count_free(s->count);
    sp_material_free(s->material);
    sp_buf_free(&s->config_text);
    sp_conf_unref(s->conf);
    sp_wipe(s->cookie, sizeof s->cookie);
}

static int share_meters(struct sup *s)
{
    unsigned parts = (unsigned)(1 + s->children);
    struct sp_err err;

    s->meters = sp_meters_make(parts, &s->meters_fd, &err) == 0
                    ? sp_meters_map(s->meters_fd, parts, &err)
                    : NULL;
    if (!s->meters)
        return fail(s, EX_OSERR, err.text);
    s->started_s = sp_wall_ms() / 1000;
    sp_meter_use(sp_meters_part(s->meters, 0));
    return 0;
}

int sp_supervise(const struct sp_serve_options *o)
{
    static struct sup sup;
    struct sup *s = &sup;

    s->o = o;
    s->count_fd = s->meters_fd = -1;
    signal(SIGPIPE, SIG_IGN);
    s->locked_memory = sp_sandbox_memory();
    umask(027);
    sp_log_setup(2, o->log_json, SP_LEVEL_INFO, "supervisor");
    initsys_begin();
    if (prepare(s) < 0) {
        clean_up(s);
        return s->status;
    }
    uv_loop_init(&s->loop);
    watch_signals(s);
    make_children(s);
    sp_collect_start(&s->collect, &s->loop, geteuid() == 0);
    if (share_meters(s) < 0) {
        clean_up(s);
        return s->status;
    }
    for (size_t i = 0; i < s->children; i++)
        start(&s->child[i]);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&s->loop);
    sp_log(SP_LOG_STOP, "", SP_KVS("reason", s->status ? "error" : "done"));
    clean_up(s);
    return s->status;
}
