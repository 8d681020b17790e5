/* gsslogin.c - see gsslogin.h. */
#include "gsslogin.h"

#include "alloc.h"
#include "err.h"

#include <stdio.h>

struct gsslogin {
    uv_work_t req;
    uv_loop_t *loop;
    gsslogin_ended *ended;
    void *arg;
    uint64_t serial, session;
    struct sp_conf *conf;
    struct sp_gss
        *gss; /* made by the first step: reading the key table may block, too */
    struct sp_buf in, out;
    enum sp_sasl_status st;
    struct sp_err err;
    bool busy, dead;
};

static void release(struct gsslogin *l)
{
    sp_gss_free(l->gss);
    sp_buf_wipe(&l->in);
    sp_buf_wipe(&l->out);
    sp_conf_unref(l->conf);
    sp_free(l);
}

struct gsslogin *gsslogin_new(uv_loop_t *loop, struct sp_conf *conf,
                              gsslogin_ended *ended, void *arg, uint64_t serial,
                              uint64_t session)
{
    struct gsslogin *l = sp_alloc(sizeof *l);

    if (!l)
        return NULL;
    l->loop = loop;
    l->conf = sp_conf_ref(conf);
    l->ended = ended;
    l->arg = arg;
    l->serial = serial;
    l->session = session;
    l->req.data = l;
    sp_buf_init(&l->in, 2 * SP_SASL_TOKEN_MAX);
    sp_buf_init(&l->out, 8 * SP_SASL_TOKEN_MAX);
    return l;
}

/* The library would put its replay cache into TMPDIR, which need not be ours to write. */
static int open_gss(struct gsslogin *l)
{
    const struct sp_conf *c = l->conf;
    char cache[4096];

    (void)snprintf(cache, sizeof cache, "file2:%s/krb5.rcache", c->data_directory);
    return sp_gss_server_new(c->gssapi_keytab ? c->gssapi_keytab : "",
                             c->gssapi_principal, cache, &l->gss, &l->err);
}

/* In the pool: touches only l. */
static void work(uv_work_t *req)
{
    struct gsslogin *l = req->data;

    if (!l->gss && open_gss(l) < 0)
        l->st = SP_SASL_FAILED;
    else
        l->st = sp_gss_step(l->gss, sp_buf_view(&l->in), &l->out, &l->err);
}

static void after(uv_work_t *req, int status)
{
    struct gsslogin *l = req->data;

    (void)status;
    l->busy = false;
    if (l->dead)
        release(l);
    else
        l->ended(l->arg, l->serial, l->session, l->st, sp_buf_view(&l->out), &l->err);
}

int gsslogin_step(struct gsslogin *l, struct sp_str token)
{
    if (l->busy)
        return -SP_ESTATE;
    sp_buf_wipe(&l->in);
    sp_buf_wipe(&l->out);
    if (sp_buf_str(&l->in, token) < 0)
        return -SP_ENOMEM;
    l->busy = true;
    if (uv_queue_work(l->loop, &l->req, work, after) < 0) {
        l->busy = false;
        return -SP_ENOMEM;
    }
    return 0;
}

const struct sp_gss *gsslogin_gss(const struct gsslogin *l)
{
    return l->gss;
}

void gsslogin_free(struct gsslogin *l)
{
    if (l && l->busy)
        l->dead = true;
    else if (l)
        release(l);
}
