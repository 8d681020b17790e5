/*
 * cli_params.h - MAIL and RCPT lines: which parameter may be said to this server.
 *
 * One table says for every parameter which extension it needs and what is right when
 * the server has not got it: to leave it out, where its RFC lets a client do so, or to
 * refuse, because the mail would mean something else without it.
 */
#ifndef SP_CLI_PARAMS_H
#define SP_CLI_PARAMS_H

#include "buf.h"

#include <sallyport/smtp.h>

enum { SP_CLI_ENVELOPE_LINE_MAX = 4096 };

/* Append a command line with CRLF.  size 0: unknown; ext: the server's extensions.
 * 0; -SP_EINPUT: an address or value that would break the line; -SP_EDENIED: the server
 * cannot do what is asked; -SP_ENOMEM. */
int sp_cli_put_mail(struct sp_buf *b, const struct sp_mail *m, uint64_t size,
                    uint32_t ext, struct sp_err *err);
/* The enhanced status code of the first thing this mail cannot do without and the server
 * has not; NULL: nothing is missing. */
const char *sp_cli_lacking(const struct sp_mail *m, uint32_t ext);
int sp_cli_put_rcpt(struct sp_buf *b, const struct sp_rcpt *r, bool smtputf8,
                    uint32_t ext, struct sp_err *err);

#endif
