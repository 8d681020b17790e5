/* cmd_cert.c - `sallyport cert`: a small CA, certificates for servers and users. */
#include "ca.h"
#include "certmap.h"
#include "cli.h"
#include "datadir.h"
#include "err.h"
#include "users.h"

#include <jansson.h>
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
static const struct sp_option renew_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    {"days", 0, "N", "how long it is valid (default 397)"},
    {"out", 'o', "DIR", "where NAME.pem and NAME.key go (default: here)"},
    {"p12", 0, NULL, "also NAME.p12 for mail programs (asks for a password)"},
    {"p12-phone", 0, NULL, "the same in the form that older phones can open"},
    {"password-file", 'P', "FILE", "password of the .p12 file"},
    {"revoke-old", 0, NULL, "the earlier ones of this address stop to count at once"},
    SP_OPT_END};
static const struct sp_option pin_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA, {"remove", 0, NULL, "forget the pin (the same as unpin)"},
    SP_OPT_END};
static const struct sp_option map_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    {"by", 0, "WHAT", "uri or dn: which name of FILE counts (default: a URI if it has one)"},
    {"uri", 0, "URI", "instead of FILE: the URI, such as spiffe://example.org/alice"},
    {"subject", 0, "DN", "instead of FILE: the whole subject as RFC 2253 writes it ..."},
    {"issuer", 0, "DN", "... and its issuer"},
    SP_OPT_END};

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

    (void)sp_data_path(path, sizeof path, data, SP_DATA_USERS, "users.db");
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

/* Certificates of one account and address that still count. */
struct wanted {
    const char *user, *address; /* address NULL: any */
    char last[SP_ADDRESS_MAX + 1];
    bool found;
    char serial[64][SP_CA_SERIAL_MAX];
    size_t n;
};

static int note_old(void *arg, const struct sp_ca_entry *e)
{
    struct wanted *w = arg;

    if (!e->is_client || e->revoked_s || strcmp(e->user, w->user) != 0 ||
        (w->address && strcmp(e->address, w->address) != 0))
        return 0;
    w->found = true;
    snprintf(w->last, sizeof w->last, "%s", e->address);
    if (w->n < sizeof w->serial / sizeof w->serial[0])
        snprintf(w->serial[w->n++], SP_CA_SERIAL_MAX, "%s", e->serial);
    return 0;
}

/* The address of the account's newest certificate. */
static int newest(struct ctx *x, const char *user, char *out, size_t cap)
{
    struct wanted w = {.user = user};
    int rc = sp_ca_list(x->ca, note_old, &w, &x->err);

    if (rc == 0 && !w.found)
        rc = sp_err_set(&x->err, SP_CLASS_PEER, SP_ENOENT,
                        "%s has no certificate to renew: make one with `sallyport cert "
                        "client`",
                        user);
    if (rc == 0)
        snprintf(out, cap, "%s", w.last);
    return rc;
}

static int list_old(struct ctx *x, const char *user, const char *address,
                    struct wanted *w)
{
    w->user = user;
    w->address = address;
    return sp_ca_list(x->ca, note_old, w, &x->err);
}

static int issue(const struct sp_args *a, bool renew)
{
    struct wanted old = {.user = NULL};
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
    if (strchr(a->rest[0], '/'))
        return sp_usage_error(a, "an account has no slash in its name");
    if ((rc = begin(a, &x, true)))
        return rc;
    if (renew)
        rc = newest(&x, a->rest[0], address, sizeof address);
    else if (sp_arg(a, "address"))
        snprintf(address, sizeof address, "%s", sp_arg(a, "address"));
    else
        rc = address_of(x.data, a->rest[0], address, sizeof address, &x.err);
    if (rc == 0 && renew && sp_arg_given(a, "revoke-old"))
        rc = list_old(&x, a->rest[0], address, &old);
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
    for (size_t i = 0; rc == 0 && i < old.n; i++)
        rc = sp_ca_revoke(x.ca, old.serial[i], &x.err);
    sp_buf_wipe(&password);
    return end(&x, rc);
}

