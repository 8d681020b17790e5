/* What the client's tables must say, written by hand from PROTOCOL.md sections 1 and 2,
 * and the small parts of the engine that stories cannot show. */
#include "cli_caps.h"
#include "cli_out.h"
#include "cli_params.h"
#include "cli_rules.h"
#include "reply.h"

#include "alloc.h"
#include "t.h"
#include "text.h"

#include <malloc.h>
#include <stdlib.h>

/* --- TLS --------------------------------------------------------------------------- */

TEST("TLS required: only verified TLS goes on, and only 4xx is worth a retry")
{
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_REQUIRED, SP_TLS_NOT_OFFERED), SP_TLS_STOP);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_REQUIRED, SP_TLS_REFUSED_TEMP),
              SP_TLS_STOP_TEMP);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_REQUIRED, SP_TLS_REFUSED), SP_TLS_STOP);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_REQUIRED, SP_TLS_FAILED), SP_TLS_STOP);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_REQUIRED, SP_TLS_UNVERIFIED), SP_TLS_STOP);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_REQUIRED, SP_TLS_VERIFIED), SP_TLS_GO_ON);
}

TEST("implicit TLS: a stranger or a failure stops")
{
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_IMPLICIT, SP_TLS_FAILED), SP_TLS_STOP);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_IMPLICIT, SP_TLS_UNVERIFIED), SP_TLS_STOP);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_IMPLICIT, SP_TLS_VERIFIED), SP_TLS_GO_ON);
}

TEST("opportunistic: everything goes on but a failed handshake")
{
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_OPPORTUNISTIC, SP_TLS_NOT_OFFERED),
              SP_TLS_GO_ON);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_OPPORTUNISTIC, SP_TLS_REFUSED_TEMP),
              SP_TLS_GO_ON);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_OPPORTUNISTIC, SP_TLS_REFUSED), SP_TLS_GO_ON);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_OPPORTUNISTIC, SP_TLS_FAILED), SP_TLS_STOP);
    CHECK_INT(sp_cli_tls_rule(SP_CLI_TLS_OPPORTUNISTIC, SP_TLS_UNVERIFIED),
              SP_TLS_GO_ON);
}

/* --- mechanisms -------------------------------------------------------------------- */

static const uint32_t all = (1u << SP_MECHS) - 1;
#define M(x) SP_MECH_BIT(SP_MECH_##x)

TEST("TLS: each cell of the table, G go on, S stop, T stop for now")
{
    static const struct {
        enum sp_cli_tls want;
        const char *cells; /* not offered, 4xx, 5xx, failed, unverified, verified */
    } row[] = {
        {SP_CLI_TLS_REQUIRED, "STSSSG"},
        {SP_CLI_TLS_IMPLICIT, "SSSSSG"},
        {SP_CLI_TLS_OPPORTUNISTIC, "GGGSGG"},
        {SP_CLI_TLS_NONE, "GSSSSS"},
    };

    for (size_t i = 0; i < 4; i++)
        for (int k = 0; k < SP_TLS_OUTCOMES; k++) {
            enum sp_tls_action a = sp_cli_tls_rule(row[i].want, (enum sp_tls_outcome)k);
            char got = a == SP_TLS_GO_ON ? 'G' : a == SP_TLS_STOP ? 'S' : 'T';

            CHECK_INT(got, row[i].cells[k]);
        }
}

