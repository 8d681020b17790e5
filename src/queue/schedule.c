/* schedule.c - see schedule.h. */
#include "schedule.h"

#include "alloc.h"
#include "text.h"

#include <assert.h>
#include <string.h>

/* ---- retry times ------------------------------------------------------------- */

void sp_retry_defaults(struct sp_retry *r)
{
    static const uint32_t steps[] = {60, 120, 300, 900, 1800, 3600, 7200, 14400};

    memset(r, 0, sizeof *r);
    memcpy(r->step_s, steps, sizeof steps);
    r->nsteps = sizeof steps / sizeof *steps;
    r->jitter_percent = 20;
    r->lifetime_s = 5 * 86400;
    r->notice_lifetime_s = 5 * 86400;
    r->delay_warning_s = 4 * 3600;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

uint64_t sp_retry_pause(const struct sp_retry *r, uint32_t attempts, uint64_t seed)
{
    uint32_t at = attempts ? attempts - 1 : 0;
    uint64_t base;

    if (r->nsteps == 0)
        return 60000;
    if (at >= r->nsteps)
        at = r->nsteps - 1;
    base = (uint64_t)r->step_s[at] * 1000;
    /* Without jitter everything that failed together comes back together. */
    return base + base * (mix(seed + attempts) % 1024) / 1024 * r->jitter_percent / 100;
}

/* ---- the schedule ------------------------------------------------------------ */

enum { NIL = UINT32_MAX, NAMES = 8192, GATES = 1024, PARKED = 4096 };
enum { URGENT, NORMAL, LOW, LEVELS };

/* Whose turn it is, for each level: rings of lines that have jobs, or NULL. */
struct rings {
    struct line *turn[LEVELS];
    unsigned passed[LEVELS]; /* how many of higher levels went first */
};

/* A user's ready jobs of one level in one lane or at one gate, and its place among the
 * users who have some. */
struct line {
    uint32_t head, tail;      /* first due first */
    struct line *next, *prev; /* in its ring, when it has jobs */
    struct rings *in;
    uint8_t level;
    /* at a gate: */
    struct gate *gate;
    struct user *user;
    struct line *chain;
};

/* A gate that has parked jobs. */
struct gate {
    uint32_t id;
    size_t jobs;
    struct rings rings;
    struct gate *next_in_bucket;
};

struct user {
    char *name;
    uint32_t jobs;
    struct user *next_in_bucket;
    struct line line[SP_SCHED_LANES][LEVELS];
};

struct entry {
    uint64_t job, message, due_ms;
    struct user *user;
    struct sp_dest *dest;
    uint32_t pos;        /* waiting: place in the heap */
    uint32_t next, prev; /* ready: neighbours; free: next free */
    uint32_t chain;      /* hash bucket */
    uint32_t gate;
    uint8_t state, lane, level;
    bool hold : 1; /* out, and to be held when it comes back */
    bool parked : 1;
    bool freed : 1;    /* it was parked: its turn at the gate has come */
    struct line *line; /* ready */
};

struct sp_sched {
    struct entry *e;
    uint32_t cap, free;
    uint32_t *bucket; /* job number -> entry; as many as cap */
    uint32_t *heap;   /* waiting entries, soonest first */
    uint32_t nheap;
    struct rings lanes[SP_SCHED_LANES];
    unsigned lane; /* the lane whose turn it is */
    struct gate *gates[GATES];
    struct line *parked[PARKED]; /* by gate, user and level */
    size_t ngates;
    sp_sched_open_fn *open;
    void *open_arg;
    struct user *users[NAMES];
    struct sp_dest *dests[NAMES];
    struct sp_sched_counts n;
};

static uint32_t hash_str(struct sp_str s)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return (uint32_t)mix(h);
}

struct sp_sched *sp_sched_new(void)
{
    struct sp_sched *s = sp_alloc(sizeof *s);

    if (s)
        s->free = NIL;
    return s;
}

