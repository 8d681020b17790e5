/* t_compose.c - normalising any input, composing a message, recipients of a header. */
#include "t.h"

#include "alloc.h"
#include "compose.h"

#include <errno.h>
#include <string.h>

#define NOW  1795338215000u
#define DATE "Date: Sun, 22 Nov 2026 09:03:35 +0000\r\n"
#define ID   "Message-ID: <1a2027f1e58.00000000000000000000000000000000@h.example>\r\n"
#define FULL "Date: x\r\nMessage-ID: <i@x>\r\nFrom: a@b.org\r\n"

/* ---- Normalising -------------------------------------------------------------------- */

static const struct {
    const char *in, *want;
} norms[] = {
    /* clang-format off */
    {"A: b\n\nbody\n",               "A: b\r\n\r\nbody\r\n"},
    {"A: b\r\n\r\nbody\r\n",         "A: b\r\n\r\nbody\r\n"},
    {"A: b\r\rbody\r",               "A: b\r\n\r\nbody\r\n"},
    {"A: b\r\n\nx\ry\nz\r\n",        "A: b\r\n\r\nx\r\ny\r\nz\r\n"},
    {"A: b\n\n\r\n\r\r\n",           "A: b\r\n\r\n\r\n\r\n\r\n"},
    {"A: b\n\nno end",               "A: b\r\n\r\nno end\r\n"},
    {"A: b",                         "A: b\r\n"},
    {"A: b\n",                       "A: b\r\n"},
    {"A: b\n c\n\td\n\nx\n",         "A: b\r\n c\r\n\td\r\n\r\nx\r\n"},
    {"From joe Mon\nA: b\n\nx\n",    "A: b\r\n\r\nx\r\n"},
    {">From joe Mon\r\nA: b\n\nx\n", "A: b\r\n\r\nx\r\n"},
    {"From: joe\n\nx\n",             "From: joe\r\n\r\nx\r\n"},
    {"From : joe\n\nx\n",            "From : joe\r\n\r\nx\r\n"},
    {"A: b\nFrom joe Mon\n\nx\n",    "A: b\r\n\r\nFrom joe Mon\r\n\r\nx\r\n"},
    {"A: b\n\nFrom joe\n",           "A: b\r\n\r\nFrom joe\r\n"},
    {"A: b\nthe text\nmore: x\n",    "A: b\r\n\r\nthe text\r\nmore: x\r\n"},
    {"hello\nworld\n",               "\r\nhello\r\nworld\r\n"},
    {"hello world: x\n",             "\r\nhello world: x\r\n"},
    {" leading\n",                   "\r\n leading\r\n"},
    {"\nbody\n",                     "\r\nbody\r\n"},
    {"\n",                           "\r\n"},
    {"",                             ""},
    {"x",                            "\r\nx\r\n"},
    {"From joe Mon\nhello\n",        "\r\nhello\r\n"},
    {"From joe Mon",                 ""},
    {"From ",                        "\r\nFrom \r\n"},
    {": x\n",                        "\r\n: x\r\n"},
    {"A\xc3: x\n",                   "\r\nA\xc3: x\r\n"},
    {"A: b\n\n.\n..\nx\n",           "A: b\r\n\r\n.\r\n..\r\nx\r\n"},
    /* clang-format on */
};

/* Fed in chunks of `step` octets. */
static const char *norm(struct sp_str in, size_t step, bool dot, struct sp_norm *n,
                        struct sp_buf *b)
{
    sp_buf_free(b);
    sp_buf_init(b, 100000);
    sp_norm_init(n);
    n->dot_ends = dot;
    for (size_t i = 0; i < in.n; i += step)
        CHECK_INT(
            sp_norm_feed(
                n, (struct sp_str){in.p + i, in.n - i < step ? in.n - i : step}, b),
            0);
    CHECK_INT(sp_norm_end(n, b), 0);
    CHECK_INT(n->size, b->n);
    return sp_buf_cstr(b);
}

