/* acct.c - see acct.h: what all types of accounts sections share. */
#include "acct.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"
#include "verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ARENA_MAX = 1 << 20, TOKEN_MAX = 16384 };

/* By enum sp_conf_accounts_type; users.db is asked by whoever has it open. */
static const struct sp_acct_ops *const types[] = {
    [SP_CONF_ACCTS_SQLITE] = NULL,
    [SP_CONF_ACCTS_FILE] = &sp_acct_file,
    [SP_CONF_ACCTS_LDAP] = &sp_acct_ldap,
    [SP_CONF_ACCTS_PAM] = &sp_acct_pam,
    [SP_CONF_ACCTS_POSTGRESQL] = &sp_acct_pq,
    [SP_CONF_ACCTS_DOVECOT] = &sp_acct_dovecot,
};

static const char *const fields[SP_ACCT_FIELDS] = {
    [SP_ACCT_F_NAME] = "name",
    [SP_ACCT_F_PASSWORD] = "password",
    [SP_ACCT_F_SCRAM256] = "scram-sha-256",
    [SP_ACCT_F_SCRAM1] = "scram-sha-1",
    [SP_ACCT_F_ADDRESS] = "address",
    [SP_ACCT_F_GRANT] = "grant",
    [SP_ACCT_F_ACT_AS] = "act-as",
    [SP_ACCT_F_ENABLED] = "enabled",
    [SP_ACCT_F_DISABLED] = "disabled",
    [SP_ACCT_F_SIZE] = "message-size",
    [SP_ACCT_F_RECIPIENTS] = "recipients",
    [SP_ACCT_F_SESSIONS] = "sessions",
    [SP_ACCT_F_MESSAGE_RATE] = "message-rate",
    [SP_ACCT_F_RECIPIENT_RATE] = "recipient-rate",
    [SP_ACCT_F_PIN] = "pin",
    [SP_ACCT_F_MECHANISMS] = "mechanisms",
    [SP_ACCT_F_CHECKED] = "(checked)",
    [SP_ACCT_F_BLIND] = "(blind)",
    [SP_ACCT_F_LOCAL] = "(local)",
};

const char *sp_acct_field_name(enum sp_acct_field f)
{
    return fields[f];
}

enum sp_acct_field sp_acct_field_named(struct sp_str name)
{
    for (int f = 0; f < SP_ACCT_F_CHECKED; f++) {
        size_t i = 0;

        while (i < name.n && fields[f][i] &&
               (fields[f][i] == name.p[i] || (fields[f][i] == '-' && name.p[i] == '_')))
            i++;
        if (i == name.n && !fields[f][i])
            return (enum sp_acct_field)f;
    }
    return SP_ACCT_FIELDS;
}

uint64_t sp_acct_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

enum sp_acct_status sp_acct_away(struct sp_err *err, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN, "%s", text);
    return SP_ACCT_AWAY;
}

/* ---- answers ---- */

void sp_acct_init(struct sp_acct *a)
{
    memset(a, 0, sizeof *a);
    sp_arena_init(&a->arena, ARENA_MAX);
    sp_buf_init(&a->token, TOKEN_MAX);
}

void sp_acct_reset(struct sp_acct *a)
{
    sp_arena_reset(&a->arena);
    sp_buf_wipe(&a->token);
    a->v = NULL;
    a->n = a->cap = 0;
}

int sp_acct_put(struct sp_acct *a, enum sp_acct_field f, struct sp_str value)
{
    struct sp_acct_value *v = a->v;
    char *copy;

    if (value.n > SP_ACCT_VALUE_MAX || a->n >= SP_ACCT_VALUES_MAX || f >= SP_ACCT_FIELDS)
        return -SP_ELIMIT;
    if (a->n == a->cap) {
        size_t cap = a->cap ? 2 * a->cap : 8;

        v = sp_arena_alloc(&a->arena, cap * sizeof *v);
        if (!v)
            return -SP_ENOMEM;
        if (a->n)
            memcpy(v, a->v, a->n * sizeof *v);
        a->v = v;
        a->cap = cap;
    }
    copy = sp_arena_strndup(&a->arena, value.p ? value.p : "", value.n);
    if (!copy)
        return -SP_ENOMEM;
    v[a->n++] = (struct sp_acct_value){f, {copy, value.n}};
    return 0;
}

struct sp_str sp_acct_first(const struct sp_acct *a, enum sp_acct_field f)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].field == f)
            return a->v[i].value;
    return (struct sp_str){NULL, 0};
}

/* ---- connections ---- */

struct sp_acct_conn {
    const struct sp_acct_ops *ops;
    void *self;
};

static int conn_failed(struct sp_err *err)
{
    return err && err->text[0] ? -(int)err->code : sp_err_nomem(err);
}

