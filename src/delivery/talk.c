/* talk.c - see talk.h. */
#include "talk.h"

#include "alloc.h"
#include "err.h"
#include "gss.h"
#include "secret.h"
#include "text.h"

#include <sallyport/sasl.h>

#include <stdio.h>
#include <string.h>

enum {
    TOKEN_MAX = 16384,
    OUTPUT_MAX = 1 << 20,
    LOW_WATER = 128 << 10,
    ADDRESSES_MAX = 16
};

struct sp_talk {
    struct sp_net *net;
    struct sp_talk_opts o; /* strings point into copies */
    char *strings[12];
    size_t n_strings;
    const struct sp_talk_ops *ops;
    void *arg;
    struct sp_dial *dial;
    struct sp_conn *conn;
    struct sp_cli *engine;
    struct sp_sasl *sasl;
    struct sp_gss *gss;
    struct sockaddr_storage *addresses;
    bool busy, closing, failed, want_body, in_transaction, bare, fresh;
    bool no_secret; /* the caller could not give the one that was asked for */
    bool reconnect; /* when the connection is closed, open another */
    bool unproved;  /* a challenge mechanism began and its last step was not taken */
    bool last;      /* closed() comes next, in this very call */
    bool later;     /* a token is being fetched for the mechanism below */
    enum sp_mech later_mech;
};

/* ---- making and freeing ---- */

static const char *own(struct sp_talk *t, const char *s, bool *ok)
{
    char *copy = s ? sp_strdup(s) : NULL;

    if (!s)
        return NULL;
    if (!copy)
        *ok = false;
    else
        t->strings[t->n_strings++] = copy;
    return copy;
}

/* A second connection dials them again, long after the caller's are gone. */
static bool own_addresses(struct sp_talk *t)
{
    size_t n = t->o.dial.n_addresses;

    if (n > ADDRESSES_MAX)
        n = ADDRESSES_MAX;
    t->o.dial.n_addresses = n;
    if (n == 0)
        return true;
    t->addresses = sp_alloc(n * sizeof *t->addresses);
    if (t->addresses)
        memcpy(t->addresses, t->o.dial.addresses, n * sizeof *t->addresses);
    t->o.dial.addresses = t->addresses;
    return t->addresses != NULL;
}

static bool own_strings(struct sp_talk *t)
{
    bool ok = own_addresses(t);

    t->o.dial.host = own(t, t->o.dial.host, &ok);
    t->o.dial.unix_path = own(t, t->o.dial.unix_path, &ok);
    t->o.dial.source = own(t, t->o.dial.source, &ok);
    t->o.dial.socks_host = own(t, t->o.dial.socks_host, &ok);
    t->o.dial.socks_user = own(t, t->o.dial.socks_user, &ok);
    t->o.dial.socks_password = own(t, t->o.dial.socks_password, &ok);
    t->o.tls_name = own(t, t->o.tls_name ? t->o.tls_name : t->o.dial.host, &ok);
    t->o.cli.helo = own(t, t->o.cli.helo, &ok);
    t->o.cli.external_identity = own(t, t->o.cli.external_identity, &ok);
    t->o.cli.cert_address = own(t, t->o.cli.cert_address, &ok);
    t->o.cli.authcid = own(t, t->o.cli.authcid, &ok);
    t->o.cli.authzid = own(t, t->o.cli.authzid, &ok);
    return ok;
}

static void talk_free(struct sp_talk *t)
{
    sp_cli_free(t->engine);
    sp_sasl_free(t->sasl);
    sp_gss_free(t->gss);
    sp_tls_unref(t->o.tls);
    sp_tls_unref(t->o.tls_bare);
    while (t->n_strings) {
        t->n_strings--;
        sp_wipe(t->strings[t->n_strings], strlen(t->strings[t->n_strings]));
        sp_free(t->strings[t->n_strings]);
    }
    sp_free(t->addresses);
    sp_free(t);
}

/* The last call.  It may ask to abort what is already over: `last` makes that nothing. */
static void end(struct sp_talk *t)
{
    t->last = true;
    t->ops->closed(t->arg);
    talk_free(t);
}

static void pump(struct sp_talk *t);
static int dial(struct sp_talk *t);

/* ---- failing ---- */

