/*
 * qckpt.h - the checkpointer: copies the log into the database file beside the writer.
 *
 * Internal to src/queue.  The writer calls sp_qckpt_wrote() after each commit; every 4 MB
 * of log the thread makes a PASSIVE pass on a connection of its own and then syncs the
 * database file itself.  PASSIVE alone never catches up with a busy writer and the log
 * would only grow, so when it is over 64 MB and the thread has left at most 2 MB, the
 * writer makes a last pass; it is short because the thread has synced the rest already.
 * After it SQLite starts the log again from its beginning.  A disk that cannot follow at
 * all makes the writer wait: past 128 MB it does whatever is left.
 */
#ifndef SP_QCKPT_H
#define SP_QCKPT_H

#include <sallyport/types.h>

#include <sqlite3.h>

struct sp_qckpt;

/* dbfd: a descriptor of the database file that was opened before SQLite opened it and is
 * closed after SQLite closed it: POSIX drops all locks of the process on a file when any
 * of its descriptors is closed.  Without `thread` the writer does everything itself. */
int sp_qckpt_start(struct sp_qckpt **ret, const char *path, const char *vfs, int dbfd,
                   sqlite3 *writer, bool thread, struct sp_err *err);
void sp_qckpt_stop(struct sp_qckpt *c); /* NULL is fine */

/* Between these two nobody truncates the log. */
void sp_qckpt_lock(struct sp_qckpt *c);
void sp_qckpt_unlock(struct sp_qckpt *c);

void sp_qckpt_wrote(struct sp_qckpt *c); /* behind a commit, unlocked */
void sp_qckpt_idle(
    struct sp_qckpt *c); /* TRUNCATE when there is something to truncate */

/* All of the log into the database, by the writer, waiting for the disk. */
int sp_qckpt_full(struct sp_qckpt *c, struct sp_err *err);

/* True once a sync of the database file failed, for ever: see qckpt.c. */
bool sp_qckpt_failed(struct sp_qckpt *c, struct sp_err *err);
uint64_t sp_qckpt_log(struct sp_qckpt *c); /* octets of the log after the last commit */
uint64_t sp_qckpt_passes(struct sp_qckpt *c); /* finished */

#endif