TEST("mechanisms: strongest first of what is held")
{
    CHECK_INT(sp_cli_mech_choose(all, SP_HELD_PASSWORD, SP_PLACE_VERIFIED),
              SP_MECH_SCRAM_SHA_256);
    CHECK_INT(
        sp_cli_mech_choose(all, SP_HELD_PASSWORD | SP_HELD_BINDING, SP_PLACE_VERIFIED),
        SP_MECH_SCRAM_SHA_256_PLUS);
    CHECK_INT(sp_cli_mech_choose(all, SP_HELD_TOKEN, SP_PLACE_VERIFIED),
              SP_MECH_OAUTHBEARER);
    CHECK_INT(
        sp_cli_mech_choose(all, SP_HELD_TICKET | SP_HELD_PASSWORD, SP_PLACE_VERIFIED),
        SP_MECH_GSSAPI);
    CHECK_INT(sp_cli_mech_choose(all, SP_HELD_CERT, SP_PLACE_VERIFIED),
              SP_MECH_EXTERNAL);
    CHECK_INT(
        sp_cli_mech_choose(M(PLAIN) | M(LOGIN), SP_HELD_PASSWORD, SP_PLACE_VERIFIED),
        SP_MECH_PLAIN);
    CHECK_INT(sp_cli_mech_choose(M(LOGIN), SP_HELD_PASSWORD, SP_PLACE_VERIFIED),
              SP_MECH_LOGIN);
    CHECK_INT(sp_cli_mech_choose(M(SCRAM_SHA_1) | M(PLAIN), SP_HELD_PASSWORD,
                                 SP_PLACE_VERIFIED),
              SP_MECH_SCRAM_SHA_1);
    /* one -PLUS taken out of the list by a man in the middle: the other still binds */
    CHECK_INT(sp_cli_mech_choose(M(SCRAM_SHA_1_PLUS) | M(SCRAM_SHA_256) | M(PLAIN),
                                 SP_HELD_PASSWORD | SP_HELD_BINDING, SP_PLACE_VERIFIED),
              SP_MECH_SCRAM_SHA_1_PLUS);
    CHECK_INT(sp_cli_mech_choose(M(SCRAM_SHA_1_PLUS) | M(SCRAM_SHA_256),
                                 SP_HELD_PASSWORD, SP_PLACE_VERIFIED),
              SP_MECH_SCRAM_SHA_256);
    CHECK_INT(sp_cli_mech_choose(all, 0, SP_PLACE_VERIFIED), -1);
    CHECK_INT(sp_cli_mech_choose(0, 31, SP_PLACE_VERIFIED), -1);
}

TEST("mechanisms: nothing to a stranger, nothing where TLS was stripped")
{
    for (int m = 0; m < SP_MECHS; m++) {
        CHECK_INT(sp_cli_mech_choose(SP_MECH_BIT(m), 31, SP_PLACE_UNVERIFIED), -1);
        CHECK_INT(sp_cli_mech_choose(SP_MECH_BIT(m), 31, SP_PLACE_STRIPPED), -1);
    }
}

TEST("mechanisms: what shows the secret never goes in clear unless asked for by name")
{
    static const int shows[] = {SP_MECH_PLAIN, SP_MECH_LOGIN, SP_MECH_OAUTHBEARER,
                                SP_MECH_XOAUTH2};

    for (size_t i = 0; i < sizeof shows / sizeof shows[0]; i++) {
        uint32_t set = SP_MECH_BIT(shows[i]);

        CHECK(sp_mech_shows_secret((enum sp_mech)shows[i]));
        CHECK_INT(sp_cli_mech_choose(set, 31, SP_PLACE_CLEAR), -1);
        CHECK_INT(sp_cli_mech_choose(set, 31, SP_PLACE_CLEAR_OPEN), shows[i]);
    }
    CHECK_INT(sp_cli_mech_choose(M(CRAM_MD5), 31, SP_PLACE_CLEAR), SP_MECH_CRAM_MD5);
    CHECK_INT(sp_cli_mech_choose(M(EXTERNAL), 31, SP_PLACE_CLEAR_OPEN), -1);
    CHECK_INT(sp_cli_mech_choose(M(SCRAM_SHA_256_PLUS), 31, SP_PLACE_CLEAR_OPEN), -1);
}

/* --- replies ----------------------------------------------------------------------- */

