/*
 * acct_dovecot.c - Dovecot judges: its authentication protocol, client side, version 1.2.
 *
 *     them  VERSION 1 2, MECH ..., SPID, CUID, COOKIE, DONE
 *     us    VERSION 1 2, CPID
 *     us    AUTH id mechanism service=smtp secured resp=base64     them  OK, CONT or FAIL
 *     us    CONT id base64
 *
 * Fields are separated by tabs and lines end in LF: neither may come from a user.  An
 * exchange of several steps has a connection of its own.  The second socket (auth-userdb,
 * "USER id name service=smtp") tells whom Dovecot knows; it shows no password.
 */
#include "acct.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { IN_MAX = 65536, OUT_MAX = 32768 };

struct wire { /* one connection */
    int fd;   /* -1: none */
    struct sp_buf in;
    size_t line; /* octets of `in` that the last line took */
    unsigned id;
};

struct dovecot {
    const struct sp_conf_accounts *c;
    struct wire auth, user;
};

struct exchange {
    struct sp_acct_exchange head;
    struct wire w;
};

static void wire_init(struct wire *w)
{
    w->fd = -1;
    sp_buf_init(&w->in, IN_MAX);
}

static void hang_up(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    sp_buf_wipe(&w->in);
    w->line = 0;
}

static void *dovecot_open(const struct sp_conf_accounts *c, struct sp_str secret,
                          struct sp_err *err)
{
    struct dovecot *d = sp_alloc(sizeof *d);

    (void)secret;
    if (!d) {
        (void)sp_err_nomem(err);
        return NULL;
    }
    d->c = c;
    wire_init(&d->auth);
    wire_init(&d->user);
    return d;
}

static void dovecot_close(void *self)
{
    struct dovecot *d = self;

    hang_up(&d->auth);
    hang_up(&d->user);
    sp_free(d);
}

/* ---- lines ---- */

static bool wait_for(int fd, short events, uint64_t until_ms)
{
    struct pollfd f = {.fd = fd, .events = events};
    uint64_t now = sp_acct_now_ms();

    return now < until_ms && poll(&f, 1, (int)(until_ms - now)) > 0;
}

/* The next line without its end; p NULL: none in time, or the other side is gone. */
static struct sp_str read_line(struct wire *w, uint64_t until_ms)
{
    sp_buf_drop(&w->in, w->line);
    w->line = 0;
    for (;;) {
        char *end = w->in.n ? memchr(w->in.p, '\n', w->in.n) : NULL, *room;
        ssize_t n;

        if (end) {
            w->line = (size_t)(end - w->in.p) + 1;
            return (struct sp_str){w->in.p, w->line - 1};
        }
        room = sp_buf_room(&w->in, 4096);
        if (!room || !wait_for(w->fd, POLLIN, until_ms))
            return (struct sp_str){NULL, 0};
        n = recv(w->fd, room, 4096, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return (struct sp_str){NULL, 0};
        w->in.n += n > 0 ? (size_t)n : 0;
    }
}

static bool send_all(struct wire *w, struct sp_str s, uint64_t until_ms)
{
    while (s.n) {
        ssize_t n = send(w->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            s.p += n;
            s.n -= (size_t)n;
        } else if ((n < 0 && errno != EAGAIN && errno != EINTR) ||
                   !wait_for(w->fd, POLLOUT, until_ms)) {
            return false;
        }
    }
    return true;
}

static enum sp_acct_status gone(struct wire *w, const char *path, struct sp_err *err)
{
    hang_up(w);
    return sp_acct_away(err, "%s: Dovecot does not answer", path);
}

/* Both protocols open alike but for the last line: DONE here, SPID there. */
static enum sp_acct_status dial(struct wire *w, const char *path, bool client,
                                uint64_t until_ms, struct sp_err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct sp_str line, word;
    char hello[64];
    int n = client ? snprintf(hello, sizeof hello, "VERSION\t1\t2\nCPID\t%d\n", (int)getpid())
                   : snprintf(hello, sizeof hello, "VERSION\t1\t0\n");

    if (strlen(path) >= sizeof to.sun_path)
        return sp_acct_away(err, "%s is too long for a socket", path);
    memcpy(to.sun_path, path, strlen(path));
    w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->fd < 0 || connect(w->fd, (struct sockaddr *)&to, sizeof to) < 0) {
        int e = errno;

        hang_up(w);
        return sp_acct_away(err, "cannot connect to %s: %s", path, strerror(e));
    }
    if (!send_all(w, (struct sp_str){hello, (size_t)n}, until_ms))
        return gone(w, path, err);
    do {
        line = read_line(w, until_ms);
        if (!line.p)
            return gone(w, path, err);
        word = sp_str_cut(&line, '\t');
        if (sp_str_is(word, "VERSION") && !sp_str_is(sp_str_cut(&line, '\t'), "1")) {
            hang_up(w);
            return sp_acct_away(err, "%s: this Dovecot speaks another protocol", path);
        }
    } while (!sp_str_is(word, client ? "DONE" : "SPID"));
    return SP_ACCT_OK;
}

