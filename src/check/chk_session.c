/*
 * chk_session.c - a session with a login: P18 P23 P39 P40 P41 P44; and what is judged at
 * the end about logins (P17) and about all replies (P42).
 */
#include "probe_i.h"

#include "text.h"

#include <sallyport/client.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Verified, greeted and logged in.  False: the reason is on record. */
static bool logged_in(struct sp_probe *p, struct sp_pw *w, enum sp_check_id check,
                      struct sp_caps **caps, struct sp_pw_reply *r)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);

    if (!sp_probe_secure(p, w, &t) || !sp_probe_ehlo(p, w, caps, r))
        return false;
    if (!sp_probe_verified(p, w))
        sp_check_not_run(p->f, check, "the server is not verified: no password for it");
    else if (!sp_probe_login_possible(p, *caps))
        sp_check_not_run(p->f, check, "no mechanism for the password is listed");
    else if (!sp_probe_may_fail(p, w) && p->password_in != SP_IN_YES)
        sp_check_not_run(p->f, check, "enough logins failed already");
    else
        return sp_probe_login(p, w, *caps, r) == 235;
    return false;
}

static bool taken(int code)
{
    return code == 250;
}

/* ---- P18: what a login survives ---- */

static void ehlo_again(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    char names[200];

    if (!sp_probe_ehlo(p, w, &p->login, &r)) {
        if (r.code)
            sp_probe_found(p, w, from, SP_F_EHLO_REFUSED_AFTER_AUTH, r.line, NULL,
                           NULL);
        return;
    }
    sp_probe_auth_list(p->login, names, sizeof names);
    if (p->tls && p->tls->mechs && p->login->mechs == p->tls->mechs)
        sp_probe_found(p, w, from, SP_F_EHLO_AFTER_AUTH, names, NULL, NULL);
    else if (p->tls && p->tls->mechs)
        sp_probe_found(p, w, from, SP_F_AUTH_LIST_GONE_AFTER_AUTH, names, NULL, NULL);
}

static void auth_again(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    int code = sp_probe_auth_bare(p, w, "PLAIN", &r);

    if (code == 503)
        sp_probe_found(p, w, from, SP_F_SECOND_AUTH_REFUSED, r.line, NULL, NULL);
    else if (code == 334 || code == 235)
        sp_probe_found(p, w, from, SP_F_SECOND_AUTH_TAKEN, r.line, NULL, NULL);
    else if (code)
        sp_probe_found(p, w, from, SP_F_SECOND_AUTH_ODDLY, r.line, NULL, NULL);
}

/* Known only where MAIL without a login is told that it needs one. */
static void still_in(struct sp_probe *p, struct sp_pw *w)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r;
    int code;

    if (p->bare_mail.r.code != 530 && p->bare_mail.r.code != 535)
        return;
    code = sp_pw_cmd(w, &r, "MAIL FROM:<%s>", p->from);
    if (code == p->bare_mail.r.code)
        sp_probe_found(p, w, from, SP_F_LOGIN_FORGOTTEN, r.line, NULL, NULL);
    else if (taken(code))
        sp_probe_found(p, w, from, SP_F_LOGIN_KEPT, NULL, NULL, NULL);
    if (taken(code))
        (void)sp_pw_cmd(w, &r, "RSET");
}

/* ---- P39 SIZE ---- */

