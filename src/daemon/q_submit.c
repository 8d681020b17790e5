/* q_submit.c - see q.h. */
#include "q.h"

#include "alloc.h"
#include "err.h"
#include "stored.h"

#include <string.h>

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* What was stopped or slow for too long must not be stored behind the client's back: the
 * server says 451 for it, and the client sends it again. */
void q_submit_drop_late(struct q *q)
{
    for (size_t i = 0; i < q->items; i++)
        if (q->item[i].kind == Q_SUBMIT && q->item[i].until_ms &&
            now_ms() > q->item[i].until_ms)
            sp_batch_drop(q->batch, q->item[i].number);
}

/* It was stored, but the disk took so long that the server has said 451 or is about to.
 * Nobody has been given the message yet. */
bool q_submit_take_back(struct q *q, const struct q_item *it, const struct sp_result *r)
{
    struct sp_batch *b;
    struct sp_err err = {.text = "out of memory"};
    bool gone;

    if (!it->until_ms || now_ms() < it->until_ms + SP_SUBMIT_GRACE_MS / 2 ||
        r->duplicate)
        return false;
    b = sp_batch_new(q->spool);
    gone = b && sp_batch_control(b, SP_CONTROL_TAKE_BACK, r->message, 0, &err) >= 0 &&
           sp_spool_commit(q->spool, b, sp_wall_ms(), &err) == 0;
    sp_batch_free(b);
    sp_log(SP_LOG_WARNING, "",
           SP_KVS("reason",
                  gone ? "stored, but too late to say so: taken back"
                       : "stored, but too late to say so, and it cannot be taken "
                         "back: the client may send a second copy"),
           SP_KVS("id", r->id), SP_KVS("cause", gone ? "" : err.text));
    return gone;
}

struct done_list {
    Sp__Submitted row[Q_ITEMS * 2];
    Sp__Submitted *ptr[Q_ITEMS * 2];
    uint64_t serial[Q_ITEMS * 2];
    size_t n;
};
static struct done_list done; /* of the commit being answered */

void q_submit_done(const struct q_item *it, const struct sp_result *r, bool taken_back)
{
    Sp__Submitted *m = &done.row[done.n];

    sp__submitted__init(m);
    m->tag = it->tag;
    m->code = taken_back ? 451 : (uint32_t)r->code;
    m->enhanced = (char *)(uintptr_t)(taken_back ? "4.3.0" : r->enhanced);
    m->text =
        (char *)(uintptr_t)(taken_back ? "it took too long; try again later" : r->text);
    m->id = (char *)(uintptr_t)r->id;
    m->duplicate = r->duplicate;
    done.serial[done.n++] = it->serial;
}

/* The frame is packed before the results go: strings are borrowed that long. */
void q_submit_answer(struct q *q)
{
    for (struct q_peer *p = q->peers; p && done.n; p = p->next) {
        Sp__SubmittedBatch m = SP__SUBMITTED_BATCH__INIT;

        if (p->role != SP__ROLE__ROLE_SERVER || !p->port)
            continue;
        m.done = done.ptr;
        for (size_t i = 0; i < done.n; i++)
            if (done.serial[i] == p->serial)
                done.ptr[m.n_done++] = &done.row[i];
        if (m.n_done)
            (void)sp_port_say(p->port, SP_MSG_SUBMITTED, &m.base);
    }
    done.n = 0;
}

static void refuse(struct q_peer *p, uint64_t tag, int code, const char *enhanced,
                   const char *text)
{
    Sp__Submitted row = SP__SUBMITTED__INIT, *ptr = &row;
    Sp__SubmittedBatch m = SP__SUBMITTED_BATCH__INIT;

    row.tag = tag;
    row.code = (uint32_t)code;
    row.enhanced = (char *)(uintptr_t)enhanced;
    row.text = (char *)(uintptr_t)text;
    m.done = &ptr;
    m.n_done = 1;
    if (p->port)
        (void)sp_port_say(p->port, SP_MSG_SUBMITTED, &m.base);
}

static void refuse_err(struct q_peer *p, uint64_t tag, const struct sp_err *err)
{
    if (err->code == SP_ENOSPC)
        refuse(p, tag, 452, "4.3.1", "the disk is full; try again later");
    else if (err->cls == SP_CLASS_PEER)
        refuse(p, tag, 554, "5.6.0", err->text);
    else
        refuse(p, tag, 451, "4.3.0",
               "the queue cannot store it just now; try again later");
}

/* How long a submission sent again is recognised: with a key of the client's own as long
 * as `queue show` finds the message, and a day at least; else deduplicate. */
static uint64_t key_ms(const struct q *q, Sp__Envelope *e)
{
    uint64_t s = q->conf->deduplicate_s, day = 86400;

    if (e->submission_key.len && e->submission_key.data[0] == 'e')
        return (q->conf->history_keep_s > day ? q->conf->history_keep_s : day) * 1000;
    if (s == 0) /* switched off meanwhile */
        e->submission_key.len = 0;
    return s * 1000;
}

