/*
 * firstrun.h - what must be there before the service can run.
 *
 * Makes the data directory and its folders with the right owner, and the built-in
 * self-signed certificate when the configuration names no other: an empty file runs.
 */
#ifndef SP_FIRSTRUN_H
#define SP_FIRSTRUN_H

#include "conf.h"

#include <sys/types.h>

/* uid, gid: whom the roles become.  Nothing that exists is changed, but for the owner of
 * folders that we made.  The error says what to do. */
int sp_firstrun(const struct sp_conf *c, uid_t uid, gid_t gid, struct sp_err *err);
/* Writes the revocation list of the CA in the data directory anew when a listener uses
 * it and it ends within half its life: nobody could log in by certificate once it is out
 * of date.  Cheap; for a timer, too.  A failure is logged, the list still holds for
 * days. */
void sp_renew_own_crl(const struct sp_conf *c);

#endif
