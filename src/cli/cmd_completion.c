/* cmd_completion.c - `sallyport completion`: what shells need, from the command tables. */
#include "accounts.h"
#include "clidoc.h"

#include <string.h>

/* One line for each command: its path, then the words that may follow. */
static int words(const struct sp_command *cmd, const char *path, struct sp_buf *out)
{
    int rc = sp_buf_printf(out, "%s:", path);

    for (size_t i = 0; rc == 0 && cmd->sub && cmd->sub[i]; i++)
        rc = sp_buf_printf(out, " %s", cmd->sub[i]->name);
    for (const struct sp_option *o = cmd->options; rc == 0 && o && o->name; o++)
        rc = sp_buf_printf(out, " --%s", o->name);
    if (rc == 0)
        rc = sp_buf_puts(out, " --help\n");
    for (size_t i = 0; rc == 0 && cmd->sub && cmd->sub[i]; i++) {
        char below[200];

        snprintf(below, sizeof below, "%s %s", path, cmd->sub[i]->name);
        rc = words(cmd->sub[i], below, out);
    }
    return rc;
}

static int all_words(const struct sp_command *root, struct sp_buf *out)
{
    return words(root, root->name, out);
}

static int account_keys(const struct sp_command *root, struct sp_buf *out)
{
    (void)root;
    return sp_clidoc_keys(sp_account_keys, out);
}

static const struct {
    const char *name;
    int (*make)(const struct sp_command *root, struct sp_buf *out);
} forms[] = {
    {"words", all_words},     {"bash", sp_clidoc_bash},        {"zsh", sp_clidoc_zsh},
    {"mdoc", sp_clidoc_mdoc}, {"mdoc-accounts", account_keys},
};

static int run(const struct sp_args *a)
{
    const char *form = a->n_rest ? a->rest[0] : "words";
    int status = EX_USAGE;
    struct sp_buf out;

    if (a->n_rest > 1)
        return sp_usage_error(a, "`%s` is one word too many", a->rest[1]);
    sp_buf_init(&out, SP_CLIDOC_MAX);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(form, forms[i].name) == 0)
            status = forms[i].make(&sp_cmd_main, &out) == 0 ? 0 : EX_OSERR;
    if (status == 0 && fwrite(out.p, 1, out.n, stdout) != out.n)
        status = EX_IOERR;
    sp_buf_free(&out);
    return status == EX_USAGE ? sp_usage_error(a, "there is no form `%s`", form)
                              : status;
}

const struct sp_command sp_cmd_completion = {
    .name = "completion",
    .summary = "print what shells need to complete commands and options",
    .usage = "[bash|zsh|words]",
    .more = "For the running shell: source <(sallyport completion bash)\n"
            "mdoc and mdoc-accounts print what stands in the manual pages.\n",
    .run = run,
};
