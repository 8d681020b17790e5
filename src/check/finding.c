/* finding.c - what one run has found.  See finding.h. */
#include "finding.h"

#include "alloc.h"
#include "arena.h"
#include "err.h"
#include "find_i.h"
#include "text.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { ARENA_MAX = 8 << 20, FACT_MAX = 500 };

int sp_findings_new(enum sp_side side, struct sp_findings **ret)
{
    struct sp_findings *f = sp_alloc(sizeof *f);

    if (!f)
        return -SP_ENOMEM;
    sp_arena_init(&f->arena, ARENA_MAX);
    f->side = side;
    *ret = f;
    return 0;
}

void sp_findings_free(struct sp_findings *f)
{
    if (!f)
        return;
    sp_arena_reset(&f->arena);
    sp_free(f);
}

/* What was lost is not lost silently: the run ends with EX_OSERR. */
static int lost(struct sp_findings *f, int rc)
{
    f->lost = rc;
    return rc;
}

static const char *keep(struct sp_findings *f, struct sp_str s)
{
    return sp_arena_strndup(&f->arena, s.n ? s.p : "", s.n > FACT_MAX ? FACT_MAX : s.n);
}

/* ---- what may run ---- */

static int read_only(struct sp_findings *f, const char *only, bool *want,
                     struct sp_err *err)
{
    struct sp_str rest = sp_str(only);

    while (rest.n) {
        struct sp_str word = sp_str_trim(sp_str_cut(&rest, ','));
        int id = sp_check_by_id(word);

        if (id < 0 || sp_check_row((enum sp_check_id)id)->side != f->side)
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                              "there is no check `%.*s` of a %s; --list shows them",
                              (int)(word.n > 40 ? 40 : word.n), word.n ? word.p : "",
                              f->side == SP_SIDE_SERVER ? "server" : "client");
        want[id] = true;
    }
    return 0;
}

static void not_chosen(struct sp_findings *f, enum sp_check_id id,
                       const struct sp_check_choice *c)
{
    const struct sp_check_row *row = sp_check_row(id);
    unsigned lack = row->needs & ~c->have;
    struct sp_buf words;

    if (!c->only && row->tier == SP_TIER_THOROUGH && !c->thorough) {
        sp_check_not_run(f, id, "only with --thorough");
    } else if (!c->only && row->tier == SP_TIER_INTRUSIVE && !c->intrusive) {
        sp_check_not_run(f, id, "only with --intrusive");
    } else if (row->tier == SP_TIER_INTRUSIVE && !c->intrusive) {
        /* To name a check is not yet to allow it to disturb. */
        sp_check_not_run(f, id, "needs --intrusive as well");
    } else if (lack) {
        sp_buf_init(&words, sizeof f->check[0].why);
        (void)sp_check_put_needs(&words, lack);
        sp_check_not_run(f, id, "needs %.*s", (int)words.n, words.n ? words.p : "");
        sp_buf_free(&words);
    }
}

int sp_findings_choose(struct sp_findings *f, const struct sp_check_choice *c,
                       struct sp_err *err)
{
    bool want[SP_CHECK_COUNT] = {false};
    struct sp_check_choice all = *c;
    int rc = c->only ? read_only(f, c->only, want, err) : 0;

    if (rc < 0)
        return rc;
    memset(f->check, 0, sizeof f->check);
    f->done = f->total = 0;
    all.have |= c->profile == SP_PROFILE_MX ? SP_NEEDS_MX : SP_NEEDS_SUBMISSION;
    for (int i = 0; i < SP_CHECK_COUNT; i++) {
        enum sp_check_id id = (enum sp_check_id)i;

        if (sp_check_row(id)->side != f->side)
            continue;
        if (c->only && !want[i])
            sp_check_not_run(f, id, "not among --only");
        else
            not_chosen(f, id, &all);
        f->total += f->check[i].state == SP_CHECK_TODO;
    }
    f->done = 0;
    f->chosen = *c;
    return 0;
}

/* ---- checks ---- */

static void say(struct sp_findings *f, const char *what)
{
    if (f->progress.said)
        f->progress.said(f->progress.arg, f->running, what, f->done, f->total);
}