/* ---- answers ---- */

/* "OK id user=NAME key=value": passdb gives fields, too. */
static enum sp_acct_status take_fields(struct sp_str rest, struct sp_acct *a,
                                       struct sp_err *err)
{
    while (rest.p && rest.n) {
        struct sp_str value = sp_str_cut(&rest, '\t'), key = sp_str_cut(&value, '=');
        enum sp_acct_field f = sp_str_is(key, "user")      ? SP_ACCT_F_NAME
                               : sp_str_is(key, "nologin") ? SP_ACCT_F_DISABLED
                                                           : sp_acct_field_named(key);
        int rc = 0;

        if (sp_str_is(key, "resp")) { /* what the mechanism says with success */
            char *room = sp_buf_room(&a->token, value.n + 1);
            int n = room ? sp_base64_decode(value, room, value.n + 1) : -1;

            if (n < 0)
                return sp_acct_away(err, "Dovecot's answer cannot be read");
            a->token.n += (size_t)n;
        } else if (f == SP_ACCT_F_DISABLED && !value.p) {
            rc = sp_acct_put(a, f, SP_LIT("yes"));
        } else if (f != SP_ACCT_FIELDS && f != SP_ACCT_F_PASSWORD) {
            rc = sp_acct_put(a, f, value);
        }
        if (rc < 0)
            return sp_acct_away(err, "Dovecot says too much about this account");
    }
    return SP_ACCT_OK;
}

static enum sp_acct_status take_fail(struct sp_str rest, struct sp_err *err)
{
    while (rest.p && rest.n) {
        struct sp_str word = sp_str_cut(&rest, '\t');

        if (sp_str_is(word, "temp") || sp_str_is(word, "code=temp_fail"))
            return sp_acct_away(err, "Dovecot has a temporary failure of its own");
    }
    (void)sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "Dovecot says no");
    return SP_ACCT_NO;
}

static enum sp_acct_status take_token(struct sp_str rest, struct sp_acct *a, struct sp_err *err)
{
    struct sp_str b64 = sp_str_cut(&rest, '\t');
    char *room = sp_buf_room(&a->token, b64.n + 1);
    int n = room ? sp_base64_decode(b64, room, b64.n + 1) : -1;

    if (n < 0)
        return sp_acct_away(err, "Dovecot's challenge cannot be read");
    a->token.n += (size_t)n;
    return SP_ACCT_MORE;
}

static enum sp_acct_status answer(struct wire *w, const char *path, uint64_t until_ms,
                                  struct sp_acct *a, struct sp_err *err)
{
    for (;;) {
        struct sp_str line = read_line(w, until_ms), word, id;
        uint64_t n;

        if (!line.p)
            return gone(w, path, err);
        word = sp_str_cut(&line, '\t');
        id = sp_str_cut(&line, '\t');
        if (sp_str_u64(id, UINT32_MAX, &n) < 0 || n != w->id)
            continue; /* MECH and the like, or the answer to a question given up */
        if (sp_str_is(word, "OK"))
            return take_fields(line, a, err);
        if (sp_str_is(word, "CONT"))
            return take_token(line, a, err);
        if (sp_str_is(word, "FAIL"))
            return take_fail(line, err);
        if (sp_str_is(word, "NOTFOUND"))
            return SP_ACCT_NO;
        if (sp_str_is(word, "USER")) { /* the name stands bare, then the fields */
            struct sp_str name = sp_str_cut(&line, '\t');

            return sp_acct_put(a, SP_ACCT_F_NAME, name) < 0
                       ? sp_acct_away(err, "Dovecot says too much about this account")
                       : take_fields(line, a, err);
        }
        return gone(w, path, err);
    }
}

/* ---- questions ---- */

/* A tab or LF in a name would be another command. */
static bool plain(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 32 || s.p[i] == 127)
            return false;
    return true;
}

static int put_base64(struct sp_buf *b, struct sp_str s)
{
    size_t n = SP_BASE64_LEN(s.n);
    char *room = sp_buf_room(b, n + 1);
    int rc = room ? sp_base64_encode(s.p, s.n, room, n + 1) : -SP_ENOMEM;

    if (rc >= 0)
        b->n += (size_t)rc;
    return rc < 0 ? rc : 0;
}

