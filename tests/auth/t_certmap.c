/* From certificates, made here on the fly, to accounts. */
#include "certmap.h"
#include "t_auth.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sqlite3.h>
#include <time.h>

enum { NOW = 1800000000 };

struct san {
    char kind; /* m mail, u SmtpUTF8Mailbox, U URI, d DNS; 0: end */
    const char *p;
    size_t n; /* 0: strlen */
};

struct want {
    const char *cn;
    size_t cn_n;
    struct san san[4];
    int64_t from, to; /* seconds from NOW; 0, 0: a day around */
    const char *eku;
    int key;      /* which of three */
    bool bad_san; /* an extension that cannot be parsed */
};

static EVP_PKEY *keys[3];

static EVP_PKEY *key_of(int i)
{
    if (!keys[i])
        keys[i] = EVP_EC_gen("P-256");
    return keys[i];
}

static void push(GENERAL_NAMES *all, const struct san *s)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    size_t n = s->n ? s->n : strlen(s->p);
    ASN1_STRING *v =
        ASN1_STRING_type_new(s->kind == 'u' ? V_ASN1_UTF8STRING : V_ASN1_IA5STRING);

    CHECK(ASN1_STRING_set(v, s->p, (int)n) == 1);
    if (s->kind == 'u') {
        ASN1_TYPE *t = ASN1_TYPE_new();

        ASN1_TYPE_set(t, V_ASN1_UTF8STRING, v);
        GENERAL_NAME_set0_othername(g, OBJ_txt2obj("1.3.6.1.5.5.7.8.9", 1), t);
    } else {
        GENERAL_NAME_set0_value(g,
                                s->kind == 'm'   ? GEN_EMAIL
                                : s->kind == 'U' ? GEN_URI
                                                 : GEN_DNS,
                                v);
    }
    sk_GENERAL_NAME_push(all, g);
}

static void add_cn(X509_NAME *name, const char *p, size_t n)
{
    CHECK(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
                                     (const unsigned char *)p, (int)n, -1, 0) == 1);
}

static unsigned char der[8192];

static struct sp_str make(const struct want *w)
{
    X509 *x = X509_new();
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    EVP_PKEY *key = key_of(w->key);
    unsigned char *p = der;
    int n;

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    ASN1_TIME_set(X509_getm_notBefore(x), NOW + (w->from || w->to ? w->from : -86400));
    ASN1_TIME_set(X509_getm_notAfter(x), NOW + (w->from || w->to ? w->to : 86400));
    if (w->cn)
        add_cn(X509_get_subject_name(x), w->cn, w->cn_n ? w->cn_n : strlen(w->cn));
    add_cn(X509_get_issuer_name(x), "Some CA", 7);
    X509_set_pubkey(x, key);
    for (int i = 0; i < 4 && w->san[i].kind; i++)
        push(all, &w->san[i]);
    if (sk_GENERAL_NAME_num(all) > 0)
        CHECK(X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1);
    if (w->bad_san) {
        ASN1_OCTET_STRING *o = ASN1_OCTET_STRING_new();
        X509_EXTENSION *ext;

        ASN1_OCTET_STRING_set(o, (const unsigned char *)"junk", 4);
        ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, o);
        X509_add_ext(x, ext, -1);
        X509_EXTENSION_free(ext);
        ASN1_OCTET_STRING_free(o);
    }
    if (w->eku) {
        X509_EXTENSION *ext =
            X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, w->eku);

        X509_add_ext(x, ext, -1);
        X509_EXTENSION_free(ext);
    }
    CHECK(X509_sign(x, key, EVP_sha256()) > 0);
    n = i2d_X509(x, NULL);
    CHECK(n > 0 && n < (int)sizeof der);
    i2d_X509(x, &p);
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    X509_free(x);
    return (struct sp_str){(char *)der, (size_t)n};
}

static const char *const only_example[] = {"example.org"};

static struct sp_cert_result look(struct sp_users *u, const struct want *w,
                                  bool chain_ok, bool limited)
{
    struct sp_cert_look q = {.leaf_der = make(w),
                             .chain_ok = chain_ok,
                             .chain_reason = S("unable to get issuer certificate"),
                             .domains = limited ? only_example : NULL,
                             .ndomains = 1,
                             .now_s = NOW};
    struct sp_cert_result r;

    OK(sp_certmap(u, &q, &r, &e));
    CHECK(r.usable == (r.user[0] != '\0') && r.usable == (r.reason[0] == '\0'));
    CHECK(!r.usable || r.verified);
    CHECK_INT(strlen(r.fingerprint), 64);
    return r;
}

