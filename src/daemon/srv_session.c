/* srv_session.c - see server_role.h. */
#include "server_role.h"

#include "alloc.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    HANDSHAKE_MS = 60 * 1000,
    PROXY_MS = 30 * 1000,
    OVERDUE_TIMES = 2,
};

/* ---- table of sessions ---- */

static bool enter(struct srv *srv, struct srv_session *s)
{
    uint32_t i;

    if (srv->free_slots == 0)
        return false;
    i = srv->free_slot[--srv->free_slots];
    srv->slot[i] = s;
    s->key = (uint64_t)++srv->generation[i] << 32 | i;
    srv->sessions++;
    sp_meter_set(SP_METER_SESSIONS, srv->sessions);
    snprintf(s->id, sizeof s->id, "%u.%llx", srv->role->instance,
             (unsigned long long)((s->key >> 32) * SRV_SESSIONS_MAX + i));
    return true;
}

static void leave(struct srv *srv, struct srv_session *s)
{
    uint32_t i = (uint32_t)s->key;

    srv->slot[i] = NULL;
    srv->free_slot[srv->free_slots++] = i;
    srv->sessions--;
    sp_meter_set(SP_METER_SESSIONS, srv->sessions);
}

struct srv_session *srv_session_find(struct srv *srv, uint64_t key)
{
    uint32_t i = (uint32_t)key;

    if (i >= srv->slots || !srv->slot[i] || srv->slot[i]->key != key)
        return NULL;
    return srv->slot[i];
}

/* ---- the end of a session ---- */

static void unfresh(struct srv_session *s)
{
    for (struct srv_session **at = &s->srv->fresh; *at; at = &(*at)->next_fresh)
        if (*at == s) {
            *at = s->next_fresh;
            return;
        }
}

static void count_no_more(struct srv_session *s);

static void session_free(struct srv_session *s)
{
    struct srv *srv = s->srv;

    if (s->wait == SRV_WAIT_BANNER)
        unfresh(s);
    count_no_more(s);
    srv_message_forget(s);
    srv_filter_close(s);
    srv_trace_forget(s);
    sp_free(s->proxy);
    sp_srv_free(s->engine);
    sp_arena_reset(&s->who_arena);
    sp_arena_reset(&s->cert_arena);
    srv_listener_unref(s->listener);
    leave(srv, s);
    sp_free(s);
    srv_session_closed(srv);
}

static void on_closed(void *arg)
{
    struct srv_session *s = arg;

    s->conn = NULL;
    /* A message that is being made durable is logged and forgotten when the answer
     * comes: it may be stored although nobody will hear of it. */
    if (s->wait != SRV_WAIT_QUEUE)
        session_free(s);
}

void srv_session_orphan_done(struct srv_session *s)
{
    session_free(s);
}

static void tell_auth_abort(struct srv_session *s)
{
    Sp__AuthAbort m = SP__AUTH_ABORT__INIT;

    m.session = s->key;
    if (s->wait == SRV_WAIT_AUTH && s->srv->auth)
        (void)sp_port_say(s->srv->auth, SP_MSG_AUTH_ABORT, &m.base);
}

static void close_session(struct srv_session *s, const char *reason)
{
    if (s->closing)
        return;
    s->closing = true;
    tell_auth_abort(s);
    srv_trace_note(s, "the session ends", reason);
    sp_log(SP_LOG_CLOSE, s->id, SP_KVS("reason", reason), SP_KVU("messages", s->messages),
           SP_KVU("in", s->octets_in), SP_KVU("out", s->octets_out));
    sp_conn_close(s->conn);
}

void srv_session_log_refusal(struct srv_session *s, const char *stage, int code,
                             const char *text)
{
    char reply[300];

    snprintf(reply, sizeof reply, "%d %s", code, text);
    sp_log(SP_LOG_REFUSED, s->id, SP_KVS("stage", stage), SP_KVS("reply", reply),
           SP_KV("user", sp_srv_user(s->engine)));
}

/* ---- the certificate ---- */

static void tls_ready(struct srv_session *s, const struct sp_srv_tls *t)
{
    (void)sp_srv_tls_done(s->engine, t);
}

static void log_tls(struct srv_session *s, const struct sp_tls_facts *f)
{
    char hex[65] = "";

    if (f->peer_cert)
        (void)sp_hex_encode(f->cert_sha256, sizeof f->cert_sha256, hex, sizeof hex);
    sp_log(SP_LOG_TLS, s->id, SP_KVS("version", f->version), SP_KVS("cipher", f->cipher),
           SP_KVS("sni", f->sni), SP_KVS("certificate", hex));
    if (f->staple_expired && !s->listener->staple_said)
        sp_log(SP_LOG_STAPLE, s->id, SP_KVS("listener", s->listener->l->head.name),
               SP_KVS("sni", f->sni));
    s->listener->staple_said |= f->staple_expired;
}

int srv_session_ask(struct srv_session *s, enum sp_msg type, const ProtobufCMessage *m)
{
    if (!s->srv->auth || sp_port_full(s->srv->auth))
        return -SP_EAGAIN;
    return sp_port_say(s->srv->auth, type, m);
}

static int ask_certificate(struct srv_session *s, const struct sp_tls_verdict *v)
{
    Sp__CertificateLook m = SP__CERTIFICATE_LOOK__INIT;
    struct sp_buf der;
    int rc;

    sp_buf_init(&der, 1 << 20);
    rc = sp_conn_peer_der(s->conn, &der);
    m.session = s->key;
    m.leaf_der = (ProtobufCBinaryData){der.n, (uint8_t *)der.p};
    m.chain_ok = v->chain_ok;
    m.chain_reason = (char *)(uintptr_t)v->chain_why;
    m.listener = (char *)(uintptr_t)s->listener->l->head.name;
    if (rc >= 0)
        rc = srv_session_ask(s, SP_MSG_CERT_LOOK, &m.base);
    sp_buf_free(&der);
    return rc;
}

static bool binding_exists(struct srv_session *s)
{
    uint8_t b[64];

    return sp_conn_binding(s->conn, SP_BINDING_EXPORTER, b, sizeof b) > 0 ||
           sp_conn_binding(s->conn, SP_BINDING_UNIQUE, b, sizeof b) > 0;
}

