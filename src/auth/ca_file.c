/* ca_file.c - see ca_i.h: the CA's files. */
#include "ca_i.h"

#include "alloc.h"
#include "err.h"
#include "fdio.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX_HEAD "# sallyport ca index 1"

int sp_ca_openssl(struct sp_err *err, const char *what)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());

    (void)sp_err_set(err, SP_CLASS_BUG, SP_EIO, "%s: %s", what, why ? why : "failed");
    ERR_clear_error();
    return -SP_EIO;
}

char *sp_ca_path(const char *dir, const char *file)
{
    size_t n = strlen(dir) + strlen(file) + 2;
    char *p = sp_alloc(n);

    if (p)
        snprintf(p, n, "%s/%s", dir, file);
    return p;
}

/* A rename is lasting only when the directory is synced, too. */
static int sync_dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? sp_strndup(path, (size_t)(slash - path) + (slash == path))
                      : sp_strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int rc = fd < 0 ? -1 : fsync(fd);

    if (fd >= 0)
        close(fd);
    sp_free(dir);
    return rc;
}

int sp_ca_write(const char *path, unsigned mode, struct sp_str content,
                struct sp_err *err)
{
    size_t n = strlen(path) + sizeof ".XXXXXX";
    char *tmp = sp_alloc(n);
    int fd, rc = 0;

    if (!tmp)
        return sp_err_nomem(err);
    snprintf(tmp, n, "%s.XXXXXX", path);
    fd = mkostemp(tmp, O_CLOEXEC); /* 0600 from the start: it may be a key */
    if (fd < 0 || sp_write_all(fd, content) < 0 || fchmod(fd, (mode_t)mode) < 0 ||
        fsync(fd) < 0 || rename(tmp, path) < 0 || sync_dir_of(path) < 0)
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, errno == ENOSPC ? SP_ENOSPC : SP_EIO,
                        "cannot write %s", path);
    if (fd >= 0)
        close(fd);
    if (rc < 0 && fd >= 0)
        (void)unlink(tmp);
    sp_free(tmp);
    return rc;
}

int sp_ca_read(const char *path, size_t max, struct sp_buf *b, struct sp_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    char chunk[8192];
    ssize_t n = 0;

    sp_buf_init(b, max);
    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, errno == ENOENT ? SP_ENOENT : SP_EIO,
                          "cannot read %s", path);
    while (rc == 0 && (n = read(fd, chunk, sizeof chunk)) > 0)
        rc = sp_buf_put(b, chunk, (size_t)n);
    if (n < 0)
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read %s", path);
    else if (rc < 0)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "%s is too large", path);
    close(fd);
    sp_wipe(chunk, sizeof chunk);
    if (rc < 0)
        sp_buf_wipe(b);
    return rc;
}

int sp_ca_lock(const char *dir, int *ret_fd, struct sp_err *err)
{
    char *path = sp_ca_path(dir, "lock");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    int rc = 0;

    if (fd < 0)
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, errno == ENOENT ? SP_ENOENT : SP_EIO,
                        "cannot lock the certificate authority in %s", dir);
    sp_free(path);
    /* Another command is done in a moment. */
    for (int i = 0; rc == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (i == 40)
            rc = sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN,
                            "the certificate authority in %s is in use", dir);
        else
            (void)usleep(50000);
    }
    if (rc == 0)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return rc;
}

int sp_ca_put_pem(struct sp_buf *b, X509 *x, EVP_PKEY *key, X509_CRL *crl)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *p = NULL;
    long n;
    int ok = bio != NULL;

    if (ok && x)
        ok = PEM_write_bio_X509(bio, x);
    if (ok && key)
        ok = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    if (ok && crl)
        ok = PEM_write_bio_X509_CRL(bio, crl);
    n = ok ? BIO_get_mem_data(bio, &p) : 0;
    ok = ok && n > 0 && sp_buf_put(b, p, (size_t)n) == 0;
    if (p && n > 0)
        sp_wipe(p, (size_t)n);
    BIO_free(bio);
    return ok ? 0 : -SP_ENOMEM;
}

/* ---- The index: one line a certificate, fields separated by tabs ----
 *
 *     serial kind user address not_before not_after fingerprint revoked
 */

