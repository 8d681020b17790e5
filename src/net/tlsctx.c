/*
 * tlsctx.c - see tlsctx.h: making contexts.  Sessions are in tlssess.c, verdicts in
 * tlsjudge.c.
 */
#include "tlsctx.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"
#include "text.h"
#include "tlsint.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* TLS 1.2: forward secrecy always, authenticated encryption first; CBC only for old
 * clients.  TLS 1.3's list is OpenSSL's. */
#define CIPHERS12                                                                      \
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!PSK:!SRP:!AESCCM"

#define PEM_MAX    (1024 * 1024)
#define CERTS_MAX  1000 /* in one file */
#define WARN_AHEAD (7 * 86400)
#define PHRASE_MAX 1024

static uint64_t serials;

/* ---- PEM ---- */

static const char *name_of(const struct sp_pem *p)
{
    return p->name ? p->name : "(no name)";
}

static BIO *open_pem(const struct sp_pem *p, struct sp_err *err)
{
    BIO *b = NULL;

    ERR_clear_error();
    if (p->pem.n == 0)
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s is empty", name_of(p));
    else if (p->pem.n > PEM_MAX)
        sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "%s is too large", name_of(p));
    else if (!(b = BIO_new_mem_buf(p->pem.p, (int)p->pem.n)))
        sp_err_nomem(err);
    return b;
}

/* The reason on top of OpenSSL's queue, for people. */
static const char *ssl_words(void)
{
    const char *s = ERR_reason_error_string(ERR_peek_last_error());

    return s ? s : "unreadable";
}

/* True when the last read stopped because there is no further PEM block. */
static bool no_more(void)
{
    unsigned long e = ERR_peek_last_error();
    bool yes = e == 0 || (ERR_GET_LIB(e) == ERR_LIB_PEM &&
                          ERR_GET_REASON(e) == PEM_R_NO_START_LINE);

    if (yes)
        ERR_clear_error();
    return yes;
}

static STACK_OF(X509) * read_certs(const struct sp_pem *p, struct sp_err *err)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *b = open_pem(p, err);
    X509 *x;

    if (!b || !all)
        goto fail;
    while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
        if (sk_X509_num(all) >= CERTS_MAX || !sk_X509_push(all, x)) {
            X509_free(x);
            sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "%s: too many certificates",
                       name_of(p));
            goto fail;
        }
    }
    if (!no_more()) {
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: certificate %d: %s", name_of(p),
                   sk_X509_num(all) + 1, ssl_words());
        goto fail;
    }
    if (sk_X509_num(all) == 0) {
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: no certificate (PEM) in it",
                   name_of(p));
        goto fail;
    }
    BIO_free(b);
    return all;
fail:
    ERR_clear_error();
    BIO_free(b);
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

struct asking {
    sp_tls_passphrase *ask;
    void *arg;
    const char *name;
    bool asked;
};

static int on_passphrase(char *buf, int size, int rw, void *u)
{
    struct asking *a = u;

    (void)rw;
    a->asked = true;
    return a->ask && size > 0 ? a->ask(buf, (size_t)size, a->name, a->arg) : -1;
}

static EVP_PKEY *read_key(const struct sp_pem *p, sp_tls_passphrase *ask, void *arg,
                          struct sp_err *err)
{
    struct asking a = {.ask = ask, .arg = arg, .name = name_of(p)};
    BIO *b = open_pem(p, err);
    EVP_PKEY *k;

    if (!b)
        return NULL;
    if (!memmem(p->pem.p, p->pem.n, "PRIVATE KEY-----", 16)) {
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: no private key (PEM) in it",
                   name_of(p));
        BIO_free(b);
        return NULL;
    }
    k = PEM_read_bio_PrivateKey(b, NULL, on_passphrase, &a);
    BIO_free(b);
    if (!k && a.asked && !ask)
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: the private key is encrypted",
                   name_of(p));
    else if (!k && a.asked)
        sp_err_set(err, SP_CLASS_PEER, SP_EDENIED,
                   "%s: the passphrase does not open the private key", name_of(p));
    else if (!k)
        sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: private key: %s", name_of(p),
                   ssl_words());
    ERR_clear_error();
    return k;
}