static void on_tls(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    struct srv_session *s = arg;
    struct sp_srv_tls t = {.cert = SP_CERT_NONE};
    struct sp_tls_facts f;

    if (err) {
        sp_log(SP_LOG_TLS_FAILED, s->id, SP_KVS("reason", err->text));
        srv_trace_note(s, "TLS failed", err->text);
        s->tls_clear = s->listener->policy.implicit_tls && sp_conn_plain_after_all(c);
        if (s->tls_clear)
            (void)sp_srv_clear_on_tls(s->engine);
        else
            (void)sp_srv_tls_failed(s->engine);
        srv_session_pump(s);
        return;
    }
    (void)sp_conn_facts(c, &f);
    log_tls(s, &f);
    srv_trace_note(s, f.version, f.cipher);
    t.channel_binding = binding_exists(s);
    if (f.peer_cert) {
        s->wait = SRV_WAIT_CERT;
        if (ask_certificate(s, &f.verdict) == 0)
            return;
        s->wait = SRV_WAIT_NOTHING;
        t.cert = SP_CERT_UNUSABLE;
        t.reason = SP_LIT("the certificate cannot be looked up just now; try again later");
    }
    tls_ready(s, &t);
    srv_session_pump(s);
}

static void recertified(struct srv_session *s, const Sp__CertificateResult *r);

static void got_certificate(struct srv_session *s, const Sp__CertificateResult *r)
{
    struct sp_srv_tls t = {0};

    if (s->wait == SRV_WAIT_RECERT && !s->closing) {
        recertified(s, r);
        return;
    }
    if (s->wait != SRV_WAIT_CERT || s->closing)
        return;
    s->wait = SRV_WAIT_NOTHING;
    sp_arena_reset(&s->cert_arena);
    s->cert_user = sp_arena_copy(&s->cert_arena, sp_str(r->user));
    s->cert_address = sp_arena_copy(&s->cert_arena, sp_str(r->address));
    s->cert_fingerprint = sp_arena_copy(&s->cert_arena, sp_str(r->fingerprint));
    s->cert_pinned = strcmp(r->rule, "pin") == 0;
    t.cert = r->usable ? SP_CERT_USABLE : SP_CERT_UNUSABLE;
    t.cert_verified = r->verified;
    t.user = s->cert_user;
    t.reason = sp_str(r->reason);
    t.external_only = r->external_only;
    t.channel_binding = binding_exists(s);
    if (!r->usable)
        sp_log(SP_LOG_CERT_UNUSABLE, s->id, SP_KVS("fingerprint", r->fingerprint),
               SP_KVS("reason", r->reason));
    tls_ready(s, &t);
    srv_session_pump(s);
}

/* Is the certificate still what it was at the handshake?  By today's lists and clock.
 * False: the reason is in `why`. */
static bool certificate_holds(struct srv_session *s, struct sp_tls_verdict *v, char *why,
                              size_t cap)
{
    struct srv_listener *now = srv_listener_now(s->srv, s->listener->l->head.name);
    const char *reason = NULL;

    if (!now || !now->tls) {
        snprintf(why, cap, "the listener was closed");
        return false;
    }
    sp_conn_judge(s->conn, now->tls, (int64_t)time(NULL), v);
    if (sp_tls_verified(v, s->cert_pinned, &reason))
        return true;
    snprintf(why, cap, "%s", reason ? reason : "not verified");
    return false;
}

/* ---- login ---- */

static const enum sp_binding bindings[] = {SP_BINDING_EXPORTER, SP_BINDING_UNIQUE};

