/*
 * acctask.h - auth's questions to the auth-helper role, and when they have waited enough.
 *
 *     x = acctask_new(&loop);  acctask_port(x, fd, instance);     each time there is a new helper
 *     acctask_ask(x, &q, answered, arg);                          always answered, exactly once
 *
 * While there is no helper, and when it dies, the answer is SP_ACCT_AWAY.  It comes after
 * acctask_ask() has returned, from the loop.  The caller frees nothing.
 */
#ifndef SP_ACCTASK_H
#define SP_ACCTASK_H

#include "acct.h"
#include "port.h"

struct acctask;

/* answer: filled with OK and MORE; lives during the call.  reason: with AWAY and NO. */
typedef void acctask_answered(void *arg, enum sp_acct_status st,
                              const struct sp_acct *answer, const char *reason);

struct acctask_q {
    const struct sp_conf_accounts *section;
    struct sp_acct_ask ask; /* without exchange */
    uint64_t exchange;      /* of SP_ACCT_SASL and its steps */
};

struct acctask *acctask_new(uv_loop_t *loop); /* NULL: no memory */
int acctask_port(struct acctask *x, int fd, unsigned instance, struct sp_err *err);
int acctask_ask(struct acctask *x, const struct acctask_q *q, acctask_answered *answered,
                void *arg);
void acctask_end(struct acctask *x, uint64_t exchange); /* nobody will go on with it */

#endif
