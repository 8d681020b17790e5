/*
 * chk_clear.c - what a server does before TLS: P01 P02 P03 P09 P43 P49, and behind a
 * handshake that failed: P28 P29 P50.
 */
#include "probe_i.h"

#include "text.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
    COMMAND_LINE = 512,
    LONG_LINE = 5300
}; /* more than most buffers, less than RFC 4954 4 allows */

/* ---- P01: what EHLO lists ---- */

static void listed_in_clear(struct sp_probe *p, struct sp_pw *w, unsigned from)
{
    uint32_t open = 0, challenge = 0;
    char names[200];

    if (!sp_probe_want(p, SP_C_P01))
        return;
    for (int m = 0; m < SP_MECHS; m++)
        if (sp_mech_listed(p->clear, (enum sp_mech)m)) {
            if (sp_mech_shows_secret((enum sp_mech)m))
                open |= SP_MECH_BIT((enum sp_mech)m);
            else
                challenge |= SP_MECH_BIT((enum sp_mech)m);
        }
    sp_probe_auth_list(p->clear, names, sizeof names);
    if (open)
        sp_probe_found(p, w, from, SP_F_CLEAR_PASSWORD_OFFERED, names, NULL, NULL);
    else if (challenge)
        sp_probe_found(p, w, from, SP_F_CLEAR_CHALLENGE_OFFERED, names, NULL, NULL);
    else
        sp_probe_found(p, w, from, SP_F_CLEAR_NO_AUTH, NULL, NULL, NULL);
    sp_probe_done(p, SP_C_P01);
}

/* ---- P02: AUTH PLAIN without an initial response costs no failed login ---- */

static int auth_in_clear(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    int code = sp_probe_auth_bare(p, w, "PLAIN", &r);

    if (!code || !sp_probe_want(p, SP_C_P02))
        return code;
    if (code == 334 || code == 235)
        sp_probe_found(p, w, from, SP_F_CLEAR_PASSWORD_TAKEN, r.line, NULL, NULL);
    else if (code == 535)
        sp_probe_found(p, w, from, SP_F_CLEAR_AUTH_JUDGED, r.line, NULL, NULL);
    else if (code >= 400 && code < 500)
        sp_probe_found(p, w, from, SP_F_TLS_TEMPORARY_CODE, "AUTH", r.line, NULL);
    else
        sp_probe_found(p, w, from, SP_F_CLEAR_AUTH_REFUSED, r.line, NULL, NULL);
    sp_probe_done(p, SP_C_P02);
    return code;
}

/* ---- P03: mail in clear ---- */

static void clear_recipient(struct sp_probe *p, const struct sp_probe_seen *mail,
                            const struct sp_probe_seen *rcpt, bool taken)
{
    enum sp_severity s = SP_SEV_INSECURE;

    if (p->mx) /* between servers mail in clear is usual; relaying is P45's */
        return;
    if (!taken) {
        sp_probe_found_seen(p, mail, rcpt, SP_F_CLEAR_MAIL_LATE, rcpt->r.line, NULL,
                            NULL);
        return;
    }
    if (p->trusted) /* our address may be one from which everything is taken */
        s = SP_SEV_ADVICE;
    sp_probe_found_as(p, s, mail->w, mail->from, SP_F_CLEAR_MAIL_ACCEPTED, rcpt->r.line,
                      NULL, NULL);
}

static void mail_in_clear(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_probe_seen mail = {0}, rcpt = {0};
    bool taken;

    if (!sp_probe_want(p, SP_C_P03))
        return;
    taken = sp_probe_mail(p, w, &mail, &rcpt);
    if (!mail.r.code || (mail.r.code == 250 && !rcpt.r.code))
        return;
    if (mail.r.code == 250)
        clear_recipient(p, &mail, &rcpt, taken);
    else if (mail.r.code < 500)
        sp_probe_found_seen(p, &mail, NULL, SP_F_TLS_TEMPORARY_CODE, "MAIL",
                            mail.r.line, NULL);
    else if (mail.r.code == 530)
        sp_probe_found_seen(p, &mail, NULL, SP_F_CLEAR_MAIL_REFUSED, mail.r.line, NULL,
                            NULL);
    else
        sp_probe_found_seen(p, &mail, NULL, SP_F_CLEAR_MAIL_REFUSED_ODDLY, mail.r.line,
                            NULL, NULL);
    sp_probe_done(p, SP_C_P03);
}

/* ---- P43: how long a line may be ---- */

