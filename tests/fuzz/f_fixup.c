/* f_fixup.c - the plan for a message's header: inside the header, never breaking a
 * signature, never letting another's From through, and nothing to do the second time. */
#include "fz.h"

#include "addr.h"
#include "fixup.h"
#include "header.h"

static const struct sp_str own[] = {{"*@example.org", 13}, {"a@b", 3}};

static void look_at_plan(struct sp_str in, const struct sp_fix_plan *p)
{
    uint64_t at = 0;

    FZ_MUST(p->work <= 8 * in.n + 64, "the work is linear");
    if (p->refused) {
        FZ_MUST((p->code == 550 || p->code == 554) && p->text[0] && p->enhanced[0],
                "a refusal has a reply");
        for (const char *c = p->text; *c; c++)
            FZ_MUST(*c >= 32 && *c < 127, "its words are printable");
        FZ_MUST(p->cut_n == 0 && p->prefix.n == 0, "a refused message is not touched");
        return;
    }
    FZ_MUST(p->header_size <= in.n, "the header is in the message");
    for (size_t i = 0; i < p->cut_n; i++) {
        FZ_MUST(p->cut[i].length && p->cut[i].offset >= at &&
                    p->cut[i].offset + p->cut[i].length <= p->header_size,
                "cuts are in order and in the header");
        at = p->cut[i].offset + p->cut[i].length;
    }
}

/* What is sent, judged again from nothing but its octets. */
static void look_at_sent(struct sp_str sent, bool is_signed)
{
    struct sp_header_iter it;
    struct sp_field f;
    size_t from = 0;

    sp_header_start(&it, sent);
    while (sp_header_next(&it, &f)) {
        struct sp_mbox_iter boxes;
        struct sp_mbox m;
        int rc;

        FZ_MUST(is_signed || !sp_field_named(&f, "Bcc"), "no Bcc leaves");
        if (!sp_field_named(&f, "From"))
            continue;
        from++;
        sp_mbox_start(&boxes, f.value, SP_ADDR_UTF8_OK);
        while ((rc = sp_mbox_next(&boxes, &m)) > 0)
            FZ_MUST(sp_addr_matches(own[0], sp_addr_text(&m.addr)) ||
                        sp_addr_matches(own[1], sp_addr_text(&m.addr)),
                    "no From leaves that is not the sender's own");
        FZ_MUST(rc == 0, "From can be read");
    }
    FZ_MUST(from == 1 || (is_signed && from == 0), "one From leaves");
}

static void carry_out(struct sp_str in, const struct sp_fix_plan *p,
                      struct sp_buf *sent)
{
    size_t at = 0;

    (void)sp_buf_str(sent, sp_buf_view(&p->prefix));
    for (size_t i = 0; i < p->cut_n; i++) {
        (void)sp_buf_put(sent, in.p + at, (size_t)p->cut[i].offset - at);
        at = (size_t)(p->cut[i].offset + p->cut[i].length);
    }
    (void)sp_buf_put(sent, in.p + at, in.n - at);
}

FZ_TARGET
{
    struct fz f = {data, size};
    unsigned flags = fz_byte(&f);
    struct sp_str in = fz_rest(&f);
    struct sp_fix_in fix = {.header = in,
                            .reverse_path = flags & 1 ? SP_LIT("") : SP_LIT("a@b"),
                            .smtputf8 = flags & 2,
                            .check_owner = true,
                            .user = SP_LIT("alice"),
                            .own = own,
                            .own_n = 2,
                            .first_address = SP_LIT("x@example.org"),
                            .hostname = SP_LIT("h.example"),
                            .now_ms = 1795000000000u};
    struct sp_fix_policy policy;
    struct sp_fix_plan p, second;
    struct sp_buf sent;

    sp_fix_policy_default(&policy);
    if (flags & 4)
        (void)sp_fix_policy_set(&policy, SP_LIT("foreign-from"), SP_LIT("repair"));
    fix.policy = &policy;
    sp_fix_plan_init(&p);
    sp_fix_plan_init(&second);
    sp_buf_init(&sent, in.n + SP_FIX_PREFIX_MAX + 1024);
    FZ_MUST(sp_fix_make(&fix, &p) == 0, "a plan is made of anything");
    look_at_plan(in, &p);
    if (!p.refused) {
        carry_out(in, &p, &sent);
        look_at_sent(sp_buf_view(&sent), p.is_signed);
        fix.header = sp_buf_view(&sent);
        FZ_MUST(sp_fix_make(&fix, &second) == 0, "a plan is made of anything");
        FZ_MUST(!second.refused, "what was let through is let through again");
        FZ_MUST(second.cut_n == 0 && second.prefix.n == 0,
                "the second time nothing is to do");
    }
    sp_buf_free(&sent);
    sp_fix_plan_free(&p);
    sp_fix_plan_free(&second);
    return 0;
}
