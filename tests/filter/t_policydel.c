/* t_policydel.c - policy delegation: what is asked, and what an action means. */
#include "t.h"

#include "policydel.h"

TEST("a question is name=value lines and an empty one; a line end in a value makes no "
     "second line")
{
    struct sp_buf b;

    sp_buf_init(&b, 1000);
    CHECK_INT(sp_policy_ask(&b, "request", SP_LIT("smtpd_access_policy")), 0);
    CHECK_INT(sp_policy_ask(&b, "helo_name", SP_LIT("x\nsasl_username=root")), 0);
    CHECK_INT(sp_policy_ask(&b, "sender", SP_LIT("")), 0);
    CHECK_INT(sp_policy_ask_end(&b), 0);
    CHECK_STR(
        sp_buf_cstr(&b),
        "request=smtpd_access_policy\nhelo_name=x sasl_username=root\nsender=\n\n");
    sp_buf_free(&b);
}

/* Every split; true when all of it was taken and it is done. */
static bool read_all(const char *text, struct sp_policy_reader *r, size_t step)
{
    struct sp_str in = sp_str(text);

    memset(r, 0, sizeof *r);
    while (in.n && !r->done && !r->bad) {
        struct sp_str piece = {in.p, in.n < step ? in.n : step};
        size_t k = sp_policy_feed(r, piece);

        in.p += k;
        in.n -= k;
        if (k < piece.n)
            break;
    }
    return r->done && in.n == 0;
}

TEST("a reply ends at its empty line, in any split; other lines do not matter")
{
    struct sp_policy_reader r;
    char huge[SP_POLICY_REPLY_MAX + 100];

    for (size_t step = 1; step < 20; step++) {
        CHECK(read_all("action=DUNNO\n\n", &r, step));
        CHECK_STR(r.action, "DUNNO");
        CHECK(read_all("note=x\r\naction=REJECT no\r\naction=OK\r\n\r\n", &r, step));
        CHECK_STR(r.action, "REJECT no");
        CHECK(!read_all("\n", &r, step) && r.bad);
        CHECK(!read_all("x=y\n\n", &r, step) && r.bad);
        CHECK(!read_all("action=OK\n", &r, step) && !r.bad);
    }
    memset(huge, 'a', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    CHECK(!read_all(huge, &r, 1000) && r.bad);
}

TEST("what each action means; one that is unknown, or makes no sense, is unknown")
{
    static const struct {
        const char *action;
        enum sp_policy_kind kind;
        int code, e1, e2, e3;
        const char *text;
    } rows[] = {
        {"DUNNO", SP_PA_DUNNO, 0, 0, 0, 0, ""},
        {"dunno", SP_PA_DUNNO, 0, 0, 0, 0, ""},
        {"OK", SP_PA_OK, 0, 0, 0, 0, ""},
        {"REJECT", SP_PA_REFUSE, 554, 5, 7, 1, "Access denied"},
        {"REJECT not here", SP_PA_REFUSE, 554, 5, 7, 1, "not here"},
        {"REJECT 5.7.26 spf says no", SP_PA_REFUSE, 554, 5, 7, 26, "spf says no"},
        {"REJECT 4.7.26 wrong class", SP_PA_REFUSE, 554, 5, 7, 1, "4.7.26 wrong class"},
        {"DEFER", SP_PA_REFUSE, 450, 4, 7, 1, "Try again later"},
        {"DEFER_IF_PERMIT Greylisted, see http://x", SP_PA_REFUSE, 450, 4, 7, 1,
         "Greylisted, see http://x"},
        {"DEFER_IF_REJECT x", SP_PA_DUNNO, 0, 0, 0, 0, "x"},
        {"450 4.3.2 busy", SP_PA_REFUSE, 450, 4, 3, 2, "busy"},
        {"550", SP_PA_REFUSE, 550, 5, 7, 1, "Access denied"},
        {"421 4.7.0 bye", SP_PA_REFUSE, 421, 4, 7, 0, "bye"},
        {"250 ok", SP_PA_UNKNOWN, 0, 0, 0, 0, "ok"},
        {"650 x", SP_PA_UNKNOWN, 0, 0, 0, 0, "x"},
        {"PREPEND X-Policy: yes", SP_PA_PREPEND, 0, 0, 0, 0, "X-Policy: yes"},
        {"PREPEND no field", SP_PA_UNKNOWN, 0, 0, 0, 0, "no field"},
        {"PREPEND X-A: b\rBcc: c", SP_PA_UNKNOWN, 0, 0, 0, 0, "X-A: b\rBcc: c"},
        {"PREPEND", SP_PA_UNKNOWN, 0, 0, 0, 0, ""},
        {"HOLD", SP_PA_HOLD, 0, 0, 0, 0, "held by the policy service"},
        {"HOLD for bob", SP_PA_HOLD, 0, 0, 0, 0, "for bob"},
        {"DISCARD", SP_PA_DISCARD, 0, 0, 0, 0, ""},
        {"WARN odd", SP_PA_WARN, 0, 0, 0, 0, "odd"},
        {"INFO odd", SP_PA_WARN, 0, 0, 0, 0, "odd"},
        {"REDIRECT carol@example.org", SP_PA_REDIRECT, 0, 0, 0, 0, "carol@example.org"},
        {"REDIRECT carol", SP_PA_UNKNOWN, 0, 0, 0, 0, "carol"},
        {"REDIRECT a@b c@d", SP_PA_UNKNOWN, 0, 0, 0, 0, "a@b c@d"},
        {"BCC audit@example.org", SP_PA_BCC, 0, 0, 0, 0, "audit@example.org"},
        {"FILTER smtp:[127.0.0.1]:10024", SP_PA_UNKNOWN, 0, 0, 0, 0,
         "smtp:[127.0.0.1]:10024"},
        {"reject_unauth_destination", SP_PA_UNKNOWN, 0, 0, 0, 0, ""},
        {"", SP_PA_UNKNOWN, 0, 0, 0, 0, ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sp_policy_action a;
        char text[200];

        sp_policy_action(sp_str(rows[i].action), &a);
        snprintf(text, sizeof text, "%.*s", (int)a.text.n, a.text.n ? a.text.p : "");
        CHECK_INT(a.kind, rows[i].kind);
        CHECK_INT(a.code, rows[i].code);
        CHECK(a.enh[0] == rows[i].e1 && a.enh[1] == rows[i].e2 &&
              a.enh[2] == rows[i].e3);
        CHECK_STR(text, rows[i].text);
    }
}

T_MAIN
