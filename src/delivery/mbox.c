/* mbox.c - see mbox.h. */
#include "mbox.h"

#include "err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_TRIES = 300, LOCK_PAUSE_MS = 100 };

static int trouble(struct sp_err *err, const char *what, const char *path)
{
    return sp_err_sys(err, SP_CLASS_TEMPORARY, errno == ENOSPC ? SP_ENOSPC : SP_EIO,
                      "cannot %s %s", what, path);
}

static int lock(int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct timespec pause = {0, LOCK_PAUSE_MS * 1000000L};

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (fcntl(fd, F_OFD_SETLK, &l) == 0)
            return 0;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return -1;
        (void)nanosleep(&pause, NULL);
    }
    errno = EAGAIN;
    return -1;
}

static void put_start(FILE *out, size_t marks, size_t matched)
{
    while (marks--)
        (void)putc_unlocked('>', out);
    (void)fwrite("From ", 1, matched, out);
}

/* ">*From " at the start of a line: mboxrd adds one ">". */
static int copy_lines(FILE *in, FILE *out)
{
    static const char from[] = "From ";
    size_t marks = 0, matched = 0;
    bool start = true;
    int c;

    while ((c = getc_unlocked(in)) != EOF) {
        if (start && c == '>' && matched == 0) {
            marks++;
            continue;
        }
        if (start && c == from[matched] && ++matched < 5)
            continue;
        if (start) {
            put_start(out, marks + (matched == 5), matched);
            start = false;
            marks = 0;
            if (matched == 5) {
                matched = 0;
                continue;
            }
            matched = 0;
        }
        (void)putc_unlocked(c, out);
        start = c == '\n';
    }
    put_start(out, marks, matched);
    if (!start || marks || matched)
        (void)putc_unlocked('\n', out);
    (void)putc_unlocked('\n', out);
    return ferror(in) || ferror(out) ? -1 : 0;
}

static int write_all(int fd, const struct sp_maildir_mail *m, struct sp_err *err)
{
    int text = sp_mailtext_open(m, err), copy = dup(fd), rc = -1;
    FILE *in = text >= 0 ? fdopen(text, "r") : NULL;
    FILE *out = copy >= 0 ? fdopen(copy, "a") : NULL;
    time_t now = (time_t)(m->now_ms / 1000);
    struct sp_str from = {(char *)m->env->reverse_path.data, m->env->reverse_path.len};
    char date[40];
    struct tm tm;

    if (in && out && gmtime_r(&now, &tm) &&
        strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &tm) &&
        fprintf(out, "From %.*s %s\n", from.n ? (int)from.n : 13,
                from.n ? from.p : "MAILER-DAEMON", date) > 0)
        rc = copy_lines(in, out);
    if (in)
        fclose(in);
    else if (text >= 0)
        close(text);
    if (out && fclose(out) != 0)
        rc = -1;
    else if (!out && copy >= 0)
        close(copy);
    return text < 0 ? -2 : rc;
}

int sp_mbox_append(const char *path, const struct sp_maildir_mail *m,
                   struct sp_err *err)
{
    int fd = open(
        path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat st;
    int rc;

    if (fd < 0)
        return trouble(err, "open", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EINPUT, "%s is no regular file",
                          path);
    }
    if (lock(fd) < 0 || fstat(fd, &st) < 0) {
        rc = trouble(err, "lock", path);
        close(fd);
        return rc;
    }
    rc = write_all(fd, m, err);
    if (rc == -1 || (rc == 0 && fsync(fd) < 0))
        rc = trouble(err, "write", path);
    if (rc < 0 && ftruncate(fd, st.st_size) < 0)
        (void)trouble(err, "mend", path);
    close(fd);
    return rc < 0 ? -SP_EIO : 0;
}
