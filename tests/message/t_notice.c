/* t_notice.c - delivery status notifications. */
#include "t.h"

#include "alloc.h"
#include "header.h"
#include "notice.h"
#include "stored.h"
#include "text.h"

#define NOW    1795338215000u /* 2026-11-22 09:03:35 UTC */
#define PREFIX "Received: by mx.example.org; x\r\n"
#define HEADER                                                                         \
    "From: alice@example.org\r\nBcc: secret@example.com\r\nSubject: Hello\r\n\r\n"
#define BODY "Hi Bob\r\n"

struct fixture {
    Sp__Envelope env;
    Sp__Recipient rcpt[2], *rcpts[2];
    Sp__Cut cut, *cuts[1];
    Sp__RcptState state[2];
    const Sp__RcptState *states[2];
    Sp__Attempt attempt[2], *history[2][1];
    struct sp_notice n;
    struct sp_notice_facts facts;
    struct sp_buf out;
};

static ProtobufCBinaryData data(const char *s)
{
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)s};
}

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    sp__envelope__init(&f->env);
    sp_stored_defaults(&f->env, NOW - 60000);
    f->env.reverse_path = data("alice@example.org");
    f->env.message_id = data("<orig@example.org>");
    f->env.header_size = strlen(HEADER);
    f->env.content_size = strlen(HEADER BODY);
    f->env.rcpt = f->rcpts;
    f->env.n_rcpt = 2;
    sp__cut__init(&f->cut);
    f->cut.offset = 25;
    f->cut.length = 25;
    f->cuts[0] = &f->cut;
    f->env.cut = f->cuts;
    f->env.n_cut = 1;
    for (size_t i = 0; i < 2; i++) {
        sp__recipient__init(&f->rcpt[i]);
        sp__rcpt_state__init(&f->state[i]);
        sp__attempt__init(&f->attempt[i]);
        f->rcpts[i] = &f->rcpt[i];
        f->states[i] = &f->state[i];
        f->rcpt[i].address = data(i ? "carol@example.com" : "bob@example.net");
        f->state[i].index = (uint32_t)i;
        f->state[i].n_history = 1;
        f->state[i].history = f->history[i];
        f->history[i][0] = &f->attempt[i];
        f->attempt[i] = (Sp__Attempt){.base = f->attempt[i].base,
                                      .at_ms = NOW - 1000,
                                      .code = 550,
                                      .enhanced = text("5.1.1"),
                                      .text = text("No such user"),
                                      .where = text("mx.example.net [192.0.2.9]:25"),
                                      .stage = text("rcpt"),
                                      .tls = text("")};
    }
    f->n = (struct sp_notice){.kind = SP_NOTICE_FAILURE,
                              .env = &f->env,
                              .rcpt = f->states,
                              .rcpt_n = 1,
                              .id = sp_str("Q1"),
                              .hostname = sp_str("mx.example.org"),
                              .now_ms = NOW,
                              .prefix = sp_str(PREFIX),
                              .content = sp_str(HEADER BODY),
                              .full_max = 10000};
    sp_buf_init(&f->out, 1 << 20);
}

static const char *make(struct fixture *f)
{
    sp_buf_free(&f->out);
    CHECK_INT(sp_notice_make(&f->n, &f->out, &f->facts), 0);
    CHECK_INT(f->facts.content_size, f->out.n);
    return sp_buf_cstr(&f->out);
}

#define B "--=_00000000000000000000000000000000"

