/* grade.c - one case after the other, and what is found: see grade.h, grade_i.h. */
#include "grade_i.h"

#include "alloc.h"
#include "err.h"
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    STEP_MS = 20,    /* the loop looks at the clock and at the command */
    QUIET_MS = 150,  /* after the command's end: what is still in flight */
    VISIT_MS = 1500, /* listen: nobody is connected any more */
    EV_BEFORE = 7,
    EV_AFTER = 3,
    QUEUE_MS = 10000, /* a queueing command: until its daemon comes, or says more */
};

static bool stopped(const struct grade *g)
{
    return g->o->stop && *g->o->stop;
}

/* ---- listening ---- */

static int listen_on(int family, uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr *a =
        family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
    socklen_t n = family == AF_INET ? sizeof a4 : sizeof a6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a6.sin6_addr = in6addr_loopback;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, a, n) < 0 || listen(fd, 16) < 0 || getsockname(fd, a, &n) < 0) {
        close(fd);
        return -1;
    }
    *ret_port = ntohs(family == AF_INET ? a4.sin_port : a6.sin6_port);
    return fd;
}

static int listen_all(struct grade *g, struct sp_err *err)
{
    uint16_t p = g->o->listen_port, q;

    /* A free port of IPv4 may be taken in IPv6: then another one. */
    for (int i = 0; i < 20; i++) {
        g->listener[0] = listen_on(AF_INET, p, &g->port);
        g->listener[1] = listen_on(AF_INET, p ? (uint16_t)(p + 1) : 0, &g->tls_port);
        if (g->o->ipv6) {
            g->listener[2] = listen_on(AF_INET6, g->port, &q);
            g->listener[3] = listen_on(AF_INET6, g->tls_port, &q);
        }
        if (g->listener[0] >= 0 && g->listener[1] >= 0 &&
            (!g->o->ipv6 || (g->listener[2] >= 0 && g->listener[3] >= 0)))
            return 0;
        for (int k = 0; k < 4; k++) {
            if (g->listener[k] >= 0)
                close(g->listener[k]);
            g->listener[k] = -1;
        }
        if (p)
            break;
    }
    return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot listen on port %u%s", p,
                      p ? " and the next one" : "");
}

/* ---- one round of the loop ---- */

static bool anybody(const struct grade *g)
{
    for (size_t i = 0; i < GRADE_CONNS; i++)
        if (g->conn[i].fd >= 0)
            return true;
    return false;
}

/* Waits a moment for whatever comes; true: something did. */
static bool turn(struct grade *g)
{
    struct pollfd p[4 + GRADE_CONNS + 1];
    int n;

    for (int i = 0; i < 4; i++)
        p[i] = (struct pollfd){g->listener[i], POLLIN, 0};
    for (size_t i = 0; i < GRADE_CONNS; i++)
        p[4 + i] = (struct pollfd){g->conn[i].fd, POLLIN, 0};
    p[4 + GRADE_CONNS] = (struct pollfd){g->said_fd, POLLIN, 0};
    n = poll(p, sizeof p / sizeof *p, STEP_MS);
    for (size_t i = 0; i < GRADE_CONNS; i++) {
        if (n > 0 && p[4 + i].revents && g->conn[i].fd >= 0)
            grade_readable(g, &g->conn[i]);
        else if (g->conn[i].fd >= 0)
            grade_idle(g, &g->conn[i]);
    }
    for (int i = 0; n > 0 && i < 4; i++)
        if (p[i].revents)
            grade_accept(g, g->listener[i], i % 2 == 1);
    grade_hear(g);
    return n > 0;
}

static void close_all(struct grade *g)
{
    for (size_t i = 0; i < GRADE_CONNS; i++)
        grade_close(g, &g->conn[i], false);
}

/* ---- a case, by running the command ---- */

static unsigned limit(const struct grade *g)
{
    unsigned ms = g->o->timeout_ms ? g->o->timeout_ms : GRADE_LIMIT_MS;

    return g->c->thorough ? GRADE_LONG_MS : g->c->limit_ms ? g->c->limit_ms : ms;
}

