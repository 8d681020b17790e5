/* q_flight.c - see q.h. */
#include "q.h"

#include "alloc.h"
#include "err.h"
#include "qcontrol.h"
#include "stscache.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PARTS_MAX = 16,
    FLYING_MAX = 4096,
    HELD_WAIT_MS = 1500,
    MISSES_MAX = 16, /* jobs looked at in a turn that no role has room for */
    MISS_PAUSE_MS = 10,
    NAME_WORDS = 300,
    OURS_MAX =
        128, /* outcomes of our own making in a turn: each reads and writes the disk */
};

/* One way that some recipients of a job go. */
struct part {
    struct q_peer *peer; /* NULL: answered, or the role died */
    const struct sp_conf_route *route;
    struct sp_pace_ticket ticket;
    bool answered;
};

/* A job that is being delivered.  It ends when every part has its outcome. */
struct q_flight {
    struct q_flight *next;
    uint64_t job, lease, message;
    char id[SP_QID_MAX];
    struct part part[PARTS_MAX];
    size_t parts, open;
    struct sp_arena arena; /* merged outcome */
    Sp__RcptOutcome **rcpt;
    size_t rcpts, rcpt_room;
    bool host_down, settling;
    bool adopted; /* held over a restart of ours: other roles may hold parts of it */
    struct sp_conf *conf; /* keeps the routes alive */
};

static struct q_flight **slot(struct q *q, uint64_t job)
{
    struct q_flight **at = &q->flights[job % 1024];

    while (*at && (*at)->job != job)
        at = &(*at)->next;
    return at;
}

static void flight_free(struct q *q, struct q_flight *f)
{
    struct q_flight **at = slot(q, f->job);

    if (*at == f) {
        *at = f->next;
        q->flying--;
    }
    sp_arena_reset(&f->arena);
    sp_conf_unref(f->conf);
    sp_free(f);
}

static struct q_flight *flight_new(struct q *q, uint64_t job, uint64_t lease)
{
    struct q_flight *f = sp_alloc(sizeof *f), **at = slot(q, job);

    if (!f || *at) {
        sp_free(f);
        return NULL;
    }
    f->job = job;
    f->lease = lease;
    f->conf = sp_conf_ref(q->conf);
    sp_arena_init(&f->arena, 64 << 20);
    *at = f;
    q->flying++;
    return f;
}

/* ---- outcomes ---- */

static Sp__RcptOutcome *new_row(struct q_flight *f)
{
    Sp__RcptOutcome *r;

    if (f->rcpts == f->rcpt_room) {
        size_t room = f->rcpt_room ? f->rcpt_room * 2 : 8;
        Sp__RcptOutcome **v = sp_arena_alloc(&f->arena, room * sizeof *v);

        if (!v)
            return NULL;
        if (f->rcpts)
            memcpy(v, f->rcpt, f->rcpts * sizeof *v);
        f->rcpt = v;
        f->rcpt_room = room;
    }
    r = sp_arena_alloc(&f->arena, sizeof *r);
    if (!r)
        return NULL;
    sp__rcpt_outcome__init(r);
    f->rcpt[f->rcpts++] = r;
    return r;
}

/* An outcome of our own making: discard, bounce by configuration, no role to give it to. */
static void own_outcome(struct q_flight *f, uint32_t index, Sp__Action action,
                        unsigned code, const char *enhanced, const char *text,
                        const char *where)
{
    Sp__RcptOutcome *r = new_row(f);
    Sp__Attempt *a = r ? sp_arena_alloc(&f->arena, sizeof *a) : NULL;

    if (!a)
        return; /* a recipient without an outcome is tried again */
    sp__attempt__init(a);
    r->index = index;
    r->action = action;
    r->attempt = a;
    a->at_ms = sp_wall_ms();
    a->code = code;
    a->enhanced = (char *)(uintptr_t)enhanced;
    a->text = sp_arena_strndup(&f->arena, text, strlen(text));
    a->where = sp_arena_strndup(&f->arena, where, strlen(where));
    a->stage = (char *)(uintptr_t) "route";
    if (!a->text)
        a->text = (char *)(uintptr_t) "";
    if (!a->where)
        a->where = (char *)(uintptr_t) "";
}

