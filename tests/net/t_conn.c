/* t_conn.c - tests of conn.h: octets, the switch to TLS, endings, deadlines. */
#include "tnet.h"

#include <fcntl.h>

static void say(struct side *s, const char *text)
{
    CHECK_INT(sp_conn_write(s->c, text, strlen(text)), 0);
}

static bool got(struct side *s, const char *text)
{
    return s->got.n == strlen(text) && memcmp(s->got.p, text, s->got.n) == 0;
}

/* Both ends in TLS, the handshake in the given direction. */
static void both_up(struct tnet *n, struct sp_tls_ctx *srv, struct sp_tls_ctx *cli)
{
    struct sp_err err;

    CHECK_INT(sp_conn_start_tls(n->a.c, srv, NULL, &err), 0);
    CHECK_INT(sp_conn_start_tls(n->b.c, cli, "localhost", &err), 0);
    tnet_run(n, n->a.up && n->b.up);
}

static void tls_pair(struct tnet *n)
{
    struct sp_tls_ctx *srv =
        server_ctx(tpki_get()->server, (struct sp_tls_server_opts){0});
    struct sp_tls_ctx *cli =
        client_ctx(NULL, (struct sp_tls_client_opts){.must_verify = 1});

    tnet_open(n);
    both_up(n, srv, cli);
    sp_tls_unref(srv);
    sp_tls_unref(cli);
}

TEST("octets pass in clear, both ways, in order")
{
    struct tnet n;

    tnet_open(&n);
    say(&n.a, "220 ");
    say(&n.a, "hello\r\n");
    say(&n.b, "EHLO x\r\n");
    tnet_run(&n, got(&n.b, "220 hello\r\n") && got(&n.a, "EHLO x\r\n"));
    tnet_shut(&n);
}

TEST("octets pass in TLS, both ways, in order")
{
    struct tnet n;

    tls_pair(&n);
    say(&n.a, "250 x\r\n");
    say(&n.b, "MAIL\r\n");
    tnet_run(&n, got(&n.b, "250 x\r\n") && got(&n.a, "MAIL\r\n"));
    tnet_shut(&n);
}

TEST("what was written before the switch leaves in clear, what comes after in TLS")
{
    struct sp_tls_ctx *srv =
        server_ctx(tpki_get()->server, (struct sp_tls_server_opts){0});
    struct sp_tls_ctx *cli =
        client_ctx(NULL, (struct sp_tls_client_opts){.must_verify = 1});
    struct sp_err err;
    struct tnet n;

    tnet_open(&n);
    n.a.starttls = srv;
    say(&n.b, "STARTTLS\n");
    tnet_run(&n, got(&n.b, "220 go\n"));
    CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), 0);
    say(&n.b, "EHLO again\n");
    tnet_run(&n, got(&n.a, "STARTTLS\nEHLO again\n"));
    CHECK(sp_conn_in_tls(n.a.c) && sp_conn_in_tls(n.b.c));
    CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), -SP_ESTATE);
    sp_tls_unref(srv);
    sp_tls_unref(cli);
    tnet_shut(&n);
}

TEST("plaintext behind STARTTLS is refused as insecure, nothing is handed to TLS")
{
    struct sp_tls_ctx *srv =
        server_ctx(tpki_get()->server, (struct sp_tls_server_opts){0});
    struct tnet n;

    tnet_open(&n);
    n.a.starttls = srv;
    say(&n.b, "STARTTLS\nRSET\n");
    tnet_run(&n, n.a.failed);
    CHECK_INT(n.a.err.cls, SP_CLASS_INSECURE);
    CHECK(!n.a.up && !sp_conn_in_tls(n.a.c));
    CHECK(got(&n.a, "STARTTLS\n"));
    say(&n.a, "250 clear\n");
    tnet_wait(&n, 20);
    CHECK_INT(n.b.got.n, 0); /* neither the 220 nor anything after it */
    sp_tls_unref(srv);
    tnet_shut(&n);
}

