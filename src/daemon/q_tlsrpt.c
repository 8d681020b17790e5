/* q_tlsrpt.c - see q.h.
 *
 * Below DATA/tlsrpt: a file a day with a line a session, YYYY-MM-DD; and reports that
 * wait for a host to take them, post-YYYY-MM-DD-N: the URL in the first line, then gzip.
 * A day's file is removed when its mails are in the spool and its posts are written: a
 * crash in between makes reports twice, with the same report-id.
 */
#include "q.h"

#include "alloc.h"
#include "datadir.h"
#include "err.h"
#include "fdio.h"
#include "stored.h"
#include "tlsrpt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX = 64 << 20,    /* octets of a day; sessions behind that are not counted */
    AT_ONCE = 16,           /* reports a turn */
    LOOK_S = 60,            /* between looks for a day that is over */
    SPREAD_S = 4 * 3600,    /* RFC 8460 4.1: not all of the world at midnight */
    POST_AGAIN_S = 3600,    /* 5.4: again later, */
    POST_GIVE_UP_S = 86400, /* for a day */
    POST_LOST_S = 180,      /* delivery would have answered */
    PATH_SIZE = 4400,
    NAME_SIZE = 64,
};

struct report {
    struct report *next;
    char domain[256], rua[SP_RPT_RUA_MAX + 1];
    struct sp_buf gzip;
};

struct work { /* a day that is over; read and packed in the pool */
    uv_work_t work;
    char dir[4200];
    struct sp_rpt_who who;
    char organization[256], contact[321], hostname[256];
    struct report *reports;
};

static struct {
    bool busy;
    struct work *day; /* its reports go out, some at a time */
    uint64_t next_look_s, posts_written;
    char posting[NAME_SIZE], tried[NAME_SIZE]; /* tried: of this pass, the last */
    uint64_t posted_s, next_pass_s;
} state;

static void folder(const struct q *q, char dir[4200])
{
    (void)sp_data_path(dir, 4200, q->conf->data_directory, SP_DATA_QUEUE, "tlsrpt");
}

static uint64_t now_s(void)
{
    return sp_wall_ms() / 1000;
}

/* ---- sessions are kept ---- */

static int append(const char *path, struct sp_str line)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    struct stat st;
    int rc = -1;

    if (fd >= 0 && fstat(fd, &st) == 0)
        rc = st.st_size > FILE_MAX ? 0 : sp_write_all(fd, line);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

void q_rpt_put(struct q *q, const Sp__TlsSession *m)
{
    char dir[4200], path[PATH_SIZE], day[SP_RPT_DAY];
    struct sp_buf line;

    if (!q->conf->tls_reports)
        return;
    folder(q, dir);
    sp_rpt_day(now_s(), day);
    snprintf(path, sizeof path, "%s/%s", dir, day);
    sp_buf_init(&line, SP_RPT_LINE_MAX * 2);
    if (sp_rpt_line(m, &line) == 0 && append(path, sp_buf_view(&line)) < 0 &&
        (sp_mkdir_synced(dir, 0750) < 0 || append(path, sp_buf_view(&line)) < 0))
        sp_log(SP_LOG_WARNING, "", SP_KVS("reason", "a session is not counted"),
               SP_KVS("file", path), SP_KVS("cause", strerror(errno)));
    sp_buf_free(&line);
}

/* ---- a day becomes reports: in the pool ---- */

static void work_free(struct work *w)
{
    while (w && w->reports) {
        struct report *r = w->reports;

        w->reports = r->next;
        sp_buf_free(&r->gzip);
        sp_free(r);
    }
    sp_free(w);
}

static void pack(struct work *w, const struct sp_rpt *all, const char *domain)
{
    struct report *r = sp_alloc(sizeof *r);
    struct sp_buf json;

    if (!r)
        return;
    sp_buf_init(&json, SP_RPT_JSON_MAX);
    sp_buf_init(&r->gzip, SP_RPT_JSON_MAX);
    snprintf(r->domain, sizeof r->domain, "%s", domain);
    snprintf(r->rua, sizeof r->rua, "%s", sp_rpt_rua(all, domain));
    if (sp_rpt_json(all, domain, &w->who, &json) == 0 &&
        sp_rpt_gzip(sp_buf_view(&json), &r->gzip) == 0) {
        r->next = w->reports;
        w->reports = r;
    } else {
        sp_buf_free(&r->gzip);
        sp_free(r);
    }
    sp_buf_free(&json);
}

