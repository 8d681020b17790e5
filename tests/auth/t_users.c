/* The users database: accounts, rights, generations, and files that are not one. */
#include "t.h"
#include "users.h"
#include "verify.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[96];

static struct sp_users *fresh(void)
{
    struct sp_users *u = NULL;
    struct sp_err err = {0};

    snprintf(dir, sizeof dir, "/tmp/t_users.XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/users.db", dir);
    CHECK(sp_users_open(path, SP_USERS_WRITE, &u, &err) == 0);
    return u;
}

static void done(struct sp_users *u)
{
    char cmd[128];

    sp_users_close(u);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    CHECK(system(cmd) == 0);
}

#define S(x) sp_str(x)

TEST("an account comes back as it was stored, by name and by each own address")
{
    struct sp_users *u = fresh();
    struct sp_user *x = NULL;
    struct sp_err e = {0};
    struct stat st;

    CHECK(sp_users_add(u, S("alice"), S("Alice@Example.ORG"), &e) == 0);
    CHECK(sp_users_add(u, S("bob"), S("bob@example.org"), &e) == 0);
    CHECK(sp_users_grant(u, S("alice"), S("a.second@example.net"), true, &e) == 0);
    CHECK(sp_users_grant(u, S("alice"), S("*@Lists.example"), false, &e) == 0);
    CHECK(sp_users_grant(u, S("alice"), S("*-bounces@example.org"), false, &e) == 0);
    CHECK(sp_users_act_as(u, S("alice"), S("bob"), true, &e) == 0);
    CHECK(sp_users_limits(u, S("alice"), 1000000, 50, &e) == 0);
    CHECK(sp_users_find(u, S("Alice@EXAMPLE.org"), &x, &e) == 0);
    if (x) {
        CHECK_STR(x->name, "alice");
        CHECK(x->enabled && !x->has_password);
        CHECK_STR(x->first_address, "Alice@example.org");
        CHECK_INT(x->addresses, 4);
        CHECK_INT(x->own_addresses, 2);
        CHECK(sp_user_may_send_as(x, S("list-bounces@EXAMPLE.org")));
        CHECK(sp_user_may_send_as(x, S("anything@lists.EXAMPLE")));
        CHECK(!sp_user_may_send_as(x, S("alice@example.org"))); /* local part exact */
        CHECK(!sp_user_may_send_as(x, S("bob@example.org")));
        CHECK(sp_user_may_act_as(x, S("bob")) && !sp_user_may_act_as(x, S("carol")));
        CHECK_INT(x->message_size_max, 1000000);
        CHECK_INT(x->recipients_max, 50);
    }
    sp_user_free(x);
    CHECK(sp_users_find(u, S("a.second@EXAMPLE.net"), &x, &e) == 0);
    sp_user_free(x);
    /* A granted address is no name to log in by. */
    CHECK_INT(sp_users_find(u, S("x-bounces@example.org"), &x, &e), -SP_ENOENT);
    CHECK_INT(sp_users_find(u, S("alice@example.org"), &x, &e), -SP_ENOENT);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
    done(u);
}

T_MAIN
