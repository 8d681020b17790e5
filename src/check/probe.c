/* probe.c - see probe.h: the plan of connections, and what comes before and after it. */
#include "probe_i.h"

#include "alloc.h"
#include "err.h"
#include "netaddr.h"
#include "text.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
    CONNECT_MS = 10000,
    REPLY_MS = 20000,
    TOTAL_FACTOR = 8, /* of a connection: as many slow replies as this, no more */
    TIMEOUTS_MAX = 2, /* connections in a row on which the server falls silent */
};

/* ---- the plan ---- */

enum scene_needs {
    FOR_STARTTLS = 1, /* not with implicit TLS */
    FOR_IMPLICIT = 2,
    FOR_CERT = 4,
    FOR_BAD_CERT = 8,
    FOR_LOGIN = 16,    /* a password or token */
    FOR_TLS = 32,      /* a handshake has worked */
    FOR_EXTERNAL = 64, /* EXTERNAL is listed when the certificate is shown */
    FOR_MX = 128,
};

#define CHECKS 20

static const struct scene {
    const char *name;
    void (*run)(struct sp_probe *p, struct sp_pw *w);
    unsigned needs;
    const char *variant;
    enum sp_check_id checks[CHECKS]; /* ended by END; the first one pays */
} scenes[] = {
#define END SP_CHECK_COUNT
    {"in clear",
     sp_scene_clear,
     FOR_STARTTLS,
     NULL,
     {SP_C_P49, SP_C_P01, SP_C_P02, SP_C_P03, SP_C_P09, SP_C_P43, SP_C_P28, END}},
    {"in clear to the TLS port",
     sp_scene_clear_to_tls_port,
     FOR_IMPLICIT,
     NULL,
     {SP_C_P50, END}},
    {"a session without a login",
     sp_scene_forget,
     0,
     NULL,
     {SP_C_P30, SP_C_P05, SP_C_P06, SP_C_P04, SP_C_P11, SP_C_P19, SP_C_P20, SP_C_P22,
      SP_C_P24, SP_C_P25, SP_C_P31, SP_C_P32, SP_C_P34, SP_C_P38, SP_C_P45, SP_C_P08,
      END}},
    {"a command behind STARTTLS", sp_scene_inject, FOR_STARTTLS, NULL, {SP_C_P07, END}},
    {"the client certificate",
     sp_scene_cert,
     FOR_CERT | FOR_TLS,
     NULL,
     {SP_C_P10, SP_C_P12, END}},
    {"EXTERNAL with the identity at once",
     sp_scene_spelling,
     FOR_CERT | FOR_TLS | FOR_EXTERNAL,
     NULL,
     {SP_C_P12, END}},
    {"somebody else's identity",
     sp_scene_wrong_identity,
     FOR_CERT | FOR_TLS | FOR_EXTERNAL,
     NULL,
     {SP_C_P13, SP_C_P15, END}},
    {"a foreign certificate", sp_scene_foreign, FOR_TLS, NULL, {SP_C_P16, END}},
    {"the bad certificate",
     sp_scene_bad_cert,
     FOR_BAD_CERT | FOR_TLS,
     NULL,
     {SP_C_P35, END}},
    {"certificate and password, TLS 1.2",
     sp_scene_cert_password,
     FOR_CERT | FOR_LOGIN | FOR_TLS,
     NULL,
     {SP_C_P17, END}},
    {"MAIL with the certificate alone",
     sp_scene_cert_mail,
     FOR_CERT | FOR_TLS,
     NULL,
     {SP_C_P14, END}},
    {"a session without a login, again",
     sp_scene_forget_rest,
     FOR_TLS,
     NULL,
     {SP_C_P20, SP_C_P45, SP_C_P38, SP_C_P19, SP_C_P08, END}},
    {"a login",
     sp_scene_login,
     FOR_LOGIN | FOR_TLS,
     NULL,
     {SP_C_P18, SP_C_P39, SP_C_P40, SP_C_P41, END}},
    {"no greeting",
     sp_scene_never_greeted,
     0,
     NULL,
     {SP_C_P27, SP_C_P05, SP_C_P37, SP_C_P22, END}},
    {"old TLS versions", sp_scene_old_tls, FOR_TLS, NULL, {SP_C_P29, END}},
    {"DANE", sp_scene_dane, FOR_MX | FOR_TLS | FOR_STARTTLS, NULL, {SP_C_P47, END}},
    {"the certificate", sp_scene_sts, FOR_MX | FOR_STARTTLS, NULL, {SP_C_P48, END}},
    /* --thorough, --intrusive */
    {"a failed handshake",
     sp_scene_failed_handshake,
     FOR_STARTTLS,
     NULL,
     {SP_C_P28, END}},
    {"weak ciphers", sp_scene_weak_ciphers, FOR_TLS, NULL, {SP_C_P33, END}},
    {"EXTERNAL, then an empty answer",
     sp_scene_spelling,
     FOR_CERT | FOR_EXTERNAL,
     "empty",
     {SP_C_P26, END}},
    {"EXTERNAL, then the identity",
     sp_scene_spelling,
     FOR_CERT | FOR_EXTERNAL,
     "identity",
     {SP_C_P26, END}},
    {"EXTERNAL, then =",
     sp_scene_spelling,
     FOR_CERT | FOR_EXTERNAL,
     "=",
     {SP_C_P26, END}},
    {"EXTERNAL with the account name",
     sp_scene_spelling,
     FOR_CERT | FOR_EXTERNAL,
     "account",
     {SP_C_P26, END}},
    {"another authorization identity",
     sp_scene_authzid,
     FOR_LOGIN | FOR_TLS,
     NULL,
     {SP_C_P23, END}},
    {"a hundred recipients",
     sp_scene_recipients,
     FOR_LOGIN | FOR_TLS,
     NULL,
     {SP_C_P44, END}},
    {"LF . LF", sp_scene_data, FOR_TLS, "\n.\n", {SP_C_P21, END}},
    {"LF . CRLF", sp_scene_data, FOR_TLS, "\n.\r\n", {SP_C_P21, END}},
    {"CRLF . LF", sp_scene_data, FOR_TLS, "\r\n.\n", {SP_C_P21, END}},
    {"CR . CR", sp_scene_data, FOR_TLS, "\r.\r", {SP_C_P21, END}},
    {"NUL", sp_scene_data, FOR_TLS, "NUL", {SP_C_P21, END}},
};

