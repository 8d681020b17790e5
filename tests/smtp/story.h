/*
 * story.h - reading *.story files (stories/README.md); the players are elsewhere.
 *
 *     struct story st;
 *     if (!story_read(&st, path)) ...          prints what is wrong
 *     for (size_t i = 0; i < st.n; i++) st.step[i].kind, .text, .len
 *     story_free(&st);
 */
#ifndef SP_STORY_H
#define SP_STORY_H

#include <stdbool.h>
#include <stddef.h>

enum story_kind {
    STORY_CLIENT, /* octets of the client, CRLF included where the line has one */
    STORY_SERVER, /* the same of the server */
    STORY_REPLY,  /* "S~" */
    STORY_DO,     /* "!" */
    STORY_EXPECT, /* "=" */
    STORY_CLOSED,
    STORY_OPEN,
};

struct story_step {
    enum story_kind kind;
    char *text; /* unescaped, NUL behind it */
    size_t len;
    unsigned line; /* in the file */
};

struct story {
    char path[512], name[512];
    char *server, *client; /* settings, NULL: not for that engine */
    struct story_step *step;
    size_t n;
};

bool story_read(struct story *st, const char *path);
void story_free(struct story *st);
/* All *.story below dir, sorted; returns how many.  Free each and the array. */
size_t story_list(const char *dir, char ***ret);

#endif
