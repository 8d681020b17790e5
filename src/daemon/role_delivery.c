/*
 * role_delivery.c - mail on to smart hosts, LMTP servers and mail exchanges.
 *
 * It sees the messages it is given, one descriptor each, and no spool; it has the
 * credentials of routes and no users' secrets.  Jobs of one route wait in one line;
 * connections take them from there, several messages each, and stay open for a short
 * while when the line is empty.
 */
#include "role.h"

#include "alloc.h"
#include "certmap.h"
#include "dlv_rpt.h"
#include "dlv_sts.h"
#include "err.h"
#include "fetch.h"
#include "held.h"
#include "mxlook.h"
#include "outcome.h"
#include "secret.h"
#include "stored.h"
#include "talk.h"
#include "tlspolicy.h"
#include "text.h"
#include "wallclock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CAPACITY = 200, IDLE_MS = 5000, PAUSE_MS = 5000, CAREFUL_MS = 60000, BLOCK = 65536 };

struct dlv;
struct dest;

struct job {
    struct sp_held_job h;
    struct dlv *d;
    struct job *next_wait; /* of its destination's line */
    struct dest *dest;
    bool waiting;
    /* Recipients [from, from + part) are in the transaction under way: a next hop that
     * takes fewer than there are (LIMITS, RFC 9422) gets the message several times. */
    size_t from, part;
    /* how far the content is sent */
    struct sp_piece piece[SP_STORED_PIECES_MAX];
    size_t pieces, at;
    uint64_t offset;
};

struct link { /* one connection */
    struct link *next;
    struct dest *dest;
    struct sp_talk *talk;
    struct job *job;
    size_t host; /* index into the route's list */
    size_t left; /* hosts behind it that were not tried for this connection */
    uint64_t sent;
    bool ready, quitting;
    bool wants_token; /* it waits for the route's token-command */
    enum sp_dane dane; /* of the mail exchange; its name is what `where` begins with */
    enum sp_sts sts;
    bool noted; /* for TLSRPT */
    struct sp_tls_ctx *tls; /* with its TLSA records; NULL: the destination's */
    bool clear;        /* the handshake failed before: this one is without TLS */
    struct sp_timer idle;
    char where[300];
};

/* One route in force; of a route to mail exchanges, one for each domain that there is
 * mail for, and one without a domain that they are made from. */
struct dest {
    struct dest *next;
    struct dlv *d;
    struct sp_conf *conf;
    const struct sp_conf_route *route;
    struct sp_tls_ctx *tls, *bare;
    struct sp_secret *password; /* or the token, of a file or of the last command */
    struct sp_fetch *fetch;     /* token-command is running */
    char cert_address[SP_ADDRESS_MAX + 1];
    struct job *first, **last;
    struct link *links;
    size_t n_links;
    bool old;   /* of a configuration that is no longer in force */
    bool fresh; /* of the one that is being put in force */
    char *domain; /* to = mx */
    bool clear_next; /* the connection that is being opened shall be without TLS */
    struct sp_mxlook *look;
    struct sp_mxlook_answer *mx; /* NULL: not looked up yet */
    uint64_t mx_until_ms;        /* loop time */
    struct dlv_sts sts;
    struct dlv_ca *sts_ca; /* NULL: the system's */
    size_t allowed; /* connections, as the queue said last; 0: as the route says */
    uint64_t failed_ms; /* when a connection could not be made; loop time */
};

struct dlv {
    struct sp_role *role;
    struct sp_net *net;
    struct sp_held held;
    struct sp_conf *conf;
    struct sp_dns *dns; /* NULL: no route needs it */
    struct dlv_sts_env sts_env;
    struct dlv_rpt rpt;
    struct dlv_ca *rpt_ca; /* of hosts that take reports; NULL: the system's */
    struct dest *dests;
    struct sp_arena arena;
    uv_timer_t drain;
};

/* ---- outcomes ---- */

static Sp__RcptOutcome *add_outcome(struct job *j, size_t i,
                                    const struct sp_outcome_row *row,
                                    const struct sp_reply *reply, struct sp_str words,
                                    enum sp_cli_stage stage, const char *where)
{
    Sp__RcptOutcome *o = sp_held_row(&j->h, i, row->action);
    Sp__Attempt *a = o ? o->attempt : NULL;
    char enhanced[32];

    if (!o)
        return NULL;
    snprintf(enhanced, sizeof enhanced, "%d.%d.%d", reply->enh[0], reply->enh[1],
             reply->enh[2]);
    a->at_ms = sp_wall_ms();
    a->code = (uint32_t)reply->code;
    a->enhanced = reply->enh[0] ? sp_held_keep(&j->h, enhanced, strlen(enhanced))
                                : (char *)(uintptr_t)row->enhanced;
    a->text = sp_held_keep(&j->h, words.n ? words.p : "", words.n > 1000 ? 1000 : words.n);
    a->where = sp_held_keep(&j->h, where, strlen(where));
    a->stage = (char *)(uintptr_t)sp_cli_stage_name(stage);
    j->h.out.host_down |= row->host;
    return o;
}

static void job_done(struct job *j)
{
    j->waiting = false;
    sp_held_done(&j->d->held, &j->h);
}

/* All recipients that are left, alike: the session failed, or the transaction could not begin. */
static void job_failed(struct job *j, enum sp_cli_stage stage, const struct sp_reply *reply,
                       enum sp_class cls, struct sp_str words, const char *where)
{
    const struct sp_outcome_row *row = sp_outcome(stage, reply->code, cls);

    for (size_t i = j->from; i < j->h.m->n_index; i++)
        (void)add_outcome(j, i, row, reply, words, stage, where);
    job_done(j);
}

/* DNS says what is to be done with it: a 4xx or 5xx code. */
static void job_no_host(struct job *j, const struct sp_mxlook_answer *a)
{
    struct sp_reply reply = {.code = a->code};
    struct sp_outcome_row row = {.action = a->code >= 500 ? SP__ACTION__ACTION_BOUNCE
                                                          : SP__ACTION__ACTION_RETRY,
                                 .host = true,
                                 .enhanced = a->enhanced};

    for (size_t i = j->from; i < j->h.m->n_index; i++) {
        Sp__RcptOutcome *o = add_outcome(j, i, &row, &reply, sp_str(a->words),
                                         SP_STAGE_CONNECT, j->dest->domain);

        if (o)
            o->attempt->stage = (char *)(uintptr_t) "dns";
    }
    job_done(j);
}

static void not_configured(struct job *j)
{
    job_failed(j, SP_STAGE_CONNECT, &(struct sp_reply){0}, SP_CLASS_TEMPORARY,
               sp_str("the route is not configured any more"), "");
}

/* ---- a transaction ---- */

static enum sp_body body_of(const Sp__Envelope *e)
{
    if (e->body == SP__BODY_TYPE__BODY_BINARYMIME)
        return SP_BODY_BINARYMIME;
    return e->body == SP__BODY_TYPE__BODY_8BITMIME || e->has_8bit_body ? SP_BODY_8BITMIME
                                                                       : SP_BODY_UNSET;
}

