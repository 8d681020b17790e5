/*
 * t_conf_errors.c - every message about a file, against the list in errors.txt.
 *
 *     t_conf_errors LIST        compares
 *     t_conf_errors -w LIST     prints the list with what is said now, to be read again
 */
#include "conf_in.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { MAX = 1024 * 1024 };

static struct sp_buf list, now; /* the list as it is, and as it would be */
static int passed, failed;
static bool quiet;

static int hex(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xHH becomes an octet, the rest stays. */
static void unescape(struct sp_str s, struct sp_buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 3 < s.n && s.p[i + 1] == 'x' &&
            hex(s.p[i + 2]) >= 0 && hex(s.p[i + 3]) >= 0) {
            char c = (char)(hex(s.p[i + 2]) * 16 + hex(s.p[i + 3]));

            (void)sp_buf_put(out, &c, 1);
            i += 3;
        } else
            (void)sp_buf_put(out, s.p + i, 1);
    }
}

static void render(struct sp_str text, struct sp_buf *out)
{
    struct sp_conf_errors errs;
    struct sp_conf *c;

    sp_conf_errors_init(&errs);
    c = sp_conf_parse(text, "/c/t.conf", &errs);
    if ((c == NULL) != (errs.errors > 0))
        (void)sp_buf_puts(out, "THE RESULT DOES NOT FIT THE ERRORS\n");
    (void)sp_conf_errors_render(&errs, out, false);
    sp_conf_unref(c);
    sp_conf_errors_free(&errs);
}

/* From here to the next line that is `mark` (or begins with it), which stays. */
static struct sp_str upto(struct sp_str *rest, const char *mark, bool whole)
{
    struct sp_str r = {rest->p, 0}, line, before;
    size_t n = strlen(mark);

    for (; rest->n; r.n += before.n - rest->n) {
        before = *rest;
        line = sp_str_cut(rest, '\n');
        if (line.n >= n && memcmp(line.p, mark, n) == 0 && (!whole || line.n == n)) {
            *rest = before;
            break;
        }
    }
    return r;
}

static void compare(struct sp_str name, struct sp_str want, struct sp_str got)
{
    bool same = sp_str_eq(want, got);

    *(same ? &passed : &failed) += 1;
    if (!same && !quiet)
        printf("FAILED: %.*s\n--- wanted\n%.*s--- got\n%.*s", (int)name.n, name.p,
               (int)want.n, want.p, (int)got.n, got.p);
}

static void run(void)
{
    struct sp_str rest = sp_buf_view(&list), head = upto(&rest, "=== ", false);

    (void)sp_buf_str(&now, head);
    while (rest.n) {
        struct sp_str name = sp_str_cut(&rest, '\n'), text = upto(&rest, "---", true),
                      want;
        struct sp_buf in, out;

        (void)sp_str_cut(&rest, '\n');
        want = upto(&rest, "=== ", false);
        sp_buf_init(&in, MAX);
        sp_buf_init(&out, MAX);
        unescape(text, &in);
        render(sp_buf_view(&in), &out);
        compare(name, want, sp_buf_view(&out));
        (void)sp_buf_printf(&now, "%.*s\n%.*s---\n%.*s", (int)name.n, name.p,
                            (int)text.n, text.p, (int)out.n, out.p);
        sp_buf_free(&in);
        sp_buf_free(&out);
    }
}

static void every_rule_has_a_case(void)
{
    const char *words;

    for (size_t i = 0; (words = conf_rule_words(i)); i++) {
        bool found = sp_buf_cstr(&list) && strstr(list.p, words);

        *(found ? &passed : &failed) += 1;
        if (!found && !quiet)
            printf("FAILED: no case in the list says \"%s\"\n", words);
    }
}

int main(int argc, char **argv)
{
    bool write = argc == 3 && strcmp(argv[1], "-w") == 0;
    FILE *f = argc > 1 ? fopen(argv[argc - 1], "r") : NULL;
    char *room;

    quiet = write;
    sp_buf_init(&list, MAX);
    sp_buf_init(&now, MAX);
    if (!f || !(room = sp_buf_room(&list, MAX / 2))) {
        fputs("usage: t_conf_errors [-w] LIST\n", stderr);
        return 2;
    }
    list.n = fread(room, 1, MAX / 2, f);
    (void)fclose(f);
    run();
    every_rule_has_a_case();
    if (write)
        printf("%.*s", (int)now.n, now.p);
    else
        printf("%d passed, %d failed\n", passed, failed);
    sp_buf_free(&list);
    sp_buf_free(&now);
    return !write && failed;
}
