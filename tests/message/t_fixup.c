/* t_fixup.c - the duties of RFC 6409, rule by rule. */
#include "t.h"

#include "fixup.h"
#include "header.h"

#define NOW  1795338215000u
#define DATE "Date: Sun, 22 Nov 2026 09:03:35 +0000\r\n"
#define ID                                                                             \
    "Message-ID: <1a2027f1e58.000102030405060708090a0b0c0d0e0f@mx.example.org>\r\n"
#define FULL "Date: x\r\nMessage-ID: <i@x>\r\n"
#define DKIM "DKIM-Signature: v=1\r\n"

static const struct sp_str own[] = {{"alice@example.org", 17}, {"*@alice.example", 15}};

static struct sp_fix_in input(const char *header)
{
    struct sp_fix_in in = {
        .header = sp_str(header),
        .reverse_path = sp_str("alice@example.org"),
        .check_owner = true,
        .user = sp_str("alice"),
        .own = own,
        .own_n = 2,
        .first_address = sp_str("first@alice.example"),
        .hostname = sp_str("mx.example.org"),
        .now_ms = NOW,
    };

    for (size_t i = 0; i < 16; i++)
        in.random[i] = (uint8_t)i;
    return in;
}

/* "554 5.6.0 words", or "+" additions and the header that is left. */
static const char *fix(const struct sp_fix_in *in, struct sp_fix_plan *plan,
                       struct sp_buf *b)
{
    size_t at = 0;

    sp_buf_free(b);
    sp_buf_init(b, 1 << 20);
    CHECK_INT(sp_fix_make(in, plan), 0);
    if (plan->refused) {
        CHECK_INT(plan->prefix.n, 0);
        CHECK_INT(plan->cut_n, 0);
        sp_buf_printf(b, "%u %s %s", plan->code, plan->enhanced, plan->text);
        return sp_buf_cstr(b);
    }
    sp_buf_str(b, sp_buf_view(&plan->prefix));
    sp_buf_puts(b, "|");
    for (size_t i = 0; i < plan->cut_n; i++) {
        CHECK(plan->cut[i].offset >= at);
        sp_buf_put(b, in->header.p + at, plan->cut[i].offset - at);
        at = plan->cut[i].offset + plan->cut[i].length;
    }
    CHECK(at <= plan->header_size);
    sp_buf_put(b, in->header.p + at, in->header.n - at);
    return sp_buf_cstr(b);
}

static void expect(const struct sp_fix_in *in, const char *want)
{
    struct sp_buf b = {.p = NULL};
    struct sp_fix_plan plan;

    sp_fix_plan_init(&plan);
    CHECK_STR(fix(in, &plan, &b), want);
    sp_fix_plan_free(&plan);
    sp_buf_free(&b);
}

static void expect_plain(const char *header, const char *want)
{
    struct sp_fix_in in = input(header);

    expect(&in, want);
}

#define REST FULL "From: alice@example.org\r\n"

TEST("a complete message stays as it is")
{
    expect_plain(REST "\r\n", "|" REST "\r\n");
    expect_plain(REST, "|" REST);
}

TEST("Date, Message-ID and From are completed in front, nothing else moves")
{
    expect_plain("Subject: x\r\n\r\nbody",
                 DATE "From: <alice@example.org>\r\n" ID "|Subject: x\r\n\r\nbody");
    expect_plain("\r\nbody", DATE "From: <alice@example.org>\r\n" ID "|\r\nbody");
    expect_plain("", DATE "From: <alice@example.org>\r\n" ID "|");
    expect_plain("From: Alice <alice@example.org>\r\nDate: x\r\n\r\n",
                 ID "|From: Alice <alice@example.org>\r\nDate: x\r\n\r\n");
}

TEST("an empty Date or Message-ID gives way to a full one")
{
    expect_plain("From: alice@example.org\r\nDate:\r\nMessage-ID: \r\n\r\n",
                 DATE ID "|From: alice@example.org\r\n\r\n");
    expect_plain("Date:\r\nDate: x\r\nMessage-ID: <a>\r\nFrom: alice@example.org\r\n",
                 "|Date:\r\nDate: x\r\nMessage-ID: <a>\r\nFrom: alice@example.org\r\n");
}

