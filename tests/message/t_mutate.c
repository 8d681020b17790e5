/*
 * t_mutate.c - nasty messages: cut off everywhere, split everywhere, mutated at random.
 *
 * Nothing here knows the right answer; it checks what must be true of every answer, and
 * ASan and UBSan watch.  The seed is fixed, a failing message is printed, and SP_MUTATE_MS
 * makes the random part longer.
 */
#include "t.h"

#include "alloc.h"
#include "compose.h"
#include "fixup.h"
#include "notice.h"
#include "stored.h"

#include <stdlib.h>
#include <time.h>

static const char *const nasty[] = {
    "From: =?utf-8?q?=C3=B6?= (a (b) \\) c) <\"x "
    "y\"@example.org>,\r\n\t<@r.org,@s.org:z@[IPv6:::1]>"
    "\r\nBcc : one@x,\r\n two@y\r\nSender: "
    "alice@example.org\r\nDate:\r\nMessage-ID:\r\n <a\r\n b>"
    "\r\n\r\nbody\r\n",
    "From alice Sun\r\nReceived: x\r\nReceived: y\r\nTLS-Required: No\r\n"
    "To: G: a@b, c@d;, \"q\\\"\" <e@f>\r\nBcc:\r\n\r\n",
    "DKIM-Signature: v=1\r\nContent-Type: (c) multipart/signed; x\r\nReturn-Path: "
    "<>\r\n"
    "Resent-To: a@b\r\nResent-Bcc: c@d\r\nX: \xc3\xb6\r\n\r\n\xff\xfe",
    "Subject: no end of header\r\nnot a field\r\nFrom: a@b\r\n",
    " leading\r\nFrom: a@b\r\n\r\n",
    "\r\n\r\n",
    "A:\r\n \r\n\t\r\nB:b\r\n\r\n.\r\n..\r\n",
    "From: a@b\rTo: c@d\nX: y\r\r\n\0Z",
};
#define N_NASTY (sizeof nasty / sizeof nasty[0])

static const struct sp_str own[] = {{"*@example.org", 13}, {"a@b", 3}};

/* What must be true of a plan, whatever went in. */
static void check_plan(struct sp_str in, const struct sp_fix_plan *p)
{
    size_t at = 0;

    if (p->refused) {
        CHECK(p->code == 550 || p->code == 554);
        CHECK(p->text[0] && p->enhanced[0]);
        CHECK(p->cut_n == 0 && p->prefix.n == 0);
        for (const char *c = p->text; *c; c++)
            CHECK(*c >= 32 && *c < 127);
        return;
    }
    CHECK(p->header_size <= in.n);
    for (size_t i = 0; i < p->cut_n; i++) {
        CHECK(p->cut[i].length && p->cut[i].offset >= at &&
              p->cut[i].offset + p->cut[i].length <= p->header_size);
        at = p->cut[i].offset + p->cut[i].length;
    }
    CHECK(!p->is_signed || (p->cut_n == 0 && p->prefix.n == 0) ||
          sp_str_caseeq((struct sp_str){in.p, 5}, SP_LIT("From ")) || in.p[0] == '>');
    CHECK(p->work <= 8 * in.n + 8);
}

/* No From that is not the sender's own gets through: judged again on what is sent. */
static void check_sent_from(const struct sp_buf *sent)
{
    struct sp_header_iter it;
    struct sp_field f;
    size_t froms = 0;

    sp_header_start(&it, sp_buf_view(sent));
    while (sp_header_next(&it, &f)) {
        struct sp_mbox_iter boxes;
        struct sp_mbox m;
        int rc;

        CHECK(!sp_field_named(&f, "Bcc") ||
              sp_header_count(sp_buf_view(sent), "DKIM-Signature") ||
              sp_header_count(sp_buf_view(sent), "Content-Type"));
        if (!sp_field_named(&f, "From"))
            continue;
        froms++;
        sp_mbox_start(&boxes, f.value, SP_ADDR_UTF8_OK);
        while ((rc = sp_mbox_next(&boxes, &m)) > 0)
            CHECK(sp_addr_matches(own[0], sp_addr_text(&m.addr)) ||
                  sp_addr_matches(own[1], sp_addr_text(&m.addr)));
        CHECK_INT(rc, 0);
    }
    CHECK(froms <= 1);
}