static void fail(struct sp_talk *t, const struct sp_talk_failure *f)
{
    if (t->failed)
        return;
    t->failed = true;
    if (t->ops->failed)
        t->ops->failed(t, f, t->arg);
    t->in_transaction = false;
}

static void fail_err(struct sp_talk *t, enum sp_cli_stage stage,
                     const struct sp_err *err)
{
    struct sp_talk_failure f = {.cls = err->cls,
                                .stage = stage,
                                .words = err->text,
                                .in_transaction = t->in_transaction};

    fail(t, &f);
}

/* No connection, and none to come. */
static void fail_and_end(struct sp_talk *t, const struct sp_err *err)
{
    t->last = true; /* failed() may quit or abort: t must outlive it */
    fail_err(t, SP_STAGE_CONNECT, err);
    end(t);
}

static void close_now(struct sp_talk *t)
{
    if (t->closing)
        return;
    t->closing = true;
    if (t->conn)
        sp_conn_close(t->conn);
}

/* ---- credentials ---- */

static int give_token(struct sp_talk *t, struct sp_str token)
{
    return sp_cli_auth_token(t->engine, token);
}

static int one_step(struct sp_talk *t, enum sp_mech mech, struct sp_str secret)
{
    struct sp_str user = sp_str(t->o.cli.authcid);
    char *token = sp_alloc(TOKEN_MAX);
    int n = -SP_ENOMEM;

    if (!token)
        return n;
    switch (mech) {
    case SP_MECH_PLAIN:
        n = sp_cli_plain(sp_str(t->o.cli.authzid), user, secret, token, TOKEN_MAX);
        break;
    case SP_MECH_OAUTHBEARER:
    case SP_MECH_XOAUTH2:
        n = sp_cli_bearer(mech, user, sp_str(t->o.dial.host), t->o.dial.port,
                          secret, token, TOKEN_MAX);
        break;
    default:
        break;
    }
    if (n >= 0)
        n = give_token(t, (struct sp_str){token, (size_t)n});
    sp_wipe(token, TOKEN_MAX);
    sp_free(token);
    return n;
}

static void channel_binding(struct sp_talk *t, uint8_t exporter[64], uint8_t unique[64],
                            struct sp_sasl_binding *b)
{
    int n = sp_conn_binding(t->conn, SP_BINDING_EXPORTER, exporter, 64);

    if (n > 0)
        b->exporter = (struct sp_str){(char *)exporter, (size_t)n};
    n = sp_conn_binding(t->conn, SP_BINDING_UNIQUE, unique, 64);
    if (n > 0)
        b->unique = (struct sp_str){(char *)unique, (size_t)n};
}

static int start_sasl(struct sp_talk *t, const struct sp_cli_event *ev,
                      struct sp_str secret, struct sp_err *err)
{
    uint8_t exporter[64], unique[64];
    struct sp_sasl_client_opts o = {
        .user = sp_str(t->o.cli.authcid),
        .password = secret,
        .authorization_identity = sp_str(t->o.cli.authzid),
        .plus_listed = ev->u.auth.plus_offered,
    };

    channel_binding(t, exporter, unique, &o.binding);
    sp_sasl_free(t->sasl);
    t->sasl = NULL;
    return sp_sasl_client_new(sp_str(sp_mech_name(ev->u.auth.mech)), &o, &t->sasl, err);
}

/* Blocks: it may ask the KDC.  `send` has nothing else to do meanwhile. */
static int ticket(struct sp_talk *t, const struct sp_cli_event *ev, struct sp_err *err)
{
    struct sp_buf out;
    enum sp_sasl_status st = SP_SASL_FAILED;
    int rc = 0;

    if (ev->u.auth.first) {
        sp_gss_free(t->gss);
        t->gss = NULL;
        rc = sp_gss_client_new(t->o.tls_name, sp_str(t->o.cli.authzid), &t->gss, err);
    }
    if (rc < 0)
        return rc;
    sp_buf_init(&out, TOKEN_MAX);
    if (t->gss)
        st = sp_gss_step(t->gss, ev->u.auth.first ? SP_LIT("") : ev->u.auth.challenge,
                         &out, err);
    t->unproved = st != SP_SASL_DONE;
    rc = st == SP_SASL_FAILED ? -SP_EDENIED : give_token(t, sp_buf_view(&out));
    sp_buf_wipe(&out);
    /* No ticket: with a password the next mechanism may do, else its words are all. */
    t->no_secret = rc < 0 && ev->u.auth.first && !t->o.cli.have_password;
    return rc;
}

