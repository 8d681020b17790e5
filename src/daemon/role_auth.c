/*
 * role_auth.c - who is this, and what may they do?
 *
 * It has the users database and no mail, no keys and no network but the introspection
 * endpoints of oauth sections.  Accounts that are kept elsewhere (accounts sections) are
 * asked of the auth-helper role: what a judgement will look up is asked first, the
 * judgement waits for that and nothing else does.  Each server has a
 * channel; its sessions are named by numbers of its own.  Password hashing runs in the
 * pool; judgements, good and bad, wait for the throttle's delay, nothing else waits.
 */
#include "role.h"

#include "acct_dir.h"
#include "acctask.h"
#include "aliases.h"
#include "alloc.h"
#include "certmap.h"
#include "datadir.h"
#include "err.h"
#include "gsslogin.h"
#include "login.h"
#include "policy.h"
#include "secret.h"
#include "throttle.h"
#include "tokens.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CHANGES_MS = 1000,    /* how often the database is asked whether it changed */
    EXCHANGES_MAX = 4096, /* challenge logins under way, of one server */
    WORKING_MAX = 256,    /* passwords in the pool or waiting for it */
    ASKING_MAX = 4096,    /* passwords that an accounts section is asked about */
    WAITS_MAX = 8192,     /* judgements that wait for look-ups */
    ROUNDS_MAX = 24,      /* look-ups that lead to further look-ups */
    SLOW_LIFE_MS = 5 * 60 * 1000, /* see even_out() */
};

struct auth;

/* A challenge login under way. */
struct exchange {
    struct exchange *next;
    uint64_t session;
    struct sp_sasl *sasl;
    struct gsslogin *gss; /* instead of sasl */
    bool cram; /* CRAM-MD5, not SCRAM */
    enum sp_scram_hash hash;
    uint64_t generation; /* of the verifier */
    uint64_t elsewhere; /* Dovecot does the exchange; its number at the helper */
    const struct sp_conf_accounts *section; /* ... and of this section */
    struct sp_conf *conf;                   /* which lives as long as this */
    unsigned source;
    struct sp_buf first; /* the token that named the user */
    bool asking;
    uint64_t at_ms; /* the present token came */
    char why[200]; /* it ended with "temporary" */
    char address[64];
    char who[SP_ADDRESS_MAX + 1]; /* what the throttle counts by */
    uint32_t delay_ms;
    bool refused; /* the throttle said so: it fails at the end, like a wrong password */
    bool within_certificate; /* a listener that requires one: only its account counts */
    char certificate_user[SP_NAME_MAX + 1];
};

struct client { /* one server process */
    struct auth *a;
    struct sp_port *port;
    struct client *next;
    unsigned instance;
    uint64_t serial; /* the next process of that instance has another */
    struct exchange *exchanges;
    size_t n;
};

/* A judgement that waits until what it will look up is known. */
struct wait {
    struct wait *next;
    uint64_t serial, session;
    int type;           /* of the frame; 0: `resume` goes on */
    struct sp_buf meta; /* the frame */
    uint64_t at_ms;     /* when it came */
    struct sp_buf name[2];
    void (*resume)(struct auth *a, struct wait *w);
    void *arg; /* of resume, which is called in any case */
    unsigned rounds;
};

enum even { EVEN_FAILURE, EVEN_CHALLENGE, EVENS }; /* see even_out() */

struct auth {
    struct sp_role *role;
    struct sp_conf *conf;
    struct sp_users *users; /* users.db, or what accounts sections say */
    struct sp_users *db;    /* users.db */
    struct sp_dir *dir;
    struct acctask *helper;
    struct wait *waits;
    size_t n_waits, asking;
    uint64_t exchange; /* numbers them at the helper */
    struct sp_auth_cache *cache;
    struct sp_throttle *throttle;
    struct sp_tokens *tokens;
    struct sp_aliases *aliases;
    struct client *clients;
    uint8_t fake_key[32];
    uint32_t iterations;
    uint64_t seen; /* generation */
    uint64_t slow_ms[EVENS][2],
        slow_from_ms[EVENS]; /* this period's and the last one's */
    uint64_t
        came_ms; /* when what is being judged came; look-ups may have been waited for */
    struct sp_arena arena;
    uv_timer_t changes;
    size_t working;
};

static uint64_t now_ms(struct auth *a)
{
    return uv_now(&a->role->loop);
}

static struct sp_str text_of(ProtobufCBinaryData d)
{
    return (struct sp_str){d.len ? (char *)d.data : "", d.len};
}

/* ---- answers ---- */

static struct client *find_client(struct auth *a, unsigned instance)
{
    for (struct client *c = a->clients; c; c = c->next)
        if (c->instance == instance && c->port)
            return c;
    return NULL;
}

/* An answer must not reach a process that was started again under the same number: its
 * sessions are others. */
static struct client *find_serial(struct auth *a, uint64_t serial)
{
    for (struct client *c = a->clients; c; c = c->next)
        if (c->serial == serial && c->port)
            return c;
    return NULL;
}

/* A judgement that waits for the throttle's delay.  Success waits as long as failure:
 * who goes away early would else learn that the password was wrong. */
struct late {
    uv_timer_t timer;
    struct auth *a;
    uint64_t serial;
    int type;
    const ProtobufCMessageDescriptor *descriptor;
    struct sp_buf packed; /* AuthResult or AuthChallenge */
};

static void say_result(struct client *c, uint64_t session, enum sp_login_status status,
                       const char *reason)
{
    Sp__AuthResult m = SP__AUTH_RESULT__INIT;

    m.session = session;
    m.status = (Sp__AuthStatus)status;
    m.reason = (char *)(uintptr_t)reason;
    (void)sp_port_say(c->port, SP_MSG_AUTH_RESULT, &m.base);
}

static void late_closed(uv_handle_t *h)
{
    struct late *l = h->data;

    sp_buf_wipe(&l->packed);
    sp_free(l);
}

static void on_late(uv_timer_t *t)
{
    struct late *l = t->data;
    struct client *c = find_serial(l->a, l->serial);
    struct sp_arena arena;
    ProtobufCMessage *m;

    sp_arena_init(&arena, 2 * SP_FRAME_META_MAX);
    m = sp_pb_unpack(l->descriptor, sp_buf_view(&l->packed), &arena);
    if (c && m)
        (void)sp_port_say(c->port, l->type, m);
    sp_arena_reset(&arena);
    uv_close((uv_handle_t *)t, late_closed);
}

static void say_late(struct client *c, int type, const ProtobufCMessage *m,
                     uint32_t delay_ms)
{
    struct late *l = delay_ms ? sp_alloc(sizeof *l) : NULL;

    if (l)
        sp_buf_init(&l->packed, SP_FRAME_META_MAX);
    if (!l || sp_pb_pack(m, &l->packed) < 0) {
        sp_free(l);
        (void)sp_port_say(c->port, type, m);
        return;
    }
    l->type = type;
    l->descriptor = m->descriptor;
    l->a = c->a;
    l->serial = c->serial;
    uv_timer_init(&c->a->role->loop, &l->timer);
    l->timer.data = l;
    uv_timer_start(&l->timer, on_late, delay_ms, 0);
}

/* login: who it was said to be, for the log; "" when unknown. */
static void say_no(struct client *c, uint64_t session, enum sp_login_status status,
                   const char *reason, const char *login, uint32_t delay_ms)
{
    Sp__AuthResult m = SP__AUTH_RESULT__INIT;
    Sp__Identity id = SP__IDENTITY__INIT;

    m.session = session;
    m.status = (Sp__AuthStatus)status;
    m.reason = (char *)(uintptr_t)reason;
    id.login = (char *)(uintptr_t)login;
    m.identity = *login ? &id : NULL;
    say_late(c, SP_MSG_AUTH_RESULT, &m.base, delay_ms);
}

/* What the throttle counts by: the account, however it was spelt or whichever of its
 * addresses was given; without an account what was said. */
static struct sp_str account_key(struct auth *a, struct sp_str said, char *out, size_t cap)
{
    struct sp_user *u;
    int n;

    if (said.n && sp_users_find(a->users, said, &u, NULL) == 0) {
        n = snprintf(out, cap, "%s", u->name);
        sp_user_free(u);
    } else {
        n = snprintf(out, cap, "%.*s", (int)(said.n < cap ? said.n : cap - 1),
                     said.n ? said.p : "");
    }
    return (struct sp_str){out, n > 0 ? (size_t)n : 0};
}

/* Addresses the identity may send as: its own and granted ones, and those of accounts
 * it may act for. */
struct rights {
    struct sp_user **other; /* whose addresses are among them */
    size_t n_other;
    char **address;
    size_t n;
};

enum { RIGHTS_MAX = 5000 };

static void add_rights(struct rights *r, const struct sp_user *u)
{
    for (size_t i = 0; i < u->addresses && r->n < RIGHTS_MAX; i++)
        r->address[r->n++] = (char *)(uintptr_t)u->address[i];
}

