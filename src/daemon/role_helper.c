/*
 * role_helper.c - asks the accounts sections on behalf of auth.
 *
 * Here run libldap, libpq, PAM and its modules, with the rights that those want
 * (auth-helper-user) and with nothing of ours but what the sections need: no users
 * database, no mail, no keys.  A question is a job in the pool; a section has as many at
 * a time as it has connections, the others wait in its own line, so that a slow section
 * holds up nobody else.  One that waited longer than its section's time is answered
 * "away" without being asked.
 *
 * A PAM module can hang for ever.  When every connection of a section has been busy for
 * long after its time, the process ends; the supervisor starts the next one.
 */
#include "role.h"

#include "acct.h"
#include "alloc.h"
#include "err.h"
#include "material.h"
#include "secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 32,
    LINE_MAX_JOBS = 5000,
    LOOK_MS = 1000,
    STUCK_MS = 30000, /* beyond twice the section's time */
    EXCHANGES_MAX = 4096,
    SECRET_MAX = 16384,
    STEP_LIFE_MS = 120000,
};

struct helper;

struct section {
    struct section *next;
    struct helper *h;
    struct sp_conf *conf; /* its own reference */
    const struct sp_conf_accounts *c;
    struct sp_buf secret;
    unsigned refs;
    struct job *first, **last; /* waiting */
    size_t waiting;
    struct sp_acct_conn *idle[CONNECTIONS_MAX];
    size_t n_idle, busy;
    uint64_t busy_since_ms; /* all connections */
};

struct exchange {
    struct exchange *next;
    uint64_t id, at_ms;
    struct sp_acct_exchange *x;
    bool busy, dead;
};

struct job {
    struct job *next;
    uv_work_t work;
    struct section *s;
    struct sp_acct_conn *conn;
    struct exchange *ex;
    uint64_t tag, at_ms;
    enum sp_acct_what what;
    struct sp_buf name, secret, mechanism, address;
    struct sp_acct answer;
    enum sp_acct_status st;
    struct sp_err err;
};

struct helper {
    struct sp_role *role;
    struct sp_port *auth; /* NULL: not yet */
    struct section *sections;
    struct exchange *exchanges;
    size_t n_exchanges;
    struct sp_arena arena;
    uv_timer_t look;
};

static uint64_t now_ms(const struct helper *h)
{
    return uv_now(&h->role->loop);
}

/* ---- sections ---- */

static void unref(struct section *s)
{
    if (--s->refs)
        return;
    while (s->n_idle)
        sp_acct_close(s->idle[--s->n_idle]);
    sp_buf_wipe(&s->secret);
    sp_conf_unref(s->conf);
    sp_free(s);
}

static struct section *section_named(const struct helper *h, const char *name)
{
    for (struct section *s = h->sections; s; s = s->next)
        if (strcmp(s->c->head.name, name) == 0)
            return s;
    return NULL;
}

static struct section *section_new(struct helper *h, struct sp_conf *conf,
                                   const struct sp_conf_accounts *c, const Sp__Setup *m,
                                   struct sp_err *err)
{
    struct section *s = sp_alloc(sizeof *s);
    struct sp_str file = sp_setup_file(m, c->password_file);

    if (s)
        sp_buf_init(&s->secret, SECRET_MAX);
    if (!s || sp_buf_str(&s->secret, sp_str_cut(&file, '\n')) < 0) {
        sp_free(s);
        (void)sp_err_nomem(err);
        return NULL;
    }
    s->h = h;
    s->conf = sp_conf_ref(conf);
    s->c = c;
    s->refs = 1;
    s->last = &s->first;
    return s;
}

/* ---- answers ---- */

