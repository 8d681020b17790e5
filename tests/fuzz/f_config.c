/* f_config.c - a configuration file: dumped and read again it is the same, and whatever
 * is wrong with it is said with a place in the file. */
#include "fz.h"

#include "conf.h"
#include "text.h"

static void look_at_errors(const struct sp_conf_errors *e, struct sp_str in)
{
    struct sp_buf out;
    unsigned lines = 1;

    for (size_t i = 0; i < in.n; i++)
        lines += in.p[i] == '\n';
    FZ_MUST(e->n <= SP_CONF_ERRORS_MAX, "the list is bounded");
    for (size_t i = 0; i < e->n; i++) {
        const struct sp_conf_error *x = &e->v[i];

        FZ_MUST(x->message && *x->message, "an error has words");
        FZ_MUST(x->line <= lines, "and a line of the file");
        FZ_MUST(!x->text || x->mark + x->mark_len <= strlen(x->text) + 1,
                "the carets stand under the line");
    }
    sp_buf_init(&out, 4u << 20);
    FZ_MUST(sp_conf_errors_render(e, &out, false) == 0, "what is said is bounded");
    for (size_t i = 0; i < out.n; i++)
        FZ_MUST((unsigned char)out.p[i] >= 32 || out.p[i] == '\n',
                "nothing of a file steers a terminal");
    sp_buf_free(&out);
}

static void dump(const struct sp_conf *c, bool all, struct sp_buf *out)
{
    sp_buf_init(out, 8u << 20);
    FZ_MUST(sp_conf_dump(c, all, out) == 0, "a configuration can be dumped");
}

FZ_TARGET
{
    struct sp_str in = {size ? (const char *)data : "", size};
    struct sp_conf_errors errs, none;
    struct sp_conf *c;

    sp_conf_errors_init(&errs);
    sp_conf_errors_init(&none);
    c = sp_conf_parse(in, "/etc/sallyport/sallyport.conf", &errs);
    FZ_MUST(c || errs.errors || errs.nomem, "a refused file has an error");
    FZ_MUST(!(c && errs.errors), "a file with an error is refused");
    look_at_errors(&errs, in);
    for (unsigned all = 0; c && all < 2; all++) {
        struct sp_buf one, two;
        struct sp_conf *again;

        dump(c, all, &one);
        again = sp_conf_parse(sp_buf_view(&one), "/elsewhere/x.conf", &none);
        FZ_MUST(again, "a dump can be read");
        dump(again, all, &two);
        FZ_MUST(sp_str_eq(sp_buf_view(&one), sp_buf_view(&two)),
                "and is the same again");
        sp_conf_unref(again);
        sp_buf_free(&one);
        sp_buf_free(&two);
    }
    if (c)
        FZ_MUST(c->n_listeners > 0, "there is a listener");
    sp_conf_unref(c);
    sp_conf_errors_free(&errs);
    sp_conf_errors_free(&none);
    return 0;
}
