/*
 * f_acct.c - accounts that are kept elsewhere: whatever a file, a directory, a database or
 * Dovecot says, an account that comes of it has only what an account may have, and what
 * restricts it is never lost.
 *
 * The first octet says who speaks: 0 a file, 1 fields as LDAP entries and rows of a database
 * give them (a line each, NAME=VALUE), 2 Dovecot: all that it says on one connection.
 */
#include "fz.h"

#include "acct.h"
#include "text.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- what is true of every account ---- */

static bool is_no(struct sp_str s)
{
    static const char *const no[] = {"no", "n", "false", "f", "0", "off", ""};

    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (sp_str_caseis(sp_str_trim(s), no[i]))
            return true;
    return false;
}

/* "", " , ": says nothing. */
static bool names_one(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != ',')
            return true;
    return false;
}

static void clean(const char *s)
{
    for (; *s; s++)
        FZ_MUST((unsigned char)*s >= 32 && *s != 127, "no control octet in an account");
}

static void check_user(const struct sp_acct *a)
{
    struct sp_user *u = NULL;
    struct sp_err err;

    if (sp_acct_user(a, SP_LIT("asked"), "example.org", &u, &err) < 0)
        return;
    clean(u->name);
    for (size_t i = 0; i < u->addresses; i++)
        clean(u->address[i]);
    for (size_t i = 0; i < u->act_as_count; i++)
        clean(u->act_as[i]);
    for (size_t i = 0; i < u->pins; i++)
        FZ_MUST(strlen(u->pin[i]) == 64, "a pin is a SHA-256");
    FZ_MUST(u->own_addresses <= u->addresses, "own addresses are some of them");
    FZ_MUST(!u->mechanisms[0] || u->mechanisms[strlen(u->mechanisms) - 1] == ' ',
            "each mechanism is followed by a blank");
    for (size_t i = 0; i < a->n; i++) {
        FZ_MUST(a->v[i].field != SP_ACCT_F_DISABLED || !u->enabled ||
                    is_no(a->v[i].value),
                "what disables an account is not lost");
        FZ_MUST(a->v[i].field != SP_ACCT_F_MECHANISMS || u->mechanisms[0] ||
                    !u->enabled || !names_one(a->v[i].value),
                "nor what restricts its mechanisms");
    }
    sp_user_free(u);
}

/* ---- a file ---- */

static struct sp_acct_conn *file;

static int listed(void *arg, const struct sp_acct *a)
{
    struct sp_acct_ask q = {.what = SP_ACCT_FIND,
                            .name = sp_acct_first(a, SP_ACCT_F_NAME)};
    struct sp_acct found;
    struct sp_err err;
    enum sp_acct_status st;

    (void)arg;
    check_user(a);
    sp_acct_init(&found);
    st = sp_acct_ask(file, &q, &found, &err);
    FZ_MUST(st == SP_ACCT_OK, "who is listed is found by the name");
    FZ_MUST(sp_str_eq(sp_acct_first(&found, SP_ACCT_F_NAME), q.name),
            "and is the same");
    sp_acct_reset(&found);
    return 0;
}

