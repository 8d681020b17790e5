/* target.c - see target.h. */
#include "target.h"

#include "alloc.h"
#include "certmap.h"
#include "err.h"
#include "findsrv.h"
#include "gss.h"
#include "netaddr.h"

#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 4 << 20 };

/* ---- where ---- */

static const struct {
    const char *scheme;
    enum sp_cli_tls tls;
    uint16_t port; /* 0: must be given */
    bool lmtp, srv;
} schemes[] = {
    {"smtp", SP_CLI_TLS_REQUIRED, 587, false, false},
    {"submission", SP_CLI_TLS_REQUIRED, 587, false, false},
    {"smtps", SP_CLI_TLS_IMPLICIT, 465, false, false},
    {"submissions", SP_CLI_TLS_IMPLICIT, 465, false, false},
    {"srv", SP_CLI_TLS_REQUIRED, 587, false, true},
    {"lmtp", SP_CLI_TLS_NONE, 0, true, false},
    /* A Unix socket: the system says who we are. */
    {"local", SP_CLI_TLS_NONE, 0, false, false},
};

/* "HOST", "HOST:PORT", "[2001:db8::1]:PORT", "[2001:db8::1]" */
static int host_port(const struct sp_args *a, struct sp_str s, char *host, size_t cap,
                     uint16_t *port)
{
    struct sp_str h = s, p = {NULL, 0};
    struct sockaddr_storage literal;
    uint64_t v;

    if (memchr(s.p, '@', s.n) || memchr(s.p, '/', s.n))
        return sp_usage_error(
            a,
            "`%s`: only a host and a port belong here; a user name goes "
            "into --user",
            s.p);
    if (sp_addr_literal(s.p, 0, &literal) > 0) { /* "::1" needs no brackets */
        h = s.p[0] == '[' ? (struct sp_str){s.p + 1, s.n - 2} : s;
    } else if (s.n && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);

        if (!end)
            return sp_usage_error(a, "`%s` lacks a closing bracket", s.p);
        h = (struct sp_str){s.p + 1, (size_t)(end - s.p - 1)};
        p = (struct sp_str){end + 1, s.n - (size_t)(end + 1 - s.p)};
        if (p.n && *p.p == ':')
            p = (struct sp_str){p.p + 1, p.n - 1};
    } else {
        p = s;
        h = sp_str_cut(&p, ':');
    }
    if (p.n && (sp_str_u64(p, 65535, &v) < 0 || v == 0))
        return sp_usage_error(a, "`%.*s` is no port", (int)p.n, p.p);
    if (p.n)
        *port = (uint16_t)v;
    if (h.n == 0 || h.n >= cap)
        return sp_usage_error(a, "a host name is missing in `%s`", s.p);
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    return 0;
}

/* The domain is in t->host; the server that its DNS names takes its place. */
static int look_up(const struct sp_args *a, struct sp_target *t)
{
    struct sp_found f;
    struct sp_err err;
    struct sockaddr_storage literal;

    if (sp_addr_literal(t->host, 0, &literal) > 0)
        return sp_usage_error(a, "srv:// wants a domain, not the address %s", t->host);
    if (sp_find_submission(t->host, NULL, &f, &err) < 0)
        return err.code == SP_ENOENT ? sp_fail(EX_NOHOST, "%s", err.text)
                                     : sp_fail_err(&err);
    snprintf(t->host, sizeof t->host, "%s", f.host);
    snprintf(t->verify, sizeof t->verify, "%s", f.verify);
    t->talk.dial.port = f.port;
    t->talk.tls_name = t->verify;
    if (f.implicit_tls)
        t->talk.cli.tls = SP_CLI_TLS_IMPLICIT;
    return 0;
}

