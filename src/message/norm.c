/* norm.c - line ends and the shape of a message: see compose.h. */
#include "compose.h"

#include <string.h>

/*
 * HEAD   in the first octets of a header line, kept in n->head until it is clear
 *        whether it is a field, a continuation, the empty line or none of these
 * FIELD  in the rest of a header line
 * DROP   in a mailbox file's "From " line
 * BODY
 *
 * HEAD -> FIELD -> HEAD ... -> BODY
 */
enum { HEAD, FIELD, DROP, BODY };

void sp_norm_init(struct sp_norm *n)
{
    memset(n, 0, sizeof *n);
    n->first_line = true;
    n->body_utf8 = true;
    n->line = 1;
}

/* RFC 3629 4 octet by octet: how many continuations follow, and the range of the next. */
static void check_utf8(struct sp_norm *n, unsigned char c)
{
    if (n->utf8_left) {
        if (c < n->utf8_lo || c > n->utf8_hi)
            n->body_utf8 = false;
        n->utf8_left--;
        n->utf8_lo = 0x80;
        n->utf8_hi = 0xbf;
        return;
    }
    if (c < 0x80)
        return;
    n->utf8_lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    n->utf8_hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    n->utf8_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c < 0xc2 || c > 0xf4) {
        n->body_utf8 = false;
        n->utf8_left = 0;
    }
}

static int put(struct sp_norm *n, struct sp_buf *out, const char *p, size_t len)
{
    n->size += len;
    return out ? sp_buf_put(out, p, len) : 0;
}

/* An octet inside a line. */
static int put_octet(struct sp_norm *n, struct sp_buf *out, char c)
{
    bool high = (unsigned char)c > 127;

    n->column++;
    if (n->state != BODY && n->column > n->header_longest)
        n->header_longest = n->column;
    if (n->state == BODY && n->column > n->longest) {
        n->longest = n->column;
        n->longest_line = n->line;
    }
    n->has_nul |= c == '\0';
    if (n->state == BODY) {
        n->body_8bit |= high;
        check_utf8(n, (unsigned char)c);
    } else {
        n->header_8bit |= high;
    }
    return put(n, out, &c, 1);
}

static int put_end(struct sp_norm *n, struct sp_buf *out)
{
    n->column = 0;
    n->line++;
    if (n->state == BODY)
        check_utf8(n, '\n');
    return put(n, out, "\r\n", 2);
}

static int flush_head(struct sp_norm *n, struct sp_buf *out)
{
    int rc = 0;

    for (size_t i = 0; i < n->head_n && rc == 0; i++)
        rc = put_octet(n, out, n->head[i]);
    n->head_n = 0;
    return rc;
}

static int begin_body(struct sp_norm *n, struct sp_buf *out)
{
    int rc = put_end(n, out);

    n->state = BODY;
    n->header_done = true;
    n->header_size = n->size;
    return rc;
}

static bool is_name_octet(char c)
{
    return c > 32 && c < 127 && c != ':';
}

enum verdict { UNDECIDED, IS_FIELD, IS_MBOX, IS_NEITHER };

/* header.h draws the same lines. */
static enum verdict judge_head(const struct sp_norm *n)
{
    const char *h = n->head;
    size_t name = 0, i;

    if (n->head_n && (h[0] == ' ' || h[0] == '\t'))
        return n->any_field ? IS_FIELD : IS_NEITHER;
    while (name < n->head_n && is_name_octet(h[name]))
        name++;
    for (i = name; i < n->head_n && (h[i] == ' ' || h[i] == '\t');)
        i++;
    if (i < n->head_n) {
        if (name && name <= 900 && h[i] == ':')
            return IS_FIELD;
        if (i > name && h[name] == ' ' && n->first_line &&
            (sp_str_is((struct sp_str){h, name}, "From") ||
             sp_str_is((struct sp_str){h, name}, ">From")))
            return IS_MBOX;
        return IS_NEITHER;
    }
    return name > 900 || n->head_n == sizeof n->head ? IS_NEITHER : UNDECIDED;
}

/* Not a field: the body begins here, with the empty line that was missing. */
static int head_is_body(struct sp_norm *n, struct sp_buf *out)
{
    int rc = begin_body(n, out);

    return rc < 0 ? rc : flush_head(n, out);
}

