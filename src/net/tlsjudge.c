/*
 * tlsjudge.c - what a client certificate is worth: see tlsctx.h and tlsint.h.
 *
 * Only this listener's CAs count.  The certificate's own dates are judged apart from the
 * chain, because a pinned key replaces the chain but never the dates.
 */
#include "tlsint.h"

#include "text.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define CHAIN_MAX 8 /* issuers between the certificate and an anchor */

int64_t sp_tls_seconds(const ASN1_TIME *t)
{
    static ASN1_TIME *epoch; /* made once, kept */
    int days = 0, secs = 0;

    if (!epoch)
        epoch = ASN1_TIME_set(NULL, 0);
    if (!t || !epoch || !ASN1_TIME_diff(&days, &secs, epoch, t))
        return 0;
    return (int64_t)days * 86400 + secs;
}

void sp_tls_date(const ASN1_TIME *t, char out[16])
{
    struct tm tm;

    if (t && ASN1_TIME_to_tm(t, &tm) == 1)
        (void)snprintf(out, 16, "%04u-%02u-%02u",
                       (unsigned)(tm.tm_year + 1900) % 10000U,
                       (unsigned)(tm.tm_mon + 1) % 100U, (unsigned)tm.tm_mday % 100U);
    else
        (void)snprintf(out, 16, "(no date)");
}

static bool string_has_nul(const ASN1_STRING *s)
{
    return s && memchr(ASN1_STRING_get0_data(s), 0, (size_t)ASN1_STRING_length(s));
}

static bool general_name_has_nul(const GENERAL_NAME *g)
{
    int kind = 0;
    void *v = GENERAL_NAME_get0_value(g, &kind);

    switch (kind) {
    case GEN_EMAIL:
    case GEN_DNS:
    case GEN_URI:
        return string_has_nul(v);
    case GEN_OTHERNAME: {
        const OTHERNAME *o = v;

        return o->value->type == V_ASN1_UTF8STRING &&
               string_has_nul(o->value->value.utf8string);
    }
    default:
        return false; /* addresses and encoded names are binary anyway */
    }
}

static bool subject_has_nul(X509 *x)
{
    X509_NAME *subject = X509_get_subject_name(x);

    for (int i = 0; i < X509_NAME_entry_count(subject); i++) {
        ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(&utf8, s); /* a BMPString is full of zero octets */
        bool nul = n > 0 && memchr(utf8, 0, (size_t)n);

        OPENSSL_free(utf8);
        if (nul)
            return true;
    }
    return false;
}

/* "alice@example.org\0.evil.example": code that stops at the NUL sees another name
 * than the CA did. */
bool sp_tls_nul_in_names(X509 *x)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool nul = subject_has_nul(x);

    for (int i = 0; i < sk_GENERAL_NAME_num(san) && !nul; i++)
        nul = general_name_has_nul(sk_GENERAL_NAME_value(san, i));
    GENERAL_NAMES_free(san);
    return nul;
}

static void judge_dates(X509 *x, int64_t now, struct sp_tls_verdict *v)
{
    int64_t from = sp_tls_seconds(X509_get0_notBefore(x));
    int64_t until = sp_tls_seconds(X509_get0_notAfter(x));
    char d[16];

    v->dates_ok = now >= from && now <= until;
    if (now < from) {
        sp_tls_date(X509_get0_notBefore(x), d);
        (void)snprintf(v->dates_why, sizeof v->dates_why,
                       "certificate not valid before %s", d);
        v->until = from < v->until ? from : v->until;
    } else if (now > until) {
        sp_tls_date(X509_get0_notAfter(x), d);
        (void)snprintf(v->dates_why, sizeof v->dates_why, "certificate expired %s", d);
    } else {
        v->until = until < v->until ? until : v->until;
    }
}

