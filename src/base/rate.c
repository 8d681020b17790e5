/* rate.c - see rate.h. */
#include "rate.h"

#include "text.h"

static const struct {
    char letter;
    const char *name;
    uint64_t seconds;
} periods[SP_RATE_PERIODS] = {
    [SP_RATE_MINUTE] = {'m', "a minute", 60},
    [SP_RATE_HOUR] = {'h', "an hour", 3600},
    [SP_RATE_DAY] = {'d', "a day", 86400},
};

static uint64_t length_ns(enum sp_rate_period p)
{
    return periods[p].seconds * 1000000000u;
}

bool sp_rates_any(const struct sp_rates *r)
{
    for (size_t w = 0; w < SP_RATE_WHATS; w++)
        for (size_t p = 0; p < SP_RATE_PERIODS; p++)
            if (r->n[w][p])
                return true;
    return false;
}

int sp_rate_parse(struct sp_str s, struct sp_rate *ret)
{
    struct sp_str n = sp_str_cut(&s, '/');
    uint64_t v;

    if (s.n != 1 || sp_str_u64(n, SP_RATE_MAX, &v) < 0 || v == 0)
        return -SP_EINPUT;
    for (size_t p = 0; p < SP_RATE_PERIODS; p++)
        if (s.p[0] == periods[p].letter) {
            ret->n = v;
            ret->period = (enum sp_rate_period)p;
            return 0;
        }
    return -SP_EINPUT;
}

char sp_rate_letter(enum sp_rate_period p)
{
    return periods[p].letter;
}

const char *sp_rate_name(enum sp_rate_period p)
{
    return periods[p].name;
}

uint64_t sp_rate_step(const struct sp_rate *r, uint64_t cost)
{
    uint64_t one = r->n ? length_ns(r->period) / r->n : 0;

    return one && cost > UINT64_MAX / 4 / one ? UINT64_MAX / 4 : one * cost;
}

uint64_t sp_rate_add(const struct sp_rate *r, uint64_t level, uint64_t now_ns,
                     uint64_t cost)
{
    return (level > now_ns ? level : now_ns) + sp_rate_step(r, cost);
}

uint64_t sp_rate_wait(const struct sp_rate *r, uint64_t level, uint64_t now_ns,
                      uint64_t cost)
{
    uint64_t then = sp_rate_add(r, level, now_ns, cost), most;

    if (r->n == 0)
        return 0;
    most = now_ns + length_ns(r->period);
    return then > most ? then - most : 0;
}
