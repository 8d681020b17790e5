/* rules.c - see rules.h. */
#include "rules.h"

#include "srv.h"
#include "text.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

#define K_LMTP (1u << SP_SRV_LMTP)
#define K_SMTP (1u << SP_SRV_SUBMISSION | 1u << SP_SRV_LOCAL | 1u << SP_SRV_REINJECT)
#define K_ALL  (K_SMTP | K_LMTP)

/* clang-format off */

/*
 * Order of the checks for every row: a required certificate, TLS, greeting, login, then
 * the transaction.  Refused at MAIL, never at RCPT (PROTOCOL 530); so RCPT, DATA and
 * BDAT ask for the login too, because without one no MAIL can have been accepted.
 */
SP_ROWS struct sp_verb_rule sp_verbs[] = {
    /* name       verb           flags                                                                kinds   ext               syntax                                        cite */
    { "EHLO",     SP_V_EHLO,     SP_F_CLEAR | SP_F_ARG | SP_F_IDLE,                                   K_SMTP, 0,                "EHLO your.host.name",                        "RFC 5321 4.1.1.1" },
    { "HELO",     SP_V_HELO,     SP_F_CLEAR | SP_F_ARG | SP_F_IDLE,                                   K_SMTP, 0,                "HELO your.host.name",                        "RFC 5321 4.1.1.1" },
    { "LHLO",     SP_V_LHLO,     SP_F_CLEAR | SP_F_ARG | SP_F_IDLE,                                   K_LMTP, 0,                "LHLO your.host.name",                        "RFC 2033 4.1" },
    { "STARTTLS", SP_V_STARTTLS, SP_F_CLEAR | SP_F_GREET | SP_F_NOTXN | SP_F_NOARG | SP_F_ENDS | SP_F_IDLE, K_ALL, 0,           "STARTTLS",                                   "RFC 3207 4" },
    { "AUTH",     SP_V_AUTH,     SP_F_EHLO | SP_F_NOTXN | SP_F_ARG | SP_F_IDLE,                       K_ALL,  0,                "AUTH mechanism [initial-response]",          "RFC 4954 4" },
    { "MAIL",     SP_V_MAIL,     SP_F_GREET | SP_F_LOGIN | SP_F_NOTXN | SP_F_ARG | SP_F_IDLE,         K_ALL,  0,                "MAIL FROM:<user@example.org>",               "RFC 5321 4.1.1.2; RFC 6409 4.3" },
    { "RCPT",     SP_V_RCPT,     SP_F_GREET | SP_F_LOGIN | SP_F_TXN | SP_F_ARG,                       K_ALL,  0,                "RCPT TO:<user@example.org>",                 "RFC 5321 4.1.1.3" },
    { "DATA",     SP_V_DATA,     SP_F_GREET | SP_F_LOGIN | SP_F_TXN | SP_F_RCPT | SP_F_NOARG | SP_F_IDLE, K_ALL, 0,             "DATA",                                       "RFC 5321 4.1.1.4" },
    { "BDAT",     SP_V_BDAT,     SP_F_EHLO | SP_F_LOGIN | SP_F_TXN | SP_F_RCPT,            K_ALL,  SP_EXT_CHUNKING,  "BDAT octets [LAST]",                         "RFC 3030 2" },
    { "RSET",     SP_V_RSET,     SP_F_CLEAR | SP_F_NOARG | SP_F_IDLE,                                 K_ALL,  0,                "RSET",                                       "RFC 5321 4.1.1.5" },
    { "NOOP",     SP_V_NOOP,     SP_F_CLEAR | SP_F_IDLE,                                              K_ALL,  0,                "NOOP",                                       "RFC 5321 4.1.1.9" },
    { "VRFY",     SP_V_VRFY,     SP_F_GREET | SP_F_LOGIN | SP_F_ARG | SP_F_IDLE,                      K_ALL,  0,                "VRFY user@example.org",                      "RFC 5321 4.1.1.6" },
    { "HELP",     SP_V_HELP,     SP_F_CLEAR | SP_F_IDLE,                                              K_ALL,  0,                "HELP",                                       "RFC 5321 4.1.1.8" },
    { "QUIT",     SP_V_QUIT,     SP_F_CLEAR | SP_F_NOARG | SP_F_NOCERT,                               K_ALL,  0,                "QUIT",                                       "RFC 5321 4.1.1.10" },
    { "XCLIENT",  SP_V_XCLIENT,  SP_F_CLEAR | SP_F_GREET | SP_F_NOTXN | SP_F_ARG | SP_F_IDLE,         K_SMTP, SP_EXT_XCLIENT,   "XCLIENT name=value ...",                     "Postfix XCLIENT_README" },
    { "XFORWARD", SP_V_XFORWARD, SP_F_CLEAR | SP_F_GREET | SP_F_NOTXN | SP_F_ARG | SP_F_IDLE,         K_ALL,  SP_EXT_XFORWARD,  "XFORWARD name=value ...",                    "Postfix XFORWARD_README" },
    { "EXPN",     SP_V_NOT_IMPLEMENTED, SP_F_IDLE,                                                    K_ALL,  0,                "",                                           "RFC 5321 3.5.1" },
    { "ETRN",     SP_V_NOT_IMPLEMENTED, SP_F_IDLE,                                                    K_ALL,  0,                "",                                           "RFC 1985" },
    { "ATRN",     SP_V_NOT_IMPLEMENTED, SP_F_IDLE,                                                    K_ALL,  0,                "",                                           "RFC 2645" },
    { "TURN",     SP_V_NOT_IMPLEMENTED, SP_F_IDLE,                                                    K_ALL,  0,                "",                                           "RFC 5321 F.1" },
    { "SEND",     SP_V_NOT_IMPLEMENTED, SP_F_IDLE,                                                    K_ALL,  0,                "",                                           "RFC 5321 F.6" },
    { "SOML",     SP_V_NOT_IMPLEMENTED, SP_F_IDLE,                                                    K_ALL,  0,                "",                                           "RFC 5321 F.6" },
    { "SAML",     SP_V_NOT_IMPLEMENTED, SP_F_IDLE,                                                    K_ALL,  0,                "",                                           "RFC 5321 F.6" },
    { "BURL",     SP_V_NOT_IMPLEMENTED, SP_F_IDLE,                                                    K_ALL,  0,                "",                                           "RFC 4468" },
};

