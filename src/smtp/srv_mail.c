/* srv_mail.c - MAIL and RCPT with their parameters; see srv.h. */
#include "srv.h"

#include "alloc.h"
#include "parse.h"
#include "text.h"

#include <string.h>

#define NONE    SP_LIT("")
#define ALLOWED ((struct sp_verdict){SP_R_NONE, {"", 0}})

static struct sp_verdict refused(enum sp_r r, struct sp_str arg)
{
    return (struct sp_verdict){r, arg};
}

static struct sp_verdict bad_value(const struct sp_param_rule *p)
{
    return refused(SP_R_PARAM_VALUE, sp_str(p->syntax));
}

/* A maximum as the argument of a reply; the digits live until the next call. */
static struct sp_verdict over(enum sp_r r, uint64_t max)
{
    static _Thread_local char digits[24];
    struct sp_buf b = {digits, 0, sizeof digits, sizeof digits};

    (void)sp_buf_printf(&b, "%llu", (unsigned long long)max);
    return refused(r, sp_buf_view(&b));
}

/* ---- Parameters of MAIL ---------------------------------------------------------------------- */

static struct sp_verdict param_size(const struct sp_srv *s,
                                    const struct sp_param_rule *p, struct sp_str v,
                                    struct sp_mail *m)
{
    uint64_t max = s->policy->size_max;

    /* RFC 1870 5: 1*20DIGIT */
    if (v.n > 20 || sp_str_u64(v, UINT64_MAX, &m->size) < 0)
        return bad_value(p);
    m->has_size = true;
    return max && m->size > max ? over(SP_R_SIZE, max) : ALLOWED;
}

static struct sp_verdict param_body(const struct sp_srv *s,
                                    const struct sp_param_rule *p, struct sp_str v,
                                    struct sp_mail *m)
{
    if (sp_str_caseis(v, "7BIT"))
        m->body = SP_BODY_7BIT;
    else if (sp_str_caseis(v, "8BITMIME"))
        m->body = SP_BODY_8BITMIME;
    else if (sp_str_caseis(v, "BINARYMIME") && s->greeted == SP_GREETED_EHLO &&
             (sp_rule_extensions(s) & SP_EXT_BINARYMIME))
        m->body = SP_BODY_BINARYMIME;
    else
        return bad_value(p);
    return ALLOWED;
}

static struct sp_verdict param_ret(const struct sp_param_rule *p, struct sp_str v,
                                   struct sp_mail *m)
{
    m->ret = sp_str_caseis(v, "FULL")   ? SP_RET_FULL
             : sp_str_caseis(v, "HDRS") ? SP_RET_HDRS
                                        : SP_RET_UNSET;
    return m->ret == SP_RET_UNSET ? bad_value(p) : ALLOWED;
}

static struct sp_verdict param_envid(const struct sp_param_rule *p, struct sp_str v,
                                     struct sp_mail *m)
{
    if (v.n == 0 || v.n > 100 || !sp_is_xtext(v))
        return bad_value(p);
    m->envid = v;
    return ALLOWED;
}

/* RFC 4954 5.  The text is ours, so decoding in place is ours to do.  A name that is no
 * address (Dovecot's submission service sends its user's) says as little as "<>": nothing
 * is decided by it, so the mail is not refused for it. */
static struct sp_verdict param_auth(const struct sp_param_rule *p, struct sp_str v,
                                    struct sp_mail *m)
{
    int n = sp_xtext_decode((char *)(uintptr_t)v.p, v.n);
    bool high;

    if (n <= 0)
        return bad_value(p);
    m->auth = (struct sp_str){v.p, (size_t)n};
    m->has_auth = true;
    if (!sp_is_address(m->auth, &high))
        m->auth.n = 0;
    return ALLOWED;
}

/* RFC 2852 4: [+-]digits ";" N or R, and T to be traced; returning needs time left. */
static struct sp_verdict param_by(const struct sp_srv *s, const struct sp_param_rule *p,
                                  struct sp_str v, struct sp_mail *m)
{
    struct sp_str seconds = sp_str_cut(&v, ';');
    int mode = v.n ? sp_lower(v.p[0]) : 0;

    if (seconds.n > 1 && seconds.p[0] == '+' && seconds.p[1] != '-')
        seconds = (struct sp_str){seconds.p + 1, seconds.n - 1};
    if (sp_parse_signed(seconds, 9, &m->by_seconds) < 0 || v.n == 0 || v.n > 2 ||
        (mode != 'n' && mode != 'r') || (v.n == 2 && sp_lower(v.p[1]) != 't') ||
        (mode == 'r' && m->by_seconds <= 0))
        return bad_value(p);
    m->has_by = true;
    m->by_notify = mode == 'n';
    m->by_trace = v.n == 2;
    if (mode == 'r' && (uint64_t)m->by_seconds < s->policy->by_min)
        return over(SP_R_BY_SHORT, s->policy->by_min);
    return ALLOWED;
}

