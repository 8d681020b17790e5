/* t_addr.c - addresses, mailbox lists, ownership patterns. */
#include "t.h"

#include "addr.h"
#include "alloc.h"

enum {
    OK = SP_ADDR_OK,
    BAD = SP_ADDR_SYNTAX,
    UNQ = SP_ADDR_UNQUALIFIED,
    EAI = SP_ADDR_NEEDS_UTF8
};

static const struct {
    const char *in;
    int want;
    const char *canonical; /* NULL: not looked at */
} paths[] = {
    /* clang-format off */
    {"alice@example.org",               OK,  "alice@example.org"},
    {"Alice@EXAMPLE.Org",               OK,  "Alice@example.org"},
    {"a.b+c=d@example.org",             OK,  "a.b+c=d@example.org"},
    {"\"alice\"@example.org",           OK,  "alice@example.org"},
    {"\"a\\l\\ice\"@example.org",       OK,  "alice@example.org"},
    {"\"a b\"@example.org",             OK,  "\"a b\"@example.org"},
    {"\"a\\\"b\"@example.org",          OK,  "\"a\\\"b\"@example.org"},
    {"\"a@b\"@example.org",             OK,  "\"a@b\"@example.org"},
    {"\"\"@example.org",                OK,  "\"\"@example.org"},
    {"\"a..b\"@example.org",            OK,  "\"a..b\"@example.org"},
    {"@relay.example:bob@example.net",  OK,  "bob@example.net"},
    {"@a.example,@b.example:bob@c.de",  OK,  "bob@c.de"},
    {"@[IPv6:::1]:bob@example.net",     OK,  "bob@example.net"},
    {"bob@[192.0.2.1]",                 OK,  "bob@[192.0.2.1]"},
    {"bob@[ipv6:2001:DB8::1]",          OK,  "bob@[IPv6:2001:db8::1]"},
    {"bob@xn--bcher-kva.example",       OK,  "bob@xn--bcher-kva.example"},
    {"bob@B\xc3\xbc" "cher.example",    EAI, "bob@b\xc3\xbc" "cher.example"},
    {"b\xc3\xb6" "b@example.org",       EAI, "b\xc3\xb6" "b@example.org"},
    {"postmaster",                      UNQ, "postmaster"},
    {"bob",                             UNQ, "bob"},
    {"root@localhost",                  OK,  "root@localhost"},
    {"",                                BAD, NULL},
    {"@example.org",                    BAD, NULL},
    {"bob@",                            BAD, NULL},
    {"bob@.example",                    BAD, NULL},
    {"bob@example.",                    BAD, NULL},
    {"bob@exa..mple",                   BAD, NULL},
    {"bob@-example.org",                BAD, NULL},
    {"bob@example-.org",                BAD, NULL},
    {"bob@exa_mple.org",                OK,  "bob@exa_mple.org"},
    {"bob@exam ple.org",                BAD, NULL},
    {".bob@example.org",                BAD, NULL},
    {"bob.@example.org",                BAD, NULL},
    {"b..b@example.org",                BAD, NULL},
    {"b b@example.org",                 BAD, NULL},
    {"<bob@example.org>",               BAD, NULL},
    {"bob@example.org>",                BAD, NULL},
    {"bob@example.org,",                BAD, NULL},
    {"bob@a@b",                         BAD, NULL},
    {"\"bob@example.org",               BAD, NULL},
    {"\"bob\\",                         BAD, NULL},
    {"\"a\rb\"@example.org",            BAD, NULL},
    {"\"a\tb\"@example.org",            BAD, NULL},
    {"bob@[192.0.2.256]",               BAD, NULL},
    {"bob@[192.0.2.1",                  BAD, NULL},
    {"bob@[]",                          BAD, NULL},
    {"bob@[2001:db8::1]",               BAD, NULL},
    {"bob@[IPv6:192.0.2.1]",            BAD, NULL},
    {"bob@[x-tag:abc]",                 BAD, NULL},
    {"@relay.example bob@example.net",  BAD, NULL},
    {"@relay.example:",                 BAD, NULL},
    {"@:bob@example.net",               BAD, NULL},
    {"b\xff" "b@example.org",           BAD, NULL}, /* not UTF-8 */
    {"b\xc3@example.org",               BAD, NULL},
    {"bob@\xc3.example",                BAD, NULL},
    {"bob@63.63-------------------------------------------------------------a.org", BAD, NULL},
    /* clang-format on */
};