TEST("AUTH replies mean what our own state says, not their text")
{
    static const int tls_in_clear[] = {400, 503, 504, 523, 524, 530, 538};

    for (size_t i = 0; i < sizeof tls_in_clear / sizeof tls_in_clear[0]; i++) {
        CHECK_INT(sp_cli_auth_reply(tls_in_clear[i], true), SP_AUTH_NEEDS_TLS);
        CHECK(sp_cli_auth_reply(tls_in_clear[i], false) != SP_AUTH_NEEDS_TLS);
    }
    CHECK_INT(sp_cli_auth_reply(235, false), SP_AUTH_YES);
    CHECK_INT(sp_cli_auth_reply(334, false), SP_AUTH_CHALLENGE);
    CHECK_INT(sp_cli_auth_reply(454, false), SP_AUTH_TEMP);
    CHECK_INT(sp_cli_auth_reply(432, false), SP_AUTH_TEMP);
    CHECK_INT(sp_cli_auth_reply(535, false), SP_AUTH_NO);
    CHECK_INT(sp_cli_auth_reply(535, true), SP_AUTH_NO);
    CHECK_INT(sp_cli_auth_reply(501, false), SP_AUTH_NO);
    CHECK_INT(sp_cli_auth_reply(354, false), SP_AUTH_NO);
    for (int code = 500; code <= 504; code++)
        CHECK_INT(sp_cli_auth_reply(code, false),
                  code == 501 ? SP_AUTH_NO : SP_AUTH_ABSENT);
    CHECK_INT(sp_cli_auth_reply(534, false), SP_AUTH_ABSENT);
}

TEST("which refusals ask for a login")
{
    struct {
        int code, e[3];
        bool mail, rcpt, sure;
    } row[] = {
        {530, {0}, true, true, true},          {530, {5, 5, 1}, true, true, true},
        {535, {0}, true, true, true},          {550, {0}, true, true, false},
        {550, {5, 7, 9}, true, true, false},   {554, {5, 7, 1}, true, true, false},
        {554, {0}, false, false, false},       {503, {5, 5, 1}, true, false, false},
        {502, {5, 7, 0}, true, false, false},  {552, {5, 3, 4}, false, false, false},
        {450, {4, 7, 1}, false, false, false}, {250, {2, 0, 0}, false, false, false},
        {550, {5, 1, 1}, true, false, false},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct sp_reply r = {.code = row[i].code};
        bool sure;

        memcpy(r.enh, row[i].e, sizeof r.enh);
        CHECK_INT(sp_cli_wants_login(&r, SP_STAGE_MAIL, &sure), row[i].mail);
        CHECK_INT(sure, row[i].sure);
        CHECK_INT(sp_cli_wants_login(&r, SP_STAGE_RCPT, &sure), row[i].rcpt);
        CHECK_INT(sp_cli_wants_login(&r, SP_STAGE_DATA, &sure), 0);
    }
}

/* --- certificate and password -------------------------------------------------------- */

static enum sp_login_action automatic(enum sp_login_state s, enum sp_login_event e,
                                      unsigned facts)
{
    return sp_cli_login_rule(true, SP_CLI_CERT_AUTO, s, e, facts | SP_LF_LEFT);
}

TEST("auto: EXTERNAL listed, EXTERNAL; else AUTH and a password; else MAIL at once")
{
    const unsigned cert = SP_LF_CERT, ext = SP_LF_EXTERNAL,
                   pw = SP_LF_USABLE | SP_LF_HELD;

    CHECK_INT(automatic(SP_LS_START, SP_LE_BEGIN, cert | ext | pw), SP_LA_EXT_EMPTY);
    CHECK_INT(automatic(SP_LS_START, SP_LE_BEGIN, cert | ext), SP_LA_EXT_EMPTY);
    CHECK_INT(automatic(SP_LS_START, SP_LE_BEGIN, cert | pw), SP_LA_SECRET);
    CHECK_INT(automatic(SP_LS_START, SP_LE_BEGIN, cert), SP_LA_BARE);
    CHECK_INT(automatic(SP_LS_START, SP_LE_BEGIN, cert | SP_LF_HELD), SP_LA_BARE);
    CHECK_INT(automatic(SP_LS_START, SP_LE_BEGIN, ext | pw), SP_LA_SECRET);
    CHECK_INT(automatic(SP_LS_START, SP_LE_BEGIN, ext), SP_LA_NONE);
}