static char pin0[65];

static struct sp_users *people(void)
{
    struct sp_users *u = fresh();
    struct sp_cert_facts f;

    OK(sp_users_add(u, S("alice"), S("alice@example.org"), &e));
    OK(sp_users_add(u, S("bob"), S("bob@example.org"), &e));
    OK(sp_users_add(u, S("dave"), S("dave@example.org"), &e));
    OK(sp_users_add(u, S("j\xc3\xbcrgen"), S("j\xc3\xbcrgen@example.org"), &e));
    OK(sp_users_add(u, S("other@example.net"), S(""), &e));
    OK(sp_users_grant(u, S("bob"), S("shared@example.org"), false, &e));
    OK(sp_users_grant(u, S("bob"), S("*@example.com"), false, &e));
    OK(sp_users_enable(u, S("dave"), false, &e));
    OK(sp_users_set_password(u, S("bob"), S("pw"), 4096, &e));
    OK(sp_users_map(u, S("bob"), SP_USERS_BY_URI, S("spiffe://example.org/bob"), S(""),
                    true, &e));
    OK(sp_users_map(u, S("bob"), SP_USERS_BY_URI, S("spiffe://elsewhere/bob"), S(""),
                    true, &e));
    OK(sp_users_map(u, S("bob"), SP_USERS_BY_DN, S("CN=Robert"), S("CN=Some CA"), true,
                    &e));
    OK(sp_users_map(u, S("alice"), SP_USERS_BY_DN, S("CN=Eve"), S("CN=Other CA"), true,
                    &e));
    OK(sp_cert_facts(make(&(struct want){.cn = "x"}), &f, &e));
    memcpy(pin0, f.spki_sha256, sizeof pin0);
    return u;
}

