/* certmap.c - see certmap.h. */
#include "certmap.h"

#include "alloc.h"
#include "err.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NAMES_MAX = 32, NAME_LEN = 512 };

/* What a certificate says about who it is; the order is the order of the rules. */
enum rule { RULE_PIN, RULE_UTF8, RULE_RFC822, RULE_URI, RULE_DN, RULES };

/* clang-format off */
static const struct {
    const char *name;
    enum sp_users_key key;
    bool by_domain; /* the CA's domains limit it; pins and DNs an administrator wrote */
} rules[RULES] = {
    [RULE_PIN]    = {"pin",             SP_USERS_BY_PIN,     false},
    [RULE_UTF8]   = {"SmtpUTF8Mailbox", SP_USERS_BY_ADDRESS, true}, /* RFC 9598 */
    [RULE_RFC822] = {"rfc822Name",      SP_USERS_BY_ADDRESS, true}, /* RFC 5280 4.2.1.6 */
    [RULE_URI]    = {"URI",             SP_USERS_BY_URI,     true},
    [RULE_DN]     = {"DN",              SP_USERS_BY_DN,      false},
};
/* clang-format on */

struct name {
    enum rule rule;
    char text[NAME_LEN];
    size_t n;
};

struct names {
    struct name *name; /* NAMES_MAX of them */
    size_t count;
    char issuer[NAME_LEN];
    const char *refused; /* why this certificate names nobody; NULL: it may */
};

/* First, and for pinned keys, too: what other programs took such a name for is not what
 * we would take it for. */
static const char nul_inside[] = "NUL inside a name";

static int reason(struct sp_cert_result *r, const char *fmt, ...) SP_PRINTF(2, 3);

static int reason(struct sp_cert_result *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->reason, sizeof r->reason, fmt, ap);
    va_end(ap);
    /* It is shown to a peer and may hold octets of the peer's. */
    for (char *p = r->reason; *p; p++)
        if (*p < 32 || *p > 126)
            *p = '?';
    r->usable = false;
    r->user[0] = '\0';
    return 0;
}

static void add(struct names *all, enum rule rule, const unsigned char *p, size_t n)
{
    struct name *to;

    if (n && memchr(p, '\0', n)) {
        all->refused = nul_inside;
        return;
    }
    /* A name left out could be the one that makes the mapping ambiguous. */
    if (n >= NAME_LEN || all->count == NAMES_MAX) {
        all->refused = "too many names, or too long ones";
        return;
    }
    if (n == 0)
        return;
    to = &all->name[all->count++];
    to->rule = rule;
    memcpy(to->text, p, n);
    to->text[n] = '\0';
    to->n = n;
}