static void settle(struct q *q, struct q_flight *f)
{
    Sp__Outcome o = SP__OUTCOME__INIT;
    struct sp_plan *plan;
    struct sp_err err;
    struct q_item *it;
    int n;

    o.job = f->job;
    o.lease = f->lease;
    o.rcpt = f->rcpt;
    o.n_rcpt = f->rcpts;
    o.host_down = f->host_down;
    f->settling = true;
    if (sp_spool_plan(q->spool, &o, sp_wall_ms(), &plan, &err) < 0) {
        /* Gone or taken over meanwhile (removed by an administrator): nothing to store. */
        if (err.code != SP_ENOENT)
            sp_log(SP_LOG_QUEUE_ERROR, f->id, SP_KVS("reason", err.text));
        sp_spool_unlease(q->spool, f->job);
        (void)sp_sched_back(q->sched, f->job);
        flight_free(q, f);
        return;
    }
    snprintf(f->id, sizeof f->id, "%s", plan->id); /* adopted ones had none */
    if (sp_batch_full(q->batch) || q->items >= Q_ITEMS)
        q_commit(q);
    n = sp_batch_settle(q->batch, plan, &err);
    if (n < 0) {
        sp_log(SP_LOG_QUEUE_ERROR, f->id, SP_KVS("reason", err.text));
        sp_plan_free(plan);
        sp_spool_unlease(q->spool, f->job);
        (void)sp_sched_back(q->sched, f->job);
        flight_free(q, f);
        return;
    }
    it = q_item_add(q, Q_SETTLE, n);
    it->flight = f;
    it->plan = plan;
    q_notices(q, plan, n);
    q_want_commit(q);
}

static const struct {
    enum sp_log_event ev;
} by_action[] = {
    [SP__ACTION__ACTION_DELIVERED] = {SP_LOG_DELIVERED},
    [SP__ACTION__ACTION_RETRY] = {SP_LOG_DEFERRED},
    [SP__ACTION__ACTION_BOUNCE] = {SP_LOG_BOUNCED},
};

static bool index_known(const struct q_flight *f, uint32_t index)
{
    for (size_t i = 0; i < f->rcpts; i++)
        if (f->rcpt[i]->index == index)
            return true;
    return false;
}

static void log_outcomes(const struct q_flight *f, const struct sp_plan *plan)
{
    for (size_t i = 0; i < plan->env->n_rcpt && i < plan->state->n_rcpt; i++) {
        const Sp__RcptState *st = plan->state->rcpt[i];
        const Sp__Recipient *to = plan->env->rcpt[i];
        const Sp__Attempt *a = st->n_history ? st->history[st->n_history - 1] : NULL;
        Sp__Action action =
            st->status == SP__RCPT_STATUS__RCPT_DELIVERED ? SP__ACTION__ACTION_DELIVERED
            : st->status == SP__RCPT_STATUS__RCPT_QUEUED  ? SP__ACTION__ACTION_RETRY
                                                          : SP__ACTION__ACTION_BOUNCE;
        char reply[300], next[32] = "-";

        if (!index_known(f, st->index))
            continue; /* closed by an earlier attempt, or in nobody's hands */
        snprintf(reply, sizeof reply, "%u %s %.240s", a ? a->code : 0,
                 a ? a->enhanced : "", a ? a->text : "");
        if (action == SP__ACTION__ACTION_RETRY)
            snprintf(next, sizeof next, "%llus",
                     (unsigned long long)(plan->due_ms > sp_wall_ms()
                                              ? (plan->due_ms - sp_wall_ms()) / 1000
                                              : 0));
        sp_log(
            by_action[action].ev, f->id, SP_KVS("id", f->id),
            SP_KV("to", ((struct sp_str){(char *)to->address.data, to->address.len})),
            SP_KVS("where", a ? a->where : ""), SP_KVS("reply", reply),
            SP_KVU("attempts", st->attempts), SP_KVS("next", next));
    }
}

static void tell_stored(struct q_flight *f)
{
    Sp__OutcomeStored m = SP__OUTCOME_STORED__INIT;

    m.job = &f->job;
    m.n_job = 1;
    for (size_t i = 0; i < f->parts; i++)
        if (f->part[i].peer && f->part[i].peer->port)
            (void)sp_port_say(f->part[i].peer->port, SP_MSG_STORED, &m.base);
}

