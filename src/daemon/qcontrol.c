/* qcontrol.c - see qcontrol.h. */
#include "qcontrol.h"

#include "err.h"
#include "text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static json_t *text(const void *p, size_t n)
{
    struct sp_buf b;
    struct sp_str s = {p, n};
    json_t *j = n ? json_stringn_nocheck(p, n) : json_string("");

    if (sp_utf8_valid(s) || n == 0)
        return j;
    json_decref(j);
    sp_buf_init(&b, 4 * n + 16);
    (void)sp_put_escaped(&b, s);
    j = json_stringn(b.p, b.n);
    sp_buf_free(&b);
    return j;
}

json_t *sp_qcontrol_text(const char *s)
{
    return text(s, s ? strlen(s) : 0);
}

static json_t *attempt(const Sp__Attempt *a)
{
    return json_pack("{s:I,s:i,s:o,s:o,s:o,s:o,s:o}", "at_ms", (json_int_t)a->at_ms, "code",
                     (int)a->code, "enhanced", sp_qcontrol_text(a->enhanced), "text", sp_qcontrol_text(a->text),
                     "where", sp_qcontrol_text(a->where), "stage", sp_qcontrol_text(a->stage), "tls",
                     sp_qcontrol_text(a->tls));
}

/* Why it is not tried; NULL: it is. */
static const struct sp_suspension *stop_of(const struct sp_qcontrol *c, const struct sp_view_rcpt *r)
{
    struct sp_str a = {(const char *)r->rcpt->address.data, r->rcpt->address.len};
    const char *at = a.n ? memrchr(a.p, '@', a.n) : NULL;

    if (!c->suspended || !r->state || r->state->status != SP__RCPT_STATUS__RCPT_QUEUED ||
        r->held || r->leased)
        return NULL;
    if (c->why)
        return c->why(c->change_arg, r->job);
    return at ? sp_suspend_find(c->suspended, (struct sp_str){"", 0},
                                (struct sp_str){at + 1, (size_t)(a.p + a.n - at - 1)})
              : NULL;
}

static json_t *suspension(const struct sp_suspension *x)
{
    return json_pack("{s:s,s:o,s:o,s:I}", "suspended", x->route ? "route" : "domain", "name",
                     sp_qcontrol_text(x->name), "reason", sp_qcontrol_text(x->reason), "since_ms",
                     (json_int_t)x->at_ms);
}

static json_t *recipient(const struct sp_qcontrol *c, const struct sp_view_rcpt *r, bool whole)
{
    const struct sp_suspension *stop = whole ? stop_of(c, r) : NULL;
    const Sp__RcptState *st = r->state;
    json_t *j = json_object(), *h;

    json_object_set_new(j, "address", text(r->rcpt->address.data, r->rcpt->address.len));
    json_object_set_new(j, "status",
                        json_string(!st                            ? "unknown"
                                    : st->status != SP__RCPT_STATUS__RCPT_QUEUED
                                        ? sp_rcpt_status_name(st->status)
                                    : r->held   ? "held"
                                    : r->leased ? "active"
                                                : "queued"));
    if (r->route)
        json_object_set_new(j, "route", sp_qcontrol_text(r->route));
    if (r->other)
        json_object_set_new(j, "matches", json_false());
    json_object_set_new(j, "attempts", json_integer(st ? st->attempts : 0));
    if (r->due_ms)
        json_object_set_new(j, "next_ms", json_integer((json_int_t)r->due_ms));
    if (stop)
        json_object_set_new(j, "waits_for", suspension(stop));
    if (!st || st->n_history == 0)
        return j;
    if (!whole) {
        json_object_set_new(j, "last", attempt(st->history[st->n_history - 1]));
        return j;
    }
    h = json_array();
    for (size_t i = 0; i < st->n_history; i++)
        json_array_append_new(h, attempt(st->history[i]));
    json_object_set_new(j, "history", h);
    return j;
}

