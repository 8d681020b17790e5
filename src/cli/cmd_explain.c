/*
 * cmd_explain.c - `sallyport config explain`: what a client would be told, and why.
 *
 * The answers come from the engine that the server runs, brought into the state asked
 * about and then asked: EHLO, AUTH with each mechanism, MAIL.  The certificate is judged
 * by the listener's TLS context and mapped by the accounts, as in the server and in auth.
 * Nothing here knows a rule.
 */
#include "certmap.h"
#include "cli.h"
#include "datadir.h"
#include "err.h"
#include "material.h"
#include "policy.h"
#include "rules.h"
#include "tlsctx.h"
#include "users.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

static const struct sp_option options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    {"listener", 'l', "NAME", "which listener (default: the first)"},
    {"tls", 't', NULL, "inside TLS"},
    {"cert", 0, "FILE", "inside TLS, and the client shows this certificate"},
    {"with-certificate", 0, NULL,
     "inside TLS, with a certificate that stands for --user"},
    {"user", 'u', "ACCOUNT", "say also what this account can do"},
    SP_OPT_JSON,
    SP_OPT_END};

enum { TEXT_MAX = 4096 };

/* The question, and what was found out on the way to the answers. */
struct ask {
    const struct sp_args *a;
    struct sp_conf *conf;
    const char *data;
    const struct sp_conf_listener *l;
    struct sp_srv_policy policy;
    struct sp_users *users; /* NULL: there is no database */
    struct sp_user *user;   /* --user */
    bool tls, asked;        /* asked: the server wants to see a certificate */
    struct sp_srv_tls t;
    struct sp_cert_result cert; /* with --cert */
    struct sp_cert_facts facts;
    struct sp_err err;
};

struct answer {
    char text[TEXT_MAX]; /* the reply as sent, CRLF lines; "" when none */
    bool login;          /* a login by certificate on the way */
    bool taken;          /* the command itself was accepted */
};

/* ---- asking the engine ---- */

/* Answers every decision with yes and collects what is sent. */
static void play(const struct ask *q, struct sp_srv *s, struct answer *r)
{
    struct sp_srv_event ev;
    size_t n, have = 0;
    const char *p;

    do {
        while (sp_srv_next(s, &ev))
            switch ((int)ev.type) {
            case SP_SRV_HANDSHAKE:
                (void)sp_srv_tls_done(s, &q->t);
                break;
            case SP_SRV_AUTH:
                r->taken = true;
                r->login = ev.u.auth.mech == SP_MECH_EXTERNAL;
                if (r->login)
                    (void)sp_srv_auth_ok(s, q->t.user, (struct sp_str){NULL, 0});
                else
                    (void)sp_srv_auth_challenge(s, SP_LIT("...")); /* auth's words */
                break;
            case SP_SRV_MAIL:
                r->taken = true;
                (void)sp_srv_accept(s);
                break;
            default:
                (void)sp_srv_accept(s);
            }
        p = sp_srv_out(s, &n);
        if (n && n < TEXT_MAX - have) {
            memcpy(r->text + have, p, n);
            have += n;
        }
        sp_srv_out_ack(s, n);
    } while (n);
    r->text[have] = '\0';
}

static void say(const struct ask *q, struct sp_srv *s, const char *line,
                struct answer *r)
{
    size_t n = strlen(line), at = 0, k = 1;

    memset(r, 0, sizeof *r);
    while (k && at < n) {
        struct answer one = {.text = ""};

        k = sp_srv_feed(s, line + at, n - at);
        at += k;
        play(q, s, &one);
        if (one.text[0])
            memcpy(r->text, one.text, sizeof r->text);
        r->login |= one.login;
        r->taken |= one.taken;
    }
}

/* A session in the state that is asked about, greeted. */
static struct sp_srv *session(const struct ask *q, struct answer *ehlo)
{
    struct sp_srv *s = sp_srv_new(&q->policy, SP_LIT(""));
    struct answer banner;

    if (!s)
        return NULL;
    memset(&banner, 0, sizeof banner);
    play(q, s, &banner);
    say(q, s, "EHLO client.example\r\n", ehlo);
    if (q->tls && !q->policy.implicit_tls) {
        say(q, s, "STARTTLS\r\n", &banner);
        say(q, s, "EHLO client.example\r\n", ehlo);
    }
    return s;
}

/* One command to a copy of the session: the next question finds the same state. */
static int try(const struct ask *q, const struct sp_srv *s, const char *line,
               struct answer *r)
{
    struct sp_srv *copy = sp_srv_clone(s);

    if (!copy)
        return -SP_ENOMEM;
    say(q, copy, line, r);
    sp_srv_free(copy);
    return 0;
}

/* ---- finding out about certificate and account ---- */

