/* srv_message.c - see server_role.h. */
#include "server_role.h"

#include "addr.h"
#include "aliases.h"
#include "alloc.h"
#include "fixup.h"
#include "stored.h"
#include "trace.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ENVELOPE_MAX = 64 << 20 };

struct srv_message {
    struct sp_arena arena;  /* the envelope and everything it names */
    Sp__Envelope env;
    size_t rcpt_room;
    uint32_t *seen; /* hash table of 2 * rcpt_room places: index + 1 of a recipient, or 0 */
    struct sp_buf content;  /* inline content, or the start of it as far as the header */
    struct srv_spare spare;
    bool in_file, failed;   /* failed: the file did not take the octets */
    int failed_errno;
    uint64_t size;          /* octets received */
    struct srv_key key;
    bool lowered;           /* the priority */
    struct sp_buf prefix;   /* what is added in front, while the filters have it ... */
    size_t received;        /* ... of it our Received field */
    struct rcpt_ask *ask; /* the group of RCPT that is being answered */
    size_t asks, open;    /* open: auth was asked and has not answered */
    uint32_t first_ask;   /* what auth calls the first of them */
};

static ProtobufCBinaryData keep(struct srv_message *m, struct sp_str s, bool *ok)
{
    struct sp_str copy = sp_arena_copy(&m->arena, s);

    if (!copy.p)
        *ok = false;
    return (ProtobufCBinaryData){copy.n, (uint8_t *)(uintptr_t)copy.p};
}

static char *keep_text(struct srv_message *m, struct sp_str s, bool *ok)
{
    char *copy = sp_arena_strndup(&m->arena, s.n ? s.p : "", s.n);

    if (!copy)
        *ok = false;
    return copy;
}

void srv_message_forget(struct srv_session *s)
{
    struct srv_message *m = s->msg;

    if (!m)
        return;
    s->msg = NULL;
    srv_limit_refund(s);
    srv_key_free(&m->key);
    for (struct srv_session **at = &s->srv->want_spare; *at; at = &(*at)->next_spare)
        if (*at == s) {
            *at = s->next_spare;
            break;
        }
    if (s->wait == SRV_WAIT_SPARE || s->wait == SRV_WAIT_RCPT)
        s->wait = SRV_WAIT_NOTHING;
    if (m->in_file)
        srv_spare_drop(s->srv, &m->spare);
    srv_filter_abort(s);
    sp_buf_free(&m->content);
    sp_buf_free(&m->prefix);
    sp_arena_reset(&m->arena);
    sp_free(m);
}

static bool refuse(struct srv_session *s, const char *stage, int code, int e1, int e2,
                   int e3, const char *text)
{
    srv_session_log_refusal(s, stage, code, text);
    (void)sp_srv_replyf(s->engine, code, e1, e2, e3, "%s", text);
    return false;
}

/* ---- MAIL ---- */

static bool owns(const struct srv_session *s, struct sp_str address)
{
    for (size_t i = 0; s->who && i < s->who->n_address; i++)
        if (sp_addr_matches(sp_str(s->who->address[i]), address))
            return true;
    return false;
}

static void mail_parameters(struct srv_message *m, const struct sp_mail *p, bool *ok)
{
    Sp__Envelope *e = &m->env;

    e->body = p->body == SP_BODY_BINARYMIME ? SP__BODY_TYPE__BODY_BINARYMIME
              : p->body == SP_BODY_8BITMIME ? SP__BODY_TYPE__BODY_8BITMIME
                                            : SP__BODY_TYPE__BODY_7BIT;
    e->smtputf8 = p->smtputf8;
    e->requiretls = p->requiretls;
    e->ret = p->ret == SP_RET_FULL   ? SP__DSN_RET__RET_FULL
             : p->ret == SP_RET_HDRS ? SP__DSN_RET__RET_HDRS
                                     : SP__DSN_RET__RET_UNSET;
    e->envid = keep(m, p->envid, ok);
    e->size_declared = p->size;
    e->auth_param = keep(m, p->auth, ok);
    if (p->has_by) {
        e->by_seconds = p->by_seconds;
        e->by_mode = p->by_notify ? SP__BY_MODE__BY_NOTIFY : SP__BY_MODE__BY_RETURN;
        e->by_trace = p->by_trace;
    }
    if (p->has_hold)
        e->hold_until_ms = p->hold_is_until ? p->hold_seconds * 1000
                                            : e->received_ms + p->hold_seconds * 1000;
    e->priority = p->priority;
}

/* RFC 6710 4.1: lowered, and said so. */
static bool lower_priority(const struct srv_session *s, Sp__Envelope *e)
{
    int32_t most = (int32_t)s->listener->l->priority_max;

    if (e->priority <= most)
        return false;
    e->priority = most;
    return true;
}

/* What the engine cannot judge, having no clock.  False: refused. */
static bool times_fit(struct srv_session *s, const struct sp_mail *p, uint64_t now_ms)
{
    uint64_t now = now_ms / 1000, most = s->listener->l->future_release_max_s,
             wait = !p->has_hold            ? 0
                    : !p->hold_is_until     ? p->hold_seconds
                    : p->hold_seconds > now ? p->hold_seconds - now
                                            : 0;
    char text[100];

    if (wait > most) {
        snprintf(text, sizeof text, "Held for too long: the most is %llu seconds",
                 (unsigned long long)most);
        return refuse(s, "MAIL", 501, 5, 5, 4, text);
    }
    if (wait && p->has_by && p->by_seconds <= (int64_t)wait)
        return refuse(s, "MAIL", 501, 5, 5, 4,
                      "the time to deliver it by (BY) is over before it is to be sent");
    return true;
}

static void origin(struct srv_session *s, struct srv_message *m, bool *ok)
{
    Sp__Envelope *e = &m->env;
    struct sp_tls_facts f;

    e->listener = keep_text(m, sp_str(s->listener->l->head.name), ok);
    if (s->listener->l->content_filter.n)
        e->content_filter = keep_text(m, sp_str(s->listener->l->content_filter.v[0]), ok);
    if (s->listener->policy.kind == SP_SRV_REINJECT)
        e->forwarded_id = keep_text(m, sp_str(s->forwarded_id), ok);
    s->forwarded_id[0] = '\0';
    e->session = keep_text(m, sp_str(s->id), ok);
    e->client_address = keep_text(m, sp_str(s->address), ok);
    e->client_port = s->port;
    e->helo = keep_text(m, s->client_helo[0] ? sp_str(s->client_helo) : sp_srv_helo(s->engine), ok);
    if (!sp_conn_in_tls(s->conn) || !sp_conn_facts(s->conn, &f))
        return;
    e->tls = sp_arena_alloc(&m->arena, sizeof *e->tls);
    if (!e->tls) {
        *ok = false;
        return;
    }
    sp__tls__init(e->tls);
    e->tls->version = keep_text(m, sp_str(f.version), ok);
    e->tls->cipher = keep_text(m, sp_str(f.cipher), ok);
    e->tls->bits = (uint32_t)f.bits;
    e->tls->sni = keep_text(m, sp_str(f.sni), ok);
}

