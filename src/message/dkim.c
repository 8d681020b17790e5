/* dkim.c - see dkim.h. */
#include "dkim.h"

#include "addr.h"
#include "alloc.h"
#include "err.h"
#include "header.h"
#include "text.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum {
    COLUMN_MAX = 76,
    SIGNATURE_MAX = 2048, /* octets: RSA with 16384 bits */
    PENDING = 4096,       /* of a body, between calls of the hash */
    DNS_NAME_MAX = 255,   /* a DNS name */
};

#define FIELD "DKIM-Signature"

static int crypto(struct sp_err *err, const char *what)
{
    return sp_err_set(err, SP_CLASS_BUG, SP_EIO, "libcrypto failed: %s", what);
}

/* ---- keys ---- */

struct sp_dkim_key {
    EVP_PKEY *pkey;
    bool ed25519;
};

int sp_dkim_key_new(struct sp_str pem, struct sp_dkim_key **ret, struct sp_err *err)
{
    static char no_passphrase[] = "";
    struct sp_dkim_key *k = sp_alloc(sizeof *k);
    BIO *in = pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    int rc = 0;

    if (!k || !in) {
        BIO_free(in);
        sp_free(k);
        return sp_err_nomem(err);
    }
    k->pkey = PEM_read_bio_PrivateKey(in, NULL, NULL, no_passphrase);
    BIO_free(in);
    if (!k->pkey)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "there is no private key in PEM form without a passphrase");
    else if (EVP_PKEY_is_a(k->pkey, "ED25519"))
        k->ed25519 = true;
    else if (!EVP_PKEY_is_a(k->pkey, "RSA"))
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "the key is neither RSA nor Ed25519: DKIM knows no others");
    else if (EVP_PKEY_get_bits(k->pkey) < SP_DKIM_RSA_BITS_MIN)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "the RSA key has %d bits; receivers refuse fewer than %d",
                        EVP_PKEY_get_bits(k->pkey), SP_DKIM_RSA_BITS_MIN);
    else if (EVP_PKEY_get_size(k->pkey) > SIGNATURE_MAX)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "the RSA key is too large");
    if (rc < 0) {
        sp_dkim_key_free(k);
        return rc;
    }
    *ret = k;
    return 0;
}

void sp_dkim_key_free(struct sp_dkim_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey); /* clears it */
    sp_free(k);
}

const char *sp_dkim_key_algorithm(const struct sp_dkim_key *k)
{
    return k->ed25519 ? "ed25519-sha256" : "rsa-sha256";
}

unsigned sp_dkim_key_bits(const struct sp_dkim_key *k)
{
    return (unsigned)EVP_PKEY_get_bits(k->pkey);
}

static int put_base64(struct sp_buf *out, const unsigned char *p, size_t n)
{
    size_t cap = (n + 2) / 3 * 4 + 1;
    char *room = sp_buf_room(out, cap);
    int made = room ? sp_base64_encode(p, n, room, cap) : -SP_ELIMIT;

    if (made >= 0)
        out->n += (size_t)made;
    return made < 0 ? made : 0;
}

int sp_dkim_key_record(const struct sp_dkim_key *k, struct sp_buf *out,
                       struct sp_err *err)
{
    unsigned char *der = NULL, raw[32];
    size_t n = sizeof raw;
    int len = 0, rc;

    /* RFC 8463 4: the bare key; RFC 6376 3.6.1: SubjectPublicKeyInfo. */
    if (k->ed25519) {
        if (EVP_PKEY_get_raw_public_key(k->pkey, raw, &n) != 1)
            return crypto(err, "public key");
    } else {
        len = i2d_PUBKEY(k->pkey, &der);
        if (len <= 0)
            return crypto(err, "public key");
        n = (size_t)len;
    }
    rc = sp_buf_printf(out, "v=DKIM1; k=%s; p=", k->ed25519 ? "ed25519" : "rsa");
    if (rc == 0)
        rc = put_base64(out, der ? der : raw, n);
    OPENSSL_free(der);
    return rc < 0 ? sp_err_set(err, SP_CLASS_BUG, -rc, "no room for the record") : 0;
}

int sp_dkim_key_make(unsigned rsa_bits, struct sp_buf *out, struct sp_err *err)
{
    EVP_PKEY *k = rsa_bits ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)rsa_bits)
                           : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *mem = BIO_new(BIO_s_secmem());
    char *p = NULL;
    long n = 0;
    int rc = 0;

    if (!k || !mem ||
        PEM_write_bio_PKCS8PrivateKey(mem, k, NULL, NULL, 0, NULL, NULL) != 1)
        rc = crypto(err, "cannot make the key");
    else
        n = BIO_get_mem_data(mem, &p);
    if (rc == 0 && sp_buf_put(out, p, (size_t)n) < 0)
        rc = sp_err_nomem(err);
    BIO_free(mem);
    EVP_PKEY_free(k);
    return rc;
}

