/* control.c - see control.h. */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int sp_control_connect(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof sa.sun_path) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    memcpy(sa.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    close(fd);
    return -1;
}

/* 1: the end has come; 0: go on; negative: broken. */
static int take(struct sp_chan *ch, const struct sp_control_how *how,
                struct sp_control_done *ret, struct sp_err *err)
{
    struct sp_arena arena;
    struct sp_frame f;
    int rc;

    sp_arena_init(&arena, 8 << 20);
    while ((rc = sp_chan_next(ch, &f, err)) > 0) {
        void *m = sp_frame_unpack(&f, &arena);
        const Sp__ControlDone *d = m;
        bool end = m && f.type == SP_MSG_DONE;

        if (m && f.type == SP_MSG_ROW)
            how->row(how->arg, ((const Sp__ControlRow *)m)->json);
        if (end) {
            ret->exit_code = (int)d->exit_code;
            ret->count = d->count;
            snprintf(ret->text, sizeof ret->text, "%s", d->text);
        }
        sp_arena_reset(&arena);
        if (end)
            return 1;
    }
    sp_chan_release(ch);
    return rc;
}

/* What has been said and is not sent yet goes out, what has come is read. */
static int turn(struct sp_chan *ch, int fd, int silence_ms, struct sp_err *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int rc = sp_chan_flush(ch, err), n;

    if (rc < 0)
        return rc;
    p.events |= rc == 1 ? POLLOUT : 0;
    n = poll(&p, 1, silence_ms);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ETIMEDOUT,
                          "the service does not answer");
    return sp_chan_read(ch, err);
}

int sp_control_ask(int fd, const Sp__ControlRequest *m,
                   const struct sp_control_how *how, struct sp_control_done *ret_done,
                   struct sp_err *err)
{
    struct sp_chan *ch =
        sp_chan_new(fd, SP__ROLE__ROLE_CONTROL, SP__ROLE__ROLE_QUEUE, err);
    int rc, end = 0;

    if (!ch)
        return -SP_ENOMEM;
    *err = (struct sp_err){.text = "the service closed the connection"};
    rc = sp_chan_send(ch, SP_MSG_CONTROL, &m->base, NULL, -1);
    while (rc >= 0 && end == 0 && !(how->stopped && *how->stopped) && !ferror(stdout)) {
        rc = turn(ch, fd, how->silence_ms, err);
        if (rc >= 0 || rc == -SP_ECLOSED)
            end = take(ch, how, ret_done, err);
    }
    sp_chan_free(ch);
    return end ? end : rc < 0 ? rc : 0;
}
