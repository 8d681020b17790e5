/*
 * hot_commit.c - the queue's hot path, to be counted by hot_paths.py.  Not a test.
 *
 *     hot_commit commit COUNT [AGAIN]
 *
 * COUNT batches of 16 messages of 10 KB, each batch one durable transaction; with AGAIN
 * so many per cent of them twice.
 */
#include "tq.h"

enum { BATCH = 16, OCTETS = 10240 };

static void commit(struct sp_spool *s, struct sp_batch *b)
{
    static char octets[OCTETS];
    struct tq_env t = {0};
    struct sp_submission m = {.env = &t.e, .prefix = SP_LIT("Received: from here\r\n")};

    if (!octets[0])
        memset(octets, 'x', sizeof octets);
    tq_env(&t, "alice", "alice@example.com");
    tq_to(&t, "bob@example.org");
    t.e.content_size = OCTETS;
    m.content = (struct sp_str){octets, OCTETS};
    for (int i = 0; i < BATCH; i++)
        if (sp_batch_submit(b, &m, NOW, &tq_err) < 0)
            abort();
    if (sp_spool_commit(s, b, NOW, &tq_err) < 0 || sp_batch_result(b, 0)->code != 250) {
        fprintf(stderr, "hot_commit: %s\n", tq_err.text);
        exit(1);
    }
    sp_batch_reset(b);
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    long again = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
    struct sp_spool *s;
    struct sp_batch *b;

    (void)t_tail; /* no TEST here */
    if (argc < 3 || strcmp(argv[1], "commit") != 0) {
        fprintf(stderr, "usage: hot_commit commit COUNT [AGAIN]\n");
        return 64;
    }
    s = tq_fresh();
    b = s ? sp_batch_new(s) : NULL;
    if (!b)
        return 1;
    for (long i = 0, owed = 0; i < count; i++) {
        commit(s, b);
        for (owed += again; owed >= 100; owed -= 100)
            commit(s, b);
    }
    sp_batch_free(b);
    sp_spool_close(s);
    tq_clean();
    return 0;
}
