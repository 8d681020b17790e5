/* srv_stories.c - every story against the server engine, in every chunk size. */
#include "srv_play.h"

#include "alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

/* Chunk sizes 1, 2, 3 ... for a normal dialogue; for pieces of thousands of octets the
 * small ones, a few odd ones, and those around the whole. */
static bool wanted(size_t chunk, size_t octets)
{
    return octets <= 400 || chunk <= 40 || chunk + 8 > octets || chunk % 1009 == 0;
}

static bool all_chunks(const struct sp_story *st)
{
    struct srv_play_result whole, r;
    bool good = srv_play(st, 0, false, &whole);

    for (size_t chunk = 1; good && chunk <= whole.octets; chunk++) {
        if (!wanted(chunk, whole.octets))
            continue;
        good = srv_play(st, chunk, false, &r);
        free(r.out);
    }
    free(whole.out);
    return good;
}

/* With memory failing: everything that was said before is what is said with memory, then
 * comes 421 4.3.0 and nothing more; or nothing is missed at all (a note for the log). */
static bool defined(const struct srv_play_result *r,
                    const struct srv_play_result *normal)
{
    static const char goodbye[] = "421 4.3.0 Out of memory, connect again later\r\n";
    size_t tail = sizeof goodbye - 1, head;

    if (r->good || r->out_len == 0)
        return true;
    if (r->out_len < tail || memcmp(r->out + r->out_len - tail, goodbye, tail) != 0)
        return false;
    head = r->out_len - tail;
    return head <= normal->out_len && memcmp(r->out, normal->out, head) == 0;
}

/* Every allocation fails in turn, alone and with all later ones; the sanitizer looks for
 * leaks. */
static bool no_memory(const struct sp_story *st)
{
    struct srv_play_result normal, r;
    bool good = true;
    long total;

    sp_alloc_fail_at(-1, 0);
    srv_play(st, 0, true, &normal);
    total = sp_alloc_count();
    for (long n = 0; n < total * 2 && good; n++) {
        sp_alloc_fail_at(n / 2, n % 2);
        srv_play(st, 0, true, &r);
        sp_alloc_fail_at(-1, 0);
        good = defined(&r, &normal);
        if (!good)
            printf("%s: allocation %ld of %ld: \"%s\"\n", st->path, n / 2, total,
                   r.out);
        free(r.out);
    }
    free(normal.out);
    return good;
}

static void play(const char *path)
{
    struct sp_story st;
    struct sp_err err;
    bool good = sp_story_read(&st, path, &err) == 0;

    if (!good)
        printf("%s\n", err.text);

    if (good && !st.server) {
        sp_story_free(&st);
        return;
    }
    good = good && all_chunks(&st) && no_memory(&st);
    if (!good)
        printf("FAILED: %s (%s)\n", st.name, path);
    *(good ? &passed : &failed) += 1;
    sp_story_free(&st);
}

int main(int argc, char **argv)
{
    char **list;
    size_t n;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        size_t len = strlen(argv[i]);

        if (len > 6 && strcmp(argv[i] + len - 6, ".story") == 0) {
            play(argv[i]);
            continue;
        }
        n = sp_story_list(argv[i], &list);
        for (size_t k = 0; k < n; k++) {
            play(list[k]);
            sp_free(list[k]);
        }
        sp_free(list);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
