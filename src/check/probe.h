/*
 * probe.h - `sallyport check HOST`: a server is asked, what it does is found out.
 *
 *     struct sp_probe_options o = {.talk = &target.talk, .choice = choice, ...};
 *     sp_findings_new(SP_SIDE_SERVER, &f);
 *     rc = sp_probe_run(&o, f);
 *
 * The caller has chosen the checks (sp_findings_choose()) and finishes f.
 *
 * Blocks until the run is over.  0, or -SP_E... when it could not even begin; f then
 * says why (sp_findings_failed()) with the exit status.  `*o.stop` turning true (a
 * signal handler may set it) ends the run early and cleanly, with what was found.
 * Everything in o is borrowed for the call.
 */
#ifndef SP_PROBE_H
#define SP_PROBE_H

#include "finding.h"
#include "talk.h"

#include <signal.h>

enum sp_probe_tls { SP_PROBE_TLS_AUTO, SP_PROBE_STARTTLS, SP_PROBE_IMPLICIT };

struct sp_probe_options {
    /* As the client engine wants it (target.h fills it): where, names, TLS contexts,
     * credentials with their secret() callback, timeouts, family, source. */
    const struct sp_talk_opts *talk;
    enum sp_probe_tls tls; /* AUTO: implicit on 465, else STARTTLS */
    struct sp_check_choice choice;
    /* For OpenSSL used directly; PEM files, NULL: none. */
    const char *ca_path, *cert_path, *key_path, *bad_cert_path, *bad_key_path;
    const char *send_to, *send_from; /* --send-to; sender of test mail (NULL: user) */
    /* For --profile mx: the resolver to ask ("127.0.0.1@5300"; NULL: the system's), and
     * a trust anchor instead of the root's: a DS or DNSKEY record as text. */
    const char *dns, *dns_anchor;
    const volatile sig_atomic_t *stop;
};

int sp_probe_run(const struct sp_probe_options *o, struct sp_findings *f);

#endif
