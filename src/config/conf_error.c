/* conf_error.c - noting what is wrong with a file, and showing it. */
#include "conf_in.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    TEXT_MAX = 120,                         /* octets of the line that are shown */
    MESSAGE_MAX = 1000,                     /* octets of one message */
    WARNINGS_KEPT = SP_CONF_ERRORS_MAX / 2, /* so that errors always find room */
};

void sp_conf_errors_init(struct sp_conf_errors *errs)
{
    memset(errs, 0, sizeof *errs);
    sp_arena_init(&errs->arena, 4 * 1024 * 1024);
}

void sp_conf_errors_free(struct sp_conf_errors *errs)
{
    sp_arena_reset(&errs->arena);
    sp_conf_errors_init(errs);
}

void conf_errors_nomem(struct sp_conf_errors *errs)
{
    errs->nomem = true;
    errs->errors++;
}

/* ---- the words of messages ---- */

bool conf_crowded(const struct sp_conf_errors *errs)
{
    return errs->n >= SP_CONF_ERRORS_MAX;
}

static const char *format(struct conf_parser *p, const char *fmt, va_list ap)
{
    char tmp[SP_CONF_LINE_MAX];
    const char *s;

    (void)vsnprintf(tmp, sizeof tmp, fmt, ap);
    s = sp_arena_strndup(&p->scratch, tmp, strlen(tmp));
    p->full = p->full || !s;
    return s ? s : "";
}

const char *conf_fmt(struct conf_parser *p, const char *fmt, ...)
{
    const char *s;
    va_list ap;

    if (conf_crowded(p->errs))
        return "";
    va_start(ap, fmt);
    s = format(p, fmt, ap);
    va_end(ap);
    return s;
}

const char *conf_text(struct conf_parser *p, const char *fmt, ...)
{
    const char *s;
    va_list ap;

    va_start(ap, fmt);
    s = format(p, fmt, ap);
    va_end(ap);
    return s;
}

const char *conf_quote(struct conf_parser *p, struct sp_str s)
{
    struct sp_buf b;
    struct sp_str cut = s;
    const char *r = NULL;

    if (conf_crowded(p->errs))
        return "";
    if (cut.n > 60)
        for (cut.n = 60; cut.n > 56 && ((unsigned char)cut.p[cut.n] & 0xc0) == 0x80;)
            cut.n--;
    sp_buf_init(&b, 400);
    if (sp_buf_puts(&b, "\"") == 0 && sp_put_escaped(&b, cut) == 0 &&
        sp_buf_puts(&b, cut.n < s.n ? "...\"" : "\"") == 0)
        r = sp_arena_strndup(&p->scratch, b.p, b.n);
    sp_buf_free(&b);
    return r ? r : "";
}

/* Restricted Damerau-Levenshtein: a letter wrong, missing, too many, or two swapped. */
unsigned conf_distance(struct sp_str a, struct sp_str b)
{
    enum { MAX = 48 };
    unsigned rows[3][MAX + 1] = {{0}}, *old = rows[0], *prev = rows[1], *cur = rows[2],
                           *t;

    if (a.n > MAX || b.n > MAX)
        return 99;
    for (unsigned j = 0; j <= b.n; j++)
        prev[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        cur[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            bool same = sp_lower(a.p[i - 1]) == sp_lower(b.p[j - 1]);
            unsigned d = prev[j - 1] + !same;

            d = prev[j] + 1 < d ? prev[j] + 1 : d;
            d = cur[j - 1] + 1 < d ? cur[j - 1] + 1 : d;
            if (i > 1 && j > 1 && sp_lower(a.p[i - 1]) == sp_lower(b.p[j - 2]) &&
                sp_lower(a.p[i - 2]) == sp_lower(b.p[j - 1]) && old[j - 2] + 1 < d)
                d = old[j - 2] + 1;
            cur[j] = d;
        }
        t = old;
        old = prev;
        prev = cur;
        cur = t;
    }
    return prev[b.n];
}

