/* t_rate.c - so many in a minute, an hour, a day. */
#include "t.h"

#include "rate.h"
#include "text.h"

#define S 1000000000ull

static const uint64_t seconds[] = {60, 3600, 86400};

TEST("from rest n fit at once and n + 1 do not, for every period and many n")
{
    static const uint64_t ns[] = {1, 2, 3, 7, 10, 59, 60, 61, 100, 999, 1000, 5000};

    for (int p = 0; p < SP_RATE_PERIODS; p++)
        for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
            struct sp_rate r = {ns[i], (enum sp_rate_period)p};
            uint64_t level = 0, now = 1000 * S, k;

            for (k = 0; k <= ns[i] && sp_rate_wait(&r, level, now, 1) == 0; k++)
                level = sp_rate_add(&r, level, now, 1);
            CHECK_INT(k, ns[i]);
            CHECK_INT(sp_rate_wait(&r, 0, now, ns[i]), 0); /* in one piece, too */
            CHECK(sp_rate_wait(&r, 0, now, ns[i] + 1) > 0);
            /* One place comes back after period / n, all of them after the period. */
            now += seconds[p] * S / ns[i] + 1;
            CHECK_INT(sp_rate_wait(&r, level, now, 1), 0);
            if (ns[i] > 1)
                CHECK(sp_rate_wait(&r, level, now, 2) > 0);
            now = 1000 * S + seconds[p] * S;
            CHECK_INT(sp_rate_wait(&r, level, now, ns[i]), 0);
        }
}

TEST("however it is spread, a period and a little has at most twice n, and a long time n a period")
{
    struct sp_rate r = {10, SP_RATE_MINUTE};
    uint64_t level = 0, sent = 0;

    for (uint64_t now = 0; now < 600 * S; now += S / 10)
        if (sp_rate_wait(&r, level, now, 1) == 0) {
            level = sp_rate_add(&r, level, now, 1);
            sent++;
        }
    CHECK(sent >= 105 && sent <= 110); /* ten minutes: 100, and the 10 from rest */
}

TEST("the wait that is told is enough, and a moment less is not")
{
    struct sp_rate r = {3, SP_RATE_HOUR};
    uint64_t level = 0, now = 5 * S, wait;

    for (int i = 0; i < 3; i++)
        level = sp_rate_add(&r, level, now, 1);
    wait = sp_rate_wait(&r, level, now, 1);
    CHECK_INT(wait, 1200 * S);
    CHECK(sp_rate_wait(&r, level, now + wait - 1, 1) > 0);
    CHECK_INT(sp_rate_wait(&r, level, now + wait, 1), 0);
}

TEST("no limit is no limit, and absurd costs do not wrap round")
{
    struct sp_rate none = {0, SP_RATE_DAY}, one = {1, SP_RATE_DAY};

    CHECK_INT(sp_rate_wait(&none, 0, S, UINT64_MAX), 0);
    CHECK(sp_rate_wait(&one, 0, S, UINT64_MAX) > 0);
}

TEST("rates as they are written")
{
    static const char *const bad[] = {"",     "5",    "/h",   "5/",       "5/x",  "5/hour",
                                      "-1/h", "0/h",  "5 /h", "5/h ",     "5//h", "1e3/h",
                                      "+5/h", "5/H", "100000001/h"};
    struct sp_rate r;

    CHECK_INT(sp_rate_parse(SP_LIT("100/h"), &r), 0);
    CHECK(r.n == 100 && r.period == SP_RATE_HOUR);
    CHECK_INT(sp_rate_parse(SP_LIT("1/m"), &r), 0);
    CHECK_INT(sp_rate_parse(SP_LIT("100000000/d"), &r), 0);
    CHECK(r.n == 100000000 && r.period == SP_RATE_DAY);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(sp_rate_parse(sp_str(bad[i]), &r), -SP_EINPUT);
}
T_MAIN
