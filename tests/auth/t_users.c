/* The users database: accounts, rights, generations, and files that are not one. */
#include "t_auth.h"
#include "verify.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static uint64_t generation(struct sp_users *u, const char *name)
{
    struct sp_user *x = NULL;
    uint64_t g;

    if (sp_users_get(u, S(name), &x, &e) < 0)
        return 0;
    g = x->generation;
    sp_user_free(x);
    return g;
}

static void sql(const char *text)
{
    sqlite3 *db = NULL;

    CHECK(sqlite3_open(t_path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

static const struct sp_user_limits full = {1000000, 50, 7, {{{1, 2, 3}, {4, 5, 100000000}}}};

TEST("an account comes back as it was stored, by name and by each own address")
{
    struct sp_users *u = fresh();
    struct sp_user *x = NULL;
    struct stat st;

    OK(sp_users_add(u, S("alice"), S("Alice@Example.ORG"), &e));
    OK(sp_users_add(u, S("bob"), S("bob@example.org"), &e));
    OK(sp_users_grant(u, S("alice"), S("a.second@example.net"), true, &e));
    OK(sp_users_grant(u, S("alice"), S("*@Lists.example"), false, &e));
    OK(sp_users_grant(u, S("alice"), S("*-bounces@example.org"), false, &e));
    OK(sp_users_act_as(u, S("alice"), S("bob"), true, &e));
    OK(sp_users_limits(u, S("alice"), &full, &e));
    OK(sp_users_find(u, S("Alice@EXAMPLE.org"), &x, &e));
    if (x) {
        CHECK_STR(x->name, "alice");
        CHECK(x->enabled && !x->has_password);
        CHECK_STR(x->first_address, "Alice@example.org");
        CHECK_INT(x->addresses, 4);
        CHECK_INT(x->own_addresses, 2);
        CHECK(sp_user_may_send_as(x, S("list-bounces@EXAMPLE.org")));
        CHECK(sp_user_may_send_as(x, S("anything@lists.EXAMPLE")));
        CHECK(!sp_user_may_send_as(x,
                                   S("-bounces@example.org"))); /* star: at least one */
        CHECK(!sp_user_may_send_as(x, S("alice@example.org"))); /* local part exact */
        CHECK(!sp_user_may_send_as(x, S("a@sub.lists.example")));
        CHECK(!sp_user_may_send_as(x, S("bob@example.org")));
        CHECK(sp_user_may_act_as(x, S("bob")) && !sp_user_may_act_as(x, S("carol")));
        CHECK_INT(x->limits.message_size_max, full.message_size_max);
        CHECK_INT(x->limits.recipients_max, full.recipients_max);
        CHECK_INT(x->limits.sessions_max, full.sessions_max);
        CHECK(memcmp(&x->limits.rates, &full.rates, sizeof full.rates) == 0);
    }
    sp_user_free(x);
    OK(sp_users_find(u, S("a.second@EXAMPLE.net"), &x, &e));
    sp_user_free(x);
    /* A granted address is no name to log in by. */
    CHECK_INT(sp_users_find(u, S("x-bounces@example.org"), &x, &e), -SP_ENOENT);
    CHECK_INT(sp_users_find(u, S("*@lists.example"), &x, &e), -SP_ENOENT);
    CHECK_INT(sp_users_find(u, S("alice@example.org"), &x, &e), -SP_ENOENT);
    CHECK_INT(sp_users_find(u, S("ALICE"), &x, &e), -SP_ENOENT);
    CHECK(stat(t_path, &st) == 0 && (st.st_mode & 07777) == 0640);
    done(u);
}

TEST("grants of the wrong form are refused")
{
    static const char *const bad[] = {"",      "a",     "@b",    "a@",        "*",
                                      "*@*",   "a@*.b", "a*b@c", "a b@c",     "<a@b>",
                                      "a@b c", "**@b",  "a@b\n", "\xff@b.org"};
    char out[SP_ADDRESS_MAX + 1];
    bool pattern;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(sp_grant_canonical(S(bad[i]), out, sizeof out, &pattern), -SP_EINPUT);
    CHECK(sp_grant_canonical(S("A*@X.Y"), out, sizeof out, &pattern) < 0);
    CHECK_INT(sp_grant_canonical(S("*-x@X.Y"), out, sizeof out, &pattern), 7);
    CHECK_STR(out, "*-x@x.y");
    CHECK(pattern);
    CHECK_INT(sp_grant_canonical(S("\"a@b\"@X.Y"), out, sizeof out, &pattern), 9);
    CHECK(!pattern);
}

TEST("names that would confuse a path, a log or a login are refused")
{
    static const char *const bad[] = {
        "",          "-x",  ".x",   "a b",   "a/b",  "a\\b",
        "a\"b",      "a:b", "a\tb", "a\x7f", "\xff", "\xc2\xaa" /* becomes a */,
        "I\xc2\xadX"};
    char out[SP_NAME_MAX + 1], longest[SP_NAME_MAX + 2];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(sp_account_canonical(S(bad[i]), out, sizeof out), -SP_EINPUT);
    memset(longest, 'a', sizeof longest);
    CHECK(sp_account_canonical((struct sp_str){longest, SP_NAME_MAX}, out, sizeof out) >
          0);
    CHECK(sp_account_canonical((struct sp_str){longest, SP_NAME_MAX + 1}, out,
                               sizeof out) < 0);
    CHECK(sp_account_canonical(S("J\xc3\xbcrgen@Example.ORG"), out, sizeof out) > 0);
    CHECK_STR(out, "J\xc3\xbcrgen@example.org");
}

TEST("one address is the own address of one account only")
{
    struct sp_users *u = fresh();
    struct sp_user *x = NULL;

    OK(sp_users_add(u, S("alice"), S("a@example.org"), &e));
    CHECK_INT(sp_users_add(u, S("alice"), S(""), &e), -SP_EEXIST);
    CHECK_INT(sp_users_add(u, S("bob"), S("a@EXAMPLE.org"), &e), -SP_EEXIST);
    CHECK_INT(sp_users_get(u, S("bob"), &x, &e),
              -SP_ENOENT); /* nothing was left over */
    CHECK_INT(sp_users_add(u, S("a@example.org"), S(""), &e), -SP_EEXIST);
    OK(sp_users_add(u, S("bob"), S(""), &e));
    CHECK_INT(sp_users_grant(u, S("bob"), S("a@example.org"), true, &e), -SP_EEXIST);
    OK(sp_users_grant(u, S("bob"), S("a@example.org"), false, &e));
    CHECK_INT(sp_users_grant(u, S("bob"), S("*@example.org"), true, &e), -SP_EINPUT);
    OK(sp_users_find(u, S("a@example.org"), &x, &e));
    CHECK(x && strcmp(x->name, "alice") == 0);
    sp_user_free(x);
    /* Somebody else made it two: then it names nobody. */
    sql("UPDATE address SET own = 1");
    CHECK_INT(sp_users_find(u, S("a@example.org"), &x, &e), -SP_ENOENT);
    done(u);
}

TEST("the first address follows what the account owns")
{
    struct sp_users *u = fresh();
    struct sp_user *x = NULL;

    OK(sp_users_add(u, S("alice"), S(""), &e));
    OK(sp_users_grant(u, S("alice"), S("z@example.org"), false, &e));
    OK(sp_users_grant(u, S("alice"), S("b@example.org"), true, &e));
    OK(sp_users_grant(u, S("alice"), S("a@example.org"), true, &e));
    OK(sp_users_get(u, S("alice"), &x, &e));
    CHECK_STR(x->first_address, "b@example.org");
    sp_user_free(x);
    CHECK_INT(sp_users_set_first(u, S("alice"), S("z@example.org"), &e), -SP_ENOENT);
    OK(sp_users_set_first(u, S("alice"), S("a@EXAMPLE.org"), &e));
    OK(sp_users_revoke(u, S("alice"), S("a@example.org"), &e));
    OK(sp_users_get(u, S("alice"), &x, &e));
    CHECK_STR(x->first_address, "b@example.org");
    sp_user_free(x);
    OK(sp_users_revoke(u, S("alice"), S("b@example.org"), &e));
    CHECK_INT(sp_users_revoke(u, S("alice"), S("b@example.org"), &e), -SP_ENOENT);
    OK(sp_users_get(u, S("alice"), &x, &e));
    CHECK_STR(x->first_address, "");
    sp_user_free(x);
    done(u);
}

TEST("every change of an account raises its generation")
{
    struct sp_users *u = fresh();
    static const char pin[] =
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    uint64_t g, before;

    OK(sp_users_add(u, S("alice"), S("a@example.org"), &e));
    OK(sp_users_add(u, S("bob"), S(""), &e));
    before = generation(u, "alice");
#define RAISES(call)                                                                   \
    OK(call);                                                                          \
    g = generation(u, "alice");                                                        \
    CHECK(g > before && g == sp_users_generation(u));                                  \
    before = g
    RAISES(sp_users_set_password(u, S("alice"), S("secret"), 4096, &e));
    RAISES(sp_users_enable(u, S("alice"), false, &e));
    RAISES(sp_users_enable(u, S("alice"), true, &e));
    RAISES(sp_users_grant(u, S("alice"), S("*@example.net"), false, &e));
    RAISES(sp_users_grant(u, S("alice"), S("b@example.net"), true, &e));
    RAISES(sp_users_set_first(u, S("alice"), S("b@example.net"), &e));
    RAISES(sp_users_revoke(u, S("alice"), S("*@example.net"), &e));
    RAISES(sp_users_act_as(u, S("alice"), S("bob"), true, &e));
    RAISES(sp_users_enable(u, S("bob"), false, &e)); /* a right of alice's is gone */
    RAISES(sp_users_act_as(u, S("alice"), S("bob"), false, &e));
    RAISES(sp_users_act_as(u, S("alice"), S("bob"), true, &e));
    RAISES(sp_users_limits(u, S("alice"), &(struct sp_user_limits){1, 1, 0, {{{0}}}}, &e));
    RAISES(sp_users_pin(u, S("alice"), S(pin), true, &e));
    RAISES(sp_users_pin(u, S("alice"), S(pin), false, &e));
    RAISES(sp_users_map(u, S("alice"), SP_USERS_BY_URI, S("spiffe://a/b"), S(""), true,
                        &e));
    RAISES(sp_users_map(u, S("alice"), SP_USERS_BY_URI, S("spiffe://a/b"), S(""), false,
                        &e));
    RAISES(sp_users_no_password(u, S("alice"), &e));
    OK(sp_users_remove(u, S("bob"), &e));
    CHECK(generation(u, "alice") > before);
    before = generation(u, "alice");
    /* What was refused changes nothing. */
    CHECK(sp_users_grant(u, S("alice"), S("nonsense"), false, &e) < 0);
    CHECK(sp_users_act_as(u, S("alice"), S("bob"), true, &e) < 0);
    CHECK(sp_users_pin(u, S("alice"), S("00"), true, &e) < 0);
    CHECK_INT(generation(u, "alice"), before);
    CHECK_INT(sp_users_enable(u, S("nobody"), true, &e), -SP_ENOENT);
    /* An account made again is not the old one. */
    OK(sp_users_remove(u, S("alice"), &e));
    OK(sp_users_add(u, S("alice"), S("a@example.org"), &e));
    CHECK(generation(u, "alice") > before);
    done(u);
}

static char changed[200];

static void note(void *arg, struct sp_str name)
{
    size_t n = strlen(changed);

    (void)arg;
    snprintf(changed + n, sizeof changed - n, "%.*s ", (int)name.n, name.p);
}

TEST("a reader notices what another process changed, and whom it concerns")
{
    struct sp_users *w = fresh(), *r = NULL;
    uint64_t seen;

    OK(sp_users_add(w, S("alice"), S(""), &e));
    OK(sp_users_add(w, S("bob"), S(""), &e));
    OK(sp_users_open(t_path, SP_USERS_READ, &r, &e));
    CHECK_INT(sp_users_changed(r), 0);
    CHECK_INT(sp_users_changed(r), 0);
    seen = sp_users_generation(r);
    OK(sp_users_enable(w, S("bob"), false, &e));
    CHECK_INT(sp_users_changed(r), 1);
    CHECK_INT(sp_users_changed(r), 0);
    changed[0] = '\0';
    CHECK_INT(sp_users_changes(r, seen, note, NULL, &e), 1);
    CHECK_STR(changed, "bob ");
    seen = sp_users_generation(r);
    OK(sp_users_remove(w, S("alice"), &e));
    changed[0] = '\0';
    CHECK_INT(sp_users_changes(r, seen, note, NULL, &e), 1);
    CHECK_STR(changed, "alice ");
    CHECK_INT(sp_users_enable(r, S("bob"), true, &e), -SP_EDENIED);
    sp_users_close(r);
    done(w);
}

static int count_users(void *arg, const struct sp_user *x)
{
    (void)x;
    ++*(int *)arg;
    return 0;
}

TEST("a command that writes and a role that reads do not disturb each other")
{
    struct sp_users *w = fresh(), *r = NULL;
    int found = 0, status = -1, n = 0;
    pid_t pid;

    OK(sp_users_add(w, S("alice"), S("a@example.org"), &e));
    sp_users_close(w);
    pid = fork();
    if (pid == 0) {
        char name[32];
        int bad = sp_users_open(t_path, SP_USERS_WRITE, &w, &e) < 0;

        for (int i = 0; i < 60 && !bad; i++) {
            snprintf(name, sizeof name, "user%d", i);
            bad = sp_users_add(w, S(name), S(""), &e) < 0 ||
                  sp_users_limits(w, S("alice"), &(struct sp_user_limits){.message_size_max = (uint64_t)i}, &e) < 0;
        }
        sp_users_close(w);
        _exit(bad);
    }
    OK(sp_users_open(t_path, SP_USERS_READ, &r, &e));
    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct sp_user *x = NULL;
        int rc = sp_users_find(r, S("a@example.org"), &x, &e);
        int since = sp_users_changed(r);

        /* A disk that takes longer for a commit than readers wait makes them ask again. */
        if (rc != -SP_EAGAIN) {
            CHECK_INT(rc, 0);
            CHECK(x && x->own_addresses == 1);
            found++;
        }
        sp_user_free(x);
        CHECK(since >= 0 || since == -SP_EAGAIN);
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(found > 0); /* a busy machine may run them one after the other */
    OK(sp_users_list(r, count_users, &n, &e));
    CHECK_INT(n, 61);
    sp_users_close(r);
    remove_dir();
}

TEST("a password leaves a yescrypt hash and verifiers, never itself")
{
    struct sp_users *u = fresh();
    struct sp_user *x = NULL;
    char blob[65536];
    size_t n;
    FILE *f;

    OK(sp_users_add(u, S("alice"), S(""), &e));
    OK(sp_users_set_password(u, S("alice"), S("correct horse battery"), 0, &e));
    OK(sp_users_get(u, S("alice"), &x, &e));
    CHECK(x->has_password && x->crypt && strncmp(x->crypt, "$y$", 3) == 0);
    CHECK(x->has_scram[0] && x->has_scram[1]);
    CHECK_INT(x->scram[SP_SCRAM_SHA256].iterations, SP_SCRAM_ITERATIONS_USUAL);
    CHECK_INT(sp_password_check(x->crypt, S("correct horse battery")), 1);
    CHECK_INT(sp_scram_check(&x->scram[SP_SCRAM_SHA256], S("correct horse battery")),
              1);
    CHECK_INT(sp_scram_check(&x->scram[SP_SCRAM_SHA1], S("correct horse battery")), 1);
    sp_user_free(x);
    f = fopen(t_path, "rb");
    n = f ? fread(blob, 1, sizeof blob, f) : 0;
    CHECK(n > 4096 && !memmem(blob, n, "correct horse", 13));
    if (f)
        fclose(f);
    CHECK_INT(sp_users_set_password(u, S("alice"), S(""), 0, &e), -SP_EINPUT);
    CHECK_INT(sp_users_set_password(u, S("alice"), S("a\nb"), 0, &e), -SP_EINPUT);
    CHECK_INT(sp_users_set_password(u, S("alice"), S("x"), 100, &e), -SP_EINPUT);
    OK(sp_users_no_password(u, S("alice"), &e));
    OK(sp_users_get(u, S("alice"), &x, &e));
    CHECK(!x->has_password && !x->crypt && !x->has_scram[0] && !x->has_scram[1]);
    sp_user_free(x);
    done(u);
}

TEST("a database of a newer program is refused and left as it is")
{
    struct sp_users *u = fresh();

    sp_users_close(u);
    sql("PRAGMA user_version = 5");
    CHECK_INT(sp_users_open(t_path, SP_USERS_READ, &u, &e), -SP_EVERSION);
    CHECK(strstr(e.text, "newer") != NULL);
    CHECK_INT(sp_users_open(t_path, SP_USERS_WRITE, &u, &e), -SP_EVERSION);
    sql("PRAGMA user_version = 4");
    OK(sp_users_open(t_path, SP_USERS_READ, &u, &e));
    done(u);
}

TEST("a database of version 1 is brought up to date by its first reader, nothing is "
     "lost")
{
    struct sp_users *u = fresh();
    struct sp_user *x;

    OK(sp_users_add(u, S("alice"), S("alice@example.org"), &e));
    OK(sp_users_set_password(u, S("alice"), S("secret"), 4096, &e));
    sp_users_close(u);
    sql("ALTER TABLE account DROP COLUMN secret_generation;"
        "ALTER TABLE account DROP COLUMN sessions_max;"
        "ALTER TABLE account DROP COLUMN messages_m;"
        "ALTER TABLE account DROP COLUMN messages_h;"
        "ALTER TABLE account DROP COLUMN messages_d;"
        "ALTER TABLE account DROP COLUMN recipients_m;"
        "ALTER TABLE account DROP COLUMN recipients_h;"
        "ALTER TABLE account DROP COLUMN recipients_d;"
        "ALTER TABLE account DROP COLUMN mechanisms;"
        "ALTER TABLE pin DROP COLUMN subject; ALTER TABLE pin DROP COLUMN until_s;"
        "PRAGMA user_version = 1");
    OK(sp_users_open(t_path, SP_USERS_READ, &u, &e));
    OK(sp_users_get(u, S("alice"), &x, &e));
    CHECK(x->has_password && x->own_addresses == 1 && x->secret_generation == 0);
    sp_user_free(x);
    sp_users_close(u);
    OK(sp_users_open(t_path, SP_USERS_WRITE, &u, &e));
    OK(sp_users_set_password(u, S("alice"), S("another"), 4096, &e));
    OK(sp_users_get(u, S("alice"), &x, &e));
    CHECK(x->secret_generation == x->generation && x->generation > 1);
    sp_user_free(x);
    done(u);
}

struct seen {
    char text[600];
};

static int see(void *arg, const struct sp_users_certificate *c)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);

    snprintf(s->text + n, sizeof s->text - n, "%d %s %d %.6s %s %lld\n", (int)c->key,
             c->user, c->enabled, c->value, c->second, (long long)c->until_s);
    return 0;
}

TEST("pins and mappings are listed with what they are, and asked about as a whole")
{
    static const char spki[] =
        "aaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    struct sp_users *u = fresh();
    struct seen s = {""};

    OK(sp_users_add(u, S("alice"), S(""), &e));
    OK(sp_users_add(u, S("bob"), S(""), &e));
    CHECK_INT(sp_users_any_certificate(u, &e), 0);
    OK(sp_users_pin(u, S("bob"), S(spki), true, &e));
    CHECK_INT(sp_users_any_certificate(u, &e), 1);
    CHECK_INT(sp_users_pin_note(u, S("alice"), S(spki), S("CN=x"), 5, &e), -SP_ENOENT);
    OK(sp_users_pin_note(u, S("bob"), S(spki), S("CN=bob"), 1800000000, &e));
    OK(sp_users_map(u, S("alice"), SP_USERS_BY_URI, S("spiffe://x/a"), S(""), true,
                    &e));
    OK(sp_users_map(u, S("alice"), SP_USERS_BY_DN, S("CN=a"), S("CN=ca"), true, &e));
    OK(sp_users_enable(u, S("bob"), false, &e));
    OK(sp_users_certificates(u, see, &s, &e));
    CHECK_STR(s.text, "0 bob 0 aaaaaa CN=bob 1800000000\n"
                      "2 alice 1 spiffe  0\n3 alice 1 CN=a CN=ca 0\n");
    OK(sp_users_pin(u, S("bob"), S(spki), false, &e));
    CHECK_INT(sp_users_any_certificate(u, &e), 1);
    OK(sp_users_map(u, S("alice"), SP_USERS_BY_URI, S("spiffe://x/a"), S(""), false,
                    &e));
    OK(sp_users_remove(u, S("alice"), &e)); /* takes its mapping with it */
    CHECK_INT(sp_users_any_certificate(u, &e), 0);
    done(u);
}

static void overwrite(long at, size_t n)
{
    int fd = open(t_path, O_RDWR);
    char junk[4096];

    memset(junk, 0x5a, sizeof junk);
    CHECK(fd >= 0 && pwrite(fd, junk, n, at) == (ssize_t)n);
    close(fd);
}

TEST("a damaged, foreign, empty or missing file gives a clear error")
{
    struct sp_users *u = fresh();
    struct stat st;

    OK(sp_users_add(u, S("alice"), S("a@example.org"), &e));
    sp_users_close(u);
    CHECK(stat(t_path, &st) == 0);
    for (long at = 4096; at < st.st_size; at += 4096)
        overwrite(at, 4096);
    CHECK_INT(sp_users_open(t_path, SP_USERS_READ, &u, &e), -SP_EIO);
    CHECK(strstr(e.text, "damaged") && strstr(e.text, t_path));
    overwrite(0, 100);
    CHECK_INT(sp_users_open(t_path, SP_USERS_WRITE, &u, &e), -SP_EIO);
    CHECK(strstr(e.text, "damaged") != NULL);
    CHECK(truncate(t_path, 0) == 0);
    CHECK_INT(sp_users_open(t_path, SP_USERS_READ, &u, &e), -SP_EIO);
    CHECK(strstr(e.text, "not a users database") != NULL);
    unlink(t_path);
    sql("CREATE TABLE other(x)");
    CHECK_INT(sp_users_open(t_path, SP_USERS_WRITE, &u, &e), -SP_EIO);
    unlink(t_path);
    CHECK_INT(sp_users_open(t_path, SP_USERS_READ, &u, &e), -SP_ENOENT);
    CHECK_INT(sp_users_open("/nonexistent/x.db", SP_USERS_WRITE, &u, &e), -SP_EIO);
    remove_dir();
}

TEST("a writer killed inside its commit does not keep anybody from logging in")
{
    for (int open_before = 0; open_before < 2; open_before++) {
        struct sp_users *u = fresh(), *r = NULL;
        struct sp_user *x = NULL;
        char journal[112];
        pid_t pid;

        OK(sp_users_add(u, S("alice"), S("a@example.org"), &e));
        sp_users_close(u);
        if (open_before)
            OK(sp_users_open(t_path, SP_USERS_READ, &r, &e));
        pid = fork();
        if (pid == 0) {
            sqlite3 *db = NULL;

            if (sqlite3_open(t_path, &db) != SQLITE_OK ||
                sqlite3_exec(
                    db,
                    "PRAGMA cache_size = 2; BEGIN;"
                    "UPDATE account SET name = 'gone';"
                    "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
                    " SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t"
                    " SELECT hex(randomblob(100)) FROM n",
                    NULL, NULL, NULL) != SQLITE_OK)
                _exit(1);
            kill(getpid(), SIGKILL);
        }
        CHECK(waitpid(pid, NULL, 0) == pid);
        snprintf(journal, sizeof journal, "%s-journal", t_path);
        CHECK(access(journal, F_OK) == 0); /* else this test proves nothing */
        if (!open_before)
            OK(sp_users_open(t_path, SP_USERS_READ, &r, &e));
        if (r)
            OK(sp_users_find(r, S("a@example.org"), &x, &e));
        CHECK(x && strcmp(x->name, "alice") == 0);
        sp_user_free(x);
        sp_users_close(r);
        remove_dir();
    }
}

TEST("a row that somebody damaged by hand costs that account only")
{
    struct sp_users *u = fresh();
    struct sp_user *x = NULL;

    OK(sp_users_add(u, S("alice"), S(""), &e));
    OK(sp_users_set_password(u, S("alice"), S("pw"), 4096, &e));
    sp_users_close(u);
    sql("UPDATE account SET scram256 = 'SCRAM-SHA-256$1:x$y:z', scram1 = scram256");
    OK(sp_users_open(t_path, SP_USERS_READ, &u, &e));
    OK(sp_users_get(u, S("alice"), &x, &e));
    CHECK(x && !x->has_scram[0] && !x->has_scram[1] && x->crypt);
    sp_user_free(x);
    done(u);
}

static const struct sp_user_limits absurd = {.message_size_max = UINT64_MAX};

TEST("limits on how much an account can hold are kept")
{
    struct sp_users *u = fresh();
    char text[64];
    int rc = 0;

    OK(sp_users_add(u, S("alice"), S(""), &e));
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
        " INSERT INTO address SELECT 1, 'a' || i || '@x.org', 0 FROM n");
    for (int i = 0; i < 3 && rc == 0; i++) {
        snprintf(text, sizeof text, "b%d@x.org", i);
        rc = sp_users_grant(u, S("alice"), S(text), false, &e);
        CHECK_INT(rc, i == 0 ? 0 : -SP_ELIMIT);
    }
    CHECK_INT(sp_users_limits(u, S("alice"), &absurd, &e), -SP_EINPUT);
    done(u);
}