TEST("the mapping table, written by hand")
{
    /* clang-format off */
    static const struct {
        const char *what, *user, *rule, *reason; /* reason: must be in it */
        struct want w;
        bool no_chain, limited;
    } row[] = {
        {"rfc822Name", "alice", "rfc822Name", "", {.san = {{'m', "alice@example.org", 0}}}, 0, 0},
        {"domain without case", "alice", "rfc822Name", "", {.san = {{'m', "alice@EXAMPLE.Org", 0}}}, 0, 1},
        {"local part exact", NULL, "", "no account", {.san = {{'m', "Alice@example.org", 0}}}, 0, 0},
        {"account named like an address", "other@example.net", "rfc822Name", "", {.san = {{'m', "other@Example.net", 0}}}, 0, 0},
        {"a granted address is not one's own", NULL, "", "no account", {.san = {{'m', "shared@example.org", 0}}}, 0, 0},
        {"a pattern is not a name", NULL, "", "no account", {.san = {{'m', "*@example.com", 0}}}, 0, 0},
        {"SmtpUTF8Mailbox", "j\xc3\xbcrgen", "SmtpUTF8Mailbox", "", {.san = {{'u', "j\xc3\xbcrgen@example.org", 0}}}, 0, 1},
        {"UTF-8 in an rfc822Name is no address", NULL, "", "no account", {.san = {{'m', "j\xc3\xbcrgen@example.org", 0}}}, 0, 0},
        {"SmtpUTF8Mailbox before rfc822Name", "j\xc3\xbcrgen", "SmtpUTF8Mailbox", "", {.san = {{'m', "alice@example.org", 0}, {'u', "j\xc3\xbcrgen@example.org", 0}}}, 0, 0},
        {"rfc822Name before URI", "alice", "rfc822Name", "", {.san = {{'U', "spiffe://example.org/bob", 0}, {'m', "alice@example.org", 0}}}, 0, 0},
        {"a kind that matches nobody is passed over", "bob", "URI", "", {.san = {{'m', "unknown@example.org", 0}, {'U', "spiffe://example.org/bob", 0}}}, 0, 0},
        {"URI", "bob", "URI", "", {.san = {{'U', "spiffe://example.org/bob", 0}}}, 0, 1},
        {"URI of another trust domain", NULL, "", "may not vouch", {.san = {{'U', "spiffe://elsewhere/bob", 0}}}, 0, 1},
        {"URI with a user in it", NULL, "", "may not vouch", {.san = {{'U', "spiffe://example.org@elsewhere/bob", 0}}}, 0, 1},
        {"URI exact", NULL, "", "no account", {.san = {{'U', "spiffe://example.org/bob/", 0}}}, 0, 0},
        {"DN with its issuer", "bob", "DN", "", {.cn = "Robert"}, 0, 1},
        {"DN of another issuer", NULL, "", "no account", {.cn = "Eve"}, 0, 0},
        {"CN that looks like a name is nothing", NULL, "", "no account", {.cn = "alice"}, 0, 0},
        {"another CA's domain", NULL, "", "may not vouch", {.san = {{'m', "other@example.net", 0}}}, 0, 1},
        {"another CA's domain, then DN", "bob", "DN", "", {.cn = "Robert", .san = {{'m', "other@example.net", 0}}}, 0, 1},
        {"a subdomain is not the domain", NULL, "", "may not vouch", {.san = {{'m', "alice@mail.example.org", 0}}}, 0, 1},
        {"two accounts by one kind", NULL, "rfc822Name", "more than one", {.san = {{'m', "alice@example.org", 0}, {'m', "bob@example.org", 0}}}, 0, 0},
        {"two names of one account", "bob", "rfc822Name", "", {.san = {{'m', "x@example.org", 0}, {'m', "bob@example.org", 0}}}, 0, 0},
        {"disabled", NULL, "rfc822Name", "disabled", {.san = {{'m', "dave@example.org", 0}}}, 0, 0},
        {"disabled and enabled: one enabled", "alice", "rfc822Name", "", {.san = {{'m', "dave@example.org", 0}, {'m', "alice@example.org", 0}}}, 0, 0},
        {"a disabled account ends the search", NULL, "rfc822Name", "disabled", {.cn = "Robert", .san = {{'m', "dave@example.org", 0}}}, 0, 0},
        {"NUL in an rfc822Name", NULL, "", "NUL", {.san = {{'m', "alice@example.org\0.evil.net", 27}}}, 0, 0},
        {"NUL in a UTF8 mailbox", NULL, "", "NUL", {.san = {{'u', "j@example.org\0.x", 16}}}, 0, 0},
        {"NUL in a URI", NULL, "", "NUL", {.san = {{'U', "spiffe://example.org/bob\0x", 26}}}, 0, 0},
        {"NUL in a DNS name", NULL, "", "NUL", {.san = {{'m', "alice@example.org", 0}, {'d', "a\0b", 3}}}, 0, 0},
        {"NUL in the subject", NULL, "", "NUL", {.cn = "Robert\0x", .cn_n = 8, .san = {{'m', "alice@example.org", 0}}}, 0, 0},
        {"unreadable subjectAltName", NULL, "", "cannot be read", {.cn = "Robert", .bad_san = true}, 0, 0},
        {"not yet valid", NULL, "", "not valid before 2027-01-16", {.san = {{'m', "alice@example.org", 0}}, .from = 86400, .to = 90000}, 0, 0},
        {"expired", NULL, "", "expired 2027-01-14", {.san = {{'m', "alice@example.org", 0}}, .from = -90000, .to = -86400}, 0, 0},
        {"chain not verified", NULL, "", "issuer certificate", {.san = {{'m', "alice@example.org", 0}}}, 1, 0},
        {"for servers only", NULL, "", "key usage", {.san = {{'m', "alice@example.org", 0}}, .eku = "serverAuth"}, 0, 0},
        {"for clients", "alice", "rfc822Name", "", {.san = {{'m', "alice@example.org", 0}}, .eku = "clientAuth"}, 0, 0},
        {"nothing at all", NULL, "", "no account", {.cn = NULL}, 0, 0},
    };
    /* clang-format on */
    struct sp_users *u = people();

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct sp_cert_result r = look(u, &row[i].w, !row[i].no_chain, row[i].limited);

        if (strcmp(r.user, row[i].user ? row[i].user : "") != 0 ||
            strcmp(r.rule, row[i].rule) != 0 ||
            (row[i].reason[0] && !strstr(r.reason, row[i].reason))) {
            printf("row %zu, %s: user \"%s\" rule \"%s\" reason \"%s\"\n", i,
                   row[i].what, r.user, r.rule, r.reason);
            CHECK(!"as the table says");
        }
    }
    done(u);
}

