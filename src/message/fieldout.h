/*
 * fieldout.h - the pieces of header fields that we write.
 *
 * Every octet that comes from a peer, a user or a file and ends up in a field of ours
 * goes through one of these, so that header injection is impossible in one place: none
 * of them ever lets a CR, LF, NUL or another control octet through, and each cuts its
 * value at a maximum.
 *
 *     sp_out_token(&b, helo, 255);       a domain or literal; other octets become '?'
 *     sp_out_comment(&b, user, 200);     inside ( ): parentheses escaped
 *
 * All return 0, -SP_ELIMIT or -SP_ENOMEM (b then holds a part of it).  The caller writes
 * names, punctuation and folds himself, from literals.
 */
#ifndef SP_FIELDOUT_H
#define SP_FIELDOUT_H

#include "text.h"

/* RFC 5322 3.3: "Sun, 22 Nov 2026 09:03:35 +0000".  Times past year 9999 are written as
 * the last second of it. */
int sp_out_date(struct sp_buf *b, uint64_t unix_ms, int zone_minutes);

/* "<time.random@host>", unique as long as the 16 octets are random. */
int sp_out_message_id(struct sp_buf *b, uint64_t unix_ms, const uint8_t random[16],
                      struct sp_str host);

/* Letters, digits and ".-_:[]", octets above 127 where `s` is UTF-8 and `utf8` is set.
 * Empty: "unknown". */
int sp_out_token(struct sp_buf *b, struct sp_str s, size_t max, bool utf8);

/* Printable ASCII for between parentheses: ( ) and \ get a backslash. */
int sp_out_comment(struct sp_buf *b, struct sp_str s, size_t max);

/* Text for a line of prose or an unstructured field: octets below 32 and 127 become a
 * blank, those above stay only where `s` is UTF-8 and `utf8` is set, else '?'. */
int sp_out_text(struct sp_buf *b, struct sp_str s, size_t max, bool utf8);

/* The same, with CRLF and `indent` put before a word that would pass column 76; `column`
 * is where the line stands now. */
int sp_out_folded(struct sp_buf *b, struct sp_str s, size_t max, bool utf8,
                  size_t column, const char *indent);

/* An address (already canonical) between angle brackets; an octet that could end it or
 * the line becomes '?'. */
int sp_out_angle(struct sp_buf *b, struct sp_str addr);

/* A display name: as it is when atoms do, else a quoted-string. */
int sp_out_phrase(struct sp_buf *b, struct sp_str name);

/* RFC 3461 4: xtext undone.  -SP_EINPUT when it is none, or holds control octets. */
int sp_fieldout_xtext_decode(struct sp_buf *b, struct sp_str s);

#endif
