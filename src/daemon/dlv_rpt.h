/*
 * dlv_rpt.h - inside the delivery role: what TLSRPT (RFC 8460) wants to know of sessions.
 *
 *     dlv_rpt_note(&rpt, session);     copied; told to the queue when the domain has a
 *                                      record that asks for reports
 *     dlv_rpt_post(&rpt, report, ca);  from the queue: to a host, by HTTPS; the queue
 *                                      hears what became of it
 *     dlv_rpt_stop(&rpt);              before the resolver goes: what is asked is given up
 *
 * Numbers are not mail: what is under way at a reload or a restart is not counted.
 */
#ifndef SP_DLV_RPT_H
#define SP_DLV_RPT_H

#include "dlv_sts.h"

enum { DLV_RPT_MAX = 256 }; /* questions under way; further sessions are not counted */

struct dlv_rpt_ask;
struct dlv_rpt {
    const struct dlv_sts_env *env; /* must outlive it */
    struct dlv_rpt_ask *first;
    size_t n;
};

void dlv_rpt_note(struct dlv_rpt *r, const Sp__TlsSession *m);
void dlv_rpt_post(struct dlv_rpt *r, const Sp__TlsReport *m, struct sp_str ca,
                  const char *ca_path);
void dlv_rpt_stop(struct dlv_rpt *r);

/* The result type of RFC 8460 4.3 for a certificate that was not accepted. */
const char *dlv_rpt_certificate(const char *why_not);

#endif
