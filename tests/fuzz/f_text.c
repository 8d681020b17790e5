/* f_text.c - base64, hex, numbers, UTF-8 and escapes: each undoes the other, and each
 * agrees with a second, slower way to ask. */
#include "fz.h"

#include "text.h"

/* RFC 3629 by its table, one row at a time. */
static bool utf8_by_table(struct sp_str s)
{
    static const unsigned char row[][6] = {
        /* first octet from, to; second from, to; length */
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < s.n;) {
        const unsigned char *p = (const unsigned char *)s.p + i, *r = NULL;

        for (size_t k = 0; k < sizeof row / sizeof *row; k++)
            if (p[0] >= row[k][0] && p[0] <= row[k][1])
                r = row[k];
        if (!r || s.n - i < r[4])
            return false;
        for (size_t k = 1; k < r[4]; k++)
            if (k == 1 ? p[k] < r[2] || p[k] > r[3] : (p[k] & 0xc0) != 0x80)
                return false;
        i += r[4];
    }
    return true;
}

static void base64(struct sp_str in)
{
    size_t cap = SP_BASE64_LEN(in.n);
    char *text = malloc(cap + 1), *back = malloc(in.n + 1);
    int n, m;

    FZ_MUST(text && back, "memory");
    n = sp_base64_encode(in.p, in.n, text, cap);
    FZ_MUST(n == (int)cap, "base64 has the stated length");
    m = sp_base64_decode((struct sp_str){text, (size_t)n}, back, in.n);
    FZ_MUST(m == (int)in.n && (m == 0 || memcmp(back, in.p, in.n) == 0),
            "base64 comes back as it went");
    m = sp_base64_decode(in, back, in.n);
    if (m >= 0) {
        n = sp_base64_encode(back, (size_t)m, text, cap);
        FZ_MUST(n == (int)in.n && (n == 0 || memcmp(text, in.p, in.n) == 0),
                "one octet string has one base64 form");
    }
    free(text);
    free(back);
}

static void hexadecimal(struct sp_str in)
{
    char *text = malloc(in.n * 2 + 1), *back = malloc(in.n + 1);
    int n;

    FZ_MUST(text && back, "memory");
    n = sp_hex_encode(in.p, in.n, text, in.n * 2 + 1);
    FZ_MUST(n == (int)in.n * 2 && text[n] == '\0', "hex has two digits an octet");
    n = sp_hex_decode((struct sp_str){text, (size_t)n}, back, in.n);
    FZ_MUST(n == (int)in.n && (n == 0 || memcmp(back, in.p, in.n) == 0),
            "hex comes back as it went");
    n = sp_hex_decode(in, back, in.n);
    FZ_MUST(n < 0 || (size_t)n * 2 == in.n, "hex is half as long");
    free(text);
    free(back);
}

static void number(struct sp_str in)
{
    uint64_t got = 77, want = 0, max = in.n % 3 ? UINT64_MAX : 1000;
    bool good = in.n > 0;

    for (size_t i = 0; i < in.n && good; i++) {
        unsigned d = (unsigned char)in.p[i] - (unsigned)'0';

        good = d < 10 && !__builtin_mul_overflow(want, 10u, &want) &&
               !__builtin_add_overflow(want, d, &want);
    }
    good = good && want <= max;
    FZ_MUST((sp_str_u64(in, max, &got) == 0) == good, "a number is digits in range");
    FZ_MUST(got == (good ? want : 77), "a number is itself, or not written");
}

static void escaped(struct sp_str in)
{
    struct sp_buf b, again;

    sp_buf_init(&b, in.n * 4 + 1);
    sp_buf_init(&again, in.n * 16 + 1);
    FZ_MUST(sp_put_escaped(&b, in) == 0, "an escape is at most four octets long");
    FZ_MUST(utf8_by_table(sp_buf_view(&b)), "what is escaped is UTF-8");
    for (size_t i = 0; i < b.n; i++) {
        FZ_MUST((unsigned char)b.p[i] >= 32 && b.p[i] != 127, "no control octet");
        /* U+0080..U+009F are controls too: C1, CSI among them */
        FZ_MUST((unsigned char)b.p[i] != 0xc2 || i + 1 >= b.n ||
                    (unsigned char)b.p[i + 1] >= 0xa0,
                "no C1 control reaches a terminal");
        FZ_MUST(b.p[i] != '"' || (i && b.p[i - 1] == '\\'), "no bare quote");
    }
    FZ_MUST(sp_put_escaped(&again, sp_buf_view(&b)) == 0 && again.n >= b.n,
            "escaping again only adds");
    sp_buf_free(&b);
    sp_buf_free(&again);
}

static void cut_and_trim(struct sp_str in)
{
    struct sp_str rest = in, trimmed = sp_str_trim(in);
    size_t parts = 0, octets = 0, seps = 0;

    for (size_t i = 0; i < in.n; i++)
        seps += in.p[i] == ',';
    do {
        struct sp_str part = sp_str_cut(&rest, ',');

        FZ_MUST(fz_inside(part, in), "a part lies inside");
        octets += part.n;
        parts++;
    } while (rest.p);
    FZ_MUST(parts == seps + 1 && octets + seps == in.n, "cutting loses nothing");
    FZ_MUST(fz_inside(trimmed, in), "a trimmed string lies inside");
    FZ_MUST(sp_str_eq(sp_str_trim(trimmed), trimmed), "trimming twice is once");
}

FZ_TARGET
{
    struct sp_str in = {(const char *)data, size};

    if (!in.p)
        in.p = "";
    base64(in);
    hexadecimal(in);
    number(in);
    FZ_MUST(sp_utf8_valid(in) == utf8_by_table(in), "UTF-8 is what RFC 3629 lists");
    escaped(in);
    cut_and_trim(in);
    return 0;
}
