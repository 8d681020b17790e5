/*
 * chk_cert.c - the client certificate: P10 P12 P13 P14 P15 P16 P17 P26 P35.
 */
#include "probe_i.h"

#include "text.h"

#include <stdio.h>
#include <string.h>

/* Into TLS with this pair, and greeted.  False: the certificate, or we, were refused;
 * *ret_refused then has the reason when the server ended it. */
static bool shown(struct sp_probe *p, struct sp_pw *w, const struct sp_probe_pair *pair,
                  int max_version, struct sp_caps **caps, char *ret_refused, size_t cap)
{
    struct sp_pw_tls t = sp_probe_tls(p, pair);
    struct sp_pw_reply r = {0};

    *ret_refused = '\0';
    t.max_version = max_version;
    if (sp_probe_secure(p, w, &t) && sp_probe_ehlo(p, w, caps, &r))
        return true;
    /* TLS 1.3 tells only at the first read that a certificate is not liked. */
    if (w->tls.cert_asked && w->tls.alert)
        (void)snprintf(ret_refused, cap, "%s", w->tls.failure);
    else if (w->tls.up && w->tls.cert_asked && r.code == 421)
        (void)snprintf(ret_refused, cap, "%s", r.line);
    else if (w->tls.cert_asked && (w->end == SP_PW_EOF || w->end == SP_PW_RESET))
        (void)snprintf(ret_refused, cap, "it ends the connection");
    return false;
}

/* The same, and EXTERNAL is listed then; else check c says that it is not.  With --only
 * this is the first look at what is listed to the certificate. */
static bool shown_external(struct sp_probe *p, struct sp_pw *w, enum sp_check_id c)
{
    char why[200];

    if (!shown(p, w, &p->own, 0, p->cert ? NULL : &p->cert, why, sizeof why))
        return false;
    if (!sp_mech_listed(p->cert, SP_MECH_EXTERNAL)) {
        sp_check_not_run(p->f, c, "EXTERNAL is not listed to the certificate");
        return false;
    }
    return true;
}

/* Did MAIL and RCPT get through because of the certificate?  Held against what the same
 * commands got without one: RCPT can be refused for reasons that are no login's. */
static enum sp_probe_in counted(const struct sp_probe *p,
                                const struct sp_pw_reply *mail,
                                const struct sp_pw_reply *rcpt)
{
    const struct sp_pw_reply *m = &p->bare_mail.r, *r = &p->bare_rcpt.r;

    if (mail->code >= 400)
        return SP_IN_NO;
    if (mail->code != 250 || !rcpt->code)
        return SP_IN_UNKNOWN;
    if (m->code >= 400 ||
        ((p->wants_cert || p->silent_in_tls) && !m->code && rcpt->code < 300))
        return SP_IN_YES;
    if (m->code == 250 && r->code >= 400 && rcpt->code < 300)
        return SP_IN_YES;
    if (m->code == 250 && r->code >= 400 && rcpt->code == r->code)
        return SP_IN_NO;
    return SP_IN_UNKNOWN;
}

/* ---- P10, P12 ---- */

static void lists(struct sp_probe *p, struct sp_pw *w, unsigned from)
{
    char without[200], with[200];
    bool external = sp_mech_listed(p->cert, SP_MECH_EXTERNAL);

    if (!sp_probe_want(p, SP_C_P10))
        return;
    sp_probe_auth_list(p->tls, without, sizeof without);
    sp_probe_auth_list(p->cert, with, sizeof with);
    if (!w->tls.cert_asked)
        sp_probe_found(p, w, from, SP_F_CERT_NOT_WANTED, NULL, NULL, NULL);
    else if (p->tls && p->tls->mechs && !p->cert->mechs)
        sp_probe_found(p, w, from, SP_F_CERT_REMOVES_AUTH, without, NULL, NULL);
    else if (external && p->tls && !sp_mech_listed(p->tls, SP_MECH_EXTERNAL))
        sp_probe_found(p, w, from, SP_F_CERT_ADDS_EXTERNAL, with, NULL, NULL);
    else if (p->tls && p->tls->mechs == p->cert->mechs)
        sp_probe_found(p, w, from, SP_F_CERT_CHANGES_NOTHING, with, NULL, NULL);
    else if (p->tls)
        sp_probe_found(p, w, from, SP_F_CERT_CHANGES_LIST, without, with, NULL);
    sp_probe_done(p, SP_C_P10);
}