static void rights_free(struct rights *r)
{
    while (r->n_other)
        sp_user_free(r->other[--r->n_other]);
    sp_free(r->other);
    sp_free(r->address);
}

static int rights_of(struct auth *a, const struct sp_user *u, struct rights *r)
{
    size_t n = u->addresses;

    memset(r, 0, sizeof *r);
    r->other = sp_alloc((u->act_as_count + 1) * sizeof *r->other);
    for (size_t i = 0; r->other && i < u->act_as_count; i++) {
        struct sp_user *o;

        if (sp_users_get(a->users, sp_str(u->act_as[i]), &o, NULL) < 0)
            continue;
        r->other[r->n_other++] = o;
        n += o->enabled ? o->addresses : 0;
    }
    r->address = sp_alloc(((n < RIGHTS_MAX ? n : RIGHTS_MAX) + 1) * sizeof *r->address);
    if (!r->other || !r->address)
        return -SP_ENOMEM;
    add_rights(r, u);
    for (size_t i = 0; i < r->n_other; i++)
        if (r->other[i]->enabled)
            add_rights(r, r->other[i]);
    return 0;
}

struct proof {
    const char *login, *mechanism, *certificate;
    bool implicit;
    struct sp_str token;
    bool has_token;
    int64_t expires_s; /* of an access token */
};

static void say_ok(struct client *c, uint64_t session, const struct sp_login_result *r,
                   const struct proof *p, uint32_t delay_ms)
{
    const struct sp_user *u = r->user;
    Sp__AuthResult m = SP__AUTH_RESULT__INIT;
    enum { RATES = SP_RATE_WHATS * SP_RATE_PERIODS };
    uint32_t rate[RATES];
    Sp__Identity id = SP__IDENTITY__INIT;
    struct rights rights;

    if (rights_of(c->a, u, &rights) < 0) {
        rights_free(&rights);
        say_result(c, session, SP_LOGIN_TEMPORARY, "out of memory");
        return;
    }
    id.user = (char *)(uintptr_t)u->name;
    id.login = (char *)(uintptr_t)p->login;
    id.mechanism = (char *)(uintptr_t)p->mechanism;
    id.certificate = (char *)(uintptr_t)p->certificate;
    id.implicit = p->implicit;
    id.n_address = rights.n;
    id.address = rights.address;
    id.n_may_act_as = u->act_as_count;
    id.may_act_as = (char **)(uintptr_t)u->act_as;
    id.generation = r->generation;
    id.message_size_max = u->limits.message_size_max;
    id.recipients_max = u->limits.recipients_max;
    id.sessions_max = u->limits.sessions_max;
    for (size_t i = 0; i < RATES; i++)
        rate[i] = u->limits.rates.n[i / SP_RATE_PERIODS][i % SP_RATE_PERIODS];
    id.rate = rate;
    id.n_rate = sp_rates_any(&u->limits.rates) ? RATES : 0;
    id.first_address = (char *)(uintptr_t)u->first_address;
    id.expires_s = p->expires_s;
    m.session = session;
    m.status = SP__AUTH_STATUS__AUTH_OK;
    m.identity = &id;
    m.token = (ProtobufCBinaryData){p->token.n, (uint8_t *)(uintptr_t)p->token.p};
    m.has_token = p->has_token;
    say_late(c, SP_MSG_AUTH_RESULT, &m.base, delay_ms);
    rights_free(&rights);
}

/* Counts the outcome and answers; takes r->user.  who ends in a NUL. */
static void finish(struct client *c, uint64_t session, struct sp_login_result *r,
                   struct sp_str who, const char *address, uint32_t delay_ms,
                   const struct proof *p)
{
    struct auth *a = c->a;
    struct proof full = *p;

    if (r->status == SP_LOGIN_OK && r->user) {
        sp_throttle_ok(a->throttle, who, sp_str(address), now_ms(a));
        full.login = r->login;
        say_ok(c, session, r, &full, delay_ms);
    } else {
        if (r->status == SP_LOGIN_FAILED)
            sp_throttle_failed(a->throttle, who, sp_str(address), now_ms(a));
        say_no(c, session, r->status, r->reason, who.p,
               r->status == SP_LOGIN_FAILED ? delay_ms : 0);
    }
    sp_user_free(r->user);
    r->user = NULL;
}

/* ---- look-ups of accounts that are kept elsewhere ---- */

static bool is_token(const char *mechanism)
{
    return strcmp(mechanism, "OAUTHBEARER") == 0 || strcmp(mechanism, "XOAUTH2") == 0;
}

/* What a judgement of this name looks up: the account and those it may act for. */
static void try_name(struct auth *a, struct sp_str name)
{
    struct sp_user *u, *o;

    if (!name.n || sp_users_find(a->users, name, &u, NULL) < 0)
        return;
    for (size_t i = 0; i < u->act_as_count; i++)
        if (sp_users_get(a->users, sp_str(u->act_as[i]), &o, NULL) == 0)
            sp_user_free(o);
    sp_user_free(u);
}

static int look_up(struct auth *a, ProtobufCBinaryData leaf, bool chain_ok,
                   const char *chain_reason, const char *listener_name,
                   struct sp_cert_result *r);

static void try_certificate(struct auth *a, ProtobufCBinaryData leaf, bool chain_ok,
                            const char *listener)
{
    struct sp_cert_result r;

    (void)look_up(a, leaf, chain_ok, "", listener, &r);
    try_name(a, sp_str(r.user));
}

static void try_frame(struct auth *a, int type, const void *message)
{
    switch (type) {
    case SP_MSG_PASSWORD: {
        const Sp__AuthPassword *m = message;

        try_name(a, text_of(m->authentication_identity));
        try_name(a, text_of(m->authorization_identity));
        try_name(a, sp_str(m->certificate_user));
        break;
    }
    case SP_MSG_AUTH_START:
        try_name(a, sp_str(((const Sp__AuthStart *)message)->certificate_user));
        break;
    case SP_MSG_EXTERNAL: {
        const Sp__AuthExternal *m = message;

        try_certificate(a, m->leaf_der, m->chain_ok, m->listener);
        try_name(a, sp_str(m->user));
        try_name(a, text_of(m->authorization_identity));
        break;
    }
    case SP_MSG_CERT_LOOK: {
        const Sp__CertificateLook *m = message;

        try_certificate(a, m->leaf_der, m->chain_ok, m->listener);
        break;
    }
    case SP_MSG_ID_CHECK: {
        const Sp__IdentityCheck *m = message;

        try_name(a, sp_str(m->user));
        try_name(a, sp_str(m->login));
        break;
    }
    case SP_MSG_RCPT_LOOK: {
        struct sp_alias_result r;
        struct sp_arena arena;

        sp_arena_init(&arena, 16 << 20);
        sp_aliases_expand(a->aliases, a->users,
                          text_of(((const Sp__RecipientLook *)message)->address), &arena, &r);
        sp_arena_reset(&arena);
        break;
    }
    }
}

struct looking {
    struct auth *a;
    struct sp_conf *conf;
    struct sp_dir_question q;
};

static void waits_go(struct auth *a);

static void looked(void *arg, enum sp_acct_status st, const struct sp_acct *answer,
                   const char *reason)
{
    struct looking *l = arg;
    struct auth *a = l->a;
    struct sp_err err;

    /* After a reload the number may be another section's. */
    if (l->conf == a->conf) {
        sp_dir_now(a->dir, now_ms(a));
        (void)sp_dir_answer(a->dir, &l->q, st, answer, false, reason, &err);
    }
    sp_conf_unref(l->conf);
    sp_free(l);
    waits_go(a);
}

/* Asks what the last look-ups missed.  How many questions there are. */
static size_t ask_missing(struct auth *a)
{
    size_t n = sp_dir_missing(a->dir);

    for (size_t i = 0; i < n; i++) {
        const struct sp_dir_question *d = sp_dir_question(a->dir, i);
        struct looking *l;
        struct acctask_q q = {.ask = {.what = d->what, .name = sp_str(d->name)}};
        struct sp_err err;

        if (!sp_dir_asking(a->dir, d))
            continue;
        l = sp_alloc(sizeof *l);
        if (l) {
            l->a = a;
            l->q = *d;
            l->conf = sp_conf_ref(a->conf);
            q.section = &a->conf->accounts[d->source];
        }
        if (!l || acctask_ask(a->helper, &q, looked, l) < 0) {
            if (l)
                sp_conf_unref(l->conf);
            sp_free(l);
            (void)sp_dir_answer(a->dir, d, SP_ACCT_AWAY, NULL, false, "auth is busy", &err);
        }
    }
    return n;
}

static void looks_begin(struct auth *a)
{
    sp_dir_now(a->dir, now_ms(a));
    sp_dir_begin(a->dir);
    sp_dir_by_password(a->dir, true);
}

