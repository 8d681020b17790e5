/*
 * explore_cli.c - every dialogue that a server of a small grammar can have with the
 * client engine, breadth first, each different state once.
 *
 *     explore_cli [depth]        default 9; the long test goes until nothing is new
 *
 * The world around the engine (server, TLS, user) is `struct world`: what was truly
 * said and answered.  The invariants below are written by hand from PROTOCOL.md and
 * share no code with the engine's tables.  A broken one prints the dialogue that leads
 * to it.
 */
#include <sallyport/client.h>

#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RCPTS = 2, PENDING = 12, TRAIL = 40 };

/* --- the world --------------------------------------------------------------------- */

struct list {
    const char *lines; /* behind the first */
    bool starttls, pipelining, chunking, size;
    uint32_t mechs;
};
#define M(x) SP_MECH_BIT(SP_MECH_##x)
static const struct list lists[] = {
    {"250 HELP\r\n", 0, 0, 0, 0, 0},
    {"250-AUTH PLAIN\r\n250 STARTTLS\r\n", 1, 0, 0, 0, M(PLAIN)},
    {"250-STARTTLS\r\n250-SIZE 9\r\n250-PIPELINING\r\n250 AUTH CRAM-MD5 EXTERNAL\r\n",
     1, 1, 0, 1, M(CRAM_MD5) | M(EXTERNAL)},
    {"250-PIPELINING\r\n250 AUTH=PLAIN\r\n", 0, 1, 0, 0, M(PLAIN)},
    {"250-AUTH EXTERNAL SCRAM-SHA-256 LOGIN\r\n250 CHUNKING\r\n", 0, 0, 1, 0,
     M(EXTERNAL) | M(SCRAM_SHA_256) | M(LOGIN)},
    {"250-SIZE 99999\r\n250-CHUNKING\r\n250-PIPELINING\r\n250 AUTH EXTERNAL\r\n", 0, 1,
     1, 1, M(EXTERNAL)},
};
enum { LISTS = sizeof lists / sizeof lists[0] };

struct world {
    char pending[PENDING]; /* commands not yet answered, oldest first */
    int8_t npending;
    int8_t list;     /* of this TLS state; -1: none given */
    int8_t rcpts;    /* RCPT replies given in this transaction */
    int8_t auths;    /* AUTH commands of this connection */
    int8_t messages; /* transactions begun by the user */
    int8_t event;    /* 1 + the event that waits for an answer; 0: none */
    bool in_tls, verified, cert_sent, stranger_told;
    bool injected, failed_tls;
    bool said_235;
    bool in_data; /* 354 was given, the dot has not come */
    bool in_sasl; /* 334 was given */
    bool mail_ok;
    bool rcpt_ok[RCPTS];
    bool end_seen;         /* the whole message reached the server */
    int8_t verdict[RCPTS]; /* to the end of the message: 0 none, 2, 4, 5 */
    int8_t verdicts;
    bool gone;      /* we (the server) closed */
    bool closed;    /* CLOSE was said */
    bool open_txn;  /* the user waits for SENT */
    bool bad_chunk; /* a BDAT command was refused in this transaction */
};

struct policy {
    const char *name;
    struct sp_cli_options o;
};

struct node {
    struct sp_cli *c;
    struct world w;
    uint32_t parent;
    uint8_t action, depth;
};

static const struct policy *pol;
static struct node *nodes;
static uint32_t nnodes, cap_nodes;
static uint64_t transitions;
static uint64_t (*seen)[2];
static size_t seen_cap;
static int broken_count;
static const char *broken_rule;

static void broken(const char *rule)
{
    if (!broken_rule)
        broken_rule = rule;
}
#define MUST(x, rule) ((x) ? (void)0 : broken(rule))

/* --- what the engine says ---------------------------------------------------------- */

static void push(struct world *w, char what)
{
    MUST(w->npending < PENDING, "too many commands in flight for this grammar");
    if (w->npending < PENDING)
        w->pending[w->npending++] = what;
}

static bool starts(struct sp_str s, const char *w)
{
    size_t n = strlen(w);

    return s.n >= n && memcmp(s.p, w, n) == 0;
}