static ProtobufCBinaryData bin(struct sp_str s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

/* Arena copies end in a NUL. */
static const char *cert_user(const struct srv_session *s)
{
    return s->cert_user.n ? s->cert_user.p : "";
}

static int ask_password(struct srv_session *s, const struct sp_srv_event *ev)
{
    Sp__AuthPassword m = SP__AUTH_PASSWORD__INIT;

    m.session = s->key;
    m.mechanism = (char *)(uintptr_t)sp_mech_name(ev->u.auth.mech);
    m.authorization_identity = bin(ev->u.auth.authzid);
    m.authentication_identity = bin(ev->u.auth.authcid);
    m.secret = bin(ev->u.auth.secret);
    m.listener = (char *)(uintptr_t)s->listener->l->head.name;
    m.client_address = s->address;
    m.certificate_required = s->listener->policy.cert_want == SP_CERT_WANT_REQUIRED;
    m.certificate_user = (char *)(uintptr_t)cert_user(s);
    return srv_session_ask(s, SP_MSG_PASSWORD, &m.base);
}

static int ask_external(struct srv_session *s, const struct sp_srv_event *ev,
                        const struct sp_tls_verdict *v)
{
    Sp__AuthExternal m = SP__AUTH_EXTERNAL__INIT;
    struct sp_buf der;
    int rc;

    sp_buf_init(&der, 1 << 20);
    rc = sp_conn_peer_der(s->conn, &der);
    m.leaf_der = (ProtobufCBinaryData){der.n, (uint8_t *)der.p};
    m.chain_ok = v->chain_ok;
    m.chain_reason = (char *)(uintptr_t)v->chain_why;
    m.session = s->key;
    m.authorization_identity = bin(ev->u.auth.authzid);
    /* Arena copies end in a NUL. */
    m.user = (char *)(uintptr_t)s->cert_user.p;
    m.address = (char *)(uintptr_t)s->cert_address.p;
    m.fingerprint = (char *)(uintptr_t)s->cert_fingerprint.p;
    m.implicit = ev->u.auth.implicit;
    m.listener = (char *)(uintptr_t)s->listener->l->head.name;
    m.client_address = s->address;
    if (rc >= 0)
        rc = srv_session_ask(s, SP_MSG_EXTERNAL, &m.base);
    sp_buf_free(&der);
    return rc;
}

static int ask_challenge(struct srv_session *s, const struct sp_srv_event *ev)
{
    Sp__AuthStart m = SP__AUTH_START__INIT;
    Sp__AuthStep step = SP__AUTH_STEP__INIT;
    Sp__ChannelBinding cb = SP__CHANNEL_BINDING__INIT;
    uint8_t octets[2][64];

    if (!ev->u.auth.first) {
        step.session = s->key;
        step.token = bin(ev->u.auth.token);
        return srv_session_ask(s, SP_MSG_AUTH_STEP, &step.base);
    }
    for (size_t i = 0; i < 2; i++) {
        int n = sp_conn_in_tls(s->conn) ? sp_conn_binding(s->conn, bindings[i],
                                                          octets[i], sizeof octets[i])
                                        : -1;

        if (n > 0)
            *(i == 0 ? &cb.exporter : &cb.unique) =
                (ProtobufCBinaryData){(size_t)n, octets[i]};
    }
    m.session = s->key;
    m.mechanism = (char *)(uintptr_t)sp_mech_name(ev->u.auth.mech);
    m.token = bin(ev->u.auth.token);
    m.has_token = ev->u.auth.has_token;
    m.listener = (char *)(uintptr_t)s->listener->l->head.name;
    m.client_address = s->address;
    m.certificate_required = s->listener->policy.cert_want == SP_CERT_WANT_REQUIRED;
    m.certificate_user = (char *)(uintptr_t)cert_user(s);
    m.binding = &cb;
    /* Without a binding none was listed, and a client may truly say that it saw none. */
    m.plus_listed = (cb.exporter.len || cb.unique.len) &&
                    s->listener->policy.mechs_tls &
                        (SP_MECH_BIT(SP_MECH_SCRAM_SHA_256_PLUS) |
                         SP_MECH_BIT(SP_MECH_SCRAM_SHA_1_PLUS));
    return srv_session_ask(s, SP_MSG_AUTH_START, &m.base);
}

/* The certificate stopped to count since the handshake: EXTERNAL is not offered any
 * more, and the client hears why, as it would have heard it at once. */
static void certificate_over(struct srv_session *s, const char *why)
{
    struct sp_srv_tls t = {.cert = SP_CERT_UNUSABLE,
                           .reason = sp_str(why),
                           .channel_binding = binding_exists(s)};

    sp_log(SP_LOG_LOGIN_FAILED, s->id, SP_KVS("mechanism", "EXTERNAL"),
           SP_KV("user", s->cert_user), SP_KVS("reason", why),
           SP_KVS("from", s->peer));
    s->wait = SRV_WAIT_NOTHING;
    (void)sp_srv_cert_update(s->engine, &t);
    if (s->external_implicit)
        (void)sp_srv_replyf(s->engine, 530, 5, 7, 0,
                            "Authentication required; the client certificate does not count: %s",
                            why);
    else
        (void)sp_srv_replyf(s->engine, 504, 5, 5, 4, "EXTERNAL not available: %s", why);
}

static void do_auth(struct srv_session *s, const struct sp_srv_event *ev)
{
    struct sp_tls_verdict v;
    char why[200];
    int rc;

    s->wait = SRV_WAIT_AUTH;
    if (ev->u.auth.first || ev->u.auth.authcid.n) /* for the log, should it fail */
        snprintf(s->login, sizeof s->login, "%.*s",
                 (int)(ev->u.auth.authcid.n < sizeof s->login ? ev->u.auth.authcid.n
                                                              : sizeof s->login - 1),
                 ev->u.auth.authcid.n ? ev->u.auth.authcid.p : "");
    s->mechanism = sp_mech_name(ev->u.auth.mech);
    switch (ev->u.auth.mech) {
    case SP_MECH_PLAIN:
    case SP_MECH_LOGIN:
    case SP_MECH_OAUTHBEARER:
    case SP_MECH_XOAUTH2:
        rc = ask_password(s, ev);
        break;
    case SP_MECH_EXTERNAL:
        s->external_implicit = ev->u.auth.implicit;
        if (!certificate_holds(s, &v, why, sizeof why)) {
            certificate_over(s, why);
            return;
        }
        rc = ask_external(s, ev, &v);
        break;
    default:
        rc = ask_challenge(s, ev);
    }
    if (rc == 0)
        return;
    s->wait = SRV_WAIT_NOTHING;
    (void)sp_srv_auth_fail(s->engine, SP_AUTH_TEMPORARY);
}

/* Keeps what auth says about the account: a copy, because frames die. */
static int keep_identity(struct srv_session *s, const Sp__Identity *who)
{
    struct sp_buf packed;
    int rc;

    sp_buf_init(&packed, SP_FRAME_META_MAX);
    rc = sp_pb_pack(&who->base, &packed);
    if (rc == 0) {
        sp_arena_reset(&s->who_arena);
        s->who = sp_pb_unpack(&sp__identity__descriptor, sp_buf_view(&packed),
                              &s->who_arena);
        rc = s->who ? 0 : -SP_ENOMEM;
    }
    sp_buf_free(&packed);
    return rc;
}

static void too_many_of_user(struct srv_session *s)
{
    char name[200];

    snprintf(name, sizeof name, "%.150s", s->who->user);
    s->who = NULL;
    s->by_certificate = false;
    srv_session_log_refusal(s, "AUTH", 421, "too many sessions of this account");
    (void)sp_srv_replyf(s->engine, 421, 4, 7, 0, "too many sessions of %s; close some", name);
}

static void login_ok(struct srv_session *s, const Sp__AuthResult *r)
{
    struct sp_str token = {NULL, 0};

    if (!r->identity || keep_identity(s, r->identity) < 0) {
        (void)sp_srv_auth_fail(s->engine, SP_AUTH_TEMPORARY);
        return;
    }
    s->by_certificate = strcmp(s->who->mechanism, "EXTERNAL") == 0;
    s->check_still = false;
    s->user_at.known = false;
    if (!srv_limit_enter(s)) {
        too_many_of_user(s);
        return;
    }
    if (r->has_token)
        token = (struct sp_str){r->token.len ? (char *)r->token.data : "", r->token.len};
    sp_log(SP_LOG_LOGIN_OK, s->id, SP_KVS("mechanism", s->who->mechanism),
           SP_KVS("how", s->who->implicit ? "implicit" : "explicit"),
           SP_KVS("user", s->who->login), SP_KVS("as", s->who->user),
           SP_KVS("fingerprint", s->who->certificate), SP_KVS("from", s->peer));
    if (!s->by_certificate && s->cert_user.n &&
        !sp_str_is(s->cert_user, s->who->login))
        sp_log(SP_LOG_WARNING, s->id,
               SP_KVS("reason", "the password's user is not the certificate's"),
               SP_KVS("user", s->who->login), SP_KV("certificate", s->cert_user));
    srv_trace_note(s, "logged in as", s->who->user);
    (void)sp_srv_auth_ok(s->engine, sp_str(s->who->user), token);
}

static void login_failed(struct srv_session *s, const Sp__AuthResult *r)
{
    static const enum sp_auth_fail as[] = {
        [SP__AUTH_STATUS__AUTH_FAILED] = SP_AUTH_FAILED,
        [SP__AUTH_STATUS__AUTH_TOO_WEAK] = SP_AUTH_TOO_WEAK,
        [SP__AUTH_STATUS__AUTH_TEMPORARY] = SP_AUTH_TEMPORARY,
        [SP__AUTH_STATUS__AUTH_SYNTAX] = SP_AUTH_SYNTAX,
    };
    unsigned st = (unsigned)r->status;

    if (r->certificate_reason[0] && strcmp(s->mechanism, "EXTERNAL") == 0) {
        certificate_over(s, r->certificate_reason);
        return;
    }
    sp_log(SP_LOG_LOGIN_FAILED, s->id, SP_KVS("mechanism", s->mechanism),
           SP_KVS("user", r->identity ? r->identity->login : s->login),
           SP_KVS("reason", r->reason), SP_KVS("from", s->peer));
    srv_trace_note(s, "login failed", r->reason);
    (void)sp_srv_auth_fail(s->engine,
                           st < sizeof as / sizeof as[0] ? as[st] : SP_AUTH_TEMPORARY);
}

static void still_good(struct srv_session *s, const Sp__AuthResult *r)
{
    if (r->status == SP__AUTH_STATUS__AUTH_OK && r->identity) {
        Sp__Identity *was = s->who;
        Sp__Identity now = *r->identity;

        /* Rights are today's; how it was proved stays. */
        now.mechanism = was->mechanism;
        now.implicit = was->implicit;
        now.certificate = was->certificate;
        now.expires_s = was->expires_s;
        if (keep_identity(s, &now) == 0) {
            s->check_still = false;
            srv_message_mail(s, &s->mail); /* by the rights of today */
            return;
        }
    }
    if (r->status == SP__AUTH_STATUS__AUTH_TEMPORARY) {
        (void)sp_srv_replyf(s->engine, 451, 4, 3, 0, "try again later");
        return;
    }
    sp_log(SP_LOG_LOGIN_FAILED, s->id, SP_KVS("reason", r->reason),
           SP_KVS("user", s->who->user));
    (void)sp_srv_replyf(s->engine, 421, 4, 7, 0, "login no longer valid: %s",
                        r->reason[0] ? r->reason : "the account was changed");
}

static void local_identity(struct srv_session *s, const Sp__AuthResult *r);
static void ask_account(struct srv_session *s);

/* The holder's right comes first, then the login's own. */
static void holder_judged(struct srv_session *s, const Sp__AuthResult *r)
{
    if (r->status == SP__AUTH_STATUS__AUTH_OK)
        ask_account(s);
    else
        still_good(s, r);
}

/* The account that a proxy vouches for. */
static void proxied_identity(struct srv_session *s, const Sp__AuthResult *r)
{
    if (r->status == SP__AUTH_STATUS__AUTH_TEMPORARY) {
        (void)sp_srv_replyf(s->engine, 451, 4, 3, 0, "try again later");
        return;
    }
    if (r->status != SP__AUTH_STATUS__AUTH_OK || !r->identity ||
        keep_identity(s, r->identity) < 0) {
        sp_log(SP_LOG_LOGIN_FAILED, s->id, SP_KVS("mechanism", "XCLIENT"),
               SP_KVS("user", s->login), SP_KVS("reason", r->reason), SP_KVS("from", s->peer));
        (void)sp_srv_replyf(s->engine, 550, 5, 7, 1, "this account cannot log in here");
        return;
    }
    sp_log(SP_LOG_LOGIN_OK, s->id, SP_KVS("mechanism", "XCLIENT"), SP_KVS("how", "explicit"),
           SP_KVS("user", s->who->login), SP_KVS("as", s->who->user),
           SP_KVS("fingerprint", ""), SP_KVS("from", s->peer));
    if (!srv_limit_enter(s))
        too_many_of_user(s);
    else
        (void)sp_srv_xclient_ok(s->engine, sp_str(s->who->user));
}

static void got_result(struct srv_session *s, const Sp__AuthResult *r)
{
    enum srv_wait was = s->wait;

    if (s->closing)
        return;
    s->wait = SRV_WAIT_NOTHING;
    if (was == SRV_WAIT_AUTH && r->status == SP__AUTH_STATUS__AUTH_OK)
        login_ok(s, r);
    else if (was == SRV_WAIT_AUTH)
        login_failed(s, r);
    else if (was == SRV_WAIT_STILL)
        still_good(s, r);
    else if (was == SRV_WAIT_HOLDER)
        holder_judged(s, r);
    else if (was == SRV_WAIT_PEER)
        local_identity(s, r);
    else if (was == SRV_WAIT_XCLIENT)
        proxied_identity(s, r);
    else
        s->wait = was;
    srv_session_pump(s);
}

static void got_challenge(struct srv_session *s, const Sp__AuthChallenge *m)
{
    if (s->wait != SRV_WAIT_AUTH || s->closing)
        return;
    s->wait = SRV_WAIT_NOTHING;
    (void)sp_srv_auth_challenge(
        s->engine, (struct sp_str){m->token.len ? (char *)m->token.data : "", m->token.len});
    srv_session_pump(s);
}

static void identity_changed(struct srv *srv, const Sp__IdentityChanged *m)
{
    srv->some_certificate = m->certificates;
    for (size_t i = 0; i < srv->listeners; i++)
        srv_listener_ask(srv->listener[i], m->certificates);
    for (size_t i = 0; i < srv->slots; i++) {
        struct srv_session *s = srv->slot[i];
        bool hit = m->n_user == 0;

        for (size_t j = 0; s && s->who && j < m->n_user && !hit; j++)
            hit = strcmp(m->user[j], s->who->user) == 0 ||
                  strcmp(m->user[j], s->who->login) == 0 ||
                  sp_str_is(s->cert_user, m->user[j]);
        if (s && s->who && hit)
            s->check_still = true;
    }
}

void srv_session_auth_frame(struct srv *srv, const struct sp_frame *f, void *m)
{
    struct srv_session *s;

    switch ((int)f->type) {
    case SP_MSG_ID_CHANGED:
        identity_changed(srv, m);
        return;
    case SP_MSG_AUTH_RESULT:
        s = srv_session_find(srv, ((Sp__AuthResult *)m)->session);
        if (s)
            got_result(s, m);
        return;
    case SP_MSG_CHALLENGE:
        s = srv_session_find(srv, ((Sp__AuthChallenge *)m)->session);
        if (s)
            got_challenge(s, m);
        return;
    case SP_MSG_RCPT_RESULT:
        s = srv_session_find(srv, ((Sp__RecipientResult *)m)->session);
        if (s)
            srv_message_recipient(s, m);
        return;
    case SP_MSG_CERT_RESULT:
        s = srv_session_find(srv, ((Sp__CertificateResult *)m)->session);
        if (s)
            got_certificate(s, m);
        return;
    }
}

void srv_session_auth_gone(struct srv *srv)
{
    Sp__AuthResult failed = SP__AUTH_RESULT__INIT;
    Sp__CertificateResult unknown = SP__CERTIFICATE_RESULT__INIT;

    failed.status = SP__AUTH_STATUS__AUTH_TEMPORARY;
    failed.reason = (char *)(uintptr_t)"the auth role died";
    unknown.reason = (char *)(uintptr_t)"the certificate cannot be looked up just now; "
                                        "try again later";
    for (size_t i = 0; i < srv->slots; i++) {
        struct srv_session *s = srv->slot[i];

        if (!s)
            continue;
        if (s->wait == SRV_WAIT_CERT || s->wait == SRV_WAIT_RECERT)
            got_certificate(s, &unknown);
        else if (s->wait == SRV_WAIT_AUTH || s->wait == SRV_WAIT_STILL ||
                 s->wait == SRV_WAIT_HOLDER || s->wait == SRV_WAIT_PEER ||
                 s->wait == SRV_WAIT_XCLIENT)
            got_result(s, &failed);
        else if (s->wait == SRV_WAIT_RCPT)
            srv_message_recipient(s, NULL);
        if (srv->slot[i] == s)
            s->check_still = s->who != NULL; /* a change may have been missed */
    }
}

/* ---- MAIL: is the login still good? ---- */

static bool by_token(const Sp__Identity *who)
{
    return strcmp(who->mechanism, "OAUTHBEARER") == 0 || strcmp(who->mechanism, "XOAUTH2") == 0;
}

/* PROTOCOL 2 "judged when", for tokens: a login lives no longer than its token. */
static bool token_expired(const Sp__Identity *who)
{
    return who->expires_s && (int64_t)time(NULL) >= who->expires_s;
}

/* Did the login rest on a secret that the accounts keep?  The system, or Kerberos, or who
 * issued the token says of others who they are. */
static bool own_secret(const struct srv_session *s)
{
    static const enum sp_mech others[] = {SP_MECH_GSSAPI, SP_MECH_OAUTHBEARER,
                                          SP_MECH_XOAUTH2};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(s->who->mechanism, sp_mech_name(others[i])) == 0)
            return false;
    return s->listener->policy.kind != SP_SRV_LOCAL;
}

