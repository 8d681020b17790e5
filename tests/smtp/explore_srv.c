/*
 * explore_srv.c - every command sequence, breadth first, against a model of PROTOCOL.md.
 *
 *     explore_srv [-d DEPTH] [-p POLICY] [-q]     prints states and transitions
 *
 * A state is a copy of the session and a model of it.  The model is written by hand from
 * PROTOCOL.md; it shares no code and no table with rules.c.  A move is what a client can
 * send, with what the owner answers; TLS results, certificates and login verdicts are
 * moves like any other.  After each move the model says what must have been answered and
 * what must be known now.  States are told apart by sp_srv_digest() and the model.
 *
 * Besides the reply to each command it looks that
 *   - a refusal leaves the session exactly as it was;
 *   - after STARTTLS the session is the same whatever was said before it;
 *   - what is listed behind EHLO is what is accepted, and nothing shows a secret in clear;
 *   - an identity comes from the owner's success, and from nothing else;
 *   - every accepted MAIL ends once, by END or by ABORT.
 */
#include "srv_play.h"

#include "explore_srv.h"
#include "srv_hand.h"
#include "rules.h" /* for the test that the alphabet is complete, nothing else */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The model ---------------------------------------------------------------------------- */

enum greeted { G_NO, G_LENIENT, G_HELO, G_EHLO };
/* none; another authority's; past its date; fine and nobody's; good; good, and its user
 * has no password */
enum cert { C_NONE, C_FOREIGN, C_EXPIRED, C_BAD_VERIFIED, C_GOOD, C_GOOD_ONLY };
enum ident { I_NONE, I_ALICE, I_BOB, I_LOCAL };
enum by { BY_NONE, BY_SOCKET, BY_IMPLICIT, BY_AUTH };
enum step { X_NONE, X_TOKEN, X_PASSWORD, X_MORE, X_EMPTY, X_ERROR };

struct model {
    unsigned char began, closed, tls, binding;
    unsigned char greeted, cert, remapped, ident, by, by_cert, stale, failed;
    unsigned char txn, rcpts, chunked, octets;
    unsigned char exch, exch_mech, exch_ident, exch_told;
    unsigned char errors, idle, failures, cert_refusals;
};

/* What a client can do, and what the owner then says. */
enum verb {
    V_EHLO,
    V_HELO,
    V_LHLO,
    V_STARTTLS,
    V_INJECT,
    V_AUTH,
    V_MAIL,
    V_RCPT,
    V_DATA,
    V_BDAT,
    V_RSET,
    V_NOOP,
    V_VRFY,
    V_HELP,
    V_QUIT,
    V_XCLIENT,
    V_XFORWARD,
    V_UNIMPL,
    V_UNKNOWN,
    V_HTTP,
    V_BARE,
    V_EARLY,
    V_TOKEN,
    V_REVOKE,
    V_REMAP,
};
enum verdict { OK, NO, OK_BOB, OK_DATA, WEAK, TEMP, MORE };
enum token {
    T_ABSENT,
    T_EMPTY,
    T_EQUALS,
    T_STAR,
    T_BAD,
    T_ALICE,
    T_PLAIN,
    T_OAUTH,
    T_XOAUTH2
};

struct move {
    enum verb verb;
    const char *line;  /* without CRLF; more lines behind "\r\n" */
    enum verdict says; /* of the owner, to the decision this leads to */
    bool bad;          /* malformed: 501 where it would be permitted */
    int mech;          /* AUTH; -1 unknown */
    enum token token;
    enum cert cert; /* STARTTLS */
    bool binding, fails;
    bool late; /* DATA, BDAT: the refusal is at the end; else at the start */
    bool broken, last;
    unsigned char octets;
};

static struct move moves[400];
static size_t nmoves;

static struct sp_srv_policy policy;
static const char *policy_name;
static const struct move *now; /* the move being made */
static struct model before, m; /* around it */
static unsigned bad_checks;
static bool quiet;

