/* server.c - one server session; see sallyport/server.h, and srv.h for the inside.
 * Decisions live in rules.c. */
#include "srv.h"

#include "parse.h"
#include "text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NONE SP_LIT("")

static void say(struct sp_srv *s, enum sp_r r)
{
    sp_say(s, r, NONE);
}

/* ---- Commands ------------------------------------------------------------------------------- */

static bool keep_scratch(struct sp_srv *s, struct sp_str arg)
{
    s->scratch.n = 0;
    if (sp_buf_str(&s->scratch, arg) == 0)
        return true;
    sp_no_memory(s);
    return false;
}

static void syntax(struct sp_srv *s, const struct sp_verb_rule *v)
{
    sp_refuse(s, (struct sp_verdict){SP_R_SYNTAX, sp_str(v->syntax)});
}

static void do_help(struct sp_srv *s)
{
    char text[256];
    struct sp_buf b = {text, 0, sizeof text, sizeof text};

    for (size_t i = 0; i < sp_nverbs; i++)
        if (sp_verb_find(s, sp_str(sp_verbs[i].name)) &&
            sp_verbs[i].verb != SP_V_NOT_IMPLEMENTED &&
            (!sp_verbs[i].ext || (sp_rule_extensions(s) & sp_verbs[i].ext)))
            (void)sp_buf_printf(&b, "%s%s", b.n ? " " : "", sp_verbs[i].name);
    sp_say(s, SP_R_HELP, sp_buf_view(&b));
}

static void do_rset(struct sp_srv *s)
{
    sp_srv_wipe(s, SP_AT_RSET);
    say(s, SP_R_OK);
}

/* Asks the owner, with the argument kept until the answer. */
static void ask(struct sp_srv *s, enum sp_srv_event_type type, struct sp_str arg)
{
    if (keep_scratch(s, arg))
        s->pend = type;
}

/* A permitted command.  false: not now, the group of recipients goes first. */
static bool run(struct sp_srv *s, const struct sp_verb_rule *v, struct sp_str arg)
{
    switch (v->verb) {
    case SP_V_EHLO:
    case SP_V_HELO:
    case SP_V_LHLO:
        if (sp_is_helo(arg))
            ask(s, SP_SRV_EHLO, arg);
        else
            syntax(s, v);
        return true;
    case SP_V_STARTTLS:
        s->pend = SP_SRV_STARTTLS;
        return true;
    case SP_V_AUTH:
        sp_auth_begin(s, arg);
        return true;
    case SP_V_MAIL:
        sp_do_mail(s, arg);
        return true;
    case SP_V_RCPT:
        return sp_do_rcpt(s, arg);
    case SP_V_DATA:
        sp_do_data(s);
        return true;
    case SP_V_BDAT:
        sp_do_bdat(s, arg, (struct sp_verdict){SP_R_NONE, NONE});
        return true;
    case SP_V_RSET:
        do_rset(s);
        return true;
    case SP_V_NOOP:
        say(s, SP_R_OK);
        return true;
    case SP_V_VRFY:
        ask(s, SP_SRV_VRFY, arg);
        return true;
    case SP_V_HELP:
        do_help(s);
        return true;
    case SP_V_QUIT:
        say(s, SP_R_BYE);
        sp_close(s);
        return true;
    case SP_V_XCLIENT:
    case SP_V_XFORWARD:
        ask(s, SP_SRV_XCLIENT, arg);
        return true;
    case SP_V_NOT_IMPLEMENTED:
        break;
    }
    assert(!"a verb that rules.c permits has a handler");
    return true;
}

static void not_smtp(struct sp_srv *s)
{
    say(s, SP_R_NOT_SMTP);
    s->infos |= SP_INFO_NOT_SMTP;
    sp_close(s);
}

/* One command line without CRLF.  false: the same line again, later. */
static bool command(struct sp_srv *s, struct sp_str line)
{
    struct sp_str arg = line, verb = sp_str_cut(&arg, ' ');
    const struct sp_verb_rule *v = sp_verb_find(s, verb);
    struct sp_verdict d;

    if (s->grp && !(v && v->verb == SP_V_RCPT))
        return false;
    s->verb = v ? (size_t)(v - sp_verbs) + 1 : 0;
    arg = sp_str_trim(arg); /* trailing blanks are tolerated: RFC 5321 4.1.1 */
    if (sp_rule_not_smtp(line)) {
        not_smtp(s);
        return true;
    }
    if (v && (v->flags & SP_F_IDLE) && !sp_idle_again(s))
        return true;
    d = sp_rule_verb(s, v);
    if (d.reply != SP_R_NONE && s->grp)
        return false;
    if (v && v->verb == SP_V_BDAT && d.reply != SP_R_NONE)
        sp_do_bdat(s, arg, d);
    else if (d.reply != SP_R_NONE)
        sp_refuse(s, d);
    else if ((arg.n && (v->flags & SP_F_NOARG)) || (!arg.n && (v->flags & SP_F_ARG))) {
        if (s->grp)
            return false;
        syntax(s, v);
    } else
        return run(s, v, arg);
    return true;
}

