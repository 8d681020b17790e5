/* t_tlsrpt.c - TLSRPT (RFC 8460): records, URIs, days, lines, reports. */
#include "tlsrpt.h"

#include "t.h"

#include <string.h>
#include <zlib.h>

static bool record(const char *a, const char *b, struct sp_buf *rua)
{
    const char *texts[] = {a, b};
    char wire[2][300];
    struct sp_str rdata[2];
    size_t n = 0;

    for (; n < 2 && texts[n]; n++) {
        size_t len = strlen(texts[n]);

        wire[n][0] = (char)len;
        memcpy(wire[n] + 1, texts[n], len);
        rdata[n] = (struct sp_str){wire[n], len + 1};
    }
    sp_buf_free(rua);
    sp_buf_init(rua, SP_RPT_RUA_MAX);
    return sp_rpt_record(rdata, n, rua);
}

TEST("exactly one record that names a way we know asks for reports")
{
    struct sp_buf rua;

    sp_buf_init(&rua, SP_RPT_RUA_MAX);
    CHECK(record("v=TLSRPTv1; rua=mailto:a@example.org", NULL, &rua));
    CHECK(sp_str_is(sp_buf_view(&rua), "mailto:a@example.org"));
    CHECK(record("v=TLSRPTv1;x=1;rua=https://h/p,mailto:a@b.example;", "v=spf1 -all",
                 &rua));
    CHECK(!record("v=TLSRPTv1; rua=mailto:a@b.example",
                  "v=TLSRPTv1; rua=mailto:c@b.example", &rua));
    CHECK(!record("v=TLSRPTv2; rua=mailto:a@b.example", NULL, &rua));
    CHECK(!record("v=TLSRPTv1", NULL, &rua));
    CHECK(!record("v=TLSRPTv1; rua=ftp://h/p", NULL, &rua));
    CHECK(!record(NULL, NULL, &rua));
    sp_buf_free(&rua);
}

TEST("URIs that could not stand in an envelope or a request are passed over")
{
    static const char *const bad[] = {"mailto:",           "mailto:a",
                                      "mailto:@b.example", "mailto:a@",
                                      "mailto:a@b@c",      "mailto:a%0d%0ab@c.example",
                                      "mailto:a%4",        "mailto:a@b.example/x",
                                      "mailto:\"a\"@b",    "https://",
                                      "https:///x",        "http://h/",
                                      "https://u:p@h/",    "https://h/ x",
                                      "https://h/\n"};
    struct sp_rpt_uri uri;
    struct sp_str s;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        s = sp_str(bad[i]);
        CHECK(!sp_rpt_uri(&s, &uri));
    }
    s = sp_str("ftp://x, mailto:a%2Bb%40c.example?subject=x ,HTTPS://h/p");
    CHECK(sp_rpt_uri(&s, &uri) && uri.mail && strcmp(uri.to, "a+b@c.example") == 0);
    CHECK(sp_rpt_uri(&s, &uri) && !uri.mail && strcmp(uri.to, "HTTPS://h/p") == 0);
    CHECK(!sp_rpt_uri(&s, &uri));
}

TEST("a file is a day's only if it is called like one")
{
    uint64_t at = 0;
    char day[SP_RPT_DAY];

    CHECK_INT(sp_rpt_day_begin("1970-01-01", &at), 0);
    CHECK_INT((long)at, 0);
    CHECK_INT(sp_rpt_day_begin("2024-02-29", &at), 0);
    CHECK_INT((long)at, 1709164800);
    CHECK_INT(sp_rpt_day_begin("2026-11-22", &at), 0);
    sp_rpt_day(at + 86399, day);
    CHECK(strcmp(day, "2026-11-22") == 0);
    CHECK(sp_rpt_day_begin("2026-02-29", &at) < 0);
    CHECK(sp_rpt_day_begin("2026-1-22", &at) < 0);
    CHECK(sp_rpt_day_begin("post-2026-", &at) < 0);
}

static void add(struct sp_rpt *r, const char *type, const char *result, const char *why)
{
    char *strings[] = {(char *)"mode: enforce", (char *)"mx: *.example.org"};
    Sp__TlsSession m = SP__TLS_SESSION__INIT;
    struct sp_buf line;

    m.domain = (char *)"example.org";
    m.policy_type = (char *)(uintptr_t)type;
    m.policy_string = strings;
    m.n_policy_string = strcmp(type, "sts") == 0 ? 2 : 0;
    m.result = (char *)(uintptr_t)result;
    m.mx = (char *)"mx1.example.org";
    m.ip = (char *)"192.0.2.1";
    m.reason = (char *)(uintptr_t)why;
    m.rua = (char *)"mailto:a@example.org";
    sp_buf_init(&line, SP_RPT_LINE_MAX);
    CHECK_INT(sp_rpt_line(&m, &line), 0);
    CHECK(line.n && line.p[line.n - 1] == '\n');
    CHECK_INT(sp_rpt_add(r, sp_buf_view(&line)), 0);
    sp_buf_free(&line);
}

