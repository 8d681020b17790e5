/*
 * rules.h - the rules of the server session, as data.
 *
 * Everything that decides "may this happen now?" is a row of a table here or in
 * rules.c.  The rest of the server asks the functions at the end of this file and obeys;
 * it never decides.  To change a rule, change its row, its cite, its line in
 * tests/smtp/srv_rules.c and its story together.
 *
 * Read in this order: what a session knows (SP_SRV_FIELDS), what it says (SP_REPLIES),
 * then rules.c: verbs, mechanisms, extensions, parameters.
 */
#ifndef SP_RULES_H
#define SP_RULES_H

#include <sallyport/server.h>

struct sp_srv;

/* A test compiles these files a second time with SP_RULES_MUTABLE, breaks each row once
 * and looks that somebody notices (tests/smtp/srv_mutate.c). */
#ifdef SP_RULES_MUTABLE
#define SP_ROWS
unsigned sp_wiped_at(const char *member, unsigned at);
#define SP_WIPED_AT(member, at) sp_wiped_at(#member, at)
#else
#define SP_ROWS                 const
#define SP_WIPED_AT(member, at) (at)
#endif

/* ---- What is taken away, and when ------------------------------------------------ */

enum {
    SP_AT_RSET = 1 << 0, /* RSET, or the end of a message: RFC 5321 4.1.1.5 */
    SP_AT_EHLO = 1 << 1, /* a new EHLO, HELO or LHLO: RFC 5321 4.1.4 */
    SP_AT_TLS = 1 << 2,  /* STARTTLS: RFC 3207 4.2; XCLIENT likewise */
};
#define SP_AT_ANY (SP_AT_RSET | SP_AT_EHLO | SP_AT_TLS)

/*
 * What a session knows, one row per member: kind, type, member, wiped at, why.  The
 * struct, the wiping, the copy and the digest are all generated from this list, so a
 * member cannot exist without an answer to "does it survive STARTTLS?".
 *
 * RFC 3207 4.2: after the handshake the server discards all knowledge obtained from
 * the client that was not obtained from the TLS negotiation itself.
 */
/* clang-format off */
#define SP_SRV_FIELDS(X)                                                                                            \
    X(TEXT, struct sp_buf,    line,          SP_AT_TLS,  "an unfinished line said in clear: command injection")     \
    X(NUM,  bool,             swallow,       SP_AT_TLS,  "the rest of a line that was too long")                    \
    X(NUM,  bool,             swallow_cr,    SP_AT_TLS,  "its last octet was CR")                                   \
    X(NUM,  bool,             swallow_auth,  SP_AT_TLS,  "it began with AUTH, or was in an exchange")               \
    X(TEXT, struct sp_buf,    helo,          SP_AT_TLS,  "the value EHLO carried ...")                              \
    X(NUM,  enum sp_greeted,  greeted,       SP_AT_TLS,  "... and the fact of it: EHLO must be said again")         \
    X(TEXT, struct sp_buf,    user,          SP_AT_TLS,  "the identity, also one made in clear; survives EHLO, RSET") \
    X(NUM,  enum sp_login_by, login_by,      SP_AT_TLS,  "how it became one")                                       \
    X(NUM,  enum sp_mech,     login_mech,    SP_AT_TLS,  "likewise")                                                \
    X(NUM,  bool,             login_stale,   SP_AT_TLS,  "the certificate behind the login stopped to count")       \
    X(EXCH, struct sp_exch *, exch,          SP_AT_ANY,  "an AUTH exchange under way")                              \
    X(TXN,  struct sp_txn *,  txn,           SP_AT_ANY,  "the mail transaction")                                    \
    X(GRP,  struct sp_group *, grp,          SP_AT_ANY,  "recipients waiting for their answers")                    \
    X(NUM,  bool,             tls,           0,          "obtained from TLS itself, like the next six")             \
    X(NUM,  enum sp_cert_state, cert,        0,          "the client certificate")                                  \
    X(NUM,  bool,             cert_verified, 0,          "chain or pin holds, mapped or not")                       \
    X(TEXT, struct sp_buf,    cert_user,     0,          "the account it maps to")                                  \
    X(TEXT, struct sp_buf,    cert_reason,   0,          "why it does not count")                                   \
    X(NUM,  bool,             external_only, 0,          "that account has no password")                            \
    X(NUM,  bool,             binding,       0,          "a channel binding exists")                                \
    X(NUM,  bool,             implicit_off,  0,          "a failed AUTH: no implicit login on this connection")     \
    X(NUM,  unsigned,         errors,        0,          "abuse counters are ours, not the client's")               \
    X(NUM,  unsigned,         idle,          0,          "commands without progress")                               \
    X(NUM,  unsigned,         auth_failures, 0,          "failed AUTHs")                                            \
    X(NUM,  unsigned,         cert_refusals, 0,          "refused for want of a required certificate")              \
    X(NUM,  unsigned,         messages,      0,          "messages accepted")

