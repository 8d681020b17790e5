/*
 * ca.h - a small certificate authority in a directory: for quickstart and `cert`.
 *
 *     sp_ca_create("DATA/ca", "Example mail CA", 3650, &err);
 *     sp_ca_open("DATA/ca", &ca, &err);
 *     sp_ca_issue_server(ca, names, n, 825, "server.pem", "server.key", &err);
 *     sp_ca_issue_client(ca, &want, &err);
 *     sp_ca_revoke(ca, serial, &err);
 *     sp_ca_close(ca);
 *
 * The directory holds ca.pem, ca.key (0600), crl.pem and index, one line for each
 * certificate issued.  Keys are P-256.  Each file is written beside its place, synced
 * and renamed: a reader sees the old or the new one, never half.  sp_ca_open() takes a
 * lock on the directory, so that two commands cannot lose each other's lines.
 *
 * Errors: -SP_EEXIST a CA is there already, -SP_ENOENT no CA or no such certificate,
 * -SP_EINPUT a name that cannot go into a certificate, -SP_EIO, -SP_EAGAIN locked.
 */
#ifndef SP_CA_H
#define SP_CA_H

#include "grant.h"

#define SP_CA_CRL_DAYS   30
#define SP_CA_SERIAL_MAX 41 /* hex, NUL included */

struct sp_ca;

int sp_ca_create(const char *dir, const char *name, unsigned days, struct sp_err *err);
int sp_ca_open(const char *dir, struct sp_ca **ret_ca, struct sp_err *err);
void sp_ca_close(struct sp_ca *ca);

/* names: DNS names and IP addresses; the first is the subject's CN as well. */
int sp_ca_issue_server(struct sp_ca *ca, const char *const *names, size_t n,
                       unsigned days, const char *cert_path, const char *key_path,
                       struct sp_err *err);

enum sp_p12_kind {
    SP_P12_NONE,
    SP_P12_MODERN, /* AES-256, PBKDF2, MAC SHA-256 */
    SP_P12_PHONE,  /* 3DES, SHA-1: what older Android, iOS and Windows can open */
};
struct sp_ca_client {
    struct sp_str user; /* account name: the subject's CN */
    struct sp_str
        address; /* rfc822Name; SmtpUTF8Mailbox when not ASCII; may be empty */
    unsigned days;
    const char *cert_path; /* certificate, then the CA's; NULL: not wanted */
    const char *key_path;
    const char *p12_path;
    enum sp_p12_kind p12;
    struct sp_str p12_password;
    char ret_serial[SP_CA_SERIAL_MAX]; /* written */
};
int sp_ca_issue_client(struct sp_ca *ca, struct sp_ca_client *want, struct sp_err *err);

struct sp_ca_entry {
    const char *serial; /* hex */
    bool is_client;
    const char *user; /* account, or the server's first name */
    const char *address;
    const char *fingerprint; /* SHA-256, hex */
    int64_t not_before_s, not_after_s;
    int64_t revoked_s; /* 0: not revoked */
};
/* Each line of the index, oldest first, until `each` returns non-zero. */
int sp_ca_list(struct sp_ca *ca, int (*each)(void *arg, const struct sp_ca_entry *e),
               void *arg, struct sp_err *err);
/* By serial or by fingerprint; the CRL is rewritten at once.  -SP_EEXIST: it was. */
int sp_ca_revoke(struct sp_ca *ca, const char *serial_or_fingerprint,
                 struct sp_err *err);
/* All certificates of an account: how many were revoked. */
int sp_ca_revoke_user(struct sp_ca *ca, struct sp_str user, struct sp_err *err);
/* Writes crl.pem again, good for SP_CA_CRL_DAYS. */
int sp_ca_refresh_crl(struct sp_ca *ca, struct sp_err *err);
/* When the CRL in this PEM file has to be renewed. */
int sp_ca_crl_next(const char *path, int64_t *ret_next_s, struct sp_err *err);

#endif
