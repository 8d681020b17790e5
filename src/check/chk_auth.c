/* chk_auth.c - AUTH and its lists without a login, see chk_auth.h. */
#include "chk_auth.h"

#include "text.h"

#include <sallyport/client.h>
#include <stdio.h>
#include <string.h>

/* ---- P04, P11, P24, P25: lists ---- */

static void lists_compared(struct sp_probe *p, struct sp_pw *w, unsigned ehlo)
{
    char before[200], after[200];

    if (p->implicit || !p->clear || !sp_probe_want(p, SP_C_P04))
        return;
    sp_probe_auth_list(p->clear, before, sizeof before);
    sp_probe_auth_list(p->tls, after, sizeof after);
    sp_probe_found(p, w, ehlo,
                   p->clear->mechs == p->tls->mechs ? SP_F_AUTH_LIST_SAME
                                                    : SP_F_AUTH_LIST_CHANGES,
                   before, after, NULL);
    sp_probe_done(p, SP_C_P04);
}

static void external_for_all(struct sp_probe *p, struct sp_pw *w, unsigned ehlo)
{
    bool scram = sp_mech_listed(p->tls, SP_MECH_SCRAM_SHA_256) ||
                 sp_mech_listed(p->tls, SP_MECH_SCRAM_SHA_1);

    if (!sp_probe_want(p, SP_C_P11))
        return;
    if (!sp_mech_listed(p->tls, SP_MECH_EXTERNAL))
        sp_probe_found(p, w, ehlo, SP_F_EXTERNAL_NOT_FOR_ALL, NULL, NULL, NULL);
    else
        sp_probe_found(p, w, ehlo, SP_F_EXTERNAL_FOR_ALL,
                       scram ? "Net::SMTP and git send-email"
                             : "Net::SMTP, git send-email and Postfix",
                       NULL, NULL);
    sp_probe_done(p, SP_C_P11);
}

/* The text of one capability line, upper case, as far as it fits. */
static bool next_line(struct sp_str *rest, char *out, size_t cap)
{
    struct sp_str line;

    if (!rest->n)
        return false;
    line = sp_str_cut(rest, '\n');
    if (line.n >= cap)
        line.n = cap - 1;
    for (size_t i = 0; i < line.n; i++)
        out[i] =
            line.p[i] >= 'a' && line.p[i] <= 'z' ? (char)(line.p[i] - 32) : line.p[i];
    out[line.n] = '\0';
    return true;
}

static bool twice(const char *line, char *out, size_t cap)
{
    struct sp_str rest = sp_str(line), a, b, tail;

    (void)sp_str_cut(&rest, ' ');
    while (rest.n) {
        a = sp_str_cut(&rest, ' ');
        for (tail = rest; a.n && tail.n;) {
            b = sp_str_cut(&tail, ' ');
            if (sp_str_eq(a, b)) {
                (void)snprintf(out, cap, "%.*s", (int)a.n, a.p);
                return true;
            }
        }
    }
    return false;
}

static void auth_lines(struct sp_probe *p, struct sp_pw *w, unsigned ehlo)
{
    struct sp_str rest = sp_buf_view(&p->tls->text);
    char line[512], name[64] = "";
    bool legacy = false, bare = false, dup = false, real = false;

    if (!sp_probe_want(p, SP_C_P24))
        return;
    while (next_line(&rest, line, sizeof line)) {
        legacy |= strncmp(line, "AUTH=", 5) == 0;
        bare |= strcmp(line, "AUTH") == 0 || strcmp(line, "AUTH ") == 0;
        real |= strncmp(line, "AUTH ", 5) == 0 && line[5];
        dup = dup || (strncmp(line, "AUTH ", 5) == 0 && twice(line, name, sizeof name));
    }
    if (legacy)
        sp_probe_found(p, w, ehlo, real ? SP_F_LEGACY_AUTH_LINE : SP_F_LEGACY_AUTH_ONLY,
                       NULL, NULL, NULL);
    if (dup)
        sp_probe_found(p, w, ehlo, SP_F_MECHANISM_TWICE, name, NULL, NULL);
    if (bare)
        sp_probe_found(p, w, ehlo, SP_F_AUTH_LINE_EMPTY, NULL, NULL, NULL);
    if (!legacy && !dup && !bare)
        sp_probe_found(p, w, ehlo, SP_F_AUTH_LINE_GOOD, NULL, NULL, NULL);
    sp_probe_done(p, SP_C_P24);
}

