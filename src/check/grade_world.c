/* grade_world.c - keys, certificates, messages and the command: see grade_i.h. */
#include "grade_i.h"

#include "alloc.h"
#include "err.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_MAX = 1 << 16, WORD_MAX = 4096 };

uint64_t grade_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- files ---- */

/* Readable by others where it is no secret: a command may run as another user. */
static int put_file(const char *path, mode_t mode, struct sp_str s, struct sp_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool ok = fd >= 0;

    while (ok && s.n) {
        ssize_t n = write(fd, s.p, s.n);

        ok = n > 0 || (n < 0 && errno == EINTR);
        if (n > 0)
            s = (struct sp_str){s.p + n, s.n - (size_t)n};
    }
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    return ok ? 0
              : sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write %s", path);
}

static int put_pem(const char *path, mode_t mode, const struct sp_throwaway *t,
                   bool key, struct sp_err *err)
{
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, 1 << 16);
    rc = sp_throwaway_pem(t, key, &b, err);
    if (rc == 0)
        rc = put_file(path, mode, sp_buf_view(&b), err);
    sp_buf_wipe(&b);
    return rc;
}

static int make_folder(struct grade *g, struct sp_err *err)
{
    static const char *const names[] = {
        [P_CA] = "ca.pem",           [P_CERT] = "client.pem",
        [P_KEY] = "client.key",      [P_PASSWORD] = "password",
        [P_MESSAGE] = "message.eml", [P_MESSAGE_CRLF] = "message-crlf.eml",
    };
    const char *tmp = getenv("TMPDIR");

    if (!tmp || strlen(tmp) > 40)
        tmp = "/tmp";
    snprintf(g->dir, sizeof g->dir, "%s/sallyport.XXXXXX", tmp);
    if (!mkdtemp(g->dir)) {
        g->dir[0] = '\0';
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot make a folder in %s",
                          tmp);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        snprintf(g->path[i], sizeof g->path[i], "%s/%s", g->dir, names[i]);
    return 0;
}

/* ---- secrets and certificates ---- */

