/* acct_dir.c - see acct_dir.h. */
#include "acct_dir.h"
#include "users_i.h"

#include "alloc.h"
#include "err.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum {
    ENTRIES = 16384, /* a power of two */
    WAYS = 4,
    GRACE_MS = 120 * 1000, /* a judgement under way may look again after `believe` */
    NOBODY_MS = 5000,      /* a new account should not have to wait long */
    AWAY_MS = 1000,        /* a dead directory is not asked for each login */
    MISSING_MAX = 16,
    SECTIONS_MAX = 64,
};

enum state { EMPTY, NEW, USER, NOBODY, AWAY }; /* NEW: asked for the first time */

struct entry {
    enum state state;
    struct sp_dir_question q;
    struct sp_user *user;
    uint64_t at_ms;
    uint64_t generation, secret_generation;
    uint8_t all[32], secret[32]; /* digests of what was answered last */
    bool seen;                   /* there was a last time */
    bool asking;     /* meanwhile what was answered before still serves */
    bool used, told;
    char reason[160];
};

struct sp_dir {
    struct sp_users users; /* what sp_dir_users() gives: `dir` is set, there is no db */
    struct sp_users *db;
    const struct sp_conf_accounts *section;
    size_t n;
    uint64_t print; /* of the sections in force */
    uint64_t now_ms, next_generation;
    bool by_password;
    struct sp_dir_question missing[MISSING_MAX];
    size_t n_missing;
    struct entry *entry;
};

int sp_dir_new(struct sp_users *db, struct sp_dir **ret, struct sp_err *err)
{
    struct sp_dir *d = sp_alloc(sizeof *d);

    if (d)
        d->entry = sp_alloc(ENTRIES * sizeof *d->entry);
    if (!d || !d->entry) {
        sp_free(d);
        return sp_err_nomem(err);
    }
    d->db = db;
    d->users.dir = d;
    /* Far above those of users.db: an account may move from there to another section. */
    d->next_generation = (uint64_t)1 << 40;
    *ret = d;
    return 0;
}

static void forget(struct sp_dir *d)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        sp_user_free(d->entry[i].user);
        memset(&d->entry[i], 0, sizeof d->entry[i]);
    }
}

void sp_dir_free(struct sp_dir *d)
{
    if (!d)
        return;
    forget(d);
    sp_free(d->entry);
    sp_free(d);
}

static uint64_t mix(uint64_t h, const char *s)
{
    for (; s && *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211U;
    return (h ^ 0xff) * 1099511628211U;
}

void sp_dir_sections(struct sp_dir *d, const struct sp_conf *c)
{
    uint64_t h = 14695981039346656037U;

    d->section = c->accounts;
    d->n = c->n_accounts < SECTIONS_MAX ? c->n_accounts : SECTIONS_MAX;
    for (size_t i = 0; i < d->n; i++) {
        const struct sp_conf_accounts *s = &c->accounts[i];
        const char *const texts[] = {s->head.name, s->domain, s->path, s->base, s->filter,
                                     s->certificate_filter, s->bind_template, s->service,
                                     s->service_directory, s->connection, s->query,
                                     s->certificate_query, s->socket, s->user_socket};
        char numbers[64];

        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
            h = mix(h, texts[k]);
        for (size_t k = 0; k < s->url.n; k++)
            h = mix(h, s->url.v[k]);
        for (size_t k = 0; k < s->fields.n; k++)
            h = mix(h, s->fields.v[k]);
        snprintf(numbers, sizeof numbers, "%d %d %d", s->type, s->local_rights, s->password_by);
        h = mix(h, numbers);
    }
    if (h != d->print)
        forget(d);
    d->print = h;
}

bool sp_dir_any(const struct sp_dir *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->section[i].type != SP_CONF_ACCTS_SQLITE)
            return true;
    return false;
}

uint32_t sp_dir_scram_iterations(const struct sp_dir *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->section[i].type != SP_CONF_ACCTS_SQLITE &&
            (sp_acct_can(&d->section[i]) & SP_ACCT_CAN_SCRAM ||
             d->section[i].pass_through.n))
            return (uint32_t)d->section[i].scram_iterations;
    return 0;
}

struct sp_users *sp_dir_users(struct sp_dir *d)
{
    /* Without a section there is nothing to add to users.db, nor to what it costs. */
    return d->n ? &d->users : d->db;
}

struct sp_users *sp_dir_db(const struct sp_dir *d)
{
    return d->db;
}

void sp_dir_now(struct sp_dir *d, uint64_t now_ms)
{
    d->now_ms = now_ms;
}

void sp_dir_by_password(struct sp_dir *d, bool yes)
{
    d->by_password = yes;
}

/* ---- entries ---- */

static bool same(const struct sp_dir_question *a, const struct sp_dir_question *b)
{
    return a->what == b->what && a->source == b->source && strcmp(a->name, b->name) == 0;
}

