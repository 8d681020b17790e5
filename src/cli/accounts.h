/*
 * accounts.h - named accounts: options of `send` that are kept in a file.  For users it
 * is described in sallyport-accounts.conf(5).
 *
 *     account default {
 *         server = smtp://mail.example.org
 *         user = alice
 *         password-command = pass show mail/alice
 *     }
 *
 * ~/.config/sallyport/accounts.conf ($XDG_CONFIG_HOME is honoured), else
 * /etc/sallyport/accounts.conf.  Keys are the long options of SP_OPT_TARGET and `from`;
 * a switch wants yes or no.  A value is the rest of the line, or stands in quotes
 * (\" and \\ inside); ` #` begins a comment.  Files may begin with ~/, and are looked for
 * beside the accounts file otherwise.
 *
 *     struct sp_accounts acc;
 *     sp_accounts_init(&acc);
 *     rc = sp_accounts_apply(&acc, a, &merged);   0: merged is what a asks for
 *     ... use merged ...
 *     sp_accounts_free(&acc);                     merged's strings are gone
 */
#ifndef SP_ACCOUNTS_H
#define SP_ACCOUNTS_H

#include "cli.h"

enum { SP_ACCOUNT_KEYS_MAX = 64 };

struct sp_account {
    const char *name;
    unsigned line;
    struct {
        const struct sp_option *option;
        const char *value; /* NULL: a switch that is on */
    } set[SP_ACCOUNT_KEYS_MAX];
    size_t n;
    struct sp_account *next;
};

struct sp_accounts {
    struct sp_account *first, *last;
    struct sp_arena arena;
    struct sp_conf_errors errs; /* all of the file's, with line and column */
};

extern const struct sp_option sp_account_keys[]; /* what an account may hold */

void sp_accounts_init(struct sp_accounts *s);
void sp_accounts_free(struct sp_accounts *s);

/* text need not outlive the call; filename is for messages and relative paths, home for
 * ~/.  0, or -SP_EINPUT with errs filled (the accounts are then not to be used). */
int sp_accounts_parse(struct sp_accounts *s, struct sp_str text, const char *filename,
                      const char *home);
const struct sp_account *sp_accounts_find(const struct sp_accounts *s,
                                          const char *name);

/* The options of a over those of the account that is meant: --account NAME, else
 * `default` when there is no --server.  An option on the command line puts out those of
 * the account that mean the same thing (any password option all of them, ...).
 * 0 or an exit status; errors were said. */
int sp_accounts_apply(struct sp_accounts *s, const struct sp_args *a,
                      struct sp_args *ret_merged);
/* Is there an account `default`?  Also true when a file cannot be read: apply says why. */
bool sp_accounts_default(void);
/* The same without looking for files. */
int sp_account_merge(const struct sp_account *acc, const struct sp_args *a,
                     struct sp_args *ret_merged);

/* Prints an accounts file made from an msmtp configuration (path NULL: where msmtp
 * looks).  An exit status. */
int sp_accounts_import(const char *path);
/* The same from text, appended to out.  0, -SP_ELIMIT, -SP_ENOMEM. */
int sp_msmtprc_convert(struct sp_str text, struct sp_buf *out);

#endif
