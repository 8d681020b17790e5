/* t_header.c - walking over headers of every kind. */
#include "t.h"

#include "alloc.h"
#include "header.h"

/* "Name=value;" per field, with a kind letter in front where it is not a plain one, and
 * "#body" with '.' for a header that had its empty line. */
static const char *walk(struct sp_str in, struct sp_buf *b)
{
    static const char kind[] = {[SP_FIELD_OK] = 0,
                                [SP_FIELD_BLANK_NAME] = '_',
                                [SP_FIELD_MBOX] = 'M',
                                [SP_FIELD_NONE] = '!'};
    struct sp_header_iter it;
    struct sp_field f;

    sp_buf_free(b);
    sp_buf_init(b, 100000);
    sp_header_start(&it, in);
    while (sp_header_next(&it, &f)) {
        CHECK(f.raw.p == in.p + f.offset);
        if (f.kind != SP_FIELD_OK)
            sp_buf_put(b, &kind[f.kind], 1);
        sp_buf_str(b, f.name);
        sp_buf_puts(b, "=");
        sp_field_unfold(f.value, b);
        sp_buf_puts(b, ";");
    }
    sp_buf_printf(b, "%zu%s", it.body, it.complete ? "." : "");
    return sp_buf_cstr(b);
}

static const struct {
    const char *in, *want;
} walks[] = {
    /* clang-format off */
    {"A: b\r\n\r\nbody",              "A=b;8."},
    {"A: b\n\nbody",                  "A=b;6."},
    {"A: b\r\n",                      "A=b;6"},
    {"A: b",                          "A=b;4"},
    {"A:b\r\nC:d\r\n\r\n",            "A=b;C=d;12."},
    {"A:\r\nB:  \r\n\r\n",            "A=;B=;12."},
    {"A: b\r\n c\r\n\td\r\n\r\n",     "A=b c d;16."},
    {"A:\r\n b\r\n\r\n",              "A=b;10."},
    {"A : b\r\n\r\n",                 "_A=b;9."},
    {"A\t: b\r\n\r\n",                "_A=b;9."},
    {"A: b\r\nnonsense\r\nC: d\r\n\r\n", "A=b;!=;C=d;24."},
    {"A: b\r\n: x\r\n\r\n",           "A=b;!=;13."},
    {"A: b\r\nB\xc3\xb6: x\r\n\r\n",  "A=b;!=;16."},
    {"A: b\r\nB c: x\r\n\r\n",        "A=b;!=;16."},
    {"A: b\r\n  \r\nC: d\r\n\r\n",    "A=b;C=d;18."},
    {"\r\nbody",                      "2."},
    {"\nbody",                        "1."},
    {"hello\r\nworld\r\n",            "0"},
    {" A: b\r\n\r\n",                 "0"},
    {"",                              "0"},
    {"From joe Mon\r\nA: b\r\n\r\n",  "M=;A=b;22."},
    {">From joe Mon\nA: b\n\n",       "M=;A=b;20."},
    {"From joe Mon\r\nhello\r\n",     "0"},
    {"From joe Mon\r\n c\r\nA: b\r\n","0"},
    {"From joe Mon\r\n",              "M=;14"},
    {"From : a@b\r\n\r\n",            "_From=a@b;14."},
    {"A: b\r\nFrom joe Mon\r\n\r\n",  "A=b;!=;22."},
    {"From a\r\nFrom b\r\nA: b\r\n",  "0"},
    {"A: b\r",                        "A=b;5"},
    {"A: b\r\n\r",                    "A=b;!=;7"},
    {"A: b\rC: d\r\n\r\n",            "A=b C: d;13."},
    {"A: b\r\n\r\n\r\n",              "A=b;8."},
    {"\xff\xfe",                      "0"},
    /* clang-format on */
};

TEST("a header is walked field by field, whatever it looks like")
{
    struct sp_buf b = {.p = NULL};

    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        const char *got = walk(sp_str(walks[i].in), &b);

        if (strcmp(got, walks[i].want) != 0)
            printf("for \"%s\":\n", walks[i].in);
        CHECK_STR(got, walks[i].want);
    }
    sp_buf_free(&b);
}

TEST("a header cut off anywhere is walked without a step outside it")
{
    struct sp_buf b = {.p = NULL};

    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        for (size_t n = 0; n <= strlen(walks[i].in); n++) {
            char *exact = sp_strndup(walks[i].in, n);

            exact = sp_realloc(exact, n ? n : 1); /* no NUL behind it */
            walk((struct sp_str){exact, n}, &b);
            sp_free(exact);
        }
    }
    sp_buf_free(&b);
}

TEST("a NUL is no end and no part of a name")
{
    struct sp_buf b = {.p = NULL};

    CHECK_STR(walk(SP_LIT("A: b\0c\r\nB\0: d\r\n\r\n"), &b), "A=b c;!=;17.");
    sp_buf_free(&b);
}

TEST("fields are found by name without case, by number, and counted")
{
    struct sp_str h = sp_str("To: a\r\nRECEIVED: 1\r\nReceived : 2\r\nX: y\r\n\r\n"
                             "Received: body\r\n");
    struct sp_field f;

    CHECK_INT(sp_header_count(h, "Received"), 2);
    CHECK(sp_header_find(h, "received", 1, &f));
    CHECK(sp_str_is(f.value, "2"));
    CHECK_INT(f.line, 3);
    CHECK(!sp_header_find(h, "received", 2, &f));
    CHECK(!sp_header_find(h, "Receive", 0, &f));
}

TEST("the empty line is found the same wherever the octets are split")
{
    static const char *const m[] = {
        "A: b\r\n\r\nbody", "A: b\n\nbody\n\n", "\r\nx",      "\n",
        "A: b\r\r\n\r\nx",  "A\r\n \r\n\r\nx",  "no end\r\n", "\rA\r\n\r\n"};
    static const size_t want[] = {8, 6, 2, 1, 9, 8, 8, 6};

    for (size_t i = 0; i < sizeof m / sizeof m[0]; i++) {
        size_t len = strlen(m[i]);

        for (size_t a = 0; a <= len; a++) {
            for (size_t b = a; b <= len; b++) {
                struct sp_header_scan s = {.size = 0};
                size_t n = sp_header_scan(&s, (struct sp_str){m[i], a});

                n += sp_header_scan(&s, (struct sp_str){m[i] + a, b - a});
                n += sp_header_scan(&s, (struct sp_str){m[i] + b, len - b});
                CHECK_INT(n, want[i]);
                CHECK_INT(s.size, want[i]);
                CHECK_INT(s.done, i != 6);
            }
        }
    }
}

TEST("one megabyte of fields, or one field of it, is looked at once")
{
    struct sp_header_iter it;
    struct sp_field f;
    struct sp_buf b;
    size_t n = 0;

    sp_buf_init(&b, 1 << 21);
    while (b.n < 1 << 20)
        sp_buf_puts(&b, "a: b\r\n");
    sp_header_start(&it, sp_buf_view(&b));
    while (sp_header_next(&it, &f))
        n++;
    CHECK_INT(n, b.n / 6);
    CHECK_INT(it.work, b.n);
    CHECK_INT(it.body, b.n);
    for (size_t i = 6; i + 1 < b.n; i += 2)
        memcpy(b.p + i, " \n", 2); /* one field with half a million continuations */
    sp_header_start(&it, sp_buf_view(&b));
    CHECK(sp_header_next(&it, &f));
    CHECK_INT(f.raw.n, b.n);
    CHECK(!sp_header_next(&it, &f));
    CHECK_INT(it.work, b.n);
    sp_buf_free(&b);
}

T_MAIN
