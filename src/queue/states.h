/*
 * states.h - what may become of a recipient and of a job, as data.
 *
 * Two tables in states.c, each with one asking function; nothing else in the queue
 * decides what follows what.  A recipient's state is stored (RcptStatus in the schema);
 * a job is the part of a message for one domain and has a status of its own.
 *
 *     const struct sp_rcpt_step *st = sp_rcpt_step(status, SP_QEV_BOUNCE);
 *     if (!st)  ... the event is not possible here: refuse it, change nothing
 *     status = st->next;  owed = sp_notice_owed(st->notice, notify, no_sender);
 */
#ifndef SP_STATES_H
#define SP_STATES_H

#include <sallyport/smtp.h>

#include "sallyport.pb-c.h"

/* What happens to one recipient. */
enum sp_rcpt_event {
    SP_QEV_DELIVERED, /* the next hop has it; a success notice is our duty */
    SP_QEV_PASSED_ON, /* the next hop has it and the duty to notify: RFC 3461 5.2.2 */
    SP_QEV_RELAYED,   /* the next hop has it and will never report: RFC 3461 5.2.3 */
    SP_QEV_TRACED,    /* likewise, or it was asked for (BY ...T): RFC 2852 4 */
    SP_QEV_RETRY,     /* temporary trouble */
    SP_QEV_DELAYED,   /* temporary trouble, and it is time to tell the sender */
    SP_QEV_BOUNCE,    /* permanent trouble */
    SP_QEV_EXPIRE,    /* temporary trouble, and the message has been here too long */
    SP_QEV_EXPAND,    /* replaced by other recipients */
    SP_QEV_REMOVE,    /* an administrator took it out */
    SP_QEVS
};

/* What the sender is told: notices by RFC 3461, but for the last. */
enum sp_owed_kind {
    SP_OWED_NONE,
    SP_OWED_SUCCESS,
    SP_OWED_RELAYED, /* a success notice with the action "relayed" */
    SP_OWED_TRACED,  /* the same, also where success was not asked for */
    SP_OWED_DELAY,
    SP_OWED_FAILURE,
    SP_OWED_POSTMASTER, /* a failure nobody may be told of: the double bounce */
};

struct sp_rcpt_step {
    Sp__RcptStatus next;
    enum sp_owed_kind notice; /* at most; sp_notice_owed() says whether it is sent */
};

/* NULL: this event cannot happen to a recipient in this state. */
const struct sp_rcpt_step *sp_rcpt_step(Sp__RcptStatus from, enum sp_rcpt_event ev);

/* notify: SP_NOTIFY_* of <sallyport/smtp.h>.  no_sender: null reverse-path, or a notice of ours. */
enum sp_owed_kind sp_notice_owed(enum sp_owed_kind kind, uint32_t notify, bool no_sender);

/* What is stored in a job's row. */
enum sp_job_status { SP_JOB_QUEUED, SP_JOB_HELD, SP_JOB_DONE, SP_JOB_STATUSES };

enum sp_job_event {
    SP_JEV_CLAIM, /* handed to a delivery role */
    SP_JEV_OPEN,  /* settled, recipients are left */
    SP_JEV_CLOSE, /* settled, no recipient is left */
    SP_JEV_HOLD,  /* administrator ... */
    SP_JEV_RELEASE,
    SP_JEV_RETRY_NOW,
    SP_JEV_REMOVE,
    SP_JEV_EXPIRE, /* it ends at its next turn, with a notice; a hold ends with it */
    SP_JEV_REROUTE,
    SP_JEVS
};

/* The next status, or -SP_ESTATE when the event cannot happen. */
int sp_job_step(enum sp_job_status from, enum sp_job_event ev);

const char *sp_rcpt_status_name(Sp__RcptStatus s);
const char *sp_job_status_name(enum sp_job_status s);

#endif