static bool not_ascii(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 127)
            return true;
    return false;
}

/* RFC 6531 3.2: what a client said SMTPUTF8 to and does not need goes on without. */
static bool is_international(const Sp__Envelope *e)
{
    if (e->has_8bit_header || not_ascii(sp_pb_str(e->reverse_path)))
        return true;
    for (size_t i = 0; i < e->n_rcpt; i++)
        if (not_ascii(sp_pb_str(e->rcpt[i]->address)))
            return true;
    return false;
}

/* Where LMTP ends nothing goes on: on this machine there is no way to be protected, and
 * over a network TLS is what counts. */
static bool last_hop(const struct link *l)
{
    return l->dest->route->to == SP_CONF_TO_LMTP;
}

/* On the way to a content filter on this machine, to come back: what was asked for is kept
 * here, and counts when it has. */
static bool to_filter(const Sp__Envelope *e)
{
    return e->content_filter[0] != 0;
}

/* Seconds left of what the sender allowed: RFC 2852 4; may be negative in mode N. */
static int64_t by_left(const Sp__Envelope *e)
{
    uint64_t now = sp_wall_ms();
    int64_t gone = now > e->received_ms ? (int64_t)((now - e->received_ms) / 1000) : 0,
            left = e->by_seconds - gone;

    return left < -999999999 ? -999999999 : left; /* nine digits */
}

static void mail_of(const struct link *l, const Sp__Envelope *e, struct sp_mail *ret)
{
    uint32_t ext = sp_cli_extensions(sp_talk_engine(l->talk));

    *ret = (struct sp_mail){
        .path = sp_pb_str(e->reverse_path),
        .body = body_of(e),
        .smtputf8 = e->smtputf8 && (ext & SP_EXT_SMTPUTF8 || is_international(e)),
        .ret = e->ret == SP__DSN_RET__RET_FULL   ? SP_RET_FULL
               : e->ret == SP__DSN_RET__RET_HDRS ? SP_RET_HDRS
                                                 : SP_RET_UNSET,
        .envid = sp_pb_str(e->envid),
        /* RFC 4954 5: a name that we do not believe is passed on as "<>". */
        .has_auth = e->auth_param.len > 0,
        .has_priority = e->priority != 0,
        .priority = e->priority,
        .requiretls = e->requiretls && !(last_hop(l) && !(ext & SP_EXT_REQUIRETLS)),
        /* A time to hold it until is over when it comes here. */
    };
    if (to_filter(e)) {
        ret->has_auth = ret->has_priority = ret->requiretls = false;
        return;
    }
    if (e->by_mode == SP__BY_MODE__BY_UNSET ||
        (last_hop(l) && !(ext & SP_EXT_DELIVERBY)))
        return;
    ret->has_by = true;
    ret->by_seconds = by_left(e);
    ret->by_notify = e->by_mode == SP__BY_MODE__BY_NOTIFY;
    ret->by_trace = e->by_trace;
}

/* What the table of TLS policy says about this message on this connection. */
static const struct sp_tls_row *policy(const struct link *l, const struct job *j,
                                       enum sp_tls_happened happened)
{
    struct sp_tls_case c = {.dane = l->dane,
                            .sts = l->sts,
                            .setting = l->dest->route->tls == SP_CONF_RTLS_REQUIRED
                                           ? SP_TLS_VERIFY
                                           : SP_TLS_MAY,
                            .requiretls = j && j->h.m->envelope->requiretls,
                            .tls_required_no = j && j->h.m->envelope->tls_required_no,
                            .happened = happened};

    return sp_tls_policy(&c);
}

static enum sp_tls_happened happened(const struct link *l)
{
    struct sp_tls_facts f;

    return !sp_talk_facts(l->talk, &f) ? SP_TLS_NOT_OFFERED
           : f.verified                ? SP_TLS_VERIFIED
                                       : SP_TLS_UNVERIFIED;
}

/* RFC 8689 4.2.1: TLS, with a certificate that was verified. */
static bool is_protected(const struct link *l)
{
    const struct sp_conf_route *r = l->dest->route;
    struct sp_tls_facts f;

    if (sp_talk_facts(l->talk, &f))
        return f.verified;
    return last_hop(l) &&
           r->tls == SP_CONF_RTLS_NONE; /* this machine: the rules say so */
}

static int begin(struct link *l, struct job *j, const struct sp_mail *mail,
                 uint64_t size, struct sp_err *err)
{
    const Sp__Envelope *e = j->h.m->envelope;
    unsigned most = sp_cli_rcpt_max(sp_talk_engine(l->talk));
    struct sp_rcpt *rcpt;
    int rc;

    j->part = e->n_rcpt - j->from;
    if (most && j->part > most)
        j->part = most;
    rcpt = sp_alloc((j->part + 1) * sizeof *rcpt);
    if (!rcpt)
        return sp_err_nomem(err);
    for (size_t i = 0; i < j->part; i++) {
        const Sp__Recipient *r = e->rcpt[j->from + i];

        rcpt[i] = (struct sp_rcpt){.path = sp_pb_str(r->address),
                                   .notify = r->notify,
                                   .orcpt = sp_pb_str(r->orcpt)};
    }
    j->pieces = sp_stored_pieces(e, j->h.m->prefix.len, j->piece);
    j->at = 0;
    j->offset = 0;
    rc = sp_talk_mail(l->talk, mail, rcpt, j->part, size, err);
    sp_free(rcpt);
    return rc;
}

/* The next octets to send: from memory, or read into `block`. */
static struct sp_str next_octets(struct job *j, char *block)
{
    const struct sp_piece *p = &j->piece[j->at];
    uint64_t left = p->length - j->offset;
    size_t n = left < BLOCK ? (size_t)left : BLOCK;
    ssize_t got;

    if (p->prefix)
        return (struct sp_str){(char *)j->h.m->prefix.data + p->offset + j->offset, n};
    if (j->h.content.p)
        return (struct sp_str){j->h.content.p + p->offset + j->offset, n};
    got = pread(j->h.fd, block, n, (off_t)(p->offset + j->offset));
    return (struct sp_str){block, got > 0 ? (size_t)got : 0};
}

static void on_body(struct sp_talk *t, void *arg)
{
    struct link *l = arg;
    struct job *j = l->job;
    static char block[BLOCK];

    if (!j) {
        sp_talk_body_abort(t);
        return;
    }
    while (j->at < j->pieces) {
        struct sp_str s = next_octets(j, block);
        size_t took;

        if (s.n == 0) { /* the disk failed us: half a message is worse than none */
            sp_talk_body_abort(t);
            return;
        }
        took = sp_talk_body(t, s.p, s.n);
        j->offset += took;
        if (j->offset == j->piece[j->at].length) {
            j->at++;
            j->offset = 0;
        }
        if (took < s.n)
            return;
    }
    sp_talk_body_end(t);
}