/* True: not everything is known, and it is being asked. */
static bool names_missing(struct auth *a, struct sp_str one, struct sp_str other)
{
    if (!sp_dir_any(a->dir))
        return false;
    looks_begin(a);
    try_name(a, one);
    try_name(a, other);
    return ask_missing(a) > 0;
}

/* A client of a local socket is the account that has the name of its user id: from here on
 * it is a name like any other, which a directory may have to be asked for.  A user id
 * without a name is nobody. */
static int name_uid(Sp__IdentityCheck *m, struct sp_arena *arena)
{
    struct passwd pw, *hit = NULL;
    char room[4096], *name;

    if (getpwuid_r((uid_t)m->uid, &pw, room, sizeof room, &hit) != 0 || !hit)
        return 0;
    name = sp_arena_strndup(arena, pw.pw_name, strlen(pw.pw_name));
    if (!name)
        return -SP_ENOMEM;
    m->user = m->login = name;
    return 0;
}

/* What a server says; NULL: malformed, or no memory. */
static void *frame_read(const struct sp_frame *f, struct sp_arena *arena)
{
    void *m = sp_frame_unpack(f, arena);
    Sp__IdentityCheck *check = f->type == SP_MSG_ID_CHECK ? m : NULL;

    return check && check->by_uid && name_uid(check, arena) < 0 ? NULL : m;
}

static bool frame_missing(struct auth *a, int type, const void *message)
{
    if (!sp_dir_any(a->dir))
        return false;
    looks_begin(a);
    try_frame(a, type, message);
    return ask_missing(a) > 0;
}

static void wait_free(struct wait *w)
{
    sp_buf_wipe(&w->meta);
    sp_buf_wipe(&w->name[0]);
    sp_buf_wipe(&w->name[1]);
    sp_free(w);
}

static struct wait *wait_new(struct auth *a, uint64_t serial, uint64_t session)
{
    struct wait *w = a->n_waits < WAITS_MAX ? sp_alloc(sizeof *w) : NULL;

    if (!w)
        return NULL;
    w->serial = serial;
    w->session = session;
    w->at_ms = now_ms(a);
    sp_buf_init(&w->meta, SP_FRAME_META_MAX);
    sp_buf_init(&w->name[0], SP_SASL_NAME_MAX);
    sp_buf_init(&w->name[1], SP_SASL_NAME_MAX);
    w->next = a->waits;
    a->waits = w;
    a->n_waits++;
    return w;
}

static void wait_take(struct auth *a, struct wait *w)
{
    for (struct wait **at = &a->waits; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            a->n_waits--;
            return;
        }
}

/* `resume` is called when these names are known, now if they are.  -SP_ENOMEM: never. */
static int when_known(struct auth *a, uint64_t serial, uint64_t session, struct sp_str one,
                      struct sp_str other, void (*resume)(struct auth *a, struct wait *w),
                      void *arg)
{
    struct wait now = {.serial = serial, .session = session, .arg = arg}, *w;

    if (!names_missing(a, one, other)) {
        resume(a, &now);
        return 0;
    }
    w = wait_new(a, serial, session);
    if (!w)
        return -SP_ENOMEM;
    w->resume = resume;
    w->arg = arg;
    if (sp_buf_str(&w->name[0], one) == 0 && sp_buf_str(&w->name[1], other) == 0)
        return 0;
    wait_take(a, w);
    wait_free(w);
    return -SP_ENOMEM;
}

/* A session that is gone, or began anew: what it asked for before is void. */
static void waits_drop(struct client *c, uint64_t session)
{
    for (struct wait **at = &c->a->waits, *w; (w = *at);) {
        if (w->type == 0 || w->serial != c->serial || w->session != session) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        c->a->n_waits--;
        wait_free(w);
    }
}

static void dispatch(struct client *c, int type, void *m);

/* True: it went on, or is gone. */
static bool wait_goes(struct auth *a, struct wait *w)
{
    struct client *c = find_serial(a, w->serial);
    struct sp_arena arena;
    void *m = NULL;
    bool known;

    sp_arena_init(&arena, 2 * SP_FRAME_META_MAX);
    if (w->type) {
        struct sp_frame f = {.type = (enum sp_msg)w->type, .meta = sp_buf_view(&w->meta)};

        m = frame_read(&f, &arena);
    }
    known = (w->type && (!c || !m)) || ++w->rounds > ROUNDS_MAX ||
            !(w->type ? frame_missing(a, w->type, m)
                      : names_missing(a, sp_buf_view(&w->name[0]), sp_buf_view(&w->name[1])));
    if (known) {
        wait_take(a, w);
        if (!w->type)
            w->resume(a, w);
        else if (c && m) {
            a->came_ms = w->at_ms;
            dispatch(c, w->type, m);
        }
        wait_free(w);
    }
    sp_arena_reset(&arena); /* wipes */
    return known;
}

static void waits_go(struct auth *a)
{
    struct wait *w = a->waits;

    /* What goes on may add waits in front, and take others out: begin again then. */
    while (w) {
        struct wait *next = w->next;

        w = wait_goes(a, w) ? a->waits : next;
    }
}

/* Which of several reasons a login failed for must not show in the time: a directory that
 * binds, a Dovecot that waits two seconds, a local hash, a name that is nowhere, one that was
 * looked up not long ago because its owner logged in.  With accounts sections all failures
 * are answered at one distance from the question: the slowest of the last minutes, rounded
 * up to a multiple.  Likewise challenges, for which those wait, too, who will succeed. */
static const struct {
    uint32_t multiple_ms, most_ms;
} even_times[EVENS] = {[EVEN_FAILURE] = {400, 4000}, [EVEN_CHALLENGE] = {50, 400}};

static uint64_t slowest(struct auth *a, enum even what, uint64_t past_ms)
{
    uint64_t *s = a->slow_ms[what], now = now_ms(a);

    if (now - a->slow_from_ms[what] >= SLOW_LIFE_MS) {
        s[1] = now - a->slow_from_ms[what] < 2 * SLOW_LIFE_MS ? s[0] : 0;
        s[0] = 0;
        a->slow_from_ms[what] = now;
    }
    if (past_ms > s[0])
        s[0] =
            past_ms < even_times[what].most_ms ? past_ms : even_times[what].most_ms - 1;
    return s[0] > s[1] ? s[0] : s[1];
}

/* How long to wait from now; delay_ms is the throttle's. */
static uint32_t even_out(struct auth *a, enum even what, uint64_t at_ms,
                         uint32_t delay_ms)
{
    uint64_t past = now_ms(a) - at_ms, slow, multiple = even_times[what].multiple_ms;

    if (!sp_dir_any(a->dir))
        return delay_ms;
    slow = slowest(a, what, past);
    if (slow < past)
        slow = past;
    return delay_ms + (uint32_t)((slow / multiple + 1) * multiple - past);
}

/* ---- passwords ---- */

struct work {
    uv_work_t req;
    struct auth *a;
    uint64_t serial; /* of the client */
    uint64_t session;
    struct sp_pwlogin *l;
    char mechanism[24], address[64];
    char *who;
    bool within_certificate;
    char certificate_user[SP_NAME_MAX + 1];
    uint32_t delay_ms;
    uint64_t at_ms;
    unsigned source; /* of the section that is asked */
    struct sp_conf *conf;
};

static void work_run(uv_work_t *w)
{
    sp_pwlogin_work(((struct work *)w->data)->l);
}

static void work_end(uv_work_t *w, int status)
{
    struct work *k = w->data;
    struct auth *a = k->a;
    struct client *c = find_serial(a, k->serial);
    struct sp_login_result r = {.status = SP_LOGIN_TEMPORARY};
    struct proof p = {.login = "", .mechanism = k->mechanism, .certificate = ""};
    struct sp_err err;

    (void)status;
    if (k->req.data && a->working)
        a->working--;
    sp_dir_now(a->dir, now_ms(a));
    sp_dir_by_password(a->dir, true);
    if (!c)
        sp_pwlogin_free(k->l);
    else if (sp_pwlogin_end(k->l, a->users, a->cache, now_ms(a), &r, &err) < 0 ||
             (k->within_certificate &&
              sp_login_within_certificate(a->users, k->certificate_user, &r, &err) < 0))
        say_result(c, k->session, SP_LOGIN_TEMPORARY, err.text);
    else
        finish(c, k->session, &r, sp_str(k->who), k->address,
               r.status != SP_LOGIN_FAILED
                   ? k->delay_ms
                   : even_out(a, EVEN_FAILURE, k->at_ms, k->delay_ms),
               &p);
    sp_free(k->who);
    sp_free(k);
}

static void work_now(struct work *k)
{
    uv_work_t done = {.data = k};

    work_end(&done, 0);
}

/* ---- passwords that an accounts section judges ---- */

static void password_known(struct auth *a, struct wait *w)
{
    (void)a;
    work_now(w->arg);
}