static void scram_listed(struct sp_probe *p, struct sp_pw *w, unsigned ehlo)
{
    char names[200];

    if (!sp_probe_want(p, SP_C_P25))
        return;
    sp_probe_auth_list(p->tls, names, sizeof names);
    if (sp_mech_listed(p->tls, SP_MECH_SCRAM_SHA_256) ||
        sp_mech_listed(p->tls, SP_MECH_SCRAM_SHA_256_PLUS))
        sp_probe_found(p, w, ehlo, SP_F_SCRAM_OFFERED, names, NULL, NULL);
    else if (sp_mech_listed(p->tls, SP_MECH_PLAIN) ||
             sp_mech_listed(p->tls, SP_MECH_LOGIN))
        sp_probe_found(p, w, ehlo, SP_F_NO_SCRAM, names, NULL, NULL);
    else if (!p->mx && !p->tls->mechs)
        sp_probe_found(p, w, ehlo, SP_F_NO_AUTH_IN_TLS, NULL, NULL, NULL);
    sp_probe_done(p, SP_C_P25);
}

void sp_probe_auth_lists(struct sp_probe *p, struct sp_pw *w, unsigned ehlo)
{
    lists_compared(p, w, ehlo);
    external_for_all(p, w, ehlo);
    auth_lines(p, w, ehlo);
    scram_listed(p, w, ehlo);
}

/* ---- P38: listed and taken ---- */

/* EXTERNAL without a certificate is P11's; GSSAPI and -PLUS say no more by a bare AUTH
 * than that they are known, which is what is asked. */
static void listed_and_taken(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;
    unsigned asked = 0, bad = 0;

    if (!sp_probe_want(p, SP_C_P38))
        return;
    for (int m = 0; m < SP_MECHS && asked < 4; m++) {
        unsigned from = w->n_lines;
        int code;

        if (m == SP_MECH_EXTERNAL || !sp_mech_listed(p->tls, (enum sp_mech)m))
            continue;
        asked++;
        code = sp_probe_auth_bare(p, w, sp_mech_name((enum sp_mech)m), &r);
        if (!code)
            break;
        if (code == 504 || code == 502 || code == 500) {
            sp_probe_found(p, w, from, SP_F_MECHANISM_LISTED_REFUSED,
                           sp_mech_name((enum sp_mech)m), r.line, NULL);
            bad++;
        }
    }
    if (!sp_mech_listed(p->tls, SP_MECH_LOGIN) &&
        !sp_mech_listed(p->tls, SP_MECH_PLAIN)) {
        unsigned from = w->n_lines;

        if (sp_probe_auth_bare(p, w, "PLAIN", &r) == 334)
            sp_probe_found(p, w, from, SP_F_MECHANISM_UNLISTED_TAKEN, "PLAIN", r.line,
                           NULL);
        asked++;
    }
    if (!asked || !sp_pw_alive(w))
        return;
    if (!bad)
        sp_probe_found(p, NULL, 0, SP_F_MECHANISMS_CONSISTENT, NULL, NULL, NULL);
    sp_probe_done(p, SP_C_P38);
}

/* ---- P19: the edges of AUTH ---- */

static void star(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;

    if (sp_mech_listed(p->tls, SP_MECH_LOGIN))
        (void)sp_probe_auth_bare(p, w, "LOGIN", &r);
    else if (sp_mech_listed(p->tls, SP_MECH_PLAIN))
        (void)sp_probe_auth_bare(p, w, "PLAIN", &r);
}

