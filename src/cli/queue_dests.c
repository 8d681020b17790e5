/* queue_dests.c - see queue_dests.h. */
#include "queue_dests.h"

#include "alloc.h"
#include "cli.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Ages double from column to column, as a pause between attempts does. */
enum { AGES = 10, FIRST_MINUTES = 5, DOMAIN_MAX = 320 };

struct dest {
    const char *domain;     /* key of the index */
    uint64_t age[AGES + 1]; /* the last one: older */
    uint64_t total, active, held;
    long long oldest_ms, next_ms; /* next_ms 0: none is waiting for its time */
    json_t *last;                 /* newest answer; NULL: never tried */
};

struct sp_qdests {
    struct sp_qdests_opts o;
    json_t *index; /* domain -> place in d */
    struct dest *d;
    size_t n, cap;
};

struct sp_qdests *sp_qdests_new(const struct sp_qdests_opts *o)
{
    struct sp_qdests *t = sp_alloc(sizeof *t);

    if (!t)
        return NULL;
    t->o = *o;
    t->index = json_object();
    if (!t->index) {
        sp_free(t);
        return NULL;
    }
    return t;
}

void sp_qdests_free(struct sp_qdests *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        json_decref(t->d[i].last);
    json_decref(t->index);
    sp_free(t->d);
    sp_free(t);
}

