/* flt_milter.c - one milter of one session; see flt.h. */
#include "flt.h"

#include "alloc.h"
#include "text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { CHANGES_MAX = 8 << 20, OUTPUT_MAX = 1 << 20, MACROS_MAX = 40 };

static const char *name(const struct flt_milter *m)
{
    return m->c->head.name;
}

void flt_milter_init(struct flt_milter *m, struct flt_session *s,
                     const struct sp_conf_milter *c)
{
    memset(m, 0, sizeof *m);
    m->s = s;
    m->c = c;
    sp_arena_init(&m->arena, CHANGES_MAX);
    flt_body_init(&m->new_body);
    m->last = &m->change;
}

static void forget_changes(struct flt_milter *m)
{
    sp_arena_reset(&m->arena);
    m->change = NULL;
    m->last = &m->change;
    flt_body_free(&m->new_body);
    m->has_body = false;
}

/* ---- output ---- */

static void flush(struct flt_milter *m)
{
    size_t n, room = m->conn ? sp_conn_room(m->conn) : 0;
    const char *p = m->proto ? sp_milter_out(m->proto, &n) : NULL;

    if (!p || n == 0 || room == 0)
        return;
    n = n < room ? n : room;
    if (sp_conn_write(m->conn, p, n) == 0)
        sp_milter_out_ack(m->proto, n);
}

static bool backed_up(const struct flt_milter *m)
{
    size_t n = 0;

    if (m->proto)
        (void)sp_milter_out(m->proto, &n);
    return n > 0;
}

/* ---- the end of a connection ---- */

static void drop(struct flt_milter *m, bool politely)
{
    sp_timer_stop(&m->timer);
    sp_dial_cancel(m->dial);
    m->dial = NULL;
    if (m->proto && m->conn && politely && m->ready) {
        if (m->in_message)
            sp_milter_abort(m->proto);
        sp_milter_quit(m->proto);
        flush(m);
    }
    if (m->conn && politely)
        sp_conn_close(m->conn);
    else if (m->conn)
        sp_conn_abort(m->conn);
    m->conn = NULL;
    sp_milter_free(m->proto);
    m->proto = NULL;
    m->ready = m->connected = m->in_message = false;
    m->helo = m->tx = 0;
    forget_changes(m);
}

void flt_milter_close(struct flt_milter *m)
{
    drop(m, true);
    m->passed_all = m->passed = m->broken = false;
}

static const char *stage_now(const struct flt_milter *m)
{
    static const char *const names[] = {"connect", "helo",  "mail",  "rcpt",   "data",
                                        "message", "abort", "close", "unknown"};
    unsigned i = m->s->now ? (unsigned)m->s->now->m->stage : 7;

    return i < sizeof names / sizeof names[0] ? names[i] : "";
}

/* Where nothing is asked yet that could be refused, the next MAIL tries again. */
static enum flt_step failed(struct flt_milter *m, const char *why)
{
    struct flt_session *s = m->s;
    bool early = !s->now || s->now->m->stage < SP__FILTER_STAGE__FILTER_MAIL ||
                 (s->now->m->stage == SP__FILTER_STAGE__FILTER_UNKNOWN && !m->in_message);

    if (why)
        flt_log_failure(s, "milter", name(m), stage_now(m), why,
                        early ? NULL : &m->c->on_failure);
    drop(m, false);
    if (early)
        return FLT_NEXT;
    m->broken = true;
    m->passed = m->c->on_failure == SP_CONF_FAIL_ACCEPT;
    if (m->passed)
        return FLT_NEXT;
    flt_refuse_failure(s, m->c->on_failure);
    return FLT_OVER;
}

/* Outside of a step: the session goes on, if it waits for this one. */
static void failed_later(struct flt_milter *m, const char *why)
{
    struct flt_session *s = m->s;
    bool waited = s->now && s->at < s->n_milters && &s->milter[s->at] == m;

    if (!waited) { /* between questions: found out when it matters */
        drop(m, false);
        return;
    }
    if (failed(m, why) == FLT_NEXT) {
        s->at++;
        flt_go_on(s);
    }
}

void flt_milter_give_up(struct flt_milter *m, const char *why)
{
    failed_later(m, why);
}

static void on_timer(void *arg)
{
    struct flt_milter *m = arg;

    failed_later(m, m->ready ? "no answer in time" : "cannot connect in time");
}