/* In the order of the AUTH line.  EXTERNAL is last: some clients take the first
 * mechanism listed and stop at its failure. */
SP_ROWS struct sp_mech_rule sp_mechs[] = {
    /* mech                       flags                                               cite */
    { SP_MECH_SCRAM_SHA_256_PLUS, SP_M_TLS | SP_M_BINDING | SP_M_FIRST,               "RFC 7677; RFC 9266" },
    { SP_MECH_SCRAM_SHA_1_PLUS,   SP_M_TLS | SP_M_BINDING | SP_M_FIRST,               "RFC 5802; RFC 9266" },
    { SP_MECH_SCRAM_SHA_256,      SP_M_FIRST,                                         "RFC 7677" },
    { SP_MECH_SCRAM_SHA_1,        SP_M_FIRST,                                         "RFC 5802" },
    { SP_MECH_GSSAPI,             SP_M_FIRST,                                         "RFC 4752" },
    { SP_MECH_OAUTHBEARER,        SP_M_TLS | SP_M_FIRST | SP_M_ONESTEP | SP_M_ERROR,  "RFC 7628" },
    { SP_MECH_XOAUTH2,            SP_M_TLS | SP_M_FIRST | SP_M_ONESTEP | SP_M_ERROR,  "developers.google.com/gmail/imap/xoauth2-protocol" },
    { SP_MECH_CRAM_MD5,           0,                                                  "RFC 2195" },
    { SP_MECH_PLAIN,              SP_M_TLS | SP_M_FIRST | SP_M_ONESTEP,               "RFC 4616" },
    { SP_MECH_LOGIN,              SP_M_TLS | SP_M_IR | SP_M_ONESTEP,                  "draft-murchison-sasl-login" },
    { SP_MECH_EXTERNAL,           SP_M_TLS | SP_M_CERT | SP_M_FIRST | SP_M_ONESTEP,   "RFC 4422 A" },
};