static struct srv_message *message_new(void)
{
    struct srv_message *m = sp_alloc(sizeof *m);

    if (!m)
        return NULL;
    sp_arena_init(&m->arena, ENVELOPE_MAX);
    sp__envelope__init(&m->env);
    sp_stored_defaults(&m->env, sp_wall_ms());
    sp_buf_init(&m->content, SRV_HEADER_MAX);
    sp_buf_init(&m->prefix, SP_STORED_PREFIX_MAX);
    m->spare.fd = -1;
    return m;
}

static bool sender_allowed(struct srv_session *s, const struct sp_addr *a)
{
    char text[400];

    if (s->listener->l->sender_check == SP_CONF_SENDER_OFF || a->n == 0 ||
        s->listener->policy.kind == SP_SRV_REINJECT || owns(s, sp_addr_text(a)))
        return true;
    snprintf(text, sizeof text, "%s may not send as %.256s",
             s->who ? s->who->user : "this session", a->text);
    return refuse(s, "MAIL", 550, 5, 7, 1, text);
}

/* False: refused. */
static bool begin(struct srv_session *s, const struct sp_mail *p)
{
    struct sp_addr a = {.n = 0};
    struct srv_words w;
    bool ok = true;

    srv_message_forget(s);
    switch (sp_addr_parse(p->path, SP_ADDR_NULL_OK | (p->smtputf8 ? SP_ADDR_UTF8_OK : 0),
                          &a)) {
    case SP_ADDR_OK:
        break;
    case SP_ADDR_UNQUALIFIED:
        return refuse(s, "MAIL", 553, 5, 1, 7, "the sender address needs a domain");
    case SP_ADDR_NEEDS_UTF8:
        return refuse(s, "MAIL", 553, 5, 6, 7, "this address needs SMTPUTF8");
    case SP_ADDR_SYNTAX:
        return refuse(s, "MAIL", 501, 5, 1, 7, "the sender address is malformed");
    }
    if (!sender_allowed(s, &a))
        return false;
    if (s->who && s->who->message_size_max && p->size > s->who->message_size_max)
        return refuse(s, "MAIL", 552, 5, 3, 4, "the message is larger than this account may send");
    if (!times_fit(s, p, sp_wall_ms()))
        return false;
    if (!srv_limit_fits(s, 1, 1, false, &w))
        return refuse(s, "MAIL", 451, 4, 7, 1, w.text);
    s->msg = message_new();
    if (!s->msg)
        return refuse(s, "MAIL", 451, 4, 3, 0, "out of memory; try again later");
    s->msg->env.reverse_path = keep(s->msg, sp_addr_text(&a), &ok);
    mail_parameters(s->msg, p, &ok);
    origin(s, s->msg, &ok);
    if (ok)
        return true;
    srv_message_forget(s);
    return refuse(s, "MAIL", 451, 4, 3, 0, "out of memory; try again later");
}

void srv_message_mail(struct srv_session *s, const struct sp_mail *p)
{
    struct sp_str sender;

    if (!begin(s, p))
        return;
    s->msg->lowered = lower_priority(s, &s->msg->env);
    sender = sp_pb_str(s->msg->env.reverse_path);
    if (!srv_filter_wanted(s)) {
        srv_message_mail_accepted(s);
    } else if (!srv_filter_mail(s, sender, p)) {
        srv_message_forget(s);
        (void)refuse(s, "MAIL", 451, 4, 3, 0, "the filters are being restarted; try again later");
    }
}

void srv_message_mail_accepted(struct srv_session *s)
{
    if (!s->msg)
        return;
    if (s->msg->lowered)
        (void)sp_srv_replyf(s->engine, 250, 2, 3, 6,
                            "Sender ok; the priority is lowered to %d",
                            (int)s->msg->env.priority);
    else
        (void)sp_srv_accept(s->engine);
}

/* ---- RCPT ---- */

/* The place of this address in the table: its own, or the free one where it belongs. */
static uint32_t *place(struct srv_message *m, struct sp_str address, struct sp_str deliver)
{
    size_t mask = 2 * m->rcpt_room - 1;
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < address.n; i++)
        h = (h ^ (unsigned char)address.p[i]) * 16777619u;
    for (size_t at = h & mask;; at = (at + 1) & mask) {
        const Sp__Recipient *r = m->seen[at] ? m->env.rcpt[m->seen[at] - 1] : NULL;

        if (!r || (sp_str_eq(sp_pb_str(r->address), address) &&
                   sp_str_eq(sp_pb_str(r->deliver), deliver)))
            return &m->seen[at];
    }
}

static int more_room(struct srv_message *m)
{
    size_t room = m->rcpt_room ? m->rcpt_room * 2 : 8;
    Sp__Recipient **v = sp_arena_alloc(&m->arena, room * sizeof *v);
    uint32_t *seen = sp_arena_alloc(&m->arena, 2 * room * sizeof *seen);

    if (!v || !seen)
        return -SP_ENOMEM;
    if (m->env.n_rcpt)
        memcpy(v, m->env.rcpt, m->env.n_rcpt * sizeof *v);
    m->env.rcpt = v;
    m->seen = seen;
    m->rcpt_room = room;
    for (size_t i = 0; i < m->env.n_rcpt; i++)
        *place(m, sp_pb_str(v[i]->address), sp_pb_str(v[i]->deliver)) = (uint32_t)i + 1;
    return 0;
}

/* Named twice, an address still gets the message once; the first naming counts. */
static int add_rcpt(struct srv_message *m, const Sp__Recipient *r)
{
    struct sp_str address = sp_pb_str(r->address), deliver = sp_pb_str(r->deliver);
    Sp__Recipient *x;
    uint32_t *at;
    bool ok = true;

    if (m->env.n_rcpt == m->rcpt_room && more_room(m) < 0)
        return -SP_ENOMEM;
    at = place(m, address, deliver);
    if (*at)
        return 0;
    x = sp_arena_alloc(&m->arena, sizeof *x);
    if (!x)
        return -SP_ENOMEM;
    sp__recipient__init(x);
    x->address = keep(m, address, &ok);
    x->deliver = keep(m, deliver, &ok);
    x->original = keep(m, sp_pb_str(r->original), &ok);
    x->orcpt = keep(m, sp_pb_str(r->orcpt), &ok);
    x->notify = r->notify;
    if (!ok)
        return -SP_ENOMEM;
    m->env.rcpt[m->env.n_rcpt++] = x;
    *at = (uint32_t)m->env.n_rcpt;
    return 0;
}

static struct sp_reply no(int code, int e1, int e2, int e3, const char *text)
{
    return (struct sp_reply){code, {e1, e2, e3}, sp_str(text)};
}

/* One RCPT of the group that is being answered. */
struct rcpt_ask {
    Sp__Recipient said;      /* as the client gave it, canonical */
    Sp__RecipientResult *is; /* what auth says; NULL: nobody was asked, or not yet */
    struct sp_reply reply;   /* code 0: not decided */
    struct srv_words words;
    bool asked;
    bool passed; /* by the filters, or they have refused it */
};

