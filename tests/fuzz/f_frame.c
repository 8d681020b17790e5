/*
 * f_frame.c - what one role says to another, when the one was taken over.
 *
 * First two octets: who hears, who speaks.  Then records: the type and two lengths, from
 * which a header is made that is right but for what its flags spoil; or raw octets.  What
 * comes out is allowed by the table, whatever went in, and the same for any split.
 */
#include "fz.h"

#include "frame.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct heard {
    struct sp_buf said;
    int last;
};

static void hear(struct sp_chan *ch, Sp__Role me, Sp__Role peer, struct heard *h)
{
    struct sp_err err;
    struct sp_frame fr;
    struct sp_arena arena;

    memset(&err, 0, sizeof err);
    while ((h->last = sp_chan_next(ch, &fr, &err)) > 0) {
        ProtobufCMessage *m;
        int fd = sp_chan_take_fd(ch);

        FZ_MUST(fr.type > SP_MSG_CREDIT && fr.type < SP_MSG_COUNT &&
                    sp_msg_allowed(fr.type, peer, me),
                "a role says only what the table lets it say");
        FZ_MUST(fr.meta.n <= SP_FRAME_META_MAX && fr.raw.n <= SP_FRAME_RAW_MAX,
                "bounded");
        FZ_MUST((fd >= 0) <= fr.has_fd, "a descriptor belongs to its frame");
        if (fd >= 0)
            close(fd);
        (void)sp_buf_printf(&h->said, "%d:%zu:%zu:", fr.type, fr.meta.n, fr.raw.n);
        (void)sp_buf_str(&h->said, fr.meta);
        (void)sp_buf_str(&h->said, fr.raw);
        sp_arena_init(&arena, 1u << 20);
        m = sp_frame_unpack(&fr, &arena);
        if (m) { /* packed again it can be read again, as the same octets */
            struct sp_buf one, two;
            ProtobufCMessage *again;

            sp_buf_init(&one, 4u << 20);
            sp_buf_init(&two, 4u << 20);
            FZ_MUST(sp_pb_pack(m, &one) == 0, "a message can be packed");
            again = sp_pb_unpack(m->descriptor, sp_buf_view(&one), &arena);
            if (again)
                FZ_MUST(sp_pb_pack(again, &two) == 0 &&
                            sp_str_eq(sp_buf_view(&one), sp_buf_view(&two)),
                        "a message comes back as it went");
            sp_buf_free(&one);
            sp_buf_free(&two);
        }
        sp_arena_reset(&arena);
    }
    FZ_MUST(h->last == 0 || err.text[0], "a refusal has words");
    FZ_MUST(h->last == 0 || err.cls == SP_CLASS_PEER, "and is the peer's fault");
    sp_chan_release(ch);
}

static void play(struct sp_str in, bool with_fd, Sp__Role me, Sp__Role peer,
                 unsigned way, struct heard *h)
{
    int sv[2];
    struct sp_chan *ch;
    size_t at = 0;
    int room = 1 << 18;

    sp_buf_init(&h->said, 8u << 20);
    h->last = 0;
    FZ_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0, "a socket");
    (void)setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    ch = sp_chan_new(sv[0], me, peer, NULL);
    FZ_MUST(ch, "a channel");
    while (at < in.n && h->last == 0) {
        size_t n = fz_piece(&way, in.n - at);
        union {
            char room[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } ctl = {{0}};
        struct iovec iov = {(void *)(uintptr_t)(in.p + at), n};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

        if (with_fd && at == 0) {
            struct cmsghdr *c;

            msg.msg_control = ctl.room;
            msg.msg_controllen = sizeof ctl.room;
            c = CMSG_FIRSTHDR(&msg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(c), &sv[1], sizeof(int));
        }
        if (sendmsg(sv[1], &msg, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
            break;
        at += n;
        while (sp_chan_read(ch, NULL) > 0)
            continue;
        hear(ch, me, peer, h);
        while (recv(sv[1], (char[256]){0}, 256, MSG_DONTWAIT) > 0)
            continue; /* credit */
    }
    sp_chan_free(ch);
    close(sv[1]);
}

/* Records to octets. */
static void build(struct fz *f, struct sp_buf *out)
{
    while (f->n) {
        unsigned flags = fz_byte(f), type = fz_byte(f);
        size_t meta = fz_byte(f), raw = flags & 1 ? fz_byte(f) : 0;
        struct sp_str m = fz_take(f, meta), r = fz_take(f, raw);
        uint32_t head[4] = {(uint32_t)m.n, (uint32_t)r.n,
                            (type % SP_MSG_COUNT) | (flags & 2 ? 1u << 16 : 0),
                            0x53505631u};

        if ((flags & 0xc0) == 0xc0 && (flags & 0x3c) != 0)
            head[(flags >> 2) & 3] ^= 1u
                                      << (type & 31); /* spoil one bit of the header */
        (void)sp_buf_put(out, head, sizeof head);
        (void)sp_buf_str(out, m);
        (void)sp_buf_str(out, r);
    }
}

FZ_TARGET
{
    struct fz f = {data, size};
    Sp__Role me = (Sp__Role)(fz_byte(&f) % 10), peer = (Sp__Role)(fz_byte(&f) % 10);
    unsigned flags = fz_byte(&f);
    struct sp_buf in;
    struct heard whole, split;

    sp_buf_init(&in, 1u << 20);
    if (flags & 1)
        (void)sp_buf_str(&in, fz_rest(&f));
    else
        build(&f, &in);
    play(sp_buf_view(&in), flags & 2, me, peer, 0, &whole);
    play(sp_buf_view(&in), flags & 2, me, peer, flags | 2, &split);
    FZ_MUST((whole.last < 0) == (split.last < 0), "any split ends the same");
    FZ_MUST(sp_str_eq(sp_buf_view(&whole.said), sp_buf_view(&split.said)),
            "any split says the same");
    sp_buf_free(&whole.said);
    sp_buf_free(&split.said);
    sp_buf_free(&in);
    return 0;
}