void q_settle_done(struct q *q, const struct q_item *it, const struct sp_result *r)
{
    struct q_flight *f = it->flight;

    if (r->code == 250) {
        if (!r->stale)
            log_outcomes(f, it->plan);
        tell_stored(f);
    } else {
        /* It was not stored: deliver again later rather than lose it. */
        sp_spool_unlease(q->spool, f->job);
        (void)sp_sched_retry(q->sched, f->job, sp_wall_ms() + 60000);
    }
    sp_plan_free(it->plan);
    flight_free(q, f);
}

static void part_done(struct q *q, struct q_flight *f)
{
    f->open--;
    if (f->open == 0 && !f->settling && (!f->adopted || q->open_for_work))
        settle(q, f);
}

/* Copies the rows: the frame they came in will be gone when the last part answers. */
static int merge(struct q_flight *f, const Sp__Outcome *o)
{
    for (size_t i = 0; i < o->n_rcpt; i++) {
        struct sp_buf packed;
        Sp__RcptOutcome *row;

        if (index_known(f, o->rcpt[i]->index))
            continue;
        sp_buf_init(&packed, 1 << 16);
        row = sp_pb_pack(&o->rcpt[i]->base, &packed) == 0
                  ? sp_pb_unpack(&sp__rcpt_outcome__descriptor, sp_buf_view(&packed),
                                 &f->arena)
                  : NULL;
        sp_buf_free(&packed);
        if (!row || !new_row(f))
            return -SP_ENOMEM;
        f->rcpt[f->rcpts - 1] = row;
    }
    f->host_down |= o->host_down;
    return 0;
}

int q_outcome(struct q_peer *p, const Sp__Outcome *o, struct sp_err *err)
{
    struct q *q = p->q;
    struct q_flight *f = *slot(q, o->job);
    Sp__OutcomeStored stale = SP__OUTCOME_STORED__INIT;
    uint64_t job = o->job;

    if (p->role == SP__ROLE__ROLE_SERVER)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "a server has no outcomes");
    if (p->out)
        p->out--;
    if (f && f->lease == o->lease && !f->settling)
        for (size_t i = 0; i < f->parts; i++)
            if (f->part[i].peer == p && !f->part[i].answered) {
                const Sp__Attempt *a;
                enum sp_pace_verdict v = sp_pace_judge(o->rcpt, o->n_rcpt, &a);

                f->part[i].answered = true;
                q_pace_result(q, &f->part[i].ticket, v, a);
                if (merge(f, o) < 0)
                    sp_log(SP_LOG_QUEUE_ERROR, f->id,
                           SP_KVS("reason", "out of memory"));
                part_done(q, f);
                return 0;
            }
    /* Too late: another attempt has it, or it is done.  The role may forget it. */
    stale.job = &job;
    stale.n_job = 1;
    (void)sp_port_say(p->port, SP_MSG_STORED, &stale.base);
    return 0;
}

/* Its parts of this flight are nobody's.  Returns how many had no outcome yet. */
static size_t orphan_parts(struct q *q, struct q_flight *f, const struct q_peer *p)
{
    size_t n = 0;

    for (size_t i = 0; i < f->parts; i++) {
        if (f->part[i].peer != p)
            continue;
        f->part[i].peer = NULL;
        n += !f->part[i].answered;
        if (!f->part[i].answered)
            q_pace_result(q, &f->part[i].ticket, SP_PACE_NOTHING, NULL);
        f->part[i].answered = true;
    }
    return n;
}

void q_peer_lost(struct q_peer *p)
{
    struct q *q = p->q;

    for (size_t i = 0; i < 1024; i++) {
        struct q_flight *f = q->flights[i], *next;

        for (; f; f = next) {
            size_t lost = orphan_parts(q, f, p);

            next = f->next;
            if (lost == 0)
                continue;
            if (lost == f->parts &&
                f->rcpts == 0) { /* nothing is known: again at once */
                sp_spool_unlease(q->spool, f->job);
                (void)sp_sched_back(q->sched, f->job);
                flight_free(q, f);
                continue;
            }
            while (lost--)
                part_done(q, f);
        }
    }
    q_want_commit(q);
}

/* One more role, or the same one again, holds a part of a job that was adopted. */
static struct q_flight *adopt(struct q *q, uint64_t job, uint64_t lease,
                              struct sp_err *err)
{
    struct q_flight *f = *slot(q, job);

