/* t_base.c - buffers, arenas, text and the log line. */
#include "t.h"

#include "alloc.h"
#include "arena.h"
#include "err.h"
#include "log.h"
#include "secret.h"

#include <unistd.h>

TEST("a buffer never grows past its maximum and is unchanged by a refusal")
{
    struct sp_buf b;

    sp_buf_init(&b, 10);
    CHECK_INT(sp_buf_puts(&b, "0123456789"), 0);
    CHECK_INT(sp_buf_puts(&b, "x"), -SP_ELIMIT);
    CHECK_INT(b.n, 10);
    CHECK(sp_buf_room(&b, SIZE_MAX) == NULL);
    sp_buf_drop(&b, 4);
    CHECK_STR(sp_buf_cstr(&b), "456789");
    sp_buf_free(&b);
}

TEST("room for nothing is there as long as there is any: only a lack of it is NULL")
{
    struct sp_buf b;

    sp_buf_init(&b, 10);
    CHECK(sp_buf_room(&b, 0) != NULL);
    CHECK(b.n == 0);
    sp_buf_free(&b);
}

TEST("a buffer that cannot get memory keeps what it had")
{
    struct sp_buf b;

    sp_buf_init(&b, 1000);
    CHECK_INT(sp_buf_puts(&b, "kept"), 0);
    sp_alloc_fail_at(0, 0);
    CHECK_INT(sp_buf_put(&b, (char[100]){0}, 100), -SP_ENOMEM);
    sp_alloc_fail_at(-1, 0);
    CHECK_STR(sp_buf_cstr(&b), "kept");
    sp_buf_free(&b);
}

TEST("an arena stops at its maximum and starts anew after a reset")
{
    struct sp_arena a;

    sp_arena_init(&a, 1024);
    CHECK(sp_arena_alloc(&a, 1000) != NULL);
    CHECK(sp_arena_alloc(&a, 100) == NULL);
    CHECK(sp_arena_alloc(&a, SIZE_MAX) == NULL);
    sp_arena_reset(&a);
    CHECK_STR(sp_arena_strndup(&a, "abc", 2), "ab");
    sp_arena_reset(&a);
}

static int decode(const char *in)
{
    char out[64];

    return sp_base64_decode(sp_str(in), out, sizeof out);
}

TEST("base64 decoding takes the one right form and nothing else")
{
    char out[64];

    CHECK_INT(decode(""), 0);
    CHECK_INT(decode("YQ=="), 1);
    CHECK_INT(decode("YWI="), 2);
    CHECK_INT(decode("YWJj"), 3);
    CHECK_INT(decode("YR=="), -SP_EINPUT); /* bits left over */
    CHECK_INT(decode("YQ="), -SP_EINPUT);
    CHECK_INT(decode("YQ"), -SP_EINPUT);
    CHECK_INT(decode("===="), -SP_EINPUT);
    CHECK_INT(decode("Y==="), -SP_EINPUT);
    CHECK_INT(decode("YQ==YQ=="), -SP_EINPUT);
    CHECK_INT(decode("Y Q="), -SP_EINPUT);
    CHECK_INT(sp_base64_decode(sp_str("YWJj"), out, 2), -SP_ELIMIT);
    CHECK_INT(sp_base64_encode("ab", 2, out, 3), -SP_ELIMIT);
    for (size_t n = 0; n < 40; n++) {
        char raw[40], back[40], text[64];
        int len;

        for (size_t i = 0; i < n; i++)
            raw[i] = (char)(i * 37 + n);
        len = sp_base64_encode(raw, n, text, sizeof text);
        CHECK_INT(len, SP_BASE64_LEN(n));
        CHECK_INT(sp_base64_decode((struct sp_str){text, (size_t)len}, back, sizeof back), n);
        CHECK(memcmp(raw, back, n) == 0);
    }
}

TEST("RFC 3463 2: an enhanced code is class 2, 4 or 5 and two numbers of up to three digits")
{
    static const struct {
        const char *text;
        size_t n;
    } rows[] = {{"5.7.1", 5},     {"2.0.0 ok", 5}, {"4.123.999\tx", 9}, {"3.1.1", 0},
                {"5.7", 0},       {"5.7.", 0},     {"5..1", 0},         {"5.7.1234", 0},
                {"5.7.1x", 0},    {"-5.7.1", 0},   {"5.7.-1", 0},       {"55.7.1", 0},
                {"", 0},          {"5", 0},        {"5.99999999999.1", 0}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int e[3] = {7, 7, 7};
        size_t n = sp_str_enhanced(sp_str(rows[i].text), e);

        CHECK_INT(n, rows[i].n);
        CHECK((n == 0) == (e[0] == 7 && e[1] == 7 && e[2] == 7));
    }
}

