/*
 * send.h - submitting one message: what `sallyport send` and `sendmail` share.
 *
 *     struct sp_send_more more = {.dot_ends = true, .rcpt = rcpt, .n_rcpt = n};
 *     status = sp_send_run(&args, &more);
 *
 * args hold options of `send` (its table is public, so that others can point into it);
 * the account's are merged in.  Everything is borrowed for the call.
 */
#ifndef SP_SEND_H
#define SP_SEND_H

#include "cli.h"

struct sp_send_more {
    bool dot_ends;         /* a line with only a dot ends the message */
    const char *full_name; /* display name of a From that is made here; NULL */
    const char *const
        *rcpt; /* besides --to; lists with commas, names without a domain */
    size_t n_rcpt;
    const char *fallback_from; /* sender when neither an option nor From tells; NULL */
    const char *socket; /* where to send when no server is named; NULL: that is an error */
    const char *outbox; /* where to leave it when nobody is there; NULL: nowhere */
};

/* An exit status of sysexits.h.  The message is the one word that args has left, or
 * standard input. */
int sp_send_run(const struct sp_args *a, const struct sp_send_more *more);

#endif
