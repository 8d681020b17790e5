/* medit.c - see medit.h. */
#include "medit.h"

#include "header.h"

#include <string.h>

void sp_medit_init(struct sp_medit *e, size_t max)
{
    memset(e, 0, sizeof *e);
    e->max = max;
    /* Places for the fields, and each of them twice: raw, and as milters see it. */
    sp_arena_init(&e->arena, 16 * max + (1 << 16));
}

void sp_medit_free(struct sp_medit *e)
{
    size_t max = e->max;

    sp_arena_reset(&e->arena);
    sp_medit_init(e, max);
}

static int place(struct sp_medit *e, size_t at, const struct sp_medit_field *f)
{
    if (e->octets + f->raw.n > e->max)
        return -SP_ELIMIT;
    if (e->n == e->room) {
        size_t room = e->room ? 2 * e->room : 64;
        struct sp_medit_field *v = sp_arena_alloc(&e->arena, room * sizeof *v);

        if (!v)
            return -SP_ENOMEM;
        if (e->n)
            memcpy(v, e->field, e->n * sizeof *v);
        e->field = v;
        e->room = room;
    }
    memmove(e->field + at + 1, e->field + at, (e->n - at) * sizeof *e->field);
    e->field[at] = *f;
    e->n++;
    e->octets += f->raw.n;
    return 0;
}

/* Line ends become LF, the last one goes. */
static int value_of(struct sp_medit *e, struct sp_str s, struct sp_str *ret)
{
    char *p = sp_arena_alloc(&e->arena, s.n + 1);
    size_t n = 0;

    if (!p)
        return -SP_ENOMEM;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] != '\n'))
            p[n++] = s.p[i];
    while (n && (p[n - 1] == '\n' || p[n - 1] == '\r'))
        n--;
    *ret = (struct sp_str){p, n};
    return 0;
}

int sp_medit_load(struct sp_medit *e, struct sp_str header)
{
    struct sp_header_iter it;
    struct sp_field f;
    int rc = 0;

    sp_header_start(&it, header);
    while (rc == 0 && sp_header_next(&it, &f)) {
        struct sp_medit_field x = {.raw = sp_arena_copy(&e->arena, f.raw)};
        const char *colon = x.raw.p ? memchr(x.raw.p, ':', x.raw.n) : NULL;

        if (!x.raw.p)
            return -SP_ENOMEM;
        if ((f.kind == SP_FIELD_OK || f.kind == SP_FIELD_BLANK_NAME) && colon) {
            x.name = (struct sp_str){x.raw.p, f.name.n};
            rc = value_of(
                e, (struct sp_str){colon + 1, (size_t)(x.raw.p + x.raw.n - colon - 1)},
                &x.value);
        }
        if (rc == 0)
            rc = place(e, e->n, &x);
    }
    return rc;
}

enum { LINE_LENGTH = 998 };

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* How much of it stands on a line with so much room: up to a blank where it has one, else
 * up to the end of a character (UTF-8). */
static size_t fits(struct sp_str line, size_t room)
{
    size_t at = room;

    if (line.n <= room)
        return line.n;
    while (at && !blank(line.p[at]))
        at--;
    if (sp_str_trim((struct sp_str){line.p, at}).n)
        return at;
    at = room;
    while (at > 1 && ((unsigned char)line.p[at] & 0xC0) == 0x80)
        at--;
    return at;
}

/* One line of a value behind so many octets; folded where it would become longer than a
 * line may be (RFC 5322 2.1.1), never so that a line has blanks only. */
static int put_line(struct sp_buf *b, struct sp_str line, size_t before)
{
    int rc = 0;

    for (;;) {
        size_t n = fits(line, LINE_LENGTH - before);

        for (size_t i = 0; rc == 0 && i < n; i++)
            rc = sp_buf_put(
                b, line.p[i] == '\r' || line.p[i] == '\0' ? " " : line.p + i, 1);
        line = (struct sp_str){line.p + n, line.n - n};
        if (rc < 0 || sp_str_trim(line).n == 0)
            return rc;
        before = blank(line.p[0]) ? 0 : 1;
        rc = sp_buf_puts(b, before ? "\r\n\t" : "\r\n");
        while (blank(line.p[0]) && blank(line.p[1]))
            line = (struct sp_str){line.p + 1, line.n - 1};
    }
}

