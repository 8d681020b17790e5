/*
 * f_client.c - whole sessions with the client engine: a server that says anything, any
 * outcome of TLS, any decision of the user, out of one input.
 *
 * The first octet chooses what the client holds and wants (the table below).  Then one
 * thing a line:
 *
 *     S text   the server says text CR LF      s text  the same without CR LF
 *     l text   ... with a bare LF
 *     .        everything said so far arrives now, as one piece
 *     T ...    outcomes of the next handshakes: v verified, u not, f failed; in capitals
 *              with our certificate sent
 *     A ...    answers to AUTH: a a token, l a long one, c cancelled
 *     U ...    what the user does: m a message, q QUIT, r RSET, n NOOP; for the content
 *              b a short one, L a long one, x cut off
 *     g e      the server is gone; the time is over
 *     k        go on with a clone
 *
 * Played whole, octet by octet and in odd pieces: what the client says and reports must be
 * the same.  cli_world.h, which the explorer plays too, holds what must be true besides.
 * Where more commands are in flight than that world can count, nothing is judged.
 */
#include "fz.h"

#include "cli_world.h"
#include "reply.h"
#include "text.h"

enum { QUEUE = 64, SAID_MAX = 1 << 20, BURST_MAX = 1 << 16, STEPS = 200 };

#define PASSWORD .have_password = true, .authcid = "alice"
#define CERT     .have_certificate = true, .cert_address = "a@a"
static const struct sp_cli_options options[] = {
    {.helo = "c"},
    {.helo = "c", PASSWORD},
    {.helo = "c", CERT},
    {.helo = "c", PASSWORD, CERT},
    {.helo = "c", PASSWORD, CERT, .cert_login = SP_CLI_CERT_IMPLICIT},
    {.helo = "c", PASSWORD, CERT, .cert_login = SP_CLI_CERT_EXPLICIT},
    {.helo = "c", PASSWORD, CERT, .tls = SP_CLI_TLS_IMPLICIT, .prefer_bdat = true},
    {.helo = "c", .tls = SP_CLI_TLS_OPPORTUNISTIC},
    {.helo = "c", PASSWORD, CERT, .tls = SP_CLI_TLS_OPPORTUNISTIC},
    {.helo = "c", PASSWORD, .tls = SP_CLI_TLS_NONE},
    {.helo = "c", .tls = SP_CLI_TLS_NONE, .prefer_bdat = true},
    {.helo = "c", .tls = SP_CLI_TLS_NONE, .lmtp = true},
    {.helo = "c", .tls = SP_CLI_TLS_NONE, .lmtp = true, .prefer_bdat = true},
    {.helo = "c", PASSWORD, .tls = SP_CLI_TLS_NONE, .allow_clear_secret = true},
    {.helo = "c",
     PASSWORD,
     .line_max = 64,
     .reply_lines_max = 4,
     .login_required = true},
    {.helo = "c", PASSWORD, .no_pipelining = true, .allow_unverified = true},
};
enum { KINDS = sizeof options / sizeof *options };

struct play {
    struct sp_cli *c;
    const struct sp_cli_options *o;
    struct world w;
    unsigned way;
    struct sp_str tls, auth, user;
    char room[3][QUEUE];
    char burst[BURST_MAX];
    size_t nburst;
    struct sp_buf out, log;
    struct sp_reply_reader truth; /* what the server truly said, reply by reply */
    struct sp_buf lines; /* the one that is being said, for the list behind EHLO */
    bool handshake;      /* waits for its outcome */
    enum sp_cli_event_type wants; /* READY or BODY, not yet acted on; else CLOSE */
    char ready[32];
    bool blind; /* more than the world can follow: nothing is judged */
    unsigned steps;
};

static int pop(struct sp_str *queue, int otherwise)
{
    int c = queue->n ? (unsigned char)*queue->p : otherwise;

    queue->p += queue->n > 0;
    queue->n -= queue->n > 0;
    return c;
}

