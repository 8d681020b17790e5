/* Our SCRAM against GNU SASL's, both ways: an implementation that shares no line. */
#include "sasl_i.h"
#include "t.h"
#include "text.h"

#include <gsasl.h>
#include <stdlib.h>

static const char exporter[] = "0123456789abcdef0123456789abcdef";
static const char unique[] = "unique-data!";
static const char *exporter64, *unique64; /* what the callback gives; NULL: none */
static const char *authzid;

static int answer(Gsasl *ctx, Gsasl_session *g, Gsasl_property p)
{
    (void)ctx;
    switch ((int)p) {
    case GSASL_AUTHID:
        return gsasl_property_set(g, p, "us,er=x");
    case GSASL_AUTHZID:
        return authzid ? gsasl_property_set(g, p, authzid) : GSASL_NO_CALLBACK;
    case GSASL_PASSWORD:
        return gsasl_property_set(g, p, "p\xc3\xa4ss");
    case GSASL_CB_TLS_EXPORTER:
        return exporter64 ? gsasl_property_set(g, p, exporter64) : GSASL_NO_CALLBACK;
    case GSASL_CB_TLS_UNIQUE:
        return unique64 ? gsasl_property_set(g, p, unique64) : GSASL_NO_CALLBACK;
    case GSASL_SCRAM_ITER:
        return gsasl_property_set(g, p, "4096");
    default:
        return GSASL_NO_CALLBACK;
    }
}

enum binding { NONE, EXPORTER, UNIQUE };

static struct sp_sasl_binding set_binding(enum binding b, char *room, size_t cap)
{
    struct sp_sasl_binding cb = {0};
    struct sp_str raw = b == EXPORTER ? sp_str(exporter) : sp_str(unique);
    int n = sp_base64_encode(raw.p, raw.n, room, cap - 1);

    room[n] = '\0';
    exporter64 = b == EXPORTER ? room : NULL;
    unique64 = b == UNIQUE ? room : NULL;
    if (b == EXPORTER)
        cb.exporter = raw;
    if (b == UNIQUE)
        cb.unique = raw;
    return cb;
}

static Gsasl *context(void)
{
    Gsasl *ctx = NULL;

    CHECK(gsasl_init(&ctx) == GSASL_OK);
    gsasl_callback_set(ctx, answer);
    return ctx;
}

/* gsasl is the client */
static bool our_server(const char *mech, enum binding b, bool right_password)
{
    char room[128];
    struct sp_sasl_server_opts o = {.binding = set_binding(b, room, sizeof room),
                                    .plus_listed = b != NONE};
    enum sp_scram_hash hash = SP_SCRAM_SHA1;
    struct sp_scram_verifier v;
    struct sp_sasl *s = NULL;
    struct sp_str m = {0};
    Gsasl *ctx = context();
    Gsasl_session *g = NULL;
    enum sp_sasl_status st = SP_SASL_CONTINUE;
    int rc = gsasl_client_start(ctx, mech, &g);

    CHECK(rc == GSASL_OK);
    CHECK(sp_sasl_scram_hash(sp_str(mech), &hash) == 0);
    CHECK(sp_scram_make(hash, sp_str(right_password ? "pa\xcc\x88ss" : "pass"),
                        (struct sp_str){0}, 4096, &v) == 0); /* decomposed here */
    CHECK(sp_sasl_server_new(sp_str(mech), &o, &s, NULL) == 0);
    rc = GSASL_NEEDS_MORE;
    while (rc == GSASL_NEEDS_MORE && st != SP_SASL_FAILED) {
        char *out = NULL;
        size_t n = 0;

        rc = gsasl_step(g, m.p, m.n, &out, &n);
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
            printf("%s: gsasl: %s\n", mech, gsasl_strerror(rc));
            break;
        }
        if (st != SP_SASL_DONE)
            st = sp_sasl_step(s, (struct sp_str){out, n}, &m);
        if (st == SP_SASL_VERIFIER) {
            CHECK(sp_str_is(sp_sasl_user(s), "us,er=x"));
            CHECK(sp_str_is(sp_sasl_authorization_identity(s), authzid ? authzid : ""));
            st = sp_sasl_give_scram(s, &v, &m);
        }
        gsasl_free(out);
    }
    CHECK(sp_sasl_bound(s) == (b != NONE) || st != SP_SASL_DONE);
    sp_sasl_free(s);
    gsasl_finish(g);
    gsasl_done(ctx);
    return rc == GSASL_OK && st == SP_SASL_DONE;
}

/* gsasl is the server */
static bool our_client(const char *mech, enum binding b, bool right_password)
{
    char room[128];
    struct sp_sasl_client_opts o = {.binding = set_binding(b, room, sizeof room),
                                    .user = sp_str("us,er=x"),
                                    .password =
                                        sp_str(right_password ? "p\xc3\xa4ss" : "pass"),
                                    .plus_listed = b != NONE};
    struct sp_sasl *c = NULL;
    struct sp_str m = {0};
    Gsasl *ctx = context();
    Gsasl_session *g = NULL;
    enum sp_sasl_status st = SP_SASL_CONTINUE;
    char *out = NULL;
    size_t n = 0;
    int rc = gsasl_server_start(ctx, mech, &g);

    CHECK(rc == GSASL_OK);
    if (authzid)
        o.authorization_identity = sp_str(authzid);
    CHECK(sp_sasl_client_new(sp_str(mech), &o, &c, NULL) == 0);
    rc = GSASL_NEEDS_MORE;
    while (st == SP_SASL_CONTINUE) {
        st = sp_sasl_step(c, (struct sp_str){out, n}, &m);
        gsasl_free(out);
        out = NULL;
        n = 0;
        if (st != SP_SASL_CONTINUE)
            break;
        rc = gsasl_step(g, m.p, m.n, &out, &n);
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
            break;
    }
    gsasl_free(out);
    if (st == SP_SASL_DONE && rc == GSASL_OK)
        CHECK_STR(gsasl_property_fast(g, GSASL_AUTHZID), authzid ? authzid : "(null)");
    sp_sasl_free(c);
    gsasl_finish(g);
    gsasl_done(ctx);
    return rc == GSASL_OK && st == SP_SASL_DONE;
}

#define ROW(text, mech, b)                                                             \
    TEST(text)                                                                         \
    {                                                                                  \
        for (int z = 0; z < 2; z++) {                                                  \
            authzid = z ? "some=,one" : NULL;                                          \
            CHECK(our_server(mech, b, true));                                          \
            CHECK(!our_server(mech, b, false));                                        \
            CHECK(our_client(mech, b, true));                                          \
            CHECK(!our_client(mech, b, false));                                        \
        }                                                                              \
    }

ROW("SCRAM-SHA-1 with GNU SASL, both ways", "SCRAM-SHA-1", NONE)
ROW("SCRAM-SHA-256 with GNU SASL, both ways", "SCRAM-SHA-256", NONE)
ROW("SCRAM-SHA-1-PLUS tls-exporter with GNU SASL", "SCRAM-SHA-1-PLUS", EXPORTER)
ROW("SCRAM-SHA-256-PLUS tls-exporter with GNU SASL", "SCRAM-SHA-256-PLUS", EXPORTER)
ROW("SCRAM-SHA-1-PLUS tls-unique with GNU SASL", "SCRAM-SHA-1-PLUS", UNIQUE)
ROW("SCRAM-SHA-256-PLUS tls-unique with GNU SASL", "SCRAM-SHA-256-PLUS", UNIQUE)

T_MAIN