void conf_near(struct conf_nearest *n, const char *candidate)
{
    struct sp_str c = sp_str(candidate);
    unsigned d = conf_distance(n->want, c);
    unsigned limit = n->want.n < 3 ? 0 : n->want.n < 5 ? 1 : (unsigned)n->want.n / 3;

    /* What somebody began to write counts as near too: "client-cert". */
    if (d > limit && n->want.n >= 4 && c.n > n->want.n &&
        sp_str_caseeq((struct sp_str){c.p, n->want.n}, n->want))
        d = limit;
    if (d <= limit && (!n->best || d < n->distance)) {
        n->best = candidate;
        n->distance = d;
    }
}

/* ---- noting ---- */

static const char *keep(struct sp_conf_errors *errs, const char *s)
{
    const char *r = s ? sp_arena_strndup(&errs->arena, s, strlen(s)) : NULL;

    if (s && !r)
        errs->nomem = true;
    return r;
}

static bool continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The line, printable, octet for octet, so that marks stay right; a long one is cut to
 * the part around the mark. */
static void keep_line(struct conf_parser *p, const struct conf_pos *pos,
                      struct sp_conf_error *e)
{
    struct sp_str rest = {p->text.p + pos->line_start, p->text.n - pos->line_start};
    struct sp_str line = sp_str_cut(&rest, '\n');
    size_t from = 0, n, run;
    char *text;

    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (pos->at > TEXT_MAX * 3 / 4)
        from = pos->at - TEXT_MAX / 2;
    while (from && from < line.n && continuation(line.p[from]))
        from--;
    n = line.n > from ? line.n - from : 0;
    if (n > TEXT_MAX)
        for (n = TEXT_MAX; n > 1 && continuation(line.p[from + n]);)
            n--;
    text = sp_arena_strndup(&p->errs->arena, line.p ? line.p + from : "", n);
    if (!text) {
        p->errs->nomem = true;
        return;
    }
    for (size_t i = 0; i < n; i += run) {
        for (run = 1; i + run < n && continuation(text[i + run]);)
            run++;
        /* C1 controls move terminals too. */
        if (!sp_utf8_valid((struct sp_str){text + i, run}) ||
            (run == 2 && (unsigned char)text[i] == 0xc2 &&
             (unsigned char)text[i + 1] < 0xa0))
            memset(text + i, '?', run);
        else if (run == 1 && (text[i] < 32 || text[i] == 127))
            text[i] = text[i] == '\t' ? ' ' : '?';
    }
    e->text = text;
    e->mark = (unsigned)(pos->at - from);
    if (e->mark > n)
        e->mark = (unsigned)n;
    e->mark_len = pos->len < n - e->mark ? pos->len : (unsigned)(n - e->mark);
}

static unsigned column_of(struct conf_parser *p, const struct conf_pos *pos)
{
    unsigned column = 1;

    for (uint32_t i = 0; i < pos->at && pos->line_start + i < p->text.n; i++)
        column += !continuation(p->text.p[pos->line_start + i]);
    return column;
}

static struct sp_conf_error *new_error(struct sp_conf_errors *errs, bool warning)
{
    *(warning ? &errs->warnings : &errs->errors) += 1;
    if (conf_crowded(errs) || (warning && errs->n >= WARNINGS_KEPT))
        return NULL;
    if (!errs->v)
        errs->v = sp_arena_alloc(&errs->arena, SP_CONF_ERRORS_MAX * sizeof *errs->v);
    if (!errs->v) {
        errs->nomem = true;
        return NULL;
    }
    return &errs->v[errs->n++];
}

void conf_note(struct conf_parser *p, const struct conf_note *n, const char *fmt, ...)
{
    struct sp_conf_error *e = new_error(p->errs, n->warning);
    char tmp[MESSAGE_MAX];
    va_list ap;

    if (!e)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(tmp, sizeof tmp, fmt, ap);
    va_end(ap);
    e->warning = n->warning;
    e->line = n->pos.line;
    e->message = keep(p->errs, tmp);
    e->expected = keep(p->errs, n->expected);
    e->example = keep(p->errs, n->example);
    e->help = keep(p->errs, n->help);
    if (e->line == 0)
        return;
    e->column = column_of(p, &n->pos);
    keep_line(p, &n->pos, e);
}