/* ---- What it says --------------------------------------------------------------- */

/*
 * Every reply that the engine makes by itself: id, code, enhanced status code, text,
 * cite.  A reader can check them all against the RFCs in one sitting.  The text says
 * what is wrong and what to send next; "%s" is replaced by the one argument.  Enhanced
 * codes are on every 2xx, 4xx and 5xx but the greeting and EHLO/HELO (RFC 2034 4).
 */
#define SP_NO_MEMORY_TEXT "Out of memory, connect again later"
#define SP_REPLIES(X)                                                                                                          \
    X(SP_R_NONE,            0,   "",      "",                                                                   "permitted")  \
    /* connection */                                                                                                           \
    X(SP_R_BANNER,          220, "",      "%s",                                                                 "RFC 5321 4.2") \
    X(SP_R_BYE,             221, "2.0.0", "Bye",                                                                "RFC 5321 4.1.1.10") \
    X(SP_R_EARLY,           554, "5.5.0", "You spoke before it was your turn: wait for the greeting",           "RFC 5321 4.3.1") \
    X(SP_R_INJECTED,        554, "5.5.0", "Octets behind STARTTLS: wait for 220, then start TLS",               "RFC 3207 6; CVE-2011-0411") \
    X(SP_R_TLS_PORT,        554, "5.7.0", "this port speaks TLS first",                                         "RFC 8314 3.3") \
    X(SP_R_NOT_SMTP,        421, "4.7.0", "This is a mail server and that was not SMTP",                        "RFC 5321 4.1.1") \
    X(SP_R_TOO_MANY_ERRORS, 421, "4.7.0", "Too many errors, closing",                                           "RFC 5321 4.3.2") \
    X(SP_R_TOO_MANY_IDLE,   421, "4.7.0", "Too many commands without a message, closing",                       "RFC 5321 4.3.2") \
    X(SP_R_TOO_MANY_AUTH,   421, "4.7.0", "Too many failed logins, closing",                                    "RFC 4954 4") \
    X(SP_R_TIMEOUT,         421, "4.4.2", "Nothing came for too long, closing",                                 "RFC 5321 4.5.3.2.7") \
    X(SP_R_SLOW,            451, "4.3.0", "We did not finish in time; nothing was queued, try again later",     "RFC 5321 4.5.3.2") \
    X(SP_R_DRAIN,           421, "4.3.2", "The service is shutting down, connect again",                        "RFC 5321 3.8") \
    X(SP_R_NO_MEMORY,       421, "4.3.0", SP_NO_MEMORY_TEXT,                                 "RFC 5321 3.8") \
    /* any command */                                                                                                          \
    X(SP_R_OK,              250, "2.0.0", "Ok",                                                                 "RFC 5321 4.2") \
    X(SP_R_HELP,            214, "2.0.0", "Commands: %s",                                                       "RFC 5321 4.1.1.8") \
    X(SP_R_UNKNOWN,         500, "5.5.2", "Command not recognized; HELP lists those that are",                  "RFC 5321 4.2.4") \
    X(SP_R_NOT_HERE,        502, "5.5.1", "%s is not implemented here",                                         "RFC 5321 4.2.4") \
    X(SP_R_SYNTAX,          501, "5.5.4", "Syntax: %s",                                                         "RFC 5321 4.3.2") \
    X(SP_R_TOO_LONG,        500, "5.5.2", "Line too long; the most is %s octets",                               "RFC 5321 4.5.3.1.9") \
    X(SP_R_BARE,            500, "5.5.2", "Bare CR, bare LF or NUL in a command: end lines with CRLF",          "RFC 5321 2.3.8") \
    /* what must come first */                                                                                                 \
    X(SP_R_CERT_REQUIRED,   554, "5.7.0", "Client certificate required: %s",                                    "RFC 3207 4.1") \
    X(SP_R_NEED_TLS,        530, "5.7.0", "Must issue a STARTTLS command first",                                "RFC 3207 4") \
    X(SP_R_NEED_TLS_OR_AUTH, 530, "5.7.0", "Must issue a STARTTLS or AUTH command first",                       "RFC 3207 4; RFC 4954 6") \
    X(SP_R_NEED_LOGIN,      530, "5.7.0", "Authentication required",                                            "RFC 4954 6; RFC 6409 4.3") \
    X(SP_R_NEED_LOGIN_CERT, 530, "5.7.0", "Authentication required; the client certificate does not count: %s", "RFC 4954 6") \
    X(SP_R_LOGIN_STALE,     421, "4.7.0", "login no longer valid: %s",                                          "RFC 4954 4") \
    X(SP_R_NEED_EHLO,       503, "5.5.1", "Send %s first",                                                      "RFC 5321 4.1.4") \
    X(SP_R_EHLO_AGAIN,      503, "5.5.1", "TLS began a new session: what you said before it is forgotten, send EHLO again", "RFC 3207 4.2") \
    X(SP_R_NOT_AFTER_HELO,  503, "5.5.1", "%s needs EHLO, you said HELO: send EHLO",                            "RFC 5321 4.1.1.1; RFC 4954 4") \
    X(SP_R_IN_TRANSACTION,  503, "5.5.1", "A mail transaction is open: finish it or send RSET first",           "RFC 5321 4.1.4") \
    X(SP_R_NEED_MAIL,       503, "5.5.1", "No mail transaction is open: send MAIL first",                       "RFC 5321 4.1.4") \
    X(SP_R_NEED_RCPT,       554, "5.5.1", "No valid recipients: send RCPT first",                               "RFC 5321 3.3; RFC 2920 3.1") \
    X(SP_R_NEED_RCPT_LMTP,  503, "5.5.1", "No valid recipients: send RCPT first",                               "RFC 2033 4.2") \
    X(SP_R_BDAT_BEGUN,      503, "5.5.1", "The message began with BDAT: go on with BDAT, or send RSET",         "RFC 3030 2") \
    X(SP_R_DATA_BINARY,     503, "5.5.1", "BODY=BINARYMIME needs BDAT, not DATA",                               "RFC 3030 3") \
    X(SP_R_ALREADY_TLS,     503, "5.5.1", "TLS is active already",                                              "RFC 3207 4.2") \
    X(SP_R_NO_TLS_KEY,      454, "4.7.0", "TLS not available due to temporary reason",                          "RFC 3207 4") \
    X(SP_R_GO_TLS,          220, "2.0.0", "Ready to start TLS",                                                 "RFC 3207 4") \
    /* AUTH */                                                                                                                 \
    X(SP_R_AUTH_OK,         235, "2.7.0", "Authenticated as %s",                                                "RFC 4954 6") \
    X(SP_R_AUTH_FAILED,     535, "5.7.8", "Authentication credentials invalid",                                 "RFC 4954 6") \
    X(SP_R_AUTH_WEAK,       534, "5.7.9", "This mechanism is too weak for this user: choose a stronger one",    "RFC 4954 6") \
    X(SP_R_AUTH_TEMPORARY,  454, "4.7.0", "Temporary authentication failure, try again later",                  "RFC 4954 6") \
    X(SP_R_AUTH_CANCELLED,  501, "5.7.0", "Authentication cancelled",                                           "RFC 4954 4") \
    X(SP_R_AUTH_BASE64,     501, "5.5.2", "Cannot decode that as BASE64; start again with AUTH",                "RFC 4954 4") \
    X(SP_R_AUTH_SYNTAX,     501, "5.5.2", "Malformed %s response; start again with AUTH",                       "RFC 4422 3.6") \
    X(SP_R_AUTH_NO_IR,      501, "5.7.0", "%s takes no initial response: send AUTH without one",                "RFC 4954 4") \
    X(SP_R_AUTH_LONG,       500, "5.5.6", "Authentication line too long; the most is %s octets",                "RFC 4954 4") \
    X(SP_R_AUTH_AGAIN,      503, "5.5.1", "Already authenticated as %s",                                        "RFC 4954 4") \
    X(SP_R_MECH_UNKNOWN,    504, "5.5.4", "Unknown mechanism; those listed behind EHLO are accepted",           "RFC 4954 4") \
    X(SP_R_MECH_NOT_HERE,   504, "5.5.4", "%s is not offered here; those listed behind EHLO are accepted",      "RFC 4954 4") \
    X(SP_R_MECH_NEEDS_TLS,  504, "5.5.4", "%s is not offered without TLS: send STARTTLS first",                 "RFC 4954 4; RFC 8314 3.3") \
    X(SP_R_MECH_NO_BINDING, 504, "5.5.4", "%s is not available: this TLS connection has no channel binding",    "RFC 5802 6; RFC 9266") \
    X(SP_R_EXTERNAL_UNUSABLE, 504, "5.5.4", "EXTERNAL not available: %s",                                       "RFC 4422 A") \
    /* envelope */                                                                                                             \
    X(SP_R_MAIL_OK,         250, "2.1.0", "Sender ok",                                                          "RFC 5321 4.1.1.2") \
    X(SP_R_RCPT_OK,         250, "2.1.5", "Recipient ok",                                                       "RFC 5321 4.1.1.3") \
    X(SP_R_BAD_SENDER,      501, "5.1.7", "Bad reverse-path: send MAIL FROM:<user@example.org>",                "RFC 5321 4.1.2") \
    X(SP_R_BAD_RCPT,        501, "5.1.3", "Bad forward-path: send RCPT TO:<user@example.org>",                  "RFC 5321 4.1.2") \
    X(SP_R_BARE_SENDER,     554, "5.1.7", "The reverse-path has no domain: send user@domain",                   "RFC 6409 4.2") \
    X(SP_R_BARE_RCPT,       554, "5.1.2", "The forward-path has no domain: send user@domain",                   "RFC 6409 4.2") \
    X(SP_R_NEED_UTF8,       553, "5.6.7", "The address is not ASCII: MAIL must carry SMTPUTF8",                 "RFC 6531 3.5") \
    X(SP_R_PARAM_UNKNOWN,   555, "5.5.4", "Parameter not recognized or not offered: %s",                        "RFC 5321 4.1.1.11") \
    X(SP_R_PARAM_HELO,      555, "5.5.4", "Parameters need EHLO, you said HELO: %s",                            "RFC 5321 4.1.1.11") \
    X(SP_R_PARAM_TWICE,     501, "5.5.4", "Parameter given twice: %s",                                          "RFC 5321 4.1.1.11") \
    X(SP_R_PARAM_VALUE,     501, "5.5.4", "Bad value, the form is %s",                                          "RFC 5321 4.1.1.11") \
    X(SP_R_BY_SHORT,        555, "5.5.4", "BY asks for less than this server can keep: %s seconds",             "RFC 2852 4") \
    X(SP_R_HOLD_LONG,       501, "5.5.4", "Held for too long: the most is %s seconds",                          "RFC 4865 4") \
    X(SP_R_SIZE,            552, "5.3.4", "Message too big: the most is %s octets",                             "RFC 1870 6.1") \
    X(SP_R_TOO_MANY_RCPT,   452, "4.5.3", "Too many recipients: send these now and the others in another message", "RFC 5321 4.5.3.1.10") \
    X(SP_R_TOO_MANY_MAIL,   452, "4.5.3", "Too many messages on this connection: send QUIT and connect again",  "RFC 9422 4") \
    X(SP_R_VRFY,            252, "2.0.0", "Cannot verify, but will accept a message and try",                   "RFC 5321 3.5.3") \
    /* message */                                                                                                              \
    X(SP_R_SEND_DATA,       354, "",      "Send the message, end it with a line that holds a dot alone",        "RFC 5321 4.1.1.4") \
    X(SP_R_DATA_OK,         250, "2.0.0", "Accepted",                                                           "RFC 5321 4.1.1.4") \
    X(SP_R_CHUNK_OK,        250, "2.0.0", "%s octets received",                                                 "RFC 3030 2") \
    X(SP_R_BARE_LF,         554, "5.6.0", "bare LF in line %s; send CRLF",                                      "RFC 5321 2.3.8; CVE-2023-51764") \
    X(SP_R_BARE_CR,         554, "5.6.0", "bare CR in line %s; send CRLF",                                      "RFC 5321 2.3.8; CVE-2023-51764") \
    X(SP_R_NUL,             554, "5.6.0", "NUL in line %s; encode the content",                                 "RFC 5321 4.5.2; RFC 5322 4") \
    X(SP_R_LONG_BODY_LINE,  554, "5.6.0", "line %s has more than 998 octets; encode the content",               "RFC 5321 4.5.3.1.6; RFC 5322 2.1.1") \
    X(SP_R_8BIT_HEADER,     554, "5.6.7", "The header is not ASCII: MAIL must carry SMTPUTF8, or encode it (RFC 2047)", "RFC 6531 3.3; RFC 5322 2.2")