    if (f)
        return f->adopted && f->lease == lease && f->parts < PARTS_MAX ? f : NULL;
    if (sp_spool_adopt(q->spool, job, lease, err) < 0)
        return NULL; /* done meanwhile: its outcome will be answered as stale */
    f = flight_new(q, job, lease);
    if (!f) {
        sp_spool_unlease(q->spool, job);
        return NULL;
    }
    f->adopted = true;
    (void)sp_sched_take_one(q->sched, job);
    return f;
}

int q_held(struct q_peer *p, const Sp__Held *h, struct sp_err *err)
{
    struct q *q = p->q;

    if (h->n_job != h->n_lease || p->role == SP__ROLE__ROLE_SERVER)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "bad list of held jobs");
    p->greeted = true;
    p->capacity = h->capacity > 1000 ? 1000 : h->capacity;
    for (size_t i = 0; i < h->n_job; i++) {
        struct q_flight *f = adopt(q, h->job[i], h->lease[i], err);

        if (!f)
            continue;
        f->part[f->parts++] = (struct part){.peer = p};
        f->open++;
        p->out++;
    }
    q_dispatch(q);
    return 0;
}

/* ---- dispatch ---- */

static struct q_peer *choose(struct q *q, Sp__Role role)
{
    struct q_peer *best = NULL;

    for (struct q_peer *p = q->peers; p; p = p->next)
        if (p->role == role && p->port && p->greeted && p->out < p->capacity &&
            !sp_port_full(p->port) && (!best || p->out < best->out))
            best = p;
    return best;
}

static Sp__Role role_for(const struct sp_conf_route *r)
{
    if (!r || r->to == SP_CONF_TO_DISCARD || r->to == SP_CONF_TO_BOUNCE)
        return SP__ROLE__ROLE_NONE;
    return r->to == SP_CONF_TO_MAILDIR || r->to == SP_CONF_TO_PIPE
               ? SP__ROLE__ROLE_LOCAL
               : SP__ROLE__ROLE_DELIVERY;
}

/* Where an alias leads that is no address: a command or file, or nowhere. */
static const struct sp_conf_route programs = {.head.name = "aliases",
                                              .to = SP_CONF_TO_PIPE},
                                  nowhere = {.head.name = "aliases",
                                             .to = SP_CONF_TO_BOUNCE,
                                             .reason = "there is no such mailbox here"};

/* chosen: by an administrator, or NULL.  What goes to a content filter goes there first,
 * and comes back as a message of its own; a route that is not configured any more does
 * not count. */
static const struct sp_conf_route *
route_of(const struct sp_conf *c, const Sp__Envelope *env, size_t i, const char *chosen)
{
    const Sp__Recipient *r = env->rcpt[i];
    const struct sp_conf_route *filter =
        env->content_filter[0] ? sp_conf_filter_route(c, env->content_filter) : NULL;
    const struct sp_conf_route *named;

    if (filter) /* an administrator who took it out of the configuration wants it no more */
        return filter;
    if (r->deliver.len)
        return r->deliver.data[0] == '!' ? &nowhere : &programs;
    if (chosen && (named = sp_qcontrol_route(c, chosen)))
        return named;
    return sp_conf_route_for(
        c, (struct sp_str){(char *)r->address.data, r->address.len},
        (struct sp_str){(char *)env->reverse_path.data, env->reverse_path.len},
        sp_str(env->identity ? env->identity->user : ""));
}

/* ---- lanes of the schedule: the role that a job needs ---- */

enum { LANE_UNKNOWN, LANE_OURS, LANE_DELIVERY, LANE_LOCAL };

static unsigned lane_of(Sp__Role role)
{
    return role == SP__ROLE__ROLE_NONE    ? LANE_OURS
           : role == SP__ROLE__ROLE_LOCAL ? LANE_LOCAL
                                          : LANE_DELIVERY;
}

/* The lanes that may move: their role has room. */
static unsigned open_lanes(struct q *q)
{
    unsigned lanes = 0;

    if (q->flying >= FLYING_MAX)
        return 0;
    if (choose(q, SP__ROLE__ROLE_DELIVERY))
        lanes |= 1 << LANE_DELIVERY;
    if (choose(q, SP__ROLE__ROLE_LOCAL))
        lanes |= 1 << LANE_LOCAL;
    return lanes ? lanes | 1 << LANE_OURS | 1 << LANE_UNKNOWN : 0;
}

