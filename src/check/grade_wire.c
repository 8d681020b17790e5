/*
 * grade_wire.c - connections of the client under test: see grade_i.h.
 *
 * Sockets block, with time limits: the one client waits for us anyway, and a server that
 * misbehaves on purpose is easier to read in straight lines.
 */
#include "grade_i.h"

#include "alloc.h"
#include "text.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { IO_S = 5, LINGER_MS = 300 };

const char *grade_where(const struct grade_conn *c, char buf[24])
{
    if (c->no > 1)
        snprintf(buf, 24, "%s, connection %u", c->tls ? "TLS" : "clear", c->no % 10000);
    else
        snprintf(buf, 24, "%s", c->tls ? "TLS" : "clear");
    return buf;
}

void grade_close(struct grade *g, struct grade_conn *c, bool reset)
{
    struct linger hard = {1, 0};

    if (c->fd < 0)
        return;
    if (reset)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    else if (c->ssl && SSL_is_init_finished(c->ssl) && !c->eof)
        (void)SSL_shutdown(c->ssl);
    ERR_clear_error();
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    c->fd = -1;
    sp_sasl_free(c->sasl);
    c->sasl = NULL;
    sp_buf_free(&c->in);
    sp_buf_free(&c->body);
    (void)g;
}

/* ---- octets ---- */

static ssize_t get(struct grade_conn *c, char *p, size_t n)
{
    int k;

    if (!c->ssl)
        return recv(c->fd, p, n, 0);
    ERR_clear_error();
    k = SSL_read(c->ssl, p, (int)n);
    if (k > 0)
        return k;
    k = SSL_get_error(c->ssl, k);
    if (k == SSL_ERROR_WANT_READ || k == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    ERR_clear_error();
    return 0;
}

static bool ready(struct grade_conn *c, int wait_ms)
{
    struct pollfd p = {c->fd, POLLIN, 0};

    return (c->ssl && SSL_pending(c->ssl) > 0) || poll(&p, 1, wait_ms) > 0;
}

bool grade_more(struct grade *g, struct grade_conn *c, int wait_ms)
{
    bool some = false;

    while (c->fd >= 0 && !c->eof && ready(c, some ? 0 : wait_ms)) {
        char *p = sp_buf_room(&c->in, 4096);
        ssize_t n = p ? get(c, p, 4096) : 0;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            c->eof = true;
            break;
        }
        c->in.n += (size_t)n;
        c->last_ms = grade_ms();
        some = true;
    }
    (void)g;
    return some;
}

static bool put(struct grade_conn *c, const char *p, size_t n)
{
    while (n) {
        ssize_t k;

        if (c->ssl) {
            ERR_clear_error();
            k = SSL_write(c->ssl, p, n > 16384 ? 16384 : (int)n);
        } else {
            k = send(c->fd, p, n, MSG_NOSIGNAL);
        }
        if (k < 0 && !c->ssl && errno == EINTR)
            continue;
        if (k <= 0) {
            ERR_clear_error();
            return false;
        }
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* What a reply looks like in the record: its lines, but not thousands of them. */
static void record_lines(struct grade *g, const struct grade_conn *c, struct sp_str s)
{
    for (unsigned lines = 0; s.n && lines < 40; lines++) {
        struct sp_str l = sp_str_cut(&s, '\n');

        if (l.n && l.p[l.n - 1] == '\r')
            l.n--;
        grade_record(g, c, SP_EV_SERVER, l);
    }
}

bool grade_send(struct grade *g, struct grade_conn *c, struct sp_str s, bool quiet)
{
    bool ok = c->fd >= 0;

    if (!quiet)
        record_lines(g, c, s);
    if (g->c->slow_ms == 0)
        return ok && put(c, s.p, s.n);
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = put(c, s.p + i, 1);
        (void)poll(NULL, 0, (int)g->c->slow_ms);
    }
    return ok;
}

/* ---- TLS ---- */

/* Is this the certificate that was made for the client? */
static bool ours(const struct grade *g, SSL *ssl)
{
    X509 *x = SSL_get1_peer_certificate(ssl);
    bool same = x && X509_cmp(x, g->client->cert) == 0;

    X509_free(x);
    return same;
}

void grade_handshake(struct grade *g, struct grade_conn *c)
{
    SSL *ssl = SSL_new(g->ctx[g->c->cert]);
    const char *why;
    int k;

    if (!ssl || SSL_set_fd(ssl, c->fd) != 1) {
        SSL_free(ssl);
        c->eof = true;
        return;
    }
    if (g->c->ask_cert)
        SSL_set_verify(ssl, SSL_VERIFY_PEER,
                       SSL_CTX_get_verify_callback(SSL_get_SSL_CTX(ssl)));
    ERR_clear_error();
    k = SSL_accept(ssl);
    if (k != 1) {
        why = ERR_reason_error_string(ERR_peek_last_error());
        grade_note(g, c, "the TLS handshake failed: %s",
                   why ? why : "the client closed the connection");
        grade_see(g, SEEN_TLS_FAILED);
        ERR_clear_error();
        SSL_free(ssl);
        c->eof = true;
        return;
    }
    c->ssl = ssl;
    c->tls = true;
    c->greeted = c->extended = c->mail = false;
    c->login = c->login_refused = false;
    c->cert = ours(g, ssl);
    grade_see(g, SEEN_TLS);
    if (c->cert)
        grade_see(g, SEEN_CERT);
    grade_note(g, c, "%s begins%s", SSL_get_version(ssl),
               c->cert ? ", with the client's certificate" : "");
}

/* ---- what the loop calls ---- */

static struct grade_conn *free_place(struct grade *g)
{
    for (size_t i = 0; i < GRADE_CONNS; i++)
        if (g->conn[i].fd < 0)
            return &g->conn[i];
    return NULL;
}

void grade_accept(struct grade *g, int listener, bool implicit)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
    struct grade_conn *c = free_place(g);
    struct timeval limit = {IO_S, 0};

    if (fd < 0)
        return;
    if (!c) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    memset(c, 0, sizeof *c);
    c->fd = fd;
    c->no = ++g->conns;
    c->implicit = implicit;
    c->last_ms = grade_ms();
    sp_buf_init(&c->in, GRADE_IN);
    sp_buf_init(&c->body, GRADE_IN);
    grade_see(g, SEEN_CONNECTED);
    grade_note(g, c, "connected%s", implicit ? " to the port with implicit TLS" : "");
    if (implicit)
        grade_handshake(g, c);
    if (!c->eof)
        grade_greet(g, c);
}

static void end_conn(struct grade *g, struct grade_conn *c)
{
    if (c->closing) {
        grade_close(g, c, false);
        return;
    }
    grade_note(g, c, "the client closed the connection");
    if (c->silent)
        grade_see(g, SEEN_LEFT);
    grade_close(g, c, false);
}

void grade_readable(struct grade *g, struct grade_conn *c)
{
    bool some = grade_more(g, c, 0);

    if (some && !c->closing && !c->silent)
        grade_octets(g, c);
    else if (some)
        c->in.n = 0;
    if (c->fd >= 0 && (c->eof || (c->closing && grade_ms() - c->last_ms > LINGER_MS)))
        end_conn(g, c);
}

/* We are done with it: give the client a moment to read the last reply, so that the
 * close is no reset that takes the reply away. */
void grade_idle(struct grade *g, struct grade_conn *c)
{
    if (c->closing && grade_ms() - c->last_ms > LINGER_MS)
        grade_close(g, c, false);
}