static void line_remove(struct dest *x, struct job *j)
{
    struct job **at = &x->first;

    while (*at && *at != j)
        at = &(*at)->next_wait;
    if (!*at)
        return;
    *at = j->next_wait;
    for (x->last = &x->first; *x->last; x->last = &(*x->last)->next_wait)
        ;
    j->waiting = false;
}

static void line_first(struct dest *x, struct job *j)
{
    j->next_wait = x->first;
    if (!x->first)
        x->last = &j->next_wait;
    x->first = j;
    j->waiting = true;
}

/* Not this way: given up with an enhanced status code of class 5, else tried again later;
 * NULL: the table of outcomes has the code. */
static void cannot_give(struct link *l, struct job *j, const char *code,
                        enum sp_class cls, const char *words)
{
    struct sp_reply r = {.code = code && code[0] == '5' ? 554 : 0};

    if (code)
        (void)sp_str_enhanced(sp_str(code), r.enh);
    l->job = NULL;
    l->ready = true;
    sp_timer_start(&l->idle, IDLE_MS);
    job_failed(j, SP_STAGE_MAIL, &r, cls, sp_str(words), l->where);
}

static size_t put_attribute(char *out, size_t cap, size_t n, const char *name, const char *value)
{
    size_t start = n;

    if (!value[0] || n + strlen(name) + 2 >= cap)
        return n;
    n += (size_t)snprintf(out + n, cap - n, "%s%s=", n ? " " : "", name);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        bool plain = c > 32 && c < 127 && c != '+' && c != '=';

        if (n + 4 >= cap)
            return start;
        n += (size_t)snprintf(out + n, cap - n, plain ? "%c" : "+%02X", c);
    }
    return n;
}

/* Postfix's XFORWARD_README.  IDENT is our queue id: it comes back with the message. */
static struct sp_str forward_of(const struct job *j, char *out, size_t cap)
{
    const Sp__Envelope *e = j->h.m->envelope;
    char address[80], port[12];
    size_t n = 0;

    if (!to_filter(e))
        return (struct sp_str){NULL, 0};
    snprintf(address, sizeof address, strchr(e->client_address, ':') ? "IPV6:%s" : "%s", e->client_address);
    snprintf(port, sizeof port, "%u", e->client_port);
    n = put_attribute(out, cap, n, "NAME", "[UNAVAILABLE]");
    if (strchr(e->client_address, '.') || strchr(e->client_address, ':')) {
        n = put_attribute(out, cap, n, "ADDR", address);
        n = put_attribute(out, cap, n, "PORT", port);
    }
    n = put_attribute(out, cap, n, "PROTO", strncmp(e->with, "SMTP", 4) == 0 ? "SMTP" : "ESMTP");
    n = put_attribute(out, cap, n, "HELO", strlen(e->helo) < 200 ? e->helo : "");
    n = put_attribute(out, cap, n, "IDENT", j->h.m->id);
    n = put_attribute(out, cap, n, "SOURCE", "LOCAL");
    return (struct sp_str){out, n};
}

static void give(struct link *l, struct job *j)
{
    const Sp__Envelope *e = j->h.m->envelope;
    uint64_t size = sp_stored_size(e, j->h.m->prefix.len);
    const struct sp_tls_row *row;
    struct sp_mail mail;
    struct sp_err err;
    const char *code;
    char forward[1200];

    line_remove(j->dest, j);
    sp_timer_stop(&l->idle);
    l->job = j;
    l->ready = false;
    mail_of(l, e, &mail);
    mail.xforward = forward_of(j, forward, sizeof forward);
    if (e->by_mode == SP__BY_MODE__BY_RETURN && by_left(e) <= 0)
        cannot_give(l, j, "5.4.7", SP_CLASS_PEER,
                    "the time that the sender allowed for delivery (BY) is over");
    else if (l->dest->domain && (row = policy(l, j, happened(l)))->action != SP_TLS_DELIVER)
        cannot_give(l, j, row->enhanced,
                    row->action == SP_TLS_BOUNCE ? SP_CLASS_PEER : SP_CLASS_INSECURE,
                    row->words);
    else if (e->requiretls && !to_filter(e) && !is_protected(l))
        cannot_give(l, j, "5.7.30", SP_CLASS_PEER,
                    "REQUIRETLS: the connection to the next server is not protected by "
                    "TLS with a verified certificate");
    else if (begin(l, j, &mail, size, &err) < 0) {
        /* The next hop lacks what this mail cannot do without. */
        code = sp_cli_mail_code(sp_talk_engine(l->talk), &mail, size);
        cannot_give(l, j,
                    code                       ? code
                    : err.cls == SP_CLASS_PEER ? "5.6.0"
                                               : NULL,
                    err.cls, err.text);
    }
}

/* RFC 3461 5.2: who tells the sender that it arrived? */
static void note_duty(const struct link *l, const struct job *j, Sp__RcptOutcome *o)
{
    const Sp__Envelope *e = j->h.m->envelope;
    uint32_t ext = sp_cli_extensions(sp_talk_engine(l->talk));

    /* What comes back from a filter has the duty again. */
    o->dsn_passed_on = ext & SP_EXT_DSN || to_filter(e);
    if (last_hop(l))
        return; /* it is delivered: who does not pass it on, tells */
    o->relayed = !o->dsn_passed_on;
    /* RFC 2852 4: the clock is not watched any more, or each hop was to be told. */
    o->traced = !to_filter(e) && e->by_mode != SP__BY_MODE__BY_UNSET &&
                (e->by_trace || !(ext & SP_EXT_DELIVERBY));
}

static void serve(struct dest *x);

static void on_sent(struct sp_talk *t, const struct sp_cli_event *ev, void *arg)
{
    struct link *l = arg;
    struct job *j = l->job;

    (void)t;
    /* Refused for want of a login: failed() follows and says why. */
    if (!j || ev->u.sent.stage == SP_STAGE_AUTH)
        return;
    l->sent++;
    for (size_t i = 0; i < ev->u.sent.n && i < j->part; i++) {
        const struct sp_cli_rcpt_result *r = &ev->u.sent.rcpt[i];
        int code = r->accepted || r->reply.code >= 400 ? r->reply.code : 0;
        Sp__RcptOutcome *o = add_outcome(
            j, j->from + i,
            sp_outcome(r->accepted ? SP_STAGE_DOT : r->stage, code, SP_CLASS_TEMPORARY),
            &r->reply, r->reply.text, r->stage, l->where);

        if (o && o->action == SP__ACTION__ACTION_DELIVERED)
            note_duty(l, j, o);
    }
    j->from += j->part;
    j->part = 0;
    if (j->from < j->h.m->n_index)
        return; /* ready() or failed() goes on with the rest */
    l->job = NULL;
    job_done(j);
}

/* ---- connections ---- */