bool sp_check_wanted(const struct sp_findings *f, enum sp_check_id id)
{
    return f->check[id].state != SP_CHECK_NOT_RUN && sp_check_row(id)->side == f->side;
}

bool sp_check_begin(struct sp_findings *f, enum sp_check_id id)
{
    if (!sp_check_wanted(f, id))
        return false;
    if (f->check[id].state == SP_CHECK_TODO)
        f->check[id].state = SP_CHECK_RUNNING;
    f->running = id;
    say(f, sp_check_row(id)->title);
    return true;
}

static void count_done(struct sp_findings *f, enum sp_check_id id,
                       enum sp_check_state state)
{
    if (f->check[id].state == SP_CHECK_TODO || f->check[id].state == SP_CHECK_RUNNING)
        f->done += f->total > f->done;
    f->check[id].state = state;
}

void sp_check_done(struct sp_findings *f, enum sp_check_id id, unsigned connections,
                   unsigned failed_logins)
{
    count_done(f, id, SP_CHECK_DONE);
    f->check[id].connections += connections;
    f->check[id].failed_logins += failed_logins;
}

void sp_check_not_run(struct sp_findings *f, enum sp_check_id id, const char *fmt, ...)
{
    va_list ap;

    if (f->check[id].state == SP_CHECK_DONE)
        return;
    count_done(f, id, SP_CHECK_NOT_RUN);
    va_start(ap, fmt);
    vsnprintf(f->check[id].why, sizeof f->check[id].why, fmt, ap);
    va_end(ap);
}

void sp_check_partly(struct sp_findings *f, enum sp_check_id id, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(f->check[id].why, sizeof f->check[id].why, fmt, ap);
    va_end(ap);
}

void sp_findings_progress(struct sp_findings *f, const struct sp_progress *p)
{
    f->progress = *p;
}

