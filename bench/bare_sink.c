/*
 * bare_sink.c - what the kernel, OpenSSL and the load generator leave possible.
 *
 *     bare_sink PORT CERTIFICATE KEY [PROCESSES [COUNTER]]
 *     bare_sink -d FILE PORT CERTIFICATE KEY [PROCESSES]
 *
 * An SMTP server for bench/compare that only answers: STARTTLS with the same OpenSSL, any
 * password is right, a message is read to its end and forgotten.  One process for each
 * CPU, one epoll loop in each, no check of anything, no disk.  Not a mail server: it
 * listens on 127.0.0.1 and nothing may depend on it.  With COUNTER it offers no TLS and
 * counts the messages in the first eight octets of that file.
 *
 * With -d every message is on the disk before its 250, in the cheapest way there is for
 * several processes: each hands its messages to one writer, which writes all that wait over
 * a file of constant size and syncs once for them.  No index, no names, no way to find a
 * message again: what durability costs at least, here.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_ 16384 /* an AUTH line of 12288 octets fits */
#define BODY_MAX  (1u << 20)
#define DISK_SIZE (64u << 20)

struct session {
    int fd;
    SSL *ssl;  /* NULL in clear */
    bool body; /* between 354 and the final dot */
    bool wait_starttls;
    size_t n;      /* octets of an unfinished line */
    unsigned tail; /* the last five octets of a body, as far as they match the end */
    char line[LINE_MAX_];
    char *text; /* -d: the message so far */
    size_t text_n, text_cap;
};

/* To the writer, before the message's octets; back from it, alone. */
struct handed {
    struct session *session;
    size_t n;
};

static SSL_CTX *ctx;
static _Atomic uint64_t *counter; /* shared by all processes; NULL: nobody counts */
static int writer = -1;           /* socket to the writer; -1: no disk */

static void end(struct session *s)
{
    if (s->ssl) {
        (void)SSL_shutdown(s->ssl);
        SSL_free(s->ssl);
    }
    (void)close(s->fd);
    free(s->text);
    free(s);
}

static bool say(struct session *s, const char *text)
{
    int n = (int)strlen(text);

    return s->ssl ? SSL_write(s->ssl, text, n) == n
                  : write(s->fd, text, (size_t)n) == n;
}

/* Replies to one command line.  False: the session is over. */
static bool answer(struct session *s, const char *line, char *out, size_t cap)
{
    static const struct {
        const char *verb, *reply;
    } table[] = {
        {"MAIL", "250 2.1.0 ok\r\n"},  {"RCPT", "250 2.1.5 ok\r\n"},
        {"RSET", "250 2.0.0 ok\r\n"},  {"NOOP", "250 2.0.0 ok\r\n"},
        {"AUTH", "235 2.7.0 ok\r\n"},  {"DATA", "354 go on\r\n"},
        {"QUIT", "221 2.0.0 bye\r\n"}, {"HELO", "250 sink\r\n"}, /* smtp-source */
    };
    const char *reply = "500 5.5.1 what?\r\n";

    if (strncasecmp(line, "EHLO", 4) == 0)
        reply =
            s->ssl
                ? "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 104857600\r\n"
                  "250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN\r\n"
            : counter ? "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
                      : "250-sink\r\n250-PIPELINING\r\n250 STARTTLS\r\n";
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strncasecmp(line, table[i].verb, 4) == 0)
            reply = table[i].reply;
    if (strncasecmp(line, "STARTTLS", 8) == 0) {
        reply = "220 2.0.0 go on\r\n";
        s->wait_starttls = true;
    }
    s->body = strncasecmp(line, "DATA", 4) == 0;
    s->tail = 2; /* an empty message is ".CRLF" at once */
    (void)strncat(out, reply, cap - strlen(out) - 1);
    return strncasecmp(line, "QUIT", 4) != 0;
}

/* How far CRLF "." CRLF has been seen. */
static unsigned step(unsigned seen, char c)
{
    static const char end_of_data[] = "\r\n.\r\n";

    if (c == end_of_data[seen])
        return seen + 1;
    return c == '\r' ? 1 : 0;
}

static void die(const char *what)
{
    perror(what);
    exit(71);
}

