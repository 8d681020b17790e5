/* throwaway.c - see throwaway.h. */
#include "throwaway.h"

#include "alloc.h"
#include "certmake.h"
#include "err.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static int failed(struct sp_err *err, const char *what)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    int rc =
        sp_err_set(err, SP_CLASS_BUG, SP_EIO, "%s: %s", what, why ? why : "failed");

    ERR_clear_error();
    return rc;
}

static bool blank(struct sp_throwaway *t, const char *cn, int from_days, int to_days)
{
    t->key = EVP_EC_gen("P-256");
    t->cert = t->key ? X509_new() : NULL;
    return t->cert && X509_set_version(t->cert, 2) == 1 &&
           sp_certmake_serial(t->cert) &&
           X509_time_adj_ex(X509_getm_notBefore(t->cert), from_days, 0, NULL) &&
           X509_time_adj_ex(X509_getm_notAfter(t->cert), to_days, 0, NULL) &&
           X509_set_pubkey(t->cert, t->key) == 1 &&
           X509_NAME_add_entry_by_NID(X509_get_subject_name(t->cert), NID_commonName,
                                      MBSTRING_UTF8, (const unsigned char *)cn, -1, -1,
                                      0) == 1;
}

int sp_throwaway_ca(const char *cn, struct sp_throwaway **ret, struct sp_err *err)
{
    struct sp_throwaway *t = sp_alloc(sizeof *t);

    if (!t)
        return sp_err_nomem(err);
    if (!blank(t, cn, -2, 30) ||
        !sp_certmake_extension(t->cert, t->cert, NID_basic_constraints,
                               "critical,CA:TRUE") ||
        !sp_certmake_extension(t->cert, t->cert, NID_key_usage,
                               "critical,keyCertSign,cRLSign") ||
        !sp_certmake_extension(t->cert, t->cert, NID_subject_key_identifier, "hash") ||
        !sp_certmake_sign(t->cert, t->cert, t->key)) {
        sp_throwaway_free(t);
        return failed(err, "cannot make a certificate authority");
    }
    *ret = t;
    return 0;
}

int sp_throwaway_leaf(const struct sp_throwaway *ca, const struct sp_throwaway_want *w,
                      struct sp_throwaway **ret, struct sp_err *err)
{
    struct sp_throwaway *t = sp_alloc(sizeof *t);
    const char *use = w->client ? "clientAuth" : "serverAuth";

    if (!t)
        return sp_err_nomem(err);
    if (!blank(t, w->cn, w->from_days, w->to_days) ||
        !sp_certmake_extension(t->cert, ca->cert, NID_basic_constraints,
                               "critical,CA:FALSE") ||
        !sp_certmake_extension(t->cert, ca->cert, NID_key_usage,
                               "critical,digitalSignature") ||
        !sp_certmake_extension(t->cert, ca->cert, NID_ext_key_usage, use) ||
        !sp_certmake_extension(t->cert, ca->cert, NID_subject_key_identifier, "hash") ||
        !sp_certmake_extension(t->cert, ca->cert, NID_authority_key_identifier,
                               "keyid") ||
        (w->san &&
         !sp_certmake_extension(t->cert, ca->cert, NID_subject_alt_name, w->san)) ||
        !sp_certmake_sign(t->cert, ca->cert, ca->key)) {
        sp_throwaway_free(t);
        return failed(err, "cannot make a certificate");
    }
    *ret = t;
    return 0;
}

void sp_throwaway_free(struct sp_throwaway *t)
{
    if (!t)
        return;
    X509_free(t->cert);
    EVP_PKEY_free(t->key);
    sp_free(t);
}

int sp_throwaway_pem(const struct sp_throwaway *t, bool key, struct sp_buf *out,
                     struct sp_err *err)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *p;
    long n;
    int rc = -SP_ENOMEM;

    if (b && (key ? PEM_write_bio_PrivateKey(b, t->key, NULL, NULL, 0, NULL, NULL)
                  : PEM_write_bio_X509(b, t->cert)) == 1) {
        n = BIO_get_mem_data(b, &p);
        rc = sp_buf_put(out, p, (size_t)n);
    }
    BIO_free(b);
    return rc < 0 ? failed(err, "PEM") : 0;
}
