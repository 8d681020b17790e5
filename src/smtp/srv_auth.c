/* srv_auth.c - AUTH, RFC 4954; see srv.h.
 *
 *     AUTH ──► TOKEN ──► OWNER ──► 235 | 535 534 454 501
 *                ▲         │├────► EMPTY ──► 235      data came with success
 *                └── 334 ──┘└────► ERROR ──► 535      RFC 7628 3.2.2
 *
 * "*" at any step cancels.  Only sp_srv_auth_ok() makes an identity.
 */
#include "srv.h"

#include "alloc.h"
#include "oneshot.h"
#include "secret.h"
#include "text.h"

#include <assert.h>
#include <string.h>

#define NONE SP_LIT("")

static struct sp_verdict verdict(enum sp_r r, struct sp_str arg)
{
    return (struct sp_verdict){r, arg};
}

static struct sp_str mech_name(const struct sp_exch *x)
{
    return sp_str(sp_mech_name(x->mech));
}

/* The exchange is over; `told` when the owner knows already. */
static void end_exchange(struct sp_srv *s, bool told)
{
    if (s->exch && s->exch->seen && !told)
        s->infos |= SP_INFO_AUTH_END;
    sp_exch_free(s->exch);
    s->exch = NULL;
    if (s->mode == SP_IN_AUTH)
        sp_set_mode(s, SP_IN_COMMAND);
}

/* The client's mistake: nothing was tried, nothing is held against it but an error. */
static void broken(struct sp_srv *s, enum sp_r r, struct sp_str arg)
{
    end_exchange(s, false);
    sp_refuse(s, verdict(r, arg));
}

static struct sp_exch *new_exchange(struct sp_srv *s, enum sp_mech m)
{
    struct sp_exch *x = sp_alloc(sizeof *x);

    if (!x) {
        sp_no_memory(s);
        return NULL;
    }
    x->mech = m;
    x->first = true;
    x->authzid = x->authcid = x->secret = NONE;
    sp_buf_init(&x->token, SP_LIMIT_OUT);
    sp_buf_init(&x->name, SP_LIMIT_OUT);
    s->exch = x;
    return x;
}

static void ask_owner(struct sp_srv *s, bool has_token)
{
    s->exch->want = SP_EXCH_OWNER;
    s->exch->has_token = has_token;
    s->pend = SP_SRV_AUTH;
}

static void ask_client(struct sp_srv *s, enum sp_exch_want want,
                       struct sp_str challenge)
{
    s->exch->want = want;
    sp_set_mode(s, SP_IN_AUTH);
    sp_say_challenge(s, challenge);
}

/* ---- What the client sends ------------------------------------------------------------------ */

/* LOGIN is two answers; the words of its prompts are what old clients look for. */
static void login_step(struct sp_srv *s)
{
    struct sp_exch *x = s->exch;

    if (!sp_login_valid(sp_buf_view(&x->token))) {
        broken(s, SP_R_AUTH_SYNTAX, mech_name(x));
        return;
    }
    if (!x->have_name) {
        struct sp_buf name = x->name;

        x->name = x->token;
        x->token = name;
        x->have_name = true;
        ask_client(s, SP_EXCH_TOKEN, SP_LIT("Password:"));
        return;
    }
    x->authcid = sp_buf_view(&x->name);
    x->secret = sp_buf_view(&x->token);
    ask_owner(s, true);
}

static int parse_onestep(const struct sp_exch *x, struct sp_credential *ret)
{
    struct sp_str msg = sp_buf_view(&x->token);

    switch (x->mech) {
    case SP_MECH_PLAIN:
        return sp_plain_parse(msg, ret);
    case SP_MECH_EXTERNAL:
        return sp_external_parse(msg, ret);
    case SP_MECH_OAUTHBEARER:
        return sp_oauthbearer_parse(msg, ret);
    case SP_MECH_XOAUTH2:
        return sp_xoauth2_parse(msg, ret);
    default:
        return -SP_EINPUT;
    }
}

/* x->token holds the client's response. */
static void have_token(struct sp_srv *s)
{
    struct sp_exch *x = s->exch;
    struct sp_credential c;

    if (x->mech == SP_MECH_LOGIN) {
        login_step(s);
        return;
    }
    if (sp_mech_rule(x->mech)->flags & SP_M_ONESTEP) {
        if (parse_onestep(x, &c) < 0) {
            broken(s, SP_R_AUTH_SYNTAX, mech_name(x));
            return;
        }
        x->authzid = c.authzid;
        x->authcid = c.authcid;
        x->secret = c.secret;
    }
    ask_owner(s, true);
}

/* Into x->token; "=" stands for the empty response where the rule allows it. */
static int decode(struct sp_exch *x, struct sp_str line, bool equals_sign)
{
    char *room;
    int n;

    sp_buf_wipe(&x->token);
    if (line.n == 0 || (equals_sign && sp_str_is(line, "=")))
        return 0;
    room = sp_buf_room(&x->token, line.n / 4 * 3 + 3);
    if (!room)
        return -SP_ENOMEM;
    n = sp_base64_decode(line, room, line.n / 4 * 3 + 3);
    if (n < 0)
        return -SP_EINPUT;
    x->token.n = (size_t)n;
    return 0;
}