static struct entry *set_of(struct sp_dir *d, const struct sp_dir_question *q)
{
    uint64_t h = mix(14695981039346656037U + q->what * 31 + q->source, q->name);

    return &d->entry[(h ^ h >> 29) & (ENTRIES - 1) & ~(uint64_t)(WAYS - 1)];
}

static struct entry *find_entry(struct sp_dir *d, const struct sp_dir_question *q)
{
    struct entry *e = set_of(d, q);

    for (int i = 0; i < WAYS; i++)
        if (e[i].state != EMPTY && same(&e[i].q, q))
            return &e[i];
    return NULL;
}

/* An empty place, else the oldest one. */
static struct entry *make_entry(struct sp_dir *d, const struct sp_dir_question *q)
{
    struct entry *e = find_entry(d, q), *set = set_of(d, q);

    if (e)
        return e;
    e = set;
    for (int i = 1; i < WAYS && e->state != EMPTY; i++)
        if (set[i].state == EMPTY || set[i].at_ms < e->at_ms)
            e = &set[i];
    sp_user_free(e->user);
    memset(e, 0, sizeof *e);
    e->q = *q;
    e->state = NEW;
    e->at_ms = d->now_ms;
    return e;
}

static uint64_t life_ms(const struct sp_dir *d, const struct entry *e)
{
    uint64_t ms = d->section[e->q.source].believe_s * 1000;

    if (e->state == AWAY)
        return AWAY_MS;
    if (e->state == NOBODY && ms > NOBODY_MS)
        return NOBODY_MS;
    return ms;
}

static bool fresh(const struct sp_dir *d, const struct entry *e)
{
    return d->now_ms - e->at_ms <= life_ms(d, e);
}

/* ---- questions ---- */

void sp_dir_begin(struct sp_dir *d)
{
    d->n_missing = 0;
}

size_t sp_dir_missing(const struct sp_dir *d)
{
    return d->n_missing;
}

const struct sp_dir_question *sp_dir_question(const struct sp_dir *d, size_t i)
{
    return &d->missing[i];
}

int sp_dir_asking(struct sp_dir *d, const struct sp_dir_question *q)
{
    struct entry *e = make_entry(d, q);

    if (e->asking)
        return 0;
    e->asking = true;
    return 1;
}

static int missing(struct sp_dir *d, const struct sp_dir_question *q, struct sp_err *err)
{
    for (size_t i = 0; i < d->n_missing; i++)
        if (same(&d->missing[i], q))
            return -SP_EAGAIN;
    if (d->n_missing < MISSING_MAX)
        d->missing[d->n_missing++] = *q;
    return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN, "accounts %s is being asked",
                      d->section[q->source].head.name);
}

/* ---- answers ---- */

/* A digest of what makes the account what it is, and one of its secrets. */
static bool digests(const struct sp_acct *a, uint8_t all[32], uint8_t secret[32])
{
    EVP_MD_CTX *x = EVP_MD_CTX_new(), *y = EVP_MD_CTX_new();
    bool ok = x && y && EVP_DigestInit_ex(x, EVP_sha256(), NULL) == 1 &&
              EVP_DigestInit_ex(y, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; ok && i < a->n; i++) {
        uint64_t head[2] = {a->v[i].field, a->v[i].value.n};
        bool is_secret = head[0] >= SP_ACCT_F_PASSWORD && head[0] <= SP_ACCT_F_SCRAM1;

        ok = EVP_DigestUpdate(x, head, sizeof head) == 1 &&
             EVP_DigestUpdate(x, a->v[i].value.p, a->v[i].value.n) == 1 &&
             (!is_secret || (EVP_DigestUpdate(y, head, sizeof head) == 1 &&
                             EVP_DigestUpdate(y, a->v[i].value.p, a->v[i].value.n) == 1));
    }
    ok = ok && EVP_DigestFinal_ex(x, all, NULL) == 1 && EVP_DigestFinal_ex(y, secret, NULL) == 1;
    EVP_MD_CTX_free(x);
    EVP_MD_CTX_free(y);
    return ok;
}