#define X_BOTH (SP_X_CLEAR | SP_X_TLS | SP_X_POLICY)
SP_ROWS struct sp_ext_rule sp_exts[] = {
    /* ext                   keyword                listed                    implies           cite */
    { SP_EXT_PIPELINING,    "PIPELINING",          X_BOTH,                   0,                "RFC 2920" },
    { SP_EXT_SIZE,          "SIZE",                X_BOTH,                   0,                "RFC 1870" },
    { SP_EXT_8BITMIME,      "8BITMIME",            X_BOTH,                   0,                "RFC 6152" },
    { SP_EXT_SMTPUTF8,      "SMTPUTF8",            X_BOTH,                   SP_EXT_8BITMIME,  "RFC 6531 3.1" },
    { SP_EXT_DSN,           "DSN",                 X_BOTH,                   0,                "RFC 3461" },
    { SP_EXT_ENHANCED,      "ENHANCEDSTATUSCODES", X_BOTH,                   0,                "RFC 2034" },
    { SP_EXT_CHUNKING,      "CHUNKING",            X_BOTH,                   0,                "RFC 3030 2" },
    { SP_EXT_BINARYMIME,    "BINARYMIME",          X_BOTH,                   SP_EXT_CHUNKING,  "RFC 3030 3" },
    { SP_EXT_LIMITS,        "LIMITS",              X_BOTH,                   0,                "RFC 9422" },
    { SP_EXT_DELIVERBY,     "DELIVERBY",           X_BOTH,                   0,                "RFC 2852" },
    { SP_EXT_FUTURERELEASE, "FUTURERELEASE",       X_BOTH,                   0,                "RFC 4865" },
    { SP_EXT_MT_PRIORITY,   "MT-PRIORITY",         X_BOTH,                   0,                "RFC 6710" },
    { SP_EXT_REQUIRETLS,    "REQUIRETLS",          SP_X_TLS | SP_X_POLICY,   0,                "RFC 8689 2" },
    { SP_EXT_XCLIENT,       "XCLIENT",             X_BOTH,                   0,                "Postfix XCLIENT_README" },
    { SP_EXT_XFORWARD,      "XFORWARD",            X_BOTH,                   0,                "Postfix XFORWARD_README" },
    { SP_EXT_STARTTLS,      "STARTTLS",            SP_X_CLEAR,               0,                "RFC 3207 4.2: not inside TLS" },
    { SP_EXT_AUTH,          "AUTH",                SP_X_CLEAR | SP_X_TLS,    0,                "RFC 4954 3: when a mechanism is" },
};

SP_ROWS struct sp_param_rule sp_params[] = {
    /* name         param             verb       ext                   lenient value  syntax                                cite */
    { "SIZE",       SP_P_SIZE,        SP_V_MAIL, SP_EXT_SIZE,          true,   true,  "SIZE=octets",                        "RFC 1870 6" },
    { "BODY",       SP_P_BODY,        SP_V_MAIL, SP_EXT_8BITMIME,      true,   true,  "BODY=7BIT, 8BITMIME or BINARYMIME where offered", "RFC 6152 2; RFC 3030 3" },
    { "SMTPUTF8",   SP_P_SMTPUTF8,    SP_V_MAIL, SP_EXT_SMTPUTF8,      false,  false, "SMTPUTF8",                           "RFC 6531 3.1" },
    { "RET",        SP_P_RET,         SP_V_MAIL, SP_EXT_DSN,           false,  true,  "RET=FULL or HDRS",                   "RFC 3461 4.3" },
    { "ENVID",      SP_P_ENVID,       SP_V_MAIL, SP_EXT_DSN,           false,  true,  "ENVID=xtext, at most 100 octets",    "RFC 3461 4.4" },
    { "AUTH",       SP_P_AUTH,        SP_V_MAIL, SP_EXT_AUTH,          false,  true,  "AUTH=<> or an address in xtext",     "RFC 4954 5" },
    { "BY",         SP_P_BY,          SP_V_MAIL, SP_EXT_DELIVERBY,     false,  true,  "BY=seconds;N or (above 0) R, then T", "RFC 2852 4" },
    { "HOLDFOR",    SP_P_HOLDFOR,     SP_V_MAIL, SP_EXT_FUTURERELEASE, false,  true,  "HOLDFOR=seconds",                    "RFC 4865 4" },
    { "HOLDUNTIL",  SP_P_HOLDUNTIL,   SP_V_MAIL, SP_EXT_FUTURERELEASE, false,  true,  "HOLDUNTIL=2027-12-31T23:59:59Z",     "RFC 4865 4" },
    { "MT-PRIORITY", SP_P_MT_PRIORITY, SP_V_MAIL, SP_EXT_MT_PRIORITY,  false,  true,  "MT-PRIORITY=-9 to 9",                "RFC 6710 4.1" },
    { "REQUIRETLS", SP_P_REQUIRETLS,  SP_V_MAIL, SP_EXT_REQUIRETLS,    false,  false, "REQUIRETLS",                         "RFC 8689 2" },
    { "NOTIFY",     SP_P_NOTIFY,      SP_V_RCPT, SP_EXT_DSN,           false,  true,  "NOTIFY=NEVER, or of SUCCESS,FAILURE,DELAY", "RFC 3461 4.1" },
    { "ORCPT",      SP_P_ORCPT,       SP_V_RCPT, SP_EXT_DSN,           false,  true,  "ORCPT=rfc822;xtext, at most 500 octets", "RFC 3461 4.2" },
};

