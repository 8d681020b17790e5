/*
 * err.h - filling in a struct sp_err.
 *
 *     if (open(...) < 0)
 *         return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot open %s", path);
 */
#ifndef SP_ERR_H
#define SP_ERR_H

#include <sallyport/types.h>

/* Both return -code, so that a caller can `return sp_err_set(...)`.  err may be NULL.
 * Control characters in the text become '?': it ends up on terminals and in logs. */
int sp_err_set(struct sp_err *err, enum sp_class cls, enum sp_code code,
               const char *fmt, ...) SP_PRINTF(4, 5);
/* The same with ": " and strerror(errno) behind it. */
int sp_err_sys(struct sp_err *err, enum sp_class cls, enum sp_code code,
               const char *fmt, ...) SP_PRINTF(4, 5);
int sp_err_nomem(struct sp_err *err);

#endif