static void wait_for(struct flt_milter *m)
{
    uint64_t s = !m->ready ? m->c->connect_timeout_s
                 : m->s->now && m->s->now->m->stage == SP__FILTER_STAGE__FILTER_MESSAGE
                     ? m->c->content_timeout_s
                     : m->c->command_timeout_s;

    sp_timer_start(&m->timer, s * 1000);
}

/* ---- what it wants ---- */

static bool note_change(struct flt_milter *m, const struct sp_milter_change *c)
{
    struct flt_change *x;

    if (c->kind == SP_MC_BODY) {
        m->has_body = true;
        return flt_body_put(&m->new_body, c->value, m->s->l->message_size) == 0;
    }
    x = sp_arena_alloc(&m->arena, sizeof *x);
    if (!x)
        return false;
    x->next = NULL;
    x->c = *c;
    x->c.name = sp_arena_copy(&m->arena, c->name);
    x->c.value = sp_arena_copy(&m->arena, c->value);
    if (!x->c.name.p || !x->c.value.p)
        return false;
    *m->last = x;
    m->last = &x->next;
    return true;
}

/* "<a@b>" or "a@b" */
static struct sp_str bare(struct sp_str s)
{
    s = sp_str_trim(s);
    if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
        return (struct sp_str){s.p + 1, s.n - 2};
    return s;
}

static bool remove_address(struct flt_session *s, struct sp_str text)
{
    for (struct flt_address **at = &s->added; *at; at = &(*at)->next)
        if (sp_str_eq((*at)->text, text)) {
            *at = (*at)->next; /* one that a filter added: then both are nothing */
            return true;
        }
    return flt_address_add(s, &s->removed, text, (struct sp_str){"", 0});
}

static bool apply_one(struct flt_milter *m, const struct sp_milter_change *c,
                      bool leading)
{
    struct flt_session *s = m->s;
    struct sp_str a = bare(c->name);

    switch (c->kind) {
    case SP_MC_ADD_HEADER:
        return sp_medit_add(&s->edit, c->name, c->value, leading) == 0;
    case SP_MC_INSERT_HEADER:
        return sp_medit_insert(&s->edit, c->index, c->name, c->value, leading) == 0;
    case SP_MC_CHANGE_HEADER:
        return sp_medit_change(&s->edit, c->index, c->name, c->value, leading) == 0;
    case SP_MC_CHANGE_FROM:
        s->sender = flt_keep(s, a);
        s->sender_changed = true;
        return s->sender != NULL;
    case SP_MC_ADD_RCPT:
        return flt_address_add(s, &s->added, a, c->value);
    case SP_MC_DELETE_RCPT:
        return remove_address(s, a);
    case SP_MC_QUARANTINE:
        s->hold = flt_keep(s, c->name.n ? c->name : sp_str(name(m)));
        return s->hold != NULL;
    case SP_MC_BODY:
        break;
    }
    return true;
}

static void log_changes(const struct flt_milter *m)
{
    unsigned n[SP_MC_QUARANTINE + 1] = {0};

    for (const struct flt_change *x = m->change; x; x = x->next)
        n[x->c.kind]++;
    if (!m->change && !m->has_body)
        return;
    sp_log(SP_LOG_FILTER_CHANGED, m->s->client->session, SP_KVS("filter", name(m)),
           SP_KVU("header", n[SP_MC_ADD_HEADER] + n[SP_MC_INSERT_HEADER] +
                                n[SP_MC_CHANGE_HEADER]),
           SP_KVS("body", m->has_body ? "yes" : "no"),
           SP_KVS("sender", n[SP_MC_CHANGE_FROM] ? "yes" : "no"),
           SP_KVU("added", n[SP_MC_ADD_RCPT]), SP_KVU("removed", n[SP_MC_DELETE_RCPT]),
           SP_KVS("hold", n[SP_MC_QUARANTINE] ? "yes" : "no"));
}

/* Its verdict lets the message pass: the next milter sees what it made of it. */
static bool apply_changes(struct flt_milter *m)
{
    struct flt_session *s = m->s;
    bool ok = true;

    for (const struct flt_change *x = m->change; ok && x; x = x->next)
        ok = apply_one(m, &x->c, sp_milter_leading_space(m->proto));
    if (ok && m->has_body) {
        flt_body_free(&s->body);
        s->body = m->new_body;
        flt_body_init(&m->new_body);
        s->body_changed = true;
    }
    if (ok)
        log_changes(m);
    forget_changes(m);
    return ok;
}

/* ---- verdicts ---- */