/* The recipients of one route, sent to one role.  False: no role could take it. */
static bool send_part(struct q *q, struct q_flight *f, const struct sp_job *j,
                      const struct sp_conf_route *route, uint32_t gate,
                      const bool *mine)
{
    struct q_peer *p = choose(q, role_for(route));
    Sp__Recipient **rcpt = sp_alloc((j->env->n_rcpt + 1) * sizeof *rcpt), **all;
    uint32_t *index = sp_alloc((j->env->n_rcpt + 1) * sizeof *index);
    Sp__Job m = SP__JOB__INIT;
    struct sp_raw raw = {.octets = j->content};
    struct sp_buf sts;
    size_t n = 0, n_all = j->env->n_rcpt;
    int rc = -SP_EAGAIN;

    all = j->env->rcpt;
    for (size_t i = 0; rcpt && index && i < n_all; i++)
        if (mine[i]) {
            rcpt[n] = all[i];
            index[n++] = j->index[i];
        }
    if (p && n) {
        j->env->rcpt = rcpt;
        j->env->n_rcpt = n;
        m.job = j->job;
        m.lease = j->lease;
        m.id = (char *)(uintptr_t)j->id;
        m.envelope = j->env;
        m.index = index;
        m.n_index = n;
        m.prefix =
            (ProtobufCBinaryData){j->prefix.n, (uint8_t *)(uintptr_t)j->prefix.p};
        m.content_in_frame = j->fd < 0;
        m.route = (char *)(uintptr_t)route->head.name;
        m.domain = sp_strndup(j->domain.p, j->domain.n);
        m.attempt = j->attempt;
        m.connections = q_pace_connections(q, gate);
        sp_buf_init(&sts, SP_STS_STORED_MAX);
        if (m.domain && route->to == SP_CONF_TO_MX && route->mta_sts)
            q_sts_get(q, m.domain, &sts);
        m.sts = (ProtobufCBinaryData){sts.n, (uint8_t *)sts.p};
        rc = m.domain
                 ? sp_port_send(p->port, SP_MSG_JOB, &m.base, j->fd < 0 ? &raw : NULL,
                                j->fd < 0 ? -1 : dup(j->fd))
                 : -SP_ENOMEM;
        sp_free(m.domain);
        sp_buf_free(&sts);
        j->env->rcpt = all;
        j->env->n_rcpt = n_all;
    }
    sp_free(rcpt);
    sp_free(index);
    if (rc < 0)
        return false;
    p->out++;
    f->part[f->parts++] =
        (struct part){.peer = p, .route = route, .ticket = q_pace_sent(q, gate)};
    f->open++;
    return true;
}

static void ourselves(struct q_flight *f, const struct sp_conf_route *route, bool late,
                      uint32_t index)
{
    if (!route)
        own_outcome(f, index, SP__ACTION__ACTION_BOUNCE, 550, "5.1.2",
                    "no route to this domain is configured", "");
    else if (late)
        own_outcome(f, index, SP__ACTION__ACTION_BOUNCE, 550, "5.4.7",
                    "the time that the sender allowed for delivery (BY) is over", "");
    else if (route->to == SP_CONF_TO_DISCARD)
        own_outcome(f, index, SP__ACTION__ACTION_DELIVERED, 250, "2.0.0",
                    "discarded by configuration", route->head.name);
    else
        own_outcome(f, index, SP__ACTION__ACTION_BOUNCE, 550,
                    route == &nowhere ? "5.1.1" : "5.7.1",
                    route->reason ? route->reason : "refused by configuration",
                    route->head.name);
}

/* It has failed, and others wait for it already: this message is not tried, and does not
 * wait for it either.  It goes on by its own times, and one day comes back. */
static void not_tried(struct q *q, struct q_flight *f, uint32_t gate, uint32_t index)
{
    struct sp_buf text, where;

    sp_buf_init(&text, 1000);
    sp_buf_init(&where, 400);
    (void)q_pace_words(q, gate, &text, &where);
    own_outcome(f, index, SP__ACTION__ACTION_RETRY, 0, "4.4.1",
                text.n && sp_buf_cstr(&text) ? text.p
                                             : "not tried, the destination failed",
                where.n && sp_buf_cstr(&where) ? where.p : "");
    sp_buf_free(&text);
    sp_buf_free(&where);
}

/* Nobody waits in memory for an administrator: it is answered, and so it is late and
 * comes back at its own times. */
