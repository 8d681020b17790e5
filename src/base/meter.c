/* meter.c - see meter.h. */
#include "meter.h"

#include "alloc.h"
#include "err.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const uint32_t sp_meter_bound_us[SP_METER_BUCKETS] = {
    500,    1000,   2500,    5000,    10000,    25000,    50000,
    100000, 250000, 1000000, 2500000, 10000000, 30000000, 120000000};

static struct sp_meter own;
struct sp_meter *sp_meter = &own;

struct sp_meters {
    struct sp_meter *part;
    unsigned parts;
};

void sp_meter_reply(uint64_t us)
{
    size_t i = 0;

    while (i < SP_METER_BUCKETS && us > sp_meter_bound_us[i])
        i++;
    atomic_fetch_add_explicit(&sp_meter->reply[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sp_meter->reply_us, us, memory_order_relaxed);
}

/* The whole of it is an array of such numbers. */
enum { NUMBERS = sizeof(struct sp_meter) / sizeof(_Atomic uint64_t) };

void sp_meter_use(struct sp_meter *part)
{
    _Atomic uint64_t *from = (_Atomic uint64_t *)sp_meter,
                     *to = (_Atomic uint64_t *)part;

    if (part == sp_meter)
        return;
    for (size_t i = 0; i < NUMBERS; i++)
        atomic_fetch_add_explicit(&to[i], atomic_load(&from[i]), memory_order_relaxed);
    sp_meter = part;
}

void sp_meter_ended(struct sp_meter *part)
{
    static const char *const type[] = {
#define TYPE(id, name, t, help) t,
        SP_METERS(TYPE)
#undef TYPE
    };

    for (size_t i = 0; part && i < SP_METER_COUNT; i++)
        if (strcmp(type[i], "gauge") == 0)
            atomic_store_explicit(&part->n[i], 0, memory_order_relaxed);
}

int sp_meters_make(unsigned parts, int *ret_fd, struct sp_err *err)
{
    int fd = memfd_create("sallyport meters", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)(parts * sizeof(struct sp_meter))) < 0) {
        int rc = sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "no memory to share");

        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

struct sp_meters *sp_meters_map(int fd, unsigned parts, struct sp_err *err)
{
    struct sp_meters *m =
        parts && parts <= SP_METER_PARTS_MAX ? sp_alloc(sizeof *m) : NULL;
    size_t size = parts * sizeof(struct sp_meter);
    struct stat st;
    void *p;

    if (!m) {
        (void)sp_err_nomem(err);
        return NULL;
    }
    /* Shorter than said: touching it would end us. */
    if (fstat(fd, &st) < 0 || (uint64_t)st.st_size < size ||
        (p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) ==
            MAP_FAILED) {
        (void)sp_err_set(err, SP_CLASS_BUG, SP_EIO, "cannot map shared memory");
        sp_free(m);
        return NULL;
    }
    m->part = p;
    m->parts = parts;
    return m;
}

struct sp_meter *sp_meters_part(struct sp_meters *m, unsigned i)
{
    return m && i < m->parts ? &m->part[i] : NULL;
}

unsigned sp_meters_count(const struct sp_meters *m)
{
    return m ? m->parts : 0;
}

void sp_meters_free(struct sp_meters *m)
{
    if (!m)
        return;
    sp_meter = &own;
    (void)munmap(m->part, m->parts * sizeof *m->part);
    sp_free(m);
}
