/*
 * t_qkill.c - SIGKILL at any moment: what was acknowledged is there, whole.
 *
 * A child commits numbered messages, small and large, settles some of them, and writes a
 * record to a pipe behind each commit that said 250: that is the ledger.  The parent kills it at a random
 * moment, opens the spool and compares.  Then a control: a child that acknowledges before
 * the commit must be caught by the same comparison.
 *
 *     t_qkill [rounds [seed]]      44 rounds, seed 1
 */
#include "tq.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <time.h>

struct record {
    uint64_t message;
    uint32_t number; /* which message; its octets follow from it */
    uint32_t kind;   /* 0 accepted, 1 delivered */
};

static struct record ledger[400000];
static size_t nledger;
static int sabotage; /* acknowledge before the commit */

static size_t size_of(uint32_t number)
{
    return number % 13 == 5 ? 70000 + number % 1000 : 1 + number * 37u % 9000;
}

static void fill(char *p, uint32_t number, size_t n)
{
    uint32_t x = number * 2654435761u + 1;

    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        p[i] = (char)(x >> 9);
    }
}

static void say(int fd, uint64_t message, uint32_t number, uint32_t kind)
{
    struct record r = {message, number, kind};

    if (write(fd, &r, sizeof r) != sizeof r)
        _exit(3);
}

/* ---- the child -------------------------------------------------------------------- */

enum { GROUP = 12 };
static char contents[GROUP][9001], large[80000];

static void add_one(struct sp_spool *s, struct sp_batch *b, uint32_t number, int slot)
{
    static const char *const users[] = {"ann", "ben"};
    struct tq_env t = {0};
    struct sp_submission m = {.env = &t.e, .prefix = SP_LIT("Received: x\r\n")};
    size_t n = size_of(number);

    tq_env(&t, users[number & 1], "u@x");
    tq_to(&t, "a@one.example");
    if (number % 3 == 0)
        tq_to(&t, "b@two.example");
    t.e.content_size = n;
    t.e.size_declared = number;
    if (n > 9000) {
        fill(large, number, n);
        if (sp_spare_new(s, NOW, &m.spare, &tq_err) < 0 ||
            write(sp_spare_fd(m.spare), large, n) != (ssize_t)n ||
            sp_spare_prepare(m.spare, n, &tq_err) < 0)
            _exit(4);
    } else {
        fill(contents[slot], number, n);
        m.content = (struct sp_str){contents[slot], n};
    }
    if (sp_batch_submit(b, &m, NOW, &tq_err) < 0)
        _exit(5);
}

/* Delivers the first job of a message of the group before. */
static struct sp_plan *settle(struct sp_spool *s, struct sp_batch *b, uint64_t message)
{
    struct tq_out t = {0};
    struct sp_plan *p;

    tq_out(&t, message + 1, sp_spool_lease(s, message + 1));
    tq_say(&t, 0, DELIVERED, 250, "ok");
    if (sp_spool_plan(s, &t.o, NOW, &p, &tq_err) < 0 ||
        sp_batch_settle(b, p, &tq_err) < 0)
        _exit(6);
    return p;
}

static void child(int fd, uint32_t number)
{
    struct sp_spool_options o = tq_options();
    struct sp_spool *s = NULL;
    uint64_t before = 0;
    uint32_t before_number = 0;
    struct sp_batch *b;

    o.no_thread = false;
    if (sp_spool_open(tq_dir, &o, NOW, &s, &tq_err) < 0) {
        printf("child: %s\n", tq_err.text);
        fflush(stdout);
        _exit(2);
    }
    b = sp_batch_new(s);
    for (;;) {
        struct sp_plan *p = NULL;
        int n = 1 + (int)(number % GROUP);

        for (int i = 0; i < n; i++)
            add_one(s, b, number + (uint32_t)i, i);
        if (before)
            p = settle(s, b, before);
        if (sabotage) /* nothing knows the number of the row yet */
            for (int i = 0; i < n; i++)
                say(fd, 0, number + (uint32_t)i, 0);
        if (sabotage && number > 20)
            pause(); /* the gap between a 250 and its commit, as wide as the test needs */
        if (sp_spool_commit(s, b, NOW, &tq_err) < 0)
            _exit(7);
        for (int i = 0; i < n; i++)
            if (sp_batch_result(b, i)->code == 250 && !sabotage)
                say(fd, sp_batch_result(b, i)->message, number + (uint32_t)i, 0);
        if (p)
            say(fd, before, before_number, 1);
        before = number % 2 ? sp_batch_result(b, 0)->message : 0;
        before_number = number;
        number += (uint32_t)n;
        sp_plan_free(p);
        sp_batch_reset(b);
    }
}

