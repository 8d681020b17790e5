/*
 * addr.h - e-mail addresses: SMTP paths, header mailbox lists, and who owns what.
 *
 *     struct sp_addr a;
 *     switch (sp_addr_parse(inner, SP_ADDR_UTF8_OK, &a)) { case SP_ADDR_OK: ... }
 *     a.text is now the canonical form: route dropped, local part quoted only where it
 *     must be, ASCII letters of the domain in lower case; U-labels and A-labels as given
 *
 *     struct sp_mbox_iter it;
 *     struct sp_mbox m;
 *     sp_mbox_start(&it, field_value, SP_ADDR_UTF8_OK);
 *     while ((rc = sp_mbox_next(&it, &m)) > 0) ...     rc < 0: the list is malformed
 *
 * Nothing is allocated.  Strings handed out point into the caller's input; struct
 * sp_addr owns its text.  Any octets may be given; the work is linear in their number.
 *
 * The caller must not compare raw addresses: two spellings of one address are equal
 * only in canonical form.
 */
#ifndef SP_ADDR_H
#define SP_ADDR_H

#include "text.h"

/* RFC 5321 4.5.3.1 sets 64, 255 and 256 and asks not to insist on the first: bounce
 * addresses of mailing lists are longer. */
#define SP_ADDR_LOCAL_MAX  256 /* octets, quoting not counted */
#define SP_ADDR_DOMAIN_MAX 255
#define SP_ADDR_TEXT_MAX   (2 * SP_ADDR_LOCAL_MAX + 2 + 1 + SP_ADDR_DOMAIN_MAX)

/* '_' in a domain is taken though RFC 5321 has it not: real hosts are called so, and the
 * protocol engine takes it too. */
struct sp_addr {
    char text[SP_ADDR_TEXT_MAX + 1]; /* canonical; NUL behind it, none inside */
    size_t n;
    size_t at;         /* index of the '@' before the domain; n when there is none */
    bool literal;      /* the domain is an address literal */
    bool utf8;         /* octets above 127 in it: SMTPUTF8 needed */
    bool single_label; /* "localhost": a domain, but not a qualified one */
};

enum sp_addr_result {
    SP_ADDR_OK,
    SP_ADDR_SYNTAX,      /* not an address: 501 5.1.3 at RCPT, 501 5.1.7 at MAIL */
    SP_ADDR_UNQUALIFIED, /* a local part alone: 554 5.1.2 */
    SP_ADDR_NEEDS_UTF8, /* fine, but not ASCII and SP_ADDR_UTF8_OK not given: 553 5.6.7 */
};

enum sp_addr_flag {
    SP_ADDR_UTF8_OK = 1 << 0,    /* RFC 6531 3.3: octets above 127 are welcome */
    SP_ADDR_NULL_OK = 1 << 1,    /* the empty string is the null reverse-path */
    SP_ADDR_POSTMASTER = 1 << 2, /* "postmaster" alone is fine: RFC 5321 4.1.1.3 */
};

/* `in` is what stands between the angle brackets.  Writes *ret with SP_ADDR_OK, and with
 * SP_ADDR_NEEDS_UTF8 and SP_ADDR_UNQUALIFIED too (the latter without a domain). */
enum sp_addr_result sp_addr_parse(struct sp_str in, unsigned flags,
                                  struct sp_addr *ret);

/* Live as long as *a does and stays unchanged. */
struct sp_str sp_addr_text(const struct sp_addr *a);
struct sp_str sp_addr_local(const struct sp_addr *a);
struct sp_str sp_addr_domain(const struct sp_addr *a); /* empty without one */

/* Both in canonical form: local parts octet for octet, domains without ASCII case. */
bool sp_addr_equal(struct sp_str a, struct sp_str b);

/*
 * Does the canonical address fall under the pattern?
 *     alice@example.org          exactly this one
 *     *@example.org              every local part of this domain
 *     *-bounces@example.org      every local part that ends so, and is longer
 *     *@*.example.org            every subdomain, not example.org itself
 * The star stands only at the start of the local part or, as "*.", of the domain.
 */
bool sp_addr_matches(struct sp_str pattern, struct sp_str addr);

/* ---- Header fields: RFC 5322 3.4, with the obsolete forms of 4.4 --------------- */

struct sp_mbox {
    struct sp_str name; /* display name as it stands (quotes, folds, encoded words); may
                           be the comment behind the address; empty without one */
    struct sp_str spec; /* addr-spec as it stands */
    struct sp_addr addr;
    enum sp_addr_result verdict; /* of addr: OK, UNQUALIFIED or NEEDS_UTF8 */
    bool in_group;               /* inside "name: ...;" */
};

struct sp_mbox_iter {
    struct sp_str in;
    size_t pos;
    unsigned flags;
    bool in_group;
    bool failed;
    struct sp_str comment; /* the first one since the last address */
    size_t work;           /* octets looked at, so that tests can bound it */
};

void sp_mbox_start(struct sp_mbox_iter *it, struct sp_str value, unsigned flags);

/* 1: *ret is the next mailbox · 0: no more · -SP_EINPUT: malformed from here on (and at
 * every later call).  Groups, also empty ones, are walked through; empty list elements
 * are skipped. */
int sp_mbox_next(struct sp_mbox_iter *it, struct sp_mbox *ret);

/* Appends the display name for reading: quotes and folds taken away, encoded words left
 * alone.  Control octets become blanks.  0, -SP_ELIMIT, -SP_ENOMEM. */
int sp_mbox_name(const struct sp_mbox *m, struct sp_buf *out);

#endif