static struct sp_verdict param_hold(const struct sp_srv *s,
                                    const struct sp_param_rule *p, struct sp_str v,
                                    struct sp_mail *m)
{
    if (m->has_hold) /* RFC 4865 4: one of the two */
        return refused(SP_R_PARAM_TWICE, SP_LIT("HOLDFOR and HOLDUNTIL"));
    m->has_hold = true;
    m->hold_is_until = p->param == SP_P_HOLDUNTIL;
    if (m->hold_is_until)
        return sp_parse_date(v, &m->hold_seconds) < 0 ? bad_value(p) : ALLOWED;
    if (v.n > 9 || sp_str_u64(v, UINT32_MAX, &m->hold_seconds) < 0)
        return bad_value(p);
    if (m->hold_seconds > s->policy->hold_max_seconds)
        return over(SP_R_HOLD_LONG, s->policy->hold_max_seconds);
    return ALLOWED;
}

static struct sp_verdict param_priority(const struct sp_param_rule *p, struct sp_str v,
                                        struct sp_mail *m)
{
    int64_t n;

    if (sp_parse_signed(v, 1, &n) < 0)
        return bad_value(p);
    m->priority = (int)n;
    m->has_priority = true;
    return ALLOWED;
}

/* ---- Parameters of RCPT ----------------------------------------------------------------------- */

static struct sp_verdict param_notify(const struct sp_param_rule *p, struct sp_str v,
                                      struct sp_rcpt *r)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        {"NEVER", SP_NOTIFY_NEVER},
        {"SUCCESS", SP_NOTIFY_SUCCESS},
        {"FAILURE", SP_NOTIFY_FAILURE},
        {"DELAY", SP_NOTIFY_DELAY},
    };

    while (v.p) {
        struct sp_str word = sp_str_cut(&v, ',');
        unsigned bit = 0;

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (sp_str_caseis(word, words[i].word))
                bit = words[i].bit;
        if (bit == 0 || (r->notify & bit))
            return bad_value(p);
        r->notify |= bit;
    }
    /* RFC 3461 4.1: NEVER stands alone */
    if ((r->notify & SP_NOTIFY_NEVER) && r->notify != SP_NOTIFY_NEVER)
        return bad_value(p);
    return ALLOWED;
}

/* RFC 3461 4.2: addr-type ";" xtext.  RFC 6533 adds "utf-8;", whose address may hold
 * octets above 127 when SMTPUTF8 was said; it is passed on as it is. */
static struct sp_verdict param_orcpt(const struct sp_param_rule *p, struct sp_str v,
                                     bool utf8, struct sp_rcpt *r)
{
    struct sp_str address = v, type = sp_str_cut(&address, ';');

    if (v.n > 500 || type.n == 0 || address.n == 0 || !sp_is_xtext(type))
        return bad_value(p);
    if (sp_str_caseis(type, "utf-8")) {
        if (!sp_utf8_valid(address))
            return bad_value(p);
        for (size_t i = 0; i < address.n && !utf8; i++)
            if ((unsigned char)address.p[i] > 127)
                return refused(SP_R_NEED_UTF8, NONE);
    } else if (!sp_is_xtext(address)) {
        return bad_value(p);
    }
    r->orcpt = v;
    return ALLOWED;
}

/* ---- Walking the parameters ---------------------------------------------------------------------- */

static struct sp_verdict apply(const struct sp_srv *s, const struct sp_param_rule *p,
                               struct sp_str v, struct sp_mail *m, struct sp_rcpt *r)
{
    switch (p->param) {
    case SP_P_SIZE:
        return param_size(s, p, v, m);
    case SP_P_BODY:
        return param_body(s, p, v, m);
    case SP_P_SMTPUTF8:
        m->smtputf8 = true;
        return ALLOWED;
    case SP_P_RET:
        return param_ret(p, v, m);
    case SP_P_ENVID:
        return param_envid(p, v, m);
    case SP_P_AUTH:
        return param_auth(p, v, m);
    case SP_P_BY:
        return param_by(s, p, v, m);
    case SP_P_HOLDFOR:
    case SP_P_HOLDUNTIL:
        return param_hold(s, p, v, m);
    case SP_P_MT_PRIORITY:
        return param_priority(p, v, m);
    case SP_P_REQUIRETLS:
        m->requiretls = true;
        return ALLOWED;
    case SP_P_NOTIFY:
        return param_notify(p, v, r);
    case SP_P_ORCPT:
        return param_orcpt(p, v, s->txn && s->txn->mail.smtputf8, r);
    }
    return ALLOWED;
}

