/*
 * maildir.h - final delivery into a Maildir.
 *
 *     rc = sp_maildir_path("/srv/mail/%d/%u", address, path, sizeof path, &err);
 *     rc = sp_maildir_deliver(path, &m, &err);       blocks: call it in a pool thread
 *
 * The message is written to tmp/, synced, moved to new/ and the folder synced: after
 * success it is on stable storage, after a crash it is there whole or not at all.  Lines
 * end in LF, as programs that read Maildirs expect.
 *
 * A repetition is recognised: the file's name comes from queue id and recipient, and a
 * message that has it already, in new/ or cur/, is not delivered a second time.  This is
 * what makes a crash between the delivery and the note of it harmless, unless the reader
 * has deleted the message or moved it to another folder meanwhile.
 *
 * Errors: SP_CLASS_TEMPORARY (disk full, no permission: try again) or SP_CLASS_PEER (the
 * address cannot name a mailbox: bounce).
 */
#ifndef SP_MAILDIR_H
#define SP_MAILDIR_H

#include "mailtext.h"

#define SP_MAILDIR_PATH_MAX 1024

/* %u is the local part, %d the domain, %% a percent sign.  An address with a slash, a
 * control octet, or a part that begins with a dot cannot be a path element. */
int sp_maildir_path(const char *template, struct sp_str address, char *ret, size_t cap,
                    struct sp_err *err);

/* The result for what was there already. */
enum { SP_MAILDIR_BEFORE = 1 };
/* Makes the Maildir where it is not there (the folder above it, too).  0, or
 * SP_MAILDIR_BEFORE, or an error. */
int sp_maildir_deliver(const char *path, const struct sp_maildir_mail *m,
                       struct sp_err *err);

#endif