static void facts(json_t *j, const Sp__Envelope *e)
{
    json_object_set_new(j, "listener", sp_qcontrol_text(e->listener));
    json_object_set_new(j, "session", sp_qcontrol_text(e->session));
    json_object_set_new(j, "client", sp_qcontrol_text(e->client_address));
    json_object_set_new(j, "helo", sp_qcontrol_text(e->helo));
    json_object_set_new(j, "with", sp_qcontrol_text(e->with));
    if (e->tls)
        json_object_set_new(j, "tls", sp_qcontrol_text(e->tls->version));
    if (e->identity) {
        json_object_set_new(j, "login", sp_qcontrol_text(e->identity->login));
        json_object_set_new(j, "mechanism", sp_qcontrol_text(e->identity->mechanism));
    }
    if (e->hold_reason[0])
        json_object_set_new(j, "hold_reason", sp_qcontrol_text(e->hold_reason));
    json_object_set_new(j, "message_id", text(e->message_id.data, e->message_id.len));
    json_object_set_new(j, "header_size", json_integer((json_int_t)e->header_size));
}

static json_t *view(const struct sp_qcontrol *c, const struct sp_view *v, bool whole)
{
    json_t *j = json_object(), *to = json_array();

    json_object_set_new(j, "id", json_string(v->id));
    json_object_set_new(j, "finished", json_boolean(v->finished));
    json_object_set_new(j, "created_ms", json_integer((json_int_t)v->created_ms));
    if (v->finished)
        json_object_set_new(j, "finished_ms", json_integer((json_int_t)v->finished_ms));
    json_object_set_new(j, "size", json_integer((json_int_t)v->size));
    json_object_set_new(j, "user", text(v->user.p, v->user.n));
    if (v->damaged)
        json_object_set_new(j, "damaged", json_string(v->damaged));
    if (v->env) {
        json_object_set_new(j, "from",
                            text(v->env->reverse_path.data, v->env->reverse_path.len));
        json_object_set_new(j, "notice", json_boolean(v->env->is_notice));
        if (whole)
            facts(j, v->env);
    }
    for (size_t i = 0; i < v->nrcpt; i++)
        json_array_append_new(to, recipient(c, &v->rcpt[i], whole));
    json_object_set_new(j, "recipients", to);
    return j;
}

static void fail(struct sp_qcontrol *c, int code, const char *why)
{
    c->exit_code = code;
    snprintf(c->text, sizeof c->text, "%s", why);
}

void sp_qcontrol_put(struct sp_qcontrol *c, json_t *j)
{
    char *s = json_dumps(j, JSON_COMPACT);

    json_decref(j);
    if (!s || c->row(c->row_arg, sp_str(s)) < 0)
        fail(c, EX_SOFTWARE, "the answer is too large to pass on: ask for less of it");
    c->count++;
    free(s);
}

/* 1: not now, the list goes on behind this one. */
static int one_row(void *arg, const struct sp_view *v)
{
    struct sp_qcontrol *c = arg;

    sp_qcontrol_put(c, view(c, v, false));
    c->after = v->message;
    c->more = c->enough && c->enough(c->row_arg);
    return c->more || c->exit_code;
}

static void fail_err(struct sp_qcontrol *c, int rc, const struct sp_err *err)
{
    fail(c, rc == -SP_EINPUT ? EX_USAGE : rc == -SP_ENOENT ? EX_NOINPUT : EX_IOERR,
         err->text);
}

static void list(struct sp_qcontrol *c, const Sp__ControlRequest *m)
{
    Sp__QueueFilter f = SP__QUEUE_FILTER__INIT;
    bool finished;
    struct sp_err err;
    int rc;

    if (m->filter)
        f = *m->filter;
    finished = strcmp(f.state, "finished") == 0;
    if (finished)
        f.state = (char *)(uintptr_t)"";
    if (f.limit) { /* of all pieces together */
        if (c->count >= f.limit)
            return;
        f.limit -= c->count;
    }
    rc = finished ? sp_spool_scan_history(c->spool, &f, c->after, c->now_ms, one_row, c, &err)
                  : sp_spool_scan(c->spool, &f, c->after, c->now_ms, one_row, c, &err);
    if (rc < 0)
        fail_err(c, rc, &err);
}

