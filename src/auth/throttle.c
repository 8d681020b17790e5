/* throttle.c - see throttle.h. */
#include "throttle.h"

#include "alloc.h"
#include "secret.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

/*
 * Three kinds of thing share one table: an account's failures, an address's failures,
 * and a pair of both (its own failures, and that it has logged in).  The table's keys
 * are keyed hashes, so that nobody can choose names that push a chosen entry out.
 *
 * Counts are kept in sixteenths and halve every HALF_MS, linearly within it.
 */
enum {
    WAYS = 8,
    ONE = 16, /* one failure */
    FREE_FAILURES = 2,
    HALF_MS = 10 * 60 * 1000,
    STEP_MS = 250,
    GOOD_BASE = 1 << 20, /* a known pair outlives any number of guilty ones ... */
};
#define GOOD_LIFE_MS (30ull * 24 * 3600 * 1000) /* ... for a month */

enum kind { KIND_USER = 'u', KIND_ADDRESS = 'a', KIND_PAIR = 'p' };

struct slot {
    uint64_t tag; /* 0: free */
    uint64_t at_ms;
    uint64_t good_ms; /* a pair's last success + 1; 0: never */
    uint32_t level;
};

struct sp_throttle {
    uint8_t key[32];
    size_t sets;
    uint32_t refuse_at;
    struct slot *slot;
};

struct sp_throttle *sp_throttle_new(size_t entries, uint32_t refuse_at)
{
    struct sp_throttle *t = sp_alloc(sizeof *t);

    if (!t)
        return NULL;
    if (entries == 0 || entries > (1u << 22))
        entries = 16384;
    t->sets = entries / WAYS ? entries / WAYS : 1;
    t->refuse_at = refuse_at ? refuse_at : 100;
    t->slot = sp_alloc(t->sets * WAYS * sizeof *t->slot);
    if (!t->slot || RAND_bytes(t->key, sizeof t->key) != 1) {
        sp_throttle_free(t);
        return NULL;
    }
    return t;
}

void sp_throttle_free(struct sp_throttle *t)
{
    if (!t)
        return;
    sp_free(t->slot);
    sp_wipe(t, sizeof *t);
    sp_free(t);
}

/* What an address counts as: itself, its /64, or the text. */
static struct sp_str network(struct sp_str address, char out[17])
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char raw[16];

    if (address.n == 0 || address.n >= sizeof text)
        return address;
    memcpy(text, address.p, address.n);
    text[address.n] = '\0';
    if (inet_pton(AF_INET6, text, raw) != 1)
        return address;
    /* ::ffff:192.0.2.1 is 192.0.2.1: all of IPv4 would else be one /64. */
    if (memcmp(raw, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0) {
        inet_ntop(AF_INET, raw + 12, out, 17);
        return sp_str(out);
    }
    memcpy(out, raw, 8);
    return (struct sp_str){out, 8};
}

/* A keyed hash of kind, a and b.  Names longer than any account's are all alike. */
static uint64_t tag_of(const struct sp_throttle *t, enum kind kind, struct sp_str a,
                       struct sp_str b)
{
    unsigned char in[512], md[32];
    size_t na = a.n < 255 ? a.n : 255, nb = b.n < 255 ? b.n : 255;
    uint64_t tag = 1;

    in[0] = (unsigned char)kind;
    in[1] = (unsigned char)na; /* so that no two pairs run into one another */
    if (na)
        memcpy(in + 2, a.p, na);
    if (nb)
        memcpy(in + 2 + na, b.p, nb);
    if (HMAC(EVP_sha256(), t->key, sizeof t->key, in, 2 + na + nb, md, NULL))
        memcpy(&tag, md, sizeof tag);
    return tag ? tag : 1;
}

static uint32_t level_at(const struct slot *s, uint64_t now_ms)
{
    uint64_t gone = now_ms > s->at_ms ? now_ms - s->at_ms : 0, halves = gone / HALF_MS;
    uint32_t level = halves < 32 ? s->level >> halves : 0;

    return level - (uint32_t)(level / 2 * (gone % HALF_MS) / HALF_MS);
}