/* ---- the body: RFC 6376 3.4.3 and 3.4.4 ---- */

struct sp_dkim_body {
    EVP_MD_CTX *md;
    bool relaxed, failed;
    bool cr;        /* a CR was seen, and nothing after it yet */
    bool blanks;    /* relaxed: blanks were seen that may count as one */
    bool in_line;   /* this line has something */
    bool any;       /* something was hashed */
    uint64_t empty; /* lines that are empty so far: they count when something follows */
    size_t n;
    char pending[PENDING];
};

int sp_dkim_body_new(enum sp_dkim_canon c, struct sp_dkim_body **ret,
                     struct sp_err *err)
{
    struct sp_dkim_body *b = sp_alloc(sizeof *b);

    if (!b)
        return sp_err_nomem(err);
    b->relaxed = c == SP_DKIM_RELAXED;
    b->md = EVP_MD_CTX_new();
    if (!b->md || EVP_DigestInit_ex(b->md, EVP_sha256(), NULL) != 1) {
        sp_dkim_body_free(b);
        return crypto(err, "SHA-256");
    }
    *ret = b;
    return 0;
}

void sp_dkim_body_free(struct sp_dkim_body *b)
{
    if (!b)
        return;
    EVP_MD_CTX_free(b->md);
    sp_free(b);
}

static void hash(struct sp_dkim_body *b, const char *p, size_t n)
{
    if (EVP_DigestUpdate(b->md, p, n) != 1)
        b->failed = true;
}

static void put(struct sp_dkim_body *b, const char *p, size_t n)
{
    b->any = true;
    if (n > PENDING - b->n) {
        hash(b, b->pending, b->n);
        b->n = 0;
    }
    if (n > PENDING) {
        hash(b, p, n);
        return;
    }
    memcpy(b->pending + b->n, p, n);
    b->n += n;
}

/* Octets that are neither line ends nor, when relaxed, blanks. */
static void content(struct sp_dkim_body *b, const char *p, size_t n)
{
    for (; b->empty && !b->in_line; b->empty--)
        put(b, "\r\n", 2);
    b->in_line = true;
    if (b->blanks)
        put(b, " ", 1);
    b->blanks = false;
    put(b, p, n);
}

static void line_end(struct sp_dkim_body *b)
{
    b->blanks = false;
    if (b->in_line)
        put(b, "\r\n", 2);
    else
        b->empty++;
    b->in_line = false;
}

/* How many octets from p are plain content. */
static size_t run(const struct sp_dkim_body *b, const char *p, size_t n)
{
    const char *cr = memchr(p, '\r', n);
    size_t at = 0, end = cr ? (size_t)(cr - p) : n;

    if (!b->relaxed)
        return end;
    while (at < end && p[at] != ' ' && p[at] != '\t')
        at++;
    return at;
}

void sp_dkim_body_feed(struct sp_dkim_body *b, struct sp_str chunk)
{
    size_t i = 0;

    while (i < chunk.n) {
        char c = chunk.p[i];
        size_t n;

        if (b->cr && c == '\n') {
            b->cr = false;
            line_end(b);
            i++;
            continue;
        }
        if (b->cr)
            content(b, "\r", 1); /* a bare one is an octet like others */
        b->cr = c == '\r';
        if (b->cr) {
            i++;
        } else if (b->relaxed && (c == ' ' || c == '\t')) {
            b->blanks = true;
            i++;
        } else {
            n = run(b, chunk.p + i, chunk.n - i);
            content(b, chunk.p + i, n);
            i += n;
        }
    }
}

int sp_dkim_body_end(struct sp_dkim_body *b, uint8_t ret_hash[SP_DKIM_HASH])
{
    if (b->cr)
        content(b, "\r", 1);
    if (b->in_line)
        line_end(b); /* a last line without end gets one */
    if (!b->any && !b->relaxed)
        put(b, "\r\n", 2);
    hash(b, b->pending, b->n);
    if (b->failed || EVP_DigestFinal_ex(b->md, ret_hash, NULL) != 1)
        return -SP_EIO;
    return 0;
}

