/*
 * certmake.h - the steps of making a certificate that all certificates share.
 *
 * For those who make them: the small CA (ca.h) and the throw-away certificates of
 * `check --client`.  Each returns false when libcrypto fails; the reason is then in its
 * error queue.  Nothing is taken over: certificates and keys stay the caller's.
 */
#ifndef SP_CERTMAKE_H
#define SP_CERTMAKE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

bool sp_certmake_serial(X509 *x); /* random, 127 bits: RFC 5280 4.1.2.2 */
/* One extension by its configuration text, as in "critical,CA:TRUE". */
bool sp_certmake_extension(X509 *x, X509 *issuer, int nid, const char *value);
bool sp_certmake_sign(X509 *x, X509 *issuer,
                      EVP_PKEY *key); /* names the issuer, signs */

#endif