/* Opened for reading beside `w`. */
static struct sp_users *beside(void)
{
    struct sp_users *r = NULL;

    OK(sp_users_open(t_path, SP_USERS_READ, &r, &e));
    return r;
}

TEST("a reader keeps an account while nobody writes, and not one commit longer")
{
    struct sp_users *w = fresh(), *r;
    struct sp_user *x = NULL, *y = NULL;

    OK(sp_users_add(w, S("alice"), S("a@example.org"), &e));
    r = beside();
    CHECK_INT(sp_users_find(r, S("A@example.org"), &x, &e), -SP_ENOENT); /* exact */
    OK(sp_users_find(r, S("a@Example.ORG"), &x, &e));
    OK(sp_users_find(r, S("a@Example.ORG"), &y, &e));
    CHECK(x && x == y); /* the same one */
    sp_user_free(y);
    for (int i = 0; i < 20; i++) {
        OK(sp_users_enable(w, S("alice"), i % 2, &e));
        OK(sp_users_find(r, S("a@Example.ORG"), &y, &e));
        CHECK(y && y->enabled == (i % 2 != 0));
        sp_user_free(y);
    }
    CHECK(x && x->enabled); /* who holds one keeps what it was */
    sp_user_free(x);
    OK(sp_users_remove(w, S("alice"), &e));
    CHECK_INT(sp_users_find(r, S("a@Example.ORG"), &y, &e), -SP_ENOENT);
    sp_users_close(r);
    done(w);
}

