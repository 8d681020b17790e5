/* states.c - see states.h. */
#include "states.h"

#define QUEUED    SP__RCPT_STATUS__RCPT_QUEUED
#define DELIVERED SP__RCPT_STATUS__RCPT_DELIVERED
#define BOUNCED   SP__RCPT_STATUS__RCPT_BOUNCED
#define REMOVED   SP__RCPT_STATUS__RCPT_REMOVED
#define EXPANDED  SP__RCPT_STATUS__RCPT_EXPANDED

/* A recipient leaves QUEUED once and never comes back: a second outcome for it, late or
 * forged, finds no row.  That is why only QUEUED appears on the left. */
/* clang-format off */
static const struct sp_rcpt_step queued[SP_QEVS] = {
    /* event                 next       notice                 cite */
    [SP_QEV_DELIVERED] = { DELIVERED, SP_OWED_SUCCESS }, /* RFC 3461 5.2.1 */
    [SP_QEV_PASSED_ON] = { DELIVERED, SP_OWED_NONE    }, /* RFC 3461 5.2.2 */
    [SP_QEV_RELAYED]   = { DELIVERED, SP_OWED_RELAYED }, /* RFC 3461 5.2.3 */
    [SP_QEV_TRACED]    = { DELIVERED, SP_OWED_TRACED  }, /* RFC 2852 4 */
    [SP_QEV_RETRY]     = { QUEUED,    SP_OWED_NONE    }, /* RFC 5321 4.5.4.1 */
    [SP_QEV_DELAYED]   = { QUEUED,    SP_OWED_DELAY   }, /* RFC 3461 5.2.5 */
    [SP_QEV_BOUNCE]    = { BOUNCED,   SP_OWED_FAILURE }, /* RFC 3461 5.2.6 */
    [SP_QEV_EXPIRE]    = { BOUNCED,   SP_OWED_FAILURE }, /* RFC 5321 4.5.4.1 */
    [SP_QEV_EXPAND]    = { EXPANDED,  SP_OWED_NONE    }, /* RFC 3461 5.2.7 */
    [SP_QEV_REMOVE]    = { REMOVED,   SP_OWED_NONE    }, /* on purpose: who removes, tells */
};

enum { NO = -1, Q = SP_JOB_QUEUED, H = SP_JOB_HELD, D = SP_JOB_DONE };
static const signed char jobs[SP_JOB_STATUSES][SP_JEVS] = {
    /*                  CLAIM OPEN CLOSE HOLD RELEASE NOW REMOVE EXPIRE REROUTE */
    [SP_JOB_QUEUED] = { Q,    Q,   D,    H,   Q,      Q,  D,     Q,     Q },
    /* Held while a delivery was under way: its outcome counts, the hold stays. */
    [SP_JOB_HELD]   = { NO,   H,   D,    H,   Q,      NO, D,     Q,     H },
    [SP_JOB_DONE]   = { NO,   NO,  NO,   NO,  NO,     NO, NO,    NO,    NO },
};
/* clang-format on */

const struct sp_rcpt_step *sp_rcpt_step(Sp__RcptStatus from, enum sp_rcpt_event ev)
{
    if (from != QUEUED || (unsigned)ev >= SP_QEVS)
        return NULL;
    return &queued[ev];
}

int sp_job_step(enum sp_job_status from, enum sp_job_event ev)
{
    if ((unsigned)from >= SP_JOB_STATUSES || (unsigned)ev >= SP_JEVS)
        return -SP_ESTATE;
    return jobs[from][ev] == NO ? -SP_ESTATE : jobs[from][ev];
}

enum sp_owed_kind sp_notice_owed(enum sp_owed_kind kind, uint32_t notify,
                                 bool no_sender)
{
    uint32_t wanted = 0;

    switch (kind) {
    case SP_OWED_NONE:
    case SP_OWED_POSTMASTER:
        return kind;
    case SP_OWED_SUCCESS: /* only when asked for: RFC 3461 4.1 */
    case SP_OWED_RELAYED:
        wanted = notify & SP_NOTIFY_SUCCESS;
        break;
    case SP_OWED_TRACED: /* asked for in another way: only NEVER is against it */
        wanted = true;
        break;
    case SP_OWED_DELAY: /* nothing said leaves it to us: we tell */
        wanted = notify == 0 || notify & SP_NOTIFY_DELAY;
        break;
    case SP_OWED_FAILURE: /* nothing said means failure */
        wanted = notify == 0 || notify & SP_NOTIFY_FAILURE;
        break;
    }
    if (notify & SP_NOTIFY_NEVER || !wanted)
        return SP_OWED_NONE;
    if (!no_sender)
        return kind;
    /* RFC 5321 6.1: nothing is ever sent to the null reverse-path. */
    return kind == SP_OWED_FAILURE ? SP_OWED_POSTMASTER : SP_OWED_NONE;
}

const char *sp_rcpt_status_name(Sp__RcptStatus s)
{
    static const char *const names[] = {[QUEUED] = "queued",
                                        [DELIVERED] = "delivered",
                                        [BOUNCED] = "bounced",
                                        [REMOVED] = "removed",
                                        [EXPANDED] = "expanded"};

    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "unknown";
}

const char *sp_job_status_name(enum sp_job_status s)
{
    static const char *const names[] = {"queued", "held", "done"};

    return (unsigned)s < SP_JOB_STATUSES ? names[s] : "unknown";
}
