/*
 * outcome.h - what a reply or a failure means for the message: one table, one question.
 *
 *     row = sp_outcome(stage, reply.code, cls);
 *     row->action: delivered, try again later, give up
 *     row->host:   the trouble is the host's: another host, or all its mail later
 */
#ifndef SP_OUTCOME_H
#define SP_OUTCOME_H

#include "sallyport.pb-c.h"

#include <sallyport/client.h>

struct sp_outcome_row {
    Sp__Action action;
    bool host;
    const char *enhanced; /* for the log and the notice when the other side gave none */
};

/* code 0: no reply, cls says why it failed.  Never NULL. */
const struct sp_outcome_row *sp_outcome(enum sp_cli_stage stage, int code,
                                        enum sp_class cls);

#endif