TEST("any mix of line ends becomes CRLF, in chunks of any size")
{
    struct sp_buf b = {.p = NULL};
    struct sp_norm n;

    for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++) {
        for (size_t step = 1; step <= 30; step += step < 4 ? 1 : 13) {
            const char *got = norm(sp_str(norms[i].in), step, false, &n, &b);

            if (strcmp(got, norms[i].want) != 0)
                printf("for \"%s\":\n", norms[i].in);
            CHECK_STR(got, norms[i].want);
        }
    }
    sp_buf_free(&b);
}

TEST("what was normalised once stays as it is")
{
    struct sp_buf b = {.p = NULL}, c = {.p = NULL};
    struct sp_norm n;

    for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++) {
        norm(sp_str(norms[i].in), 100, false, &n, &b);
        CHECK_STR(norm(sp_buf_view(&b), 100, false, &n, &c), norms[i].want);
    }
    sp_buf_free(&b);
    sp_buf_free(&c);
}

TEST("a dot alone ends the input only where sendmail's rule is asked for")
{
    struct sp_buf b = {.p = NULL};
    struct sp_norm n;

    for (size_t step = 1; step < 20; step += 6) {
        CHECK_STR(norm(sp_str("A: b\n\nx\n.\nmore\n"), step, true, &n, &b),
                  "A: b\r\n\r\nx\r\n");
        CHECK(n.ended);
        CHECK_STR(norm(sp_str("A: b\n\n.x\n..\n. \nx."), step, true, &n, &b),
                  "A: b\r\n\r\n.x\r\n..\r\n. \r\nx.\r\n");
        CHECK(!n.ended);
        CHECK_STR(norm(sp_str("A: b\n\nx\n."), step, true, &n, &b),
                  "A: b\r\n\r\nx\r\n");
        CHECK_STR(norm(sp_str("A: b\n.\nx\n"), step, true, &n, &b), "A: b\r\n");
        CHECK_STR(norm(sp_str(".\n"), step, true, &n, &b), "");
    }
    sp_buf_free(&b);
}

TEST("the first pass finds out what the second must know")
{
    struct sp_buf b = {.p = NULL};
    struct sp_norm n;

    norm(sp_str("A: b\n\n12345\n123456789\n1\n"), 3, false, &n, &b);
    CHECK_INT(n.longest, 9);
    CHECK_INT(n.longest_line, 4);
    CHECK_INT(n.header_longest, 4);
    CHECK_INT(n.header_size, 8);
    CHECK(n.header_done && !n.header_8bit && !n.body_8bit && !n.has_nul && n.any_field);
    norm(sp_str("A: \xc3\xb6\n\n\xe2\x82\xac\n"), 1, false, &n, &b);
    CHECK(n.header_8bit && n.body_8bit && n.body_utf8);
    norm(SP_LIT("A: b\n\na\0b\n"), 1, false, &n, &b);
    CHECK(n.has_nul);
    norm(sp_str("text\n"), 1, false, &n, &b);
    CHECK(!n.any_field);
    sp_buf_free(&b);
}

TEST("UTF-8 in the body is told from what is not")
{
    static const struct {
        const char *body;
        bool utf8;
    } t[] = {{"abc", 1},
             {"\xc3\xb6", 1},
             {"\xf0\x9f\x98\x80", 1},
             {"\xed\x9f\xbf", 1},
             {"\xed\xa0\x80", 0},
             {"\xc0\x80", 0},
             {"\xc3", 0},
             {"\xc3\n\xb6", 0},
             {"\xb6", 0},
             {"\xe0\x80\x80", 0},
             {"\xf4\x90\x80\x80", 0},
             {"\xf5\x80\x80\x80", 0},
             {"\xff", 0},
             {"\xe2\x82\xac\xe2\x82", 0}};
    struct sp_buf b = {.p = NULL};

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct sp_norm n;
        char in[40];

        snprintf(in, sizeof in, "A: b\n\n%s", t[i].body);
        norm(sp_str(in), 1, false, &n, &b);
        if (n.body_utf8 != t[i].utf8)
            printf("row %zu\n", i);
        CHECK_INT(n.body_utf8, t[i].utf8);
        CHECK_INT(n.body_utf8,
                  sp_utf8_valid(sp_str(t[i].body)) && strchr(t[i].body, '\n') == NULL);
    }
    sp_buf_free(&b);
}