static int ask_still(struct srv_session *s, const char *user, const char *login)
{
    Sp__IdentityCheck m = SP__IDENTITY_CHECK__INIT;

    m.session = s->key;
    m.user = (char *)(uintptr_t)user;
    m.login = (char *)(uintptr_t)login;
    if (s->who) {
        m.fingerprint = s->by_certificate ? s->who->certificate : (char *)(uintptr_t)"";
        m.generation = own_secret(s) ? s->who->generation : 0;
        m.by_token = by_token(s->who);
    }
    return srv_session_ask(s, SP_MSG_ID_CHECK, &m.base);
}

int srv_session_ask_named(struct srv_session *s, const char *name)
{
    return ask_still(s, name, name);
}

static void ask_account(struct srv_session *s)
{
    s->wait = SRV_WAIT_STILL;
    if (ask_still(s, s->who->user, s->who->login) == 0)
        return;
    s->wait = SRV_WAIT_NOTHING;
    (void)sp_srv_replyf(s->engine, 451, 4, 3, 0, "try again later");
}

/* Where a certificate is required a password counts for its account and those it may act
 * as: does it still? */
static void ask_holder(struct srv_session *s)
{
    Sp__IdentityCheck m = SP__IDENTITY_CHECK__INIT;

    m.session = s->key;
    m.user = s->who->login;
    m.login = (char *)(uintptr_t)cert_user(s);
    s->wait = SRV_WAIT_HOLDER;
    if (srv_session_ask(s, SP_MSG_ID_CHECK, &m.base) == 0)
        return;
    s->wait = SRV_WAIT_NOTHING;
    (void)sp_srv_replyf(s->engine, 451, 4, 3, 0, "try again later");
}

