/* srv_key.c - recognising a submission that is sent again; see server_role.h.
 *
 * The key goes with the message and is looked up and stored by the queue in the commit that
 * makes the message durable; here it is only made.  In the spool an explicit one begins
 * with 'e', an implicit one with 'i', so that no client can name somebody else's.
 */
#include "server_role.h"

#include "alloc.h"
#include "header.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 200, DIGEST = 32 };
#define FIELD "Submission-Key"

/* Is there such a field?  Most messages have none, and this is asked of each: so no more
 * than the start of each line is looked at. */
static bool has_field(struct sp_str header)
{
    const size_t n = sizeof FIELD - 1;
    const char *p = header.p, *end = header.p + header.n;

    while (p && (size_t)(end - p) > n) {
        if ((*p == 'S' || *p == 's') && sp_str_caseis((struct sp_str){p, n}, FIELD))
            return true;
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    return false;
}

static bool whole_header(struct sp_str content)
{
    return memmem(content.p ? content.p : "", content.n, "\r\n\r\n", 4) != NULL;
}

/* ---- the digest of the octets received ---- */

static bool digest_begin(struct srv_key *k)
{
    k->md = EVP_MD_CTX_new();
    k->failed = !k->md || EVP_DigestInit_ex(k->md, EVP_sha256(), NULL) != 1;
    return !k->failed;
}

void srv_key_large(struct srv_session *s, struct srv_key *k, struct sp_str so_far)
{
    bool wanted =
        s->listener->conf->deduplicate_s || has_field(so_far) || !whole_header(so_far);

    if (wanted && s->who && digest_begin(k))
        srv_key_octets(k, so_far);
}

void srv_key_octets(struct srv_key *k, struct sp_str octets)
{
    if (k->md && octets.n && EVP_DigestUpdate(k->md, octets.p, octets.n) != 1)
        k->failed = true;
}

void srv_key_free(struct srv_key *k)
{
    EVP_MD_CTX_free(k->md);
    k->md = NULL;
}

static bool digest_end(struct srv_key *k, bool in_file, struct sp_str content,
                       uint8_t ret[DIGEST])
{
    unsigned n = 0;

    if (!in_file && !k->md && digest_begin(k))
        srv_key_octets(k, content);
    return k->md && !k->failed && EVP_DigestFinal_ex(k->md, ret, &n) == 1 &&
           n == DIGEST;
}

/* ---- explicit: a field of the client's ---- */

static bool good_key(struct sp_str v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= 32 || v.p[i] > 126)
            return false;
    return v.n > 0 && v.n <= KEY_MAX;
}

/* ---- implicit: of what the message is ---- */

static int by_octets(const void *a, const void *b)
{
    return sp_str_cmp(*(const struct sp_str *)a, *(const struct sp_str *)b);
}

static bool mix(EVP_MD_CTX *md, struct sp_str s)
{
    uint64_t n = s.n;

    return EVP_DigestUpdate(md, &n, sizeof n) == 1 &&
           (s.n == 0 || EVP_DigestUpdate(md, s.p, s.n) == 1);
}

static struct sp_str octets(ProtobufCBinaryData d)
{
    return (struct sp_str){(const char *)d.data, d.len};
}

static bool implicit_key(const Sp__Envelope *e, struct sp_str digest,
                         uint8_t ret[DIGEST])
{
    struct sp_str *v = sp_alloc((e->n_rcpt + 1) * sizeof *v);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned n = 0;
    bool ok = v && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              mix(md, octets(e->reverse_path)) && mix(md, octets(e->message_id)) &&
              mix(md, digest);

    for (size_t i = 0; ok && i < e->n_rcpt; i++)
        v[i] = octets(e->rcpt[i]->address);
    if (ok)
        qsort(v, e->n_rcpt, sizeof *v, by_octets);
    for (size_t i = 0; ok && i < e->n_rcpt; i++)
        ok = mix(md, v[i]);
    ok = ok && EVP_DigestFinal_ex(md, ret, &n) == 1 && n == DIGEST;
    EVP_MD_CTX_free(md);
    sp_free(v);
    return ok;
}

/* ---- all of it ---- */

static bool keep(struct sp_arena *a, char kind, struct sp_str key,
                 const uint8_t *digest, Sp__Envelope *e)
{
    char *p = sp_arena_alloc(a, 1 + key.n + DIGEST);

    if (!p)
        return false;
    p[0] = kind;
    memcpy(p + 1, key.p, key.n);
    memcpy(p + 1 + key.n, digest, DIGEST);
    e->submission_key = (ProtobufCBinaryData){1 + key.n, (uint8_t *)p};
    e->digest = (ProtobufCBinaryData){DIGEST, (uint8_t *)p + 1 + key.n};
    return true;
}

enum srv_key_answer srv_key_make(struct srv_session *s, const struct srv_key_in *in,
                                 struct srv_key *k, Sp__Envelope *e,
                                 struct sp_field *ret_field)
{
    struct sp_field second;
    uint8_t digest[DIGEST], key[DIGEST];
    bool is_explicit =
        has_field(in->header) && sp_header_find(in->header, FIELD, 0, ret_field);

    if (!s->who || (!is_explicit && (!s->listener->conf->deduplicate_s || !in->own_id)))
        return SRV_KEY_NONE;
    if (is_explicit &&
        (!good_key(ret_field->value) || sp_header_find(in->header, FIELD, 1, &second)))
        return SRV_KEY_BAD;
    if (!digest_end(k, in->in_file, in->content, digest))
        return SRV_KEY_FAILED;
    if (is_explicit)
        return keep(in->arena, 'e', ret_field->value, digest, e) ? SRV_KEY_EXPLICIT
                                                                 : SRV_KEY_FAILED;
    if (!implicit_key(e, (struct sp_str){(char *)digest, DIGEST}, key) ||
        !keep(in->arena, 'i', (struct sp_str){(char *)key, DIGEST}, digest, e))
        return SRV_KEY_FAILED;
    return SRV_KEY_IMPLICIT;
}
