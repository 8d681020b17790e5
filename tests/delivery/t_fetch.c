/* t_fetch.c - fetch.h: what a program that prints a secret may and may not do to us. */
#include "fetch.h"

#include "t.h"

#include <stdlib.h>

struct seen {
    int calls;
    char line[200], words[420];
};

static void done(void *arg, struct sp_str line, const struct sp_err *err)
{
    struct seen *s = arg;

    s->calls++;
    snprintf(s->line, sizeof s->line, "%.*s", (int)(line.n < 199 ? line.n : 199),
             line.p ? line.p : "");
    snprintf(s->words, sizeof s->words, "%s", err ? err->text : "");
}

static struct seen run(const char *const *argv, size_t n, unsigned ms)
{
    struct seen s = {0};
    struct sp_err err = {0};
    uv_loop_t loop;

    uv_loop_init(&loop);
    if (!sp_fetch_start(&loop, argv, n, ms, done, &s, &err))
        snprintf(s.words, sizeof s.words, "%s", err.text);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
    return s;
}

static struct seen shell(const char *script, unsigned ms)
{
    const char *const argv[] = {"/bin/sh", "-c", script};

    return run(argv, 3, ms);
}

TEST("the first line is the secret, without its end")
{
    static const char *const scripts[] = {"printf 'tok\\nmore\\n'",
                                          "printf 'tok\\r\\n'", "printf tok",
                                          "sleep 0.1; echo tok"};

    for (size_t i = 0; i < 4; i++) {
        struct seen s = shell(scripts[i], 20000);

        CHECK_INT(s.calls, 1);
        CHECK_STR(s.line, "tok");
        CHECK_STR(s.words, "");
    }
}

TEST("words are arguments: nothing in them means anything to a shell")
{
    const char *const argv[] = {"/bin/echo", "$HOME;id", "`id`", "a b"};

    CHECK_STR(run(argv, 4, 20000).line, "$HOME;id `id` a b");
}

TEST("a program that fails gives no secret, whatever it printed")
{
    struct seen s = shell("echo tok; exit 3", 20000);

    CHECK_INT(s.calls, 1);
    CHECK_STR(s.line, "");
    CHECK(strstr(s.words, "status 3") != NULL);
    CHECK(strstr(shell("kill -9 $$", 20000).words, "signal 9") != NULL);
    CHECK(strstr(shell("true", 20000).words, "nothing") != NULL);
    CHECK(strstr(shell("echo", 20000).words, "nothing") != NULL);
}

TEST("a program that is not there is an error at once")
{
    const char *const argv[] = {"/nonexistent/get-token"};
    struct seen s = run(argv, 1, 20000);

    CHECK_INT(s.calls, 0);
    CHECK(strstr(s.words, "/nonexistent/get-token") != NULL);
}

TEST("too much is cut off, too long is killed, with the children")
{
    CHECK(strstr(shell("yes", 20000).words, "too much") != NULL);
    CHECK(strstr(shell("sleep 30 & sleep 30", 300).words, "too long") != NULL);
    CHECK(strstr(shell("exec 1>&-; sleep 30", 300).words, "too long") != NULL);
    CHECK(strstr(shell("trap '' TERM; sleep 30; echo tok", 300).words, "too long") !=
          NULL);
}

TEST("a cancelled one is never told")
{
    const char *const argv[] = {"/bin/sh", "-c", "sleep 30"};
    struct seen s = {0};
    struct sp_err err;
    uv_loop_t loop;
    struct sp_fetch *f;

    uv_loop_init(&loop);
    f = sp_fetch_start(&loop, argv, 3, 20000, done, &s, &err);
    CHECK(f != NULL);
    sp_fetch_cancel(f);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
    CHECK_INT(s.calls, 0);
}

T_MAIN