static void password_judged(void *arg, enum sp_acct_status st, const struct sp_acct *answer,
                            const char *reason)
{
    struct work *k = arg;
    struct auth *a = k->a;
    struct sp_dir_question q = {.what = SP_ACCT_FIND, .source = k->source};
    struct sp_str name = sp_pwlogin_name(k->l);
    struct sp_err err;

    a->asking--;
    sp_dir_now(a->dir, now_ms(a));
    sp_dir_by_password(a->dir, true);
    if (st == SP_ACCT_OK && k->conf != a->conf) {
        st = SP_ACCT_AWAY;
        reason = "the configuration changed during the login";
    }
    if (st == SP_ACCT_OK && sp_acct_name(name, q.name, sizeof q.name) > 0)
        (void)sp_dir_answer(a->dir, &q, st, answer, true, "", &err);
    sp_pwlogin_answered(k->l, a->users, st, st == SP_ACCT_OK ? "" : reason);
    sp_conf_unref(k->conf);
    /* The answer may name accounts to act for that nobody asked about yet. */
    if (st != SP_ACCT_OK || when_known(a, k->serial, k->session, name, (struct sp_str){"", 0},
                                       password_known, k) < 0)
        work_now(k);
}

static void password_ask(struct work *k, const struct sp_user *u)
{
    struct auth *a = k->a;
    struct acctask_q q = {.section = &a->conf->accounts[u->source],
                          .ask = {.what = SP_ACCT_CHECK,
                                  .name = sp_pwlogin_name(k->l),
                                  .secret = sp_pwlogin_secret(k->l),
                                  .client_address = sp_str(k->address)}};

    k->source = u->source;
    k->conf = sp_conf_ref(a->conf);
    if (a->asking < ASKING_MAX && acctask_ask(a->helper, &q, password_judged, k) == 0) {
        a->asking++;
        return;
    }
    sp_conf_unref(k->conf);
    sp_pwlogin_answered(k->l, a->users, SP_ACCT_AWAY, "auth is busy");
    work_now(k);
}

static void password(struct client *c, const Sp__AuthPassword *m)
{
    struct auth *a = c->a;
    struct sp_login_try t = {.mechanism = m->mechanism,
                             .authentication_identity = text_of(m->authentication_identity),
                             .authorization_identity = text_of(m->authorization_identity),
                             .secret = text_of(m->secret)};
    char key[SP_ADDRESS_MAX + 1];
    struct sp_str who = account_key(a, t.authentication_identity, key, sizeof key);
    struct sp_throttle_verdict v =
        sp_throttle_ask(a->throttle, who, sp_str(m->client_address), now_ms(a));
    struct work *k;
    struct sp_err err;

    if (v.refuse || a->working >= WORKING_MAX) {
        say_result(c, m->session, SP_LOGIN_TEMPORARY,
                   v.refuse ? "too many failures from this address" : "auth is busy");
        return;
    }
    k = sp_alloc(sizeof *k);
    if (k)
        k->who = sp_strndup(who.p, who.n);
    if (!k || !k->who || sp_pwlogin_new(a->users, a->cache, &t, now_ms(a), &k->l, &err) < 0) {
        bool known = k && k->who;

        if (k)
            sp_free(k->who);
        sp_free(k);
        say_result(c, m->session, SP_LOGIN_TEMPORARY, known ? err.text : "out of memory");
        return;
    }
    k->a = a;
    k->at_ms = a->came_ms;
    k->serial = c->serial;
    k->session = m->session;
    k->delay_ms = v.delay_ms;
    k->within_certificate = m->certificate_required;
    snprintf(k->certificate_user, sizeof k->certificate_user, "%s", m->certificate_user);
    snprintf(k->mechanism, sizeof k->mechanism, "%s", m->mechanism);
    snprintf(k->address, sizeof k->address, "%s", m->client_address);
    k->req.data = NULL;
    if (!sp_pwlogin_needs_work(k->l)) {
        work_now(k);
        return;
    }
    if (sp_pwlogin_asks(k->l)) {
        password_ask(k, sp_pwlogin_asks(k->l));
        return;
    }
    k->req.data = k;
    a->working++;
    uv_queue_work(&a->role->loop, &k->req, work_run, work_end);
}

/* ---- access tokens ---- */

struct token_work {
    struct auth *a;
    uint64_t serial; /* of the client */
    uint64_t session;
    char mechanism[24], address[64];
    char who[SP_ADDRESS_MAX + 1]; /* what the throttle counts by */
    struct sp_buf said;           /* the identity that was asked for */
    uint32_t delay_ms;
    bool within_certificate;
    char certificate_user[SP_NAME_MAX + 1];
    struct sp_buf user; /* the token's */
    struct sp_login_result r;
    int64_t expires_s;
    bool good;
};

/* A token says who it is for; what the client said beside it is the authorization
 * identity: empty, the same account, or one that this account may act as. */
static void token_known(struct auth *a, struct wait *w)
{
    struct token_work *k = w->arg;
    struct client *to = find_serial(a, k->serial);
    struct sp_login_try t = {.mechanism = k->mechanism,
                             .authentication_identity = sp_buf_view(&k->user),
                             .authorization_identity = sp_buf_view(&k->said)};
    struct proof p = {.login = "", .mechanism = k->mechanism, .certificate = "",
                      .expires_s = k->expires_s};
    struct sp_err err;

    sp_dir_by_password(a->dir, false);
    if (to && k->good &&
        (sp_login_judge(a->users, &t, &k->r, &err) < 0 ||
         (k->within_certificate &&
          sp_login_within_certificate(a->users, k->certificate_user, &k->r, &err) < 0)))
        k->r.status = SP_LOGIN_TEMPORARY;
    if (to && k->good && !k->who[0])
        (void)account_key(a, t.authentication_identity, k->who, sizeof k->who);
    if (to)
        finish(to, k->session, &k->r, sp_str(k->who), k->address, k->delay_ms, &p);
    sp_buf_free(&k->said);
    sp_buf_free(&k->user);
    sp_free(k);
}

static void token_judged(void *arg, enum sp_token_verdict v, const struct sp_token_claims *c,
                         uint64_t leeway_s)
{
    static const enum sp_login_status as[] = {[SP_TOKEN_GOOD] = SP_LOGIN_OK,
                                              [SP_TOKEN_BAD] = SP_LOGIN_FAILED,
                                              [SP_TOKEN_TEMPORARY] = SP_LOGIN_TEMPORARY};
    struct token_work *k = arg;
    struct wait now = {.arg = k};

    k->good = v == SP_TOKEN_GOOD;
    k->r.status = as[v];
    k->expires_s = c->expires_s ? c->expires_s + (int64_t)leeway_s : 0;
    snprintf(k->r.reason, sizeof k->r.reason, "%s", c->reason);
    sp_buf_init(&k->user, SP_SASL_NAME_MAX);
    if (!k->good) {
        token_known(k->a, &now);
    } else if (sp_buf_puts(&k->user, c->user) < 0 ||
               when_known(k->a, k->serial, k->session, sp_buf_view(&k->user),
                          sp_buf_view(&k->said), token_known, k) < 0) {
        k->good = false;
        k->r.status = SP_LOGIN_TEMPORARY;
        token_known(k->a, &now);
    }
}

static void token(struct client *c, const Sp__AuthPassword *m)
{
    struct auth *a = c->a;
    struct sp_str said = text_of(m->authentication_identity);
    struct token_work *k = sp_alloc(sizeof *k);
    struct sp_throttle_verdict v;

    if (said.n == 0) /* OAUTHBEARER has it in the gs2 header, XOAUTH2 in `user` */
        said = text_of(m->authorization_identity);
    if (k)
        sp_buf_init(&k->said, SP_SASL_NAME_MAX);
    if (!k || sp_buf_str(&k->said, said) < 0) {
        sp_free(k);
        say_result(c, m->session, SP_LOGIN_TEMPORARY, "identity too long, or no memory");
        return;
    }
    (void)account_key(a, said, k->who, sizeof k->who);
    v = sp_throttle_ask(a->throttle, sp_str(k->who), sp_str(m->client_address), now_ms(a));
    k->a = a;
    k->serial = c->serial;
    k->session = m->session;
    k->delay_ms = v.delay_ms;
    k->within_certificate = m->certificate_required;
    snprintf(k->certificate_user, sizeof k->certificate_user, "%s", m->certificate_user);
    snprintf(k->mechanism, sizeof k->mechanism, "%s", m->mechanism);
    snprintf(k->address, sizeof k->address, "%s", m->client_address);
    if (v.refuse) {
        sp_buf_free(&k->said);
        sp_free(k);
        say_result(c, m->session, SP_LOGIN_TEMPORARY, "too many failures from this address");
    } else {
        sp_tokens_ask(a->tokens, text_of(m->secret), token_judged, k);
    }
}

/* ---- challenge mechanisms ---- */

static struct exchange **exchange_at(struct client *c, uint64_t session)
{
    struct exchange **at = &c->exchanges;