static int open_link(struct dest *x, size_t host, size_t left, struct sp_err *err);
static bool next_host(const struct link *l);
static bool others_work(const struct link *l);

static size_t hosts_of(const struct dest *x)
{
    return x->domain                         ? (x->mx ? x->mx->n : 0)
           : x->route->to == SP_CONF_TO_LMTP ? x->route->lmtp.n
                                             : x->route->host.n;
}

static const char *host_name(const struct dest *x, size_t host)
{
    return x->domain                         ? x->mx->host[host].name
           : x->route->to == SP_CONF_TO_LMTP ? x->route->lmtp.v[host].text
                                             : x->route->host.v[host].text;
}

static void on_idle(void *arg)
{
    struct link *l = arg;

    l->ready = false;
    l->quitting = true;
    sp_talk_quit(l->talk);
}

/* By our configuration, or by the server's LIMITS MAILMAX (RFC 9422). */
static bool used_up(const struct link *l)
{
    unsigned most = sp_cli_mail_max(sp_talk_engine(l->talk));

    return l->sent >= l->dest->route->connection_reuse || (most && l->sent >= most);
}

/* The whole line waits in the queue: nobody would connect for it again and again. */
static void line_failed(struct dest *x, enum sp_cli_stage stage, const struct sp_reply *reply,
                        enum sp_class cls, struct sp_str words, const char *where)
{
    while (x->first) {
        struct job *j = x->first;

        line_remove(x, j);
        job_failed(j, stage, reply, cls, words, where);
    }
}

/* ---- what TLSRPT says of a session: RFC 8460 4.3 ---- */

struct noted { /* one policy's part of it */
    Sp__TlsSession m;
    char text[SP_MX_TLSA][200], *line[SP_MX_TLSA + 1];
    char mx[256], ip[80];
};

static void note_tlsa(struct noted *n, const struct sp_mx_host *h)
{
    static const size_t most = sizeof n->text[0] / 2 - 8;

    for (size_t i = 0; i < h->tlsas; i++) {
        const struct sp_tls_dane *r = &h->tlsa[i];
        char hex[sizeof n->text[0] - 16];

        if (r->n > most || sp_hex_encode(r->data, r->n, hex, sizeof hex) < 0)
            continue; /* a whole certificate or key */
        snprintf(n->text[n->m.n_policy_string], sizeof n->text[0], "%u %u %u %s", r->usage,
                 r->selector, r->matching, hex);
        n->line[n->m.n_policy_string] = n->text[n->m.n_policy_string];
        n->m.n_policy_string++;
    }
}

static void note_sts(struct noted *n, const struct sp_sts_policy *p)
{
    const char *fixed[] = {"version: STSv1", "mode: ", "max_age: "};

    for (size_t i = 0; i < 3; i++, n->m.n_policy_string++)
        snprintf(n->text[i], sizeof n->text[i], "%s%s", fixed[i],
                 i == 1 ? sp_sts_mode_name(p->mode) : "");
    snprintf(n->text[2], sizeof n->text[2], "max_age: %llu", (unsigned long long)p->max_age);
    for (size_t at = 0; at < p->names_n && n->m.n_policy_string < SP_MX_TLSA;
         at += strlen(p->names + at) + 1)
        snprintf(n->text[n->m.n_policy_string++], sizeof n->text[0], "mx: %.190s",
                 p->names + at);
    for (size_t i = 0; i < n->m.n_policy_string; i++)
        n->line[i] = n->text[i];
}

/* What fails, in one word; NULL: nothing does. */
static const char *not_in_tls(enum sp_tls_happened how, const char *why)
{
    switch (how) {
    case SP_TLS_NOT_OFFERED:
        return "starttls-not-supported";
    case SP_TLS_HANDSHAKE:
        return "validation-failure";
    case SP_TLS_UNVERIFIED:
        return dlv_rpt_certificate(why);
    case SP_TLS_VERIFIED:
        break;
    }
    return NULL;
}

static void note(struct link *l, struct noted *n, const char *type, const char *result,
                 const char *why)
{
    n->m.domain = l->dest->domain;
    n->m.policy_type = (char *)(uintptr_t)type;
    n->m.policy_string = n->line;
    n->m.result = (char *)(uintptr_t)(result ? result : "");
    n->m.reason = (char *)(uintptr_t)(result ? why : "");
    n->m.mx = n->mx;
    n->m.ip = n->ip;
    dlv_rpt_note(&l->dest->d->rpt, &n->m);
}

static void note_host(struct link *l, struct noted *n)
{
    char peer[80];
    struct sp_str host, rest;

    memset(n, 0, sizeof *n);
    sp__tls_session__init(&n->m);
    snprintf(n->mx, sizeof n->mx, "%s", l->dest->mx->host[l->host].name);
    sp_talk_peer(l->talk, peer, sizeof peer);
    rest = sp_str(peer);
    host = rest.n && rest.p[0] == '[' ? (rest.p++, rest.n--, sp_str_cut(&rest, ']'))
                                      : sp_str_cut(&rest, ':');
    snprintf(n->ip, sizeof n->ip, "%.*s", (int)host.n, host.p);
}

/* Once a session; one in clear behind a failed handshake was noted with that. */
static void note_session(struct link *l, enum sp_tls_happened how, const char *why)
{
    struct dest *x = l->dest;
    const struct sp_sts_policy *p = x->sts.policy;
    const char *bad = not_in_tls(how, why), *type;
    struct sp_tls_facts f;
    struct noted n;

    /* The exchanges may have been looked up anew meanwhile, the policy may be gone. */
    if (!x->domain || !x->conf->tls_reports || l->noted || l->clear || !x->mx ||
        l->host >= x->mx->n)
        return;
    l->noted = true;
    if (how == SP_TLS_UNVERIFIED && sp_talk_facts(l->talk, &f))
        bad = dlv_rpt_certificate(why = f.why_not);
    if (l->dane == SP_DANE_USABLE || l->dane == SP_DANE_FAILED) {
        note_host(l, &n);
        note_tlsa(&n, &x->mx->host[l->host]);
        note(l, &n, "tlsa", l->dane == SP_DANE_FAILED ? "dnssec-invalid" : bad, why);
    }
    if (l->sts != SP_STS_NONE && p) {
        note_host(l, &n);
        note_sts(&n, p);
        type = bad || sp_sts_lists(p, n.mx) ? bad : "validation-failure";
        note(l, &n, "sts", type, bad ? why : "the policy does not list the exchange");
    } else if (x->route->mta_sts && x->sts.trouble >= SP_STS_FETCH_ERROR) {
        note_host(l, &n);
        note(l, &n, "sts",
             x->sts.trouble == SP_STS_FETCH_ERROR      ? "sts-policy-fetch-error"
             : x->sts.trouble == SP_STS_WEBPKI_INVALID ? "sts-webpki-invalid"
                                                       : "sts-policy-invalid",
             sp_sts_trouble_words(x->sts.trouble));
    } else if (l->dane != SP_DANE_USABLE && l->dane != SP_DANE_FAILED) {
        note_host(l, &n); /* nothing was asked for: any TLS is fine */
        note(l, &n, "no-policy-found", how >= SP_TLS_UNVERIFIED ? NULL : bad, why);
    }
}