TEST("From for the null reverse-path is the identity's first address")
{
    struct sp_fix_in in = input(FULL "\r\n");

    in.reverse_path = sp_str("");
    expect(&in, "From: <first@alice.example>\r\n|" FULL "\r\n");
    in.first_address = sp_str("");
    expect(&in, "554 5.6.0 no From field, and no address to complete it");
    /* A reverse-path that is not the identity's own never becomes a From. */
    in.first_address = sp_str("first@alice.example");
    in.reverse_path = sp_str("boss@example.com");
    expect(&in, "From: <first@alice.example>\r\n|" FULL "\r\n");
}

TEST("a message without any header becomes all body")
{
    expect_plain("Hello Bob,\r\nhow are you?\r\n",
                 DATE "From: <alice@example.org>\r\n" ID
                      "\r\n|Hello Bob,\r\nhow are you?\r\n");
}

TEST("several From mailboxes get a Sender")
{
    expect_plain(FULL "From: alice@example.org, b@alice.example\r\n\r\n",
                 "Sender: <alice@example.org>\r\n|" FULL
                 "From: alice@example.org, b@alice.example\r\n\r\n");
    expect_plain(FULL "Sender: b@alice.example\r\n"
                      "From: alice@example.org, b@alice.example\r\n\r\n",
                 "|" FULL "Sender: b@alice.example\r\n"
                 "From: alice@example.org, b@alice.example\r\n\r\n");
}

TEST("every header From mailbox and the Sender must be the sender's own")
{
    expect_plain(FULL "From: bob@example.org\r\n\r\n",
                 "550 5.7.1 alice may not send as bob@example.org");
    expect_plain(FULL "From: alice@example.org, Bob <bob@example.org>\r\n\r\n",
                 "550 5.7.1 alice may not send as bob@example.org");
    expect_plain(FULL "From: G: alice@example.org, bob@example.org;\r\n\r\n",
                 "550 5.7.1 alice may not send as bob@example.org");
    expect_plain(REST "Sender: bob@example.org\r\n\r\n",
                 "550 5.7.1 alice may not send as bob@example.org");
    expect_plain(FULL "FROM : bob@example.org\r\n\r\n",
                 "550 5.7.1 alice may not send as bob@example.org");
    expect_plain(FULL "From:\r\n bob@example.org\r\n\r\n",
                 "550 5.7.1 alice may not send as bob@example.org");
    expect_plain(FULL "From: alice@example.org (bob@example.org)\r\n\r\n",
                 "|" FULL "From: alice@example.org (bob@example.org)\r\n\r\n");
    expect_plain(FULL "From: any@ALICE.example\r\n\r\n",
                 "|" FULL "From: any@ALICE.example\r\n\r\n");
    /* Also when it is signed: ownership changes nothing in the message. */
    expect_plain(DKIM FULL "From: bob@example.org\r\n\r\n",
                 "550 5.7.1 alice may not send as bob@example.org");
}

TEST("the null reverse-path frees nobody from his own From: a receipt has it")
{
    struct sp_fix_in in = input(FULL "From: bob@example.org\r\n\r\n");

    in.reverse_path = sp_str("");
    expect(&in, "550 5.7.1 alice may not send as bob@example.org");
    in = input(FULL "From: mailer-daemon@example.org\r\n\r\n");
    in.reverse_path = sp_str("");
    expect(&in, "550 5.7.1 alice may not send as mailer-daemon@example.org");
    in = input(FULL "From: any@alice.example\r\n\r\n");
    in.reverse_path = sp_str("");
    expect(&in, "|" FULL "From: any@alice.example\r\n\r\n");
    in = input(FULL "From: mailer-daemon@example.org\r\n\r\n");
    in.reverse_path = sp_str("");
    in.check_owner = false;
    expect(&in, "|" FULL "From: mailer-daemon@example.org\r\n\r\n");
}

TEST("a listener that trusts its clients takes any From, but never two")
{
    struct sp_fix_in in = input(FULL "From: bob@example.org\r\n\r\n");

    in.check_owner = false;
    expect(&in, "|" FULL "From: bob@example.org\r\n\r\n");
    in.header = sp_str(REST "From: bob@example.org\r\n\r\n");
    expect(&in, "554 5.6.0 the message has more than one From field");
}