/* ---- Lines ------------------------------------------------------------------------------------ */

static bool is_letter(char c)
{
    return sp_lower((unsigned char)c) >= 'a' && sp_lower((unsigned char)c) <= 'z';
}

/* AUTH lines may be longer; "AUTH " is in the first octets of the line. */
static bool is_auth_line(const struct sp_srv *s, const char *p, size_t n)
{
    char head[5];
    size_t have = s->line.n < sizeof head ? s->line.n : sizeof head;

    if (s->mode == SP_IN_AUTH)
        return true;
    if (have)
        memcpy(head, s->line.p, have);
    for (size_t i = 0; have < sizeof head && i < n; i++)
        head[have++] = p[i];
    return have == sizeof head && sp_str_caseis((struct sp_str){head, have}, "AUTH ");
}

static size_t line_max(const struct sp_srv *s, const char *p, size_t n)
{
    return sp_rule_line_max(s, is_auth_line(s, p, n));
}

static void bare(struct sp_srv *s)
{
    say(s, SP_R_BARE);
    sp_note(s, SP_INFO_REFUSED, SP_R_BARE, NONE);
    sp_close(s);
}

static void too_long(struct sp_srv *s, bool auth)
{
    char digits[16];
    struct sp_buf b = {digits, 0, sizeof digits, sizeof digits};

    if (auth) {
        sp_auth_too_long(s);
        return;
    }
    (void)sp_buf_printf(&b, "%u", sp_rule_line_max(s, false));
    sp_refuse(s, (struct sp_verdict){SP_R_TOO_LONG, sp_buf_view(&b)});
}

/* From here to the next CRLF nothing is kept; p[0..n) is read but not taken. */
static void begin_swallow(struct sp_srv *s, const char *p, size_t n)
{
    s->swallow = true;
    s->swallow_auth = is_auth_line(s, p, n);
    s->swallow_cr = s->line.n && s->line.p[s->line.n - 1] == '\r';
    sp_buf_wipe(&s->line);
}

/* A line that is not complete: kept, or thrown away when it is too long already. */
static void partial(struct sp_srv *s, const char *p, size_t n)
{
    if (!s->swallow && s->line.n + n > line_max(s, p, n))
        begin_swallow(s, p, n);
    if (s->swallow)
        s->swallow_cr = p[n - 1] == '\r';
    else if (sp_buf_put(&s->line, p, n) < 0)
        sp_no_memory(s);
}

/* The end of a line that was too long; p[n-1] is LF. */
static void swallowed(struct sp_srv *s, const char *p, size_t n)
{
    bool cr = n >= 2 ? p[n - 2] == '\r' : s->swallow_cr, auth = s->swallow_auth;

    s->swallow = s->swallow_cr = s->swallow_auth = false;
    if (cr)
        too_long(s, auth);
    else
        bare(s);
}

/* RFC 5321 2.3.8: CR and LF only together; 4.5.2: no NUL.  l ends with LF. */
static bool clean(struct sp_str l)
{
    return l.n >= 2 && l.p[l.n - 2] == '\r' && !memchr(l.p, '\0', l.n) &&
           !memchr(l.p, '\r', l.n - 2);
}

/* A complete line with its LF.  false: not taken. */
static bool whole(struct sp_srv *s, struct sp_str l)
{
    if (l.n > line_max(s, l.p, l.n)) {
        if (s->grp)
            return false;
        begin_swallow(s, l.p, l.n);
        swallowed(s, l.p, l.n);
        return true;
    }
    if (!clean(l)) {
        if (s->grp)
            return false;
        bare(s);
        return true;
    }
    l.n -= 2;
    if (s->mode == SP_IN_AUTH) {
        sp_auth_line(s, l);
        return true;
    }
    return command(s, l);
}