static int open_users(struct ask *q)
{
    char path[4200];
    int rc;

    (void)sp_data_path(path, sizeof path, q->data, SP_DATA_USERS, "users.db");
    rc = sp_users_open(path, SP_USERS_READ, &q->users, &q->err);
    if (rc == -SP_ENOENT && !sp_arg(q->a, "user") && !sp_arg(q->a, "cert"))
        return 0; /* nobody yet: the question can be answered all the same */
    if (rc == 0 && sp_arg(q->a, "user"))
        rc = sp_users_find(q->users, sp_str(sp_arg(q->a, "user")), &q->user, &q->err);
    return rc;
}

static int judge_certificate(struct ask *q, struct sp_str file)
{
    struct sp_cert_look look = {.now_s = (int64_t)time(NULL)};
    struct sp_material *m = NULL;
    struct sp_tls_ctx *ctx = NULL;
    struct sp_tls_verdict v;
    struct sp_buf problems, der, chain;
    int rc;

    sp_buf_init(&problems, 1 << 16);
    sp_buf_init(&der, 1 << 17);
    sp_buf_init(&chain, 1 << 20);
    rc = sp_cert_der(file, &der, &chain, &q->err);
    if (rc == 0)
        rc = sp_cert_facts(file, &q->facts, &q->err);
    if (rc == 0 && !(m = sp_material_read(q->conf, &problems)))
        rc = sp_err_set(&q->err, SP_CLASS_PEER, SP_EIO,
                        "the certificate cannot be judged: %.*s", (int)problems.n,
                        problems.n ? problems.p : "");
    if (rc == 0)
        rc = sp_material_tls(m, q->l, &ctx, &q->err);
    if (rc == 0) {
        look.leaf_der = sp_buf_view(&der);
        sp_tls_judge_der(ctx, look.leaf_der, sp_buf_view(&chain), look.now_s, &v);
        look.chain_ok = v.chain_ok;
        look.chain_reason = sp_str(v.chain_why);
        srv_cert_domains(&look, q->l);
        rc = sp_certmap(q->users, &look, &q->cert, &q->err);
    }
    sp_tls_unref(ctx);
    sp_material_free(m);
    sp_buf_free(&problems);
    sp_buf_free(&der);
    sp_buf_free(&chain);
    return rc;
}

static int with_certificate(struct ask *q)
{
    struct sp_buf file;
    int rc = sp_read_file(sp_arg(q->a, "cert"), 1 << 20, &file, &q->err);

    if (rc == 0)
        rc = judge_certificate(q, sp_buf_view(&file));
    sp_buf_free(&file);
    if (rc < 0)
        return rc;
    q->t.cert = q->cert.usable ? SP_CERT_USABLE : SP_CERT_UNUSABLE;
    q->t.cert_verified = q->cert.verified;
    q->t.user = sp_str(q->cert.user);
    q->t.reason = sp_str(q->cert.reason);
    q->t.external_only = q->cert.external_only;
    return 0;
}

static int find_out(struct ask *q)
{
    int rc = open_users(q);

    q->tls = sp_arg_given(q->a, "tls") || sp_arg(q->a, "cert") ||
             sp_arg_given(q->a, "with-certificate") || q->l->tls == SP_CONF_IMPLICIT;
    q->t.channel_binding = true; /* TLS 1.3 always has one */
    q->asked =
        q->tls && srv_asks_certificate(
                      q->l, q->users && sp_users_any_certificate(q->users, NULL) > 0);
    if (rc < 0 || !q->asked)
        return rc; /* a certificate nobody asks for is not shown */
    if (sp_arg(q->a, "cert"))
        return with_certificate(q);
    if (sp_arg_given(q->a, "with-certificate")) {
        q->t.cert = SP_CERT_USABLE;
        q->t.cert_verified = true;
        q->t.user = q->user ? sp_str(q->user->name) : SP_LIT("user");
        q->t.external_only = q->user && !q->user->has_password;
    }
    return 0;
}

/* ---- what an account can do with a mechanism that is offered ---- */

static const char *account_says(const struct sp_user *u, enum sp_mech m)
{
    if (!u->enabled)
        return "535: the account is disabled";
    switch (m) {
    case SP_MECH_PLAIN:
    case SP_MECH_LOGIN:
        return u->crypt ? "235 with its password" : "535: the account has no password";
    case SP_MECH_SCRAM_SHA_256:
    case SP_MECH_SCRAM_SHA_256_PLUS:
        return u->has_scram[SP_SCRAM_SHA256] ? "235 with its password"
                                             : "535: the account has no password";
    case SP_MECH_SCRAM_SHA_1:
    case SP_MECH_SCRAM_SHA_1_PLUS:
        return u->has_scram[SP_SCRAM_SHA1] ? "235 with its password"
                                           : "535: the account has no password";
    default:
        return "";
    }
}