static void __attribute__((format(printf, 1, 2))) wrong(const char *fmt, ...)
{
    va_list ap;

    if (++bad_checks > 20 || quiet)
        return;
    printf("[%s] \"%s\" (owner %d, tls %d) with tls=%d greeted=%d cert=%d ident=%d "
           "by=%d txn=%d "
           "rcpts=%d exch=%d: ",
           policy_name, now->line, now->says, now->cert, before.tls, before.greeted,
           before.cert, before.ident, before.by, before.txn, before.rcpts, before.exch);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

/* ---- What PROTOCOL.md says ------------------------------------------------------------------- */

static bool in(int v, const int *set)
{
    for (; *set >= 0; set++)
        if (*set == v)
            return true;
    return false;
}
#define IN(v, ...) in((int)(v), (const int[]){__VA_ARGS__, -1})

static bool submission(void)
{
    return policy.kind == SP_SRV_SUBMISSION;
}

static bool cert_usable(void)
{
    return m.tls && IN(m.cert, C_GOOD, C_GOOD_ONLY);
}

static struct srv_hand_tls proved(void)
{
    return (struct srv_hand_tls){m.tls, m.binding, cert_usable(), m.cert == C_GOOD_ONLY};
}

static bool usable(int mech)
{
    struct srv_hand_tls t = proved();

    return srv_hand_usable(&policy, &t, mech);
}

static bool listed(int mech)
{
    struct srv_hand_tls t = proved();

    return srv_hand_listed(&policy, &t, mech);
}

static bool any_listed(void)
{
    for (int i = 0; i < SP_MECHS; i++)
        if (listed(i))
            return true;
    return false;
}

static bool implicit_login(void)
{
    return cert_usable() && m.by == BY_NONE && !m.failed &&
           IN(m.greeted, G_HELO, G_EHLO) &&
           IN(policy.cert_login, SP_CERT_LOGIN_EITHER, SP_CERT_LOGIN_IMPLICIT);
}

static bool required(void)
{
    return policy.cert_want == SP_CERT_WANT_REQUIRED;
}

static bool certificate_missing(enum verb v)
{
    return m.tls && required() && !IN(m.cert, C_BAD_VERIFIED, C_GOOD, C_GOOD_ONLY) &&
           v != V_QUIT;
}

static bool unknown(enum verb v)
{
    return v == V_UNKNOWN ||
           (policy.kind == SP_SRV_LMTP ? IN(v, V_EHLO, V_HELO, V_XCLIENT)
                                       : v == V_LHLO);
}

/* The refusal of a well-formed command, or 0. */
static int refusal(enum verb v)
{
    if (certificate_missing(v))
        return 554;
    if (unknown(v))
        return 500;
    if (submission() && !m.tls &&
        !IN(v, V_EHLO, V_HELO, V_STARTTLS, V_RSET, V_NOOP, V_HELP, V_QUIT, V_XCLIENT,
            V_XFORWARD)) {
        if (required())
            return 530;
        if (v == V_AUTH ? !any_listed() : policy.login_required && m.by == BY_NONE)
            return 530;
    }
    if (v == V_UNIMPL || (!submission() && IN(v, V_STARTTLS, V_AUTH)) ||
        (v == V_XCLIENT && !(policy.extensions & SP_EXT_XCLIENT)) ||
        (v == V_XFORWARD && !(policy.extensions & SP_EXT_XFORWARD)))
        return 502;
    if (IN(v, V_STARTTLS, V_AUTH, V_MAIL, V_RCPT, V_DATA, V_BDAT, V_VRFY, V_XCLIENT,
           V_XFORWARD) &&
        m.greeted == G_NO && !(v == V_MAIL && m.tls && policy.lenient_ehlo))
        return 503;
    if (IN(v, V_AUTH, V_BDAT) && m.greeted != G_EHLO)
        return 503;
    if (v == V_MAIL && m.stale)
        return 421;
    if (IN(v, V_MAIL, V_RCPT, V_DATA, V_BDAT, V_VRFY) && policy.login_required &&
        m.by == BY_NONE && !(v == V_MAIL && implicit_login()))
        return 530;
    if (v == V_STARTTLS && m.tls)
        return 503;
    if (v == V_STARTTLS && !policy.starttls)
        return 454;
    if (v == V_AUTH && IN(m.by, BY_AUTH, BY_SOCKET))
        return 503;
    if (m.txn && IN(v, V_MAIL, V_AUTH, V_STARTTLS, V_XCLIENT, V_XFORWARD))
        return 503;
    if (!m.txn && IN(v, V_RCPT, V_DATA, V_BDAT))
        return 503;
    if (m.chunked && IN(v, V_RCPT, V_DATA))
        return 503;
    if (m.rcpts == 0 && IN(v, V_DATA, V_BDAT))
        return policy.kind == SP_SRV_LMTP ? 503 : 554;
    return 0;
}

static void forget_txn(void)
{
    m.txn = m.rcpts = m.chunked = m.octets = 0;
}

static void forget_exchange(void)
{
    m.exch = m.exch_mech = m.exch_ident = m.exch_told = 0;
}

static void progress(void)
{
    m.errors = m.idle = 0;
}

/* RFC 3207 4.2 */
static void forget_everything(void)
{
    forget_txn();
    forget_exchange();
    m.greeted = G_NO;
    m.ident = I_NONE;
    m.by = BY_NONE;
    m.by_cert = m.stale = 0;
}

static int became(enum ident who)
{
    if (m.by == BY_IMPLICIT && m.ident != who) {
        forget_exchange();
        return 503;
    }
    m.ident = (unsigned char)who;
    m.by = BY_AUTH;
    m.by_cert = m.exch_mech == SP_MECH_EXTERNAL;
    m.stale = 0;
    forget_exchange();
    progress();
    return 235;
}

static int login_failed(int code)
{
    forget_exchange();
    m.failed = 1;
    m.failures += policy.auth_failures_max != UINT32_MAX;
    if (m.failures && m.failures >= policy.auth_failures_max)
        m.closed = 1;
    return code;
}

static bool one_step(int mech)
{
    return IN(mech, SP_MECH_PLAIN, SP_MECH_LOGIN, SP_MECH_EXTERNAL, SP_MECH_OAUTHBEARER,
              SP_MECH_XOAUTH2);
}

static int owner_of_auth(enum verdict says)
{
    m.exch_told = 1;
    switch (says) {
    case OK:
        return became(I_ALICE);
    case OK_BOB:
        return became(I_BOB);
    case OK_DATA:
        m.exch = X_EMPTY;
        m.exch_ident = I_ALICE;
        return 334;
    case MORE:
        if (one_step(m.exch_mech))
            break;
        m.exch = X_MORE;
        return 334;
    case WEAK:
        return login_failed(534);
    case TEMP:
        return login_failed(454);
    case NO:
        break;
    }
    if (!IN(m.exch_mech, SP_MECH_OAUTHBEARER, SP_MECH_XOAUTH2))
        return login_failed(535);
    m.exch = X_ERROR;
    return 334;
}

static int client_broke(void)
{
    forget_exchange();
    return 501;
}

static int token(enum token t, enum verdict says, bool initial)
{
    int mech = m.exch_mech;

    if (m.exch == X_ERROR)
        return login_failed(t == T_STAR ? 501 : 535);
    if (t == T_STAR && !initial)
        return client_broke();
    if (t == T_BAD || t == T_STAR)
        return client_broke();
    if (m.exch == X_EMPTY)
        return IN(t, T_EMPTY, T_EQUALS) ? became((enum ident)m.exch_ident)
                                        : client_broke();
    if (t == T_EQUALS && !initial && mech != SP_MECH_EXTERNAL)
        return client_broke();
    switch (mech) {
    case SP_MECH_PLAIN:
        return t == T_PLAIN ? owner_of_auth(says) : client_broke();
    case SP_MECH_OAUTHBEARER:
        return t == T_OAUTH ? owner_of_auth(says) : client_broke();
    case SP_MECH_XOAUTH2:
        return t == T_XOAUTH2 ? owner_of_auth(says) : client_broke();
    case SP_MECH_EXTERNAL: /* any identity without NUL; ^A is one for the owner to refuse */
        return t != T_PLAIN ? owner_of_auth(says) : client_broke();
    case SP_MECH_LOGIN:
        if (IN(t, T_EMPTY, T_EQUALS, T_PLAIN))
            return client_broke();
        if (m.exch == X_PASSWORD)
            return owner_of_auth(says);
        m.exch = X_PASSWORD;
        return 334;
    default:
        return owner_of_auth(says);
    }
}

static int auth(const struct move *v)
{
    bool server_first = v->mech == SP_MECH_CRAM_MD5;

    if (m.by == BY_IMPLICIT && (v->mech != SP_MECH_EXTERNAL || !usable(v->mech)))
        return 503;
    if (!usable(v->mech))
        return 504;
    m.exch = X_TOKEN;
    m.exch_mech = (unsigned char)v->mech;
    if (v->token != T_ABSENT)
        return server_first ? client_broke() : token(v->token, v->says, true);
    if (server_first)
        return owner_of_auth(v->says);
    return 334;
}

static int mail(const struct move *v)
{
    bool helo = m.greeted == G_HELO, by_certificate = implicit_login();

    if (v->bad)
        return 501;
    if (helo && strstr(v->line, "SIZE="))
        return 555;
    if (by_certificate && v->says == NO) {
        if (policy.login_required)
            return login_failed(530);
        m.failed = 1; /* goes on without */
    }
    if (by_certificate && v->says == TEMP)
        return login_failed(454);
    if (by_certificate && v->says != NO) {
        m.ident = I_ALICE;
        m.by = BY_IMPLICIT;
        m.by_cert = 1;
        progress();
    } else if (v->says != OK && !by_certificate) {
        return 550;
    }
    if (m.greeted == G_NO)
        m.greeted = G_LENIENT;
    m.txn = 1;
    return 250;
}

static int end_of_message(const struct move *v)
{
    int code = v->broken                    ? 554
               : m.octets > policy.size_max ? 552
               : v->says == OK              ? 250
                                            : 550;

    forget_txn();
    if (code == 250)
        progress();
    return code;
}

static int data(const struct move *v)
{
    if (v->bad)
        return 501;
    if (v->says != OK && !v->late)
        return 451;
    m.octets = v->octets;
    return end_of_message(v); /* behind 354 */
}

static int bdat(const struct move *v)
{
    if (v->says != OK && !v->late && !m.chunked) {
        forget_txn();
        return 451;
    }
    m.chunked = 1;
    m.octets += v->octets;
    if (v->last)
        return end_of_message(v);
    if (v->broken || m.octets > policy.size_max) {
        int code = v->broken ? 554 : 552;

        forget_txn();
        return code;
    }
    return 250;
}

/* A permitted command. */
static int happens(const struct move *v)
{
    switch (v->verb) {
    case V_EHLO:
    case V_LHLO:
    case V_HELO:
        if (v->bad)
            return 501;
        if (v->says != OK)
            return 550;
        forget_txn();
        m.greeted = v->verb == V_HELO ? G_HELO : G_EHLO;
        return 250;
    case V_STARTTLS:
        if (v->bad)
            return 501;
        if (v->says != OK)
            return 454;
        forget_everything();
        m.tls = 1;
        m.cert = (unsigned char)v->cert;
        m.binding = v->binding;
        m.closed = v->fails;
        return 220;
    case V_INJECT:
        m.closed = 1;
        return 554;
    case V_AUTH:
        return v->bad ? 501 : auth(v);
    case V_MAIL:
        return mail(v);
    case V_RCPT:
        if (v->bad)
            return 501;
        if (m.rcpts >= policy.rcpt_max)
            return 452;
        if (v->says != OK)
            return 550;
        m.rcpts++;
        return 250;
    case V_DATA:
        return data(v);
    case V_BDAT:
        return bdat(v);
    case V_RSET:
        if (v->bad)
            return 501;
        forget_txn();
        return 250;
    case V_NOOP:
        return 250;
    case V_VRFY:
        return v->bad ? 501 : 252;
    case V_HELP:
        return 214;
    case V_QUIT:
        if (v->bad)
            return 501;
        forget_everything();
        m.closed = 1;
        return 221;
    case V_XCLIENT:
        if (v->says == NO)
            return 550;
        forget_everything();
        if (v->says == OK_BOB) { /* the proxy vouches for him */
            m.ident = I_BOB;
            m.by = BY_SOCKET;
        }
        return 220;
    case V_XFORWARD:
        return 250;
    default:
        return 0;
    }
}

/* Verbs that bring a message no nearer: counted (PROTOCOL "error limits"). */
static bool counts_idle(enum verb v)
{
    return !IN(v, V_RCPT, V_BDAT, V_QUIT, V_UNKNOWN, V_HTTP, V_BARE, V_TOKEN);
}

/* Refusals of ours that count as errors: not the owner's, not of a login. */
static void count_errors(int code, bool ours)
{
    if (!ours || code < 500 || m.closed || policy.error_max == UINT32_MAX)
        return;
    if (++m.errors >= policy.error_max)
        m.closed = 1;
}

static bool owners_own(const struct move *v, int code)
{
    return code == 550 || (code == 451) || IN(code, 535, 534, 454) ||
           (code == 530 && v->verb == V_MAIL && before.by == BY_NONE && m.failed &&
            !before.failed) ||
           (v->verb == V_TOKEN && before.exch == X_ERROR);
}

/* Makes the move in the model; the code that must be answered last (0: none). */
static int predict(const struct move *v)
{
    enum verb verb = v->verb == V_INJECT ? V_STARTTLS : v->verb;
    int code;

    if (v->verb == V_EARLY) {
        m.closed = 1;
        return 554;
    }
    if (v->verb == V_HTTP || v->verb == V_BARE) {
        forget_txn();
        m.closed = 1;
        return v->verb == V_HTTP ? 421 : 500;
    }
    if (v->verb == V_REVOKE || v->verb == V_REMAP) {
        m.stale |= m.by_cert && (v->verb == V_REVOKE || !m.remapped);
        m.remapped |= v->verb == V_REMAP;
        m.cert = v->verb == V_REVOKE ? C_EXPIRED : C_GOOD;
        return 0;
    }
    if (v->verb == V_TOKEN) {
        code = token(v->token, v->says, false);
        count_errors(code, !owners_own(v, code));
        return code;
    }
    if (policy.idle_commands_max != UINT32_MAX && !unknown(verb) &&
        counts_idle(v->verb) && m.idle++ >= policy.idle_commands_max) {
        m.closed = 1;
        forget_txn();
        return 421;
    }
    code = refusal(verb);
    if (certificate_missing(verb) && ++m.cert_refusals >= 3)
        m.closed = 1;
    if (code == 0) {
        code = happens(v);
        if (code == 550 && v->verb == V_RCPT &&
            policy.idle_commands_max != UINT32_MAX &&
            m.idle++ >= policy.idle_commands_max)
            code = 421;
    }
    if (code == 421) {
        m.closed = 1;
        forget_txn();
    }
    count_errors(code, !owners_own(v, code));
    return code;
}

/* ---- Making a move against the engine ------------------------------------------------------------- */

static char out[16384];
static size_t nout;
static unsigned opened, ended;
static bool closed;

static void take_out(struct sp_srv *s)
{
    size_t n;
    const char *o = sp_srv_out(s, &n);

    if (nout + n < sizeof out) {
        if (n)
            memcpy(out + nout, o, n);
        nout += n;
    }
    sp_srv_out_ack(s, n);
}

static void owner_says(struct sp_srv *s, int code)
{
    struct sp_reply r = {code, {code / 100, 7, 1}, {"the owner says no", 17}};

    if (now->says == OK)
        (void)sp_srv_accept(s);
    else
        (void)sp_srv_reply(s, &r);
}

static void answer_auth(struct sp_srv *s, const struct sp_srv_event *e)
{
    struct sp_str who = sp_str(now->says == OK_BOB ? "bob" : "alice");
    struct sp_str none = {NULL, 0};

    /* The model as it was when the line came in. */
    if (e->u.auth.implicit ? now->verb != V_MAIL
                           : now->verb != V_AUTH && now->verb != V_TOKEN)
        wrong("a login nobody asked for");
    if (e->u.auth.secret.n && !sp_srv_in_tls(s))
        wrong("a secret was taken in clear");
    if (e->u.auth.implicit && now->says != NO && now->says != TEMP) {
        (void)sp_srv_auth_ok(s, who, none);
        return;
    }
    switch (now->says) {
    case OK:
    case OK_BOB:
        (void)sp_srv_auth_ok(s, who, none);
        break;
    case OK_DATA:
        (void)sp_srv_auth_ok(s, who, sp_str("x"));
        break;
    case MORE:
        if (sp_srv_auth_challenge(s, sp_str("x")) < 0)
            (void)sp_srv_auth_fail(s, SP_AUTH_FAILED);
        break;
    default:
        (void)sp_srv_auth_fail(s, now->says == WEAK   ? SP_AUTH_TOO_WEAK
                                  : now->says == TEMP ? SP_AUTH_TEMPORARY
                                                      : SP_AUTH_FAILED);
    }
}

static const char *const reasons[] = {
    [C_NONE] = "",          [C_FOREIGN] = "foreign",
    [C_EXPIRED] = "expired", [C_BAD_VERIFIED] = "nobody's",
    [C_GOOD] = "",          [C_GOOD_ONLY] = "",
};

static struct sp_srv_tls facts(enum cert cert, bool binding, const char *user)
{
    struct sp_srv_tls t = {.channel_binding = binding};

    t.cert = cert == C_NONE                  ? SP_CERT_NONE
             : IN(cert, C_GOOD, C_GOOD_ONLY) ? SP_CERT_USABLE
                                             : SP_CERT_UNUSABLE;
    t.cert_verified = IN(cert, C_BAD_VERIFIED, C_GOOD, C_GOOD_ONLY);
    t.external_only = cert == C_GOOD_ONLY;
    t.user = t.cert == SP_CERT_USABLE ? sp_str(user) : (struct sp_str){0};
    t.reason = sp_str(reasons[cert]);
    return t;
}

static void owner(struct sp_srv *s, const struct sp_srv_event *e)
{
    struct sp_srv_tls t = facts(now->cert, now->binding, "alice");

    switch (e->type) {
    case SP_SRV_HANDSHAKE:
        if (now->fails)
            (void)sp_srv_tls_failed(s);
        else
            (void)sp_srv_tls_done(s, &t);
        break;
    case SP_SRV_AUTH:
        answer_auth(s, e);
        break;
    case SP_SRV_MAIL:
        /* An implicit login was granted or refused already; then MAIL is fine. */
        opened++;
        if (now->says != OK && !before.failed && before.by == BY_NONE && before.tls &&
            IN(before.cert, C_GOOD, C_GOOD_ONLY) && before.greeted >= G_HELO &&
            IN(policy.cert_login, SP_CERT_LOGIN_EITHER, SP_CERT_LOGIN_IMPLICIT)) {
            (void)sp_srv_accept(s);
        } else {
            owner_says(s, 550);
            opened -= now->says != OK;
        }
        break;
    case SP_SRV_STARTTLS:
        owner_says(s, 454);
        break;
    case SP_SRV_EHLO:
    case SP_SRV_RCPT:
        owner_says(s, 550);
        break;
    case SP_SRV_DATA:
        if (now->late)
            (void)sp_srv_accept(s);
        else
            owner_says(s, 451);
        break;
    case SP_SRV_END:
        ended++;
        owner_says(s, 550);
        break;
    case SP_SRV_ABORT:
        ended++;
        break;
    case SP_SRV_CLOSE:
        closed = true;
        break;
    case SP_SRV_XCLIENT:
        if (now->says == OK_BOB)
            (void)sp_srv_xclient_ok(s, sp_str("bob"));
        else
            owner_says(s, 550);
        break;
    case SP_SRV_AUTH_END:
    case SP_SRV_NOTE:
        break;
    default:
        (void)sp_srv_accept(s);
    }
}

static void pump(struct sp_srv *s)
{
    struct sp_srv_event e;

    take_out(s);
    while (sp_srv_next(s, &e)) {
        owner(s, &e);
        take_out(s);
    }
}

static void say(struct sp_srv *s, const char *p, size_t n)
{
    while (n && !closed) {
        size_t used = sp_srv_feed(s, p, n);

        p += used;
        n -= used;
        pump(s);
    }
}

static int last_code(void)
{
    size_t at = nout >= 2 ? nout - 2 : 0;

    while (at > 0 && out[at - 1] != '\n')
        at--;
    return nout ? (int)strtol(out + at, NULL, 10) : 0;
}

static bool said(int code)
{
    char head[8];

    snprintf(head, sizeof head, "%03d", code);
    out[nout] = '\0';
    for (const char *l = out; l && *l; l = strchr(l, '\n') ? strchr(l, '\n') + 1 : NULL)
        if (strncmp(l, head, 3) == 0)
            return true;
    return false;
}

static void move(struct sp_srv *s)
{
    struct sp_srv_tls t;
    char text[600];
    int n;

    nout = 0;
    closed = false;
    opened = ended = 0;
    if (now->verb == V_REVOKE || now->verb == V_REMAP) {
        t = facts(now->verb == V_REVOKE ? C_EXPIRED : C_GOOD, false, "carol");
        (void)sp_srv_cert_update(s, &t);
        return;
    }
    n = snprintf(text, sizeof text, "%s\r\n", now->line);
    if (now->verb == V_DATA) {
        say(s, text, (size_t)n);
        if (!said(354) || closed)
            return;
        n = snprintf(text, sizeof text, "%s.\r\n",
                     now->broken       ? "a\nb\r\n"
                     : now->octets > 8 ? "0123456789\r\n"
                     : now->octets     ? "a\r\n"
                                       : "");
    } else if (now->verb == V_BDAT) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%.*s", now->octets,
                      now->broken ? "a\nbcdefghi" : "abcdefghij");
    }
    say(s, text, (size_t)n);
}