/* ---- back from a content filter ---- */

static void *copy(const ProtobufCMessage *m, struct sp_arena *arena)
{
    struct sp_buf b;
    void *c;

    sp_buf_init(&b, SP_FRAME_META_MAX);
    c = sp_pb_pack(m, &b) < 0 ? NULL
                              : sp_pb_unpack(m->descriptor, sp_buf_view(&b), arena);
    sp_buf_free(&b);
    return c;
}

/* What the filter could not carry: who sent it and how, and what was asked for. */
static void recall_into(Sp__Envelope *e, const Sp__Envelope *was)
{
    e->identity = was->identity;
    e->client_address = was->client_address;
    e->client_port = was->client_port;
    e->helo = was->helo;
    e->tls = was->tls;
    e->requiretls = was->requiretls;
    e->ret = was->ret;
    e->envid = was->envid;
    e->by_seconds = was->by_seconds;
    e->by_mode = was->by_mode;
    e->by_trace = was->by_trace;
    if (was->by_mode != SP__BY_MODE__BY_UNSET) /* its time began then */
        e->received_ms = was->received_ms;
    e->priority = was->priority;
    for (size_t i = 0; i < e->n_rcpt; i++) {
        struct sp_str said = sp_pb_str(e->rcpt[i]->original.len ? e->rcpt[i]->original
                                                                : e->rcpt[i]->address);

        for (size_t k = 0; k < was->n_rcpt; k++)
            if (sp_str_eq(said, sp_pb_str(was->rcpt[k]->address))) {
                e->rcpt[i]->notify = was->rcpt[k]->notify;
                e->rcpt[i]->orcpt = was->rcpt[k]->orcpt;
            }
    }
}

/* By our own queue id: it is in the queue as long as the filter has not answered.  An id
 * that is wrong, or of a message that went to no filter, gives nobody's identity. */
static void recall(struct q *q, Sp__Envelope *e, struct sp_arena *arena)
{
    struct sp_view *v = NULL;
    uint64_t message = 0;
    struct sp_err err;
    Sp__Envelope *was = NULL;

    if (!e->forwarded_id[0])
        return;
    if (sp_qid_parse(sp_str(e->forwarded_id), &message) == 0 &&
        sp_spool_find(q->spool, message, &v, &err) == 0 && !v->finished && v->env &&
        v->env->content_filter[0])
        was = copy(&v->env->base, arena);
    sp_view_free(v);
    if (was)
        recall_into(e, was);
    else
        sp_log(SP_LOG_WARNING, "",
               SP_KVS("reason",
                      "a content filter gave back mail that it did not have from us"),
               SP_KVS("id", e->forwarded_id));
}

static void add(struct q_peer *p, const Sp__Submit *m, struct sp_str content,
                struct sp_spare *spare)
{
    struct q *q = p->q;
    struct sp_submission sub = {
        .env = m->envelope,
        .prefix = {(char *)m->prefix.data, m->prefix.len},
        .content = content,
        .spare = spare,
        .key_ms = key_ms(q, m->envelope),
    };
    struct sp_err err = {.cls = SP_CLASS_TEMPORARY};
    struct q_item *it;
    int n;

    if (sp_batch_full(q->batch) || q->items >= Q_ITEMS)
        q_commit(q);
    n = sp_batch_submit(q->batch, &sub, sp_wall_ms(), &err);
    if (n < 0) {
        sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", err.text));
        refuse_err(p, m->tag, &err);
        return;
    }
    it = q_item_add(q, Q_SUBMIT, n);
    it->tag = m->tag;
    it->until_ms = m->until_ms;
    it->serial = p->serial;
    it->submit = m;
    it->content = content;
    it->large = spare != NULL;
    q_want_commit(q);
}

/* ---- through the pool: large content is synced there, and mail is signed ---- */

enum {
    SIGNING_MAX = 256
}; /* small messages in the pool; more are signed in the loop */

struct q_prepared {
    uv_work_t work;
    struct q_prepared *next;
    struct q *q;
    struct q_signers *signers; /* NULL: not to be signed */
    uint64_t serial;           /* of the server's channel */
    struct sp_arena arena;     /* the message, unpacked from its own copy */
    Sp__Submit *m;
    struct sp_buf content; /* a copy, or */
    struct sp_spare *spare;
    struct sp_buf prefix; /* with signatures */
    struct sp_err err, unsigned_because;
    int rc;
};

static void prepared_free(struct q_prepared *l)
{
    sp_spare_free(l->spare);
    q_signers_unref(l->signers);
    sp_buf_free(&l->content);
    sp_buf_free(&l->prefix);
    sp_arena_reset(&l->arena);
    sp_free(l);
}

void q_submit_free(struct q_prepared *list)
{
    while (list) {
        struct q_prepared *next = list->next;

        prepared_free(list);
        list = next;
    }
}

