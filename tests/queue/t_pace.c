/* t_pace.c - destinations: the rules of pace.h, with a clock of the test's. */
#include "alloc.h"
#include "pace.h"
#include "t.h"
#include "text.h"

#include <stdio.h>

enum { S = 1000 };

static const struct sp_pace_limits usual = {.start = 2, .most = 8};

static uint32_t one(struct sp_pace *p, const char *domain)
{
    return sp_pace_find(p, SP_LIT("out"), sp_str(domain), &usual, 1);
}

static Sp__Attempt attempt(unsigned code, const char *enhanced, const char *stage)
{
    Sp__Attempt a = SP__ATTEMPT__INIT;

    a.code = code;
    a.enhanced = (char *)(uintptr_t)enhanced;
    a.stage = (char *)(uintptr_t)stage;
    a.text = (char *)(uintptr_t) "its words";
    a.where = (char *)(uintptr_t) "mx.test [192.0.2.1]:25";
    return a;
}

static enum sp_pace_change end(struct sp_pace *p, struct sp_pace_ticket t,
                               enum sp_pace_verdict v, uint64_t now)
{
    Sp__Attempt a = attempt(421, "4.3.2", "greeting");

    return sp_pace_result(p, &t, v, &a, now);
}

/* As many as it lets out. */
static size_t fill(struct sp_pace *p, uint32_t id, struct sp_pace_ticket *t,
                   uint64_t now)
{
    size_t n = 0;

    while (n < 200 && sp_pace_ask(p, id, now, NULL) == SP_PACE_GO)
        t[n++] = sp_pace_sent(p, id, now);
    return n;
}

static uint32_t connections(const struct sp_pace *p, uint32_t id)
{
    return sp_pace_connections(p, id);
}

static bool is_dead(const struct sp_pace *p, uint32_t id, uint64_t now)
{
    return sp_pace_ask(p, id, now, NULL) == SP_PACE_DEAD;
}

TEST("it begins small, and each message that is taken allows one connection more, up "
     "to the limit")
{
    struct sp_pace *p = sp_pace_new(10);
    struct sp_pace_ticket t[200];
    uint32_t id = one(p, "a.test");

    CHECK_INT(fill(p, id, t, 1), 6); /* two connections, each with one more, and two */
    CHECK_INT(sp_pace_ask(p, id, 1, NULL), SP_PACE_FULL);
    CHECK_INT(sp_pace_room(p, id, 1), 0);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_INT(connections(p, id), 2 + i);
        CHECK_INT(end(p, t[i], SP_PACE_TOOK, 2), SP_PACE_SAME);
    }
    CHECK_INT(connections(p, id), 5); /* the fourth found connections idle */
    CHECK_INT(sp_pace_room(p, id, 2), 10);
    for (unsigned k = 0; k < 5; k++) {
        size_t n = fill(p, id, t, 3);

        while (n)
            (void)end(p, t[--n], SP_PACE_TOOK, 3);
    }
    CHECK_INT(connections(p, id), 8);
    sp_pace_free(p);
}

TEST("it grows only by mail that there is: one message at a time shows nothing")
{
    struct sp_pace *p = sp_pace_new(10);
    uint32_t id = one(p, "a.test");

    for (int i = 0; i < 50; i++)
        (void)end(p, sp_pace_sent(p, id, 1), SP_PACE_TOOK, 1);
    CHECK_INT(connections(p, id), 2);
    sp_pace_free(p);
}

TEST("a refusal halves it once, whatever else was under way, and then it grows by one "
     "a round")
{
    struct sp_pace *p = sp_pace_new(10);
    struct sp_pace_ticket t[200];
    uint32_t id = one(p, "a.test");
    size_t n;

    for (unsigned k = 0; k < 6; k++)
        for (n = fill(p, id, t, 1); n; n--)
            (void)end(p, t[n - 1], SP_PACE_TOOK, 1);
    CHECK_INT(connections(p, id), 8);
    n = fill(p, id, t, 2);
    CHECK_INT(end(p, t[--n], SP_PACE_SLOW_DOWN, 2), SP_PACE_SAME);
    CHECK_INT(connections(p, id), 4);
    CHECK_INT(end(p, t[--n], SP_PACE_SLOW_DOWN, 2), SP_PACE_SAME);
    CHECK_INT(end(p, t[--n], SP_PACE_DOWN, 2), SP_PACE_SAME);
    CHECK_INT(connections(p, id), 4);
    CHECK(!is_dead(p, id, 2));
    while (n)
        (void)end(p, t[--n], SP_PACE_NOTHING, 2);
    n = fill(p, id, t, 3);
    for (unsigned i = 0; i < 3; i++)
        (void)end(p, t[--n], SP_PACE_TOOK, 3);
    CHECK_INT(connections(p, id), 4);
    (void)end(p, t[--n], SP_PACE_TOOK, 3);
    CHECK_INT(connections(p, id), 5);
    sp_pace_free(p);
}

