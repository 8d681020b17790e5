/*
 * f_server.c - whole sessions with the server engine: octets in any order and any pieces,
 * and every decision of its owner, out of one input.
 *
 * The first octet chooses a listener (the table below).  Then one thing a line:
 *
 *     C text   the client says text CR LF      c text  the same without CR LF
 *     l text   ... with a bare LF              z text  ... with a NUL
 *     b N      N times 300 octets of text without a line end
 *     A ...    the owner's next answers, an octet each (see give() and give_auth())
 *     T ...    outcomes of the next handshakes, an octet each
 *     .        everything said so far arrives now, as one piece
 *     g e d    the peer is gone; the time is over; the service shuts down
 *     u X      the certificate's facts change to X
 *     k        go on with a clone
 *
 * The same input is played whole, octet by octet and in odd pieces: what the server says,
 * and what it told its owner, must be the same.  What must be true besides is written by
 * hand from PROTOCOL.md and server.h; srv_hand.h holds what the explorer asks too.
 */
#include "fz.h"

#include "srv_hand.h"
#include "srv_play.h"
#include "text.h"

enum { QUEUE = 64, SAID_MAX = 1 << 20, BURST_MAX = 1 << 16, STEPS = 200 };

#define ALL                                                                            \
    "SCRAM-SHA-256-PLUS,SCRAM-SHA-256,SCRAM-SHA-1-PLUS,SCRAM-SHA-1,GSSAPI,"            \
    "OAUTHBEARER,XOAUTH2,CRAM-MD5,PLAIN,LOGIN"
#define FREE " error-max=4294967295 idle-max=4294967295 auth-max=4294967295"
static const char *const listener[] = {
    "",
    "implicit-tls tls=" ALL,
    "kind=lmtp",
    "kind=local",
    "certs=required tls=PLAIN",
    "no-login size=1500 rcpt-max=3",
    "clear=CRAM-MD5,SCRAM-SHA-256 tls=" ALL FREE,
    "lenient-ehlo tls=PLAIN" FREE,
    "cert-list=external cert-login=explicit",
    "cert-list=password",
    "cert-login=implicit line-max=100",
    "ext=XCLIENT,XFORWARD tls=PLAIN",
    "kind=reinject ext=XFORWARD,BINARYMIME",
    "ext=BINARYMIME,DELIVERBY,FUTURERELEASE,MT-PRIORITY,REQUIRETLS mail-max=2 "
    "legacy-auth",
    "no-login error-max=3 idle-max=4 auth-max=2" FREE,
    "no-login" FREE,
};
enum { LISTENERS = sizeof listener / sizeof *listener };
static struct sp_srv_policy policies[LISTENERS];

enum greeted { G_NO, G_HELO, G_EHLO };

/* What the owner knows for sure. */
struct play {
    struct sp_srv *s;
    const struct sp_srv_policy *p;
    unsigned way;
    struct sp_str answers, tls; /* what is left of the queues */
    char queue[2][QUEUE];
    char burst[BURST_MAX];
    size_t nburst, at;      /* what arrived and was taken */
    struct sp_buf out, log; /* everything the server said, everything it told */
    bool closed, dropped;

    bool in_tls, cert_usable, cert_verified, cert_only, binding;
    enum greeted greeted;
    char user[16],
        pending_user[16]; /* granted; granted, but the client must still agree */
    bool has_user, login_failed;
    unsigned logins, accepted;
    bool txn, binary, data;
    size_t rcpts;
    uint64_t octets;
    struct sp_buf message;
    bool body_refused;
};

static struct sp_srv_policy *policy_of(unsigned i)
{
    if (!policies[i].hostname)
        FZ_MUST(srv_play_policy(listener[i], &policies[i]),
                "the settings are understood");
    return &policies[i];
}

static void tell(struct play *y, const char *what, struct sp_str a, struct sp_str b)
{
    (void)sp_buf_printf(&y->log, "%s [%.*s] [%.*s]\n", what, (int)a.n, a.n ? a.p : "",
                        (int)b.n, b.n ? b.p : "");
}

