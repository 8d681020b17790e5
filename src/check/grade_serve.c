/*
 * grade_serve.c - the reactive server: see grade_i.h.
 *
 * What is said comes from the stories; what follows from a reply (a session greeted, a
 * transaction open, a message to read) is here, and follows from the code that was sent.
 */
#include "grade_i.h"

#include "text.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    REPLY_MAX = 1 << 18,
    LINE_MAX_OCTETS = 16384,
    JUNK_WAIT_MS = 3000,
    FLOOD_MS = 30000,
    OPEN_END_MS = 2000,
    EARLY_MS = 20 /* before the greeting */
};

/* ---- replies and actions ---- */

static void leave(struct grade *g, struct grade_conn *c, bool reset)
{
    if (reset || c->fd < 0) {
        grade_close(g, c, reset);
        return;
    }
    c->closing = true;
    c->last_ms = grade_ms();
    if (c->ssl)
        (void)SSL_shutdown(c->ssl);
    (void)shutdown(c->fd, SHUT_WR);
}

static void flush(struct grade *g, struct grade_conn *c, struct sp_buf *b, size_t *sent)
{
    if (b->n > *sent)
        (void)grade_send(g, c, (struct sp_str){b->p + *sent, b->n - *sent}, false);
    *sent = b->n;
}

/* The reply is late: does the client wait for it? */
static void hold(struct grade *g, struct grade_conn *c, unsigned ms)
{
    uint64_t end = grade_ms() + ms, now;
    size_t before = c->in.n;

    if (before)
        grade_see(g, SEEN_EARLY);
    while (!c->eof && (now = grade_ms()) < end && !(g->o->stop && *g->o->stop)) {
        (void)grade_more(g, c, end - now > 100 ? 100 : (int)(end - now));
        if (c->in.n > before) {
            struct sp_str s = {c->in.p + before, c->in.n - before};

            grade_see(g, SEEN_EARLY);
            grade_look(g, c, sp_str_cut(&s, '\n'), true);
            return;
        }
        grade_hear(g);
    }
}

static void flood(struct grade *g, struct grade_conn *c, struct sp_str arg)
{
    struct sp_str count = sp_str_cut(&arg, ' ');
    uint64_t n = 0, end = grade_ms() + FLOOD_MS, sent = 0;
    struct sp_buf b;
    bool ok = true;

    (void)sp_str_u64(count, 100000000, &n);
    sp_buf_init(&b, 1 << 17);
    while (b.n < 60000 && sp_buf_printf(&b, "%.*s\r\n", (int)arg.n, arg.p) == 0)
        ;
    grade_see(g, SEEN_HELD);
    grade_note(g, c, "the server repeats `%.*s` %llu times", (int)arg.n, arg.p,
               (unsigned long long)n);
    for (; ok && sent < n && b.n; sent += b.n / (arg.n + 2)) {
        ok = grade_ms() < end && grade_send(g, c, sp_buf_view(&b), true);
        grade_hear(g);
    }
    if (sent >= n)
        grade_see(g, SEEN_FLOODED);
    else
        grade_note(g, c, "the client stopped reading after about %llu lines",
                   (unsigned long long)sent);
    sp_buf_free(&b);
}

/* In place of a TLS handshake: octets that are none, or the end. */
static void no_handshake(struct grade *g, struct grade_conn *c, bool junk)
{
    (void)grade_more(g, c, JUNK_WAIT_MS);
    c->in.n = 0;
    if (junk)
        (void)grade_send(g, c, SP_LIT("this is no TLS, and never will be\r\n"), false);
    leave(g, c, false);
}

static bool action(struct grade *g, struct grade_conn *c, struct sp_str what,
                   struct sp_str said)
{
    struct sp_str arg = what, verb = sp_str_cut(&arg, ' ');
    uint64_t n;

    if (sp_str_is(verb, "close"))
        leave(g, c, false);
    else if (sp_str_is(verb, "reset"))
        leave(g, c, true);
    else if (sp_str_is(verb, "silent")) {
        c->silent = true;
        grade_see(g, SEEN_HELD);
        grade_note(g, c, "the server says nothing");
    } else if (sp_str_is(verb, "hold") && sp_str_u64(arg, 600000, &n) == 0)
        hold(g, c, (unsigned)n);
    else if (sp_str_is(verb, "flood"))
        flood(g, c, arg);
    else if (sp_str_is(verb, "junk") || sp_str_is(verb, "drop"))
        no_handshake(g, c, sp_str_is(verb, "junk"));
    else if (sp_str_is(verb, "auth")) {
        (void)sp_str_cut(&said, ' ');
        grade_auth(g, c, said);
    } else
        return false;
    return true;
}

