/*
 * chk_starttls.c - what a server remembers across the handshake: P05 P06 P07 P08 P27, and
 * the first connection inside TLS, which serves the checks of chk_tls.c and chk_auth.c.
 */
#include "chk_auth.h"

#include "text.h"

#include <string.h>
#include <sysexits.h>

enum { ALERT_MS = 300 };

/* ---- P05, P06: without a new EHLO ---- */

static void without_ehlo(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;

    if (sp_probe_want(p, SP_C_P06)) {
        p->no_ehlo_auth.w = w;
        p->no_ehlo_auth.from = w->n_lines;
        (void)sp_probe_auth_bare(p, w, "PLAIN", &p->no_ehlo_auth.r);
        p->no_ehlo_auth.to = w->n_lines;
    }
    if (sp_check_wanted(p->f, SP_C_P05) &&
        sp_probe_ask(w, &p->no_ehlo_mail, "MAIL FROM:<%s>", p->from) == 250)
        (void)sp_pw_cmd(w, &r, "RSET");
}

/* ---- P08 ---- */

static void second_starttls(struct sp_probe *p, struct sp_pw *w, unsigned ehlo)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    int code;

    if (!sp_probe_want(p, SP_C_P08))
        return;
    if (p->tls->ext & SP_EXT_STARTTLS)
        sp_probe_found(p, w, ehlo, SP_F_STARTTLS_LISTED_IN_TLS, NULL, NULL, NULL);
    code = sp_pw_cmd(w, &r, "STARTTLS");
    if (code == 220)
        sp_probe_found(p, w, from, SP_F_STARTTLS_TWICE, r.line, NULL, NULL);
    else if (code)
        sp_probe_found(p, w, from, SP_F_STARTTLS_ONCE, r.line, NULL, NULL);
    if (code)
        sp_probe_done(p, SP_C_P08);
    if (code == 220)
        sp_pw_stop_quietly(w);
}

/* ---- the connection ---- */

/* A server may want a certificate before it serves anybody (RFC 3207 4.1, and the alert
 * of RFC 8446 4.4.2.4).  Whether it takes the one that we have is seen on another
 * connection. */
static bool nobody_without(struct sp_probe *p, struct sp_pw *w)
{
    const char *said = NULL;

    if (!w->tls.cert_asked)
        return false;
    for (unsigned i = 0; i < w->n_seen; i++)
        if (w->seen[i].code >= 400 && strcasestr(w->seen[i].line, "certificate"))
            said = w->seen[i].line;
    if (!said && strcasestr(w->tls.failure, "certificate required"))
        said = w->tls.failure;
    if (!said && strcasestr(w->why, "certificate required"))
        said = w->why;
    if (!said)
        return false;
    (void)sp_probe_want(p, SP_C_P34);
    sp_probe_found(p, w, 0, SP_F_CERTIFICATE_REQUIRED, said, NULL, NULL);
    sp_probe_done(p, SP_C_P34);
    p->wants_cert = true;
    if (!p->own.cert)
        sp_findings_failed(p->f, EX_NOPERM,
                           "nobody is served without a client certificate: give one by "
                           "--certificate");
    return true;
}

static void no_tls(struct sp_probe *p, struct sp_pw *w)
{
    if (p->clear && !(p->clear->ext & SP_EXT_STARTTLS) && !p->implicit)
        return; /* it was said already */
    (void)sp_probe_want(p, SP_C_P30);
    if (w->tls.failure[0])
        sp_probe_found(p, w, 0, SP_F_HANDSHAKE_FAILED, w->tls.failure, NULL, NULL);
    else if (w->n_seen && w->seen[w->n_seen - 1].code >= 400 &&
             strcmp(w->seen[w->n_seen - 1].verb, "STARTTLS") == 0)
        sp_probe_found(p, w, 0, SP_F_STARTTLS_REFUSED, w->seen[w->n_seen - 1].line,
                       NULL, NULL);
    else
        return;
    sp_probe_done(p, SP_C_P30);
}

void sp_scene_forget(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    struct sp_pw_reply r;
    unsigned ehlo;

    if (!sp_probe_secure(p, w, &t)) {
        if (!nobody_without(p, w))
            no_tls(p, w);
        return;
    }
    sp_probe_tls_findings(p, w);
    /* TLS 1.3 tells now that a certificate is missing; who writes first may lose it. */
    if (w->tls.cert_asked && !p->implicit)
        (void)sp_pw_waiting(w, ALERT_MS);
    without_ehlo(p, w);
    ehlo = w->n_lines;
    if (!sp_probe_ehlo(p, w, &p->tls, &r)) {
        p->silent_in_tls =
            !p->no_ehlo_auth.r.code && !p->no_ehlo_mail.r.code && !r.code;
        if (!nobody_without(p, w) && r.code && !p->own.cert)
            sp_probe_found(p, w, ehlo, SP_F_EHLO_REFUSED_IN_TLS, r.line, NULL, NULL);
        return;
    }
    sp_probe_auth_lists(p, w, ehlo);
    sp_probe_auth_dialogue(p, w);
    second_starttls(p, w, ehlo);
    /* Some end a session after a few mistakes, which most of these questions are. */
    p->cut_short = w->end == SP_PW_EOF || w->end == SP_PW_RESET || w->end == SP_PW_TLS;
}