static const struct list *list_of(const struct world *w)
{
    return &lists[w->list < 0 ? 0 : w->list];
}

static bool wants_secrecy(void)
{
    return pol->o.tls == SP_CLI_TLS_REQUIRED || pol->o.tls == SP_CLI_TLS_IMPLICIT;
}

static bool safe(const struct world *w)
{
    return w->in_tls && (w->verified || pol->o.allow_unverified);
}

static void heard_auth(struct world *w, struct sp_str line)
{
    struct sp_str rest = {line.p + 5, line.n - 5}, name = sp_str_cut(&rest, ' ');
    int m = sp_mech_by_name(name);
    bool shows = m == SP_MECH_PLAIN || m == SP_MECH_LOGIN;

    MUST(m >= 0 && list_of(w)->mechs & SP_MECH_BIT(m),
         "a mechanism was used that the present list has not");
    MUST(safe(w) || pol->o.tls == SP_CLI_TLS_NONE,
         "AUTH outside verified TLS although TLS was wanted");
    MUST(safe(w) || !shows || pol->o.allow_clear_secret,
         "a password went out in clear");
    MUST(m != SP_MECH_EXTERNAL || w->cert_sent, "EXTERNAL without a certificate");
    MUST(++w->auths <= 3, "more than three AUTH commands");
    MUST(!w->said_235, "AUTH after a login");
    MUST(m != SP_MECH_LOGIN || rest.n == 0,
         "an initial response to a server-first one");
    MUST(line.n + 2 <= 512, "an AUTH line of more than 512 octets");
    push(w, 'A');
}

static void heard_mail(struct world *w, struct sp_str line)
{
    MUST(!wants_secrecy() || safe(w), "MAIL outside verified TLS although required");
    MUST(w->messages > 0, "MAIL without a message");
    MUST(!memmem(line.p, line.n, "SIZE=", 5) || list_of(w)->size,
         "SIZE= to a server that does not list it now");
    push(w, 'M');
}

static void heard_line(struct world *w, struct sp_str line)
{
    bool flight = w->npending > 0;
    char oldest = w->npending ? w->pending[w->npending - 1] : 0;

    if (w->in_data) {
        if (sp_str_is(line, ".")) {
            w->in_data = false;
            w->end_seen = true;
            push(w, '.');
        } else {
            MUST(sp_str_is(line, "hello") || sp_str_is(line, "..x"),
                 "something else than the message in the message");
        }
        return;
    }
    if (w->in_sasl) {
        w->in_sasl = false;
        MUST(safe(w) || pol->o.tls == SP_CLI_TLS_NONE, "a SASL response outside TLS");
        push(w, sp_str_is(line, "*") ? '*' : 'A');
        return;
    }
    MUST(!w->in_tls || !w->injected, "went on after injected octets");
    if (flight && !starts(line, "QUIT"))
        MUST(list_of(w)->pipelining && strchr("rMRBL", oldest) != NULL,
             "pipelined without PIPELINING");
    if (starts(line, "EHLO ") || starts(line, "LHLO ")) {
        MUST(starts(line, "LHLO ") == pol->o.lmtp, "EHLO and LHLO confused");
        w->list = -1;
        push(w, 'E');
    } else if (starts(line, "HELO ")) {
        MUST(!w->in_tls, "HELO inside TLS");
        MUST(!wants_secrecy(), "HELO although TLS is wanted");
        MUST(!pol->o.have_password && !pol->o.have_certificate,
             "HELO although a login is wanted");
        push(w, 'H');
    } else if (sp_str_is(line, "STARTTLS")) {
        MUST(!w->in_tls && w->list >= 0 && list_of(w)->starttls,
             "STARTTLS not offered");
        MUST(pol->o.tls != SP_CLI_TLS_NONE, "STARTTLS not wanted");
        push(w, 'S');
    } else if (starts(line, "AUTH ")) {
        heard_auth(w, line);
    } else if (starts(line, "MAIL ")) {
        heard_mail(w, line);
    } else if (starts(line, "RCPT ")) {
        MUST(!wants_secrecy() || safe(w),
             "RCPT outside verified TLS although required");
        push(w, 'R');
    } else if (sp_str_is(line, "DATA")) {
        push(w, 'D');
    } else if (sp_str_is(line, "RSET")) {
        push(w, 'r');
    } else if (sp_str_is(line, "QUIT")) {
        push(w, 'Q');
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
    MUST(list_of(w)->chunking, "BDAT to a server that does not list CHUNKING now");
    MUST(!wants_secrecy() || safe(w),
         "a message outside verified TLS although required");
    if (args.n)
        w->end_seen = true;
    push(w, args.n ? 'L' : 'B');
    return (size_t)n;
}

static void hear(struct node *x)
{
    size_t n;
    const char *p = sp_cli_out(x->c, &n);
    struct sp_str out = {p, n};

    while (out.n) {
        struct sp_str line = sp_str_cut(&out, '\n');

        MUST(line.n && line.p[line.n - 1] == '\r', "a line without CR LF");
        line.n -= line.n > 0;
        if (!x->w.in_data && !x->w.in_sasl && starts(line, "BDAT ")) {
            size_t k = heard_bdat(&x->w, line, out);

            if (k > out.n)
                break;
            out.p += k;
            out.n -= k;
        } else {
            heard_line(&x->w, line);
        }
    }
    sp_cli_out_ack(x->c, n);
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
        MUST(ev->u.sent.rcpt[i].accepted || !yes, "not reported: an accepted message");
        any_unsettled = any_unsettled || (w->rcpt_ok[i] && w->verdict[i] == 0);
    }
    MUST(!ev->u.sent.unknown || (w->end_seen && any_unsettled),
         "unknown although the message was not complete, or was answered");
    MUST(ev->u.sent.unknown || !(w->end_seen && any_unsettled) || w->bad_chunk ||
             !w->gone,
         "lost after the end of the message and not reported as unknown");
}