/* Something changed: it may have been the pin or the mapping that made this certificate
 * a login, so it is looked up as at the handshake. */
static void ask_again(struct srv_session *s)
{
    struct srv_listener *now = srv_listener_now(s->srv, s->listener->l->head.name);
    struct sp_tls_verdict v;

    s->wait = SRV_WAIT_RECERT;
    if (now && now->tls) { /* certificate_holds() has seen it a moment ago */
        sp_conn_judge(s->conn, now->tls, (int64_t)time(NULL), &v);
        if (ask_certificate(s, &v) == 0)
            return;
    }
    s->wait = SRV_WAIT_NOTHING;
    (void)sp_srv_replyf(s->engine, 451, 4, 3, 0, "try again later");
}

static void recertified(struct srv_session *s, const Sp__CertificateResult *r)
{
    s->wait = SRV_WAIT_NOTHING;
    if (r->usable && sp_str_is(s->cert_user, r->user)) {
        if (s->by_certificate)
            ask_account(s);
        else
            ask_holder(s);
    } else if (!r->fingerprint[0]) { /* auth died, or could not read its database */
        (void)sp_srv_replyf(s->engine, 451, 4, 3, 0, "try again later");
    } else {
        sp_log(SP_LOG_LOGIN_FAILED, s->id, SP_KVS("mechanism", s->who->mechanism),
               SP_KVS("user", s->who->user), SP_KVS("reason", r->reason));
        (void)sp_srv_replyf(s->engine, 421, 4, 7, 0, "login no longer valid: %s",
                            r->reason[0] ? r->reason
                                         : "the certificate is another account's now");
    }
    srv_session_pump(s);
}

/* A login with it, and every login where it is required: what a password may there
 * follows from it. */
static bool rests_on_certificate(const struct srv_session *s)
{
    return s->by_certificate ||
           s->listener->policy.cert_want == SP_CERT_WANT_REQUIRED;
}

