/*
 * sallyport/client.h - one SMTP submission (or LMTP, or SMTP delivery) client session,
 * without I/O.
 *
 * The caller owns socket, TLS, clock, secrets and message; the engine owns the protocol
 * and the decisions of policy: whether TLS is good enough, which mechanism, certificate
 * or password, what a refusal means.
 *
 *     c = sp_cli_new(&options, &err);
 *     for (;;) {
 *         used = sp_cli_feed(c, data, len);
 *         while (sp_cli_next(c, &ev))
 *             switch (ev.type) {
 *             case SP_CLI_HANDSHAKE: ... sp_cli_tls_done(c, &facts); break;
 *             case SP_CLI_AUTH:      ... sp_cli_auth_token(c, token); break;
 *             case SP_CLI_READY:     sp_cli_mail(c, &mail, rcpts, n, size, &err);
 *                                    or sp_cli_quit(c);
 *             case SP_CLI_BODY:      sp_cli_body(c, octets, n); ... sp_cli_body_end(c);
 *             case SP_CLI_SENT:      ev.u.sent: what became of each recipient
 *             case SP_CLI_FAILED:    ev.u.failed: class, stage, the server's words
 *             case SP_CLI_CLOSE:     close the connection
 *             }
 *         send sp_cli_out()
 *     }
 *
 * Promises: no credential and no mail ever leave in clear unless the options say so by
 * name; capabilities belong to one TLS state and the older ones cannot be reached; EHLO
 * always follows STARTTLS; HELO is never said once TLS or AUTH is wanted, nor inside
 * TLS; octets behind the 220 of STARTTLS are never believed; a message is reported as
 * accepted only on the server's 2xx to the final dot; a connection lost after the dot
 * is reported as unknown.
 *
 * What the caller must keep to:
 *   - acknowledge output before feeding what was read after sending it: a reply to a
 *     command that has not left is taken for an injected one and ends the session;
 *   - at SP_CLI_HANDSHAKE hand every later octet to TLS, but feed what was already read
 *     behind the 220: the engine must see an injection to refuse it;
 *   - take events until there is none.  Each comes once; while one waits to be taken, or
 *     HANDSHAKE or AUTH to be answered, sp_cli_feed() takes nothing.  After CLOSE the
 *     engine swallows its input and says nothing more;
 *   - a challenge mechanism that proves the server too (SCRAM) must be complete when
 *     READY comes; the owner who was shown no signature quits.
 *
 * Every sp_cli_mail() that returned 0 ends in one SENT, also when the session dies (then
 * FAILED follows), but for RECONNECT: there the message is given again to the new engine.
 * SP_CLI_AUTH may come in the middle of a transaction, before its message was asked for:
 * a server may let the certificate alone pass until MAIL.
 *
 * Memory: event strings live until the next call that feeds or answers.  Options are
 * copied.  Input may be split anywhere.  An idle session holds about 1 kB; a message
 * passes through at most 66 kB and is copied once.
 */
#ifndef SALLYPORT_CLIENT_H
#define SALLYPORT_CLIENT_H

#include "smtp.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sp_cli;

enum sp_cli_tls {
    SP_CLI_TLS_REQUIRED, /* STARTTLS, verified; otherwise nothing is sent (default) */
    SP_CLI_TLS_IMPLICIT, /* inside TLS from the first octet, verified */
    SP_CLI_TLS_OPPORTUNISTIC, /* STARTTLS if offered, verified or not; never a credential
                                 in clear, nor to an unverified server */
    SP_CLI_TLS_NONE,          /* never; mail goes in clear (loopback, LMTP socket) */
};

enum sp_cli_cert_login {
    SP_CLI_CERT_AUTO,     /* see PROTOCOL: EXTERNAL, password, MAIL at once ... */
    SP_CLI_CERT_EXPLICIT, /* AUTH EXTERNAL or nothing */
    SP_CLI_CERT_IMPLICIT, /* MAIL at once */
};

struct sp_cli_options {
    const char *helo; /* our name: a domain or an address literal */
    bool lmtp;
    enum sp_cli_tls tls;
    bool allow_clear_secret;  /* the option whose name says so: secrets without TLS */
    bool allow_unverified;    /* likewise: an unverified server counts as verified */
    bool have_password;       /* authcid is set; the caller can answer SP_CLI_AUTH */
    bool have_token;          /* OAUTHBEARER / XOAUTH2 */
    bool have_ticket;         /* GSSAPI; without it GSSAPI is passed over */
    uint32_t mechs_forbidden; /* SP_MECH_BIT() set never used */
    uint32_t mechs_only;      /* non-zero: only these */
    bool have_certificate;    /* the TLS layer will offer one */
    enum sp_cli_cert_login cert_login;
    const char
        *external_identity;   /* configured authorization identity for EXTERNAL; NULL */
    const char *cert_address; /* the certificate's first rfc822Name; NULL */
    const char *authcid;      /* user name; NULL: none */
    const char *authzid; /* authorization identity; NULL: empty, as nearly always */
    bool login_required; /* false: go on without a login when none is offered */
    bool prefer_bdat;    /* use CHUNKING where offered */
    bool no_pipelining;
    unsigned quit_after;      /* enum sp_cli_stage: stop politely there; 0: no */
    unsigned line_max;        /* reply line; 0: 4096 (512 is the standard's) */
    unsigned reply_lines_max; /* 0: 200 */
};

