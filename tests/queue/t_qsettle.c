/* t_qsettle.c - outcomes: leases, retries, bounces, notices. */
#include "tq.h"

static const char *const bob[] = {"bob@example.org", NULL};
static const char *const two[] = {"a@one.example", "b@one.example", NULL};
static const char *const far[] = {"a@one.example", "b@two.example", NULL};
#define HOUR 3600000ull

static struct sp_plan *plan(struct sp_spool *s, const struct tq_out *t, uint64_t now)
{
    struct sp_plan *p = NULL;
    int rc = sp_spool_plan(s, &t->o, now, &p, &tq_err);

    CHECK_INT(rc, 0);
    if (rc < 0)
        printf("  %s\n", tq_err.text);
    return p;
}

TEST("a retry moves the job to its next time, keeps the words and counts")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", two);
    struct tq_out t = {0};
    struct sp_batch *b = sp_batch_new(s);
    struct sp_plan *p;
    struct sp_job *j;
    const struct sp_result *r;

    tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
    tq_say(&t, 1, RETRY, 451, "later");
    tq_say(&t, 0, DELIVERED, 250, "ok");
    p = plan(s, &t, NOW);
    CHECK(!p->finished && p->nowed == 0);
    CHECK(p->due_ms >= NOW + 60000 && p->due_ms <= NOW + 72000);
    CHECK_INT(sp_batch_settle(b, p, &tq_err), 0);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    r = sp_batch_result(b, 0);
    CHECK_INT(r->code, 250);
    CHECK_INT(r->change->kind, SP_CHANGE_RETRY);
    CHECK(r->change->due_ms == p->due_ms);
    sp_plan_free(p);
    sp_batch_free(b);
    CHECK_INT(sp_spool_leased(s, m + 1), 0);
    sp_spool_close(s);
    s = tq_open();
    CHECK_INT(sp_spool_claim(s, m + 1, &j, &tq_err), 0);
    CHECK_INT(j->attempt, 2);
    CHECK_INT(j->env->n_rcpt, 1); /* only who is left */
    CHECK_INT(j->index[0], 1);
    CHECK(j->env->rcpt[0]->address.data[0] == 'b');
    sp_job_free(j);
    sp_spool_close(s);
    tq_clean();
}

TEST("only the newest eight attempts are kept, in bounded words")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", bob);
    struct sp_view *v;
    char *big = malloc(5001);

    memset(big, 'w', 5000);
    big[5000] = '\0';
    memcpy(big + 998, "\xe2\x82\xac", 3); /* a character across the limit of 1000 */
    for (unsigned i = 1; i <= 11; i++) {
        struct tq_out t = {0};
        struct sp_batch *b = sp_batch_new(s);
        struct sp_plan *p;

        tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
        tq_say(&t, 0, RETRY, 400 + i, i == 11 ? big : "later");
        p = plan(s, &t, NOW + i);
        CHECK_INT(sp_batch_settle(b, p, &tq_err), 0);
        CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
        sp_batch_free(b);
        sp_plan_free(p);
    }
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0);
    CHECK_INT(v->rcpt[0].state->attempts, 11);
    CHECK_INT(v->rcpt[0].state->n_history, 8);
    CHECK_INT(v->rcpt[0].state->history[0]->code, 404);
    CHECK_INT(v->rcpt[0].state->history[7]->code, 411);
    CHECK_INT(strlen(v->rcpt[0].state->history[7]->text), 998);
    sp_view_free(v);
    free(big);
    sp_spool_close(s);
    tq_clean();
}

TEST("strangers, twins, unknown actions and closed recipients end an outcome unheard")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", far);
    struct sp_plan *p;
    struct sp_job *j;
    static const struct {
        uint32_t index[2];
        int n, action;
    } bad[] = {
        {{1}, 1, DELIVERED}, /* the other job's */
        {{7}, 1, DELIVERED}, {{0, 0}, 2, DELIVERED}, {{0}, 1, 9}, {{0}, 1, -1},
    };

    CHECK_INT(sp_spool_claim(s, m + 1, &j, &tq_err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tq_out t = {0};

        tq_out(&t, j->job, j->lease);
        for (int k = 0; k < bad[i].n; k++)
            tq_say(&t, bad[i].index[k], (Sp__Action)bad[i].action, 250, "ok");
        CHECK_INT(sp_spool_plan(s, &t.o, NOW, &p, &tq_err), -SP_EINPUT);
    }
    CHECK_INT(tq_settle(s, m + 1, 0, DELIVERED, NOW), 250);
    CHECK_INT(tq_settle(s, m + 1, 0, DELIVERED, NOW), -SP_ENOENT);
    sp_job_free(j);
    sp_spool_close(s);
    tq_clean();
}

