/*
 * chk_auth.h - AUTH without a login: what scenes of other files ask for on their
 * connections.
 */
#ifndef SP_CHK_AUTH_H
#define SP_CHK_AUTH_H

#include "probe_i.h"

/* After EHLO inside TLS, nobody logged in: P04 P11 P24 P25; `ehlo` is its line. */
void sp_probe_auth_lists(struct sp_probe *p, struct sp_pw *w, unsigned ehlo);
/* P38 P19 P20 P45. */
void sp_probe_auth_dialogue(struct sp_probe *p, struct sp_pw *w);
/* P37, with a user that nobody is. */
void sp_probe_wrong_password(struct sp_probe *p, struct sp_pw *w);

#endif
