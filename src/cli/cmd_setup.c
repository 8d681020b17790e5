/* cmd_setup.c - `sallyport user setup`: settings for mail programs, ready to use. */
#include "cli.h"
#include "err.h"
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct facts {
    const char *host, *name, *address, *ca, *password_file, *certificate;
    unsigned implicit, starttls; /* ports; 0: there is none */
};

static void xml(struct sp_buf *b, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '&':
            (void)sp_buf_puts(b, "&amp;");
            break;
        case '<':
            (void)sp_buf_puts(b, "&lt;");
            break;
        case '>':
            (void)sp_buf_puts(b, "&gt;");
            break;
        case '"':
            (void)sp_buf_puts(b, "&quot;");
            break;
        default:
            (void)sp_buf_put(b, s, 1);
        }
}

static void xml_server(struct sp_buf *b, const struct facts *f, unsigned port,
                       const char *socket)
{
    if (!port)
        return;
    (void)sp_buf_puts(b, "    <outgoingServer type=\"smtp\">\n      <hostname>");
    xml(b, f->host);
    (void)sp_buf_printf(
        b,
        "</hostname>\n      <port>%u</port>\n      <socketType>%s</socketType>\n"
        "      <username>",
        port, socket);
    xml(b, f->name);
    (void)sp_buf_printf(b,
                        "</username>\n      <authentication>%s</authentication>\n    "
                        "</outgoingServer>\n",
                        f->certificate ? "TLS-client-cert" : "password-cleartext");
}

/* https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat */
static void thunderbird(struct sp_buf *b, const struct facts *f)
{
    const char *at = strrchr(f->address, '@');

    (void)sp_buf_puts(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig "
                         "version=\"1.1\">\n  <emailProvider id=\"");
    xml(b, at ? at + 1 : f->host);
    (void)sp_buf_puts(b, "\">\n    <domain>");
    xml(b, at ? at + 1 : f->host);
    (void)sp_buf_puts(b, "</domain>\n    <displayName>");
    xml(b, f->host);
    (void)sp_buf_puts(b, "</displayName>\n");
    xml_server(b, f, f->implicit, "SSL");
    xml_server(b, f, f->starttls, "STARTTLS");
    (void)sp_buf_puts(b, "  </emailProvider>\n</clientConfig>\n");
}

static void msmtp(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_printf(
        b, "account default\nhost %s\nport %u\nfrom %s\ntls on\ntls_starttls %s\n",
        f->host, f->implicit ? f->implicit : f->starttls, f->address,
        f->implicit ? "off" : "on");
    if (f->ca)
        (void)sp_buf_printf(b, "tls_trust_file %s\n", f->ca);
    if (f->certificate)
        (void)sp_buf_printf(
            b, "auth external\nuser %s\ntls_cert_file %s\ntls_key_file %s\n",
            f->address, f->certificate, f->certificate);
    else
        (void)sp_buf_printf(b, "auth on\nuser %s\n", f->name);
    if (f->password_file && !f->certificate)
        (void)sp_buf_printf(b, "passwordeval \"cat %s\"\n", f->password_file);
}

static void curl(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_printf(
        b,
        "# curl -K curlrc --mail-rcpt WHO --upload-file MESSAGE (a text file, "
        "lines end in LF)\nurl = "
        "\"%s://%s:%u\"\nssl-reqd\n"
        "mail-from = \"%s\"\ncrlf\n",
        f->implicit ? "smtps" : "smtp", f->host,
        f->implicit ? f->implicit : f->starttls, f->address);
    if (f->ca)
        (void)sp_buf_printf(b, "cacert = \"%s\"\n", f->ca);
    if (f->certificate)
        (void)sp_buf_printf(
            b, "cert = \"%s\"\nlogin-options = \"AUTH=EXTERNAL\"\nuser = \"%s:\"\n",
            f->certificate, f->address);
    else
        (void)sp_buf_printf(b, "# curl asks for the password\nuser = \"%s\"\n",
                            f->name);
}

static void mutt(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_printf(b,
                        "set from = \"%s\"\nset use_from = yes\nset smtp_url = "
                        "\"%s://%s@%s:%u/\"\nset ssl_force_tls = yes\n",
                        f->address, f->implicit ? "smtps" : "smtp", f->name, f->host,
                        f->implicit ? f->implicit : f->starttls);
    if (f->ca)
        (void)sp_buf_printf(b, "set certificate_file = \"%s\"\n", f->ca);
    if (f->certificate)
        (void)sp_buf_printf(b, "set ssl_client_cert = \"%s\"\n", f->certificate);
    if (f->password_file && !f->certificate)
        (void)sp_buf_printf(b, "set smtp_pass = \"`cat %s`\"\n", f->password_file);
}

static void swaks(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_printf(b,
                        "# swaks --config swaksrc --to WHO\n--server %s\n--port "
                        "%u\n%s\n--tls-verify\n--from %s\n",
                        f->host, f->implicit ? f->implicit : f->starttls,
                        f->implicit ? "--tls-on-connect" : "--tls", f->address);
    if (f->ca)
        (void)sp_buf_printf(b, "--tls-ca-path %s\n", f->ca);
    if (f->certificate)
        (void)sp_buf_printf(b, "--tls-cert %s\n--tls-key %s\n", f->certificate,
                            f->certificate);
    else
        (void)sp_buf_printf(b, "--auth PLAIN\n--auth-user %s\n", f->name);
}

