/*
 * sallyport/smtp.h - what both protocol engines share: mechanisms, extensions,
 * replies, and the parameters of MAIL and RCPT.
 *
 * Strings in these structs are borrowed; the function that fills one in says until when
 * they live.
 */
#ifndef SALLYPORT_SMTP_H
#define SALLYPORT_SMTP_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* SASL mechanisms, strongest first: a client that may choose takes the lowest number.
 * As a set they are bits 1u << SP_MECH_... */
enum sp_mech {
    SP_MECH_EXTERNAL, /* RFC 4422 A: the client certificate */
    SP_MECH_GSSAPI,   /* RFC 4752 */
    SP_MECH_SCRAM_SHA_256_PLUS,
    SP_MECH_SCRAM_SHA_256, /* RFC 7677 */
    SP_MECH_SCRAM_SHA_1_PLUS,
    SP_MECH_SCRAM_SHA_1, /* RFC 5802 */
    SP_MECH_OAUTHBEARER, /* RFC 7628 */
    SP_MECH_XOAUTH2,
    SP_MECH_CRAM_MD5, /* RFC 2195 */
    SP_MECH_PLAIN,    /* RFC 4616 */
    SP_MECH_LOGIN,    /* draft-murchison-sasl-login */
    SP_MECHS          /* how many */
};
#define SP_MECH_BIT(m) (1u << (m))
SP_PUBLIC const char *sp_mech_name(enum sp_mech m);
/* ASCII case folded; -SP_ENOENT when unknown. */
SP_PUBLIC int sp_mech_by_name(struct sp_str name);
/* The secret itself crosses the wire: never in clear, whatever is configured. */
SP_PUBLIC bool sp_mech_shows_secret(enum sp_mech m);

/* Extensions.  As a set they are bits. */
enum sp_ext {
    SP_EXT_PIPELINING = 1 << 0,     /* RFC 2920 */
    SP_EXT_SIZE = 1 << 1,           /* RFC 1870 */
    SP_EXT_8BITMIME = 1 << 2,       /* RFC 6152 */
    SP_EXT_SMTPUTF8 = 1 << 3,       /* RFC 6531 */
    SP_EXT_DSN = 1 << 4,            /* RFC 3461 */
    SP_EXT_ENHANCED = 1 << 5,       /* ENHANCEDSTATUSCODES, RFC 2034 */
    SP_EXT_CHUNKING = 1 << 6,       /* RFC 3030 */
    SP_EXT_BINARYMIME = 1 << 7,     /* RFC 3030 */
    SP_EXT_LIMITS = 1 << 8,         /* RFC 9422 */
    SP_EXT_DELIVERBY = 1 << 9,      /* RFC 2852 */
    SP_EXT_FUTURERELEASE = 1 << 10, /* RFC 4865 */
    SP_EXT_MT_PRIORITY = 1 << 11,   /* RFC 6710 */
    SP_EXT_REQUIRETLS = 1 << 12,    /* RFC 8689 */
    SP_EXT_STARTTLS = 1 << 13,      /* RFC 3207 */
    SP_EXT_AUTH = 1 << 14,          /* RFC 4954 */
    SP_EXT_XCLIENT = 1 << 15,
    SP_EXT_XFORWARD = 1 << 16,
};

/*
 * A reply.  `text` may hold several lines separated by '\n'; the engine puts code,
 * enhanced code and hyphens in front of each, cuts lines at 512 octets (RFC 5321
 * 4.5.3.1.5) and replaces octets below 32 and above 126 by '?'.
 * enh[0] == 0: the reply carries no enhanced status code.
 */
struct sp_reply {
    int code;
    int enh[3];
    struct sp_str text;
};

enum sp_body { SP_BODY_UNSET, SP_BODY_7BIT, SP_BODY_8BITMIME, SP_BODY_BINARYMIME };
enum sp_ret { SP_RET_UNSET, SP_RET_FULL, SP_RET_HDRS };
enum sp_notify {
    SP_NOTIFY_NEVER = 1,
    SP_NOTIFY_SUCCESS = 2,
    SP_NOTIFY_FAILURE = 4,
    SP_NOTIFY_DELAY = 8,
};

/* Everything MAIL may carry.  Fields that were not given are zero. */
struct sp_mail {
    struct sp_str path; /* reverse-path without angle brackets; empty: null */
    enum sp_body body;
    bool smtputf8;
    bool has_size;
    uint64_t size;
    enum sp_ret ret;
    struct sp_str envid; /* xtext as given: RFC 3461 4.4 */
    bool has_auth;
    struct sp_str auth; /* MAIL AUTH=, xtext decoded; "<>" gives the empty string */
    bool has_by;
    int64_t by_seconds; /* RFC 2852 */
    bool by_notify;     /* else return */
    bool by_trace;
    bool has_hold;
    bool hold_is_until; /* HOLDUNTIL (hold_seconds is Unix time) or HOLDFOR */
    uint64_t hold_seconds;
    bool has_priority;
    int priority;    /* RFC 6710, -9..9 */
    bool requiretls; /* RFC 8689 */
    /* Client: attributes (NAME=value, values in xtext) that go as XFORWARD in front of MAIL
     * to a server that offers it; whatever it answers, MAIL follows.  Empty: none. */
    struct sp_str xforward;
};

struct sp_rcpt {
    struct sp_str path;  /* forward-path without angle brackets */
    unsigned notify;     /* enum sp_notify bits; 0: not given */
    struct sp_str orcpt; /* "rfc822;..." with xtext as given: RFC 3461 4.2 */
};

/* How long the owner of an engine should wait for its next octets.  The engine has no
 * clock: it names the class, the owner knows the seconds. */
enum sp_wait {
    SP_WAIT_NONE,    /* nothing to wait for: output or an event is pending */
    SP_WAIT_COMMAND, /* server: the next command (5 min: RFC 5321 4.5.3.2.7) */
    SP_WAIT_LOGIN,   /* server: the same, nobody logged in yet (10 min from connect) */
    SP_WAIT_DATA,    /* server: octets of a message */
    SP_WAIT_CALLER,  /* an event was not answered yet (every reply within 120 s) */
    SP_WAIT_HANDSHAKE, /* TLS */
    SP_WAIT_GREETING,  /* client: RFC 5321 4.5.3.2.1, 5 min */
    SP_WAIT_REPLY,     /* client: 5 min */
    SP_WAIT_DATA_INIT, /* client: 354, 2 min */
    SP_WAIT_DATA_DONE, /* client: reply to the final dot, 10 min */
    SP_WAIT_QUIT,      /* client: 221; nothing depends on it, 2 s will do */
};

#ifdef __cplusplus
}
#endif
#endif
