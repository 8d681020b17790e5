/* t_milter.c - the codec of the milter protocol, octet by octet. */
#include "t.h"

#include "milter.h"

static struct sp_str lit(const char *p, size_t n)
{
    return (struct sp_str){p, n};
}
#define L(s) lit("" s, sizeof(s) - 1)

/* What it has to send, taken away. */
static struct sp_str taken(struct sp_milter *m)
{
    static char copy[70000];
    size_t n;
    const char *p = sp_milter_out(m, &n);

    memcpy(copy, n ? p : "", n < sizeof copy ? n : sizeof copy);
    sp_milter_out_ack(m, n);
    return lit(copy, n);
}

static struct sp_milter_event next(struct sp_milter *m)
{
    struct sp_milter_event ev;

    if (!sp_milter_next(m, &ev))
        ev.type = SP_MILTER_NONE;
    return ev;
}

/* The answer in pieces of `step` octets; the last event that came of it. */
static struct sp_milter_event fed(struct sp_milter *m, struct sp_str in, size_t step)
{
    struct sp_milter_event ev = {.type = SP_MILTER_NONE}, e;

    while (in.n) {
        size_t n = in.n < step ? in.n : step, k = sp_milter_feed(m, in.p, n);

        in.p += k;
        in.n -= k;
        while ((e = next(m)).type != SP_MILTER_NONE)
            ev = e;
        if (k == 0)
            break;
    }
    return ev;
}

#define OPTNEG(v, a, s) L("\0\0\0\x0dO\0\0\0" v "\0\0" a s)
#define V6              OPTNEG("\6", "\1\xff", "\0\0\0\0")

static struct sp_milter *ready(struct sp_str negotiation)
{
    struct sp_milter *m = sp_milter_new();

    (void)taken(m);
    CHECK_INT(fed(m, negotiation, 1).type, SP_MILTER_READY);
    return m;
}

TEST("version 6 with all actions is offered, and every step but RCPT_REJ and larger "
     "packets")
{
    struct sp_milter *m = sp_milter_new();

    CHECK(sp_str_eq(taken(m), L("\0\0\0\x0dO\0\0\0\6\0\0\1\xff\0\x1f\xf7\xff")));
    CHECK_INT(sp_milter_say(m, SP_MS_DATA, &(struct sp_milter_say){0}), -SP_ESTATE);
    sp_milter_free(m);
}