static bool has_route(const struct srv_session *s, struct sp_str address)
{
    /* By whose route what comes back goes, the queue finds out: it knows who sent it. */
    return s->listener->policy.kind == SP_SRV_REINJECT || sp_conf_route_for(s->listener->conf, address, sp_pb_str(s->msg->env.reverse_path),
                             sp_str(s->who ? s->who->user : "")) != NULL;
}

/* What can be said before anybody is asked; code 0: it is fine so far. */
static struct sp_reply judge_rcpt(struct srv_session *s, const struct sp_rcpt *r,
                                  struct rcpt_ask *ret)
{
    struct srv_message *m = s->msg;
    struct sp_addr a;
    bool ok = true;

    switch (sp_addr_parse(r->path,
                          SP_ADDR_POSTMASTER | (m->env.smtputf8 ? SP_ADDR_UTF8_OK : 0), &a)) {
    case SP_ADDR_OK:
        break;
    case SP_ADDR_UNQUALIFIED:
        return no(554, 5, 1, 2, "the recipient address needs a domain");
    case SP_ADDR_NEEDS_UTF8:
        return no(553, 5, 6, 7, "this address needs SMTPUTF8");
    case SP_ADDR_SYNTAX:
        return no(501, 5, 1, 3, "the recipient address is malformed");
    }
    if (a.at == a.n) /* <postmaster>: RFC 5321 4.1.1.3 */
        (void)sp_addr_parse(sp_str(s->listener->conf->postmaster), SP_ADDR_UTF8_OK, &a);
    sp__recipient__init(&ret->said);
    ret->said.address = keep(m, sp_addr_text(&a), &ok);
    ret->said.orcpt = keep(m, r->orcpt, &ok);
    ret->said.notify = r->notify;
    if (!ok)
        return no(451, 4, 3, 0, "out of memory; try again later");
    return no(0, 0, 0, 0, "");
}

/* Limits, by what is in the message already: earlier ones of the group count. */
static struct sp_reply judge_limits(struct srv_session *s, struct srv_words *w)
{
    const struct srv_message *m = s->msg;

    if (s->who && s->who->recipients_max && m->env.n_rcpt >= s->who->recipients_max)
        return no(452, 4, 5, 3, "too many recipients for this account; send the rest in "
                                "another message");
    if (!srv_limit_fits(s, 1, (uint32_t)m->env.n_rcpt + 1, false, w))
        return no(451, 4, 7, 1, w->text);
    return no(0, 0, 0, 0, "");
}

static struct sp_reply by_auth(const Sp__RecipientResult *r, struct srv_words *w)
{
    int e[3] = {0, 0, 0};

    (void)sp_str_enhanced(sp_str(r->enhanced), e);
    (void)snprintf(w->text, sizeof w->text, "%.200s", r->text);
    return no(r->code == 451 ? 451 : 550, r->code == 451 ? 4 : 5, e[1], e[2], w->text);
}

/* Into the envelope: itself, or what it becomes. */
static struct sp_reply take_rcpt(struct srv_session *s, struct rcpt_ask *k)
{
    struct srv_message *m = s->msg;
    const struct sp_reply lost = no(451, 4, 3, 0, "out of memory; try again later");
    const struct sp_reply no_way = no(550, 5, 1, 2, "no route to this domain is configured here");
    /* Behind a content filter it comes back as it was said, and is looked up then. */
    bool later = m->env.content_filter[0] && k->is;
    size_t n = k->is && !later ? k->is->n_to : 0, ways = 0;

    if (k->asked && !k->is)
        return no(451, 4, 3, 0, "recipients cannot be looked up just now; try again later");
    if (k->is && k->is->code != 250)
        return by_auth(k->is, &k->words);
    if (m->env.n_rcpt + n > SP_STORED_RCPT_MAX)
        return no(452, 4, 5, 3, "too many recipients; send the rest in another message");
    if (n == 0)
        return !later && !has_route(s, sp_pb_str(k->said.address)) ? no_way
               : add_rcpt(m, &k->said) < 0               ? lost
                                                         : no(250, 2, 1, 5, "recipient ok");
    /* A member of a list to whom no route leads is returned by the queue; the others get
     * theirs. */
    for (size_t i = 0; i < n; i++)
        ways += k->is->to[i]->deliver.len || has_route(s, sp_pb_str(k->is->to[i]->address));
    if (ways == 0)
        return no_way;
    for (size_t i = 0; i < n; i++) {
        Sp__Recipient r = k->said; /* RFC 3461 5.2.7: what was asked for holds for each */

        r.address = k->is->to[i]->address;
        r.deliver = k->is->to[i]->deliver;
        r.original = k->said.address;
        if (add_rcpt(m, &r) < 0)
            return lost;
    }
    return no(250, 2, 1, 5, "recipient ok");
}

static void answer_group(struct srv_session *s)
{
    struct srv_message *m = s->msg;
    size_t n = m->asks;

    m->asks = 0;
    for (size_t i = 0; i < n; i++) {
        struct rcpt_ask *k = &m->ask[i];
        struct srv_words w;
        struct sp_reply limits;

        if (k->reply.code == 0) {
            limits = judge_limits(s, &w);
            k->reply = limits.code ? limits : take_rcpt(s, k);
        }
        if (k->reply.code >= 400)
            srv_session_log_refusal(s, "RCPT", k->reply.code, k->reply.text.p);
        (void)sp_srv_rcpt(s->engine, i, &k->reply);
    }
}

/* What we would refuse ourselves no filter need see. */
static struct sp_reply own_refusal(const struct srv_session *s, struct rcpt_ask *k)
{
    if (k->asked && !k->is)
        return no(451, 4, 3, 0, "recipients cannot be looked up just now; try again later");
    if (k->is && k->is->code != 250)
        return by_auth(k->is, &k->words);
    if (!k->is && !has_route(s, sp_pb_str(k->said.address)))
        return no(550, 5, 1, 2, "no route to this domain is configured here");
    return no(0, 0, 0, 0, "");
}

static bool ask_filters(struct srv_session *s, const struct sp_rcpt *r, struct rcpt_ask *k, size_t i)
{
    struct srv_filter *f = &s->filter;

    if (f->number + 1 - f->first >= SRV_FILTER_GROUP ||
        !srv_filter_rcpt(s, r, sp_pb_str(k->said.address), s->msg->env.size_declared,
                         s->msg->env.n_rcpt))
        return false;
    f->index[f->number - f->first] = (uint16_t)i;
    f->asked = f->number - f->first + 1;
    f->left++;
    return true;
}

/* It is known what they become: now the filters, if there are any. */
static void group_known(struct srv_session *s)
{
    struct srv_message *m = s->msg;

    s->filter.first = s->filter.number + 1;
    s->filter.asked = s->filter.left = 0;
    for (size_t i = 0; srv_filter_wanted(s) && i < m->asks; i++) {
        struct rcpt_ask *k = &m->ask[i];
        struct sp_rcpt said = {.notify = k->said.notify, .orcpt = sp_pb_str(k->said.orcpt)};

        if (k->reply.code == 0)
            k->reply = own_refusal(s, k);
        if (k->reply.code == 0 && !ask_filters(s, &said, k, i))
            k->reply = no(451, 4, 3, 0, "the filters were started again; try again later");
    }
    if (!s->filter.left)
        answer_group(s);
}

