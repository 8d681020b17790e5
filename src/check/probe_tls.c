/*
 * probe_tls.c - TLS of the prober: handshakes of any kind, and everything that can be
 * learnt from one.  See probe_wire.h.
 *
 * Nothing is verified inside the handshake: whoever answers is talked to, and what there
 * is to say about it goes into struct sp_pw_facts.  So nothing secret may be sent before
 * the owner has looked at chain_ok and name_ok.
 */
#include "probe_tls.h"

#include "alloc.h"
#include "netaddr.h"
#include "text.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define BINDING_LABEL "EXPORTER-Channel-Binding" /* RFC 9266 */

/* ---- callbacks ---- */

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct sp_pw *w = SSL_get_app_data(ssl);

    (void)session;
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        w->tls.tickets++;
    return 0; /* not kept */
}

/* Called when, and only when, the server asks for a certificate. */
static int on_cert_asked(SSL *ssl, void *arg)
{
    struct sp_pw *w = arg;
    const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(ssl);

    w->tls.cert_asked = true;
    w->tls.ca_names = names ? (unsigned)sk_X509_NAME_num(names) : 0;
    if (w->tls.ca_names)
        (void)X509_NAME_oneline(sk_X509_NAME_value(names, 0), w->tls.ca_name,
                                (int)sizeof w->tls.ca_name);
    return 1;
}

/* ---- failures in words ---- */

static void tls_words(struct sp_pw *w, const char *otherwise)
{
    unsigned long e = ERR_peek_error();
    const char *s = ERR_reason_error_string(e);
    int reason = ERR_GET_REASON(e);

    w->tls.alert = ERR_GET_LIB(e) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET;
    if (w->tls.alert)
        (void)snprintf(w->tls.failure, sizeof w->tls.failure, "alert %d, %s",
                       reason - SSL_AD_REASON_OFFSET,
                       SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else if (ERR_GET_LIB(e) == ERR_LIB_SSL && (reason == SSL_R_WRONG_VERSION_NUMBER ||
                                               reason == SSL_R_PACKET_LENGTH_TOO_LONG))
        (void)snprintf(w->tls.failure, sizeof w->tls.failure,
                       "what the server sent is not TLS");
    else
        (void)snprintf(w->tls.failure, sizeof w->tls.failure, "%s", s ? s : otherwise);
    ERR_clear_error();
}

/* -1: wait for *ret_events.  0: the end was noted. */
static int io_failed(struct sp_pw *w, int rc, short *ret_events)
{
    switch (SSL_get_error(w->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        *ret_events = POLLIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        *ret_events = POLLOUT;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        w->tls.close_notify = true;
        sp_pw_stop(w, SP_PW_EOF, "the server closed TLS");
        return 0;
    default:
        break;
    }
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
        (ERR_peek_error() == 0 && errno == 0)) {
        ERR_clear_error();
        sp_pw_stop(w, SP_PW_EOF, "the server closed the connection without ending TLS");
    } else if (ERR_peek_error() == 0) {
        sp_pw_stop(w, SP_PW_RESET, "connection lost: %s", strerror(errno));
    } else {
        tls_words(w, "TLS failed");
        sp_pw_stop(w, SP_PW_TLS, "TLS ended: %s", w->tls.failure);
    }
    return 0;
}

int sp_pw_tls_read(struct sp_pw *w, short *ret_events)
{
    int n;

    ERR_clear_error();
    errno = 0;
    n = SSL_read(w->ssl, w->in, (int)sizeof w->in);
    return n > 0 ? n : io_failed(w, n, ret_events);
}

int sp_pw_tls_write(struct sp_pw *w, const char *p, size_t n, short *ret_events)
{
    int done;

    ERR_clear_error();
    errno = 0;
    done = SSL_write(w->ssl, p, n > 16384 ? 16384 : (int)n);
    return done > 0 ? done : io_failed(w, done, ret_events);
}

void sp_pw_tls_end(struct sp_pw *w)
{
    if (!w->ssl)
        return;
    if (w->tls.up && w->end != SP_PW_TLS && w->end != SP_PW_RESET)
        (void)SSL_shutdown(w->ssl);
    ERR_clear_error();
    SSL_free(w->ssl);
    w->ssl = NULL;
}

/* ---- the context ---- */

static bool trust(SSL_CTX *c, const char *path)
{
    struct stat st;

    if (!path)
        return SSL_CTX_set_default_verify_paths(c) == 1;
    if (stat(path, &st) < 0)
        return false;
    return SSL_CTX_load_verify_locations(c, S_ISDIR(st.st_mode) ? NULL : path,
                                         S_ISDIR(st.st_mode) ? path : NULL) == 1;
}

static bool own_certificate(SSL_CTX *c, const struct sp_pw_tls *o)
{
    if (!o->cert)
        return true;
    if (SSL_CTX_use_certificate(c, o->cert) != 1 ||
        SSL_CTX_use_PrivateKey(c, o->key) != 1)
        return false;
    for (int i = 0; o->chain && i < sk_X509_num(o->chain); i++)
        if (SSL_CTX_add1_chain_cert(c, sk_X509_value(o->chain, i)) != 1)
            return false;
    return true;
}

static SSL_CTX *context(struct sp_pw *w, const struct sp_pw_tls *o)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    int min = o->min_version ? o->min_version : TLS1_2_VERSION;

    if (!c)
        return NULL;
    if (o->min_version) /* to see whether the server takes what nobody should offer */
        SSL_CTX_set_security_level(c, 0);
    SSL_CTX_set_verify(c, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(c,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, on_ticket);
    SSL_CTX_set_cert_cb(c, on_cert_asked, w);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_set_min_proto_version(c, min) == 1 &&
        (!o->max_version || SSL_CTX_set_max_proto_version(c, o->max_version) == 1) &&
        (!o->ciphers || SSL_CTX_set_cipher_list(c, o->ciphers) == 1) &&
        own_certificate(c, o) && (!o->n_tlsa || SSL_CTX_dane_enable(c) == 1)) {
        /* CAs that cannot be read: the chain will not be ok, and says why. */
        (void)trust(c, o->ca_path);
        return c;
    }
    SSL_CTX_free(c);
    return NULL;
}

