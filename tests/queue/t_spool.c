/* t_spool.c - the spool: open, submit, claim, look, control. */
#include "qint.h"
#include "tq.h"

#include <sys/wait.h>

static const char *const bob[] = {"bob@example.org", NULL};
static const char *const three[] = {"a@one.example", "b@two.example", "c@one.example",
                                    NULL};

TEST("a committed message is claimed with exactly what was submitted")
{
    static const char *const to[] = {"bob@Example.ORG", "eve@example.net",
                                     "al@EXAMPLE.org", NULL};
    struct sp_spool *s = tq_fresh();
    struct sp_job *j = NULL;
    uint64_t m = tq_put(s, "alice", "alice@example.com", to);

    CHECK(m != 0);
    sp_spool_close(s);
    s = tq_open();
    CHECK_INT(sp_spool_claim(s, m + 2, &j, &tq_err), 0);
    CHECK(sp_str_is(j->domain, "example.org"));
    CHECK(sp_str_is(j->user, "alice"));
    CHECK_INT(j->env->n_rcpt, 2);
    CHECK_INT(j->index[0], 0);
    CHECK_INT(j->index[1], 2);
    CHECK(memcmp(j->env->rcpt[1]->address.data, "al@EXAMPLE.org", 14) == 0);
    CHECK(sp_str_is(j->prefix, "Received: here\r\n"));
    CHECK(sp_str_is(j->content, "Subject: x\r\n\r\nbody\r\n"));
    CHECK_INT(j->fd, -1);
    CHECK_INT(j->attempt, 1);
    CHECK_STR(j->env->identity->user, "alice");
    sp_job_free(j);
    sp_spool_close(s);
    tq_clean();
}

TEST("a submission dropped before the commit is 451 and not stored; its neighbours are")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    struct sp_spool_counts n = {0};
    struct tq_env t = {0};
    int i[3];

    tq_env(&t, "alice", "alice@example.com");
    tq_to(&t, "bob@example.org");
    for (int k = 0; k < 3; k++)
        i[k] = tq_add(b, &t, "Subject: x\r\n\r\nbody\r\n");
    sp_batch_drop(b, i[1]);
    sp_batch_drop(b, 77); /* nobody */
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    CHECK_INT(sp_batch_result(b, i[0])->code, 250);
    CHECK_INT(sp_batch_result(b, i[1])->code, 451);
    CHECK_STR(sp_batch_result(b, i[1])->enhanced, "4.3.0");
    CHECK_INT(sp_batch_result(b, i[1])->nchange, 0);
    CHECK_INT(sp_batch_result(b, i[2])->code, 250);
    sp_batch_free(b);
    CHECK_INT(sp_spool_count(s, &n, &tq_err), 0);
    CHECK_INT(n.messages, 2);
    sp_spool_close(s);
    tq_clean();
}

TEST("the settings are the measured ones")
{
    static const char *const want[][2] = {
        {"page_size", "8192"},      {"journal_mode", "wal"},
        {"synchronous", "2"},       {"secure_delete", "0"},
        {"auto_vacuum", "0"},       {"cache_size", "-40960"},
        {"locking_mode", "normal"}, {"wal_autocheckpoint", "0"},
        {"user_version", "2"},
    };
    struct sp_spool *s = tq_fresh();

    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char sql[64];
        sqlite3_stmt *st;

        snprintf(sql, sizeof sql, "PRAGMA %s", want[i][0]);
        sqlite3_prepare_v2(s->db.h, sql, -1, &st, NULL);
        CHECK_INT(sqlite3_step(st), SQLITE_ROW);
        CHECK_STR((const char *)sqlite3_column_text(st, 0), want[i][1]);
        sqlite3_finalize(st);
    }
    sp_spool_close(s);
    tq_clean();
}

/* ---- opening ------------------------------------------------------------------------- */

TEST("a second opener is told which process holds the spool, and may still read")
{
    struct sp_spool_options o = tq_options();
    struct sp_spool *s = tq_fresh(), *other = NULL;
    uint64_t m = tq_put(s, "u", "u@x", bob);
    struct sp_view *v = NULL;
    char want[160];

    CHECK_INT(sp_spool_open(tq_dir, &o, NOW, &other, &tq_err), -SP_EAGAIN);
    snprintf(want, sizeof want, "the data directory %s is in use by process %ld",
             tq_dir, (long)getpid());
    CHECK_STR(tq_err.text, want);
    o.read_only = true;
    CHECK_INT(sp_spool_open(tq_dir, &o, NOW, &other, &tq_err), 0);
    CHECK_INT(sp_spool_find(other, m, &v, &tq_err), 0);
    CHECK_INT(v->nrcpt, 1);
    sp_view_free(v);
    CHECK(tq_control(other, SP_CONTROL_HOLD, m, 0) < 0);
    sp_spool_close(other);
    sp_spool_close(s);
    s = tq_open(); /* the lock went with the close */
    CHECK(s != NULL);
    sp_spool_close(s);
    tq_clean();
}

