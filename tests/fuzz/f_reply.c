/* f_reply.c - a reply of any server: split anywhere it is the same, its text is fit for a
 * terminal, and a refusal inside it is never taken for consent. */
#include "fz.h"

#include "reply.h"
#include "text.h"

struct result {
    struct sp_buf said;
    enum sp_reply_status last;
};

static void clean(struct sp_str s)
{
    FZ_MUST(sp_utf8_valid(s), "the words are UTF-8");
    for (size_t i = 0; i < s.n; i++)
        FZ_MUST((unsigned char)s.p[i] >= 32 || s.p[i] == '\n', "no control octet");
    for (size_t i = 0; i + 1 < s.n; i++)
        FZ_MUST((unsigned char)s.p[i] != 0xc2 || (unsigned char)s.p[i + 1] >= 0xa0,
                "no C1 control either");
}

/* The worst first digit of the lines of one reply, read in the plainest way. */
static int worst(struct sp_str raw)
{
    int most = 0;

    while (raw.n) {
        struct sp_str line = sp_str_cut(&raw, '\n');

        if (line.n >= 3 && line.p[0] > '0' + most)
            most = line.p[0] - '0';
    }
    return most;
}

static void play(struct sp_str in, unsigned line_max, unsigned lines_max, unsigned way,
                 struct result *ret)
{
    struct sp_reply_reader r;
    size_t at = 0, began = 0;
    struct sp_reply reply;

    sp_buf_init(&ret->said, 64u << 20);
    sp_reply_init(&r, line_max, lines_max);
    ret->last = SP_REPLY_MORE;
    while (at < in.n) {
        size_t used = 0, n = fz_piece(&way, in.n - at);

        ret->last = sp_reply_feed(&r, in.p + at, n, &used);
        FZ_MUST(used <= n, "no more is taken than was given");
        at += used;
        if (ret->last > SP_REPLY_DONE)
            break;
        if (ret->last == SP_REPLY_MORE) {
            FZ_MUST(used == n, "without a line everything is taken");
            continue;
        }
        clean(sp_reply_line(&r));
        (void)sp_buf_str(&ret->said, sp_reply_line_text(&r));
        if (ret->last != SP_REPLY_DONE)
            continue;
        FZ_MUST(!sp_reply_partial(&r), "a whole reply is not partial");
        sp_reply_get(&r, &reply);
        clean(reply.text);
        FZ_MUST(reply.code >= 200 && reply.code <= 599, "a code is 2xx to 5xx");
        FZ_MUST(reply.enh[0] == 0 || reply.enh[0] == reply.code / 100,
                "the enhanced code agrees");
        FZ_MUST(reply.code / 100 == worst((struct sp_str){in.p + began, at - began}),
                "a refusal inside a reply is the reply");
        (void)sp_buf_printf(&ret->said, "[%d %d.%d.%d %.*s]", reply.code, reply.enh[0],
                            reply.enh[1], reply.enh[2], (int)reply.text.n,
                            reply.text.p);
        began = at;
    }
    sp_reply_free(&r);
}

FZ_TARGET
{
    struct fz f = {data, size};
    unsigned flags = fz_byte(&f);
    unsigned line_max = flags & 1 ? 64 : 4096, lines_max = flags & 2 ? 3 : 200;
    struct sp_str in = fz_rest(&f);
    struct result whole, split;

    play(in, line_max, lines_max, 0, &whole);
    for (unsigned way = 1; way <= 2; way++) {
        play(in, line_max, lines_max, way == 1 ? 1 : flags + 2, &split);
        FZ_MUST(split.last == whole.last, "any split ends the same");
        FZ_MUST(sp_str_eq(sp_buf_view(&split.said), sp_buf_view(&whole.said)),
                "any split says the same");
        sp_buf_free(&split.said);
    }
    sp_buf_free(&whole.said);
    return 0;
}