static bool verb_is(struct sp_str line, const char *verb)
{
    size_t n = strlen(verb);

    return line.n >= n && sp_str_caseis((struct sp_str){line.p, n}, verb) &&
           (line.n == n || line.p[n] == ' ');
}

int grade_say(struct grade *g, struct grade_conn *c, struct sp_str said,
              const char *otherwise)
{
    const struct grade_rule *r = grade_match(g, c, said);
    struct sp_buf b; /* its own: an action may say more (AUTH) */
    size_t sent = 0;
    uint64_t code = 0;

    sp_buf_init(&b, REPLY_MAX);
    if (!r && otherwise)
        (void)sp_buf_printf(&b, "%s\r\n", otherwise);
    for (size_t i = 0; r && i < r->n && c->fd >= 0; i++) {
        const struct sp_story_step *s = &r->step[i];

        if (s->kind == SP_STORY_SERVER) {
            (void)sp_buf_put(&b, s->text, s->len);
            continue;
        }
        flush(g, c, &b, &sent);
        if (!action(g, c, (struct sp_str){s->text, s->len}, said))
            grade_note(g, c, "the story's `%s` is not understood", s->text);
    }
    if (c->fd >= 0)
        flush(g, c, &b, &sent);
    if (b.n >= 3)
        (void)sp_str_u64((struct sp_str){b.p, 3}, 999, &code);
    if (verb_is(said, "EHLO") || verb_is(said, "LHLO"))
        snprintf(c->said, sizeof c->said, "%.*s", (int)b.n, b.n ? b.p : "");
    sp_buf_free(&b);
    if (code == 421 && c->fd >= 0 && !c->closing)
        leave(g, c, false);
    return (int)code;
}

/* ---- capabilities as they were sent ---- */

bool grade_offers(const struct grade_conn *c, bool tls, const char *word,
                  struct sp_str *ret_rest)
{
    struct sp_str all = sp_str(c->caps[tls]);

    (void)sp_str_cut(&all, '\n'); /* the greeting's line */
    while (all.n) {
        struct sp_str l = sp_str_cut(&all, '\n'), w;

        if (l.n && l.p[l.n - 1] == '\r')
            l.n--;
        l = l.n > 4 ? (struct sp_str){l.p + 4, l.n - 4} : (struct sp_str){NULL, 0};
        w = l;
        for (size_t i = 0; i < w.n; i++)
            if (w.p[i] == ' ' || w.p[i] == '=')
                w.n = i;
        if (!sp_str_caseis(w, word))
            continue;
        if (ret_rest)
            *ret_rest = (struct sp_str){l.p + w.n, l.n - w.n};
        return true;
    }
    return false;
}

/* ---- verbs ---- */

static void reset(struct grade_conn *c)
{
    c->mail = false;
    c->rcpts = c->refused_rcpts = 0;
}

static void greeted(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    bool extended = !verb_is(line, "HELO");
    int code;

    grade_see(g, extended ? (c->tls ? SEEN_EHLO_TLS : SEEN_EHLO_CLEAR)
                          : (c->tls ? SEEN_HELO_TLS : SEEN_HELO_CLEAR));
    code = grade_say(g, c, line, "502 5.5.1 Command not implemented");
    if (code / 100 != 2)
        return;
    c->greeted = true;
    c->extended = extended;
    reset(c);
    if (extended)
        memcpy(c->caps[c->tls], c->said, sizeof c->said);
    else
        c->caps[c->tls][0] = '\0';
}

static void starttls(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    int code;

    grade_see(g, c->tls ? SEEN_STARTTLS_TLS : SEEN_STARTTLS);
    if (c->in.n)
        grade_note(g, c, "octets of the client came behind STARTTLS before the 220");
    c->in.n = 0;
    code = grade_say(g, c, line, "502 5.5.1 STARTTLS is not offered");
    if (code == 220 && !c->tls && c->fd >= 0 && !c->closing && !c->eof)
        grade_handshake(g, c);
}

static void mail(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    grade_see(g, c->tls ? SEEN_MAIL_TLS : SEEN_MAIL_CLEAR);
    if (c->login_refused && !c->login)
        grade_see(g, SEEN_MAIL_ANONYMOUS);
    if (c->tls && !c->greeted)
        grade_see(g, SEEN_UNGREETED);
    if (grade_say(g, c, line, "250 2.1.0 Ok") / 100 == 2) {
        reset(c);
        c->mail = true;
    }
}

