/*
 * metrics.h - the counters of all processes for Prometheus, in the queue role.
 *
 *     metrics_listen(role, address, fd, &err);     one door for each address of `metrics`
 *
 * GET /metrics answers in the text format 0.0.4.  A connection gets one answer; it has a
 * few seconds to ask and to read, and there are only a few at a time: further ones wait
 * in the backlog.  What is asked is never believed beyond its first line.
 *
 * The rows are the event table (base/events.h) and the meters (base/meter.h): their number
 * is fixed, and no label comes from outside.
 */
#ifndef SP_METRICS_H
#define SP_METRICS_H

#include "q.h"

/* Takes fd.  An address that is open already stays as it is. */
int metrics_listen(struct sp_role *r, const char *address, int fd, struct sp_err *err);
/* Closes what the configuration does not name any more. */
void metrics_reconfigure(const struct sp_conf *c);

/* The whole text.  -SP_ELIMIT, -SP_ENOMEM. */
int metrics_text(const struct q *q, struct sp_buf *out);

#endif
