/* Passwords, the cache, and the judgement: whose rights does a proof give? */
#include "alloc.h"
#include "login.h"
#include "sasl_i.h"
#include "t_auth.h"

static struct sp_users *people(void)
{
    struct sp_users *u = fresh();

    OK(sp_users_add(u, S("alice"), S("alice@example.org"), &e));
    OK(sp_users_grant(u, S("alice"), S("al@example.org"), true, &e));
    OK(sp_users_grant(u, S("alice"), S("list@example.org"), false, &e));
    OK(sp_users_add(u, S("bob"), S("bob@example.org"), &e));
    OK(sp_users_add(u, S("carol"), S("carol@example.org"), &e));
    OK(sp_users_add(u, S("dave"), S("dave@example.org"), &e));
    OK(sp_users_add(u, S("erin"), S("erin@example.org"), &e));
    OK(sp_users_act_as(u, S("alice"), S("bob"), true, &e));
    OK(sp_users_act_as(u, S("alice"), S("dave"), true, &e));
    OK(sp_users_act_as(u, S("dave"), S("erin"), true, &e));
    OK(sp_users_enable(u, S("dave"), false, &e));
    OK(sp_users_set_password(u, S("alice"), S("pw-alice"), 4096, &e));
    OK(sp_users_set_password(u, S("bob"), S("pw-bob"), 4096, &e));
    OK(sp_users_set_password(u, S("dave"), S("pw-dave"), 4096, &e));
    return u;
}

static enum sp_login_status scram(struct sp_users *u, const char *name,
                                  const char *password, const char *as);
static uint64_t now_ms = 1000;

/* One password login, start to end; user needs 300 octets. */
static enum sp_login_status pw(struct sp_users *u, struct sp_auth_cache *c,
                               const char *who, const char *as, const char *secret,
                               char *user, bool *ret_worked)
{
    struct sp_login_try t = {.mechanism = "PLAIN",
                             .authentication_identity = S(who),
                             .authorization_identity = S(as),
                             .secret = S(secret)};
    struct sp_login_result r;
    struct sp_pwlogin *l = NULL;

    user[0] = '\0';
    OK(sp_pwlogin_new(u, c, &t, ++now_ms, &l, &e));
    if (!l)
        return SP_LOGIN_TEMPORARY;
    *ret_worked = sp_pwlogin_needs_work(l);
    if (*ret_worked)
        sp_pwlogin_work(l);
    OK(sp_pwlogin_end(l, u, c, ++now_ms, &r, &e));
    CHECK((r.status == SP_LOGIN_OK) == (r.user != NULL));
    if (r.user)
        snprintf(user, 300, "%s/%s", r.user->name, r.login);
    sp_user_free(r.user);
    return r.status;
}

