/* cli_world.c - see cli_world.h. */
#include "cli_world.h"

#include "text.h"

#include <string.h>

#define RCPTS CLI_WORLD_RCPTS

const char *cli_world_broken;
static const struct sp_cli_options *opt;

static void broken(const char *rule)
{
    if (!cli_world_broken)
        cli_world_broken = rule;
}
#define MUST(x, rule) ((x) ? (void)0 : broken(rule))

void cli_world_begin(struct world *w, const struct sp_cli_options *o)
{
    opt = o;
    memset(w, 0, sizeof *w);
    if (o->tls != SP_CLI_TLS_IMPLICIT)
        cli_world_push(w, 'G');
}

/* --- what the engine says ---------------------------------------------------------- */

void cli_world_push(struct world *w, char what)
{
    MUST(w->npending < CLI_WORLD_PENDING,
         "too many commands in flight for this grammar");
    if (w->npending < CLI_WORLD_PENDING)
        w->pending[w->npending++] = what;
}

static void forget_list(struct world *w)
{
    memset(&w->list, 0, sizeof w->list);
    w->has_list = false;
}

static bool starts(struct sp_str s, const char *w)
{
    size_t n = strlen(w);

    return s.n >= n && memcmp(s.p, w, n) == 0;
}

static bool wants_secrecy(void)
{
    return opt->tls == SP_CLI_TLS_REQUIRED || opt->tls == SP_CLI_TLS_IMPLICIT;
}

static bool safe(const struct world *w)
{
    return w->in_tls && (w->verified || opt->allow_unverified);
}

static void heard_auth(struct world *w, struct sp_str line)
{
    struct sp_str rest = {line.p + 5, line.n - 5}, name = sp_str_cut(&rest, ' ');
    int m = sp_mech_by_name(name);
    bool shows = m == SP_MECH_PLAIN || m == SP_MECH_LOGIN;

    MUST(m >= 0 && w->list.mechs & SP_MECH_BIT(m),
         "a mechanism was used that the present list has not");
    MUST(safe(w) || opt->tls == SP_CLI_TLS_NONE,
         "AUTH outside verified TLS although TLS was wanted");
    MUST(safe(w) || !shows || opt->allow_clear_secret, "a password went out in clear");
    MUST(m != SP_MECH_EXTERNAL || w->cert_sent, "EXTERNAL without a certificate");
    MUST(++w->auths <= 3, "more than three AUTH commands");
    MUST(!w->said_235, "AUTH after a login");
    MUST(m != SP_MECH_LOGIN || rest.n == 0,
         "an initial response to a server-first one");
    MUST(line.n + 2 <= 512, "an AUTH line of more than 512 octets");
    cli_world_push(w, 'A');
}

static void heard_mail(struct world *w, struct sp_str line)
{
    MUST(!wants_secrecy() || safe(w), "MAIL outside verified TLS although required");
    MUST(w->messages > 0, "MAIL without a message");
    MUST(!memmem(line.p, line.n, "SIZE=", 5) || w->list.size,
         "SIZE= to a server that does not list it now");
    cli_world_push(w, 'M');
}