    while (*at && (*at)->session != session)
        at = &(*at)->next;
    return at;
}

static void exchange_end(struct client *c, uint64_t session)
{
    struct exchange **at = exchange_at(c, session), *e = *at;

    if (!e)
        return;
    *at = e->next;
    c->n--;
    if (e->elsewhere)
        acctask_end(c->a->helper, e->elsewhere);
    sp_conf_unref(e->conf);
    sp_buf_wipe(&e->first);
    sp_sasl_free(e->sasl);
    gsslogin_free(e->gss);
    sp_free(e);
}

static enum sp_sasl_status give_verifier(struct client *c, struct exchange *e,
                                         struct sp_str *out)
{
    struct auth *a = c->a;
    struct sp_scram_verifier v;
    struct sp_err err;
    struct sp_str user = sp_sasl_user(e->sasl);
    struct sp_throttle_verdict t;
    enum sp_sasl_status st;

    (void)account_key(a, user, e->who, sizeof e->who);
    t = sp_throttle_ask(a->throttle, sp_str(e->who), sp_str(e->address), now_ms(a));
    e->refused = t.refuse;
    e->delay_ms = t.delay_ms;
    if (e->cram) {
        uint8_t context[SP_CRAM_CONTEXT];
        bool has;

        if (sp_login_cram(a->users, user, context, &has, &e->generation, &err) < 0) {
            snprintf(e->why, sizeof e->why, "%.190s", err.text);
            return SP_SASL_FAILED;
        }
        st = sp_sasl_give_cram(e->sasl, has ? context : NULL, out);
        sp_wipe(context, sizeof context);
        return st;
    }
    if (sp_login_verifier(a->users, e->hash, user, &v, &e->generation, &err) < 0) {
        snprintf(e->why, sizeof e->why, "%.190s", err.text);
        return SP_SASL_FAILED;
    }
    st = sp_sasl_give_scram(e->sasl, &v, out);
    sp_wipe(&v, sizeof v);
    return st;
}

static void exchange_failed(struct client *c, struct exchange *e)
{
    const struct sp_err *err = sp_sasl_error(e->sasl);
    enum sp_login_status st = !err                        ? SP_LOGIN_TEMPORARY
                              : err->code == SP_EINPUT    ? SP_LOGIN_SYNTAX
                                                          : SP_LOGIN_FAILED;

    if (st == SP_LOGIN_FAILED)
        sp_throttle_failed(c->a->throttle, sp_str(e->who), sp_str(e->address),
                           now_ms(c->a));
    say_no(c, e->session, st,
           err         ? err->text
           : e->why[0] ? e->why
                       : "the users database cannot be read",
           e->who,
           st == SP_LOGIN_FAILED ? even_out(c->a, EVEN_FAILURE, e->at_ms, e->delay_ms)
                                 : 0);
}

static uint32_t exchange_delay(struct client *c, const struct exchange *e,
                               const struct sp_login_result *r)
{
    return r->status != SP_LOGIN_FAILED
               ? e->delay_ms
               : even_out(c->a, EVEN_FAILURE, e->at_ms, e->delay_ms);
}

static void exchange_done(struct client *c, struct exchange *e, struct sp_str out)
{
    struct sp_str user = sp_sasl_user(e->sasl);
    struct sp_login_try t = {
        .mechanism = sp_sasl_mechanism(e->sasl),
        .authentication_identity = user,
        .authorization_identity = sp_sasl_authorization_identity(e->sasl),
        .generation = e->generation,
    };
    struct proof p = {.login = "", .mechanism = t.mechanism, .certificate = "",
                      .token = out, .has_token = !e->cram};
    struct sp_login_result r = {.status = SP_LOGIN_TEMPORARY};
    struct sp_err err;

    if (e->refused || sp_login_judge(c->a->users, &t, &r, &err) < 0 ||
        (e->within_certificate &&
         sp_login_within_certificate(c->a->users, e->certificate_user, &r, &err) < 0))
        r.status = SP_LOGIN_TEMPORARY;
    finish(c, e->session, &r, sp_str(e->who), e->address, exchange_delay(c, e, &r), &p);
}

static void challenge(struct client *c, const struct exchange *e, struct sp_str token)
{
    Sp__AuthChallenge m = SP__AUTH_CHALLENGE__INIT;

    m.session = e->session;
    m.token = (ProtobufCBinaryData){token.n, (uint8_t *)(uintptr_t)token.p};
    say_late(c, SP_MSG_CHALLENGE, &m.base, even_out(c->a, EVEN_CHALLENGE, e->at_ms, 0));
}

/* ---- ... that Dovecot does itself (pass-through) ---- */

struct elsewhere {
    struct auth *a;
    uint64_t serial, session, exchange;
};

static void elsewhere_done(struct client *c, struct exchange *e, const struct sp_acct *answer)
{
    struct auth *a = c->a;
    struct sp_dir_question q = {.what = SP_ACCT_FIND, .source = e->source};
    struct sp_str user = sp_sasl_user(e->sasl);
    struct sp_login_try t = {
        .mechanism = sp_sasl_mechanism(e->sasl),
        .authentication_identity = user,
        .authorization_identity = sp_sasl_authorization_identity(e->sasl),
    };
    struct proof p = {.login = "", .mechanism = t.mechanism, .certificate = "",
                      .token = sp_buf_view(&answer->token),
                      .has_token = answer->token.n > 0};
    struct sp_login_result r = {.status = SP_LOGIN_TEMPORARY};
    struct sp_err err;

    sp_dir_now(a->dir, now_ms(a));
    sp_dir_by_password(a->dir, true);
    if (sp_acct_name(user, q.name, sizeof q.name) > 0)
        (void)sp_dir_answer(a->dir, &q, SP_ACCT_OK, answer, true, "", &err);
    if (e->refused || sp_login_judge(a->users, &t, &r, &err) < 0 ||
        (e->within_certificate &&
         sp_login_within_certificate(a->users, e->certificate_user, &r, &err) < 0))
        r.status = SP_LOGIN_TEMPORARY;
    finish(c, e->session, &r, sp_str(e->who), e->address, exchange_delay(c, e, &r), &p);
}

static void elsewhere_answered(void *arg, enum sp_acct_status st,
                               const struct sp_acct *answer, const char *reason)
{
    struct elsewhere x = *(struct elsewhere *)arg;
    struct client *c = find_serial(x.a, x.serial);
    struct exchange *e = c ? *exchange_at(c, x.session) : NULL;

    sp_free(arg);
    if (!e || e->elsewhere != x.exchange)
        return;
    e->asking = false;
    if (st == SP_ACCT_OK && e->conf != x.a->conf) {
        st = SP_ACCT_AWAY;
        reason = "the configuration changed during the login";
    }
    if (st == SP_ACCT_MORE) {
        challenge(c, e, sp_buf_view(&answer->token));
        return;
    }
    if (st == SP_ACCT_OK) {
        elsewhere_done(c, e, answer);
    } else {
        enum sp_login_status status =
            st == SP_ACCT_NO ? SP_LOGIN_FAILED : SP_LOGIN_TEMPORARY;

        if (st == SP_ACCT_NO)
            sp_throttle_failed(x.a->throttle, sp_str(e->who), sp_str(e->address), now_ms(x.a));
        say_no(c, e->session, status, reason, e->who,
               st == SP_ACCT_NO ? even_out(x.a, EVEN_FAILURE, e->at_ms, e->delay_ms)
                                : 0);
    }
    exchange_end(c, x.session);
}

static void elsewhere_ask(struct client *c, struct exchange *e, enum sp_acct_what what,
                          struct sp_str token)
{
    struct elsewhere *x = e->asking ? NULL : sp_alloc(sizeof *x);
    struct acctask_q q = {.section = e->section,
                          .exchange = e->elsewhere,
                          .ask = {.what = what,
                                  .name = sp_sasl_user(e->sasl),
                                  .secret = token,
                                  .mechanism = sp_str(sp_sasl_mechanism(e->sasl)),
                                  .client_address = sp_str(e->address)}};

    if (x)
        *x = (struct elsewhere){c->a, c->serial, e->session, e->elsewhere};
    if (x && acctask_ask(c->a->helper, &q, elsewhere_answered, x) == 0) {
        e->asking = true;
        return;
    }
    sp_free(x);
    say_result(c, e->session, SP_LOGIN_TEMPORARY, "auth is busy");
    exchange_end(c, e->session);
}