static void say(struct helper *h, uint64_t tag, enum sp_acct_status st,
                const struct sp_acct *a, const char *reason)
{
    Sp__AccountAnswer m = SP__ACCOUNT_ANSWER__INIT;
    Sp__AccountValue *v = sp_alloc((a->n + 1) * sizeof *v), **list;

    list = sp_alloc((a->n + 1) * sizeof(Sp__AccountValue *));
    for (size_t i = 0; v && list && i < a->n; i++) {
        sp__account_value__init(&v[i]);
        v[i].field = a->v[i].field;
        v[i].value = (ProtobufCBinaryData){a->v[i].value.n,
                                           (uint8_t *)(uintptr_t)a->v[i].value.p};
        list[i] = &v[i];
    }
    m.tag = tag;
    m.status = v && list ? st : SP_ACCT_AWAY;
    m.reason = (char *)(uintptr_t)reason;
    if (v && list && (st == SP_ACCT_OK || st == SP_ACCT_MORE)) {
        m.n_value = a->n;
        m.value = list;
        m.token = (ProtobufCBinaryData){a->token.n, (uint8_t *)a->token.p};
    }
    if (h->auth)
        (void)sp_port_say(h->auth, SP_MSG_ACCT_ANSWER, &m.base);
    sp_free(v);
    sp_free(list);
}

static void exchange_drop(struct helper *h, struct exchange *e)
{
    for (struct exchange **at = &h->exchanges; *at; at = &(*at)->next)
        if (*at == e) {
            *at = e->next;
            h->n_exchanges--;
            break;
        }
    sp_acct_exchange_free(e->x);
    sp_free(e);
}

static void job_free(struct job *j)
{
    sp_buf_wipe(&j->name);
    sp_buf_wipe(&j->secret);
    sp_buf_wipe(&j->mechanism);
    sp_buf_wipe(&j->address);
    sp_acct_reset(&j->answer);
    unref(j->s);
    sp_free(j);
}

static void job_end(struct job *j)
{
    struct helper *h = j->s->h;

    say(h, j->tag, j->st, &j->answer, j->err.text);
    if (j->ex) {
        j->ex->busy = false;
        j->ex->at_ms = now_ms(h);
        if (j->st != SP_ACCT_MORE || j->ex->dead)
            exchange_drop(h, j->ex);
    }
    job_free(j);
}

/* ---- work ---- */

static void work_run(uv_work_t *w)
{
    struct job *j = w->data;
    struct sp_acct_ask q = {.what = j->what,
                            .name = sp_buf_view(&j->name),
                            .secret = sp_buf_view(&j->secret),
                            .mechanism = sp_buf_view(&j->mechanism),
                            .client_address = sp_buf_view(&j->address),
                            .exchange = j->ex ? &j->ex->x : NULL};

    if (!j->conn &&
        sp_acct_open(j->s->c, sp_buf_view(&j->s->secret), &j->conn, &j->err) < 0) {
        j->st = SP_ACCT_AWAY;
        return;
    }
    j->st = sp_acct_ask(j->conn, &q, &j->answer, &j->err);
}

static void next_jobs(struct section *s);

static void work_end(uv_work_t *w, int status)
{
    struct job *j = w->data;
    struct section *s = j->s;

    (void)status;
    s->busy--;
    s->busy_since_ms = now_ms(s->h);
    if (j->conn && s->n_idle < CONNECTIONS_MAX)
        s->idle[s->n_idle++] = j->conn;
    else
        sp_acct_close(j->conn);
    s->refs++;
    job_end(j);
    next_jobs(s);
    unref(s);
}

static void next_jobs(struct section *s)
{
    while (s->first && s->busy < s->c->connections) {
        struct job *j = s->first;

        s->first = j->next;
        if (!s->first)
            s->last = &s->first;
        s->waiting--;
        if (now_ms(s->h) - j->at_ms > s->c->timeout_s * 1000) {
            j->st = sp_acct_away(&j->err, "too many questions are waiting");
            s->refs++;
            job_end(j);
            unref(s);
            continue;
        }
        if (s->busy++ == 0)
            s->busy_since_ms = now_ms(s->h);
        j->conn = s->n_idle ? s->idle[--s->n_idle] : NULL;
        j->work.data = j;
        uv_queue_work(&s->h->role->loop, &j->work, work_run, work_end);
    }
}