TEST("auto: 535 to = tries the name once, then the password, then MAIL at once")
{
    const unsigned f = SP_LF_CERT | SP_LF_EXTERNAL;

    CHECK_INT(automatic(SP_LS_EXT_EMPTY, SP_LE_REFUSED, f | SP_LF_NAME),
              SP_LA_EXT_NAME);
    CHECK_INT(automatic(SP_LS_EXT_EMPTY, SP_LE_REFUSED, f | SP_LF_USABLE),
              SP_LA_SECRET);
    CHECK_INT(automatic(SP_LS_EXT_NAME, SP_LE_REFUSED, f | SP_LF_NAME | SP_LF_USABLE),
              SP_LA_SECRET);
    CHECK_INT(automatic(SP_LS_EXT_NAME, SP_LE_REFUSED, f | SP_LF_NAME), SP_LA_BARE);
    CHECK_INT(automatic(SP_LS_EXT_EMPTY, SP_LE_ABSENT, f | SP_LF_NAME), SP_LA_BARE);
    CHECK_INT(automatic(SP_LS_EXT_EMPTY, SP_LE_TEMP, f), SP_LA_FAIL_TEMP);
    CHECK_INT(automatic(SP_LS_EXT_EMPTY, SP_LE_OK, f), SP_LA_IN);
}

TEST("auto: the password refused beside a certificate gets one connection without it")
{
    const unsigned f = SP_LF_CERT | SP_LF_HELD;

    CHECK_INT(automatic(SP_LS_SECRET, SP_LE_REFUSED, f | SP_LF_FRESH), SP_LA_RECONNECT);
    CHECK_INT(automatic(SP_LS_SECRET, SP_LE_REFUSED, f), SP_LA_FAIL_REFUSED);
    CHECK_INT(automatic(SP_LS_SECRET, SP_LE_REFUSED, SP_LF_HELD | SP_LF_FRESH),
              SP_LA_FAIL_REFUSED);
    CHECK_INT(automatic(SP_LS_SECRET, SP_LE_TEMP, f | SP_LF_FRESH), SP_LA_FAIL_TEMP);
    CHECK_INT(automatic(SP_LS_BARE, SP_LE_MAIL_REFUSED, f | SP_LF_USABLE | SP_LF_FRESH),
              SP_LA_RSET_SECRET);
    CHECK_INT(automatic(SP_LS_BARE, SP_LE_MAIL_REFUSED, f | SP_LF_FRESH),
              SP_LA_RECONNECT);
    CHECK_INT(automatic(SP_LS_BARE, SP_LE_MAIL_REFUSED, f), SP_LA_FAIL_NO_WAY);
}

TEST("pinned: explicit says EXTERNAL or nothing, implicit says MAIL first")
{
    const unsigned f = SP_LF_CERT | SP_LF_USABLE | SP_LF_HELD | SP_LF_LEFT;

    CHECK_INT(
        sp_cli_login_rule(true, SP_CLI_CERT_EXPLICIT, SP_LS_START, SP_LE_BEGIN, f),
        SP_LA_FAIL_NO_WAY);
    CHECK_INT(sp_cli_login_rule(true, SP_CLI_CERT_EXPLICIT, SP_LS_START, SP_LE_BEGIN,
                                f | SP_LF_EXTERNAL),
              SP_LA_EXT_EMPTY);
    CHECK_INT(
        sp_cli_login_rule(true, SP_CLI_CERT_EXPLICIT, SP_LS_EXT_NAME, SP_LE_REFUSED, f),
        SP_LA_FAIL_REFUSED);
    CHECK_INT(sp_cli_login_rule(true, SP_CLI_CERT_EXPLICIT, SP_LS_EXT_EMPTY, SP_LE_TEMP,
                                f | SP_LF_USABLE | SP_LF_LEFT),
              SP_LA_FAIL_TEMP);
    CHECK_INT(sp_cli_login_rule(true, SP_CLI_CERT_IMPLICIT, SP_LS_START, SP_LE_BEGIN,
                                f | SP_LF_EXTERNAL),
              SP_LA_BARE);
    CHECK_INT(sp_cli_login_rule(true, SP_CLI_CERT_IMPLICIT, SP_LS_BARE,
                                SP_LE_MAIL_REFUSED, f),
              SP_LA_RSET_SECRET);
}

