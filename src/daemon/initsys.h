/*
 * initsys.h - what systemd and the service say to each other: sd_notify(3),
 * sd_listen_fds(3), sd_watchdog_enabled(3).
 *
 *     initsys_begin();                      first of all: takes the environment away
 *     initsys_say("READY=1");
 *     every initsys_watchdog_ms() / 2:      initsys_say("WATCHDOG=1");
 *     for (i = 0; i < initsys_sockets(); i++)
 *         initsys_name(i), initsys_fd(i)    sockets that were passed, by name
 *
 * Both are a few lines of environment and one datagram, and have not changed since 2010:
 * done here, the process that is root loads no library for it.  Without systemd, or with
 * another supervisor, all of it does nothing.
 *
 * The roles are not told: the variables are removed, because a role that could say
 * "ready" or "alive" for the service could also hide that it is not.
 *
 * Descriptors stay this module's, close-on-exec; a caller duplicates what it keeps.
 */
#ifndef SP_INITSYS_H
#define SP_INITSYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INITSYS_SOCKETS = 64, INITSYS_NAME = 64 };

/* Once, before threads and children. */
void initsys_begin(void);
/* Lines as in sd_notify(3).  False: nobody listens, or it could not be told. */
bool initsys_say(const char *lines);
/* RELOADING=1 with the time that systemd wants to see beside it. */
void initsys_say_reloading(void);
/* How often WATCHDOG=1 is wanted at least; 0: not at all. */
uint64_t initsys_watchdog_ms(void);

/* Sockets that listen and were passed (LISTEN_FDS); others are closed by begin. */
size_t initsys_sockets(void);
const char *initsys_name(size_t i);
int initsys_fd(size_t i); /* -1: closed */
/* Where it listens, as in the configuration: 192.0.2.1:587, [::]:587, unix:/path. */
void initsys_address(size_t i, char *ret, size_t cap);
/* How many of this name there are. */
size_t initsys_named(const char *name);
/* What is over: nothing is accepted by us from here on. */
void initsys_close(void);

#endif
