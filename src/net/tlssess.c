/*
 * tlssess.c - one TLS session: opening it, verifying the server, facts, channel
 * binding, and OpenSSL's errors in words.  See tlsint.h.
 */
#include "alloc.h"
#include "err.h"
#include "netaddr.h"
#include "text.h"
#include "tlsint.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BINDING_LABEL "EXPORTER-Channel-Binding" /* RFC 9266 */

static void say_why(struct sp_tls *t, const char *text)
{
    if (!t->why_not)
        t->why_not = sp_strdup(text); /* without memory the reason is just missing */
}

/* ---- verifying the server (client side) ---- */

static bool pin_matches(const struct sp_tls_ctx *ctx, X509 *x)
{
    uint8_t d[EVP_MAX_MD_SIZE];

    return (sp_tls_spki_sha256(x, d) && memcmp(d, ctx->pin, 32) == 0) ||
           (X509_digest(x, EVP_sha256(), d, NULL) == 1 && memcmp(d, ctx->pin, 32) == 0);
}

static bool verify_pin(struct sp_tls *t, X509 *x)
{
    char text[160], hex[65], d[16];
    uint8_t spki[32];
    time_t now = time(NULL);

    if (!pin_matches(t->ctx, x)) {
        if (!sp_tls_spki_sha256(x, spki))
            memset(spki, 0, sizeof spki);
        (void)sp_hex_encode(spki, sizeof spki, hex, sizeof hex);
        (void)snprintf(text, sizeof text, "server key is sha256:%s, not the pinned one",
                       hex);
        say_why(t, text);
        return false;
    }
    if (X509_cmp_time(X509_get0_notAfter(x), &now) < 0) {
        sp_tls_date(X509_get0_notAfter(x), d);
        (void)snprintf(text, sizeof text, "pinned certificate expired %s", d);
        say_why(t, text);
        return false;
    }
    return true;
}

/* "it is for a.example, b.example", as far as there is room. */
static void names_in(X509 *x, char *out, size_t cap)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t n = 0;

    out[0] = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(san) && n < cap; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

        if (g->type == GEN_DNS)
            n += (size_t)snprintf(out + n, cap - n, "%s%.*s", n ? ", " : "",
                                  ASN1_STRING_length(g->d.dNSName),
                                  (const char *)ASN1_STRING_get0_data(g->d.dNSName));
    }
    GENERAL_NAMES_free(san);
}

static void say_chain(struct sp_tls *t, X509_STORE_CTX *s)
{
    int code = X509_STORE_CTX_get_error(s), depth = X509_STORE_CTX_get_error_depth(s);
    X509 *x = X509_STORE_CTX_get_current_cert(s);
    char text[256], names[100];

    if (code == X509_V_ERR_HOSTNAME_MISMATCH ||
        code == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        names_in(X509_STORE_CTX_get0_cert(s), names, sizeof names);
        (void)snprintf(text, sizeof text, "certificate is for %s, not for %.80s",
                       names[0] ? names : "no host name", t->host);
    } else if (code == X509_V_ERR_INVALID_PURPOSE && depth == 0) {
        (void)snprintf(text, sizeof text, "certificate is not for a server");
    } else {
        sp_tls_verify_words(code, x, "us", names, sizeof names);
        (void)snprintf(text, sizeof text, "%s%s", depth > 0 && x ? "issuer's " : "",
                       names);
    }
    say_why(t, text);
}