static const struct sp_kind_rule kinds[] = {
    /*                     protocol  greeting  TLS    AUTH   unqualified */
    [SP_SRV_SUBMISSION] = { "ESMTP", "EHLO",   true,  true,  false },
    [SP_SRV_LOCAL] =      { "ESMTP", "EHLO",   false, false, true },
    [SP_SRV_REINJECT] =   { "ESMTP", "EHLO",   false, false, true },
    [SP_SRV_LMTP] =       { "LMTP",  "LHLO",   false, false, true },
};

/* First words of HTTP requests: a web page made a browser talk to us. */
static const char *const http_methods[] = {
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE", "PRI",
};
/* clang-format on */

const size_t sp_nverbs = COUNT(sp_verbs);
const size_t sp_nmechs = COUNT(sp_mechs);
const size_t sp_nexts = COUNT(sp_exts);
const size_t sp_nparams = COUNT(sp_params);

#define NO_ARG  ((struct sp_str){"", 0})
#define ALLOWED ((struct sp_verdict){SP_R_NONE, NO_ARG})

static struct sp_verdict refused(enum sp_r r, struct sp_str arg)
{
    return (struct sp_verdict){r, arg};
}

const struct sp_reply_rule *sp_reply_rule(enum sp_r r)
{
    static SP_ROWS struct sp_reply_rule rules[SP_R_COUNT] = {
#define SP_R_ROW(id, code, enh, text, cite) {code, enh, text, cite},
        SP_REPLIES(SP_R_ROW)
#undef SP_R_ROW
    };

    return &rules[r];
}

const struct sp_kind_rule *sp_kind(enum sp_srv_kind kind)
{
    return &kinds[kind];
}

/* ---- Mechanisms ------------------------------------------------------------------- */

const struct sp_mech_rule *sp_mech_rule(enum sp_mech m)
{
    for (size_t i = 0; i < sp_nmechs; i++)
        if (sp_mechs[i].mech == m)
            return &sp_mechs[i];
    return NULL;
}

/* RFC 4422 A; PROTOCOL "EXTERNAL offered": exactly with a usable certificate. */
static struct sp_verdict rule_external(const struct sp_srv *s)
{
    enum sp_cert_login how = s->policy->cert_login;

    if (how != SP_CERT_LOGIN_EITHER && how != SP_CERT_LOGIN_EXPLICIT)
        return refused(SP_R_MECH_NOT_HERE, SP_LIT("EXTERNAL"));
    if (s->cert == SP_CERT_NONE)
        return refused(SP_R_EXTERNAL_UNUSABLE,
                       SP_LIT("no client certificate was sent"));
    if (s->cert != SP_CERT_USABLE)
        return refused(SP_R_EXTERNAL_UNUSABLE, sp_buf_view(&s->cert_reason));
    return ALLOWED;
}

/* With a certificate the list may be EXTERNAL alone. */
static bool external_alone(const struct sp_srv *s)
{
    if (s->cert != SP_CERT_USABLE || rule_external(s).reply != SP_R_NONE)
        return false;
    return s->policy->cert_list == SP_CERT_LIST_EXTERNAL ||
           (s->policy->cert_list == SP_CERT_LIST_ALL && s->external_only);
}