static int open_error(const char *want)
{
    struct sp_spool_options o = tq_options();
    struct sp_spool *s = NULL;
    int rc = sp_spool_open(tq_dir, &o, NOW, &s, &tq_err);

    if (rc == 0)
        sp_spool_close(s);
    CHECK(rc == 0 || strstr(tq_err.text, want));
    if (rc < 0 && !strstr(tq_err.text, want))
        printf("  it says: %s\n", tq_err.text);
    return rc;
}

static void sql_on_file(const char *sql)
{
    char path[100];
    sqlite3 *h;

    snprintf(path, sizeof path, "%s/spool.db", tq_dir);
    CHECK_INT(sqlite3_open(path, &h), SQLITE_OK);
    CHECK_INT(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

static void write_file(const char *name, off_t at, const char *data, size_t n,
                       off_t cut)
{
    char path[100];
    int fd;

    snprintf(path, sizeof path, "%s/%s", tq_dir, name);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    CHECK(pwrite(fd, data, n, at) == (ssize_t)n);
    if (cut >= 0)
        CHECK_INT(ftruncate(fd, cut), 0);
    close(fd);
}

TEST("a newer spool is refused, in words")
{
    sp_spool_close(tq_fresh());
    sql_on_file("PRAGMA user_version=3");
    CHECK_INT(open_error("the spool has version 3, this program knows up to 2"),
              -SP_EVERSION);
    sql_on_file("PRAGMA user_version=2");
    CHECK_INT(open_error(""), 0);
    tq_clean();
}

TEST("a spool of version 1 is opened, its jobs have priority 0, new ones their own")
{
    static const char *const bob_only[] = {"bob@example.org", NULL};
    struct sp_spool *s = tq_fresh();
    struct sp_sched *sched = sp_sched_new();
    uint64_t old = tq_put(s, "u", "u@x", bob_only), urgent;
    struct sp_sched_job j;
    struct sp_batch *b;
    struct tq_env t = {0};

    sp_spool_close(s);
    sql_on_file("ALTER TABLE job DROP COLUMN priority; DROP INDEX submission_message; PRAGMA user_version=1");
    s = tq_open();
    b = sp_batch_new(s);
    tq_env(&t, "u", "u@x");
    tq_to(&t, "bob@example.org");
    t.e.priority = 4;
    CHECK_INT(tq_add(b, &t, "Subject: x\r\n\r\nbody\r\n"), 0);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    urgent = sp_batch_result(b, 0)->message;
    CHECK_INT(sp_batch_result(b, 0)->change->priority, 4);
    sp_batch_free(b);
    sp_spool_close(s);
    s = tq_open(); /* behind a restart, too */
    CHECK_INT(sp_spool_load(s, sched, &tq_err), 0);
    CHECK_INT(sp_sched_get(sched, old + 1, &j), 0);
    CHECK_INT(j.priority, 0);
    CHECK_INT(sp_sched_get(sched, urgent + 1, &j), 0);
    CHECK_INT(j.priority, 1);
    sp_sched_free(sched);
    sp_spool_close(s);
    tq_clean();
}

TEST("an older spool is migrated step by step, or not at all")
{
    static const struct sp_qdb_migration steps[] = {
        {2,
         "ALTER TABLE message ADD COLUMN two; UPDATE meta SET value=22 WHERE name='x'"},
        {1, "INSERT INTO meta VALUES('x',11)"},
        {3, "INSERT INTO meta VALUES('y',3); INSERT INTO nonsense VALUES(1)"},
    };
    struct sp_spool *s = tq_fresh();
    sqlite3_stmt *st;

    CHECK_INT(sqlite3_exec(s->db.h, "PRAGMA user_version=1", NULL, NULL, NULL),
              SQLITE_OK);
    CHECK_INT(sp_qdb_migrate(s->db.h, 3, steps, 3, &tq_err), 0);
    CHECK(sp_qdb_migrate(s->db.h, 4, steps, 3, &tq_err) < 0);
    sqlite3_prepare_v2(s->db.h,
                       "SELECT (SELECT value FROM meta WHERE name='x'),"
                       "(SELECT count(*) FROM meta WHERE name='y'),user_version "
                       "FROM pragma_user_version",
                       -1, &st, NULL);
    CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    CHECK_INT(sqlite3_column_int(st, 0), 22);
    CHECK_INT(sqlite3_column_int(st, 1), 0); /* the failed step left nothing */
    CHECK_INT(sqlite3_column_int(st, 2), 3);
    sqlite3_finalize(st);
    CHECK_INT(sp_qdb_migrate(s->db.h, 9, steps, 2, &tq_err), -SP_EVERSION);
    sp_spool_close(s);
    tq_clean();
}

TEST("a damaged, foreign or missing database is an error, never an empty queue")
{
    static const char garbage[] = "this is not a database at all, whatever you say";
    struct sp_spool *s = tq_fresh();

    tq_put(s, "u", "u@x", bob);
    sp_spool_close(s);
    sql_on_file("PRAGMA application_id=7");
    CHECK_INT(open_error("not a spool of this program"), -SP_EIO);
    sql_on_file("PRAGMA application_id=1397772593");
    sql_on_file("ALTER TABLE job RENAME TO jobs");
    CHECK_INT(open_error("is damaged"), -SP_EIO);
    write_file("spool.db", 0, garbage, sizeof garbage, -1);
    CHECK_INT(open_error("is damaged"), -SP_EIO);
    write_file("spool.db", 0, "", 0, 0);
    CHECK_INT(open_error("not a spool of this program, or damaged"), -SP_EIO);
    {
        char path[100];

        snprintf(path, sizeof path, "%s/spool.db", tq_dir);
        unlink(path);
    }
    CHECK_INT(open_error("spool.db is missing but the rest of the spool is there"),
              -SP_EIO);
    tq_clean();
}

TEST("a spool that was being made when the power went is made again")
{
    tq_new_dir();
    write_file("spool.new", 0, "half", 4, -1);
    CHECK_INT(open_error(""), 0);
    CHECK_INT(open_error(""), 0);
    tq_clean();
}

TEST("a directory that is not there or not ours is a clear error")
{
    int status = 0;
    pid_t pid;

    tq_new_dir();
    rmdir(tq_dir);
    CHECK_INT(open_error("cannot open the data directory"), -SP_ENOENT);
    CHECK_INT(mkdir(tq_dir, 0755), 0);
    if (geteuid() != 0)
        CHECK_INT(chmod(tq_dir, 0500), 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        struct sp_spool_options o = tq_options();
        struct sp_spool *s;
        int rc;

        if (geteuid() == 0 && seteuid(65534) < 0)
            _exit(9);
        rc = sp_spool_open(tq_dir, &o, NOW, &s, &tq_err);
        _exit(rc == -SP_EDENIED && strstr(tq_err.text, "Permission denied") ? 0 : 1);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    tq_clean();
}

/* ---- submitting ----------------------------------------------------------------------- */

TEST("one batch: each item has its own result, bad ones do not get in")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env t = {0}, none = {0}, odd = {0}, cut = {0};
    Sp__Cut c = SP__CUT__INIT, *pc = &c;
    const struct sp_result *r;

    tq_env(&t, "u", "u@x");
    tq_to(&t, "a@one.example");
    tq_env(&none, "u", "u@x");
    tq_env(&odd, "u", "u@x");
    tq_to(&odd, "a@b\nc");
    cut = (struct tq_env){0};
    tq_env(&cut, "u", "");
    tq_to(&cut, "a@b");
    cut.e.cut = &pc;
    cut.e.n_cut = 1;
    cut.e.header_size = 5;
    c.offset = 3;
    c.length = 3;
    CHECK_INT(tq_add(b, &t, "x"), 0);
    CHECK_INT(tq_add(b, &none, "x"), -SP_EINPUT);
    CHECK_INT(tq_add(b, &odd, "x"), -SP_EINPUT);
    CHECK_INT(tq_add(b, &cut, "abcdefgh"), -SP_EINPUT);
    c.length = 2;
    CHECK_INT(tq_add(b, &cut, "abcdefgh"), 1);
    CHECK_INT(tq_add(b, &cut, "abc"), -SP_EINPUT); /* the header is longer than this */
    CHECK_INT(tq_add(b, &t, ""), 2);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    for (int i = 0; i < 3; i++) {
        r = sp_batch_result(b, i);
        CHECK_INT(r->code, 250);
        CHECK_INT(strlen(r->id), 13);
        CHECK_INT(r->nchange, 1);
        CHECK_INT(r->change->kind, SP_CHANGE_NEW);
        CHECK(r->change->job == r->message + 1);
    }
    CHECK(!sp_batch_result(b, 3));
    CHECK_INT(tq_messages(s), 3);
    sp_batch_free(b);
    sp_spool_close(s);
    tq_clean();
}

TEST("a batch says when it is full, by number and by octets")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env t = {0};
    char *big = malloc(SP_INLINE_MAX + 2);
    int n = 0;

    memset(big, 'x', SP_INLINE_MAX + 1);
    big[SP_INLINE_MAX + 1] = '\0';
    tq_env(&t, "u", "u@x");
    tq_to(&t, "a@b");
    CHECK_INT(tq_add(b, &t, big), -SP_EINPUT); /* one octet too many for inline */
    big[SP_INLINE_MAX] = '\0';
    while (!sp_batch_full(b)) {
        CHECK(tq_add(b, &t, big) >= 0);
        n++;
    }
    CHECK(n == 64 || n == 63);
    CHECK_INT(tq_add(b, &t, "x"), -SP_EAGAIN);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    CHECK_INT(tq_messages(s), n);
    sp_batch_reset(b);
    for (n = 0; !sp_batch_full(b); n++)
        CHECK_INT(tq_add(b, &t, "x"), n);
    CHECK_INT(n, 256);
    sp_batch_free(b);
    free(big);
    sp_spool_close(s);
    tq_clean();
}

TEST("recipients are split by domain, case folded, and large domains again")
{
    struct sp_spool_options o = tq_options();
    struct sp_spool *s;
    struct sp_batch *b;
    struct tq_env t = {0};
    const struct sp_result *r;

    tq_new_dir();
    o.job_recipients_max = 2;
    s = tq_open_with(&o);
    b = sp_batch_new(s);
    tq_env(&t, "u", "u@x");
    t.e.hold_until_ms = NOW + 5000;
    tq_to(&t, "a@Z.example");
    tq_to(&t, "\"odd@a.example\"@z.EXAMPLE");
    tq_to(&t, "postmaster");
    tq_to(&t, "b@a.example");
    tq_to(&t, "c@z.example");
    CHECK_INT(tq_add(b, &t, "x"), 0);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    r = sp_batch_result(b, 0);
    CHECK_INT(r->nchange, 4);
    CHECK(sp_str_is(r->change[0].domain, ""));
    CHECK(sp_str_is(r->change[1].domain, "a.example"));
    CHECK(sp_str_is(r->change[2].domain, "z.example"));
    CHECK_INT(r->change[2].nindex, 2);
    CHECK(r->change[2].index[0] == 0 && r->change[2].index[1] == 1);
    CHECK(sp_str_is(r->change[3].domain, "z.example"));
    CHECK_INT(r->change[3].index[0], 4);
    CHECK(r->change[3].due_ms == NOW + 5000); /* FUTURERELEASE */
    sp_batch_free(b);
    sp_spool_close(s);
    tq_clean();
}

/* ---- submission keys --------------------------------------------------------------------- */

static const struct sp_result *put_key(struct sp_spool *s, struct sp_batch *b,
                                       const char *user, const char *key,
                                       const char *digest, const char *to, uint64_t now)
{
    struct tq_env t = {0};
    struct sp_submission m = {.env = &t.e, .content = SP_LIT("x")};
    int i;

    tq_env(&t, user, "u@x");
    tq_to(&t, to);
    tq_to(&t, "z@y");
    t.e.content_size = 1;
    t.e.submission_key = tq_bin(key);
    t.e.digest = tq_bin(digest);
    i = sp_batch_submit(b, &m, now, &tq_err);
    CHECK(i >= 0);
    (void)s;
    return sp_batch_result(b, i);
}

TEST("a key's recipients count as a set: their order does not matter")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);

    for (int i = 0; i < 3; i++) {
        struct tq_env t = {0};
        struct sp_submission m = {.env = &t.e, .content = SP_LIT("x")};

        tq_env(&t, "u", i < 2 ? "u@x" : "other@x");
        tq_to(&t, i ? "b@y" : "a@y");
        tq_to(&t, i ? "a@y" : "b@y");
        t.e.content_size = 1;
        t.e.submission_key = t.e.digest = tq_bin("k");
        CHECK_INT(sp_batch_submit(b, &m, NOW, &tq_err), i);
    }
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    CHECK(sp_batch_result(b, 1)->duplicate);
    CHECK_INT(sp_batch_result(b, 2)->code, 554); /* another reverse-path */
    sp_batch_free(b);
    sp_spool_close(s);
    tq_clean();
}

