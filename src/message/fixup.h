/*
 * fixup.h - the duties of a submission server towards a message's header (RFC 6409),
 * as a plan that others carry out.
 *
 *     struct sp_fix_plan plan;
 *     sp_fix_plan_init(&plan);
 *     rc = sp_fix_make(&in, &plan);                        < 0: out of memory
 *     if (plan.refused)    reply plan.code plan.enhanced plan.text
 *     else                 prefix = Received field + plan.prefix; envelope.cut = plan.cut
 *     sp_fix_plan_free(&plan);
 *
 * The header itself is never rewritten: a plan adds fields in front and leaves out
 * ranges.  A message that carries a signature gets trace fields only, so its plan is
 * empty.  What is judged, and what happens then, is one table, SP_FIX_ROWS; one function
 * asks it, sp_fix_ask(); a configuration changes the answer row by row.
 *
 * Input is borrowed during the call only.  Nothing here knows the time or makes random
 * numbers: the caller passes both.
 */
#ifndef SP_FIXUP_H
#define SP_FIXUP_H

#include "text.h"

enum sp_fix_act {
    SP_FIX_PASS,   /* leave it as it is */
    SP_FIX_REPAIR, /* mend it, as the row's text says */
    SP_FIX_REFUSE, /* reply with the row's codes and words */
};

/* Which acts a row may be set to. */
#define SP_FIX_P 1u
#define SP_FIX_M 2u
#define SP_FIX_R 4u

/*
 * id, configuration name, act for a message without and with a signature (default),
 * acts allowed, code, enhanced, words of the refusal, what a repair does.
 * For signed messages REPAIR counts as PASS: see sp_fix_ask().
 */
/* clang-format off */
#define SP_FIX_ROWS(X)                                                                   \
 X(SP_FIX_BARE,        "bare-line-end",    REFUSE, REFUSE, SP_FIX_R,                     \
   554, "5.6.0", "bare CR, bare LF or NUL in the header",                                \
   "never: header fields could be smuggled in")                                          \
 X(SP_FIX_LOOP,        "loop",             REFUSE, REFUSE, SP_FIX_R,                     \
   554, "5.4.6", "too many Received fields: the message loops",                          \
   "never: RFC 5321 6.3")                                                                \
 X(SP_FIX_NO_HEADER,   "no-header",        REPAIR, REPAIR, SP_FIX_M | SP_FIX_R,          \
   554, "5.6.0", "the message does not begin with a header",                             \
   "all of it is body; a header is put in front")                                        \
 X(SP_FIX_MBOX_LINE,   "mbox-line",        REPAIR, REPAIR, SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   554, "5.6.0", "the message begins with a mailbox file's From line",                   \
   "the line is left out")                                                               \
 X(SP_FIX_NOT_A_FIELD, "not-a-field",      REFUSE, REFUSE, SP_FIX_P | SP_FIX_R,          \
   554, "5.6.0", "a line in the header is no field",                                     \
   "-")                                                                                  \
 X(SP_FIX_LONG_LINE,   "long-header-line", REFUSE, REFUSE, SP_FIX_P | SP_FIX_R,          \
   554, "5.6.0", "a header line is longer than 998 octets",                              \
   "-")                                                                                  \
 X(SP_FIX_8BIT,        "8bit-header",      REFUSE, REFUSE, SP_FIX_P | SP_FIX_R,          \
   554, "5.6.7", "the header is not ASCII and SMTPUTF8 was not asked for",               \
   "-")                                                                                  \
 X(SP_FIX_NOT_UTF8,    "non-utf8-header",  REFUSE, REFUSE, SP_FIX_P | SP_FIX_R,          \
   554, "5.6.7", "the header is not valid UTF-8",                                        \
   "-")                                                                                  \
 X(SP_FIX_TWO_FROM,    "two-from",         REFUSE, REFUSE, SP_FIX_R,                     \
   554, "5.6.0", "the message has more than one From field",                             \
   "never: which one would be the sender's?")                                            \
 X(SP_FIX_TWO_SENDER,  "two-sender",       REFUSE, REFUSE, SP_FIX_R,                     \
   554, "5.6.0", "the message has more than one Sender field",                           \
   "never: which one would be the sender's?")                                            \
 X(SP_FIX_TWO_OTHER,   "duplicate-field",  PASS,   PASS,   SP_FIX_P | SP_FIX_R,          \
   554, "5.6.0", "a field that may stand once stands twice",                             \
   "-")                                                                                  \
 X(SP_FIX_FROM_SYNTAX, "from-syntax",      REFUSE, REFUSE, SP_FIX_R,                     \
   554, "5.6.0", "the From field is malformed",                                          \
   "never: an unreadable From cannot be judged")                                         \
 X(SP_FIX_SENDER_SYNTAX, "sender-syntax",  REFUSE, REFUSE, SP_FIX_R,                     \
   554, "5.6.0", "the Sender field is malformed",                                        \
   "never: an unreadable Sender cannot be judged")                                       \
 X(SP_FIX_FROM_OWN,    "foreign-from",     REFUSE, REFUSE, SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   550, "5.7.1", "may not send as",                                                      \
   "From is replaced by the sender's own address, the display name kept")                \
 X(SP_FIX_SENDER_OWN,  "foreign-sender",   REFUSE, REFUSE, SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   550, "5.7.1", "may not send as",                                                      \
   "Sender is replaced by the sender's own address")                                     \
 X(SP_FIX_NO_FROM,     "missing-from",     REPAIR, PASS,   SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   554, "5.6.0", "the message has no From field",                                        \
   "From is added: the reverse-path, or the identity's first address")                   \
 X(SP_FIX_NO_SENDER,   "missing-sender",   REPAIR, PASS,   SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   554, "5.6.0", "several From mailboxes and no Sender field",                           \
   "Sender is added: RFC 5322 3.6.2")                                                    \
 X(SP_FIX_NO_DATE,     "missing-date",     REPAIR, PASS,   SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   554, "5.6.0", "the message has no Date field",                                        \
   "Date is added; an empty one left out")                                               \
 X(SP_FIX_NO_ID,       "missing-message-id", REPAIR, PASS, SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   554, "5.6.0", "the message has no Message-ID field",                                  \
   "Message-ID is added; an empty one left out")                                         \
 X(SP_FIX_NO_MIME,     "missing-mime-version", REPAIR, PASS, SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   554, "5.6.0", "Content-Type without MIME-Version",                                    \
   "MIME-Version: 1.0 is added")                                                         \
 X(SP_FIX_BCC,         "bcc",              REPAIR, PASS,   SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   554, "5.6.0", "the message has a Bcc field",                                          \
   "Bcc and Resent-Bcc are left out: RFC 5322 3.6.3")                                    \
 X(SP_FIX_RETURN_PATH, "return-path",      REPAIR, PASS,   SP_FIX_P | SP_FIX_M | SP_FIX_R,\
   554, "5.6.0", "the message has a Return-Path field",                                  \
   "it is left out: final delivery writes it, RFC 5321 4.4")
