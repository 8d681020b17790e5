/*
 * listen.h - accepting connections.
 *
 *     static void on_accept(struct sp_conn *c, void *arg)
 *     {
 *         sp_conn_start(c, &ops, session);      or sp_conn_abort(c), before returning
 *     }
 *     rc = sp_listen_bind("[::1]:587", &fd, &err);          supervisor, with its rights
 *     rc = sp_listen_fd(net, fd, on_accept, arg, &l, &err); server role, inherited
 *     sp_listen_free(l);
 *
 * Connections come with the input gate set (conn.h).  When descriptors or memory run
 * out, accepting pauses for 100 ms at a time: clients wait in the backlog instead of
 * being thrown away, and the loop does not spin.
 */
#ifndef SP_LISTEN_H
#define SP_LISTEN_H

#include "conn.h"

#define SP_LISTEN_BACKLOG 1024

struct sp_listen;
typedef void sp_accept_fn(struct sp_conn *c, void *arg);

/* A listening socket (close-on-exec, non-blocking) for "192.0.2.1:587", "[::1]:587" or
 * "*:587" (both families).  IPv6 addresses but "*" are bound for IPv6 only.  `share`:
 * several processes may bind it (SO_REUSEPORT).  0, or -SP_EIO / -SP_EINPUT. */
int sp_listen_bind(const char *address, bool share, int *ret_fd, struct sp_err *err);
/* A Unix socket with these permissions.  A dead socket of that name (nobody listens) is
 * replaced; a live one is an error, as is anything that is no socket. */
int sp_listen_bind_unix(const char *path, unsigned mode, int *ret_fd,
                        struct sp_err *err);

/* Accepts on fd, which it owns from then on (not on failure). */
int sp_listen_fd(struct sp_net *net, int fd, sp_accept_fn *on_accept, void *arg,
                 struct sp_listen **ret, struct sp_err *err);
void sp_listen_pause(struct sp_listen *l, bool paused);  /* overload, draining */
uint16_t sp_listen_port(const struct sp_listen *l);      /* 0 for a Unix socket */
uint64_t sp_listen_shortages(const struct sp_listen *l); /* times it had to pause */
/* Stops and closes the socket; a Unix socket's name stays.  NULL is fine. */
void sp_listen_free(struct sp_listen *l);

#endif
