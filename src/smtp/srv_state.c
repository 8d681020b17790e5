/* srv_state.c - making, wiping, copying and digesting a session; see srv.h.
 *
 * All of it is generated from SP_SRV_FIELDS and SP_SRV_PLUMBING: one handler per kind of
 * member (NUM, TEXT, TXN, EXCH, GRP), so a new member cannot be forgotten here. */
#include "srv.h"

#include "alloc.h"
#include "secret.h"
#include "text.h"

#include <assert.h>
#include <string.h>

/* ---- Freeing -------------------------------------------------------------------------- */

void sp_txn_free(struct sp_txn *t)
{
    if (!t)
        return;
    sp_buf_free(&t->refusal);
    sp_free(t);
}

void sp_exch_free(struct sp_exch *x)
{
    if (!x)
        return;
    sp_buf_wipe(&x->token);
    sp_buf_wipe(&x->name);
    sp_wipe(x, sizeof *x);
    sp_free(x);
}

void sp_group_free(struct sp_group *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++)
        sp_free(g->slot[i].text);
    sp_arena_reset(&g->text);
    sp_free(g->r);
    sp_free(g->slot);
    sp_free(g);
}

/* ---- Wiping ---------------------------------------------------------------------------- */

#define WIPE_NUM(member)  memset(&(member), 0, sizeof(member))
#define WIPE_TEXT(member) sp_buf_wipe(&(member))
#define WIPE_TXN(member)  (sp_txn_free(member), (member) = NULL)
#define WIPE_EXCH(member) (sp_exch_free(member), (member) = NULL)
#define WIPE_GRP(member)  (sp_group_free(member), (member) = NULL)

void sp_srv_wipe(struct sp_srv *s, unsigned at)
{
    if (s->txn && s->txn->accepted && !s->txn->ended)
        s->infos |= SP_INFO_ABORT;
    if (s->exch && s->exch->seen)
        s->infos |= SP_INFO_AUTH_END;
#define WIPE(kind, type, name, when, why)                                              \
    if (SP_WIPED_AT(name, when) & at)                                                  \
        WIPE_##kind(s->name);
    SP_SRV_FIELDS(WIPE)
#undef WIPE
}

void sp_txn_over(struct sp_srv *s, bool ended)
{
    if (s->txn && ended)
        s->txn->accepted = false;
    sp_srv_wipe(s, SP_AT_RSET);
}

void sp_set_mode(struct sp_srv *s, enum sp_mode mode)
{
    /* What may be trusted in each mode. */
    assert(mode != SP_IN_DATA || (s->txn && s->txn->accepted && s->txn->rcpts));
    assert(mode != SP_IN_AUTH || (s->exch && !s->txn));
    assert(mode != SP_IN_TLS || !s->tls);
    s->mode = mode;
}

/* ---- Birth and death --------------------------------------------------------------------- */

#define INIT_NUM(member, max)
#define INIT_TEXT(member, max) sp_buf_init(&(member), max)
#define INIT_TXN(member, max)
#define INIT_EXCH(member, max)
#define INIT_GRP(member, max)

struct sp_srv *sp_srv_new(const struct sp_srv_policy *policy, struct sp_str local_user)
{
    struct sp_srv *s = sp_alloc(sizeof *s);

    if (!s)
        return NULL;
    s->policy = policy;
#define INIT(kind, type, name, when, why) INIT_##kind(s->name, SP_LIMIT_OUT);
    SP_SRV_FIELDS(INIT)
    SP_SRV_PLUMBING(INIT)
#undef INIT
    if (policy->kind == SP_SRV_LOCAL && local_user.n) {
        if (sp_buf_str(&s->user, local_user) < 0) {
            sp_srv_free(s);
            return NULL;
        }
        s->login_by = SP_BY_SOCKET;
    }
    if (policy->implicit_tls) {
        sp_set_mode(s, SP_IN_TLS);
    } else {
        s->pend = SP_SRV_CONNECT;
    }
    return s;
}

void sp_srv_free(struct sp_srv *s)
{
    if (!s)
        return;
#define WIPE(kind, type, name, when, why) WIPE_##kind(s->name);
    SP_SRV_FIELDS(WIPE)
    SP_SRV_PLUMBING(WIPE)
#undef WIPE
    sp_free(s);
}

/* ---- Copying ------------------------------------------------------------------------------ */

