/* t_frame.c - channels between roles: framing, descriptors, credit, distrust. */
#include "t.h"

#include "alloc.h"
#include "frame.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER SP__ROLE__ROLE_SERVER
#define QUEUE  SP__ROLE__ROLE_QUEUE

struct pair {
    struct sp_chan *a, *b;
};

static struct pair join(Sp__Role a, Sp__Role b)
{
    struct pair p;
    int fd[2];

    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    p.a = sp_chan_new(fd[0], a, b, NULL);
    p.b = sp_chan_new(fd[1], b, a, NULL);
    return p;
}

static void part(struct pair *p)
{
    sp_chan_free(p->a);
    sp_chan_free(p->b);
}

static int send_submit(struct sp_chan *ch, uint64_t tag, size_t raw)
{
    Sp__Submit m = SP__SUBMIT__INIT;
    char *octets = calloc(1, raw + 1);
    struct sp_raw r = {.octets = {octets, raw}};
    int rc;

    m.tag = tag;
    m.content_in_frame = raw > 0;
    memset(octets, (int)('a' + tag % 26), raw);
    rc = sp_chan_send(ch, SP_MSG_SUBMIT, &m.base, raw ? &r : NULL, -1);
    free(octets);
    return rc;
}

TEST("frames arrive whole and in order, however the socket cuts them")
{
    struct pair p = join(SERVER, QUEUE);
    struct sp_arena arena;
    struct sp_frame f;
    uint64_t next = 0;

    sp_arena_init(&arena, 1 << 20);
    for (uint64_t tag = 0; tag < 200; tag++)
        CHECK_INT(send_submit(p.a, tag, tag * 300), 0);
    while (next < 200) {
        int rc = sp_chan_flush(p.a, NULL);

        CHECK(rc >= 0);
        CHECK(sp_chan_read(p.b, NULL) >= 0);
        while (sp_chan_next(p.b, &f, NULL) > 0) {
            Sp__Submit *m = sp_frame_unpack(&f, &arena);

            CHECK(m && m->tag == next && f.raw.n == next * 300);
            if (f.raw.n)
                CHECK(f.raw.p[0] == (char)('a' + next % 26) &&
                      f.raw.p[f.raw.n - 1] == f.raw.p[0]);
            next++;
        }
        sp_chan_release(p.b);
        if (rc < 0)
            break;
    }
    CHECK_INT(next, 200);
    sp_arena_reset(&arena);
    part(&p);
}

TEST("a descriptor travels with its own frame and is not leaked when nobody takes it")
{
    struct pair p = join(QUEUE, SERVER);
    Sp__SpareFile m = SP__SPARE_FILE__INIT;
    struct sp_frame f;
    int first = open("/dev/null", O_RDONLY), fd;

    CHECK_INT(sp_chan_send(p.a, SP_MSG_SPARE, &m.base, NULL, first), 0);
    CHECK_INT(
        sp_chan_send(p.a, SP_MSG_SPARE, &m.base, NULL, open("/dev/zero", O_RDONLY)), 0);
    CHECK_INT(sp_chan_send(p.a, SP_MSG_SPARE, &m.base, NULL, -1), 0);
    CHECK_INT(sp_chan_flush(p.a, NULL), 0);
    while (sp_chan_read(p.b, NULL) > 0)
        ;
    CHECK_INT(sp_chan_next(p.b, &f, NULL), 1);
    CHECK(f.has_fd);
    CHECK_INT(sp_chan_next(p.b, &f, NULL), 1); /* the first is closed by now */
    fd = sp_chan_take_fd(p.b);
    CHECK(fd >= 0);
    CHECK_INT(read(fd, &(char){1}, 1), 1); /* it is /dev/zero */
    CHECK_INT(sp_chan_next(p.b, &f, NULL), 1);
    CHECK(!f.has_fd);
    CHECK_INT(sp_chan_take_fd(p.b), -1);
    close(fd);
    part(&p);
    /* The lowest free descriptor is where it was: nothing leaked. */
    fd = open("/dev/null", O_RDONLY);
    CHECK(fd <= first);
    close(fd);
}

