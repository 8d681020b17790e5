/*
 * grade_i.h - what the files that grade a client share.  Everybody else: grade.h.
 *
 *     grade.c        cases in their order, what is judged, findings
 *     grade_case.c   stories: what they mean, which of them there are
 *     grade_world.c  keys, messages, the command
 *     grade_wire.c   connections, TLS, octets in and out
 *     grade_serve.c  the reactive server: which reply, and what follows from it
 *     grade_login.c  AUTH
 *     grade_look.c   what the client shows: secrets, parameters, the message, the record
 */
#ifndef SP_GRADE_I_H
#define SP_GRADE_I_H

#include "grade.h"
#include "story.h"
#include "throwaway.h"

#include <sallyport/sasl.h>
#include <sallyport/smtp.h>

#include <openssl/ssl.h>
#include <sys/types.h>

enum {
    GRADE_CONNS = 16,   /* open at the same time */
    GRADE_IN = 1 << 20, /* octets of a message, or of a line */
    GRADE_RECORD = 400, /* lines of the dialogue that are kept */
    GRADE_PENDING = 40, /* findings of one case */
    GRADE_RULES = 64,   /* of one story */
    GRADE_CASES = 200,
    GRADE_SAID = 8192,      /* what the command printed */
    GRADE_LIMIT_MS = 20000, /* one run of the command */
    GRADE_LONG_MS = 330000, /* with --thorough: longer than any client should wait */
};

/* What can be seen of a client in one case: the words of conditions in stories. */
#define GRADE_SEEN(X)                                                                  \
    X(CONNECTED, "connected")                                                          \
    X(TLS, "tls")                     /* a handshake was completed */                  \
    X(TLS_FAILED, "handshake-failed") /* the client ended it */                        \
    X(CERT, "cert")                   /* the client showed our certificate */          \
    X(EHLO_CLEAR, "ehlo-clear")                                                        \
    X(EHLO_TLS, "ehlo-tls")                                                            \
    X(HELO_CLEAR, "helo-clear")                                                        \
    X(HELO_TLS, "helo-tls")                                                            \
    X(STARTTLS, "starttls")                                                            \
    X(STARTTLS_TLS, "starttls-in-tls")                                                 \
    X(UNGREETED, "ungreeted") /* MAIL or AUTH inside TLS before EHLO */                \
    X(AUTH_CLEAR, "auth-clear")                                                        \
    X(AUTH_TLS, "auth-tls")                                                            \
    X(EXTERNAL, "external") /* AUTH EXTERNAL */                                        \
    X(LOGIN, "login")       /* a login succeeded */                                    \
    X(LOGIN_REFUSED, "login-refused")                                                  \
    X(SECRET_CLEAR, "secret-clear")                                                    \
    X(SECRET_TLS, "secret-tls")                                                        \
    X(CHALLENGE_CLEAR, "challenge-clear")                                              \
    X(MAIL_CLEAR, "mail-clear")                                                        \
    X(MAIL_TLS, "mail-tls")                                                            \
    X(MAIL_ANONYMOUS, "mail-anonymous") /* MAIL after a refused login */               \
    X(TEXT_CLEAR, "text-clear")         /* the message itself */                       \
    X(TEXT_TLS, "text-tls")                                                            \
    X(DELIVERED, "delivered") /* 2xx to the end of the message */                      \
    X(REFUSED, "refused")     /* 4xx or 5xx to it */                                   \
    X(UNKNOWN, "unknown")     /* no reply to it */                                     \
    X(PARTIAL, "partial")     /* delivered, not to every recipient */                  \
    X(EARLY, "early")         /* spoke before the reply was there */                   \
    X(FLOODED, "flooded")     /* read an endless reply to our end of it */             \
    X(HELD, "held")           /* we kept silent on purpose */                          \
    X(LEFT, "left")           /* and the client left */                                \
    X(QUIT, "quit")                                                                    \
    X(STALE, "stale")       /* used what was listed before TLS only */                 \
    X(SCRAM, "scram")       /* AUTH SCRAM-... */                                       \
    X(FAITHFUL, "faithful") /* the body arrived as it was given */                     \
    X(EXECUTED, "executed") /* a line of the message came as a command */              \
    X(FIRED, "fired")       /* the story's own part came up */                         \
    X(SUCCESS, "success")   /* exit status 0 */                                        \
    X(FAILURE, "failure")                                                              \
    X(CRASHED, "crashed")                                                              \
    X(KILLED, "killed")         /* still running at the end of its time */             \
    X(SUBMISSION, "submission") /* not --profile mx */