/* Leaf, chain and key into an SSL_CTX. */
static int use_pair(SSL_CTX *ctx, STACK_OF(X509) * certs, EVP_PKEY *key,
                    const char *cert_name, const char *key_name, struct sp_err *err)
{
    X509 *leaf = sk_X509_shift(certs); /* what is left is the chain */
    int rc = 0;

    ERR_clear_error();
    if (!X509_check_private_key(leaf, key))
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "the key %s does not belong to the certificate %s", key_name,
                        cert_name);
    else if (SSL_CTX_use_cert_and_key(ctx, leaf, key, certs, 0) != 1)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "certificate %s: %s", cert_name,
                        ssl_words());
    X509_free(leaf);
    ERR_clear_error();
    return rc;
}

/* ---- server ---- */

/* Octets and octet counts of the client's list were checked by OpenSSL. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < in_n && in[i] < in_n - i; i += 1U + in[i])
        if (in[i] == 4 && memcmp(in + i + 1, "smtp", 4) == 0) {
            *out = in + i + 1;
            *out_n = 4;
            return SSL_TLSEXT_ERR_OK;
        }
    /* A browser talked into speaking to us stops here (RFC 7301 3.2). */
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Whatever the client shows, the handshake goes on: tlsjudge.c says what it is worth. */
static int accept_any(X509_STORE_CTX *s, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(s, X509_V_OK);
    return 1;
}

static bool site_has(const struct tls_site *site, const char *name)
{
    for (size_t i = 0; i < site->n_names; i++)
        if (strcmp(site->names[i], name) == 0)
            return true;
    return false;
}

/* "*.example.org" stands for exactly one label (RFC 6125 6.4.3). */
static struct tls_site *find_site(struct sp_tls_ctx *ctx, const char *sni)
{
    char name[256], wild[256];
    const char *dot;
    size_t n = strlen(sni);

    if (n >= sizeof name)
        return NULL;
    for (size_t i = 0; i <= n; i++)
        name[i] = (char)sp_lower((unsigned char)sni[i]);
    if (n && name[n - 1] == '.')
        name[n - 1] = 0;
    for (size_t i = 0; i < ctx->n_sites; i++)
        if (site_has(&ctx->sites[i], name))
            return &ctx->sites[i];
    dot = strchr(name, '.');
    if (!dot)
        return NULL;
    (void)snprintf(wild, sizeof wild, "*%s", dot);
    for (size_t i = 0; i < ctx->n_sites; i++)
        if (site_has(&ctx->sites[i], wild))
            return &ctx->sites[i];
    return NULL;
}