/* Is it the section's own business?  Then it got the first token. */
static bool passed_through(struct client *c, struct exchange *e)
{
    struct auth *a = c->a;
    const struct sp_conf_accounts *s;
    struct sp_throttle_verdict t;
    struct sp_user *u;
    bool pass = false;

    if (!sp_dir_any(a->dir) || e->cram ||
        sp_users_find(a->users, sp_sasl_user(e->sasl), &u, NULL) < 0)
        return false;
    s = &a->conf->accounts[u->source];
    if (u->checked && u->enabled && s->type == SP_CONF_ACCTS_DOVECOT)
        for (size_t i = 0; i < s->pass_through.n; i++)
            pass |= strcmp(s->pass_through.v[i], sp_sasl_mechanism(e->sasl)) == 0;
    e->source = u->source;
    sp_user_free(u);
    if (!pass)
        return false;
    (void)account_key(a, sp_sasl_user(e->sasl), e->who, sizeof e->who);
    t = sp_throttle_ask(a->throttle, sp_str(e->who), sp_str(e->address), now_ms(a));
    e->refused = t.refuse;
    e->delay_ms = t.delay_ms;
    e->section = s;
    e->conf = sp_conf_ref(a->conf);
    e->elsewhere = ++a->exchange;
    elsewhere_ask(c, e, SP_ACCT_SASL, sp_buf_view(&e->first));
    return true;
}

static void exchange_on(struct client *c, struct exchange *e, enum sp_sasl_status st,
                        struct sp_str out);

static void exchange_known(struct auth *a, struct wait *w)
{
    struct client *c = find_serial(a, w->serial);
    struct exchange *e = c ? *exchange_at(c, w->session) : NULL;
    struct sp_str out = {NULL, 0};

    if (!e || e != w->arg)
        return; /* it was given up */
    sp_dir_by_password(a->dir, true);
    if (!passed_through(c, e))
        exchange_on(c, e, give_verifier(c, e, &out), out);
}

static void exchange_step(struct client *c, struct exchange *e, struct sp_str token)
{
    struct sp_str out = {NULL, 0};
    enum sp_sasl_status st;

    if (sp_dir_any(c->a->dir) && e->first.n == 0 && sp_buf_str(&e->first, token) < 0) {
        say_result(c, e->session, SP_LOGIN_TEMPORARY, "out of memory");
        exchange_end(c, e->session);
        return;
    }
    st = sp_sasl_step(e->sasl, token, &out);
    if (st != SP_SASL_VERIFIER) {
        exchange_on(c, e, st, out);
    } else if (when_known(c->a, c->serial, e->session, sp_sasl_user(e->sasl),
                          sp_sasl_authorization_identity(e->sasl), exchange_known, e) < 0) {
        say_result(c, e->session, SP_LOGIN_TEMPORARY, "auth is busy");
        exchange_end(c, e->session);
    }
}

static void exchange_on(struct client *c, struct exchange *e, enum sp_sasl_status st,
                        struct sp_str out)
{
    switch (st) {
    case SP_SASL_CONTINUE:
        challenge(c, e, out);
        return;
    case SP_SASL_DONE:
        exchange_done(c, e, out);
        break;
    case SP_SASL_VERIFIER:
    case SP_SASL_FAILED:
        exchange_failed(c, e);
        break;
    }
    exchange_end(c, e->session);
}

/* ---- GSSAPI ---- */

static void gss_judge(struct client *c, struct exchange *e)
{
    const struct sp_gss *g = gsslogin_gss(e->gss);
    const char *realm = c->a->conf->gssapi_realm;
    struct sp_login_try t = {
        .mechanism = "GSSAPI",
        .authorization_identity = sp_gss_authorization_identity(g),
    };
    struct proof p = {.login = "", .mechanism = t.mechanism, .certificate = ""};
    struct sp_login_result r = {.status = SP_LOGIN_TEMPORARY};
    struct sp_throttle_verdict v;
    struct sp_err err;
    char name[SP_GSS_NAME_MAX + 1];
    int n = sp_gss_account(sp_gss_principal(g), &realm, realm != NULL, name, sizeof name);

    if (n < 0)
        n = 0;
    t.authentication_identity = (struct sp_str){name, (size_t)n};
    (void)account_key(c->a, t.authentication_identity, e->who, sizeof e->who);
    v = sp_throttle_ask(c->a->throttle, sp_str(e->who), sp_str(e->address), now_ms(c->a));
    if (sp_login_judge(c->a->users, &t, &r, &err) < 0 ||
        (e->within_certificate &&
         sp_login_within_certificate(c->a->users, e->certificate_user, &r, &err) < 0))
        r.status = SP_LOGIN_TEMPORARY;
    finish(c, e->session, &r, sp_str(e->who), e->address, v.delay_ms, &p);
}

static void gss_known(struct auth *a, struct wait *w)
{
    struct client *c = find_serial(a, w->serial);
    struct exchange *e = c ? *exchange_at(c, w->session) : NULL;

    if (!e || e != w->arg)
        return;
    sp_dir_by_password(a->dir, false);
    gss_judge(c, e);
    exchange_end(c, w->session);
}

/* Takes the exchange. */
static void gss_done(struct client *c, struct exchange *e)
{
    const struct sp_gss *g = gsslogin_gss(e->gss);
    const char *realm = c->a->conf->gssapi_realm;
    char name[SP_GSS_NAME_MAX + 1];
    int n = sp_gss_account(sp_gss_principal(g), &realm, realm != NULL, name, sizeof name);

    if (when_known(c->a, c->serial, e->session, (struct sp_str){name, n > 0 ? (size_t)n : 0},
                   sp_gss_authorization_identity(g), gss_known, e) == 0)
        return;
    say_result(c, e->session, SP_LOGIN_TEMPORARY, "auth is busy");
    exchange_end(c, e->session);
}
static void gss_failed(struct client *c, struct exchange *e, const struct sp_err *err)
{
    enum sp_login_status st = err->code == SP_EINPUT    ? SP_LOGIN_SYNTAX
                              : err->code == SP_EDENIED ? SP_LOGIN_FAILED
                                                        : SP_LOGIN_TEMPORARY;

    if (st == SP_LOGIN_FAILED)
        sp_throttle_failed(c->a->throttle, sp_str(e->who), sp_str(e->address), now_ms(c->a));
    say_no(c, e->session, st, err->text, e->who, 0);
}

static void gss_ended(void *arg, uint64_t serial, uint64_t session, enum sp_sasl_status st,
                      struct sp_str token, const struct sp_err *err)
{
    struct client *c = find_serial(arg, serial);
    struct exchange *e = c ? *exchange_at(c, session) : NULL;
    Sp__AuthChallenge m = SP__AUTH_CHALLENGE__INIT;

    if (!e || !e->gss)
        return;
    if (st == SP_SASL_CONTINUE) {
        m.session = session;
        m.token = (ProtobufCBinaryData){token.n, (uint8_t *)(uintptr_t)token.p};
        (void)sp_port_say(c->port, SP_MSG_CHALLENGE, &m.base);
        return;
    }
    if (st == SP_SASL_DONE) {
        gss_done(c, e);
        return;
    }
    gss_failed(c, e, err);
    exchange_end(c, session);
}

static void gss_step(struct client *c, struct exchange *e, struct sp_str token)
{
    if (gsslogin_step(e->gss, token) == 0)
        return;
    say_result(c, e->session, SP_LOGIN_TEMPORARY, "out of memory");
    exchange_end(c, e->session);
}

static const struct sp_conf_listener *listener(struct auth *a, const char *name)
{
    return sp_conf_listener_named(a->conf, name);
}

static void start(struct client *c, const Sp__AuthStart *m)
{
    const struct sp_conf_listener *l = listener(c->a, m->listener);
    struct sp_sasl_server_opts o = {.plus_listed = m->plus_listed,
                                    .require_binding = l && l->require_binding,
                                    .host = c->a->conf->hostname};
    struct exchange *e;
    struct sp_err err;

    exchange_end(c, m->session); /* a forgotten one of the same session */
    e = c->n < EXCHANGES_MAX ? sp_alloc(sizeof *e) : NULL;
    if (m->binding) {
        o.binding.exporter = text_of(m->binding->exporter);
        o.binding.unique = text_of(m->binding->unique);
    }
    if (e && strcmp(m->mechanism, "GSSAPI") == 0)
        e->gss = gsslogin_new(&c->a->role->loop, c->a->conf, gss_ended, c->a, c->serial,
                              m->session);
    if (e)
        e->cram = sp_sasl_known(sp_str(m->mechanism)) &&
                  !sp_sasl_client_first(sp_str(m->mechanism));
    if (!e || (!e->gss && ((!e->cram && sp_sasl_scram_hash(sp_str(m->mechanism), &e->hash) < 0) ||
                           sp_sasl_server_new(sp_str(m->mechanism), &o, &e->sasl, &err) < 0))) {
        sp_free(e);
        say_result(c, m->session, SP_LOGIN_TEMPORARY, "cannot start this mechanism");
        return;
    }
    e->session = m->session;
    e->at_ms = c->a->came_ms;
    sp_buf_init(&e->first, SP_SASL_NAME_MAX + 4096);
    snprintf(e->address, sizeof e->address, "%s", m->client_address);
    e->within_certificate = m->certificate_required;
    snprintf(e->certificate_user, sizeof e->certificate_user, "%s", m->certificate_user);
    e->next = c->exchanges;
    c->exchanges = e;
    c->n++;
    if (e->gss)
        gss_step(c, e, text_of(m->token));
    else
        exchange_step(c, e, m->has_token ? text_of(m->token) : (struct sp_str){NULL, 0});
}