static void is_suspended(struct q_flight *f, const struct sp_suspension *x, uint32_t index)
{
    char text[NAME_WORDS + SP_SUSPEND_REASON_MAX];

    snprintf(text, sizeof text, "the %s %.255s is suspended%s%s", x->route ? "route" : "domain",
             x->name, x->reason[0] ? ": " : "", x->reason);
    own_outcome(f, index, SP__ACTION__ACTION_RETRY, 0, "4.3.2", text, "");
}

/* The sender hears what was last said about this recipient. */
static void give_up(struct q_flight *f, const struct sp_job *j, uint32_t index)
{
    static const char *const words =
        "an administrator ended the attempts to deliver it";
    const Sp__Attempt *a = NULL;
    const char *where = NULL;
    char text[1200];

    for (size_t i = 0; j->state && i < j->state->n_rcpt; i++)
        if (j->state->rcpt[i]->index == index && j->state->rcpt[i]->n_history)
            a = j->state->rcpt[i]->history[j->state->rcpt[i]->n_history - 1];
    if (a) {
        where = sp_arena_strndup(&f->arena, a->where, strlen(a->where));
        snprintf(text, sizeof text, "%s; the last answer was: %u %.16s %.1000s", words,
                 a->code, a->enhanced, a->text); /* the spool keeps no more of it */
    }
    own_outcome(f, index, SP__ACTION__ACTION_BOUNCE, 550, "5.4.7", a ? text : words,
                where ? where : "");
}

/* Sorts the recipients of a leased job by their routes and sends each group off.
 * False: no role has room for it; it stands in the lane of that role again. */
static bool launch(struct q *q, struct q_flight *f, struct sp_job *j)
{
    size_t n = j->env->n_rcpt;
    bool *seen = sp_alloc(n + 1), *mine = sp_alloc(n + 1);
    unsigned lane = LANE_UNKNOWN;
    uint32_t shut = 0;
    /* RFC 2852 4: "return" promises that it is not delivered behind that time. */
    bool late = j->env->by_mode == SP__BY_MODE__BY_RETURN &&
                sp_wall_ms() >= sp_by_time(j->env, j->env->received_ms);

    for (size_t i = 0; seen && mine && i < n; i++) {
        const struct sp_conf_route *route = route_of(f->conf, j->env, i, j->route);
        enum sp_pace_answer may = SP_PACE_GO;
        const struct sp_suspension *stop;
        uint32_t gate = 0;

        if (seen[i])
            continue;
        memset(mine, 0, n);
        for (size_t k = i; k < n; k++)
            if (!seen[k] && route_of(f->conf, j->env, k, j->route) == route)
                mine[k] = seen[k] = true;
        if (late || j->given_up || role_for(route) == SP__ROLE__ROLE_NONE) {
            for (size_t k = i; k < n; k++)
                if (mine[k] && j->given_up)
                    give_up(f, j, j->index[k]);
                else if (mine[k])
                    ourselves(f, route, late, j->index[k]);
            continue;
        }
        if (role_for(route) == SP__ROLE__ROLE_DELIVERY) {
            gate = q_pace_of(q, route, j->domain);
            may = q_pace_ask(q, gate);
            (void)sp_sched_gate(q->sched, f->job, gate); /* for the next time */
        }
        stop = sp_suspend_find(q->suspended, sp_str(route->head.name), j->domain);
        if (stop) {
            for (size_t k = i; k < n; k++)
                if (mine[k])
                    is_suspended(f, stop, j->index[k]);
        } else if (may == SP_PACE_DEAD) {
            for (size_t k = i; k < n; k++)
                if (mine[k])
                    not_tried(q, f, gate, j->index[k]);
        } else if (may != SP_PACE_GO) {
            shut = gate;
            lane = LANE_DELIVERY;
        } else if (f->parts == PARTS_MAX || !send_part(q, f, j, route, gate, mine)) {
            lane = lane_of(role_for(route));
        }
    }
    sp_free(seen);
    sp_free(mine);
    if (f->open == 0 && f->rcpts == 0) { /* nobody could take it */
        sp_spool_unlease(q->spool, f->job);
        (void)sp_sched_lane(q->sched, f->job, lane);
        if (shut)
            (void)sp_sched_gate(q->sched, f->job, shut);
        (void)sp_sched_back(q->sched, f->job);
        flight_free(q, f);
        return false;
    }
    if (f->open == 0) {
        q->ours++;
        settle(q, f);
    }
    return true;
}

