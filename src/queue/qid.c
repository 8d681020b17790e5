/* qid.c - see qid.h. */
#include "qid.h"

#include <string.h>
#include <sys/random.h>

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* 2026-01-01: 42 bits of milliseconds last until 2165, and the number stays a positive
 * 64-bit integer, which is what a row id is. */
static const uint64_t epoch_ms = 1767225600000;
enum { LOW_BITS = 21 };
static const uint64_t number_max = INT64_MAX;

void sp_qid_format(uint64_t number, char ret_id[SP_QID_MAX])
{
    memset(ret_id, 0, SP_QID_MAX);
    for (int i = SP_QID_LEN; i-- > 0; number >>= 5)
        ret_id[i] = digits[number & 31];
}

static int digit(char c)
{
    const char *at;

    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        c = '0';
    if (c == 'I' || c == 'L')
        c = '1';
    at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

int sp_qid_parse(struct sp_str s, uint64_t *ret_number)
{
    uint64_t v = 0;

    if (s.n != SP_QID_LEN)
        return -SP_EINPUT;
    for (size_t i = 0; i < s.n; i++) {
        int d = digit(s.p[i]);

        if (d < 0 || v > number_max >> 5)
            return -SP_EINPUT;
        v = v << 5 | (unsigned)d;
    }
    *ret_number = v;
    return v ? 0 : -SP_EINPUT;
}

uint64_t sp_qid_floor(uint64_t ms)
{
    if (ms <= epoch_ms)
        return 0;
    ms -= epoch_ms;
    return ms > number_max >> LOW_BITS ? number_max : ms << LOW_BITS;
}

uint64_t sp_qid_next(struct sp_qid_source *s, uint64_t now_ms, uint32_t n)
{
    uint32_t r = 0;
    uint64_t v;

    /* Without randomness the number is still unique, only easier to guess. */
    (void)!getrandom(&r, sizeof r, GRND_NONBLOCK);
    v = sp_qid_floor(now_ms) | (r & ((1u << LOW_BITS) - 1));
    if (v <= s->last)
        v = s->last + 1 + r % 1021;
    if (n == 0 || v > number_max - n)
        return 0;
    s->last = v + n - 1;
    return v;
}