static void refused(struct flt_milter *m, const struct sp_milter_event *ev)
{
    struct flt_session *s = m->s;
    const char *words = "";
    struct flt_reply r = {0};

    switch (ev->verdict) {
    case SP_MV_REJECT:
        r = (struct flt_reply){550, {5, 7, 1}, SP_LIT("Command rejected by a filter")};
        words = "reject";
        break;
    case SP_MV_TEMPFAIL:
        r = (struct flt_reply){
            451, {4, 7, 1}, SP_LIT("Service unavailable; try again later")};
        words = "tempfail";
        break;
    case SP_MV_SHUTDOWN:
        r = (struct flt_reply){421, {4, 7, 0}, SP_LIT("Closing connection")};
        words = "shutdown";
        break;
    case SP_MV_REPLY:
        r = (struct flt_reply){
            ev->code, {ev->enh[0], ev->enh[1], ev->enh[2]}, ev->text};
        words = "reply";
        break;
    case SP_MV_CONTINUE:
    case SP_MV_ACCEPT:
    case SP_MV_DISCARD:
        return;
    }
    if (!r.enh[0]) {
        r.enh[0] = r.code / 100;
        r.enh[1] = 7;
        r.enh[2] = 1;
    }
    flt_log_verdict(s, "milter", name(m), sp_milter_stage_name(ev->stage), words, &r);
    flt_refuse(s, &r);
}

static void on_verdict(struct flt_milter *m, const struct sp_milter_event *ev)
{
    struct flt_session *s = m->s;
    bool end = ev->stage == SP_MS_EOM;

    sp_timer_stop(&m->timer);
    if (end)
        m->in_message = false;
    if (ev->stage == SP_MS_UNKNOWN) { /* the command is refused already */
        flt_go_on(s);
        return;
    }
    switch (ev->verdict) {
    case SP_MV_ACCEPT:
        if (ev->stage == SP_MS_CONNECT || ev->stage == SP_MS_HELO) {
            drop(m, true);
            m->passed_all = true;
            break;
        }
        m->passed = true;
        if (!end)
            forget_changes(m);
        /* fall through */
    case SP_MV_CONTINUE:
        if (end && !apply_changes(m)) {
            failed_later(m, "its changes are too many or too large");
            return;
        }
        break;
    case SP_MV_DISCARD:
        flt_log_verdict(s, "milter", name(m), sp_milter_stage_name(ev->stage),
                        "discard", NULL);
        s->discard = true;
        break;
    case SP_MV_REJECT:
    case SP_MV_TEMPFAIL:
    case SP_MV_REPLY:
    case SP_MV_SHUTDOWN:
        forget_changes(m);
        refused(m, ev);
        return;
    }
    flt_go_on(s);
}

static void on_event(struct flt_milter *m, const struct sp_milter_event *ev)
{
    switch (ev->type) {
    case SP_MILTER_READY:
        sp_timer_stop(&m->timer);
        m->ready = true;
        flt_go_on(m->s);
        return;
    case SP_MILTER_PROGRESS:
        if (sp_timer_running(&m->timer))
            wait_for(m);
        return;
    case SP_MILTER_CHANGE:
        if (!note_change(m, &ev->change))
            failed_later(m, "its changes are too many or too large");
        return;
    case SP_MILTER_VERDICT:
        on_verdict(m, ev);
        return;
    case SP_MILTER_FAILED: {
        char why[200];

        snprintf(why, sizeof why, "%.*s", (int)(ev->text.n < 190 ? ev->text.n : 190),
                 ev->text.p);
        failed_later(m, why);
        return;
    }
    case SP_MILTER_NONE:
        return;
    }
}

static size_t on_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    struct flt_milter *m = arg;
    size_t used = 0;

    while (used < n && m->conn == c) {
        struct sp_milter_event ev;
        size_t k = sp_milter_feed(m->proto, p + used, n - used);
        bool any = false;

        used += k;
        /* An event may end the connection, and with it the codec. */
        while (m->conn == c && sp_milter_next(m->proto, &ev)) {
            any = true;
            on_event(m, &ev);
        }
        if (k == 0 && !any)
            break;
    }
    if (m->conn == c)
        flush(m);
    return n;
}

static void on_drain(struct sp_conn *c, void *arg)
{
    struct flt_milter *m = arg;

    (void)c;
    flush(m);
    if (!backed_up(m))
        flt_go_on(m->s);
}

static void on_end(struct sp_conn *c, const struct sp_end *end, void *arg)
{
    (void)c;
    failed_later(arg, end->kind == SP_END_CLEAN ? "it closed the connection"
                                                : end->err.text);
}