/* j has a lease.  False: there is no room for it just now. */
static bool fly(struct q *q, struct sp_job *j)
{
    struct q_flight *f = flight_new(q, j->job, j->lease);

    if (!f) {
        sp_spool_unlease(q->spool, j->job);
        (void)sp_sched_back(q->sched, j->job);
        return true;
    }
    f->message = j->message;
    snprintf(f->id, sizeof f->id, "%s", j->id);
    return launch(q, f, j);
}

/* What is stored of it is damaged or lost: that does not get better by itself.  All of the
 * message waits for an administrator, and is said once. */
static void hold_damaged(struct q *q, uint64_t job, const char *why)
{
    struct sp_sched_job at;
    struct sp_err err;
    struct q_item *it;
    int n;

    if (sp_sched_get(q->sched, job, &at) < 0)
        return;
    for (size_t i = 0; i < q->items; i++)
        if (q->item[i].kind == Q_HOLD && q->item[i].tag == at.message)
            return;
    if (sp_batch_full(q->batch) || q->items >= Q_ITEMS)
        q_commit(q);
    n = sp_batch_control(q->batch, SP_CONTROL_HOLD, at.message, 0, &err);
    it = n < 0 ? NULL : q_item_add(q, Q_HOLD, n);
    if (!it) {
        sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", err.text));
        return;
    }
    it->tag = at.message;
    it->why = sp_arena_strndup(&q->arena, why, strlen(why));
    q_want_commit(q);
}

void q_hold_done(const struct q_item *it, const struct sp_result *r)
{
    if (r->code == 250) /* else it is tried again in a while, and held then */
        sp_log(SP_LOG_QUEUE_ERROR, r->id, SP_KVS("id", r->id),
               SP_KVS("reason", it->why ? it->why : ""),
               SP_KVS("then", "held: restore what is missing and release it, or remove it"));
}

/* False: there is no room for it just now. */
static bool claim(struct q *q, uint64_t job)
{
    struct sp_job *j;
    struct sp_err err;
    bool gone;
    int rc = sp_spool_claim(q->spool, job, &j, &err);

    if (rc == -SP_ENOENT) {
        (void)sp_sched_done(q->sched, job);
        return true;
    }
    if (rc < 0) {
        (void)sp_sched_retry(q->sched, job, sp_wall_ms() + 300000);
        if (rc == -SP_EINPUT)
            hold_damaged(q, job, err.text);
        else
            sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", err.text));
        return true;
    }
    gone = fly(q, j);
    sp_job_free(j);
    return gone;
}

/* ---- new mail: from memory, as soon as it is durable ---- */

struct q_fresh **q_fresh_add(struct q *q, const struct q_item *it,
                             const struct sp_result *r, struct q_fresh **tail)
{
    for (size_t i = 0; i < r->nchange; i++) {
        const struct sp_change *c = &r->change[i];
        struct q_fresh *f;

        if (c->kind != SP_CHANGE_NEW || c->held || r->duplicate)
            continue;
        f = sp_arena_alloc(&q->arena, sizeof *f + c->nindex * sizeof f->index[0]);
        if (!f)
            break; /* it is claimed from the disk like everything else */
        *f = (struct q_fresh){.m = it->submit,
                              .content = it->content,
                              .large = it->large,
                              .job = c->job,
                              .message = c->message,
                              .n = c->nindex};
        memcpy(f->id, r->id, sizeof f->id);
        memcpy(f->index, c->index, c->nindex * sizeof f->index[0]);
        *tail = f;
        tail = &f->next;
    }
    return tail;
}

/* Its recipients alone, in the order of f->index. */
static int fresh_envelope(struct q *q, const struct q_fresh *f, Sp__Envelope *env)
{
    *env = *f->m->envelope;
    env->version = SP_ENVELOPE_VERSION;
    env->n_rcpt = f->n;
    env->rcpt = sp_arena_alloc(&q->arena, f->n * sizeof(Sp__Recipient *));
    for (size_t i = 0; env->rcpt && i < f->n; i++)
        env->rcpt[i] = f->m->envelope->rcpt[f->index[i]];
    return env->rcpt ? 0 : -SP_ENOMEM;
}

/* Or others wait for it already. */
static bool is_shut(struct q *q, uint32_t gate)
{
    enum sp_pace_answer may = q_pace_ask(q, gate);

    return may == SP_PACE_FULL || may == SP_PACE_LATER ||
           (gate && sp_sched_unpark(q->sched, gate, 0));
}