/* RFC 5321 4.5.3.1.4: 512 octets with CRLF.  NOOP may have a word behind it; where it may
 * not, the short one says so. */
static void command_line(struct sp_probe *p, struct sp_pw *w)
{
    char word[COMMAND_LINE - 7 + 1];
    struct sp_pw_reply r;
    unsigned from;

    if (!sp_check_wanted(p->f, SP_C_P43) || sp_pw_cmd(w, &r, "NOOP x") != 250)
        return;
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    from = w->n_lines;
    if (sp_pw_cmd(w, &r, "NOOP %s", word) != 250 && (r.code || w->end == SP_PW_EOF))
        sp_probe_found(p, w, from, SP_F_COMMAND_LINE_REFUSED,
                       r.code ? r.line : "the connection is closed", NULL, NULL);
    else if (r.code)
        sp_probe_found(p, w, from, SP_F_COMMAND_LINE_TAKEN, NULL, NULL, NULL);
}

/* AUTH is refused here in any case: when the long line gets the same code as the short
 * one did, it was read to its end. */
static void long_line(struct sp_probe *p, struct sp_pw *w, int usual)
{
    static const char verb[] = "AUTH " SP_PROBE_NO_MECHANISM " ";
    char line[LONG_LINE + 64];
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    size_t n = sizeof verb - 1;
    uint32_t tokens = SP_MECH_BIT(SP_MECH_OAUTHBEARER) | SP_MECH_BIT(SP_MECH_XOAUTH2) |
                      SP_MECH_BIT(SP_MECH_GSSAPI);
    bool tokens_listed = p->clear && p->clear->mechs & tokens;

    if (usual < 500 || usual == 535 || !sp_probe_want(p, SP_C_P43))
        return;
    memcpy(line, verb, n);
    memset(line + n, 'A', LONG_LINE);
    n += LONG_LINE;
    memcpy(line + n, "\r\n", 2);
    if (!sp_pw_send(w, (struct sp_str){line, n + 2}))
        return;
    (void)sp_pw_reply(w, &r);
    if (r.code == 535)
        sp_probe_failed(p, w);
    if (r.code == usual || r.code == 504 || r.code == 530 || r.code == 535)
        sp_probe_found(p, w, from, SP_F_LONG_AUTH_LINE, r.line, NULL, NULL);
    else if (r.code >= 500 || r.code == 421 || w->end == SP_PW_EOF)
        sp_probe_found(p, w, from,
                       tokens_listed ? SP_F_LONG_AUTH_LINE_REFUSED_TOKENS
                                     : SP_F_LONG_AUTH_LINE_REFUSED,
                       r.code ? r.line : "the connection is closed", NULL, NULL);
    else
        return;
    sp_probe_done(p, SP_C_P43);
}

/* ---- P09: STARTTLS with an argument ---- */

static bool starttls_argument(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    int code;

    if (!sp_probe_want(p, SP_C_P09))
        return false;
    code = sp_pw_cmd(w, &r, "STARTTLS now");
    if (code == 220)
        sp_probe_found(p, w, from, SP_F_STARTTLS_ARGUMENT_TAKEN, r.line, NULL, NULL);
    else if (code)
        sp_probe_found(p, w, from, SP_F_STARTTLS_ARGUMENT_REFUSED, r.line, NULL, NULL);
    if (code)
        sp_probe_done(p, SP_C_P09);
    return code == 220; /* it waits for TLS now */
}

/* ---- P28, P29: TLS that cannot be, and what comes then ---- */

static void after_failure(struct sp_probe *p, struct sp_pw *w, unsigned from)
{
    struct sp_pw_reply r;
    char line[sizeof r.line];
    int code;

    if (w->end == SP_PW_STOPPED || w->end == SP_PW_TIMEOUT || w->end == SP_PW_NOMEM)
        return;
    sp_pw_forget_tls(w);
    code = sp_pw_alive(w) ? sp_pw_cmd(w, &r, "NOOP") : 0;
    if (!code && w->end != SP_PW_EOF && w->end != SP_PW_RESET)
        return;
    if (!code) {
        sp_probe_found(p, w, from, SP_F_CLOSED_AFTER_HANDSHAKE, NULL, NULL, NULL);
        sp_probe_done(p, SP_C_P28);
        return;
    }
    (void)snprintf(line, sizeof line, "%s", r.line);
    code = sp_pw_alive(w) ? sp_probe_auth_bare(p, w, "PLAIN", &r) : 0;
    if (code == 334)
        sp_probe_found(p, w, from, SP_F_CLEAR_AUTH_AFTER_HANDSHAKE, line, r.line, NULL);
    else
        sp_probe_found(p, w, from, SP_F_CLEAR_AFTER_HANDSHAKE, line, NULL, NULL);
    sp_probe_done(p, SP_C_P28);
}

