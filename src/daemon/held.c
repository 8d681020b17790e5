/* held.c - see held.h. */
#include "held.h"

#include "alloc.h"
#include "err.h"
#include "meter.h"
#include "stored.h"

#include <string.h>
#include <unistd.h>

enum { JOB_MAX = 64 << 20 };

static void say(struct sp_held *h, struct sp_held_job *j)
{
    j->out.job = j->m->job;
    j->out.lease = j->m->lease;
    if (h->queue)
        j->said = sp_port_say(h->queue, SP_MSG_OUTCOME, &j->out.base) == 0;
}

/* What we hold first, then what came of it: the queue adopts before it settles. */
static int greet(struct sp_held *h)
{
    Sp__Held m = SP__HELD__INIT;
    size_t n = 0;
    int rc = -SP_ENOMEM;

    for (struct sp_held_job *j = h->jobs; j; j = j->next)
        n++;
    m.job = sp_alloc((n + 1) * sizeof *m.job);
    m.lease = sp_alloc((n + 1) * sizeof *m.lease);
    for (struct sp_held_job *j = h->jobs; j && m.job && m.lease; j = j->next) {
        m.job[m.n_job++] = j->m->job;
        m.lease[m.n_lease++] = j->m->lease;
    }
    m.capacity = h->capacity;
    if (m.job && m.lease)
        rc = sp_port_say(h->queue, SP_MSG_HELD, &m.base);
    sp_free(m.job);
    sp_free(m.lease);
    for (struct sp_held_job *j = h->jobs; j; j = j->next)
        if (j->done)
            say(h, j);
    return rc;
}

int sp_held_join(struct sp_held *h, uv_loop_t *loop, int fd, Sp__Role peer,
                 unsigned instance, const struct sp_port_ops *ops, void *arg,
                 struct sp_err *err)
{
    sp_port_close(h->queue);
    h->queue = sp_port_new(loop, fd, h->role, peer, instance, ops, arg, err);
    return h->queue ? greet(h) : -SP_ENOMEM;
}

static bool fits(const struct sp_held_job *j, struct sp_err *err)
{
    const Sp__Job *m = j->m;

    return m && m->envelope && m->n_index == m->envelope->n_rcpt && m->n_index > 0 &&
           sp_stored_check(m->envelope, m->prefix.len, err) == 0 &&
           (m->content_in_frame
                ? j->content.p && j->content.n == m->envelope->content_size
                : j->fd >= 0);
}

int sp_held_take(struct sp_held *h, struct sp_held_job *j, struct sp_port *p,
                 const struct sp_frame *f, struct sp_err *err)
{
    j->fd = f->has_fd ? sp_port_take_fd(p) : -1;
    j->next = h->jobs;
    h->jobs = j;
    sp_meter_add(SP_METER_IN_FLIGHT, 1);
    sp__outcome__init(&j->out);
    sp_arena_init(&j->arena, JOB_MAX);
    j->m = sp_frame_unpack(f, &j->arena);
    if (j->m && j->m->content_in_frame)
        j->content = sp_arena_copy(&j->arena, f->raw);
    if (fits(j, err)) {
        j->out.rcpt = sp_arena_alloc(&j->arena, j->m->n_index * sizeof *j->out.rcpt);
        return 0;
    }
    sp_held_forget(h, j);
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed job");
}

Sp__RcptOutcome *sp_held_row(struct sp_held_job *j, size_t i, Sp__Action action)
{
    Sp__RcptOutcome *o = sp_arena_alloc(&j->arena, sizeof *o);
    Sp__Attempt *a = sp_arena_alloc(&j->arena, sizeof *a);

    if (!o || !a || !j->out.rcpt || j->out.n_rcpt == j->m->n_index)
        return NULL;
    sp__rcpt_outcome__init(o);
    sp__attempt__init(a);
    o->index = j->m->index[i];
    o->action = action;
    o->attempt = a;
    j->out.rcpt[j->out.n_rcpt++] = o;
    return o;
}

char *sp_held_keep(struct sp_held_job *j, const char *s, size_t n)
{
    char *copy = sp_arena_strndup(&j->arena, s, n);

    return copy ? copy : (char *)(uintptr_t) "";
}

void sp_held_done(struct sp_held *h, struct sp_held_job *j)
{
    j->done = true;
    say(h, j);
}

void sp_held_forget(struct sp_held *h, struct sp_held_job *j)
{
    for (struct sp_held_job **at = &h->jobs; *at; at = &(*at)->next)
        if (*at == j) {
            *at = j->next;
            sp_meter_add(SP_METER_IN_FLIGHT, (uint64_t)-1);
            break;
        }
    if (j->fd >= 0)
        close(j->fd);
    sp_arena_reset(&j->arena);
    sp_free(j);
}

void sp_held_stored(struct sp_held *h, const Sp__OutcomeStored *m)
{
    struct sp_held_job *j, *next;

    for (size_t i = 0; i < m->n_job; i++)
        for (j = h->jobs; j; j = next) {
            next = j->next;
            /* Only what has its outcome: the rest is still being worked on. */
            if (j->done && j->m->job == m->job[i])
                sp_held_forget(h, j);
        }
}

void sp_held_credit(struct sp_held *h)
{
    for (struct sp_held_job *j = h->jobs; j; j = j->next)
        if (j->done && !j->said)
            say(h, j);
}

void sp_held_lost(struct sp_held *h)
{
    h->queue = NULL;
    for (struct sp_held_job *j = h->jobs; j; j = j->next)
        j->said = false;
}
