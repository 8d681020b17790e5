/* frame.c - see frame.h. */
#include "frame.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEADER = 16,
    READ_MIN = 64 << 10,
    IOV_BATCH = 64,
    FDS_WAITING = 256, /* descriptors received ahead of their frames */
};

struct header {
    uint32_t meta, raw;
    uint16_t type, has_fd;
    uint32_t magic; /* a desynchronised channel is found at once */
};
#define MAGIC 0x53505631u /* "SPV1" */

struct rule {
    const char *name;
    const ProtobufCMessageDescriptor *desc;
    Sp__Role from, to;
    bool raw, fd;
};

static const struct rule rules[SP_MSG_COUNT] = {
    [SP_MSG_CREDIT] = {"credit", NULL, SP__ROLE__ROLE_NONE, SP__ROLE__ROLE_NONE, 0, 0},
#define SP_MSG_ROW(id, name, from, to, raw, fd)                                        \
    [id] = {#name,                                                                     \
            &sp__##name##__descriptor,                                                 \
            SP__ROLE__ROLE_##from,                                                     \
            SP__ROLE__ROLE_##to,                                                       \
            raw,                                                                       \
            fd},
    SP_MSGS(SP_MSG_ROW)
#undef SP_MSG_ROW
};

/* One queued frame: its head (header and message) is ours, its raw part may be borrowed. */
struct outgoing {
    struct outgoing *next;
    size_t sent; /* octets of head + raw already written */
    size_t head_n;
    struct sp_raw raw;
    bool owns_raw;
    int fd;
    char head[];
};

struct sp_chan {
    int fd;
    Sp__Role me, peer;
    bool dead;
    bool mute; /* the peer takes nothing more; its last words may still be read */
    struct outgoing *out, **out_tail;
    uint64_t in_flight; /* octets sent or queued that the peer has not released */
    struct sp_buf in;
    size_t in_at;  /* start of the first frame not yet returned */
    uint64_t owed; /* octets returned to the caller, credit not yet given back */
    int fds[FDS_WAITING];
    unsigned nfds;
    int frame_fd; /* of the frame returned last; -1: none, or taken */
};

const char *sp_msg_name(enum sp_msg type)
{
    return (unsigned)type < SP_MSG_COUNT ? rules[type].name : "unknown";
}

const char *sp_role_name(Sp__Role role)
{
    static const char *const names[] = {"none",        "supervisor", "server", "auth",
                                        "queue",       "delivery",   "local",  "filter",
                                        "auth-helper", "control"};

    return (unsigned)role < sizeof names / sizeof names[0] ? names[role] : "unknown";
}

static bool role_fits(Sp__Role rule, Sp__Role role)
{
    return rule == SP__ROLE__ROLE_NONE || rule == role ||
           (rule == SP__ROLE__ROLE_DELIVERY && role == SP__ROLE__ROLE_LOCAL);
}

bool sp_msg_allowed(enum sp_msg type, Sp__Role from, Sp__Role to)
{
    if ((unsigned)type >= SP_MSG_COUNT)
        return false;
    return role_fits(rules[type].from, from) && role_fits(rules[type].to, to);
}

struct sp_chan *sp_chan_new(int fd, Sp__Role me, Sp__Role peer, struct sp_err *err)
{
    struct sp_chan *ch = sp_alloc(sizeof *ch);
    int flags = fcntl(fd, F_GETFL);

    if (!ch || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        (void)sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "cannot set up a channel");
        sp_free(ch);
        close(fd);
        return NULL;
    }
    ch->fd = fd;
    ch->me = me;
    ch->peer = peer;
    ch->out_tail = &ch->out;
    ch->frame_fd = -1;
    sp_buf_init(&ch->in, 2 * SP_CHAN_WINDOW + SP_FRAME_META_MAX + SP_FRAME_RAW_MAX);
    return ch;
}

static void outgoing_free(struct outgoing *o)
{
    if (o->fd >= 0)
        close(o->fd);
    if (o->owns_raw) {
        sp_wipe((void *)(uintptr_t)o->raw.octets.p, o->raw.octets.n);
        sp_free((void *)(uintptr_t)o->raw.octets.p);
    } else if (o->raw.release) {
        o->raw.release(o->raw.arg);
    }
    sp_wipe(o->head, o->head_n); /* a password may have been in it */
    sp_free(o);
}