static void rcpt(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    int code = c->mail
                   ? grade_say(g, c, line, "250 2.1.5 Ok")
                   : (grade_send(g, c, SP_LIT("503 5.5.1 MAIL first\r\n"), false), 503);

    if (code / 100 == 2)
        c->rcpts++;
    else
        c->refused_rcpts++;
}

static void data(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    if (c->rcpts == 0) {
        (void)grade_send(g, c, SP_LIT("554 5.5.1 No valid recipients\r\n"), false);
        return;
    }
    if (grade_say(g, c, line, "354 Go on, end with a dot") == 354) {
        c->mode = TALK_DATA;
        c->body.n = 0;
    }
}

static void bdat(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    struct sp_str size;
    uint64_t n = 0;

    if (!grade_offers(c, c->tls, "CHUNKING", NULL))
        grade_found(g, SP_F_BDAT_NOT_OFFERED, g->c->when, NULL);
    (void)sp_str_cut(&line, ' ');
    size = sp_str_cut(&line, ' ');
    if (sp_str_u64(size, GRADE_IN / 2, &n) < 0) {
        (void)grade_send(g, c, SP_LIT("501 5.5.4 That is no size\r\n"), false);
        return;
    }
    c->chunk_left = n;
    c->chunk_last = sp_str_caseis(sp_str_trim(line), "LAST");
    c->mode = TALK_BDAT;
}

static void quit(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    grade_see(g, SEEN_QUIT);
    (void)grade_say(g, c, line, "221 2.0.0 Bye");
    if (c->fd >= 0 && !c->closing && !c->silent)
        leave(g, c, false);
}

static void auth(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    int code;

    grade_see(g, c->tls ? SEEN_AUTH_TLS : SEEN_AUTH_CLEAR);
    if (c->tls && !c->greeted)
        grade_see(g, SEEN_UNGREETED);
    code = grade_say(g, c, line, "502 5.5.1 AUTH is not offered");
    if (code / 100 == 5 || code / 100 == 4) {
        c->login_refused = true;
        grade_see(g, SEEN_LOGIN_REFUSED);
    }
}

static void other(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    if (verb_is(line, "RSET"))
        reset(c);
    (void)grade_say(g, c, line, "500 5.5.2 Command not recognized");
}

static const struct {
    const char *verb;
    void (*run)(struct grade *g, struct grade_conn *c, struct sp_str line);
} verbs[] = {
    {"EHLO", greeted}, {"HELO", greeted}, {"LHLO", greeted}, {"STARTTLS", starttls},
    {"AUTH", auth},    {"MAIL", mail},    {"RCPT", rcpt},    {"DATA", data},
    {"BDAT", bdat},    {"QUIT", quit},
};

/* The next command was sent before the reply to this one, in a session that did not
 * offer it (RFC 2920 3.1: only after the server said that it can). */
static void look_for_pipelining(struct grade *g, struct grade_conn *c,
                                struct sp_str line)
{
    static const char *const last_of_group[] = {"EHLO", "HELO", "LHLO", "STARTTLS",
                                                "AUTH", "DATA", "QUIT"};
    bool may = c->extended && grade_offers(c, c->tls, "PIPELINING", NULL);
    struct sp_str rest, verb = sp_str_cut(&line, ' ');
    char shown[20];

    (void)grade_more(g, c, 0);
    rest = sp_buf_view(&c->in);
    for (size_t i = 0; i < sizeof last_of_group / sizeof *last_of_group; i++)
        if (sp_str_caseis(verb, last_of_group[i]))
            may = false;
    if (g->c->check == SP_C_C05) /* speaking early means something else there */
        return;
    if (may || rest.n == 0 || sp_str_caseis(verb, "QUIT") ||
        sp_str_caseis(verb, "STARTTLS") || sp_str_caseis(verb, "BDAT"))
        return;
    snprintf(shown, sizeof shown, "%.*s", verb.n > 15 ? 15 : (int)verb.n, verb.p);
    grade_found(g, SP_F_PIPELINED_NOT_OFFERED, shown, g->c->when);
}

static void on_line(struct grade *g, struct grade_conn *c, struct sp_str line,
                    bool crlf)
{
    grade_look(g, c, line, crlf);
    if (c->mode == TALK_AUTH) {
        grade_answer(g, c, line);
        return;
    }
    look_for_pipelining(g, c, line);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (verb_is(line, verbs[i].verb)) {
            verbs[i].run(g, c, line);
            return;
        }
    other(g, c, line);
}

/* ---- messages ---- */