static int run_client(const struct sp_args *a)
{
    return issue(a, false);
}

static int run_renew(const struct sp_args *a)
{
    return issue(a, true);
}

static void day(int64_t s, char out[16])
{
    time_t t = (time_t)s;
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(out, 16, "%Y-%m-%d", &tm);
}

/* One line of `cert list`, whatever it is about. */
struct line {
    const char *state, *kind, *name, *detail, *by, *id;
    int64_t until_s; /* 0: not known */
    bool json;
};

static void put_cert(const struct line *l)
{
    char until[16] = "-";
    json_t *j;

    if (l->until_s)
        day(l->until_s, until);
    if (!l->json) {
        printf("%-8s %-10s  %-7s %-20s %-10s ", l->state, until, l->kind, l->name, l->by);
        sp_say_text(stdout, sp_str(l->detail));
        printf("%s%s\n", *l->detail ? "  " : "", l->id);
        return;
    }
    j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "state", l->state, "kind", l->kind,
                  "name", l->name, "mapped_by", l->by, "detail", l->detail, "id", l->id,
                  "until", until);
    json_dumpf(j, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(j);
}

struct listing {
    const struct sp_args *a;
    struct sp_users *users; /* NULL: none */
};

/* How the server would map it, were its chain good: "rfc822Name", or "nobody". */
static const char *mapped_by(struct listing *k, const struct sp_ca_entry *e)
{
    struct sp_users_hit hit;
    struct sp_err err;

    if (!e->is_client)
        return "";
    if (!k->users)
        return "?";
    if (sp_users_by(k->users, SP_USERS_BY_ADDRESS, sp_str(e->address), (struct sp_str){0},
                    &hit, 1, &err) != 1)
        return "nobody";
    if (!hit.enabled)
        return "disabled";
    for (const char *p = e->address; *p; p++)
        if ((unsigned char)*p > 126)
            return "SmtpUTF8Mailbox";
    return "rfc822Name";
}

static int put_entry(void *arg, const struct sp_ca_entry *e)
{
    struct listing *k = arg;
    struct line l = {
        .state = e->revoked_s                           ? "revoked"
                 : e->not_after_s < (int64_t)time(NULL) ? "expired"
                                                        : "valid",
        .kind = e->is_client ? "client" : "server",
        .name = e->user,
        .detail = e->address,
        .by = mapped_by(k, e),
        .id = e->serial,
        .until_s = e->not_after_s,
        .json = sp_arg_given(k->a, "json"),
    };

    put_cert(&l);
    return 0;
}

static int put_mapping(void *arg, const struct sp_users_certificate *c)
{
    struct listing *k = arg;
    bool pin = c->key == SP_USERS_BY_PIN;
    char both[2100];
    struct line l = {
        .state = !c->enabled                                            ? "disabled"
                 : c->until_s && c->until_s < (int64_t)time(NULL) ? "expired"
                                                                        : "valid",
        .kind = pin ? "pin" : "mapping",
        .name = c->user,
        .detail = pin ? c->second : both,
        .by = pin ? "pin" : c->key == SP_USERS_BY_URI ? "URI" : "DN",
        .id = pin ? c->value : "",
        .until_s = c->until_s,
        .json = sp_arg_given(k->a, "json"),
    };

    snprintf(both, sizeof both, "%s%s%s", c->value, *c->second ? " issued by " : "",
             c->second);
    put_cert(&l);
    return 0;
}

/* Without a database there are no pins; that is no reason not to list the CA's. */
static int open_users(const char *data, enum sp_users_mode mode, struct sp_users **ret,
                      struct sp_err *err)
{
    char path[4200];

    (void)sp_data_path(path, sizeof path, data, SP_DATA_USERS, "users.db");
    return sp_users_open(path, mode, ret, err);
}

