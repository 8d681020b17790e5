/*
 * netint.h - the insides that the files of this folder share.  Nobody else includes it.
 */
#ifndef SP_NETINT_H
#define SP_NETINT_H

#include "net.h"

#define SP_NET_READ  65536                /* one read(2), and one flight of plaintext */
#define SP_NET_WRITE (SP_NET_READ + 4096) /* the same with TLS record overhead */

struct sp_conn;

struct sp_net {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_prepare_t prepare; /* both run turn_end(): before the loop sleeps ... */
    uv_check_t check;     /* ... and after it has served what was ready */
    uv_idle_t idle;       /* runs while work is left over: the loop must not sleep */
    int handles;          /* uv handles not closed yet */
    bool closing;
    struct sp_timer *timers; /* root of the heap */
    uint64_t armed;          /* what the uv timer is set to; 0: not running */
    struct sp_conn *conns;   /* all of them */
    size_t n_conns;
    struct sp_conn *dirty;   /* something to do at the end of the turn */
    char in[SP_NET_READ];    /* what the socket gave, for the connection being read */
    char plain[SP_NET_READ]; /* the same decrypted */
    char
        out[SP_NET_WRITE]; /* what goes to the socket of the connection being flushed */
    size_t out_n;
};

/* There is a dirty connection: the loop goes round once more without sleeping. */
void sp_net_awake(struct sp_net *net);
/* A connection went away: frees the net when it was the last and sp_net_free() ran. */
void sp_net_forget(struct sp_net *net);

#endif
