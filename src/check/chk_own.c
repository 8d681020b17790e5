/*
 * chk_own.c - who the server is, whether our own client gets in (P46, P36), and the
 * recipes that follow from what was seen.
 *
 * The client engine decides by itself; it is only let loose where the other checks have
 * shown that it will not be refused, because a refused login counts against the user.
 */
#include "probe_i.h"

#include "err.h"
#include "net.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

/* ---- products ---- */

enum place { IN_BANNER, IN_ANY };

/* clang-format off */
static const struct {
    enum place where;
    const char *words;
    enum sp_product product;
    const char *name; /* of a product without settings in the catalogue */
} products[] = {
    {IN_BANNER, "OpenSMTPD",                       SP_PRODUCT_OPENSMTPD, NULL},
    {IN_BANNER, "ESMTP Postfix",                   SP_PRODUCT_POSTFIX,   NULL},
    {IN_BANNER, "ESMTP Exim",                      SP_PRODUCT_EXIM,      NULL},
    {IN_BANNER, "ESMTP Sendmail",                  SP_PRODUCT_SENDMAIL,  NULL},
    {IN_BANNER, "Dovecot ready",                   SP_PRODUCT_DOVECOT,   NULL},
    {IN_BANNER, "ESMTP Sallyport",                 SP_PRODUCT_SALLYPORT, NULL},
    {IN_BANNER, "ESMTP Haraka",                    SP_PRODUCT_OTHER,     "Haraka"},
    {IN_BANNER, "ESMTP chasquid",                  SP_PRODUCT_OTHER,     "chasquid"},
    {IN_BANNER, "Microsoft ESMTP",                 SP_PRODUCT_OTHER,     "Microsoft Exchange"},
    {IN_BANNER, "gsmtp",                           SP_PRODUCT_OTHER,     "Google"},
    {IN_BANNER, "Stalwart",                        SP_PRODUCT_OTHER,     "Stalwart"},
    {IN_BANNER, "KumoMTA",                         SP_PRODUCT_OTHER,     "KumoMTA"},
    {IN_BANNER, "maddy",                           SP_PRODUCT_OTHER,     "maddy"},
    {IN_BANNER, "Python SMTP",                     SP_PRODUCT_OTHER,     "aiosmtpd"},
    {IN_BANNER, "Courier",                         SP_PRODUCT_OTHER,     "Courier"},
    /* Banners can be changed; these sentences hardly ever are. */
    {IN_ANY, "Begin TLS negotiation now.",         SP_PRODUCT_DOVECOT,   NULL},
    {IN_ANY, "AUTH command used when not advertised", SP_PRODUCT_EXIM,   NULL},
    {IN_ANY, "Pipelining not supported",           SP_PRODUCT_OPENSMTPD, NULL},
    {IN_ANY, "Must issue a STARTTLS command first, sorry", SP_PRODUCT_UNKNOWN, NULL},
    {IN_ANY, "2.7.0 Authentication aborted",       SP_PRODUCT_UNKNOWN,   NULL},
    {IN_ANY, "Error: TLS already active",          SP_PRODUCT_POSTFIX,   NULL},
    {IN_ANY, "TLS not available after start",      SP_PRODUCT_SENDMAIL,  NULL},
    {IN_ANY, "this port speaks TLS first",         SP_PRODUCT_SALLYPORT, NULL},
};
/* clang-format on */

static bool has(const struct sp_pw *w, bool banner_only, const char *words)
{
    for (unsigned i = 0; i < w->n_seen && (i == 0 || !banner_only); i++)
        if (strstr(w->seen[i].line, words))
            return true;
    return false;
}

void sp_probe_recognise(struct sp_probe *p, const struct sp_pw *w)
{
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        if (p->product != SP_PRODUCT_UNKNOWN)
            return;
        if (products[i].product == SP_PRODUCT_UNKNOWN ||
            !has(w, products[i].where == IN_BANNER, products[i].words))
            continue;
        p->product = products[i].product;
        sp_findings_product(p->f, p->product);
        (void)sp_findings_fact(
            p->f, "product",
            sp_str(products[i].name ? products[i].name : sp_product_name(p->product)));
    }
}

/* ---- our own client ---- */

struct own {
    struct sp_probe *p;
    struct sp_talk *talk;
    uv_timer_t watch;
    bool ready, closed, failed;
    bool rejected;
    enum sp_cli_login login;
    enum sp_mech mech;
    char words[300];
    uint64_t until_ms;
    struct sp_evidence ev; /* the last lines of its dialogue */
};

static void on_trace(void *arg, bool from_server, struct sp_str line)
{
    struct own *o = arg;
    enum sp_ev_dir dir = from_server ? SP_EV_SERVER : SP_EV_CLIENT;

    if (line.n >= 8 && from_server && memcmp(line.p, "334 ", 4) == 0)
        line = SP_LIT("334 ..."); /* the salt of the password is nobody's business */
    if (o->ev.n == SP_EV_LINES) {
        memmove(o->ev.line, o->ev.line + 1, sizeof o->ev.line - sizeof o->ev.line[0]);
        o->ev.n--;
    }
    sp_ev_put(&o->ev, dir, "our own client", line);
}

