/* f_policy.c - a policy service that says anything: any split gives the same, and an action
 * that is let through makes sense. */
#include "fz.h"

#include "policydel.h"

static void read_it(struct sp_str in, unsigned way, struct sp_policy_reader *r)
{
    memset(r, 0, sizeof *r);
    while (in.n && !r->done && !r->bad) {
        struct sp_str piece = {in.p, fz_piece(&way, in.n)};
        size_t k = sp_policy_feed(r, piece);

        FZ_MUST(k == piece.n || r->done || r->bad, "octets are taken until the end");
        in.p += k;
        in.n -= k;
    }
}

FZ_TARGET
{
    struct sp_str in = {size ? (const char *)data : "", size};
    struct sp_policy_reader a, b;
    struct sp_policy_action x;

    read_it(in, 0, &a);
    read_it(in, 77, &b);
    FZ_MUST(a.done == b.done && a.bad == b.bad && a.has_action == b.has_action &&
                strcmp(a.action, b.action) == 0,
            "any split gives the same");
    FZ_MUST(!a.done || a.has_action, "a reply has an action");
    sp_policy_action(sp_str(a.action), &x);
    FZ_MUST(x.kind != SP_PA_REFUSE ||
                (x.code >= 400 && x.code < 600 && x.enh[0] == x.code / 100),
            "a refusal refuses");
    for (size_t i = 0; i < x.text.n; i++)
        FZ_MUST(x.text.p[i] != '\n', "what is said is one line");
    return 0;
}