static int run_list(const struct sp_args *a)
{
    struct listing k = {.a = a};
    struct ctx x;
    int rc = begin(a, &x, false), ca;

    if (rc)
        return rc;
    rc = open_users(x.data, SP_USERS_READ, &k.users, &x.err);
    if (rc == 0 || rc == -SP_ENOENT) {
        ca = sp_ca_open(x.dir, &x.ca, &x.err);
        rc = ca == -SP_ENOENT ? 0 : ca; /* pins need no CA */
    }
    if (rc == 0 && x.ca)
        rc = sp_ca_list(x.ca, put_entry, &k, &x.err);
    if (rc == 0 && k.users)
        rc = sp_users_certificates(k.users, put_mapping, &k, &x.err);
    sp_users_close(k.users);
    return end(&x, rc);
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

/* The facts of a certificate file. */
static int facts_of(const char *path, struct sp_cert_facts *ret, struct sp_err *err)
{
    struct sp_buf file;
    int rc = sp_read_file(path, 1 << 20, &file, err);

    if (rc == 0)
        rc = sp_cert_facts(sp_buf_view(&file), ret, err);
    sp_buf_free(&file);
    return rc;
}

/* Everything that is read was read before we become somebody with fewer rights. */
static int open_to_change(struct ctx *x, struct sp_users **ret)
{
    int rc = sp_become_keeper(x->data, SP_DATA_USERS, &x->err);

    return rc < 0 ? rc : open_users(x->data, SP_USERS_WRITE, ret, &x->err);
}

static bool is_pin(const char *s)
{
    uint8_t raw[32];

    return strlen(s) == 64 && sp_hex_decode(sp_str(s), raw, sizeof raw) == (int)sizeof raw;
}

static int pin(const struct sp_args *a, bool remove)
{
    struct ctx x;
    struct sp_users *db = NULL;
    struct sp_cert_facts f = {.subject = ""};
    struct sp_str name, spki;
    char until[16];
    int rc;

    if (a->n_rest != 2)
        return sp_usage_error(a, "name one account and one certificate file");
    if ((rc = begin(a, &x, false)))
        return rc;
    name = sp_str(a->rest[0]);
    if (remove && is_pin(a->rest[1]))
        snprintf(f.spki_sha256, sizeof f.spki_sha256, "%s", a->rest[1]);
    else
        rc = facts_of(a->rest[1], &f, &x.err);
    spki = sp_str(f.spki_sha256);
    if (rc == 0)
        rc = open_to_change(&x, &db);
    if (rc == 0)
        rc = sp_users_pin(db, name, spki, !remove, &x.err);
    if (rc == 0 && !remove)
        rc = sp_users_pin_note(db, name, spki, sp_str(f.subject), f.not_after_s, &x.err);
    sp_users_close(db);
    if (rc == 0)
        printf("%s %s\n", a->rest[0], f.spki_sha256);
    if (rc == 0 && !remove && f.not_after_s < (int64_t)time(NULL)) {
        day(f.not_after_s, until);
        (void)sp_fail(0, "warning: this certificate expired %s; a pin replaces the chain, "
                         "never the dates",
                      until);
    }
    return end(&x, rc);
}

static int run_pin(const struct sp_args *a)
{
    return pin(a, sp_arg_given(a, "remove"));
}

static int run_unpin(const struct sp_args *a)
{
    return pin(a, true);
}

/* What is to be mapped: from a file or spelt out. */
struct mapping {
    enum sp_users_key key;
    char value[512], second[512];
};

static int from_file(const struct sp_args *a, struct mapping *m, struct sp_err *err)
{
    const char *by = sp_arg(a, "by");
    struct sp_cert_facts f;
    int rc = facts_of(a->rest[1], &f, err);

    if (rc < 0)
        return rc;
    if (by ? strcmp(by, "uri") == 0 : f.uri[0] != '\0') {
        if (!f.uri[0])
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                              "there is no URI in this certificate");
        m->key = SP_USERS_BY_URI;
        memcpy(m->value, f.uri, sizeof f.uri);
        return 0;
    }
    if (!f.subject[0])
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "the subject of this certificate is empty");
    m->key = SP_USERS_BY_DN;
    memcpy(m->value, f.subject, sizeof f.subject);
    memcpy(m->second, f.issuer, sizeof f.issuer);
    return 0;
}

