/*
 * mailtext.h - a message as a file of this machine: what Maildirs, commands and mailbox
 * files get.
 *
 *     rc = sp_mailtext_write(fd, "/srv/mail/...", &m, &err);
 *     fd = sp_mailtext_open(&m, &err);      the same, to read from its beginning
 *
 * Return-Path and Delivered-To, what we added, then the message as it was stored without
 * its cuts; lines end in LF.  Both block: call them in a pool thread.  Nothing is synced.
 */
#ifndef SP_MAILTEXT_H
#define SP_MAILTEXT_H

#include "sallyport.pb-c.h"

#include <sallyport/types.h>

struct sp_maildir_mail {
    const Sp__Envelope *env;
    struct sp_str to; /* this recipient: Delivered-To */
    struct sp_str prefix;
    struct sp_str content; /* p NULL: it is in fd, from its beginning */
    int fd;
    const char *id; /* queue id: part of the file's name */
    const char *hostname;
    uint64_t now_ms;
    /* It may have been delivered before, by a process that died: cur/ is looked through,
     * which costs a reading of that folder.  new/ is looked at in any case. */
    bool again;
};

/* name: for messages.  0 or SP_CLASS_TEMPORARY. */
int sp_mailtext_write(int fd, const char *name, const struct sp_maildir_mail *m,
                      struct sp_err *err);
/* A file without a name, in memory where it is small. */
int sp_mailtext_open(const struct sp_maildir_mail *m, struct sp_err *err);

#endif
