/*
 * connint.h - connections as dial.c, listen.c and net.c see them.
 */
#ifndef SP_CONNINT_H
#define SP_CONNINT_H

#include "conn.h"

/* A connection that is not connected yet: NULL without memory.  The caller runs
 * uv_tcp_connect() or uv_pipe_connect() on its stream. */
struct sp_conn *sp_conn_embryo(struct sp_net *net, bool unix_socket, int flags);
uv_stream_t *sp_conn_stream(struct sp_conn *c);

void sp_conn_turn(struct sp_net *net);      /* end of a loop turn */
void sp_conn_abort_all(struct sp_net *net); /* sp_net_free() */

#endif