static void see_status(struct grade *g, bool killed)
{
    if (g->o->queues)
        return;
    if (killed)
        grade_see(g, SEEN_KILLED);
    else if (WIFSIGNALED(g->status))
        grade_see(g, SEEN_CRASHED);
    else
        grade_see(g, WEXITSTATUS(g->status) ? SEEN_FAILURE : SEEN_SUCCESS);
    if (killed)
        grade_note(g, NULL, "the command was still running after %u s and was ended",
                   limit(g) / 1000);
    else if (WIFSIGNALED(g->status))
        grade_note(g, NULL, "the command was ended by signal %d", WTERMSIG(g->status));
    else
        grade_note(g, NULL, "the command ended with exit status %d",
                   WEXITSTATUS(g->status));
}

/* After the command's end: what it sent last is still on its way; a queue's daemon only
 * begins, and --timeout says how slow all may be. */
static unsigned patience(const struct grade *g)
{
    unsigned quarter = limit(g) / 4;

    if (!g->o->queues)
        return QUIET_MS;
    return quarter > QUEUE_MS ? quarter : QUEUE_MS;
}

static int run_command(struct grade *g, struct sp_err *err)
{
    uint64_t end = grade_ms() + limit(g), quiet;
    bool killed = false;
    int rc = grade_start(g, err);

    if (rc < 0)
        return rc;
    while (!grade_ended(g) && !stopped(g) && !killed) {
        (void)turn(g);
        killed = grade_ms() > end;
    }
    quiet = grade_ms() + patience(g);
    while (!killed && !stopped(g) && grade_ms() < quiet &&
           grade_ms() < end + patience(g) &&
           (anybody(g) || (g->o->queues && !(g->seen & SEEN_BIT(SEEN_CONNECTED)))))
        if (turn(g))
            quiet = grade_ms() + patience(g);
    killed = killed && !grade_ended(g);
    if (killed)
        grade_note(g, NULL, "the time is over");
    grade_kill(g);
    close_all(g);
    if (!stopped(g))
        see_status(g, killed);
    return 0;
}

/* ---- a case, by waiting for a program with windows ---- */

/* A line typed by the person: 'y', 'n' or 0; true when there was one. */
static bool typed(const struct grade *g, int wait_ms, char *ret)
{
    struct pollfd p = {0, POLLIN, 0};
    char line[80];
    ssize_t n;

    if (!g->o->ask || poll(&p, 1, wait_ms) <= 0)
        return false;
    n = read(0, line, sizeof line);
    *ret = n > 0 && line[0] != '\n' ? (char)sp_lower((unsigned char)line[0]) : 0;
    return true;
}

static void ask_outcome(struct grade *g)
{
    char c = 0;

    if (!g->o->ask || !g->o->tell)
        return;
    fprintf(g->o->tell, "    Did the program say that the message was sent? [y/n] ");
    fflush(g->o->tell);
    while (!stopped(g) && !typed(g, 200, &c))
        ;
    if (c == 'y' || c == 'n')
        grade_see(g, c == 'y' ? SEEN_SUCCESS : SEEN_FAILURE);
    if (c == 'y' || c == 'n')
        grade_note(g, NULL, "the program said that the message was %ssent",
                   c == 'y' ? "" : "not ");
}

static int wait_for_visit(struct grade *g)
{
    uint64_t last = 0;
    char c;

    if (g->o->tell) {
        fprintf(g->o->tell, "    Now let the program send a message.%s\n",
                g->o->ask ? "  (Enter: go on without)" : "");
        fflush(g->o->tell);
    }
    while (!stopped(g)) {
        (void)turn(g);
        if (anybody(g) || !(g->seen & SEEN_BIT(SEEN_CONNECTED)))
            last = grade_ms();
        if (grade_ms() - last > VISIT_MS || typed(g, 0, &c))
            break;
    }
    close_all(g);
    if (g->seen & SEEN_BIT(SEEN_CONNECTED))
        ask_outcome(g);
    return 0;
}

/* ---- judging ---- */

/* "%s" of a story's fact: {when} is the situation. */
static void fact(const struct grade *g, struct sp_str s, char *out, size_t cap)
{
    s = sp_str_trim(s);
    if (sp_str_is(s, "{when}"))
        snprintf(out, cap, "%s", g->c->when);
    else
        snprintf(out, cap, "%.*s", (int)s.n, s.n ? s.p : "");
}

