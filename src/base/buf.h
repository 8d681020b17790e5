/*
 * buf.h - a growing buffer with a maximum.
 *
 *     struct sp_buf b;
 *     sp_buf_init(&b, 4096);                 the most it may ever hold
 *     if (sp_buf_put(&b, data, n) < 0) ...   -SP_ELIMIT or -SP_ENOMEM, b unchanged
 *     sp_buf_free(&b);
 *
 * The octets live at b.p[0 .. b.n) until the next call that grows it.
 */
#ifndef SP_BUF_H
#define SP_BUF_H

#include <sallyport/types.h>

struct sp_buf {
    char *p;
    size_t n;   /* octets in use */
    size_t cap; /* octets allocated */
    size_t max; /* octets it may ever hold */
};

void sp_buf_init(struct sp_buf *b, size_t max);
void sp_buf_free(struct sp_buf *b); /* gives the memory back; usable again, empty */
void sp_buf_wipe(struct sp_buf *b); /* the same, the octets overwritten first */
/* A place for n more octets at b->p + b->n, or NULL.  The caller adds to b->n. */
char *sp_buf_room(struct sp_buf *b, size_t n);
int sp_buf_put(struct sp_buf *b, const void *data, size_t n);
int sp_buf_puts(struct sp_buf *b, const char *s);
int sp_buf_str(struct sp_buf *b, struct sp_str s);
int sp_buf_printf(struct sp_buf *b, const char *fmt, ...) SP_PRINTF(2, 3);
void sp_buf_drop(struct sp_buf *b, size_t n); /* forget the first n octets */
struct sp_str sp_buf_view(const struct sp_buf *b);
/* NUL behind the content (not counted); NULL when there is no room for it. */
const char *sp_buf_cstr(struct sp_buf *b);

#endif
