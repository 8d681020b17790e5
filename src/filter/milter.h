/*
 * milter.h - the milter protocol, the mail server's side, without I/O.
 *
 * One object is one connection to one milter (a mail filter program as libmilter makes
 * them), versions 2 to 6 of the protocol.  The caller owns socket and clock:
 *
 *     m = sp_milter_new();                         it wants to negotiate at once
 *     loop: octets of sp_milter_out() to the milter, sp_milter_out_ack();
 *           sp_milter_feed() with what it answers; sp_milter_next() for each event
 *     SP_MILTER_READY: say what happens, stage by stage:
 *     rc = sp_milter_say(m, SP_MS_HELO, &what);
 *         1: a verdict will come, say nothing before it; 0: none will come, go on;
 *         <0: it failed
 *     sp_milter_abort(m);      the message ends here; sp_milter_quit(m) the connection
 *     sp_milter_free(m);
 *
 * Order: CONNECT, HELO (again at each EHLO), then for each message MAIL, RCPT..., DATA,
 * HEADER..., EOH, BODY..., EOM.  What the milter does not want to hear of, or has stopped
 * to listen to (SKIP), is left out here: the caller says everything.  Changes
 * (SP_MILTER_CHANGE) come only between EOM and its verdict; they count only when that
 * verdict lets the message pass.
 *
 * Everything a milter says is untrusted.  An answer that was not asked for, that belongs
 * to another stage, is too long, has the wrong length, or needs a right that was not
 * negotiated is an SP_MILTER_FAILED with the reason; that is final.  So is nothing else:
 * what becomes of the mail then is the caller's policy.
 *
 * Memory: strings of an event point into the object and live until the next
 * sp_milter_next(), sp_milter_feed() or sp_milter_say().  At most SP_MILTER_PACKET_MAX
 * octets of input are kept.  No call keeps what it was given.
 */
#ifndef SP_MILTER_H
#define SP_MILTER_H

#include "text.h"

struct sp_milter;

enum {
    SP_MILTER_CHUNK = 65535, /* of a body: what version 6 allows without MDS_* */
    SP_MILTER_PACKET_MAX = 256 << 10, /* of an answer; longer ones are a failure */
    SP_MILTER_OUT_MAX = 4 << 20,
    SP_MILTER_REPLY_MAX = 4096, /* text of a reply with its lines */
};

/* What a milter may ask for (SMFIF_*), bit for bit as on the wire. */
enum sp_milter_action {
    SP_MA_ADD_HEADERS = 1,
    SP_MA_CHANGE_BODY = 2,
    SP_MA_ADD_RCPT = 4,
    SP_MA_DELETE_RCPT = 8,
    SP_MA_CHANGE_HEADERS = 0x10,
    SP_MA_QUARANTINE = 0x20,
    SP_MA_CHANGE_FROM = 0x40,
    SP_MA_ADD_RCPT_PARAM = 0x80,
    SP_MA_SYMLIST = 0x100,
    SP_MA_ALL = 0x1ff,
};

enum sp_milter_stage {
    SP_MS_CONNECT,
    SP_MS_HELO,
    SP_MS_MAIL,
    SP_MS_RCPT,
    SP_MS_DATA,
    SP_MS_UNKNOWN, /* a command that does not exist; its verdict changes nothing */
    SP_MS_HEADER,
    SP_MS_EOH,
    SP_MS_BODY,
    SP_MS_EOM,
    SP_MS_STAGES,
};

struct sp_milter_macro {
    const char *name;    /* without braces: "i", "auth_authen" */
    unsigned stages;     /* bits 1 << SP_MS_*: where it goes unless the milter chose */
    struct sp_str value; /* empty: not sent */
};