/* ---- Looking --------------------------------------------------------------------------------------- */

/* PROTOCOL "client-certificates": why a certificate does not count is told at AUTH and at
 * MAIL, the true reason and no other. */
static void look_at_reason(int code)
{
    bool refused = (now->verb == V_AUTH && now->mech == SP_MECH_EXTERNAL && code == 504) ||
                   (now->verb == V_MAIL && code == 530);

    if (!refused || !m.tls || !submission() ||
        !IN(m.cert, C_FOREIGN, C_EXPIRED, C_BAD_VERIFIED) ||
        (now->verb == V_AUTH &&
         !IN(policy.cert_login, SP_CERT_LOGIN_EITHER, SP_CERT_LOGIN_EXPLICIT)))
        return;
    out[nout] = '\0';
    if (!strstr(out, reasons[m.cert]))
        wrong("the reason \"%s\" is not told: %.*s", reasons[m.cert], (int)nout, out);
}

static void look_at_form(void)
{
    struct sp_str line;
    const char *bad = srv_hand_form((struct sp_str){out, nout}, policy.hostname, &line);

    if (bad)
        wrong("%s: %.*s", bad, (int)line.n, line.p);
}

/* "250[- ]AUTH a b" of the last EHLO reply against the hand-written list. */
static void look_at_list(void)
{
    bool last;
    unsigned want = 0, got = srv_hand_mechs((struct sp_str){out, nout}, &last);

    for (int i = 0; i < SP_MECHS; i++)
        want |= listed(i) ? 1u << i : 0;
    if (!last)
        wrong("EXTERNAL is listed and not last");
    if (got != want)
        wrong("listed %x, PROTOCOL says %x", got, want);
    out[nout] = '\0';
    if ((strstr(out, "STARTTLS") != NULL) !=
        (policy.starttls && submission() && !m.tls))
        wrong("STARTTLS is listed or not, and should not or be");
}

