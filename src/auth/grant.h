/*
 * grant.h - addresses as rights: what an account may send as, and when two are one.
 *
 *     sp_grant_canonical(text, out, sizeof out, &pattern)    before storing one
 *     sp_grant_matches(SP_LIT("*-bounces@lists.example"), address)
 *
 * A grant is an address ("a@b"), a whole domain ("*@b") or the addresses of a domain
 * whose local part ends in something ("*-bounces@b").  Local parts are compared octet
 * for octet, domains without ASCII case; no other spelling is folded (RFC 5321 2.4).
 * Pure functions, no memory.
 */
#ifndef SP_GRANT_H
#define SP_GRANT_H

#include "text.h"

#define SP_ADDRESS_MAX 320 /* 64 "@" 255: RFC 5321 4.5.3.1 */
#define SP_NAME_MAX    128 /* account names, octets */

/* Splits at the last "@": 0, or -SP_EINPUT unless both parts are there, printable,
 * UTF-8 and within their lengths. */
int sp_address_split(struct sp_str address, struct sp_str *ret_local,
                     struct sp_str *ret_domain);
bool sp_address_same(struct sp_str a, struct sp_str b);
bool sp_grant_matches(struct sp_str grant, struct sp_str address);

/* The one stored form (domain in lower case): the length, NUL added; -SP_EINPUT when it
 * is none of the three forms, -SP_ELIMIT. */
int sp_grant_canonical(struct sp_str text, char *out, size_t cap, bool *ret_pattern);
/* The same for account names: 1 to SP_NAME_MAX octets, unchanged by SASLprep, no blank
 * and none of  / \ " < > ( ) , ; : * ? | `  and not starting with "-" or ".".  A name
 * that looks like an address has its domain in lower case. */
int sp_account_canonical(struct sp_str text, char *out, size_t cap);

#endif
