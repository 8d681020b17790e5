/*
 * client_mail.c - see sallyport/client.h: one transaction, from MAIL to the verdict on
 * every recipient.
 */
#include "cli_session.h"

#include "alloc.h"
#include "cli_params.h"
#include "err.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    COMMANDS_MAX = 16 * 1024, /* octets of queued commands before we wait */
    TXN_MAX = 256 << 20,
    REPLY_TEXT_MAX = 1000,
    BODY_MAX =
        64 * 1024,  /* octets of a message in the output; leaves room for its end */
    CHUNK_GAP = 40, /* room for "BDAT 18446744073709551615 LAST" */
    CHUNKS_MAX = 8  /* replies awaited with PIPELINING */
};

/* --- beginning ----------------------------------------------------------------------- */

void sp_cs_txn_free(struct sp_cli *c)
{
    if (!c->txn)
        return;
    sp_arena_reset(&c->txn->mem);
    sp_free(c->txn);
    c->txn = NULL;
}

static struct sp_cli_txn *txn_new(size_t n)
{
    struct sp_cli_txn *t = sp_alloc(sizeof *t);

    if (!t)
        return NULL;
    sp_arena_init(&t->mem, TXN_MAX);
    t->n = n;
    if (n <= TXN_MAX / 256) {
        t->rcpt_line = sp_arena_alloc(&t->mem, n * sizeof *t->rcpt_line);
        t->result = sp_arena_alloc(&t->mem, n * sizeof *t->result);
    }
    if (!t->rcpt_line || !t->result) {
        sp_arena_reset(&t->mem);
        sp_free(t);
        return NULL;
    }
    return t;
}

static int keep_line(struct sp_cli_txn *t, struct sp_buf *b, struct sp_str *ret)
{
    *ret = sp_arena_copy(&t->mem, sp_buf_view(b));
    b->n = 0;
    return ret->p ? 0 : -SP_ENOMEM;
}

static int build(struct sp_cli *c, struct sp_cli_txn *t, const struct sp_mail *m,
                 const struct sp_rcpt *rcpt, struct sp_err *err)
{
    uint32_t ext = sp_cs_caps(c)->ext;
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, SP_CLI_ENVELOPE_LINE_MAX);
    if (m->xforward.n && ext & SP_EXT_XFORWARD && m->xforward.n < SP_CLI_ENVELOPE_LINE_MAX / 2 &&
        (sp_buf_puts(&b, "XFORWARD ") < 0 || sp_buf_str(&b, m->xforward) < 0 ||
         sp_buf_puts(&b, "\r\n") < 0 || keep_line(t, &b, &t->forward_line) < 0)) {
        sp_buf_free(&b);
        return sp_err_nomem(err);
    }
    rc = sp_cli_put_mail(&b, m, t->size, ext, err);
    if (rc == 0 && keep_line(t, &b, &t->mail_line) < 0)
        rc = sp_err_nomem(err);
    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        rc = sp_cli_put_rcpt(&b, &rcpt[i], m->smtputf8, ext, err);
        if (rc == 0 && keep_line(t, &b, &t->rcpt_line[i]) < 0)
            rc = sp_err_nomem(err);
    }
    sp_buf_free(&b);
    return rc;
}

static int check_limits(const struct sp_cli *c, size_t n, uint64_t size,
                        struct sp_err *err)
{
    const struct sp_caps *caps = sp_cs_caps(c);

    if (n == 0)
        return sp_err_set(err, SP_CLASS_BUG, SP_EINPUT, "no recipients");
    if (caps->size_max && size > caps->size_max)
        return sp_err_set(err, SP_CLASS_PEER, SP_EDENIED,
                          "the message has %llu octets; the server takes at most %llu",
                          (unsigned long long)size, (unsigned long long)caps->size_max);
    if (caps->rcpt_max && n > caps->rcpt_max)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ELIMIT,
                          "%zu recipients; the server takes %u a message: send several",
                          n, (unsigned)caps->rcpt_max);
    if (caps->mail_max && c->mails >= caps->mail_max)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ELIMIT,
                          "the server takes %u messages a connection: connect again",
                          (unsigned)caps->mail_max);
    return 0;
}