void sp_findings_say(struct sp_findings *f, const char *fmt, ...)
{
    char what[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    say(f, what);
}

/* At place `at`, once: what stood there and behind it moves. */
static void put_recipe(struct sp_findings *f, enum sp_recipe_id id, size_t at)
{
    size_t i = 0;

    while (i < f->n_recipes && f->recipe[i] != id)
        i++;
    if (id == SP_R_NONE || (i < f->n_recipes && i <= at))
        return;
    f->n_recipes += i == f->n_recipes;
    for (; i > at; i--)
        f->recipe[i] = f->recipe[i - 1];
    f->recipe[at] = id;
}

/* ---- findings ---- */

static bool same(const struct sp_finding *a, enum sp_finding_id id,
                 const char *const fact[SP_FACTS])
{
    if (a->id != id)
        return false;
    for (int i = 0; i < SP_FACTS; i++)
        if (!a->fact[i] != !fact[i] ||
            (fact[i] && strncmp(a->fact[i], fact[i], FACT_MAX) != 0))
            return false;
    return true;
}

/* Worst first, then in the order of the catalogue. */
static bool before(const struct sp_finding *a, const struct sp_finding *b)
{
    return a->severity != b->severity ? a->severity > b->severity : a->id < b->id;
}

static void insert(struct sp_findings *f, struct sp_finding *x)
{
    size_t i = f->n++;

    for (; i > 0 && before(x, f->finding[i - 1]); i--)
        f->finding[i] = f->finding[i - 1];
    f->finding[i] = x;
}

int sp_finding_add_as(struct sp_findings *f, enum sp_finding_id id,
                      enum sp_severity severity, const struct sp_evidence *ev,
                      const char *fact1, const char *fact2, const char *fact3)
{
    const char *const fact[SP_FACTS] = {fact1, fact2, fact3};
    const struct sp_finding_row *row = sp_finding_row(id);
    struct sp_finding *x;

    for (size_t i = 0; i < f->n; i++)
        if (same(f->finding[i], id, fact))
            return 0;
    if (f->n == SP_FINDINGS_MAX)
        return lost(f, -SP_ELIMIT);
    x = sp_arena_alloc(&f->arena, sizeof *x);
    if (!x)
        return lost(f, -SP_ENOMEM);
    *x = (struct sp_finding){.id = id, .row = row};
    x->severity = severity < row->severity ? severity : (enum sp_severity)row->severity;
    if (ev)
        x->ev = *ev;
    for (int i = 0; i < SP_FACTS; i++)
        if (fact[i] && !(x->fact[i] = keep(f, sp_str(fact[i]))))
            return lost(f, -SP_ENOMEM);
    if (row->recipe)
        put_recipe(f, (enum sp_recipe_id)row->recipe, f->n_recipes);
    insert(f, x);
    return 0;
}

int sp_finding_add(struct sp_findings *f, enum sp_finding_id id,
                   const struct sp_evidence *ev, const char *fact1, const char *fact2,
                   const char *fact3)
{
    return sp_finding_add_as(f, id, (enum sp_severity)sp_finding_row(id)->severity, ev,
                             fact1, fact2, fact3);
}

/* ---- about the peer ---- */

void sp_findings_fact(struct sp_findings *f, const char *key, struct sp_str value)
{
    const char *v = keep(f, value);
    size_t i = 0;

    while (i < f->n_facts && strcmp(f->fact[i].key, key) != 0)
        i++;
    if (!v || i == FACTS_MAX) {
        (void)lost(f, v ? -SP_ELIMIT : -SP_ENOMEM);
        return;
    }
    if (i == f->n_facts) {
        f->fact[i].key = keep(f, sp_str(key));
        if (!f->fact[i].key) {
            (void)lost(f, -SP_ENOMEM);
            return;
        }
        f->n_facts++;
    }
    f->fact[i].value = v;
}

const char *sp_findings_get(const struct sp_findings *f, const char *key)
{
    for (size_t i = 0; i < f->n_facts; i++)
        if (strcmp(f->fact[i].key, key) == 0)
            return f->fact[i].value;
    return NULL;
}

void sp_findings_cost(struct sp_findings *f, unsigned connections,
                      unsigned failed_logins)
{
    f->connections = connections;
    f->failed_logins = failed_logins;
}

void sp_findings_product(struct sp_findings *f, enum sp_product p)
{
    f->product = p;
    if (p != SP_PRODUCT_UNKNOWN && p != SP_PRODUCT_OTHER)
        sp_findings_fact(f, "product", sp_str(sp_product_name(p)));
}

void sp_findings_caps_seen(struct sp_findings *f, enum sp_caps_when when)
{
    f->caps[when].seen = true;
}

void sp_findings_cap(struct sp_findings *f, enum sp_caps_when when, struct sp_str line)
{
    struct run_caps *c = &f->caps[when];
    struct sp_str l = sp_str_trim(line);
    const char *v;

    c->seen = true;
    if (l.n == 0)
        return;
    for (size_t i = 0; i < c->n; i++)
        if (sp_str_caseis(l, c->line[i]))
            return;
    v = c->n < CAPS_MAX ? keep(f, l) : NULL;
    if (!v)
        (void)lost(f, c->n < CAPS_MAX ? -SP_ENOMEM : -SP_ELIMIT);
    else
        c->line[c->n++] = v;
}

void sp_findings_recipe(struct sp_findings *f, enum sp_recipe_id id)
{
    size_t had = f->n_recommended;

    for (size_t i = 0; i < had; i++)
        if (f->recipe[i] == id)
            return;
    put_recipe(f, id, had);
    f->n_recommended += id != SP_R_NONE;
}

void sp_findings_fill(struct sp_findings *f, const char *name, const char *value)
{
    const char *v = value && *value ? keep(f, sp_str(value)) : NULL;

    if (!v || f->n_fill == FILL_MAX || sp_findings_filled(f, sp_str(name)))
        return; /* a recipe has a word to be replaced then */
    f->fill[f->n_fill].name = name;
    f->fill[f->n_fill++].value = v;
}

const char *sp_findings_filled(const struct sp_findings *f, struct sp_str name)
{
    for (size_t i = 0; i < f->n_fill; i++)
        if (sp_str_is(name, f->fill[i].name))
            return f->fill[i].value;
    return NULL;
}

/* ---- the end ---- */

void sp_findings_failed(struct sp_findings *f, int status, const char *fmt, ...)
{
    va_list ap;

    if (f->status)
        return;
    f->status = status;
    va_start(ap, fmt);
    vsnprintf(f->words, sizeof f->words, fmt, ap);
    va_end(ap);
}

void sp_findings_interrupted(struct sp_findings *f)
{
    f->interrupted = true;
    f->status = 0; /* what failed because of it, such as a connection, is not the reason */
    sp_findings_failed(f, 128 + SIGINT, "interrupted");
}

void sp_findings_finish(struct sp_findings *f)
{
    if (f->lost)
        sp_findings_failed(f, EX_OSERR, "%s",
                           f->lost == -SP_ENOMEM ? "out of memory"
                                                 : "more was found than can be kept");
    for (int i = 0; i < SP_CHECK_COUNT; i++)
        if (sp_check_row((enum sp_check_id)i)->side == f->side &&
            (f->check[i].state == SP_CHECK_TODO ||
             f->check[i].state == SP_CHECK_RUNNING))
            sp_check_not_run(f, (enum sp_check_id)i, "%s",
                             f->interrupted ? "interrupted"
                             : f->status    ? "the run ended before it"
                                            : "the server gave no occasion for it");
}

static enum sp_severity worst(const struct sp_findings *f)
{
    return f->n ? f->finding[0]->severity : SP_SEV_GOOD;
}

int sp_findings_exit(const struct sp_findings *f)
{
    static const int status[SP_SEV_COUNT] = {
        [SP_SEV_INTEROP] = 1, [SP_SEV_BROKEN] = 2, [SP_SEV_INSECURE] = 3};

    return status[worst(f)] ? status[worst(f)] : f->status;
}

/* ---- reading ---- */

enum sp_side sp_findings_side(const struct sp_findings *f)
{
    return f->side;
}

size_t sp_findings_count(const struct sp_findings *f)
{
    return f->n;
}

const struct sp_finding *sp_findings_at(const struct sp_findings *f, size_t i)
{
    return i < f->n ? f->finding[i] : NULL;
}

size_t sp_findings_severity(const struct sp_findings *f, enum sp_severity s)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += f->finding[i]->severity == s;
    return n;
}