static size_t take_line(struct sp_srv *s, const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n);
    size_t len = lf ? (size_t)(lf - p) + 1 : n;

    /* PROTOCOL "not a mail client": known by its first octet, also when no line end
     * ever comes, as in a TLS ClientHello. */
    if (s->mode == SP_IN_COMMAND && s->line.n == 0 && !s->swallow && !is_letter(p[0]) &&
        p[0] != '\r' && p[0] != '\n' && p[0] != '\0') {
        if (s->grp) {
            s->pend = SP_SRV_RCPT;
            return 0;
        }
        not_smtp(s);
        return len;
    }
    if (!lf) {
        partial(s, p, n);
    } else if (s->swallow) {
        swallowed(s, p, len);
    } else if (s->line.n == 0) {
        if (!whole(s, (struct sp_str){p, len})) {
            s->pend = SP_SRV_RCPT;
            return 0;
        }
    } else if (s->line.n + len > line_max(s, p, len)) {
        begin_swallow(s, p, len);
        swallowed(s, p, len);
    } else if (sp_buf_put(&s->line, p, len) < 0) {
        sp_no_memory(s);
    } else {
        struct sp_buf line = s->line;

        /* Out of the session while it runs: STARTTLS wipes what is in there. */
        sp_buf_init(&s->line, line.max);
        (void)whole(s, sp_buf_view(&line));
        sp_buf_wipe(&line);
    }
    return len;
}

/* ---- Feeding ------------------------------------------------------------------------------------ */

/* Info events are told once. */
static void forget_info(struct sp_srv *s)
{
    if (!s->info_out)
        return;
    s->info_out = false;
    if (s->infos == 0) {
        sp_buf_free(&s->note_text);
        s->note_verb = 0;
        s->note_reply = SP_R_NONE;
    }
}

static bool takes_input(const struct sp_srv *s)
{
    return s->pend == SP_SRV_NOTHING && s->infos == 0 && !s->closing &&
           s->mode != SP_IN_TLS && s->out.n < SP_LIMIT_OUT_HIGH;
}

/* Command injection, CVE-2011-0411, and octets before the banner. */
static void injected(struct sp_srv *s)
{
    say(s, s->pend == SP_SRV_CONNECT ? SP_R_EARLY : SP_R_INJECTED);
    sp_note(s, SP_INFO_INJECTION,
            s->pend == SP_SRV_CONNECT ? SP_R_EARLY : SP_R_INJECTED, NONE);
    s->handed = s->early = false;
    sp_close(s);
}

/* Octets are there that must not be: now, or when the owner has answered. */
static void too_early(struct sp_srv *s)
{
    if (s->pend != SP_SRV_CONNECT && s->pend != SP_SRV_STARTTLS)
        return;
    if (s->handed)
        s->early = true;
    else
        injected(s);
}

/* A quiet point: nothing is in flight. */
static void drain_when_quiet(struct sp_srv *s)
{
    if (!s->draining || s->mode != SP_IN_COMMAND || s->pend != SP_SRV_NOTHING ||
        s->txn || s->grp || s->closing || !s->began)
        return;
    say(s, SP_R_DRAIN);
    sp_close(s);
}

size_t sp_srv_feed(struct sp_srv *s, const char *data, size_t len)
{
    size_t used = 0;

    forget_info(s);
    drain_when_quiet(s);
    while (used < len && takes_input(s)) {
        const char *p = data + used;
        size_t n = len - used;

        switch (s->mode) {
        case SP_IN_COMMAND:
        case SP_IN_AUTH:
            used += take_line(s, p, n);
            if (s->pend == SP_SRV_NOTHING)
                s->verb = 0;
            break;
        case SP_IN_DATA:
            used += sp_take_data(s, p, n);
            break;
        case SP_IN_CHUNK:
            used += sp_take_chunk(s, p, n);
            break;
        case SP_IN_TLS:
        case SP_IN_CLOSED:
            return used;
        }
        drain_when_quiet(s);
    }
    if (s->grp && s->pend == SP_SRV_NOTHING)
        s->pend = SP_SRV_RCPT;
    if (used < len)
        too_early(s);
    return used;
}

/* ---- Events --------------------------------------------------------------------------------------- */

static void fill_note(const struct sp_srv *s, enum sp_srv_note kind,
                      struct sp_srv_event *e)
{
    const struct sp_reply_rule *r = sp_reply_rule(s->note_reply);