static const char *str(json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

static long long num(json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

/* ---- counting ---- */

static struct dest *dest_of(struct sp_qdests *t, const char *address)
{
    const char *at = strrchr(address, '@');
    char domain[DOMAIN_MAX];
    json_t *place;
    struct dest *d;

    (void)snprintf(domain, sizeof domain, "%s", at ? at + 1 : "");
    for (char *p = domain; *p; p++)
        *p = (char)sp_lower((unsigned char)*p);
    place = json_object_get(t->index, domain);
    if (place)
        return &t->d[json_integer_value(place)];
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;

        d = sp_realloc(t->d, cap * sizeof *d);
        if (!d)
            return NULL;
        t->d = d;
        t->cap = cap;
    }
    if (json_object_set_new_nocheck(t->index, domain, json_integer((json_int_t)t->n)) <
        0)
        return NULL;
    d = &t->d[t->n++];
    memset(d, 0, sizeof *d);
    return d;
}

/* The list has all recipients of a message, also those the filter is not about. */
static bool counts(json_t *r)
{
    const char *status = str(r, "status");

    return !json_is_false(json_object_get(r, "matches")) &&
           (strcmp(status, "queued") == 0 || strcmp(status, "held") == 0 ||
            strcmp(status, "active") == 0);
}

static unsigned age_of(const struct sp_qdests_opts *o, long long created_ms)
{
    long long minutes = ((long long)o->now_ms - created_ms) / 60000;
    unsigned i = 0;

    while (i < AGES && minutes >= (long long)FIRST_MINUTES << i)
        i++;
    return i;
}

static void count(struct sp_qdests *t, struct dest *d, json_t *r, long long created_ms)
{
    json_t *last = json_object_get(r, "last");
    long long at_ms = num(r, "next_ms"), next_ms = at_ms ? at_ms : 1; /* none: at once */
    bool held = strcmp(str(r, "status"), "held") == 0,
         active = strcmp(str(r, "status"), "active") == 0;

    d->total++;
    d->age[age_of(&t->o, created_ms)]++;
    d->held += held;
    d->active += active;
    if (!d->oldest_ms || created_ms < d->oldest_ms)
        d->oldest_ms = created_ms;
    if (!held && !active && (!d->next_ms || next_ms < d->next_ms))
        d->next_ms = next_ms;
    if (last && (!d->last || num(last, "at_ms") > num(d->last, "at_ms"))) {
        json_decref(d->last);
        d->last = json_incref(last);
    }
}

int sp_qdests_add(struct sp_qdests *t, json_t *row)
{
    json_t *r;
    size_t i;

    json_array_foreach(json_object_get(row, "recipients"), i, r)
    {
        struct dest *d;

        if (!counts(r))
            continue;
        d = dest_of(t, str(r, "address"));
        if (!d)
            return -SP_ENOMEM;
        count(t, d, r, num(row, "created_ms"));
    }
    return 0;
}

/* ---- printing ---- */

static int more_first(const void *a, const void *b)
{
    const struct dest *x = a, *y = b;

    if (x->total != y->total)
        return x->total < y->total ? 1 : -1;
    return strcmp(x->domain, y->domain);
}

static void age_name(unsigned i, char out[12])
{
    if (i < AGES)
        (void)snprintf(out, 12, "%um", (unsigned)FIRST_MINUTES << i);
    else
        (void)snprintf(out, 12, "older");
}

static json_t *as_json(const struct sp_qdests *t, const struct dest *d)
{
    json_t *j = json_pack("{s:s,s:I}", "destination", d->domain, "recipients",
                          (json_int_t)d->total),
           *ages;
    char name[12];

    if (!t->o.shape) {
        json_object_set_new(j, "active", json_integer((json_int_t)d->active));
        json_object_set_new(j, "held", json_integer((json_int_t)d->held));
        json_object_set_new(j, "oldest_ms", json_integer(d->oldest_ms));
        if (d->next_ms)
            json_object_set_new(j, "next_ms", json_integer(d->next_ms));
        if (d->last)
            json_object_set(j, "last", d->last);
        return j;
    }
    ages = json_object();
    for (unsigned i = 0; i <= AGES; i++) {
        age_name(i, name);
        json_object_set_new(ages, name, json_integer((json_int_t)d->age[i]));
    }
    json_object_set_new(j, "ages", ages);
    return j;
}

static void put_domain(FILE *out, const char *domain)
{
    fputs("  ", out);
    sp_say_text(out, sp_str(*domain ? domain : "(no domain)"));
    fputc('\n', out);
}

static void put_shape(FILE *out, const struct dest *d)
{
    fprintf(out, "%7llu", (unsigned long long)d->total);
    for (unsigned i = 0; i <= AGES; i++)
        fprintf(out, " %5llu", (unsigned long long)d->age[i]);
}

static void shape_head(const struct sp_qdests *t, FILE *out)
{
    struct dest sum = {0};
    char name[12];

    fputs("  total", out);
    for (unsigned i = 0; i <= AGES; i++) {
        age_name(i, name);
        fprintf(out, " %5s", name);
    }
    fputs("  destination\n", out);
    for (size_t i = 0; i < t->n; i++) {
        sum.total += t->d[i].total;
        for (unsigned k = 0; k <= AGES; k++)
            sum.age[k] += t->d[i].age[k];
    }
    put_shape(out, &sum);
    fputs("  TOTAL\n", out);
}

static void put_state(const struct sp_qdests *t, FILE *out, const struct dest *d)
{
    char since[24], next[24] = "-";

    sp_age_text((long long)t->o.now_ms - d->oldest_ms, since);
    if (d->next_ms > (long long)t->o.now_ms)
        sp_age_text(d->next_ms - (long long)t->o.now_ms, next);
    else if (d->next_ms)
        (void)snprintf(next, sizeof next, "now");
    fprintf(out, "%7llu %6llu %5llu %6s %5s", (unsigned long long)d->total,
            (unsigned long long)d->active, (unsigned long long)d->held, since, next);
    put_domain(out, d->domain);
    if (!d->last)
        return;
    fprintf(out, "        %lld ", num(d->last, "code"));
    sp_say_text(out, sp_str(str(d->last, "enhanced")));
    fputc(' ', out);
    sp_say_text(out, sp_str(str(d->last, "text")));
    if (*str(d->last, "where")) {
        fputs("  (", out);
        sp_say_text(out, sp_str(str(d->last, "where")));
        fputc(')', out);
    }
    fputc('\n', out);
}

void sp_qdests_print(struct sp_qdests *t, FILE *out)
{
    size_t n = t->o.limit && t->o.limit < t->n ? (size_t)t->o.limit : t->n;

    for (void *i = json_object_iter(t->index); i; i = json_object_iter_next(t->index, i))
        t->d[json_integer_value(json_object_iter_value(i))].domain = json_object_iter_key(i);
    if (t->n)
        qsort(t->d, t->n, sizeof *t->d, more_first);
    else if (!t->o.json)
        fputs("nothing waits\n", out);
    if (t->n && !t->o.json && t->o.shape)
        shape_head(t, out);
    else if (t->n && !t->o.json)
        fputs("waiting active  held oldest  next  destination\n", out);
    for (size_t i = 0; i < n; i++) {
        if (t->o.json) {
            json_t *j = as_json(t, &t->d[i]);

            (void)json_dumpf(j, out, JSON_COMPACT);
            fputc('\n', out);
            json_decref(j);
        } else if (t->o.shape) {
            put_shape(out, &t->d[i]);
            put_domain(out, t->d[i].domain);
        } else {
            put_state(t, out, &t->d[i]);
        }
    }
    if (n < t->n && !t->o.json)
        fprintf(out, "and %zu more\n", t->n - n);
}