static void read_day(uv_work_t *u)
{
    struct work *w = u->data;
    struct sp_rpt *all = sp_rpt_new();
    char path[PATH_SIZE], *line = sp_alloc(SP_RPT_LINE_MAX);
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", w->dir, w->who.day);
    f = fopen(path, "re");
    while (all && line && f && fgets(line, SP_RPT_LINE_MAX, f))
        (void)sp_rpt_add(all, sp_str(line)); /* a damaged line is left out */
    if (f)
        (void)fclose(f);
    for (const char *d = all ? sp_rpt_first(all) : NULL; d; d = sp_rpt_next(all, d))
        pack(w, all, d);
    sp_rpt_free(all);
    sp_free(line);
}

static void on_read(uv_work_t *u, int status)
{
    state.busy = false;
    state.day = u->data;
    if (status < 0) {
        work_free(state.day);
        state.day = NULL;
    }
}

/* The same time every day, another one on every host. */
static uint64_t spread(const char *hostname)
{
    uint32_t h = 2166136261u;

    for (; *hostname; hostname++)
        h = (h ^ (unsigned char)*hostname) * 16777619u;
    return h % SPREAD_S;
}

/* The oldest day that is over. */
static bool find_day(const struct q *q, const char *dir, char day[SP_RPT_DAY])
{
    DIR *d = opendir(dir);
    struct dirent *e;
    uint64_t begin;
    bool found = false;

    while (d && (e = readdir(d))) {
        if (sp_rpt_day_begin(e->d_name, &begin) < 0 ||
            now_s() < begin + 86400 + spread(q->conf->hostname) ||
            (found && strcmp(e->d_name, day) > 0))
            continue;
        memcpy(day, e->d_name, SP_RPT_DAY);
        found = true;
    }
    if (d)
        (void)closedir(d);
    return found;
}

static void begin_day(struct q *q)
{
    const struct sp_conf *c = q->conf;
    struct work *w = sp_alloc(sizeof *w);

    if (!w)
        return;
    folder(q, w->dir);
    if (!find_day(q, w->dir, w->who.day)) {
        sp_free(w);
        return;
    }
    snprintf(w->hostname, sizeof w->hostname, "%s", c->hostname);
    snprintf(w->organization, sizeof w->organization, "%s",
             c->tls_reports_organization ? c->tls_reports_organization : c->hostname);
    snprintf(w->contact, sizeof w->contact, "%s",
             c->tls_reports_contact ? c->tls_reports_contact : c->postmaster);
    w->who.hostname = w->hostname;
    w->who.organization = w->organization;
    w->who.contact = w->contact;
    w->work.data = w;
    state.busy = uv_queue_work(&q->role->loop, &w->work, read_day, on_read) == 0;
    if (!state.busy)
        sp_free(w);
}

/* ---- reports by mail ---- */

static int envelope(struct sp_arena *a, const char *to, struct sp_str content,
                    uint64_t header, Sp__Envelope *e)
{
    Sp__Recipient *r = sp_arena_alloc(a, sizeof *r),
                  **list = sp_arena_alloc(a, sizeof *list);
    struct sp_str address = sp_arena_copy(a, sp_str(to));

    if (!r || !list || !address.p)
        return -SP_ENOMEM;
    sp__recipient__init(r);
    r->address = (ProtobufCBinaryData){address.n, (uint8_t *)address.p};
    r->notify = SP_NOTIFY_NEVER;
    list[0] = r;
    sp__envelope__init(e);
    sp_stored_defaults(e, sp_wall_ms());
    e->rcpt = list;
    e->n_rcpt = 1;
    e->body = SP__BODY_TYPE__BODY_7BIT;
    e->header_size = header;
    e->content_size = content.n;
    e->is_notice = true; /* nobody is told that it could not be delivered */
    /* RFC 8460 3: a policy that fails must not keep back the report that says so. */
    e->tls_required_no = true;
    return 0;
}