/* ---- Composing ------------------------------------------------------------------------ */

static struct sp_compose_opts plain_opts(void)
{
    return (struct sp_compose_opts){.hostname = sp_str("h.example"), .now_ms = NOW};
}

/* Two passes as the command line does; step octets at a time. */
static int compose_octets(struct sp_str text, struct sp_compose_opts *o, size_t step,
                          struct sp_compose *c, struct sp_buf *b)
{
    struct sp_norm facts;
    int rc = 0;

    sp_buf_free(b);
    sp_buf_init(b, 1 << 24);
    sp_norm_init(&facts);
    CHECK_INT(sp_norm_feed(&facts, text, NULL), 0);
    CHECK_INT(sp_norm_end(&facts, NULL), 0);
    o->facts = &facts;
    sp_compose_init(c, o);
    for (size_t i = 0; i < text.n && rc == 0; i += step)
        rc = sp_compose_feed(
            c, (struct sp_str){text.p + i, text.n - i < step ? text.n - i : step}, b);
    if (rc == 0)
        do
            rc = sp_compose_end(c, b);
        while (rc > 0);
    o->facts = NULL;
    return rc;
}

static int compose(const char *in, struct sp_compose_opts *o, size_t step,
                   struct sp_compose *c, struct sp_buf *b)
{
    return compose_octets(sp_str(in), o, step, c, b);
}

static void expect(const char *in, struct sp_compose_opts *o, const char *want)
{
    static const size_t steps[] = {1, 7, 100000};
    struct sp_buf b = {.p = NULL};
    struct sp_compose c;

    for (size_t i = 0; i < 3; i++) {
        CHECK_INT(compose(in, o, steps[i], &c, &b), 0);
        CHECK_STR(sp_buf_cstr(&b), want);
        sp_compose_free(&c);
    }
    sp_buf_free(&b);
}

TEST("a complete message goes out as it is, but for line ends and Bcc")
{
    struct sp_compose_opts o = plain_opts();

    expect(FULL "\r\nbody\r\n", &o, FULL "\r\nbody\r\n");
    expect("Date: x\nMessage-ID: <i@x>\nBcc: c@d.org,\n e@f.org\nFrom: a@b.org\n\nbody",
           &o, FULL "\r\nbody\r\n");
    expect("Resent-Bcc: x@y.org\n" FULL "Bcc:\n\n", &o, FULL "\r\n");
}

TEST("what is missing is completed behind what is there")
{
    struct sp_compose_opts o = plain_opts();

    expect("Subject: x\n\nbody\n", &o, "Subject: x\r\n" DATE ID "\r\nbody\r\n");
    o.from = sp_str("me@b.org");
    o.from_name = sp_str("M. E.");
    o.to = sp_str("you@c.org, Z <z@c.org>");
    expect("just text\n", &o,
           "From: \"M. E.\" <me@b.org>\r\nTo: you@c.org, Z <z@c.org>\r\n" DATE ID
           "\r\njust text\r\n");
    expect("From:\nDate:\nMessage-ID:\nCc: a@b.org\n\n", &o,
           "Cc: a@b.org\r\nFrom: \"M. E.\" <me@b.org>\r\n" DATE ID "\r\n");
    expect("", &o,
           "From: \"M. E.\" <me@b.org>\r\nTo: you@c.org, Z <z@c.org>\r\n" DATE ID
           "\r\n");
}

TEST("an added field replaces one that may stand once, else stands beside it")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_str add[] = {sp_str("Subject: new"), sp_str("X-Tag:two")};

    o.add = add;
    o.add_n = 2;
    expect("Subject: old\nX-Tag: one\n" FULL "\nx\n", &o,
           "X-Tag: one\r\n" FULL "Subject: new\r\nX-Tag: two\r\n\r\nx\r\n");
}

TEST("an added field that is not ASCII is encoded, addresses keep their form")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_str add[] = {sp_str("Subject: Gr\xc3\xbc\xc3\x9f"
                                  "e"),
                           sp_str("To: J\xc3\xb6 <j@b.org>, \"x, y\" <k@b.org>")};

    o.add = add;
    o.add_n = 2;
    expect(FULL "\n", &o,
           FULL "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n"
                "To: =?utf-8?B?SsO2?= <j@b.org>,\r\n \"x, y\" <k@b.org>\r\n\r\n");
}

