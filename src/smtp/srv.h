/*
 * srv.h - the server session from inside; shared by server.c and its srv_*.c files.
 *
 * Flow: sp_srv_feed() cuts lines and calls sp_command(); a command either replies at
 * once or sets `pend`, the decision the owner has to make; the answer function of that
 * event goes on from there.  One function changes `mode`: sp_set_mode().
 *
 *     mode      input is                  leaves by
 *     COMMAND   command lines             STARTTLS accepted, AUTH, DATA, BDAT
 *     AUTH      lines of a SASL exchange  235, 5xx, 4xx, cancel
 *     DATA      a message with dots       CRLF . CRLF
 *     CHUNK     octets of one BDAT        as many as were announced
 *     TLS       not ours                  sp_srv_tls_done()
 *     CLOSED    ignored                   never
 */
#ifndef SP_SRV_H
#define SP_SRV_H

#include "arena.h"
#include "buf.h"
#include "data.h"
#include "rules.h"

enum sp_mode {
    SP_IN_COMMAND,
    SP_IN_AUTH,
    SP_IN_DATA,
    SP_IN_CHUNK,
    SP_IN_TLS,
    SP_IN_CLOSED
};

enum sp_greeted {
    SP_GREETED_NO,
    SP_GREETED_LENIENT, /* MAIL right after TLS under lenient-ehlo */
    SP_GREETED_HELO,
    SP_GREETED_EHLO, /* or LHLO */
};

enum sp_login_by {
    SP_BY_NOTHING,
    SP_BY_SOCKET,   /* LOCAL: the owner knows */
    SP_BY_IMPLICIT, /* certificate at MAIL */
    SP_BY_AUTH,
};

/* A SASL exchange, from AUTH (or an implicit login) to its reply. */
enum sp_exch_want {
    SP_EXCH_TOKEN, /* the client's next response */
    SP_EXCH_OWNER, /* the owner's verdict */
    SP_EXCH_EMPTY, /* the empty line behind data that came with success */
    SP_EXCH_ERROR, /* the dummy line behind an error challenge */
};
struct sp_exch {
    enum sp_mech mech;
    enum sp_exch_want want;
    bool implicit;
    bool seen;             /* the owner has got an event of it */
    bool first, has_token; /* of the event */
    bool have_name;        /* LOGIN: `name` is the user name already */
    struct sp_buf token;   /* what the client sent last, decoded; wiped */
    struct sp_buf name;    /* LOGIN: user; SP_EXCH_EMPTY: the identity */
    struct sp_str authzid, authcid, secret; /* into token and name */
};

/* A mail transaction, from the moment MAIL is parsed. */
struct sp_txn {
    struct sp_mail mail; /* strings point into text */
    bool accepted;       /* the owner took MAIL */
    bool ended;          /* SP_SRV_END was handed out: no SP_SRV_ABORT any more */
    bool chunked;        /* the message began with BDAT */
    bool reading;        /* octets of the message are coming or have come */
    unsigned rcpts;      /* accepted */
    struct sp_data data;
    struct sp_buf refusal; /* SP_SRV_BODY was refused: the reply for the end */
    size_t text_len;
    char text[];
};

/* Answers that are wanted one by one, and go out in order. */
struct sp_slot {
    bool done;
    bool accepted;
    char *text; /* the whole reply with CRLF, or NULL for the standard one */
};
struct sp_group {
    size_t n, cap;
    size_t next;       /* the first without an answer that was sent */
    struct sp_rcpt *r; /* NULL in LMTP at the end of a message */
    struct sp_slot *slot;
    struct sp_arena text;
};

/* Plumbing: not knowledge of the client, but part of copy and digest. */
/* clang-format off */
#define SP_SRV_PLUMBING(X)                                                                              \
    X(NUM,  enum sp_mode,           mode,          0, "what the next octets are")                        \
    X(NUM,  enum sp_srv_event_type, pend,          0, "the decision waited for")                         \
    X(NUM,  bool,                   handed,        0, "sp_srv_next() has given it out")                  \
    X(NUM,  bool,                   early,         0, "octets came while it waited")                     \
    X(NUM,  unsigned,               infos,         0, "SP_INFO_* to be handed out")                      \
    X(NUM,  bool,                   info_out,      0, "the last event handed out was one of them")       \
    X(TEXT, struct sp_buf,          scratch,       0, "strings of EHLO, VRFY, XCLIENT, until answered")  \
    X(NUM,  size_t,                 verb,          0, "row of the command being decided on, from 1")       \
    X(NUM,  size_t,                 note_verb,     0, "row of the command a note is about; 0: unknown")    \
    X(NUM,  enum sp_r,              note_reply,    0, "the reply a note is about")                       \
    X(TEXT, struct sp_buf,          note_text,     0, "its text")                                        \
    X(NUM,  uint64_t,               chunk_left,    0, "octets of this BDAT to come")                     \
    X(NUM,  uint64_t,               chunk_size,    0, "as announced")                                    \
    X(NUM,  bool,                   chunk_last,    0, "BDAT ... LAST")                                   \
    X(TEXT, struct sp_buf,          chunk_refusal, 0, "the reply when its octets were read")             \
    X(NUM,  enum sp_r,              chunk_rule,    0, "the rule behind it; none: the owner")                   \
    X(NUM,  bool,                   draining,      0, "421 at the next quiet point")                     \
    X(NUM,  bool,                   closing,       0, "SP_SRV_CLOSE is due or was handed out")           \
    X(NUM,  bool,                   close_out,     0, "it was handed out")                               \
    X(NUM,  bool,                   gone,          0, "the peer is gone")                                \
    X(NUM,  bool,                   began,         0, "the banner was said")                             \
    X(NUM,  bool,                   no_memory,     0, "421 4.3.0 goes out behind `out`")                 \
    X(NUM,  unsigned,               no_memory_at,  0, "so much of it was sent")                          \
    X(TEXT, struct sp_buf,          out,           0, "replies not yet sent")
