/* f_address.c - addresses and mailbox lists: one canonical form, pieces inside the input,
 * linear work. */
#include "fz.h"

#include "addr.h"

static void one(struct sp_str in, unsigned flags)
{
    struct sp_addr a, b;
    enum sp_addr_result r = sp_addr_parse(in, flags, &a), again;

    if (r == SP_ADDR_SYNTAX)
        return;
    FZ_MUST(a.n <= SP_ADDR_TEXT_MAX && a.text[a.n] == '\0' && strlen(a.text) == a.n,
            "the text is bounded and ends where it says");
    FZ_MUST(sp_utf8_valid(sp_addr_text(&a)), "the text is UTF-8");
    FZ_MUST((r == SP_ADDR_NEEDS_UTF8) == (a.utf8 && !(flags & SP_ADDR_UTF8_OK)) ||
                r == SP_ADDR_UNQUALIFIED,
            "octets above 127 need leave");
    for (size_t i = 0; i < a.n; i++)
        FZ_MUST((unsigned char)a.text[i] >= 32 && a.text[i] != 127, "no control octet");
    again = sp_addr_parse(sp_addr_text(&a), flags, &b);
    FZ_MUST(again == r, "the canonical form is judged the same");
    FZ_MUST(sp_str_eq(sp_addr_text(&a), sp_addr_text(&b)), "canonical twice is once");
    FZ_MUST(sp_addr_equal(sp_addr_text(&a), sp_addr_text(&b)), "an address is itself");
    FZ_MUST(sp_addr_domain(&a).n + sp_addr_local(&a).n + (a.at < a.n) == a.n,
            "local part, at and domain are the whole");
    if (r == SP_ADDR_OK && a.at < a.n && a.text[0] != '*')
        FZ_MUST(sp_addr_matches(sp_addr_text(&a), sp_addr_text(&a)),
                "an address falls under itself");
}

static void list(struct sp_str in)
{
    struct sp_mbox_iter it;
    struct sp_mbox m;
    struct sp_buf name;
    size_t n = 0;
    int rc;

    sp_buf_init(&name, in.n * 2 + 64);
    sp_mbox_start(&it, in, SP_ADDR_UTF8_OK);
    while ((rc = sp_mbox_next(&it, &m)) > 0) {
        struct sp_addr a;

        FZ_MUST(fz_inside(m.name, in) && fz_inside(m.spec, in), "pieces lie inside");
        FZ_MUST(m.verdict != SP_ADDR_SYNTAX, "a mailbox that is none is not given");
        FZ_MUST(sp_addr_parse(sp_addr_text(&m.addr), SP_ADDR_UTF8_OK, &a) ==
                        m.verdict &&
                    sp_str_eq(sp_addr_text(&a), sp_addr_text(&m.addr)),
                "a list and a path give one canonical form");
        name.n = 0;
        FZ_MUST(sp_mbox_name(&m, &name) == 0, "a name does not grow");
        for (size_t i = 0; i < name.n; i++)
            FZ_MUST((unsigned char)name.p[i] >= 32 && name.p[i] != 127,
                    "no control octet is in a name");
        FZ_MUST(++n <= in.n + 1, "a list ends");
    }
    FZ_MUST(rc == 0 || sp_mbox_next(&it, &m) == rc, "malformed stays malformed");
    FZ_MUST(it.work <= 8 * in.n + 64, "the work is linear");
    sp_buf_free(&name);
}

FZ_TARGET
{
    struct fz f = {data, size};
    unsigned flags = fz_byte(&f) & 7;
    struct sp_str in = fz_rest(&f);
    struct sp_str rest = in, pattern;

    one(in, flags);
    list(in);
    pattern = sp_str_cut(&rest, ' ');
    if (rest.p)
        (void)sp_addr_matches(pattern, rest);
    (void)sp_addr_equal(pattern, rest);
    return 0;
}
