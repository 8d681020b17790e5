/* srv_parse.c - the grammar, the scanner and the decoder: malformed input by hand, then
 * random mutations with a fixed seed. */
#include "alloc.h"
#include "data.h"
#include "oneshot.h"
#include "parse.h"
#include "srv_play.h"
#include "t.h"
#include "text.h"

#include <stdlib.h>
#include <time.h>

static const char *path_of(const char *line)
{
    static char got[600];
    struct sp_str rest = sp_str(line);
    struct sp_path p;

    if (sp_parse_path(&rest, "FROM", &p) < 0)
        return "bad";
    snprintf(got, sizeof got, "%.*s|%s%s|%.*s", (int)p.addr.n, p.addr.p ? p.addr.p : "",
             p.qualified ? "q" : "", p.has_8bit ? "8" : "", (int)rest.n,
             rest.n ? rest.p : "");
    return got;
}

TEST("RFC 5321 4.1.2: paths that are taken")
{
    CHECK_STR(path_of("FROM:<>"), "||");
    CHECK_STR(path_of("from: <a@b.example> SIZE=1"), "a@b.example|q| SIZE=1");
    CHECK_STR(path_of("FROM:<a.b+c=d/e@b>"), "a.b+c=d/e@b|q|");
    CHECK_STR(path_of("FROM:<a>"), "a||");
    CHECK_STR(path_of("FROM:<@x.example,@y.example:a@b.example>"), "a@b.example|q|");
    CHECK_STR(path_of("FROM:<\"a b\\\"@>\"@b.example>"), "\"a b\\\"@>\"@b.example|q|");
    CHECK_STR(path_of("FROM:<\"\"@b.example>"), "\"\"@b.example|q|");
    CHECK_STR(path_of("FROM:<a@[192.0.2.1]>"), "a@[192.0.2.1]|q|");
    CHECK_STR(path_of("FROM:<a@[IPv6:2001:db8::1]>"), "a@[IPv6:2001:db8::1]|q|");
    CHECK_STR(path_of("FROM:<a@[IPv6:::ffff:192.0.2.1]>"),
              "a@[IPv6:::ffff:192.0.2.1]|q|");
    CHECK_STR(path_of("FROM:<j\xc3\xbc@b\xc3\xbc.example>"),
              "j\xc3\xbc@b\xc3\xbc.example|q8|");
    CHECK_STR(path_of("FROM:<a@my_host.example>"), "a@my_host.example|q|");
}

TEST("RFC 5321 4.1.2: paths that are not")
{
    static const char *const bad[] = {
        "FROM",
        "FROM:",
        "FROM:<",
        "FROM:>",
        "FROM:<a",
        "FROM:a@b",
        "FROM <a@b>",
        "TO:<a@b>",
        "FROM:<a@b",
        "FROM:<a@b>x",
        "FROM:<a@b>>",
        "FROM:<<a@b>>",
        "FROM:<a@>",
        "FROM:<@b>",
        "FROM:<.a@b>",
        "FROM:<a.@b>",
        "FROM:<a..b@c>",
        "FROM:<a b@c>",
        "FROM:<a@b c>",
        "FROM:<a@b..c>",
        "FROM:<a@.b>",
        "FROM:<a@b.>",
        "FROM:<a@-b>",
        "FROM:<a@b->",
        "FROM:<a@b-.c>",
        "FROM:<a@b@c>",
        "FROM:<\"a@b>",
        "FROM:<\"a\"b@c>",
        "FROM:<\"a\\\"@b>",
        "FROM:<a@[1.2.3]>",
        "FROM:<a@[256.1.1.1]>",
        "FROM:<a@[1.2.3.4.5]>",
        "FROM:<a@[]>",
        "FROM:<a@[IPv6:]>",
        "FROM:<a@[IPv6::]>",
        "FROM:<a@[IPv6:1:2]>",
        "FROM:<a@[IPv6:1::2::3]>",
        "FROM:<a@[IPv6:12345::]>",
        "FROM:<a@[x]>",
        "FROM:<a@[x-tag:abc]>", /* RFC 5321 4.1.3: a tag that was never registered */
        "FROM:<a@[X400:c=de]>",
        "FROM:<a@[IPv4:192.0.2.1]>",
        "FROM:<a@[:192.0.2.1]>",
        "FROM:<a@[IPv6]>",
        "FROM:<a@[1.2.3.4>",
        "FROM:<@a:@b:c@d>",
        "FROM:<@a,b:c@d>",
        "FROM:<@a,:c@d>",
        "FROM:<@a:>",
        "FROM:<a\x01@b>",
        "FROM:<a\xff@b>",
        "FROM:<a\xc0\xaf@b>",
        "FROM:<\xed\xa0\x80@b>",
        "FROM:<(a)@b>",
        "FROM:<a,b@c>",
        "FROM:<a;b@c>",
        "FROM:<a:b@c>",
        "FROM:<a@b,c>",
        "FROM:<a@b\t>",
        "FROM:<a@[010.0.2.1]>", /* octal to some, decimal to others: another host */
        "FROM:<a@[IPv6:::010.0.2.1]>",
    };
    char line[700];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (strcmp(path_of(bad[i]), "bad") != 0)
            printf("taken: %s\n", bad[i]);
        CHECK_STR(path_of(bad[i]), "bad");
    }
    snprintf(line, sizeof line, "FROM:<%0257d@b>", 0);
    CHECK_STR(path_of(line), "bad");
    snprintf(line, sizeof line, "FROM:<a@%064d.example>", 0);
    CHECK_STR(path_of(line), "bad");
    /* how long a U-label is shows only when it is encoded */
    snprintf(line, sizeof line, "FROM:<a@\xc3\xb6%064d.example>", 0);
    CHECK(strcmp(path_of(line), "bad") != 0);
    snprintf(line, sizeof line, "FROM:<a@%0256d>", 0);
    CHECK_STR(path_of(line), "bad");
}