int sp_cli_mail(struct sp_cli *c, const struct sp_mail *m, const struct sp_rcpt *rcpt,
                size_t n, uint64_t size, struct sp_err *err)
{
    struct sp_cli_txn *t;
    int rc;

    if (c->state != SP_CS_READY)
        return sp_err_set(err, SP_CLASS_BUG, SP_ESTATE,
                          "a message can begin only after READY");
    rc = check_limits(c, n, size, err);
    if (rc < 0)
        return rc;
    t = txn_new(n);
    if (!t)
        return sp_err_nomem(err);
    t->size = size ? size : m->has_size ? m->size : 0;
    t->binary = m->body == SP_BODY_BINARYMIME;
    t->bdat = t->binary || (c->o.prefer_bdat && sp_cs_caps(c)->ext & SP_EXT_CHUNKING);
    rc = build(c, t, m, rcpt, err);
    if (rc < 0) {
        sp_arena_reset(&t->mem);
        sp_free(t);
        return rc;
    }
    sp_cs_txn_free(c);
    c->queued = 0; /* READY is answered */
    c->txn = t;
    c->mails++;
    sp_cs_txn_begin(c);
    return 0;
}

/* From the first line on; also a second time, after a login that MAIL wanted. */
void sp_cs_txn_begin(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;

    memset(t->result, 0, t->n * sizeof *t->result);
    t->rcpt_sent = t->rcpt_got = t->good = t->dot_next = 0;
    t->mail_sent = t->mail_got = t->mail_ok = t->data_sent = false;
    t->final = (struct sp_reply){0};
    t->final_stage = 0;
    t->login_doubt = false;
    t->rset_sent = t->rset_got = !c->rset_needed;
    t->forward_sent = t->forward_got = t->forward_line.n == 0;
    c->rset_needed = false;
    c->awaiting = false;
    sp_cs_enter(c, SP_CS_ENVELOPE);
    sp_cs_txn_pump(c);
}

/* --- saying what may be said --------------------------------------------------------- */

static bool pipelining(const struct sp_cli *c)
{
    return sp_cs_caps(c)->ext & SP_EXT_PIPELINING && !c->o.no_pipelining &&
           !c->o.quit_after;
}

/* DATA in one flight with the envelope (RFC 2920 3.1) unless its 354 could be awkward:
 * LMTP has no reply to a dot without recipients (RFC 2033 4.2), and where MAIL may be
 * refused for want of a login, the transaction will be begun again, or a third error in
 * a row makes the server leave before it has said what it wants. */
static bool data_early(const struct sp_cli *c)
{
    return pipelining(c) && !c->o.lmtp && !c->txn->bdat &&
           (c->login != SP_LS_BARE || c->bare_ok);
}

static int say_line(struct sp_cli *c, struct sp_str line)
{
    if (sp_cs_put(c, line.p, line.n, false) < 0)
        return -1;
    sp_cs_trace(c, false, (struct sp_str){line.p, line.n - 2});
    if (!c->awaiting)
        sp_cs_await(c);
    return 0;
}

/* The next command of the envelope; its length is 0 when there is none for now. */
static struct sp_str next_command(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;
    bool refused = t->mail_got && !t->mail_ok;

    if (!t->rset_sent) {
        t->rset_sent = true;
        return SP_LIT("RSET\r\n");
    }
    if (!t->forward_sent) {
        t->forward_sent = true;
        return t->forward_line;
    }
    if (!t->forward_got) /* no extension says that it may be pipelined */
        return (struct sp_str){NULL, 0};
    if (!t->mail_sent) {
        t->mail_sent = true;
        return t->mail_line;
    }
    if (t->rcpt_sent < t->n && !refused && c->o.quit_after != SP_STAGE_MAIL)
        return t->rcpt_line[t->rcpt_sent++];
    if (t->rcpt_sent == t->n && !t->data_sent && !refused && data_early(c) &&
        (t->rcpt_got < t->n || t->good)) {
        t->data_sent = true;
        return SP_LIT("DATA\r\n");
    }
    return (struct sp_str){NULL, 0};
}

