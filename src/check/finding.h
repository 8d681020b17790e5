/*
 * finding.h - what `sallyport check` can find, and what one run of it has found.
 *
 * The catalogue is data: cat_server.h (a server is probed) and cat_client.h (a client is
 * graded) hold one SP_CHECK row for each check, followed by the SP_FINDING rows it can
 * report; cat_recipe.h holds SP_RECIPE rows: what a client must be set to.  enum sp_check_id,
 * sp_finding_id and sp_recipe_id come from these rows, so that a finding which is not in
 * the catalogue does not compile.  doc/findings.md is made from the same rows.
 *
 *     sp_findings_new(SP_SIDE_SERVER, &f);
 *     sp_findings_choose(f, &choice, &err);            what may run and what is at hand
 *     sp_findings_fact(f, "banner", sp_str("220 mx ..."));
 *     if (sp_check_begin(f, SP_C_P07)) {               false: it said why itself
 *         struct sp_evidence ev = {0};
 *         sp_ev_put(&ev, SP_EV_CLIENT, "clear", octets);
 *         sp_ev_put(&ev, SP_EV_SERVER, "TLS", reply);
 *         sp_finding_add(f, SP_F_STARTTLS_INJECTION, &ev, "CVE-2011-0411", NULL, NULL);
 *         sp_check_done(f, SP_C_P07, 1, 0);            connections, failed logins
 *     }
 *     sp_findings_finish(f);                           what did not come: listed so
 *     status = sp_findings_exit(f);
 *     sp_findings_free(f);
 *
 * Memory: everything that is given is copied; what is returned lives as long as f.
 * Errors: functions that return int give 0 or -SP_E...; running out of memory or of a
 * maximum is remembered in f as well (sp_findings_exit() then is EX_OSERR), so that a
 * prober may ignore what they return.
 *
 * Do not put a secret into facts or evidence: nothing here can tell it from other text.
 * Use sp_ev_hidden().  Peer text may hold any octet; it is escaped where it is shown.
 */
#ifndef SP_FINDING_H
#define SP_FINDING_H

#include "buf.h"

/* Grows worse from row to row. */
enum sp_severity {
    SP_SEV_GOOD,     /* as it should be */
    SP_SEV_ADVICE,   /* works; would be better otherwise, or good to know */
    SP_SEV_INTEROP,  /* some clients do not get in */
    SP_SEV_BROKEN,   /* against the standard, or unable to do what it announces */
    SP_SEV_INSECURE, /* passwords, mail or identities are exposed */
    SP_SEV_COUNT
};

enum sp_side { SP_SIDE_SERVER, SP_SIDE_CLIENT };

/* Which mail programs have settings of their own in the catalogue. */
enum sp_product {
    SP_PRODUCT_UNKNOWN,
    SP_PRODUCT_POSTFIX,
    SP_PRODUCT_EXIM,
    SP_PRODUCT_SENDMAIL,
    SP_PRODUCT_DOVECOT,
    SP_PRODUCT_OPENSMTPD,
    SP_PRODUCT_SALLYPORT,
    SP_PRODUCT_OTHER, /* recognised, but without settings here: fact "product" names it */
    SP_PRODUCT_COUNT
};

enum sp_check_tier {
    SP_TIER_GENTLE,   /* in every run */
    SP_TIER_THOROUGH, /* --thorough: more connections or failed logins */
    SP_TIER_INTRUSIVE, /* --intrusive: may disturb the server or be logged as an attack */
};

enum sp_check_needs { /* bits: what must be given, else the check is "not run" */
                      SP_NEEDS_PASSWORD = 1,    /* --user and a password (or token) */
                      SP_NEEDS_CERTIFICATE = 2, /* --certificate */
                      SP_NEEDS_BAD_CERT =
                          4, /* --bad-cert: expired or revoked, of the server's own CA */
                      SP_NEEDS_SEND_TO = 8,     /* --send-to */
                      SP_NEEDS_STARTTLS = 16,   /* not with implicit TLS */
                      SP_NEEDS_MX = 32,         /* --profile mx */
                      SP_NEEDS_SUBMISSION = 64, /* --profile submission */
};

/* ---- the catalogue ---- */

struct sp_check_row {
    const char *id;    /* "P07", "C03": never given to another check */
    const char *title; /* "commands sent behind STARTTLS" */
    const char *asks;  /* one sentence: how it finds out */
    enum sp_side side;
    enum sp_check_tier tier;
    unsigned needs;         /* of enum sp_check_needs */
    unsigned connections;   /* of its own; 0: it shares those of others */
    unsigned failed_logins; /* that the server will count */
    unsigned mails;         /* that are sent (only with --send-to) */
};

struct sp_finding_row {
    const char *id;       /* kebab-case, stable: "starttls-injection" */
    unsigned check;       /* enum sp_check_id */
    unsigned severity;    /* enum sp_severity */
    const char *sentence; /* plain, ends in a full stop; %1 %2 %3 are the facts */
    const char *why;      /* why it matters: one or two sentences */
    const char *rfc;      /* "RFC 3207 section 4.2"; NULL: a matter of practice */
    const char *change;   /* for the administrator (or author); NULL: nothing to do */
    const char *postfix, *exim, *sendmail, *dovecot,
        *opensmtpd;  /* setting's name and value */
    unsigned recipe; /* enum sp_recipe_id: what clients must do here; 0: none */
};

