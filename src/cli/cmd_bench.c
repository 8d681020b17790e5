/*
 * cmd_bench.c - `sallyport bench`: load, through the client engine.
 *
 * One process, one loop, N connections that each send M messages (or, with --reconnect,
 * M sessions of one message; with --login-only, M sessions without a message).  The time
 * of a message is from its final dot to the reply; rates are over the whole run.
 *
 * Every message that was planned ends in one of four ways: sent, refused (the server
 * said no), failed (the session did), not tried (the run ended before).
 */
#include "alloc.h"
#include "err.h"
#include "sendexit.h"
#include "target.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    TIMEOUT_S = 60, /* for one reply, unless --timeout says otherwise */
    FILES = 32,     /* besides a socket for each connection */
    HOPELESS = 10,  /* so many failures before the first success: it ends */
    TERMINAL_MS = 200,
    LOG_MS = 10000,
};

static const struct sp_option options[] = {
    SP_OPT_TARGET,
    {"connections", 'n', "N", "connections at a time (default 50)"},
    {"messages", 'M', "N", "messages on each (default 100)"},
    {"size", 'S', "OCTETS", "size of a message (default 10240)"},
    {"recipients", 'r', "N", "recipients of a message (default 1)"},
    {"from", 'f', "ADDRESS", "reverse-path"},
    {"to", 't', "ADDRESS", "recipient"},
    {"reconnect", 'R', NULL, "a new connection for each message"},
    {"login-only", 'L', NULL, "sessions without a message: connect, TLS, AUTH, QUIT"},
    {"logins", 0, "N",
     "connections at a time that are not logged in yet (default: all)"},
    {"no-pipelining", 0, NULL, "one command at a time"},
    {"bdat", 0, NULL, "BDAT instead of DATA"},
    SP_OPT_JSON,
    SP_OPT_END,
};

struct bench;

struct worker {
    struct bench *b;
    struct sp_talk *talk;
    uint64_t left;      /* messages, or sessions, not yet begun */
    uint64_t dot_ns;    /* when the last octet was given to the engine */
    uint64_t dialed_ns; /* when the session began */
    size_t at;          /* of the message */
    bool open, ended;
    bool waits, comes; /* counted in bench.waiting, bench.coming */
    bool pending;      /* a message was begun and its end is not known */
    bool leaving;      /* QUIT was said: what fails now fails nobody */
};

struct bench {
    struct sp_target t;
    const struct sp_args *a;
    uv_loop_t loop;
    struct sp_net *net;
    uv_timer_t progress;
    uv_signal_t stop;
    struct worker *w;
    uint64_t connections, messages, size, recipients;
    uint64_t logins, coming,
        waiting; /* on the way to a login: at most, now; kept back */
    bool reconnect, login_only, stopping, json, terminal;
    struct sp_rcpt *rcpt;
    struct sp_mail mail;
    char *text;
    size_t text_n;
    uint32_t *us; /* one a message, or a session */
    uint64_t sent, refused, failed, sessions, sessions_failed;
    uint64_t active, start_ns, end_ns;
    int status; /* of a run that was given up */
    char first_error[500];
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void note_error(struct bench *b, const char *text)
{
    if (!b->first_error[0])
        snprintf(b->first_error, sizeof b->first_error, "%s", text);
}

static uint64_t succeeded(const struct bench *b)
{
    return b->login_only ? b->sessions : b->sent;
}

static void end_worker(struct worker *w);

static void abort_all(struct bench *b)
{
    b->stopping = true;
    for (uint64_t i = 0; i < b->connections; i++)
        if (b->w[i].talk)
            sp_talk_abort(b->w[i].talk);
        else if (b->w[i].waits)
            end_worker(&b->w[i]);
    b->waiting = 0;
}

/* What cannot get better is not done thousands of times. */
static void give_up(struct bench *b, int status)
{
    if (b->stopping)
        return;
    b->status = status;
    abort_all(b);
}

static void give_up_if_hopeless(struct bench *b, int status)
{
    if (succeeded(b) == 0 && b->refused + b->failed >= HOPELESS)
        give_up(b, status);
}

static void start(struct worker *w);

/* For servers whose listen queue is short: those who were kept back may come. */
static void start_waiting(struct bench *b)
{
    for (uint64_t i = 0; i < b->connections && b->waiting && b->coming < b->logins; i++)
        if (b->w[i].waits) {
            b->w[i].waits = false;
            b->waiting--;
            start(&b->w[i]);
        }
}

/* It has logged in, or failed to. */
static void has_come(struct worker *w)
{
    if (!w->comes)
        return;
    w->comes = false;
    w->b->coming--;
    start_waiting(w->b);
}

static void leave(struct worker *w)
{
    w->leaving = true;
    sp_talk_quit(w->talk);
}

/* The next message, or once more the one that a reconnect has interrupted. */
static void next(struct worker *w)
{
    struct bench *b = w->b;
    struct sp_err err;

    if (!w->pending && (w->left == 0 || b->stopping || b->login_only)) {
        leave(w);
        return;
    }
    if (!w->pending)
        w->left--;
    w->pending = true;
    w->at = 0;
    if (sp_talk_mail(w->talk, &b->mail, b->rcpt, b->recipients, b->text_n, &err) == 0)
        return;
    w->pending = false;
    b->failed++;
    note_error(b, err.text);
    give_up(b, EX_UNAVAILABLE); /* too large, say: the next one would be, too */
}

static void on_ready(struct sp_talk *t, enum sp_cli_login login, enum sp_mech mech,
                     struct sp_str words, struct sp_str pin, void *arg)
{
    struct worker *w = arg;
    struct bench *b = w->b;

