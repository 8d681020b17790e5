/*
 * sendexit.h - how `send` ends: one table from what happened to sysexits.h.
 */
#ifndef SP_SENDEXIT_H
#define SP_SENDEXIT_H

#include "talk.h"

/* code 0: no reply.  all_refused: every recipient was, by name. */
int sp_send_exit(enum sp_cli_stage stage, int code, enum sp_class cls,
                 bool auth_rejected);

#endif
