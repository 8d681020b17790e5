/* err.c - see err.h. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void vset(struct sp_err *err, enum sp_class cls, enum sp_code code,
                 const char *fmt, va_list ap)
{
    err->cls = cls;
    err->code = code;
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    for (char *p = err->text; *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = '?';
}

int sp_err_set(struct sp_err *err, enum sp_class cls, enum sp_code code,
               const char *fmt, ...)
{
    va_list ap;

    if (err) {
        va_start(ap, fmt);
        vset(err, cls, code, fmt, ap);
        va_end(ap);
    }
    return -(int)code;
}

int sp_err_sys(struct sp_err *err, enum sp_class cls, enum sp_code code,
               const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    size_t n;

    if (err) {
        va_start(ap, fmt);
        vset(err, cls, code, fmt, ap);
        va_end(ap);
        n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, ": %s", strerror(saved));
    }
    return -(int)code;
}

int sp_err_nomem(struct sp_err *err)
{
    return sp_err_set(err, SP_CLASS_BUG, SP_ENOMEM, "out of memory");
}
