/* story.c - see story.h. */
#include "story.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One escape at *p (behind the backslash); appends, returns false when unknown. */
static bool escape(const char **p, FILE *out)
{
    char *end;
    long n;

    switch (*(*p)++) {
    case 'r':
        return fputc('\r', out) != EOF;
    case 'n':
        return fputc('\n', out) != EOF;
    case '0':
        return fputc('\0', out) != EOF;
    case 's':
        return fputc(' ', out) != EOF;
    case '\\':
        return fputc('\\', out) != EOF;
    case 'x':
        if (hex((*p)[0]) < 0 || hex((*p)[1]) < 0)
            return false;
        fputc(hex((*p)[0]) << 4 | hex((*p)[1]), out);
        *p += 2;
        return true;
    case '*':
        n = strtol(*p, &end, 10);
        if (end == *p || !*end || n < 0 || n > 100000000)
            return false;
        for (; n; n--)
            fputc(*end, out);
        *p = end + 1;
        return true;
    default:
        return false;
    }
}

static bool unescape(const char *p, const char *tail, char **ret, size_t *ret_len)
{
    FILE *out = open_memstream(ret, ret_len);
    bool good = out != NULL;

    while (good && *p) {
        if (*p != '\\') {
            fputc(*p++, out);
            continue;
        }
        p++;
        good = escape(&p, out);
    }
    if (!out)
        return false;
    fputs(tail, out);
    fclose(out);
    return good;
}

static bool add(struct story *st, enum story_kind kind, const char *text,
                const char *tail, unsigned line)
{
    struct story_step *s = realloc(st->step, (st->n + 1) * sizeof *s);

    if (!s)
        return false;
    st->step = s;
    s += st->n;
    memset(s, 0, sizeof *s);
    s->kind = kind;
    s->line = line;
    st->n++;
    return unescape(text, tail, &s->text, &s->len);
}

static bool starts(const char *l, const char *word)
{
    size_t n = strlen(word);

    return strncmp(l, word, n) == 0 && (l[n] == ' ' || l[n] == '\0');
}

static const char *rest(const char *l, size_t n)
{
    return l + n + (l[n] == ' ');
}

static bool read_line(struct story *st, const char *l, unsigned no)
{
    static const struct {
        const char *head;
        enum story_kind kind;
        const char *tail;
    } kinds[] = {
        {"C:", STORY_CLIENT, "\r\n"}, {"C-", STORY_CLIENT, ""},
        {"S:", STORY_SERVER, "\r\n"}, {"S-", STORY_SERVER, ""},
        {"S~", STORY_REPLY, ""},      {"!", STORY_DO, ""},
        {"=", STORY_EXPECT, ""},      {"closed", STORY_CLOSED, ""},
        {"open", STORY_OPEN, ""},
    };

    if (l[0] == '#') {
        if (!st->name[0])
            snprintf(st->name, sizeof st->name, "%s", rest(l, 1));
        return true;
    }
    if (l[0] == '\0')
        return true;
    if (starts(l, "server"))
        return (st->server = strdup(rest(l, 6))) != NULL;
    if (starts(l, "client"))
        return (st->client = strdup(rest(l, 6))) != NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (starts(l, kinds[i].head))
            return add(st, kinds[i].kind, rest(l, strlen(kinds[i].head)), kinds[i].tail,
                       no);
    return false;
}

bool story_read(struct story *st, const char *path)
{
    FILE *in = fopen(path, "r");
    char line[8192];
    unsigned no = 0;

    memset(st, 0, sizeof *st);
    snprintf(st->path, sizeof st->path, "%s", path);
    if (!in) {
        printf("%s: cannot be opened\n", path);
        return false;
    }
    while (fgets(line, sizeof line, in)) {
        no++;
        line[strcspn(line, "\n")] = '\0';
        if (!read_line(st, line, no)) {
            printf("%s:%u: not understood: %s\n", path, no, line);
            fclose(in);
            return false;
        }
    }
    fclose(in);
    return true;
}

void story_free(struct story *st)
{
    for (size_t i = 0; i < st->n; i++)
        free(st->step[i].text);
    free(st->step);
    free(st->server);
    free(st->client);
    memset(st, 0, sizeof *st);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t story_list(const char *dir, char ***ret)
{
    DIR *d = opendir(dir);
    char **list = NULL;
    size_t n = 0;

    *ret = NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        char path[1024];

        if (len < 7 || strcmp(e->d_name + len - 6, ".story") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        list = realloc(list, (n + 1) * sizeof *list);
        list[n++] = strdup(path);
    }
    if (d)
        closedir(d);
    if (n)
        qsort(list, n, sizeof *list, by_name);
    *ret = list;
    return n;
}
