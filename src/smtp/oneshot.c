/* oneshot.c - see oneshot.h. */
#include "oneshot.h"

#include "text.h"

#include <string.h>

static const struct sp_str none = {"", 0};

int sp_plain_parse(struct sp_str msg, struct sp_credential *ret)
{
    struct sp_str authzid, authcid;

    /* RFC 4616 2: [authzid] NUL authcid NUL passwd, all UTF-8 without NUL */
    authzid = sp_str_cut(&msg, '\0');
    if (!msg.p)
        return -SP_EINPUT;
    authcid = sp_str_cut(&msg, '\0');
    if (!msg.p || authcid.n == 0 || msg.n == 0)
        return -SP_EINPUT;
    if (memchr(msg.p, '\0', msg.n) || !sp_utf8_valid(authzid) ||
        !sp_utf8_valid(authcid))
        return -SP_EINPUT;
    *ret = (struct sp_credential){authzid, authcid, msg};
    return 0;
}

bool sp_login_valid(struct sp_str s)
{
    return s.n > 0 && !memchr(s.p, '\0', s.n);
}

int sp_external_parse(struct sp_str msg, struct sp_credential *ret)
{
    /* sp_utf8_valid() also refuses a NUL */
    if (!sp_utf8_valid(msg))
        return -SP_EINPUT;
    *ret = (struct sp_credential){msg, none, none};
    return 0;
}

/* RFC 5801 4: "=2C" and "=3D" stand for comma and equals sign.  An identity that needs
 * them is refused rather than decoded: the octets belong to the caller. */
static int gs2_header(struct sp_str *msg, struct sp_str *ret_authzid)
{
    struct sp_str flag = sp_str_cut(msg, ','), name;

    if (!msg->p || !(sp_str_is(flag, "n") || sp_str_is(flag, "y")))
        return -SP_EINPUT;
    name = sp_str_cut(msg, ',');
    if (!msg->p)
        return -SP_EINPUT;
    *ret_authzid = none;
    if (name.n == 0)
        return 0;
    if (name.n < 3 || name.p[0] != 'a' || name.p[1] != '=' ||
        memchr(name.p + 2, '=', name.n - 2))
        return -SP_EINPUT;
    *ret_authzid = (struct sp_str){name.p + 2, name.n - 2};
    return 0;
}

/* Printable ASCII without a blank: what a host name or a token (RFC 6750 2.1) is made of. */
static bool visible(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 33 || s.p[i] > 126)
            return false;
    return true;
}

/* "Bearer TOKEN"; nothing at all is RFC 7628 4.3: "who gives out tokens here?" */
static int bearer_token(struct sp_str value, bool may_ask, struct sp_str *ret_token)
{
    static const char scheme[] = "Bearer ";
    const size_t n = sizeof scheme - 1;

    *ret_token = none;
    if (value.n == 0)
        return may_ask ? 0 : -SP_EINPUT;
    if (value.n <= n || !sp_str_caseis((struct sp_str){value.p, n}, scheme))
        return -SP_EINPUT;
    *ret_token = (struct sp_str){value.p + n, value.n - n};
    return visible(*ret_token) ? 0 : -SP_EINPUT;
}

/* One key=value.  `host` and `port` are what the client dialled: their form is checked, but
 * not what they say, because a name behind a CNAME or a port behind a forwarding is as
 * good; a bearer token is not bound to them.  Unknown keys are ignored: RFC 7628 3.1. */
static int bearer_pair(struct sp_str key, struct sp_str value, const char *user_key,
                       bool *had_auth, struct sp_credential *ret)
{
    uint64_t port;

    if (sp_str_is(key, "auth")) {
        if (*had_auth)
            return -SP_EINPUT; /* two tokens: which one was meant? */
        *had_auth = true;
        return bearer_token(value, !user_key, &ret->secret);
    }
    if (user_key && sp_str_is(key, user_key)) {
        if (ret->authcid.n)
            return -SP_EINPUT;
        ret->authcid = value;
    }
    if (sp_str_is(key, "host") && !user_key)
        return value.n && visible(value) ? 0 : -SP_EINPUT;
    if (sp_str_is(key, "port") && !user_key)
        return sp_str_u64(value, 65535, &port);
    return 0;
}

/* key=value pairs, each ended by ^A, and a last ^A. */
static int bearer_pairs(struct sp_str msg, const char *user_key,
                        struct sp_credential *ret)
{
    bool ended = false, had_auth = false;

    while (msg.p && !ended) {
        struct sp_str value = sp_str_cut(&msg, '\001'), key;

        if (!msg.p)
            return -SP_EINPUT; /* the pair is not ended */
        if (value.n == 0) {
            ended = true;
            break;
        }
        key = sp_str_cut(&value, '=');
        if (!value.p || bearer_pair(key, value, user_key, &had_auth, ret) < 0)
            return -SP_EINPUT;
    }
    return ended && msg.n == 0 && had_auth ? 0 : -SP_EINPUT;
}

int sp_oauthbearer_parse(struct sp_str msg, struct sp_credential *ret)
{
    struct sp_credential c = {none, none, none};

    /* RFC 7628 3.1: gs2-header kvsep *kvpair kvsep */
    if (gs2_header(&msg, &c.authzid) < 0 || msg.n == 0 || msg.p[0] != '\001')
        return -SP_EINPUT;
    msg = (struct sp_str){msg.p + 1, msg.n - 1};
    if (bearer_pairs(msg, NULL, &c) < 0 || !sp_utf8_valid(c.authzid))
        return -SP_EINPUT;
    *ret = c;
    return 0;
}

int sp_xoauth2_parse(struct sp_str msg, struct sp_credential *ret)
{
    struct sp_credential c = {none, none, none};

    if (bearer_pairs(msg, "user", &c) < 0 || c.authcid.n == 0 ||
        !sp_utf8_valid(c.authcid))
        return -SP_EINPUT;
    *ret = c;
    return 0;
}