/* One field, whatever the value is. */
static int make(struct sp_medit *e, struct sp_str name, struct sp_str value,
                bool leading_space, struct sp_medit_field *ret)
{
    struct sp_buf b;
    int rc;

    memset(ret, 0, sizeof *ret);
    sp_buf_init(&b, e->max);
    rc = sp_buf_str(&b, name);
    if (rc == 0)
        rc = sp_buf_puts(&b, leading_space ? ":" : ": ");
    for (bool first = true; rc == 0 && value.n; first = false) {
        struct sp_str line = sp_str_cut(&value, '\n');

        while (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (sp_str_trim(line).n == 0)
            continue; /* an empty line would end the header */
        if (!first)
            rc = sp_buf_puts(&b, blank(line.p[0]) ? "\r\n" : "\r\n\t");
        if (rc == 0)
            rc = put_line(&b, line, first ? b.n : !blank(line.p[0]));
    }
    if (rc == 0)
        rc = sp_buf_puts(&b, "\r\n");
    if (rc == 0) {
        ret->raw = sp_arena_copy(&e->arena, sp_buf_view(&b));
        rc = ret->raw.p ? 0 : -SP_ENOMEM;
    }
    sp_buf_free(&b);
    if (rc < 0)
        return rc;
    ret->name = (struct sp_str){ret->raw.p, name.n};
    return value_of(e,
                    (struct sp_str){ret->raw.p + name.n + 1, ret->raw.n - name.n - 1},
                    &ret->value);
}

static int put(struct sp_medit *e, size_t at, struct sp_str name, struct sp_str value,
               bool leading_space, bool above)
{
    struct sp_medit_field f;
    int rc = make(e, name, value, leading_space, &f);

    f.above = above;
    if (rc == 0)
        rc = place(e, at, &f);
    e->changed |= rc == 0;
    return rc;
}

int sp_medit_add(struct sp_medit *e, struct sp_str name, struct sp_str value,
                 bool leading_space)
{
    return put(e, e->n, name, value, leading_space, false);
}

/* Where the index-th field that milters see stands. */
static size_t seen(const struct sp_medit *e, uint32_t index)
{
    size_t at = 0;

    for (; at < e->n; at++)
        if (e->field[at].name.n && (index == 0 || --index == 0))
            return at;
    return e->n;
}

int sp_medit_insert(struct sp_medit *e, uint32_t index, struct sp_str name,
                    struct sp_str value, bool leading_space)
{
    size_t at = index <= 1 ? 0 : seen(e, index);

    return put(e, at, name, value, leading_space,
               index <= 1 || (at < e->n && e->field[at].above));
}

static void take_out(struct sp_medit *e, size_t at)
{
    e->octets -= e->field[at].raw.n;
    memmove(e->field + at, e->field + at + 1, (e->n - at - 1) * sizeof *e->field);
    e->n--;
    e->changed = true;
}

int sp_medit_change(struct sp_medit *e, uint32_t index, struct sp_str name,
                    struct sp_str value, bool leading_space)
{
    size_t at = 0;
    uint32_t left = index ? index : 1;
    bool above;

    for (; at < e->n; at++)
        if (sp_str_caseeq(e->field[at].name, name) && --left == 0)
            break;
    if (at == e->n)
        return value.n ? sp_medit_add(e, name, value, leading_space) : 0;
    above = e->field[at].above;
    take_out(e, at);
    return value.n ? put(e, at, name, value, leading_space, above) : 0;
}

int sp_medit_write(const struct sp_medit *e, struct sp_buf *above,
                   struct sp_buf *header)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < e->n; i++) {
        const struct sp_medit_field *f = &e->field[i];

        rc = sp_buf_str(f->above ? above : header, f->raw);
        if (rc == 0 && f->raw.n && f->raw.p[f->raw.n - 1] != '\n')
            rc = sp_buf_puts(f->above ? above : header, "\r\n");
    }
    return rc;
}
