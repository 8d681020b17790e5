/* q_sts.c - see q.h.  Files (stscache.h): this role may write, and owns the folder. */
#include "q.h"

#include "alloc.h"
#include "stscache.h"

#include <stdio.h>

enum { FIRST_SWEEP_S = 60, SWEEP_S = 86400 };

static struct {
    bool busy;
    uint64_t next_s, files;
} state;

struct sweep {
    uv_work_t work;
    char dir[SP_STS_DIR_MAX];
    uint64_t now_s;
    size_t left;
};

static void folder(const struct q *q, char dir[SP_STS_DIR_MAX])
{
    sp_sts_cache_dir(q->conf->data_directory, dir);
}

void q_sts_get(struct q *q, const char *domain, struct sp_buf *out)
{
    char dir[SP_STS_DIR_MAX];

    folder(q, dir);
    (void)sp_sts_cache_get(dir, domain, out);
}

/* Without it the mail goes all the same; the next process fetches it again. */
void q_sts_put(struct q *q, const Sp__StsPolicy *m)
{
    char dir[SP_STS_DIR_MAX];
    struct sp_err err;

    if (state.files >= SP_STS_CACHE_MAX)
        return; /* until the next sweep */
    folder(q, dir);
    state.files++;
    if (sp_sts_cache_put(dir, m->domain, sp_pb_str(m->text), &err) < 0)
        sp_log(SP_LOG_WARNING, "", SP_KVS("reason", err.text));
}

static void sweep(uv_work_t *w)
{
    struct sweep *s = w->data;

    (void)sp_sts_cache_sweep(s->dir, s->now_s, &s->left);
}

static void swept(uv_work_t *w, int status)
{
    struct sweep *s = w->data;

    (void)status;
    state.busy = false;
    state.files = s->left;
    sp_free(s);
}

void q_sts_sweep(struct q *q)
{
    uint64_t now_s = sp_wall_ms() / 1000;
    struct sweep *s;

    if (state.next_s == 0)
        state.next_s = now_s + FIRST_SWEEP_S;
    if (state.busy || now_s < state.next_s || !(s = sp_alloc(sizeof *s)))
        return;
    state.next_s = now_s + SWEEP_S;
    folder(q, s->dir);
    s->now_s = now_s;
    s->work.data = s;
    state.busy = uv_queue_work(&q->role->loop, &s->work, sweep, swept) == 0;
    if (!state.busy)
        sp_free(s);
}