static bool open_state(const struct sp_probe *p, enum sp_check_id c)
{
    enum sp_check_state s = sp_findings_check(p->f, c)->state;

    return s == SP_CHECK_TODO || s == SP_CHECK_RUNNING;
}

/* Checks that several scenes serve are wanted until the last of them. */
static bool scene_wanted(const struct sp_probe *p, const struct scene *s)
{
    for (size_t i = 0; s->checks[i] != END; i++)
        if (open_state(p, s->checks[i]) ||
            (s->variant && sp_check_wanted(p->f, s->checks[i])))
            return true;
    return false;
}

static const char *scene_lacks(const struct sp_probe *p, const struct scene *s)
{
    if ((s->needs & FOR_STARTTLS && p->implicit) || (s->needs & FOR_MX && !p->mx))
        return "";
    if (s->run == sp_scene_sts && !sp_probe_sts_needs_scene(p))
        return "";
    if (s->run == sp_scene_forget_rest && !p->cut_short)
        return p->wants_cert ? "nobody is served without a certificate"
                             : "the server gave no occasion for it";
    if (s->needs & FOR_IMPLICIT && !p->implicit)
        return "only for implicit TLS";
    if (s->needs & FOR_TLS && p->tls_tried && !p->tls_works)
        return "TLS did not come up";
    if (s->needs & FOR_CERT && !p->own.cert)
        return "needs --certificate";
    if (s->needs & FOR_BAD_CERT && !p->bad.cert)
        return "needs --bad-cert";
    if (s->needs & FOR_LOGIN && !p->have_password && !p->have_token)
        return "needs --user and a password";
    if (s->needs & FOR_EXTERNAL && p->cert &&
        !sp_mech_listed(p->cert, SP_MECH_EXTERNAL))
        return "EXTERNAL is not listed to the certificate";
    return NULL;
}

