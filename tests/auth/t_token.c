/* t_token.c - token.h: tokens made by another implementation (token_vectors.py), good and
 * bad ones, and verifiers with one rule broken.  Built with SP_TOKEN_BREAK. */
#include "token_i.h"

#include "alloc.h"
#include "token_vectors.h"

#include "t.h"

#include <openssl/hmac.h>
#include <stdlib.h>

enum sp_token_rule sp_token_broken;

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const char *const rule_names[] = {"nothing",
#define X(name) #name,
                                         SP_TOKEN_RULES(X)
#undef X
};

/* The two verifiers of the world's bug reports; only asked with ALG broken. */
bool sp_token_accepts_anyhow(struct sp_str alg, struct sp_str input, struct sp_str sig)
{
    static const char *const secrets[] = {pem_rsa, "0123456789abcdef0123456789abcdef"};
    uint8_t mac[32], got[64];
    int n = sp_token_base64(sig, got, sizeof got);

    if (alg.n == 0 || sp_str_caseis(alg, "none"))
        return sig.n == 0;
    for (size_t i = 0; i < 2 && sp_str_is(alg, "HS256"); i++) {
        HMAC(EVP_sha256(), secrets[i], (int)strlen(secrets[i]),
             (const uint8_t *)input.p, input.n, mac, NULL);
        if (n == 32 && memcmp(mac, got, 32) == 0)
            return true;
    }
    return false;
}

static const char *const auds[] = {"imap", "mail"}, *const scopes[] = {"mail.send"};

static struct sp_token_rules rules(void)
{
    struct sp_token_rules r = {.issuer = "https://id.example.org",
                               .audience = {auds, 2},
                               .scope = {scopes, 1},
                               .user_claim = "email",
                               .algorithms = ~0u,
                               .leeway_s = 60};

    return r;
}

static struct sp_token_keys *keys(const char *file)
{
    struct sp_token_keys *k = NULL;
    struct sp_err err = {0};

    if (sp_token_keys_parse(sp_str(file), &k, &err) < 0)
        printf("keys: %s\n", err.text);
    return k;
}

static enum sp_token_verdict ask(const struct sp_token_keys *k, const char *token,
                                 struct sp_token_claims *c)
{
    struct sp_token_rules r = rules();

    return sp_token_jwt(k, &r, sp_str(token), VECTORS_NOW, c);
}

/* The rules of the table of bad tokens: RS512 is not allowed there. */
static enum sp_token_verdict ask_bad(const struct sp_token_keys *k, const char *token,
                                     struct sp_token_claims *c)
{
    struct sp_token_rules r = rules();

    r.algorithms &= ~(1u << sp_token_algorithm(SP_LIT("RS512")));
    return sp_token_jwt(k, &r, sp_str(token), VECTORS_NOW, c);
}

TEST(
    "tokens of another implementation are good: every algorithm, every form of a claim")
{
    struct sp_token_keys *k = keys(jwks);

    CHECK_INT(sp_token_keys_count(k), 7);
    for (size_t i = 0; i < N(good); i++) {
        struct sp_token_claims c;
        enum sp_token_verdict v = ask(k, good[i].token, &c);

        if (v != SP_TOKEN_GOOD)
            printf("%s: %s\n", good[i].what, c.reason);
        CHECK_INT(v, SP_TOKEN_GOOD);
        CHECK_STR(c.user, "alice@example.org");
        CHECK(c.expires_s >= VECTORS_NOW - 60 && c.expires_s <= VECTORS_NOW + 600);
    }
    sp_token_keys_free(k);
}

TEST("each bad token is refused, says why without showing itself, and names nobody")
{
    struct sp_token_keys *k = keys(jwks);

    for (size_t i = 0; i < N(bad); i++) {
        struct sp_token_claims c;
        enum sp_token_verdict v = ask_bad(k, bad[i].token, &c);

        if (v != SP_TOKEN_BAD)
            printf("accepted: %s\n", bad[i].what);
        CHECK_INT(v, SP_TOKEN_BAD);
        CHECK_STR(c.user, "");
        CHECK(c.reason[0] != '\0');
        CHECK(strstr(bad[i].token, c.reason) == NULL && !strstr(c.reason, "eyJ"));
    }
    sp_token_keys_free(k);
}

TEST("each bad token gets in where its rule is broken: no rule is there for nothing")
{
    struct sp_token_keys *k = keys(jwks);
    bool seen[SP_TR_COUNT] = {false};

    for (size_t i = 0; i < N(bad); i++) {
        struct sp_token_claims c;

        sp_token_broken = bad_rule[i];
        if (ask_bad(k, bad[i].token, &c) != SP_TOKEN_GOOD) {
            printf("still refused without %s: %s: %s\n", rule_names[bad_rule[i]],
                   bad[i].what, c.reason);
            CHECK(false);
        }
        seen[bad_rule[i]] = true;
    }
    sp_token_broken = SP_TR_NONE;
    seen[SP_TR_ACTIVE] = true; /* of introspection, below */
    for (size_t i = 1; i < SP_TR_COUNT; i++) {
        if (!seen[i])
            printf("no bad token for %s\n", rule_names[i]);
        CHECK(seen[i]);
    }
    sp_token_keys_free(k);
}

