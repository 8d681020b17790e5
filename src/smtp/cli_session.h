/*
 * cli_session.h - the client session's insides, shared by client*.c and nobody else.
 *
 *   GREETING -> EHLO -> STARTTLS -> HANDSHAKE -> EHLO -> AUTH <-> TOKEN -> READY
 *                 \-> HELO ----------------------------------------------> READY
 *   READY -> ENVELOPE -> BODY -> DOT -> READY       one transaction
 *            ENVELOPE -> RSET -> AUTH ... -> ENVELOPE   the certificate alone was not
 *                                                       enough: PROTOCOL 2, auto
 *   any -> QUIT -> CLOSED,  any -> CLOSED
 *
 * What may be trusted: in GREETING to STARTTLS of epoch 0 everything can come from an
 * attacker; from EHLO of epoch 1 on the server is who sp_cli_tls_done() said it is.
 */
#ifndef SP_CLI_SESSION_H
#define SP_CLI_SESSION_H

#include "arena.h"
#include "buf.h"
#include "cli_caps.h"
#include "cli_out.h"
#include "cli_rules.h"
#include "reply.h"

#include <sallyport/client.h>

enum sp_cli_state {
    SP_CS_GREETING,  /* awaits 220 */
    SP_CS_EHLO,      /* awaits the reply to EHLO or LHLO */
    SP_CS_HELO,      /* awaits the reply to HELO */
    SP_CS_STARTTLS,  /* awaits the reply to STARTTLS */
    SP_CS_HANDSHAKE, /* the owner shakes hands */
    SP_CS_AUTH,      /* awaits the reply to AUTH or to a SASL response */
    SP_CS_TOKEN,     /* the owner builds a token */
    SP_CS_CANCEL,    /* said "*", awaits anything */
    SP_CS_READY,     /* nothing is awaited */
    SP_CS_ENVELOPE,  /* MAIL, RCPT, DATA under way */
    SP_CS_UNDO,      /* RSET between a refused MAIL and AUTH */
    SP_CS_BODY,      /* the owner gives the message */
    SP_CS_DOT,       /* awaits the verdict */
    SP_CS_RSET,
    SP_CS_NOOP,
    SP_CS_QUIT,
    SP_CS_CLOSED,
};

/* One transaction: what was asked for, how far it came, what became of it. */
struct sp_cli_txn {
    struct sp_arena mem;
    struct sp_str forward_line;        /* XFORWARD, with CRLF; empty: not said */
    struct sp_str mail_line;           /* with CRLF */
    struct sp_str *rcpt_line;          /* n of them */
    struct sp_cli_rcpt_result *result; /* n; stage 0: no verdict yet */
    size_t n;
    size_t rcpt_sent, rcpt_got; /* RCPT lines queued, replies read */
    size_t good;                /* recipients the server said yes to */
    size_t dot_next;            /* LMTP: recipient whose verdict comes next */
    uint64_t size;              /* stated; 0: unknown */
    bool rset_sent, rset_got;   /* an older transaction is undone before MAIL */
    bool forward_sent, forward_got;
    bool mail_sent, mail_got, mail_ok;
    bool data_sent;
    bool hollow;    /* 354 came though nobody is to receive: a lone dot was sent */
    bool over;      /* SENT was said */
    bool login_doubt; /* see client.h: sent */
    bool unknown;   /* the connection was lost after the end of the message */
    bool completed; /* the server answered the end of the message: nothing to undo */

    /* the message */
    bool bdat, binary;
    bool at_bol;     /* at the beginning of a line */
    bool last_cr;    /* a CR was taken and waits for its LF */
    bool asked;      /* BODY is out and nothing was given since */
    bool ended;      /* sp_cli_body_end() was called */
    bool last_said;  /* the final dot or BDAT ... LAST is queued */
    bool refused;    /* a chunk was: the rest is not sent */
    bool chunk_open; /* octets are gathered behind a gap for the BDAT line */
    size_t chunk_n;  /* how many */
    size_t chunk_cap;
    unsigned chunks;    /* BDAT commands whose reply has not come */
    uint64_t chunk_end; /* end of the last one, counted like out.put */

    struct sp_reply final; /* the decisive step's reply; text in mem */
    enum sp_cli_stage final_stage;
};

enum { SP_CLI_EVENTS = 4 };

struct sp_cli {
    struct sp_cli_options o; /* strings point into strings */
    char *strings;
    uint8_t state;  /* enum sp_cli_state; only sp_cs_enter() writes it */
    uint8_t queued; /* events not yet taken */
    uint8_t queue[SP_CLI_EVENTS];
    unsigned epoch;       /* 0 in clear, 1 inside TLS */
    struct sp_caps *caps; /* of this epoch; NULL before the reply to EHLO */
    struct sp_reply_reader in;
    struct sp_outq out;
    bool awaiting;      /* a command was queued whose reply has not come */
    uint64_t await_end; /* ... its end, counted like out.put */