/* ---- The truth about the server ----------------------------------------------------------- */

static bool word_in(struct sp_str line, const char *word)
{
    while (line.n) {
        struct sp_str w = sp_str_cut(&line, ' ');

        if (sp_str_caseis(sp_str_trim(w), word)) /* of tabs */
            return true;
    }
    return false;
}

/* Everything that could be read out of a list, in the most generous way. */
static void list_line(struct cli_world_list *l, struct sp_str line)
{
    struct sp_str rest = sp_str_trim(line), key = sp_str_cut(&rest, ' ');
    char text[64];

    l->starttls |= word_in(line, "STARTTLS");
    l->pipelining |= word_in(line, "PIPELINING");
    l->chunking |= word_in(line, "CHUNKING");
    l->size |= sp_str_caseis(sp_str_trim(key), "SIZE");
    for (size_t i = 0; i < line.n; i++) /* tabs, "AUTH=X": every word of the line */
        for (int m = 0; m < SP_MECHS; m++) {
            snprintf(text, sizeof text, "%s", sp_mech_name((enum sp_mech)m));
            if (line.n - i >= strlen(text) &&
                sp_str_caseis((struct sp_str){line.p + i, strlen(text)}, text))
                l->mechs |= SP_MECH_BIT(m);
        }
}

static void whole_reply(struct play *y)
{
    struct sp_reply r;
    struct sp_str text;
    char code[16], what;

    sp_reply_get(&y->truth, &r);
    if (y->w.npending == 0) {
        y->w.gone = true; /* to nothing that was said: the engine may end here */
        y->lines.n = 0;
        return;
    }
    what = y->w.pending[0];
    if (what == 'E' && r.code / 100 == 2) {
        memset(&y->w.list, 0, sizeof y->w.list);
        text = sp_buf_view(&y->lines);
        (void)sp_str_cut(&text, '\n'); /* the greeting says nothing */
        while (text.n)
            list_line(&y->w.list, sp_str_cut(&text, '\n'));
        y->w.has_list = true;
    }
    y->lines.n = 0;
    snprintf(code, sizeof code, "%03d", r.code);
    cli_world_note(&y->w, what, code);
}

static void note(struct play *y, const char *p, size_t n)
{
    while (n) {
        size_t used = 0;
        enum sp_reply_status st = sp_reply_feed(&y->truth, p, n, &used);

        p += used;
        n -= used;
        if (st > SP_REPLY_DONE) {
            y->w.gone = true;
            return;
        }
        if (st == SP_REPLY_MORE)
            return;
        (void)sp_buf_str(&y->lines, sp_reply_line_text(&y->truth));
        (void)sp_buf_puts(&y->lines, "\n");
        if (st == SP_REPLY_DONE)
            whole_reply(y);
    }
}

/* ---- The user and TLS ------------------------------------------------------------------------ */

static void tls(struct play *y)
{
    int c = pop(&y->tls, 'v');
    struct sp_cli_tls_facts f = {.reason = SP_LIT("why")};

    y->handshake = false;
    y->w.event = 0;
    (void)sp_buf_puts(&y->log, "handshake\n");
    f.cert_sent = c >= 'A' && c <= 'Z' && y->o->have_certificate;
    c = sp_lower(c);
    if (c == 'f' || c == 'p') {
        y->w.failed_tls = true;
        f.ended_by_peer = c == 'p';
        FZ_MUST(sp_cli_tls_failed(y->c, &f) == 0, "a handshake may fail");
        return;
    }
    f.verified = y->w.verified = c != 'u';
    f.channel_binding = c == 'b';
    y->w.in_tls = true;
    y->w.cert_sent = f.cert_sent;
    memset(&y->w.list, 0, sizeof y->w.list);
    y->w.has_list = false;
    if (y->o->tls == SP_CLI_TLS_IMPLICIT)
        cli_world_push(&y->w, 'G');
    FZ_MUST(sp_cli_tls_done(y->c, &f) == 0, "a handshake may be done");
}

