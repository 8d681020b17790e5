/* cmd_dkim.c - `sallyport cert dkim`: a key for DKIM, and what belongs into DNS. */
#include "cli.h"
#include "dkim.h"
#include "err.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PEM_MAX = 65536, STRING_MAX = 255, DEFAULT_BITS = 2048 };

static const struct sp_option options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    {"selector", 's', "NAME", "which of the domain's keys this is (default: the month, as s202611)"},
    {"ed25519", 0, NULL, "an Ed25519 key (RFC 8463): small, but not every receiver knows it"},
    {"bits", 0, "N", "size of an RSA key: 2048 (default), 3072 or 4096"},
    {"out", 'o', "FILE", "where the key goes (default: DATA/dkim/DOMAIN.SELECTOR.pem)"},
    {"key", 'k', "FILE", "make none: say what belongs into DNS for this one"},
    SP_OPT_END};

/* Made new or not at all: an overwritten key cannot be had back. */
static int write_new(const char *path, struct sp_str text, struct sp_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good;

    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_PEER, errno == EEXIST ? SP_EEXIST : SP_EIO,
                          "cannot create %s", path);
    good = write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    if (!good)
        (void)sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write %s", path);
    if (close(fd) < 0 && good)
        good = !sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write %s", path);
    if (!good)
        (void)unlink(path);
    return good ? 0 : -SP_EIO;
}

/* A TXT record in the form of zone files: strings of at most 255 octets. */
static void print_record(const char *domain, const char *selector, struct sp_str value)
{
    printf("%s._domainkey.%s. IN TXT (", selector, domain);
    for (size_t at = 0; at < value.n; at += STRING_MAX)
        printf(" \"%.*s\"", (int)(value.n - at < STRING_MAX ? value.n - at : STRING_MAX),
               value.p + at);
    printf(" )\n");
}

static void print_section(const char *domain, const char *selector, const char *path)
{
    printf("\nPublish this record first; when DNS has it, add this to the configuration and "
           "reload:\n\n"
           "dkim %s {\n    domain = %s\n    selector = %s\n    key = %s\n}\n",
           selector, domain, selector, path);
}

static int default_path(const struct sp_args *a, const char *domain, const char *selector,
                        char *out, size_t cap)
{
    struct sp_conf *conf = NULL;
    int status = EX_CONFIG;
    const char *data = sp_data_dir(a, &conf, &status);

    if (data) {
        snprintf(out, cap, "%s/dkim", data);
        (void)mkdir(out, 0700);
        snprintf(out, cap, "%s/dkim/%s.%s.pem", data, domain, selector);
        status = 0;
    }
    sp_conf_unref(conf);
    return status;
}

/* What will stand in the key file, in the record and in a signature is one thing: sign
 * something, so that names which cannot work are refused here. */
static int try_names(const struct sp_dkim_key *key, const char *domain, const char *selector,
                     struct sp_err *err)
{
    static const uint8_t hash[SP_DKIM_HASH];
    struct sp_dkim_how how = {.key = key, .domain = domain, .selector = selector};
    struct sp_buf out;
    int rc;

    sp_buf_init(&out, SP_DKIM_FIELD_MAX);
    rc = sp_dkim_sign(&how, SP_LIT("From: a@example.org\r\n\r\n"), hash, 0, &out, err);
    sp_buf_free(&out);
    return rc;
}

static int make(const struct sp_args *a, unsigned bits, const char *domain,
                const char *selector, struct sp_buf *pem, char *path, size_t cap,
                struct sp_err *err)
{
    int status;

    if (sp_arg(a, "key")) {
        snprintf(path, cap, "%s", sp_arg(a, "key"));
        return sp_read_file(path, PEM_MAX, pem, err) < 0 ? sp_fail_err(err) : 0;
    }
    if (sp_dkim_key_make(bits, pem, err) < 0)
        return sp_fail_err(err);
    snprintf(path, cap, "%s", sp_arg(a, "out") ? sp_arg(a, "out") : "");
    status = *path ? 0 : default_path(a, domain, selector, path, cap);
    return status;
}

static int run_dkim(const struct sp_args *a)
{
    const char *domain = a->n_rest == 1 ? a->rest[0] : NULL, *selector = sp_arg(a, "selector");
    const char *bits_text = sp_arg(a, "bits");
    char path[4200], month[16];
    uint64_t bits = sp_arg_given(a, "ed25519") ? 0 : DEFAULT_BITS;
    struct sp_dkim_key *key = NULL;
    struct sp_buf pem, record;
    struct sp_err err = {0};
    time_t now = time(NULL);
    int status;

    if (!domain)
        return sp_usage_error(a, "name one domain");
    if (bits_text && (bits == 0 || sp_str_u64(sp_str(bits_text), 4096, &bits) < 0 ||
                      (bits != 2048 && bits != 3072 && bits != 4096)))
        return sp_usage_error(a, "--bits wants 2048, 3072 or 4096, and an RSA key");
    (void)strftime(month, sizeof month, "s%Y%m", gmtime(&now));
    selector = selector ? selector : month;
    sp_buf_init(&pem, PEM_MAX);
    sp_buf_init(&record, PEM_MAX);
    status = make(a, (unsigned)bits, domain, selector, &pem, path, sizeof path, &err);
    if (status == 0 && (sp_dkim_key_new(sp_buf_view(&pem), &key, &err) < 0 ||
                        try_names(key, domain, selector, &err) < 0 ||
                        sp_dkim_key_record(key, &record, &err) < 0 ||
                        (!sp_arg(a, "key") && write_new(path, sp_buf_view(&pem), &err) < 0)))
        status = sp_fail_err(&err);
    if (status == 0) {
        print_record(domain, selector, sp_buf_view(&record));
        print_section(domain, selector, path);
    }
    sp_dkim_key_free(key);
    sp_buf_wipe(&pem);
    sp_buf_free(&record);
    return status;
}

const struct sp_command sp_cmd_cert_dkim = {
    .name = "dkim",
    .summary = "make a key for DKIM signatures and print the DNS record",
    .usage = "DOMAIN [--selector NAME] [--ed25519] [--out FILE] | DOMAIN --key FILE",
    .options = options,
    .run = run_dkim};