/* clang-format on */

enum sp_fix_rule {
#define SP_FIX_ID(id, name, act, signed_act, may, code, enh, words, repair) id,
    SP_FIX_ROWS(SP_FIX_ID)
#undef SP_FIX_ID
        SP_FIX_RULES /* how many */
};

struct sp_fix_policy {
    unsigned char act[SP_FIX_RULES];        /* enum sp_fix_act */
    unsigned char signed_act[SP_FIX_RULES]; /* for a message that carries a signature */
    uint32_t hops_max;                      /* Received fields; more is a loop */
};

void sp_fix_policy_default(struct sp_fix_policy *p); /* the table, 50 hops */
/* "foreign-from", "repair"; "signed-" in front of the name sets the other column.
 * -SP_ENOENT: no such row; -SP_EINPUT: no such act; -SP_EDENIED: not for this row. */
int sp_fix_policy_set(struct sp_fix_policy *p, struct sp_str name, struct sp_str act);

/* The one place that says what happens.  A signature is never broken: REPAIR of a
 * signed message is PASS, except for SP_FIX_NO_HEADER and SP_FIX_MBOX_LINE: what they
 * mend is no field, so no signature covers it. */
enum sp_fix_act sp_fix_ask(const struct sp_fix_policy *p, enum sp_fix_rule rule,
                           bool is_signed);
const char *sp_fix_name(enum sp_fix_rule rule);
const char *sp_fix_repair_text(enum sp_fix_rule rule); /* for manuals; "-": none */

struct sp_fix_in {
    /* From the first octet; up to and with the empty line or further, or all there is.
     * CRLF line ends (anything else is refused by rule SP_FIX_BARE). */
    struct sp_str header;
    struct sp_str reverse_path; /* canonical; empty: null */
    bool smtputf8;
    bool check_owner;         /* false: a listener that trusts its clients */
    struct sp_str user;       /* for the words */
    const struct sp_str *own; /* canonical addresses and patterns (addr.h) */
    size_t own_n;
    struct sp_str first_address; /* completes what the reverse-path cannot */
    struct sp_str hostname;      /* ours, for Message-ID */
    uint64_t now_ms;
    int zone_minutes;
    uint8_t random[16];
    const struct sp_fix_policy *policy; /* NULL: the defaults */
};

struct sp_fix_cut {
    uint64_t offset, length; /* from the first octet of the header; in order */
};

#define SP_FIX_CUTS_MAX       128
#define SP_FIX_PREFIX_MAX     8192
#define SP_FIX_MESSAGE_ID_MAX 998

struct sp_fix_plan {
    bool refused;
    enum sp_fix_rule rule; /* with refused: why */
    unsigned code;         /* 550, 554 */
    char enhanced[8];
    char text[400]; /* printable ASCII */

    struct sp_buf prefix; /* whole fields with CRLF; goes behind our Received field */
    struct sp_fix_cut cut[SP_FIX_CUTS_MAX];
    size_t cut_n;

    /* Facts about the message; true of refused ones as far as it was read. */
    size_t header_size; /* with the empty line; 0: there was no header */
    bool is_signed;
    bool has_8bit_header;
    bool tls_required_no; /* RFC 8689 5 */
    uint32_t hops;
    char message_id[SP_FIX_MESSAGE_ID_MAX + 1]; /* with its brackets; "" none.  Of the
                              header, or the one that was added */
    size_t work; /* octets looked at, so that tests can bound it */
};

void sp_fix_plan_init(struct sp_fix_plan *plan);
void sp_fix_plan_free(struct sp_fix_plan *plan);
/* 0 (also when refused), -SP_ENOMEM, -SP_ELIMIT (in.first_address and the like too long). */
int sp_fix_make(const struct sp_fix_in *in, struct sp_fix_plan *plan);

#endif