static void judge(struct grade *g, const struct grade_case *by)
{
    for (size_t i = 0; i < by->st.n; i++) {
        struct sp_str s = {by->st.step[i].text, by->st.step[i].len}, words, one, two;
        char a[120], b[120];
        size_t at = 0, before = g->n_pending;
        bool hold = false;
        int id;

        if (by->st.step[i].kind != SP_STORY_EXPECT)
            continue;
        id = sp_finding_by_id(sp_str_cut(&s, ':'));
        words = sp_str_cut(&s, '|');
        one = sp_str_cut(&s, '|');
        two = s;
        if (id < 0 || grade_holds(g->seen, words, &hold) < 0 || !hold)
            continue;
        for (int k = 0; k < SEEN_COUNT; k++)
            if (grade_words(words) & SEEN_BIT(k) && g->seen_at[k] > at)
                at = g->seen_at[k];
        fact(g, one, a, sizeof a);
        fact(g, two, b, sizeof b);
        grade_found(g, (enum sp_finding_id)id, one.n ? a : NULL, two.n ? b : NULL);
        if (g->n_pending > before)
            g->pending[before].at = at;
    }
}

static void evidence(const struct grade *g, size_t at, struct sp_evidence *ev)
{
    size_t from = at > EV_BEFORE ? at - EV_BEFORE : 0;

    for (size_t i = from; i < g->n_record && i <= at + EV_AFTER; i++) {
        const struct grade_line *l = &g->record[i];

        if (l->dir == SP_EV_NOTE)
            sp_ev_note(ev, l->where, "%s", l->text);
        else
            sp_ev_put(ev, (enum sp_ev_dir)l->dir, l->where,
                      (struct sp_str){l->text, l->n});
    }
    /* How it ended stands last: it belongs to every judgement. */
    if (g->n_record && at + EV_AFTER + 1 < g->n_record &&
        g->record[g->n_record - 1].dir == SP_EV_NOTE)
        sp_ev_note(ev, "", "%s", g->record[g->n_record - 1].text);
}

static void report(struct grade *g)
{
    for (size_t i = 0; i < g->n_pending; i++) {
        const struct grade_pending *p = &g->pending[i];
        struct sp_evidence ev = {0};

        evidence(g, p->at, &ev);
        (void)sp_finding_add(g->f, p->id, &ev, p->fact[0][0] ? p->fact[0] : NULL,
                             p->fact[1][0] ? p->fact[1] : NULL, NULL);
    }
}

/* ---- cases in their order ---- */

static const struct grade_case *common(const struct grade *g)
{
    return &g->cases[0];
}

static const char *lacks(const struct grade *g, const struct grade_case *c)
{
    unsigned missing = c->needs & ~g->at_hand;

    return missing & NEED_STARTTLS ? "the client uses implicit TLS, not STARTTLS"
           : missing & NEED_LOGIN  ? "the client does not log in with a password"
           : missing & NEED_CERT ? "the client has no certificate: use {cert} and {key}"
           : missing & NEED_TO2  ? "one recipient only: use {to2} as well"
           : c->thorough && !g->o->choice.thorough ? "only with --thorough"
                                                   : NULL;
}

static bool chosen(const struct grade *g, const struct grade_case *c)
{
    return !g->o->only_case || strcmp(g->o->only_case, c->name) == 0;
}

/* How many cases this run has.  The first one is played to see what there is. */
static unsigned planned(const struct grade *g)
{
    unsigned n = 1;

    for (size_t i = 2; i < g->n_cases; i++)
        n += sp_check_wanted(g->f, g->cases[i].check) && chosen(g, &g->cases[i]) &&
             (g->n_played < 2 || !lacks(g, &g->cases[i]));
    return n;
}

static int play(struct grade *g, const struct grade_case *c, struct sp_err *err)
{
    unsigned n = ++g->n_played, of = planned(g);
    int rc;

    g->c = c;
    grade_forget(g);
    rc = grade_message(g, err);
    if (rc < 0)
        return rc;
    sp_findings_say(g->f, "%s (%u/%u)", c->name, n, of);
    if (!g->o->argv && g->o->tell)
        fprintf(g->o->tell, "\n%u/%u  %s\n", n, of, c->st.name);
    rc = g->o->argv ? run_command(g, err) : wait_for_visit(g);
    /* Who never came showed nothing, not even that it keeps away. */
    if (rc == 0 && !stopped(g) && g->seen & SEEN_BIT(SEEN_CONNECTED)) {
        judge(g, c);
        judge(g, common(g));
    }
    return rc;
}

