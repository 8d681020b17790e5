/*
 * cmd_queue.c - `sallyport queue`: list, show, shape, destinations, retry, hold, release,
 * expire, reroute, remove, suspend, resume.
 *
 * With a running server the control socket is asked; without one the spool is opened
 * here, changes under its lock, looking without.
 */
#include "cli.h"
#include "control.h"
#include "qcontrol.h"
#include "queue_dests.h"
#include "queue_tlsrpt.h"
#include "wallclock.h"

#include <jansson.h>
#include <string.h>

#define SP_OPT_FILTER                                                                  \
    {"user", 'u', "NAME", "only mail of this account"},                                \
        {"from", 'f', "ADDRESS", "only from this reverse-path"},                       \
        {"to", 't', "ADDRESS", "only to this recipient"},                              \
        {"domain", 'D', "DOMAIN", "only to recipients at this domain"},                \
        {"older", 0, "TIME", "only mail older than this: 90s, 30m, 4h, 2d"},           \
        {"newer", 0, "TIME", "only mail newer than this"},                             \
    {                                                                                  \
        "text", 0, "WORDS", "only recipients about whom an answer has these words"     \
    }
#define SP_OPT_OPEN_STATE                                                              \
    {                                                                                  \
        "state", 's', "STATE", "only queued, held, deferred or active"                 \
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
static const struct sp_option dests_options[] = {
    SP_OPT_CONFIG,     SP_OPT_DATA,
    SP_OPT_JSON,       SP_OPT_FILTER,
    SP_OPT_OPEN_STATE, {"limit", 'n', "N", "at most so many destinations"},
    SP_OPT_END};
static const struct sp_option suspend_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_JSON,
    {"reason", 'r', "TEXT", "why; senders see it when their mail is late or returned"},
    SP_OPT_END};
static const struct sp_option resume_options[] = {SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_END};
static const struct sp_option change_options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    SP_OPT_JSON,
    SP_OPT_FILTER,
    SP_OPT_OPEN_STATE,
    {"all", 'a', NULL, "all of it, when neither an id nor a filter is given"},
    SP_OPT_END};

static const struct sp_option reroute_options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    {"route", 'r', "NAME", "the route to take: the name of a `route` section"},
    {"normal", 'N', NULL, "back to the route that the configuration says"},
    SP_OPT_FILTER,
    SP_OPT_OPEN_STATE,
    {"all", 'a', NULL, "all of it, when neither an id nor a filter is given"},
    SP_OPT_END};