static void heard_line(struct world *w, struct sp_str line)
{
    bool flight = w->npending > 0;
    char oldest = w->npending ? w->pending[w->npending - 1] : 0;

    if (w->in_data) {
        if (sp_str_is(line, ".")) {
            w->in_data = false;
            w->end_seen = true;
            cli_world_push(w, '.');
        } else {
            MUST(sp_str_is(line, "hello") || sp_str_is(line, "..x"),
                 "something else than the message in the message");
        }
        return;
    }
    if (w->in_sasl) {
        w->in_sasl = false;
        MUST(safe(w) || opt->tls == SP_CLI_TLS_NONE, "a SASL response outside TLS");
        cli_world_push(w, sp_str_is(line, "*") ? '*' : 'A');
        return;
    }
    MUST(!w->in_tls || !w->injected, "went on after injected octets");
    if (flight && !starts(line, "QUIT"))
        MUST(w->list.pipelining && strchr("rMRBL", oldest) != NULL,
             "pipelined without PIPELINING");
    if (starts(line, "EHLO ") || starts(line, "LHLO ")) {
        MUST(starts(line, "LHLO ") == opt->lmtp, "EHLO and LHLO confused");
        forget_list(w);
        cli_world_push(w, 'E');
    } else if (starts(line, "HELO ")) {
        MUST(!w->in_tls, "HELO inside TLS");
        MUST(!wants_secrecy(), "HELO although TLS is wanted");
        MUST(!opt->have_password && !opt->have_certificate,
             "HELO although a login is wanted");
        cli_world_push(w, 'H');
    } else if (sp_str_is(line, "STARTTLS")) {
        MUST(!w->in_tls && w->has_list && w->list.starttls, "STARTTLS not offered");
        MUST(opt->tls != SP_CLI_TLS_NONE, "STARTTLS not wanted");
        cli_world_push(w, 'S');
    } else if (starts(line, "AUTH ")) {
        heard_auth(w, line);
    } else if (starts(line, "MAIL ")) {
        heard_mail(w, line);
    } else if (starts(line, "RCPT ")) {
        MUST(!wants_secrecy() || safe(w),
             "RCPT outside verified TLS although required");
        cli_world_push(w, 'R');
    } else if (sp_str_is(line, "DATA")) {
        cli_world_push(w, 'D');
    } else if (sp_str_is(line, "RSET")) {
        cli_world_push(w, 'r');
    } else if (sp_str_is(line, "QUIT")) {
        cli_world_push(w, 'Q');
    } else {
        broken("an unknown command");
    }
}

/* BDAT takes its octets by count, behind the line. */
static size_t heard_bdat(struct world *w, struct sp_str line, struct sp_str rest)
{
    struct sp_str args = {line.p + 5, line.n - 5}, count = sp_str_cut(&args, ' ');
    uint64_t n = 0;

    MUST(sp_str_u64(count, 1 << 20, &n) == 0 && n <= rest.n,
         "a chunk without its octets");
    MUST(w->list.chunking, "BDAT to a server that does not list CHUNKING now");
    MUST(!wants_secrecy() || safe(w),
         "a message outside verified TLS although required");
    if (args.n)
        w->end_seen = true;
    cli_world_push(w, args.n ? 'L' : 'B');
    return (size_t)n;
}

void cli_world_hear(struct world *w, struct sp_str out)
{
    while (out.n) {
        struct sp_str line = sp_str_cut(&out, '\n');

        MUST(line.n && line.p[line.n - 1] == '\r', "a line without CR LF");
        line.n -= line.n > 0;
        if (!w->in_data && !w->in_sasl && starts(line, "BDAT ")) {
            size_t k = heard_bdat(w, line, out);

            if (k > out.n)
                break;
            out.p += k;
            out.n -= k;
        } else {
            heard_line(w, line);
        }
    }
}

/* --- what the engine reports ------------------------------------------------------- */

static void reported_sent(struct world *w, const struct sp_cli_event *ev)
{
    bool any_unsettled = false;

    MUST(w->open_txn, "SENT twice, or without a message");
    w->open_txn = false;
    for (size_t i = 0; i < ev->u.sent.n; i++) {
        bool yes = w->end_seen && w->rcpt_ok[i] && w->verdict[i] == 2 && !w->bad_chunk;

        MUST(!ev->u.sent.rcpt[i].accepted || yes, "believed accepted what was not");
        MUST(ev->u.sent.rcpt[i].accepted || !yes || w->nonsense,
             "not reported: an accepted message");
        any_unsettled = any_unsettled || (w->rcpt_ok[i] && w->verdict[i] == 0);
    }
    MUST(!ev->u.sent.unknown || (w->end_seen && any_unsettled),
         "unknown although the message was not complete, or was answered");
    MUST(ev->u.sent.unknown || !(w->end_seen && any_unsettled) || w->bad_chunk ||
             w->nonsense || !w->gone,
         "lost after the end of the message and not reported as unknown");
}

