/* srv_body.c - DATA and BDAT, RFC 5321 4.1.1.4 and RFC 3030; see srv.h.
 *
 * A message ends in one of three ways: SP_SRV_END, which the owner answers when it is
 * durable; a refusal that the owner gave while it came (SP_SRV_BODY); a rule it broke.
 * In the last two the octets were read to the true end first, so that nothing inside
 * can be taken for a command, and the owner is told SP_SRV_ABORT.
 */
#include "srv.h"

#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NONE SP_LIT("")

/* ---- How a message ends ---------------------------------------------------------------- */

/* LMTP: one reply for each accepted recipient, RFC 2033 4.2. */
static unsigned replies_due(const struct sp_srv *s)
{
    return s->policy->kind == SP_SRV_LMTP ? s->txn->rcpts : 1;
}

static struct sp_verdict bad_message(const struct sp_srv *s)
{
    static const enum sp_r replies[] = {
        [SP_DATA_BARE_LF] = SP_R_BARE_LF, [SP_DATA_BARE_CR] = SP_R_BARE_CR,
        [SP_DATA_NUL] = SP_R_NUL,         [SP_DATA_LONG_LINE] = SP_R_LONG_BODY_LINE,
        [SP_DATA_TOO_BIG] = SP_R_SIZE,
    };
    const struct sp_data *d = &s->txn->data;

    if (d->bad != SP_DATA_GOOD)
        return (struct sp_verdict){replies[d->bad], NONE};
    if (d->has_8bit_header && !s->txn->mail.smtputf8 && !s->policy->allow_8bit_header)
        return (struct sp_verdict){SP_R_8BIT_HEADER, NONE};
    return (struct sp_verdict){SP_R_NONE, NONE};
}

static void over(struct sp_srv *s, bool ended)
{
    sp_txn_over(s, ended);
    if (s->mode != SP_IN_CLOSED)
        sp_set_mode(s, SP_IN_COMMAND);
}

static void end_bad(struct sp_srv *s, struct sp_verdict v, unsigned times)
{
    const struct sp_data *d = &s->txn->data;
    uint64_t number = d->bad == SP_DATA_TOO_BIG ? s->policy->size_max : d->bad_line;
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);

    for (; times && !s->no_memory; times--)
        sp_say_number(s, v.reply, number);
    sp_note(s, SP_INFO_MESSAGE_BAD, v.reply, (struct sp_str){digits, (size_t)n});
    over(s, false);
    sp_count_error(s);
}

static void end_refused(struct sp_srv *s, unsigned times)
{
    struct sp_buf refusal = s->txn->refusal;

    s->txn->refusal = (struct sp_buf){0};
    for (; times && !s->no_memory; times--)
        sp_put(s, refusal.p, refusal.n);
    sp_buf_free(&refusal);
    over(s, false);
}

static void ask_end(struct sp_srv *s)
{
    if (s->policy->kind == SP_SRV_LMTP) {
        if (sp_group_new(s, s->txn->rcpts) < 0) {
            sp_no_memory(s);
            return;
        }
        s->grp->n = s->txn->rcpts;
    }
    s->pend = SP_SRV_END;
}

static void finish(struct sp_srv *s)
{
    struct sp_verdict v = bad_message(s);

    if (s->txn->refusal.n)
        end_refused(s, replies_due(s));
    else if (v.reply != SP_R_NONE)
        end_bad(s, v, replies_due(s));
    else
        ask_end(s);
}

void sp_end_answered(struct sp_srv *s, bool accepted)
{
    if (accepted) {
        s->messages += s->policy->mail_max != 0;
        sp_progress(s);
    }
    over(s, true);
}

/* ---- DATA --------------------------------------------------------------------------------- */

void sp_do_data(struct sp_srv *s)
{
    s->pend = SP_SRV_DATA;
}

size_t sp_take_data(struct sp_srv *s, const char *p, size_t n)
{
    struct sp_txn *t = s->txn;
    size_t used = sp_data_feed(&t->data, p, n, &s->span);

    if (s->span.n && t->refusal.n == 0)
        s->pend = SP_SRV_BODY;
    else if (t->data.ended)
        finish(s);
    return used;
}

/* ---- BDAT --------------------------------------------------------------------------------- */

