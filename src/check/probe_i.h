/*
 * probe_i.h - one run against a server: what the scenes share.  For probe.c and chk_*.c.
 *
 * A scene is one connection.  It serves several checks: it begins those that are wanted
 * (sp_probe_want), looks, adds findings, and says done.  What it could not see stays
 * undone, and probe.c lists it as not run with the reason why the connection ended.
 * Only what was seen is claimed: a reply that can mean two things makes no finding.
 *
 * Scenes run in the order of the table in probe.c, as far as twelve connections go.
 * What needs two connections to judge is judged at the end (sp_probe_judge_*).
 */
#ifndef SP_PROBE_I_H
#define SP_PROBE_I_H

#include "probe.h"
#include "probe_wire.h"

enum {
    SP_PROBE_CONNECTIONS = 12, /* of a run without --thorough */
    SP_PROBE_FAILED = 3,       /* logins that may fail in it, one on each connection */
    SP_PROBE_WIRES = 64,
};

/* Mail to another domain, which nobody should take from a stranger; nothing is sent. */
#define SP_PROBE_FOREIGN_RCPT    "sallyport-check@example.com"
/* An identity and a user that nobody has. */
#define SP_PROBE_NOBODY_IDENTITY "sallyport-check@example.com"
#define SP_PROBE_NOBODY          "sallyport-check"
/* A mechanism that nobody has. */
#define SP_PROBE_NO_MECHANISM    "X-SALLYPORT-CHECK"

struct sp_probe_pair { /* a certificate with its key */
    X509 *cert;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

/* A reply and where it stands in which dialogue. */
struct sp_probe_seen {
    struct sp_pw_reply r; /* code 0: not asked, or not answered */
    const struct sp_pw *w;
    unsigned from, to;
};

enum sp_probe_in { SP_IN_UNKNOWN, SP_IN_YES, SP_IN_NO };

struct sp_probe {
    const struct sp_probe_options *o;
    struct sp_findings *f;
    struct sp_pw_dial dial;
    bool implicit, mx, thorough;
    bool trusted; /* our address may be one that the server trusts */
    const char *helo, *host, *tls_name, *ca_path;
    char from[330], identity[330]; /* reverse-path; the certificate's address */
    struct sp_probe_pair own, bad, foreign;
    struct sp_buf password; /* or token */
    bool have_password, have_token;

    unsigned connections, failed, timeouts;
    bool hopeless;
    char hopeless_why[200];
    struct sp_pw *wire[SP_PROBE_WIRES];
    unsigned n_wires;
    const char *variant; /* a scene's, where there are several of a kind */