TEST("the client refuses octets behind the 220 as insecure")
{
    struct sp_tls_ctx *cli =
        client_ctx(NULL, (struct sp_tls_client_opts){.must_verify = 1});
    struct sp_err err;
    struct tnet n;

    tnet_open(&n);
    n.b.take = 4;
    n.b.hold = true;
    say(&n.a, "220 go\n250 AUTH PLAIN\n");
    tnet_run(&n, sp_conn_kept(n.b.c) > 0);
    CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), -SP_ETLS);
    CHECK_INT(err.cls, SP_CLASS_INSECURE);
    say(&n.b, "AUTH PLAIN secret\n"); /* never leaves */
    tnet_wait(&n, 30);
    CHECK_INT(n.a.got.n, 0);
    sp_tls_unref(cli);
    tnet_shut(&n);
}

TEST("octets in clear after the switch make the handshake fail")
{
    struct sp_tls_ctx *srv =
        server_ctx(tpki_get()->server, (struct sp_tls_server_opts){0});
    struct tnet n;

    tnet_open(&n);
    n.a.starttls = srv;
    say(&n.b, "STARTTLS\n");
    tnet_run(&n, got(&n.b, "220 go\n"));
    say(&n.b, "EHLO clear\r\n");
    tnet_run(&n, n.a.failed);
    CHECK_INT(n.a.err.cls, SP_CLASS_PEER);
    CHECK(strstr(n.a.err.text, "plain text"));
    CHECK(got(&n.b, "220 go\n")); /* no alert to somebody who speaks no TLS */
    CHECK(sp_conn_plain_after_all(n.a.c));
    say(&n.a, "554 TLS first\n");
    sp_conn_close(n.a.c);
    tnet_run(&n, n.b.ended);
    CHECK(got(&n.b, "220 go\n554 TLS first\n"));
    sp_tls_unref(srv);
    tnet_shut(&n);
}

TEST("nothing leaves in clear after a failed handshake")
{
    struct sp_tls_ctx *cli =
        client_ctx(NULL, (struct sp_tls_client_opts){.must_verify = 1});
    struct sp_err err;
    struct tnet n;
    size_t hello;

    tnet_open(&n);
    CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), 0);
    tnet_run(&n, n.a.got.n > 0);
    say(&n.a, "500 what?\r\n");
    tnet_run(&n, n.b.failed);
    CHECK_INT(n.b.err.cls, SP_CLASS_INSECURE);
    CHECK(strstr(n.b.err.text, "plain text"));
    CHECK(!sp_conn_plain_after_all(n.b.c));
    tnet_wait(&n, 10);
    hello = n.a.got.n;
    say(&n.b, "QUIT\r\n");
    sp_conn_close(n.b.c);
    tnet_run(&n, n.a.ended);
    CHECK_INT(n.a.got.n, hello);
    sp_tls_unref(cli);
    tnet_shut(&n);
}

/* A middle man that hands on k octets at a time. */
struct relay {
    struct side *other;
    struct sp_conn *c;
    size_t k;
};

static size_t relay_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    struct relay *r = arg, *to = (struct relay *)(void *)r->other;

    if (n > r->k)
        n = r->k;
    sp_conn_write(to->c, p, n);
    sp_conn_resume(c);
    return n;
}

static void relay_end(struct sp_conn *c, const struct sp_end *e, void *arg)
{
    struct relay *r = arg, *to = (struct relay *)(void *)r->other;

    (void)e;
    sp_conn_close(c);
    if (to->c)
        sp_conn_close(to->c);
    r->c = to->c = NULL;
}

static const struct sp_conn_ops relay_ops = {.on_read = relay_read,
                                             .on_end = relay_end};

