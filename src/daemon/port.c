/* port.c - see port.h. */
#include "port.h"

#include "alloc.h"
#include "err.h"

/* Reads of one port in one turn: a flood from one role must not starve the others. */
enum { READS_A_TURN = 16 };

struct sp_port {
    uv_poll_t poll;
    uv_prepare_t before_wait; /* runs while something waits to leave */
    struct sp_chan *ch;
    const struct sp_port_ops *ops;
    void *arg;
    unsigned instance;
    unsigned handles; /* still to be closed by the loop */
    bool closing, was_full;
};

static void on_poll(uv_poll_t *h, int status, int events);

static void want(struct sp_port *p, bool write_too)
{
    if (!p->closing)
        uv_poll_start(&p->poll, UV_READABLE | (write_too ? UV_WRITABLE : 0), on_poll);
}

static void closed(uv_handle_t *h)
{
    struct sp_port *p = h->data;

    if (--p->handles)
        return;
    sp_chan_free(p->ch);
    sp_free(p);
}

void sp_port_close(struct sp_port *p)
{
    if (!p || p->closing)
        return;
    p->closing = true;
    uv_close((uv_handle_t *)&p->poll, closed);
    uv_close((uv_handle_t *)&p->before_wait, closed);
}

static void lost(struct sp_port *p, const struct sp_err *why)
{
    if (p->closing)
        return;
    p->ops->gone(p, why);
    sp_port_close(p);
}

static void flush(struct sp_port *p)
{
    struct sp_err err;
    int rc = sp_chan_flush(p->ch, &err);

    /* A dead peer is noticed by the next read, which may still bring its last words. */
    if (rc >= 0)
        want(p, rc > 0);
}

static void on_before_wait(uv_prepare_t *h)
{
    struct sp_port *p = h->data;

    uv_prepare_stop(h);
    if (!p->closing)
        flush(p);
}

static void handle_frames(struct sp_port *p)
{
    struct sp_frame f;
    struct sp_err err;
    int rc;

    while (!p->closing && (rc = sp_chan_next(p->ch, &f, &err)) != 0) {
        if (rc > 0)
            rc = p->ops->frame(p, &f, &err);
        if (rc < 0)
            lost(p, &err);
    }
}

static void readable(struct sp_port *p)
{
    struct sp_err err;
    int rc = 1;

    for (int i = 0; i < READS_A_TURN && rc > 0; i++)
        rc = sp_chan_read(p->ch, &err);
    handle_frames(p);
    if (!p->closing && p->ops->batch_end)
        p->ops->batch_end(p);
    if (p->closing)
        return;
    if (!p->ops->keep_frames)
        sp_port_release(p);
    if (rc < 0) {
        lost(p, &err);
        return;
    }
    if (p->was_full && !sp_chan_full(p->ch)) {
        p->was_full = false;
        if (p->ops->credit)
            p->ops->credit(p);
    }
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct sp_port *p = h->data;

    if (p->closing)
        return;
    if (status < 0 || events & UV_READABLE)
        readable(p);
    if (!p->closing && events & UV_WRITABLE)
        flush(p);
}

struct sp_port *sp_port_new(uv_loop_t *loop, int fd, Sp__Role me, Sp__Role peer,
                            unsigned instance, const struct sp_port_ops *ops, void *arg,
                            struct sp_err *err)
{
    struct sp_chan *ch = sp_chan_new(fd, me, peer, err);
    struct sp_port *p = ch ? sp_alloc(sizeof *p) : NULL;

    if (!p || uv_poll_init(loop, &p->poll, fd) < 0) {
        (void)sp_err_set(err, SP_CLASS_BUG, SP_ENOMEM, "cannot watch a channel");
        sp_chan_free(ch);
        sp_free(p);
        return NULL;
    }
    p->ch = ch;
    p->ops = ops;
    p->arg = arg;
    p->instance = instance;
    p->handles = 2;
    p->poll.data = p;
    uv_prepare_init(loop, &p->before_wait);
    p->before_wait.data = p;
    want(p, false);
    return p;
}

void *sp_port_arg(const struct sp_port *p)
{
    return p->arg;
}

Sp__Role sp_port_peer(const struct sp_port *p)
{
    return sp_chan_peer(p->ch);
}

unsigned sp_port_instance(const struct sp_port *p)
{
    return p->instance;
}

int sp_port_send(struct sp_port *p, enum sp_msg type, const ProtobufCMessage *m,
                 const struct sp_raw *raw, int fd)
{
    int rc = sp_chan_send(p->ch, type, m, raw, fd);

    if (sp_chan_full(p->ch))
        p->was_full = true;
    if (rc == 0 && !p->closing)
        uv_prepare_start(&p->before_wait, on_before_wait);
    return rc;
}

int sp_port_say(struct sp_port *p, enum sp_msg type, const ProtobufCMessage *m)
{
    return sp_port_send(p, type, m, NULL, -1);
}

bool sp_port_full(const struct sp_port *p)
{
    return sp_chan_full(p->ch);
}

void sp_port_release(struct sp_port *p)
{
    sp_chan_release(p->ch);
    if (sp_chan_pending(p->ch) && !p->closing)
        uv_prepare_start(&p->before_wait, on_before_wait);
}

int sp_port_take_fd(struct sp_port *p)
{
    return sp_chan_take_fd(p->ch);
}

void sp_port_flush(struct sp_port *p)
{
    flush(p);
}
