/* t_held.c - what a delivering role holds: never forgotten before the queue has stored the
 * outcome, and said again to a queue that comes anew. */
#include "t.h"

#include "held.h"

#include "alloc.h"
#include "stored.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE SP__ROLE__ROLE_QUEUE
#define LOCAL SP__ROLE__ROLE_LOCAL

static uv_loop_t loop;
static struct sp_held held;
static struct sp_err err;
static int refused; /* jobs that sp_held_take() did not take */

/* ---- the queue's side: it notes what it hears ---- */

static struct sp_port *queue;
static unsigned greetings, held_jobs, outcomes, gone;
static uint64_t last_job, last_lease;
static struct sp_arena arena;

static int queue_hears(struct sp_port *p, const struct sp_frame *f, struct sp_err *e)
{
    void *m = sp_frame_unpack(f, &arena);

    (void)p;
    (void)e;
    if (f->type == SP_MSG_HELD && m) {
        greetings++;
        held_jobs = (unsigned)((Sp__Held *)m)->n_job;
        CHECK_INT(((Sp__Held *)m)->capacity, 16);
    }
    if (f->type == SP_MSG_OUTCOME && m) {
        const Sp__Outcome *o = m;

        outcomes++;
        last_job = o->job;
        last_lease = o->lease;
        CHECK_INT(o->n_rcpt, 1);
    }
    sp_arena_reset(&arena);
    return 0;
}

static void queue_gone(struct sp_port *p, const struct sp_err *why)
{
    (void)p;
    (void)why;
    queue = NULL;
}

static const struct sp_port_ops queue_ops = {.frame = queue_hears, .gone = queue_gone};

/* ---- the role's side ---- */

static int role_hears(struct sp_port *p, const struct sp_frame *f, struct sp_err *e)
{
    struct sp_held_job *j;
    void *m;

    if (f->type == SP_MSG_JOB) {
        j = sp_alloc(sizeof *j);
        refused += sp_held_take(&held, j, p, f, e) < 0;
        return 0;
    }
    m = sp_frame_unpack(f, &arena);
    if (f->type == SP_MSG_STORED && m)
        sp_held_stored(&held, m);
    sp_arena_reset(&arena);
    return 0;
}

static void role_gone(struct sp_port *p, const struct sp_err *why)
{
    (void)p;
    (void)why;
    gone++;
    sp_held_lost(&held);
}

static const struct sp_port_ops role_ops = {.frame = role_hears, .gone = role_gone};

static void turns(void)
{
    for (int i = 0; i < 6; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

/* A queue that comes anew. */
static void join(void)
{
    int fd[2];

    greetings = held_jobs = outcomes = 0;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    queue = sp_port_new(&loop, fd[0], QUEUE, LOCAL, 0, &queue_ops, NULL, &err);
    CHECK_INT(sp_held_join(&held, &loop, fd[1], QUEUE, 0, &role_ops, NULL, &err), 0);
    turns();
}

static void begin(void)
{
    CHECK_INT(uv_loop_init(&loop), 0);
    sp_arena_init(&arena, 1 << 20);
    held = (struct sp_held){.role = LOCAL, .capacity = 16};
    refused = 0;
    gone = 0;
    join();
}

static void end(void)
{
    sp_port_close(queue);
    sp_port_close(held.queue);
    while (held.jobs)
        sp_held_forget(&held, held.jobs);
    turns();
    CHECK_INT(uv_loop_close(&loop), 0);
}

struct lie {
    bool index, size, no_content;
};

static void give(uint64_t number, const struct lie *lie)
{
    static const char content[] = "Subject: x\r\n\r\nbody\r\n";
    Sp__Envelope env = SP__ENVELOPE__INIT;
    Sp__Recipient rcpt = SP__RECIPIENT__INIT, *ptr = &rcpt;
    Sp__Job m = SP__JOB__INIT;
    struct sp_raw raw = {.octets = {content, sizeof content - 1}};
    uint32_t index = 0;

    sp_stored_defaults(&env, 1700000000000);
    rcpt.address = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "a@b"};
    env.rcpt = &ptr;
    env.n_rcpt = 1;
    env.content_size = lie && lie->size ? 5 : sizeof content - 1;
    env.header_size = 14;
    if (lie && lie->size)
        env.header_size = 0;
    m.job = number;
    m.lease = number + 1000;
    m.id = (char *)(uintptr_t) "01ID";
    m.envelope = &env;
    m.index = &index;
    m.n_index = lie && lie->index ? 0 : 1;
    m.content_in_frame = !(lie && lie->no_content);
    m.route = (char *)(uintptr_t) "r";
    m.domain = (char *)(uintptr_t) "b";
    CHECK_INT(sp_port_send(queue, SP_MSG_JOB, &m.base,
                           lie && lie->no_content ? NULL : &raw, -1),
              0);
    turns();
}

static void finish(struct sp_held_job *j)
{
    CHECK(sp_held_row(j, 0, SP__ACTION__ACTION_DELIVERED) != NULL);
    CHECK(sp_held_row(j, 0, SP__ACTION__ACTION_DELIVERED) == NULL); /* no second one */
    sp_held_done(&held, j);
    turns();
}

static void stored(uint64_t number)
{
    Sp__OutcomeStored m = SP__OUTCOME_STORED__INIT;

    m.job = &number;
    m.n_job = 1;
    CHECK_INT(sp_port_say(queue, SP_MSG_STORED, &m.base), 0);
    turns();
}

/* ---- the tests ---- */

TEST("a job is kept until its outcome is stored, then it is forgotten")
{
    begin();
    CHECK_INT(greetings, 1);
    CHECK_INT(held_jobs, 0);
    give(7, NULL);
    CHECK(held.jobs != NULL && held.jobs->m->job == 7);
    CHECK_INT(held.jobs->content.n, 20);
    stored(7); /* not yet delivered: whatever the queue means, it stays */
    CHECK(held.jobs != NULL);
    finish(held.jobs);
    CHECK_INT(outcomes, 1);
    CHECK_INT(last_job, 7);
    CHECK_INT(last_lease, 1007);
    CHECK(held.jobs != NULL);
    stored(8); /* another one */
    CHECK(held.jobs != NULL);
    stored(7);
    CHECK(held.jobs == NULL);
    end();
}

TEST("a queue that comes anew hears what is held and what came of it")
{
    begin();
    give(1, NULL);
    give(2, NULL);
    finish(held.jobs); /* the newest: 2 */
    sp_port_close(queue);
    turns();
    CHECK_INT(gone, 1);
    CHECK(held.queue == NULL);
    finish(held.jobs->next); /* 1, while nobody listens */
    join();
    CHECK_INT(greetings, 1);
    CHECK_INT(held_jobs, 2);
    CHECK_INT(outcomes, 2);
    stored(1);
    stored(2);
    CHECK(held.jobs == NULL);
    end();
}

TEST("a job whose parts do not fit together is not taken, and nothing of it stays")
{
    static const struct lie lies[] = {
        {.index = true}, {.size = true}, {.no_content = true}};

    begin();
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        give(i + 1, &lies[i]);
    CHECK_INT(refused, 3);
    CHECK(held.jobs == NULL);
    give(9, NULL); /* and a right one is */
    CHECK_INT(refused, 3);
    CHECK(held.jobs != NULL);
    end();
}

T_MAIN