static void auth(struct play *y)
{
    static char long_token[3000];
    int c = pop(&y->auth, 'a');

    memset(long_token, 'x', sizeof long_token);
    if (c == 'c') {
        FZ_MUST(sp_cli_auth_cancel(y->c, SP_LIT("no")) == 0, "AUTH may be cancelled");
        return;
    }
    if (sp_cli_auth_token(y->c, c == 'l'
                                    ? (struct sp_str){long_token, sizeof long_token}
                                : c == 'e' ? (struct sp_str){NULL, 0}
                                           : SP_LIT("secret")) < 0)
        FZ_MUST(sp_cli_auth_cancel(y->c, SP_LIT("no")) == 0, "AUTH may be cancelled");
}

static void ready(struct play *y)
{
    static const struct sp_rcpt rcpt[CLI_WORLD_RCPTS] = {{{"b@b", 3}, 0, {0}},
                                                         {{"c@c", 3}, 0, {0}}};
    struct sp_mail m = {.path = {"a@a", 3}};
    int c = pop(&y->user, y->w.messages ? 'q' : 'm');

    if (c == 'm' || c == '8') {
        if (c == '8')
            m.body = SP_BODY_8BITMIME;
        if (y->w.messages < 5) {
            cli_world_new_message(&y->w);
            if (sp_cli_mail(y->c, &m, rcpt, CLI_WORLD_RCPTS, 8, NULL) == 0)
                return;
            y->w.open_txn = false;
        }
    } else if (c == 'r' || c == 'n') {
        /* replies to these are the user's own business: counted, not judged */
        if ((c == 'r' ? sp_cli_rset(y->c) : sp_cli_noop(y->c)) == 0) {
            y->blind = true;
            return;
        }
    }
    FZ_MUST(sp_cli_quit(y->c) == 0, "READY lets one quit");
}

static void body(struct play *y)
{
    static char lines[7 * 10000];
    int c = pop(&y->user, 'b');

    if (c == 'x') {
        (void)sp_cli_body_abort(y->c);
        y->w.gone = true;
    } else if (c == 'L') {
        for (size_t i = 0; i < sizeof lines; i += 7)
            memcpy(lines + i, "hello\r\n", 7);
        /* what does not fit is left for the next BODY, which sends the short one */
        if (sp_cli_body(y->c, lines, 7 * 100) != 7 * 100)
            y->blind = true;
        else
            (void)sp_cli_body_end(y->c);
    } else if (sp_cli_body(y->c, "hello\r\n.x", 9) == 9) {
        (void)sp_cli_body_end(y->c);
    }
}

static void tell(struct play *y, const struct sp_cli_event *e)
{
    (void)sp_buf_printf(&y->log, "%d ", e->type);
    if (e->type == SP_CLI_FAILED)
        (void)sp_buf_printf(&y->log, "%d %d %d %.*s", e->u.failed.cls,
                            e->u.failed.stage, e->u.failed.reply.code,
                            (int)e->u.failed.words.n, e->u.failed.words.p);
    for (size_t i = 0; e->type == SP_CLI_SENT && i < e->u.sent.n; i++)
        (void)sp_buf_printf(&y->log, "%d%d %d ", e->u.sent.rcpt[i].accepted,
                            e->u.sent.unknown, e->u.sent.rcpt[i].reply.code);
    (void)sp_buf_puts(&y->log, "\n");
}

static void judge(struct play *y)
{
    if (cli_world_broken && !y->blind) {
        fprintf(stderr, "%s\n%.*s%.*s", cli_world_broken, (int)y->out.n, y->out.p,
                (int)y->log.n, y->log.p);
        FZ_MUST(false, "what cli_world.c says of every session");
    }
}

/* Events are taken as they come.  READY and BODY are acted on when everything that has
 * arrived was read: what came with them may forestall them. */
