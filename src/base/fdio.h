/* fdio.h - a whole piece of octets to a descriptor. */
#ifndef SP_FDIO_H
#define SP_FDIO_H

#include "text.h"

/* To a file or a pipe, waiting where it must.  0; -1: errno says why, part of it may be
 * written. */
int sp_write_all(int fd, struct sp_str s);

#endif