static bool dane(struct sp_pw *w, const struct sp_pw_tls *o)
{
    if (!o->n_tlsa)
        return true;
    w->tls.dane_asked = true;
    if (SSL_dane_enable(w->ssl, o->name) <= 0)
        return false;
    (void)SSL_dane_set_flags(w->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    for (size_t i = 0; i < o->n_tlsa; i++) {
        const unsigned char *p = (const unsigned char *)o->tlsa[i].p;

        /* RFC 7672 3.1.3: usages 0 and 1 are not for SMTP. */
        if (o->tlsa[i].n > 3 && p[0] >= 2 &&
            SSL_dane_tlsa_add(w->ssl, p[0], p[1], p[2], p + 3, o->tlsa[i].n - 3) > 0)
            w->tls.dane_usable = true;
    }
    return true;
}

static bool session(struct sp_pw *w, const struct sp_pw_tls *o)
{
    SSL_CTX *c = context(w, o);
    struct sockaddr_storage literal;
    bool ok = false;

    if (!c)
        return false;
    w->ssl = SSL_new(c);
    SSL_CTX_free(c);
    if (!w->ssl)
        return false;
    (void)SSL_set_app_data(w->ssl, w);
    ok = SSL_set_fd(w->ssl, w->fd) == 1 && dane(w, o);
    if (ok && !o->n_tlsa && o->name && sp_addr_literal(o->name, 0, &literal) < 0)
        ok = SSL_set_tlsext_host_name(w->ssl, o->name) == 1;
    if (ok)
        (void)SSL_set_tlsext_status_type(w->ssl, TLSEXT_STATUSTYPE_ocsp);
    return ok;
}

/* ---- what the certificate says ---- */

static void names_in(X509 *x, struct sp_pw_facts *f)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t n = 0;

    for (int i = 0; all && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        int len;

        if (g->type != GEN_DNS || n >= sizeof f->names - 1)
            continue;
        len = snprintf(f->names + n, sizeof f->names - n, "%s%.*s", n ? ", " : "",
                       ASN1_STRING_length(g->d.dNSName),
                       (const char *)ASN1_STRING_get0_data(g->d.dNSName));
        n += len > 0 ? (size_t)len : 0;
    }
    GENERAL_NAMES_free(all);
    if (!f->names[0])
        (void)snprintf(f->names, sizeof f->names, "no name at all");
}

static void dates(X509 *x, struct sp_pw_facts *f)
{
    struct tm tm;
    time_t now = time(NULL);

    f->dates_ok = X509_cmp_time(X509_get0_notAfter(x), &now) > 0 &&
                  X509_cmp_time(X509_get0_notBefore(x), &now) < 0;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1)
        f->not_after_s = timegm(&tm);
}

