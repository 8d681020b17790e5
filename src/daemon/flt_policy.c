/* flt_policy.c - policy services; see flt.h. */
#include "flt.h"

#include "alloc.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { IDLE_MS = 60 * 1000 };

struct link { /* one connection */
    struct link *next;
    struct flt_pool *pool;
    struct sp_dial *dial;
    struct sp_conn *conn;
    size_t address;
    struct flt_question *q; /* being asked, or waiting for the connection */
    bool used; /* it has answered before: it may have been closed meanwhile */
    struct sp_policy_reader reader;
};

struct flt_question {
    struct flt_question *next; /* of those without a connection */
    struct flt_pool *pool;
    struct flt_session *s;
    struct link *link;
    struct sp_buf text;
    struct sp_timer timer;
    bool again; /* a connection that was kept was closed under it */
};

struct flt_pool {
    struct flt_pool *next;
    struct flt *f;
    struct sp_conf *conf;
    const struct sp_conf_policy *c;
    struct link *links;
    size_t n_links;
    struct flt_question *first, **last;
};

static void dispatch(struct flt_pool *p);

/* ---- questions ---- */

static void question_free(struct flt_question *q)
{
    for (struct flt_question **at = &q->pool->first; *at; at = &(*at)->next)
        if (*at == q) {
            *at = q->next;
            break;
        }
    for (q->pool->last = &q->pool->first; *q->pool->last;
         q->pool->last = &(*q->pool->last)->next)
        ;
    sp_timer_stop(&q->timer);
    sp_buf_free(&q->text);
    q->s->question = NULL;
    sp_free(q);
}

