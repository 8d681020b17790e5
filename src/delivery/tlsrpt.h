/*
 * tlsrpt.h - TLSRPT (RFC 8460): who wants reports, what is kept for them, the reports.
 * Pure functions on texts; dlv_rpt.c notes sessions, q_tlsrpt.c keeps and sends.
 *
 *     if (sp_rpt_record(records, n, &rua)) ...          the domain wants reports
 *     sp_rpt_line(session, &line);                      one line of a day's file
 *
 *     r = sp_rpt_new();
 *     while (line) sp_rpt_add(r, line);
 *     for (d = sp_rpt_first(r); d; d = sp_rpt_next(r, d)) {
 *         sp_rpt_json(r, d, &who, &json);
 *         rua = sp_str(sp_rpt_rua(r, d));
 *         while (sp_rpt_uri(&rua, &uri)) ...
 *     }
 *     sp_rpt_free(r);
 *
 * Names, words and URIs come from strangers: what is no host name is no domain, and of
 * URIs only such are given out that can stand in an envelope or in a request.
 */
#ifndef SP_TLSRPT_H
#define SP_TLSRPT_H

#include "buf.h"
#include "sallyport.pb-c.h"
#include "text.h"

enum {
    SP_RPT_RUA_MAX = 1024,
    SP_RPT_URI_MAX = 512,
    SP_RPT_LINE_MAX = 16384,
    SP_RPT_DETAILS_MAX = 200, /* kinds of failure in a report; more are only counted */
    SP_RPT_JSON_MAX = 1 << 20,
    SP_RPT_GZIP_MAX = 40000, /* in a mail of at most ... */
    SP_RPT_MAIL_MAX = 60000,
    SP_RPT_DAY = 11 /* "2026-11-22" and a NUL */
};

/* Appends the URIs, with commas between them.  True: exactly one record, and it asks for
 * reports in a way that we know (RFC 8460 3). */
bool sp_rpt_record(const struct sp_str *rdata, size_t n, struct sp_buf *rua);

struct sp_rpt_uri {
    bool mail;
    char to[SP_RPT_URI_MAX]; /* an address, or a URL that begins with https:// */
};
/* The next of a list that can be used; false: no more. */
bool sp_rpt_uri(struct sp_str *rua, struct sp_rpt_uri *ret);

/* Letters, digits, hyphens, underscores, dots. */
bool sp_rpt_is_domain(const char *s);
/* Of the day of a time: 2026-11-22. */
void sp_rpt_day(uint64_t unix_s, char out[SP_RPT_DAY]);
/* When a day begins, UTC; -SP_EINPUT: it is none. */
int sp_rpt_day_begin(const char *day, uint64_t *ret);

/* Appends the session as a line; -SP_EINPUT: what it says cannot be. */
int sp_rpt_line(const Sp__TlsSession *m, struct sp_buf *out);

struct sp_rpt;
struct sp_rpt *sp_rpt_new(void); /* NULL: no memory */
void sp_rpt_free(struct sp_rpt *r);
/* A damaged line is -SP_EINPUT and changes nothing. */
int sp_rpt_add(struct sp_rpt *r, struct sp_str line);
/* Domains; the strings live as long as r. */
const char *sp_rpt_first(const struct sp_rpt *r);
const char *sp_rpt_next(const struct sp_rpt *r, const char *domain);
const char *sp_rpt_rua(const struct sp_rpt *r, const char *domain);

struct sp_rpt_who {
    const char *organization, *contact, *hostname;
    char day[SP_RPT_DAY];
};
/* RFC 8460 4.4. */
int sp_rpt_json(const struct sp_rpt *r, const char *domain, const struct sp_rpt_who *w,
                struct sp_buf *out);
int sp_rpt_gzip(struct sp_str in, struct sp_buf *out);
/* The whole mail of 5.3; *ret_header is the size of its header with the empty line. */
int sp_rpt_mail(const struct sp_rpt_who *w, const char *domain, const char *to,
                struct sp_str gzip, uint64_t now_ms, const uint8_t random[16],
                struct sp_buf *out, uint64_t *ret_header);

#endif