    (void)t;
    (void)login;
    (void)mech;
    (void)words;
    (void)pin;
    has_come(w);
    if (!w->open) {
        w->open = true;
        if (b->login_only) {
            w->left--;
            b->us[b->sessions] = (uint32_t)((now_ns() - w->dialed_ns) / 1000);
        }
        b->sessions++;
    } else if (b->reconnect && !w->pending) {
        leave(w);
        return;
    }
    next(w);
}

static void on_body(struct sp_talk *t, void *arg)
{
    struct worker *w = arg;
    struct bench *b = w->b;

    while (w->at < b->text_n) {
        size_t took = sp_talk_body(t, b->text + w->at, b->text_n - w->at);

        if (took == 0)
            return;
        w->at += took;
    }
    w->dot_ns = now_ns();
    sp_talk_body_end(t);
}

static void on_sent(struct sp_talk *t, const struct sp_cli_event *ev, void *arg)
{
    const struct sp_reply *r = &ev->u.sent.reply;
    struct worker *w = arg;
    struct bench *b = w->b;
    char text[300];

    (void)t;
    if (!ev->u.sent.accepted && r->code < 400)
        return; /* the session broke: failed() says how, and counts it */
    w->pending = false;
    if (ev->u.sent.accepted) {
        b->us[b->sent++] = (uint32_t)((now_ns() - w->dot_ns) / 1000);
        return;
    }
    b->refused++;
    snprintf(text, sizeof text, "%d %.*s", r->code,
             (int)(r->text.n > 200 ? 200 : r->text.n), r->text.n ? r->text.p : "");
    note_error(b, text);
    give_up_if_hopeless(b,
                        sp_send_exit(ev->u.sent.stage, r->code, SP_CLASS_PEER, false));
}

static void on_failed(struct sp_talk *t, const struct sp_talk_failure *f, void *arg)
{
    struct worker *w = arg;
    struct bench *b = w->b;
    bool login = f->auth_rejected || f->need_login;
    int status = sp_send_exit(f->stage, f->reply.code, f->cls, login);

    (void)t;
    if (w->leaving || b->stopping)
        return;
    b->sessions_failed++;
    if (w->pending ||
        w->left) { /* one message goes with it, or we would try for ever */
        w->left -= !w->pending;
        w->pending = false;
        b->failed++;
    }
    note_error(b, f->words);
    if (b->sessions == 0 && (login || f->cls == SP_CLASS_INSECURE))
        give_up(b, status); /* the same password, the same certificate, for all */
    give_up_if_hopeless(b, status);
}

static void finish(struct bench *b)
{
    b->end_ns = now_ns();
    if (!uv_is_closing((uv_handle_t *)&b->progress))
        uv_close((uv_handle_t *)&b->progress, NULL);
    if (!uv_is_closing((uv_handle_t *)&b->stop))
        uv_close((uv_handle_t *)&b->stop, NULL);
}

static void end_worker(struct worker *w)
{
    if (w->ended)
        return;
    w->ended = true;
    if (--w->b->active == 0)
        finish(w->b);
}

static void on_closed(void *arg)
{
    struct worker *w = arg;

    w->talk = NULL;
    has_come(w);
    w->open = w->leaving = false;
    if (w->left && !w->b->stopping)
        start(w);
    else
        end_worker(w);
}

static const struct sp_talk_ops ops = {.ready = on_ready,
                                       .body = on_body,
                                       .sent = on_sent,
                                       .failed = on_failed,
                                       .closed = on_closed};

static void start(struct worker *w)
{
    struct sp_err err;

    if (w->b->coming >= w->b->logins) {
        w->waits = true;
        w->b->waiting++;
        return;
    }
    w->dialed_ns = now_ns();
    w->talk = sp_talk_new(w->b->net, &w->b->t.talk, &ops, w, &err);
    if (w->talk) {
        w->comes = true;
        w->b->coming++;
        return;
    }
    note_error(w->b, err.text);
    w->b->failed += w->left;
    w->b->sessions_failed++;
    w->left = 0;
    end_worker(w);
}

/* ---- preparing ---- */

static int number(const struct sp_args *a, const char *name, uint64_t usual,
                  uint64_t max, uint64_t *ret)
{
    const char *s = sp_arg(a, name);

    *ret = usual;
    if (s && (sp_str_u64(sp_str(s), max, ret) < 0 || *ret == 0))
        return sp_usage_error(a, "--%s wants a number from 1 to %llu, not `%s`", name,
                              (unsigned long long)max, s);
    return 0;
}

static int make_message(struct bench *b)
{
    struct sp_buf m;
    const char *from = sp_arg(b->a, "from"), *to = sp_arg(b->a, "to");

    b->mail.path = sp_str(from);
    b->rcpt = sp_alloc(b->recipients * sizeof *b->rcpt);
    for (uint64_t i = 0; b->rcpt && i < b->recipients; i++)
        b->rcpt[i].path = sp_str(to);
    sp_buf_init(&m, b->size + 4096);
    (void)sp_buf_printf(&m,
                        "From: <%s>\r\nTo: <%s>\r\nSubject: load\r\n"
                        "Date: Sun, 22 Nov 2026 00:00:00 +0000\r\n"
                        "Message-ID: <load@%s>\r\n\r\n",
                        from, to, b->t.helo);
    while (m.n < b->size) {
        static const char line[] = "The quick brown fox jumps over the lazy dog and "
                                   "runs on to 76 octets.....\r\n";
        size_t n = b->size - m.n < sizeof line - 1 ? b->size - m.n : sizeof line - 1;

        if (n < 3)
            n = 3;
        if (sp_buf_put(&m, line + sizeof line - 1 - n, n) < 0)
            break;
    }
    b->text = m.p;
    b->text_n = m.n;
    return b->rcpt && m.n >= b->size ? 0 : sp_fail(EX_OSERR, "out of memory");
}

/* ---- reporting ---- */

static int by_size(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

    return (a > b) - (a < b);
}

static double percentile(const struct bench *b, double p)
{
    uint64_t n = succeeded(b);

    return n ? b->us[(uint64_t)((double)(n - 1) * p)] / 1000.0 : 0;
}

/* What most sessions wait for: the difference between slow and stuck. */
static const char *waiting_for(const struct bench *b, uint64_t *ret_n)
{
    uint64_t at[SP_STAGE_QUIT + 1] = {0};
    enum sp_cli_stage most = SP_STAGE_CONNECT;

    for (uint64_t i = 0; i < b->connections; i++)
        if (b->w[i].talk) {
            enum sp_cli_stage st = sp_cli_stage(sp_talk_engine(b->w[i].talk));

            at[st <= SP_STAGE_QUIT ? st : 0]++;
        }
    for (unsigned st = SP_STAGE_CONNECT; st <= SP_STAGE_QUIT; st++)
        if (at[st] > at[most])
            most = (enum sp_cli_stage)st;
    *ret_n = at[most];
    return sp_cli_stage_name(most);
}

static void on_progress(uv_timer_t *t)
{
    struct bench *b = t->data;
    const char *what = b->login_only ? "sessions" : "messages";
    uint64_t waiting, ended = (b->login_only ? b->sessions : b->sent) + b->refused;
    const char *stage = waiting_for(b, &waiting);

    fprintf(stderr, "%s%llu of %llu %s, %.0f a second", b->terminal ? "\r" : "",
            (unsigned long long)ended,
            (unsigned long long)(b->connections * b->messages), what,
            (double)ended * 1e9 / (double)(now_ns() - b->start_ns));
    if (b->failed)
        fprintf(stderr, ", %llu failed", (unsigned long long)b->failed);
    if (waiting)
        fprintf(stderr, "; %llu wait for %s", (unsigned long long)waiting, stage);
    fputs(b->terminal ? "\033[K" : "\n", stderr);
    fflush(stderr);
}

static void on_stop(uv_signal_t *h, int sig)
{
    struct bench *b = h->data;

    b->status = 128 + sig;
    abort_all(b);
}

static void report_json(const struct bench *b, double s, double cpu)
{
    uint64_t planned = b->connections * b->messages, done = succeeded(b);

    printf("{\"seconds\":%.3f,\"planned\":%llu,\"messages\":%llu,"
           "\"messages_per_second\":%.1f,\"sessions\":%llu,"
           "\"sessions_per_second\":%.1f,\"refused\":%llu,\"failed\":%llu,"
           "\"not_tried\":%llu,\"sessions_failed\":%llu,\"measured\":\"%s\","
           "\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
           "\"client_cpu_seconds\":%.3f}\n",
           s, (unsigned long long)planned, (unsigned long long)b->sent,
           (double)b->sent / s, (unsigned long long)b->sessions,
           (double)b->sessions / s, (unsigned long long)b->refused,
           (unsigned long long)b->failed,
           (unsigned long long)(planned - done - b->refused - b->failed),
           (unsigned long long)b->sessions_failed,
           b->login_only ? "connect to login" : "dot to reply", percentile(b, .5),
           percentile(b, .9), percentile(b, .99), percentile(b, 1), cpu);
}

static void report_text(const struct bench *b, double s, double cpu)
{
    uint64_t done = succeeded(b);
    uint64_t not_tried = b->connections * b->messages - done - b->refused - b->failed;

    printf("%llu %s in %.2f s: ", (unsigned long long)done,
           b->login_only ? "sessions" : "messages", s);
    if (!b->login_only)
        printf("%.0f messages/s, ", (double)b->sent / s);
    printf("%.0f sessions/s\n", (double)b->sessions / s);
    printf("%s: p50 %.2f  p90 %.2f  p99 %.2f  max %.2f ms\n",
           b->login_only ? "connect to login" : "dot to reply", percentile(b, .5),
           percentile(b, .9), percentile(b, .99), percentile(b, 1));
    printf("refused %llu, failed %llu, ", (unsigned long long)b->refused,
           (unsigned long long)b->failed);
    if (not_tried)
        printf("not tried %llu, ", (unsigned long long)not_tried);
    printf("client CPU %.2f s\n", cpu);
}

static int report(struct bench *b)
{
    double s = (double)(b->end_ns - b->start_ns) / 1e9;
    struct rusage ru;
    double cpu;

    getrusage(RUSAGE_SELF, &ru);
    cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
          (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
    qsort(b->us, succeeded(b), sizeof *b->us, by_size);
    if (b->json)
        report_json(b, s, cpu);
    else
        report_text(b, s, cpu);
    if (b->first_error[0]) {
        fputs("sallyport: first error: ", stderr);
        sp_say_text(stderr, sp_str(b->first_error));
        fputc('\n', stderr);
    }
    if (b->status && b->status < 128)
        fputs("sallyport: given up: nothing else was to be expected\n", stderr);
    return b->status ? b->status : b->refused || b->failed ? EX_TEMPFAIL : 0;
}

static int bench_run(struct bench *b)
{
    uint64_t every = b->terminal ? TERMINAL_MS : LOG_MS;

    uv_loop_init(&b->loop);
    b->net = sp_net_new(&b->loop);
    uv_timer_init(&b->loop, &b->progress);
    uv_signal_init(&b->loop, &b->stop);
    b->progress.data = b->stop.data = b;
    uv_signal_start(&b->stop, on_stop, SIGINT);
    uv_timer_start(&b->progress, on_progress, every, every);
    b->start_ns = now_ns();
    b->active = b->connections;
    for (uint64_t i = 0; i < b->connections; i++) {
        b->w[i].b = b;
        b->w[i].left = b->messages;
    }
    for (uint64_t i = 0; i < b->connections; i++)
        start(&b->w[i]);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    if (b->terminal)
        fputs("\r\033[K", stderr);
    sp_net_free(b->net);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&b->loop);
    return report(b);
}

/* As many descriptors as the system lets us have, or a word before thousands of
 * connections fail. */
static int enough_files(const struct sp_args *a, uint64_t connections)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= connections + FILES)
        return 0;
    r.rlim_cur = r.rlim_max;
    if (r.rlim_max >= connections + FILES && setrlimit(RLIMIT_NOFILE, &r) == 0)
        return 0;
    return sp_usage_error(
        a, "--connections %llu: only %llu files may be open here (ulimit -n)",
        (unsigned long long)connections, (unsigned long long)r.rlim_max);
}

