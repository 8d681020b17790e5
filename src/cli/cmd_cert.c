/* cmd_cert.c - `sallyport cert`: a small CA, certificates for servers and users. */
#include "ca.h"
#include "certmap.h"
#include "cli.h"
#include "err.h"
#include "users.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct sp_option ca_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    {"name", 'n', "NAME", "name of the CA (default: the host name)"},
    {"days", 0, "N", "how long it is valid (default 3650)"},
    SP_OPT_END};
static const struct sp_option server_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    {"name", 'n', "NAME", "DNS name; may be given again"},
    {"ip", 0, "ADDRESS", "IP address; may be given again"},
    {"days", 0, "N", "how long it is valid (default 825)"},
    {"out", 'o', "DIR", "where server.pem and server.key go (default: DATA/tls)"},
    SP_OPT_END};
static const struct sp_option client_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    {"address", 'a', "ADDRESS", "address in the certificate (default: the account's first)"},
    {"days", 0, "N", "how long it is valid (default 397)"},
    {"out", 'o', "DIR", "where NAME.pem and NAME.key go (default: here)"},
    {"p12", 0, NULL, "also NAME.p12 for mail programs (asks for a password)"},
    {"p12-phone", 0, NULL, "the same in the form that older phones can open"},
    {"password-file", 'P', "FILE", "password of the .p12 file"},
    SP_OPT_END};
static const struct sp_option list_options[] = {SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_JSON,
                                                SP_OPT_END};
static const struct sp_option plain_options[] = {SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_END};
static const struct sp_option revoke_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    {"user", 'u', NULL, "the word is an account: all of its certificates"},
    SP_OPT_END};
static const struct sp_option pin_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA, {"remove", 0, NULL, "forget the pin"}, SP_OPT_END};

struct ctx {
    struct sp_conf *conf;
    const char *data;
    char dir[4096];
    struct sp_ca *ca;
    struct sp_err err;
};

static int end(struct ctx *x, int rc)
{
    int status = rc < 0 ? sp_fail_err(&x->err) : 0;

    sp_ca_close(x->ca);
    sp_conf_unref(x->conf);
    return status;
}

static int begin(const struct sp_args *a, struct ctx *x, bool open)
{
    int status = EX_CONFIG, rc;

    memset(x, 0, sizeof *x);
    x->data = sp_data_dir(a, &x->conf, &status);
    if (!x->data)
        return status;
    if (mkdir(x->data, 0750) == 0)
        (void)chmod(x->data, 0750);
    snprintf(x->dir, sizeof x->dir, "%s/ca", x->data);
    rc = open ? sp_ca_open(x->dir, &x->ca, &x->err) : 0;
    if (rc == -SP_ENOENT)
        (void)sp_err_set(&x->err, SP_CLASS_PEER, SP_ENOENT,
                         "there is no CA in %s yet: make one with `sallyport cert ca`",
                         x->dir);
    return rc < 0 ? end(x, rc) : 0;
}

static int days(const struct sp_args *a, unsigned usual, unsigned *ret)
{
    const char *s = sp_arg(a, "days");
    uint64_t v = usual;

    if (s && (sp_str_u64(sp_str(s), 36500, &v) < 0 || v == 0))
        return sp_usage_error(a, "--days wants a number from 1 to 36500, not `%s`", s);
    *ret = (unsigned)v;
    return 0;
}

static int run_ca(const struct sp_args *a)
{
    struct ctx x;
    const char *name = sp_arg(a, "name");
    unsigned n = 0;
    int rc = days(a, 3650, &n);

    if (rc || (rc = begin(a, &x, false)))
        return rc;
    rc = sp_ca_create(x.dir, name ? name : x.conf ? x.conf->hostname : "Sallyport mail CA", n,
                      &x.err);
    if (rc == 0)
        printf("%s/ca.pem\n", x.dir);
    return end(&x, rc);
}

