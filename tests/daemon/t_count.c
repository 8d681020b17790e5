/* t_count.c - sessions counted over all server processes. */
#include "t.h"

#include "srv_count.h"
#include "text.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t key[SP_COUNT_KEY] = {1, 2, 3};
static struct sp_err err;

static struct sp_count *map(int fd, unsigned parts, unsigned mine)
{
    struct sp_count *c = sp_count_map(fd, parts, mine, key, &err);

    CHECK(c != NULL);
    return c;
}

TEST("a name's count is the sum over all parts, and other names do not add to it")
{
    struct sp_count_mark m[3] = {{0}}, other = {0};
    struct sp_count *c[3];
    int fd = -1;

    CHECK_INT(sp_count_make(3, &fd, &err), 0);
    for (unsigned i = 0; i < 3; i++)
        c[i] = map(fd, 3, i);
    for (unsigned i = 0; i < 3; i++)
        CHECK_INT(sp_count_enter(c[i], "address", SP_LIT("192.0.2.1"), &m[i]), i + 1);
    CHECK_INT(sp_count_enter(c[0], "address", SP_LIT("192.0.2.2"), &other), 1);
    sp_count_leave(c[0], &other);
    CHECK_INT(sp_count_enter(c[0], "listener", SP_LIT("192.0.2.1"), &other), 1);
    sp_count_leave(c[1], &m[1]);
    sp_count_leave(c[1], &m[1]); /* twice is once */
    CHECK_INT(sp_count_enter(c[2], "address", SP_LIT("192.0.2.1"), &other), 3);
    for (unsigned i = 0; i < 3; i++)
        sp_count_free(c[i]);
    close(fd);
}

TEST("entering again with the same mark moves it: nothing is counted twice")
{
    struct sp_count_mark m = {0};
    struct sp_count *c;
    int fd = -1;

    CHECK_INT(sp_count_make(1, &fd, &err), 0);
    c = map(fd, 1, 0);
    for (int i = 0; i < 5; i++)
        CHECK_INT(sp_count_enter(c, "address", SP_LIT("a"), &m), 1);
    sp_count_free(c);
    close(fd);
}

TEST("rates: n messages fit over all processes, n + 1 do not, and a refund gives one back")
{
    static const struct sp_rates r = {.n = {{0, 3, 0}, {0, 0, 10}}};
    struct sp_count_place at = {0}, other = {0};
    struct sp_count_over over;
    struct sp_count *c[2];
    uint64_t now = 1000000000000;
    int fd = -1;

    CHECK_INT(sp_count_make(2, &fd, &err), 0);
    for (unsigned i = 0; i < 2; i++)
        c[i] = map(fd, 2, i);
    sp_count_place(c[0], "user-rate", SP_LIT("alice"), &at);
    sp_count_place(c[0], "user-rate", SP_LIT("bob"), &other);
    for (int i = 0; i < 3; i++) {
        CHECK(sp_count_fits(c[i % 2], &at, &r, now, 1, 1, false, &over)); /* asks only */
        CHECK(sp_count_fits(c[i % 2], &at, &r, now, 1, 1, true, &over));
    }
    CHECK(!sp_count_fits(c[0], &at, &r, now, 1, 1, false, &over));
    CHECK(!sp_count_fits(c[1], &at, &r, now, 1, 1, true, &over));
    CHECK_INT(over.what, SP_RATE_MESSAGES);
    CHECK_INT(over.limit.n, 3);
    CHECK_INT(over.wait_ns, 1200 * 1000000000ull);
    sp_count_refund(c[0], &at, &r, 1, 1);
    CHECK(!sp_count_fits(c[1], &at, &r, now, 1, 9, true, &over)); /* 2 + 9 recipients */
    CHECK_INT(over.what, SP_RATE_RECIPIENTS);
    CHECK(sp_count_fits(c[1], &at, &r, now, 1, 8, true, &over)); /* what did not fit cost nothing */
    CHECK(sp_count_fits(c[1], &other, &r, now, 3, 10, true, &over));
    for (unsigned i = 0; i < 2; i++)
        sp_count_free(c[i]);
    close(fd);
}