void sp_tls_verify_words(int code, X509 *x, const char *whose, char *out, size_t cap)
{
    char d[16];

    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        (void)snprintf(out, cap, "issuer not known to %s", whose);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        (void)snprintf(out, cap, "self-signed certificate not known to %s", whose);
        return;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        (void)snprintf(out, cap, "root certificate not known to %s", whose);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        sp_tls_date(x ? X509_get0_notAfter(x) : NULL, d);
        (void)snprintf(out, cap, "certificate expired %s", d);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        sp_tls_date(x ? X509_get0_notBefore(x) : NULL, d);
        (void)snprintf(out, cap, "certificate not valid before %s", d);
        return;
    case X509_V_ERR_CERT_REVOKED:
        (void)snprintf(out, cap, "revoked");
        return;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
        (void)snprintf(out, cap, "no revocation list for the certificate's issuer");
        return;
    case X509_V_ERR_CRL_NOT_YET_VALID:
        (void)snprintf(out, cap, "revocation list is not valid yet");
        return;
    case X509_V_ERR_INVALID_PURPOSE:
        (void)snprintf(out, cap, "not for this use");
        return;
    default:
        (void)snprintf(out, cap, "%s", X509_verify_cert_error_string(code));
    }
}

/* What a verification carries to its callback. */
struct judging {
    struct sp_tls_verdict *v;
    int64_t now;
};

static void chain_no(struct judging *j, X509_STORE_CTX *s, int code)
{
    struct sp_tls_verdict *v = j->v;
    X509 *x = X509_STORE_CTX_get_current_cert(s);
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(s);
    char words[100], d[16];

    v->chain_ok = false;
    if (v->chain_why[0])
        return;
    if (code == X509_V_ERR_CRL_HAS_EXPIRED) {
        sp_tls_date(crl ? X509_CRL_get0_nextUpdate(crl) : NULL, d);
        (void)snprintf(v->chain_why, sizeof v->chain_why,
                       "revocation list out of date since %s", d);
    } else if (code == X509_V_ERR_INVALID_PURPOSE) {
        (void)snprintf(v->chain_why, sizeof v->chain_why,
                       "not for client authentication");
    } else {
        sp_tls_verify_words(code, x, "this listener", words, sizeof words);
        (void)snprintf(v->chain_why, sizeof v->chain_why, "%s%s",
                       X509_STORE_CTX_get_error_depth(s) > 0 && x ? "issuer's " : "",
                       words);
    }
}

static int on_verify(int ok, X509_STORE_CTX *s)
{
    struct judging *j = X509_STORE_CTX_get_app_data(s);
    int code = X509_STORE_CTX_get_error(s);
    int depth = X509_STORE_CTX_get_error_depth(s);

    if (ok)
        return 1;
    /* The certificate's own dates are judged by judge_dates(). */
    if (depth == 0 &&
        (code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID))
        return 1;
    /* Nobody revokes the anchor: it is trusted because the configuration says so. */
    if (code == X509_V_ERR_UNABLE_TO_GET_CRL && depth > 0 &&
        depth == sk_X509_num(X509_STORE_CTX_get0_chain(s)) - 1)
        return 1;
    chain_no(j, s, code);
    return 1; /* go on: every reason but the first is ignored, the dates are not */
}

/* The issuers' dates and the lists' bound how long the verdict can be kept. */
static void bound_by_others(const struct sp_tls_ctx *ctx, X509_STORE_CTX *s,
                            int64_t now, struct sp_tls_verdict *v)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(ctx->roots);
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(s);

    for (int i = 0; ctx->use_crl && i < sk_X509_OBJECT_num(all); i++) {
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));
        int64_t t = crl ? sp_tls_seconds(X509_CRL_get0_nextUpdate(crl)) : 0;

        if (t >= now && t < v->until)
            v->until = t;
    }

    for (int i = 1; i < sk_X509_num(chain); i++) {
        int64_t t = sp_tls_seconds(X509_get0_notAfter(sk_X509_value(chain, i)));

        if (t >= now && t < v->until)
            v->until = t;
    }
}

