/* ca_i.h - what the files of the small CA share.  Everybody else: ca.h. */
#ifndef SP_CA_I_H
#define SP_CA_I_H

#include "ca.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define SP_CA_ENTRIES_MAX 100000

struct sp_ca_line { /* one certificate of the index; all strings in `text` */
    char *text;
    struct sp_ca_entry e;
};

struct sp_ca {
    char *dir;
    int lock; /* descriptor */
    X509 *cert;
    EVP_PKEY *key;
    struct sp_ca_line *line;
    size_t lines, cap;
};

/* ca_file.c: whole files, replaced atomically; the index */
int sp_ca_write(const char *path, unsigned mode, struct sp_str content,
                struct sp_err *err);
int sp_ca_read(const char *path, size_t max, struct sp_buf *b, struct sp_err *err);
int sp_ca_read_index(struct sp_ca *ca, struct sp_err *err);
int sp_ca_write_index(struct sp_ca *ca, struct sp_err *err);
int sp_ca_add_line(struct sp_ca *ca, const struct sp_ca_entry *e, struct sp_err *err);
void sp_ca_free_index(struct sp_ca *ca);
int sp_ca_lock(const char *dir, int *ret_fd, struct sp_err *err);
/* PEM of any of the three, appended; NULL: not this one. */
int sp_ca_put_pem(struct sp_buf *b, X509 *x, EVP_PKEY *key, X509_CRL *crl);
char *sp_ca_path(const char *dir, const char *file); /* sp_free() */

int sp_ca_openssl(struct sp_err *err, const char *what); /* -SP_EIO with its reason */

#endif