static int parse_line(struct sp_ca_line *l)
{
    char *field[8], *p = l->text;
    uint64_t number[3];
    static const int at[3] = {4, 5, 7};

    for (int i = 0; i < 8; i++) {
        char *tab = strchr(p, '\t');

        if (!tab != (i == 7))
            return -SP_EINPUT;
        field[i] = p;
        if (tab) {
            *tab = '\0';
            p = tab + 1;
        }
    }
    for (int i = 0; i < 3; i++)
        if (sp_str_u64(sp_str(field[at[i]]), INT64_MAX, &number[i]) < 0)
            return -SP_EINPUT;
    if (strcmp(field[1], "client") != 0 && strcmp(field[1], "server") != 0)
        return -SP_EINPUT;
    l->e = (struct sp_ca_entry){.serial = field[0],
                                .is_client = field[1][0] == 'c',
                                .user = field[2],
                                .address = field[3],
                                .not_before_s = (int64_t)number[0],
                                .not_after_s = (int64_t)number[1],
                                .fingerprint = field[6],
                                .revoked_s = (int64_t)number[2]};
    return 0;
}

static int push(struct sp_ca *ca, struct sp_str text)
{
    struct sp_ca_line *l;

    if (ca->lines == SP_CA_ENTRIES_MAX)
        return -SP_ELIMIT;
    if (ca->lines == ca->cap) {
        size_t cap = ca->cap ? 2 * ca->cap : 16;

        l = sp_realloc(ca->line, cap * sizeof *l);
        if (!l)
            return -SP_ENOMEM;
        ca->line = l;
        ca->cap = cap;
    }
    l = &ca->line[ca->lines];
    l->text = sp_str_dup(text);
    if (!l->text || parse_line(l) < 0) {
        sp_free(l->text);
        return -SP_EINPUT;
    }
    ca->lines++;
    return 0;
}

int sp_ca_read_index(struct sp_ca *ca, struct sp_err *err)
{
    char *path = sp_ca_path(ca->dir, "index");
    struct sp_buf b;
    struct sp_str rest;
    unsigned number = 1;
    int rc = path ? sp_ca_read(path, 64u << 20, &b, err) : sp_err_nomem(err);

    if (rc < 0)
        goto out;
    rest = sp_buf_view(&b);
    if (!sp_str_is(sp_str_cut(&rest, '\n'), INDEX_HEAD))
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EVERSION,
                        "%s is not an index that this program knows", path);
    while (rc == 0 && rest.n) {
        number++;
        rc = push(ca, sp_str_cut(&rest, '\n'));
        if (rc < 0)
            rc = sp_err_set(err, SP_CLASS_PEER, (enum sp_code) - rc,
                            "%s:%u: not a line of an index", path, number);
    }
    sp_buf_free(&b);
out:
    sp_free(path);
    return rc;
}

static int put_line(struct sp_buf *b, const struct sp_ca_entry *e)
{
    return sp_buf_printf(b, "%s\t%s\t%s\t%s\t%lld\t%lld\t%s\t%lld\n", e->serial,
                         e->is_client ? "client" : "server", e->user, e->address,
                         (long long)e->not_before_s, (long long)e->not_after_s,
                         e->fingerprint, (long long)e->revoked_s);
}

int sp_ca_write_index(struct sp_ca *ca, struct sp_err *err)
{
    char *path = sp_ca_path(ca->dir, "index");
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, 64u << 20);
    rc = path ? sp_buf_puts(&b, INDEX_HEAD "\n") : -SP_ENOMEM;
    for (size_t i = 0; rc == 0 && i < ca->lines; i++)
        rc = put_line(&b, &ca->line[i].e);
    rc = rc < 0 ? sp_err_nomem(err) : sp_ca_write(path, 0600, sp_buf_view(&b), err);
    sp_buf_free(&b);
    sp_free(path);
    return rc;
}

int sp_ca_add_line(struct sp_ca *ca, const struct sp_ca_entry *e, struct sp_err *err)
{
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, 8192);
    rc = put_line(&b, e);
    if (rc == 0) {
        b.n--; /* without the newline */
        rc = push(ca, sp_buf_view(&b));
    }
    sp_buf_free(&b);
    if (rc < 0)
        return sp_err_set(err, SP_CLASS_BUG, (enum sp_code) - rc,
                          "the certificate does not fit into the index");
    return sp_ca_write_index(ca, err);
}

void sp_ca_free_index(struct sp_ca *ca)
{
    for (size_t i = 0; i < ca->lines; i++)
        sp_free(ca->line[i].text);
    sp_free(ca->line);
    ca->line = NULL;
    ca->lines = ca->cap = 0;
}