struct sp_verdict sp_rule_mech(const struct sp_srv *s, enum sp_mech m)
{
    const struct sp_mech_rule *r = sp_mech_rule(m);
    const struct sp_srv_policy *p = s->policy;
    struct sp_str name = sp_str(sp_mech_name(m));

    if (!r || !sp_kind(p->kind)->auth)
        return refused(SP_R_MECH_NOT_HERE, name);
    if (!s->tls && (p->mechs_tls & ~p->mechs_clear & SP_MECH_BIT(m)))
        return refused(SP_R_MECH_NEEDS_TLS, name);
    /* RFC 8314 3.3, RFC 4954 4: a secret in clear is refused whatever the policy says. */
    if (!s->tls && ((r->flags & SP_M_TLS) || sp_mech_shows_secret(m)))
        return refused(SP_R_MECH_NEEDS_TLS, name);
    if (r->flags & SP_M_CERT)
        return rule_external(s);
    if (!((s->tls ? p->mechs_tls : p->mechs_clear) & SP_MECH_BIT(m)) ||
        external_alone(s))
        return refused(SP_R_MECH_NOT_HERE, name);
    if ((r->flags & SP_M_BINDING) && !s->binding)
        return refused(SP_R_MECH_NO_BINDING, name);
    return ALLOWED;
}

bool sp_rule_mech_listed(const struct sp_srv *s, enum sp_mech m)
{
    /* "password": Cyrus clients take EXTERNAL first and fail; hidden but accepted. */
    if (m == SP_MECH_EXTERNAL && s->policy->cert_list == SP_CERT_LIST_PASSWORD)
        return false;
    return sp_rule_mech(s, m).reply == SP_R_NONE;
}

static bool any_mech(const struct sp_srv *s)
{
    for (size_t i = 0; i < sp_nmechs; i++)
        if (sp_rule_mech_listed(s, sp_mechs[i].mech))
            return true;
    return false;
}

bool sp_rule_implicit_login(const struct sp_srv *s)
{
    enum sp_cert_login how = s->policy->cert_login;

    return s->tls && s->cert == SP_CERT_USABLE && s->login_by == SP_BY_NOTHING &&
           !s->implicit_off && s->greeted >= SP_GREETED_HELO &&
           sp_kind(s->policy->kind)->auth &&
           (how == SP_CERT_LOGIN_EITHER || how == SP_CERT_LOGIN_IMPLICIT);
}

/* ---- Verbs ------------------------------------------------------------------------- */

static bool has_ext(const struct sp_srv *s, uint32_t ext)
{
    return ext == 0 || (sp_rule_extensions(s) & ext);
}

const struct sp_verb_rule *sp_verb_find(const struct sp_srv *s, struct sp_str name)
{
    for (size_t i = 0; i < sp_nverbs; i++) {
        const struct sp_verb_rule *v = &sp_verbs[i];

        if (sp_str_caseis(name, v->name))
            return (v->kinds >> s->policy->kind & 1) ? v : NULL;
    }
    return NULL;
}

static bool clear_auth(const struct sp_srv *s)
{
    return !s->tls && any_mech(s);
}

/* RFC 3207 4: nothing but a few verbs until TLS is there. */
static struct sp_verdict rule_tls(const struct sp_srv *s, const struct sp_verb_rule *v)
{
    const struct sp_srv_policy *p = s->policy;

    if (s->tls || !sp_kind(p->kind)->tls || (v->flags & SP_F_CLEAR))
        return ALLOWED;
    if (p->cert_want == SP_CERT_WANT_REQUIRED)
        return refused(SP_R_NEED_TLS, NO_ARG);
    if (v->verb == SP_V_AUTH)
        return clear_auth(s) ? ALLOWED : refused(SP_R_NEED_TLS, NO_ARG);
    if (!p->login_required || s->login_by != SP_BY_NOTHING)
        return ALLOWED;
    return refused(clear_auth(s) ? SP_R_NEED_TLS_OR_AUTH : SP_R_NEED_TLS, NO_ARG);
}

