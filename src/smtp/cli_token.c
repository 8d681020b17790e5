/* cli_token.c - one-step SASL tokens, see sallyport/client.h. */
#include <sallyport/client.h>

#include "text.h"

#include <stdio.h>
#include <string.h>

/* Appends to ret[*n]; -SP_ELIMIT when it does not fit. */
static int put(char *ret, size_t cap, size_t *n, const char *p, size_t len)
{
    if (len > cap - *n)
        return -SP_ELIMIT;
    if (len)
        memcpy(ret + *n, p, len);
    *n += len;
    return 0;
}

static bool has(struct sp_str s, char c)
{
    return s.n && memchr(s.p, c, s.n);
}

int sp_cli_plain(struct sp_str authzid, struct sp_str authcid, struct sp_str password,
                 char *ret, size_t cap)
{
    size_t n = 0;

    /* RFC 4616 2: NUL separates, so none of the three may hold one */
    if (has(authzid, '\0') || has(authcid, '\0') || has(password, '\0') || !authcid.n)
        return -SP_EINPUT;
    if (put(ret, cap, &n, authzid.p, authzid.n) < 0 || put(ret, cap, &n, "", 1) < 0 ||
        put(ret, cap, &n, authcid.p, authcid.n) < 0 || put(ret, cap, &n, "", 1) < 0 ||
        put(ret, cap, &n, password.p, password.n) < 0)
        return -SP_ELIMIT;
    return (int)n;
}

/* RFC 5801 4 saslname: "," and "=" are escaped. */
static int put_saslname(char *ret, size_t cap, size_t *n, struct sp_str s)
{
    int rc = 0;

    for (size_t i = 0; i < s.n && rc == 0; i++) {
        if (s.p[i] == ',')
            rc = put(ret, cap, n, "=2C", 3);
        else if (s.p[i] == '=')
            rc = put(ret, cap, n, "=3D", 3);
        else
            rc = put(ret, cap, n, s.p + i, 1);
    }
    return rc;
}

static int oauthbearer(struct sp_str authcid, struct sp_str host, unsigned port,
                       char *ret, size_t cap, size_t *n)
{
    char text[40];
    int len, rc = put(ret, cap, n, "n,a=", 4);

    if (rc == 0)
        rc = put_saslname(ret, cap, n, authcid);
    if (rc == 0)
        rc = put(ret, cap, n, ",", 1);
    if (rc == 0 && host.n) {
        rc = put(ret, cap, n, "\001host=", 6);
        if (rc == 0)
            rc = put(ret, cap, n, host.p, host.n);
    }
    if (rc == 0 && port) {
        len = snprintf(text, sizeof text, "\001port=%u", port);
        rc = put(ret, cap, n, text, (size_t)len);
    }
    return rc;
}

int sp_cli_bearer(enum sp_mech mech, struct sp_str authcid, struct sp_str host,
                  unsigned port, struct sp_str token, char *ret, size_t cap)
{
    size_t n = 0;
    int rc;

    if (has(authcid, '\001') || has(host, '\001') || has(token, '\001') ||
        has(authcid, '\0') || !token.n)
        return -SP_EINPUT;
    if (mech == SP_MECH_OAUTHBEARER) { /* RFC 7628 3.1 */
        rc = oauthbearer(authcid, host, port, ret, cap, &n);
    } else if (mech == SP_MECH_XOAUTH2) {
        rc = put(ret, cap, &n, "user=", 5);
        if (rc == 0)
            rc = put(ret, cap, &n, authcid.p, authcid.n);
    } else {
        return -SP_EINPUT;
    }
    if (rc == 0)
        rc = put(ret, cap, &n, "\001auth=Bearer ", 13);
    if (rc == 0)
        rc = put(ret, cap, &n, token.p, token.n);
    if (rc == 0)
        rc = put(ret, cap, &n, "\001\001", 2);
    return rc < 0 ? rc : (int)n;
}