TEST("a path is parsed, refused or told apart exactly as the table says")
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct sp_addr a = {.n = 0};
        int rc = (int)sp_addr_parse(sp_str(paths[i].in), 0, &a);

        if (rc != paths[i].want)
            printf("for \"%s\":\n", paths[i].in);
        CHECK_INT(rc, paths[i].want);
        if (paths[i].canonical && rc == paths[i].want)
            CHECK_STR(a.text, paths[i].canonical);
    }
}

TEST("a NUL in an address is never taken")
{
    struct sp_addr a;

    CHECK_INT(sp_addr_parse(SP_LIT("bo\0b@example.org"), 0, &a), BAD);
    CHECK_INT(sp_addr_parse(SP_LIT("\"bo\0b\"@example.org"), 0, &a), BAD);
    CHECK_INT(sp_addr_parse(SP_LIT("bob@exam\0ple.org"), 0, &a), BAD);
    CHECK_INT(sp_addr_parse(SP_LIT("bob@[127.0.0.1\0]"), 0, &a), BAD);
}

TEST("each flag permits its own form and no other")
{
    struct sp_addr a;
    struct sp_str eai = sp_str("b\xc3\xb6"
                               "b@b\xc3\xbc"
                               "cher.example");

    CHECK_INT(sp_addr_parse(eai, SP_ADDR_UTF8_OK, &a), OK);
    CHECK(a.utf8);
    CHECK_INT(sp_addr_parse(sp_str(""), SP_ADDR_NULL_OK, &a), OK);
    CHECK_INT(a.n, 0);
    CHECK_INT(sp_addr_parse(sp_str("PostMaster"), SP_ADDR_POSTMASTER, &a), OK);
    CHECK_INT(sp_addr_parse(sp_str("bob"), SP_ADDR_POSTMASTER, &a), UNQ);
    CHECK_INT(sp_addr_parse(sp_str("root@localhost"), 0, &a), OK);
    CHECK(a.single_label);
    CHECK_INT(sp_addr_parse(sp_str("root@[127.0.0.1]"), 0, &a), OK);
    CHECK(a.literal && !a.single_label);
}

TEST("local part and domain stop at their maximum, not one octet later")
{
    char in[700];
    struct sp_addr a;

    memset(in, 'a', sizeof in);
    memcpy(in + SP_ADDR_LOCAL_MAX, "@b.org", 6);
    CHECK_INT(sp_addr_parse((struct sp_str){in, SP_ADDR_LOCAL_MAX + 6}, 0, &a), OK);
    memset(in, 'a', sizeof in);
    memcpy(in + SP_ADDR_LOCAL_MAX + 1, "@b.org", 6);
    CHECK_INT(sp_addr_parse((struct sp_str){in, SP_ADDR_LOCAL_MAX + 7}, 0, &a), BAD);

    memcpy(in, "b@", 2);
    for (size_t i = 2; i < sizeof in; i++)
        in[i] = i % 50 == 0 ? '.' : 'x';
    CHECK_INT(sp_addr_parse((struct sp_str){in, 2 + 255}, 0, &a), OK);
    CHECK_INT(sp_addr_parse((struct sp_str){in, 2 + 256}, 0, &a), BAD);
    memset(in + 2, 'y', 100);
    memcpy(in + 2 + 63, ".z", 2);
    CHECK_INT(sp_addr_parse((struct sp_str){in, 2 + 65}, 0, &a), OK);
    memset(in + 2, 'y', 100);
    memcpy(in + 2 + 64, ".z", 2);
    CHECK_INT(sp_addr_parse((struct sp_str){in, 2 + 66}, 0, &a), BAD);

    /* The longest quoted local part with the longest domain fits the text. */
    memset(in, '"', sizeof in);
    for (size_t i = 0; i < SP_ADDR_LOCAL_MAX; i++)
        memcpy(in + 1 + 2 * i, "\\\"", 2);
    CHECK_INT(sp_addr_parse((struct sp_str){in, 2 * SP_ADDR_LOCAL_MAX + 2}, 0, &a),
              UNQ);
    CHECK_INT(a.n, 2 * SP_ADDR_LOCAL_MAX + 2);
}

TEST("addresses are the same in canonical form: local part exact, domain without case")
{
    CHECK(sp_addr_equal(sp_str("a@B.org"), sp_str("a@b.ORG")));
    CHECK(!sp_addr_equal(sp_str("A@b.org"), sp_str("a@b.org")));
    CHECK(!sp_addr_equal(sp_str("a@b.org"), sp_str("a@b.orgx")));
    CHECK(!sp_addr_equal(sp_str("a"), sp_str("a@b")));
    CHECK(sp_addr_equal(sp_str(""), sp_str("")));
}

