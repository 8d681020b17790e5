/* cli_play.c - see cli_play.h. */
#include "cli_play.h"

#include "buf.h"
#include "text.h"

#include <sallyport/client.h>

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 16, RCPTS = 64 };

struct seen {
    enum sp_cli_event_type type;
    char text[2000]; /* the event in the words of a story */
};

struct play {
    const char *path;
    const struct play_options *o;
    int line, bad;
    struct sp_cli *c, *old; /* old: before RECONNECT */
    struct sp_cli_options opt;
    bool closed;
    char opt_text[10][300];
    int opt_texts;
    struct sp_buf out, burst, trace;
    struct seen seen[EVENTS];
    int seens;
    char password[200];
    char secrets[8][400];
    int nsecrets;
    bool in_tls, ever_clear_secret;
};

static void complain(struct play *p, const char *fmt, ...)
{
    va_list ap;

    if (p->o->lenient)
        return;
    p->bad++;
    if (p->o->quiet)
        return;
    printf("%s:%d (chunk %zu): ", p->path, p->line, p->o->chunk);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

/* \r \n \t \0 \\ \xNN */
static struct sp_str unescape(const char *s, char *buf, size_t cap)
{
    size_t n = 0;

    for (; *s && n + 1 < cap; s++) {
        if (*s != '\\') {
            buf[n++] = *s;
            continue;
        }
        s++;
        if (*s == 'x' && isxdigit((unsigned char)s[1]) &&
            isxdigit((unsigned char)s[2])) {
            char hex[3] = {s[1], s[2], 0};

            buf[n++] = (char)strtol(hex, NULL, 16);
            s += 2;
        } else {
            buf[n++] = *s == 'r'   ? '\r'
                       : *s == 'n' ? '\n'
                       : *s == 't' ? '\t'
                       : *s == '0' ? '\0'
                                   : *s;
        }
    }
    return (struct sp_str){buf, n};
}

/* --- the engine's side --------------------------------------------------------------- */

static const char *const login_name[] = {"none", "password", "external", "implicit"};
static const char *const class_name[] = {"bug", "peer", "temporary", "insecure"};

static void describe(struct play *p, const struct sp_cli_event *ev)
{
    size_t cap = sizeof p->seen[0].text, n = 0;
    struct seen *s;

    /* An invitation may be repeated; a handshake is void when octets come behind the
     * 220, whether it was announced or not. */
    if (p->seens &&
        ((ev->type == SP_CLI_BODY && p->seen[p->seens - 1].type == SP_CLI_BODY) ||
         (ev->type == SP_CLI_FAILED && p->seen[p->seens - 1].type == SP_CLI_HANDSHAKE)))
        p->seens--;
    s = &p->seen[p->seens];
    if (p->seens == EVENTS) {
        complain(p, "too many events");
        return;
    }
    p->seens++;
    s->type = ev->type;
    switch (ev->type) {
    case SP_CLI_HANDSHAKE:
        snprintf(s->text, cap, "handshake");
        return;
    case SP_CLI_AUTH:
        snprintf(s->text, cap, "auth %s%s%s%s%s%.*s", sp_mech_name(ev->u.auth.mech),
                 ev->u.auth.first ? " first" : "", ev->u.auth.step ? " step1" : "",
                 ev->u.auth.has_binding && !ev->u.auth.plus_offered ? " y" : "",
                 ev->u.auth.challenge.n ? " " : "", (int)ev->u.auth.challenge.n,
                 ev->u.auth.challenge.p);
        return;
    case SP_CLI_READY:
        snprintf(s->text, cap, "ready %s %s: %.*s", login_name[ev->u.ready.login],
                 ev->u.ready.pin.n ? ev->u.ready.pin.p : "-", (int)ev->u.ready.words.n,
                 ev->u.ready.words.p);
        return;
    case SP_CLI_BODY:
        snprintf(s->text, cap, "body?");
        return;
    case SP_CLI_SENT:
        n += (size_t)snprintf(s->text, cap, "sent %s %s %d:",
                              ev->u.sent.accepted  ? "accepted"
                              : ev->u.sent.unknown ? "unknown"
                                                   : "refused",
                              sp_cli_stage_name(ev->u.sent.stage),
                              ev->u.sent.reply.code);
        for (size_t i = 0; i < ev->u.sent.n && n < cap - 20; i++)
            n += (size_t)snprintf(s->text + n, cap - n, " %d%s",
                                  ev->u.sent.rcpt[i].reply.code,
                                  ev->u.sent.rcpt[i].accepted ? "+" : "-");
        if (ev->u.sent.login_doubt)
            (void)snprintf(s->text + n, cap - n, " login-doubt");
        return;
    case SP_CLI_FAILED:
        snprintf(s->text, cap, "failed %s %s %d%s%s: %.*s",
                 class_name[ev->u.failed.cls], sp_cli_stage_name(ev->u.failed.stage),
                 ev->u.failed.reply.code, ev->u.failed.need_login ? " need-login" : "",
                 ev->u.failed.auth_rejected ? " auth-rejected" : "",
                 (int)ev->u.failed.words.n, ev->u.failed.words.p);
        return;
    case SP_CLI_RECONNECT:
        snprintf(s->text, cap, "reconnect");
        return;
    case SP_CLI_CLOSE:
        p->closed = true;
        snprintf(s->text, cap, "close");
        return;
    }
}

static void pull(struct play *p)
{
    struct sp_cli_event ev;
    const char *out;
    size_t n;
    bool more = true;

    while (more) {
        more = false;
        while (sp_cli_next(p->c, &ev)) {
            describe(p, &ev);
            more = true;
        }
        out = sp_cli_out(p->c, &n);
        if (n) {
            /* Take it in pieces too, so that half-sent commands are seen. */
            size_t k = p->o->chunk && p->o->chunk < n ? p->o->chunk : n;

            (void)sp_buf_put(&p->out, out, k);
            sp_cli_out_ack(p->c, k);
            more = true;
        }
    }
    if ((sp_cli_wait(p->c) == SP_WAIT_NONE) != p->closed)
        complain(p, "it waits for %d, closed %d", (int)sp_cli_wait(p->c), p->closed);
    if (p->o->clone && !p->o->lenient) {
        struct sp_cli *d = sp_cli_clone(p->c);
        uint64_t a[2], b[2];

        sp_cli_digest(p->c, a);
        sp_cli_digest(d, b);
        if (a[0] != b[0] || a[1] != b[1])
            complain(p, "a clone has another digest");
        sp_cli_free(p->c);
        p->c = d;
    }
}

static void feed(struct play *p)
{
    size_t at = 0, step, used;

    while (at < p->burst.n && p->c) {
        step = p->o->chunk ? p->o->chunk : p->burst.n;
        if (step > p->burst.n - at)
            step = p->burst.n - at;
        used = sp_cli_feed(p->c, p->burst.p + at, step);
        pull(p);
        at += used;
        if (used == 0) {
            complain(p, "the engine takes no input here: \"%.*s\"",
                     (int)(p->burst.n - at), p->burst.p + at);
            break;
        }
    }
    p->burst.n = 0;
}

/* --- what a story can say ------------------------------------------------------------ */

static bool word(char **s, const char *w)
{
    size_t n = strlen(w);

    if (strncmp(*s, w, n) != 0 || ((*s)[n] && (*s)[n] != ' '))
        return false;
    *s += n + ((*s)[n] == ' ');
    return true;
}

static char *next_word(char **s)
{
    char *w = *s, *e = strchr(w, ' ');

    if (e) {
        *e = '\0';
        *s = e + 1;
    } else {
        *s = w + strlen(w);
    }
    return w;
}

static const char *keep(struct play *p, const char *s)
{
    assert(p->opt_texts < 10);
    snprintf(p->opt_text[p->opt_texts], sizeof p->opt_text[0], "%s", s);
    return p->opt_text[p->opt_texts++];
}

static void option(struct play *p, char *w)
{
    struct sp_cli_options *o = &p->opt;
    char *v = strchr(w, '=');
    static const char *const tls[] = {"required", "implicit", "opportunistic", "none"};
    static const char *const how[] = {"auto", "explicit", "implicit"};
    char *colon;

    if (v)
        *v++ = '\0';
    if (v && strcmp(w, "tls") == 0) {
        for (int i = 0; i < 4; i++)
            if (strcmp(v, tls[i]) == 0)
                o->tls = (enum sp_cli_tls)i;
    } else if (v && strcmp(w, "cert-login") == 0) {
        for (int i = 0; i < 3; i++)
            if (strcmp(v, how[i]) == 0)
                o->cert_login = (enum sp_cli_cert_login)i;
    } else if (v && (strcmp(w, "password") == 0 || strcmp(w, "token") == 0)) {
        colon = strchr(v, ':');
        assert(colon);
        *colon = '\0';
        *(w[0] == 'p' ? &o->have_password : &o->have_token) = true;
        o->authcid = keep(p, v);
        snprintf(p->password, sizeof p->password, "%s", colon + 1);
    } else if (strcmp(w, "cert") == 0) {
        o->have_certificate = true;
        o->cert_address = v ? keep(p, v) : NULL;
    } else if (v && strcmp(w, "identity") == 0) {
        o->external_identity = keep(p, v);
    } else if (v && strcmp(w, "only") == 0) {
        o->mechs_only |= SP_MECH_BIT(sp_mech_by_name(sp_str(v)));
    } else if (v && strcmp(w, "never") == 0) {
        o->mechs_forbidden |= SP_MECH_BIT(sp_mech_by_name(sp_str(v)));
    } else if (v && strcmp(w, "quit-after") == 0) {
        for (int i = 1; i <= SP_STAGE_QUIT; i++)
            if (strcmp(sp_cli_stage_name((enum sp_cli_stage)i), v) == 0 ||
                (strcmp(v, "EHLO-TLS") == 0 && i == SP_STAGE_EHLO_TLS))
                o->quit_after = (unsigned)i;
    } else if (v && strcmp(w, "line-max") == 0) {
        o->line_max = (unsigned)strtoul(v, NULL, 10);
    } else if (v && strcmp(w, "lines-max") == 0) {
        o->reply_lines_max = (unsigned)strtoul(v, NULL, 10);
    } else if (strcmp(w, "lmtp") == 0) {
        o->lmtp = true;
    } else if (strcmp(w, "bdat") == 0) {
        o->prefer_bdat = true;
    } else if (strcmp(w, "no-pipelining") == 0) {
        o->no_pipelining = true;
    } else if (strcmp(w, "login-required") == 0) {
        o->login_required = true;
    } else if (strcmp(w, "allow-clear-secret") == 0) {
        o->allow_clear_secret = true;
    } else if (strcmp(w, "allow-unverified") == 0) {
        o->allow_unverified = true;
    } else if (strcmp(w, "ticket") == 0) {
        o->have_ticket = true;
    } else {
        complain(p, "unknown option %s", w);
    }
}

static void tracer(void *arg, bool from_server, struct sp_str line)
{
    struct play *p = arg;

    if (p->trace.n + line.n + 3 < p->trace.max) {
        (void)sp_buf_puts(&p->trace, from_server ? "S " : "C ");
        (void)sp_buf_str(&p->trace, line);
        (void)sp_buf_puts(&p->trace, "\n");
    }
}

static bool shows(const struct play *p, const char *what)
{
    return p->trace.n && memmem(p->trace.p, p->trace.n, what, strlen(what)) != NULL;
}

static void start(struct play *p)
{
    struct sp_err err;

    if (p->c)
        return;
    if (!p->opt.helo)
        p->opt.helo = "client.example";
    p->closed = false;
    p->c = sp_cli_new(&p->opt, &err);
    if (!p->c) {
        complain(p, "sp_cli_new: %s", err.text);
        return;
    }
    if (!p->o->clone)
        sp_cli_trace(p->c, tracer, p);
    pull(p);
}

static void tls(struct play *p, char *s)
{
    struct sp_cli_tls_facts f = {0};
    bool failed = word(&s, "failed");

    if (!failed && !(f.verified = word(&s, "verified")) && !word(&s, "unverified"))
        complain(p, "tls verified|unverified|failed");
    for (;;) {
        if (word(&s, "cert"))
            f.cert_sent = f.cert_requested = true;
        else if (word(&s, "asked"))
            f.cert_requested = true;
        else if (word(&s, "binding"))
            f.channel_binding = true;
        else if (word(&s, "peer"))
            f.ended_by_peer = true;
        else
            break;
    }
    f.reason = sp_str(s);
    if ((failed ? sp_cli_tls_failed(p->c, &f) : sp_cli_tls_done(p->c, &f)) < 0)
        complain(p, "no handshake was asked for");
    p->in_tls = true;
}

/* token TEXT; alone: what the mechanism and the password of the options make. */
static void token(struct play *p, char *s, const char *event)
{
    char buf[9000];
    struct sp_str t = unescape(s, buf, sizeof buf);
    int n = -1;

    if (!*s && strstr(event, "auth PLAIN"))
        n = sp_cli_plain(sp_str(p->opt.authzid), sp_str(p->opt.authcid),
                         sp_str(p->password), buf, sizeof buf);
    else if (!*s && strstr(event, "auth LOGIN"))
        n = snprintf(buf, sizeof buf, "%s",
                     strstr(event, "step1") ? p->password : p->opt.authcid);
    else if (!*s && strstr(event, "auth XOAUTH2"))
        n = sp_cli_bearer(SP_MECH_XOAUTH2, sp_str(p->opt.authcid), sp_str(""), 0,
                          sp_str(p->password), buf, sizeof buf);
    else if (!*s && strstr(event, "auth OAUTHBEARER"))
        n = sp_cli_bearer(SP_MECH_OAUTHBEARER, sp_str(p->opt.authcid),
                          sp_str("mail.example"), 587, sp_str(p->password), buf,
                          sizeof buf);
    if (n >= 0)
        t.n = (size_t)n;
    if (sp_cli_auth_token(p->c, t) < 0)
        complain(p, "no token was asked for");
}

static void mail_param(struct sp_mail *m, uint64_t *size, char *w)
{
    char *v = strchr(w, '=');

    if (v)
        *v++ = '\0';
    if (v && strcmp(w, "size") == 0) {
        *size = strtoull(v, NULL, 10);
    } else if (v && strcmp(w, "body") == 0) {
        m->body = strcmp(v, "8bit") == 0     ? SP_BODY_8BITMIME
                  : strcmp(v, "binary") == 0 ? SP_BODY_BINARYMIME
                                             : SP_BODY_7BIT;
    } else if (strcmp(w, "utf8") == 0) {
        m->smtputf8 = true;
    } else if (strcmp(w, "requiretls") == 0) {
        m->requiretls = true;
    } else if (v && strcmp(w, "ret") == 0) {
        m->ret = strcmp(v, "full") == 0 ? SP_RET_FULL : SP_RET_HDRS;
    } else if (v && strcmp(w, "envid") == 0) {
        m->envid = sp_str(v);
    } else if (v && strcmp(w, "auth") == 0) {
        m->has_auth = true;
        m->auth = sp_str(v);
    } else if (v && strcmp(w, "by") == 0) {
        m->has_by = true;
        m->by_seconds = strtoll(v, NULL, 10);
        m->by_notify = strchr(v, 'N') != NULL;
    } else if (v && strcmp(w, "hold") == 0) {
        m->has_hold = true;
        m->hold_seconds = strtoull(v, NULL, 10);
    } else if (v && strcmp(w, "until") == 0) {
        m->has_hold = m->hold_is_until = true;
        m->hold_seconds = strtoull(v, NULL, 10);
    } else if (v && strcmp(w, "priority") == 0) {
        m->has_priority = true;
        m->priority = (int)strtol(v, NULL, 10);
    }
}

/* mail FROM TO[,TO...] [param...]; refused: "refuse CODE words" is expected */
static void mail(struct play *p, char *s, const char *want)
{
    char a[3000];
    struct sp_str esc = unescape(s, a, sizeof a - 1);
    char *at = a, *from, *to, *t;
    struct sp_rcpt rcpt[RCPTS] = {{{0}}};
    struct sp_mail m = {0};
    struct sp_err err = {0};
    uint64_t size = 0;
    size_t n = 0;
    int rc;

    a[esc.n] = '\0';
    from = next_word(&at);
    to = next_word(&at);
    m.path = sp_str(strcmp(from, "<>") == 0 ? "" : from);
    while (to && n < RCPTS) {
        t = strchr(to, ',');
        if (t)
            *t++ = '\0';
        rcpt[n].path = sp_str(to);
        n++;
        to = t;
    }
    while (*at) {
        char *w = next_word(&at);

        if (strcmp(w, "notify") == 0)
            rcpt[0].notify = SP_NOTIFY_SUCCESS | SP_NOTIFY_FAILURE;
        else if (strncmp(w, "orcpt=", 6) == 0)
            rcpt[0].orcpt = sp_str(w + 6);
        else
            mail_param(&m, &size, w);
    }
    rc = sp_cli_mail(p->c, &m, rcpt, n, size, &err);
    if (want && (rc == 0 || !strstr(err.text, want)))
        complain(p, "mail: not refused with \"%s\" but %d \"%s\"", want, rc, err.text);
    else if (!want && rc < 0)
        complain(p, "mail: %s", err.text);
}

static void body(struct play *p, char *s)
{
    char buf[4000];
    struct sp_str t = unescape(s, buf, sizeof buf);
    size_t at = 0, n;

    while (at < t.n) {
        n = p->o->chunk && p->o->chunk < t.n - at ? p->o->chunk : t.n - at;
        n = sp_cli_body(p->c, t.p + at, n);
        pull(p);
        if (n == 0) {
            complain(p, "the engine takes no message here");
            return;
        }
        at += n;
    }
}

static void expect_out(struct play *p, const char *s, bool raw)
{
    char buf[9000];
    struct sp_str want = unescape(s, buf, sizeof buf - 2);
    struct sp_str got = sp_buf_view(&p->out), line;

    memcpy(buf + want.n, "\r\n", 2);
    want.n += raw ? 0 : 2;
    if (got.n >= want.n && memcmp(got.p, want.p, want.n) == 0) {
        sp_buf_drop(&p->out, want.n);
        return;
    }
    line = sp_str_cut(&got, '\n');
    complain(p, "expected   C %s\n                 but it said C %.*s", s, (int)line.n,
             line.n ? line.p : "(nothing)");
    if (got.p)
        sp_buf_drop(&p->out, line.n + 1);
    else
        p->out.n = 0;
}

static const char *expect_event(struct play *p, const char *s)
{
    static char text[sizeof p->seen[0].text];
    const char *colon = strstr(s, " | "), *rest;
    size_t n = colon ? (size_t)(colon - s) : strlen(s);

    while (p->seens && p->seen[0].type == SP_CLI_BODY && strncmp(s, "body?", 5) != 0) {
        memmove(p->seen, p->seen + 1, sizeof p->seen - sizeof p->seen[0]);
        p->seens--; /* repeated invitations are not part of the story */
    }
    if (p->seens == 0) {
        complain(p, "expected %s, but nothing happened", s);
        return "";
    }
    snprintf(text, sizeof text, "%s", p->seen[0].text);
    memmove(p->seen, p->seen + 1, sizeof p->seen - sizeof p->seen[0]);
    p->seens--;
    rest = text + n;
    if (strncmp(text, s, n) != 0 || (*rest && *rest != ' ' && *rest != ':') ||
        (colon && !strstr(rest, colon + 3)))
        complain(p, "expected %s\n             but got  %s", s, text);
    return text;
}

static bool is_event(const char *s)
{
    static const char *const names[] = {"handshake", "auth",   "ready",     "body?",
                                        "sent",      "failed", "reconnect", "close"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);

        if (strncmp(s, names[i], n) == 0 && (s[n] == ' ' || s[n] == '\0'))
            return true;
    }
    return false;
}

