/* t_qstates.c - the queue's tables against what was written by hand, ids, the schedule. */
#include "alloc.h"
#include "tq.h"

#include <malloc.h>
#include <time.h>

/* ---- states ------------------------------------------------------------------------ */

TEST("what becomes of a recipient: the whole table, by hand")
{
    static const char *const want[] = {
        "delivered", "delivered", "delivered", "delivered", "queued",
        "queued",    "bounced",   "bounced",   "expanded",  "removed"};
    static const enum sp_owed_kind told[] = {
        SP_OWED_SUCCESS, SP_OWED_NONE,  SP_OWED_RELAYED, SP_OWED_TRACED,
        SP_OWED_NONE,    SP_OWED_DELAY, SP_OWED_FAILURE, SP_OWED_FAILURE,
        SP_OWED_NONE,    SP_OWED_NONE};

    CHECK_INT(SP_QEVS, 10);
    for (int ev = 0; ev < SP_QEVS; ev++) {
        const struct sp_rcpt_step *st =
            sp_rcpt_step(SP__RCPT_STATUS__RCPT_QUEUED, (enum sp_rcpt_event)ev);

        CHECK_STR(sp_rcpt_status_name(st->next), want[ev]);
        CHECK_INT(st->notice, told[ev]);
        for (int from = 1; from < 7;
             from++) /* closed is closed; 5 and 6 do not exist */
            CHECK(!sp_rcpt_step((Sp__RcptStatus)from, (enum sp_rcpt_event)ev));
    }
    CHECK(!sp_rcpt_step(SP__RCPT_STATUS__RCPT_QUEUED, SP_QEVS));
}

TEST("what becomes of a job: the whole table, by hand")
{
    /* claim, open, close, hold, release, retry now, remove, expire, reroute */
    static const char *const want[3] = {"qqdhqqdqq", "-hdhq-dqh", "---------"};

    CHECK_INT(SP_JEVS, 9);
    for (int from = 0; from < 3; from++)
        for (int ev = 0; ev < SP_JEVS; ev++) {
            int to = sp_job_step((enum sp_job_status)from, (enum sp_job_event)ev);

            CHECK_INT(to < 0 ? '-' : sp_job_status_name((enum sp_job_status)to)[0],
                      want[from][ev]);
        }
    CHECK_INT(sp_job_step((enum sp_job_status)3, SP_JEV_CLAIM), -SP_ESTATE);
    CHECK_INT(sp_job_step(SP_JOB_QUEUED, SP_JEVS), -SP_ESTATE);
}

TEST("who is told what: RFC 3461 4.1 and the null reverse-path")
{
    static const struct {
        enum sp_owed_kind kind;
        unsigned notify;
        enum sp_owed_kind sender, no_sender;
    } want[] = {
        {SP_OWED_NONE, 0, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_NONE, 14, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_SUCCESS, 0, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_SUCCESS, 1, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_SUCCESS, 2, SP_OWED_SUCCESS, SP_OWED_NONE},
        {SP_OWED_SUCCESS, 12, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_RELAYED, 0, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_RELAYED, 2, SP_OWED_RELAYED, SP_OWED_NONE},
        {SP_OWED_RELAYED, 12, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_TRACED, 0, SP_OWED_TRACED, SP_OWED_NONE},
        {SP_OWED_TRACED, 1, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_TRACED, 12, SP_OWED_TRACED, SP_OWED_NONE},
        {SP_OWED_DELAY, 0, SP_OWED_DELAY, SP_OWED_NONE},
        {SP_OWED_DELAY, 1, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_DELAY, 6, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_DELAY, 8, SP_OWED_DELAY, SP_OWED_NONE},
        {SP_OWED_FAILURE, 0, SP_OWED_FAILURE, SP_OWED_POSTMASTER},
        {SP_OWED_FAILURE, 1, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_FAILURE, 2, SP_OWED_NONE, SP_OWED_NONE},
        {SP_OWED_FAILURE, 4, SP_OWED_FAILURE, SP_OWED_POSTMASTER},
        {SP_OWED_FAILURE, 5, SP_OWED_NONE, SP_OWED_NONE},
    };

    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        CHECK_INT(sp_notice_owed(want[i].kind, want[i].notify, false), want[i].sender);
        CHECK_INT(sp_notice_owed(want[i].kind, want[i].notify, true),
                  want[i].no_sender);
    }
}