    e->type = SP_SRV_NOTE;
    e->u.note.kind = kind;
    e->u.note.verb = s->note_verb ? sp_str(sp_verbs[s->note_verb - 1].name) : NONE;
    e->u.note.reply.code = r->code;
    for (int i = 0; i < 3 && r->enh[0]; i++) /* "5.5.1": one digit each */
        e->u.note.reply.enh[i] = r->enh[2 * i] - '0';
    e->u.note.reply.text =
        s->note_text.n ? sp_buf_view(&s->note_text) : sp_str(r->text);
}

static void next_info(struct sp_srv *s, struct sp_srv_event *e)
{
    unsigned bit = s->infos & -s->infos;

    s->infos &= ~bit;
    s->info_out = true;
    switch (bit) {
    case SP_INFO_REFUSED:
        fill_note(s, SP_NOTE_REFUSED, e);
        break;
    case SP_INFO_INJECTION:
        fill_note(s, SP_NOTE_INJECTION, e);
        break;
    case SP_INFO_NOT_SMTP:
        fill_note(s, SP_NOTE_NOT_SMTP, e);
        break;
    case SP_INFO_TOO_MANY:
        fill_note(s, SP_NOTE_TOO_MANY, e);
        break;
    case SP_INFO_MESSAGE_BAD:
        fill_note(s, SP_NOTE_MESSAGE_BAD, e);
        break;
    case SP_INFO_AUTH_END:
        e->type = SP_SRV_AUTH_END;
        break;
    default:
        assert(bit == SP_INFO_ABORT);
        e->type = SP_SRV_ABORT;
    }
}

static void fill_auth(const struct sp_srv *s, struct sp_srv_event *e)
{
    const struct sp_exch *x = s->exch;

    e->u.auth.mech = x->mech;
    e->u.auth.first = x->first;
    e->u.auth.implicit = x->implicit;
    e->u.auth.authzid = x->authzid;
    e->u.auth.authcid = x->authcid;
    e->u.auth.secret = x->secret;
    e->u.auth.token = sp_buf_view(&x->token);
    e->u.auth.has_token = x->has_token;
}

static void fill_end(const struct sp_data *d, struct sp_srv_event *e)
{
    e->u.end.size = d->size;
    e->u.end.header_size = d->header_size;
    e->u.end.has_8bit_body = d->has_8bit_body;
    e->u.end.has_8bit_header = d->has_8bit_header;
}

static void fill(const struct sp_srv *s, struct sp_srv_event *e)
{
    e->type = s->pend;
    switch (s->pend) {
    case SP_SRV_EHLO:
        e->u.ehlo.name = sp_buf_view(&s->scratch);
        e->u.ehlo.extended = sp_verbs[s->verb - 1].verb != SP_V_HELO;
        break;
    case SP_SRV_AUTH:
        fill_auth(s, e);
        break;
    case SP_SRV_MAIL:
        e->u.mail.m = s->txn->mail;
        e->u.mail.smtp_extended = s->greeted == SP_GREETED_EHLO;
        break;
    case SP_SRV_RCPT:
        e->u.rcpt.r = s->grp->r;
        e->u.rcpt.n = s->grp->n;
        break;
    case SP_SRV_DATA:
        e->u.data.bdat = s->txn->chunked;
        e->u.data.size_hint = s->txn->mail.has_size ? s->txn->mail.size
                              : s->txn->chunked     ? s->chunk_size
                                                    : 0;
        break;
    case SP_SRV_BODY:
        e->u.body.octets = s->span;
        break;
    case SP_SRV_END:
        fill_end(&s->txn->data, e);
        break;
    case SP_SRV_VRFY:
        e->u.vrfy.argument = sp_buf_view(&s->scratch);
        break;
    case SP_SRV_XCLIENT:
        e->u.xclient.attributes = sp_buf_view(&s->scratch);
        e->u.xclient.forward = sp_verbs[s->verb - 1].verb == SP_V_XFORWARD;
        break;
    case SP_SRV_CONNECT:
    case SP_SRV_STARTTLS:
    case SP_SRV_HANDSHAKE:
    case SP_SRV_AUTH_END:
    case SP_SRV_ABORT:
    case SP_SRV_NOTE:
    case SP_SRV_CLOSE:
    case SP_SRV_NOTHING:
        break;
    }
}

