/*
 * client_auth.c - see sallyport/client.h: who we are, and how the server is told.
 *
 * The strategy is the table in cli_rules.c; here are its facts and its actions.
 */
#include "cli_session.h"

#include "secret.h"
#include "text.h"

#include <string.h>

enum {
    COMMAND_MAX = 512,    /* RFC 5321 4.5.3.1.4; servers refuse longer AUTH lines */
    SASL_LINE_MAX = 12288 /* RFC 4954 4 */
};

/* --- what we hold, what is listed ---------------------------------------------------- */

static unsigned held(const struct sp_cli *c)
{
    return (c->cert_sent ? SP_HELD_CERT : 0u) |
           (c->o.have_password ? SP_HELD_PASSWORD : 0u) |
           (c->o.have_token ? SP_HELD_TOKEN : 0u) |
           (c->o.have_ticket ? SP_HELD_TICKET : 0u) |
           (c->binding ? SP_HELD_BINDING : 0u);
}

/* Of the present list, what the options allow. */
static uint32_t allowed(const struct sp_cli *c)
{
    uint32_t only = c->o.mechs_only ? c->o.mechs_only : ~0u;

    return sp_cs_caps(c)->mechs & only & ~c->o.mechs_forbidden;
}

static int choose_secret(const struct sp_cli *c)
{
    uint32_t set = allowed(c) & ~c->tried & ~SP_MECH_BIT(SP_MECH_EXTERNAL);

    return sp_cli_mech_choose(set, held(c), sp_cs_place(c));
}

static const char *identity(const struct sp_cli *c)
{
    return c->o.external_identity ? c->o.external_identity : c->o.cert_address;
}

static bool holds_secret(const struct sp_cli *c)
{
    return c->o.have_password || c->o.have_token || c->o.have_ticket;
}

static unsigned facts(const struct sp_cli *c)
{
    const char *name = identity(c);
    uint32_t ext = allowed(c) & SP_MECH_BIT(SP_MECH_EXTERNAL);

    return (c->cert_sent ? SP_LF_CERT : 0u) |
           (sp_cli_mech_choose(ext, held(c), sp_cs_place(c)) >= 0 ? SP_LF_EXTERNAL
                                                                  : 0u) |
           (name && name[0] ? SP_LF_NAME : 0u) |
           (choose_secret(c) >= 0 ? SP_LF_USABLE : 0u) |
           (holds_secret(c) ? SP_LF_HELD : 0u) | (c->again ? 0u : SP_LF_FRESH) |
           (c->o.login_required ? SP_LF_REQUIRED : 0u) |
           (c->auths < SP_CLI_AUTHS_MAX ? SP_LF_LEFT : 0u);
}

/* --- saying things ------------------------------------------------------------------- */

/* One line of a SASL exchange.  What is shown to a trace is `shown`. */
static void say_sasl(struct sp_cli *c, const char *head, struct sp_str b64,
                     const char *shown)
{
    char line[64];
    size_t n = strlen(head);
    struct sp_buf t;

    sp_buf_init(&t, 128);
    if (sp_buf_puts(&t, head) == 0 && sp_buf_puts(&t, shown) == 0)
        sp_cs_trace(c, false, sp_buf_view(&t));
    sp_buf_free(&t);
    memcpy(line, head, n);
    /* One piece, so that no half of a secret stays behind when the second fails. */
    if (!sp_outq_room(&c->out, n + b64.n + 2)) {
        sp_cs_nomem(c);
        return;
    }
    if (sp_cs_put(c, line, n, false) < 0 || sp_cs_put(c, b64.p, b64.n, true) < 0 ||
        sp_cs_put(c, "\r\n", 2, false) < 0)
        return;
    sp_cs_await(c);
    sp_cs_enter(c, SP_CS_AUTH);
}

static void say_held(struct sp_cli *c)
{
    say_sasl(c, "", sp_buf_view(&c->held), c->held.n ? "[hidden]" : "");
    sp_buf_wipe(&c->held);
}

/* Base64 of a token into c->held; false: the session failed, or -SP_ELIMIT applies. */
static int hold(struct sp_cli *c, struct sp_str token)
{
    size_t n = SP_BASE64_LEN(token.n);
    char *p;

    sp_buf_wipe(&c->held);
    if (token.n > SASL_LINE_MAX || n > SASL_LINE_MAX - 2)
        return -SP_ELIMIT;
    if (n == 0)
        return 0;
    p = sp_buf_room(&c->held, n);
    if (!p)
        return -SP_ENOMEM;
    c->held.n = (size_t)sp_base64_encode(token.p, token.n, p, n);
    return 0;
}