void cli_world_reported(struct world *w, const struct sp_cli_event *ev)
{
    w->event = 0;
    MUST(!w->closed, "an event behind CLOSE");
    switch (ev->type) {
    case SP_CLI_HANDSHAKE:
        MUST(opt->tls != SP_CLI_TLS_NONE && !w->in_tls, "an unwanted handshake");
        w->event = 1 + SP_CLI_HANDSHAKE;
        return;
    case SP_CLI_AUTH:
        w->event = 1 + SP_CLI_AUTH;
        return;
    case SP_CLI_READY:
        MUST(!wants_secrecy() || safe(w),
             "READY outside verified TLS although required");
        MUST(!w->open_txn, "READY in the middle of a transaction");
        MUST((ev->u.ready.login != SP_LOGIN_PASSWORD &&
              ev->u.ready.login != SP_LOGIN_EXTERNAL) ||
                 w->said_235,
             "believed logged in without 235");
        MUST(w->npending == 0, "READY with unanswered commands");
        w->event = 1 + SP_CLI_READY;
        return;
    case SP_CLI_BODY:
        w->event = 1 + SP_CLI_BODY;
        return;
    case SP_CLI_SENT:
        reported_sent(w, ev);
        return;
    case SP_CLI_FAILED:
        MUST(!w->failed_tls || ev->u.failed.cls == SP_CLASS_INSECURE ||
                 ev->u.failed.stage == SP_STAGE_HANDSHAKE,
             "a failed handshake is not called insecure");
        MUST(!w->injected || ev->u.failed.cls == SP_CLASS_INSECURE,
             "injection is not called insecure");
        MUST(ev->u.failed.words.n > 0, "a failure without words");
        return;
    case SP_CLI_RECONNECT:
        MUST(opt->have_certificate && opt->have_password, "RECONNECT for nothing");
        w->open_txn = false;
        return;
    case SP_CLI_CLOSE:
        MUST(!w->open_txn, "closed without SENT");
        w->closed = true;
        return;
    }
}

static void answered_end(struct world *w, int8_t cls)
{
    for (int i = w->verdicts; i < RCPTS; i++) {
        w->verdicts = (int8_t)(i + 1);
        if (!w->rcpt_ok[i])
            continue;
        w->verdict[i] = cls;
        w->nonsense |= cls != 2 && cls != 4 && cls != 5;
        if (opt->lmtp)
            return;
    }
}

/* Does LMTP owe another verdict? */
static bool owes(const struct world *w)
{
    for (int i = w->verdicts; i < RCPTS; i++)
        if (w->rcpt_ok[i])
            return opt->lmtp;
    return false;
}

static void drop_first(struct world *w)
{
    memmove(w->pending, w->pending + 1, (size_t)--w->npending);
    w->pending[w->npending] = 0;
}

/* The truth about a reply, before the engine reads it. */
void cli_world_note(struct world *w, char what, const char *text)
{
    int8_t cls = (int8_t)(text[0] - '0');

    if (strncmp(text, "250-yes", 7) == 0)
        cls = 5;
    if (what == 'E' && cls != 2)
        forget_list(w);
    if (what == 'A' && cls == 2)
        w->said_235 = true;
    w->in_sasl = what == 'A' && strncmp(text, "334", 3) == 0;
    if (what == 'M') {
        w->mail_ok = cls == 2;
        w->rcpts = 0;
        memset(w->rcpt_ok, 0, sizeof w->rcpt_ok);
    }
    if (what == 'R' && w->rcpts < RCPTS)
        w->rcpt_ok[w->rcpts++] = cls == 2 && w->mail_ok;
    if (what == 'D')
        w->in_data = strncmp(text, "354", 3) == 0;
    if (what == 'B' && cls != 2)
        w->bad_chunk = true;
    if (what == '.' || what == 'L')
        answered_end(w, cls >= 2 && cls <= 5 ? cls : 0);
    if ((what != '.' && what != 'L') || !owes(w))
        drop_first(w);
}

void cli_world_new_message(struct world *w)
{
    w->messages++;
    w->open_txn = true;
    w->mail_ok = w->end_seen = w->bad_chunk = w->nonsense = false;
    w->rcpts = w->verdicts = 0;
    memset(w->rcpt_ok, 0, sizeof w->rcpt_ok);
    memset(w->verdict, 0, sizeof w->verdict);
}

void cli_world_settled(const struct world *w)
{
    MUST(w->closed || w->event || w->npending || w->gone,
         "the engine waits for nothing");
}
