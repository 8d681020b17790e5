/* t_stspolicy.c - MTA-STS (RFC 8461): records, policies, whom they list, how they are kept. */
#include "stscache.h"
#include "stspolicy.h"

#include "t.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What lasts over a power loss: the inode of the folder that was synced last, and whether
 * the policy was there under its name. */
static const char *watched;
static ino_t synced;
static bool named;

int fsync(int fd)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        synced = st.st_ino;
        named = watched && access(watched, F_OK) == 0;
    }
    return (int)syscall(SYS_fsync, fd);
}

/* As on the wire: each string with its length in front. */
static struct sp_str txt(const char *a, const char *b)
{
    static char out[8][600];
    static unsigned at;
    char *p = out[at++ % 8];
    size_t n = strlen(a), m = b ? strlen(b) : 0;

    p[0] = (char)n;
    memcpy(p + 1, a, n);
    if (b) {
        p[n + 1] = (char)m;
        memcpy(p + n + 2, b, m);
    }
    return (struct sp_str){p, n + 1 + (b ? m + 1 : 0)};
}

TEST("RFC 8461 3.1: one record with an id counts, extensions are left alone")
{
    static const char *const good[] = {"v=STSv1; id=20160831085700Z;", "v=STSv1;id=1",
                                       "v=STSv1 ; id=a ; x=y", "v=STSv1; x=y; id=A9;",
                                       "v=STSv1; id=12345678901234567890123456789012"};
    static const char *const bad[] = {"v=STSv1",
                                      "v=STSv1;",
                                      "v=STSv1; id=",
                                      "v=STSv1; id=a b",
                                      "v=STSv1; id=-1",
                                      "v=STSv1; id;",
                                      "v=STSv1; id=1; id=2;",
                                      "v=STSv1;; id=1",
                                      "v=STSv1; ID=1",
                                      "v=STSv1; x; id=1",
                                      "v=STSv1; id=123456789012345678901234567890123"};
    static const char *const none[] = {"v=STSv2; id=1", "v=spf1 -all", "",
                                       "V=STSv1; id=1", "v=STSv10; id=1"};
    char id[SP_STS_ID_MAX + 1];
    const char *why = NULL;
    struct sp_str r;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        r = txt(good[i], NULL);
        CHECK_INT(sp_sts_record(&r, 1, id, &why), 1);
    }
    CHECK_STR(id, "12345678901234567890123456789012");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        r = txt(bad[i], NULL);
        why = NULL;
        CHECK_INT(sp_sts_record(&r, 1, id, &why), -SP_EINPUT);
        CHECK(why != NULL);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        r = txt(none[i], NULL);
        CHECK_INT(sp_sts_record(&r, 1, id, &why), 0);
    }
}

TEST("strings of one record belong together, several records count for none")
{
    struct sp_str r[] = {txt("v=STSv1; id=1", "23;"), txt("v=spf1 -all", NULL),
                         txt("v=STSv1; id=4;", NULL)};
    char id[SP_STS_ID_MAX + 1];
    const char *why = NULL;

    CHECK_INT(sp_sts_record(r, 2, id, &why), 1);
    CHECK_STR(id, "123");
    CHECK_INT(sp_sts_record(r, 3, id, &why), -SP_EINPUT);
    CHECK_STR(why, "there are several");
    r[0].n--; /* its last string is cut off */
    CHECK_INT(sp_sts_record(r, 1, id, &why), 0);
}

static int parse(const char *text, struct sp_sts_policy *p)
{
    const char *why = NULL;
    int rc = sp_sts_parse(sp_str(text), p, &why);

    CHECK((rc == 0) == (why == NULL));
    return rc;
}