/* ---- queue ids ------------------------------------------------------------------------- */

TEST("a queue id is read back in any case and with O, I and L for 0 and 1")
{
    char id[SP_QID_MAX];
    uint64_t n;

    sp_qid_format(0x123456789abcdefull, id);
    CHECK_INT(strlen(id), 13);
    CHECK_INT(sp_qid_parse(sp_str(id), &n), 0);
    CHECK(n == 0x123456789abcdefull);
    CHECK_INT(sp_qid_parse(SP_LIT("0oiIlL00000az"), &n), 0);
    sp_qid_format(n, id);
    CHECK_STR(id, "00111100000AZ");
    CHECK_INT(sp_qid_parse(SP_LIT("000000000000"), &n), -SP_EINPUT);
    CHECK_INT(sp_qid_parse(SP_LIT("0000000000000"), &n), -SP_EINPUT);
    CHECK_INT(sp_qid_parse(SP_LIT("ZZZZZZZZZZZZZ"), &n), -SP_EINPUT);
    CHECK_INT(sp_qid_parse(SP_LIT("00000000000U0"), &n), -SP_EINPUT);
    CHECK_INT(sp_qid_parse((struct sp_str){"0000000\0"
                                           "00000",
                                           13},
                           &n),
              -SP_EINPUT);
}

TEST("numbers never repeat, also when the clock goes back")
{
    struct sp_qid_source s = {0};
    uint64_t before = 0;

    for (int i = 0; i < 20000; i++) {
        uint64_t now = NOW + (uint64_t)(i / 100) - (i > 10000 ? 86400000 : 0);
        uint64_t n = sp_qid_next(&s, now, 1 + (uint32_t)i % 7);

        CHECK(n > before);
        before = s.last;
        CHECK(before == n + (uint64_t)i % 7);
    }
    CHECK_INT(sp_qid_next(&s, NOW, 0), 0);
    s.last = INT64_MAX - 5;
    CHECK_INT(sp_qid_next(&s, NOW, 10), 0);
}

/* ---- when to retry ------------------------------------------------------------------------ */

TEST("pauses between attempts: 1m 2m 5m 15m 30m 1h 2h 4h 4h, up to a fifth longer")
{
    static const unsigned minutes[] = {1, 2, 5, 15, 30, 60, 120, 240, 240, 240};
    struct sp_retry r;
    uint64_t least = UINT64_MAX, most = 0;

    sp_retry_defaults(&r);
    CHECK_INT(r.lifetime_s, 432000);
    CHECK_INT(r.delay_warning_s, 14400);
    for (unsigned i = 0; i < 10; i++)
        for (uint64_t job = 1; job < 50; job++) {
            uint64_t p = sp_retry_pause(&r, i + 1, job), base = minutes[i] * 60000ull;

            CHECK(p >= base && p <= base + base / 5);
            CHECK(p == sp_retry_pause(&r, i + 1, job));
            if (i == 5) {
                least = p < least ? p : least;
                most = p > most ? p : most;
            }
        }
    CHECK(most - least > 5 * 60000); /* they spread */
    r.jitter_percent = 0;
    CHECK_INT(sp_retry_pause(&r, 3, 9), 300000);
    CHECK_INT(sp_retry_pause(&r, 0, 9), 60000);
}

/* ---- the schedule --------------------------------------------------------------------------- */

static void add(struct sp_sched *s, uint64_t job, uint64_t due, const char *user)
{
    CHECK_INT(
        sp_sched_add(s, job, job, due, false, SP_LIT("example.org"), sp_str(user)), 0);
}

