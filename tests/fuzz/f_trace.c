/* f_trace.c - fields and notices that we write around a peer's words: whatever the words
 * are, the field stays one field and the notice keeps its parts. */
#include "fz.h"

#include "alloc.h"
#include "fieldout.h"
#include "header.h"
#include "notice.h"
#include "trace.h"

static void one_field(struct sp_str out, const char *name)
{
    struct sp_header_iter it;
    struct sp_field f;

    sp_header_start(&it, out);
    FZ_MUST(sp_header_next(&it, &f) && sp_field_named(&f, name) && f.raw.n == out.n,
            "a field stays one field (header injection)");
    FZ_MUST(f.longest <= 998, "its lines are not too long");
    for (size_t i = 0; i < out.n; i++)
        FZ_MUST(((unsigned char)out.p[i] >= 32 && out.p[i] != 127) ||
                    out.p[i] == '\t' || out.p[i] == '\r' || out.p[i] == '\n',
                "no control octet is in it");
}

static void received(struct fz *f, unsigned flags)
{
    struct sp_trace t = {.helo = fz_line(f),
                         .client_name = fz_line(f),
                         .client_address = fz_line(f),
                         .hostname = fz_line(f),
                         .id = fz_line(f),
                         .tls_version = fz_line(f),
                         .tls_cipher = fz_line(f),
                         .identity = fz_line(f),
                         .only_recipient = fz_line(f),
                         .hide_client = flags & 1,
                         .esmtp = flags & 2,
                         .smtputf8 = flags & 4,
                         .tls = flags & 8,
                         .login = flags & 16,
                         .lmtp = flags & 32,
                         .now_ms = 1795000000000u,
                         .zone_minutes = (int)(flags & 7) * 100 - 300};
    struct sp_buf b;

    sp_buf_init(&b, 65536);
    if (sp_trace_received(&b, &t) == 0)
        one_field(sp_buf_view(&b), "Received");
    b.n = 0;
    if (sp_trace_return_path(&b, t.helo) == 0)
        one_field(sp_buf_view(&b), "Return-Path");
    b.n = 0;
    if (sp_buf_puts(&b, "From: ") == 0 && sp_out_phrase(&b, t.helo) == 0 &&
        sp_buf_puts(&b, " ") == 0 && sp_out_angle(&b, t.identity) == 0 &&
        sp_buf_puts(&b, "\r\n") == 0)
        FZ_MUST(!memchr(b.p, '\n', b.n - 1), "a phrase stays on its line");
    b.n = 0;
    (void)sp_fieldout_xtext_decode(&b, t.id);
    for (size_t i = 0; i < b.n; i++)
        FZ_MUST((unsigned char)b.p[i] >= 32 && b.p[i] != 127, "xtext hides no control");
    sp_buf_free(&b);
}

static void notice(struct fz *f, unsigned flags)
{
    char *words = sp_strndup((const char *)f->p, f->n);
    ProtobufCBinaryData rest = {f->n, (uint8_t *)(uintptr_t)f->p};
    Sp__Envelope env = SP__ENVELOPE__INIT;
    Sp__Recipient rcpt = SP__RECIPIENT__INIT, *rcpts = &rcpt;
    Sp__RcptState state = SP__RCPT_STATE__INIT;
    Sp__Attempt attempt = SP__ATTEMPT__INIT, *history = &attempt;
    const Sp__RcptState *states = &state;
    struct sp_str in = {(const char *)f->p, f->n};
    struct sp_notice n = {.kind = (enum sp_notice_kind)(flags % 3),
                          .env = &env,
                          .rcpt = &states,
                          .rcpt_n = 1,
                          .hostname = SP_LIT("h.example"),
                          .now_ms = 1795000000000u,
                          .content = in,
                          .full_max = flags & 8 ? 0 : 10000};
    struct sp_notice_facts facts;
    struct sp_header_iter it;
    struct sp_field field;
    struct sp_buf out;

    sp_header_start(&it, in);
    while (sp_header_next(&it, &field))
        continue;
    env.header_size = it.body;
    env.content_size = in.n;
    env.reverse_path = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "a@b"};
    env.rcpt = &rcpts;
    env.n_rcpt = 1;
    rcpt.address = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "c@d"};
    rcpt.orcpt = env.envid = rest;
    rcpt.notify = flags & 4 ? 15 & ~1u : 0;
    state.n_history = 1;
    state.history = &history;
    attempt.text = attempt.where = attempt.enhanced = words;
    sp_buf_init(&out, 1u << 20);
    if (sp_notice_make(&n, &out, &facts) == 0) {
        FZ_MUST(facts.content_size == out.n && facts.header_size <= out.n,
                "the facts are those of the notice");
        FZ_MUST(sp_header_count(sp_buf_view(&out), "From") == 1 &&
                    sp_header_count(sp_buf_view(&out), "To") == 1 &&
                    sp_header_count(sp_buf_view(&out), "Bcc") == 0,
                "its header is ours");
        for (size_t i = 0; i < out.n; i++)
            FZ_MUST(out.p[i] != '\n' || (i && out.p[i - 1] == '\r') || rest.len,
                    "no bare LF of our own");
    }
    sp_buf_free(&out);
    sp_free(words);
}

FZ_TARGET
{
    struct fz f = {data, size};
    unsigned flags = fz_byte(&f);

    received(&f, flags);
    f = (struct fz){data + (size > 0), size - (size > 0)};
    notice(&f, flags);
    return 0;
}
