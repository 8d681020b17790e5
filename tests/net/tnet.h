/*
 * tnet.h - two ends of a connection in one loop, for the tests of this folder.
 *
 *     struct tnet n;  tnet_open(&n);             n.a and n.b are connected
 *     tnet_run(&n, n.a.tls_up && n.b.tls_up);    until true, or 5 s: then a failed check
 *     tnet_shut(&n);
 */
#ifndef SP_TNET_H
#define SP_TNET_H

#include "conn.h"
#include "t.h"
#include "tpki.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct sp_conn *c; /* NULL after close or abort */
    struct sp_buf got;
    size_t take; /* take at most so much from each on_read(); 0: all */
    bool hold;   /* take nothing */
    bool up, failed, ended, drained, late, closed;
    struct sp_err err; /* of `failed` */
    struct sp_end end;
    struct sp_tls_ctx *starttls; /* switch when "STARTTLS\n" was read */
    const char *host;
    bool echo, close_at_end, close_at_up, abort_at_read;
    char *room; /* read straight into it */
    size_t room_n, room_cap;
    int reads;
};

struct tnet {
    uv_loop_t loop;
    struct sp_net *net;
    struct side a, b;
};

static inline size_t side_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    struct side *s = arg;

    s->reads++;
    if (s->abort_at_read) {
        sp_conn_abort(c);
        s->c = NULL;
        return 0;
    }
    if (s->hold)
        return 0;
    if (s->take && n > s->take)
        n = s->take;
    sp_buf_put(&s->got, p, n);
    if (s->echo)
        sp_conn_write(c, p, n);
    if (s->starttls && s->got.n >= 9 && !memcmp(s->got.p, "STARTTLS\n", 9)) {
        struct sp_tls_ctx *ctx = s->starttls;
        size_t extra = s->got.n - 9;

        s->starttls = NULL;
        s->got.n = 9;
        if (!s->host)
            sp_conn_write(c, "220 go\n", 7);
        CHECK(sp_conn_start_tls(c, ctx, s->host, &s->err) == 0);
        return n - extra;
    }
    if (s->take)
        sp_conn_resume(c);
    return n;
}

static inline char *side_room(struct sp_conn *c, size_t *cap, void *arg)
{
    struct side *s = arg;

    (void)c;
    *cap = s->room_cap - s->room_n;
    return s->room ? s->room + s->room_n : NULL;
}

static inline void side_filled(struct sp_conn *c, size_t n, void *arg)
{
    struct side *s = arg;

    (void)c;
    s->room_n += n;
}

static inline void side_tls(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    struct side *s = arg;

    if (err) {
        s->failed = true;
        s->err = *err;
    } else {
        s->up = true;
    }
    if (s->close_at_up) {
        sp_conn_close(c);
        s->c = NULL;
    }
}

static inline void side_drain(struct sp_conn *c, void *arg)
{
    struct side *s = arg;

    (void)c;
    s->drained = true;
}

static inline void side_late(struct sp_conn *c, void *arg)
{
    struct side *s = arg;

    (void)c;
    s->late = true;
}

static inline void side_end(struct sp_conn *c, const struct sp_end *e, void *arg)
{
    struct side *s = arg;

    CHECK(!s->ended);
    s->ended = true;
    s->end = *e;
    if (s->close_at_end) {
        sp_conn_close(c);
        s->c = NULL;
    }
}

static inline void side_closed(void *arg)
{
    struct side *s = arg;

    CHECK(!s->closed);
    s->closed = true;
}

static const struct sp_conn_ops side_ops = {
    .on_read = side_read,
    .on_room = side_room,
    .on_filled = side_filled,
    .on_tls = side_tls,
    .on_drain = side_drain,
    .on_deadline = side_late,
    .on_end = side_end,
    .on_closed = side_closed,
};

static inline void side_init(struct side *s, struct sp_conn *c)
{
    memset(s, 0, sizeof *s);
    s->c = c;
    sp_buf_init(&s->got, 1 << 26);
}

static inline void side_adopt(struct tnet *n, struct side *s, int fd)
{
    struct sp_err err;

    side_init(s, NULL);
    if (sp_conn_from_fd(n->net, fd, &s->c, &err) < 0)
        abort();
    sp_conn_start(s->c, &side_ops, s);
}

static inline void tnet_begin(struct tnet *n)
{
    memset(n, 0, sizeof *n);
    uv_loop_init(&n->loop);
    n->net = sp_net_new(&n->loop);
    side_init(&n->a, NULL);
    side_init(&n->b, NULL);
}

static inline void tnet_open(struct tnet *n)
{
    int fd[2];

    tnet_begin(n);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
        abort();
    side_adopt(n, &n->a, fd[0]);
    side_adopt(n, &n->b, fd[1]);
}

static inline void tnet_tick(uv_timer_t *t)
{
    (void)t;
}

/* Loop until cond, at most 5 s. */
#define tnet_run(n, cond)                                                              \
    do {                                                                               \
        uv_timer_t t_tick;                                                             \
        uint64_t t_end = uv_hrtime() + 5000000000ULL;                                  \
        uv_timer_init(&(n)->loop, &t_tick);                                            \
        uv_timer_start(&t_tick, tnet_tick, 1, 20);                                     \
        while (!(cond) && uv_hrtime() < t_end)                                         \
            uv_run(&(n)->loop, UV_RUN_ONCE);                                           \
        uv_close((uv_handle_t *)&t_tick, NULL);                                        \
        uv_run(&(n)->loop, UV_RUN_NOWAIT);                                             \
        CHECK(cond);                                                                   \
    } while (0)

/* Lets things settle for ms. */
static inline void tnet_wait(struct tnet *n, unsigned ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000ULL;
    uv_timer_t t;

    uv_timer_init(&n->loop, &t);
    uv_timer_start(&t, tnet_tick, 1, 5);
    while (uv_hrtime() < end)
        uv_run(&n->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&t, NULL);
    uv_run(&n->loop, UV_RUN_NOWAIT);
}

static inline void tnet_shut(struct tnet *n)
{
    sp_net_free(n->net);
    uv_run(&n->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&n->loop) == 0);
    sp_buf_free(&n->a.got);
    sp_buf_free(&n->b.got);
}

#endif