bool srv_message_rcpt_answer(struct srv_session *s, size_t index, const struct sp_reply *r)
{
    struct rcpt_ask *k = s->msg && index < s->msg->asks ? &s->msg->ask[index] : NULL;

    if (!k || k->passed || k->reply.code)
        return false;
    k->passed = true;
    if (r->code == 250)
        return true;
    (void)snprintf(k->words.text, sizeof k->words.text, "%.*s", (int)(r->text.n < 290 ? r->text.n : 290),
                   r->text.n ? r->text.p : "");
    k->reply = no(r->code, r->enh[0], r->enh[1], r->enh[2], k->words.text);
    return true;
}

void srv_message_rcpts_filtered(struct srv_session *s)
{
    if (s->msg)
        answer_group(s);
}

static bool ask_auth(struct srv_session *s, struct rcpt_ask *k, uint32_t index)
{
    Sp__RecipientLook look = SP__RECIPIENT_LOOK__INIT;

    look.session = s->key;
    look.index = index;
    look.address = k->said.address;
    look.user = s->who ? s->who->user : look.user;
    return srv_session_ask(s, SP_MSG_RCPT_LOOK, &look.base) == 0;
}

void srv_message_rcpt(struct srv_session *s, const struct sp_rcpt *r, size_t n)
{
    struct srv_message *m = s->msg;

    m->ask = sp_arena_alloc(&m->arena, n * sizeof *m->ask);
    m->asks = m->ask ? n : 0;
    m->open = 0;
    m->first_ask = s->asked_rcpts;
    s->asked_rcpts += (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        struct sp_reply lost = no(451, 4, 3, 0, "out of memory; try again later");
        struct rcpt_ask *k = m->ask ? &m->ask[i] : NULL;

        if (!k) {
            (void)sp_srv_rcpt(s->engine, i, &lost);
            continue;
        }
        k->reply = judge_rcpt(s, &r[i], k);
        k->asked = k->reply.code == 0 &&
                   sp_aliases_matter(s->listener->conf, sp_pb_str(k->said.address));
        if (k->asked && ask_auth(s, k, m->first_ask + (uint32_t)i))
            m->open++;
    }
    if (m->open)
        s->wait = SRV_WAIT_RCPT;
    else
        group_known(s);
}

static Sp__RecipientResult *copy_result(struct srv_message *m, const Sp__RecipientResult *r)
{
    struct sp_buf b;
    Sp__RecipientResult *copy;

    sp_buf_init(&b, SP_FRAME_META_MAX);
    copy = sp_pb_pack(&r->base, &b) < 0
               ? NULL
               : sp_pb_unpack(&sp__recipient_result__descriptor, sp_buf_view(&b), &m->arena);
    sp_buf_free(&b);
    return copy;
}

void srv_message_recipient(struct srv_session *s, const Sp__RecipientResult *r)
{
    struct srv_message *m = s->msg;
    uint32_t i = m && r ? r->index - m->first_ask : 0;

    if (s->wait != SRV_WAIT_RCPT || !m || s->closing)
        return;
    if (r) {
        if (i >= m->asks || !m->ask[i].asked || m->ask[i].is)
            return; /* of a group that is over */
        m->ask[i].is = copy_result(m, r);
        if (--m->open)
            return;
    }
    s->wait = SRV_WAIT_NOTHING;
    group_known(s);
    srv_session_pump(s);
}

/* ---- DATA, octets ---- */

void srv_message_data(struct srv_session *s, uint64_t size_hint)
{
    (void)size_hint;
    if (s->srv->disk_full) {
        srv_spare_ask(s->srv);
        (void)refuse(s, "DATA", 452, 4, 3, 1, "the disk is full; try again later");
        return;
    }
    if (!s->srv->queue || sp_port_full(s->srv->queue)) {
        (void)refuse(s, "DATA", 451, 4, 3, 0, "the queue is busy; try again later");
        return;
    }
    if (srv_filter_wanted(s) && !s->filter.transaction)
        (void)refuse(s, "DATA", 451, 4, 3, 0, "the filters were started again; try again later");
    else if (!s->listener->l->milters.n)
        (void)sp_srv_accept(s->engine);
    else if (!srv_filter_data(s))
        (void)refuse(s, "DATA", 451, 4, 3, 0, "the filters are busy; try again later");
}

static void write_file(struct srv_message *m, struct sp_str octets)
{
    while (octets.n && !m->failed) {
        ssize_t n = write(m->spare.fd, octets.p, octets.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            m->failed = true; /* said at the end, when the octets are all read */
            m->failed_errno = errno;
            return;
        }
        octets.p += n;
        octets.n -= (size_t)n;
    }
}

/* The header is needed in memory at the end; what is behind it goes to the file only. */
static void note_header(struct srv_message *m, struct sp_str octets)
{
    size_t room = m->content.max - m->content.n;

    /* What fits, so that it is full from then on: nothing may be added behind a gap. */
    if (octets.n > room)
        octets.n = room;
    if (octets.n && sp_buf_str(&m->content, octets) < 0)
        m->failed = true;
}

static void to_file(struct srv_session *s)
{
    struct srv_message *m = s->msg;

    m->in_file = true;
    srv_key_large(s, &m->key, sp_buf_view(&m->content));
    write_file(m, sp_buf_view(&m->content));
}

void srv_message_body(struct srv_session *s, struct sp_str octets)
{
    struct srv_message *m = s->msg;

    if (!m) {
        (void)sp_srv_accept(s->engine);
        return;
    }
    m->size += octets.n;
    if (m->in_file) {
        srv_key_octets(&m->key, octets);
        write_file(m, octets);
        note_header(m, octets);
        (void)sp_srv_accept(s->engine);
        return;
    }
    if (sp_buf_str(&m->content, octets) < 0)
        m->failed = true;
    if (m->content.n <= SRV_INLINE_MAX || m->failed) {
        (void)sp_srv_accept(s->engine);
        return;
    }
    if (srv_spare_take(s->srv, &m->spare)) {
        to_file(s);
        (void)sp_srv_accept(s->engine);
        return;
    }
    /* No file yet: the event stays unanswered, which is the backpressure. */
    s->wait = SRV_WAIT_SPARE;
    s->next_spare = s->srv->want_spare;
    s->srv->want_spare = s;
}

void srv_message_spare(struct srv *srv)
{
    while (srv->want_spare) {
        struct srv_session *s = srv->want_spare;

        if (srv->disk_full || !s->msg) {
            srv->want_spare = s->next_spare;
            s->wait = SRV_WAIT_NOTHING;
            (void)refuse(s, "DATA", 452, 4, 3, 1, "the disk is full; try again later");
        } else if (srv_spare_take(srv, &s->msg->spare)) {
            srv->want_spare = s->next_spare;
            s->wait = SRV_WAIT_NOTHING;
            to_file(s);
            (void)sp_srv_accept(s->engine);
        } else {
            return;
        }
        srv_session_pump(s);
    }
}

/* ---- the end of the message ---- */

