/*
 * cli.h - the command line: commands and their options are tables.
 *
 * Every command is a struct sp_command; help, parsing and shell completion come from its
 * tables.  A command's `run` returns an exit status of sysexits.h.
 *
 *     static const struct sp_option options[] = {
 *         {"config", 'c', "FILE", "configuration file"}, {0}};
 *     const struct sp_command sp_cmd_serve = {.name = "serve", ..., .run = run};
 *
 * Output for programs goes to standard output, everything said to people besides that to
 * standard error, prefixed with "sallyport: ".  Text from elsewhere is escaped before it
 * reaches a terminal (sp_say_text).
 */
#ifndef SP_CLI_H
#define SP_CLI_H

#include "conf.h"

#include <stdio.h>
#include <sysexits.h>

struct sp_args;

struct sp_option {
    const char *name; /* long, without the hyphens; NULL ends the table */
    char letter;      /* 0: none */
    const char *arg;  /* placeholder of its value; NULL: a switch */
    const char *help;
};

struct sp_command {
    const char *name;
    const char *summary;             /* one line */
    const char *usage;               /* behind "sallyport NAME " */
    const char *more;                /* further help; may be NULL */
    const struct sp_option *options; /* may be NULL */
    int (*run)(const struct sp_args *a);
    const struct sp_command *const *sub; /* subcommands, NULL-terminated; or NULL */
};

enum { SP_ARGS_MAX = 256 };

struct sp_args {
    const struct sp_command *cmd;
    const char *path; /* "sallyport user add"; NULL: the command's name */
    struct {
        const struct sp_option *option;
        const char *value;
    } given[SP_ARGS_MAX];
    size_t n_given;
    char *const *rest; /* what is no option */
    size_t n_rest;
};

/* argv[0] is the command's own name.  Returns the exit status of what ran. */
int sp_command_run(const struct sp_command *cmd, const char *path, int argc,
                   char **argv);
void sp_command_help(const struct sp_command *cmd, const char *path, FILE *out);

const char *sp_arg(const struct sp_args *a, const char *name); /* the last; NULL */
bool sp_arg_given(const struct sp_args *a, const char *name);
size_t sp_arg_count(const struct sp_args *a, const char *name);
const char *sp_arg_nth(const struct sp_args *a, const char *name, size_t i);

/* "sallyport: ..." on standard error; returns status, so that a command can end with it. */
int sp_fail(int status, const char *fmt, ...) SP_PRINTF(2, 3);
int sp_fail_err(const struct sp_err *err); /* status by class and code */
int sp_usage_error(const struct sp_args *a, const char *fmt, ...) SP_PRINTF(2, 3);
/* Says that standard output (the errno of it) could not be written; forgets the mistake. */
void sp_output_lost(void);
/* What may come from anywhere, for a terminal or a file. */
void sp_say_text(FILE *out, struct sp_str s);
/* A time in its largest fitting unit: "119s", "119m", "47h", "12d". */
void sp_age_text(long long ms, char out[24]);

/* A secret from --NAME-file, --NAME-command, the environment variable, or, on a
 * terminal, by asking; never from the command line itself.  Wiped by sp_buf_wipe(). */
int sp_read_secret(const struct sp_args *a, const char *file_option,
                   const char *command_option, const char *variable, const char *prompt,
                   struct sp_buf *out, struct sp_err *err);
int sp_read_file(const char *path, size_t max, struct sp_buf *out, struct sp_err *err);

/* --config FILE, or the usual place when it is there, or an empty configuration.  Errors
 * are shown, warnings where they are wanted: by commands about the configuration itself.
 * NULL: *ret_status says how to end. */
struct sp_conf *sp_load_conf(const struct sp_args *a, bool warnings, int *ret_status);
/* --data DIR, else the configuration's. */
const char *sp_data_dir(const struct sp_args *a, struct sp_conf **ret_conf,
                        int *ret_status);
/* Started by root, work as the service's user from here on, so that files made in the
 * data directory are the service's: the owner of this part of it (datadir.h). */
int sp_become_keeper(const char *data_dir, const char *part, struct sp_err *err);
int sp_become_owner(const char *data_dir, struct sp_err *err); /* of the queue */

/* send.c: called as sendmail, mailq or newaliases. */
int sp_sendmail_main(const char *name, int argc, char **argv);

#define SP_CONFIG_PATH "/etc/sallyport/sallyport.conf"
#define SP_OPT_CONFIG                                                                  \
    {                                                                                  \
        "config", 'c', "FILE", "configuration (default " SP_CONFIG_PATH ")"            \
    }
#define SP_OPT_DATA                                                                    \
    {                                                                                  \
        "data", 'd', "DIR", "data directory (default: the configuration's)"            \
    }
#define SP_OPT_JSON                                                                    \
    {                                                                                  \
        "json", 'j', NULL, "JSON instead of text"                                      \
    }
#define SP_OPT_END                                                                     \
    {                                                                                  \
        NULL, 0, NULL, NULL                                                            \
    }

extern const struct sp_command sp_cmd_main, sp_cmd_serve, sp_cmd_send, sp_cmd_queue,
    sp_cmd_user, sp_cmd_cert, sp_cmd_config, sp_cmd_bench, sp_cmd_completion,
    sp_cmd_explain, sp_cmd_check, sp_cmd_cert_dkim, sp_cmd_trace, sp_cmd_user_setup,
    sp_cmd_route;

#endif
