/* cli_rules.c - see cli_rules.h. */
#include "cli_rules.h"

#include <assert.h>
#include <stddef.h>

enum sp_tls_action sp_cli_tls_rule(enum sp_cli_tls want, enum sp_tls_outcome happened)
{
    /* A failed handshake ends the connection whatever was wanted: going on in clear
     * behind it would be what an attacker asks for (RFC 3207 4.1, PROTOCOL 1). */
    /* clang-format off */
    static const enum sp_tls_action rule[][SP_TLS_OUTCOMES] = {
        /*                      not offered   4xx               5xx           failed       unverified    verified */
        [SP_CLI_TLS_REQUIRED] = {SP_TLS_STOP,  SP_TLS_STOP_TEMP, SP_TLS_STOP,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_GO_ON},
        [SP_CLI_TLS_IMPLICIT] = {SP_TLS_STOP,  SP_TLS_STOP,      SP_TLS_STOP,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_GO_ON},
        [SP_CLI_TLS_OPPORTUNISTIC] =
                                {SP_TLS_GO_ON, SP_TLS_GO_ON,     SP_TLS_GO_ON, SP_TLS_STOP, SP_TLS_GO_ON, SP_TLS_GO_ON},
        [SP_CLI_TLS_NONE]     = {SP_TLS_GO_ON, SP_TLS_STOP,      SP_TLS_STOP,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_STOP},
    };
    /* clang-format on */

    assert((unsigned)want < sizeof rule / sizeof rule[0] && happened < SP_TLS_OUTCOMES);
    return rule[want][happened];
}

/* Where each kind of mechanism may be used.  A password that crosses the wire never
 * goes out in clear but by the option whose name says so; nothing at all goes to an
 * unverified server, or in clear where TLS was wanted and is missing. */
#define TLS_ONLY  (1u << SP_PLACE_VERIFIED)
#define CHALLENGE (TLS_ONLY | 1u << SP_PLACE_CLEAR | 1u << SP_PLACE_CLEAR_OPEN)
#define SHOWS     (TLS_ONLY | 1u << SP_PLACE_CLEAR_OPEN)
#define BOUND     (SP_HELD_PASSWORD | SP_HELD_BINDING)

/* clang-format off */
static const struct sp_mech_trait mechs[SP_MECHS] = {
    /*                              needs              places     server 1st one step steps */
    [SP_MECH_EXTERNAL] =           {SP_HELD_CERT,      TLS_ONLY,  false, true,  1},
    [SP_MECH_GSSAPI] =             {SP_HELD_TICKET,    CHALLENGE, false, false, 10},
    [SP_MECH_SCRAM_SHA_256_PLUS] = {BOUND,             TLS_ONLY,  false, false, 3},
    [SP_MECH_SCRAM_SHA_256] =      {SP_HELD_PASSWORD,  CHALLENGE, false, false, 3},
    [SP_MECH_SCRAM_SHA_1_PLUS] =   {BOUND,             TLS_ONLY,  false, false, 3},
    [SP_MECH_SCRAM_SHA_1] =        {SP_HELD_PASSWORD,  CHALLENGE, false, false, 3},
    [SP_MECH_OAUTHBEARER] =        {SP_HELD_TOKEN,     SHOWS,     false, true,  2},
    [SP_MECH_XOAUTH2] =            {SP_HELD_TOKEN,     SHOWS,     false, true,  2},
    [SP_MECH_CRAM_MD5] =           {SP_HELD_PASSWORD,  CHALLENGE, true,  false, 1},
    [SP_MECH_PLAIN] =              {SP_HELD_PASSWORD,  SHOWS,     false, true,  1},
    [SP_MECH_LOGIN] =              {SP_HELD_PASSWORD,  SHOWS,     true,  false, 2},
};
/* clang-format on */

const struct sp_mech_trait *sp_cli_mech(enum sp_mech m)
{
    assert((unsigned)m < SP_MECHS);
    return &mechs[m];
}

