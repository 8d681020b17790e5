/* verify.c - see verify.h. */
#include "verify.h"

#include "alloc.h"
#include "secret.h"

#include <crypt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sallyport/sasl.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>

static atomic_ulong work;

/* The setting of new hashes, and of the hash that stands for "nobody": one cost, or the
 * time would tell which accounts exist.  j9T is the system's usual cost (16 MB). */
#define SETTING       "$y$"
#define NOBODY_SALTED "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"

static char *crypt_in(struct crypt_data *d, const char *secret, const char *setting)
{
    char *hash = crypt_rn(secret, setting, d, (int)sizeof *d);

    atomic_fetch_add(&work, 1);
    /* A failure token ("*0") is no hash. */
    return hash && hash[0] != '*' ? hash : NULL;
}

/* SASLprep (RFC 4616 2) as a C string; false: it can be no password here. */
static bool prepare(struct sp_str password, char out[SP_PASSWORD_MAX + 1])
{
    int n = sp_saslprep(password, out, SP_PASSWORD_MAX);

    if (n < 0 || memchr(out, '\0', (size_t)n))
        n = 0;
    out[n] = '\0';
    return n > 0;
}

int sp_password_hash(struct sp_str password, char *out, size_t cap)
{
    char plain[SP_PASSWORD_MAX + 1], salt[CRYPT_GENSALT_OUTPUT_SIZE], random[16];
    struct crypt_data *d;
    const char *hash = NULL;
    int rc = -SP_EINPUT;

    if (!prepare(password, plain))
        goto out;
    rc = -SP_ENOMEM;
    d = sp_alloc(sizeof *d);
    if (!d)
        goto out;
    if (RAND_bytes((unsigned char *)random, sizeof random) == 1 &&
        crypt_gensalt_rn(SETTING, 0, random, sizeof random, salt, sizeof salt))
        hash = crypt_in(d, plain, salt);
    if (hash) {
        size_t n = strlen(hash);

        rc = n < cap ? 0 : -SP_ELIMIT;
        if (rc == 0)
            memcpy(out, hash, n + 1);
    }
    sp_wipe(d, sizeof *d);
    sp_free(d);
out:
    sp_wipe(plain, sizeof plain);
    return rc;
}

/* Hashes of directories: {SSHA} and kin are a digest of password and salt, base64.  They
 * cost next to nothing, which is why users.db has none; so that the time does not tell
 * them from others, the usual work is done besides. */
static const struct {
    const char *scheme;
    const EVP_MD *(*md)(void);
} digests[] = {
    {"{SSHA}", EVP_sha1},     {"{SSHA256}", EVP_sha256}, {"{SSHA512}", EVP_sha512},
    {"{SHA}", EVP_sha1},      {"{SHA256}", EVP_sha256},  {"{SHA512}", EVP_sha512},
};

static bool digest_is(const EVP_MD *md, struct sp_str text, const char *plain)
{
    uint8_t kept[256], got[EVP_MAX_MD_SIZE];
    int n = sp_base64_decode(text, kept, sizeof kept), len = EVP_MD_get_size(md);
    EVP_MD_CTX *x = n >= len ? EVP_MD_CTX_new() : NULL;
    bool same = x && EVP_DigestInit_ex(x, md, NULL) == 1 &&
                EVP_DigestUpdate(x, plain, strlen(plain)) == 1 &&
                EVP_DigestUpdate(x, kept + len, (size_t)(n - len)) == 1 &&
                EVP_DigestFinal_ex(x, got, NULL) == 1 && sp_equal_ct(kept, got, (size_t)len);

    EVP_MD_CTX_free(x);
    return same;
}

/* 1, 0, or -1: it is no such text. */
static int check_digest(const char *hash, const char *plain)
{
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        size_t n = strlen(digests[i].scheme);

        if (strncasecmp(hash, digests[i].scheme, n) == 0)
            return digest_is(digests[i].md(), sp_str(hash + n), plain);
    }
    return -1;
}

/* What Dovecot and LDAP write in front of a crypt(5) hash. */
static const char *without_scheme(const char *hash)
{
    static const char *const schemes[] = {"{CRYPT}", "{BLF-CRYPT}", "{SHA512-CRYPT}",
                                          "{SHA256-CRYPT}", "{MD5-CRYPT}"};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncasecmp(hash, schemes[i], strlen(schemes[i])) == 0)
            return hash + strlen(schemes[i]);
    return hash;
}

int sp_password_check(const char *hash, struct sp_str password)
{
    char plain[SP_PASSWORD_MAX + 1];
    struct crypt_data *d = sp_alloc(sizeof *d);
    bool usable = prepare(password, plain);
    const char *setting = hash ? without_scheme(hash) : NOBODY_SALTED, *got;
    size_t n = strlen(setting);
    int rc = 0, digest = hash && usable ? check_digest(hash, plain) : -1;

    if (!d) {
        sp_wipe(plain, sizeof plain);
        return -SP_ENOMEM;
    }
    got = crypt_in(d, plain, setting);
    /* A stored hash that crypt(3) does not understand must cost the same, too. */
    if (!got && hash) {
        (void)crypt_in(d, plain, NOBODY_SALTED);
        rc = digest == 1;
    } else if (got && hash && usable)
        rc = strlen(got) == n && sp_equal_ct(got, setting, n);
    sp_wipe(plain, sizeof plain);
    sp_wipe(d, sizeof *d);
    sp_free(d);
    return rc;
}

