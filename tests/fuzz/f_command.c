/* f_command.c - the grammar of SMTP commands.  What the engine takes as an address the
 * message layer takes too, and the other way round; pieces lie inside the line. */
#include "fz.h"

#include "addr.h"
#include "oneshot.h"
#include "parse.h"
#include "rules.h"

#include <time.h>

static void path(struct sp_str line, const char *keyword)
{
    struct sp_str rest = line, name, value;
    struct sp_path p;
    struct sp_addr a;
    size_t before;
    int rc;

    if (sp_parse_path(&rest, keyword, &p) < 0) {
        FZ_MUST(rest.p == line.p && rest.n == line.n, "a refused line stays whole");
        return;
    }
    FZ_MUST(fz_inside(rest, line) && fz_inside(p.addr, line), "a piece lies inside");
    FZ_MUST(p.has_8bit ? sp_utf8_valid(p.addr) : true, "an address is UTF-8");
    for (size_t i = 0; i < p.addr.n; i++)
        FZ_MUST((unsigned char)p.addr.p[i] >= 32 && p.addr.p[i] != 127,
                "no control octet is in an address");
    if (p.addr.n && p.qualified) {
        enum sp_addr_result r = sp_addr_parse(p.addr, SP_ADDR_UTF8_OK, &a);

        FZ_MUST(r == SP_ADDR_OK, "what the engine takes, the message layer takes");
        FZ_MUST(!p.has_8bit == !a.utf8, "both see whether it is ASCII");
    }
    do {
        before = rest.n;
        rc = sp_parse_param(&rest, &name, &value);
        FZ_MUST(fz_inside(rest, line), "the rest lies inside");
        FZ_MUST(rc <= 0 || (fz_inside(name, line) && fz_inside(value, line) && name.n),
                "a parameter lies inside");
        FZ_MUST(rc <= 0 || rest.n < before, "a parameter takes octets");
    } while (rc > 0);
}

static void address(struct sp_str s)
{
    bool eight = false, mine = sp_is_address(s, &eight);
    struct sp_addr a;

    if (mine) {
        FZ_MUST(sp_addr_parse(s, SP_ADDR_UTF8_OK, &a) == SP_ADDR_OK,
                "what the engine takes, the message layer takes");
        FZ_MUST(sp_is_address(sp_addr_text(&a), &eight) && eight == a.utf8,
                "a canonical address is one for the engine too");
    }
}

static void xtext(struct sp_str s)
{
    char *copy = fz_copy(s);
    int n = sp_xtext_decode(copy, s.n);

    FZ_MUST((n >= 0) == sp_is_xtext(s), "xtext is decoded exactly when it is xtext");
    FZ_MUST(n <= (int)s.n, "decoding never grows");
    free(copy);
}

static void date(struct sp_str s)
{
    uint64_t t = 0;
    time_t back;
    struct tm tm;
    char text[40];

    if (sp_parse_date(s, &t) < 0)
        return;
    back = (time_t)t;
    FZ_MUST(gmtime_r(&back, &tm) && tm.tm_year + 1900 >= 1970 &&
                tm.tm_year + 1900 <= 10000,
            "a date is a time");
    FZ_MUST(s.n >= 20, "a date has all its parts");
    if (sp_lower(s.p[19]) == 'z' && s.n == 20 && s.p[17] != '6') {
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
        FZ_MUST(memcmp(text, s.p, 19) == 0, "a date in UTC is itself");
    }
}

FZ_TARGET
{
    struct fz f = {data, size};
    struct sp_str s = fz_line(&f);
    int64_t v = 0;

    path(s, "FROM");
    path(s, "TO");
    address(s);
    xtext(s);
    date(s);
    FZ_MUST(!sp_is_domain(s) || s.n <= SP_LIMIT_DOMAIN, "a domain is bounded");
    FZ_MUST(!(sp_is_domain(s) && sp_is_literal(s)), "a domain is no literal");
    /* blanks, brackets and controls could leave a trace field */
    for (size_t i = 0; sp_is_helo(s) && i < s.n; i++)
        FZ_MUST(s.p[i] > 32 && s.p[i] < 127 && !strchr("()<>", s.p[i]),
                "a name from EHLO does no harm");
    if (sp_parse_signed(s, 3, &v) == 0)
        FZ_MUST(v > -1000 && v < 1000, "three digits");
    return 0;
}