static int copy_text(struct sp_buf *to, const struct sp_buf *from)
{
    sp_buf_init(to, from->max);
    return from->n ? sp_buf_put(to, from->p, from->n) : 0;
}

/* The same place in the copy. */
static struct sp_str moved(struct sp_str s, const char *from, const char *to)
{
    return s.p ? (struct sp_str){to + (s.p - from), s.n} : s;
}

static int copy_txn(struct sp_txn **to, const struct sp_txn *from)
{
    struct sp_txn *t;

    *to = NULL;
    if (!from)
        return 0;
    t = sp_alloc(sizeof *t + from->text_len);
    if (!t)
        return -SP_ENOMEM;
    memcpy(t, from, sizeof *t + from->text_len);
    t->mail.path = moved(from->mail.path, from->text, t->text);
    t->mail.envid = moved(from->mail.envid, from->text, t->text);
    t->mail.auth = moved(from->mail.auth, from->text, t->text);
    *to = t;
    return copy_text(&t->refusal, &from->refusal);
}

/* Credentials point into token or into name. */
static struct sp_str moved_credential(struct sp_str s, const struct sp_exch *from,
                                      const struct sp_exch *to)
{
    if (from->token.p && s.p >= from->token.p && s.p <= from->token.p + from->token.n)
        return moved(s, from->token.p, to->token.p);
    if (from->name.p && s.p >= from->name.p && s.p <= from->name.p + from->name.n)
        return moved(s, from->name.p, to->name.p);
    return s; /* a literal */
}

static int copy_exch(struct sp_exch **to, const struct sp_exch *from)
{
    struct sp_exch *x;

    *to = NULL;
    if (!from)
        return 0;
    x = sp_alloc(sizeof *x);
    if (!x)
        return -SP_ENOMEM;
    *x = *from;
    *to = x;
    sp_buf_init(&x->name, from->name.max);
    if (copy_text(&x->token, &from->token) < 0 || copy_text(&x->name, &from->name) < 0)
        return -SP_ENOMEM;
    x->authzid = moved_credential(from->authzid, from, x);
    x->authcid = moved_credential(from->authcid, from, x);
    x->secret = moved_credential(from->secret, from, x);
    return 0;
}

static int copy_slot(struct sp_slot *to, const struct sp_slot *from)
{
    *to = *from;
    to->text = from->text ? sp_strdup(from->text) : NULL;
    return from->text && !to->text ? -SP_ENOMEM : 0;
}

static int copy_group(struct sp_group **to, const struct sp_group *from)
{
    struct sp_group *g;

    *to = NULL;
    if (!from)
        return 0;
    *to = g = sp_alloc(sizeof *g);
    if (!g)
        return -SP_ENOMEM;
    sp_arena_init(&g->text, from->text.max);
    g->slot = sp_alloc(from->cap * sizeof *g->slot);
    g->r = from->r ? sp_alloc(from->cap * sizeof *g->r) : NULL;
    if (!g->slot || (from->r && !g->r))
        return -SP_ENOMEM;
    g->cap = from->cap;
    g->next = from->next;
    for (; g->n < from->n; g->n++) {
        if (copy_slot(&g->slot[g->n], &from->slot[g->n]) < 0)
            return -SP_ENOMEM;
        if (!from->r)
            continue;
        g->r[g->n] = from->r[g->n];
        g->r[g->n].path = sp_arena_copy(&g->text, from->r[g->n].path);
        g->r[g->n].orcpt = sp_arena_copy(&g->text, from->r[g->n].orcpt);
        if (!g->r[g->n].path.p || !g->r[g->n].orcpt.p)
            return -SP_ENOMEM;
    }
    return 0;
}

#define COPY_NUM(to, from)  ((to) = (from), 0)
#define COPY_TEXT(to, from) copy_text(&(to), &(from))
#define COPY_TXN(to, from)  copy_txn(&(to), from)
#define COPY_EXCH(to, from) copy_exch(&(to), from)
#define COPY_GRP(to, from)  copy_group(&(to), from)

struct sp_srv *sp_srv_clone(const struct sp_srv *s)
{
    struct sp_srv *c = sp_alloc(sizeof *c);
    int rc = 0;

    if (!c)
        return NULL;
    c->policy = s->policy;
    c->span = s->span;
#define COPY(kind, type, name, when, why) rc |= COPY_##kind(c->name, s->name);
    SP_SRV_FIELDS(COPY)
    SP_SRV_PLUMBING(COPY)
#undef COPY
    if (rc == 0)
        return c;
    sp_srv_free(c);
    return NULL;
}

