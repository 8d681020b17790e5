/* client_copy.c - clones and digests of a client session, for programs that explore. */
#include "cli_session.h"

#include "alloc.h"
#include "text.h"

#include <string.h>

/* --- clone --------------------------------------------------------------------------- */

static int copy_buf(struct sp_buf *to, const struct sp_buf *from)
{
    sp_buf_init(to, from->max);
    return sp_buf_put(to, from->p, from->n);
}

static struct sp_str copy_str(struct sp_cli_txn *t, struct sp_str s, bool *ok)
{
    struct sp_str d = {NULL, 0};

    if (!s.n)
        return d;
    d = sp_arena_copy(&t->mem, s);
    *ok = *ok && d.p;
    return d;
}

struct sp_cli_txn *sp_cs_txn_clone(const struct sp_cli_txn *t)
{
    struct sp_cli_txn *d = sp_alloc(sizeof *d);
    bool ok = true;

    if (!d)
        return NULL;
    *d = *t;
    sp_arena_init(&d->mem, t->mem.max);
    d->rcpt_line = sp_arena_alloc(&d->mem, t->n * sizeof *d->rcpt_line);
    d->result = sp_arena_alloc(&d->mem, t->n * sizeof *d->result);
    ok = d->rcpt_line && d->result;
    d->forward_line = copy_str(d, t->forward_line, &ok);
    d->mail_line = copy_str(d, t->mail_line, &ok);
    d->final.text = copy_str(d, t->final.text, &ok);
    for (size_t i = 0; i < t->n && ok; i++) {
        d->rcpt_line[i] = copy_str(d, t->rcpt_line[i], &ok);
        d->result[i] = t->result[i];
        d->result[i].reply.text = copy_str(d, t->result[i].reply.text, &ok);
    }
    if (!ok) {
        sp_arena_reset(&d->mem);
        sp_free(d);
        return NULL;
    }
    return d;
}

static int copy_outq(struct sp_cli *d, const struct sp_cli *c)
{
    const struct sp_cli_txn *t = c->txn;
    size_t n = c->out.tail;

    memset(&d->out, 0, sizeof d->out);
    if (t && t->chunk_open) /* lies behind the queue's end: see client_mail.c */
        n = c->out.cap;
    if (n && !sp_outq_room(&d->out, n))
        return -SP_ENOMEM;
    if (n)
        memcpy(d->out.p, c->out.p, n);
    d->out.head = c->out.head;
    d->out.tail = c->out.tail;
    d->out.secret_end = c->out.secret_end;
    d->out.put = c->out.put;
    d->out.acked = c->out.acked;
    return 0;
}

static int copy_reader(struct sp_reply_reader *to, const struct sp_reply_reader *from)
{
    *to = *from;
    sp_buf_init(&to->line, from->line.max);
    sp_buf_init(&to->text, from->text.max);
    return sp_buf_put(&to->line, from->line.p, from->line.n) < 0 ||
                   sp_buf_put(&to->text, from->text.p, from->text.n) < 0
               ? -SP_ENOMEM
               : 0;
}

struct sp_cli *sp_cli_clone(const struct sp_cli *c)
{
    struct sp_cli *d = sp_cli_new(&c->o, NULL), made;

    if (!d)
        return NULL;
    made = *d;
    *d = *c;
    d->o = made.o;
    d->strings = made.strings;
    d->trace = NULL;
    d->caps = NULL;
    d->txn = NULL;
    sp_reply_free(&made.in);
    memset(&d->out, 0, sizeof d->out);
    sp_buf_init(&d->in.line, c->in.line.max);
    sp_buf_init(&d->in.text, c->in.text.max);
    sp_buf_init(&d->held, c->held.max);
    sp_buf_init(&d->challenge, c->challenge.max);
    sp_buf_init(&d->words, c->words.max);
    if (copy_reader(&d->in, &c->in) < 0 || copy_outq(d, c) < 0 ||
        copy_buf(&d->held, &c->held) < 0 ||
        copy_buf(&d->challenge, &c->challenge) < 0 ||
        copy_buf(&d->words, &c->words) < 0 ||
        (c->caps && !(d->caps = sp_caps_clone(c->caps))) ||
        (c->txn && !(d->txn = sp_cs_txn_clone(c->txn)))) {
        sp_cli_free(d);
        return NULL;
    }
    if (d->fail_reply.text.p) /* borrowed from the reader or the transaction */
        d->fail_reply.text = (struct sp_str){NULL, 0};
    return d;
}

/* --- digest -------------------------------------------------------------------------- */

/* FNV-1a twice, with different seeds and a twist: not for enemies, for counting states. */
struct hash {
    uint64_t a, b;
};