/* By sp_probe_judge_*(), from what several connections showed. */
static bool judged_later(const struct sp_probe *p, enum sp_check_id c)
{
    return (c == SP_C_P05 && p->no_ehlo_mail.r.code) ||
           (c == SP_C_P06 && p->no_ehlo_auth.r.code) ||
           (c == SP_C_P17 && p->cert_login.r.code) || c == SP_C_P48;
}

static void not_run(struct sp_probe *p, const struct scene *s, const char *why)
{
    for (size_t i = 0; s->checks[i] != END; i++)
        if (open_state(p, s->checks[i]) && !judged_later(p, s->checks[i]))
            sp_check_not_run(p->f, s->checks[i], "%s", why);
}

static bool later_scene_serves(size_t n, enum sp_check_id c)
{
    for (size_t k = n + 1; k < sizeof scenes / sizeof scenes[0]; k++)
        for (size_t i = 0; scenes[k].checks[i] != END; i++)
            if (scenes[k].checks[i] == c && !scenes[k].variant)
                return true;
    return false;
}

/* What it did not get to is not run, with the reason why it stopped. */
static void settle(struct sp_probe *p, size_t n, const struct sp_pw *w)
{
    const struct scene *s = &scenes[n];
    const char *why = w->end == SP_PW_OPEN || w->end == SP_PW_BYE
                          ? "the server gave no occasion for it"
                          : w->why;

    if (sp_findings_check(p->f, s->checks[0])->state == SP_CHECK_DONE)
        sp_check_done(p->f, s->checks[0], 1, w->failed);
    for (size_t i = 0; s->checks[i] != END; i++)
        if (open_state(p, s->checks[i]) && !later_scene_serves(n, s->checks[i]) &&
            !judged_later(p, s->checks[i]))
            sp_check_not_run(p->f, s->checks[i], "%s", why);
}

static void watch(struct sp_probe *p, const struct sp_pw *w)
{
    p->timeouts = w->end == SP_PW_TIMEOUT ? p->timeouts + 1 : 0;
    if (p->timeouts >= TIMEOUTS_MAX || w->end == SP_PW_ENDLESS ||
        w->end == SP_PW_STOPPED) {
        p->hopeless = true;
        (void)snprintf(p->hopeless_why, sizeof p->hopeless_why, "%s", w->why);
    }
}

static struct sp_pw *open_wire(struct sp_probe *p, struct sp_err *err)
{
    struct sp_pw *w = NULL;

    if (p->n_wires == SP_PROBE_WIRES || sp_pw_open(&p->dial, &w, err) < 0)
        return NULL;
    p->connections++;
    w->number = p->connections;
    p->wire[p->n_wires++] = w;
    return w;
}

static void note_peer(struct sp_probe *p)
{
    char text[SP_ADDR_TEXT];
    const struct sockaddr_storage *ss = &p->dial.peer;
    const uint8_t *a = (const uint8_t *)&((const struct sockaddr_in *)ss)->sin_addr;
    const struct in6_addr *a6 = &((const struct sockaddr_in6 *)ss)->sin6_addr;

    sp_naddr_text((const struct sockaddr *)ss, text, sizeof text);
    (void)sp_findings_fact(p->f, p->dial.socks_host ? "proxy" : "address", sp_str(text));
    if (p->dial.source || p->dial.socks_host) /* who names one knows what it is worth */
        p->trusted = false;
    else if (ss->ss_family == AF_INET)
        p->trusted = a[0] == 127 || a[0] == 10 || (a[0] == 192 && a[1] == 168) ||
                     (a[0] == 172 && (a[1] & 0xf0) == 16);
    else
        p->trusted = IN6_IS_ADDR_LOOPBACK(a6) || (a6->s6_addr[0] & 0xfe) == 0xfc;
}