TEST("a failure says what happened, what to do, and gives the message back")
{
    struct fixture f;

    set_up(&f);
    CHECK_STR(
        make(&f),
        "Date: Sun, 22 Nov 2026 09:03:35 +0000\r\n"
        "From: Mail Delivery System <MAILER-DAEMON@mx.example.org>\r\n"
        "To: <alice@example.org>\r\n"
        "Subject: Could not be delivered: bob@example.net\r\n"
        "Message-ID: <1a2027f1e58.00000000000000000000000000000000@mx.example.org>\r\n"
        "In-Reply-To: <orig@example.org>\r\n"
        "References: <orig@example.org>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"=_00000000000000000000000000000000\"\r\n"
        "\r\n"
        "\r\n" B "\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        "This is the mail system at mx.example.org.\r\n"
        "\r\n"
        "Your message\r\n"
        "\r\n"
        "    Subject: Hello\r\n"
        "\r\n"
        "could NOT be delivered to the address below. It will not be tried again.\r\n"
        "\r\n"
        "  <bob@example.net>\r\n"
        "    There is no mailbox with this address.\r\n"
        "    Check the spelling of the address, or ask the recipient for the "
        "present\r\n"
        "    one.\r\n"
        "    The server mx.example.net [192.0.2.9]:25 said:\r\n"
        "      550 5.1.1 No such user\r\n"
        "\r\n"
        "\r\n"
        "Questions? Ask postmaster@mx.example.org and name the queue id Q1.\r\n"
        "\r\n" B "\r\n"
        "Content-Type: message/delivery-status\r\n"
        "\r\n"
        "Reporting-MTA: dns; mx.example.org\r\n"
        "Arrival-Date: Sun, 22 Nov 2026 09:02:35 +0000\r\n"
        "X-Sallyport-Queue-ID: Q1\r\n"
        "\r\n"
        "Final-Recipient: rfc822;bob@example.net\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx.example.net\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
        "Last-Attempt-Date: Sun, 22 Nov 2026 09:03:34 +0000\r\n"
        "\r\n" B "\r\n"
        "Content-Type: message/rfc822\r\n"
        "\r\n"
        "Received: by mx.example.org; x\r\n"
        "From: alice@example.org\r\n"
        "Subject: Hello\r\n"
        "\r\n"
        "Hi Bob\r\n"
        "\r\n" B "--\r\n");
    CHECK(!f.facts.smtputf8 && !f.facts.has_8bit_body && !f.facts.has_8bit_header);
    CHECK(strstr(f.out.p, "\r\n\r\n") == f.out.p + f.facts.header_size - 4);
    f.n.postmaster = sp_str("help@example.org");
    CHECK(strstr(make(&f), "\r\nQuestions? Ask help@example.org and name the queue id Q1.\r\n"));
    sp_buf_free(&f.out);
}

TEST("no notice is ever made about a notice or for the null reverse-path")
{
    struct fixture f;

    set_up(&f);
    f.env.is_notice = true;
    CHECK_INT(sp_notice_make(&f.n, &f.out, &f.facts), -SP_EDENIED);
    CHECK(!sp_notice_due(&f.env, &f.rcpt[0], SP_NOTICE_FAILURE));
    f.env.is_notice = false;
    CHECK(sp_notice_due(&f.env, &f.rcpt[0], SP_NOTICE_FAILURE));
    f.env.reverse_path = data("");
    CHECK_INT(sp_notice_make(&f.n, &f.out, &f.facts), -SP_EDENIED);
    CHECK(!sp_notice_due(&f.env, &f.rcpt[0], SP_NOTICE_FAILURE));
    CHECK_INT(f.out.n, 0);
}

TEST("NOTIFY says who is told of what")
{
    static const struct {
        uint32_t notify;
        bool failure, delay, success;
    } t[] = {{0, 1, 1, 0}, {1, 0, 0, 0}, {2, 0, 0, 1},  {4, 1, 0, 0},
             {8, 0, 1, 0}, {6, 1, 0, 1}, {14, 1, 1, 1}, {15, 0, 0, 0}};
    struct fixture f;

    set_up(&f);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        f.rcpt[0].notify = t[i].notify;
        CHECK_INT(sp_notice_due(&f.env, &f.rcpt[0], SP_NOTICE_FAILURE), t[i].failure);
        CHECK_INT(sp_notice_due(&f.env, &f.rcpt[0], SP_NOTICE_DELAY), t[i].delay);
        CHECK_INT(sp_notice_due(&f.env, &f.rcpt[0], SP_NOTICE_SUCCESS), t[i].success);
    }
}

TEST("the envelope of a notice has the null path, one recipient, and asks for nothing")
{
    struct fixture f;
    struct sp_arena a;
    Sp__Envelope e;
    uint8_t packed[2000];
    Sp__Envelope *back;

    set_up(&f);
    f.env.requiretls = true;
    make(&f);
    sp_arena_init(&a, 10000);
    CHECK_INT(sp_notice_envelope(&f.n, &f.facts, &a, &e), 0);
    CHECK_INT(sp_stored_check(&e, 0, NULL), 0);
    CHECK_INT(e.reverse_path.len, 0);
    CHECK_INT(e.n_rcpt, 1);
    CHECK(e.is_notice && e.requiretls);
    CHECK_INT(e.rcpt[0]->notify, SP_NOTIFY_NEVER);
    CHECK(sp__envelope__get_packed_size(&e) < sizeof packed);
    back = sp__envelope__unpack(NULL, sp__envelope__pack(&e, packed), packed);
    CHECK(back && back->is_notice && back->content_size == f.out.n);
    CHECK(back && back->rcpt[0]->address.len == 17);
    CHECK(back && back->notice_for.len == 2);
    sp__envelope__free_unpacked(back, NULL);
    CHECK_INT(sp_notice_envelope(&f.n, &f.facts, &(struct sp_arena){.max = 10}, &e),
              -SP_ENOMEM);
    sp_arena_reset(&a);
    sp_buf_free(&f.out);
}

