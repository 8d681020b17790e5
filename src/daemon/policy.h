/* policy.h - a listener's configuration as the protocol engine wants it. */
#ifndef SP_POLICY_H
#define SP_POLICY_H

#include "conf.h"

#include "certmap.h"
#include "fixup.h"

#include <sallyport/server.h>

/* p borrows strings of c: it must not outlive it.  `config explain` asks it too. */
void srv_policy(struct sp_srv_policy *p, const struct sp_conf *c,
                const struct sp_conf_listener *l);
/* The duties towards headers, as header-rules and hops-max want them. */
void srv_header_rules(struct sp_fix_policy *p, const struct sp_conf *c,
                      const struct sp_conf_listener *l);
/* What the listener lets its CA vouch for; q borrows strings of l. */
void srv_cert_domains(struct sp_cert_look *q, const struct sp_conf_listener *l);
/* Are clients asked for a certificate?  some_certificate: an account has a pin or a
 * mapping. */
bool srv_asks_certificate(const struct sp_conf_listener *l, bool some_certificate);

#endif