static int on_sni(SSL *ssl, int *alert, void *arg)
{
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct tls_site *site = sni ? find_site(arg, sni) : NULL;

    (void)alert;
    if (!site)
        return SSL_TLSEXT_ERR_NOACK; /* the first certificate; the client decides */
    if (site->ctx != SSL_get_SSL_CTX(ssl))
        (void)SSL_set_SSL_CTX(ssl, site->ctx);
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *server_base(struct sp_tls_ctx *ctx, const struct sp_tls_server_opts *o,
                            STACK_OF(X509) * roots)
{
    static const unsigned char id[] = "sallyport";
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());

    if (!c ||
        SSL_CTX_set_min_proto_version(c, o->tls13_at_least ? TLS1_3_VERSION
                                                           : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(c, CIPHERS12) != 1)
        goto fail;
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    /* Asking for certificates without it would make every resumption attempt of a
     * client a failed handshake. */
    if (SSL_CTX_set_session_id_context(c, id, sizeof id - 1) != 1 ||
        SSL_CTX_set_num_tickets(c, 0) != 1)
        goto fail;
    SSL_CTX_set_alpn_select_cb(c, on_alpn, NULL);
    SSL_CTX_set_tlsext_servername_callback(c, on_sni);
    SSL_CTX_set_tlsext_servername_arg(c, ctx);
    SSL_CTX_set_verify(c, o->ask_client ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(c, accept_any, NULL);
    for (int i = 0; o->send_ca_names && i < sk_X509_num(roots); i++)
        if (SSL_CTX_add_client_CA(c, sk_X509_value(roots, i)) != 1)
            goto fail;
    return c;
fail:
    SSL_CTX_free(c);
    return NULL;
}

static int add_name(struct tls_site *site, const char *p, size_t n)
{
    char *s = sp_strndup(p, n);

    if (!s)
        return -SP_ENOMEM;
    for (char *c = s; *c; c++)
        *c = (char)sp_lower((unsigned char)*c);
    site->names[site->n_names++] = s;
    return 0;
}

static int names_of_leaf(struct tls_site *site, X509 *leaf)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(san), rc = 0;

    site->names = sp_alloc(sizeof *site->names * (size_t)(n > 0 ? n : 1));
    if (!site->names)
        rc = -SP_ENOMEM;
    for (int i = 0; rc == 0 && i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

        if (g->type == GEN_DNS)
            rc = add_name(site, (const char *)ASN1_STRING_get0_data(g->d.dNSName),
                          (size_t)ASN1_STRING_length(g->d.dNSName));
    }
    GENERAL_NAMES_free(san);
    return rc;
}

static int site_names(struct tls_site *site, const struct sp_tls_pair *pair, X509 *leaf)
{
    int rc = 0;

    if (pair->n_names == 0)
        return names_of_leaf(site, leaf);
    site->names = sp_alloc(sizeof *site->names * pair->n_names);
    if (!site->names)
        return -SP_ENOMEM;
    for (size_t i = 0; rc == 0 && i < pair->n_names; i++)
        rc = add_name(site, pair->names[i], strlen(pair->names[i]));
    return rc;
}

static bool same_names(const struct tls_site *a, const struct tls_site *b)
{
    if (a->n_names != b->n_names)
        return false;
    for (size_t i = 0; i < a->n_names; i++)
        if (!site_has(b, a->names[i]))
            return false;
    return true;
}

static void free_site(struct tls_site *s)
{
    SSL_CTX_free(s->ctx);
    for (size_t i = 0; i < s->n_names; i++)
        sp_free(s->names[i]);
    sp_free(s->names);
    sp_free(s->name);
    sp_tls_staple_free(s->staple);
    memset(s, 0, sizeof *s);
}

static bool has_key_like(SSL_CTX *c, EVP_PKEY *key)
{
    bool found = false;

    for (int ok = SSL_CTX_set_current_cert(c, SSL_CERT_SET_FIRST); ok == 1 && !found;
         ok = SSL_CTX_set_current_cert(c, SSL_CERT_SET_NEXT))
        found = EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(c)) ==
                EVP_PKEY_get_base_id(key);
    return found;
}

/* The earlier site that this certificate can stand beside, or NULL. */
static struct tls_site *twin(struct sp_tls_ctx *ctx, const struct tls_site *site,
                             EVP_PKEY *key)
{
    for (size_t i = 0; i < ctx->n_sites; i++)
        if (same_names(&ctx->sites[i], site) && !has_key_like(ctx->sites[i].ctx, key))
            return &ctx->sites[i];
    return NULL;
}

/* One that is of no use is left out; sp_tls_warning() tells. */
static void add_staple(struct sp_tls_ctx *ctx, struct tls_site *site,
                       const struct sp_tls_pair *pair, STACK_OF(X509) * certs)
{
    struct sp_err err;

    if (pair->ocsp.pem.n == 0)
        return;
    if (sp_tls_staple_read(&site->staple, &pair->ocsp, certs, &err) == 0)
        sp_tls_staple_on(site->ctx, site->staple);
    else
        (void)snprintf(ctx->trouble, sizeof ctx->trouble, "%.190s", err.text);
}