enum sp_r {
#define SP_R_ID(id, code, enh, text, cite) id,
    SP_REPLIES(SP_R_ID)
#undef SP_R_ID
    SP_R_COUNT
};

/* ---- Limits ---------------------------------------------------------------------- */

#define SP_LIMITS(X)                                                                                  \
    X(SP_LIMIT_LINE,       4096,      "command line with CRLF; RFC 5321 4.5.3.1.4 asks for 512 and extensions add") \
    X(SP_LIMIT_AUTH_LINE,  12288,     "line of an AUTH exchange: RFC 4954 4")                          \
    X(SP_LIMIT_BODY_LINE,  998,       "line of a message without CRLF: RFC 5322 2.1.1")                \
    X(SP_LIMIT_REPLY_LINE, 512,       "reply line with CRLF: RFC 5321 4.5.3.1.5")                      \
    X(SP_LIMIT_REPLY_TEXT, 8192,      "text of one reply given by the owner")                          \
    X(SP_LIMIT_OUT_HIGH,   65536,     "replies waiting to be sent before input stops")                 \
    X(SP_LIMIT_OUT,        16777216,  "replies waiting to be sent at all: LMTP answers per recipient") \
    X(SP_LIMIT_GROUP,      64,        "recipients in one SP_SRV_RCPT")                                 \
    X(SP_LIMIT_HELO,       255,       "name in EHLO: RFC 5321 4.5.3.1.2")                              \
    X(SP_LIMIT_LOCAL_PART, 256,       "RFC 5321 4.5.3.1.1 has 64; VERP and SRS need more")             \
    X(SP_LIMIT_DOMAIN,     255,       "RFC 5321 4.5.3.1.2")                                            \
    X(SP_LIMIT_XTEXT,      500,       "ENVID 100, ORCPT 500: RFC 3461 4.2, 4.4")                       \
    X(SP_LIMIT_ERRORS,     20,        "refused commands of a session")                                 \
    X(SP_LIMIT_IDLE,       100,       "commands without progress")                                     \
    X(SP_LIMIT_AUTH_FAILS, 3,         "failed AUTHs of a session")                                     \
    X(SP_LIMIT_CERT_REFUSALS, 3,      "refusals for want of a required certificate")