TEST("an added field that is none, or would be two, is refused in words")
{
    static const char *const bad[] = {
        "no colon",   ": x",    "A b: c",  "A: b\r\nBcc: evil@x.org", "A: b\nX: y",
        "A: b\rX: y", "A\n: b", "A: \xff", "To: J\xc3\xb6 <broken",   ""};
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b = {.p = NULL};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sp_str add = sp_str(bad[i]);
        struct sp_compose c;

        o.add = &add;
        o.add_n = 1;
        CHECK_INT(compose(FULL "\nx\n", &o, 1000, &c, &b), -SP_EINPUT);
        CHECK(c.err.text[0] != '\0');
        sp_compose_free(&c);
    }
    sp_buf_free(&b);
}

TEST("text that is not ASCII is declared, as what it is")
{
    struct sp_compose_opts o = plain_opts();

    expect(FULL "\n\xc3\xb6\n", &o,
           FULL "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xb6\r\n");
    expect(FULL "\n\xf6\n", &o,
           FULL
           "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
           "Content-Transfer-Encoding: 8bit\r\n\r\n\xf6\r\n");
    expect(FULL "Content-Type: text/x\n\n\xf6\n", &o,
           FULL "Content-Type: text/x\r\n\r\n\xf6\r\n");
}

static void decode_qp(const struct sp_buf *in, size_t from, struct sp_buf *out)
{
    size_t column = 0;

    for (size_t i = from; i < in->n; i++) {
        char ch = in->p[i];

        column = ch == '\n' ? 0 : column + (ch != '\r');
        CHECK(column <= 76);
        if (ch == '\r' && i > from)
            CHECK(in->p[i - 1] != ' ' && in->p[i - 1] != '\t');
        if (ch != '=') {
            sp_buf_put(out, &ch, 1);
        } else if (in->p[i + 1] == '\r') {
            i += 2;
            column = 0;
        } else {
            CHECK_INT(sp_hex_decode((struct sp_str){in->p + i + 1, 2}, &ch, 1), 1);
            sp_buf_put(out, &ch, 1);
            i += 2;
            column += 2;
        }
    }
}

TEST("text with a line over 998 octets is quoted-printable and decodes to itself")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b = {.p = NULL}, back, in;
    struct sp_compose c;
    const char *body;

    sp_buf_init(&in, 10000);
    sp_buf_puts(&in, FULL "\r\n");
    for (int i = 0; i < 300; i++)
        sp_buf_puts(&in, i % 7 ? "a=b \t" : "\xc3\xb6 ");
    sp_buf_puts(&in, "\r\n.\r\ntrailing \r\n\t\r\n\r\n end");
    for (size_t step = 1; step < 5000; step = step * 3 + 1) {
        CHECK_INT(compose(sp_buf_cstr(&in), &o, step, &c, &b), 0);
        body = strstr(sp_buf_cstr(&b), "\r\n\r\n");
        CHECK(strstr(b.p,
                     "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"));
        CHECK(!c.body_8bit);
        sp_buf_init(&back, 10000);
        decode_qp(&b, (size_t)(body + 4 - b.p), &back);
        CHECK_INT(back.n, in.n + 2 - strlen(FULL) - 2);
        CHECK(memcmp(back.p, in.p + strlen(FULL) + 2, back.n - 2) == 0);
        sp_buf_free(&back);
        sp_compose_free(&c);
    }
    sp_buf_free(&in);
    sp_buf_free(&b);
}

TEST("a NUL is encoded, and refused in words inside MIME: servers take none")
{
    static const char text[] = FULL "\r\na\0b\r\n",
                      mime[] = FULL "Content-Type: text/plain\r\n\r\na\0b\r\n";
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b = {.p = NULL};
    struct sp_compose c;

    CHECK_INT(compose_octets((struct sp_str){text, sizeof text - 1}, &o, 1000, &c, &b),
              0);
    CHECK(memchr(b.p, 0, b.n) == NULL);
    CHECK(strstr(sp_buf_cstr(&b), "quoted-printable\r\n\r\na=00b\r\n") != NULL);
    sp_compose_free(&c);
    CHECK_INT(compose_octets((struct sp_str){mime, sizeof mime - 1}, &o, 1000, &c, &b),
              -SP_EINPUT);
    CHECK(strstr(c.err.text, "NUL") != NULL);
    sp_compose_free(&c);
    sp_buf_free(&b);
}