static void again(struct play *p)
{
    struct sp_cli *d = sp_cli_again(p->c);

    p->closed = false;

    sp_cli_free(p->c);
    p->c = d;
    p->in_tls = false;
    if (d)
        pull(p);
}

static void step(struct play *p, char *s)
{
    static char last[sizeof p->seen[0].text];
    char *mark;

    if (strncmp(s, "S ", 2) == 0 || strncmp(s, "S' ", 3) == 0) {
        char buf[9000];
        bool raw = s[1] == '\'';
        struct sp_str t = unescape(s + (raw ? 3 : 2), buf, sizeof buf);

        start(p);
        (void)sp_buf_str(&p->burst, t);
        if (!raw)
            (void)sp_buf_puts(&p->burst, "\r\n");
        return;
    }
    if (word(&s, "fill")) { /* fill N TEXT: N times the same */
        unsigned long n = strtoul(next_word(&s), NULL, 10);
        char buf[2000];
        struct sp_str t = unescape(s, buf, sizeof buf);

        start(p);
        while (n-- && sp_buf_str(&p->burst, t) == 0)
            ;
        return;
    }
    if (word(&s, "options")) {
        while (*s)
            option(p, next_word(&s));
        return;
    }
    start(p);
    if (!p->c)
        return;
    if (p->burst.n) {
        feed(p);
        if (!p->c)
            return;
    }
    if (strncmp(s, "C ", 2) == 0 || strcmp(s, "C") == 0) {
        expect_out(p, s[1] ? s + 2 : "", false);
    } else if (strncmp(s, "C' ", 3) == 0) {
        expect_out(p, s + 3, true);
    } else if (strcmp(s, "silence") == 0) {
        if (p->out.n || p->seens)
            complain(p, "expected silence");
    } else if (strncmp(s, "shown ", 6) == 0) {
        if (!p->o->clone && !shows(p, s + 6))
            complain(p, "the trace does not show \"%s\"", s + 6);
    } else if (is_event(s)) {
        snprintf(last, sizeof last, "%s", expect_event(p, s));
    } else {
        if (word(&s, "tls"))
            tls(p, s);
        else if (word(&s, "token"))
            token(p, s, last);
        else if (word(&s, "cancel"))
            (void)sp_cli_auth_cancel(p->c, sp_str(s));
        else if (word(&s, "mail")) {
            mark = strstr(s, " | ");
            if (mark)
                *mark = '\0';
            mail(p, s, mark ? mark + 3 : NULL);
        } else if (word(&s, "give"))
            body(p, s);
        else if (word(&s, "end")) {
            if (sp_cli_body_end(p->c) < 0)
                complain(p, "no message to end");
        } else if (word(&s, "abort"))
            (void)sp_cli_body_abort(p->c);
        else if (word(&s, "quit"))
            (void)sp_cli_quit(p->c);
        else if (word(&s, "rset"))
            (void)sp_cli_rset(p->c);
        else if (word(&s, "noop"))
            (void)sp_cli_noop(p->c);
        else if (word(&s, "gone"))
            sp_cli_gone(p->c, sp_str(s));
        else if (word(&s, "alerted"))
            sp_cli_alerted(p->c, sp_str(s));
        else if (word(&s, "expired"))
            sp_cli_expired(p->c);
        else if (word(&s, "again"))
            again(p);
        else if (word(&s, "begin"))
            ;
        else
            complain(p, "cannot read: %s", s);
        if (p->c)
            pull(p);
    }
}