static void through_relay(size_t k)
{
    struct sp_tls_ctx *srv =
        server_ctx(tpki_get()->server, (struct sp_tls_server_opts){0});
    struct sp_tls_ctx *cli =
        client_ctx(NULL, (struct sp_tls_client_opts){.must_verify = 1});
    struct relay x = {.k = k}, y = {.k = k};
    struct sp_err err;
    struct tnet n;
    int f[2], g[2];

    tnet_begin(&n);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, f) ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, g))
        abort();
    side_adopt(&n, &n.a, f[0]);
    side_adopt(&n, &n.b, g[0]);
    CHECK_INT(sp_conn_from_fd(n.net, f[1], &x.c, &err), 0);
    CHECK_INT(sp_conn_from_fd(n.net, g[1], &y.c, &err), 0);
    x.other = (struct side *)(void *)&y;
    y.other = (struct side *)(void *)&x;
    sp_conn_start(x.c, &relay_ops, &x);
    sp_conn_start(y.c, &relay_ops, &y);
    n.a.starttls = srv;
    n.a.echo = true;
    say(&n.b, "STARTTLS\n");
    tnet_run(&n, got(&n.b, "STARTTLS\n220 go\n") || n.b.got.n >= 16);
    CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), 0);
    for (int i = 0; i < 20; i++)
        say(&n.b, "0123456789");
    tnet_run(&n, n.b.got.n == 216 && n.a.got.n == 209);
    CHECK(sp_conn_in_tls(n.b.c));
    sp_conn_close(n.b.c);
    n.b.c = NULL;
    tnet_run(&n, n.a.ended && n.b.closed);
    CHECK_INT(n.a.end.kind, SP_END_CLEAN);
    sp_tls_unref(srv);
    sp_tls_unref(cli);
    tnet_shut(&n);
}

TEST(
    "any split of the octets gives the same result, in clear, in the handshake, in TLS")
{
    for (size_t k = 1; k < 12; k++)
        through_relay(k);
    through_relay(100);
    through_relay(1000);
    through_relay(5000);
}

TEST("the caller takes what it likes, one octet at a time; the rest is kept")
{
    struct tnet n;

    tls_pair(&n);
    n.a.take = 1;
    for (int i = 0; i < 100; i++)
        say(&n.b, "0123456789");
    tnet_run(&n, n.a.got.n == 1000);
    CHECK(memcmp(n.a.got.p + 990, "0123456789", 10) == 0);
    tnet_shut(&n);
}

static void slow_reader(bool tls)
{
    static char block[16384];
    size_t sent = 0, taken;
    struct tnet n;

    if (tls)
        tls_pair(&n);
    else
        tnet_open(&n);
    n.a.hold = true;
    for (int turn = 0; turn < 400; turn++) {
        while (sp_conn_room(n.b.c) >= sizeof block) {
            memset(block, 'a' + (int)(sent / sizeof block) % 26, sizeof block);
            CHECK_INT(sp_conn_write(n.b.c, block, sizeof block), 0);
            sent += sizeof block;
        }
        uv_run(&n.loop, UV_RUN_NOWAIT);
    }
    CHECK_INT(sp_conn_write(n.b.c, block, sizeof block), -SP_ELIMIT);
    CHECK(sp_conn_waiting(n.b.c) <= 512 * 1024);
    CHECK(sp_conn_kept(n.a.c) <= 128 * 1024);
    CHECK(sent < 3 * 1024 * 1024);
    taken = sent;
    n.a.hold = false;
    sp_conn_resume(n.a.c);
    tnet_run(&n, n.a.got.n == taken);
    for (size_t i = 0; i < taken; i += sizeof block)
        CHECK(n.a.got.p[i] == (char)('a' + (int)(i / sizeof block) % 26));
    CHECK(n.b.drained);
    tnet_shut(&n);
}

TEST("a reader that does not read costs bounded memory and loses nothing (clear)")
{
    slow_reader(false);
}

TEST("a reader that does not read costs bounded memory and loses nothing (TLS)")
{
    slow_reader(true);
}

TEST("a peer that does not read our answers is not read either")
{
    static char block[16384];
    size_t sent = 0;
    struct tnet n;

    tls_pair(&n);
    n.a.echo = true;
    sp_conn_gate(n.a.c, 65536);
    n.b.hold = true;
    for (int turn = 0; turn < 400; turn++) {
        while (sp_conn_room(n.b.c) >= sizeof block && sent < 6 << 20) {
            CHECK_INT(sp_conn_write(n.b.c, block, sizeof block), 0);
            sent += sizeof block;
        }
        uv_run(&n.loop, UV_RUN_NOWAIT);
    }
    CHECK(sent < 6 << 20);
    CHECK(sp_conn_waiting(n.a.c) < 512 * 1024);
    n.b.hold = false;
    sp_conn_resume(n.b.c);
    tnet_run(&n, n.b.got.n == sent);
    tnet_shut(&n);
}