static void events(struct play *y)
{
    struct sp_cli_event e;

    while (sp_cli_next(y->c, &e)) {
        cli_world_reported(&y->w, &e);
        judge(y);
        switch (e.type) {
        case SP_CLI_HANDSHAKE:
            y->handshake = true;
            return;
        case SP_CLI_AUTH:
            (void)sp_buf_printf(&y->log, "auth %d\n", e.u.auth.mech);
            auth(y);
            y->w.event = 0;
            break;
        case SP_CLI_READY:
            snprintf(y->ready, sizeof y->ready, "%d %d", e.u.ready.login,
                     e.u.ready.mech);
            y->wants = SP_CLI_READY;
            break;
        case SP_CLI_BODY:
            y->wants = SP_CLI_BODY;
            break;
        default:
            y->wants = SP_CLI_CLOSE;
            tell(y, &e);
        }
    }
}

static bool act(struct play *y)
{
    enum sp_cli_event_type wants = y->wants;

    y->wants = SP_CLI_CLOSE;
    if (wants != SP_CLI_READY && wants != SP_CLI_BODY)
        return false;
    y->w.event = 0;
    (void)sp_buf_printf(&y->log, "%s\n", wants == SP_CLI_READY ? y->ready : "body");
    if (wants == SP_CLI_READY)
        ready(y);
    else
        body(y);
    events(y);
    return true;
}

/* Everything the engine wants to send leaves. */
static void leave(struct play *y)
{
    size_t n = 1;
    bool acted = true;

    for (unsigned i = 0; (n || acted) && i < 100 && !y->handshake; i++) {
        const char *p;

        acted = act(y);
        p = sp_cli_out(y->c, &n);
        if (n && !y->blind)
            cli_world_hear(&y->w, (struct sp_str){p, n});
        if (cli_world_broken && strstr(cli_world_broken, "for this grammar"))
            y->blind = true;
        FZ_MUST(sp_buf_put(&y->out, p, n) == 0, "what is said is bounded");
        judge(y);
        sp_cli_out_ack(y->c, n);
        events(y);
    }
}

/* One burst: all of it is read before anything of ours leaves (client.h: a reply to a
 * command that has not left is an injected one). */
static void arrive(struct play *y)
{
    size_t at = 0;

    while (at < y->nburst && !y->w.closed) {
        size_t n = fz_piece(&y->way, y->nburst - at), used;

        if (y->handshake) { /* octets behind the 220: shown, and never believed */
            y->w.injected = true;
            (void)sp_cli_feed(y->c, y->burst + at, y->nburst - at);
            events(y);
            break;
        }
        used = sp_cli_feed(y->c, y->burst + at, n);
        FZ_MUST(used <= n, "no more is taken than was given");
        note(y, y->burst + at, used);
        at += used;
        events(y);
        if (used == 0)
            break;
    }
    y->nburst = 0;
    leave(y);
    if (y->handshake && !y->w.closed)
        tls(y);
    events(y);
    leave(y);
}

/* ---- The script ---------------------------------------------------------------------------------- */

static void said(struct play *y, struct sp_str text, const char *end)
{
    size_t n = strlen(end);

    if (y->nburst + text.n + n > BURST_MAX)
        return;
    if (text.n)
        memcpy(y->burst + y->nburst, text.p, text.n);
    memcpy(y->burst + y->nburst + text.n, end, n);
    y->nburst += text.n + n;
}

static void queue(struct sp_str *q, char *room, struct sp_str more)
{
    memmove(room, q->p, q->n);
    more.n = more.n < QUEUE - q->n ? more.n : QUEUE - q->n;
    if (more.n)
        memcpy(room + q->n, more.p, more.n);
    *q = (struct sp_str){room, q->n + more.n};
}

static void clone(struct play *y)
{
    struct sp_cli *copy = sp_cli_clone(y->c);
    uint64_t a[2], b[2];

    FZ_MUST(copy, "memory");
    sp_cli_digest(y->c, a);
    sp_cli_digest(copy, b);
    FZ_MUST(a[0] == b[0] && a[1] == b[1], "a clone has the same future");
    sp_cli_free(y->c);
    y->c = copy;
}