TEST("a role cannot say what the table does not let it say")
{
    struct pair p = join(SERVER, QUEUE);
    Sp__Outcome o = SP__OUTCOME__INIT;
    Sp__SpareWanted w = SP__SPARE_WANTED__INIT;

    CHECK_INT(sp_chan_send(p.a, SP_MSG_OUTCOME, &o.base, NULL, -1), -SP_ESTATE);
    CHECK_INT(sp_chan_send(p.a, SP_MSG_SUBMIT, &w.base, NULL, -1), -SP_ESTATE);
    CHECK_INT(sp_chan_send(p.a, SP_MSG_SPARE_WANTED, &w.base, NULL, dup(0)),
              -SP_ESTATE);
    CHECK(sp_msg_allowed(SP_MSG_OUTCOME, SP__ROLE__ROLE_LOCAL, QUEUE));
    CHECK(!sp_msg_allowed(SP_MSG_PASSWORD, SERVER, QUEUE));
    CHECK(!sp_msg_allowed(SP_MSG_SETUP, SERVER, QUEUE));
    CHECK(!sp_msg_allowed((enum sp_msg)999, SERVER, QUEUE));
    part(&p);
}

/* Octets as a taken-over role could write them. */
static int hostile(const void *octets, size_t n)
{
    struct sp_frame f;
    struct sp_err err;
    int fd[2], rc;
    struct sp_chan *ch;

    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    ch = sp_chan_new(fd[0], QUEUE, SERVER, NULL);
    CHECK_INT(write(fd[1], octets, n), n);
    CHECK(sp_chan_read(ch, NULL) > 0);
    rc = sp_chan_next(ch, &f, &err);
    if (rc < 0) {
        CHECK_INT(err.cls, SP_CLASS_PEER);
        CHECK_INT(sp_chan_read(ch, NULL), -SP_ECLOSED); /* sticky */
    }
    close(fd[1]);
    sp_chan_free(ch);
    return rc;
}

TEST("a hostile frame ends the channel")
{
    struct {
        uint32_t meta, raw;
        uint16_t type, has_fd;
        uint32_t magic;
    } h = {0, 0, SP_MSG_SUBMIT, 0, 0x53505631u};

    CHECK_INT(hostile(&h, sizeof h), 1);
    h.has_fd = 1; /* none came, and the message may not have one */
    CHECK_INT(hostile(&h, sizeof h), -SP_EINPUT);
    h.has_fd = 0;
    h.type = SP_MSG_OUTCOME;
    CHECK_INT(hostile(&h, sizeof h), -SP_EINPUT);
    h.type = 60000;
    CHECK_INT(hostile(&h, sizeof h), -SP_EINPUT);
    h.type = SP_MSG_SUBMIT;
    h.meta = UINT32_MAX;
    CHECK_INT(hostile(&h, sizeof h), -SP_EINPUT);
    h.meta = 0;
    h.raw = SP_FRAME_RAW_MAX + 1;
    CHECK_INT(hostile(&h, sizeof h), -SP_EINPUT);
    h.raw = 5; /* incomplete: waits */
    CHECK_INT(hostile(&h, sizeof h), 0);
    h.type = SP_MSG_CREDIT; /* more credit than was ever used */
    CHECK_INT(hostile(&h, sizeof h), -SP_EINPUT);
    h.magic = 1;
    CHECK_INT(hostile(&h, sizeof h), -SP_EINPUT);
}

TEST("a receiver that does not release makes the sender stop, and credit lets it go on")
{
    struct pair p = join(SERVER, QUEUE);
    struct sp_frame f;
    unsigned sent = 0, got = 0;
    int rc = 0;

    while (!sp_chan_full(p.a)) {
        CHECK_INT(send_submit(p.a, sent++, 60000), 0);
        (void)sp_chan_flush(p.a, NULL);
        (void)sp_chan_read(p.b, NULL);
    }
    CHECK(sent * 60000u >= SP_CHAN_WINDOW && sent * 60000u < SP_CHAN_WINDOW + 200000);
    while ((rc = send_submit(p.a, sent, 60000)) == 0) {
        sent++;
        (void)sp_chan_flush(p.a, NULL);
        (void)sp_chan_read(p.b, NULL);
    }
    CHECK_INT(rc, -SP_ELIMIT);
    CHECK(sent * 60000u < 2 * SP_CHAN_WINDOW + 200000);
    for (int turn = 0; turn < 2000 && got < sent; turn++) {
        (void)sp_chan_flush(p.a, NULL);
        while (sp_chan_read(p.b, NULL) > 0)
            ;
        while (sp_chan_next(p.b, &f, NULL) > 0)
            got++;
        sp_chan_release(p.b);
        (void)sp_chan_flush(p.b, NULL);
        while (sp_chan_read(p.a, NULL) > 0)
            ;
        CHECK_INT(sp_chan_next(p.a, &f, NULL), 0); /* credit only */
    }
    CHECK_INT(got, sent);
    CHECK(!sp_chan_full(p.a));
    part(&p);
}