/* Settings for a client so that it works here.  {host} {port} {user} {cert} {key} and
 * {scheme} (smtp or smtps) are filled in. */
struct sp_recipe_row {
    const char *id;    /* kebab-case */
    const char *title; /* "password over STARTTLS" */
    const char *curl, *msmtp, *thunderbird, *swaks, *sallyport; /* NULL: it cannot */
};

enum sp_check_id {
#define SP_CHECK(name, ...) SP_C_##name,
#include "catalogue.h"
    SP_CHECK_COUNT
};

enum sp_finding_id {
#define SP_FINDING(name, ...) SP_F_##name,
#include "catalogue.h"
    SP_FINDING_COUNT
};

enum sp_recipe_id {
    SP_R_NONE,
#define SP_RECIPE(name, ...) SP_R_##name,
#include "catalogue.h"
    SP_RECIPE_COUNT
};

const struct sp_check_row *sp_check_row(enum sp_check_id id);
const struct sp_finding_row *sp_finding_row(enum sp_finding_id id);
const struct sp_recipe_row *
sp_recipe_row(enum sp_recipe_id id);              /* NULL for SP_R_NONE */
int sp_check_by_id(struct sp_str id);             /* any case; -SP_ENOENT */
int sp_finding_by_id(struct sp_str id);           /* -SP_ENOENT */
const char *sp_severity_name(enum sp_severity s); /* "insecure" */
const char *sp_product_name(enum sp_product p);   /* "Postfix"; "unknown" */
const char *sp_product_setting(const struct sp_finding_row *row,
                               enum sp_product p); /* NULL */

/* The clients that recipes are for, in the order in which they are shown; key NULL ends. */
struct sp_recipe_client {
    const char *key, *name; /* "thunderbird", "Thunderbird" */
    size_t offset;          /* in struct sp_recipe_row */
    const char *ca;         /* what trusts an authority of one's own, put behind it */
};
const struct sp_recipe_client *sp_recipe_clients(void);
const char *sp_recipe_text(const struct sp_recipe_row *row,
                           const struct sp_recipe_client *c); /* NULL: it cannot */

/* "2 connections, 1 failed login"; "a user and a password, --send-to" */
int sp_check_put_cost(struct sp_buf *out, const struct sp_check_row *c);
int sp_check_put_needs(struct sp_buf *out, unsigned needs);

/* doc/findings.md, appended to out.  0, -SP_ELIMIT, -SP_ENOMEM. */
int sp_catalogue_markdown(struct sp_buf *out);

/* ---- evidence: a piece of the dialogue ---- */

enum { SP_EV_LINES = 12, SP_EV_TEXT = 200 };

enum sp_ev_dir { SP_EV_CLIENT, SP_EV_SERVER, SP_EV_NOTE };

struct sp_evidence {
    struct sp_ev_line {
        unsigned char dir;
        bool clipped;     /* the line was longer */
        char where[24];   /* "clear", "TLS", "TLS, connection 3" */
        unsigned short n; /* octets in text, as they were on the wire, without CRLF */
        char text[SP_EV_TEXT];
    } line[SP_EV_LINES];
    unsigned n, dropped; /* lines kept; lines that had no room */
};

/* Each line of `octets` (they end in CRLF; the last one need not) is one line of evidence.
 * A bare CR, a bare LF and NUL stay inside it and are shown as escapes. */
void sp_ev_put(struct sp_evidence *ev, enum sp_ev_dir dir, const char *where,
               struct sp_str octets);
/* `shown` as it was sent, then [hidden] in place of the secret. */
void sp_ev_hidden(struct sp_evidence *ev, const char *where, const char *shown);
/* Something that happened and was no line: "handshake failed: unknown CA". */
void sp_ev_note(struct sp_evidence *ev, const char *where, const char *fmt, ...)
    SP_PRINTF(3, 4);

/* ---- a run ---- */

enum { SP_FACTS = 3, SP_FINDINGS_MAX = 512 };

struct sp_finding {
    enum sp_finding_id id;
    const struct sp_finding_row *row;
    enum sp_severity severity;  /* the row's, or milder (sp_finding_add_as) */
    const char *fact[SP_FACTS]; /* NULL: not used */
    struct sp_evidence ev;
};

enum sp_check_state {
    SP_CHECK_TODO,
    SP_CHECK_RUNNING,
    SP_CHECK_DONE,
    SP_CHECK_NOT_RUN, /* `why` says it */
};

struct sp_check_result {
    enum sp_check_state state;
    char why[160];
    unsigned connections, failed_logins; /* what it really used */
};

enum sp_profile { SP_PROFILE_SUBMISSION, SP_PROFILE_MX };

struct sp_check_choice {
    const char *only; /* "P01,P07" or NULL: all that the tier allows */
    bool thorough, intrusive;
    enum sp_profile profile;
    unsigned have; /* of enum sp_check_needs: what is at hand */
};