static int random_text(char *out, size_t n, struct sp_err *err)
{
    static const char set[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz23456789";
    unsigned char r[64];

    if (RAND_bytes(r, sizeof r) != 1)
        return sp_err_set(err, SP_CLASS_BUG, SP_EIO, "no random numbers");
    for (size_t i = 0; i < n; i++)
        out[i] = set[r[i] % (sizeof set - 1)];
    out[n] = '\0';
    return 0;
}

/* Whatever the client's certificate is, the handshake goes on: it is looked at later. */
static int any_certificate(int ok, X509_STORE_CTX *x)
{
    (void)ok;
    (void)x;
    return 1;
}

static int context(struct grade *g, enum grade_cert k, struct sp_err *err)
{
    SSL_CTX *ctx = g->ctx[k] = SSL_CTX_new(TLS_server_method());

    if (!ctx || SSL_CTX_use_certificate(ctx, g->server[k]->cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, g->server[k]->key) != 1 ||
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
        return sp_err_set(err, SP_CLASS_BUG, SP_ETLS, "cannot set TLS up");
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return 0;
}

static int certificates(struct grade *g, struct sp_err *err)
{
    static const char names[] = "DNS:localhost,IP:127.0.0.1,IP:::1";
    const struct sp_throwaway_want want[CERT_KINDS] = {
        [CERT_GOOD] = {"localhost", names, false, -1, 7},
        [CERT_WRONG_NAME] = {"mail.elsewhere.test", "DNS:mail.elsewhere.test", false,
                             -1, 7},
        [CERT_UNTRUSTED] = {"localhost", names, false, -1, 7},
        [CERT_EXPIRED] = {"localhost", names, false, -30, -1},
    };
    const struct sp_throwaway_want client = {g->user, "email:prober@check.test", true,
                                             -1, 7};
    int rc = sp_throwaway_ca("Authority of one sallyport check", &g->ca, err);

    if (rc == 0)
        rc = sp_throwaway_ca("Authority that nobody trusts", &g->other_ca, err);
    for (int k = 0; rc == 0 && k < CERT_KINDS; k++) {
        rc = sp_throwaway_leaf(k == CERT_UNTRUSTED ? g->other_ca : g->ca, &want[k],
                               &g->server[k], err);
        if (rc == 0)
            rc = context(g, (enum grade_cert)k, err);
    }
    if (rc == 0)
        rc = sp_throwaway_leaf(g->ca, &client, &g->client, err);
    if (rc == 0)
        rc = put_pem(g->path[P_CA], 0644, g->ca, false, err);
    if (rc == 0)
        rc = put_pem(g->path[P_CERT], 0644, g->client, false, err);
    return rc < 0 ? rc : put_pem(g->path[P_KEY], 0600, g->client, true, err);
}

int grade_world(struct grade *g, struct sp_err *err)
{
    char line[40];
    int rc = make_folder(g, err);

    g->user = "prober";
    g->from = "prober@check.test";
    g->to2 = "second@check.test";
    if (rc == 0)
        rc = random_text(g->password, 24, err);
    if (rc == 0)
        rc = certificates(g, err);
    snprintf(line, sizeof line, "%s\n", g->password);
    for (int k = 0; rc == 0 && k < CERT_KINDS; k++)
        if (!g->o->argv || g->at_hand & NEED_CERT)
            SSL_CTX_set_verify(g->ctx[k], SSL_VERIFY_PEER, any_certificate);
    return rc < 0 ? rc : put_file(g->path[P_PASSWORD], 0600, sp_str(line), err);
}

void grade_world_end(struct grade *g)
{
    for (size_t i = 0; g->dir[0] && i < sizeof g->path / sizeof *g->path; i++)
        if (g->path[i][0])
            (void)unlink(g->path[i]);
    if (g->dir[0])
        (void)rmdir(g->dir);
    for (int k = 0; k < CERT_KINDS; k++) {
        SSL_CTX_free(g->ctx[k]);
        sp_throwaway_free(g->server[k]);
    }
    sp_throwaway_free(g->client);
    sp_throwaway_free(g->ca);
    sp_throwaway_free(g->other_ca);
    sp_buf_free(&g->message);
}

/* ---- the message of a case ---- */

/* A line whose beginning would end the message, were it not stuffed; behind each stands
 * a command: whoever executes it was smuggled to (CVE-2023-51764 and kin). */
static int put_body(struct grade *g, struct sp_buf *b)
{
    switch (g->c->message) {
    case MESSAGE_DOTS:
        return sp_buf_printf(b,
                             ".\r\nNOOP %s\r\n..\r\n...\r\n.dot in front\r\n. \r\n\r\n"
                             ".\r\n\r\nThe end %s\r\n.\r\n",
                             g->marker, g->marker);
    case MESSAGE_LONG:
        return sp_buf_printf(b, "%0998d\r\n.%0996d\r\n%01500dTail\r\nThe end %s\r\n", 1,
                             2, 3, g->marker);
    case MESSAGE_BARE:
        return sp_buf_printf(b,
                             "A bare CR\rand a bare LF\nhere\r\n"
                             "One\n.\r\nNOOP %s\r\nTwo\n.\nNOOP %s\r\n"
                             "Three\r.\r\nNOOP %s\r\nThe end %s\r\n",
                             g->marker, g->marker, g->marker, g->marker);
    case MESSAGE_NUL:
        return sp_buf_printf(b, "A NUL %c here\r\nThe end %s\r\n", 0, g->marker);
    case MESSAGE_OPEN_END:
        return sp_buf_printf(b, "The end %s", g->marker);
    case MESSAGE_8BIT:
        return sp_buf_printf(b,
                             "Gr\xc3\xbc\xc3\x9f"
                             "e\r\nThe end %s\r\n",
                             g->marker);
    case MESSAGE_PLAIN:
    case MESSAGE_KINDS:
        break;
    }
    return sp_buf_printf(b, "A second line.\r\n\r\nThe end %s\r\n", g->marker);
}

static int put_header(struct grade *g, struct sp_buf *b)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
    return sp_buf_printf(
        b,
        "From: %s\r\nTo: %s\r\nSubject: sallyport check\r\nDate: %s\r\n"
        "Message-ID: <%s@check.test>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=%s\r\n"
        "Content-Transfer-Encoding: %s\r\n\r\nMarker %s\r\n",
        g->from, "someone@check.test", date, g->marker,
        g->c->message == MESSAGE_8BIT ? "utf-8" : "us-ascii",
        g->c->message == MESSAGE_8BIT ? "8bit" : "7bit", g->marker);
}

int grade_message(struct grade *g, struct sp_err *err)
{
    struct sp_buf lf;
    int rc = random_text(g->marker, 24, err);

    sp_buf_free(&g->message);
    sp_buf_init(&g->message, MESSAGE_MAX);
    sp_buf_init(&lf, MESSAGE_MAX);
    g->to = g->c->utf8_to ? "s\xc3\xb6meone@check.test" : "someone@check.test";
    if (rc == 0 && (put_header(g, &g->message) < 0 || put_body(g, &g->message) < 0))
        rc = sp_err_nomem(err);
    /* Text as programs of this system keep it; but bare ones stay what they are. */
    for (size_t i = 0; rc == 0 && i < g->message.n; i++)
        if (g->c->message == MESSAGE_BARE || g->message.p[i] != '\r' ||
            i + 1 == g->message.n || g->message.p[i + 1] != '\n')
            rc = sp_buf_put(&lf, &g->message.p[i], 1);
    if (rc == 0)
        rc = put_file(g->path[P_MESSAGE], 0644, sp_buf_view(&lf), err);
    sp_buf_free(&lf);
    return rc < 0
               ? rc
               : put_file(g->path[P_MESSAGE_CRLF], 0644, sp_buf_view(&g->message), err);
}

/* ---- the command ---- */

static int substitute(struct grade *g, const char *word, struct sp_buf *out)
{
    char port[8], tls_port[8];
    const struct {
        const char *name, *value;
    } table[] = {
        {"{host}", "localhost"},
        {"{port}", port},
        {"{tls-port}", tls_port},
        {"{ca}", g->path[P_CA]},
        {"{cert}", g->path[P_CERT]},
        {"{key}", g->path[P_KEY]},
        {"{user}", g->user},
        {"{password}", g->password},
        {"{password-file}", g->path[P_PASSWORD]},
        {"{message}", g->path[P_MESSAGE]},
        {"{message-crlf}", g->path[P_MESSAGE_CRLF]},
        {"{from}", g->from},
        {"{to}", g->to},
        {"{to2}", g->to2},
    };
    int rc = 0;

    snprintf(port, sizeof port, "%u", g->port);
    snprintf(tls_port, sizeof tls_port, "%u", g->tls_port);
    while (rc == 0 && *word) {
        size_t i = 0, n = sizeof table / sizeof *table;

        while (i < n && strncmp(word, table[i].name, strlen(table[i].name)) != 0)
            i++;
        rc = i < n ? sp_buf_puts(out, table[i].value) : sp_buf_put(out, word, 1);
        word += i < n ? strlen(table[i].name) : 1;
    }
    return rc;
}

/* In the child.  A group of its own, so that what it starts ends with it. */
static void become(char **argv, int in, int out)
{
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    execvp(argv[0], argv);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static int fill(struct grade *g, char **argv, size_t max, struct sp_err *err)
{
    size_t n = 0;

    for (; g->o->argv[n]; n++) {
        struct sp_buf b;
        bool ok;

        sp_buf_init(&b, WORD_MAX);
        ok = n + 1 < max && substitute(g, g->o->argv[n], &b) == 0 && sp_buf_cstr(&b);
        argv[n] = ok ? sp_strdup(b.p) : NULL;
        sp_buf_wipe(&b);
        if (!argv[n])
            return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT,
                              "the command has too many or too long words");
    }
    return 0;
}

int grade_start(struct grade *g, struct sp_err *err)
{
    enum { WORDS = 200 };
    char *argv[WORDS] = {NULL};
    int in = open(g->path[P_MESSAGE], O_RDONLY | O_CLOEXEC), out[2] = {-1, -1};
    int rc = fill(g, argv, WORDS, err);

    g->n_said = 0;
    g->pid = g->group = -1;
    if (rc == 0 && (in < 0 || pipe2(out, O_CLOEXEC) < 0))
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot start the command");
    if (rc == 0) {
        (void)fcntl(out[0], F_SETFL, O_NONBLOCK);
        fflush(NULL);
        g->pid = fork();
        if (g->pid == 0)
            become(argv, in, out[1]);
        if (g->pid < 0)
            rc = sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot fork");
        else
            (void)setpgid(g->pid, g->pid); /* whichever of the two is first */
        g->group = g->pid;
    }
    if (in >= 0)
        close(in);
    if (out[1] >= 0)
        close(out[1]);
    if (rc < 0 && out[0] >= 0)
        close(out[0]);
    g->said_fd = rc < 0 ? -1 : out[0];
    for (size_t i = 0; argv[i]; i++)
        sp_free(argv[i]);
    return rc;
}

void grade_hear(struct grade *g)
{
    char block[4096];
    ssize_t n;

    while (g->said_fd >= 0 && (n = read(g->said_fd, block, sizeof block)) != 0) {
        size_t room = sizeof g->said - g->n_said, take;

        if (n < 0)
            return;
        take = (size_t)n < room ? (size_t)n : room; /* the rest is read and forgotten */
        memcpy(g->said + g->n_said, block, take);
        g->n_said += take;
    }
    if (g->said_fd >= 0) {
        close(g->said_fd);
        g->said_fd = -1;
    }
}

bool grade_ended(struct grade *g)
{
    if (g->pid > 0 && waitpid(g->pid, &g->status, WNOHANG) == g->pid) {
        grade_hear(g);
        g->pid = -1;
    }
    return g->pid < 0;
}

void grade_kill(struct grade *g)
{
    if (g->pid > 0)
        (void)kill(-g->group, SIGTERM);
    for (int i = 0; i < 50 && !grade_ended(g); i++)
        (void)poll(NULL, 0, 20);
    if (g->group > 0)
        (void)kill(-g->group, SIGKILL); /* it, or what it left behind */
    while (g->pid > 0 && waitpid(g->pid, &g->status, 0) < 0 && errno == EINTR)
        ;
    grade_hear(g);
    if (g->said_fd >= 0)
        close(g->said_fd);
    g->said_fd = -1;
    g->pid = g->group = -1;
}