static int run_server(const struct sp_args *a)
{
    struct ctx x;
    const char *names[64];
    char out[4096], cert[4200], key[4200];
    size_t n = 0;
    unsigned d = 0;
    int rc = days(a, 825, &d);

    for (size_t i = 0; i < sp_arg_count(a, "name") && n < 64; i++)
        names[n++] = sp_arg_nth(a, "name", i);
    for (size_t i = 0; i < sp_arg_count(a, "ip") && n < 64; i++)
        names[n++] = sp_arg_nth(a, "ip", i);
    if (n == 0)
        return sp_usage_error(a, "give at least one --name or --ip");
    if (rc || (rc = begin(a, &x, true)))
        return rc;
    snprintf(out, sizeof out, "%s/tls", x.data);
    if (sp_arg(a, "out"))
        snprintf(out, sizeof out, "%s", sp_arg(a, "out"));
    (void)mkdir(out, 0700);
    snprintf(cert, sizeof cert, "%s/server.pem", out);
    snprintf(key, sizeof key, "%s/server.key", out);
    rc = sp_ca_issue_server(x.ca, names, n, d, cert, key, &x.err);
    if (rc == 0)
        printf("%s\n%s\n", cert, key);
    return end(&x, rc);
}

/* The account's first address; without a database or account the name, if it is one. */
static int address_of(const char *data, const char *user, char *out, size_t cap,
                      struct sp_err *err)
{
    char path[4200];
    struct sp_users *db;
    struct sp_user *u;
    int rc;

    snprintf(path, sizeof path, "%s/users.db", data);
    rc = sp_users_open(path, SP_USERS_READ, &db, err);
    if (rc < 0)
        return rc;
    rc = sp_users_find(db, sp_str(user), &u, err);
    if (rc == 0) {
        snprintf(out, cap, "%s", u->first_address);
        sp_user_free(u);
    }
    sp_users_close(db);
    return rc;
}

static int run_client(const struct sp_args *a)
{
    struct ctx x;
    char address[SP_ADDRESS_MAX + 1] = "", cert[4200], key[4200], p12[4200];
    const char *out = sp_arg(a, "out") ? sp_arg(a, "out") : ".";
    bool phone = sp_arg_given(a, "p12-phone"), want = phone || sp_arg_given(a, "p12");
    struct sp_ca_client c = {.cert_path = cert, .key_path = key};
    struct sp_buf password = {.p = NULL};
    int rc = days(a, 397, &c.days);

    if (rc)
        return rc;
    if (a->n_rest != 1)
        return sp_usage_error(a, "name one account");
    if ((rc = begin(a, &x, true)))
        return rc;
    if (strchr(a->rest[0], '/'))
        return sp_ca_close(x.ca), sp_usage_error(a, "an account has no slash in its name");
    if (sp_arg(a, "address"))
        snprintf(address, sizeof address, "%s", sp_arg(a, "address"));
    else
        rc = address_of(x.data, a->rest[0], address, sizeof address, &x.err);
    if (rc == 0 && want)
        rc = sp_read_secret(a, "password-file", NULL, "SALLYPORT_P12_PASSWORD",
                            "Password of the .p12 file", &password, &x.err);
    snprintf(cert, sizeof cert, "%s/%s.pem", out, a->rest[0]);
    snprintf(key, sizeof key, "%s/%s.key", out, a->rest[0]);
    snprintf(p12, sizeof p12, "%s/%s.p12", out, a->rest[0]);
    c.user = sp_str(a->rest[0]);
    c.address = sp_str(address);
    c.p12 = phone ? SP_P12_PHONE : want ? SP_P12_MODERN : SP_P12_NONE;
    c.p12_path = want ? p12 : NULL;
    c.p12_password = sp_buf_view(&password);
    if (rc == 0)
        rc = sp_ca_issue_client(x.ca, &c, &x.err);
    if (rc == 0)
        printf("%s\n%s\n%s%s", cert, key, want ? p12 : "", want ? "\n" : "");
    sp_buf_wipe(&password);
    return end(&x, rc);
}

static void day(int64_t s, char out[16])
{
    time_t t = (time_t)s;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(out, 16, "%Y-%m-%d", &tm);
}

static int put_entry(void *arg, const struct sp_ca_entry *e)
{
    const struct sp_args *a = arg;
    char until[16], revoked[16] = "";
    const char *state = e->revoked_s                         ? "revoked"
                        : e->not_after_s < (int64_t)time(NULL) ? "expired"
                                                               : "valid";

    day(e->not_after_s, until);
    if (e->revoked_s)
        day(e->revoked_s, revoked);
    if (sp_arg_given(a, "json"))
        printf("{\"serial\":\"%s\",\"kind\":\"%s\",\"name\":\"%s\",\"address\":\"%s\","
               "\"fingerprint\":\"%s\",\"until\":\"%s\",\"state\":\"%s\"}\n",
               e->serial, e->is_client ? "client" : "server", e->user, e->address,
               e->fingerprint, until, state);
    else
        printf("%-8s %s  %-7s %-20s %-28s %s\n", state, until,
               e->is_client ? "client" : "server", e->user, e->address, e->serial);
    return 0;
}

