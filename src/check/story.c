/* story.c - see story.h. */
#include "story.h"

#include "alloc.h"
#include "err.h"
#include "text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEAT_MAX = 100000000, STEPS_MAX = 100000 };

static int hex(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "5000x": 5000 times x. */
static int repeat(struct sp_str *s, struct sp_buf *out)
{
    uint64_t n;
    size_t digits = 0;
    char *p;

    while (digits < s->n && s->p[digits] >= '0' && s->p[digits] <= '9')
        digits++;
    if (digits == s->n || sp_str_u64((struct sp_str){s->p, digits}, REPEAT_MAX, &n) < 0)
        return -SP_EINPUT;
    p = sp_buf_room(out, n + 1);
    if (!p)
        return -SP_ENOMEM;
    memset(p, s->p[digits], n);
    out->n += n;
    *s = (struct sp_str){s->p + digits + 1, s->n - digits - 1};
    return 0;
}

/* One escape at the front of *s (behind the backslash). */
static int escape(struct sp_str *s, struct sp_buf *out)
{
    static const char from[] = "rn0s\\", to[] = {'\r', '\n', '\0', ' ', '\\'};
    const char *at;
    char c;

    if (s->n == 0)
        return -SP_EINPUT;
    c = *s->p++;
    s->n--;
    if (c == '*')
        return repeat(s, out);
    if (c == 'x') {
        if (s->n < 2 || hex(s->p[0]) < 0 || hex(s->p[1]) < 0)
            return -SP_EINPUT;
        c = (char)(hex(s->p[0]) << 4 | hex(s->p[1]));
        *s = (struct sp_str){s->p + 2, s->n - 2};
        return sp_buf_put(out, &c, 1);
    }
    at = c ? strchr(from, c) : NULL;
    return at ? sp_buf_put(out, &to[at - from], 1) : -SP_EINPUT;
}

static int unescape(struct sp_str s, const char *tail, char **ret, size_t *ret_len)
{
    struct sp_buf out;
    int rc = 0;

    sp_buf_init(&out, REPEAT_MAX + SP_STORY_FILE_MAX);
    while (rc == 0 && s.n) {
        char c = *s.p++;

        s.n--;
        rc = c == '\\' ? escape(&s, &out) : sp_buf_put(&out, &c, 1);
    }
    if (rc == 0)
        rc = sp_buf_puts(&out, tail);
    if (rc == 0 && !sp_buf_cstr(&out))
        rc = -SP_ENOMEM;
    if (rc < 0) {
        sp_buf_free(&out);
        return rc;
    }
    *ret = out.p;
    *ret_len = out.n;
    return 0;
}

static int add(struct sp_story *st, enum sp_story_kind kind, struct sp_str text,
               const char *tail, unsigned line)
{
    struct sp_story_step *s;

    if (st->n >= STEPS_MAX)
        return -SP_ELIMIT;
    s = sp_realloc(st->step, (st->n + 1) * sizeof *s);
    if (!s)
        return -SP_ENOMEM;
    st->step = s;
    s += st->n;
    memset(s, 0, sizeof *s);
    s->kind = kind;
    s->line = line;
    st->n++;
    return unescape(text, tail, &s->text, &s->len);
}

/* Does the line begin with this word?  Then *l is what is behind it. */
static bool word(struct sp_str *l, const char *w)
{
    size_t n = strlen(w);

    if (l->n < n || memcmp(l->p, w, n) != 0 || (l->n > n && l->p[n] != ' '))
        return false;
    n += l->n > n;
    *l = (struct sp_str){l->p + n, l->n - n};
    return true;
}

static int keep(char **to, struct sp_str l)
{
    sp_free(*to);
    *to = sp_strndup(l.n ? l.p : "", l.n);
    return *to ? 0 : -SP_ENOMEM;
}

static int read_line(struct sp_story *st, struct sp_str l, unsigned no)
{
    static const struct {
        const char *head;
        enum sp_story_kind kind;
        const char *tail;
    } kinds[] = {
        {"C:", SP_STORY_CLIENT, "\r\n"}, {"C-", SP_STORY_CLIENT, ""},
        {"S:", SP_STORY_SERVER, "\r\n"}, {"S-", SP_STORY_SERVER, ""},
        {"S~", SP_STORY_REPLY, ""},      {"!", SP_STORY_DO, ""},
        {"=", SP_STORY_EXPECT, ""},      {"closed", SP_STORY_CLOSED, ""},
        {"open", SP_STORY_OPEN, ""},
    };

    if (l.n == 0)
        return 0;
    if (l.p[0] == '#') {
        if (!st->name[0] && word(&l, "#"))
            snprintf(st->name, sizeof st->name, "%.*s", (int)l.n, l.n ? l.p : "");
        return 0;
    }
    if (word(&l, "server"))
        return keep(&st->server, l);
    if (word(&l, "client"))
        return keep(&st->client, l);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (word(&l, kinds[i].head))
            return add(st, kinds[i].kind, l, kinds[i].tail, no);
    return -SP_EINPUT;
}

int sp_story_parse(struct sp_story *st, const char *path, struct sp_str text,
                   struct sp_err *err)
{
    unsigned no = 0;

    memset(st, 0, sizeof *st);
    snprintf(st->path, sizeof st->path, "%s", path);
    while (text.n) {
        struct sp_str l = sp_str_cut(&text, '\n');
        int rc = read_line(st, l, ++no);

        if (rc == -SP_ENOMEM)
            return sp_err_nomem(err);
        if (rc < 0)
            return sp_err_set(err, SP_CLASS_PEER, (enum sp_code) - rc,
                              "%s:%u: not understood: %.*s", path, no,
                              l.n > 100 ? 100 : (int)l.n, l.p);
    }
    return 0;
}

int sp_story_load(const char *path, struct sp_buf *out, struct sp_err *err)
{
    FILE *in = fopen(path, "r");
    size_t n = 1;
    int rc = 0;

    if (!in)
        return sp_err_sys(err, SP_CLASS_PEER, SP_ENOENT, "cannot open %s", path);
    while (n && rc == 0) {
        char *p = sp_buf_room(out, 4096);

        n = p ? fread(p, 1, 4096, in) : 0;
        out->n += n;
        if (!p)
            rc = sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "%s is too long for a story",
                            path);
    }
    if (rc == 0 && ferror(in))
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read %s", path);
    fclose(in);
    return rc;
}

