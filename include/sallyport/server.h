/*
 * sallyport/server.h - one SMTP submission (or LMTP) server session, without I/O.
 *
 * The caller owns socket, TLS, clock, disk and every decision; the engine owns the
 * protocol.  The caller moves octets and answers events:
 *
 *     s = sp_srv_new(&policy, local_user);
 *     for (;;) {
 *         used = sp_srv_feed(s, data, len);          octets from the peer; 0: it waits
 *         while (sp_srv_next(s, &ev))                 what must be decided or done
 *             switch (ev.type) { ... sp_srv_accept(s); ... }
 *         out = sp_srv_out(s, &len); send; sp_srv_out_ack(s, len);
 *     }
 *     sp_srv_free(s);
 *
 * Feed again with what is left until sp_srv_feed() returns 0 and sp_srv_next() has
 * nothing: one feed stops at the first event.
 *
 * Events.  sp_srv_next() hands each event out once.  One decision is pending at a time;
 * while it is, the session takes no input: sp_srv_feed() returns 0 and the caller keeps
 * its octets - that is the whole backpressure rule (it also returns 0 while more than
 * 64 KB of replies wait to be sent).  Output may be taken and sent at any time; replies
 * are in order.
 *
 * Answering.  Every event that asks for a decision is answered once, at once or much
 * later, by sp_srv_accept() (the standard positive reply), by sp_srv_reply() with any
 * reply - its first digit decides: 2 and 3 accept, 4 and 5 refuse, 421 also closes - or
 * by the call named at the event.  Events marked (info) only tell; they may be accepted
 * but need not be.  An answer to no event is -SP_ESTATE and does nothing.  Every
 * accepted SP_SRV_MAIL is followed by exactly one SP_SRV_END or SP_SRV_ABORT.
 *
 * Octets that come too early.  Nothing may arrive before our banner, nor behind STARTTLS
 * before our 220 (command injection).  The session can only judge what it is shown:
 * before answering SP_SRV_CONNECT and SP_SRV_STARTTLS, feed what has already arrived.
 * The feed returns 0, and the answer becomes 554 5.5.0 and close.  From the moment 220
 * was said, octets belong to TLS and are not fed.
 *
 * Memory: strings in an event live until it is answered (info: until the next call);
 * spans in SP_SRV_BODY point into the octets given to sp_srv_feed() and live until the
 * next sp_srv_feed().  The policy is borrowed and must outlive the session, unchanged.
 * All memory of a session is bounded (policy limits); when memory is short the session
 * says 421 4.3.0 and closes.  Octets of AUTH lines that the caller holds are the
 * caller's to wipe; the session wipes its own copies.
 *
 * Any split of the input gives the same output.
 */
#ifndef SALLYPORT_SERVER_H
#define SALLYPORT_SERVER_H

#include "smtp.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sp_srv;

enum sp_srv_kind {
    SP_SRV_SUBMISSION, /* login needed before MAIL */
    SP_SRV_LOCAL,      /* identity known from the socket: no TLS, no AUTH */
    SP_SRV_REINJECT,   /* a content filter gives mail back: loopback, no TLS, no AUTH */
    SP_SRV_LMTP,       /* LHLO, one reply a recipient: RFC 2033 */
};

/* PROTOCOL "certificate-login" */
enum sp_cert_login {
    SP_CERT_LOGIN_EITHER,   /* EXTERNAL is offered and MAIL without AUTH logs in */
    SP_CERT_LOGIN_EXPLICIT, /* only AUTH EXTERNAL counts */
    SP_CERT_LOGIN_IMPLICIT, /* EXTERNAL is not offered */
    SP_CERT_LOGIN_OFF,
};
/* "auth-list-with-certificate" */
enum sp_cert_list { SP_CERT_LIST_ALL, SP_CERT_LIST_EXTERNAL, SP_CERT_LIST_PASSWORD };
/* "client-certificates" */
enum sp_cert_want { SP_CERT_WANT_OFF, SP_CERT_WANT_OPTIONAL, SP_CERT_WANT_REQUIRED };

