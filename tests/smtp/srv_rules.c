/*
 * srv_rules.c - the tables of rules.c against expectations written by hand.
 *
 * A test generated from a table proves only that code obeys it.  The lists here come
 * from the RFCs and from PROTOCOL, and whoever changes a row changes them too.
 */
#include "alloc.h"
#include "rules.h"
#include "srv.h"
#include "t.h"
#include "text.h"

#include <stdlib.h>

static struct sp_srv_policy policy;

static struct sp_srv *session(void)
{
    memset(&policy, 0, sizeof policy);
    policy.hostname = "mx.example.org";
    policy.starttls = policy.login_required = true;
    policy.mechs_clear = policy.mechs_tls = ~0u;
    policy.extensions = ~0u;
    return sp_srv_new(&policy, sp_str(""));
}

/* ---- What survives ------------------------------------------------------------------------ */

static const char *survivors(unsigned at)
{
    static char got[1024];

    got[0] = '\0';
#define ROW(kind, type, name, when, why)                                               \
    if (!((when)&at))                                                                  \
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", #name);
    SP_SRV_FIELDS(ROW)
#undef ROW
    return got;
}

TEST("RFC 3207 4.2: STARTTLS leaves what TLS proved and our own counters, nothing else")
{
    CHECK_STR(survivors(SP_AT_TLS),
              "tls cert cert_verified cert_user cert_reason external_only binding "
              "implicit_off errors idle auth_failures cert_refusals messages ");
}

TEST("RFC 5321 4.1.4: EHLO ends the transaction and keeps the identity")
{
    CHECK_STR(
        survivors(SP_AT_EHLO),
        "line swallow swallow_cr swallow_auth helo greeted user login_by login_mech "
        "login_stale tls cert cert_verified cert_user cert_reason external_only "
        "binding implicit_off errors idle auth_failures cert_refusals messages ");
}

TEST("RFC 5321 4.1.1.5: RSET ends the transaction and keeps greeting and identity")
{
    CHECK_STR(
        survivors(SP_AT_RSET),
        "line swallow swallow_cr swallow_auth helo greeted user login_by login_mech "
        "login_stale tls cert cert_verified cert_user cert_reason external_only "
        "binding implicit_off errors idle auth_failures cert_refusals messages ");
}

TEST("what the table says is wiped is wiped, what it keeps is kept")
{
    static const unsigned when[] = {SP_AT_RSET, SP_AT_EHLO, SP_AT_TLS};

    for (size_t i = 0; i < 3; i++) {
        struct sp_srv *s = session();

        CHECK_INT(sp_buf_puts(&s->helo, "h"), 0);
        CHECK_INT(sp_buf_puts(&s->user, "u"), 0);
        CHECK_INT(sp_buf_puts(&s->line, "l"), 0);
        CHECK_INT(sp_buf_puts(&s->cert_user, "c"), 0);
        s->greeted = SP_GREETED_EHLO;
        s->login_by = SP_BY_AUTH;
        s->tls = s->implicit_off = true;
        s->errors = s->auth_failures = 2;
        s->swallow = s->swallow_cr = s->swallow_auth = s->login_stale = true;
        s->cert_verified = s->external_only = s->binding = true;
        s->cert = SP_CERT_USABLE;
        s->idle = s->cert_refusals = s->messages = 2;
        s->exch = sp_alloc(sizeof *s->exch);
        CHECK(s->exch != NULL);
        CHECK_INT(sp_group_new(s, 1), 0);
        sp_srv_wipe(s, when[i]);
        CHECK_INT(s->user.n, when[i] != SP_AT_TLS);
        CHECK_INT(s->helo.n, when[i] != SP_AT_TLS);
        CHECK_INT(s->line.n, when[i] != SP_AT_TLS);
        CHECK_INT(s->greeted == SP_GREETED_EHLO, when[i] != SP_AT_TLS);
        CHECK_INT(s->login_by == SP_BY_AUTH, when[i] != SP_AT_TLS);
        CHECK(s->cert_user.n == 1 && s->tls && s->implicit_off);
        CHECK(s->errors == 2 && s->auth_failures == 2);
        CHECK_INT(s->swallow, when[i] != SP_AT_TLS);
        CHECK_INT(s->swallow_cr, when[i] != SP_AT_TLS);
        CHECK_INT(s->swallow_auth, when[i] != SP_AT_TLS);
        CHECK_INT(s->login_stale, when[i] != SP_AT_TLS);
        CHECK(s->cert == SP_CERT_USABLE && s->cert_verified && s->external_only);
        CHECK(s->binding && s->idle == 2 && s->cert_refusals == 2 && s->messages == 2);
        CHECK(!s->exch && !s->grp); /* of the moment: nothing outlives it */
        sp_srv_free(s);
    }
}