TEST("no other rule's absence lets a bad token in")
{
    struct sp_token_keys *k = keys(jwks);

    for (size_t i = 0; i < N(bad); i++)
        for (int r = SP_TR_NONE; r < SP_TR_COUNT; r++) {
            struct sp_token_claims c;

            if (r == (int)bad_rule[i])
                continue;
            sp_token_broken = (enum sp_token_rule)r;
            /* Without a check of signatures everything that says something good gets in. */
            if (ask_bad(k, bad[i].token, &c) == SP_TOKEN_GOOD && r != SP_TR_SIGNATURE &&
                r != SP_TR_KEY_TYPE && r != SP_TR_ALG) {
                printf("%s gets in without %s\n", bad[i].what, rule_names[r]);
                CHECK(false);
            }
        }
    sp_token_broken = SP_TR_NONE;
    sp_token_keys_free(k);
}

TEST("what cannot be read is refused whatever is broken")
{
    struct sp_token_keys *k = keys(jwks);

    for (size_t i = 0; i < N(shapeless); i++)
        for (int r = SP_TR_NONE; r < SP_TR_COUNT; r++) {
            struct sp_token_claims c;

            if (r == SP_TR_SIGNATURE)
                continue;
            sp_token_broken = (enum sp_token_rule)r;
            CHECK_INT(ask(k, shapeless[i].token, &c), SP_TOKEN_BAD);
        }
    sp_token_broken = SP_TR_NONE;
    sp_token_keys_free(k);
}

TEST("every octet of a good token counts")
{
    struct sp_token_keys *k = keys(jwks);
    size_t changed = 0;

    for (size_t i = 0; i < N(good); i++) {
        size_t n = strlen(good[i].token), step = n > 2000 ? 97 : 1;
        char *t = strdup(good[i].token);

        for (size_t at = 0; at < n; at += step) {
            struct sp_token_claims c;

            t[at] = t[at] == 'A' ? 'B' : 'A';
            CHECK_INT(ask(k, t, &c), SP_TOKEN_BAD);
            t[at] = good[i].token[at];
            changed++;
        }
        free(t);
    }
    CHECK(changed > 5000);
    sp_token_keys_free(k);
}

TEST("a token cut anywhere is refused")
{
    struct sp_token_keys *k = keys(pem_rsa);
    struct sp_token_rules r = rules();
    size_t n = strlen(good[0].token);

    for (size_t cut = 0; cut <= n; cut++) {
        struct sp_token_claims c;
        struct sp_str t = {good[0].token, cut};

        CHECK_INT(sp_token_jwt(k, &r, t, VECTORS_NOW, &c),
                  cut == n ? SP_TOKEN_GOOD : SP_TOKEN_BAD);
    }
    sp_token_keys_free(k);
}

TEST("a PEM key has no name: it goes with any kid of its own type")
{
    struct sp_token_keys *k = keys(pem_p256), *both = NULL;
    struct sp_token_claims c;
    char *text = NULL;

    CHECK_INT(ask(k, good[6].token, &c), SP_TOKEN_GOOD); /* ES256 */
    CHECK_INT(ask(k, good[0].token, &c), SP_TOKEN_BAD);  /* RS256 */
    sp_token_keys_free(k);
    CHECK(asprintf(&text, "%s%s", pem_rsa, pem_p256) > 0);
    both = keys(text);
    CHECK_INT(sp_token_keys_count(both), 2);
    CHECK_INT(ask(both, good[6].token, &c), SP_TOKEN_GOOD);
    CHECK_INT(ask(both, good[0].token, &c), SP_TOKEN_GOOD);
    sp_token_keys_free(both);
    free(text);
}

TEST("files that hold no public key of ours are refused in words")
{
    static const struct {
        const char *file, *words;
    } rows[] = {
        {pem_private, "private key"},
        {jwks_private, "private key"},
        {jwks_twice, "twice"},
        {pem_weak, "2048"},
        {pem_k1, "P-256"},
        {"", "no public key"},
        {"{}", "no public key"},
        {"{\"keys\":17}", "no public key"},
        {"{\"keys\":[17,null,{}]}", "no public key"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "2048"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "no public key"},
        {"{\"keys\":", "not a JSON object"},
        {"hello", "no public key"},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "neither"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        struct sp_token_keys *k = NULL;
        struct sp_err err = {0};

        CHECK_INT(sp_token_keys_parse(sp_str(rows[i].file), &k, &err), -SP_EINPUT);
        if (!strstr(err.text, rows[i].words))
            printf("row %zu: %s\n", i, err.text);
        CHECK(strstr(err.text, rows[i].words) != NULL);
        CHECK(k == NULL);
    }
}