static void into_room(bool tls)
{
    static char block[10000];
    struct tnet n;
    size_t sent = 0;

    if (tls)
        tls_pair(&n);
    else
        tnet_open(&n);
    n.a.room_cap = 1 << 20;
    n.a.room = malloc(n.a.room_cap);
    while (sent < 1000000) {
        memset(block, 'a' + (int)(sent / sizeof block) % 26, sizeof block);
        if (sp_conn_write(n.b.c, block, sizeof block) == 0)
            sent += sizeof block;
        else
            uv_run(&n.loop, UV_RUN_NOWAIT);
    }
    tnet_run(&n, n.a.room_n == sent);
    for (size_t i = 0; i < sent; i += sizeof block)
        CHECK(n.a.room[i] == (char)('a' + (int)(i / sizeof block) % 26));
    CHECK_INT(n.a.got.n, 0);
    free(n.a.room);
    n.a.room = NULL;
    say(&n.b, "tail");
    tnet_run(&n, got(&n.a, "tail"));
    tnet_shut(&n);
}

TEST("a body is read straight into the caller's buffer (clear)")
{
    into_room(false);
}

TEST("a body is read straight into the caller's buffer (TLS)")
{
    into_room(true);
}

TEST("close flushes, says close_notify and ends cleanly on both sides")
{
    struct tnet n;

    tls_pair(&n);
    n.a.close_at_end = true;
    say(&n.b, "last words");
    sp_conn_close(n.b.c);
    tnet_run(&n, n.a.ended && n.a.closed && n.b.closed);
    CHECK(got(&n.a, "last words"));
    CHECK_INT(n.a.end.kind, SP_END_CLEAN);
    CHECK(!n.b.ended);
    tnet_shut(&n);
}

TEST("close delivers what a slow reader has not taken yet")
{
    static char block[200000];
    struct tnet n;

    tls_pair(&n);
    n.a.hold = true;
    CHECK_INT(sp_conn_write(n.b.c, block, sizeof block), 0);
    tnet_wait(&n, 10);
    CHECK_INT(sp_conn_write(n.b.c, block, 50000), 0);
    sp_conn_close(n.b.c);
    tnet_wait(&n, 20);
    CHECK(!n.b.closed);
    n.a.hold = false;
    n.a.close_at_end = true;
    sp_conn_resume(n.a.c);
    tnet_run(&n, n.a.ended && n.b.closed);
    CHECK_INT(n.a.got.n, 250000);
    CHECK_INT(n.a.end.kind, SP_END_CLEAN);
    tnet_shut(&n);
}

TEST("turning somebody away needs no callbacks")
{
    static const struct sp_conn_ops none;
    struct sp_err err;
    struct sp_conn *c;
    struct tnet n;
    int fd[2];

    tnet_begin(&n);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    side_adopt(&n, &n.a, fd[0]);
    CHECK_INT(sp_conn_from_fd(n.net, fd[1], &c, &err), 0);
    n.a.close_at_end = true;
    sp_conn_start(c, &none, NULL);
    CHECK_INT(sp_conn_write(c, "421\n", 4), 0);
    sp_conn_close(c);
    tnet_run(&n, n.a.ended && n.a.closed);
    CHECK(got(&n.a, "421\n"));
    CHECK_INT(sp_net_connections(n.net), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    CHECK_INT(sp_conn_from_fd(n.net, fd[1], &c, &err), 0);
    sp_conn_start(c, &none, NULL);
    CHECK_INT(write(fd[0], "x", 1), 1);
    tnet_wait(&n, 10);
    close(fd[0]); /* nobody hears of it */
    tnet_run(&n, sp_net_connections(n.net) == 0);
    tnet_shut(&n);
}

TEST("close does not wait for a handshake that does not come")
{
    struct sp_tls_ctx *cli =
        client_ctx(NULL, (struct sp_tls_client_opts){.must_verify = 1});
    struct sp_err err;
    struct tnet n;

    tnet_open(&n);
    CHECK_INT(sp_conn_start_tls(n.b.c, cli, NULL, &err), -SP_ESTATE);
    CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), 0);
    CHECK_INT(sp_conn_write(n.b.c, "secret", 6), 0);
    n.a.close_at_end = true;
    sp_conn_close(n.b.c);
    tnet_run(&n, n.a.ended && n.b.closed);
    CHECK(!n.a.got.n || !memmem(n.a.got.p, n.a.got.n, "secret", 6));
    sp_tls_unref(cli);
    tnet_shut(&n);
}