static int run_list(const struct sp_args *a)
{
    struct ctx x;
    int rc = begin(a, &x, true);

    if (rc)
        return rc;
    return end(&x, sp_ca_list(x.ca, put_entry, (void *)(uintptr_t)a, &x.err));
}

static int run_revoke(const struct sp_args *a)
{
    struct ctx x;
    int rc;

    if (a->n_rest != 1)
        return sp_usage_error(a, "name one serial number, fingerprint or (--user) account");
    if ((rc = begin(a, &x, true)))
        return rc;
    rc = sp_arg_given(a, "user") ? sp_ca_revoke_user(x.ca, sp_str(a->rest[0]), &x.err)
                                 : sp_ca_revoke(x.ca, a->rest[0], &x.err);
    if (rc >= 0)
        printf("%s/crl.pem\n", x.dir);
    return end(&x, rc);
}

static int run_crl(const struct sp_args *a)
{
    struct ctx x;
    int rc = begin(a, &x, true);

    if (rc)
        return rc;
    rc = sp_ca_refresh_crl(x.ca, &x.err);
    if (rc == 0)
        printf("%s/crl.pem\n", x.dir);
    return end(&x, rc);
}

static int run_pin(const struct sp_args *a)
{
    struct ctx x;
    char path[4200];
    struct sp_users *db = NULL;
    struct sp_cert_facts f;
    struct sp_buf pem;
    int rc;

    if (a->n_rest != 2)
        return sp_usage_error(a, "name one account and one certificate file");
    if ((rc = begin(a, &x, false)))
        return rc;
    snprintf(path, sizeof path, "%s/users.db", x.data);
    rc = sp_read_file(a->rest[1], 1 << 20, &pem, &x.err);
    if (rc == 0)
        rc = sp_cert_facts(sp_buf_view(&pem), &f, &x.err);
    sp_buf_free(&pem);
    if (rc == 0)
        rc = sp_become_owner(x.data, &x.err);
    if (rc == 0)
        rc = sp_users_open(path, SP_USERS_WRITE, &db, &x.err);
    if (rc == 0)
        rc = sp_users_pin(db, sp_str(a->rest[0]), sp_str(f.spki_sha256),
                          !sp_arg_given(a, "remove"), &x.err);
    sp_users_close(db);
    if (rc == 0)
        printf("%s %s\n", a->rest[0], f.spki_sha256);
    return end(&x, rc);
}

#define CERT_SUB(id, n, s, u, o, r)                                                    \
    static const struct sp_command id = {.name = n, .summary = s, .usage = u, .options = o, \
                                         .run = r}
CERT_SUB(c_ca, "ca", "make a small CA in the data directory", "[--name NAME]", ca_options,
         run_ca);
CERT_SUB(c_server, "server", "issue a server certificate",
         "--name NAME [--name NAME ...] [--ip ADDRESS ...]", server_options, run_server);
CERT_SUB(c_client, "client", "issue a client certificate for an account",
         "ACCOUNT [--out DIR] [--p12]", client_options, run_client);
CERT_SUB(c_list, "list", "certificates issued, with expiry", "[--json]", list_options,
         run_list);
CERT_SUB(c_revoke, "revoke", "revoke a certificate; live sessions end at their next mail",
         "SERIAL | FINGERPRINT | --user ACCOUNT", revoke_options, run_revoke);
CERT_SUB(c_crl, "crl", "write the revocation list anew (it is valid for 30 days)", "",
         plain_options, run_crl);
CERT_SUB(c_pin, "pin", "let an existing certificate's key stand for an account",
         "ACCOUNT FILE [--remove]", pin_options, run_pin);

static const struct sp_command *const subs[] = {&c_ca,     &c_server, &c_client, &c_list,
                                                &c_revoke, &c_crl,    &c_pin,    NULL};

const struct sp_command sp_cmd_cert = {
    .name = "cert", .summary = "certificates: a small CA, servers, users", .sub = subs};
