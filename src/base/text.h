/*
 * text.h - octet strings: comparing, splitting, numbers, base64, hex, escaping.
 *
 * Nothing here looks at the locale.  "Case" is ASCII case.
 */
#ifndef SP_TEXT_H
#define SP_TEXT_H

#include "buf.h"

#define SP_LIT(s) ((struct sp_str){"" s, sizeof(s) - 1})

struct sp_str sp_str(const char *s); /* NULL gives the empty string */
bool sp_str_eq(struct sp_str a, struct sp_str b);
bool sp_str_caseeq(struct sp_str a, struct sp_str b);
bool sp_str_is(struct sp_str a, const char *s);     /* octet for octet */
bool sp_str_caseis(struct sp_str a, const char *s); /* ASCII case folded */
int sp_str_cmp(struct sp_str a, struct sp_str b);
struct sp_str sp_str_trim(struct sp_str s); /* blanks and tabs at both ends */
/* Cuts *rest at the first `sep`: returns what is before it, *rest is what is behind.
 * Without `sep` all of it is returned and *rest is empty with p == NULL. */
struct sp_str sp_str_cut(struct sp_str *rest, char sep);
int sp_lower(int c);

/* Decimal digits only, no sign, no blank; -SP_EINPUT unless it is one and <= max. */
int sp_str_u64(struct sp_str s, uint64_t max, uint64_t *ret);

/* "5.7.1" at the start of s, before a blank or its end (RFC 3463: class 2, 4 or 5, then
 * two numbers of up to three digits): its length and the numbers; 0, ret as it was. */
size_t sp_str_enhanced(struct sp_str s, int ret[3]);

/* Base64, RFC 4648 4: decoding is strict (padding present, no stray octet, no bits
 * left over).  Both return the length written or -SP_EINPUT / -SP_ELIMIT. */
#define SP_BASE64_LEN(n) (((n) + 2) / 3 * 4)
int sp_base64_encode(const void *in, size_t n, char *out, size_t cap);
int sp_base64_decode(struct sp_str in, void *out, size_t cap);

int sp_hex_encode(const void *in, size_t n, char *out, size_t cap); /* adds a NUL */
int sp_hex_decode(struct sp_str in, void *out, size_t cap);

/* Valid UTF-8 (RFC 3629: no surrogates, no over-long forms, no NUL). */
bool sp_utf8_valid(struct sp_str s);

/* Appends s for a human's eyes: control octets, DEL, backslash and quote as escapes,
 * octets above 126 kept only where they form valid UTF-8. */
int sp_put_escaped(struct sp_buf *b, struct sp_str s);

/* A NUL-terminated path or name out of s, for the system; NULL with a NUL inside. */
char *sp_str_dup(struct sp_str s);

#endif
