/* scram_verifier.c - see sallyport/sasl.h: making, printing and reading verifiers. */
#include "sasl_i.h"

#include "text.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

static const char *const hash_name[] = {
    [SP_SCRAM_SHA256] = "SCRAM-SHA-256",
    [SP_SCRAM_SHA1] = "SCRAM-SHA-1",
};

/* StoredKey and ServerKey of a password: RFC 5802 3. */
static int derive(struct sp_scram_verifier *v, struct sp_str password)
{
    char prepared[SP_SASL_PASSWORD_MAX];
    uint8_t salted[SP_SCRAM_KEY_MAX], client[SP_SCRAM_KEY_MAX];
    size_t len = sp_scram_len(v->hash);
    int n = sp_saslprep(password, prepared, sizeof prepared);
    int rc = n < 0 ? n : 0;

    if (rc == 0)
        rc = sp_scram_salted(v->hash, (struct sp_str){prepared, (size_t)n},
                             (struct sp_str){(const char *)v->salt, v->salt_len},
                             v->iterations, salted);
    if (rc == 0)
        rc = sp_hmac(v->hash, salted, len, SP_LIT("Client Key"), client);
    if (rc == 0)
        rc = sp_hash(v->hash, client, len, v->stored_key);
    if (rc == 0)
        rc = sp_hmac(v->hash, salted, len, SP_LIT("Server Key"), v->server_key);
    sp_wipe(prepared, sizeof prepared);
    sp_wipe(salted, sizeof salted);
    sp_wipe(client, sizeof client);
    return rc;
}

int sp_scram_make(enum sp_scram_hash hash, struct sp_str password, struct sp_str salt,
                  uint32_t iterations, struct sp_scram_verifier *ret_v)
{
    struct sp_scram_verifier v = {.hash = hash, .iterations = iterations};
    int rc;

    if (iterations < SP_SCRAM_ITERATIONS_MIN || iterations > SP_SCRAM_ITERATIONS_MAX ||
        salt.n > sizeof v.salt)
        return -SP_EINPUT;
    v.salt_len = salt.n ? salt.n : SP_SCRAM_SALT_USUAL;
    if (salt.n)
        memcpy(v.salt, salt.p, salt.n);
    else if (RAND_bytes(v.salt, (int)v.salt_len) != 1)
        return -SP_ENOMEM;
    rc = derive(&v, password);
    if (rc == 0)
        *ret_v = v;
    sp_wipe(&v, sizeof v);
    return rc;
}

int sp_scram_fake(enum sp_scram_hash hash, const uint8_t key[32], struct sp_str user,
                  uint32_t iterations, struct sp_scram_verifier *ret_v)
{
    struct sp_scram_verifier v = {.hash = hash, .iterations = iterations, .fake = true};
    uint8_t sub[32], out[32];
    int rc;

    /* One key for each hash first, so that no user name can collide with a label. */
    rc = sp_hmac(SP_SCRAM_SHA256, key, 32, sp_str(hash_name[hash]), sub);
    if (rc == 0)
        rc = sp_hmac(SP_SCRAM_SHA256, sub, sizeof sub, user, out);
    if (rc == 0) {
        v.salt_len = SP_SCRAM_SALT_USUAL;
        memcpy(v.salt, out, v.salt_len);
        /* Nobody knows a client key for these; `fake` fails it in any case. */
        memcpy(v.stored_key, out, sizeof out);
        memcpy(v.server_key, sub, sizeof sub);
        *ret_v = v;
    }
    sp_wipe(sub, sizeof sub);
    sp_wipe(out, sizeof out);
    return rc;
}

int sp_scram_print(const struct sp_scram_verifier *v, char *out, size_t cap)
{
    char salt[SP_BASE64_LEN(SP_SCRAM_SALT_MAX)];
    char stored[SP_BASE64_LEN(SP_SCRAM_KEY_MAX)],
        server[SP_BASE64_LEN(SP_SCRAM_KEY_MAX)];
    size_t len = sp_scram_len(v->hash);
    int a, b, c, n;

    if (v->fake || v->salt_len > sizeof v->salt)
        return -SP_EINPUT;
    a = sp_base64_encode(v->salt, v->salt_len, salt, sizeof salt);
    b = sp_base64_encode(v->stored_key, len, stored, sizeof stored);
    c = sp_base64_encode(v->server_key, len, server, sizeof server);
    n = snprintf(out, cap, "%s$%u:%.*s$%.*s:%.*s", hash_name[v->hash],
                 (unsigned)v->iterations, a, salt, b, stored, c, server);
    return n < 0 || (size_t)n >= cap ? -SP_ELIMIT : n;
}

int sp_scram_parse(struct sp_str text, struct sp_scram_verifier *ret_v)
{
    struct sp_scram_verifier v = {0};
    struct sp_str name = sp_str_cut(&text, '$'), params = sp_str_cut(&text, '$');
    struct sp_str count = sp_str_cut(&params, ':'), stored = sp_str_cut(&text, ':');
    uint64_t iterations = 0;
    size_t len;
    int n;

    if (sp_str_is(name, hash_name[SP_SCRAM_SHA256]))
        v.hash = SP_SCRAM_SHA256;
    else if (sp_str_is(name, hash_name[SP_SCRAM_SHA1]))
        v.hash = SP_SCRAM_SHA1;
    else
        return -SP_EINPUT;
    len = sp_scram_len(v.hash);
    if (sp_str_u64(count, SP_SCRAM_ITERATIONS_MAX, &iterations) < 0 ||
        iterations < SP_SCRAM_ITERATIONS_MIN)
        return -SP_EINPUT;
    v.iterations = (uint32_t)iterations;
    n = sp_base64_decode(params, v.salt, sizeof v.salt);
    v.salt_len = n > 0 ? (size_t)n : 0;
    if (n <= 0 ||
        sp_base64_decode(stored, v.stored_key, sizeof v.stored_key) != (int)len ||
        sp_base64_decode(text, v.server_key, sizeof v.server_key) != (int)len)
        return -SP_EINPUT;
    *ret_v = v;
    sp_wipe(&v, sizeof v);
    return 0;
}

int sp_scram_check(const struct sp_scram_verifier *v, struct sp_str password)
{
    struct sp_scram_verifier mine = *v;
    int rc = derive(&mine, password);

    if (rc == 0)
        rc = sp_equal_ct(mine.stored_key, v->stored_key, sp_scram_len(v->hash)) &&
             !v->fake;
    sp_wipe(&mine, sizeof mine);
    return rc;
}