enum grade_seen {
#define X(name, word) SEEN_##name,
    GRADE_SEEN(X)
#undef X
        SEEN_COUNT
};
#define SEEN_BIT(s) (1ull << (s))

/* States of a connection that a rule can ask for. */
enum grade_state {
    AT_CLEAR = 1,
    AT_TLS = 2,
    AT_UNGREETED = 4, /* nothing like EHLO since the connection or TLS began */
    AT_ANONYMOUS = 8, /* nobody is logged in, and no certificate is here */
    AT_CERT = 16,     /* our certificate was shown */
    AT_NOBODY = 32,   /* nobody is logged in, certificate or not */
    AT_WANTED = 64,   /* the client was told how to log in */
};

enum grade_message {
    MESSAGE_PLAIN,
    MESSAGE_DOTS,
    MESSAGE_LONG,
    MESSAGE_BARE,
    MESSAGE_NUL,
    MESSAGE_OPEN_END,
    MESSAGE_8BIT,
    MESSAGE_KINDS
};
enum grade_cert {
    CERT_GOOD,
    CERT_WRONG_NAME,
    CERT_UNTRUSTED,
    CERT_EXPIRED,
    CERT_KINDS
};
enum grade_needs { NEED_STARTTLS = 1, NEED_LOGIN = 2, NEED_CERT = 4, NEED_TO2 = 8 };
enum grade_scram { SCRAM_GOOD, SCRAM_BAD_SIGNATURE, SCRAM_NO_SIGNATURE };

struct grade_rule {
    unsigned at;   /* enum grade_state: all of these */
    unsigned nth;  /* 0: every time; else only this one, counted on the connection */
    char verb[64]; /* how the client's line begins, or <connect> <dot> ... */
    const struct sp_story_step *step; /* replies and actions */
    size_t n;
};

struct grade_case {
    char name[80];  /* "cert-expired", "421@mail" */
    char when[120]; /* the situation in words: the story's name up to its colon */
    struct sp_story st;
    enum sp_check_id check;
    unsigned needs;
    enum grade_message message;
    enum grade_cert cert;
    enum grade_scram scram;
    bool ask_cert, external_334, utf8_to, thorough;
    unsigned slow_ms; /* between two octets of a reply */
    unsigned limit_ms;
    struct grade_rule rule[GRADE_RULES];
    size_t rules;
};

struct grade_line {
    unsigned char dir; /* enum sp_ev_dir */
    char where[24];
    char *text;
    size_t n;
};

/* A finding that waits for the end of its case: what follows belongs to the evidence. */
struct grade_pending {
    enum sp_finding_id id;
    char fact[SP_FACTS][120];
    size_t at; /* line of the record */
};

struct grade_conn {
    int fd; /* -1: not in use */
    SSL *ssl;
    unsigned no; /* in this case, from 1 */
    bool implicit, tls, greeted, extended, cert;
    bool login, login_refused, silent, closing, eof;
    bool mail, bounce; /* from <> */
    unsigned rcpts, refused_rcpts;
    enum { TALK_COMMAND, TALK_DATA, TALK_BDAT, TALK_AUTH } mode;
    uint64_t chunk_left;
    bool chunk_last;
    char caps[2][8192]; /* the last EHLO reply: [0] clear, [1] TLS; "" none */
    char said[8192];    /* the reply to the EHLO that is being answered */
    struct sp_buf in, body;
    uint64_t last_ms; /* something came */
    unsigned char times[2][GRADE_RULES];
    /* AUTH */
    enum sp_mech mech;
    unsigned step;
    struct sp_sasl *sasl;
    bool scram_lied;
};

struct grade {
    const struct sp_grade_options *o;
    struct sp_findings *f;
    struct grade_case *cases; /* GRADE_CASES; [0] is the ordinary one */
    size_t n_cases;
    unsigned n_played;
    const struct grade_case *c; /* that is played */
    unsigned at_hand;           /* enum grade_needs, known after the first case */
    bool login_wanted;          /* the command has a password or a certificate */

