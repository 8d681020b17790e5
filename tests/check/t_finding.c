/* t_finding.c - the catalogue's rows, and what a run keeps. */
#include "finding.h"

#include "alloc.h"
#include "find_i.h"
#include "t.h"
#include "text.h"

#include <ctype.h>
#include <sysexits.h>

/* ---- the catalogue ---- */

/* clang-format off */
static const char *const check_names[] = {
#define SP_CHECK(name, ...) #name,
#include "catalogue.h"
};
static const char *const finding_names[] = {
#define SP_FINDING(name, ...) #name,
#include "catalogue.h"
};
static const char *const recipe_names[] = {
    "",
#define SP_RECIPE(name, ...) #name,
#include "catalogue.h"
};
/* clang-format on */

static void check_id(const char *id, const char *name)
{
    char want[100];
    size_t i = 0;

    for (; name[i] && i < sizeof want - 1; i++)
        want[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
    want[i] = '\0';
    CHECK_STR(id, want);
}

static bool plain(const char *s)
{
    if (!s)
        return true;
    for (; *s; s++)
        if ((unsigned char)*s > 126 || ((unsigned char)*s < 32 && *s != '\n'))
            return false;
    return true;
}

static void check_text(const char *id, const char *what, const char *s, bool full_stop)
{
    if (!s)
        return;
    if (!*s || !plain(s) || (full_stop && s[strlen(s) - 1] != '.'))
        t_bad++, printf("%s: %s is not a plain sentence: %s\n", id, what, s);
}

TEST("the id of a row is the name by which the code calls it")
{
    for (int i = 0; i < SP_CHECK_COUNT; i++)
        CHECK_STR(sp_check_row((enum sp_check_id)i)->id, check_names[i]);
    for (int i = 0; i < SP_FINDING_COUNT; i++)
        check_id(sp_finding_row((enum sp_finding_id)i)->id, finding_names[i]);
    for (int i = 1; i < SP_RECIPE_COUNT; i++)
        check_id(sp_recipe_row((enum sp_recipe_id)i)->id, recipe_names[i]);
}

TEST("every check says what it asks, and has findings of both kinds")
{
    for (int i = 0; i < SP_CHECK_COUNT; i++) {
        const struct sp_check_row *c = sp_check_row((enum sp_check_id)i);
        int n = 0;

        CHECK(c->title && c->asks);
        check_text(c->id, "title", c->title, false);
        check_text(c->id, "asks", c->asks, true);
        CHECK(c->id[0] == (c->side == SP_SIDE_SERVER ? 'P' : 'C'));
        if (c->failed_logins)
            CHECK(c->tier != SP_TIER_GENTLE || c->failed_logins == 1);
        if (c->mails)
            CHECK(c->needs & SP_NEEDS_SEND_TO);
        for (int k = 0; k < SP_FINDING_COUNT; k++)
            n += (int)sp_finding_row((enum sp_finding_id)k)->check == i;
        if (n == 0)
            t_bad++, printf("%s has no finding\n", c->id);
    }
}

TEST("what a gentle run of a server may cost is within the promise")
{
    unsigned connections = 0, logins = 0;

    for (int i = 0; i < SP_CHECK_COUNT; i++) {
        const struct sp_check_row *c = sp_check_row((enum sp_check_id)i);

        if (c->side != SP_SIDE_SERVER || c->tier != SP_TIER_GENTLE ||
            c->needs & SP_NEEDS_MX) /* there nobody logs in */
            continue;
        connections += c->connections;
        logins += c->failed_logins;
    }
    if (connections > 12 || logins > 3)
        t_bad++, printf("%u connections, %u failed logins\n", connections, logins);
}

static void check_facts(const struct sp_finding_row *r)
{
    unsigned seen = 0;

    for (const char *p = r->sentence; *p; p++) {
        if (*p != '%')
            continue;
        if (p[1] < '1' || p[1] > '3' || p[1] - '1' > (int)seen)
            t_bad++, printf("%s: %%%c\n", r->id, p[1]);
        else if (p[1] - '1' == (int)seen)
            seen++;
    }
}

TEST("every finding is a sentence, says why, and what to change when it is bad")
{
    for (int i = 0; i < SP_FINDING_COUNT; i++) {
        const struct sp_finding_row *r = sp_finding_row((enum sp_finding_id)i);

        if (!r->sentence || !r->why || r->check >= SP_CHECK_COUNT ||
            r->severity >= SP_SEV_COUNT || r->recipe >= SP_RECIPE_COUNT) {
            t_bad++, printf("%s lacks something\n", r->id);
            continue;
        }
        check_text(r->id, "sentence", r->sentence, true);
        check_text(r->id, "why", r->why, true);
        check_text(r->id, "change", r->change, true);
        CHECK(plain(r->postfix) && plain(r->exim) && plain(r->sendmail) &&
              plain(r->dovecot) && plain(r->opensmtpd));
        if (r->rfc && strncmp(r->rfc, "RFC ", 4) != 0 &&
            strncmp(r->rfc, "CVE-", 4) != 0)
            t_bad++, printf("%s: %s is no RFC\n", r->id, r->rfc);
        if (r->severity >= SP_SEV_INTEROP && !r->change)
            t_bad++, printf("%s: what can be changed?\n", r->id);
        check_facts(r);
    }
}

TEST("no id is there twice")
{
    for (int i = 0; i < SP_FINDING_COUNT; i++)
        CHECK_INT(sp_finding_by_id(sp_str(sp_finding_row((enum sp_finding_id)i)->id)),
                  i);
    for (int i = 0; i < SP_CHECK_COUNT; i++)
        CHECK_INT(sp_check_by_id(sp_str(sp_check_row((enum sp_check_id)i)->id)), i);
    CHECK_INT(sp_finding_by_id(SP_LIT("nonsense")), -SP_ENOENT);
}

/* ---- a run ---- */

/* Any two findings of one side with different severities, for what follows. */
static enum sp_finding_id of_severity(enum sp_severity s)
{
    for (int i = 0; i < SP_FINDING_COUNT; i++)
        if (sp_finding_row((enum sp_finding_id)i)->severity == s)
            return (enum sp_finding_id)i;
    CHECK(!"a row of each severity");
    return (enum sp_finding_id)0;
}

static struct sp_findings *server_run(const struct sp_check_choice *c)
{
    struct sp_check_choice none = {.have = SP_NEEDS_STARTTLS};
    struct sp_findings *f = NULL;
    struct sp_err err;

    CHECK_INT(sp_findings_new(SP_SIDE_SERVER, &f), 0);
    CHECK_INT(sp_findings_choose(f, c ? c : &none, &err), 0);
    return f;
}

TEST("findings stand worst first and the exit status is that of the worst")
{
    struct sp_findings *f = server_run(NULL);

    CHECK_INT(sp_findings_exit(f), 0);
    sp_finding_add(f, of_severity(SP_SEV_GOOD), NULL, NULL, NULL, NULL);
    CHECK_INT(sp_findings_exit(f), 0);
    sp_finding_add(f, of_severity(SP_SEV_BROKEN), NULL, NULL, NULL, NULL);
    CHECK_INT(sp_findings_exit(f), 2);
    sp_finding_add(f, of_severity(SP_SEV_INSECURE), NULL, NULL, NULL, NULL);
    CHECK_INT(sp_findings_exit(f), 3);
    CHECK_INT(sp_findings_at(f, 0)->severity, SP_SEV_INSECURE);
    CHECK_INT(sp_findings_at(f, 1)->severity, SP_SEV_BROKEN);
    CHECK_INT(sp_findings_at(f, 2)->severity, SP_SEV_GOOD);
    CHECK(sp_findings_at(f, 3) == NULL);
    sp_findings_free(f);
}

TEST("a finding can be milder than its row, never worse")
{
    struct sp_findings *f = server_run(NULL);

    sp_finding_add_as(f, of_severity(SP_SEV_GOOD), SP_SEV_INSECURE, NULL, NULL, NULL,
                      NULL);
    CHECK_INT(sp_findings_exit(f), 0);
    sp_finding_add_as(f, of_severity(SP_SEV_BROKEN), SP_SEV_INTEROP, NULL, NULL, NULL,
                      NULL);
    CHECK_INT(sp_findings_exit(f), 1);
    sp_findings_free(f);
}

TEST("the same finding is kept once, with other facts once more")
{
    struct sp_findings *f = server_run(NULL);
    enum sp_finding_id id = of_severity(SP_SEV_GOOD);

    sp_finding_add(f, id, NULL, "a", NULL, NULL);
    sp_finding_add(f, id, NULL, "a", NULL, NULL);
    CHECK_INT(sp_findings_count(f), 1);
    sp_finding_add(f, id, NULL, "b", NULL, NULL);
    sp_finding_add(f, id, NULL, "b", "c", NULL);
    CHECK_INT(sp_findings_count(f), 3);
    sp_findings_free(f);
}

TEST("the probing's own failure is the exit status only while nothing bad was found")
{
    struct sp_findings *f = server_run(NULL);

    sp_findings_failed(f, EX_NOHOST, "no such host");
    sp_findings_failed(f, EX_OSERR, "later");
    CHECK_INT(sp_findings_exit(f), EX_NOHOST);
    sp_finding_add(f, of_severity(SP_SEV_BROKEN), NULL, NULL, NULL, NULL);
    CHECK_INT(sp_findings_exit(f), 2);
    sp_findings_free(f);
}

TEST("a check that was not chosen, or lacks something, is listed as not run with why")
{
    struct sp_check_choice c = {.only = "p07", .have = 0};
    struct sp_findings *f = server_run(&c);

    CHECK(!sp_check_begin(f, SP_C_P07));
    sp_findings_finish(f);
    CHECK_INT(sp_findings_check(f, SP_C_P07)->state, SP_CHECK_NOT_RUN);
    CHECK_STR(sp_findings_check(f, SP_C_P07)->why, "needs STARTTLS");
    for (int i = 0; i < SP_CHECK_COUNT; i++)
        if (i != SP_C_P07 && sp_check_row((enum sp_check_id)i)->side == SP_SIDE_SERVER)
            CHECK_STR(sp_findings_check(f, (enum sp_check_id)i)->why,
                      "not among --only");
    sp_findings_free(f);
}

TEST("an unknown check after --only is refused, so is one of the other side")
{
    struct sp_check_choice c = {.only = "P07,nonsense"};
    struct sp_findings *f = NULL;
    struct sp_err err;

    CHECK_INT(sp_findings_new(SP_SIDE_SERVER, &f), 0);
    CHECK_INT(sp_findings_choose(f, &c, &err), -SP_EINPUT);
    CHECK(strstr(err.text, "nonsense") != NULL);
    c.only = "C01";
    CHECK_INT(sp_findings_choose(f, &c, &err), -SP_EINPUT);
    sp_findings_free(f);
}

TEST("what did not come to its turn is listed as not run")
{
    struct sp_findings *f = server_run(NULL);

    CHECK(sp_check_begin(f, SP_C_P07));
    sp_findings_interrupted(f);
    sp_findings_finish(f);
    CHECK_INT(sp_findings_check(f, SP_C_P07)->state, SP_CHECK_NOT_RUN);
    CHECK_STR(sp_findings_check(f, SP_C_P07)->why, "interrupted");
    CHECK_INT(sp_findings_exit(f), 130);
    sp_findings_free(f);
}

struct said {
    unsigned n, done, total;
    char what[100];
};

static void on_said(void *arg, enum sp_check_id check, const char *what, unsigned done,
                    unsigned total)
{
    struct said *s = arg;

    (void)check;
    s->n++;
    s->done = done;
    s->total = total;
    snprintf(s->what, sizeof s->what, "%s", what);
}

TEST("progress counts the checks of this run")
{
    struct sp_findings *f = server_run(NULL);
    struct said s = {0};
    struct sp_progress p = {on_said, &s};

    sp_findings_progress(f, &p);
    CHECK(sp_check_begin(f, SP_C_P07));
    CHECK_INT(s.n, 1);
    CHECK_INT(s.done, 0);
    CHECK(s.total >= 1);
    sp_check_done(f, SP_C_P07, 1, 0);
    sp_findings_say(f, "waiting %d s", 3);
    CHECK_STR(s.what, "waiting 3 s");
    CHECK_INT(s.done, 1);
    sp_findings_free(f);
}

/* ---- evidence ---- */

TEST("evidence is cut into lines, clipped, and counted when it is too much")
{
    struct sp_evidence ev = {0};
    char big[1000];

    memset(big, 'x', sizeof big);
    sp_ev_put(&ev, SP_EV_SERVER, "TLS", SP_LIT("250-a\r\n250 b\r\n"));
    CHECK_INT(ev.n, 2);
    CHECK_INT(ev.line[1].n, 5);
    sp_ev_put(&ev, SP_EV_CLIENT, "TLS", (struct sp_str){big, sizeof big});
    CHECK_INT(ev.line[2].n, SP_EV_TEXT);
    CHECK(ev.line[2].clipped);
    sp_ev_put(&ev, SP_EV_CLIENT, "TLS", SP_LIT("a\nb\0c\r\n"));
    CHECK_INT(ev.line[3].n, 5);
    for (int i = 0; i < 20; i++)
        sp_ev_note(&ev, "", "note %d", i);
    CHECK_INT(ev.n, SP_EV_LINES);
    CHECK_INT(ev.dropped, 20 - (SP_EV_LINES - 4));
}

TEST("a secret's place is shown, the secret is not")
{
    struct sp_evidence ev = {0};

    sp_ev_hidden(&ev, "TLS", "AUTH PLAIN ");
    CHECK_INT(ev.n, 1);
    CHECK(strncmp(ev.line[0].text, "AUTH PLAIN [hidden]", ev.line[0].n) == 0);
}

TEST("memory that runs out is an exit status, never a crash")
{
    for (long n = 1; n < 40; n++) {
        struct sp_findings *f = NULL;
        bool failed;

        sp_alloc_fail_at(n, 1);
        if (sp_findings_new(SP_SIDE_SERVER, &f) == 0) {
            char text[400];

            memset(text, 'y', sizeof text - 1);
            text[sizeof text - 1] = '\0';
            for (int i = 0; i < 200; i++) {
                text[0] = (char)('a' + i % 26);
                text[1] = (char)('a' + i / 26);
                sp_finding_add(f, of_severity(SP_SEV_GOOD), NULL, text, NULL, NULL);
                sp_findings_fact(f, "banner", sp_str(text));
                sp_findings_cap(f, SP_CAPS_TLS, SP_LIT("SIZE 1"));
            }
            sp_findings_finish(f);
            failed = sp_findings_count(f) < 200;
            CHECK_INT(sp_findings_exit(f), failed || f->lost ? EX_OSERR : 0);
        }
        sp_alloc_fail_at(-1, 0);
        sp_findings_free(f);
    }
}

TEST("capabilities are kept once for each state, case aside")
{
    struct sp_findings *f = server_run(NULL);

    sp_findings_cap(f, SP_CAPS_CLEAR, SP_LIT("SIZE 1000"));
    sp_findings_cap(f, SP_CAPS_CLEAR, SP_LIT("size 1000"));
    sp_findings_cap(f, SP_CAPS_CLEAR, SP_LIT(""));
    sp_findings_caps_seen(f, SP_CAPS_LOGIN);
    CHECK_INT(f->caps[SP_CAPS_CLEAR].n, 1);
    CHECK(f->caps[SP_CAPS_LOGIN].seen && f->caps[SP_CAPS_LOGIN].n == 0);
    CHECK(!f->caps[SP_CAPS_TLS].seen);
    sp_findings_free(f);
}

TEST("the recipe that was seen to work stands before those of findings")
{
    struct sp_findings *f = server_run(NULL);

    for (int i = 0; i < SP_FINDING_COUNT; i++)
        sp_finding_add(f, (enum sp_finding_id)i, NULL, NULL, NULL, NULL);
    sp_findings_recipe(f, SP_R_CERTIFICATE_IMPLICIT);
    sp_findings_recipe(f, SP_R_PASSWORD_IMPLICIT);
    sp_findings_recipe(f, SP_R_CERTIFICATE_IMPLICIT);
    CHECK(f->n_recipes >= 2);
    CHECK_INT(f->recipe[0], SP_R_CERTIFICATE_IMPLICIT);
    CHECK_INT(f->recipe[1], SP_R_PASSWORD_IMPLICIT);
    for (size_t i = 0; i < f->n_recipes; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(f->recipe[i] != f->recipe[k]);
    sp_findings_free(f);
}

TEST("doc/findings.md has every finding and every check")
{
    struct sp_buf b;
    char want[200];

    sp_buf_init(&b, 4 << 20);
    CHECK_INT(sp_catalogue_markdown(&b), 0);
    CHECK(sp_buf_cstr(&b) != NULL);
    for (int i = 0; i < SP_FINDING_COUNT; i++) {
        snprintf(want, sizeof want, "#### `%s` (",
                 sp_finding_row((enum sp_finding_id)i)->id);
        CHECK(strstr(b.p, want) != NULL);
    }
    for (int i = 0; i < SP_CHECK_COUNT; i++) {
        snprintf(want, sizeof want, "### %s: ", sp_check_row((enum sp_check_id)i)->id);
        CHECK(strstr(b.p, want) != NULL);
    }
    sp_buf_free(&b);
}

T_MAIN