TEST("due jobs leave oldest first, the others stay")
{
    struct sp_sched *s = sp_sched_new();
    uint64_t got[8], next;

    CHECK(!sp_sched_next(s, SP_SCHED_ANY, &next));
    add(s, 1, 500, "a");
    add(s, 2, 300, "a");
    add(s, 3, 400, "a");
    add(s, 4, 900, "a");
    CHECK(sp_sched_next(s, SP_SCHED_ANY, &next) && next == 300);
    CHECK_INT(sp_sched_take(s, 299, SP_SCHED_ANY, 8, got), 0);
    CHECK_INT(sp_sched_take(s, 500, SP_SCHED_ANY, 8, got), 3);
    CHECK(got[0] == 2 && got[1] == 3 && got[2] == 1);
    CHECK(sp_sched_next(s, SP_SCHED_ANY, &next) && next == 900);
    CHECK_INT(sp_sched_add(s, 4, 4, 1, false, SP_LIT("x"), SP_LIT("y")), -SP_EEXIST);
    sp_sched_free(s);
}

TEST("one user's thousand jobs do not stand in front of another's one")
{
    struct sp_sched *s = sp_sched_new();
    uint64_t got[4];

    for (uint64_t i = 1; i <= 1000; i++)
        add(s, i, i, "many");
    add(s, 2000, 5000, "one");
    add(s, 3000, 5001, "two");
    CHECK_INT(sp_sched_take(s, 6000, SP_SCHED_ANY, 4, got), 4);
    CHECK(got[0] == 1 && got[1] == 2000 && got[2] == 3000 && got[3] == 2);
    sp_sched_free(s);
}

TEST("a lane without room keeps its jobs, the others go on, each user in turn")
{
    struct sp_sched *s = sp_sched_new();
    struct sp_sched_counts c;
    uint64_t got[8], next;

    for (uint64_t i = 1; i <= 6; i++) {
        add(s, i, i, i % 2 ? "a" : "b");
        CHECK_INT(sp_sched_lane(s, i, i <= 4 ? 1 : 2), 0);
    }
    CHECK_INT(sp_sched_lane(s, 99, 1), -SP_ENOENT);
    CHECK_INT(sp_sched_take(s, 10, 1 << 0 | 1 << 3, 8, got), 0);
    CHECK_INT(sp_sched_take(s, 10, 1 << 2, 8, got), 2);
    CHECK(got[0] == 5 && got[1] == 6);
    CHECK(sp_sched_next(s, 1 << 1, &next) && next == 0);
    CHECK(!sp_sched_next(s, 1 << 2, &next));
    CHECK_INT(sp_sched_lane(s, 2, 3), 0); /* moved while it is ready */
    CHECK_INT(sp_sched_back(s, 5), 0);    /* its lane is kept */
    sp_sched_count(s, &c);
    CHECK(c.lane[1] == 3 && c.lane[2] == 0 && c.lane[3] == 1 && c.ready == 4);
    CHECK_INT(sp_sched_take(s, 10, SP_SCHED_ANY, 4, got), 4);
    CHECK(got[0] == 2 && got[1] == 1 && got[2] == 5 && got[3] == 4);
    CHECK_INT(sp_sched_take(s, 10, SP_SCHED_ANY, 4, got), 1);
    CHECK_INT(got[0], 3);
    sp_sched_free(s);
}