bool sp_srv_next(struct sp_srv *s, struct sp_srv_event *ret_event)
{
    forget_info(s);
    drain_when_quiet(s);
    memset(ret_event, 0, sizeof *ret_event);
    if (s->infos) {
        next_info(s, ret_event);
        return true;
    }
    if (s->pend != SP_SRV_NOTHING) {
        if (s->handed)
            return false;
        s->handed = true;
        if (s->pend == SP_SRV_END)
            s->txn->ended = true;
        fill(s, ret_event);
        return true;
    }
    /* The 220 must have left before octets go to TLS. */
    if (s->mode == SP_IN_TLS && !s->handed && s->out.n == 0) {
        s->handed = true;
        ret_event->type = SP_SRV_HANDSHAKE;
        return true;
    }
    if (s->closing && !s->close_out) {
        s->close_out = true;
        ret_event->type = SP_SRV_CLOSE;
        return true;
    }
    return false;
}

/* ---- Output ----------------------------------------------------------------------------------------- */

/* Said without any memory of our own. */
static const char no_memory_text[] = "421 4.3.0 " SP_NO_MEMORY_TEXT "\r\n";

const char *sp_srv_out(const struct sp_srv *s, size_t *ret_len)
{
    *ret_len = s->out.n;
    if (s->out.n || !s->no_memory)
        return s->out.p;
    *ret_len = sizeof no_memory_text - 1 - s->no_memory_at;
    return no_memory_text + s->no_memory_at;
}

void sp_srv_out_ack(struct sp_srv *s, size_t len)
{
    if (s->out.n == 0 && s->no_memory) {
        assert(len <= sizeof no_memory_text - 1 - s->no_memory_at);
        s->no_memory_at += (unsigned)len;
        return;
    }
    sp_buf_drop(&s->out, len);
    if (s->out.n == 0)
        sp_buf_free(&s->out); /* an idle session is small */
}

/* ---- Answers ------------------------------------------------------------------------------------------ */

/* The owner's words where it gave some, else the standard ones. */
static void say_or(struct sp_srv *s, const struct sp_reply *words, enum sp_r r)
{
    if (words)
        sp_say_owner(s, words);
    else
        say(s, r);
}

static void accept_connect(struct sp_srv *s, const struct sp_reply *words)
{
    const struct sp_kind_rule *k = sp_kind(s->policy->kind);
    char text[320];
    int n = snprintf(text, sizeof text, "%.255s %s", s->policy->hostname, k->protocol);

    s->began = true;
    if (words)
        sp_say_owner(s, words);
    else
        sp_say(s, SP_R_BANNER, (struct sp_str){text, (size_t)n});
}

static void accept_ehlo(struct sp_srv *s)
{
    enum sp_verb verb = sp_verbs[s->verb - 1].verb;
    struct sp_buf name = s->scratch;

    s->scratch = (struct sp_buf){.max = name.max};
    sp_srv_wipe(s, SP_AT_EHLO);
    sp_buf_free(&s->helo);
    s->helo = name;
    s->greeted = verb == SP_V_HELO ? SP_GREETED_HELO : SP_GREETED_EHLO;
    if (verb != SP_V_HELO) {
        if (sp_format_ehlo(s, &s->out) < 0)
            sp_no_memory(s);
    } else if (sp_format(&s->out, 250, "", sp_str(s->policy->hostname)) < 0) {
        sp_no_memory(s);
    }
}

static void accept_starttls(struct sp_srv *s)
{
    /* RFC 3207 4.2, and at the dangerous moment: whatever was said in clear is gone
     * before the first octet of TLS. */
    say(s, SP_R_GO_TLS);
    sp_srv_wipe(s, SP_AT_TLS);
    assert(s->greeted == SP_GREETED_NO && s->login_by == SP_BY_NOTHING &&
           s->line.n == 0 && !s->txn && !s->exch);
    if (!s->no_memory)
        sp_set_mode(s, SP_IN_TLS);
}

static void accept_mail(struct sp_srv *s, const struct sp_reply *words)
{
    s->txn->accepted = true;
    if (s->greeted == SP_GREETED_NO)
        s->greeted = SP_GREETED_LENIENT;
    say_or(s, words, SP_R_MAIL_OK);
}

static void accept_xclient(struct sp_srv *s, const struct sp_reply *words)
{
    if (sp_verbs[s->verb - 1].verb == SP_V_XFORWARD) {
        say_or(s, words, SP_R_OK);
        return;
    }
    sp_srv_wipe(s, SP_AT_TLS);
    accept_connect(s, words);
}