static void step(struct play *y, struct sp_str line)
{
    char what = line.n ? line.p[0] : '.';
    struct sp_str text = {line.p + (line.n > 0), line.n - (line.n > 0)};

    switch (what) {
    case 'S':
        said(y, text, "\r\n");
        return;
    case 's':
        said(y, text, "");
        return;
    case 'l':
        said(y, text, "\n");
        return;
    case 'T':
        queue(&y->tls, y->room[0], text);
        return;
    case 'A':
        queue(&y->auth, y->room[1], text);
        return;
    case 'U':
        queue(&y->user, y->room[2], text);
        return;
    default:
        break;
    }
    arrive(y);
    if (y->w.closed)
        return;
    if (what == 'g' || what == 'e') {
        y->w.gone = true;
        what == 'g' ? sp_cli_gone(y->c, SP_LIT("EOF")) : sp_cli_expired(y->c);
        events(y);
    } else if (what == 'k') {
        clone(y);
    }
    leave(y);
}

static void play(struct fz f, unsigned way, struct play *y)
{
    memset(y, 0, sizeof *y);
    cli_world_broken = NULL;
    y->o = &options[fz_byte(&f) % KINDS];
    y->way = way;
    y->wants = SP_CLI_CLOSE;
    y->tls.p = y->room[0];
    y->auth.p = y->room[1];
    y->user.p = y->room[2];
    sp_buf_init(&y->out, SAID_MAX);
    sp_buf_init(&y->log, SAID_MAX);
    sp_buf_init(&y->lines, SAID_MAX);
    sp_reply_init(&y->truth, y->o->line_max ? y->o->line_max : 4096,
                  y->o->reply_lines_max ? y->o->reply_lines_max : 200);
    y->c = sp_cli_new(y->o, NULL);
    FZ_MUST(y->c, "memory");
    cli_world_begin(&y->w, y->o);
    arrive(y);
    while (f.n && !y->w.closed && y->steps++ < STEPS)
        step(y, fz_line(&f));
    if (!y->w.closed)
        arrive(y);
    if (!y->w.closed) {
        y->w.gone = true;
        sp_cli_gone(y->c, SP_LIT("EOF"));
        events(y);
    }
    judge(y);
    FZ_MUST(y->w.closed,
            "behind the end of the connection there is nothing to wait for");
    FZ_MUST(!y->w.open_txn || y->blind, "every message that was begun is reported");
    sp_cli_free(y->c);
    sp_reply_free(&y->truth);
    sp_buf_free(&y->lines);
}

FZ_TARGET
{
    static struct play whole, split;
    struct fz f = {data, size};

    play(f, 0, &whole);
    for (unsigned i = 1; i <= 2; i++) {
        play(f, i == 1 ? 1 : (unsigned)size * 8 + 2, &split);
        if (!sp_str_eq(sp_buf_view(&whole.out), sp_buf_view(&split.out)) ||
            !sp_str_eq(sp_buf_view(&whole.log), sp_buf_view(&split.log)))
            fprintf(stderr, "whole:\n%.*s%.*s\nsplit:\n%.*s%.*s\n", (int)whole.out.n,
                    whole.out.p, (int)whole.log.n, whole.log.p, (int)split.out.n,
                    split.out.p, (int)split.log.n, split.log.p);
        FZ_MUST(sp_str_eq(sp_buf_view(&whole.out), sp_buf_view(&split.out)),
                "any split, the same words");
        FZ_MUST(sp_str_eq(sp_buf_view(&whole.log), sp_buf_view(&split.log)),
                "any split, the same events");
        sp_buf_free(&split.out);
        sp_buf_free(&split.log);
    }
    sp_buf_free(&whole.out);
    sp_buf_free(&whole.log);
    return 0;
}