TEST("two From or Sender fields and bad syntax are refused")
{
    expect_plain(REST "From: alice@example.org\r\n\r\n",
                 "554 5.6.0 the message has more than one From field");
    expect_plain(REST "from : alice@example.org\r\n\r\n",
                 "554 5.6.0 the message has more than one From field");
    expect_plain(REST "Sender: alice@example.org\r\nSender: alice@example.org\r\n\r\n",
                 "554 5.6.0 the message has more than one Sender field");
    expect_plain(REST "Sender: alice@example.org, a@alice.example\r\n\r\n",
                 "554 5.6.0 the Sender field is malformed");
    static const char *const bad[] = {"",       "<>",
                                      "alice",  "alice@example.org b",
                                      "U:;",    "alice@example.org <bob@example.org>",
                                      "a@b, (", "\"alice@example.org"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char h[200];

        snprintf(h, sizeof h, FULL "From: %s\r\n\r\n", bad[i]);
        expect_plain(h, "554 5.6.0 the From field is malformed");
    }
}

TEST("Bcc and Return-Path are cut out, folds included, wherever they stand")
{
    expect_plain("Bcc: x@y.org\r\n" REST "\r\n", "|" REST "\r\n");
    expect_plain(REST "BCC: x@y.org,\r\n z@y.org\r\n\r\nBcc: body\r\n",
                 "|" REST "\r\nBcc: body\r\n");
    expect_plain("Bcc:\r\n" REST "Resent-Bcc: a\r\nBcc : b\r\nReturn-Path: <c>\r\n\r\n",
                 "|" REST "\r\n");
    expect_plain(REST "Bcc: x@y.org", "|" REST);
}

TEST("a message that carries a signature gets nothing and loses nothing")
{
    static const char *const marks[] = {
        DKIM,
        "ARC-Seal: i=1\r\n",
        "ARC-Message-Signature: i=1\r\n",
        "arc-authentication-results: i=1\r\n",
        "Content-Type: multipart/signed; protocol=\"application/pgp-signature\"\r\n",
        "Content-Type:\r\n (c) Multipart/Signed;micalg=x\r\n",
        "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n",
        "Content-Type: application/x-pkcs7-mime; name=x; "
        "smime-type=\"signed-data\"\r\n",
    };

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        char h[300], want[302];

        snprintf(h, sizeof h, "%sBcc: x@y.org\r\nReturn-Path: <>\r\n\r\n", marks[i]);
        snprintf(want, sizeof want, "|%s", h);
        expect_plain(h, want);
    }
    expect_plain(REST
                 "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
                 "Bcc: x@y.org\r\nMIME-Version: 1.0\r\n\r\n",
                 "|" REST "Content-Type: application/pkcs7-mime; "
                 "smime-type=enveloped-data\r\nMIME-Version: 1.0\r\n\r\n");
}

TEST("Content-Type without MIME-Version gets one")
{
    expect_plain(REST "Content-Type: text/html\r\n\r\n",
                 "MIME-Version: 1.0\r\n|" REST "Content-Type: text/html\r\n\r\n");
}

TEST("an 8-bit header needs SMTPUTF8, and to be UTF-8")
{
    struct sp_fix_in in = input(REST "Subject: \xc3\xb6\r\n\r\n");

    expect(&in, "554 5.6.7 the header is not ASCII and SMTPUTF8 was not asked for");
    in.smtputf8 = true;
    expect(&in, "|" REST "Subject: \xc3\xb6\r\n\r\n");
    in.header = sp_str(REST "Subject: \xf6\r\n\r\n");
    expect(&in, "554 5.6.7 the header is not valid UTF-8");
    in.header = sp_str(REST "\r\n\xf6\xc3");
    in.smtputf8 = false;
    expect(&in, "|" REST "\r\n\xf6\xc3");
}

TEST("bare CR, bare LF and NUL in the header hide no field")
{
    const char *want = "554 5.6.0 bare CR, bare LF or NUL in the header";
    struct sp_fix_in in = input("");

    expect_plain(REST "X: a\rFrom: bob@example.org\r\n\r\n", want);
    expect_plain(REST "X: a\nY: b\r\n\r\n", want);
    expect_plain(REST "X: a\r\r\n\r\n", want);
    in.header = SP_LIT(REST "X: a\0b\r\n\r\n");
    expect(&in, want);
}

