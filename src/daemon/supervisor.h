/*
 * supervisor.h - the process that starts everything and talks to no network.
 *
 * It reads configuration and keys, binds the sockets, starts the roles, joins them by
 * socket pairs, starts again what dies, reloads on SIGHUP and ends cleanly on SIGTERM or
 * SIGINT (a second one hurries).
 *
 *     server ──┬──► auth          every server has a channel to auth and to queue;
 *              └──► queue ──► delivery, local     queue has one to each delivery and local
 */
#ifndef SP_SUPERVISOR_H
#define SP_SUPERVISOR_H

#include "conf.h"

struct sp_serve_options {
    const char *config; /* path */
    bool log_json;      /* whatever the configuration says */
};

/* `sallyport serve`: returns the exit status (sysexits.h). */
int sp_supervise(const struct sp_serve_options *o);

#endif