/* Judged by the first message that waits; the others are judged when it is their turn. */
static bool refused_by_policy(struct link *l)
{
    struct dest *x = l->dest;
    const struct sp_tls_row *row = policy(l, x->first, happened(l));

    if (row->action != SP_TLS_NEXT)
        return false;
    l->ready = false;
    l->quitting = true;
    x->failed_ms = uv_now(&x->d->role->loop);
    if (!others_work(l) && !next_host(l)) {
        sp_log(SP_LOG_WARNING, "", SP_KVS("route", x->route->head.name),
               SP_KVS("host", l->where), SP_KVS("reason", row->words));
        line_failed(x, SP_STAGE_HANDSHAKE, &(struct sp_reply){0}, SP_CLASS_INSECURE,
                    sp_str(row->words), l->where);
    }
    sp_talk_quit(l->talk);
    return true;
}

static void on_ready(struct sp_talk *t, enum sp_cli_login login, enum sp_mech mech,
                     struct sp_str words, struct sp_str pin, void *arg)
{
    struct link *l = arg;
    char peer[80];

    (void)login;
    (void)mech;
    (void)words;
    (void)pin;
    sp_talk_peer(t, peer, sizeof peer);
    if (!strchr(l->where, ' '))
        snprintf(l->where + strlen(l->where), sizeof l->where - strlen(l->where), " [%s]", peer);
    note_session(l, happened(l), "");
    if (l->dest->domain && !l->sent && !l->job && refused_by_policy(l))
        return;
    if (l->job &&
        !used_up(l)) { /* its other recipients; or a new connection in the middle
                                    of it: from the beginning */
        give(l, l->job);
        if (l->job)
            return;
    }
    if (l->job) { /* the next connection goes on with it */
        line_first(l->dest, l->job);
        l->job = NULL;
    }
    l->ready = true;
    if (l->dest->old || used_up(l)) {
        struct dest *x = l->dest;

        on_idle(l);
        serve(x);
        return;
    }
    sp_timer_start(&l->idle, IDLE_MS);
    serve(l->dest);
}

/* Where a new connection goes first: by the order of the list, or by weights. */
static size_t first_host(const struct dest *x)
{
    const struct sp_conf_route *r = x->route;
    uint64_t weight[64], sum = 0;
    uint32_t at = 0;
    size_t n = r->host_weights.n < 64 ? r->host_weights.n : 64, i = 0;

    for (size_t k = 0; k < n; k++) {
        if (sp_str_u64(sp_str(r->host_weights.v[k]), 1000, &weight[k]) < 0)
            weight[k] = 0;
        sum += weight[k];
    }
    if (sum == 0 || uv_random(NULL, NULL, &at, sizeof at, 0, NULL) < 0)
        return 0;
    for (at %= (uint32_t)sum; i + 1 < n && at >= weight[i]; i++)
        at -= (uint32_t)weight[i];
    return i;
}

/* The next host of the list, if there is one that was not tried for this. */
static bool next_host(const struct link *l)
{
    struct sp_err err;
    size_t n = hosts_of(l->dest);

    return l->left && n && open_link(l->dest, (l->host + 1) % n, l->left - 1, &err) == 0;
}

/* The same host without TLS, where nothing asks for more: RFC 7435. */
static int open_clear(const struct link *l, struct sp_err *err)
{
    struct dest *x = l->dest;

    x->clear_next = true;
    return open_link(x, l->host, l->left, err);
}

/* Another connection shows that the host can be talked to. */
static bool others_work(const struct link *l)
{
    for (const struct link *o = l->dest->links; o; o = o->next)
        if (o != l && !o->quitting && (o->ready || o->job || o->sent))
            return true;
    return false;
}

static void on_failed(struct sp_talk *t, const struct sp_talk_failure *f, void *arg)
{
    struct link *l = arg;
    struct dest *x = l->dest;
    struct sp_str words = sp_str(f->words);
    const struct sp_tls_row *row;
    /* MAIL refused for want of a login is about us, not about this mail. */
    enum sp_cli_stage stage = f->need_login ? SP_STAGE_AUTH : f->stage;
    struct sp_err err;

    (void)t;
    if (f->stage == SP_STAGE_HANDSHAKE)
        note_session(l, SP_TLS_HANDSHAKE, f->words);
    l->ready = false;
    l->quitting = true;
    if (l->job) {
        struct job *j = l->job;

        l->job = NULL;
        job_failed(j, stage, &f->reply, f->cls, words, l->where);
        return;
    }
    if (l->sent)
        return; /* an idle connection ended: the line goes on */
    x->failed_ms = uv_now(&x->d->role->loop);
    if (others_work(l))
        return;
    if (f->stage == SP_STAGE_HANDSHAKE && x->domain && !l->clear && l->host < hosts_of(x) &&
        (row = policy(l, x->first, SP_TLS_HANDSHAKE))->action == SP_TLS_CLEAR &&
        open_clear(l, &err) == 0)
        return;
    if (next_host(l))
        return;
    sp_log(SP_LOG_WARNING, "", SP_KVS("route", x->route->head.name),
           SP_KVS("reason", f->words));
    line_failed(x, stage, &f->reply, f->cls, words, l->where);
}

static void dest_free(struct dest *x);

/* Nobody needs it any more: it is gone. */
static bool dest_over(struct dest *x)
{
    bool over = (x->old || x->domain) && !x->links && !x->first && !x->look && !x->sts.look;

    if (over)
        dest_free(x);
    return over;
}

static void on_closed(void *arg)
{
    struct link *l = arg;
    struct dest *x = l->dest;

    sp_timer_stop(&l->idle);
    for (struct link **at = &x->links; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    x->n_links--;
    sp_tls_unref(l->tls);
    sp_free(l);
    if (!dest_over(x))
        serve(x);
}

static const struct sp_talk_ops talk_ops = {
    .ready = on_ready,
    .body = on_body,
    .sent = on_sent,
    .failed = on_failed,
    .closed = on_closed,
};

static bool has_token(const struct sp_conf_route *r)
{
    return r->token_file || r->token_command.n;
}

static void fetched(void *arg, struct sp_str line, const struct sp_err *err)
{
    struct dest *x = arg;
    struct link *l;

    x->fetch = NULL;
    sp_secret_free(x->password);
    x->password = err ? NULL : sp_secret_new(line.p, line.n);
    if (err)
        sp_log(SP_LOG_WARNING, "", SP_KVS("route", x->route->head.name),
               SP_KVS("reason", err->text));
    do { /* from the start each time: a session may end in the call, and the route with it */
        for (l = x->links; l && !l->wants_token; l = l->next)
            ;
        if (l) {
            bool last = true;

            l->wants_token = false;
            for (struct link *o = x->links; o; o = o->next)
                last = last && !o->wants_token;
            sp_talk_secret(l->talk, line, err);
            if (last)
                return;
        }
    } while (l);
}

/* For one session at a time or for many: the command runs once. */
static int ask_command(struct link *l, struct sp_err *err)
{
    enum { COMMAND_MS = 30000 };
    struct dest *x = l->dest;
    const struct sp_conf_list *c = &x->route->token_command;

    l->wants_token = true;
    if (!x->fetch)
        x->fetch = sp_fetch_start(&x->d->role->loop, c->v, c->n, COMMAND_MS, fetched, x, err);
    if (x->fetch)
        return SP_TALK_LATER;
    l->wants_token = false;
    return -SP_EIO;
}

static int ask_secret(void *arg, enum sp_talk_secret what, bool fresh, struct sp_buf *out,
                      struct sp_err *err)
{
    struct link *l = arg;
    struct dest *x = l->dest;

    if (what == SP_TALK_TOKEN && x->route->token_command.n && (fresh || !x->password))
        return ask_command(l, err);
    if (!x->password)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "route %s has no password",
                          x->route->head.name);
    return sp_buf_str(out, sp_secret_get(x->password));
}

