/*
 * tlsstaple.c - OCSP responses that a server shows with its certificate (RFC 6066 8, 6960).
 *
 * A staple is only ever a help to clients: one that cannot be used is left out, never an
 * error.  It is of use when it is about this very certificate, says "good", is signed by
 * the issuer or by whom the issuer made responder (where the chain has the issuer), and has
 * not ended.  The last is asked again at each handshake.
 */
#include "tlsint.h"

#include "alloc.h"
#include "err.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    DER_MAX = 65536,
    NO_END_S = 86400, /* a response without nextUpdate is shown so long */
};

struct tls_staple {
    struct tls_staple *next;
    X509 *leaf;
    unsigned char *der;
    size_t n;
    int64_t until;
    char *name;
};

void sp_tls_staple_free(struct tls_staple *s)
{
    while (s) {
        struct tls_staple *next = s->next;

        X509_free(s->leaf);
        sp_free(s->der);
        sp_free(s->name);
        sp_free(s);
        s = next;
    }
}

static X509 *issuer_of(STACK_OF(X509) * certs)
{
    for (int i = 1; i < sk_X509_num(certs); i++)
        if (X509_check_issued(sk_X509_value(certs, i), sk_X509_value(certs, 0)) ==
            X509_V_OK)
            return sk_X509_value(certs, i);
    return NULL;
}

/* Without the issuer at hand the serial number has to do. */
static bool is_about(const OCSP_CERTID *id, X509 *leaf, X509 *issuer)
{
    ASN1_OBJECT *hash = NULL;
    ASN1_INTEGER *serial = NULL;
    OCSP_CERTID *want;
    bool same;

    if (OCSP_id_get0_info(NULL, &hash, NULL, &serial, (OCSP_CERTID *)(uintptr_t)id) !=
        1)
        return false;
    if (!issuer)
        return ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;
    want = OCSP_cert_to_id(EVP_get_digestbyobj(hash), leaf, issuer);
    same = want && OCSP_id_cmp(want, id) == 0;
    OCSP_CERTID_free(want);
    return same;
}

static bool signed_by(OCSP_BASICRESP *basic, X509 *issuer, STACK_OF(X509) * certs)
{
    X509_STORE *store = X509_STORE_new();
    bool ok = store && X509_STORE_add_cert(store, issuer) == 1 &&
              X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
              OCSP_basic_verify(basic, certs, store, 0) == 1;

    X509_STORE_free(store);
    return ok;
}

static const char *judge(OCSP_BASICRESP *basic, STACK_OF(X509) * certs,
                         int64_t *ret_until)
{
    X509 *leaf = sk_X509_value(certs, 0), *issuer = issuer_of(certs);
    const ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;

    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *one = OCSP_resp_get0(basic, i);

        if (!is_about(OCSP_SINGLERESP_get0_id(one), leaf, issuer))
            continue;
        if (OCSP_single_get0_status(one, NULL, NULL, (void *)&from, (void *)&until) !=
            V_OCSP_CERTSTATUS_GOOD)
            return "does not say that the certificate is good";
        if (issuer && !signed_by(basic, issuer, certs))
            return "is not signed by the issuer of the certificate";
        *ret_until = until ? sp_tls_seconds(until) : sp_tls_seconds(from) + NO_END_S;
        return NULL;
    }
    return "is about another certificate";
}

static int add(struct tls_staple **list, const struct sp_pem *p, X509 *leaf,
               int64_t until, struct sp_err *err)
{
    struct tls_staple *s = sp_alloc(sizeof *s);

    if (!s)
        return sp_err_nomem(err);
    s->der = sp_alloc(p->pem.n);
    s->name = sp_strdup(p->name ? p->name : "(no name)");
    if (!s->der || !s->name || X509_up_ref(leaf) != 1) {
        sp_tls_staple_free(s);
        return sp_err_nomem(err);
    }
    memcpy(s->der, p->pem.p, p->pem.n);
    s->n = p->pem.n;
    s->leaf = leaf;
    s->until = until;
    s->next = *list;
    *list = s;
    return 0;
}

int sp_tls_staple_read(struct tls_staple **list, const struct sp_pem *der,
                       STACK_OF(X509) * certs, struct sp_err *err)
{
    const unsigned char *p = (const unsigned char *)der->pem.p;
    OCSP_RESPONSE *r =
        der->pem.n <= DER_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)der->pem.n) : NULL;
    OCSP_BASICRESP *basic = NULL;
    int64_t until = 0;
    const char *why = "is no OCSP response (DER)";

    if (r && OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        why = OCSP_response_status_str(OCSP_response_status(r));
    else if (r && (basic = OCSP_response_get1_basic(r)))
        why = judge(basic, certs, &until);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(r);
    ERR_clear_error();
    if (why)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s %s; it is not sent",
                          der->name ? der->name : "(no name)", why);
    return add(list, der, sk_X509_value(certs, 0), until, err);
}

/* OpenSSL calls this when the certificate of the session is chosen. */
static int on_status(SSL *ssl, void *arg)
{
    X509 *shown = SSL_get_certificate(ssl);

    for (const struct tls_staple *s = arg; s; s = s->next) {
        unsigned char *copy;

        if (!shown || X509_cmp(shown, s->leaf) != 0)
            continue;
        if (s->until < (int64_t)time(NULL)) {
            struct sp_tls *t = SSL_get_app_data(ssl);

            if (t)
                t->staple_expired = true;
            return SSL_TLSEXT_ERR_NOACK;
        }
        copy = OPENSSL_memdup(s->der, s->n);
        if (!copy)
            return SSL_TLSEXT_ERR_NOACK;
        if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)s->n) != 1) {
            OPENSSL_free(copy);
            return SSL_TLSEXT_ERR_NOACK;
        }
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

void sp_tls_staple_on(SSL_CTX *ctx, struct tls_staple *list)
{
    (void)SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    (void)SSL_CTX_set_tlsext_status_arg(ctx, list);
}

bool sp_tls_staple_warning(const struct tls_staple *s, int64_t now, char *text,
                           size_t cap)
{
    for (; s; s = s->next) {
        time_t t = (time_t)s->until;
        struct tm tm;

        if (s->until >= now || !gmtime_r(&t, &tm))
            continue;
        (void)snprintf(
            text, cap,
            "OCSP response %s is too old since %04d-%02d-%02d %02d:%02d UTC; it "
            "is not sent",
            s->name, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
            tm.tm_min);
        return true;
    }
    return false;
}
