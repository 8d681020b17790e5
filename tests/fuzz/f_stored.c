/*
 * f_stored.c - an envelope from the disk or from another role.  What the check lets
 * through can be used: pieces tile the message, reads in any pieces agree, and what the
 * strict check takes the spool's own reader takes too.
 *
 * The input: an octet for the prefix's size, then the envelope; behind it (the second
 * octet says how much of the input) a job state.
 */
#include "fz.h"

#include "arena.h"
#include "frame.h"
#include "qint.h"
#include "stored.h"

enum { CONTENT_MAX = 1 << 16 };

static size_t octets_of(const struct iovec *v, size_t n, char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        memcpy(out + at, v[i].iov_base, v[i].iov_len);
        at += v[i].iov_len;
    }
    return at;
}

static void use(const Sp__Envelope *env, size_t prefix_n)
{
    static char prefix[256], content[CONTENT_MAX], flat[CONTENT_MAX + 256], buf[97];
    struct sp_piece piece[SP_STORED_PIECES_MAX];
    struct iovec iov[SP_STORED_PIECES_MAX];
    struct sp_str p = {prefix, prefix_n}, c = {content, 0};
    uint64_t size = sp_stored_size(env, prefix_n), sum = 0, at = 0;
    size_t n = sp_stored_pieces(env, prefix_n, piece);

    FZ_MUST(n <= SP_STORED_PIECES_MAX, "pieces are bounded");
    for (size_t i = 0; i < n; i++) {
        FZ_MUST(piece[i].length > 0, "no piece is empty");
        FZ_MUST(!piece[i].prefix || i == 0, "the prefix comes first");
        FZ_MUST(piece[i].offset + piece[i].length <=
                    (piece[i].prefix ? prefix_n : env->content_size),
                "a piece lies inside");
        FZ_MUST(piece[i].prefix || piece[i].offset >= at, "pieces are in order");
        at = piece[i].prefix ? 0 : piece[i].offset + piece[i].length;
        sum += piece[i].length;
    }
    FZ_MUST(sum == size, "the size is that of the pieces");
    FZ_MUST(sp_stored_header_size(env, prefix_n) <= size, "the header is part of it");
    if (env->content_size > CONTENT_MAX)
        return;
    c.n = (size_t)env->content_size;
    for (size_t i = 0; i < c.n; i++)
        content[i] = (char)(i * 31 + 7);
    FZ_MUST(octets_of(iov, sp_stored_iov(env, p, c, iov), flat) == size,
            "iovecs are the pieces");
    for (uint64_t from = 0; from < size;) {
        size_t got = sp_stored_read(env, p, c, from, buf, sizeof buf);

        FZ_MUST(got > 0 && got <= sizeof buf && memcmp(buf, flat + from, got) == 0,
                "reading piecewise gives the same octets");
        from += got;
    }
    FZ_MUST(sp_stored_read(env, p, c, size, buf, sizeof buf) == 0,
            "the end is the end");
}

FZ_TARGET
{
    struct fz f = {data, size};
    size_t prefix_n = fz_byte(&f), cut = fz_byte(&f);
    struct sp_str blob, state;
    struct sp_arena arena;
    Sp__Envelope *env, *row;
    Sp__JobState *js, *mine;
    const char *why = NULL;
    struct sp_err err;

    cut = f.n * cut / 255;
    state = fz_take(&f, cut);
    blob = fz_rest(&f);
    sp_arena_init(&arena, 4u << 20);
    memset(&err, 0, sizeof err);
    env = sp_pb_unpack(&sp__envelope__descriptor, blob, &arena);
    row = sp_qenv_unpack(blob, (struct sp_str){NULL, 0}, &why);
    FZ_MUST(row || why, "a row that cannot be used has a reason");
    if (env && sp_stored_check(env, prefix_n, &err) == 0) {
        use(env, prefix_n);
        FZ_MUST(row, "what was checked before it was stored can be read back");
    } else if (env) {
        FZ_MUST(err.text[0], "a refusal has words");
    }
    if (row)
        use(row, prefix_n % 4);
    js = sp_pb_unpack(&sp__job_state__descriptor, state, &arena);
    if (env && js && sp_stored_check(env, prefix_n, NULL) == 0 &&
        sp_stored_check_state(env, js, NULL) == 0)
        for (size_t i = 0; i < js->n_rcpt; i++)
            FZ_MUST(js->rcpt[i]->index < env->n_rcpt,
                    "an index is one of the recipients");
    mine = sp_qstate_unpack(state, js ? js->n_rcpt : 1, &why);
    FZ_MUST(mine || why, "a state that cannot be used has a reason");
    sp_qstate_free(mine);
    sp_qenv_free(row);
    sp_arena_reset(&arena);
    return 0;
}
