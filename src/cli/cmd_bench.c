/*
 * cmd_bench.c - `sallyport bench`: load, through the client engine.
 *
 * One process, one loop, N connections that each send M messages (or, with --reconnect,
 * M sessions of one message; with --login-only, M sessions without a message).  The time
 * of a message is from its final dot to the reply; rates are over the whole run.
 */
#include "alloc.h"
#include "err.h"
#include "target.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

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
    {"no-pipelining", 0, NULL, "one command at a time"},
    {"bdat", 0, NULL, "BDAT instead of DATA"},
    SP_OPT_JSON,
    SP_OPT_END,
};

struct bench;

struct worker {
    struct bench *b;
    struct sp_talk *talk;
    uint64_t left;   /* messages, or sessions */
    uint64_t dot_ns; /* when the last octet was given to the engine */
    size_t at;       /* of the message */
    bool open, ended;
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
    bool reconnect, login_only, stopping, json;
    struct sp_rcpt *rcpt;
    struct sp_mail mail;
    char *text;
    size_t text_n;
    uint32_t *us; /* one a message */
    uint64_t sent, refused, failed, sessions, active, start_ns, end_ns;
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

static void start(struct worker *w);

static void next(struct worker *w)
{
    struct bench *b = w->b;
    struct sp_err err;

    if (w->left == 0 || b->stopping || b->login_only) {
        sp_talk_quit(w->talk);
        return;
    }
    w->left--;
    w->at = 0;
    if (sp_talk_mail(w->talk, &b->mail, b->rcpt, b->recipients, b->text_n, &err) < 0) {
        b->failed++;
        note_error(b, err.text);
        sp_talk_quit(w->talk);
    }
}

static void on_ready(struct sp_talk *t, enum sp_cli_login login, enum sp_mech mech,
                     struct sp_str words, struct sp_str pin, void *arg)
{
    struct worker *w = arg;