void sp_cs_txn_pump(struct sp_cli *c)
{
    while (c->state == SP_CS_ENVELOPE && sp_outq_len(&c->out) < COMMANDS_MAX &&
           (!c->awaiting || pipelining(c))) {
        struct sp_str line = next_command(c);

        if (line.n == 0 || say_line(c, line) < 0)
            return;
    }
}

/* A reply was read: the next awaited one is of the command behind, if that is said. */
static void await_next(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;
    size_t len = 0;

    if (!t->forward_got)
        len = t->forward_sent ? t->forward_line.n : 0;
    else if (!t->mail_got)
        len = t->mail_sent ? t->mail_line.n : 0;
    else if (t->rcpt_got < t->rcpt_sent)
        len = t->rcpt_line[t->rcpt_got].n;
    else if (t->data_sent)
        len = sizeof "DATA\r\n" - 1;
    c->awaiting = len > 0;
    c->await_end += len;
}

/* --- verdicts ------------------------------------------------------------------------ */

/* A copy that lives as long as the transaction.  500 recipients usually get the same
 * words: those are kept once. */
static struct sp_reply keep_reply(struct sp_cli_txn *t, const struct sp_reply *r)
{
    struct sp_reply k = {0};

    if (!r)
        return k;
    k = *r;
    if (k.text.n > REPLY_TEXT_MAX)
        k.text.n = REPLY_TEXT_MAX;
    if (t->final.text.n && sp_str_eq(k.text, t->final.text))
        k.text = t->final.text;
    else
        k.text = sp_arena_copy(&t->mem, k.text); /* no memory: no words */
    t->final.text = k.text;
    return k;
}

static void decide(struct sp_cli_txn *t, const struct sp_reply *r,
                   enum sp_cli_stage stage)
{
    t->final = keep_reply(t, r);
    t->final_stage = stage;
}

/* What becomes of every recipient that the server had accepted, or not yet judged. */
static void settle_rest(struct sp_cli_txn *t, const struct sp_reply *r,
                        enum sp_cli_stage stage)
{
    decide(t, r, stage);
    for (size_t i = 0; i < t->n; i++) {
        struct sp_cli_rcpt_result *res = &t->result[i];

        if (res->stage == SP_STAGE_DOT ||
            (res->stage == SP_STAGE_RCPT && res->reply.code / 100 != 2))
            continue;
        res->reply = t->final;
        res->stage = stage;
    }
}

static void over(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;

    t->over = true;
    c->rset_needed = t->mail_ok && !t->completed;
    for (size_t i = 0; i < t->n && c->login == SP_LS_BARE; i++)
        if (t->result[i].accepted)
            c->bare_ok = true;
    sp_cs_event(c, SP_CLI_SENT);
}

static void finish(struct sp_cli *c)
{
    over(c);
    if (c->o.quit_after) {
        sp_cs_quit(c);
        return;
    }
    sp_cs_enter(c, SP_CS_READY);
    sp_cs_event(c, SP_CLI_READY);
}

bool sp_cs_txn_unknown(const struct sp_cli *c)
{
    const struct sp_cli_txn *t = c->txn;

    return t && !t->over && t->last_said && !t->hollow && !t->refused &&
           c->out.acked >= t->chunk_end;
}

static bool nobody(const struct sp_cli *c)
{
    return !c->bare_ok && (c->login == SP_LS_BARE || c->login == SP_LS_NONE);
}

/* No login, no verdict on the mail: nobody may give it up because of a certificate that
 * has expired. */
static void unjudged(struct sp_cli_txn *t)
{
    struct sp_reply none = {0};

    t->final = none;
    t->final_stage = SP_STAGE_AUTH;
    for (size_t i = 0; i < t->n; i++)
        t->result[i] = (struct sp_cli_rcpt_result){.stage = SP_STAGE_AUTH};
}

/* ... and the connection is lost before the rest was answered. */
static void mail_refused(struct sp_cli *c)
{
    bool sure,
        ask = nobody(c) && sp_cli_wants_login(&c->txn->final, SP_STAGE_MAIL, &sure);

    c->txn->login_doubt = ask && !sure;
    if (ask && sure)
        unjudged(c->txn);
}