int sp_acct_open(const struct sp_conf_accounts *c, struct sp_str secret,
                 struct sp_acct_conn **ret, struct sp_err *err)
{
    struct sp_acct_conn *conn = sp_alloc(sizeof *conn);

    if (!conn)
        return sp_err_nomem(err);
    conn->ops = types[c->type];
    conn->self = conn->ops ? conn->ops->open(c, secret, err) : NULL;
    if (!conn->self) {
        sp_free(conn);
        return conn_failed(err);
    }
    *ret = conn;
    return 0;
}

void sp_acct_close(struct sp_acct_conn *c)
{
    if (!c)
        return;
    c->ops->close(c->self);
    sp_free(c);
}

enum sp_acct_status sp_acct_ask(struct sp_acct_conn *c, const struct sp_acct_ask *q,
                                struct sp_acct *a, struct sp_err *err)
{
    bool stale = c->ops->stale && c->ops->stale(c->self);
    enum sp_acct_status st = c->ops->ask(c->self, q, a, err);

    /* The other side was restarted since the last question: that is no fault yet.  But what
     * took too long is not asked a second time: it would only add to the load. */
    if (st == SP_ACCT_AWAY && stale && q->what <= SP_ACCT_CHECK && err->code != SP_ETIMEDOUT) {
        sp_acct_reset(a);
        st = c->ops->ask(c->self, q, a, err);
    }
    return st;
}

int sp_acct_list(struct sp_acct_conn *c, int (*each)(void *arg, const struct sp_acct *a),
                 void *arg, struct sp_err *err)
{
    if (!c->ops->list)
        return sp_err_set(err, SP_CLASS_PEER, SP_ESTATE,
                          "accounts of this type cannot be listed");
    return c->ops->list(c->self, each, arg, err);
}

void sp_acct_exchange_free(struct sp_acct_exchange *e)
{
    if (e)
        e->free(e);
}