static void fix_one(struct sp_str in)
{
    struct sp_fix_in fix = {.header = in,
                            .reverse_path = SP_LIT("a@b"),
                            .check_owner = true,
                            .smtputf8 = in.n % 2,
                            .user = SP_LIT("alice"),
                            .own = own,
                            .own_n = 2,
                            .first_address = SP_LIT("x@example.org"),
                            .hostname = SP_LIT("h.example")};
    struct sp_fix_plan p;
    struct sp_buf sent;
    size_t at = 0;

    sp_fix_plan_init(&p);
    CHECK_INT(sp_fix_make(&fix, &p), 0);
    check_plan(in, &p);
    sp_buf_init(&sent, 1 << 20);
    if (!p.refused) {
        sp_buf_str(&sent, sp_buf_view(&p.prefix));
        for (size_t i = 0; i < p.cut_n; i++) {
            sp_buf_put(&sent, in.p + at, (size_t)p.cut[i].offset - at);
            at = (size_t)(p.cut[i].offset + p.cut[i].length);
        }
        sp_buf_put(&sent, in.p + at, in.n - at);
        check_sent_from(&sent);
    }
    sp_buf_free(&sent);
    sp_fix_plan_free(&p);
}

static void compose_one(struct sp_str in, size_t split, bool attach)
{
    struct sp_attachment a = {SP_LIT("n\xc3\xb6.txt"), {NULL, 0}, in};
    struct sp_compose_opts o = {.attach = &a,
                                .attach_n = attach,
                                .from = SP_LIT("a@b"),
                                .hostname = SP_LIT("h.example"),
                                .dot_ends = in.n % 3 == 0};
    struct sp_norm facts, again;
    struct sp_compose c;
    struct sp_buf out;
    struct sp_rcpt_iter it;
    struct sp_mbox m;
    int rc;

    sp_norm_init(&facts);
    facts.dot_ends = o.dot_ends;
    CHECK_INT(sp_norm_feed(&facts, in, NULL), 0);
    CHECK_INT(sp_norm_end(&facts, NULL), 0);
    o.facts = &facts;
    sp_buf_init(&out, 1 << 20);
    sp_compose_init(&c, &o);
    rc = sp_compose_feed(&c, (struct sp_str){in.p, split}, &out);
    if (rc == 0)
        rc = sp_compose_feed(&c, (struct sp_str){in.p + split, in.n - split}, &out);
    if (rc == 0)
        do
            rc = sp_compose_end(&c, &out);
        while (rc > 0);
    /* Its own MIME structure with a NUL in it cannot be sent as it is, nor encoded. */
    if (rc == -SP_EINPUT && in.n && memchr(in.p, '\0', in.n)) {
        sp_buf_free(&out);
        sp_compose_free(&c);
        return;
    }
    CHECK_INT(rc, 0);
    /* What comes out is in normal form: it passes a second time unchanged. */
    sp_norm_init(&again);
    CHECK_INT(sp_norm_feed(&again, sp_buf_view(&out), NULL), 0);
    CHECK_INT(sp_norm_end(&again, NULL), 0);
    CHECK_INT(again.size, out.n);
    CHECK(again.longest <= 998);
    CHECK_INT(sp_header_count(sp_buf_view(&out), "Bcc"), 0);
    CHECK(sp_header_count(sp_buf_view(&out), "Date") >= 1);
    sp_rcpt_start(&it, sp_buf_view(&c.fields));
    while (sp_rcpt_next(&it, &m) > 0)
        CHECK(m.addr.n > 0);
    sp_compose_free(&c);
    sp_buf_free(&out);
}

static void notice_one(struct sp_str in)
{
    Sp__Envelope env;
    Sp__Recipient rcpt, *rcpts = &rcpt;
    Sp__RcptState state;
    Sp__Attempt attempt, *history = &attempt;
    const Sp__RcptState *states = &state;
    struct sp_notice_facts facts;
    struct sp_header_iter it;
    struct sp_field f;
    struct sp_buf out;
    char *words = sp_strndup(in.p, in.n);
    struct sp_notice n = {.env = &env,
                          .rcpt = &states,
                          .rcpt_n = 1,
                          .hostname = SP_LIT("h.example"),
                          .content = in,
                          .full_max = 10000};

    sp__envelope__init(&env);
    sp__recipient__init(&rcpt);
    sp__rcpt_state__init(&state);
    sp__attempt__init(&attempt);
    sp_header_start(&it, in);
    while (sp_header_next(&it, &f))
        continue;
    env.header_size = it.body;
    env.content_size = in.n;
    env.reverse_path = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "a@b"};
    env.rcpt = &rcpts;
    env.n_rcpt = 1;
    rcpt.address = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "c@d"};
    rcpt.orcpt = env.envid = (ProtobufCBinaryData){in.n, (uint8_t *)(uintptr_t)in.p};
    state.n_history = 1;
    state.history = &history;
    attempt.text = attempt.where = attempt.enhanced = words;
    sp_buf_init(&out, 1 << 20);
    CHECK_INT(sp_notice_make(&n, &out, &facts), 0);
    CHECK_INT(facts.content_size, out.n);
    sp_buf_free(&out);
    sp_free(words);
}

