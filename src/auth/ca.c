/* ca.c - see ca.h: issuing and revoking. */
#include "ca_i.h"

#include "alloc.h"
#include "certmake.h"
#include "err.h"
#include "secret.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PEM_MAX = 1 << 20, SKEW_S = 300, DAYS_MAX = 36500 };

/* ---- Pieces of a certificate ---- */

static X509 *new_cert(EVP_PKEY *key, struct sp_str cn, unsigned days)
{
    X509 *x = X509_new();
    X509_NAME *name = x ? X509_get_subject_name(x) : NULL;
    bool ok = x && X509_set_version(x, 2) == 1 && sp_certmake_serial(x) &&
              X509_gmtime_adj(X509_getm_notBefore(x), -SKEW_S) &&
              X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, NULL) &&
              X509_set_pubkey(x, key) == 1;

    /* A common name has at most 64 characters (RFC 5280 A.1); the names that count are
     * in the subjectAltName. */
    if (ok && cn.n)
        ok = X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                        (const unsigned char *)cn.p, (int)cn.n, -1,
                                        0) == 1;
    if (!ok) {
        X509_free(x);
        return NULL;
    }
    return x;
}

static void fill_entry(X509 *x, struct sp_ca_entry *e, char serial[SP_CA_SERIAL_MAX],
                       char fingerprint[65])
{
    unsigned char md[32], raw[20];
    unsigned n = 0;
    struct tm tm;
    BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    int len = bn && BN_num_bytes(bn) <= (int)sizeof raw ? BN_bn2bin(bn, raw) : 0;

    (void)sp_hex_encode(raw, (size_t)len, serial, SP_CA_SERIAL_MAX);
    BN_free(bn);
    fingerprint[0] = '\0';
    if (X509_digest(x, EVP_sha256(), md, &n) == 1)
        (void)sp_hex_encode(md, sizeof md, fingerprint, 65);
    e->serial = serial;
    e->fingerprint = fingerprint;
    if (ASN1_TIME_to_tm(X509_get0_notBefore(x), &tm) == 1)
        e->not_before_s = timegm(&tm);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1)
        e->not_after_s = timegm(&tm);
}

static int bad_days(unsigned days, struct sp_err *err)
{
    if (days >= 1 && days <= DAYS_MAX)
        return 0;
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "a certificate lives 1 to %d days",
                      DAYS_MAX);
}

/* ---- Files ---- */

static int write_pem(const char *path, unsigned mode, X509 *x, X509 *second,
                     EVP_PKEY *key, X509_CRL *crl, struct sp_err *err)
{
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, PEM_MAX);
    rc = sp_ca_put_pem(&b, x, key, crl);
    if (rc == 0 && second)
        rc = sp_ca_put_pem(&b, second, NULL, NULL);
    rc = rc < 0 ? sp_ca_openssl(err, "PEM")
                : sp_ca_write(path, mode, sp_buf_view(&b), err);
    sp_buf_wipe(&b);
    return rc;
}

static int write_in(const char *dir, const char *file, unsigned mode, X509 *x,
                    EVP_PKEY *key, X509_CRL *crl, struct sp_err *err)
{
    char *path = sp_ca_path(dir, file);
    int rc = path ? write_pem(path, mode, x, NULL, key, crl, err) : sp_err_nomem(err);

    sp_free(path);
    return rc;
}

static BIO *open_pem(const char *dir, const char *file, struct sp_buf *b,
                     struct sp_err *err)
{
    char *path = sp_ca_path(dir, file);
    int rc = path ? sp_ca_read(path, PEM_MAX, b, err) : sp_err_nomem(err);

    sp_free(path);
    return rc < 0 ? NULL : BIO_new_mem_buf(b->p, (int)b->n);
}

static bool exists(const char *dir, const char *file)
{
    char *path = sp_ca_path(dir, file);
    bool there = path && access(path, F_OK) == 0;

    sp_free(path);
    return there;
}

/* ---- The authority ---- */

