/* f_oneshot.c - PLAIN, OAUTHBEARER, XOAUTH2, EXTERNAL and LOGIN: pieces lie inside the
 * message and hold no NUL; our client's tokens are understood. */
#include "fz.h"

#include "oneshot.h"
#include "text.h"

#include <sallyport/client.h>

static void look(int rc, const struct sp_credential *c, struct sp_str in)
{
    const struct sp_str part[] = {c->authzid, c->authcid, c->secret};

    for (size_t i = 0; rc == 0 && i < 3; i++) {
        FZ_MUST(fz_inside(part[i], in), "a piece lies inside");
        FZ_MUST(part[i].n == 0 || !memchr(part[i].p, 0, part[i].n), "no NUL is inside");
    }
}

static void there_and_back(struct sp_str a, struct sp_str b, struct sp_str secret)
{
    struct sp_credential c;
    char token[12288];
    int n = sp_cli_plain(a, b, secret, token, sizeof token);

    memset(&c, 0, sizeof c);
    if (n >= 0 && sp_plain_parse((struct sp_str){token, (size_t)n}, &c) == 0)
        FZ_MUST(sp_str_eq(c.authzid, a) && sp_str_eq(c.authcid, b) &&
                    sp_str_eq(c.secret, secret),
                "PLAIN says who and what, and nothing else");
    for (unsigned m = SP_MECH_OAUTHBEARER; m <= SP_MECH_XOAUTH2; m++) {
        n = sp_cli_bearer((enum sp_mech)m, b, SP_LIT("h.example"), 587, secret, token,
                          sizeof token);
        memset(&c, 0, sizeof c);
        if (n >= 0 &&
            (m == SP_MECH_OAUTHBEARER
                 ? sp_oauthbearer_parse((struct sp_str){token, (size_t)n}, &c)
                 : sp_xoauth2_parse((struct sp_str){token, (size_t)n}, &c)) == 0)
            FZ_MUST(sp_str_eq(c.secret, secret), "the bearer token is what was given");
    }
}

FZ_TARGET
{
    struct fz f = {data, size};
    struct sp_str in = {size ? (const char *)data : "", size}, a, b;
    struct sp_credential c = {0};

    look(sp_plain_parse(in, &c), &c, in);
    look(sp_oauthbearer_parse(in, &c), &c, in);
    look(sp_xoauth2_parse(in, &c), &c, in);
    look(sp_external_parse(in, &c), &c, in);
    (void)sp_login_valid(in);
    a = fz_line(&f);
    b = fz_line(&f);
    there_and_back(a, b, fz_rest(&f));
    return 0;
}
