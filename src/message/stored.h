/*
 * stored.h - the stored message: which octets a next hop gets, and whether an envelope
 * from another role makes sense.
 *
 *     stored content   |------------- header -------------|------ body ------|
 *     cuts                    |--|        |-----|
 *     what is sent     prefix |ooo|  oooo  |ooooo oooooooo|oooooooooooooooooo|
 *
 * The content is kept as it came; a next hop gets the prefix, then the content without
 * the cuts.  Nothing is copied: callers get ranges, or iovecs over memory they hold.
 *
 * An Envelope that came from another role, or from the disk, goes through
 * sp_stored_check() before any of its numbers is used; the other functions rely on it.
 */
#ifndef SP_STORED_H
#define SP_STORED_H

#include "sallyport.pb-c.h"

#include <sallyport/types.h>
#include <sys/uio.h>

#define SP_STORED_VERSION    1 /* Envelope.version that this program writes */
#define SP_STORED_CUTS_MAX   256
#define SP_STORED_PIECES_MAX (SP_STORED_CUTS_MAX + 2)
#define SP_STORED_RCPT_MAX   100000
#define SP_STORED_DELIVER_MAX 4096
#define SP_STORED_PREFIX_MAX 65536

struct sp_piece {
    bool prefix; /* of the prefix block, else of the stored content */
    uint64_t offset;
    uint64_t length; /* never 0 */
};

/* The pieces in order; ret has room for SP_STORED_PIECES_MAX.  Returns how many. */
size_t sp_stored_pieces(const Sp__Envelope *env, uint64_t prefix_size,
                        struct sp_piece *ret);
/* Octets of all of them: what SIZE= says (RFC 1870), before dot-stuffing. */
uint64_t sp_stored_size(const Sp__Envelope *env, uint64_t prefix_size);
/* Octets of the header as sent: prefix, header without the cuts. */
uint64_t sp_stored_header_size(const Sp__Envelope *env, uint64_t prefix_size);

/* The same over memory: `content` holds env->content_size octets.  Returns how many. */
size_t sp_stored_iov(const Sp__Envelope *env, struct sp_str prefix,
                     struct sp_str content, struct iovec ret[SP_STORED_PIECES_MAX]);

/* Up to `cap` octets of what is sent, from `offset`; the start of the content (at least
 * what is asked for) must be in `content`.  Returns octets written. */
size_t sp_stored_read(const Sp__Envelope *env, struct sp_str prefix,
                      struct sp_str content, uint64_t offset, char *out, size_t cap);

/* Sets version and the fields whose zero means something else.  The rest of *env is as
 * sp__envelope__init() left it. */
void sp_stored_defaults(Sp__Envelope *env, uint64_t now_ms);

/* 0, -SP_EVERSION (a newer program wrote it) or -SP_EINPUT with the reason in *err.
 * Cuts are sorted, do not overlap and lie inside the header; sizes agree; addresses
 * parse; enum values, NOTIFY bits and lengths are in range. */
int sp_stored_check(const Sp__Envelope *env, uint64_t prefix_size, struct sp_err *err);
/* 0 or -SP_EINPUT: every index is one of env's recipients and stands there once. */
int sp_stored_check_state(const Sp__Envelope *env, const Sp__JobState *state,
                          struct sp_err *err);

#endif