/* RFC 5321 4.1.4 and RFC 3207 4.2: both the value and the fact of EHLO are gone. */
static struct sp_verdict rule_greeting(const struct sp_srv *s,
                                       const struct sp_verb_rule *v)
{
    if (!(v->flags & (SP_F_GREET | SP_F_EHLO)))
        return ALLOWED;
    if (s->greeted == SP_GREETED_NO) {
        if (v->verb == SP_V_MAIL && s->tls && s->policy->lenient_ehlo)
            return ALLOWED;
        if (s->tls && !s->policy->implicit_tls)
            return refused(SP_R_EHLO_AGAIN, NO_ARG);
        return refused(SP_R_NEED_EHLO, sp_str(sp_kind(s->policy->kind)->greeting));
    }
    if ((v->flags & SP_F_EHLO) && s->greeted != SP_GREETED_EHLO)
        return refused(SP_R_NOT_AFTER_HELO, sp_str(v->name));
    return ALLOWED;
}

static struct sp_verdict rule_login(const struct sp_srv *s,
                                    const struct sp_verb_rule *v)
{
    if (!(v->flags & SP_F_LOGIN))
        return ALLOWED;
    /* PROTOCOL "judged when": again at every MAIL */
    if (v->verb == SP_V_MAIL && s->login_stale)
        return refused(SP_R_LOGIN_STALE,
                       s->cert_reason.n
                           ? sp_buf_view(&s->cert_reason)
                           : SP_LIT("the certificate names another user now"));
    if (s->login_by != SP_BY_NOTHING || !s->policy->login_required)
        return ALLOWED;
    if (v->verb == SP_V_MAIL && sp_rule_implicit_login(s))
        return ALLOWED;
    if (s->cert == SP_CERT_UNUSABLE)
        return refused(SP_R_NEED_LOGIN_CERT, sp_buf_view(&s->cert_reason));
    return refused(SP_R_NEED_LOGIN, NO_ARG);
}

static struct sp_verdict rule_txn(const struct sp_srv *s, const struct sp_verb_rule *v)
{
    const struct sp_txn *t = s->txn;

    if (t && (v->flags & SP_F_NOTXN))
        return refused(SP_R_IN_TRANSACTION, NO_ARG);
    if (!t && (v->flags & SP_F_TXN))
        return refused(SP_R_NEED_MAIL, NO_ARG);
    if (t && t->reading && (v->verb == SP_V_RCPT || v->verb == SP_V_DATA))
        return refused(SP_R_BDAT_BEGUN, NO_ARG);
    if (t && t->rcpts == 0 && (v->flags & SP_F_RCPT))
        return refused(s->policy->kind == SP_SRV_LMTP ? SP_R_NEED_RCPT_LMTP
                                                      : SP_R_NEED_RCPT,
                       NO_ARG);
    if (t && t->mail.body == SP_BODY_BINARYMIME && v->verb == SP_V_DATA)
        return refused(SP_R_DATA_BINARY, NO_ARG);
    return ALLOWED;
}

/* What belongs to one verb alone. */
static struct sp_verdict rule_special(const struct sp_srv *s,
                                      const struct sp_verb_rule *v)
{
    const struct sp_srv_policy *p = s->policy;

    if (v->verb == SP_V_STARTTLS && s->tls)
        return refused(SP_R_ALREADY_TLS, NO_ARG);
    if (v->verb == SP_V_STARTTLS && !p->starttls)
        return refused(SP_R_NO_TLS_KEY, NO_ARG);
    if (v->verb == SP_V_MAIL && p->mail_max && s->messages >= p->mail_max)
        return refused(SP_R_TOO_MANY_MAIL, NO_ARG);
    /* RFC 4954 4: one login a session, also where a proxy vouched for it (XCLIENT); PROTOCOL "implicit login": then EXTERNAL may
     * still be said once, which sp_auth_begin() looks at. */
    if (v->verb == SP_V_AUTH &&
        (s->login_by == SP_BY_AUTH || s->login_by == SP_BY_SOCKET))
        return refused(SP_R_AUTH_AGAIN, sp_buf_view(&s->user));
    return ALLOWED;
}

struct sp_verdict sp_rule_verb(const struct sp_srv *s, const struct sp_verb_rule *v)
{
    const struct sp_kind_rule *k = sp_kind(s->policy->kind);
    struct sp_verdict d;

