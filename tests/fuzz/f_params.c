/*
 * f_params.c - MAIL and RCPT from the wire and back: what the server engine understood,
 * said again by the client's writer, is understood the same by another server.
 *
 * The input is two lines: what stands behind "MAIL FROM:" and behind "RCPT TO:".
 */
#include "fz.h"

#include "cli_params.h"
#include "text.h"

#include <sallyport/server.h>

#define EVERY_EXT 0x1ffffu

static const struct sp_srv_policy policy = {
    .kind = SP_SRV_SUBMISSION,
    .hostname = "mx.example.org",
    .extensions = EVERY_EXT,
    .hold_max_seconds = UINT32_MAX,
    .rcpt_max = 10,
};

/* One event as text: the comparison, and what a person reads when it fails.  SIZE=0 says as
 * much as no SIZE, which is what our client says then. */
static void tell_mail(struct sp_buf *b, const struct sp_mail *m)
{
    (void)sp_buf_printf(
        b, "<%.*s> %d %d %d/%llu %d [%.*s] %d[%.*s] %d/%lld/%d%d %d/%d/%llu %d/%d %d",
        (int)m->path.n, m->path.p, m->body, m->smtputf8, m->has_size && m->size,
        (unsigned long long)m->size, m->ret, (int)m->envid.n, m->envid.p, m->has_auth,
        (int)m->auth.n, m->auth.p, m->has_by, (long long)m->by_seconds, m->by_notify,
        m->by_trace, m->has_hold, m->hold_is_until, (unsigned long long)m->hold_seconds,
        m->has_priority, m->priority, m->requiretls);
}

struct heard {
    bool mail, rcpt;
    struct sp_buf said, line; /* the event; the line the client makes of it */
};

static void on_event(struct sp_srv *s, const struct sp_srv_event *e, struct heard *h)
{
    struct sp_err err;

    if (e->type == SP_SRV_MAIL) {
        const struct sp_mail *m = &e->u.mail.m;

        h->mail = true;
        tell_mail(&h->said, m);
        FZ_MUST(sp_cli_put_mail(&h->line, m, m->has_size ? m->size : 0, EVERY_EXT,
                                &err) == 0,
                "what a client may say to us, ours can say");
    } else if (e->type == SP_SRV_RCPT) {
        const struct sp_rcpt *r = &e->u.rcpt.r[0];

        h->rcpt = true;
        FZ_MUST(e->u.rcpt.n == 1, "one line is one recipient");
        (void)sp_buf_printf(&h->said, "<%.*s> %u [%.*s]", (int)r->path.n, r->path.p,
                            r->notify, (int)r->orcpt.n, r->orcpt.p);
        FZ_MUST(sp_cli_put_rcpt(&h->line, r, true, EVERY_EXT, &err) == 0,
                "what a client may say to us, ours can say");
    }
    (void)sp_srv_accept(s);
}

static void say(struct sp_srv *s, struct sp_str in, struct heard *h)
{
    struct sp_srv_event e;
    size_t n;

    while (in.n) {
        size_t used = sp_srv_feed(s, in.p, in.n);

        in.p += used;
        in.n -= used;
        while (sp_srv_next(s, &e)) {
            if (e.type == SP_SRV_CLOSE)
                in.n = 0;
            on_event(s, &e, h);
        }
        (void)sp_srv_out(s, &n);
        sp_srv_out_ack(s, n);
    }
}

static void heard_init(struct heard *h)
{
    memset(h, 0, sizeof *h);
    sp_buf_init(&h->said, 65536);
    sp_buf_init(&h->line, SP_CLI_ENVELOPE_LINE_MAX);
}

static void heard_free(struct heard *h)
{
    sp_buf_free(&h->said);
    sp_buf_free(&h->line);
}

static struct sp_srv *begin(bool with_mail)
{
    struct sp_srv *s = sp_srv_new(&policy, sp_str(""));
    struct sp_srv_event e;
    struct heard none;

    FZ_MUST(s, "memory");
    while (sp_srv_next(s, &e))
        (void)sp_srv_accept(s);
    heard_init(&none);
    say(s, SP_LIT("EHLO c\r\n"), &none);
    if (with_mail)
        say(s, SP_LIT("MAIL FROM:<a@b.example> SMTPUTF8\r\n"), &none);
    heard_free(&none);
    return s;
}

static void round_trip(const char *verb, struct sp_str rest, bool rcpt)
{
    struct sp_srv *one = begin(rcpt), *two = begin(rcpt);
    struct heard first, second;
    struct sp_buf line;

    heard_init(&first);
    heard_init(&second);
    sp_buf_init(&line, 1u << 20);
    (void)sp_buf_printf(&line, "%s:%.*s\r\n", verb, (int)rest.n, rest.p);
    say(one, sp_buf_view(&line), &first);
    if (rcpt ? first.rcpt : first.mail) {
        say(two, sp_buf_view(&first.line), &second);
        FZ_MUST(rcpt ? second.rcpt : second.mail, "our own line is understood");
        FZ_MUST(sp_str_eq(sp_buf_view(&first.said), sp_buf_view(&second.said)),
                "what was understood is said again the same");
    }
    sp_buf_free(&line);
    heard_free(&first);
    heard_free(&second);
    sp_srv_free(one);
    sp_srv_free(two);
}

FZ_TARGET
{
    struct fz f = {data, size};

    round_trip("MAIL FROM", fz_line(&f), false);
    round_trip("RCPT TO", fz_line(&f), true);
    return 0;
}