/* All of it, whatever a signal or a full socket makes of it. */
static void put_all(int fd, const void *p, size_t n)
{
    for (const char *at = p; n;) {
        ssize_t done = write(fd, at, n);

        if (done < 0)
            die("bare_sink: write");
        at += done;
        n -= (size_t)done;
    }
}

static bool get_all(int fd, void *p, size_t n)
{
    for (char *at = p; n;) {
        ssize_t done = read(fd, at, n);

        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

static void keep(struct session *s, const char *p, size_t n)
{
    if (s->text_n + n > s->text_cap) {
        s->text_cap = s->text_cap ? 2 * s->text_cap : 16384;
        if (s->text_cap > BODY_MAX || !(s->text = realloc(s->text, s->text_cap)))
            die("bare_sink: message");
        keep(s, p, n);
        return;
    }
    memcpy(s->text + s->text_n, p, n);
    s->text_n += n;
}

static void hand_over(struct session *s)
{
    struct handed h = {.session = s, .n = s->text_n};

    put_all(writer, &h, sizeof h);
    put_all(writer, s->text, s->text_n);
    s->text_n = 0;
}

static bool take(struct session *s, const char *p, size_t n)
{
    char out[4096] = "";
    bool go_on = true;
    size_t from = 0; /* of the message, in p */

    for (size_t i = 0; i < n && go_on; i++) {
        if (s->body) {
            s->tail = step(s->tail, p[i]);
            if (s->tail == 5) {
                s->body = false;
                if (counter)
                    atomic_fetch_add(counter, 1);
                if (writer >= 0) {
                    keep(s, p + from, i + 1 - from);
                    hand_over(s);
                    continue;
                }
                (void)strncat(out, "250 2.0.0 forgotten\r\n",
                              sizeof out - strlen(out) - 1);
            }
        } else if (p[i] == '\n') {
            s->line[s->n] = 0;
            s->n = 0;
            go_on = answer(s, s->line, out, sizeof out);
            from = i + 1;
        } else if (s->n < sizeof s->line - 1) {
            s->line[s->n++] = p[i];
        }
    }
    if (writer >= 0 && s->body && n > from)
        keep(s, p + from, n - from);
    if (out[0] && !say(s, out))
        return false;
    if (s->wait_starttls) {
        s->wait_starttls = false;
        s->ssl = SSL_new(ctx);
        if (!s->ssl || SSL_set_fd(s->ssl, s->fd) != 1)
            return false;
        SSL_set_accept_state(s->ssl);
    }
    return go_on;
}

/* Everything that can be read now.  False: the session is over. */
static bool readable(struct session *s)
{
    static char buf[65536];

    for (;;) {
        ssize_t n;

        if (s->ssl) {
            ERR_clear_error();
            n = SSL_read(s->ssl, buf, sizeof buf);
            if (n <= 0)
                return SSL_get_error(s->ssl, (int)n) == SSL_ERROR_WANT_READ;
        } else {
            n = read(s->fd, buf, sizeof buf);
            if (n <= 0)
                return n < 0 && errno == EAGAIN;
        }
        if (!take(s, buf, (size_t)n))
            return false;
    }
}

static void welcome(int poll, int listener)
{
    struct epoll_event ev = {.events = EPOLLIN};
    struct session *s;
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    s = calloc(1, sizeof *s);
    if (!s) {
        (void)close(fd);
        return;
    }
    s->fd = fd;
    ev.data.ptr = s;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!say(s, "220 sink ESMTP\r\n") || epoll_ctl(poll, EPOLL_CTL_ADD, fd, &ev) < 0)
        end(s);
}

/* What the writer has on the disk.  A client that left in between is not foreseen. */
static void acknowledge(void)
{
    struct handed done[256];
    ssize_t n = read(writer, done, sizeof done);

    if (n <= 0 || n % (ssize_t)sizeof done[0])
        die("bare_sink: writer");
    for (size_t i = 0; i < (size_t)n / sizeof done[0]; i++)
        (void)say(done[i].session, "250 2.0.0 on disk\r\n");
}

/* Takes what waits at all sockets, writes it in one go, syncs, tells whose it was. */
static void write_to_disk(const char *path, const int *from, int n)
{
    static char batch[8u << 20];
    static char zero[1u << 20];
    struct epoll_event ev = {.events = EPOLLIN}, got[64];
    struct handed done[64][256];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t at = 0;

    if (fd < 0 || poll < 0)
        die(path);
    for (off_t i = 0; i < (off_t)DISK_SIZE; i += (off_t)sizeof zero)
        put_all(fd, zero, sizeof zero);
    if (fsync(fd) < 0)
        die(path);
    for (int i = 0; i < n; i++) {
        ev.data.fd = i;
        if (epoll_ctl(poll, EPOLL_CTL_ADD, from[i], &ev) < 0)
            die("bare_sink: epoll_ctl");
    }
    for (;;) {
        size_t filled = 0, count[64] = {0};
        int ready = epoll_wait(poll, got, 64, -1), more = 0;

        for (int k = 0; k < ready; k++) {
            int i = got[k].data.fd;

            while (count[i] < 256 && filled + BODY_MAX <= sizeof batch &&
                   (count[i] == 0 || (ioctl(from[i], FIONREAD, &more) == 0 && more > 0))) {
                struct handed *h = &done[i][count[i]];

                if (!get_all(from[i], h, sizeof *h) || h->n > BODY_MAX ||
                    !get_all(from[i], batch + filled, h->n))
                    exit(0);
                filled += h->n;
                count[i]++;
            }
        }
        if (at + (off_t)filled > (off_t)DISK_SIZE)
            at = 0;
        if (pwrite(fd, batch, filled, at) != (ssize_t)filled || fdatasync(fd) < 0)
            die(path);
        at += (off_t)filled;
        for (int i = 0; i < n; i++)
            if (count[i])
                put_all(from[i], done[i], count[i] * sizeof done[i][0]);
    }
}

/* -d: a socket for each process to the writer, which runs beside them. */
static int *begin_writer(const char *path, int processes)
{
    int *ours = calloc((size_t)processes, sizeof *ours);
    int *theirs = calloc((size_t)processes, sizeof *theirs), pair[2];

    if (!ours || !theirs)
        die("bare_sink");
    for (int i = 0; i < processes; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
            die("bare_sink: socketpair");
        ours[i] = pair[0];
        theirs[i] = pair[1];
    }
    if (fork() == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        write_to_disk(path, theirs, processes);
    }
    return ours;
}

static int serve(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event ev = {.events = EPOLLIN}, got[64];
    int one = 1, poll = epoll_create1(EPOLL_CLOEXEC);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (poll < 0 || listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0 ||
        bind(listener, (struct sockaddr *)&a, sizeof a) < 0 ||
        listen(listener, 1024) < 0 ||
        epoll_ctl(poll, EPOLL_CTL_ADD, listener, &ev) < 0) {
        perror("bare_sink");
        return 1;
    }
    ev.data.ptr = &writer;
    if (writer >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, writer, &ev) < 0)
        die("bare_sink: epoll_ctl");
    for (;;) {
        int n = epoll_wait(poll, got, 64, -1);

        for (int i = 0; i < n; i++) {
            struct session *s = got[i].data.ptr;

            if (!s)
                welcome(poll, listener);
            else if (got[i].data.ptr == &writer)
                acknowledge();
            else if (!readable(s))
                end(s);
        }
    }
}

static _Atomic uint64_t *open_counter(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    void *p = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof *counter) == 0)
        p = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        perror(path);
        exit(66);
    }
    return p;
}

int main(int argc, char **argv)
{
    const char *disk = argc > 2 && strcmp(argv[1], "-d") == 0 ? argv[2] : NULL;
    int processes, *writers = NULL, mine = 0;

    argv += disk ? 2 : 0;
    argc -= disk ? 2 : 0;
    processes = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 2;
    if (argc < 4 || processes < 1 || processes > 64) {
        fprintf(stderr, "usage: bare_sink [-d FILE] PORT CERTIFICATE KEY [PROCESSES "
                        "[COUNTER]]\n");
        return 64;
    }
    if (disk)
        writers = begin_writer(disk, processes);
    if (argc > 5)
        counter = open_counter(argv[5]);
    ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, argv[3], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set_num_tickets(ctx, 0) != 1) {
        ERR_print_errors_fp(stderr);
        return 65;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    for (int i = 1; i < processes; i++)
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
            mine = i;
            break;
        }
    writer = writers ? writers[mine] : -1;
    return serve((uint16_t)strtol(argv[1], NULL, 10));
}
