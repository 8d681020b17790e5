/* outbox.c - see outbox.h. */
#include "outbox.h"

#include "alloc.h"
#include "buf.h"
#include "cli.h"
#include "err.h"
#include "fdio.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC  "sallyport-outbox 1"
#define SUFFIX ".msg"
#define FAILED ".failed"

enum { NAMES = 10, WORDS_MAX = SP_OUTBOX_RCPT_MAX + 16 };

static int sys(struct sp_err *err, const char *dir)
{
    enum sp_code code = errno == ENOSPC || errno == EDQUOT ? SP_ENOSPC : SP_EIO;

    return sp_err_sys(err, SP_CLASS_TEMPORARY, code, "cannot leave the message in %s",
                      dir);
}

static bool is_own(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           !(st.st_mode & 022);
}

/* This user's own folder.  Somebody else may have made the name: then the next one.  Whose
 * it is tells the owner, never the name.  -1: there is none. */
static int own_folder(const char *dir, bool make)
{
    int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
    char name[40];

    for (int i = 0; top >= 0 && fd < 0 && i < NAMES; i++) {
        snprintf(name, sizeof name, i ? "%u.%d" : "%u", (unsigned)geteuid(), i);
        if (make)
            (void)mkdirat(top, name, 0700);
        fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && !is_own(fd)) {
            close(fd);
            fd = -1;
        }
    }
    if (top >= 0)
        close(top);
    return fd;
}

static bool ends(const char *name, const char *suffix)
{
    size_t n = strlen(name), k = strlen(suffix);

    return n > k && strcmp(name + n - k, suffix) == 0;
}

/* From its beginning, as often as it is asked for. */
static DIR *reader(int folder)
{
    int fd = dup(folder);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (d)
        rewinddir(d);
    else if (fd >= 0)
        close(fd);
    return d;
}

static size_t count(int folder, const char *suffix)
{
    DIR *d = reader(folder);
    size_t n = 0;

    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        n += ends(e->d_name, suffix);
    closedir(d);
    return n;
}

void sp_outbox_count(const char *dir, size_t *ret_waiting, size_t *ret_failed)
{
    int fd = own_folder(dir, false);

    *ret_waiting = fd < 0 ? 0 : count(fd, SUFFIX);
    *ret_failed = fd < 0 ? 0 : count(fd, FAILED);
    if (fd >= 0)
        close(fd);
}

/* ---- leaving ---- */

static int line(struct sp_buf *b, const char *key, struct sp_str value)
{
    /* It could be read as another line. */
    if (value.n && (memchr(value.p, '\n', value.n) || memchr(value.p, '\0', value.n)))
        return -SP_EINPUT;
    if (sp_buf_puts(b, key) < 0 || sp_buf_puts(b, " ") < 0 || sp_buf_str(b, value) < 0)
        return -SP_ELIMIT;
    return sp_buf_puts(b, "\n");
}

static int head_of(const struct sp_outbox_entry *e, struct sp_buf *b)
{
    const struct {
        const char *key, *value;
    } more[] = {{"notify", e->notify}, {"ret", e->ret}, {"envid", e->envid}};
    struct sp_str r;
    uint8_t random[16];
    char hex[33];
    int rc = sp_buf_puts(b, MAGIC "\n");

    if (rc == 0)
        rc = line(b, "from", e->from);
    for (size_t i = 0; rc == 0 && i < 3; i++)
        if (more[i].value)
            rc = line(b, more[i].key, sp_str(more[i].value));
    for (size_t i = 0; rc == 0 && (r = e->rcpt(e->arg, i)).p; i++)
        rc = line(b, "rcpt", r);
    if (rc == 0 && RAND_bytes(random, sizeof random) != 1)
        rc = -SP_EIO;
    if (rc < 0)
        return rc;
    (void)sp_hex_encode(random, sizeof random, hex, sizeof hex);
    return sp_buf_printf(b, "\nSubmission-Key: outbox-%s\r\n", hex);
}

static int copy(int to, int from)
{
    static char block[65536];
    off_t at = 0;
    ssize_t n;

    while ((n = pread(from, block, sizeof block, at)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || sp_write_all(to, (struct sp_str){block, (size_t)n}) < 0)
            return -1;
        at += n;
    }
    return 0;
}

/* Whole, on the disk, and only then by its name. */
static int put_file(int folder, const struct sp_buf *head, int message)
{
    struct timespec ts;
    char name[80], tmp[90];
    int fd, rc;

    clock_gettime(CLOCK_REALTIME, &ts);
    snprintf(name, sizeof name, "%lld.%09ld.%ld" SUFFIX, (long long)ts.tv_sec,
             ts.tv_nsec, (long)getpid());
    snprintf(tmp, sizeof tmp, ".tmp.%s", name);
    fd =
        openat(folder, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    rc = sp_write_all(fd, sp_buf_view(head));
    if (rc == 0)
        rc = copy(fd, message);
    if (rc == 0)
        rc = fsync(fd);
    if (close(fd) < 0)
        rc = -1;
    if (rc == 0)
        rc = renameat(folder, tmp, folder, name);
    if (rc < 0)
        (void)unlinkat(folder, tmp, 0);
    return rc < 0 ? rc : fsync(folder);
}

int sp_outbox_leave(const char *dir, const struct sp_outbox_entry *e,
                    struct sp_err *err)
{
    int folder = own_folder(dir, true), rc;
    struct sp_buf head;

    if (folder < 0)
        return sys(err, dir);
    if (count(folder, SUFFIX) >= SP_OUTBOX_MESSAGES_MAX) {
        close(folder);
        return sp_err_set(
            err, SP_CLASS_TEMPORARY, SP_ELIMIT,
            "%d messages wait in %s already: is the server down for long?",
            SP_OUTBOX_MESSAGES_MAX, dir);
    }
    sp_buf_init(&head, SP_OUTBOX_HEAD_MAX);
    rc = head_of(e, &head);
    if (rc < 0)
        (void)sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                         "this envelope cannot be kept in %s", dir);
    else if (put_file(folder, &head, e->fd) < 0)
        rc = sys(err, dir);
    sp_buf_free(&head);
    close(folder);
    return rc;
}