TEST("a sender pattern owns exactly what it says")
{
    static const struct {
        const char *pattern, *addr;
        bool want;
    } t[] = {
        /* clang-format off */
        {"alice@example.org",        "alice@example.org",          true},
        {"alice@example.org",        "alice@EXAMPLE.org",          true},
        {"alice@example.org",        "Alice@example.org",          false},
        {"alice@example.org",        "xalice@example.org",         false},
        {"alice@example.org",        "alice@sub.example.org",      false},
        {"*@example.org",            "anyone@example.org",         true},
        {"*@example.org",            "\"a b\"@example.org",        true},
        {"*@example.org",            "\"x@example.org\"@evil.net", false},
        {"*@example.org",            "a@example.org.evil.net",     false},
        {"*@example.org",            "a@xexample.org",             false},
        {"*-bounces@example.org",    "test-bounces@example.org",   true},
        {"*-bounces@example.org",    "-bounces@example.org",       false},
        {"*-bounces@example.org",    "test-bouncesx@example.org",  false},
        {"*-bounces@example.org",    "test-bounces@example.net",   false},
        {"*@*.example.org",          "a@b.example.org",            true},
        {"*@*.example.org",          "a@c.b.example.org",          true},
        {"*@*.example.org",          "a@example.org",              false},
        {"*@*.example.org",          "a@xexample.org",             false},
        {"a*@example.org",           "ab@example.org",             false},
        {"*",                        "a@example.org",              false},
        {"*@",                       "a@example.org",              false},
        {"*@example.org",            "",                           false},
        {"*@example.org",            "example.org",                false},
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        bool got = sp_addr_matches(sp_str(t[i].pattern), sp_str(t[i].addr));

        if (got != t[i].want)
            printf("%s for %s\n", t[i].pattern, t[i].addr);
        CHECK_INT(got, t[i].want);
    }
}

/* "name|address|name|address|" and "!" where the list turns out malformed; an
 * unqualified address has '?' behind it, a non-ASCII one '8', one in a group 'g'. */
static const char *list(const char *value, struct sp_buf *b)
{
    struct sp_mbox_iter it;
    struct sp_mbox m;
    int rc;

    sp_buf_free(b);
    sp_buf_init(b, 100000);
    sp_mbox_start(&it, sp_str(value), 0);
    while ((rc = sp_mbox_next(&it, &m)) > 0) {
        sp_mbox_name(&m, b);
        sp_buf_printf(b, "|%s%s%s%s|", m.addr.text, (int)m.verdict == UNQ ? "?" : "",
                      (int)m.verdict == EAI ? "8" : "", m.in_group ? "g" : "");
    }
    if (rc < 0)
        sp_buf_puts(b, "!");
    if (rc < 0 && sp_mbox_next(&it, &m) >= 0)
        sp_buf_puts(b, " (but went on)");
    return sp_buf_cstr(b);
}