static const struct sp_conn_ops conn_ops = {
    .on_read = on_read, .on_drain = on_drain, .on_end = on_end};

/* ---- connecting ---- */

static int dial(struct flt_milter *m);

static void on_dialled(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    struct flt_milter *m = arg;

    m->dial = NULL;
    if (!c) {
        if (++m->address < m->c->address.n && dial(m) == 0)
            return;
        failed_later(m, err->text);
        return;
    }
    m->proto = sp_milter_new();
    if (!m->proto) {
        sp_conn_abort(c);
        failed_later(m, "out of memory");
        return;
    }
    m->conn = c;
    sp_conn_set_limit(c, OUTPUT_MAX);
    sp_conn_start(c, &conn_ops, m);
    flush(m);
}

static int dial(struct flt_milter *m)
{
    const struct sp_conf_addr *a = &m->c->address.v[m->address];
    struct sp_dial_opts o = {.host = a->host,
                             .port = a->port,
                             .unix_path = a->kind == SP_CONF_ADDR_UNIX ? a->host : NULL,
                             .timeout_ms = (unsigned)m->c->connect_timeout_s * 1000};

    m->dial = sp_dial(m->s->f->net, &o, on_dialled, m);
    return m->dial ? 0 : -SP_ENOMEM;
}

static enum flt_step connect_it(struct flt_milter *m)
{
    if (m->dial || m->conn)
        return FLT_WAIT; /* until it has negotiated */
    m->address = 0;
    sp_timer_init(&m->timer, m->s->f->net, on_timer, m);
    if (dial(m) < 0)
        return failed(m, "out of memory");
    wait_for(m);
    return FLT_WAIT;
}

/* ---- saying ---- */

#define AT(stage) (1u << SP_MS_##stage)

struct macros {
    struct sp_milter_macro v[MACROS_MAX];
    size_t n;
    char port[12], bits[12], sender[600], recipient[600], uptime[24];
};

static void put(struct macros *x, const char *macro, unsigned stages,
                struct sp_str value)
{
    if (x->n < MACROS_MAX)
        x->v[x->n++] = (struct sp_milter_macro){macro, stages, value};
}

static struct sp_str domain_of(struct sp_str address)
{
    const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;

    return at ? (struct sp_str){at + 1, (size_t)(address.p + address.n - at - 1)}
              : (struct sp_str){"", 0};
}

/* Names as sendmail and Postfix give them. */
static void macros(const struct flt_milter *m, struct macros *x)
{
    const struct flt_session *s = m->s;
    const Sp__FilterClient *c = s->client;
    struct sp_str rcpt = s->now->m->stage == SP__FILTER_STAGE__FILTER_RCPT
                             ? sp_pb_str(s->now->m->address)
                             : (struct sp_str){"", 0};
    unsigned message = AT(MAIL) | AT(RCPT) | AT(DATA) | AT(EOH) | AT(EOM);

    memset(x, 0, sizeof *x);
    snprintf(x->port, sizeof x->port, "%u", c->port);
    put(x, "j", AT(CONNECT), sp_str(s->conf->hostname));
    put(x, "v", AT(CONNECT), SP_LIT("Sallyport"));
    put(x, "_", AT(CONNECT), sp_str(c->address[0] ? c->address : "localhost"));
    put(x, "daemon_name", AT(CONNECT), sp_str(c->listener));
    put(x, "client_addr", AT(CONNECT),
        sp_str(c->address[0] ? c->address : "127.0.0.1"));
    put(x, "client_name", AT(CONNECT), sp_str(c->address[0] ? "unknown" : "localhost"));
    put(x, "client_ptr", AT(CONNECT), sp_str(c->address[0] ? "unknown" : "localhost"));
    put(x, "client_port", AT(CONNECT), sp_str(x->port));
    if (c->tls) {
        snprintf(x->bits, sizeof x->bits, "%u", c->tls->bits);
        put(x, "tls_version", AT(HELO) | AT(MAIL), sp_str(c->tls->version));
        put(x, "cipher", AT(HELO) | AT(MAIL), sp_str(c->tls->cipher));
        put(x, "cipher_bits", AT(HELO) | AT(MAIL), sp_str(x->bits));
        put(x, "verify", AT(HELO) | AT(MAIL),
            sp_str(!c->certificate[0]        ? "NO"
                   : c->certificate_verified ? "OK"
                                             : "FAIL"));
        put(x, "cert_subject", AT(HELO) | AT(MAIL), sp_str(c->certificate_subject));
        put(x, "cert_issuer", AT(HELO) | AT(MAIL), sp_str(c->certificate_issuer));
    }
    put(x, "i", message, sp_str(s->id));
    put(x, "auth_type", AT(MAIL), sp_str(c->mechanism));
    put(x, "auth_authen", AT(MAIL), sp_str(c->login));
    put(x, "auth_author", AT(MAIL), sp_str(c->user));
    if (c->tls)
        put(x, "auth_ssf", AT(MAIL), c->mechanism[0] ? sp_str(x->bits) : sp_str(""));
    put(x, "mail_addr", AT(MAIL), sp_str(s->sender));
    put(x, "mail_host", AT(MAIL), domain_of(sp_str(s->sender)));
    put(x, "mail_mailer", AT(MAIL), SP_LIT("smtp"));
    put(x, "rcpt_addr", AT(RCPT), rcpt);
    put(x, "rcpt_host", AT(RCPT), domain_of(rcpt));
    put(x, "rcpt_mailer", AT(RCPT), SP_LIT("smtp"));
}