static bool has_field(const struct sp_conf_list *l, const char *prefix)
{
    for (size_t i = 0; i < l->n; i++)
        if (strncmp(l->v[i], prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

unsigned sp_acct_can(const struct sp_conf_accounts *c)
{
    unsigned can = types[c->type] ? types[c->type]->can : 15;

    switch (c->type) {
    case SP_CONF_ACCTS_LDAP:
        if (c->bind_template)
            can &= ~(unsigned)(SP_ACCT_CAN_FIND | SP_ACCT_CAN_PIN);
        if (c->password_by != SP_CONF_BY_ATTRIBUTE || !has_field(&c->fields, "scram-"))
            can &= ~(unsigned)SP_ACCT_CAN_SCRAM;
        if (!c->certificate_filter)
            can &= ~(unsigned)SP_ACCT_CAN_PIN;
        break;
    case SP_CONF_ACCTS_POSTGRESQL:
        if (!c->certificate_query)
            can &= ~(unsigned)SP_ACCT_CAN_PIN;
        break;
    case SP_CONF_ACCTS_DOVECOT:
        if (c->user_socket)
            can |= SP_ACCT_CAN_FIND;
        break;
    case SP_CONF_ACCTS_SQLITE:
    case SP_CONF_ACCTS_FILE:
    case SP_CONF_ACCTS_PAM:
        break;
    }
    return can;
}

/* ---- names and templates ---- */

int sp_acct_name(struct sp_str text, char *out, size_t cap)
{
    bool pattern = false;
    int n = sp_account_canonical(text, out, cap);

    if (n < 0)
        n = sp_grant_canonical(text, out, cap, &pattern);
    if (n < 0 || pattern || memchr(out, '*', (size_t)n))
        return -SP_EINPUT;
    for (int i = 0; i < n; i++)
        if ((unsigned char)out[i] <= ' ' || out[i] == 127)
            return -SP_EINPUT;
    return n;
}

int sp_acct_fill(const char *template, struct sp_str name,
                 int (*escape)(struct sp_buf *out, struct sp_str s), struct sp_buf *out)
{
    struct sp_str local = name, domain = {"", 0};
    int rc = 0;

    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '@') { /* the last one: RFC 5321 4.1.2 */
            local.n = i;
            domain = (struct sp_str){name.p + i + 1, name.n - i - 1};
        }
    for (const char *t = template; rc == 0 && *t; t++)
        if (*t != '%' || !t[1])
            rc = sp_buf_put(out, t, 1);
        else if (*++t == 'u' || *t == 'p')
            rc = escape(out, name);
        else if (*t == 'n')
            rc = escape(out, local);
        else if (*t == 'd')
            rc = escape(out, domain);
        else
            rc = sp_buf_put(out, t, 1);
    return rc;
}

/* ---- from an answer to an account ---- */

struct making {
    struct sp_user *u;
    size_t cap_address, cap_act, cap_pin;
    bool nomem;
};

static const char *keep(struct making *m, const char *s, size_t n)
{
    const char *copy = sp_arena_strndup(&m->u->arena, s, n);

    m->nomem |= !copy;
    return copy;
}

static void append(struct making *m, const char ***list, size_t *n, size_t *cap, size_t max,
                   struct sp_str s)
{
    for (size_t i = 0; i < *n; i++)
        if (sp_str_is(s, (*list)[i]))
            return;
    if (*n >= max)
        return;
    if (*n == *cap) {
        size_t more = *cap ? 2 * *cap : 8;
        const char **v = sp_arena_alloc(&m->u->arena, more * sizeof *v);

        if (!v) {
            m->nomem = true;
            return;
        }
        if (*n)
            memcpy(v, *list, *n * sizeof *v);
        *list = v;
        *cap = more;
    }
    (*list)[*n] = keep(m, s.p, s.n);
    *n += (*list)[*n] != NULL;
}

static void add_address(struct making *m, struct sp_str text, bool own)
{
    char canonical[SP_ADDRESS_MAX + 1];
    bool pattern = false;
    int n = sp_grant_canonical(text, canonical, sizeof canonical, &pattern);

    if (n > 0 && !(own && pattern))
        append(m, &m->u->address, &m->u->addresses, &m->cap_address, SP_USER_GRANTS_MAX,
               (struct sp_str){canonical, (size_t)n});
}

static void add_act_as(struct making *m, struct sp_str text)
{
    char canonical[SP_NAME_MAX + 1];
    int n = sp_account_canonical(text, canonical, sizeof canonical);

    if (n > 0)
        append(m, &m->u->act_as, &m->u->act_as_count, &m->cap_act, SP_USER_ACT_AS_MAX,
               (struct sp_str){canonical, (size_t)n});
}

static void add_pin(struct making *m, struct sp_str text)
{
    uint8_t digest[32];
    char hex[65];

    if (sp_hex_decode(text, digest, sizeof digest) != 32)
        return;
    (void)sp_hex_encode(digest, sizeof digest, hex, sizeof hex);
    append(m, &m->u->pin, &m->u->pins, &m->cap_pin, SP_USER_ACT_AS_MAX, sp_str(hex));
}

/* 1, 0, or -1: neither yes nor no. */
static int truth(struct sp_str s)
{
    static const char *const yes[] = {"yes", "y", "true", "t", "1", "on"};
    static const char *const no[] = {"no", "n", "false", "f", "0", "off", ""};

    s = sp_str_trim(s);
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (sp_str_caseis(s, yes[i]))
            return 1;
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (sp_str_caseis(s, no[i]))
            return 0;
    return -1;
}

static bool read_rates(struct sp_str s, uint32_t *ret)
{
    while (s.n) {
        struct sp_str one = sp_str_cut(&s, ',');
        struct sp_rate r;

        if (sp_rate_parse(sp_str_trim(one), &r) < 0)
            return false;
        ret[r.period] = (uint32_t)r.n;
    }
    return true;
}

/* What restricts an account and cannot be read must not be forgotten: false. */
static bool take_limit(struct sp_user *u, const struct sp_acct_value *v)
{
    uint64_t n = 0;
    int t;

    switch ((int)v->field) {
    case SP_ACCT_F_ENABLED:
        t = truth(v->value);
        u->enabled = u->enabled && t == 1;
        return t >= 0;
    case SP_ACCT_F_DISABLED:
        t = truth(v->value);
        u->enabled = u->enabled && t == 0;
        return t >= 0;
    case SP_ACCT_F_SIZE:
        if (sp_str_u64(v->value, UINT64_MAX / 2, &n) < 0)
            return false;
        u->limits.message_size_max = n;
        return true;
    case SP_ACCT_F_RECIPIENTS:
        if (sp_str_u64(v->value, 1000000, &n) < 0)
            return false;
        u->limits.recipients_max = (uint32_t)n;
        return true;
    case SP_ACCT_F_SESSIONS:
        if (sp_str_u64(v->value, 1000000, &n) < 0)
            return false;
        u->limits.sessions_max = (uint32_t)n;
        return true;
    case SP_ACCT_F_MESSAGE_RATE:
        return read_rates(v->value, u->limits.rates.n[SP_RATE_MESSAGES]);
    case SP_ACCT_F_RECIPIENT_RATE:
        return read_rates(v->value, u->limits.rates.n[SP_RATE_RECIPIENTS]);
    }
    return true;
}

static void take_secret(struct making *m, const struct sp_acct_value *v)
{
    enum sp_scram_hash hash =
        v->field == SP_ACCT_F_SCRAM256 ? SP_SCRAM_SHA256 : SP_SCRAM_SHA1;

    /* The first one that can be used: LDAP entries may have several. */
    if (v->field == SP_ACCT_F_PASSWORD) {
        if (!m->u->crypt && v->value.n && v->value.n < SP_CRYPT_TEXT_MAX)
            m->u->crypt = keep(m, v->value.p, v->value.n);
        return;
    }
    if (!m->u->has_scram[hash])
        m->u->has_scram[hash] = sp_scram_parse(v->value, &m->u->scram[hash]) == 0 &&
                                m->u->scram[hash].hash == hash;
}

/* Each followed by a space, as users.h has them; several values are one list. */
static void take_mechanisms(struct making *m, struct sp_str rest)
{
    char text[SP_USER_MECHS_MAX];
    size_t n = strlen(m->u->mechanisms);
    bool fits = n < sizeof text;

    memcpy(text, m->u->mechanisms, fits ? n : 0);
    while (fits && rest.n) {
        struct sp_str word = sp_str_cut(&rest, ' ');

        if (word.n && word.p[word.n - 1] == ',')
            word.n--;
        fits = n + word.n + 1 < sizeof text;
        for (size_t i = 0; i < word.n; i++) /* a NUL would end the list */
            fits = fits && word.p[i] > ' ' && word.p[i] != 127;
        for (size_t i = 0; fits && i < word.n; i++)
            text[n++] = (char)(word.p[i] >= 'a' && word.p[i] <= 'z' ? word.p[i] - 32 : word.p[i]);
        if (fits && word.n)
            text[n++] = ' ';
    }
    if (fits)
        m->u->mechanisms = keep(m, text, n);
    m->u->enabled = m->u->enabled && fits; /* a restriction that would be lost */
}

static bool is_yes(const struct sp_acct *a, enum sp_acct_field f)
{
    return sp_str_is(sp_acct_first(a, f), "yes");
}

/* Its addresses: own ones first, for users.h counts on that. */
static void take_addresses(struct making *m, const struct sp_acct *a, const char *domain)
{
    struct sp_user *u = m->u;
    char text[SP_ADDRESS_MAX + 1];

    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].field == SP_ACCT_F_ADDRESS)
            add_address(m, a->v[i].value, true);
    if (u->addresses == 0 && strchr(u->name, '@'))
        add_address(m, sp_str(u->name), true);
    else if (u->addresses == 0 && domain &&
             snprintf(text, sizeof text, "%s@%s", u->name, domain) < (int)sizeof text)
        add_address(m, sp_str(text), true);
    u->own_addresses = u->addresses;
    u->first_address = u->addresses ? u->address[0] : "";
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].field == SP_ACCT_F_GRANT)
            add_address(m, a->v[i].value, false);
        else if (a->v[i].field == SP_ACCT_F_ACT_AS)
            add_act_as(m, a->v[i].value);
        else if (a->v[i].field == SP_ACCT_F_PIN)
            add_pin(m, a->v[i].value);
}

