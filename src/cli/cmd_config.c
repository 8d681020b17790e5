/* cmd_config.c - `sallyport config`: check, dump; explain is in cmd_explain.c. */
#include "cli.h"
#include "err.h"
#include "gsslogin.h"
#include "material.h"

#include <string.h>
#include <unistd.h>

static const struct sp_option check_options[] = {
    SP_OPT_CONFIG, {"files", 'f', NULL, "also read and judge keys and certificates"},
    SP_OPT_END};
static const struct sp_option dump_options[] = {
    SP_OPT_CONFIG, {"all", 'a', NULL, "every key, not only what differs from the defaults"},
    SP_OPT_END};
/* Where a file is given as a word, another one would be judged: the usual one. */
static struct sp_conf *load(const struct sp_args *a, int *ret_status)
{
    if (a->n_rest == 0)
        return sp_load_conf(a, true, ret_status);
    *ret_status = sp_usage_error(
        a, "`%s` is one word too many; a file is given by --config", a->rest[0]);
    return NULL;
}

/* Everything that the configuration names, as the server will read it. */
static bool files_good(const struct sp_conf *c)
{
    struct sp_buf problems;
    struct sp_material *m;
    struct sp_err err;
    bool good;

    sp_buf_init(&problems, 1 << 16);
    m = sp_material_read(c, &problems);
    good = m != NULL;
    if (problems.n)
        fwrite(problems.p, 1, problems.n, stderr);
    sp_buf_free(&problems);
    sp_material_free(m);
    if (gsslogin_check(c, &err) == 0)
        return good;
    fprintf(stderr, "%s\n", err.text);
    return false;
}

static int run_check(const struct sp_args *a)
{
    int status = 0;
    struct sp_conf *c = load(a, &status);

    if (!c)
        return status;
    if (sp_arg_given(a, "files") && !files_good(c))
        status = EX_CONFIG;
    if (status == 0)
        printf("%s: fine\n", c->filename ? c->filename : "the defaults");
    sp_conf_unref(c);
    return status;
}

static int run_dump(const struct sp_args *a)
{
    int status = 0;
    struct sp_conf *c = load(a, &status);
    struct sp_buf out;

    if (!c)
        return status;
    sp_buf_init(&out, 1 << 24);
    if (sp_conf_dump(c, sp_arg_given(a, "all"), &out) < 0)
        status = sp_fail(EX_OSERR, "out of memory");
    else if (out.n) /* nothing differs from the defaults: nothing is printed */
        fwrite(out.p, 1, out.n, stdout);
    sp_buf_free(&out);
    sp_conf_unref(c);
    return status;
}

static const struct sp_command c_check = {
    .name = "check", .summary = "say what is wrong with a configuration, all of it",
    .usage = "[--config FILE] [--files]", .options = check_options, .run = run_check};
static const struct sp_command c_dump = {
    .name = "dump", .summary = "print it in canonical form", .usage = "[--config FILE] [--all]",
    .options = dump_options, .run = run_dump};
static const struct sp_command *const subs[] = {&c_check, &c_dump, &sp_cmd_explain, NULL};

const struct sp_command sp_cmd_config = {
    .name = "config", .summary = "check, print and explain the configuration", .sub = subs};
