/* q_notice.c - see q.h. */
#include "q.h"

#include "alloc.h"
#include "err.h"
#include "notice.h"
#include "stored.h"
#include "text.h"

#include <openssl/rand.h>
#include <unistd.h>

enum { START_MAX = 65536, NOTICE_MAX = 60000, RETURNED_MAX = 32768 };

/* What a notice is about. */
struct about {
    const Sp__Envelope *env;    /* the message; rcpt as in the plan */
    const Sp__RcptState **rcpt; /* those to report */
    size_t n;
    const char *id;
    struct sp_str prefix, content; /* content: at least the header */
    uint64_t now_ms, retry_until_ms;
};

static enum sp_notice_kind kind_of(enum sp_owed_kind owed)
{
    switch (owed) {
    case SP_OWED_DELAY:
        return SP_NOTICE_DELAY;
    case SP_OWED_SUCCESS:
    case SP_OWED_RELAYED:
    case SP_OWED_TRACED:
        return SP_NOTICE_SUCCESS;
    case SP_OWED_POSTMASTER:
    case SP_OWED_NONE:
    case SP_OWED_FAILURE:
        break;
    }
    return SP_NOTICE_FAILURE;
}

/* The notice as a message for the spool; envelope and content live in the arena.  0,
 * -SP_EDENIED (nobody may be told), -SP_ENOMEM ... */
static int build(const struct sp_conf *c, enum sp_owed_kind owed,
                 const struct about *about, struct sp_arena *arena,
                 Sp__Envelope **ret_env, struct sp_str *ret_content)
{
    struct sp_notice_facts *facts = sp_arena_alloc(arena, sizeof *facts);
    Sp__Envelope *env = sp_arena_alloc(arena, sizeof *env), copy = *about->env;
    struct sp_notice n = {
        .kind = kind_of(owed),
        .env = about->env,
        .rcpt = (const Sp__RcptState *const *)about->rcpt,
        .rcpt_n = about->n,
        .relayed = owed == SP_OWED_RELAYED || owed == SP_OWED_TRACED,
        .id = sp_str(about->id),
        .hostname = sp_str(c->hostname),
        .postmaster = sp_str(c->postmaster),
        .now_ms = about->now_ms,
        .retry_until_ms = about->retry_until_ms,
        .prefix = about->prefix,
        .content = about->content,
        .full_max = RETURNED_MAX,
    };
    struct sp_buf out;
    int rc;

    if (!facts || !env || RAND_bytes(n.random, sizeof n.random) != 1)
        return -SP_ENOMEM;
    if (owed == SP_OWED_POSTMASTER) {
        /* A double bounce: the sender cannot be told, so the postmaster is.  The notice
         * is about the same message with the postmaster as its sender. */
        copy.reverse_path.data = (uint8_t *)(uintptr_t)c->postmaster;
        copy.reverse_path.len = sp_str(c->postmaster).n;
        copy.is_notice = false;
        n.env = &copy;
    }
    sp_buf_init(&out, NOTICE_MAX);
    rc = sp_notice_make(&n, &out, facts);
    if (rc == 0) {
        *ret_content = sp_arena_copy(arena, sp_buf_view(&out));
        rc = ret_content->p ? sp_notice_envelope(&n, facts, arena, env) : -SP_ENOMEM;
    }
    sp_buf_free(&out);
    *ret_env = env;
    return rc;
}

/* A notice to the postmaster that bounced: telling the postmaster again would go on for
 * ever. */
static bool ends_here(const struct q *q, const struct about *about)
{
    const Sp__Envelope *e = about->env;
    struct sp_str to;

    if (!e->is_notice || e->n_rcpt != 1)
        return false;
    to = (struct sp_str){(char *)e->rcpt[0]->address.data, e->rcpt[0]->address.len};
    return sp_str_caseis(to, q->conf->postmaster);
}

