/* SCRAM and CRAM-MD5: published vectors, both ends against each other, every refusal. */
#include "sasl_i.h"
#include "t.h"
#include "text.h"

#include <stdlib.h>

static struct sp_str cs(const char *s)
{
    return sp_str(s);
}

static bool is(struct sp_str s, const char *want)
{
    if (sp_str_is(s, want))
        return true;
    printf("got \"%.*s\", not \"%s\"\n", (int)s.n, s.p, want);
    return false;
}

static struct sp_sasl *client(const char *mech, const char *user, const char *password,
                              const struct sp_sasl_binding *cb, bool plus)
{
    struct sp_sasl_client_opts o = {
        .user = cs(user), .password = cs(password), .plus_listed = plus};
    struct sp_sasl *s = NULL;

    if (cb)
        o.binding = *cb;
    CHECK(sp_sasl_client_new(cs(mech), &o, &s, NULL) == 0);
    return s;
}

static struct sp_sasl *server(const char *mech, const struct sp_sasl_binding *cb, bool plus,
                              bool require)
{
    struct sp_sasl_server_opts o = {.plus_listed = plus, .require_binding = require};
    struct sp_sasl *s = NULL;

    if (cb)
        o.binding = *cb;
    CHECK(sp_sasl_server_new(cs(mech), &o, &s, NULL) == 0);
    return s;
}

struct vector {
    const char *mech, *cnonce, *snonce, *salt64, *c1, *s1, *c2, *s2;
    enum sp_scram_hash hash;
};
static const struct vector vectors[] = {
    {"SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
     "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
     "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", SP_SCRAM_SHA1},
    {"SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
     "W22ZaJ0SNY7soEsUEjb6gQ==", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,"
     "i=4096",
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
     "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", SP_SCRAM_SHA256},
};

TEST("the vectors of RFC 5802 5 and RFC 7677 3, both sides")
{
    for (size_t i = 0; i < 2; i++) {
        const struct vector *v = &vectors[i];
        struct sp_sasl *c = client(v->mech, "user", "pencil", NULL, false);
        struct sp_sasl *s = server(v->mech, NULL, false, false);
        struct sp_scram_verifier ver;
        struct sp_str out = {0};
        uint8_t salt[32];
        int n = sp_base64_decode(cs(v->salt64), salt, sizeof salt);

        sp_sasl_fix_nonce(c, cs(v->cnonce));
        sp_sasl_fix_nonce(s, cs(v->snonce));
        CHECK(sp_scram_make(v->hash, cs("pencil"),
                            (struct sp_str){(char *)salt, (size_t)n}, 4096, &ver) == 0);
        CHECK(sp_sasl_step(c, (struct sp_str){0}, &out) == SP_SASL_CONTINUE);
        CHECK(is(out, v->c1));
        CHECK(sp_sasl_step(s, out, &out) == SP_SASL_VERIFIER);
        CHECK(is(sp_sasl_user(s), "user"));
        CHECK(sp_sasl_give_scram(s, &ver, &out) == SP_SASL_CONTINUE);
        CHECK(is(out, v->s1));
        CHECK(sp_sasl_step(c, out, &out) == SP_SASL_CONTINUE);
        CHECK(is(out, v->c2));
        CHECK(sp_sasl_step(s, out, &out) == SP_SASL_DONE);
        CHECK(is(out, v->s2));
        CHECK(sp_sasl_step(c, out, &out) == SP_SASL_DONE);
        CHECK_INT(out.n, 0);
        CHECK(out.p != NULL);
        sp_sasl_free(c);
        sp_sasl_free(s);
    }
}

TEST("the vector of RFC 2195 2, both sides")
{
    const char *ch = "<1896.697170952@postoffice.reston.mci.net>";
    struct sp_sasl *c = client("CRAM-MD5", "tim", "tanstaaftanstaaf", NULL, false);
    struct sp_sasl *s = server("cram-md5", NULL, false, false);
    struct sp_str out = {0};

    sp_sasl_fix_nonce(s, cs(ch));
    CHECK(sp_sasl_step(s, (struct sp_str){0}, &out) == SP_SASL_CONTINUE);
    CHECK(is(out, ch));
    CHECK(sp_sasl_step(c, out, &out) == SP_SASL_DONE);
    CHECK(is(out, "tim b913a602c7eda7a495b4e6e7334d3890"));
    CHECK(sp_sasl_step(s, out, &out) == SP_SASL_VERIFIER);
    CHECK(is(sp_sasl_user(s), "tim"));
    CHECK(sp_sasl_give_secret(s, cs("tanstaaftanstaaf"), &out) == SP_SASL_DONE);
    sp_sasl_free(c);
    sp_sasl_free(s);
}

TEST("a verifier in its text form comes back the same, and knows its password")
{
    struct sp_scram_verifier v, w;
    char text[SP_SCRAM_TEXT_MAX];
    int n;

    CHECK(sp_scram_make(SP_SCRAM_SHA256, cs("pencil"), (struct sp_str){0}, 4096, &v) == 0);
    n = sp_scram_print(&v, text, sizeof text);
    CHECK(n > 0);
    CHECK(strncmp(text, "SCRAM-SHA-256$4096:", 19) == 0);
    CHECK(sp_scram_parse(cs(text), &w) == 0);
    CHECK(memcmp(&v, &w, sizeof v) == 0);
    CHECK_INT(sp_scram_check(&w, cs("pencil")), 1);
    CHECK_INT(sp_scram_check(&w, cs("pencil ")), 0);
    for (int i = 0; i < n; i++) /* no shorter text is a verifier */
        CHECK(sp_scram_parse((struct sp_str){text, (size_t)i}, &w) < 0);
    CHECK(sp_scram_parse(cs("SCRAM-SHA-512$4096:YQ==$YQ==:YQ=="), &w) < 0);
    CHECK(sp_scram_make(SP_SCRAM_SHA256, cs("x"), (struct sp_str){0}, 4095, &v) < 0);
    CHECK(sp_scram_make(SP_SCRAM_SHA256, cs("x"), (struct sp_str){0}, 1000001, &v) < 0);
}

T_MAIN