TEST("each stage stands on the wire as libmilter reads it")
{
    struct sp_milter *m = ready(V6);
    static const struct sp_str argv[] = {{"SIZE=1", 6}, {"BODY=7BIT", 9}};
    const struct {
        enum sp_milter_stage stage;
        struct sp_milter_say w;
        struct sp_str wire;
    } rows[] = {
        {SP_MS_CONNECT,
         {.text = L("[127.0.0.1]"),
          .value = L("127.0.0.1"),
          .family = '4',
          .port = 258},
         L("\0\0\0\x1a"
           "C[127.0.0.1]\0"
           "4\1\2"
           "127.0.0.1\0")},
        {SP_MS_CONNECT,
         {.text = L("x"), .family = 'U'},
         L("\0\0\0\4"
           "Cx\0U")},
        {SP_MS_HELO, {.text = L("me")}, L("\0\0\0\4Hme\0")},
        {SP_MS_MAIL,
         {.text = L("<a@b>"), .argv = argv, .argc = 2},
         L("\0\0\0\x18M<a@b>\0SIZE=1\0BODY=7BIT\0")},
        {SP_MS_RCPT, {.text = L("<c@d>")}, L("\0\0\0\7R<c@d>\0")},
        {SP_MS_DATA, {.argc = 0}, L("\0\0\0\1T")},
        {SP_MS_UNKNOWN, {.text = L("FOO")}, L("\0\0\0\5UFOO\0")},
        {SP_MS_HEADER,
         {.text = L("A"), .value = L("  b\n\tc")},
         L("\0\0\0\x09LA\0 b\n\tc\0")},
        {SP_MS_EOH, {.argc = 0}, L("\0\0\0\1N")},
        {SP_MS_BODY, {.text = L("x\0y")}, L("\0\0\0\4Bx\0y")},
        {SP_MS_EOM, {.argc = 0}, L("\0\0\0\1E")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(sp_milter_say(m, rows[i].stage, &rows[i].w), 1);
        if (!sp_str_eq(taken(m), rows[i].wire)) {
            t_bad++;
            printf("row %zu\n", i);
        }
        CHECK(sp_milter_waits(m));
        CHECK_INT(sp_milter_say(m, rows[i].stage, &rows[i].w), -SP_ESTATE);
        CHECK_INT(fed(m, L("\0\0\0\1c"), 2).verdict, SP_MV_CONTINUE);
    }
    sp_milter_quit(m);
    CHECK(sp_str_eq(taken(m), L("\0\0\0\1Q")));
    sp_milter_free(m);
}

TEST("a value with a NUL is one string; a leading blank is the milter's choice")
{
    struct sp_milter *m = ready(V6),
                     *lead = ready(OPTNEG("\6", "\1\xff", "\0\x10\0\0"));

    (void)sp_milter_say(m, SP_MS_HELO, &(struct sp_milter_say){.text = L("a\0b")});
    CHECK(sp_str_eq(taken(m), L("\0\0\0\3Ha\0")));
    (void)sp_milter_say(lead, SP_MS_HEADER,
                        &(struct sp_milter_say){.text = L("A"), .value = L(" b")});
    CHECK(sp_str_eq(taken(lead), L("\0\0\0\6LA\0 b\0")));
    CHECK(sp_milter_leading_space(lead) && !sp_milter_leading_space(m));
    sp_milter_free(m);
    sp_milter_free(lead);
}

TEST("macros go in front of their stage, as the table says or as the milter chose")
{
    const struct sp_milter_macro v[] = {{"i", 1u << SP_MS_MAIL, L("42")},
                                        {"auth_authen", 1u << SP_MS_MAIL, L("alice")},
                                        {"j", 1u << SP_MS_CONNECT, L("host")},
                                        {"empty", 1u << SP_MS_MAIL, L("")}};
    struct sp_milter_say w = {.text = L("<>"), .macro = v, .macros = 4};
    struct sp_milter *m = ready(V6),
                     *own =
                         ready(L("\0\0\0\x15O\0\0\0\6\0\0\1\xff\0\0\0\0\0\0\0\2{j}\0"));

    (void)sp_milter_say(m, SP_MS_MAIL, &w);
    CHECK(sp_str_eq(taken(m), L("\0\0\0\x1b"
                                "DMi\0"
                                "42\0{auth_authen}\0alice\0\0\0\0\4M<>\0")));
    (void)sp_milter_say(own, SP_MS_MAIL, &w);
    CHECK(sp_str_eq(taken(own), L("\0\0\0\x09"
                                  "DMj\0host\0\0\0\0\4M<>\0")));
    sp_milter_free(m);
    sp_milter_free(own);
}

TEST("what a milter does not want is not said, and where it does not answer nobody "
     "waits")
{
    struct sp_milter *m = ready(OPTNEG(
        "\6", "\1\xff", "\0\x08\4\x11")); /* NO_CONNECT, NO_BODY, SKIP, NR_BODY */
    struct sp_milter *old = ready(OPTNEG("\2", "\0\x1f", "\0\0\0\0"));

    CHECK_INT(sp_milter_say(m, SP_MS_CONNECT, &(struct sp_milter_say){.family = 'U'}),
              0);
    CHECK_INT(sp_milter_say(m, SP_MS_BODY, &(struct sp_milter_say){.text = L("x")}), 0);
    CHECK_INT(taken(m).n, 0);
    sp_milter_free(m);
    m = ready(OPTNEG("\6", "\1\xff", "\0\x08\4\0"));
    CHECK_INT(sp_milter_say(m, SP_MS_BODY, &(struct sp_milter_say){.text = L("x")}), 0);
    CHECK_INT(taken(m).n, 6);
    CHECK_INT(sp_milter_say(old, SP_MS_DATA, &(struct sp_milter_say){0}), 0);
    CHECK_INT(
        sp_milter_say(old, SP_MS_UNKNOWN, &(struct sp_milter_say){.text = L("X")}), 0);
    CHECK_INT(taken(old).n, 0);
    sp_milter_free(m);
    m = ready(OPTNEG("\6", "\1\xff", "\0\0\4\0"));
    CHECK_INT(sp_milter_say(m, SP_MS_BODY, &(struct sp_milter_say){.text = L("x")}), 1);
    (void)fed(m, L("\0\0\0\1s"), 1);
    CHECK(!sp_milter_wants(m, SP_MS_BODY));
    CHECK_INT(sp_milter_say(m, SP_MS_MAIL, &(struct sp_milter_say){.text = L("<>")}),
              1);
    CHECK(sp_milter_wants(m, SP_MS_BODY));
    sp_milter_free(m);
    sp_milter_free(old);
}

TEST("verdicts, in every split")
{
    static const struct {
        struct sp_str wire;
        enum sp_milter_verdict verdict;
        int code, e2, e3;
        const char *text;
    } rows[] = {
        {{"\0\0\0\1a", 5}, SP_MV_ACCEPT, 0, 0, 0, ""},
        {{"\0\0\0\1r", 5}, SP_MV_REJECT, 0, 0, 0, ""},
        {{"\0\0\0\1t", 5}, SP_MV_TEMPFAIL, 0, 0, 0, ""},
        {{"\0\0\0\1d", 5}, SP_MV_DISCARD, 0, 0, 0, ""},
        {{"\0\0\0\0014", 5}, SP_MV_SHUTDOWN, 0, 0, 0, ""},
        {{"\0\0\0\x0fy550 5.7.26 no\0", 19}, SP_MV_REPLY, 550, 7, 26, "no"},
        {{"\0\0\0\x05y451\0", 9}, SP_MV_REPLY, 451, 0, 0, ""},
        {{"\0\0\0\x1cy550-5.7.1 a\r\n550 5.7.1 b%c\0", 32},
         SP_MV_REPLY,
         550,
         7,
         1,
         "a\nb%c"},
        {{"\0\0\0\x0cy451 a\x01\xff"
          "b\0\0\0",
          16},
         SP_MV_REPLY,
         451,
         0,
         0,
         "a??b??"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step < 8; step++) {
            struct sp_milter *m = ready(V6);
            struct sp_milter_event ev;
            char text[100];

            (void)sp_milter_say(m, SP_MS_EOM, &(struct sp_milter_say){0});
            ev = fed(m, rows[i].wire, step);
            snprintf(text, sizeof text, "%.*s", (int)ev.text.n,
                     ev.text.n ? ev.text.p : "");
            CHECK_INT(ev.type, SP_MILTER_VERDICT);
            CHECK_INT(ev.verdict, rows[i].verdict);
            CHECK_INT(ev.code, rows[i].code);
            CHECK(ev.enh[1] == rows[i].e2 && ev.enh[2] == rows[i].e3);
            CHECK_STR(text, rows[i].text);
            sp_milter_free(m);
        }
}

TEST("changes between the end of the message and its verdict")
{
    struct sp_milter *m = ready(V6);
    struct sp_milter_event ev;

    (void)sp_milter_say(m, SP_MS_EOM, &(struct sp_milter_say){0});
    ev = fed(m, L("\0\0\0\x05hA\0b\0"), 1);
    CHECK(ev.type == SP_MILTER_CHANGE && ev.change.kind == SP_MC_ADD_HEADER);
    ev = fed(m, L("\0\0\0\x09i\0\0\0\7A\0b\0"), 3);
    CHECK(ev.change.kind == SP_MC_INSERT_HEADER && ev.change.index == 7);
    ev = fed(m, L("\0\0\0\x08m\0\0\0\2A\0\0"), 3);
    CHECK(ev.change.kind == SP_MC_CHANGE_HEADER && ev.change.index == 2 &&
          ev.change.value.n == 0);
    CHECK_INT(fed(m, L("\0\0\0\5e<x>\0"), 9).change.kind, SP_MC_CHANGE_FROM);
    ev = fed(m,
             L("\0\0\0\x12"
               "2<x>\0NOTIFY=NEVER\0"),
             9);
    CHECK(ev.change.kind == SP_MC_ADD_RCPT &&
          sp_str_is(ev.change.value, "NOTIFY=NEVER"));
    CHECK_INT(fed(m, L("\0\0\0\5+<x>\0"), 9).change.kind, SP_MC_ADD_RCPT);
    CHECK_INT(fed(m, L("\0\0\0\5-<x>\0"), 9).change.kind, SP_MC_DELETE_RCPT);
    ev = fed(m, L("\0\0\0\4bx\0y"), 9);
    CHECK(ev.change.kind == SP_MC_BODY && ev.change.value.n == 3);
    CHECK_INT(fed(m, L("\0\0\0\4qno\0"), 9).change.kind, SP_MC_QUARANTINE);
    CHECK_INT(fed(m, L("\0\0\0\1p"), 9).type, SP_MILTER_PROGRESS);
    CHECK_INT(fed(m, L("\0\0\0\1c"), 9).type, SP_MILTER_VERDICT);
    sp_milter_free(m);
}

TEST("an abort forgets the verdict under way and its changes; the next message is not "
     "answered by them")
{
    struct sp_milter *m = ready(V6);

    (void)sp_milter_say(m, SP_MS_EOM, &(struct sp_milter_say){0});
    sp_milter_abort(m);
    CHECK_INT(sp_milter_say(m, SP_MS_MAIL, &(struct sp_milter_say){.text = L("<>")}),
              1);
    CHECK_INT(fed(m, L("\0\0\0\x05hA\0b\0\0\0\0\1r"), 4).type, SP_MILTER_PROGRESS);
    CHECK(sp_milter_waits(m));
    CHECK_INT(fed(m, L("\0\0\0\1c"), 4).verdict, SP_MV_CONTINUE);
    CHECK(!sp_milter_waits(m) && !sp_milter_failed(m));
    sp_milter_free(m);
}

TEST("what a milter must not say is a failure, said once, and final")
{
    static const struct {
        bool eom;
        struct sp_str wire;
    } rows[] = {
        {true, {"\0\0\0\0", 4}},
        {true, {"\0\4\0\1c", 5}},
        {true, {"\xff\xff\xff\xff", 4}},
        {true, {"\0\0\0\1Z", 5}},
        {true, {"\0\0\0\1s", 5}},
        {true, {"\0\0\0\1f", 5}},
        {true, {"\0\0\0\2hA", 6}},
        {true, {"\0\0\0\4hA\0b", 8}},
        {true, {"\0\0\0\6hA:\0b\0", 10}},
        {true, {"\0\0\0\x06h\0b\0\0\0", 10}},
        {true, {"\0\0\0\3i\0\0", 7}},
        {true, {"\0\0\0\4y250", 8}},
        {true, {"\0\0\0\4y6x0", 8}},
        {true, {"\0\0\0\1y", 5}},
        {true, {"\0\0\0\x0by550-a\r\n551", 15}},
        {false, {"\0\0\0\x05hA\0b\0", 9}},
        {false, {"\0\0\0\1O", 5}},
        {false, {"\0\0\0\1c\0\0\0\1c", 10}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step < 16; step += 5) {
            struct sp_milter *m = ready(V6);
            struct sp_milter_event ev;

            (void)sp_milter_say(m, rows[i].eom ? SP_MS_EOM : SP_MS_MAIL,
                                &(struct sp_milter_say){.text = L("<>")});
            ev = fed(m, rows[i].wire, step);
            if (ev.type != SP_MILTER_FAILED || ev.text.n == 0) {
                t_bad++;
                printf("row %zu: %d\n", i, ev.type);
            }
            CHECK_INT(next(m).type, SP_MILTER_NONE);
            CHECK_INT(fed(m, L("\0\0\0\1c"), 9).type, SP_MILTER_NONE);
            CHECK(sp_milter_say(m, SP_MS_DATA, &(struct sp_milter_say){0}) < 0);
            sp_milter_free(m);
        }
}

TEST("a negotiation for what was not offered is a failure")
{
    static const struct sp_str rows[] = {
        {"\0\0\0\x0dO\0\0\0\1\0\0\0\0\0\0\0\0", 17},
        {"\0\0\0\x0dO\0\0\0\7\0\0\0\0\0\0\0\0", 17},
        {"\0\0\0\x0dO\0\0\0\6\0\0\2\0\0\0\0\0", 17},
        {"\0\0\0\x0dO\0\0\0\6\0\0\0\0\0\0\x08\0", 17},
        {"\0\0\0\x0dO\0\0\0\6\0\0\0\0\x10\0\0\0", 17},
        {"\0\0\0\x0cO\0\0\0\6\0\0\0\0\0\0\0", 16},
        {"\0\0\0\x11O\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\1", 21},
        {"\0\0\0\x13O\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\7i\0", 23},
        {"\0\0\0\1c", 5},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sp_milter *m = sp_milter_new();

        if (fed(m, rows[i], 3).type != SP_MILTER_FAILED) {
            t_bad++;
            printf("row %zu\n", i);
        }
        sp_milter_free(m);
    }
}

T_MAIN
