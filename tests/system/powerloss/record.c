/*
 * record.c - writes down what a program does to one file system: put before the program by
 * LD_PRELOAD, read by powerloss.py.
 *
 * RECORD_MAP names a file of two parts: entries (struct entry, in the order in which they
 * were made) and the octets that belong to them.  It is mapped when the program starts,
 * before it locks itself in, and a record costs no system call but fstat().  Only what
 * happens on the device that the map names is recorded.
 *
 * An operation is recorded after it was done and before the program hears of it, so what
 * the program did after one thing is recorded after it.  A sync has two records: it covers
 * what was recorded before its begin, and is known to have worked from its end.
 *
 * What this cannot follow (a shared writable mapping, octets that the kernel copies) becomes
 * a record of its own, and powerloss.py refuses to judge by it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    K_WRITE = 1, /* node, at, octets */
    K_TRUNCATE,  /* node, at: the new length */
    K_NAME,      /* node of the folder, other: node; octets: the name is its from now on */
    K_UNNAME,    /* node of the folder, octets: the name is gone */
    K_SYNC,      /* node; other: number of the sync */
    K_SYNCED,    /* node; other: number of the sync */
    K_ODD,       /* octets: what cannot be followed */
    K_MARK,      /* octets: what a test says */
};

struct entry {
    _Atomic uint32_t done;
    uint32_t kind;
    uint64_t node, at, other, data, n, mode;
};

/* At the start of the map; powerloss.py writes the first three. */
struct map {
    uint64_t device, entries_max, data_max;
    _Atomic uint64_t entries, data, syncs;
};

static struct map *map;

static struct entry *entries(void)
{
    return (struct entry *)((char *)map + 4096);
}

static char *octets(void)
{
    return (char *)(entries() + map->entries_max);
}

static void add(enum kind kind, const struct stat *st, uint64_t at, uint64_t other,
                const void *p, uint64_t n)
{
    uint64_t data = n ? atomic_fetch_add(&map->data, n) : 0, i;

    if (data + n > map->data_max)
        abort();
    if (n)
        memcpy(octets() + data, p, n);
    i = atomic_fetch_add(&map->entries, 1);
    if (i >= map->entries_max)
        abort();
    entries()[i].kind = kind;
    entries()[i].node = st ? st->st_ino : 0;
    entries()[i].mode = st ? st->st_mode : 0;
    entries()[i].at = at;
    entries()[i].other = other;
    entries()[i].data = data;
    entries()[i].n = n;
    atomic_store(&entries()[i].done, 1);
}

/* For the test's own process, which loads this as a library. */
void record_mark(const char *text);
void record_mark(const char *text)
{
    add(K_MARK, NULL, 0, 0, text, strlen(text));
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("RECORD_MAP");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        abort();
}

static bool ours(const struct stat *st)
{
    return map && st->st_dev == map->device;
}

static bool watched(int fd, struct stat *st)
{
    int e = errno;
    bool yes = map && fstat(fd, st) == 0 && ours(st) && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode));

    errno = e;
    return yes;
}

static void odd(const char *what)
{
    int e = errno;

    add(K_ODD, NULL, 0, 0, what, strlen(what));
    errno = e;
}

#define REAL(name)                                                                     \
    static __typeof__(name) *real;                                                     \
    if (!real)                                                                         \
        *(void **)&real = dlsym(RTLD_NEXT, #name)

/* ---- names ---- */

/* The folder that a name is in, and the name.  False: not on the device. */
static bool place(int dir, const char *path, struct stat *ret_folder, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    int e = errno, rc;

    if (!map)
        return false;
    *ret_name = slash ? slash + 1 : path;
    if (!slash)
        rc = dir == AT_FDCWD ? stat(".", ret_folder) : fstat(dir, ret_folder);
    else
        rc = (size_t)(slash - path) < sizeof folder
                 ? (snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) ? (int)(slash - path) : 1, path),
                    fstatat(dir, folder, ret_folder, 0))
                 : -1;
    errno = e;
    return rc == 0 && ours(ret_folder);
}

