/*
 * aliases.h - the aliases of a configuration: its files and its database together with
 * the accounts.  The auth role answers servers by it, `sallyport route` explains by it.
 *
 *     rc = sp_aliases_new(conf, read, arg, NULL, NULL, &al, &err);
 *     sp_aliases_expand(al, users, address, &arena, &result);        alias.h
 *     sp_aliases_free(al);
 *
 * read() gives the content of a file, p NULL where it cannot be had.  The database is
 * opened when it is first asked, and again after it failed; an answer waits a moment for
 * a writer and no longer.  It keeps a reference to conf.
 */
#ifndef SP_ALIASES_H
#define SP_ALIASES_H

#include "alias.h"
#include "conf.h"
#include "users.h"

/* Where nothing was written. */
#define SP_ALIAS_QUERY "SELECT target FROM aliases WHERE name = ?1"

struct sp_aliases;
typedef struct sp_str sp_aliases_read(void *arg, const char *path);

/* note may be NULL.  -SP_ENOMEM, -SP_ELIMIT. */
int sp_aliases_new(struct sp_conf *conf, sp_aliases_read *read, void *arg,
                   sp_alias_note *note, void *note_arg, struct sp_aliases **ret,
                   struct sp_err *err);
void sp_aliases_free(struct sp_aliases *al); /* NULL is fine */
size_t sp_aliases_count(const struct sp_aliases *al);

/* users NULL: there are no accounts. */
void sp_aliases_expand(struct sp_aliases *al, struct sp_users *users,
                       struct sp_str address, struct sp_arena *arena,
                       struct sp_alias_result *ret);

/* Can this address be anything but itself, or unknown?  Else nobody needs to be asked. */
bool sp_aliases_matter(const struct sp_conf *conf, struct sp_str address);
bool sp_conf_is_local(const struct sp_conf *conf, struct sp_str domain);

/* Is it said in an alias file that this is run, or written to?  deliver: "|..." or "/...". */
bool sp_aliases_name(const struct sp_aliases *al, struct sp_str deliver);

#endif