static int where(const struct sp_args *a, struct sp_target *t)
{
    const char *url = sp_arg(a, "server");
    struct sp_str rest = sp_str(url), scheme;
    const char *colon = url ? strstr(url, ":") : NULL;
    size_t i = 0;

    if (!url)
        return sp_usage_error(a, "name a server with --server");
    if (colon && (strncmp(colon, "://", 3) == 0 || strncmp(colon, ":/", 2) == 0)) {
        scheme = (struct sp_str){url, (size_t)(colon - url)};
        for (i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
            if (sp_str_caseis(scheme, schemes[i].scheme))
                break;
        if (i == sizeof schemes / sizeof schemes[0])
            return sp_usage_error(a, "`%.*s` is not smtp, smtps, srv or lmtp", (int)scheme.n,
                                  scheme.p);
        rest = sp_str(strncmp(colon, "://", 3) == 0 ? colon + 3 : colon + 1);
    }
    t->talk.cli.tls = schemes[i].tls;
    t->talk.cli.lmtp = schemes[i].lmtp;
    t->talk.dial.port = schemes[i].port;
    if (rest.n && rest.p[0] == '/') {
        t->talk.dial.unix_path = rest.p;
        return 0;
    }
    while (rest.n && rest.p[rest.n - 1] == '/')
        rest.n--;
    t->talk.dial.host = t->host;
    if (host_port(a, rest, t->host, sizeof t->host, &t->talk.dial.port))
        return EX_USAGE;
    if (t->talk.dial.port == 0)
        return sp_usage_error(a, "a port is missing in `%s`", url);
    if (!schemes[i].srv)
        return 0;
    if (t->talk.dial.port != schemes[i].port)
        return sp_usage_error(a, "`%s`: the port is what the DNS says", url);
    return look_up(a, t);
}

/* ---- secrets ---- */

static int secret(void *arg, enum sp_talk_secret what, bool fresh, struct sp_buf *out,
                  struct sp_err *err)
{
    struct sp_target *t = arg;
    bool token = what == SP_TALK_TOKEN;
    struct sp_buf *kept = token ? &t->token : &t->password;
    int rc = 0;

    if (fresh)
        sp_buf_wipe(kept);
    if (kept->n == 0)
        rc = token ? sp_read_secret(t->a, "token-file", "token-command",
                                    "SALLYPORT_TOKEN", NULL, kept, err)
                   : sp_read_secret(t->a, "password-file", "password-command",
                                    "SALLYPORT_PASSWORD", "Password", kept, err);
    return rc < 0 ? rc : sp_buf_str(out, sp_buf_view(kept));
}

static int passphrase(char *buf, size_t cap, const char *name, void *arg)
{
    struct sp_target *t = arg;
    struct sp_buf b;
    struct sp_err err;
    int n = -1;

    (void)name;
    if (sp_read_secret(t->a, NULL, NULL, "SALLYPORT_KEY_PASSPHRASE",
                       "Passphrase of the key", &b, &err) < 0)
        return -1;
    if (b.n <= cap) {
        memcpy(buf, b.p, b.n);
        n = (int)b.n;
    }
    sp_buf_wipe(&b);
    return n;
}

static int is_pkcs12(const struct sp_buf *b)
{
    return b->n > 0 && b->p[0] == 0x30; /* DER sequence; PEM is text */
}

static int contexts(const struct sp_args *a, struct sp_target *t)
{
    const char *ca = sp_arg(a, "ca"), *cert = sp_arg(a, "certificate"),
               *key = sp_arg(a, "key");
    struct sp_tls_client_opts o = {
        .ca_path = ca,
        .pin = sp_arg(a, "server-pin"),
        .must_verify = !t->talk.cli.allow_unverified &&
                       t->talk.cli.tls != SP_CLI_TLS_OPPORTUNISTIC,
        .ask_pass = passphrase,
        .ask_pass_arg = t,
    };
    struct sp_buf c = {.p = NULL}, k = {.p = NULL};
    struct sp_cert_facts f;
    struct sp_err err;
    int rc;

    if (t->talk.cli.tls == SP_CLI_TLS_NONE)
        return 0;
    rc = sp_tls_client(&o, &t->talk.tls_bare, &err);
    if (rc == 0 && !cert)
        t->talk.tls = sp_tls_ref(t->talk.tls_bare);
    if (rc == 0 && cert)
        rc = sp_read_file(cert, FILE_MAX, &c, &err);
    if (rc == 0 && key)
        rc = sp_read_file(key, FILE_MAX, &k, &err);
    if (rc == 0 && cert) {
        if (is_pkcs12(&c))
            o.pkcs12 = (struct sp_pem){sp_buf_view(&c), cert};
        else
            o.cert = (struct sp_pem){sp_buf_view(&c), cert};
        o.key = (struct sp_pem){sp_buf_view(&k), key};
        rc = sp_tls_client(&o, &t->talk.tls, &err);
        if (sp_cert_facts(sp_buf_view(&c), &f, NULL) == 0) {
            snprintf(t->cert_address, sizeof t->cert_address, "%s", f.address);
            t->talk.cli.cert_address = t->cert_address[0] ? t->cert_address : NULL;
        }
    }
    sp_buf_wipe(&c);
    sp_buf_wipe(&k);
    return rc < 0 ? sp_fail_err(&err) : 0;
}

/* What says nothing by itself: to ignore it would send mail without a login. */
static int lonely(const struct sp_args *a)
{
    static const struct {
        const char *option, *needs;
    } pairs[] = {
        {"password-file", "user"}, {"password-command", "user"},
        {"token-file", "user"},    {"token-command", "user"},
        {"key", "certificate"},    {"certificate-login", "certificate"},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (sp_arg_given(a, pairs[i].option) && !sp_arg_given(a, pairs[i].needs))
            return sp_usage_error(a, "--%s needs --%s", pairs[i].option,
                                  pairs[i].needs);
    return 0;
}

static int login(const struct sp_args *a, struct sp_target *t)
{
    const char *how = sp_arg(a, "certificate-login");
    struct sp_cli_options *c = &t->talk.cli;
    int rc = lonely(a);

    if (rc)
        return rc;

    c->authcid = sp_arg(a, "user");
    c->have_certificate = sp_arg_given(a, "certificate");
    c->have_token = c->authcid &&
                    (sp_arg_given(a, "token-file") || sp_arg_given(a, "token-command"));
    /* With a certificate, a user name alone is an identity, not yet a password. */
    c->have_password = c->authcid && !c->have_token &&
                       (!c->have_certificate || sp_arg_given(a, "password-file") ||
                        sp_arg_given(a, "password-command"));
    if (c->have_certificate && c->authcid && !c->have_password && !c->have_token)
        c->external_identity = c->authcid;
    c->have_ticket = sp_arg_given(a, "kerberos");
    if (c->have_ticket && !sp_gss_built())
        return sp_usage_error(a, "--kerberos: this program was built without GSSAPI");
    if (c->have_ticket && !sp_arg_given(a, "password-file") &&
        !sp_arg_given(a, "password-command"))
        c->have_password = false;
    if (c->have_ticket && !c->have_password && c->authcid)
        c->authzid = c->authcid; /* the ticket says who we are; this, whom we act for */
    c->login_required = c->have_password || c->have_token || c->have_ticket;
    if (!how || strcmp(how, "auto") == 0)
        c->cert_login = SP_CLI_CERT_AUTO;
    else if (strcmp(how, "explicit") == 0)
        c->cert_login = SP_CLI_CERT_EXPLICIT;
    else if (strcmp(how, "implicit") == 0)
        c->cert_login = SP_CLI_CERT_IMPLICIT;
    else
        return sp_usage_error(a, "--certificate-login is auto, explicit or implicit");
    for (size_t i = 0; i < sp_arg_count(a, "mechanism"); i++) {
        int m = sp_mech_by_name(sp_str(sp_arg_nth(a, "mechanism", i)));

        if (m < 0)
            return sp_usage_error(a, "`%s` is no mechanism that we know",
                                  sp_arg_nth(a, "mechanism", i));
        c->mechs_only |= SP_MECH_BIT((enum sp_mech)m);
    }
    return 0;
}

static int network(const struct sp_args *a, struct sp_target *t)
{
    const char *timeout = sp_arg(a, "timeout");
    uint64_t s = 0;

    if (timeout && (sp_str_u64(sp_str(timeout), 86400, &s) < 0 || s == 0))
        return sp_usage_error(a, "--timeout wants seconds, not `%s`", timeout);
    t->talk.timeout_ms = (unsigned)s * 1000;
    t->talk.dial.timeout_ms = s ? (unsigned)s * 1000 : 0;
    if (sp_arg_given(a, "ipv4") && sp_arg_given(a, "ipv6"))
        return sp_usage_error(a, "-4 and -6 exclude each other");
    t->talk.dial.family = sp_arg_given(a, "ipv4")   ? SP_FAMILY_4
                          : sp_arg_given(a, "ipv6") ? SP_FAMILY_6
                                                    : SP_FAMILY_ANY;
    t->talk.dial.source = sp_arg(a, "source");
    if (sp_arg(a, "socks")) {
        t->talk.dial.socks_port = 1080;
        t->talk.dial.socks_host = t->socks;
        return host_port(a, sp_str(sp_arg(a, "socks")), t->socks, sizeof t->socks,
                         &t->talk.dial.socks_port);
    }
    return 0;
}

/* This machine by address or by the name that RFC 6761 6.3 keeps for it. */
static bool loopback(const struct sp_target *t)
{
    return t->talk.dial.unix_path || strcmp(t->host, "localhost") == 0 ||
           strncmp(t->host, "127.", 4) == 0 || strcmp(t->host, "::1") == 0;
}

static int security(const struct sp_args *a, struct sp_target *t)
{
    struct sp_cli_options *c = &t->talk.cli;

    c->allow_unverified = sp_arg_given(a, "insecure-no-verify");
    c->allow_clear_secret = sp_arg_given(a, "insecure-clear-password");
    if (sp_arg_given(a, "no-tls") && !loopback(t))
        return sp_usage_error(
            a, "--no-tls is for a server on this machine, not for `%s`", t->host);
    if (sp_arg_given(a, "no-tls"))
        c->tls = SP_CLI_TLS_NONE;
    else if (sp_arg_given(a, "opportunistic") && c->tls == SP_CLI_TLS_REQUIRED)
        c->tls = SP_CLI_TLS_OPPORTUNISTIC;
    if (sp_arg(a, "tls-name"))
        t->talk.tls_name = sp_arg(a, "tls-name");
    return 0;
}

int sp_target_read(const struct sp_args *a, struct sp_target *t)
{
    int rc;

    memset(t, 0, sizeof *t);
    t->a = a;
    t->talk.secret = secret;
    t->talk.secret_arg = t;
    rc = where(a, t);
    if (rc == 0)
        rc = security(a, t);
    if (rc)
        return rc;
    if (sp_arg(a, "helo"))
        snprintf(t->helo, sizeof t->helo, "%s", sp_arg(a, "helo"));
    else if (gethostname(t->helo, sizeof t->helo - 1) < 0 || !t->helo[0])
        snprintf(t->helo, sizeof t->helo, "localhost");
    t->talk.cli.helo = t->helo;
    rc = login(a, t);
    if (rc == 0)
        rc = network(a, t);
    return rc ? rc : contexts(a, t);
}

void sp_target_free(struct sp_target *t)
{
    sp_tls_unref(t->talk.tls);
    sp_tls_unref(t->talk.tls_bare);
    sp_buf_wipe(&t->password);
    sp_buf_wipe(&t->token);
}
