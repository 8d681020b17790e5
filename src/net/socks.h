/*
 * socks.h - the client's side of SOCKS5 (RFC 1928, 1929): octets in, octets out, no I/O.
 *
 *     struct sp_socks s;
 *     uint8_t out[SP_SOCKS_OUT];
 *     n = sp_socks_begin(&s, &want, out);              send these n octets, then for
 *     rc = sp_socks_take(&s, p, n, &took, out, &n, &err);         each piece received
 *     1: connected, p + took is the destination's; 0: send n octets, go on; < 0: *err
 *
 * It never takes an octet that is not the proxy's.  The strings of `want` are the
 * caller's and stay until the end; each has 1 to SP_SOCKS_TEXT octets.  A host that is
 * no address literal is given to the proxy as a name, which resolves it.
 */
#ifndef SP_SOCKS_H
#define SP_SOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define SP_SOCKS_TEXT 255 /* octets in a name, user or password */
#define SP_SOCKS_OUT  (3 + 2 * SP_SOCKS_TEXT) /* the longest message to a proxy */

struct sp_socks_want {
    const char *host;
    uint16_t port;
    const char *user, *password; /* user NULL: no login; password NULL: an empty one */
};

struct sp_socks {
    struct sp_socks_want want;
    int step;
    uint8_t in[4 + 1 + SP_SOCKS_TEXT + 2]; /* the proxy's message so far */
    size_t in_n;
};

/* 0, or -SP_EINPUT with *err: a string of `want` is empty or too long. */
int sp_socks_check(const struct sp_socks_want *want, struct sp_err *err);

/* The first message: its length; never more than SP_SOCKS_OUT. */
size_t sp_socks_begin(struct sp_socks *s, const struct sp_socks_want *want, uint8_t *out);

/* 1: connected.  0: *out_n octets (maybe none) go to the proxy, then more is awaited.
 * -SP_EIO, -SP_EDENIED, -SP_EINPUT with *err: it failed, refused, or spoke nonsense.
 * out holds a password in one step: sp_wipe() it when it was sent. */
int sp_socks_take(struct sp_socks *s, const char *p, size_t n, size_t *ret_took,
                  uint8_t *out, size_t *out_n, struct sp_err *err);

#endif
