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

    if (!it->until_ms || now_ms() < it->until_ms + SP_SUBMIT_GRACE_MS / 2 || r->duplicate)
        return false;
    b = sp_batch_new(q->spool);
    gone = b && sp_batch_control(b, SP_CONTROL_TAKE_BACK, r->message, 0, &err) >= 0 &&
           sp_spool_commit(q->spool, b, sp_wall_ms(), &err) == 0;
    sp_batch_free(b);
    sp_log(SP_LOG_WARNING, "",
           SP_KVS("reason", gone ? "stored, but too late to say so: taken back"
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
    m->text = (char *)(uintptr_t)(taken_back ? "it took too long; try again later" : r->text);
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
        refuse(p, tag, 451, "4.3.0", "the queue cannot store it just now; try again later");
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

/* ---- large content: synced in the pool, then into the next batch ---- */

struct large {
    uv_work_t work;
    struct q *q;
    uint64_t serial; /* of the server's channel */
    struct sp_arena arena; /* the message, unpacked from its own copy */
    Sp__Submit *m;
    struct sp_spare *spare;
    struct sp_err err;
    int rc;
};

static void large_work(uv_work_t *w)
{
    struct large *l = w->data;

    l->rc = sp_spare_prepare(l->spare, l->m->envelope->content_size, &l->err);
}

static void large_done(uv_work_t *w, int status)
{
    struct large *l = w->data;
    struct q *q = l->q;
    struct q_peer *p = q_peer_serial(q, l->serial);

    q->preparing--;
    if (status < 0 || l->rc < 0 || !p) {
        if (l->rc < 0)
            sp_log(SP_LOG_QUEUE_ERROR, "", SP_KVS("reason", l->err.text));
        if (p)
            refuse_err(p, l->m->tag, &l->err);
        sp_spare_free(l->spare); /* nobody waits for it: it was not acknowledged */
    } else {
        add(p, l->m, (struct sp_str){NULL, 0}, l->spare);
        q_commit(q); /* the batch borrows from l->arena */
    }
    sp_arena_reset(&l->arena);
    sp_free(l);
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

static int submit_large(struct q_peer *p, const struct sp_frame *f, uint64_t spare,
                        struct sp_err *err)
{
    struct large *l = sp_alloc(sizeof *l);

    if (!l)
        return sp_err_nomem(err);
    l->q = p->q;
    l->serial = p->serial;
    sp_arena_init(&l->arena, 64 << 20);
    l->m = sp_frame_unpack(f, &l->arena);
    l->spare = take_spare(p, spare);
    l->work.data = l;
    if (!l->m || !l->spare) {
        sp_spare_free(l->spare);
        sp_arena_reset(&l->arena);
        sp_free(l);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "a file that it does not have");
    }
    p->q->preparing++;
    uv_queue_work(&p->q->role->loop, &l->work, large_work, large_done);
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
    if (!m->content_in_frame)
        return submit_large(p, f, m->spare, err);
    if (f->raw.n != m->envelope->content_size)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "content of another size");
    add(p, m, f->raw, NULL);
    return 0;
}
