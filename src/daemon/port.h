/*
 * port.h - a channel to another role (frame.h) in this process's event loop.
 *
 * Frames are handled one by one; then `batch_end` is called once for all that one turn
 * of the loop brought.  What was sent during a turn leaves together, just before the
 * loop waits again: one sendmsg for everything.
 *
 * A handler that returns <0 has found the peer lying: the port ends, `gone` is called.
 */
#ifndef SP_PORT_H
#define SP_PORT_H

#include "frame.h"

#include <uv.h>

struct sp_port;

struct sp_port_ops {
    int (*frame)(struct sp_port *p, const struct sp_frame *f, struct sp_err *err);
    void (*batch_end)(struct sp_port *p);   /* may be NULL */
    void (*credit)(struct sp_port *p);      /* may be NULL: there is room again */
    /* The other side is gone or lied.  The port is closed and freed after this returns:
     * forget it. */
    void (*gone)(struct sp_port *p, const struct sp_err *why);
    /* Frames stay valid after batch_end until sp_port_release(). */
    bool keep_frames;
};

/* Takes fd.  NULL: no memory, fd closed. */
struct sp_port *sp_port_new(uv_loop_t *loop, int fd, Sp__Role me, Sp__Role peer,
                            unsigned instance, const struct sp_port_ops *ops, void *arg,
                            struct sp_err *err);
/* Closes at the end of this turn of the loop; `gone` is not called.  NULL is fine. */
void sp_port_close(struct sp_port *p);

void *sp_port_arg(const struct sp_port *p);
Sp__Role sp_port_peer(const struct sp_port *p);
unsigned sp_port_instance(const struct sp_port *p);

int sp_port_send(struct sp_port *p, enum sp_msg type, const ProtobufCMessage *m,
                 const struct sp_raw *raw, int fd);
int sp_port_say(struct sp_port *p, enum sp_msg type, const ProtobufCMessage *m);
bool sp_port_full(const struct sp_port *p);
void sp_port_release(struct sp_port *p);
int sp_port_take_fd(struct sp_port *p);
/* Sends what waits now instead of at the end of the turn; for a process about to exit. */
void sp_port_flush(struct sp_port *p);

#endif
