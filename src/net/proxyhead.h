/*
 * proxyhead.h - the PROXY protocol, versions 1 and 2: what a load balancer says in front
 * of a connection about the client behind it.
 *
 *     struct sp_proxyhead h = {0};
 *     used = sp_proxyhead_feed(&h, octets, n);       0 .. n; never an octet behind the header
 *     h.state: SP_PROXY_MORE    feed again
 *              SP_PROXY_CLIENT  h.address, h.port are the client's
 *              SP_PROXY_OWN     the proxy speaks for itself (a health check, UNKNOWN)
 *              SP_PROXY_BAD     this is no such header: close, nothing is to be believed
 *
 * Memory: nothing is allocated.  Extensions (TLV) of version 2 are read and not looked at.
 *
 * The caller must ask only connections that come from a configured proxy: whoever else
 * says such a line could choose his address.
 */
#ifndef SP_PROXYHEAD_H
#define SP_PROXYHEAD_H

#include <sallyport/types.h>

enum { SP_PROXYHEAD_V1_MAX = 107, SP_PROXYHEAD_V2_MAX = 16 + 4096 };

enum sp_proxy_state { SP_PROXY_MORE, SP_PROXY_CLIENT, SP_PROXY_OWN, SP_PROXY_BAD };

struct sp_proxyhead {
    enum sp_proxy_state state;
    size_t n, want; /* octets taken; of version 2 its length, once it is known */
    char b[256];    /* the first of them: all that is looked at */
    char address[46];
    uint16_t port;
};

size_t sp_proxyhead_feed(struct sp_proxyhead *h, const char *p, size_t n);

#endif
