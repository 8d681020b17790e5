/* pace.c - see pace.h. */
#include "pace.h"

#include "alloc.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { NIL = UINT32_MAX, SLOT_BITS = 12, SLOT_MASK = (1 << SLOT_BITS) - 1 };
enum { BUCKETS = 1024, LOOK_MAX = 64, NS = 1000000 };

struct dest {
    uint32_t id;           /* 0: the place is free */
    uint32_t chain;        /* of its bucket; free: the next free place */
    uint32_t newer, older; /* by use */
    uint32_t hash;
    char *route, *domain; /* one allocation */
    char *words, *where;  /* likewise; NULL: no trouble yet */
    struct sp_pace_limits limits;
    uint64_t level[SP_RATE_PERIODS];
    uint64_t used_ms, until_ms, trouble_ms;
    uint32_t window, credit; /* connections, and messages towards one more */
    uint32_t out, round, taken, refusals, failures;
    bool careful; /* it was refused before: one more a round, not one a message */
    bool dead, wanted;
};

struct sp_pace {
    struct dest *d;
    uint32_t cap, most, free, n, generation;
    uint32_t newest, oldest;
    uint32_t bucket[BUCKETS];
    struct sp_retry retry;
    uint64_t pause_most_ms;
};

struct sp_pace *sp_pace_new(size_t most)
{
    struct sp_pace *p = sp_alloc(sizeof *p);

    assert(most > 0 && most <= SP_PACE_MAX);
    if (!p)
        return NULL;
    p->most = (uint32_t)most;
    p->free = p->newest = p->oldest = NIL;
    for (size_t i = 0; i < BUCKETS; i++)
        p->bucket[i] = NIL;
    sp_retry_defaults(&p->retry);
    p->pause_most_ms = 900000;
    return p;
}

void sp_pace_free(struct sp_pace *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->cap; i++)
        if (p->d[i].id) {
            sp_free(p->d[i].route);
            sp_free(p->d[i].words);
        }
    sp_free(p->d);
    sp_free(p);
}

void sp_pace_retry_rule(struct sp_pace *p, const struct sp_retry *r,
                        uint64_t pause_most_ms)
{
    p->retry = *r;
    p->pause_most_ms = pause_most_ms;
}

/* ---- finding and forgetting ---- */

static uint32_t hash(struct sp_str route, struct sp_str domain)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < route.n; i++)
        h = (h ^ (unsigned char)route.p[i]) * 1099511628211u;
    h *= 1099511628211u;
    for (size_t i = 0; i < domain.n; i++)
        h = (h ^ (unsigned char)sp_lower((unsigned char)domain.p[i])) * 1099511628211u;
    return (uint32_t)(h ^ h >> 32);
}

static struct dest *by_id(const struct sp_pace *p, uint32_t id)
{
    uint32_t slot = id & SLOT_MASK;

    return id && slot < p->cap && p->d[slot].id == id ? &p->d[slot] : NULL;
}

static void unlink_use(struct sp_pace *p, struct dest *d)
{
    *(d->newer == NIL ? &p->newest : &p->d[d->newer].older) = d->older;
    *(d->older == NIL ? &p->oldest : &p->d[d->older].newer) = d->newer;
}

static void link_use(struct sp_pace *p, struct dest *d)
{
    uint32_t i = (uint32_t)(d - p->d);

    d->newer = NIL;
    d->older = p->newest;
    *(p->newest == NIL ? &p->oldest : &p->d[p->newest].newer) = i;
    p->newest = i;
}

static void forget(struct sp_pace *p, struct dest *d)
{
    uint32_t i = (uint32_t)(d - p->d), *at = &p->bucket[d->hash % BUCKETS];

    while (*at != i)
        at = &p->d[*at].chain;
    *at = d->chain;
    unlink_use(p, d);
    sp_free(d->route);
    sp_free(d->words);
    memset(d, 0, sizeof *d);
    d->chain = p->free;
    p->free = i;
    p->n--;
}

/* Room for one more at the cost of one that nobody needs; dead ones only if all are. */
static void make_room(struct sp_pace *p, uint64_t now_ms)
{
    struct dest *last = NULL;
    unsigned looked = 0;

    for (uint32_t i = p->oldest; i != NIL && looked < LOOK_MAX;
         i = p->d[i].newer, looked++) {
        struct dest *d = &p->d[i];

        if (d->out || d->wanted)
            continue;
        if (!d->dead || now_ms >= d->until_ms) {
            forget(p, d);
            return;
        }
        if (!last)
            last = d;
    }
    if (last)
        forget(p, last);
}