TEST("a line over 998 octets inside MIME is refused in words, 998 pass")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b = {.p = NULL}, in;
    struct sp_compose c;

    sp_buf_init(&in, 10000);
    sp_buf_puts(&in, FULL "Content-Type: text/plain\r\n\r\n");
    for (int i = 0; i < 998; i++)
        sp_buf_puts(&in, "x");
    CHECK_INT(compose(sp_buf_cstr(&in), &o, 1000, &c, &b), 0);
    CHECK_INT(b.n, in.n + 2);
    sp_compose_free(&c);
    sp_buf_puts(&in, "x");
    CHECK_INT(compose(sp_buf_cstr(&in), &o, 1000, &c, &b), -SP_EINPUT);
    CHECK(strstr(c.err.text, "line 6 has 999 octets"));
    sp_compose_free(&c);
    sp_buf_free(&in);
    sp_buf_free(&b);
}

TEST("a header line over 998 octets is folded at its blanks")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b = {.p = NULL}, in, flat;
    struct sp_compose c;
    struct sp_field f;

    sp_buf_init(&in, 10000);
    sp_buf_puts(&in, FULL "To: a@b.org");
    for (int i = 0; i < 200; i++)
        sp_buf_puts(&in, ", a@b.org");
    sp_buf_puts(&in, "\r\n\r\n");
    CHECK_INT(compose(sp_buf_cstr(&in), &o, 1000, &c, &b), 0);
    CHECK(sp_header_find(sp_buf_view(&b), "To", 0, &f));
    CHECK(f.longest < 90);
    sp_buf_init(&flat, 10000);
    CHECK_INT(sp_field_unfold(f.value, &flat), 0);
    CHECK(strstr(in.p, sp_buf_cstr(&flat)) == in.p + strlen(FULL "To: "));
    sp_buf_free(&flat);
    sp_compose_free(&c);
    sp_buf_free(&in);
    sp_buf_free(&b);
}

#define BOUNDARY "=_00000000000000000000000000000000"

TEST("attachments make a multipart message with the text in front")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_attachment a[] = {{sp_str("/tmp/x/a.txt"), sp_str(""), sp_str("hello")},
                                {sp_str("b"), sp_str("message/rfc822"), sp_str("")}};

    o.attach = a;
    o.attach_n = 2;
    expect(FULL "\nbody", &o,
           FULL "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n"
                " boundary=\"" BOUNDARY "\"\r\n\r\n--" BOUNDARY "\r\n"
                "Content-Type: text/plain; charset=us-ascii\r\n"
                "Content-Transfer-Encoding: 7bit\r\n\r\nbody\r\n"
                "\r\n--" BOUNDARY "\r\nContent-Type: text/plain\r\n"
                "Content-Transfer-Encoding: base64\r\n"
                "Content-Disposition: attachment;\r\n filename=\"a.txt\"\r\n\r\n"
                "aGVsbG8=\r\n"
                "\r\n--" BOUNDARY "\r\nContent-Type: application/octet-stream\r\n"
                "Content-Transfer-Encoding: base64\r\n"
                "Content-Disposition: attachment;\r\n filename=\"b\"\r\n\r\n"
                "\r\n--" BOUNDARY "--\r\n");
}

TEST("a MIME message with an attachment becomes its first part, with its own fields")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_attachment a = {sp_str("a"), sp_str("x/y"), sp_str("1")};

    o.attach = &a;
    o.attach_n = 1;
    expect(FULL "MIME-Version: 1.0\nContent-Type: text/html;\n charset=utf-8\n"
                "Content-Transfer-Encoding: 8bit\nSubject: s\n\n\xc3\xb6\n",
           &o,
           FULL "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n"
                " boundary=\"" BOUNDARY "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                "--" BOUNDARY "\r\nContent-Type: text/html;\r\n charset=utf-8\r\n"
                "Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xb6\r\n"
                "\r\n--" BOUNDARY "\r\nContent-Type: x/y\r\n"
                "Content-Transfer-Encoding: base64\r\n"
                "Content-Disposition: attachment;\r\n filename=\"a\"\r\n\r\nMQ==\r\n"
                "\r\n--" BOUNDARY "--\r\n");
}