static void message_ended(struct grade *g, struct grade_conn *c)
{
    int code;

    grade_note(g, c, "the message: %zu octets", c->body.n);
    grade_look_message(g, c);
    c->mode = TALK_COMMAND;
    code = grade_say(g, c, SP_LIT("<dot>"), "250 2.0.0 Taken");
    grade_see(g, code / 100 == 2 ? SEEN_DELIVERED : code ? SEEN_REFUSED : SEEN_UNKNOWN);
    if (code / 100 == 2 && c->refused_rcpts)
        grade_see(g, SEEN_PARTIAL);
    reset(c);
}

static void take(struct grade_conn *c, size_t n)
{
    (void)sp_buf_put(&c->body, c->in.p, n);
    sp_buf_drop(&c->in, n);
}

/* Everything before the line with only a dot.  Returns false when there is none yet. */
static bool data_octets(struct grade *g, struct grade_conn *c)
{
    const char *end = c->in.n >= 3 && memcmp(c->in.p, ".\r\n", 3) == 0
                          ? c->in.p
                          : memmem(c->in.p, c->in.n, "\r\n.\r\n", 5);
    size_t n;

    if (!end) {
        if (c->in.n >= GRADE_IN - 8192)
            grade_close(g, c, false); /* too much: nothing of ours is that long */
        return false;
    }
    n = (size_t)(end - c->in.p) + (end == c->in.p && *end == '.' ? 0 : 2);
    take(c, n);
    sp_buf_drop(&c->in, 3);
    message_ended(g, c);
    return true;
}

static bool bdat_octets(struct grade *g, struct grade_conn *c)
{
    size_t n = c->in.n < c->chunk_left ? c->in.n : (size_t)c->chunk_left;

    take(c, n);
    c->chunk_left -= n;
    if (c->chunk_left)
        return false;
    c->mode = TALK_COMMAND;
    if (c->rcpts == 0)
        (void)grade_send(g, c, SP_LIT("554 5.5.1 No valid recipients\r\n"), false);
    else if (c->chunk_last)
        message_ended(g, c);
    else
        (void)grade_say(g, c, SP_LIT("<chunk>"), "250 2.0.0 More");
    return true;
}

static bool command_octets(struct grade *g, struct grade_conn *c)
{
    const char *end = memchr(c->in.p, '\n', c->in.n);
    char line[LINE_MAX_OCTETS];
    size_t n = end ? (size_t)(end - c->in.p) : 0;
    bool crlf = n > 0 && c->in.p[n - 1] == '\r';

    bool hello = c->in.n > 2 && memcmp(c->in.p, "\x16\x03", 2) == 0; /* of TLS */

    if (!end || n >= sizeof line || hello) {
        if (c->in.n >= sizeof line || hello) {
            grade_note(g, c, "the client sends what is no command");
            leave(g, c, false);
        }
        return false;
    }
    memcpy(line, c->in.p, n);
    sp_buf_drop(&c->in, n + 1);
    on_line(g, c, (struct sp_str){line, n - crlf}, crlf);
    return true;
}

void grade_octets(struct grade *g, struct grade_conn *c)
{
    bool more = true;

    while (more && c->fd >= 0 && !c->closing && !c->silent &&
           (c->in.n || (c->mode == TALK_BDAT && c->chunk_left == 0)))
        more = c->mode == TALK_DATA   ? data_octets(g, c)
               : c->mode == TALK_BDAT ? bdat_octets(g, c)
                                      : command_octets(g, c);
    /* A message that its client ended with bare LFs: RFC 5321 4.1.1.4 knows no such end,
     * and without this the two would wait for each other. */
    if (c->fd >= 0 && c->mode == TALK_DATA && c->in.n >= 3 &&
        memcmp(c->in.p + c->in.n - 3, "\n.\n", 3) == 0 &&
        !grade_more(g, c, OPEN_END_MS)) {
        grade_found(g, SP_F_END_OF_DATA_BARE_LF, NULL, NULL);
        take(c, c->in.n - 2);
        c->in.n = 0;
        message_ended(g, c);
    }
}

void grade_greet(struct grade *g, struct grade_conn *c)
{
    if (!c->implicit && grade_more(g, c, EARLY_MS) && c->in.n)
        grade_found(g, SP_F_TALKS_FIRST, NULL, NULL);
    (void)grade_say(g, c, SP_LIT("<connect>"), "220 mail.check.test ESMTP");
    if (c->fd >= 0 && c->in.n && !c->closing && !c->silent)
        grade_octets(g, c);
}
