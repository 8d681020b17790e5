/* t_dial.c - tests of dial.h, listen.h and netaddr.h. */
#include "dial.h"
#include "listen.h"
#include "netaddr.h"
#include "tnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int dialled, accepted;
static struct sp_err dial_err;

static void on_dial(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    struct side *s = arg;

    dialled++;
    CHECK(!c == !!err);
    if (err) {
        dial_err = *err;
        return;
    }
    side_init(s, c);
    sp_conn_start(c, &side_ops, s);
}

static void on_accept(struct sp_conn *c, void *arg)
{
    struct side *s = arg;

    accepted++;
    if (s->c) {
        sp_conn_abort(c);
        return;
    }
    side_init(s, c);
    sp_conn_start(c, &side_ops, s);
}

static struct sp_listen *listener(struct tnet *n, const char *address)
{
    struct sp_listen *l = NULL;
    struct sp_err err = {0};
    int fd = -1;

    dialled = accepted = 0;
    memset(&dial_err, 0, sizeof dial_err);
    if (sp_listen_bind(address, false, &fd, &err) < 0 ||
        sp_listen_fd(n->net, fd, on_accept, &n->a, &l, &err) < 0)
        printf("%s\n", err.text);
    return l;
}

static void dial(struct tnet *n, struct sp_dial_opts o)
{
    CHECK(sp_dial(n->net, &o, on_dial, &n->b) != NULL);
    CHECK_INT(dialled, 0); /* never before sp_dial() returned */
}

