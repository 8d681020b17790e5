/* f_header.c - the header iterator: fields tile the header, the scan finds the same end,
 * a folded value becomes one line. */
#include "fz.h"

#include "header.h"

static void field(const struct sp_field *f, struct sp_str in, size_t at)
{
    struct sp_buf b;

    FZ_MUST(f->offset == at && f->raw.p == in.p + at, "fields stand behind each other");
    FZ_MUST(f->raw.n > 0 && fz_inside(f->raw, in), "a field has octets");
    FZ_MUST(fz_inside(f->name, f->raw) && fz_inside(f->value, f->raw),
            "name and value lie inside");
    FZ_MUST((f->name.n > 0) ==
                (f->kind == SP_FIELD_OK || f->kind == SP_FIELD_BLANK_NAME),
            "a field has a name, another line has none");
    for (size_t i = 0; i < f->name.n; i++)
        FZ_MUST(f->name.p[i] > 32 && f->name.p[i] < 127 && f->name.p[i] != ':',
                "a name is printable ASCII");
    FZ_MUST(f->longest <= f->raw.n, "no line is longer than its field");
    sp_buf_init(&b, f->value.n + 1);
    FZ_MUST(sp_field_unfold(f->value, &b) == 0, "unfolding never grows");
    for (size_t i = 0; i < b.n; i++)
        FZ_MUST(b.p[i] != '\r' && b.p[i] != '\n' && b.p[i] != '\0',
                "an unfolded value is one line");
    sp_buf_free(&b);
}

static size_t scan(struct sp_str in, unsigned way, bool *ret_done)
{
    struct sp_header_scan s = {0};
    size_t at = 0, before = 0;

    while (at < in.n) {
        struct sp_str piece = {in.p + at, fz_piece(&way, in.n - at)};

        before += sp_header_scan(&s, piece);
        at += piece.n;
    }
    FZ_MUST(before == s.size, "the parts before the body add up");
    *ret_done = s.done;
    return s.size;
}

FZ_TARGET
{
    struct sp_str in = {size ? (const char *)data : "", size};
    struct sp_header_iter it;
    struct sp_field f, found;
    size_t at = 0, n = 0, bcc = 0, line = 0, scanned;
    bool done, done1;

    sp_header_start(&it, in);
    while (sp_header_next(&it, &f)) {
        field(&f, in, at);
        FZ_MUST(f.line > line, "line numbers rise");
        line = f.line;
        at += f.raw.n;
        if (sp_field_named(&f, "Bcc")) {
            FZ_MUST(sp_header_find(in, "bcc", bcc, &found) && found.offset == f.offset,
                    "a field is found by its name");
            bcc++;
        }
        n++;
    }
    FZ_MUST(it.at_end && !sp_header_next(&it, &f), "the end stays the end");
    FZ_MUST(it.body <= in.n && it.body >= at && it.body - at <= 2, "the body follows");
    FZ_MUST(sp_header_count(in, "BCC") == bcc, "counting is walking");
    FZ_MUST(it.work <= 6 * in.n + 16, "the work is linear");
    scanned = scan(in, 0, &done);
    FZ_MUST(scan(in, 1, &done1) == scanned && done1 == done,
            "any split gives the same end");
    FZ_MUST(scan(in, 77, &done1) == scanned && done1 == done,
            "any split gives the same end");
    if (n)
        FZ_MUST(done == it.complete && scanned == it.body,
                "the scan and the walk end at the same octet");
    return 0;
}