static void digest(const struct sp_srv *s, uint64_t d[2])
{
    sp_srv_digest(s, d);
}

/* What STARTTLS leaves behind depends on the handshake and on "a login has failed". */
static struct {
    bool known;
    uint64_t d[2];
} fresh[2][6][2][8];

static void look_at_erasure(const struct sp_srv *s)
{
    uint64_t d[2];
    typeof(&fresh[0][0][0][0]) f = &fresh[m.failed != 0][m.cert][m.binding != 0]
                                         [(m.errors + m.failures * 3 + m.idle) % 8];

    if (policy.error_max != UINT32_MAX)
        return; /* counters are kept, and are too many to tell apart here */
    digest(s, d);
    if (!f->known) {
        memcpy(f->d, d, sizeof d);
        f->known = true;
    } else if (memcmp(f->d, d, sizeof d) != 0) {
        wrong("what was said before STARTTLS is still known");
    }
}

static void look_at_login(const struct sp_srv *s)
{
    enum sp_mech mech = SP_MECHS;
    bool implicit = false;

    if (m.closed)
        return;
    if (sp_srv_login(s, &mech, &implicit) != (m.by == BY_IMPLICIT || m.by == BY_AUTH))
        wrong("logged in or not, and should not or be");
    if (IN(m.by, BY_IMPLICIT, BY_AUTH) &&
        (implicit != (m.by == BY_IMPLICIT) || (mech == SP_MECH_EXTERNAL) != m.by_cert))
        wrong("logged in another way");
}