static int add_pair(struct sp_tls_ctx *ctx, const struct sp_tls_server_opts *o,
                    const struct sp_tls_pair *pair, STACK_OF(X509) * roots,
                    struct sp_err *err)
{
    struct sp_pem from = pair->key.pem.n ? pair->key : pair->cert;
    STACK_OF(X509) *certs = read_certs(&pair->cert, err);
    EVP_PKEY *key = certs ? read_key(&from, NULL, NULL, err) : NULL;
    struct tls_site site = {0}, *to;
    int rc = err ? -(int)err->code : -SP_EINPUT;

    if (!key)
        goto out;
    rc = site_names(&site, pair, sk_X509_value(certs, 0));
    if (rc < 0) {
        sp_err_nomem(err);
        goto out;
    }
    site.until = sp_tls_seconds(X509_get0_notAfter(sk_X509_value(certs, 0)));
    to = twin(ctx, &site, key);
    if (!to) {
        site.ctx = server_base(ctx, o, roots);
        site.name = sp_strdup(name_of(&pair->cert));
        if (!site.ctx || !site.name) {
            rc = sp_err_set(err, SP_CLASS_BUG, SP_ENOMEM, "cannot set up TLS: %s",
                            ssl_words());
            goto out;
        }
    }
    add_staple(ctx, to ? to : &site, pair, certs);
    rc = use_pair(to ? to->ctx : site.ctx, certs, key, name_of(&pair->cert),
                  name_of(&from), err);
    if (rc < 0)
        goto out;
    if (to) {
        to->until = site.until < to->until ? site.until : to->until;
    } else {
        ctx->sites[ctx->n_sites++] = site;
        memset(&site, 0, sizeof site);
    }
out:
    free_site(&site);
    EVP_PKEY_free(key);
    sk_X509_pop_free(certs, X509_free);
    return rc;
}

static int add_crls(X509_STORE *store, const struct sp_pem *p, struct sp_err *err)
{
    BIO *b;
    X509_CRL *crl;
    int n = 0;

    if (p->pem.n == 0)
        return 0; /* every certificate will be told "no revocation list" */
    b = open_pem(p, err);
    if (!b)
        return err ? -(int)err->code : -SP_EINPUT;
    while ((crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL))) {
        (void)X509_STORE_add_crl(store, crl);
        X509_CRL_free(crl);
        n++;
    }
    BIO_free(b);
    if (!no_more())
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: revocation list %d: %s",
                          name_of(p), n + 1, ssl_words());
    if (n == 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "%s: no revocation list (PEM) in it", name_of(p));
    return 0;
}

static int make_roots(struct sp_tls_ctx *ctx, const struct sp_tls_server_opts *o,
                      STACK_OF(X509) * roots, struct sp_err *err)
{
    ctx->roots = X509_STORE_new();
    if (!ctx->roots)
        return sp_err_nomem(err);
    for (int i = 0; i < sk_X509_num(roots); i++)
        if (X509_STORE_add_cert(ctx->roots, sk_X509_value(roots, i)) != 1)
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: certificate %d: %s",
                              name_of(&o->client_ca), i + 1, ssl_words());
    ctx->use_crl = o->use_crl;
    return o->use_crl ? add_crls(ctx->roots, &o->crl, err) : 0;
}

static struct sp_tls_ctx *new_ctx(bool client)
{
    struct sp_tls_ctx *ctx = sp_alloc(sizeof *ctx);

    if (!ctx)
        return NULL;
    ctx->refs = 1;
    ctx->client = client;
    ctx->serial = ++serials;
    return ctx;
}

int sp_tls_server(const struct sp_tls_server_opts *o, struct sp_tls_ctx **ret,
                  struct sp_err *err)
{
    struct sp_tls_ctx *ctx = new_ctx(false);
    STACK_OF(X509) *roots = NULL;
    struct sp_err own = {0};
    int rc = -SP_ENOMEM;