static bool grow(struct sp_pace *p)
{
    uint32_t cap = p->cap ? 2 * p->cap : 16;
    struct dest *d;

    if (cap > p->most)
        cap = p->most;
    if (cap == p->cap)
        return false;
    d = sp_realloc(p->d, cap * sizeof *d);
    if (!d)
        return false;
    memset(d + p->cap, 0, (cap - p->cap) * sizeof *d);
    p->d = d;
    for (uint32_t i = cap; i-- > p->cap;) {
        d[i].chain = p->free;
        p->free = i;
    }
    p->cap = cap;
    return true;
}

static struct dest *make(struct sp_pace *p, struct sp_str route, struct sp_str domain,
                         uint64_t now_ms)
{
    uint32_t i, h = hash(route, domain), *b = &p->bucket[h % BUCKETS];
    struct dest *d;
    char *names;

    if (p->free == NIL && !grow(p))
        make_room(p, now_ms);
    names = p->free == NIL ? NULL : sp_alloc(route.n + domain.n + 2);
    if (!names)
        return NULL;
    i = p->free;
    d = &p->d[i];
    p->free = d->chain;
    memset(d, 0, sizeof *d);
    memcpy(names, route.p, route.n);
    d->hash = h;
    d->route = names;
    d->domain = names + route.n + 1;
    if (domain.n)
        memcpy(d->domain, domain.p, domain.n);
    p->generation = (p->generation + 1) & (UINT32_MAX >> SLOT_BITS);
    d->id = (p->generation ? p->generation : ++p->generation) << SLOT_BITS | i;
    d->chain = *b;
    *b = i;
    link_use(p, d);
    p->n++;
    return d;
}

uint32_t sp_pace_find(struct sp_pace *p, struct sp_str route, struct sp_str domain,
                      const struct sp_pace_limits *limits, uint64_t now_ms)
{
    struct dest *d = NULL;

    assert(limits->start >= 1 && limits->start <= limits->most);
    for (uint32_t i = p->bucket[hash(route, domain) % BUCKETS]; i != NIL && !d;
         i = p->d[i].chain)
        if (sp_str_is(route, p->d[i].route) && sp_str_caseis(domain, p->d[i].domain))
            d = &p->d[i];
    if (!d) {
        d = make(p, route, domain, now_ms);
        if (!d)
            return 0;
        d->window = limits->start;
        d->used_ms = now_ms;
    }
    d->limits = *limits;
    if (d->window > limits->most)
        d->window = limits->most;
    unlink_use(p, d);
    link_use(p, d);
    return d->id;
}

/* ---- may one more go? ---- */

static uint32_t allowed(const struct dest *d)
{
    uint32_t n = d->dead ? 1 : 2 * d->window + 2;

    return n < SP_PACE_OUT_MAX ? n : SP_PACE_OUT_MAX;
}

/* Milliseconds until the rate lets one more through. */
static uint64_t rate_wait(const struct dest *d, uint64_t now_ms)
{
    uint64_t most = 0, w;

    for (int i = 0; i < SP_RATE_PERIODS; i++)
        if (d->limits.rate[i].n) {
            w = sp_rate_wait(&d->limits.rate[i], d->level[i], now_ms * NS, 1);
            most = w > most ? w : most;
        }
    return (most + NS - 1) / NS;
}

enum sp_pace_answer sp_pace_ask(const struct sp_pace *p, uint32_t id, uint64_t now_ms,
                                uint64_t *ret_ms)
{
    const struct dest *d = by_id(p, id);
    uint64_t wait;

    if (!d)
        return SP_PACE_GO;
    wait = d->dead && now_ms < d->until_ms ? d->until_ms - now_ms : 0;
    if (wait) {
        if (ret_ms)
            *ret_ms = wait;
        return SP_PACE_DEAD;
    }
    if (d->out >= allowed(d))
        return SP_PACE_FULL;
    wait = rate_wait(d, now_ms);
    if (wait && ret_ms)
        *ret_ms = wait;
    return wait ? SP_PACE_LATER : SP_PACE_GO;
}