static void size(struct sp_probe *p, struct sp_pw *w, const struct sp_caps *c)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply r, plain;
    char max[24];
    int code;

    if (!sp_probe_want(p, SP_C_P39))
        return;
    if (!(c->ext & SP_EXT_SIZE) || c->size_max == 0 || c->size_max > UINT64_MAX / 2) {
        sp_check_not_run(p->f, SP_C_P39, "no limit is announced");
        return;
    }
    (void)snprintf(max, sizeof max, "%llu", (unsigned long long)c->size_max);
    code = sp_pw_cmd(w, &r, "MAIL FROM:<%s> SIZE=%llu", p->from,
                     (unsigned long long)c->size_max + 1);
    if (code == 552 || code == 452)
        sp_probe_found(p, w, from, SP_F_SIZE_KEPT, max, r.line, NULL);
    else if (code == 501 || code == 555)
        sp_probe_found(p, w, from, SP_F_SIZE_REFUSED, max, r.line, NULL);
    else if (taken(code))
        sp_probe_found(p, w, from, SP_F_SIZE_NOT_KEPT, max, r.line, NULL);
    if (taken(code))
        (void)sp_pw_cmd(w, &r, "RSET");
    else if (code == 550 && taken(sp_pw_cmd(w, &plain, "MAIL FROM:<%s>", p->from))) {
        /* Without the size it is welcome: the size was what it minded. */
        sp_probe_found(p, w, from, SP_F_SIZE_KEPT, max, r.line, NULL);
        (void)sp_pw_cmd(w, &plain, "RSET");
        code = 552;
    }
    if (code == 552 || code == 452 || code == 501 || code == 555 || taken(code))
        sp_probe_done(p, SP_C_P39);
    else if (code)
        sp_check_not_run(p->f, SP_C_P39, "unclear: MAIL is refused (%.80s)", r.line);
}

/* ---- P40 PIPELINING ---- */

static void pipelining(struct sp_probe *p, struct sp_pw *w, const struct sp_caps *c)
{
    char group[1200];
    struct sp_pw_reply r[4] = {{0}};
    unsigned from = w->n_lines, n = 0;
    int len;

    if (!sp_probe_want(p, SP_C_P40))
        return;
    if (!(c->ext & SP_EXT_PIPELINING)) {
        sp_check_not_run(p->f, SP_C_P40, "PIPELINING is not announced");
        return;
    }
    len = snprintf(group, sizeof group,
                   "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nRSET\r\nNOOP\r\n", p->from,
                   p->o->send_to ? p->o->send_to : SP_PROBE_FOREIGN_RCPT);
    if (!sp_pw_send(w, (struct sp_str){group, (size_t)len}))
        return;
    while (n < 4 && sp_pw_reply(w, &r[n]))
        n++;
    if (n == 4 && taken(r[2].code) && taken(r[3].code))
        sp_probe_found(p, w, from, SP_F_PIPELINING_WORKS, NULL, NULL, NULL);
    else if (n == 4 || w->end == SP_PW_EOF || w->end == SP_PW_RESET)
        sp_probe_found(p, w, from, SP_F_PIPELINING_BROKEN,
                       n ? r[n - 1].line : "the connection ends", NULL, NULL);
    else
        return; /* too slow proves nothing */
    sp_probe_done(p, SP_C_P40);
}

/* ---- P41 CHUNKING ---- */

/* A BDAT that has to be refused, for want of MAIL; its six octets look like a command.
 * RFC 3030 2: they are read and thrown away.  EHLO behind it tells the replies apart. */
static void chunking(struct sp_probe *p, struct sp_pw *w, const struct sp_caps *c)
{
    unsigned from = w->n_lines;
    struct sp_pw_reply bdat, next, more = {0};

    if (!sp_probe_want(p, SP_C_P41))
        return;
    if (!(c->ext & SP_EXT_CHUNKING)) {
        sp_check_not_run(p->f, SP_C_P41, "CHUNKING is not announced");
        return;
    }
    if (!sp_pw_send(w, SP_LIT("BDAT 6 LAST\r\nNOOP\r\n")) || !sp_pw_reply(w, &bdat))
        return;
    if (!sp_pw_ehlo(w, p->helo, NULL, &next))
        return;
    if (bdat.code == 500 || bdat.code == 502) {
        sp_probe_found(p, w, from, SP_F_CHUNKING_UNKNOWN, bdat.line, NULL, NULL);
        sp_pw_stop_quietly(w); /* whether in step nobody knows */
    } else if (bdat.code >= 400 && next.code == 250 && next.lines > 1) {
        sp_probe_found(p, w, from, SP_F_CHUNKING_WORKS, bdat.line, NULL, NULL);
    } else if (bdat.code >= 400 && next.code == 250 && sp_pw_reply(w, &more) == 250 &&
               more.lines > 1) {
        sp_probe_found(p, w, from, SP_F_CHUNK_EXECUTED, bdat.line, next.line, NULL);
    } else {
        return;
    }
    sp_probe_done(p, SP_C_P41);
}

/* ---- the connection ---- */

