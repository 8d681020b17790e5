/* cmd_setup.c - `sallyport user setup`: settings for mail programs, ready to use. */
#include "cli.h"
#include "datadir.h"
#include "err.h"
#include "text.h"
#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { P12_MAX = 65536, CA_MAX = 65536, FILE_MAX = 1 << 19 };

struct facts {
    const char *host, *name, *address, *ca, *password_file, *certificate;
    unsigned implicit, starttls; /* ports; 0: there is none */
    const char *imap;            /* where the mailbox is; NULL: not said */
    struct sp_buf p12, ca_pem;   /* empty: not given, not to be read here */
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

/* A mailbox server with TLS from the first octet; programs want to hear of one. */
enum { IMAPS = 993 };

static void xml_mailbox(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_puts(b, "    <incomingServer type=\"imap\">\n      <hostname>");
    xml(b, f->imap);
    (void)sp_buf_printf(b,
                        "</hostname>\n      <port>%d</port>\n"
                        "      <socketType>SSL</socketType>\n      <username>",
                        IMAPS);
    xml(b, f->name);
    (void)sp_buf_puts(b, "</username>\n      <authentication>password-cleartext"
                         "</authentication>\n    </incomingServer>\n");
}

static void xml_login(struct sp_buf *b, const char *word)
{
    (void)sp_buf_printf(b, "      <authentication>%s</authentication>\n", word);
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
    (void)sp_buf_puts(b, "</username>\n");
    /* The first that is known counts.  Thunderbird does not know the format's own word for
     * certificates; without a login it shows its certificate all the same. */
    if (f->certificate)
        xml_login(b, "TLS-client-cert");
    xml_login(b, f->certificate ? "none" : "password-cleartext");
    (void)sp_buf_puts(b, "    </outgoingServer>\n");
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
    if (f->imap)
        xml_mailbox(b, f);
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
        f->certificate
            ? "by certificate: open client.p12 (or apple.mobileconfig) on the phone; "
              "it asks for the password that was given when it was made"
            : "password (normal)");
    if (f->imap || f->p12.n)
        (void)sp_buf_puts(b,
                          "iPhone      open apple.mobileconfig there, then Settings, "
                          "General, VPN & Device Management\n");
    if (f->ca)
        (void)sp_buf_printf(
            b, "trust       install %s first: the server's certificate comes from it\n",
            f->ca);
}

/* ---- a profile for iPhone, iPad and Mac ----
 *
 * developer.apple.com/documentation/devicemanagement: Mail, CertificatePKCS12,
 * CertificatePEM. */

static void plist_string(struct sp_buf *b, const char *key, const char *value)
{
    (void)sp_buf_printf(b, "<key>%s</key><string>", key);
    xml(b, value);
    (void)sp_buf_puts(b, "</string>\n");
}

static void plist_number(struct sp_buf *b, const char *key, unsigned value)
{
    (void)sp_buf_printf(b, "<key>%s</key><integer>%u</integer>\n", key, value);
}

static void plist_true(struct sp_buf *b, const char *key)
{
    (void)sp_buf_printf(b, "<key>%s</key><true/>\n", key);
}

static void plist_data(struct sp_buf *b, const char *key, struct sp_str data)
{
    size_t cap = SP_BASE64_LEN(data.n) + 1;
    char *room;

    (void)sp_buf_printf(b, "<key>%s</key><data>", key);
    room = sp_buf_room(b, cap);
    if (room)
        b->n += (size_t)sp_base64_encode(data.p, data.n, room, cap);
    (void)sp_buf_puts(b, "</data>\n");
}

