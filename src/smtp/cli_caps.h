/*
 * cli_caps.h - what the server said it can do, in one TLS state.
 *
 * A value belongs to the epoch it was made in: 0 in clear, 1 inside TLS.  When TLS
 * starts the session frees it (RFC 3207 4.2: the client discards everything it was told
 * before), so no code can hold an older list: there is none.
 */
#ifndef SP_CLI_CAPS_H
#define SP_CLI_CAPS_H

#include "buf.h"

#include <sallyport/smtp.h>

struct sp_caps {
    unsigned epoch;
    uint32_t ext;       /* enum sp_ext */
    uint32_t mechs;     /* SP_MECH_BIT: known ones, from every AUTH line */
    uint64_t size_max;  /* SIZE; 0: none stated */
    uint32_t rcpt_max;  /* LIMITS RCPTMAX (RFC 9422); 0: not stated */
    uint32_t mail_max;  /* LIMITS MAILMAX */
    uint32_t lines;     /* read so far */
    struct sp_buf text; /* the lines without code, '\n' behind each */
};

struct sp_caps *sp_caps_new(unsigned epoch); /* NULL: no memory */
void sp_caps_free(struct sp_caps *c);        /* NULL is fine */
struct sp_caps *sp_caps_clone(const struct sp_caps *c);
/* One line of the reply to EHLO, behind code and separator; the first is the greeting
 * and says nothing.  Unknown keywords and mechanisms, duplicates and broken values are
 * passed over.  0 or -SP_ENOMEM. */
int sp_caps_line(struct sp_caps *c, struct sp_str line);
/* The mechanism names as listed, with blanks between, for a sentence. */
int sp_caps_auth_names(const struct sp_caps *c, struct sp_buf *ret);

#endif