int sp_story_read(struct sp_story *st, const char *path, struct sp_err *err)
{
    struct sp_buf b;
    int rc;

    memset(st, 0, sizeof *st);
    sp_buf_init(&b, SP_STORY_FILE_MAX);
    rc = sp_story_load(path, &b, err);
    if (rc == 0)
        rc = sp_story_parse(st, path, sp_buf_view(&b), err);
    sp_buf_free(&b);
    return rc;
}

void sp_story_free(struct sp_story *st)
{
    for (size_t i = 0; i < st->n; i++)
        sp_free(st->step[i].text);
    sp_free(st->step);
    sp_free(st->server);
    sp_free(st->client);
    memset(st, 0, sizeof *st);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t sp_story_list(const char *dir, char ***ret)
{
    DIR *d = opendir(dir);
    char **list = NULL;
    size_t n = 0;

    *ret = NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        char path[1024], **grown;

        if (len < 7 || strcmp(e->d_name + len - 6, ".story") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        grown = sp_realloc(list, (n + 1) * sizeof *list);
        if (!grown)
            break;
        list = grown;
        list[n] = sp_strdup(path);
        if (!list[n])
            break;
        n++;
    }
    if (d)
        closedir(d);
    if (n)
        qsort(list, n, sizeof *list, by_name);
    *ret = list;
    return n;
}
