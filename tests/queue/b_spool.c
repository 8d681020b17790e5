/*
 * b_spool.c - how many messages a second become durable.  Not a test.
 *
 *     b_spool DIR [rounds]
 *
 * One thread, batches of 16 messages of 10 KB, 200 batches a round.  In turn with it the
 * plain way, for comparison: each message written to a file, fsync, rename, fsync of the
 * directory.  Only the ratio means something on a shared machine.
 */
#include "tq.h"

#include <malloc.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH = 16, BATCHES = 200, OCTETS = 10240 };

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

struct run {
    double total, cpu;
    double took[BATCHES];
};

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void report(const char *name, struct run *r)
{
    qsort(r->took, BATCHES, sizeof *r->took, by_time);
    printf("%-22s %8.0f messages/s   batch p50 %6.2f ms  p99 %6.2f ms  max %6.2f ms  "
           "cpu %4.0f us a message\n",
           name, BATCH * BATCHES / r->total, r->took[BATCHES / 2] * 1e3,
           r->took[BATCHES * 99 / 100] * 1e3, r->took[BATCHES - 1] * 1e3,
           r->cpu / (BATCH * BATCHES) * 1e6);
}

static void spool_round(struct sp_spool *s, const char *octets, struct run *r)
{
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env t = {0};
    struct sp_submission m = {.env = &t.e, .prefix = SP_LIT("Received: from here\r\n")};
    double start = now_s(), cpu = cpu_s();

    tq_env(&t, "alice", "alice@example.com");
    tq_to(&t, "bob@example.org");
    t.e.content_size = OCTETS;
    m.content = (struct sp_str){octets, OCTETS};
    for (int i = 0; i < BATCHES; i++) {
        double from = now_s();

        for (int k = 0; k < BATCH; k++)
            if (sp_batch_submit(b, &m, NOW, &tq_err) < 0)
                abort();
        if (sp_spool_commit(s, b, NOW, &tq_err) < 0) {
            printf("%s\n", tq_err.text);
            exit(1);
        }
        sp_batch_reset(b);
        r->took[i] = now_s() - from;
    }
    r->total = now_s() - start;
    r->cpu = cpu_s() - cpu;
    sp_batch_free(b);
}

static void plain_round(const char *dir, const char *octets, struct run *r)
{
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY), n = 0;
    double start = now_s(), cpu = cpu_s();

    for (int i = 0; i < BATCHES; i++) {
        double from = now_s();

        for (int k = 0; k < BATCH; k++, n++) {
            char name[32];
            int fd = openat(dirfd, "tmp", O_CREAT | O_TRUNC | O_WRONLY, 0600);

            snprintf(name, sizeof name, "%d", n);
            if (fd < 0 || write(fd, octets, OCTETS) != OCTETS || fsync(fd) < 0 ||
                close(fd) < 0 || renameat(dirfd, "tmp", dirfd, name) < 0 ||
                fsync(dirfd) < 0)
                abort();
        }
        r->took[i] = now_s() - from;
    }
    r->total = now_s() - start;
    r->cpu = cpu_s() - cpu;
    close(dirfd);
}

static void load_100k(struct sp_spool *s, const char *octets)
{
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env t = {0};
    struct sp_submission m = {.env = &t.e, .content = {octets, 1000}};
    struct sp_sched *sched = sp_sched_new();
    struct sp_sched_counts c;
    char to[40];
    struct mallinfo2 before, after;
    double from;

    for (int i = 0; i < 100000; i++) {
        tq_env(&t, i & 1 ? "alice" : "bob", "alice@example.com");
        t.e.n_rcpt = 0;
        t.e.content_size = 1000;
        snprintf(to, sizeof to, "bob@host%d.example.org", i % 5000);
        tq_to(&t, to);
        if (sp_batch_submit(b, &m, NOW, &tq_err) < 0)
            abort();
        if (sp_batch_full(b)) {
            if (sp_spool_commit(s, b, NOW, &tq_err) < 0)
                abort();
            sp_batch_reset(b);
        }
    }
    if (sp_spool_commit(s, b, NOW, &tq_err) < 0)
        abort();
    sp_batch_free(b);
    malloc_trim(0);
    before = mallinfo2();
    from = now_s();
    if (sp_spool_load(s, sched, &tq_err) < 0)
        abort();
    sp_sched_count(sched, &c);
    after = mallinfo2();
    printf("schedule of %zu jobs, %zu domains from the spool: %.0f ms, %.1f MB\n",
           c.waiting, c.dests, (now_s() - from) * 1e3,
           (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) /
               1e6);
    sp_sched_free(sched);
}

int main(int argc, char **argv)
{
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 3;
    static char octets[OCTETS];
    struct sp_spool_options o;
    char files[128];
    struct sp_spool *s;

    (void)t_tail;
    if (argc < 2 || setenv("TMPDIR", argv[1], 1) < 0)
        return 64;
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (char)("abcdefghij klmnopqrst uvwxyz\n"[i % 29]);
    tq_new_dir();
    sp_spool_defaults(&o);
    s = tq_open_with(&o);
    if (!s)
        return 1;
    snprintf(files, sizeof files, "%s/files", tq_dir);
    mkdir(files, 0700);
    for (long i = 0; i < rounds; i++) {
        struct run a = {0}, b = {0};

        spool_round(s, octets, &a);
        plain_round(files, octets, &b);
        report("spool", &a);
        report("file + fsync + rename", &b);
        printf("ratio %.1f\n", b.total / a.total);
    }
    load_100k(s, octets);
    sp_spool_close(s);
    tq_clean();
    return 0;
}
