/*
 * cmd_queue.c - `sallyport queue`: list, show, retry, hold, release, remove.
 *
 * With a running server the control socket is asked; without one the spool is opened
 * here, changes under its lock, looking without.
 */
#include "cli.h"
#include "control.h"
#include "qcontrol.h"
#include "wallclock.h"

#include <jansson.h>
#include <string.h>

#define SP_OPT_FILTER                                                                  \
    {"user", 'u', "NAME", "only mail of this account"},                                \
        {"from", 'f', "ADDRESS", "only from this reverse-path"},                       \
        {"to", 't', "ADDRESS", "only to this recipient"},                              \
        {"domain", 'D', "DOMAIN", "only to recipients at this domain"},                \
        {"older", 0, "SECONDS", "only mail older than this"},                          \
    {                                                                                  \
        "newer", 0, "SECONDS", "only mail newer than this"                             \
    }

static const struct sp_option list_options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    SP_OPT_JSON,
    SP_OPT_FILTER,
    {"state", 's', "STATE",
     "queued, held, deferred, active, or finished (the history)"},
    {"limit", 'n', "N", "at most so many"},
    SP_OPT_END};
static const struct sp_option show_options[] = {SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_JSON,
                                                SP_OPT_END};
static const struct sp_option change_options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    SP_OPT_JSON,
    SP_OPT_FILTER,
    {"all", 'a', NULL, "all of it, when neither an id nor a filter is given"},
    SP_OPT_END};

struct ask {
    const struct sp_args *a;
    Sp__ControlRequest m;
    Sp__QueueFilter f;
    bool json, whole;
    uint64_t rows;
};

/* ---- rendering ---- */

static void say(const char *s)
{
    sp_say_text(stdout, sp_str(s));
}