/* A challenge although "=" was sent is answered as who had sent nothing would. */
static void equals(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r, first;
    int code = sp_pw_cmd(w, &first, "AUTH EXTERNAL =");

    r = first;
    if (code == 334)
        code = sp_pw_cmd(w, &r, "%s", "");
    if (code >= 400)
        sp_probe_failed(p, w);
    if (code == 334)
        (void)sp_probe_cancel(p, w, &r);
    if (!code)
        return;
    p->equals_in = code == 235 ? SP_IN_YES : SP_IN_NO;
    p->equals_asked = first.code == 334;
    if (code == 235 && first.code == 334)
        sp_probe_found(p, w, from, SP_F_EXTERNAL_IR_IGNORED, first.line, r.line, NULL);
    else if (code == 235)
        sp_probe_found(p, w, from, SP_F_EXTERNAL_EQUALS, r.line, NULL, NULL);
    else
        sp_probe_found(p, w, from, SP_F_EXTERNAL_EQUALS_REFUSED, r.line, NULL, NULL);
    if (code == 235 || !p->identity[0])
        sp_probe_done(p, SP_C_P12);
}

/* ---- P14 ---- */

static void alone(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;

    if (!sp_probe_want(p, SP_C_P14))
        return;
    if (!w->tls.cert_asked) {
        sp_check_not_run(p->f, SP_C_P14, "the server asks for no certificate");
        return;
    }
    (void)sp_probe_mail(p, w, &p->cert_mail, &p->cert_rcpt);
    p->cert_in = counted(p, &p->cert_mail.r, &p->cert_rcpt.r);
    if (p->cert_in == SP_IN_UNKNOWN) {
        if (sp_pw_alive(w))
            sp_check_not_run(p->f, SP_C_P14,
                             "unclear: it is not seen what MAIL gets without it");
        return;
    }
    if (p->cert_in == SP_IN_YES)
        sp_probe_found(p, w, from, SP_F_CERT_IMPLICIT, p->cert_mail.r.line, NULL, NULL);
    else
        sp_probe_found(p, w, from, SP_F_CERT_EXPLICIT,
                       p->cert_mail.r.code == 250 ? p->cert_rcpt.r.line
                                                  : p->cert_mail.r.line,
                       NULL, NULL);
    sp_probe_done(p, SP_C_P14);
}

void sp_scene_cert(struct sp_probe *p, struct sp_pw *w)
{
    char why[200];
    unsigned from;

    if (!shown(p, w, &p->own, 0, &p->cert, why, sizeof why)) {
        if (*why && sp_probe_want(p, SP_C_P10)) {
            sp_probe_found(p, w, 0, SP_F_OWN_CERT_REFUSED, why, NULL, NULL);
            sp_probe_done(p, SP_C_P10);
        }
        return;
    }
    from = w->n_lines > p->cert->lines + 1 ? w->n_lines - p->cert->lines - 1 : 0;
    lists(p, w, from);
    if (!w->tls.cert_asked)
        return;
    if (!sp_mech_listed(p->cert, SP_MECH_EXTERNAL)) {
        sp_check_not_run(p->f, SP_C_P12, "EXTERNAL is not listed to the certificate");
        alone(p, w);
    } else if (sp_probe_want(p, SP_C_P12)) {
        equals(p, w);
    }
}

void sp_scene_cert_mail(struct sp_probe *p, struct sp_pw *w)
{
    char why[200];

    if (shown(p, w, &p->own, 0, NULL, why, sizeof why))
        alone(p, w);
}

/* ---- P12, P26: the other spellings, each on a connection of its own ---- */

static void with_identity(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    int code;

    if (!p->identity[0] || !sp_probe_may_fail(p, w)) {
        sp_check_not_run(p->f, SP_C_P12,
                         p->identity[0] ? "enough logins failed already"
                                        : "no identity in the certificate");
        return;
    }
    code = sp_probe_external(p, w, p->identity, NULL, &r);
    if (!code)
        return;
    p->identity_in = code == 235 ? SP_IN_YES : SP_IN_NO;
    sp_probe_found(p, w, from,
                   code == 235 ? SP_F_EXTERNAL_IDENTITY
                               : SP_F_EXTERNAL_IDENTITY_REFUSED,
                   p->identity, r.line, NULL);
    sp_probe_done(p, SP_C_P12);
}

