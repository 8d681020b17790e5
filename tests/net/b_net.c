/*
 * b_net.c - what a TLS session costs the server's side: memory while idle, CPU for a
 * handshake, throughput of one connection; each beside OpenSSL on a blocking socket with
 * nothing around it, which is the bound.  The client is another process.
 *
 * Meant for a release build; numbers of other builds mean nothing.
 */
#include "listen.h"
#include "netaddr.h"
#include "tpki.h"

#include <malloc.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDLE   1000
#define SHAKES 1500
#define STREAM (512UL << 20)

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double pss_kb(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[200];
    long kb = 0;

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "Private_Dirty:", 14) == 0)
            kb = strtol(line + 14, NULL, 10);
    if (f)
        fclose(f);
    return (double)kb;
}

/* ---- the client: plain OpenSSL on blocking sockets ---- */

static SSL_CTX *raw_ctx(bool client, struct tcert *c)
{
    SSL_CTX *ctx = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());

    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (c) {
        SSL_CTX_use_certificate(ctx, c->x);
        SSL_CTX_use_PrivateKey(ctx, c->key);
    }
    return ctx;
}

static SSL *raw_session(SSL_CTX *ctx, int fd, bool client)
{
    SSL *s = SSL_new(ctx);

    SSL_set_fd(s, fd);
    if ((client ? SSL_connect(s) : SSL_accept(s)) != 1) {
        fprintf(stderr, "handshake failed\n");
        _exit(1);
    }
    return s;
}

static int tcp_to(uint16_t port)
{
    struct sockaddr_storage ss;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (sp_addr_literal("127.0.0.1", port, &ss) < 0 ||
        connect(fd, (struct sockaddr *)&ss, sp_addr_len(&ss)) < 0)
        _exit(1);
    return fd;
}

enum job { JOB_IDLE, JOB_SHAKE, JOB_CERT, JOB_STREAM };

static void client(enum job job, uint16_t port)
{
    SSL_CTX *ctx = raw_ctx(true, job == JOB_CERT ? tpki_get()->alice : NULL);
    static char block[65536];

    if (job == JOB_IDLE) {
        for (int i = 0; i < IDLE; i++) {
            SSL *s = raw_session(ctx, tcp_to(port), true);

            SSL_write(s, "EHLO x\r\n", 8);
            SSL_read(s, block, sizeof block);
        }
        pause();
    }
    for (int i = 0; job != JOB_STREAM && i < SHAKES; i++) {
        int fd = tcp_to(port);
        SSL *s = raw_session(ctx, fd, true);

        SSL_read(s, block, sizeof block);
        SSL_shutdown(s);
        SSL_free(s);
        close(fd);
    }
    if (job == JOB_STREAM) {
        SSL *s = raw_session(ctx, tcp_to(port), true);

        for (size_t n = 0; n < STREAM; n += sizeof block)
            SSL_write(s, block, sizeof block);
        SSL_shutdown(s);
    }
    _exit(0);
}

static pid_t start_client(enum job job, uint16_t port)
{
    pid_t pid = fork();

    if (pid == 0)
        client(job, port);
    return pid;
}

/* ---- the bound ---- */

static void raw_server(enum job job, double *cpu, double *wall)
{
    SSL_CTX *ctx = raw_ctx(false, tpki_get()->server);
    static char block[65536];
    struct sp_err err;
    uint64_t t;
    pid_t pid;
    int fd, lfd, status;
    double c0;

    if (job == JOB_CERT) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), tpki_get()->ca->x);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    if (sp_listen_bind("127.0.0.1:0", false, &lfd, &err) < 0)
        abort();
    {
        struct sockaddr_storage ss;
        socklen_t n = sizeof ss;

        getsockname(lfd, (struct sockaddr *)&ss, &n);
        pid = start_client(job, sp_addr_port((struct sockaddr *)&ss));
    }
    c0 = cpu_s();
    t = uv_hrtime();
    for (int i = 0; i < (job == JOB_STREAM ? 1 : SHAKES); i++) {
        SSL *s;

        while ((fd = accept(lfd, NULL, NULL)) < 0)
            usleep(20);
        s = raw_session(ctx, fd, false);
        if (job != JOB_STREAM)
            SSL_write(s, "220 x\r\n", 7);
        while (SSL_read(s, block, sizeof block) > 0)
            ;
        SSL_shutdown(s);
        SSL_free(s);
        close(fd);
    }
    *cpu = cpu_s() - c0;
    *wall = (double)(uv_hrtime() - t) * 1e-9;
    waitpid(pid, &status, 0);
    close(lfd);
    SSL_CTX_free(ctx);
}

/* ---- ours ---- */

static struct sp_tls_ctx *ctx;
static enum job now;
static int greeted, gone;
static size_t streamed;
static char sink[65536];