static void bad_base64(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;
    unsigned from = w->n_lines;
    int code;

    if (!sp_mech_listed(p->tls, SP_MECH_PLAIN) || !sp_probe_may_fail(p, w))
        return;
    code = sp_pw_cmd(w, &r, "AUTH PLAIN !!!");
    if (code == 535)
        sp_probe_failed(p, w);
    if (code == 235)
        sp_probe_found(p, w, from, SP_F_ANY_PASSWORD, "what is no base64", r.line,
                       NULL);
    else if (code == 334)
        (void)sp_probe_cancel(p, w, &r);
    else if (code && code != 501)
        sp_probe_found(p, w, from, SP_F_BASE64_ODDLY, r.line, NULL, NULL);
}

static void unknown_mechanism(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;
    unsigned from = w->n_lines;
    int code;

    if (!sp_probe_may_fail(p, w))
        return;
    code = sp_probe_auth_bare(p, w, SP_PROBE_NO_MECHANISM, &r);
    if (code == 334 || code == 235)
        sp_probe_found(p, w, from, SP_F_MECHANISM_UNLISTED_TAKEN, SP_PROBE_NO_MECHANISM,
                       r.line, NULL);
    else if (code && code != 504)
        sp_probe_found(p, w, from, SP_F_UNKNOWN_MECHANISM_ODDLY, r.line, NULL, NULL);
}

/* Only where MAIL is taken from nobody in particular: RFC 4954 4 wants 503. */
static void in_transaction(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;
    unsigned from = w->n_lines;
    int code;

    if (p->bare_mail.r.code != 250 || !sp_mech_listed(p->tls, SP_MECH_PLAIN) ||
        sp_pw_cmd(w, &r, "MAIL FROM:<%s>", p->from) != 250)
        return;
    code = sp_probe_auth_bare(p, w, "PLAIN", &r);
    if (code == 334)
        sp_probe_found(p, w, from, SP_F_AUTH_IN_TRANSACTION, r.line, NULL, NULL);
    (void)sp_pw_cmd(w, &r, "RSET");
}

/* ---- P20, P45: mail without a login ---- */

static bool not_logged_in(struct sp_probe *p, const struct sp_pw_reply *mail,
                          const struct sp_pw_reply *rcpt)
{
    const struct sp_probe_seen *m = &p->bare_mail, *t = &p->bare_rcpt;

    if (mail->code == 530)
        sp_probe_found_seen(p, m, NULL, SP_F_AUTH_AT_MAIL, mail->line, NULL, NULL);
    else if (mail->code == 250 && rcpt->code >= 500 && rcpt->enh[0] &&
             rcpt->enh[1] != 7)
        return false; /* refused for another reason than a missing login */
    else if (mail->code == 250 && rcpt->code >= 500)
        sp_probe_found_seen(p, m, t, SP_F_AUTH_AT_RCPT, rcpt->line, NULL, NULL);
    else if (mail->code == 250 && rcpt->code >= 400)
        sp_probe_found_seen(p, m, t, SP_F_AUTH_TEMPORARY_CODE, rcpt->line, NULL, NULL);
    else if (mail->code >= 500)
        sp_probe_found_seen(p, m, NULL, SP_F_AUTH_REQUIRED_ODDLY, mail->line, NULL,
                            NULL);
    else if (mail->code >= 400)
        sp_probe_found_seen(p, m, NULL, SP_F_AUTH_TEMPORARY_CODE, mail->line, NULL,
                            NULL);
    return true;
}