static void show(struct sp_qcontrol *c, const Sp__ControlRequest *m)
{
    struct sp_view *v;
    struct sp_err err;
    uint64_t number;
    int rc;

    for (size_t i = 0; i < m->n_argument; i++) {
        rc = sp_qid_parse(sp_str(m->argument[i]), &number);
        if (rc == 0)
            rc = sp_spool_find(c->spool, number, &v, &err);
        else
            (void)sp_err_set(&err, SP_CLASS_PEER, SP_EINPUT, "%s is no queue id",
                             m->argument[i]);
        if (rc < 0) {
            if (rc == -SP_ENOENT)
                (void)sp_err_set(&err, SP_CLASS_PEER, SP_ENOENT,
                                 "no message %s is in the queue or in its history",
                                 m->argument[i]);
            fail_err(c, rc, &err);
            continue;
        }
        sp_qcontrol_put(c, view(c, v, true));
        sp_view_free(v);
    }
}

static void counts(struct sp_qcontrol *c)
{
    struct sp_spool_counts n;
    struct sp_err err;

    if (sp_spool_count(c->spool, &n, &err) < 0) {
        fail_err(c, -SP_EIO, &err);
        return;
    }
    sp_qcontrol_put(c, json_pack("{s:I,s:I,s:I,s:I}", "messages", (json_int_t)n.messages, "queued",
                     (json_int_t)n.queued, "held", (json_int_t)n.held, "history",
                     (json_int_t)n.history));
}

static int change_all(struct sp_qcontrol *c, enum sp_control what, const char *route,
                      const Sp__QueueFilter *f, struct sp_err *err)
{
    if (what == SP_CONTROL_REROUTE)
        return sp_spool_reroute_all(c->spool, route, f, c->now_ms, c->change,
                                    c->change_arg, err);
    return sp_spool_control_all(c->spool, what, f, c->now_ms, c->change, c->change_arg,
                                err);
}

static void change(struct sp_qcontrol *c, enum sp_control what, const Sp__ControlRequest *m)
{
    Sp__QueueFilter none = SP__QUEUE_FILTER__INIT, *f = m->filter ? m->filter : &none;
    struct sp_err err;
    int rc;

    for (size_t i = 0; i < m->n_argument; i++) {
        f->id = m->argument[i];
        rc = change_all(c, what, m->route, f, &err);
        if (rc == 0)
            rc = sp_err_set(&err, SP_CLASS_PEER, SP_ENOENT,
                            "no message %s is in the queue", m->argument[i]);
        if (rc < 0)
            fail_err(c, rc, &err);
        else
            c->count += (uint64_t)rc;
    }
    if (m->n_argument)
        return;
    rc = change_all(c, what, m->route, f, &err);
    if (rc < 0)
        fail_err(c, rc, &err);
    else
        c->count = (uint64_t)rc;
}

/* A route when there is one of this name, else a domain. */
static bool is_route(const struct sp_qcontrol *c, const char *name)
{
    for (size_t i = 0; c->conf && i < c->conf->n_routes; i++)
        if (strcmp(c->conf->routes[i].head.name, name) == 0)
            return true;
    return false;
}