TEST("the authorization table, written by hand")
{
    /* clang-format off */
    static const struct {
        const char *who, *as, *secret, *want; /* "rights/login", NULL: 535 */
    } row[] = {
        {"alice",             "",                  "pw-alice", "alice/alice"},
        {"alice",             "alice",             "pw-alice", "alice/alice"},
        {"alice",             "alice@example.org", "pw-alice", "alice/alice"},
        {"alice",             "al@EXAMPLE.org",    "pw-alice", "alice/alice"},
        {"al@example.org",    "",                  "pw-alice", "alice/alice"},
        {"AL@example.org",    "",                  "pw-alice", NULL}, /* local part exact */
        {"alice",             "AL@example.org",    "pw-alice", NULL},
        {"alice@EXAMPLE.ORG", "alice",             "pw-alice", "alice/alice"},
        {"alice",             "bob",               "pw-alice", "bob/alice"},
        {"alice",             "bob@example.org",   "pw-alice", "bob/alice"},
        {"alice",             "carol",             "pw-alice", NULL}, /* not allowed */
        {"alice",             "dave",              "pw-alice", NULL}, /* allowed, disabled */
        {"alice",             "nobody",            "pw-alice", NULL},
        {"alice",             "list@example.org",  "pw-alice", NULL}, /* granted, not own */
        {"alice",             "bob",               "pw-bob",   NULL}, /* bob's password is not hers */
        {"bob",               "alice",             "pw-bob",   NULL}, /* not the other way */
        {"alice",             "",                  "pw-Alice", NULL},
        {"alice",             "",                  "",         NULL},
        {"alice",             "",                  "pw-alice ",NULL},
        {"dave",              "",                  "pw-dave",  NULL}, /* disabled */
        {"erin",              "",                  "",         NULL}, /* no password */
        {"erin",              "",                  "x",        NULL},
        {"nobody",            "",                  "x",        NULL},
        {"nobody",            "alice",             "pw-alice", NULL},
        {"",                  "",                  "x",        NULL},
        {"list@example.org",  "",                  "pw-alice", NULL},
        {"*@example.org",     "",                  "x",        NULL},
    };
    /* clang-format on */
    struct sp_users *u = people();
    char user[300];

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        unsigned long before = sp_password_work();
        bool worked = false;
        enum sp_login_status st =
            pw(u, NULL, row[i].who, row[i].as, row[i].secret, user, &worked);

        /* One crypt(3) each, whoever it is and however it ends. */
        if (st != (row[i].want ? SP_LOGIN_OK : SP_LOGIN_FAILED) ||
            strcmp(user, row[i].want ? row[i].want : "") != 0 ||
            sp_password_work() - before != 1) {
            printf("row %zu: %s as %s: status %d, %s, work %lu\n", i, row[i].who,
                   row[i].as, st, user, sp_password_work() - before);
            CHECK(!"as the table says");
        }
    }
    done(u);
}

TEST("the cache answers for the same password and unchanged account only")
{
    struct sp_users *u = people();
    struct sp_auth_cache *c = sp_auth_cache_new(64, 0);
    char user[300];
    bool worked;

    CHECK_INT(pw(u, c, "alice", "", "wrong", user, &worked), SP_LOGIN_FAILED);
    CHECK_INT(sp_auth_cache_count(c), 0); /* a failure is never remembered */
    CHECK_INT(pw(u, c, "alice", "", "pw-alice", user, &worked), SP_LOGIN_OK);
    CHECK(worked);
    CHECK_INT(pw(u, c, "alice", "", "pw-alice", user, &worked), SP_LOGIN_OK);
    CHECK(!worked);
    /* By address it is the same account; another identity is judged each time. */
    CHECK_INT(pw(u, c, "al@example.org", "bob", "pw-alice", user, &worked),
              SP_LOGIN_OK);
    CHECK(!worked);
    CHECK_INT(pw(u, c, "alice", "carol", "pw-alice", user, &worked), SP_LOGIN_FAILED);
    CHECK_INT(pw(u, c, "alice", "", "wrong", user, &worked), SP_LOGIN_FAILED);
    CHECK(worked);
    CHECK_INT(pw(u, c, "bob", "", "pw-alice", user, &worked), SP_LOGIN_FAILED);
    OK(sp_users_set_password(u, S("alice"), S("new"), 4096, &e));
    CHECK_INT(pw(u, c, "alice", "", "pw-alice", user, &worked), SP_LOGIN_FAILED);
    CHECK(worked);
    CHECK_INT(pw(u, c, "alice", "", "new", user, &worked), SP_LOGIN_OK);
    OK(sp_users_enable(u, S("alice"), false, &e));
    CHECK_INT(pw(u, c, "alice", "", "new", user, &worked), SP_LOGIN_FAILED);
    sp_auth_cache_free(c);
    done(u);
}