static int challenge(struct sp_talk *t, const struct sp_cli_event *ev,
                     struct sp_err *err)
{
    struct sp_str out = {NULL, 0};
    struct sp_str in =
        ev->u.auth.first ? (struct sp_str){NULL, 0} : ev->u.auth.challenge;
    enum sp_sasl_status st;

    st = t->sasl ? sp_sasl_step(t->sasl, in, &out) : SP_SASL_FAILED;
    t->unproved = st != SP_SASL_DONE;
    if (st == SP_SASL_FAILED) {
        const struct sp_err *why = t->sasl ? sp_sasl_error(t->sasl) : NULL;

        /* A server that cannot prove that it knows our secret is not ours. */
        return sp_err_set(err, SP_CLASS_INSECURE, SP_EDENIED, "%s",
                          why ? why->text : "the exchange failed");
    }
    return give_token(t, out);
}

static int ask_secret(struct sp_talk *t, enum sp_talk_secret what, struct sp_buf *out,
                      struct sp_err *err)
{
    int rc;

    if (!t->o.secret)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                          "there is no password to send");
    sp_buf_init(out, TOKEN_MAX);
    rc = t->o.secret(t->o.secret_arg, what, t->fresh, out, err);
    t->no_secret = rc < 0;
    return rc;
}

static bool is_token(enum sp_mech m)
{
    return m == SP_MECH_OAUTHBEARER || m == SP_MECH_XOAUTH2;
}

static bool is_challenge(enum sp_mech m)
{
    return m != SP_MECH_PLAIN && m != SP_MECH_LOGIN && !is_token(m);
}

static int answer_auth(struct sp_talk *t, const struct sp_cli_event *ev,
                       struct sp_err *err)
{
    struct sp_buf secret = {.p = NULL};
    enum sp_mech m = ev->u.auth.mech;
    /* Where the server speaks first (CRAM-MD5) its one challenge begins the exchange. */
    bool begins = ev->u.auth.first || !sp_sasl_client_first(sp_str(sp_mech_name(m)));
    int rc = 0;

    t->unproved = is_challenge(m);
    if (m == SP_MECH_GSSAPI)
        return ticket(t, ev, err);
    if (m == SP_MECH_LOGIN && ev->u.auth.step == 0)
        return give_token(t, sp_str(t->o.cli.authcid));
    if (!is_challenge(m) || begins) {
        rc =
            ask_secret(t, is_token(m) ? SP_TALK_TOKEN : SP_TALK_PASSWORD, &secret, err);
        if (rc == SP_TALK_LATER && is_token(m)) {
            t->later = true;
            t->later_mech = m;
        }
        if (rc != 0)
            return rc;
    }
    if (m == SP_MECH_LOGIN)
        rc = give_token(t, sp_buf_view(&secret));
    else if (!is_challenge(m))
        rc = one_step(t, m, sp_buf_view(&secret));
    else if (begins)
        rc = start_sasl(t, ev, sp_buf_view(&secret), err);
    sp_buf_wipe(&secret);
    return rc == 0 && is_challenge(m) ? challenge(t, ev, err) : rc;
}

/* The caller has none after all: that is no refusal of the server's, and no reason to
 * try another mechanism. */
static void fail_no_secret(struct sp_talk *t, const struct sp_err *err)
{
    struct sp_talk_failure f = {.cls = err->cls,
                                .stage = SP_STAGE_AUTH,
                                .words = err->text,
                                .need_login = true,
                                .in_transaction = t->in_transaction};

    fail(t, &f);
    t->closing = true;
    sp_conn_abort(t->conn);
}

static void do_auth(struct sp_talk *t, const struct sp_cli_event *ev)
{
    struct sp_err err = {.cls = SP_CLASS_BUG, .text = "the credentials cannot be sent"};

    if (answer_auth(t, ev, &err) >= 0)
        return;
    if (t->no_secret) {
        fail_no_secret(t, &err);
        return;
    }
    t->unproved = false; /* it ends here, or another mechanism begins */
    (void)sp_cli_auth_cancel(t->engine, sp_str(err.text));
}

