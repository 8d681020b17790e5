/* acctask.c - see acctask.h. */
#include "acctask.h"

#include "alloc.h"
#include "err.h"
#include "log.h"

#include <string.h>

enum {
    SWEEP_MS = 250,
    WAITING_MAX = 20000,
    SLACK_MS = 2000, /* beside the section's own time, twice: once in its queue */
};

struct asked {
    struct asked *next;
    uint64_t tag, until_ms;
    acctask_answered *answered;
    void *arg;
};

struct acctask {
    uv_loop_t *loop;
    struct sp_port *port; /* NULL: no helper */
    struct asked *first, **last;
    size_t n;
    uint64_t tag;
    uv_timer_t sweep;
    struct sp_arena arena;
};

static void end_one(struct asked *q, enum sp_acct_status st, const struct sp_acct *a,
                    const char *reason)
{
    q->answered(q->arg, st, a, reason);
    sp_free(q);
}

/* Takes what fits out of the list first: an answer may ask again. */
static void end_until(struct acctask *x, uint64_t now_ms, const char *reason)
{
    struct asked *late = NULL, **at = &x->first;

    while (*at) {
        struct asked *q = *at;

        if (q->until_ms > now_ms) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        x->n--;
        q->next = late;
        late = q;
    }
    x->last = at;
    while (late) {
        struct asked *q = late;

        late = q->next;
        end_one(q, SP_ACCT_AWAY, NULL, reason);
    }
}

static void on_sweep(uv_timer_t *t)
{
    struct acctask *x = t->data;

    end_until(x, x->port ? uv_now(x->loop) : UINT64_MAX - 1,
              x->port ? "no answer in time" : "the auth-helper is not running");
    if (!x->first)
        uv_timer_stop(t);
}

struct acctask *acctask_new(uv_loop_t *loop)
{
    struct acctask *x = sp_alloc(sizeof *x);

    if (!x)
        return NULL;
    x->loop = loop;
    x->last = &x->first;
    sp_arena_init(&x->arena, 4 << 20);
    uv_timer_init(loop, &x->sweep);
    uv_unref((uv_handle_t *)&x->sweep);
    x->sweep.data = x;
    return x;
}

static void give(struct asked *q, const Sp__AccountAnswer *m)
{
    struct sp_acct a;
    enum sp_acct_status st = (enum sp_acct_status)m->status;
    const char *reason = m->reason;

    sp_acct_init(&a);
    for (size_t i = 0; i < m->n_value; i++)
        if (sp_acct_put(&a, (enum sp_acct_field)m->value[i]->field,
                        sp_pb_str(m->value[i]->value)) < 0) {
            st = SP_ACCT_AWAY;
            reason = "the helper says too much";
        }
    if (m->status > SP_ACCT_MORE || sp_buf_str(&a.token, sp_pb_str(m->token)) < 0)
        st = SP_ACCT_AWAY;
    end_one(q, st, &a, reason);
    sp_acct_reset(&a);
}

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct acctask *x = sp_port_arg(p);
    Sp__AccountAnswer *m = sp_frame_unpack(f, &x->arena);

    if (!m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed %s", sp_msg_name(f->type));
    for (struct asked **at = &x->first; *at; at = &(*at)->next)
        if ((*at)->tag == m->tag) {
            struct asked *q = *at;

            *at = q->next;
            if (!q->next)
                x->last = at;
            x->n--;
            give(q, m);
            break;
        } /* else it came too late */
    sp_arena_reset(&x->arena);
    return 0;
}

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    struct acctask *x = sp_port_arg(p);

    x->port = NULL;
    if (why->cls == SP_CLASS_PEER)
        sp_log(SP_LOG_ROLE_BAD, "", SP_KVS("role", "auth-helper"), SP_KVS("reason", why->text));
    end_until(x, UINT64_MAX - 1, "the auth-helper ended");
}

static const struct sp_port_ops ops = {.frame = on_frame, .gone = on_gone};

int acctask_port(struct acctask *x, int fd, unsigned instance, struct sp_err *err)
{
    sp_port_close(x->port);
    x->port = sp_port_new(x->loop, fd, SP__ROLE__ROLE_AUTH, SP__ROLE__ROLE_AUTH_HELPER,
                          instance, &ops, x, err);
    end_until(x, UINT64_MAX - 1, "the auth-helper was started again");
    return x->port ? 0 : -SP_ENOMEM;
}

static ProtobufCBinaryData data(struct sp_str s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

static int say(struct acctask *x, const struct acctask_q *q, uint64_t tag)
{
    Sp__AccountAsk m = SP__ACCOUNT_ASK__INIT;
    char mechanism[32], address[64];

    if (!x->port)
        return -SP_ECLOSED;
    snprintf(mechanism, sizeof mechanism, "%.*s", (int)q->ask.mechanism.n,
             q->ask.mechanism.n ? q->ask.mechanism.p : "");
    snprintf(address, sizeof address, "%.*s", (int)q->ask.client_address.n,
             q->ask.client_address.n ? q->ask.client_address.p : "");
    m.tag = tag;
    m.section = (char *)(uintptr_t)q->section->head.name;
    m.what = q->ask.what;
    m.name = data(q->ask.name);
    m.secret = data(q->ask.secret);
    m.mechanism = mechanism;
    m.client_address = address;
    m.exchange = q->exchange;
    return sp_port_say(x->port, SP_MSG_ACCT_ASK, &m.base);
}

int acctask_ask(struct acctask *x, const struct acctask_q *q, acctask_answered *answered,
                void *arg)
{
    struct asked *a = x->n < WAITING_MAX ? sp_alloc(sizeof *a) : NULL;
    uint64_t now = uv_now(x->loop);

    if (!a)
        return -SP_ENOMEM;
    a->tag = ++x->tag;
    a->answered = answered;
    a->arg = arg;
    /* Without a helper the sweep answers: never before this function has returned. */
    a->until_ms = say(x, q, a->tag) < 0 ? now : now + 2 * q->section->timeout_s * 1000 + SLACK_MS;
    *x->last = a;
    x->last = &a->next;
    x->n++;
    if (a->until_ms == now)
        uv_timer_start(&x->sweep, on_sweep, 0, SWEEP_MS);
    else if (!uv_is_active((uv_handle_t *)&x->sweep))
        uv_timer_start(&x->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    return 0;
}

void acctask_end(struct acctask *x, uint64_t exchange)
{
    Sp__AccountEnd m = SP__ACCOUNT_END__INIT;

    m.exchange = exchange;
    if (x->port)
        (void)sp_port_say(x->port, SP_MSG_ACCT_END, &m.base);
}