/* What every payload has.  A random UUID (RFC 9562 5.4): a second profile is another. */
static void plist_head(struct sp_buf *b, const struct facts *f, const char *type,
                       const char *id, const char *title)
{
    unsigned char r[16] = {0};
    char text[600], *t = text;

    (void)!getrandom(r, sizeof r, 0);
    r[6] = (unsigned char)((r[6] & 15) | 64);
    r[8] = (unsigned char)((r[8] & 63) | 128);
    for (size_t i = 0; i < sizeof r; i++)
        t += snprintf(t, 4, "%s%02X", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                      r[i]);
    plist_string(b, "PayloadType", type);
    plist_string(b, "PayloadUUID", text);
    (void)snprintf(text, sizeof text, "%s.%s%s", f->host, f->name, id);
    plist_string(b, "PayloadIdentifier", text);
    plist_string(b, "PayloadDisplayName", title);
    plist_number(b, "PayloadVersion", 1);
}

static void plist_mail(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_puts(b, "<dict>\n");
    plist_head(b, f, "com.apple.mail.managed", ".mail", f->address);
    plist_string(b, "EmailAccountType", "EmailTypeIMAP");
    plist_string(b, "EmailAccountDescription", f->address);
    plist_string(b, "EmailAddress", f->address);
    plist_string(b, "IncomingMailServerHostName", f->imap);
    plist_number(b, "IncomingMailServerPortNumber", IMAPS);
    plist_true(b, "IncomingMailServerUseSSL");
    plist_string(b, "IncomingMailServerUsername", f->name);
    plist_string(b, "IncomingMailServerAuthentication", "EmailAuthPassword");
    plist_string(b, "OutgoingMailServerHostName", f->host);
    plist_number(b, "OutgoingMailServerPortNumber",
                 f->implicit ? f->implicit : f->starttls);
    plist_true(b, "OutgoingMailServerUseSSL"); /* STARTTLS as well: it tries both */
    plist_string(b, "OutgoingMailServerUsername", f->name);
    plist_string(b, "OutgoingMailServerAuthentication",
                 f->certificate ? "EmailAuthNone" : "EmailAuthPassword");
    (void)sp_buf_puts(b, "</dict>\n");
}

static void plist_file(struct sp_buf *b, const struct facts *f, const char *type,
                       const char *id, const char *title, const char *file,
                       struct sp_str data)
{
    (void)sp_buf_puts(b, "<dict>\n");
    plist_head(b, f, type, id, title);
    plist_string(b, "PayloadCertificateFileName", file);
    plist_data(b, "PayloadContent", data);
    (void)sp_buf_puts(b, "</dict>\n");
}

static void profile(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_puts(
        b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC "
           "\"-//Apple//DTD PLIST 1.0//EN\" "
           "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
           "<plist version=\"1.0\">\n<dict>\n");
    plist_head(b, f, "Configuration", "", f->host);
    (void)sp_buf_puts(b, "<key>PayloadContent</key>\n<array>\n");
    if (f->ca_pem.n)
        plist_file(b, f, "com.apple.security.pem", ".ca", "CA", "ca.pem",
                   sp_buf_view(&f->ca_pem));
    if (f->p12.n)
        plist_file(b, f, "com.apple.security.pkcs12", ".p12", f->address, "client.p12",
                   sp_buf_view(&f->p12));
    if (f->imap)
        plist_mail(b, f);
    (void)sp_buf_puts(b, "</array>\n</dict>\n</plist>\n");
}

static void client_p12(struct sp_buf *b, const struct facts *f)
{
    (void)sp_buf_str(b, sp_buf_view(&f->p12));
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
    const struct {
        const char *name;
        void (*make)(struct sp_buf *b, const struct facts *f);
        bool wanted;
    } files[] = {{"config-v1.1.xml", thunderbird, true},
                 {"msmtprc", msmtp, true},
                 {"curlrc", curl, true},
                 {"muttrc", mutt, true},
                 {"swaksrc", swaks, true},
                 {"phone.txt", phone, true},
                 {"client.p12", client_p12, f->p12.n > 0},
                 {"apple.mobileconfig", profile, f->p12.n || f->imap}};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof files / sizeof files[0]; i++) {
        struct sp_buf b;

        if (!files[i].wanted)
            continue;
        sp_buf_init(&b, FILE_MAX);
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

/* It must be one: a phone says no more than that it cannot open it. */
static int read_p12(struct facts *f, const char *path, struct sp_err *err)
{
    int rc = sp_read_file(path, P12_MAX, &f->p12, err);

    if (rc == 0 && (f->p12.n < 4 || (unsigned char)f->p12.p[0] != 0x30))
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                        "%s is no PKCS#12 file; sallyport cert client --p12 makes one",
                        path);
    return rc;
}