static void mix(struct hash *h, const void *p, size_t n)
{
    const unsigned char *s = p;

    for (size_t i = 0; i < n; i++) {
        h->a = (h->a ^ s[i]) * 0x100000001b3u;
        h->b = (h->b + s[i] + 1) * 0x9e3779b97f4a7c15u;
        h->b ^= h->b >> 29;
    }
}

static void num(struct hash *h, uint64_t v)
{
    mix(h, &v, sizeof v);
}

static void str(struct hash *h, struct sp_str s)
{
    num(h, s.n);
    mix(h, s.p, s.n);
}

static void hash_txn(struct hash *h, const struct sp_cli_txn *t)
{
    num(h, t->n);
    str(h, t->forward_line);
    str(h, t->mail_line);
    for (size_t i = 0; i < t->n; i++) {
        str(h, t->rcpt_line[i]);
        num(h, (uint64_t)t->result[i].reply.code);
        num(h, t->result[i].stage);
        num(h, t->result[i].accepted);
    }
    num(h, t->rcpt_sent);
    num(h, t->rcpt_got);
    num(h, t->good);
    num(h, t->dot_next);
    num(h, t->size);
    num(h, (uint64_t)t->rset_sent | (uint64_t)t->rset_got << 1 |
               (uint64_t)t->mail_sent << 2 | (uint64_t)t->mail_got << 3 |
               (uint64_t)t->mail_ok << 4 | (uint64_t)t->data_sent << 5 |
               (uint64_t)t->hollow << 6 | (uint64_t)t->over << 7 |
               (uint64_t)t->unknown << 8 | (uint64_t)t->completed << 9 |
               (uint64_t)t->bdat << 10 | (uint64_t)t->binary << 11 |
               (uint64_t)t->at_bol << 12 | (uint64_t)t->last_cr << 13 |
               (uint64_t)t->asked << 14 | (uint64_t)t->ended << 15 |
               (uint64_t)t->last_said << 16 | (uint64_t)t->refused << 17 |
               (uint64_t)t->chunk_open << 18 | (uint64_t)t->forward_sent << 19 |
               (uint64_t)t->forward_got << 20);
    num(h, t->chunk_n);
    num(h, t->chunks);
    num(h, (uint64_t)t->final.code);
    num(h, t->final_stage);
}

static void hash_login(struct hash *h, const struct sp_cli *c)
{
    num(h, c->epoch);
    num(h, (uint64_t)c->tls_verified | (uint64_t)c->tls_heard << 1 |
               (uint64_t)c->cert_asked << 2 | (uint64_t)c->cert_sent << 3 |
               (uint64_t)c->binding << 4 | (uint64_t)c->again << 5 |
               (uint64_t)c->auth_said << 6 | (uint64_t)c->bare_ok << 7 |
               (uint64_t)c->rset_needed << 8);
    num(h, (uint64_t)c->login | (uint64_t)c->login_by << 8 | (uint64_t)c->auths << 16 |
               (uint64_t)c->steps << 24 | (uint64_t)c->mech << 32);
    num(h, c->tried);
    num(h, c->mails);
    str(h, sp_buf_view(&c->held));
    str(h, sp_buf_view(&c->challenge));
}

void sp_cli_digest(const struct sp_cli *c, uint64_t ret_digest[2])
{
    struct hash h = {0xcbf29ce484222325u, 0x2545f4914f6cdd1du};
    const struct sp_caps *caps = sp_cs_caps(c);

    num(&h, c->state);
    num(&h, c->queued);
    mix(&h, c->queue, c->queued);
    hash_login(&h, c);
    num(&h, caps->ext);
    num(&h, caps->mechs);
    num(&h, caps->size_max);
    num(&h, (uint64_t)caps->rcpt_max << 32 | caps->mail_max);
    num(&h, caps->lines > 0);
    num(&h, c->in.code);
    num(&h, c->in.status != SP_REPLY_DONE ? c->in.lines : 0u);
    str(&h, sp_reply_partial(&c->in) ? sp_buf_view(&c->in.line) : (struct sp_str){0});
    str(&h, (struct sp_str){c->out.p ? c->out.p + c->out.head : NULL,
                            sp_outq_len(&c->out)});
    num(&h, c->awaiting);
    /* Counters of octets grow for ever; what matters is how far apart they are. */
    num(&h,
        c->awaiting && c->await_end > c->out.acked ? c->await_end - c->out.acked : 0);
    if (c->txn) {
        hash_txn(&h, c->txn);
        num(&h,
            c->txn->chunk_end > c->out.acked ? c->txn->chunk_end - c->out.acked : 0);
    }
    ret_digest[0] = h.a;
    ret_digest[1] = h.b;
}