/* ---- the parent --------------------------------------------------------------------- */

static void drain(int fd)
{
    ssize_t n;

    while (nledger < sizeof ledger / sizeof *ledger &&
           (n = read(fd, &ledger[nledger], sizeof *ledger)) > 0) {
        if (n != sizeof *ledger) /* a write of 16 octets to a pipe is never split */
            abort();
        nledger++;
    }
}

/* Kills the child `us` after its start, or after its first record: on a busy machine the
 * start alone may take longer than any time one would choose. */
static void run_and_kill(uint32_t first, bool after_record, long us)
{
    struct pollfd ready = {.events = POLLIN};
    int fd[2], status;
    pid_t pid;

    if (pipe2(fd, O_CLOEXEC) < 0)
        abort();
    (void)fcntl(fd[1], F_SETPIPE_SZ, 1 << 20);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        close(fd[0]);
        child(fd[1], first);
    }
    close(fd[1]);
    ready.fd = fd[0];
    if (after_record)
        (void)poll(&ready, 1, 20000);
    usleep((useconds_t)us);
    kill(pid, SIGKILL);
    drain(fd[0]);
    close(fd[0]);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)) {
        printf("the child ended by itself: %x\n", status);
        exit(1);
    }
}

/* Reads one job back and compares every octet with what its number says. */
static int whole(struct sp_spool *s, uint64_t job, uint32_t *ret_number)
{
    static char want[80000], got[80000];
    struct sp_job *j = NULL;
    int good;
    size_t n;

    if (sp_spool_claim(s, job, &j, &tq_err) < 0) {
        printf("claim: %s\n", tq_err.text);
        return 0;
    }
    *ret_number = (uint32_t)j->env->size_declared;
    n = size_of(*ret_number);
    fill(want, *ret_number, n);
    if (j->fd >= 0)
        good = j->env->content_size == n && pread(j->fd, got, n, 0) == (ssize_t)n &&
               memcmp(got, want, n) == 0;
    else
        good = j->content.n == n && memcmp(j->content.p, want, n) == 0;
    good &= sp_str_is(j->prefix, "Received: x\r\n");
    sp_job_free(j);
    sp_spool_unlease(s, job);
    return good;
}

struct ids {
    uint64_t id[200000];
    size_t n;
};

static int note(void *arg, uint64_t job, uint64_t message, uint64_t due, bool held,
                struct sp_str domain, struct sp_str user, int priority)
{
    struct ids *v = arg;

    (void)message, (void)due, (void)held, (void)user, (void)priority;
    if (sp_str_is(domain, "one.example"))
        v->id[v->n++] = job;
    return 0;
}

static struct ids jobs;
static unsigned char live[4000000]; /* by number: its first job is open */

/* Reads every open job of the spool; nothing may be half or twice. */
static void read_all(struct sp_spool *s)
{
    jobs.n = 0;
    memset(live, 0, sizeof live);
    CHECK_INT(sp_spool_jobs(s, note, &jobs, &tq_err), 0);
    for (size_t i = 0; i < jobs.n; i++) {
        uint32_t number = 0;

        CHECK(whole(s, jobs.id[i], &number));
        CHECK_INT(live[number], 0);
        live[number] = 1;
    }
}