static void do_mail(struct srv_session *s, const struct sp_srv_event *ev)
{
    struct sp_tls_verdict v;
    char why[200];

    if (s->who && rests_on_certificate(s) &&
        !certificate_holds(s, &v, why, sizeof why)) {
        srv_session_log_refusal(s, "MAIL", 421, why);
        (void)sp_srv_replyf(s->engine, 421, 4, 7, 0, "login no longer valid: %s", why);
        return;
    }
    if (s->who && token_expired(s->who)) {
        srv_session_log_refusal(s, "MAIL", 421, "the token expired");
        (void)sp_srv_replyf(s->engine, 421, 4, 7, 0,
                            "login no longer valid: the token expired; log in again with a new one");
        return;
    }
    if (!s->check_still) {
        srv_message_mail(s, &ev->u.mail.m);
        return;
    }
    /* Something changed: it may have been the right to this sender. */
    s->mail = ev->u.mail.m;
    if (rests_on_certificate(s))
        ask_again(s);
    else
        ask_account(s);
}

/* ---- connect ---- */

/* Users of this machine share no address: each counts for himself. */
static struct sp_str counted_name(const struct srv_session *s, char *buf, size_t cap)
{
    uint32_t uid;
    int32_t pid;

    if (s->listener->policy.kind != SP_SRV_LOCAL ||
        sp_conn_peer_uid(s->conn, &uid, &pid) < 0)
        return sp_count_address(s->address, buf, cap);
    snprintf(buf, cap, "user %u", (unsigned)uid);
    return sp_str(buf);
}

/* Those that are told 421 do not count: they are gone in a moment. */
static void count_no_more(struct srv_session *s)
{
    if (s->on_listener.on)
        sp_count_leave(s->srv->count, &s->on_listener);
    if (s->from_address.on)
        sp_count_leave(s->srv->count, &s->from_address);
    if (s->of_user.on)
        sp_count_leave(s->srv->count, &s->of_user);
}

bool srv_session_count_address(struct srv_session *s)
{
    const struct sp_conf_listener *l = s->listener->l;
    char name[100], both[400];
    struct sp_str who = counted_name(s, name, sizeof name);

    snprintf(both, sizeof both, "%s %.*s", l->head.name, (int)who.n, who.p);
    if (sp_count_enter(s->srv->count, "address", sp_str(both), &s->from_address) <=
        l->max_sessions_per_address)
        return true;
    count_no_more(s);
    (void)sp_srv_replyf(s->engine, 421, 4, 7, 0,
                        "too many sessions from %.*s; close some", (int)who.n, who.p);
    return false;
}

static void do_connect(struct srv_session *s)
{
    const struct sp_conf_listener *l = s->listener->l;
    struct sp_count *c = s->srv->count;

    if (sp_count_enter(c, "listener", sp_str(l->head.name), &s->on_listener) >
        l->max_sessions) {
        count_no_more(s);
        (void)sp_srv_replyf(s->engine, 421, 4, 3, 2, "too many sessions; try again later");
        return;
    }
    if (srv_session_count_address(s) && !srv_filter_connect(s))
        (void)sp_srv_accept(s->engine);
}

/* An active idle handle keeps the poll from sleeping. */
static void spin(uv_idle_t *h)
{
    (void)h;
}

static void check_fresh(uv_check_t *h);

/* The banner waits for one poll of the loop: whatever the client has sent by then came
 * too early, and the engine must see it before it greets. */
static void wait_for_poll(struct srv_session *s)
{
    struct srv *srv = s->srv;

    s->wait = SRV_WAIT_BANNER;
    s->fresh_turn = srv->turn;
    s->next_fresh = srv->fresh;
    srv->fresh = s;
    uv_idle_start(&srv->spin, spin);
    uv_check_start(&srv->check, check_fresh);
}

static void check_fresh(uv_check_t *h)
{
    struct srv *srv = h->data;
    struct srv_session *list = srv->fresh, *next, *later = NULL;

    srv->turn++;
    srv->fresh = NULL;
    for (; list; list = next) {
        next = list->next_fresh;
        if (list->fresh_turn + 1 >= srv->turn) {
            list->next_fresh = later;
            later = list;
            continue;
        }
        list->wait = SRV_WAIT_NOTHING;
        do_connect(list);
        srv_session_pump(list);
    }
    /* Pumping may have made further fresh ones (TLS that was done at once). */
    while (later) {
        next = later->next_fresh;
        later->next_fresh = srv->fresh;
        srv->fresh = later;
        later = next;
    }
    if (!srv->fresh) {
        uv_idle_stop(&srv->spin);
        uv_check_stop(&srv->check);
    }
}

/* ---- events of the engine ---- */

static void do_note(struct srv_session *s, const struct sp_srv_event *ev)
{
    char reply[300];

    snprintf(reply, sizeof reply, "%d %.*s", ev->u.note.reply.code,
             (int)(ev->u.note.reply.text.n > 250 ? 250 : ev->u.note.reply.text.n),
             ev->u.note.reply.text.n ? ev->u.note.reply.text.p : "");
    switch (ev->u.note.kind) {
    case SP_NOTE_INJECTION:
        sp_log(SP_LOG_INJECTION, s->id, SP_KVS("from", s->peer), SP_KVS("reply", reply));
        return;
    case SP_NOTE_REFUSED:
        if (ev->u.note.reply.code == 500 && ev->u.note.verb.n == 0)
            srv_filter_unknown(s);
        /* fall through */
    case SP_NOTE_NOT_SMTP:
    case SP_NOTE_TOO_MANY:
    case SP_NOTE_MESSAGE_BAD:
        sp_log(SP_LOG_REFUSED, s->id, SP_KV("stage", ev->u.note.verb),
               SP_KVS("reply", reply), SP_KVS("from", s->peer));
        return;
    }
}

static void start_tls(struct srv_session *s);

