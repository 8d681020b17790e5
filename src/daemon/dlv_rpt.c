/* dlv_rpt.c - see dlv_rpt.h. */
#include "dlv_rpt.h"

#include "alloc.h"
#include "err.h"
#include "tlsrpt.h"

#include <stdio.h>
#include <string.h>

enum { POST_MS = 60000, ANSWER_MAX = 65536, PACKED_MAX = 65536 };

struct dlv_rpt_ask {
    struct dlv_rpt_ask *next;
    struct dlv_rpt *r;
    struct sp_dns_query *query;
    struct sp_buf packed;
};

static void ask_free(struct dlv_rpt_ask *k)
{
    struct dlv_rpt_ask **at = &k->r->first;

    while (*at && *at != k)
        at = &(*at)->next;
    if (*at) {
        *at = k->next;
        k->r->n--;
    }
    sp_dns_drop(k->query);
    sp_buf_free(&k->packed);
    sp_free(k);
}

/* ---- sessions ---- */

static void tell(struct dlv_rpt_ask *k, const char *rua)
{
    struct sp_arena arena;
    Sp__TlsSession *m;

    sp_arena_init(&arena, 4 * PACKED_MAX);
    m = sp_pb_unpack(&sp__tls_session__descriptor, sp_buf_view(&k->packed), &arena);
    if (m && *k->r->env->queue) {
        m->rua = (char *)(uintptr_t)rua;
        (void)sp_port_say(*k->r->env->queue, SP_MSG_TLS_SESSION, &m->base);
    }
    sp_arena_reset(&arena);
}

static void on_record(const struct sp_dns_answer *a, void *arg)
{
    struct dlv_rpt_ask *k = arg;
    struct sp_buf rua;

    k->query = NULL;
    sp_buf_init(&rua, SP_RPT_RUA_MAX);
    if (!a->err.code && sp_rpt_record(a->records, a->n, &rua) && sp_buf_cstr(&rua))
        tell(k, rua.p);
    sp_buf_free(&rua);
    ask_free(k);
}

void dlv_rpt_note(struct dlv_rpt *r, const Sp__TlsSession *m)
{
    char name[300];
    struct dlv_rpt_ask *k;

    if (!r->env->dns || r->n >= DLV_RPT_MAX || !sp_rpt_is_domain(m->domain) ||
        !(k = sp_alloc(sizeof *k)))
        return;
    k->r = r;
    sp_buf_init(&k->packed, PACKED_MAX);
    k->next = r->first;
    r->first = k;
    r->n++;
    snprintf(name, sizeof name, "_smtp._tls.%s", m->domain);
    if (sp_pb_pack(&m->base, &k->packed) == 0)
        k->query = sp_dns_ask(r->env->dns, name, SP_DNS_TXT, on_record, k);
    if (!k->query)
        ask_free(k);
}

void dlv_rpt_stop(struct dlv_rpt *r)
{
    while (r->first)
        ask_free(r->first);
}

const char *dlv_rpt_certificate(const char *why_not)
{
    static const struct {
        const char *in, *type;
    } rows[] = {{"certificate is for ", "certificate-host-mismatch"},
                {"expired", "certificate-expired"},
                {"TLSA", "validation-failure"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strstr(why_not, rows[i].in))
            return rows[i].type;
    return "certificate-not-trusted";
}

/* ---- reports ---- */

struct post {
    struct dlv_rpt *r;
    char name[64];
};

static void say(const struct dlv_rpt *r, const char *name, bool taken,
                const char *words)
{
    Sp__TlsReported m = SP__TLS_REPORTED__INIT;

    if (!*r->env->queue)
        return; /* the next one sends it again */
    m.name = (char *)(uintptr_t)name;
    m.taken = taken;
    m.words = (char *)(uintptr_t)words;
    (void)sp_port_say(*r->env->queue, SP_MSG_TLS_REPORTED, &m.base);
}

/* RFC 8460 5.4: what is answered with 2xx has been taken. */
static void on_answer(void *arg, const struct sp_https_answer *a)
{
    struct post *p = arg;
    char status[40];

    snprintf(status, sizeof status, "HTTP status %ld", a->status);
    say(p->r, p->name, !a->why[0] && a->status >= 200 && a->status < 300,
        a->why[0] ? a->why : status);
    sp_free(p);
}

void dlv_rpt_post(struct dlv_rpt *r, const Sp__TlsReport *m, struct sp_str ca,
                  const char *ca_path)
{
    struct sp_https_opts o = {.url = m->url,
                              .ca = ca,
                              .ca_path = ca.n ? NULL : ca_path,
                              .timeout_ms = POST_MS,
                              .max = ANSWER_MAX,
                              .post = true,
                              .form = sp_pb_str(m->body),
                              .form_type = "application/tlsrpt+gzip"};
    struct post *p = sp_alloc(sizeof *p);
    struct sp_err err = {.text = "out of memory"};

    if (p) {
        p->r = r;
        snprintf(p->name, sizeof p->name, "%s", m->name);
    }
    if (p && sp_https_start(r->env->https, &o, on_answer, p, &err))
        return;
    say(r, m->name, false, err.text);
    sp_free(p);
}