static int fixup(struct srv_session *s, struct sp_fix_plan *plan, bool *ok)
{
    struct srv_message *m = s->msg;
    struct sp_str own[512];
    struct sp_fix_in in = {
        .header = sp_buf_view(&m->content),
        .reverse_path = {(char *)m->env.reverse_path.data, m->env.reverse_path.len},
        .smtputf8 = m->env.smtputf8,
        .check_owner = s->listener->l->sender_check == SP_CONF_SENDER_BOTH &&
                       s->listener->policy.kind != SP_SRV_REINJECT,
        .hostname = sp_str(s->listener->conf->hostname),
        .now_ms = m->env.received_ms,
        .zone_minutes = s->srv->zone_minutes,
        .own = own,
        .policy = &s->listener->fix,
    };

    if (s->who) {
        in.user = sp_str(s->who->user);
        in.first_address = sp_str(s->who->first_address);
        for (size_t i = 0; i < s->who->n_address && in.own_n < 512; i++)
            own[in.own_n++] = sp_str(s->who->address[i]);
    }
    *ok = RAND_bytes(in.random, sizeof in.random) == 1;
    return sp_fix_make(&in, plan);
}

static int received_field(struct srv_session *s, struct sp_buf *out)
{
    const Sp__Envelope *e = &s->msg->env;
    const struct sp_conf_listener *l = s->listener->l;
    struct sp_trace t = {
        .helo = sp_str(e->helo),
        .client_address = sp_str(e->client_address),
        .hide_client = l->trace_hide_client,
        .hostname = sp_str(s->listener->conf->hostname),
        .id = sp_str(s->id),
        .esmtp = sp_srv_extended(s->engine),
        .smtputf8 = e->smtputf8,
        .tls = e->tls != NULL,
        .login = s->who && s->listener->policy.kind == SP_SRV_SUBMISSION,
        .now_ms = e->received_ms,
        .zone_minutes = s->srv->zone_minutes,
    };

    if (e->tls) {
        t.tls_version = sp_str(e->tls->version);
        t.tls_cipher = sp_str(e->tls->cipher);
        t.tls_bits = e->tls->bits;
    }
    if (l->trace_identity && s->who)
        t.identity = sp_str(s->who->user);
    if (e->n_rcpt == 1) /* as it was addressed: what it becomes is nobody's business */
        t.only_recipient = sp_pb_str(e->rcpt[0]->original.len ? e->rcpt[0]->original
                                                              : e->rcpt[0]->address);
    return sp_trace_received(out, &t);
}

static int add_cut(struct srv_message *m, uint64_t offset, uint64_t length)
{
    Sp__Cut *c = m->env.cut ? sp_arena_alloc(&m->arena, sizeof *c) : NULL;

    if (!c)
        return -SP_ENOMEM;
    sp__cut__init(c);
    c->offset = offset;
    c->length = length;
    m->env.cut[m->env.n_cut++] = c;
    return 0;
}

/* drop: one field more that is left out, or NULL. */
static int take_cuts(struct srv_message *m, const struct sp_fix_plan *plan,
                     const struct sp_field *drop)
{
    Sp__Envelope *e = &m->env;
    size_t i = 0;
    int rc = 0;

    if (plan->cut_n == 0 && !drop)
        return 0;
    e->cut = sp_arena_alloc(&m->arena, (plan->cut_n + 1) * sizeof *e->cut);
    for (; rc == 0 && i < plan->cut_n && !(drop && plan->cut[i].offset > drop->offset); i++)
        rc = add_cut(m, plan->cut[i].offset, plan->cut[i].length);
    if (rc == 0 && drop)
        rc = add_cut(m, drop->offset, drop->raw.n);
    for (; rc == 0 && i < plan->cut_n; i++)
        rc = add_cut(m, plan->cut[i].offset, plan->cut[i].length);
    return rc;
}

static int take_plan(struct srv_message *m, const struct sp_fix_plan *plan)
{
    Sp__Envelope *e = &m->env;
    bool ok = true;

    e->header_size = plan->header_size;
    e->has_8bit_header = plan->has_8bit_header;
    /* RFC 8689 4.1: what the envelope asks for counts, not the field. */
    e->tls_required_no = plan->tls_required_no && !e->requiretls;
    e->hops = plan->hops;
    e->message_id = keep(m, sp_str(plan->message_id), &ok);
    return ok ? 0 : -SP_ENOMEM;
}

/* The submission key, and the cuts.  False: answered with a refusal. */
static bool make_key(struct srv_session *s, const struct sp_fix_plan *plan)
{
    struct srv_message *m = s->msg;
    size_t n = plan->header_size < m->content.n ? plan->header_size : m->content.n;
    struct srv_key_in in = {
        .header = {m->content.p, n},
        .content = sp_buf_view(&m->content),
        .in_file = m->in_file,
        /* A Message-ID of ours is new each time. */
        .own_id = plan->message_id[0] &&
                  !memmem(plan->prefix.n ? plan->prefix.p : "", plan->prefix.n, "Message-ID:", 11),
        .arena = &m->arena,
    };
    struct sp_field field;
    enum srv_key_answer a = srv_key_make(s, &in, &m->key, &m->env, &field);
    /* Nothing of a message that carries a signature is left out. */
    bool drop = a == SRV_KEY_EXPLICIT && !plan->is_signed;

    if (a == SRV_KEY_BAD)
        return refuse(s, "dot", 554, 5, 6, 0,
                      "Submission-Key: once, and 1 to 200 visible ASCII characters");
    if (a == SRV_KEY_FAILED || take_cuts(m, plan, drop ? &field : NULL) < 0)
        return refuse(s, "dot", 451, 4, 3, 0, "out of memory; try again later");
    return true;
}

static void release_content(void *p)
{
    sp_free(p);
}

/* Names this message, not only this session: the answer to one that took too long must
 * not be taken for the answer to the next (a 250 for mail that is not stored). */
enum { SEQ_SHIFT = 16 };
#define SEQ_MASK ((uint64_t)0xffff << SEQ_SHIFT)
static_assert(SRV_SESSIONS_MAX <= 1 << SEQ_SHIFT, "slot and sequence share 32 bits");

static uint64_t message_tag(const struct srv_session *s)
{
    return s->key | (uint64_t)s->submits << SEQ_SHIFT;
}

static int submit(struct srv_session *s, const struct sp_buf *prefix)
{
    struct srv_message *m = s->msg;
    Sp__Submit sub = SP__SUBMIT__INIT;
    struct sp_raw raw = {.octets = sp_buf_view(&m->content),
                         .release = release_content,
                         .arg = m->content.p};
    int rc;

    s->submits++;
    s->ended_ns = uv_hrtime();
    sub.tag = message_tag(s);
    sub.envelope = &m->env;
    sub.prefix = (ProtobufCBinaryData){prefix->n, (uint8_t *)prefix->p};
    sub.content_in_frame = !m->in_file;
    sub.spare = m->spare.id;
    s->stored_by_ms = s->dot_ms + SRV_ANSWER_MS;
    s->overdue = 0;
    sub.until_ms = s->stored_by_ms;
    if (m->in_file || m->content.n == 0)
        return sp_port_say(s->srv->queue, SP_MSG_SUBMIT, &sub.base);
    /* The octets are given away, also when it fails. */
    m->content.p = NULL;
    m->content.n = m->content.cap = 0;
    rc = sp_port_send(s->srv->queue, SP_MSG_SUBMIT, &sub.base, &raw, -1);
    return rc;
}

