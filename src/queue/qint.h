/*
 * qint.h - what the files of src/queue share.  Not for others: they use spool.h.
 */
#ifndef SP_QINT_H
#define SP_QINT_H

#include "qckpt.h"
#include "qdb.h"
#include "spool.h"

#include "arena.h"

/* The leases that are out: job -> number.  Memory only; a restart forgets them, and the
 * delivery roles tell which ones they still hold. */
struct sp_qlease {
    uint64_t *slot; /* pairs: job (0 free), lease */
    size_t cap, used;
};
uint64_t sp_qlease_get(const struct sp_qlease *l, uint64_t job); /* 0: none */
int sp_qlease_put(struct sp_qlease *l, uint64_t job, uint64_t lease);
void sp_qlease_drop(struct sp_qlease *l, uint64_t job);
void sp_qlease_free(struct sp_qlease *l);

struct sp_spool {
    struct sp_spool_options o;
    char *dir, *path; /* path: of spool.db */
    char *vfs;
    int dirfd, bodies, lockfd, dbfd;
    struct sp_qdb db;
    struct sp_qckpt *ckpt; /* NULL when read only */
    struct sp_qid_source ids;
    uint64_t id_ceiling; /* numbers below it may be used without asking the database */
    uint64_t epoch;      /* how often the spool was opened: the upper half of leases */
    uint64_t leases_given;
    struct sp_qlease leased;
    enum sp_spool_health health;
    uint64_t orphans, commits;
    uint64_t lean_commits; /* as many as there were when memory was given back */
};

/* SQLite's cache of pages goes back to the system: tens of MB behind a load or a burst. */
void sp_qspool_lean(struct sp_spool *s);

/* ---- body files (qbody.c) ------------------------------------------------------ */

struct sp_spare {
    struct sp_spool *s;
    uint64_t id; /* also the number in its name */
    int fd;
    bool named; /* no O_TMPFILE here: it lies under a temporary name */
    bool linked, lost;
    uint64_t size;
};
int sp_qbody_sweep(struct sp_spool *s, struct sp_err *err); /* removes orphans */
void sp_qbody_unlink(struct sp_spool *s, uint64_t file);
/* Read only, size checked.  A descriptor or -SP_EIO. */
int sp_qbody_open(struct sp_spool *s, uint64_t file, uint64_t size, struct sp_err *err);

/* ---- messages as rows (qread.c) ------------------------------------------------ */

extern ProtobufCAllocator sp_qalloc; /* protobuf-c on sp_alloc */

/* Unpacked and checked: every number that is used as an index or a length is in range.
 * NULL: damaged or no memory; *ret_why says which. */
Sp__Envelope *sp_qenv_unpack(struct sp_str base, struct sp_str rcpt,
                             const char **ret_why);
/* The state that belongs to these recipients: as many, in ascending order of index. */
Sp__JobState *sp_qstate_unpack(struct sp_str blob, size_t nrcpt, const char **ret_why);
void sp_qenv_free(Sp__Envelope *e);
void sp_qstate_free(Sp__JobState *st);
/* Number of the first and last job of a message. */
static inline uint64_t sp_qjob_last(uint64_t message, uint64_t jobs)
{
    return jobs > INT64_MAX - message ? INT64_MAX : message + jobs;
}

/* Inside a commit: the message has no open job left.  Writes the history row and drops
 * the message.  0 or an error; *ret_file is the body file to remove behind the commit. */
int sp_qhist_finish(struct sp_spool *s, uint64_t message, uint64_t now_ms,
                    uint64_t *ret_file, struct sp_err *err);

/* Cuts s to at most n octets, not inside a UTF-8 character. */
size_t sp_qclip(const char *s, size_t n);

#endif
