/* token_claims.c - see token.h: what a token says, and whether that is enough. */
#include "token_i.h"

#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_MAX_DIGITS = 15 }; /* of seconds; a double holds as many exactly */

enum sp_token_verdict sp_token_bad(struct sp_token_claims *c, const char *fmt, ...)
{
    va_list ap;

    c->user[0] = '\0';
    va_start(ap, fmt);
    vsnprintf(c->reason, sizeof c->reason, fmt, ap);
    va_end(ap);
    return SP_TOKEN_BAD;
}

json_t *sp_token_json(struct sp_str text, char reason[200], const char *what)
{
    size_t flags = SP_TOKEN_OFF(DUPLICATE) ? 0 : JSON_REJECT_DUPLICATES;
    json_error_t e;
    json_t *j = json_loadb(text.n ? text.p : "", text.n, flags, &e);

    if (j && json_is_object(j))
        return j;
    snprintf(reason, 200, "%s is not a JSON object%s", what,
             j ? ""
             : json_error_code(&e) == json_error_duplicate_key
                 ? ": it has a member twice"
                 : "");
    json_decref(j);
    return NULL;
}

struct sp_str sp_token_string(const json_t *obj, const char *name)
{
    const json_t *v = json_object_get(obj, name);

    if (!json_is_string(v))
        return (struct sp_str){NULL, 0};
    return (struct sp_str){json_string_value(v), json_string_length(v)};
}

/* Seconds since 1970 (RFC 7519 2, NumericDate); fractions are cut off. */
static bool number_date(const json_t *v, int64_t *ret)
{
    double d = json_number_value(v);

    if (!json_is_number(v) || !(d >= 0 && d < 1e15))
        return false;
    *ret = json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)d;
    return true;
}

static bool one_of(struct sp_str s, const struct sp_token_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        if (sp_str_is(s, names->v[i]))
            return true;
    return false;
}

/* `aud` is a string or a list of them. */
static bool for_us(const json_t *aud, const struct sp_token_names *names)
{
    const json_t *v;
    size_t i;

    if (json_is_string(aud))
        return one_of((struct sp_str){json_string_value(aud), json_string_length(aud)},
                      names);
    json_array_foreach(aud, i, v) if (json_is_string(v) &&
                                      one_of((struct sp_str){json_string_value(v),
                                                             json_string_length(v)},
                                             names)) return true;
    return false;
}

/* Words with blanks between them (RFC 8693 4.2), or a list, as some issuers make it. */
static bool has_scope(const json_t *claim, const char *wanted)
{
    const json_t *v;
    size_t i;

    if (json_is_string(claim)) {
        struct sp_str rest = {json_string_value(claim), json_string_length(claim)};

        while (rest.p && rest.n)
            if (sp_str_is(sp_str_cut(&rest, ' '), wanted))
                return true;
        return false;
    }
    json_array_foreach(claim, i,
                       v) if (json_is_string(v) &&
                              strcmp(json_string_value(v), wanted) == 0) return true;
    return false;
}

static const char *scope_missing(const json_t *claims,
                                 const struct sp_token_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        if (!has_scope(json_object_get(claims, "scope"), names->v[i]) &&
            !has_scope(json_object_get(claims, "scp"), names->v[i]))
            return names->v[i];
    return NULL;
}

static bool usable_name(struct sp_str s)
{
    if (s.n == 0 || s.n > SP_TOKEN_USER_MAX || !sp_utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 32 || s.p[i] == 127)
            return false;
    return true;
}

/* OpenID Connect Core 5.1.  Some issuers send the word instead of the truth value. */
static bool unverified(const json_t *claims)
{
    const json_t *v = json_object_get(claims, "email_verified");

    return v && !json_is_true(v) &&
           !sp_str_is(sp_token_string(claims, "email_verified"), "true");
}

static enum sp_token_verdict judge_times(const struct sp_token_rules *r,
                                         const json_t *claims, bool jwt, int64_t now_s,
                                         struct sp_token_claims *ret)
{
    const json_t *exp = json_object_get(claims, "exp"),
                 *nbf = json_object_get(claims, "nbf");
    int64_t t = 0;

    if (exp ? !number_date(exp, &ret->expires_s) : !HOLDS(HAS_EXP, !jwt))
        return sp_token_bad(ret, "exp is %s", exp ? "no date" : "missing");
    if (exp && !HOLDS(EXP, now_s < ret->expires_s + r->leeway_s))
        return sp_token_bad(ret, "it expired %lld seconds ago",
                            (long long)(now_s - ret->expires_s));
    if (nbf && !HOLDS(NBF, number_date(nbf, &t) && now_s + r->leeway_s >= t))
        return sp_token_bad(ret, "it is not good yet (nbf)");
    return SP_TOKEN_GOOD;
}

enum sp_token_verdict sp_token_judge(const struct sp_token_rules *r,
                                     const json_t *claims, bool jwt, int64_t now_s,
                                     struct sp_token_claims *ret)
{
    struct sp_str iss = sp_token_string(claims, "iss"), user;
    const json_t *aud = json_object_get(claims, "aud");
    const char *scope;

    if (r->issuer && (jwt || json_object_get(claims, "iss")) &&
        !HOLDS(ISS, iss.p && sp_str_is(iss, r->issuer)))
        return sp_token_bad(ret, "another issuer made it");
    if (r->audience.n && !HOLDS(AUD, for_us(aud, &r->audience)))
        return sp_token_bad(ret, "it is not for us (aud)");
    if (judge_times(r, claims, jwt, now_s, ret) != SP_TOKEN_GOOD)
        return SP_TOKEN_BAD;
    scope = scope_missing(claims, &r->scope);
    if (!HOLDS(SCOPE, scope == NULL))
        return sp_token_bad(ret, "it lacks the scope %s", scope);
    user = sp_token_string(claims, r->user_claim);
    if (!HOLDS(USER, usable_name(user)))
        return sp_token_bad(ret, "its claim %s names nobody", r->user_claim);
    if (strcmp(r->user_claim, "email") == 0 && !HOLDS(VERIFIED, !unverified(claims)))
        return sp_token_bad(ret,
                            "the issuer has not verified the address (email_verified)");
    snprintf(ret->user, sizeof ret->user, "%.*s", (int)user.n, user.p ? user.p : "");
    return SP_TOKEN_GOOD;
}

enum sp_token_verdict sp_token_introspected(const struct sp_token_rules *r,
                                            struct sp_str json, int64_t now_s,
                                            struct sp_token_claims *ret)
{
    enum sp_token_verdict v;
    const json_t *active;
    json_t *j;

    memset(ret, 0, sizeof *ret);
    j = json.n <= SP_TOKEN_ANSWER_MAX
            ? sp_token_json(json, ret->reason, "the endpoint's answer")
            : NULL;
    active = json_object_get(j, "active");
    if (!json_is_boolean(active)) {
        if (!ret->reason[0])
            snprintf(ret->reason, sizeof ret->reason,
                     "the endpoint's answer does not say whether the token is active");
        json_decref(j);
        return SP_TOKEN_TEMPORARY; /* it is about the endpoint, not about the token */
    }
    if (!HOLDS(ACTIVE, json_is_true(active)))
        v = sp_token_bad(ret, "the endpoint says that it is not active");
    else
        v = sp_token_judge(r, j, false, now_s, ret);
    json_decref(j);
    return v;
}
