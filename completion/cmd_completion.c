/* cmd_completion.c - `sallyport completion`: see clidoc.h. */
#include "clidoc.h"

#include <string.h>

static const struct {
    const char *name;
    int (*make)(const struct sp_command *root, struct sp_buf *out);
} forms[] = {
    {"bash", sp_clidoc_bash},
    {"zsh", sp_clidoc_zsh},
    {"mdoc", sp_clidoc_mdoc},
};

static int run(const struct sp_args *a)
{
    struct sp_buf out;
    int status = EX_USAGE;

    sp_buf_init(&out, SP_CLIDOC_MAX);
    for (size_t i = 0; a->n_rest == 1 && i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(a->rest[0], forms[i].name) == 0)
            status = forms[i].make(&sp_cmd_main, &out) == 0 ? 0 : EX_OSERR;
    if (status == EX_USAGE)
        status = sp_usage_error(a, "say for which shell: bash or zsh");
    else if (status == 0 &&
             (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0))
        status = EX_IOERR;
    sp_buf_free(&out);
    return status;
}

const struct sp_command sp_cmd_completion = {
    .name = "completion",
    .summary = "print what a shell needs to complete commands and options",
    .usage = "bash|zsh",
    .more = "For the running shell: source <(sallyport completion bash)\n"
            "mdoc prints the commands as they stand in the manual page.\n",
    .run = run,
};
