/* parse.c - see parse.h. */
#include "parse.h"

#include "rules.h"
#include "text.h"

#include <string.h>

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(int c)
{
    c = sp_lower(c);
    return (c >= 'a' && c <= 'z') || is_digit(c);
}

/* RFC 5322 3.2.3, and RFC 6531 3.3 for what is above ASCII. */
static bool is_atext(int c)
{
    return is_alnum(c) || c >= 0x80 || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* ---- Domains --------------------------------------------------------------------------- */

/* Labels of letters, digits and hyphens; utf8 admits U-labels (RFC 6531 3.3).  "_" is
 * outside the standard and inside real host names.  How long a U-label is in the DNS
 * (RFC 1035 2.3.4: 63) its octets here do not say; an ASCII one is as long as it looks. */
static bool labels(struct sp_str s, bool utf8)
{
    size_t label = 0;
    bool ascii = true;

    if (s.n == 0 || s.n > SP_LIMIT_DOMAIN)
        return false;
    for (size_t i = 0; i <= s.n; i++) {
        unsigned char c = i < s.n ? (unsigned char)s.p[i] : '.';

        if (c == '.') {
            if (label == 0 || s.p[i - 1] == '-' || (ascii && label > 63))
                return false;
            label = 0;
            ascii = true;
            continue;
        }
        if (!is_alnum(c) && c != '_' && !(c == '-' && label > 0) &&
            !(utf8 && c >= 0x80))
            return false;
        ascii = ascii && c < 0x80;
        label++;
    }
    return true;
}

bool sp_is_domain(struct sp_str s)
{
    return labels(s, false);
}

/* No leading zeros: some programs take them for octal, and mean another host. */
static bool is_ipv4(struct sp_str s)
{
    for (int part = 0; part < 4; part++) {
        struct sp_str digits = sp_str_cut(&s, '.');
        uint64_t v;

        if (digits.n > 3 || (digits.n > 1 && digits.p[0] == '0') || sp_str_u64(digits, 255, &v) < 0 || (part == 3) != !s.p)
            return false;
    }
    return true;
}

static bool is_hex4(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]) && !(sp_lower(s.p[i]) >= 'a' && sp_lower(s.p[i]) <= 'f'))
            return false;
    return s.n >= 1 && s.n <= 4;
}

/* One side of "::", or all: 16-bit groups, the last may be an IPv4 address. */
static int groups(struct sp_str s, bool v4_ok)
{
    int n = 0;

    if (s.n == 0)
        return 0;
    while (s.p) {
        struct sp_str g = sp_str_cut(&s, ':');

        if (v4_ok && !s.p && is_ipv4(g))
            return n + 2;
        if (!is_hex4(g) || ++n > 8)
            return -1;
    }
    return n;
}

static bool is_ipv6(struct sp_str s)
{
    const char *gap = s.n >= 2 ? memmem(s.p, s.n, "::", 2) : NULL;
    struct sp_str left = s, right;
    int a, b;

    if (!gap)
        return groups(s, true) == 8;
    left.n = (size_t)(gap - s.p);
    right = (struct sp_str){gap + 2, s.n - left.n - 2};
    a = groups(left, false);
    b = groups(right, true);
    return a >= 0 && b >= 0 && a + b <= 7;
}

/* RFC 5321 4.1.3 leaves room for other tags, but none was ever registered beside IPv6:
 * behind one there is no host that anybody could deliver to. */
bool sp_is_literal(struct sp_str s)
{
    struct sp_str in;

    if (s.n < 3 || s.n > SP_LIMIT_DOMAIN || s.p[0] != '[' || s.p[s.n - 1] != ']')
        return false;
    in = (struct sp_str){s.p + 1, s.n - 2};
    if (is_ipv4(in))
        return true;
    return sp_str_caseis(sp_str_cut(&in, ':'), "IPv6") && is_ipv6(in);
}

bool sp_is_helo(struct sp_str s)
{
    if (s.n == 0 || s.n > SP_LIMIT_HELO)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 33 || s.p[i] > 126 || strchr("()<>\\\",;@", s.p[i]))
            return false;
    return true;
}

/* ---- Addresses --------------------------------------------------------------------------- */

/* Octets of the local-part at the start of s, or 0.  RFC 5321 4.1.2: Dot-string or
 * Quoted-string. */
static size_t local_part(struct sp_str s)
{
    size_t i = 0;

    if (s.n && s.p[0] == '"') {
        for (i = 1; i < s.n && s.p[i] != '"'; i++) {
            if (s.p[i] == '\\' && ++i == s.n)
                return 0;
            if ((unsigned char)s.p[i] < 32 || s.p[i] == 127)
                return 0;
        }
        return i < s.n ? i + 1 : 0;
    }
    while (i < s.n && (is_atext((unsigned char)s.p[i]) ||
                       (s.p[i] == '.' && i > 0 && s.p[i - 1] != '.')))
        i++;
    return i && s.p[i - 1] != '.' ? i : 0;
}

