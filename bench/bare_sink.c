/*
 * bare_sink.c - what the kernel, OpenSSL and the load generator leave possible.
 *
 *     bare_sink PORT CERTIFICATE KEY [PROCESSES [COUNTER]]
 *
 * An SMTP server for bench/compare that only answers: STARTTLS with the same OpenSSL, any
 * password is right, a message is read to its end and forgotten.  One process for each
 * CPU, one epoll loop in each, no check of anything, no disk.  Not a mail server: it
 * listens on 127.0.0.1 and nothing may depend on it.  With COUNTER it offers no TLS and
 * counts the messages in the first eight octets of that file.
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_ 16384 /* an AUTH line of 12288 octets fits */

struct session {
    int fd;
    SSL *ssl;  /* NULL in clear */
    bool body; /* between 354 and the final dot */
    bool wait_starttls;
    size_t n;      /* octets of an unfinished line */
    unsigned tail; /* the last five octets of a body, as far as they match the end */
    char line[LINE_MAX_];
};

static SSL_CTX *ctx;
static _Atomic uint64_t *counter; /* shared by all processes; NULL: nobody counts */

static void end(struct session *s)
{
    if (s->ssl) {
        (void)SSL_shutdown(s->ssl);
        SSL_free(s->ssl);
    }
    (void)close(s->fd);
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

static bool take(struct session *s, const char *p, size_t n)
{
    char out[4096] = "";
    bool go_on = true;

    for (size_t i = 0; i < n && go_on; i++) {
        if (s->body) {
            s->tail = step(s->tail, p[i]);
            if (s->tail == 5) {
                s->body = false;
                if (counter)
                    atomic_fetch_add(counter, 1);
                (void)strncat(out, "250 2.0.0 forgotten\r\n",
                              sizeof out - strlen(out) - 1);
            }
        } else if (p[i] == '\n') {
            s->line[s->n] = 0;
            s->n = 0;
            go_on = answer(s, s->line, out, sizeof out);
        } else if (s->n < sizeof s->line - 1) {
            s->line[s->n++] = p[i];
        }
    }
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
    for (;;) {
        int n = epoll_wait(poll, got, 64, -1);

        for (int i = 0; i < n; i++) {
            struct session *s = got[i].data.ptr;

            if (!s)
                welcome(poll, listener);
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
    int processes = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 2;

    if (argc < 4) {
        fprintf(stderr,
                "usage: bare_sink PORT CERTIFICATE KEY [PROCESSES [COUNTER]]\n");
        return 64;
    }
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
            break;
        }
    return serve((uint16_t)strtol(argv[1], NULL, 10));
}
