/*
 * role.h - the life of one role process.
 *
 * The supervisor starts `sallyport role NAME INSTANCE` with a channel on descriptor 3
 * and says SETUP, LISTENER..., PEER...; the role answers READY.  SETUP comes again at
 * each reload.  When the channel ends - the supervisor is gone, even by kill -9 - the
 * role exits at once.
 *
 * `setup` opens what the role needs; behind it the process is locked in (sandbox.h).
 */
#ifndef SP_ROLE_H
#define SP_ROLE_H

#include "conf.h"
#include "meter.h"
#include "port.h"

/* How long behind Submit.until_ms the server still waits for the queue's answer. */
enum { SP_SUBMIT_GRACE_MS = 4000 };

struct sp_role;

struct sp_role_ops {
    Sp__Role role;
    /* A configuration, already parsed; the role takes its own reference if it keeps it.
     * At a reload a failure leaves the old one in force. */
    int (*setup)(struct sp_role *r, const Sp__Setup *s, struct sp_conf *conf,
                 struct sp_err *err);
    /* All below may be NULL where the role has no such thing.  fd is given away. */
    int (*listener)(struct sp_role *r, const Sp__ListenerFd *l, int fd, struct sp_err *err);
    int (*shared)(struct sp_role *r, unsigned parts, int fd, struct sp_err *err);
    int (*peer)(struct sp_role *r, Sp__Role peer, unsigned instance, int fd,
                struct sp_err *err);
    /* Finish what is in flight within so many seconds, then sp_role_exit(r, 0). */
    void (*drain)(struct sp_role *r, unsigned seconds);
};

struct sp_role {
    uv_loop_t loop;
    const struct sp_role_ops *ops;
    unsigned instance;
    struct sp_port *up; /* the supervisor */
    struct sp_arena arena; /* for frames from the supervisor */
    uint64_t generation;
    bool ready, draining;
    void *self;         /* the role's own state */
    struct sp_meters *meters; /* of all processes; NULL: SP_MSG_METERS has not come */
    unsigned parts;           /* of them, and whose each is */
    Sp__Role part_role[SP_METER_PARTS_MAX];
    uint64_t service_started_s;
};

/* argv after "role".  Returns the exit status. */
int sp_role_main(const struct sp_role_ops *ops, unsigned instance);
/* The content of a file that SETUP brought along; empty when path is NULL or not there. */
struct sp_str sp_setup_file(const Sp__Setup *s, const char *path);
void sp_role_exit(struct sp_role *r, int status); /* flushes; does not return */

extern const struct sp_role_ops sp_role_server, sp_role_auth, sp_role_queue,
    sp_role_delivery, sp_role_local, sp_role_filter, sp_role_auth_helper;

#endif