TEST("addresses as text and back")
{
    static const char *const good[] = {"192.0.2.1:587", "[::1]:465",
                                       "[2001:db8::1]:25"};
    static const char *const bad[] = {"",         "1.2.3.4",    "::1:587",
                                      "[::1]",    "x:587",      "1.2.3.4:70000",
                                      "1.2.3.4:", "1.2.3.4:5x", "[1.2.3.4]:5"};
    struct sockaddr_storage ss;
    char text[SP_ADDR_TEXT];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_INT(sp_naddr_parse(good[i], &ss), 0);
        sp_naddr_text((const struct sockaddr *)&ss, text, sizeof text);
        CHECK_STR(text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (sp_naddr_parse(bad[i], &ss) == 0)
            CHECK_STR(bad[i], "refused");
    CHECK(sp_addr_literal("[::1]", 1, &ss) > 0);
    CHECK(sp_addr_literal("::1", 1, &ss) > 0);
    CHECK(sp_addr_literal("localhost", 1, &ss) < 0);
}

TEST("a dial reaches a listener by literal and by name, IPv4 and IPv6")
{
    static const char *const host[] = {"127.0.0.1", "localhost", "[::1]", "::1"};

    for (size_t i = 0; i < 4; i++) {
        struct sp_listen *l;
        struct tnet n;
        int on = 0;
        socklen_t len = sizeof on;
        uv_os_fd_t fd;
        char text[SP_ADDR_TEXT], want[SP_ADDR_TEXT];

        tnet_begin(&n);
        l = listener(&n, i < 2 ? "127.0.0.1:0" : "[::1]:0");
        CHECK(l);
        if (!l)
            return;
        dial(&n, (struct sp_dial_opts){.host = host[i], .port = sp_listen_port(l)});
        tnet_run(&n, dialled == 1 && accepted == 1);
        CHECK_INT(sp_conn_write(n.a.c, "220\n", 4), 0);
        tnet_run(&n, n.b.got.n == 4);
        sp_conn_peer_text(n.b.c, text, sizeof text);
        (void)snprintf(want, sizeof want, i < 2 ? "127.0.0.1:%u" : "[::1]:%u",
                       sp_listen_port(l));
        CHECK_STR(text, want);
        CHECK_INT(uv_fileno((uv_handle_t *)(void *)n.b.c, &fd), 0);
        CHECK_INT(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
        CHECK(on != 0);
        sp_listen_free(l);
        tnet_shut(&n);
    }
}

TEST("a refused connection, a wrong family, no such host: errors in words, once")
{
    struct sp_listen *l;
    uint16_t port;
    struct tnet n;

    tnet_begin(&n);
    l = listener(&n, "127.0.0.1:0");
    port = sp_listen_port(l);
    sp_listen_free(l);
    uv_run(&n.loop, UV_RUN_NOWAIT);
    dial(&n, (struct sp_dial_opts){.host = "127.0.0.1", .port = port});
    tnet_run(&n, dialled == 1);
    CHECK(strstr(dial_err.text, "cannot connect to 127.0.0.1:"));
    CHECK(strstr(dial_err.text, "connection refused"));
    CHECK_INT(dial_err.cls, SP_CLASS_TEMPORARY);

    dialled = 0;
    dial(&n, (struct sp_dial_opts){
                 .host = "127.0.0.1", .port = port, .family = SP_FAMILY_6});
    tnet_run(&n, dialled == 1);
    CHECK(strstr(dial_err.text, "family"));

    dialled = 0;
    dial(&n, (struct sp_dial_opts){.host = "no such host", .port = 1});
    tnet_run(&n, dialled == 1);
    CHECK(strstr(dial_err.text, "no such host:1"));

    dialled = 0;
    dial(&n, (struct sp_dial_opts){.host = "", .port = 1});
    tnet_run(&n, dialled == 1);
    dialled = 0;
    dial(&n, (struct sp_dial_opts){.host = "::1", .port = 1, .source = "127.0.0.1"});
    tnet_run(&n, dialled == 1);
    CHECK(strstr(dial_err.text, "family"));
    tnet_shut(&n);
}

TEST("the source address is used")
{
    struct sp_listen *l;
    char text[SP_ADDR_TEXT];
    struct tnet n;

    tnet_begin(&n);
    l = listener(&n, "127.0.0.1:0");
    dial(&n, (struct sp_dial_opts){.host = "localhost",
                                   .port = sp_listen_port(l),
                                   .source = "127.0.0.9"});
    tnet_run(&n, dialled == 1 && accepted == 1);
    sp_conn_peer_text(n.a.c, text, sizeof text);
    CHECK(strncmp(text, "127.0.0.9:", 10) == 0);
    sp_listen_free(l);
    tnet_shut(&n);
}

TEST("a Unix socket: permissions, peer credentials, a dead socket is replaced")
{
    char dir[] = "/tmp/t_dial.XXXXXX", path[64];
    struct sp_listen *l = NULL;
    struct sp_err err;
    struct stat st;
    uint32_t uid;
    int32_t pid;
    struct tnet n;
    int fd;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof path, "%s/s", dir);
    tnet_begin(&n);
    dialled = accepted = 0;
    CHECK_INT(sp_listen_bind_unix(path, 0600, &fd, &err), 0);
    close(fd); /* leaves the name behind */
    CHECK_INT(sp_listen_bind_unix(path, 0600, &fd, &err), 0);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    CHECK_INT(sp_listen_fd(n.net, fd, on_accept, &n.a, &l, &err), 0);
    CHECK_INT(sp_listen_bind_unix(path, 0600, &fd, &err), -SP_EEXIST);
    dial(&n, (struct sp_dial_opts){.unix_path = path});
    tnet_run(&n, dialled == 1 && accepted >= 1);
    tnet_wait(&n, 10);
    if (n.a.c && n.b.c) {
        CHECK_INT(sp_conn_peer_uid(n.b.c, &uid, &pid), 0);
        CHECK_INT(uid, getuid());
    }
    sp_listen_free(l);
    tnet_shut(&n);
    (void)unlink(path);
    CHECK_INT(rmdir(dir), 0);
}

/* A socket whose backlog is full: connects to it hang, as to a dead machine. */
static int dead_end(uint16_t port, int fill[4])
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM, 0), on = 1;

    sa.sin6_port = htons(port);
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 0) < 0) {
        close(fd);
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&sa, sizeof sa);
    }
    return fd;
}

TEST("a dead first address costs 250 ms, not the connection")
{
    struct sockaddr_storage to[2];
    struct sp_listen *l;
    int fd, fill[4];
    uint64_t t;
    struct tnet n;

    tnet_begin(&n);
    l = listener(&n, "127.0.0.1:0");
    fd = dead_end(sp_listen_port(l), fill);
    CHECK(fd >= 0);
    CHECK(sp_addr_literal("::1", sp_listen_port(l), &to[0]) > 0);
    CHECK(sp_addr_literal("127.0.0.1", sp_listen_port(l), &to[1]) > 0);
    t = uv_hrtime();
    uv_update_time(&n.loop);
    dial(&n, (struct sp_dial_opts){.host = "two.example",
                                   .port = sp_listen_port(l),
                                   .addresses = to,
                                   .n_addresses = 2});
    tnet_run(&n, dialled == 1);
    t = (uv_hrtime() - t) / 1000000;
    CHECK(n.b.c != NULL);
    CHECK(t >= 240 && t < 1000);
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(fd);
    sp_listen_free(l);
    tnet_shut(&n);
}

