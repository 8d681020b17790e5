/* t_medit.c - the header of a message while milters change it. */
#include "t.h"

#include "medit.h"

static struct sp_str s(const char *p)
{
    return sp_str(p);
}

static const char *written(const struct sp_medit *e, const char **ret_above)
{
    static struct sp_buf above, rest;

    sp_buf_free(&above);
    sp_buf_free(&rest);
    sp_buf_init(&above, 10000);
    sp_buf_init(&rest, 10000);
    CHECK_INT(sp_medit_write(e, &above, &rest), 0);
    if (ret_above)
        *ret_above = sp_buf_cstr(&above);
    return sp_buf_cstr(&rest);
}

static const char two[] = "A: 1\r\nB:  x\r\n\ty\r\na: 2\r\n\r\nbody: no\r\n";

TEST("fields that nobody touched come out octet for octet, the body is none of them")
{
    struct sp_medit e;

    sp_medit_init(&e, 4096);
    CHECK_INT(sp_medit_load(&e, s(two)), 0);
    CHECK_INT(e.n, 3);
    CHECK(!e.changed);
    CHECK(sp_str_is(e.field[1].name, "B") && sp_str_is(e.field[1].value, "  x\n\ty"));
    CHECK_STR(written(&e, NULL), "A: 1\r\nB:  x\r\n\ty\r\na: 2\r\n");
    sp_medit_free(&e);
}

TEST("positions are those of libmilter, 0 and 1 are above our Received")
{
    struct sp_medit e;
    const char *above;

    sp_medit_init(&e, 4096);
    (void)sp_medit_load(&e, s(two));
    CHECK_INT(sp_medit_insert(&e, 1, s("Top"), s("t"), false), 0);
    CHECK_INT(sp_medit_insert(&e, 0, s("Top0"), s("t"), false), 0);
    CHECK_INT(sp_medit_insert(&e, 2, s("Second"), s("t"), false), 0);
    CHECK_INT(sp_medit_insert(&e, 5, s("Mid"), s("t"), false), 0);
    CHECK_INT(sp_medit_insert(&e, 99, s("Last"), s("t"), false), 0);
    CHECK_INT(sp_medit_add(&e, s("End"), s("t"), false), 0);
    CHECK_STR(written(&e, &above),
              "A: 1\r\nMid: t\r\nB:  x\r\n\ty\r\na: 2\r\nLast: t\r\nEnd: t\r\n");
    CHECK_STR(above, "Top0: t\r\nSecond: t\r\nTop: t\r\n");
    CHECK(e.changed);
    sp_medit_free(&e);
}

TEST("the index-th of a name changes in its place, or goes; one that is not there is "
     "added")
{
    struct sp_medit e;

    sp_medit_init(&e, 4096);
    (void)sp_medit_load(&e, s(two));
    CHECK_INT(sp_medit_change(&e, 2, s("A"), s("two"), false), 0);
    CHECK_INT(sp_medit_change(&e, 1, s("b"), s(""), false), 0);
    CHECK_INT(sp_medit_change(&e, 3, s("A"), s(""), false), 0);
    CHECK_INT(sp_medit_change(&e, 1, s("C"), s(" c"), true), 0);
    CHECK_STR(written(&e, NULL), "A: 1\r\nA: two\r\nC: c\r\n");
    sp_medit_free(&e);
}

TEST("whatever the value is, one field comes out (header injection)")
{
    static const char *const rows[][2] = {
        {"a\n\tb\n c", "X: a\r\n\tb\r\n c\r\n"},
        {"a\nBcc: eve", "X: a\r\n\tBcc: eve\r\n"},
        {"a\r\nBcc: eve\r\n\r\nbody", "X: a\r\n\tBcc: eve\r\n\tbody\r\n"},
        {"a\n\n\nb", "X: a\r\n\tb\r\n"},
        {"a\n \t\n", "X: a\r\n"},
        {"a\rb", "X: a b\r\n"},
        {"", "X: \r\n"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sp_medit e;

        sp_medit_init(&e, 4096);
        CHECK_INT(sp_medit_add(&e, s("X"), s(rows[i][0]), false), 0);
        CHECK_STR(written(&e, NULL), rows[i][1]);
        CHECK_INT(e.n, 1);
        sp_medit_free(&e);
    }
}

/* "X: ", then so many octets, a blank after each `word` of them (0: none). */
static void long_value(struct sp_buf *b, size_t n, size_t word, const char *unit)
{
    sp_buf_init(b, 1 << 20);
    for (size_t i = 0; b->n < n; i++)
        (void)sp_buf_puts(b, word && i % word == word - 1 ? " " : unit);
}

TEST("a line is no longer than 998 octets: folded at a blank, else between characters")
{
    static const struct {
        size_t n, word;
        const char *unit;
        size_t lines;
    } rows[] = {
        {995, 0, "x", 1},  {996, 0, "x", 2},   {995, 10, "x", 1},  {996, 10, "x", 2},
        {5000, 7, "x", 6}, {5000, 0, "x", 6},  {3000, 0, "\xc3\xa4", 4},
        {3000, 0, " ", 1}, {3000, 990, "  ", 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sp_medit e;
        struct sp_buf value;
        struct sp_str text, line;
        size_t lines = 0;

        long_value(&value, rows[i].n, rows[i].word, rows[i].unit);
        sp_medit_init(&e, 1 << 20);
        CHECK_INT(sp_medit_add(&e, s("X"), sp_buf_view(&value), false), 0);
        text = e.n ? e.field[0].raw : s("");
        while (text.n) {
            line = sp_str_cut(&text, '\n');
            CHECK(line.n <= 999 && line.n > 1); /* with its CR */
            CHECK(lines == 0 || sp_str_trim(line).n > 0);
            CHECK(lines == 0 || ((unsigned char)line.p[1] & 0xC0) != 0x80);
            lines++;
        }
        CHECK_INT(lines, rows[i].lines);
        sp_medit_free(&e);
        sp_buf_free(&value);
    }
}

TEST("no more than the maximum is kept")
{
    struct sp_medit e;

    sp_medit_init(&e, 10);
    CHECK_INT(sp_medit_load(&e, s("A: 12345\r\n")), 0);
    CHECK_INT(sp_medit_add(&e, s("B"), s("1"), false), -SP_ELIMIT);
    CHECK_INT(e.n, 1);
    sp_medit_free(&e);
    CHECK_INT(sp_medit_load(&e, s("A: 123456\r\n")), -SP_ELIMIT);
    sp_medit_free(&e);
}

T_MAIN