TEST("an outcome with another lease than the one that is out changes nothing")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", bob), first = sp_spool_lease(s, m + 1), second;
    struct tq_out t = {0};
    struct sp_plan *p, *late;
    struct sp_batch *b = sp_batch_new(s);

    CHECK(first != 0);
    CHECK_INT(sp_spool_lease(s, m + 1), 0); /* one at a time */
    tq_out(&t, m + 1, 0);
    tq_say(&t, 0, DELIVERED, 250, "ok");
    CHECK_INT(sp_spool_plan(s, &t.o, NOW, &p, &tq_err), -SP_ESTATE);
    t.o.lease = first;
    late = plan(s, &t, NOW);
    sp_spool_unlease(s, m + 1); /* the role died, the job goes to another */
    second = sp_spool_lease(s, m + 1);
    CHECK(second > first);
    CHECK_INT(sp_spool_plan(s, &t.o, NOW, &p, &tq_err), -SP_ESTATE);
    CHECK_INT(sp_batch_settle(b, late, &tq_err),
              0); /* planned in time, committed late */
    t.o.lease = second;
    p = plan(s, &t, NOW);
    CHECK_INT(sp_batch_settle(b, p, &tq_err), 1);
    CHECK_INT(sp_batch_settle(b, p, &tq_err), 2); /* twice in one batch */
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    CHECK(sp_batch_result(b, 0)->stale);
    CHECK_INT(sp_batch_result(b, 0)->nchange, 0);
    CHECK(!sp_batch_result(b, 1)->stale);
    CHECK(sp_batch_result(b, 2)->stale);
    sp_plan_free(p);
    sp_plan_free(late);
    sp_batch_free(b);
    CHECK_INT(tq_messages(s), 0);
    sp_spool_close(s);
    tq_clean();
}

TEST("a restarted queue takes over leases, and an outcome stored before is not stored "
     "again")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", bob), lease = sp_spool_lease(s, m + 1);
    struct tq_out t = {0};
    struct sp_plan *p;
    struct sp_batch *b;

    sp_spool_close(s);
    s = tq_open();
    tq_out(&t, m + 1, lease);
    tq_say(&t, 0, RETRY, 451, "later");
    CHECK_INT(sp_spool_plan(s, &t.o, NOW, &p, &tq_err),
              -SP_ESTATE); /* nobody said Held */
    CHECK_INT(sp_spool_adopt(s, m + 1, lease, &tq_err), 0);
    CHECK_INT(sp_spool_adopt(s, m + 1, lease, &tq_err), 0);
    CHECK_INT(sp_spool_adopt(s, m + 1, lease + 1, &tq_err), -SP_ESTATE);
    CHECK_INT(sp_spool_adopt(s, m + 9, lease, &tq_err), -SP_ENOENT);
    p = plan(s, &t, NOW);
    b = sp_batch_new(s);
    CHECK_INT(sp_batch_settle(b, p, &tq_err), 0);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    sp_plan_free(p);
    sp_batch_free(b);
    sp_spool_close(s); /* died before it said OutcomeStored: the role says it again */
    s = tq_open();
    CHECK_INT(sp_spool_adopt(s, m + 1, lease, &tq_err), -SP_ESTATE);
    CHECK_INT(sp_spool_plan(s, &t.o, NOW, &p, &tq_err), -SP_ESTATE);
    CHECK_INT(sp_spool_adopt(s, m + 1, UINT64_MAX, &tq_err),
              -SP_ESTATE); /* from the future */
    CHECK(sp_spool_lease(s, m + 1) > lease);
    sp_spool_close(s);
    tq_clean();
}

