/*
 * role_filter.c - the filter role: it asks milters and policy services for the servers.
 *
 * It may connect, and that is all it has: no spool, no keys, no users.  See flt.h.
 */
#include "flt.h"

#include "alloc.h"
#include "err.h"
#include "fdio.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ASK_MAX = 8 << 20,
    CLIENT_MAX = 1 << 20,
    TRANSACTION_MAX = 4 << 20,
    PREPEND_MAX = 64 << 10
};

/* ---- content ---- */

void flt_body_init(struct flt_body *b)
{
    memset(b, 0, sizeof *b);
    sp_buf_init(&b->mem, FLT_BODY_INLINE);
    b->fd = -1;
}

void flt_body_free(struct flt_body *b)
{
    sp_buf_free(&b->mem);
    if (b->fd >= 0)
        close(b->fd);
    flt_body_init(b);
}

/* A file that has no name, so that nothing remains of it. */
static int to_file(struct flt_body *b)
{
    b->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (b->fd < 0)
        b->fd = memfd_create("body", MFD_CLOEXEC);
    return b->fd < 0 || sp_write_all(b->fd, sp_buf_view(&b->mem)) < 0 ? -SP_EIO : 0;
}

int flt_body_put(struct flt_body *b, struct sp_str octets, uint64_t max)
{
    int rc = 0;

    if (octets.n > max || b->size > max - octets.n)
        return -SP_ELIMIT;
    if (b->fd < 0 && b->size + octets.n > FLT_BODY_INLINE)
        rc = to_file(b);
    if (rc == 0 && b->fd < 0)
        rc = sp_buf_str(&b->mem, octets);
    else if (rc == 0 && sp_write_all(b->fd, octets) < 0)
        rc = -SP_EIO;
    if (rc == 0)
        b->size += octets.n;
    return rc;
}

int flt_body_read(const struct flt_body *b, uint64_t at, char *buf, size_t n)
{
    uint64_t left = at < b->size ? b->size - at : 0;
    ssize_t got;

    if (n > left)
        n = (size_t)left;
    if (b->fd < 0) {
        memcpy(buf, n ? b->mem.p + at : buf, n);
        return (int)n;
    }
    do
        got = pread(b->fd, buf, n, (off_t)(b->offset + at));
    while (got < 0 && errno == EINTR);
    return (int)got;
}

/* ---- the log ---- */

void flt_log_failure(const struct flt_session *s, const char *kind, const char *name,
                     const char *stage, const char *reason,
                     const enum sp_conf_failure *then)
{
    static const char *const words[] = {[SP_CONF_FAIL_TEMPFAIL] = "451",
                                        [SP_CONF_FAIL_ACCEPT] = "went on without it",
                                        [SP_CONF_FAIL_REJECT] = "550"};

    sp_log(SP_LOG_FILTER_FAILED, s->client->session, SP_KVS("filter", name),
           SP_KVS("kind", kind), SP_KVS("stage", stage), SP_KVS("reason", reason),
           SP_KVS("then", then ? words[*then] : "it is asked again at MAIL"));
}

void flt_log_verdict(const struct flt_session *s, const char *kind, const char *name,
                     const char *stage, const char *verdict, const struct flt_reply *r)
{
    char reply[300] = "";

    if (r)
        snprintf(reply, sizeof reply, "%d %d.%d.%d %.*s", r->code, r->enh[0], r->enh[1],
                 r->enh[2], (int)(r->text.n < 250 ? r->text.n : 250),
                 r->text.n ? r->text.p : "");
    sp_log(SP_LOG_FILTER_VERDICT, s->client->session, SP_KVS("filter", name),
           SP_KVS("kind", kind), SP_KVS("stage", stage), SP_KVS("verdict", verdict),
           SP_KVS("reply", reply));
}

/* ---- the transaction ---- */

const char *flt_keep(struct flt_session *s, struct sp_str text)
{
    return sp_arena_strndup(&s->arena, text.n ? text.p : "", text.n);
}