static bool has(const struct sp_buf *b, const char *s)
{
    return memmem(b->p, b->n, s, strlen(s)) != NULL;
}

TEST("sessions are counted by policy, failures by reason; words with quotes stay words")
{
    struct sp_rpt *r = sp_rpt_new();
    struct sp_rpt_who w = {"Example \"Ltd\"", "a@example.net", "mail.example.net",
                           "2026-11-22"};
    struct sp_buf b;

    for (int i = 0; i < 3; i++)
        add(r, "sts", "", "");
    add(r, "sts", "certificate-expired", "said \"no\"\nX: y");
    add(r, "sts", "certificate-expired", "said \"no\"\nX: y");
    add(r, "no-policy-found", "starttls-not-supported", "\xff");
    CHECK(sp_rpt_add(r, sp_str("junk")) < 0);
    CHECK(sp_rpt_add(r, sp_str("{\"d\":\"a b\",\"t\":\"sts\",\"s\":[]}")) < 0);
    CHECK(strcmp(sp_rpt_first(r), "example.org") == 0);
    CHECK(sp_rpt_next(r, "example.org") == NULL);
    CHECK(strcmp(sp_rpt_rua(r, "example.org"), "mailto:a@example.org") == 0);
    sp_buf_init(&b, SP_RPT_JSON_MAX);
    CHECK_INT(sp_rpt_json(r, "example.org", &w, &b), 0);
    CHECK(has(&b, "\"total-successful-session-count\": 3"));
    CHECK(has(&b, "\"total-failure-session-count\": 2"));
    CHECK(has(&b, "\"failed-session-count\": 2"));
    CHECK(has(&b, "\"failure-reason-code\": \"said \\\"no\\\"\\nX: y\""));
    CHECK(has(&b, "\"organization-name\": \"Example \\\"Ltd\\\"\""));
    CHECK(has(&b, "\"start-datetime\": \"2026-11-22T00:00:00Z\""));
    sp_buf_free(&b);
    sp_rpt_free(r);
}

TEST(
    "a domain that is none, an unknown policy type, too much of anything is no session")
{
    Sp__TlsSession m = SP__TLS_SESSION__INIT;
    struct sp_buf line;

    sp_buf_init(&line, 2 * SP_RPT_LINE_MAX);
    m.domain = (char *)"a.example";
    m.policy_type = (char *)"sts";
    CHECK_INT(sp_rpt_line(&m, &line), 0);
    m.domain = (char *)"a/../b";
    CHECK(sp_rpt_line(&m, &line) < 0);
    m.domain = (char *)"a.example\r\nTo: b";
    CHECK(sp_rpt_line(&m, &line) < 0);
    m.domain = (char *)"a.example";
    m.policy_type = (char *)"other";
    CHECK(sp_rpt_line(&m, &line) < 0);
    sp_buf_free(&line);
}

TEST("gzip unpacks to what went in; the mail is CRLF lines of at most 998 octets")
{
    struct sp_rpt_who w = {"x", "a@example.net", "mail.example.net", "2026-11-22"};
    static const uint8_t random[16] = {1, 2, 3};
    char back[5000];
    struct sp_buf gz, out;
    uint64_t header = 0;
    char text[4000];
    z_stream z = {0};

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * i % 251);
    sp_buf_init(&gz, SP_RPT_GZIP_MAX);
    sp_buf_init(&out, SP_RPT_MAIL_MAX);
    CHECK_INT(sp_rpt_gzip((struct sp_str){text, sizeof text}, &gz), 0);
    CHECK(inflateInit2(&z, 15 + 16) == Z_OK);
    z.next_in = (unsigned char *)gz.p;
    z.avail_in = (uInt)gz.n;
    z.next_out = (unsigned char *)back;
    z.avail_out = sizeof back;
    CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END);
    CHECK_INT((long)z.total_out, (long)sizeof text);
    CHECK(memcmp(back, text, sizeof text) == 0);
    (void)inflateEnd(&z);
    CHECK_INT(sp_rpt_mail(&w, "example.org", "b@example.org", sp_buf_view(&gz),
                          1700000000000, random, &out, &header),
              0);
    CHECK(header > 4 && memcmp(out.p + header - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = 0, line = 0; i < out.n; i++, line++) {
        CHECK(out.p[i] != '\n' || (i && out.p[i - 1] == '\r'));
        line = out.p[i] == '\n' ? 0 : line;
        CHECK(line <= 998);
    }
    sp_buf_free(&gz);
    sp_buf_free(&out);
}

T_MAIN
