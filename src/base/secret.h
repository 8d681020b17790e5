/*
 * secret.h - passwords, tokens and keys in memory.
 *
 * A secret lives in pages that are locked (never swapped) and left out of core
 * dumps where the system allows it, and is overwritten when it is freed.
 */
#ifndef SP_SECRET_H
#define SP_SECRET_H

#include <sallyport/types.h>

struct sp_secret; /* opaque */

void sp_wipe(void *p, size_t n); /* overwrite; not optimised away */
/* true when equal; the time depends on n alone */
bool sp_equal_ct(const void *a, const void *b, size_t n);

struct sp_secret *sp_secret_new(const void *data,
                                size_t n);              /* copies; NULL: no memory */
struct sp_str sp_secret_get(const struct sp_secret *s); /* valid until freed */
void sp_secret_free(struct sp_secret *s);               /* wipes; NULL is fine */

#endif
