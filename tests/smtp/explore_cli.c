/*
 * explore_cli.c - every dialogue that a server of a small grammar can have with the
 * client engine, breadth first, each different state once.
 *
 *     explore_cli [depth]        default 9; the long test goes until nothing is new
 *
 * The world around the engine (server, TLS, user) is `struct world`: what was truly
 * said and answered (cli_world.h, with what must be true of it).  A broken rule prints
 * the dialogue that leads to it.
 */
#include "cli_world.h"

#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RCPTS = CLI_WORLD_RCPTS, TRAIL = 40 };

struct list {
    const char *lines; /* behind the first */
    struct cli_world_list says;
};
#define M(x) SP_MECH_BIT(SP_MECH_##x)
static const struct list lists[] = {
    {"250 HELP\r\n", {0, 0, 0, 0, 0}},
    {"250-AUTH PLAIN\r\n250 STARTTLS\r\n", {1, 0, 0, 0, M(PLAIN)}},
    {"250-STARTTLS\r\n250-SIZE 9\r\n250-PIPELINING\r\n250 AUTH CRAM-MD5 EXTERNAL\r\n",
     {1, 1, 0, 1, M(CRAM_MD5) | M(EXTERNAL)}},
    {"250-PIPELINING\r\n250 AUTH=PLAIN\r\n", {0, 1, 0, 0, M(PLAIN)}},
    {"250-AUTH EXTERNAL SCRAM-SHA-256 LOGIN\r\n250 CHUNKING\r\n",
     {0, 0, 1, 0, M(EXTERNAL) | M(SCRAM_SHA_256) | M(LOGIN)}},
    {"250-SIZE 99999\r\n250-CHUNKING\r\n250-PIPELINING\r\n250 AUTH EXTERNAL\r\n",
     {0, 1, 1, 1, M(EXTERNAL)}},
};
enum { LISTS = sizeof lists / sizeof lists[0] };

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

static void hear(struct node *x)
{
    size_t n;
    const char *p = sp_cli_out(x->c, &n);

    cli_world_hear(&x->w, (struct sp_str){p, n});
    sp_cli_out_ack(x->c, n);
}

static void settle(struct node *x)
{
    struct sp_cli_event ev;
    size_t n = 1;

    while (n && !cli_world_broken) {
        n = 0;
        while (sp_cli_next(x->c, &ev)) {
            cli_world_reported(&x->w, &ev);
            n = 1;
        }
        size_t out;

        (void)sp_cli_out(x->c, &out);
        if (out) {
            hear(x);
            n = 1;
        }
    }
    cli_world_settled(&x->w);
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
    if (at < len && !x->w.closed && !cli_world_broken)
        cli_world_broken = "input refused where a reply was awaited";
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
        w->list = lists[k].says;
        w->has_list = true;
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
        cli_world_note(&x->w, what, text);
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
        memset(&w->list, 0, sizeof w->list);
        w->has_list = false;
        if (pol->o.tls == SP_CLI_TLS_IMPLICIT)
            cli_world_push(w, 'G');
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
        cli_world_new_message(w);
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
    printf("policy %s: %s\n", pol->name, cli_world_broken);
    x.c = sp_cli_new(&pol->o, NULL);
    cli_world_begin(&x.w, &pol->o);
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
    cli_world_begin(&x.w, &p->o);
    settle(&x);
    if (is_new(&x))
        add(&x, 0, 0, 0);
    for (uint32_t i = 0; i < nnodes && !cli_world_broken; i++) {
        bool more = !nodes[i].w.closed && nodes[i].depth < depth;

        for (unsigned k = 0; more && !cli_world_broken && k < 24; k++) {
            x = nodes[i];
            x.c = sp_cli_clone(nodes[i].c);
            assert(x.c);
            if (!act(&x, k)) {
                sp_cli_free(x.c);
                continue;
            }
            settle(&x);
            transitions++;
            if (cli_world_broken) {
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

        cli_world_broken = NULL;
        deepest = explore(&policies[i], depth);
        states += nnodes;
        printf("%-32s %8u states %9llu transitions, %s %u\n", policies[i].name, nnodes,
               (unsigned long long)(transitions - t),
               deepest < depth ? "closed at depth" : "depth", deepest);
        if (cli_world_broken)
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