static void link_drop(struct link *l)
{
    struct flt_pool *p = l->pool;

    for (struct link **at = &p->links; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    p->n_links--;
    sp_dial_cancel(l->dial);
    if (l->conn)
        sp_conn_close(l->conn);
    sp_free(l);
}

static void fail(struct flt_question *q, const char *why)
{
    struct flt_session *s = q->s;
    struct flt_pool *p = q->pool;

    if (q->link) {
        q->link->q = NULL;
        link_drop(q->link);
    }
    question_free(q);
    flt_policy_failed(s, why);
    dispatch(p);
}

static void on_timer(void *arg)
{
    fail(arg, "no answer in time");
}

void flt_policy_cancel(struct flt_session *s)
{
    struct flt_question *q = s->question;
    struct flt_pool *p = q ? q->pool : NULL;

    if (!q)
        return;
    if (q->link) { /* the answer would be taken for the next question's */
        q->link->q = NULL;
        link_drop(q->link);
    }
    question_free(q);
    dispatch(p);
}

/* ---- connections ---- */

static void put_on(struct link *l)
{
    memset(&l->reader, 0, sizeof l->reader);
    sp_conn_deadline(l->conn, UINT64_MAX);
    if (sp_conn_write(l->conn, l->q->text.p, l->q->text.n) < 0)
        fail(l->q, "it cannot be told so much at a time");
}

static void answered(struct link *l)
{
    struct flt_question *q = l->q;
    struct flt_session *s = q->s;
    struct flt_pool *p = l->pool;
    char text[SP_POLICY_REPLY_MAX];
    struct sp_policy_action a;

    snprintf(text, sizeof text, "%s", l->reader.action);
    sp_policy_action(sp_str(text), &a);
    l->q = NULL;
    l->used = true;
    q->link = NULL;
    question_free(q);
    sp_conn_deadline(l->conn, IDLE_MS);
    dispatch(p); /* this connection is free: the next question, before new ones come */
    flt_policy_done(s, &a);
}

static size_t on_read(struct sp_conn *c, const char *d, size_t n, void *arg)
{
    struct link *l = arg;
    size_t used;

    (void)c;
    if (!l->q) { /* it talks though nobody asked */
        link_drop(l);
        return n;
    }
    used = sp_policy_feed(&l->reader, (struct sp_str){d, n});
    if (l->reader.bad || used < n)
        fail(l->q, "its reply is malformed or too long");
    else if (l->reader.done)
        answered(l);
    return n;
}

static void on_end(struct sp_conn *c, const struct sp_end *end, void *arg)
{
    struct link *l = arg;
    struct flt_question *q = l->q;
    struct flt_pool *p = l->pool;

    (void)c;
    if (!q) {
        link_drop(l);
    } else if (l->used && l->reader.seen == 0 && !q->again) {
        q->again = true;
        q->link = NULL;
        l->q = NULL;
        link_drop(l);
        q->next = p->first;
        p->first = q;
        if (!q->next)
            p->last = &q->next;
        dispatch(p);
    } else {
        fail(q, end->kind == SP_END_CLEAN ? "it closed the connection" : end->err.text);
    }
}

static void on_deadline(struct sp_conn *c, void *arg)
{
    struct link *l = arg;

    (void)c;
    if (!l->q)
        link_drop(l);
}

static const struct sp_conn_ops conn_ops = {
    .on_read = on_read, .on_end = on_end, .on_deadline = on_deadline};

static int dial(struct link *l);

static void on_dialled(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    struct link *l = arg;

    l->dial = NULL;
    if (!c) {
        if (++l->address < l->pool->c->address.n && dial(l) == 0)
            return;
        fail(l->q, err->text);
        return;
    }
    l->conn = c;
    sp_conn_start(c, &conn_ops, l);
    put_on(l);
}

static int dial(struct link *l)
{
    const struct sp_conf_addr *a = &l->pool->c->address.v[l->address];
    struct sp_dial_opts o = {.host = a->host,
                             .port = a->port,
                             .unix_path = a->kind == SP_CONF_ADDR_UNIX ? a->host : NULL,
                             .timeout_ms = (unsigned)l->pool->c->timeout_s * 1000};

    l->dial = sp_dial(l->pool->f->net, &o, on_dialled, l);
    return l->dial ? 0 : -SP_ENOMEM;
}

static struct link *link_new(struct flt_pool *p)
{
    struct link *l = p->n_links < p->c->connections ? sp_alloc(sizeof *l) : NULL;

    if (!l)
        return NULL;
    l->pool = p;
    if (dial(l) < 0) {
        sp_free(l);
        return NULL;
    }
    l->next = p->links;
    p->links = l;
    p->n_links++;
    return l;
}

static struct link *free_link(struct flt_pool *p)
{
    for (struct link *l = p->links; l; l = l->next)
        if (!l->q && l->conn)
            return l;
    return NULL;
}

static void dispatch(struct flt_pool *p)
{
    while (p->first) {
        struct link *kept = free_link(p), *l = kept ? kept : link_new(p);
        struct flt_question *q = p->first;

        if (!l)
            return;
        p->first = q->next;
        if (!p->first)
            p->last = &p->first;
        q->next = NULL;
        q->link = l;
        l->q = q;
        if (kept)
            put_on(l);
    }
}

/* ---- pools ---- */

static struct flt_pool *pool_of(struct flt_session *s, const struct sp_conf_policy *c)
{
    struct flt_pool *p = s->f->pools;

    while (p && p->c != c)
        p = p->next;
    if (p)
        return p;
    p = sp_alloc(sizeof *p);
    if (!p)
        return NULL;
    p->f = s->f;
    p->conf = sp_conf_ref(s->conf);
    p->c = c;
    p->last = &p->first;
    p->next = s->f->pools;
    s->f->pools = p;
    return p;
}

void flt_policy_tick(struct flt *f)
{
    struct flt_pool **at = &f->pools;

    while (*at) {
        struct flt_pool *p = *at;
        bool busy = p->conf == f->conf || p->first;

        for (struct link *l = p->links; l; l = l->next)
            busy |= l->q != NULL;
        if (busy) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        while (p->links)
            link_drop(p->links);
        sp_conf_unref(p->conf);
        sp_free(p);
    }
}

/* ---- asking ---- */

/* The attributes of Postfix's SMTPD_POLICY_README, as far as there is something to say;
 * those that a service may look for are there even when they are empty. */
static int write_question(const struct flt_session *s, struct sp_buf *out)
{
    const Sp__FilterClient *c = s->client;
    const Sp__FilterAsk *a = s->now->m;
    const char *local = c->address[0] ? "unknown" : "localhost";
    char port[12], bits[12] = "0", size[24];
    int rc = 0;

    snprintf(port, sizeof port, "%u", c->port);
    snprintf(size, sizeof size, "%llu", (unsigned long long)a->size);
    if (c->tls)
        snprintf(bits, sizeof bits, "%u", c->tls->bits);
    const struct {
        const char *name;
        struct sp_str value;
    } rows[] = {
        {"request", SP_LIT("smtpd_access_policy")},
        {"protocol_state", SP_LIT("RCPT")},
        {"protocol_name", c->extended ? SP_LIT("ESMTP") : SP_LIT("SMTP")},
        {"helo_name", sp_str(c->helo)},
        {"queue_id", sp_str(s->id)},
        {"sender", sp_str(s->sender)},
        {"recipient", sp_pb_str(a->address)},
        {"recipient_count", SP_LIT("0")}, /* not known before DATA, says Postfix */
        {"client_address", sp_str(c->address[0] ? c->address : "127.0.0.1")},
        {"client_name", sp_str(local)},
        {"reverse_client_name", sp_str(local)},
        {"client_port", sp_str(port)},
        {"instance", sp_str(s->id)},
        {"sasl_method", sp_str(c->mechanism)},
        {"sasl_username", sp_str(c->user)},
        {"sasl_sender", SP_LIT("")},
        {"size", sp_str(size)},
        {"ccert_subject", sp_str(c->certificate_subject)},
        {"ccert_issuer", sp_str(c->certificate_issuer)},
        {"ccert_fingerprint", sp_str(c->certificate)},
        {"ccert_pubkey_fingerprint", SP_LIT("")},
        {"encryption_protocol", sp_str(c->tls ? c->tls->version : "")},
        {"encryption_cipher", sp_str(c->tls ? c->tls->cipher : "")},
        {"encryption_keysize", sp_str(bits)},
        {"etrn_domain", SP_LIT("")},
        {"stress", SP_LIT("")},
        {"policy_context", sp_str(c->listener)},
    };

    for (size_t i = 0; rc == 0 && i < sizeof rows / sizeof rows[0]; i++)
        rc = sp_policy_ask(out, rows[i].name, rows[i].value);
    return rc == 0 ? sp_policy_ask_end(out) : rc;
}

bool flt_policy_ask(struct flt_session *s, const struct sp_conf_policy *c)
{
    struct flt_pool *p = pool_of(s, c);
    struct flt_question *q = p ? sp_alloc(sizeof *q) : NULL;

    if (!q)
        return false;
    q->pool = p;
    q->s = s;
    sp_buf_init(&q->text, SP_POLICY_ASK_MAX);
    sp_timer_init(&q->timer, s->f->net, on_timer, q);
    if (write_question(s, &q->text) < 0) {
        sp_buf_free(&q->text);
        sp_free(q);
        return false;
    }
    s->question = q;
    *p->last = q;
    p->last = &q->next;
    sp_timer_start(&q->timer, c->timeout_s * 1000);
    dispatch(p);
    return true;
}