static size_t b_read(struct sp_conn *c, const char *p, size_t n, void *arg)
{
    (void)p;
    (void)arg;
    sp_conn_write(c, "250 hello\r\n", 11);
    sp_conn_deadline(c, 300000);
    greeted++;
    return n;
}

static char *b_room(struct sp_conn *c, size_t *cap, void *arg)
{
    (void)c;
    (void)arg;
    *cap = sizeof sink;
    return now == JOB_STREAM ? sink : NULL;
}

static void b_filled(struct sp_conn *c, size_t n, void *arg)
{
    (void)c;
    (void)arg;
    streamed += n;
}

static void b_tls(struct sp_conn *c, const struct sp_err *err, void *arg)
{
    struct sp_tls_facts f;

    (void)arg;
    if (err) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
    if (!sp_conn_facts(c, &f) || (now == JOB_CERT && !f.verdict.chain_ok))
        exit(1);
    if (now == JOB_SHAKE || now == JOB_CERT)
        sp_conn_write(c, "220 x\r\n", 7);
}

static void b_end(struct sp_conn *c, const struct sp_end *e, void *arg)
{
    (void)e;
    (void)arg;
    sp_conn_close(c);
}

static void b_closed(void *arg)
{
    (void)arg;
    gone++;
}

static const struct sp_conn_ops b_ops = {.on_read = b_read,
                                         .on_room = b_room,
                                         .on_filled = b_filled,
                                         .on_tls = b_tls,
                                         .on_end = b_end,
                                         .on_closed = b_closed};

static void b_accept(struct sp_conn *c, void *arg)
{
    (void)arg;
    sp_conn_start(c, &b_ops, NULL);
    sp_conn_deadline(c, 300000);
    if (sp_conn_start_tls(c, ctx, NULL, NULL) < 0)
        exit(1);
}

static void ours(enum job job, double *cpu, double *wall, double *kb)
{
    struct sp_tls_server_opts o = {.ask_client = job == JOB_CERT};
    struct sp_listen *l;
    struct sp_err err;
    uv_loop_t loop;
    struct sp_net *net;
    uint64_t t;
    int fd, status;
    pid_t pid;
    double c0;

    o.client_ca = pem(tpki_get()->ca->cert_pem, "ca");
    ctx = server_ctx(tpki_get()->server, o);
    now = job;
    greeted = gone = 0;
    streamed = 0;
    uv_loop_init(&loop);
    net = sp_net_new(&loop);
    if (sp_listen_bind("127.0.0.1:0", false, &fd, &err) < 0 ||
        sp_listen_fd(net, fd, b_accept, NULL, &l, &err) < 0)
        abort();
    pid = start_client(job, sp_listen_port(l));
    uv_run(&loop, UV_RUN_NOWAIT);
    malloc_trim(0);
    *kb = pss_kb();
    c0 = cpu_s();
    t = uv_hrtime();
    while (job == JOB_IDLE ? greeted < IDLE : gone < (job == JOB_STREAM ? 1 : SHAKES))
        uv_run(&loop, UV_RUN_ONCE);
    *cpu = cpu_s() - c0;
    *wall = (double)(uv_hrtime() - t) * 1e-9;
    malloc_trim(0);
    *kb = pss_kb() - *kb;
    if (job == JOB_STREAM && streamed != STREAM)
        fprintf(stderr, "lost octets: %zu\n", STREAM - streamed);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    sp_listen_free(l);
    sp_net_free(net);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    sp_tls_unref(ctx);
}

int main(void)
{
    struct rlimit r = {4096, 4096};
    double cpu, wall, kb, cpu0, wall0;

    setrlimit(RLIMIT_NOFILE, &r);
    (void)tpki_get();
    ours(JOB_IDLE, &cpu, &wall, &kb);
    printf("idle TLS 1.3 sessions     %6.1f kB each (%d of them, private memory)\n",
           kb / IDLE, IDLE);
    for (int cert = 0; cert < 2; cert++) {
        enum job job = cert ? JOB_CERT : JOB_SHAKE;

        raw_server(job, &cpu0, &wall0);
        ours(job, &cpu, &wall, &kb);
        printf("handshake%s %6.0f us of CPU, bare OpenSSL %.0f, ratio %.2f\n",
               cert ? " + certificate " : ", 1 write, end", cpu / SHAKES * 1e6,
               cpu0 / SHAKES * 1e6, cpu / cpu0);
    }
    raw_server(JOB_STREAM, &cpu0, &wall0);
    ours(JOB_STREAM, &cpu, &wall, &kb);
    printf("one stream in            %6.0f MB/s, bare OpenSSL %.0f, ratio %.2f; "
           "CPU %.2f s, bare %.2f\n",
           (double)(STREAM >> 20) / wall, (double)(STREAM >> 20) / wall0, wall0 / wall,
           cpu, cpu0);
    return 0;
}