static void close_frame_fd(struct sp_chan *ch)
{
    if (ch->frame_fd >= 0)
        close(ch->frame_fd);
    ch->frame_fd = -1;
}

int sp_chan_take_fd(struct sp_chan *ch)
{
    int fd = ch->frame_fd;

    ch->frame_fd = -1;
    return fd;
}

void sp_chan_free(struct sp_chan *ch)
{
    struct outgoing *o, *next;

    if (!ch)
        return;
    for (o = ch->out; o; o = next) {
        next = o->next;
        outgoing_free(o);
    }
    for (unsigned i = 0; i < ch->nfds; i++)
        close(ch->fds[i]);
    close_frame_fd(ch);
    sp_buf_wipe(&ch->in);
    close(ch->fd);
    sp_free(ch);
}

int sp_chan_fd(const struct sp_chan *ch)
{
    return ch->fd;
}

Sp__Role sp_chan_peer(const struct sp_chan *ch)
{
    return ch->peer;
}

static struct outgoing *outgoing_new(enum sp_msg type, const ProtobufCMessage *m,
                                     const struct sp_raw *raw, bool has_fd)
{
    size_t meta = m ? protobuf_c_message_get_packed_size(m) : 0;
    struct header h = {.meta = (uint32_t)meta,
                       .raw = raw ? (uint32_t)raw->octets.n : 0,
                       .type = (uint16_t)type,
                       .has_fd = has_fd,
                       .magic = MAGIC};
    struct outgoing *o;
    char *copy = NULL;

    if (meta > SP_FRAME_META_MAX)
        return NULL;
    if (raw && !raw->release && raw->octets.n) {
        copy = sp_alloc(raw->octets.n);
        if (!copy)
            return NULL;
        memcpy(copy, raw->octets.p, raw->octets.n);
    }
    o = sp_alloc(sizeof *o + HEADER + meta);
    if (!o) {
        sp_free(copy);
        return NULL;
    }
    memcpy(o->head, &h, HEADER);
    if (m)
        protobuf_c_message_pack(m, (uint8_t *)o->head + HEADER);
    o->head_n = HEADER + meta;
    o->fd = -1;
    if (raw)
        o->raw = *raw;
    if (copy) {
        o->raw.octets.p = copy;
        o->owns_raw = true;
    }
    return o;
}

static int refuse_send(const struct sp_raw *raw, int fd, int rc)
{
    if (fd >= 0)
        close(fd);
    if (raw && raw->release)
        raw->release(raw->arg);
    return rc;
}

int sp_chan_send(struct sp_chan *ch, enum sp_msg type, const ProtobufCMessage *m,
                 const struct sp_raw *raw, int fd)
{
    const struct rule *r = &rules[type];
    struct outgoing *o;
    size_t size;

    static_assert(sizeof(struct header) == HEADER, "frame header is packed by hand");
    if (ch->dead || ch->mute)
        return refuse_send(raw, fd, -SP_ECLOSED);
    if (!sp_msg_allowed(type, ch->me, ch->peer) || (m && m->descriptor != r->desc) ||
        (raw && raw->octets.n && !r->raw) || (fd >= 0 && !r->fd) ||
        (raw && raw->octets.n > SP_FRAME_RAW_MAX))
        return refuse_send(raw, fd, -SP_ESTATE);
    if (type != SP_MSG_CREDIT && ch->in_flight > 2 * SP_CHAN_WINDOW)
        return refuse_send(raw, fd, -SP_ELIMIT);
    o = outgoing_new(type, m, raw, fd >= 0);
    if (!o)
        return refuse_send(raw, fd, -SP_ENOMEM);
    o->fd = fd;
    size = o->head_n + o->raw.octets.n;
    if (type != SP_MSG_CREDIT)
        ch->in_flight += size;
    *ch->out_tail = o;
    ch->out_tail = &o->next;
    return 0;
}

/* Fills iov with what is queued.  A frame with a descriptor must start its own sendmsg,
 * because the descriptor travels with the first octet of the call. */
static int gather(struct sp_chan *ch, struct iovec *iov, int *ret_fd)
{
    int n = 0;

    *ret_fd = -1;
    for (struct outgoing *o = ch->out; o && n + 2 <= IOV_BATCH; o = o->next) {
        if (o->fd >= 0 && n > 0)
            break;
        if (o->fd >= 0)
            *ret_fd = o->fd;
        if (o->sent < o->head_n) {
            iov[n].iov_base = o->head + o->sent;
            iov[n++].iov_len = o->head_n - o->sent;
        }
        if (o->raw.octets.n) {
            size_t at = o->sent > o->head_n ? o->sent - o->head_n : 0;

            iov[n].iov_base = (char *)(uintptr_t)o->raw.octets.p + at;
            iov[n++].iov_len = o->raw.octets.n - at;
        }
    }
    return n;
}

