/*
 * chk_data.c - P21: where a server believes that a message ends.  Sends mail, to the
 * address that was given for it.
 *
 * A message holds a sequence that is not CRLF . CRLF.  An answer before we have sent the
 * real end says that the server took it for the end: what follows in a message that
 * another server passes on would be commands (CVE-2023-51764 and kin).
 */
#include "probe_i.h"

#include "text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { EARLY_MS = 4000, REPLIES_MAX = 8 };

static const struct {
    const char *octets, *name;
} variants[] = {
    {"\n.\n", "LF . LF"},
    {"\n.\r\n", "LF . CRLF"},
    {"\r\n.\n", "CRLF . LF"},
    {"\r.\r", "CR . CR"},
};

static const char *name_of(const char *octets)
{
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (strcmp(octets, variants[i].octets) == 0)
            return variants[i].name;
    return "NUL";
}

/* As far as DATA.  False: not run, with the reason. */
static bool to_data(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_tls t = sp_probe_tls(p, NULL);
    struct sp_caps *caps = NULL;
    struct sp_pw_reply r = {0};
    bool ok = sp_probe_secure(p, w, &t) && sp_probe_ehlo(p, w, &caps, &r);

    if (ok && sp_probe_login_possible(p, caps)) {
        ok = p->password_in != SP_IN_NO && sp_probe_verified(p, w) &&
             sp_probe_login(p, w, caps, &r) == 235;
        if (!ok)
            sp_check_not_run(p->f, SP_C_P21, "the login did not work");
    }
    sp_caps_free(caps);
    if (!ok)
        return false;
    if (sp_pw_cmd(w, &r, "MAIL FROM:<%s>", p->from) == 250 &&
        sp_pw_cmd(w, &r, "RCPT TO:<%s>", p->o->send_to) / 10 == 25 &&
        sp_pw_cmd(w, &r, "DATA") == 354)
        return true;
    if (r.code)
        sp_check_not_run(p->f, SP_C_P21, "the message is refused: %.110s", r.line);
    return false;
}

static bool send_message(struct sp_probe *p, struct sp_pw *w, const char *name)
{
    char text[1600], date[48] = "";
    time_t now = time(NULL);
    struct tm tm;
    int n;

    if (gmtime_r(&now, &tm))
        (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
    n = snprintf(text, sizeof text,
                 "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\n"
                 "Message-ID: <check.%llu.%u@sallyport.invalid>\r\n"
                 "Subject: sallyport check: %s\r\n\r\n"
                 "A test of how this server finds the end of a message.",
                 p->from[0] ? p->from : SP_PROBE_NOBODY_IDENTITY, p->o->send_to, date,
                 (unsigned long long)now, w->number, name);
    return n > 0 && (size_t)n < sizeof text &&
           sp_pw_send(w, (struct sp_str){text, (size_t)n});
}

/* Nothing came early: now the real end.  Replies beyond one for the message and one for
 * RSET answer the real end's lines as commands: the message was over before, and its
 * reply was only late. */
static void real_end(struct sp_probe *p, struct sp_pw *w, unsigned from,
                     const char *name)
{
    bool nul = strcmp(name, "NUL") == 0;
    struct sp_pw_reply r, rset, more;
    unsigned n = 0;

    if (!sp_pw_send(w, SP_LIT("\r\n.\r\n")) || !sp_pw_reply(w, &r))
        return;
    (void)sp_pw_cmd(w, &rset, "RSET");
    while (n < REPLIES_MAX && sp_pw_waiting(w, 300) && sp_pw_reply(w, &more))
        n++;
    if (n > 0 && !nul) {
        sp_probe_found(p, w, from, SP_F_MESSAGE_END_VARIANT, name, r.line, NULL);
        sp_pw_stop_quietly(w);
    } else if (n > 0 || rset.code != 250) {
        sp_check_not_run(p->f, SP_C_P21, "unclear: more replies than commands");
        sp_pw_stop_quietly(w);
    } else if (r.code >= 400) {
        sp_probe_found(p, w, from, SP_F_BARE_NEWLINE_REFUSED, name, r.line, NULL);
    } else if (nul) {
        sp_probe_found(p, w, from, SP_F_NUL_ACCEPTED, r.line, NULL, NULL);
    } else {
        sp_probe_found(p, w, from, SP_F_BARE_NEWLINE_KEPT, name, r.line, NULL);
    }
}

/* A refusal that ends the message but not the connection makes commands of the rest. */
static void early(struct sp_probe *p, struct sp_pw *w, unsigned from, const char *name)
{
    struct sp_pw_reply r, noop;

    if (!sp_pw_reply(w, &r))
        return;
    if (r.code >= 400 && (strcmp(name, "NUL") == 0 || sp_pw_cmd(w, &noop, "NOOP") == 0))
        sp_probe_found(p, w, from, SP_F_BARE_NEWLINE_REFUSED, name, r.line, NULL);
    else if (strcmp(name, "NUL") != 0)
        sp_probe_found(p, w, from, SP_F_MESSAGE_END_VARIANT, name, r.line, NULL);
    sp_pw_stop_quietly(w);
}

void sp_scene_data(struct sp_probe *p, struct sp_pw *w)
{
    const char *octets = p->variant, *name = name_of(octets);
    struct sp_str sent =
        strcmp(octets, "NUL") == 0 ? (struct sp_str){"\r\na\0b", 5} : sp_str(octets);
    unsigned from;

    if (!sp_probe_want(p, SP_C_P21) || !to_data(p, w))
        return;
    from = w->n_lines;
    if (!send_message(p, w, name) || !sp_pw_send(w, sent))
        return;
    if (sp_pw_waiting(w, w->d.reply_ms < EARLY_MS ? w->d.reply_ms : EARLY_MS)) {
        early(p, w, from, name);
    } else if (w->end == SP_PW_EOF || w->end == SP_PW_RESET) {
        sp_probe_found(p, w, from, SP_F_BARE_NEWLINE_REFUSED, name,
                       "the server ends the connection", NULL);
    } else {
        real_end(p, w, from, name);
    }
    sp_probe_done(p, SP_C_P21);
}