/* The AUTH command; with what is held as initial response when the line stays short
 * (INTEROP 6.1 item 14), else it waits for the 334. */
static void say_auth(struct sp_cli *c, bool initial)
{
    char head[40];
    const char *name = sp_mech_name((enum sp_mech)c->mech);
    size_t n = strlen(name), len = 5 + n;
    struct sp_str ir = sp_buf_view(&c->held);
    bool secret = c->mech != SP_MECH_EXTERNAL;

    memcpy(head, "AUTH ", 5);
    memcpy(head + 5, name, n);
    c->auths++;
    c->steps = 0;
    c->auth_said = true;
    if (initial && ir.n == 0)
        ir = SP_LIT("="); /* RFC 4954 4: an empty initial response */
    if (!initial || len + 1 + ir.n + 2 > COMMAND_MAX) {
        head[len] = '\0';
        say_sasl(c, head, (struct sp_str){"", 0}, "");
        return;
    }
    head[len] = ' ';
    head[len + 1] = '\0';
    say_sasl(c, head, ir, secret ? "[hidden]" : ir.n == 1 ? "=" : "[identity]");
    sp_buf_wipe(&c->held);
}

static void auth_begin(struct sp_cli *c, enum sp_mech mech)
{
    c->mech = (uint8_t)mech;
    c->tried |= SP_MECH_BIT(mech);
    c->auth_said = false;
    if (sp_cli_mech(mech)->server_first) {
        say_auth(c, false);
        return;
    }
    sp_cs_enter(c, SP_CS_TOKEN);
    sp_cs_event(c, SP_CLI_AUTH);
}

static void external(struct sp_cli *c, bool named)
{
    c->mech = SP_MECH_EXTERNAL;
    c->tried |= SP_MECH_BIT(SP_MECH_EXTERNAL);
    if (hold(c, named ? sp_str(identity(c)) : (struct sp_str){"", 0}) < 0) {
        sp_cs_nomem(c);
        return;
    }
    say_auth(c, true);
}

/* "*", then whatever the server answers the connection ends: INTEROP 6.1 item 12. */
static void cancel(struct sp_cli *c, enum sp_class cls, const char *words)
{
    sp_buf_wipe(&c->held);
    sp_buf_wipe(&c->challenge);
    (void)sp_buf_puts(&c->challenge, words);
    c->fail_cls = (uint8_t)cls;
    sp_cs_say(c, SP_CS_CANCEL, "*");
}

/* --- failing in words that help ------------------------------------------------------ */

static const char *place_words(const struct sp_cli *c)
{
    return c->epoch ? "inside TLS" : "without TLS";
}

static const char *advice(const struct sp_cli *c)
{
    bool cert = c->o.have_certificate;

    switch (sp_cs_place(c)) {
    case SP_PLACE_STRIPPED:
        return "credentials are never sent without TLS";
    case SP_PLACE_UNVERIFIED:
        return "credentials are never sent to a server whose certificate is not "
               "verified";
    case SP_PLACE_CLEAR:
        if (holds_secret(c))
            return "a password is not sent in clear: use TLS";
        break;
    case SP_PLACE_CLEAR_OPEN:
    case SP_PLACE_VERIFIED:
    case SP_PLACES:
        break;
    }
    if (cert && !c->cert_sent && !holds_secret(c))
        return c->cert_asked ? "our certificate was asked for but not sent"
                             : "it did not ask for our certificate: give a password";
    if (cert && !holds_secret(c))
        return "the certificate alone was not enough here: is it one that this server "
               "knows? or give a password";
    if (!holds_secret(c))
        return "give a user name and password, or a client certificate";
    if (c->o.mechs_only || c->o.mechs_forbidden)
        return "allow more mechanisms";
    return "we can use a password (SCRAM, CRAM-MD5, PLAIN, LOGIN), a token or a "
           "certificate";
}

