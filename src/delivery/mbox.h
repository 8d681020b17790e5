/*
 * mbox.h - a message at the end of a mailbox file: where "/file" in an alias leads.
 *
 *     rc = sp_mbox_append("/var/log/mail-archive", &m, &err);    blocks: in a pool thread
 *
 * The format is mboxrd: a "From " line in front, an empty line behind, and lines of the
 * message that would look like the first get a ">".  The file is locked (fcntl) and
 * synced; what could not be written whole is cut off again.  It is made when it is not
 * there (mode 0600) and must be a regular file, not a link to one.
 *
 * A repetition after a crash is not recognised: the message may stand there twice.
 *
 * Errors: SP_CLASS_TEMPORARY.
 */
#ifndef SP_MBOX_H
#define SP_MBOX_H

#include "mailtext.h"

int sp_mbox_append(const char *path, const struct sp_maildir_mail *m,
                   struct sp_err *err);

#endif