unsigned long sp_password_work(void)
{
    return atomic_load(&work);
}

/* ---- The cache: sets of four, chosen by the user ---- */

enum { WAYS = 4, TAG = 32 };

struct entry {
    uint8_t user[TAG];  /* HMAC of the name */
    uint8_t proof[TAG]; /* HMAC of generation, name, password */
    uint64_t at_ms;
    bool used;
};

struct sp_auth_cache {
    uint8_t key[32];
    uint64_t life_ms;
    size_t sets;
    struct entry *entry;
};

struct sp_auth_cache *sp_auth_cache_new(size_t entries, uint64_t life_ms)
{
    struct sp_auth_cache *c = sp_alloc(sizeof *c);

    if (!c)
        return NULL;
    c->life_ms = life_ms ? life_ms : 5 * 60 * 1000;
    c->sets = entries / WAYS ? entries / WAYS : 1;
    if (c->sets > (1u << 20))
        c->sets = 1u << 20;
    c->entry = sp_alloc(c->sets * WAYS * sizeof *c->entry);
    if (!c->entry || RAND_bytes(c->key, sizeof c->key) != 1) {
        sp_auth_cache_free(c);
        return NULL;
    }
    return c;
}

void sp_auth_cache_free(struct sp_auth_cache *c)
{
    if (!c)
        return;
    if (c->entry)
        sp_wipe(c->entry, c->sets * WAYS * sizeof *c->entry);
    sp_free(c->entry);
    sp_wipe(c, sizeof *c);
    sp_free(c);
}

static bool hmac(const uint8_t *key, const void *p, size_t n, uint8_t out[TAG])
{
    return HMAC(EVP_sha256(), key, TAG, p, n, out, NULL) != NULL;
}

/* Both tags and the set of a user.  The password's part is keyed by the user's tag and
 * the generation, so that no two triples run into one another. */
static struct entry *tags(struct sp_auth_cache *c, struct sp_str user,
                          uint64_t generation, struct sp_str password,
                          uint8_t user_tag[TAG], uint8_t proof[TAG])
{
    uint8_t mix[TAG + sizeof generation], sub[TAG];
    uint64_t where;
    bool ok = hmac(c->key, user.n ? user.p : "", user.n, user_tag);

    memcpy(mix, user_tag, TAG);
    memcpy(mix + TAG, &generation, sizeof generation);
    ok = ok && hmac(c->key, mix, sizeof mix, sub) &&
         hmac(sub, password.n ? password.p : "", password.n, proof);
    sp_wipe(sub, sizeof sub);
    if (!ok)
        return NULL;
    memcpy(&where, user_tag, sizeof where);
    return c->entry + where % c->sets * WAYS;
}

static bool alive(const struct sp_auth_cache *c, const struct entry *e, uint64_t now_ms)
{
    return e->used && now_ms >= e->at_ms && now_ms - e->at_ms < c->life_ms;
}

bool sp_auth_cache_hit(struct sp_auth_cache *c, struct sp_str user, uint64_t generation,
                       struct sp_str password, uint64_t now_ms)
{
    uint8_t user_tag[TAG], proof[TAG];
    struct entry *set = tags(c, user, generation, password, user_tag, proof);
    bool hit = false;

    for (int i = 0; set && i < WAYS; i++) {
        if (set[i].used && !alive(c, &set[i], now_ms))
            sp_wipe(&set[i], sizeof set[i]);
        else if (set[i].used)
            hit |= sp_equal_ct(set[i].proof, proof, TAG);
    }
    sp_wipe(proof, sizeof proof);
    return hit;
}

void sp_auth_cache_put(struct sp_auth_cache *c, struct sp_str user, uint64_t generation,
                       struct sp_str password, uint64_t now_ms)
{
    uint8_t user_tag[TAG], proof[TAG];
    struct entry *set = tags(c, user, generation, password, user_tag, proof), *to = set;

    if (!set)
        return;
    /* The same success again, else a free or dead place, else the oldest one. */
    for (int i = 0; i < WAYS; i++) {
        if (set[i].used && sp_equal_ct(set[i].proof, proof, TAG)) {
            to = &set[i];
            break;
        }
        if (!alive(c, &set[i], now_ms))
            to = &set[i];
        else if (alive(c, to, now_ms) && set[i].at_ms < to->at_ms)
            to = &set[i];
    }
    memcpy(to->user, user_tag, TAG);
    memcpy(to->proof, proof, TAG);
    to->at_ms = now_ms;
    to->used = true;
    sp_wipe(proof, sizeof proof);
}

void sp_auth_cache_drop(struct sp_auth_cache *c, struct sp_str user)
{
    uint8_t tag[TAG] = {0};
    struct entry *set;
    uint64_t where;

    if (user.n == 0) {
        sp_wipe(c->entry, c->sets * WAYS * sizeof *c->entry);
        return;
    }
    if (!hmac(c->key, user.p, user.n, tag))
        return;
    memcpy(&where, tag, sizeof where);
    set = c->entry + where % c->sets * WAYS;
    for (int i = 0; i < WAYS; i++)
        if (set[i].used && memcmp(set[i].user, tag, TAG) == 0)
            sp_wipe(&set[i], sizeof set[i]);
}

size_t sp_auth_cache_count(const struct sp_auth_cache *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->sets * WAYS; i++)
        n += c->entry[i].used;
    return n;
}