/* --ca is where clients have it; where that is here, too, phones get it along. */
static void read_ca(struct facts *f)
{
    struct sp_err err;

    if (f->ca && sp_read_file(f->ca, CA_MAX, &f->ca_pem, &err) < 0)
        sp_buf_free(&f->ca_pem);
}

static int write_folder(const struct sp_args *a, struct facts *f)
{
    const char *out = sp_arg(a, "out");
    struct sp_err err;
    int dir, rc;

    if (sp_arg(a, "p12") && read_p12(f, sp_arg(a, "p12"), &err) < 0)
        return sp_fail_err(&err);
    read_ca(f);
    if (mkdir(out, 0700) < 0 && errno != EEXIST)
        return sp_fail(EX_CANTCREAT, "cannot make %s: %s", out, strerror(errno));
    dir = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return sp_fail(EX_CANTCREAT, "cannot open %s: %s", out, strerror(errno));
    printf("settings of %s <%s> in %s:\n", f->name, f->address, out);
    rc = write_all(dir, f, &err);
    close(dir);
    if (rc == 0 && !f->imap)
        printf("without --imap HOST Thunderbird and iPhones do not take theirs whole: "
               "they want "
               "to know where the mailbox is\n");
    return rc < 0 ? sp_fail_err(&err) : 0;
}

static int setup(const struct sp_args *a, const struct sp_conf *c,
                 const struct sp_user *u)
{
    struct facts f = {.host = sp_arg(a, "host") ? sp_arg(a, "host") : c->hostname,
                      .name = u->name,
                      .address = u->first_address,
                      .ca = sp_arg(a, "ca"),
                      .password_file = sp_arg(a, "password-file"),
                      .certificate = sp_arg(a, "certificate"),
                      .imap = sp_arg(a, "imap")};
    int status;

    ports(&f, c);
    if (!f.implicit && !f.starttls)
        return sp_fail(EX_CONFIG, "no listener takes mail from mail programs");
    if (!plain(f.host) || !plain(f.name) || !plain(f.address) || !plain(f.ca) ||
        !plain(f.password_file) || !plain(f.certificate) || !plain(f.imap))
        return sp_fail(
            EX_DATAERR,
            "a name with blanks or quotes cannot be written for all programs alike");
    sp_buf_init(&f.p12, P12_MAX);
    sp_buf_init(&f.ca_pem, CA_MAX);
    status = write_folder(a, &f);
    sp_buf_wipe(&f.p12);
    sp_buf_free(&f.ca_pem);
    return status;
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
    (void)sp_data_path(path, sizeof path,
                       sp_arg(a, "data") ? sp_arg(a, "data") : c->data_directory,
                       SP_DATA_USERS, "users.db");
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
    {"imap", 0, "HOST", "where the mailbox is (IMAP, port 993, TLS)"},
    {"p12", 0, "FILE", "the account's PKCS#12 file, for phones"},
    {"password-file", 0, "FILE",
     "where the client's password is; else it is asked for"},
    SP_OPT_END,
};

const struct sp_command sp_cmd_user_setup = {
    .name = "setup",
    .summary = "write settings for mail programs",
    .usage = "NAME --out DIR [OPTION ...]",
    .more = "Thunderbird (config-v1.1.xml), msmtp, curl, mutt, swaks, a profile for iPhone\n"
            "and Mac (apple.mobileconfig), and a page for other phones.\n",
    .options = options,
    .run = run,
};