/* Octets that are no TLS where the ClientHello must stand. */
void sp_scene_failed_handshake(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;
    unsigned from;

    if (!sp_probe_want(p, SP_C_P28) || !sp_probe_greet(p, w) ||
        !sp_probe_ehlo(p, w, NULL, &r))
        return;
    from = w->n_lines;
    if (sp_pw_cmd(w, &r, "STARTTLS") != 220)
        return;
    if (sp_pw_send(w, SP_LIT("this is no TLS at all\r\n"))) {
        /* Its alert is no reply: whatever comes now is looked at, not understood. */
        if (sp_pw_waiting(w, w->d.reply_ms / 4)) {
            char octets[80];

            sp_pw_leftover(w, octets, sizeof octets);
            sp_pw_note(w, "in clear: %s", octets);
        }
    }
    after_failure(p, w, from);
}

/* Also with internal_error: OpenSSL says so when the versions are switched on and its
 * security level leaves them no signature algorithm. */
static void old_tls_refused(struct sp_probe *p, struct sp_pw *w, unsigned from)
{
    sp_probe_found(p, w, from, SP_F_TLS_NEW_ONLY, w->tls.failure, NULL, NULL);
    sp_probe_done(p, SP_C_P29);
}

void sp_scene_old_tls(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    struct sp_pw_reply r;
    unsigned from;

    if (!sp_probe_want(p, SP_C_P29))
        return;
    t.min_version = TLS1_VERSION;
    t.max_version = TLS1_1_VERSION;
    t.ciphers = "ALL:@SECLEVEL=0";
    if (!p->implicit) {
        if (!sp_probe_greet(p, w) || !sp_probe_ehlo(p, w, NULL, &r) ||
            sp_pw_cmd(w, &r, "STARTTLS") != 220)
            return;
    }
    from = w->n_lines;
    if (sp_pw_handshake(w, &t)) {
        sp_probe_found(p, w, from, p->mx ? SP_F_TLS_OLD_MX : SP_F_TLS_OLD,
                       w->tls.version_name, NULL, NULL);
        sp_probe_done(p, SP_C_P29);
        return;
    }
    if (w->end == SP_PW_STOPPED || w->end == SP_PW_TIMEOUT || w->end == SP_PW_NOMEM)
        return;
    old_tls_refused(p, w, from);
}

/* At the end of the clear connection: a handshake that fails for want of a version. */
static void old_tls_here(struct sp_probe *p, struct sp_pw *w, bool waits)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    bool old = sp_probe_want(p, SP_C_P29), after = sp_probe_want(p, SP_C_P28);
    struct sp_pw_reply r;
    unsigned from = w->n_lines;

    if ((!old && !after) || !sp_pw_alive(w) ||
        !(p->clear && p->clear->ext & SP_EXT_STARTTLS))
        return;
    if (!waits && sp_pw_cmd(w, &r, "STARTTLS") != 220)
        return;
    t.min_version = TLS1_VERSION;
    t.max_version = TLS1_1_VERSION;
    t.ciphers = "ALL:@SECLEVEL=0";
    if (sp_pw_handshake(w, &t)) {
        sp_probe_found(p, w, from, p->mx ? SP_F_TLS_OLD_MX : SP_F_TLS_OLD,
                       w->tls.version_name, NULL, NULL);
        sp_probe_done(p, SP_C_P29);
        return; /* P28 then is for a connection of its own */
    }
    if (w->end == SP_PW_STOPPED || w->end == SP_PW_TIMEOUT || w->end == SP_PW_NOMEM)
        return;
    old_tls_refused(p, w, from);
    if (after)
        after_failure(p, w, from);
}

/* ---- the connection ---- */

static void no_starttls(struct sp_probe *p, struct sp_pw *w, unsigned from)
{
    sp_probe_found_as(p, p->mx ? SP_SEV_ADVICE : SP_SEV_INSECURE, w, from,
                      SP_F_NO_STARTTLS, NULL, NULL, NULL);
    (void)sp_findings_fact(p->f, "tls", sp_str("none"));
}

