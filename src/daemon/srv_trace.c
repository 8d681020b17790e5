/*
 * srv_trace.c - live sessions for `sallyport trace`; see server_role.h.
 *
 * While nobody traces this costs one test of a pointer.  Otherwise input is shown to the
 * engine line by line (any split gives the same answers), because what a line is - a
 * command, a step of a login, content - is known only in front of it.  Of a login nothing
 * is shown but its mechanism, of unknown commands and of content only the length: a
 * client that is out of step sends its password as a command.
 */
#include "server_role.h"

#include "alloc.h"
#include "secret.h"
#include "srv.h"

#include <stdio.h>
#include <string.h>

enum {
    WISHES_MAX = 8,
    LINE_MAX_N = 1000,
    BACK_MAX = 8192,       /* what is kept of a session until its user is known */
    LINES_A_SECOND = 2000, /* of this process: tracing must not be what slows it down */
};

struct wish {
    uint64_t id;
    char *user;
    struct sp_conf *net; /* its first listener's `proxies` is the network */
};

struct srv_trace {
    struct wish wish[WISHES_MAX];
    size_t n;
    bool by_user;
    uint64_t second, lines, lost;
};

struct srv_traced {
    enum sp_mode mode; /* of what is being collected */
    char line[LINE_MAX_N];
    size_t n;      /* kept */
    uint64_t size; /* came */
    struct sp_buf back;
};

/* ---- what is wanted ---- */

static void trace_free(struct srv_trace *t)
{
    for (size_t i = 0; t && i < t->n; i++) {
        sp_free(t->wish[i].user);
        sp_conf_unref(t->wish[i].net);
    }
    sp_free(t);
}

struct sp_conf *srv_trace_network(const char *network)
{
    struct sp_conf_errors errs;
    struct sp_conf *c = NULL;
    char text[300];
    int n = snprintf(text, sizeof text,
                     "listener x {\naddress = *:1\ntype = proxied\nproxies = %s\n}\n",
                     network);

    sp_conf_errors_init(&errs);
    if (n > 0 && n < (int)sizeof text && !strpbrk(network, " \t\n\"#=\\"))
        c = sp_conf_parse(sp_str(text), NULL, &errs);
    sp_conf_errors_free(&errs);
    return c;
}

void srv_trace_set(struct srv *srv, const Sp__TraceSet *m)
{
    struct srv_trace *t = m->n_wish ? sp_alloc(sizeof *t) : NULL;

    for (size_t i = 0; t && i < m->n_wish && i < WISHES_MAX; i++) {
        struct wish *w = &t->wish[t->n];

        w->id = m->wish[i]->id;
        w->user = m->wish[i]->user[0] ? sp_strdup(m->wish[i]->user) : NULL;
        w->net = m->wish[i]->network[0] ? srv_trace_network(m->wish[i]->network) : NULL;
        if (!w->user && !w->net)
            continue; /* everything is more than one asks for */
        t->by_user |= w->user != NULL;
        t->n++;
    }
    trace_free(srv->trace);
    srv->trace = t;
}

static bool matches(const struct srv_session *s, const struct wish *w)
{
    if (w->user)
        return strcmp(w->user, s->login) == 0 ||
               (s->who && (strcmp(w->user, s->who->user) == 0 ||
                           strcmp(w->user, s->who->login) == 0));
    return sp_conf_nets_have(&w->net->listeners[0].proxies, s->address);
}

/* ---- lines out ---- */

static bool may_send(struct srv *srv)
{
    struct srv_trace *t = srv->trace;
    uint64_t second = uv_now(&srv->role->loop) / 1000;

    if (t->second != second) {
        t->second = second;
        t->lines = 0;
    }
    return t->lines++ < LINES_A_SECOND && srv->queue && !sp_port_full(srv->queue);
}

static void send_line(struct srv_session *s, const struct wish *w, const char *side,
                      struct sp_str text)
{
    Sp__Traced m = SP__TRACED__INIT;
    struct srv_trace *t = s->srv->trace;

    if (!may_send(s->srv)) {
        t->lost++;
        return;
    }
    m.id = w->id;
    m.at_ms = sp_wall_ms();
    m.session = s->id;
    m.from = s->peer;
    m.user = s->who ? s->who->user : (char *)(uintptr_t) "";
    m.side = (char *)(uintptr_t)side;
    m.text = (ProtobufCBinaryData){text.n, (uint8_t *)(uintptr_t)text.p};
    m.lost = t->lost;
    if (sp_port_say(s->srv->queue, SP_MSG_TRACED, &m.base) == 0)
        t->lost = 0;
}

/* What was kept until it was known whose it is: "S 220 ...\n". */
static void send_back(struct srv_session *s)
{
    struct sp_str rest = sp_buf_view(&s->traced->back);

    while (rest.n) {
        struct sp_str l = sp_str_cut(&rest, '\n');
        char side[2] = {l.n ? l.p[0] : '*', '\0'};

        if (l.n < 2)
            continue;
        l = (struct sp_str){l.p + 2, l.n - 2};
        for (size_t i = 0; i < s->srv->trace->n; i++)
            if (s->srv->trace->wish[i].user && matches(s, &s->srv->trace->wish[i]))
                send_line(s, &s->srv->trace->wish[i], side, l);
    }
    sp_buf_free(&s->traced->back);
}