void sp_sched_free(struct sp_sched *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < sizeof s->users / sizeof *s->users; i++)
        for (struct user *u = s->users[i], *next; u; u = next) {
            next = u->next_in_bucket;
            sp_free(u->name);
            sp_free(u);
        }
    for (size_t i = 0; i < sizeof s->dests / sizeof *s->dests; i++)
        for (struct sp_dest *d = s->dests[i], *next; d; d = next) {
            next = d->next_in_bucket;
            sp_free(d->domain);
            sp_free(d);
        }
    for (size_t i = 0; i < GATES; i++)
        for (struct gate *g = s->gates[i], *next; g; g = next) {
            next = g->next_in_bucket;
            sp_free(g);
        }
    for (size_t i = 0; i < PARKED; i++)
        for (struct line *l = s->parked[i], *next; l; l = next) {
            next = l->chain;
            sp_free(l);
        }
    sp_free(s->e);
    sp_free(s->bucket);
    sp_free(s->heap);
    sp_free(s);
}

static uint32_t *bucket_of(const struct sp_sched *s, uint64_t job)
{
    return &s->bucket[mix(job) % s->cap];
}

static struct entry *find(const struct sp_sched *s, uint64_t job)
{
    if (!s->cap)
        return NULL;
    for (uint32_t i = *bucket_of(s, job); i != NIL; i = s->e[i].chain)
        if (s->e[i].job == job)
            return &s->e[i];
    return NULL;
}

/* Twice as many entries, and the hash and the heap with them. */
static int grow(struct sp_sched *s)
{
    uint32_t cap = s->cap ? s->cap * 2 : 256;
    struct entry *e;
    uint32_t *bucket, *heap;

    if (s->cap > UINT32_MAX / 4)
        return -SP_ENOMEM;
    heap = sp_realloc(s->heap, cap * sizeof *heap);
    if (!heap)
        return -SP_ENOMEM;
    s->heap = heap;
    bucket = sp_alloc(cap * sizeof *bucket);
    e = bucket ? sp_realloc(s->e, cap * sizeof *e) : NULL;
    if (!e) {
        sp_free(bucket);
        return -SP_ENOMEM;
    }
    memset(e + s->cap, 0, (cap - s->cap) * sizeof *e);
    sp_free(s->bucket);
    s->bucket = bucket;
    s->e = e;
    for (uint32_t i = 0; i < cap; i++)
        bucket[i] = NIL;
    for (uint32_t i = s->cap; i-- > 0;) { /* grow() is called when none is free */
        e[i].chain = bucket[mix(e[i].job) % cap];
        bucket[mix(e[i].job) % cap] = i;
    }
    for (uint32_t i = cap; i-- > s->cap;) {
        e[i].next = s->free;
        s->free = i;
    }
    s->cap = cap;
    return 0;
}

/* ---- users and destinations, counted ----------------------------------------- */

static struct user *user_get(struct sp_sched *s, struct sp_str name)
{
    struct user **b = &s->users[hash_str(name) % (sizeof s->users / sizeof *s->users)];
    struct user *u;

    for (u = *b; u; u = u->next_in_bucket)
        if (sp_str_is(name, u->name))
            return u;
    u = sp_alloc(sizeof *u);
    if (!u)
        return NULL;
    u->name = sp_strndup(name.p, name.n);
    if (!u->name) {
        sp_free(u);
        return NULL;
    }
    for (size_t i = 0; i < SP_SCHED_LANES; i++)
        for (size_t k = 0; k < LEVELS; k++)
            u->line[i][k] = (struct line){
                .head = NIL, .tail = NIL, .in = &s->lanes[i], .level = (uint8_t)k};
    u->next_in_bucket = *b;
    *b = u;
    s->n.users++;
    return u;
}

static void user_put(struct sp_sched *s, struct user *u)
{
    struct user **b =
        &s->users[hash_str(sp_str(u->name)) % (sizeof s->users / sizeof *s->users)];

    if (u->jobs)
        return;
    while (*b != u)
        b = &(*b)->next_in_bucket;
    *b = u->next_in_bucket;
    s->n.users--;
    sp_free(u->name);
    sp_free(u);
}