/* What is owed when recipient 0 has this outcome at this time: bits of 1 << notice. */
static unsigned owed(uint32_t notify, const char *from, bool is_notice, Sp__Action a,
                     bool passed_on, uint64_t now, bool *ret_finished)
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env e = {0};
    struct tq_out t = {0};
    struct sp_plan *p;
    unsigned bits = 0;
    uint64_t m;

    tq_env(&e, "u", from);
    e.e.is_notice = is_notice;
    tq_to(&e, "a@b")->notify = notify;
    CHECK_INT(tq_add(b, &e, "x"), 0);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    m = sp_batch_result(b, 0)->message;
    sp_batch_free(b);
    tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
    tq_say(&t, 0, a, 500, "words")->dsn_passed_on = passed_on;
    p = plan(s, &t, now);
    for (size_t i = 0; i < p->nowed; i++)
        bits |= 1u << p->owed[i].notice;
    *ret_finished = p->finished;
    sp_plan_free(p);
    sp_spool_close(s);
    tq_clean();
    return bits;
}

TEST("which notice an outcome owes, by action, time, NOTIFY and sender")
{
    bool f;
    enum {
        S = 1 << SP_OWED_SUCCESS,
        D = 1 << SP_OWED_DELAY,
        F = 1 << SP_OWED_FAILURE
    };
    enum { P = 1 << SP_OWED_POSTMASTER };
    uint64_t late = NOW + 4 * HOUR, over = NOW + 120 * HOUR;

    CHECK_INT(owed(0, "u@x", false, BOUNCE, false, NOW, &f), F);
    CHECK(f);
    CHECK_INT(owed(1, "u@x", false, BOUNCE, false, NOW, &f), 0);
    CHECK_INT(owed(0, "", false, BOUNCE, false, NOW, &f), P);
    CHECK_INT(owed(0, "u@x", true, BOUNCE, false, NOW, &f), P);
    /* Every notice says NEVER to other servers; that does not silence us.  Who builds
     * notices ends it when the postmaster's own copy bounces. */
    CHECK_INT(owed(1, "", true, BOUNCE, false, NOW, &f), P);
    CHECK_INT(owed(1, "", false, BOUNCE, false, NOW, &f), 0);
    CHECK_INT(owed(2, "u@x", false, DELIVERED, false, NOW, &f), S);
    CHECK_INT(owed(2, "u@x", false, DELIVERED, true, NOW, &f), 0);
    CHECK_INT(owed(0, "u@x", false, DELIVERED, false, NOW, &f), 0);
    CHECK_INT(owed(0, "u@x", false, RETRY, false, late - 1, &f), 0);
    CHECK(!f);
    CHECK_INT(owed(0, "u@x", false, RETRY, false, late, &f), D);
    CHECK(!f);
    CHECK_INT(owed(4, "u@x", false, RETRY, false, late, &f), 0);
    CHECK_INT(owed(0, "", false, RETRY, false, late, &f), 0);
    CHECK_INT(owed(0, "u@x", false, RETRY, false, over - 1, &f), D);
    CHECK_INT(owed(0, "u@x", false, RETRY, false, over, &f), F); /* given up */
    CHECK(f);
}

TEST("the warning about a delay is owed once")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", bob);
    struct tq_out t = {0};
    struct sp_plan *p;

    CHECK_INT(tq_settle(s, m + 1, 0, RETRY, NOW + 5 * HOUR), 250);
    tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
    tq_say(&t, 0, RETRY, 451, "still");
    p = plan(s, &t, NOW + 9 * HOUR);
    CHECK_INT(p->nowed, 0);
    CHECK_INT(p->state->rcpt[0]->delay_notice_sent, 1);
    sp_plan_free(p);
    sp_spool_close(s);
    tq_clean();
}

