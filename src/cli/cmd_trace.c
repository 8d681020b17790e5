/* cmd_trace.c - `sallyport trace`: what clients and the server say to each other, live. */
#include "cli.h"
#include "control.h"
#include "server_role.h"

#include <jansson.h>
#include <time.h>

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

static const char *str(json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

static void put_row(const char *text, bool as_json)
{
    json_t *j = as_json ? NULL : json_loads(text, 0, NULL);
    long long ms = json_integer_value(json_object_get(j, "at_ms"));
    long long lost = json_integer_value(json_object_get(j, "lost"));
    time_t at = (time_t)(ms / 1000);
    struct tm tm;

    if (as_json) {
        puts(text);
    } else if (j) {
        localtime_r(&at, &tm);
        if (lost)
            printf("... %lld lines came too fast and are left out\n", lost);
        printf("%02d:%02d:%02d.%03lld %s %s %s", tm.tm_hour, tm.tm_min, tm.tm_sec,
               ms % 1000, str(j, "session"), str(j, "from"),
               *str(j, "user") ? str(j, "user") : "-");
        printf(" %s %s\n", str(j, "side"), str(j, "text")); /* escaped by the server */
    }
    (void)fflush(stdout);
    json_decref(j);
}

static void on_row(void *arg, const char *text)
{
    put_row(text, *(const bool *)arg);
}

static int follow(int fd, const Sp__ControlRequest *m, bool as_json)
{
    struct sp_control_how how = {
        .row = on_row, .arg = &as_json, .silence_ms = -1, .stopped = &stopped};
    struct sp_control_done done;
    struct sp_err err;
    int rc = sp_control_ask(fd, m, &how, &done, &err);

    if (rc < 0)
        return sp_fail_err(&err);
    return rc && done.exit_code ? sp_fail(done.exit_code, "%s", done.text) : 0;
}

static int run(const struct sp_args *a)
{
    const char *user = sp_arg(a, "user"), *address = sp_arg(a, "address");
    char *argument[2] = {(char *)(uintptr_t)(user ? "user" : "address"),
                         (char *)(uintptr_t)(user ? user : address)};
    struct sigaction sa = {.sa_handler = on_signal};
    Sp__ControlRequest m = SP__CONTROL_REQUEST__INIT;
    struct sp_conf *c = NULL, *net = NULL;
    char path[4200];
    const char *dir;
    int status = 0, fd;

    if (!user == !address || a->n_rest)
        return sp_usage_error(a, "give either --user NAME or --address NETWORK");
    if (address && !(net = srv_trace_network(address)))
        return sp_usage_error(
            a, "`%s` is no address or network, such as 192.0.2.7 or 2001:db8::/32",
            address);
    sp_conf_unref(net);
    dir = sp_data_dir(a, &c, &status);
    if (!dir)
        return status;
    snprintf(path, sizeof path, "%s/control", dir);
    fd = sp_control_connect(c ? c->control_socket : path);
    sp_conf_unref(c);
    if (fd < 0)
        return sp_fail(EX_UNAVAILABLE,
                       "the service does not run here, or you may not ask it");
    (void)sigaction(SIGINT, &sa, NULL); /* without SA_RESTART: poll() ends */
    (void)sigaction(SIGTERM, &sa, NULL);
    m.command = (char *)(uintptr_t) "trace";
    m.argument = argument;
    m.n_argument = 2;
    return follow(fd, &m, sp_arg_given(a, "json"));
}

static const struct sp_option options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    SP_OPT_JSON,
    {"user", 'u', "NAME", "sessions of this account, failed logins too"},
    {"address", 'a', "NETWORK", "sessions from this address or network"},
    SP_OPT_END,
};

const struct sp_command sp_cmd_trace = {
    .name = "trace",
    .summary = "watch live sessions, secrets hidden",
    .usage = "--user NAME | --address NETWORK [--json]",
    .more =
        "Shows what clients (C) and the server (S) say and what happens (*), until\n"
        "interrupted.  Passwords, tokens and messages are never shown; that somebody\n"
        "watched is logged.\n",
    .options = options,
    .run = run,
};
