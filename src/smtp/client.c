/*
 * client.c - see sallyport/client.h: the session from greeting to QUIT, without login
 * (client_auth.c) and without mail (client_mail.c).
 */
#include "cli_session.h"

#include "alloc.h"
#include "cli_params.h"
#include "err.h"
#include "secret.h"
#include "text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 1400, HELO_MAX = 255, LINE_MAX_OUT = 1000 };

/* --- making and freeing ------------------------------------------------------------ */

static const size_t string_at[] = {
    offsetof(struct sp_cli_options, helo),
    offsetof(struct sp_cli_options, external_identity),
    offsetof(struct sp_cli_options, cert_address),
    offsetof(struct sp_cli_options, authcid),
    offsetof(struct sp_cli_options, authzid),
};
enum { STRINGS = sizeof string_at / sizeof string_at[0] };

static const char **string_of(struct sp_cli_options *o, size_t i)
{
    return (const char **)((char *)o + string_at[i]);
}

/* Copies *from into c with all its strings in one piece. */
static int copy_options(struct sp_cli *c, const struct sp_cli_options *from)
{
    struct sp_cli_options o = *from;
    size_t need = 0, n;
    char *p;

    for (size_t i = 0; i < STRINGS; i++)
        need += *string_of(&o, i) ? strlen(*string_of(&o, i)) + 1 : 0;
    p = c->strings = sp_alloc(need);
    if (!p)
        return -SP_ENOMEM;
    for (size_t i = 0; i < STRINGS; i++) {
        if (!*string_of(&o, i))
            continue;
        n = strlen(*string_of(&o, i)) + 1;
        memcpy(p, *string_of(&o, i), n);
        *string_of(&o, i) = p;
        p += n;
    }
    c->o = o;
    return 0;
}

static int bad(struct sp_err *err, const char *what)
{
    return sp_err_set(err, SP_CLASS_BUG, SP_EINPUT, "client options: %s", what);
}

static int check_options(const struct sp_cli_options *o, struct sp_err *err)
{
    size_t n = o->helo ? strlen(o->helo) : 0;

    if (n == 0 || n > HELO_MAX)
        return bad(err, "helo must be a domain name or an address literal");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)o->helo[i] <= 32 || (unsigned char)o->helo[i] == 127)
            return bad(err, "helo holds a blank or a control character");
    if ((o->have_password || o->have_token) && (!o->authcid || !o->authcid[0]))
        return bad(err, "a password or token needs a user name (authcid)");
    if (o->quit_after > SP_STAGE_RCPT)
        return bad(err, "quit_after: only up to RCPT can a session stop politely");
    if ((unsigned)o->tls > SP_CLI_TLS_NONE ||
        (unsigned)o->cert_login > SP_CLI_CERT_IMPLICIT)
        return bad(err, "unknown value of tls or cert_login");
    return 0;
}

struct sp_cli *sp_cli_new(const struct sp_cli_options *o, struct sp_err *err)
{
    struct sp_cli *c;

    if (check_options(o, err) < 0)
        return NULL;
    c = sp_alloc(sizeof *c);
    if (!c || copy_options(c, o) < 0) {
        sp_free(c);
        sp_err_nomem(err);
        return NULL;
    }
    sp_reply_init(&c->in, o->line_max, o->reply_lines_max);
    sp_buf_init(&c->words, WORDS_MAX);
    sp_buf_init(&c->held, 16384);
    sp_buf_init(&c->challenge, 16384);
    c->state = SP_CS_GREETING;
    c->awaiting = true; /* the greeting needs no command */
    if (o->tls == SP_CLI_TLS_IMPLICIT) {
        sp_cs_enter(c, SP_CS_HANDSHAKE);
        sp_cs_event(c, SP_CLI_HANDSHAKE);
    }
    return c;
}

struct sp_cli *sp_cli_again(const struct sp_cli *c)
{
    struct sp_cli_options o = c->o;
    struct sp_cli *d;

    o.have_certificate = false;
    d = sp_cli_new(&o, NULL);
    if (d)
        d->again = true;
    return d;
}

void sp_cli_free(struct sp_cli *c)
{
    if (!c)
        return;
    sp_cs_txn_free(c);
    sp_caps_free(c->caps);
    sp_reply_free(&c->in);
    sp_outq_free(&c->out);
    sp_buf_wipe(&c->held);
    sp_buf_wipe(&c->challenge);
    sp_buf_free(&c->words);
    sp_free(c->strings);
    sp_wipe(c, sizeof *c);
    sp_free(c);
}

/* --- events, output, words ----------------------------------------------------------- */

void sp_cs_enter(struct sp_cli *c, enum sp_cli_state state)
{
    c->state = (uint8_t)state;
    if (state == SP_CS_READY)
        sp_outq_trim(&c->out);
}

