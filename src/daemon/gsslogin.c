/* gsslogin.c - see gsslogin.h. */
#include "gsslogin.h"

#include "alloc.h"
#include "datadir.h"
#include "err.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
    char path[4000], cache[4096];

    (void)sp_data_path(path, sizeof path, c->data_directory, SP_DATA_USERS, "krb5.rcache");
    (void)snprintf(cache, sizeof cache, "file2:%s", path);
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

/* ---- before anybody logs in ---- */

static bool offered(const struct sp_conf *c)
{
    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct sp_conf_list *lists[] = {&c->listeners[i].auth_clear,
                                              &c->listeners[i].auth_tls};

        for (size_t k = 0; k < 2; k++)
            for (size_t w = 0; w < lists[k]->n; w++)
                if (strcmp(lists[k]->v[w], "GSSAPI") == 0)
                    return true;
    }
    return false;
}

/* With the rights that the auth role will have: no other groups than its own.  0, or why
 * not.  Between fork and _exit only system calls: threads may have held locks. */
static int readable_as(const char *path, uid_t uid, gid_t gid)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0 ||
            access(path, R_OK) < 0)
            _exit(errno & 0xff);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 0;
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static int service_reads(const struct sp_conf *c, struct sp_err *err)
{
    struct passwd *pw = geteuid() == 0 ? getpwnam(c->user) : NULL;
    struct group *gr = c->group ? getgrnam(c->group) : NULL;

    if (!pw || pw->pw_uid == 0)
        return 0;
    errno = readable_as(c->gssapi_keytab, pw->pw_uid, gr ? gr->gr_gid : pw->pw_gid);
    if (errno == 0)
        return 0;
    return sp_err_sys(
        err, SP_CLASS_PEER, SP_EDENIED,
        "logins by GSSAPI will fail: the service's user %s cannot read %s", c->user,
        c->gssapi_keytab);
}

int gsslogin_check(const struct sp_conf *c, struct sp_err *err)
{
    struct sp_gss *g = NULL;
    struct sp_err why;

    if (!offered(c))
        return 0;
    if (!c->gssapi_keytab)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "there is no gssapi-keytab");
    if (sp_gss_server_new(c->gssapi_keytab, c->gssapi_principal, NULL, &g, &why) < 0)
        return sp_err_set(err, SP_CLASS_PEER, why.code,
                          "logins by GSSAPI will fail: %s", why.text);
    sp_gss_free(g);
    return service_reads(c, err);
}