static int prepare(struct bench *b)
{
    if (!b->t.talk.timeout_ms) {
        b->t.talk.timeout_ms = TIMEOUT_S * 1000;
        b->t.talk.dial.timeout_ms = TIMEOUT_S * 1000;
    }
    b->t.talk.cli.no_pipelining = sp_arg_given(b->a, "no-pipelining");
    b->t.talk.cli.prefer_bdat = sp_arg_given(b->a, "bdat");
    b->us = sp_alloc((b->connections * b->messages + 1) * sizeof *b->us);
    b->w = sp_alloc(b->connections * sizeof *b->w);
    if (!b->us || !b->w)
        return sp_fail(EX_OSERR, "out of memory");
    return b->login_only ? 0 : make_message(b);
}

static int run(const struct sp_args *a)
{
    static struct bench b;
    int rc;

    b.a = a;
    b.json = sp_arg_given(a, "json");
    b.terminal = isatty(2);
    if (a->n_rest)
        return sp_usage_error(a, "`%s` is one word too many", a->rest[0]);
    b.reconnect = sp_arg_given(a, "reconnect");
    b.login_only = sp_arg_given(a, "login-only");
    if (!b.login_only && (!sp_arg(a, "from") || !sp_arg(a, "to")))
        return sp_usage_error(a, "give --from and --to");
    if ((rc = number(a, "connections", 50, 100000, &b.connections)) ||
        (rc = number(a, "messages", 100, 100000000, &b.messages)) ||
        (rc = number(a, "size", 10240, 1u << 30, &b.size)) ||
        (rc = number(a, "recipients", 1, 50000, &b.recipients)) ||
        (rc = number(a, "logins", UINT64_MAX, 100000, &b.logins)))
        return rc;
    if ((rc = enough_files(a, b.connections)))
        return rc;
    rc = sp_target_read(a, &b.t);
    if (rc == 0)
        rc = prepare(&b);
    if (rc == 0)
        rc = bench_run(&b);
    sp_free(b.text);
    sp_free(b.us);
    sp_free(b.w);
    sp_free(b.rcpt);
    sp_target_free(&b.t);
    return rc;
}