static void fail_no_way(struct sp_cli *c, const struct sp_reply *r)
{
    const struct sp_caps *caps = sp_cs_caps(c);
    enum sp_cli_stage stage = c->txn ? SP_STAGE_MAIL : SP_STAGE_AUTH;
    unsigned flags = SP_CF_NEED_LOGIN;
    struct sp_buf names;

    sp_buf_init(&names, 200);
    (void)sp_caps_auth_names(caps, &names);
    if (!c->epoch && caps->ext & SP_EXT_STARTTLS && c->o.tls == SP_CLI_TLS_NONE)
        sp_cs_fail(c, SP_CLASS_PEER, stage, r, flags,
                   "the server wants TLS before anything else: use STARTTLS");
    else if (c->o.have_certificate && c->o.cert_login == SP_CLI_CERT_EXPLICIT)
        sp_cs_fail(c, SP_CLASS_PEER, stage, r, flags,
                   "a login by AUTH EXTERNAL alone was asked for, but %s%.*s; try "
                   "certificate-login auto",
                   !c->cert_sent ? "the server did not ask for our certificate"
                   : names.n     ? "the server does not offer it: it offers "
                                 : "the server offers no AUTH",
                   (int)(c->cert_sent ? names.n : 0), names.p);
    else if (names.n)
        sp_cs_fail(c, SP_CLASS_PEER, stage, r, flags,
                   "the server wants a login, but %s %s: it offers %.*s; %s",
                   holds_secret(c) ? "offers no mechanism that we can use"
                                   : "we hold nothing for the mechanisms it offers",
                   place_words(c), (int)names.n, names.p, advice(c));
    else
        sp_cs_fail(c, SP_CLASS_PEER, stage, r, flags,
                   "the server wants a login, but offers no AUTH %s; %s",
                   place_words(c), advice(c));
    sp_buf_free(&names);
}

static void fail_refused(struct sp_cli *c, const struct sp_reply *r)
{
    const char *mech = sp_mech_name((enum sp_mech)c->mech);

    if (c->mech == SP_MECH_EXTERNAL)
        sp_cs_fail(c, SP_CLASS_PEER, SP_STAGE_AUTH, r, SP_CF_AUTH_REJECTED,
                   "the server refused a login with our certificate (AUTH EXTERNAL)%s",
                   c->login == SP_LS_EXT_EMPTY && !identity(c)
                       ? "; it may want to be told an identity: none is configured"
                       : "");
    else
        sp_cs_fail(
            c, SP_CLASS_PEER, SP_STAGE_AUTH, r, SP_CF_AUTH_REJECTED,
            "the server refused the login of \"%s\" by %s; check user name and %s",
            c->o.authcid ? c->o.authcid : "", mech,
            sp_cli_mech((enum sp_mech)c->mech)->needs & SP_HELD_TOKEN ? "token"
                                                                      : "password");
}

/* --- the strategy's actions ---------------------------------------------------------- */

static void ready(struct sp_cli *c)
{
    if (c->o.quit_after == SP_STAGE_AUTH && c->login != SP_LS_NONE) {
        sp_cs_quit(c);
        return;
    }
    if (c->txn && !c->txn->over) {
        sp_cs_txn_begin(c); /* once more, now that we are logged in */
        return;
    }
    sp_cs_enter(c, SP_CS_READY);
    sp_cs_event(c, SP_CLI_READY);
}

void sp_cs_login(struct sp_cli *c, enum sp_login_event event, const struct sp_reply *r)
{
    enum sp_login_action a =
        sp_cli_login_rule(c->o.have_certificate, c->o.cert_login,
                          (enum sp_login_state)c->login, event, facts(c));

    switch (a) {
    case SP_LA_EXT_EMPTY:
        c->login = SP_LS_EXT_EMPTY;
        external(c, false);
        return;
    case SP_LA_EXT_NAME:
        c->login = SP_LS_EXT_NAME;
        external(c, true);
        return;
    case SP_LA_SECRET:
        c->login = SP_LS_SECRET;
        auth_begin(c, (enum sp_mech)choose_secret(c));
        return;
    case SP_LA_RSET_SECRET:
        c->login = SP_LS_SECRET;
        sp_cs_say(c, SP_CS_UNDO, "RSET");
        return;
    case SP_LA_BARE:
        c->login = c->login_by = SP_LS_BARE;
        ready(c);
        return;
    case SP_LA_NONE:
        c->login = c->login_by = SP_LS_NONE;
        ready(c);
        return;
    case SP_LA_IN:
        c->login_by = c->login;
        c->login = SP_LS_IN;
        ready(c);
        return;
    case SP_LA_RECONNECT:
        sp_cs_reconnect(c, true);
        return;
    case SP_LA_FAIL_TEMP:
        sp_cs_fail(c, SP_CLASS_TEMPORARY, SP_STAGE_AUTH, r, 0,
                   "the server cannot check the login at the moment; try later");
        return;
    case SP_LA_FAIL_REFUSED:
        fail_refused(c, r);
        return;
    case SP_LA_FAIL_NO_WAY:
        fail_no_way(c, r);
        return;
    }
}

