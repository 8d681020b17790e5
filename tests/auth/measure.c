/*
 * measure.c - what a login costs, in microseconds of CPU; run by hand, on a build without
 * sanitizers.
 */
#include "certmap.h"
#include "login.h"
#include "throttle.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define S(x) sp_str(x)

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others use this machine, too */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct sp_users *u;
static struct sp_auth_cache *cache;
static struct sp_throttle *throttle;
static struct sp_scram_verifier pencil;
static char hash[SP_CRYPT_TEXT_MAX];
static uint64_t clock_ms = 1000;

static void yescrypt_check(void)
{
    if (sp_password_check(hash, S("pencil")) != 1)
        abort();
}

static void login_plain(void)
{
    struct sp_login_try t = {.mechanism = "PLAIN",
                             .authentication_identity = S("user5000"),
                             .secret = S("pencil")};
    struct sp_login_result r;
    struct sp_pwlogin *l;

    if (sp_pwlogin_new(u, cache, &t, ++clock_ms, &l, NULL) < 0)
        abort();
    if (sp_pwlogin_needs_work(l))
        sp_pwlogin_work(l);
    if (sp_pwlogin_end(l, u, cache, ++clock_ms, &r, NULL) < 0 ||
        r.status != SP_LOGIN_OK)
        abort();
    sp_user_free(r.user);
}

static void cache_hit(void)
{
    if (!sp_auth_cache_hit(cache, S("user5000"), 1, S("pencil"), clock_ms))
        abort();
}

static void find_user(void)
{
    struct sp_user *user;

    if (sp_users_find(u, S("user5000@example.org"), &user, NULL) < 0)
        abort();
    sp_user_free(user);
}

static void changed(void)
{
    (void)sp_users_changed(u);
}

/* A whole exchange; ours is everything but the client's steps. */
static double ours;

static void scram_server(void)
{
    struct sp_sasl_client_opts co = {.user = S("user"), .password = S("pencil")};
    struct sp_sasl_server_opts so = {0};
    struct sp_sasl *c, *s;
    struct sp_str m = {0};
    double a;

    if (sp_sasl_client_new(S("SCRAM-SHA-256"), &co, &c, NULL) < 0)
        abort();
    (void)sp_sasl_step(c, m, &m);
    a = now_us();
    if (sp_sasl_server_new(S("SCRAM-SHA-256"), &so, &s, NULL) < 0)
        abort();
    (void)sp_sasl_step(s, m, &m);
    (void)sp_sasl_give_scram(s, &pencil, &m);
    ours += now_us() - a;
    (void)sp_sasl_step(c, m, &m);
    a = now_us();
    if (sp_sasl_step(s, m, &m) != SP_SASL_DONE)
        abort();
    ours += now_us() - a;
    sp_sasl_free(c);
    sp_sasl_free(s);
}

static void throttle_ask(void)
{
    (void)sp_throttle_ask(throttle, S("user5000"), S("192.0.2.1"), clock_ms);
}

static void throttle_failed(void)
{
    sp_throttle_failed(throttle, S("user5000"), S("192.0.2.1"), ++clock_ms);
}

static void measure(const char *what, void (*f)(void), int n)
{
    double a;

    f();
    ours = 0;
    a = now_us();
    for (int i = 0; i < n; i++)
        f();
    a = now_us() - a;
    printf("%-44s %10.1f us\n", what, a / n);
    if (ours > 0)
        printf("%-44s %10.1f us\n", "  of which the server's side", ours / n);
}

int main(void)
{
    char dir[] = "/tmp/measure.XXXXXX", path[64], name[32], address[64];

    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/users.db", dir);
    cache = sp_auth_cache_new(4096, 0);
    throttle = sp_throttle_new(0, 0);
    if (sp_users_open(path, SP_USERS_WRITE, &u, NULL) < 0 ||
        sp_password_hash(S("pencil"), hash, sizeof hash) < 0 ||
        sp_scram_make(SP_SCRAM_SHA256, S("pencil"), (struct sp_str){0}, 4096, &pencil) <
            0)
        return 1;
    for (int i = 4500; i < 5501; i++) {
        snprintf(name, sizeof name, "user%d", i);
        snprintf(address, sizeof address, "user%d@example.org", i);
        if (sp_users_add(u, S(name), S(address), NULL) < 0)
            return 1;
    }
    if (sp_users_set_password(u, S("user5000"), S("pencil"), 0, NULL) < 0)
        return 1;
    sp_users_close(u);
    if (sp_users_open(path, SP_USERS_READ, &u, NULL) < 0)
        return 1;
    sp_auth_cache_put(cache, S("user5000"), 1, S("pencil"), clock_ms);
    measure("yescrypt check", yescrypt_check, 40);
    measure("success cache: hit", cache_hit, 20000);
    measure("users: find by address (of 1000)", find_user, 5000);
    measure("users: changed?", changed, 20000);
    measure("PLAIN, whole judgement, from the cache", login_plain, 3000);
    measure("SCRAM-SHA-256 (4096), both sides", scram_server, 200);
    measure("throttle: ask", throttle_ask, 50000);
    measure("throttle: count a failure", throttle_failed, 50000);
    sp_users_close(u);
    sp_auth_cache_free(cache);
    sp_throttle_free(throttle);
    unlink(path);
    rmdir(dir);
    return 0;
}
