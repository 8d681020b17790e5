/*
 * queue_dests.h - the queue by destination: `sallyport queue shape` and `destinations`.
 *
 *     t = sp_qdests_new(&opts);                 NULL: no memory
 *     sp_qdests_add(t, row);                    each row of queue.list, in any order
 *     sp_qdests_print(t, stdout);
 *     sp_qdests_free(t);
 *
 * A destination is the domain of a recipient, in lower case; what is counted are recipients
 * that wait: queued, held, or being delivered at this moment.
 */
#ifndef SP_QUEUE_DESTS_H
#define SP_QUEUE_DESTS_H

#include <sallyport/types.h>

#include <jansson.h>
#include <stdio.h>

struct sp_qdests_opts { /* copied */
    bool shape;         /* ages in columns; else what each destination waits for */
    bool json;          /* an object a line */
    uint64_t limit;     /* destinations; 0: all */
    uint64_t now_ms;
};

struct sp_qdests; /* opaque */

struct sp_qdests *sp_qdests_new(const struct sp_qdests_opts *o);
void sp_qdests_free(struct sp_qdests *t);
/* 0 or -SP_ENOMEM. */
int sp_qdests_add(struct sp_qdests *t, json_t *row);
/* The ones with the most recipients first.  Says so when there is none. */
void sp_qdests_print(struct sp_qdests *t, FILE *out);

#endif