/* first: the initial response; it must be the last field.  The connection to the client
 * was TLS, or the mechanism shows nothing: the server role saw to that. */
static int put_auth(struct sp_buf *b, unsigned id, struct sp_str mechanism,
                    struct sp_str address, struct sp_str first)
{
    int rc = sp_buf_printf(b, "AUTH\t%u\t%.*s\tservice=smtp\tsecured\tfinal-resp-ok", id, (int)mechanism.n,
                           mechanism.p);

    if (rc == 0 && address.n && plain(address))
        rc = sp_buf_printf(b, "\trip=%.*s", (int)address.n, address.p);
    if (rc == 0 && first.p)
        rc = sp_buf_puts(b, "\tresp=");
    if (rc == 0 && first.p)
        rc = put_base64(b, first);
    return rc == 0 ? sp_buf_puts(b, "\n") : rc;
}

static enum sp_acct_status say(struct wire *w, const char *path, struct sp_buf *out, int rc,
                               uint64_t until_ms, struct sp_acct *a, struct sp_err *err)
{
    enum sp_acct_status st = SP_ACCT_AWAY;

    if (rc < 0)
        (void)sp_acct_away(err, "the question becomes too long");
    else if (!send_all(w, sp_buf_view(out), until_ms))
        st = gone(w, path, err);
    else
        st = answer(w, path, until_ms, a, err);
    sp_buf_wipe(out);
    return st;
}

/* Dovecot judges the password; without the second socket it says nothing without one. */
static enum sp_acct_status marked(const struct dovecot *d, struct sp_acct *a,
                                  struct sp_err *err)
{
    if (sp_acct_put(a, SP_ACCT_F_CHECKED, SP_LIT("yes")) < 0 ||
        (!d->c->user_socket && sp_acct_put(a, SP_ACCT_F_BLIND, SP_LIT("yes")) < 0))
        return sp_acct_away(err, "out of memory");
    return SP_ACCT_OK;
}

static enum sp_acct_status find(struct dovecot *d, const struct sp_acct_ask *q,
                                uint64_t until_ms, struct sp_acct *a, struct sp_err *err);

/* A login says who it is; the other fields are in the user database. */
static enum sp_acct_status completed(struct dovecot *d, const struct sp_acct_ask *q,
                                     uint64_t until_ms, struct sp_acct *a, struct sp_err *err)
{
    struct sp_acct_ask who = {.what = SP_ACCT_FIND, .name = sp_acct_first(a, SP_ACCT_F_NAME)};
    struct sp_acct more;
    enum sp_acct_status st;

    if (!d->c->user_socket)
        return marked(d, a, err);
    if (!who.name.n)
        who.name = q->name;
    sp_acct_init(&more);
    st = plain(who.name) ? find(d, &who, until_ms, &more, err) : SP_ACCT_NO;
    for (size_t i = 0; st == SP_ACCT_OK && i < more.n; i++)
        if (sp_acct_put(a, more.v[i].field, more.v[i].value) < 0)
            st = sp_acct_away(err, "out of memory");
    sp_acct_reset(&more);
    return st;
}

static enum sp_acct_status check(struct dovecot *d, const struct sp_acct_ask *q,
                                 uint64_t until_ms, struct sp_acct *a, struct sp_err *err)
{
    struct wire *w = &d->auth;
    struct sp_buf plain_token, out;
    enum sp_acct_status st = SP_ACCT_OK;
    int rc;

    if (memchr(q->secret.p ? q->secret.p : "", '\0', q->secret.n))
        return SP_ACCT_NO;
    if (w->fd < 0)
        st = dial(w, d->c->socket, true, until_ms, err);
    if (st != SP_ACCT_OK)
        return st;
    sp_buf_init(&plain_token, OUT_MAX);
    sp_buf_init(&out, OUT_MAX);
    rc = sp_buf_put(&plain_token, "", 1);
    if (rc == 0)
        rc = sp_buf_str(&plain_token, q->name);
    if (rc == 0)
        rc = sp_buf_put(&plain_token, "", 1);
    if (rc == 0)
        rc = sp_buf_str(&plain_token, q->secret);
    if (rc == 0)
        rc = put_auth(&out, ++w->id, SP_LIT("PLAIN"), q->client_address,
                      sp_buf_view(&plain_token));
    st = say(w, d->c->socket, &out, rc, until_ms, a, err);
    sp_buf_wipe(&plain_token);
    if (st == SP_ACCT_MORE) { /* PLAIN has one step */
        hang_up(w);
        st = sp_acct_away(err, "Dovecot asks for more than a password");
    }
    return st == SP_ACCT_OK ? completed(d, q, until_ms, a, err) : st;
}