    err = err ? err : &own;
    sp_err_nomem(err);
    if (!ctx)
        return rc;
    if (o->n_pairs == 0) {
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "no server certificate given");
        goto out;
    }
    ctx->sites = sp_alloc(sizeof *ctx->sites * o->n_pairs);
    if (!ctx->sites)
        goto out;
    if (o->client_ca.pem.n) {
        roots = read_certs(&o->client_ca, err);
        rc = roots ? make_roots(ctx, o, roots, err) : -(int)err->code;
        if (rc < 0)
            goto out;
    }
    for (size_t i = 0; i < o->n_pairs; i++) {
        rc = add_pair(ctx, o, &o->pairs[i], roots, err);
        if (rc < 0)
            goto out;
    }
    *ret = ctx;
    ctx = NULL;
out:
    sk_X509_pop_free(roots, X509_free);
    sp_tls_unref(ctx);
    ERR_clear_error();
    return rc;
}

/* ---- client ---- */

static int parse_pin(const char *text, uint8_t out[32])
{
    char hex[65];
    size_t n = 0;

    if (strncmp(text, "sha256:", 7) == 0)
        text += 7;
    for (; *text; text++) {
        if (*text == ':')
            continue;
        if (n == 64)
            return -SP_EINPUT;
        hex[n++] = *text;
    }
    return n == 64 && sp_hex_decode((struct sp_str){hex, n}, out, 32) == 32
               ? 0
               : -SP_EINPUT;
}

static int client_roots(SSL_CTX *c, const struct sp_tls_client_opts *o,
                        struct sp_err *err)
{
    STACK_OF(X509) * roots;
    struct stat st;
    int rc = 0;

    if (o->ca.pem.n) {
        roots = read_certs(&o->ca, err);
        if (!roots)
            return err ? -(int)err->code : -SP_EINPUT;
        for (int i = 0; i < sk_X509_num(roots) && rc == 0; i++)
            if (X509_STORE_add_cert(SSL_CTX_get_cert_store(c),
                                    sk_X509_value(roots, i)) != 1)
                rc = sp_err_nomem(err);
        sk_X509_pop_free(roots, X509_free);
        return rc;
    }
    if (!o->ca_path) {
        (void)SSL_CTX_set_default_verify_paths(c);
        return 0;
    }
    if (stat(o->ca_path, &st) < 0)
        return sp_err_sys(err, SP_CLASS_PEER, errno == ENOENT ? SP_ENOENT : SP_EIO,
                          "cannot open %s", o->ca_path);
    rc = S_ISDIR(st.st_mode) ? SSL_CTX_load_verify_dir(c, o->ca_path)
                             : SSL_CTX_load_verify_file(c, o->ca_path);
    if (rc != 1)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s: no usable CA in it: %s",
                          o->ca_path, ssl_words());
    return 0;
}

/* PKCS#12 with the empty password in both of its spellings, then with the user's. */
static int open_pkcs12(const struct sp_tls_client_opts *o, PKCS12 *p12, char *phrase,
                       struct sp_err *err)
{
    const char *name = name_of(&o->pkcs12);
    int n;

    phrase[0] = 0;
    if (PKCS12_verify_mac(p12, NULL, 0) || PKCS12_verify_mac(p12, "", 0))
        return 0;
    if (!o->ask_pass)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s is encrypted", name);
    n = o->ask_pass(phrase, PHRASE_MAX - 1, name, o->ask_pass_arg);
    if (n < 0 || n > PHRASE_MAX - 1)
        n = 0;
    phrase[n] = 0;
    if (!PKCS12_verify_mac(p12, phrase, n))
        return sp_err_set(err, SP_CLASS_PEER, SP_EDENIED,
                          "%s: the passphrase does not open it", name);
    return 0;
}

