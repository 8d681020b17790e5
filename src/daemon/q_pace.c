/* q_pace.c - see q.h. */
#include "q.h"

#include "err.h"
#include "qcontrol.h"

#include <string.h>

static uint64_t now(const struct q *q)
{
    return uv_now(&q->role->loop);
}

static const struct sp_suspension *of_gate(const struct q *q, uint32_t id)
{
    struct sp_pace_info i;

    if (!q->suspended || !sp_suspend_at(q->suspended, 0) ||
        !sp_pace_get(q->pace, id, now(q), &i))
        return NULL;
    return sp_suspend_find(q->suspended, sp_str(i.route), sp_str(i.domain));
}

/* Asked by the schedule when a job's turn has come.  A dead or suspended destination is open: the job
 * comes out and is told so, by its own retry schedule and its own end. */
static bool is_open(void *arg, uint32_t id)
{
    struct q *q = arg;
    uint64_t wait = 0;

    if (of_gate(q, id))
        return true;
    switch (sp_pace_ask(q->pace, id, now(q), &wait)) {
    case SP_PACE_GO:
    case SP_PACE_DEAD:
        return true;
    case SP_PACE_LATER:
        if (!q->pace_due_ms || now(q) + wait < q->pace_due_ms)
            q->pace_due_ms = now(q) + wait;
        break;
    case SP_PACE_FULL:
        break;
    }
    sp_pace_wanted(q->pace, id, true);
    return false;
}

int q_pace_new(struct q *q, struct sp_err *err)
{
    q->pace = sp_pace_new(SP_PACE_MAX);
    if (!q->pace)
        return sp_err_nomem(err);
    sp_sched_gates(q->sched, is_open, q);
    return 0;
}

/* Routes may have gone or be others now: each job is looked at anew. */
void q_pace_configure(struct q *q)
{
    struct sp_retry r;

    sp_retry_defaults(&r);
    r.nsteps = 0;
    for (size_t i = 0; i < q->conf->retry_intervals.n && i < 16; i++)
        r.step_s[r.nsteps++] = (uint32_t)q->conf->retry_intervals.v[i];
    if (r.nsteps == 0)
        sp_retry_defaults(&r);
    sp_pace_retry_rule(q->pace, &r, q->conf->destination_pause_s * 1000);
    sp_sched_open_all(q->sched);
}

uint32_t q_pace_of(struct q *q, const struct sp_conf_route *r, struct sp_str domain)
{
    struct sp_pace_limits l = {.start = (uint32_t)r->concurrency_start,
                               .most = (uint32_t)r->concurrency};
    static const struct sp_str whole = {"", 0};

    if (l.start < 1 || l.start > l.most)
        l.start = l.most;
    for (size_t i = 0; i < r->destination_rate.n; i++)
        l.rate[r->destination_rate.v[i].period] = r->destination_rate.v[i];
    return sp_pace_find(q->pace, sp_str(r->head.name),
                        r->to == SP_CONF_TO_MX ? domain : whole, &l, now(q));
}

enum sp_pace_answer q_pace_ask(struct q *q, uint32_t id)
{
    return sp_pace_ask(q->pace, id, now(q), NULL);
}

struct sp_pace_ticket q_pace_sent(struct q *q, uint32_t id)
{
    return sp_pace_sent(q->pace, id, now(q));
}

uint32_t q_pace_connections(const struct q *q, uint32_t id)
{
    uint32_t n = sp_pace_connections(q->pace, id),
             processes = (uint32_t)q->conf->delivery_processes;

    return processes ? (n + processes - 1) / processes : n;
}

/* As many of those who wait for it as there is room for. */
static void let_go(struct q *q, uint32_t id)
{
    uint32_t room = of_gate(q, id) ? UINT32_MAX : sp_pace_room(q->pace, id, now(q));

    sp_pace_wanted(q->pace, id, sp_sched_unpark(q->sched, id, room) > 0);
}

static void log_change(struct q *q, uint32_t id, enum sp_pace_change c)
{
    struct sp_pace_info i;
    char next[32];

    if (!sp_pace_get(q->pace, id, now(q), &i))
        return;
    if (c == SP_PACE_REVIVED) {
        sp_log(SP_LOG_DEST_ALIVE, "", SP_KVS("route", i.route),
               SP_KVS("domain", i.domain));
        return;
    }
    snprintf(next, sizeof next, "%llus", (unsigned long long)(i.wait_ms + 999) / 1000);
    sp_log(SP_LOG_DEST_DEAD, "", SP_KVS("route", i.route), SP_KVS("domain", i.domain),
           SP_KVS("where", i.where), SP_KVS("reason", i.words),
           SP_KVU("failures", i.failures), SP_KVS("next", next));
}

void q_pace_result(struct q *q, const struct sp_pace_ticket *t, enum sp_pace_verdict v,
                   const Sp__Attempt *a)
{
    enum sp_pace_change c;

    if (!t->id)
        return;
    c = sp_pace_result(q->pace, t, v, a, now(q));
    if (c != SP_PACE_SAME)
        log_change(q, t->id, c);
    let_go(q, t->id);
}

bool q_pace_words(struct q *q, uint32_t id, struct sp_buf *text, struct sp_buf *where)
{
    struct sp_pace_info i;

    if (!sp_pace_get(q->pace, id, now(q), &i) || i.answer != SP_PACE_DEAD)
        return false;
    (void)sp_buf_printf(
        text, "not tried, the destination failed %u time%s, the last time: %s",
        i.failures, i.failures == 1 ? "" : "s", i.words);
    (void)sp_buf_puts(where, i.where);
    return true;
}