static bool good_at(const struct slot *s, uint64_t now_ms)
{
    return s->good_ms && now_ms < s->good_ms + GOOD_LIFE_MS;
}

/* How much would be lost by forgetting it. */
static uint32_t weight(const struct slot *s, uint64_t now_ms)
{
    if (!s->tag)
        return 0;
    return 1 + level_at(s, now_ms) + (good_at(s, now_ms) ? GOOD_BASE : 0);
}

/* The entry of a tag; make: put one in place of the lightest of its set. */
static struct slot *find(struct sp_throttle *t, uint64_t tag, uint64_t now_ms,
                         bool make)
{
    struct slot *set = t->slot + tag % t->sets * WAYS, *light = set;

    for (int i = 0; i < WAYS; i++) {
        if (set[i].tag == tag)
            return &set[i];
        if (weight(&set[i], now_ms) < weight(light, now_ms))
            light = &set[i];
    }
    if (!make)
        return NULL;
    *light = (struct slot){.tag = tag, .at_ms = now_ms};
    return light;
}

static uint32_t level(struct sp_throttle *t, uint64_t tag, uint64_t now_ms)
{
    const struct slot *s = find(t, tag, now_ms, false);

    return s ? level_at(s, now_ms) : 0;
}

static uint32_t delay_for(uint32_t level_now)
{
    uint32_t failures = level_now / ONE;

    if (failures <= FREE_FAILURES)
        return 0;
    failures -= FREE_FAILURES;
    return failures >= SP_THROTTLE_DELAY_MAX_MS / STEP_MS ? SP_THROTTLE_DELAY_MAX_MS
                                                          : failures * STEP_MS;
}

struct sp_throttle_verdict sp_throttle_ask(struct sp_throttle *t, struct sp_str user,
                                           struct sp_str address, uint64_t now_ms)
{
    char net[17];
    struct sp_str where = network(address, net);
    const struct slot *pair = find(t, tag_of(t, KIND_PAIR, user, where), now_ms, false);
    uint32_t mine = pair ? level_at(pair, now_ms) : 0, others;

    /* Somebody who logs in from there: only what this pair itself got wrong counts. */
    if (pair && good_at(pair, now_ms))
        return (struct sp_throttle_verdict){.delay_ms = delay_for(mine)};
    others = level(t, tag_of(t, KIND_ADDRESS, where, (struct sp_str){0}), now_ms);
    if (others / ONE >= t->refuse_at)
        return (struct sp_throttle_verdict){SP_THROTTLE_DELAY_MAX_MS, true};
    mine = level(t, tag_of(t, KIND_USER, user, (struct sp_str){0}), now_ms);
    return (struct sp_throttle_verdict){.delay_ms =
                                            delay_for(mine > others ? mine : others)};
}

static void count(struct sp_throttle *t, uint64_t tag, uint64_t now_ms)
{
    struct slot *s = find(t, tag, now_ms, true);
    uint32_t now = level_at(s, now_ms);

    /* Twice the refusal limit at most: after a flood of any size it is over in a few
     * halvings. */
    s->level = now + ONE > 2 * t->refuse_at * ONE ? 2 * t->refuse_at * ONE : now + ONE;
    s->at_ms = now_ms;
}

void sp_throttle_failed(struct sp_throttle *t, struct sp_str user,
                        struct sp_str address, uint64_t now_ms)
{
    char net[17];
    struct sp_str where = network(address, net);

    count(t, tag_of(t, KIND_ADDRESS, where, (struct sp_str){0}), now_ms);
    count(t, tag_of(t, KIND_USER, user, (struct sp_str){0}), now_ms);
    count(t, tag_of(t, KIND_PAIR, user, where), now_ms);
}

void sp_throttle_ok(struct sp_throttle *t, struct sp_str user, struct sp_str address,
                    uint64_t now_ms)
{
    char net[17];
    struct sp_str where = network(address, net);
    struct slot *s = find(t, tag_of(t, KIND_PAIR, user, where), now_ms, true);

    /* The account's and the address's counts stay: a guesser with one account of his own
     * must not be able to clear them. */
    s->level = 0;
    s->at_ms = now_ms;
    s->good_ms = now_ms + 1;
}