static void written(struct sp_chan *ch, size_t n)
{
    while (n) {
        struct outgoing *o = ch->out;
        size_t left = o->head_n + o->raw.octets.n - o->sent;

        if (o->fd >= 0) { /* it went with the first octet */
            close(o->fd);
            o->fd = -1;
        }
        if (n < left) {
            o->sent += n;
            return;
        }
        n -= left;
        ch->out = o->next;
        if (!ch->out)
            ch->out_tail = &ch->out;
        outgoing_free(o);
    }
}

int sp_chan_flush(struct sp_chan *ch, struct sp_err *err)
{
    while (ch->out && !ch->dead && !ch->mute) {
        struct iovec iov[IOV_BATCH];
        union {
            char room[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } ctl = {0};
        struct msghdr msg = {.msg_iov = iov};
        int fd;
        ssize_t n;

        msg.msg_iovlen = (size_t)gather(ch, iov, &fd);
        if (fd >= 0) {
            msg.msg_control = ctl.room;
            msg.msg_controllen = sizeof ctl.room;
            CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
            CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
            CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof fd);
        }
        n = sendmsg(ch->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 1;
        if (n < 0) {
            int rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_ECLOSED, "%s role is gone",
                                sp_role_name(ch->peer));

            ch->mute = true;
            (void)shutdown(ch->fd, SHUT_RDWR); /* what came already stays readable */
            return rc;
        }
        written(ch, (size_t)n);
    }
    return ch->dead || ch->mute ? -SP_ECLOSED : 0;
}

bool sp_chan_pending(const struct sp_chan *ch)
{
    return ch->out != NULL;
}

bool sp_chan_full(const struct sp_chan *ch)
{
    return ch->in_flight >= SP_CHAN_WINDOW;
}

static int broken(struct sp_chan *ch, struct sp_err *err, const char *what)
{
    ch->dead = true;
    return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s role: %s",
                      sp_role_name(ch->peer), what);
}

/* Descriptors that came with this read; more than we may hold are closed at once. */
static int take_fds(struct sp_chan *ch, struct msghdr *msg, struct sp_err *err)
{
    bool lost = msg->msg_flags & MSG_CTRUNC;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (ch->nfds < FDS_WAITING) {
                ch->fds[ch->nfds++] = fd;
            } else {
                close(fd);
                lost = true;
            }
        }
    }
    return lost ? broken(ch, err, "too many descriptors") : 0;
}

int sp_chan_read(struct sp_chan *ch, struct sp_err *err)
{
    union {
        char room[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } ctl;
    size_t want = ch->in.cap - ch->in.n;
    struct iovec iov;
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = ctl.room,
                         .msg_controllen = sizeof ctl.room};
    ssize_t n;

    if (ch->dead)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ECLOSED, "%s role is gone",
                          sp_role_name(ch->peer));
    if (want < READ_MIN)
        want = READ_MIN;
    iov.iov_base = sp_buf_room(&ch->in, want);
    iov.iov_len = want;
    if (!iov.iov_base)
        return broken(ch, err, "more octets than its credit allows");
    do
        n = recvmsg(ch->fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0) {
        ch->dead = true;
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ECLOSED, "%s role is gone",
                          sp_role_name(ch->peer));
    }
    ch->in.n += (size_t)n;
    if (take_fds(ch, &msg, err) < 0)
        return -SP_EINPUT;
    return (int)(n > INT_MAX ? INT_MAX : n);
}

static int take_credit(struct sp_chan *ch, const struct header *h, struct sp_err *err)
{
    /* The count travels in the raw field of the header: a credit frame has no body. */
    if (h->meta || h->has_fd || h->raw > ch->in_flight)
        return broken(ch, err, "bad credit");
    ch->in_flight -= h->raw;
    ch->in_at += HEADER;
    return 0;
}