static void chunk_done(struct sp_srv *s)
{
    struct sp_txn *t = s->txn;
    uint64_t size = s->chunk_size;
    bool last = s->chunk_last;

    s->chunk_size = 0;
    s->chunk_last = false;
    sp_set_mode(s, SP_IN_COMMAND);
    if (s->chunk_refusal.n) {
        enum sp_r rule = s->chunk_rule;

        sp_put(s, s->chunk_refusal.p, s->chunk_refusal.n);
        sp_buf_free(&s->chunk_refusal);
        s->chunk_rule = SP_R_NONE;
        if (rule != SP_R_NONE)
            sp_count_refusal(s, rule);
        return;
    }
    assert(t && t->reading);
    if (last) {
        sp_data_finish(&t->data);
        finish(s);
    } else if (t->refusal.n) {
        end_refused(s, 1); /* RFC 3030 2: after a refused chunk the message is lost */
    } else if (t->data.bad) {
        end_bad(s, bad_message(s), 1);
    } else {
        sp_say_number(s, SP_R_CHUNK_OK, size);
    }
}

/* Its octets are the next ones, whatever we think of the command. */
static void swallow_chunk(struct sp_srv *s)
{
    sp_set_mode(s, SP_IN_CHUNK);
    if (s->chunk_left == 0)
        chunk_done(s);
}

/* "octets [LAST]" */
static int parse_bdat(struct sp_srv *s, struct sp_str arg)
{
    struct sp_str octets = sp_str_cut(&arg, ' ');

    arg = sp_str_trim(arg);
    if (octets.n > 20 || sp_str_u64(octets, UINT64_MAX, &s->chunk_size) < 0 ||
        (arg.n && !sp_str_caseis(arg, "LAST")))
        return -SP_EINPUT;
    s->chunk_left = s->chunk_size;
    s->chunk_last = arg.n > 0;
    return 0;
}

/* The reply waits until the octets were read: RFC 3030 2. */
static void refuse_chunk(struct sp_srv *s, struct sp_verdict v)
{
    if (sp_format_rule(&s->chunk_refusal, v.reply, v.arg) < 0) {
        sp_no_memory(s);
        return;
    }
    s->chunk_rule = v.reply;
    sp_note(s, SP_INFO_REFUSED, v.reply, v.arg);
    swallow_chunk(s);
}

void sp_do_bdat(struct sp_srv *s, struct sp_str arg, struct sp_verdict v)
{
    if (parse_bdat(s, arg) < 0) {
        /* Nobody knows how many octets follow: they would be taken for commands. */
        sp_refuse(s, (struct sp_verdict){SP_R_SYNTAX, sp_str("BDAT octets [LAST]")});
        if (!s->closing)
            sp_close(s);
    } else if (v.reply != SP_R_NONE) {
        refuse_chunk(s, v);
    } else if (s->txn->reading) {
        swallow_chunk(s);
    } else {
        s->txn->chunked = true;
        s->pend = SP_SRV_DATA;
    }
}

size_t sp_take_chunk(struct sp_srv *s, const char *p, size_t n)
{
    size_t used = n > s->chunk_left ? (size_t)s->chunk_left : n;

    s->chunk_left -= used;
    s->span.n = 0;
    if (s->chunk_refusal.n == 0)
        (void)sp_data_chunk(&s->txn->data, p, used, &s->span);
    if (s->span.n && s->txn->refusal.n == 0)
        s->pend = SP_SRV_BODY;
    else if (s->chunk_left == 0)
        chunk_done(s);
    return used;
}

/* ---- What the owner says ------------------------------------------------------------------- */

void sp_data_accepted(struct sp_srv *s, const struct sp_reply *words)
{
    struct sp_txn *t = s->txn;

    t->reading = true;
    sp_data_init(&t->data, s->policy->size_max, t->mail.body == SP_BODY_BINARYMIME);
    if (t->chunked) {
        swallow_chunk(s);
        return;
    }
    sp_set_mode(s, SP_IN_DATA);
    if (words)
        sp_say_owner(s, words);
    else
        sp_say(s, SP_R_SEND_DATA, NONE);
}

void sp_data_refused(struct sp_srv *s, const struct sp_reply *r)
{
    if (!s->txn->chunked) {
        sp_say_owner(s, r); /* the transaction is as it was */
        return;
    }
    if (sp_format_owner(&s->chunk_refusal, r) < 0) {
        sp_no_memory(s);
        return;
    }
    sp_txn_over(s, false);
    swallow_chunk(s);
}

void sp_body_answered(struct sp_srv *s, const struct sp_reply *refusal)
{
    struct sp_txn *t = s->txn;

    s->span.n = 0;
    if (refusal && sp_format_owner(&t->refusal, refusal) < 0) {
        sp_no_memory(s);
        return;
    }
    if (s->mode == SP_IN_DATA && t->data.ended)
        finish(s);
    else if (s->mode == SP_IN_CHUNK && s->chunk_left == 0)
        chunk_done(s);
}