/* m for MAIL, r for RCPT. */
static struct sp_verdict params(const struct sp_srv *s, enum sp_verb verb,
                                struct sp_str rest, struct sp_mail *m,
                                struct sp_rcpt *r)
{
    struct sp_str name, value;
    unsigned seen = 0;
    int rc;

    while ((rc = sp_parse_param(&rest, &name, &value)) == 1) {
        const struct sp_param_rule *p = NULL;
        struct sp_verdict v = sp_rule_param(s, verb, name, &p);

        if (v.reply == SP_R_PARAM_UNKNOWN && v.arg.n == 0)
            v.arg = (struct sp_str){name.p, name.n > 40 ? 40 : name.n};
        if (v.reply == SP_R_NONE && (seen >> p->param & 1))
            v = refused(SP_R_PARAM_TWICE, sp_str(p->name));
        if (v.reply == SP_R_NONE && p->value != (value.p != NULL))
            v = bad_value(p);
        if (v.reply == SP_R_NONE)
            v = apply(s, p, value, m, r);
        if (v.reply != SP_R_NONE)
            return v;
        seen |= 1u << p->param;
    }
    return rc < 0 ? refused(SP_R_SYNTAX, SP_LIT("parameters are name=value, with a "
                                                "blank between them"))
                  : ALLOWED;
}

/* ---- MAIL -------------------------------------------------------------------------------------------- */

static int take_path(const struct sp_srv *s, struct sp_str *line, const char *keyword,
                     struct sp_path *ret)
{
    return (s->policy->lenient_path ? sp_parse_path_lenient : sp_parse_path)(line, keyword, ret);
}

static struct sp_verdict parse_mail(const struct sp_srv *s, struct sp_txn *t)
{
    struct sp_str line = {t->text, t->text_len};
    struct sp_verdict v;
    struct sp_path path;

    if (take_path(s, &line, "FROM", &path) < 0)
        return refused(SP_R_BAD_SENDER, NONE);
    t->mail.path = path.addr;
    v = params(s, SP_V_MAIL, line, &t->mail, NULL);
    if (v.reply != SP_R_NONE)
        return v;
    if (path.has_8bit && !t->mail.smtputf8)
        return refused(SP_R_NEED_UTF8, NONE);
    if (path.addr.n && !path.qualified && !sp_kind(s->policy->kind)->unqualified)
        return refused(SP_R_BARE_SENDER, NONE);
    return ALLOWED;
}

void sp_do_mail(struct sp_srv *s, struct sp_str arg)
{
    struct sp_txn *t = sp_alloc(sizeof *t + arg.n);
    struct sp_verdict v;

    if (!t) {
        sp_no_memory(s);
        return;
    }
    sp_buf_init(&t->refusal, SP_LIMIT_OUT);
    memcpy(t->text, arg.p, arg.n);
    t->text_len = arg.n;
    v = parse_mail(s, t);
    if (v.reply != SP_R_NONE) {
        sp_refuse(s, v); /* the argument may point into t */
        sp_txn_free(t);
        return;
    }
    s->txn = t;
    /* PROTOCOL "implicit login": at the first well-formed MAIL */
    if (sp_rule_implicit_login(s))
        sp_auth_implicit(s);
    else
        sp_mail_go_on(s);
}

void sp_mail_go_on(struct sp_srv *s)
{
    s->pend = SP_SRV_MAIL;
}

/* ---- RCPT --------------------------------------------------------------------------------------------- */

int sp_group_new(struct sp_srv *s, size_t cap)
{
    struct sp_group *g = sp_alloc(sizeof *g);

    if (!g)
        return -SP_ENOMEM;
    sp_arena_init(&g->text, (size_t)SP_LIMIT_GROUP * 2 * 12288);
    g->slot = sp_alloc(cap * sizeof *g->slot);
    g->cap = cap;
    s->grp = g;
    return g->slot ? 0 : -SP_ENOMEM;
}

static struct sp_verdict parse_rcpt(const struct sp_srv *s, struct sp_str line,
                                    struct sp_rcpt *r)
{
    struct sp_verdict v;
    struct sp_path path;

