/*
 * suspend.h - destinations that an administrator has suspended: routes and domains.
 *
 *     rc = sp_suspend_open(data_directory, &s, &err);
 *     rc = sp_suspend_set(s, false, SP_LIT("example.net"), SP_LIT("they asked"), now_ms, &err);
 *     const struct sp_suspension *x = sp_suspend_find(s, SP_LIT("out"), domain);
 *     if (x) ... x->reason
 *
 * Kept in DATA/queue/suspended, one a line, so that a restart changes nothing: a change is
 * on stable storage when it returns 0.  Few and rarely changed: at most SP_SUSPENDED_MAX.
 *
 * The file is the service's own, and still untrusted: a line that cannot be read is left
 * out, and counted.  Errors as everywhere: 0 or -SP_E..., text in err.  The caller must
 * hold the data directory's lock to change something; reading needs none.
 */
#ifndef SP_SUSPEND_H
#define SP_SUSPEND_H

#include <sallyport/types.h>

enum { SP_SUSPENDED_MAX = 1000, SP_SUSPEND_REASON_MAX = 200 };

struct sp_suspension {
    const char *name; /* of the route, or the domain in lower case */
    const char *reason;
    uint64_t at_ms;
    bool route;
};

struct sp_suspend; /* opaque */

/* No file: nothing is suspended.  -SP_EIO, -SP_ENOMEM. */
int sp_suspend_open(const char *data, struct sp_suspend **ret, struct sp_err *err);
void sp_suspend_free(struct sp_suspend *s);           /* NULL is fine */
size_t sp_suspend_unread(const struct sp_suspend *s); /* lines that make no sense */

/* Suspends it, or gives it another reason.  -SP_EINPUT: a name or reason that cannot be
 * written; -SP_ELIMIT: too many; -SP_EIO: the disk, and nothing has changed. */
int sp_suspend_set(struct sp_suspend *s, bool route, struct sp_str name,
                   struct sp_str reason, uint64_t now_ms, struct sp_err *err);
/* -SP_ENOENT: it was not suspended. */
int sp_suspend_clear(struct sp_suspend *s, bool route, struct sp_str name,
                     struct sp_err *err);

/* Why mail for this domain does not go this route; NULL: it goes.  Valid until the next
 * change, as is what sp_suspend_at() gives (NULL behind the last). */
const struct sp_suspension *sp_suspend_find(const struct sp_suspend *s,
                                            struct sp_str route, struct sp_str domain);
const struct sp_suspension *sp_suspend_at(const struct sp_suspend *s, size_t i);

#endif