/* Mailbox or bare local-part at the start of *rest, taken off it. */
static int take_address(struct sp_str *rest, struct sp_path *ret)
{
    struct sp_str s = *rest, domain;
    size_t local = local_part(s), n = local;

    if (local == 0 || local > SP_LIMIT_LOCAL_PART)
        return -SP_EINPUT;
    ret->qualified = n < s.n && s.p[n] == '@';
    if (ret->qualified) {
        size_t from = ++n;

        while (n < s.n && s.p[n] != '>' && s.p[n] != ' ')
            n++;
        domain = (struct sp_str){s.p + from, n - from};
        if (!labels(domain, true) && !sp_is_literal(domain))
            return -SP_EINPUT;
    }
    ret->addr = (struct sp_str){s.p, n};
    ret->has_8bit = false;
    for (size_t i = 0; i < n; i++)
        ret->has_8bit |= (unsigned char)s.p[i] > 127;
    if (ret->has_8bit && !sp_utf8_valid(ret->addr))
        return -SP_EINPUT;
    *rest = (struct sp_str){s.p + n, s.n - n};
    return 0;
}

bool sp_is_address(struct sp_str s, bool *ret_8bit)
{
    struct sp_path p;

    if (take_address(&s, &p) < 0 || s.n || !p.qualified)
        return false;
    *ret_8bit = p.has_8bit;
    return true;
}

/* RFC 5321 4.1.1.3, F.2: "@a,@b:" is accepted and ignored. */
static int skip_route(struct sp_str *s)
{
    while (s->n && s->p[0] == '@') {
        size_t n = 1;

        while (n < s->n && s->p[n] != ',' && s->p[n] != ':' && s->p[n] != '>')
            n++;
        if (n == s->n || s->p[n] == '>' ||
            !labels((struct sp_str){s->p + 1, n - 1}, true))
            return -SP_EINPUT;
        if (s->p[n] == ':') {
            *s = (struct sp_str){s->p + n + 1, s->n - n - 1};
            return s->n && s->p[0] != '@' ? 0 : -SP_EINPUT;
        }
        *s = (struct sp_str){s->p + n + 1, s->n - n - 1};
        if (s->n == 0 || s->p[0] != '@')
            return -SP_EINPUT;
    }
    return 0;
}

int sp_parse_path(struct sp_str *line, const char *keyword, struct sp_path *ret)
{
    struct sp_str s = *line, word;
    size_t k = strlen(keyword);

    if (s.n < k + 1 || !sp_str_caseis((struct sp_str){s.p, k}, keyword) ||
        s.p[k] != ':')
        return -SP_EINPUT;
    s = sp_str_trim((struct sp_str){s.p + k + 1, s.n - k - 1});
    if (s.n < 2 || s.p[0] != '<')
        return -SP_EINPUT;
    s = (struct sp_str){s.p + 1, s.n - 1};
    memset(ret, 0, sizeof *ret);
    ret->addr = (struct sp_str){s.p, 0};
    if (s.p[0] != '>' && (skip_route(&s) < 0 || take_address(&s, ret) < 0))
        return -SP_EINPUT;
    if (s.n == 0 || s.p[0] != '>')
        return -SP_EINPUT;
    word = (struct sp_str){s.p + 1, s.n - 1};
    if (word.n && word.p[0] != ' ')
        return -SP_EINPUT;
    *line = word;
    return 0;
}

int sp_parse_path_lenient(struct sp_str *line, const char *keyword, struct sp_path *ret)
{
    struct sp_str s = *line;
    size_t k = strlen(keyword);

    if (sp_parse_path(line, keyword, ret) == 0)
        return 0;
    if (s.n < k + 1 || !sp_str_caseis((struct sp_str){s.p, k}, keyword) || s.p[k] != ':')
        return -SP_EINPUT;
    s = sp_str_trim((struct sp_str){s.p + k + 1, s.n - k - 1});
    memset(ret, 0, sizeof *ret);
    ret->addr = (struct sp_str){s.p, 0};
    if (s.n == 0 || s.p[0] == '<' || take_address(&s, ret) < 0 || !ret->qualified ||
        (s.n && s.p[0] != ' '))
        return -SP_EINPUT;
    *line = s;
    return 0;
}

/* ---- Parameters --------------------------------------------------------------------------- */

int sp_parse_param(struct sp_str *line, struct sp_str *ret_name,
                   struct sp_str *ret_value)
{
    struct sp_str word;

    *line = sp_str_trim(*line);
    if (line->n == 0)
        return 0;
    word = sp_str_cut(line, ' ');
    *ret_name = sp_str_cut(&word, '=');
    *ret_value = word;
    if (ret_name->n == 0 || !is_alnum(ret_name->p[0]))
        return -SP_EINPUT;
    for (size_t i = 0; i < ret_name->n; i++)
        if (!is_alnum(ret_name->p[i]) && ret_name->p[i] != '-')
            return -SP_EINPUT;
    for (size_t i = 0; i < word.n; i++)
        if ((unsigned char)word.p[i] < 33 || word.p[i] == 127)
            return -SP_EINPUT;
    return 1;
}