bool flt_address_add(struct flt_session *s, struct flt_address **list,
                     struct sp_str text, struct sp_str params)
{
    struct flt_address *a = sp_arena_alloc(&s->arena, sizeof *a);

    if (!a || s->n_addresses >= FLT_RCPT_MAX)
        return false;
    s->n_addresses++;
    a->text = sp_arena_copy(&s->arena, text);
    a->params = sp_arena_copy(&s->arena, params);
    while (*list)
        list = &(*list)->next;
    a->next = NULL;
    *list = a;
    return a->text.p && a->params.p;
}

static void transaction_over(struct flt_session *s)
{
    for (size_t i = 0; i < s->n_milters; i++)
        flt_milter_abort(&s->milter[i]);
    sp_arena_reset(&s->arena);
    sp_medit_free(&s->edit);
    flt_body_free(&s->body);
    sp_buf_free(&s->prepend);
    s->id = s->sender = "";
    s->hold = NULL;
    s->sender_changed = s->discard = s->remove_all = s->body_changed = false;
    s->added = s->removed = NULL;
    s->n_addresses = 0;
}

/* ---- sessions ---- */

static struct flt_session **bucket(struct flt *f, const struct flt_server *v,
                                   uint64_t key)
{
    uint64_t h = (key ^ key >> 32 ^ v->instance) * 0x9e3779b97f4a7c15u;

    return &f->bucket[h >> 32 & (FLT_BUCKETS - 1)];
}

static struct flt_session *find(struct flt_server *v, uint64_t key)
{
    struct flt_session *s = *bucket(v->f, v, key);

    while (s && (s->key != key || s->server != v))
        s = s->next;
    return s;
}

static void ask_free(struct flt_ask *a)
{
    if (!a)
        return;
    flt_body_free(&a->body);
    sp_arena_reset(&a->arena);
    sp_free(a);
}

static void session_free(struct flt_session *s)
{
    sp_timer_stop(&s->total);
    transaction_over(s);
    sp_arena_reset(&s->client_arena);
    sp_conf_unref(s->conf);
    sp_free(s->milter);
    sp_free(s);
}

static void on_total(void *arg)
{
    struct flt_session *s = arg;

    if (s->dead)
        session_free(s);
    else if (s->at < s->n_milters)
        flt_milter_give_up(&s->milter[s->at], "the time for all filters is over");
}

/* Not at once: one of its connections may be calling. */
static void session_end(struct flt_session *s)
{
    struct flt_session **at = bucket(s->f, s->server, s->key);

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->dead = true;
    flt_policy_cancel(s);
    for (size_t i = 0; i < s->n_milters; i++)
        flt_milter_close(&s->milter[i]);
    ask_free(s->now);
    s->now = NULL;
    while (s->first) {
        struct flt_ask *next = s->first->next;

        ask_free(s->first);
        s->first = next;
    }
    sp_timer_start(&s->total, 0);
}

static struct flt_session *session_new(struct flt_server *v, const Sp__FilterAsk *m)
{
    struct flt *f = v->f;
    const struct sp_conf_listener *l =
        sp_conf_listener_named(f->conf, m->client->listener);
    struct flt_session *s = l ? sp_alloc(sizeof *s) : NULL, **at;

    if (!s)
        return NULL;
    s->milter = sp_alloc((l->milters.n + 1) * sizeof *s->milter);
    if (!s->milter) {
        sp_free(s);
        return NULL;
    }
    s->f = f;
    s->server = v;
    s->key = m->session;
    s->conf = sp_conf_ref(f->conf);
    s->l = l;
    s->last = &s->first;
    sp_arena_init(&s->client_arena, CLIENT_MAX);
    sp_arena_init(&s->arena, TRANSACTION_MAX);
    sp_medit_init(&s->edit, FLT_HEADER_MAX);
    flt_body_init(&s->body);
    sp_buf_init(&s->prepend, PREPEND_MAX);
    sp_timer_init(&s->total, f->net, on_total, s);
    s->id = s->sender = "";
    for (size_t i = 0; i < l->milters.n; i++) {
        const struct sp_conf_milter *c = sp_conf_milter_named(s->conf, l->milters.v[i]);

        if (c)
            flt_milter_init(&s->milter[s->n_milters++], s, c);
    }
    at = bucket(f, v, s->key);
    s->next = *at;
    *at = s;
    return s;
}