static const char *str(json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

static long long num(json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

static void age(long long ms, char out[24])
{
    long long s = ((long long)sp_wall_ms() - ms) / 1000;

    if (s < 0)
        s = 0;
    if (s < 120)
        snprintf(out, 24, "%llds", s);
    else if (s < 7200)
        snprintf(out, 24, "%lldm", s / 60);
    else if (s < 172800)
        snprintf(out, 24, "%lldh", s / 3600);
    else
        snprintf(out, 24, "%lldd", s / 86400);
}

static void put_attempt(json_t *t)
{
    printf("      %lld ", num(t, "code"));
    say(str(t, "enhanced"));
    putchar(' ');
    say(str(t, "text"));
    if (*str(t, "where")) {
        fputs("  (", stdout);
        say(str(t, "where"));
        putchar(')');
    }
    putchar('\n');
}

static void put_recipient(json_t *r, bool whole)
{
    json_t *h = json_object_get(r, "history"), *last = json_object_get(r, "last"), *t;
    size_t i;

    fputs("    ", stdout);
    say(str(r, "address"));
    printf("  %s", str(r, "status"));
    if (num(r, "attempts"))
        printf(", %lld attempt%s", num(r, "attempts"),
               num(r, "attempts") == 1 ? "" : "s");
    if (num(r, "next_ms") > (long long)sp_wall_ms())
        printf(", next in %llds", (num(r, "next_ms") - (long long)sp_wall_ms()) / 1000);
    putchar('\n');
    if (last && !whole)
        put_attempt(last);
    json_array_foreach(h, i, t) put_attempt(t);
}

static void put_facts(json_t *j)
{
    static const char *const keys[] = {"listener", "session",   "client",
                                       "helo",     "with",      "tls",
                                       "login",    "mechanism", "hold_reason", "message_id"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (*str(j, keys[i])) {
            printf("    %-11s ", keys[i]);
            say(str(j, keys[i]));
            putchar('\n');
        }
}

static void put_row(struct ask *q, struct sp_str text)
{
    json_t *j, *r;
    char since[24];
    size_t i;

    q->rows++;
    if (q->json) {
        fwrite(text.p, 1, text.n, stdout);
        putchar('\n');
        return;
    }
    j = json_loadb(text.p, text.n, 0, NULL);
    if (!j)
        return;
    age(num(j, "created_ms"), since);
    printf("%s  %s  %lld octets  from <", str(j, "id"), since, num(j, "size"));
    say(str(j, "from"));
    putchar('>');
    if (*str(j, "user")) {
        fputs("  user ", stdout);
        say(str(j, "user"));
    }
    puts(json_is_true(json_object_get(j, "finished")) ? "  finished" : "");
    if (*str(j, "damaged"))
        printf("    damaged: %s\n", str(j, "damaged"));
    if (q->whole)
        put_facts(j);
    json_array_foreach(json_object_get(j, "recipients"), i, r)
        put_recipient(r, q->whole);
    json_decref(j);
}

static int finish(struct ask *q, int code, const char *text, uint64_t count)
{
    if (code)
        return sp_fail(code, "%s", text);
    if (strcmp(q->m.command, "queue.list") == 0 && !q->json && q->rows == 0)
        puts("the queue is empty");
    else if (strncmp(q->m.command, "queue.list", 10) != 0 && !q->whole)
        printf("%llu message%s\n", (unsigned long long)count, count == 1 ? "" : "s");
    return 0;
}

/* ---- over the control socket ---- */

static void on_row(void *arg, const char *json)
{
    put_row(arg, sp_str(json));
}

static int over_socket(struct ask *q, int fd)
{
    struct sp_control_how how = {.row = on_row, .arg = q, .silence_ms = 60000};
    struct sp_control_done done;
    struct sp_err err;
    int rc = sp_control_ask(fd, &q->m, &how, &done, &err);

    if (rc < 0)
        return sp_fail_err(&err);
    return rc ? finish(q, done.exit_code, done.text, done.count) : EX_IOERR;
}

/* ---- without a server ---- */

static int direct_row(void *arg, struct sp_str json)
{
    put_row(arg, json);
    return 0;
}

static int direct(struct ask *q, const char *dir, bool looking)
{
    struct sp_spool_options o;
    struct sp_qcontrol c = {.now_ms = sp_wall_ms(), .row = direct_row, .row_arg = q};
    struct sp_err err;

    sp_spool_defaults(&o);
    o.read_only = looking;
    o.no_thread = true;
    if (sp_become_owner(dir, &err) < 0 ||
        sp_spool_open(dir, &o, sp_wall_ms(), &c.spool, &err) < 0)
        return sp_fail_err(&err);
    sp_qcontrol_run(&c, &q->m);
    sp_spool_close(c.spool);
    return finish(q, c.exit_code, c.text, c.count);
}

/* ---- the commands ---- */

static int number(const struct sp_args *a, const char *name, uint64_t *ret)
{
    const char *s = sp_arg(a, name);

    if (!s || sp_str_u64(sp_str(s), UINT64_MAX / 2000, ret) == 0)
        return 0;
    return sp_usage_error(a, "--%s wants a number, not `%s`", name, s);
}

static char *opt(const struct sp_args *a, const char *name)
{
    const char *s = sp_arg(a, name);

    return (char *)(uintptr_t)(s ? s : "");
}

static int run(const struct sp_args *a, const char *command, bool looking)
{
    struct ask q = {.a = a,
                    .json = sp_arg_given(a, "json"),
                    .whole = strcmp(command, "queue.show") == 0};
    struct sp_conf *c = NULL;
    char path[4200];
    int status = 0, fd;
    const char *dir = sp_data_dir(a, &c, &status);

    if (!dir)
        return status;
    sp__control_request__init(&q.m);
    sp__queue_filter__init(&q.f);
    q.m.command = (char *)(uintptr_t)command;
    q.m.filter = &q.f;
    q.m.argument = (char **)(uintptr_t)a->rest;
    q.m.n_argument = a->n_rest;
    q.f.user = opt(a, "user");
    q.f.sender = opt(a, "from");
    q.f.recipient = opt(a, "to");
    q.f.domain = opt(a, "domain");
    q.f.state = opt(a, "state");
    if ((status = number(a, "older", &q.f.older_than_s)) ||
        (status = number(a, "newer", &q.f.newer_than_s)) ||
        (status = number(a, "limit", &q.f.limit))) {
        sp_conf_unref(c);
        return status;
    }
    snprintf(path, sizeof path, "%s/control", dir);
    fd = sp_control_connect(c ? c->control_socket : path);
    status = fd >= 0 ? over_socket(&q, fd) : direct(&q, dir, looking);
    sp_conf_unref(c);
    return status;
}

static int run_list(const struct sp_args *a)
{
    return run(a, "queue.list", true);
}

static int run_show(const struct sp_args *a)
{
    if (a->n_rest == 0)
        return sp_usage_error(a, "name a queue id");
    return run(a, "queue.show", true);
}

static int change(const struct sp_args *a, const char *command)
{
    static const char *const filters[] = {"user",   "from",  "to",
                                          "domain", "older", "newer"};
    bool some = a->n_rest > 0 || sp_arg_given(a, "all");

    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        some |= sp_arg_given(a, filters[i]);
    if (!some)
        return sp_usage_error(a, "name queue ids, give a filter, or say --all");
    return run(a, command, false);
}

static int run_retry(const struct sp_args *a)
{
    return change(a, "queue.retry");
}

static int run_hold(const struct sp_args *a)
{
    return change(a, "queue.hold");
}

static int run_release(const struct sp_args *a)
{
    return change(a, "queue.release");
}

static int run_remove(const struct sp_args *a)
{
    return change(a, "queue.remove");
}

#define Q_SUB(id, n, s, u, o, r)                                                       \
    static const struct sp_command id = {                                              \
        .name = n, .summary = s, .usage = u, .options = o, .run = r}
Q_SUB(c_list, "list", "what is in the queue", "[FILTER ...] [--json]", list_options,
      run_list);
Q_SUB(c_show, "show", "one message with everything that happened to it",
      "ID ... [--json]", show_options, run_show);
Q_SUB(c_retry, "retry", "try now", "ID ... | FILTER ... | --all", change_options,
      run_retry);
Q_SUB(c_hold, "hold", "keep it until it is released", "ID ... | FILTER ... | --all",
      change_options, run_hold);
Q_SUB(c_release, "release", "let held mail go on", "ID ... | FILTER ... | --all",
      change_options, run_release);
Q_SUB(c_remove, "remove", "delete it, without a bounce", "ID ... | FILTER ... | --all",
      change_options, run_remove);

static const struct sp_command *const subs[] = {
    &c_list, &c_show, &c_retry, &c_hold, &c_release, &c_remove, NULL};

const struct sp_command sp_cmd_queue = {
    .name = "queue",
    .summary = "the queue: list, show, retry, hold, release, remove",
    .sub = subs};