static void handle(struct srv_session *s, const struct sp_srv_event *ev)
{
    switch (ev->type) {
    case SP_SRV_CONNECT:
        wait_for_poll(s);
        return;
    case SP_SRV_STARTTLS:
        s->wait = SRV_WAIT_STARTTLS;
        return;
    case SP_SRV_HANDSHAKE:
        start_tls(s);
        return;
    case SP_SRV_AUTH:
        do_auth(s, ev);
        return;
    case SP_SRV_AUTH_END:
        tell_auth_abort(s);
        s->wait = SRV_WAIT_NOTHING;
        return;
    case SP_SRV_MAIL:
        do_mail(s, ev);
        return;
    case SP_SRV_RCPT:
        srv_message_rcpt(s, ev->u.rcpt.r, ev->u.rcpt.n);
        return;
    case SP_SRV_DATA:
        srv_message_data(s, ev->u.data.size_hint);
        return;
    case SP_SRV_BODY:
        srv_message_body(s, ev->u.body.octets);
        return;
    case SP_SRV_END:
        srv_message_end(s, ev->u.end.size, ev->u.end.has_8bit_body,
                        ev->u.end.has_8bit_header);
        return;
    case SP_SRV_ABORT:
        srv_message_forget(s);
        return;
    case SP_SRV_NOTE:
        do_note(s, ev);
        return;
    case SP_SRV_CLOSE:
        return; /* the pump sees to it once the output is out */
    case SP_SRV_XCLIENT:
        if (ev->u.xclient.forward)
            srv_proxy_xforward(s, ev->u.xclient.attributes);
        else
            srv_proxy_xclient(s, ev->u.xclient.attributes);
        return;
    case SP_SRV_EHLO:
        if (!srv_filter_helo(s, ev->u.ehlo.name))
            (void)sp_srv_accept(s->engine);
        return;
    case SP_SRV_VRFY:
    case SP_SRV_NOTHING:
        (void)sp_srv_accept(s->engine);
        return;
    }
}

/* True: something was sent, so the engine may have more to do. */
static bool send_out(struct srv_session *s)
{
    size_t n;
    const char *p = sp_srv_out(s->engine, &n);

    if (n == 0)
        return false;
    s->octets_out += n;
    if (s->srv->trace)
        srv_trace_out(s, p, n);
    sp_meter_add(SP_METER_OUT, n);
    (void)sp_conn_write(s->conn, p, n);
    sp_srv_out_ack(s->engine, n);
    return true;
}

static void start_tls(struct srv_session *s)
{
    struct sp_err err;

    (void)send_out(s); /* the 220 leaves in clear */
    if (!s->listener->tls ||
        sp_conn_start_tls(s->conn, s->listener->tls, NULL, &err) < 0) {
        sp_log(SP_LOG_TLS_FAILED, s->id,
               SP_KVS("reason", s->listener->tls ? err.text : "no key"));
        (void)sp_srv_tls_failed(s->engine);
    }
}

static void set_deadline(struct srv_session *s)
{
    const struct sp_conf_listener *l = s->listener->l;
    uint64_t now = uv_now(&s->srv->role->loop), idle = l->idle_timeout_s * 1000, ms = idle;

    /* Octets that come meanwhile give it no more time. */
    if (s->wait == SRV_WAIT_QUEUE) {
        if (!s->overdue)
            sp_conn_deadline(s->conn, s->stored_by_ms > now ? s->stored_by_ms - now : 1);
        return;
    }
    switch (sp_srv_wait(s->engine)) {
    case SP_WAIT_LOGIN:
        ms = s->login_by_ms > now ? s->login_by_ms - now : 1;
        ms = ms < idle ? ms : idle;
        break;
    case SP_WAIT_CALLER:
        ms = SRV_ANSWER_MS;
        break;
    case SP_WAIT_HANDSHAKE:
        ms = HANDSHAKE_MS;
        break;
    default:
        break;
    }
    sp_conn_deadline(s->conn, ms);
}

/* Events and output until there is nothing to do but wait. */
static void run(struct srv_session *s)
{
    struct sp_srv_event ev;

    do {
        while (!s->closing && sp_srv_next(s->engine, &ev)) {
            handle(s, &ev);
            if (ev.type == SP_SRV_CLOSE) {
                (void)send_out(s);
                close_session(s, "done");
            }
        }
    } while (!s->closing && send_out(s));
}

static void answer_starttls(struct srv_session *s)
{
    if (s->wait != SRV_WAIT_STARTTLS || s->closing)
        return;
    s->wait = SRV_WAIT_NOTHING;
    if (s->listener->tls)
        (void)sp_srv_accept(s->engine);
    else
        (void)sp_srv_replyf(s->engine, 454, 4, 7, 0, "TLS is not available just now");
    run(s);
}

void srv_session_pump(struct srv_session *s)
{
    if (s->in_pump || s->closing || !s->conn || !s->engine)
        return;
    s->in_pump = true;
    run(s);
    answer_starttls(s);
    s->in_pump = false;
    if (s->closing)
        return;
    set_deadline(s);
    sp_conn_resume(s->conn);
}

/* ---- events of the connection ---- */

/* The header only; what is behind it comes again. */
static size_t read_proxy(struct srv_session *s, const char *p, size_t n)
{
    size_t used;

    if (!srv_proxy_header(s, p, n, &used)) {
        sp_log(SP_LOG_WARNING, s->id, SP_KVS("reason", "no header of the PROXY protocol"),
               SP_KVS("from", s->peer));
        close_session(s, "no PROXY header");
        return n;
    }
    s->octets_in += used;
    sp_meter_add(SP_METER_IN, used);
    if (s->wait == SRV_WAIT_PROXY)
        return used;
    if (s->listener->policy.implicit_tls)
        sp_conn_tls_follows(s->conn);
    srv_session_pump(s);
    return used;
}

static size_t on_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    struct srv_session *s = arg;
    size_t used = 0, k;

    (void)c;
    if (s->wait == SRV_WAIT_PROXY)
        return read_proxy(s, p, n);
    if (s->in_pump || !s->engine)
        return 0;
    s->in_pump = true;
    do {
        size_t piece = s->srv->trace ? srv_trace_piece(s, p + used, n - used) : n - used;

        k = sp_srv_feed(s->engine, p + used, piece);
        srv_trace_took(s, p + used, k);
        used += k;
        run(s);
    } while (k && used < n && !s->closing);
    answer_starttls(s);
    s->in_pump = false;
    s->octets_in += used;
    sp_meter_add(SP_METER_IN, used);
    if (s->closing)
        return n;
    set_deadline(s);
    return used;
}

static void on_end(struct sp_conn *c, const struct sp_end *end, void *arg)
{
    struct srv_session *s = arg;

    (void)c;
    if (s->engine) {
        sp_srv_gone(s->engine);
        s->in_pump = true;
        run(s);
        s->in_pump = false;
    }
    close_session(s, end->err.text);
}

/* The queue stores it in time or not at all, but its "250" may be under way, also where
 * this process was stopped for a while and hears of time first: so not at once, and not
 * in the turn of the loop in which the time is over. */
static bool answer_may_come(struct srv_session *s)
{
    if (s->wait != SRV_WAIT_QUEUE || s->overdue >= OVERDUE_TIMES)
        return false;
    s->overdue++;
    sp_conn_deadline(s->conn, s->overdue == 1 ? SP_SUBMIT_GRACE_MS : 500);
    return true;
}