static int spelt_out(const struct sp_args *a, struct mapping *m)
{
    const char *uri = sp_arg(a, "uri"), *subject = sp_arg(a, "subject"),
               *issuer = sp_arg(a, "issuer");

    if (a->n_rest != 1 || (uri ? subject || issuer : !subject || !issuer))
        return sp_usage_error(a, "name one account, and a certificate file, or --uri, or "
                                 "--subject with --issuer");
    m->key = uri ? SP_USERS_BY_URI : SP_USERS_BY_DN;
    snprintf(m->value, sizeof m->value, "%s", uri ? uri : subject);
    snprintf(m->second, sizeof m->second, "%s", uri ? "" : issuer);
    return 0;
}

static int map(const struct sp_args *a, bool mapped)
{
    const char *by = sp_arg(a, "by");
    struct mapping m = {.value = ""};
    struct sp_users *db = NULL;
    struct ctx x;
    int rc = 0;

    if (by && strcmp(by, "uri") != 0 && strcmp(by, "dn") != 0)
        return sp_usage_error(a, "--by wants uri or dn, not `%s`", by);
    if (a->n_rest != 2 && (rc = spelt_out(a, &m)))
        return rc;
    if ((rc = begin(a, &x, false)))
        return rc;
    if (a->n_rest == 2)
        rc = from_file(a, &m, &x.err);
    if (rc == 0)
        rc = open_to_change(&x, &db);
    if (rc == 0)
        rc = sp_users_map(db, sp_str(a->rest[0]), m.key, sp_str(m.value), sp_str(m.second),
                          mapped, &x.err);
    sp_users_close(db);
    if (rc == 0) {
        printf("%s %s ", a->rest[0], m.key == SP_USERS_BY_URI ? "URI" : "DN");
        sp_say_text(stdout, sp_str(m.value));
        printf("%s", *m.second ? " issued by " : "");
        sp_say_text(stdout, sp_str(m.second));
        putchar('\n');
    }
    return end(&x, rc);
}

static int run_map(const struct sp_args *a)
{
    return map(a, true);
}

static int run_unmap(const struct sp_args *a)
{
    return map(a, false);
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
CERT_SUB(c_list, "list", "certificates issued, pinned and mapped, with expiry", "[--json]", list_options,
         run_list);
CERT_SUB(c_revoke, "revoke", "revoke a certificate; live sessions end at their next mail",
         "SERIAL | FINGERPRINT | --user ACCOUNT", revoke_options, run_revoke);
CERT_SUB(c_crl, "crl", "write the revocation list anew (it is valid for 30 days)", "",
         plain_options, run_crl);
CERT_SUB(c_renew, "renew", "issue an account's certificate anew, for the same address",
         "ACCOUNT [--out DIR] [--p12] [--revoke-old]", renew_options, run_renew);
CERT_SUB(c_pin, "pin", "let an existing certificate's key stand for an account",
         "ACCOUNT FILE", pin_options, run_pin);
CERT_SUB(c_unpin, "unpin", "forget such a key", "ACCOUNT FILE | ACCOUNT KEY", plain_options,
         run_unpin);
CERT_SUB(c_map, "map", "let the URI or the subject of a CA's certificate stand for an account",
         "ACCOUNT FILE [--by uri|dn] | ACCOUNT --uri URI | ACCOUNT --subject DN --issuer DN",
         map_options, run_map);
CERT_SUB(c_unmap, "unmap", "forget such a name",
         "ACCOUNT FILE [--by uri|dn] | ACCOUNT --uri URI | ACCOUNT --subject DN --issuer DN",
         map_options, run_unmap);

static const struct sp_command *const subs[] = {
    &c_ca,  &c_server, &c_client, &c_renew, &c_list, &c_revoke,
    &c_crl, &c_pin,    &c_unpin,  &c_map,   &c_unmap, &sp_cmd_cert_dkim, NULL};

const struct sp_command sp_cmd_cert = {
    .name = "cert", .summary = "certificates: a small CA, servers, users", .sub = subs};
