/*
 * held.h - the jobs that a delivering role has taken from the queue.
 *
 *     struct mine { struct sp_held_job h; ... };            h first: it is freed as h
 *
 *     struct sp_held held = {.role = ..., .capacity = 16};
 *     sp_held_join(&held, loop, fd, ..., &ops, arg, &err);  a queue: it hears what we hold
 *     mine = sp_alloc(sizeof *mine);
 *     rc = sp_held_take(&held, &mine->h, port, frame, &err);   SP_MSG_JOB
 *       ... deliver; fill mine->h.out with sp_held_row() ...
 *     sp_held_done(&held, &mine->h);       kept, and said again, until the queue stored it
 *     sp_held_stored(&held, m);            SP_MSG_STORED: forgets them
 *     sp_held_credit(&held);               the channel has room again
 *     sp_held_lost(&held);                 the queue is gone; the next one is told
 *
 * A job is what the queue says and no more is believed: sp_held_take() checks that its
 * parts fit together.  Memory of a job lives in its arena, until it is forgotten.
 */
#ifndef SP_HELD_H
#define SP_HELD_H

#include "port.h"

struct sp_held_job {
    struct sp_held_job *next;
    struct sp_arena arena; /* the job and its outcome */
    Sp__Job *m;
    struct sp_str content; /* p NULL: in fd */
    int fd;
    Sp__Outcome out; /* room for one row each of m->index */
    bool done;       /* the outcome is complete */
    bool said;       /* it is on its way to the present queue */
};

struct sp_held {
    Sp__Role role;
    uint32_t capacity;     /* jobs at a time */
    struct sp_port *queue; /* NULL: none just now */
    struct sp_held_job *jobs;
};

int sp_held_join(struct sp_held *h, uv_loop_t *loop, int fd, Sp__Role peer,
                 unsigned instance, const struct sp_port_ops *ops, void *arg,
                 struct sp_err *err);
/* j: zeroed memory of sp_alloc(), ours from here on, also when it fails. */
int sp_held_take(struct sp_held *h, struct sp_held_job *j, struct sp_port *p,
                 const struct sp_frame *f, struct sp_err *err);
/* An outcome for the i-th recipient, added to it; NULL: no memory, and the queue tries a
 * recipient without an outcome again.  Only one thread at a time for one job. */
Sp__RcptOutcome *sp_held_row(struct sp_held_job *j, size_t i, Sp__Action action);
/* A copy that lives as long as the job; "" without memory. */
char *sp_held_keep(struct sp_held_job *j, const char *s, size_t n);
void sp_held_done(struct sp_held *h, struct sp_held_job *j);
/* Without an outcome: the queue hands it out again when this process has ended. */
void sp_held_forget(struct sp_held *h, struct sp_held_job *j);
void sp_held_stored(struct sp_held *h, const Sp__OutcomeStored *m);
void sp_held_credit(struct sp_held *h);
void sp_held_lost(struct sp_held *h);

#endif
