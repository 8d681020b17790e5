/* door.c - see door.h. */
#include "door.h"

#include "alloc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHORTAGE_MS = 100 };

struct sp_door {
    uv_poll_t poll;
    uv_timer_t again; /* runs while no descriptor is to be had */
    struct sp_doors *of;
    void *arg;
    char *address;
    int fd;
    unsigned handles;
    struct sp_door *next; /* of those that are open */
};

static void let_in(struct sp_door *d);

static void on_again(uv_timer_t *t)
{
    let_in(t->data);
}

static void on_knock(uv_poll_t *h, int status, int events)
{
    struct sp_door *d = h->data;
    struct sp_doors *all = d->of;

    if (status < 0 || !(events & UV_READABLE))
        return;
    while (all->guests < all->max) {
        int fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            (void)uv_poll_stop(&d->poll);
            uv_timer_start(&d->again, on_again, SHORTAGE_MS, 0);
        }
        if (fd < 0)
            return;
        all->guests++;
        if (!all->guest(d->arg, fd)) {
            all->guests--;
            close(fd);
        }
    }
    (void)uv_poll_stop(&d->poll); /* the next one who leaves lets in again */
}

static void let_in(struct sp_door *d)
{
    (void)uv_poll_start(&d->poll, UV_READABLE, on_knock);
}

static void door_free(struct sp_door *d)
{
    if (d)
        sp_free(d->address);
    sp_free(d);
}

static void on_closed(uv_handle_t *h)
{
    struct sp_door *d = h->data;

    if (--d->handles == 0)
        door_free(d);
}

static void door_close(struct sp_door *d)
{
    (void)uv_poll_stop(&d->poll); /* before the number can be another file's */
    close(d->fd);
    uv_close((uv_handle_t *)&d->poll, on_closed);
    uv_close((uv_handle_t *)&d->again, on_closed);
}

int sp_doors_open(struct sp_doors *all, uv_loop_t *loop, const char *address, int fd,
                  void *arg, struct sp_err *err)
{
    struct sp_door *d;

    for (d = all->first; d; d = d->next)
        if (strcmp(d->address, address) == 0) {
            close(fd);
            return 0;
        }
    d = sp_alloc(sizeof *d);
    if (d)
        d->address = sp_strdup(address);
    if (!d || !d->address || uv_poll_init(loop, &d->poll, fd) < 0) {
        close(fd);
        door_free(d);
        return sp_err_nomem(err);
    }
    uv_timer_init(loop, &d->again);
    d->of = all;
    d->arg = arg;
    d->fd = fd;
    d->handles = 2;
    d->poll.data = d->again.data = d;
    d->next = all->first;
    all->first = d;
    let_in(d);
    return 0;
}

void sp_doors_keep(struct sp_doors *all,
                   bool (*wanted)(const void *arg, const char *address),
                   const void *arg)
{
    struct sp_door **at = &all->first;

    while (*at) {
        struct sp_door *d = *at;

        if (wanted(arg, d->address)) {
            at = &d->next;
        } else {
            *at = d->next;
            door_close(d);
        }
    }
}

void sp_doors_left(struct sp_doors *all)
{
    if (all->guests-- == all->max)
        for (struct sp_door *d = all->first; d; d = d->next)
            let_in(d);
}