TEST("RET=HDRS, a large message and a partly held one give the header only")
{
    struct fixture f;

    set_up(&f);
    f.env.ret = SP__DSN_RET__RET_HDRS;
    make(&f);
    CHECK(strstr(f.out.p, "text/rfc822-headers") && !strstr(f.out.p, "Hi Bob"));
    CHECK(!strstr(f.out.p, "only its header"));
    CHECK(!strstr(f.out.p, "secret@example.com"));
    f.env.ret = SP__DSN_RET__RET_FULL;
    f.n.full_max = strlen(PREFIX HEADER BODY) - 25;
    make(&f);
    CHECK(strstr(f.out.p, "Hi Bob") != NULL);
    f.n.full_max--;
    make(&f);
    CHECK(strstr(f.out.p, "text/rfc822-headers") && !strstr(f.out.p, "Hi Bob"));
    CHECK(strstr(f.out.p,
                 "The message is large (83 octets): only its header is returned"));
    f.n.full_max = 10000;
    f.n.content.n = strlen(HEADER);
    make(&f);
    CHECK(strstr(f.out.p, "text/rfc822-headers") &&
          strstr(f.out.p, "Subject: Hello\r\n\r\n"));
    f.n.content = sp_str(HEADER BODY);
    f.env.body = SP__BODY_TYPE__BODY_BINARYMIME;
    make(&f);
    CHECK(strstr(f.out.p, "text/rfc822-headers") != NULL);
    sp_buf_free(&f.out);
}

TEST("a delay says until when, a success what became of it; both return headers only")
{
    struct fixture f;

    set_up(&f);
    f.n.kind = SP_NOTICE_DELAY;
    f.n.retry_until_ms = NOW + 3600000;
    f.attempt[0].code = 0;
    f.attempt[0].enhanced = text("4.4.1");
    f.attempt[0].text = text("connection timed out");
    make(&f);
    CHECK(strstr(f.out.p, "Action: delayed\r\nStatus: 4.4.1\r\n"));
    CHECK(strstr(f.out.p, "Diagnostic-Code: X-Sallyport; connection timed out\r\n"));
    CHECK(!strstr(f.out.p, "Remote-MTA"));
    CHECK(strstr(f.out.p, "Will-Retry-Until: Sun, 22 Nov 2026 10:03:35 +0000\r\n"));
    CHECK(strstr(f.out.p, "Do not send it a second time"));
    CHECK(!strstr(f.out.p, "Hi Bob"));

    f.n.kind = SP_NOTICE_SUCCESS;
    f.attempt[0].code = 250;
    f.attempt[0].enhanced = text("2.0.0");
    make(&f);
    CHECK(strstr(f.out.p, "Action: delivered\r\nStatus: 2.0.0\r\n"));
    CHECK(!strstr(f.out.p, "Hi Bob"));
    f.n.relayed = true;
    make(&f);
    CHECK(strstr(f.out.p, "Action: relayed\r\n"));
    f.state[0].status = SP__RCPT_STATUS__RCPT_EXPANDED;
    make(&f);
    CHECK(strstr(f.out.p, "Action: expanded\r\n"));
    sp_buf_free(&f.out);
}

