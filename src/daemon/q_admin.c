/* q_admin.c - see q.h: the control socket and those who connect to it. */
#include "q.h"

#include "alloc.h"
#include "door.h"
#include "err.h"
#include "qcontrol.h"
#include "qid.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ADMINS_MAX = 64,   /* connections at a time; more wait in the backlog */
    ROWS_A_TURN = 256, /* mail goes on between two pieces of a long list */
    REQUEST_MAX = 8 << 20,
};

/* One connection, which asks one thing at a time. */
struct admin {
    struct q *q;
    struct sp_port *port; /* NULL: gone */
    uv_timer_t on; /* the next piece of a list */
    unsigned uid;
    unsigned rows;         /* of this turn */
    struct sp_arena arena; /* the request being answered */
    Sp__ControlRequest *m; /* NULL: none */
    struct sp_qcontrol c;
    bool removes, retries, reroutes, expires;
    bool retries_any; /* one of the jobs is for who knows where */
    bool traces; /* follows sessions until it goes; m stays */
    uint64_t trace, lost;
    struct admin *next_tracer;
    uint64_t last; /* the message that was logged last: its jobs follow one another */
};

static bool admin_new(void *arg, int fd);

/* Who may connect is decided by the mode and group of the socket file.  One door is in
 * force; those who came by one that a reload has replaced stay. */
static struct sp_doors doors = {.max = ADMINS_MAX, .guest = admin_new};

/* ---- one command ---- */

static int row_out(void *arg, struct sp_str json)
{
    struct admin *a = arg;
    Sp__ControlRow m = SP__CONTROL_ROW__INIT;

    m.json = (char *)(uintptr_t)json.p;
    a->rows++;
    return sp_port_say(a->port, SP_MSG_ROW, &m.base);
}

static bool enough(void *arg)
{
    struct admin *a = arg;

    return a->rows >= ROWS_A_TURN || sp_port_full(a->port);
}

static void on_change(void *arg, const struct sp_change *c)
{
    struct admin *a = arg;
    char id[SP_QID_MAX];

    (void)sp_change_apply(c, a->q->sched);
    if (a->retries && c->kind == SP_CHANGE_RELEASED) {
        struct sp_sched_job j;

        a->retries_any |= sp_sched_get(a->q->sched, c->job, &j) == 0 && !j.gate;
        if (!a->retries_any)
            q_pace_try(a->q, c->job);
    }
    if (a->reroutes || a->expires) { /* it need not wait for where it was to go */
        (void)sp_sched_lane(a->q->sched, c->job, 0);
        (void)sp_sched_gate(a->q->sched, c->job, 0);
    }
    if (c->message == a->last)
        return;
    a->last = c->message;
    sp_qid_format(c->message, id);
    if (a->reroutes)
        sp_log(SP_LOG_CONTROL, id, SP_KVS("command", a->m->command), SP_KVS("id", id),
               SP_KVS("route", a->m->route), SP_KVU("uid", a->uid));
    if (!a->removes || c->kind != SP_CHANGE_GONE)
        return;
    sp_log(SP_LOG_REMOVED, id, SP_KVS("id", id), SP_KVU("uid", a->uid));
}

static void on_stopped(void *arg, const struct sp_suspension *x, bool resumed)
{
    struct admin *a = arg;

    q_pace_suspended(a->q, x, resumed);
}

static void paces_out(void *arg, struct sp_qcontrol *c)
{
    struct admin *a = arg;

    q_pace_rows(a->q, c);
}

static const struct sp_suspension *why_waits(void *arg, uint64_t job)
{
    struct admin *a = arg;

    return q_pace_why(a->q, job);
}