/* RFC 7672: the exchange is known by its name in the MX record, and verified by that. */
static int exchange_options(struct dest *x, struct link *l, const struct sp_mx_host *h,
                            struct sp_talk_opts *o, struct sp_err *err)
{
    struct sp_tls_client_opts t = {.dane = h->tlsa, .n_dane = h->tlsas};
    int rc;

    memset(o, 0, sizeof *o);
    o->dial.host = h->name;
    o->dial.port = (uint16_t)x->route->mx_port;
    o->dial.addresses = h->address;
    o->dial.n_addresses = h->addresses;
    o->dial.source = x->route->source_address;
    o->tls_name = h->name;
    o->cli.helo = x->route->ehlo_name ? x->route->ehlo_name : x->conf->hostname;
    o->cli.tls = l->clear ? SP_CLI_TLS_NONE : SP_CLI_TLS_OPPORTUNISTIC;
    if (h->dane != SP_DANE_USABLE) {
        o->tls = x->tls;
        return 0;
    }
    rc = sp_tls_client(&t, &l->tls, err);
    o->tls = l->tls;
    return rc;
}

static void talk_options(struct dest *x, struct link *l, size_t host, struct sp_talk_opts *o)
{
    const struct sp_conf_route *r = x->route;
    bool lmtp = r->to == SP_CONF_TO_LMTP;
    const struct sp_conf_addr *a = lmtp ? &r->lmtp.v[host] : &r->host.v[host];

    memset(o, 0, sizeof *o);
    o->dial.host = a->host;
    o->dial.port = a->port;
    if (a->kind == SP_CONF_ADDR_UNIX)
        o->dial.unix_path = a->host;
    o->tls_name = r->tls_name;
    o->tls = x->tls;
    o->tls_bare = x->bare;
    o->secret = ask_secret;
    o->secret_arg = l;
    o->dial.source = r->source_address;
    o->cli.helo = r->ehlo_name ? r->ehlo_name : x->conf->hostname;
    o->cli.lmtp = lmtp;
    o->cli.tls = r->tls == SP_CONF_RTLS_REQUIRED        ? SP_CLI_TLS_REQUIRED
                 : r->tls == SP_CONF_RTLS_IMPLICIT      ? SP_CLI_TLS_IMPLICIT
                 : r->tls == SP_CONF_RTLS_OPPORTUNISTIC ? SP_CLI_TLS_OPPORTUNISTIC
                                                        : SP_CLI_TLS_NONE;
    o->cli.authcid = r->user;
    o->cli.have_token = r->user && has_token(r) && (x->password || r->token_command.n);
    o->cli.have_password = r->user && x->password && !has_token(r);
    o->cli.have_certificate = r->client_certificate != NULL;
    o->cli.cert_address = x->cert_address[0] ? x->cert_address : NULL;
    o->cli.cert_login = r->certificate_login == SP_CONF_CLOGIN_EXPLICIT ? SP_CLI_CERT_EXPLICIT
                        : r->certificate_login == SP_CONF_CLOGIN_IMPLICIT
                            ? SP_CLI_CERT_IMPLICIT
                            : SP_CLI_CERT_AUTO;
    o->cli.login_required = o->cli.have_password || o->cli.have_token;
}

static int open_link(struct dest *x, size_t host, size_t left, struct sp_err *err)
{
    struct link *l = sp_alloc(sizeof *l);
    bool clear = x->clear_next;
    struct sp_talk_opts o;
    int rc = 0;

    x->clear_next = false;
    if (!l)
        return sp_err_nomem(err);
    l->dest = x;
    l->host = host;
    l->left = left;
    l->clear = clear;
    snprintf(l->where, sizeof l->where, "%s", host_name(x, host));
    sp_timer_init(&l->idle, x->d->net, on_idle, l);
    if (x->domain) {
        l->dane = x->mx->host[host].dane;
        l->sts = x->route->mta_sts ? dlv_sts_of(&x->sts, x->mx->host[host].name) : SP_STS_NONE;
        rc = exchange_options(x, l, &x->mx->host[host], &o, err);
    } else {
        talk_options(x, l, host, &o);
    }
    if (rc == 0)
        l->talk = sp_talk_new(x->d->net, &o, &talk_ops, l, err);
    if (!l->talk) {
        sp_tls_unref(l->tls);
        sp_free(l);
        return -(int)err->code;
    }
    l->next = x->links;
    x->links = l;
    x->n_links++;
    return 0;
}

static void on_looked(const struct sp_mxlook_answer *a, void *arg)
{
    enum { SECONDS_MIN = 30 };
    struct dest *x = arg;
    unsigned seconds = a->ttl < SECONDS_MIN ? SECONDS_MIN : a->ttl;
    struct sp_mxlook_answer *keep = a->code ? NULL : sp_mxlook_keep(a);

    x->look = NULL;
    sp_free(x->mx);
    x->mx = keep;
    x->mx_until_ms = uv_now(&x->d->role->loop) + seconds * (uint64_t)1000;
    while (!keep && x->first) {
        struct sp_mxlook_answer lost = {
            .code = 451, .enhanced = "4.3.0", .words = "out of memory"};
        struct job *j = x->first;

        line_remove(x, j);
        job_no_host(j, a->code ? a : &lost);
    }
    if (keep)
        serve(x);
    else
        (void)dest_over(x);
}

static void on_sts(void *arg)
{
    struct dest *x = arg;

    if (!dest_over(x))
        serve(x);
}

static bool sts_known(struct dest *x)
{
    const struct sp_conf_route *r = x->route;

    return !r->mta_sts || dlv_sts_ready(&x->sts, &x->d->sts_env, x->domain, x->sts_ca,
                                        r->mta_sts_ca, (unsigned)r->mta_sts_timeout_s * 1000,
                                        on_sts, x);
}

