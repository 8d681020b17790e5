/*
 * netaddr.h - socket addresses as text and back.
 *
 *     "192.0.2.1:587"   "[2001:db8::1]:587"   "*:587" (every address)   "unix"
 */
#ifndef SP_NETADDR_H
#define SP_NETADDR_H

#include <sallyport/types.h>
#include <sys/socket.h>

#define SP_ADDR_TEXT 64 /* always enough */

void sp_naddr_text(const struct sockaddr *sa, char *out, size_t cap); /* cuts */
/* Only the address, without port and brackets: "2001:db8::1". */
void sp_addr_ip(const struct sockaddr *sa, char *out, size_t cap);
uint16_t sp_addr_port(const struct sockaddr *sa);

/* A literal with or without brackets; returns its length as a socket address, or
 * -SP_EINPUT if it is none (a host name, say). */
int sp_addr_literal(const char *text, uint16_t port, struct sockaddr_storage *ret);
/* "address:port" as above; "*:port" gives the IPv6 wildcard.  0 or -SP_EINPUT. */
int sp_naddr_parse(const char *text, struct sockaddr_storage *ret);
socklen_t sp_addr_len(const struct sockaddr_storage *ss);

#endif
