/* fdio.c - see fdio.h. */
#include "fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int sp_write_all(int fd, struct sp_str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        s.p += n;
        s.n -= (size_t)n;
    }
    return 0;
}

static int sync_above(const char *path)
{
    const char *slash = strrchr(path, '/');
    char above[PATH_MAX];
    int n = slash && slash != path ? (int)(slash - path) : 1, fd, rc, e;

    if (snprintf(above, sizeof above, "%.*s", n, slash ? path : ".") >= (int)sizeof above) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    rc = fsync(fd);
    e = errno;
    close(fd);
    errno = e;
    return rc;
}

int sp_rename_synced(const char *from, const char *to)
{
    return rename(from, to) < 0 ? -1 : sync_above(to);
}

int sp_mkdir_synced(const char *path, mode_t mode)
{
    int e;

    if (mkdir(path, mode) < 0)
        return -1;
    if (sync_above(path) == 0)
        return 0;
    e = errno;
    (void)rmdir(path);
    errno = e;
    return -1;
}