/* What holds for every session of one listener. */
struct sp_srv_policy {
    enum sp_srv_kind kind;
    const char *hostname; /* in the banner and the EHLO reply */
    bool implicit_tls;    /* the session begins inside TLS */
    bool starttls;        /* a key is there; STARTTLS is offered in clear */
    bool login_required;  /* MAIL wants a login (SUBMISSION: normally true) */
    uint32_t mechs_clear; /* SP_MECH_BIT() sets: listed before TLS ... */
    uint32_t mechs_tls;   /* ... and inside; EXTERNAL follows from the certificate */
    enum sp_cert_login cert_login;
    enum sp_cert_list cert_list;
    enum sp_cert_want cert_want;
    bool lenient_ehlo;      /* MAIL right after TLS counts as HELO */
    bool legacy_auth_line;  /* AUTH=LOGIN PLAIN besides AUTH LOGIN PLAIN */
    bool lenient_path;      /* MAIL FROM:a@b, RCPT TO:c@d without angle brackets */
    uint32_t extensions;    /* enum sp_ext bits that may be offered */
    uint64_t size_max;      /* octets of a message; 0: no maximum is stated */
    unsigned rcpt_max;      /* recipients of a message, >= 500 by config, any here */
    unsigned mail_max;      /* messages of a session, 0: no limit (LIMITS MAILMAX) */
    unsigned line_max;      /* command line with CRLF; 0: 4096 */
    unsigned auth_line_max; /* line of an AUTH exchange; 0: 12288 */
    unsigned error_max;     /* refused commands; 0: 20 */
    unsigned idle_commands_max; /* commands without progress; 0: 100 */
    unsigned auth_failures_max; /* 0: 3.  These three: UINT_MAX is no limit */
    uint64_t by_min;            /* DELIVERBY: least seconds; 0: none stated */
    uint64_t hold_max_seconds;  /* FUTURERELEASE */
    bool allow_8bit_header;     /* without SMTPUTF8: else 554 5.6.7 at the end */
    const char *bearer_error; /* JSON told to a client whose token was refused (RFC 7628
                                 3.2.2), at most 375 octets; NULL: that it was */
};

/* What the TLS layer proved.  Strings are copied. */
enum sp_cert_state {
    SP_CERT_NONE,     /* the client sent none */
    SP_CERT_UNUSABLE, /* sent, but it does not count: see reason */
    SP_CERT_USABLE,   /* verified (or pinned) and mapped to one enabled account */
};
struct sp_srv_tls {
    enum sp_cert_state cert;
    bool cert_verified; /* chain or pin holds, mapped or not (for `required`) */
    struct sp_str user; /* USABLE: the account */
    struct sp_str
        reason; /* UNUSABLE: why, in plain words: "certificate expired 2026-01-02" */
    bool external_only;   /* the account has no password: EXTERNAL alone is listed */
    bool channel_binding; /* a binding exists: -PLUS may be listed */
};

enum sp_srv_event_type {
    SP_SRV_NOTHING,   /* never handed out */
    SP_SRV_CONNECT,   /* may this client talk to us?  accept: 220 banner.  With implicit
                         TLS it comes after the handshake */
    SP_SRV_EHLO,      /* ehlo.name; accept: the capability list (or 250 for HELO) */
    SP_SRV_STARTTLS,  /* may TLS start?  accept: 220; 454 4.7.0 when the key is gone */
    SP_SRV_HANDSHAKE, /* (do) the 220 is out of sp_srv_out(): hand later octets to TLS,
                         then sp_srv_tls_done() or sp_srv_tls_failed().  Implicit TLS:
                         the first event of all */
    SP_SRV_AUTH,     /* auth: a credential or a token of a challenge mechanism.  Answer:
                         sp_srv_auth_ok(), sp_srv_auth_challenge(), sp_srv_auth_fail() */
    SP_SRV_AUTH_END, /* (info) the client cancelled, or the exchange broke: forget it */
    SP_SRV_MAIL,     /* mail */
    SP_SRV_RCPT,     /* rcpt[0..rcpts): one or more, pipelined.  Answer each with
                         sp_srv_rcpt(), or all with sp_srv_accept()/sp_srv_reply() */
    SP_SRV_DATA,  /* a message is about to start (DATA, or first BDAT).  accept: 354 */
    SP_SRV_BODY,  /* body: octets of the message.  accept: go on; a refusal is kept:
                         the rest is swallowed and it is the reply at the end */
    SP_SRV_END,   /* the message is complete: make it durable, then answer.  accept
                         says 250 2.0.0; LMTP: sp_srv_rcpt() for each accepted recipient,
                         or one answer for all.  After sp_srv_gone() it still wants its
                         answer, which nobody will read */
    SP_SRV_ABORT, /* (info) the transaction is gone without an end: RSET, EHLO, a message
                         that broke a rule, disconnect.  Forget what was received */
    SP_SRV_VRFY,  /* vrfy.argument.  accept: 252 */
    SP_SRV_XCLIENT, /* xclient: attributes from a trusted proxy (only where offered).
                         accept: XCLIENT starts the session anew, 220; XFORWARD: 250 */
    SP_SRV_NOTE,    /* (info) note.kind: something to log */
    SP_SRV_CLOSE,   /* (do) send what sp_srv_out() has, then close.  Sticky. */
};