static int hex_upper(int c)
{
    return is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool sp_is_xtext(struct sp_str s)
{
    if (s.n > SP_LIMIT_XTEXT)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 33 || s.p[i] > 126 || s.p[i] == '=')
            return false;
        if (s.p[i] == '+' &&
            (s.n - i < 3 || hex_upper(s.p[i + 1]) < 0 || hex_upper(s.p[i + 2]) < 0))
            return false;
        i += s.p[i] == '+' ? 2 : 0;
    }
    return true;
}

int sp_xtext_decode(char *p, size_t n)
{
    size_t o = 0;

    if (!sp_is_xtext((struct sp_str){p, n}))
        return -SP_EINPUT;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '+') {
            p[o++] = p[i];
            continue;
        }
        p[o++] = (char)(hex_upper(p[i + 1]) << 4 | hex_upper(p[i + 2]));
        i += 2;
    }
    return (int)o;
}

int sp_parse_signed(struct sp_str s, unsigned digits, int64_t *ret)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;

    if (minus)
        s = (struct sp_str){s.p + 1, s.n - 1};
    if (s.n > digits || sp_str_u64(s, INT64_MAX, &v) < 0)
        return -SP_EINPUT;
    *ret = minus ? -(int64_t)v : (int64_t)v;
    return 0;
}

/* ---- Dates --------------------------------------------------------------------------------- */

/* `n` digits at *at, then `sep` (0: none). */
static int take_number(struct sp_str s, size_t *at, size_t n, char sep, uint64_t max,
                       uint64_t *ret)
{
    if (s.n < *at + n || sp_str_u64((struct sp_str){s.p + *at, n}, max, ret) < 0)
        return -SP_EINPUT;
    *at += n;
    if (sep && (*at >= s.n || s.p[(*at)++] != sep))
        return -SP_EINPUT;
    return 0;
}

/* Days from 1970-01-01 in the Gregorian calendar; y from 1970. */
static uint64_t days(uint64_t y, uint64_t m, uint64_t d)
{
    static const unsigned before[] = {0,   31,  59,  90,  120, 151,
                                      181, 212, 243, 273, 304, 334};
    uint64_t past = y - 1;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    /* 477 leap days lie before 1970 */
    return (y - 1970) * 365 + past / 4 - past / 100 + past / 400 - 477 + before[m - 1] +
           (leap && m > 2) + d - 1;
}

static bool valid_day(uint64_t y, uint64_t m, uint64_t d)
{
    static const unsigned len[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    return m >= 1 && m <= 12 && d >= 1 && d <= len[m - 1] + (leap && m == 2);
}

/* "Z", "+hh:mm" or "-hh:mm", and then nothing. */
static int take_zone(struct sp_str s, size_t at, int64_t *ret)
{
    uint64_t hh, mm;
    char sign;

    if (at >= s.n)
        return -SP_EINPUT;
    sign = s.p[at++];
    *ret = 0;
    if (sign == 'Z' || sign == 'z')
        return at == s.n ? 0 : -SP_EINPUT;
    if ((sign != '+' && sign != '-') || take_number(s, &at, 2, ':', 23, &hh) < 0 ||
        take_number(s, &at, 2, 0, 59, &mm) < 0 || at != s.n)
        return -SP_EINPUT;
    *ret = (int64_t)(hh * 3600 + mm * 60) * (sign == '-' ? -1 : 1);
    return 0;
}

int sp_parse_date(struct sp_str s, uint64_t *ret)
{
    uint64_t y, mon, d, h, min, sec;
    int64_t zone, at_utc;
    size_t at = 0;

    if (take_number(s, &at, 4, '-', 9999, &y) < 0 ||
        take_number(s, &at, 2, '-', 12, &mon) < 0 ||
        take_number(s, &at, 2, 'T', 31, &d) < 0 ||
        take_number(s, &at, 2, ':', 23, &h) < 0 ||
        take_number(s, &at, 2, ':', 59, &min) < 0 ||
        take_number(s, &at, 2, 0, 60, &sec) < 0)
        return -SP_EINPUT;
    if (at < s.n && s.p[at] == '.') {
        size_t from = ++at;

        while (at < s.n && is_digit(s.p[at]))
            at++;
        if (at == from)
            return -SP_EINPUT;
    }
    if (y < 1970 || !valid_day(y, mon, d) || take_zone(s, at, &zone) < 0)
        return -SP_EINPUT;
    at_utc = (int64_t)(days(y, mon, d) * 86400 + h * 3600 + min * 60 + sec) - zone;
    if (at_utc < 0)
        return -SP_EINPUT;
    *ret = (uint64_t)at_utc;
    return 0;
}
