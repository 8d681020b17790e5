/* srv_count.c - see srv_count.h. */
#include "srv_count.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COLUMNS = 8192, NAME_MAX_N = 400 };

struct part {
    _Atomic uint32_t n[SP_COUNT_ROWS][COLUMNS];
};

enum { LEVELS = SP_RATE_WHATS * SP_RATE_PERIODS };

struct levels {
    _Atomic uint64_t ns[SP_COUNT_ROWS][COLUMNS][LEVELS];
};

struct sp_count {
    struct part *part;
    struct levels *levels;
    unsigned parts, mine;
    uint8_t key[SP_COUNT_KEY];
};

static size_t size_of(unsigned parts)
{
    return parts * sizeof(struct part) + sizeof(struct levels);
}

int sp_count_make(unsigned parts, int *ret_fd, struct sp_err *err)
{
    int fd = memfd_create("sallyport sessions", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)size_of(parts)) < 0) {
        int rc = sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "no memory to share");

        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

struct sp_count *sp_count_map(int fd, unsigned parts, unsigned mine,
                              const uint8_t key[SP_COUNT_KEY], struct sp_err *err)
{
    struct sp_count *c = mine < parts ? sp_alloc(sizeof *c) : NULL;
    void *p;

    if (!c) {
        (void)sp_err_nomem(err);
        return NULL;
    }
    p = mmap(NULL, size_of(parts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        (void)sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "cannot map shared memory");
        sp_free(c);
        return NULL;
    }
    c->part = p;
    c->levels = (struct levels *)(c->part + parts);
    c->parts = parts;
    c->mine = mine;
    memcpy(c->key, key, sizeof c->key);
    return c;
}

void sp_count_free(struct sp_count *c)
{
    if (!c)
        return;
    (void)munmap(c->part, size_of(c->parts));
    sp_wipe(c->key, sizeof c->key);
    sp_free(c);
}

static void place(const struct sp_count *c, const char *kind, struct sp_str name,
                  uint32_t at[SP_COUNT_ROWS])
{
    char text[SP_COUNT_KEY + 20 + NAME_MAX_N];
    uint8_t hash[EVP_MAX_MD_SIZE];
    size_t kind_n = strlen(kind) + 1,
           name_n = name.n > NAME_MAX_N ? NAME_MAX_N : name.n;

    assert(kind_n <= 20);
    memset(hash, 0, sizeof hash);
    memcpy(text, c->key, SP_COUNT_KEY);
    memcpy(text + SP_COUNT_KEY, kind, kind_n);
    if (name_n)
        memcpy(text + SP_COUNT_KEY + kind_n, name.p, name_n);
    (void)EVP_Digest(text, SP_COUNT_KEY + kind_n + name_n, hash, NULL, EVP_sha256(),
                     NULL);
    for (size_t i = 0; i < SP_COUNT_ROWS; i++) {
        memcpy(&at[i], hash + i * sizeof at[i], sizeof at[i]);
        at[i] %= COLUMNS;
    }
}

uint32_t sp_count_enter(struct sp_count *c, const char *kind, struct sp_str name,
                        struct sp_count_mark *mark)
{
    uint32_t least = UINT32_MAX;

    sp_count_leave(c, mark);
    place(c, kind, name, mark->at);
    mark->on = true;
    /* All of it in sequence: whoever enters elsewhere at this moment sees us, or we them. */
    for (size_t i = 0; i < SP_COUNT_ROWS; i++)
        (void)atomic_fetch_add(&c->part[c->mine].n[i][mark->at[i]], 1);
    for (size_t i = 0; i < SP_COUNT_ROWS; i++) {
        uint32_t sum = 0;

        for (unsigned k = 0; k < c->parts; k++)
            sum += atomic_load(&c->part[k].n[i][mark->at[i]]);
        if (sum < least)
            least = sum;
    }
    return least;
}

void sp_count_leave(struct sp_count *c, struct sp_count_mark *mark)
{
    if (!mark->on)
        return;
    mark->on = false;
    for (size_t i = 0; i < SP_COUNT_ROWS; i++)
        (void)atomic_fetch_sub(&c->part[c->mine].n[i][mark->at[i]], 1);
}