TEST("a message that is taken back takes its key with it, one that is removed does not")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    uint64_t first;

    put_key(s, b, "u", "k1", "d1", "a@b", NOW);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    first = sp_batch_result(b, 0)->message;
    sp_batch_reset(b);
    CHECK_INT(tq_control(s, SP_CONTROL_TAKE_BACK, first, 0), 250);
    put_key(s, b, "u", "k1", "d1", "a@b", NOW);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    CHECK(!sp_batch_result(b, 0)->duplicate && sp_batch_result(b, 0)->message != first);
    CHECK_INT(tq_control(s, SP_CONTROL_REMOVE, sp_batch_result(b, 0)->message, 0), 250);
    sp_batch_reset(b);
    put_key(s, b, "u", "k1", "d1", "a@b", NOW);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    CHECK(sp_batch_result(b, 0)->duplicate); /* somebody did not want it */
    sp_batch_free(b);
    sp_spool_close(s);
    tq_clean();
}

TEST("each submission says how long its key is remembered")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env t = {0};
    struct sp_submission m = {.env = &t.e, .content = SP_LIT("x"), .key_ms = 5000};

    tq_env(&t, "u", "u@x");
    tq_to(&t, "a@b");
    t.e.content_size = 1;
    t.e.submission_key = t.e.digest = tq_bin("k");
    for (uint64_t now = NOW; now <= NOW + 10000; now += 4999) {
        CHECK_INT(sp_batch_submit(b, &m, now, &tq_err), 0);
        CHECK_INT(sp_spool_commit(s, b, now, &tq_err), 0);
        /* The window begins at the first one; 9998 ms behind it all is new. */
        CHECK_INT(sp_batch_result(b, 0)->duplicate, now == NOW + 4999);
        sp_batch_reset(b);
    }
    sp_batch_free(b);
    sp_spool_close(s);
    tq_clean();
}