static int use_pkcs12(SSL_CTX *c, const struct sp_tls_client_opts *o,
                      struct sp_err *err)
{
    const unsigned char *p = (const unsigned char *)o->pkcs12.pem.p;
    const char *name = name_of(&o->pkcs12);
    STACK_OF(X509) *chain = NULL;
    char phrase[PHRASE_MAX];
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    PKCS12 *p12;
    int rc;

    ERR_clear_error();
    p12 =
        o->pkcs12.pem.n <= PEM_MAX ? d2i_PKCS12(NULL, &p, (long)o->pkcs12.pem.n) : NULL;
    if (!p12)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s is not PKCS#12", name);
    rc = open_pkcs12(o, p12, phrase, err);
    if (rc == 0 &&
        (PKCS12_parse(p12, phrase, &key, &leaf, &chain) != 1 || !key || !leaf))
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "%s: no certificate with its key in it: %s", name, ssl_words());
    if (rc == 0) {
        if (!chain)
            chain = sk_X509_new_null();
        if (!chain || !sk_X509_unshift(chain, leaf)) {
            rc = sp_err_nomem(err);
        } else {
            leaf = NULL;
            rc = use_pair(c, chain, key, name, name, err);
        }
    }
    sp_wipe(phrase, sizeof phrase);
    X509_free(leaf);
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    PKCS12_free(p12);
    ERR_clear_error();
    return rc;
}

static int client_cert(SSL_CTX *c, const struct sp_tls_client_opts *o,
                       struct sp_err *err)
{
    struct sp_pem from = o->key.pem.n ? o->key : o->cert;
    STACK_OF(X509) * certs;
    EVP_PKEY *key;
    int rc;

    if (o->pkcs12.pem.n)
        return use_pkcs12(c, o, err);
    certs = read_certs(&o->cert, err);
    key = certs ? read_key(&from, o->ask_pass, o->ask_pass_arg, err) : NULL;
    rc = -(int)err->code; /* of either failure above */
    if (key)
        rc = use_pair(c, certs, key, name_of(&o->cert), name_of(&from), err);
    EVP_PKEY_free(key);
    sk_X509_pop_free(certs, X509_free);
    return rc;
}

static SSL_CTX *client_base(const struct sp_tls_client_opts *o)
{
    static const unsigned char smtp[] = {4, 's', 'm', 't', 'p'};
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());

    if (!c || SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 ||
        (o->tls12_at_most && SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION) != 1) ||
        SSL_CTX_set_cipher_list(c, CIPHERS12) != 1 ||
        (o->alpn && SSL_CTX_set_alpn_protos(c, smtp, sizeof smtp) != 0)) {
        SSL_CTX_free(c);
        return NULL;
    }
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(c, sp_tls_verify_server, NULL);
    SSL_CTX_set_cert_cb(c, sp_tls_on_asked, NULL);
    return c;
}

static int keep_dane(struct sp_tls_ctx *ctx, const struct sp_tls_client_opts *o)
{
    size_t n = 0;
    uint8_t *at;

    for (size_t i = 0; i < o->n_dane; i++)
        n += o->dane[i].n;
    ctx->dane = sp_alloc(o->n_dane * sizeof *ctx->dane + n);
    if (!ctx->dane || SSL_CTX_dane_enable(ctx->cctx) != 1)
        return -SP_ENOMEM;
    at = (uint8_t *)(ctx->dane + o->n_dane);
    for (size_t i = 0; i < o->n_dane; i++) {
        ctx->dane[i] = o->dane[i];
        memcpy(at, o->dane[i].data, o->dane[i].n);
        ctx->dane[i].data = at;
        at += o->dane[i].n;
    }
    ctx->n_dane = o->n_dane;
    return 0;
}

int sp_tls_client(const struct sp_tls_client_opts *o, struct sp_tls_ctx **ret,
                  struct sp_err *err)
{
    struct sp_tls_ctx *ctx = new_ctx(true);
    struct sp_err own = {0};
    int rc;

