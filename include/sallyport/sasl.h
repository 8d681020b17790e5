/*
 * sallyport/sasl.h - SASL challenge mechanisms, server and client, without I/O.
 *
 * SCRAM-SHA-256, SCRAM-SHA-1 and their -PLUS forms (RFC 5802, 7677, 9266), CRAM-MD5
 * (RFC 2195).  Tokens go in and come out as raw octets: base64 and the wire are the
 * caller's.  One-step mechanisms (PLAIN, EXTERNAL ...) are not here.
 *
 * Server:
 *
 *     sp_sasl_server_new("SCRAM-SHA-256", &opts, &s, &err);
 *     st = sp_sasl_step(s, token, &out);          (token.p NULL: no initial response)
 *     SP_SASL_VERIFIER: look sp_sasl_user(s) up, now or later, then
 *     st = sp_sasl_give_scram(s, &verifier, &out);     sp_scram_fake() for nobody
 *     SP_SASL_CONTINUE: send `out`, feed what comes back
 *     SP_SASL_DONE:     proved; `out` is the last server token.  Where the protocol has
 *                       no place for data with success (SMTP: RFC 4954 4) it goes as
 *                       one more challenge, whose answer must be empty.
 *     SP_SASL_FAILED:   sp_sasl_error(s): SP_EINPUT malformed, SP_EDENIED not proved
 *     sp_sasl_free(s);
 *
 * Client: sp_sasl_client_new(), then sp_sasl_step(s, challenge, &out) for each
 * challenge, beginning with an empty one for the initial response.  SP_SASL_DONE comes
 * with the last answer.  A success reply of the server before SP_SASL_DONE must count as
 * a failure of class SP_CLASS_INSECURE: the server has not proved that it knows us.
 *
 * Memory: everything handed in is copied.  What is handed out lives until the next call
 * on the object.  All of it is wiped by sp_sasl_free().
 *
 * The caller must not: believe sp_sasl_user() before SP_SASL_DONE; grant an
 * authorization identity without judging it, it is only reported here; step an object
 * from two threads at once.  A client's step costs the server's iteration count of
 * PBKDF2 (about 1 ms for 4096), so event loops do it in a thread.
 *
 * A failure is sticky: every later call gives SP_SASL_FAILED.
 */
#ifndef SALLYPORT_SASL_H
#define SALLYPORT_SASL_H

#include <sallyport/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SP_SASL_TOKEN_MAX         8192 /* longer tokens are malformed */
#define SP_SASL_NAME_MAX          1024 /* user, authorization identity */
#define SP_SASL_PASSWORD_MAX      1024
#define SP_SCRAM_ITERATIONS_MIN   4096 /* RFC 7677 4; less is refused on both sides */
#define SP_SCRAM_ITERATIONS_MAX   1000000 /* more is a denial of service */
#define SP_SCRAM_ITERATIONS_USUAL 16384   /* what new verifiers get */
#define SP_SCRAM_SALT_MAX         64
#define SP_SCRAM_SALT_USUAL       16
#define SP_SCRAM_KEY_MAX          32
#define SP_CRAM_CONTEXT           32  /* octets */
#define SP_SCRAM_TEXT_MAX         256 /* a verifier in its text form, NUL included */

enum sp_scram_hash { SP_SCRAM_SHA256, SP_SCRAM_SHA1 };

/* What a server stores instead of a password (RFC 5802 3). */
struct sp_scram_verifier {
    enum sp_scram_hash hash;
    uint32_t iterations;
    uint8_t salt[SP_SCRAM_SALT_MAX];
    size_t salt_len;
    uint8_t stored_key[SP_SCRAM_KEY_MAX]; /* 32 octets for SHA-256, 20 for SHA-1 */
    uint8_t server_key[SP_SCRAM_KEY_MAX];
    bool fake; /* belongs to nobody: the exchange runs to its end and fails */
};

enum sp_sasl_status {
    SP_SASL_CONTINUE, /* send the token, wait for the peer's */
    SP_SASL_VERIFIER, /* server: sp_sasl_give_scram() or sp_sasl_give_secret() next */
    SP_SASL_DONE,
    SP_SASL_FAILED,
};

/* Channel binding data of this TLS connection; empty where it does not exist.
 * tls-unique only in TLS 1.2 with extended master secret (RFC 7627, 9266 3). */
struct sp_sasl_binding {
    struct sp_str exporter; /* tls-exporter, RFC 9266 */
    struct sp_str unique;   /* tls-unique, RFC 5929 */
};

struct sp_sasl_server_opts {
    struct sp_sasl_binding binding;
    bool plus_listed;     /* a -PLUS mechanism was offered: gs2 "y" is a downgrade */
    bool require_binding; /* refuse an exchange that binds no channel */
    const char *host;     /* CRAM-MD5: behind the @ of the challenge; NULL: localhost */
};

struct sp_sasl_client_opts {
    struct sp_str user;
    struct sp_str password;
    struct sp_str authorization_identity; /* empty: the user's own */
    struct sp_sasl_binding binding;
    bool plus_listed; /* the server offers the -PLUS form of this hash */
};

struct sp_sasl; /* one exchange */

