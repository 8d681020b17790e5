/* stored.c - see stored.h. */
#include "stored.h"

#include "addr.h"
#include "alloc.h"
#include "err.h"

#include <string.h>

/* ---- Composing ------------------------------------------------------------------- */

static size_t add_piece(struct sp_piece *ret, size_t n, bool prefix, uint64_t offset,
                        uint64_t length)
{
    if (length == 0)
        return n;
    ret[n] = (struct sp_piece){prefix, offset, length};
    return n + 1;
}

size_t sp_stored_pieces(const Sp__Envelope *env, uint64_t prefix_size,
                        struct sp_piece *ret)
{
    size_t n = add_piece(ret, 0, true, 0, prefix_size);
    uint64_t at = 0;

    for (size_t i = 0; i < env->n_cut; i++) {
        n = add_piece(ret, n, false, at, env->cut[i]->offset - at);
        at = env->cut[i]->offset + env->cut[i]->length;
    }
    return add_piece(ret, n, false, at, env->content_size - at);
}

static uint64_t cut_octets(const Sp__Envelope *env)
{
    uint64_t n = 0;

    for (size_t i = 0; i < env->n_cut; i++)
        n += env->cut[i]->length;
    return n;
}

uint64_t sp_stored_size(const Sp__Envelope *env, uint64_t prefix_size)
{
    return prefix_size + env->content_size - cut_octets(env);
}

uint64_t sp_stored_header_size(const Sp__Envelope *env, uint64_t prefix_size)
{
    return prefix_size + env->header_size - cut_octets(env);
}

size_t sp_stored_iov(const Sp__Envelope *env, struct sp_str prefix,
                     struct sp_str content, struct iovec ret[SP_STORED_PIECES_MAX])
{
    struct sp_piece piece[SP_STORED_PIECES_MAX];
    size_t n = sp_stored_pieces(env, prefix.n, piece);

    for (size_t i = 0; i < n; i++) {
        const char *from = piece[i].prefix ? prefix.p : content.p;

        ret[i].iov_base = (void *)(uintptr_t)(from + piece[i].offset);
        ret[i].iov_len = (size_t)piece[i].length;
    }
    return n;
}

size_t sp_stored_read(const Sp__Envelope *env, struct sp_str prefix,
                      struct sp_str content, uint64_t offset, char *out, size_t cap)
{
    struct sp_piece piece[SP_STORED_PIECES_MAX];
    size_t n = sp_stored_pieces(env, prefix.n, piece), done = 0;

    for (size_t i = 0; i < n && done < cap; i++) {
        struct sp_str from = piece[i].prefix ? prefix : content;
        uint64_t take = piece[i].length;

        if (offset >= take) {
            offset -= take;
            continue;
        }
        take -= offset;
        if (take > cap - done)
            take = cap - done;
        if (piece[i].offset + offset + take > from.n)
            break; /* the caller holds less than he asks for */
        memcpy(out + done, from.p + piece[i].offset + offset, (size_t)take);
        done += (size_t)take;
        offset = 0;
    }
    return done;
}

void sp_stored_defaults(Sp__Envelope *env, uint64_t now_ms)
{
    env->version = SP_STORED_VERSION;
    env->received_ms = now_ms;
}

/* ---- Checking what another role or the disk says ----------------------------------- */

static int bad(struct sp_err *err, const char *what)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "envelope: %s", what);
}

static struct sp_str bytes(ProtobufCBinaryData b)
{
    return (struct sp_str){(const char *)b.data, b.len};
}

static int check_cuts(const Sp__Envelope *env, struct sp_err *err)
{
    uint64_t at = 0;

    if (env->header_size > env->content_size)
        return bad(err, "the header is larger than the content");
    if (env->n_cut > SP_STORED_CUTS_MAX)
        return bad(err, "too many cuts");
    for (size_t i = 0; i < env->n_cut; i++) {
        const Sp__Cut *c = env->cut[i];

        if (c->length == 0 || c->offset < at || c->offset > env->header_size ||
            c->length > env->header_size - c->offset)
            return bad(err, "a cut is empty, out of order or outside the header");
        at = c->offset + c->length;
    }
    return 0;
}

/* RFC 3461 4.1: NEVER stands alone. */
static bool notify_ok(uint32_t bits)
{
    return bits <= 15 && (!(bits & 1) || bits == 1);
}

/* Where an alias leads that is no address. */
static bool deliver_ok(struct sp_str s)
{
    if (s.n == 0)
        return true;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 32 || s.p[i] == 127)
            return false;
    return s.n <= SP_STORED_DELIVER_MAX &&
           (s.p[0] == '|' || s.p[0] == '/' || s.p[0] == '!');
}