TEST("the same submission key gets the first id, for other content 554")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    const struct sp_result *r;
    char id[SP_QID_MAX];

    put_key(s, b, "u", "k1", "d1", "a@b", NOW);
    put_key(s, b, "u", "k1", "d1", "a@b", NOW); /* in the same transaction */
    put_key(s, b, "v", "k1", "d1", "a@b", NOW); /* another user's key */
    put_key(s, b, "u", "k1", "d2", "a@b", NOW);
    put_key(s, b, "u", "k1", "d1", "A@b", NOW);
    CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
    r = sp_batch_result(b, 0);
    CHECK(r[0].code == 250 && !r[0].duplicate);
    memcpy(id, r[0].id, sizeof id);
    r = sp_batch_result(b, 1);
    CHECK(r->code == 250 && r->duplicate);
    CHECK_INT(r->nchange, 0);
    CHECK_STR(r->id, id);
    r = sp_batch_result(b, 2);
    CHECK(r->code == 250 && !r->duplicate && strcmp(r->id, id) != 0);
    CHECK_INT(sp_batch_result(b, 3)->code, 554);
    CHECK_STR(sp_batch_result(b, 3)->enhanced, "5.6.0");
    CHECK_INT(sp_batch_result(b, 4)->code, 554);
    CHECK_INT(tq_messages(s), 2);

    /* After a restart, and when the message is long delivered. */
    CHECK_INT(tq_settle(s, sp_batch_result(b, 0)->message + 1, 0, DELIVERED, NOW), 250);
    CHECK_INT(tq_settle(s, sp_batch_result(b, 0)->message + 2, 1, DELIVERED, NOW), 250);
    sp_batch_free(b);
    sp_spool_close(s);
    s = tq_open();
    b = sp_batch_new(s);
    put_key(s, b, "u", "k1", "d1", "a@b", NOW);
    CHECK_INT(sp_spool_commit(s, b, NOW + 1, &tq_err), 0);
    CHECK(sp_batch_result(b, 0)->duplicate);
    CHECK_STR(sp_batch_result(b, 0)->id, id);
    sp_batch_reset(b);

    /* Until it expires. */
    put_key(s, b, "u", "k1", "d3", "a@b", NOW);
    CHECK_INT(sp_spool_commit(s, b, NOW + s->o.key_ms, &tq_err), 0);
    CHECK(sp_batch_result(b, 0)->code == 250 && !sp_batch_result(b, 0)->duplicate);
    sp_batch_free(b);
    CHECK_INT(sp_spool_idle(s, NOW + 3 * s->o.key_ms, &tq_err), 0);
    sp_spool_close(s);
    sql_on_file("SELECT CASE WHEN (SELECT count(*) FROM submission)=0 THEN 1 ELSE "
                "json('keys are left') END");
    tq_clean();
}