TEST("no certificate: the password, or nothing unless a login is required")
{
    const enum sp_cli_cert_login how = SP_CLI_CERT_AUTO;

    CHECK_INT(sp_cli_login_rule(false, how, SP_LS_START, SP_LE_BEGIN,
                                SP_LF_USABLE | SP_LF_HELD),
              SP_LA_SECRET);
    CHECK_INT(sp_cli_login_rule(false, how, SP_LS_START, SP_LE_BEGIN, SP_LF_HELD),
              SP_LA_NONE);
    CHECK_INT(sp_cli_login_rule(false, how, SP_LS_START, SP_LE_BEGIN, SP_LF_REQUIRED),
              SP_LA_FAIL_NO_WAY);
    CHECK_INT(sp_cli_login_rule(false, how, SP_LS_SECRET, SP_LE_REFUSED, SP_LF_FRESH),
              SP_LA_FAIL_REFUSED);
    CHECK_INT(sp_cli_login_rule(false, how, SP_LS_NONE, SP_LE_MAIL_REFUSED, 0),
              SP_LA_FAIL_NO_WAY);
}

TEST("every state, event and fact has an answer")
{
    for (unsigned how = 0; how < 4; how++)
        for (unsigned s = 0; s <= SP_LS_IN; s++)
            for (unsigned e = 0; e <= SP_LE_MAIL_REFUSED; e++)
                for (unsigned f = 0; f < 256; f++) {
                    enum sp_login_action a = sp_cli_login_rule(
                        how < 3, (enum sp_cli_cert_login)(how % 3),
                        (enum sp_login_state)s, (enum sp_login_event)e, f);

                    CHECK((unsigned)a <= SP_LA_FAIL_NO_WAY);
                    if (a == SP_LA_EXT_EMPTY)
                        CHECK((f & SP_LF_CERT) && how < 3);
                    if (a == SP_LA_SECRET || a == SP_LA_RSET_SECRET)
                        CHECK(f & SP_LF_USABLE);
                }
}

/* --- the reply reader ---------------------------------------------------------------- */

static struct sp_reply_reader rd;

static struct sp_reply read_reply(const char *text, enum sp_reply_status want)
{
    struct sp_reply r = {0};
    size_t at = 0, n = strlen(text), used;
    enum sp_reply_status st = SP_REPLY_MORE;

    sp_reply_free(&rd);
    sp_reply_init(&rd, 0, 0);
    while (at < n && st < SP_REPLY_DONE) {
        st = sp_reply_feed(&rd, text + at, 1, &used);
        at += used;
    }
    CHECK_INT(st, want);
    if (st == SP_REPLY_DONE)
        sp_reply_get(&rd, &r);
    return r;
}