/* ---- collecting ---- */

struct words {
    char *v[WORDS_MAX];
    int n;
};

static bool word(struct words *w, const char *s)
{
    if (w->n + 1 >= WORDS_MAX)
        return false;
    w->v[w->n++] = (char *)(uintptr_t)s;
    return true;
}

/* Lines end in LF, which becomes the NUL of a word.  False: not one of ours. */
static bool envelope(char *p, struct words *w, struct words *rcpt)
{
    static const struct {
        const char *key, *option;
    } keys[] = {{"from ", "-f"}, {"notify ", "-N"}, {"ret ", "-R"}, {"envid ", "-V"}};
    bool from = false;

    for (char *end; (end = strchr(p, '\n')); p = end + 1) {
        size_t i = 0;

        *end = '\0';
        if (strncmp(p, "rcpt ", 5) == 0) {
            if (!p[5] || !word(rcpt, p + 5))
                return false;
            continue;
        }
        while (i < 4 && strncmp(p, keys[i].key, strlen(keys[i].key)) != 0)
            i++;
        if (i == 4 || !word(w, keys[i].option))
            return false;
        from |= i == 0;
        p += strlen(keys[i].key);
        if (!word(w, i == 0 && !*p ? "<>" : p))
            return false;
    }
    return from && rcpt->n > 0 && *p == '\0';
}

/* Reads the envelope; the file's offset is then where the message begins. */
static char *read_head(int fd)
{
    static const char magic[] = MAGIC "\n";
    char *p = sp_alloc(SP_OUTBOX_HEAD_MAX + 1), *end;
    size_t n = 0;
    ssize_t k = 1;

    while (p && n < SP_OUTBOX_HEAD_MAX &&
           (k = read(fd, p + n, SP_OUTBOX_HEAD_MAX - n)) > 0)
        n += (size_t)k;
    end = p && k >= 0 ? memmem(p, n, "\n\n", 2) : NULL;
    if (!end || strncmp(p, magic, sizeof magic - 1) != 0 ||
        memchr(p, '\0', (size_t)(end - p)) || lseek(fd, end - p + 2, SEEK_SET) < 0) {
        sp_free(p);
        return NULL;
    }
    end[1] = '\0';
    memmove(p, p + sizeof magic - 1, (size_t)(end + 2 - (p + sizeof magic - 1)));
    return p;
}

static int send_one(int fd, sp_outbox_send *send, void *arg)
{
    static struct words w, rcpt;
    char *head = read_head(fd);
    int status = EX_DATAERR;

    w.n = rcpt.n = 0;
    if (head && word(&w, "sendmail") && word(&w, "-i") && envelope(head, &w, &rcpt) &&
        word(&w, "--")) {
        for (int i = 0; i < rcpt.n; i++)
            if (!word(&w, rcpt.v[i]))
                break;
        w.v[w.n] = NULL;
        status = send(arg, w.n, w.v, fd);
    }
    sp_free(head);
    return status;
}

/* Anything may lie here: links and fifos are not opened, or not read. */
static int one_file(int folder, const char *name, sp_outbox_send *send, void *arg)
{
    int fd =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    char aside[300];
    struct stat st;
    int status = EX_DATAERR;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_uid == geteuid() && st.st_nlink == 1)
        status = send_one(fd, send, arg);
    if (fd >= 0)
        close(fd);
    if (status == 0)
        return unlinkat(folder, name, 0) < 0 ? EX_IOERR : 0;
    if (status == EX_TEMPFAIL)
        return status;
    snprintf(aside, sizeof aside, "%.250s" FAILED, name);
    if (renameat(folder, name, folder, aside) < 0)
        aside[0] = '\0';
    return sp_fail(0, "%s cannot be sent (status %d)%s%s", name, status,
                   *aside ? "; it is kept as " : "", aside);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list(int folder, char **name, size_t max)
{
    DIR *d = reader(folder);
    size_t n = 0;

    if (!d)
        return 0;
    for (struct dirent *e; n < max && (e = readdir(d));)
        if (e->d_name[0] != '.' && ends(e->d_name, SUFFIX) &&
            (name[n] = sp_strdup(e->d_name)))
            n++;
    closedir(d);
    qsort(name, n, sizeof *name, by_name);
    return n;
}

int sp_outbox_collect(const char *dir, sp_outbox_send *send, void *arg)
{
    static char *name[SP_OUTBOX_MESSAGES_MAX];
    int folder = own_folder(dir, false), status = 0;
    size_t n;

    if (folder < 0)
        return 0;
    if (flock(folder, LOCK_EX | LOCK_NB) < 0) { /* somebody collects already */
        close(folder);
        return 0;
    }
    n = list(folder, name, SP_OUTBOX_MESSAGES_MAX);
    for (size_t i = 0; i < n; i++) {
        int rc = one_file(folder, name[i], send, arg);

        status = rc ? rc : status;
        sp_free(name[i]);
    }
    close(folder);
    return status;
}