/* clang-format on */

enum {
#define SP_LIMIT_ID(id, value, why) id = value,
    SP_LIMITS(SP_LIMIT_ID)
#undef SP_LIMIT_ID
};

/* ---- Verbs ------------------------------------------------------------------------ */

enum sp_verb {
    SP_V_EHLO,
    SP_V_HELO,
    SP_V_LHLO,
    SP_V_STARTTLS,
    SP_V_AUTH,
    SP_V_MAIL,
    SP_V_RCPT,
    SP_V_DATA,
    SP_V_BDAT,
    SP_V_RSET,
    SP_V_NOOP,
    SP_V_VRFY,
    SP_V_HELP,
    SP_V_QUIT,
    SP_V_XCLIENT,
    SP_V_XFORWARD,
    SP_V_NOT_IMPLEMENTED, /* known by name only */
};

enum {
    SP_F_CLEAR = 1 << 0,   /* allowed while TLS is still needed: RFC 3207 4 */
    SP_F_GREET = 1 << 1,   /* a greeting must have been accepted: RFC 5321 4.1.4 */
    SP_F_EHLO = 1 << 2,    /* ... and it must have been EHLO or LHLO */
    SP_F_LOGIN = 1 << 3,   /* a login, where the policy wants one: RFC 6409 4.3 */
    SP_F_NOTXN = 1 << 4,   /* not inside a mail transaction */
    SP_F_TXN = 1 << 5,     /* only inside one */
    SP_F_RCPT = 1 << 6,    /* a recipient must have been accepted */
    SP_F_NOARG = 1 << 7,   /* an argument is an error */
    SP_F_ARG = 1 << 8,     /* so is none */
    SP_F_IDLE = 1 << 9,    /* not progress: counted */
    SP_F_NOCERT = 1 << 10, /* allowed without a required certificate: RFC 3207 4.1 */
    SP_F_ENDS = 1 << 11,   /* octets behind it are an attack, never commands */
};