TEST("urgent mail goes first and low last, and neither stands still for the other")
{
    struct sp_sched *s = sp_sched_new();
    uint64_t got[40], next;
    size_t n, normal_at = 0, low_at = 0;

    for (uint64_t i = 1; i <= 30; i++) {
        add(s, i, i, "pushy");
        CHECK_INT(sp_sched_priority(s, i, 9), 0);
    }
    add(s, 100, 1, "b");
    add(s, 200, 1, "c");
    CHECK_INT(sp_sched_priority(s, 200, -1), 0);
    CHECK_INT(sp_sched_priority(s, 999, 1), -SP_ENOENT);
    CHECK(sp_sched_next(s, SP_SCHED_ANY, &next) && next == 1);
    n = sp_sched_take(s, 50, SP_SCHED_ANY, 40, got);
    CHECK_INT(n, 32);
    for (size_t i = 0; i < n; i++) {
        normal_at = got[i] == 100 ? i : normal_at;
        low_at = got[i] == 200 ? i : low_at;
    }
    CHECK_INT(normal_at, SP_SCHED_SHARE); /* behind so many urgent ones, no more */
    CHECK(low_at > normal_at && low_at <= 2 * SP_SCHED_SHARE);
    sp_sched_free(s);
    s = sp_sched_new();
    add(s, 1, 1, "a");
    add(s, 2, 2, "a");
    add(s, 3, 3, "a");
    CHECK_INT(sp_sched_take(s, 9, SP_SCHED_ANY, 1, got), 1); /* now 2 and 3 are ready */
    CHECK_INT(sp_sched_priority(s, 3, 1), 0);
    CHECK_INT(sp_sched_priority(s, 2, -9), 0);
    CHECK_INT(sp_sched_back(s, 1), 0);
    CHECK_INT(sp_sched_take(s, 9, SP_SCHED_ANY, 3, got), 3);
    CHECK(got[0] == 3 && got[1] == 1 && got[2] == 2);
    sp_sched_free(s);
}

TEST("a hold on a job that is out counts when it comes back")
{
    struct sp_sched *s = sp_sched_new();
    struct sp_sched_job j;
    uint64_t got[2];

    add(s, 1, 10, "a");
    CHECK_INT(sp_sched_take(s, 10, SP_SCHED_ANY, 2, got), 1);
    CHECK_INT(sp_sched_dest(s, SP_LIT("example.org"))->out, 1);
    CHECK_INT(sp_sched_hold(s, 1), 0);
    CHECK_INT(sp_sched_get(s, 1, &j), 0);
    CHECK_INT(j.state, SP_SCHED_OUT);
    CHECK_INT(sp_sched_retry(s, 1, 20), 0);
    CHECK_INT(sp_sched_take(s, 100, SP_SCHED_ANY, 2, got), 0);
    CHECK_INT(sp_sched_release(s, 1, 50), 0);
    CHECK_INT(sp_sched_take(s, 49, SP_SCHED_ANY, 2, got), 0);
    CHECK_INT(sp_sched_take(s, 50, SP_SCHED_ANY, 2, got), 1);
    CHECK_INT(sp_sched_back(s, 1), 0); /* the role died: due as before */
    CHECK_INT(sp_sched_back(s, 1), -SP_ESTATE);
    CHECK_INT(sp_sched_take_one(s, 1), 0);
    CHECK_INT(sp_sched_take_one(s, 1), -SP_ESTATE);
    CHECK_INT(sp_sched_done(s, 1), 0);
    CHECK_INT(sp_sched_done(s, 1), -SP_ENOENT);
    CHECK(!sp_sched_dest(s, SP_LIT("example.org")));
    sp_sched_free(s);
}

/* What the schedule should know, in the plainest form. */
struct model {
    uint64_t due;
    int state; /* -1 unknown to it */
    bool hold;
    unsigned lane, gate;
};
enum { MODEL = 300 };
static unsigned gates_open = 1;

static bool model_gate(void *arg, uint32_t gate)
{
    (void)arg;
    return gates_open & 1U << gate;
}

static void other_gates(struct sp_sched *s, struct model *m, unsigned long r)
{
    uint64_t job = 1 + r % MODEL;

    if (r & 1) {
        CHECK_INT(sp_sched_gate(s, job, r / MODEL % 4),
                  m[job].state < 0 ? -SP_ENOENT : 0);
        m[job].gate = m[job].state < 0 ? 0 : r / MODEL % 4;
        return;
    }
    gates_open = 1 | r / MODEL % 16;
    for (uint32_t g = 1; g < 4; g++)
        if (gates_open & 1U << g)
            CHECK_INT(sp_sched_unpark(s, g, MODEL), 0);
    if (r / MODEL / 16 % 50 == 0) {
        sp_sched_open_all(s);
        for (int i = 1; i <= MODEL; i++)
            m[i].gate = 0;
    }
}

