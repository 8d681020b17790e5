/* f_compose.c - any text to a message: CRLF everywhere, the same for any split, and in
 * normal form already when it comes a second time. */
#include "fz.h"

#include "compose.h"

static void lines(struct sp_str out)
{
    for (size_t i = 0; i < out.n; i++) {
        FZ_MUST(out.p[i] != '\n' || (i && out.p[i - 1] == '\r'), "no bare LF");
        FZ_MUST(out.p[i] != '\r' || (i + 1 < out.n && out.p[i + 1] == '\n'),
                "no bare CR");
    }
    FZ_MUST(out.n == 0 || out.p[out.n - 1] == '\n', "the last line ends");
}

static void normal(struct sp_str in, bool dot, unsigned way, struct sp_norm *n,
                   struct sp_buf *out)
{
    size_t at = 0;

    sp_norm_init(n);
    n->dot_ends = dot;
    sp_buf_init(out, 4 * in.n + 4096);
    while (at < in.n) {
        size_t k = fz_piece(&way, in.n - at);

        FZ_MUST(sp_norm_feed(n, (struct sp_str){in.p + at, k}, out) == 0, "memory");
        at += k;
    }
    FZ_MUST(sp_norm_end(n, out) == 0, "memory");
    FZ_MUST(n->size == out->n, "the size is what came out");
}

static void norms(struct sp_str in, bool dot)
{
    struct sp_norm n, m;
    struct sp_buf out, again;

    normal(in, dot, 0, &n, &out);
    lines(sp_buf_view(&out));
    normal(in, dot, 1, &m, &again);
    FZ_MUST(sp_str_eq(sp_buf_view(&out), sp_buf_view(&again)),
            "any split, the same text");
    FZ_MUST(n.header_size == m.header_size && n.longest == m.longest &&
                n.body_utf8 == m.body_utf8 && n.body_8bit == m.body_8bit,
            "any split, the same facts");
    sp_buf_free(&again);
    if (n.any_field) { /* without a header an empty line is put in front each time */
        normal(sp_buf_view(&out), false, 0, &m, &again);
        FZ_MUST(sp_str_eq(sp_buf_view(&out), sp_buf_view(&again)), "normal form stays");
        sp_buf_free(&again);
    }
    sp_buf_free(&out);
}

static int composed(struct sp_str in, const struct sp_compose_opts *o, unsigned way,
                    struct sp_buf *out)
{
    struct sp_compose c;
    size_t at = 0;
    int rc = 0;

    sp_buf_init(out, 16u << 20);
    sp_compose_init(&c, o);
    while (at < in.n && rc == 0) {
        size_t k = fz_piece(&way, in.n - at);

        rc = sp_compose_feed(&c, (struct sp_str){in.p + at, k}, out);
        at += k;
    }
    while (rc == 0 && (rc = sp_compose_end(&c, out)) > 0)
        rc = 0;
    FZ_MUST(rc == 0 || c.err.text[0], "a failure has words");
    sp_compose_free(&c);
    return rc;
}

FZ_TARGET
{
    struct fz f = {data, size};
    unsigned flags = fz_byte(&f);
    struct sp_str in = fz_rest(&f), add[1];
    struct sp_attachment a = {SP_LIT("n\xc3\xb6.txt"), {NULL, 0}, in};
    struct sp_compose_opts o = {.dot_ends = flags & 1,
                                .attach = &a,
                                .attach_n = flags & 2 ? 1 : 0,
                                .from = SP_LIT("a@b"),
                                .hostname = SP_LIT("h.example"),
                                .now_ms = 1795000000000u};
    struct sp_norm facts;
    struct sp_buf out, again;
    int rc;

    norms(in, flags & 1);
    if (flags & 4) { /* --header with anything in it */
        add[0] = (struct sp_str){in.p, in.n < 60 ? in.n : 60};
        o.add = add;
        o.add_n = 1;
    }
    sp_norm_init(&facts);
    facts.dot_ends = o.dot_ends;
    (void)sp_norm_feed(&facts, in, NULL);
    (void)sp_norm_end(&facts, NULL);
    o.facts = &facts;
    rc = composed(in, &o, 0, &out);
    FZ_MUST(composed(in, &o, 1, &again) == rc, "any split ends the same");
    if (rc == 0) {
        FZ_MUST(sp_str_eq(sp_buf_view(&out), sp_buf_view(&again)),
                "any split, the same");
        lines(sp_buf_view(&out));
        FZ_MUST(sp_header_count(sp_buf_view(&out), "Bcc") == 0, "no Bcc leaves");
        FZ_MUST(sp_header_count(sp_buf_view(&out), "Date") >= 1, "a Date is there");
    }
    sp_buf_free(&out);
    sp_buf_free(&again);
    return 0;
}
