/* login.c - see login.h. */
#include "login.h"
#include "acct.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sp_pwlogin {
    struct sp_buf mechanism, authcid, authzid;
    struct sp_secret *password; /* NULL when cached: nobody needs it any more */
    struct sp_user *user; /* NULL: nobody */
    bool cached;          /* the cache knew it: proved, no work to do */
    bool worked;
    int answer; /* of sp_password_check() */
    char words[120]; /* of who was asked; "": nobody */
};

static void start(struct sp_login_result *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->status = SP_LOGIN_FAILED;
}

static int end(struct sp_login_result *ret, enum sp_login_status status,
               const char *fmt, ...) SP_PRINTF(3, 4);

static int end(struct sp_login_result *ret, enum sp_login_status status,
               const char *fmt, ...)
{
    va_list ap;

    ret->status = status;
    va_start(ap, fmt);
    vsnprintf(ret->reason, sizeof ret->reason, fmt, ap);
    va_end(ap);
    return 0;
}

/* A database that cannot answer must not look like a wrong password: 454. */
static int trouble(struct sp_login_result *ret, int rc, const struct sp_err *e)
{
    if (rc == -SP_ENOMEM)
        return rc;
    return end(ret, SP_LOGIN_TEMPORARY, "%.150s", e->text);
}

/* The account that proved itself, or NULL and *ret is final (its value is returned). */
static int prover(struct sp_users *u, const struct sp_login_try *t,
                  struct sp_login_result *ret, struct sp_user **ret_user)
{
    struct sp_err e = {0};
    struct sp_user *user = NULL;
    int rc = sp_users_find(u, t->authentication_identity, &user, &e);

    *ret_user = NULL;
    if (rc == -SP_ENOENT)
        return end(ret, SP_LOGIN_FAILED, "no such account");
    if (rc < 0)
        return trouble(ret, rc, &e);
    snprintf(ret->login, sizeof ret->login, "%s", user->name);
    if (!user->enabled)
        rc = end(ret, SP_LOGIN_FAILED, "the account is disabled");
    else if (t->generation && user->generation != t->generation)
        rc = end(ret, SP_LOGIN_TEMPORARY, "the account was changed during the login");
    else
        *ret_user = user;
    ret->generation = user->generation;
    if (!*ret_user)
        sp_user_free(user);
    return rc;
}

/* An identity that names the same account: empty, its name, one of its addresses; with
 * EXTERNAL also the address that the certificate carries. */
static bool names_itself(const struct sp_user *user, const struct sp_login_try *t)
{
    return t->authorization_identity.n == 0 ||
           sp_user_is(user, t->authorization_identity) ||
           sp_str_eq(t->authorization_identity, t->authentication_identity) ||
           (t->certificate_address.n &&
            sp_address_same(t->certificate_address, t->authorization_identity));
}

/* Told only to who has proved that he is the account (RFC 4954 section 6). */
static int too_weak(struct sp_user *user, const struct sp_login_try *t,
                    struct sp_login_result *ret)
{
    (void)end(ret, SP_LOGIN_TOO_WEAK, "%s is too weak for %s, which logs in by %.100s",
              t->mechanism, user->name, user->mechanisms);
    sp_user_free(user);
    return 0;
}

/* Takes user, which has proved itself. */
static int judge(struct sp_users *u, struct sp_user *user, const struct sp_login_try *t,
                 struct sp_login_result *ret, struct sp_err *err)
{
    struct sp_user *as = NULL;
    struct sp_err e = {0};
    int rc;

    if (t->mechanism && !sp_user_may_use(user, t->mechanism))
        return too_weak(user, t, ret);
    if (names_itself(user, t)) {
        ret->user = user;
        return end(ret, SP_LOGIN_OK, "%s", "");
    }
    rc = sp_users_find(u, t->authorization_identity, &as, &e);
    if (rc == 0 && as->enabled && sp_user_may_act_as(user, sp_str(as->name))) {
        ret->user = as;
        if (as->generation > ret->generation)
            ret->generation = as->generation;
        as = NULL;
        (void)end(ret, SP_LOGIN_OK, "acting as another account");
    } else if (rc == 0) {
        (void)end(ret, SP_LOGIN_FAILED, "%s may not act as %s", user->name, as->name);
    } else if (rc == -SP_ENOENT) {
        (void)end(ret, SP_LOGIN_FAILED, "the authorization identity is no account");
    } else {
        rc = trouble(ret, rc, &e);
    }
    sp_user_free(user);
    sp_user_free(as);
    return rc == -SP_ENOMEM ? sp_err_nomem(err) : 0;
}

int sp_login_judge(struct sp_users *u, const struct sp_login_try *t,
                   struct sp_login_result *ret, struct sp_err *err)
{
    struct sp_user *user = NULL;
    int rc;