int sp_tls_verify_server(X509_STORE_CTX *s, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(s, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct sp_tls *t = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(s);

    (void)arg;
    if (t->ctx->has_pin) {
        t->verified = verify_pin(t, leaf);
        X509_STORE_CTX_set_error(s, t->verified ? X509_V_OK
                                                : X509_V_ERR_APPLICATION_VERIFICATION);
    } else {
        t->verified = X509_verify_cert(s) == 1;
        if (!t->verified)
            say_chain(t, s);
    }
    if (!t->verified) { /* whoever asks what it was will compare fingerprints */
        t->refused = leaf &&
                     X509_digest(leaf, EVP_sha256(), t->refused_sha256, NULL) == 1 &&
                     sp_tls_spki_sha256(leaf, t->refused_spki);
    }
    if (t->verified || t->ctx->must_verify)
        return t->verified;
    X509_STORE_CTX_set_error(s, X509_V_OK);
    return 1;
}

int sp_tls_on_asked(SSL *ssl, void *arg)
{
    struct sp_tls *t = SSL_get_app_data(ssl);

    (void)arg;
    t->cert_asked = true;
    return 1;
}

/* Our Certificate message: empty or not?  OpenSSL sends an empty one when no signature
 * algorithm fits, and tells nobody. */
static void watch(int sent, int version, int type, const void *buf, size_t n, SSL *ssl,
                  void *arg)
{
    struct sp_tls *t = arg;
    const uint8_t *p = buf;
    size_t at = 4; /* type and length of the handshake message (RFC 8446 4) */

    (void)version;
    if (!sent || type != SSL3_RT_HANDSHAKE || n < 8 || p[0] != SSL3_MT_CERTIFICATE)
        return;
    if (SSL_version(ssl) == TLS1_3_VERSION)
        at += 1U + p[4]; /* certificate_request_context (RFC 8446 4.4.2) */
    t->cert_sent = n >= at + 3 && (p[at] | p[at + 1] | p[at + 2]) != 0;
}

static int set_host(struct sp_tls *t, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    struct sockaddr_storage ss;
    size_t n = strlen(host);

    t->host = sp_strndup(host, n && host[n - 1] == '.' ? n - 1 : n);
    if (!t->host)
        return -SP_ENOMEM;
    if (sp_addr_literal(t->host, 0, &ss) > 0) {
        char ip[SP_ADDR_TEXT];

        sp_addr_ip((const struct sockaddr *)&ss, ip, sizeof ip);
        return X509_VERIFY_PARAM_set1_ip_asc(param, ip) == 1 ? 0 : -SP_EINPUT;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (!t->host[0] || X509_VERIFY_PARAM_set1_host(param, t->host, 0) != 1 ||
        SSL_set_tlsext_host_name(t->ssl, t->host) != 1)
        return -SP_EINPUT;
    return 0;
}

/* RFC 7672 3.1.1: for DANE-EE neither names nor dates count. */
static int set_dane(struct sp_tls *t)
{
    size_t n = 0;

    if (SSL_dane_enable(t->ssl, t->host) <= 0)
        return -SP_EINPUT;
    (void)SSL_dane_set_flags(t->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    for (size_t i = 0; i < t->ctx->n_dane; i++) {
        const struct sp_tls_dane *d = &t->ctx->dane[i];

        n += SSL_dane_tlsa_add(t->ssl, d->usage, d->selector, d->matching, d->data, d->n) > 0;
    }
    ERR_clear_error();
    return n ? 0 : -SP_EINPUT; /* without a record OpenSSL would look for a CA */
}

/* ---- opening and closing ---- */

struct sp_tls *sp_tls_open(struct sp_tls_ctx *ctx, BIO *bio, const char *host,
                           struct sp_err *err)
{
    struct sp_tls *t = sp_alloc(sizeof *t);
    int rc;

    if (!t) {
        BIO_free(bio);
        sp_err_nomem(err);
        return NULL;
    }
    t->ctx = sp_tls_ref(ctx);
    ERR_clear_error();
    t->ssl = SSL_new(ctx->client ? ctx->cctx : ctx->sites[0].ctx);
    if (!t->ssl) {
        BIO_free(bio);
        sp_tls_close(t);
        sp_err_nomem(err);
        return NULL;
    }
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    if (!ctx->client) {
        SSL_set_accept_state(t->ssl);
        return t;
    }
    SSL_set_connect_state(t->ssl);
    if (ctx->has_cert) {
        SSL_set_msg_callback(t->ssl, watch);
        SSL_set_msg_callback_arg(t->ssl, t);
    }
    rc = set_host(t, host);
    if (rc == 0 && ctx->n_dane)
        rc = set_dane(t);
    if (rc == 0)
        return t;
    if (rc == -SP_ENOMEM)
        sp_err_nomem(err);
    else
        sp_err_set(
            err, SP_CLASS_INSECURE, SP_EINPUT,
            "\"%.80s\" is not a name that a certificate could be checked against",
            host);
    sp_tls_close(t);
    return NULL;
}

void sp_tls_close(struct sp_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    sp_tls_unref(t->ctx);
    sp_free(t->host);
    sp_free(t->why_not);
    sp_free(t->verdict);
    sp_free(t);
}

/* ---- facts ---- */

bool sp_tls_spki_sha256(X509 *x, uint8_t out[32])
{
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    bool ok = n > 0 && EVP_Digest(der, (size_t)n, out, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return ok;
}

void sp_tls_judge(struct sp_tls *t, const struct sp_tls_ctx *ctx, int64_t now,
                  struct sp_tls_verdict *ret)
{
    X509 *leaf = SSL_get0_peer_certificate(t->ssl);

    memset(ret, 0, sizeof *ret);
    if (!leaf || ctx->client)
        return;
    if (t->verdict && t->verdict_serial == ctx->serial && now >= t->verdict_at &&
        now < t->verdict->until) {
        *ret = *t->verdict;
        return;
    }
    sp_tls_judge_x509(ctx, leaf, SSL_get_peer_cert_chain(t->ssl), now, ret);
    if (!t->verdict)
        t->verdict = sp_alloc(sizeof *t->verdict);
    if (t->verdict) {
        *t->verdict = *ret;
        t->verdict_serial = ctx->serial;
        t->verdict_at = now;
    }
}

void sp_tls_facts_of(struct sp_tls *t, int64_t now, struct sp_tls_facts *f)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    X509 *x = SSL_get0_peer_certificate(t->ssl);
    const unsigned char *alpn = NULL;
    const char *sni;
    unsigned n = 0;

    memset(f, 0, sizeof *f);
    f->ended_by_peer = t->ended_by_peer;
    f->version = SSL_get_version(t->ssl);
    f->cipher = SSL_CIPHER_get_name(cipher);
    f->bits = SSL_CIPHER_get_bits(cipher, NULL);
    f->extended_master_secret =
        SSL_version(t->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(t->ssl) == 1;
    SSL_get0_alpn_selected(t->ssl, &alpn, &n);
    f->alpn_smtp = n == 4 && memcmp(alpn, "smtp", 4) == 0;
    f->peer_cert = x != NULL;
    if (x) {
        (void)X509_digest(x, EVP_sha256(), f->cert_sha256, NULL);
        (void)sp_tls_spki_sha256(x, f->spki_sha256);
    } else if (t->refused) {
        f->peer_cert = true;
        memcpy(f->cert_sha256, t->refused_sha256, sizeof f->cert_sha256);
        memcpy(f->spki_sha256, t->refused_spki, sizeof f->spki_sha256);
    }
    if (t->ctx->client) {
        f->verified = t->verified;
        (void)snprintf(f->why_not, sizeof f->why_not, "%s",
                       t->verified  ? ""
                       : t->why_not ? t->why_not
                                    : "not verified");
        f->cert_asked = t->cert_asked;
        f->cert_sent = t->cert_sent;
        return;
    }
    f->staple_expired = t->staple_expired;
    sni = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    (void)snprintf(f->sni, sizeof f->sni, "%s", sni ? sni : "");
    sp_tls_judge(t, t->ctx, now, &f->verdict);
}

/* tls-unique is the first Finished message of the handshake: the client's in a full
 * one, the server's in a resumed one (RFC 5929 3). */
static int tls_unique(SSL *ssl, bool client, uint8_t *out, size_t cap)
{
    bool mine = client != (SSL_session_reused(ssl) == 1);
    size_t n =
        mine ? SSL_get_finished(ssl, out, cap) : SSL_get_peer_finished(ssl, out, cap);

    return n && n <= cap ? (int)n : -SP_ENOENT;
}

int sp_tls_binding_of(struct sp_tls *t, enum sp_binding kind, uint8_t *out, size_t cap)
{
    bool tls13 = SSL_version(t->ssl) >= TLS1_3_VERSION;

    /* Without extended master secret two sessions can share their keys, and a man in
     * the middle their bindings (RFC 7627 1; RFC 9266 4.2). */
    if (!tls13 && SSL_get_extms_support(t->ssl) != 1)
        return -SP_ENOENT;
    if (kind == SP_BINDING_UNIQUE)
        return tls13 ? -SP_ENOENT : tls_unique(t->ssl, t->ctx->client, out, cap);
    if (cap < 32)
        return -SP_ELIMIT;
    ERR_clear_error();
    /* A context of length zero, which in TLS 1.2 is not the same as none. */
    if (SSL_export_keying_material(t->ssl, out, 32, BINDING_LABEL,
                                   sizeof BINDING_LABEL - 1, (const uint8_t *)"", 0,
                                   1) != 1)
        return -SP_ENOENT;
    return 32;
}

/* ---- failures in words ---- */

/* Alerts with which a peer says that it does not like our certificate. */
static bool alert_about_certificate(int alert)
{
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

static void alert_words(const struct sp_tls *t, int alert, char *out, size_t cap)
{
    const char *desc = SSL_alert_desc_string_long(alert);
    const char *peer = t->ctx->client ? "server" : "client";

    if (alert == SSL_AD_CERTIFICATE_REQUIRED)
        (void)snprintf(out, cap, "%s wants a certificate and got none", peer);
    else if (alert_about_certificate(alert))
        (void)snprintf(out, cap, "%s refused our certificate (%s)", peer, desc);
    else if (alert == SSL_AD_NO_APPLICATION_PROTOCOL)
        (void)snprintf(out, cap, "%s does not speak our protocol (ALPN)", peer);
    else
        (void)snprintf(out, cap, "%s ended TLS with the alert \"%s\"", peer, desc);
}

struct reason_words {
    int reason;
    const char *words;
};

/* clang-format off */
static const struct reason_words reasons[] = {
    {SSL_R_NO_SHARED_CIPHER,                  "no cipher in common"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,   "no signature algorithm in common"},
    {SSL_R_NO_SUITABLE_KEY_SHARE,             "no key exchange group in common"},
    {SSL_R_UNSUPPORTED_PROTOCOL,              "no TLS version in common (1.2 or newer is needed)"},
    {SSL_R_VERSION_TOO_LOW,                   "no TLS version in common (1.2 or newer is needed)"},
    {SSL_R_WRONG_VERSION_NUMBER,              "what the peer sent is not TLS"},
    {SSL_R_HTTP_REQUEST,                      "the peer sent an HTTP request"},
    {SSL_R_HTTPS_PROXY_REQUEST,               "the peer sent an HTTP request"},
    {SSL_R_BAD_SIGNATURE,                     "the peer cannot prove that it has the certificate's key"},
    {SSL_R_NO_RENEGOTIATION,                  "the peer wanted to renegotiate"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "a damaged or forged record"},
    {SSL_R_RECORD_TOO_SMALL,                  "a malformed record"},
    {SSL_R_PACKET_LENGTH_TOO_LONG,            "what the peer sent is not TLS"},
    {SSL_R_NO_APPLICATION_PROTOCOL,           "the peer asked for protocols (ALPN) other than smtp"},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING,      "connection closed without the end of TLS"},
};
/* clang-format on */

static void reason_words(unsigned long e, char *out, size_t cap)
{
    const char *s;

    if (ERR_GET_LIB(e) == ERR_LIB_SSL)
        for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
            if (ERR_GET_REASON(e) == reasons[i].reason) {
                (void)snprintf(out, cap, "%s", reasons[i].words);
                return;
            }
    s = ERR_reason_error_string(e);
    (void)snprintf(out, cap, "%s", s ? s : "unknown reason");
}

int sp_tls_failure(struct sp_tls *t, int ssl_error, bool up, bool *refused_us,
                   struct sp_err *err)
{
    enum sp_class cls = t->ctx->client ? SP_CLASS_INSECURE : SP_CLASS_PEER;
    unsigned long e = ERR_peek_error();
    int alert = -1;
    char why[200];

    if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) > SSL_AD_REASON_OFFSET)
        alert = ERR_GET_REASON(e) - SSL_AD_REASON_OFFSET;
    if (alert >= 0)
        t->ended_by_peer = true;
    if (refused_us)
        *refused_us = alert >= 0 && alert_about_certificate(alert);
    if (alert >= 0)
        alert_words(t, alert, why, sizeof why);
    else if (t->ctx->client && !t->verified && t->ctx->must_verify && t->why_not)
        (void)snprintf(why, sizeof why, "server not verified: %s", t->why_not);
    else if (t->plain && !up)
        (void)snprintf(why, sizeof why, "the %s spoke plain text where TLS must begin",
                       t->ctx->client ? "server" : "client");
    else if (e)
        reason_words(e, why, sizeof why);
    else
        (void)snprintf(why, sizeof why, "connection lost (%d)", ssl_error);
    ERR_clear_error();
    return sp_err_set(err, cls, SP_ETLS, "%s%s",
                      up ? "" : "TLS handshake failed: ", why);
}