enum sp_cli_stage {
    SP_STAGE_CONNECT = 1,
    SP_STAGE_GREETING,
    SP_STAGE_EHLO,
    SP_STAGE_STARTTLS,
    SP_STAGE_HANDSHAKE,
    SP_STAGE_EHLO_TLS,
    SP_STAGE_AUTH,
    SP_STAGE_MAIL,
    SP_STAGE_RCPT,
    SP_STAGE_DATA,
    SP_STAGE_DOT,
    SP_STAGE_RSET,
    SP_STAGE_QUIT,
};
SP_PUBLIC const char *sp_cli_stage_name(enum sp_cli_stage stage);

/* What the TLS layer proved. */
struct sp_cli_tls_facts {
    bool verified;        /* chain and name, or a pin */
    struct sp_str reason; /* why not */
    bool cert_requested;  /* the server asked for a certificate */
    bool cert_sent;
    bool channel_binding;
    bool ended_by_peer; /* tls_failed: an alert or EOF of the server's, no verdict of
                           ours; with cert_sent it means "certificate refused" */
};

enum sp_cli_event_type {
    SP_CLI_HANDSHAKE, /* (do) start TLS; then sp_cli_tls_done() or sp_cli_tls_failed() */
    SP_CLI_AUTH,      /* auth: build a token; sp_cli_auth_token(), _cancel() */
    SP_CLI_READY, /* logged in (or as far as it goes): sp_cli_mail(), sp_cli_quit() ... */
    SP_CLI_BODY,      /* the server wants the message: sp_cli_body(), sp_cli_body_end();
                         again whenever the output has drained */
    SP_CLI_SENT,      /* the transaction is over: sent; then READY comes again */
    SP_CLI_FAILED,    /* the session cannot go on: failed; CLOSE follows */
    SP_CLI_RECONNECT, /* (do) open a new connection without the certificate and go on with
                         a new engine from sp_cli_again(): PROTOCOL 2, auto */
    SP_CLI_CLOSE,     /* (do) send what is left, then close.  Sticky. */
};

/* How the server took our credentials, so that it can be pinned. */
enum sp_cli_login {
    SP_LOGIN_NONE,     /* nothing wanted, nothing said */
    SP_LOGIN_PASSWORD, /* AUTH with password or token */
    SP_LOGIN_EXTERNAL, /* AUTH EXTERNAL */
    SP_LOGIN_IMPLICIT, /* MAIL accepted without a login; identity unconfirmed */
};

struct sp_cli_rcpt_result {
    struct sp_reply reply; /* to RCPT, or to the dot when RCPT was accepted */
    enum sp_cli_stage stage;
    bool accepted; /* the server took responsibility for this recipient */
};

struct sp_cli_event {
    enum sp_cli_event_type type;
    union {
        struct {
            enum sp_mech mech;
            bool first; /* build the first token (none for server-first) */
            struct sp_str challenge;
            bool plus_offered; /* for SCRAM: gs2 flag "p" when used, else "n" or "y":
                                      "y" when we hold a binding and -PLUS is not listed */
            bool has_binding;
            unsigned step; /* LOGIN: 0 user name, 1 password */
        } auth;
        struct {
            enum sp_cli_login login;
            enum sp_mech mech;
            struct sp_str words; /* one plain sentence: what the server wanted */
            struct sp_str pin; /* "explicit", "implicit", "password": for the options */
        } ready;
        struct {
            const struct sp_cli_rcpt_result *rcpt; /* as many as were given */
            size_t n;
            struct sp_reply reply; /* of the decisive step */
            enum sp_cli_stage stage; /* AUTH: refused for want of a login, which says
                                        nothing about the mail; FAILED says more */
            bool accepted;           /* at least one recipient */
            bool login_doubt;        /* nobody is logged in, and each refusal can mean that
                                        somebody should be, or just what it says */
            bool unknown;  /* connection lost after the dot: recipients whose
                             reply.code is 0 at the stage DOT may have got it */
        } sent;
        struct {
            enum sp_class cls;
            enum sp_cli_stage stage;
            struct sp_reply reply; /* code 0: the server said nothing */
            struct sp_str words;   /* one plain sentence, with what to do */
            bool need_login;       /* the server wants a login that we could not give */
            bool auth_rejected;    /* the credentials were refused (535) */
        } failed;
    } u;
};

SP_PUBLIC struct sp_cli *sp_cli_new(const struct sp_cli_options *o, struct sp_err *err);
SP_PUBLIC struct sp_cli *sp_cli_again(const struct sp_cli *c); /* after RECONNECT */
SP_PUBLIC void sp_cli_free(struct sp_cli *c);                  /* wipes */