/* The account of the same name in users.db adds what the section cannot hold. */
static int add_local(struct sp_dir *d, const char *name, struct sp_acct *a, struct sp_err *err)
{
    struct sp_user *u = NULL;
    char text[32];
    int rc = sp_users_get(d->db, sp_str(name), &u, err);

    if (rc < 0)
        return rc == -SP_ENOENT ? 0 : rc;
    for (size_t i = 0; rc == 0 && i < u->addresses; i++)
        rc = sp_acct_put(a, i < u->own_addresses ? SP_ACCT_F_ADDRESS : SP_ACCT_F_GRANT,
                         sp_str(u->address[i]));
    for (size_t i = 0; rc == 0 && i < u->act_as_count; i++)
        rc = sp_acct_put(a, SP_ACCT_F_ACT_AS, sp_str(u->act_as[i]));
    for (size_t i = 0; rc == 0 && i < u->pins; i++)
        rc = sp_acct_put(a, SP_ACCT_F_PIN, sp_str(u->pin[i]));
    if (rc == 0 && *u->mechanisms)
        rc = sp_acct_put(a, SP_ACCT_F_MECHANISMS, sp_str(u->mechanisms));
    if (rc == 0 && !u->enabled)
        rc = sp_acct_put(a, SP_ACCT_F_DISABLED, SP_LIT("yes"));
    snprintf(text, sizeof text, "%llu", (unsigned long long)u->generation);
    if (rc == 0)
        rc = sp_acct_put(a, SP_ACCT_F_LOCAL, sp_str(text));
    sp_user_free(u);
    return rc;
}

static void take_limits(struct sp_dir *d, struct sp_user *user)
{
    struct sp_user *u;

    if (sp_users_get(d->db, sp_str(user->name), &u, NULL) < 0)
        return;
    user->limits = u->limits;
    user->blind = false; /* somebody wrote it down: the account exists */
    sp_user_free(u);
}

static int make_user(struct sp_dir *d, const struct sp_dir_question *q,
                     const struct sp_acct *answer, struct sp_acct *full,
                     struct sp_user **ret, struct sp_err *err)
{
    const struct sp_conf_accounts *s = &d->section[q->source];
    struct sp_str asked = q->what == SP_ACCT_FIND ? sp_str(q->name) : (struct sp_str){"", 0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < answer->n; i++)
        rc = sp_acct_put(full, answer->v[i].field, answer->v[i].value);
    if (rc == 0)
        rc = sp_acct_user(full, asked, s->domain, ret, err);
    if (rc == 0 && s->local_rights) {
        struct sp_user *again = NULL;

        rc = add_local(d, (*ret)->name, full, err);
        if (rc == 0)
            rc = sp_acct_user(full, asked, s->domain, &again, err);
        if (rc == 0) {
            sp_user_free(*ret);
            *ret = again;
            take_limits(d, again);
        }
    }
    if (rc < 0) {
        sp_user_free(*ret);
        *ret = NULL;
    }
    return rc;
}

/* A new generation when it is not what it was; the secrets' one only when they changed
 * while we knew them: a session must not end because this process was started again. */
static void number_user(struct sp_dir *d, struct entry *e, struct sp_user *user,
                        const struct sp_acct *full)
{
    uint8_t all[32], secret[32];

    if (!digests(full, all, secret))
        memset(all, 0, sizeof all), memset(secret, 0, sizeof secret);
    if (!e->seen || memcmp(all, e->all, sizeof all) != 0) {
        e->generation = d->next_generation++;
        if (e->seen && memcmp(secret, e->secret, sizeof secret) != 0)
            e->secret_generation = e->generation;
        e->told = !e->seen;
    } else {
        e->told = true; /* nothing new for sessions */
    }
    e->seen = true;
    memcpy(e->all, all, sizeof all);
    memcpy(e->secret, secret, sizeof secret);
    user->generation = e->generation;
    user->secret_generation = e->secret_generation;
    user->source = e->q.source;
}

int sp_dir_answer(struct sp_dir *d, const struct sp_dir_question *q, enum sp_acct_status st,
                  const struct sp_acct *answer, bool checked, const char *reason,
                  struct sp_err *err)
{
    struct entry *e;
    struct sp_user *user = NULL;
    struct sp_acct full;
    int rc = 0;

    if (q->source >= d->n)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "an answer of no section");
    e = make_entry(d, q);
    e->asking = e->asking && checked;
    if (st == SP_ACCT_OK && !checked && e->state == USER &&
        sp_str_is(sp_acct_first(answer, SP_ACCT_F_BLIND), "yes")) {
        e->at_ms = d->now_ms; /* it knows less than a password's check did */
        return 0;
    }
    sp_acct_init(&full);
    if (st == SP_ACCT_OK)
        rc = make_user(d, q, answer, &full, &user, err);
    sp_user_free(e->user);
    e->user = user;
    e->at_ms = d->now_ms;
    e->state = user ? USER : st == SP_ACCT_NO || rc == -SP_EINPUT ? NOBODY : AWAY;
    if (user)
        number_user(d, e, user, &full);
    if (e->state == AWAY)
        snprintf(e->reason, sizeof e->reason, "accounts %s: %.110s",
                 d->section[q->source].head.name, rc < 0 && err ? err->text : reason);
    sp_acct_reset(&full);
    return 0;
}