/* ---- Replies --------------------------------------------------------------------------------- */

struct reply_row {
    const char *id;
    int code;
    const char *enh, *text, *cite;
};
static const struct reply_row replies[] = {
#define ROW(id, code, enh, text, cite) {#id, code, enh, text, cite},
    SP_REPLIES(ROW)
#undef ROW
};
enum { REPLIES = sizeof replies / sizeof *replies };

TEST("RFC 2034 4: an enhanced code on each 2xx, 4xx, 5xx but greeting, its class the "
     "code's")
{
    for (size_t i = 1; i < REPLIES; i++) {
        const struct reply_row *r = &replies[i];
        bool bare = strcmp(r->id, "SP_R_BANNER") == 0 || r->code / 100 == 3;

        if (bare != (r->enh[0] == '\0'))
            printf("%s\n", r->id);
        CHECK(bare == (r->enh[0] == '\0'));
        CHECK(bare || r->enh[0] == '0' + r->code / 100);
        CHECK(bare || (strlen(r->enh) == 5 && r->enh[1] == '.' && r->enh[3] == '.'));
    }
}

TEST("replies are printable ASCII, short enough, cited, and never 521 or another 4xx "
     "at login")
{
    for (size_t i = 1; i < REPLIES; i++) {
        const struct reply_row *r = &replies[i];
        const char *hole = strstr(r->text, "%s");

        CHECK(strlen(r->text) < 200 && r->cite[0] && r->text[0]);
        CHECK(!hole || !strchr(hole + 1, '%'));
        for (const char *p = r->text; *p; p++)
            CHECK(*p >= 32 && *p < 127);
        CHECK(r->code != 521);
        CHECK(strncmp(r->id, "SP_R_NEED_LOGIN", 15) != 0 || r->code == 530);
        CHECK(strncmp(r->id, "SP_R_NEED_TLS", 13) != 0 || r->code == 530);
        CHECK(strncmp(r->id, "SP_R_MECH_", 10) != 0 || r->code == 504);
    }
}

/* ---- Verbs ------------------------------------------------------------------------------------- */

static const char *verbs_with(unsigned flag)
{
    static char got[512];

    got[0] = '\0';
    for (size_t i = 0; i < sp_nverbs; i++)
        if (sp_verbs[i].flags & flag)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s ",
                     sp_verbs[i].name);
    return got;
}

TEST("verbs: which are allowed while TLS is needed (RFC 3207 4, and HELO, HELP, RSET)")
{
    CHECK_STR(verbs_with(SP_F_CLEAR),
              "EHLO HELO LHLO STARTTLS RSET NOOP HELP QUIT XCLIENT XFORWARD ");
}

TEST("verbs: which want a greeting, and which of them EHLO")
{
    CHECK_STR(verbs_with(SP_F_GREET | SP_F_EHLO),
              "STARTTLS AUTH MAIL RCPT DATA BDAT VRFY XCLIENT XFORWARD ");
    CHECK_STR(verbs_with(SP_F_EHLO), "AUTH BDAT ");
}

TEST("verbs: which want a login, a transaction, none, a recipient")
{
    CHECK_STR(verbs_with(SP_F_LOGIN), "MAIL RCPT DATA BDAT VRFY ");
    CHECK_STR(verbs_with(SP_F_TXN), "RCPT DATA BDAT ");
    CHECK_STR(verbs_with(SP_F_NOTXN), "STARTTLS AUTH MAIL XCLIENT XFORWARD ");
    CHECK_STR(verbs_with(SP_F_RCPT), "DATA BDAT ");
}

TEST("verbs: arguments, and what counts as no progress")
{
    CHECK_STR(verbs_with(SP_F_NOARG), "STARTTLS DATA RSET QUIT ");
    CHECK_STR(verbs_with(SP_F_ARG),
              "EHLO HELO LHLO AUTH MAIL RCPT VRFY XCLIENT XFORWARD ");
    CHECK_STR(
        verbs_with(SP_F_IDLE),
        "EHLO HELO LHLO STARTTLS AUTH MAIL DATA RSET NOOP VRFY HELP XCLIENT XFORWARD "
        "EXPN ETRN ATRN TURN SEND SOML SAML BURL ");
}

TEST("verbs: only QUIT works without a required certificate; only STARTTLS ends a "
     "group hard")
{
    CHECK_STR(verbs_with(SP_F_NOCERT), "QUIT ");
    CHECK_STR(verbs_with(SP_F_ENDS), "STARTTLS ");
    for (size_t i = 0; i < sp_nverbs; i++)
        CHECK(sp_verbs[i].cite[0] && sp_verbs[i].kinds);
}