static void signature(X509 *x, struct sp_pw_facts *f)
{
    int hash = NID_undef;

    (void)X509_get_signature_info(x, &hash, NULL, NULL, NULL);
    (void)snprintf(f->signature, sizeof f->signature, "%s",
                   OBJ_nid2sn(X509_get_signature_nid(x)));
    f->weak_signature = hash == NID_sha1 || hash == NID_md5 || hash == NID_md4;
}

static bool has_name(X509 *x, const char *name)
{
    struct sockaddr_storage literal;

    if (sp_addr_literal(name, 0, &literal) > 0)
        return X509_check_ip_asc(x, name, 0) == 1;
    return X509_check_host(x, name, 0,
                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                           NULL) == 1;
}

static void certificate(struct sp_pw *w, const struct sp_pw_tls *o)
{
    struct sp_pw_facts *f = &w->tls;
    X509 *x = SSL_get0_peer_certificate(w->ssl);
    long v = SSL_get_verify_result(w->ssl);
    TLS_FEATURE *features;

    if (!x) {
        (void)snprintf(f->chain_why, sizeof f->chain_why, "there is no certificate");
        return;
    }
    f->chain_ok = v == X509_V_OK || v == X509_V_ERR_CERT_HAS_EXPIRED ||
                  v == X509_V_ERR_CERT_NOT_YET_VALID;
    f->self_signed = v == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
    f->missing_issuer = v == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
                        v == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
    (void)snprintf(f->chain_why, sizeof f->chain_why, "%s",
                   X509_verify_cert_error_string(v));
    f->dane_ok = o->n_tlsa && f->dane_usable && v == X509_V_OK &&
                 SSL_get0_dane_authority(w->ssl, NULL, NULL) >= 0;
    f->name_ok = o->name && has_name(x, o->name);
    (void)X509_NAME_oneline(X509_get_subject_name(x), f->subject,
                            (int)sizeof f->subject);
    names_in(x, f);
    dates(x, f);
    signature(x, f);
    f->key_type = EVP_PKEY_get_base_id(X509_get0_pubkey(x));
    f->key_bits = EVP_PKEY_get_bits(X509_get0_pubkey(x));
    features = X509_get_ext_d2i(x, NID_tlsfeature, NULL, NULL);
    f->must_staple = features != NULL; /* RFC 7633; status_request is the one in use */
    TLS_FEATURE_free(features);
}

/* ---- the handshake ---- */

static void group_name(struct sp_pw *w)
{
    int nid = SSL_version(w->ssl) >= TLS1_3_VERSION
                  ? (int)SSL_get_negotiated_group(w->ssl)
                  : NID_undef;
    const char *s = nid ? SSL_group_to_name(w->ssl, nid) : NULL;
    EVP_PKEY *key = NULL;

    if (!s && SSL_get_peer_tmp_key(w->ssl, &key) == 1) {
        s = EVP_PKEY_get0_type_name(key);
        if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
            char curve[40];

            if (EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) == 1) {
                (void)snprintf(w->tls.group, sizeof w->tls.group, "%s", curve);
                s = NULL;
            }
        }
        if (s)
            (void)snprintf(w->tls.group, sizeof w->tls.group, "%s %d", s,
                           EVP_PKEY_get_bits(key));
        EVP_PKEY_free(key);
        return;
    }
    if (s)
        (void)snprintf(w->tls.group, sizeof w->tls.group, "%s", s);
}

static void bindings(struct sp_pw *w)
{
    struct sp_pw_facts *f = &w->tls;
    bool tls13 = f->version >= TLS1_3_VERSION;

    if (!f->extended_master_secret)
        return;
    f->exporter_ok = SSL_export_keying_material(w->ssl, f->exporter, sizeof f->exporter,
                                                BINDING_LABEL, sizeof BINDING_LABEL - 1,
                                                (const uint8_t *)"", 0, 1) == 1;
    if (!tls13) {
        f->unique_len = SSL_get_finished(w->ssl, f->unique, sizeof f->unique);
        f->unique_ok = f->unique_len > 0 && f->unique_len <= sizeof f->unique;
    }
    ERR_clear_error();
}

