/* fetch.c - see fetch.h. */
#include "fetch.h"

#include "alloc.h"
#include "buf.h"
#include "err.h"
#include "text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct sp_fetch {
    uv_process_t process;
    uv_pipe_t pipe;
    uv_timer_t timer;
    unsigned open; /* handles that are not closed yet */
    bool exited, ended, told;
    bool too_much, too_slow;
    int64_t status;
    int signal;
    struct sp_buf text;
    char program[200];
    sp_fetch_done *done; /* NULL: cancelled */
    void *arg;
};

static void closed(uv_handle_t *h)
{
    struct sp_fetch *f = h->data;

    if (--f->open)
        return;
    sp_buf_wipe(&f->text);
    sp_free(f);
}

static void close_all(struct sp_fetch *f)
{
    uv_handle_t *const h[] = {(uv_handle_t *)&f->pipe, (uv_handle_t *)&f->timer,
                              (uv_handle_t *)&f->process};

    /* One that still lives is waited for, or it would stay as a zombie. */
    for (size_t i = 0; i < (f->exited ? 3 : 2); i++)
        if (!uv_is_closing(h[i]))
            uv_close(h[i], closed);
}

/* It leads a group of its own: what it started goes, too. */
static void kill_group(struct sp_fetch *f)
{
    if (!f->exited && f->process.pid > 0)
        (void)kill(-f->process.pid, SIGKILL);
}

static int outcome(const struct sp_fetch *f, struct sp_str *line, struct sp_err *err)
{
    struct sp_str rest = sp_buf_view(&f->text);

    if (f->too_slow)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "%s took too long",
                          f->program);
    if (f->too_much)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ELIMIT, "%s prints too much",
                          f->program);
    if (f->signal || f->status)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "%s ended with %s %d",
                          f->program, f->signal ? "signal" : "status",
                          f->signal ? f->signal : (int)f->status);
    *line = sp_str_trim(sp_str_cut(&rest, '\n'));
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    if (line->n == 0)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "%s prints nothing",
                          f->program);
    return 0;
}

static void tell(struct sp_fetch *f)
{
    struct sp_str line = {NULL, 0};
    struct sp_err err = {0};
    sp_fetch_done *done = f->done;

    if (f->told || !((f->exited && f->ended) || f->too_slow || f->too_much))
        return;
    f->told = true;
    f->done = NULL;
    kill_group(f);
    if (done && outcome(f, &line, &err) < 0)
        done(f->arg, (struct sp_str){NULL, 0}, &err);
    else if (done)
        done(f->arg, line, NULL);
    close_all(f);
}

static void on_exit_of(uv_process_t *p, int64_t status, int sig)
{
    struct sp_fetch *f = p->data;

    f->exited = true;
    f->status = status;
    f->signal = sig;
    if (f->told)
        uv_close((uv_handle_t *)p, closed);
    else
        tell(f);
}

static void on_time(uv_timer_t *t)
{
    struct sp_fetch *f = t->data;

    f->too_slow = true;
    tell(f);
}

static void room(uv_handle_t *h, size_t wanted, uv_buf_t *b)
{
    struct sp_fetch *f = h->data;
    size_t left = f->text.max - f->text.n;
    char *p = left ? sp_buf_room(&f->text, left) : NULL;

    (void)wanted;
    *b = uv_buf_init(p, p ? (unsigned)left : 0);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct sp_fetch *f = s->data;

    (void)b;
    if (n > 0)
        f->text.n += (size_t)n;
    else if (n == UV_ENOBUFS)
        f->too_much = true;
    else if (n < 0)
        f->ended = true;
    if (n < 0)
        (void)uv_read_stop(s);
    tell(f);
}

static int spawn(struct sp_fetch *f, uv_loop_t *loop, char **argv)
{
    uv_stdio_container_t io[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&f->pipe},
        {.flags = UV_IGNORE},
    };
    uv_process_options_t o = {
        .exit_cb = on_exit_of,
        .file = argv[0],
        .args = argv,
        .cwd = "/",
        .flags = UV_PROCESS_DETACHED, /* a group of its own */
        .stdio_count = 3,
        .stdio = io,
    };

    uv_disable_stdio_inheritance(); /* our channels are not for it */
    return uv_spawn(loop, &f->process, &o);
}

struct sp_fetch *sp_fetch_start(uv_loop_t *loop, const char *const *argv, size_t n,
                                unsigned timeout_ms, sp_fetch_done *done, void *arg,
                                struct sp_err *err)
{
    struct sp_fetch *f = sp_alloc(sizeof *f);
    char *copy[SP_FETCH_WORDS + 1];
    int rc;

    if (!f || n == 0 || n > SP_FETCH_WORDS) {
        sp_free(f);
        (void)sp_err_nomem(err);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        copy[i] = (char *)(uintptr_t)argv[i];
    copy[n] = NULL;
    snprintf(f->program, sizeof f->program, "%s", argv[0]);
    sp_buf_init(&f->text, SP_FETCH_MAX);
    f->done = done;
    f->arg = arg;
    f->process.data = f->pipe.data = f->timer.data = f;
    uv_pipe_init(loop, &f->pipe, 0);
    uv_timer_init(loop, &f->timer);
    f->open = 3;
    rc = spawn(f, loop, copy);
    if (rc < 0) {
        (void)sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot run %s: %s", argv[0],
                         uv_strerror(rc));
        f->told = true;
        f->exited = true;
        close_all(f);
        return NULL;
    }
    uv_timer_start(&f->timer, on_time, timeout_ms, 0);
    uv_read_start((uv_stream_t *)&f->pipe, room, on_read);
    return f;
}

void sp_fetch_cancel(struct sp_fetch *f)
{
    if (!f || f->told)
        return;
    f->told = true;
    f->done = NULL;
    kill_group(f);
    close_all(f);
}