static void from_file(struct sp_str in)
{
    struct sp_conf_accounts c = {.type = SP_CONF_ACCTS_FILE, .timeout_s = 1};
    int fd = memfd_create("passwd", MFD_CLOEXEC);
    struct sp_err err;
    char path[40];

    FZ_MUST(fd >= 0 && (in.n == 0 || write(fd, in.p, in.n) == (ssize_t)in.n), "memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    c.path = path;
    FZ_MUST(sp_acct_open(&c, (struct sp_str){NULL, 0}, &file, &err) == 0, "memory");
    FZ_MUST(sp_acct_list(file, listed, NULL, &err) == 0, "a file can be listed");
    sp_acct_close(file);
    close(fd);
}

/* ---- fields ---- */

static void from_fields(struct fz *f)
{
    struct sp_acct a;

    sp_acct_init(&a);
    while (f->n) {
        struct sp_str value = fz_line(f), name = sp_str_cut(&value, '=');
        enum sp_acct_field field = sp_acct_field_named(name);

        if (field != SP_ACCT_FIELDS)
            (void)sp_acct_put(&a, field, value);
    }
    check_user(&a);
    sp_acct_reset(&a);
}

/* ---- Dovecot ---- */

/* What is said: a copy, for a client may have gone before its connection is taken. */
static pthread_mutex_t saying = PTHREAD_MUTEX_INITIALIZER;
static struct sp_buf says = {.max = 1 << 20};
static char socket_path[] = "/tmp/fuzz_acct_XXXXXX";

static void *be_dovecot(void *arg)
{
    int listener = *(int *)arg;

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        char sink[512], *copy;
        struct sp_str s;

        if (fd < 0)
            continue;
        (void)pthread_mutex_lock(&saying);
        s = (struct sp_str){copy = malloc(says.n + 1), says.n};
        FZ_MUST(copy, "memory");
        memcpy(copy, says.n ? says.p : "", says.n);
        (void)pthread_mutex_unlock(&saying);
        while (s.n) {
            ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

            if (n <= 0)
                break;
            s.p += n;
            s.n -= (size_t)n;
        }
        (void)shutdown(fd, SHUT_WR);
        while (read(fd, sink, sizeof sink) > 0)
            ;
        close(fd);
        free(copy);
    }
    return NULL;
}

static void forget_socket(void)
{
    (void)unlink(socket_path);
}

static void make_dovecot(void)
{
    static int listener = -1;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    pthread_t t;
    int fd;

    if (listener >= 0)
        return;
    fd = mkstemp(socket_path);
    FZ_MUST(fd >= 0, "a name for a socket");
    close(fd);
    (void)unlink(socket_path);
    memcpy(at.sun_path, socket_path, sizeof socket_path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FZ_MUST(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
                listen(listener, 8) == 0 &&
                pthread_create(&t, NULL, be_dovecot, &listener) == 0,
            "a socket");
    (void)pthread_detach(t);
    (void)atexit(forget_socket);
}

static void from_dovecot(struct fz *f)
{
    struct sp_conf_accounts c = {.type = SP_CONF_ACCTS_DOVECOT, .timeout_s = 5};
    struct sp_acct_ask q = {.what = fz_byte(f) % 2 ? SP_ACCT_CHECK : SP_ACCT_FIND,
                            .name = SP_LIT("carol"),
                            .secret = SP_LIT("secret")};
    struct sp_acct_conn *conn;
    struct sp_acct a;
    struct sp_err err;
    enum sp_acct_status st;

    make_dovecot();
    (void)pthread_mutex_lock(&saying);
    sp_buf_free(&says);
    FZ_MUST(sp_buf_str(&says, fz_rest(f)) == 0, "an input of a size");
    (void)pthread_mutex_unlock(&saying);
    c.socket = socket_path; /* one connection at a time: that is how it is served */
    c.user_socket = q.what == SP_ACCT_FIND ? socket_path : NULL;
    FZ_MUST(sp_acct_open(&c, (struct sp_str){NULL, 0}, &conn, &err) == 0, "memory");
    sp_acct_init(&a);
    st = sp_acct_ask(conn, &q, &a, &err);
    FZ_MUST(st != SP_ACCT_MORE, "a password has one step");
    if (st == SP_ACCT_OK)
        check_user(&a);
    FZ_MUST(st != SP_ACCT_AWAY || err.text[0], "who is away is said");
    sp_acct_reset(&a);
    sp_acct_close(conn);
}

FZ_TARGET
{
    struct fz f = {data, size};

    switch (fz_byte(&f) % 3) {
    case 0:
        from_file(fz_rest(&f));
        break;
    case 1:
        from_fields(&f);
        break;
    default:
        from_dovecot(&f);
    }
    return 0;
}
