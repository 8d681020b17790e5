/* header.c - see header.h. */
#include "header.h"

#include <string.h>

/* A name longer than this is none: its line could not be a legal one (RFC 5322 2.1.1). */
#define NAME_OCTETS_MAX 900

/* RFC 5322 2.2: printable ASCII but the colon. */
static bool is_name_octet(char c)
{
    return c > 32 && c < 127 && c != ':';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The line at pos, its line end included. */
static struct sp_str line_at(struct sp_str in, size_t pos)
{
    const char *p = in.p + pos;
    const char *lf = memchr(p, '\n', in.n - pos);

    return (struct sp_str){p, lf ? (size_t)(lf - p) + 1 : in.n - pos};
}

static struct sp_str without_end(struct sp_str line)
{
    if (line.n && line.p[line.n - 1] == '\n') {
        line.n--;
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
    }
    return line;
}

static bool is_empty_line(struct sp_str line)
{
    return line.n && line.p[line.n - 1] == '\n' && without_end(line).n == 0;
}

/* *colon is written for the kinds that have a name. */
static enum sp_field_kind classify(struct sp_str line, size_t *name_n, size_t *colon)
{
    size_t n = 0, i;

    while (n < line.n && n <= NAME_OCTETS_MAX && is_name_octet(line.p[n]))
        n++;
    if (n == 0 || n > NAME_OCTETS_MAX)
        return SP_FIELD_NONE;
    for (i = n; i < line.n && is_blank(line.p[i]);)
        i++;
    *name_n = n;
    *colon = i;
    if (i < line.n && line.p[i] == ':')
        return i == n ? SP_FIELD_OK : SP_FIELD_BLANK_NAME;
    if (i > n && line.p[n] == ' ' &&
        (sp_str_is((struct sp_str){line.p, n}, "From") ||
         sp_str_is((struct sp_str){line.p, n}, ">From")))
        return SP_FIELD_MBOX;
    return SP_FIELD_NONE;
}

/* Does the message begin with something that can be a header? */
static bool begins_header(struct sp_str in)
{
    size_t a, b, pos = 0;
    struct sp_str line = line_at(in, 0);

    if (in.n && !is_empty_line(line) && classify(line, &a, &b) == SP_FIELD_MBOX)
        pos = line.n;
    line = line_at(in, pos);
    return line.n == 0 || is_empty_line(line) ||
           (classify(line, &a, &b) != SP_FIELD_NONE &&
            (pos == 0 || classify(line, &a, &b) != SP_FIELD_MBOX));
}

void sp_header_start(struct sp_header_iter *it, struct sp_str msg)
{
    memset(it, 0, sizeof *it);
    it->in = msg;
    it->line = 1;
    if (msg.n == 0 || !begins_header(msg))
        it->at_end = true;
}

static struct sp_str trim_value(struct sp_str v)
{
    while (v.n && (is_blank(v.p[0]) || v.p[0] == '\r' || v.p[0] == '\n')) {
        v.p++;
        v.n--;
    }
    while (v.n &&
           (is_blank(v.p[v.n - 1]) || v.p[v.n - 1] == '\r' || v.p[v.n - 1] == '\n'))
        v.n--;
    return v;
}

/* Counts one more line into the field. */
static void take_line(struct sp_header_iter *it, struct sp_str line, struct sp_field *f)
{
    struct sp_str bare = without_end(line);

    if (bare.n > f->longest)
        f->longest = bare.n;
    for (size_t i = 0; i < bare.n && !f->has_8bit; i++)
        f->has_8bit = (unsigned char)bare.p[i] > 127;
    f->raw.n += line.n;
    it->pos += line.n;
    it->line++;
    it->work += line.n;
}

bool sp_header_next(struct sp_header_iter *it, struct sp_field *ret)
{
    struct sp_field f = {.offset = it->pos, .line = it->line};
    struct sp_str line;
    size_t name_n = 0, colon = 0;

    if (it->at_end)
        return false;
    line = line_at(it->in, it->pos);
    if (line.n == 0 || is_empty_line(line)) {
        it->at_end = true;
        it->complete = line.n != 0;
        it->body = it->pos + line.n;
        return false;
    }
    f.raw = (struct sp_str){line.p, 0};
    f.kind = classify(line, &name_n, &colon);
    if (f.kind == SP_FIELD_MBOX && it->pos != 0)
        f.kind = SP_FIELD_NONE;
    do {
        take_line(it, line, &f);
        line = line_at(it->in, it->pos);
        /* A mailbox line has no continuation: what follows is judged by itself. */
    } while (line.n && is_blank(line.p[0]) && f.kind != SP_FIELD_MBOX);
    if (f.kind == SP_FIELD_OK || f.kind == SP_FIELD_BLANK_NAME) {
        f.name = (struct sp_str){f.raw.p, name_n};
        f.value = trim_value((struct sp_str){f.raw.p + colon + 1, f.raw.n - colon - 1});
    }
    *ret = f;
    return true;
}

bool sp_field_named(const struct sp_field *f, const char *name)
{
    return f->name.n && sp_str_caseis(f->name, name);
}

bool sp_header_find(struct sp_str header, const char *name, size_t nth,
                    struct sp_field *ret)
{
    struct sp_header_iter it;
    struct sp_field f;

    sp_header_start(&it, header);
    while (sp_header_next(&it, &f)) {
        if (!sp_field_named(&f, name) || nth-- > 0)
            continue;
        *ret = f;
        return true;
    }
    return false;
}

size_t sp_header_count(struct sp_str header, const char *name)
{
    struct sp_header_iter it;
    struct sp_field f;
    size_t n = 0;

    sp_header_start(&it, header);
    while (sp_header_next(&it, &f))
        n += sp_field_named(&f, name);
    return n;
}

int sp_field_unfold(struct sp_str value, struct sp_buf *out)
{
    char *p = sp_buf_room(out, value.n);
    size_t n = 0;

    if (!p && value.n)
        return out->n + value.n > out->max ? -SP_ELIMIT : -SP_ENOMEM;
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if (c == '\n' || (c == '\r' && i + 1 < value.n && value.p[i + 1] == '\n'))
            continue;
        p[n++] = c < 32 || c == 127 ? ' ' : (char)c;
    }
    out->n += n;
    return 0;
}

/* ---- The end of the header, octet by octet --------------------------------------- */

enum { LINE_START, LINE_CR, LINE_INSIDE };

size_t sp_header_scan(struct sp_header_scan *s, struct sp_str chunk)
{
    size_t i = 0;

    while (i < chunk.n && !s->done) {
        char c = chunk.p[i++];

        if (c == '\n') {
            s->done = s->state != LINE_INSIDE;
            s->state = LINE_START;
        } else {
            s->state = c == '\r' && s->state == LINE_START ? LINE_CR : LINE_INSIDE;
        }
    }
    s->size += i;
    return i;
}