void sp_count_clear(struct sp_count *c, unsigned part)
{
    for (size_t i = 0; part < c->parts && i < SP_COUNT_ROWS; i++)
        for (size_t k = 0; k < COLUMNS; k++)
            atomic_store(&c->part[part].n[i][k], 0);
}

/* ---- rates ---- */

void sp_count_place(const struct sp_count *c, const char *kind, struct sp_str name,
                    struct sp_count_place *ret)
{
    place(c, kind, name, ret->at);
    ret->known = true;
}

static struct sp_rate limit_of(const struct sp_rates *limits, unsigned i)
{
    return (struct sp_rate){limits->n[i / SP_RATE_PERIODS][i % SP_RATE_PERIODS],
                            (enum sp_rate_period)(i % SP_RATE_PERIODS)};
}

/* The lower of the two: a neighbour can only have raised them. */
static uint64_t level(const struct sp_count *c, const struct sp_count_place *at, unsigned i)
{
    uint64_t least = UINT64_MAX;

    for (size_t r = 0; r < SP_COUNT_ROWS; r++) {
        uint64_t v = atomic_load(&c->levels->ns[r][at->at[r]][i]);

        least = v < least ? v : least;
    }
    return least;
}

static void raise(struct sp_count *c, const struct sp_count_place *at, unsigned i,
                  const struct sp_rate *limit, uint64_t now_ns, uint64_t cost)
{
    for (size_t r = 0; r < SP_COUNT_ROWS; r++) {
        _Atomic uint64_t *v = &c->levels->ns[r][at->at[r]][i];
        uint64_t was = atomic_load(v);

        while (!atomic_compare_exchange_weak(v, &was, sp_rate_add(limit, was, now_ns, cost)))
            ;
    }
}

static void lower(struct sp_count *c, const struct sp_count_place *at, unsigned i,
                  const struct sp_rate *limit, uint64_t cost)
{
    for (size_t r = 0; r < SP_COUNT_ROWS; r++)
        (void)atomic_fetch_sub(&c->levels->ns[r][at->at[r]][i], sp_rate_step(limit, cost));
}

void sp_count_refund(struct sp_count *c, const struct sp_count_place *at,
                     const struct sp_rates *limits, uint32_t messages,
                     uint32_t recipients)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        struct sp_rate limit = limit_of(limits, i);

        if (limit.n)
            lower(c, at, i, &limit, i < SP_RATE_PERIODS ? messages : recipients);
    }
}

bool sp_count_fits(struct sp_count *c, const struct sp_count_place *at,
                   const struct sp_rates *limits, uint64_t now_ns, uint32_t messages,
                   uint32_t recipients, bool take, struct sp_count_over *ret)
{
    bool fits = true;

    for (unsigned i = 0; i < LEVELS; i++) {
        struct sp_rate limit = limit_of(limits, i);
        uint64_t cost = i < SP_RATE_PERIODS ? messages : recipients, wait;

        if (limit.n == 0)
            continue;
        if (take) /* then whether it fits is asked of what is there with it */
            raise(c, at, i, &limit, now_ns, cost);
        wait = sp_rate_wait(&limit, level(c, at, i), now_ns, take ? 0 : cost);
        if (wait && fits && ret)
            *ret = (struct sp_count_over){(enum sp_rate_what)(i / SP_RATE_PERIODS), limit, wait};
        fits = fits && wait == 0;
    }
    if (take && !fits)
        sp_count_refund(c, at, limits, messages, recipients);
    return fits;
}

struct sp_str sp_count_address(const char *address, char *buf, size_t cap)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t a[16];
    char text[INET6_ADDRSTRLEN];
    int n;

    if (inet_pton(AF_INET6, address, a) != 1)
        return (struct sp_str){address, strlen(address)};
    if (memcmp(a, mapped, sizeof mapped) == 0) {
        n = snprintf(buf, cap, "%u.%u.%u.%u", a[12], a[13], a[14], a[15]);
    } else {
        memset(a + 8, 0, 8);
        (void)inet_ntop(AF_INET6, a, text, sizeof text);
        n = snprintf(buf, cap, "%s/64", text);
    }
    return (struct sp_str){buf, n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1};
}