/* The reply to RSET, whatever it is: AUTH decides. */
void sp_cs_auth_undone(struct sp_cli *c)
{
    auth_begin(c, (enum sp_mech)choose_secret(c));
}

/* Would a refusal of MAIL lead to another attempt? */
bool sp_cs_login_left(const struct sp_cli *c)
{
    enum sp_login_action a;

    if (c->login != SP_LS_BARE || c->bare_ok)
        return false;
    a = sp_cli_login_rule(c->o.have_certificate, c->o.cert_login,
                          (enum sp_login_state)c->login, SP_LE_MAIL_REFUSED, facts(c));
    return a == SP_LA_RSET_SECRET || a == SP_LA_RECONNECT;
}

/* --- the exchange -------------------------------------------------------------------- */

static void ask_owner(struct sp_cli *c)
{
    sp_cs_enter(c, SP_CS_TOKEN);
    sp_cs_event(c, SP_CLI_AUTH);
}

static void decode_and_ask(struct sp_cli *c, struct sp_str b64)
{
    size_t cap = b64.n / 4 * 3 + 3;
    char *p;
    int n;

    sp_buf_wipe(&c->challenge);
    p = sp_buf_room(&c->challenge, cap);
    if (!p) {
        sp_cs_nomem(c);
        return;
    }
    n = sp_base64_decode(b64, p, cap);
    if (n < 0) {
        cancel(c, SP_CLASS_PEER, "the server's challenge is not valid base64");
        return;
    }
    c->challenge.n = (size_t)n;
    ask_owner(c);
}

static void challenged(struct sp_cli *c)
{
    const struct sp_mech_trait *t = sp_cli_mech((enum sp_mech)c->mech);

    if (c->steps++ >= t->steps) {
        cancel(c, SP_CLASS_PEER, "the server asks for more than the mechanism has");
        return;
    }
    if (c->held.n) { /* what was too long for an initial response */
        say_held(c);
        return;
    }
    switch ((enum sp_mech)c->mech) {
    case SP_MECH_EXTERNAL:
        /* The initial response was ignored: first an empty line, in the second
         * attempt the identity (INTEROP 6.1 item 4). */
        if (c->login == SP_LS_EXT_NAME && hold(c, sp_str(identity(c))) < 0) {
            sp_cs_nomem(c);
            return;
        }
        say_held(c);
        return;
    case SP_MECH_OAUTHBEARER: /* an error in JSON; RFC 7628 3.2.3 wants ^A, then 535 */
        if (hold(c, SP_LIT("\001")) < 0) {
            sp_cs_nomem(c);
            return;
        }
        say_held(c);
        return;
    case SP_MECH_XOAUTH2:
        say_held(c);
        return;
    case SP_MECH_LOGIN: /* the prompt's words are never read: INTEROP 6.1 item 12 */
    case SP_MECH_PLAIN: /* the server ignored our initial response: once more */
        sp_buf_wipe(&c->challenge);
        ask_owner(c);
        return;
    case SP_MECH_GSSAPI:
    case SP_MECH_SCRAM_SHA_256_PLUS:
    case SP_MECH_SCRAM_SHA_256:
    case SP_MECH_SCRAM_SHA_1_PLUS:
    case SP_MECH_SCRAM_SHA_1:
    case SP_MECH_CRAM_MD5:
    case SP_MECHS:
        decode_and_ask(c, sp_str_trim(sp_reply_line_text(&c->in)));
        return;
    }
}

