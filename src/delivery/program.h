/*
 * program.h - a message into a command: to = pipe, and "|command" of an alias.
 *
 *     struct sp_program p = {.argv = words, .argc = n, .run_as = "vmail",
 *                            .timeout_ms = 300000};
 *     sp_program_run(&p, &m, &result);        blocks: call it in a pool thread
 *     result.action, result.code, result.enhanced, result.text
 *
 * argv[0] is an absolute path.  There is no shell, so no octet of an address means
 * anything; %a %u %d %e %s in a word become parts of the addresses.  A word that begins
 * with a hyphen only because of what was put in is refused (it would be an option).  The
 * command gets the message (mailtext.h) on standard input, a small environment of which
 * only SENDER, RECIPIENT, ORIGINAL_RECIPIENT, LOCAL, EXTENSION and DOMAIN come from
 * outside, with every octet but letters, digits and "@.-_+=" made "_", and no descriptor
 * but three.  It leads a process group of its own and is killed with it when its time is
 * over.  What it prints is kept as far as it fits in `text`.
 *
 * It runs as run_as, a system user, or the one whose name the local part is ("%u"), with
 * that user's groups; never as root.  For that the process needs CAP_SETUID and
 * CAP_SETGID (and CAP_KILL to kill it).
 *
 * An exit status means what sysexits.h says: one table, sp_program_outcome().
 */
#ifndef SP_PROGRAM_H
#define SP_PROGRAM_H

#include "mailtext.h"

enum { SP_PROGRAM_WORDS = 64, SP_PROGRAM_LINE = 8192, SP_PROGRAM_TEXT = 400 };

struct sp_program {
    const char *const *argv;
    size_t argc;
    bool plain;         /* no %: words of an alias are taken as they are */
    const char *run_as; /* NULL: who we are */
    unsigned timeout_ms;
    struct sp_str
        original; /* the address before the extension was left off; may be empty */
};

struct sp_program_result {
    Sp__Action action;
    uint32_t code;
    const char *enhanced;
    char text[SP_PROGRAM_TEXT + 100]; /* printable ASCII */
};

struct sp_program_row {
    int status;
    Sp__Action action;
    const char *enhanced;
    const char *words;
};

void sp_program_run(const struct sp_program *p, const struct sp_maildir_mail *m,
                    struct sp_program_result *ret);
/* What an exit status means.  Never NULL. */
const struct sp_program_row *sp_program_outcome(int status);

/* The words of a command in an alias, blanks between them, "..." around those with blanks.
 * They are put into `line`; returns how many, or negative: too many, or a quote is open. */
int sp_program_words(struct sp_str command, char line[SP_PROGRAM_LINE],
                     const char *ret[SP_PROGRAM_WORDS]);

/* At the start of a process that is root: becomes uid and gid, with no further groups, and
 * keeps the right to start programs as others.  0 or -1 and errno. */
int sp_program_keep_rights(unsigned uid, unsigned gid);

#endif