static void learn(struct sp_pw *w, const struct sp_pw_tls *o)
{
    struct sp_pw_facts *f = &w->tls;
    const SSL_CIPHER *c = SSL_get_current_cipher(w->ssl);
    const unsigned char *staple = NULL;
    const char *cipher = SSL_CIPHER_get_name(c);
    int kx = SSL_CIPHER_get_kx_nid(c);

    f->up = true;
    f->version = SSL_version(w->ssl);
    f->version_name = SSL_get_version(w->ssl);
    (void)snprintf(f->cipher, sizeof f->cipher, "%s", cipher ? cipher : "?");
    f->extended_master_secret =
        f->version >= TLS1_3_VERSION || SSL_get_extms_support(w->ssl) == 1;
    f->forward_secrecy =
        f->version >= TLS1_3_VERSION || kx == NID_kx_ecdhe || kx == NID_kx_dhe;
    f->stapled = SSL_get_tlsext_status_ocsp_resp(w->ssl, &staple) > 0;
    group_name(w);
    bindings(w);
    certificate(w, o);
    ERR_clear_error();
}

/* What stands behind the 220 in clear is no part of TLS; a client that believes it is
 * open to injection (CVE-2021-38371).  It is put on record and thrown away. */
static void behind_220(struct sp_pw *w)
{
    if (w->in_at == w->in_n)
        return;
    sp_pw_leftover(w, w->tls.behind_220, sizeof w->tls.behind_220);
    sp_pw_note(w, "in clear behind the 220: %s", w->tls.behind_220);
    w->in_at = w->in_n = 0;
}

bool sp_pw_handshake(struct sp_pw *w, const struct sp_pw_tls *o)
{
    uint64_t until = sp_pw_until(w, w->d.reply_ms);
    int rc = 0;

    if (!sp_pw_alive(w))
        return false;
    behind_220(w);
    if (!session(w, o)) {
        tls_words(w, "TLS cannot be set up");
        sp_pw_stop(w, SP_PW_NOMEM, "TLS: %s", w->tls.failure);
        return false;
    }
    while (sp_pw_alive(w)) {
        short events = POLLIN;

        ERR_clear_error();
        errno = 0;
        rc = SSL_connect(w->ssl);
        if (rc == 1)
            break;
        rc = io_failed(w, rc, &events);
        if (rc < 0 && !sp_pw_poll(w, events, until))
            sp_pw_stop(w, SP_PW_TIMEOUT, "the TLS handshake takes too long");
    }
    if (!sp_pw_alive(w)) {
        if (!w->tls.failure[0])
            (void)snprintf(w->tls.failure, sizeof w->tls.failure, "%s", w->why);
        return false;
    }
    learn(w, o);
    sp_pw_note(w, "TLS handshake: %s, %s", w->tls.version_name, w->tls.cipher);
    return true;
}

void sp_pw_forget_tls(struct sp_pw *w)
{
    if (w->ssl)
        SSL_free(w->ssl);
    w->ssl = NULL;
    w->tls.up = false;
    if (w->end == SP_PW_TLS)
        w->end = SP_PW_OPEN;
    w->in_at = w->in_n = 0;
    sp_reply_reset(&w->reader);
}

/* ---- a certificate of nobody's CA ---- */

static bool fill_in(X509 *x, EVP_PKEY *key, const char *address)
{
    char san[420];
    X509_NAME *name = X509_get_subject_name(x);
    X509_EXTENSION *ext = NULL;
    uint8_t serial[8];
    bool ok;

    (void)snprintf(san, sizeof san, "email:%s", address);
    ok = RAND_bytes(serial, sizeof serial) == 1 && X509_set_version(x, 2) == 1 &&
         ASN1_INTEGER_set_uint64(X509_get_serialNumber(x),
                                 (uint64_t)serial[0] << 32 | serial[1] << 8 | 1) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
         X509_gmtime_adj(X509_getm_notAfter(x), 86400) &&
         X509_set_pubkey(x, key) == 1 &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    (const uint8_t *)"sallyport check", -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(x, name) == 1;
    /* An address that could be more than one: "a,DNS:b" would be read as a list. */
    if (ok && !strchr(address, ','))
        ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
    if (ext)
        ok = X509_add_ext(x, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    ext = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "clientAuth");
    if (ok && ext)
        ok = X509_add_ext(x, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok && X509_sign(x, key, EVP_sha256()) > 0;
}

int sp_pw_foreign(const char *address, X509 **ret_cert, EVP_PKEY **ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();

    if (key && x && fill_in(x, key, address)) {
        *ret_cert = x;
        *ret_key = key;
        ERR_clear_error();
        return 0;
    }
    ERR_clear_error();
    X509_free(x);
    EVP_PKEY_free(key);
    return -SP_ENOMEM;
}