SP_PUBLIC size_t sp_cli_feed(struct sp_cli *c, const char *data, size_t len);
SP_PUBLIC bool sp_cli_next(struct sp_cli *c, struct sp_cli_event *ret_event);
SP_PUBLIC const char *sp_cli_out(const struct sp_cli *c, size_t *ret_len);
SP_PUBLIC void sp_cli_out_ack(struct sp_cli *c, size_t len);

SP_PUBLIC int sp_cli_tls_done(struct sp_cli *c, const struct sp_cli_tls_facts *f);
SP_PUBLIC int sp_cli_tls_failed(struct sp_cli *c, const struct sp_cli_tls_facts *f);
SP_PUBLIC int sp_cli_auth_token(struct sp_cli *c,
                                struct sp_str token); /* p NULL: empty */
SP_PUBLIC int sp_cli_auth_cancel(struct sp_cli *c, struct sp_str reason);
/* One-step tokens in the mechanism's own form, for answering SP_CLI_AUTH. */
SP_PUBLIC int sp_cli_plain(struct sp_str authzid, struct sp_str authcid,
                           struct sp_str password, char *ret, size_t cap);
SP_PUBLIC int sp_cli_bearer(enum sp_mech mech, struct sp_str authcid,
                            struct sp_str host, unsigned port, struct sp_str token,
                            char *ret, size_t cap);

/* A transaction.  Parameters the server does not offer: -SP_EDENIED with the reason when
 * leaving one out would change what the mail means (SMTPUTF8, BINARYMIME, REQUIRETLS ...),
 * left out silently where the RFC allows.  size 0: unknown. */
SP_PUBLIC int sp_cli_mail(struct sp_cli *c, const struct sp_mail *m,
                          const struct sp_rcpt *rcpt, size_t n, uint64_t size,
                          struct sp_err *err);
/* Why sp_cli_mail() refuses this mail here and always will: the enhanced status code for a
 * notice ("5.6.3", "5.7.30" ...), or NULL where nothing that it needs is missing. */
SP_PUBLIC const char *sp_cli_mail_code(const struct sp_cli *c, const struct sp_mail *m,
                                       uint64_t size);
/* Octets of the message with CRLF lines, not dot-stuffed; returns how many were taken (0:
 * not now, SP_CLI_BODY says when).  A bare CR or LF is sent as CR LF and a last line is
 * completed, but for BODY=BINARYMIME. */
SP_PUBLIC size_t sp_cli_body(struct sp_cli *c, const char *data, size_t len);
SP_PUBLIC int sp_cli_body_end(struct sp_cli *c);
SP_PUBLIC int
sp_cli_body_abort(struct sp_cli *c); /* cut the connection: nothing is sent */
SP_PUBLIC int sp_cli_rset(struct sp_cli *c);
SP_PUBLIC int sp_cli_noop(struct sp_cli *c);
SP_PUBLIC int sp_cli_quit(struct sp_cli *c);

SP_PUBLIC void sp_cli_gone(struct sp_cli *c, struct sp_str reason); /* EOF or error */
/* The same, when it was a TLS alert of the server's that ended the connection: TLS 1.3
 * shows only at the first read that a certificate is refused or missed. */
SP_PUBLIC void sp_cli_alerted(struct sp_cli *c, struct sp_str reason);
SP_PUBLIC void sp_cli_expired(struct sp_cli *c);
SP_PUBLIC enum sp_wait sp_cli_wait(const struct sp_cli *c);

/* Capabilities of the present TLS state only; meaningless (zero) before EHLO. */
SP_PUBLIC uint32_t sp_cli_extensions(const struct sp_cli *c);
SP_PUBLIC uint32_t sp_cli_mechs(const struct sp_cli *c);
SP_PUBLIC uint64_t sp_cli_size_max(const struct sp_cli *c);
SP_PUBLIC unsigned sp_cli_rcpt_max(const struct sp_cli *c); /* LIMITS; 0: not stated */
SP_PUBLIC unsigned sp_cli_mail_max(const struct sp_cli *c); /* likewise MAILMAX */
SP_PUBLIC struct sp_str sp_cli_ehlo_text(const struct sp_cli *c); /* raw lines, '\n' */
SP_PUBLIC enum sp_cli_stage sp_cli_stage(const struct sp_cli *c);

/* A copy of the dialogue for people: called by the owner on each drained out and fed in;
 * writes `line` with secrets replaced by "[hidden]".  See sp_cli_trace_*(). */
typedef void sp_cli_trace_fn(void *arg, bool from_server, struct sp_str line);
SP_PUBLIC void sp_cli_trace(struct sp_cli *c, sp_cli_trace_fn *fn, void *arg);

SP_PUBLIC struct sp_cli *sp_cli_clone(const struct sp_cli *c);
SP_PUBLIC void sp_cli_digest(const struct sp_cli *c, uint64_t ret_digest[2]);

#ifdef __cplusplus
}
#endif
#endif