void sp_scene_spelling(struct sp_probe *p, struct sp_pw *w)
{
    const char *how = p->variant, *user = p->o->talk->cli.authcid;
    struct sp_pw_reply r;
    unsigned from;
    int code;

    if (!sp_probe_want(p, how ? SP_C_P26 : SP_C_P12) ||
        !shown_external(p, w, how ? SP_C_P26 : SP_C_P12))
        return;
    if (!how) {
        with_identity(p, w);
        return;
    }
    if ((strcmp(how, "identity") == 0 && !p->identity[0]) ||
        (strcmp(how, "account") == 0 && !user))
        return;
    from = w->n_lines;
    if (strcmp(how, "empty") == 0)
        code = sp_probe_external(p, w, NULL, "", &r);
    else if (strcmp(how, "identity") == 0)
        code = sp_probe_external(p, w, NULL, p->identity, &r);
    else if (strcmp(how, "=") == 0)
        code = sp_probe_external(p, w, NULL, "=", &r);
    else
        code = sp_probe_external(p, w, user, NULL, &r);
    if (!code)
        return;
    sp_probe_found(p, w, from,
                   code == 235 ? SP_F_EXTERNAL_SPELLING
                               : SP_F_EXTERNAL_SPELLING_REFUSED,
                   strcmp(how, "empty") == 0      ? "an empty answer to 334"
                   : strcmp(how, "identity") == 0 ? "the identity as answer to 334"
                   : strcmp(how, "=") == 0        ? "\"=\" as answer to 334"
                                                  : "the account name at once",
                   r.line, NULL);
    sp_probe_done(p, SP_C_P26);
}

/* ---- P13, P15 ---- */

static void identity_of_another(struct sp_probe *p, struct sp_pw *w, unsigned from,
                                int code, const struct sp_pw_reply *r)
{
    if (code == 235 && p->product == SP_PRODUCT_SENDMAIL)
        sp_probe_found(p, w, from, SP_F_EXTERNAL_IDENTITY_IGNORED, r->line, NULL, NULL);
    else if (code == 235)
        sp_probe_found(p, w, from, SP_F_EXTERNAL_ANY_IDENTITY, r->line, NULL, NULL);
    else
        sp_probe_found(p, w, from, SP_F_EXTERNAL_OTHER_REFUSED, r->line, NULL, NULL);
    sp_probe_done(p, SP_C_P13);
}

void sp_scene_wrong_identity(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_probe_seen mail = {0}, rcpt = {0};
    struct sp_pw_reply r;
    unsigned from;
    enum sp_probe_in in;
    int code;

    if (!sp_probe_may_fail(p, w)) {
        sp_check_not_run(p->f, SP_C_P13, "enough logins failed already");
        sp_check_not_run(p->f, SP_C_P15, "enough logins failed already");
        return;
    }
    if (!shown_external(p, w, SP_C_P13))
        return;
    from = w->n_lines;
    (void)sp_probe_want(p, SP_C_P13);
    code = sp_probe_external(p, w, SP_PROBE_NOBODY_IDENTITY, NULL, &r);
    if (!code)
        return;
    identity_of_another(p, w, from, code, &r);
    if (code == 235) {
        sp_check_not_run(p->f, SP_C_P15, "EXTERNAL did not fail");
        return;
    }
    if (!sp_probe_want(p, SP_C_P15))
        return;
    (void)sp_probe_mail(p, w, &mail, &rcpt);
    in = counted(p, &mail.r, &rcpt.r);
    if (in == SP_IN_UNKNOWN)
        return;
    sp_probe_found(p, w, from,
                   in == SP_IN_YES ? SP_F_IMPLICIT_AFTER_FAILURE
                                   : SP_F_NO_LOGIN_AFTER_FAILURE,
                   mail.r.line, NULL, NULL);
    sp_probe_done(p, SP_C_P15);
}

/* ---- P16, P35: certificates that must not count ---- */

struct outsider {
    enum sp_check_id check;
    enum sp_finding_id counts, ignored, refused;
};