/* A copy: frames die. */
static bool take_client(struct flt_session *s, const Sp__FilterClient *c)
{
    struct sp_buf packed;

    sp_buf_init(&packed, CLIENT_MAX / 4);
    if (sp_pb_pack(&c->base, &packed) == 0) {
        sp_arena_reset(&s->client_arena);
        s->client = sp_pb_unpack(&sp__filter_client__descriptor, sp_buf_view(&packed),
                                 &s->client_arena);
    }
    sp_buf_free(&packed);
    return s->client != NULL;
}

/* ---- answers ---- */

static void answer(struct flt_session *s, Sp__FilterAnswer *m, const struct sp_raw *raw,
                   int fd)
{
    m->session = s->key;
    m->number = s->now->m->number;
    if (s->server && s->server->port)
        (void)sp_port_send(s->server->port, SP_MSG_FILTER_ANSWER, &m->base, raw, fd);
    else if (fd >= 0)
        close(fd);
}

static void asked(struct flt_session *s)
{
    bool end = s->now->m->stage == SP__FILTER_STAGE__FILTER_MESSAGE;

    sp_timer_stop(&s->total);
    ask_free(s->now);
    s->now = NULL;
    if (end)
        transaction_over(s);
}

void flt_refuse(struct flt_session *s, const struct flt_reply *r)
{
    Sp__FilterAnswer m = SP__FILTER_ANSWER__INIT;
    uint32_t enh[3] = {(uint32_t)r->enh[0], (uint32_t)r->enh[1], (uint32_t)r->enh[2]};
    char text[SP_MILTER_REPLY_MAX];

    if (!s->now)
        return;
    snprintf(text, sizeof text, "%.*s",
             (int)(r->text.n < sizeof text ? r->text.n : sizeof text - 1),
             r->text.n ? r->text.p : "");
    m.code = (uint32_t)r->code;
    m.enhanced = enh;
    m.n_enhanced = 3;
    m.text = text;
    answer(s, &m, NULL, -1);
    if (s->now->m->stage == SP__FILTER_STAGE__FILTER_MAIL)
        transaction_over(s);
    asked(s);
    flt_go_on(s);
}

void flt_refuse_failure(struct flt_session *s, enum sp_conf_failure how)
{
    bool message = s->now && s->now->m->stage == SP__FILTER_STAGE__FILTER_MESSAGE;
    struct flt_reply later = {451,
                              {4, message ? 3 : 7, message ? 0 : 1},
                              SP_LIT("Service unavailable; try again later")},
                     never = {550, {5, 7, 1}, SP_LIT("Service unavailable")};

    flt_refuse(s, how == SP_CONF_FAIL_REJECT ? &never : &later);
}

/* ---- the result of a message ---- */

/* It goes into commands and notices. */
static bool visible(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 32 || s.p[i] == 127)
            return false;
    return true;
}

/* "NOTIFY=NEVER ORCPT=rfc822;x": RFC 3461.  What is no such parameter is nothing. */
static void parameters(struct sp_str p, Sp__Recipient *r)
{
    static const struct {
        const char *word;
        uint32_t bit;
    } words[] = {{"NEVER", 1}, {"SUCCESS", 2}, {"FAILURE", 4}, {"DELAY", 8}};

    while (p.n) {
        struct sp_str v = sp_str_cut(&p, ' '), name = sp_str_cut(&v, '=');

        if (sp_str_caseis(name, "ORCPT") && v.n && v.n < 500 && visible(v))
            r->orcpt = (ProtobufCBinaryData){v.n, (uint8_t *)(uintptr_t)v.p};
        while (sp_str_caseis(name, "NOTIFY") && v.n) {
            struct sp_str word = sp_str_cut(&v, ',');

            for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                if (sp_str_caseis(word, words[i].word))
                    r->notify |= words[i].bit;
        }
    }
    if (r->notify & 1)
        r->notify = 1;
}

