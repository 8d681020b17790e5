/* proxyhead.c - see proxyhead.h.  Written after haproxy.org's proxy-protocol.txt. */
#include "proxyhead.h"

#include "text.h"

#include <arpa/inet.h>
#include <string.h>

enum { V2_FIXED = 16 };

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_word[6] = "PROXY ";

static bool client(struct sp_proxyhead *h, int family, const void *raw, uint16_t port)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const char *p = raw;

    /* An IPv4 client in IPv6 clothes counts as what it is. */
    if (family == AF_INET6 && memcmp(p, mapped, sizeof mapped) == 0) {
        family = AF_INET;
        p += sizeof mapped;
    }
    h->port = port;
    return inet_ntop(family, p, h->address, sizeof h->address) != NULL;
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 198.51.100.1 56324 587" CR LF ---- */

static bool text_address(struct sp_str s, int family, uint8_t ret[16])
{
    char text[46];

    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, ret) == 1;
}

static enum sp_proxy_state read_v1(struct sp_proxyhead *h)
{
    struct sp_str line = {h->b, h->n - 2}, word[6];
    uint8_t from[16], to[16];
    uint64_t port, other;
    int family;

    for (size_t i = 0; i < 6; i++)
        word[i] = sp_str_cut(&line, ' ');
    if (sp_str_is(word[1], "UNKNOWN"))
        return SP_PROXY_OWN;
    family = sp_str_is(word[1], "TCP4")   ? AF_INET
             : sp_str_is(word[1], "TCP6") ? AF_INET6
                                          : AF_UNSPEC;
    if (family == AF_UNSPEC || line.n || !text_address(word[2], family, from) ||
        !text_address(word[3], family, to) || sp_str_u64(word[4], 65535, &port) < 0 ||
        sp_str_u64(word[5], 65535, &other) < 0)
        return SP_PROXY_BAD;
    return client(h, family, from, (uint16_t)port) ? SP_PROXY_CLIENT : SP_PROXY_BAD;
}

/* ---- version 2: signature, version and command, family, length, addresses ---- */

static unsigned at(const struct sp_proxyhead *h, size_t i)
{
    return (unsigned char)h->b[i];
}

static enum sp_proxy_state read_v2(struct sp_proxyhead *h)
{
    size_t have = h->want - V2_FIXED;
    bool four = at(h, 13) == 0x11, six = at(h, 13) == 0x21;
    size_t ports = four ? V2_FIXED + 8 : V2_FIXED + 32;

    if (at(h, 12) == 0x20) /* LOCAL */
        return SP_PROXY_OWN;
    if (at(h, 12) != 0x21)
        return SP_PROXY_BAD;
    if (!four && !six) /* UNSPEC, UNIX, datagrams: nothing we could know a client by */
        return SP_PROXY_OWN;
    if (have < (four ? 12u : 36u) ||
        !client(h, four ? AF_INET : AF_INET6, h->b + V2_FIXED,
                (uint16_t)(at(h, ports) << 8 | at(h, ports + 1))))
        return SP_PROXY_BAD;
    return SP_PROXY_CLIENT;
}

/* ---- octet by octet ---- */

static enum sp_proxy_state take(struct sp_proxyhead *h, char c)
{
    size_t i = h->n++;

    if (i < sizeof h->b)
        h->b[i] = c;
    if (h->b[0] == v2_signature[0]) {
        if (i < sizeof v2_signature && c != v2_signature[i])
            return SP_PROXY_BAD;
        if (h->n == V2_FIXED)
            h->want = V2_FIXED + (at(h, 14) << 8 | at(h, 15));
        if (h->want > SP_PROXYHEAD_V2_MAX)
            return SP_PROXY_BAD;
        return h->n >= V2_FIXED && h->n == h->want ? read_v2(h) : SP_PROXY_MORE;
    }
    if (i < sizeof v1_word ? c != v1_word[i] : h->n > SP_PROXYHEAD_V1_MAX)
        return SP_PROXY_BAD;
    if (c != '\n')
        return SP_PROXY_MORE;
    return h->b[i - 1] == '\r' ? read_v1(h) : SP_PROXY_BAD;
}

size_t sp_proxyhead_feed(struct sp_proxyhead *h, const char *p, size_t n)
{
    size_t used = 0;

    while (used < n && h->state == SP_PROXY_MORE)
        h->state = take(h, p[used++]);
    return used;
}
