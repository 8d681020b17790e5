/*
 * sendexit.h - how `send` ends: one table from what happened to sysexits.h.
 */
#ifndef SP_SENDEXIT_H
#define SP_SENDEXIT_H

#include "talk.h"

/* code 0: no reply.  no_login: the credentials were refused, or a login is wanted that
 * cannot be given. */
int sp_send_exit(enum sp_cli_stage stage, int code, enum sp_class cls, bool no_login);

#endif