static void named(int dir, const char *path, const struct stat *node)
{
    struct stat folder;
    const char *name;

    if (place(dir, path, &folder, &name)) {
        folder.st_mode = node->st_mode;
        add(K_NAME, &folder, 0, node->st_ino, name, strlen(name));
    }
}

static void unnamed(int dir, const char *path)
{
    struct stat folder;
    const char *name;

    if (place(dir, path, &folder, &name))
        add(K_UNNAME, &folder, 0, 0, name, strlen(name));
}

static bool there(int dir, const char *path)
{
    struct stat st;
    int e = errno;
    bool yes = map && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;

    errno = e;
    return yes;
}

static int opened(int fd, int dir, const char *path, int flags, bool was)
{
    struct stat st;

    if (fd < 0 || !watched(fd, &st))
        return fd;
    if (flags & O_CREAT && !was)
        named(dir, path, &st);
    if (flags & O_TRUNC && was)
        add(K_TRUNCATE, &st, 0, 0, NULL, 0);
    return fd;
}

static bool makes(int flags)
{
    return flags & (O_CREAT | O_TRUNC) && (flags & O_TMPFILE) != O_TMPFILE;
}

#define MODE(flags)                                                                    \
    mode_t mode = 0;                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                             \
        va_list ap;                                                                    \
        va_start(ap, flags);                                                           \
        mode = va_arg(ap, mode_t);                                                     \
        va_end(ap);                                                                    \
    }