/* Are the domain's exchanges and policy known?  False: they are being looked up. */
static bool looked_up(struct dest *x)
{
    const struct sp_conf_route *r = x->route;
    struct sp_mxlook_opts o = {.dns = x->d->dns,
                               .domain = x->domain,
                               .port = (uint16_t)r->mx_port,
                               .literals = r->address_literals,
                               .self = {x->conf->hostname, r->ehlo_name}};

    bool known = x->mx && uv_now(&x->d->role->loop) < x->mx_until_ms;

    if (!x->first)
        return false;
    if (!known && !x->look)
        x->look = sp_mxlook(&o, on_looked, x);
    return sts_known(x) && known; /* both at a time */
}

/* Brings the line to connections that are free, and opens as many as the line wants. */
static void serve(struct dest *x)
{
    uint64_t now = uv_now(&x->d->role->loop);
    struct sp_err err;
    size_t opening = 0, waiting = 0, most = x->route->concurrency;

    if (x->allowed && x->allowed < most)
        most = x->allowed;
    if (x->d->role->draining)
        return; /* what waits is handed out again after the restart */
    while (x->domain && !x->d->dns && x->first) { /* the last route to exchanges is gone */
        struct job *j = x->first;

        line_remove(x, j);
        not_configured(j);
    }
    for (struct link *l = x->links; l; l = l->next)
        while (x->first && l->ready && !l->quitting && !l->job)
            give(l, x->first); /* it may be refused at once: then the next */
    for (struct link *l = x->links; l; l = l->next)
        opening += !l->ready && !l->job && !l->quitting;
    for (struct job *j = x->first; j; j = j->next_wait)
        waiting++;
    if (x->domain && (waiting <= opening || !looked_up(x)))
        return;
    /* A host that takes a few connections and refuses more is not asked all the time. */
    if (x->n_links && x->failed_ms && now - x->failed_ms < PAUSE_MS)
        return;
    if (x->n_links && x->failed_ms && now - x->failed_ms < CAREFUL_MS && most > x->n_links)
        most = x->n_links + 1;
    while (waiting > opening && x->n_links < most) {
        if (open_link(x, first_host(x), hosts_of(x) - 1, &err) < 0) {
            sp_log(SP_LOG_WARNING, "", SP_KVS("reason", err.text));
            return;
        }
        opening++;
    }
}

/* ---- routes ---- */

static void dest_free(struct dest *x)
{
    for (struct dest **at = &x->d->dests; *at; at = &(*at)->next)
        if (*at == x) {
            *at = x->next;
            break;
        }
    sp_tls_unref(x->tls);
    sp_tls_unref(x->bare);
    sp_fetch_cancel(x->fetch);
    sp_secret_free(x->password);
    sp_mxlook_drop(x->look);
    dlv_sts_drop(&x->sts);
    dlv_ca_unref(x->sts_ca);
    sp_free(x->mx);
    sp_free(x->domain);
    sp_conf_unref(x->conf);
    sp_free(x);
}

static int make_tls(struct dest *x, const Sp__Setup *s, struct sp_err *err)
{
    const struct sp_conf_route *r = x->route;
    struct sp_str ca = sp_setup_file(s, r->tls_ca);
    struct sp_tls_client_opts o = {
        .ca = {ca, r->tls_ca},
        .ca_path = ca.n ? NULL : r->tls_ca,
        .pin = r->server_pin.n ? r->server_pin.v[0] : NULL,
        /* With exchanges the policy's table judges, before any mail is given. */
        .must_verify = r->tls != SP_CONF_RTLS_OPPORTUNISTIC && r->to != SP_CONF_TO_MX,
    };
    struct sp_cert_facts f;
    int rc;

    if (r->tls == SP_CONF_RTLS_NONE)
        return 0;
    rc = sp_tls_client(&o, &x->bare, err);
    if (rc < 0 || !r->client_certificate) {
        x->tls = rc < 0 ? NULL : sp_tls_ref(x->bare);
        return rc;
    }
    o.cert = (struct sp_pem){sp_setup_file(s, r->client_certificate), r->client_certificate};
    o.key = (struct sp_pem){sp_setup_file(s, r->client_key), r->client_key};
    if (sp_cert_facts(o.cert.pem, &f, NULL) == 0)
        snprintf(x->cert_address, sizeof x->cert_address, "%s", f.address);
    return sp_tls_client(&o, &x->tls, err);
}

static struct dest *dest_new(struct dlv *d, struct sp_conf *conf,
                             const struct sp_conf_route *r, const Sp__Setup *s,
                             struct sp_err *err)
{
    struct dest *x = sp_alloc(sizeof *x);
    struct sp_str password = sp_setup_file(s, r->token_file ? r->token_file : r->password_file);
    struct sp_str line, ca = sp_setup_file(s, r->mta_sts_ca);

    if (!x) {
        (void)sp_err_nomem(err);
        return NULL;
    }
    x->d = d;
    x->conf = sp_conf_ref(conf);
    x->route = r;
    x->last = &x->first;
    x->fresh = true;
    if (password.n) {
        line = sp_str_cut(&password, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        x->password = sp_secret_new(line.p, line.n);
    }
    if (ca.n)
        x->sts_ca = dlv_ca_new(ca);
    x->next = d->dests;
    d->dests = x;
    if (make_tls(x, s, err) < 0) {
        dest_free(x);
        return NULL;
    }
    return x;
}

static struct dest *find_dest(struct dlv *d, const char *route)
{
    for (struct dest *x = d->dests; x; x = x->next)
        if (!x->old && !x->fresh && !x->domain && strcmp(x->route->head.name, route) == 0)
            return x;
    return NULL;
}

/* Of a route to mail exchanges: the one for this domain. */
static struct dest *for_domain(struct dest *base, const char *domain)
{
    struct dlv *d = base->d;
    struct dest *x;

    for (x = d->dests; x; x = x->next)
        if (x->domain && !x->old && x->route == base->route &&
            sp_str_caseeq(sp_str(x->domain), sp_str(domain)))
            return x;
    x = sp_alloc(sizeof *x);
    if (!x)
        return NULL;
    x->domain = sp_strdup(domain);
    if (!x->domain) {
        sp_free(x);
        return NULL;
    }
    x->d = d;
    x->conf = sp_conf_ref(base->conf);
    x->route = base->route;
    x->tls = sp_tls_ref(base->tls);
    x->sts_ca = dlv_ca_ref(base->sts_ca);
    x->last = &x->first;
    x->next = d->dests;
    d->dests = x;
    return x;
}

static struct dest *dest_of(struct dlv *d, const Sp__Job *m)
{
    struct dest *x = find_dest(d, m->route);

    return x && x->route->to == SP_CONF_TO_MX ? for_domain(x, m->domain) : x;
}

/* ---- the queue ---- */

static int on_job(struct dlv *d, struct sp_port *p, const struct sp_frame *f,
                  struct sp_err *err)
{
    struct job *j = sp_alloc(sizeof *j);
    int rc;