static void step(struct sp_sched *s, struct model *m, unsigned long r, uint64_t *now)
{
    static const char *const users[] = {"a", "b", "c", "d", "e"};
    uint64_t job = 1 + r % MODEL, due = *now + r / MODEL % 50, got[8];
    struct model *j = &m[job];
    unsigned lanes;
    size_t n;

    switch (r / 100000 % 11) {
    case 0:
    case 1:
        CHECK_INT(sp_sched_add(s, job, job, due, r & 1, sp_str(users[r % 3]),
                               sp_str(users[job % 5])),
                  j->state < 0 ? 0 : -SP_EEXIST);
        if (j->state < 0)
            *j = (struct model){.due = due,
                                .state = r & 1 ? SP_SCHED_HELD : SP_SCHED_WAITING};
        return;
    case 2:
        CHECK_INT(sp_sched_done(s, job), j->state < 0 ? -SP_ENOENT : 0);
        j->state = -1;
        return;
    case 3:
        CHECK_INT(sp_sched_hold(s, job), j->state < 0 ? -SP_ENOENT : 0);
        if (j->state == SP_SCHED_OUT)
            j->hold = true;
        else if (j->state >= 0)
            j->state = SP_SCHED_HELD;
        return;
    case 4:
        CHECK_INT(sp_sched_release(s, job, due), j->state < 0 ? -SP_ENOENT : 0);
        j->hold = false;
        if (j->state >= 0 && j->state != SP_SCHED_OUT)
            *j = (struct model){due, SP_SCHED_WAITING, false, j->lane, j->gate};
        return;
    case 5:
        CHECK_INT(sp_sched_retry(s, job, due), j->state < 0 ? -SP_ENOENT : 0);
        if (j->state >= 0)
            *j = (struct model){due,
                                j->hold || j->state == SP_SCHED_HELD ? SP_SCHED_HELD
                                                                     : SP_SCHED_WAITING,
                                false, j->lane, j->gate};
        return;
    case 6:
        CHECK_INT(sp_sched_lane(s, job, due % SP_SCHED_LANES),
                  j->state < 0 ? -SP_ENOENT : 0);
        if (j->state >= 0)
            j->lane = due % SP_SCHED_LANES;
        return;
    case 7:
        other_gates(s, m, r);
        return;
    default:
        *now += r % 7;
        lanes = r / 7 % (SP_SCHED_ANY + 1);
        n = sp_sched_take(s, *now, lanes, r % 8, got);
        for (size_t i = 0; i < n; i++) {
            CHECK(m[got[i]].state == SP_SCHED_WAITING && m[got[i]].due <= *now);
            CHECK(lanes & 1U << m[got[i]].lane);
            CHECK(gates_open & 1U << m[got[i]].gate);
            m[got[i]].state = SP_SCHED_OUT;
        }
        if (n < r % 8) /* then nothing due was left behind */
            for (int i = 1; i <= MODEL; i++)
                CHECK(m[i].state != SP_SCHED_WAITING || m[i].due > *now ||
                      !(lanes & 1U << m[i].lane) || !(gates_open & 1U << m[i].gate));
    }
}

TEST("the schedule agrees with a plain model over random operations")
{
    struct sp_sched *s = sp_sched_new();
    struct sp_sched_counts c;
    struct model m[MODEL + 1];
    uint64_t now = 1000;
    size_t out = 0, held = 0, all = 0;

    srandom(7);
    for (int i = 0; i <= MODEL; i++)
        m[i] = (struct model){.state = -1};
    sp_sched_gates(s, model_gate, NULL);
    for (int i = 0; i < 90000; i++)
        step(s, m, (unsigned long)random(), &now);
    for (int i = 1; i <= MODEL; i++) {
        out += m[i].state == SP_SCHED_OUT;
        held += m[i].state == SP_SCHED_HELD;
        all += m[i].state >= 0;
    }
    sp_sched_count(s, &c);
    CHECK_INT(c.out, out);
    CHECK_INT(c.held, held);
    CHECK_INT(c.waiting + c.ready + c.out + c.held, all);
    for (uint64_t i = 1; i <= MODEL; i++)
        (void)sp_sched_done(s, i);
    sp_sched_count(s, &c);
    CHECK_INT(c.users + c.dests + c.waiting + c.ready + c.out + c.held + c.parked, 0);
    CHECK_INT(sp_sched_shut(s, NULL, 0), 0);
    sp_sched_free(s);
}