static int make_root(struct sp_ca *ca, const char *name, unsigned days,
                     struct sp_err *err)
{
    ca->key = EVP_EC_gen("P-256");
    ca->cert = ca->key ? new_cert(ca->key, sp_str(name), days) : NULL;
    if (!ca->cert ||
        !sp_certmake_extension(ca->cert, ca->cert, NID_basic_constraints,
                 "critical,CA:TRUE,pathlen:0") ||
        !sp_certmake_extension(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !sp_certmake_extension(ca->cert, ca->cert, NID_subject_key_identifier, "hash") ||
        !sp_certmake_sign(ca->cert, ca->cert, ca->key))
        return sp_ca_openssl(err, "cannot make the CA's certificate");
    return 0;
}

int sp_ca_create(const char *dir, const char *name, unsigned days, struct sp_err *err)
{
    struct sp_ca ca = {.lock = -1};
    int rc = bad_days(days, err);

    if (rc < 0)
        return rc;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot make %s", dir);
    rc = sp_ca_lock(dir, &ca.lock, err);
    if (rc < 0)
        return rc;
    /* ca.pem is written last: without it this is no CA yet, and a create that was cut
     * short can be repeated. */
    if (exists(dir, "ca.pem")) {
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EEXIST,
                        "there is a certificate authority in %s already", dir);
        goto out;
    }
    ca.dir = sp_strdup(dir);
    rc = ca.dir ? make_root(&ca, name, days, err) : sp_err_nomem(err);
    if (rc == 0)
        rc = write_in(dir, "ca.key", 0600, NULL, ca.key, NULL, err);
    if (rc == 0)
        rc = sp_ca_write_index(&ca, err);
    if (rc == 0)
        rc = sp_ca_refresh_crl(&ca, err);
    if (rc == 0)
        rc = write_in(dir, "ca.pem", 0644, ca.cert, NULL, NULL, err);
out:
    X509_free(ca.cert);
    EVP_PKEY_free(ca.key);
    sp_free(ca.dir);
    close(ca.lock);
    return rc;
}

static int load(struct sp_ca *ca, struct sp_err *err)
{
    struct sp_buf cert = {0}, key = {0};
    BIO *b = open_pem(ca->dir, "ca.pem", &cert, err), *k;
    int rc = 0;

    if (!b)
        return err && err->code ? -(int)err->code : -SP_EIO;
    ca->cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    sp_buf_free(&cert);
    k = open_pem(ca->dir, "ca.key", &key, err);
    if (!k)
        return err && err->code ? -(int)err->code : -SP_EIO;
    ca->key = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
    BIO_free(k);
    sp_buf_wipe(&key);
    if (!ca->cert || !ca->key || X509_check_private_key(ca->cert, ca->key) != 1)
        rc = sp_ca_openssl(err,
                           "ca.pem and ca.key are damaged or do not belong together");
    return rc;
}

int sp_ca_open(const char *dir, struct sp_ca **ret_ca, struct sp_err *err)
{
    struct sp_ca *ca;
    struct sp_err own = {0};
    int rc;

    if (!exists(dir, "ca.pem"))
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                          "there is no certificate authority in %s", dir);
    ca = sp_alloc(sizeof *ca);
    if (!ca)
        return sp_err_nomem(err);
    ca->lock = -1;
    ca->dir = sp_strdup(dir);
    rc = ca->dir ? sp_ca_lock(dir, &ca->lock, &own) : sp_err_nomem(&own);
    if (rc == 0)
        rc = load(ca, &own);
    if (rc == 0)
        rc = sp_ca_read_index(ca, &own);
    if (rc < 0) {
        if (err)
            *err = own;
        sp_ca_close(ca);
        return rc;
    }
    *ret_ca = ca;
    return 0;
}

void sp_ca_close(struct sp_ca *ca)
{
    if (!ca)
        return;
    sp_ca_free_index(ca);
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    if (ca->lock >= 0)
        close(ca->lock);
    sp_free(ca->dir);
    sp_free(ca);
}

/* ---- Names ---- */

/* Letters, digits, hyphens and dots, a star as the whole first label at most. */
static bool dns_name_ok(const char *s)
{
    size_t n = strlen(s), label = 0;

    if (n == 0 || n > 253)
        return false;
    if (s[0] == '*' && s[1] == '.')
        s += 2;
    for (; *s; s++) {
        int c = sp_lower((unsigned char)*s);

        if (*s == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' &&
                   c != '_') {
            return false;
        } else if (++label > 63) {
            return false;
        }
    }
    return label > 0;
}

