/*
 * rolefiles.h - which files a role sees (Landlock), from one table.
 *
 *     sp_rolefiles_list(role, rights, conf, &files);
 *     sp_rolefiles_lock(&files, rights, &err);       before the role starts a thread
 *
 * A role reaches the files and folders of its list and nothing else of the file system,
 * whatever the permissions say: opening anything else is refused (EACCES).  What its list
 * holds for good is the files as they are now: one that is replaced or comes later needs
 * a new process (sp_rolefiles_within).
 *
 * Landlock holds for one thread and those that it starts: hence before the first one.
 * A role that starts programs of the configuration is not confined so: they would be, too.
 *
 * Kernels differ; what this one lacks sp_rolefiles_lacks() says, for the log and for
 * serve --explain-sandbox.
 */
#ifndef SP_ROLEFILES_H
#define SP_ROLEFILES_H

#include "conf.h"

#include "sallyport.pb-c.h"

#include <stdio.h>
#include <sys/types.h>

enum { SP_ROLEFILES_MAX = 160 };

struct sp_rolefile {
    char *path;
    bool write; /* make, change, rename and remove in it; else only read */
    bool early; /* read while the role starts: need not be followed when it is replaced */
    bool there; /* when the list was made: then dev and ino are its own */
    dev_t dev;
    ino_t ino;
};

struct sp_rolefiles {
    bool all; /* not confined */
    struct sp_rolefile v[SP_ROLEFILES_MAX];
    size_t n;
};

/* rights: sandbox_i.h.  0; -SP_ENOMEM or -SP_ELIMIT (then all is set: better everything
 * than a role that does not work; the caller says so).  Free it in any case. */
int sp_rolefiles_list(Sp__Role role, unsigned rights, const struct sp_conf *conf,
                      struct sp_rolefiles *ret);
void sp_rolefiles_free(struct sp_rolefiles *f);
/* Folders of mailboxes that are not there are made, if this process may. */
void sp_rolefiles_make(const struct sp_rolefiles *f);
/* For good.  0, also where the kernel has no Landlock; -SP_EDENIED. */
int sp_rolefiles_lock(struct sp_rolefiles *f, unsigned rights, struct sp_err *err);
/* Is all that is there of `want` also in `have`, the same files, with the same rights? */
bool sp_rolefiles_within(const struct sp_rolefiles *want, const struct sp_rolefiles *have);
/* Changes when a file of the list comes, goes or is replaced. */
uint64_t sp_rolefiles_stamp(const struct sp_rolefiles *f);

/* The version of Landlock that the running kernel has; 0: none. */
int sp_rolefiles_kernel(void);
/* What the kernel cannot confine, in words; "" when it lacks nothing. */
void sp_rolefiles_lacks(char *out, size_t cap);
void sp_rolefiles_explain(const struct sp_rolefiles *f, FILE *out);

#endif
