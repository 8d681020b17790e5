/* door.h - where strangers come in: the listening sockets of a role's loop that share one
 * limit, as the control socket and the metrics have.
 *
 *     static struct sp_doors doors = {.max = 8, .guest = come_in};
 *
 *     rc = sp_doors_open(&doors, loop, address, fd, arg, &err);
 *     ...
 *     sp_doors_left(&doors);              when a guest has gone
 *     sp_doors_keep(&doors, named, conf); after a reload
 *
 * guest() gets a connected descriptor, non-blocking and close-on-exec, which is its own: it
 * closes it.  Who comes while `max` are inside waits in the backlog, as he does when the
 * process has no descriptor left; the loop does not spin over it. */
#ifndef SP_DOOR_H
#define SP_DOOR_H

#include "err.h"

#include <stdbool.h>
#include <uv.h>

struct sp_door;

struct sp_doors {
    unsigned max; /* guests at a time, over all doors */
    /* False: it did not come in, is not counted, and its descriptor is closed. */
    bool (*guest)(void *arg, int fd);

    unsigned guests; /* the rest is door.c's */
    struct sp_door *first;
};

/* A listening socket, from now on the door's, is watched under this address.  One that is
 * open already stays and the new socket is closed.  0, or negative with the socket closed. */
int sp_doors_open(struct sp_doors *d, uv_loop_t *loop, const char *address, int fd,
                  void *arg, struct sp_err *err);

/* Closes the doors at addresses that are not wanted any more; guests stay inside. */
void sp_doors_keep(struct sp_doors *d,
                   bool (*wanted)(const void *arg, const char *address),
                   const void *arg);

/* A guest has gone. */
void sp_doors_left(struct sp_doors *d);

#endif