uint32_t sp_pace_room(const struct sp_pace *p, uint32_t id, uint64_t now_ms)
{
    const struct dest *d = by_id(p, id);

    switch (sp_pace_ask(p, id, now_ms, NULL)) {
    case SP_PACE_GO:
        return d ? allowed(d) - d->out : UINT32_MAX;
    case SP_PACE_DEAD: /* who asks for it hears that */
        return UINT32_MAX;
    case SP_PACE_FULL:
    case SP_PACE_LATER:
        break;
    }
    return 0;
}

uint32_t sp_pace_connections(const struct sp_pace *p, uint32_t id)
{
    const struct dest *d = by_id(p, id);

    return !d ? 0 : d->dead ? 1 : d->window;
}

void sp_pace_wanted(struct sp_pace *p, uint32_t id, bool wanted)
{
    struct dest *d = by_id(p, id);

    if (d)
        d->wanted = wanted;
}

struct sp_pace_ticket sp_pace_sent(struct sp_pace *p, uint32_t id, uint64_t now_ms)
{
    struct dest *d = by_id(p, id);

    if (!d)
        return (struct sp_pace_ticket){0};
    if (d->out == 0 && !d->dead && now_ms - d->used_ms >= SP_PACE_IDLE_MS) {
        d->window = d->limits.start;
        d->credit = 0;
        d->careful = false;
    }
    d->out++;
    d->used_ms = now_ms;
    for (int i = 0; i < SP_RATE_PERIODS; i++)
        if (d->limits.rate[i].n)
            d->level[i] = sp_rate_add(&d->limits.rate[i], d->level[i], now_ms * NS, 1);
    return (struct sp_pace_ticket){.id = id, .round = d->round, .taken = d->taken};
}

/* ---- what an outcome says ---- */

static bool is_one_of(const char *s, const char *const *list)
{
    while (*list && strcmp(*list, s) != 0)
        list++;
    return *list != NULL;
}

static enum sp_pace_verdict later(const Sp__Attempt *a)
{
    /* Before a transaction; "dns" is ours, the others are of sp_cli_stage_name(). */
    static const char *const session[] = {
        "dns",       "connect",         "greeting", "EHLO", "STARTTLS",
        "handshake", "EHLO inside TLS", "AUTH",     NULL};

    /* A policy of TLS that does not hold is for this message: another asks for less. */
    if (is_one_of(a->stage, session))
        return a->code == 0 && strcmp(a->enhanced, "4.7.5") == 0 ? SP_PACE_SLOW_DOWN
                                                                 : SP_PACE_DOWN;
    if (a->code == 421 || a->code < 400)
        return SP_PACE_SLOW_DOWN;
    /* RFC 3463 3.2, 3.3: an address, a mailbox.  Greylisting comes at RCPT, too. */
    if (strcmp(a->stage, "RCPT") == 0 || strncmp(a->enhanced, "4.1.", 4) == 0 ||
        strncmp(a->enhanced, "4.2.", 4) == 0)
        return SP_PACE_SPOKE;
    return SP_PACE_SLOW_DOWN;
}

static enum sp_pace_verdict of_row(const Sp__RcptOutcome *r)
{
    const Sp__Attempt *a = r->attempt;

    if (r->action == SP__ACTION__ACTION_DELIVERED)
        return SP_PACE_TOOK;
    if (!a || !a->where[0]) /* ours: the route is gone, no memory */
        return SP_PACE_NOTHING;
    if (r->action == SP__ACTION__ACTION_BOUNCE)
        return strcmp(a->stage, "dns") == 0 ? SP_PACE_NOTHING : SP_PACE_SPOKE;
    return later(a);
}

enum sp_pace_verdict sp_pace_judge(Sp__RcptOutcome *const *rcpt, size_t n,
                                   const Sp__Attempt **ret)
{
    enum sp_pace_verdict most = SP_PACE_NOTHING, v;

    *ret = NULL;
    for (size_t i = 0; i < n; i++) {
        v = of_row(rcpt[i]);
        if (v > most) {
            most = v;
            *ret = rcpt[i]->attempt;
        }
    }
    return most;
}

/* ---- results ---- */