void sp_cs_event(struct sp_cli *c, enum sp_cli_event_type type)
{
    assert(c->queued < SP_CLI_EVENTS);
    c->queue[c->queued++] = (uint8_t)type;
}

/* The session takes another turn: what was announced but not yet taken is void, but for
 * the fate of a transaction. */
static void drop_events(struct sp_cli *c)
{
    uint8_t n = 0;

    for (uint8_t i = 0; i < c->queued; i++)
        if (c->queue[i] == SP_CLI_SENT)
            c->queue[n++] = c->queue[i];
    c->queued = n;
}

void sp_cli_trace(struct sp_cli *c, sp_cli_trace_fn *fn, void *arg)
{
    c->trace = fn;
    c->trace_arg = arg;
}

void sp_cs_trace(struct sp_cli *c, bool from_server, struct sp_str line)
{
    if (c->trace)
        c->trace(c->trace_arg, from_server, line);
}

int sp_cs_put(struct sp_cli *c, const void *data, size_t n, bool secret)
{
    if (sp_outq_put(&c->out, data, n, secret) == 0)
        return 0;
    sp_cs_nomem(c);
    return -1;
}

void sp_cs_await(struct sp_cli *c)
{
    c->awaiting = true;
    c->await_end = c->out.put;
}

void sp_cs_say(struct sp_cli *c, enum sp_cli_state state, const char *fmt, ...)
{
    char line[LINE_MAX_OUT];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line - 2, fmt, ap);
    va_end(ap);
    assert(n > 0 && (size_t)n < sizeof line - 2);
    sp_cs_trace(c, false, (struct sp_str){line, (size_t)n});
    line[n] = '\r';
    line[n + 1] = '\n';
    if (sp_cs_put(c, line, (size_t)n + 2, false) < 0)
        return;
    sp_cs_await(c);
    sp_cs_enter(c, state);
}

static void clean(struct sp_buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        if ((unsigned char)b->p[i] < 32 || b->p[i] == 127)
            b->p[i] = ' ';
}

static void words_v(struct sp_cli *c, const char *fmt, va_list ap)
{
    char text[900];

    c->words.n = 0;
    vsnprintf(text, sizeof text, fmt, ap);
    (void)sp_buf_puts(&c->words, text); /* no memory: no words, the class remains */
}

void sp_cs_words(struct sp_cli *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    words_v(c, fmt, ap);
    va_end(ap);
    clean(&c->words);
}

/* ": 535 5.7.8 what the server said", its first line. */
static void add_reply(struct sp_buf *b, const struct sp_reply *r)
{
    struct sp_str all = r->text, first = sp_str_cut(&all, '\n');

    (void)sp_buf_printf(b, ": %d", r->code);
    if (r->enh[0])
        (void)sp_buf_printf(b, " %d.%d.%d", r->enh[0], r->enh[1], r->enh[2]);
    if (first.n)
        (void)sp_buf_printf(b, " %.*s", (int)(first.n > 300 ? 300 : first.n), first.p);
}

/* --- ends ---------------------------------------------------------------------------- */

static bool can_say_quit(const struct sp_cli *c)
{
    switch ((enum sp_cli_state)c->state) {
    case SP_CS_EHLO:
    case SP_CS_HELO:
    case SP_CS_STARTTLS:
    case SP_CS_AUTH:
    case SP_CS_READY:
    case SP_CS_UNDO:
    case SP_CS_RSET:
    case SP_CS_NOOP:
        return true;
    case SP_CS_GREETING: /* also the first moment of TLS: nobody was greeted */
        return c->in.lines > 0;
    case SP_CS_ENVELOPE: /* behind an unanswered DATA it would be part of a message */
        return !c->txn->data_sent;
    case SP_CS_HANDSHAKE:
    case SP_CS_TOKEN:
    case SP_CS_CANCEL:
    case SP_CS_BODY:
    case SP_CS_DOT:
    case SP_CS_QUIT:
    case SP_CS_CLOSED:
        break;
    }
    return false;
}

/* The last thing said, if anything; nobody waits for its reply. */
static void close_session(struct sp_cli *c, bool say_quit)
{
    if (say_quit && can_say_quit(c)) {
        if (sp_outq_put(&c->out, "QUIT\r\n", 6, false) == 0)
            sp_cs_trace(c, false, SP_LIT("QUIT"));
    } else if (c->state != SP_CS_QUIT) {
        sp_outq_drop(&c->out);
    }
    sp_buf_wipe(&c->held);
    sp_buf_wipe(&c->challenge);
    c->awaiting = false;
    sp_cs_enter(c, SP_CS_CLOSED);
    sp_cs_event(c, SP_CLI_CLOSE);
}