static void outsider(struct sp_probe *p, struct sp_pw *w, const struct outsider *o,
                     const struct sp_probe_pair *pair)
{
    struct sp_probe_seen mail = {0}, rcpt = {0};
    struct sp_caps *caps = NULL;
    struct sp_pw_reply r = {0};
    char why[200];
    unsigned from;
    enum sp_probe_in in;

    if (!sp_probe_want(p, o->check))
        return;
    if (!shown(p, w, pair, 0, &caps, why, sizeof why)) {
        if (*why) {
            sp_probe_found(p, w, 0, o->refused, why, NULL, NULL);
            sp_probe_done(p, o->check);
        }
        return;
    }
    if (!w->tls.cert_asked) {
        sp_check_not_run(p->f, o->check, "the server asks for no certificate");
        sp_caps_free(caps);
        return;
    }
    from = w->n_lines;
    (void)sp_probe_mail(p, w, &mail, &rcpt);
    in = counted(p, &mail.r, &rcpt.r);
    if (in == SP_IN_YES) {
        sp_probe_found(p, w, from, o->counts, "MAIL", mail.r.line, NULL);
    } else if (sp_mech_listed(caps, SP_MECH_EXTERNAL) && sp_probe_may_fail(p, w)) {
        from = w->n_lines;
        if (sp_probe_external(p, w, p->identity[0] ? p->identity : NULL, "", &r) == 235)
            sp_probe_found(p, w, from, o->counts, "AUTH EXTERNAL", r.line, NULL);
        else if (r.code)
            sp_probe_found(p, w, from, o->ignored, r.line, NULL, NULL);
        in = r.code ? SP_IN_NO : SP_IN_UNKNOWN;
    } else if (in == SP_IN_NO) {
        sp_probe_found(p, w, from, o->ignored,
                       mail.r.code == 250 ? rcpt.r.line : mail.r.line, NULL, NULL);
    }
    if (in != SP_IN_UNKNOWN)
        sp_probe_done(p, o->check);
    else if (sp_pw_alive(w))
        sp_check_not_run(p->f, o->check,
                         "unclear: it is not seen what MAIL gets without it");
    sp_caps_free(caps);
}

void sp_scene_foreign(struct sp_probe *p, struct sp_pw *w)
{
    static const struct outsider o = {SP_C_P16, SP_F_FOREIGN_CERT_COUNTS,
                                      SP_F_FOREIGN_CERT_IGNORED,
                                      SP_F_FOREIGN_CERT_REFUSED};

    outsider(p, w, &o, &p->foreign);
}

void sp_scene_bad_cert(struct sp_probe *p, struct sp_pw *w)
{
    static const struct outsider o = {SP_C_P35, SP_F_BAD_CERT_COUNTS,
                                      SP_F_BAD_CERT_IGNORED, SP_F_BAD_CERT_REFUSED};

    outsider(p, w, &o, &p->bad);
}

/* ---- P17: judged later, when it is known that the password is right ---- */

void sp_scene_cert_password(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_caps *caps = NULL;
    char why[200];

    if (!sp_probe_want(p, SP_C_P17) ||
        !shown(p, w, &p->own, TLS1_2_VERSION, &caps, why, sizeof why))
        return;
    if (!sp_probe_verified(p, w)) {
        sp_check_not_run(p->f, SP_C_P17,
                         "the server is not verified: no password for it");
    } else if (!sp_probe_login_possible(p, caps)) {
        sp_check_not_run(p->f, SP_C_P17, "no mechanism for the password is listed");
    } else if (!sp_probe_may_fail(p, w)) {
        sp_check_not_run(p->f, SP_C_P17, "enough logins failed already");
    } else {
        p->cert_login.w = w;
        p->cert_login.from = w->n_lines;
        (void)sp_probe_login(p, w, caps, &p->cert_login.r);
        p->cert_login.to = w->n_lines;
        if (p->cert_login.r.code == 235) {
            sp_probe_found_seen(p, &p->cert_login, NULL, SP_F_PASSWORD_WITH_CERT,
                                p->cert_login.r.line, NULL, NULL);
            sp_probe_done(p, SP_C_P17);
        }
    }
    sp_caps_free(caps);
}