TEST("cached successes age, are bounded, and can be dropped")
{
    struct sp_auth_cache *c = sp_auth_cache_new(16, 1000);
    char name[16];

    sp_auth_cache_put(c, S("alice"), 7, S("pw"), 100);
    CHECK(sp_auth_cache_hit(c, S("alice"), 7, S("pw"), 100));
    CHECK(sp_auth_cache_hit(c, S("alice"), 7, S("pw"), 1099));
    CHECK(!sp_auth_cache_hit(c, S("alice"), 8, S("pw"), 200)); /* changed account */
    CHECK(!sp_auth_cache_hit(c, S("alice"), 7, S("pW"), 200));
    CHECK(!sp_auth_cache_hit(c, S("alic"), 7, S("epw"), 200));
    CHECK(!sp_auth_cache_hit(c, S("alice"), 7, S("pw"), 1100)); /* too old */
    CHECK_INT(sp_auth_cache_count(c), 0);                       /* and gone */
    CHECK(!sp_auth_cache_hit(c, S("alice"), 7, S("pw"), 100));
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "u%d", i);
        sp_auth_cache_put(c, S(name), 1, S("pw"), 2000 + (uint64_t)i);
        CHECK(sp_auth_cache_hit(c, S(name), 1, S("pw"), 2000 + (uint64_t)i));
    }
    CHECK(sp_auth_cache_count(c) <= 16);
    sp_auth_cache_put(c, S("bob"), 1, S("pw"), 3000);
    sp_auth_cache_drop(c, S("bob"));
    CHECK(!sp_auth_cache_hit(c, S("bob"), 1, S("pw"), 3000));
    sp_auth_cache_drop(c, S(""));
    CHECK_INT(sp_auth_cache_count(c), 0);
    sp_auth_cache_free(c);
}

TEST("an account changed while its password was checked is asked to try again")
{
    struct sp_users *u = people();
    struct sp_auth_cache *c = sp_auth_cache_new(16, 0);
    struct sp_login_try t = {.mechanism = "PLAIN",
                             .authentication_identity = S("alice"),
                             .secret = S("pw-alice")};
    struct sp_login_result r;
    struct sp_pwlogin *l = NULL;

    OK(sp_pwlogin_new(u, c, &t, 0, &l, &e));
    sp_pwlogin_work(l);
    OK(sp_users_set_password(u, S("alice"), S("other"), 4096, &e));
    OK(sp_pwlogin_end(l, u, c, 0, &r, &e));
    CHECK_INT(r.status, SP_LOGIN_TEMPORARY);
    CHECK(!r.user);
    CHECK_INT(sp_auth_cache_count(c), 0);
    OK(sp_pwlogin_new(u, c, &t, 0, &l, &e));
    sp_pwlogin_free(l); /* the session went away */
    sp_auth_cache_free(c);
    done(u);
}

TEST("EXTERNAL: the certificate's address, the account, or one it may act as")
{
    /* clang-format off */
    static const struct { const char *as, *want; } row[] = {
        {"",                      "alice"},
        {"alice",                 "alice"},
        {"alice@example.org",     "alice"},
        {"al@example.org",        "alice"},
        {"cert-only@example.org", "alice"}, /* what the certificate says */
        {"bob",                   "bob"},
        {"carol",                 NULL},
        {"nobody@example.org",    NULL},
    };
    /* clang-format on */
    struct sp_users *u = people();

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct sp_login_try t = {.mechanism = "EXTERNAL",
                                 .authentication_identity = S("alice"),
                                 .authorization_identity = S(row[i].as),
                                 .certificate_address = S("cert-only@example.org")};
        struct sp_login_result r;

        OK(sp_login_judge(u, &t, &r, &e));
        CHECK_INT(r.status, row[i].want ? SP_LOGIN_OK : SP_LOGIN_FAILED);
        if (r.user)
            CHECK_STR(r.user->name, row[i].want ? row[i].want : "nobody");
        CHECK_STR(r.login, "alice");
        sp_user_free(r.user);
    }
    done(u);
}