void sp_cs_fail(struct sp_cli *c, enum sp_class cls, enum sp_cli_stage stage,
                const struct sp_reply *r, unsigned flags, const char *fmt, ...)
{
    va_list ap;

    if (c->state == SP_CS_CLOSED)
        return;
    va_start(ap, fmt);
    words_v(c, fmt, ap);
    va_end(ap);
    if (r && r->code)
        add_reply(&c->words, r);
    clean(&c->words);
    c->fail_cls = (uint8_t)cls;
    c->fail_stage = (uint8_t)stage;
    c->fail_need_login = flags & SP_CF_NEED_LOGIN;
    c->fail_auth_rejected = (flags & SP_CF_AUTH_REJECTED) != 0;
    memset(&c->fail_reply, 0, sizeof c->fail_reply);
    if (r)
        c->fail_reply = *r;
    drop_events(c);
    if (c->txn && !c->txn->over)
        sp_cs_txn_lost(c, r);
    sp_cs_event(c, SP_CLI_FAILED);
    close_session(c, !(flags & SP_CF_NO_QUIT));
}

void sp_cs_nomem(struct sp_cli *c)
{
    sp_cs_fail(c, SP_CLASS_BUG, sp_cli_stage(c), NULL, SP_CF_NO_QUIT, "out of memory");
}

void sp_cs_reconnect(struct sp_cli *c, bool say_quit)
{
    drop_events(c);
    sp_cs_event(c, SP_CLI_RECONNECT);
    close_session(c, say_quit);
}

void sp_cs_quit(struct sp_cli *c)
{
    sp_cs_say(c, SP_CS_QUIT, "QUIT");
}

/* A server that wants a certificate from everybody got none. */
static void certificate_missing(struct sp_cli *c, const struct sp_reply *r,
                                struct sp_str reason)
{
    sp_cs_fail(
        c, SP_CLASS_PEER, SP_STAGE_HANDSHAKE, r, SP_CF_NO_QUIT | SP_CF_NEED_LOGIN,
        "the server takes nobody without a client certificate%s%.*s; %s",
        reason.n ? ": " : "", (int)(reason.n > 300 ? 300 : reason.n),
               reason.n ? reason.p : "",
        c->again ? "it refused ours: use one that it knows" : "give one that it knows");
}

/* TLS 1.3 shows a refused certificate only at the first read. */
static void certificate_refused(struct sp_cli *c, const struct sp_reply *r,
                                struct sp_str reason)
{
    const struct sp_cli_options *o = &c->o;

    if (o->have_certificate && o->cert_login == SP_CLI_CERT_AUTO &&
        (o->have_password || o->have_token || o->have_ticket)) {
        sp_cs_reconnect(c, false);
        return;
    }
    sp_cs_fail(
        c, SP_CLASS_PEER, SP_STAGE_HANDSHAKE, r, SP_CF_NO_QUIT | SP_CF_NEED_LOGIN,
        "the server refused our client certificate%s%.*s; use one that it knows, "
        "or none and a password",
        reason.n ? ": " : "", (int)(reason.n > 300 ? 300 : reason.n), reason.p);
}

/* --- greeting, EHLO, TLS ----------------------------------------------------------- */

const struct sp_caps *sp_cs_caps(const struct sp_cli *c)
{
    static const struct sp_caps none;

    if (!c->caps)
        return &none;
    assert(c->caps->epoch == c->epoch); /* an older list was freed with its epoch */
    return c->caps;
}

enum sp_place sp_cs_place(const struct sp_cli *c)
{
    if (c->epoch)
        return c->tls_verified ? SP_PLACE_VERIFIED : SP_PLACE_UNVERIFIED;
    if (c->o.tls != SP_CLI_TLS_NONE)
        return SP_PLACE_STRIPPED;
    return c->o.allow_clear_secret ? SP_PLACE_CLEAR_OPEN : SP_PLACE_CLEAR;
}

static bool wants_login(const struct sp_cli *c)
{
    return c->o.have_password || c->o.have_token || c->o.have_ticket ||
           c->o.have_certificate || c->o.login_required;
}

static void ehlo(struct sp_cli *c)
{
    assert(!c->caps);
    c->caps = sp_caps_new(c->epoch);
    if (!c->caps) {
        sp_cs_nomem(c);
        return;
    }
    sp_cs_say(c, SP_CS_EHLO, "%s %s", c->o.lmtp ? "LHLO" : "EHLO", c->o.helo);
}