static bool decoded(struct sp_srv *s, struct sp_str line, bool equals_sign)
{
    int rc = decode(s->exch, line, equals_sign);

    if (rc == -SP_ENOMEM)
        sp_no_memory(s);
    else if (rc < 0)
        broken(s, SP_R_AUTH_BASE64, NONE);
    return rc == 0;
}

static void first_step(struct sp_srv *s, const struct sp_mech_rule *r, struct sp_str ir)
{
    if (ir.n && !(r->flags & (SP_M_FIRST | SP_M_IR))) {
        broken(s, SP_R_AUTH_NO_IR, mech_name(s->exch));
        return;
    }
    if (ir.n) {
        if (decoded(s, ir, true))
            have_token(s);
    } else if (r->flags & SP_M_FIRST) {
        ask_client(s, SP_EXCH_TOKEN, NONE);
    } else if (r->mech == SP_MECH_LOGIN) {
        ask_client(s, SP_EXCH_TOKEN, SP_LIT("Username:"));
    } else {
        ask_owner(s, false);
    }
}

void sp_auth_begin(struct sp_srv *s, struct sp_str arg)
{
    struct sp_str name = sp_str_cut(&arg, ' ');
    int m = sp_mech_by_name(name);
    struct sp_verdict v =
        m < 0 ? verdict(SP_R_MECH_UNKNOWN, NONE) : sp_rule_mech(s, (enum sp_mech)m);

    /* PROTOCOL "implicit login": EXTERNAL may still be said once, nothing else. */
    if (s->login_by != SP_BY_NOTHING && (v.reply != SP_R_NONE || m != SP_MECH_EXTERNAL))
        v = verdict(SP_R_AUTH_AGAIN, sp_buf_view(&s->user));
    if (v.reply != SP_R_NONE)
        sp_refuse(s, v);
    else if (new_exchange(s, (enum sp_mech)m))
        first_step(s, sp_mech_rule((enum sp_mech)m), sp_str_trim(arg));
}

void sp_auth_implicit(struct sp_srv *s)
{
    struct sp_exch *x = new_exchange(s, SP_MECH_EXTERNAL);

    if (!x)
        return;
    x->implicit = true;
    ask_owner(s, true);
}

void sp_auth_too_long(struct sp_srv *s)
{
    char digits[16];
    struct sp_str most = {digits, 0};
    struct sp_buf b = {digits, 0, sizeof digits, sizeof digits};

    (void)sp_buf_printf(&b, "%u", sp_rule_line_max(s, true));
    most.n = b.n;
    broken(s, SP_R_AUTH_LONG, most);
}

/* ---- What the owner says ---------------------------------------------------------------------- */

/* x->name is the identity that the owner named. */
static void succeed(struct sp_srv *s)
{
    struct sp_exch *x = s->exch;
    bool implicit = x->implicit;

    if (s->login_by != SP_BY_NOTHING &&
        !sp_str_eq(sp_buf_view(&x->name), sp_buf_view(&s->user))) {
        end_exchange(s, true);
        sp_refuse(s, verdict(SP_R_AUTH_AGAIN, sp_buf_view(&s->user)));
        return;
    }
    sp_buf_free(&s->user);
    s->user = x->name;
    x->name = (struct sp_buf){0};
    s->login_by = implicit ? SP_BY_IMPLICIT : SP_BY_AUTH;
    s->login_mech = x->mech;
    s->login_stale = false;
    sp_progress(s);
    end_exchange(s, true);
    if (implicit)
        sp_mail_go_on(s);
    else
        sp_say(s, SP_R_AUTH_OK, sp_buf_view(&s->user));
}

static void count_failure(struct sp_srv *s)
{
    /* PROTOCOL "implicit login": until the connection ends, also across STARTTLS */
    s->implicit_off = true;
    if (s->policy->auth_failures_max == UINT32_MAX)
        return;
    if (!sp_rule_over(++s->auth_failures, s->policy->auth_failures_max,
                      SP_LIMIT_AUTH_FAILS))
        return;
    sp_too_many(s, SP_R_TOO_MANY_AUTH);
}

/* At MAIL there was no AUTH: the client hears what a client without a login hears, so
 * that it can still send a password; but a temporary failure stays one. */
static void implicit_failed(struct sp_srv *s, enum sp_auth_fail why)
{
    end_exchange(s, true);
    if (why != SP_AUTH_TEMPORARY && !s->policy->login_required) {
        sp_mail_go_on(s);
        s->implicit_off = true;
        return;
    }
    sp_txn_over(s, true);
    sp_say(s, why == SP_AUTH_TEMPORARY ? SP_R_AUTH_TEMPORARY : SP_R_NEED_LOGIN, NONE);
    count_failure(s);
}

