/*
 * qbatch.h - the inside of a batch.  Not for others: they use spool.h.
 */
#ifndef SP_QBATCH_H
#define SP_QBATCH_H

#include "qint.h"

/* One job of a submission: recipients at one domain. */
struct sp_qpart {
    struct sp_str domain;
    struct sp_str rcpt, state; /* packed, as they are stored */
    const uint32_t *index;
    size_t n;
};

/* A submission, checked, split and packed; everything but prefix and content is in the
 * batch's arena. */
struct sp_qsub {
    struct sp_str env, prefix, content, user, key, digest;
    struct sp_spare *spare;
    struct sp_qpart *part;
    size_t nparts;
    uint64_t rcpts; /* of reverse-path and recipients: tells key clashes apart */
    uint64_t due_ms, size, key_ms;
    int priority;
    bool held; /* until an administrator releases it */
};

/* Takes a submission apart.  0 or an error; the arena may have grown. */
int sp_qsub_make(const struct sp_spool_options *o, const struct sp_submission *m,
                 uint64_t now_ms, struct sp_arena *a, struct sp_qsub *ret,
                 struct sp_err *err);

#endif