/* Does this library have the mechanism?  Names are compared without case. */
SP_PUBLIC bool sp_sasl_known(struct sp_str mechanism);
/* Does the client speak first?  (CRAM-MD5: no.)  False for unknown names. */
SP_PUBLIC bool sp_sasl_client_first(struct sp_str mechanism);
/* Is it a -PLUS mechanism, to be offered only with binding data? */
SP_PUBLIC bool sp_sasl_is_plus(struct sp_str mechanism);
/* The verifier it works from: 0 and *ret_hash, or -SP_ENOENT (CRAM-MD5, unknown). */
SP_PUBLIC int sp_sasl_scram_hash(struct sp_str mechanism, enum sp_scram_hash *ret_hash);

/* 0; -SP_ENOENT unknown mechanism; -SP_EINPUT a name or password that SASLprep
 * refuses, or -PLUS without binding data; -SP_ELIMIT; -SP_ENOMEM. */
SP_PUBLIC int sp_sasl_server_new(struct sp_str mechanism,
                                 const struct sp_sasl_server_opts *opts,
                                 struct sp_sasl **ret_s, struct sp_err *err);
SP_PUBLIC int sp_sasl_client_new(struct sp_str mechanism,
                                 const struct sp_sasl_client_opts *opts,
                                 struct sp_sasl **ret_s, struct sp_err *err);
SP_PUBLIC void sp_sasl_free(struct sp_sasl *s); /* NULL is fine */

/* The peer's token; token.p NULL with n 0 means that none came.  *ret_out is written
 * with SP_SASL_CONTINUE and SP_SASL_DONE (p not NULL; n may be 0). */
SP_PUBLIC enum sp_sasl_status sp_sasl_step(struct sp_sasl *s, struct sp_str token,
                                           struct sp_str *ret_out);
/* Server, after SP_SASL_VERIFIER only. */
SP_PUBLIC enum sp_sasl_status sp_sasl_give_scram(struct sp_sasl *s,
                                                 const struct sp_scram_verifier *v,
                                                 struct sp_str *ret_out);
/* CRAM-MD5.  secret.p NULL: nobody, or a user without a reversible secret. */
SP_PUBLIC enum sp_sasl_status
sp_sasl_give_secret(struct sp_sasl *s, struct sp_str secret, struct sp_str *ret_out);

/* The same with what sp_cram_make() gave; context NULL: nobody. */
SP_PUBLIC enum sp_sasl_status
sp_sasl_give_cram(struct sp_sasl *s, const uint8_t context[SP_CRAM_CONTEXT],
                  struct sp_str *ret_out);

/* Who the peer says it is (server), prepared by SASLprep; empty before it said so. */
SP_PUBLIC struct sp_str sp_sasl_user(const struct sp_sasl *s);
/* The authorization identity it asked for; empty: none. */
SP_PUBLIC struct sp_str sp_sasl_authorization_identity(const struct sp_sasl *s);
SP_PUBLIC bool sp_sasl_bound(const struct sp_sasl *s); /* the channel is bound */
SP_PUBLIC const char *sp_sasl_mechanism(const struct sp_sasl *s);
/* Why it failed; NULL while it has not. */
SP_PUBLIC const struct sp_err *sp_sasl_error(const struct sp_sasl *s);

/* ---- Verifiers ---- */

/* From a password, which is prepared by SASLprep; salt empty: random.
 * -SP_EINPUT: the password cannot be prepared; iterations or salt out of range. */
SP_PUBLIC int sp_scram_make(enum sp_scram_hash hash, struct sp_str password,
                            struct sp_str salt, uint32_t iterations,
                            struct sp_scram_verifier *ret_v);
/* For a user who does not exist, is disabled or has no verifier: salt and iterations
 * look real and are the same for the same name as long as the key is. */
SP_PUBLIC int sp_scram_fake(enum sp_scram_hash hash, const uint8_t key[32],
                            struct sp_str user, uint32_t iterations,
                            struct sp_scram_verifier *ret_v);
/* "SCRAM-SHA-256$16384:<salt>$<StoredKey>:<ServerKey>", base64 inside: the length
 * (NUL added, not counted), or -SP_ELIMIT; and back, -SP_EINPUT. */
SP_PUBLIC int sp_scram_print(const struct sp_scram_verifier *v, char *out, size_t cap);
SP_PUBLIC int sp_scram_parse(struct sp_str text, struct sp_scram_verifier *ret_v);
/* Does this password belong to it?  1, 0 or negative.  Costs what sp_scram_make does. */
SP_PUBLIC int sp_scram_check(const struct sp_scram_verifier *v, struct sp_str password);

/* What a server can keep for CRAM-MD5 instead of the password: the two inner states of
 * MD5 after the key (RFC 2104 4).  It answers for the password in CRAM-MD5, and only
 * there; but it has no salt and costs one MD5, so whoever reads it guesses the password
 * as fast as a machine can count.  The password is taken as it is (RFC 2195 knows no
 * preparation).  0; -SP_EINPUT: empty or too long. */
SP_PUBLIC int sp_cram_make(struct sp_str password, uint8_t ret_context[SP_CRAM_CONTEXT]);

/* SASLprep, RFC 4013.  ASCII without controls is unchanged.  Code points that Unicode
 * 3.2 did not know pass (RFC 3454 7: "query"), or no password could hold an emoji.
 * The length, or -SP_EINPUT (not UTF-8, prohibited, bidirectional rule), -SP_ELIMIT. */
SP_PUBLIC int sp_saslprep(struct sp_str in, char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
