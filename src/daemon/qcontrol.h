/*
 * qcontrol.h - what administrators ask of the queue: list, show, retry, hold, release,
 * remove, count.
 *
 * The same code answers over the control socket and, without a running server, in the
 * command line under the data directory's lock.  Rows are JSON objects; the command line
 * renders them for people.
 */
#ifndef SP_QCONTROL_H
#define SP_QCONTROL_H

#include "spool.h"

struct sp_qcontrol {
    struct sp_spool *spool;
    uint64_t now_ms;
    void (*row)(void *arg, struct sp_str json); /* NUL-terminated as well */
    void *row_arg;
    sp_change_fn *change; /* for the schedule; NULL without one */
    void *change_arg;
    /* The outcome */
    int exit_code; /* sysexits.h */
    char text[500];
    uint64_t count;
};

void sp_qcontrol_run(struct sp_qcontrol *c, const Sp__ControlRequest *m);

#endif