TEST(
    "the last attempt is made when the lifetime ends; hold and DELIVERBY move that end")
{
    static const struct {
        uint64_t hold;
        int64_t by;
        Sp__ByMode mode;
        uint64_t end;
    } rows[] = {
        {0, 0, SP__BY_MODE__BY_UNSET, NOW + 120 * HOUR},
        {NOW + 10 * HOUR, 0, SP__BY_MODE__BY_UNSET, NOW + 130 * HOUR},
        {0, 600, SP__BY_MODE__BY_RETURN, NOW + 600000},
        {0, 600, SP__BY_MODE__BY_NOTIFY, NOW + 120 * HOUR},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sp_spool *s = tq_fresh();
        struct sp_batch *b = sp_batch_new(s);
        struct tq_env e = {0};
        struct tq_out t = {0};
        struct sp_plan *p;
        uint64_t m;

        tq_env(&e, "u", "u@x");
        tq_to(&e, "a@b");
        e.e.hold_until_ms = rows[i].hold;
        e.e.by_seconds = rows[i].by;
        e.e.by_mode = rows[i].mode;
        CHECK_INT(tq_add(b, &e, "x"), 0);
        CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
        m = sp_batch_result(b, 0)->message;
        sp_batch_free(b);
        tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
        tq_say(&t, 0, RETRY, 451, "still");
        p = plan(s, &t, rows[i].end - 1000);
        CHECK(!p->finished && p->due_ms == rows[i].end);
        sp_plan_free(p);
        p = plan(s, &t, rows[i].end);
        CHECK(p->finished);
        sp_plan_free(p);
        sp_spool_close(s);
        tq_clean();
    }
}

TEST("a notify time of DELIVERBY is when the sender hears of it, to the second, and "
     "once")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env e = {0};
    struct tq_out t = {0};
    struct sp_plan *p;
    uint64_t m, by = NOW + 30000;

    tq_env(&e, "u", "u@x");
    tq_to(&e, "a@b");
    e.e.by_seconds = 30;
    e.e.by_mode = SP__BY_MODE__BY_NOTIFY;
    CHECK_INT(tq_add(b, &e, "x"), 0);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    m = sp_batch_result(b, 0)->message;
    sp_batch_free(b);
    tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
    tq_say(&t, 0, RETRY, 451, "still");
    p = plan(s, &t, by - 1);
    CHECK(p->nowed == 0 && p->due_ms == by); /* not a minute later */
    sp_plan_free(p);
    p = plan(s, &t, by);
    CHECK(p->nowed == 1 && p->owed[0].notice == SP_OWED_DELAY && !p->finished);
    CHECK(p->due_ms >= by + 60000);
    sp_plan_free(p);
    sp_spool_close(s);
    tq_clean();
}

TEST("who reports success: we, the next hop, or nobody, and then the sender hears that")
{
    static const struct {
        bool passed, relayed, traced;
        uint32_t notify;
        enum sp_owed_kind want;
    } rows[] = {
        {false, false, false, SP_NOTIFY_SUCCESS, SP_OWED_SUCCESS},
        {true, false, false, SP_NOTIFY_SUCCESS, SP_OWED_NONE},
        {false, true, false, SP_NOTIFY_SUCCESS, SP_OWED_RELAYED},
        {false, true, false, 0, SP_OWED_NONE},
        {true, false, true, SP_NOTIFY_FAILURE, SP_OWED_TRACED},
        {false, true, true, 0, SP_OWED_TRACED},
        {false, true, true, SP_NOTIFY_NEVER, SP_OWED_NONE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sp_spool *s = tq_fresh();
        struct sp_batch *b = sp_batch_new(s);
        struct tq_env e = {0};
        struct tq_out t = {0};
        Sp__RcptOutcome *o;
        struct sp_plan *p;
        uint64_t m;

        tq_env(&e, "u", "u@x");
        tq_to(&e, "a@b")->notify = rows[i].notify;
        CHECK_INT(tq_add(b, &e, "x"), 0);
        CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
        m = sp_batch_result(b, 0)->message;
        sp_batch_free(b);
        tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
        o = tq_say(&t, 0, DELIVERED, 250, "ok");
        o->dsn_passed_on = rows[i].passed;
        o->relayed = rows[i].relayed;
        o->traced = rows[i].traced;
        p = plan(s, &t, NOW);
        CHECK(p->finished);
        CHECK_INT(p->nowed ? p->owed[0].notice : SP_OWED_NONE, rows[i].want);
        sp_plan_free(p);
        sp_spool_close(s);
        tq_clean();
    }
}

TEST("recipients that an outcome forgets are tried again, and expire")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", two);
    struct tq_out t = {0};
    struct sp_plan *p;

    tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
    tq_say(&t, 1, BOUNCE, 550, "no");
    p = plan(s, &t, NOW);
    CHECK(!p->finished && p->nowed == 1 && p->owed[0].pos == 1);
    CHECK_INT(p->state->rcpt[0]->status, SP__RCPT_STATUS__RCPT_QUEUED);
    sp_plan_free(p);
    p = plan(s, &t, NOW + 121 * HOUR);
    CHECK(p->finished && p->nowed == 2);
    sp_plan_free(p);
    sp_spool_close(s);
    tq_clean();
}