TEST("a status that is none, or of the wrong kind, is made up from the reply")
{
    static const struct {
        enum sp_notice_kind kind;
        uint32_t code;
        const char *enhanced, *want;
    } t[] = {
        /* clang-format off */
        {SP_NOTICE_FAILURE, 550, "5.7.1",      "5.7.1"},
        {SP_NOTICE_FAILURE, 550, "",           "5.0.0"},
        {SP_NOTICE_FAILURE, 451, "4.3.0",      "4.3.0"}, /* tried until the time was over */
        {SP_NOTICE_FAILURE, 451, "",           "4.0.0"},
        {SP_NOTICE_FAILURE, 0,   "",           "5.0.0"},
        {SP_NOTICE_FAILURE, 250, "2.0.0",      "5.0.0"},
        {SP_NOTICE_FAILURE, 550, "5.1",        "5.0.0"},
        {SP_NOTICE_FAILURE, 550, "5.1.1 x",    "5.0.0"},
        {SP_NOTICE_FAILURE, 550, "5.1.1\r\nX: y", "5.0.0"},
        {SP_NOTICE_FAILURE, 550, "5.1234.1",   "5.0.0"},
        {SP_NOTICE_FAILURE, 550, "5.-1.1",     "5.0.0"},
        {SP_NOTICE_FAILURE, 550, "9.1.1",      "5.0.0"},
        {SP_NOTICE_DELAY,   451, "x",          "4.0.0"},
        {SP_NOTICE_SUCCESS, 250, "5.1.1",      "2.0.0"},
        {SP_NOTICE_SUCCESS, 0,   "",           "2.0.0"},
        /* clang-format on */
    };
    struct fixture f;

    set_up(&f);
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        char want[40];

        f.n.kind = t[i].kind;
        f.attempt[0].code = t[i].code;
        f.attempt[0].enhanced = text(t[i].enhanced);
        make(&f);
        snprintf(want, sizeof want, "\r\nStatus: %s\r\n", t[i].want);
        if (!strstr(f.out.p, want))
            CHECK_STR(t[i].enhanced, want);
    }
    f.state[0].n_history = 0; /* given up without a single attempt */
    f.n.kind = SP_NOTICE_FAILURE;
    make(&f);
    CHECK(strstr(f.out.p, "Status: 5.0.0\r\n") && !strstr(f.out.p, "Diagnostic-Code"));
    sp_buf_free(&f.out);
}

TEST("every recipient has its group, ORCPT and ENVID come back decoded")
{
    struct fixture f;

    set_up(&f);
    f.n.rcpt_n = 2;
    f.env.envid = data("QQ+2B1");
    f.rcpt[0].orcpt = data("rfc822;b+2Bob@example.net");
    f.rcpt[1].original = data("list@example.org");
    make(&f);
    CHECK(
        strstr(f.out.p, "Subject: Could not be delivered: bob@example.net and others"));
    CHECK(strstr(f.out.p, "Original-Envelope-Id: QQ+1\r\n"));
    CHECK(strstr(f.out.p, "Original-Recipient: rfc822;b+ob@example.net\r\n"
                          "Final-Recipient: rfc822;bob@example.net\r\n"));
    CHECK(strstr(f.out.p, "Original-Recipient: rfc822;list@example.org\r\n"
                          "Final-Recipient: rfc822;carol@example.com\r\n"));
    CHECK(strstr(f.out.p, "  <list@example.org>\r\n"));
    sp_buf_free(&f.out);
}

TEST("an SMTPUTF8 message gets the global forms of RFC 6533")
{
    struct fixture f;
    static const char header[] = "Subject: \xc3\xb6\r\n\r\n";

    set_up(&f);
    f.env.smtputf8 = true;
    f.env.n_cut = 0;
    f.env.header_size = f.env.content_size = strlen(header);
    f.n.content = sp_str(header);
    f.rcpt[0].address = data("b\xc3\xb6"
                             "b@example.net");
    make(&f);
    CHECK(strstr(f.out.p, "message/global-delivery-status"));
    CHECK(strstr(f.out.p, "Final-Recipient: utf-8;b\xc3\xb6"
                          "b@example.net\r\n"));
    CHECK(strstr(f.out.p, "Content-Type: message/global\r\n"));
    CHECK(f.facts.smtputf8 && f.facts.has_8bit_body && f.facts.has_8bit_header);
    sp_buf_free(&f.out);
}

TEST("an 8-bit message comes back as 8bit, and the notice says so")
{
    struct fixture f;

    set_up(&f);
    f.n.content = sp_str(HEADER "\xc3\xb6"
                                "abcd\r\n");
    make(&f);
    CHECK(f.facts.has_8bit_body && !f.facts.has_8bit_header && !f.facts.smtputf8);
    CHECK(strstr(f.out.p, "Content-Type: message/rfc822\r\n"
                          "Content-Transfer-Encoding: 8bit\r\n"));
    f.env.ret = SP__DSN_RET__RET_HDRS;
    make(&f);
    CHECK(!f.facts.has_8bit_body);
    sp_buf_free(&f.out);
}