/* What was left when the server ended that session. */
void sp_scene_forget_rest(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    struct sp_pw_reply r;
    unsigned ehlo;

    if (!sp_probe_secure(p, w, &t))
        return;
    ehlo = w->n_lines;
    if (!sp_probe_ehlo(p, w, NULL, &r))
        return;
    sp_probe_auth_dialogue(p, w);
    second_starttls(p, w, ehlo);
}

/* ---- P07: a command behind STARTTLS, in the same packet ---- */

/* NOOP was pushed in; then we say EHLO and QUIT.  In step, EHLO is answered by its list
 * and QUIT by 221; a step behind, NOOP's reply stands in front of both. */
static bool a_step_behind(struct sp_pw *w, const struct sp_probe *p, bool *sure)
{
    struct sp_pw_reply first = {0}, second = {0}, third = {0};

    *sure = false;
    if (!sp_pw_ehlo(w, p->helo, NULL, &first))
        return false;
    if (!sp_pw_cmd(w, &second, "QUIT"))
        return false;
    *sure = true;
    if (second.code == 221)
        return false;
    if (second.code == 250)
        (void)sp_pw_reply(w, &third);
    *sure = third.code == 221;
    return third.code == 221;
}

static void injected(struct sp_probe *p, struct sp_pw *w, unsigned from)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    bool sure, behind;

    if (!sp_pw_handshake(w, &t)) {
        if (w->tls.behind_220[0])
            sp_probe_found(p, w, from, SP_F_STARTTLS_CLEAR_ANSWER, w->tls.behind_220,
                           NULL, NULL);
        else if (w->end == SP_PW_EOF || w->end == SP_PW_RESET || w->end == SP_PW_TLS)
            sp_probe_found(p, w, from, SP_F_STARTTLS_CLEAN,
                           "the server ends the connection", NULL, NULL);
        else
            return;
        sp_probe_done(p, SP_C_P07);
        return;
    }
    if (w->tls.behind_220[0]) {
        sp_probe_found(p, w, from, SP_F_STARTTLS_CLEAR_ANSWER, w->tls.behind_220, NULL,
                       NULL);
        sp_probe_done(p, SP_C_P07);
        return;
    }
    behind = a_step_behind(w, p, &sure);
    if (sure && behind)
        sp_probe_found(p, w, from, SP_F_STARTTLS_INJECTION, NULL, NULL, NULL);
    else if (sure)
        sp_probe_found(p, w, from, SP_F_STARTTLS_CLEAN, "it is thrown away", NULL,
                       NULL);
    if (sure)
        sp_probe_done(p, SP_C_P07);
}

void sp_scene_inject(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;
    unsigned from;
    int code;

    if (!sp_probe_want(p, SP_C_P07) || !sp_probe_greet(p, w) ||
        !sp_probe_ehlo(p, w, NULL, &r))
        return;
    if (p->clear && !(p->clear->ext & SP_EXT_STARTTLS)) {
        sp_check_not_run(p->f, SP_C_P07, "STARTTLS is not offered");
        return;
    }
    from = w->n_lines;
    if (!sp_pw_send(w, SP_LIT("STARTTLS\r\nNOOP\r\n")))
        return;
    code = sp_pw_reply(w, &r);
    if (code == 220) {
        injected(p, w, from);
    } else if (code || w->end == SP_PW_EOF || w->end == SP_PW_RESET) {
        sp_probe_found(p, w, from, SP_F_STARTTLS_CLEAN,
                       code ? r.line : "the server ends the connection", NULL, NULL);
        sp_probe_done(p, SP_C_P07);
    }
}

/* ---- P09, P05's control, P27, P37: nobody was greeted ---- */

static bool before_ehlo(struct sp_probe *p, struct sp_pw *w, const struct sp_pw_tls *t)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    int code;

    if (!sp_probe_greet(p, w))
        return false;
    from = w->n_lines;
    code = sp_pw_cmd(w, &r, "STARTTLS");
    if (code && sp_check_wanted(p->f, SP_C_P09))
        sp_probe_found(p, w, from,
                       code == 220 ? SP_F_STARTTLS_BEFORE_EHLO
                                   : SP_F_STARTTLS_AFTER_EHLO,
                       r.line, NULL, NULL);
    if (code == 220) {
        if (!sp_pw_handshake(w, t))
            return false;
        (void)sp_probe_ask(w, &p->never_mail, "MAIL FROM:<%s>", p->from);
        if (p->never_mail.r.code == 250)
            (void)sp_pw_cmd(w, &r, "RSET");
        return sp_pw_alive(w);
    }
    return sp_probe_ehlo(p, w, NULL, &r) && sp_pw_cmd(w, &r, "STARTTLS") == 220 &&
           sp_pw_handshake(w, t);
}