/* RCPT, and END in LMTP, are answered one by one: see answer_rest(). */
static void accepted(struct sp_srv *s, enum sp_srv_event_type e,
                     const struct sp_reply *words)
{
    switch (e) {
    case SP_SRV_CONNECT:
        accept_connect(s, words);
        break;
    case SP_SRV_EHLO:
        accept_ehlo(s);
        break;
    case SP_SRV_STARTTLS:
        accept_starttls(s);
        break;
    case SP_SRV_MAIL:
        accept_mail(s, words);
        break;
    case SP_SRV_DATA:
        sp_data_accepted(s, words);
        break;
    case SP_SRV_BODY:
        sp_body_answered(s, NULL);
        break;
    case SP_SRV_END:
        say_or(s, words, SP_R_DATA_OK);
        sp_end_answered(s, true);
        break;
    case SP_SRV_VRFY:
        say_or(s, words, SP_R_VRFY);
        break;
    case SP_SRV_XCLIENT:
        accept_xclient(s, words);
        break;
    case SP_SRV_RCPT:
    case SP_SRV_AUTH:
    case SP_SRV_HANDSHAKE:
    case SP_SRV_AUTH_END:
    case SP_SRV_ABORT:
    case SP_SRV_NOTE:
    case SP_SRV_CLOSE:
    case SP_SRV_NOTHING:
        assert(!"not answered by accept");
    }
}

/* The group was answered to the last: go on. */
static void group_done(struct sp_srv *s, enum sp_srv_event_type e)
{
    bool any = false;

    for (size_t i = 0; s->grp && i < s->grp->n; i++)
        any |= s->grp->slot[i].accepted;
    sp_group_free(s->grp);
    s->grp = NULL;
    if (e == SP_SRV_END && !s->closing)
        sp_end_answered(s, any);
}

static void un_pend(struct sp_srv *s)
{
    s->pend = SP_SRV_NOTHING;
    s->handed = false;
}

void sp_answer_is_done(struct sp_srv *s)
{
    s->verb = 0;
    sp_buf_free(&s->scratch);
    if (s->gone && !s->closing)
        sp_close(s);
}

static bool one_by_one(const struct sp_srv *s)
{
    return s->pend == SP_SRV_RCPT || (s->pend == SP_SRV_END && s->grp);
}

static void answer_rest(struct sp_srv *s, const struct sp_reply *r)
{
    enum sp_srv_event_type e = s->pend;

    for (size_t i = 0; s->grp && i < s->grp->n; i++)
        if (!s->grp->slot[i].done)
            (void)sp_group_answer(s, i, r);
    un_pend(s);
    group_done(s, e);
}

int sp_srv_rcpt(struct sp_srv *s, size_t index, const struct sp_reply *r)
{
    enum sp_srv_event_type e = s->pend;
    int rc;

    if (!one_by_one(s) || !s->handed)
        return -SP_ESTATE;
    if (r && (r->code < 200 || r->code > 599 || r->code / 100 == 3))
        return -SP_EINPUT;
    rc = sp_group_answer(s, index, r);
    if (rc < 0 || s->closing)
        return rc;
    if (r && r->code == 421) {
        sp_close(s);
    } else if (s->grp->next == s->grp->n) {
        un_pend(s);
        group_done(s, e);
        sp_answer_is_done(s);
    }
    return 0;
}

int sp_srv_accept(struct sp_srv *s)
{
    enum sp_srv_event_type e = s->pend;

    if (s->info_out) {
        forget_info(s);
        return 0;
    }
    if (e == SP_SRV_NOTHING || !s->handed)
        return -SP_ESTATE;
    if (e == SP_SRV_AUTH)
        return -SP_EINPUT; /* sp_srv_auth_ok() says who it is */
    if (s->early) {
        injected(s);
        return 0;
    }
    if (one_by_one(s)) {
        answer_rest(s, NULL);
        sp_answer_is_done(s);
        return 0;
    }
    un_pend(s);
    accepted(s, e, NULL);
    sp_answer_is_done(s);
    return 0;
}

int sp_srv_xclient_ok(struct sp_srv *s, struct sp_str user)
{
    if (s->pend != SP_SRV_XCLIENT || !s->handed ||
        sp_verbs[s->verb - 1].verb != SP_V_XCLIENT)
        return -SP_ESTATE;
    un_pend(s);
    accept_xclient(s, NULL);
    if (user.n && !s->no_memory) {
        s->login_by = SP_BY_SOCKET; /* as with LOCAL: the owner knows */
        if (sp_buf_str(&s->user, user) < 0)
            sp_no_memory(s);
    }
    sp_answer_is_done(s);
    return 0;
}