struct sp_findings; /* opaque */

int sp_findings_new(enum sp_side side, struct sp_findings **ret);
void sp_findings_free(struct sp_findings *f);
/* -SP_EINPUT: `only` names a check that there is not (of this side). */
int sp_findings_choose(struct sp_findings *f, const struct sp_check_choice *c,
                       struct sp_err *err);

/* May this check run?  If not, the reason is on record already.  Tells progress. */
bool sp_check_begin(struct sp_findings *f, enum sp_check_id id);
bool sp_check_wanted(const struct sp_findings *f, enum sp_check_id id); /* only asks */
void sp_check_done(struct sp_findings *f, enum sp_check_id id, unsigned connections,
                   unsigned failed_logins);
void sp_check_not_run(struct sp_findings *f, enum sp_check_id id, const char *fmt, ...)
    SP_PRINTF(3, 4);
/* Of a check that is done: a part of it could not be; fmt says which and why. */
void sp_check_partly(struct sp_findings *f, enum sp_check_id id, const char *fmt, ...)
    SP_PRINTF(3, 4);

/* What the whole run used, where checks share connections: instead of the sum. */
void sp_findings_cost(struct sp_findings *f, unsigned connections,
                      unsigned failed_logins);

/* ev may be NULL.  Facts are for %1 %2 %3 of the row's sentence.  The same finding with
 * the same facts is kept once. */
int sp_finding_add(struct sp_findings *f, enum sp_finding_id id,
                   const struct sp_evidence *ev, const char *fact1, const char *fact2,
                   const char *fact3);
/* The same with another severity, where it depends on what was given (never worse than
 * the row's). */
int sp_finding_add_as(struct sp_findings *f, enum sp_finding_id id,
                      enum sp_severity severity, const struct sp_evidence *ev,
                      const char *fact1, const char *fact2, const char *fact3);

/* Facts about the peer, shown above the findings in this order; a key given again is
 * replaced.  Keys that reports know: "host" "port" "address" "tls" (starttls, implicit,
 * none) "product" "version" "banner" "tls-version" "cipher" "group" "certificate"
 * "login" ("SCRAM-SHA-256", how our own client got in) "client" (the command graded). */
void sp_findings_fact(struct sp_findings *f, const char *key, struct sp_str value);
const char *sp_findings_get(const struct sp_findings *f, const char *key); /* NULL */
void sp_findings_product(struct sp_findings *f, enum sp_product p);

/* Capabilities, a line ("SIZE 1000") at a time: reports show the difference. */
enum sp_caps_when {
    SP_CAPS_CLEAR,
    SP_CAPS_TLS,
    SP_CAPS_CERT,
    SP_CAPS_LOGIN,
    SP_CAPS_COUNT
};
void sp_findings_cap(struct sp_findings *f, enum sp_caps_when when, struct sp_str line);
/* An EHLO was answered there, though perhaps without any capability. */
void sp_findings_caps_seen(struct sp_findings *f, enum sp_caps_when when);

/* A recipe that works here, whatever was found: stands before those of findings, and the
 * first one is the one to recommend. */
void sp_findings_recipe(struct sp_findings *f, enum sp_recipe_id id);
/* What recipes need to know and nobody has to read about the peer: "ca", "cert" and "key"
 * (file names), "identity" (the certificate's address), "mechanism", "method" (the same in
 * small letters).  value may be NULL. */
void sp_findings_fill(struct sp_findings *f, const char *name, const char *value);
const char *sp_findings_filled(const struct sp_findings *f, struct sp_str name);

/* The probing itself failed: a status of sysexits.h and a sentence.  The first counts. */
void sp_findings_failed(struct sp_findings *f, int status, const char *fmt, ...)
    SP_PRINTF(3, 4);
void sp_findings_interrupted(
    struct sp_findings *f); /* Ctrl-C: what there is, is kept */
void sp_findings_finish(struct sp_findings *f);

/* Worst severity: 0 good or advice, 1 interop, 2 broken, 3 insecure; when nothing worse
 * than advice was found and the probing itself failed, its status (128 + SIGINT after
 * an interruption). */
int sp_findings_exit(const struct sp_findings *f);

/* ---- progress: called from sp_check_begin() and sp_findings_say() ---- */

struct sp_progress {
    void (*said)(void *arg, enum sp_check_id check, const char *what, unsigned done,
                 unsigned total);
    void *arg;
};
void sp_findings_progress(struct sp_findings *f, const struct sp_progress *p);
/* What goes on inside the running check: "waiting for the banner (12 s)". */
void sp_findings_say(struct sp_findings *f, const char *fmt, ...) SP_PRINTF(2, 3);

/* ---- reading a run: for reports and tests ---- */

enum sp_side sp_findings_side(const struct sp_findings *f);
size_t sp_findings_count(const struct sp_findings *f);
const struct sp_finding *sp_findings_at(const struct sp_findings *f,
                                        size_t i); /* worst first */
size_t sp_findings_severity(const struct sp_findings *f,
                            enum sp_severity s); /* how many */
const struct sp_check_result *sp_findings_check(const struct sp_findings *f,
                                                enum sp_check_id id);

#endif