static bool push_ia5(GENERAL_NAMES *san, int type, struct sp_str s)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *v = ASN1_IA5STRING_new();

    if (!g || !v || ASN1_STRING_set(v, s.p, (int)s.n) != 1) {
        GENERAL_NAME_free(g);
        ASN1_IA5STRING_free(v);
        return false;
    }
    GENERAL_NAME_set0_value(g, type, v);
    if (sk_GENERAL_NAME_push(san, g) > 0)
        return true;
    GENERAL_NAME_free(g);
    return false;
}

static int push_host(GENERAL_NAMES *san, const char *host, struct sp_err *err)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
    GENERAL_NAME *g;

    ERR_clear_error();
    if (!ip) {
        if (!dns_name_ok(host))
            return sp_err_set(
                err, SP_CLASS_PEER, SP_EINPUT,
                "\"%s\" is neither a DNS name (non-ASCII ones as xn--...) "
                "nor an IP address",
                host);
        return push_ia5(san, GEN_DNS, sp_str(host)) ? 0 : sp_err_nomem(err);
    }
    g = GENERAL_NAME_new();
    if (!g) {
        ASN1_OCTET_STRING_free(ip);
        return sp_err_nomem(err);
    }
    GENERAL_NAME_set0_value(g, GEN_IPADD, ip);
    if (sk_GENERAL_NAME_push(san, g) > 0)
        return 0;
    GENERAL_NAME_free(g);
    return sp_err_nomem(err);
}

static bool push_utf8_mailbox(GENERAL_NAMES *san, struct sp_str address)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.8.9", 1);
    ASN1_TYPE *v = ASN1_TYPE_new();
    ASN1_UTF8STRING *s = ASN1_UTF8STRING_new();

    if (!g || !oid || !v || !s || ASN1_STRING_set(s, address.p, (int)address.n) != 1) {
        GENERAL_NAME_free(g);
        ASN1_OBJECT_free(oid);
        ASN1_TYPE_free(v);
        ASN1_UTF8STRING_free(s);
        return false;
    }
    ASN1_TYPE_set(v, V_ASN1_UTF8STRING, s);
    if (GENERAL_NAME_set0_othername(g, oid, v) != 1) {
        GENERAL_NAME_free(g);
        return false;
    }
    if (sk_GENERAL_NAME_push(san, g) > 0)
        return true;
    GENERAL_NAME_free(g);
    return false;
}

static bool is_ascii(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 126)
            return false;
    return true;
}

/* RFC 9598 3: SmtpUTF8Mailbox only for a local part that is not ASCII; the domain is
 * written as A-labels in either form. */
static int push_mailbox(GENERAL_NAMES *san, struct sp_str address, struct sp_err *err)
{
    char canonical[SP_ADDRESS_MAX + 1];
    bool pattern = false, ok;
    struct sp_str local, domain, text;
    int n = sp_grant_canonical(address, canonical, sizeof canonical, &pattern);

    text = (struct sp_str){canonical, n > 0 ? (size_t)n : 0};
    if (n < 0 || pattern || sp_address_split(text, &local, &domain) < 0 ||
        !is_ascii(domain))
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "\"%.*s\" is no address for a certificate (non-ASCII domains "
                          "as xn--...)",
                          address.n > 100 ? 100 : (int)address.n, address.p);
    ok =
        is_ascii(local) ? push_ia5(san, GEN_EMAIL, text) : push_utf8_mailbox(san, text);
    return ok ? 0 : sp_err_nomem(err);
}

/* ---- Issuing ---- */

struct leaf {
    EVP_PKEY *key;
    X509 *x;
    char serial[SP_CA_SERIAL_MAX];
    char fingerprint[65];
    struct sp_ca_entry e;
};

static void free_leaf(struct leaf *l)
{
    X509_free(l->x);
    EVP_PKEY_free(l->key);
}