enum sp_srv_note {
    SP_NOTE_INJECTION,   /* octets behind STARTTLS or before the banner */
    SP_NOTE_NOT_SMTP,    /* HTTP or another protocol talks to us */
    SP_NOTE_REFUSED,     /* a command was refused by a rule: note.reply, note.verb */
    SP_NOTE_TOO_MANY,    /* error limit reached */
    SP_NOTE_MESSAGE_BAD, /* bare LF, NUL, long line, size ... in a message */
};

struct sp_srv_event {
    enum sp_srv_event_type type;
    union {
        struct {
            struct sp_str name; /* as said, validated octets only */
            bool extended;      /* EHLO or LHLO, not HELO */
        } ehlo;
        struct {
            enum sp_mech mech;
            bool first;    /* the exchange begins */
            bool implicit; /* EXTERNAL at MAIL, no AUTH was said */
            /* PLAIN, LOGIN, EXTERNAL, OAUTHBEARER, XOAUTH2: taken apart by the engine */
            struct sp_str authzid; /* authorization identity; empty: none */
            struct sp_str authcid; /* authentication identity */
            struct sp_str secret; /* password or bearer token; wiped after the answer */
            /* SCRAM, CRAM-MD5, GSSAPI: opaque */
            struct sp_str token;
            bool has_token; /* false: no initial response was given */
        } auth;
        struct {
            struct sp_mail m;
            bool smtp_extended; /* EHLO, not HELO */
        } mail;
        struct {
            const struct sp_rcpt *r; /* n of them */
            size_t n;
        } rcpt;
        struct {
            bool bdat;
            uint64_t size_hint; /* SIZE= or the first chunk; 0: unknown */
        } data;
        struct {
            struct sp_str octets;
        } body;
        struct {
            uint64_t size; /* octets of the message */
            bool has_8bit_body, has_8bit_header;
            uint64_t
                header_size; /* up to and with the first empty line; size if none */
        } end;
        struct {
            struct sp_str argument;
        } vrfy;
        struct {
            struct sp_str attributes; /* NAME=value pairs as sent */
            bool forward;             /* XFORWARD: facts of the original client */
        } xclient;
        struct {
            enum sp_srv_note kind;
            struct sp_str verb;
            struct sp_reply reply;
        } note;
    } u;
};

/* NULL: no memory.  local_user: the account for SP_SRV_LOCAL, else empty. */
SP_PUBLIC struct sp_srv *sp_srv_new(const struct sp_srv_policy *policy,
                                    struct sp_str local_user);
SP_PUBLIC void sp_srv_free(struct sp_srv *s); /* wipes; NULL is fine */
/* A peer that talks clear text to a listener with implicit TLS: 554 5.7.0 and close,
 * instead of sp_srv_tls_done().  The reply goes out in clear. */
SP_PUBLIC int sp_srv_clear_on_tls(struct sp_srv *s);

/* Takes octets from the peer; returns how many were taken. */
SP_PUBLIC size_t sp_srv_feed(struct sp_srv *s, const char *data, size_t len);
/* true: *ret_event is the next event.  Also call it after an answer: answers make
 * events. */
SP_PUBLIC bool sp_srv_next(struct sp_srv *s, struct sp_srv_event *ret_event);
/* What is to be sent; lives until the next call that feeds, answers or acknowledges. */
SP_PUBLIC const char *sp_srv_out(const struct sp_srv *s, size_t *ret_len);
SP_PUBLIC void sp_srv_out_ack(struct sp_srv *s, size_t len); /* so much was sent */

/* All answers: 0, or -SP_ESTATE when no such event waits, or -SP_EINPUT for a reply that
 * SMTP does not allow there (then the event still waits). */
