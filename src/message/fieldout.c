/* fieldout.c - see fieldout.h. */
#include "fieldout.h"

#include <string.h>
#include <time.h>

#define LAST_SECOND 253402300799 /* 9999-12-31 23:59:59 */

int sp_out_date(struct sp_buf *b, uint64_t unix_ms, int zone_minutes)
{
    static const char day[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char month[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int zone = zone_minutes < -1439 || zone_minutes > 1439 ? 0 : zone_minutes;
    time_t t = (time_t)(unix_ms / 1000 > LAST_SECOND ? LAST_SECOND : unix_ms / 1000);
    int away = zone < 0 ? -zone : zone;
    struct tm tm;

    t += zone * 60;
    if (t < 0 || t > LAST_SECOND)
        t = t < 0 ? 0 : LAST_SECOND;
    gmtime_r(&t, &tm);
    return sp_buf_printf(b, "%s, %d %s %04d %02d:%02d:%02d %c%02d%02d", day[tm.tm_wday],
                         tm.tm_mday, month[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
                         tm.tm_min, tm.tm_sec, zone < 0 ? '-' : '+', away / 60,
                         away % 60);
}

int sp_out_message_id(struct sp_buf *b, uint64_t unix_ms, const uint8_t random[16],
                      struct sp_str host)
{
    char hex[33];
    int rc;

    sp_hex_encode(random, 16, hex, sizeof hex);
    rc = sp_buf_printf(b, "<%llx.%s@", (unsigned long long)unix_ms, hex);
    if (rc == 0)
        rc = sp_out_token(b, host, 255, false);
    return rc < 0 ? rc : sp_buf_puts(b, ">");
}

static bool is_control(unsigned char c)
{
    return c < 32 || c == 127;
}

/* The longest start of s that is at most max octets and does not cut a UTF-8 character. */
static struct sp_str cut_at(struct sp_str s, size_t max)
{
    if (s.n <= max)
        return s;
    s.n = max;
    while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
        s.n--;
    return s;
}

int sp_out_token(struct sp_buf *b, struct sp_str s, size_t max, bool utf8)
{
    bool keep = utf8 && sp_utf8_valid(s);
    int rc = 0;

    s = cut_at(s, max);
    if (s.n == 0)
        return sp_buf_puts(b, "unknown");
    for (size_t i = 0; i < s.n && rc == 0; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool ok = c > 127 ? keep
                          : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                (c >= 'A' && c <= 'Z') || (c && strchr(".-_:[]", c));

        rc = sp_buf_put(b, ok ? s.p + i : "?", 1);
    }
    return rc;
}

int sp_out_comment(struct sp_buf *b, struct sp_str s, size_t max)
{
    int rc = 0;

    s = cut_at(s, max);
    for (size_t i = 0; i < s.n && rc == 0; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '(' || c == ')' || c == '\\')
            rc = sp_buf_puts(b, "\\");
        if (rc == 0)
            rc = sp_buf_put(b, is_control(c) || c > 127 ? "?" : s.p + i, 1);
    }
    return rc;
}

static int put_text_octet(struct sp_buf *b, const char *p, bool keep)
{
    unsigned char c = (unsigned char)*p;

    if (is_control(c))
        return sp_buf_puts(b, " ");
    return sp_buf_put(b, c > 127 && !keep ? "?" : p, 1);
}

int sp_out_text(struct sp_buf *b, struct sp_str s, size_t max, bool utf8)
{
    bool keep = utf8 && sp_utf8_valid(s);
    int rc = 0;

    s = cut_at(s, max);
    for (size_t i = 0; i < s.n && rc == 0; i++)
        rc = put_text_octet(b, s.p + i, keep);
    return rc;
}

static bool is_gap(char c)
{
    return c == ' ' || is_control((unsigned char)c);
}

int sp_out_folded(struct sp_buf *b, struct sp_str s, size_t max, bool utf8,
                  size_t column, const char *indent)
{
    bool keep = utf8 && sp_utf8_valid(s);
    bool first = true;
    size_t i = 0;
    int rc = 0;

    s = cut_at(s, max);
    while (rc == 0) {
        size_t end;

        while (i < s.n && is_gap(s.p[i]))
            i++;
        if (i == s.n)
            return 0;
        for (end = i; end < s.n && !is_gap(s.p[end]) && end - i < 800;)
            end++;
        if (!first && column + 1 + (end - i) > 76) {
            rc = sp_buf_puts(b, "\r\n");
            if (rc == 0)
                rc = sp_buf_puts(b, indent);
            column = strlen(indent);
        } else if (!first) {
            rc = sp_buf_puts(b, " ");
            column++;
        }
        first = false;
        column += end - i;
        for (; i < end && rc == 0; i++)
            rc = put_text_octet(b, s.p + i, keep);
    }
    return rc;
}

int sp_out_angle(struct sp_buf *b, struct sp_str addr)
{
    bool keep = sp_utf8_valid(addr);
    bool quoted = false;
    int rc = sp_buf_puts(b, "<");

    for (size_t i = 0; i < addr.n && rc == 0; i++) {
        unsigned char c = (unsigned char)addr.p[i];
        bool pair = quoted && c == '\\' && i + 1 < addr.n;

        if (c == '"')
            quoted = !quoted;
        if (is_control(c) || (c > 127 && !keep) ||
            (!quoted && (c == '<' || c == '>' || c == ' ')))
            rc = sp_buf_puts(b, "?");
        else
            rc = sp_buf_put(b, addr.p + i, 1);
        if (pair && rc == 0) {
            i++;
            rc = sp_buf_put(b, is_control((unsigned char)addr.p[i]) ? "?" : addr.p + i,
                            1);
        }
    }
    return rc < 0 ? rc : sp_buf_puts(b, ">");
}

static bool is_phrase_octet(unsigned char c)
{
    return c > 127 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || (c && strchr(" !#$%&'*+-/=?^_`{|}~", c));
}

int sp_out_phrase(struct sp_buf *b, struct sp_str name)
{
    bool plain = true;
    int rc = 0;

    name = cut_at(name, 400);
    for (size_t i = 0; i < name.n; i++)
        plain = plain && is_phrase_octet((unsigned char)name.p[i]);
    if (plain)
        return sp_buf_str(b, name);
    rc = sp_buf_puts(b, "\"");
    for (size_t i = 0; i < name.n && rc == 0; i++) {
        if (name.p[i] == '"' || name.p[i] == '\\')
            rc = sp_buf_puts(b, "\\");
        if (rc == 0)
            rc = put_text_octet(b, name.p + i, true);
    }
    return rc < 0 ? rc : sp_buf_puts(b, "\"");
}

int sp_fieldout_xtext_decode(struct sp_buf *b, struct sp_str s)
{
    int rc = 0;

    for (size_t i = 0; i < s.n && rc == 0; i++) {
        char c = s.p[i];

        if (c == '+') {
            if (s.n - i < 3 ||
                sp_hex_decode((struct sp_str){s.p + i + 1, 2}, &c, 1) != 1)
                return -SP_EINPUT;
            i += 2;
        }
        if (is_control((unsigned char)c))
            return -SP_EINPUT;
        rc = sp_buf_put(b, &c, 1);
    }
    return rc;
}