struct sp_verb_rule {
    const char *name;
    enum sp_verb verb;
    unsigned flags; /* SP_F_* */
    unsigned kinds; /* 1 << enum sp_srv_kind: who knows it */
    uint32_t ext;   /* only where this extension is offered; 0: always */
    const char *syntax;
    const char *cite;
};
extern SP_ROWS struct sp_verb_rule sp_verbs[];
extern const size_t sp_nverbs;

/* ---- Mechanisms -------------------------------------------------------------------- */

enum {
    SP_M_TLS = 1 << 0,     /* never without TLS, whatever the policy says */
    SP_M_CERT = 1 << 1,    /* needs a usable client certificate */
    SP_M_BINDING = 1 << 2, /* needs a channel binding */
    SP_M_FIRST = 1 << 3,   /* the client speaks first: an initial response is allowed */
    SP_M_IR = 1 << 4, /* the server speaks first, but many clients send one: taken */
    SP_M_ONESTEP = 1 << 5, /* taken apart here (oneshot.h), not by a SASL library */
    SP_M_ERROR = 1 << 6,   /* a failure is first a challenge: RFC 7628 3.2.2 */
};

struct sp_mech_rule {
    enum sp_mech mech;
    unsigned flags; /* SP_M_* */
    const char *cite;
};
extern SP_ROWS struct sp_mech_rule sp_mechs[]; /* in the order of the EHLO line */
extern const size_t sp_nmechs;