static void reported(struct world *w, const struct sp_cli_event *ev)
{
    w->event = 0;
    MUST(!w->closed, "an event behind CLOSE");
    switch (ev->type) {
    case SP_CLI_HANDSHAKE:
        MUST(pol->o.tls != SP_CLI_TLS_NONE && !w->in_tls, "an unwanted handshake");
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
        MUST(pol->o.have_certificate && pol->o.have_password, "RECONNECT for nothing");
        w->open_txn = false;
        return;
    case SP_CLI_CLOSE:
        MUST(!w->open_txn, "closed without SENT");
        w->closed = true;
        return;
    }
}

static void settle(struct node *x)
{
    struct sp_cli_event ev;
    size_t n = 1;

    while (n && !broken_rule) {
        n = 0;
        while (sp_cli_next(x->c, &ev)) {
            reported(&x->w, &ev);
            n = 1;
        }
        size_t out;

        (void)sp_cli_out(x->c, &out);
        if (out) {
            hear(x);
            n = 1;
        }
    }
    MUST(x->w.closed || x->w.event || x->w.npending || x->w.gone,
         "the engine waits for nothing");
}

/* --- what the world can do --------------------------------------------------------- */

static void say(struct node *x, const char *text)
{
    size_t len = strlen(text), at = 0, used;

    while (at < len) {
        used = sp_cli_feed(x->c, text + at, len - at);
        at += used;
        if (used == 0 || at == len)
            break;
        settle(x);
    }
    MUST(at == len || x->w.closed, "input refused where a reply was awaited");
}

/* Replies in the order of an alphabet.  Returns NULL behind the last. */
static const char *reply(struct world *w, char what, unsigned k)
{
    static const char *const no[] = {
        "421 4.7.1 bye\r\n", "451 4.3.0 later\r\n",   "550 5.7.1 no\r\n",
        "599 no\r\n",        "250-yes\r\n550 no\r\n", "what?\r\n",
        "399 hm\r\n",        "530 5.7.0 auth\r\n",    "504 5.5.4 none\r\n",
        "502 5.5.1 eh\r\n"};
    static char ehlo[300];

    if (k < sizeof no / sizeof no[0])
        return no[k];
    k -= sizeof no / sizeof no[0];
    switch (what) {
    case 'G':
    case 'S':
        return k == 0 ? "220 go\r\n" : k == 1 ? "250 go\r\n" : NULL;
    case 'E':
        if (k >= LISTS)
            return NULL;
        w->list = (int8_t)k;
        snprintf(ehlo, sizeof ehlo, "250-srv\r\n%s", lists[k].lines);
        return ehlo;
    case 'A':
    case '*':
        return k == 0   ? "235 2.7.0 in\r\n"
               : k == 1 ? "334 eA==\r\n"
               : k == 2 ? "334 ???\r\n"
               : k == 3 ? "535 5.7.8 no\r\n"
               : k == 4 ? "454 4.7.0 later\r\n"
                        : NULL;
    case 'D':
        return k == 0 ? "354 go\r\n" : k == 1 ? "250 done\r\n" : NULL;
    default:
        return k == 0 ? "250 ok\r\n" : NULL;
    }
}