static void look_at_identity(const struct sp_srv *s)
{
    static const char *const names[] = {"", "alice", "bob", "local"};
    struct sp_str user = sp_srv_user(s);

    if (!m.closed && !sp_str_is(user, names[m.ident]))
        wrong("the identity is \"%.*s\", PROTOCOL says \"%s\"", (int)user.n, user.p,
              names[m.ident]);
    if (!m.closed && !sp_str_is(sp_srv_helo(s), m.greeted >= G_HELO ? "c" : ""))
        wrong("the name from EHLO is another one");
    look_at_login(s);
    if (!m.closed && sp_srv_in_transaction(s) != m.txn)
        wrong("a transaction is open or not, and should not or be");
    if (!m.closed && sp_srv_in_tls(s) != m.tls)
        wrong("TLS is on or not, and should not or be");
}

/* Of a rule, or of the owner before anything was begun. */
static bool refused(int code)
{
    if (IN(code, 454, 550) && IN(now->verb, V_EHLO, V_STARTTLS, V_MAIL, V_RCPT, V_XCLIENT))
        return true;
    return IN(code, 452, 500, 501, 502, 503, 504, 530, 555) && now->verb != V_TOKEN &&
           now->verb != V_BARE;
}

static void look(const struct sp_srv *s, int want, const uint64_t was[2])
{
    int got = last_code();
    uint64_t d[2];

    if (m.closed && got == 421 && want != 421 && said(want))
        got = want; /* the refusal and then the goodbye */
    if (got != want)
        wrong("answered %d, PROTOCOL says %d: %.*s", got, want, (int)nout, out);
    if (closed != m.closed)
        wrong(closed ? "closed" : "not closed");
    look_at_form();
    look_at_reason(want);
    look_at_identity(s);
    if (want == 250 && IN(now->verb, V_EHLO, V_LHLO))
        look_at_list();
    if (want == 220 && now->verb == V_STARTTLS && !m.closed)
        look_at_erasure(s);
    if (opened + before.txn != ended + (m.closed ? 0 : m.txn))
        wrong("%u MAIL, %u END or ABORT, before %d after %d", opened, ended, before.txn,
              m.txn);
    digest(s, d);
    if (refused(want) && !m.closed && policy.error_max == UINT32_MAX &&
        !m.exch && m.failed == before.failed && memcmp(d, was, sizeof d) != 0)
        wrong("a refusal changed the session");
}

/* ---- Breadth first ------------------------------------------------------------------------------------ */

struct node {
    struct sp_srv *s;
    struct model m;
    unsigned depth;
};
static struct node *queue;
static size_t head, tail, queue_cap;
static uint64_t (*seen)[2];
static size_t nseen, seen_cap;
static unsigned long long transitions;

static bool add_seen(uint64_t a, uint64_t b)
{
    size_t i;

    if (nseen * 2 >= seen_cap) {
        uint64_t(*old)[2] = seen;
        size_t n = seen_cap;

        seen_cap = n ? n * 4 : 4096;
        seen = calloc(seen_cap, sizeof *seen);
        nseen = 0;
        for (size_t k = 0; k < n; k++)
            if (old[k][0] | old[k][1])
                add_seen(old[k][0], old[k][1]);
        free(old);
    }
    for (i = a % seen_cap; seen[i][0] | seen[i][1]; i = (i + 1) % seen_cap)
        if (seen[i][0] == a && seen[i][1] == b)
            return false;
    seen[i][0] = a;
    seen[i][1] = b | 1;
    nseen++;
    return true;
}

static bool is_new(const struct sp_srv *s, const struct model *mod)
{
    const unsigned char *p = (const unsigned char *)mod;
    uint64_t d[2];

    digest(s, d);
    for (size_t i = 0; i < sizeof *mod; i++) {
        d[0] = (d[0] ^ p[i]) * 0x100000001b3u;
        d[1] = (d[1] + p[i] + 7) * 0x9e3779b97f4a7c15u;
    }
    return add_seen(d[0], d[1] | 1);
}