/* ---- Digest --------------------------------------------------------------------------------- */

struct mix {
    uint64_t a, b;
};

static void mix_octets(struct mix *m, const void *data, size_t n)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < n; i++) {
        m->a = (m->a ^ p[i]) * 0x100000001b3u;
        m->b = (m->b + p[i] + 1) * 0x9e3779b97f4a7c15u;
        m->b ^= m->b >> 29;
    }
}

static void mix_number(struct mix *m, uint64_t v)
{
    mix_octets(m, &v, sizeof v);
}

/* Length first: two neighbours cannot be cut differently and look alike. */
static void mix_str(struct mix *m, struct sp_str s)
{
    mix_number(m, s.n);
    mix_octets(m, s.p, s.n);
}

static void mix_text(struct mix *m, const struct sp_buf *b)
{
    mix_str(m, sp_buf_view(b));
}

static void mix_data(struct mix *m, const struct sp_data *d)
{
    mix_number(m, d->at);
    mix_number(m, d->bad);
    mix_number(m, d->bad_line);
    mix_number(m, (uint64_t)d->binary | (uint64_t)d->ended << 1 |
                      (uint64_t)d->header_done << 2 |
                      (uint64_t)d->has_8bit_header << 3 |
                      (uint64_t)d->has_8bit_body << 4);
    mix_number(m, d->line);
    mix_number(m, d->line_len);
    mix_number(m, d->size);
    mix_number(m, d->header_size);
}

/* What MAIL carried is the owner's; only what rules still ask for is state here. */
static void mix_txn(struct mix *m, const struct sp_txn *t)
{
    mix_number(m, t != NULL);
    if (!t)
        return;
    mix_number(m, t->mail.body);
    mix_number(m, (uint64_t)t->mail.smtputf8 | (uint64_t)t->accepted << 1 |
                      (uint64_t)t->chunked << 2 | (uint64_t)t->reading << 3 |
                      (uint64_t)t->ended << 4);
    mix_number(m, t->rcpts);
    mix_text(m, &t->refusal);
    if (!t->accepted) /* the event is still to come */
        mix_str(m, (struct sp_str){t->text, t->text_len});
    if (t->reading)
        mix_data(m, &t->data);
}

static void mix_exch(struct mix *m, const struct sp_exch *x)
{
    mix_number(m, x != NULL);
    if (!x)
        return;
    mix_number(m, x->mech);
    mix_number(m, x->want);
    mix_number(m, (uint64_t)x->implicit | (uint64_t)x->seen << 1 |
                      (uint64_t)x->first << 2 | (uint64_t)x->has_token << 3 |
                      (uint64_t)x->have_name << 4);
    mix_text(m, &x->token);
    mix_text(m, &x->name);
}

static void mix_group(struct mix *m, const struct sp_group *g)
{
    mix_number(m, g != NULL);
    if (!g)
        return;
    mix_number(m, g->n);
    mix_number(m, g->next);
    for (size_t i = 0; i < g->n; i++) {
        mix_number(m, (uint64_t)g->slot[i].done | (uint64_t)g->slot[i].accepted << 1);
        mix_str(m, sp_str(g->slot[i].text));
        if (g->r) {
            mix_str(m, g->r[i].path);
            mix_str(m, g->r[i].orcpt);
            mix_number(m, g->r[i].notify);
        }
    }
}

#define MIX_NUM(m, member)  mix_number(m, (uint64_t)(member))
#define MIX_TEXT(m, member) mix_text(m, &(member))
#define MIX_TXN(m, member)  mix_txn(m, member)
#define MIX_EXCH(m, member) mix_exch(m, member)
#define MIX_GRP(m, member)  mix_group(m, member)

void sp_srv_digest(const struct sp_srv *s, uint64_t ret_digest[2])
{
    struct mix m = {0xcbf29ce484222325u, 0x9e3779b97f4a7c15u};

    mix_octets(&m, s->span.p, s->span.n);
#define MIX(kind, type, name, when, why) MIX_##kind(&m, s->name);
    SP_SRV_FIELDS(MIX)
    SP_SRV_PLUMBING(MIX)
#undef MIX
    ret_digest[0] = m.a;
    ret_digest[1] = m.b;
}