TEST("LMTP knows LHLO and neither EHLO nor HELO (RFC 2033 4.1)")
{
    struct sp_srv *s = session();

    CHECK(sp_verb_find(s, sp_str("ehlo")) && !sp_verb_find(s, sp_str("LHLO")));
    policy.kind = SP_SRV_LMTP;
    CHECK(!sp_verb_find(s, sp_str("EHLO")) && !sp_verb_find(s, sp_str("HELO")));
    CHECK(sp_verb_find(s, sp_str("lhlo")) != NULL);
    sp_srv_free(s);
}

/* ---- Mechanisms ---------------------------------------------------------------------------------- */

static const char *mechs(const struct sp_srv *s, bool listed)
{
    static char got[512];

    got[0] = '\0';
    for (size_t i = 0; i < sp_nmechs; i++) {
        enum sp_mech m = sp_mechs[i].mech;

        if (listed ? sp_rule_mech_listed(s, m) : sp_rule_mech(s, m).reply == SP_R_NONE)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s ",
                     sp_mech_name(m));
    }
    return got;
}

TEST("mechanisms in clear: never one that shows its secret, whatever the policy says")
{
    struct sp_srv *s = session();

    CHECK_STR(mechs(s, true), "SCRAM-SHA-256 SCRAM-SHA-1 GSSAPI CRAM-MD5 ");
    CHECK_STR(mechs(s, false), "SCRAM-SHA-256 SCRAM-SHA-1 GSSAPI CRAM-MD5 ");
    policy.mechs_clear = 0;
    CHECK_STR(mechs(s, false), "");
    s->cert = SP_CERT_USABLE; /* cannot be, and would not count */
    CHECK_STR(mechs(s, false), "");
    sp_srv_free(s);
}

TEST(
    "mechanisms inside TLS: -PLUS with a binding, EXTERNAL with a certificate and last")
{
    struct sp_srv *s = session();

    s->tls = true;
    CHECK_STR(mechs(s, true),
              "SCRAM-SHA-256 SCRAM-SHA-1 GSSAPI OAUTHBEARER XOAUTH2 CRAM-MD5 "
              "PLAIN LOGIN ");
    s->binding = true;
    CHECK_STR(mechs(s, true),
              "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 "
              "GSSAPI OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN ");
    s->cert = SP_CERT_UNUSABLE;
    CHECK(!strstr(mechs(s, false), "EXTERNAL"));
    s->cert = SP_CERT_USABLE;
    policy.mechs_tls = SP_MECH_BIT(SP_MECH_PLAIN);
    CHECK_STR(mechs(s, true), "PLAIN EXTERNAL ");
    policy.cert_list = SP_CERT_LIST_PASSWORD;
    CHECK_STR(mechs(s, true), "PLAIN ");
    CHECK_STR(mechs(s, false), "PLAIN EXTERNAL ");
    policy.cert_list = SP_CERT_LIST_EXTERNAL;
    CHECK_STR(mechs(s, false), "EXTERNAL ");
    policy.cert_login = SP_CERT_LOGIN_IMPLICIT;
    CHECK_STR(mechs(s, false), "PLAIN ");
    policy.cert_login = SP_CERT_LOGIN_OFF;
    CHECK_STR(mechs(s, false), "PLAIN ");
    policy.cert_login = SP_CERT_LOGIN_EXPLICIT;
    policy.cert_list = SP_CERT_LIST_ALL;
    s->external_only = true;
    CHECK_STR(mechs(s, true), "EXTERNAL ");
    sp_srv_free(s);
}

TEST("every mechanism has one row, and the rows that show a secret want TLS")
{
    unsigned seen = 0;

    CHECK_INT(sp_nmechs, SP_MECHS);
    for (size_t i = 0; i < sp_nmechs; i++) {
        CHECK(!(seen >> sp_mechs[i].mech & 1) && sp_mechs[i].cite[0]);
        seen |= 1u << sp_mechs[i].mech;
        CHECK(!sp_mech_shows_secret(sp_mechs[i].mech) ||
              (sp_mechs[i].flags & SP_M_TLS));
    }
    CHECK(sp_mech_shows_secret(SP_MECH_PLAIN) && sp_mech_shows_secret(SP_MECH_LOGIN));
    CHECK(sp_mech_shows_secret(SP_MECH_OAUTHBEARER) &&
          sp_mech_shows_secret(SP_MECH_XOAUTH2));
    CHECK(!sp_mech_shows_secret(SP_MECH_SCRAM_SHA_256));
    CHECK(!sp_mech_shows_secret(SP_MECH_CRAM_MD5));
}

/* ---- Extensions and parameters ------------------------------------------------------------------------ */