static int add_notice(struct sp_batch *b, int settle, struct tq_env *e)
{
    struct sp_submission m = {.env = &e->e,
                              .content = SP_LIT("Subject: failed\r\n\r\n")};

    tq_env(e, "", "");
    e->e.is_notice = true;
    tq_to(e, "u@x");
    e->e.content_size = m.content.n;
    return sp_batch_notice(b, settle, &m, NOW, &tq_err);
}

TEST("a bounce and the end of what it is about are one transaction")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", bob);
    struct sp_batch *b = sp_batch_new(s);
    struct tq_out t = {0};
    struct tq_env e = {0}, again = {0}, keyed = {0};
    struct sp_plan *p;
    struct sp_view *v;

    tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
    tq_say(&t, 0, BOUNCE, 550, "no");
    p = plan(s, &t, NOW);
    CHECK_INT(sp_batch_settle(b, p, &tq_err), 0);
    CHECK_INT(add_notice(b, 0, &e), 1);
    CHECK_INT(sp_batch_settle(b, p, &tq_err),
              2);                           /* the same outcome again: stale ... */
    CHECK_INT(add_notice(b, 2, &again), 3); /* ... and so is its notice */
    CHECK_INT(add_notice(b, 1, &keyed), -SP_ESTATE);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    CHECK_INT(sp_batch_result(b, 0)->change->kind, SP_CHANGE_GONE);
    CHECK_INT(sp_batch_result(b, 1)->code, 250);
    CHECK(!sp_batch_result(b, 1)->stale);
    CHECK(sp_batch_result(b, 2)->stale && sp_batch_result(b, 3)->stale);
    CHECK_INT(tq_messages(s), 1);
    CHECK_INT(sp_spool_find(s, sp_batch_result(b, 1)->message, &v, &tq_err), 0);
    CHECK(!v->finished && v->env->is_notice);
    sp_view_free(v);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0);
    CHECK(v->finished);
    CHECK_INT(v->rcpt[0].state->status, SP__RCPT_STATUS__RCPT_BOUNCED);
    sp_view_free(v);
    sp_plan_free(p);
    sp_batch_free(b);
    sp_spool_close(s);
    tq_clean();
}

TEST("an outcome that comes twice in one batch counts once, also when it is a retry")
{
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", bob);
    struct sp_batch *b = sp_batch_new(s);
    struct tq_out t = {0};
    struct tq_env e = {0}, again = {0};
    struct sp_plan *p;

    tq_out(&t, m + 1, sp_spool_lease(s, m + 1));
    tq_say(&t, 0, RETRY, 451, "still");
    p = plan(s, &t, NOW + 5 * HOUR);
    CHECK_INT(p->owed[0].notice, SP_OWED_DELAY);
    CHECK_INT(sp_batch_settle(b, p, &tq_err), 0);
    CHECK_INT(add_notice(b, 0, &e), 1);
    CHECK_INT(sp_batch_settle(b, p, &tq_err), 2);
    CHECK_INT(add_notice(b, 2, &again), 3);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    CHECK(!sp_batch_result(b, 0)->stale && sp_batch_result(b, 2)->stale);
    CHECK_INT(tq_messages(s), 2); /* the message and one warning */
    sp_plan_free(p);
    sp_batch_free(b);
    sp_spool_close(s);
    tq_clean();
}