TEST("replies: what is tolerated")
{
    struct sp_reply r = read_reply("250-2.1.5 a\r\n250 2.1.5 b\n", SP_REPLY_DONE);

    CHECK(r.code == 250 && r.enh[0] == 2 && r.enh[1] == 1 && r.enh[2] == 5);
    CHECK(sp_str_is(r.text, "a\nb"));
    r = read_reply("250\r\n", SP_REPLY_DONE);
    CHECK(r.code == 250 && r.text.n == 0 && r.enh[0] == 0);
    r = read_reply("250\tok\r\n", SP_REPLY_DONE);
    CHECK(r.code == 250 && sp_str_is(r.text, "ok"));
    r = read_reply("550 5.1.1\r\n", SP_REPLY_DONE);
    CHECK(r.enh[2] == 1 && r.text.n == 0);
    r = read_reply("550 2.0.0 no\r\n", SP_REPLY_DONE);
    CHECK(r.enh[0] == 0 && sp_str_is(r.text, "2.0.0 no"));
    r = read_reply("550 5.7.1000 no\r\n", SP_REPLY_DONE);
    CHECK(r.enh[0] == 0);
    r = read_reply("220-a\r\n221 b\r\n", SP_REPLY_DONE);
    CHECK_INT(r.code, 221);
    r = read_reply("250-a\r\n354-b\r\n250 c\r\n", SP_REPLY_DONE);
    CHECK_INT(r.code, 354);
    r = read_reply("250 \x1b[2J\xc2\x9b\xff\r\n", SP_REPLY_DONE);
    CHECK(sp_str_is(r.text, "?[2J???"));
    r = read_reply("250 gr\xc3\xbc\xc3\x9f\r\n", SP_REPLY_DONE);
    CHECK(sp_str_is(r.text, "gr\xc3\xbc\xc3\x9f"));
    r = read_reply("250 gr\xc3\xbc \xc2\x9b"
                   "x\r\n",
                   SP_REPLY_DONE);
    CHECK(sp_str_is(r.text, "gr\xc3\xbc ??x"));
    sp_reply_free(&rd);
}

TEST("replies: what is not SMTP")
{
    static const char *const bad[] = {
        "\r\n",           "HTTP/1.1 400 Bad\r\n", "25\r\n",    "150 x\r\n",
        "600 x\r\n",      "2500 x\r\n",           "250_x\r\n", " 250 x\r\n",
        "250-a\r\nb\r\n", "\x15\x03\x01\r\n"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        (void)read_reply(bad[i], SP_REPLY_GARBAGE);
    sp_reply_free(&rd);
}

TEST("replies: a megabyte without an end is given up, in bounded memory")
{
    static char x[4096];
    enum sp_reply_status st = SP_REPLY_MORE;
    size_t used, fed = 0;

    memset(x, '2', sizeof x);
    sp_reply_free(&rd);
    sp_reply_init(&rd, 0, 0);
    for (int i = 0; i < 1000 && st == SP_REPLY_MORE; i++, fed += used)
        st = sp_reply_feed(&rd, x, sizeof x, &used);
    CHECK_INT(st, SP_REPLY_ENDLESS);
    CHECK(rd.line.cap <= 4096 && rd.text.cap <= 8192);
    CHECK_INT(sp_reply_feed(&rd, x, 1, &used), SP_REPLY_ENDLESS);
    sp_reply_free(&rd);
}

/* --- capabilities ------------------------------------------------------------------ */

TEST("EHLO list: SIZE, LIMITS and AUTH in every spelling")
{
    static const char *const lines[] = {
        "AUTH EXTERNAL",
        "size  1000",
        "SIZE 2000",
        "SIZE many",
        "AUTH\tPLAIN  plain",
        "AUTH=LOGIN",
        "AUTH= CRAM-MD5",
        "auth",
        "LIMITS RCPTMAX=20 MAILMAX=x FOO=1 mailmax=3",
        "XAUTH EXTERNAL",
        "",
    };
    struct sp_caps *c = sp_caps_new(1);
    struct sp_buf names;

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        CHECK_INT(sp_caps_line(c, sp_str(lines[i])), 0);
    CHECK_INT(c->ext, SP_EXT_SIZE | SP_EXT_AUTH | SP_EXT_LIMITS);
    CHECK_INT(c->mechs, M(PLAIN) | M(LOGIN) | M(CRAM_MD5));
    CHECK_INT(c->size_max, 1000);
    CHECK_INT(c->rcpt_max, 20);
    CHECK_INT(c->mail_max, 3);
    sp_buf_init(&names, 100);
    CHECK_INT(sp_caps_auth_names(c, &names), 0);
    CHECK(sp_str_is(sp_buf_view(&names), "PLAIN plain LOGIN CRAM-MD5"));
    sp_buf_free(&names);
    sp_caps_free(c);
}

/* --- the engine in small ------------------------------------------------------------- */

static void say(struct sp_cli *c, const char *text)
{
    size_t n;

    (void)sp_cli_out(c, &n);
    sp_cli_out_ack(c, n);
    CHECK_INT(sp_cli_feed(c, text, strlen(text)), strlen(text));
}

static struct sp_cli *ready(bool pipelining)
{
    struct sp_cli_options o = {.helo = "c", .tls = SP_CLI_TLS_NONE};
    struct sp_cli *c = sp_cli_new(&o, NULL);
    struct sp_cli_event ev;

    say(c, "220 x\r\n");
    say(c, pipelining ? "250-x\r\n250 PIPELINING\r\n" : "250 x\r\n");
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_READY);
    return c;
}