/* ---- What it says ------------------------------------------------------------------- */

static struct sp_str take_out(struct play *y)
{
    size_t n, from = y->out.n;
    const char *o = sp_srv_out(y->s, &n);

    FZ_MUST(sp_buf_put(&y->out, o, n) == 0, "what is said is bounded");
    sp_srv_out_ack(y->s, n);
    return (struct sp_str){n ? y->out.p + from : "", n};
}

/* The answer was a refusal with this code: it is what is said next. */
static void must_say(struct play *y, int code)
{
    struct sp_str said = take_out(y);
    char want[16];

    snprintf(want, sizeof want, "%03d", code);
    FZ_MUST(said.n >= 3 && memcmp(said.p, want, 3) == 0,
            "what the owner decided is what is said");
}

/* ---- The owner ------------------------------------------------------------------------ */

static int pop(struct sp_str *queue)
{
    int c = queue->n ? (unsigned char)*queue->p : 'a';

    queue->p += queue->n > 0;
    queue->n -= queue->n > 0;
    return c;
}

static int code_of(int c)
{
    return c == 'n' || c == 'm' ? 550 : c == 't' ? 451 : c == 'x' ? 421 : 250;
}

/* a accept, n refuse, t later, x and close, m with words that no reply may hold */
static int give(struct play *y, int c)
{
    struct sp_reply r = {
        code_of(c), {code_of(c) / 100, 7, 1}, SP_LIT("the owner says no")};

    if (c == 'm')
        r.text = SP_LIT(
            "one\nt\xc3\xb6wo\r\x01 three\n\n" /* and a long line */
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    FZ_MUST((r.code == 250 ? sp_srv_accept(y->s) : sp_srv_reply(y->s, &r)) == 0,
            "an answer to an event is taken");
    return r.code;
}

static struct sp_srv_tls facts_of(struct play *y, int c)
{
    struct sp_srv_tls t = {.cert = SP_CERT_NONE};

    t.channel_binding = c == 'b' || c == 'U';
    if (c == 'u' || c == 'U' || c == 'o' || c == 'v') {
        t.cert = SP_CERT_USABLE;
        t.cert_verified = true;
        t.external_only = c == 'o';
        t.user = c == 'v' ? SP_LIT("carol") : SP_LIT("alice");
    } else if (c == 'x' || c == 'y') {
        t.cert = SP_CERT_UNUSABLE;
        t.cert_verified = c == 'y';
        t.reason = SP_LIT("expired\r\n250 2026");
    }
    y->cert_usable = t.cert == SP_CERT_USABLE;
    y->cert_verified = t.cert_verified;
    y->cert_only = t.external_only;
    y->binding = t.channel_binding;
    return t;
}

static void forget_session(struct play *y)
{
    y->greeted = G_NO;
    y->has_user = false;
    y->pending_user[0] = '\0';
    y->logins = 0;
}

static void drive(struct sp_srv *s, const struct sp_srv_tls *t)
{
    struct sp_srv_event e;
    size_t n;

    (void)sp_srv_out(s, &n);
    sp_srv_out_ack(s, n);
    while (sp_srv_next(s, &e)) {
        (void)(e.type == SP_SRV_HANDSHAKE ? sp_srv_tls_done(s, t) : sp_srv_accept(s));
        (void)sp_srv_out(s, &n);
        sp_srv_out_ack(s, n);
    }
}

/* RFC 3207 4.2: nothing said before is known.  Looked at against a session that said
 * nothing but what leads to TLS; counters of abuse are kept, so only where none count. */
static void look_at_erasure(struct play *y, const struct sp_srv_tls *t)
{
    struct sp_srv *fresh;
    uint64_t a[2], b[2];

    FZ_MUST(sp_srv_user(y->s).n == 0 && sp_srv_helo(y->s).n == 0 &&
                !sp_srv_in_transaction(y->s) && sp_srv_in_tls(y->s),
            "what was said before STARTTLS is forgotten");
    if (y->p->error_max != UINT32_MAX || y->login_failed || y->accepted ||
        y->p->implicit_tls)
        return;
    fresh = sp_srv_new(y->p, SP_LIT(""));
    FZ_MUST(fresh, "memory");
    drive(fresh, t);
    for (const char *say = "EHLO c\r\nSTARTTLS\r\n"; *say; drive(fresh, t))
        FZ_MUST(sp_srv_feed(fresh, say++, 1) == 1, "octets are taken");
    sp_srv_digest(fresh, a);
    sp_srv_digest(y->s, b);
    FZ_MUST(a[0] == b[0] && a[1] == b[1], "STARTTLS leaves a session as if new");
    sp_srv_free(fresh);
}

static void handshake(struct play *y)
{
    int c = pop(&y->tls);
    struct sp_srv_tls t;

    FZ_MUST(!y->in_tls, "TLS begins once");
    y->nburst = y->at = 0; /* what comes now belongs to TLS */
    (void)take_out(y);
    if (c == 'f') {
        FZ_MUST(sp_srv_tls_failed(y->s) == 0, "a handshake may fail");
        y->dropped = true;
        return;
    }
    t = facts_of(y, c);
    forget_session(y);
    y->in_tls = true;
    FZ_MUST(sp_srv_tls_done(y->s, &t) == 0, "a handshake may be done");
    look_at_erasure(y, &t);
}

static void auth_ok(struct play *y, const struct sp_srv_event *e, bool data)
{
    char name[16];
    enum sp_mech mech = SP_MECHS;
    bool implicit = false;
    bool was = sp_srv_login(y->s, &mech, &implicit) && implicit;

    snprintf(name, sizeof name, e->u.auth.mech == SP_MECH_EXTERNAL ? "alice" : "u%u",
             y->logins++ % 100);
    FZ_MUST(sp_srv_auth_ok(y->s, sp_str(name),
                           data ? SP_LIT("x") : (struct sp_str){0}) == 0,
            "a login may succeed");
    if (data && !e->u.auth.implicit) {
        snprintf(y->pending_user, sizeof y->pending_user, "%s", name);
        return;
    }
    /* behind an implicit login only the same identity may come: PROTOCOL 2 */
    if (!was || strcmp(y->user, name) == 0) {
        snprintf(y->user, sizeof y->user, "%s", name);
        y->has_user = true;
    }
}

/* a success, d with data, n wrong, k too weak, t later, s malformed, c a challenge */
static void give_auth(struct play *y, const struct sp_srv_event *e)
{
    struct srv_hand_tls t = {y->in_tls, y->binding, y->cert_usable, y->cert_only};
    int c = pop(&y->answers);

    FZ_MUST(y->in_tls || e->u.auth.secret.n == 0, "no secret is taken in clear");
    FZ_MUST(!y->has_user || e->u.auth.mech == SP_MECH_EXTERNAL, "nobody logs in twice");
    if (e->u.auth.implicit) {
        FZ_MUST(y->in_tls && y->cert_usable && !y->has_user && !y->login_failed &&
                    y->greeted != G_NO &&
                    (y->p->cert_login == SP_CERT_LOGIN_EITHER ||
                     y->p->cert_login == SP_CERT_LOGIN_IMPLICIT),
                "a certificate logs in by itself only where it may");
    } else {
        FZ_MUST(srv_hand_usable(y->p, &t, (int)e->u.auth.mech),
                "a mechanism is used only where it may be");
        FZ_MUST(y->greeted == G_EHLO && !y->txn,
                "AUTH comes behind EHLO, outside a transaction");
    }
    y->pending_user[0] = '\0';
    if (c == 'c' && !e->u.auth.implicit &&
        sp_srv_auth_challenge(y->s, SP_LIT("y")) == 0)
        return;
    if (c == 'n' || c == 'k' || c == 't' || c == 's' || c == 'c') {
        FZ_MUST(sp_srv_auth_fail(y->s, c == 'k'   ? SP_AUTH_TOO_WEAK
                                       : c == 't' ? SP_AUTH_TEMPORARY
                                       : c == 's' ? SP_AUTH_SYNTAX
                                                  : SP_AUTH_FAILED) == 0,
                "a login may fail");
        y->login_failed |= c != 's' || e->u.auth.implicit;
        return;
    }
    auth_ok(y, e, c == 'd');
}

/* Octets that have arrived are shown before these two are answered (server.h). */
static bool show_early(struct play *y)
{
    FZ_MUST(sp_srv_feed(y->s, y->burst + y->at, y->nburst - y->at) == 0,
            "nothing is taken while a decision waits");
    return y->nburst > y->at;
}

static void on_mail(struct play *y, const struct sp_srv_event *e)
{
    const struct sp_mail *m = &e->u.mail.m;
    int code;

    tell(y, "mail", m->path, m->auth);
    FZ_MUST(!y->txn, "one transaction at a time");
    FZ_MUST(y->has_user || !y->p->login_required || y->p->kind != SP_SRV_SUBMISSION,
            "no MAIL without a login");
    FZ_MUST(y->greeted != G_NO || (y->p->lenient_ehlo && y->in_tls),
            "no MAIL before EHLO");
    FZ_MUST(y->greeted == G_EHLO || !m->smtputf8, "no parameter without EHLO");
    FZ_MUST(!m->has_size || y->p->size_max == 0 || m->size <= y->p->size_max,
            "no message that is too big");
    code = give(y, pop(&y->answers));
    if (code != 250) {
        must_say(y, code);
        return;
    }
    y->txn = true;
    y->binary = m->body == SP_BODY_BINARYMIME;
    y->data = y->body_refused = false;
    y->rcpts = 0;
    y->octets = 0;
    y->message.n = 0;
}

static void on_rcpt(struct play *y, const struct sp_srv_event *e)
{
    FZ_MUST(y->txn && !y->data, "RCPT stands in a transaction, before the message");
    for (size_t i = 0; i < e->u.rcpt.n; i++) {
        const struct sp_rcpt *r = &e->u.rcpt.r[i];
        int c = pop(&y->answers), code = code_of(c);
        struct sp_reply reply = {code, {code / 100, 1, 1}, SP_LIT("the owner says no")};

        tell(y, "rcpt", r->path, r->orcpt);
        if (sp_srv_rcpt(y->s, i, code == 250 ? NULL : &reply) < 0)
            break; /* an answer closed the session */
        y->rcpts += code == 250;
        if (code == 421)
            break;
    }
    FZ_MUST(y->rcpts <= y->p->rcpt_max, "recipients are counted");
}

static void on_body(struct play *y, struct sp_str span)
{
    FZ_MUST(y->txn && y->data, "octets of a message come behind DATA or BDAT");
    if (!y->binary)
        FZ_MUST(!span.n || !memchr(span.p, 0, span.n), "no NUL is in a message");
    y->octets += span.n;
    FZ_MUST(y->p->size_max == 0 || y->octets <= y->p->size_max,
            "no message that is too big");
    (void)sp_buf_str(&y->message, span);
    /* by the number of octets, so that it does not depend on how they were cut */
    if (y->octets > 600 && y->answers.n && *y->answers.p == 'B' && !y->body_refused) {
        y->body_refused = true;
        (void)give(y, 't');
    } else {
        (void)give(y, 'a');
    }
}

static void on_end(struct play *y, const struct sp_srv_event *e)
{
    int code, c;

    FZ_MUST(y->txn && y->data && y->rcpts,
            "a message has a sender, recipients and octets");
    FZ_MUST(!y->body_refused, "a refused message does not end well");
    FZ_MUST(e->u.end.size == y->octets, "END counts what BODY gave");
    FZ_MUST(e->u.end.header_size <= e->u.end.size, "the header is part of it");
    tell(y, "end", sp_buf_view(&y->message), (struct sp_str){0});
    (void)take_out(y);
    y->txn = false;
    c = pop(&y->answers);
    code = give(y, c);
    y->accepted += code == 250;
    if (!y->dropped)
        must_say(y, code);
}

static void on_event(struct play *y, const struct sp_srv_event *e)
{
    int c;

    FZ_MUST(!y->closed, "CLOSE is the last thing");
    FZ_MUST(y->p->cert_want != SP_CERT_WANT_REQUIRED || y->in_tls == false ||
                y->cert_verified || e->type < SP_SRV_EHLO || e->type > SP_SRV_XCLIENT ||
                e->type == SP_SRV_AUTH_END || e->type == SP_SRV_ABORT,
            "without the required certificate nothing is decided");
    switch (e->type) {
    case SP_SRV_CONNECT:
        (void)(show_early(y) ? sp_srv_accept(y->s) : give(y, pop(&y->answers)));
        break;
    case SP_SRV_EHLO:
        tell(y, e->u.ehlo.extended ? "ehlo" : "helo", e->u.ehlo.name,
             (struct sp_str){0});
        c = give(y, pop(&y->answers));
        if (c != 250) {
            must_say(y, c);
            break;
        }
        y->greeted = e->u.ehlo.extended ? G_EHLO : G_HELO;
        if (e->u.ehlo.extended) {
            struct srv_hand_tls t = {y->in_tls, y->binding, y->cert_usable,
                                     y->cert_only};
            struct sp_str said = take_out(y);
            bool last;
            unsigned got = srv_hand_mechs(said, &last);

            for (int i = 0; i < SP_MECHS; i++)
                FZ_MUST((got >> i & 1) == srv_hand_listed(y->p, &t, i),
                        "what is listed is what PROTOCOL says");
            FZ_MUST(last, "EXTERNAL is last");
        }
        break;
    case SP_SRV_STARTTLS:
        FZ_MUST(!y->in_tls && y->p->kind == SP_SRV_SUBMISSION,
                "STARTTLS where it may be");
        (void)(show_early(y) ? sp_srv_accept(y->s) : give(y, pop(&y->answers)));
        break;
    case SP_SRV_HANDSHAKE:
        handshake(y);
        break;
    case SP_SRV_AUTH:
        tell(y, sp_mech_name(e->u.auth.mech), e->u.auth.authcid, e->u.auth.token);
        give_auth(y, e);
        break;
    case SP_SRV_MAIL:
        on_mail(y, e);
        break;
    case SP_SRV_RCPT:
        on_rcpt(y, e);
        break;
    case SP_SRV_DATA:
        FZ_MUST(y->txn && y->rcpts && !y->data, "no DATA without a recipient");
        c = pop(&y->answers);
        y->data = give(y, c) == 250;
        y->body_refused = !y->data;
        break;
    case SP_SRV_BODY:
        on_body(y, e->u.body.octets);
        break;
    case SP_SRV_END:
        on_end(y, e);
        break;
    case SP_SRV_ABORT:
        FZ_MUST(y->txn, "a transaction ends once");
        tell(y, "abort", (struct sp_str){0}, (struct sp_str){0});
        y->txn = false;
        break;
    case SP_SRV_VRFY:
        FZ_MUST(y->has_user || !y->p->login_required || y->p->kind != SP_SRV_SUBMISSION,
                "no VRFY without a login");
        c = give(y, pop(&y->answers));
        if (c != 250)
            must_say(y, c);
        break;
    case SP_SRV_XCLIENT:
        c = give(y, pop(&y->answers));
        if (c == 250 && !e->u.xclient.forward)
            forget_session(y);
        break;
    case SP_SRV_CLOSE:
        y->closed = true;
        break;
    case SP_SRV_AUTH_END:
        y->pending_user[0] = '\0';
        break;
    case SP_SRV_NOTE:
        break;
    case SP_SRV_NOTHING:
        FZ_MUST(false, "nothing is not an event");
    }
}

/* An identity comes from the owner's success, and from nothing else. */
static void look_at_user(struct play *y)
{
    struct sp_str user = sp_srv_user(y->s);

    if (y->closed || y->dropped)
        return;
    if (y->p->kind == SP_SRV_LOCAL) {
        FZ_MUST(sp_str_is(user, "local"), "a local user is who the socket says");
        return;
    }
    if (user.n && y->pending_user[0] && sp_str_is(user, y->pending_user)) {
        memcpy(y->user, y->pending_user, sizeof y->user); /* the client agreed */
        y->pending_user[0] = '\0';
        y->has_user = true;
    }
    FZ_MUST(user.n == 0 || (y->has_user && sp_str_is(user, y->user)),
            "an identity comes from the owner alone");
    FZ_MUST(user.n || !y->has_user, "a login holds");
    FZ_MUST(y->greeted != G_NO || sp_srv_helo(y->s).n == 0,
            "a name comes from EHLO alone");
    FZ_MUST(sp_srv_in_tls(y->s) == y->in_tls, "TLS is what was proved");
}

static void events(struct play *y)
{
    struct sp_srv_event e;

    (void)take_out(y);
    while (sp_srv_next(y->s, &e)) {
        if (e.type == SP_SRV_EHLO && y->answers.n && *y->answers.p == 'L') {
            (void)pop(&y->answers); /* the owner takes its time */
            FZ_MUST(sp_srv_feed(y->s, "NOOP\r\n", 6) == 0 &&
                        sp_srv_wait(y->s) == SP_WAIT_CALLER,
                    "while an answer is due nothing is taken");
        }
        on_event(y, &e);
        (void)take_out(y);
    }
    look_at_user(y);
}

static void arrive(struct play *y)
{
    events(y);
    while (y->at < y->nburst && !y->closed) {
        size_t n = fz_piece(&y->way, y->nburst - y->at);
        size_t used = sp_srv_feed(y->s, y->burst + y->at, n);

        FZ_MUST(used <= n, "no more is taken than was given");
        y->at += used;
        events(y);
        if (used == 0 && y->at < y->nburst && !y->closed) {
            FZ_MUST(y->dropped, "with nothing to decide, octets are taken");
            break;
        }
    }
    y->nburst = y->at = 0;
}

/* ---- The script ------------------------------------------------------------------------- */

static void said(struct play *y, struct sp_str text, const char *end, size_t end_n)
{
    if (y->nburst + text.n + end_n > BURST_MAX)
        return;
    if (text.n)
        memcpy(y->burst + y->nburst, text.p, text.n);
    y->nburst += text.n;
    memcpy(y->burst + y->nburst, end, end_n);
    y->nburst += end_n;
}

static void queue(struct sp_str *q, char *room, struct sp_str more)
{
    memmove(room, q->p, q->n);
    more.n = more.n < QUEUE - q->n ? more.n : QUEUE - q->n;
    if (more.n)
        memcpy(room + q->n, more.p, more.n);
    *q = (struct sp_str){room, q->n + more.n};
}

static void filler(struct play *y, struct sp_str n)
{
    static const char text[] = "0123456789 abcdefghij. ";
    unsigned times = n.n ? (unsigned char)n.p[0] % 16u : 1;

    for (unsigned i = 0; i < times * 13; i++)
        said(y, (struct sp_str){NULL, 0}, text, sizeof text - 1);
}

static void clone(struct play *y)
{
    struct sp_srv *copy = sp_srv_clone(y->s);
    uint64_t a[2], b[2];

    FZ_MUST(copy, "memory");
    sp_srv_digest(y->s, a);
    sp_srv_digest(copy, b);
    FZ_MUST(a[0] == b[0] && a[1] == b[1], "a clone has the same future");
    sp_srv_free(y->s);
    y->s = copy;
}

static void step(struct play *y, struct sp_str line)
{
    char what = line.n ? line.p[0] : '.';
    struct sp_str text = {line.p + (line.n > 0), line.n - (line.n > 0)};
    struct sp_srv_tls t;

    switch (what) {
    case 'C':
        said(y, text, "\r\n", 2);
        return;
    case 'c':
        said(y, text, "", 0);
        return;
    case 'l':
        said(y, text, "\n", 1);
        return;
    case 'z':
        said(y, text, "\0", 1);
        return;
    case 'b':
        filler(y, text);
        return;
    case 'A':
        queue(&y->answers, y->queue[0], text);
        return;
    case 'T':
        queue(&y->tls, y->queue[1], text);
        return;
    default:
        break;
    }
    arrive(y);
    if (y->closed)
        return;
    switch (what) {
    case 'g':
        y->dropped = true;
        sp_srv_gone(y->s);
        break;
    case 'e':
        sp_srv_expired(y->s);
        break;
    case 'd':
        sp_srv_drain(y->s);
        break;
    case 'u':
        if (y->in_tls && !y->dropped) {
            t = facts_of(y, text.n ? text.p[0] : 'n');
            (void)sp_srv_cert_update(y->s, &t);
        }
        break;
    case 'k':
        clone(y);
        break;
    default:
        break;
    }
    events(y);
}

static void play(struct fz f, unsigned way, struct play *y)
{
    const char *bad;
    struct sp_str line;
    unsigned steps = 0;

    memset(y, 0, sizeof *y);
    y->p = policy_of(fz_byte(&f) % LISTENERS);
    y->way = way;
    y->answers.p = y->queue[0];
    y->tls.p = y->queue[1];
    y->in_tls = false;
    sp_buf_init(&y->out, SAID_MAX);
    sp_buf_init(&y->log, SAID_MAX);
    sp_buf_init(&y->message, SAID_MAX);
    y->s = sp_srv_new(y->p, y->p->kind == SP_SRV_LOCAL ? SP_LIT("local") : SP_LIT(""));
    FZ_MUST(y->s, "memory");
    while (f.n && !y->closed && steps++ < STEPS)
        step(y, fz_line(&f));
    if (!y->closed)
        arrive(y);
    if (!y->closed) {
        y->dropped = true;
        sp_srv_gone(y->s);
        events(y);
    }
    FZ_MUST(!y->txn, "every MAIL that was accepted ends, by END or by ABORT");
    bad = srv_hand_form(sp_buf_view(&y->out), y->p->hostname, &line);
    if (bad)
        fprintf(stderr, "%s: %.*s\n", bad, (int)line.n, line.p);
    FZ_MUST(!bad, "every reply is well-formed");
    sp_srv_free(y->s);
    sp_buf_free(&y->message);
}

FZ_TARGET
{
    static struct play whole, split;
    struct fz f = {data, size};

    play(f, 0, &whole);
    for (unsigned i = 1; i <= 2; i++) {
        play(f, i == 1 ? 1 : (unsigned)size * 8 + 2, &split);
        if (!sp_str_eq(sp_buf_view(&whole.out), sp_buf_view(&split.out)))
            fprintf(stderr, "whole:\n%.*s\nsplit:\n%.*s\n", (int)whole.out.n,
                    whole.out.p, (int)split.out.n, split.out.p);
        FZ_MUST(sp_str_eq(sp_buf_view(&whole.out), sp_buf_view(&split.out)),
                "any split, the same words");
        FZ_MUST(whole.accepted == split.accepted && whole.closed == split.closed,
                "any split, the same end");
        FZ_MUST(sp_str_eq(sp_buf_view(&whole.log), sp_buf_view(&split.log)),
                "any split, the same events");
        sp_buf_free(&split.out);
        sp_buf_free(&split.log);
    }
    sp_buf_free(&whole.out);
    sp_buf_free(&whole.log);
    return 0;
}
