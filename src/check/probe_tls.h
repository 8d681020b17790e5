/*
 * probe_tls.h - what probe_wire.c and probe_tls.c need of each other; nobody else.
 */
#ifndef SP_PROBE_TLS_H
#define SP_PROBE_TLS_H

#include "probe_wire.h"

/* As recv() and send(): octets; -1 wait for *ret_events; 0 the end was noted. */
int sp_pw_tls_read(struct sp_pw *w, short *ret_events);
int sp_pw_tls_write(struct sp_pw *w, const char *p, size_t n, short *ret_events);
void sp_pw_tls_end(struct sp_pw *w); /* says close_notify, gives the SSL back */

void sp_pw_stop(struct sp_pw *w, enum sp_pw_end end, const char *fmt, ...)
    SP_PRINTF(3, 4);
uint64_t sp_pw_until(const struct sp_pw *w, unsigned ms);
bool sp_pw_poll(struct sp_pw *w, short events, uint64_t until);

#endif