struct sp_milter_say {
    /* CONNECT: host name; HELO: its name; MAIL, RCPT: the address in angle brackets;
     * UNKNOWN: the line; HEADER: the name; BODY: at most SP_MILTER_CHUNK octets. */
    struct sp_str text;
    struct sp_str
        value; /* CONNECT: address; HEADER: value with its folds, line ends LF,
                            from right behind the colon */
    const struct sp_str *argv; /* MAIL, RCPT: parameters, NAME=value */
    size_t argc;
    char family; /* CONNECT: '4', '6', 'L' (Unix socket) or 'U' (unknown) */
    uint16_t port;
    const struct sp_milter_macro *macro;
    size_t macros;
};

enum sp_milter_verdict {
    SP_MV_CONTINUE,
    SP_MV_ACCEPT,   /* this message (CONNECT, HELO: all of the connection) unseen */
    SP_MV_REJECT,   /* at RCPT only this recipient */
    SP_MV_TEMPFAIL, /* likewise */
    SP_MV_DISCARD,  /* say yes, deliver to nobody */
    SP_MV_REPLY,    /* REJECT or TEMPFAIL in the milter's words */
    SP_MV_SHUTDOWN, /* 421: the session ends */
};

enum sp_milter_change_kind {
    SP_MC_ADD_HEADER,    /* at the end */
    SP_MC_INSERT_HEADER, /* in front of the index-th field; 0 and 1: on top */
    SP_MC_CHANGE_HEADER, /* the index-th (from 1) of that name; empty value: remove */
    SP_MC_CHANGE_FROM,
    SP_MC_ADD_RCPT,
    SP_MC_DELETE_RCPT,
    SP_MC_BODY, /* the next piece of the new body */
    SP_MC_QUARANTINE,
};

struct sp_milter_change {
    enum sp_milter_change_kind kind;
    uint32_t index;
    struct sp_str name;  /* of a header field; an address; a reason */
    struct sp_str value; /* of a header field, lines end in LF; parameters; octets */
};

enum sp_milter_event_type {
    SP_MILTER_NONE,
    SP_MILTER_READY, /* negotiated: sp_milter_say() may begin */
    SP_MILTER_VERDICT,
    SP_MILTER_CHANGE,
    SP_MILTER_PROGRESS, /* it works on it: the stage's time begins anew */
    SP_MILTER_FAILED,
};

struct sp_milter_event {
    enum sp_milter_event_type type;
    enum sp_milter_stage stage; /* VERDICT */
    enum sp_milter_verdict verdict;
    int code; /* SP_MV_REPLY: 400..599 */
    int enh[3];
    struct sp_str text; /* SP_MV_REPLY: lines, separated by LF; FAILED: the reason */
    struct sp_milter_change change;
};

struct sp_milter *sp_milter_new(void); /* NULL: no memory */
void sp_milter_free(struct sp_milter *m);

int sp_milter_say(struct sp_milter *m, enum sp_milter_stage stage,
                  const struct sp_milter_say *what);
void sp_milter_abort(
    struct sp_milter *m); /* also while a verdict is awaited: it is forgotten */
void sp_milter_quit(struct sp_milter *m);

size_t sp_milter_feed(struct sp_milter *m, const char *data, size_t len);
bool sp_milter_next(struct sp_milter *m, struct sp_milter_event *ret);
const char *sp_milter_out(const struct sp_milter *m, size_t *ret_len);
void sp_milter_out_ack(struct sp_milter *m, size_t len);

bool sp_milter_waits(const struct sp_milter *m); /* for the negotiation or a verdict */
bool sp_milter_failed(const struct sp_milter *m);
/* The body's rest, or fields, need not be read for it. */
bool sp_milter_wants(const struct sp_milter *m, enum sp_milter_stage stage);
uint32_t sp_milter_version(const struct sp_milter *m); /* as negotiated */
uint32_t sp_milter_actions(const struct sp_milter *m);
/* Values of header fields that it gives have the blank behind the colon themselves. */
bool sp_milter_leading_space(const struct sp_milter *m);
const char *sp_milter_stage_name(enum sp_milter_stage stage);

#endif