/* Where a job goes that was not looked at since the start nobody knows: then all of them. */
void q_pace_try(struct q *q, uint64_t job)
{
    struct sp_sched_job j = {.gate = 0};
    struct sp_pace_info i;
    size_t at = 0;

    if (job && sp_sched_get(q->sched, job, &j) < 0)
        return;
    if (j.gate) {
        sp_pace_try(q->pace, j.gate, now(q));
        return;
    }
    while (sp_pace_next(q->pace, &at, now(q), &i))
        sp_pace_try(q->pace, i.id, now(q));
}

/* Those who stand at a gate for its rate or are suspended; now and then everybody, which costs little and
 * finds whoever was forgotten. */
void q_pace_tick(struct q *q, bool all)
{
    static uint32_t gate[SP_PACE_MAX];
    struct sp_pace_info i;
    size_t n, at = 0;

    if (!all && (!q->pace_due_ms || now(q) < q->pace_due_ms))
        return;
    q->pace_due_ms = 0;
    n = sp_sched_shut(q->sched, gate, SP_PACE_MAX);
    for (size_t k = 0; k < n && k < SP_PACE_MAX; k++) {
        let_go(q, gate[k]);
        if (sp_sched_unpark(q->sched, gate[k], 0))
            (void)is_open(q, gate[k]); /* when it will be */
    }
    while (all && sp_pace_next(q->pace, &at, now(q), &i))
        sp_pace_wanted(q->pace, i.id, sp_sched_unpark(q->sched, i.id, 0) > 0);
}

/* ---- suspended by an administrator ---- */

const struct sp_suspension *q_pace_why(struct q *q, uint64_t job)
{
    struct sp_sched_job j;
    struct sp_pace_info i = {.route = ""};

    if (!sp_suspend_at(q->suspended, 0) || sp_sched_get(q->sched, job, &j) < 0 ||
        j.state == SP_SCHED_OUT || j.state == SP_SCHED_HELD)
        return NULL;
    (void)sp_pace_get(q->pace, j.gate, now(q), &i);
    return sp_suspend_find(q->suspended, sp_str(i.route), j.domain);
}

struct resumed {
    const struct q *q;
    const struct sp_suspension *x;
};

/* Behind a restart nobody knows the route of a job that was not looked at yet: then it is. */
static bool concerns(void *arg, const struct sp_sched_job *j)
{
    const struct resumed *r = arg;
    struct sp_pace_info i;

    if (!r->x->route)
        return sp_str_caseis(j->domain, r->x->name);
    return !sp_pace_get(r->q->pace, j->gate, now(r->q), &i) ||
           strcmp(i.route, r->x->name) == 0;
}

void q_pace_suspended(struct q *q, const struct sp_suspension *x, bool resumed)
{
    struct resumed r = {.q = q, .x = x};
    const char *kind = x->route ? "route" : "domain";

    if (resumed) {
        size_t n = sp_sched_wake(q->sched, sp_wall_ms(), concerns, &r);

        sp_log(SP_LOG_RESUMED, "", SP_KVS("kind", kind), SP_KVS("name", x->name),
               SP_KVU("messages", n));
    } else {
        sp_log(SP_LOG_SUSPENDED, "", SP_KVS("kind", kind), SP_KVS("name", x->name),
               SP_KVS("reason", x->reason));
    }
    q_pace_tick(q, true);
}

static const char *state_name(const struct q *q, const struct sp_pace_info *i)
{
    static const char *const names[] = {[SP_PACE_GO] = "open",
                                        [SP_PACE_FULL] = "full",
                                        [SP_PACE_LATER] = "rate",
                                        [SP_PACE_DEAD] = "dead"};

    return of_gate(q, i->id)                      ? "suspended"
           : i->dead && i->answer != SP_PACE_DEAD ? "probing"
                                                  : names[i->answer];
}

void q_pace_rows(struct q *q, struct sp_qcontrol *c)
{
    struct sp_pace_info i;
    size_t at = (size_t)c->after;
    uint64_t t = now(q), wall = sp_wall_ms();

    while (!c->more && !c->exit_code && sp_pace_next(q->pace, &at, t, &i)) {
        uint64_t next = i.wait_ms ? wall + i.wait_ms : 0,
                 trouble = i.trouble_ms ? wall - (t - i.trouble_ms) : 0;

        c->after = at;
        if (i.answer == SP_PACE_GO && !i.out && !i.trouble_ms && !of_gate(q, i.id))
            continue;
        sp_qcontrol_put(
            c,
            json_pack("{s:o,s:o,s:s,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:I}", "route",
                      sp_qcontrol_text(i.route), "domain", sp_qcontrol_text(i.domain),
                      "state", state_name(q, &i), "connections",
                      (json_int_t)i.connections, "most", (json_int_t)i.most, "active",
                      (json_int_t)i.out, "failures", (json_int_t)i.failures, "next_ms",
                      (json_int_t)next, "reason", sp_qcontrol_text(i.words), "where",
                      sp_qcontrol_text(i.where), "at_ms", (json_int_t)trouble));
        c->more = c->enough && c->enough(c->row_arg);
    }
}
