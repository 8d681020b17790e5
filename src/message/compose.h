/*
 * compose.h - making a message fit to be submitted, out of whatever a person, a script
 * or a file gives us.
 *
 * Two passes over the same input, each chunk by chunk; nothing of the body is kept:
 *
 *     struct sp_norm norm;                      1: what is it?
 *     sp_norm_init(&norm);
 *     while (read) sp_norm_feed(&norm, chunk, NULL);
 *     sp_norm_end(&norm, NULL);                 norm.longest, norm.body_8bit, ...
 *
 *     struct sp_compose c;                      2: the message
 *     struct sp_compose_opts o = {.facts = &norm, .attach = ..., .now_ms = ...};
 *     sp_compose_init(&c, &o);
 *     while (read) { sp_compose_feed(&c, chunk, &out); write out; }
 *     do { rc = sp_compose_end(&c, &out); write out; } while (rc > 0);
 *     sp_compose_free(&c);
 *
 * A single pass works too (facts NULL) for a message that needs no encoding.  The same
 * input and options give the same octets, so the size can be counted by a run whose
 * output is thrown away.
 *
 * Options and everything in them are borrowed until sp_compose_free().
 */
#ifndef SP_COMPOSE_H
#define SP_COMPOSE_H

#include "addr.h"
#include "buf.h"
#include "header.h"

#include <sys/types.h>

/* ---- Any text to a message with CRLF line ends ------------------------------------- */

/*
 * CRLF, LF and CR each end a line.  A mailbox file's "From " line in front is dropped.
 * Where the header is followed by a line that is no field, the missing empty line is put
 * in; a text without any header gets an empty line in front.  The last line gets its end.
 */
struct sp_norm {
    bool dot_ends; /* set after init: a line with only a dot ends the input (sendmail
                      without -i) */

    /* Facts about the output so far. */
    uint64_t size;
    uint64_t
        header_size; /* valid with header_done: octets up to and with the empty line */
    bool header_done;
    bool any_field; /* it had a header at all */
    bool header_8bit, body_8bit;
    bool
        body_utf8; /* no octet of the body contradicts UTF-8; judged at sp_norm_end() */
    bool has_nul;
    uint64_t header_longest; /* octets of the longest header line, without its end */
    uint64_t longest;        /* of the body */
    uint64_t longest_line;   /* its number in the output, from 1 */
    bool ended;              /* by the dot: more input is ignored */

    /* private */
    int state;
    bool cr, first_line, mbox_seen;
    uint64_t line, column;
    char head[1000]; /* of a header line, until it is clear what it is */
    size_t head_n;
    int utf8_left;
    unsigned char utf8_lo, utf8_hi;
};

void sp_norm_init(struct sp_norm *n);
/* Append to out (NULL: only count).  0, -SP_ELIMIT, -SP_ENOMEM; after a failure the
 * output is not to be used. */
int sp_norm_feed(struct sp_norm *n, struct sp_str in, struct sp_buf *out);
int sp_norm_end(struct sp_norm *n, struct sp_buf *out);

/* ---- Composing ------------------------------------------------------------------------ */

struct sp_attachment {
    struct sp_str name;   /* file name; directories are cut off */
    struct sp_str type;   /* media type; empty: by the name's ending */
    struct sp_str octets; /* any size: encoded as sp_compose_end() is called */
    /* Instead of octets: puts at most cap of those from `at` on into buf.  0 at the end,
     * -1 with errno when they cannot be read. */
    ssize_t (*read)(void *arg, uint64_t at, char *buf, size_t cap);
    void *arg;
};

struct sp_compose_opts {
    const struct sp_norm *facts; /* of a first pass; NULL: the body goes as it is, and
                                    text in front of attachments is called UTF-8 */
    bool dot_ends;
    bool encode_header; /* what is not ASCII in the message's own header becomes encoded
                           words (RFC 2047), for a server without SMTPUTF8; addresses
                           and structured fields stay */
    const struct sp_str *add; /* "Name: value"; replaces a field that may stand once
                                    (RFC 5322 3.6), else stands beside others */
    size_t add_n;
    const struct sp_attachment *attach;
    size_t attach_n;
    struct sp_str from, from_name; /* address and display name for a missing From */
    struct sp_str qualify;  /* domain for a From or Sender without one; empty: none */
    struct sp_str to;       /* list for a message without To, Cc, Bcc; may be empty */
    struct sp_str hostname; /* for a missing Message-ID */
    uint64_t now_ms;
    int zone_minutes;
    uint8_t random[16];
};

#define SP_COMPOSE_HEADER_MAX (1u << 20)

struct sp_compose {
    const struct sp_compose_opts *o;
    struct sp_norm norm;
    struct sp_buf fields; /* the complete header, Bcc included, without the empty line;
                             filled when header_done */
    bool header_done;
    bool header_8bit;  /* of the header that is sent: SMTPUTF8 is needed */
    bool body_8bit;    /* of what was sent so far: BODY=8BITMIME */
    struct sp_err err; /* why the last call failed */

    /* private */
    struct sp_buf head, tmp;
    int encoding;
    bool multipart;
    char boundary[48];
    size_t attach_i;
    uint64_t attach_at;
    bool attach_open, body_ended, closed;
    size_t qp_column;
    char qp_blank;
};

void sp_compose_init(struct sp_compose *c, const struct sp_compose_opts *o);
void sp_compose_free(struct sp_compose *c);
/* Append finished octets to out: nothing before the header is complete, then at most
 * four times the chunk.  0 or negative, with the reason in c->err: -SP_EINPUT for a
 * field of o->add that is none, or a line over 998 octets that cannot be encoded because
 * the message brings its own MIME structure; -SP_ELIMIT, -SP_ENOMEM. */
int sp_compose_feed(struct sp_compose *c, struct sp_str in, struct sp_buf *out);
/* No more input.  1: call again (at most 64 KB are appended each time); 0: done. */
int sp_compose_end(struct sp_compose *c, struct sp_buf *out);

/* ---- Recipients out of the header ------------------------------------------------------- */

/* To, Cc and Bcc; where a Resent-To, -Cc or -Bcc stands, those of the topmost block of
 * Resent- fields only (RFC 5322 3.6.6). */
struct sp_rcpt_iter {
    struct sp_header_iter fields;
    struct sp_mbox_iter mailboxes;
    struct sp_field field; /* the one being read, for an error message */
    bool open, resent, in_block, block_over;
};

void sp_rcpt_start(struct sp_rcpt_iter *it, struct sp_str header);
/* 1: *ret · 0: no more · -SP_EINPUT: it->field is malformed. */
int sp_rcpt_next(struct sp_rcpt_iter *it, struct sp_mbox *ret);

#endif