struct ask {
    const struct sp_args *a;
    Sp__ControlRequest m;
    Sp__QueueFilter f;
    bool json, whole;
    bool stops; /* suspend, resume, and how each destination stands */
    const struct sp_conf *conf;
    struct sp_qdests *dests; /* NULL: rows are shown one by one */
    bool lost;               /* no memory for a row */
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

/* How a destination stands, or that it is suspended. */
static void put_pace(json_t *j)
{
    char since[24];
    long long now = (long long)sp_wall_ms(), next = num(j, "next_ms");

    if (*str(j, "suspended")) {
        printf("%s ", str(j, "suspended"));
        say(str(j, "name"));
        sp_age_text(now - num(j, "since_ms"), since);
        printf(" is suspended since %s", since);
    } else {
        printf("route ");
        say(str(j, "route"));
        putchar(' ');
        say(str(j, "domain"));
        printf("%s%s, %lld of %lld connections, %lld under way", *str(j, "domain") ? " " : "", str(j, "state"),
               num(j, "connections"), num(j, "most"), num(j, "active"));
        if (num(j, "failures"))
            printf(", failed %lld time%s", num(j, "failures"), num(j, "failures") == 1 ? "" : "s");
        if (next > now)
            printf(", next in %llds", (next - now + 999) / 1000);
    }
    if (*str(j, "reason")) {
        fputs(": ", stdout);
        say(str(j, "reason"));
    }
    if (*str(j, "where")) {
        fputs("  (", stdout);
        say(str(j, "where"));
        putchar(')');
    }
    putchar('\n');
}

static void put_recipient(json_t *r, bool whole)
{
    json_t *stop = json_object_get(r, "waits_for");
    json_t *h = json_object_get(r, "history"), *last = json_object_get(r, "last"), *t;
    size_t i;

    fputs("    ", stdout);
    say(str(r, "address"));
    printf("  %s", str(r, "status"));
    if (*str(r, "route")) {
        fputs(", by route ", stdout);
        say(str(r, "route"));
    }
    if (num(r, "attempts"))
        printf(", %lld attempt%s", num(r, "attempts"),
               num(r, "attempts") == 1 ? "" : "s");
    if (num(r, "next_ms") > (long long)sp_wall_ms())
        printf(", next in %llds", (num(r, "next_ms") - (long long)sp_wall_ms()) / 1000);
    putchar('\n');
    if (stop) {
        fputs("      waits: ", stdout);
        put_pace(stop);
    }
    if (last && !whole)
        put_attempt(last);
    json_array_foreach(h, i, t) put_attempt(t);
}

static void put_facts(json_t *j)
{
    static const char *const keys[] = {
        "listener", "session", "client",    "helo",        "with",
        "tls",      "login",   "mechanism", "hold_reason", "message_id"};

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
    if (q->json && !q->dests) {
        fwrite(text.p, 1, text.n, stdout);
        putchar('\n');
        return;
    }
    j = json_loadb(text.p, text.n, 0, NULL);
    if (!j)
        return;
    if (q->stops) {
        put_pace(j);
        json_decref(j);
        return;
    }
    if (q->dests) {
        q->lost |= sp_qdests_add(q->dests, j) < 0;
        json_decref(j);
        return;
    }
    sp_age_text((long long)sp_wall_ms() - num(j, "created_ms"), since);
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
    if (q->lost)
        return sp_fail(EX_OSERR, "out of memory");
    if (q->stops)
        return 0;
    if (q->dests)
        sp_qdests_print(q->dests, stdout);
    else if (strcmp(q->m.command, "queue.list") == 0 && !q->json && q->rows == 0)
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
    c.conf = q->conf;
    if (sp_suspend_open(dir, &c.suspended, &err) < 0) {
        sp_spool_close(c.spool);
        return sp_fail_err(&err);
    }
    sp_qcontrol_run(&c, &q->m);
    sp_suspend_free(c.suspended);
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

/* Seconds, or with a unit as in the configuration. */
static int duration(const struct sp_args *a, const char *name, uint64_t *ret)
{
    static const struct {
        char unit;
        uint64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    const char *text = sp_arg(a, name);
    struct sp_str s = sp_str(text ? text : "0");
    uint64_t factor = 1;

    for (size_t i = 0; s.n && i < sizeof units / sizeof units[0]; i++)
        if (s.p[s.n - 1] == units[i].unit) {
            factor = units[i].s;
            s.n--;
            break;
        }
    if (sp_str_u64(s, UINT64_MAX / 2000 / 86400, ret) < 0)
        return sp_usage_error(a, "--%s wants a time like 90s, 30m, 4h or 2d, not `%s`",
                              name, text);
    *ret *= factor;
    return 0;
}

static char *opt(const struct sp_args *a, const char *name)
{
    const char *s = sp_arg(a, name);

    return (char *)(uintptr_t)(s ? s : "");
}

static int filter(const struct sp_args *a, struct ask *q)
{
    int status;

    q->f.user = opt(a, "user");
    q->f.sender = opt(a, "from");
    q->f.recipient = opt(a, "to");
    q->f.domain = opt(a, "domain");
    q->f.state = opt(a, "state");
    q->f.text = opt(a, "text");
    if ((status = duration(a, "older", &q->f.older_than_s)) ||
        (status = duration(a, "newer", &q->f.newer_than_s)))
        return status;
    return number(a, "limit", &q->f.limit);
}

/* Sums are made of the whole list; the limit is about what is shown of them. */
static int by_destination(struct ask *q, bool shape)
{
    struct sp_qdests_opts o = {
        .shape = shape, .json = q->json, .limit = q->f.limit, .now_ms = sp_wall_ms()};

    q->f.limit = 0;
    q->dests = sp_qdests_new(&o);
    return q->dests ? 0 : sp_fail(EX_OSERR, "out of memory");
}

enum shown { ROWS, SHAPE, DESTINATIONS };

static int ask(struct ask *q, const char *control, const char *dir, bool looking)
{
    int fd = sp_control_connect(control);

    return fd >= 0 ? over_socket(q, fd) : direct(q, dir, looking);
}

/* Sums with a filter are about mail; without one destinations themselves are shown, too. */
static bool is_filtered(const struct sp_args *a)
{
    static const char *const names[] = {"user",  "from",  "to",   "domain", "older",
                                        "newer", "text", "state", "limit"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (sp_arg_given(a, names[i]))
            return true;
    return false;
}

static char *opt(const struct sp_args *a, const char *name);

static int run(const struct sp_args *a, const char *command, bool looking,
               enum shown shown)
{
    struct ask q = {.a = a,
                    .json = sp_arg_given(a, "json"),
                    .whole = strcmp(command, "queue.show") == 0};
    struct sp_conf *c = NULL;
    char path[4200], *two[2];
    int status = 0;
    const char *dir = sp_data_dir(a, &c, &status);

    if (!dir)
        return status;
    sp__control_request__init(&q.m);
    sp__queue_filter__init(&q.f);
    q.m.command = (char *)(uintptr_t)command;
    q.m.filter = &q.f;
    q.m.argument = (char **)(uintptr_t)a->rest;
    q.m.n_argument = a->n_rest;
    q.m.route = opt(a, "route");
    status = filter(a, &q);
    if (status == 0 && shown != ROWS)
        status = by_destination(&q, shown == SHAPE);
    if (status == 0) {
        snprintf(path, sizeof path, "%s/control", dir);
        q.conf = c;
        q.stops = strcmp(command, "queue.suspend") == 0 || strcmp(command, "queue.resume") == 0;
        if (strcmp(command, "queue.suspend") == 0) {
            two[0] = (char *)(uintptr_t)a->rest[0];
            two[1] = opt(a, "reason");
            q.m.argument = two;
            q.m.n_argument = 2;
        }
        status = ask(&q, c ? c->control_socket : path, dir, looking);
    }
    if (status == 0 && shown == DESTINATIONS && !is_filtered(a)) {
        sp_qdests_free(q.dests);
        q.dests = NULL;
        q.stops = true;
        q.m.command = (char *)(uintptr_t) "queue.paces";
        status = ask(&q, c ? c->control_socket : path, dir, looking);
    }
    sp_qdests_free(q.dests);
    sp_conf_unref(c);
    return status;
}

static int run_list(const struct sp_args *a)
{
    return run(a, "queue.list", true, ROWS);
}

static int sums(const struct sp_args *a, enum shown shown)
{
    const char *state = sp_arg(a, "state");

    if (a->n_rest)
        return sp_usage_error(a, "`%s` is no option; choose with --domain, --user ...",
                              a->rest[0]);
    if (state && strcmp(state, "finished") == 0)
        return sp_usage_error(a, "mail that is finished waits for no destination");
    return run(a, "queue.list", true, shown);
}

static int run_shape(const struct sp_args *a)
{
    return sums(a, SHAPE);
}

static int run_destinations(const struct sp_args *a)
{
    return sums(a, DESTINATIONS);
}

static int run_show(const struct sp_args *a)
{
    if (a->n_rest == 0)
        return sp_usage_error(a, "name a queue id");
    return run(a, "queue.show", true, ROWS);
}

static int change(const struct sp_args *a, const char *command)
{
    static const char *const filters[] = {"user",  "from",  "to",   "domain",
                                          "older", "newer", "text", "state"};
    bool some = a->n_rest > 0 || sp_arg_given(a, "all");

    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        some |= sp_arg_given(a, filters[i]);
    if (!some)
        return sp_usage_error(a, "name queue ids, give a filter, or say --all");
    return run(a, command, false, ROWS);
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

static int run_suspend(const struct sp_args *a)
{
    if (a->n_rest != 1)
        return sp_usage_error(a, "name one domain or route");
    return run(a, "queue.suspend", false, ROWS);
}

static int run_resume(const struct sp_args *a)
{
    if (a->n_rest != 1)
        return sp_usage_error(a, "name one domain or route");
    return run(a, "queue.resume", false, ROWS);
}

static int run_expire(const struct sp_args *a)
{
    return change(a, "queue.expire");
}

static int run_reroute(const struct sp_args *a)
{
    const char *route = sp_arg(a, "route");

    if (!route == !sp_arg_given(a, "normal"))
        return sp_usage_error(a, "say either --route NAME or --normal");
    if (route && !*route)
        return sp_usage_error(a, "--route wants a name");
    return change(a, "queue.reroute");
}

#define Q_SUB(id, n, s, u, o, r)                                                       \
    static const struct sp_command id = {                                              \
        .name = n, .summary = s, .usage = u, .options = o, .run = r}
Q_SUB(c_list, "list", "what is in the queue", "[FILTER ...] [--json]", list_options,
      run_list);
Q_SUB(c_show, "show", "one message with everything that happened to it",
      "ID ... [--json]", show_options, run_show);
Q_SUB(c_shape, "shape", "how many recipients wait how long, by destination",
      "[FILTER ...] [--json]", dests_options, run_shape);
Q_SUB(c_destinations, "destinations",
      "what each destination waits for, and its last answer", "[FILTER ...] [--json]",
      dests_options, run_destinations);
Q_SUB(c_retry, "retry", "try now", "ID ... | FILTER ... | --all", change_options,
      run_retry);
Q_SUB(c_hold, "hold", "keep it until it is released", "ID ... | FILTER ... | --all",
      change_options, run_hold);
Q_SUB(c_release, "release", "let held mail go on", "ID ... | FILTER ... | --all",
      change_options, run_release);
Q_SUB(c_expire, "expire", "give it up: the sender gets a bounce",
      "ID ... | FILTER ... | --all", change_options, run_expire);
Q_SUB(c_reroute, "reroute", "send it another way",
      "--route NAME | --normal ID ... | FILTER ... | --all", reroute_options,
      run_reroute);
Q_SUB(c_remove, "remove", "delete it, without a bounce", "ID ... | FILTER ... | --all",
      change_options, run_remove);

Q_SUB(c_suspend, "suspend", "let no mail go to a domain or on a route", "DOMAIN|ROUTE [--reason TEXT]",
      suspend_options, run_suspend);
Q_SUB(c_resume, "resume", "let it go again, and try at once what waits", "DOMAIN|ROUTE",
      resume_options, run_resume);

static const struct sp_command *const subs[] = {
    &c_list,   &c_show,    &c_shape,  &c_destinations, &c_retry,  &c_hold,          &c_release,
    &c_expire, &c_reroute, &c_remove, &c_suspend,      &c_resume, &sp_queue_tlsrpt, NULL};

const struct sp_command sp_cmd_queue = {
    .name = "queue",
    .summary = "the queue: list, show, hold, retry, reroute, expire, suspend ...",
    .sub = subs};
