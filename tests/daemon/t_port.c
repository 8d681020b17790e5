/* t_port.c - channels in the event loop: whoever dies or lies, nobody is left hanging. */
#include "t.h"

#include "port.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER SP__ROLE__ROLE_SERVER
#define QUEUE  SP__ROLE__ROLE_QUEUE

struct end {
    struct sp_port *port;
    unsigned frames, batches, gone;
    bool close_in_frame, lie;
    char why[400];
};

static uv_loop_t loop;

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct end *e = sp_port_arg(p);

    (void)f;
    e->frames++;
    if (e->close_in_frame) {
        sp_port_close(p);
        e->port = NULL;
    }
    (void)err;
    if (!e->lie)
        return 0;
    (void)snprintf(err->text, sizeof err->text, "a lie");
    return -SP_EINPUT;
}

static void on_batch(struct sp_port *p)
{
    ((struct end *)sp_port_arg(p))->batches++;
}

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    struct end *e = sp_port_arg(p);

    e->gone++;
    e->port = NULL;
    snprintf(e->why, sizeof e->why, "%s", why->text);
}

static const struct sp_port_ops ops = {
    .frame = on_frame, .batch_end = on_batch, .gone = on_gone};

static void join(struct end *a, struct end *b)
{
    struct sp_err err;
    int fd[2];

    memset(a, 0, sizeof *a);
    memset(b, 0, sizeof *b);
    CHECK_INT(uv_loop_init(&loop), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    a->port = sp_port_new(&loop, fd[0], SERVER, QUEUE, 0, &ops, a, &err);
    b->port = sp_port_new(&loop, fd[1], QUEUE, SERVER, 0, &ops, b, &err);
}

static void turns(int n)
{
    while (n--)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void part(struct end *a, struct end *b)
{
    sp_port_close(a->port);
    sp_port_close(b->port);
    turns(3);
    CHECK_INT(uv_loop_close(&loop), 0); /* no handle was forgotten */
}

static int say(struct end *e)
{
    Sp__SpareDropped m = SP__SPARE_DROPPED__INIT;

    m.spare = 1;
    return sp_port_say(e->port, SP_MSG_SPARE_DROPPED, &m.base);
}

TEST("what was sent in one turn arrives as one batch")
{
    struct end a, b;

    join(&a, &b);
    for (int i = 0; i < 100; i++)
        CHECK_INT(say(&a), 0);
    turns(3);
    CHECK_INT(b.frames, 100);
    CHECK_INT(b.batches, 1);
    part(&a, &b);
}

TEST("a port closed by its own handler gives nothing more and is freed once")
{
    struct end a, b;

    join(&a, &b);
    b.close_in_frame = true;
    for (int i = 0; i < 5; i++)
        CHECK_INT(say(&a), 0);
    turns(4);
    CHECK_INT(b.frames, 1);
    CHECK_INT(b.batches, 0);
    CHECK_INT(b.gone, 0);
    CHECK_INT(a.gone, 1); /* the other side learns of it, once */
    part(&a, &b);
}

TEST("a lie ends the channel at once, both sides hear of it once")
{
    struct end a, b;

    join(&a, &b);
    b.lie = true;
    for (int i = 0; i < 5; i++)
        CHECK_INT(say(&a), 0);
    turns(4);
    CHECK_INT(b.frames, 1);
    CHECK_INT(b.gone, 1);
    CHECK_STR(b.why, "a lie");
    CHECK_INT(a.gone, 1);
    part(&a, &b);
}

TEST("the last words of a role that died are heard although it cannot be written to")
{
    Sp__SpareDropped words = SP__SPARE_DROPPED__INIT;
    Sp__SpareFile m = SP__SPARE_FILE__INIT;
    struct end a = {.frames = 0}, b = {.frames = 0};
    struct sp_chan *dying;
    struct sp_err err;
    int fd[2];

    CHECK_INT(uv_loop_init(&loop), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    dying = sp_chan_new(fd[0], SERVER, QUEUE, &err);
    b.port = sp_port_new(&loop, fd[1], QUEUE, SERVER, 0, &ops, &b, &err);
    CHECK_INT(sp_chan_send(dying, SP_MSG_SPARE_DROPPED, &words.base, NULL, -1), 0);
    CHECK_INT(sp_chan_flush(dying, &err), 0);
    sp_chan_free(dying);
    CHECK_INT(sp_port_say(b.port, SP_MSG_SPARE, &m.base), 0);
    sp_port_flush(b.port); /* finds nobody */
    turns(3);
    CHECK_INT(b.frames, 1);
    CHECK_INT(b.gone, 1);
    CHECK_STR(b.why, "server role is gone");
    part(&a, &b);
}

T_MAIN