TEST("two replies where one was due are noticed before the second is believed")
{
    struct sp_cli *c = ready(false);
    struct sp_mail m = {.path = {"a@a", 3}};
    struct sp_rcpt r = {.path = {"b@b", 3}};
    struct sp_cli_event ev;

    CHECK_INT(sp_cli_mail(c, &m, &r, 1, 0, NULL), 0);
    say(c, "250 mail\r\n250 injected\r\n");
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_SENT && !ev.u.sent.accepted);
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_FAILED);
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_CLOSE);
    CHECK(!sp_cli_next(c, &ev));
    CHECK_INT(sp_cli_feed(c, "250 x\r\n", 7), 7);
    sp_cli_free(c);
}

TEST("ten thousand recipients are queued in pieces")
{
    enum { N = 10000 };
    struct sp_cli *c = ready(true);
    struct sp_mail m = {.path = {"a@a", 3}};
    struct sp_rcpt *r = calloc(N, sizeof *r);
    struct sp_cli_event ev;
    size_t n, lines = 0, most = 0;
    const char *p;

    for (size_t i = 0; i < N; i++)
        r[i].path = SP_LIT("somebody@example.net");
    CHECK_INT(sp_cli_mail(c, &m, r, N, 0, NULL), 0);
    free(r);
    for (;;) {
        p = sp_cli_out(c, &n);
        if (!n)
            break;
        most = n > most ? n : most;
        for (size_t i = 0; i < n; i++)
            lines += p[i] == '\n';
        sp_cli_out_ack(c, n);
    }
    CHECK_INT(lines, N + 2);
    CHECK(most < 20000);
    say(c, "250 a\r\n");
    for (int i = 0; i < N; i++)
        say(c, "250 2.1.5 ok\r\n");
    say(c, "354 go\r\n");
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_BODY);
    sp_cli_free(c);
}

/* A message of several chunks; the second one is refused. */
static void chunks(bool pipelining)
{
    struct sp_cli_options o = {
        .helo = "c", .tls = SP_CLI_TLS_NONE, .prefer_bdat = true};
    struct sp_cli *c = sp_cli_new(&o, NULL);
    struct sp_mail m = {.path = {"a@a", 3}};
    struct sp_rcpt r = {.path = {"b@b", 3}};
    static char text[200000];
    struct sp_cli_event ev;
    size_t at = 0, n, sent = 0;

    memset(text, 'x', sizeof text);
    say(c, "220 x\r\n");
    say(c, pipelining ? "250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
                      : "250-x\r\n250 CHUNKING\r\n");
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_READY);
    CHECK_INT(sp_cli_mail(c, &m, &r, 1, 0, NULL), 0);
    say(c, "250 mail\r\n");
    say(c, "250 rcpt\r\n");
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_BODY);
    while (at < sizeof text) {
        n = sp_cli_body(c, text + at, sizeof text - at);
        if (n == 0) {
            (void)sp_cli_out(c, &n);
            sp_cli_out_ack(c, n);
            sent += n > 0;
            if (n == 0)
                break;
            if (!pipelining && sent == 1)
                say(c, "250 first\r\n");
            continue;
        }
        at += n;
    }
    CHECK_INT(at == sizeof text, pipelining);
    if (pipelining) {
        CHECK_INT(sp_cli_body_end(c), 0);
        say(c, "250 first\r\n");
    }
    say(c, "451 4.3.0 second\r\n");
    if (pipelining) {
        say(c, "503 5.5.1 third\r\n");
        say(c, "250 2.0.0 a last one that lies\r\n");
    }
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_SENT);
    CHECK(!ev.u.sent.accepted && ev.u.sent.reply.code == 451);
    CHECK_INT(ev.u.sent.stage, SP_STAGE_DATA);
    CHECK(sp_cli_next(c, &ev) && ev.type == SP_CLI_READY);
    sp_cli_free(c);
}

