/* f_milter.c - a milter that says anything: the codec never waits for what cannot come, a
 * failure is final, events belong to what was asked, and a header stays a header. */
#include "fz.h"

#include "header.h"
#include "medit.h"
#include "milter.h"

static void apply(struct sp_medit *e, const struct sp_milter_change *c, bool leading)
{
    switch (c->kind) {
    case SP_MC_ADD_HEADER:
        (void)sp_medit_add(e, c->name, c->value, leading);
        return;
    case SP_MC_INSERT_HEADER:
        (void)sp_medit_insert(e, c->index, c->name, c->value, leading);
        return;
    case SP_MC_CHANGE_HEADER:
        (void)sp_medit_change(e, c->index, c->name, c->value, leading);
        return;
    default:
        return;
    }
}

static void check_header(const struct sp_medit *e)
{
    struct sp_buf b;
    struct sp_header_iter it;
    struct sp_field f;
    size_t n = 0;

    sp_buf_init(&b, 1 << 20);
    FZ_MUST(sp_medit_write(e, &b, &b) == 0, "what was taken can be written");
    sp_header_start(&it, sp_buf_view(&b));
    while (sp_header_next(&it, &f))
        n += f.kind == SP_FIELD_OK && f.longest <= 998;
    FZ_MUST(n == e->n && !it.complete,
            "each change is one field with lines as long as they may be, and none ends the header");
    sp_buf_free(&b);
}

static bool events(struct sp_milter *m, struct sp_medit *e, enum sp_milter_stage asked)
{
    struct sp_milter_event ev;

    while (sp_milter_next(m, &ev)) {
        if (ev.type == SP_MILTER_CHANGE) {
            FZ_MUST(asked == SP_MS_EOM, "a change comes at the end of a message");
            apply(e, &ev.change, sp_milter_leading_space(m));
        }
        if (ev.type == SP_MILTER_VERDICT) {
            FZ_MUST(ev.stage == asked && !sp_milter_waits(m),
                    "the verdict on what was asked");
            FZ_MUST(ev.verdict != SP_MV_REPLY || (ev.code >= 400 && ev.code < 600),
                    "a reply refuses");
        }
        if (ev.type == SP_MILTER_FAILED) {
            FZ_MUST(ev.text.n > 0 && sp_milter_failed(m), "a failure has words");
            FZ_MUST(!sp_milter_next(m, &ev), "a failure is said once");
            return false;
        }
    }
    return true;
}

FZ_TARGET
{
    static const char offer[] = "\0\0\0\x0dO\0\0\0\6\0\0\1\xff\0\0\4\0";
    struct fz f = {data, size};
    struct sp_milter *m = sp_milter_new();
    struct sp_medit e;
    unsigned way = fz_byte(&f), stage = fz_byte(&f) % SP_MS_STAGES;
    size_t out;
    bool ok = true;

    if (!m)
        return 0;
    sp_medit_init(&e, 1 << 16);
    if (way & 1) { /* behind a good negotiation */
        (void)sp_milter_feed(m, offer, sizeof offer - 1);
        ok = events(m, &e, SP_MS_STAGES);
    }
    while (ok && f.n) {
        struct sp_str piece = fz_take(&f, way & 2 ? 1 + fz_byte(&f) % 7 : f.n);
        struct sp_milter_say w = {.text = {"x", 1}, .family = 'U'};

        while (ok && piece.n) {
            size_t k = sp_milter_feed(m, piece.p, piece.n);

            piece.p += k;
            piece.n -= k;
            ok = events(m, &e, stage);
            FZ_MUST(k || !ok || piece.n == 0, "octets are taken, or it failed");
        }
        if (ok && !sp_milter_waits(m))
            (void)sp_milter_say(m, stage, &w);
        if (way & 4 && ok && fz_byte(&f) % 8 == 0)
            sp_milter_abort(m);
        (void)sp_milter_out(m, &out);
        sp_milter_out_ack(m, out);
    }
    check_header(&e);
    sp_medit_free(&e);
    sp_milter_free(m);
    return 0;
}
