/* main.c - `sallyport`, and the names it may be called by. */
#include "cli.h"
#include "role.h"
#include "sandbox.h"
#include "supervisor.h"

#include <errno.h>
#include <string.h>

/* ---- serve ---- */

static const struct sp_option serve_options[] = {
    SP_OPT_CONFIG,
    {"log-json", 'j', NULL, "log lines as JSON, whatever the configuration says"},
    {"explain-sandbox", 0, NULL, "print what each process may ask of the kernel, and end"},
    SP_OPT_END,
};

static int explain(const struct sp_args *a)
{
    int status = 0;
    struct sp_conf *c = sp_load_conf(a, false, &status);

    if (!c)
        return status;
    sp_sandbox_explain(c, stdout);
    sp_conf_unref(c);
    return 0;
}

static int serve(const struct sp_args *a)
{
    struct sp_serve_options o = {.config = sp_arg(a, "config"),
                                 .log_json = sp_arg_given(a, "log-json")};

    if (a->n_rest)
        return sp_usage_error(a, "`%s` is one word too many", a->rest[0]);
    if (!o.config)
        o.config = SP_CONFIG_PATH;
    if (sp_arg_given(a, "explain-sandbox"))
        return explain(a);
    return sp_supervise(&o);
}

const struct sp_command sp_cmd_serve = {
    .name = "serve",
    .summary = "run the message submission server",
    .usage = "[--config FILE]",
    .more =
        "Runs in the foreground and logs to standard error.\n"
        "SIGHUP reads configuration and certificates anew, SIGTERM and SIGINT end it\n"
        "after what is in flight.\n",
    .options = serve_options,
    .run = serve,
};

/* ---- role: only for the supervisor ---- */

static int role_main(int argc, char **argv)
{
    static const struct sp_role_ops *const roles[] = {&sp_role_server, &sp_role_auth,
                                                      &sp_role_queue, &sp_role_delivery,
                                                      &sp_role_local,  &sp_role_auth_helper,
                                                      &sp_role_filter};
    uint64_t instance;

    if (argc == 4 && sp_str_u64(sp_str(argv[3]), 1000, &instance) == 0)
        for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
            if (strcmp(sp_role_name(roles[i]->role), argv[2]) == 0)
                return sp_role_main(roles[i], (unsigned)instance);
    return sp_fail(EX_USAGE, "a role is started by `sallyport serve` only");
}

/* ---- the program ---- */

static const struct sp_option main_options[] = {
    {"version", 'V', NULL, "print the version"},
    SP_OPT_END,
};

static int main_run(const struct sp_args *a)
{
    (void)a; /* --version is the only option */
    puts("sallyport " SP_VERSION);
    return 0;
}

static const struct sp_command *const commands[] = {
    &sp_cmd_serve,  &sp_cmd_send,  &sp_cmd_queue, &sp_cmd_user,       &sp_cmd_cert,
    &sp_cmd_config, &sp_cmd_bench, &sp_cmd_check, &sp_cmd_trace, &sp_cmd_route, &sp_cmd_completion, NULL,
};

const struct sp_command sp_cmd_main = {
    .name = "sallyport",
    .summary = "mail submission: server, client and tools",
    .options = main_options,
    .run = main_run,
    .sub = commands,
};

static int run_as(const char *name, int argc, char **argv)
{
    if (strcmp(name, "sendmail") == 0 || strcmp(name, "mailq") == 0 ||
        strcmp(name, "newaliases") == 0)
        return sp_sendmail_main(name, argc, argv);
    return sp_command_run(&sp_cmd_main, "sallyport", argc, argv);
}

int main(int argc, char **argv)
{
    const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
    int status;

    name = name ? name + 1 : argc > 0 ? argv[0] : "sallyport";
    if (argc > 1 && strcmp(argv[1], "role") == 0)
        return role_main(argc, argv);
    status = run_as(name, argc, argv);
    /* What was printed may only now meet a full disk. */
    if (!ferror(stdout))
        errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        sp_output_lost();
        status = status ? status : EX_IOERR;
    }
    return status;
}