static struct sp_dest **dest_at(struct sp_sched *s, struct sp_str domain)
{
    struct sp_dest **b =
        &s->dests[hash_str(domain) % (sizeof s->dests / sizeof *s->dests)];

    while (*b && !sp_str_is(domain, (*b)->domain))
        b = &(*b)->next_in_bucket;
    return b;
}

struct sp_dest *sp_sched_dest(struct sp_sched *s, struct sp_str domain)
{
    return *dest_at(s, domain);
}

static struct sp_dest *dest_get(struct sp_sched *s, struct sp_str domain)
{
    struct sp_dest **at = dest_at(s, domain), *d = *at;

    if (d)
        return d;
    d = sp_alloc(sizeof *d);
    if (!d)
        return NULL;
    d->domain = sp_strndup(domain.p, domain.n);
    if (!d->domain) {
        sp_free(d);
        return NULL;
    }
    *at = d;
    s->n.dests++;
    return d;
}

static void dest_put(struct sp_sched *s, struct sp_dest *d)
{
    struct sp_dest **at;

    if (d->jobs)
        return;
    at = dest_at(s, sp_str(d->domain));
    *at = d->next_in_bucket;
    s->n.dests--;
    sp_free(d->domain);
    sp_free(d);
}

/* ---- the heap of waiting jobs ------------------------------------------------ */

static bool sooner(const struct sp_sched *s, uint32_t a, uint32_t b)
{
    const struct entry *x = &s->e[s->heap[a]], *y = &s->e[s->heap[b]];

    return x->due_ms != y->due_ms ? x->due_ms < y->due_ms : x->job < y->job;
}

static void heap_swap(struct sp_sched *s, uint32_t a, uint32_t b)
{
    uint32_t t = s->heap[a];

    s->heap[a] = s->heap[b];
    s->heap[b] = t;
    s->e[s->heap[a]].pos = a;
    s->e[s->heap[b]].pos = b;
}