const struct sp_check_result *sp_findings_check(const struct sp_findings *f,
                                                enum sp_check_id id)
{
    return &f->check[id];
}

/* ---- evidence ---- */

static void ev_line(struct sp_evidence *ev, enum sp_ev_dir dir, const char *where,
                    struct sp_str s)
{
    struct sp_ev_line *l = &ev->line[ev->n];

    if (ev->n == SP_EV_LINES) {
        ev->dropped++;
        return;
    }
    ev->n++;
    *l = (struct sp_ev_line){.dir = (unsigned char)dir, .clipped = s.n > SP_EV_TEXT};
    snprintf(l->where, sizeof l->where, "%s", where ? where : "");
    l->n = (unsigned short)(s.n > SP_EV_TEXT ? SP_EV_TEXT : s.n);
    if (l->n)
        memcpy(l->text, s.p, l->n);
}

void sp_ev_put(struct sp_evidence *ev, enum sp_ev_dir dir, const char *where,
               struct sp_str octets)
{
    while (octets.n) {
        const char *end = memmem(octets.p, octets.n, "\r\n", 2);
        size_t n = end ? (size_t)(end - octets.p) : octets.n;

        ev_line(ev, dir, where, (struct sp_str){octets.p, n});
        n += end ? 2 : 0;
        octets = (struct sp_str){octets.p + n, octets.n - n};
    }
}

void sp_ev_hidden(struct sp_evidence *ev, const char *where, const char *shown)
{
    char text[SP_EV_TEXT + 1];

    snprintf(text, sizeof text, "%s[hidden]", shown);
    ev_line(ev, SP_EV_CLIENT, where, sp_str(text));
}

void sp_ev_note(struct sp_evidence *ev, const char *where, const char *fmt, ...)
{
    char text[SP_EV_TEXT + 50];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ev_line(ev, SP_EV_NOTE, where, sp_str(text));
}
