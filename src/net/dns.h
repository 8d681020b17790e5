/*
 * dns.h - DNS with validation, for delivery: which answers are proven, which are not.
 *
 *     struct sp_dns_opts o = {.trust_anchor_file = SP_DNS_ROOT_KEY};
 *     rc = sp_dns_new(net, &o, &dns, &err);
 *     q = sp_dns_ask(dns, "example.org", SP_DNS_MX, done, arg);
 *
 *     static void done(const struct sp_dns_answer *a, void *arg)
 *     {
 *         if (a->err.code) ...no answer: try later (a->err.text says why)
 *         n = sp_dns_mx(a, mx, 16);      0: no MX, the name itself is the exchange
 *     }
 *
 * done() comes exactly once, from the loop, unless the question is dropped before; the
 * answer lives until it returns.  A name that does not exist, or has nothing of the type,
 * is an answer with no records.  A *bogus* one (DNSSEC proves it forged or broken) is
 * never given out: it is an error, and status says why.
 *
 * Resolution runs in one thread of libunbound; this side never blocks.
 * Look-ups as the system does them (/etc/hosts and so on) are dial.h's.
 */
#ifndef SP_DNS_H
#define SP_DNS_H

#include "net.h"

#include <sys/socket.h>

#define SP_DNS_ROOT_KEY "/usr/share/dns/root.key" /* Debian: dns-root-data */

enum sp_dns_type {
    SP_DNS_A = 1,
    SP_DNS_CNAME = 5,
    SP_DNS_MX = 15,
    SP_DNS_TXT = 16,
    SP_DNS_AAAA = 28,
    SP_DNS_SRV = 33,
    SP_DNS_TLSA = 52,
};

/* RFC 4035 4.3 */
enum sp_dns_status {
    SP_DNS_INSECURE, /* not signed, or nothing known to check it with */
    SP_DNS_SECURE,   /* proven, also when empty */
    SP_DNS_BOGUS,
};

struct sp_dns_opts {
    const char *forwarder; /* "127.0.0.1@5300"; NULL: resolv_conf, or from the root */
    bool resolv_conf;      /* ask the system's resolvers, which must pass DNSSEC on */
    const char *trust_anchor_file; /* NULL: nothing is ever secure */
    const char *trust_anchor;      /* one DS or DNSKEY record as text */
    unsigned timeout_ms;           /* for each question; 0: 15 s */
};

struct sp_dns;
struct sp_dns_query;

struct sp_dns_answer {
    enum sp_dns_status status;
    struct sp_err err;     /* code SP_OK: there is an answer, maybe an empty one */
    bool nxdomain;         /* the name itself does not exist */
    const char *canonical; /* the name behind its CNAMEs; NULL: as asked */
    const struct sp_str *records; /* rdata as on the wire, names not compressed */
    size_t n;
    unsigned ttl;
};
typedef void sp_dns_fn(const struct sp_dns_answer *a, void *arg);

int sp_dns_new(struct sp_net *net, const struct sp_dns_opts *o, struct sp_dns **ret,
               struct sp_err *err);
/* Drops every question.  NULL is fine. */
void sp_dns_free(struct sp_dns *dns);

/* NULL: no memory. */
struct sp_dns_query *sp_dns_ask(struct sp_dns *dns, const char *name, int type,
                                sp_dns_fn *done, void *arg);
void sp_dns_drop(struct sp_dns_query *q); /* before done(); NULL is fine */

struct sp_dns_mx {
    uint16_t preference;
    char host[256]; /* without the last dot; empty: null MX (RFC 7505) */
};

/* The exchanges of an MX answer, best first, equals in random order (RFC 5321 5.1);
 * malformed records are left out.  Returns how many. */
size_t sp_dns_mx(const struct sp_dns_answer *a, struct sp_dns_mx *out, size_t max);
struct sp_dns_srv {
    uint16_t priority, weight, port;
    char host[256]; /* without the last dot; empty: the service is not offered */
};

/* The servers of an SRV answer in the order to try them: by priority, equals drawn by
 * their weight (RFC 2782); malformed records are left out.  Returns how many. */
size_t sp_dns_srv(const struct sp_dns_answer *a, struct sp_dns_srv *out, size_t max);
/* The addresses of an A or AAAA answer, for dial.h. */
size_t sp_dns_addresses(const struct sp_dns_answer *a, uint16_t port,
                        struct sockaddr_storage *out, size_t max);

#endif