void sp_cs_txn_lost(struct sp_cli *c, const struct sp_reply *r)
{
    struct sp_cli_txn *t = c->txn;

    t->unknown = !r && sp_cs_txn_unknown(c);
    if (t->mail_got && !t->mail_ok && t->final_stage == SP_STAGE_MAIL)
        mail_refused(c);
    if (!t->final_stage || t->final_stage == SP_STAGE_DOT) /* LMTP: some are judged */
        settle_rest(t, r, sp_cli_stage(c));
    over(c);
}

/* Refused by MAIL, by every RCPT, or by DATA.  Where nobody is logged in yet this may
 * be the server's way to ask for it. */
static void refused(struct sp_cli *c, const struct sp_reply *reply,
                    enum sp_cli_stage stage)
{
    struct sp_reply kept = *reply, *r = &kept;
    struct sp_cli_txn *t = c->txn;
    bool ask = stage == SP_STAGE_MAIL || stage == SP_STAGE_RCPT, sure = false, all;

    if (ask) {
        ask = sp_cli_wants_login(r, stage, &sure);
        all = sure;
        for (size_t i = 0; i < t->n && stage == SP_STAGE_RCPT && ask; i++) {
            ask = sp_cli_wants_login(&t->result[i].reply, stage, &sure);
            all = all && sure;
        }
        sure = all;
    }
    if (ask && sp_cs_login_left(c)) {
        c->rset_needed = false;
        unjudged(t); /* should the login fail, that is no verdict on the mail */
        sp_cs_login(c, SP_LE_MAIL_REFUSED, r);
        return;
    }
    ask = ask && nobody(c);
    if (ask && sure) {
        unjudged(t);
        sp_cs_login(c, SP_LE_MAIL_REFUSED, r);
        return;
    }
    t->login_doubt = ask;
    finish(c);
}

static const struct sp_reply *worst_rcpt(const struct sp_cli_txn *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->result[i].reply.code / 100 == 4)
            return &t->result[i].reply; /* one that may pass later */
    return &t->result[0].reply;
}

/* --- the envelope -------------------------------------------------------------------- */

static void ask_for_body(struct sp_cli *c)
{
    c->txn->at_bol = true;
    sp_cs_enter(c, SP_CS_BODY);
}

/* Everything that was said is answered, and nothing more can be said of the envelope. */
static void envelope_done(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;

    if (!t->mail_ok) {
        refused(c, &t->final, SP_STAGE_MAIL);
    } else if (c->o.quit_after == SP_STAGE_MAIL || c->o.quit_after == SP_STAGE_RCPT) {
        finish(c);
    } else if (t->good == 0) {
        t->final = *worst_rcpt(t);
        t->final_stage = SP_STAGE_RCPT;
        refused(c, &t->final, SP_STAGE_RCPT);
    } else if (t->bdat) {
        ask_for_body(c);
    } else if (!t->data_sent) {
        t->data_sent = true;
        (void)say_line(c, SP_LIT("DATA\r\n"));
    }
}

static void data_reply(struct sp_cli *c, const struct sp_reply *r)
{
    struct sp_cli_txn *t = c->txn;

    t->data_sent = false;
    if (r->code == 354 && t->good > 0) {
        ask_for_body(c);
        return;
    }
    if (r->code == 354) { /* RFC 2920 3.1: nothing but the dot, and nothing was sent */
        t->hollow = true;
        if (sp_cs_put(c, ".\r\n", 3, false) < 0)
            return;
        sp_cs_await(c);
        t->last_said = true;
        t->chunk_end = c->out.put;
        sp_cs_enter(c, SP_CS_DOT);
        return;
    }
    if (r->code < 400) {
        sp_cs_fail(c, SP_CLASS_PEER, SP_STAGE_DATA, r, SP_CF_NO_QUIT,
                   "the server answered DATA with neither 354 nor a refusal");
        return;
    }
    if (t->mail_ok && t->good > 0) {
        settle_rest(t, r, SP_STAGE_DATA);
        finish(c);
        return;
    }
    envelope_done(c); /* the refusal came earlier */
}