static int released;
static void count_release(void *arg)
{
    (void)arg;
    released++;
}

TEST(
    "borrowed octets are released exactly once: sent, refused or lost with the channel")
{
    static char octets[100];
    struct sp_raw r = {{octets, sizeof octets}, count_release, NULL};
    struct pair p = join(SERVER, QUEUE);
    Sp__Submit m = SP__SUBMIT__INIT;
    Sp__Outcome o = SP__OUTCOME__INIT;

    released = 0;
    CHECK_INT(sp_chan_send(p.a, SP_MSG_SUBMIT, &m.base, &r, -1), 0);
    CHECK_INT(released, 0);
    CHECK_INT(sp_chan_flush(p.a, NULL), 0);
    CHECK_INT(released, 1);
    CHECK_INT(sp_chan_send(p.a, SP_MSG_OUTCOME, &o.base, &r, -1), -SP_ESTATE);
    CHECK_INT(released, 2);
    CHECK_INT(sp_chan_send(p.a, SP_MSG_SUBMIT, &m.base, &r, -1), 0);
    part(&p);
    CHECK_INT(released, 3);
}

TEST("the other side's end is seen once everything it said was read")
{
    struct pair p = join(SERVER, QUEUE);
    struct sp_frame f;

    CHECK_INT(send_submit(p.a, 1, 10), 0);
    CHECK_INT(sp_chan_flush(p.a, NULL), 0);
    sp_chan_free(p.a);
    p.a = NULL;
    CHECK(sp_chan_read(p.b, NULL) > 0);
    CHECK_INT(sp_chan_next(p.b, &f, NULL), 1);
    CHECK_INT(sp_chan_read(p.b, NULL), -SP_ECLOSED);
    part(&p);
}

TEST("a message in which everything is zero is packed as no octets, not refused")
{
    Sp__RcptOutcome row = SP__RCPT_OUTCOME__INIT; /* the first recipient, nothing to say */
    struct sp_arena arena;
    struct sp_buf out;

    sp_buf_init(&out, 100);
    sp_arena_init(&arena, 1000);
    CHECK_INT(sp_pb_pack(&row.base, &out), 0);
    CHECK_INT(out.n, 0);
    CHECK(sp_pb_unpack(&sp__rcpt_outcome__descriptor, sp_buf_view(&out), &arena) != NULL);
    sp_arena_reset(&arena);
    sp_buf_free(&out);
}

TEST("a message larger than its arena is refused, not truncated")
{
    struct pair p = join(SERVER, QUEUE);
    Sp__Submit m = SP__SUBMIT__INIT;
    uint8_t *big = calloc(1, 100000);
    struct sp_arena arena;
    struct sp_frame f;

    m.prefix.data = big;
    m.prefix.len = 100000;
    CHECK_INT(sp_chan_send(p.a, SP_MSG_SUBMIT, &m.base, NULL, -1), 0);
    CHECK_INT(sp_chan_flush(p.a, NULL), 0);
    while (sp_chan_read(p.b, NULL) > 0)
        ;
    CHECK_INT(sp_chan_next(p.b, &f, NULL), 1);
    sp_arena_init(&arena, 4096);
    CHECK(sp_frame_unpack(&f, &arena) == NULL);
    sp_arena_reset(&arena);
    sp_arena_init(&arena, 1 << 20);
    CHECK(sp_frame_unpack(&f, &arena) != NULL);
    sp_arena_reset(&arena);
    free(big);
    part(&p);
}

T_MAIN
