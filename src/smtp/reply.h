/*
 * reply.h - reading an SMTP reply from a server that may be slow, sloppy or hostile.
 *
 *     struct sp_reply_reader r;
 *     sp_reply_init(&r, 4096, 200);
 *     st = sp_reply_feed(&r, data, len, &used);      stops behind each line
 *     if (st == SP_REPLY_LINE || st == SP_REPLY_DONE)
 *         sp_reply_line(&r)                          the line as it was said
 *     if (st == SP_REPLY_DONE)
 *         sp_reply_get(&r, &reply);                  code, enhanced code, text
 *     sp_reply_free(&r);
 *
 * Tolerated: LF without CR; a bare code; a blank or tab behind it; codes that differ
 * from line to line; any split.  Bounded: a line longer than line_max is cut for its
 * words and still understood; more than lines_max lines, or a megabyte, is
 * SP_REPLY_ENDLESS.  Not tolerated: a line that does not begin with three digits, of
 * which the first is 2 to 5 (SP_REPLY_GARBAGE).
 *
 * Codes that differ within one reply (RFC 5321 4.2.1 forbids it): the highest first
 * digit wins, and among equals the last line, so that a refusal hidden in a reply is
 * never taken for consent.
 *
 * The text is fit for a terminal: control octets, and octets above 126 that are not
 * UTF-8, became '?'.  It and the line live until the next sp_reply_feed().
 */
#ifndef SP_REPLY_H
#define SP_REPLY_H

#include "buf.h"

#include <sallyport/smtp.h>

enum sp_reply_status {
    SP_REPLY_MORE,    /* no complete line yet: feed more */
    SP_REPLY_LINE,    /* a line is complete, the reply is not */
    SP_REPLY_DONE,    /* the reply is complete; the next feed begins another */
    SP_REPLY_GARBAGE, /* sticky: this is not SMTP */
    SP_REPLY_ENDLESS, /* sticky: too many lines or octets */
    SP_REPLY_NOMEM,   /* sticky */
};

struct sp_reply_reader {
    struct sp_buf line; /* the line being read, without what exceeds its maximum */
    struct sp_buf text; /* texts of the lines before it, '\n' between them */
    uint32_t octets;    /* of this reply */
    uint16_t lines;     /* complete ones of this reply */
    uint16_t lines_max;
    uint16_t code; /* so far; 0: no complete line */
    uint16_t enh[3];
    uint8_t status; /* enum sp_reply_status of the last feed */
};

void sp_reply_init(struct sp_reply_reader *r, unsigned line_max, unsigned lines_max);
void sp_reply_free(struct sp_reply_reader *r);
void sp_reply_reset(struct sp_reply_reader *r); /* forget everything, begin anew */
/* *ret_used: how many octets were taken; less than len when a line ended. */
enum sp_reply_status sp_reply_feed(struct sp_reply_reader *r, const char *data,
                                   size_t len, size_t *ret_used);
/* The last line with its code, without its end, cleaned for people. */
struct sp_str sp_reply_line(const struct sp_reply_reader *r);
/* What stands behind code and separator, as received: for the EHLO list and 334. */
struct sp_str sp_reply_line_text(const struct sp_reply_reader *r);
/* After SP_REPLY_DONE.  The enhanced code is there when the first line has one that
 * agrees with the code's first digit (RFC 2034 3); it is taken out of the text. */
void sp_reply_get(const struct sp_reply_reader *r, struct sp_reply *ret);
/* True between the first octet of a reply and its end. */
bool sp_reply_partial(const struct sp_reply_reader *r);

#endif