static void tls_outcome(struct sp_cli *c, enum sp_tls_outcome what,
                        const struct sp_reply *r, struct sp_str reason)
{
    static const struct {
        enum sp_cli_stage stage;
        const char *words;
    } say[] = {
        [SP_TLS_NOT_OFFERED] =
            {SP_STAGE_EHLO, "the server offers no TLS, and nothing is "
                            "sent in clear; is this the right port (465 speaks TLS "
                            "at once), or does something on the way hide STARTTLS?"},
        [SP_TLS_REFUSED_TEMP] = {SP_STAGE_STARTTLS,
                                 "the server cannot start TLS at the "
                                 "moment, and nothing is sent in clear; try later"},
        [SP_TLS_REFUSED] =
            {SP_STAGE_STARTTLS,
             "the server refused STARTTLS, and nothing is sent in clear"},
        [SP_TLS_FAILED] = {SP_STAGE_HANDSHAKE, "the TLS handshake failed"},
        [SP_TLS_UNVERIFIED] = {SP_STAGE_HANDSHAKE,
                               "the server's certificate could not be verified"},
    };
    enum sp_tls_action a = sp_cli_tls_rule(c->o.tls, what);

    if (a == SP_TLS_GO_ON) {
        sp_cs_login(c, SP_LE_BEGIN, NULL);
        return;
    }
    sp_cs_fail(c, a == SP_TLS_STOP_TEMP ? SP_CLASS_TEMPORARY : SP_CLASS_INSECURE,
               say[what].stage, r, what == SP_TLS_FAILED ? SP_CF_NO_QUIT : 0,
               "%s%s%.*s", say[what].words, reason.n ? ": " : "",
               (int)(reason.n > 400 ? 400 : reason.n), reason.n ? reason.p : "");
}

static void greeted(struct sp_cli *c, const struct sp_reply *r)
{
    if (r->code != 220) {
        sp_cs_fail(c, sp_cli_class(r->code), SP_STAGE_GREETING, r, 0,
                   "the server does not want to talk to us");
        return;
    }
    if (c->o.quit_after && c->o.quit_after <= SP_STAGE_GREETING)
        sp_cs_quit(c);
    else
        ehlo(c);
}

/* A capability list stands: of clear text, or of the TLS state that will carry mail. */
static void listed(struct sp_cli *c)
{
    bool want = c->o.tls != SP_CLI_TLS_NONE && c->epoch == 0;

    if (c->o.quit_after == (c->epoch ? SP_STAGE_EHLO_TLS : SP_STAGE_EHLO))
        sp_cs_quit(c);
    else if (want && sp_cs_caps(c)->ext & SP_EXT_STARTTLS)
        sp_cs_say(c, SP_CS_STARTTLS, "STARTTLS");
    else if (want)
        tls_outcome(c, SP_TLS_NOT_OFFERED, NULL, (struct sp_str){NULL, 0});
    else
        sp_cs_login(c, SP_LE_BEGIN, NULL);
}

static void ehlo_refused(struct sp_cli *c, const struct sp_reply *r)
{
    bool unknown = r->code == 500 || r->code == 502;
    bool helo_fits =
        (c->o.tls == SP_CLI_TLS_NONE || c->o.tls == SP_CLI_TLS_OPPORTUNISTIC) &&
        c->epoch == 0 && !wants_login(c) && !c->o.lmtp;

    sp_caps_free(c->caps);
    c->caps = NULL;
    if (unknown && helo_fits) {
        c->caps = sp_caps_new(c->epoch); /* empty: HELO offers nothing */
        if (c->caps)
            sp_cs_say(c, SP_CS_HELO, "HELO %s", c->o.helo);
        else
            sp_cs_nomem(c);
        return;
    }
    if (c->epoch)
        sp_cs_fail(c, sp_cli_class(r->code), SP_STAGE_EHLO_TLS, r, 0,
                   "%s refused inside TLS, and HELO is never said there",
                   c->o.lmtp ? "LHLO" : "EHLO");
    else if (unknown && c->o.tls == SP_CLI_TLS_REQUIRED)
        sp_cs_fail(c, SP_CLASS_INSECURE, SP_STAGE_EHLO, r, 0,
                   "the server does not know EHLO, so TLS cannot be asked for, and "
                   "nothing is sent in clear");
    else
        sp_cs_fail(c, sp_cli_class(r->code), SP_STAGE_EHLO, r, 0,
                   "the server refused our %s", c->o.lmtp ? "LHLO" : "EHLO");
}

static void starttls_reply(struct sp_cli *c, const struct sp_reply *r)
{
    static const struct sp_str nothing;

    if (r->code != 220) {
        tls_outcome(c, r->code / 100 == 4 ? SP_TLS_REFUSED_TEMP : SP_TLS_REFUSED, r,
                    nothing);
        return;
    }
    /* RFC 3207 4.2: everything the server said is forgotten, here and now. */
    sp_caps_free(c->caps);
    c->caps = NULL;
    sp_reply_reset(&c->in);
    sp_cs_enter(c, SP_CS_HANDSHAKE);
    sp_cs_event(c, SP_CLI_HANDSHAKE);
}