static void without_login(struct sp_probe *p, struct sp_pw *w)
{
    bool enforced = sp_probe_want(p, SP_C_P20), relay = sp_probe_want(p, SP_C_P45);
    bool taken;

    if (!enforced && !relay)
        return;
    taken = sp_probe_mail(p, w, &p->bare_mail, &p->bare_rcpt);
    if (!p->bare_mail.r.code || (p->bare_mail.r.code == 250 && !p->bare_rcpt.r.code))
        return;
    if (p->bare_mail.r.code == 421 || p->bare_rcpt.r.code == 421)
        return; /* chasquid counts the mistakes that we made on purpose */
    if (taken)
        sp_probe_found_as(
            p, p->trusted ? SP_SEV_ADVICE : SP_SEV_INSECURE, w, p->bare_mail.from,
            SP_F_OPEN_RELAY, "<" SP_PROBE_FOREIGN_RCPT ">",
            p->trusted ? ", perhaps because it trusts the address that we "
                         "come from (--source changes it)"
                       : "",
            NULL);
    else
        sp_probe_found_seen(p, &p->bare_mail, &p->bare_rcpt, SP_F_NO_RELAY,
                            p->bare_mail.r.code == 250 ? p->bare_rcpt.r.line
                                                       : p->bare_mail.r.line,
                            NULL, NULL);
    sp_probe_done(p, SP_C_P45);
    if (enforced && !taken && !not_logged_in(p, &p->bare_mail.r, &p->bare_rcpt.r))
        sp_check_not_run(p->f, SP_C_P20, "unclear: RCPT is refused (%.100s)",
                         p->bare_rcpt.r.line);
    sp_probe_done(p, SP_C_P20);
}

void sp_probe_auth_dialogue(struct sp_probe *p, struct sp_pw *w)
{
    without_login(p, w);
    if (!p->tls->mechs)
        return;
    listed_and_taken(p, w);
    if (sp_probe_want(p, SP_C_P19)) {
        star(p, w);
        unknown_mechanism(p, w);
        bad_base64(p, w);
        in_transaction(p, w);
        if (sp_pw_alive(w))
            sp_probe_done(p, SP_C_P19);
    }
}

/* ---- P37: a wrong password, of nobody ---- */

void sp_probe_wrong_password(struct sp_probe *p, struct sp_pw *w)
{
    char token[100];
    struct sp_pw_reply r;
    unsigned from = w->n_lines;
    int code, n;

    if (!sp_probe_want(p, SP_C_P37))
        return;
    if (!sp_mech_listed(p->tls, SP_MECH_PLAIN) &&
        !sp_mech_listed(p->tls, SP_MECH_LOGIN)) {
        sp_check_not_run(p->f, SP_C_P37, "neither PLAIN nor LOGIN is listed");
        return;
    }
    if (!sp_probe_may_fail(p, w)) {
        sp_check_not_run(p->f, SP_C_P37,
                         "enough logins failed already; --thorough tries more");
        return;
    }
    if (sp_mech_listed(p->tls, SP_MECH_PLAIN)) {
        n = sp_cli_plain((struct sp_str){"", 0}, SP_LIT(SP_PROBE_NOBODY),
                         SP_LIT("not a password"), token, sizeof token);
        code = n > 0 ? sp_pw_secret(w, &r, "AUTH PLAIN ",
                                    (struct sp_str){token, (size_t)n})
                     : 0;
    } else {
        code = sp_pw_cmd(w, &r, "AUTH LOGIN");
        if (code == 334)
            code = sp_pw_secret(w, &r, "", SP_LIT(SP_PROBE_NOBODY));
        if (code == 334)
            code = sp_pw_secret(w, &r, "", SP_LIT("not a password"));
    }
    if (code >= 400)
        sp_probe_failed(p, w);
    if (code == 235)
        sp_probe_found(p, w, from, SP_F_ANY_PASSWORD, "an invented user and password",
                       r.line, NULL);
    else if (code == 535)
        sp_probe_found(p, w, from, SP_F_WRONG_PASSWORD_REFUSED, r.line, NULL, NULL);
    else if (code && code != 421)
        sp_probe_found(p, w, from, SP_F_WRONG_PASSWORD_ODDLY, r.line, NULL, NULL);
    if (code)
        sp_probe_done(p, SP_C_P37);
}
