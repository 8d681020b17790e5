/* srv_filter.c - what the filter role is asked about a session; see server_role.h. */
#include "server_role.h"

#include "alloc.h"
#include "certmap.h"
#include "text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool srv_filter_wanted(const struct srv_session *s)
{
    return s->listener->l->milters.n || s->listener->l->policies.n;
}

bool srv_filter_ready(const struct srv_session *s)
{
    return s->srv->filter && !sp_port_full(s->srv->filter);
}

/* ---- what is known of the client ---- */

struct client {
    Sp__FilterClient m;
    Sp__Tls tls;
    struct sp_tls_facts facts;
    struct sp_cert_facts cert;
    char helo[300];
};

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void certificate_facts(struct srv_session *s, struct client *c)
{
    struct sp_buf der;

    sp_buf_init(&der, 1 << 20);
    if (c->facts.peer_cert && sp_conn_peer_der(s->conn, &der) >= 0 &&
        sp_cert_facts(sp_buf_view(&der), &c->cert, NULL) == 0) {
        c->m.certificate_subject = c->cert.subject;
        c->m.certificate_issuer = c->cert.issuer;
        c->m.certificate = c->cert.fingerprint;
        c->m.certificate_verified = c->facts.verdict.chain_ok || s->cert_pinned;
    }
    sp_buf_free(&der);
}

static void client_facts(struct srv_session *s, struct client *c)
{
    struct sp_str helo =
        s->client_helo[0] ? sp_str(s->client_helo) : sp_srv_helo(s->engine);

    memset(c, 0, sizeof *c);
    sp__filter_client__init(&c->m);
    c->m.listener = text(s->listener->l->head.name);
    c->m.session = s->id;
    if (s->listener->policy.kind != SP_SRV_LOCAL)
        c->m.address = s->address;
    c->m.port = s->port;
    snprintf(c->helo, sizeof c->helo, "%.*s", (int)(helo.n < 256 ? helo.n : 256),
             helo.n ? helo.p : "");
    c->m.helo = c->helo;
    c->m.extended = sp_srv_extended(s->engine);
    if (s->conn && sp_conn_in_tls(s->conn) && sp_conn_facts(s->conn, &c->facts)) {
        sp__tls__init(&c->tls);
        c->tls.version = text(c->facts.version);
        c->tls.cipher = text(c->facts.cipher);
        c->tls.bits = (uint32_t)c->facts.bits;
        c->m.tls = &c->tls;
        certificate_facts(s, c);
    }
    if (s->who) {
        c->m.user = s->who->user;
        c->m.login = s->who->login;
        c->m.mechanism = s->who->mechanism;
    }
}

/* ---- asking ---- */

static int ask(struct srv_session *s, Sp__FilterStage stage, Sp__FilterAsk *m,
               const struct sp_raw *raw, int fd)
{
    int rc;

    m->session = s->key;
    m->number = ++s->filter.number;
    m->stage = stage;
    m->id = s->filter.id;
    s->filter.stage = stage;
    rc = sp_port_send(s->srv->filter, SP_MSG_FILTER_ASK, &m->base, raw, fd);
    if (rc == 0 && stage < SP__FILTER_STAGE__FILTER_ABORT)
        s->wait = SRV_WAIT_FILTER;
    return rc;
}

static bool ask_about_client(struct srv_session *s, Sp__FilterStage stage,
                             struct sp_str helo)
{
    Sp__FilterAsk m = SP__FILTER_ASK__INIT;
    struct client c;

    if (!s->listener->l->milters.n || !srv_filter_ready(s))
        return false; /* nobody minds; whoever does is asked again at MAIL */
    client_facts(s, &c);
    if (helo.n)
        snprintf(c.helo, sizeof c.helo, "%.*s", (int)(helo.n < 256 ? helo.n : 256),
                 helo.p);
    m.client = &c.m;
    s->filter.open = true;
    return ask(s, stage, &m, NULL, -1) == 0;
}