static void step(struct client *c, const Sp__AuthStep *m)
{
    struct exchange *e = *exchange_at(c, m->session);

    if (e)
        e->at_ms = c->a->came_ms;
    if (e && e->gss)
        gss_step(c, e, text_of(m->token));
    else if (e && e->elsewhere)
        elsewhere_ask(c, e, SP_ACCT_SASL_STEP, text_of(m->token));
    else if (e)
        exchange_step(c, e, text_of(m->token));
    else
        say_result(c, m->session, SP_LOGIN_TEMPORARY, "the exchange is not known");
}

/* ---- certificates ---- */

/* What this certificate is worth now, by the listener's domains and today's accounts. */
static int look_up(struct auth *a, ProtobufCBinaryData leaf, bool chain_ok,
                   const char *chain_reason, const char *listener_name,
                   struct sp_cert_result *r)
{
    const struct sp_conf_listener *l = listener(a, listener_name);
    struct sp_cert_look q = {.leaf_der = text_of(leaf),
                             .chain_ok = chain_ok,
                             .chain_reason = sp_str(chain_reason),
                             .now_s = (int64_t)time(NULL)};
    struct sp_err err;

    if (l)
        srv_cert_domains(&q, l);
    memset(r, 0, sizeof *r);
    if (sp_certmap(a->users, &q, r, &err) == 0)
        return 0;
    memset(r, 0, sizeof *r);
    snprintf(r->reason, sizeof r->reason,
             "the users database cannot be read just now; try again later");
    return -SP_EAGAIN;
}

/* PROTOCOL "judged when": the pin or mapping may have gone since the handshake.  True:
 * it was answered. */
static bool no_more(struct client *c, const Sp__AuthExternal *m)
{
    Sp__AuthResult out = SP__AUTH_RESULT__INIT;
    Sp__Identity id = SP__IDENTITY__INIT;
    struct sp_cert_result r;
    int rc = look_up(c->a, m->leaf_der, m->chain_ok, m->chain_reason, m->listener, &r);

    if (rc == 0 && r.usable && strcmp(r.user, m->user) == 0)
        return false;
    if (rc == 0 && r.usable)
        snprintf(r.reason, sizeof r.reason, "the certificate is another account's now");
    id.login = m->user;
    out.session = m->session;
    out.status = rc == 0 ? SP__AUTH_STATUS__AUTH_FAILED : SP__AUTH_STATUS__AUTH_TEMPORARY;
    out.identity = &id;
    out.reason = r.reason;
    out.certificate_reason = rc == 0 ? r.reason : out.certificate_reason;
    (void)sp_port_say(c->port, SP_MSG_AUTH_RESULT, &out.base);
    return true;
}

static void external(struct client *c, const Sp__AuthExternal *m)
{
    struct sp_login_try t = {.mechanism = "EXTERNAL",
                             .authentication_identity = sp_str(m->user),
                             .authorization_identity = text_of(m->authorization_identity),
                             .certificate_address = sp_str(m->address),
                             .fingerprint = sp_str(m->fingerprint),
                             .implicit = m->implicit};
    struct proof p = {.login = "", .mechanism = "EXTERNAL", .certificate = m->fingerprint,
                      .implicit = m->implicit};
    struct sp_throttle_verdict v = sp_throttle_ask(c->a->throttle, sp_str(m->user),
                                                   sp_str(m->client_address), now_ms(c->a));
    struct sp_login_result r = {.status = SP_LOGIN_TEMPORARY};
    struct sp_err err;

    if (no_more(c, m))
        return;
    if (sp_login_judge(c->a->users, &t, &r, &err) < 0)
        r.status = SP_LOGIN_TEMPORARY;
    finish(c, m->session, &r, sp_str(m->user), m->client_address, v.delay_ms, &p);
}

static void certificate(struct client *c, const Sp__CertificateLook *m)
{
    Sp__CertificateResult out = SP__CERTIFICATE_RESULT__INIT;
    struct sp_cert_result r;

    (void)look_up(c->a, m->leaf_der, m->chain_ok, m->chain_reason, m->listener, &r);
    out.session = m->session;
    out.usable = r.usable;
    out.verified = r.verified;
    out.external_only = r.external_only;
    out.user = r.user;
    out.reason = r.reason;
    out.rule = r.rule;
    out.address = r.address;
    out.fingerprint = r.fingerprint;
    (void)sp_port_say(c->port, SP_MSG_CERT_RESULT, &out.base);
}

static void check(struct client *c, const Sp__IdentityCheck *m)
{
    enum sp_login_basis basis = m->fingerprint[0]               ? SP_LOGIN_BY_CERTIFICATE
                                : m->generation && !m->by_token ? SP_LOGIN_BY_SECRET
                                                                : SP_LOGIN_BY_SYSTEM;
    struct sp_login_result r = {.status = SP_LOGIN_TEMPORARY};
    struct proof p = {.mechanism = "", .certificate = m->fingerprint};
    struct sp_err err;

    sp_dir_by_password(c->a->dir, basis == SP_LOGIN_BY_SECRET);
    if (sp_login_still_good(c->a->users, sp_str(m->user), sp_str(m->login),
                            basis, m->generation, &r, &err) < 0)
        r.status = SP_LOGIN_TEMPORARY;
    p.login = m->login;
    /* A directory that is away for a moment ends no session: it is asked again. */
    if (r.status == SP_LOGIN_OK && r.user)
        say_ok(c, m->session, &r, &p, 0);
    else
        say_result(c, m->session, r.status, r.reason);
    sp_user_free(r.user);
}

/* ---- recipients ---- */

static const struct {
    uint32_t code;
    const char *enhanced;
} by_verdict[] = {
    [SP_ALIAS_SAME] = {250, "2.1.5"},    [SP_ALIAS_BECOMES] = {250, "2.1.5"},
    [SP_ALIAS_UNKNOWN] = {550, "5.1.1"}, [SP_ALIAS_LOOP] = {550, "5.4.6"},
    [SP_ALIAS_TOO_MANY] = {550, "5.4.6"}, [SP_ALIAS_TEMPORARY] = {451, "4.3.0"},
};

