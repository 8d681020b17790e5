/*
 * throwaway.h - keys and certificates made in memory for one run, and gone with it.
 *
 *     struct sp_throwaway *ca, *leaf;
 *     sp_throwaway_ca("CN of the authority", &ca, &err);
 *     struct sp_throwaway_want w = {.cn = "mail", .san = "DNS:localhost",
 *                                   .from_days = -1, .to_days = 1};
 *     sp_throwaway_leaf(ca, &w, &leaf, &err);
 *     SSL_CTX_use_certificate(ctx, leaf->cert);  ... leaf->key ...
 *     sp_throwaway_free(leaf);
 *
 * P-256 and SHA-256.  Dates may be anything, the past included.  0, -SP_EIO with
 * OpenSSL's reason, -SP_ENOMEM.
 */
#ifndef SP_THROWAWAY_H
#define SP_THROWAWAY_H

#include "buf.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct sp_throwaway {
    X509 *cert;
    EVP_PKEY *key;
};

struct sp_throwaway_want {
    const char *cn;
    const char *san;        /* as in OpenSSL's configuration: "DNS:localhost,IP:::1" */
    bool client;            /* clientAuth, else serverAuth */
    int from_days, to_days; /* from now */
};

int sp_throwaway_ca(const char *cn, struct sp_throwaway **ret, struct sp_err *err);
int sp_throwaway_leaf(const struct sp_throwaway *ca, const struct sp_throwaway_want *w,
                      struct sp_throwaway **ret, struct sp_err *err);
void sp_throwaway_free(struct sp_throwaway *t); /* NULL is fine */
/* PEM of the certificate, or of the key, appended. */
int sp_throwaway_pem(const struct sp_throwaway *t, bool key, struct sp_buf *out,
                     struct sp_err *err);

#endif
