/*
 * chk_tls.c - what a handshake shows: the certificate (P30), stapling (P31), versions and
 * groups (P32), the wish for a certificate of ours (P34), tickets and the end (P22).
 */
#include "probe_i.h"

#include "text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SOON_DAYS = 14, RSA_BITS = 2048, EC_BITS = 224 };

static void date(int64_t s, char *out, size_t cap)
{
    time_t t = (time_t)s;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(out, cap, "%Y-%m-%d", &tm))
        (void)snprintf(out, cap, "?");
}

/* Mail servers rarely check each other's certificates without DANE or MTA-STS. */
static void cert_found(struct sp_probe *p, const struct sp_pw *w, enum sp_finding_id id,
                       const char *f1, const char *f2)
{
    enum sp_severity s = (enum sp_severity)sp_finding_row(id)->severity;

    sp_probe_found_as(p, p->mx && s > SP_SEV_ADVICE ? SP_SEV_ADVICE : s, w, 0, id, f1,
                      f2, NULL);
}

static void certificate(struct sp_probe *p, const struct sp_pw *w)
{
    const struct sp_pw_facts *f = &w->tls;
    int64_t left = f->not_after_s - (int64_t)time(NULL);
    char when[24], bits[24];
    bool weak = (f->key_type == EVP_PKEY_RSA && f->key_bits < RSA_BITS) ||
                (f->key_type == EVP_PKEY_EC && f->key_bits < EC_BITS);

    p->cert_unfit = !f->name_ok || !f->dates_ok || (!f->chain_ok && p->o->ca_path);
    p->issuer_unknown = !f->chain_ok;
    if (!sp_probe_want(p, SP_C_P30))
        return;
    date(f->not_after_s, when, sizeof when);
    (void)snprintf(bits, sizeof bits, "%d", f->key_bits);
    if (!f->chain_ok)
        cert_found(p, w,
                   f->self_signed      ? SP_F_CERT_SELF_SIGNED
                   : f->missing_issuer ? SP_F_CERT_ISSUER_UNKNOWN
                                       : SP_F_CERT_CHAIN,
                   f->chain_why, NULL);
    if (!f->name_ok)
        cert_found(p, w, SP_F_CERT_NAME, p->tls_name, f->names);
    if (!f->dates_ok)
        cert_found(p, w, left < 0 ? SP_F_CERT_EXPIRED : SP_F_CERT_NOT_YET, when, NULL);
    else if (left < SOON_DAYS * 86400)
        cert_found(p, w, SP_F_CERT_EXPIRES_SOON, when, NULL);
    if (weak)
        cert_found(p, w, SP_F_CERT_WEAK_KEY, bits, NULL);
    if (f->weak_signature && !f->self_signed)
        cert_found(p, w, SP_F_CERT_WEAK_SIGNATURE, f->signature, NULL);
    if (f->chain_ok && f->name_ok && f->dates_ok && !weak)
        cert_found(p, w, SP_F_CERT_GOOD, p->tls_name, when);
    (void)sp_findings_fact(p->f, "certificate", sp_str(f->subject));
    sp_probe_done(p, SP_C_P30);
}

static void stapling(struct sp_probe *p, const struct sp_pw *w)
{
    if (!sp_probe_want(p, SP_C_P31))
        return;
    if (w->tls.must_staple && !w->tls.stapled)
        cert_found(p, w, SP_F_MUST_STAPLE_MISSING, NULL, NULL);
    else if (w->tls.stapled)
        cert_found(p, w, SP_F_STAPLED, NULL, NULL);
    else
        cert_found(p, w, SP_F_NOT_STAPLED, NULL, NULL);
    sp_probe_done(p, SP_C_P31);
}

static void versions(struct sp_probe *p, const struct sp_pw *w)
{
    const struct sp_pw_facts *f = &w->tls;

    if (!sp_probe_want(p, SP_C_P32))
        return;
    if (f->version < TLS1_3_VERSION)
        cert_found(p, w, SP_F_TLS_12_ONLY, f->version_name, NULL);
    if (!f->forward_secrecy)
        cert_found(p, w, SP_F_TLS_NO_FORWARD_SECRECY, f->cipher, NULL);
    if (!f->extended_master_secret)
        cert_found(p, w, SP_F_TLS_NO_EXTENDED_SECRET, NULL, NULL);
    if (f->version >= TLS1_3_VERSION)
        cert_found(p, w, SP_F_TLS_13, f->cipher, f->group);
    (void)sp_findings_fact(p->f, "tls-version", sp_str(f->version_name));
    (void)sp_findings_fact(p->f, "cipher", sp_str(f->cipher));
    (void)sp_findings_fact(p->f, "group", sp_str(f->group));
    sp_probe_done(p, SP_C_P32);
}

static void asked_for(struct sp_probe *p, const struct sp_pw *w)
{
    const struct sp_pw_facts *f = &w->tls;
    char n[16];

    if (!sp_probe_want(p, SP_C_P34))
        return;
    (void)snprintf(n, sizeof n, "%u", f->ca_names);
    if (!f->cert_asked)
        cert_found(p, w, SP_F_CERT_NOT_ASKED, NULL, NULL);
    else if (f->ca_names)
        cert_found(p, w, SP_F_CERT_ASKED_NAMES, n, f->ca_name);
    else
        cert_found(p, w, SP_F_CERT_ASKED, NULL, NULL);
    sp_probe_done(p, SP_C_P34);
}

void sp_probe_tls_findings(struct sp_probe *p, const struct sp_pw *w)
{
    certificate(p, w);
    stapling(p, w);
    versions(p, w);
    asked_for(p, w);
}

/* Once, on the first connection that ended in order. */
void sp_probe_tls_end(struct sp_probe *p, const struct sp_pw *w)
{
    const struct sp_pw_facts *f = &w->tls;
    char n[16];

    /* The connection that tries old versions tells nothing about tickets. */
    if (!f->up || f->version < TLS1_2_VERSION ||
        sp_findings_check(p->f, SP_C_P22)->state == SP_CHECK_DONE ||
        w->end != SP_PW_EOF || !w->n_seen || w->seen[w->n_seen - 1].code != 221 ||
        !sp_probe_want(p, SP_C_P22))
        return;
    (void)snprintf(n, sizeof n, "%u", f->tickets);
    if (f->tickets)
        cert_found(p, w, SP_F_SESSION_TICKETS, n, NULL);
    else if (f->version >= TLS1_3_VERSION)
        cert_found(p, w, SP_F_NO_SESSION_TICKETS, NULL, NULL);
    if (!f->close_notify)
        cert_found(p, w, SP_F_NO_CLOSE_NOTIFY, NULL, NULL);
    sp_probe_done(p, SP_C_P22);
}
