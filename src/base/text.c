/* text.c - see text.h. */
#include "text.h"

#include "alloc.h"

#include <string.h>

struct sp_str sp_str(const char *s)
{
    return (struct sp_str){s, s ? strlen(s) : 0};
}

int sp_lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool sp_str_eq(struct sp_str a, struct sp_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool sp_str_caseeq(struct sp_str a, struct sp_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (sp_lower((unsigned char)a.p[i]) != sp_lower((unsigned char)b.p[i]))
            return false;
    return true;
}

bool sp_str_is(struct sp_str a, const char *s)
{
    return sp_str_eq(a, sp_str(s));
}

bool sp_str_caseis(struct sp_str a, const char *s)
{
    return sp_str_caseeq(a, sp_str(s));
}

int sp_str_cmp(struct sp_str a, struct sp_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;

    return d ? d : (a.n > b.n) - (a.n < b.n);
}

struct sp_str sp_str_trim(struct sp_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct sp_str sp_str_cut(struct sp_str *rest, char sep)
{
    const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct sp_str head = *rest;

    if (!at) {
        *rest = (struct sp_str){NULL, 0};
        return head;
    }
    head.n = (size_t)(at - rest->p);
    rest->p = at + 1;
    rest->n -= head.n + 1;
    return head;
}

int sp_str_u64(struct sp_str s, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0)
        return -SP_EINPUT;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return -SP_EINPUT;
        v = v * 10 + d;
    }
    if (v > max)
        return -SP_EINPUT;
    *ret = v;
    return 0;
}

size_t sp_str_enhanced(struct sp_str s, int ret[3])
{
    int part[3] = {0};
    size_t i = 0;

    for (int k = 0; k < 3; k++) {
        size_t from = i;

        for (; i < s.n && i - from < 3 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
            part[k] = part[k] * 10 + (s.p[i] - '0');
        if (i == from || (k < 2 && (i == s.n || s.p[i++] != '.')))
            return 0;
    }
    if ((i < s.n && s.p[i] != ' ' && s.p[i] != '\t') ||
        (part[0] != 2 && part[0] != 4 && part[0] != 5))
        return 0;
    memcpy(ret, part, sizeof part);
    return i;
}

static const char b64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int sp_base64_encode(const void *in, size_t n, char *out, size_t cap)
{
    const unsigned char *p = in;
    size_t o = 0;

    if (n > SIZE_MAX / 2 || SP_BASE64_LEN(n) > cap)
        return -SP_ELIMIT;
    for (; n >= 3; p += 3, n -= 3) {
        out[o++] = b64[p[0] >> 2];
        out[o++] = b64[(p[0] & 3) << 4 | p[1] >> 4];
        out[o++] = b64[(p[1] & 15) << 2 | p[2] >> 6];
        out[o++] = b64[p[2] & 63];
    }
    if (n) {
        out[o++] = b64[p[0] >> 2];
        out[o++] = b64[(p[0] & 3) << 4 | (n == 2 ? p[1] >> 4 : 0)];
        out[o++] = n == 2 ? b64[(p[1] & 15) << 2] : '=';
        out[o++] = '=';
    }
    return (int)o;
}

static int b64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int sp_base64_decode(struct sp_str in, void *out, size_t cap)
{
    unsigned char *o = out;
    size_t n = in.n, len = 0;
    unsigned acc = 0, bits = 0;

    if (n % 4)
        return -SP_EINPUT;
    for (int pad = 0; pad < 2 && n && in.p[n - 1] == '='; pad++)
        n--;
    for (size_t i = 0; i < n; i++) {
        int v = b64_value((unsigned char)in.p[i]);

        if (v < 0)
            return -SP_EINPUT;
        acc = (acc << 6 | (unsigned)v) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            if (len == cap)
                return -SP_ELIMIT;
            bits -= 8;
            o[len++] = (unsigned char)(acc >> bits);
        }
    }
    /* Bits behind the last octet must be zero, or two texts would mean one value. */
    if (bits == 6 || (acc & ((1u << bits) - 1)))
        return -SP_EINPUT;
    return (int)len;
}

int sp_hex_encode(const void *in, size_t n, char *out, size_t cap)
{
    static const char digit[] = "0123456789abcdef";
    const unsigned char *p = in;

    if (cap == 0 || n > (cap - 1) / 2)
        return -SP_ELIMIT;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[p[i] >> 4];
        out[2 * i + 1] = digit[p[i] & 15];
    }
    out[2 * n] = '\0';
    return (int)(2 * n);
}

static int hex_value(int c)
{
    c = sp_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sp_hex_decode(struct sp_str in, void *out, size_t cap)
{
    unsigned char *o = out;

    if (in.n % 2)
        return -SP_EINPUT;
    if (in.n / 2 > cap)
        return -SP_ELIMIT;
    for (size_t i = 0; i < in.n / 2; i++) {
        int hi = hex_value((unsigned char)in.p[2 * i]);
        int lo = hex_value((unsigned char)in.p[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return -SP_EINPUT;
        o[i] = (unsigned char)(hi << 4 | lo);
    }
    return (int)(in.n / 2);
}

/* Length of the valid UTF-8 sequence that starts s, 0 if there is none. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    unsigned char c = s[0];
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (c == 0 || (c >= 0x80 && c < 0xc2) || c > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
        (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

bool sp_utf8_valid(struct sp_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;

    for (size_t i = 0, len; i < s.n; i += len) {
        len = utf8_len(p + i, s.n - i);
        if (len == 0)
            return false;
    }
    return true;
}

int sp_put_escaped(struct sp_buf *b, struct sp_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    int rc = 0;

    for (size_t i = 0; i < s.n && rc == 0;) {
        size_t len = utf8_len(p + i, s.n - i);
        /* C1 controls (U+0080..U+009F) move terminals too. */
        bool c1 = len == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0;

        if (p[i] == '"' || p[i] == '\\')
            rc = sp_buf_printf(b, "\\%c", p[i]);
        else if (len == 0 || c1 || p[i] < 32 || p[i] == 127)
            rc = sp_buf_printf(b, "\\x%02x", p[i]);
        else
            rc = sp_buf_put(b, p + i, len);
        i += len && !c1 ? len : 1;
    }
    return rc;
}

char *sp_str_dup(struct sp_str s)
{
    if (s.n && memchr(s.p, '\0', s.n))
        return NULL;
    return sp_strndup(s.p, s.n);
}
