/*
 * tlspolicy.h - may this mail go over this connection?  One table, one question.
 *
 *     struct sp_tls_case c = {.dane = SP_DANE_USABLE, .setting = SP_TLS_MAY,
 *                             .happened = SP_TLS_UNVERIFIED};
 *     switch (sp_tls_policy(&c)->action) ...
 *
 * What is asked for adds up: the strongest of DANE (RFC 7672), MTA-STS (RFC 8461), what
 * the route says, and REQUIRETLS (RFC 8689) counts.  "TLS-Required: No" (RFC 8689 5)
 * takes back what policies of the recipient's domain ask for, never what the route says,
 * and REQUIRETLS goes before it.
 */
#ifndef SP_TLSPOLICY_H
#define SP_TLSPOLICY_H

#include "mxlook.h"

enum sp_sts { /* of the domain, for this host */
              SP_STS_NONE,
              SP_STS_TESTING,  /* only reported */
              SP_STS_ENFORCE,  /* and the host is one of the policy's */
              SP_STS_MISMATCH, /* enforced, and the host is none of the policy's */
};

enum sp_tls_setting { /* of the route */
                      SP_TLS_MAY,
                      SP_TLS_MUST,   /* TLS, nothing verified */
                      SP_TLS_VERIFY, /* TLS with a verified certificate */
};

enum sp_tls_happened {
    SP_TLS_NOT_OFFERED, /* no STARTTLS, or it was refused; the session is in clear */
    SP_TLS_HANDSHAKE,   /* the handshake failed; the connection is gone */
    SP_TLS_UNVERIFIED,  /* in TLS; by the records of DANE where there are usable ones */
    SP_TLS_VERIFIED,
};

struct sp_tls_case {
    enum sp_dane dane;
    enum sp_sts sts;
    enum sp_tls_setting setting;
    bool requiretls;
    bool tls_required_no;
    enum sp_tls_happened happened;
};

enum sp_tls_action {
    SP_TLS_DELIVER,
    SP_TLS_CLEAR,  /* once more, on a new connection in clear */
    SP_TLS_NEXT,   /* another host; behind the last one: later */
    SP_TLS_BOUNCE, /* give up: nothing will change that */
};

struct sp_tls_row {
    enum sp_tls_action action;
    const char *enhanced; /* NULL with DELIVER and CLEAR */
    const char *words;
};

const struct sp_tls_row *sp_tls_policy(const struct sp_tls_case *c);

#endif
