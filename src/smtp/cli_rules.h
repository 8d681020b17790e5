/*
 * cli_rules.h - what the client decides, as tables: is this TLS good enough, which
 * mechanism, certificate or password, what does a refusal mean.
 *
 * The session code asks here and never decides for itself.  Each table has one asking
 * function and one expectation written by hand in tests/smtp/cli_rules.c.
 */
#ifndef SP_CLI_RULES_H
#define SP_CLI_RULES_H

#include <sallyport/client.h>

/* --- TLS: option x what happened ------------------------------------------------- */

enum sp_tls_outcome {
    SP_TLS_NOT_OFFERED,
    SP_TLS_REFUSED_TEMP, /* 4xx to STARTTLS */
    SP_TLS_REFUSED,      /* anything else but 220 */
    SP_TLS_FAILED,       /* the handshake */
    SP_TLS_UNVERIFIED,
    SP_TLS_VERIFIED,
    SP_TLS_OUTCOMES
};
enum sp_tls_action {
    SP_TLS_GO_ON,
    SP_TLS_STOP,      /* class insecure */
    SP_TLS_STOP_TEMP, /* class temporary */
};
enum sp_tls_action sp_cli_tls_rule(enum sp_cli_tls want, enum sp_tls_outcome happened);

/* --- mechanisms ------------------------------------------------------------------ */

/* Where a credential would go. */
enum sp_place {
    SP_PLACE_VERIFIED,   /* inside TLS, and we know who is there */
    SP_PLACE_UNVERIFIED, /* inside TLS with a stranger */
    SP_PLACE_CLEAR,      /* in clear because TLS is not wanted */
    SP_PLACE_CLEAR_OPEN, /* the same, and allow_clear_secret */
    SP_PLACE_STRIPPED,   /* in clear although TLS was wanted */
    SP_PLACES
};
/* What the user gave us. */
enum sp_held {
    SP_HELD_CERT = 1, /* and it was sent in this TLS session */
    SP_HELD_PASSWORD = 2,
    SP_HELD_TOKEN = 4,
    SP_HELD_TICKET = 8,
    SP_HELD_BINDING = 16, /* channel binding */
};
struct sp_mech_trait {
    unsigned needs;    /* enum sp_held, all of them */
    unsigned places;   /* 1 << enum sp_place */
    bool server_first; /* no initial response: RFC 4954 4 */
    bool one_step;     /* our one token is all there is */
    uint8_t steps;     /* most challenges we answer */
};
const struct sp_mech_trait *sp_cli_mech(enum sp_mech m);
/* The strongest of `offered` that may be used, or -1. */
int sp_cli_mech_choose(uint32_t offered, unsigned held, enum sp_place place);

/* --- replies --------------------------------------------------------------------- */

enum sp_auth_outcome {
    SP_AUTH_YES,       /* 235 */
    SP_AUTH_CHALLENGE, /* 334 */
    SP_AUTH_TEMP,      /* retry later */
    SP_AUTH_ABSENT,    /* this mechanism, or AUTH, is not available */
    SP_AUTH_NO,        /* the credential was refused */
    SP_AUTH_NEEDS_TLS, /* only in clear while STARTTLS is offered */
};
enum sp_auth_outcome sp_cli_auth_reply(int code, bool clear_with_starttls);
/* Does a refusal before any 235 say "log in first"?  `sure`: no other reading. */
bool sp_cli_wants_login(const struct sp_reply *r, enum sp_cli_stage stage, bool *sure);
enum sp_class sp_cli_class(int code); /* of a refusal */

/* --- certificate and password: PROTOCOL 2 ------------------------------------------ */

enum sp_login_state {
    SP_LS_START,     /* TLS stands, EHLO is answered, nothing tried */
    SP_LS_EXT_EMPTY, /* AUTH EXTERNAL = */
    SP_LS_EXT_NAME,  /* AUTH EXTERNAL with an identity */
    SP_LS_SECRET,    /* AUTH with password, token or ticket */
    SP_LS_BARE,      /* MAIL at once with the certificate alone */
    SP_LS_NONE,      /* MAIL at once with nothing */
    SP_LS_IN,        /* 235 */
};
enum sp_login_event {
    SP_LE_BEGIN,
    SP_LE_REFUSED,
    SP_LE_ABSENT,
    SP_LE_TEMP,
    SP_LE_OK,
    SP_LE_MAIL_REFUSED, /* at MAIL or RCPT, in words that mean "not logged in" */
};
enum sp_login_fact {
    SP_LF_CERT = 1,      /* a certificate was sent in this TLS session */
    SP_LF_EXTERNAL = 2,  /* EXTERNAL is listed and usable */
    SP_LF_NAME = 4,      /* there is an identity to name */
    SP_LF_USABLE = 8,    /* a listed mechanism for what we hold, not yet tried */
    SP_LF_HELD = 16,     /* password, token or ticket */
    SP_LF_FRESH = 32,    /* this connection is not yet the one without certificate */
    SP_LF_REQUIRED = 64, /* login_required */
    SP_LF_LEFT = 128,    /* fewer than SP_CLI_AUTHS_MAX AUTH commands were sent */
};
enum { SP_CLI_AUTHS_MAX = 3 };
enum sp_login_action {
    SP_LA_EXT_EMPTY,
    SP_LA_EXT_NAME,
    SP_LA_SECRET,
    SP_LA_BARE,
    SP_LA_NONE,
    SP_LA_IN,
    SP_LA_RSET_SECRET, /* the transaction is undone, then AUTH, then MAIL again */
    SP_LA_RECONNECT,   /* without the certificate */
    SP_LA_FAIL_TEMP,
    SP_LA_FAIL_REFUSED, /* ask the user */
    SP_LA_FAIL_NO_WAY,  /* nothing we hold is wanted here */
};
/* Which of the three strategies, or a fourth where no certificate is configured. */
enum sp_login_action sp_cli_login_rule(bool have_certificate,
                                       enum sp_cli_cert_login how,
                                       enum sp_login_state state,
                                       enum sp_login_event event, unsigned facts);

#endif
