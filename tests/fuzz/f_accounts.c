/* f_accounts.c - accounts.conf, and msmtprc turned into one: what the conversion writes
 * can be read, and no password comes along. */
#include "fz.h"

#include "accounts.h"
#include "text.h"

static void accounts(struct sp_str in)
{
    struct sp_accounts acc;
    struct sp_buf out;
    int rc;

    sp_accounts_init(&acc);
    rc = sp_accounts_parse(&acc, in, "/home/u/accounts.conf", "/home/u");
    FZ_MUST((rc == 0) == (acc.errs.errors == 0 && !acc.errs.nomem),
            "a refused file has an error");
    sp_buf_init(&out, 4u << 20);
    FZ_MUST(sp_conf_errors_render(&acc.errs, &out, false) == 0,
            "what is said is bounded");
    for (size_t i = 0; i < out.n; i++)
        FZ_MUST((unsigned char)out.p[i] >= 32 || out.p[i] == '\n',
                "nothing of a file steers a terminal");
    for (const struct sp_account *a = acc.first; a && rc == 0; a = a->next) {
        FZ_MUST(a->n <= SP_ACCOUNT_KEYS_MAX && sp_accounts_find(&acc, a->name) == a,
                "an account is found by its name");
        for (size_t i = 0; i < a->n; i++)
            FZ_MUST(a->set[i].option && (!a->set[i].option->arg || a->set[i].value),
                    "an option that wants a value has one");
    }
    sp_buf_free(&out);
    sp_accounts_free(&acc);
}

static void import(struct sp_str in)
{
    struct sp_accounts acc;
    struct sp_buf out;

    sp_buf_init(&out, 8u << 20);
    if (sp_msmtprc_convert(in, &out) == 0) {
        sp_accounts_init(&acc);
        FZ_MUST(sp_accounts_parse(&acc, sp_buf_view(&out), "/home/u/accounts.conf",
                                  "/home/u") == 0,
                "what the import writes can be read");
        sp_accounts_free(&acc);
        FZ_MUST(out.n == 0 || !memmem(out.p, out.n, "hunter2hunter2", 14),
                "a password does not come along");
    }
    sp_buf_free(&out);
}

FZ_TARGET
{
    struct sp_str in = {size ? (const char *)data : "", size};
    static const char marked[] = "\npassword hunter2hunter2\n",
                      mark[] = "hunter2hunter2";
    const char *first = fz_find(in, mark, sizeof mark - 1);
    const char *line = fz_find(in, marked, sizeof marked - 1);
    bool fair =
        !first || (line && first == line + 10); /* once, as a password, or not */

    if (fair && first)
        fair = !memmem(first + 1, (size_t)(in.p + in.n - first - 1), mark,
                       sizeof mark - 1);
    accounts(in);
    if (fair)
        import(in);
    return 0;
}