static int check_header(struct sp_chan *ch, const struct header *h, struct sp_err *err)
{
    const struct rule *r;

    if (h->magic != MAGIC || h->type >= SP_MSG_COUNT || h->has_fd > 1)
        return broken(ch, err, "not a frame");
    r = &rules[h->type];
    if (h->type != SP_MSG_CREDIT &&
        (!sp_msg_allowed(h->type, ch->peer, ch->me) || h->meta > SP_FRAME_META_MAX ||
         h->raw > (r->raw ? SP_FRAME_RAW_MAX : 0) || (h->has_fd && !r->fd)))
        return broken(ch, err, "a message that it may not send");
    return 0;
}

int sp_chan_next(struct sp_chan *ch, struct sp_frame *ret, struct sp_err *err)
{
    struct header h;
    size_t size;

    close_frame_fd(ch);
    for (;;) {
        if (ch->in.n - ch->in_at < HEADER)
            return 0;
        memcpy(&h, ch->in.p + ch->in_at, HEADER);
        if (check_header(ch, &h, err) < 0)
            return -SP_EINPUT;
        if (h.type != SP_MSG_CREDIT)
            break;
        if (take_credit(ch, &h, err) < 0)
            return -SP_EINPUT;
    }
    size = HEADER + (size_t)h.meta + h.raw;
    if (ch->in.n - ch->in_at < size)
        return 0;
    if (h.has_fd && ch->nfds == 0)
        return broken(ch, err, "a descriptor is missing");
    ret->type = (enum sp_msg)h.type;
    ret->meta = (struct sp_str){ch->in.p + ch->in_at + HEADER, h.meta};
    ret->raw = (struct sp_str){ch->in.p + ch->in_at + HEADER + h.meta, h.raw};
    ret->has_fd = h.has_fd;
    if (h.has_fd) {
        ch->frame_fd = ch->fds[0];
        memmove(ch->fds, ch->fds + 1, --ch->nfds * sizeof ch->fds[0]);
    }
    ch->in_at += size;
    ch->owed += size;
    return 1;
}

static void give_credit(struct sp_chan *ch)
{
    /* Small debts wait: a frame of credit for each small message would double the traffic. */
    if (ch->dead || ch->mute || ch->owed < SP_CHAN_WINDOW / 16)
        return;
    while (ch->owed) {
        uint32_t part = ch->owed > UINT32_MAX ? UINT32_MAX : (uint32_t)ch->owed;
        struct header h = {.raw = part, .type = SP_MSG_CREDIT, .magic = MAGIC};
        struct outgoing *o = outgoing_new(SP_MSG_CREDIT, NULL, NULL, false);

        if (!o)
            return; /* memory is short: the debt stays and is paid later */
        memcpy(o->head, &h, HEADER);
        *ch->out_tail = o;
        ch->out_tail = &o->next;
        ch->owed -= part;
    }
}

void sp_chan_release(struct sp_chan *ch)
{
    close_frame_fd(ch);
    sp_buf_drop(&ch->in, ch->in_at);
    if (ch->in_at) /* a password may have been in it */
        sp_wipe(ch->in.p + ch->in.n, ch->in_at);
    ch->in_at = 0;
    /* Frames with secrets pass through here; a large buffer is not kept for ever. */
    if (ch->in.n == 0 && ch->in.cap > 1u << 20)
        sp_buf_wipe(&ch->in);
    give_credit(ch);
}

static void *pb_alloc(void *arena, size_t n)
{
    return sp_arena_alloc(arena, n ? n : 1);
}

static void pb_free(void *arena, void *p)
{
    (void)arena;
    (void)p; /* the arena's reset wipes and frees */
}

void *sp_pb_unpack(const ProtobufCMessageDescriptor *d, struct sp_str octets,
                   struct sp_arena *arena)
{
    ProtobufCAllocator a = {
        .alloc = pb_alloc, .free = pb_free, .allocator_data = arena};

    return protobuf_c_message_unpack(d, &a, octets.n, (const uint8_t *)octets.p);
}

void *sp_frame_unpack(const struct sp_frame *f, struct sp_arena *arena)
{
    if ((unsigned)f->type >= SP_MSG_COUNT || !rules[f->type].desc)
        return NULL;
    return sp_pb_unpack(rules[f->type].desc, f->meta, arena);
}

struct sp_str sp_pb_str(ProtobufCBinaryData d)
{
    return (struct sp_str){(char *)d.data, d.len};
}

int sp_pb_pack(const ProtobufCMessage *m, struct sp_buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    char *room = sp_buf_room(out, n);

    if (!room)
        return -SP_ELIMIT;
    out->n += protobuf_c_message_pack(m, (uint8_t *)room);
    return 0;
}
