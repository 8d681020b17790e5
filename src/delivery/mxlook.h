/*
 * mxlook.h - the exchanges of a domain: who takes its mail, in which order, and what DNS
 * proves about them.
 *
 *     struct sp_mxlook_opts o = {.dns = dns, .domain = "example.org", .port = 25,
 *                                .self = {"mail.example.net"}};
 *     l = sp_mxlook(&o, done, arg);                       NULL: no memory
 *     static void done(const struct sp_mxlook_answer *a, void *arg)
 *     {
 *         if (a->code) ...a->code, a->enhanced, a->words: 4xx try later, 5xx give up
 *         for (i = 0; i < a->n; i++) a->host[i] ...       best first
 *     }
 *     sp_mxlook_drop(l);                                  before done(): it never comes
 *
 * RFC 5321 5.1: by preference, equals at random; without MX records the domain itself
 * (implicit MX); never to ourselves, nor to anybody whose preference is not better than
 * ours.  RFC 7505: a null MX takes no mail.  An answer that DNSSEC proves forged is no
 * answer.  Addresses of a host alternate between the families, IPv6 first (RFC 8305).
 *
 * RFC 7672 2: TLSA records count only where MX and addresses are proven, too; where the
 * question for them fails, the host is not to be used now (it may be an attack).
 */
#ifndef SP_MXLOOK_H
#define SP_MXLOOK_H

#include "conf.h"
#include "dns.h"
#include "tlsctx.h"

#include <netinet/in.h>

enum {
    SP_MX_HOSTS = 10,
    SP_MX_ADDRESSES = 16,
    SP_MX_TLSA = 16,
    SP_TLSA_DATA = 8192,
    SP_MX_SELF = 4
};

enum sp_dane {               /* of one host */
               SP_DANE_NONE, /* no TLSA records, or nothing proven */
               SP_DANE_UNUSABLE, /* proven records, none that SMTP knows: TLS, not verified */
               SP_DANE_USABLE,
               SP_DANE_FAILED, /* the look-up failed where it counts */
};

struct sp_mx_host {
    char name[256];
    struct sockaddr_storage address[SP_MX_ADDRESSES];
    size_t addresses;
    enum sp_dane dane;
    struct sp_tls_dane tlsa[SP_MX_TLSA]; /* USABLE: these; data lives with the answer */
    size_t tlsas;
};

struct sp_mxlook_answer {
    int code; /* 0: there are hosts; otherwise a reply code for the sender */
    const char *enhanced;
    char words[400];
    struct sp_mx_host *host; /* those with an address */
    size_t n;
    bool implicit,
        secure;   /* secure: the MX records, or that there are none, is proven */
    unsigned ttl; /* seconds, of the shortest */
};

struct sp_mxlook_opts {
    struct sp_dns *dns;
    const char *domain; /* without brackets a name, with brackets an address literal */
    uint16_t port;
    bool literals;                /* address literals are taken */
    const char *self[SP_MX_SELF]; /* names that are ours; NULL ends them early */
};

struct sp_mxlook;
typedef void sp_mxlook_fn(const struct sp_mxlook_answer *a, void *arg);

/* done() comes once, never before this has returned, unless it is dropped. */
struct sp_mxlook *sp_mxlook(const struct sp_mxlook_opts *o, sp_mxlook_fn *done,
                            void *arg);
void sp_mxlook_drop(struct sp_mxlook *l); /* NULL is fine */

/* The resolver of a configuration; *ret borrows from it. */
void sp_mxlook_dns(const struct sp_conf *conf, struct sp_dns_opts *ret);

/* A copy for the caller to keep, to be given to sp_free(); NULL: no memory. */
struct sp_mxlook_answer *sp_mxlook_keep(const struct sp_mxlook_answer *a);

#endif