int sp_cli_tls_done(struct sp_cli *c, const struct sp_cli_tls_facts *f)
{
    if (c->state != SP_CS_HANDSHAKE)
        return -SP_ESTATE;
    drop_events(c);
    c->epoch = 1;
    c->tls_verified = f->verified || c->o.allow_unverified;
    c->tls_heard = false;
    c->cert_asked = f->cert_requested;
    c->cert_sent = f->cert_sent && c->o.have_certificate;
    c->binding = f->channel_binding;
    /* Where QUIT is due it is said inside TLS; before a greeting nothing is. */
    sp_cs_enter(c, c->o.tls == SP_CLI_TLS_IMPLICIT ? SP_CS_GREETING : SP_CS_STARTTLS);
    c->awaiting = c->o.tls == SP_CLI_TLS_IMPLICIT;
    c->await_end = 0;
    if (!c->tls_verified &&
        sp_cli_tls_rule(c->o.tls, SP_TLS_UNVERIFIED) != SP_TLS_GO_ON) {
        tls_outcome(c, SP_TLS_UNVERIFIED, NULL, f->reason);
        return 0;
    }
    if (c->o.tls == SP_CLI_TLS_IMPLICIT)
        return 0;
    if (c->o.quit_after == SP_STAGE_STARTTLS || c->o.quit_after == SP_STAGE_HANDSHAKE)
        sp_cs_quit(c);
    else
        ehlo(c);
    return 0;
}

int sp_cli_tls_failed(struct sp_cli *c, const struct sp_cli_tls_facts *f)
{
    if (c->state != SP_CS_HANDSHAKE)
        return -SP_ESTATE;
    drop_events(c);
    if (f->cert_sent && f->ended_by_peer && c->o.have_certificate)
        certificate_refused(c, NULL, f->reason);
    else if (f->cert_requested && !f->cert_sent && f->ended_by_peer)
        certificate_missing(c, NULL, f->reason);
    else
        tls_outcome(c, SP_TLS_FAILED, NULL, f->reason);
    return 0;
}

/* --- input --------------------------------------------------------------------------- */

static void server_leaves(struct sp_cli *c, const struct sp_reply *r)
{
    bool early = c->state == SP_CS_GREETING || c->state == SP_CS_EHLO;
    bool policy = c->epoch && early && r->enh[1] == 7;

    /* Some shake hands with anybody and say only then what is wrong. */
    if (policy && c->cert_sent)
        certificate_refused(c, r, (struct sp_str){NULL, 0});
    else if (policy && c->cert_asked)
        certificate_missing(c, r, (struct sp_str){NULL, 0});
    else
        sp_cs_fail(c, SP_CLASS_TEMPORARY, sp_cli_stage(c), r, SP_CF_NO_QUIT,
                   "the server closes the connection; try later");
}

static void unasked(struct sp_cli *c, const struct sp_reply *r)
{
    if (c->state == SP_CS_BODY && r->code >= 400)
        sp_cs_fail(c, sp_cli_class(r->code), SP_STAGE_DATA, r, SP_CF_NO_QUIT,
                   "the server refused the message before all of it was sent");
    else
        sp_cs_fail(
            c, SP_CLASS_PEER, sp_cli_stage(c), r, SP_CF_NO_QUIT,
            "the server sent a reply to nothing that we said, so no reply of its "
            "can be trusted (is something injecting replies?)");
}

/* The reason waits in `challenge` while the server answers our "*". */
static void cancelled(struct sp_cli *c)
{
    sp_cs_fail(c, (enum sp_class)c->fail_cls, SP_STAGE_AUTH, NULL, SP_CF_NO_QUIT,
               "%.*s", (int)c->challenge.n, c->challenge.p);
}