TEST("a mechanism that is too weak for an account is told to who proved himself, only")
{
    struct sp_users *u = people();
    struct sp_auth_cache *c = sp_auth_cache_new(10, 0);
    char user[300];
    bool worked;

    CHECK_INT(sp_users_mechanisms(u, S("alice"), S("plain"), &e), -SP_EINPUT);
    CHECK_INT(sp_users_mechanisms(u, S("nobody"), S("PLAIN"), &e), -SP_ENOENT);
    CHECK_INT(sp_users_mechanisms(u, S("alice"), S("ABCDEFGHIJKLMNOPQRSTU"), &e), -SP_EINPUT);
    OK(sp_users_mechanisms(u, S("alice"), S("  EXTERNAL   SCRAM-SHA-256-PLUS "), &e));
    CHECK_INT(pw(u, c, "alice", "", "pw-alice", user, &worked), SP_LOGIN_TOO_WEAK);
    CHECK_INT(pw(u, c, "alice", "", "pw-alice", user, &worked), SP_LOGIN_TOO_WEAK);
    CHECK(!worked); /* remembered, and still too weak */
    CHECK_INT(pw(u, c, "alice", "", "wrong", user, &worked), SP_LOGIN_FAILED);
    CHECK_INT(scram(u, "alice", "pw-alice", ""), SP_LOGIN_TOO_WEAK);
    CHECK_INT(scram(u, "alice", "wrong", ""), SP_LOGIN_FAILED);
    for (int i = 0; i < 2; i++) {
        struct sp_login_try t = {.mechanism = i ? "EXTERNAL" : "SCRAM-SHA-256-PLUS",
                                 .authentication_identity = S("alice")};
        struct sp_login_result r;

        OK(sp_login_judge(u, &t, &r, &e));
        CHECK_INT(r.status, SP_LOGIN_OK);
        sp_user_free(r.user);
    }
    /* Whose proof it was counts, not whose rights it gives. */
    OK(sp_users_mechanisms(u, S("alice"), S("PLAIN"), &e));
    OK(sp_users_mechanisms(u, S("bob"), S("EXTERNAL"), &e));
    CHECK_INT(pw(u, c, "alice", "bob", "pw-alice", user, &worked), SP_LOGIN_OK);
    CHECK_INT(pw(u, c, "bob", "", "pw-bob", user, &worked), SP_LOGIN_TOO_WEAK);
    OK(sp_users_mechanisms(u, S("bob"), S(""), &e));
    CHECK_INT(pw(u, c, "bob", "", "pw-bob", user, &worked), SP_LOGIN_OK);
    sp_auth_cache_free(c);
    done(u);
}