static int recipients(struct flt_session *s, Sp__FilterAnswer *m)
{
    size_t n = s->n_addresses + 1;
    Sp__Recipient *row = sp_arena_alloc(&s->arena, n * sizeof *row);

    m->added = sp_arena_alloc(&s->arena, n * sizeof *m->added);
    m->removed = sp_arena_alloc(&s->arena, n * sizeof *m->removed);
    if (!row || !m->added || !m->removed)
        return -SP_ENOMEM;
    for (const struct flt_address *a = s->added; a; a = a->next) {
        sp__recipient__init(row);
        row->address =
            (ProtobufCBinaryData){a->text.n, (uint8_t *)(uintptr_t)a->text.p};
        parameters(a->params, row);
        m->added[m->n_added++] = row++;
    }
    for (const struct flt_address *a = s->removed; a; a = a->next)
        m->removed[m->n_removed++] =
            (ProtobufCBinaryData){a->text.n, (uint8_t *)(uintptr_t)a->text.p};
    m->remove_all = s->remove_all;
    return 0;
}

static int header(struct flt_session *s, Sp__FilterAnswer *m, struct sp_buf *above,
                  struct sp_buf *rest)
{
    int rc;

    m->new_header = s->edit.changed;
    if (!m->new_header)
        return 0;
    rc = sp_medit_write(&s->edit, above, rest);
    m->above = (ProtobufCBinaryData){above->n, (uint8_t *)above->p};
    m->header = (ProtobufCBinaryData){rest->n, (uint8_t *)rest->p};
    return rc;
}

static void done_message(struct flt_session *s, Sp__FilterAnswer *m)
{
    struct sp_buf above, rest;
    struct sp_raw raw = {.octets = sp_buf_view(&s->body.mem)};
    int fd = -1, rc;

    sp_buf_init(&above, FLT_HEADER_MAX);
    sp_buf_init(&rest, 2 * FLT_HEADER_MAX);
    rc = recipients(s, m);
    if (rc == 0)
        rc = header(s, m, &above, &rest);
    m->new_sender = s->sender_changed;
    m->sender =
        (ProtobufCBinaryData){strlen(s->sender), (uint8_t *)(uintptr_t)s->sender};
    if (s->hold)
        m->hold = (char *)(uintptr_t)s->hold;
    m->new_body = s->body_changed;
    m->body_size = s->body_changed ? s->body.size : 0;
    m->body_in_frame = s->body_changed && s->body.fd < 0;
    if (s->body_changed && s->body.fd >= 0) {
        fd = fcntl(s->body.fd, F_DUPFD_CLOEXEC, 0);
        rc = rc == 0 && fd < 0 ? -SP_EIO : rc;
    }
    if (rc == 0)
        answer(s, m, m->body_in_frame && raw.octets.n ? &raw : NULL, fd);
    else if (fd >= 0)
        close(fd);
    sp_buf_free(&above);
    sp_buf_free(&rest);
    if (rc < 0)
        flt_refuse_failure(s, SP_CONF_FAIL_TEMPFAIL);
}

static void done(struct flt_session *s)
{
    Sp__FilterAnswer m = SP__FILTER_ANSWER__INIT;

    m.code = 250;
    m.discard = s->discard;
    if (s->now->m->stage == SP__FILTER_STAGE__FILTER_MESSAGE)
        done_message(s, &m);
    else
        answer(s, &m, NULL, -1);
    if (s->now) /* no refusal after all */
        asked(s);
}

/* ---- policy services ---- */

