/* Throttling over simulated time. */
#include "t.h"
#include "throttle.h"

#define S(x)   sp_str(x)
#define MINUTE 60000ull

TEST("a few mistakes cost nothing, more cost up to two seconds, time heals")
{
    struct sp_throttle *t = sp_throttle_new(1024, 0);
    uint64_t now = 1000000;
    uint32_t last = 0;

    for (int i = 0; i < 60; i++) {
        struct sp_throttle_verdict v =
            sp_throttle_ask(t, S("alice"), S("192.0.2.1"), now);

        CHECK(i >= 3 || v.delay_ms == 0);
        CHECK(v.delay_ms >= last && v.delay_ms <= SP_THROTTLE_DELAY_MAX_MS);
        last = v.delay_ms;
        sp_throttle_failed(t, S("alice"), S("192.0.2.1"), now);
        now += 100;
    }
    CHECK_INT(last, SP_THROTTLE_DELAY_MAX_MS);
    now += 10 * MINUTE;
    CHECK(sp_throttle_ask(t, S("alice"), S("198.51.100.7"), now).delay_ms == 2000);
    now += 60 * MINUTE;
    CHECK_INT(sp_throttle_ask(t, S("alice"), S("192.0.2.1"), now).delay_ms, 0);
    sp_throttle_free(t);
}

TEST("nobody can lock an account out for good")
{
    struct sp_throttle *t = sp_throttle_new(4096, 0);
    uint64_t now = 1000000;
    char from[32];

    /* 20 failures a second from ever new addresses; alice comes from one never seen. */
    for (int i = 0; i < 20000; i++) {
        snprintf(from, sizeof from, "10.%d.%d.%d", i / 65536 % 256, i / 256 % 256,
                 i % 256);
        sp_throttle_failed(t, S("alice"), S(from), now);
        now += 50;
        if (i % 100 == 0) {
            struct sp_throttle_verdict v =
                sp_throttle_ask(t, S("alice"), S("203.0.113.5"), now);

            CHECK(!v.refuse && v.delay_ms <= SP_THROTTLE_DELAY_MAX_MS);
        }
    }
    sp_throttle_free(t);
}

TEST("an address that logs in keeps working while others are throttled")
{
    struct sp_throttle *t = sp_throttle_new(4096, 0);
    uint64_t now = 1000000;

    sp_throttle_ok(t, S("alice"), S("203.0.113.5"), now);
    for (int i = 0; i < 5000; i++)
        sp_throttle_failed(t, S("alice"), S("192.0.2.1"), now += 20);
    CHECK_INT(sp_throttle_ask(t, S("alice"), S("203.0.113.5"), now).delay_ms, 0);
    CHECK(sp_throttle_ask(t, S("alice"), S("203.0.113.6"), now).delay_ms == 2000);
    CHECK(sp_throttle_ask(t, S("alice"), S("192.0.2.1"), now).refuse);
    /* Behind the same address as the guesser (one NAT), the known pair gets through. */
    sp_throttle_ok(t, S("bob"), S("192.0.2.1"), now);
    CHECK(!sp_throttle_ask(t, S("bob"), S("192.0.2.1"), now).refuse);
    CHECK(sp_throttle_ask(t, S("carol"), S("192.0.2.1"), now).refuse);
    /* The pair's own mistakes count for it. */
    for (int i = 0; i < 20; i++)
        sp_throttle_failed(t, S("alice"), S("203.0.113.5"), now);
    CHECK(sp_throttle_ask(t, S("alice"), S("203.0.113.5"), now).delay_ms == 2000);
    sp_throttle_free(t);
}

TEST("a refused address is let in again by time alone, however long it failed")
{
    struct sp_throttle *t = sp_throttle_new(1024, 100);
    uint64_t now = 1000000, refused_until = 0;

    for (int i = 0; i < 20000; i++)
        sp_throttle_failed(t, S("x"), S("192.0.2.1"), now += 5);
    CHECK(sp_throttle_ask(t, S("x"), S("192.0.2.1"), now).refuse);
    for (uint64_t m = 0; m < 600; m++)
        if (sp_throttle_ask(t, S("x"), S("192.0.2.1"), now + m * MINUTE).refuse)
            refused_until = m;
    CHECK(refused_until >= 5 && refused_until <= 15);
    sp_throttle_free(t);
}

TEST("a guesser cannot clear his count by logging in as himself")
{
    struct sp_throttle *t = sp_throttle_new(1024, 0);
    uint64_t now = 1000000;

    for (int i = 0; i < 20; i++) {
        sp_throttle_failed(t, S("alice"), S("192.0.2.1"), now += 100);
        sp_throttle_ok(t, S("mallory"), S("192.0.2.1"), now);
    }
    CHECK(sp_throttle_ask(t, S("alice"), S("192.0.2.1"), now).delay_ms == 2000);
    CHECK(sp_throttle_ask(t, S("bob"), S("192.0.2.1"), now).delay_ms == 2000);
    sp_throttle_free(t);
}

TEST("IPv6 counts by /64, IPv4 in IPv6 as IPv4")
{
    struct sp_throttle *t = sp_throttle_new(1024, 0);
    uint64_t now = 1000000;
    char from[64];

    for (int i = 0; i < 20; i++) {
        snprintf(from, sizeof from, "2001:db8:0:1::%x", i + 1);
        sp_throttle_failed(t, S("u"), S(from), now);
        sp_throttle_failed(t, S("u"), S("::ffff:192.0.2.9"), now);
    }
    CHECK(sp_throttle_ask(t, S("v"), S("2001:db8:0:1:ffff::1"), now).delay_ms > 0);
    CHECK_INT(sp_throttle_ask(t, S("v"), S("2001:db8:0:2::1"), now).delay_ms, 0);
    CHECK(sp_throttle_ask(t, S("v"), S("192.0.2.9"), now).delay_ms > 0);
    CHECK_INT(sp_throttle_ask(t, S("v"), S("::ffff:192.0.2.8"), now).delay_ms, 0);
    sp_throttle_free(t);
}

TEST("memory stays what it was; a flood does not wash the guilty or the known away")
{
    struct sp_throttle *t = sp_throttle_new(256, 0);
    uint64_t now = 1000000;
    char user[32], from[32];

    sp_throttle_ok(t, S("alice"), S("203.0.113.5"), now);
    for (int i = 0; i < 150; i++)
        sp_throttle_failed(t, S("alice"), S("192.0.2.1"), now);
    for (int i = 0; i < 8000; i++) {
        snprintf(user, sizeof user, "u%d", i);
        snprintf(from, sizeof from, "10.0.%d.%d", i / 256 % 256, i % 256);
        sp_throttle_failed(t, S(user), S(from), now);
    }
    CHECK(sp_throttle_ask(t, S("zoe"), S("192.0.2.1"), now).refuse);
    CHECK_INT(sp_throttle_ask(t, S("alice"), S("203.0.113.5"), now).delay_ms, 0);
    sp_throttle_free(t);
}

TEST("a clock that goes backwards and empty names do no harm")
{
    struct sp_throttle *t = sp_throttle_new(0, 0);

    for (int i = 0; i < 50; i++)
        sp_throttle_failed(t, S(""), S(""), 5000000 - (uint64_t)i * 1000);
    CHECK(sp_throttle_ask(t, S(""), S(""), 0).delay_ms <= SP_THROTTLE_DELAY_MAX_MS);
    sp_throttle_ok(t, S(""), S(""), 10);
    CHECK_INT(sp_throttle_ask(t, S(""), S(""), 5).delay_ms, 0);
    sp_throttle_free(t);
}

T_MAIN
