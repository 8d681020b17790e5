/* listen.c - see listen.h. */
#include "listen.h"

#include "alloc.h"
#include "connint.h"
#include "err.h"
#include "netaddr.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SHORTAGE_MS 100
#define BURST       64 /* connections accepted before the others get their turn */
#define GATE        (64 * 1024)

struct sp_listen {
    /* Not uv_listen(): with its descriptors used up libuv accepts and closes at once,
     * which a client sees as a refusal. */
    uv_poll_t poll;
    struct sp_net *net;
    struct sp_timer again;
    sp_accept_fn *on_accept;
    void *arg;
    int fd;
    uint64_t shortages;
    bool paused, freed;
};

static void poll_or_not(struct sp_listen *l);

static bool is_shortage(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

static void on_ready(uv_poll_t *h, int status, int events)
{
    struct sp_listen *l = h->data;

    (void)status;
    (void)events;
    for (int i = 0; i < BURST && !l->paused && !l->freed; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct sp_conn *c;
        int e = errno;

        if (fd >= 0 && sp_conn_from_fd(l->net, fd, &c, NULL) == 0) {
            sp_conn_gate(c, GATE);
            l->on_accept(c, l->arg);
            continue;
        }
        if (fd >= 0) {
            close(fd);
            e = ENOMEM;
        }
        if (is_shortage(e)) {
            l->shortages++;
            sp_timer_start(&l->again, SHORTAGE_MS);
            poll_or_not(l);
            return;
        }
        if (e == EAGAIN || e == EWOULDBLOCK)
            return;
        /* Otherwise this one connection died in the backlog (accept(2)). */
    }
}

static void poll_or_not(struct sp_listen *l)
{
    if (l->freed)
        return;
    if (l->paused || sp_timer_running(&l->again))
        (void)uv_poll_stop(&l->poll);
    else
        (void)uv_poll_start(&l->poll, UV_READABLE, on_ready);
}

static void on_again(void *arg)
{
    poll_or_not(arg);
}

static int open_socket(const struct sockaddr_storage *ss, bool any, bool share,
                       const char *address, struct sp_err *err)
{
    int on = 1, v6only = !any, fd;

    fd = socket(ss->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot listen on %s",
                          address);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if ((share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) ||
        (ss->ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) < 0) ||
        bind(fd, (const struct sockaddr *)ss, sp_addr_len(ss)) < 0 ||
        listen(fd, SP_LISTEN_BACKLOG) < 0) {
        int rc =
            sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot listen on %s", address);

        close(fd);
        return rc;
    }
    return fd;
}

int sp_listen_bind(const char *address, bool share, int *ret_fd, struct sp_err *err)
{
    bool any = address[0] == '*';
    struct sockaddr_storage ss;
    int fd;

    if (sp_naddr_parse(address, &ss) < 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "\"%.80s\" is not an address to listen on, such as "
                          "192.0.2.1:587, [::1]:587 or *:587",
                          address);
    fd = open_socket(&ss, any, share, address, any ? NULL : err);
    if (fd < 0 && any) { /* a machine without IPv6 */
        struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
        uint16_t port = sp_addr_port((const struct sockaddr *)&ss);

        memset(&ss, 0, sizeof ss);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        fd = open_socket(&ss, any, share, address, err);
    }
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

/* Removes a socket that a killed process left behind. */
static int clear_name(const struct sockaddr_un *un, struct sp_err *err)
{
    struct stat st;
    int fd, rc;

    if (lstat(un->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return sp_err_set(err, SP_CLASS_PEER, SP_EEXIST, "%s exists and is no socket",
                          un->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "socket");
    rc = connect(fd, (const struct sockaddr *)un, sizeof *un);
    close(fd);
    if (rc == 0)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EEXIST,
                          "%s: another process listens there", un->sun_path);
    if (errno == ECONNREFUSED)
        (void)unlink(un->sun_path);
    return 0;
}

int sp_listen_bind_unix(const char *path, unsigned mode, int *ret_fd,
                        struct sp_err *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    mode_t old;
    int fd, rc;

    if (strlen(path) >= sizeof un.sun_path)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: path too long", path);
    memcpy(un.sun_path, path, strlen(path));
    rc = clear_name(&un, err);
    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "cannot listen on %s", path);
    old = umask(0777 & ~mode); /* never wider than asked, not even for a moment */
    rc = bind(fd, (const struct sockaddr *)&un, sizeof un);
    (void)umask(old);
    if (rc < 0 || listen(fd, SP_LISTEN_BACKLOG) < 0) {
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot listen on %s", path);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int sp_listen_fd(struct sp_net *net, int fd, sp_accept_fn *on_accept, void *arg,
                 struct sp_listen **ret, struct sp_err *err)
{
    struct sp_listen *l = sp_alloc(sizeof *l);
    int rc;

    if (!l)
        return sp_err_nomem(err);
    l->net = net;
    l->fd = fd;
    l->on_accept = on_accept;
    l->arg = arg;
    rc = uv_poll_init(sp_net_loop(net), &l->poll, fd);
    if (rc < 0) {
        sp_free(l);
        return sp_err_set(err, SP_CLASS_BUG, SP_EIO, "cannot listen: %s",
                          uv_strerror(rc));
    }
    l->poll.data = l;
    sp_timer_init(&l->again, net, on_again, l);
    poll_or_not(l);
    *ret = l;
    return 0;
}

void sp_listen_pause(struct sp_listen *l, bool paused)
{
    l->paused = paused;
    poll_or_not(l);
}

uint16_t sp_listen_port(const struct sp_listen *l)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;

    memset(&ss, 0, sizeof ss);
    if (getsockname(l->fd, (struct sockaddr *)&ss, &n) < 0)
        return 0;
    return sp_addr_port((const struct sockaddr *)&ss);
}

uint64_t sp_listen_shortages(const struct sp_listen *l)
{
    return l->shortages;
}

static void on_gone(uv_handle_t *h)
{
    sp_free(h->data);
}

void sp_listen_free(struct sp_listen *l)
{
    if (!l || l->freed)
        return;
    l->freed = true;
    sp_timer_stop(&l->again);
    (void)uv_poll_stop(&l->poll);
    close(l->fd); /* after the poll was stopped (libuv's rule) */
    uv_close((uv_handle_t *)&l->poll, on_gone);
}