int open(const char *path, int flags, ...)
{
    REAL(open);
    MODE(flags)
    bool was = makes(flags) && there(AT_FDCWD, path);

    return makes(flags) ? opened(real(path, flags, mode), AT_FDCWD, path, flags, was)
                        : real(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    REAL(openat);
    MODE(flags)
    bool was = makes(flags) && there(dir, path);

    return makes(flags) ? opened(real(dir, path, flags, mode), dir, path, flags, was)
                        : real(dir, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));

int mkdirat(int dir, const char *path, mode_t mode)
{
    REAL(mkdirat);
    struct stat st;
    int rc = real(dir, path, mode);

    if (rc == 0 && map && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && ours(&st))
        named(dir, path, &st);
    return rc;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

static int unlinked(int rc, int dir, const char *path)
{
    if (rc == 0)
        unnamed(dir, path);
    return rc;
}

int unlinkat(int dir, const char *path, int flags)
{
    REAL(unlinkat);
    return unlinked(real(dir, path, flags), dir, path);
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    REAL(linkat);
    struct stat st;
    int rc = real(from, old, to, new, flags);

    if (rc == 0 && map && fstatat(to, new, &st, AT_SYMLINK_NOFOLLOW) == 0 && ours(&st))
        named(to, new, &st);
    return rc;
}

int link(const char *old, const char *new)
{
    return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    REAL(renameat2);
    struct stat st;
    int rc = real(from, old, to, new, flags);

    if (rc == 0 && flags & ~1u) /* RENAME_NOREPLACE is as any other */
        odd("renameat2 with flags");
    if (rc == 0 && map && fstatat(to, new, &st, AT_SYMLINK_NOFOLLOW) == 0 && ours(&st)) {
        named(to, new, &st);
        unnamed(from, old);
    }
    return rc;
}

int renameat(int from, const char *old, int to, const char *new)
{
    return renameat2(from, old, to, new, 0);
}

int rename(const char *old, const char *new)
{
    return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

/* ---- octets ---- */

static ssize_t wrote(int fd, const void *p, ssize_t n, off_t at)
{
    struct stat st;

    if (n > 0 && watched(fd, &st))
        add(K_WRITE, &st, (uint64_t)at, 0, p, (uint64_t)n);
    return n;
}

/* Where the octets went that were written at the descriptor's own offset. */
static off_t behind(int fd, ssize_t n)
{
    struct stat st;
    int e = errno;
    off_t at = n > 0 && watched(fd, &st) ? lseek(fd, 0, SEEK_CUR) - n : 0;

    errno = e;
    return at;
}

ssize_t write(int fd, const void *p, size_t n)
{
    REAL(write);
    ssize_t got = real(fd, p, n);

    return wrote(fd, p, got, behind(fd, got));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    REAL(pwrite);
    return wrote(fd, p, real(fd, p, n, at), at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) __attribute__((alias("pwrite")));

static ssize_t wrote_pieces(int fd, const struct iovec *v, int count, ssize_t n, off_t at)
{
    ssize_t left = n;

    for (int i = 0; i < count && left > 0; i++) {
        ssize_t piece = (size_t)left < v[i].iov_len ? left : (ssize_t)v[i].iov_len;

        (void)wrote(fd, v[i].iov_base, piece, at);
        at += piece;
        left -= piece;
    }
    return n;
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
    REAL(writev);
    ssize_t n = real(fd, v, count);

    return wrote_pieces(fd, v, count, n, behind(fd, n));
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at)
{
    REAL(pwritev);
    return wrote_pieces(fd, v, count, real(fd, v, count, at), at);
}

ssize_t pwritev64(int fd, const struct iovec *v, int count, off_t at) __attribute__((alias("pwritev")));

static int cut(int fd, int rc, off_t length)
{
    struct stat st;

    if (rc == 0 && watched(fd, &st))
        add(K_TRUNCATE, &st, (uint64_t)length, 0, NULL, 0);
    return rc;
}

int ftruncate(int fd, off_t length)
{
    REAL(ftruncate);
    return cut(fd, real(fd, length), length);
}

int ftruncate64(int fd, off_t length) __attribute__((alias("ftruncate")));

/* Only as it makes a file longer, by zeros. */
int fallocate(int fd, int mode, off_t at, off_t n)
{
    REAL(fallocate);
    struct stat st;
    int rc = real(fd, mode, at, n);

    if (rc == 0 && watched(fd, &st)) {
        if (mode & ~1) /* FALLOC_FL_KEEP_SIZE changes nothing that can be read */
            odd("fallocate with a mode");
        else if (mode == 0)
            add(K_TRUNCATE, &st, (uint64_t)st.st_size, 0, NULL, 0);
    }
    return rc;
}

int fallocate64(int fd, int mode, off_t at, off_t n) __attribute__((alias("fallocate")));

int posix_fallocate(int fd, off_t at, off_t n)
{
    return fallocate(fd, 0, at, n) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off_t at, off_t n) __attribute__((alias("posix_fallocate")));

/* ---- syncs ---- */

static int sync_as(int (*real)(int), int fd)
{
    struct stat st;
    bool yes = watched(fd, &st);
    uint64_t number = yes ? atomic_fetch_add(&map->syncs, 1) : 0;
    int rc;

    if (yes)
        add(K_SYNC, &st, 0, number, NULL, 0);
    rc = real(fd);
    if (yes && rc == 0)
        add(K_SYNCED, &st, 0, number, NULL, 0);
    return rc;
}

int fsync(int fd)
{
    REAL(fsync);
    return sync_as(real, fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return sync_as(real, fd);
}

/* ---- what cannot be followed ---- */

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t at)
{
    REAL(mmap);
    struct stat st;

    if (map && fd >= 0 && prot & PROT_WRITE && flags & MAP_SHARED && watched(fd, &st))
        add(K_ODD, &st, 0, 0, "mmap", 4);
    return real(p, n, prot, flags, fd, at);
}

void *mmap64(void *p, size_t n, int prot, int flags, int fd, off_t at) __attribute__((alias("mmap")));

#define REFUSES(call, fd)                                                              \
    do {                                                                               \
        struct stat st_;                                                               \
        if (watched(fd, &st_))                                                         \
            odd(call);                                                                 \
    } while (0)

ssize_t sendfile(int to, int from, off_t *at, size_t n)
{
    REAL(sendfile);
    REFUSES("sendfile", to);
    return real(to, from, at, n);
}

ssize_t sendfile64(int to, int from, off_t *at, size_t n) __attribute__((alias("sendfile")));

ssize_t copy_file_range(int from, off_t *a, int to, off_t *b, size_t n, unsigned flags)
{
    REAL(copy_file_range);
    REFUSES("copy_file_range", to);
    return real(from, a, to, b, n, flags);
}

ssize_t splice(int from, off_t *a, int to, off_t *b, size_t n, unsigned flags)
{
    REAL(splice);
    REFUSES("splice", to);
    return real(from, a, to, b, n, flags);
}
