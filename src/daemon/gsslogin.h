/*
 * gsslogin.h - one GSSAPI login, its steps taken in the pool: they read files and may
 * block, and auth's loop must not.
 *
 *     l = gsslogin_new(loop, conf, ended, arg, serial, session);
 *     gsslogin_step(l, token)      then ended() once, from the loop
 *     gsslogin_free(l)             also while a step is under way: ended() is not called
 */
#ifndef SP_GSSLOGIN_H
#define SP_GSSLOGIN_H

#include "conf.h"
#include "gss.h"

#include <uv.h>

struct gsslogin;

/* token: lives during the call.  err: with SP_SASL_FAILED. */
typedef void gsslogin_ended(void *arg, uint64_t serial, uint64_t session,
                            enum sp_sasl_status st, struct sp_str token,
                            const struct sp_err *err);

/* serial and session come back in ended(): who asked may be gone then.  NULL: no memory.
 * conf names the key table (without one the first step fails), the principal and the data
 * directory, where the replay cache is; it is kept. */
struct gsslogin *gsslogin_new(uv_loop_t *loop, struct sp_conf *conf,
                              gsslogin_ended *ended, void *arg, uint64_t serial,
                              uint64_t session);
/* 0; -SP_ESTATE while one is under way; -SP_ENOMEM.  token.p NULL: none came. */
int gsslogin_step(struct gsslogin *l, struct sp_str token);
/* After SP_SASL_DONE. */
const struct sp_gss *gsslogin_gss(const struct gsslogin *l);
void gsslogin_free(struct gsslogin *l); /* NULL is fine */

/* Could a login be judged?  0 where no listener offers GSSAPI, or the key table has a
 * fitting key and who runs the server may read it; else negative, with the reason.  Not
 * for the loop: it reads files, and as root it asks a child with the service's rights. */
int gsslogin_check(const struct sp_conf *conf, struct sp_err *err);

#endif