static void phone(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_printf(
        b, "For a phone, or any mail program: outgoing mail (SMTP)\n\nserver      %s\n",
        f->host);
    if (f->implicit)
        (void)sp_buf_printf(b, "port        %u\nsecurity    SSL/TLS\n", f->implicit);
    if (f->starttls)
        (void)sp_buf_printf(b, "%sport        %u\nsecurity    STARTTLS\n",
                            f->implicit ? "or\n" : "", f->starttls);
    (void)sp_buf_printf(
        b, "user        %s\naddress     %s\nlogin       %s\n", f->name, f->address,
        f->certificate ? "by certificate: open the file of it (.p12) on the phone, its "
                         "password was shown when it was made"
                       : "password (normal)");
    if (f->ca)
        (void)sp_buf_printf(
            b, "trust       install %s first: the server's certificate comes from it\n",
            f->ca);
}

/* A new file, for its owner alone: nothing is overwritten. */
static int put_file(int dir, const char *name, const struct sp_buf *b,
                    struct sp_err *err)
{
    int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    size_t done = 0;
    ssize_t n = 0;

    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_PEER, SP_EEXIST, "cannot make %s", name);
    while (done < b->n && (n = write(fd, b->p + done, b->n - done)) > 0)
        done += (size_t)n;
    if (close(fd) < 0 || n < 0)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write %s", name);
    printf("  %s\n", name);
    return 0;
}

static int write_all(int dir, const struct facts *f, struct sp_err *err)
{
    static const struct {
        const char *name;
        void (*make)(struct sp_buf *b, const struct facts *f);
    } files[] = {{"config-v1.1.xml", thunderbird},
                 {"msmtprc", msmtp},
                 {"curlrc", curl},
                 {"muttrc", mutt},
                 {"swaksrc", swaks},
                 {"phone.txt", phone}};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof files / sizeof files[0]; i++) {
        struct sp_buf b;

        sp_buf_init(&b, 1 << 16);
        files[i].make(&b, f);
        rc = put_file(dir, files[i].name, &b, err);
        sp_buf_free(&b);
    }
    return rc;
}

/* What is no plain word could mean something in one of the files. */
static bool plain(const char *s)
{
    return !s || !strpbrk(s, " \t\r\n\"'`\\$#;%<>");
}

static void ports(struct facts *f, const struct sp_conf *c)
{
    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct sp_conf_listener *l = &c->listeners[i];
        unsigned *at = l->tls == SP_CONF_IMPLICIT ? &f->implicit : &f->starttls;

        if (l->type == SP_CONF_SUBMISSION && l->tls != SP_CONF_NONE && !*at)
            *at = l->address.v[0].port;
    }
}

static int setup(const struct sp_args *a, const struct sp_conf *c,
                 const struct sp_user *u)
{
    struct facts f = {.host = sp_arg(a, "host") ? sp_arg(a, "host") : c->hostname,
                      .name = u->name,
                      .address = u->first_address,
                      .ca = sp_arg(a, "ca"),
                      .password_file = sp_arg(a, "password-file"),
                      .certificate = sp_arg(a, "certificate")};
    const char *out = sp_arg(a, "out");
    struct sp_err err;
    int dir, rc;

    ports(&f, c);
    if (!f.implicit && !f.starttls)
        return sp_fail(EX_CONFIG, "no listener takes mail from mail programs");
    if (!plain(f.host) || !plain(f.name) || !plain(f.address) || !plain(f.ca) ||
        !plain(f.password_file) || !plain(f.certificate))
        return sp_fail(
            EX_DATAERR,
            "a name with blanks or quotes cannot be written for all programs alike");
    if (mkdir(out, 0700) < 0 && errno != EEXIST)
        return sp_fail(EX_CANTCREAT, "cannot make %s: %s", out, strerror(errno));
    dir = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return sp_fail(EX_CANTCREAT, "cannot open %s: %s", out, strerror(errno));
    printf("settings of %s <%s> in %s:\n", f.name, f.address, out);
    rc = write_all(dir, &f, &err);
    close(dir);
    return rc < 0 ? sp_fail_err(&err) : 0;
}

static int run(const struct sp_args *a)
{
    struct sp_users *users = NULL;
    struct sp_user *u = NULL;
    struct sp_conf *c;
    struct sp_err err;
    char path[4200];
    int status = 0;

    if (a->n_rest != 1 || !sp_arg(a, "out"))
        return sp_usage_error(a, "name an account, and a folder with --out");
    c = sp_load_conf(a, false, &status);
    if (!c)
        return status;
    snprintf(path, sizeof path, "%s/users.db",
             sp_arg(a, "data") ? sp_arg(a, "data") : c->data_directory);
    if (sp_users_open(path, SP_USERS_READ, &users, &err) < 0 ||
        sp_users_find(users, sp_str(a->rest[0]), &u, &err) < 0)
        status = sp_fail_err(&err);
    else
        status = setup(a, c, u);
    sp_user_free(u);
    sp_users_close(users);
    sp_conf_unref(c);
    return status;
}

static const struct sp_option options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    {"out", 'o', "DIR", "folder for the files; none is overwritten"},
    {"host", 0, "NAME", "the server, as clients know it (default: hostname)"},
    {"ca", 0, "FILE",
     "where clients have the CA to trust, when it is not a public one"},
    {"certificate", 0, "FILE",
     "log in by this certificate (PEM with its key), not by password"},
    {"password-file", 0, "FILE",
     "where the client's password is; else it is asked for"},
    SP_OPT_END,
};

const struct sp_command sp_cmd_user_setup = {
    .name = "setup",
    .summary = "write settings for mail programs",
    .usage = "NAME --out DIR [--host NAME] [--ca FILE] [--certificate FILE]",
    .more = "Thunderbird (config-v1.1.xml), msmtp, curl, mutt, swaks, and a page for "
            "phones.\n",
    .options = options,
    .run = run,
};