void sp_dir_expired(struct sp_dir *d, void (*each)(void *arg, struct sp_str name), void *arg)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *e = &d->entry[i];

        if (e->state != USER || !e->used)
            continue;
        if (!e->told || !fresh(d, e)) {
            each(arg, sp_str(e->user->name));
            e->told = true;
            e->used = fresh(d, e);
        }
    }
}

/* ---- looking ---- */

/* 0 with *ret_user, -SP_ENOENT the next section, else the reason. */
static int look_remote(struct sp_dir *d, const struct sp_dir_question *q,
                       struct sp_user **ret_user, struct sp_err *err)
{
    struct entry *e = find_entry(d, q);

    if (!e || e->state == NEW)
        return missing(d, q, err);
    if (!fresh(d, e)) {
        (void)missing(d, q, err);
        if (d->now_ms - e->at_ms > life_ms(d, e) + GRACE_MS)
            return -SP_EAGAIN;
    }
    if (e->state == NOBODY || (e->state == USER && e->user->blind && !d->by_password))
        return -SP_ENOENT;
    if (e->state == AWAY)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN, "%s", e->reason);
    e->used = true;
    e->user->shared++;
    *ret_user = e->user;
    return 0;
}

static int unknown(struct sp_err *err)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "there is no such account");
}

int sp_dir_find(struct sp_dir *d, struct sp_str text, struct sp_user **ret_user,
                struct sp_err *err)
{
    struct sp_dir_question q = {.what = SP_ACCT_FIND};
    int rc = -SP_ENOENT;

    if (sp_acct_name(text, q.name, sizeof q.name) < 0)
        return unknown(err);
    for (size_t i = 0; i < d->n && rc == -SP_ENOENT; i++) {
        q.source = (unsigned)i;
        rc = d->section[i].type == SP_CONF_ACCTS_SQLITE
                 ? sp_users_find(d->db, text, ret_user, err)
                 : look_remote(d, &q, ret_user, err);
    }
    return rc == -SP_ENOENT ? unknown(err) : rc;
}

int sp_dir_get(struct sp_dir *d, struct sp_str name, struct sp_user **ret_user,
               struct sp_err *err)
{
    char canonical[SP_NAME_MAX + 1];
    int n = sp_account_canonical(name, canonical, sizeof canonical),
        rc = n < 0 ? unknown(err) : sp_dir_find(d, name, ret_user, err);

    if (rc == 0 && strcmp((*ret_user)->name, canonical) != 0) {
        sp_user_free(*ret_user); /* found by an address */
        rc = unknown(err);
    }
    return rc;
}

static void hit_of(const struct sp_user *u, struct sp_users_hit *h)
{
    snprintf(h->name, sizeof h->name, "%s", u->name);
    h->enabled = u->enabled;
    h->has_password = u->has_password;
}

/* Certificates: by an address, as names are, or by a pin.  Mappings of URIs and subjects
 * are in users.db only. */
int sp_dir_by(struct sp_dir *d, enum sp_users_key key, struct sp_str value,
              struct sp_str second, struct sp_users_hit *ret_hits, size_t cap,
              struct sp_err *err)
{
    struct sp_dir_question q = {
        .what = key == SP_USERS_BY_PIN ? SP_ACCT_FIND_BY_PIN : SP_ACCT_FIND};
    bool named = key == SP_USERS_BY_PIN
                     ? value.n == 64 && (memcpy(q.name, value.p, 64), true)
                     : sp_acct_name(value, q.name, sizeof q.name) > 0;
    int rc = 0;

    for (size_t i = 0; i < d->n && rc == 0; i++) {
        const struct sp_conf_accounts *s = &d->section[i];
        unsigned can = sp_acct_can(s);
        struct sp_user *u = NULL;

        q.source = (unsigned)i;
        if (s->type == SP_CONF_ACCTS_SQLITE || s->local_rights)
            rc = sp_users_by(d->db, key, value, second, ret_hits, cap, err);
        if (rc != 0 || s->type == SP_CONF_ACCTS_SQLITE || !named ||
            (key != SP_USERS_BY_PIN && key != SP_USERS_BY_ADDRESS) ||
            !(can & (key == SP_USERS_BY_PIN ? SP_ACCT_CAN_PIN : SP_ACCT_CAN_FIND)))
            continue;
        rc = look_remote(d, &q, &u, err);
        if (rc == -SP_ENOENT) {
            rc = 0;
        } else if (rc == 0) {
            hit_of(u, &ret_hits[0]);
            sp_user_free(u);
            rc = 1;
        }
    }
    return rc;
}

int sp_dir_any_certificate(struct sp_dir *d, struct sp_err *err)
{
    int rc = sp_users_any_certificate(d->db, err);

    for (size_t i = 0; i < d->n && rc == 0; i++)
        if (d->section[i].type != SP_CONF_ACCTS_SQLITE)
            rc = (sp_acct_can(&d->section[i]) & SP_ACCT_CAN_PIN) != 0;
    return rc;
}