bool srv_filter_connect(struct srv_session *s)
{
    return ask_about_client(s, SP__FILTER_STAGE__FILTER_CONNECT,
                            (struct sp_str){NULL, 0});
}

bool srv_filter_helo(struct srv_session *s, struct sp_str name)
{
    return ask_about_client(s, SP__FILTER_STAGE__FILTER_HELO, name);
}

struct parameters {
    char text[8][600];
    ProtobufCBinaryData v[8];
    size_t n;
};

static void add(struct parameters *p, const char *name, struct sp_str value)
{
    char *to = p->text[p->n];
    int n = snprintf(to, sizeof p->text[0], "%s%s%.*s", name, value.n ? "=" : "",
                     (int)(value.n < 560 ? value.n : 560), value.n ? value.p : "");

    p->v[p->n++] = (ProtobufCBinaryData){(size_t)n, (uint8_t *)to};
}

bool srv_filter_mail(struct srv_session *s, struct sp_str sender,
                     const struct sp_mail *p)
{
    Sp__FilterAsk m = SP__FILTER_ASK__INIT;
    struct parameters par = {.n = 0};
    struct client c;
    char size[24];

    if (!srv_filter_ready(s))
        return false;
    client_facts(s, &c);
    snprintf(s->filter.id, sizeof s->filter.id, "%s.%u", s->id, ++s->filter.messages);
    snprintf(size, sizeof size, "%llu", (unsigned long long)p->size);
    if (p->has_size)
        add(&par, "SIZE", sp_str(size));
    if (p->body != SP_BODY_UNSET)
        add(&par, "BODY",
            p->body == SP_BODY_8BITMIME     ? SP_LIT("8BITMIME")
            : p->body == SP_BODY_BINARYMIME ? SP_LIT("BINARYMIME")
                                            : SP_LIT("7BIT"));
    if (p->smtputf8)
        add(&par, "SMTPUTF8", (struct sp_str){NULL, 0});
    if (p->ret != SP_RET_UNSET)
        add(&par, "RET", p->ret == SP_RET_FULL ? SP_LIT("FULL") : SP_LIT("HDRS"));
    if (p->envid.n)
        add(&par, "ENVID", p->envid);
    m.client = &c.m;
    m.address = (ProtobufCBinaryData){sender.n, (uint8_t *)(uintptr_t)sender.p};
    m.parameter = par.v;
    m.n_parameter = par.n;
    m.size = p->size;
    s->filter.open = true;
    s->filter.transaction = ask(s, SP__FILTER_STAGE__FILTER_MAIL, &m, NULL, -1) == 0;
    return s->filter.transaction;
}

static void notify_text(unsigned bits, char *out, size_t cap)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {{SP_NOTIFY_NEVER, "NEVER"},
                 {SP_NOTIFY_SUCCESS, "SUCCESS"},
                 {SP_NOTIFY_FAILURE, "FAILURE"},
                 {SP_NOTIFY_DELAY, "DELAY"}};
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (bits & words[i].bit)
            n +=
                (size_t)snprintf(out + n, cap - n, "%s%s", n ? "," : "", words[i].word);
}

bool srv_filter_rcpt(struct srv_session *s, const struct sp_rcpt *r,
                     struct sp_str address, uint64_t size, size_t accepted)
{
    Sp__FilterAsk m = SP__FILTER_ASK__INIT;
    struct parameters par = {.n = 0};
    char notify[40];

    if (!s->filter.transaction || !srv_filter_ready(s))
        return false;
    notify_text(r->notify, notify, sizeof notify);
    if (notify[0])
        add(&par, "NOTIFY", sp_str(notify));
    if (r->orcpt.n)
        add(&par, "ORCPT", r->orcpt);
    m.address = (ProtobufCBinaryData){address.n, (uint8_t *)(uintptr_t)address.p};
    m.parameter = par.v;
    m.n_parameter = par.n;
    m.size = size;
    m.recipients = (uint32_t)accepted;
    return ask(s, SP__FILTER_STAGE__FILTER_RCPT, &m, NULL, -1) == 0;
}

