/*
 * certmap.h - from a client certificate to an account.
 *
 *     struct sp_cert_look q = {.leaf_der = der, .chain_ok = true, .now_s = now, ...};
 *     sp_certmap(users, &q, &r, &err);
 *     r.usable: EXTERNAL may be offered, r.user is who it is; else r.reason says why not
 *
 * The chain (signatures, CRL) was judged by whoever had the handshake; here are the
 * dates, the key usage, the names and the account.  Rule kinds are tried in the order
 *
 *     pin (SPKI SHA-256) - SmtpUTF8Mailbox - rfc822Name - URI - DN (subject + issuer)
 *
 * and the first that matches an account decides, within the domains that the CA may
 * assert.  It must lead to exactly one enabled account.  A pin replaces the chain, never
 * the dates.  A NUL inside any name refuses the certificate: RFC 6125 libraries disagree
 * about where such a name ends (CVE-2009-2408 and kin).
 */
#ifndef SP_CERTMAP_H
#define SP_CERTMAP_H

#include "buf.h"
#include "users.h"

struct sp_cert_look {
    struct sp_str leaf_der;
    bool chain_ok;
    struct sp_str chain_reason; /* why not, in words */
    const char *const *domains; /* what this CA may assert; NULL: any */
    size_t ndomains;
    int64_t now_s; /* Unix time */
};

/* Mirrors CertificateResult in sallyport.proto. */
struct sp_cert_result {
    bool usable;
    bool verified; /* the chain or a pin holds and the dates are right, mapped or not */
    bool external_only;
    char user[SP_NAME_MAX + 1];
    char reason[300]; /* a client may see it; "" when usable */
    char rule[24];    /* "pin", "SmtpUTF8Mailbox", "rfc822Name", "URI", "DN" */
    char address[SP_ADDRESS_MAX + 1]; /* the first one in the certificate; "" */
    char fingerprint[65];             /* SHA-256 of the certificate, hex */
};

/* 0 and *ret_r filled, or negative: the database failed, memory.  A certificate that
 * cannot be read is a result with a reason. */
int sp_certmap(struct sp_users *u, const struct sp_cert_look *q,
               struct sp_cert_result *ret_r, struct sp_err *err);

/* What an administrator needs for pins and mappings, from DER or PEM: -SP_EINPUT when
 * it is no certificate. */
struct sp_cert_facts {
    char spki_sha256[65];
    char fingerprint[65];
    char subject[512]; /* RFC 2253 */
    char issuer[512];
    char address[SP_ADDRESS_MAX + 1];
    char uri[512];
    int64_t not_before_s, not_after_s;
};
int sp_cert_facts(struct sp_str der_or_pem, struct sp_cert_facts *ret_f,
                  struct sp_err *err);
/* The first certificate of a file as DER, and those behind it one after the other:
 * appended.  -SP_EINPUT. */
int sp_cert_der(struct sp_str der_or_pem, struct sp_buf *leaf, struct sp_buf *chain,
                struct sp_err *err);

#endif