/* ---- Extensions and parameters ------------------------------------------------------ */

enum {
    SP_X_CLEAR = 1 << 0, /* listed in clear */
    SP_X_TLS = 1 << 1,   /* listed inside TLS */
    SP_X_POLICY =
        1 << 2, /* listed when the policy has it; else it follows from state */
};

struct sp_ext_rule {
    uint32_t ext;
    const char *keyword;
    unsigned flags;
    uint32_t implies; /* listed with it: the RFC wants both */
    const char *cite;
};
extern SP_ROWS struct sp_ext_rule sp_exts[]; /* in the order of the EHLO reply */
extern const size_t sp_nexts;

enum sp_param {
    SP_P_SIZE,
    SP_P_BODY,
    SP_P_SMTPUTF8,
    SP_P_RET,
    SP_P_ENVID,
    SP_P_AUTH,
    SP_P_BY,
    SP_P_HOLDFOR,
    SP_P_HOLDUNTIL,
    SP_P_MT_PRIORITY,
    SP_P_REQUIRETLS,
    SP_P_NOTIFY,
    SP_P_ORCPT,
};

struct sp_param_rule {
    const char *name;
    enum sp_param param;
    enum sp_verb verb; /* of MAIL or of RCPT */
    uint32_t ext;      /* permitted while this is offered */
    bool lenient;      /* permitted without EHLO under lenient-ehlo */
    bool value;        /* has a value; else must have none */
    const char *syntax;
    const char *cite;
};
extern SP_ROWS struct sp_param_rule sp_params[];
extern const size_t sp_nparams;

