/* t_suspend.c - suspended destinations: what is found, and what a restart finds. */
#include "alloc.h"
#include "err.h"
#include "suspend.h"
#include "t.h"
#include "text.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/t_suspend.XXXXXX", file[100];
static struct sp_err err;

static struct sp_suspend *opened(void)
{
    struct sp_suspend *s = NULL;

    CHECK_INT(sp_suspend_open(dir, &s, &err), 0);
    return s;
}

static void begin(void)
{
    char queue[64];

    if (dir[sizeof dir - 2] == 'X' && !mkdtemp(dir))
        abort();
    snprintf(queue, sizeof queue, "%s/queue", dir);
    snprintf(file, sizeof file, "%s/suspended", queue);
    (void)mkdir(queue, 0700);
    (void)unlink(file);
}

__attribute__((destructor)) static void tidy(void)
{
    char queue[64];

    snprintf(queue, sizeof queue, "%s/queue", dir);
    (void)unlink(file);
    (void)rmdir(queue);
    (void)rmdir(dir);
}

static void put(const char *text)
{
    FILE *f = fopen(file, "w");

    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

TEST("a domain is suspended on every route and in any case, a route for every domain; "
     "over a restart")
{
    struct sp_suspend *s;
    const struct sp_suspension *x;

    begin();
    s = opened();
    CHECK(!sp_suspend_find(s, SP_LIT("out"), SP_LIT("a.test")));
    CHECK_INT(
        sp_suspend_set(s, false, SP_LIT("A.Test"), SP_LIT("they asked us to"), 7, &err),
        0);
    CHECK_INT(sp_suspend_set(s, true, SP_LIT("hop"), SP_LIT(""), 8, &err), 0);
    sp_suspend_free(s);
    s = opened();
    x = sp_suspend_find(s, SP_LIT("out"), SP_LIT("a.TEST"));
    CHECK(x && !x->route && x->at_ms == 7);
    CHECK_STR(x ? x->name : "", "a.test");
    CHECK_STR(x ? x->reason : "", "they asked us to");
    x = sp_suspend_find(s, SP_LIT("hop"), SP_LIT("b.test"));
    CHECK(x && x->route && x->reason[0] == '\0');
    CHECK(!sp_suspend_find(s, SP_LIT("a.test"), SP_LIT("hop")));
    CHECK(!sp_suspend_find(s, SP_LIT("Hop"), SP_LIT("b.test")));
    CHECK_INT(sp_suspend_unread(s), 0);
    sp_suspend_free(s);
}

TEST("suspended twice it has the newer reason; resumed it is gone, and only it")
{
    struct sp_suspend *s;

    begin();
    s = opened();
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("a.test"), SP_LIT("one"), 1, &err), 0);
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("a.TEST"), SP_LIT("two"), 2, &err), 0);
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("b.test"), SP_LIT("b"), 3, &err), 0);
    CHECK_STR(sp_suspend_at(s, 0)->reason, "two");
    CHECK_INT(sp_suspend_clear(s, true, SP_LIT("a.test"), &err), -SP_ENOENT);
    CHECK_INT(sp_suspend_clear(s, false, SP_LIT("a.test"), &err), 0);
    CHECK_INT(sp_suspend_clear(s, false, SP_LIT("a.test"), &err), -SP_ENOENT);
    sp_suspend_free(s);
    s = opened();
    CHECK(!sp_suspend_find(s, SP_LIT(""), SP_LIT("a.test")));
    CHECK(sp_suspend_find(s, SP_LIT(""), SP_LIT("b.test")));
    CHECK(!sp_suspend_at(s, 1));
    sp_suspend_free(s);
}

TEST("names and reasons that would break the file are refused, and so is one too many")
{
    static const char *const bad[] = {"", "a b", "a\nb", "a\x7f", "\xff"};
    struct sp_suspend *s;
    char large[SP_SUSPEND_REASON_MAX + 2], name[20];

    begin();
    s = opened();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(sp_suspend_set(s, false, sp_str(bad[i]), SP_LIT("r"), 1, &err),
                  -SP_EINPUT);
    memset(large, 'r', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("a"), sp_str(large), 1, &err),
              -SP_EINPUT);
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("a"), SP_LIT("x\ndomain b 1 r"), 1, &err),
              -SP_EINPUT);
    CHECK_INT(access(file, F_OK), -1);
    sp_suspend_free(s);
    for (int i = 0; i <= SP_SUSPENDED_MAX; i++) {
        FILE *f = fopen(file, i ? "a" : "w");

        CHECK(f && fprintf(f, "domain d%d 1 r\n", i) > 0 && fclose(f) == 0);
    }
    s = opened();
    CHECK_INT(sp_suspend_unread(s), 1);
    snprintf(name, sizeof name, "one-more");
    CHECK_INT(sp_suspend_set(s, false, sp_str(name), SP_LIT("r"), 1, &err), -SP_ELIMIT);
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("d1"), SP_LIT("other"), 1, &err), 0);
    sp_suspend_free(s);
}

TEST("lines that make no sense are left out and counted; the others count")
{
    struct sp_suspend *s;

    begin();
    put("domain a.test 5 fine\nfoo b.test 5 r\ndomain  5 r\ndomain c.test x r\ndomain "
        "c.test\n"
        "route hop 6 \ndomain a.test 7 again\n\n\xff\xff");
    s = opened();
    CHECK_INT(sp_suspend_unread(s), 6);
    CHECK_STR(sp_suspend_at(s, 0)->reason, "fine");
    CHECK_STR(sp_suspend_at(s, 1)->name, "hop");
    CHECK(!sp_suspend_at(s, 2));
    sp_suspend_free(s);
}

TEST("what the disk refuses has not happened")
{
    struct sp_suspend *s;
    char fresh[120];

    begin();
    s = opened();
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("a.test"), SP_LIT("one"), 1, &err), 0);
    snprintf(fresh, sizeof fresh, "%s+new", file);
    CHECK_INT(mkdir(fresh, 0700), 0); /* also root cannot open it */
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("b.test"), SP_LIT("r"), 1, &err),
              -SP_EIO);
    CHECK_INT(sp_suspend_set(s, false, SP_LIT("a.test"), SP_LIT("two"), 1, &err),
              -SP_EIO);
    CHECK_INT(sp_suspend_clear(s, false, SP_LIT("a.test"), &err), -SP_EIO);
    CHECK_INT(rmdir(fresh), 0);
    CHECK(!sp_suspend_find(s, SP_LIT(""), SP_LIT("b.test")));
    CHECK_STR(sp_suspend_at(s, 0)->reason, "one");
    sp_suspend_free(s);
}

TEST("each allocation may fail")
{
    begin();
    put("domain a.test 5 fine\n");
    for (long n = 0; n < 20; n++) {
        struct sp_suspend *s = NULL;

        sp_alloc_fail_at(n, 0);
        if (sp_suspend_open(dir, &s, &err) == 0)
            (void)sp_suspend_set(s, true, SP_LIT("hop"), SP_LIT("r"), 1, &err);
        sp_alloc_fail_at(-1, 0);
        sp_suspend_free(s);
    }
}

T_MAIN