static int check_rcpt(const Sp__Envelope *env, struct sp_err *err)
{
    struct sp_addr a;

    if (env->n_rcpt == 0 || env->n_rcpt > SP_STORED_RCPT_MAX)
        return bad(err, "no recipient, or too many");
    for (size_t i = 0; i < env->n_rcpt; i++) {
        const Sp__Recipient *r = env->rcpt[i];
        enum sp_addr_result rc =
            sp_addr_parse(bytes(r->address), SP_ADDR_UTF8_OK | SP_ADDR_POSTMASTER, &a);

        /* A local name stands for itself where a local route takes it. */
        if (rc != SP_ADDR_OK && rc != SP_ADDR_UNQUALIFIED)
            return bad(err, "a recipient's address does not parse");
        if (a.utf8 && !env->smtputf8)
            return bad(err, "a recipient needs SMTPUTF8 and the message has it not");
        if (!notify_ok(r->notify))
            return bad(err, "NOTIFY bits that cannot be");
        if (r->orcpt.len > 1000 || r->original.len > SP_ADDR_TEXT_MAX)
            return bad(err, "ORCPT or original address too long");
        if (!deliver_ok(bytes(r->deliver)))
            return bad(err, "a recipient is to be delivered in no way that there is");
    }
    return 0;
}

static bool too_long(const char *s, size_t max)
{
    return s && strnlen(s, max + 1) > max;
}

static int check_texts(const Sp__Envelope *env, struct sp_err *err)
{
    if (too_long(env->listener, 200) || too_long(env->session, 200) ||
        too_long(env->client_address, 100) || too_long(env->helo, 1000) ||
        too_long(env->with, 20))
        return bad(err, "a text is too long");
    if (env->envid.len > 1000 || env->auth_param.len > 4096 ||
        env->submission_key.len > 1024 || env->message_id.len > 1000 ||
        env->notice_for.len > 200)
        return bad(err, "a value is too long");
    if (env->digest.len != 0 && env->digest.len != 32)
        return bad(err, "the digest is not a SHA-256");
    return 0;
}

static int check_parameters(const Sp__Envelope *env, struct sp_err *err)
{
    struct sp_addr a;

    if (sp_addr_parse(bytes(env->reverse_path),
                      SP_ADDR_UTF8_OK | SP_ADDR_NULL_OK | SP_ADDR_POSTMASTER,
                      &a) != SP_ADDR_OK)
        return bad(err, "the reverse-path does not parse");
    if (a.utf8 && !env->smtputf8)
        return bad(err, "the reverse-path needs SMTPUTF8 and the message has it not");
    if ((unsigned)env->body > SP__BODY_TYPE__BODY_BINARYMIME ||
        (unsigned)env->ret > SP__DSN_RET__RET_HDRS ||
        (unsigned)env->by_mode > SP__BY_MODE__BY_RETURN)
        return bad(err, "an unknown BODY, RET or BY value");
    if (env->priority < -9 || env->priority > 9)
        return bad(err, "a priority outside -9 to 9");
    if (env->by_seconds < -999999999 || env->by_seconds > 999999999)
        return bad(err, "a BY time of more than nine digits");
    if (env->client_port > 65535)
        return bad(err, "a port above 65535");
    return 0;
}

int sp_stored_check(const Sp__Envelope *env, uint64_t prefix_size, struct sp_err *err)
{
    int rc;

    if (env->version > SP_STORED_VERSION)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EVERSION,
                          "the message was stored by a newer version of the program");
    if (env->version == 0)
        return bad(err, "no version");
    if (prefix_size > SP_STORED_PREFIX_MAX)
        return bad(err, "the prefix is too large");
    if (env->content_size > INT64_MAX)
        return bad(err, "the content is too large");
    rc = check_cuts(env, err);
    if (rc == 0)
        rc = check_parameters(env, err);
    if (rc == 0)
        rc = check_rcpt(env, err);
    return rc < 0 ? rc : check_texts(env, err);
}

int sp_stored_check_state(const Sp__Envelope *env, const Sp__JobState *state,
                          struct sp_err *err)
{
    unsigned char *seen = sp_alloc(env->n_rcpt / 8 + 1);
    int rc = 0;

    if (!seen)
        return sp_err_nomem(err);
    for (size_t i = 0; i < state->n_rcpt && rc == 0; i++) {
        const Sp__RcptState *r = state->rcpt[i];

        if (r->index >= env->n_rcpt)
            rc = bad(err, "a state names a recipient that is not there");
        else if (seen[r->index / 8] & 1u << r->index % 8)
            rc = bad(err, "a state names a recipient twice");
        else if ((unsigned)r->status > SP__RCPT_STATUS__RCPT_EXPANDED)
            rc = bad(err, "an unknown recipient status");
        else
            seen[r->index / 8] |= (unsigned char)(1u << r->index % 8);
    }
    sp_free(seen);
    return rc;
}