    if (!j)
        return sp_err_nomem(err);
    rc = sp_held_take(&d->held, &j->h, p, f, err);
    if (rc < 0)
        return rc;
    j->d = d;
    j->dest = dest_of(d, j->h.m);
    if (!j->dest) { /* the configuration changed while it was on its way */
        not_configured(j);
        return 0;
    }
    j->dest->allowed = j->h.m->connections;
    if (j->dest->domain)
        dlv_sts_hint(&j->dest->sts, sp_pb_str(j->h.m->sts));
    j->waiting = true;
    *j->dest->last = j;
    j->dest->last = &j->next_wait;
    return 0;
}

static int on_frame(struct sp_port *p, const struct sp_frame *f, struct sp_err *err)
{
    struct dlv *d = sp_port_arg(p);
    void *m;

    if (f->type == SP_MSG_JOB)
        return on_job(d, p, f, err);
    m = sp_frame_unpack(f, &d->arena);
    if (!m)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "malformed %s",
                          sp_msg_name(f->type));
    if (f->type == SP_MSG_STORED)
        sp_held_stored(&d->held, m);
    if (f->type == SP_MSG_TLS_REPORT)
        dlv_rpt_post(&d->rpt, m, d->rpt_ca ? sp_buf_view(&d->rpt_ca->pem) : (struct sp_str){0},
                     d->conf->tls_reports_ca);
    sp_arena_reset(&d->arena);
    return 0;
}

static void serve_all(struct sp_port *p)
{
    struct dlv *d = sp_port_arg(p);
    struct dest *x, *next;

    for (x = d->dests; x; x = next) {
        next = x->next;
        if (x->first)
            serve(x);
    }
}

static void on_gone(struct sp_port *p, const struct sp_err *why)
{
    (void)why;
    sp_held_lost(&((struct dlv *)sp_port_arg(p))->held);
}

static void on_credit(struct sp_port *p)
{
    sp_held_credit(&((struct dlv *)sp_port_arg(p))->held);
}

static const struct sp_port_ops queue_ops = {
    .frame = on_frame, .batch_end = serve_all, .credit = on_credit, .gone = on_gone};

static int on_peer(struct sp_role *r, Sp__Role peer, unsigned instance, int fd,
                   struct sp_err *err)
{
    struct dlv *d = r->self;

    return sp_held_join(&d->held, &r->loop, fd, peer, instance, &queue_ops, d, err);
}

/* ---- setup, end ---- */

static bool wanted(const struct sp_conf_route *r)
{
    return r->to == SP_CONF_TO_SMARTHOST || r->to == SP_CONF_TO_LMTP || r->to == SP_CONF_TO_MX;
}

static int make_dns(struct dlv *d, const struct sp_conf *conf, struct sp_dns **ret,
                    struct sp_err *err)
{
    struct sp_dns_opts o;

    for (size_t i = 0; i < conf->n_routes; i++)
        if (conf->routes[i].to == SP_CONF_TO_MX) {
            sp_mxlook_dns(conf, &o);
            return sp_dns_new(d->net, &o, ret, err);
        }
    return 0;
}

/* Jobs in a line of the old configuration move to the same route of the new one. */
static void move_line(struct dlv *d, struct dest *from)
{
    struct dest *to = NULL;

    while (from->first) {
        struct job *j = from->first;

        to = dest_of(d, j->h.m);
        line_remove(from, j);
        j->next_wait = NULL;
        j->dest = to;
        if (to) {
            j->waiting = true;
            *to->last = j;
            to->last = &j->next_wait;
        } else {
            not_configured(j);
        }
    }
    if (to)
        serve(to);
}

static int on_setup(struct sp_role *r, const Sp__Setup *s, struct sp_conf *conf,
                    struct sp_err *err)
{
    struct dlv *d = r->self;
    struct dest *x, *next;
    struct sp_dns *dns = NULL;
    struct sp_str ca;

    if (!d) {
        d = r->self = sp_alloc(sizeof *d);
        if (!d || !(d->net = sp_net_new(&r->loop)))
            return sp_err_nomem(err);
        d->role = r;
        d->held = (struct sp_held){.role = SP__ROLE__ROLE_DELIVERY, .capacity = CAPACITY};
        sp_arena_init(&d->arena, 1 << 20);
        uv_timer_init(&r->loop, &d->drain);
        d->drain.data = d;
        d->sts_env = (struct dlv_sts_env){.loop = &r->loop,
                                          .https = sp_https_new(&r->loop),
                                          .queue = &d->held.queue};
        d->rpt.env = &d->sts_env;
        if (!d->sts_env.https)
            return sp_err_nomem(err);
    }
    if (make_dns(d, conf, &dns, err) < 0)
        return -(int)err->code;
    for (size_t i = 0; i < conf->n_routes; i++)
        if (wanted(&conf->routes[i]) && !dest_new(d, conf, &conf->routes[i], s, err)) {
            for (x = d->dests; x; x = next) { /* back to what was */
                next = x->next;
                if (x->fresh)
                    dest_free(x);
            }
            sp_dns_free(dns);
            return -(int)err->code;
        }
    for (x = d->dests; x; x = x->next) {
        x->old = !x->fresh;
        x->fresh = false;
        sp_mxlook_drop(x->look); /* by the resolver that was */
        x->look = NULL;
        dlv_sts_stop(&x->sts);
    }
    dlv_rpt_stop(&d->rpt);
    dlv_ca_unref(d->rpt_ca);
    ca = sp_setup_file(s, conf->tls_reports_ca);
    d->rpt_ca = ca.n ? dlv_ca_new(ca) : NULL;
    sp_dns_free(d->dns);
    d->dns = d->sts_env.dns = dns;
    for (x = d->dests; x; x = next) {
        next = x->next;
        if (!x->old)
            continue;
        move_line(d, x);
        if (!x->links)
            dest_free(x);
    }
    sp_conf_unref(d->conf);
    d->conf = sp_conf_ref(conf);
    return 0;
}

/* What waits in a line goes back by itself: nobody settles it, and the queue hands it
 * out again after the restart.  What is being sent is finished, within limits. */
static void drain_look(uv_timer_t *t)
{
    struct dlv *d = t->data;
    static unsigned looks;
    bool busy = false;

    for (struct sp_held_job *j = d->held.jobs; j; j = j->next)
        busy |= !((struct job *)j)->waiting;
    if (!busy || ++looks > 250)
        sp_role_exit(d->role, 0);
}

static void on_drain(struct sp_role *r, unsigned seconds)
{
    struct dlv *d = r->self;

    (void)seconds;
    uv_timer_start(&d->drain, drain_look, 0, 100);
}

const struct sp_role_ops sp_role_delivery = {
    .role = SP__ROLE__ROLE_DELIVERY,
    .setup = on_setup,
    .peer = on_peer,
    .drain = on_drain,
};
