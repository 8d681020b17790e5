/* t_take_back.c - mail that was stored too late to say so: the client has been told 451, so
 * nothing of it may stay; mail that was stored in time stays. */
#include "q.h"
#include "role.h"

#include "../queue/tq.h"

static struct q q;

/* As q_submit.c sees the time. */
static uint64_t clock_ms(void)
{
    return uv_hrtime() / 1000000;
}

static struct sp_result put(struct tq_env *t, const char *content,
                            struct sp_spare *spare)
{
    struct sp_batch *b = sp_batch_new(q.spool);
    struct sp_submission m = {.env = &t->e,
                              .prefix = SP_LIT("Received: here\r\n"),
                              .content = spare ? SP_LIT("") : sp_str(content),
                              .spare = spare};
    struct sp_result r = {0};
    int i;

    if (!spare)
        t->e.content_size = m.content.n;
    i = sp_batch_submit(b, &m, NOW, &tq_err);
    CHECK(i >= 0);
    CHECK_INT(sp_spool_commit(q.spool, b, NOW, &tq_err), 0);
    if (i >= 0)
        r = *sp_batch_result(b, i);
    r.change = NULL; /* the batch's */
    r.nchange = 0;
    sp_batch_free(b);
    CHECK_INT(r.code, 250);
    return r;
}

static struct sp_result submit(struct tq_env *t)
{
    tq_env(t, "alice", "alice@example.org");
    tq_to(t, "bob@example.org");
    tq_to(t, "carol@example.net");
    return put(t, "Subject: x\r\n\r\nbody\r\n", NULL);
}

/* until: when the server gives up, from now. */
static bool taken_back(const struct sp_result *r, int64_t until)
{
    struct q_item it = {.kind = Q_SUBMIT,
                        .until_ms = (uint64_t)((int64_t)clock_ms() + until)};

    return q_submit_take_back(&q, &it, r);
}

static uint64_t messages(void)
{
    struct sp_spool_counts c = {0};

    CHECK_INT(sp_spool_count(q.spool, &c, &tq_err), 0);
    CHECK_INT(sp_spool_verify(q.spool, &tq_err), 0);
    return c.messages;
}

static bool begin(void)
{
    q.spool = tq_fresh();
    CHECK(q.spool != NULL);
    return q.spool != NULL;
}

static void end(void)
{
    sp_spool_close(q.spool);
    tq_clean();
}

TEST("stored in time it stays; the server's grace is half of the queue's")
{
    struct tq_env t;
    struct sp_result r;
    struct q_item never = {.kind = Q_SUBMIT, .until_ms = 0};

    if (!begin())
        return;
    r = submit(&t);
    CHECK(!taken_back(&r, 60000));
    CHECK(!taken_back(&r, -(SP_SUBMIT_GRACE_MS / 2) + 1500));
    CHECK(!q_submit_take_back(&q, &never, &r));
    CHECK_INT(messages(), 1);
    end();
}

TEST("stored too late it goes, with all of its jobs, and stays gone")
{
    struct tq_env t;
    struct sp_result keep, late;

    if (!begin())
        return;
    keep = submit(&t);
    late = submit(&t);
    CHECK_INT(messages(), 2);
    CHECK(taken_back(&late, -(SP_SUBMIT_GRACE_MS / 2) - 1));
    CHECK_INT(messages(), 1);
    sp_spool_close(q.spool);
    q.spool = tq_open();
    CHECK_INT(messages(), 1);
    CHECK(taken_back(&keep, -3600000)); /* and it was the other one */
    CHECK_INT(messages(), 0);
    end();
}

TEST("the file of a large one goes with it")
{
    enum { SIZE = 100000 };
    static char octets[SIZE];
    struct tq_env t;
    struct sp_spare *spare = NULL;
    struct sp_result r;
    char path[200];
    struct stat st;

    if (!begin())
        return;
    memset(octets, 'x', SIZE);
    CHECK_INT(sp_spare_new(q.spool, NOW, &spare, &tq_err), 0);
    CHECK_INT(write(sp_spare_fd(spare), octets, SIZE), SIZE);
    CHECK_INT(sp_spare_prepare(spare, SIZE, &tq_err), 0);
    tq_env(&t, "alice", "alice@example.org");
    tq_to(&t, "bob@example.org");
    t.e.content_size = SIZE;
    r = put(&t, NULL, spare);
    snprintf(path, sizeof path, "find '%s/bodies' -type f | grep -q .", tq_dir);
    CHECK_INT(system(path), 0);
    CHECK(taken_back(&r, -60000));
    CHECK(system(path) != 0);
    snprintf(path, sizeof path, "%s/bodies", tq_dir);
    CHECK_INT(stat(path, &st), 0);
    end();
}

TEST("what the queue had before is not taken back for the sake of a late second copy, "
     "and "
     "a key of mail that was taken back is free")
{
    struct tq_env t;
    struct sp_result first, second;

    if (!begin())
        return;
    tq_env(&t, "alice", "alice@example.org");
    tq_to(&t, "bob@example.org");
    t.e.submission_key = tq_bin("key");
    t.e.digest = tq_bin("digest");
    first = put(&t, "Subject: x\r\n\r\nbody\r\n", NULL);
    second = put(&t, "Subject: x\r\n\r\nbody\r\n", NULL);
    CHECK(!first.duplicate && second.duplicate);
    CHECK(!taken_back(&second, -60000));
    CHECK_INT(messages(), 1);
    CHECK(taken_back(&first, -60000));
    CHECK_INT(messages(), 0);
    second = put(&t, "Subject: x\r\n\r\nbody\r\n", NULL); /* told 451: it comes again */
    CHECK(!second.duplicate);
    CHECK_INT(messages(), 1);
    end();
}

T_MAIN