int sp_acct_user(const struct sp_acct *a, struct sp_str asked, const char *domain,
                 struct sp_user **ret_user, struct sp_err *err)
{
    struct making m = {.u = sp_alloc(sizeof *m.u)};
    struct sp_str name = sp_acct_first(a, SP_ACCT_F_NAME);
    char canonical[SP_NAME_MAX + 1];
    int n = sp_account_canonical(name.n ? name : asked, canonical, sizeof canonical);

    if (!m.u)
        return sp_err_nomem(err);
    sp_arena_init(&m.u->arena, ARENA_MAX);
    if (n < 0) {
        sp_user_free(m.u);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "the account has a name that no account may have");
    }
    m.u->name = keep(&m, canonical, (size_t)n);
    m.u->first_address = m.u->mechanisms = "";
    m.u->enabled = true;
    m.u->checked = is_yes(a, SP_ACCT_F_CHECKED);
    m.u->blind = is_yes(a, SP_ACCT_F_BLIND);
    for (size_t i = 0; i < a->n; i++) {
        enum sp_acct_field f = a->v[i].field;

        if (f == SP_ACCT_F_MECHANISMS)
            take_mechanisms(&m, a->v[i].value);
        else if (f >= SP_ACCT_F_PASSWORD && f <= SP_ACCT_F_SCRAM1)
            take_secret(&m, &a->v[i]);
        else if (!take_limit(m.u, &a->v[i]))
            m.u->enabled = false;
    }
    if (!m.nomem)
        take_addresses(&m, a, domain);
    m.u->has_password = m.u->checked || m.u->crypt || m.u->has_scram[0] || m.u->has_scram[1];
    if (m.nomem) {
        sp_user_free(m.u);
        return sp_err_nomem(err);
    }
    *ret_user = m.u;
    return 0;
}
