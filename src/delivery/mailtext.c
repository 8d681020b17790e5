/* mailtext.c - see mailtext.h. */
#include "mailtext.h"

#include "err.h"
#include "stored.h"
#include "text.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OUT_BLOCK = 65536, IN_MEMORY = 1 << 20 };

static int trouble(struct sp_err *err, const char *what, const char *path)
{
    return sp_err_sys(err, SP_CLASS_TEMPORARY, errno == ENOSPC ? SP_ENOSPC : SP_EIO,
                      "cannot %s %s", what, path);
}

struct writer {
    int fd;
    const char *path;
    char buf[OUT_BLOCK];
    size_t n;
    bool cr; /* a CR waits to see whether LF follows */
    struct sp_err *err;
};

static int flush(struct writer *w)
{
    size_t at = 0;

    while (at < w->n) {
        ssize_t n = write(w->fd, w->buf + at, w->n - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return trouble(w->err, "write", w->path);
        at += (size_t)n;
    }
    w->n = 0;
    return 0;
}

static int put(struct writer *w, char c)
{
    if (w->n == sizeof w->buf && flush(w) < 0)
        return -SP_EIO;
    w->buf[w->n++] = c;
    return 0;
}

/* CRLF becomes LF; a CR alone stays. */
static int write_text(struct writer *w, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (w->cr && p[i] != '\n' && put(w, '\r') < 0)
            return -SP_EIO;
        w->cr = p[i] == '\r';
        if (!w->cr && put(w, p[i]) < 0)
            return -SP_EIO;
    }
    return 0;
}

static int write_from_file(struct writer *w, int fd, uint64_t offset, uint64_t n)
{
    char block[16384];

    while (n) {
        size_t want = n < sizeof block ? (size_t)n : sizeof block;
        ssize_t got = pread(fd, block, want, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return sp_err_set(w->err, SP_CLASS_TEMPORARY, SP_EIO,
                              "the stored message is shorter than it should be");
        if (write_text(w, block, (size_t)got) < 0)
            return -SP_EIO;
        offset += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return 0;
}

static int write_fields(struct writer *w, const struct sp_maildir_mail *m)
{
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, 4096);
    rc = sp_trace_return_path(&b, (struct sp_str){(char *)m->env->reverse_path.data,
                                                  m->env->reverse_path.len});
    if (rc == 0)
        rc = sp_buf_printf(&b, "Delivered-To: %.*s\r\n", (int)m->to.n, m->to.p);
    if (rc == 0)
        rc = write_text(w, b.p, b.n);
    else
        rc = sp_err_nomem(w->err);
    sp_buf_free(&b);
    return rc;
}

static int write_mail(struct writer *w, const struct sp_maildir_mail *m)
{
    struct sp_piece piece[SP_STORED_PIECES_MAX];
    size_t n = sp_stored_pieces(m->env, m->prefix.n, piece);
    int rc = write_fields(w, m);

    for (size_t i = 0; i < n && rc == 0; i++) {
        const char *from = piece[i].prefix ? m->prefix.p : m->content.p;

        rc = from ? write_text(w, from + piece[i].offset, (size_t)piece[i].length)
                  : write_from_file(w, m->fd, piece[i].offset, piece[i].length);
    }
    if (rc == 0 && w->cr)
        rc = put(w, '\r');
    return rc == 0 ? flush(w) : rc;
}

int sp_mailtext_write(int fd, const char *name, const struct sp_maildir_mail *m,
                      struct sp_err *err)
{
    static _Thread_local struct writer w;

    w.fd = fd;
    w.path = name;
    w.err = err;
    w.n = 0;
    w.cr = false;
    return write_mail(&w, m);
}

int sp_mailtext_open(const struct sp_maildir_mail *m, struct sp_err *err)
{
    static const char what[] = "a temporary file";
    int fd = m->env->content_size < IN_MEMORY
                 ? memfd_create("message", MFD_CLOEXEC)
                 : open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return trouble(err, "make", what);
    if (sp_mailtext_write(fd, what, m, err) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return -SP_EIO;
    }
    return fd;
}