static const struct sp_conf_policy *policy_now(const struct flt_session *s)
{
    return sp_conf_policy_named(s->conf, s->l->policies.v[s->policy]);
}

/* The next service, or none: then it is the milters' turn. */
static bool ask_policy(struct flt_session *s)
{
    while (s->now && s->policy < s->l->policies.n) {
        const struct sp_conf_policy *c = policy_now(s);

        if (!c)
            s->policy++;
        else if (!flt_policy_ask(s, c))
            flt_policy_failed(s, "out of memory");
        if (s->question)
            return true;
    }
    return false;
}

void flt_policy_failed(struct flt_session *s, const char *why)
{
    const struct sp_conf_policy *c = policy_now(s);

    flt_log_failure(s, "policy", c->head.name, "rcpt", why, &c->on_failure);
    if (c->on_failure != SP_CONF_FAIL_ACCEPT) {
        flt_refuse_failure(s, c->on_failure);
        return;
    }
    s->policy++;
    flt_go_on(s);
}

/* A service names an action in the middle of something: what can be done without it? */
static bool apply_policy(struct flt_session *s, const struct sp_policy_action *a)
{
    switch (a->kind) {
    case SP_PA_PREPEND:
        return sp_buf_str(&s->prepend, a->text) == 0 &&
               sp_buf_puts(&s->prepend, "\r\n") == 0;
    case SP_PA_HOLD:
        s->hold = flt_keep(s, a->text);
        return s->hold != NULL;
    case SP_PA_REDIRECT:
        s->remove_all = true;
        s->added = NULL;
        return flt_address_add(s, &s->added, a->text, (struct sp_str){"", 0});
    case SP_PA_BCC:
        return flt_address_add(s, &s->added, a->text, (struct sp_str){"", 0});
    case SP_PA_DISCARD:
        s->discard = true;
        return true;
    case SP_PA_OK:
    case SP_PA_DUNNO:
    case SP_PA_WARN:
    case SP_PA_REFUSE:
    case SP_PA_UNKNOWN:
        return true;
    }
    return true;
}

static const char *action_name(enum sp_policy_kind k)
{
    static const char *const names[] = {
        [SP_PA_DUNNO] = "dunno",   [SP_PA_OK] = "ok",
        [SP_PA_REFUSE] = "refuse", [SP_PA_PREPEND] = "prepend",
        [SP_PA_HOLD] = "hold",     [SP_PA_DISCARD] = "discard",
        [SP_PA_WARN] = "warn",     [SP_PA_REDIRECT] = "redirect",
        [SP_PA_BCC] = "bcc",       [SP_PA_UNKNOWN] = "unknown"};

    return names[k];
}

void flt_policy_done(struct flt_session *s, const struct sp_policy_action *a)
{
    const char *name = policy_now(s)->head.name;
    struct flt_reply r = {a->code, {a->enh[0], a->enh[1], a->enh[2]}, a->text};

    if (a->kind == SP_PA_UNKNOWN) {
        r = (struct flt_reply){
            451, {4, 3, 5}, SP_LIT("Server configuration problem; try again later")};
        static const enum sp_conf_failure later = SP_CONF_FAIL_TEMPFAIL;

        flt_log_failure(s, "policy", name, "rcpt", "an action that is not known here",
                        &later);
    } else if (a->kind != SP_PA_DUNNO && a->kind != SP_PA_OK) {
        r.code = a->kind == SP_PA_REFUSE ? a->code : 250;
        flt_log_verdict(s, "policy", name, "rcpt", action_name(a->kind), &r);
    }
    if (a->kind == SP_PA_UNKNOWN || a->kind == SP_PA_REFUSE) {
        flt_refuse(s, &r);
        return;
    }
    if (!apply_policy(s, a)) {
        flt_refuse_failure(s, SP_CONF_FAIL_TEMPFAIL);
        return;
    }
    s->policy = a->kind == SP_PA_OK ? s->l->policies.n : s->policy + 1;
    flt_go_on(s);
}