static void enqueue(struct sp_srv *s, const struct model *mod, unsigned depth)
{
    if (tail == queue_cap) {
        queue_cap = queue_cap ? queue_cap * 2 : 1024;
        queue = realloc(queue, queue_cap * sizeof *queue);
    }
    queue[tail++] = (struct node){s, *mod, depth};
}

/* In an exchange the client sends responses; outside it commands. */
static bool applies(const struct move *v, const struct model *mod)
{
    if (v->verb == V_EARLY)
        return !mod->began;
    if (!mod->began)
        return false;
    if (v->verb == V_REVOKE || v->verb == V_REMAP)
        return mod->tls && !mod->exch && IN(mod->cert, C_GOOD, C_GOOD_ONLY);
    return (v->verb == V_TOKEN) == (mod->exch != X_NONE);
}

static void one_move(const struct node *from, const struct move *v)
{
    struct sp_srv *s = sp_srv_clone(from->s);
    uint64_t was[2];
    int want;

    transitions++;
    now = v;
    before = m = from->m;
    digest(s, was);
    want = predict(v);
    if (v->verb == V_INJECT && !m.closed) {
        /* STARTTLS was refused: the line behind it is a command like any other */
        static const struct move noop = {.verb = V_NOOP, .line = "NOOP"};

        want = predict(&noop);
    }
    move(s);
    look(s, want, was);
    if (!m.closed && !closed && is_new(s, &m))
        enqueue(s, &m, from->depth + 1);
    else
        sp_srv_free(s);
}

/* PROTOCOL "octets behind STARTTLS", last sentence, and "implicit TLS": what comes before
 * it may be said, and clear text where TLS belongs, ends the session with one reply. */
static void too_early(void)
{
    static const char *const first[] = {"EHLO c\r\n", "MAIL FROM:<a@b.example>\r\n", "x"};

    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        struct sp_srv *s = sp_srv_new(&policy, sp_str("local"));
        struct sp_srv_event e;

        nout = 0;
        closed = false;
        if (policy.implicit_tls)
            (void)sp_srv_clear_on_tls(s);
        else
            (void)sp_srv_feed(s, first[i], strlen(first[i]));
        while (sp_srv_next(s, &e) && !policy.implicit_tls)
            owner(s, &e);
        take_out(s);
        if (!said(554) || said(220) || said(250) || !(closed || policy.implicit_tls) ||
            !strstr(out, policy.implicit_tls ? "5.7.0" : "5.5.0"))
            wrong("octets before the banner were borne: %.*s", (int)nout, out);
        sp_srv_free(s);
    }
}

static void begin(void)
{
    static const struct move start = {.verb = V_NOOP, .line = "(start)"};
    static const enum cert certs[] = {C_NONE, C_FOREIGN,   C_EXPIRED, C_BAD_VERIFIED,
                                      C_GOOD, C_GOOD_ONLY, C_NONE};

    for (size_t i = 0; i < (policy.implicit_tls ? 7 : 1); i++) {
        struct move first = start;
        struct model mod = {.began = 1};

        first.cert = certs[i];
        mod.binding = i == 6;
        first.binding = mod.binding;
        now = &first;
        before = mod;
        mod.tls = policy.implicit_tls;
        mod.cert = policy.implicit_tls ? (unsigned char)certs[i] : 0;
        if (policy.kind == SP_SRV_LOCAL) {
            mod.ident = I_LOCAL;
            mod.by = BY_SOCKET;
        }
        struct sp_srv *s = sp_srv_new(&policy, sp_str("local"));

        if (i == 0)
            too_early();
        nout = 0;
        closed = false;
        pump(s);
        if (!said(220))
            wrong("no banner");
        if (is_new(s, &mod))
            enqueue(s, &mod, 0);
    }
}

/* Returns the depth reached; *ret_closed when nothing new was left. */
static unsigned explore(unsigned depth, bool *ret_closed)
{
    unsigned reached = 0;

    *ret_closed = true;
    head = tail = 0;
    memset(fresh, 0, sizeof fresh);
    begin();
    while (head < tail && bad_checks < (quiet ? 1 : 20)) {
        struct node n = queue[head++];

        if (n.depth < depth) {
            reached = n.depth + 1;
            for (size_t i = 0; i < nmoves; i++)
                if (applies(&moves[i], &n.m))
                    one_move(&n, &moves[i]);
        } else {
            *ret_closed = false;
        }
        sp_srv_free(n.s);
    }
    while (head < tail)
        sp_srv_free(queue[head++].s);
    return reached;
}

/* ---- The alphabet ------------------------------------------------------------------------------------------ */

static void put(struct move v)
{
    if (nmoves < sizeof moves / sizeof *moves)
        moves[nmoves++] = v;
}

static const char *auth_line(const char *mech, const char *token)
{
    static char lines[200][96];
    static size_t n;
    char *l = lines[n++ % 200];

    snprintf(l, 96, "AUTH %s%s%s", mech, token ? " " : "", token ? token : "");
    return l;
}

static const struct {
    enum token token;
    const char *text;
} tokens[] = {
    {T_EMPTY, ""},
    {T_EQUALS, "="},
    {T_STAR, "*"},
    {T_BAD, "!!!!"},
    {T_BAD, "EHLO c"},
    {T_ALICE, "YWxpY2U="},
    {T_PLAIN, "AGFsaWNlAHNlY3JldA=="},
    {T_OAUTH, "bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB"},
    {T_XOAUTH2, "dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2tlbgEB"},
};