bool srv_filter_data(struct srv_session *s)
{
    Sp__FilterAsk m = SP__FILTER_ASK__INIT;

    return s->filter.transaction && srv_filter_ready(s) &&
           ask(s, SP__FILTER_STAGE__FILTER_DATA, &m, NULL, -1) == 0;
}

bool srv_filter_message(struct srv_session *s, const struct srv_filter_in *in)
{
    Sp__FilterAsk m = SP__FILTER_ASK__INIT;
    struct sp_raw raw = {.octets = in->body};
    int fd = in->fd >= 0 ? fcntl(in->fd, F_DUPFD_CLOEXEC, 0) : -1;

    if (!s->filter.transaction || !srv_filter_ready(s) || (in->fd >= 0 && fd < 0)) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    m.header = (ProtobufCBinaryData){in->header.n, (uint8_t *)(uintptr_t)in->header.p};
    m.body_in_frame = in->fd < 0;
    m.body_offset = in->offset;
    m.body_size = in->size;
    m.size = in->size + in->header.n;
    /* The octets are copied: they stay ours. */
    return ask(s, SP__FILTER_STAGE__FILTER_MESSAGE, &m,
               in->fd < 0 && raw.octets.n ? &raw : NULL, fd) == 0;
}

/* Nothing waits for what milters say to it: the refusal stands. */
void srv_filter_unknown(struct srv_session *s)
{
    Sp__FilterAsk m = SP__FILTER_ASK__INIT;
    Sp__FilterStage now = s->filter.stage;

    if (!s->filter.open || !s->listener->l->milters.n || !srv_filter_ready(s))
        return;
    (void)ask(s, SP__FILTER_STAGE__FILTER_UNKNOWN, &m, NULL, -1);
    s->filter.stage = now;
}

void srv_filter_abort(struct srv_session *s)
{
    Sp__FilterAsk m = SP__FILTER_ASK__INIT;

    if (s->filter.transaction && s->srv->filter)
        (void)ask(s, SP__FILTER_STAGE__FILTER_ABORT, &m, NULL, -1);
    s->filter.transaction = false;
}

void srv_filter_close(struct srv_session *s)
{
    Sp__FilterAsk m = SP__FILTER_ASK__INIT;

    if (s->filter.open && s->srv->filter)
        (void)ask(s, SP__FILTER_STAGE__FILTER_CLOSE, &m, NULL, -1);
    s->filter.open = s->filter.transaction = false;
}

/* What is still to come belongs to nobody. */
void srv_filter_too_late(struct srv_session *s)
{
    s->filter.number++;
    s->filter.first = s->filter.number;
    s->wait = SRV_WAIT_NOTHING;
    srv_filter_close(s);
}

/* ---- answers ---- */

static struct sp_reply reply_of(const Sp__FilterAnswer *m)
{
    bool fits = m->code >= 400 && m->code <= 599;
    struct sp_reply r = {.code = fits ? (int)m->code : 451,
                         .enh = {fits ? (int)m->code / 100 : 4, 7, 1},
                         .text = sp_str(m->text[0] ? m->text : "try again later")};

    if (m->code == 250)
        return (struct sp_reply){250, {2, 1, 5}, SP_LIT("recipient ok")};
    if (fits && m->n_enhanced == 3 && m->enhanced[0] == m->code / 100)
        for (int i = 0; i < 3; i++)
            r.enh[i] = (int)(m->enhanced[i] % 1000);
    return r;
}

static void refused(struct srv_session *s, const char *stage, const struct sp_reply *r)
{
    srv_session_log_refusal(s, stage, r->code, r->text.p);
    (void)sp_srv_reply(s->engine, r);
}

static void got_one(struct srv_session *s, const Sp__FilterAnswer *m,
                    struct sp_frame_body *body)
{
    struct sp_reply r = reply_of(m);