static void judge_chain(const struct sp_tls_ctx *ctx, X509 *leaf,
                        STACK_OF(X509) * chain, int64_t now, struct sp_tls_verdict *v)
{
    struct judging j = {.v = v, .now = now};
    X509_STORE_CTX *s = X509_STORE_CTX_new();
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;

    if (!s || !X509_STORE_CTX_init(s, ctx->roots, leaf, chain)) {
        (void)snprintf(v->chain_why, sizeof v->chain_why, "out of memory");
        X509_STORE_CTX_free(s);
        return;
    }
    if (ctx->use_crl)
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    X509_STORE_CTX_set_flags(s, flags);
    X509_STORE_CTX_set_depth(s, CHAIN_MAX);
    X509_STORE_CTX_set_time(s, 0, (time_t)now);
    /* clientAuth or no extended key usage; CAs must be CAs. */
    X509_STORE_CTX_set_purpose(s, X509_PURPOSE_SSL_CLIENT);
    X509_STORE_CTX_set_app_data(s, &j);
    X509_STORE_CTX_set_verify_cb(s, on_verify);
    v->chain_ok = true;
    ERR_clear_error();
    if (X509_verify_cert(s) <= 0 && v->chain_ok)
        chain_no(&j, s, X509_STORE_CTX_get_error(s));
    bound_by_others(ctx, s, now, v);
    X509_STORE_CTX_free(s);
    ERR_clear_error();
}

void sp_tls_judge_x509(const struct sp_tls_ctx *ctx, X509 *leaf, STACK_OF(X509) * chain,
                       int64_t now, struct sp_tls_verdict *v)
{
    memset(v, 0, sizeof *v);
    v->present = true;
    v->until = INT64_MAX;
    v->names_ok = !sp_tls_nul_in_names(leaf);
    if (!v->names_ok)
        (void)snprintf(v->names_why, sizeof v->names_why,
                       "a name in the certificate contains a NUL octet");
    judge_dates(leaf, now, v);
    if (!ctx->roots)
        (void)snprintf(v->chain_why, sizeof v->chain_why,
                       "issuer not known to this listener");
    else
        judge_chain(ctx, leaf, chain, now, v);
}

void sp_tls_judge_der(const struct sp_tls_ctx *ctx, struct sp_str leaf,
                      struct sp_str chain, int64_t now, struct sp_tls_verdict *ret)
{
    const unsigned char *p = (const unsigned char *)leaf.p;
    X509 *x = leaf.n ? d2i_X509(NULL, &p, (long)leaf.n) : NULL;
    STACK_OF(X509) *more = sk_X509_new_null();

    memset(ret, 0, sizeof *ret);
    ret->until = INT64_MAX;
    if (!x) {
        (void)snprintf(ret->chain_why, sizeof ret->chain_why,
                       leaf.n ? "unreadable certificate" : "no certificate");
        goto out;
    }
    p = (const unsigned char *)chain.p;
    while (more && chain.n && p < (const unsigned char *)chain.p + chain.n) {
        X509 *c = d2i_X509(
            NULL, &p, (long)(chain.n - (size_t)(p - (const unsigned char *)chain.p)));

        if (!c || !sk_X509_push(more, c)) {
            X509_free(c);
            break;
        }
    }
    sp_tls_judge_x509(ctx, x, more, now, ret);
out:
    sk_X509_pop_free(more, X509_free);
    X509_free(x);
    ERR_clear_error();
}

bool sp_tls_verified(const struct sp_tls_verdict *v, bool pinned, const char **why)
{
    const char *no = NULL;

    if (!v->present)
        no = v->chain_why[0] ? v->chain_why : "no certificate";
    else if (!v->names_ok)
        no = v->names_why;
    else if (!v->dates_ok)
        no = v->dates_why;
    else if (!v->chain_ok && !pinned)
        no = v->chain_why;
    if (why)
        *why = no;
    return !no;
}
