/*
 * stslook.h - the MTA-STS policy that counts for a domain now (RFC 8461 5.1).
 *
 *     struct sp_sts_opts o = {.dns = dns, .https = h, .domain = "example.org",
 *                             .known = kept or NULL, .now_s = now, .timeout_ms = 10000};
 *     l = sp_sts_look(&o, done, arg);                    NULL: no memory
 *     static void done(const struct sp_sts_answer *a, void *arg)
 *     {
 *         a->policy     NULL: none counts
 *         a->fresh      it was fetched just now: keep it
 *         a->trouble, a->why    why there is none, or none newer than `known`
 *     }
 *     sp_sts_drop(l);                                    before done(): it never comes
 *
 * The record in DNS is asked for; where its id is another one than that of the known
 * policy, or half of that one's time is over, the policy is fetched: from
 * https://mta-sts.DOMAIN, by addresses that our resolver found, verified, no redirects.
 * Whatever goes wrong on the way, a known policy counts until it expires: making it
 * vanish must not help an attacker.
 */
#ifndef SP_STSLOOK_H
#define SP_STSLOOK_H

#include "dns.h"
#include "https.h"
#include "stspolicy.h"

struct sp_sts_opts {
    struct sp_dns *dns;
    struct sp_https *https;
    const char *domain;
    const struct sp_sts_policy *known; /* NULL: none; copied */
    struct sp_str ca;    /* PEM; empty: the system's; lives as long as the look */
    const char *ca_path; /* instead: a file or directory, or NULL */
    unsigned timeout_ms; /* of the HTTPS request */
    bool stay_away;      /* do not fetch: it failed a short while ago */
    uint64_t now_s;
};

enum sp_sts_trouble {
    SP_STS_FINE,
    SP_STS_DNS_ERROR, /* nobody knows whether there is a record */
    SP_STS_RECORD_INVALID,
    SP_STS_FETCH_ERROR, /* these three are result types of RFC 8460 4.3.2.2 */
    SP_STS_WEBPKI_INVALID,
    SP_STS_POLICY_INVALID,
};

struct sp_sts_answer {
    const struct sp_sts_policy *policy;
    bool fresh, record; /* record: DNS names one that is valid */
    enum sp_sts_trouble trouble;
    const char *why;
};

struct sp_sts_look;
typedef void sp_sts_fn(const struct sp_sts_answer *a, void *arg);

/* "the record does not count"; goes in front of `why`. */
const char *sp_sts_trouble_words(enum sp_sts_trouble t);

/* done() comes once, never before this has returned, unless it is dropped. */
struct sp_sts_look *sp_sts_look(const struct sp_sts_opts *o, sp_sts_fn *done,
                                void *arg);
void sp_sts_drop(struct sp_sts_look *l); /* NULL is fine */

#endif