TEST("a large attachment comes in pieces and decodes to itself")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b, all;
    struct sp_compose c;
    const size_t size = 300001;
    char *octets = sp_alloc(size), *back = sp_alloc(size + 10);
    struct sp_attachment a = {sp_str("big.bin"), sp_str(""), {octets, size}};
    int rc, calls = 0;
    char *p;
    size_t n = 0;

    for (size_t i = 0; i < size; i++)
        octets[i] = (char)(i * 31 + i / 256);
    o.attach = &a;
    o.attach_n = 1;
    sp_buf_init(&b, 65536);
    sp_buf_init(&all, 1 << 20);
    sp_compose_init(&c, &o);
    CHECK_INT(sp_compose_feed(&c, sp_str(FULL "\r\nx\r\n"), &b), 0);
    do {
        rc = sp_compose_end(&c, &b);
        sp_buf_str(&all, sp_buf_view(&b));
        sp_buf_drop(&b, b.n);
        calls++;
    } while (rc > 0);
    CHECK_INT(rc, 0);
    CHECK(calls > 5);
    p = strstr(sp_buf_cstr(&all), "filename=\"big.bin\"\r\n\r\n");
    CHECK(p != NULL);
    for (p += 22; *p != '\r'; p = strchr(p, '\n') + 1) {
        struct sp_str line = {p, (size_t)(strchr(p, '\r') - p)};
        int got = sp_base64_decode(line, back + n, size - n);

        CHECK(line.n <= 76 && got > 0);
        n += (size_t)got;
    }
    CHECK_INT(n, size);
    CHECK(memcmp(back, octets, size) == 0);
    sp_compose_free(&c);
    sp_buf_free(&b);
    sp_buf_free(&all);
    sp_free(octets);
    sp_free(back);
}

struct slow_file {
    const char *octets;
    size_t n, fails_at;
};

/* Gives a few octets at a time, as a pipe does. */
static ssize_t read_slowly(void *arg, uint64_t at, char *buf, size_t cap)
{
    struct slow_file *f = arg;
    size_t n = f->n - at < 1000 ? (size_t)(f->n - at) : 1000;

    if (f->fails_at && at >= f->fails_at) {
        errno = EIO;
        return -1;
    }
    n = n < cap ? n : cap;
    memcpy(buf, f->octets + at, n);
    return (ssize_t)n;
}

TEST("an attachment that is read piece by piece is encoded as one that lies in memory")
{
    struct sp_compose_opts o = plain_opts();
    /* A line, and what is encoded in one go, and each a little less or more. */
    static const size_t sizes[] = {0,
                                   1,
                                   56,
                                   57,
                                   58,
                                   57 * 280 - 1,
                                   57 * 280,
                                   57 * 280 + 1,
                                   57 * 280 * 2,
                                   57 * 280 * 2 + 1};
    static char octets[57 * 280 * 2 + 1];
    struct slow_file file = {.octets = octets};
    struct sp_attachment a = {.name = sp_str("f.bin")};
    struct sp_buf want = {.p = NULL}, got = {.p = NULL};
    struct sp_compose c;

    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (char)(i * 37 + i / 256);
    o.attach = &a;
    o.attach_n = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        a.octets = (struct sp_str){octets, sizes[i]};
        a.read = NULL;
        CHECK_INT(compose(FULL "\nx\n", &o, 100, &c, &want), 0);
        sp_compose_free(&c);
        file.n = sizes[i];
        a.read = read_slowly;
        a.arg = &file;
        CHECK_INT(compose(FULL "\nx\n", &o, 100, &c, &got), 0);
        sp_compose_free(&c);
        CHECK(got.n == want.n && memcmp(got.p, want.p, got.n) == 0);
    }
    file.fails_at = 20000;
    CHECK_INT(compose(FULL "\nx\n", &o, 100, &c, &got), -SP_EIO);
    CHECK(strstr(c.err.text, "cannot read f.bin: ") != NULL);
    sp_compose_free(&c);
    sp_buf_free(&want);
    sp_buf_free(&got);
}

