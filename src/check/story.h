/*
 * story.h - reading *.story files: a dialogue as text (tests/smtp/stories/README.md, and
 * stories/README.md beside this file).  What plays them is elsewhere.
 *
 *     struct sp_story st;
 *     if (sp_story_read(&st, path, &err) < 0) ...     err names file and line
 *     for (size_t i = 0; i < st.n; i++) st.step[i].kind, .text, .len
 *     sp_story_free(&st);
 *
 * Everything in a story is its own and lives until sp_story_free(), which is right after
 * an error, too.  Errors: -SP_EINPUT (a line that is none), -SP_ENOENT, -SP_EIO,
 * -SP_ELIMIT, -SP_ENOMEM.
 */
#ifndef SP_STORY_H
#define SP_STORY_H

#include "buf.h"

#define SP_STORY_FILE_MAX (1 << 20)

enum sp_story_kind {
    SP_STORY_CLIENT, /* octets of the client, CRLF included where the line has one */
    SP_STORY_SERVER, /* the same of the server */
    SP_STORY_REPLY,  /* "S~" */
    SP_STORY_DO,     /* "!" */
    SP_STORY_EXPECT, /* "=" */
    SP_STORY_CLOSED,
    SP_STORY_OPEN,
};

struct sp_story_step {
    enum sp_story_kind kind;
    char *text; /* unescaped, NUL behind it */
    size_t len;
    unsigned line; /* in the file */
};

struct sp_story {
    char path[512], name[512];
    char *server, *client; /* settings, NULL: not for that engine */
    struct sp_story_step *step;
    size_t n;
};

int sp_story_read(struct sp_story *st, const char *path, struct sp_err *err);
/* The same from memory; `path` is what messages call it. */
int sp_story_parse(struct sp_story *st, const char *path, struct sp_str text,
                   struct sp_err *err);
/* Only its text, appended to out (whose maximum is SP_STORY_FILE_MAX). */
int sp_story_load(const char *path, struct sp_buf *out, struct sp_err *err);
void sp_story_free(struct sp_story *st);
/* All *.story below dir, sorted; returns how many.  sp_free() each and the array. */
size_t sp_story_list(const char *dir, char ***ret);

#endif
