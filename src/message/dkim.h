/*
 * dkim.h - DKIM signatures (RFC 6376, 8301, 8463): keys, body hashes, the field.
 *
 *     sp_dkim_key_new(pem, &key, &err);                        once
 *
 *     sp_dkim_body_new(SP_DKIM_RELAXED, &body, &err);          for each message
 *     sp_dkim_body_feed(body, chunk) ...                       its body, as it is sent
 *     sp_dkim_body_end(body, hash);
 *     sp_dkim_body_free(body);
 *     sp_dkim_sign(&how, header, hash, now_s, &out, &err);     appends the whole field
 *
 * The header is what the next hop will get, all of it: a signature over anything else is
 * worth nothing.  The field that comes out goes in front of it, ends in CRLF, and holds
 * nothing that was not in `how` or computed here.
 *
 * Several signatures of one message are several calls; they do not sign each other.
 *
 * Errors: -SP_EINPUT a key that cannot be used (the text says why), -SP_ENOMEM, -SP_ELIMIT
 * no room in `out`, -SP_EIO libcrypto failed.  Memory: keys and bodies belong to the caller.
 *
 * A key may be used by several threads at a time, a body by one.
 */
#ifndef SP_DKIM_H
#define SP_DKIM_H

#include "buf.h"

#define SP_DKIM_HASH          32   /* octets of SHA-256 */
#define SP_DKIM_FIELD_MAX     8192 /* octets of a signature field, at most */
#define SP_DKIM_NAMES_MAX     100  /* header fields named in a configuration */
#define SP_DKIM_RSA_BITS_MIN  1024 /* RFC 8301 3.2: verifiers must not take less */
#define SP_DKIM_RSA_BITS_GOOD 2048

enum sp_dkim_canon { SP_DKIM_SIMPLE, SP_DKIM_RELAXED }; /* RFC 6376 3.4 */

/* ---- keys ---- */

struct sp_dkim_key; /* a private key; wiped when freed */

/* From PEM: RSA or Ed25519, without a passphrase. */
int sp_dkim_key_new(struct sp_str pem, struct sp_dkim_key **ret, struct sp_err *err);
void sp_dkim_key_free(struct sp_dkim_key *k);                   /* NULL is fine */
const char *sp_dkim_key_algorithm(const struct sp_dkim_key *k); /* "rsa-sha256", ... */
unsigned sp_dkim_key_bits(const struct sp_dkim_key *k);
/* The value of the DNS record (RFC 6376 3.6.1): "v=DKIM1; k=rsa; p=...". */
int sp_dkim_key_record(const struct sp_dkim_key *k, struct sp_buf *out,
                       struct sp_err *err);
/* Makes a key: PEM of PKCS #8 into out.  rsa_bits 0: Ed25519. */
int sp_dkim_key_make(unsigned rsa_bits, struct sp_buf *out, struct sp_err *err);

/* ---- the body ---- */

struct sp_dkim_body;

int sp_dkim_body_new(enum sp_dkim_canon c, struct sp_dkim_body **ret,
                     struct sp_err *err);
void sp_dkim_body_feed(struct sp_dkim_body *b,
                       struct sp_str chunk); /* split anywhere */
/* Once.  -SP_EIO: some step before failed. */
int sp_dkim_body_end(struct sp_dkim_body *b, uint8_t ret_hash[SP_DKIM_HASH]);
void sp_dkim_body_free(struct sp_dkim_body *b); /* NULL is fine */

/* ---- the signature ---- */

/* Strings are borrowed.  domain and selector are DNS names in ASCII, checked here. */
struct sp_dkim_how {
    const struct sp_dkim_key *key;
    const char *domain;   /* d= */
    const char *selector; /* s= */
    enum sp_dkim_canon header, body;
    /* Names of fields to sign, each of them as often as it stands in the header. */
    const char *const *sign;
    size_t n_sign;
    /* Those that are named once more than they are there, so that nobody can add one
     * (RFC 6376 8.15); each is in `sign`, too, or it is not looked at.  From is always
     * both. */
    const char *const *oversign;
    size_t n_oversign;
    uint64_t lifetime_s; /* x= is now plus this; 0: no x= */
};

int sp_dkim_sign(const struct sp_dkim_how *how, struct sp_str header,
                 const uint8_t body_hash[SP_DKIM_HASH], int64_t now_s,
                 struct sp_buf *out, struct sp_err *err);

/* The domain of the first author (From:), in lower case, otherwise as it is written: the
 * one a signature should be by.  Octets written, a NUL behind; 0: it cannot be told. */
size_t sp_dkim_author_domain(struct sp_str header, char *out, size_t cap);

#endif
