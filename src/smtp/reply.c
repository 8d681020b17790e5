/* reply.c - see reply.h. */
#include "reply.h"

#include "text.h"

#include <string.h>

enum {
    TEXT_MAX = 8192,          /* of one reply, for people; the rest is cut */
    OCTETS_MAX = 1024 * 1024, /* of one reply, cut or not */
    KEEP = 256                /* a buffer this small survives from reply to reply */
};

void sp_reply_init(struct sp_reply_reader *r, unsigned line_max, unsigned lines_max)
{
    memset(r, 0, sizeof *r);
    sp_buf_init(&r->line, line_max ? line_max : 4096);
    sp_buf_init(&r->text, TEXT_MAX);
    r->lines_max = (uint16_t)(lines_max && lines_max < 10000 ? lines_max : 200);
}

void sp_reply_free(struct sp_reply_reader *r)
{
    sp_buf_free(&r->line);
    sp_buf_free(&r->text);
}

static void empty(struct sp_buf *b)
{
    if (b->cap > KEEP)
        sp_buf_free(b);
    b->n = 0;
}

void sp_reply_reset(struct sp_reply_reader *r)
{
    empty(&r->line);
    empty(&r->text);
    r->octets = 0;
    r->lines = r->code = 0;
    r->enh[0] = r->enh[1] = r->enh[2] = 0;
    r->status = SP_REPLY_MORE;
}

/* Makes octets fit for people, in place.  C1 controls hide in UTF-8 as C2 80..9F: a
 * terminal would obey them. */
static void clean(char *p, size_t n)
{
    bool utf8 = sp_utf8_valid((struct sp_str){p, n});

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c < 32 || c == 127 || (c > 126 && !utf8))
            p[i] = '?';
        else if (c == 0xc2 && i + 1 < n && (unsigned char)p[i + 1] < 0xa0)
            p[i] = p[i + 1] = '?';
    }
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Length of "class.subject.detail" and the blank behind it at the start of s when it
 * agrees with the reply's code, else 0. */
static size_t enhanced(struct sp_str s, unsigned code, uint16_t ret[3])
{
    int part[3];
    size_t n = sp_str_enhanced(s, part);

    if (n == 0 || (unsigned)part[0] != code / 100)
        return 0;
    for (int i = 0; i < 3; i++)
        ret[i] = (uint16_t)part[i];
    return n < s.n ? n + 1 : n;
}

/* Takes a complete line apart: -1 garbage, 0 last line, 1 more lines follow. */
static int parse(const struct sp_buf *line, unsigned *ret_code)
{
    const char *p = line->p;

    if (line->n < 3 || p[0] < '2' || p[0] > '5' || !digit(p[1]) || !digit(p[2]))
        return -1;
    if (line->n > 3 && p[3] != ' ' && p[3] != '-' && p[3] != '\t')
        return -1;
    *ret_code = (unsigned)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
    return line->n > 3 && p[3] == '-';
}

struct sp_str sp_reply_line_text(const struct sp_reply_reader *r)
{
    if (r->line.n <= 4)
        return (struct sp_str){"", 0};
    return (struct sp_str){r->line.p + 4, r->line.n - 4};
}

static int add_text(struct sp_reply_reader *r)
{
    struct sp_str s = sp_reply_line_text(r);
    uint16_t enh[3];
    size_t skip = enhanced(s, r->code, enh);
    int rc = 0;

    if (skip && r->lines == 1)
        memcpy(r->enh, enh, sizeof enh);
    if (skip && memcmp(r->enh, enh, sizeof enh) == 0) {
        s.p += skip;
        s.n -= skip;
    }
    if (r->lines > 1)
        rc = sp_buf_put(&r->text, "\n", 1);
    if (rc == 0) {
        size_t room = r->text.max - r->text.n, from = r->text.n;

        rc = sp_buf_put(&r->text, s.p, s.n < room ? s.n : room);
        if (rc == 0 && r->text.n > from)
            clean(r->text.p + from, r->text.n - from);
    }
    return rc == -SP_ENOMEM ? rc : 0; /* too much text is cut, not an error */
}

static enum sp_reply_status end_of_line(struct sp_reply_reader *r)
{
    unsigned code = 0;
    int more;

    if (r->line.n && r->line.p[r->line.n - 1] == '\r')
        r->line.n--;
    more = parse(&r->line, &code);
    if (more < 0)
        return SP_REPLY_GARBAGE;
    if (++r->lines > r->lines_max)
        return SP_REPLY_ENDLESS;
    if (code / 100 != r->code / 100u)
        r->enh[0] = r->enh[1] = r->enh[2] = 0; /* it was about another code */
    if (code / 100 >= r->code / 100u)
        r->code = (uint16_t)code;
    if (add_text(r) < 0)
        return SP_REPLY_NOMEM;
    return more ? SP_REPLY_LINE : SP_REPLY_DONE;
}

enum sp_reply_status sp_reply_feed(struct sp_reply_reader *r, const char *data,
                                   size_t len, size_t *ret_used)
{
    const char *lf;
    size_t n, room;

    *ret_used = 0;
    if (r->status >= SP_REPLY_GARBAGE)
        return r->status;
    if (len == 0)
        return SP_REPLY_MORE;
    if (r->status == SP_REPLY_DONE)
        sp_reply_reset(r);
    else if (r->status == SP_REPLY_LINE)
        r->line.n = 0;
    lf = memchr(data, '\n', len);
    n = lf ? (size_t)(lf - data) : len;
    room = r->line.max - r->line.n;
    *ret_used = n + (lf != NULL);
    if (n > OCTETS_MAX || r->octets + n > OCTETS_MAX)
        return r->status = SP_REPLY_ENDLESS;
    r->octets += (uint32_t)*ret_used;
    if (sp_buf_put(&r->line, data, n < room ? n : room) < 0)
        return r->status = SP_REPLY_NOMEM;
    return r->status = (uint8_t)(lf ? end_of_line(r) : SP_REPLY_MORE);
}

struct sp_str sp_reply_line(const struct sp_reply_reader *r)
{
    if (r->line.n)
        clean(r->line.p, r->line.n);
    return sp_buf_view(&r->line);
}

void sp_reply_get(const struct sp_reply_reader *r, struct sp_reply *ret)
{
    ret->code = r->code;
    for (int i = 0; i < 3; i++)
        ret->enh[i] = r->enh[i];
    ret->text = sp_buf_view(&r->text);
}

bool sp_reply_partial(const struct sp_reply_reader *r)
{
    return r->status != SP_REPLY_DONE && (r->lines > 0 || r->octets > 0);
}
