/*
 * datadir.h - where the parts of the data directory lie.
 *
 *     rc = sp_data_path(path, sizeof path, data, SP_DATA_USERS, "users.db");
 *
 * Each part has a folder of its own, so that the process that keeps it can be given this
 * folder and nothing else: DATA/users, DATA/queue.  The service makes them, and moves
 * there what an older version left in DATA itself; until then, a command finds it there.
 * While the move is cut off (DATA/queue.new), it finds nothing rather than one half: the
 * next start of the service goes on with it.
 */
#ifndef SP_DATADIR_H
#define SP_DATADIR_H

#include <stddef.h>

#define SP_DATA_USERS "users" /* users.db, Kerberos' replay cache: the auth role's */
#define SP_DATA_QUEUE "queue" /* spool.db, bodies, lock: the queue role's */

/* DATA/FOLDER/NAME, or DATA/NAME while there is no such folder nor FOLDER.new; NAME "" is the folder
 * itself.  0, or -SP_ELIMIT when it does not fit: out is "" then. */
int sp_data_path(char *out, size_t cap, const char *data, const char *folder,
                 const char *name);

#endif
