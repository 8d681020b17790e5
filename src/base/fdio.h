/* fdio.h - a whole piece of octets to a descriptor, and a folder that lasts. */
#ifndef SP_FDIO_H
#define SP_FDIO_H

#include "text.h"

#include <sys/types.h>

/* To a file or a pipe, waiting where it must.  0; -1: errno says why, part of it may be
 * written. */
int sp_write_all(int fd, struct sp_str s);
/* mkdir(2) that survives a power loss: the folder above is synced.  0; -1: errno says why,
 * and where it was made but not synced it is gone again. */
int sp_mkdir_synced(const char *path, mode_t mode);
/* rename(2) that survives a power loss: the folder of the new name is synced.  0; -1: errno
 * says why, and where only the sync failed the new name is there. */
int sp_rename_synced(const char *from, const char *to);

#endif