    enum sp_product product;
    struct sp_caps *clear, *tls, *cert, *login; /* what EHLO listed where */
    struct sp_probe_seen no_ehlo_mail,
        no_ehlo_auth;                /* inside TLS after an EHLO in clear */
    struct sp_probe_seen never_mail; /* inside TLS, no EHLO ever */
    struct sp_probe_seen bare_mail,
        bare_rcpt; /* EHLO, nobody logged in, no certificate */
    struct sp_probe_seen cert_mail, cert_rcpt; /* the same with the certificate */
    bool cert_unfit, issuer_unknown; /* the server's: no program that verifies gets in;
                                      * those that are told its authority do */
    enum sp_probe_in password_in, equals_in, identity_in, cert_in;
    bool equals_asked;  /* a challenge came in between */
    char mechanism[32]; /* with which the password was taken */
    bool tls_tried, tls_works;
    bool cut_short;     /* the session without a login was ended by the server */
    bool silent_in_tls; /* it ended with the handshake */
    bool wants_cert;    /* nobody is served without a certificate */
    bool star_harmless; /* "*" was seen to cancel, and not to count as a failed login */
    /* --profile mx */
    char mx_host[256], domain[256];
    bool mx_secure;                  /* DNSSEC proves who the exchange is */
    struct sp_probe_seen cert_login; /* the password, with the certificate shown */
};

/* ---- checks ---- */

bool sp_probe_want(struct sp_probe *p, enum sp_check_id c); /* begins it */
void sp_probe_done(struct sp_probe *p, enum sp_check_id c);
/* Evidence: lines of w's dialogue from `from` to now. */
void sp_probe_found(struct sp_probe *p, const struct sp_pw *w, unsigned from,
                    enum sp_finding_id id, const char *f1, const char *f2,
                    const char *f3);
void sp_probe_found_as(struct sp_probe *p, enum sp_severity s, const struct sp_pw *w,
                       unsigned from, enum sp_finding_id id, const char *f1,
                       const char *f2, const char *f3);
/* Evidence: what was seen then. */
void sp_probe_found_seen(struct sp_probe *p, const struct sp_probe_seen *a,
                         const struct sp_probe_seen *b, enum sp_finding_id id,
                         const char *f1, const char *f2, const char *f3);

/* Evidence: one of the replies of p's connections. */
void sp_probe_found_reply(struct sp_probe *p, const struct sp_pw_reply *r,
                          enum sp_finding_id id, const char *f1, const char *f2,
                          const char *f3);

/* ---- steps ---- */

/* May a login be tried that can fail?  One on a connection, three in all. */
bool sp_probe_may_fail(struct sp_probe *p, const struct sp_pw *w);
void sp_probe_failed(struct sp_probe *p, struct sp_pw *w); /* one did */

bool sp_probe_greet(struct sp_probe *p, struct sp_pw *w); /* the banner */
/* *ret (may be NULL) is made, or stays NULL when EHLO is refused. */
bool sp_probe_ehlo(struct sp_probe *p, struct sp_pw *w, struct sp_caps **ret,
                   struct sp_pw_reply *r);
/* Into TLS: banner, EHLO, STARTTLS, handshake; with implicit TLS handshake, banner. */
bool sp_probe_secure(struct sp_probe *p, struct sp_pw *w, const struct sp_pw_tls *t);
struct sp_pw_tls sp_probe_tls(const struct sp_probe *p,
                              const struct sp_probe_pair *pair);
/* Is the one at the other end who it should be?  Asked before a real password is sent. */
bool sp_probe_verified(const struct sp_probe *p, const struct sp_pw *w);
/* A command; the reply is kept with its place in the dialogue. */
int sp_probe_ask(struct sp_pw *w, struct sp_probe_seen *s, const char *fmt, ...)
    SP_PRINTF(3, 4);
/* "*", until the server is out of the exchange; the reply to the first one. */
int sp_probe_cancel(struct sp_probe *p, struct sp_pw *w, struct sp_pw_reply *r);
/* "AUTH NAME" without an initial response; a challenge is cancelled.  Its code. */
int sp_probe_auth_bare(struct sp_probe *p, struct sp_pw *w, const char *mech,
                       struct sp_pw_reply *r);
/* AUTH EXTERNAL with an initial response (NULL: none; "" "=") and an answer to 334
 * (NULL: "*"). */
int sp_probe_external(struct sp_probe *p, struct sp_pw *w, const char *initial,
                      const char *answer, struct sp_pw_reply *r);
/* MAIL, and RCPT to another domain when MAIL was taken; then RSET.  True: both. */
bool sp_probe_mail(struct sp_probe *p, struct sp_pw *w, struct sp_probe_seen *mail,
                   struct sp_probe_seen *rcpt);
/* With the real password or token.  235, another code, or 0. */
int sp_probe_login(struct sp_probe *p, struct sp_pw *w, const struct sp_caps *caps,
                   struct sp_pw_reply *r);
bool sp_probe_login_possible(const struct sp_probe *p, const struct sp_caps *caps);

bool sp_mech_listed(const struct sp_caps *c, enum sp_mech m);
void sp_probe_auth_list(const struct sp_caps *c, char *out, size_t cap);  /* "none" */
bool sp_reply_is(const struct sp_pw_reply *r, int code, const char *enh); /* "5.7.0" */

/* ---- scenes ---- */

void sp_scene_clear(struct sp_probe *p, struct sp_pw *w);
void sp_scene_clear_to_tls_port(struct sp_probe *p, struct sp_pw *w);
void sp_scene_forget(struct sp_probe *p, struct sp_pw *w);
void sp_scene_forget_rest(struct sp_probe *p, struct sp_pw *w);
void sp_scene_inject(struct sp_probe *p, struct sp_pw *w);
void sp_scene_never_greeted(struct sp_probe *p, struct sp_pw *w);
void sp_scene_old_tls(struct sp_probe *p, struct sp_pw *w);
void sp_scene_failed_handshake(struct sp_probe *p, struct sp_pw *w);
void sp_scene_weak_ciphers(struct sp_probe *p, struct sp_pw *w);
void sp_scene_cert(struct sp_probe *p, struct sp_pw *w);
void sp_scene_cert_mail(struct sp_probe *p, struct sp_pw *w);
void sp_scene_wrong_identity(struct sp_probe *p, struct sp_pw *w);
void sp_scene_foreign(struct sp_probe *p, struct sp_pw *w);
void sp_scene_bad_cert(struct sp_probe *p, struct sp_pw *w);
void sp_scene_cert_password(struct sp_probe *p, struct sp_pw *w);
void sp_scene_spelling(struct sp_probe *p, struct sp_pw *w);
void sp_scene_login(struct sp_probe *p, struct sp_pw *w);
void sp_scene_authzid(struct sp_probe *p, struct sp_pw *w);
void sp_scene_recipients(struct sp_probe *p, struct sp_pw *w);
void sp_scene_data(struct sp_probe *p, struct sp_pw *w);
void sp_scene_dane(struct sp_probe *p, struct sp_pw *w);
void sp_scene_sts(struct sp_probe *p, struct sp_pw *w);
bool sp_probe_sts_needs_scene(const struct sp_probe *p);

/* Not scenes: they make their own connections. */
unsigned sp_probe_own_client_due(const struct sp_probe *p); /* connections to keep */
void sp_probe_own_client(struct sp_probe *p);
void sp_probe_mta_sts(struct sp_probe *p);
bool sp_probe_find_mx(struct sp_probe *p);

/* What is known after a handshake that verified nothing: certificate, versions ... */
void sp_probe_tls_findings(struct sp_probe *p, const struct sp_pw *w);
void sp_probe_tls_end(struct sp_probe *p, const struct sp_pw *w);

void sp_probe_judge_starttls(struct sp_probe *p);
void sp_probe_judge_auth(struct sp_probe *p);
void sp_probe_judge_replies(struct sp_probe *p);
void sp_probe_judge_recipes(struct sp_probe *p);

/* Postfix, Exim ... by what it says; adds to what is known. */
void sp_probe_recognise(struct sp_probe *p, const struct sp_pw *w);

#endif
