/*
 * qcontrol.h - what administrators ask of the queue: list, show, retry, hold, release,
 * expire, reroute, remove, count, suspend and resume, destinations.
 *
 * The same code answers over the control socket and, without a running server, in the
 * command line under the data directory's lock.  Rows are JSON objects; the command line
 * renders them for people.
 *
 *     sp_qcontrol_run(&c, request);
 *     while (c.more)                        only with `enough`, only for queue.list
 *         sp_qcontrol_run(&c, request);     later, when there is room: it goes on
 */
#ifndef SP_QCONTROL_H
#define SP_QCONTROL_H

#include "conf.h"
#include "spool.h"
#include "suspend.h"

#include <jansson.h>

struct sp_qcontrol {
    struct sp_spool *spool;
    uint64_t now_ms;
    /* NUL-terminated as well.  <0: it cannot be passed on, which the outcome says. */
    int (*row)(void *arg, struct sp_str json);
    /* Asked after each row of a list: true interrupts it, and `more` says so.  NULL: a
     * list is never interrupted. */
    bool (*enough)(void *arg);
    void *row_arg;
    sp_change_fn *change; /* for the schedule; NULL without one */
    void *change_arg;
    struct sp_suspend *suspended; /* for suspend, resume, paces and show */
    const struct sp_conf *conf;   /* the names of routes; NULL: none is known */
    /* With a schedule; NULL without one: what is behind a change, the rows of all
     * destinations, and why a job waits (NULL: for nothing of this kind). */
    void (*stopped)(void *arg, const struct sp_suspension *x, bool resumed);
    void (*paces)(void *arg, struct sp_qcontrol *c);
    const struct sp_suspension *(*why)(void *arg, uint64_t job);
    bool more;      /* run it again with the same request; `after` is where it goes on */
    uint64_t after; /* 0 at the beginning */
    /* The outcome */
    int exit_code; /* sysexits.h */
    char text[500];
    uint64_t count;
};

/* For `paces`: one more row, which is given away; text that may be no UTF-8. */
void sp_qcontrol_put(struct sp_qcontrol *c, json_t *row);
json_t *sp_qcontrol_text(const char *s);

/* The route of this name, one of those that stand in the configuration, or NULL. */
const struct sp_conf_route *sp_qcontrol_route(const struct sp_conf *c,
                                              const char *name);
void sp_qcontrol_run(struct sp_qcontrol *c, const Sp__ControlRequest *m);

#endif
