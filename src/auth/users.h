/*
 * users.h - the users database: accounts, how they prove themselves, what they may do.
 *
 *     sp_users_open("DATA/users.db", SP_USERS_WRITE, &u, &err);     the command line
 *     sp_users_add(u, name, first_address, &err);
 *     sp_users_set_password(u, name, password, 0, &err);
 *     sp_users_close(u);
 *
 *     sp_users_open(path, SP_USERS_READ, &u, &err);                 the auth role
 *     sp_users_find(u, name_or_address, &user, &err);  ... sp_user_free(user);
 *     if (sp_users_changed(u) > 0) sp_users_changes(u, seen, &names, &err);
 *
 * One SQLite file, mode 0640, in rollback-journal mode: a reader needs no right to
 * write.  No password is ever in it: a yescrypt hash and SCRAM verifiers are, and for an
 * account that opted into CRAM-MD5 what sp_cram_make() gives: as good as the password for
 * that mechanism, and quickly guessed from; nothing encrypts it, because the key would
 * lie beside it.  Every
 * change of an account gives it a new generation, higher than all before; that is what
 * caches and live sessions compare.
 *
 * An account has own addresses (it may log in by them, certificates map by them, the
 * first completes a message without From) and granted ones (send-as rights only).
 *
 * Errors: -SP_ENOENT no such account, -SP_EEXIST, -SP_EINPUT a name or address of the
 * wrong form, -SP_EAGAIN busy (a writer waits 2 s, a reader 0.3), -SP_EVERSION a file of a
 * newer program, -SP_EIO damaged or unreadable, -SP_EDENIED opened for reading only.
 *
 * A handle for reading keeps accounts that it has read, as long as nobody writes: what
 * find and get give may be shared, so it is not to be changed.  Asking whether the file
 * is as it was costs one read of ten octets.
 *
 * The caller must not use one handle from two threads, nor free what it gave in another.
 */
#ifndef SP_USERS_H
#define SP_USERS_H

#include <sallyport/sasl.h>

#include "arena.h"
#include "grant.h"
#include "rate.h"

#define SP_USERS_SCHEMA    4    /* version written by this program */
#define SP_USER_GRANTS_MAX 1000 /* addresses and grants of one account */
#define SP_USER_ACT_AS_MAX 200
#define SP_USER_MECHS_MAX  200 /* octets of the list of mechanisms */

enum sp_users_mode { SP_USERS_READ, SP_USERS_WRITE }; /* WRITE makes the file */

/* What it may do, where it is not what the listener says: 0 is the listener's limit. */
struct sp_user_limits {
    uint64_t message_size_max;
    uint32_t recipients_max; /* of a message */
    uint32_t sessions_max;   /* at a time */
    struct sp_rates rates;   /* messages and recipients, a minute, an hour, a day */
};

/* One account as it was when it was read.  Strings live until sp_user_free(). */
struct sp_user {
    const char *name;
    bool enabled;
    bool has_password; /* a yescrypt hash or a SCRAM verifier is there */
    const char *crypt; /* crypt(5) hash, or {SCHEME} and one; NULL: no password */
    /* Of an accounts section (acct.h), numbered from 0: */
    bool checked;    /* the password is judged by asking it, not by crypt */
    bool blind;      /* it cannot say whether there is such an account: only a password tells */
    unsigned source;
    bool has_scram[2]; /* by enum sp_scram_hash */
    struct sp_scram_verifier scram[2];
    bool has_cram; /* opted into CRAM-MD5 */
    uint8_t cram[SP_CRAM_CONTEXT];
    const char *first_address; /* "" when it has none */
    const char **address;      /* own ones first, then grants; canonical */
    size_t addresses;
    size_t own_addresses; /* how many of them are own */
    const char **act_as;  /* names of accounts */
    size_t act_as_count;
    const char **pin; /* SHA-256 of the SubjectPublicKeyInfo, hex */
    size_t pins;
    /* The mechanisms it may log in by, each followed by a space; "": every one.  Another
     * that proves it right is too weak for this account (RFC 4954 section 6: 534). */
    const char *mechanisms;
    struct sp_user_limits limits;
    uint64_t generation;
    uint64_t secret_generation; /* when the password was last set or taken away */
    struct sp_arena arena;      /* owns all of the above */
    unsigned shared;            /* holders beside the first */
};

struct sp_users; /* an open database */

int sp_users_open(const char *path, enum sp_users_mode mode, struct sp_users **ret_u,
                  struct sp_err *err);
void sp_users_close(struct sp_users *u); /* NULL is fine */

/* ---- Reading ---- */

/* By account name, else by an own address, which exactly one account may have.
 * -SP_ENOENT: none, or more than one.  Disabled accounts are found. */
int sp_users_find(struct sp_users *u, struct sp_str name_or_address,
                  struct sp_user **ret_user, struct sp_err *err);
int sp_users_get(struct sp_users *u, struct sp_str name, struct sp_user **ret_user,
                 struct sp_err *err);
void sp_user_free(struct sp_user *user); /* the last one wipes; NULL is fine */

/* Is it the account's name or one of its own addresses? */
bool sp_user_is(const struct sp_user *user, struct sp_str name_or_address);
/* Is the mechanism strong enough for this account?  EXTERNAL is the certificate. */
bool sp_user_may_use(const struct sp_user *user, const char *mechanism);
bool sp_user_may_act_as(const struct sp_user *user, struct sp_str name);
bool sp_user_may_send_as(const struct sp_user *user, struct sp_str address);