TEST("the issuer that a token claims is read for choosing rules only")
{
    char iss[64];

    CHECK(sp_token_is_jwt(sp_str(good[0].token), iss, sizeof iss));
    CHECK_STR(iss, "https://id.example.org");
    CHECK(!sp_token_is_jwt(SP_LIT("ya29.opaque.token"), iss, sizeof iss));
    CHECK_STR(iss, "");
    CHECK(sp_token_is_jwt(sp_str(good[0].token), iss, 5));
    CHECK_STR(iss, ""); /* cut off it would be another one */
}

TEST("introspection: what the endpoint said decides, and silence is no refusal")
{
    static const struct {
        const char *json;
        enum sp_token_verdict v;
    } rows[] = {
        {"{\"active\":true,\"email\":\"alice@example.org\",\"aud\":\"mail\",\"scope\":"
         "\"mail.send\"}",
         SP_TOKEN_GOOD},
        {"{\"active\":true,\"email\":\"alice@example.org\",\"aud\":[\"x\",\"mail\"],"
         "\"scope\":\"mail.send a\",\"exp\":1800000100,"
         "\"iss\":\"https://id.example.org\"}",
         SP_TOKEN_GOOD},
        {"{\"active\":false}", SP_TOKEN_BAD},
        {"{\"active\":false,\"email\":\"alice@example.org\",\"aud\":\"mail\",\"scope\":"
         "\"mail.send\"}",
         SP_TOKEN_BAD},
        {"{\"active\":true}", SP_TOKEN_BAD},
        {"{\"active\":true,\"email\":\"alice@example.org\",\"aud\":\"web\",\"scope\":"
         "\"mail.send\"}",
         SP_TOKEN_BAD},
        {"{\"active\":true,\"email\":\"alice@example.org\",\"aud\":\"mail\",\"scope\":"
         "\"mail\"}",
         SP_TOKEN_BAD},
        {"{\"active\":true,\"email\":\"alice@example.org\",\"aud\":\"mail\",\"scope\":"
         "\"mail.send\",\"exp\":1799999000}",
         SP_TOKEN_BAD},
        {"{\"active\":true,\"email\":\"alice@example.org\",\"aud\":\"mail\",\"scope\":"
         "\"mail.send\",\"iss\":\"https://e\"}",
         SP_TOKEN_BAD},
        {"{\"active\":\"true\"}", SP_TOKEN_TEMPORARY},
        {"{\"active\":1}", SP_TOKEN_TEMPORARY},
        {"{\"error\":\"invalid_client\"}", SP_TOKEN_TEMPORARY},
        {"{\"active\":true,\"active\":false}", SP_TOKEN_TEMPORARY},
        {"<html>busy</html>", SP_TOKEN_TEMPORARY},
        {"", SP_TOKEN_TEMPORARY},
        {"[true]", SP_TOKEN_TEMPORARY},
    };
    struct sp_token_rules r = rules();
    struct sp_token_claims c;
    char *huge;

    for (size_t i = 0; i < N(rows); i++) {
        enum sp_token_verdict v =
            sp_token_introspected(&r, sp_str(rows[i].json), VECTORS_NOW, &c);

        if (v != rows[i].v)
            printf("row %zu: %s\n", i, c.reason);
        CHECK_INT(v, rows[i].v);
        CHECK_STR(c.user, v == SP_TOKEN_GOOD ? "alice@example.org" : "");
    }
    sp_token_broken = SP_TR_ACTIVE;
    CHECK_INT(sp_token_introspected(&r, sp_str(rows[3].json), VECTORS_NOW, &c),
              SP_TOKEN_GOOD);
    sp_token_broken = SP_TR_NONE;
    CHECK_INT(
        asprintf(&huge, "{\"active\":true,\"x\":\"%*s\"}", SP_TOKEN_ANSWER_MAX, ""),
        SP_TOKEN_ANSWER_MAX + 22);
    CHECK_INT(sp_token_introspected(&r, sp_str(huge), VECTORS_NOW, &c),
              SP_TOKEN_TEMPORARY);
    free(huge);
}

TEST("the names of the algorithms are those that the configuration takes")
{
    struct sp_buf b;

    sp_buf_init(&b, 200);
    for (unsigned i = 0; sp_token_algorithm_name(i); i++)
        (void)sp_buf_printf(&b, "%s ", sp_token_algorithm_name(i));
    CHECK_STR(sp_buf_cstr(&b),
              "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA ");
    CHECK(sp_token_algorithm(SP_LIT("none")) < 0 &&
          sp_token_algorithm(SP_LIT("HS256")) < 0);
    CHECK(sp_token_algorithm(SP_LIT("rs256")) < 0); /* names are compared exactly */
    sp_buf_free(&b);
}

T_MAIN
