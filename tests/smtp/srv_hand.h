/*
 * srv_hand.h - parts of PROTOCOL.md about the server, by hand: they share no code and no
 * table with rules.c.  The explorer and the fuzzer judge the engine by them.
 */
#ifndef SP_SRV_HAND_H
#define SP_SRV_HAND_H

#include <sallyport/server.h>

/* What was proved when TLS began. */
struct srv_hand_tls {
    bool on, binding;
    bool cert_usable;
    bool cert_only; /* the certificate's user has no password */
};

/* Section 1, mechanism list; section 2, EXTERNAL offered.  mech -1: unknown. */
bool srv_hand_usable(const struct sp_srv_policy *p, const struct srv_hand_tls *t,
                     int mech);
bool srv_hand_listed(const struct sp_srv_policy *p, const struct srv_hand_tls *t,
                     int mech);

/* Every line of what a server said, from the start of a reply: NULL, or what is wrong with
 * *ret_line.  RFC 5321 4.2, 4.5.3.1.5; RFC 2034 4: the banner and the reply to a greeting,
 * both begin with the host's name, carry no enhanced status code. */
const char *srv_hand_form(struct sp_str said, const char *hostname,
                          struct sp_str *ret_line);

/* Bits of the mechanisms on the AUTH line of a reply to EHLO. */
unsigned srv_hand_mechs(struct sp_str said, bool *ret_external_last);

#endif