int sp_cli_mech_choose(uint32_t offered, unsigned held, enum sp_place place)
{
    /* Whatever binds the channel comes first, whichever hash it has: a man in the middle
     * who takes SCRAM-SHA-256-PLUS alone out of the list would else get an exchange that
     * he can pass on. */
    for (unsigned bound = SP_HELD_BINDING;; bound = 0) {
        for (int m = 0; m < SP_MECHS; m++)
            if (offered & SP_MECH_BIT(m) && (mechs[m].needs & ~held) == 0 &&
                (mechs[m].needs & bound) == bound && mechs[m].places & 1u << place)
                return m;
        if (!bound)
            return -1;
    }
}

enum sp_auth_outcome sp_cli_auth_reply(int code, bool clear_with_starttls)
{
    /* INTEROP 6.1 item 6: the text is for people; our own state says which it is. */
    static const struct {
        int code;
        enum sp_auth_outcome in_tls, in_clear;
    } rule[] = {
        {334, SP_AUTH_CHALLENGE, SP_AUTH_CHALLENGE},
        {400, SP_AUTH_TEMP, SP_AUTH_NEEDS_TLS}, /* a policy said with 4xx */
        {500, SP_AUTH_ABSENT, SP_AUTH_ABSENT},
        {502, SP_AUTH_ABSENT, SP_AUTH_ABSENT},
        {503, SP_AUTH_ABSENT, SP_AUTH_NEEDS_TLS},
        {504, SP_AUTH_ABSENT, SP_AUTH_NEEDS_TLS},
        {523, SP_AUTH_NO, SP_AUTH_NEEDS_TLS},
        {524, SP_AUTH_NO, SP_AUTH_NEEDS_TLS},
        {530, SP_AUTH_NO, SP_AUTH_NEEDS_TLS},
        {534, SP_AUTH_ABSENT, SP_AUTH_ABSENT},
        {538, SP_AUTH_NO, SP_AUTH_NEEDS_TLS},
    };

    for (size_t i = 0; i < sizeof rule / sizeof rule[0]; i++)
        if (code == rule[i].code)
            return clear_with_starttls ? rule[i].in_clear : rule[i].in_tls;
    if (code / 100 == 2)
        return SP_AUTH_YES;
    return code / 100 == 4 ? SP_AUTH_TEMP : SP_AUTH_NO;
}

bool sp_cli_wants_login(const struct sp_reply *r, enum sp_cli_stage stage, bool *sure)
{
    bool policy = r->enh[0] == 5 && r->enh[1] == 7;
    bool address = r->enh[0] == 5 && r->enh[1] == 1; /* RFC 3463 3.2: not about us */

    *sure = r->code == 530 || r->code == 535 || r->code == 538;
    if (stage == SP_STAGE_MAIL) /* 502, 503: "AUTH first" in other servers' words */
        return *sure || r->code == 550 || r->code == 502 || r->code == 503 ||
               (r->code == 554 && policy);
    if (stage == SP_STAGE_RCPT)
        return *sure || (r->code == 550 && !address) || (r->code == 554 && policy);
    return false;
}

enum sp_class sp_cli_class(int code)
{
    return code / 100 == 4 ? SP_CLASS_TEMPORARY : SP_CLASS_PEER;
}

/* clang-format off */
enum { AUTO = 1, EXPLICIT = 2, IMPLICIT = 4, NO_CERT = 8, ANY = 15 };
#define S(x) (1u << SP_LS_##x)
#define E(x) (1u << SP_LE_##x)
#define EXT  (S(EXT_EMPTY) | S(EXT_NAME))
#define CERT     SP_LF_CERT
#define EXTERNAL SP_LF_EXTERNAL
#define NAME     SP_LF_NAME
#define USABLE   SP_LF_USABLE
#define HELD     SP_LF_HELD
#define FRESH    SP_LF_FRESH
#define REQUIRED SP_LF_REQUIRED
#define LEFT     SP_LF_LEFT