void sp_talk_secret(struct sp_talk *t, struct sp_str secret, const struct sp_err *err)
{
    if (!t->later || t->closing || !t->conn)
        return;
    t->later = false;
    if (err) {
        fail_no_secret(t, err);
        return;
    }
    if (one_step(t, t->later_mech, secret) < 0)
        (void)sp_cli_auth_cancel(t->engine, sp_str("the token cannot be sent"));
    pump(t);
}

/* ---- TLS ---- */

static void start_tls(struct sp_talk *t)
{
    struct sp_tls_ctx *ctx = t->bare ? t->o.tls_bare : t->o.tls;
    struct sp_cli_tls_facts f = {0};
    struct sp_err err = {.text = "no TLS context"};

    if (ctx && sp_conn_start_tls(t->conn, ctx, t->o.tls_name, &err) == 0)
        return;
    f.reason = sp_str(err.text);
    (void)sp_cli_tls_failed(t->engine, &f);
}

static void on_tls(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    static const char head[] = "TLS handshake failed: ";
    struct sp_talk *t = arg;
    struct sp_cli_tls_facts f = {0};
    struct sp_tls_facts facts;
    uint8_t b[64];
    bool known = sp_conn_facts(c, &facts);

    if (known) {
        f.verified = facts.verified;
        f.reason = sp_str(facts.why_not);
        f.cert_requested = facts.cert_asked;
        f.cert_sent = facts.cert_sent;
        f.channel_binding = sp_conn_binding(c, SP_BINDING_EXPORTER, b, sizeof b) > 0 ||
                            sp_conn_binding(c, SP_BINDING_UNIQUE, b, sizeof b) > 0;
    }
    if (err) {
        f.reason = sp_str(err->text);
        if (strncmp(err->text, head, sizeof head - 1) == 0) /* the engine says that */
            f.reason = sp_str(err->text + sizeof head - 1);
        f.ended_by_peer = known ? facts.ended_by_peer : err->cls != SP_CLASS_INSECURE;
        (void)sp_cli_tls_failed(t->engine, &f);
    } else {
        (void)sp_cli_tls_done(t->engine, &f);
    }
    pump(t);
}

/* ---- the engine's events ---- */

static void engine_failed(struct sp_talk *t, const struct sp_cli_event *ev)
{
    char words[600];
    struct sp_talk_failure f = {
        .cls = ev->u.failed.cls,
        .stage = ev->u.failed.stage,
        .reply = ev->u.failed.reply,
        .words = words,
        .need_login = ev->u.failed.need_login,
        .auth_rejected = ev->u.failed.auth_rejected,
        .in_transaction = t->in_transaction,
    };

    if (f.auth_rejected && t->o.cli.have_token && !t->fresh) {
        t->fresh = t->reconnect = true; /* the token may just be too old */
        return;
    }
    snprintf(words, sizeof words, "%.*s", (int)ev->u.failed.words.n,
             ev->u.failed.words.n ? ev->u.failed.words.p : "");
    fail(t, &f);
}

/* RFC 5802 5.1: the server's signature shows that it knows our secret.  One that says 235
 * before it gave the signature may be anybody: it gets no mail. */
static bool impostor(struct sp_talk *t, const struct sp_cli_event *ev)
{
    static const struct sp_err err = {
        .cls = SP_CLASS_INSECURE,
        .code = SP_EDENIED,
        .text =
            "the server accepted the login without proving that it knows the password",
    };

    if (!t->unproved || (ev->type != SP_CLI_READY && ev->type != SP_CLI_BODY))
        return false;
    fail_err(t, SP_STAGE_AUTH, &err);
    t->closing = true;
    sp_conn_abort(t->conn);
    return true;
}

static void handle(struct sp_talk *t, const struct sp_cli_event *ev)
{
    if (impostor(t, ev))
        return;
    switch (ev->type) {
    case SP_CLI_HANDSHAKE:
        return; /* the pump starts it, once the output is out */
    case SP_CLI_AUTH:
        do_auth(t, ev);
        return;
    case SP_CLI_READY:
        t->in_transaction = false;
        t->ops->ready(t, ev->u.ready.login, ev->u.ready.mech, ev->u.ready.words,
                      ev->u.ready.pin, t->arg);
        return;
    case SP_CLI_BODY:
        t->want_body = true;
        return;
    case SP_CLI_SENT:
        t->want_body = t->in_transaction = false;
        t->ops->sent(t, ev, t->arg);
        return;
    case SP_CLI_FAILED:
        engine_failed(t, ev);
        return;
    case SP_CLI_RECONNECT:
        t->bare = t->reconnect = true;
        return;
    case SP_CLI_CLOSE:
        return;
    }
}