static void all_of(struct sp_str in, size_t split)
{
    /* A copy of exactly this size: ASan sees a step behind it. */
    char *p = sp_realloc(NULL, in.n ? in.n : 1);
    struct sp_str s = {p, in.n};

    if (in.n)
        memcpy(p, in.p, in.n);
    fix_one(s);
    compose_one(s, split > in.n ? in.n : split, in.n % 5 == 0);
    notice_one(s);
    sp_free(p);
}

TEST("a nasty message cut off anywhere is judged, composed and quoted soundly")
{
    for (size_t i = 0; i < N_NASTY; i++)
        for (size_t n = 0; n <= strlen(nasty[i]); n++)
            all_of((struct sp_str){nasty[i], n}, n / 2);
}

TEST("a nasty message split anywhere composes to the same octets")
{
    for (size_t i = 0; i < N_NASTY; i++) {
        size_t len = strlen(nasty[i]);

        for (size_t n = 0; n <= len; n++)
            compose_one((struct sp_str){nasty[i], len}, n, n % 2);
    }
}

static uint64_t state = 0x5a11990f;

static size_t roll(size_t below)
{
    state ^= state << 13; /* xorshift: the same on every machine */
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % below);
}

static const char *const bits[] = {"\r\n",
                                   "\n",
                                   "\r",
                                   "From: ",
                                   "From:\r\n ",
                                   "Bcc: x@y\r\n",
                                   ":",
                                   ";",
                                   ",",
                                   "<",
                                   ">",
                                   "(",
                                   ")",
                                   "\"",
                                   "\\",
                                   "@",
                                   "a@b",
                                   "c@d",
                                   "\r\n\r\n",
                                   " ",
                                   "\t",
                                   "\xc3\xb6",
                                   "\xff",
                                   ".\r\n",
                                   "=?utf-8?q?",
                                   "[",
                                   "]",
                                   "From x\r\n",
                                   "Sender: a@b\r\n",
                                   "DKIM-Signature: x\r\n",
                                   "Resent-To: a@b\r\n",
                                   "+0D+0A"};

static size_t mutate(char *p, size_t n, size_t max)
{
    size_t at = roll(n + 1), k;
    const char *bit = bits[roll(sizeof bits / sizeof bits[0])];

    switch (roll(4)) {
    case 0: /* an octet becomes another */
        if (at < n)
            p[at] = (char)roll(256);
        return n;
    case 1: /* a piece goes */
        k = roll(20) < n - at ? roll(n - at + 1) % 20 : 0;
        k = k > n - at ? n - at : k;
        memmove(p + at, p + at + k, n - at - k);
        return n - k;
    case 2: /* a piece comes twice */
        k = n - at < 30 ? n - at : 30;
        if (n + k > max)
            return n;
        memmove(p + at + k, p + at, n - at);
        return n + k;
    }
    k = strlen(bit); /* a meaningful piece comes in */
    if (n + k > max)
        return n;
    memmove(p + at + k, p + at, n - at);
    memcpy(p + at, bit, k);
    return n + k;
}

TEST("messages mutated at random are judged, composed and quoted soundly")
{
    const char *ms = getenv("SP_MUTATE_MS");
    clock_t end =
        clock() + (ms ? strtol(ms, NULL, 10) : 2000) * (CLOCKS_PER_SEC / 1000);
    char p[900]; /* no line over 998: those are refused by design */
    int bad = t_bad;

    for (unsigned long round = 0; clock() < end; round++) {
        const char *from = nasty[roll(N_NASTY)];
        size_t n = strlen(from);

        memcpy(p, from, n);
        for (size_t k = roll(12); k > 0; k--)
            n = mutate(p, n, sizeof p);
        all_of((struct sp_str){p, n}, roll(n + 1));
        if (t_bad > bad) {
            printf("round %lu, %zu octets:\n", round, n);
            fwrite(p, 1, n, stdout);
            printf("\n--\n");
            return;
        }
    }
}

T_MAIN