static void run_scene(struct sp_probe *p, size_t n)
{
    const struct scene *s = &scenes[n];
    const char *lack;
    struct sp_err err;
    struct sp_pw *w;

    if (!scene_wanted(p, s))
        return;
    lack = scene_lacks(p, s);
    if (lack) {
        for (size_t i = 0; *lack && s->checks[i] != END; i++)
            if (open_state(p, s->checks[i]) && !later_scene_serves(n, s->checks[i]))
                sp_check_not_run(p->f, s->checks[i], "%s", lack);
        return;
    }
    if (p->hopeless) {
        not_run(p, s, p->hopeless_why);
        return;
    }
    if (!p->thorough &&
        p->connections + sp_probe_own_client_due(p) >= SP_PROBE_CONNECTIONS) {
        not_run(p, s, "twelve connections were used; --thorough makes more");
        return;
    }
    sp_findings_say(p->f, "connection %u: %s", p->connections + 1, s->name);
    w = open_wire(p, &err);
    if (!w) {
        p->hopeless = true;
        (void)snprintf(p->hopeless_why, sizeof p->hopeless_why, "%.150s", err.text);
        if (p->connections == 0)
            sp_findings_failed(p->f, err.code == SP_ENOENT ? EX_NOHOST : EX_UNAVAILABLE,
                               "%s", err.text);
        not_run(p, s, p->hopeless_why);
        return;
    }
    if (w->number == 1)
        note_peer(p);
    p->variant = s->variant;
    s->run(p, w);
    sp_pw_end(w);
    sp_probe_tls_end(p, w);
    sp_probe_recognise(p, w);
    watch(p, w);
    settle(p, n, w);
}

/* ---- certificates ---- */

static int passphrase(char *buf, int size, int writing, void *arg)
{
    const char *s = getenv("SALLYPORT_KEY_PASSPHRASE");

    (void)writing;
    (void)arg;
    if (!s || strlen(s) > (size_t)size)
        return -1;
    memcpy(buf, s, strlen(s));
    return (int)strlen(s);
}

static bool read_pkcs12(BIO *in, struct sp_probe_pair *ret)
{
    PKCS12 *p12 = d2i_PKCS12_bio(in, NULL);
    const char *pass = getenv("SALLYPORT_KEY_PASSPHRASE");
    bool ok = p12 && PKCS12_parse(p12, pass ? pass : "", &ret->key, &ret->cert,
                                  &ret->chain) == 1;

    PKCS12_free(p12);
    return ok;
}

static bool read_pem(BIO *in, const char *key_path, struct sp_probe_pair *ret)
{
    BIO *k = key_path ? BIO_new_file(key_path, "r") : NULL;
    X509 *x;

    ret->cert = PEM_read_bio_X509(in, NULL, NULL, NULL);
    ret->chain = sk_X509_new_null();
    while (ret->chain && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)))
        if (sk_X509_push(ret->chain, x) <= 0)
            X509_free(x);
    if (!key_path)
        (void)BIO_seek(in, 0);
    ret->key = PEM_read_bio_PrivateKey(key_path ? k : in, NULL, passphrase, NULL);
    BIO_free(k);
    return ret->cert && ret->key;
}

static int read_pair(struct sp_probe *p, const char *cert_path, const char *key_path,
                     struct sp_probe_pair *ret)
{
    BIO *in;
    char first = 0;
    bool ok = false;