static bool argv_has(const struct grade *g, const char *what)
{
    for (size_t i = 0; g->o->argv && g->o->argv[i]; i++)
        if (strstr(g->o->argv[i], what))
            return true;
    return false;
}

/* What the ordinary submission showed. */
static void learn(struct grade *g)
{
    uint64_t s = g->seen;

    g->at_hand = 0;
    if (s & (SEEN_BIT(SEEN_STARTTLS) | SEEN_BIT(SEEN_EHLO_CLEAR) |
             SEEN_BIT(SEEN_HELO_CLEAR)))
        g->at_hand |= NEED_STARTTLS;
    if (s & SEEN_BIT(SEEN_AUTH_TLS) && !(s & SEEN_BIT(SEEN_EXTERNAL)))
        g->at_hand |= NEED_LOGIN;
    if (s & SEEN_BIT(SEEN_CERT))
        g->at_hand |= NEED_CERT;
    if (argv_has(g, "{to2}"))
        g->at_hand |= NEED_TO2;
}

/* The last words of a command that never came, if they are no secret. */
static void last_words(const struct grade *g, char *out, size_t cap)
{
    struct sp_str s = {g->said, g->n_said}, last = {NULL, 0};

    while (s.n) {
        struct sp_str l = sp_str_trim(sp_str_cut(&s, '\n'));

        if (l.n && !memmem(l.p, l.n, g->password, strlen(g->password)))
            last = l;
    }
    snprintf(out, cap, "%.*s", last.n > 100 ? 100 : (int)last.n, last.n ? last.p : "");
}

/* 0: go on; otherwise there is nothing to grade, and f says why. */
static int ordinary(struct grade *g, const struct grade_case *c, struct sp_err *err)
{
    char said[120];
    int rc = play(g, c, err);

    if (rc < 0 || stopped(g))
        return rc < 0 ? rc : -SP_EAGAIN;
    learn(g);
    if (!(g->seen & SEEN_BIT(SEEN_CONNECTED))) {
        last_words(g, said, sizeof said);
        sp_findings_failed(g->f, EX_UNAVAILABLE, "the client never connected%s%s",
                           *said ? "; it said: " : "", said);
        return -SP_ENOENT;
    }
    if (!(g->seen & SEEN_BIT(SEEN_DELIVERED))) {
        last_words(g, said, sizeof said);
        grade_found(g, SP_F_ORDINARY_NOT_DELIVERED, *said ? said : "it said nothing",
                    NULL);
        report(g);
        return -SP_EINPUT;
    }
    return 0;
}

/* The cases of one check, from *i on. */
static int run_check(struct grade *g, size_t *i, struct sp_err *err)
{
    enum sp_check_id check = g->cases[*i].check;
    bool begun = sp_check_wanted(g->f, check) && sp_check_begin(g->f, check);
    unsigned conns = 0, failed = 0, played = 0, missed = 0;
    const char *why = NULL;
    struct sp_buf away;
    int rc = 0;

    sp_buf_init(&away, 400);
    for (; *i < g->n_cases && g->cases[*i].check == check; (*i)++) {
        const struct grade_case *c = &g->cases[*i];
        const char *lack = lacks(g, c);

        if (!begun || rc < 0 || stopped(g) || !chosen(g, c))
            continue;
        if (lack)
            why = lack;
        if (lack)
            continue;
        if (*i != 1) /* the ordinary one was played to see what there is */
            rc = play(g, c, err);
        if (*i == 1)
            continue;
        if (rc == 0 && !stopped(g))
            report(g);
        if (rc == 0 && !stopped(g) && !(g->seen & SEEN_BIT(SEEN_CONNECTED)))
            (void)sp_buf_printf(&away, "%s%s", missed++ ? ", " : "", c->name);
        played++;
        conns += g->conns;
        failed += g->failed_logins;
    }
    if (begun && check == g->cases[1].check)
        played++;
    if (begun && rc == 0 && missed && missed == played)
        sp_check_not_run(g->f, check, "the client did not connect");
    else if (begun && rc == 0 && played)
        sp_check_done(g->f, check, conns, failed);
    else if (begun && rc == 0)
        sp_check_not_run(g->f, check, "%s", why ? why : "not asked for");
    if (begun && rc == 0 && missed && missed < played)
        sp_check_partly(g->f, check, "the client did not connect in %.*s", (int)away.n,
                        away.p);
    sp_buf_free(&away);
    return rc;
}

