/* secret.c - see secret.h. */
#include "secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct sp_secret {
    size_t mapped; /* octets of the mapping that this struct opens */
    size_t n;
    char data[];
};

void sp_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}

bool sp_equal_ct(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char diff = 0;

    for (size_t i = 0; i < n; i++)
        diff |= x[i] ^ y[i];
    return diff == 0;
}

struct sp_secret *sp_secret_new(const void *data, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (sizeof(struct sp_secret) + n + page - 1) / page * page;
    struct sp_secret *s;

    if (n > SIZE_MAX / 2)
        return NULL;
    s = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return NULL;
    /* Both may be refused (RLIMIT_MEMLOCK, old kernel); the secret is still wiped. */
    (void)mlock(s, size);
    (void)madvise(s, size, MADV_DONTDUMP);
    s->mapped = size;
    s->n = n;
    if (n)
        memcpy(s->data, data, n);
    return s;
}

struct sp_str sp_secret_get(const struct sp_secret *s)
{
    return s ? (struct sp_str){s->data, s->n} : (struct sp_str){"", 0};
}

void sp_secret_free(struct sp_secret *s)
{
    size_t size;

    if (!s)
        return;
    size = s->mapped;
    sp_wipe(s, size);
    (void)munmap(s, size);
}