/* Takes over nothing; san may be empty. */
static int make_leaf(struct sp_ca *ca, struct sp_str cn, GENERAL_NAMES *san,
                     unsigned days, bool client, struct leaf *l, struct sp_err *err)
{
    l->key = EVP_EC_gen("P-256");
    l->x = l->key ? new_cert(l->key, cn, days) : NULL;
    if (!l->x || !sp_certmake_extension(l->x, ca->cert, NID_basic_constraints, "critical,CA:FALSE") ||
        !sp_certmake_extension(l->x, ca->cert, NID_key_usage, "critical,digitalSignature") ||
        !sp_certmake_extension(l->x, ca->cert, NID_ext_key_usage,
                 client ? "clientAuth" : "serverAuth") ||
        !sp_certmake_extension(l->x, ca->cert, NID_subject_key_identifier, "hash") ||
        !sp_certmake_extension(l->x, ca->cert, NID_authority_key_identifier, "keyid") ||
        (sk_GENERAL_NAME_num(san) > 0 &&
         X509_add1_ext_i2d(l->x, NID_subject_alt_name, san, 0, X509V3_ADD_DEFAULT) !=
             1) ||
        !sp_certmake_sign(l->x, ca->cert, ca->key))
        return sp_ca_openssl(err, "cannot make the certificate");
    l->e.is_client = client;
    fill_entry(l->x, &l->e, l->serial, l->fingerprint);
    return 0;
}

int sp_ca_issue_server(struct sp_ca *ca, const char *const *names, size_t n,
                       unsigned days, const char *cert_path, const char *key_path,
                       struct sp_err *err)
{
    GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
    struct leaf l = {0};
    struct sp_str cn =
        n && strlen(names[0]) <= 64 ? sp_str(names[0]) : (struct sp_str){0};
    int rc = bad_days(days, err);

    if (rc == 0 && (n == 0 || n > 100))
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "a server certificate needs 1 to 100 names");
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = san ? push_host(san, names[i], err) : sp_err_nomem(err);
    if (rc == 0)
        rc = make_leaf(ca, cn, san, days, false, &l, err);
    if (rc == 0) {
        l.e.user = names[0];
        l.e.address = "";
        /* The index first: a certificate that exists can always be revoked. */
        rc = sp_ca_add_line(ca, &l.e, err);
    }
    if (rc == 0)
        rc = write_pem(key_path, 0600, NULL, NULL, l.key, NULL, err);
    if (rc == 0)
        rc = write_pem(cert_path, 0644, l.x, ca->cert, NULL, NULL, err);
    sk_GENERAL_NAME_pop_free(san, GENERAL_NAME_free);
    free_leaf(&l);
    return rc;
}

/* clang-format off */
static const struct {
    int pbe;
    const EVP_MD *(*mac)(void);
    int iterations;
} p12_kinds[] = {
    [SP_P12_MODERN] = {NID_aes_256_cbc,                         EVP_sha256, 10000},
    [SP_P12_PHONE]  = {NID_pbe_WithSHA1And3_Key_TripleDES_CBC,  EVP_sha1,   2048},
};
/* clang-format on */

static PKCS12 *make_p12(struct sp_ca *ca, const struct leaf *l, const char *name,
                        const char *password, enum sp_p12_kind kind)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    PKCS12 *p12 = NULL;

    if (chain && sk_X509_push(chain, ca->cert) > 0)
        p12 = PKCS12_create(password, name, l->key, l->x, chain, p12_kinds[kind].pbe,
                            p12_kinds[kind].pbe, p12_kinds[kind].iterations, -1, 0);
    sk_X509_free(chain); /* the certificate is the CA's */
    if (p12 && PKCS12_set_mac(p12, password, -1, NULL, 0, p12_kinds[kind].iterations,
                              p12_kinds[kind].mac()) != 1) {
        PKCS12_free(p12);
        p12 = NULL;
    }
    return p12;
}

static int write_p12(struct sp_ca *ca, const struct sp_ca_client *want,
                     const struct leaf *l, struct sp_err *err)
{
    char password[256], name[SP_NAME_MAX + 1];
    PKCS12 *p12;
    unsigned char *der = NULL;
    int n, rc;

    memcpy(password, want->p12_password.p, want->p12_password.n);
    password[want->p12_password.n] = '\0';
    memcpy(name, want->user.p, want->user.n);
    name[want->user.n] = '\0';
    p12 = make_p12(ca, l, name, password, want->p12);
    n = p12 ? i2d_PKCS12(p12, &der) : -1;
    rc = n > 0 ? sp_ca_write(want->p12_path, 0600,
                             (struct sp_str){(char *)der, (size_t)n}, err)
               : sp_ca_openssl(err, "cannot make the PKCS#12 file");
    sp_wipe(password, sizeof password);
    OPENSSL_free(der);
    PKCS12_free(p12);
    return rc;
}