TEST("the end of TLS without close_notify is told apart")
{
    struct tnet n;

    tls_pair(&n);
    sp_conn_abort(n.b.c);
    tnet_run(&n, n.a.ended);
    CHECK_INT(n.a.end.kind, SP_END_TRUNCATED);
    tnet_shut(&n);
}

TEST("a half-closed peer still gets the answer (clear)")
{
    int fd[2];
    char buf[100];
    struct tnet n;

    tnet_begin(&n);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    side_adopt(&n, &n.a, fd[0]);
    CHECK_INT(write(fd[1], "QUIT\n", 5), 5);
    shutdown(fd[1], SHUT_WR);
    tnet_run(&n, n.a.ended);
    CHECK(got(&n.a, "QUIT\n"));
    CHECK_INT(n.a.end.kind, SP_END_CLEAN);
    say(&n.a, "221 bye\n");
    sp_conn_close(n.a.c);
    tnet_run(&n, n.a.closed);
    CHECK_INT(read(fd[1], buf, sizeof buf), 8);
    close(fd[1]);
    tnet_shut(&n);
}

TEST("our last reply survives input that nobody read")
{
    static char junk[300000];
    char buf[100];
    int fd[2];
    struct tnet n;

    tnet_begin(&n);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    side_adopt(&n, &n.a, fd[0]);
    fcntl(fd[1], F_SETFL, O_NONBLOCK);
    CHECK(write(fd[1], junk, sizeof junk) > 100000);
    n.a.hold = true;
    uv_run(&n.loop, UV_RUN_NOWAIT);
    say(&n.a, "554 no\n");
    sp_conn_close(n.a.c);
    tnet_wait(&n, 50);
    CHECK_INT(read(fd[1], buf, sizeof buf), 7);
    CHECK(!n.a.closed); /* lingers until the peer closes */
    close(fd[1]);
    tnet_run(&n, n.a.closed);
    tnet_shut(&n);
}

TEST("a peer that vanishes while we write is reported once, after what it said")
{
    int fd[2];
    struct tnet n;

    tnet_begin(&n);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    side_adopt(&n, &n.a, fd[0]);
    CHECK_INT(write(fd[1], "421 bye\n", 8), 8);
    close(fd[1]);
    say(&n.a, "MAIL\n"); /* EPIPE before the 421 was read */
    tnet_run(&n, n.a.ended);
    CHECK(got(&n.a, "421 bye\n"));
    tnet_shut(&n);
}

/* The octets of a client's handshake, cut after k of them. */
TEST("a client may vanish at any octet of the handshake")
{
    struct sp_tls_ctx *srv =
        server_ctx(tpki_get()->server, (struct sp_tls_server_opts){0});
    struct sp_tls_ctx *cli =
        client_ctx(NULL, (struct sp_tls_client_opts){.must_verify = 1});
    struct sp_buf hello;
    struct sp_err err;
    struct tnet n;

    tnet_open(&n);
    CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), 0);
    tnet_run(&n, n.a.got.n > 100);
    hello = n.a.got;
    sp_buf_init(&n.a.got, 10);
    tnet_shut(&n);
    for (size_t k = 0; k <= hello.n; k += k < 10 || k + 10 > hello.n ? 1 : 37) {
        for (int how = 0; how < 2; how++) {
            int fd[2];

            tnet_begin(&n);
            CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
            side_adopt(&n, &n.a, fd[0]);
            CHECK_INT(sp_conn_start_tls(n.a.c, srv, NULL, &err), 0);
            CHECK_INT(write(fd[1], hello.p, k), k);
            if (how)
                shutdown(fd[1], SHUT_WR);
            else
                close(fd[1]);
            tnet_run(&n, n.a.failed);
            CHECK_INT(n.a.err.cls, SP_CLASS_PEER);
            if (how)
                close(fd[1]);
            tnet_shut(&n);
        }
    }
    sp_buf_free(&hello);
    sp_tls_unref(srv);
    sp_tls_unref(cli);
}