void sp_cs_auth_reply(struct sp_cli *c, const struct sp_reply *r)
{
    bool clear = c->epoch == 0 && sp_cs_caps(c)->ext & SP_EXT_STARTTLS;
    enum sp_auth_outcome o = sp_cli_auth_reply(r->code, clear);

    if (o == SP_AUTH_CHALLENGE) {
        challenged(c);
        return;
    }
    sp_buf_wipe(&c->held);
    sp_buf_wipe(&c->challenge);
    switch (o) {
    case SP_AUTH_YES:
        sp_cs_login(c, SP_LE_OK, r);
        return;
    case SP_AUTH_TEMP:
        sp_cs_login(c, SP_LE_TEMP, r);
        return;
    case SP_AUTH_ABSENT:
        sp_cs_login(c, SP_LE_ABSENT, r);
        return;
    case SP_AUTH_NO:
        sp_cs_login(c, SP_LE_REFUSED, r);
        return;
    case SP_AUTH_NEEDS_TLS:
        sp_cs_fail(c, SP_CLASS_PEER, SP_STAGE_AUTH, r, SP_CF_NEED_LOGIN,
                   "the server takes a login only inside TLS: use STARTTLS");
        return;
    case SP_AUTH_CHALLENGE:
        break;
    }
}

int sp_cli_auth_token(struct sp_cli *c, struct sp_str token)
{
    int rc;

    if (c->state != SP_CS_TOKEN)
        return -SP_ESTATE;
    rc = hold(c, token);
    if (rc == -SP_ELIMIT)
        return rc; /* the owner may cancel or give another */
    c->queued = 0;
    sp_buf_wipe(&c->challenge);
    if (rc < 0)
        sp_cs_nomem(c);
    else if (!c->auth_said)
        say_auth(c, true);
    else
        say_held(c);
    return 0;
}

int sp_cli_auth_cancel(struct sp_cli *c, struct sp_str reason)
{
    char words[300];
    size_t n = reason.n < sizeof words - 1 ? reason.n : sizeof words - 1;

    if (c->state != SP_CS_TOKEN)
        return -SP_ESTATE;
    c->queued = 0;
    if (!c->auth_said) { /* nothing was begun: the next mechanism may do */
        sp_cs_login(c, SP_LE_ABSENT, NULL);
        return 0;
    }
    if (n)
        memcpy(words, reason.p, n);
    words[n] = '\0';
    cancel(c, SP_CLASS_INSECURE, words);
    return 0;
}

void sp_cs_auth_event(const struct sp_cli *c, struct sp_cli_event *ev)
{
    const uint32_t plus =
        SP_MECH_BIT(SP_MECH_SCRAM_SHA_256_PLUS) | SP_MECH_BIT(SP_MECH_SCRAM_SHA_1_PLUS);

    ev->u.auth.mech = (enum sp_mech)c->mech;
    ev->u.auth.first = !c->auth_said || c->mech == SP_MECH_PLAIN;
    ev->u.auth.challenge = sp_buf_view(&c->challenge);
    /* One that was listed and then refused as unknown (504) is not offered: gs2 "y" tells
     * a server that did list it (RFC 5802 6). */
    ev->u.auth.plus_offered =
        (sp_cs_caps(c)->mechs & plus & ~(c->tried & ~SP_MECH_BIT(c->mech))) != 0;
    ev->u.auth.has_binding = c->binding;
    ev->u.auth.step = c->mech == SP_MECH_LOGIN && c->steps ? c->steps - 1u : 0;
}

void sp_cs_ready_event(const struct sp_cli *c, struct sp_cli_event *ev)
{
    /* clang-format off */
    static const struct {
        enum sp_cli_login login;
        const char *words, *pin;
    } say[] = {
        [SP_LS_EXT_EMPTY] = {SP_LOGIN_EXTERNAL, "logged in with the certificate (AUTH EXTERNAL)", "explicit"},
        [SP_LS_EXT_NAME] =  {SP_LOGIN_EXTERNAL, "logged in with the certificate (AUTH EXTERNAL, which wanted the identity named)", "explicit"},
        [SP_LS_SECRET] =    {SP_LOGIN_PASSWORD, "logged in by AUTH", "password"},
        [SP_LS_BARE] =      {SP_LOGIN_IMPLICIT, "our certificate was sent; mail goes without AUTH", "implicit"},
        [SP_LS_NONE] =      {SP_LOGIN_NONE, "no login", ""},
    };
    /* clang-format on */
    unsigned s = c->login_by;
    struct sp_str confirmed = SP_LIT("accepted without a login; identity unconfirmed");

    ev->u.ready.login = say[s].login;
    ev->u.ready.mech = (enum sp_mech)c->mech;
    ev->u.ready.words =
        s == SP_LS_BARE && c->bare_ok ? confirmed : sp_str(say[s].words);
    ev->u.ready.pin = sp_str(say[s].pin);
}
