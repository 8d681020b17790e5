/*
 * clidoc.h - what is made from the tables of commands and options: shell completion and
 * the COMMANDS part of sallyport(1).
 *
 *     struct sp_buf out;
 *     sp_buf_init(&out, SP_CLIDOC_MAX);
 *     if (sp_clidoc_bash(&sp_cmd_main, &out) == 0)
 *         fwrite(out.p, 1, out.n, stdout);
 *     sp_buf_free(&out);
 *
 * The placeholder of an option's value says what is offered for it: FILE (or a word that
 * ends in it) files, DIR directories, `a|b|c` these words, anything else nothing.
 *
 * All return 0 or what sp_buf_put() returned.  A table deeper than SP_CLIDOC_DEPTH is
 * cut there.
 */
#ifndef SP_CLIDOC_H
#define SP_CLIDOC_H

#include "cli.h"

enum { SP_CLIDOC_MAX = 1024 * 1024, SP_CLIDOC_DEPTH = 4 };

int sp_clidoc_bash(const struct sp_command *root, struct sp_buf *out);
int sp_clidoc_zsh(const struct sp_command *root, struct sp_buf *out);
/* Options as keys of a file, a list item each: `.It server = URL`. */
int sp_clidoc_keys(const struct sp_option *options, struct sp_buf *out);
int sp_clidoc_mdoc(const struct sp_command *root, struct sp_buf *out);

#endif
