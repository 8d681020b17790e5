/* SCRAM and CRAM-MD5: published vectors, both ends against each other, every refusal. */
#include "alloc.h"
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

static struct sp_sasl *server(const char *mech, const struct sp_sasl_binding *cb,
                              bool plus, bool require)
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
    {"SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j",
     "QSXCR+Q6sek8bf92", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+"
     "HI4Ts=",
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

TEST("CRAM-MD5: what is kept instead of the password answers for it, and for no other")
{
    static const char long_one[] = "0123456789abcdef0123456789abcdef0123456789abcdef"
                                   "0123456789abcdef and more than a block";
    static const char *const passwords[] = {"tanstaaftanstaaf", "x", long_one};

    for (size_t i = 0; i < 3; i++)
        for (int right = 0; right < 3; right++) {
            struct sp_sasl *s = server("CRAM-MD5", NULL, false, false);
            struct sp_sasl *c = client("CRAM-MD5", "tim", passwords[i], NULL, false);
            struct sp_str out = {0};
            uint8_t context[SP_CRAM_CONTEXT];

            CHECK_INT(sp_cram_make(cs(passwords[right ? i : (i + 1) % 3]), context), 0);
            CHECK(sp_sasl_step(s, out, &out) == SP_SASL_CONTINUE);
            CHECK(sp_sasl_step(c, out, &out) == SP_SASL_DONE);
            CHECK(sp_sasl_step(s, out, &out) == SP_SASL_VERIFIER);
            CHECK(sp_sasl_give_cram(s, right == 2 ? NULL : context, &out) ==
                  (right == 1 ? SP_SASL_DONE : SP_SASL_FAILED));
            if (right != 1)
                CHECK_INT(sp_sasl_error(s)->code, SP_EDENIED);
            sp_sasl_free(s);
            sp_sasl_free(c);
        }
    uint8_t context[SP_CRAM_CONTEXT];
    CHECK_INT(sp_cram_make(cs(""), context), -SP_EINPUT);
}

TEST("a verifier in its text form comes back the same, and knows its password")
{
    struct sp_scram_verifier v, w;
    char text[SP_SCRAM_TEXT_MAX];
    int n;

    CHECK(sp_scram_make(SP_SCRAM_SHA256, cs("pencil"), (struct sp_str){0}, 4096, &v) ==
          0);
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

/* ---- Whole exchanges ---- */

static struct sp_scram_verifier pencil[2];

static const struct sp_scram_verifier *verifier(const char *mech)
{
    enum sp_scram_hash h = SP_SCRAM_SHA1;

    CHECK(sp_sasl_scram_hash(cs(mech), &h) == 0);
    if (!pencil[h].iterations)
        CHECK(sp_scram_make(h, cs("pencil"), (struct sp_str){0}, 4096, &pencil[h]) ==
              0);
    return &pencil[h];
}

/* What is done to message `at` (1: client-first ... 4: server-final) on its way. */
struct tamper {
    int at;
    size_t keep; /* octets left over */
    size_t bit;  /* this bit is changed; SIZE_MAX: none */
    const char *instead;
};
#define NO_TAMPER ((struct tamper){.at = 0, .bit = SIZE_MAX})

static struct sp_str on_the_way(const struct tamper *t, int at, struct sp_str m,
                                char *room, size_t *ret_len)
{
    *ret_len = m.n;
    if (t->at != at)
        return m;
    if (t->instead)
        return cs(t->instead);
    memcpy(room, m.p, m.n);
    if (t->keep < m.n)
        m.n = t->keep;
    if (t->bit < 8 * m.n)
        room[t->bit / 8] = (char)(room[t->bit / 8] ^ (1 << t->bit % 8));
    /* an exact allocation lets the sanitizer see a read past the end */
    return (struct sp_str){room, m.n};
}

struct outcome {
    bool client, server; /* DONE */
    size_t len[5];
    struct sp_err cerr, serr;
};

static struct outcome play(struct sp_sasl *c, struct sp_sasl *s,
                           const struct sp_scram_verifier *v, const struct tamper *t)
{
    struct outcome o = {0};
    struct sp_str m = {0};
    char *room = malloc(20000);
    enum sp_sasl_status st = sp_sasl_step(c, m, &m);

    if (st == SP_SASL_CONTINUE)
        st = sp_sasl_step(s, on_the_way(t, 1, m, room, &o.len[1]), &m);
    if (st == SP_SASL_VERIFIER)
        st = sp_sasl_give_scram(s, v, &m);
    if (st == SP_SASL_CONTINUE)
        st = sp_sasl_step(c, on_the_way(t, 2, m, room, &o.len[2]), &m);
    if (st == SP_SASL_CONTINUE) {
        st = sp_sasl_step(s, on_the_way(t, 3, m, room, &o.len[3]), &m);
        o.server = st == SP_SASL_DONE;
    }
    if (o.server)
        o.client =
            sp_sasl_step(c, on_the_way(t, 4, m, room, &o.len[4]), &m) == SP_SASL_DONE;
    if (sp_sasl_error(c))
        o.cerr = *sp_sasl_error(c);
    if (sp_sasl_error(s))
        o.serr = *sp_sasl_error(s);
    free(room);
    return o;
}

static struct outcome run(const char *mech, const struct sp_sasl_binding *ccb,
                          const struct sp_sasl_binding *scb, bool cplus, bool splus,
                          bool require, const char *password, const struct tamper *t)
{
    struct sp_sasl *c = client(mech, "user", password, ccb, cplus);
    struct sp_sasl *s = server(mech, scb, splus, require);
    struct outcome o = play(c, s, verifier(mech), t);

    CHECK(!sp_sasl_bound(s) || (o.server && strstr(mech, "PLUS")) || !o.server);
    sp_sasl_free(c);
    sp_sasl_free(s);
    return o;
}

static const char *const all[] = {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS",
                                  "SCRAM-SHA-256-PLUS"};
#define EXP                                                                            \
    ((struct sp_sasl_binding){.exporter = {"0123456789abcdef0123456789abcdef", 32}})
#define EXP2                                                                           \
    ((struct sp_sasl_binding){.exporter = {"0123456789abcdef0123456789abcdeF", 32}})
#define UNI ((struct sp_sasl_binding){.unique = {"unique-data!", 12}})
static const struct sp_sasl_binding none;

TEST("each mechanism succeeds with the right password and fails with another")
{
    for (size_t i = 0; i < 4; i++) {
        const struct sp_sasl_binding *cb = i < 2 ? &none : &EXP;
        struct outcome o =
            run(all[i], cb, cb, i >= 2, i >= 2, i >= 2, "pencil", &NO_TAMPER);

        CHECK(o.client && o.server);
        o = run(all[i], cb, cb, i >= 2, i >= 2, false, "Pencil", &NO_TAMPER);
        CHECK(!o.client && !o.server);
        CHECK_INT(o.serr.code, SP_EDENIED);
    }
    CHECK(run("SCRAM-SHA-1-PLUS", &UNI, &UNI, true, true, true, "pencil", &NO_TAMPER)
              .client);
}

TEST("a channel that is not the client's does not pass (man in the middle)")
{
    struct outcome o =
        run("SCRAM-SHA-256-PLUS", &EXP, &EXP2, true, true, false, "pencil", &NO_TAMPER);

    CHECK(!o.server && !o.client);
    CHECK_INT(o.serr.cls, SP_CLASS_INSECURE);
    /* A binding type that this connection does not have */
    o = run("SCRAM-SHA-256-PLUS", &EXP, &UNI, true, true, false, "pencil", &NO_TAMPER);
    CHECK(!o.server && !o.client);
}

TEST("downgrade rows: y, n and p against what the server listed and wants")
{
    /* clang-format off */
    static const struct {
        const char *mech, *first;
        bool plus_listed, require, ok;
        enum sp_class cls;
    } row[] = {
        {"SCRAM-SHA-256",      "n,,n=user,r=x",              false, false, true,  SP_CLASS_PEER},
        {"SCRAM-SHA-256",      "n,,n=user,r=x",              true,  false, true,  SP_CLASS_PEER},
        {"SCRAM-SHA-256",      "n,,n=user,r=x",              true,  true,  false, SP_CLASS_INSECURE},
        {"SCRAM-SHA-256",      "y,,n=user,r=x",              false, false, true,  SP_CLASS_PEER},
        {"SCRAM-SHA-256",      "y,,n=user,r=x",              true,  false, false, SP_CLASS_INSECURE},
        {"SCRAM-SHA-256",      "y,,n=user,r=x",              false, true,  false, SP_CLASS_INSECURE},
        {"SCRAM-SHA-256",      "p=tls-exporter,,n=user,r=x", true,  false, false, SP_CLASS_PEER},
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=user,r=x", true,  true,  true,  SP_CLASS_PEER},
        {"SCRAM-SHA-256-PLUS", "p=tls-unique,,n=user,r=x",   true,  false, false, SP_CLASS_PEER},
        {"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=user,r=x", true, false, false, SP_CLASS_PEER},
        {"SCRAM-SHA-256-PLUS", "n,,n=user,r=x",              true,  false, false, SP_CLASS_PEER},
        {"SCRAM-SHA-256-PLUS", "y,,n=user,r=x",              true,  false, false, SP_CLASS_PEER},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct sp_sasl *s =
            server(row[i].mech, &EXP, row[i].plus_listed, row[i].require);
        struct sp_str out = {0};
        enum sp_sasl_status st = sp_sasl_step(s, cs(row[i].first), &out);

        if (st != (row[i].ok ? SP_SASL_VERIFIER : SP_SASL_FAILED) ||
            (!row[i].ok && sp_sasl_error(s)->cls != row[i].cls)) {
            printf("row %zu: %s\n", i, row[i].first);
            CHECK(!"as the row says");
        }
        sp_sasl_free(s);
    }
}

TEST("the client says y when it could bind, p when it may, n when it cannot")
{
    static const struct {
        const char *mech;
        bool binding, plus_listed;
        const char *begins;
    } row[] = {
        {"SCRAM-SHA-256", false, false, "n,,"},
        {"SCRAM-SHA-256", false, true, "n,,"},
        {"SCRAM-SHA-256", true, false, "y,,"},
        {"SCRAM-SHA-256", true, true, "n,,"}, /* asked for it without -PLUS */
        {"SCRAM-SHA-256-PLUS", true, true, "p=tls-exporter,,"},
    };
    for (size_t i = 0; i < 5; i++) {
        struct sp_sasl *c = client(row[i].mech, "user", "x",
                                   row[i].binding ? &EXP : &none, row[i].plus_listed);
        struct sp_str out = {0};

        CHECK(sp_sasl_step(c, out, &out) == SP_SASL_CONTINUE);
        CHECK(out.n > strlen(row[i].begins) &&
              memcmp(out.p, row[i].begins, strlen(row[i].begins)) == 0);
        sp_sasl_free(c);
    }
    /* TLS 1.2 has both: the one that everybody knows */
    struct sp_sasl_binding both = EXP;
    both.unique = UNI.unique;
    struct sp_sasl *c = client("SCRAM-SHA-1-PLUS", "user", "x", &both, true);
    struct sp_str said = {0};
    CHECK(sp_sasl_step(c, said, &said) == SP_SASL_CONTINUE);
    CHECK(said.n > 14 && memcmp(said.p, "p=tls-unique,,", 14) == 0);
    sp_sasl_free(c);
    c = NULL;
    struct sp_sasl_client_opts o = {.user = cs("u"), .password = cs("p")};
    CHECK_INT(sp_sasl_client_new(cs("SCRAM-SHA-1-PLUS"), &o, &c, NULL), -SP_EINPUT);
    o.user = cs("");
    CHECK_INT(sp_sasl_client_new(cs("SCRAM-SHA-1"), &o, &c, NULL), -SP_EINPUT);
    CHECK_INT(sp_sasl_client_new(cs("SCRAM-SHA-512"), &o, &c, NULL), -SP_ENOENT);
}

TEST("names with , and = and the authorization identity arrive as they were")
{
    struct sp_sasl_client_opts o = {.user = cs("a,b=c=2C"),
                                    .password = cs("pencil"),
                                    .authorization_identity = cs("other=,one")};
    struct sp_sasl *c = NULL, *s = server("SCRAM-SHA-256", NULL, false, false);
    struct outcome r;

    CHECK(sp_sasl_client_new(cs("SCRAM-SHA-256"), &o, &c, NULL) == 0);
    r = play(c, s, verifier("SCRAM-SHA-256"), &NO_TAMPER);
    CHECK(r.client && r.server);
    CHECK(is(sp_sasl_user(s), "a,b=c=2C"));
    CHECK(is(sp_sasl_authorization_identity(s), "other=,one"));
    sp_sasl_free(c);
    sp_sasl_free(s);
}

TEST("every truncation and every single-bit change of each message fails on some side")
{
    /* Each try is a whole exchange with its PBKDF2: in a quick run every ninth, which
     * still meets each bit position; all of them in the long run. */
    const size_t stride = getenv("SP_TEST_LONG") ? 1 : 9;
    const char *mech = "SCRAM-SHA-256";
    struct outcome plain =
        run(mech, &none, &none, false, false, false, "pencil", &NO_TAMPER);
    long tried = 0;

    CHECK(plain.client);
    for (int at = 1; at <= 4; at++) {
        for (size_t keep = 0; keep < plain.len[at]; keep += stride, tried++) {
            struct tamper t = {.at = at, .keep = keep, .bit = SIZE_MAX};
            struct outcome o =
                run(mech, &none, &none, false, false, false, "pencil", &t);

            CHECK(!o.client);
            CHECK(at == 4 || !o.server);
        }
        for (size_t bit = 0; bit < 8 * plain.len[at]; bit += stride, tried++) {
            struct tamper t = {.at = at, .keep = SIZE_MAX, .bit = bit};
            struct outcome o =
                run(mech, &none, &none, false, false, false, "pencil", &t);

            CHECK(!o.client);
            CHECK(at == 4 || !o.server);
        }
    }
    CHECK(tried > (long)(2000 / stride));
}

TEST("each malformed client-first message is malformed, not merely wrong")
{
    static const char *const bad[] = {
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=x,n=user",
        "n,,n=,r=x",
        "n,,n=user,r=",
        "n,,n=user,r=x,",
        "x,,n=user,r=x",
        "p,,n=user,r=x",
        "p=,,n=user,r=x",
        "N,,n=user,r=x",
        "n,b=u,n=user,r=x",
        "n,a=,n=user,r=x",
        "n,a=x=3,n=user,r=x",
        "n,,n=a=2c,r=x",
        "n,,n=a=,r=x",
        "n,,n=a=2,r=x",
        "n,,n=a=3C,r=x",
        "n,,n=user,r=a b",
        "n,,n=user,r=a\001",
        "n,,m=ext,n=user,r=x",
        "n,,n=user,r=x,m=ext",
        "n,,n=user,r=x,1=y",
        "n,,n=user,r=x,a",
        "n,,n=user,r=x,a=",
        "n,,n=\xc3,r=x",
        "n,,n=us\x01"
        "er,r=x",
        "n,,n=user,r=x,,a=b",
        "n,,n=\xc2\xad,r=x" /* soft hyphen: maps to nothing */,
        "n,,n=\xd8\xa7"
        "1,r=x" /* bidi: starts with R, ends without */,
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sp_sasl *s = server("SCRAM-SHA-256", NULL, false, false);
        struct sp_str out = {0};

        if (sp_sasl_step(s, cs(bad[i]), &out) != SP_SASL_FAILED ||
            sp_sasl_error(s)->code != SP_EINPUT) {
            printf("%zu: \"%s\"\n", i, bad[i]);
            CHECK(!"malformed");
        }
        CHECK(sp_sasl_step(s, cs("n,,n=user,r=x"), &out) ==
              SP_SASL_FAILED); /* sticky */
        sp_sasl_free(s);
    }
    struct sp_sasl *s = server("SCRAM-SHA-256", NULL, false, false);
    struct sp_str out = {0};
    CHECK(sp_sasl_step(s, (struct sp_str){"n,,n=us\0er,r=x", 14}, &out) ==
          SP_SASL_FAILED);
    sp_sasl_free(s);
    s = server("SCRAM-SHA-256", NULL, false, false);
    CHECK(sp_sasl_step(s, cs("n,,n=user,r=x,a=b,z=c=d"), &out) == SP_SASL_VERIFIER);
    sp_sasl_free(s);
}

TEST("each malformed or weak server message is refused by the client")
{
    struct sp_err seen;
    static const struct {
        int at;
        const char *text;
        enum sp_class cls;
    } bad[] = {
        {2, "", SP_CLASS_PEER},
        {2, "r=fixed", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=QSXCR+Q6sek8bf92", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=!!!!,i=4096", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=,i=4096", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=QSXCR+Q6sek8bf92,i=", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=QSXCR+Q6sek8bf92,i=0", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=QSXCR+Q6sek8bf92,i=-4096", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=QSXCR+Q6sek8bf92,i=4096,m=x", SP_CLASS_PEER},
        {2, "m=x,r=fixedSRV,s=QSXCR+Q6sek8bf92,i=4096", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=QSXCR+Q6sek8bf92,i=99999999999", SP_CLASS_PEER},
        {2, "e=other-error", SP_CLASS_PEER},
        {2, "r=fixedSRV,s=QSXCR+Q6sek8bf92,i=4095", SP_CLASS_INSECURE},
        {2, "r=fixedSRV,s=QSXCR+Q6sek8bf92,i=1000001", SP_CLASS_INSECURE},
        {2, "r=fixed,s=QSXCR+Q6sek8bf92,i=4096", SP_CLASS_INSECURE},
        {2, "r=FixedSRV,s=QSXCR+Q6sek8bf92,i=4096", SP_CLASS_INSECURE},
        {4, "", SP_CLASS_PEER},
        {4, "e=invalid-proof", SP_CLASS_PEER},
        {4, "v=", SP_CLASS_PEER},
        {4, "v=AAAA", SP_CLASS_PEER},
        {4, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", SP_CLASS_PEER}, /* 20 octets, not 32 */
        {4, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", SP_CLASS_INSECURE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sp_sasl *c = client("SCRAM-SHA-256", "user", "pencil", NULL, false);
        struct sp_sasl *s = server("SCRAM-SHA-256", NULL, false, false);
        struct tamper t = {.at = bad[i].at, .instead = bad[i].text};
        struct outcome o;

        sp_sasl_fix_nonce(c, cs("fixed"));
        o = play(c, s, verifier("SCRAM-SHA-256"), &t);
        seen = o.cerr;
        if (o.client || !seen.text[0] || seen.cls != bad[i].cls) {
            printf("%zu: \"%s\": %s\n", i, bad[i].text, seen.text);
            CHECK(!"refused as the row says");
        }
        CHECK(bad[i].at == 4 || !o.server);
        sp_sasl_free(c);
        sp_sasl_free(s);
    }
}

TEST("each malformed client-final message fails")
{
    static const char *const bad[] = {
        "",
        "c=biws",
        "c=biws,r=fixedSRV",
        "c=biws,r=fixedSRV,p=",
        "c=biws,r=fixedSRV,p=AAAA",
        "c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "r=fixedSRV,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=eSws,r=fixedSRV,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=fixedSRv,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=fixed,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=fixedSRV,m=1,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=fixedSRV,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,",
        "c=biws,r=fixedSRV,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,a=b",
        "c=biws,r=fixedSRV,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=b*ws,r=fixedSRV,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sp_sasl *s = server("SCRAM-SHA-256", NULL, false, false);
        struct sp_str out = {0};

        sp_sasl_fix_nonce(s, cs("SRV"));
        CHECK(sp_sasl_step(s, cs("n,,n=user,r=fixed"), &out) == SP_SASL_VERIFIER);
        CHECK(sp_sasl_give_scram(s, verifier("SCRAM-SHA-256"), &out) ==
              SP_SASL_CONTINUE);
        if (sp_sasl_step(s, cs(bad[i]), &out) != SP_SASL_FAILED) {
            printf("%zu: \"%s\"\n", i, bad[i]);
            CHECK(!"fails");
        }
        sp_sasl_free(s);
    }
}

/* A client-final message whose proof is right for what it says, whatever that is. */
static void by_hand(const struct sp_scram_verifier *v, const char *server_first,
                    const char *without_proof, char *out, size_t cap)
{
    uint8_t salted[32], key[32], stored[32], signature[32];
    char proof[64], msg[1024];
    int n;

    snprintf(msg, sizeof msg, "n=user,r=fixed,%s,%s", server_first, without_proof);
    CHECK(sp_scram_salted(v->hash, cs("pencil"),
                          (struct sp_str){(const char *)v->salt, v->salt_len},
                          v->iterations, salted) == 0);
    CHECK(sp_hmac(v->hash, salted, 32, cs("Client Key"), key) == 0);
    CHECK(sp_hash(v->hash, key, 32, stored) == 0);
    CHECK(sp_hmac(v->hash, stored, 32, cs(msg), signature) == 0);
    for (int i = 0; i < 32; i++)
        key[i] ^= signature[i];
    n = sp_base64_encode(key, 32, proof, sizeof proof);
    snprintf(out, cap, "%s,p=%.*s", without_proof, n, proof);
}

TEST("a right proof does not excuse another nonce or another gs2 header")
{
    static const struct {
        const char *without_proof;
        enum sp_sasl_status want;
    } row[] = {
        {"c=biws,r=fixedSRV", SP_SASL_DONE},
        {"c=biws,r=fixedSRV,x=extension", SP_SASL_DONE},
        {"c=biws,r=fixedSRW", SP_SASL_FAILED},
        {"c=biws,r=fixed", SP_SASL_FAILED},
        {"c=biws,r=SRV", SP_SASL_FAILED},
        {"c=eSws,r=fixedSRV", SP_SASL_FAILED},     /* "y,," */
        {"c=bixhPWEs,r=fixedSRV", SP_SASL_FAILED}, /* "n,a=a," */
        {"c=biws,r=fixedSRV,m=x", SP_SASL_FAILED},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct sp_sasl *s = server("SCRAM-SHA-256", NULL, false, false);
        struct sp_str out = {0};
        char first[512], final[512];

        sp_sasl_fix_nonce(s, cs("SRV"));
        CHECK(sp_sasl_step(s, cs("n,,n=user,r=fixed"), &out) == SP_SASL_VERIFIER);
        CHECK(sp_sasl_give_scram(s, verifier("SCRAM-SHA-256"), &out) ==
              SP_SASL_CONTINUE);
        snprintf(first, sizeof first, "%.*s", (int)out.n, out.p);
        by_hand(verifier("SCRAM-SHA-256"), first, row[i].without_proof, final,
                sizeof final);
        if (sp_sasl_step(s, cs(final), &out) != row[i].want) {
            printf("row %zu: %s\n", i, row[i].without_proof);
            CHECK(!"as the row says");
        }
        sp_sasl_free(s);
    }
}

TEST("without an initial response the client is asked by an empty challenge")
{
    struct sp_sasl *s = server("SCRAM-SHA-256", NULL, false, false);
    struct sp_str out = {0};

    CHECK(sp_sasl_step(s, (struct sp_str){0}, &out) == SP_SASL_CONTINUE);
    CHECK(out.p != NULL && out.n == 0);
    CHECK(sp_sasl_step(s, cs("n,,n=user,r=x"), &out) == SP_SASL_VERIFIER);
    CHECK(sp_sasl_step(s, cs("n,,n=user,r=x"), &out) == SP_SASL_FAILED); /* not now */
    sp_sasl_free(s);
}

TEST("an unknown user gets the same salt each time, and no password passes")
{
    uint8_t key[32] = {1}, other[32] = {2};
    struct sp_scram_verifier a, b, c, d;
    struct sp_sasl *cl = client("SCRAM-SHA-256", "user", "pencil", NULL, false);
    struct sp_sasl *s = server("SCRAM-SHA-256", NULL, false, false);
    char text[SP_SCRAM_TEXT_MAX];
    struct outcome o;

    CHECK(sp_scram_fake(SP_SCRAM_SHA256, key, cs("nobody"), 4096, &a) == 0);
    CHECK(sp_scram_fake(SP_SCRAM_SHA256, key, cs("nobody"), 4096, &b) == 0);
    CHECK(sp_scram_fake(SP_SCRAM_SHA256, key, cs("nobodz"), 4096, &c) == 0);
    CHECK(sp_scram_fake(SP_SCRAM_SHA256, other, cs("nobody"), 4096, &d) == 0);
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    CHECK(memcmp(a.salt, c.salt, 16) != 0 && memcmp(a.salt, d.salt, 16) != 0);
    CHECK_INT(a.salt_len,
              verifier("SCRAM-SHA-256")->salt_len);   /* looks like a real one */
    CHECK(sp_scram_print(&a, text, sizeof text) < 0); /* never stored */
    /* Even with keys that fit: what is fake never passes. */
    a = *verifier("SCRAM-SHA-256");
    a.fake = true;
    o = play(cl, s, &a, &NO_TAMPER);
    CHECK(!o.server && !o.client);
    CHECK_INT(o.serr.code, SP_EDENIED);
    sp_sasl_free(cl);
    sp_sasl_free(s);
}

TEST("a server's exchange costs no PBKDF2, known user or not")
{
    uint8_t key[32] = {1};
    struct sp_scram_verifier fake;
    unsigned long before;

    CHECK(sp_scram_fake(SP_SCRAM_SHA256, key, cs("user"), 4096, &fake) == 0);
    for (int i = 0; i < 2; i++) {
        struct sp_sasl *s = server("SCRAM-SHA-256", NULL, false, false);
        struct sp_str out = {0};

        before = sp_scram_work();
        CHECK(sp_sasl_step(s, cs("n,,n=user,r=fixed"), &out) == SP_SASL_VERIFIER);
        CHECK(sp_sasl_give_scram(s, i ? &fake : verifier("SCRAM-SHA-256"), &out) ==
              SP_SASL_CONTINUE);
        CHECK(sp_sasl_step(s, out, &out) == SP_SASL_FAILED);
        CHECK_INT(sp_scram_work() - before, 0);
        sp_sasl_free(s);
    }
}

TEST("SASLprep: RFC 4013 3, and what it refuses")
{
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } row[] = {
        {"I\xc2\xadX", "IX"},
        {"user", "user"},
        {"USER", "USER"},
        {"\xc2\xaa", "a"},
        {"\xe2\x85\xa8", "IX"},
        {"\x07", NULL},
        {"\xd8\xa7\x31", NULL},
        {"a\xcc\x88", "\xc3\xa4"},
        {"", ""},
        {"\xc3", NULL},
        {"\xc2\xa0", " "},
        {"\xef\xbf\xbd", NULL},
        {"\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91"}, /* newer than Unicode 3.2: kept */
    };
    char out[64];

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        int n = sp_saslprep(cs(row[i].in), out, sizeof out);

        if (!row[i].out
                ? n != -SP_EINPUT
                : n != (int)strlen(row[i].out) || memcmp(out, row[i].out, (size_t)n)) {
            printf("row %zu: %d\n", i, n);
            CHECK(!"as the row says");
        }
    }
    CHECK_INT(sp_saslprep(cs("abcd"), out, 3), -SP_ELIMIT);
}

TEST("an allocation that fails makes the exchange fail and nothing else")
{
    for (long n = 0; n < 60; n++) {
        struct sp_sasl_client_opts co = {.user = cs("user"), .password = cs("pencil")};
        struct sp_sasl_server_opts so = {0};
        struct sp_sasl *c = NULL, *s = NULL;
        struct outcome o = {0};
        bool made;

        (void)verifier("SCRAM-SHA-256");
        sp_alloc_fail_at(n, 0);
        made = sp_sasl_client_new(cs("SCRAM-SHA-256"), &co, &c, NULL) == 0 &&
               sp_sasl_server_new(cs("SCRAM-SHA-256"), &so, &s, NULL) == 0;
        if (made)
            o = play(c, s, verifier("SCRAM-SHA-256"), &NO_TAMPER);
        sp_alloc_fail_at(-1, 0);
        CHECK(o.client == o.server || !o.client);
        CHECK(n < 40 || o.client);
        sp_sasl_free(c);
        sp_sasl_free(s);
    }
}

TEST("CRAM-MD5: no secret, a wrong one and malformed answers all fail")
{
    static const char *const bad[] = {
        "",
        "tim",
        "tim b913a602c7eda7a495b4e6e7334d389",
        " b913a602c7eda7a495b4e6e7334d3890",
        "tim b913a602c7eda7a495b4e6e7334d389g",
        "timb913a602c7eda7a495b4e6e7334d3890",
    };
    struct sp_str out = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sp_sasl *s = server("CRAM-MD5", NULL, false, false);

        CHECK(sp_sasl_step(s, (struct sp_str){0}, &out) == SP_SASL_CONTINUE);
        CHECK(sp_sasl_step(s, cs(bad[i]), &out) == SP_SASL_FAILED);
        sp_sasl_free(s);
    }
    for (int i = 0; i < 4; i++) {
        /* The last: no secret is not an empty secret. */
        struct sp_sasl *c = client("CRAM-MD5", "t m", i == 3 ? "" : "pw", NULL, false);
        struct sp_sasl *s = server("CRAM-MD5", NULL, false, false);
        struct sp_str secret = i == 0   ? cs("pw")
                               : i == 1 ? cs("px")
                                        : (struct sp_str){0};

        CHECK(sp_sasl_step(s, (struct sp_str){0}, &out) == SP_SASL_CONTINUE);
        CHECK(sp_sasl_step(c, out, &out) == SP_SASL_DONE);
        CHECK(sp_sasl_step(s, out, &out) == SP_SASL_VERIFIER);
        CHECK(is(sp_sasl_user(s), "t m"));
        CHECK(sp_sasl_give_secret(s, secret, &out) ==
              (i == 0 ? SP_SASL_DONE : SP_SASL_FAILED));
        sp_sasl_free(c);
        sp_sasl_free(s);
    }
    struct sp_sasl *s = server("CRAM-MD5", NULL, false, false);
    CHECK(sp_sasl_step(s, cs("tim x"), &out) == SP_SASL_FAILED); /* server first */
    sp_sasl_free(s);
}

T_MAIN