TEST("a login ends with what it rested on")
{
    struct sp_users *u = people();
    struct sp_login_result r;
    uint64_t then;

#define STILL(who, proved, basis, since, want, word)                                   \
    OK(sp_login_still_good(u, S(who), S(proved), SP_LOGIN_BY_##basis, since, &r, &e)); \
    CHECK_INT(r.status, want);                                                         \
    CHECK(strstr(r.reason, word) != NULL);                                             \
    sp_user_free(r.user)
    then = sp_users_generation(u);
    STILL("alice", "alice", SECRET, then, SP_LOGIN_OK, "");
    STILL("bob", "alice", SECRET, then, SP_LOGIN_OK, "");
    OK(sp_users_act_as(u, S("alice"), S("bob"), false, &e));
    STILL("bob", "alice", SECRET, then, SP_LOGIN_FAILED, "may not act as");
    STILL("alice", "alice", SECRET, then, SP_LOGIN_OK,
          ""); /* rights, not the password */
    OK(sp_users_set_password(u, S("alice"), S("new one"), 4096, &e));
    STILL("alice", "alice", SECRET, then, SP_LOGIN_FAILED, "password was changed");
    STILL("alice", "alice", CERTIFICATE, then, SP_LOGIN_OK, "");
    STILL("alice", "alice", SYSTEM, 0, SP_LOGIN_OK, "");
    STILL("alice", "alice", SECRET, sp_users_generation(u), SP_LOGIN_OK, "");
    OK(sp_users_no_password(u, S("alice"), &e));
    STILL("alice", "alice", SECRET, UINT64_MAX, SP_LOGIN_FAILED, "no password");
    STILL("alice", "alice", CERTIFICATE, then, SP_LOGIN_OK, "");
    STILL("alice", "alice", SYSTEM, 0, SP_LOGIN_OK, "");
    OK(sp_users_enable(u, S("alice"), false, &e));
    STILL("alice", "alice", CERTIFICATE, then, SP_LOGIN_FAILED, "disabled");
    STILL("alice", "alice", SYSTEM, 0, SP_LOGIN_FAILED, "disabled");
    OK(sp_users_remove(u, S("bob"), &e));
    STILL("bob", "bob", SECRET, then, SP_LOGIN_FAILED, "no such account");
    done(u);
}

TEST("the generation of a login is that of the younger account it looked at")
{
    struct sp_users *u = people();
    struct sp_login_try t = {.mechanism = "PLAIN",
                             .authentication_identity = S("alice"),
                             .authorization_identity = S("bob")};
    struct sp_login_result r;

    OK(sp_users_set_password(u, S("alice"), S("younger than bob"), 4096, &e));
    OK(sp_login_judge(u, &t, &r, &e));
    CHECK_INT(r.status, SP_LOGIN_OK);
    CHECK(r.generation == sp_users_generation(u));
    sp_user_free(r.user);
    STILL("bob", "alice", SECRET, r.generation, SP_LOGIN_OK, "");
    done(u);
}

TEST("a required certificate: the password must be its account's, or of one it may act "
     "as")
{
    static const struct {
        const char *cert, *who;
        bool passes;
    } row[] = {{"alice", "alice", true},
               {"alice", "bob", true},
               {"bob", "alice", false},
               {"", "alice", false},
               {"nobody", "bob", false},
               {"dave", "erin", false} /* may act as erin, and is disabled */};
    struct sp_users *u = people();

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct sp_login_try t = {.mechanism = "PLAIN",
                                 .authentication_identity = S(row[i].who)};
        struct sp_login_result r;

        OK(sp_login_judge(u, &t, &r, &e));
        OK(sp_login_within_certificate(u, row[i].cert, &r, &e));
        CHECK_INT(r.status, row[i].passes ? SP_LOGIN_OK : SP_LOGIN_FAILED);
        CHECK(row[i].passes == (r.user != NULL));
        CHECK(row[i].passes || strstr(r.reason, "may not act as"));
        sp_user_free(r.user);
    }
    done(u);
}

/* A whole SCRAM login of `name` with `password`, judged. */
static enum sp_login_status scram(struct sp_users *u, const char *name,
                                  const char *password, const char *as)
{
    struct sp_sasl_client_opts co = {
        .user = S(name), .password = S(password), .authorization_identity = S(as)};
    struct sp_sasl_server_opts so = {0};
    struct sp_sasl *c = NULL, *s = NULL;
    struct sp_scram_verifier v;
    struct sp_login_result r = {.status = SP_LOGIN_FAILED};
    struct sp_str m = {0};
    uint64_t g = 0;

    OK(sp_sasl_client_new(S("SCRAM-SHA-256"), &co, &c, &e));
    OK(sp_sasl_server_new(S("SCRAM-SHA-256"), &so, &s, &e));
    CHECK(sp_sasl_step(c, m, &m) == SP_SASL_CONTINUE);
    CHECK(sp_sasl_step(s, m, &m) == SP_SASL_VERIFIER);
    OK(sp_login_verifier(u, SP_SCRAM_SHA256, sp_sasl_user(s), &v, &g, &e));
    CHECK(sp_sasl_give_scram(s, &v, &m) == SP_SASL_CONTINUE);
    CHECK(sp_sasl_step(c, m, &m) == SP_SASL_CONTINUE);
    if (sp_sasl_step(s, m, &m) == SP_SASL_DONE) {
        struct sp_login_try t = {.mechanism = "SCRAM-SHA-256",
                                 .authentication_identity = sp_sasl_user(s),
                                 .authorization_identity =
                                     sp_sasl_authorization_identity(s),
                                 .generation = g};

        OK(sp_login_judge(u, &t, &r, &e));
    }
    sp_user_free(r.user);
    sp_sasl_free(c);
    sp_sasl_free(s);
    return r.status;
}

TEST("SCRAM against the database: the same judgement, the same blindness")
{
    struct sp_users *u = people();
    struct sp_scram_verifier a, b;
    uint64_t g;

    CHECK_INT(scram(u, "alice", "pw-alice", ""), SP_LOGIN_OK);
    CHECK_INT(scram(u, "al@EXAMPLE.org", "pw-alice", "bob"), SP_LOGIN_OK);
    CHECK_INT(scram(u, "alice", "pw-alice", "carol"), SP_LOGIN_FAILED);
    CHECK_INT(scram(u, "alice", "wrong", ""), SP_LOGIN_FAILED);
    CHECK_INT(scram(u, "dave", "pw-dave", ""), SP_LOGIN_FAILED); /* disabled */
    CHECK_INT(scram(u, "erin", "", ""), SP_LOGIN_FAILED);        /* no password */
    CHECK_INT(scram(u, "nobody", "x", ""), SP_LOGIN_FAILED);
    /* Disabled, without password, unknown: a fake verifier, the same over a restart. */
    OK(sp_login_verifier(u, SP_SCRAM_SHA256, S("nobody@Example.org"), &a, &g, &e));
    CHECK(a.fake && g == 0);
    sp_users_close(u);
    OK(sp_users_open(t_path, SP_USERS_READ, &u, &e));
    OK(sp_login_verifier(u, SP_SCRAM_SHA256, S("nobody@example.ORG"), &b, &g, &e));
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    OK(sp_login_verifier(u, SP_SCRAM_SHA256, S("dave"), &a, &g, &e));
    CHECK(a.fake);
    CHECK_INT(a.iterations, SP_SCRAM_ITERATIONS_USUAL);
    CHECK_INT(a.salt_len, SP_SCRAM_SALT_USUAL);
    done(u);
}

TEST("an allocation that fails is reported and grants nothing")
{
    struct sp_users *u = people();
    long n;

    for (n = 0; n < 200; n++) {
        struct sp_login_try t = {.mechanism = "PLAIN",
                                 .authentication_identity = S("alice"),
                                 .authorization_identity = S("bob@example.org")};
        struct sp_login_result r = {0};
        int rc;

        sp_alloc_fail_at(n, 0);
        rc = sp_login_judge(u, &t, &r, &e);
        if (sp_alloc_count() <= n) { /* it was not reached */
            sp_alloc_fail_at(-1, 0);
            CHECK(rc == 0 && r.status == SP_LOGIN_OK);
            sp_user_free(r.user);
            break;
        }
        sp_alloc_fail_at(-1, 0);
        CHECK(rc == -SP_ENOMEM && !r.user);
    }
    CHECK(n >= 4 && n < 200);
    done(u);
}

TEST("a hash that crypt(3) does not know costs the same and passes nobody")
{
    unsigned long before = sp_password_work();

    CHECK_INT(sp_password_check("$nonsense$", S("x")), 0);
    CHECK(sp_password_work() - before >= 1);
    CHECK_INT(sp_password_check("", S("")), 0);
    CHECK_INT(sp_password_check("*0", S("")), 0);
    CHECK_INT(sp_password_check(NULL, S("x")), 0);
}

TEST("a password typed in another Unicode form is the same password")
{
    char hash[SP_CRYPT_TEXT_MAX], small[8];

    CHECK_INT(sp_password_hash(S("p\xc3\xa4ss"), hash, sizeof hash), 0);
    CHECK_INT(sp_password_check(hash, S("pa\xcc\x88ss")), 1);
    CHECK_INT(sp_password_check(hash, S("pass")), 0);
    CHECK_INT(sp_password_hash(S("x"), small, sizeof small), -SP_ELIMIT);
}

T_MAIN