/* Each account in the order of names, until `each` returns non-zero, which is returned. */
int sp_users_list(struct sp_users *u,
                  int (*each)(void *arg, const struct sp_user *user), void *arg,
                  struct sp_err *err);

/* Did anybody else write since the last call?  1, 0 or negative.  The first call: 0. */
int sp_users_changed(struct sp_users *u);
uint64_t
sp_users_generation(struct sp_users *u); /* the highest given so far; 0: error */
/* Accounts changed or removed after generation `since`: how many, after calling `each`. */
int sp_users_changes(struct sp_users *u, uint64_t since,
                     void (*each)(void *arg, struct sp_str name), void *arg,
                     struct sp_err *err);

/* Random, made with the file: for sp_scram_fake(), so that salts stay the same over
 * restarts; and the iteration count that new verifiers get. */
int sp_users_scram_defaults(struct sp_users *u, uint8_t ret_key[32],
                            uint32_t *ret_iterations, struct sp_err *err);

/* Accounts that a certificate may stand for (certmap.h). */
enum sp_users_key {
    SP_USERS_BY_PIN,     /* value: SPKI SHA-256, hex */
    SP_USERS_BY_ADDRESS, /* value: an address; own addresses and names of that form */
    SP_USERS_BY_URI,     /* value: the URI */
    SP_USERS_BY_DN,      /* value: subject, second: issuer, both RFC 2253 */
};
struct sp_users_hit {
    char name[SP_NAME_MAX + 1];
    bool enabled;
    bool has_password;
};
/* How many there are; at most cap are written.  Negative on error. */
int sp_users_by(struct sp_users *u, enum sp_users_key key, struct sp_str value,
                struct sp_str second, struct sp_users_hit *ret_hits, size_t cap,
                struct sp_err *err);

/* A pin, or a mapping of a URI or a DN: what leads from a certificate to an account
 * besides its addresses. */
struct sp_users_certificate {
    enum sp_users_key key; /* BY_PIN, BY_URI, BY_DN */
    const char *user;
    bool enabled;
    const char *value;  /* key in hex, URI, subject */
    const char *second; /* pin: the certificate's subject; DN: its issuer */
    int64_t until_s;    /* pin: when that certificate ends; 0: not known */
};
/* All of them, pins first, until `each` returns non-zero, which is returned. */
int sp_users_certificates(struct sp_users *u,
                          int (*each)(void *arg, const struct sp_users_certificate *c),
                          void *arg, struct sp_err *err);
/* Is there one?  1, 0 or negative. */
int sp_users_any_certificate(struct sp_users *u, struct sp_err *err);

/* ---- Changing (SP_USERS_WRITE) ---- */

/* first_address may be empty.  The account is enabled and has no password. */
int sp_users_add(struct sp_users *u, struct sp_str name, struct sp_str first_address,
                 struct sp_err *err);
int sp_users_remove(struct sp_users *u, struct sp_str name, struct sp_err *err);
int sp_users_enable(struct sp_users *u, struct sp_str name, bool enabled,
                    struct sp_err *err);
/* iterations 0: the file's default.  -SP_EINPUT: shorter than 1 or longer than 255
 * octets, or refused by SASLprep.  Costs one yescrypt and two PBKDF2. */
int sp_users_set_password(struct sp_users *u, struct sp_str name,
                          struct sp_str password, uint32_t iterations,
                          struct sp_err *err);
int sp_users_no_password(struct sp_users *u, struct sp_str name, struct sp_err *err);
/* Opt into CRAM-MD5 with this password, which sp_users_set_password() was given just
 * before; p NULL: forget it.  Setting or removing a password forgets it, too. */
int sp_users_set_cram(struct sp_users *u, struct sp_str name, struct sp_str password,
                      struct sp_err *err);
/* own: an address of its own, exact and nobody else's; otherwise a right to send as. */
int sp_users_grant(struct sp_users *u, struct sp_str name, struct sp_str grant,
                   bool own, struct sp_err *err);
int sp_users_revoke(struct sp_users *u, struct sp_str name, struct sp_str grant,
                    struct sp_err *err);
int sp_users_set_first(struct sp_users *u, struct sp_str name, struct sp_str address,
                       struct sp_err *err); /* one of its own, exact addresses */
int sp_users_act_as(struct sp_users *u, struct sp_str name, struct sp_str other,
                    bool allowed, struct sp_err *err);
int sp_users_limits(struct sp_users *u, struct sp_str name,
                    const struct sp_user_limits *limits, struct sp_err *err);
/* The mechanisms it may log in by, separated by spaces; empty: every one.
 * -SP_EINPUT: not names of mechanisms (RFC 4422 section 3.1), or too many. */
int sp_users_mechanisms(struct sp_users *u, struct sp_str name, struct sp_str list,
                        struct sp_err *err);
/* A key that stands for this account without a chain: one account for one key. */
int sp_users_pin(struct sp_users *u, struct sp_str name, struct sp_str spki_sha256_hex,
                 bool pinned, struct sp_err *err);
/* What `cert list` says about a pin. */
int sp_users_pin_note(struct sp_users *u, struct sp_str name,
                      struct sp_str spki_sha256_hex, struct sp_str subject,
                      int64_t until_s, struct sp_err *err);
/* SP_USERS_BY_URI or SP_USERS_BY_DN. */
int sp_users_map(struct sp_users *u, struct sp_str name, enum sp_users_key key,
                 struct sp_str value, struct sp_str second, bool mapped,
                 struct sp_err *err);
int sp_users_set_iterations(struct sp_users *u, uint32_t iterations,
                            struct sp_err *err);

#endif