static void send_out(struct sp_talk *t)
{
    size_t n;
    const char *p = sp_cli_out(t->engine, &n);
    size_t room = sp_conn_room(t->conn);

    if (n > room)
        n = room;
    if (n == 0 || sp_conn_write(t->conn, p, n) < 0)
        return;
    sp_cli_out_ack(t->engine, n);
}

static void set_deadline(struct sp_talk *t)
{
    static const struct {
        enum sp_wait wait;
        unsigned ms;
    } limits[] = {
        {SP_WAIT_GREETING, 300000},
        {SP_WAIT_REPLY, 300000},
        {SP_WAIT_DATA_INIT, 120000},
        {SP_WAIT_DATA_DONE, 600000},
        {SP_WAIT_HANDSHAKE, 60000},
        {SP_WAIT_QUIT, 10000}, /* the mail is through: nobody waits minutes for a 221 */
    };
    enum sp_wait w = sp_cli_wait(t->engine);
    uint64_t ms = 600000;

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].wait == w)
            ms = limits[i].ms;
    if (t->o.timeout_ms && t->o.timeout_ms < ms)
        ms = t->o.timeout_ms;
    sp_conn_deadline(t->conn, ms);
}

static void run(struct sp_talk *t)
{
    struct sp_cli_event ev;

    for (;;) {
        while (!t->closing && sp_cli_next(t->engine, &ev)) {
            handle(t, &ev);
            if (t->closing)
                return;
            send_out(t);
            if (ev.type == SP_CLI_BODY) /* it would be said again and again */
                break;
            if (ev.type == SP_CLI_HANDSHAKE)
                start_tls(t);
            else if (ev.type == SP_CLI_CLOSE || ev.type == SP_CLI_RECONNECT) {
                close_now(t);
                return;
            }
        }
        if (t->closing)
            return;
        send_out(t);
        if (!t->want_body || sp_conn_waiting(t->conn) > LOW_WATER)
            return;
        t->want_body = false; /* until the engine asks again, or the output drained */
        t->ops->body(t, t->arg);
        if (t->closing)
            return;
    }
}

static void pump(struct sp_talk *t)
{
    if (t->busy || t->closing || !t->conn)
        return;
    t->busy = true;
    run(t);
    t->busy = false;
    if (t->closing)
        return;
    set_deadline(t);
    sp_conn_resume(t->conn);
}

/* ---- the connection's events ---- */

static size_t on_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    struct sp_talk *t = arg;
    size_t used = 0, k;

    (void)c;
    if (t->busy)
        return 0;
    t->busy = true;
    do {
        k = sp_cli_feed(t->engine, p + used, n - used);
        used += k;
        run(t);
    } while (k && used < n && !t->closing);
    t->busy = false;
    if (t->closing)
        return n;
    set_deadline(t);
    return used;
}

static void on_drain(struct sp_conn *c, void *arg)
{
    struct sp_talk *t = arg;

    (void)c;
    pump(t);
}

static void on_end(struct sp_conn *c, const struct sp_end *end, void *arg)
{
    struct sp_talk *t = arg;
    struct sp_tls_facts facts;

    if (end->kind == SP_END_TLS && sp_conn_facts(c, &facts) && facts.ended_by_peer)
        sp_cli_alerted(t->engine, sp_str(end->err.text));
    else
        sp_cli_gone(t->engine, sp_str(end->err.text));
    pump(t);
    close_now(t);
}

static void on_deadline(struct sp_conn *c, void *arg)
{
    struct sp_talk *t = arg;

    (void)c;
    sp_cli_expired(t->engine);
    pump(t);
}

static void again(struct sp_talk *t)
{
    struct sp_cli *next =
        t->bare ? sp_cli_again(t->engine) : sp_cli_new(&t->o.cli, NULL);
    struct sp_err err;

    sp_cli_free(t->engine);
    t->engine = next;
    sp_sasl_free(t->sasl);
    t->sasl = NULL;
    t->reconnect = t->closing = t->want_body = t->in_transaction = t->unproved = t->later = false;
    if (next && dial(t) == 0)
        return;
    (void)sp_err_nomem(&err);
    fail_and_end(t, &err);
}

