/* net.c - see net.h. */
#include "net.h"

#include "alloc.h"
#include "conn.h"
#include "connint.h"
#include "netint.h"

#include <assert.h>
#include <signal.h>
#include <string.h>

/* The heap: a pairing heap, smallest key on top.  A node's `up` is its left sibling, or
 * its parent for the leftmost child, or NULL for the root. */

static struct sp_timer *meld(struct sp_timer *a, struct sp_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->key < a->key) {
        struct sp_timer *t = a;

        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next)
        b->next->up = b;
    b->up = a;
    a->child = b;
    return a;
}

/* The usual two passes: pairs from the left, then everything from the right. */
static struct sp_timer *meld_children(struct sp_timer *first)
{
    struct sp_timer *pairs = NULL, *root = NULL;

    while (first) {
        struct sp_timer *a = first, *b = a->next;

        first = b ? b->next : NULL;
        a->next = a->up = NULL;
        if (b)
            b->next = b->up = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct sp_timer *a = pairs;

        pairs = a->next;
        a->next = NULL;
        root = meld(root, a);
    }
    return root;
}

static void heap_remove(struct sp_net *net, struct sp_timer *t)
{
    struct sp_timer *rest = meld_children(t->child);

    if (t == net->timers) {
        net->timers = rest;
    } else {
        if (t->up->child == t)
            t->up->child = t->next;
        else
            t->up->next = t->next;
        if (t->next)
            t->next->up = t->up;
        net->timers = meld(net->timers, rest);
    }
    t->child = t->next = t->up = NULL;
    t->key = 0;
}

static void heap_insert(struct sp_net *net, struct sp_timer *t)
{
    t->key = t->due;
    net->timers = meld(net->timers, t);
}

static void on_timer(uv_timer_t *h);

/* Sets the uv timer to the first deadline. */
static void arm(struct sp_net *net)
{
    uint64_t now = uv_now(net->loop), at;

    if (net->closing)
        return;
    if (!net->timers) {
        if (net->armed)
            uv_timer_stop(&net->timer);
        net->armed = 0;
        return;
    }
    at = net->timers->key;
    if (at == net->armed)
        return;
    net->armed = at;
    uv_timer_start(&net->timer, on_timer, at > now ? at - now : 0, 0);
}

static void on_timer(uv_timer_t *h)
{
    struct sp_net *net = h->data;
    uint64_t now = uv_now(net->loop);

    net->armed = 0;
    while (!net->closing && net->timers && net->timers->key <= now) {
        struct sp_timer *t = net->timers;

        heap_remove(net, t);
        if (t->due > now) { /* it was moved while it waited */
            heap_insert(net, t);
            continue;
        }
        t->due = 0;
        t->fire(t->arg);
    }
    arm(net);
}

void sp_timer_init(struct sp_timer *t, struct sp_net *net, void (*fire)(void *),
                   void *arg)
{
    memset(t, 0, sizeof *t);
    t->net = net;
    t->fire = fire;
    t->arg = arg;
}

void sp_timer_start(struct sp_timer *t, uint64_t ms)
{
    /* At least 1 ms from now, so that a timer which restarts itself with 0 cannot keep
     * on_timer() from returning; and never 0, which means stopped. */
    t->due = uv_now(t->net->loop) + (ms ? ms : 1);
    if (t->key && t->key <= t->due)
        return; /* later than its place in the heap: put right when that comes up */
    if (t->key)
        heap_remove(t->net, t);
    heap_insert(t->net, t);
    arm(t->net);
}

void sp_timer_stop(struct sp_timer *t)
{
    t->due = 0;
    if (!t->key)
        return;
    heap_remove(t->net, t);
    arm(t->net);
}

bool sp_timer_running(const struct sp_timer *t)
{
    return t->due != 0;
}

static void nothing(uv_idle_t *h)
{
    (void)h;
}

void sp_net_awake(struct sp_net *net)
{
    if (!net->closing)
        uv_idle_start(&net->idle, nothing);
}

static void turn(struct sp_net *net)
{
    if (net->dirty)
        sp_conn_turn(net);
    if (!net->closing && !net->dirty)
        uv_idle_stop(&net->idle);
}

static void turn_prepare(uv_prepare_t *h)
{
    turn(h->data);
}

static void turn_check(uv_check_t *h)
{
    turn(h->data);
}

struct sp_net *sp_net_new(uv_loop_t *loop)
{
    struct sp_net *net = sp_alloc(sizeof *net);
    struct sigaction sa;

    if (!net)
        return NULL;
    if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
        sa.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &sa, NULL);
    }
    net->loop = loop;
    uv_timer_init(loop, &net->timer);
    uv_prepare_init(loop, &net->prepare);
    uv_check_init(loop, &net->check);
    uv_idle_init(loop, &net->idle);
    net->timer.data = net->prepare.data = net->check.data = net->idle.data = net;
    net->handles = 4;
    uv_prepare_start(&net->prepare, turn_prepare);
    uv_check_start(&net->check, turn_check);
    /* Alone they must not keep the loop running; the idle handle does while work is
     * left. */
    uv_unref((uv_handle_t *)&net->prepare);
    uv_unref((uv_handle_t *)&net->check);
    return net;
}

void sp_net_forget(struct sp_net *net)
{
    if (net->closing && net->handles == 0 && net->n_conns == 0)
        sp_free(net);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct sp_net *net = h->data;

    net->handles--;
    sp_net_forget(net);
}

void sp_net_free(struct sp_net *net)
{
    if (!net || net->closing)
        return;
    sp_conn_abort_all(net);
    net->closing = true;
    uv_close((uv_handle_t *)&net->timer, on_handle_closed);
    uv_close((uv_handle_t *)&net->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&net->check, on_handle_closed);
    uv_close((uv_handle_t *)&net->idle, on_handle_closed);
}

uv_loop_t *sp_net_loop(struct sp_net *net)
{
    return net->loop;
}

size_t sp_net_connections(const struct sp_net *net)
{
    return net->n_conns;
}