    if (s->tls && s->policy->cert_want == SP_CERT_WANT_REQUIRED && !s->cert_verified &&
        !(v && (v->flags & SP_F_NOCERT)))
        return refused(SP_R_CERT_REQUIRED, s->cert == SP_CERT_NONE
                                               ? SP_LIT("none was sent")
                                               : sp_buf_view(&s->cert_reason));
    if (!v)
        return refused(SP_R_UNKNOWN, NO_ARG);
    d = rule_tls(s, v);
    if (d.reply == SP_R_NONE && v->verb == SP_V_NOT_IMPLEMENTED)
        d = refused(SP_R_NOT_HERE, sp_str(v->name));
    if (d.reply == SP_R_NONE &&
        ((v->verb == SP_V_STARTTLS && !k->tls) || (v->verb == SP_V_AUTH && !k->auth)))
        d = refused(SP_R_NOT_HERE, sp_str(v->name));
    if (d.reply == SP_R_NONE && !has_ext(s, v->ext))
        d = refused(SP_R_NOT_HERE, sp_str(v->name));
    if (d.reply == SP_R_NONE)
        d = rule_greeting(s, v);
    if (d.reply == SP_R_NONE)
        d = rule_login(s, v);
    if (d.reply == SP_R_NONE)
        d = rule_special(s, v);
    if (d.reply == SP_R_NONE)
        d = rule_txn(s, v);
    return d;
}

bool sp_rule_not_smtp(struct sp_str line)
{
    struct sp_str word = sp_str_cut(&line, ' ');
    size_t i = 0;

    for (size_t m = 0; m < COUNT(http_methods); m++)
        if (sp_str_caseis(word, http_methods[m]))
            return true;
    while (i < word.n && ((sp_lower(word.p[i]) >= 'a' && sp_lower(word.p[i]) <= 'z') ||
                          (word.p[i] >= '0' && word.p[i] <= '9') || word.p[i] == '-'))
        i++;
    return i > 0 && i < word.n && word.p[i] == ':';
}

/* ---- Extensions and parameters ------------------------------------------------------ */

static bool ext_holds(const struct sp_srv *s, const struct sp_ext_rule *x)
{
    if (!(x->flags & (s->tls ? SP_X_TLS : SP_X_CLEAR)))
        return false;
    if (x->flags & SP_X_POLICY)
        return s->policy->extensions & x->ext;
    if (x->ext == SP_EXT_STARTTLS)
        return s->policy->starttls && sp_kind(s->policy->kind)->tls;
    return any_mech(s); /* AUTH */
}

uint32_t sp_rule_extensions(const struct sp_srv *s)
{
    uint32_t set = 0;

    for (size_t i = 0; i < sp_nexts; i++)
        if (ext_holds(s, &sp_exts[i]))
            set |= sp_exts[i].ext | sp_exts[i].implies;
    return set;
}

struct sp_verdict sp_rule_param(const struct sp_srv *s, enum sp_verb verb,
                                struct sp_str name, const struct sp_param_rule **ret_p)
{
    for (size_t i = 0; i < sp_nparams; i++) {
        const struct sp_param_rule *p = &sp_params[i];

        if (p->verb != verb || !sp_str_caseis(name, p->name))
            continue;
        if (s->greeted == SP_GREETED_HELO ||
            (s->greeted != SP_GREETED_EHLO && !p->lenient))
            return refused(SP_R_PARAM_HELO, sp_str(p->name));
        if (!(sp_rule_extensions(s) & p->ext))
            return refused(SP_R_PARAM_UNKNOWN, sp_str(p->name));
        *ret_p = p;
        return ALLOWED;
    }
    return refused(SP_R_PARAM_UNKNOWN, NO_ARG);
}

/* ---- Limits -------------------------------------------------------------------------- */

unsigned sp_rule_line_max(const struct sp_srv *s, bool auth)
{
    unsigned set = auth ? s->policy->auth_line_max : s->policy->line_max;

    return set ? set : auth ? SP_LIMIT_AUTH_LINE : SP_LIMIT_LINE;
}

bool sp_rule_over(unsigned count, unsigned configured, unsigned standard)
{
    return count >= (configured ? configured : standard);
}