static void on_deadline(struct sp_conn *c, void *arg)
{
    struct srv_session *s = arg;
    enum srv_wait was;

    (void)c;
    if (answer_may_come(s))
        return;
    if (!s->engine || s->wait == SRV_WAIT_PROXY) {
        close_session(s, s->engine ? "no PROXY header came" : "no answer from auth");
        return;
    }
    was = s->wait;
    tell_auth_abort(s);
    if (was == SRV_WAIT_FILTER)
        srv_filter_too_late(s);
    if (was == SRV_WAIT_QUEUE || was == SRV_WAIT_SPARE ||
        (was == SRV_WAIT_FILTER && s->filter.stage == SP__FILTER_STAGE__FILTER_MESSAGE))
        srv_message_too_late(s);
    else if (was != SRV_WAIT_BANNER)
        s->wait = SRV_WAIT_NOTHING;
    sp_srv_expired(s->engine);
    /* Auth may still answer: it must not be taken for the next attempt's answer. */
    if (was == SRV_WAIT_AUTH || was == SRV_WAIT_FILTER)
        sp_srv_drain(s->engine);
    srv_session_pump(s);
}

static const struct sp_conn_ops conn_ops = {
    .on_read = on_read,
    .on_tls = on_tls,
    .on_end = on_end,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

/* "192.0.2.1:587" and "[2001:db8::1]:587" into address and port. */
static void split_peer(struct srv_session *s)
{
    const char *colon = strrchr(s->peer, ':');
    size_t n = colon ? (size_t)(colon - s->peer) : strlen(s->peer);
    const char *from = s->peer;
    uint64_t port = 0;

    if (colon)
        (void)sp_str_u64(sp_str(colon + 1), 65535, &port);
    if (n > 1 && from[0] == '[' && from[n - 1] == ']') {
        from++;
        n -= 2;
    }
    if (n >= sizeof s->address)
        n = sizeof s->address - 1;
    memcpy(s->address, from, n);
    s->address[n] = '\0';
    s->port = (uint32_t)port;
}

/* ---- local sockets: the identity is the peer's user id ---- */

static void local_identity(struct srv_session *s, const Sp__AuthResult *r)
{
    if (r->status == SP__AUTH_STATUS__AUTH_OK && r->identity)
        (void)keep_identity(s, r->identity);
    if (s->who && !srv_limit_enter(s)) {
        static const char many[] = "421 4.7.0 too many sessions of this account; close some\r\n";

        (void)sp_conn_write(s->conn, many, sizeof many - 1);
        close_session(s, "too many sessions of the account");
        return;
    }
    if (!s->who) {
        static const char refused[] = "550 5.7.1 this user has no account here; an "
                                      "administrator makes one with `sallyport user add`"
                                      "\r\n";

        (void)sp_conn_write(s->conn, refused, sizeof refused - 1);
        close_session(s, "no account");
        return;
    }
    s->engine = sp_srv_new(&s->listener->policy, sp_str(s->who->user));
    if (!s->engine)
        close_session(s, "out of memory");
}

static void ask_local(struct srv_session *s)
{
    Sp__AuthResult unknown = SP__AUTH_RESULT__INIT;
    Sp__IdentityCheck m = SP__IDENTITY_CHECK__INIT;
    int32_t pid;

    m.session = s->key;
    m.by_uid = true;
    s->wait = SRV_WAIT_PEER;
    if (sp_conn_peer_uid(s->conn, &m.uid, &pid) == 0 &&
        srv_session_ask(s, SP_MSG_ID_CHECK, &m.base) == 0)
        return;
    unknown.status = SP__AUTH_STATUS__AUTH_TEMPORARY;
    got_result(s, &unknown);
}

/* ---- a new client ---- */

static void turn_away(struct sp_conn *conn)
{
    static const char line[] = "421 4.3.2 too many sessions; try again later\r\n";
    static const struct sp_conn_ops none;

    sp_conn_start(conn, &none, NULL);
    (void)sp_conn_write(conn, line, sizeof line - 1);
    sp_conn_close(conn);
}

static struct srv_session *session_new(struct srv *srv, struct srv_listener *l)
{
    struct srv_session *s = sp_alloc(sizeof *s);
    bool local = l->policy.kind == SP_SRV_LOCAL;

    if (!s)
        return NULL;
    s->srv = srv;
    s->engine = local ? NULL : sp_srv_new(&l->policy, (struct sp_str){NULL, 0});
    if ((!local && !s->engine) || !enter(srv, s)) {
        sp_srv_free(s->engine);
        sp_free(s);
        return NULL;
    }
    s->listener = srv_listener_ref(l);
    if (l->l->type == SP_CONF_PROXIED && l->l->proxy_protocol)
        s->proxy = sp_alloc(sizeof *s->proxy);
    sp_arena_init(&s->who_arena, 4 << 20);
    sp_arena_init(&s->cert_arena, 16384);
    return s;
}

void srv_session_open(struct srv_socket *so, struct sp_conn *conn)
{
    struct srv *srv = so->srv;
    struct srv_listener *l = srv_listener_now(srv, so->name);
    struct srv_session *s = l ? session_new(srv, l) : NULL;

    if (!s) {
        turn_away(conn);
        return;
    }
    s->conn = conn;
    s->opened_ms = uv_now(&srv->role->loop);
    s->login_by_ms = s->opened_ms + l->l->login_timeout_s * 1000;
    sp_conn_peer_text(conn, s->peer, sizeof s->peer);
    split_peer(s);
    sp_log(SP_LOG_OPEN, s->id, SP_KVS("listener", so->name), SP_KVS("from", s->peer));
    srv_trace_note(s, "connected to", so->name);
    sp_conn_start(conn, &conn_ops, s);
    if (!srv_proxy_admits(l, s->address)) {
        sp_log(SP_LOG_WARNING, s->id, SP_KVS("reason", "not one of the listener's proxies"),
               SP_KVS("from", s->peer));
        close_session(s, "not a proxy");
    } else if (l->l->type == SP_CONF_PROXIED && l->l->proxy_protocol) {
        if (!s->proxy)
            close_session(s, "out of memory");
        s->wait = SRV_WAIT_PROXY;
        if (!s->closing)
            sp_conn_deadline(conn, PROXY_MS);
    } else if (l->policy.kind == SP_SRV_LOCAL) {
        ask_local(s);
    } else {
        srv_session_pump(s);
    }
}