static void fresh_one(struct q *q, const struct q_fresh *f)
{
    Sp__Envelope env;
    struct sp_sched_counts n;
    struct sp_sched_job at;
    const struct sp_conf_route *route;
    struct sp_job j;
    unsigned lane;
    uint32_t gate = 0;

    if (f->n == 0 || sp_sched_get(q->sched, f->job, &at) < 0)
        return;
    route = route_of(q->conf, f->m->envelope, f->index[0], NULL);
    lane = lane_of(role_for(route));
    (void)sp_sched_lane(q->sched, f->job, lane);
    if (lane == LANE_DELIVERY)
        gate = q_pace_of(q, route, at.domain);
    (void)sp_sched_gate(q->sched, f->job, gate);
    sp_sched_count(q->sched, &n);
    if (f->large || n.lane[lane] || !(open_lanes(q) & 1U << lane) ||
        at.due_ms > sp_wall_ms() || is_shut(q, gate) ||
        fresh_envelope(q, f, &env) < 0 || sp_sched_take_one(q->sched, f->job) < 0)
        return;
    j = (struct sp_job){.job = f->job,
                        .message = f->message,
                        .env = &env,
                        .index = f->index,
                        .content = f->content,
                        .fd = -1,
                        .domain = at.domain,
                        .user = at.user,
                        .attempt = 1,
                        .prefix = {(char *)f->m->prefix.data, f->m->prefix.len},
                        .lease = sp_spool_lease(q->spool, f->job)};
    memcpy(j.id, f->id, sizeof j.id);
    if (j.lease)
        (void)fly(q, &j);
    else
        (void)sp_sched_back(q->sched, f->job);
}

void q_fresh_go(struct q *q, const struct q_fresh *list)
{
    if (!q->open_for_work || q->role->draining)
        return;
    for (; list; list = list->next)
        fresh_one(q, list);
}

/* ---- everything else, from the disk ---- */

/* Adopted jobs whose outcomes came while other roles had not said yet what they hold. */
static void settle_adopted(struct q *q)
{
    q_commit(q); /* it frees flights: none of those that we walk over */
    for (size_t i = 0; i < 1024; i++)
        for (struct q_flight *f = q->flights[i], *next; f; f = next) {
            next = f->next;
            if (f->open == 0 && !f->settling)
                settle(q, f);
        }
}

/* After a restart: until every delivery role has said what it still holds, or does not
 * answer, nothing is handed out - it might be handed out twice. */
static bool everybody_greeted(struct q *q)
{
    size_t want = q->conf->delivery_processes + 1, have = 0;

    if (q->open_for_work)
        return true;
    for (struct q_peer *p = q->peers; p; p = p->next)
        have += p->greeted;
    q->open_for_work =
        have >= want || uv_now(&q->role->loop) - q->started_ms >= HELD_WAIT_MS;
    if (q->open_for_work)
        settle_adopted(q);
    return q->open_for_work;
}

static void on_due(uv_timer_t *t)
{
    q_dispatch(t->data);
}

void q_dispatch(struct q *q)
{
    uint64_t job, due, now = sp_wall_ms(), ours = q->ours, wait;
    unsigned misses = 0, lanes;

    if (q->dispatching || q->role->draining || !everybody_greeted(q))
        return;
    q->dispatching = true;
    q_pace_tick(q, false);
    /* Behind a restart nobody knows yet which role a job needs: without a limit the whole
     * backlog of a role that is full would be read in one turn, to learn just that. */
    while (misses < MISSES_MAX && q->ours - ours < OURS_MAX &&
           (lanes = open_lanes(q)) && sp_sched_take(q->sched, now, lanes, 1, &job) > 0)
        misses += !claim(q, job);
    q->dispatching = false;
    uv_timer_stop(&q->due);
    /* Without room nothing is taken: an outcome, credit or a new role wakes us then. */
    lanes = open_lanes(q);
    wait = UINT64_MAX;
    if (lanes && sp_sched_next(q->sched, lanes, &due))
        wait = due > now ? due - now : misses ? MISS_PAUSE_MS : 1;
    now = uv_now(&q->role->loop);
    if (q->pace_due_ms && (q->pace_due_ms <= now || q->pace_due_ms - now < wait))
        wait = q->pace_due_ms > now ? q->pace_due_ms - now : 1;
    if (wait != UINT64_MAX)
        uv_timer_start(&q->due, on_due, wait, 0);
}