TEST("a host that cannot be reached is left alone, half as long as a message waits, "
     "with jitter, longer each time")
{
    static const uint64_t half[] = {30 * S, 60 * S, 150 * S, 450 * S, 900 * S, 900 * S};
    struct sp_pace *p = sp_pace_new(100);
    uint64_t now = 1000, wait = 0, least = UINT64_MAX, most = 0;
    uint32_t id = one(p, "a.test");

    for (unsigned i = 0; i < 6; i++) {
        struct sp_pace_ticket t = sp_pace_sent(p, id, now);

        CHECK_INT(end(p, t, SP_PACE_DOWN, now), i ? SP_PACE_SAME : SP_PACE_DIED);
        CHECK_INT(sp_pace_ask(p, id, now, &wait), SP_PACE_DEAD);
        CHECK(wait >= half[i] && wait <= half[i] + half[i] / 5 && wait <= 900 * S);
        CHECK(is_dead(p, id, now + wait - 1));
        now += wait;
        CHECK_INT(sp_pace_ask(p, id, now, NULL), SP_PACE_GO);
    }
    for (unsigned i = 0; i < 50; i++) { /* not all of them at the same time */
        char name[20];

        snprintf(name, sizeof name, "d%u.test", i);
        id = one(p, name);
        (void)end(p, sp_pace_sent(p, id, now), SP_PACE_DOWN, now);
        (void)sp_pace_ask(p, id, now, &wait);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    CHECK(most - least > 3 * S);
    sp_pace_free(p);
}

TEST("behind the pause one job at a time finds out; an answer of any kind brings it "
     "back")
{
    struct sp_pace *p = sp_pace_new(10);
    struct sp_pace_ticket t[200], late;
    uint32_t id = one(p, "a.test");
    uint64_t now = 1000, wait = 0;

    CHECK_INT(fill(p, id, t, now), 6);
    CHECK_INT(end(p, t[0], SP_PACE_DOWN, now), SP_PACE_DIED);
    for (int i = 1; i < 5; i++) /* they failed together: that is one failure */
        CHECK_INT(end(p, t[i], SP_PACE_DOWN, now), SP_PACE_SAME);
    late = t[5];
    (void)sp_pace_ask(p, id, now, &wait);
    CHECK(wait <= 36 * S);
    now += wait;
    CHECK_INT(sp_pace_ask(p, id, now, NULL), SP_PACE_FULL); /* the late one is out */
    (void)end(p, late, SP_PACE_NOTHING, now);
    CHECK_INT(fill(p, id, t, now), 1);
    CHECK_INT(sp_pace_connections(p, id), 1);
    CHECK_INT(end(p, t[0], SP_PACE_SPOKE, now), SP_PACE_REVIVED);
    CHECK_INT(fill(p, id, t, now), 4);
    CHECK_INT(end(p, t[0], SP_PACE_TOOK, now), SP_PACE_SAME);
    CHECK_INT(end(p, t[1], SP_PACE_DOWN, now),
              SP_PACE_SAME); /* t[0] was taken meanwhile */
    CHECK(!is_dead(p, id, now));
    for (int i = 2; i < 4; i++)
        (void)end(p, t[i], SP_PACE_NOTHING, now);
    CHECK_INT(end(p, sp_pace_sent(p, id, now), SP_PACE_DOWN, now), SP_PACE_DIED);
    (void)sp_pace_ask(p, id, now, &wait);
    CHECK(wait <= 36 * S); /* it begins anew */
    sp_pace_try(p, id, now);
    CHECK_INT(sp_pace_ask(p, id, now, NULL), SP_PACE_GO);
    sp_pace_free(p);
}

TEST("refusals in a row without any other answer are as good as dead")
{
    struct sp_pace *p = sp_pace_new(10);
    uint32_t id = one(p, "a.test");

    for (int i = 1; i < SP_PACE_REFUSALS; i++)
        CHECK_INT(end(p, sp_pace_sent(p, id, 1), SP_PACE_SLOW_DOWN, 1), SP_PACE_SAME);
    CHECK_INT(end(p, sp_pace_sent(p, id, 1), SP_PACE_SPOKE, 1), SP_PACE_SAME);
    for (int i = 1; i < SP_PACE_REFUSALS; i++)
        CHECK_INT(end(p, sp_pace_sent(p, id, 1), SP_PACE_SLOW_DOWN, 1), SP_PACE_SAME);
    CHECK_INT(end(p, sp_pace_sent(p, id, 1), SP_PACE_SLOW_DOWN, 1), SP_PACE_DIED);
    CHECK(is_dead(p, id, 1));
    sp_pace_free(p);
}

TEST("the rate: so many at once, then evenly; each period counts")
{
    struct sp_pace *p = sp_pace_new(10);
    struct sp_pace_limits l = {.start = 50, .most = 50};
    struct sp_pace_ticket t[200];
    uint64_t now = 1000, wait = 0;
    uint32_t id;

    l.rate[SP_RATE_MINUTE].n = 6;
    l.rate[SP_RATE_HOUR] = (struct sp_rate){8, SP_RATE_HOUR};
    id = sp_pace_find(p, SP_LIT("r"), SP_LIT(""), &l, now);
    CHECK_INT(fill(p, id, t, now), 6);
    CHECK_INT(sp_pace_ask(p, id, now, &wait), SP_PACE_LATER);
    CHECK_INT(wait, 10 * S);
    CHECK_INT(sp_pace_room(p, id, now), 0);
    CHECK_INT(fill(p, id, t, now + 10 * S), 1);
    CHECK_INT(fill(p, id, t, now + 60 * S), 1); /* the eighth of this hour */
    CHECK_INT(sp_pace_ask(p, id, now + 120 * S, &wait), SP_PACE_LATER);
    CHECK(wait > 300 * S);
    sp_pace_free(p);
}

TEST("without mail for a while it begins anew")
{
    struct sp_pace *p = sp_pace_new(10);
    struct sp_pace_ticket t[200];
    uint32_t id = one(p, "a.test");

    for (unsigned k = 0; k < 6; k++)
        for (size_t n = fill(p, id, t, 1); n; n--)
            (void)end(p, t[n - 1], SP_PACE_TOOK, 1);
    (void)end(p, sp_pace_sent(p, id, SP_PACE_IDLE_MS), SP_PACE_NOTHING,
              SP_PACE_IDLE_MS);
    CHECK_INT(connections(p, id), 8);
    (void)sp_pace_sent(p, id, 2 * SP_PACE_IDLE_MS);
    CHECK_INT(connections(p, id), 2);
    sp_pace_free(p);
}

TEST("one slow host never has all places: jobs out are bounded")
{
    struct sp_pace *p = sp_pace_new(10);
    struct sp_pace_limits l = {.start = 1000, .most = 1000};
    struct sp_pace_ticket t[200];
    uint32_t id = sp_pace_find(p, SP_LIT("r"), SP_LIT(""), &l, 1);

    CHECK_INT(fill(p, id, t, 1), SP_PACE_OUT_MAX);
    sp_pace_free(p);
}

TEST("a route and a domain are a destination; case of a domain does not count, a new "
     "limit does")
{
    struct sp_pace *p = sp_pace_new(10);
    struct sp_pace_limits l = {.start = 1, .most = 1};
    uint32_t id = one(p, "a.test");

    CHECK_INT(one(p, "A.Test"), id);
    CHECK(one(p, "b.test") != id);
    CHECK(sp_pace_find(p, SP_LIT("other"), SP_LIT("a.test"), &usual, 1) != id);
    CHECK(sp_pace_find(p, SP_LIT("outa"), SP_LIT(".test"), &usual, 1) != id);
    CHECK_INT(sp_pace_count(p), 4);
    CHECK_INT(sp_pace_find(p, SP_LIT("out"), SP_LIT("a.test"), &l, 1), id);
    CHECK_INT(connections(p, id), 1);
    sp_pace_free(p);
}

TEST("memory is bounded: the idle one that was used longest ago is forgotten, dead "
     "ones only if need be")
{
    struct sp_pace *p = sp_pace_new(4);
    uint32_t busy = one(p, "busy"), dead = one(p, "dead"), idle = one(p, "idle"),
             wanted = one(p, "wanted"), more;
    struct sp_pace_ticket b = sp_pace_sent(p, busy, 1), gone;
    struct sp_pace_info info;

    (void)end(p, sp_pace_sent(p, dead, 1), SP_PACE_DOWN, 1);
    sp_pace_wanted(p, wanted, true);
    gone = sp_pace_sent(p, idle, 1);
    (void)end(p, gone, SP_PACE_TOOK, 1);
    more = one(p, "more");
    CHECK(more && !sp_pace_get(p, idle, 1, &info));
    CHECK(sp_pace_get(p, dead, 1, &info) && info.dead);
    CHECK_INT(end(p, gone, SP_PACE_DOWN, 1),
              SP_PACE_SAME); /* of one that was forgotten */
    CHECK(!is_dead(p, more, 1));
    (void)sp_pace_sent(p, more, 1);
    CHECK(one(p, "more still") && !sp_pace_get(p, dead, 1, &info));
    (void)sp_pace_sent(p, one(p, "more still"), 1);
    CHECK_INT(one(p, "one too many"), 0);
    CHECK_INT(sp_pace_ask(p, 0, 1, NULL), SP_PACE_GO); /* and that is not limited */
    CHECK_INT(end(p, sp_pace_sent(p, 0, 1), SP_PACE_DOWN, 1), SP_PACE_SAME);
    CHECK_INT(sp_pace_count(p), 4);
    (void)end(p, b, SP_PACE_TOOK, 1);
    CHECK(one(p, "now there is room") && sp_pace_get(p, wanted, 1, &info));
    CHECK(!sp_pace_get(p, busy, 1, &info));
    sp_pace_free(p);
}

TEST("the last reason is kept, clipped, and shown")
{
    struct sp_pace *p = sp_pace_new(10);
    Sp__Attempt a = attempt(421, "4.7.0", "MAIL");
    char large[2000];
    struct sp_pace_info info = {0};
    uint32_t id = one(p, "a.test");
    struct sp_pace_ticket t = sp_pace_sent(p, id, 5);
    size_t at = 0;

    (void)sp_pace_result(p, &t, SP_PACE_SLOW_DOWN, &a, 7);
    CHECK(sp_pace_next(p, &at, 8, &info));
    CHECK_STR(info.words, "421 4.7.0 its words");
    CHECK_STR(info.where, "mx.test [192.0.2.1]:25");
    CHECK_STR(info.domain, "a.test");
    CHECK_INT(info.trouble_ms, 7);
    CHECK(!sp_pace_next(p, &at, 8, &info));
    memset(large, 0xc3, sizeof large); /* and no character is cut in two */
    for (size_t i = 1; i < sizeof large; i += 2)
        large[i] = (char)0xa4;
    large[sizeof large - 1] = '\0';
    a = attempt(0, "4.4.1", "connect");
    a.text = a.where = large;
    t = sp_pace_sent(p, id, 5);
    (void)sp_pace_result(p, &t, SP_PACE_DOWN, &a, 9);
    CHECK(sp_pace_get(p, id, 9, &info));
    CHECK_INT(strlen(info.words), SP_PACE_WORDS_MAX);
    CHECK_INT(strlen(info.where), SP_PACE_WORDS_MAX);
    sp_pace_free(p);
}

TEST("what an outcome says of the destination: the whole table, by hand")
{
    static const struct {
        Sp__Action action;
        unsigned code;
        const char *enhanced, *stage;
        enum sp_pace_verdict v;
    } want[] = {
        {SP__ACTION__ACTION_DELIVERED, 250, "2.0.0", "end of message", SP_PACE_TOOK},
        {SP__ACTION__ACTION_RETRY, 0, "4.4.1", "connect", SP_PACE_DOWN},
        {SP__ACTION__ACTION_RETRY, 421, "4.3.2", "greeting", SP_PACE_DOWN},
        {SP__ACTION__ACTION_RETRY, 554, "5.7.1", "greeting", SP_PACE_DOWN},
        {SP__ACTION__ACTION_RETRY, 0, "4.4.1", "EHLO", SP_PACE_DOWN},
        {SP__ACTION__ACTION_RETRY, 454, "4.7.0", "STARTTLS", SP_PACE_DOWN},
        {SP__ACTION__ACTION_RETRY, 0, "4.4.1", "handshake", SP_PACE_DOWN},
        {SP__ACTION__ACTION_RETRY, 0, "4.7.5", "handshake", SP_PACE_SLOW_DOWN},
        {SP__ACTION__ACTION_RETRY, 0, "4.4.1", "EHLO inside TLS", SP_PACE_DOWN},
        {SP__ACTION__ACTION_RETRY, 535, "5.7.8", "AUTH", SP_PACE_DOWN},
        {SP__ACTION__ACTION_RETRY, 451, "4.4.3", "dns", SP_PACE_DOWN},
        {SP__ACTION__ACTION_BOUNCE, 550, "5.1.2", "dns", SP_PACE_NOTHING},
        {SP__ACTION__ACTION_RETRY, 451, "4.7.1", "MAIL", SP_PACE_SLOW_DOWN},
        {SP__ACTION__ACTION_BOUNCE, 550, "5.7.1", "MAIL", SP_PACE_SPOKE},
        {SP__ACTION__ACTION_RETRY, 450, "4.7.1", "RCPT", SP_PACE_SPOKE},
        {SP__ACTION__ACTION_RETRY, 421, "4.7.0", "RCPT", SP_PACE_SLOW_DOWN},
        {SP__ACTION__ACTION_RETRY, 0, "4.4.2", "RCPT", SP_PACE_SLOW_DOWN},
        {SP__ACTION__ACTION_BOUNCE, 550, "5.1.1", "RCPT", SP_PACE_SPOKE},
        {SP__ACTION__ACTION_RETRY, 451, "4.3.0", "DATA", SP_PACE_SLOW_DOWN},
        {SP__ACTION__ACTION_RETRY, 452, "4.2.2", "end of message", SP_PACE_SPOKE},
        {SP__ACTION__ACTION_RETRY, 452, "4.3.1", "end of message", SP_PACE_SLOW_DOWN},
        {SP__ACTION__ACTION_RETRY, 0, "4.4.2", "end of message", SP_PACE_SLOW_DOWN},
        {SP__ACTION__ACTION_BOUNCE, 554, "5.6.0", "end of message", SP_PACE_SPOKE},
    };
    const Sp__Attempt *which;
    Sp__RcptOutcome r[3] = {SP__RCPT_OUTCOME__INIT, SP__RCPT_OUTCOME__INIT,
                            SP__RCPT_OUTCOME__INIT},
                    *rows[] = {&r[0], &r[1], &r[2]};
    Sp__Attempt a[3];

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        a[0] = attempt(want[i].code, want[i].enhanced, want[i].stage);
        r[0].action = want[i].action;
        r[0].attempt = &a[0];
        if (sp_pace_judge(rows, 1, &which) != want[i].v) {
            printf("%u %s %s\n", want[i].code, want[i].enhanced, want[i].stage);
            CHECK_INT(sp_pace_judge(rows, 1, &which), want[i].v);
        }
        CHECK(which == (want[i].v == SP_PACE_NOTHING ? NULL : &a[0]));
        a[0].where = (char *)(uintptr_t) "";
        if (want[i].action != SP__ACTION__ACTION_DELIVERED)
            CHECK_INT(sp_pace_judge(rows, 1, &which), SP_PACE_NOTHING);
    }
    a[0] = attempt(550, "5.1.1", "RCPT");
    a[1] = attempt(421, "4.7.0", "RCPT");
    a[2] = attempt(450, "4.2.0", "RCPT");
    for (size_t i = 0; i < 3; i++) {
        r[i].action = i ? SP__ACTION__ACTION_RETRY : SP__ACTION__ACTION_BOUNCE;
        r[i].attempt = &a[i];
    }
    CHECK_INT(sp_pace_judge(rows, 3, &which), SP_PACE_SLOW_DOWN);
    CHECK(which == &a[1]);
    r[2].action = SP__ACTION__ACTION_DELIVERED;
    CHECK_INT(sp_pace_judge(rows, 3, &which), SP_PACE_TOOK);
    CHECK_INT(sp_pace_judge(rows, 0, &which), SP_PACE_NOTHING);
}

TEST("each allocation may fail")
{
    for (long n = 0; n < 40; n++) {
        struct sp_pace *p;

        sp_alloc_fail_at(n, 0);
        p = sp_pace_new(64);
        for (unsigned i = 0; p && i < 60; i++) {
            char name[20];
            struct sp_pace_ticket t;

            snprintf(name, sizeof name, "d%u", i);
            t = sp_pace_sent(p, one(p, name), 1);
            (void)end(p, t, SP_PACE_DOWN, 1);
        }
        sp_alloc_fail_at(-1, 0);
        sp_pace_free(p);
    }
}

T_MAIN