/* ---- saying it ---- */

/* Which setting of the configuration a mechanism's row looks at. */
static const char *key_of(const struct ask *q, enum sp_mech m)
{
    if (m == SP_MECH_EXTERNAL)
        return "certificate-login";
    return q->tls ? "auth-tls" : "auth-clear";
}

static json_t *lines(const char *text)
{
    json_t *j = json_array();
    struct sp_str rest = sp_str(text);

    while (rest.n) {
        struct sp_str line = sp_str_cut(&rest, '\n');

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        json_array_append_new(j, json_stringn(line.p, line.n));
    }
    return j;
}

static json_t *mechanism(const struct ask *q, const struct sp_srv *s, enum sp_mech m)
{
    const struct sp_verdict v = sp_rule_mech(s, m);
    const struct sp_mech_rule *rule = sp_mech_rule(m);
    const char *line = m == SP_MECH_EXTERNAL ? " =\r\n" : "\r\n";
    struct answer r;
    char text[80];
    json_t *j;

    snprintf(text, sizeof text, "AUTH %s%s", sp_mech_name(m), line);
    if (try(q, s, text, &r) < 0)
        return NULL;
    j = json_pack("{s:s,s:b,s:o,s:s,s:s}", "mechanism", sp_mech_name(m), "listed",
                  (int)sp_rule_mech_listed(s, m), "reply", lines(r.text), "setting",
                  key_of(q, m), "row",
                  v.reply == SP_R_NONE ? rule->cite : sp_reply_rule(v.reply)->cite);
    if (j && q->user && v.reply == SP_R_NONE && *account_says(q->user, m))
        json_object_set_new(j, "account", json_string(account_says(q->user, m)));
    return j;
}

static json_t *settings(const struct ask *q)
{
    static const char *const names[] = {
        "client-certificates", "client-ca",         "client-crl",
        "client-ca-domains",   "certificate-login", "auth-list-with-certificate",
        "auth-clear",          "auth-tls",          "require-binding",
        "lenient-ehlo",        "legacy-auth-line",  "lenient-path",
        "policies",            "milters",           "content-filter",
        "proxies",             "proxy-protocol",    "xclient"};
    const size_t always = 12; /* the filters only where there are some */
    const size_t proxied = 15; /* these with type = proxied */
    size_t n = q->l->type == SP_CONF_PROXIED ? sizeof names / sizeof names[0] : proxied;
    json_t *j = json_object();

    for (size_t i = 0; i < n; i++) {
        const struct sp_conf_key *k =
            sp_conf_key_named(SP_CONF_LISTENER, sp_str(names[i]));
        struct sp_buf text;

        sp_buf_init(&text, 1 << 16);
        if (k && sp_conf_value_text(k, &q->l->head, &text) >= 0 && (i < always || text.n))
            json_object_set_new(j, names[i],
                                json_stringn(text.n ? text.p : "", text.n));
        sp_buf_free(&text);
    }
    if (q->l->client_certificates_auto)
        json_object_set_new(j, "client-certificates",
                            json_string(q->asked || srv_asks_certificate(q->l, false)
                                            ? "optional"
                                            : "off"));
    return j;
}

static json_t *certificate(const struct ask *q)
{
    if (q->t.cert == SP_CERT_NONE)
        return json_pack("{s:b,s:b}", "asked", (int)q->asked, "usable", 0);
    return json_pack("{s:b,s:b,s:s%,s:s%,s:s,s:s,s:s}", "asked", 1, "usable",
                     (int)(q->t.cert == SP_CERT_USABLE), "user", q->t.user.p,
                     q->t.user.n, "reason", q->t.reason.n ? q->t.reason.p : "",
                     q->t.reason.n, "rule", q->cert.rule, "subject", q->facts.subject,
                     "fingerprint", q->cert.fingerprint);
}

static json_t *everything(const struct ask *q)
{
    struct answer ehlo, mail;
    struct sp_srv *s = session(q, &ehlo);
    json_t *auth = json_array(), *j;
    char line[SP_ADDRESS_MAX + 40];

    if (!s)
        return NULL;
    for (size_t i = 0; i < sp_nmechs; i++) {
        json_t *m = mechanism(q, s, sp_mechs[i].mech);

        json_array_append_new(auth, m ? m : json_null());
    }
    snprintf(line, sizeof line, "MAIL FROM:<%s>\r\n",
             q->user && *q->user->first_address ? q->user->first_address
                                                : "sender@client.example");
    if (try(q, s, line, &mail) < 0)
        memset(&mail, 0, sizeof mail);
    j = json_pack("{s:s,s:b,s:o,s:o,s:o,s:o,s:{s:o,s:b}}", "listener", q->l->head.name,
                  "tls", (int)sp_srv_in_tls(s), "settings", settings(q), "certificate",
                  certificate(q), "ehlo", lines(ehlo.text), "auth", auth, "mail",
                  "reply", lines(mail.text), "implicit_login", (int)mail.login);
    if (j && q->user)
        json_object_set_new(j, "account",
                            json_pack("{s:s,s:b,s:b}", "name", q->user->name, "enabled",
                                      (int)q->user->enabled, "password",
                                      (int)q->user->has_password));
    sp_srv_free(s);
    return j;
}