/* What can be said without the queue.  True: it goes on. */
static bool content_ok(struct srv_session *s)
{
    struct srv_message *m = s->msg;

    if (!s->srv->queue)
        return refuse(s, "dot", 451, 4, 3, 0, "the queue is being restarted; try again");
    if (m->failed && (m->failed_errno == ENOSPC || m->failed_errno == EDQUOT ||
                      m->failed_errno == EFBIG))
        return refuse(s, "dot", 452, 4, 3, 1, "the disk is full; try again later");
    if (m->failed)
        return refuse(s, "dot", 451, 4, 3, 0, "the message could not be written; try again later");
    if (s->who && s->who->message_size_max && m->size > s->who->message_size_max)
        return refuse(s, "dot", 552, 5, 3, 4, "the message is larger than this account may send");
    return true;
}

static bool prepare(struct srv_session *s, struct sp_buf *prefix, struct sp_fix_plan *plan)
{
    bool ok = true;

    if (fixup(s, plan, &ok) < 0 || !ok)
        return refuse(s, "dot", 451, 4, 3, 0, "out of memory; try again later");
    if (plan->refused) {
        int e[3] = {5, 6, 0};

        (void)sp_str_enhanced(sp_str(plan->enhanced), e);
        return refuse(s, "dot", (int)plan->code, e[0], e[1], e[2], plan->text);
    }
    /* What lies behind the part in memory was not looked at: a Bcc could be in it. */
    if (s->msg->in_file && s->msg->content.n == s->msg->content.max &&
        plan->header_size >= s->msg->content.n)
        return refuse(s, "dot", 554, 5, 6, 0, "the header is too large");
    if (take_plan(s->msg, plan) < 0)
        return refuse(s, "dot", 451, 4, 3, 0, "out of memory; try again later");
    if (!make_key(s, plan))
        return false;
    if (received_field(s, prefix) < 0)
        return refuse(s, "dot", 451, 4, 3, 0, "out of memory; try again later");
    s->msg->received = prefix->n;
    if (sp_buf_str(prefix, sp_buf_view(&plan->prefix)) < 0)
        return refuse(s, "dot", 451, 4, 3, 0, "out of memory; try again later");
    return true;
}

static int fill_identity(struct srv_session *s)
{
    Sp__Envelope *e = &s->msg->env;
    bool ok = true;

    e->content_size = s->msg->size;
    e->with = keep_text(s->msg,
                        sp_str(sp_trace_with(false, sp_srv_extended(s->engine), e->smtputf8,
                                             e->tls != NULL, s->who != NULL)),
                        &ok);
    if (!s->who)
        return ok ? 0 : -SP_ENOMEM;
    /* Only who it was, not all it may do: rights are looked up anew when they matter. */
    e->identity = sp_arena_alloc(&s->msg->arena, sizeof *e->identity);
    if (!e->identity)
        return -SP_ENOMEM;
    sp__identity__init(e->identity);
    e->identity->user = s->who->user;
    e->identity->login = s->who->login;
    e->identity->mechanism = s->who->mechanism;
    e->identity->implicit = s->who->implicit;
    e->identity->certificate = s->who->certificate;
    return ok ? 0 : -SP_ENOMEM;
}

/* The archive's copy.  It is no business of the sender's, who hears nothing of it. */
static int add_bcc(struct srv_session *s)
{
    const char *to = s->listener->conf->always_bcc;
    Sp__Recipient r = SP__RECIPIENT__INIT;

    if (!to)
        return 0;
    r.address = (ProtobufCBinaryData){strlen(to), (uint8_t *)(uintptr_t)to};
    r.notify = 1; /* NEVER: RFC 3461 4.1 */
    return add_rcpt(s->msg, &r);
}

/* Last of all: what was refused before costs nothing. */
static bool charge(struct srv_session *s)
{
    struct srv_words w;

    return srv_limit_fits(s, 1, (uint32_t)s->msg->env.n_rcpt, true, &w) ||
           refuse(s, "dot", 451, 4, 7, 1, w.text);
}

/* To the queue.  False: answered with a refusal. */
static bool hand_over(struct srv_session *s, const struct sp_buf *prefix)
{
    if (!charge(s))
        return false;
    if (fill_identity(s) < 0 || add_bcc(s) < 0 || submit(s, prefix) < 0)
        return refuse(s, "dot", 451, 4, 3, 0, "the queue is busy; try again later");
    s->wait = SRV_WAIT_QUEUE;
    if (s->msg->in_file) { /* the queue has its own descriptor of it */
        close(s->msg->spare.fd);
        s->msg->in_file = false;
    }
    return true;
}

/* What the filters see: our additions but Received, and the header without what is left out. */
static int whole_header(const struct srv_message *m, struct sp_str additions, struct sp_buf *out)
{
    const Sp__Envelope *e = &m->env;
    uint64_t at = 0;
    int rc = sp_buf_str(out, additions);

    for (size_t i = 0; rc == 0 && i <= e->n_cut; i++) {
        uint64_t to = i < e->n_cut ? e->cut[i]->offset : e->header_size;

        rc = sp_buf_put(out, m->content.p + at, (size_t)(to - at));
        at = i < e->n_cut ? to + e->cut[i]->length : to;
    }
    return rc;
}

static bool to_filters(struct srv_session *s, struct sp_buf *prefix)
{
    struct srv_message *m = s->msg;
    uint64_t h = m->env.header_size;
    struct sp_str additions = {prefix->p + m->received, prefix->n - m->received};
    struct srv_filter_in in = {.fd = -1, .size = m->size - h};
    struct sp_buf header;
    bool asked = false;

    sp_buf_init(&header, 2 * SRV_HEADER_MAX);
    if (h <= m->content.n && whole_header(m, additions, &header) == 0) {
        in.header = sp_buf_view(&header);
        if (m->in_file) {
            in.fd = m->spare.fd;
            in.offset = h;
        } else {
            in.body = (struct sp_str){m->content.p + h, m->content.n - (size_t)h};
        }
        sp_buf_free(&m->prefix);
        m->prefix = *prefix;
        sp_buf_init(prefix, SP_STORED_PREFIX_MAX);
        asked = srv_filter_message(s, &in);
    }
    sp_buf_free(&header);
    return asked || refuse(s, "dot", 451, 4, 3, 0, "the filters were started again; try again later");
}