static void rcpt_reply(struct sp_cli *c, const struct sp_reply *r)
{
    struct sp_cli_txn *t = c->txn;
    struct sp_cli_rcpt_result *res = &t->result[t->rcpt_got++];

    if (!t->mail_ok)
        return; /* pipelined behind a refused MAIL: its reply says nothing new */
    res->reply = keep_reply(t, r);
    res->stage = SP_STAGE_RCPT;
    if (r->code / 100 == 2)
        t->good++;
}

static void envelope_reply(struct sp_cli *c, const struct sp_reply *r)
{
    struct sp_cli_txn *t = c->txn;

    if (!t->rset_got) {
        if (r->code / 100 != 2) {
            sp_cs_fail(c, sp_cli_class(r->code), SP_STAGE_RSET, r, 0,
                       "the server refused RSET");
            return;
        }
        t->rset_got = true;
    } else if (!t->forward_got) {
        t->forward_got = true; /* refused or not: it is for the other side's log */
    } else if (!t->mail_got) {
        t->mail_got = true;
        t->mail_ok = r->code / 100 == 2;
        if (!t->mail_ok)
            settle_rest(t, r, SP_STAGE_MAIL);
    } else if (t->rcpt_got < t->rcpt_sent) {
        rcpt_reply(c, r);
    } else {
        data_reply(c, r);
        return;
    }
    await_next(c);
    sp_cs_txn_pump(c);
    if (c->state == SP_CS_ENVELOPE && !c->awaiting)
        envelope_done(c);
}

/* --- the message: output ------------------------------------------------------------- */

/*
 * Copies lines, at most `cap` octets out: CR LF stays, a bare CR or LF becomes CR LF,
 * a dot at the beginning of a line is doubled when `stuff`.  A bare one is never sent:
 * RFC 5321 2.3.8; servers refuse it, and those that do not can be made to see an end of
 * data where there is none (SMTP smuggling, CVE-2023-51764).
 */
static size_t convert(struct sp_cli_txn *t, const char *in, size_t n, char *out,
                      size_t cap, bool stuff, size_t *ret_n)
{
    size_t i = 0, w = 0;

    while (i < n && cap - w >= 3) {
        const char *lf, *cr;
        size_t stop, run;

        if (t->last_cr) {
            t->last_cr = false;
            t->at_bol = true;
            memcpy(out + w, "\r\n", 2);
            w += 2;
            i += in[i] == '\n';
            continue;
        }
        if (t->at_bol && stuff && in[i] == '.')
            out[w++] = '.';
        t->at_bol = false;
        lf = memchr(in + i, '\n', n - i);
        stop = lf ? (size_t)(lf - in) : n;
        cr = memchr(in + i, '\r', stop - i);
        stop = cr ? (size_t)(cr - in) : stop;
        run = stop - i < cap - w ? stop - i : cap - w;
        memcpy(out + w, in + i, run);
        i += run;
        w += run;
        if (i < stop || i == n || cap - w < 2)
            break;
        if (in[i] == '\r' && i + 1 == n) {
            t->last_cr = true;
            i++;
            break;
        }
        memcpy(out + w, "\r\n", 2);
        w += 2;
        i += in[i] == '\r' && in[i + 1] == '\n' ? 2 : 1;
        t->at_bol = true;
    }
    *ret_n = w;
    return i;
}

/* What completes the last line; at most two octets. */
static struct sp_str line_end(struct sp_cli_txn *t)
{
    bool missing = t->last_cr || !t->at_bol;

    t->last_cr = false;
    t->at_bol = true;
    return missing && !t->binary ? SP_LIT("\r\n") : SP_LIT("");
}

static size_t data_body(struct sp_cli *c, const char *data, size_t len)
{
    struct sp_outq *q = &c->out;
    size_t space = BODY_MAX > q->tail ? BODY_MAX - q->tail : 0, n, used;
    size_t want = len < BODY_MAX ? len + len / 32 + 64 : BODY_MAX;

    if (space < 3)
        return 0;
    if (!sp_outq_room(q, want < space ? want : space)) {
        sp_cs_nomem(c);
        return 0;
    }
    n = q->cap - q->tail;
    used = convert(c->txn, data, len, q->p + q->tail, n < space ? n : space, true, &n);
    sp_outq_add(q, n);
    return used;
}

/* BDAT.  A chunk is gathered at the beginning of the empty queue, behind a gap; its
 * command line is written into the gap, right before it, when its size is known. */