static const struct {
    const char *in, *want;
} lists[] = {
    /* clang-format off */
    {"a@b.org",                              "|a@b.org|"},
    {"a@b.org, c@d.org",                     "|a@b.org||c@d.org|"},
    {"Joe Doe <a@b.org>",                    "Joe Doe|a@b.org|"},
    {"\"Doe, Joe\" <a@b.org>",               "Doe, Joe|a@b.org|"},
    {"\"a\\\"b\" <a@b.org>",                 "a\"b|a@b.org|"},
    {"John Q. Public <a@b.org>",             "John Q. Public|a@b.org|"},
    {"=?utf-8?q?J=C3=B6?= <a@b.org>",        "=?utf-8?q?J=C3=B6?=|a@b.org|"},
    {"a@b.org (Joe Doe)",                    "Joe Doe|a@b.org|"},
    {"a@b.org (x (nested) y) , c@d.org",     "x (nested) y|a@b.org||c@d.org|"},
    {" a@b.org",                             "|a@b.org|"},
    {"Joe\r\n Doe\r\n <a@b.org>",            "Joe Doe|a@b.org|"},
    {"<a@b.org>",                            "|a@b.org|"},
    {"<@r.org,@s.org:a@b.org>",              "|a@b.org|"},
    {"<@r.org:a@b.org>",                     "|a@b.org|"},
    {"a . b @ c . org",                      "|a.b@c.org|"},
    {"a (x) . (y) b @ (z) c.org",            "x|a.b@c.org|"},
    {"\"a b\"@c.org",                        "|\"a b\"@c.org|"},
    {"\"a\".b@c.org",                        "|a.b@c.org|"},
    {"a@[192.0.2.1]",                        "|a@[192.0.2.1]|"},
    {"a@b_c.org",                            "|a@b_c.org|"},
    {"A:a@b.org,c@d.org;",                   "|a@b.orgg||c@d.orgg|"},
    {"A:;",                                  ""},
    {"A:;, b@c.org",                         "|b@c.org|"},
    {"Undisclosed recipients:;",             ""},
    {"A: Joe <a@b.org>;, c@d.org",           "Joe|a@b.orgg||c@d.org|"},
    {"A: , ,a@b.org,;",                      "|a@b.orgg|"},
    {",a@b.org,,c@d.org,",                   "|a@b.org||c@d.org|"},
    {"",                                     ""},
    {" (nobody) ",                           ""},
    {"joe",                                  "|joe?|"},
    {"joe, a@b.org",                         "|joe?||a@b.org|"},
    {"Joe <joe>",                            "Joe|joe?|"},
    {"j\xc3\xb6@b.org",                      "|j\xc3\xb6@b.org8|"},
    {"J\xc3\xb6 <a@b.org>",                  "J\xc3\xb6|a@b.org|"},
    {"a b",                                  "!"},
    {"a@b.org c@d.org",                      "!"},
    {"a@b.org <c@d.org>",                    "!"},
    {"Joe <a@b.org> x",                      "!"},
    {"Joe <a@b.org",                         "!"},
    {"Joe a@b.org>",                         "!"},
    {"<>",                                   "!"},
    {"<a@b.org> <c@d.org>",                  "!"},
    {"a@b.org; c@d.org",                     "!"},
    {"A:a@b.org",                            "!"},
    {"A:B:a@b.org;;",                        "!"},
    {"A:;x@y.org",                           "!"},
    {":a@b.org;",                            "!"},
    {"a@b.org, \"c",                         "|a@b.org|!"},
    {"a@b.org (c",                           "!"},
    {"a@b c.org",                            "!"},
    {"a@@b.org",                             "!"},
    {"a..b@c.org",                           "!"},
    {"a@b..org",                             "!"},
    {"@b.org",                               "!"},
    {"a@",                                   "!"},
    {"<@r.org a@b.org>",                     "!"},
    {"a@b.org\x01",                          "!"},
    /* clang-format on */
};

TEST("a mailbox list gives its mailboxes, and stops where it is malformed")
{
    struct sp_buf b = {.p = NULL};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const char *got = list(lists[i].in, &b);

        if (strcmp(got, lists[i].want) != 0)
            printf("for \"%s\":\n", lists[i].in);
        CHECK_STR(got, lists[i].want);
    }
    sp_buf_free(&b);
}

TEST("every start of a mailbox list is read without a step outside it")
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t n = 0; n < strlen(lists[i].in); n++) {
            char *exact = sp_strndup(lists[i].in, n); /* ASan guards the end */
            struct sp_mbox_iter it;
            struct sp_mbox m;

            sp_mbox_start(&it, (struct sp_str){exact, n}, 0);
            while (sp_mbox_next(&it, &m) > 0)
                CHECK(m.spec.p >= exact && m.spec.p + m.spec.n <= exact + n);
            CHECK(it.work <= 2 * n + 1);
            sp_free(exact);
        }
    }
}

TEST("100,000 mailboxes, or parentheses, cost work in proportion to their octets")
{
    const size_t n = 100000;
    struct sp_mbox_iter it;
    struct sp_mbox m;
    struct sp_buf b;
    size_t seen = 0;

    sp_buf_init(&b, 10000000);
    for (size_t i = 0; i < n; i++)
        sp_buf_printf(&b, "\"N (%zu\" <user%zu@example.org> (x),\r\n ", i, i);
    sp_mbox_start(&it, sp_buf_view(&b), 0);
    while (sp_mbox_next(&it, &m) > 0)
        seen++;
    CHECK_INT(seen, n);
    CHECK(it.work <= b.n);

    memset(b.p, '(', b.n);
    sp_mbox_start(&it, sp_buf_view(&b), 0);
    CHECK_INT(sp_mbox_next(&it, &m), -SP_EINPUT);
    CHECK(it.work <= b.n);
    sp_buf_free(&b);
}

T_MAIN