void srv_message_end(struct srv_session *s, uint64_t size, bool body8, bool header8)
{
    struct sp_fix_plan plan;
    struct sp_buf prefix;
    bool sent = false;

    (void)size;
    s->dot_ms = uv_now(&s->srv->role->loop);
    if (!s->msg) {
        (void)refuse(s, "dot", 451, 4, 3, 0, "try again later");
        return;
    }
    sp_fix_plan_init(&plan);
    sp_buf_init(&prefix, SP_STORED_PREFIX_MAX);
    s->msg->env.has_8bit_body = body8;
    s->msg->env.has_8bit_header = header8;
    if (content_ok(s) && prepare(s, &prefix, &plan))
        sent = srv_filter_wanted(s) ? to_filters(s, &prefix) : hand_over(s, &prefix);
    sp_buf_free(&prefix);
    sp_fix_plan_free(&plan);
    if (!sent)
        srv_message_forget(s);
}

/* ---- what the filters made of it ---- */

static bool filters_wrong(struct srv_session *s, const char *what)
{
    sp_log(SP_LOG_WARNING, s->id, SP_KVS("reason", what));
    return refuse(s, "dot", 451, 4, 3, 0, "a filter made a message that cannot be sent; try again later");
}

/* Whole lines, none of them empty: what stands in it stays header. */
static bool header_sound(struct sp_str h)
{
    for (size_t i = 0; i < h.n; i++) {
        bool cr = i && h.p[i - 1] == '\r';

        if (h.p[i] == '\0' || (h.p[i] == '\n') != cr)
            return false;
        if (h.p[i] == '\n' && (i == 1 || h.p[i - 2] == '\n'))
            return false;
    }
    return h.n == 0 || h.p[h.n - 1] == '\n';
}

static bool has_8bit(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 127)
            return true;
    return false;
}

/* Filters heard of a recipient as the client named it: what an alias became of it goes, too. */
static void drop_rcpt(struct srv_message *m, struct sp_str address)
{
    Sp__Envelope *e = &m->env;
    size_t kept = 0;

    for (size_t i = 0; i < e->n_rcpt; i++) {
        struct sp_str said = sp_pb_str(e->rcpt[i]->original);

        if (!sp_addr_equal(said.n ? said : sp_pb_str(e->rcpt[i]->address), address))
            e->rcpt[kept++] = e->rcpt[i];
    }
    e->n_rcpt = kept;
}

/* The table of addresses anew: some have gone. */
static void find_places(struct srv_message *m)
{
    memset(m->seen, 0, 2 * m->rcpt_room * sizeof *m->seen);
    for (size_t i = 0; i < m->env.n_rcpt; i++)
        *place(m, sp_pb_str(m->env.rcpt[i]->address), sp_pb_str(m->env.rcpt[i]->deliver)) =
            (uint32_t)i + 1;
}

static bool new_envelope(struct srv_session *s, const Sp__FilterAnswer *a)
{
    struct srv_message *m = s->msg;
    struct sp_addr x;
    bool ok = true;

    if (a->new_sender) {
        if (sp_addr_parse(sp_pb_str(a->sender), SP_ADDR_NULL_OK | SP_ADDR_UTF8_OK, &x) != SP_ADDR_OK)
            return filters_wrong(s, "a filter gave a sender that is no address");
        m->env.reverse_path = keep(m, sp_addr_text(&x), &ok);
    }
    if (a->remove_all)
        m->env.n_rcpt = 0;
    for (size_t i = 0; i < a->n_removed; i++)
        if (sp_addr_parse(sp_pb_str(a->removed[i]), SP_ADDR_UTF8_OK, &x) == SP_ADDR_OK)
            drop_rcpt(m, sp_addr_text(&x));
    if (a->remove_all || a->n_removed)
        find_places(m);
    for (size_t i = 0; ok && i < a->n_added; i++) {
        Sp__Recipient r = SP__RECIPIENT__INIT;

        if (sp_addr_parse(sp_pb_str(a->added[i]->address), SP_ADDR_UTF8_OK, &x) != SP_ADDR_OK)
            return filters_wrong(s, "a filter gave a recipient that is no address");
        r.address = (ProtobufCBinaryData){x.n, (uint8_t *)x.text};
        r.orcpt = a->added[i]->orcpt;
        r.notify = a->added[i]->notify <= 15 ? a->added[i]->notify : 0;
        ok = m->env.n_rcpt < SP_STORED_RCPT_MAX && add_rcpt(m, &r) == 0;
    }
    if (a->hold[0])
        m->env.hold_reason = keep_text(m, sp_str(a->hold), &ok);
    return ok || refuse(s, "dot", 451, 4, 3, 0, "out of memory; try again later");
}

/* All of the header stands in the prefix; of the stored one nothing is sent. */
static bool new_header(struct srv_session *s, const Sp__FilterAnswer *a, struct sp_buf *prefix)
{
    struct srv_message *m = s->msg;
    struct sp_str header = sp_pb_str(a->header), above = sp_pb_str(a->above);
    struct sp_str received = {m->prefix.p, m->received};
    struct sp_field id;
    bool ok = true;

    if (!header_sound(header) || !header_sound(above))
        return filters_wrong(s, "a filter's header is malformed");
    if (sp_buf_str(prefix, above) < 0 || sp_buf_str(prefix, received) < 0 ||
        sp_buf_str(prefix, header) < 0 || sp_buf_puts(prefix, "\r\n") < 0)
        return refuse(s, "dot", 554, 5, 6, 0, "with what the filters added the header is too large");
    m->env.has_8bit_header = has_8bit(sp_buf_view(prefix));
    if (sp_header_find(sp_buf_view(prefix), "Message-ID", 0, &id))
        m->env.message_id = keep(m, id.value, &ok);
    m->env.n_cut = 0;
    m->env.cut = sp_arena_alloc(&m->arena, sizeof *m->env.cut);
    if (!ok || (m->env.header_size && add_cut(m, 0, m->env.header_size) < 0))
        return refuse(s, "dot", 451, 4, 3, 0, "out of memory; try again later");
    return true;
}

/* Octets of a filter's body, made what a message may have: lines that end in CRLF (no
 * smuggling), no NUL.  `cr`: the last octet put was a CR. */
struct clean {
    struct sp_buf out;
    bool cr, has_8bit;
};

static int clean_put(struct clean *c, struct sp_str in)
{
    char *to = sp_buf_room(&c->out, 2 * in.n + 2);
    size_t n = 0;

    if (!to)
        return -SP_ENOMEM;
    for (size_t i = 0; i < in.n; i++) {
        char b = in.p[i] == '\0' ? ' ' : in.p[i];

        if ((b == '\n') != c->cr)
            to[n++] = c->cr ? '\n' : '\r';
        to[n++] = b;
        c->cr = b == '\r';
        c->has_8bit |= (unsigned char)b > 127;
    }
    c->out.n += n;
    return 0;
}

static int append(struct srv_session *s, struct sp_str octets)
{
    struct srv_message *m = s->msg;

    m->size += octets.n;
    if (!m->in_file && m->content.n + octets.n <= SRV_INLINE_MAX)
        return sp_buf_str(&m->content, octets);
    if (!m->in_file) {
        if (!srv_spare_take(s->srv, &m->spare))
            return -SP_EAGAIN;
        m->in_file = true;
        write_file(m, sp_buf_view(&m->content));
    }
    write_file(m, octets);
    return m->failed ? -SP_EIO : 0;
}