    s->wait = SRV_WAIT_NOTHING;
    switch (s->filter.stage) {
    case SP__FILTER_STAGE__FILTER_CONNECT:
    case SP__FILTER_STAGE__FILTER_HELO:
        if (r.code == 250)
            (void)sp_srv_accept(s->engine);
        else
            refused(s,
                    s->filter.stage == SP__FILTER_STAGE__FILTER_CONNECT ? "connect"
                                                                        : "EHLO",
                    &r);
        break;
    case SP__FILTER_STAGE__FILTER_MAIL:
        if (r.code == 250) {
            srv_message_mail_accepted(s);
            break;
        }
        s->filter.transaction = false;
        refused(s, "MAIL", &r);
        srv_message_forget(s);
        break;
    case SP__FILTER_STAGE__FILTER_DATA:
        if (r.code == 250)
            (void)sp_srv_accept(s->engine);
        else
            refused(s, "DATA", &r);
        break;
    case SP__FILTER_STAGE__FILTER_MESSAGE:
        s->filter.transaction = false;
        if (r.code == 250) {
            srv_message_filtered(s, m, body);
            break;
        }
        sp_log(SP_LOG_REJECTED, s->id, SP_KVS("from", s->peer),
               SP_KVS("reply", m->text));
        refused(s, "dot", &r);
        srv_message_forget(s);
        break;
    default:
        break;
    }
}

static void got_rcpt(struct srv_session *s, const Sp__FilterAnswer *m)
{
    struct sp_reply r = reply_of(m);
    uint64_t i = m->number - s->filter.first;

    if (i >= s->filter.asked || !srv_message_rcpt_answer(s, s->filter.index[i], &r) ||
        --s->filter.left)
        return;
    s->wait = SRV_WAIT_NOTHING;
    srv_message_rcpts_filtered(s);
}

void srv_filter_answer(struct srv *srv, const Sp__FilterAnswer *m,
                       struct sp_frame_body *body)
{
    struct srv_session *s = srv_session_find(srv, m->session);

    if (!s || s->wait != SRV_WAIT_FILTER || m->number < s->filter.first ||
        m->number > s->filter.number)
        return;
    if (s->filter.stage == SP__FILTER_STAGE__FILTER_RCPT)
        got_rcpt(s, m);
    else if (m->number == s->filter.number)
        got_one(s, m, body);
    if (s->wait == SRV_WAIT_FILTER)
        return;
    if (s->conn)
        srv_session_pump(s);
    else if (s->wait == SRV_WAIT_NOTHING)
        srv_session_orphan_done(s);
}

/* Nothing of a message is stored before the filters have passed it, so nothing is lost:
 * the client hears 451 and tries again. */
void srv_filter_gone(struct srv *srv)
{
    for (size_t i = 0; i < srv->slots; i++) {
        struct srv_session *s = srv->slot[i];
        Sp__FilterAnswer m = SP__FILTER_ANSWER__INIT;
        uint32_t enh[3] = {4, 3, 0};
        bool early;

        if (!s)
            continue;
        s->filter.open = s->filter.transaction = false;
        if (s->wait != SRV_WAIT_FILTER)
            continue;
        early = s->filter.stage < SP__FILTER_STAGE__FILTER_MAIL;
        m.session = s->key;
        m.code = early ? 250 : 451;
        m.enhanced = enh;
        m.n_enhanced = 3;
        m.text = text("the filters were started again; try again later");
        if (s->filter.stage != SP__FILTER_STAGE__FILTER_RCPT) {
            m.number = s->filter.number;
            srv_filter_answer(srv, &m, NULL);
            continue;
        }
        for (m.number = s->filter.first;
             srv->slot[i] == s && s->wait == SRV_WAIT_FILTER &&
             m.number <= s->filter.number;
             m.number++)
            srv_filter_answer(srv, &m, NULL);
    }
}