/* Every body file has its row and every row its file. */
static void check_files(void)
{
    sqlite3_stmt *st = NULL;
    char path[100];
    sqlite3 *h;

    snprintf(path, sizeof path, "%s/spool.db", tq_dir);
    CHECK_INT(sqlite3_open(path, &h), SQLITE_OK);
    sqlite3_prepare_v2(h, "SELECT count(*) FROM message WHERE file IS NOT NULL", -1,
                       &st, NULL);
    CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    CHECK_INT(sqlite3_column_int(st, 0), tq_files("bodies"));
    sqlite3_finalize(st);
    sqlite3_close(h);
}

/* Opens the spool as the next server would.  Returns how many acknowledged messages are
 * lost; everything else that is wrong fails a check. */
static int compare(void)
{
    struct sp_spool *s = tq_open();
    int lost = 0;

    CHECK(s != NULL);
    if (!s)
        return -1;
    CHECK_INT(sp_spool_verify(s, &tq_err), 0);
    read_all(s);
    for (size_t i = 0; i < nledger; i++) {
        const struct record *r = &ledger[i];
        struct sp_view *view;

        if (r->kind == 1) {
            CHECK_INT(live[r->number], 0); /* delivered and stored: never again */
        } else if (!live[r->number]) {
            /* Gone is right only when it was delivered, whether we heard that or not. */
            if (!r->message || sp_spool_find(s, r->message, &view, &tq_err) < 0) {
                lost++;
                continue;
            }
            CHECK_INT(view->rcpt[0].state->status, SP__RCPT_STATUS__RCPT_DELIVERED);
            sp_view_free(view);
        }
    }
    sp_spool_close(s);
    check_files();
    return lost;
}

static int rounds = 44;
static unsigned seed = 1;

TEST("what was acknowledged survives kill -9 at any moment, whole and once")
{
    uint32_t first = 1;
    size_t rounds_with = 0, records = 0;
    int lost = 0;

    tq_new_dir();
    sp_spool_close(tq_open());
    srandom(seed);
    nledger = 0;
    for (int i = 0; i < rounds; i++) {
        size_t before = nledger;

        if (i % 11 == 10) { /* from time to time a new spool: killed while it is made */
            tq_new_dir();
            nledger = before = 0;
            first = 1;
            run_and_kill(first, false, random() % 15000);
        } else {
            run_and_kill(first, i % 5 != 0, random() % 40000);
        }
        rounds_with += nledger > before;
        records += nledger - before;
        for (size_t k = before; k < nledger; k++)
            if (ledger[k].number >= first)
                first = ledger[k].number + 1;
        first += 100; /* numbers of unacknowledged ones are not used again */
        if (i % 4 == 3 || i == rounds - 1)
            lost += compare();
    }
    CHECK_INT(lost, 0);
    CHECK(rounds_with * 2 > (size_t)rounds);
    printf("  %d kills, %zu records in the ledger, %d lost\n", rounds, records, lost);
    tq_clean();
}

TEST("control: an acknowledgement before the commit is caught as lost mail")
{
    int lost = 0;

    sabotage = 1;
    for (int i = 0; i < 40 && lost == 0; i++) {
        struct sp_spool *s;

        tq_new_dir();
        sp_spool_close(tq_open());
        nledger = 0;
        run_and_kill(1, true, 20000 * (i + 1)); /* until it has come to the gap */
        s = tq_open();
        read_all(s);
        /* The newest group only: earlier ones may have been delivered. */
        if (nledger && ledger[nledger - 1].kind == 0)
            lost += !live[ledger[nledger - 1].number];
        sp_spool_close(s);
    }
    sabotage = 0;
    CHECK(lost > 0);
    tq_clean();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (int)strtol(argv[1], NULL, 10);
    if (argc > 2)
        seed = (unsigned)strtoul(argv[2], NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    return t_main(1, argv);
}