static void fail(struct sp_srv *s, enum sp_auth_fail why)
{
    static const enum sp_r replies[] = {
        [SP_AUTH_FAILED] = SP_R_AUTH_FAILED,
        [SP_AUTH_TOO_WEAK] = SP_R_AUTH_WEAK,
        [SP_AUTH_TEMPORARY] = SP_R_AUTH_TEMPORARY,
    };

    if (s->exch->implicit) {
        implicit_failed(s, why);
    } else if (why == SP_AUTH_SYNTAX) {
        s->exch->seen = false;
        broken(s, SP_R_AUTH_SYNTAX, mech_name(s->exch));
    } else if (why == SP_AUTH_FAILED &&
               (sp_mech_rule(s->exch->mech)->flags & SP_M_ERROR)) {
        /* RFC 7628 3.2.2: the reason goes in a challenge, the client answers with a
         * dummy, and then comes 535. */
        s->exch->seen = false;
        sp_buf_wipe(&s->exch->token);
        ask_client(s, SP_EXCH_ERROR,
                   s->policy->bearer_error
                       ? sp_str(s->policy->bearer_error)
                       : SP_LIT("{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}"));
    } else {
        end_exchange(s, true);
        sp_say(s, replies[why], NONE);
        count_failure(s);
    }
}

static bool owner_is_asked(const struct sp_srv *s)
{
    return s->pend == SP_SRV_AUTH && s->handed;
}

/* The event is answered: its strings die, the secret first of all. */
static void answered(struct sp_srv *s)
{
    struct sp_exch *x = s->exch;

    s->pend = SP_SRV_NOTHING;
    s->handed = false;
    x->seen = true;
    x->first = false;
    x->authzid = x->authcid = x->secret = NONE;
    sp_buf_wipe(&x->token);
}

int sp_srv_auth_ok(struct sp_srv *s, struct sp_str user, struct sp_str token)
{
    struct sp_buf name; /* a copy first: `user` may point into the event */

    if (!owner_is_asked(s))
        return -SP_ESTATE;
    if (user.n == 0)
        return -SP_EINPUT; /* a success names somebody */
    sp_buf_init(&name, SP_LIMIT_OUT);
    if (sp_buf_str(&name, user) < 0) {
        sp_no_memory(s);
        return 0;
    }
    answered(s);
    sp_buf_wipe(&s->exch->name);
    s->exch->name = name;
    if (token.p && !s->exch->implicit)
        ask_client(s, SP_EXCH_EMPTY, token);
    else
        succeed(s);
    sp_answer_is_done(s);
    return 0;
}

int sp_srv_auth_challenge(struct sp_srv *s, struct sp_str token)
{
    if (!owner_is_asked(s))
        return -SP_ESTATE;
    if (sp_mech_rule(s->exch->mech)->flags & SP_M_ONESTEP)
        return -SP_EINPUT; /* there is no second step */
    answered(s);
    ask_client(s, SP_EXCH_TOKEN, token);
    sp_answer_is_done(s);
    return 0;
}

int sp_srv_auth_fail(struct sp_srv *s, enum sp_auth_fail why)
{
    if (!owner_is_asked(s))
        return -SP_ESTATE;
    answered(s);
    fail(s, why);
    sp_answer_is_done(s);
    return 0;
}

int sp_auth_reply(struct sp_srv *s, const struct sp_reply *r)
{
    bool implicit = s->exch->implicit;

    if (r->code < 400)
        return -SP_EINPUT; /* sp_srv_auth_ok() says who it is */
    answered(s);
    end_exchange(s, true);
    if (implicit)
        sp_txn_over(s, true);
    sp_say_owner(s, r);
    if (r->code == 421)
        sp_close(s);
    else
        count_failure(s);
    sp_answer_is_done(s);
    return 0;
}

/* ---- A line of the exchange ------------------------------------------------------------------- */

void sp_auth_line(struct sp_srv *s, struct sp_str line)
{
    struct sp_exch *x = s->exch;
    enum sp_exch_want want = x->want;

    if (want == SP_EXCH_ERROR) { /* whatever it is, the token was refused */
        bool cancelled = sp_str_is(line, "*");

        end_exchange(s, true);
        sp_say(s, cancelled ? SP_R_AUTH_CANCELLED : SP_R_AUTH_FAILED, NONE);
        count_failure(s);
        return;
    }
    if (sp_str_is(line, "*")) {
        broken(s, SP_R_AUTH_CANCELLED, NONE);
        return;
    }
    if (want == SP_EXCH_EMPTY) {
        if (line.n && !sp_str_is(line, "="))
            broken(s, SP_R_AUTH_SYNTAX, mech_name(x));
        else
            succeed(s);
        return;
    }
    /* PROTOCOL "spellings accepted": EXTERNAL also takes "=" behind the empty 334 */
    if (decoded(s, line, x->mech == SP_MECH_EXTERNAL))
        have_token(s);
}