static void refused_login(struct sp_probe *p, struct sp_pw *w, unsigned from,
                          const struct sp_pw_reply *r)
{
    p->password_in = SP_IN_NO;
    sp_probe_found(p, w, from, SP_F_LOGIN_REFUSED, r->line, NULL, NULL);
    sp_findings_failed(p->f, EX_NOPERM, "the login was refused: %s", r->line);
    sp_check_not_run(p->f, SP_C_P18, "the login was refused");
}

void sp_scene_login(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_caps *caps = NULL;
    struct sp_pw_reply r = {0};
    bool all = sp_probe_want(p, SP_C_P18);

    if (!logged_in(p, w, SP_C_P18, &caps, &r)) {
        if (r.code >= 400 && w->failed)
            refused_login(p, w, w->n_lines > 4 ? w->n_lines - 4 : 0, &r);
        sp_caps_free(caps);
        return;
    }
    p->password_in = SP_IN_YES;
    sp_probe_found(p, w, w->n_lines > 4 ? w->n_lines - 4 : 0, SP_F_LOGIN_WORKS,
                   p->mechanism, r.line, NULL);
    if (all) {
        auth_again(p, w);
        (void)sp_pw_cmd(w, &r, "HELO %s", p->helo);
        (void)sp_pw_cmd(w, &r, "RSET");
        ehlo_again(p, w);
        still_in(p, w);
        if (sp_pw_alive(w))
            sp_probe_done(p, SP_C_P18);
    }
    size(p, w, caps);
    pipelining(p, w, caps);
    chunking(p, w, caps);
    sp_caps_free(caps);
}

/* ---- P23: PLAIN on behalf of somebody else ---- */

void sp_scene_authzid(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    char token[2200];
    struct sp_pw_reply r;
    unsigned from;
    int n, code;

    if (!sp_probe_want(p, SP_C_P23))
        return;
    if (p->password_in != SP_IN_YES) {
        sp_check_not_run(p->f, SP_C_P23, "the password was not seen to work");
        return;
    }
    /* With --only this is the first look at what is listed. */
    if ((!p->tls || sp_mech_listed(p->tls, SP_MECH_PLAIN)) &&
        (!sp_probe_secure(p, w, &t) ||
         !sp_probe_ehlo(p, w, p->tls ? NULL : &p->tls, &r) || !sp_probe_verified(p, w)))
        return;
    if (!sp_mech_listed(p->tls, SP_MECH_PLAIN)) {
        sp_check_not_run(p->f, SP_C_P23, "PLAIN is not listed");
        return;
    }
    n = sp_cli_plain(SP_LIT(SP_PROBE_NOBODY_IDENTITY), sp_str(p->o->talk->cli.authcid),
                     sp_buf_view(&p->password), token, sizeof token);
    if (n <= 0)
        return;
    from = w->n_lines;
    code = sp_pw_secret(w, &r, "AUTH PLAIN ", (struct sp_str){token, (size_t)n});
    OPENSSL_cleanse(token, sizeof token);
    if (code >= 400)
        sp_probe_failed(p, w);
    if (code == 235)
        sp_probe_found(p, w, from, SP_F_AUTHZID_IGNORED, SP_PROBE_NOBODY_IDENTITY,
                       r.line, NULL);
    else if (code)
        sp_probe_found(p, w, from, SP_F_AUTHZID_REFUSED, r.line, NULL, NULL);
    if (code)
        sp_probe_done(p, SP_C_P23);
}

/* ---- P44: a hundred recipients (RFC 5321 4.5.3.1.8) ---- */

/* One that the server takes is named again and again, if there is one: servers may look
 * at example.com, which takes no mail.  Nothing is sent. */
static int hundredth(struct sp_probe *p, struct sp_pw *w, unsigned n,
                     struct sp_pw_reply *r)
{
    return p->o->send_to
               ? sp_pw_cmd(w, r, "RCPT TO:<%s>", p->o->send_to)
               : sp_pw_cmd(w, r, "RCPT TO:<sallyport-check-%u@example.com>", n);
}