/* ---- questions ---- */

static struct exchange *exchange_of(struct helper *h, const Sp__AccountAsk *m)
{
    struct exchange *e = h->exchanges;

    while (e && e->id != m->exchange)
        e = e->next;
    if (m->what == SP_ACCT_SASL_STEP)
        return e && !e->busy && !e->dead ? e : NULL;
    e = e || h->n_exchanges >= EXCHANGES_MAX ? NULL : sp_alloc(sizeof *e);
    if (e) {
        e->id = m->exchange;
        e->next = h->exchanges;
        h->exchanges = e;
        h->n_exchanges++;
    }
    return e;
}

static struct job *job_new(struct helper *h, struct section *s, const Sp__AccountAsk *m)
{
    struct job *j = sp_alloc(sizeof *j);

    if (!j)
        return NULL;
    s->refs++;
    j->s = s;
    j->tag = m->tag;
    j->what = (enum sp_acct_what)m->what;
    j->at_ms = now_ms(h);
    sp_acct_init(&j->answer);
    sp_buf_init(&j->name, SP_ADDRESS_MAX + 1);
    sp_buf_init(&j->secret, SECRET_MAX);
    sp_buf_init(&j->mechanism, 64);
    sp_buf_init(&j->address, 128);
    if (sp_buf_str(&j->name, sp_pb_str(m->name)) < 0 ||
        sp_buf_str(&j->secret, sp_pb_str(m->secret)) < 0 ||
        sp_buf_puts(&j->mechanism, m->mechanism) < 0 ||
        sp_buf_puts(&j->address, m->client_address) < 0) {
        job_free(j);
        return NULL;
    }
    return j;
}

static void refuse(struct helper *h, uint64_t tag, const char *reason)
{
    struct sp_acct none;

    sp_acct_init(&none);
    say(h, tag, SP_ACCT_AWAY, &none, reason);
}

static void ask(struct helper *h, const Sp__AccountAsk *m)
{
    struct section *s = section_named(h, m->section);
    bool steps = m->what == SP_ACCT_SASL || m->what == SP_ACCT_SASL_STEP;
    struct exchange *e = NULL;
    struct job *j;

    if (!s || m->what > SP_ACCT_SASL_STEP) {
        refuse(h, m->tag, "the helper does not have this section yet");
        return;
    }
    if (s->waiting >= LINE_MAX_JOBS || (steps && !(e = exchange_of(h, m)))) {
        refuse(h, m->tag, steps ? "the exchange is not known" : "too many questions");
        return;
    }
    j = job_new(h, s, m);
    if (!j) {
        if (e && m->what == SP_ACCT_SASL)
            exchange_drop(h, e);
        refuse(h, m->tag, "out of memory, or a question that is too long");
        return;
    }
    j->ex = e;
    if (e)
        e->busy = true;
    *s->last = j;
    s->last = &j->next;
    s->waiting++;
    next_jobs(s);
}

static void end_exchange(struct helper *h, uint64_t id)
{
    for (struct exchange *e = h->exchanges; e; e = e->next)
        if (e->id == id) {
            e->dead = true;
            if (!e->busy)
                exchange_drop(h, e);
            return;
        }
}

/* ---- channels ---- */

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct helper *h = sp_port_arg(p);
    void *m = sp_frame_unpack(f, &h->arena);

    if (!m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed %s", sp_msg_name(f->type));
    if (f->type == SP_MSG_ACCT_ASK)
        ask(h, m);
    else
        end_exchange(h, ((Sp__AccountEnd *)m)->exchange);
    sp_arena_reset(&h->arena); /* wipes: passwords were in it */
    return 0;
}

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    struct helper *h = sp_port_arg(p);

    (void)why;
    h->auth = NULL;
    for (struct exchange *e = h->exchanges, *next; e; e = next) {
        next = e->next;
        e->dead = true;
        if (!e->busy)
            exchange_drop(h, e);
    }
}