static int check_client(const struct sp_ca_client *want, char name[SP_NAME_MAX + 1],
                        struct sp_err *err)
{
    int rc = bad_days(want->days, err);

    if (rc < 0)
        return rc;
    rc = sp_account_canonical(want->user, name, SP_NAME_MAX + 1);
    if (rc < 0 || rc > 64)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "this is no account's name, or too long for a certificate");
    if (want->p12_path &&
        (want->p12 == SP_P12_NONE || want->p12_password.n == 0 ||
         want->p12_password.n > 255 || !sp_utf8_valid(want->p12_password)))
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "a PKCS#12 file needs a password of 1 to 255 octets");
    return 0;
}

int sp_ca_issue_client(struct sp_ca *ca, struct sp_ca_client *want, struct sp_err *err)
{
    GENERAL_NAMES *san = NULL;
    struct leaf l = {0};
    char name[SP_NAME_MAX + 1], address[SP_ADDRESS_MAX + 1] = "";
    int rc = check_client(want, name, err);

    if (rc < 0)
        return rc;
    san = sk_GENERAL_NAME_new_null();
    if (!san)
        return sp_err_nomem(err);
    if (want->address.n)
        rc = push_mailbox(san, want->address, err);
    if (rc == 0)
        rc = make_leaf(ca, sp_str(name), san, want->days, true, &l, err);
    if (rc == 0) {
        if (want->address.n) /* push_mailbox() found it within SP_ADDRESS_MAX */
            memcpy(address, want->address.p, want->address.n);
        address[want->address.n] = '\0';
        l.e.user = name;
        l.e.address = address;
        rc = sp_ca_add_line(ca, &l.e, err);
    }
    if (rc == 0)
        memcpy(want->ret_serial, l.serial, sizeof l.serial);
    if (rc == 0 && want->key_path)
        rc = write_pem(want->key_path, 0600, NULL, NULL, l.key, NULL, err);
    if (rc == 0 && want->cert_path)
        rc = write_pem(want->cert_path, 0644, l.x, ca->cert, NULL, NULL, err);
    if (rc == 0 && want->p12_path)
        rc = write_p12(ca, want, &l, err);
    sk_GENERAL_NAME_pop_free(san, GENERAL_NAME_free);
    free_leaf(&l);
    return rc;
}

/* ---- The list and the CRL ---- */

int sp_ca_list(struct sp_ca *ca, int (*each)(void *arg, const struct sp_ca_entry *e),
               void *arg, struct sp_err *err)
{
    int rc = 0;

    (void)err;
    for (size_t i = 0; rc == 0 && i < ca->lines; i++)
        rc = each(arg, &ca->line[i].e);
    return rc;
}

static X509_CRL *read_crl(const char *path)
{
    struct sp_buf b;
    X509_CRL *crl = NULL;
    BIO *bio;

    if (sp_ca_read(path, 64u << 20, &b, NULL) < 0)
        return NULL;
    bio = BIO_new_mem_buf(b.p, (int)b.n);
    if (bio)
        crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    BIO_free(bio);
    sp_buf_free(&b);
    ERR_clear_error();
    return crl;
}

/* RFC 5280 5.2.3: each CRL has a higher number than the one before. */
static ASN1_INTEGER *next_number(const char *path)
{
    X509_CRL *old = read_crl(path);
    ASN1_INTEGER *was =
        old ? X509_CRL_get_ext_d2i(old, NID_crl_number, NULL, NULL) : NULL;
    BIGNUM *bn = was ? ASN1_INTEGER_to_BN(was, NULL) : BN_new();
    ASN1_INTEGER *next = NULL;

    if (bn && BN_add_word(bn, 1) == 1)
        next = BN_to_ASN1_INTEGER(bn, NULL);
    BN_free(bn);
    ASN1_INTEGER_free(was);
    X509_CRL_free(old);
    return next;
}