TEST("rates: of many who ask at the same moment no more than the limit get in")
{
    static const struct sp_rates r = {.n = {{0, 0, 1000}, {0, 0, 0}}};
    struct sp_count_place at = {0};
    uint64_t now = 1000000000000;
    int fd = -1, got = 0;
    struct sp_count *c;

    CHECK_INT(sp_count_make(4, &fd, &err), 0);
    for (unsigned p = 0; p < 4; p++)
        if (fork() == 0) {
            int mine = 0;

            c = sp_count_map(fd, 4, p, key, &err);
            sp_count_place(c, "user-rate", SP_LIT("alice"), &at);
            for (int i = 0; i < 500; i++)
                mine += sp_count_fits(c, &at, &r, now, 1, 1, true, NULL);
            _exit(mine / 4); /* 0 to 125 */
        }
    for (unsigned p = 0; p < 4; p++) {
        int status = 0;

        (void)wait(&status);
        got += WEXITSTATUS(status) * 4;
    }
    CHECK(got <= 1000 && got > 900);
    close(fd);
}

TEST("what a dead process had counted goes with its part; the others' counts stay")
{
    struct sp_count_mark m = {0}, n = {0};
    struct sp_count *c, *d;
    int fd = -1;

    CHECK_INT(sp_count_make(2, &fd, &err), 0);
    c = map(fd, 2, 0);
    d = map(fd, 2, 1);
    (void)sp_count_enter(c, "address", SP_LIT("a"), &m);
    (void)sp_count_enter(d, "address", SP_LIT("a"), &n);
    sp_count_clear(c, 1);
    sp_count_clear(c, 2); /* no such part */
    n.on = false;         /* the mark died with the process */
    CHECK_INT(sp_count_enter(d, "address", SP_LIT("a"), &n), 2);
    sp_count_free(c);
    sp_count_free(d);
    close(fd);
}

TEST("a map for a part that does not exist is refused")
{
    int fd = -1;

    CHECK_INT(sp_count_make(2, &fd, &err), 0);
    CHECK(sp_count_map(fd, 2, 2, key, &err) == NULL);
    close(fd);
}

/* Each child takes and gives places for a while; none may ever see more than `limit`
 * holders that were let in. */
TEST("processes that enter at the same time never get in more than the limit together")
{
    enum { CHILDREN = 4, LIMIT = 3, ROUNDS = 20000 };
    pid_t pid[CHILDREN];
    struct sp_count *c;
    int fd = -1, inside = -1, worst = 0;

    CHECK_INT(sp_count_make(CHILDREN + 1, &fd, &err), 0);
    CHECK_INT(sp_count_make(CHILDREN + 1, &inside, &err), 0);
    for (unsigned i = 0; i < CHILDREN; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            struct sp_count *a = sp_count_map(fd, CHILDREN + 1, i, key, &err),
                            *b = sp_count_map(inside, CHILDREN + 1, i, key, &err);
            struct sp_count_mark m[2] = {{0}}, n[2] = {{0}};
            bool bad = false;

            for (int k = 0; k < ROUNDS && a && b; k++) {
                int w = k & 1; /* up to two places each: eight want three */

                sp_count_leave(b, &n[w]);
                if (sp_count_enter(a, "x", SP_LIT("x"), &m[w]) > LIMIT)
                    sp_count_leave(a, &m[w]);
                else
                    bad |= sp_count_enter(b, "x", SP_LIT("x"), &n[w]) > LIMIT;
            }
            for (int w = 0; w < 2; w++) {
                sp_count_leave(b, &n[w]);
                sp_count_leave(a, &m[w]);
            }
            _exit(bad);
        }
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status = 1;

        (void)waitpid(pid[i], &status, 0);
        worst |= status;
    }
    CHECK_INT(worst, 0);
    c = map(fd, CHILDREN + 1, CHILDREN);
    {
        struct sp_count_mark m = {0};

        CHECK_INT(sp_count_enter(c, "x", SP_LIT("x"), &m), 1); /* all went out again */
    }
    sp_count_free(c);
    close(fd);
    close(inside);
}

TEST("an IPv6 client counts for its /64, an IPv4 one for itself, in IPv6 clothes too")
{
    static const struct {
        const char *address, *want;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"2001:db8:1:2::1", "2001:db8:1:2::/64"},
        {"2001:db8:1:3::1", "2001:db8:1:3::/64"},
        {"::1", "::/64"},
        {"", ""},
        {"local", "local"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char buf[100], text[100];
        struct sp_str s = sp_count_address(rows[i].address, buf, sizeof buf);

        snprintf(text, sizeof text, "%.*s", (int)s.n, s.p);
        CHECK_STR(text, rows[i].want);
    }
}

T_MAIN