    if (take_path(s, &line, "TO", &path) < 0 || path.addr.n == 0)
        return refused(SP_R_BAD_RCPT, NONE);
    r->path = path.addr;
    v = params(s, SP_V_RCPT, line, NULL, r);
    if (v.reply != SP_R_NONE)
        return v;
    if (path.has_8bit && !s->txn->mail.smtputf8)
        return refused(SP_R_NEED_UTF8, NONE);
    /* RFC 5321 4.5.1: "postmaster" needs no domain */
    if (!path.qualified && !sp_str_caseis(path.addr, "postmaster") &&
        !sp_kind(s->policy->kind)->unqualified)
        return refused(SP_R_BARE_RCPT, NONE);
    return ALLOWED;
}

static int grow_group(struct sp_group *g)
{
    size_t cap = g->cap * 2 > SP_LIMIT_GROUP ? SP_LIMIT_GROUP : g->cap * 2;
    struct sp_rcpt *r = sp_realloc(g->r, cap * sizeof *r);
    struct sp_slot *slot;

    if (!r)
        return -SP_ENOMEM;
    g->r = r;
    slot = sp_realloc(g->slot, cap * sizeof *slot);
    if (!slot)
        return -SP_ENOMEM;
    g->slot = slot;
    g->cap = cap;
    return 0;
}

static int add_rcpt(struct sp_srv *s, const struct sp_rcpt *r)
{
    struct sp_group *g = s->grp;

    if (!g) {
        if (sp_group_new(s, 4) < 0)
            return -SP_ENOMEM;
        g = s->grp;
        g->r = sp_alloc(g->cap * sizeof *g->r);
        if (!g->r)
            return -SP_ENOMEM;
    } else if (g->n == g->cap && grow_group(g) < 0) {
        return -SP_ENOMEM;
    }
    g->r[g->n] = *r;
    g->r[g->n].path = sp_arena_copy(&g->text, r->path);
    g->r[g->n].orcpt = sp_arena_copy(&g->text, r->orcpt);
    if (!g->r[g->n].path.p || !g->r[g->n].orcpt.p)
        return -SP_ENOMEM;
    g->slot[g->n++] = (struct sp_slot){0};
    return 0;
}

bool sp_do_rcpt(struct sp_srv *s, struct sp_str arg)
{
    struct sp_rcpt r = {.path = NONE};
    struct sp_verdict v = parse_rcpt(s, arg, &r);
    size_t waiting = s->grp ? s->grp->n : 0;

    /* Replies are in order, and how many were accepted is not known before. */
    if (waiting &&
        (v.reply != SP_R_NONE || waiting == SP_LIMIT_GROUP ||
         (s->policy->rcpt_max && s->txn->rcpts + waiting >= s->policy->rcpt_max)))
        return false;
    if (v.reply == SP_R_NONE && s->policy->rcpt_max &&
        s->txn->rcpts >= s->policy->rcpt_max)
        v = refused(SP_R_TOO_MANY_RCPT, NONE);
    if (v.reply != SP_R_NONE)
        sp_refuse(s, v);
    else if (add_rcpt(s, &r) < 0)
        sp_no_memory(s);
    return true;
}

/* ---- Answers one by one --------------------------------------------------------------------------------- */

static void keep(struct sp_srv *s, struct sp_slot *slot, const struct sp_reply *r)
{
    struct sp_buf b;

    sp_buf_init(&b, SP_LIMIT_OUT);
    if (sp_format_owner(&b, r) < 0 || !sp_buf_cstr(&b)) {
        sp_buf_free(&b);
        sp_no_memory(s);
        return;
    }
    slot->text = b.p;
}

static void send_slot(struct sp_srv *s, struct sp_slot *slot, bool at_end)
{
    if (slot->text)
        sp_put(s, slot->text, strlen(slot->text));
    else
        sp_say(s, at_end ? SP_R_DATA_OK : SP_R_RCPT_OK, NONE);
}

int sp_group_answer(struct sp_srv *s, size_t i, const struct sp_reply *r)
{
    struct sp_group *g = s->grp;
    bool at_end = g->r == NULL;

    if (i >= g->n || g->slot[i].done)
        return -SP_EINPUT;
    g->slot[i].done = true;
    g->slot[i].accepted = !r || r->code < 400;
    if (r)
        keep(s, &g->slot[i], r);
    if (s->no_memory)
        return 0;
    if (!at_end)
        s->txn->rcpts += g->slot[i].accepted;
    while (!s->closing && g->next < g->n && g->slot[g->next].done) {
        struct sp_slot *slot = &g->slot[g->next++];

        if (slot->accepted || at_end || sp_idle_again(s))
            send_slot(s, slot, at_end);
    }
    return 0;
}
