/*
 * sallyport/types.h - the few types every part of the library shares.
 *
 * Strings that cross an interface are `struct sp_str`: borrowed octets with a
 * length, never NUL-terminated by promise.  The function that hands one out says
 * until when it lives.
 *
 * Errors: a function that can fail returns 0 or a non-negative count on success
 * and a negative -SP_E... on failure.  Where it takes a `struct sp_err *`, the
 * reason in words goes there (the pointer may be NULL).
 */
#ifndef SALLYPORT_TYPES_H
#define SALLYPORT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SP_PUBLIC       __attribute__((visibility("default")))
#define SP_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SP_PUBLIC
#define SP_PRINTF(f, a)
#endif

struct sp_str {
    const char *p; /* borrowed; may be NULL when n is 0 */
    size_t n;      /* octets */
};

/* What a failure means for the caller, who decides on it. */
enum sp_class {
    SP_CLASS_BUG,  /* our mistake, or memory/descriptors ran out */
    SP_CLASS_PEER, /* the peer, or the input, broke a rule: trying again is useless */
    SP_CLASS_TEMPORARY, /* an outside cause that may pass: try again later */
    SP_CLASS_INSECURE,  /* refused on purpose: going on would expose mail or secrets */
};

/* Codes.  A failing function returns one of them negated. */
enum sp_code {
    SP_OK = 0,
    SP_ENOMEM = 1, /* out of memory */
    SP_ELIMIT,     /* a stated maximum would be exceeded */
    SP_EINPUT,     /* malformed input */
    SP_ESTATE,     /* the call is not allowed in this state: the caller's mistake */
    SP_ENOENT,     /* no such thing */
    SP_EEXIST,     /* exists already */
    SP_EIO,        /* the system refused a read, write, sync, open, connect ... */
    SP_EAGAIN,     /* not now: busy, locked, full */
    SP_EDENIED,    /* not permitted */
    SP_ETIMEDOUT,  /* no answer in time */
    SP_ECLOSED,    /* the peer is gone */
    SP_ETLS,       /* TLS failed */
    SP_EVERSION,   /* data of a version this program does not know */
    SP_ENOSPC,     /* the disk, or the quota on it, is full */
};

struct sp_err {
    enum sp_class cls;
    enum sp_code code;
    char text[400]; /* one plain sentence, NUL-terminated, no newline */
};

#ifdef __cplusplus
}
#endif
#endif