TEST("lines that are no fields, and over-long ones, are refused with their number")
{
    char h[1200];

    expect_plain(REST "nonsense\r\nFrom: bob@example.org\r\n\r\n",
                 "554 5.6.0 line 4 of the header is no field");
    memset(h, 'x', sizeof h);
    memcpy(h, REST "S: ", strlen(REST) + 3);
    memcpy(h + strlen(REST) + 998, "\r\n\r\n", 5);
    {
        struct sp_fix_in in = input(h);
        struct sp_fix_plan plan;
        struct sp_buf b = {.p = NULL};

        sp_fix_plan_init(&plan);
        fix(&in, &plan, &b);
        CHECK(!plan.refused);
        sp_fix_plan_free(&plan);
        sp_buf_free(&b);
    }
    h[strlen(REST) + 998] = 'x';
    memcpy(h + strlen(REST) + 999, "\r\n\r\n", 5);
    expect_plain(h, "554 5.6.0 line 4 of the header is longer than 998 octets");
}

TEST("a mailbox file's From line at the start is left out")
{
    expect_plain("From alice Sun Nov 22\r\n" REST "\r\n", "|" REST "\r\n");
    expect_plain("From alice Sun Nov 22\r\n" DKIM REST "\r\n", "|" DKIM REST "\r\n");
}

TEST("fifty Received fields pass, one more is a loop")
{
    struct sp_fix_in in = input("");
    struct sp_fix_plan plan;
    struct sp_buf h, b = {.p = NULL};

    sp_fix_plan_init(&plan);
    sp_buf_init(&h, 100000);
    for (int i = 0; i < 50; i++)
        sp_buf_puts(&h, "Received: by x\r\n");
    sp_buf_puts(&h, REST "\r\n");
    in.header = sp_buf_view(&h);
    fix(&in, &plan, &b);
    CHECK(!plan.refused);
    CHECK_INT(plan.hops, 50);
    sp_buf_free(&h);
    for (int i = 0; i < 51; i++)
        sp_buf_puts(&h, "received: by x\r\n");
    sp_buf_puts(&h, REST "\r\n");
    in.header = sp_buf_view(&h);
    CHECK_STR(fix(&in, &plan, &b),
              "554 5.4.6 too many Received fields: the message loops");
    sp_buf_free(&h);
    sp_buf_free(&b);
    sp_fix_plan_free(&plan);
}

static void facts(const char *header, struct sp_fix_plan *plan)
{
    struct sp_fix_in in = input(header);

    sp_fix_plan_init(plan);
    CHECK_INT(sp_fix_make(&in, plan), 0);
    sp_buf_free(&plan->prefix);
}

TEST("Message-ID, TLS-Required and the header's size are told")
{
    struct sp_fix_plan p;

    facts(REST "TLS-Required: no\r\n\r\nbody", &p);
    CHECK_STR(p.message_id, "<i@x>");
    CHECK(p.tls_required_no);
    CHECK_INT(p.header_size, strlen(REST "TLS-Required: no\r\n\r\n"));
    facts("Message-ID:\r\n (c) <a\r\n b@c> x\r\nTLS-Required: yes\r\n\r\n", &p);
    CHECK_STR(p.message_id, "<ab@c>");
    CHECK(!p.tls_required_no);
    facts("Message-ID: old.style x\r\n\r\n", &p);
    CHECK_STR(p.message_id, "old.style");
    facts("Subject: x\r\n\r\n", &p);
    CHECK_STR(p.message_id,
              "<1a2027f1e58.000102030405060708090a0b0c0d0e0f@mx.example.org>");
    facts("all body\r\n", &p);
    CHECK_INT(p.header_size, 0);
}

