/*
 * explore_srv.h - the explorer, for the mutation test; see explore_srv.c.
 */
#ifndef SP_EXPLORE_SRV_H
#define SP_EXPLORE_SRV_H

#include <stdbool.h>

/* 0: every state within depth is as PROTOCOL says.  only NULL: every listener. */
int explore_all(unsigned depth, const char *only, bool silent);

#endif