static size_t clip(const char *s, size_t most)
{
    size_t n = strlen(s);

    if (n <= most)
        return n;
    for (n = most; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
        ;
    return n;
}

/* "421 4.7.0 too many connections", or without a code when no server answered. */
static void remember(struct dest *d, const Sp__Attempt *a, uint64_t now_ms)
{
    enum { CODE = 24 };
    size_t text = clip(a->text, SP_PACE_WORDS_MAX),
           where = clip(a->where, SP_PACE_WORDS_MAX);
    char *p = sp_alloc(CODE + text + where + 2);
    int n = 0;

    d->trouble_ms = now_ms;
    if (!p)
        return;
    if (a->code)
        n = snprintf(p, CODE, "%u %.12s ", a->code % 1000, a->enhanced);
    memcpy(p + n, a->text, text);
    sp_free(d->words);
    d->words = p;
    d->where = p + n + text + 1;
    memcpy(d->where, a->where, where);
}

static void took(struct dest *d)
{
    bool used = d->out + 1 >= d->window; /* more would have been of use */

    d->taken++;
    if (!used || d->window >= d->limits.most)
        return;
    if (d->careful && ++d->credit < d->window)
        return;
    d->credit = 0;
    d->window++;
}

static bool die(struct sp_pace *p, struct dest *d, uint64_t now_ms)
{
    bool was = d->dead;
    uint64_t pause;

    d->failures++;
    pause = sp_retry_pause(&p->retry, d->failures, d->hash) / 2;
    d->dead = true;
    d->careful = true;
    d->window = 1;
    d->credit = d->refusals = 0;
    d->until_ms = now_ms + (pause < p->pause_most_ms ? pause : p->pause_most_ms);
    return !was;
}

/* True: it has just died. */
static bool trouble(struct sp_pace *p, struct dest *d, const struct sp_pace_ticket *t,
                    enum sp_pace_verdict v, uint64_t now_ms)
{
    if (t->round != d->round)
        return false; /* it was under way at the time: this is known */
    d->round++;
    if (d->dead || (v == SP_PACE_DOWN && t->taken == d->taken) ||
        ++d->refusals >= SP_PACE_REFUSALS)
        return die(p, d, now_ms);
    d->window = d->window > 1 ? d->window / 2 : 1;
    d->credit = 0;
    d->careful = true;
    return false;
}

static bool revive(struct dest *d)
{
    bool was = d->dead;

    d->dead = false;
    d->failures = d->refusals = 0;
    if (was)
        d->round++; /* what fails now failed to another one */
    return was;
}

enum sp_pace_change sp_pace_result(struct sp_pace *p, const struct sp_pace_ticket *t,
                                   enum sp_pace_verdict v, const Sp__Attempt *attempt,
                                   uint64_t now_ms)
{
    struct dest *d = by_id(p, t->id);
    bool was;

    if (!d)
        return SP_PACE_SAME;
    if (d->out)
        d->out--;
    d->used_ms = now_ms;
    switch (v) {
    case SP_PACE_NOTHING:
        break;
    case SP_PACE_SPOKE:
    case SP_PACE_TOOK:
        was = revive(d);
        if (v == SP_PACE_TOOK)
            took(d);
        return was ? SP_PACE_REVIVED : SP_PACE_SAME;
    case SP_PACE_SLOW_DOWN:
    case SP_PACE_DOWN:
        if (attempt)
            remember(d, attempt, now_ms);
        return trouble(p, d, t, v, now_ms) ? SP_PACE_DIED : SP_PACE_SAME;
    }
    return SP_PACE_SAME;
}

void sp_pace_try(struct sp_pace *p, uint32_t id, uint64_t now_ms)
{
    struct dest *d = by_id(p, id);

    if (d && d->dead && d->until_ms > now_ms)
        d->until_ms = now_ms;
}

/* ---- looking ---- */

bool sp_pace_get(const struct sp_pace *p, uint32_t id, uint64_t now_ms,
                 struct sp_pace_info *ret)
{
    const struct dest *d = by_id(p, id);

    if (!d)
        return false;
    *ret = (struct sp_pace_info){.id = id,
                                 .route = d->route,
                                 .domain = d->domain,
                                 .connections = sp_pace_connections(p, id),
                                 .most = d->limits.most,
                                 .out = d->out,
                                 .failures = d->failures,
                                 .dead = d->dead,
                                 .words = d->words ? d->words : "",
                                 .where = d->words ? d->where : "",
                                 .trouble_ms = d->trouble_ms};
    ret->answer = sp_pace_ask(p, id, now_ms, &ret->wait_ms);
    return true;
}

bool sp_pace_next(const struct sp_pace *p, size_t *at, uint64_t now_ms,
                  struct sp_pace_info *ret)
{
    while (*at < p->cap)
        if (sp_pace_get(p, p->d[(*at)++].id, now_ms, ret))
            return true;
    return false;
}

size_t sp_pace_count(const struct sp_pace *p)
{
    return p->n;
}