const struct sp_command sp_cmd_bench = {
    .name = "bench",
    .summary = "drive a server with load and measure it",
    .usage = "--server URL --from ADDRESS --to ADDRESS [OPTION ...]",
    .more =
        "Only against servers that are yours.  Every message that was planned is "
        "sent,\n"
        "refused (by the server), failed (with its session) or not tried (the run "
        "ended\n"
        "before).  While it runs it says what most sessions wait for; a reply that "
        "takes\n"
        "longer than --timeout (60 s) fails.  A login that is refused, and anything "
        "that\n"
        "fails ten times before the first success, ends the run.\n"
        "\n"
        "With --json one object is printed: seconds; planned, messages (sent), "
        "refused,\n"
        "failed, not_tried, which add up to planned (with --login-only sessions "
        "stands\n"
        "for messages); messages_per_second; sessions, sessions_per_second,\n"
        "sessions_failed; measured (`dot to reply` or `connect to login`) with "
        "p50_ms,\n"
        "p90_ms, p99_ms, max_ms; client_cpu_seconds.\n"
        "\n"
        "Exit status: 0 when all was sent, 75 when some was not, 130 after Ctrl-C, "
        "and\n"
        "for a run that was given up that of `sallyport send`.\n",
    .options = options,
    .run = run,
};