static const struct sp_port_ops auth_ops = {.frame = on_frame, .gone = on_gone};

static int on_peer(struct sp_role *r, Sp__Role peer, unsigned instance, int fd,
                   struct sp_err *err)
{
    struct helper *h = r->self;

    if (peer != SP__ROLE__ROLE_AUTH) {
        close(fd);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "auth-helper has no such peer");
    }
    sp_port_close(h->auth);
    h->auth = sp_port_new(&r->loop, fd, SP__ROLE__ROLE_AUTH_HELPER, SP__ROLE__ROLE_AUTH,
                          instance, &auth_ops, h, err);
    return h->auth ? 0 : -SP_ENOMEM;
}

static void on_look(uv_timer_t *t)
{
    struct helper *h = t->data;

    for (struct section *s = h->sections; s; s = s->next) {
        if (s->busy < s->c->connections ||
            now_ms(h) - s->busy_since_ms < 2 * s->c->timeout_s * 1000 + STUCK_MS)
            continue;
        sp_log(SP_LOG_FATAL, "", SP_KVS("accounts", s->c->head.name),
               SP_KVS("reason", "every connection hangs; the helper is started again"));
        sp_role_exit(h->role, 1);
    }
    for (struct exchange *e = h->exchanges, *next; e; e = next) {
        next = e->next;
        if (!e->busy && now_ms(h) - e->at_ms > STEP_LIFE_MS)
            exchange_drop(h, e);
    }
    /* Jobs in a line behind a section that hangs must not wait for it to end. */
    for (struct section *s = h->sections; s; s = s->next)
        while (s->first && now_ms(h) - s->first->at_ms > s->c->timeout_s * 1000) {
            struct job *j = s->first;

            s->first = j->next;
            if (!s->first)
                s->last = &s->first;
            s->waiting--;
            j->st = sp_acct_away(&j->err, "too many questions are waiting");
            job_end(j);
        }
}

/* One thread for each question that may be under way.  libuv reads this once. */
static void size_pool(const struct sp_conf *conf)
{
    uint64_t n = 4;
    char text[24];

    for (size_t i = 0; i < conf->n_accounts; i++)
        n += conf->accounts[i].connections;
    snprintf(text, sizeof text, "%llu", (unsigned long long)(n < 512 ? n : 512));
    (void)setenv("UV_THREADPOOL_SIZE", text, 1);
}

static int on_setup(struct sp_role *r, const Sp__Setup *m, struct sp_conf *conf,
                    struct sp_err *err)
{
    struct helper *h = r->self;
    struct section *made = NULL, **last = &made;

    if (!h) {
        h = sp_alloc(sizeof *h);
        if (!h)
            return sp_err_nomem(err);
        h->role = r;
        sp_arena_init(&h->arena, 4 << 20);
        uv_timer_init(&r->loop, &h->look);
        h->look.data = h;
        uv_timer_start(&h->look, on_look, LOOK_MS, LOOK_MS);
        size_pool(conf);
        r->self = h;
    }
    for (size_t i = 0; i < conf->n_accounts; i++) {
        if (conf->accounts[i].type == SP_CONF_ACCTS_SQLITE)
            continue;
        *last = section_new(h, conf, &conf->accounts[i], m, err);
        if (!*last) {
            while (made) {
                struct section *s = made;

                made = s->next;
                unref(s);
            }
            return -SP_ENOMEM;
        }
        last = &(*last)->next;
    }
    for (struct section *s = h->sections, *next; s; s = next) {
        next = s->next;
        unref(s); /* what waits in its line keeps it until it is answered */
    }
    h->sections = made;
    return 0;
}

const struct sp_role_ops sp_role_auth_helper = {
    .role = SP__ROLE__ROLE_AUTH_HELPER,
    .setup = on_setup,
    .peer = on_peer,
};
