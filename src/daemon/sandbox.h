/*
 * sandbox.h - what a role may ask of the kernel once it runs: one table.
 *
 *     sp_sandbox_confine(SP__ROLE__ROLE_SERVER, conf, &err);  before the role's first setup
 *     sp_sandbox_lock(SP__ROLE__ROLE_SERVER, conf, &err);     after the role's first setup
 *     sp_sandbox_explain(conf, stdout);                       serve --explain-sandbox
 *
 * A filter of system calls (seccomp) that lists what is allowed: whatever takes over a
 * role by its input can do with the kernel what the role does, and no more.  A call that
 * is not listed is not answered: the process says which one in the log and ends, and the
 * supervisor starts a new one.
 *
 * A build with sanitizers has a filter of its own that lists what is forbidden, because
 * what a sanitizer does is not ours to list.
 *
 * What a role holds cannot grow: sp_sandbox_fits() says at a reload whether the new
 * configuration asks for more; such a role ends and is started again.
 */
#ifndef SP_SANDBOX_H
#define SP_SANDBOX_H

#include "conf.h"

#include "sallyport.pb-c.h"

#include <stdio.h>

/* The files the role sees (rolefiles.h): before its setup, as long as there is one
 * thread.  0; a negative code: say it in the log and go on. */
int sp_sandbox_confine(Sp__Role role, const struct sp_conf *conf, struct sp_err *err);
/* Changes when a file comes, goes or is replaced that a role is confined to: it has to be
 * told SETUP again, and finds out by sp_sandbox_fits(). */
uint64_t sp_sandbox_stamp(const struct sp_conf *conf);
/* Memory that holds secrets: no core file, none but root reads it (ptrace), and what
 * OpenSSL keeps of private keys is locked: never swapped.  False where that is more than
 * RLIMIT_MEMLOCK allows; they are wiped all the same. */
bool sp_sandbox_memory(void);
/* For good, for every thread of the process.  0; -SP_EDENIED where the kernel takes no
 * filter (the caller logs it and goes on); -SP_ENOMEM. */
int sp_sandbox_lock(Sp__Role role, const struct sp_conf *conf, struct sp_err *err);
/* Does what the configuration needs lie within what the process holds?  True before the
 * lock. */
bool sp_sandbox_fits(Sp__Role role, const struct sp_conf *conf);
/* Each role and its rights, in words. */
void sp_sandbox_explain(const struct sp_conf *conf, FILE *out);

#endif