static void on_ready(struct sp_talk *t, enum sp_cli_login login, enum sp_mech mech,
                     struct sp_str words, struct sp_str pin, void *arg)
{
    struct own *o = arg;

    (void)pin;
    o->ready = true;
    o->login = login;
    o->mech = mech;
    (void)snprintf(o->words, sizeof o->words, "%.*s", (int)words.n, words.p);
    sp_talk_quit(t);
}

static void on_body(struct sp_talk *t, void *arg)
{
    (void)arg;
    sp_talk_body_abort(t); /* never asked for */
}

static void on_sent(struct sp_talk *t, const struct sp_cli_event *ev, void *arg)
{
    (void)t;
    (void)ev;
    (void)arg;
}

static void on_failed(struct sp_talk *t, const struct sp_talk_failure *f, void *arg)
{
    struct own *o = arg;

    (void)t;
    if (o->ready) /* its QUIT */
        return;
    o->failed = true;
    o->rejected = f->auth_rejected;
    (void)snprintf(o->words, sizeof o->words, "%s", f->words);
}

static void on_closed(void *arg)
{
    struct own *o = arg;

    o->talk = NULL;
    o->closed = true;
    uv_timer_stop(&o->watch);
    uv_close((uv_handle_t *)&o->watch, NULL);
}

static void on_watch(uv_timer_t *t)
{
    struct own *o = t->data;
    const volatile sig_atomic_t *stop = o->p->o->stop;

    if (o->talk && ((stop && *stop) || sp_pw_now_ms() > o->until_ms))
        sp_talk_abort(o->talk);
}

static const struct sp_talk_ops ops = {.ready = on_ready,
                                       .body = on_body,
                                       .sent = on_sent,
                                       .failed = on_failed,
                                       .closed = on_closed,
                                       .trace = on_trace};

static void talk(struct sp_probe *p, struct own *o)
{
    struct sp_talk_opts opts = *p->o->talk;
    struct sp_net *net;
    struct sp_err err;
    uv_loop_t loop;

    if (uv_loop_init(&loop) < 0)
        return;
    net = sp_net_new(&loop);
    o->until_ms = sp_pw_now_ms() + p->dial.total_ms;
    opts.dial.port = p->dial.port;
    opts.dial.addresses = &p->dial.peer; /* the machine that the others asked */
    opts.dial.n_addresses = 1;
    opts.timeout_ms = p->dial.reply_ms;
    opts.dial.timeout_ms = p->dial.connect_ms;
    opts.cli.tls = p->implicit ? SP_CLI_TLS_IMPLICIT : SP_CLI_TLS_REQUIRED;
    o->talk = net ? sp_talk_new(net, &opts, &ops, o, &err) : NULL;
    if (o->talk) {
        (void)uv_timer_init(&loop, &o->watch);
        o->watch.data = o;
        (void)uv_timer_start(&o->watch, on_watch, 200, 200);
        p->connections++;
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    }
    sp_net_free(net);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
}

static bool plus_listed(const struct sp_probe *p)
{
    return sp_mech_listed(p->tls, SP_MECH_SCRAM_SHA_256_PLUS) ||
           sp_mech_listed(p->tls, SP_MECH_SCRAM_SHA_1_PLUS);
}

/* NULL: it may try.  Else why not. */
static const char *not_now(const struct sp_probe *p)
{
    bool external = sp_mech_listed(p->cert, SP_MECH_EXTERNAL);

    if (!p->tls_works)
        return "TLS did not come up";
    if (!p->own.cert && !p->have_password && !p->have_token)
        return "needs --user and a password, or --certificate";
    if (p->own.cert && !p->cert)
        return "the certificate was refused";
    if (external && p->equals_in != SP_IN_YES && p->identity_in != SP_IN_YES)
        return "no way in was found by the other checks";
    if (external && p->equals_in != SP_IN_YES && p->failed >= SP_PROBE_FAILED &&
        !p->thorough)
        return "enough logins failed already";
    if (!external && p->password_in != SP_IN_YES && p->cert_in != SP_IN_YES)
        return "no way in was found by the other checks";
    if (p->failed >= SP_PROBE_FAILED && !p->thorough && plus_listed(p))
        return "enough logins failed already";
    if (p->cert_login.r.code >= 400 && !external)
        return "the password is refused while the certificate is shown";
    return NULL;
}

unsigned sp_probe_own_client_due(const struct sp_probe *p)
{
    return sp_check_wanted(p->f, SP_C_P46) &&
           (p->own.cert || p->have_password || p->have_token);
}

static void found(struct sp_probe *p, const struct own *o, enum sp_finding_id id,
                  const char *f1, const char *f2)
{
    if (sp_check_wanted(p->f, (enum sp_check_id)sp_finding_row(id)->check))
        (void)sp_finding_add(p->f, id, &o->ev, f1, f2, NULL);
}

