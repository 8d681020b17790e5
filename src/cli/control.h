/* control.h - asking the running service: one request over the control socket, its rows, its
 * end.
 *
 *     fd = sp_control_connect(c->control_socket);
 *     rc = sp_control_ask(fd, &request, &how, &done, &err);
 *
 * A request is answered by rows (JSON text, each given to how->row, valid until it returns)
 * and then by done, which carries an exit code of sysexits.h with its words. */
#ifndef SP_CONTROL_H
#define SP_CONTROL_H

#include "err.h"
#include "frame.h"

#include <signal.h>

struct sp_control_how {
    void (*row)(void *arg, const char *json);
    void *arg;
    int silence_ms;                       /* longest without a word; -1: for ever */
    const volatile sig_atomic_t *stopped; /* a signal ends it; NULL: none does */
};

struct sp_control_done {
    int exit_code;
    uint64_t count; /* of messages changed */
    char text[512]; /* what to tell when exit_code is not 0 */
};

/* A connection, or -1: the service does not run, or does not want to hear us. */
int sp_control_connect(const char *path);

/* Takes fd.  1: the answer's end is in *ret_done; 0: stopped, or standard output is closed;
 * negative: broken off, *err says why. */
int sp_control_ask(int fd, const Sp__ControlRequest *m,
                   const struct sp_control_how *how, struct sp_control_done *ret_done,
                   struct sp_err *err);

#endif