/* ---- large contents ------------------------------------------------------------------------ */

static struct sp_spare *spare_of(struct sp_spool *s, char c, size_t n)
{
    struct sp_spare *f = NULL;
    char *p = malloc(n);

    memset(p, c, n);
    CHECK_INT(sp_spare_new(s, NOW, &f, &tq_err), 0);
    CHECK(write(sp_spare_fd(f), p, n) == (ssize_t)n);
    free(p);
    return f;
}

static uint64_t put_large(struct sp_spool *s, struct sp_spare *f, size_t n)
{
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env t = {0};
    struct sp_submission m = {.env = &t.e, .spare = f};
    uint64_t message = 0;

    tq_env(&t, "u", "u@x");
    tq_to(&t, "a@b");
    t.e.content_size = n;
    if (sp_batch_submit(b, &m, NOW, &tq_err) == 0 &&
        sp_spool_commit(s, b, NOW, &tq_err) == 0)
        message = sp_batch_result(b, 0)->message;
    sp_batch_free(b);
    return message;
}

TEST("a large content is a file that comes and goes with its row")
{
    struct sp_spool *s = tq_fresh();
    struct sp_spare *f = spare_of(s, 'L', 200000);
    struct sp_job *j = NULL;
    struct stat st;
    char c = 0;
    uint64_t m;

    CHECK_INT(tq_files("bodies"), 0); /* no name before it is prepared */
    CHECK_INT(sp_spare_prepare(f, 200000, &tq_err), 0);
    m = put_large(s, f, 200000);
    CHECK(m != 0);
    sp_spool_close(s);
    s = tq_open();
    CHECK_INT(tq_files("bodies"), 1);
    CHECK_INT(sp_spool_claim(s, m + 1, &j, &tq_err), 0);
    CHECK(j->fd >= 0 && !j->content.p);
    CHECK_INT(fstat(j->fd, &st), 0);
    CHECK_INT(st.st_size, 200000);
    CHECK(pread(j->fd, &c, 1, 199999) == 1 && c == 'L');
    CHECK(write(j->fd, "x", 1) < 0);
    sp_job_free(j);
    CHECK_INT(tq_settle(s, m + 1, 0, DELIVERED, NOW), 250);
    CHECK_INT(tq_files("bodies"), 0);
    CHECK_INT(tq_messages(s), 0);
    sp_spool_close(s);
    tq_clean();
}