/* Rules speak after the lines: bring everything into the order of the file. */
void conf_errors_sort(struct sp_conf_errors *errs)
{
    for (size_t i = 1; i < errs->n; i++) {
        struct sp_conf_error e = errs->v[i];
        size_t j = i;

        for (;
             j && (errs->v[j - 1].line > e.line ||
                   (errs->v[j - 1].line == e.line && errs->v[j - 1].column > e.column));
             j--)
            errs->v[j] = errs->v[j - 1];
        errs->v[j] = e;
    }
}

/* ---- showing ---- */

struct colours {
    const char *bold, *error, *warning, *mark, *off;
};
static const struct colours plain = {"", "", "", "", ""};
static const struct colours ansi = {"\033[1m", "\033[1;31m", "\033[1;33m", "\033[1;32m",
                                    "\033[0m"};

static int put_name(const struct sp_conf_errors *errs, struct sp_buf *out)
{
    return sp_put_escaped(out,
                          sp_str(errs->filename ? errs->filename : "configuration"));
}

static int put_line(const struct sp_conf_error *e, struct sp_buf *out,
                    const struct colours *c)
{
    int rc = sp_buf_printf(out, "%5u | %s\n      | ", e->line, e->text);

    for (unsigned i = 0; rc == 0 && i < e->mark; i++)
        if (!continuation(e->text[i]))
            rc = sp_buf_puts(out, " ");
    if (rc == 0)
        rc = sp_buf_printf(out, "%s^", c->mark);
    for (unsigned i = 1; rc == 0 && i < e->mark_len; i++)
        if (!continuation(e->text[e->mark + i]))
            rc = sp_buf_puts(out, "~");
    return rc ? rc : sp_buf_printf(out, "%s\n", c->off);
}

int sp_conf_error_render(const struct sp_conf_errors *errs, size_t i,
                         struct sp_buf *out, bool colour)
{
    const struct sp_conf_error *e = &errs->v[i];
    const struct colours *c = colour ? &ansi : &plain;
    int rc;

    if ((rc = sp_buf_puts(out, c->bold)) < 0 || (rc = put_name(errs, out)) < 0)
        return rc;
    if (e->line && (rc = sp_buf_printf(out, ":%u:%u", e->line, e->column)) < 0)
        return rc;
    rc = sp_buf_printf(out, ": %s%s:%s %s%s%s\n", e->warning ? c->warning : c->error,
                       e->warning ? "warning" : "error", c->off, c->bold,
                       e->message ? e->message : "out of memory", c->off);
    if (rc == 0 && e->text)
        rc = put_line(e, out, c);
    if (rc == 0 && e->help)
        rc = sp_buf_printf(out, "        %s\n", e->help);
    if (rc == 0 && e->expected)
        rc = sp_buf_printf(out, "        expected: %s\n", e->expected);
    if (rc == 0 && e->example)
        rc = sp_buf_printf(out, "        example:  %s\n", e->example);
    return rc;
}

static int put_count(struct sp_buf *out, size_t n, const char *what)
{
    return sp_buf_printf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

int sp_conf_errors_render(const struct sp_conf_errors *errs, struct sp_buf *out,
                          bool colour)
{
    size_t all = errs->errors + errs->warnings;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < errs->n; i++)
        if ((rc = sp_conf_error_render(errs, i, out, colour)) == 0)
            rc = sp_buf_puts(out, "\n");
    if (rc || all == 0)
        return rc;
    if (errs->nomem && (rc = sp_buf_puts(out, "out of memory while reading\n")) < 0)
        return rc;
    if ((rc = put_name(errs, out)) < 0 || (rc = sp_buf_puts(out, ": ")) < 0)
        return rc;
    if (errs->errors && (rc = put_count(out, errs->errors, "error")) < 0)
        return rc;
    if (errs->errors && errs->warnings && (rc = sp_buf_puts(out, ", ")) < 0)
        return rc;
    if (errs->warnings && (rc = put_count(out, errs->warnings, "warning")) < 0)
        return rc;
    if (all > errs->n && (rc = sp_buf_printf(out, " (%zu shown)", errs->n)) < 0)
        return rc;
    return sp_buf_puts(out, "\n");
}