static void dispatch(struct sp_cli *c)
{
    struct sp_reply r;

    sp_reply_get(&c->in, &r);
    if (c->state == SP_CS_QUIT) {
        close_session(c, false);
        return;
    }
    if (c->state == SP_CS_CANCEL) { /* anything may come: INTEROP 6.1 item 12 */
        cancelled(c);
        return;
    }
    if (r.code == 421) {
        server_leaves(c, &r);
        return;
    }
    if (!c->awaiting || c->out.acked < c->await_end) {
        unasked(c, &r);
        return;
    }
    c->awaiting = false;
    switch ((enum sp_cli_state)c->state) {
    case SP_CS_GREETING:
        greeted(c, &r);
        return;
    case SP_CS_EHLO:
        if (r.code / 100 == 2)
            listed(c);
        else
            ehlo_refused(c, &r);
        return;
    case SP_CS_HELO:
        if (r.code / 100 == 2)
            sp_cs_login(c, SP_LE_BEGIN, NULL);
        else
            sp_cs_fail(c, sp_cli_class(r.code), SP_STAGE_EHLO, &r, 0,
                       "the server refused EHLO and HELO");
        return;
    case SP_CS_STARTTLS:
        starttls_reply(c, &r);
        return;
    case SP_CS_AUTH:
        sp_cs_auth_reply(c, &r);
        return;
    case SP_CS_UNDO:
        sp_cs_auth_undone(c);
        return;
    case SP_CS_ENVELOPE:
    case SP_CS_BODY:
    case SP_CS_DOT:
        sp_cs_txn_reply(c, &r);
        return;
    case SP_CS_RSET:
        c->rset_needed = r.code / 100 != 2;
        /* fall through */
    case SP_CS_NOOP:
        sp_cs_enter(c, SP_CS_READY);
        sp_cs_event(c, SP_CLI_READY);
        return;
    case SP_CS_HANDSHAKE:
    case SP_CS_TOKEN:
    case SP_CS_CANCEL:
    case SP_CS_READY:
    case SP_CS_QUIT:
    case SP_CS_CLOSED:
        break;
    }
    assert(!"a reply in a state that awaits none");
}

static void trace_in(struct sp_cli *c)
{
    struct sp_str line;

    if (!c->trace)
        return;
    line = sp_reply_line(&c->in);
    /* With the server's part of a challenge exchange a password can be guessed at
     * leisure; prompts and errors of one-step mechanisms are harmless and useful. */
    if (c->state == SP_CS_AUTH && c->in.code == 334 &&
        !sp_mech_shows_secret((enum sp_mech)c->mech) && c->mech != SP_MECH_EXTERNAL)
        line = SP_LIT("334 [hidden]");
    sp_cs_trace(c, true, line);
}

static void take(struct sp_cli *c, enum sp_reply_status st)
{
    struct sp_str line;

    switch (st) {
    case SP_REPLY_MORE:
        return;
    case SP_REPLY_LINE:
    case SP_REPLY_DONE:
        if (c->state == SP_CS_EHLO && c->awaiting && c->in.code / 100 == 2 &&
            sp_caps_line(c->caps, sp_reply_line_text(&c->in)) < 0) {
            sp_cs_nomem(c);
            return;
        }
        trace_in(c);
        if (st == SP_REPLY_DONE)
            dispatch(c);
        return;
    case SP_REPLY_GARBAGE:
        trace_in(c);
        line = sp_reply_line(&c->in);
        sp_cs_fail(
            c, SP_CLASS_PEER, sp_cli_stage(c), NULL, SP_CF_NO_QUIT,
            "what the server sent is not SMTP: \"%.*s\"; is this the right port?",
            (int)(line.n > 120 ? 120 : line.n), line.p);
        return;
    case SP_REPLY_ENDLESS:
        sp_cs_fail(c, SP_CLASS_PEER, sp_cli_stage(c), NULL, SP_CF_NO_QUIT,
                   "the server's reply does not end");
        return;
    case SP_REPLY_NOMEM:
        sp_cs_nomem(c);
        return;
    }
}

size_t sp_cli_feed(struct sp_cli *c, const char *data, size_t len)
{
    size_t used = 0, n;
    enum sp_reply_status st;

    while (used < len) {
        if (c->state == SP_CS_CLOSED)
            return len;
        if (c->state == SP_CS_HANDSHAKE) {
            /* Response injection, CVE-2021-38371 and its kin: an attacker in the clear
             * part appends replies to the 220 and hopes that they are read as replies
             * from inside TLS. */
            sp_cs_fail(
                c, SP_CLASS_INSECURE, SP_STAGE_STARTTLS, NULL, SP_CF_NO_QUIT,
                "unexpected data %s: somebody may be tampering with the connection",
                c->o.tls == SP_CLI_TLS_IMPLICIT ? "before TLS"
                                                : "after the STARTTLS reply");
            return len;
        }
        if (c->queued || c->state == SP_CS_TOKEN)
            return used;
        st = sp_reply_feed(&c->in, data + used, len - used, &n);
        used += n;
        c->tls_heard = true;
        take(c, st);
    }
    return used;
}

void sp_cli_gone(struct sp_cli *c, struct sp_str reason)
{
    static const struct sp_cli_tls_facts nothing;
    struct sp_cli_tls_facts f = nothing;

    if (c->state == SP_CS_CLOSED)
        return;
    f.reason = reason;
    if (c->state == SP_CS_QUIT) {
        sp_outq_drop(&c->out);
        close_session(c, false);
    } else if (c->state == SP_CS_HANDSHAKE) {
        sp_cli_tls_failed(c, &f);
    } else if (c->epoch && !c->tls_heard && c->cert_sent) {
        certificate_refused(c, NULL, reason);
    } else if (c->state == SP_CS_CANCEL) {
        cancelled(c);
    } else {
        sp_cs_fail(
            c, SP_CLASS_TEMPORARY, sp_cli_stage(c), NULL, SP_CF_NO_QUIT, "%s%s%.*s",
            sp_cs_txn_unknown(c)
                ? "the connection was lost after the message was sent: it may "
                  "have been accepted"
                : "the server closed the connection",
            reason.n ? ": " : "", (int)(reason.n > 300 ? 300 : reason.n), reason.p);
    }
}