    /* world */
    char dir[64];
    char path[8][96];
    char password[32], marker[32];
    const char *from, *to, *to2, *user;
    struct sp_throwaway *ca, *other_ca, *server[CERT_KINDS], *client;
    SSL_CTX *ctx[CERT_KINDS];
    struct sp_buf message; /* of this case, CRLF */
    int listener[4];       /* STARTTLS and implicit TLS; IPv4, IPv6 */
    uint16_t port, tls_port;

    /* the command */
    pid_t pid, group; /* -1: none */
    int said_fd;
    char said[GRADE_SAID];
    size_t n_said;
    int status; /* of waitpid */

    /* this case */
    struct grade_conn conn[GRADE_CONNS];
    unsigned conns, failed_logins;
    uint64_t seen;
    size_t seen_at[SEEN_COUNT]; /* line of the record */
    struct grade_line *record;  /* GRADE_RECORD */
    size_t n_record;
    struct grade_pending pending[GRADE_PENDING];
    size_t n_pending;
};

/* grade_case.c */
int grade_load(struct grade *g, const char *dir, struct sp_err *err);
void grade_unload(struct grade *g);
/* "success !delivered": do these hold?  -SP_EINPUT: a word that is none. */
int grade_holds(uint64_t seen, struct sp_str words, bool *ret);
uint64_t grade_words(struct sp_str words); /* those that must hold */
/* The rule for what the client said, of the story or else of the ordinary one; NULL. */
const struct grade_rule *grade_match(struct grade *g, struct grade_conn *c,
                                     struct sp_str said);

/* The stories that are built in: made from stories/ when the program is. */
struct grade_builtin {
    const char *name, *text;
};
extern const struct grade_builtin grade_builtin[];
extern const size_t grade_builtins;

/* grade_world.c */
enum grade_path { P_CA, P_CERT, P_KEY, P_PASSWORD, P_MESSAGE, P_MESSAGE_CRLF };
int grade_world(struct grade *g, struct sp_err *err);
void grade_world_end(struct grade *g);
int grade_message(struct grade *g, struct sp_err *err); /* files for this case */
int grade_start(struct grade *g, struct sp_err *err);
void grade_hear(struct grade *g);  /* what the command printed */
bool grade_ended(struct grade *g); /* its status is known */
void grade_kill(struct grade *g);  /* it, and what it started */
uint64_t grade_ms(void);

/* grade_wire.c */
void grade_accept(struct grade *g, int listener, bool implicit);
void grade_readable(struct grade *g, struct grade_conn *c);
void grade_idle(struct grade *g, struct grade_conn *c);
bool grade_send(struct grade *g, struct grade_conn *c, struct sp_str s, bool quiet);
bool grade_more(struct grade *g, struct grade_conn *c, int wait_ms); /* into c->in */
void grade_handshake(struct grade *g, struct grade_conn *c);
void grade_close(struct grade *g, struct grade_conn *c, bool reset);
const char *grade_where(const struct grade_conn *c, char buf[24]);

/* grade_serve.c */
void grade_greet(struct grade *g, struct grade_conn *c);
void grade_octets(struct grade *g, struct grade_conn *c); /* works on c->in */
/* Plays what the stories say to this; the code of the reply, 0: none. */
int grade_say(struct grade *g, struct grade_conn *c, struct sp_str said,
              const char *otherwise);
bool grade_offers(const struct grade_conn *c, bool tls, const char *word,
                  struct sp_str *ret_rest);

/* grade_login.c */
void grade_auth(struct grade *g, struct grade_conn *c, struct sp_str arguments);
void grade_answer(struct grade *g, struct grade_conn *c, struct sp_str line);

/* grade_look.c */
void grade_see(struct grade *g, enum grade_seen what);
void grade_note(struct grade *g, const struct grade_conn *c, const char *fmt, ...)
    SP_PRINTF(3, 4);
void grade_record(struct grade *g, const struct grade_conn *c, enum sp_ev_dir dir,
                  struct sp_str s);
/* A finding that needs no story.  Facts may be NULL. */
void grade_stale(struct grade *g, enum sp_finding_id id, const char *what);
void grade_found(struct grade *g, enum sp_finding_id id, const char *fact1,
                 const char *fact2);
/* One line of the client: secrets, syntax, what was not offered; then it is recorded. */
void grade_look(struct grade *g, struct grade_conn *c, struct sp_str line, bool crlf);
void grade_look_message(struct grade *g, struct grade_conn *c);
void grade_forget(struct grade *g); /* before a case */

#endif