static void answered(struct admin *a)
{
    Sp__ControlDone done = SP__CONTROL_DONE__INIT;

    if (a->retries_any)
        q_pace_try(a->q, 0);
    sp_log(SP_LOG_CONTROL, "", SP_KVS("command", a->m->command),
           SP_KVU("count", a->c.count), SP_KVU("uid", a->uid));
    done.exit_code = (uint32_t)a->c.exit_code;
    done.text = a->c.text;
    done.count = a->c.count;
    (void)sp_port_say(a->port, SP_MSG_DONE, &done.base);
    a->m = NULL;
    sp_arena_reset(&a->arena);
}

/* ---- trace ---- */

enum { TRACERS_MAX = 8 }; /* what a server takes */

static struct admin *tracers;

static void wishes(Sp__TraceSet *set, Sp__TraceWish row[TRACERS_MAX],
                   Sp__TraceWish *ptr[TRACERS_MAX])
{
    sp__trace_set__init(set);
    set->wish = ptr;
    for (struct admin *a = tracers; a && set->n_wish < TRACERS_MAX; a = a->next_tracer) {
        Sp__TraceWish *w = &row[set->n_wish];

        sp__trace_wish__init(w);
        w->id = a->trace;
        if (strcmp(a->m->argument[0], "user") == 0)
            w->user = a->m->argument[1];
        else
            w->network = a->m->argument[1];
        ptr[set->n_wish++] = w;
    }
}

void q_trace_tell(struct q_peer *p)
{
    Sp__TraceWish row[TRACERS_MAX], *ptr[TRACERS_MAX];
    Sp__TraceSet set;

    wishes(&set, row, ptr);
    if (p->role == SP__ROLE__ROLE_SERVER && p->port)
        (void)sp_port_say(p->port, SP_MSG_TRACE_SET, &set.base);
}

static void tell_all(struct q *q)
{
    for (struct q_peer *p = q->peers; p; p = p->next)
        q_trace_tell(p);
}

static json_t *escaped(struct sp_str s)
{
    struct sp_buf b;
    json_t *j;

    sp_buf_init(&b, 8 * s.n + 16);
    (void)sp_put_escaped(&b, s);
    j = json_stringn(b.n ? b.p : "", b.n);
    sp_buf_free(&b);
    return j;
}

/* Who reads too slowly loses lines, and is told how many. */
void q_trace_line(const Sp__Traced *m)
{
    struct admin *a = tracers;
    json_t *j;
    char *text;

    while (a && a->trace != m->id)
        a = a->next_tracer;
    if (!a || !a->port)
        return;
    a->lost += m->lost;
    if (sp_port_full(a->port)) {
        a->lost++;
        return;
    }
    j = json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:I}", "at_ms", (json_int_t)m->at_ms, "session",
                  escaped(sp_str(m->session)), "from", escaped(sp_str(m->from)), "user",
                  escaped(sp_str(m->user)), "side", escaped(sp_str(m->side)), "text",
                  escaped(sp_pb_str(m->text)), "lost", (json_int_t)a->lost);
    text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text && row_out(a, sp_str(text)) == 0)
        a->lost = 0;
    free(text);
    json_decref(j);
}

static void trace_begin(struct admin *a)
{
    static uint64_t last;
    size_t n = 0;

    for (struct admin *t = tracers; t; t = t->next_tracer)
        n++;
    if (a->m->n_argument != 2 || n == TRACERS_MAX) {
        a->c.exit_code = n == TRACERS_MAX ? EX_TEMPFAIL : EX_USAGE;
        snprintf(a->c.text, sizeof a->c.text, "%s",
                 n == TRACERS_MAX ? "8 others trace already" : "a user or a network");
        answered(a);
        return;
    }
    sp_log(SP_LOG_CONTROL, "", SP_KVS("command", a->m->command),
           SP_KVS(a->m->argument[0], a->m->argument[1]), SP_KVU("uid", a->uid));
    a->traces = true;
    a->trace = ++last;
    a->next_tracer = tracers;
    tracers = a;
    tell_all(a->q);
}