static void stop_or_go(struct sp_qcontrol *c, const Sp__ControlRequest *m, bool resumed)
{
    const char *name = m->n_argument ? m->argument[0] : "",
               *reason = m->n_argument > 1 ? m->argument[1] : "";
    bool route = is_route(c, name);
    struct sp_suspension x = {.name = name, .reason = reason, .at_ms = c->now_ms, .route = route};
    struct sp_err err;
    int rc;

    if (!c->suspended || m->n_argument < 1 || m->n_argument > 2) {
        fail(c, EX_USAGE, "one domain or route, and a reason");
        return;
    }
    rc = resumed ? sp_suspend_clear(c->suspended, route, sp_str(name), &err)
                 : sp_suspend_set(c->suspended, route, sp_str(name), sp_str(reason), c->now_ms,
                                  &err);
    /* The route may have gone from the configuration since. */
    if (rc == -SP_ENOENT && !route && (rc = sp_suspend_clear(c->suspended, true, sp_str(name), &err)) == 0)
        x.route = true;
    if (rc < 0) {
        fail_err(c, rc == -SP_ELIMIT ? -SP_EINPUT : rc, &err);
        return;
    }
    if (c->stopped)
        c->stopped(c->change_arg, &x, resumed);
    if (!resumed)
        sp_qcontrol_put(c, suspension(&x));
    c->count = 1;
}

static void paces(struct sp_qcontrol *c)
{
    const struct sp_suspension *x;

    for (size_t i = 0; c->suspended && c->after == 0 && !c->exit_code &&
                       (x = sp_suspend_at(c->suspended, i));
         i++)
        sp_qcontrol_put(c, suspension(x));
    if (c->paces)
        c->paces(c->change_arg, c);
}

const struct sp_conf_route *sp_qcontrol_route(const struct sp_conf *c, const char *name)
{
    if (strchr(name, ' ')) /* the way to a content filter is no route to choose */
        return NULL;
    for (size_t i = 0; i < c->n_routes; i++)
        if (strcmp(c->routes[i].head.name, name) == 0)
            return &c->routes[i];
    return NULL;
}

/* Mail is sent on a route that exists, or it waits for ever. */
static bool route_known(struct sp_qcontrol *c, const char *name)
{
    size_t at;

    if (!*name)
        return true;
    if (!c->conf) {
        fail(c, EX_USAGE,
             "which routes there are stands in the configuration: name it");
        return false;
    }
    if (sp_qcontrol_route(c->conf, name))
        return true;
    c->exit_code = EX_USAGE;
    at = (size_t)snprintf(c->text, sizeof c->text,
                          "no route %.60s is configured; there %s", name,
                          c->conf->n_routes == 0 ? "is none" : "are:");
    for (size_t i = 0; i < c->conf->n_routes && at < sizeof c->text; i++) {
        const char *one = c->conf->routes[i].head.name;

        if (sp_qcontrol_route(c->conf, one))
            at += (size_t)snprintf(c->text + at, sizeof c->text - at, " %s", one);
    }
    return false;
}

void sp_qcontrol_run(struct sp_qcontrol *c, const Sp__ControlRequest *m)
{
    static const struct {
        const char *command;
        enum sp_control what;
    } changes[] = {
        {"queue.hold", SP_CONTROL_HOLD},       {"queue.release", SP_CONTROL_RELEASE},
        {"queue.retry", SP_CONTROL_RETRY_NOW}, {"queue.remove", SP_CONTROL_REMOVE},
        {"queue.expire", SP_CONTROL_EXPIRE},   {"queue.reroute", SP_CONTROL_REROUTE},
    };

    if (!c->more) {
        c->exit_code = 0;
        c->text[0] = '\0';
        c->count = c->after = 0;
    }
    c->more = false;
    if (strcmp(m->command, "queue.list") == 0) {
        list(c, m);
        return;
    }
    if (strcmp(m->command, "queue.show") == 0) {
        show(c, m);
        return;
    }
    if (strcmp(m->command, "queue.suspend") == 0 || strcmp(m->command, "queue.resume") == 0) {
        stop_or_go(c, m, strcmp(m->command, "queue.resume") == 0);
        return;
    }
    if (strcmp(m->command, "queue.paces") == 0) {
        paces(c);
        return;
    }
    if (strcmp(m->command, "queue.count") == 0) {
        counts(c);
        return;
    }
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        if (strcmp(m->command, changes[i].command) == 0) {
            if (changes[i].what == SP_CONTROL_REROUTE && !route_known(c, m->route))
                return;
            change(c, changes[i].what, m);
            return;
        }
    fail(c, EX_USAGE, "this server does not know the command");
}
