/*
 * qdb.h - the spool's SQLite connection: settings, schema, statements, errors.
 *
 * Internal to src/queue.  One struct sp_qdb is one connection, used by one thread.
 */
#ifndef SP_QDB_H
#define SP_QDB_H

#include <sallyport/types.h>

#include <sqlite3.h>

/* Every statement there is.  They are compiled when the spool is opened, so that a
 * table or column that is missing shows at once. */
/* clang-format off */
#define SP_QSTMTS(X)                                                                                \
    X(SP_Q_BEGIN, "BEGIN IMMEDIATE")                                                                \
    X(SP_Q_COMMIT, "COMMIT")                                                                        \
    X(SP_Q_ROLLBACK, "ROLLBACK")                                                                    \
    X(SP_Q_META_GET, "SELECT value FROM meta WHERE name=?1")                                        \
    X(SP_Q_META_PUT, "INSERT OR REPLACE INTO meta(name,value) VALUES(?1,?2)")                       \
    X(SP_Q_LAST_ID, "SELECT max(coalesce((SELECT max(id) FROM job),0),"                             \
                    "coalesce((SELECT max(id) FROM message),0),"                                    \
                    "coalesce((SELECT max(id) FROM history),0))")                                   \
    X(SP_Q_MESSAGE_ADD, "INSERT INTO message(id,jobs,created,size,file,user,envelope,prefix,content)" \
                        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)")                                      \
    X(SP_Q_MESSAGE_HEAD, "SELECT jobs,created,size,file,user,envelope FROM message WHERE id=?1")    \
    X(SP_Q_MESSAGE_ALL, "SELECT jobs,created,size,file,user,envelope,prefix,content"                \
                        " FROM message WHERE id=?1")                                                \
    X(SP_Q_MESSAGE_DROP, "DELETE FROM message WHERE id=?1")                                         \
    X(SP_Q_MESSAGE_NEXT, "SELECT id FROM message WHERE id>?1 ORDER BY id LIMIT 256")                \
    X(SP_Q_FILE_USED, "SELECT 1 FROM message WHERE file=?1")                                        \
    X(SP_Q_JOB_ADD, "INSERT INTO job(id,message,status,due,lease,attempts,domain,user,rcpt,state,priority)" \
                    " VALUES(?1,?2,?3,?4,0,0,?5,?6,?7,?8,?9)")                                      \
    X(SP_Q_JOB_GET, "SELECT message,status,due,lease,attempts,domain,user,rcpt,state"               \
                    " FROM job WHERE id=?1")                                                        \
    X(SP_Q_JOB_STATE, "SELECT message,status,lease FROM job WHERE id=?1")                           \
    X(SP_Q_JOB_SETTLE, "UPDATE job SET status=?2,due=?3,lease=?4,attempts=?5,state=?6 WHERE id=?1") \
    X(SP_Q_JOB_CONTROL, "UPDATE job SET status=?2,due=?3 WHERE id=?1")                              \
    X(SP_Q_JOB_MARK, "UPDATE job SET status=?2,due=?3,state=?4 WHERE id=?1")                        \
    X(SP_Q_JOB_CLOSE, "UPDATE job SET status=2,state=?2 WHERE id=?1")                               \
    X(SP_Q_JOBS_OF, "SELECT id,status,due,lease,attempts,domain,user,rcpt,state"                    \
                    " FROM job WHERE id>?1 AND id<=?2 ORDER BY id")                                 \
    X(SP_Q_JOBS_OPEN, "SELECT 1 FROM job WHERE id>?1 AND id<=?2 AND status<>2 LIMIT 1")             \
    X(SP_Q_JOBS_DROP, "DELETE FROM job WHERE id>?1 AND id<=?2")                                     \
    X(SP_Q_JOBS_LOAD, "SELECT id,message,status,due,domain,user,priority FROM job WHERE status<>2 ORDER BY id") \
    X(SP_Q_HISTORY_ADD, "INSERT OR REPLACE INTO history(id,created,finished,size,user,envelope,state)" \
                        " VALUES(?1,?2,?3,?4,?5,?6,?7)")                                            \
    X(SP_Q_HISTORY_GET, "SELECT created,finished,size,user,envelope,state FROM history WHERE id=?1") \
    X(SP_Q_HISTORY_NEXT, "SELECT id FROM history WHERE id>?1 ORDER BY id LIMIT 256")                \
    X(SP_Q_HISTORY_PRUNE, "DELETE FROM history WHERE id IN (SELECT id FROM history"                 \
                          " WHERE id<?1 AND finished<?2 ORDER BY id LIMIT 512)")                    \
    X(SP_Q_KEY_GET, "SELECT message,digest,rcpts FROM submission"                                   \
                    " WHERE user=?1 AND key=?2 AND expires>?3")                                     \
    X(SP_Q_KEY_ADD, "INSERT OR REPLACE INTO submission(user,key,message,digest,rcpts,expires)"      \
                    " VALUES(?1,?2,?3,?4,?5,?6)")                                                   \
    X(SP_Q_KEY_FORGET, "DELETE FROM submission WHERE message=?1")                                   \
    X(SP_Q_KEY_PRUNE, "DELETE FROM submission WHERE (user,key) IN (SELECT user,key FROM submission" \
                      " WHERE expires<=?1 LIMIT 512)")                                              \
    X(SP_Q_OLDEST, "SELECT created FROM message ORDER BY id LIMIT 1")                               \
    X(SP_Q_COUNT, "SELECT (SELECT count(*) FROM message),"                                          \
                  "(SELECT count(*) FROM job WHERE status=0),"                                      \
                  "(SELECT count(*) FROM job WHERE status=1),(SELECT count(*) FROM history)")