static void trace_end(struct admin *a)
{
    for (struct admin **at = &tracers; *at; at = &(*at)->next_tracer)
        if (*at == a) {
            *at = a->next_tracer;
            break;
        }
    a->traces = false;
    tell_all(a->q);
}

static void go_on(uv_timer_t *t)
{
    struct admin *a = t->data;

    if (!a->port || !a->m)
        return;
    a->rows = 0;
    sp_qcontrol_run(&a->c, a->m);
    if (!a->c.more)
        answered(a);
    else if (!sp_port_full(a->port)) /* else its credit wakes us */
        uv_timer_start(&a->on, go_on, 1, 0);
}

static int on_frame(struct sp_port *port, const struct sp_frame *f, struct sp_err *err)
{
    struct admin *a = sp_port_arg(port);

    if (a->m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "a request inside a request");
    a->m = sp_frame_unpack(f, &a->arena);
    if (!a->m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed request");
    q_commit(a->q); /* what was said before is in the answer */
    a->removes = strcmp(a->m->command, "queue.remove") == 0;
    a->retries = strcmp(a->m->command, "queue.retry") == 0;
    a->retries_any = false;
    a->reroutes = strcmp(a->m->command, "queue.reroute") == 0;
    a->expires = strcmp(a->m->command, "queue.expire") == 0;
    a->last = 0;
    a->c = (struct sp_qcontrol){.spool = a->q->spool,
                                .now_ms = sp_wall_ms(),
                                .row = row_out,
                                .enough = enough,
                                .row_arg = a,
                                .change = on_change,
                                .change_arg = a,
                                .suspended = a->q->suspended,
                                .conf = a->q->conf,
                                .stopped = on_stopped,
                                .paces = paces_out,
                                .why = why_waits};
    if (strcmp(a->m->command, "trace") == 0)
        trace_begin(a);
    else
        go_on(&a->on);
    q_dispatch(a->q);
    return 0;
}

static void on_credit(struct sp_port *port)
{
    struct admin *a = sp_port_arg(port);

    if (a->m && a->c.more)
        uv_timer_start(&a->on, go_on, 0, 0);
}

static void admin_free(uv_handle_t *h)
{
    struct admin *a = h->data;

    sp_arena_reset(&a->arena);
    sp_free(a);
    sp_doors_left(&doors);
}

static void on_gone(struct sp_port *port, const struct sp_err *why)
{
    struct admin *a = sp_port_arg(port);

    (void)why;
    a->port = NULL;
    if (a->traces)
        trace_end(a);
    uv_close((uv_handle_t *)&a->on, admin_free);
}

static const struct sp_port_ops admin_ops = {
    .frame = on_frame, .credit = on_credit, .gone = on_gone};

/* ---- who comes ---- */

static bool admin_new(void *arg, int fd)
{
    struct q *q = arg;
    struct admin *a = sp_alloc(sizeof *a);
    struct ucred who = {.uid = (uid_t)-1};
    socklen_t n = sizeof who;
    struct sp_err err;

    if (!a)
        return false;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n);
    a->q = q;
    a->uid = who.uid;
    sp_arena_init(&a->arena, REQUEST_MAX);
    uv_timer_init(&q->role->loop, &a->on);
    a->on.data = a;
    a->port = sp_port_new(&q->role->loop, fd, SP__ROLE__ROLE_QUEUE,
                          SP__ROLE__ROLE_CONTROL, 0, &admin_ops, a, &err);
    if (!a->port) /* which has closed the descriptor */
        uv_close((uv_handle_t *)&a->on, admin_free);
    return true;
}

static bool same(const void *arg, const char *address)
{
    return strcmp(arg, address) == 0;
}

int q_admin_listen(struct sp_role *r, const Sp__ListenerFd *m, int fd,
                   struct sp_err *err)
{
    int rc = sp_doors_open(&doors, &r->loop, m->address, fd, r->self, err);

    if (rc == 0)
        sp_doors_keep(&doors, same, m->address);
    return rc;
}