/* ---- one question after the other ---- */

static bool load_message(struct flt_session *s)
{
    struct flt_ask *a = s->now;

    sp_medit_free(&s->edit);
    if ((s->prepend.n && sp_medit_load(&s->edit, sp_buf_view(&s->prepend)) < 0) ||
        sp_medit_load(&s->edit, sp_pb_str(a->m->header)) < 0)
        return false;
    s->edit.changed = s->prepend.n > 0;
    flt_body_free(&s->body);
    s->body = a->body;
    flt_body_init(&a->body);
    return true;
}

/* False: it is answered already, or wants no answer. */
static bool begin(struct flt_session *s)
{
    const Sp__FilterAsk *a = s->now->m;
    bool ok = true;

    s->at = 0;
    s->policy = a->stage == SP__FILTER_STAGE__FILTER_RCPT ? 0 : s->l->policies.n;
    switch (a->stage) {
    case SP__FILTER_STAGE__FILTER_CONNECT:
        ok = take_client(s, a->client);
        break;
    case SP__FILTER_STAGE__FILTER_HELO:
        ok = take_client(s, a->client);
        s->helo++;
        break;
    case SP__FILTER_STAGE__FILTER_MAIL:
        transaction_over(s);
        s->helo += s->helo == 0;
        s->tx++;
        ok = take_client(s, a->client);
        s->id = flt_keep(s, sp_str(a->id));
        s->sender = flt_keep(s, sp_pb_str(a->address));
        ok = ok && s->id && s->sender;
        break;
    case SP__FILTER_STAGE__FILTER_MESSAGE:
        ok = load_message(s);
        sp_timer_start(&s->total, FLT_TOTAL_MS);
        break;
    case SP__FILTER_STAGE__FILTER_ABORT:
        transaction_over(s);
        asked(s);
        return false;
    case SP__FILTER_STAGE__FILTER_CLOSE:
        session_end(s);
        return false;
    default:
        break;
    }
    if (!ok) {
        flt_refuse_failure(s, SP_CONF_FAIL_TEMPFAIL);
        return false;
    }
    for (size_t i = 0; i < s->n_milters; i++)
        flt_milter_begin(&s->milter[i]);
    return true;
}

/* False: it waits. */
static bool work(struct flt_session *s)
{
    if (s->question || (!s->discard && ask_policy(s)))
        return false;
    while (s->now && !s->discard && s->at < s->n_milters)
        switch (flt_milter_step(&s->milter[s->at])) {
        case FLT_NEXT:
        case FLT_SAID:
            s->at++;
            break;
        case FLT_WAIT:
            return false;
        case FLT_OVER:
            return true;
        }
    if (s->now)
        done(s);
    return true;
}

void flt_go_on(struct flt_session *s)
{
    if (s->running || s->dead)
        return;
    s->running = true;
    while (!s->dead) {
        if (!s->now && !s->first)
            break;
        if (!s->now) {
            s->now = s->first;
            s->first = s->now->next;
            if (!s->first)
                s->last = &s->first;
            if (!begin(s))
                continue;
        }
        if (!work(s))
            break;
    }
    s->running = false;
}

/* ---- servers ---- */

static struct flt_ask *ask_new(struct sp_port *p, const struct sp_frame *f)
{
    struct flt_ask *a = sp_alloc(sizeof *a);
    int fd = sp_port_take_fd(p);

    if (!a) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    sp_arena_init(&a->arena, ASK_MAX);
    flt_body_init(&a->body);
    a->body.fd = fd;
    a->m = sp_frame_unpack(f, &a->arena);
    if (!a->m || (f->raw.n && sp_buf_str(&a->body.mem, f->raw) < 0)) {
        ask_free(a);
        return NULL;
    }
    a->body.offset = a->m->body_offset;
    a->body.size = fd >= 0 ? a->m->body_size : f->raw.n;
    return a;
}

