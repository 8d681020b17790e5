/* certmake.c - see certmake.h. */
#include "certmake.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>

bool sp_certmake_serial(X509 *x)
{
    BIGNUM *bn = BN_new();
    bool ok = bn && BN_rand(bn, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL;

    BN_free(bn);
    return ok;
}

bool sp_certmake_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;
    bool ok;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

bool sp_certmake_sign(X509 *x, X509 *issuer, EVP_PKEY *key)
{
    return X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
           X509_sign(x, key, EVP_sha256()) > 0;
}