static void add_string(struct names *all, enum rule rule, const ASN1_STRING *s)
{
    add(all, rule, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static bool is_utf8_mailbox(const GENERAL_NAME *g)
{
    char oid[32];

    return g->type == GEN_OTHERNAME &&
           OBJ_obj2txt(oid, sizeof oid, g->d.otherName->type_id, 1) > 0 &&
           strcmp(oid, "1.3.6.1.5.5.7.8.9") == 0 &&
           g->d.otherName->value->type == V_ASN1_UTF8STRING;
}

static void no_nul(struct names *all, const ASN1_STRING *s)
{
    size_t n = (size_t)ASN1_STRING_length(s);

    if (n && memchr(ASN1_STRING_get0_data(s), '\0', n))
        all->refused = nul_inside;
}

static void add_san(struct names *all, X509 *x)
{
    int found = -1;
    GENERAL_NAMES *san = X509_get_ext_d2i(x, NID_subject_alt_name, &found, NULL);

    if (!san && found != -1) /* there is one, unreadable or twice */
        all->refused = "subjectAltName cannot be read";
    for (int i = 0; i < sk_GENERAL_NAME_num(san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

        if (is_utf8_mailbox(g))
            add_string(all, RULE_UTF8, g->d.otherName->value->value.utf8string);
        else if (g->type == GEN_EMAIL)
            add_string(all, RULE_RFC822, g->d.rfc822Name);
        else if (g->type == GEN_URI)
            add_string(all, RULE_URI, g->d.uniformResourceIdentifier);
        else if (g->type == GEN_DNS)
            no_nul(all, g->d.dNSName);
        else if (g->type == GEN_OTHERNAME &&
                 g->d.otherName->value->type == V_ASN1_UTF8STRING)
            no_nul(all, g->d.otherName->value->value.utf8string);
    }
    GENERAL_NAMES_free(san);
}

static bool dn_has_nul(const X509_NAME *dn)
{
    bool nul = false;

    for (int i = 0; i < X509_NAME_entry_count(dn); i++) {
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(
            &utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(dn, i)));

        nul |= n > 0 && memchr(utf8, '\0', (size_t)n);
        OPENSSL_free(utf8);
    }
    return nul;
}

/* RFC 2253, or "" when it is too long. */
static void dn_text(const X509_NAME *dn, char out[NAME_LEN])
{
    BIO *b = BIO_new(BIO_s_mem());
    char *p = NULL;
    long n = 0;

    out[0] = '\0';
    if (b && X509_NAME_print_ex(b, dn, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        n = BIO_get_mem_data(b, &p);
    if (n > 0 && n < NAME_LEN) {
        memcpy(out, p, (size_t)n);
        out[n] = '\0';
    }
    BIO_free(b);
}

static void spki_hex(X509 *x, char out[65])
{
    unsigned char *der = NULL, md[32];
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

    out[0] = '\0';
    if (n > 0 && EVP_Digest(der, (size_t)n, md, NULL, EVP_sha256(), NULL) == 1)
        (void)sp_hex_encode(md, sizeof md, out, 65);
    OPENSSL_free(der);
}

static void cert_hex(X509 *x, char out[65])
{
    unsigned char md[32];
    unsigned n = 0;

    out[0] = '\0';
    if (X509_digest(x, EVP_sha256(), md, &n) == 1)
        (void)sp_hex_encode(md, sizeof md, out, 65);
}

/* All names of x: 0, or -SP_ENOMEM.  all->name is the caller's to free. */
static int collect(X509 *x, struct names *all)
{
    char text[NAME_LEN];

    all->name = sp_alloc(NAMES_MAX * sizeof *all->name);
    if (!all->name)
        return -SP_ENOMEM;
    spki_hex(x, text);
    add(all, RULE_PIN, (unsigned char *)text, strlen(text));
    add_san(all, x);
    if (dn_has_nul(X509_get_subject_name(x)) || dn_has_nul(X509_get_issuer_name(x)))
        all->refused = nul_inside;
    dn_text(X509_get_issuer_name(x), all->issuer);
    dn_text(X509_get_subject_name(x), text);
    add(all, RULE_DN, (unsigned char *)text, strlen(text));
    return 0;
}

/* ---- Judging ---- */

/* "2026-01-02" of an ASN.1 time; "?" when there is none. */
static void date(const ASN1_TIME *t, char out[16])
{
    struct tm tm;

    snprintf(out, 16, "?");
    if (ASN1_TIME_to_tm(t, &tm) == 1)
        snprintf(out, 16, "%04u-%02u-%02u", (unsigned)(tm.tm_year + 1900) % 10000u,
                 (unsigned)(tm.tm_mon + 1) % 100u, (unsigned)tm.tm_mday % 100u);
}

static bool dates_hold(X509 *x, int64_t now_s, struct sp_cert_result *r)
{
    time_t now = (time_t)now_s;
    char day[16];

    /* X509_cmp_time: negative is earlier than now, 0 is an error. */
    if (X509_cmp_time(X509_get0_notBefore(x), &now) >= 0) {
        date(X509_get0_notBefore(x), day);
        (void)reason(r, "certificate not valid before %s", day);
        return false;
    }
    if (X509_cmp_time(X509_get0_notAfter(x), &now) <= 0) {
        date(X509_get0_notAfter(x), day);
        (void)reason(r, "certificate expired %s", day);
        return false;
    }
    return true;
}

/* The domain of an address or the host of a URI. */
static struct sp_str domain_of(const struct name *n)
{
    struct sp_str s = {n->text, n->n}, local, domain;

    if (n->rule != RULE_URI)
        return sp_address_split(s, &local, &domain) == 0 ? domain : (struct sp_str){0};
    while (s.n && !(s.n > 2 && s.p[0] == ':' && s.p[1] == '/' && s.p[2] == '/')) {
        s.p++;
        s.n--;
    }
    if (s.n < 4)
        return (struct sp_str){0};
    s.p += 3;
    s.n -= 3;
    for (size_t i = 0; i < s.n; i++)
        if (strchr("/?#:", s.p[i])) {
            s.n = i;
            break;
        }
    /* With user information the host is something else than it looks like. */
    if (memchr(s.p, '@', s.n))
        return (struct sp_str){0};
    return s;
}

static bool ca_may_assert(const struct sp_cert_look *q, const struct name *n)
{
    struct sp_str domain;

    if (!rules[n->rule].by_domain || !q->domains)
        return true;
    domain = domain_of(n);
    for (size_t i = 0; i < q->ndomains; i++)
        if (domain.n && sp_str_caseis(domain, q->domains[i]))
            return true;
    return false;
}

/* The enabled accounts that one rule kind leads to. */
struct match {
    char user[SP_NAME_MAX + 1];
    bool has_password;
    bool two;
    char disabled[SP_NAME_MAX + 1];
    char address[NAME_LEN]; /* the name that matched */
};

static void take(struct match *m, const struct sp_users_hit *hit, const struct name *n)
{
    if (!hit->enabled) {
        memcpy(m->disabled, hit->name, sizeof m->disabled);
        return;
    }
    if (m->user[0] && strcmp(m->user, hit->name) != 0)
        m->two = true;
    if (m->user[0])
        return;
    memcpy(m->user, hit->name, sizeof m->user);
    snprintf(m->address, sizeof m->address, "%s", n->text);
    m->has_password = hit->has_password;
}

/* An address is compared as one: an rfc822Name is ASCII (RFC 5280 4.2.1.6), and what
 * cannot be an address leads to nobody. */
static bool plausible(const struct name *n)
{
    struct sp_str local, domain;

    if (n->rule != RULE_RFC822 && n->rule != RULE_UTF8)
        return true;
    for (size_t i = 0; i < n->n; i++) {
        unsigned char c = (unsigned char)n->text[i];

        if (c < 32 || c == 127 || (c > 127 && n->rule == RULE_RFC822))
            return false;
    }
    return sp_address_split((struct sp_str){n->text, n->n}, &local, &domain) == 0;
}

/* Fills *m for one rule kind; *outside is set when only the CA's domains stood against
 * a name. */
static int match_rule(struct sp_users *u, const struct sp_cert_look *q,
                      const struct names *all, enum rule rule, struct match *m,
                      const struct name **outside, struct sp_err *err)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct name *n = &all->name[i];
        struct sp_users_hit hits[4];
        int count;

        if (n->rule != rule || !plausible(n))
            continue;
        if (!ca_may_assert(q, n)) {
            *outside = n;
            continue;
        }
        count = sp_users_by(u, rules[rule].key, (struct sp_str){n->text, n->n},
                            rule == RULE_DN ? sp_str(all->issuer) : (struct sp_str){0},
                            hits, 4, err);
        if (count < 0)
            return count;
        m->two |= count > 4;
        for (int k = 0; k < count && k < 4; k++)
            take(m, &hits[k], n);
    }
    return 0;
}

/* The rule kind decided: exactly one enabled account, or none. */
static int decide(struct sp_cert_result *r, enum rule rule, const struct match *m)
{
    snprintf(r->rule, sizeof r->rule, "%s", rules[rule].name);
    if (m->two)
        return reason(r, "certificate matches more than one account by %s",
                      rules[rule].name);
    if (!m->user[0])
        return reason(r, "the account of this certificate is disabled");
    if (rules[rule].key == SP_USERS_BY_ADDRESS)
        snprintf(r->address, sizeof r->address, "%.*s", SP_ADDRESS_MAX, m->address);
    snprintf(r->user, sizeof r->user, "%s", m->user);
    r->external_only = !m->has_password;
    r->usable = true;
    r->reason[0] = '\0';
    return 0;
}

static bool found(const struct match *m)
{
    return m->two || m->user[0] || m->disabled[0];
}

static int map(struct sp_users *u, const struct sp_cert_look *q,
               const struct names *all, struct sp_cert_result *r, struct sp_err *err)
{
    const struct name *outside = NULL;

    for (enum rule rule = RULE_UTF8; rule < RULES; rule++) {
        struct match m = {0};
        int rc = match_rule(u, q, all, rule, &m, &outside, err);

        if (rc < 0)
            return rc;
        if (found(&m))
            return decide(r, rule, &m);
    }
    if (outside)
        return reason(r, "the certificate's CA may not vouch for %.200s",
                      outside->text);
    if (r->address[0])
        return reason(r, "no account has the certificate's address %.200s", r->address);
    return reason(r, "no account is known by this certificate");
}

/* RFC 5280 4.2.1.12: no extended key usage, or one that allows TLS clients. */
static bool for_clients(X509 *x)
{
    return !(X509_get_extension_flags(x) & EXFLAG_XKUSAGE) ||
           (X509_get_extended_key_usage(x) & XKU_SSL_CLIENT);
}

static int judge(struct sp_users *u, const struct sp_cert_look *q, X509 *x,
                 const struct names *all, struct sp_cert_result *r, struct sp_err *err)
{
    const struct name *unused = NULL;
    struct match pin = {0};
    int rc;

    if (all->refused)
        return reason(r, "certificate refused: %s", all->refused);
    for (size_t i = 0; i < all->count && !r->address[0]; i++)
        if (rules[all->name[i].rule].key == SP_USERS_BY_ADDRESS)
            snprintf(r->address, sizeof r->address, "%.*s", SP_ADDRESS_MAX,
                     all->name[i].text);
    if (!dates_hold(x, q->now_s, r))
        return 0;
    rc = match_rule(u, q, all, RULE_PIN, &pin, &unused, err);
    if (rc < 0)
        return rc;
    r->verified = q->chain_ok || found(&pin);
    if (found(&pin))
        return decide(r, RULE_PIN, &pin);
    if (!q->chain_ok)
        return reason(r, "certificate not verified: %.*s",
                      q->chain_reason.n > 200 ? 200 : (int)q->chain_reason.n,
                      q->chain_reason.n ? q->chain_reason.p : "");
    if (!for_clients(x)) {
        r->verified = false;
        return reason(r, "certificate is not for TLS clients (extended key usage)");
    }
    return map(u, q, all, r, err);
}

int sp_certmap(struct sp_users *u, const struct sp_cert_look *q,
               struct sp_cert_result *ret_r, struct sp_err *err)
{
    const unsigned char *p = (const unsigned char *)q->leaf_der.p, *end;
    struct names all = {0};
    X509 *x = NULL;
    int rc;

    memset(ret_r, 0, sizeof *ret_r);
    end = p + q->leaf_der.n;
    if (q->leaf_der.n && q->leaf_der.n <= 65536)
        x = d2i_X509(NULL, &p, (long)q->leaf_der.n);
    ERR_clear_error();
    if (!x || p != end) {
        X509_free(x);
        return reason(ret_r, "certificate cannot be read");
    }
    cert_hex(x, ret_r->fingerprint);
    rc = collect(x, &all);
    rc = rc < 0 ? sp_err_nomem(err) : judge(u, q, x, &all, ret_r, err);
    sp_free(all.name);
    X509_free(x);
    ERR_clear_error();
    return rc;
}

static int64_t seconds(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* b: a reader of `in`, left behind the certificate when it is PEM; may be NULL. */
static X509 *first_of(struct sp_str in, BIO *b)
{
    const unsigned char *p = (const unsigned char *)in.p;
    X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

    if (!x && in.n && in.n <= 65536)
        x = d2i_X509(NULL, &p, (long)in.n);
    ERR_clear_error();
    return x;
}

static int no_certificate(struct sp_err *err)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                      "this is no certificate in PEM or DER form");
}

static int put_der(X509 *x, struct sp_buf *out)
{
    unsigned char *der = NULL;
    int n = i2d_X509(x, &der),
        rc = n > 0 ? sp_buf_put(out, der, (size_t)n) : -SP_ENOMEM;

    OPENSSL_free(der);
    return rc;
}

int sp_cert_der(struct sp_str in, struct sp_buf *leaf, struct sp_buf *chain,
                struct sp_err *err)
{
    BIO *b = in.n && in.n <= (1u << 20) ? BIO_new_mem_buf(in.p, (int)in.n) : NULL;
    X509 *x = first_of(in, b);
    int rc = x ? put_der(x, leaf) : no_certificate(err);

    X509_free(x);
    while (rc == 0 && b && (x = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
        rc = put_der(x, chain);
        X509_free(x);
    }
    ERR_clear_error();
    BIO_free(b);
    return rc < 0 && x ? sp_err_nomem(err) : rc;
}

int sp_cert_facts(struct sp_str in, struct sp_cert_facts *ret_f, struct sp_err *err)
{
    struct names all = {0};
    struct sp_cert_facts f = {0};
    BIO *b = in.n && in.n <= (1u << 20) ? BIO_new_mem_buf(in.p, (int)in.n) : NULL;
    X509 *x = first_of(in, b);
    int rc = 0;

    BIO_free(b);
    if (!x)
        return no_certificate(err);
    if (collect(x, &all) < 0)
        rc = sp_err_nomem(err);
    else if (all.refused)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "certificate refused: %s",
                        all.refused);
    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        const struct name *n = &all.name[i];

        if (rules[n->rule].key == SP_USERS_BY_ADDRESS && !f.address[0] && plausible(n))
            snprintf(f.address, sizeof f.address, "%.*s", SP_ADDRESS_MAX, n->text);
        if (n->rule == RULE_URI && !f.uri[0])
            snprintf(f.uri, sizeof f.uri, "%s", n->text);
    }
    spki_hex(x, f.spki_sha256);
    cert_hex(x, f.fingerprint);
    dn_text(X509_get_subject_name(x), f.subject);
    dn_text(X509_get_issuer_name(x), f.issuer);
    f.not_before_s = seconds(X509_get0_notBefore(x));
    f.not_after_s = seconds(X509_get0_notAfter(x));
    sp_free(all.name);
    X509_free(x);
    if (rc == 0)
        *ret_f = f;
    return rc;
}