static int head_octet(struct sp_norm *n, struct sp_buf *out, char c)
{
    n->head[n->head_n++] = c;
    switch (judge_head(n)) {
    case UNDECIDED:
        return 0;
    case IS_FIELD:
        n->state = FIELD;
        n->any_field = true;
        n->first_line = false;
        return flush_head(n, out);
    case IS_MBOX:
        n->state = DROP;
        n->head_n = 0;
        return 0;
    case IS_NEITHER:
        break;
    }
    return head_is_body(n, out);
}

static int line_end(struct sp_norm *n, struct sp_buf *out)
{
    int rc;

    switch (n->state) {
    case HEAD:
        if (n->head_n == 0)
            return begin_body(n, out);
        rc = head_is_body(n, out);
        return rc < 0 ? rc : put_end(n, out);
    case FIELD:
        n->state = HEAD;
        return put_end(n, out);
    case DROP:
        n->state = HEAD;
        n->first_line = false;
        return 0;
    }
    return put_end(n, out);
}

/* A dot that begins a body line is held back until the next octet. */
static int body_octet(struct sp_norm *n, struct sp_buf *out, char c)
{
    int rc;

    if (n->dot_ends && n->head_n == 0 && n->column == 0 && c == '.') {
        n->head[n->head_n++] = c;
        return 0;
    }
    rc = flush_head(n, out);
    return rc < 0 ? rc : put_octet(n, out, c);
}

/* The line so far is a dot that may end the input. */
static bool is_last_dot(const struct sp_norm *n)
{
    return n->dot_ends && n->column == 0 && n->head_n == 1 && n->head[0] == '.';
}

static int take(struct sp_norm *n, struct sp_buf *out, char c)
{
    if (c == '\n' && n->cr) {
        n->cr = false;
        return 0;
    }
    n->cr = c == '\r';
    if (c == '\r' || c == '\n') {
        n->ended = is_last_dot(n);
        return n->ended ? 0 : line_end(n, out);
    }
    switch (n->state) {
    case HEAD:
        return head_octet(n, out, c);
    case DROP:
        return 0;
    case FIELD:
        return put_octet(n, out, c);
    }
    return body_octet(n, out, c);
}

/* The same as take() for each octet up to the line end, at once: most of a large message
 * goes this way. */
static int take_run(struct sp_norm *n, struct sp_buf *out, struct sp_str run)
{
    bool high = false;

    for (size_t i = 0; i < run.n; i++) {
        high |= (unsigned char)run.p[i] > 127;
        n->has_nul |= run.p[i] == '\0';
    }
    for (size_t i = 0; i < run.n && (high || n->utf8_left); i++)
        check_utf8(n, (unsigned char)run.p[i]);
    n->body_8bit |= high;
    n->cr = false;
    n->column += run.n;
    if (n->column > n->longest) {
        n->longest = n->column;
        n->longest_line = n->line;
    }
    return put(n, out, run.p, run.n);
}

/* Octets from `at` on that take_run() may take: inside a body line, no dot held back. */
static size_t run_length(const struct sp_norm *n, struct sp_str in, size_t at)
{
    size_t end = at;

    if (n->state != BODY || n->head_n || (n->dot_ends && n->column == 0))
        return 0;
    while (end < in.n && in.p[end] != '\r' && in.p[end] != '\n')
        end++;
    return end - at;
}

int sp_norm_feed(struct sp_norm *n, struct sp_str in, struct sp_buf *out)
{
    int rc = 0;

    for (size_t i = 0; i < in.n && rc == 0 && !n->ended;) {
        size_t run = run_length(n, in, i);

        if (run)
            rc = take_run(n, out, (struct sp_str){in.p + i, run});
        else
            rc = take(n, out, in.p[i]);
        i += run ? run : 1;
    }
    return rc;
}

int sp_norm_end(struct sp_norm *n, struct sp_buf *out)
{
    int rc = 0;

    if (!n->ended && n->state != DROP && !is_last_dot(n) && (n->column || n->head_n))
        rc = line_end(n, out);
    if (n->utf8_left)
        n->body_utf8 = false;
    return rc;
}