TEST("that nobody has a name is kept until somebody gets it")
{
    struct sp_users *w = fresh(), *r = beside();
    struct sp_user *x = NULL;

    for (int i = 0; i < 3; i++)
        CHECK_INT(sp_users_find(r, S("bob@example.org"), &x, &e), -SP_ENOENT);
    OK(sp_users_add(w, S("bob"), S("bob@example.org"), &e));
    CHECK_INT(sp_users_get(r, S("bob@example.org"), &x, &e), -SP_ENOENT);
    OK(sp_users_find(r, S("bob@example.org"), &x, &e));
    sp_user_free(x);
    /* What find gave by the address is not what get gives for the same text. */
    CHECK_INT(sp_users_get(r, S("bob@example.org"), &x, &e), -SP_ENOENT);
    OK(sp_users_add(w, S("carol"), S(""), &e));
    OK(sp_users_revoke(w, S("bob"), S("bob@example.org"), &e));
    CHECK_INT(sp_users_find(r, S("bob@example.org"), &x, &e), -SP_ENOENT);
    sp_users_close(r);
    done(w);
}

TEST("a commit that is rolled back leaves a reader with what was there")
{
    struct sp_users *w = fresh(), *r;
    struct sp_user *x = NULL;
    sqlite3 *db = NULL;

    OK(sp_users_add(w, S("alice"), S(""), &e));
    sp_users_close(w);
    r = beside();
    OK(sp_users_get(r, S("alice"), &x, &e));
    sp_user_free(x);
    CHECK(sqlite3_open(t_path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db,
                       "PRAGMA cache_size = 1; BEGIN; UPDATE account SET enabled = 0;"
                       "UPDATE meta SET generation = 99; PRAGMA cache_spill = 1;",
                       NULL, NULL, NULL) == SQLITE_OK);
    OK(sp_users_get(r, S("alice"), &x, &e));
    CHECK(x && x->enabled);
    sp_user_free(x);
    CHECK(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
    OK(sp_users_get(r, S("alice"), &x, &e));
    CHECK(x && x->enabled);
    sp_user_free(x);
    CHECK(sqlite3_exec(db, "UPDATE account SET enabled = 0", NULL, NULL, NULL) ==
          SQLITE_OK);
    OK(sp_users_get(r, S("alice"), &x, &e));
    CHECK(x && !x->enabled);
    sp_user_free(x);
    sqlite3_close(db);
    done(r);
}

TEST("a file that somebody put into WAL mode is read each time")
{
    struct sp_users *w = fresh(), *r;
    struct sp_user *x = NULL;

    OK(sp_users_add(w, S("alice"), S(""), &e));
    sp_users_close(w);
    sql("PRAGMA journal_mode = WAL");
    OK(sp_users_open(t_path, SP_USERS_WRITE, &w, &e));
    r = beside();
    for (int i = 0; i < 4; i++) {
        OK(sp_users_enable(w, S("alice"), i % 2, &e));
        OK(sp_users_get(r, S("alice"), &x, &e));
        CHECK(x && x->enabled == (i % 2 != 0));
        sp_user_free(x);
    }
    sp_users_close(w);
    done(r);
}

T_MAIN
