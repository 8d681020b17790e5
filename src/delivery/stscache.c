/* stscache.c - see stscache.h. */
#include "stscache.h"

#include "datadir.h"
#include "err.h"
#include "fdio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4400, NEW_S = 3600 };

void sp_sts_cache_dir(const char *data, char out[SP_STS_DIR_MAX])
{
    (void)sp_data_path(out, SP_STS_DIR_MAX, data, SP_DATA_QUEUE, "mta-sts");
}

/* The name comes from a message: only what can be a domain becomes a file name. */
static bool file_of(const char *dir, const char *domain, const char *end,
                    char path[PATH_SIZE])
{
    struct sp_str d = sp_str(domain);
    char name[256];

    if (d.n == 0 || d.n > 253 || d.p[0] == '.')
        return false;
    for (size_t i = 0; i <= d.n; i++) {
        int c = sp_lower(domain[i]);

        if (c && !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                   c == '_' || c == '.'))
            return false;
        name[i] = (char)c;
    }
    return (size_t)snprintf(path, PATH_SIZE, "%s/%s%s", dir, name, end) < PATH_SIZE;
}

static int write_file(const char *path, struct sp_str text, struct sp_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    bool ok = fd >= 0 && sp_write_all(fd, text) == 0 && fdatasync(fd) == 0;
    int saved = errno;

    if (fd >= 0)
        (void)close(fd);
    errno = saved;
    return ok ? 0
              : sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write %s", path);
}

int sp_sts_cache_put(const char *dir, const char *domain, struct sp_str text,
                     struct sp_err *err)
{
    struct sp_sts_policy p;
    char path[PATH_SIZE], new[PATH_SIZE];
    int rc;

    /* A "+" is in no domain: it cannot be another one's file. */
    if (!file_of(dir, domain, "", path) || !file_of(dir, domain, "+new", new) ||
        sp_sts_restore(text, &p) < 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "this is no MTA-STS policy");
    if (sp_mkdir_synced(dir, 0750) < 0 && errno != EEXIST)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot make %s", dir);
    rc = write_file(new, text, err);
    if (rc == 0 && sp_rename_synced(new, path) < 0)
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write %s", path);
    if (rc < 0)
        (void)unlink(new);
    return rc;
}

static int read_file(const char *path, struct sp_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char *room = sp_buf_room(out, SP_STS_STORED_MAX);
    ssize_t n = fd >= 0 && room ? read(fd, room, SP_STS_STORED_MAX) : -1;

    if (fd >= 0)
        (void)close(fd);
    if (n < 0)
        return -SP_ENOENT;
    out->n += (size_t)n;
    return 0;
}

int sp_sts_cache_get(const char *dir, const char *domain, struct sp_buf *out)
{
    struct sp_sts_policy p;
    char path[PATH_SIZE];
    size_t before = out->n;

    if (!file_of(dir, domain, "", path) || read_file(path, out) < 0)
        return -SP_ENOENT;
    if (sp_sts_restore((struct sp_str){out->p + before, out->n - before}, &p) == 0)
        return 0;
    out->n = before;
    return -SP_ENOENT;
}

static bool is_over(const char *path, uint64_t now_s)
{
    struct sp_sts_policy p;
    struct sp_buf b;
    bool over;

    sp_buf_init(&b, SP_STS_STORED_MAX);
    over = read_file(path, &b) < 0 || sp_sts_restore(sp_buf_view(&b), &p) < 0 ||
           !sp_sts_valid(&p, now_s);
    sp_buf_free(&b);
    return over;
}

/* The sweep is in another thread than sp_sts_cache_put(): half a file of a minute ago is
 * about to be renamed, one of yesterday is what a crash left. */
static bool is_being_written(const char *name, const char *path, uint64_t now_s)
{
    struct stat st;

    return strchr(name, '+') && stat(path, &st) == 0 &&
           (uint64_t)st.st_mtime + NEW_S > now_s;
}

size_t sp_sts_cache_sweep(const char *dir, uint64_t now_s, size_t *ret_left)
{
    DIR *d = opendir(dir);
    char path[PATH_SIZE];
    size_t gone = 0;
    struct dirent *e;

    *ret_left = 0;
    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.' ||
            (size_t)snprintf(path, sizeof path, "%s/%s", dir, e->d_name) >=
                sizeof path ||
            is_being_written(e->d_name, path, now_s))
            continue;
        if (is_over(path, now_s) && unlink(path) == 0)
            gone++;
        else
            ++*ret_left;
    }
    if (d)
        (void)closedir(d);
    return gone;
}