    start(ret);
    rc = prover(u, t, ret, &user);
    if (rc < 0)
        return sp_err_nomem(err);
    return user ? judge(u, user, t, ret, err) : 0;
}

int sp_login_still_good(struct sp_users *u, struct sp_str user, struct sp_str login,
                        enum sp_login_basis basis, uint64_t since,
                        struct sp_login_result *ret, struct sp_err *err)
{
    struct sp_login_try t = {.authentication_identity = login,
                             .authorization_identity = user};
    struct sp_user *prover_now = NULL;
    struct sp_err e = {0};
    int rc = sp_login_judge(u, &t, ret, err);

    if (rc < 0 || ret->status != SP_LOGIN_OK || basis != SP_LOGIN_BY_SECRET)
        return rc;
    rc = sp_users_get(u, sp_str(ret->login), &prover_now, &e);
    if (rc < 0 && rc != -SP_ENOENT)
        rc = trouble(ret, rc, &e);
    else if (rc < 0 || !prover_now->has_password)
        rc = end(ret, SP_LOGIN_FAILED, "the account has no password any more");
    else if (prover_now->secret_generation > since)
        rc = end(ret, SP_LOGIN_FAILED, "the password was changed");
    sp_user_free(prover_now);
    if (ret->status == SP_LOGIN_OK)
        return 0;
    sp_user_free(ret->user);
    ret->user = NULL;
    return rc < 0 ? sp_err_nomem(err) : 0;
}

int sp_login_within_certificate(struct sp_users *u, const char *cert_user,
                                struct sp_login_result *r, struct sp_err *err)
{
    struct sp_user *holder = NULL;
    struct sp_err e = {0};
    int rc = 0;

    if (r->status != SP_LOGIN_OK || strcmp(cert_user, r->login) == 0)
        return 0;
    if (*cert_user)
        rc = sp_users_get(u, sp_str(cert_user), &holder, &e);
    if (rc < 0 && rc != -SP_ENOENT)
        rc = trouble(r, rc, &e);
    else if (!holder || !holder->enabled ||
             !sp_user_may_act_as(holder, sp_str(r->login)))
        rc = end(r, SP_LOGIN_FAILED, "the certificate%s%s may not act as %s",
                 *cert_user ? " of " : "", cert_user, r->login);
    sp_user_free(holder);
    if (r->status != SP_LOGIN_OK) {
        sp_user_free(r->user);
        r->user = NULL;
    }
    return rc == -SP_ENOMEM ? sp_err_nomem(err) : 0;
}

int sp_login_verifier(struct sp_users *u, enum sp_scram_hash hash, struct sp_str name,
                      struct sp_scram_verifier *ret_v, uint64_t *ret_generation,
                      struct sp_err *err)
{
    char canonical[SP_ADDRESS_MAX + 1];
    struct sp_str salted = name;
    struct sp_user *user = NULL;
    uint32_t iterations = 0;
    uint8_t key[32];
    bool pattern;
    int n, rc = sp_users_scram_defaults(u, key, &iterations, err);

