/*
 * Both engines joined in memory, with a TLS that is only said: every mechanism, every
 * state of the certificate, every strategy, pipelined or not, DATA and BDAT, LMTP; the
 * message must arrive octet for octet under the identity that the server was told.
 */
#include <sallyport/client.h>
#include <sallyport/server.h>

#include "buf.h"
#include "t.h"
#include "text.h"

struct loop {
    struct sp_srv_policy policy;
    struct sp_cli_options o;
    struct sp_srv_tls tls; /* what the server's TLS layer found */
    bool channel_binding;
    bool wrong;   /* the client has a wrong password */
    size_t piece; /* octets moved at once; 0: all */
    int messages; /* to send */
    struct sp_cli *c;
    struct sp_srv *s;
    bool c_shakes, s_shakes, c_closed, s_closed;
    struct sp_buf body; /* what arrived */
    char user[64];      /* the identity at the end of the message */
    size_t given;
    int arrived, accepted, refused, failed, reconnects;
    enum sp_cli_login login;
    enum sp_mech mech;
    char words[500];
};

static const char message[] = "Subject: loop\r\n\r\n.\r\n..two\r\nlast\r\n";

static void server_auth(struct loop *l, const struct sp_srv_event *ev)
{
    bool ok = true;

    switch (ev->u.auth.mech) {
    case SP_MECH_PLAIN:
    case SP_MECH_LOGIN:
    case SP_MECH_OAUTHBEARER:
    case SP_MECH_XOAUTH2:
        /* who a token is for stands in the token: RFC 7628 3.1 has no user name */
        ok = sp_str_is(ev->u.auth.secret, "secret") &&
             (sp_str_is(ev->u.auth.authcid, "alice") ||
              ev->u.auth.mech == SP_MECH_OAUTHBEARER);
        break;
    case SP_MECH_EXTERNAL:
        break; /* only heard with a usable certificate */
    default:   /* one token is asked for, "secret" is the right one */
        if (ev->u.auth.first && !ev->u.auth.has_token) {
            CHECK_INT(sp_srv_auth_challenge(l->s, SP_LIT("<1>")), 0);
            return;
        }
        ok = sp_str_is(ev->u.auth.token, "secret");
    }
    if (ok)
        CHECK_INT(sp_srv_auth_ok(l->s, SP_LIT("alice"), (struct sp_str){NULL, 0}), 0);
    else
        CHECK_INT(sp_srv_auth_fail(l->s, SP_AUTH_FAILED), 0);
}

static void server_rcpt(struct loop *l, const struct sp_srv_event *ev)
{
    struct sp_reply no = {550, {5, 1, 1}, SP_LIT("no such user")};

    for (size_t i = 0; i < ev->u.rcpt.n; i++) {
        bool bad =
            ev->u.rcpt.r[i].path.n > 2 && memcmp(ev->u.rcpt.r[i].path.p, "no@", 3) == 0;

        CHECK_INT(sp_srv_rcpt(l->s, i, bad ? &no : NULL), 0);
    }
}

static bool server_turn(struct loop *l)
{
    struct sp_srv_event ev;

    if (l->s_closed || l->s_shakes || !sp_srv_next(l->s, &ev))
        return false;
    switch (ev.type) {
    case SP_SRV_HANDSHAKE:
        l->s_shakes = true;
        return true;
    case SP_SRV_AUTH:
        server_auth(l, &ev);
        return true;
    case SP_SRV_RCPT:
        server_rcpt(l, &ev);
        return true;
    case SP_SRV_BODY:
        (void)sp_buf_str(&l->body, ev.u.body.octets);
        break;
    case SP_SRV_DATA:
        l->body.n = 0;
        break;
    case SP_SRV_END:
        l->arrived++;
        snprintf(l->user, sizeof l->user, "%.*s", (int)sp_srv_user(l->s).n,
                 sp_srv_user(l->s).p);
        break;
    case SP_SRV_CLOSE:
        l->s_closed = true;
        return true;
    default:
        break;
    }
    CHECK_INT(sp_srv_accept(l->s), 0);
    return true;
}

static void client_auth(struct loop *l, const struct sp_cli_event *ev)
{
    char b[200];
    int n = 6;

    memcpy(b, "secret", 6);
    if (ev->u.auth.mech == SP_MECH_PLAIN)
        n = sp_cli_plain(SP_LIT(""), SP_LIT("alice"),
                         l->wrong ? SP_LIT("wrong") : SP_LIT("secret"), b, sizeof b);
    else if (ev->u.auth.mech == SP_MECH_LOGIN && ev->u.auth.step == 0)
        n = snprintf(b, sizeof b, "alice");
    else if (ev->u.auth.mech == SP_MECH_OAUTHBEARER ||
             ev->u.auth.mech == SP_MECH_XOAUTH2)
        n = sp_cli_bearer(ev->u.auth.mech, SP_LIT("alice"), SP_LIT("h"), 587,
                          SP_LIT("secret"), b, sizeof b);
    CHECK_INT(sp_cli_auth_token(l->c, (struct sp_str){b, (size_t)n}), 0);
}