static ProtobufCBinaryData octets(struct sp_str s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

/* The arena is that of the frame: it lasts until the answer is packed. */
static void recipient(struct client *c, const Sp__RecipientLook *m)
{
    Sp__RecipientResult out = SP__RECIPIENT_RESULT__INIT;
    struct sp_arena *arena = &c->a->arena;
    struct sp_alias_result r;
    Sp__Recipient *to;

    sp_aliases_expand(c->a->aliases, c->a->users, text_of(m->address), arena, &r);
    if (r.verdict == SP_ALIAS_BECOMES) {
        out.to = sp_arena_alloc(arena, r.n * sizeof *out.to);
        to = sp_arena_alloc(arena, r.n * sizeof *to);
        for (; out.to && to && out.n_to < r.n; out.n_to++) {
            sp__recipient__init(&to[out.n_to]);
            to[out.n_to].address = octets(r.to[out.n_to].address);
            to[out.n_to].deliver = octets(r.to[out.n_to].deliver);
            out.to[out.n_to] = &to[out.n_to];
        }
        if (!out.to || !to) {
            r.verdict = SP_ALIAS_TEMPORARY;
            r.why = "out of memory";
        }
    }
    out.session = m->session;
    out.index = m->index;
    out.code = by_verdict[r.verdict].code;
    out.enhanced = (char *)(uintptr_t)by_verdict[r.verdict].enhanced;
    out.text = (char *)(uintptr_t)(out.code == 250 ? "recipient ok" : r.why);
    (void)sp_port_say(c->port, SP_MSG_RCPT_RESULT, &out.base);
}

/* ---- changes ---- */

struct change_list {
    char *name[256];
    size_t n;
    bool many;
    struct auth *a;
};

static void note_change(void *arg, struct sp_str name)
{
    struct change_list *l = arg;

    sp_auth_cache_drop(l->a->cache, name);
    if (l->n == 256)
        l->many = true;
    else if ((l->name[l->n] = sp_strndup(name.p, name.n)))
        l->n++;
}

/* A listener whose client-certificates was left to follow from the accounts asks for
 * certificates while there is a pin or a mapping.  When the file cannot be read: ask. */
static bool certificates(struct auth *a)
{
    return sp_users_any_certificate(a->users, NULL) != 0;
}

static void note_expired(void *arg, struct sp_str name)
{
    struct change_list *l = arg;

    if (l->n == 256)
        l->many = true;
    else if ((l->name[l->n] = sp_strndup(name.p, name.n)))
        l->n++;
}

static void on_changes(uv_timer_t *t)
{
    struct auth *a = t->data;
    Sp__IdentityChanged m = SP__IDENTITY_CHANGED__INIT;
    struct change_list l = {.a = a};
    uint64_t now = a->seen;

    if (sp_users_changed(a->db) > 0) {
        now = sp_users_generation(a->db);
        if (sp_users_changes(a->db, a->seen, note_change, &l, NULL) < 0 || l.many) {
            sp_auth_cache_drop(a->cache, (struct sp_str){NULL, 0});
            l.many = true;
        }
    }
    sp_dir_now(a->dir, now_ms(a));
    if (sp_dir_any(a->dir))
        sp_dir_expired(a->dir, note_expired, &l);
    if (!l.many && !l.n && now == a->seen)
        return;
    m.user = l.name;
    m.n_user = l.many ? 0 : l.n; /* none named: all */
    m.certificates = certificates(a);
    for (struct client *c = a->clients; c && (l.many || l.n); c = c->next)
        if (c->port)
            (void)sp_port_say(c->port, SP_MSG_ID_CHANGED, &m.base);
    while (l.n)
        sp_free(l.name[--l.n]);
    a->seen = now;
}

/* ---- channels ---- */

static void dispatch(struct client *c, int type, void *m)
{
    sp_dir_by_password(c->a->dir, type == SP_MSG_PASSWORD &&
                                      !is_token(((Sp__AuthPassword *)m)->mechanism));
    switch (type) {
    case SP_MSG_PASSWORD:
        (is_token(((Sp__AuthPassword *)m)->mechanism) ? token : password)(c, m);
        break;
    case SP_MSG_AUTH_START:
        start(c, m);
        break;
    case SP_MSG_AUTH_STEP:
        step(c, m);
        break;
    case SP_MSG_AUTH_ABORT:
        waits_drop(c, ((Sp__AuthAbort *)m)->session);
        exchange_end(c, ((Sp__AuthAbort *)m)->session);
        break;
    case SP_MSG_EXTERNAL:
        external(c, m);
        break;
    case SP_MSG_CERT_LOOK:
        certificate(c, m);
        break;
    case SP_MSG_ID_CHECK:
        check(c, m);
        break;
    case SP_MSG_RCPT_LOOK:
        recipient(c, m);
        break;
    }
}

/* Every frame that may wait begins with the session's number. */
static uint64_t session_of(int type, const void *m)
{
    switch (type) {
    case SP_MSG_PASSWORD:
        return ((const Sp__AuthPassword *)m)->session;
    case SP_MSG_AUTH_START:
        return ((const Sp__AuthStart *)m)->session;
    case SP_MSG_EXTERNAL:
        return ((const Sp__AuthExternal *)m)->session;
    case SP_MSG_CERT_LOOK:
        return ((const Sp__CertificateLook *)m)->session;
    case SP_MSG_ID_CHECK:
        return ((const Sp__IdentityCheck *)m)->session;
    case SP_MSG_RCPT_LOOK:
        return ((const Sp__RecipientLook *)m)->session;
    }
    return 0;
}

static void wait_for_accounts(struct client *c, const struct sp_frame *f, void *m)
{
    struct wait *w = wait_new(c->a, c->serial, session_of((int)f->type, m));

    if (w && sp_buf_str(&w->meta, f->meta) == 0) {
        w->type = (int)f->type;
        return;
    }
    if (w) {
        wait_take(c->a, w);
        wait_free(w);
    }
    dispatch(c, (int)f->type, m); /* which says "temporary" */
}

static int on_frame(struct sp_port *port, const struct sp_frame *f, struct sp_err *err)
{
    struct client *c = sp_port_arg(port);
    void *m = frame_read(f, &c->a->arena);

    c->a->came_ms = now_ms(c->a);
    if (!m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed %s",
                          sp_msg_name(f->type));
    if (frame_missing(c->a, (int)f->type, m))
        wait_for_accounts(c, f, m);
    else
        dispatch(c, (int)f->type, m);
    sp_arena_reset(&c->a->arena); /* wipes: passwords were in it */
    return 0;
}

static void client_free(struct client *c)
{
    for (struct client **at = &c->a->clients; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    while (c->exchanges)
        exchange_end(c, c->exchanges->session);
    sp_free(c);
}

static void on_gone(struct sp_port *port, const struct sp_err *why)
{
    struct client *c = sp_port_arg(port);

    if (why->cls == SP_CLASS_PEER)
        sp_log(SP_LOG_ROLE_BAD, "", SP_KVS("role", "server"), SP_KVS("reason", why->text));
    client_free(c);
}

static const struct sp_port_ops client_ops = {.frame = on_frame, .gone = on_gone};

static int on_peer(struct sp_role *r, Sp__Role peer, unsigned instance, int fd,
                   struct sp_err *err)
{
    struct auth *a = r->self;
    struct client *old = find_client(a, instance), *c;
    Sp__IdentityChanged hello = SP__IDENTITY_CHANGED__INIT;
    static uint64_t serials;

    if (peer == SP__ROLE__ROLE_AUTH_HELPER)
        return acctask_port(a->helper, fd, instance, err);
    if (peer != SP__ROLE__ROLE_SERVER) {
        close(fd);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "auth has no such peer");
    }
    if (old) {
        sp_port_close(old->port);
        client_free(old);
    }
    c = sp_alloc(sizeof *c);
    if (!c)
        close(fd);
    else
        c->port = sp_port_new(&r->loop, fd, SP__ROLE__ROLE_AUTH, SP__ROLE__ROLE_SERVER,
                              instance, &client_ops, c, err);
    if (!c || !c->port) {
        sp_free(c);
        return sp_err_nomem(err);
    }
    c->a = a;
    c->instance = instance;
    c->serial = ++serials;
    c->next = a->clients;
    a->clients = c;
    hello.certificates = certificates(a);
    (void)sp_port_say(c->port, SP_MSG_ID_CHANGED, &hello.base);
    return 0;
}

static int open_users(struct auth *a, const struct sp_conf *conf, struct sp_err *err)
{
    char path[4096];
    struct sp_users *w;
    int rc;

    (void)sp_data_path(path, sizeof path, conf->data_directory, SP_DATA_USERS, "users.db");
    /* Made when it is not there, so that `user add` finds it with the right owner. */
    rc = sp_users_open(path, SP_USERS_WRITE, &w, err);
    if (rc < 0)
        return rc;
    sp_users_close(w);
    rc = sp_users_open(path, SP_USERS_READ, &a->db, err);
    if (rc == 0)
        rc = sp_users_scram_defaults(a->db, a->fake_key, &a->iterations, err);
    if (rc == 0)
        rc = sp_dir_new(a->db, &a->dir, err);
    if (rc < 0)
        return rc;
    (void)sp_users_changed(a->db);
    a->seen = sp_users_generation(a->db);
    return 0;
}

static struct sp_str setup_text(void *arg, const char *path)
{
    return sp_setup_file(arg, path);
}

static int on_setup(struct sp_role *r, const Sp__Setup *s, struct sp_conf *conf,
                    struct sp_err *err)
{
    struct auth *a = r->self;
    struct sp_aliases *aliases;
    int rc;

    if (!a) {
        a = sp_alloc(sizeof *a);
        if (!a)
            return sp_err_nomem(err);
        a->role = r;
        sp_arena_init(&a->arena, 16 << 20);
        a->helper = acctask_new(&r->loop);
        a->cache = sp_auth_cache_new(conf->login_cache_size,
                                     conf->login_cache_s ? conf->login_cache_s * 1000
                                                         : 1 /* ms: off */);
        a->throttle = sp_throttle_new(0, 0);
        a->tokens = sp_tokens_new(&r->loop);
        rc = a->helper && a->cache && a->throttle && a->tokens ? open_users(a, conf, err) : sp_err_nomem(err);
        if (rc < 0)
            return rc;
        uv_timer_init(&r->loop, &a->changes);
        a->changes.data = a;
        uv_timer_start(&a->changes, on_changes, CHANGES_MS, CHANGES_MS);
        r->self = a;
    }
    /* What is wrong in a file the supervisor has said. */
    rc = sp_aliases_new(conf, setup_text, (void *)(uintptr_t)s, NULL, NULL, &aliases, err);
    if (rc < 0)
        return rc;
    rc = sp_tokens_setup(a->tokens, conf, s, err);
    if (rc < 0) {
        sp_aliases_free(aliases);
        return rc;
    }
    sp_aliases_free(a->aliases);
    a->aliases = aliases;
    sp_dir_sections(a->dir, conf);
    a->users = sp_dir_users(a->dir);
    sp_conf_unref(a->conf);
    a->conf = sp_conf_ref(conf);
    waits_go(a); /* who waits for a section that is gone */
    return 0;
}

const struct sp_role_ops sp_role_auth = {
    .role = SP__ROLE__ROLE_AUTH,
    .setup = on_setup,
    .peer = on_peer,
};