static void give_up(struct sp_probe *p, const char *why)
{
    p->hopeless = true;
    (void)snprintf(p->hopeless_why, sizeof p->hopeless_why, "%s", why);
}

/* Then there is nothing else to ask. */
static void ehlo_refused(struct sp_probe *p, struct sp_pw *w, unsigned from,
                         const struct sp_pw_reply *r)
{
    bool lmtp = w->n_seen && strstr(w->seen[0].line, "LMTP");

    if (lmtp)
        sp_findings_failed(p->f, EX_PROTOCOL, "this is an LMTP server: %s",
                           w->seen[0].line);
    else
        sp_probe_found(p, w, from, SP_F_EHLO_REFUSED, r->line, NULL, NULL);
    if (!lmtp)
        sp_probe_done(p, SP_C_P49);
    give_up(p, "EHLO is refused");
}

void sp_scene_clear(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;
    unsigned from;
    bool waits;
    int usual;

    (void)sp_probe_want(p, SP_C_P49);
    if (!sp_probe_greet(p, w))
        return;
    from = w->n_lines;
    if (!sp_probe_ehlo(p, w, &p->clear, &r)) {
        if (r.code)
            ehlo_refused(p, w, from, &r);
        return;
    }
    if (!(p->clear->ext & SP_EXT_STARTTLS))
        no_starttls(p, w, from);
    sp_probe_done(p, SP_C_P49);
    listed_in_clear(p, w, from);
    usual = auth_in_clear(p, w);
    mail_in_clear(p, w);
    command_line(p, w);
    waits = p->clear->ext & SP_EXT_STARTTLS && starttls_argument(p, w);
    if (!waits)
        long_line(p, w, usual);
    old_tls_here(p, w, waits);
}

void sp_scene_clear_to_tls_port(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    char octets[80] = "";

    if (!sp_probe_want(p, SP_C_P50) || !sp_pw_send(w, SP_LIT("EHLO check\r\n")))
        return;
    /* An alert, a sentence or nothing: only a 2xx says that it talks in clear. */
    if (sp_pw_waiting(w, w->d.reply_ms / 2)) {
        sp_pw_leftover(w, octets, sizeof octets);
        if (octets[0] == '2') {
            (void)sp_pw_reply(w, &r);
            sp_probe_found(p, w, from, SP_F_TLS_PORT_SPEAKS_CLEAR, r.line, NULL, NULL);
            give_up(p, "the server talks in clear: ask it with --starttls");
        } else if (sp_pw_kind(octets)) {
            sp_findings_failed(p->f, EX_PROTOCOL, "%s, without TLS",
                               sp_pw_kind(octets));
            give_up(p, sp_pw_kind(octets));
        } else {
            sp_pw_note(w, "answer: %s", octets);
            sp_probe_found(p, w, from, SP_F_TLS_PORT_REFUSES_CLEAR, NULL, NULL, NULL);
        }
        sp_probe_done(p, SP_C_P50);
    } else if (w->end == SP_PW_EOF || w->end == SP_PW_RESET) {
        sp_probe_found(p, w, from, SP_F_TLS_PORT_REFUSES_CLEAR, NULL, NULL, NULL);
        sp_probe_done(p, SP_C_P50);
    }
    sp_pw_stop_quietly(w);
}

void sp_scene_weak_ciphers(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    struct sp_pw_reply r;
    unsigned from;

    if (!sp_probe_want(p, SP_C_P33))
        return;
    t.min_version = TLS1_VERSION;
    t.max_version = TLS1_2_VERSION;
    t.ciphers = "eNULL:aNULL:@SECLEVEL=0";
    if (!p->implicit && (!sp_probe_greet(p, w) || !sp_probe_ehlo(p, w, NULL, &r) ||
                         sp_pw_cmd(w, &r, "STARTTLS") != 220))
        return;
    from = w->n_lines;
    if (sp_pw_handshake(w, &t))
        sp_probe_found_as(p, p->mx ? SP_SEV_ADVICE : SP_SEV_INSECURE, w, from,
                          SP_F_TLS_NO_SECRECY, w->tls.cipher, NULL, NULL);
    else if (w->end == SP_PW_STOPPED || w->end == SP_PW_TIMEOUT ||
             w->end == SP_PW_NOMEM)
        return;
    else
        sp_probe_found(p, w, from, SP_F_TLS_STRONG_ONLY, w->tls.failure, NULL, NULL);
    sp_probe_done(p, SP_C_P33);
}
