/* t_queue_dests.c - the queue by destination, from rows as queue.list gives them. */
#include "t.h"

#include "queue_dests.h"

#include <string.h>

enum { NOW = 2000000000 }; /* seconds */

static void row(struct sp_qdests *t, long long minutes_old, const char *recipients)
{
    char text[2000];
    json_t *j;

    snprintf(text, sizeof text, "{\"created_ms\":%lld,\"recipients\":[%s]}",
             NOW * 1000LL - minutes_old * 60000, recipients);
    j = json_loads(text, 0, NULL);
    CHECK(j != NULL);
    CHECK_INT(sp_qdests_add(t, j), 0);
    json_decref(j);
}

static void check_printed(struct sp_qdests *t, const char *want)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    sp_qdests_print(t, f);
    fclose(f);
    CHECK_STR(text, want);
    free(text);
    sp_qdests_free(t);
}

static struct sp_qdests *fresh(struct sp_qdests_opts o)
{
    o.now_ms = NOW * 1000ULL;
    return sp_qdests_new(&o);
}

static void some(struct sp_qdests *t)
{
    row(t, 0, "{\"address\":\"a@small.test\",\"status\":\"queued\",\"attempts\":0}");
    row(t, 4, "{\"address\":\"a@Big.test\",\"status\":\"queued\",\"attempts\":1,\"next_ms\":2000000090000,"
              "\"last\":{\"at_ms\":5,\"code\":450,\"enhanced\":\"4.2.0\",\"text\":\"old\",\"where\":\"\"}}");
    row(t, 5, "{\"address\":\"b@big.test\",\"status\":\"held\",\"attempts\":2,"
              "\"last\":{\"at_ms\":7,\"code\":451,\"enhanced\":\"4.7.1\",\"text\":\"grey\\u001b\",\"where\":\"mx1\"}},"
              "{\"address\":\"c@big.test\",\"status\":\"delivered\",\"attempts\":1},"
              "{\"address\":\"x@big.test\",\"status\":\"queued\",\"matches\":false}");
    row(t, 2559, "{\"address\":\"d@big.test\",\"status\":\"active\",\"attempts\":9}");
    row(t, 2560, "{\"address\":\"e@big.test\",\"status\":\"queued\",\"attempts\":9,\"next_ms\":2000000030000}");
}

TEST("ages: who waits 5 minutes is in the column of 10; what is done or does not match is not counted")
{
    struct sp_qdests *t = fresh((struct sp_qdests_opts){.shape = true});

    some(t);
    check_printed(t, "  total    5m   10m   20m   40m   80m  160m  320m  640m 1280m 2560m older  destination\n"
                     "      5     2     1     0     0     0     0     0     0     0     1     1  TOTAL\n"
                     "      4     1     1     0     0     0     0     0     0     0     1     1  big.test\n"
                     "      1     1     0     0     0     0     0     0     0     0     0     0  small.test\n");
}

TEST("destinations: oldest, next attempt, newest answer; control octets do not come through")
{
    struct sp_qdests *t = fresh((struct sp_qdests_opts){0});

    some(t);
    check_printed(t, "waiting active  held oldest  next  destination\n"
                     "      4      1     1    42h   30s  big.test\n"
                     "        451 4.7.1 grey\\x1b  (mx1)\n"
                     "      1      0     0     0s   now  small.test\n");
}

TEST("the limit is about destinations, the total about all; JSON is an object a line")
{
    struct sp_qdests *t = fresh((struct sp_qdests_opts){.limit = 1});

    some(t);
    check_printed(t, "waiting active  held oldest  next  destination\n"
                     "      4      1     1    42h   30s  big.test\n"
                     "        451 4.7.1 grey\\x1b  (mx1)\n"
                     "and 1 more\n");
    t = fresh((struct sp_qdests_opts){.limit = 1, .json = true, .shape = true});
    some(t);
    check_printed(t, "{\"destination\":\"big.test\",\"recipients\":4,\"ages\":{\"5m\":1,\"10m\":1,\"20m\":0,"
                     "\"40m\":0,\"80m\":0,\"160m\":0,\"320m\":0,\"640m\":0,\"1280m\":0,\"2560m\":1,\"older\":1}}\n");
    t = fresh((struct sp_qdests_opts){.shape = true});
    check_printed(t, "nothing waits\n");
}

TEST("hundreds of destinations, the largest first, equal ones by name")
{
    struct sp_qdests *t = fresh((struct sp_qdests_opts){.limit = 3});
    char text[200];

    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "{\"address\":\"a@d%03d.test\",\"status\":\"queued\"}", i);
        row(t, 1, text);
    }
    row(t, 1, "{\"address\":\"a@d400.test\",\"status\":\"queued\"}");
    check_printed(t, "waiting active  held oldest  next  destination\n"
                     "      2      0     0    60s   now  d400.test\n"
                     "      1      0     0    60s   now  d000.test\n"
                     "      1      0     0    60s   now  d001.test\n"
                     "and 497 more\n");
}

T_MAIN