TEST("a message is finished with its last job, and its history has them all in order")
{
    static const char *const to[] = {"z@c.example", "y@a.example", "x@b.example", NULL};
    struct sp_spool *s = tq_fresh();
    uint64_t m = tq_put(s, "u", "u@x", to);
    struct sp_view *v;

    CHECK_INT(tq_settle(s, m + 1, 1, DELIVERED, NOW), 250); /* a.example */
    CHECK_INT(tq_settle(s, m + 3, 0, BOUNCE, NOW), 250);
    CHECK_INT(tq_messages(s), 1);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0);
    CHECK(!v->finished && v->nrcpt == 3);
    CHECK_INT(v->rcpt[0].state->status, SP__RCPT_STATUS__RCPT_BOUNCED);
    CHECK_INT(v->rcpt[1].state->status, SP__RCPT_STATUS__RCPT_DELIVERED);
    CHECK_INT(v->rcpt[2].state->status, SP__RCPT_STATUS__RCPT_QUEUED);
    sp_view_free(v);
    CHECK_INT(tq_settle(s, m + 2, 2, DELIVERED, NOW), 250);
    CHECK_INT(tq_messages(s), 0);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0);
    CHECK(v->finished && v->nrcpt == 3);
    for (size_t i = 0; i < v->nrcpt; i++) {
        CHECK_INT(v->env->rcpt[i]->address.data[0], to[i][0]);
        CHECK_INT(v->rcpt[i].state->index, i);
    }
    CHECK_INT(v->rcpt[0].state->status, SP__RCPT_STATUS__RCPT_BOUNCED);
    sp_view_free(v);
    sp_spool_close(s);
    tq_clean();
}

TEST("a hold that comes while the job is out stays when it is settled for a retry")
{
    struct sp_spool *s = tq_fresh();
    struct sp_sched *sched = sp_sched_new();
    uint64_t m = tq_put(s, "u", "u@x", bob), got;

    CHECK(sp_spool_lease(s, m + 1) != 0);
    CHECK_INT(tq_control(s, SP_CONTROL_HOLD, m, 0), 250);
    CHECK_INT(tq_settle(s, m + 1, 0, RETRY, NOW), 250);
    CHECK_INT(sp_spool_load(s, sched, &tq_err), 0);
    CHECK_INT(sp_sched_take(sched, NOW + 999 * HOUR, SP_SCHED_ANY, 1, &got), 0);
    CHECK_INT(tq_control(s, SP_CONTROL_RELEASE, m, 0), 250);
    CHECK(sp_spool_lease(s, m + 1) != 0);
    CHECK_INT(tq_settle(s, m + 1, 0, DELIVERED, NOW), 250);
    CHECK_INT(tq_messages(s), 0);
    sp_sched_free(sched);
    sp_spool_close(s);
    tq_clean();
}

TEST("what a commit says keeps the schedule right")
{
    struct sp_spool *s = tq_fresh();
    struct sp_sched *sched = sp_sched_new();
    struct sp_batch *b = sp_batch_new(s);
    struct sp_sched_counts c;
    struct tq_env e = {0};
    struct tq_out t = {0};
    struct sp_plan *p;
    uint64_t got[4], m;

    tq_env(&e, "u", "u@x");
    tq_to(&e, "a@one.example");
    tq_to(&e, "a@two.example");
    CHECK_INT(tq_add(b, &e, "x"), 0);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    for (size_t i = 0; i < sp_batch_result(b, 0)->nchange; i++)
        CHECK_INT(sp_change_apply(&sp_batch_result(b, 0)->change[i], sched), 0);
    m = sp_batch_result(b, 0)->message;
    sp_batch_reset(b);
    CHECK_INT(sp_sched_take(sched, NOW, SP_SCHED_ANY, 4, got), 2);
    tq_out(&t, got[0], sp_spool_lease(s, got[0]));
    tq_say(&t, 0, RETRY, 451, "later");
    p = plan(s, &t, NOW);
    CHECK_INT(sp_batch_settle(b, p, &tq_err), 0);
    CHECK_INT(sp_batch_control(b, SP_CONTROL_REMOVE, m, got[1], &tq_err), 1);
    CHECK_INT(sp_batch_control(b, SP_CONTROL_HOLD, m, got[0], &tq_err), 2);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(sp_change_apply(sp_batch_result(b, i)->change, sched), 0);
    sp_sched_count(sched, &c);
    CHECK(c.held == 1 && c.out + c.waiting + c.ready == 0);
    sp_plan_free(p);
    sp_batch_free(b);
    sp_sched_free(sched);
    sp_spool_close(s);
    tq_clean();
}

/* One message for two domains.  Its first job. */
static uint64_t two_ways(struct sp_spool *s, uint64_t *message)
{
    *message = tq_put(s, "u", "u@x",
                      (const char *const[]){"a@one.example", "a@two.example", NULL});
    return *message + 1;
}