static enum sp_acct_status find(struct dovecot *d, const struct sp_acct_ask *q,
                                uint64_t until_ms, struct sp_acct *a, struct sp_err *err)
{
    struct wire *w = &d->user;
    enum sp_acct_status st = SP_ACCT_OK;
    struct sp_buf out;
    int rc;

    if (!d->c->user_socket)
        return marked(d, a, err);
    if (w->fd < 0)
        st = dial(w, d->c->user_socket, false, until_ms, err);
    if (st != SP_ACCT_OK)
        return st;
    sp_buf_init(&out, OUT_MAX);
    rc = sp_buf_printf(&out, "USER\t%u\t%.*s\tservice=smtp\n", ++w->id, (int)q->name.n,
                       q->name.p);
    st = say(w, d->c->user_socket, &out, rc, until_ms, a, err);
    if (st == SP_ACCT_MORE) { /* a look-up has no steps */
        hang_up(w);
        st = sp_acct_away(err, "Dovecot answers a look-up with a challenge");
    }
    return st == SP_ACCT_OK ? marked(d, a, err) : st;
}

static void exchange_free(struct sp_acct_exchange *e)
{
    struct exchange *x = (struct exchange *)e;

    hang_up(&x->w);
    sp_free(x);
}

static enum sp_acct_status begin(struct dovecot *d, const struct sp_acct_ask *q,
                                 uint64_t until_ms, struct sp_acct *a, struct sp_err *err)
{
    struct exchange *x = sp_alloc(sizeof *x);
    enum sp_acct_status st;
    struct sp_buf out;
    int rc;

    if (!x)
        return sp_acct_away(err, "out of memory");
    x->head.free = exchange_free;
    wire_init(&x->w);
    *q->exchange = &x->head;
    st = dial(&x->w, d->c->socket, true, until_ms, err);
    if (st != SP_ACCT_OK)
        return st;
    sp_buf_init(&out, OUT_MAX);
    rc = put_auth(&out, ++x->w.id, q->mechanism, q->client_address, q->secret);
    st = say(&x->w, d->c->socket, &out, rc, until_ms, a, err);
    return st == SP_ACCT_OK ? completed(d, q, until_ms, a, err) : st;
}

static enum sp_acct_status step(struct dovecot *d, const struct sp_acct_ask *q,
                                uint64_t until_ms, struct sp_acct *a, struct sp_err *err)
{
    struct exchange *x = (struct exchange *)*q->exchange;
    enum sp_acct_status st;
    struct sp_buf out;
    int rc;

    if (!x || x->w.fd < 0)
        return sp_acct_away(err, "the exchange is not known");
    sp_buf_init(&out, OUT_MAX);
    rc = sp_buf_printf(&out, "CONT\t%u\t", x->w.id);
    if (rc == 0)
        rc = put_base64(&out, q->secret);
    if (rc == 0)
        rc = sp_buf_puts(&out, "\n");
    st = say(&x->w, d->c->socket, &out, rc, until_ms, a, err);
    return st == SP_ACCT_OK ? completed(d, q, until_ms, a, err) : st;
}

static enum sp_acct_status dovecot_ask(void *self, const struct sp_acct_ask *q,
                                       struct sp_acct *a, struct sp_err *err)
{
    struct dovecot *d = self;
    uint64_t until_ms = sp_acct_now_ms() + d->c->timeout_s * 1000;

    if (!plain(q->name) || !plain(q->mechanism))
        return SP_ACCT_NO;
    switch (q->what) {
    case SP_ACCT_FIND:
        return find(d, q, until_ms, a, err);
    case SP_ACCT_FIND_BY_PIN:
        return SP_ACCT_NO;
    case SP_ACCT_CHECK:
        return check(d, q, until_ms, a, err);
    case SP_ACCT_SASL:
        return begin(d, q, until_ms, a, err);
    case SP_ACCT_SASL_STEP:
        return step(d, q, until_ms, a, err);
    }
    return SP_ACCT_NO;
}

static bool dovecot_stale(void *self)
{
    const struct dovecot *d = self;

    return d->auth.fd >= 0 || d->user.fd >= 0;
}

const struct sp_acct_ops sp_acct_dovecot = {
    .can = 0,
    .open = dovecot_open,
    .close = dovecot_close,
    .ask = dovecot_ask,
    .stale = dovecot_stale,
};