void sp_cli_alerted(struct sp_cli *c, struct sp_str reason)
{
    if (c->state != SP_CS_CLOSED && c->state != SP_CS_HANDSHAKE && c->epoch &&
        !c->tls_heard && c->cert_asked && !c->cert_sent)
        certificate_missing(c, NULL, reason);
    else
        sp_cli_gone(c, reason);
}

void sp_cli_expired(struct sp_cli *c)
{
    const char *hint = "";

    if (c->state == SP_CS_CLOSED)
        return;
    if (c->state == SP_CS_QUIT) {
        sp_outq_drop(&c->out);
        close_session(c, false);
        return;
    }
    if (c->state == SP_CS_CANCEL) {
        cancelled(c);
        return;
    }
    if (c->state == SP_CS_GREETING && !c->epoch && !sp_reply_partial(&c->in))
        hint = "; a server that speaks TLS at once (port 465) waits for us to begin";
    if (sp_cs_txn_unknown(c))
        hint = "; the message was sent, it may have been accepted";
    sp_cs_fail(c, SP_CLASS_TEMPORARY, sp_cli_stage(c), NULL, SP_CF_NO_QUIT,
               "the server did not answer in time%s", hint);
}

/* --- the owner's side ---------------------------------------------------------------- */

bool sp_cli_next(struct sp_cli *c, struct sp_cli_event *ret_event)
{
    struct sp_cli_event *ev = ret_event;

    if (!c->queued && sp_cs_body_wanted(c))
        sp_cs_event(c, SP_CLI_BODY);
    if (!c->queued)
        return false;
    memset(ev, 0, sizeof *ev);
    ev->type = (enum sp_cli_event_type)c->queue[0];
    memmove(c->queue, c->queue + 1, --c->queued);
    switch (ev->type) {
    case SP_CLI_AUTH:
        sp_cs_auth_event(c, ev);
        break;
    case SP_CLI_READY:
        sp_cs_ready_event(c, ev);
        break;
    case SP_CLI_SENT:
        sp_cs_sent_event(c, ev);
        break;
    case SP_CLI_FAILED:
        ev->u.failed.cls = (enum sp_class)c->fail_cls;
        ev->u.failed.stage = (enum sp_cli_stage)c->fail_stage;
        ev->u.failed.reply = c->fail_reply;
        ev->u.failed.words = sp_buf_view(&c->words);
        ev->u.failed.need_login = c->fail_need_login;
        ev->u.failed.auth_rejected = c->fail_auth_rejected;
        break;
    case SP_CLI_HANDSHAKE:
    case SP_CLI_BODY:
    case SP_CLI_RECONNECT:
    case SP_CLI_CLOSE:
        break;
    }
    return true;
}

const char *sp_cli_out(const struct sp_cli *c, size_t *ret_len)
{
    *ret_len = sp_outq_len(&c->out);
    return c->out.p ? c->out.p + c->out.head : "";
}

void sp_cli_out_ack(struct sp_cli *c, size_t len)
{
    sp_outq_ack(&c->out, len);
    if (c->state == SP_CS_ENVELOPE)
        sp_cs_txn_pump(c);
}

static int idle_command(struct sp_cli *c, enum sp_cli_state state, const char *line)
{
    if (c->state != SP_CS_READY)
        return -SP_ESTATE;
    drop_events(c);
    sp_cs_txn_free(c);
    sp_cs_say(c, state, "%s", line);
    return 0;
}

int sp_cli_rset(struct sp_cli *c)
{
    return idle_command(c, SP_CS_RSET, "RSET");
}

int sp_cli_noop(struct sp_cli *c)
{
    return idle_command(c, SP_CS_NOOP, "NOOP");
}

int sp_cli_quit(struct sp_cli *c)
{
    return idle_command(c, SP_CS_QUIT, "QUIT");
}