/* Mail that cannot be signed goes out as it is: held back, it would help nobody. */
static void sign(struct q_prepared *l)
{
    struct q_unsigned what = {.env = l->m->envelope,
                              .prefix = {(char *)l->m->prefix.data, l->m->prefix.len},
                              .content = sp_buf_view(&l->content),
                              .fd = l->spare ? sp_spare_fd(l->spare) : -1};

    if (q_sign(l->signers, &what, &l->prefix, &l->unsigned_because) < 0 ||
        l->prefix.n == 0)
        return;
    if (sp_buf_str(&l->prefix, what.prefix) < 0) {
        l->unsigned_because = (struct sp_err){.code = SP_ELIMIT, .text = "no room"};
        return;
    }
    l->m->prefix.data = (uint8_t *)l->prefix.p;
    l->m->prefix.len = l->prefix.n;
}

static void prepare(uv_work_t *w)
{
    struct q_prepared *l = w->data;

    if (l->spare)
        l->rc = sp_spare_prepare(l->spare, l->m->envelope->content_size, &l->err);
    if (l->rc == 0 && l->signers)
        sign(l);
}

/* Into the next batch, which borrows from it until it is committed. */
static void prepared(uv_work_t *w, int status)
{
    struct q_prepared *l = w->data;
    struct q *q = l->q;
    struct q_peer *p = q_peer_serial(q, l->serial);
    struct sp_spare *spare = l->spare;

    q->preparing--;
    if (l->unsigned_because.code)
        sp_log(SP_LOG_WARNING, "",
               SP_KVS("reason", "a message goes out without DKIM signature"),
               SP_KVS("cause", l->unsigned_because.text));
    if (status < 0 || l->rc < 0 || !p) {
        if (l->rc < 0)
            sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", l->err.text));
        if (p)
            refuse_err(p, l->m->tag, &l->err);
        prepared_free(l); /* nobody waits for it: it was not acknowledged */
        return;
    }
    l->spare = NULL;
    add(p, l->m, sp_buf_view(&l->content), spare);
    l->next = q->prepared;
    q->prepared = l;
    q_want_commit(q);
}

static struct sp_spare *take_spare(struct q_peer *p, uint64_t id)
{
    for (size_t i = 0; i < Q_SPARES_A_PEER; i++)
        if (p->spare[i] && sp_spare_id(p->spare[i]) == id) {
            struct sp_spare *s = p->spare[i];

            p->spare[i] = NULL;
            q_give_spares(p);
            return s;
        }
    return NULL;
}

static struct q_prepared *prepared_new(struct q_peer *p, const struct sp_frame *f)
{
    struct q_prepared *l = sp_alloc(sizeof *l);

    if (!l)
        return NULL;
    l->q = p->q;
    l->serial = p->serial;
    sp_arena_init(&l->arena, 64 << 20);
    sp_buf_init(&l->content, SP_INLINE_MAX);
    sp_buf_init(&l->prefix, SP_STORED_PREFIX_MAX);
    l->m = sp_frame_unpack(f, &l->arena);
    /* What goes through a content filter is signed when it has come back. */
    if (l->m && l->m->envelope && !l->m->envelope->content_filter[0])
        l->signers = q_signers_ref(p->q->signers);
    l->work.data = l;
    return l;
}

static int submit_through_pool(struct q_peer *p, const struct sp_frame *f,
                               const Sp__Submit *m, struct sp_err *err)
{
    struct q_prepared *l = prepared_new(p, f);
    bool inline_ = m->content_in_frame;

    if (!l || !l->m || (inline_ && sp_buf_str(&l->content, f->raw) < 0)) {
        if (l)
            prepared_free(l);
        return sp_err_nomem(err);
    }
    recall(p->q, l->m->envelope, &l->arena);
    l->spare = inline_ ? NULL : take_spare(p, m->spare);
    if (!inline_ && !l->spare) {
        prepared_free(l);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "a file that it does not have");
    }
    if (p->q->preparing++ < SIGNING_MAX || !inline_) {
        uv_queue_work(&p->q->role->loop, &l->work, prepare, prepared);
    } else { /* more would only take memory: let the servers wait */
        prepare(&l->work);
        prepared(&l->work, 0);
    }
    return 0;
}

int q_submit(struct q_peer *p, const struct sp_frame *f, struct sp_err *err)
{
    Sp__Submit *m = sp_frame_unpack(f, &p->q->arena);

    if (!m || !m->envelope || p->role != SP__ROLE__ROLE_SERVER)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed submit");
    if (sp_stored_check(m->envelope, m->prefix.len, err) < 0) {
        err->cls = SP_CLASS_PEER;
        return -SP_EINPUT;
    }
    if (m->content_in_frame && f->raw.n != m->envelope->content_size)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "content of another size");
    if (!m->content_in_frame || p->q->signers)
        return submit_through_pool(p, f, m, err);
    recall(p->q, m->envelope, &p->q->arena);
    add(p, m, f->raw, NULL);
    return 0;
}