TEST("a connection may be destroyed inside every callback")
{
    struct tnet n;

    tnet_open(&n); /* in on_read() */
    n.a.abort_at_read = true;
    say(&n.b, "x");
    tnet_run(&n, n.a.closed && n.b.ended);
    tnet_shut(&n);

    tls_pair(&n);
    n.a.abort_at_read = true;
    say(&n.b, "x");
    tnet_run(&n, n.a.closed && n.b.ended);
    tnet_shut(&n);

    for (int i = 0; i < 2; i++) { /* in on_tls(): up and failed */
        struct tcert *c = i ? tpki_get()->expired_server : tpki_get()->server;
        struct sp_tls_ctx *srv = server_ctx(c, (struct sp_tls_server_opts){0});
        struct sp_tls_ctx *cli =
            client_ctx(NULL, (struct sp_tls_client_opts){.must_verify = 1});
        struct sp_err err;

        tnet_open(&n);
        n.a.close_at_up = n.b.close_at_up = true;
        CHECK_INT(sp_conn_start_tls(n.a.c, srv, NULL, &err), 0);
        CHECK_INT(sp_conn_start_tls(n.b.c, cli, "localhost", &err), 0);
        tnet_run(&n, n.a.closed && n.b.closed);
        sp_tls_unref(srv);
        sp_tls_unref(cli);
        tnet_shut(&n);
    }
}

TEST("deadlines fire in order, never early, and can be moved")
{
    struct tnet n[1];
    uint64_t t0, ta = 0, tb = 0;

    tnet_open(n);
    uv_update_time(&n->loop);
    t0 = uv_hrtime();
    sp_conn_deadline(n->a.c, 20);
    sp_conn_deadline(n->b.c, 30);
    sp_conn_deadline(n->a.c, 60); /* later: lazily */
    while ((!ta || !tb) && uv_hrtime() - t0 < 2000000000ULL) {
        uv_run(&n->loop, UV_RUN_ONCE);
        if (n->a.late && !ta)
            ta = uv_hrtime() - t0;
        if (n->b.late && !tb)
            tb = uv_hrtime() - t0;
    }
    CHECK(tb >= 28000000 && tb < ta);
    CHECK(ta >= 58000000 && ta < 1500000000); /* the machine may be busy */
    n->a.late = false;
    sp_conn_deadline(n->a.c, 20);
    sp_conn_deadline(n->a.c, UINT64_MAX);
    tnet_wait(n, 50);
    CHECK(!n->a.late);
    tnet_shut(n);
}

static struct sp_timer timers[2000];
static uint64_t last_due;
static int fired, disorder;

static void on_fire(void *arg)
{
    struct sp_timer *t = arg;

    fired++;
    if (t->key < last_due && t->key)
        disorder++;
    if (fired % 3 == 0) /* moves and stops others while the heap is worked on */
        sp_timer_stop(&timers[(fired * 7) % 2000]);
}

TEST("two thousand deadlines, moved at random, fire once each unless stopped")
{
    struct tnet n;
    unsigned r = 1;
    int left = 0;

    tnet_begin(&n);
    fired = 0;
    for (int i = 0; i < 2000; i++)
        sp_timer_init(&timers[i], n.net, on_fire, &timers[i]);
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < 2000; i++) {
            r = r * 1103515245 + 12345;
            if (r >> 28 == 0)
                sp_timer_stop(&timers[i]);
            else
                sp_timer_start(&timers[i], 1 + (r >> 16) % 60);
        }
    tnet_wait(&n, 120);
    for (int i = 0; i < 2000; i++)
        left += sp_timer_running(&timers[i]);
    CHECK_INT(left, 0);
    CHECK_INT(disorder, 0);
    CHECK(fired > 1000 && fired <= 2000);
    tnet_shut(&n);
}

TEST("freeing the net aborts what is open")
{
    struct tnet n;

    tls_pair(&n);
    CHECK_INT(sp_net_connections(n.net), 2);
    tnet_shut(&n);
    CHECK(n.a.closed && n.b.closed);
    tpki_free();
}

T_MAIN
