#include "socks.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "netaddr.h"

enum step { METHOD, LOGIN, CONNECT };

static const char *const words[] = {
    "",
    "the proxy failed",
    "the proxy does not permit it",
    "the proxy says: network unreachable",
    "the proxy says: host unreachable",
    "the proxy says: connection refused",
    "the proxy says: TTL expired",
    "the proxy knows no CONNECT",
    "the proxy does not support this kind of address",
};

static bool fits(const char *s)
{
    return *s && strlen(s) <= SP_SOCKS_TEXT;
}

int sp_socks_check(const struct sp_socks_want *w, struct sp_err *err)
{
    if (fits(w->host) && (!w->user || fits(w->user)) &&
        (!w->password || strlen(w->password) <= SP_SOCKS_TEXT))
        return 0;
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                      "host, user and password for a SOCKS proxy have 1 to 255 octets");
}

size_t sp_socks_begin(struct sp_socks *s, const struct sp_socks_want *want, uint8_t *out)
{
    size_t n = 0;

    *s = (struct sp_socks){.want = *want, .step = METHOD};
    out[n++] = 5;
    out[n++] = want->user ? 2 : 1;
    out[n++] = 0;
    if (want->user)
        out[n++] = 2;
    return n;
}

static size_t login(struct sp_socks *s, uint8_t *m)
{
    size_t u = strlen(s->want.user);
    size_t p = s->want.password ? strlen(s->want.password) : 0;

    m[0] = 1;
    m[1] = (uint8_t)u;
    memcpy(m + 2, s->want.user, u);
    m[2 + u] = (uint8_t)p;
    if (p)
        memcpy(m + 3 + u, s->want.password, p);
    s->step = LOGIN;
    return 3 + u + p;
}

static size_t connect_request(struct sp_socks *s, uint8_t *m)
{
    struct sockaddr_storage ss;
    size_t n = 3, len = strlen(s->want.host);

    m[0] = 5;
    m[1] = 1;
    m[2] = 0;
    if (sp_addr_literal(s->want.host, 0, &ss) < 0) {
        m[n++] = 3;
        m[n++] = (uint8_t)len;
        memcpy(m + n, s->want.host, len);
        n += len;
    } else if (ss.ss_family == AF_INET) {
        m[n++] = 1;
        memcpy(m + n, &((struct sockaddr_in *)&ss)->sin_addr, 4);
        n += 4;
    } else {
        m[n++] = 4;
        memcpy(m + n, &((struct sockaddr_in6 *)&ss)->sin6_addr, 16);
        n += 16;
    }
    m[n++] = (uint8_t)(s->want.port >> 8);
    m[n++] = (uint8_t)s->want.port;
    s->step = CONNECT;
    return n;
}

/* How many octets the proxy's present message has, as far as s->in tells. */
static size_t need(const struct sp_socks *s)
{
    if (s->in_n < 2 || s->step != CONNECT || s->in[0] != 5 || s->in[1] != 0)
        return 2;
    if (s->in_n < 5)
        return 5;
    switch (s->in[3]) {
    case 1:
        return 4 + 4 + 2;
    case 3:
        return 4 + 1 + (size_t)s->in[4] + 2;
    case 4:
        return 4 + 16 + 2;
    default:
        return 5; /* wrong, see connected() */
    }
}

static int connected(const struct sp_socks *s, struct sp_err *err)
{
    bool known = s->in[0] == 5 && s->in[1] < sizeof words / sizeof words[0];

    if (s->in[0] != 5 || s->in[1] != 0)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "%s",
                          known ? words[s->in[1]] : "the proxy failed");
    if (s->in_n == 5)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "the proxy's answer is malformed");
    return 1;
}

static int message(struct sp_socks *s, uint8_t *out, size_t *out_n, struct sp_err *err)
{
    const uint8_t *p = s->in;

    if (s->step == CONNECT)
        return connected(s, err);
    if ((s->step == METHOD && p[0] == 5 && p[1] == 0) ||
        (s->step == LOGIN && p[0] == 1 && p[1] == 0)) {
        *out_n = connect_request(s, out);
        return 0;
    }
    if (s->step == METHOD && p[0] == 5 && p[1] == 2 && s->want.user) {
        *out_n = login(s, out);
        return 0;
    }
    return sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "%s",
                      s->step == LOGIN ? "the proxy refused user or password"
                      : p[0] != 5      ? "the proxy does not speak SOCKS5"
                      : p[1] == 0xff && s->want.user
                          ? "the proxy refused to let us log in"
                          : "the proxy wants a login");
}

int sp_socks_take(struct sp_socks *s, const char *p, size_t n, size_t *ret_took,
                  uint8_t *out, size_t *out_n, struct sp_err *err)
{
    size_t k = need(s) - s->in_n;
    int rc;

    *ret_took = *out_n = 0;
    while (n > 0) {
        if (k > n)
            k = n;
        memcpy(s->in + s->in_n, p, k);
        s->in_n += k;
        *ret_took += k;
        p += k;
        n -= k;
        k = need(s) - s->in_n;
        if (k > 0)
            continue; /* what came only told how long the message is */
        rc = message(s, out, out_n, err);
        s->in_n = 0;
        return rc; /* one message at a time: each answers one of ours */
    }
    return 0;
}
