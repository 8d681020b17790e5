/* policy.h - a listener's configuration as the protocol engine wants it. */
#ifndef SP_POLICY_H
#define SP_POLICY_H

#include "conf.h"

#include <sallyport/server.h>

/* p borrows strings of c: it must not outlive it.  `config explain` asks it too. */
void srv_policy(struct sp_srv_policy *p, const struct sp_conf *c,
                const struct sp_conf_listener *l);

#endif