static void heap_fix(struct sp_sched *s, uint32_t i)
{
    while (i > 0 && sooner(s, i, (i - 1) / 2)) {
        heap_swap(s, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
    for (;;) {
        uint32_t least = i;

        for (uint32_t c = 2 * i + 1; c <= 2 * i + 2 && c < s->nheap; c++)
            if (sooner(s, c, least))
                least = c;
        if (least == i)
            return;
        heap_swap(s, i, least);
        i = least;
    }
}

static void heap_add(struct sp_sched *s, struct entry *e)
{
    e->pos = s->nheap;
    s->heap[s->nheap++] = (uint32_t)(e - s->e);
    heap_fix(s, e->pos);
}

static void heap_remove(struct sp_sched *s, struct entry *e)
{
    uint32_t at = e->pos;

    assert(at < s->nheap);
    s->nheap--;
    if (at == s->nheap)
        return;
    heap_swap(s, at, s->nheap);
    heap_fix(s, at);
}

/* ---- lines, and the rings that they stand in --------------------------------------- */

static void line_add(struct sp_sched *s, struct line *l, struct entry *e, bool first)
{
    struct line **turn = &l->in->turn[l->level];
    uint32_t i = (uint32_t)(e - s->e);

    e->line = l;
    e->next = first ? l->head : NIL;
    e->prev = first ? NIL : l->tail;
    *(e->prev == NIL ? &l->head : &s->e[e->prev].next) = i;
    *(e->next == NIL ? &l->tail : &s->e[e->next].prev) = i;
    if (l->next)
        return;
    if (!*turn) {
        *turn = l->next = l->prev = l;
        return;
    }
    l->next = *turn; /* a newcomer has its turn behind all others */
    l->prev = (*turn)->prev;
    l->prev->next = l->next->prev = l;
}

static void line_remove(struct sp_sched *s, struct entry *e)
{
    struct line *l = e->line, **turn = &l->in->turn[l->level];

    e->line = NULL;
    *(e->prev == NIL ? &l->head : &s->e[e->prev].next) = e->next;
    *(e->next == NIL ? &l->tail : &s->e[e->next].prev) = e->prev;
    if (l->head != NIL)
        return;
    if (*turn == l)
        *turn = l->next == l ? NULL : l->next;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->next = l->prev = NULL;
}

/* The level whose turn it is; LEVELS: there is nothing. */
static unsigned next_level(struct rings *r)
{
    unsigned level = LEVELS;

    for (unsigned k = 0; k < LEVELS; k++)
        if (r->turn[k] && (level == LEVELS || (r->passed[k] >= SP_SCHED_SHARE &&
                                               r->passed[level] < SP_SCHED_SHARE)))
            level = k;
    for (unsigned k = level; k < LEVELS; k++)
        r->passed[k] = k > level && r->turn[k] ? r->passed[k] + 1 : 0;
    return level;
}

/* ---- gates ------------------------------------------------------------------------- */

static struct gate **gate_at(struct sp_sched *s, uint32_t id)
{
    struct gate **b = &s->gates[mix(id) % GATES];

    while (*b && (*b)->id != id)
        b = &(*b)->next_in_bucket;
    return b;
}

static struct line **parked_at(struct sp_sched *s, const struct gate *g,
                               const struct user *u, unsigned level)
{
    struct line **b =
        &s->parked[mix((uintptr_t)g ^ mix((uintptr_t)u + level)) % PARKED];

    while (*b && ((*b)->gate != g || (*b)->user != u || (*b)->level != level))
        b = &(*b)->chain;
    return b;
}

static void gate_put(struct sp_sched *s, struct gate *g)
{
    struct gate **at;

    if (g->jobs)
        return;
    at = gate_at(s, g->id);
    *at = g->next_in_bucket;
    s->ngates--;
    sp_free(g);
}

static struct gate *gate_get(struct sp_sched *s, uint32_t id)
{
    struct gate **at = gate_at(s, id), *g = *at;

    if (g)
        return g;
    g = sp_alloc(sizeof *g);
    if (!g)
        return NULL;
    g->id = id;
    *at = g;
    s->ngates++;
    return g;
}

static struct line *parked_line(struct sp_sched *s, struct gate *g, struct user *u,
                                unsigned level)
{
    struct line **at = parked_at(s, g, u, level), *l = *at;

    if (l)
        return l;
    l = sp_alloc(sizeof *l);
    if (!l)
        return NULL;
    *l = (struct line){.head = NIL,
                       .tail = NIL,
                       .in = &g->rings,
                       .level = (uint8_t)level,
                       .gate = g,
                       .user = u};
    *at = l;
    return l;
}

/* ---- ready: in the user's line of a lane, or parked ------------------------------------ */

static void ready_add(struct sp_sched *s, struct entry *e, bool first)
{
    s->n.lane[e->lane]++;
    line_add(s, &e->user->line[e->lane][e->level], e, first);
}

static void ready_remove(struct sp_sched *s, struct entry *e)
{
    struct line *l = e->line;
    struct gate *g = l->gate;

    line_remove(s, e);
    if (!g) {
        s->n.lane[e->lane]--;
        return;
    }
    e->parked = false;
    s->n.parked--;
    g->jobs--;
    if (l->head == NIL) {
        struct line **at = parked_at(s, g, l->user, l->level);

        *at = l->chain;
        sp_free(l);
    }
    gate_put(s, g);
}

/* From its lane to its gate.  False: no memory, it stays. */
static bool park(struct sp_sched *s, struct entry *e)
{
    struct gate *g = gate_get(s, e->gate);
    struct line *l = g ? parked_line(s, g, e->user, e->level) : NULL;

    if (!l) {
        if (g)
            gate_put(s, g);
        return false;
    }
    ready_remove(s, e);
    line_add(s, l, e, e->freed);
    e->parked = true;
    e->freed = false;
    g->jobs++;
    s->n.parked++;
    return true;
}

static void unpark(struct sp_sched *s, struct entry *e)
{
    ready_remove(s, e);
    e->freed = true;
    ready_add(s, e, true);
}

size_t sp_sched_unpark(struct sp_sched *s, uint32_t id, size_t n)
{
    struct gate *g;

    for (; (g = *gate_at(s, id)) && n; n--) {
        unsigned level = next_level(&g->rings);
        struct line *l = g->rings.turn[level];

        g->rings.turn[level] = l->next;
        unpark(s, &s->e[l->head]);
    }
    return g ? g->jobs : 0;
}

size_t sp_sched_shut(const struct sp_sched *s, uint32_t *ret_gate, size_t n)
{
    size_t k = 0;

    for (size_t i = 0; i < GATES; i++)
        for (const struct gate *g = s->gates[i]; g && k < n; g = g->next_in_bucket)
            ret_gate[k++] = g->id;
    return s->ngates;
}

void sp_sched_gates(struct sp_sched *s, sp_sched_open_fn *fn, void *arg)
{
    s->open = fn;
    s->open_arg = arg;
}

/* Must it be parked?  Whose turn at the gate has come passes those who stand there. */
static bool is_shut(struct sp_sched *s, const struct entry *e)
{
    return e->gate && s->open &&
           ((!e->freed && *gate_at(s, e->gate)) || !s->open(s->open_arg, e->gate));
}

/* ---- one place where a job's state changes ----------------------------------- */

static size_t *counter(struct sp_sched *s, enum sp_sched_state st)
{
    switch (st) {
    case SP_SCHED_WAITING:
        return &s->n.waiting;
    case SP_SCHED_READY:
        return &s->n.ready;
    case SP_SCHED_OUT:
        return &s->n.out;
    case SP_SCHED_HELD:
        return &s->n.held;
    }
    assert(!"state");
    return NULL;
}

static void leave(struct sp_sched *s, struct entry *e)
{
    if (e->state == SP_SCHED_WAITING)
        heap_remove(s, e);
    else if (e->state == SP_SCHED_READY)
        ready_remove(s, e);
    else if (e->state == SP_SCHED_OUT)
        e->dest->out--;
    --*counter(s, (enum sp_sched_state)e->state);
}

static void enter(struct sp_sched *s, struct entry *e, enum sp_sched_state st)
{
    e->state = (uint8_t)st;
    ++*counter(s, st);
    if (st == SP_SCHED_WAITING)
        heap_add(s, e);
    else if (st == SP_SCHED_READY)
        ready_add(s, e, false);
    else if (st == SP_SCHED_OUT)
        e->dest->out++;
    e->freed = false;
    if (st != SP_SCHED_OUT)
        e->hold = false;
}

static void move(struct sp_sched *s, struct entry *e, enum sp_sched_state st)
{
    leave(s, e);
    enter(s, e, st);
}

int sp_sched_add(struct sp_sched *s, uint64_t job, uint64_t message, uint64_t due_ms,
                 bool held, struct sp_str domain, struct sp_str user)
{
    struct user *u;
    struct sp_dest *d;
    struct entry *e;
    uint32_t *b;

    if (find(s, job))
        return -SP_EEXIST;
    if (s->free == NIL && grow(s) < 0)
        return -SP_ENOMEM;
    u = user_get(s, user);
    if (!u)
        return -SP_ENOMEM;
    d = dest_get(s, domain);
    if (!d) {
        user_put(s, u);
        return -SP_ENOMEM;
    }
    e = &s->e[s->free];
    s->free = e->next;
    memset(e, 0, sizeof *e);
    e->job = job;
    e->message = message;
    e->due_ms = due_ms;
    e->user = u;
    e->dest = d;
    e->level = NORMAL;
    u->jobs++;
    d->jobs++;
    b = bucket_of(s, job);
    e->chain = *b;
    *b = (uint32_t)(e - s->e);
    enter(s, e, held ? SP_SCHED_HELD : SP_SCHED_WAITING);
    return 0;
}

int sp_sched_done(struct sp_sched *s, uint64_t job)
{
    struct entry *e = find(s, job);
    uint32_t *at, i;

    if (!e)
        return -SP_ENOENT;
    i = (uint32_t)(e - s->e);
    leave(s, e);
    for (at = bucket_of(s, job); *at != i; at = &s->e[*at].chain)
        ;
    *at = e->chain;
    e->user->jobs--;
    e->dest->jobs--;
    user_put(s, e->user);
    dest_put(s, e->dest);
    e->job = 0;
    e->next = s->free;
    s->free = i;
    return 0;
}

/* Where it stands depends on this: it goes there, behind the others. */
static void put_again(struct sp_sched *s, struct entry *e, bool was_ready)
{
    if (was_ready)
        ready_add(s, e, false);
}

static bool step_out(struct sp_sched *s, struct entry *e)
{
    bool ready = e->state == SP_SCHED_READY;

    if (ready)
        ready_remove(s, e);
    e->freed = false;
    return ready;
}

int sp_sched_lane(struct sp_sched *s, uint64_t job, unsigned lane)
{
    struct entry *e = find(s, job);
    bool ready;

    if (!e)
        return -SP_ENOENT;
    assert(lane < SP_SCHED_LANES);
    ready = step_out(s, e);
    e->lane = (uint8_t)lane;
    put_again(s, e, ready);
    return 0;
}

int sp_sched_priority(struct sp_sched *s, uint64_t job, int priority)
{
    struct entry *e = find(s, job);
    bool ready;

    if (!e)
        return -SP_ENOENT;
    ready = step_out(s, e);
    e->level = priority > 0 ? URGENT : priority < 0 ? LOW : NORMAL;
    put_again(s, e, ready);
    return 0;
}

int sp_sched_gate(struct sp_sched *s, uint64_t job, uint32_t gate)
{
    struct entry *e = find(s, job);
    bool ready;

    if (!e)
        return -SP_ENOENT;
    if (e->gate == gate)
        return 0;
    ready = step_out(s, e);
    e->gate = gate;
    put_again(s, e, ready);
    return 0;
}

void sp_sched_open_all(struct sp_sched *s)
{
    for (uint32_t i = 0; i < s->cap; i++) {
        struct entry *e = &s->e[i];

        if (!e->job || !e->gate)
            continue;
        if (e->parked)
            unpark(s, e);
        e->freed = false;
        e->gate = 0;
    }
}

/* The first line of the next lane that has one, or NULL. */
static struct line *next_line(struct sp_sched *s, unsigned lanes)
{
    for (unsigned i = 0; i < SP_SCHED_LANES; i++) {
        unsigned lane = (s->lane + i) % SP_SCHED_LANES, level;
        struct line *l;

        if (!(lanes & 1U << lane) || (level = next_level(&s->lanes[lane])) == LEVELS)
            continue;
        l = s->lanes[lane].turn[level];
        s->lanes[lane].turn[level] = l->next;
        s->lane = lane + 1;
        return l;
    }
    return NULL;
}

/* The user's next job whose gate is open; those before it are parked, which is no turn. */
static struct entry *first_open(struct sp_sched *s, const struct line *l)
{
    while (l->head != NIL) {
        struct entry *e = &s->e[l->head];

        if (!is_shut(s, e) || !park(s, e))
            return e;
    }
    return NULL;
}

size_t sp_sched_take(struct sp_sched *s, uint64_t now_ms, unsigned lanes, size_t n,
                     uint64_t *ret_job)
{
    struct line *l;
    size_t got = 0;

    while (s->nheap && s->e[s->heap[0]].due_ms <= now_ms)
        move(s, &s->e[s->heap[0]], SP_SCHED_READY);
    while (got < n && (l = next_line(s, lanes))) {
        struct entry *e = first_open(s, l);

        if (!e)
            continue;
        move(s, e, SP_SCHED_OUT);
        ret_job[got++] = e->job;
    }
    return got;
}

int sp_sched_take_one(struct sp_sched *s, uint64_t job)
{
    struct entry *e = find(s, job);

    if (!e)
        return -SP_ENOENT;
    if (e->state != SP_SCHED_WAITING && e->state != SP_SCHED_READY)
        return -SP_ESTATE;
    move(s, e, SP_SCHED_OUT);
    return 0;
}

/* Where a job goes that comes back: the hold that was asked for meanwhile wins. */
static int come_back(struct sp_sched *s, struct entry *e, uint64_t due_ms)
{
    bool held = e->hold || e->state == SP_SCHED_HELD;

    leave(s, e);
    e->due_ms = due_ms;
    enter(s, e, held ? SP_SCHED_HELD : SP_SCHED_WAITING);
    return 0;
}

int sp_sched_retry(struct sp_sched *s, uint64_t job, uint64_t due_ms)
{
    struct entry *e = find(s, job);

    return e ? come_back(s, e, due_ms) : -SP_ENOENT;
}

int sp_sched_back(struct sp_sched *s, uint64_t job)
{
    struct entry *e = find(s, job);

    if (!e)
        return -SP_ENOENT;
    return e->state == SP_SCHED_OUT ? come_back(s, e, e->due_ms) : -SP_ESTATE;
}

int sp_sched_hold(struct sp_sched *s, uint64_t job)
{
    struct entry *e = find(s, job);

    if (!e)
        return -SP_ENOENT;
    if (e->state == SP_SCHED_OUT)
        e->hold = true;
    else if (e->state != SP_SCHED_HELD)
        move(s, e, SP_SCHED_HELD);
    return 0;
}

int sp_sched_release(struct sp_sched *s, uint64_t job, uint64_t due_ms)
{
    struct entry *e = find(s, job);

    if (!e)
        return -SP_ENOENT;
    e->hold = false;
    if (e->state == SP_SCHED_OUT)
        return 0;
    leave(s, e);
    e->due_ms = due_ms;
    enter(s, e, SP_SCHED_WAITING);
    return 0;
}

bool sp_sched_next(const struct sp_sched *s, unsigned lanes, uint64_t *ret_ms)
{
    bool ready = false;

    for (unsigned i = 0; i < SP_SCHED_LANES; i++)
        for (unsigned k = 0; k < LEVELS; k++)
            ready |= s->lanes[i].turn[k] && lanes & 1U << i;
    if (ready)
        *ret_ms = 0;
    else if (s->nheap)
        *ret_ms = s->e[s->heap[0]].due_ms;
    return ready || s->nheap;
}

static struct sp_sched_job told(const struct entry *e)
{
    return (struct sp_sched_job){.job = e->job,
                                 .message = e->message,
                                 .due_ms = e->due_ms,
                                 .domain = sp_str(e->dest->domain),
                                 .user = sp_str(e->user->name),
                                 .state = (enum sp_sched_state)e->state,
                                 .lane = e->lane,
                                 .priority = e->level == URGENT ? 1
                                             : e->level == LOW  ? -1
                                                                : 0,
                                 .gate = e->gate,
                                 .parked = e->parked};
}

int sp_sched_get(const struct sp_sched *s, uint64_t job, struct sp_sched_job *ret)
{
    const struct entry *e = find(s, job);

    if (!e)
        return -SP_ENOENT;
    *ret = told(e);
    return 0;
}

size_t sp_sched_wake(struct sp_sched *s, uint64_t now_ms, sp_sched_which_fn *which,
                     void *arg)
{
    size_t n = 0;

    for (uint32_t i = 0; i < s->cap; i++) {
        struct entry *e = &s->e[i];
        struct sp_sched_job j;

        if (!e->job || e->state != SP_SCHED_WAITING || e->due_ms <= now_ms)
            continue;
        j = told(e);
        if (!which(arg, &j))
            continue;
        (void)come_back(s, e, now_ms);
        n++;
    }
    return n;
}

void sp_sched_count(const struct sp_sched *s, struct sp_sched_counts *ret)
{
    *ret = s->n;
}
