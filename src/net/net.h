/*
 * net.h - what all connections of one event loop share.
 *
 *     struct sp_net *net = sp_net_new(uv_default_loop());
 *     ... connections (conn.h), listeners (listen.h), dialling (dial.h) ...
 *     sp_net_free(net);                    aborts what is still open
 *     uv_run(loop, UV_RUN_DEFAULT);        lets libuv close the handles
 *
 * A process has one loop and one sp_net; nothing here is thread-safe.  The shared part
 * is: the read buffers (a session owns none), the deadlines (one uv timer for all of
 * them) and the list of connections with something to send at the end of a loop turn.
 *
 * Deadlines: a struct sp_timer lies inside its owner's struct, needs no allocation and
 * can be moved as often as wanted (moving one later costs a store).  The owner stops it
 * before its memory goes.
 */
#ifndef SP_NET_H
#define SP_NET_H

#include <sallyport/types.h>
#include <uv.h>

struct sp_net;

/* NULL: no memory.  SIGPIPE is set to be ignored if nobody handles it: a vanished peer
 * is an error return, not a signal. */
struct sp_net *sp_net_new(uv_loop_t *loop);
/* Aborts every connection of this loop and gives the memory back once libuv has closed
 * the handles.  Listeners and dials must have been freed before.  NULL is fine. */
void sp_net_free(struct sp_net *net);
uv_loop_t *sp_net_loop(struct sp_net *net);
size_t sp_net_connections(const struct sp_net *net); /* open or closing */

struct sp_timer {
    struct sp_net *net;
    void (*fire)(void *arg); /* may stop, restart or free the timer's owner */
    void *arg;
    uint64_t due;                       /* when it fires; 0: stopped */
    uint64_t key;                       /* its place in the heap: never after `due` */
    struct sp_timer *child, *next, *up; /* pairing heap; up: left sibling or parent */
};

void sp_timer_init(struct sp_timer *t, struct sp_net *net, void (*fire)(void *),
                   void *arg);
/* Fires once, `ms` from the loop's present time; 0 fires in the next loop turn.  A
 * running timer is moved. */
void sp_timer_start(struct sp_timer *t, uint64_t ms);
void sp_timer_stop(struct sp_timer *t);
bool sp_timer_running(const struct sp_timer *t);

#endif