/* ---- gates ---- */

static unsigned room[4];

static bool has_room(void *arg, uint32_t gate)
{
    (void)arg;
    return room[gate] > 0;
}

static void gated(struct sp_sched *s, uint64_t job, const char *user, uint32_t gate)
{
    add(s, job, job, user);
    CHECK_INT(sp_sched_gate(s, job, gate), 0);
}

TEST("who waits at a shut gate stands in nobody's way, not even his user's")
{
    struct sp_sched *s = sp_sched_new();
    struct sp_sched_counts c;
    struct sp_sched_job j;
    uint64_t got[8], next;
    uint32_t shut[4];

    room[1] = 0;
    room[2] = 1;
    sp_sched_gates(s, has_room, NULL);
    for (uint64_t i = 1; i <= 1000; i++)
        gated(s, i, "big", 1);
    gated(s, 2001, "big", 2);
    gated(s, 2002, "big", 0);
    gated(s, 2003, "small", 2);
    CHECK_INT(sp_sched_take(s, 5000, SP_SCHED_ANY, 8, got), 3);
    CHECK(got[0] == 2001 && got[1] == 2003 && got[2] == 2002);
    sp_sched_count(s, &c);
    CHECK_INT(c.parked, 1000);
    CHECK_INT(c.ready, 1000);
    CHECK_INT(c.lane[0], 0);
    CHECK(!sp_sched_next(s, SP_SCHED_ANY, &next)); /* no timer would help */
    CHECK_INT(sp_sched_shut(s, shut, 4), 1);
    CHECK_INT(shut[0], 1);
    CHECK(sp_sched_get(s, 7, &j) == 0 && j.parked && j.gate == 1);
    CHECK_INT(sp_sched_hold(s, 7), 0); /* and it is not stuck there */
    CHECK_INT(sp_sched_done(s, 8), 0);
    CHECK_INT(sp_sched_retry(s, 9, 9000), 0);
    CHECK_INT(sp_sched_take_one(s, 10), 0);
    sp_sched_open_all(s);
    sp_sched_count(s, &c);
    CHECK_INT(c.parked, 0);
    CHECK_INT(sp_sched_take(s, 5000, SP_SCHED_ANY, 2, got), 2);
    CHECK(got[0] != got[1]);
    sp_sched_free(s);
}

TEST("at a gate users take turns, urgent mail goes first, and newcomers stand behind "
     "those who wait")
{
    struct sp_sched *s = sp_sched_new();
    uint64_t got[8];

    room[1] = 0;
    sp_sched_gates(s, has_room, NULL);
    for (uint64_t i = 1; i <= 500; i++)
        gated(s, i, "big", 1);
    CHECK_INT(sp_sched_take(s, 1000, SP_SCHED_ANY, 8, got), 0);
    gated(s, 501, "small", 1);
    CHECK_INT(sp_sched_take(s, 1000, SP_SCHED_ANY, 8, got), 0);
    room[1] = 9;
    gated(s, 502, "late", 1);
    CHECK_INT(sp_sched_take(s, 1000, SP_SCHED_ANY, 8, got), 0); /* it is not his turn */
    CHECK_INT(sp_sched_unpark(s, 1, 3), 499);
    CHECK_INT(sp_sched_take(s, 1000, SP_SCHED_ANY, 8, got), 3);
    CHECK(got[0] + got[1] + got[2] == 1 + 501 + 502);
    CHECK_INT(sp_sched_priority(s, 400, 1), 0);
    room[1] = 0;
    CHECK_INT(sp_sched_take(s, 1000, SP_SCHED_ANY, 8, got), 0);
    room[1] = 1;
    CHECK_INT(sp_sched_unpark(s, 1, 1), 498);
    CHECK_INT(sp_sched_take(s, 1000, SP_SCHED_ANY, 8, got), 1);
    CHECK_INT(got[0], 400);
    CHECK_INT(sp_sched_unpark(s, 1, 1), 497);
    room[1] = 0; /* it was full again before his turn came: he keeps his place */
    CHECK_INT(sp_sched_take(s, 1000, SP_SCHED_ANY, 8, got), 0);
    room[1] = 1;
    CHECK_INT(sp_sched_unpark(s, 1, 1), 497);
    CHECK_INT(sp_sched_take(s, 1000, SP_SCHED_ANY, 1, got), 1);
    CHECK_INT(got[0], 2);
    sp_sched_free(s);
}