TEST("RFC 3461 4: xtext")
{
    char good[] = "a+2Bb+3D+00", one[] = "+4";

    CHECK(sp_is_xtext(sp_str("")) && sp_is_xtext(sp_str("abc+2B")));
    CHECK(!sp_is_xtext(sp_str("a=b")) && !sp_is_xtext(sp_str("a b")));
    CHECK(!sp_is_xtext(sp_str("+2b")) && !sp_is_xtext(sp_str("+")) &&
          !sp_is_xtext(sp_str("+A")));
    CHECK(!sp_is_xtext(sp_str("\x7f")) && !sp_is_xtext(sp_str("\xc3\xbc")));
    CHECK_INT(sp_xtext_decode(good, sizeof good - 1), 5);
    CHECK(memcmp(good, "a+b=\0", 5) == 0);
    CHECK(sp_xtext_decode(one, 2) < 0);
}

TEST("RFC 3339: dates")
{
    static const struct {
        const char *text;
        long long want;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2000-02-29T12:34:56Z", 951827696},
        {"2026-11-22T10:00:00+01:00", 1795338000},
        {"2100-03-01T00:00:00Z", 4107542400},
        {"2027-01-01T00:00:00.25Z", 1798761600},
        {"1969-12-31T23:59:59Z", -1},
        {"1970-01-01T00:00:00+00:01", -1},
        {"2100-02-29T00:00:00Z", -1},
        {"2027-13-01T00:00:00Z", -1},
        {"2027-00-01T00:00:00Z", -1},
        {"2027-04-31T00:00:00Z", -1},
        {"2027-01-01T24:00:00Z", -1},
        {"2027-01-01T00:00:00", -1},
        {"2027-01-01 00:00:00Z", -1},
        {"2027-01-01T00:00:00.Z", -1},
        {"2027-01-01T00:00:00ZZ", -1},
        {"2027-01-01T00:00:00+1:00", -1},
        {"27-01-01T00:00:00Z", -1},
        {"", -1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t got = 0;
        int rc = sp_parse_date(sp_str(rows[i].text), &got);

        if (rows[i].want < 0 ? rc == 0 : (rc < 0 || got != (uint64_t)rows[i].want))
            printf("%s gives %llu\n", rows[i].text, (unsigned long long)got);
        CHECK_INT(rc == 0, rows[i].want >= 0);
        CHECK(rc < 0 || got == (uint64_t)rows[i].want);
    }
}

TEST("dates agree with the C library over four hundred years")
{
    for (time_t t = 0; t < 12622780800; t += 86400 * 11 + 3607) {
        char text[40];
        struct tm tm;
        uint64_t got;

        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
        CHECK(sp_parse_date(sp_str(text), &got) == 0 && got == (uint64_t)t);
    }
}

TEST("RFC 4616, 7628: one-step messages")
{
#define BYTES(text) text, sizeof(text) - 1
    static const struct {
        const char *text;
        size_t n;
        bool plain, bearer, xoauth2;
    } rows[] = {
        {BYTES("\0a\0b"), true, false, false},
        {BYTES("z\0a\0b"), true, false, false},
        {BYTES(""), false, false, false},
        {BYTES("\0a"), false, false, false},
        {BYTES("\0\0b"), false, false, false},
        {BYTES("\0a\0"), false, false, false},
        {BYTES("\0a\0b\0"), false, false, false},
        {BYTES("\0\xff\0b"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer t\1\1"), false, true, false},
        {BYTES("n,,\1auth=bearer t\1\1"), false, true, false},
        {BYTES("p=x,,\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Basic t\1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer t\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer \1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=\1\1"), false, true, false}, /* RFC 7628 4.3 */
        {BYTES("user=u\1auth=\1\1"), false, false, false},
        {BYTES("n,a=u,\1host=h.example\1port=587\1auth=Bearer a.b-c_~+/=\1\1"), false, true, false},
        {BYTES("n,a=u,\1qop=x\1auth=Bearer t\1\1"), false, true, false},
        {BYTES("n,a=u,\1port=0x24b\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,\1port=65536\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,\1port=\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,\1host=\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,\1host=a b\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer t\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer t u\1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer t\n\1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer \xc3\xa4\1\1"), false, false, false},
        {BYTES("user=u\1auth=Bearer t\1auth=Bearer v\1\1"), false, false, false},
        {BYTES("user=u\1user=v\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("user=\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("n,a=u,\1\1"), false, false, false},
        {BYTES("n,a=,\1auth=Bearer t\1\1"), false, false, false},
        {BYTES("user=u\1auth=Bearer t\1\1"), false, false, true},
        {BYTES("auth=Bearer t\1\1"), false, false, false},
        {BYTES("user=u\1auth=Bearer t\1\1x"), false, false, false},
        {BYTES("user=u\1auth=Bearer t"), false, false, false},
        {BYTES("user=u\1auth=Bearer t\0x\1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer t x\1\1"), false, false, false},
        {BYTES("n,a=u,\1auth=Bearer eyJ.a-b_c~d+e/f==\1\1"), false, true, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sp_str m = {rows[i].text, rows[i].n};
        struct sp_credential c;

        CHECK_INT(sp_plain_parse(m, &c) == 0, rows[i].plain);
        CHECK_INT(sp_oauthbearer_parse(m, &c) == 0, rows[i].bearer);
        CHECK_INT(sp_xoauth2_parse(m, &c) == 0, rows[i].xoauth2);
    }
}

/* ---- The scanner and the decoder -------------------------------------------------------------- */

static uint64_t seed = 0x5a11;

static unsigned draw(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 11) % below;
}

TEST("the fast scanners agree with a slow one")
{
    for (int round = 0; round < 20000; round++) {
        unsigned n = draw(70), high[3] = {0, 0, 0};
        char p[80];
        size_t want = 0;

        for (unsigned i = 0; i < n; i++)
            p[i] = draw(12) ? (char)(draw(20) ? 32 + draw(95) : 128 + draw(128))
                            : "\r\n\0"[draw(3)];
        for (; want < n && p[want] != '\r' && p[want] != '\n' && p[want]; want++)
            high[0] |= (unsigned char)p[want] & 0x80;
        CHECK_INT(sp_scan(p, n, &high[1]), want);
        CHECK_INT(sp_scan_portable(p, n, &high[2]), want);
        CHECK(high[1] == high[0] && high[2] == high[0]);
    }
}

/* RFC 5321 4.5.2 one octet at a time, as plainly as it can be said. */
struct slow {
    char body[600];
    size_t n, used;
    bool ended, bad;
};

static void slowly(const char *p, size_t n, struct slow *s)
{
    size_t from = 0;

    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\0' || (p[i] == '\n' && (i == 0 || p[i - 1] != '\r')) ||
            (p[i] == '\r' && i + 1 < n && p[i + 1] != '\n'))
            s->bad = true;
        if (p[i] != '\n' || i == 0 || p[i - 1] != '\r')
            continue;
        s->used = i + 1;
        if (i - from == 2 && p[from] == '.') {
            s->ended = true;
            return;
        }
        from += p[from] == '.';
        memcpy(s->body + s->n, p + from, i + 1 - from);
        s->n += i + 1 - from;
        from = i + 1;
    }
}

TEST("the decoder agrees with a slow one, for any octets in any chunks")
{
    static const char *const bits[] = {"\r\n", "\r\n.\r\n", ".",     "\n",  "\r",
                                       "a",    "..",        "\r\n.", "bcd", "\r\n..",
                                       "\r\n", "x",         "yz",    "\r\n"};

    for (int round = 0; round < 30000; round++) {
        char in[400], got[600];
        size_t n = 0, ngot = 0, at = 0, chunk = 1 + draw(30);
        unsigned kinds = round % 2 ? 14 : 8;
        struct sp_data d;
        struct slow want;

        for (unsigned k = draw(20); k; k--) {
            const char *b = bits[draw(kinds)];

            memcpy(in + n, b, strlen(b));
            n += strlen(b);
        }
        memcpy(in + n, "\r\n.\r\n", 5);
        n += 5;
        slowly(in, n, &want);
        sp_data_init(&d, 0, false);
        while (!d.ended && at < n) {
            struct sp_str span;
            size_t k = n - at < chunk ? n - at : chunk, used;

            used = sp_data_feed(&d, in + at, k, &span);
            CHECK(used > 0 && used <= k);
            if (span.n) {
                memcpy(got + ngot, span.p, span.n);
                ngot += span.n;
            }
            at += used;
        }
        CHECK(d.ended && want.ended);
        CHECK_INT(at, want.used);
        CHECK_INT(d.bad != SP_DATA_GOOD, want.bad);
        CHECK(want.bad || (ngot == want.n && memcmp(got, want.body, ngot) == 0));
        CHECK(want.bad || d.size == ngot);
    }
}

/* ---- Mutations of dialogues ----------------------------------------------------------------------- */

static void mutate(char *p, size_t *n, size_t cap)
{
    static const char *const words[] = {
        "\r\n",        "\0",        "AUTH ",        "=", "MAIL FROM:<", ">",
        "BDAT 9 LAST", "\r\n.\r\n", "STARTTLS\r\n", " ", "\xff",        "RSET\r\n",
        "*\r\n"};

    for (unsigned k = 1 + draw(4); k; k--) {
        const char *w = words[draw(13)];
        size_t at = *n ? draw((unsigned)*n) : 0, len = w[0] ? strlen(w) : 1;

        switch (draw(4)) {
        case 0:
            if (*n)
                p[at] = (char)draw(256);
            break;
        case 1:
            if (*n + len < cap) {
                memmove(p + at + len, p + at, *n - at);
                memcpy(p + at, w, len);
                *n += len;
            }
            break;
        case 2:
            len = *n - at < 9 ? *n - at : 1 + draw(8);
            memmove(p + at, p + at + len, *n - at - len);
            *n -= len;
            break;
        default:
            if (*n)
                p[at] ^= (char)(1 << draw(8));
        }
    }
}

/* The owner says yes to everything; whatever comes in, the engine stays sane. */
static void survive(const struct sp_srv_policy *policy, const char *in, size_t n)
{
    struct sp_srv *s = sp_srv_new(policy, sp_str("u"));
    struct sp_srv_tls tls = {
        .cert = SP_CERT_USABLE, .cert_verified = true, .user = {"u", 1}};
    struct sp_srv_event e;
    size_t at = 0, idle = 0, open = 0;
    bool closed = false, began = false;

    while (idle < 2 && !closed) {
        size_t len,
            used = began ? sp_srv_feed(s, in + at, n - at < 37 ? n - at : 37) : 0;
        const char *o;

        at += used;
        idle = used ? 0 : idle + 1;
        while (sp_srv_next(s, &e)) {
            idle = 0;
            began |= e.type == SP_SRV_CONNECT;
            open += e.type == SP_SRV_MAIL;
            open -= e.type == SP_SRV_END || e.type == SP_SRV_ABORT;
            closed |= e.type == SP_SRV_CLOSE;
            if (e.type == SP_SRV_HANDSHAKE)
                CHECK_INT(sp_srv_tls_done(s, &tls), 0);
            else if (e.type == SP_SRV_AUTH)
                CHECK_INT(sp_srv_auth_ok(s, sp_str("u"), (struct sp_str){0}), 0);
            else if (e.type != SP_SRV_CLOSE)
                CHECK_INT(sp_srv_accept(s), 0);
        }
        o = sp_srv_out(s, &len);
        CHECK(len == 0 || (o[0] >= '2' && o[0] <= '5' && o[len - 1] == '\n'));
        for (size_t i = 0; i < len; i++)
            CHECK(((unsigned char)o[i] >= 32 && (unsigned char)o[i] < 127) ||
                  o[i] == '\r' || o[i] == '\n');
        sp_srv_out_ack(s, len);
    }
    if (!closed) {
        sp_srv_gone(s);
        while (sp_srv_next(s, &e))
            open -= e.type == SP_SRV_ABORT;
    }
    CHECK_INT(open, 0); /* every MAIL ended by END or ABORT */
    sp_srv_free(s);
}

TEST("mutated dialogues: no crash, clean output, every accepted MAIL ends exactly once")
{
    char **list, in[8192];
    size_t files = sp_story_list(getenv("STORIES") ? getenv("STORIES") : "stories", &list);

    CHECK(files > 80);
    for (size_t f = 0; f < files; f++) {
        struct sp_srv_policy policy;
        struct sp_story st;
        size_t n = 0;

        CHECK_INT(sp_story_read(&st, list[f], NULL), 0);
        if (st.server && srv_play_policy(st.server, &policy)) {
            for (size_t i = 0; i < st.n; i++)
                if (st.step[i].kind == SP_STORY_CLIENT &&
                    n + st.step[i].len < sizeof in / 2) {
                    memcpy(in + n, st.step[i].text, st.step[i].len);
                    n += st.step[i].len;
                }
            for (int round = 0; round < 200; round++) {
                char copy[8192];
                size_t len = n;

                memcpy(copy, in, n);
                mutate(copy, &len, sizeof copy);
                survive(&policy, copy, len);
            }
        }
        sp_story_free(&st);
        sp_free(list[f]);
    }
    sp_free(list);
}

TEST("a clone has the same digest and the same future")
{
    static const char first[] =
        "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDA",
                      second[] = "TA\r\nx\r\n.\r\nNOOP\r\n";
    struct sp_srv_policy policy;
    struct sp_srv *s[2];
    uint64_t d[2][2];
    char out[2][2000];

    CHECK(srv_play_policy("no-login", &policy));
    s[0] = sp_srv_new(&policy, sp_str(""));
    for (int k = 0; k < 2; k++) {
        const char *in = k ? second : first;

        for (int i = 0; i < 1 + k; i++) {
            struct sp_srv_event e;
            size_t at = 0, len = 0;
            const char *o;

            do {
                while (sp_srv_next(s[i], &e))
                    CHECK_INT(sp_srv_accept(s[i]), 0);
                at += sp_srv_feed(s[i], in + at, strlen(in) - at);
                while (sp_srv_next(s[i], &e))
                    CHECK_INT(sp_srv_accept(s[i]), 0);
            } while (at < strlen(in));
            o = sp_srv_out(s[i], &len);
            snprintf(out[i], sizeof out[i], "%.*s", (int)len, o);
            sp_srv_out_ack(s[i], len);
            if (k == 0) {
                s[1] = sp_srv_clone(s[0]);
                CHECK(s[1] != NULL);
            }
        }
        sp_srv_digest(s[0], d[0]);
        sp_srv_digest(s[1], d[1]);
        CHECK(d[0][0] == d[1][0] && d[0][1] == d[1][1]);
    }
    CHECK_STR(out[1], out[0]);
    CHECK(strstr(out[0], "250 2.0.0 Accepted") != NULL);
    sp_srv_free(s[0]);
    sp_srv_free(s[1]);
}

T_MAIN