/* In a transaction of its own: the spool has it when this returns. */
static int mail(struct q *q, const struct work *w, const struct report *r,
                const char *to, struct sp_err *err)
{
    struct sp_batch *b = sp_batch_new(q->spool);
    struct sp_submission sub = {.spare = NULL};
    const struct sp_result *res = NULL;
    Sp__Envelope e;
    uint8_t random[16];
    uint64_t header;
    struct sp_buf out;
    int n = -1;

    sp_buf_init(&out, SP_RPT_MAIL_MAX);
    if (b && RAND_bytes(random, sizeof random) == 1 &&
        sp_rpt_mail(&w->who, r->domain, to, sp_buf_view(&r->gzip), sp_wall_ms(), random,
                    &out, &header) == 0 &&
        envelope(&q->arena, to, sp_buf_view(&out), header, &e) == 0) {
        sub.env = &e;
        sub.content = sp_buf_view(&out);
        q_sign_own(q, r->domain, &sub);
        n = sp_batch_submit(b, &sub, sp_wall_ms(), err);
    } else
        (void)sp_err_set(err, SP_CLASS_BUG, SP_ELIMIT, "it is too large for a mail");
    if (n >= 0 && sp_spool_commit(q->spool, b, sp_wall_ms(), err) == 0)
        res = sp_batch_result(b, n);
    for (size_t i = 0; res && res->code == 250 && i < res->nchange; i++)
        (void)sp_change_apply(&res->change[i], q->sched);
    if (res && res->code == 250)
        sp_log(SP_LOG_TLS_REPORT, res->id, SP_KVS("domain", r->domain),
               SP_KVS("day", w->who.day), SP_KVS("to", to), SP_KVS("id", res->id));
    n = res && res->code == 250 ? 0 : -SP_EIO;
    sp_batch_free(b);
    sp_buf_free(&out);
    q_want_commit(q); /* hands it out, and empties the arena */
    return n;
}

/* ---- reports by HTTPS ---- */

static int write_post(const struct work *w, const struct report *r, const char *url,
                      struct sp_err *err)
{
    char path[PATH_SIZE], new[PATH_SIZE];
    struct sp_buf b;
    int fd, rc;

    snprintf(path, sizeof path, "%s/post-%s-%llu", w->dir, w->who.day,
             (unsigned long long)++state.posts_written);
    snprintf(new, sizeof new, "%s/new", w->dir);
    sp_buf_init(&b, SP_RPT_JSON_MAX + SP_RPT_URI_MAX + 1);
    fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    rc = sp_buf_printf(&b, "%s\n", url) == 0 &&
                 sp_buf_str(&b, sp_buf_view(&r->gzip)) == 0 && fd >= 0 &&
                 sp_write_all(fd, sp_buf_view(&b)) == 0 && fdatasync(fd) == 0 &&
                 rename(new, path) == 0
             ? 0
             : sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write %s", path);
    if (fd >= 0)
        (void)close(fd);
    sp_buf_free(&b);
    state.next_pass_s = 0;
    return rc;
}

static void send_post(struct q *q, struct q_peer *p, const char *path, const char *name)
{
    Sp__TlsReport m = SP__TLS_REPORT__INIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum { MOST = SP_RPT_JSON_MAX + SP_RPT_URI_MAX + 1 };
    struct sp_buf b;
    struct sp_str rest, url;
    char *room, text[SP_RPT_URI_MAX];
    ssize_t n;

    sp_buf_init(&b, MOST);
    room = sp_buf_room(&b, MOST);
    n = fd >= 0 && room ? read(fd, room, MOST) : -1;
    if (fd >= 0)
        (void)close(fd);
    rest = (struct sp_str){room, n > 0 ? (size_t)n : 0};
    url = sp_str_cut(&rest, '\n');
    if (url.n && url.n < sizeof text) {
        memcpy(text, url.p, url.n);
        text[url.n] = '\0';
        m.name = (char *)(uintptr_t)name;
        m.url = text;
        m.body = (ProtobufCBinaryData){rest.n, (uint8_t *)(uintptr_t)rest.p};
        if (sp_port_say(p->port, SP_MSG_TLS_REPORT, &m.base) == 0) {
            snprintf(state.posting, sizeof state.posting, "%s", name);
            state.posted_s = now_s();
        }
    }
    sp_buf_free(&b);
    (void)q;
}

