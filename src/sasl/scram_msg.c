/* scram_msg.c - see sasl_i.h: SCRAM's pieces of text and of arithmetic, both sides. */
#include "sasl_i.h"

#include "text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

static _Thread_local unsigned long work;

size_t sp_scram_len(enum sp_scram_hash hash)
{
    return hash == SP_SCRAM_SHA256 ? 32 : 20;
}

static const EVP_MD *md(enum sp_scram_hash hash)
{
    return hash == SP_SCRAM_SHA256 ? EVP_sha256() : EVP_sha1();
}

int sp_hmac(enum sp_scram_hash hash, const void *key, size_t key_len, struct sp_str msg,
            uint8_t *out)
{
    unsigned n = 0;

    if (!HMAC(md(hash), key, (int)key_len, (const unsigned char *)msg.p, msg.n, out,
              &n))
        return -SP_ENOMEM;
    return 0;
}

int sp_hash(enum sp_scram_hash hash, const void *p, size_t n, uint8_t *out)
{
    return EVP_Digest(p, n, out, NULL, md(hash), NULL) == 1 ? 0 : -SP_ENOMEM;
}

int sp_scram_salted(enum sp_scram_hash hash, struct sp_str prepared, struct sp_str salt,
                    uint32_t iterations, uint8_t *out)
{
    work++;
    /* OpenSSL takes a NULL password for "none": an empty one must not be NULL. */
    return PKCS5_PBKDF2_HMAC(prepared.n ? prepared.p : "", (int)prepared.n,
                             (const unsigned char *)salt.p, (int)salt.n,
                             (int)iterations, md(hash), (int)sp_scram_len(hash),
                             out) == 1
               ? 0
               : -SP_ENOMEM;
}

unsigned long sp_scram_work(void)
{
    return work;
}

int sp_scram_attr(struct sp_str *rest, char name, struct sp_str *ret_value)
{
    struct sp_str left = *rest, one = sp_str_cut(&left, ',');

    if (one.n < 3 || one.p[0] != name || one.p[1] != '=')
        return -SP_EINPUT;
    if (left.p && left.n == 0)
        return -SP_EINPUT;
    *ret_value = (struct sp_str){one.p + 2, one.n - 2};
    if (!sp_utf8_valid(*ret_value))
        return -SP_EINPUT;
    *rest = left;
    return 0;
}

int sp_scram_extensions(struct sp_str rest)
{
    struct sp_str ignored;

    while (rest.n) {
        int c = sp_lower((unsigned char)rest.p[0]);

        /* RFC 5802 5.1: "m" is a mandatory extension, and we know none. */
        if (c < 'a' || c > 'z' || rest.p[0] == 'm')
            return -SP_EINPUT;
        if (sp_scram_attr(&rest, rest.p[0], &ignored) < 0)
            return -SP_EINPUT;
    }
    return 0;
}

bool sp_scram_nonce_ok(struct sp_str nonce)
{
    for (size_t i = 0; i < nonce.n; i++)
        if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e || nonce.p[i] == ',')
            return false;
    return nonce.n > 0;
}

int sp_scram_add_nonce(struct sp_sasl *s)
{
    unsigned char raw[18];

    if (s->nonce_fixed)
        return sp_buf_str(&s->nonce, sp_buf_view(&s->challenge));
    if (RAND_bytes(raw, sizeof raw) != 1)
        return -SP_ENOMEM;
    return sp_put_base64(&s->nonce, raw, sizeof raw);
}

int sp_scram_put_saslname(struct sp_buf *b, struct sp_str name)
{
    int rc = 0;

    for (size_t i = 0; i < name.n && rc == 0; i++) {
        if (name.p[i] == ',')
            rc = sp_buf_puts(b, "=2C");
        else if (name.p[i] == '=')
            rc = sp_buf_puts(b, "=3D");
        else
            rc = sp_buf_put(b, name.p + i, 1);
    }
    return rc;
}

int sp_scram_get_saslname(struct sp_str in, struct sp_buf *ret_name)
{
    char raw[SP_SASL_NAME_MAX];
    size_t n = 0;
    char *room;
    int rc;

    for (size_t i = 0; i < in.n; i++) {
        if (n == sizeof raw)
            return -SP_ELIMIT;
        if (in.p[i] != '=') {
            raw[n++] = in.p[i];
            continue;
        }
        /* RFC 5802 5.1: no other use of "=" is a saslname; digits are upper case. */
        if (in.n - i < 3 || in.p[i + 1] < '2' || in.p[i + 1] > '3')
            return -SP_EINPUT;
        if (in.p[i + 1] == '2' && in.p[i + 2] == 'C')
            raw[n++] = ',';
        else if (in.p[i + 1] == '3' && in.p[i + 2] == 'D')
            raw[n++] = '=';
        else
            return -SP_EINPUT;
        i += 2;
    }
    room = sp_buf_room(ret_name, ret_name->max - ret_name->n);
    if (!room)
        return -SP_ENOMEM;
    rc = sp_saslprep((struct sp_str){raw, n}, room, ret_name->max - ret_name->n);
    if (rc < 0)
        return rc;
    ret_name->n += (size_t)rc;
    return rc ? 0 : -SP_EINPUT; /* a name that is empty after preparation */
}

int sp_scram_auth_message(struct sp_sasl *s, struct sp_str without_proof,
                          struct sp_buf *b)
{
    int rc = sp_buf_str(b, sp_buf_view(&s->first_bare));

    if (rc == 0)
        rc = sp_buf_put(b, ",", 1);
    if (rc == 0)
        rc = sp_buf_str(b, sp_buf_view(&s->server_first));
    if (rc == 0)
        rc = sp_buf_put(b, ",", 1);
    return rc ? rc : sp_buf_str(b, without_proof);
}

int sp_put_base64(struct sp_buf *b, const void *p, size_t n)
{
    size_t len = SP_BASE64_LEN(n);
    char *room = sp_buf_room(b, len);

    if (!room)
        return -SP_ENOMEM;
    (void)sp_base64_encode(p, n, room, len);
    b->n += len;
    return 0;
}