TEST("each row's answer comes from the policy, within what the row allows")
{
    struct sp_fix_policy p;
    struct sp_fix_in in = input(FULL "From: \"B. Boss\" <bob@example.org>\r\n\r\n");

    sp_fix_policy_default(&p);
    in.policy = &p;
    CHECK_INT(sp_fix_policy_set(&p, sp_str("foreign-from"), sp_str("repair")), 0);
    expect(&in, "From: \"B. Boss\"\r\n <alice@example.org>\r\n|" FULL "\r\n");
    in.header = sp_str(DKIM FULL "From: bob@example.org\r\n\r\n");
    expect(&in, "550 5.7.1 alice may not send as bob@example.org");
    in.header = sp_str(REST "Sender: bob@example.org\r\n\r\n");
    CHECK_INT(sp_fix_policy_set(&p, sp_str("foreign-sender"), sp_str("repair")), 0);
    expect(&in, "Sender: <alice@example.org>\r\n|" REST "\r\n");
    in.header = sp_str(FULL "\r\n");
    CHECK_INT(sp_fix_policy_set(&p, sp_str("missing-from"), sp_str("refuse")), 0);
    expect(&in, "554 5.6.0 the message has no From field");
    in.header = sp_str(REST "To: a\r\nTo: b\r\n\r\n");
    CHECK_INT(sp_fix_policy_set(&p, sp_str("duplicate-field"), sp_str("refuse")), 0);
    expect(&in, "554 5.6.0 line 5: a field that may stand once stands twice");

    CHECK_INT(sp_fix_policy_set(&p, sp_str("two-from"), sp_str("pass")), -SP_EDENIED);
    CHECK_INT(sp_fix_policy_set(&p, sp_str("from-syntax"), sp_str("repair")),
              -SP_EDENIED);
    CHECK_INT(sp_fix_policy_set(&p, sp_str("nonsense"), sp_str("pass")), -SP_ENOENT);
    CHECK_INT(sp_fix_policy_set(&p, sp_str("bcc"), sp_str("maybe")), -SP_EINPUT);
}

TEST("a signature is never broken, whatever the policy says")
{
    struct sp_fix_policy p;
    struct sp_fix_in in = input(DKIM "Bcc: x@y.org\r\n\r\n");

    sp_fix_policy_default(&p);
    in.policy = &p;
    for (size_t i = 0; i < SP_FIX_RULES; i++)
        (void)sp_fix_policy_set(&p, sp_str(sp_fix_name((enum sp_fix_rule)i)),
                                sp_str("repair"));
    for (size_t i = 0; i < SP_FIX_RULES; i++)
        p.signed_act[i] = SP_FIX_REPAIR;
    expect(&in, "|" DKIM "Bcc: x@y.org\r\n\r\n");
    CHECK_INT(sp_fix_policy_set(&p, sp_str("signed-bcc"), sp_str("refuse")), 0);
    expect(&in, "554 5.6.0 the message has a Bcc field");
}

TEST("what is written stays harmless whatever hostname, user and addresses hold")
{
    struct sp_fix_in in = input("Subject: x\r\n\r\n");
    struct sp_fix_plan plan;
    struct sp_buf b = {.p = NULL};

    sp_fix_plan_init(&plan);
    in.hostname = sp_str("mx\r\nX-Evil: 1");
    in.first_address = sp_str("a@b.org>\r\nX-Evil: 1");
    in.reverse_path = sp_str("x\r\nX-Evil: 1@alice.example");
    CHECK_STR(fix(&in, &plan, &b),
              "554 5.6.0 no From field, and no address to complete it");
    in.reverse_path = sp_str("alice@example.org");
    fix(&in, &plan, &b);
    CHECK_INT(sp_header_count(sp_buf_view(&plan.prefix), "X-Evil"), 0);
    in.header = sp_str(FULL "From: \"q\" <bob@example.org>\r\n\r\n");
    in.user = sp_str("al\r\nice\xff");
    CHECK_STR(fix(&in, &plan, &b),
              "550 5.7.1 al  ice? may not send as bob@example.org");
    sp_fix_plan_free(&plan);
    sp_buf_free(&b);
}

TEST("one megabyte of fields costs a fixed number of looks at each octet")
{
    struct sp_fix_in in = input("");
    struct sp_fix_plan plan;
    struct sp_buf h;

    sp_fix_plan_init(&plan);
    sp_buf_init(&h, 1 << 23);
    while (h.n < 1 << 20)
        sp_buf_puts(&h, "a: b\r\n");
    in.header = sp_buf_view(&h);
    CHECK_INT(sp_fix_make(&in, &plan), 0);
    CHECK(!plan.refused);
    CHECK(plan.work <= 2 * h.n);
    /* Bcc in every second field: more cuts than a plan holds. */
    sp_buf_free(&h);
    while (h.n < 1 << 20)
        sp_buf_puts(&h, "a: b\r\nBcc: c\r\n");
    in.header = sp_buf_view(&h);
    CHECK_INT(sp_fix_make(&in, &plan), 0);
    CHECK(plan.refused);
    CHECK(plan.work <= 2 * h.n);
    sp_buf_free(&h);
    sp_fix_plan_free(&plan);
}

T_MAIN