/* ---- the header ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 6376 3.4.2.  Line ends of a field are folds or its own end: both are blanks. */
static int relaxed(struct sp_buf *out, struct sp_str name, struct sp_str value)
{
    bool any = false, blanks = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < name.n; i++)
        rc = sp_buf_put(out, (char[]){(char)sp_lower((unsigned char)name.p[i])}, 1);
    if (rc == 0)
        rc = sp_buf_put(out, ":", 1);
    for (size_t i = 0; rc == 0 && i < value.n; i++) {
        if (blank(value.p[i])) {
            blanks = any;
            continue;
        }
        if (blanks)
            rc = sp_buf_put(out, " ", 1);
        blanks = false;
        any = true;
        if (rc == 0)
            rc = sp_buf_put(out, &value.p[i], 1);
    }
    return rc;
}

static int canonical(struct sp_buf *out, const struct sp_field *f, enum sp_dkim_canon c)
{
    int rc;

    if (c == SP_DKIM_SIMPLE)
        return sp_buf_str(out, f->raw);
    rc = relaxed(out, f->name, f->value);
    return rc == 0 ? sp_buf_put(out, "\r\n", 2) : rc;
}

static bool listed(const char *const *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (sp_str_caseis(sp_str(v[i]), name))
            return true;
    return false;
}

/* The field being written, and where its last line began. */
struct writer {
    struct sp_buf *out;
    size_t line;
    int rc;
};

static void say(struct writer *w, const char *text, size_t n)
{
    if (w->rc == 0)
        w->rc = sp_buf_put(w->out, text, n);
}

/* A piece that stays together, on a new line when it would pass the column. */
static void piece(struct writer *w, const char *before, const char *text)
{
    size_t n = strlen(before) + strlen(text);

    if (w->out->n - w->line + n > COLUMN_MAX) {
        say(w, "\r\n\t", 3);
        w->line = w->out->n - 1;
        while (*before == ' ')
            before++;
    }
    say(w, before, strlen(before));
    say(w, text, strlen(text));
}

static void base64(struct writer *w, const unsigned char *p, size_t n)
{
    char text[(SIGNATURE_MAX + 2) / 3 * 4 + 1];
    int made = sp_base64_encode(p, n, text, sizeof text);
    size_t at = 0;

    if (made < 0)
        w->rc = made;
    while (w->rc == 0 && at < (size_t)made) {
        size_t used = w->out->n - w->line, left = (size_t)made - at;
        size_t room = used < COLUMN_MAX ? COLUMN_MAX - used : 0;

        say(w, text + at, room < left ? room : left);
        at += room < left ? room : left;
        if (at < (size_t)made) {
            say(w, "\r\n\t", 3);
            w->line = w->out->n - 1;
        }
    }
}

/* The nth field of that name from the end; RFC 6376 5.4.2 counts them so. */
static bool from_end(struct sp_str header, const char *name, size_t nth, size_t count,
                     struct sp_field *ret)
{
    return nth < count && sp_header_find(header, name, count - 1 - nth, ret);
}

/* One name of h=: said as often as it is there (and once more), each one added to what
 * is signed. */
static int sign_name(const struct sp_dkim_how *how, struct sp_str header,
                     const char *name, bool over, struct writer *w, bool *first,
                     struct sp_buf *input)
{
    size_t count = sp_header_count(header, name);
    struct sp_field f;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count + over; i++) {
        piece(w, *first ? " h=" : ":", name);
        *first = false;
        if (from_end(header, name, i, count, &f))
            rc = canonical(input, &f, how->header);
    }
    return rc;
}

static bool dns_name(const char *s)
{
    size_t n = strlen(s);

    if (n == 0 || n > DNS_NAME_MAX || s[0] == '.' || s[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++) {
        int c = sp_lower((unsigned char)s[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '_' || (c == '.' && s[i - 1] != '.')))
            return false;
    }
    return true;
}

static bool field_name(const char *s)
{
    size_t n = strlen(s);

    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] >= 127 || s[i] == ':' || s[i] == ';')
            return false;
    return n > 0 && n <= 76;
}

static int check(const struct sp_dkim_how *how, struct sp_err *err)
{
    if (!dns_name(how->domain) || !dns_name(how->selector))
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "not a DNS name: %.60s",
                          dns_name(how->domain) ? how->selector : how->domain);
    for (size_t i = 0; i < how->n_sign; i++)
        if (!field_name(how->sign[i]))
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "not a field name: %.60s",
                              how->sign[i]);
    return 0;
}

