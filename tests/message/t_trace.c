/* t_trace.c - Received, Return-Path and the pieces they are made of. */
#include "t.h"

#include "fieldout.h"
#include "header.h"
#include "trace.h"

/* 2026-11-22 09:03:35 UTC */
#define NOW 1795338215000u

static struct sp_trace sample(void)
{
    return (struct sp_trace){
        .helo = sp_str("client.example.org"),
        .client_address = sp_str("192.0.2.7"),
        .hostname = sp_str("mx.example.org"),
        .id = sp_str("4f2a"),
        .esmtp = true,
        .tls = true,
        .login = true,
        .tls_version = sp_str("TLSv1.3"),
        .tls_cipher = sp_str("TLS_AES_256_GCM_SHA384"),
        .tls_bits = 256,
        .only_recipient = sp_str("bob@example.net"),
        .now_ms = NOW,
    };
}

static const char *received(const struct sp_trace *t, struct sp_buf *b)
{
    sp_buf_free(b);
    sp_buf_init(b, 10000);
    CHECK_INT(sp_trace_received(b, t), 0);
    return sp_buf_cstr(b);
}

TEST("the with keyword is the registered one for every kind of session")
{
    static const struct {
        bool lmtp, esmtp, utf8, tls, login;
        const char *want;
    } t[] = {
        /* clang-format off */
        {0, 0, 0, 0, 0, "SMTP"},
        {0, 1, 0, 0, 0, "ESMTP"},
        {0, 1, 0, 1, 0, "ESMTPS"},
        {0, 1, 0, 0, 1, "ESMTPA"},
        {0, 1, 0, 1, 1, "ESMTPSA"},
        {0, 0, 0, 1, 1, "ESMTPSA"}, /* HELO with a certificate: TLS is an extension */
        {0, 1, 1, 0, 0, "UTF8SMTP"},
        {0, 1, 1, 1, 0, "UTF8SMTPS"},
        {0, 1, 1, 0, 1, "UTF8SMTPA"},
        {0, 1, 1, 1, 1, "UTF8SMTPSA"},
        {1, 1, 0, 0, 0, "LMTP"},
        {1, 0, 0, 1, 0, "LMTPS"},
        {1, 1, 0, 0, 1, "LMTPA"},
        {1, 1, 0, 1, 1, "LMTPSA"},
        {1, 1, 1, 0, 0, "UTF8LMTP"},
        {1, 1, 1, 1, 0, "UTF8LMTPS"},
        {1, 1, 1, 0, 1, "UTF8LMTPA"},
        {1, 1, 1, 1, 1, "UTF8LMTPSA"},
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        CHECK_STR(sp_trace_with(t[i].lmtp, t[i].esmtp, t[i].utf8, t[i].tls, t[i].login),
                  t[i].want);
}

TEST("a Received field says who, where, how, for whom and when")
{
    struct sp_trace t = sample();
    struct sp_buf b = {.p = NULL};

    CHECK_STR(received(&t, &b),
              "Received: from client.example.org ([192.0.2.7])\r\n"
              "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits))\r\n"
              "\tby mx.example.org (Sallyport) with ESMTPSA\r\n"
              "\tid 4f2a\r\n"
              "\tfor <bob@example.net>;\r\n"
              "\tSun, 22 Nov 2026 09:03:35 +0000\r\n");
    t.tls = t.login = false;
    t.only_recipient.n = 0;
    t.id.n = 0;
    t.client_address = sp_str("2001:db8::1");
    t.client_name = sp_str("c.example.org");
    t.zone_minutes = -210;
    CHECK_STR(received(&t, &b),
              "Received: from client.example.org (c.example.org [IPv6:2001:db8::1])\r\n"
              "\tby mx.example.org (Sallyport) with ESMTP;\r\n"
              "\tSun, 22 Nov 2026 05:33:35 -0330\r\n");
    sp_buf_free(&b);
}

TEST("hiding the client hides its address, its name and what it said in HELO")
{
    struct sp_trace t = sample();
    struct sp_buf b = {.p = NULL};

    t.hide_client = true;
    t.client_name = sp_str("laptop.example.org");
    received(&t, &b);
    CHECK(!strstr(b.p, "192.0.2.7") && !strstr(b.p, "client.example.org") &&
          !strstr(b.p, "laptop"));
    CHECK(strstr(b.p, "address withheld"));
    sp_buf_free(&b);
}

TEST("the identity is written only when given")
{
    struct sp_trace t = sample();
    struct sp_buf b = {.p = NULL};

    CHECK(!strstr(received(&t, &b), "authenticated"));
    t.identity = sp_str("alice");
    CHECK(strstr(received(&t, &b), "(authenticated as alice)"));
    sp_buf_free(&b);
}

#define N(s)                                                                           \
    {                                                                                  \
        s, sizeof s - 1                                                                \
    }
static const struct sp_str nasty[] = {
    N("a\r\nX-Evil: 1\r\n"),
    N("a\nX-Evil: 1"),
    N("a\rX-Evil: 1"),
    N("a\r\n\r\nbody"),
    N("a\0b"),
    N("a) (b; c"),
    N("\\"),
    N("((((("),
    N("\xc3\xb6"),
    N("\xff\xfe"),
    N("<>,;:@\""),
    N("a\x7f\x1b[2J"),
};

/* Every comment that is opened is closed, and no other. */
static bool is_balanced(const struct sp_buf *b)
{
    int depth = 0;

    for (size_t i = 0; i < b->n; i++) {
        if (b->p[i] == '\\' && !depth)
            return false; /* a quoted pair belongs inside */
        if (b->p[i] == '\\')
            i++;
        else if (b->p[i] == '(')
            depth++;
        else if (b->p[i] == ')' && --depth < 0)
            return false;
    }
    return depth == 0;
}

TEST("no value can break out of the Received field")
{
    struct sp_buf b = {.p = NULL};

    for (size_t i = 0; i < sizeof nasty / sizeof nasty[0]; i++) {
        for (int which = 0; which < 9; which++) {
            struct sp_trace t = sample();
            struct sp_str *place[] = {&t.helo,       &t.client_name, &t.client_address,
                                      &t.hostname,   &t.id,          &t.tls_version,
                                      &t.tls_cipher, &t.identity,    &t.only_recipient};
            struct sp_header_iter it;
            struct sp_field f;

            *place[which] = nasty[i];
            t.smtputf8 = i % 2;
            received(&t, &b);
            sp_header_start(&it, sp_buf_view(&b));
            CHECK(sp_header_next(&it, &f));
            CHECK_INT(f.raw.n, b.n);
            CHECK(sp_field_named(&f, "Received"));
            CHECK(!sp_header_next(&it, &f));
            CHECK(is_balanced(&b));
            for (size_t k = 0; k < b.n; k++) {
                unsigned char c = (unsigned char)b.p[k];

                if (c == '\r')
                    CHECK(b.p[k + 1] == '\n' && (k + 2 == b.n || b.p[k + 2] == '\t'));
                else if (c == '\n')
                    CHECK(k > 0 && b.p[k - 1] == '\r');
                else
                    CHECK(c == '\t' || (c >= 32 && c < 127) || (c > 127 && t.smtputf8));
            }
        }
    }
    sp_buf_free(&b);
}

TEST("the longest values stay within a line of 998 octets")
{
    static char big[5000];
    struct sp_trace t = sample();
    struct sp_buf b = {.p = NULL};
    struct sp_header_iter it;
    struct sp_field f;

    memset(big, '(', sizeof big);
    t.helo = t.client_name = t.client_address = t.hostname = t.id = t.tls_version =
        t.tls_cipher = t.identity = (struct sp_str){big, sizeof big};
    received(&t, &b);
    sp_header_start(&it, sp_buf_view(&b));
    CHECK(sp_header_next(&it, &f));
    CHECK(f.longest <= 998);
    sp_buf_free(&b);
}

TEST("for is left out when the only recipient is no address")
{
    struct sp_trace t = sample();
    struct sp_buf b = {.p = NULL};

    t.only_recipient = sp_str("bob@x>;evil");
    CHECK(!strstr(received(&t, &b), "for <"));
    t.only_recipient = sp_str("b\xc3\xb6@example.net");
    CHECK(!strstr(received(&t, &b), "for <"));
    t.smtputf8 = true;
    CHECK(strstr(received(&t, &b), "for <b\xc3\xb6@example.net>"));
    CHECK(strstr(b.p, "with UTF8SMTPSA"));
    sp_buf_free(&b);
}

TEST("Return-Path is one field with one path, null included")
{
    static const struct {
        const char *in, *want;
    } t[] = {
        {"", "Return-Path: <>\r\n"},
        {"a@b.org", "Return-Path: <a@b.org>\r\n"},
        {"\"a b>\"@b.org", "Return-Path: <\"a b>\"@b.org>\r\n"},
        {"a@b.org>\r\nX: y", "Return-Path: <a@b.org?"
                             "?"
                             "?X:?y>\r\n"},
        {"\"a\\\r\n", "Return-Path: <\"a\\?"
                      "?>\r\n"},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct sp_buf b;

        sp_buf_init(&b, 1000);
        CHECK_INT(sp_trace_return_path(&b, sp_str(t[i].in)), 0);
        CHECK_STR(sp_buf_cstr(&b), t[i].want);
        sp_buf_free(&b);
    }
}

static const char *date(uint64_t ms, int zone, struct sp_buf *b)
{
    sp_buf_free(b);
    sp_buf_init(b, 100);
    CHECK_INT(sp_out_date(b, ms, zone), 0);
    return sp_buf_cstr(b);
}

TEST("dates are right at the edges of the calendar")
{
    struct sp_buf b = {.p = NULL};

    CHECK_STR(date(0, 0, &b), "Thu, 1 Jan 1970 00:00:00 +0000");
    CHECK_STR(date(0, -60, &b), "Thu, 1 Jan 1970 00:00:00 -0100");
    CHECK_STR(date(951782400000, 0, &b), "Tue, 29 Feb 2000 00:00:00 +0000");
    CHECK_STR(date(NOW, 330, &b), "Sun, 22 Nov 2026 14:33:35 +0530");
    CHECK_STR(date(UINT64_MAX, 0, &b), "Fri, 31 Dec 9999 23:59:59 +0000");
    CHECK_STR(date(NOW, 99999, &b), "Sun, 22 Nov 2026 09:03:35 +0000");
    sp_buf_free(&b);
}

TEST("xtext is decoded strictly")
{
    static const struct {
        const char *in, *want; /* want NULL: refused */
    } t[] = {
        {"abc", "abc"}, {"a+2Bb", "a+b"}, {"a+2", NULL},    {"a+", NULL},
        {"a+0D", NULL}, {"a+ZZ", NULL},   {"+3D+3d", "=="}, {"", ""},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct sp_buf b;
        int rc;

        sp_buf_init(&b, 1000);
        rc = sp_fieldout_xtext_decode(&b, sp_str(t[i].in));
        CHECK_INT(rc, t[i].want ? 0 : -SP_EINPUT);
        if (t[i].want && rc == 0)
            CHECK_STR(sp_buf_cstr(&b), t[i].want);
        sp_buf_free(&b);
    }
}

T_MAIN
