/*
 * parse.h - the grammar of SMTP commands: paths, parameters, xtext, numbers, dates.
 *
 * Everything takes a struct sp_str and gives back pieces of it; nothing allocates.  What
 * is not in the grammar is -SP_EINPUT; nothing is repaired.
 */
#ifndef SP_PARSE_H
#define SP_PARSE_H

#include <sallyport/smtp.h>

struct sp_path {
    struct sp_str addr; /* without angle brackets and source route; empty: null path */
    bool has_8bit;      /* octets above 127: valid UTF-8, but SMTPUTF8 is needed */
    bool qualified;     /* has a domain */
};

/* "FROM:<path> rest": takes the keyword, the colon and the path off *line.  Blanks
 * between colon and path are tolerated, as every server does.  RFC 5321 4.1.2. */
int sp_parse_path(struct sp_str *line, const char *keyword, struct sp_path *ret);
/* The same where the angle brackets may be missing (lenient-path): then the path ends at
 * the first blank, and is an address with its domain, never the null path. */
int sp_parse_path_lenient(struct sp_str *line, const char *keyword, struct sp_path *ret);

/* The next "name" or "name=value" off *line; 0 at the end.  1: got one.  ret_value->p is
 * NULL without "=".  RFC 5321 4.1.2 (esmtp-param; values may not contain blank or "="
 * but many senders of ENVID and ORCPT do send "=": allowed). */
int sp_parse_param(struct sp_str *line, struct sp_str *ret_name,
                   struct sp_str *ret_value);

/* RFC 3461 4: "+" and two upper-case hex digits, else 33..126 but "+" and "=". */
bool sp_is_xtext(struct sp_str s);
/* In place; returns the new length. */
int sp_xtext_decode(char *p, size_t n);

bool sp_is_domain(struct sp_str s);  /* LDH labels, "_" tolerated; not "[...]" */
bool sp_is_literal(struct sp_str s); /* "[192.0.2.1]", "[IPv6:...]"; no other tag */
bool sp_is_address(struct sp_str s, bool *ret_8bit); /* local-part@domain */
/* What EHLO may carry: not only domains, because real programs send what their machine
 * is called; but nothing that could harm a trace field. */
bool sp_is_helo(struct sp_str s);

/* "2027-12-31T23:59:59Z" or with an offset to seconds since 1970: RFC 3339. */
int sp_parse_date(struct sp_str s, uint64_t *ret);
/* "-9".."9" style: an optional minus and at most `digits` digits. */
int sp_parse_signed(struct sp_str s, unsigned digits, int64_t *ret);

#endif
