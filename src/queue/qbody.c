/* qbody.c - large contents as files in bodies/, see spool.h. */
#include "alloc.h"
#include "err.h"
#include "qint.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The order that makes a large content durable, every step before the next:
 *   1. the size is what the envelope says;      a short write is not a message
 *   2. fdatasync of the file;                   the octets
 *   3. linkat into bodies/;                     the name
 *   4. fsync of bodies/;                        the name survives power loss
 *   5. the transaction with the row;            only now it counts
 * A crash before 5 leaves a file without a row: an orphan, removed at the next open.  The
 * other way round, a row without a file, would be acknowledged mail that is lost.  A message
 * that is finished loses its row first and its file afterwards, for the same reason.
 */

static const char temporary[] = "tmp-";

static void name_of(uint64_t file, char ret[SP_QID_MAX])
{
    sp_qid_format(file, ret);
}

static void temp_name(uint64_t file, char ret[SP_QID_MAX + 8])
{
    char id[SP_QID_MAX];

    sp_qid_format(file, id);
    (void)snprintf(ret, SP_QID_MAX + 8, "%s%s", temporary, id);
}

static int failed(struct sp_err *err, const char *what)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

    return sp_err_sys(err, SP_CLASS_TEMPORARY, full ? SP_ENOSPC : SP_EIO, "%s", what);
}

int sp_spare_new(struct sp_spool *s, uint64_t now_ms, struct sp_spare **ret,
                 struct sp_err *err)
{
    struct sp_spare *f;

    if (s->o.read_only)
        return sp_err_set(err, SP_CLASS_BUG, SP_ESTATE, "the spool is open read only");
    f = sp_alloc(sizeof *f);
    if (!f)
        return sp_err_nomem(err);
    f->s = s;
    f->id = sp_qid_next(&s->ids, now_ms, 1);
    f->fd = openat(s->bodies, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (f->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        char tmp[SP_QID_MAX + 8]; /* a file system that cannot do it */

        temp_name(f->id, tmp);
        f->fd = openat(s->bodies, tmp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        f->named = f->fd >= 0;
    }
    if (f->fd < 0) {
        int rc = failed(err, "cannot make a file in bodies/");

        sp_free(f);
        return rc;
    }
    *ret = f;
    return 0;
}

int sp_spare_fd(const struct sp_spare *f)
{
    return f->fd;
}

uint64_t sp_spare_id(const struct sp_spare *f)
{
    return f->id;
}

static int give_name(struct sp_spare *f)
{
    char name[SP_QID_MAX], tmp[SP_QID_MAX + 8], proc[40];

    name_of(f->id, name);
    if (f->named) {
        temp_name(f->id, tmp);
        if (linkat(f->s->bodies, tmp, f->s->bodies, name, 0) < 0)
            return -1;
        (void)unlinkat(f->s->bodies, tmp, 0); /* else the sweep does it */
        f->named = false;
        return 0;
    }
    /* By descriptor where the kernel lets the opener do that (6.10), else by /proc. */
    if (linkat(f->fd, "", f->s->bodies, name, AT_EMPTY_PATH) == 0)
        return 0;
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", f->fd);
    return linkat(AT_FDCWD, proc, f->s->bodies, name, AT_SYMLINK_FOLLOW);
}

int sp_spare_prepare(struct sp_spare *f, uint64_t content_size, struct sp_err *err)
{
    struct stat st;
    int rc;

    if (f->linked || f->lost)
        return sp_err_set(err, SP_CLASS_BUG, SP_ESTATE, "the file was prepared before");
    f->lost = true; /* until every step went well */
    if (fstat(f->fd, &st) < 0)
        return failed(err, "cannot look at a body file");
    if ((uint64_t)st.st_size != content_size)
        return sp_err_set(
            err, SP_CLASS_PEER, SP_EINPUT, "the body file has %llu octets, not %llu",
            (unsigned long long)st.st_size, (unsigned long long)content_size);
    if (fdatasync(f->fd) < 0)
        return failed(err, "cannot sync a body file");
    if (give_name(f) < 0)
        return failed(err, "cannot name a body file");
    f->linked = true;
    if (fsync(f->s->bodies) < 0) {
        rc = failed(err, "cannot sync bodies/");
        return rc;
    }
    f->size = content_size;
    f->lost = false;
    return 0;
}

void sp_spare_free(struct sp_spare *f)
{
    char tmp[SP_QID_MAX + 8];

    if (!f)
        return;
    if (f->linked)
        sp_qbody_unlink(f->s, f->id);
    if (f->named) {
        temp_name(f->id, tmp);
        (void)unlinkat(f->s->bodies, tmp, 0);
    }
    close(f->fd);
    sp_free(f);
}

void sp_qbody_unlink(struct sp_spool *s, uint64_t file)
{
    char name[SP_QID_MAX];

    name_of(file, name);
    (void)unlinkat(s->bodies, name, 0); /* what stays is an orphan for the next open */
}

/* That we, or the system, are short of something says nothing about the file. */
static bool short_of_something(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR ||
           error == EAGAIN;
}

int sp_qbody_open(struct sp_spool *s, uint64_t file, uint64_t size, struct sp_err *err)
{
    char name[SP_QID_MAX];
    struct stat st;
    int fd;

    name_of(file, name);
    fd = openat(s->bodies, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && short_of_something(errno))
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot open bodies/%s",
                          name);
    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_BUG, SP_EINPUT, "its content, bodies/%s, is lost",
                          name);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
        return fd;
    close(fd);
    return sp_err_set(err, SP_CLASS_BUG, SP_EINPUT,
                      "its content, bodies/%s, is damaged: it should have %llu octets",
                      name, (unsigned long long)size);
}

/* 1: no row wants this file.  Names that are not ours are left alone. */
static int is_orphan(struct sp_spool *s, const char *name, struct sp_err *err)
{
    char same[SP_QID_MAX];
    uint64_t file;
    int rc;

    if (strncmp(name, temporary, sizeof temporary - 1) == 0)
        return 1;
    if (sp_qid_parse(sp_str(name), &file) < 0)
        return 0;
    name_of(file, same);
    if (strcmp(name, same) != 0)
        return 0;
    sqlite3_bind_int64(sp_qdb_stmt(&s->db, SP_Q_FILE_USED), 1, (sqlite3_int64)file);
    rc = sp_qdb_step(&s->db, SP_Q_FILE_USED, err);
    sp_qdb_end(&s->db, SP_Q_FILE_USED);
    return rc < 0 ? rc : rc == 0;
}

int sp_qbody_sweep(struct sp_spool *s, struct sp_err *err)
{
    int fd = openat(s->bodies, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (!d) {
        if (fd >= 0)
            close(fd);
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read bodies/");
    }
    while (rc >= 0 && (e = readdir(d))) {
        rc = is_orphan(s, e->d_name, err);
        if (rc == 1 && unlinkat(s->bodies, e->d_name, 0) == 0)
            s->orphans++;
    }
    closedir(d);
    return rc < 0 ? rc : 0;
}