static void binding(struct sp_probe *p, const struct own *o)
{
    bool listed = plus_listed(p);
    bool used =
        o->mech == SP_MECH_SCRAM_SHA_256_PLUS || o->mech == SP_MECH_SCRAM_SHA_1_PLUS;

    if (!sp_probe_want(p, SP_C_P36))
        return;
    if (!listed)
        sp_check_not_run(p->f, SP_C_P36, "no -PLUS mechanism is listed");
    else if (o->ready && used)
        found(p, o, SP_F_CHANNEL_BINDING, sp_mech_name(o->mech), NULL);
    else if (o->failed && o->rejected && p->password_in == SP_IN_YES && !p->own.cert)
        found(p, o, SP_F_CHANNEL_BINDING_BROKEN, p->mechanism, o->words);
    else
        sp_check_not_run(p->f, SP_C_P36, "another mechanism went first");
    sp_probe_done(p, SP_C_P36);
}

void sp_probe_own_client(struct sp_probe *p)
{
    const char *why = p->hopeless ? p->hopeless_why : not_now(p);
    struct own o = {.p = p};
    const char *how;

    if (!sp_check_wanted(p->f, SP_C_P46) && !sp_check_wanted(p->f, SP_C_P36))
        return;
    if (!why && !p->thorough && p->connections >= SP_PROBE_CONNECTIONS)
        why = "twelve connections were used; --thorough makes more";
    if (why) {
        sp_check_not_run(p->f, SP_C_P46, "%s", why);
        sp_check_not_run(p->f, SP_C_P36, "%s", why);
        return;
    }
    (void)sp_probe_want(p, SP_C_P46);
    sp_findings_say(p->f, "connection %u: our own client", p->connections + 1);
    talk(p, &o);
    if (o.ready) {
        how = o.login == SP_LOGIN_EXTERNAL || o.login == SP_LOGIN_PASSWORD
                  ? sp_mech_name(o.mech)
                  : "the certificate alone, at MAIL";
        found(p, &o, SP_F_OWN_CLIENT_IN, how, o.words);
        (void)sp_findings_fact(p->f, "login", sp_str(how));
    } else if (o.failed) {
        found(p, &o, SP_F_OWN_CLIENT_OUT, o.words, NULL);
    }
    p->failed += o.rejected;
    if (o.ready || o.failed)
        sp_check_done(p->f, SP_C_P46, 1, o.rejected);
    binding(p, &o);
}

/* ---- recipes, the best first ---- */

static void capabilities(struct sp_probe *p)
{
    const struct {
        const struct sp_caps *c;
        enum sp_caps_when when;
    } all[] = {{p->clear, SP_CAPS_CLEAR},
               {p->tls, SP_CAPS_TLS},
               {p->cert, SP_CAPS_CERT},
               {p->login, SP_CAPS_LOGIN}};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct sp_str rest, line;
        bool first = true;

        if (!all[i].c)
            continue;
        sp_findings_caps_seen(p->f, all[i].when);
        for (rest = sp_buf_view(&all[i].c->text); rest.n; first = false) {
            line = sp_str_cut(&rest, '\n');
            if (!first || all[i].c->text.n == 0)
                sp_findings_cap(p->f, all[i].when, line);
        }
    }
}

/* As curl and as msmtp write it. */
static void fill_mechanism(struct sp_probe *p)
{
    char lower[sizeof p->mechanism];

    sp_findings_fill(p->f, "mechanism", p->mechanism);
    snprintf(lower, sizeof lower, "%s", p->mechanism);
    for (char *c = lower; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    sp_findings_fill(p->f, "method", lower);
}

void sp_probe_judge_recipes(struct sp_probe *p)
{
    capabilities(p);
    sp_findings_fill(p->f, "identity", p->identity[0] ? p->identity : NULL);
    if (p->have_token)
        fill_mechanism(p);
    if (p->cert_unfit)
        return; /* whatever is set, a program that verifies certificates stays out */
    if (p->issuer_unknown)
        sp_findings_fill(p->f, "ca", "CA, if it can be trusted");
    if (p->equals_in == SP_IN_YES)
        sp_findings_recipe(p->f, p->equals_asked ? SP_R_CERTIFICATE_AT_ONCE
                                                 : SP_R_CERTIFICATE_EXTERNAL);
    if (p->identity_in == SP_IN_YES)
        sp_findings_recipe(p->f, SP_R_CERTIFICATE_IDENTITY);
    if (p->cert_in == SP_IN_YES)
        sp_findings_recipe(p->f, SP_R_CERTIFICATE_IMPLICIT);
    if (p->password_in == SP_IN_YES && p->have_token)
        sp_findings_recipe(p->f, SP_R_ACCESS_TOKEN);
    else if (p->password_in == SP_IN_YES && p->cert_login.r.code >= 400)
        sp_findings_recipe(p->f, SP_R_PASSWORD_NO_CERTIFICATE);
    else if (p->password_in == SP_IN_YES ||
             (p->tls && p->tls->mechs && p->password_in != SP_IN_NO))
        sp_findings_recipe(p->f, p->implicit ? SP_R_PASSWORD_IMPLICIT
                                             : SP_R_PASSWORD_STARTTLS);
}