static void on_closed(void *arg)
{
    struct sp_talk *t = arg;

    t->conn = NULL;
    if (t->reconnect && !t->failed) {
        again(t);
        return;
    }
    end(t);
}

static const struct sp_conn_ops conn_ops = {
    .on_read = on_read,
    .on_tls = on_tls,
    .on_drain = on_drain,
    .on_end = on_end,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

static void dialled(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    struct sp_talk *t = arg;

    t->dial = NULL;
    if (!c) {
        fail_and_end(t, err);
        return;
    }
    t->conn = c;
    sp_conn_set_limit(c, OUTPUT_MAX);
    sp_conn_start(c, &conn_ops, t);
    pump(t);
}

static int dial(struct sp_talk *t)
{
    if (t->ops->trace)
        sp_cli_trace(t->engine, t->ops->trace, t->arg);
    t->dial = sp_dial(t->net, &t->o.dial, dialled, t);
    return t->dial ? 0 : -SP_ENOMEM;
}

struct sp_talk *sp_talk_new(struct sp_net *net, const struct sp_talk_opts *o,
                            const struct sp_talk_ops *ops, void *arg,
                            struct sp_err *err)
{
    struct sp_talk *t = sp_alloc(sizeof *t);

    if (!t) {
        (void)sp_err_nomem(err);
        return NULL;
    }
    t->net = net;
    t->o = *o;
    t->ops = ops;
    t->arg = arg;
    if (t->o.tls)
        sp_tls_ref(t->o.tls);
    if (t->o.tls_bare)
        sp_tls_ref(t->o.tls_bare);
    if (!own_strings(t)) {
        (void)sp_err_nomem(err);
    } else if ((t->engine = sp_cli_new(&t->o.cli, err))) {
        if (dial(t) == 0)
            return t;
        (void)sp_err_nomem(err);
    }
    talk_free(t);
    return NULL;
}

/* ---- what the caller does ---- */

int sp_talk_mail(struct sp_talk *t, const struct sp_mail *m, const struct sp_rcpt *rcpt,
                 size_t n, uint64_t size, struct sp_err *err)
{
    int rc = sp_cli_mail(t->engine, m, rcpt, n, size, err);

    if (rc == 0)
        t->in_transaction = true;
    pump(t);
    return rc;
}

size_t sp_talk_body(struct sp_talk *t, const char *p, size_t n)
{
    size_t took = sp_cli_body(t->engine, p, n);

    if (took < n)
        t->want_body = true;
    send_out(t);
    return took;
}

void sp_talk_body_end(struct sp_talk *t)
{
    t->want_body = false;
    (void)sp_cli_body_end(t->engine);
    pump(t);
}

void sp_talk_body_abort(struct sp_talk *t)
{
    t->want_body = false;
    (void)sp_cli_body_abort(t->engine);
    pump(t);
}

void sp_talk_quit(struct sp_talk *t)
{
    int rc = t->conn ? sp_cli_quit(t->engine) : -SP_ESTATE;

    /* In the middle of something QUIT cannot be said; where the end is already on its
     * way, nothing is to be done. */
    if (rc == 0)
        pump(t);
    else if (!t->conn || sp_cli_stage(t->engine) != SP_STAGE_QUIT)
        sp_talk_abort(t);
}

static void never_dialled(struct sp_talk *t)
{
    sp_dial_cancel(t->dial);
    end(t);
}

void sp_talk_abort(struct sp_talk *t)
{
    t->failed = true;
    t->closing = true;
    if (t->last)
        return;
    if (t->conn)
        sp_conn_abort(t->conn);
    else
        never_dialled(t);
}

const struct sp_cli *sp_talk_engine(const struct sp_talk *t)
{
    return t->engine;
}

bool sp_talk_facts(struct sp_talk *t, struct sp_tls_facts *ret)
{
    return t->conn && sp_conn_facts(t->conn, ret);
}

void sp_talk_peer(struct sp_talk *t, char *out, size_t cap)
{
    if (t->conn)
        sp_conn_peer_text(t->conn, out, cap);
    else
        snprintf(out, cap, "%s", "");
}