static bool is_even(void *arg, const struct sp_sched_job *j)
{
    (void)arg;
    return j->job % 2 == 0;
}

TEST("waking makes due what waits, and nothing else")
{
    struct sp_sched *s = sp_sched_new();
    uint64_t got[8];

    for (uint64_t i = 1; i <= 6; i++)
        add(s, i, 100 * i, "a");
    CHECK_INT(sp_sched_hold(s, 6), 0);
    CHECK_INT(sp_sched_wake(s, 50, is_even, NULL), 2);
    CHECK_INT(sp_sched_take(s, 50, SP_SCHED_ANY, 8, got), 2);
    CHECK(got[0] + got[1] == 6);
    CHECK_INT(sp_sched_wake(s, 50, is_even, NULL), 0);
    sp_sched_free(s);
}

/* What makes taking one cost more than a few hundred instructions would be felt here. */
TEST("a turn costs the same with 100,000 jobs, of one user, of many, at many gates")
{
    enum { JOBS = 100000 };
    static const unsigned users[] = {1, 1000, JOBS};

    room[1] = room[2] = room[3] = 0;
    for (unsigned k = 0; k < 3; k++) {
        struct sp_sched *s = sp_sched_new();
        struct timespec a, b;
        uint64_t got[1];
        double us;
        char user[20];

        sp_sched_gates(s, has_room, NULL);
        for (uint64_t i = 1; i <= JOBS; i++) {
            snprintf(user, sizeof user, "u%u", (unsigned)(i % users[k]));
            gated(s, i, user, i % 4);
        }
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        for (unsigned i = 0; i < JOBS / 4; i++)
            CHECK_INT(sp_sched_take(s, JOBS, SP_SCHED_ANY, 1, got), 1);
        for (unsigned g = 1; g < 4; g++) {
            room[g] = JOBS;
            while (sp_sched_unpark(s, g, 1))
                CHECK_INT(sp_sched_take(s, JOBS, SP_SCHED_ANY, 1, got), 1);
            room[g] = 0;
        }
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        us = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) /
             1e3 / JOBS;
        printf("# %u users: %.2f us a job\n", users[k], us);
        CHECK(us < 50); /* generous: sanitizers, a busy machine */
        sp_sched_free(s);
    }
}

TEST("each allocation of the schedule may fail")
{
    for (long n = 0; n < 40; n++) {
        struct sp_sched *s;

        sp_alloc_fail_at(n, 0);
        s = sp_sched_new();
        for (uint64_t i = 1; s && i < 400; i++)
            if (sp_sched_add(s, i, i, i, false, SP_LIT("d"), SP_LIT("u")) < 0)
                CHECK_INT(sp_sched_add(s, i, i, i, false, SP_LIT("d"), SP_LIT("u")), 0);
        room[1] = 0;
        for (uint64_t i = 1; s && i < 9; i++)
            (void)sp_sched_gate(s, i, 1);
        if (s) {
            uint64_t got[8];

            sp_sched_gates(s, has_room, NULL);
            (void)sp_sched_take(s, 8, SP_SCHED_ANY, 8,
                                got); /* not parked at the worst */
        }
        sp_alloc_fail_at(-1, 0);
        sp_sched_free(s);
    }
}

T_MAIN