/* clang-format on */

enum sp_qstmt {
#define SP_QSTMT_ID(id, sql) id,
    SP_QSTMTS(SP_QSTMT_ID)
#undef SP_QSTMT_ID
        SP_QSTMTS_N
};

struct sp_qdb {
    sqlite3 *h;
    sqlite3_stmt *st[SP_QSTMTS_N];
};

/* The application_id of the file: "SPQ1". */
#define SP_QDB_APPLICATION 0x53505131

/* An empty spool at path (which must not exist): schema and version, synced. */
int sp_qdb_create(const char *path, const char *vfs, struct sp_err *err);
/* Opens, checks what it is, migrates unless read_only, compiles the statements. */
int sp_qdb_open(struct sp_qdb *db, const char *path, const char *vfs, bool read_only,
                struct sp_err *err);
/* A bare second connection with the same settings, for the checkpointer. */
int sp_qdb_open_bare(sqlite3 **ret, const char *path, const char *vfs,
                     struct sp_err *err);
void sp_qdb_close(struct sp_qdb *db);

/* A step from one stored version to the next.  The last row's `from` is
 * SP_SPOOL_VERSION - 1. */
struct sp_qdb_migration {
    int from;
    const char *sql;
};
int sp_qdb_migrate(sqlite3 *h, int target, const struct sp_qdb_migration *m, size_t n,
                   struct sp_err *err);

/* The statement, reset and without bindings: bind, then step it. */
sqlite3_stmt *sp_qdb_stmt(struct sp_qdb *db, enum sp_qstmt q);
/* Steps: 1 a row, 0 done, negative an error.  After 0 and errors it is reset. */
int sp_qdb_step(struct sp_qdb *db, enum sp_qstmt q, struct sp_err *err);
/* Ends a statement that gave a row.  Forgetting it keeps a read transaction open, and
 * then the log can never start again from its beginning. */
void sp_qdb_end(struct sp_qdb *db, enum sp_qstmt q);

void sp_qdb_text(sqlite3_stmt *st, int at,
                 struct sp_str s); /* borrowed until the reset */
void sp_qdb_blob(sqlite3_stmt *st, int at, struct sp_str s);
struct sp_str sp_qdb_col(sqlite3_stmt *st,
                         int at);              /* valid until the next step or reset */
uint64_t sp_qdb_u64(sqlite3_stmt *st, int at); /* negative numbers count as 0 */

/* What SQLite's last error on h means for us; -SP_ENOSPC, -SP_EIO ... */
int sp_qdb_error(sqlite3 *h, int rc, const char *what, struct sp_err *err);
/* Whether the same error leaves the log in doubt, see qbatch.c. */
bool sp_qdb_in_doubt(sqlite3 *h, int rc);

#endif