static void answered_end(struct world *w, int8_t cls)
{
    for (int i = w->verdicts; i < RCPTS; i++) {
        w->verdicts = (int8_t)(i + 1);
        if (!w->rcpt_ok[i])
            continue;
        w->verdict[i] = cls;
        if (pol->o.lmtp)
            return;
    }
}

/* Does LMTP owe another verdict? */
static bool owes(const struct world *w)
{
    for (int i = w->verdicts; i < RCPTS; i++)
        if (w->rcpt_ok[i])
            return pol->o.lmtp;
    return false;
}

static void drop_first(struct world *w)
{
    memmove(w->pending, w->pending + 1, (size_t)--w->npending);
    w->pending[w->npending] = 0;
}

/* The truth about a reply, before the engine reads it. */
static void note(struct world *w, char what, const char *text)
{
    int8_t cls = (int8_t)(text[0] - '0');

    if (strncmp(text, "250-yes", 7) == 0)
        cls = 5;
    if (what == 'E' && cls != 2)
        w->list = -1;
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

static bool server_acts(struct node *x, unsigned k)
{
    char what = x->w.pending[0];
    const char *text;

    if (k == 0) {
        x->w.gone = true;
        sp_cli_gone(x->c, SP_LIT("EOF"));
        return true;
    }
    if (k == 1) {
        x->w.gone = true;
        sp_cli_expired(x->c);
        return true;
    }
    text = reply(&x->w, what, k - 2);
    if (!text)
        return false;
    if (strncmp(text, "what", 4) == 0)
        x->w.gone = true; /* no reply at all, as far as the truth goes */
    else
        note(&x->w, what, text);
    say(x, text);
    return true;
}

static bool tls_acts(struct node *x, unsigned k)
{
    struct sp_cli_tls_facts f = {0};
    struct world *w = &x->w;

    w->event = 0;
    f.cert_sent = k & 1 && pol->o.have_certificate;
    f.reason = SP_LIT("why");
    if (k / 2 == 0 || k / 2 == 1) {
        f.verified = w->verified = k / 2 == 0;
        w->in_tls = true;
        w->cert_sent = f.cert_sent;
        w->list = -1;
        if (pol->o.tls == SP_CLI_TLS_IMPLICIT)
            push(w, 'G');
        return sp_cli_tls_done(x->c, &f) == 0;
    }
    if (k / 2 == 2) {
        w->failed_tls = true;
        f.ended_by_peer = k & 1;
        return sp_cli_tls_failed(x->c, &f) == 0;
    }
    if (k == 6) {
        w->injected = true;
        say(x, "250-srv\r\n250 AUTH PLAIN\r\n");
        return true;
    }
    return false;
}

static bool user_acts(struct node *x, unsigned k)
{
    static const struct sp_rcpt rcpt[RCPTS] = {{{"b@b", 3}, 0, {0}},
                                               {{"c@c", 3}, 0, {0}}};
    struct sp_mail m = {.path = {"a@a", 3}};
    struct world *w = &x->w;
    int e = w->event - 1;

    w->event = 0;
    switch (e) {
    case SP_CLI_HANDSHAKE:
        return tls_acts(x, k);
    case SP_CLI_AUTH:
        if (k == 0)
            return sp_cli_auth_token(x->c, SP_LIT("secret")) == 0;
        return k == 1 && sp_cli_auth_cancel(x->c, SP_LIT("no")) == 0;
    case SP_CLI_READY:
        if (k == 0)
            return sp_cli_quit(x->c) == 0;
        if (k != 1 || w->messages == 2)
            return false;
        w->messages++;
        w->open_txn = true;
        w->mail_ok = w->end_seen = w->bad_chunk = false;
        w->rcpts = w->verdicts = 0;
        memset(w->rcpt_ok, 0, sizeof w->rcpt_ok);
        memset(w->verdict, 0, sizeof w->verdict);
        if (sp_cli_mail(x->c, &m, rcpt, RCPTS, 8, NULL) < 0) {
            w->open_txn = false;
            return sp_cli_quit(x->c) == 0;
        }
        return true;
    case SP_CLI_BODY:
        if (k == 0)
            return sp_cli_body(x->c, "hello\r\n.x", 9) == 9 &&
                   sp_cli_body_end(x->c) == 0;
        if (k == 1)
            return sp_cli_body_abort(x->c) == 0;
        if (k == 2) {
            x->w.gone = true;
            sp_cli_gone(x->c, SP_LIT("EOF"));
            return true;
        }
        if (k == 3) {
            say(x, "250 queued\r\n");
            return true;
        }
        return false;
    default:
        return false;
    }
}

static bool act(struct node *x, unsigned k)
{
    if (x->w.event)
        return user_acts(x, k);
    if (x->w.npending)
        return server_acts(x, k);
    return false;
}

/* --- the search -------------------------------------------------------------------- */

static bool is_new(const struct node *x)
{
    uint64_t d[2];
    const unsigned char *p = (const unsigned char *)&x->w;
    size_t at;

    sp_cli_digest(x->c, d);
    for (size_t i = 0; i < sizeof x->w; i++) {
        d[0] = (d[0] ^ p[i]) * 0x100000001b3u;
        d[1] = (d[1] + p[i] + 1) * 0x9e3779b97f4a7c15u;
    }
    d[0] |= 1;
    for (at = d[1] % seen_cap; seen[at][0]; at = (at + 1) % seen_cap)
        if (seen[at][0] == d[0] && seen[at][1] == d[1])
            return false;
    seen[at][0] = d[0];
    seen[at][1] = d[1];
    return true;
}

static const char event_name[][10] = {"tls", "auth", "ready", "body"};

/* The dialogue from the beginning, by playing the actions again. */
static void explain(uint32_t from, unsigned last)
{
    uint8_t trail[TRAIL];
    int n = 0;
    struct node x = {0};
    uint32_t at = from;

    trail[n++] = (uint8_t)last;
    for (; nodes[at].depth && n < TRAIL; at = nodes[at].parent)
        trail[n++] = nodes[at].action;
    printf("policy %s: %s\n", pol->name, broken_rule);
    x.c = sp_cli_new(&pol->o, NULL);
    memset(&x.w, 0, sizeof x.w);
    x.w.list = -1;
    if (pol->o.tls != SP_CLI_TLS_IMPLICIT)
        push(&x.w, 'G');
    while (n-- && x.c) {
        struct sp_cli *before;

        settle(&x);
        before = sp_cli_clone(x.c);
        sp_cli_free(before);
        if (x.w.event)
            printf("  %s: choice %u\n", event_name[x.w.event - 1], trail[n]);
        else if (x.w.npending) {
            struct world copy = x.w;
            const char *t = trail[n] < 2 ? "EOF or timeout\r\n"
                                         : reply(&copy, copy.pending[0], trail[n] - 2u);

            printf("  to %c: %.*s\n", x.w.pending[0], (int)strcspn(t, "\r"), t);
        }
        (void)act(&x, trail[n]);
        settle(&x);
    }
    sp_cli_free(x.c);
}

static void add(struct node *x, uint32_t parent, unsigned action, unsigned depth)
{
    if (nnodes == cap_nodes) {
        cap_nodes = cap_nodes ? cap_nodes * 2 : 1024;
        nodes = realloc(nodes, cap_nodes * sizeof *nodes);
        assert(nodes);
    }
    x->parent = parent;
    x->action = (uint8_t)action;
    x->depth = (uint8_t)depth;
    nodes[nnodes++] = *x;
}

/* Returns the greatest depth where something was new. */
static unsigned explore(const struct policy *p, unsigned depth)
{
    struct node x;
    unsigned deepest = 0;

    pol = p;
    nnodes = 0;
    memset(seen, 0, seen_cap * sizeof *seen);
    memset(&x, 0, sizeof x);
    x.c = sp_cli_new(&p->o, NULL);
    assert(x.c);
    x.w.list = -1;
    if (p->o.tls != SP_CLI_TLS_IMPLICIT)
        push(&x.w, 'G');
    settle(&x);
    if (is_new(&x))
        add(&x, 0, 0, 0);
    for (uint32_t i = 0; i < nnodes && !broken_rule; i++) {
        bool more = !nodes[i].w.closed && nodes[i].depth < depth;

        for (unsigned k = 0; more && !broken_rule && k < 24; k++) {
            x = nodes[i];
            x.c = sp_cli_clone(nodes[i].c);
            assert(x.c);
            if (!act(&x, k)) {
                sp_cli_free(x.c);
                continue;
            }
            settle(&x);
            transitions++;
            if (broken_rule) {
                explain(i, k);
                sp_cli_free(x.c);
            } else if (is_new(&x)) {
                assert(nnodes * 2 < seen_cap);
                add(&x, i, k, nodes[i].depth + 1u);
                deepest = nodes[i].depth + 1u;
            } else {
                sp_cli_free(x.c);
            }
        }
        sp_cli_free(nodes[i].c);
        nodes[i].c = NULL;
    }
    for (uint32_t i = 0; i < nnodes; i++)
        sp_cli_free(nodes[i].c);
    return deepest;
}

#define PASSWORD .have_password = true, .authcid = "alice"
#define CERT     .have_certificate = true, .cert_address = "a@a"
static const struct policy policies[] = {
    {"tls required, nothing held", {.helo = "c"}},
    {"tls required, password", {.helo = "c", PASSWORD}},
    {"tls required, certificate", {.helo = "c", CERT}},
    {"tls required, both, auto", {.helo = "c", PASSWORD, CERT}},
    {"tls required, both, implicit",
     {.helo = "c", PASSWORD, CERT, .cert_login = SP_CLI_CERT_IMPLICIT}},
    {"tls required, both, explicit",
     {.helo = "c", PASSWORD, CERT, .cert_login = SP_CLI_CERT_EXPLICIT}},
    {"implicit tls, both, BDAT",
     {.helo = "c", PASSWORD, CERT, .tls = SP_CLI_TLS_IMPLICIT, .prefer_bdat = true}},
    {"opportunistic, nothing held", {.helo = "c", .tls = SP_CLI_TLS_OPPORTUNISTIC}},
    {"opportunistic, both",
     {.helo = "c", PASSWORD, CERT, .tls = SP_CLI_TLS_OPPORTUNISTIC}},
    {"no tls, password", {.helo = "c", PASSWORD, .tls = SP_CLI_TLS_NONE}},
    {"no tls, nothing held, BDAT",
     {.helo = "c", .tls = SP_CLI_TLS_NONE, .prefer_bdat = true}},
    {"LMTP", {.helo = "c", .tls = SP_CLI_TLS_NONE, .lmtp = true}},
    {"LMTP, BDAT",
     {.helo = "c", .tls = SP_CLI_TLS_NONE, .lmtp = true, .prefer_bdat = true}},
};

int main(int argc, char **argv)
{
    unsigned depth = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 9;
    uint64_t states = 0;
    int passed = 0;

    seen_cap = depth > 12 ? 1u << 22 : 1u << 19;
    seen = calloc(seen_cap, sizeof *seen);
    assert(seen);
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        uint64_t t = transitions;
        unsigned deepest;

        broken_rule = NULL;
        deepest = explore(&policies[i], depth);
        states += nnodes;
        printf("%-32s %8u states %9llu transitions, %s %u\n", policies[i].name, nnodes,
               (unsigned long long)(transitions - t),
               deepest < depth ? "closed at depth" : "depth", deepest);
        if (broken_rule)
            broken_count++;
        else
            passed++;
    }
    free(seen);
    free(nodes);
    printf("%llu states, %llu transitions\n%d passed, %d failed\n",
           (unsigned long long)states, (unsigned long long)transitions, passed,
           broken_count);
    return broken_count != 0;
}
