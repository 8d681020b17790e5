/* conf_t.h - what the tests of the configuration share. */
#ifndef CONF_T_H
#define CONF_T_H

#include "conf_in.h"
#include "t.h"

#define FILENAME "/etc/sallyport/sallyport.conf"

static inline void t_show(const struct sp_conf_errors *errs)
{
    struct sp_buf out;

    sp_buf_init(&out, 1 << 20);
    (void)sp_conf_errors_render(errs, &out, false);
    printf("%.*s", (int)out.n, out.p);
    sp_buf_free(&out);
}

/* Parses text that must be good; prints why it is not. */
static inline struct sp_conf *t_good(const char *text)
{
    struct sp_conf_errors errs;
    struct sp_conf *c;

    sp_conf_errors_init(&errs);
    c = sp_conf_parse(sp_str(text), FILENAME, &errs);
    if (!c) {
        printf("this must be good:\n%s\n", text);
        t_show(&errs);
    }
    CHECK(c != NULL);
    CHECK_INT(errs.errors, 0);
    sp_conf_errors_free(&errs);
    return c;
}

/* Parses text that must be bad: the first error's message is in buf. */
static inline void t_bad_text(const char *text, char *buf, size_t n)
{
    struct sp_conf_errors errs;
    struct sp_conf *c;

    sp_conf_errors_init(&errs);
    c = sp_conf_parse(sp_str(text), FILENAME, &errs);
    buf[0] = '\0';
    for (size_t i = 0; i < errs.n && !buf[0]; i++)
        if (!errs.v[i].warning)
            (void)snprintf(buf, n, "%s", errs.v[i].message);
    if (c)
        printf("this must be refused:\n%s\n", text);
    CHECK(c == NULL);
    sp_conf_unref(c);
    sp_conf_errors_free(&errs);
}

/* The dump, NUL-terminated; the caller frees the buffer. */
static inline void t_dump(const struct sp_conf *c, bool all, struct sp_buf *out)
{
    sp_buf_init(out, 16 << 20);
    CHECK_INT(sp_conf_dump(c, all, out), 0);
    CHECK(sp_buf_cstr(out) != NULL);
}

/* dump -> parse -> dump, both forms, gives the same text. */
static inline void t_round_trip(const struct sp_conf *c)
{
    for (int all = 0; all < 2; all++) {
        struct sp_buf a, b;
        struct sp_conf *d;

        t_dump(c, all, &a);
        d = t_good(a.p);
        if (d) {
            t_dump(d, all, &b);
            CHECK_STR(b.p, a.p);
            sp_buf_free(&b);
        }
        sp_conf_unref(d);
        sp_buf_free(&a);
    }
}

#endif