/* clang-format on */

/* Info events wait here, handed out from the lowest bit up. */
enum {
    SP_INFO_REFUSED = 1 << 0,
    SP_INFO_INJECTION = 1 << 1,
    SP_INFO_NOT_SMTP = 1 << 2,
    SP_INFO_TOO_MANY = 1 << 3,
    SP_INFO_MESSAGE_BAD = 1 << 4,
    SP_INFO_AUTH_END = 1 << 5,
    SP_INFO_ABORT = 1 << 6,
};

struct sp_srv {
#define SP_MEMBER(kind, type, name, at, why) type name;
    SP_SRV_FIELDS(SP_MEMBER)
    SP_SRV_PLUMBING(SP_MEMBER)
#undef SP_MEMBER
    const struct sp_srv_policy *policy; /* borrowed */
    struct sp_str span;                 /* SP_SRV_BODY: into the fed octets */
};

/* srv_state.c */
void sp_srv_wipe(struct sp_srv *s,
                 unsigned at); /* SP_AT_*; tells of lost transactions */
void sp_txn_free(struct sp_txn *t);
void sp_exch_free(struct sp_exch *x);
void sp_group_free(struct sp_group *g);
void sp_set_mode(struct sp_srv *s, enum sp_mode mode);
/* The transaction is over: ABORT is told unless `ended`. */
void sp_txn_over(struct sp_srv *s, bool ended);

/* srv_reply.c: what is said.  Nothing fails visibly: without memory the session says
 * 421 4.3.0 and closes. */
void sp_say(struct sp_srv *s, enum sp_r r, struct sp_str arg);
void sp_say_number(struct sp_srv *s, enum sp_r r, uint64_t arg);
void sp_say_owner(struct sp_srv *s, const struct sp_reply *r);
void sp_say_challenge(struct sp_srv *s, struct sp_str token); /* 334 */
void sp_put(struct sp_srv *s, const char *p, size_t n);       /* formatted already */
int sp_format(struct sp_buf *b, int code, const char *enh, struct sp_str text);
int sp_format_rule(struct sp_buf *b, enum sp_r r, struct sp_str arg);
int sp_format_owner(struct sp_buf *b, const struct sp_reply *r);
void sp_no_memory(struct sp_srv *s);
/* A rule refuses a command: reply, count, note, and close where the reply is 421. */
void sp_refuse(struct sp_srv *s, struct sp_verdict v);
/* What a refusal by a rule costs the session: an error, or its end. */
void sp_count_refusal(struct sp_srv *s, enum sp_r r);
void sp_count_error(struct sp_srv *s);
void sp_note(struct sp_srv *s, unsigned info, enum sp_r r, struct sp_str arg);
/* A limit: this reply, and the end. */
void sp_too_many(struct sp_srv *s, enum sp_r r);
void sp_close(struct sp_srv *s);
/* One more command (or refused recipient) without progress; false: 421, closed. */
bool sp_idle_again(struct sp_srv *s);
void sp_progress(struct sp_srv *s);

/* server.c: nothing of an answered command is left behind */
void sp_answer_is_done(struct sp_srv *s);

/* srv_ehlo.c */
int sp_format_ehlo(const struct sp_srv *s, struct sp_buf *b);

/* srv_auth.c */
void sp_auth_begin(struct sp_srv *s, struct sp_str arg);
void sp_auth_line(struct sp_srv *s, struct sp_str line);
void sp_auth_too_long(struct sp_srv *s);
void sp_auth_implicit(struct sp_srv *s); /* at MAIL */
/* sp_srv_reply() to SP_SRV_AUTH: a refusal in the owner's words */
int sp_auth_reply(struct sp_srv *s, const struct sp_reply *r);

/* srv_mail.c */
void sp_do_mail(struct sp_srv *s, struct sp_str arg);
void sp_mail_go_on(struct sp_srv *s); /* after an implicit login */
/* false: the group must be answered first, then the same line again */
bool sp_do_rcpt(struct sp_srv *s, struct sp_str arg);
int sp_group_new(struct sp_srv *s, size_t cap);
/* Answer i of the group; sends all that are due.  reply NULL: accept. */
int sp_group_answer(struct sp_srv *s, size_t i, const struct sp_reply *r);

/* srv_body.c */
void sp_do_data(struct sp_srv *s);
/* BDAT, permitted (v.reply 0) or refused: its octets are read in any case. */
void sp_do_bdat(struct sp_srv *s, struct sp_str arg, struct sp_verdict v);
void sp_data_accepted(struct sp_srv *s, const struct sp_reply *words);
void sp_data_refused(struct sp_srv *s, const struct sp_reply *r);
size_t sp_take_data(struct sp_srv *s, const char *p, size_t n);
size_t sp_take_chunk(struct sp_srv *s, const char *p, size_t n);
void sp_body_answered(struct sp_srv *s, const struct sp_reply *refusal);
void sp_end_answered(struct sp_srv *s, bool accepted);

#endif