TEST("what an administrator gives up is due at once, held or not, and its end is a "
     "failure")
{
    struct sp_spool *s = tq_fresh();
    struct tq_out t = {0};
    struct sp_job *j = NULL;
    struct sp_plan *p;
    uint64_t m, job = two_ways(s, &m);

    CHECK_INT(tq_settle(s, job, 0, RETRY, NOW), 250);
    CHECK_INT(tq_control(s, SP_CONTROL_HOLD, m, job), 250);
    CHECK_INT(tq_control(s, SP_CONTROL_EXPIRE, m, job), 250);
    sp_spool_close(s);
    s = tq_open(); /* it is durable */
    CHECK_INT(sp_spool_claim(s, job, &j, &tq_err), 0);
    CHECK(j->given_up && j->state->rcpt[0]->n_history == 1);
    tq_out(&t, job, j->lease);
    tq_say(&t, j->index[0], RETRY, 450, "later");
    sp_job_free(j);
    p = plan(s, &t, NOW + 1);
    CHECK(p->finished && p->nowed == 1 && p->owed[0].notice == SP_OWED_FAILURE);
    sp_plan_free(p);
    sp_spool_unlease(s, job);
    /* It was under way, and arrived. */
    CHECK_INT(tq_settle(s, job, 0, DELIVERED, NOW + 1), 250);
    CHECK_INT(tq_control(s, SP_CONTROL_EXPIRE, m, job), 554);
    CHECK_INT(sp_spool_claim(s, job + 1, &j, &tq_err), 0); /* the other way goes on */
    CHECK(!j->given_up);
    sp_job_free(j);
    sp_spool_close(s);
    tq_clean();
}

struct heard {
    int n, held;
    uint64_t due_ms;
};

static void hear(void *arg, const struct sp_change *c)
{
    struct heard *h = arg;

    h->n++;
    h->held += c->kind == SP_CHANGE_HELD;
    h->due_ms = c->due_ms;
}

TEST("a chosen route lasts over attempts and restarts, wakes what was tried, and frees "
     "nothing that is held")
{
    struct sp_spool *s = tq_fresh();
    struct sp_job *j = NULL;
    struct heard h = {0};
    Sp__QueueFilter f = SP__QUEUE_FILTER__INIT;
    uint64_t m, job = two_ways(s, &m);
    char name[SP_ROUTE_NAME_MAX + 2];

    f.domain = (char *)(uintptr_t) "one.example";
    CHECK_INT(sp_spool_reroute_all(s, "other", &f, NOW + 5, hear, &h, &tq_err), 1);
    CHECK(h.n == 1 && h.held == 0 && h.due_ms == NOW); /* as it was: not tried before */
    CHECK_INT(tq_settle(s, job, 0, RETRY, NOW), 250);
    sp_spool_close(s);
    s = tq_open();
    CHECK_INT(sp_spool_claim(s, job, &j, &tq_err), 0);
    CHECK_STR(j->route, "other");
    sp_job_free(j);
    sp_spool_unlease(s, job);
    CHECK_INT(sp_spool_claim(s, job + 1, &j, &tq_err), 0);
    CHECK(!j->route);
    sp_job_free(j);
    sp_spool_unlease(s, job + 1);
    CHECK_INT(sp_spool_reroute_all(s, "third", &f, NOW + 7, hear, &h, &tq_err), 1);
    CHECK(h.n == 2 && h.due_ms == NOW + 7);
    CHECK_INT(tq_control(s, SP_CONTROL_HOLD, m, job), 250);
    CHECK_INT(sp_spool_reroute_all(s, "", &f, NOW + 9, hear, &h, &tq_err), 1);
    CHECK(h.n == 3 && h.held == 1);
    CHECK_INT(sp_spool_claim(s, job, &j, &tq_err), -SP_ESTATE);
    CHECK_INT(tq_control(s, SP_CONTROL_RELEASE, m, job), 250);
    CHECK_INT(sp_spool_claim(s, job, &j, &tq_err), 0);
    CHECK(!j->route); /* back to what the rules say */
    sp_job_free(j);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK_INT(sp_spool_reroute_all(s, name, &f, NOW, NULL, NULL, &tq_err), -SP_EINPUT);
    sp_spool_close(s);
    tq_clean();
}

T_MAIN