TEST("a short, unprepared or given up body file is never a message")
{
    struct sp_spool *s = tq_fresh();
    struct sp_spare *f = spare_of(s, 'L', 100000);
    struct tq_env t = {0};
    struct sp_batch *b = sp_batch_new(s);
    struct sp_submission m = {.env = &t.e};

    CHECK_INT(sp_spare_prepare(f, 100001, &tq_err), -SP_EINPUT);
    CHECK_INT(sp_spare_prepare(f, 100000, &tq_err),
              -SP_ESTATE); /* never a second try */
    CHECK_INT(put_large(s, f, 100000), 0);
    CHECK_INT(put_large(s, spare_of(s, 'L', 70000), 70000), 0);
    f = spare_of(s, 'L', 70000);
    CHECK_INT(sp_spare_prepare(f, 70000, &tq_err), 0);
    CHECK_INT(tq_files("bodies"), 1);
    sp_spare_free(f);
    CHECK_INT(tq_files("bodies"), 0);
    tq_env(&t, "u", "u@x"); /* in a batch that is never committed */
    tq_to(&t, "a@b");
    t.e.content_size = 70000;
    m.spare = spare_of(s, 'L', 70000);
    CHECK_INT(sp_spare_prepare(m.spare, 70000, &tq_err), 0);
    CHECK_INT(sp_batch_submit(b, &m, NOW, &tq_err), 0);
    sp_batch_free(b);
    CHECK_INT(tq_files("bodies"), 0);
    CHECK_INT(tq_messages(s), 0);
    sp_spool_close(s);
    tq_clean();
}

TEST("body files without a row go at open, strangers' files stay")
{
    struct sp_spool *s = tq_fresh();
    struct sp_spare *f = spare_of(s, 'L', 70000);
    struct sp_spool_counts c;
    uint64_t m;

    CHECK_INT(sp_spare_prepare(f, 70000, &tq_err), 0);
    m = put_large(s, f, 70000);
    sp_spool_close(s);
    write_file("bodies/0000000000123", 0, "x", 1, -1);
    write_file("bodies/tmp-000000000", 0, "x", 1, -1);
    write_file("bodies/README", 0, "x", 1, -1);
    s = tq_open();
    CHECK_INT(tq_files("bodies"), 2);
    CHECK_INT(sp_spool_count(s, &c, &tq_err), 0);
    CHECK_INT(c.orphans, 2);
    CHECK_INT(tq_control(s, SP_CONTROL_REMOVE, m, 0), 250);
    CHECK_INT(tq_files("bodies"), 1);
    sp_spool_close(s);
    tq_clean();
}

TEST("a duplicate by its key leaves no body file behind")
{
    struct sp_spool *s = tq_fresh();

    for (int i = 0; i < 2; i++) {
        struct sp_batch *b = sp_batch_new(s);
        struct tq_env t = {0};
        struct sp_submission m = {.env = &t.e, .spare = spare_of(s, 'L', 70000)};

        tq_env(&t, "u", "u@x");
        tq_to(&t, "a@b");
        t.e.content_size = 70000;
        t.e.submission_key = t.e.digest = tq_bin("k");
        CHECK_INT(sp_spare_prepare(m.spare, 70000, &tq_err), 0);
        CHECK_INT(sp_batch_submit(b, &m, NOW, &tq_err), 0);
        CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
        CHECK_INT(sp_batch_result(b, 0)->duplicate, i);
        sp_batch_free(b);
        CHECK_INT(tq_files("bodies"), 1);
    }
    sp_spool_close(s);
    tq_clean();
}

/* ---- ids ------------------------------------------------------------------------------------ */

TEST("a queue id never comes again, though rows are gone and the clock went back")
{
    struct sp_spool_options o = tq_options();
    struct sp_spool *s;
    uint64_t m, n;

    tq_new_dir();
    o.history_ms = 0; /* nothing in the tables reminds of the first message */
    s = tq_open_with(&o);
    m = tq_put(s, "u", "u@x", three);
    CHECK_INT(tq_control(s, SP_CONTROL_REMOVE, m, 0), 250);
    CHECK_INT(tq_messages(s), 0);
    sp_spool_close(s);
    s = tq_open_with(&o);
    n = sp_qid_next(&s->ids, NOW - 365ull * 86400 * 1000, 1);
    CHECK(n > m + 2);
    sp_spool_close(s);
    tq_clean();
}

/* ---- what an administrator does ----------------------------------------------------------------- */