/* The first row that fits decides: strategy, state and event among those named, all of
 * the facts true.  The last row fits always. */
static const struct row {
    unsigned how, state, event, facts;
    enum sp_login_action action;
} rows[] = {
    {ANY,           ~0u,       E(OK),                         0,             SP_LA_IN},

    /* EXTERNAL is said only when a certificate was sent, never because it is listed */
    {AUTO|EXPLICIT, S(START),  E(BEGIN),                      CERT|EXTERNAL, SP_LA_EXT_EMPTY},
    {EXPLICIT,      S(START),  E(BEGIN),                      0,             SP_LA_FAIL_NO_WAY},
    {IMPLICIT,      S(START),  E(BEGIN),                      CERT,          SP_LA_BARE},
    {ANY,           S(START),  E(BEGIN),                      USABLE,        SP_LA_SECRET},
    {AUTO,          S(START),  E(BEGIN),                      CERT,          SP_LA_BARE},
    {ANY,           S(START),  E(BEGIN),                      REQUIRED,      SP_LA_FAIL_NO_WAY},
    {ANY,           S(START),  E(BEGIN),                      0,             SP_LA_NONE},

    /* some refuse "=" and want the name; more than that we never say */
    {AUTO|EXPLICIT, S(EXT_EMPTY), E(REFUSED),                 NAME|LEFT,     SP_LA_EXT_NAME},
    {EXPLICIT,      EXT,       E(TEMP),                       0,             SP_LA_FAIL_TEMP},
    {EXPLICIT,      EXT,       E(REFUSED)|E(ABSENT),          0,             SP_LA_FAIL_REFUSED},
    {AUTO,          EXT,       E(REFUSED)|E(ABSENT)|E(TEMP),  USABLE|LEFT,   SP_LA_SECRET},
    {AUTO,          EXT,       E(TEMP),                       0,             SP_LA_FAIL_TEMP},
    {AUTO,          EXT,       E(REFUSED)|E(ABSENT),          0,             SP_LA_BARE},

    /* the certificate stands in the password's way */
    {AUTO,          S(SECRET), E(REFUSED),                    CERT|FRESH,    SP_LA_RECONNECT},
    {ANY,           S(SECRET), E(ABSENT),                     USABLE|LEFT,   SP_LA_SECRET},
    {AUTO,          S(SECRET), E(ABSENT),                     CERT,          SP_LA_BARE},
    {ANY,           S(SECRET), E(TEMP),                       0,             SP_LA_FAIL_TEMP},
    {ANY,           S(SECRET), E(REFUSED)|E(ABSENT),          0,             SP_LA_FAIL_REFUSED},

    {AUTO|IMPLICIT, S(BARE),   E(MAIL_REFUSED),               USABLE|LEFT,   SP_LA_RSET_SECRET},
    {AUTO,          S(BARE),   E(MAIL_REFUSED),               HELD|FRESH,    SP_LA_RECONNECT},
    {ANY,           ~0u,       ~0u,                           0,             SP_LA_FAIL_NO_WAY},
};
/* clang-format on */

enum sp_login_action sp_cli_login_rule(bool have_certificate,
                                       enum sp_cli_cert_login how,
                                       enum sp_login_state state,
                                       enum sp_login_event event, unsigned facts)
{
    static const unsigned bit[] = {
        [SP_CLI_CERT_AUTO] = AUTO,
        [SP_CLI_CERT_EXPLICIT] = EXPLICIT,
        [SP_CLI_CERT_IMPLICIT] = IMPLICIT,
    };
    unsigned h = have_certificate ? bit[how] : NO_CERT;
    const struct row *r = rows;

    while (!(r->how & h && r->state & 1u << state && r->event & 1u << event &&
             (r->facts & ~facts) == 0))
        r++;
    return r->action;
}
