/*
 * slow_sync.c - a slower disk, for scenario H of bench/compare.
 *
 *     LD_PRELOAD=slow_sync.so SERVER ...
 *
 * Each fsync() and fdatasync() takes DELAY_US longer, in every process of the server.
 * sync_file_range() starts writing and promises nothing, so it stays as it is.
 */
#include <dlfcn.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

#ifndef DELAY_US
#define DELAY_US 4000
#endif

static void wait_for_the_disk(void)
{
    struct timespec left = {DELAY_US / 1000000, DELAY_US % 1000000 * 1000L};
    int saved = errno;

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    errno = saved;
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

    wait_for_the_disk();
    return real(fd);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

    wait_for_the_disk();
    return real(fd);
}