static void finish(struct play *p)
{
    struct sp_str rest;

    if (p->c && p->burst.n)
        feed(p);
    rest = sp_buf_view(&p->out);
    while (rest.n) {
        struct sp_str line = sp_str_cut(&rest, '\n');

        complain(p, "left over: C %.*s", (int)line.n, line.p);
    }
    for (int i = 0; i < p->seens; i++)
        if (p->seen[i].type != SP_CLI_BODY)
            complain(p, "left over: %s", p->seen[i].text);
    if (p->password[0] && shows(p, p->password))
        complain(p, "the trace shows the password");
}

static void lines(struct play *p, const char *text);

/* use NAME: the lines of NAME.part beside the story. */
static void use(struct play *p, const char *name)
{
    const char *slash = strrchr(p->path, '/');
    char path[1000], *text;
    int line = p->line;

    snprintf(path, sizeof path, "%.*s%.60s.part",
             slash ? (int)(slash - p->path + 1) : 0, p->path, name);
    text = play_read(path);
    if (text)
        lines(p, text);
    else
        complain(p, "cannot read %s", path);
    free(text);
    p->line = line;
}

static void lines(struct play *p, const char *text)
{
    char line[9000];
    const char *e;

    for (; *text; text = *e ? e + 1 : e) {
        size_t n;

        p->line++;
        e = strchr(text, '\n');
        if (!e)
            e = text + strlen(text);
        n = (size_t)(e - text);
        if (n == 0 || *text == '#' || n >= sizeof line)
            continue;
        memcpy(line, text, n);
        line[n] = '\0';
        if (!p->c && p->opt.helo && p->o->lenient)
            return; /* the engine could not be made */
        if (strncmp(line, "use ", 4) == 0)
            use(p, line + 4);
        else
            step(p, line);
    }
}

int play_story(const char *path, const char *text, const struct play_options *o)
{
    struct play *p = calloc(1, sizeof *p);
    int bad;

    assert(p);
    p->path = path;
    p->o = o;
    sp_buf_init(&p->out, 8 << 20);
    sp_buf_init(&p->burst, 8 << 20);
    sp_buf_init(&p->trace, 1 << 20);
    lines(p, text);
    finish(p);
    sp_cli_free(p->c);
    sp_buf_free(&p->out);
    sp_buf_free(&p->burst);
    sp_buf_free(&p->trace);
    bad = p->bad;
    free(p);
    return bad;
}

char *play_read(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = malloc(200000);
    size_t n;

    if (!f || !text) {
        free(text);
        if (f)
            fclose(f);
        return NULL;
    }
    n = fread(text, 1, 199999, f);
    text[n] = '\0';
    fclose(f);
    return text;
}