enum sp_wait sp_cli_wait(const struct sp_cli *c)
{
    if (c->queued || c->state == SP_CS_CLOSED)
        return SP_WAIT_NONE;
    switch ((enum sp_cli_state)c->state) {
    case SP_CS_GREETING:
        return SP_WAIT_GREETING;
    case SP_CS_HANDSHAKE:
        return SP_WAIT_HANDSHAKE;
    case SP_CS_TOKEN:
    case SP_CS_READY:
        return SP_WAIT_CALLER;
    case SP_CS_ENVELOPE:
        return c->txn->data_sent && c->txn->rcpt_got == c->txn->n ? SP_WAIT_DATA_INIT
                                                                  : SP_WAIT_REPLY;
    case SP_CS_BODY:
        return sp_outq_len(&c->out) || c->awaiting ? SP_WAIT_DATA : SP_WAIT_CALLER;
    case SP_CS_DOT:
        return sp_outq_len(&c->out) ? SP_WAIT_DATA : SP_WAIT_DATA_DONE;
    case SP_CS_QUIT:
        return SP_WAIT_QUIT;
    case SP_CS_EHLO:
    case SP_CS_HELO:
    case SP_CS_STARTTLS:
    case SP_CS_AUTH:
    case SP_CS_CANCEL:
    case SP_CS_UNDO:
    case SP_CS_RSET:
    case SP_CS_NOOP:
    case SP_CS_CLOSED:
        break;
    }
    return SP_WAIT_REPLY;
}

uint32_t sp_cli_extensions(const struct sp_cli *c)
{
    return sp_cs_caps(c)->ext;
}

uint32_t sp_cli_mechs(const struct sp_cli *c)
{
    return sp_cs_caps(c)->mechs;
}

uint64_t sp_cli_size_max(const struct sp_cli *c)
{
    return sp_cs_caps(c)->size_max;
}

unsigned sp_cli_rcpt_max(const struct sp_cli *c)
{
    return sp_cs_caps(c)->rcpt_max;
}

unsigned sp_cli_mail_max(const struct sp_cli *c)
{
    return sp_cs_caps(c)->mail_max;
}

const char *sp_cli_mail_code(const struct sp_cli *c, const struct sp_mail *m,
                             uint64_t size)
{
    uint64_t max = sp_cs_caps(c)->size_max;

    return max && size > max ? "5.3.4" : sp_cli_lacking(m, sp_cs_caps(c)->ext);
}

struct sp_str sp_cli_ehlo_text(const struct sp_cli *c)
{
    return sp_buf_view(&sp_cs_caps(c)->text);
}

enum sp_cli_stage sp_cli_stage(const struct sp_cli *c)
{
    switch ((enum sp_cli_state)c->state) {
    case SP_CS_GREETING:
        return SP_STAGE_GREETING;
    case SP_CS_EHLO:
    case SP_CS_HELO:
        return c->epoch ? SP_STAGE_EHLO_TLS : SP_STAGE_EHLO;
    case SP_CS_STARTTLS:
        return SP_STAGE_STARTTLS;
    case SP_CS_HANDSHAKE:
        return SP_STAGE_HANDSHAKE;
    case SP_CS_AUTH:
    case SP_CS_TOKEN:
    case SP_CS_CANCEL:
        return SP_STAGE_AUTH;
    case SP_CS_ENVELOPE:
        if (!c->txn->rset_got)
            return SP_STAGE_RSET;
        if (!c->txn->mail_got)
            return SP_STAGE_MAIL;
        return c->txn->rcpt_got < c->txn->n ? SP_STAGE_RCPT : SP_STAGE_DATA;
    case SP_CS_BODY:
        return SP_STAGE_DATA;
    case SP_CS_DOT:
        return SP_STAGE_DOT;
    case SP_CS_UNDO:
    case SP_CS_RSET:
        return SP_STAGE_RSET;
    case SP_CS_READY:
    case SP_CS_NOOP:
        return SP_STAGE_MAIL; /* what comes next */
    case SP_CS_QUIT:
    case SP_CS_CLOSED:
        break;
    }
    return SP_STAGE_QUIT;
}

const char *sp_cli_stage_name(enum sp_cli_stage stage)
{
    static const char *const names[] = {
        [SP_STAGE_CONNECT] = "connect",     [SP_STAGE_GREETING] = "greeting",
        [SP_STAGE_EHLO] = "EHLO",           [SP_STAGE_STARTTLS] = "STARTTLS",
        [SP_STAGE_HANDSHAKE] = "handshake", [SP_STAGE_EHLO_TLS] = "EHLO inside TLS",
        [SP_STAGE_AUTH] = "AUTH",           [SP_STAGE_MAIL] = "MAIL",
        [SP_STAGE_RCPT] = "RCPT",           [SP_STAGE_DATA] = "DATA",
        [SP_STAGE_DOT] = "end of message",  [SP_STAGE_RSET] = "RSET",
        [SP_STAGE_QUIT] = "QUIT",
    };

    if ((unsigned)stage >= sizeof names / sizeof names[0] || !names[stage])
        return "?";
    return names[stage];
}