static void client_ready(struct loop *l, const struct sp_cli_event *ev)
{
    static const struct sp_rcpt rcpt[] = {{{"bob@x.example", 13}, 0, {0}},
                                          {{"no@x.example", 12}, 0, {0}},
                                          {{"eve@x.example", 13}, 0, {0}}};
    struct sp_mail m = {.path = SP_LIT("alice@example.org")};

    l->login = ev->u.ready.login;
    l->mech = ev->u.ready.mech;
    if (l->messages-- <= 0) {
        CHECK_INT(sp_cli_quit(l->c), 0);
        return;
    }
    l->given = 0;
    CHECK_INT(sp_cli_mail(l->c, &m, rcpt, 3, sizeof message - 1, NULL), 0);
}

static void client_body(struct loop *l)
{
    size_t rest = sizeof message - 1 - l->given;
    size_t n = l->piece && l->piece < rest ? l->piece : rest;

    if (rest == 0)
        CHECK_INT(sp_cli_body_end(l->c), 0);
    else
        l->given += sp_cli_body(l->c, message + l->given, n);
}

static bool client_turn(struct loop *l)
{
    struct sp_cli_event ev;

    if (l->c_closed || !sp_cli_next(l->c, &ev))
        return false;
    switch (ev.type) {
    case SP_CLI_HANDSHAKE:
        l->c_shakes = true;
        break;
    case SP_CLI_AUTH:
        client_auth(l, &ev);
        break;
    case SP_CLI_READY:
        client_ready(l, &ev);
        break;
    case SP_CLI_BODY:
        client_body(l);
        break;
    case SP_CLI_SENT:
        l->accepted += ev.u.sent.accepted;
        l->refused += !ev.u.sent.accepted;
        if (ev.u.sent.accepted)
            CHECK(ev.u.sent.rcpt[0].accepted && !ev.u.sent.rcpt[1].accepted &&
                  ev.u.sent.rcpt[2].accepted && ev.u.sent.rcpt[1].reply.code == 550);
        break;
    case SP_CLI_FAILED:
        l->failed++;
        snprintf(l->words, sizeof l->words, "%.*s", (int)ev.u.failed.words.n,
                 ev.u.failed.words.p);
        break;
    case SP_CLI_RECONNECT:
        l->reconnects++;
        break;
    case SP_CLI_CLOSE:
        l->c_closed = true;
        break;
    }
    return true;
}

static size_t some(const struct loop *l, size_t n)
{
    return l->piece && l->piece < n ? l->piece : n;
}

static bool move_octets(struct loop *l)
{
    size_t n, used;
    const char *p = sp_srv_out(l->s, &n);
    bool moved = false;

    if (n) {
        used = sp_cli_feed(l->c, p, some(l, n));
        sp_srv_out_ack(l->s, used);
        moved = used > 0;
    }
    p = sp_cli_out(l->c, &n);
    if (n) {
        used = l->s_closed ? n : sp_srv_feed(l->s, p, some(l, n));
        sp_cli_out_ack(l->c, used);
        moved = moved || used > 0;
    }
    return moved;
}

static void shake_hands(struct loop *l)
{
    struct sp_cli_tls_facts f = {.verified = true,
                                 .cert_sent = l->o.have_certificate,
                                 .cert_requested = true,
                                 .channel_binding = l->channel_binding};

    l->c_shakes = l->s_shakes = false;
    CHECK_INT(sp_srv_tls_done(l->s, &l->tls), 0);
    CHECK_INT(sp_cli_tls_done(l->c, &f), 0);
}

static void run(struct loop *l)
{
    bool more = true;

    l->policy.hostname = "mail.example";
    l->policy.rcpt_max = 500;
    l->policy.login_required = l->policy.kind == SP_SRV_SUBMISSION;
    l->o.helo = "client.example";
    l->s = sp_srv_new(&l->policy, (struct sp_str){NULL, 0});
    l->c = sp_cli_new(&l->o, NULL);
    sp_buf_init(&l->body, 1 << 20);
    CHECK(l->s && l->c);
    for (int turns = 0; more && turns < 100000; turns++) {
        more = server_turn(l) || client_turn(l);
        more = (!(l->c_shakes || l->s_shakes) && move_octets(l)) || more;
        if (l->c_shakes && !l->s_shakes && !l->policy.implicit_tls)
            more = move_octets(l) || more;
        if (l->c_shakes && (l->s_shakes || l->policy.implicit_tls)) {
            shake_hands(l);
            more = true;
        }
    }
    CHECK(l->c_closed);
    sp_srv_free(l->s);
    sp_cli_free(l->c);
}

static struct loop fresh(void)
{
    struct loop l = {.messages = 2};

    l.policy.starttls = true;
    l.policy.mechs_tls = SP_MECH_BIT(SP_MECH_PLAIN);
    l.policy.extensions = SP_EXT_PIPELINING | SP_EXT_SIZE | SP_EXT_8BITMIME |
                          SP_EXT_ENHANCED | SP_EXT_CHUNKING | SP_EXT_LIMITS;
    l.policy.cert_want = SP_CERT_WANT_OPTIONAL;
    l.o.authcid = "alice";
    return l;
}

