/*
 * report_i.h - what the three reports share.
 */
#ifndef SP_REPORT_I_H
#define SP_REPORT_I_H

#include "find_i.h"
#include "report.h"
#include "text.h"

/* A writer that remembers the first error: reports are long lists of small pieces. */
struct sp_rep {
    const struct sp_findings *f;
    const struct sp_report_opts *o;
    struct sp_buf *out;
    int rc;
};

void sp_rep_puts(struct sp_rep *r, const char *s);
void sp_rep_printf(struct sp_rep *r, const char *fmt, ...) SP_PRINTF(2, 3);

/* Text from anywhere, made visible: control octets, invalid UTF-8 and what turns the
 * direction of text become escapes; the rest stays.  Safe for terminals and for JSON; HTML
 * needs its own escaping besides. */
int sp_rep_show(struct sp_buf *out, struct sp_str s);

/* The row's sentence with its facts; `piece` gets our words and the peer's apart. */
void sp_rep_sentence(const struct sp_finding *x,
                     void (*piece)(void *arg, struct sp_str s, bool fact), void *arg);
/* The same as one text, made visible. */
int sp_rep_sentence_text(const struct sp_finding *x, struct sp_buf *out);

/* A recipe of this program, with the places filled in that are known and safe to paste
 * into a shell. */
int sp_rep_recipe(const struct sp_findings *f, const struct sp_recipe_client *c,
                  const char *recipe, struct sp_buf *out);

/* Capability lines of all states in the order in which they were first seen, each once:
 * the i-th, or NULL. */
const char *sp_rep_cap(const struct sp_findings *f, size_t i);
bool sp_rep_cap_in(const struct sp_findings *f, enum sp_caps_when when,
                   const char *line);
const char *sp_rep_caps_name(enum sp_caps_when when); /* "inside TLS" */
const char *sp_rep_caps_key(enum sp_caps_when when);  /* "tls" */

struct sp_rep_cost {
    unsigned ran, not_run, connections, failed_logins;
};
struct sp_rep_cost sp_rep_cost(const struct sp_findings *f);
/* Was the check, or a part of it, left out?  Its `why` says the reason. */
bool sp_rep_left_out(const struct sp_findings *f, enum sp_check_id id);
bool sp_rep_any_left_out(const struct sp_findings *f);

/* "mail.example.org:587", or the command that was graded. */
int sp_rep_subject(const struct sp_findings *f, struct sp_buf *out);
/* "Postfix, STARTTLS, TLSv1.3": what is known in a few words. */
int sp_rep_about(const struct sp_findings *f, struct sp_buf *out);
/* "insecure", ..., "good", or "unknown" when nothing was found out */
const char *sp_rep_worst(const struct sp_findings *f);

#endif