TEST("a header in UTF-8 is sent as it is, or in encoded words where that is asked for")
{
    static const char in[] = FULL "Subject: Gr\xc3\xbc\xc3\x9f"
                                  "e\n fold\nReply-To: J\xc3\xb6 <j@b.org>\n"
                                  "Content-Type: text/plain; x=\"\xc3\xb6\"\n"
                                  "References: <\xc3\xb6@x>\nX-A: plain\n\n";
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b = {.p = NULL};
    struct sp_compose c;

    CHECK_INT(compose(in, &o, 100, &c, &b), 0);
    CHECK(c.header_8bit && strstr(sp_buf_cstr(&b), "Subject: Gr\xc3\xbc\xc3\x9f"
                                                   "e\r\n fold\r\n") != NULL);
    sp_compose_free(&c);
    sp_buf_free(&b);
    o.encode_header = true;
    expect(in, &o,
           FULL "Subject: =?utf-8?B?R3LDvMOfZSBmb2xk?=\r\n"
                "Reply-To: =?utf-8?B?SsO2?= <j@b.org>\r\n"
                "Content-Type: text/plain; x=\"\xc3\xb6\"\r\n"
                "References: <\xc3\xb6@x>\r\nX-A: plain\r\n\r\n");
    expect(FULL "Subject: \xc3\xb6\nCc: not \xc3\xb6 addresses\n\n", &o,
           FULL "Subject: =?utf-8?B?w7Y=?=\r\nCc: not \xc3\xb6 addresses\r\n\r\n");
    CHECK_INT(
        compose(FULL "Subject: \xc3\xb6\nCc: \xc3\xb6 <a@b.org>\n\n", &o, 100, &c, &b),
        0);
    CHECK(!c.header_8bit);
    sp_compose_free(&c);
    sp_buf_free(&b);
}

TEST("a header that is neither ASCII nor UTF-8 is never sent raw")
{
    struct sp_compose_opts o = plain_opts();

    expect(FULL "Subject: Gr\xfc\xdf"
                "e\nX-A: \xc3\xb6\n\n",
           &o, FULL "Subject: =?unknown-8bit?B?R3L832U=?=\r\nX-A: \xc3\xb6\r\n\r\n");
}

TEST("no file name and no media type breaks out of its field")
{
    static const struct {
        const char *name, *want;
    } t[] = {
        {"a b.pdf", "filename=\"a b.pdf\""},
        {"\xc3\xb6.pdf", "filename*0*=utf-8''%C3%B6.pdf"},
        {"a\"b", "filename*0*=utf-8''a%22b"},
        {"a\r\nX-Evil: 1", "filename*0*=utf-8''a__X-Evil%3A%201"},
        {"\xff"
         "a",
         "filename*0*=us-ascii''_a"},
        {"../../etc/passwd", "filename=\"passwd\""},
        {"dir/", "filename=\"attachment\""},
    };
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b = {.p = NULL};
    struct sp_compose c;

    o.attach_n = 1;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct sp_attachment a = {sp_str(t[i].name), sp_str("text/plain\r\nX-Evil: 1"),
                                  sp_str("")};

        o.attach = &a;
        CHECK_INT(compose(FULL "\n", &o, 1000, &c, &b), 0);
        sp_buf_cstr(&b);
        if (!strstr(b.p, t[i].want))
            CHECK_STR(b.p, t[i].want);
        CHECK(!strstr(b.p, "\nX-Evil"));
        sp_compose_free(&c);
    }
    sp_buf_free(&b);
}

