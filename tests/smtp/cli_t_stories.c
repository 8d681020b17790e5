/*
 * cli_t_stories.c - plays every story of a folder: in one piece, in pieces of every
 * size, through a clone after every step, and with every allocation failing in turn.
 *
 *     cli_t_stories FOLDER [part of a name]
 */
#include "cli_play.h"

#include "alloc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_story(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 6 && strcmp(d->d_name + n - 6, ".story") == 0;
}

static int in_pieces(const char *path, const char *text)
{
    struct play_options o = {.chunk = 0};
    int bad = play_story(path, text, &o);

    for (o.chunk = 1; o.chunk <= 64 && !bad; o.chunk += o.chunk < 24 ? 1 : 8)
        bad = play_story(path, text, &o);
    o.chunk = 7;
    o.clone = true;
    return bad ? bad : play_story(path, text, &o);
}

/* A leak or a stray pointer is the sanitizers' to report. */
static void out_of_memory(const char *path, const char *text)
{
    struct play_options o = {.lenient = true, .quiet = true};
    long n;

    sp_alloc_fail_at(-1, 0);
    (void)play_story(path, text, &o);
    n = sp_alloc_count();
    for (long i = 0; i < n && i < 400; i++)
        for (int sticky = 0; sticky < 2; sticky++) {
            sp_alloc_fail_at(i, sticky);
            (void)play_story(path, text, &o);
        }
    sp_alloc_fail_at(-1, 0);
}

int main(int argc, char **argv)
{
    struct dirent **list;
    int n, passed = 0, failed = 0;

    if (argc < 2 || (n = scandir(argv[1], &list, is_story, by_name)) <= 0) {
        printf("no stories\n0 passed, 1 failed\n");
        return 1;
    }
    for (int i = 0; i < n; i++) {
        char path[1000], *text;

        snprintf(path, sizeof path, "%s/%s", argv[1], list[i]->d_name);
        text = argc > 2 && !strstr(list[i]->d_name, argv[2]) ? NULL : play_read(path);
        if (text) {
            if (in_pieces(path, text)) {
                printf("FAILED: %s\n", list[i]->d_name);
                failed++;
            } else {
                out_of_memory(path, text);
                passed++;
            }
        }
        free(text);
        free(list[i]);
    }
    free(list);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0 || passed == 0;
}
