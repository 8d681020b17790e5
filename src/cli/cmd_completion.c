/* cmd_completion.c - `sallyport completion`: words for shells, from the command tables. */
#include "cli.h"

#include <string.h>

/* One line for each command: its path, then the words that may follow. */
static void words(const struct sp_command *cmd, const char *path)
{
    char below[200];

    printf("%s:", path);
    for (size_t i = 0; cmd->sub && cmd->sub[i]; i++)
        printf(" %s", cmd->sub[i]->name);
    for (const struct sp_option *o = cmd->options; o && o->name; o++)
        printf(" --%s", o->name);
    puts(" --help");
    for (size_t i = 0; cmd->sub && cmd->sub[i]; i++) {
        snprintf(below, sizeof below, "%s %s", path, cmd->sub[i]->name);
        words(cmd->sub[i], below);
    }
}

static int run(const struct sp_args *a)
{
    if (a->n_rest)
        return sp_usage_error(a, "`%s` is one word too many", a->rest[0]);
    words(&sp_cmd_main, "sallyport");
    return 0;
}

const struct sp_command sp_cmd_completion = {
    .name = "completion",
    .summary = "print the words that shells complete",
    .usage = "",
    .run = run,
};