TEST("RFC 8461 3.2: version, mode, max_age, mx; unknown keys are left alone, the first "
     "of two counts")
{
    struct sp_sts_policy p;

    CHECK_INT(parse("version: STSv1\r\nmode: enforce\r\nmx: Mail.Example.com\r\nmx: "
                    "*.example.net\r\n"
                    "max_age: 604800\r\n",
                    &p),
              0);
    CHECK_INT(p.mode, SP_STS_MODE_ENFORCE);
    CHECK_INT((long)p.max_age, 604800);
    CHECK_INT(
        parse("version: STSv1\nmode: testing\nmode: enforce\nnew: x: y\n\nmax_age: 0\n"
              "mx:a.example.   \nmax_age: junk",
              &p),
        0);
    CHECK_INT(p.mode, SP_STS_MODE_TESTING);
    CHECK(sp_sts_lists(&p, "a.example"));
    CHECK_INT(parse("version: STSv1\nmode: none\nmax_age: 31557600", &p), 0);
}

TEST("what does not follow the grammar is no policy")
{
    static const char *const bad[] = {
        "",
        "<html>no such page</html>",
        "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n",
        "mode: enforce\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557601\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 99999999999999999999\n",
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: \nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: *.\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a..example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: ../../etc/passwd\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1\n",
    };
    struct sp_sts_policy p;
    struct sp_buf huge;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(parse(bad[i], &p), -SP_EINPUT);
    sp_buf_init(&huge, 1 << 20);
    CHECK_INT(sp_buf_puts(&huge, "version: STSv1\nmode: enforce\nmax_age: 1\n"), 0);
    for (int i = 0; i < 400; i++)
        CHECK_INT(sp_buf_printf(&huge, "mx: host%d.example\n", i), 0);
    CHECK_INT(parse(sp_buf_cstr(&huge), &p), -SP_EINPUT); /* too many exchanges */
    huge.n = 0;
    CHECK_INT(sp_buf_puts(&huge, "version: STSv1\nmode: none\nmax_age: 1\n"), 0);
    while (huge.n <= SP_STS_TEXT_MAX)
        CHECK_INT(sp_buf_puts(&huge, "x: y\n"), 0);
    CHECK_INT(parse(sp_buf_cstr(&huge), &p), -SP_EINPUT);
    sp_buf_free(&huge);
}

TEST("RFC 8461 4.1: a star is one label and never none, case does not count")
{
    struct sp_sts_policy p;

    CHECK_INT(parse("version: STSv1\nmode: enforce\nmx: mx.example.org\nmx: "
                    "*.example.net\nmax_age: 1\n",
                    &p),
              0);
    CHECK(sp_sts_lists(&p, "mx.example.org"));
    CHECK(sp_sts_lists(&p, "MX.example.ORG."));
    CHECK(sp_sts_lists(&p, "a.example.net"));
    CHECK(!sp_sts_lists(&p, "a.b.example.net"));
    CHECK(!sp_sts_lists(&p, "example.net"));
    CHECK(!sp_sts_lists(&p, ".example.net"));
    CHECK(!sp_sts_lists(&p, "aexample.net"));
    CHECK(!sp_sts_lists(&p, "mx.example.org.evil.example"));
    CHECK(!sp_sts_lists(&p, "a.mx.example.org"));
    CHECK(!sp_sts_lists(&p, ""));
    CHECK(!sp_sts_lists(&p, "."));
}

TEST("a policy counts for max_age and not a second longer")
{
    struct sp_sts_policy p = {
        .mode = SP_STS_MODE_ENFORCE, .max_age = 100, .fetched_s = 1000000000};

    CHECK(sp_sts_valid(&p, 1000000000));
    CHECK(sp_sts_valid(&p, 1000000099));
    CHECK(!sp_sts_valid(&p, 1000000100));
    p.fetched_s = 1u << 31; /* a clock that was far ahead */
    CHECK(!sp_sts_valid(&p, 1000000000));
}

static struct sp_sts_policy sample(void)
{
    struct sp_sts_policy p;

    CHECK_INT(parse("version: STSv1\nmode: enforce\nmx: a.example\nmx: "
                    "*.b.example\nmax_age: 500\n",
                    &p),
              0);
    p.fetched_s = 1700000000;
    snprintf(p.id, sizeof p.id, "id7");
    return p;
}

