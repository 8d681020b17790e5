/*
 * f_data.c - the octets of a message on the wire, against a second decoder that is as
 * plain as the rule: lines end with CR LF, a line of one dot ends the message, a leading
 * dot is dropped, a bare CR, a bare LF, a NUL or a long line spoils it.
 */
#include "fz.h"

#include "buf.h"
#include "data.h"
#include "rules.h"
#include "text.h"

struct plain {
    struct sp_buf out;
    bool ended, spoilt;
    size_t used;
};

static bool spoils(struct sp_str line)
{
    return line.n > SP_LIMIT_BODY_LINE || (line.n && memchr(line.p, '\r', line.n)) ||
           (line.n && memchr(line.p, '\n', line.n)) ||
           (line.n && memchr(line.p, 0, line.n));
}

/* The whole input at once, line by line. */
static void plainly(struct sp_str in, struct plain *ret)
{
    size_t at = 0;

    memset(ret, 0, sizeof *ret);
    sp_buf_init(&ret->out, in.n + 1);
    while (at < in.n) {
        const char *p = in.p + at, *end = memmem(p, in.n - at, "\r\n", 2);
        struct sp_str line = {p, end ? (size_t)(end - p) : in.n - at};

        at += line.n + (end ? 2 : 0);
        if (end && sp_str_is(line, ".")) {
            ret->ended = true;
            break;
        }
        if (line.n && line.p[0] == '.')
            line = (struct sp_str){line.p + 1, line.n - 1};
        if (end && spoils(line))
            ret->spoilt = true;
        (void)sp_buf_str(&ret->out, line);
        if (end)
            (void)sp_buf_puts(&ret->out, "\r\n");
    }
    ret->used = at;
}

static void decode(struct sp_str in, unsigned way, bool bdat, bool binary,
                   struct sp_data *d, struct sp_buf *out, size_t *ret_used)
{
    size_t at = 0;

    sp_data_init(d, 0, binary);
    sp_buf_init(out, in.n + 1);
    while (at < in.n && !d->ended) {
        struct sp_str span = {NULL, 0}, piece = {in.p + at, fz_piece(&way, in.n - at)};
        size_t used = bdat ? sp_data_chunk(d, piece.p, piece.n, &span)
                           : sp_data_feed(d, piece.p, piece.n, &span);

        FZ_MUST(used > 0 && used <= piece.n, "octets are taken, and not too many");
        FZ_MUST(fz_inside(span, piece), "a span lies inside");
        FZ_MUST(sp_buf_str(out, span) == 0, "a message never grows");
        at += used;
    }
    if (bdat)
        sp_data_finish(d);
    *ret_used = at;
}

static void same(const struct sp_data *a, const struct sp_data *b)
{
    FZ_MUST(a->bad == b->bad && a->bad_line == b->bad_line && a->ended == b->ended &&
                a->header_done == b->header_done && a->header_size == b->header_size &&
                a->size == b->size && a->has_8bit_body == b->has_8bit_body &&
                a->has_8bit_header == b->has_8bit_header,
            "any split gives the same facts");
}

static void dots(struct sp_str in)
{
    struct plain want;
    struct sp_data d, e;
    struct sp_buf out, again;
    size_t used, used2;

    plainly(in, &want);
    decode(in, 0, false, false, &d, &out, &used);
    FZ_MUST(d.ended == want.ended,
            "the end is where it is, and nowhere else (smuggling)");
    if (want.ended) {
        FZ_MUST(used == want.used, "what is behind the end is not taken");
        FZ_MUST((d.bad != SP_DATA_GOOD) == want.spoilt, "spoilt is what the rule says");
        FZ_MUST(want.spoilt || sp_str_eq(sp_buf_view(&out), sp_buf_view(&want.out)),
                "the message is what the rule says");
        FZ_MUST(want.spoilt || d.size == out.n, "the size is the octets given");
    }
    for (unsigned way = 1; way <= 3; way += 2) {
        decode(in, way, false, false, &e, &again, &used2);
        same(&d, &e);
        FZ_MUST(used == used2, "any split ends at the same octet");
        /* octets given before the first bad one may differ: they are never used */
        FZ_MUST(d.bad || sp_str_eq(sp_buf_view(&out), sp_buf_view(&again)),
                "any split gives the same message");
        sp_buf_free(&again);
    }
    sp_buf_free(&out);
    sp_buf_free(&want.out);
}

static void chunks(struct sp_str in, bool binary)
{
    struct sp_data d, e;
    struct sp_buf out, again;
    size_t used;

    decode(in, 0, true, binary, &d, &out, &used);
    FZ_MUST(used == in.n && d.size == in.n, "BDAT counts, and looks for no end");
    FZ_MUST(!binary || d.bad == SP_DATA_GOOD, "BINARYMIME may be anything");
    FZ_MUST(d.bad || sp_str_eq(sp_buf_view(&out), in), "BDAT gives octets as they are");
    decode(in, 1, true, binary, &e, &again, &used);
    same(&d, &e);
    sp_buf_free(&out);
    sp_buf_free(&again);
}

FZ_TARGET
{
    struct sp_str in = {size ? (const char *)data : "", size};
    unsigned a = 0, b = 0;

    dots(in);
    chunks(in, false);
    chunks(in, true);
    FZ_MUST(sp_scan(in.p, in.n, &a) == sp_scan_portable(in.p, in.n, &b) && a == b,
            "both scanners see the same");
    return 0;
}