static void refused(struct sp_srv *s, enum sp_srv_event_type e,
                    const struct sp_reply *r)
{
    switch (e) {
    case SP_SRV_BODY:
        sp_body_answered(s, r);
        return;
    case SP_SRV_DATA:
        sp_data_refused(s, r);
        return;
    case SP_SRV_END:
        sp_say_owner(s, r);
        sp_end_answered(s, false);
        return;
    case SP_SRV_MAIL:
        sp_txn_over(s, true);
        break;
    default:
        break;
    }
    sp_say_owner(s, r);
    if (e == SP_SRV_CONNECT)
        sp_close(s); /* RFC 5321 3.1: 554 instead of 220; nothing else is offered */
}

/* 354 belongs to DATA alone, 220 to where a session starts. */
static bool reply_fits(enum sp_srv_event_type e, int code)
{
    if (code < 200 || code > 599)
        return false;
    if (e == SP_SRV_DATA)
        return code == 354 || code >= 400;
    return code / 100 != 3;
}

int sp_srv_reply(struct sp_srv *s, const struct sp_reply *r)
{
    enum sp_srv_event_type e = s->pend;

    if (e == SP_SRV_NOTHING || !s->handed)
        return -SP_ESTATE;
    if (!reply_fits(e, r->code))
        return -SP_EINPUT;
    if (s->early) {
        injected(s);
        return 0;
    }
    if (e == SP_SRV_AUTH)
        return sp_auth_reply(s, r);
    if (one_by_one(s)) {
        answer_rest(s, r);
    } else {
        un_pend(s);
        if (r->code < 400)
            accepted(s, e, r);
        else if (r->code == 421)
            sp_say_owner(s, r);
        else
            refused(s, e, r);
    }
    if (r->code == 421 && !s->closing)
        sp_close(s);
    sp_answer_is_done(s);
    return 0;
}

int sp_srv_replyf(struct sp_srv *s, int code, int e1, int e2, int e3, const char *fmt,
                  ...)
{
    char text[SP_LIMIT_REPLY_TEXT];
    struct sp_reply r = {.code = code, .enh = {e1, e2, e3}};
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -SP_EINPUT;
    r.text =
        (struct sp_str){text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1};
    return sp_srv_reply(s, &r);
}

/* ---- TLS ------------------------------------------------------------------------------------------------ */

static int put_facts(struct sp_srv *s, const struct sp_srv_tls *t)
{
    sp_buf_free(&s->cert_user);
    sp_buf_free(&s->cert_reason);
    s->cert = t->cert;
    s->cert_verified = t->cert_verified;
    s->external_only = t->external_only;
    if (sp_buf_str(&s->cert_user, t->user) < 0 ||
        sp_buf_str(&s->cert_reason, t->reason) < 0)
        return -SP_ENOMEM;
    return 0;
}

int sp_srv_tls_done(struct sp_srv *s, const struct sp_srv_tls *tls)
{
    if (s->mode != SP_IN_TLS)
        return -SP_ESTATE;
    /* Nothing said in clear is here any more. */
    assert(s->line.n == 0 && s->greeted == SP_GREETED_NO && !s->txn);
    s->handed = false;
    s->tls = true;
    s->binding = tls->channel_binding;
    sp_set_mode(s, SP_IN_COMMAND);
    if (!s->began)
        s->pend = SP_SRV_CONNECT;
    if (put_facts(s, tls) < 0)
        sp_no_memory(s);
    return 0;
}

int sp_srv_tls_failed(struct sp_srv *s)
{
    if (s->mode != SP_IN_TLS)
        return -SP_ESTATE;
    s->handed = false;
    sp_close(s); /* RFC 3207 4.1: never on in clear */
    return 0;
}

int sp_srv_clear_on_tls(struct sp_srv *s)
{
    if (s->mode != SP_IN_TLS || s->began)
        return -SP_ESTATE;
    s->handed = false;
    say(s, SP_R_TLS_PORT);
    sp_note(s, SP_INFO_NOT_SMTP, SP_R_TLS_PORT, NONE);
    sp_close(s);
    return 0;
}