TEST("what is kept comes back, what was changed on the disk is no policy")
{
    struct sp_sts_policy p = sample(), q;
    struct sp_buf b;

    sp_buf_init(&b, SP_STS_STORED_MAX);
    CHECK_INT(sp_sts_store(&p, &b), 0);
    CHECK_INT(sp_sts_restore(sp_buf_view(&b), &q), 0);
    CHECK(p.mode == q.mode && p.max_age == q.max_age && p.fetched_s == q.fetched_s);
    CHECK_STR(q.id, "id7");
    CHECK_INT((long)q.names_n, (long)p.names_n);
    CHECK(memcmp(p.names, q.names, p.names_n) == 0);
    CHECK_INT(sp_sts_restore(sp_str("version: STSv1\nmode: none\nmax_age: 1\n"), &q),
              -SP_EINPUT);
    for (size_t cut = 0; cut < b.n - 30; cut++)
        CHECK_INT(sp_sts_restore((struct sp_str){b.p, cut}, &q), -SP_EINPUT);
    sp_buf_free(&b);
}

TEST("the cache: kept by domain, never outside of its folder, swept when the time is "
     "over")
{
    struct sp_sts_policy p = sample();
    char dir[] = "/tmp/sp-stsXXXXXX", folder[100], path[200];
    struct stat st;
    struct sp_buf b, got;
    struct sp_err err;
    size_t left;
    int fd;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(folder, sizeof folder, "%s/mta-sts", dir);
    sp_buf_init(&b, SP_STS_STORED_MAX);
    sp_buf_init(&got, SP_STS_STORED_MAX);
    CHECK_INT(sp_sts_store(&p, &b), 0);
    CHECK_INT(sp_sts_cache_get(folder, "example.org", &got), -SP_ENOENT);
    snprintf(path, sizeof path, "%s/example.org", folder);
    watched = path;
    CHECK_INT(sp_sts_cache_put(folder, "Example.ORG", sp_buf_view(&b), &err), 0);
    watched = NULL;
    CHECK(stat(folder, &st) == 0 && synced == st.st_ino && named);
    CHECK_INT(sp_sts_cache_get(folder, "example.org", &got), 0);
    CHECK(sp_str_eq(sp_buf_view(&b), sp_buf_view(&got)));
    CHECK_INT(sp_sts_cache_put(folder, "../evil", sp_buf_view(&b), &err), -SP_EINPUT);
    CHECK_INT(sp_sts_cache_put(folder, ".hidden", sp_buf_view(&b), &err), -SP_EINPUT);
    CHECK_INT(sp_sts_cache_put(folder, "a/b", sp_buf_view(&b), &err), -SP_EINPUT);
    CHECK_INT(sp_sts_cache_put(folder, "", sp_buf_view(&b), &err), -SP_EINPUT);
    CHECK_INT(sp_sts_cache_put(folder, "b.example", sp_str("junk"), &err), -SP_EINPUT);
    CHECK_INT((long)sp_sts_cache_sweep(folder, 1700000499, &left), 0);
    CHECK_INT((long)left, 1);
    CHECK_INT((long)sp_sts_cache_sweep(folder, 1700000500, &left), 1);
    CHECK_INT((long)left, 0);
    snprintf(path, sizeof path, "%s/example.org", folder);
    CHECK(access(path, F_OK) != 0);
    /* What is being written now is left alone, what a crash left is not. */
    snprintf(path, sizeof path, "%s/c.example+new", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_INT((long)sp_sts_cache_sweep(folder, (uint64_t)time(NULL), &left), 0);
    CHECK_INT((long)sp_sts_cache_sweep(folder, (uint64_t)time(NULL) + 86400, &left), 1);
    CHECK_INT(rmdir(folder), 0);
    CHECK_INT(rmdir(dir), 0);
    sp_buf_free(&b);
    sp_buf_free(&got);
}

T_MAIN