TEST("the header with Bcc stays readable for recipients while Bcc is not sent")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_str add = sp_str("Cc: c@d.org");
    struct sp_buf b = {.p = NULL};
    struct sp_compose c;
    struct sp_rcpt_iter it;
    struct sp_mbox m;
    int n = 0;

    o.add = &add;
    o.add_n = 1;
    CHECK_INT(compose(FULL "To: t@d.org\nBcc: b@d.org\n\n", &o, 1000, &c, &b), 0);
    CHECK(!strstr(sp_buf_cstr(&b), "b@d.org"));
    sp_rcpt_start(&it, sp_buf_view(&c.fields));
    while (sp_rcpt_next(&it, &m) > 0)
        n++;
    CHECK_INT(n, 3);
    sp_compose_free(&c);
    sp_buf_free(&b);
}

TEST("a header over its maximum, or no memory, ends in an error and no leak")
{
    struct sp_compose_opts o = plain_opts();
    struct sp_buf b = {.p = NULL}, out;
    struct sp_compose c;
    char *big = sp_alloc(SP_COMPOSE_HEADER_MAX + 100);

    memset(big, 'a', SP_COMPOSE_HEADER_MAX + 99);
    memcpy(big, "A: ", 3);
    for (size_t i = 60; i < SP_COMPOSE_HEADER_MAX; i += 60)
        memcpy(big + i, "\n ", 2);
    CHECK_INT(compose(big, &o, 100000, &c, &b), -SP_ELIMIT);
    CHECK(strstr(c.err.text, "larger than"));
    sp_compose_free(&c);
    sp_free(big);
    sp_buf_free(&b);
    for (long i = 0; i < 20; i++) {
        int rc;

        sp_buf_init(&out, 1 << 20);
        sp_compose_init(&c, &o);
        sp_alloc_fail_at(i, 0);
        rc = sp_compose_feed(&c, sp_str("Subject: x\n\nbody\n"), &out);
        if (rc == 0)
            rc = sp_compose_end(&c, &out);
        sp_alloc_fail_at(-1, 0);
        CHECK(rc == 0 || rc == -SP_ENOMEM);
        sp_compose_free(&c);
        sp_buf_free(&out);
    }
}

/* ---- Recipients -------------------------------------------------------------------------- */

static const struct {
    const char *header, *want;
} rcpts[] = {
    /* clang-format off */
    {"To: a@b\r\nCc: c@d\r\nBcc: e@f\r\n\r\nTo: x@y\r\n",      "a@b c@d e@f "},
    {"To: a@b\r\nTo: c@d\r\n\r\n",                             "a@b c@d "},
    {"To: G: a@b, c@d;, e@f\r\n\r\n",                          "a@b c@d e@f "},
    {"To: undisclosed-recipients:;\r\nBcc: e@f\r\n\r\n",       "e@f "},
    {"To: a@b\r\nResent-To: c@d\r\nResent-Bcc: g@h\r\n\r\n",   "c@d g@h "},
    {"Resent-To: c@d\r\nResent-From: x@y\r\nReceived: x\r\nResent-To: old@x\r\nTo: a@b\r\n\r\n", "c@d "},
    {"Resent-From: x@y\r\nTo: a@b\r\n\r\n",                    "a@b "},
    {"To: joe, a@b\r\n\r\n",                                   "joe a@b "},
    {"To: a@b\r\nCc: (broken\r\n\r\n",                         "a@b !Cc"},
    {"To:\r\nSubject: x\r\n\r\n",                              ""},
    {"Subject: x\r\n\r\n",                                     ""},
    /* clang-format on */
};

TEST("recipients are those of To, Cc, Bcc, or of the topmost Resent block alone")
{
    for (size_t i = 0; i < sizeof rcpts / sizeof rcpts[0]; i++) {
        struct sp_rcpt_iter it;
        struct sp_mbox m;
        struct sp_buf b;
        int rc;

        sp_buf_init(&b, 1000);
        sp_rcpt_start(&it, sp_str(rcpts[i].header));
        while ((rc = sp_rcpt_next(&it, &m)) > 0)
            sp_buf_printf(&b, "%s ", m.addr.text);
        if (rc < 0)
            sp_buf_printf(&b, "!%.*s", (int)it.field.name.n, it.field.name.p);
        if (strcmp(sp_buf_cstr(&b), rcpts[i].want) != 0)
            printf("for \"%s\":\n", rcpts[i].header);
        CHECK_STR(sp_buf_cstr(&b), rcpts[i].want);
        sp_buf_free(&b);
    }
}

T_MAIN