    /* TLS */
    bool tls_verified; /* or allowed not to be */
    bool tls_heard;    /* an octet came since the handshake */
    bool cert_asked, cert_sent, binding;

    /* login */
    bool again;       /* this is the connection without the certificate */
    uint8_t login;    /* enum sp_login_state */
    uint8_t login_by; /* the state before SP_LS_IN, or BARE, or NONE: for READY */
    uint8_t auths;    /* AUTH commands sent */
    uint8_t steps;    /* challenges answered in this one */
    uint8_t mech;     /* of the present or last AUTH */
    bool auth_said;   /* AUTH itself was sent (a token may follow) */
    bool bare_ok;     /* a recipient was accepted without a login */
    uint32_t tried;
    struct sp_buf held;      /* base64 for the next 334; wiped */
    struct sp_buf challenge; /* decoded; lives as long as its event */

    /* transactions */
    struct sp_cli_txn *txn;
    uint32_t mails;   /* transactions begun: LIMITS MAILMAX */
    bool rset_needed; /* the last one ended half-way */

    /* what READY and FAILED say */
    struct sp_buf words;
    struct sp_reply fail_reply;
    uint8_t fail_cls, fail_stage;
    bool fail_need_login, fail_auth_rejected;

    sp_cli_trace_fn *trace;
    void *trace_arg;
};

/* client.c */
void sp_cs_enter(struct sp_cli *c, enum sp_cli_state state);
void sp_cs_event(struct sp_cli *c, enum sp_cli_event_type type);
/* Queues a command line (CRLF is added) whose reply is awaited. */
void sp_cs_say(struct sp_cli *c, enum sp_cli_state state, const char *fmt, ...)
    SP_PRINTF(3, 4);
/* Queues octets; on failure the session fails and -1 comes back. */
int sp_cs_put(struct sp_cli *c, const void *data, size_t n, bool secret);
/* Notes that what was just queued awaits a reply; nothing earlier does. */
void sp_cs_await(struct sp_cli *c);
void sp_cs_words(struct sp_cli *c, const char *fmt, ...) SP_PRINTF(2, 3);
/* Ends the session: SENT if a transaction is open, FAILED, QUIT where it makes sense,
 * CLOSE.  r NULL: the server said nothing. */
enum sp_cs_fail { SP_CF_NEED_LOGIN = 1, SP_CF_AUTH_REJECTED = 2, SP_CF_NO_QUIT = 4 };
void sp_cs_fail(struct sp_cli *c, enum sp_class cls, enum sp_cli_stage stage,
                const struct sp_reply *r, unsigned flags, const char *fmt, ...)
    SP_PRINTF(6, 7);
void sp_cs_nomem(struct sp_cli *c);
void sp_cs_quit(struct sp_cli *c);
void sp_cs_reconnect(struct sp_cli *c, bool say_quit);
void sp_cs_trace(struct sp_cli *c, bool from_server, struct sp_str line);
/* The present epoch's capabilities; all zero before EHLO. */
const struct sp_caps *sp_cs_caps(const struct sp_cli *c);
enum sp_place sp_cs_place(const struct sp_cli *c);

/* client_auth.c */
void sp_cs_login(struct sp_cli *c, enum sp_login_event event, const struct sp_reply *r);
void sp_cs_auth_reply(struct sp_cli *c, const struct sp_reply *r);
void sp_cs_auth_undone(struct sp_cli *c);
void sp_cs_auth_event(const struct sp_cli *c, struct sp_cli_event *ev);
void sp_cs_ready_event(const struct sp_cli *c, struct sp_cli_event *ev);
bool sp_cs_login_left(const struct sp_cli *c);

/* client_mail.c */
void sp_cs_txn_begin(struct sp_cli *c); /* queue what may be queued */
void sp_cs_txn_reply(struct sp_cli *c, const struct sp_reply *r);
void sp_cs_txn_pump(struct sp_cli *c); /* output went out: more may follow */
/* The session dies: settle every recipient that has no verdict yet. */
void sp_cs_txn_lost(struct sp_cli *c, const struct sp_reply *r);
void sp_cs_sent_event(const struct sp_cli *c, struct sp_cli_event *ev);
bool sp_cs_txn_unknown(const struct sp_cli *c);
bool sp_cs_body_wanted(struct sp_cli *c);
struct sp_cli_txn *sp_cs_txn_clone(const struct sp_cli_txn *t);
void sp_cs_txn_free(struct sp_cli *c);

#endif
