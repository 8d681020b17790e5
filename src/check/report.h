/*
 * report.h - the findings of a run, for a terminal, for programs, and as a page.
 *
 *     struct sp_report_opts o = {.width = 80, .height = 24, .colour = tty, ...};
 *     sp_buf_init(&b, SP_REPORT_MAX);
 *     rc = sp_report_text(f, &o, &b);     or _json, _html: appended to b
 *
 * All three say the same.  The run must be over (sp_findings_finish()).  0, -SP_ELIMIT or
 * -SP_ENOMEM.  What came from the peer is escaped for the place where it stands: it can
 * neither move a cursor nor begin an element, nor turn the direction of the text.
 */
#ifndef SP_REPORT_H
#define SP_REPORT_H

#include "finding.h"

enum { SP_REPORT_MAX = 16 << 20 };

struct sp_report_opts {
    unsigned width, height; /* of the terminal; 0: 80 and 24 */
    bool colour;
    bool details;        /* text: all there is, before the summary */
    const char *version; /* of this program */
    const char *time;    /* "2026-11-22 15:20 UTC" */
};

/* Details when wanted, then the summary, which fits the terminal's height: so it is what
 * is seen last. */
int sp_report_text(const struct sp_findings *f, const struct sp_report_opts *o,
                   struct sp_buf *out);
/* One JSON object and a newline; its members are described in sallyport(1). */
int sp_report_json(const struct sp_findings *f, const struct sp_report_opts *o,
                   struct sp_buf *out);
/* One HTML file that needs nothing else: no script, no font, no picture from elsewhere. */
int sp_report_html(const struct sp_findings *f, const struct sp_report_opts *o,
                   struct sp_buf *out);
/* The checks with what they cost, for --list; `f` (chosen, not run) says which would run. */
int sp_report_list(const struct sp_findings *f, const struct sp_report_opts *o,
                   struct sp_buf *out);

#endif
