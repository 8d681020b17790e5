/*
 * alias.h - other names of mailboxes: the syntax of /etc/aliases, and what an address
 * becomes by it.
 *
 *     struct sp_alias *a = sp_alias_new();
 *     sp_alias_read(a, text, "/etc/aliases", note, arg);        once for each file
 *     for (i = 0; (path = sp_alias_include(a, i)); i++)         lists that it names
 *         sp_alias_list(a, path, text_of(path), note, arg);
 *
 *     struct sp_alias_rules r = {.table = a, .delimiter = "+", .is_local = ..., ...};
 *     sp_alias_expand(&r, SP_LIT("root@example.org"), &arena, &result);
 *     sp_alias_free(a);
 *
 * A line of the file is `name: target, target ...`; one that begins with a blank goes on
 * with the line before, # begins a comment.  A name is a local part (of every local
 * domain), a whole address, or @domain for all the rest of a domain (catch-all).  Names
 * may be quoted, and are compared without regard to ASCII case.  A target is
 *     bob  bob@example.org    looked up again; without a domain: that of the alias
 *     \bob                    not looked up again
 *     @example.net            the same local part there
 *     |program argument       a command; "|program argument" where it has commas
 *     /path/name              a file that is appended to
 *     :include:/path          the targets in that file, commas or lines between them
 *
 * Commands and files count only in the alias files themselves: a list or a database is
 * mostly kept by somebody who may name addresses and may not run programs.
 *
 * Pure functions on bytes: files are read, and databases asked, by the caller.  A table
 * owns its texts and does not change once it is in use; results live in the caller's
 * arena.  What is wrong in a file is told to note() and left out; the rest counts.
 */
#ifndef SP_ALIAS_H
#define SP_ALIAS_H

#include "arena.h"
#include "text.h"

enum {
    SP_ALIAS_ENTRIES_MAX = 1000000,
    SP_ALIAS_LINE_MAX = 65536, /* octets of one entry, continuation lines included */
    SP_ALIAS_INCLUDES_MAX = 1000,
    SP_ALIAS_DEPTH = 20, /* names behind names */
};

struct sp_alias;
typedef void sp_alias_note(void *arg, const char *file, unsigned line,
                           const char *text);

struct sp_alias *sp_alias_new(void); /* NULL: no memory */
void sp_alias_free(struct sp_alias *a);

/* Adds a file's entries; where a name is given twice, the first counts and note() hears of
 * the second.  0, or -SP_ENOMEM, or -SP_ELIMIT: too many of them. */
int sp_alias_read(struct sp_alias *a, struct sp_str text, const char *file,
                  sp_alias_note *note, void *arg);
/* The i-th path that :include: names, or NULL.  sp_alias_list() may add to them. */
const char *sp_alias_include(const struct sp_alias *a, size_t i);
/* What stands in that file.  One that is never given makes its aliases fail for a while:
 * mail for a list that cannot be read waits. */
int sp_alias_list(struct sp_alias *a, const char *path, struct sp_str text,
                  sp_alias_note *note, void *arg);
size_t sp_alias_count(const struct sp_alias *a); /* entries */

/* Does an entry of an alias file name this command ("|...") or file ("/...")? */
bool sp_alias_programs(const struct sp_alias *a, struct sp_str deliver);

struct sp_alias_rules {
    const struct sp_alias *table; /* NULL: none */
    const char *delimiter;        /* each octet parts a local part from its extension */
    size_t most;                  /* of recipients that one address may become */
    struct sp_str postmaster;     /* who gets mail for postmaster@ a local domain */
    bool known_only; /* a mailbox of a local domain is an account's, or there is none */
    bool (*is_local)(void *arg, struct sp_str domain);
    /* Is there an account with this address?  1, 0, or negative: not known just now. */
    int (*account)(void *arg, struct sp_str address);
    /* Targets of this name from elsewhere, one a line; 1, 0: none, negative: not now.
     * NULL: there is no such place. */
    int (*more)(void *arg, struct sp_str name, struct sp_buf *out);
    void *arg;
};

struct sp_alias_to {
    struct sp_str
        address; /* canonical; of a command or file: the alias that named it */
    struct sp_str deliver; /* empty, or "|command", "/file", or "!reason": nowhere */
};

enum sp_alias_verdict {
    SP_ALIAS_SAME,      /* it goes where it is addressed to */
    SP_ALIAS_BECOMES,   /* it goes to to[0..n) instead */
    SP_ALIAS_UNKNOWN,   /* 550 5.1.1: no such mailbox */
    SP_ALIAS_LOOP,      /* 550 5.4.6: it leads to itself, or through too many names */
    SP_ALIAS_TOO_MANY,  /* 550 5.4.6: it becomes more than `most` */
    SP_ALIAS_TEMPORARY, /* 451 4.3.0: a list or database cannot be read just now */
};

struct sp_alias_result {
    enum sp_alias_verdict verdict;
    const struct sp_alias_to *to;
    size_t n;
    const char *why; /* in words, unless SAME or BECOMES */
};

/* address: canonical (addr.h), with a domain. */
void sp_alias_expand(const struct sp_alias_rules *r, struct sp_str address,
                     struct sp_arena *arena, struct sp_alias_result *ret);

#endif