static bool chunk_may_open(const struct sp_cli *c)
{
    const struct sp_cli_txn *t = c->txn;

    return sp_outq_len(&c->out) == 0 &&
           (t->chunks == 0 || (pipelining(c) && t->chunks < CHUNKS_MAX));
}

static bool chunk_open(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;
    size_t cap = t->size && t->size < BODY_MAX / 2 ? (size_t)t->size + 1024 : BODY_MAX;

    if (!sp_outq_room(&c->out, CHUNK_GAP + cap)) {
        sp_cs_nomem(c);
        return false;
    }
    t->chunk_open = true;
    t->chunk_n = 0;
    t->chunk_cap = cap;
    return true;
}

static void chunk_said(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;

    t->chunk_end = c->out.put;
    if (t->chunks++ == 0)
        sp_cs_await(c);
    if (t->last_said)
        sp_cs_enter(c, SP_CS_DOT);
}

static void chunk_seal(struct sp_cli *c, bool last)
{
    struct sp_cli_txn *t = c->txn;
    struct sp_outq *q = &c->out;
    char head[CHUNK_GAP];
    int n =
        snprintf(head, sizeof head, "BDAT %zu%s\r\n", t->chunk_n, last ? " LAST" : "");

    assert(n > 0 && (size_t)n < sizeof head && q->tail == 0);
    sp_cs_trace(c, false, (struct sp_str){head, (size_t)n - 2});
    memcpy(q->p + CHUNK_GAP - n, head, (size_t)n);
    q->head = (size_t)(CHUNK_GAP - n);
    q->tail = CHUNK_GAP + t->chunk_n;
    q->put += (size_t)n + t->chunk_n;
    t->chunk_open = false;
    t->last_said = last;
    chunk_said(c);
}

static size_t bdat_body(struct sp_cli *c, const char *data, size_t len)
{
    struct sp_cli_txn *t = c->txn;
    size_t room, n, used;
    char *to;

    if (!t->chunk_open && (!chunk_may_open(c) || !chunk_open(c)))
        return 0;
    room = t->chunk_cap - t->chunk_n;
    to = c->out.p + CHUNK_GAP + t->chunk_n;
    if (t->binary) {
        used = n = len < room ? len : room;
        memcpy(to, data, n);
    } else {
        used = convert(t, data, len, to, room, false, &n);
    }
    t->chunk_n += n;
    if (t->chunk_cap - t->chunk_n < 3 || used < len)
        chunk_seal(c, false);
    return used;
}

/* The end is known but the last chunk could not be said yet, or now can. */
static void bdat_end(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;
    struct sp_str end;
    char line[CHUNK_GAP];
    int n;

    if (t->chunk_open && t->chunk_cap - t->chunk_n >= 2) {
        end = line_end(t);
        memcpy(c->out.p + CHUNK_GAP + t->chunk_n, end.p, end.n);
        t->chunk_n += end.n;
        chunk_seal(c, true);
        return;
    }
    if (t->chunks && !pipelining(c))
        return;
    end = line_end(t);
    n = snprintf(line, sizeof line, "BDAT %zu LAST\r\n", end.n);
    sp_cs_trace(c, false, (struct sp_str){line, (size_t)n - 2});
    if (sp_cs_put(c, line, (size_t)n, false) < 0 ||
        sp_cs_put(c, end.p, end.n, false) < 0)
        return;
    t->last_said = true;
    chunk_said(c);
}

static bool takes_body(const struct sp_cli *c)
{
    return c->state == SP_CS_BODY && !c->txn->ended && !c->txn->refused;
}

size_t sp_cli_body(struct sp_cli *c, const char *data, size_t len)
{
    size_t used;

    if (!takes_body(c) || len == 0)
        return 0;
    used = c->txn->bdat ? bdat_body(c, data, len) : data_body(c, data, len);
    if (used && c->state == SP_CS_BODY)
        c->txn->asked = false;
    return used;
}

bool sp_cs_body_wanted(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;

    if (c->state != SP_CS_BODY || !takes_body(c) || t->asked)
        return false;
    if (t->bdat ? !t->chunk_open && !chunk_may_open(c) : sp_outq_len(&c->out) > 0)
        return false;
    return t->asked = true;
}