static const char *str(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

static void put(const char *s)
{
    sp_say_text(stdout, sp_str(s));
}

static void put_lines(const json_t *list, const char *indent)
{
    size_t i;
    json_t *l;

    json_array_foreach(list, i, l)
    {
        printf("%s", indent);
        put(json_string_value(l));
        putchar('\n');
    }
}

static void show_certificate(const struct ask *q, const json_t *j)
{
    const json_t *c = json_object_get(j, "certificate");

    if (!q->tls)
        return;
    if (!q->asked) {
        puts("certificate  clients are not asked for one");
        return;
    }
    if (q->t.cert == SP_CERT_NONE) {
        puts("certificate  clients are asked for one; here none is shown");
        return;
    }
    printf("certificate  ");
    if (q->t.cert == SP_CERT_USABLE) {
        put(str(c, "user"));
        printf("'s%s%s\n", *str(c, "rule") ? ", by " : "", str(c, "rule"));
    } else {
        printf("does not count: ");
        put(str(c, "reason"));
        putchar('\n');
    }
}

static void show(const struct ask *q, const json_t *j)
{
    const json_t *mail = json_object_get(j, "mail");
    const char *key;
    json_t *v;
    size_t i;

    printf("listener %s, %s\n", q->l->head.name, q->tls ? "inside TLS" : "in clear");
    show_certificate(q, j);
    puts("\nEHLO is answered");
    put_lines(json_object_get(j, "ehlo"), "  ");
    puts("\nAUTH is answered");
    json_array_foreach(json_object_get(j, "auth"), i, v)
    {
        printf("  %-18s %-7s ", str(v, "mechanism"),
               json_is_true(json_object_get(v, "listed")) ? "listed" : "");
        put(json_string_value(json_array_get(json_object_get(v, "reply"), 0)));
        printf("  [%s; %s]\n", str(v, "setting"), str(v, "row"));
        if (*str(v, "account"))
            printf("  %-18s %-7s then %s\n", "", "", str(v, "account"));
    }
    printf("\nMAIL is answered%s\n",
           json_is_true(json_object_get(mail, "implicit_login"))
               ? ", after a login by the certificate"
               : "");
    put_lines(json_object_get(mail, "reply"), "  ");
    puts("\nSettings that decided");
    json_object_foreach(json_object_get(j, "settings"), key, v)
    {
        printf("  %s = ", key);
        put(json_string_value(v));
        putchar('\n');
    }
}

static int answer(struct ask *q)
{
    json_t *j;

    srv_policy(&q->policy, q->conf, q->l);
    if (find_out(q) < 0)
        return sp_fail_err(&q->err);
    if (sp_arg(q->a, "cert") && !q->asked && !sp_arg_given(q->a, "json"))
        (void)sp_fail(0,
                      "this listener asks for no certificate: it would not be shown");
    j = everything(q);
    if (!j)
        return sp_fail(EX_OSERR, "out of memory");
    if (sp_arg_given(q->a, "json")) {
        json_dumpf(j, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        show(q, j);
    }
    json_decref(j);
    return 0;
}

static int run_explain(const struct sp_args *a)
{
    struct ask q = {.a = a};
    int status = 0;

    q.conf = sp_load_conf(a, true, &status);
    if (!q.conf)
        return status;
    q.data = sp_arg(a, "data") ? sp_arg(a, "data") : q.conf->data_directory;
    q.l = sp_arg(a, "listener") ? sp_conf_listener_named(q.conf, sp_arg(a, "listener"))
                                : &q.conf->listeners[0];
    if (!q.l)
        status = sp_fail(EX_USAGE, "there is no listener %s", sp_arg(a, "listener"));
    else if (q.l->type == SP_CONF_LOCAL)
        status = sp_fail(EX_USAGE,
                         "listener %s is a local socket: the system says who "
                         "connects, there is no AUTH and no TLS",
                         q.l->head.name);
    else
        status = answer(&q);
    sp_user_free(q.user);
    sp_users_close(q.users);
    sp_conf_unref(q.conf);
    return status;
}

const struct sp_command sp_cmd_explain = {
    .name = "explain",
    .summary = "what a client is told, and why: EHLO, each AUTH, MAIL",
    .usage = "[--listener NAME] [--tls] [--cert FILE] [--user ACCOUNT] [--json]",
    .options = options,
    .run = run_explain};