SP_PUBLIC int sp_srv_accept(struct sp_srv *s);
SP_PUBLIC int sp_srv_reply(struct sp_srv *s, const struct sp_reply *r);
/* The same, from printf text:
 *     sp_srv_replyf(s, 550, 5, 7, 1, "%s may not send as %s", user, path); */
SP_PUBLIC int sp_srv_replyf(struct sp_srv *s, int code, int e1, int e2, int e3,
                            const char *fmt, ...) SP_PRINTF(6, 7);
/* One recipient of the group of SP_SRV_RCPT; in LMTP also one of the accepted
 * recipients, in their order, at SP_SRV_END.  Any order.  r NULL: 250.  When an answer
 * closes the session (421, too many refused) the rest are -SP_ESTATE: stop there. */
SP_PUBLIC int sp_srv_rcpt(struct sp_srv *s, size_t index, const struct sp_reply *r);

SP_PUBLIC int sp_srv_tls_done(struct sp_srv *s, const struct sp_srv_tls *tls);
SP_PUBLIC int sp_srv_tls_failed(struct sp_srv *s); /* the session closes, silently */
/* Certificate facts changed while the session lives (revoked, expired): a login that
 * rests on them ends at the next MAIL with 421 4.7.0. */
SP_PUBLIC int sp_srv_cert_update(struct sp_srv *s, const struct sp_srv_tls *tls);

/* Answers SP_SRV_XCLIENT, not of XFORWARD: accepted, and the proxy vouches for this account
 * (empty: for nobody).  It counts until STARTTLS or the next XCLIENT. */
SP_PUBLIC int sp_srv_xclient_ok(struct sp_srv *s, struct sp_str user);
/* user: the identity (authorization identity's account) for replies and sp_srv_user().
 * token: data that comes with success, sent as a last challenge; NULL p: none. */
SP_PUBLIC int sp_srv_auth_ok(struct sp_srv *s, struct sp_str user, struct sp_str token);
SP_PUBLIC int sp_srv_auth_challenge(struct sp_srv *s, struct sp_str token);
enum sp_auth_fail {
    SP_AUTH_FAILED,    /* 535 5.7.8: wrong, disabled, unknown: all alike */
    SP_AUTH_TOO_WEAK,  /* 534 5.7.9 */
    SP_AUTH_TEMPORARY, /* 454 4.7.0 */
    SP_AUTH_SYNTAX     /* 501 5.5.2: the token is malformed; counts as no attempt */
};
SP_PUBLIC int sp_srv_auth_fail(struct sp_srv *s, enum sp_auth_fail why);

SP_PUBLIC enum sp_wait sp_srv_wait(const struct sp_srv *s);
/* The time the engine named is over: 421 4.4.2 and close (451 4.3.0 for the caller's). */
SP_PUBLIC void sp_srv_expired(struct sp_srv *s);
SP_PUBLIC void sp_srv_gone(struct sp_srv *s); /* the peer is gone; ABORT may follow */
/* Shutting down: 421 4.3.2 at the next point where no message is in flight. */
SP_PUBLIC void sp_srv_drain(struct sp_srv *s);

/* Facts for logs and trace fields. */
SP_PUBLIC struct sp_str
sp_srv_user(const struct sp_srv *s); /* empty: nobody logged in */
/* How: false when nobody did.  LOCAL has a user but no login. */
SP_PUBLIC bool sp_srv_login(const struct sp_srv *s, enum sp_mech *ret_mech,
                            bool *ret_implicit);
SP_PUBLIC struct sp_str sp_srv_helo(const struct sp_srv *s);
SP_PUBLIC bool sp_srv_in_tls(const struct sp_srv *s);
SP_PUBLIC bool sp_srv_extended(const struct sp_srv *s);
SP_PUBLIC bool sp_srv_in_transaction(const struct sp_srv *s);

/* The exact EHLO reply this session would give now, CRLF lines, for `config explain`.
 * Returns its length, or -SP_ELIMIT. */
SP_PUBLIC int sp_srv_explain_ehlo(const struct sp_srv *s, char *ret, size_t cap);

/* For exploring programs: an independent copy (NULL: no memory), and a digest of all
 * state that can influence later output (equal digests: the same future). */
SP_PUBLIC struct sp_srv *sp_srv_clone(const struct sp_srv *s);
SP_PUBLIC void sp_srv_digest(const struct sp_srv *s, uint64_t ret_digest[2]);

#ifdef __cplusplus
}
#endif
#endif