static const struct {
    int mech;
    const char *name, *good;
    enum token token;
} mechs[] = {
    {SP_MECH_EXTERNAL, "EXTERNAL", "YWxpY2U=", T_ALICE},
    {SP_MECH_GSSAPI, "GSSAPI", "YWxpY2U=", T_ALICE},
    {SP_MECH_SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS", "YWxpY2U=", T_ALICE},
    {SP_MECH_SCRAM_SHA_256, "SCRAM-SHA-256", "YWxpY2U=", T_ALICE},
    {SP_MECH_SCRAM_SHA_1_PLUS, "SCRAM-SHA-1-PLUS", "YWxpY2U=", T_ALICE},
    {SP_MECH_SCRAM_SHA_1, "SCRAM-SHA-1", "YWxpY2U=", T_ALICE},
    {SP_MECH_OAUTHBEARER, "OAUTHBEARER", "bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB",
     T_OAUTH},
    {SP_MECH_XOAUTH2, "XOAUTH2", "dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2tlbgEB", T_XOAUTH2},
    {SP_MECH_CRAM_MD5, "CRAM-MD5", "YWxpY2U=", T_ALICE},
    {SP_MECH_PLAIN, "PLAIN", "AGFsaWNlAHNlY3JldA==", T_PLAIN},
    {SP_MECH_LOGIN, "LOGIN", "YWxpY2U=", T_ALICE},
    {-1, "DIGEST-MD5", "YWxpY2U=", T_ALICE},
};

static void auth_moves(void)
{
    static const enum verdict all[] = {OK, NO, OK_BOB, OK_DATA, WEAK, TEMP, MORE};

    for (size_t i = 0; i < sizeof mechs / sizeof *mechs; i++) {
        struct move v = {.verb = V_AUTH, .mech = mechs[i].mech, .says = NO};

        v.line = auth_line(mechs[i].name, NULL);
        put(v);
        v.says = MORE; /* matters where the server speaks first */
        if (mechs[i].mech == SP_MECH_CRAM_MD5)
            put(v);
        v.line = auth_line(mechs[i].name, "=");
        v.token = T_EQUALS;
        v.says = OK;
        put(v);
        v.line = auth_line(mechs[i].name, "!!!!");
        v.token = T_BAD;
        put(v);
        v.line = auth_line(mechs[i].name, mechs[i].good);
        v.token = mechs[i].token;
        for (size_t k = 0; k < (mechs[i].mech == SP_MECH_EXTERNAL ? 7 : 2); k++) {
            v.says = all[k];
            put(v);
        }
    }
    put((struct move){.verb = V_AUTH, .line = "AUTH", .bad = true});
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        for (size_t k = 0; k < 7; k++)
            put((struct move){.verb = V_TOKEN,
                              .line = tokens[i].text,
                              .token = tokens[i].token,
                              .says = all[k]});
}

static const char *tokens_name(int token)
{
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if ((int)tokens[i].token == token)
            return tokens[i].text;
    return "?";
}

static void alphabet(void)
{
    static const struct move plain[] = {
        {V_EHLO, "EHLO c"},
        {V_EHLO, "EHLO c", NO},
        {V_EHLO, "EHLO", .bad = true},
        {V_HELO, "HELO c"},
        {V_LHLO, "LHLO c"},
        {V_STARTTLS, "STARTTLS x", .bad = true},
        {V_STARTTLS, "STARTTLS", NO},
        {V_STARTTLS, "STARTTLS"},
        {V_STARTTLS, "STARTTLS", .cert = C_FOREIGN},
        {V_STARTTLS, "STARTTLS", .cert = C_EXPIRED},
        {V_STARTTLS, "STARTTLS", .cert = C_BAD_VERIFIED},
        {V_STARTTLS, "STARTTLS", .cert = C_GOOD},
        {V_STARTTLS, "STARTTLS", .cert = C_GOOD_ONLY},
        {V_STARTTLS, "STARTTLS", .cert = C_GOOD, .binding = true},
        {V_STARTTLS, "STARTTLS", .fails = true},
        {V_INJECT, "STARTTLS\r\nNOOP"},
        {V_MAIL, "MAIL FROM:<a@b.example>"},
        {V_MAIL, "MAIL FROM:<a@b.example>", NO},
        {V_MAIL, "MAIL FROM:<a@b.example>", TEMP},
        {V_MAIL, "MAIL FROM:<a@b.example> SIZE=1"},
        {V_MAIL, "MAIL FROM:a", .bad = true},
        {V_RCPT, "RCPT TO:<c@d.example>"},
        {V_RCPT, "RCPT TO:<c@d.example>", NO},
        {V_RCPT, "RCPT TO:c", .bad = true},
        {V_DATA, "DATA"},
        {V_DATA, "DATA", .octets = 3},
        {V_DATA, "DATA", .octets = 12},
        {V_DATA, "DATA", .octets = 3, .broken = true},
        {V_DATA, "DATA", NO},
        {V_DATA, "DATA", NO, .late = true},
        {V_DATA, "DATA x", .bad = true},
        {V_BDAT, "BDAT 3", .octets = 3},
        {V_BDAT, "BDAT 3 LAST", .octets = 3, .last = true},
        {V_BDAT, "BDAT 0 LAST", .last = true},
        {V_BDAT, "BDAT 3", .octets = 3, .broken = true},
        {V_BDAT, "BDAT 3", NO, .octets = 3},
        {V_BDAT, "BDAT 3 LAST", NO, .octets = 3, .last = true, .late = true},
        {V_RSET, "RSET"},
        {V_RSET, "RSET x", .bad = true},
        {V_NOOP, "NOOP"},
        {V_VRFY, "VRFY bob"},
        {V_VRFY, "VRFY", .bad = true},
        {V_HELP, "HELP"},
        {V_QUIT, "QUIT"},
        {V_QUIT, "QUIT x", .bad = true},
        {V_XCLIENT, "XCLIENT ADDR=192.0.2.1"},
        {V_XCLIENT, "XCLIENT LOGIN=bob", OK_BOB},
        {V_XCLIENT, "XCLIENT LOGIN=bob", NO},
        {V_XFORWARD, "XFORWARD ADDR=192.0.2.1"},
        {V_UNIMPL, "EXPN x"},
        {V_UNIMPL, "ETRN x"},
        {V_UNIMPL, "ATRN x"},
        {V_UNIMPL, "TURN"},
        {V_UNIMPL, "SEND x"},
        {V_UNIMPL, "SOML x"},
        {V_UNIMPL, "SAML x"},
        {V_UNIMPL, "BURL x"},
        {V_UNKNOWN, "FOO"},
        {V_HTTP, "GET / HTTP/1.1"},
        {V_HTTP, "Host: mx.example.org"},
        {V_HTTP, "=A"},
        {V_BARE, "NOOP\nNOOP"},
        {V_REVOKE, "(the certificate is revoked)"},
        {V_REMAP, "(it names another user)"},
    };

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        put(plain[i]);
    auth_moves();
}

static bool tries_verb(const struct move *v, const char *name)
{
    size_t n = strlen(name);

    return v->verb != V_TOKEN && strncmp(v->line, name, n) == 0 &&
           (v->line[n] == ' ' || v->line[n] == '\0' || v->line[n] == '\r');
}

/* What the exploration must try of a verb, a mechanism, TLS and responses. */
enum { NEEDS_MAX = 200 };
static struct need {
    char what[64];
    const char *verb;
    int mech; /* -1: not asked for */
    int token, cert;
    bool response, fails, inject, refused, vouched;
} needs[NEEDS_MAX];
static size_t nneeds;

static struct need *need(const char *a, const char *b)
{
    struct need *n = &needs[nneeds < NEEDS_MAX - 1 ? nneeds++ : nneeds];

    *n = (struct need){.mech = -1, .token = -1, .cert = -1};
    snprintf(n->what, sizeof n->what, "%s %s", a, b);
    return n;
}

static void what_is_needed(void)
{
    static const struct {
        enum token token;
        const char *name;
    } kinds[] = {{T_ABSENT, "no initial response"}, {T_EQUALS, "="}, {T_BAD, "bad base64"}};
    static const char *const certs[] = {"no certificate", "foreign", "expired",
                                        "nobody's",       "good",    "good, no password"};

    for (size_t i = 0; i < sp_nverbs; i++)
        need("verb", sp_verbs[i].name)->verb = sp_verbs[i].name;
    for (size_t i = 0; i < sp_nmechs; i++) {
        struct need *n;

        for (size_t k = 0; k < 3; k++) {
            n = need(sp_mech_name(sp_mechs[i].mech), kinds[k].name);
            n->mech = (int)sp_mechs[i].mech;
            n->token = (int)kinds[k].token;
        }
        n = need(sp_mech_name(sp_mechs[i].mech), "an initial response");
        n->mech = (int)sp_mechs[i].mech;
        n->token = (int)T_ALICE; /* or what the mechanism's own looks like */
    }
    for (int t = T_EMPTY; t <= T_XOAUTH2; t++) {
        struct need *n = need("response", t == T_STAR ? "* (cancelled)" : tokens_name(t));

        n->response = true;
        n->token = t;
    }
    for (int c = C_NONE; c <= C_GOOD_ONLY; c++)
        need("TLS", certs[c])->cert = c;
    need("TLS", "failed")->fails = true;
    need("TLS", "refused by the owner")->refused = true;
    need("octets", "behind STARTTLS")->inject = true;
    need("XCLIENT", "with a login")->vouched = true;
}

static bool meets(const struct move *v, const struct need *n)
{
    bool tls = v->verb == V_STARTTLS && !v->bad;

    if (n->verb)
        return tries_verb(v, n->verb);
    if (n->mech >= 0)
        return v->verb == V_AUTH && v->mech == n->mech &&
               (n->token == T_ALICE ? v->token >= T_ALICE : (int)v->token == n->token);
    if (n->response)
        return v->verb == V_TOKEN && (int)v->token == n->token;
    if (n->cert >= 0)
        return tls && v->says == OK && !v->fails && (int)v->cert == n->cert;
    if (n->vouched)
        return v->verb == V_XCLIENT && v->says == OK_BOB;
    return (n->fails && tls && v->fails) || (n->refused && tls && v->says != OK) ||
           (n->inject && v->verb == V_INJECT);
}

static bool is_met(const struct need *n, const struct need *hidden)
{
    for (size_t k = 0; k < nmoves; k++)
        if (meets(&moves[k], n) && !(hidden && meets(&moves[k], hidden)))
            return true;
    return false;
}

/* A row of the tables that no move tries would be a rule nobody looks at.  And each of
 * these is itself tried: with its moves taken out of the alphabet it must be missed. */
static void alphabet_is_complete(void)
{
    size_t noticed = 0;

    what_is_needed();
    for (size_t i = 0; i < nneeds; i++) {
        if (!is_met(&needs[i], NULL)) {
            printf("no move tries: %s\n", needs[i].what);
            bad_checks++;
        }
        noticed += !is_met(&needs[i], &needs[i]);
    }
    bad_checks += noticed != nneeds;
    printf("alphabet: %zu moves, %zu rows and kinds, each missed when taken out: %zu\n",
           nmoves, nneeds, noticed);
}

/* ---- Listeners ------------------------------------------------------------------------------------------------ */

#define ALL                                                                            \
    "SCRAM-SHA-256-PLUS,SCRAM-SHA-256,SCRAM-SHA-1-PLUS,SCRAM-SHA-1,GSSAPI,"            \
    "OAUTHBEARER,XOAUTH2,CRAM-MD5,PLAIN,LOGIN"
#define FREE                                                                           \
    " error-max=4294967295 idle-max=4294967295 auth-max=4294967295 size=8 rcpt-max=2 "

static const struct {
    const char *name, *settings;
} policies[] = {
    {"default", FREE},
    {"everything everywhere", "clear=" ALL " tls=" ALL FREE},
    {"the thread of 2009", "clear=CRAM-MD5 tls=LOGIN" FREE},
    {"explicit", "cert-login=explicit tls=PLAIN" FREE},
    {"implicit", "cert-login=implicit tls=PLAIN" FREE},
    {"off", "cert-login=off tls=PLAIN" FREE},
    {"required", "certs=required tls=PLAIN" FREE},
    {"list external", "cert-list=external tls=PLAIN" FREE},
    {"list password", "cert-list=password tls=PLAIN" FREE},
    {"lenient", "lenient-ehlo tls=PLAIN" FREE},
    {"lenient without login", "lenient-ehlo no-login tls=PLAIN" FREE},
    {"no login", "no-login tls=PLAIN" FREE},
    {"everything, implicit TLS", "implicit-tls tls=" ALL FREE},
    {"implicit TLS", "implicit-tls tls=PLAIN" FREE},
    {"no key", "no-starttls tls=PLAIN" FREE},
    {"proxied", "ext=XCLIENT,XFORWARD tls=PLAIN" FREE},
    {"local", "kind=local" FREE},
    {"reinjection", "kind=reinject ext=XFORWARD" FREE},
    {"lmtp", "kind=lmtp" FREE},
    {"limits",
     "implicit-tls tls=PLAIN error-max=2 idle-max=3 auth-max=2 size=8 rcpt-max=1"},
};

int explore_all(unsigned depth, const char *only, bool silent)
{
    bool all_closed = true;

    quiet = silent;
    alphabet();
    if (!silent) /* the mutation test breaks rows on purpose */
        alphabet_is_complete();
    for (size_t i = 0;
         i < sizeof policies / sizeof *policies && bad_checks < (silent ? 1 : 20);
         i++) {
        unsigned long long t = transitions;
        bool complete;
        unsigned reached;

        if (only && strcmp(only, policies[i].name) != 0)
            continue;
        policy_name = policies[i].name;
        if (!srv_play_policy(policies[i].settings, &policy))
            return 2;
        reached = explore(depth, &complete);
        if (!silent)
            printf("%-24s %7zu states %9llu transitions, depth %u%s\n", policy_name,
                   nseen, transitions - t, reached, complete ? ", closed" : "");
        all_closed &= complete;
        free(seen);
        seen = NULL;
        nseen = seen_cap = 0;
    }
    free(queue);
    if (!silent)
        printf("%llu transitions, %zu moves%s\n", transitions, nmoves,
               all_closed ? ", every state space closed" : "");
    return bad_checks != 0;
}

#ifndef EXPLORE_NO_MAIN
int main(int argc, char **argv)
{
    unsigned depth = 100;
    const char *only = NULL;
    int bad;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-d") == 0)
            depth = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "-p") == 0)
            only = argv[i + 1];
    }
    bad = explore_all(depth, only, false);
    printf("%d passed, %d failed\n", !bad, bad);
    return bad;
}
#endif