static void helo_in_tls(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply helo, auth;
    int code;

    if (!sp_probe_want(p, SP_C_P27))
        return;
    code = sp_pw_cmd(w, &helo, "HELO %s", p->helo);
    if (!code)
        return;
    if (code != 250 && (p->own.cert || p->wants_cert)) {
        sp_check_not_run(p->f, SP_C_P27, "without the certificate: %.110s", helo.line);
        return;
    }
    if (code != 250) {
        sp_probe_found(p, w, from, SP_F_HELO_REFUSED_IN_TLS, helo.line, NULL, NULL);
        sp_probe_done(p, SP_C_P27);
        return;
    }
    code = sp_probe_auth_bare(p, w, "PLAIN", &auth);
    if (code == 334 || code == 235 || code == 535)
        sp_probe_found(p, w, from, SP_F_AUTH_AFTER_HELO, auth.line, NULL, NULL);
    else if (code)
        sp_probe_found(p, w, from, SP_F_HELO_IN_TLS, auth.line, NULL, NULL);
    if (code)
        sp_probe_done(p, SP_C_P27);
}

void sp_scene_never_greeted(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    struct sp_pw_reply r;

    if (p->implicit) {
        if (!sp_pw_handshake(w, &t) || !sp_probe_greet(p, w))
            return;
        (void)sp_probe_ask(w, &p->never_mail, "MAIL FROM:<%s>", p->from);
        if (p->never_mail.r.code == 250)
            (void)sp_pw_cmd(w, &r, "RSET");
    } else if (!before_ehlo(p, w, &t)) {
        return;
    }
    helo_in_tls(p, w);
    if (sp_probe_ehlo(p, w, p->tls ? NULL : &p->tls, &r))
        sp_probe_wrong_password(p, w);
}

/* ---- the verdicts ---- */

static void judge_mail(struct sp_probe *p)
{
    const struct sp_pw_reply *r = &p->no_ehlo_mail.r, *never = &p->never_mail.r;

    if (!sp_check_wanted(p->f, SP_C_P05) || !r->code)
        return;
    if (!p->implicit && (r->code == 250 || r->code == 530) && never->code == 503) {
        /* Who never said EHLO is told so; who said it in clear has come further. */
        sp_probe_found_seen(p, &p->no_ehlo_mail, &p->never_mail, SP_F_EHLO_REMEMBERED,
                            never->line, NULL, NULL);
    } else if (r->code == 530 || r->code == 535 || sp_reply_is(r, 550, "5.7.9") ||
               sp_reply_is(r, 550, "5.7.1") || sp_reply_is(r, 554, "5.7.1")) {
        sp_check_not_run(p->f, SP_C_P05, "unclear: MAIL wants a login first (%.80s)",
                         r->line);
        return;
    } else if (p->implicit && r->code == 250) {
        sp_probe_found_seen(p, &p->no_ehlo_mail, NULL, SP_F_GREETING_NOT_REQUIRED,
                            r->line, NULL, NULL);
    } else if (r->code == 503) {
        sp_probe_found_seen(p, &p->no_ehlo_mail, NULL, SP_F_EHLO_REQUIRED_IN_TLS,
                            r->line, NULL, NULL);
    } else if (r->code >= 400) {
        sp_probe_found_seen(p, &p->no_ehlo_mail, NULL, SP_F_EHLO_REQUIRED_ODDLY,
                            r->line, NULL, NULL);
    } else if (never->code == 250) {
        sp_probe_found_seen(p, &p->no_ehlo_mail, &p->never_mail,
                            SP_F_GREETING_NOT_REQUIRED, r->line, NULL, NULL);
    } else {
        sp_probe_found_seen(p, &p->no_ehlo_mail, NULL, SP_F_MAIL_WITHOUT_EHLO, r->line,
                            NULL, NULL);
    }
    sp_probe_done(p, SP_C_P05);
}

static void judge_auth(struct sp_probe *p)
{
    const struct sp_pw_reply *r = &p->no_ehlo_auth.r;

    if (!sp_check_wanted(p->f, SP_C_P06) || !r->code)
        return;
    if (r->code == 421 || r->code == 454 || r->code == 554) {
        /* "No client certificate": nothing is served here, EHLO or not. */
        sp_check_not_run(p->f, SP_C_P06, "unclear: %.120s", r->line);
        return;
    }
    if (r->code == 334 || r->code == 535)
        sp_probe_found_seen(p, &p->no_ehlo_auth, NULL, SP_F_AUTH_WITHOUT_EHLO, r->line,
                            NULL, NULL);
    else
        sp_probe_found_seen(p, &p->no_ehlo_auth, NULL, SP_F_AUTH_NEEDS_EHLO, r->line,
                            NULL, NULL);
    sp_probe_done(p, SP_C_P06);
}

void sp_probe_judge_starttls(struct sp_probe *p)
{
    judge_mail(p);
    judge_auth(p);
}