TEST("hold, release, retry now and remove act on a message or on one job")
{
    struct sp_spool *s = tq_fresh();
    struct sp_sched *sched = sp_sched_new();
    uint64_t m = tq_put(s, "u", "u@x", three), got[4];
    struct sp_job *j;
    struct sp_view *v;

    CHECK_INT(tq_control(s, SP_CONTROL_HOLD, m, m + 1), 250);
    CHECK_INT(sp_spool_claim(s, m + 1, &j, &tq_err), -SP_ESTATE);
    CHECK_INT(tq_control(s, SP_CONTROL_RETRY_NOW, m, m + 1), 554);
    CHECK_INT(tq_control(s, SP_CONTROL_RETRY_NOW, m, 0), 250); /* the other one */
    CHECK_INT(sp_spool_load(s, sched, &tq_err), 0);
    CHECK_INT(sp_sched_take(sched, NOW, SP_SCHED_ANY, 4, got), 1);
    CHECK(got[0] == m + 2);
    CHECK_INT(tq_control(s, SP_CONTROL_RELEASE, m, 0), 250);
    CHECK_INT(sp_spool_claim(s, m + 1, &j, &tq_err), 0);
    sp_job_free(j);
    CHECK_INT(tq_control(s, SP_CONTROL_REMOVE, m, m + 1), 250); /* while it is leased */
    CHECK_INT(sp_spool_leased(s, m + 1), 0);
    CHECK_INT(tq_settle(s, m + 1, 0, DELIVERED, NOW), -SP_ENOENT);
    CHECK_INT(tq_control(s, SP_CONTROL_REMOVE, m, m + 1), 554);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0);
    CHECK(!v->finished);
    CHECK_INT(v->rcpt[0].state->status, SP__RCPT_STATUS__RCPT_REMOVED);
    CHECK_INT(v->rcpt[1].state->status, SP__RCPT_STATUS__RCPT_QUEUED);
    sp_view_free(v);
    CHECK_INT(tq_control(s, SP_CONTROL_REMOVE, m, 0), 250);
    CHECK_INT(tq_control(s, SP_CONTROL_REMOVE, m, 0), 554);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0);
    CHECK(v->finished);
    CHECK_INT(v->nrcpt, 3);
    CHECK_INT(v->rcpt[1].state->status, SP__RCPT_STATUS__RCPT_REMOVED);
    sp_view_free(v);
    sp_sched_free(sched);
    sp_spool_close(s);
    tq_clean();
}

static int count_views(void *arg, const struct sp_view *v)
{
    *(uint64_t *)arg = v->message;
    return 0;
}

static int scan(struct sp_spool *s, const Sp__QueueFilter *f, uint64_t now)
{
    uint64_t last;

    return sp_spool_scan(s, f, 0, now, count_views, &last, &tq_err);
}

TEST("each part of a filter selects, and together they mean one recipient")
{
    static const char *const null[] = {"bounce@back.example", NULL};
    struct sp_spool *s = tq_fresh();
    Sp__QueueFilter f = SP__QUEUE_FILTER__INIT;
    uint64_t m = tq_put(s, "alice", "alice@x", three), n = tq_put(s, "bob", "", null);
    char id[SP_QID_MAX];

    CHECK_INT(tq_settle(s, m + 1, 0, RETRY, NOW), 250); /* "so it went" */
    CHECK_INT(tq_control(s, SP_CONTROL_HOLD, n, 0), 250);
    CHECK_INT(scan(s, &f, NOW), 2);
#define ONE(field, value, want, now)                                                   \
    do {                                                                               \
        sp__queue_filter__init(&f);                                                    \
        f.field = value;                                                               \
        CHECK_INT(scan(s, &f, now), want);                                             \
    } while (0)
#define TEXT(s) ((char *)(uintptr_t)(s))
    sp_qid_format(n, id);
    ONE(id, id, 1, NOW);
    ONE(id, TEXT("nonsense"), -SP_EINPUT, NOW);
    ONE(user, TEXT("alice"), 1, NOW);
    ONE(user, TEXT("Alice"), 0, NOW);
    ONE(sender, TEXT("ALICE@X"), 1, NOW);
    ONE(sender, TEXT("<>"), 1, NOW);
    ONE(recipient, TEXT("B@two.example"), 1, NOW);
    ONE(domain, TEXT("ONE.example"), 1, NOW);
    ONE(domain, TEXT("example"), 0, NOW);
    ONE(state, TEXT("held"), 1, NOW);
    ONE(state, TEXT("queued"), 1, NOW);
    ONE(state, TEXT("deferred"), 1, NOW);
    ONE(state, TEXT("active"), 0, NOW);
    ONE(state, TEXT("asleep"), -SP_EINPUT, NOW);
    ONE(text, TEXT("IT WENT"), 1, NOW);
    ONE(older_than_s, 10, 0, NOW + 9999);
    ONE(older_than_s, 10, 2, NOW + 10000);
    ONE(newer_than_s, 10, 2, NOW + 9999);
    ONE(newer_than_s, 10, 0, NOW + 10000);
    ONE(limit, 1, 1, NOW);
    ONE(domain, TEXT("two.example"), 1, NOW);
    f.text = TEXT("it went"); /* said about another recipient */
    CHECK_INT(scan(s, &f, NOW), 0);
    CHECK(sp_spool_lease(s, m + 2) != 0);
    ONE(state, TEXT("active"), 1, NOW);
    sp_spool_close(s);
    tq_clean();
}

static void count_change(void *arg, const struct sp_change *c)
{
    *(int *)arg += c->kind == SP_CHANGE_GONE ? 1000 : 1;
}

