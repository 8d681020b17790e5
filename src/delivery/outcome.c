/* outcome.c - see outcome.h. */
#include "outcome.h"

/* Where in the session it happened: before a transaction the whole host is meant. */
enum where { BEFORE, ENVELOPE, CONTENT };

static enum where where_of(enum sp_cli_stage stage)
{
    switch (stage) {
    case SP_STAGE_CONNECT:
    case SP_STAGE_GREETING:
    case SP_STAGE_EHLO:
    case SP_STAGE_STARTTLS:
    case SP_STAGE_HANDSHAKE:
    case SP_STAGE_EHLO_TLS:
    case SP_STAGE_AUTH:
    case SP_STAGE_RSET:
    case SP_STAGE_QUIT:
        return BEFORE;
    case SP_STAGE_MAIL:
    case SP_STAGE_RCPT:
    case SP_STAGE_DATA: /* a 250 to DATA is no delivery: nothing was sent yet */
        return ENVELOPE;
    case SP_STAGE_DOT:
        return CONTENT;
    }
    return BEFORE;
}

/* clang-format off */
static const struct {
    enum where where;
    int digit;        /* first digit of the code; 0: no reply; -1: any */
    int cls;          /* -1: any */
    struct sp_outcome_row row;
} table[] = {
    /* A host that refuses us before MAIL says nothing about this mail.  Wrong password,
     * expired certificate, no TLS: an administrator mends it, the mail waits. */
    {BEFORE,   -1, SP_CLASS_INSECURE,  {SP__ACTION__ACTION_RETRY,     true,  "4.7.5"}},
    {BEFORE,   -1, -1,                 {SP__ACTION__ACTION_RETRY,     true,  "4.4.1"}},
    {ENVELOPE,  2, -1,                 {SP__ACTION__ACTION_RETRY,     false, "4.3.0"}},
    {ENVELOPE,  4, -1,                 {SP__ACTION__ACTION_RETRY,     false, "4.0.0"}},
    {ENVELOPE,  5, -1,                 {SP__ACTION__ACTION_BOUNCE,    false, "5.0.0"}},
    {ENVELOPE, -1, -1,                 {SP__ACTION__ACTION_RETRY,     true,  "4.4.2"}},
    /* RFC 5321 4.2.5: 2xx to the dot and nothing else is a delivery. */
    {CONTENT,   2, -1,                 {SP__ACTION__ACTION_DELIVERED, false, "2.0.0"}},
    {CONTENT,   4, -1,                 {SP__ACTION__ACTION_RETRY,     false, "4.0.0"}},
    {CONTENT,   5, -1,                 {SP__ACTION__ACTION_BOUNCE,    false, "5.0.0"}},
    {CONTENT,  -1, -1,                 {SP__ACTION__ACTION_RETRY,     true,  "4.4.2"}},
};
/* clang-format on */

const struct sp_outcome_row *sp_outcome(enum sp_cli_stage stage, int code,
                                        enum sp_class cls)
{
    enum where w = where_of(stage);
    size_t i = 0;

    while (table[i].where != w || (table[i].digit >= 0 && table[i].digit != code / 100) ||
           (table[i].cls >= 0 && table[i].cls != (int)cls))
        i++; /* the last row of each place matches anything */
    return &table[i].row;
}
