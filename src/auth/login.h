/*
 * login.h - the judgement: who has proved what, and whose rights does that give?
 *
 * A password (PLAIN, LOGIN); the middle call may run in a pool thread:
 *
 *     sp_pwlogin_new(users, cache, &t, now_ms, &l, &err);
 *     if (sp_pwlogin_needs_work(l)) sp_pwlogin_work(l);     else end it at once
 *     sp_pwlogin_end(l, users, cache, now_ms, &result, &err);   frees l
 *
 * SCRAM: sp_login_verifier() answers SP_SASL_VERIFIER; at SP_SASL_DONE
 *
 *     sp_login_judge(users, &t, &result, &err);
 *
 * EXTERNAL, explicit or implicit: sp_login_judge() with the certificate's account and
 * address.  IdentityCheck: sp_login_still_good().
 *
 * Everything that is the other side's fault gives SP_LOGIN_FAILED and nothing more to
 * tell it; `reason` is for the log.  An authorization identity is looked at only after
 * the proof.  result.user (whose rights count) belongs to the caller: sp_user_free().
 */
#ifndef SP_LOGIN_H
#define SP_LOGIN_H

#include "users.h"
#include "verify.h"

/* The same numbers as AuthStatus in sallyport.proto. */
enum sp_login_status {
    SP_LOGIN_OK,
    SP_LOGIN_FAILED,    /* 535 */
    SP_LOGIN_TOO_WEAK,  /* 534 */
    SP_LOGIN_TEMPORARY, /* 454: the database is busy, or the account changed meanwhile */
    SP_LOGIN_SYNTAX,    /* 501 */
};

struct sp_login_try {
    const char *mechanism; /* "PLAIN"; NULL: the system's word, every account takes it */
    struct sp_str authentication_identity; /* what was proved; EXTERNAL: the account */
    struct sp_str authorization_identity;  /* as asked for; empty: none */
    struct sp_str secret;                  /* sp_pwlogin_new() only */
    uint64_t
        generation; /* of the account the proof was checked against; 0: do not compare */
    /* EXTERNAL */
    struct sp_str certificate_address; /* "" without one */
    struct sp_str fingerprint;
    bool implicit;
};

struct sp_login_result {
    enum sp_login_status status;
    struct sp_user *user; /* with SP_LOGIN_OK: the authorization identity's account */
    char login[SP_NAME_MAX + 1]; /* the account that proved itself; "" when unknown */
    /* With SP_LOGIN_OK: as of when both accounts were looked at; sp_login_still_good()
     * compares. */
    uint64_t generation;
    /* For the log; never a secret.  Of sp_login_still_good(): fit for the client, who
     * was logged in. */
    char reason[200];
};

/* 0, and *ret says how it ended; negative only when memory is short. */
int sp_login_judge(struct sp_users *u, const struct sp_login_try *t,
                   struct sp_login_result *ret, struct sp_err *err);

/* What a login rests on besides the accounts. */
enum sp_login_basis {
    SP_LOGIN_BY_SYSTEM, /* a local socket: the system says who it is */
    SP_LOGIN_BY_SECRET,
    SP_LOGIN_BY_CERTIFICATE, /* which sp_certmap() is asked about again */
};

/* May the session that is `user`, proved by `login` (which may be the same), go on?
 * What IdentityCheck asks.  since: the result's generation when it logged in.  A login
 * by secret does not outlive that secret: who changes a password because somebody else
 * knows it means the sessions of that somebody, too. */
int sp_login_still_good(struct sp_users *u, struct sp_str user, struct sp_str login,
                        enum sp_login_basis basis, uint64_t since,
                        struct sp_login_result *ret, struct sp_err *err);
/* With client-certificates = required a password counts only for the certificate's
 * account (cert_user; "" when it has none) and those it may act as. */
int sp_login_within_certificate(struct sp_users *u, const char *cert_user,
                                struct sp_login_result *r, struct sp_err *err);

/* The verifier for a SCRAM exchange: the account's, or a fake one when there is no such
 * account, it is disabled, or it has none.  *ret_generation for sp_login_judge(). */
int sp_login_verifier(struct sp_users *u, enum sp_scram_hash hash, struct sp_str name,
                      struct sp_scram_verifier *ret_v, uint64_t *ret_generation,
                      struct sp_err *err);

/* The same for CRAM-MD5: *ret_has is false for nobody, a disabled account, and one that
 * did not opt in; context is then not written. */
int sp_login_cram(struct sp_users *u, struct sp_str name,
                  uint8_t ret_context[SP_CRAM_CONTEXT], bool *ret_has,
                  uint64_t *ret_generation, struct sp_err *err);

struct sp_pwlogin; /* one password attempt; holds its own copies */

int sp_pwlogin_new(struct sp_users *u, struct sp_auth_cache *cache,
                   const struct sp_login_try *t, uint64_t now_ms,
                   struct sp_pwlogin **ret_l, struct sp_err *err);
bool sp_pwlogin_needs_work(const struct sp_pwlogin *l); /* false: the cache knew it */
/* The account whose accounts section must be asked about the password, instead of
 * sp_pwlogin_work(); NULL: none.  Then the answer: st OK, NO or AWAY (with words). */
const struct sp_user *sp_pwlogin_asks(const struct sp_pwlogin *l);
struct sp_str sp_pwlogin_name(const struct sp_pwlogin *l); /* as typed */
struct sp_str sp_pwlogin_secret(const struct sp_pwlogin *l);
void sp_pwlogin_answered(struct sp_pwlogin *l, struct sp_users *u, int st,
                         const char *words);
void sp_pwlogin_work(struct sp_pwlogin *l); /* thread-safe: touches only l */
int sp_pwlogin_end(struct sp_pwlogin *l, struct sp_users *u,
                   struct sp_auth_cache *cache, uint64_t now_ms,
                   struct sp_login_result *ret, struct sp_err *err);
void sp_pwlogin_free(struct sp_pwlogin *l); /* instead of end: the session is gone */

#endif
