/* cmd_config.c - `sallyport config`: check, dump, explain. */
#include "cli.h"
#include "err.h"
#include "material.h"
#include "policy.h"

#include <string.h>
#include <unistd.h>

static const struct sp_option check_options[] = {
    SP_OPT_CONFIG, {"files", 'f', NULL, "also read and judge keys and certificates"},
    SP_OPT_END};
static const struct sp_option dump_options[] = {
    SP_OPT_CONFIG, {"all", 'a', NULL, "every key, not only what differs from the defaults"},
    SP_OPT_END};
static const struct sp_option explain_options[] = {
    SP_OPT_CONFIG,
    {"listener", 'l', "NAME", "which listener (default: the first)"},
    {"tls", 't', NULL, "inside TLS"},
    {"with-certificate", 0, NULL, "with a usable client certificate"},
    SP_OPT_END};

static int run_check(const struct sp_args *a)
{
    int status = 0;
    struct sp_conf *c = sp_load_conf(a, &status);
    struct sp_material *m = NULL;
    struct sp_buf problems;

    if (!c)
        return status;
    if (sp_arg_given(a, "files")) {
        sp_buf_init(&problems, 1 << 16);
        m = sp_material_read(c, &problems);
        if (problems.n)
            fwrite(problems.p, 1, problems.n, stderr);
        sp_buf_free(&problems);
        if (!m)
            status = EX_CONFIG;
        sp_material_free(m);
    }
    if (status == 0)
        printf("%s: fine\n", c->filename ? c->filename : "the defaults");
    sp_conf_unref(c);
    return status;
}

static int run_dump(const struct sp_args *a)
{
    int status = 0;
    struct sp_conf *c = sp_load_conf(a, &status);
    struct sp_buf out;

    if (!c)
        return status;
    sp_buf_init(&out, 1 << 24);
    if (sp_conf_dump(c, sp_arg_given(a, "all"), &out) < 0)
        status = sp_fail(EX_OSERR, "out of memory");
    else
        fwrite(out.p, 1, out.n, stdout);
    sp_buf_free(&out);
    sp_conf_unref(c);
    return status;
}

/* Answers everything with yes and takes the output away. */
static void play(struct sp_srv *s, const struct sp_srv_tls *t)
{
    struct sp_srv_event ev;
    size_t n;

    do {
        while (sp_srv_next(s, &ev))
            if (ev.type == SP_SRV_HANDSHAKE)
                (void)sp_srv_tls_done(s, t);
            else
                (void)sp_srv_accept(s);
        (void)sp_srv_out(s, &n);
        sp_srv_out_ack(s, n);
    } while (n);
}

/* The engine itself is asked: what is printed is what a client gets. */
static int explain(const struct sp_conf *c, const struct sp_conf_listener *l, bool tls,
                   bool cert)
{
    struct sp_srv_policy p;
    struct sp_srv_tls t = {.cert = cert ? SP_CERT_USABLE : SP_CERT_NONE,
                           .cert_verified = cert,
                           .user = cert ? SP_LIT("user") : SP_LIT("")};
    struct sp_srv *s;
    static const char starttls[] = "EHLO client.example\r\nSTARTTLS\r\n";
    char text[4096];
    size_t at = 0, k = 1;
    int n;

    srv_policy(&p, c, l);
    s = sp_srv_new(&p, SP_LIT("user"));
    if (!s)
        return sp_fail(EX_OSERR, "out of memory");
    play(s, &t);
    while (tls && !p.implicit_tls && k && at < sizeof starttls - 1) {
        k = sp_srv_feed(s, starttls + at, sizeof starttls - 1 - at);
        at += k;
        play(s, &t);
    }
    n = sp_srv_explain_ehlo(s, text, sizeof text);
    printf("listener %s, %s%s: EHLO is answered with\n%.*s", l->head.name,
           sp_srv_in_tls(s) ? "inside TLS" : "in clear",
           sp_srv_in_tls(s) && cert ? ", usable client certificate" : "", n > 0 ? n : 0, text);
    sp_srv_free(s);
    return 0;
}

static int run_explain(const struct sp_args *a)
{
    int status = 0;
    struct sp_conf *c = sp_load_conf(a, &status);
    const struct sp_conf_listener *l;

    if (!c)
        return status;
    l = sp_arg(a, "listener") ? sp_conf_listener_named(c, sp_arg(a, "listener"))
                              : &c->listeners[0];
    if (!l)
        status = sp_fail(EX_USAGE, "there is no listener %s", sp_arg(a, "listener"));
    else
        status = explain(c, l, sp_arg_given(a, "tls") || sp_arg_given(a, "with-certificate"),
                         sp_arg_given(a, "with-certificate"));
    sp_conf_unref(c);
    return status;
}

static const struct sp_command c_check = {
    .name = "check", .summary = "say what is wrong with a configuration, all of it",
    .usage = "[--config FILE] [--files]", .options = check_options, .run = run_check};
static const struct sp_command c_dump = {
    .name = "dump", .summary = "print it in canonical form", .usage = "[--config FILE] [--all]",
    .options = dump_options, .run = run_dump};
static const struct sp_command c_explain = {
    .name = "explain", .summary = "print the exact EHLO reply a client gets",
    .usage = "[--listener NAME] [--tls] [--with-certificate]", .options = explain_options,
    .run = run_explain};

static const struct sp_command *const subs[] = {&c_check, &c_dump, &c_explain, NULL};

const struct sp_command sp_cmd_config = {
    .name = "config", .summary = "check, print and explain the configuration", .sub = subs};
