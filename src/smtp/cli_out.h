/*
 * cli_out.h - what the client wants to send: commands, secrets, message octets.
 *
 * A queue in one piece of memory.  Octets are written once at its end and read in
 * place; nothing is moved while a message passes through.  Octets that hold a secret
 * are overwritten as soon as they are acknowledged, and when the memory moves.
 *
 * `put` and `acked` count all octets ever queued and taken: with them the engine knows
 * whether a command has left before its reply came.
 */
#ifndef SP_CLI_OUT_H
#define SP_CLI_OUT_H

#include <sallyport/types.h>

struct sp_outq {
    char *p;
    size_t head, tail; /* octets to send are p[head .. tail) */
    size_t cap;        /* octets allocated */
    size_t secret_end; /* p[0 .. secret_end) may hold a secret; 0: nothing does */
    uint64_t put, acked;
};

enum { SP_OUTQ_MAX = 66 * 1024 }; /* never holds more than this */

void sp_outq_free(struct sp_outq *q); /* wipes what is secret; usable again */
void sp_outq_drop(struct sp_outq *q); /* forgets what was not sent */
size_t sp_outq_len(const struct sp_outq *q);
/* How many octets fit without moving memory beyond SP_OUTQ_MAX. */
size_t sp_outq_space(const struct sp_outq *q);
/* 0, -SP_ENOMEM, -SP_ELIMIT; nothing is queued on failure. */
int sp_outq_put(struct sp_outq *q, const void *data, size_t n, bool secret);
/* A place for at least `need` octets at the end, or NULL; sp_outq_add() queues them. */
char *sp_outq_room(struct sp_outq *q, size_t need);
void sp_outq_add(struct sp_outq *q, size_t n);
void sp_outq_ack(struct sp_outq *q, size_t n);
void sp_outq_trim(struct sp_outq *q); /* gives memory back when empty */

#endif