static void with_certificate(struct loop *l)
{
    l->o.have_certificate = true;
    l->o.cert_address = "alice@example.org";
    l->tls.cert = SP_CERT_USABLE;
    l->tls.cert_verified = true;
    l->tls.user = SP_LIT("alice");
}

static void delivered(struct loop *l, int messages)
{
    if (l->words[0])
        printf("  %s\n", l->words);
    CHECK_INT(l->failed, 0);
    CHECK_INT(l->arrived, messages);
    CHECK_INT(l->accepted, messages);
    CHECK_INT(l->refused, 0);
    CHECK_INT(l->body.n, sizeof message - 1);
    CHECK(l->body.n == sizeof message - 1 &&
          memcmp(l->body.p, message, l->body.n) == 0);
    sp_buf_free(&l->body);
}

TEST("both engines: every mechanism alone, in every piece size, DATA and BDAT")
{
    for (int m = 0; m < SP_MECHS; m++)
        for (int way = 0; way < 8; way++) {
            static const size_t pieces[] = {0, 1, 3, 50};
            struct loop l = fresh();

            if (m == SP_MECH_EXTERNAL)
                with_certificate(&l);
            l.piece = pieces[way % 4];
            l.o.prefer_bdat = way >= 4;
            l.o.no_pipelining = way & 1;
            l.policy.mechs_tls = SP_MECH_BIT(m);
            l.o.have_password = l.o.have_token = l.o.have_ticket = true;
            l.channel_binding = l.tls.channel_binding = true;
            run(&l);
            delivered(&l, 2);
            CHECK_STR(l.user, "alice");
            CHECK_INT(l.mech, m);
        }
}

TEST("both engines: certificate strategies meet certificate policies")
{
    static const enum sp_cert_login policy[] = {
        SP_CERT_LOGIN_EITHER, SP_CERT_LOGIN_EXPLICIT, SP_CERT_LOGIN_IMPLICIT,
        SP_CERT_LOGIN_OFF};

    for (int p = 0; p < 4; p++)
        for (int password = 0; password < 2; password++)
            for (int how = 0; how < 3; how++) {
                struct loop l = fresh();
                bool way_in;

                with_certificate(&l);
                l.policy.cert_login = policy[p];
                l.o.have_password = password;
                l.o.cert_login = (enum sp_cli_cert_login)how;
                run(&l);
                way_in = how == SP_CLI_CERT_EXPLICIT   ? p <= 1
                         : how == SP_CLI_CERT_IMPLICIT ? password || p == 0 || p == 2
                                                       : password || p < 3;
                if (way_in) {
                    delivered(&l, 2);
                    CHECK_STR(l.user, "alice");
                } else {
                    CHECK_INT(l.failed, 1);
                    CHECK_INT(l.arrived, 0);
                    CHECK(l.words[0]);
                    sp_buf_free(&l.body);
                }
            }
}

TEST("both engines: a certificate that does not count leaves the password")
{
    struct loop l = fresh();

    with_certificate(&l);
    l.tls = (struct sp_srv_tls){.cert = SP_CERT_UNUSABLE, .reason = SP_LIT("expired")};
    l.o.have_password = true;
    run(&l);
    delivered(&l, 2);
    CHECK_INT(l.login, SP_LOGIN_PASSWORD);
}

TEST("both engines: EXTERNAL alone listed for an account without a password")
{
    struct loop l = fresh();

    with_certificate(&l);
    l.policy.cert_list = SP_CERT_LIST_EXTERNAL;
    l.o.have_password = true;
    run(&l);
    delivered(&l, 2);
    CHECK_INT(l.login, SP_LOGIN_EXTERNAL);
}

TEST("both engines: implicit TLS")
{
    struct loop l = fresh();

    l.policy.implicit_tls = true;
    l.o.tls = SP_CLI_TLS_IMPLICIT;
    l.o.have_password = true;
    run(&l);
    delivered(&l, 2);
}

TEST("both engines: a wrong password is refused, in words, and nothing is sent")
{
    struct loop l = fresh();

    l.wrong = true;
    l.o.have_password = true;
    run(&l);
    CHECK_INT(l.failed, 1);
    CHECK_INT(l.arrived, 0);
    CHECK(strstr(l.words, "check user name and password") != NULL);
    sp_buf_free(&l.body);
}

TEST("both engines: LMTP, one verdict a recipient")
{
    for (int way = 0; way < 4; way++) {
        struct loop l = fresh();

        l.policy.kind = SP_SRV_LMTP;
        l.policy.starttls = false;
        l.o.tls = SP_CLI_TLS_NONE;
        l.o.lmtp = true;
        l.o.prefer_bdat = way & 1;
        l.o.no_pipelining = way & 2;
        run(&l);
        delivered(&l, 2);
    }
}

T_MAIN