TEST("a refusing first address costs nothing, all refusing ones are named")
{
    struct sockaddr_storage to[2];
    struct sp_listen *l;
    uint64_t t;
    struct tnet n;

    tnet_begin(&n);
    l = listener(&n, "127.0.0.1:0");
    CHECK(sp_addr_literal("::1", sp_listen_port(l), &to[0]) > 0);
    CHECK(sp_addr_literal("127.0.0.1", sp_listen_port(l), &to[1]) > 0);
    t = uv_hrtime();
    dial(&n, (struct sp_dial_opts){
                 .host = "two.example", .port = 1, .addresses = to, .n_addresses = 2});
    tnet_run(&n, dialled == 1);
    CHECK(n.b.c != NULL);
    CHECK(uv_hrtime() - t < 200000000);
    sp_listen_free(l);
    uv_run(&n.loop, UV_RUN_NOWAIT);
    dialled = 0;
    dial(&n, (struct sp_dial_opts){
                 .host = "two.example", .port = 1, .addresses = to, .n_addresses = 2});
    tnet_run(&n, dialled == 1);
    CHECK(strstr(dial_err.text,
                 "::1: connection refused; 127.0.0.1: connection refused"));
    tnet_shut(&n);
}

TEST("a dial ends at its timeout, and can be cancelled at any time")
{
    struct sp_listen *l;
    int fd, fill[4];
    struct sp_dial *d;
    struct tnet n;

    tnet_begin(&n);
    l = listener(&n, "127.0.0.1:0");
    fd = dead_end(sp_listen_port(l), fill);
    dial(&n, (struct sp_dial_opts){
                 .host = "::1", .port = sp_listen_port(l), .timeout_ms = 50});
    tnet_run(&n, dialled == 1);
    CHECK_INT(dial_err.code, SP_ETIMEDOUT);
    dialled = 0;
    for (int i = 0; i < 3; i++) {
        d = sp_dial(n.net,
                    &(struct sp_dial_opts){.host = i ? "localhost" : "::1",
                                           .port = sp_listen_port(l)},
                    on_dial, &n.b);
        if (i == 2)
            uv_run(&n.loop, UV_RUN_NOWAIT);
        sp_dial_cancel(d);
    }
    tnet_wait(&n, 30);
    CHECK_INT(dialled, 0);
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(fd);
    sp_listen_free(l);
    tnet_shut(&n);
}

/* ---- a SOCKS5 proxy of ten lines: answers from a script, records what it was told ---- */

struct proxy {
    const char *reply[4]; /* the answer to the nth message */
    size_t reply_n[4];
    size_t at;
    struct sp_buf told;
    size_t chunk;
};

static size_t proxy_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    struct proxy *x = arg;

    sp_buf_put(&x->told, p, n);
    if (x->at < 4 && x->reply[x->at])
        sp_conn_write(c, x->reply[x->at], x->reply_n[x->at]);
    x->at++;
    return n;
}

static void proxy_end(struct sp_conn *c, const struct sp_end *e, void *arg)
{
    (void)e;
    (void)arg;
    sp_conn_close(c);
}

static const struct sp_conn_ops proxy_ops = {.on_read = proxy_read,
                                             .on_end = proxy_end};

static void proxy_accept(struct sp_conn *c, void *arg)
{
    sp_conn_start(c, &proxy_ops, arg);
}

static void through_proxy(struct tnet *n, struct proxy *x, struct sp_dial_opts o)
{
    struct sp_listen *l = NULL;
    struct sp_err err;
    int fd;

    dialled = 0;
    memset(&dial_err, 0, sizeof dial_err);
    tnet_begin(n);
    sp_buf_init(&x->told, 4096);
    CHECK_INT(sp_listen_bind("127.0.0.1:0", false, &fd, &err), 0);
    CHECK_INT(sp_listen_fd(n->net, fd, proxy_accept, x, &l, &err), 0);
    o.socks_host = "127.0.0.1";
    o.socks_port = sp_listen_port(l);
    dial(n, o);
    tnet_run(n, dialled == 1);
    sp_listen_free(l);
}

TEST("SOCKS5: the name goes to the proxy, octets behind its answer are not lost")
{
    static const char banner[] = "\x05\x00\x00\x01\x7f\0\0\x01\0\x19"
                                 "220 hello\r\n";
    struct proxy x = {.reply = {"\x05\x00", banner}, .reply_n = {2, sizeof banner - 1}};
    struct tnet n;

    through_proxy(&n, &x,
                  (struct sp_dial_opts){.host = "mail.example.org", .port = 587});
    CHECK(n.b.c != NULL);
    tnet_run(&n, n.b.got.n == 11);
    CHECK(n.b.got.p && memcmp(n.b.got.p, "220 hello\r\n", 11) == 0);
    CHECK_INT(x.told.n, 3 + 4 + 1 + 16 + 2);
    CHECK(memcmp(x.told.p + 3, "\x05\x01\x00\x03\x10mail.example.org\x02\x4b", 23) ==
          0);
    sp_buf_free(&x.told);
    tnet_shut(&n);
}

