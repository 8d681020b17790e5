/*
 * dial.h - connecting: a name or address, a Unix socket, through SOCKS5 if wanted.
 *
 *     static void done(struct sp_conn *c, const struct sp_err *err, void *arg)
 *     {
 *         if (!c) ...err->text: "cannot connect to mail.example.org:587: ..."
 *         sp_conn_start(c, &ops, session);
 *     }
 *     struct sp_dial_opts o = {.host = "mail.example.org", .port = 587,
 *                              .timeout_ms = 30000};
 *     struct sp_dial *d = sp_dial(net, &o, done, arg);   NULL: no memory
 *     sp_dial_cancel(d);                                 before done(); then it never comes
 *
 * done() comes exactly once, never before sp_dial() has returned; the handle is gone
 * after it.  The connection is the caller's, in clear; done() starts, closes or aborts
 * it before it returns.  Nothing was read from it that sp_conn_start() would not deliver.
 *
 * Names are looked up as the system does (/etc/hosts, DNS).  Addresses are tried in the
 * order of RFC 8305: families alternate, the next one starts 250 ms after the last or
 * at once when one fails; the first that connects wins.
 *
 * Through SOCKS5 (RFC 1928, 1929) the name is given to the proxy, which resolves it:
 * nothing about the destination is asked here.
 */
#ifndef SP_DIAL_H
#define SP_DIAL_H

#include "conn.h"

enum sp_family { SP_FAMILY_ANY, SP_FAMILY_4, SP_FAMILY_6 };

struct sp_dial_opts {
    const char *host; /* name or address literal, with or without brackets */
    uint16_t port;
    const char *unix_path; /* instead of host and port */
    /* Addresses that the caller looked up (dns.h), with their ports, tried in this order;
     * host is then only a name in messages. */
    const struct sockaddr_storage *addresses;
    size_t n_addresses; /* at most 16 are used; not with a proxy */
    enum sp_family family;
    const char *source;     /* our address, a literal; addresses of the other family are
                         * left out */
    unsigned timeout_ms;    /* for all of it; 0: 30 s */
    const char *socks_host; /* NULL: no proxy */
    uint16_t socks_port;
    const char *socks_user, *socks_password; /* NULL: none */
};

struct sp_dial;
typedef void sp_dial_fn(struct sp_conn *c, const struct sp_err *err, void *arg);

/* Copies what it needs from o. */
struct sp_dial *sp_dial(struct sp_net *net, const struct sp_dial_opts *o,
                        sp_dial_fn *done, void *arg);
void sp_dial_cancel(struct sp_dial *d); /* NULL is fine */

#endif