int sp_srv_cert_update(struct sp_srv *s, const struct sp_srv_tls *tls)
{
    bool by_cert = (s->login_by == SP_BY_AUTH || s->login_by == SP_BY_IMPLICIT) &&
                   s->login_mech == SP_MECH_EXTERNAL;

    if (!s->tls)
        return -SP_ESTATE;
    if (by_cert && (tls->cert != SP_CERT_USABLE ||
                    !sp_str_eq(tls->user, sp_buf_view(&s->cert_user))))
        s->login_stale = true;
    if (put_facts(s, tls) < 0)
        sp_no_memory(s);
    return 0;
}

/* ---- Time and the peer -------------------------------------------------------------------------------------- */

enum sp_wait sp_srv_wait(const struct sp_srv *s)
{
    if (s->closing)
        return SP_WAIT_NONE;
    if (s->pend != SP_SRV_NOTHING)
        return s->handed ? SP_WAIT_CALLER : SP_WAIT_NONE;
    if (s->infos)
        return SP_WAIT_NONE;
    switch (s->mode) {
    case SP_IN_TLS:
        return SP_WAIT_HANDSHAKE;
    case SP_IN_DATA:
        return SP_WAIT_DATA;
    case SP_IN_CHUNK:
        if (s->chunk_refusal.n == 0)
            return SP_WAIT_DATA;
        break; /* a refused chunk buys no time */
    case SP_IN_CLOSED:
        return SP_WAIT_NONE;
    case SP_IN_COMMAND:
    case SP_IN_AUTH:
        break;
    }
    return s->policy->login_required && s->login_by == SP_BY_NOTHING ? SP_WAIT_LOGIN
                                                                     : SP_WAIT_COMMAND;
}

/* The owner was too slow: 451, nothing queued, and the session goes on. */
static void owner_expired(struct sp_srv *s)
{
    const struct sp_reply_rule *r = sp_reply_rule(SP_R_SLOW);
    struct sp_reply slow = {r->code, {4, 3, 0}, sp_str(r->text)};

    if (s->pend == SP_SRV_AUTH)
        (void)sp_srv_auth_fail(s, SP_AUTH_TEMPORARY);
    else
        (void)sp_srv_reply(s, &slow);
}

void sp_srv_expired(struct sp_srv *s)
{
    switch (sp_srv_wait(s)) {
    case SP_WAIT_CALLER:
        owner_expired(s);
        break;
    case SP_WAIT_HANDSHAKE:
        (void)sp_srv_tls_failed(s);
        break;
    case SP_WAIT_COMMAND:
    case SP_WAIT_LOGIN:
    case SP_WAIT_DATA:
        say(s, SP_R_TIMEOUT);
        sp_close(s);
        break;
    default:
        break;
    }
}

void sp_srv_gone(struct sp_srv *s)
{
    s->gone = true;
    /* The owner may have made it durable already: let it finish. */
    if (s->pend == SP_SRV_END && s->handed)
        return;
    s->handed = false;
    if (!s->closing)
        sp_close(s);
}

void sp_srv_drain(struct sp_srv *s)
{
    s->draining = true;
    drain_when_quiet(s);
}

/* ---- Facts ---------------------------------------------------------------------------------------------------- */

struct sp_str sp_srv_user(const struct sp_srv *s)
{
    return s->login_by != SP_BY_NOTHING ? sp_buf_view(&s->user) : NONE;
}

bool sp_srv_login(const struct sp_srv *s, enum sp_mech *ret_mech, bool *ret_implicit)
{
    if (s->login_by != SP_BY_AUTH && s->login_by != SP_BY_IMPLICIT)
        return false;
    *ret_mech = s->login_mech;
    *ret_implicit = s->login_by == SP_BY_IMPLICIT;
    return true;
}

struct sp_str sp_srv_helo(const struct sp_srv *s)
{
    return sp_buf_view(&s->helo);
}

bool sp_srv_in_tls(const struct sp_srv *s)
{
    return s->tls;
}

bool sp_srv_extended(const struct sp_srv *s)
{
    return s->greeted == SP_GREETED_EHLO;
}

bool sp_srv_in_transaction(const struct sp_srv *s)
{
    return s->txn && s->txn->accepted;
}

int sp_srv_explain_ehlo(const struct sp_srv *s, char *ret, size_t cap)
{
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, SP_LIMIT_REPLY_TEXT * 2);
    rc = sp_format_ehlo(s, &b);
    if (rc == 0 && b.n <= cap) {
        memcpy(ret, b.p, b.n);
        rc = (int)b.n;
    } else if (rc == 0) {
        rc = -SP_ELIMIT;
    }
    sp_buf_free(&b);
    return rc;
}