/* FLT_NEXT: it was said, and no answer is to come. */
static enum flt_step tell(struct flt_milter *m, enum sp_milter_stage stage,
                          struct sp_milter_say *w)
{
    static struct macros x; /* one at a time, and nothing points into it afterwards */
    int rc;

    if (stage != SP_MS_BODY && stage != SP_MS_HEADER) {
        macros(m, &x);
        w->macro = x.v;
        w->macros = x.n;
    }
    rc = sp_milter_say(m->proto, stage, w);
    flush(m);
    if (rc < 0)
        return failed(m, "it cannot be told so much at a time");
    if (rc == 0)
        return FLT_NEXT;
    wait_for(m);
    return FLT_WAIT;
}

static enum flt_step tell_connect(struct flt_milter *m)
{
    const Sp__FilterClient *c = m->s->client;
    char host[80];
    uint8_t raw[16];
    struct sp_milter_say w = {
        .port = (uint16_t)c->port, .family = '4', .value = SP_LIT("127.0.0.1")};

    snprintf(host, sizeof host, c->address[0] ? "[%.60s]" : "localhost", c->address);
    w.text = sp_str(host);
    if (c->address[0]) {
        w.value = sp_str(c->address);
        w.family = inet_pton(AF_INET6, c->address, raw) == 1  ? '6'
                   : inet_pton(AF_INET, c->address, raw) == 1 ? '4'
                                                              : 'U';
    }
    m->connected = true;
    return tell(m, SP_MS_CONNECT, &w);
}

static enum flt_step tell_helo(struct flt_milter *m)
{
    struct sp_milter_say w = {.text = sp_str(m->s->client->helo)};

    m->helo = m->s->helo;
    return tell(m, SP_MS_HELO, &w);
}

static enum flt_step tell_address(struct flt_milter *m, enum sp_milter_stage stage,
                                  const Sp__FilterAsk *a)
{
    struct sp_str argv[32];
    struct sp_milter_say w = {.argv = argv};
    char path[700];

    snprintf(path, sizeof path, "<%.*s>",
             (int)(a->address.len < 690 ? a->address.len : 690),
             a->address.len ? (char *)a->address.data : "");
    w.text = sp_str(path);
    for (; w.argc < a->n_parameter && w.argc < 32; w.argc++)
        argv[w.argc] = sp_pb_str(a->parameter[w.argc]);
    return tell(m, stage, &w);
}

static enum flt_step tell_headers(struct flt_milter *m)
{
    const struct sp_medit *e = &m->s->edit;

    while (m->field < e->n) {
        const struct sp_medit_field *f = &e->field[m->field++];
        struct sp_milter_say w = {.text = f->name, .value = f->value};
        enum flt_step st = f->name.n ? tell(m, SP_MS_HEADER, &w) : FLT_NEXT;

        if (st != FLT_NEXT)
            return st;
        if (backed_up(m))
            return FLT_WAIT;
    }
    m->phase = FLT_EOH;
    return FLT_NEXT;
}

static enum flt_step tell_body(struct flt_milter *m)
{
    static char chunk[SP_MILTER_CHUNK];
    const struct flt_body *b = &m->s->body;

