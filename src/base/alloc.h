/*
 * alloc.h - memory, with a door for tests that want allocation n to fail.
 *
 * Everything in the tree allocates through these.  They return NULL when memory is
 * short (or when a test says so) and never exit.
 */
#ifndef SP_ALLOC_H
#define SP_ALLOC_H

#include <stddef.h>

void *sp_alloc(size_t n); /* zeroed; n may be 0 and then gives a unique pointer */
void *sp_realloc(void *p, size_t n); /* new octets are not zeroed */
void sp_free(void *p);               /* NULL is fine */
char *sp_strdup(const char *s);
char *sp_strndup(const char *s, size_t n); /* n octets, NUL added */

/* Tests: the allocation that makes the counter reach 0 fails, later ones work again
 * (or go on failing when `sticky`).  A negative count switches it off. */
void sp_alloc_fail_at(long count, int sticky);
long sp_alloc_count(void); /* allocations since the last sp_alloc_fail_at() */

#endif