TEST("numbers are decimal digits in range")
{
    uint64_t v = 7;

    CHECK_INT(sp_str_u64(sp_str("18446744073709551615"), UINT64_MAX, &v), 0);
    CHECK(v == UINT64_MAX);
    CHECK_INT(sp_str_u64(sp_str("18446744073709551616"), UINT64_MAX, &v), -SP_EINPUT);
    CHECK_INT(sp_str_u64(sp_str("-1"), 10, &v), -SP_EINPUT);
    CHECK_INT(sp_str_u64(sp_str("+1"), 10, &v), -SP_EINPUT);
    CHECK_INT(sp_str_u64(sp_str(" 1"), 10, &v), -SP_EINPUT);
    CHECK_INT(sp_str_u64(sp_str(""), 10, &v), -SP_EINPUT);
    CHECK_INT(sp_str_u64(sp_str("11"), 10, &v), -SP_EINPUT);
    CHECK_INT(sp_str_u64(sp_str("0x1"), 10, &v), -SP_EINPUT);
    CHECK_INT(sp_str_u64(sp_str("10"), 10, &v), 0);
    CHECK_INT(v, 10);
}

TEST("UTF-8: over-long forms, surrogates and NUL are not text")
{
    CHECK(sp_utf8_valid(sp_str("gr\xc3\xbc\xc3\x9f")));
    CHECK(!sp_utf8_valid(sp_str("\xc0\xaf")));
    CHECK(!sp_utf8_valid(sp_str("\xe0\x80\xaf")));
    CHECK(!sp_utf8_valid(sp_str("\xed\xa0\x80")));
    CHECK(!sp_utf8_valid(sp_str("\xf5\x80\x80\x80")));
    CHECK(!sp_utf8_valid((struct sp_str){"a\0b", 3}));
    CHECK(!sp_utf8_valid(sp_str("\xc3")));
}

static void logged(bool json, struct sp_str value, char *ret, size_t cap)
{
    int fd[2];
    ssize_t n;

    CHECK_INT(pipe(fd), 0);
    sp_log_setup(fd[1], json, SP_LEVEL_INFO, "test");
    sp_log(SP_LOG_WARNING, "s1", SP_KV("reason", value), SP_KVU("n", 3));
    n = read(fd[0], ret, cap - 1);
    ret[n > 0 ? n : 0] = '\0';
    close(fd[0]);
    close(fd[1]);
    sp_log_setup(-1, false, SP_LEVEL_INFO, "test");
}

TEST("a logged value cannot forge a line or move a terminal")
{
    char line[8192];

    logged(false, sp_str("a\r\n2026 forged \x1b[31m \"q\""), line, sizeof line);
    CHECK(strstr(line, "reason=\"a\\x0d\\x0a2026 forged \\x1b[31m \\\"q\\\"\" n=3\n"));
    CHECK(strchr(line, '\n') == line + strlen(line) - 1);
    logged(true, sp_str("a\n\xff"), line, sizeof line);
    CHECK(strstr(line, "\"reason\":\"a\\u000a\\u00ff\",\"n\":3}\n"));
}

TEST("a log line is at most SP_LOG_LINE_MAX octets, however many long values it has")
{
    char line[8 * SP_LOG_LINE_MAX], value[600];
    struct sp_str v = {value, sizeof value};
    int fd[2];

    memset(value, 0xff, sizeof value);
    for (int json = 0; json < 2; json++) {
        ssize_t n;

        CHECK_INT(pipe(fd), 0);
        sp_log_setup(fd[1], json, SP_LEVEL_INFO, "test");
        sp_log(SP_LOG_WARNING, "s1", SP_KV("a", v), SP_KV("b", v), SP_KV("c", v),
               SP_KV("d", v), SP_KV("e", v), SP_KV("f", v));
        n = read(fd[0], line, sizeof line);
        CHECK(n > 1000 && n <= SP_LOG_LINE_MAX);
        CHECK(n > 2 && line[n - 1] == '\n' && line[n - 2] == (json ? '}' : '"'));
        close(fd[0]);
        close(fd[1]);
    }
    sp_log_setup(-1, false, SP_LEVEL_INFO, "test");
}

TEST("secrets compare by content")
{
    struct sp_secret *s = sp_secret_new("abc", 3);

    CHECK(sp_equal_ct(sp_secret_get(s).p, "abc", 3));
    CHECK(!sp_equal_ct(sp_secret_get(s).p, "abd", 3));
    sp_secret_free(s);
    sp_secret_free(NULL);
}

T_MAIN