void sp_scene_recipients(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_caps *caps = NULL;
    struct sp_pw_reply r = {0};
    unsigned n = 0, from;
    char count[16];
    int code = 0;

    if (!sp_probe_want(p, SP_C_P44))
        return;
    if (!logged_in(p, w, SP_C_P44, &caps, &r)) {
        sp_caps_free(caps);
        return;
    }
    sp_caps_free(caps);
    from = w->n_lines;
    if (!taken(sp_pw_cmd(w, &r, "MAIL FROM:<%s>", p->from))) {
        sp_check_not_run(p->f, SP_C_P44, "unclear: MAIL is refused (%.80s)", r.line);
        return;
    }
    while (n < 100 && (code = hundredth(p, w, n, &r)) == 250)
        n++;
    (void)snprintf(count, sizeof count, "%u", n);
    if (n == 100)
        sp_probe_found(p, w, from, SP_F_RECIPIENTS_ENOUGH, NULL, NULL, NULL);
    else if (n > 0 && (code == 452 || code == 552))
        sp_probe_found(p, w, w->n_lines - 2, SP_F_RECIPIENTS_FEW, count, r.line, NULL);
    else {
        sp_check_not_run(p->f, SP_C_P44, "unclear%s: recipient %u: %.90s",
                         p->o->send_to ? "" : ", try --send-to", n + 1,
                         code ? r.line : w->why);
        return;
    }
    sp_probe_done(p, SP_C_P44);
}

/* ---- verdicts ---- */

void sp_probe_judge_auth(struct sp_probe *p)
{
    const struct sp_pw_reply *r = &p->cert_login.r;

    if (!r->code || r->code == 235)
        return;
    if (p->password_in == SP_IN_YES) {
        sp_probe_found_seen(p, &p->cert_login, NULL, SP_F_PASSWORD_REFUSED_WITH_CERT,
                            r->line, NULL, NULL);
        sp_probe_done(p, SP_C_P17);
    } else {
        sp_check_not_run(p->f, SP_C_P17,
                         "the password was not seen to work without it");
    }
}

/* ---- P42: RFC 2034 3: every 2xx, 4xx, 5xx but greeting, EHLO and HELO ---- */

static bool wants_enhanced(const struct sp_pw_reply *r)
{
    /* A greeting that comes while QUIT waits for its reply is still a greeting. */
    bool greeting = r->code == 220 && strcmp(r->verb, "STARTTLS") != 0;

    return r->verb[0] && !greeting && r->code / 100 != 3 &&
           strcmp(r->verb, "EHLO") != 0 && strcmp(r->verb, "HELO") != 0 &&
           strcmp(r->verb, "*") != 0;
}

void sp_probe_judge_replies(struct sp_probe *p)
{
    const struct sp_caps *c = p->tls ? p->tls : p->clear;
    const struct sp_pw_reply *missing = NULL, *wrong = NULL;
    unsigned without = 0, all = 0;
    char count[40];

    if (!c || !sp_probe_want(p, SP_C_P42))
        return;
    for (unsigned i = 0; i < p->n_wires; i++)
        for (unsigned k = 0; k < p->wire[i]->n_seen; k++) {
            const struct sp_pw_reply *r = &p->wire[i]->seen[k];

            if (r->enh_wrong && !wrong)
                wrong = r;
            if (!wants_enhanced(r))
                continue;
            all++;
            if (r->enh[0] || r->enh_wrong)
                continue;
            without++;
            if (!missing)
                missing = r;
        }
    (void)snprintf(count, sizeof count, "%u of %u", without, all);
    if (wrong)
        sp_probe_found_reply(p, wrong, SP_F_ENHANCED_WRONG, wrong->verb, wrong->line,
                             NULL);
    if (c->ext & SP_EXT_ENHANCED && missing)
        sp_probe_found_reply(p, missing, SP_F_ENHANCED_MISSING, count, missing->verb,
                             missing->line);
    else if (c->ext & SP_EXT_ENHANCED && !wrong)
        sp_probe_found(p, NULL, 0, SP_F_ENHANCED_CODES, NULL, NULL, NULL);
    else if (!(c->ext & SP_EXT_ENHANCED))
        sp_probe_found(p, NULL, 0, SP_F_ENHANCED_NOT_ANNOUNCED, NULL, NULL, NULL);
    sp_probe_done(p, SP_C_P42);
}