    err = err ? err : &own;
    if (!ctx)
        return sp_err_nomem(err);
    ctx->must_verify = o->must_verify;
    ctx->has_pin = o->pin != NULL;
    if (o->pin && parse_pin(o->pin, ctx->pin) < 0) {
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "\"%.80s\" is not a pin: want the SHA-256 of a key or "
                        "certificate as 64 hex digits",
                        o->pin);
        goto out;
    }
    ctx->cctx = client_base(o);
    if (!ctx->cctx) {
        rc = sp_err_set(err, SP_CLASS_BUG, SP_ENOMEM, "cannot set up TLS: %s",
                        ssl_words());
        goto out;
    }
    if (o->n_dane)
        rc = keep_dane(ctx, o) < 0 ? sp_err_nomem(err) : 0;
    else
        rc = client_roots(ctx->cctx, o, err);
    if (rc == 0 && (o->cert.pem.n || o->pkcs12.pem.n)) {
        ctx->has_cert = true;
        rc = client_cert(ctx->cctx, o, err);
    }
    if (rc == 0) {
        *ret = ctx;
        ctx = NULL;
    }
out:
    sp_tls_unref(ctx);
    ERR_clear_error();
    return rc;
}

/* ---- both ---- */

bool sp_tls_is_client(const struct sp_tls_ctx *ctx)
{
    return ctx->client;
}

struct sp_tls_ctx *sp_tls_ref(struct sp_tls_ctx *ctx)
{
    ctx->refs++;
    return ctx;
}

void sp_tls_unref(struct sp_tls_ctx *ctx)
{
    if (!ctx || --ctx->refs)
        return;
    for (size_t i = 0; i < ctx->n_sites; i++)
        free_site(&ctx->sites[i]);
    sp_free(ctx->sites);
    X509_STORE_free(ctx->roots);
    SSL_CTX_free(ctx->cctx);
    sp_free(ctx->dane);
    sp_free(ctx);
}

void sp_tls_ask_clients(struct sp_tls_ctx *ctx, bool ask)
{
    /* With SNI the session keeps the mode of the context it began with: all have one. */
    for (size_t i = 0; i < ctx->n_sites; i++)
        SSL_CTX_set_verify(ctx->sites[i].ctx, ask ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                           NULL);
}

static bool crl_warning(const struct sp_tls_ctx *ctx, int64_t now, char *text,
                        size_t cap)
{
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(ctx->roots);

    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));
        const ASN1_TIME *next = crl ? X509_CRL_get0_nextUpdate(crl) : NULL;
        char who[120], d[16];

        if (!next || sp_tls_seconds(next) > now + WARN_AHEAD)
            continue;
        (void)X509_NAME_oneline(X509_CRL_get_issuer(crl), who, sizeof who);
        sp_tls_date(next, d);
        (void)snprintf(text, cap, "revocation list of %s %s %s", who,
                       sp_tls_seconds(next) < now ? "is out of date since" : "ends", d);
        return true;
    }
    return false;
}

bool sp_tls_warning(const struct sp_tls_ctx *ctx, int64_t now, char *text, size_t cap)
{
    for (size_t i = 0; i < ctx->n_sites; i++) {
        const struct tls_site *s = &ctx->sites[i];
        time_t t = (time_t)s->until;
        struct tm tm;

        if (s->until > now + WARN_AHEAD || !gmtime_r(&t, &tm))
            continue;
        (void)snprintf(text, cap, "certificate %s %s %04d-%02d-%02d", s->name,
                       s->until < now ? "expired" : "expires", tm.tm_year + 1900,
                       tm.tm_mon + 1, tm.tm_mday);
        return true;
    }
    if (ctx->use_crl && ctx->roots && crl_warning(ctx, now, text, cap))
        return true;
    for (size_t i = 0; i < ctx->n_sites; i++)
        if (sp_tls_staple_warning(ctx->sites[i].staple, now, text, cap))
            return true;
    (void)snprintf(text, cap, "%s", ctx->trouble);
    return ctx->trouble[0] != 0;
}
