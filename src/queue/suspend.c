/* suspend.c - see suspend.h. */
#include "suspend.h"

#include "alloc.h"
#include "buf.h"
#include "datadir.h"
#include "err.h"
#include "fdio.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4400, NAME_LEN = 255, FILE_SIZE = 1 << 20 };

struct sp_suspend {
    char path[PATH_SIZE], fresh[PATH_SIZE], folder[PATH_SIZE];
    struct sp_suspension v[SP_SUSPENDED_MAX];
    size_t n, unread;
};

/* ---- one of them ---- */

static bool is_name(struct sp_str s)
{
    if (s.n == 0 || s.n > NAME_LEN)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 127)
            return false;
    return sp_utf8_valid(s);
}

static bool is_reason(struct sp_str s)
{
    if (s.n > SP_SUSPEND_REASON_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return false;
    return s.n == 0 || sp_utf8_valid(s);
}

static void drop(struct sp_suspension *x)
{
    sp_free((char *)(uintptr_t)x->name);
}

static int make(struct sp_suspension *x, bool route, struct sp_str name,
                struct sp_str reason, uint64_t at_ms)
{
    char *p = sp_alloc(name.n + reason.n + 2);

    if (!p)
        return -SP_ENOMEM;
    for (size_t i = 0; i < name.n; i++)
        p[i] = route ? name.p[i] : (char)sp_lower((unsigned char)name.p[i]);
    if (reason.n)
        memcpy(p + name.n + 1, reason.p, reason.n);
    *x = (struct sp_suspension){
        .name = p, .reason = p + name.n + 1, .at_ms = at_ms, .route = route};
    return 0;
}

static size_t place(const struct sp_suspend *s, bool route, struct sp_str name)
{
    size_t i = 0;

    while (i < s->n &&
           (s->v[i].route != route || !(route ? sp_str_is(name, s->v[i].name)
                                              : sp_str_caseis(name, s->v[i].name))))
        i++;
    return i;
}

/* ---- the file ---- */

/* "domain example.net 1700000000000 the reason" */
static bool read_line(struct sp_suspend *s, struct sp_str line)
{
    struct sp_str kind = sp_str_cut(&line, ' '), name = sp_str_cut(&line, ' '),
                  at = sp_str_cut(&line, ' ');
    bool route = sp_str_is(kind, "route");
    uint64_t at_ms;

    if ((!route && !sp_str_is(kind, "domain")) || !is_name(name) ||
        sp_str_u64(at, INT64_MAX, &at_ms) < 0 || !is_reason(line) ||
        s->n == SP_SUSPENDED_MAX || place(s, route, name) < s->n)
        return false;
    if (make(&s->v[s->n], route, name, line, at_ms) < 0)
        return false;
    s->n++;
    return true;
}

static int read_file(struct sp_suspend *s, struct sp_err *err)
{
    int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct sp_buf b;
    struct sp_str rest;
    char *room;
    ssize_t n = -1;

    if (fd < 0 && errno == ENOENT)
        return 0;
    sp_buf_init(&b, FILE_SIZE);
    room = fd >= 0 ? sp_buf_room(&b, FILE_SIZE) : NULL;
    if (room)
        n = read(fd, room, FILE_SIZE);
    if (n < 0)
        (void)sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read %s", s->path);
    if (fd >= 0)
        (void)close(fd);
    b.n = n > 0 ? (size_t)n : 0;
    rest = sp_buf_view(&b);
    while (rest.n) {
        struct sp_str line = sp_str_cut(&rest, '\n');

        s->unread += line.n && !read_line(s, line);
    }
    sp_buf_free(&b);
    return n < 0 ? -SP_EIO : 0;
}

static int sync_folder(const struct sp_suspend *s)
{
    int fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);

    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Durable before the name is there: either the old list or the new one. */
static int write_file(const struct sp_suspend *s, struct sp_err *err)
{
    struct sp_buf b;
    int fd, rc = 0;

    sp_buf_init(&b, FILE_SIZE);
    for (size_t i = 0; i < s->n && rc == 0; i++)
        rc = sp_buf_printf(&b, "%s %s %llu %s\n", s->v[i].route ? "route" : "domain",
                           s->v[i].name, (unsigned long long)s->v[i].at_ms,
                           s->v[i].reason);
    if (rc < 0) {
        sp_buf_free(&b);
        return sp_err_nomem(err);
    }
    fd = open(s->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0 || sp_write_all(fd, sp_buf_view(&b)) < 0 || fdatasync(fd) < 0 ||
        rename(s->fresh, s->path) < 0 || sync_folder(s) < 0)
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write %s", s->path);
    if (fd >= 0)
        (void)close(fd);
    sp_buf_free(&b);
    return rc;
}

/* ---- the calls ---- */

int sp_suspend_open(const char *data, struct sp_suspend **ret, struct sp_err *err)
{
    struct sp_suspend *s = sp_alloc(sizeof *s);
    int rc;

    if (!s)
        return sp_err_nomem(err);
    rc = sp_data_path(s->path, sizeof s->path, data, SP_DATA_QUEUE, "suspended");
    if (rc == 0)
        rc = sp_data_path(s->fresh, sizeof s->fresh, data, SP_DATA_QUEUE,
                          "suspended+new");
    if (rc == 0)
        rc = sp_data_path(s->folder, sizeof s->folder, data, SP_DATA_QUEUE, "");
    if (rc < 0)
        (void)sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                         "the data directory's name is too long");
    else
        rc = read_file(s, err);
    if (rc < 0) {
        sp_suspend_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void sp_suspend_free(struct sp_suspend *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        drop(&s->v[i]);
    sp_free(s);
}

size_t sp_suspend_unread(const struct sp_suspend *s)
{
    return s->unread;
}

int sp_suspend_set(struct sp_suspend *s, bool route, struct sp_str name,
                   struct sp_str reason, uint64_t now_ms, struct sp_err *err)
{
    size_t i = place(s, route, name);
    bool is_new = i == s->n;
    struct sp_suspension old = {0}, x;
    int rc;

    if (!is_name(name) || !is_reason(reason))
        return sp_err_set(
            err, SP_CLASS_PEER, SP_EINPUT,
            "a name without blanks and a reason of one line, at most %d octets",
            SP_SUSPEND_REASON_MAX);
    if (is_new && s->n == SP_SUSPENDED_MAX)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ELIMIT,
                          "%d destinations are suspended already", SP_SUSPENDED_MAX);
    if (make(&x, route, name, reason, now_ms) < 0)
        return sp_err_nomem(err);
    if (!is_new)
        old = s->v[i];
    s->v[i] = x;
    s->n += is_new;
    rc = write_file(s, err);
    if (rc == 0) {
        drop(&old);
        return 0;
    }
    drop(&x);
    if (is_new)
        s->n--;
    else
        s->v[i] = old;
    return rc;
}

int sp_suspend_clear(struct sp_suspend *s, bool route, struct sp_str name,
                     struct sp_err *err)
{
    size_t i = place(s, route, name);
    struct sp_suspension old;
    int rc;

    if (i == s->n)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "it was not suspended");
    old = s->v[i];
    s->v[i] = s->v[--s->n];
    rc = write_file(s, err);
    if (rc == 0) {
        drop(&old);
        return 0;
    }
    s->v[s->n++] = s->v[i];
    s->v[i] = old;
    return rc;
}

const struct sp_suspension *sp_suspend_find(const struct sp_suspend *s,
                                            struct sp_str route, struct sp_str domain)
{
    size_t i;

    if (s->n == 0)
        return NULL;
    i = place(s, false, domain);
    if (i == s->n)
        i = place(s, true, route);
    return i < s->n ? &s->v[i] : NULL;
}

const struct sp_suspension *sp_suspend_at(const struct sp_suspend *s, size_t i)
{
    return i < s->n ? &s->v[i] : NULL;
}