    if (rc < 0)
        return rc;
    /* A domain in capitals finds an account; so it must not change a fake salt. */
    n = sp_grant_canonical(name, canonical, sizeof canonical, &pattern);
    if (n > 0)
        salted = (struct sp_str){canonical, (size_t)n};
    rc = sp_scram_fake(hash, key, salted, iterations, ret_v);
    sp_wipe(key, sizeof key);
    *ret_generation = 0;
    if (rc < 0)
        return sp_err_nomem(err);
    rc = sp_users_find(u, name, &user, err);
    if (rc == -SP_ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    if (user->enabled && user->has_scram[hash]) {
        *ret_v = user->scram[hash];
        *ret_generation = user->generation;
    }
    sp_user_free(user);
    return 0;
}

int sp_login_cram(struct sp_users *u, struct sp_str name,
                  uint8_t ret_context[SP_CRAM_CONTEXT], bool *ret_has,
                  uint64_t *ret_generation, struct sp_err *err)
{
    struct sp_user *user = NULL;
    int rc = sp_users_find(u, name, &user, err);

    *ret_has = false;
    *ret_generation = 0;
    if (rc == -SP_ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    if (user->enabled && user->has_cram) {
        memcpy(ret_context, user->cram, SP_CRAM_CONTEXT);
        *ret_generation = user->generation;
        *ret_has = true;
    }
    sp_user_free(user);
    return 0;
}

int sp_pwlogin_new(struct sp_users *u, struct sp_auth_cache *cache,
                   const struct sp_login_try *t, uint64_t now_ms,
                   struct sp_pwlogin **ret_l, struct sp_err *err)
{
    struct sp_pwlogin *l = sp_alloc(sizeof *l);
    int rc;

    if (!l)
        return sp_err_nomem(err);
    sp_buf_init(&l->mechanism, 64);
    sp_buf_init(&l->authcid, SP_SASL_NAME_MAX);
    sp_buf_init(&l->authzid, SP_SASL_NAME_MAX);
    if (sp_buf_puts(&l->mechanism, t->mechanism) < 0 ||
        sp_buf_str(&l->authcid, t->authentication_identity) < 0 ||
        sp_buf_str(&l->authzid, t->authorization_identity) < 0) {
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT,
                        "identity too long, or no memory");
        goto fail;
    }
    rc = sp_users_find(u, t->authentication_identity, &l->user, err);
    if (rc < 0 && rc != -SP_ENOENT)
        goto fail;
    if (l->user && l->user->enabled && (l->user->crypt || l->user->checked) && cache)
        l->cached = sp_auth_cache_hit(cache, sp_str(l->user->name), l->user->generation,
                                      t->secret, now_ms);
    l->password = l->cached ? NULL : sp_secret_new(t->secret.p, t->secret.n);
    if (!l->cached && !l->password) {
        rc = sp_err_nomem(err);
        goto fail;
    }
    *ret_l = l;
    return 0;
fail:
    sp_pwlogin_free(l);
    return rc;
}

bool sp_pwlogin_needs_work(const struct sp_pwlogin *l)
{
    return !l->cached;
}

void sp_pwlogin_work(struct sp_pwlogin *l)
{
    const char *hash = l->user && l->user->enabled ? l->user->crypt : NULL;

    l->answer = sp_password_check(hash, sp_secret_get(l->password));
    l->worked = true;
}

const struct sp_user *sp_pwlogin_asks(const struct sp_pwlogin *l)
{
    return !l->cached && l->user && l->user->enabled && l->user->checked ? l->user : NULL;
}

struct sp_str sp_pwlogin_name(const struct sp_pwlogin *l)
{
    return sp_buf_view(&l->authcid);
}

struct sp_str sp_pwlogin_secret(const struct sp_pwlogin *l)
{
    return sp_secret_get(l->password);
}

void sp_pwlogin_answered(struct sp_pwlogin *l, struct sp_users *u, int st,
                         const char *words)
{
    struct sp_user *now = NULL;

    l->worked = true;
    l->answer = st == SP_ACCT_OK ? 1 : st == SP_ACCT_NO ? 0 : -1;
    snprintf(l->words, sizeof l->words, "%s", words);
    /* The answer may have said more about the account than was known before. */
    if (l->answer == 1 && sp_users_find(u, sp_buf_view(&l->authcid), &now, NULL) == 0) {
        sp_user_free(l->user);
        l->user = now;
        if (!now->enabled)
            l->answer = 0;
    }
}

int sp_pwlogin_end(struct sp_pwlogin *l, struct sp_users *u,
                   struct sp_auth_cache *cache, uint64_t now_ms,
                   struct sp_login_result *ret, struct sp_err *err)
{
    struct sp_login_try t = {.mechanism = sp_buf_cstr(&l->mechanism),
                             .authentication_identity = sp_buf_view(&l->authcid),
                             .authorization_identity = sp_buf_view(&l->authzid),
                             .generation = l->user ? l->user->generation : 0};
    bool proved = l->cached || (l->worked && l->answer == 1);
    int rc = 0;

    start(ret);
    if (l->user)
        snprintf(ret->login, sizeof ret->login, "%s", l->user->name);
    if (l->worked && l->answer < 0)
        (void)end(ret, SP_LOGIN_TEMPORARY, "%s",
                  l->words[0] ? l->words : "the password could not be checked");
    else if (!proved)
        (void)end(ret, SP_LOGIN_FAILED, "%s",
                  !l->user            ? "no such account"
                  : !l->user->enabled ? "the account is disabled"
                  : l->words[0]       ? l->words
                  : l->user->checked  ? "wrong password"
                  : !l->user->crypt   ? "the account has no password"
                                      : "wrong password");
    else if (l->cached) {
        /* No time has passed since the account was read. */
        ret->generation = l->user->generation;
        rc = judge(u, l->user, &t, ret, err);
        l->user = NULL;
    } else
        rc = sp_login_judge(u, &t, ret, err);
    /* The password was right whatever the authorization identity says: remember it, so
     * that a client asking for the wrong one does not cost a hash each time. */
    if (rc == 0 && proved && cache && !l->cached && ret->status != SP_LOGIN_TEMPORARY)
        sp_auth_cache_put(cache, sp_str(l->user->name), l->user->generation,
                          sp_secret_get(l->password), now_ms);
    sp_pwlogin_free(l);
    return rc;
}

void sp_pwlogin_free(struct sp_pwlogin *l)
{
    if (!l)
        return;
    sp_buf_wipe(&l->mechanism);
    sp_buf_wipe(&l->authcid);
    sp_buf_wipe(&l->authzid);
    sp_secret_free(l->password);
    sp_user_free(l->user);
    sp_wipe(l, sizeof *l);
    sp_free(l);
}