    while (m->at < b->size && sp_milter_wants(m->proto, SP_MS_BODY)) {
        int n = flt_body_read(b, m->at, chunk, sizeof chunk);
        struct sp_milter_say w = {.text = {chunk, n > 0 ? (size_t)n : 0}};
        enum flt_step st;

        if (n <= 0) {
            flt_refuse_failure(m->s, SP_CONF_FAIL_TEMPFAIL);
            return FLT_OVER;
        }
        m->at += (uint64_t)n;
        st = tell(m, SP_MS_BODY, &w);
        if (st != FLT_NEXT)
            return st;
        if (backed_up(m))
            return FLT_WAIT;
    }
    m->phase = FLT_EOM;
    return FLT_NEXT;
}

static enum flt_step tell_message(struct flt_milter *m)
{
    struct sp_milter_say none = {0};

    for (;;) {
        enum flt_step st = FLT_NEXT;

        switch (m->phase) {
        case FLT_HEADERS:
            st = tell_headers(m);
            break;
        case FLT_EOH:
            m->phase = FLT_BODY;
            st = tell(m, SP_MS_EOH, &none);
            break;
        case FLT_BODY:
            st = tell_body(m);
            break;
        case FLT_EOM:
            m->phase = FLT_DONE;
            st = tell(m, SP_MS_EOM, &none);
            break;
        case FLT_DONE:
            return FLT_NEXT;
        }
        if (st != FLT_NEXT)
            return st;
    }
}

/* The line itself is not shown: clients that are out of step send passwords as commands. */
static enum flt_step tell_unknown(struct flt_milter *m)
{
    struct sp_milter_say w = {.text = SP_LIT("(not shown)")};

    return tell(m, SP_MS_UNKNOWN, &w);
}

/* What must have been said before the present question can be put, then the question. */
static enum flt_step say_next(struct flt_milter *m)
{
    struct flt_session *s = m->s;
    const Sp__FilterAsk *a = s->now->m;

    if (!m->connected)
        return tell_connect(m);
    if (a->stage == SP__FILTER_STAGE__FILTER_CONNECT)
        return FLT_SAID;
    if (m->helo != s->helo && s->client->helo[0])
        return tell_helo(m);
    if (a->stage == SP__FILTER_STAGE__FILTER_HELO)
        return FLT_SAID;
    if (a->stage == SP__FILTER_STAGE__FILTER_MAIL && m->tx != s->tx) {
        m->tx = s->tx;
        m->in_message = true;
        return tell_address(m, SP_MS_MAIL, a);
    }
    if (a->stage == SP__FILTER_STAGE__FILTER_MESSAGE)
        return m->phase == FLT_DONE ? FLT_SAID : tell_message(m);
    if (m->said || a->stage == SP__FILTER_STAGE__FILTER_MAIL)
        return FLT_SAID;
    m->said = true;
    if (a->stage == SP__FILTER_STAGE__FILTER_RCPT)
        return tell_address(m, SP_MS_RCPT, a);
    if (a->stage == SP__FILTER_STAGE__FILTER_UNKNOWN)
        return tell_unknown(m);
    return tell(m, SP_MS_DATA, &(struct sp_milter_say){0});
}

void flt_milter_begin(struct flt_milter *m)
{
    m->said = false;
    m->phase = FLT_HEADERS;
    m->field = 0;
    m->at = 0;
    if (m->s->now->m->stage == SP__FILTER_STAGE__FILTER_MAIL)
        m->passed = m->broken = false;
}

enum flt_step flt_milter_step(struct flt_milter *m)
{
    Sp__FilterStage stage = m->s->now->m->stage;

    if (m->passed_all || m->passed)
        return FLT_NEXT;
    if (!m->conn && stage == SP__FILTER_STAGE__FILTER_UNKNOWN)
        return FLT_NEXT;
    if (m->broken)
        return failed(m, NULL);
    if (!m->conn && stage > SP__FILTER_STAGE__FILTER_MAIL)
        return failed(m, "it closed the connection");
    for (;;) {
        enum flt_step st;
        struct sp_conn *was;

        if (!m->ready)
            return connect_it(m);
        if (sp_milter_waits(m->proto) || backed_up(m))
            return FLT_WAIT;
        was = m->conn;
        st = say_next(m);
        if (st == FLT_SAID)
            return FLT_NEXT;
        if (st != FLT_NEXT)
            return st;
        if (m->conn != was)
            return FLT_NEXT; /* it failed, and that is no matter */
    }
}

void flt_milter_abort(struct flt_milter *m)
{
    sp_timer_stop(&m->timer);
    if (m->ready && m->in_message) {
        sp_milter_abort(m->proto);
        flush(m);
    }
    m->in_message = false;
    m->passed = m->broken = false;
    forget_changes(m);
}