TEST("BDAT: a refused chunk refuses the message, whatever is said to the last one")
{
    chunks(false);
    chunks(true);
}

TEST("a secret is gone from memory when it was sent")
{
    struct sp_outq q = {0};
    char *at;

    CHECK_INT(sp_outq_put(&q, "AUTH PLAIN ", 11, false), 0);
    CHECK_INT(sp_outq_put(&q, "c2VjcmV0", 8, true), 0);
    CHECK_INT(sp_outq_put(&q, "\r\n", 2, false), 0);
    at = q.p + 11;
    sp_outq_ack(&q, 14);
    CHECK(memcmp(at, "\0\0\0VjcmV0", 9) != 0 && at[0] == 0 && at[2] == 0 &&
          at[3] == 'j');
    sp_outq_ack(&q, 7);
    for (int i = 0; i < 8; i++)
        CHECK_INT(at[i], 0);
    sp_outq_free(&q);
}

TEST("an idle session holds less than 2 kB")
{
    struct sp_cli *c;
    struct mallinfo2 a, b;

    a = mallinfo2();
    c = ready(true);
    b = mallinfo2();
    if (b.uordblks > a.uordblks) /* not under ASan, whose allocator counts nothing */
        CHECK(b.uordblks - a.uordblks <= 2048);
    printf("idle: %zu octets\n", (size_t)(b.uordblks - a.uordblks));
    sp_cli_free(c);
}

TEST("tokens: NUL and ^A cannot be smuggled in, commas are escaped")
{
    char b[200];
    int n;

    CHECK_INT(sp_cli_plain(SP_LIT(""), SP_LIT("a"), SP_LIT("p\0q"), b, sizeof b),
              -SP_EINPUT);
    CHECK_INT(sp_cli_plain(SP_LIT(""), SP_LIT("a"), SP_LIT("pw"), b, 4), -SP_ELIMIT);
    n = sp_cli_plain(SP_LIT("z"), SP_LIT("a"), SP_LIT("pw"), b, sizeof b);
    CHECK(n == 6 && memcmp(b, "z\0a\0pw", 6) == 0);
    n = sp_cli_bearer(SP_MECH_OAUTHBEARER, SP_LIT("a,b=c"), SP_LIT("h"), 25,
                      SP_LIT("t"), b, sizeof b);
    CHECK(n > 0 &&
          sp_str_is((struct sp_str){b, (size_t)n},
                    "n,a=a=2Cb=3Dc,\001host=h\001port=25\001auth=Bearer t\001\001"));
    CHECK_INT(sp_cli_bearer(SP_MECH_XOAUTH2, SP_LIT("a"), SP_LIT(""), 0,
                            SP_LIT("t\001x"), b, sizeof b),
              -SP_EINPUT);
}

TEST("options that cannot work are refused in words")
{
    struct sp_err err;
    struct sp_cli_options o = {.helo = ""};

    CHECK(!sp_cli_new(&o, &err));
    o.helo = "a b";
    CHECK(!sp_cli_new(&o, &err));
    o.helo = "a\r\nQUIT";
    CHECK(!sp_cli_new(&o, &err));
    o = (struct sp_cli_options){.helo = "a", .have_password = true};
    CHECK(!sp_cli_new(&o, &err));
    o = (struct sp_cli_options){.helo = "a", .quit_after = SP_STAGE_DATA};
    CHECK(!sp_cli_new(&o, &err) && strstr(err.text, "quit_after"));
}

T_MAIN
