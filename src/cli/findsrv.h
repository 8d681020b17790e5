/*
 * findsrv.h - the submission server of a mail domain, as its DNS says (RFC 6186, 8314).
 *
 *     rc = sp_find_submission("example.org", NULL, &found, &err);
 *
 * Implicit TLS comes first: _submissions._tcp, then _submission._tcp.  Of several servers
 * the one that RFC 2782 draws is used.
 *
 * Who can forge DNS could name any server, so what is verified of it is a name that the
 * user gave: the server's own when it lies within the domain, the domain itself otherwise
 * (RFC 6186 section 6).
 */
#ifndef SP_FINDSRV_H
#define SP_FINDSRV_H

#include <sallyport/types.h>

struct sp_found {
    char host[256];
    uint16_t port;
    bool implicit_tls;
    char verify[256]; /* the name that the certificate must carry */
};

/* resolver: "127.0.0.1@53", NULL for the system's.  0; -SP_ENOENT: the domain names no
 * submission server; -SP_EAGAIN and others: the DNS gave no answer. */
int sp_find_submission(const char *domain, const char *resolver, struct sp_found *ret,
                       struct sp_err *err);

#endif