/* Octets below 32 that are no CRLF or tab, lone CR or LF, or a line that begins so. */
static bool is_clean(const struct sp_buf *b)
{
    for (size_t i = 0; i < b->n; i++) {
        unsigned char c = (unsigned char)b->p[i];

        if (c == '\r'   ? i + 1 == b->n || b->p[i + 1] != '\n'
            : c == '\n' ? i == 0 || b->p[i - 1] != '\r'
                        : (c < 32 && c != '\t') || c == 127)
            return false;
    }
    return !strstr(b->p, "\r\nX-Evil") && !strstr(b->p, "\n" B "evil");
}

TEST("nothing a remote server, a client or an alias says breaks out of its place")
{
    static const char *const evil[] = {
        "a\r\nX-Evil: 1",    "a\nX-Evil: 1",       "a\r\n\r\n" B "evil\r\n",
        "\r\nX-Evil",        "a\rX-Evil",          "\x1b[31m\x07",
        "a;b\r\n c",         "\xff\xfe\r\nX-Evil", "+0D+0AX-Evil: 1",
        "x;+0D+0AX-Evil: 1", "x;y\r\nX-Evil: 1"};

    for (size_t i = 0; i < sizeof evil / sizeof evil[0]; i++) {
        for (int where = 0; where < 13; where++) {
            struct fixture f;

            set_up(&f);
            f.env.smtputf8 = i % 2;
            switch (where) {
            case 0:
                f.attempt[0].text = text(evil[i]);
                break;
            case 1:
                f.attempt[0].where = text(evil[i]);
                break;
            case 2:
                f.attempt[0].enhanced = text(evil[i]);
                break;
            case 3:
                f.rcpt[0].orcpt = data(evil[i]);
                break;
            case 4:
                f.rcpt[0].original = data(evil[i]);
                break;
            case 5:
                f.rcpt[0].address = data(evil[i]);
                break;
            case 6:
                f.env.envid = data(evil[i]);
                break;
            case 7:
                f.env.message_id = data(evil[i]);
                break;
            case 8:
                f.env.reverse_path = data(evil[i]);
                break;
            case 9:
                f.n.hostname = sp_str(evil[i]);
                break;
            case 10:
                f.n.id = sp_str(evil[i]);
                break;
            case 12:
                f.n.postmaster = sp_str(evil[i]);
                break;
            case 11:
                f.attempt[0].code = 0;
                f.attempt[0].text = text(evil[i]);
                break;
            }
            make(&f);
            CHECK(is_clean(&f.out));
            sp_buf_free(&f.out);
        }
    }
}

TEST("a notice that does not fit, or gets no memory, leaves the buffer as it was")
{
    struct fixture f;

    set_up(&f);
    sp_buf_init(&f.out, 600);
    CHECK_INT(sp_notice_make(&f.n, &f.out, &f.facts), -SP_ELIMIT);
    CHECK_INT(f.out.n, 0);
    sp_buf_free(&f.out);
    sp_buf_init(&f.out, 1 << 20);
    for (long i = 0; i < 6; i++) {
        int rc;

        sp_alloc_fail_at(i, 0);
        rc = sp_notice_make(&f.n, &f.out, &f.facts);
        sp_alloc_fail_at(-1, 0);
        CHECK(rc == 0 || (rc == -SP_ENOMEM && f.out.n == 0));
        sp_buf_free(&f.out);
    }
}

TEST("each code has a meaning and an advice, the nearest one")
{
    CHECK_STR(sp_notice_meaning("5.1.1"), "There is no mailbox with this address.");
    CHECK_STR(sp_notice_meaning("4.1.1"), sp_notice_meaning("5.1.1"));
    CHECK_STR(sp_notice_meaning("5.1.10"), "The domain says that it never takes mail.");
    CHECK_STR(sp_notice_meaning("5.1.9"), "The other side did not accept the address.");
    CHECK_STR(sp_notice_meaning("5.0.0"), "The other side did not accept the message.");
    CHECK_STR(sp_notice_meaning("nonsense"), sp_notice_meaning("5.0.0"));
    CHECK_STR(sp_notice_meaning(NULL), sp_notice_meaning("5.0.0"));
    CHECK_STR(sp_notice_advice("5.2.2"),
              "Try again later, or reach the recipient another way.");
}

T_MAIN