static int copy_body(struct srv_session *s, const struct sp_frame_body *from, struct clean *c)
{
    static char block[65536];
    struct sp_str rest = from->octets;
    off_t at = 0;
    int rc = 0;

    while (rc == 0) {
        struct sp_str piece = rest;

        if (from->fd >= 0) {
            ssize_t n = pread(from->fd, block, sizeof block, at);

            if (n < 0 && errno != EINTR)
                return -SP_EIO;
            piece = (struct sp_str){block, n > 0 ? (size_t)n : 0};
            if (n < 0)
                continue;
            at += n;
        }
        rest.n = 0;
        if (piece.n == 0)
            break;
        c->out.n = 0;
        rc = clean_put(c, piece);
        if (rc == 0)
            rc = append(s, sp_buf_view(&c->out));
    }
    c->out.n = 0;
    if (rc == 0 && c->cr)
        rc = append(s, SP_LIT("\n"));
    return rc;
}

/* A new content: the header as it would have been sent, then the new body. */
static bool new_content(struct srv_session *s, struct sp_buf *prefix, const struct sp_frame_body *body)
{
    struct srv_message *m = s->msg;
    struct clean c = {.cr = false};
    struct sp_buf header;
    int rc;

    sp_buf_init(&header, 2 * SRV_HEADER_MAX);
    sp_buf_init(&c.out, 3 * 65536);
    rc = whole_header(m, sp_buf_view(prefix), &header);
    if (rc == 0 && m->in_file && ftruncate(m->spare.fd, 0) == 0)
        (void)lseek(m->spare.fd, 0, SEEK_SET);
    m->content.n = 0;
    m->size = 0;
    m->env.n_cut = 0;
    m->env.header_size = header.n;
    prefix->n = 0;
    if (rc == 0)
        rc = append(s, sp_buf_view(&header));
    if (rc == 0)
        rc = copy_body(s, body, &c);
    m->env.has_8bit_body = c.has_8bit;
    sp_buf_free(&header);
    sp_buf_free(&c.out);
    if (rc == 0)
        return true;
    return refuse(s, "dot", 451, 4, 3, 0, "the changed message cannot be stored just now; try again later");
}

static bool apply(struct srv_session *s, const Sp__FilterAnswer *a, struct sp_buf *prefix,
                  const struct sp_frame_body *body)
{
    if (!new_envelope(s, a) || !(a->new_header ? new_header(s, a, prefix)
                                               : sp_buf_str(prefix, sp_buf_view(&s->msg->prefix)) == 0))
        return false;
    return !a->new_body || new_content(s, prefix, body);
}

/* Yes to the client, and to nobody else. */
static void discarded(struct srv_session *s)
{
    const Sp__Envelope *e = &s->msg->env;

    sp_log(SP_LOG_DISCARDED, s->id, SP_KV("from", sp_pb_str(e->reverse_path)),
           SP_KVU("recipients", e->n_rcpt), SP_KV("message-id", sp_pb_str(e->message_id)));
    s->messages++;
    (void)sp_srv_replyf(s->engine, 250, 2, 0, 0, "Ok");
}

void srv_message_filtered(struct srv_session *s, const Sp__FilterAnswer *m,
                          struct sp_frame_body *body)
{
    struct sp_buf prefix;
    bool sent = false;

    if (!s->msg)
        return;
    sp_buf_init(&prefix, SP_STORED_PREFIX_MAX);
    if (m->discard)
        discarded(s);
    else if (content_ok(s) && apply(s, m, &prefix, body)) {
        if (s->msg->env.n_rcpt)
            sent = hand_over(s, &prefix);
        else
            discarded(s);
    }
    sp_buf_free(&prefix);
    if (!sent)
        srv_message_forget(s);
}

static void log_accepted(struct srv_session *s, const char *id, bool duplicate)
{
    const Sp__Envelope *e = &s->msg->env;

    sp_log(SP_LOG_ACCEPTED, s->id, SP_KVS("id", id),
           SP_KV("from", ((struct sp_str){(char *)e->reverse_path.data, e->reverse_path.len})),
           SP_KVU("size", e->content_size), SP_KVU("recipients", e->n_rcpt),
           SP_KVS("user", e->identity ? e->identity->user : ""),
           SP_KV("message-id",
                 ((struct sp_str){(char *)e->message_id.data, e->message_id.len})),
           SP_KVS("duplicate", duplicate ? "yes" : "no"));
}

static void answer(struct srv_session *s, const Sp__Submitted *r)
{
    int e[3] = {0, 0, 0};

    (void)sp_str_enhanced(sp_str(r->enhanced), e);
    if (r->code == 250) {
        s->messages++;
        log_accepted(s, r->id, r->duplicate);
        sp_meter_add(SP_METER_CONTENT, s->msg->env.content_size);
        sp_meter_add(SP_METER_RECIPIENTS, s->msg->env.n_rcpt);
        sp_meter_reply((uv_hrtime() - s->ended_ns) / 1000);
        if (!r->duplicate) /* else what was counted is given back */
            srv_limit_sent(s, (uint32_t)s->msg->env.n_rcpt);
        (void)sp_srv_replyf(s->engine, 250, 2, 0, 0, "Ok: queued as %s", r->id);
        return;
    }
    (void)refuse(s, "dot", r->code == 452 || r->code == 554 ? (int)r->code : 451,
                 r->code == 554 ? 5 : 4, e[1] ? e[1] : 3, e[2],
                 r->text[0] ? r->text : "try again later");
}

static void stored(struct srv_session *s, const Sp__Submitted *r)
{
    s->wait = SRV_WAIT_NOTHING;
    answer(s, r);
    srv_message_forget(s);
    if (s->conn)
        srv_session_pump(s);
    else
        srv_session_orphan_done(s);
}

void srv_message_stored(struct srv *srv, const Sp__Submitted *r)
{
    struct srv_session *s = srv_session_find(srv, r->tag & ~SEQ_MASK);

    if (s && s->wait == SRV_WAIT_QUEUE && message_tag(s) == r->tag)
        stored(s, r);
    else if (r->code == 250) /* the client heard 451, against all care: see q_submit.c */
        sp_log(SP_LOG_WARNING, s ? s->id : "",
               SP_KVS("reason", "stored, but too late to say so"), SP_KVS("id", r->id));
}

void srv_message_too_late(struct srv_session *s)
{
    s->submits++;
    s->wait = SRV_WAIT_NOTHING;
    srv_message_forget(s);
}

/* Whether it is stored nobody can say now: 451, and the client tries again.  If it was
 * committed it is delivered, and a second copy is recognised only by a submission key
 * (PROTOCOL 4). */
void srv_message_queue_gone(struct srv *srv)
{
    Sp__Submitted r = SP__SUBMITTED__INIT;

    r.code = 451;
    r.text = (char *)(uintptr_t)"the queue was restarted; try again";
    for (size_t i = 0; i < srv->slots; i++) {
        struct srv_session *s = srv->slot[i];

        if (!s || !s->msg)
            continue;
        if (s->wait == SRV_WAIT_QUEUE)
            stored(s, &r);
        else if (s->msg->in_file) /* its file is nobody's now */
            s->msg->failed = true;
    }
}