int sp_cli_body_end(struct sp_cli *c)
{
    struct sp_cli_txn *t = c->txn;
    struct sp_str end;

    if (!takes_body(c))
        return -SP_ESTATE;
    t->ended = true;
    if (t->bdat) {
        bdat_end(c);
        return 0;
    }
    end = line_end(t);
    if (sp_cs_put(c, end.p, end.n, false) < 0 || sp_cs_put(c, ".\r\n", 3, false) < 0)
        return 0; /* FAILED says so */
    sp_cs_trace(c, false, SP_LIT("."));
    t->last_said = true;
    t->chunk_end = c->out.put;
    sp_cs_await(c);
    sp_cs_enter(c, SP_CS_DOT);
    return 0;
}

int sp_cli_body_abort(struct sp_cli *c)
{
    if (c->state != SP_CS_BODY)
        return -SP_ESTATE;
    sp_cs_fail(c, SP_CLASS_TEMPORARY, SP_STAGE_DATA, NULL, SP_CF_NO_QUIT,
               "the message was given up before its end: nothing was sent");
    return 0;
}

/* --- the message: replies ------------------------------------------------------------ */

static void verdict(struct sp_cli_rcpt_result *res, const struct sp_reply *kept)
{
    res->reply = *kept;
    res->stage = SP_STAGE_DOT;
    res->accepted = kept->code / 100 == 2;
}

static bool is_good(const struct sp_cli_rcpt_result *res)
{
    return res->stage == SP_STAGE_RCPT && res->reply.code / 100 == 2;
}

/* The reply to the end of the message; in LMTP one of several (RFC 2033 4.2). */
static void end_reply(struct sp_cli *c, const struct sp_reply *r)
{
    struct sp_cli_txn *t = c->txn;

    if (t->hollow) {
        t->completed = true;
        envelope_done(c); /* the refusal came earlier */
        return;
    }
    if (r->code / 100 == 3) {
        sp_cs_fail(c, SP_CLASS_PEER, SP_STAGE_DOT, r, SP_CF_NO_QUIT,
                   "the server's reply to the message is neither yes nor no");
        return;
    }
    decide(t, r, SP_STAGE_DOT);
    for (; t->dot_next < t->n; t->dot_next++) {
        if (!is_good(&t->result[t->dot_next]))
            continue;
        verdict(&t->result[t->dot_next], &t->final);
        if (c->o.lmtp && --t->good > 0) {
            c->awaiting = true;
            return;
        }
    }
    t->completed = true;
    finish(c);
}

static void chunk_reply(struct sp_cli *c, const struct sp_reply *r)
{
    struct sp_cli_txn *t = c->txn;

    if (t->last_said && t->chunks == 1 && !t->refused) {
        end_reply(c, r);
        return;
    }
    t->chunks--;
    if (r->code / 100 != 2 && !t->refused) {
        t->refused = true;
        t->chunk_open = false;
        settle_rest(t, r, SP_STAGE_DATA);
    }
    if (t->chunks) {
        c->awaiting = true;
        c->await_end = t->chunks == 1 ? t->chunk_end : 0;
    } else if (t->refused) {
        finish(c);
    } else if (t->ended) {
        bdat_end(c);
    }
}

void sp_cs_txn_reply(struct sp_cli *c, const struct sp_reply *r)
{
    if (c->state == SP_CS_ENVELOPE)
        envelope_reply(c, r);
    else if (c->txn->bdat)
        chunk_reply(c, r);
    else
        end_reply(c, r);
}

void sp_cs_sent_event(const struct sp_cli *c, struct sp_cli_event *ev)
{
    const struct sp_cli_txn *t = c->txn;

    ev->u.sent.rcpt = t->result;
    ev->u.sent.n = t->n;
    ev->u.sent.reply = t->final;
    ev->u.sent.stage = t->final_stage;
    ev->u.sent.unknown = t->unknown;
    ev->u.sent.login_doubt = t->login_doubt;
    for (size_t i = 0; i < t->n; i++)
        ev->u.sent.accepted = ev->u.sent.accepted || t->result[i].accepted;
}