static int run_all(struct grade *g, struct sp_err *err)
{
    size_t i = 1;
    int rc = ordinary(g, &g->cases[1], err);

    if (rc == -SP_ENOENT || rc == -SP_EINPUT || rc == -SP_EAGAIN)
        return 0; /* it is on record */
    if (rc == 0 && sp_check_wanted(g->f, g->cases[1].check))
        report(g);
    while (rc == 0 && i < g->n_cases && !stopped(g))
        rc = run_check(g, &i, err);
    return rc;
}

static void facts(struct grade *g)
{
    struct sp_buf b;

    sp_buf_init(&b, 4096);
    for (size_t i = 0; g->o->argv && g->o->argv[i]; i++)
        (void)sp_buf_printf(&b, "%s%s", i ? " " : "", g->o->argv[i]);
    if (!g->o->argv)
        (void)sp_buf_printf(&b, "the program that connects to port %u", g->port);
    (void)sp_findings_fact(g->f, "client", sp_buf_view(&b));
    sp_buf_free(&b);
}

/* What a person must enter into the program's windows. */
static void tell(const struct grade *g)
{
    FILE *t = g->o->tell;

    if (g->o->argv || !t)
        return;
    fprintf(
        t,
        "Set the program up like this; the settings stay the same for all cases:\n\n"
        "    server        localhost, port %u with STARTTLS (or %u with implicit "
        "TLS)\n"
        "    user          %s\n"
        "    password      %s\n"
        "    sender        %s\n"
        "    recipients    someone@check.test, %s\n"
        "    authority     %s  (let the program, or the system, trust it)\n"
        "    certificate   %s and %s  (if it is to log in with one)\n",
        g->port, g->tls_port, g->user, g->password, g->from, g->to2, g->path[P_CA],
        g->path[P_CERT], g->path[P_KEY]);
    fflush(t);
}

static int prepare(struct grade *g, struct sp_err *err)
{
    int rc = grade_load(g, g->o->story_dir, err);
    bool there = !g->o->only_case;

    if (rc < 0)
        return rc;
    for (size_t i = 1; i < g->n_cases; i++)
        there = there || strcmp(g->o->only_case, g->cases[i].name) == 0;
    if (!there)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                          "there is no case `%.60s`: see --list", g->o->only_case);
    if (argv_has(g, "{cert}"))
        g->at_hand |= NEED_CERT;
    g->login_wanted = !g->o->argv || argv_has(g, "{cert}") ||
                      argv_has(g, "{password}") || argv_has(g, "{password-file}");
    g->record = sp_alloc(GRADE_RECORD * sizeof *g->record);
    if (!g->record)
        return sp_err_nomem(err);
    rc = listen_all(g, err);
    return rc < 0 ? rc : grade_world(g, err);
}

static int exit_status(int rc)
{
    return rc == -SP_ENOENT || rc == -SP_EINPUT ? EX_NOINPUT
           : rc == -SP_ELIMIT                   ? EX_USAGE
                                                : EX_OSERR;
}

int sp_grade_run(const struct sp_grade_options *o, struct sp_findings *f)
{
    struct sp_err err = {0};
    struct grade *g = sp_alloc(sizeof *g);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    int rc;

    if (!g)
        return -SP_ENOMEM;
    g->o = o;
    g->f = f;
    g->pid = g->group = g->said_fd = -1;
    for (int i = 0; i < 4; i++)
        g->listener[i] = -1;
    for (size_t i = 0; i < GRADE_CONNS; i++)
        g->conn[i].fd = -1;
    (void)sigaction(SIGPIPE, &ignore, &old); /* SSL_write to one who left */
    rc = prepare(g, &err);
    if (rc == 0) {
        facts(g);
        tell(g);
        rc = run_all(g, &err);
    }
    if (rc < 0)
        sp_findings_failed(f, exit_status(rc), "%s", err.text);
    if (stopped(g))
        sp_findings_interrupted(f);
    for (int i = 0; i < 4; i++)
        if (g->listener[i] >= 0)
            close(g->listener[i]);
    if (g->record)
        grade_forget(g);
    sp_free(g->record);
    grade_world_end(g);
    grade_unload(g);
    (void)sigaction(SIGPIPE, &old, NULL);
    sp_free(g);
    return rc;
}