TEST("extensions: REQUIRETLS only inside TLS, STARTTLS only in clear, AUTH when a "
     "mechanism is")
{
    struct sp_srv *s = session();

    policy.mechs_clear = 0;
    CHECK(sp_rule_extensions(s) & SP_EXT_STARTTLS);
    CHECK(!(sp_rule_extensions(s) & (SP_EXT_REQUIRETLS | SP_EXT_AUTH)));
    s->tls = true;
    CHECK(!(sp_rule_extensions(s) & SP_EXT_STARTTLS));
    CHECK((sp_rule_extensions(s) & (SP_EXT_REQUIRETLS | SP_EXT_AUTH)) ==
          (SP_EXT_REQUIRETLS | SP_EXT_AUTH));
    policy.mechs_tls = 0;
    CHECK(!(sp_rule_extensions(s) & SP_EXT_AUTH));
    policy.extensions = SP_EXT_BINARYMIME | SP_EXT_SMTPUTF8;
    CHECK_INT(sp_rule_extensions(s),
              SP_EXT_BINARYMIME | SP_EXT_CHUNKING | SP_EXT_SMTPUTF8 | SP_EXT_8BITMIME);
    policy.extensions = SP_EXT_STARTTLS | SP_EXT_AUTH; /* these are not the policy's */
    CHECK_INT(sp_rule_extensions(s), 0);
    sp_srv_free(s);
}

TEST("parameters: each stands on its verb, with its extension")
{
    static const struct {
        const char *name;
        enum sp_verb verb;
        uint32_t ext;
    } want[] = {
        {"SIZE", SP_V_MAIL, SP_EXT_SIZE},
        {"BODY", SP_V_MAIL, SP_EXT_8BITMIME},
        {"SMTPUTF8", SP_V_MAIL, SP_EXT_SMTPUTF8},
        {"RET", SP_V_MAIL, SP_EXT_DSN},
        {"ENVID", SP_V_MAIL, SP_EXT_DSN},
        {"AUTH", SP_V_MAIL, SP_EXT_AUTH},
        {"BY", SP_V_MAIL, SP_EXT_DELIVERBY},
        {"HOLDFOR", SP_V_MAIL, SP_EXT_FUTURERELEASE},
        {"HOLDUNTIL", SP_V_MAIL, SP_EXT_FUTURERELEASE},
        {"MT-PRIORITY", SP_V_MAIL, SP_EXT_MT_PRIORITY},
        {"REQUIRETLS", SP_V_MAIL, SP_EXT_REQUIRETLS},
        {"NOTIFY", SP_V_RCPT, SP_EXT_DSN},
        {"ORCPT", SP_V_RCPT, SP_EXT_DSN},
    };

    CHECK_INT(sp_nparams, sizeof want / sizeof *want);
    for (size_t i = 0; i < sp_nparams; i++) {
        CHECK_STR(sp_params[i].name, want[i].name);
        CHECK_INT(sp_params[i].verb, want[i].verb);
        CHECK_INT(sp_params[i].ext, want[i].ext);
        CHECK(sp_params[i].cite[0] != '\0');
        CHECK_INT(sp_params[i].lenient, i < 2);
    }
}

TEST("limits are the ones PROTOCOL states")
{
    CHECK_INT(SP_LIMIT_LINE, 4096);
    CHECK_INT(SP_LIMIT_AUTH_LINE, 12288);
    CHECK_INT(SP_LIMIT_BODY_LINE, 998);
    CHECK_INT(SP_LIMIT_REPLY_LINE, 512);
    CHECK_INT(SP_LIMIT_ERRORS, 20);
    CHECK_INT(SP_LIMIT_IDLE, 100);
    CHECK_INT(SP_LIMIT_AUTH_FAILS, 3);
    CHECK_INT(SP_LIMIT_CERT_REFUSALS, 3);
}

TEST("the words for a lack of memory are those of the table, and need none")
{
    struct sp_srv *s = session();
    struct sp_buf want;
    size_t n;
    const char *got;

    sp_buf_init(&want, 1000);
    CHECK_INT(sp_format_rule(&want, SP_R_NO_MEMORY, sp_str("")), 0);
    sp_no_memory(s);
    got = sp_srv_out(s, &n);
    CHECK(n == want.n && memcmp(got, want.p, n) == 0);
    sp_srv_out_ack(s, 5);
    got = sp_srv_out(s, &n);
    CHECK(n == want.n - 5 && memcmp(got, want.p + 5, n) == 0);
    sp_buf_free(&want);
    sp_srv_free(s);
}

TEST("an idle session is small")
{
    CHECK(sizeof(struct sp_srv) <= 1200);
}

T_MAIN