    (void)t;
    (void)login;
    (void)mech;
    (void)words;
    (void)pin;
    if (!w->open) {
        w->open = true;
        w->b->sessions++;
        if (w->b->login_only)
            w->left--;
    } else if (w->b->reconnect) {
        sp_talk_quit(w->talk);
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
    struct worker *w = arg;
    struct bench *b = w->b;
    char text[300];

    (void)t;
    if (ev->u.sent.accepted) {
        b->us[b->sent++] = (uint32_t)((now_ns() - w->dot_ns) / 1000);
        return;
    }
    b->refused++;
    snprintf(text, sizeof text, "%d %.*s", ev->u.sent.reply.code,
             (int)(ev->u.sent.reply.text.n > 200 ? 200 : ev->u.sent.reply.text.n),
             ev->u.sent.reply.text.n ? ev->u.sent.reply.text.p : "");
    note_error(b, text);
}

static void on_failed(struct sp_talk *t, const struct sp_talk_failure *f, void *arg)
{
    struct worker *w = arg;

    (void)t;
    w->b->failed++;
    if (w->left && !w->open)
        w->left--; /* a session that never came up counts, or we would try for ever */
    note_error(w->b, f->words);
}

static void finish(struct bench *b)
{
    b->end_ns = now_ns();
    if (!uv_is_closing((uv_handle_t *)&b->progress))
        uv_close((uv_handle_t *)&b->progress, NULL);
    if (!uv_is_closing((uv_handle_t *)&b->stop))
        uv_close((uv_handle_t *)&b->stop, NULL);
}

static void on_closed(void *arg)
{
    struct worker *w = arg;
    struct bench *b = w->b;

    w->talk = NULL;
    w->open = false;
    if (w->left && !b->stopping) {
        start(w);
        return;
    }
    if (!w->ended) {
        w->ended = true;
        if (--b->active == 0)
            finish(b);
    }
}

static const struct sp_talk_ops ops = {.ready = on_ready,
                                       .body = on_body,
                                       .sent = on_sent,
                                       .failed = on_failed,
                                       .closed = on_closed};

static void start(struct worker *w)
{
    struct sp_err err;

    w->talk = sp_talk_new(w->b->net, &w->b->t.talk, &ops, w, &err);
    if (w->talk)
        return;
    note_error(w->b, err.text);
    w->b->failed++;
    w->left = 0;
    w->ended = true;
    if (--w->b->active == 0)
        finish(w->b);
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
    b->us = sp_alloc((b->connections * b->messages + 1) * sizeof *b->us);
    b->w = sp_alloc(b->connections * sizeof *b->w);
    return b->rcpt && b->us && b->w && m.n >= b->size
               ? 0
               : sp_fail(EX_OSERR, "out of memory");
}

/* ---- reporting ---- */

static int by_size(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

    return (a > b) - (a < b);
}

static double percentile(const struct bench *b, double p)
{
    return b->sent ? b->us[(uint64_t)((double)(b->sent - 1) * p)] / 1000.0 : 0;
}

static void on_progress(uv_timer_t *t)
{
    struct bench *b = t->data;
    uint64_t all = b->connections * b->messages;
    uint64_t done = b->login_only ? b->sessions : b->sent + b->refused;

    fprintf(stderr, "\r%llu of %llu %s, %.0f a second ", (unsigned long long)done,
            (unsigned long long)all, b->login_only ? "sessions" : "messages",
            (double)done * 1e9 / (double)(now_ns() - b->start_ns));
    fflush(stderr);
}

static void on_stop(uv_signal_t *h, int sig)
{
    struct bench *b = h->data;

    (void)sig;
    b->stopping = true;
    for (uint64_t i = 0; i < b->connections; i++)
        if (b->w[i].talk)
            sp_talk_abort(b->w[i].talk);
}

static int report(struct bench *b)
{
    double s = (double)(b->end_ns - b->start_ns) / 1e9;
    struct rusage ru;
    double cpu;

    getrusage(RUSAGE_SELF, &ru);
    cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
          (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
    qsort(b->us, b->sent, sizeof *b->us, by_size);
    if (b->json)
        printf("{\"seconds\":%.3f,\"messages\":%llu,\"messages_per_second\":%.1f,"
               "\"sessions\":%llu,\"sessions_per_second\":%.1f,\"refused\":%llu,"
               "\"failed\":%llu,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,"
               "\"max_ms\":%.3f,\"client_cpu_seconds\":%.3f}\n",
               s, (unsigned long long)b->sent, (double)b->sent / s,
               (unsigned long long)b->sessions, (double)b->sessions / s,
               (unsigned long long)b->refused, (unsigned long long)b->failed,
               percentile(b, .5), percentile(b, .9), percentile(b, .99),
               percentile(b, 1), cpu);
    else
        printf("%llu messages in %.2f s: %.0f messages/s, %.0f sessions/s\n"
               "dot to reply: p50 %.2f  p90 %.2f  p99 %.2f  max %.2f ms\n"
               "refused %llu, failed %llu, client CPU %.2f s\n",
               (unsigned long long)b->sent, s, (double)b->sent / s,
               (double)b->sessions / s, percentile(b, .5), percentile(b, .9),
               percentile(b, .99), percentile(b, 1), (unsigned long long)b->refused,
               (unsigned long long)b->failed, cpu);
    if (b->first_error[0])
        fprintf(stderr, "sallyport: first error: %s\n", b->first_error);
    return b->stopping ? 130 : b->refused || b->failed ? EX_TEMPFAIL : 0;
}

static int bench_run(struct bench *b)
{
    uv_loop_init(&b->loop);
    b->net = sp_net_new(&b->loop);
    uv_timer_init(&b->loop, &b->progress);
    uv_signal_init(&b->loop, &b->stop);
    b->progress.data = b->stop.data = b;
    uv_signal_start(&b->stop, on_stop, SIGINT);
    if (isatty(2))
        uv_timer_start(&b->progress, on_progress, 200, 200);
    b->start_ns = now_ns();
    b->active = b->connections;
    for (uint64_t i = 0; i < b->connections; i++) {
        b->w[i].b = b;
        b->w[i].left = b->messages;
        start(&b->w[i]);
    }
    uv_run(&b->loop, UV_RUN_DEFAULT);
    if (isatty(2))
        fputs("\r\033[K", stderr);
    sp_net_free(b->net);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&b->loop);
    return report(b);
}

static int run(const struct sp_args *a)
{
    static struct bench b;
    int rc;

    b.a = a;
    b.json = sp_arg_given(a, "json");
    b.reconnect = sp_arg_given(a, "reconnect");
    b.login_only = sp_arg_given(a, "login-only");
    if (!b.login_only && (!sp_arg(a, "from") || !sp_arg(a, "to")))
        return sp_usage_error(a, "give --from and --to");
    if ((rc = number(a, "connections", 50, 100000, &b.connections)) ||
        (rc = number(a, "messages", 100, 100000000, &b.messages)) ||
        (rc = number(a, "size", 10240, 1u << 30, &b.size)) ||
        (rc = number(a, "recipients", 1, 50000, &b.recipients)))
        return rc;
    rc = sp_target_read(a, &b.t);
    b.t.talk.cli.no_pipelining = sp_arg_given(a, "no-pipelining");
    b.t.talk.cli.prefer_bdat = sp_arg_given(a, "bdat");
    if (rc == 0 && !b.login_only)
        rc = make_message(&b);
    if (rc == 0 && b.login_only) {
        b.w = sp_alloc(b.connections * sizeof *b.w);
        rc = b.w ? 0 : EX_OSERR;
    }
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
    .more = "Only against servers that are yours.\n",
    .options = options,
    .run = run,
};