static int signature(const struct sp_dkim_key *k, struct sp_str input,
                     unsigned char *out, size_t *n, struct sp_err *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char digest[SP_DKIM_HASH];
    int ok = ctx != NULL;

    if (k->ed25519) /* RFC 8463 3: the hash is what is signed */
        ok = ok &&
             EVP_Digest(input.p, input.n, digest, NULL, EVP_sha256(), NULL) == 1 &&
             EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
             EVP_DigestSign(ctx, out, n, digest, sizeof digest) == 1;
    else
        ok = ok && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
             EVP_DigestSign(ctx, out, n, (const unsigned char *)input.p, input.n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : crypto(err, "signing");
}

/* Everything up to the value of b=, and what is signed before the field itself. */
static int write_tags(const struct sp_dkim_how *how, struct sp_str header,
                      const uint8_t body_hash[SP_DKIM_HASH], int64_t now_s,
                      struct writer *w, struct sp_buf *input)
{
    static const char *const canon[] = {"simple", "relaxed"};
    char text[80];
    bool first = true;
    int rc;

    say(w, FIELD ":", sizeof FIELD);
    snprintf(text, sizeof text, "a=%s; c=%s/%s;", sp_dkim_key_algorithm(how->key),
             canon[how->header], canon[how->body]);
    piece(w, " v=1; ", text);
    piece(w, " d=", how->domain);
    say(w, ";", 1);
    piece(w, " s=", how->selector);
    say(w, ";", 1);
    snprintf(text, sizeof text, "t=%lld;", (long long)now_s);
    piece(w, " ", text);
    if (how->lifetime_s) {
        snprintf(text, sizeof text, "x=%lld;",
                 (long long)now_s + (long long)how->lifetime_s);
        piece(w, " ", text);
    }
    rc = sign_name(how, header, "From", true, w, &first, input);
    for (size_t i = 0; rc == 0 && i < how->n_sign; i++) {
        const char *name = how->sign[i];

        if (!sp_str_caseis(sp_str(name), "From") && !listed(how->sign, i, name))
            rc = sign_name(how, header, name,
                           listed(how->oversign, how->n_oversign, name), w, &first,
                           input);
    }
    say(w, ";", 1);
    piece(w, " ", "bh=");
    base64(w, body_hash, SP_DKIM_HASH);
    say(w, ";", 1);
    piece(w, " ", "b=");
    return rc < 0 ? rc : w->rc;
}

int sp_dkim_sign(const struct sp_dkim_how *how, struct sp_str header,
                 const uint8_t body_hash[SP_DKIM_HASH], int64_t now_s,
                 struct sp_buf *out, struct sp_err *err)
{
    unsigned char sig[SIGNATURE_MAX];
    size_t n = sizeof sig, start = out->n;
    struct writer w = {.out = out, .line = start};
    struct sp_buf input;
    struct sp_str self;
    int rc = check(how, err);

    if (rc < 0)
        return rc;
    /* Every field once, and the new one; relaxed only makes them shorter. */
    sp_buf_init(&input, header.n + 2 * SP_DKIM_NAMES_MAX + SP_DKIM_FIELD_MAX);
    rc = write_tags(how, header, body_hash, now_s, &w, &input);
    /* RFC 6376 3.7: the field itself comes last, with nothing behind b= and no line end. */
    self = (struct sp_str){out->p + start, out->n - start};
    if (rc == 0 && how->header == SP_DKIM_SIMPLE)
        rc = sp_buf_str(&input, self);
    else if (rc == 0)
        rc = relaxed(&input, SP_LIT(FIELD),
                     (struct sp_str){self.p + sizeof FIELD, self.n - sizeof FIELD});
    if (rc < 0)
        rc = sp_err_set(err, SP_CLASS_PEER, -rc,
                        "the header cannot be signed: too long");
    else
        rc = signature(how->key, sp_buf_view(&input), sig, &n, err);
    sp_buf_free(&input);
    if (rc == 0) {
        base64(&w, sig, n);
        say(&w, "\r\n", 2);
        rc = w.rc < 0
                 ? sp_err_set(err, SP_CLASS_PEER, -w.rc, "no room for the signature")
                 : 0;
    }
    if (rc < 0)
        out->n = start;
    return rc;
}

size_t sp_dkim_author_domain(struct sp_str header, char *out, size_t cap)
{
    struct sp_mbox_iter it;
    struct sp_field from;
    struct sp_mbox m;
    struct sp_str domain;

    if (!sp_header_find(header, "From", 0, &from))
        return 0;
    sp_mbox_start(&it, from.value, SP_ADDR_UTF8_OK);
    if (sp_mbox_next(&it, &m) != 1 || m.verdict != SP_ADDR_OK || m.addr.literal)
        return 0;
    domain = sp_addr_domain(&m.addr);
    if (domain.n == 0 || domain.n >= cap)
        return 0;
    memcpy(out, domain.p, domain.n);
    out[domain.n] = '\0';
    return domain.n;
}