static void say_no(struct flt_server *v, const Sp__FilterAsk *ask, const char *text)
{
    Sp__FilterAnswer m = SP__FILTER_ANSWER__INIT;

    m.session = ask->session;
    m.number = ask->number;
    m.code = 451;
    m.text = (char *)(uintptr_t)text;
    if (ask->stage < SP__FILTER_STAGE__FILTER_ABORT)
        (void)sp_port_say(v->port, SP_MSG_FILTER_ANSWER, &m.base);
}

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct flt_server *v = sp_port_arg(p);
    struct flt_ask *a = ask_new(p, f);
    struct flt_session *s;

    if (!a)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed %s",
                          sp_msg_name(f->type));
    if ((a->m->client == NULL) != (a->m->stage > SP__FILTER_STAGE__FILTER_MAIL) ||
        (f->raw.n && !a->m->body_in_frame)) {
        ask_free(a);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "a question that makes no sense");
    }
    s = find(v, a->m->session);
    if (!s && a->m->client)
        s = session_new(v, a->m);
    if (!s) { /* we were started anew in the middle of a transaction */
        say_no(v, a->m, "the filters were started again; try again later");
        ask_free(a);
        return 0;
    }
    *s->last = a;
    s->last = &a->next;
    flt_go_on(s);
    return 0;
}

static void server_lost(struct flt_server *v)
{
    struct flt *f = v->f;

    for (size_t i = 0; i < FLT_BUCKETS; i++)
        for (struct flt_session *s = f->bucket[i], *next; s; s = next) {
            next = s->next;
            if (s->server == v) {
                session_end(s);
                s->server = NULL;
            }
        }
    for (struct flt_server **at = &f->servers; *at; at = &(*at)->next)
        if (*at == v) {
            *at = v->next;
            break;
        }
    sp_free(v);
}

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    (void)why;
    server_lost(sp_port_arg(p));
}

static const struct sp_port_ops server_ops = {.frame = on_frame, .gone = on_gone};

static int on_peer(struct sp_role *r, Sp__Role peer, unsigned instance, int fd,
                   struct sp_err *err)
{
    struct flt *f = r->self;
    struct flt_server *v;

    if (peer != SP__ROLE__ROLE_SERVER) {
        close(fd);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "a filter role has no such peer");
    }
    for (v = f->servers; v && v->instance != instance; v = v->next)
        ;
    if (v) { /* the old one died; its end may not have been seen yet */
        sp_port_close(v->port);
        v->port = NULL;
        server_lost(v);
    }
    v = sp_alloc(sizeof *v);
    if (!v) {
        close(fd);
        return sp_err_nomem(err);
    }
    v->f = f;
    v->instance = instance;
    v->port = sp_port_new(&r->loop, fd, SP__ROLE__ROLE_FILTER, peer, instance,
                          &server_ops, v, err);
    if (!v->port) {
        sp_free(v);
        return -SP_ENOMEM;
    }
    v->next = f->servers;
    f->servers = v;
    return 0;
}

/* ---- setup ---- */

static int on_setup(struct sp_role *r, const Sp__Setup *m, struct sp_conf *conf,
                    struct sp_err *err)
{
    struct flt *f = r->self;

    (void)m;
    if (!f) {
        f = r->self = sp_alloc(sizeof *f);
        if (!f || !(f->net = sp_net_new(&r->loop)))
            return sp_err_nomem(err);
        f->role = r;
    }
    sp_conf_unref(f->conf);
    f->conf = sp_conf_ref(conf);
    flt_policy_tick(f);
    return 0;
}

static void on_drain(struct sp_role *r, unsigned seconds)
{
    (void)seconds; /* the servers have ended: nobody waits for an answer */
    sp_role_exit(r, 0);
}

const struct sp_role_ops sp_role_filter = {
    .role = SP__ROLE__ROLE_FILTER,
    .setup = on_setup,
    .peer = on_peer,
    .drain = on_drain,
};