    if (!cert_path)
        return 0;
    in = BIO_new_file(cert_path, "rb");
    if (in && BIO_read(in, &first, 1) == 1) {
        (void)BIO_seek(in, 0);
        ok = first == 0x30 ? read_pkcs12(in, ret) : read_pem(in, key_path, ret);
    }
    ERR_clear_error();
    BIO_free(in);
    if (ok)
        return 0;
    sp_findings_failed(p->f, EX_NOINPUT, "no certificate with its key in %s%s%s",
                       cert_path, key_path ? " and " : "", key_path ? key_path : "");
    return -SP_EINPUT;
}

static void free_pair(struct sp_probe_pair *pair)
{
    X509_free(pair->cert);
    EVP_PKEY_free(pair->key);
    sk_X509_pop_free(pair->chain, X509_free);
}

/* ---- preparing ---- */

static int read_secret(struct sp_probe *p)
{
    const struct sp_talk_opts *t = p->o->talk;
    struct sp_err err;
    int rc;

    sp_buf_init(&p->password, 16384);
    p->have_password = t->cli.have_password && t->cli.authcid && t->secret;
    p->have_token = t->cli.have_token && t->cli.authcid && t->secret;
    if (!p->have_password && !p->have_token)
        return 0;
    memset(&err, 0, sizeof err);
    rc = t->secret(t->secret_arg, p->have_token ? SP_TALK_TOKEN : SP_TALK_PASSWORD,
                   false, &p->password, &err);
    if (rc == SP_TALK_LATER) {
        p->have_password = p->have_token = false;
        return 0;
    }
    if (rc < 0)
        sp_findings_failed(p->f, EX_NOINPUT, "%s", err.text);
    return rc < 0 ? rc : 0;
}

/* Whom test mail comes from.  Without an address the null reverse-path is said, which
 * every server takes from everybody. */
static void addresses(struct sp_probe *p)
{
    const struct sp_cli_options *c = &p->o->talk->cli;
    const char *from = p->o->send_from;

    if (!from && c->cert_address)
        from = c->cert_address;
    if (!from && c->authcid && strchr(c->authcid, '@'))
        from = c->authcid;
    (void)snprintf(p->from, sizeof p->from, "%.320s", from ? from : "");
    if (c->cert_address)
        (void)snprintf(p->identity, sizeof p->identity, "%.320s", c->cert_address);
    else if (c->external_identity)
        (void)snprintf(p->identity, sizeof p->identity, "%.320s", c->external_identity);
}

static void where_to(struct sp_probe *p)
{
    const struct sp_talk_opts *t = p->o->talk;
    char port[8];
    bool v6 = t->dial.family == SP_FAMILY_6, v4 = t->dial.family == SP_FAMILY_4;

    p->host = t->dial.host;
    p->tls_name = t->tls_name ? t->tls_name : p->host;
    p->ca_path = p->o->ca_path;
    p->helo = t->cli.helo && *t->cli.helo ? t->cli.helo : "[127.0.0.1]";
    p->mx = p->o->choice.profile == SP_PROFILE_MX;
    p->thorough = p->o->choice.thorough || p->o->choice.intrusive;
    p->dial = (struct sp_pw_dial){
        .host = p->host,
        .port = t->dial.port ? t->dial.port
                : p->mx      ? 25
                             : 587,
        .family = v6   ? AF_INET6
                  : v4 ? AF_INET
                       : AF_UNSPEC,
        .source = t->dial.source,
        .socks_host = t->dial.socks_host,
        .socks_port = t->dial.socks_port,
        .socks_user = t->dial.socks_user,
        .socks_password = t->dial.socks_password,
        .connect_ms = t->dial.timeout_ms ? t->dial.timeout_ms : CONNECT_MS,
        .reply_ms = t->timeout_ms ? t->timeout_ms : REPLY_MS,
        .stop = p->o->stop,
    };
    p->dial.total_ms = p->dial.reply_ms * TOTAL_FACTOR;
    p->implicit = p->o->tls == SP_PROBE_IMPLICIT ||
                  (p->o->tls == SP_PROBE_TLS_AUTO &&
                   (t->cli.tls == SP_CLI_TLS_IMPLICIT || p->dial.port == 465));
    (void)snprintf(port, sizeof port, "%u", p->dial.port);
    (void)sp_findings_fact(p->f, "host", sp_str(p->host));
    (void)sp_findings_fact(p->f, "port", sp_str(port));
    (void)sp_findings_fact(p->f, "tls", sp_str(p->implicit ? "implicit" : "starttls"));
}