TEST("a pin comes first and replaces the chain, never the dates or the NUL rule")
{
    struct sp_users *u = people();
    struct want w = {.san = {{'m', "bob@example.org", 0}}};
    struct sp_cert_result r;

    OK(sp_users_pin(u, S("alice"), S(pin0), true, &e));
    CHECK_INT(sp_users_pin(u, S("bob"), S(pin0), true, &e), -SP_EEXIST);
    r = look(u, &w, false, true);
    CHECK_STR(r.user, "alice");
    CHECK_STR(r.rule, "pin");
    CHECK(r.usable && r.verified && r.external_only);
    w.key = 1; /* another key: not pinned */
    r = look(u, &w, false, true);
    CHECK(!r.usable && !r.verified);
    w.key = 0;
    w.from = -90000;
    w.to = -86400;
    r = look(u, &w, true, false);
    CHECK(!r.usable && !r.verified && strstr(r.reason, "expired"));
    w = (struct want){.cn = "a\0b", .cn_n = 3};
    r = look(u, &w, true, false);
    CHECK(!r.usable && strstr(r.reason, "NUL"));
    /* Pinned for a disabled account: verified, not usable, and no other rule is tried. */
    OK(sp_users_enable(u, S("alice"), false, &e));
    w = (struct want){.san = {{'m', "bob@example.org", 0}}};
    r = look(u, &w, true, false);
    CHECK(!r.usable && r.verified && strstr(r.reason, "disabled"));
    done(u);
}

TEST("an account without a password is EXTERNAL only; one with a password is not")
{
    struct sp_users *u = people();
    struct want a = {.san = {{'m', "alice@example.org", 0}}};
    struct want b = {.san = {{'m', "bob@example.org", 0}}};
    struct sp_cert_result r = look(u, &a, true, false);

    CHECK(r.usable && r.external_only);
    CHECK_STR(r.address, "alice@example.org");
    r = look(u, &b, true, false);
    CHECK(r.usable && !r.external_only);
    done(u);
}

TEST("one address owned by two enabled accounts leads to neither")
{
    struct sp_users *u = people();
    struct want w = {.san = {{'m', "alice@example.org", 0}}};
    struct sp_cert_result r;
    sqlite3 *db = NULL;

    /* users.h does not allow it; somebody else's tool might. */
    OK(sp_users_grant(u, S("bob"), S("alice@example.org"), false, &e));
    CHECK(sqlite3_open(t_path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "UPDATE address SET own = 1", NULL, NULL, NULL) ==
          SQLITE_OK);
    sqlite3_close(db);
    r = look(u, &w, true, false);
    CHECK(!r.usable && r.verified && strstr(r.reason, "more than one"));
    OK(sp_users_enable(u, S("bob"), false, &e));
    r = look(u, &w, true, false);
    CHECK_STR(r.user, "alice");
    done(u);
}

TEST("what is no certificate is a reason, and every truncation is one")
{
    struct sp_users *u = people();
    struct sp_str good = make(&(struct want){.san = {{'m', "alice@example.org", 0}}});
    struct sp_cert_look q = {.leaf_der = {"", 0}, .chain_ok = true, .now_s = NOW};
    struct sp_cert_result r;

    OK(sp_certmap(u, &q, &r, &e));
    CHECK(!r.usable && !r.verified && r.reason[0]);
    for (size_t n = 0; n <= good.n; n++) {
        char *exact = malloc(n ? n : 1);

        memcpy(exact, good.p, n);
        q.leaf_der = (struct sp_str){exact, n};
        OK(sp_certmap(u, &q, &r, &e));
        CHECK(r.usable == (n == good.n));
        free(exact);
    }
    for (size_t i = 0; i < good.n; i++) { /* changed octets: no crash, no other user */
        char *exact = malloc(good.n);

        memcpy(exact, good.p, good.n);
        exact[i] = (char)(exact[i] ^ 0x15);
        q.leaf_der = (struct sp_str){exact, good.n};
        OK(sp_certmap(u, &q, &r, &e));
        CHECK(!r.usable || strcmp(r.user, "alice") == 0);
        free(exact);
    }
    done(u);
}

T_MAIN