void q_sign_own(struct q *q, const char *about, struct sp_submission *sub)
{
    struct q_unsigned m = {.env = sub->env, .content = sub->content, .fd = -1};
    struct sp_err err;
    struct sp_buf out;

    if (!q->signers)
        return;
    sp_buf_init(&out, SP_STORED_PREFIX_MAX);
    if (q_sign(q->signers, &m, &out, &err) < 0)
        sp_log(SP_LOG_WARNING, about, SP_KVS("reason", "a notice goes out unsigned"),
               SP_KVS("cause", err.text));
    else if (out.n)
        sub->prefix = sp_arena_copy(&q->arena, sp_buf_view(&out));
    sp_buf_free(&out);
}

static void add(struct q *q, struct about *about, enum sp_owed_kind owed, int settle)
{
    struct sp_submission sub = {.spare = NULL};
    Sp__Envelope *env;
    struct sp_err err = {.text = "it cannot be built"};
    int n;

    if (owed == SP_OWED_POSTMASTER && ends_here(q, about)) {
        sp_log(SP_LOG_WARNING, about->id,
               SP_KVS("reason", "the postmaster cannot be reached: nobody is told"));
        return;
    }
    n = build(q->conf, owed, about, &q->arena, &env, &sub.content);
    if (n == 0) {
        sub.env = env;
        q_sign_own(q, about->id, &sub);
        n = sp_batch_notice(q->batch, settle, &sub, sp_wall_ms(), &err);
    }
    if (n >= 0)
        (void)q_item_add(q, Q_NOTICE, n);
    else if (n != -SP_EDENIED)
        sp_log(SP_LOG_QUEUE_ERROR, about->id, SP_KVS("reason", "a notice is not sent"),
               SP_KVS("cause", err.text));
}

/* The start of the content, which holds the header, wherever it is. */
static struct sp_str content_start(struct q *q, const struct sp_job *j)
{
    char *p;
    ssize_t n;

    if (j->fd < 0)
        return j->content;
    p = sp_arena_alloc(&q->arena, START_MAX);
    n = p ? pread(j->fd, p, START_MAX, 0) : -1;
    return (struct sp_str){p, n > 0 ? (size_t)n : 0};
}

/* The plan's states name recipients by their place in the stored envelope; a notice
 * looks them up in the plan's. */
static const Sp__RcptState *placed(struct q *q, const struct sp_plan *plan,
                                   uint32_t pos)
{
    Sp__RcptState *st = sp_arena_alloc(&q->arena, sizeof *st);

    if (st) {
        *st = *plan->state->rcpt[pos];
        st->index = pos;
    }
    return st;
}

/* One notice for each kind, about all recipients that it concerns. */
void q_notices(struct q *q, struct sp_plan *plan, int settle)
{
    static const enum sp_owed_kind kinds[] = {SP_OWED_FAILURE, SP_OWED_DELAY,
                                              SP_OWED_SUCCESS, SP_OWED_RELAYED,
                                              SP_OWED_TRACED,  SP_OWED_POSTMASTER};
    struct about about = {.env = plan->env, .id = plan->id, .now_ms = sp_wall_ms()};
    struct sp_job *j = NULL;
    struct sp_err err;

    if (plan->nowed == 0)
        return;
    about.rcpt = sp_alloc(plan->nowed * sizeof *about.rcpt);
    if (!about.rcpt || sp_spool_message(q->spool, plan->message, &j, &err) < 0) {
        sp_log(SP_LOG_QUEUE_ERROR, plan->id, SP_KVS("reason", "a notice is not sent"));
        sp_free(about.rcpt);
        return;
    }
    about.prefix = j->prefix;
    about.content = content_start(q, j);
    about.retry_until_ms = plan->env->received_ms + q->conf->queue_lifetime_s * 1000;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        about.n = 0;
        for (size_t i = 0; i < plan->nowed; i++)
            if (plan->owed[i].notice == kinds[k] &&
                (about.rcpt[about.n] = placed(q, plan, plan->owed[i].pos)))
                about.n++;
        if (about.n)
            add(q, &about, kinds[k], settle);
    }
    sp_job_free(j);
    sp_free(about.rcpt);
}