static int prepare(struct sp_probe *p)
{
    int rc;

    if (!p->o->talk->dial.host) {
        sp_findings_failed(p->f, EX_USAGE, "a host to ask is missing");
        return -SP_EINPUT;
    }
    where_to(p);
    addresses(p);
    rc = read_pair(p, p->o->cert_path, p->o->key_path, &p->own);
    if (rc == 0)
        rc = read_pair(p, p->o->bad_cert_path, p->o->bad_key_path, &p->bad);
    if (rc == 0)
        rc = read_secret(p);
    if (rc == 0)
        rc = sp_pw_foreign(p->identity[0] ? p->identity : SP_PROBE_NOBODY_IDENTITY,
                           &p->foreign.cert, &p->foreign.key);
    return rc;
}

static void tidy(struct sp_probe *p)
{
    sp_buf_wipe(&p->password);
    for (unsigned i = 0; i < p->n_wires; i++)
        sp_pw_free(p->wire[i]);
    free_pair(&p->own);
    free_pair(&p->bad);
    free_pair(&p->foreign);
    sp_caps_free(p->clear);
    sp_caps_free(p->tls);
    sp_caps_free(p->cert);
    sp_caps_free(p->login);
}

/* A server that is no mail server, or falls silent: what was not seen is no praise. */
static void how_it_ended(struct sp_probe *p)
{
    if (p->o->stop && *p->o->stop) {
        sp_findings_interrupted(p->f);
        return;
    }
    for (unsigned i = 0; i < p->n_wires; i++)
        if (p->wire[i]->end == SP_PW_GARBAGE || p->wire[i]->end == SP_PW_ENDLESS)
            sp_findings_failed(p->f, EX_PROTOCOL, "connection %u: %s",
                               p->wire[i]->number, p->wire[i]->why);
    if (p->hopeless)
        sp_findings_failed(p->f, EX_UNAVAILABLE, "%s", p->hopeless_why);
    if (p->clear && !(p->clear->ext & SP_EXT_STARTTLS) && !p->implicit)
        return; /* which was found, and is why there is nothing more */
    if (p->n_wires && !p->tls && !p->cert &&
        ((p->tls_tried && !p->tls_works) || sp_findings_count(p->f) == 0))
        sp_findings_failed(p->f, EX_UNAVAILABLE, "there was no session inside TLS: %s",
                           p->wire[p->n_wires > 1]->why);
}

static void run(struct sp_probe *p)
{
    if (p->mx && !sp_probe_find_mx(p))
        return;
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
        run_scene(p, i);
    sp_probe_own_client(p);
    sp_probe_judge_starttls(p);
    sp_probe_judge_auth(p);
    sp_probe_judge_replies(p);
    sp_probe_judge_recipes(p);
    if (p->mx)
        sp_probe_mta_sts(p);
    how_it_ended(p);
    sp_findings_cost(p->f, p->connections, p->failed);
}

int sp_probe_run(const struct sp_probe_options *o, struct sp_findings *f)
{
    struct sp_probe *p = sp_alloc(sizeof *p);
    int rc;

    if (!p) {
        sp_findings_failed(f, EX_OSERR, "out of memory");
        return -SP_ENOMEM;
    }
    p->o = o;
    p->f = f;
    rc = prepare(p);
    if (rc == 0)
        run(p);
    tidy(p);
    sp_free(p);
    return rc;
}