/* ---- Kinds of listener -------------------------------------------------------------- */

struct sp_kind_rule {
    const char *protocol; /* in the banner */
    const char *greeting; /* the verb that opens a session */
    bool tls, auth;       /* has them at all */
    bool unqualified;     /* addresses without a domain are passed on */
};
const struct sp_kind_rule *sp_kind(enum sp_srv_kind kind);

/* ---- Asking -------------------------------------------------------------------------- */

/* A refusal, or SP_R_NONE. */
struct sp_verdict {
    enum sp_r reply;
    struct sp_str arg; /* replaces %s; lives as long as session and table do */
};

struct sp_reply_rule {
    int code;
    const char *enh; /* "5.5.1" or "" */
    const char *text;
    const char *cite;
};
const struct sp_reply_rule *sp_reply_rule(enum sp_r r);

/* NULL when this kind of listener knows no such verb.  ASCII case folded. */
const struct sp_verb_rule *sp_verb_find(const struct sp_srv *s, struct sp_str name);
/* May this verb be tried now?  v NULL: an unknown one. */
struct sp_verdict sp_rule_verb(const struct sp_srv *s, const struct sp_verb_rule *v);
/* The line is another protocol's: HTTP and its kin. */
bool sp_rule_not_smtp(struct sp_str line);

const struct sp_mech_rule *sp_mech_rule(enum sp_mech m);
/* May this mechanism be used now? */
struct sp_verdict sp_rule_mech(const struct sp_srv *s, enum sp_mech m);
/* Is it on the AUTH line?  Asks sp_rule_mech(): what is refused is never listed. */
bool sp_rule_mech_listed(const struct sp_srv *s, enum sp_mech m);
/* Does MAIL log in by the client certificate now? */
bool sp_rule_implicit_login(const struct sp_srv *s);

/* The extensions of the present state: what EHLO lists is what is permitted. */
uint32_t sp_rule_extensions(const struct sp_srv *s);
/* May this parameter stand on this verb now?  *ret_p is set when it may. */
struct sp_verdict sp_rule_param(const struct sp_srv *s, enum sp_verb verb,
                                struct sp_str name, const struct sp_param_rule **ret_p);

unsigned sp_rule_line_max(const struct sp_srv *s, bool auth);
bool sp_rule_over(unsigned count, unsigned configured, unsigned standard);

#endif