static bool add_revoked(X509_CRL *crl, const struct sp_ca_entry *e)
{
    BIGNUM *bn = NULL;
    ASN1_INTEGER *serial =
        BN_hex2bn(&bn, e->serial) ? BN_to_ASN1_INTEGER(bn, NULL) : NULL;
    ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)e->revoked_s);
    X509_REVOKED *r = X509_REVOKED_new();
    bool ok = serial && at && r && X509_REVOKED_set_serialNumber(r, serial) == 1 &&
              X509_REVOKED_set_revocationDate(r, at) == 1 &&
              X509_CRL_add0_revoked(crl, r);

    if (!ok)
        X509_REVOKED_free(r);
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(at);
    BN_free(bn);
    return ok;
}

static bool crl_heads(struct sp_ca *ca, X509_CRL *crl, ASN1_INTEGER *number)
{
    time_t now = time(NULL);
    ASN1_TIME *last = ASN1_TIME_set(NULL, now - SKEW_S);
    ASN1_TIME *next = ASN1_TIME_set(NULL, now + SP_CA_CRL_DAYS * 86400);
    bool ok = last && next && X509_CRL_set_version(crl, 1) == 1 &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) == 1 &&
              X509_CRL_set1_lastUpdate(crl, last) == 1 &&
              X509_CRL_set1_nextUpdate(crl, next) == 1 &&
              X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1;

    ASN1_TIME_free(last);
    ASN1_TIME_free(next);
    return ok;
}

int sp_ca_refresh_crl(struct sp_ca *ca, struct sp_err *err)
{
    char *path = sp_ca_path(ca->dir, "crl.pem");
    ASN1_INTEGER *number = path ? next_number(path) : NULL;
    X509_CRL *crl = X509_CRL_new();
    bool ok = path && number && crl && crl_heads(ca, crl, number);
    int rc;

    for (size_t i = 0; ok && i < ca->lines; i++)
        if (ca->line[i].e.revoked_s)
            ok = add_revoked(crl, &ca->line[i].e);
    ok = ok && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0;
    rc = ok ? write_pem(path, 0644, NULL, NULL, NULL, crl, err)
            : sp_ca_openssl(err, "cannot make the revocation list");
    X509_CRL_free(crl);
    ASN1_INTEGER_free(number);
    sp_free(path);
    return rc;
}

/* Index and CRL together: the index first, so that a crash between the two leaves a
 * certificate that the next refresh revokes. */
static int write_both(struct sp_ca *ca, struct sp_err *err)
{
    int rc = sp_ca_write_index(ca, err);

    return rc < 0 ? rc : sp_ca_refresh_crl(ca, err);
}

int sp_ca_revoke(struct sp_ca *ca, const char *serial_or_fingerprint,
                 struct sp_err *err)
{
    struct sp_str key = sp_str(serial_or_fingerprint);

    for (size_t i = 0; i < ca->lines; i++) {
        struct sp_ca_entry *e = &ca->line[i].e;

        if (!sp_str_caseis(key, e->serial) && !sp_str_caseis(key, e->fingerprint))
            continue;
        if (e->revoked_s)
            return sp_err_set(err, SP_CLASS_PEER, SP_EEXIST,
                              "certificate %s is revoked already", e->serial);
        e->revoked_s = (int64_t)time(NULL);
        return write_both(ca, err);
    }
    return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                      "this CA has issued no such certificate");
}

int sp_ca_revoke_user(struct sp_ca *ca, struct sp_str user, struct sp_err *err)
{
    int n = 0, rc = 0;

    for (size_t i = 0; i < ca->lines; i++) {
        struct sp_ca_entry *e = &ca->line[i].e;

        if (!e->is_client || e->revoked_s || !sp_str_is(user, e->user))
            continue;
        e->revoked_s = (int64_t)time(NULL);
        n++;
    }
    if (n)
        rc = write_both(ca, err);
    return rc < 0 ? rc : n;
}

int sp_ca_crl_next(const char *path, int64_t *ret_next_s, struct sp_err *err)
{
    X509_CRL *crl = read_crl(path);
    struct tm tm;
    int rc = 0;

    if (!crl || !X509_CRL_get0_nextUpdate(crl) ||
        ASN1_TIME_to_tm(X509_CRL_get0_nextUpdate(crl), &tm) != 1)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "%s is no revocation list in PEM", path);
    else
        *ret_next_s = (int64_t)timegm(&tm);
    X509_CRL_free(crl);
    return rc;
}