/* The next file of this pass, in order of names. */
static bool next_post(const char *dir, char name[NAME_SIZE])
{
    DIR *d = opendir(dir);
    struct dirent *e;

    name[0] = '\0';
    while (d && (e = readdir(d)))
        if (strncmp(e->d_name, "post-", 5) == 0 && strlen(e->d_name) < NAME_SIZE &&
            strcmp(e->d_name, state.tried) > 0 &&
            (!name[0] || strcmp(e->d_name, name) < 0))
            snprintf(name, NAME_SIZE, "%s", e->d_name);
    if (d)
        (void)closedir(d);
    return name[0] != '\0';
}

static void posts(struct q *q)
{
    char dir[4200], path[PATH_SIZE], name[NAME_SIZE];
    struct q_peer *p = q_peer_find(q, SP__ROLE__ROLE_DELIVERY, 0);
    struct stat st;

    if (state.posting[0] && now_s() < state.posted_s + POST_LOST_S)
        return;
    if (!p || !p->port || !p->greeted || now_s() < state.next_pass_s)
        return;
    state.posting[0] = '\0';
    folder(q, dir);
    if (!next_post(dir, name)) {
        state.tried[0] = '\0';
        state.next_pass_s = now_s() + POST_AGAIN_S;
        return;
    }
    snprintf(state.tried, sizeof state.tried, "%s", name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (stat(path, &st) == 0 && (uint64_t)st.st_mtime + POST_GIVE_UP_S < now_s()) {
        sp_log(SP_LOG_TLS_REPORT_FAILED, "", SP_KVS("report", name),
               SP_KVS("reason", "nobody took it for a day: it is dropped"));
        (void)unlink(path);
        return;
    }
    send_post(q, p, path, name);
}

void q_rpt_posted(struct q *q, const Sp__TlsReported *m)
{
    char dir[4200], path[PATH_SIZE];

    if (!state.posting[0] || strcmp(m->name, state.posting) != 0)
        return; /* too late, or not ours */
    state.posting[0] = '\0';
    folder(q, dir);
    snprintf(path, sizeof path, "%s/%s", dir, m->name);
    if (m->taken)
        (void)unlink(path);
    if (m->taken)
        sp_log(SP_LOG_TLS_REPORT, "", SP_KVS("report", m->name),
               SP_KVS("reply", m->words));
    else
        sp_log(SP_LOG_TLS_REPORT_FAILED, "", SP_KVS("report", m->name),
               SP_KVS("reason", m->words));
}

/* ---- now and then ---- */

static void send_report(struct q *q, const struct work *w, const struct report *r)
{
    struct sp_str rua = sp_str(r->rua);
    struct sp_rpt_uri uri;

    while (sp_rpt_uri(&rua, &uri)) {
        struct sp_err err = {.text = ""};
        int rc =
            uri.mail ? mail(q, w, r, uri.to, &err) : write_post(w, r, uri.to, &err);

        if (rc < 0)
            sp_log(SP_LOG_TLS_REPORT_FAILED, "", SP_KVS("report", r->domain),
                   SP_KVS("reason", err.text));
    }
}

static void some(struct q *q, struct work *w)
{
    char path[PATH_SIZE];

    for (int i = 0; i < AT_ONCE && w->reports; i++) {
        struct report *r = w->reports;

        send_report(q, w, r);
        w->reports = r->next;
        sp_buf_free(&r->gzip);
        sp_free(r);
    }
    if (w->reports)
        return;
    snprintf(path, sizeof path, "%s/%s", w->dir, w->who.day);
    (void)unlink(path);
    work_free(w);
    state.day = NULL;
    state.next_look_s = 0; /* there may be another day */
}

void q_rpt_tick(struct q *q)
{
    if (!q->conf->tls_reports || !q->open_for_work || q->role->draining)
        return;
    if (state.day) {
        some(q, state.day);
    } else if (!state.busy && now_s() >= state.next_look_s) {
        state.next_look_s = now_s() + LOOK_S;
        begin_day(q);
    }
    posts(q);
}