TEST("SOCKS5: user and password, and each refusal in words")
{
    struct proxy ok = {.reply = {"\x05\x02", "\x01\x00", "\x05\x00\x00\x03\x01x\0\x19"},
                       .reply_n = {2, 2, 8}};
    struct proxy bad = {.reply = {"\x05\x02", "\x01\x01"}, .reply_n = {2, 2}};
    struct proxy refused = {.reply = {"\x05\x00", "\x05\x05\x00\x01\0\0\0\0\0\0"},
                            .reply_n = {2, 10}};
    struct proxy http = {.reply = {"HTTP/1.0 400\r\n"}, .reply_n = {14}};
    struct proxy malformed = {.reply = {"\x05\x00", "\x05\x00\x00\x09\0\0\0"},
                              .reply_n = {2, 7}};
    struct sp_dial_opts o = {.host = "192.0.2.7", .port = 25};
    struct tnet n;

    o.socks_user = "bob";
    o.socks_password = "secret";
    through_proxy(&n, &ok, o);
    CHECK(n.b.c != NULL);
    CHECK(memcmp(ok.told.p + 4,
                 "\x01\x03"
                 "bob\x06secret",
                 12) == 0);
    CHECK(memcmp(ok.told.p + 16, "\x05\x01\x00\x01\xc0\0\x02\x07\0\x19", 10) == 0);
    sp_buf_free(&ok.told);
    tnet_shut(&n);

    through_proxy(&n, &bad, o);
    CHECK(strstr(dial_err.text, "refused user or password"));
    sp_buf_free(&bad.told);
    tnet_shut(&n);

    o.socks_user = NULL;
    through_proxy(&n, &refused, o);
    CHECK(strstr(dial_err.text, "connection refused"));
    sp_buf_free(&refused.told);
    tnet_shut(&n);

    through_proxy(&n, &http, o);
    CHECK(strstr(dial_err.text, "does not speak SOCKS5"));
    sp_buf_free(&http.told);
    tnet_shut(&n);

    through_proxy(&n, &malformed, o);
    CHECK(strstr(dial_err.text, "malformed"));
    sp_buf_free(&malformed.told);
    tnet_shut(&n);
}

TEST("no descriptors left: clients wait in the backlog and are served afterwards")
{
    struct rlimit old, few;
    struct sp_listen *l;
    int fd, hole;
    struct tnet n;

    tnet_begin(&n);
    l = listener(&n, "127.0.0.1:0");
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    {
        struct sockaddr_in sa = {.sin_family = AF_INET};

        sa.sin_port = htons(sp_listen_port(l));
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        (void)!connect(fd, (struct sockaddr *)&sa, sizeof sa);
    }
    hole = dup(0);
    close(hole);
    getrlimit(RLIMIT_NOFILE, &old);
    few = old;
    few.rlim_cur = (rlim_t)hole; /* no further descriptor */
    setrlimit(RLIMIT_NOFILE, &few);
    tnet_wait(&n, 30);
    setrlimit(RLIMIT_NOFILE, &old);
    CHECK_INT(accepted, 0);
    CHECK_INT(sp_listen_shortages(l), 1);
    tnet_run(&n, accepted == 1);
    CHECK_INT(sp_conn_write(n.a.c, "220\n", 4), 0);
    tnet_wait(&n, 10);
    {
        char b[8];

        CHECK_INT(read(fd, b, sizeof b), 4);
    }
    close(fd);
    sp_listen_free(l);
    tnet_shut(&n);
}

TEST("a busy or unusable address is refused in words")
{
    struct sp_listen *l;
    struct sp_err err;
    char address[40];
    struct tnet n;
    int fd;

    tnet_begin(&n);
    l = listener(&n, "127.0.0.1:0");
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", sp_listen_port(l));
    CHECK_INT(sp_listen_bind(address, false, &fd, &err), -SP_EIO);
    CHECK(strstr(err.text, address) && strstr(err.text, "in use"));
    CHECK_INT(sp_listen_bind("localhost:25", false, &fd, &err), -SP_EINPUT);
    CHECK_INT(sp_listen_bind("*:0", false, &fd, &err), 0);
    close(fd);
    sp_listen_free(l);
    tnet_shut(&n);
}

T_MAIN
