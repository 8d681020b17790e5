/* maildir.c - see maildir.h. */
#include "maildir.h"

#include "err.h"
#include "fdio.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODE_DIR = 0700, MODE_FILE = 0600 };

/* ---- the path ---- */

static bool fit_for_path(struct sp_str s)
{
    if (s.n == 0 || s.n > 200 || s.p[0] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '/' || (unsigned char)s.p[i] < 32 || s.p[i] == 127)
            return false;
    return true;
}

static int refuse(struct sp_err *err, struct sp_str address, const char *why)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%.*s: %s",
                      (int)(address.n > 200 ? 200 : address.n), address.p, why);
}

int sp_maildir_path(const char *template, struct sp_str address, char *ret, size_t cap,
                    struct sp_err *err)
{
    struct sp_str local = address, domain = {NULL, 0}, part;
    struct sp_buf out;
    int rc = 0;

    for (size_t i = address.n; i-- > 0;)
        if (address.p[i] == '@') {
            local.n = i;
            domain = (struct sp_str){address.p + i + 1, address.n - i - 1};
            break;
        }
    if (!fit_for_path(local) || !fit_for_path(domain))
        return refuse(err, address, "this address cannot name a mailbox here");
    sp_buf_init(&out, cap - 1);
    for (const char *t = template; *t && rc == 0; t++) {
        if (*t != '%') {
            rc = sp_buf_put(&out, t, 1);
            continue;
        }
        if (t[1] == '\0') { /* a percent sign at the end is one */
            rc = sp_buf_put(&out, t, 1);
            continue;
        }
        t++;
        part = *t == 'u' ? local : *t == 'd' ? domain : SP_LIT("%");
        rc = sp_buf_str(&out, part);
    }
    if (rc == 0) {
        memcpy(ret, out.p, out.n);
        ret[out.n] = '\0';
    }
    sp_buf_free(&out);
    return rc < 0 ? refuse(err, address, "the path of its Maildir is too long") : 0;
}

/* ---- folders ---- */

static int trouble(struct sp_err *err, const char *what, const char *path)
{
    return sp_err_sys(err, SP_CLASS_TEMPORARY, errno == ENOSPC ? SP_ENOSPC : SP_EIO,
                      "cannot %s %s", what, path);
}

static int sync_folder(const char *path, struct sp_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return trouble(err, "open", path);
    rc = fsync(fd) < 0 ? trouble(err, "sync", path) : 0;
    close(fd);
    return rc;
}

/* Makes every folder of the absolute path that is missing, and syncs the one above. */
static int make_folders(const char *path, struct sp_err *err)
{
    char part[SP_MAILDIR_PATH_MAX + 8];
    size_t n = strlen(path);

    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (sp_mkdir_synced(part, MODE_DIR) < 0 && errno != EEXIST)
            return trouble(err, "make", part);
    }
    return 0;
}

static int make_maildir(const char *path, struct sp_err *err)
{
    static const char *const sub[] = {"cur", "new", "tmp"};
    char part[SP_MAILDIR_PATH_MAX + 8];
    struct stat st;

    snprintf(part, sizeof part, "%s/tmp", path);
    if (stat(part, &st) == 0)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        snprintf(part, sizeof part, "%s/%s", path, sub[i]);
        if (make_folders(part, err) < 0)
            return -SP_EIO;
    }
    return 0;
}

/* ---- writing ---- */

static int write_tmp(const char *tmp, const struct sp_maildir_mail *m, struct sp_err *err)
{
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, MODE_FILE), rc;

    if (fd < 0)
        return trouble(err, "make", tmp);
    rc = sp_mailtext_write(fd, tmp, m, err);
    if (rc == 0 && fsync(fd) < 0)
        rc = trouble(err, "sync", tmp);
    if (close(fd) < 0 && rc == 0)
        rc = trouble(err, "close", tmp);
    if (rc < 0)
        (void)unlink(tmp);
    return rc;
}

/* ---- the name ---- */

static uint64_t hash_of(struct sp_str s)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return h;
}

/* The same for the same message and recipient, however often it is delivered: that is how
 * a repetition is known.  A colon or slash would break Maildir's own syntax.  Returns how
 * much of it does not change with the host name. */
static size_t make_name(const struct sp_maildir_mail *m, char *name, size_t cap)
{
    int fixed = snprintf(name, cap, "%llu.%.64s_R%016llx.",
                         (unsigned long long)m->env->received_ms / 1000, m->id,
                         (unsigned long long)hash_of(m->to));

    snprintf(name + fixed, cap - (size_t)fixed, "%.100s", m->hostname);
    for (char *c = name; *c; c++)
        if (*c == '/' || *c == ':')
            *c = '_';
    return (size_t)fixed;
}

/* Programs that read mail move it to cur/ and append flags. */
static bool in_cur(const char *path, const char *name, size_t fixed)
{
    char folder[SP_MAILDIR_PATH_MAX + 8];
    struct dirent *e;
    bool found = false;
    DIR *d;

    snprintf(folder, sizeof folder, "%s/cur", path);
    d = opendir(folder);
    while (d && !found && (e = readdir(d)))
        found = strncmp(e->d_name, name, fixed) == 0;
    if (d)
        closedir(d);
    return found;
}

/* ---- delivery ---- */

/* A second name for what is in tmp/, never over something that is there. */
static int give_name(const char *tmp, const char *new, struct sp_err *err)
{
    if (link(tmp, new) == 0 || errno == EEXIST) {
        (void)unlink(tmp);
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return trouble(err, "move", tmp);
    /* A file system without links.  Nobody else delivers this message to this recipient
     * now, and who did before was looked for. */
    return rename(tmp, new) < 0 ? trouble(err, "move", tmp) : 0;
}

int sp_maildir_deliver(const char *path, const struct sp_maildir_mail *m,
                       struct sp_err *err)
{
    char name[300], tmp[SP_MAILDIR_PATH_MAX + 340], new[SP_MAILDIR_PATH_MAX + 320],
        folder[SP_MAILDIR_PATH_MAX + 8];
    static atomic_uint count; /* of all threads: two parts of one message may meet here */
    size_t fixed = make_name(m, name, sizeof name);
    struct stat st;
    int rc = make_maildir(path, err);

    if (rc < 0)
        return rc;
    snprintf(tmp, sizeof tmp, "%s/tmp/P%d_%u.%s", path, (int)getpid(),
             atomic_fetch_add(&count, 1), name);
    snprintf(new, sizeof new, "%s/new/%s", path, name);
    snprintf(folder, sizeof folder, "%s/new", path);
    /* The name may have been given just before a crash, and not be on the disk. */
    if (lstat(new, &st) == 0)
        return sync_folder(folder, err) < 0 ? -SP_EIO : SP_MAILDIR_BEFORE;
    if (m->again && in_cur(path, name, fixed))
        return SP_MAILDIR_BEFORE;
    rc = write_tmp(tmp, m, err);
    if (rc == 0)
        rc = give_name(tmp, new, err);
    if (rc < 0) {
        (void)unlink(tmp);
        return rc;
    }
    return sync_folder(folder, err);
}