static void emit(struct srv_session *s, const char *side, struct sp_str text)
{
    struct srv_trace *t = s->srv->trace;
    bool user = false;

    for (size_t i = 0; i < t->n; i++)
        user |= t->wish[i].user && matches(s, &t->wish[i]);
    if (user && s->traced->back.n)
        send_back(s);
    if (t->by_user && !user && s->traced->back.n + text.n + 3 < BACK_MAX) {
        (void)sp_buf_puts(&s->traced->back, side);
        (void)sp_buf_puts(&s->traced->back, " ");
        (void)sp_buf_str(&s->traced->back, text);
        (void)sp_buf_puts(&s->traced->back, "\n");
    }
    for (size_t i = 0; i < t->n; i++)
        if (matches(s, &t->wish[i]))
            send_line(s, &t->wish[i], side, text);
}

static bool ready(struct srv_session *s)
{
    if (!s->srv->trace)
        return false;
    if (!s->traced) {
        s->traced = sp_alloc(sizeof *s->traced);
        if (s->traced)
            sp_buf_init(&s->traced->back, BACK_MAX);
    }
    return s->traced != NULL;
}

void srv_trace_forget(struct srv_session *s)
{
    if (!s->traced)
        return;
    sp_buf_free(&s->traced->back);
    sp_free(s->traced);
    s->traced = NULL;
}

/* ---- the client's side ---- */

static void command(struct srv_session *s)
{
    struct srv_traced *t = s->traced;
    struct sp_str l = sp_str_trim((struct sp_str){t->line, t->n}), rest, verb, mech;
    char text[LINE_MAX_N + 100];
    int n;

    while (l.n && (l.p[l.n - 1] == '\r' || l.p[l.n - 1] == '\n'))
        l.n--;
    rest = l;
    verb = sp_str_cut(&rest, ' ');
    if (sp_str_caseis(verb, "AUTH")) {
        mech = sp_str_cut(&rest, ' ');
        n = snprintf(text, sizeof text, "AUTH %.*s%s", (int)(mech.n > 40 ? 40 : mech.n),
                     mech.n ? mech.p : "", rest.n ? " ****" : "");
    } else if (sp_verb_find(s->engine, verb)) {
        n = snprintf(text, sizeof text, "%.*s%s", (int)l.n, l.n ? l.p : "",
                     t->size > t->n ? " ..." : "");
    } else {
        n = snprintf(text, sizeof text, "(no known command, %llu octets)",
                     (unsigned long long)t->size);
    }
    emit(s, "C", (struct sp_str){text, n > 0 ? (size_t)n : 0});
}

static void flush(struct srv_session *s)
{
    struct srv_traced *t = s->traced;
    char text[80];

    if (t->size == 0)
        return;
    if (t->mode == SP_IN_COMMAND) {
        command(s);
    } else {
        snprintf(text, sizeof text,
                 t->mode == SP_IN_AUTH ? "****" : "(%llu octets of a message)",
                 (unsigned long long)t->size);
        emit(s, "C", sp_str(text));
    }
    sp_wipe(t->line, t->n);
    t->n = t->size = 0;
}

size_t srv_trace_piece(struct srv_session *s, const char *p, size_t n)
{
    const char *end;

    if (!ready(s) || !s->engine)
        return n;
    if (s->traced->mode != s->engine->mode)
        flush(s);
    s->traced->mode = s->engine->mode;
    if (s->traced->mode != SP_IN_COMMAND && s->traced->mode != SP_IN_AUTH)
        return n;
    end = memchr(p, '\n', n);
    return end ? (size_t)(end - p) + 1 : n;
}

void srv_trace_took(struct srv_session *s, const char *p, size_t n)
{
    struct srv_traced *t = s->traced;
    size_t room;

    if (!s->srv->trace || !t || n == 0 || !s->engine)
        return;
    room = t->mode == SP_IN_COMMAND ? sizeof t->line - t->n : 0;
    memcpy(t->line + t->n, p, n < room ? n : room);
    t->n += n < room ? n : room;
    t->size += n;
    if (t->mode == SP_IN_COMMAND || t->mode == SP_IN_AUTH ? p[n - 1] == '\n'
                                                          : t->mode != s->engine->mode)
        flush(s);
}

/* ---- ours, and what happened ---- */

void srv_trace_out(struct srv_session *s, const char *p, size_t n)
{
    struct sp_str rest = {p, n};

    if (!ready(s))
        return;
    /* This answers the content that was counted so far. */
    if (s->traced->mode == SP_IN_DATA || s->traced->mode == SP_IN_CHUNK)
        flush(s);
    while (rest.n) {
        struct sp_str l = sp_str_cut(&rest, '\n');

        while (l.n && l.p[l.n - 1] == '\r')
            l.n--;
        /* A challenge can hold what the login is made from. */
        if (l.n > 4 && memcmp(l.p, "334 ", 4) == 0)
            l = SP_LIT("334 ****");
        emit(s, "S", l);
    }
}

void srv_trace_note(struct srv_session *s, const char *what, const char *more)
{
    char text[400];

    if (!ready(s))
        return;
    snprintf(text, sizeof text, "%s%s%.300s", what, *more ? ": " : "", more);
    emit(s, "*", sp_str(text));
}