TEST("hundreds of messages are held and removed by filter, jobs of others stay")
{
    struct sp_spool *s = tq_fresh();
    struct sp_batch *b = sp_batch_new(s);
    Sp__QueueFilter f = SP__QUEUE_FILTER__INIT;
    struct sp_spool_counts c;
    struct tq_env t = {0};
    int changed = 0;

    tq_env(&t, "u", "u@x");
    tq_to(&t, "a@one.example");
    tq_to(&t, "a@two.example");
    tq_to(&t, "b@one.example");
    for (int i = 0; i < 600; i++) {
        CHECK(tq_add(b, &t, "x") >= 0);
        if (sp_batch_full(b) || i == 599) {
            CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
            sp_batch_reset(b);
        }
    }
    sp_batch_free(b);
    f.domain = TEXT("one.example");
    CHECK_INT(sp_spool_control_all(s, SP_CONTROL_HOLD, &f, NOW, count_change, &changed,
                                   &tq_err),
              600);
    CHECK_INT(changed, 600);
    CHECK_INT(sp_spool_count(s, &c, &tq_err), 0);
    CHECK(c.held == 600 && c.queued == 600);
    f.limit = 300;
    changed = 0;
    CHECK_INT(sp_spool_control_all(s, SP_CONTROL_REMOVE, &f, NOW, count_change,
                                   &changed, &tq_err),
              300);
    CHECK_INT(changed, 300000);
    CHECK_INT(sp_spool_count(s, &c, &tq_err), 0);
    CHECK(c.held == 300 && c.queued == 600 && c.messages == 600);
    sp__queue_filter__init(&f);
    CHECK_INT(sp_spool_control_all(s, SP_CONTROL_REMOVE, &f, NOW, NULL, NULL, &tq_err),
              600);
    CHECK_INT(tq_messages(s), 0);
    sp_spool_close(s);
    tq_clean();
}

TEST("the history is found by id, listed, and pruned when its time is over")
{
    struct sp_spool *s = tq_fresh();
    Sp__QueueFilter f = SP__QUEUE_FILTER__INIT;
    uint64_t m = tq_put(s, "u", "u@x", bob), n = tq_put(s, "u", "u@x", bob), last;
    struct sp_view *v = NULL;

    CHECK_INT(tq_settle(s, m + 1, 0, DELIVERED, NOW + 5), 250);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0);
    CHECK(v->finished && v->finished_ms == NOW + 5 && v->created_ms == NOW);
    CHECK(sp_str_is(v->user, "u"));
    CHECK_INT(v->env->reverse_path.len, 3);
    CHECK_INT(v->rcpt[0].rcpt->address.len, strlen(bob[0]));
    CHECK_INT(v->rcpt[0].state->status, SP__RCPT_STATUS__RCPT_DELIVERED);
    CHECK_STR(v->rcpt[0].state->history[0]->text, "so it went");
    sp_view_free(v);
    CHECK_INT(sp_spool_scan_history(s, &f, 0, NOW, count_views, &last, &tq_err), 1);
    CHECK_INT(sp_spool_idle(s, NOW + s->o.history_ms + 5, &tq_err), 0);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), 0); /* not yet: < */
    sp_view_free(v);
    CHECK_INT(sp_spool_idle(s, NOW + s->o.history_ms + 6, &tq_err), 0);
    CHECK_INT(sp_spool_find(s, m, &v, &tq_err), -SP_ENOENT);
    CHECK_INT(sp_spool_find(s, n, &v, &tq_err), 0); /* never a live one */
    sp_view_free(v);
    CHECK_INT(sp_spool_find(s, UINT64_MAX, &v, &tq_err), -SP_ENOENT);
    sp_spool_close(s);
    tq_clean();
}

/* ---- the log and the checkpointer ------------------------------------------------------------------ */

TEST("the checkpointer keeps the log short beside a busy writer and empties it when "
     "idle")
{
    struct sp_spool_options o = tq_options();
    struct sp_spool *s;
    struct sp_batch *b;
    struct tq_env t = {0};
    struct sp_spool_counts c = {0};
    char *text = malloc(60001);
    uint64_t longest = 0;

    memset(text, 't', 60000);
    text[60000] = '\0';
    tq_new_dir();
    o.no_thread = false;
    s = tq_open_with(&o);
    b = sp_batch_new(s);
    tq_env(&t, "u", "u@x");
    tq_to(&t, "a@b");
    for (int i = 0; i < 90; i++) { /* 190 MB in all */
        while (sp_batch_items(b) < 35)
            CHECK(tq_add(b, &t, text) >= 0);
        CHECK_INT(sp_spool_commit(s, b, NOW, &tq_err), 0);
        sp_batch_reset(b);
        c.log_octets = sp_qckpt_log(s->ckpt);
        longest = c.log_octets > longest ? c.log_octets : longest;
    }
    CHECK(longest > (4u << 20) && longest < (150u << 20));
    CHECK_INT(sp_spool_idle(s, NOW, &tq_err), 0);
    for (int i = 0; i < 500 && sp_qckpt_log(s->ckpt); i++)
        usleep(10000);
    CHECK_INT(sp_spool_count(s, &c, &tq_err), 0);
    CHECK_INT(c.log_octets, 0);
    CHECK_INT(c.messages, 90 * 35);
    CHECK(c.checkpoints > 5);
    CHECK_INT(sp_spool_verify(s, &tq_err), 0);
    CHECK_INT(sp_spool_health(s), SP_SPOOL_OK);
    sp_batch_free(b);
    sp_spool_close(s);
    free(text);
    tq_clean();
}

T_MAIN
