/*
 * sendmail.c - called as sendmail, mailq or newaliases.
 *
 * Its options are older than getopt: some letters take a value that may be joined, others
 * mean nothing any more and must be swallowed, because programs give them.
 */
#include "accounts.h"
#include "addr.h"
#include "cli.h"
#include "err.h"
#include "outbox.h"
#include "send.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SM_RCPT_MAX = 10000 };

static const struct sp_option options[] = {
    {"from", 'f', "ADDRESS", "reverse-path (also -r)"},
    {"read-recipients", 't', NULL, "take recipients from To, Cc and Bcc"},
    {"notify", 'N', "WHEN", "never, or success,failure,delay"},
    {"ret", 'R', "WHAT", "full or hdrs"},
    {"envid", 'V', "ID", "an identifier that notices repeat"},
    {"trace", 'v', NULL, "show the dialogue"},
    {"quiet", 'q', NULL, "say nothing when it went well"},
    SP_OPT_END,
};

static const struct sp_command command = {
    .name = "sendmail",
    .usage = "[-i] [-t] [-f ADDRESS] [-F NAME] [-N WHEN] [-R WHAT] [-V ID] [-v] [--] "
             "[RECIPIENT ...] < message",
    .options = options,
};

struct mode {
    struct sp_args a;
    struct sp_send_more more;
    char task; /* of -b: m sends; q of -q: what waits */
    const char *config, *socket, *outbox; /* as options say; NULL: nothing */
};

static int give(struct mode *m, char letter, const char *value)
{
    for (const struct sp_option *o = options; o->name; o++)
        if (o->letter == letter) {
            if (m->a.n_given == SP_ARGS_MAX)
                return sp_usage_error(&m->a, "too many options");
            m->a.given[m->a.n_given].option = o;
            m->a.given[m->a.n_given++].value = value;
        }
    return 0;
}

/* clang-format off */
enum meaning { NOTHING, NOTHING_VALUE, NOTHING_REST, SWITCH, VALUE, NAME, DOT, O, TASK, QUEUE, CONFIG, SETTING };

static const struct {
    char letter;
    enum meaning meaning;
    char as; /* letter of the option it sets */
} letters[] = {
    {'t', SWITCH, 't'}, {'v', SWITCH, 'v'},
    {'f', VALUE, 'f'},  {'r', VALUE, 'f'}, {'N', VALUE, 'N'}, {'R', VALUE, 'R'}, {'V', VALUE, 'V'},
    {'F', NAME},        {'i', DOT},        {'o', O},          {'b', TASK},
    {'q', QUEUE},       {'C', CONFIG},
    {'d', NOTHING_REST}, {'e', NOTHING_REST}, {'A', NOTHING_REST},
    {'B', NOTHING_VALUE}, {'h', NOTHING_VALUE}, {'L', NOTHING_VALUE},
    {'O', SETTING}, {'p', NOTHING_VALUE}, {'X', NOTHING_VALUE},
    {'m', NOTHING}, {'n', NOTHING}, {'s', NOTHING}, {'G', NOTHING}, {'U', NOTHING}, {'x', NOTHING},
};
/* clang-format on */

/* -O NAME=VALUE: of all that other programs have there, what says where the server is. */
static void setting(struct mode *m, const char *text)
{
    static const char local[] = "LocalSocket=", outbox[] = "Outbox=";

    if (strncmp(text, local, sizeof local - 1) == 0)
        m->socket = text + sizeof local - 1;
    else if (strncmp(text, outbox, sizeof outbox - 1) == 0)
        m->outbox = text + sizeof outbox - 1;
}

/* One word that begins with a hyphen; *i moves on when a value is the next word. */
static int option_word(struct mode *m, int argc, char **argv, int *i)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const char *value = p[1] ? p + 1 : NULL;
        size_t k = 0, n = sizeof letters / sizeof letters[0];
        int rc = 0;

        while (k < n && letters[k].letter != *p)
            k++;
        if (k == n)
            return sp_usage_error(&m->a, "there is no option -%c", *p);
        if (!value && (letters[k].meaning == VALUE || letters[k].meaning == NAME ||
                       letters[k].meaning == NOTHING_VALUE ||
                       letters[k].meaning == CONFIG ||
                       letters[k].meaning == SETTING)) {
            if (*i + 1 == argc)
                return sp_usage_error(&m->a, "-%c wants a value", *p);
            value = argv[++*i];
        }
        switch (letters[k].meaning) {
        case NOTHING:
            continue;
        case SWITCH:
            rc = give(m, letters[k].as, NULL);
            if (rc)
                return rc;
            continue;
        case DOT:
            m->more.dot_ends = false;
            continue;
        case VALUE:
            return give(m, letters[k].as, value);
        case NAME:
            m->more.full_name = value;
            return 0;
        case O:
            if (value && strcmp(value, "i") == 0)
                m->more.dot_ends = false;
            return 0;
        case TASK:
            m->task = value ? *value : 'm';
            return 0;
        case QUEUE: /* -q30m of a daemon comes with -bd, which is refused */
            m->task = 'q';
            return 0;
        case CONFIG:
            m->config = value;
            return 0;
        case SETTING:
            setting(m, value);
            return 0;
        case NOTHING_VALUE:
        case NOTHING_REST:
            return 0;
        }
    }
    return 0;
}

/* ---- where the server of this machine is ---- */

#define SUBMIT_SOCKET "/run/sallyport/submit"
#define OUTBOX        "/var/spool/sallyport"

static struct place {
    const char *socket, *outbox; /* NULL: none */
    char hostname[260], socket_room[120], outbox_room[4200];
} place;

static const char *keep(char *room, size_t cap, const char *text)
{
    int n = text ? snprintf(room, cap, "%s", text) : -1;

    return n >= 0 && (size_t)n < cap ? room : NULL;
}

/* What the server's configuration says, if we may read it. */
static void find_place(const char *config)
{
    const char *path = config ? config : SP_CONFIG_PATH;
    struct sp_conf_errors errs;
    struct sp_conf *c;

    place.socket = SUBMIT_SOCKET;
    place.outbox = OUTBOX;
    sp_conf_errors_init(&errs);
    c = access(path, R_OK) == 0 ? sp_conf_load(path, &errs) : NULL;
    sp_conf_errors_free(&errs);
    if (!c)
        return;
    place.socket = NULL;
    place.outbox = keep(place.outbox_room, sizeof place.outbox_room, c->outbox);
    snprintf(place.hostname, sizeof place.hostname, "%s", c->hostname);
    for (size_t i = 0; i < c->n_listeners && !place.socket; i++)
        if (c->listeners[i].type == SP_CONF_LOCAL)
            place.socket = keep(place.socket_room, sizeof place.socket_room,
                                c->listeners[i].address.v[0].host);
    sp_conf_unref(c);
}

static int mailq(const char *config)
{
    static char words[4][10] = {"sallyport", "queue", "list", "--config"};
    char *argv[] = {words[0], words[1], words[2], words[3], (char *)(uintptr_t)config, NULL};
    size_t waiting = 0, failed = 0;

    find_place(config);
    if (!config)
        argv[3] = NULL;
    if (place.outbox)
        sp_outbox_count(place.outbox, &waiting, &failed);
    if (waiting)
        printf("%zu of your messages wait for the server in %s\n", waiting, place.outbox);
    if (failed)
        printf("%zu of your messages could not be sent and lie in %s\n", failed, place.outbox);
    return sp_command_run(&sp_cmd_main, "sallyport", config ? 5 : 3, argv);
}

static int newaliases(void)
{
    puts("newaliases: there is no alias database here, so nothing is to be done");
    return 0;
}

/* ---- -bs ---- */

static int connect_local(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || !place.socket || strlen(place.socket) >= sizeof sa.sun_path) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    memcpy(sa.sun_path, place.socket, strlen(place.socket) + 1);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Octets from one descriptor to another.  0: the end, <0: broken. */
static ssize_t pass(int from, int to)
{
    char block[16384];
    ssize_t n, done = 0;

    do
        n = read(from, block, sizeof block);
    while (n < 0 && errno == EINTR);
    while (n > 0 && done < n) {
        ssize_t k = write(to, block + done, (size_t)(n - done));

        if (k < 0 && errno != EINTR)
            return -1;
        done += k > 0 ? k : 0;
    }
    return n;
}

/* The server's local socket on standard input and output: who we are it hears from the
 * system, so nothing has to be said here. */
static int speak(void)
{
    struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}};

    signal(SIGPIPE, SIG_IGN);
    p[1].fd = connect_local();
    if (p[1].fd < 0) {
        fputs("421 4.3.2 the server is not running here; try again later\r\n", stdout);
        return EX_TEMPFAIL;
    }
    while (poll(p, 2, -1) >= 0 || errno == EINTR) {
        if (p[1].revents && pass(p[1].fd, 1) <= 0)
            return 0;
        if (p[0].revents && pass(0, p[1].fd) <= 0) {
            (void)shutdown(p[1].fd, SHUT_WR);
            p[0].fd = -1;
        }
    }
    return EX_OSERR;
}

/* ---- -q: what was left while the server was down ---- */

/* In a process of its own: sending is made for one message. */
static int send_left(void *arg, int argc, char **argv, int fd)
{
    pid_t pid = fork();
    int status = 0;

    (void)arg;
    if (pid < 0)
        return EX_TEMPFAIL;
    if (pid == 0) {
        static const char *rcpt[SP_OUTBOX_RCPT_MAX];
        static struct mode m = {.more.rcpt = rcpt};
        int i = 1, rc = 0;

        m.a.cmd = &command;
        m.more.socket = place.socket;
        for (; rc == 0 && i < argc && strcmp(argv[i], "--") != 0; i++)
            rc = option_word(&m, argc, argv, &i);
        for (i++; i < argc && m.more.n_rcpt < SP_OUTBOX_RCPT_MAX; i++)
            rcpt[m.more.n_rcpt++] = argv[i];
        if (rc == 0 && (dup2(fd, 0) < 0 || give(&m, 'q', NULL)))
            rc = EX_OSERR;
        rc = rc ? rc : sp_send_run(&m.a, &m.more);
        (void)fflush(stdout);
        _exit(rc);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EX_TEMPFAIL;
}

static int flush_outbox(void)
{
    int fd;

    if (!place.outbox || !place.socket)
        return 0;
    fd = connect_local();
    if (fd < 0) /* nothing is touched because nobody listens */
        return sp_fail(EX_TEMPFAIL, "the server does not listen on %s", place.socket);
    close(fd);
    return sp_outbox_collect(place.outbox, send_left, NULL);
}

/* -bv: could these be recipients?  Nothing is sent, and nobody is asked. */
static int verify(const struct mode *m)
{
    int status = 0;

    for (size_t i = 0; i < m->more.n_rcpt; i++) {
        struct sp_addr a;
        bool ok = sp_addr_parse(sp_str(m->more.rcpt[i]), SP_ADDR_UTF8_OK | SP_ADDR_POSTMASTER,
                                &a) == SP_ADDR_OK;

        sp_say_text(stdout, sp_str(m->more.rcpt[i]));
        puts(ok ? "... is an address" : "... is no whole address");
        status = ok ? status : EX_NOUSER;
    }
    return m->more.n_rcpt ? status : sp_usage_error(&m->a, "-bv wants addresses");
}

static int send_new(struct mode *m)
{
    if (!sp_accounts_default()) {
        m->more.socket = place.socket;
        m->more.outbox = place.outbox;
    }
    return sp_send_run(&m->a, &m->more);
}

static int do_task(struct mode *m)
{
    switch (m->task) {
    case 'm':
        return send_new(m);
    case 'p':
        return mailq(m->config);
    case 'i':
    case 'I':
        return newaliases();
    case 's':
        return speak();
    case 'q':
        return flush_outbox();
    case 'v':
        return verify(m);
    case 'd':
    case 'D':
        return sp_fail(EX_UNAVAILABLE,
                       "-b%c: the server is started by `sallyport serve`", m->task);
    default:
        return sp_usage_error(&m->a, "there is no mode -b%c", m->task);
    }
}

/* "login@host": the sender when nothing else tells. */
static const char *own_address(void)
{
    static char text[520];
    const struct passwd *pw = getpwuid(getuid());
    char host[256] = "";

    if (place.hostname[0])
        snprintf(host, sizeof host, "%.255s", place.hostname);
    else if (gethostname(host, sizeof host - 1) < 0 || !host[0])
        snprintf(host, sizeof host, "localhost");
    snprintf(text, sizeof text, "%s@%s", pw ? pw->pw_name : "nobody", host);
    return text;
}

int sp_sendmail_main(const char *name, int argc, char **argv)
{
    static struct mode m;
    static const char *rcpt[SM_RCPT_MAX];
    int i = 1, rc;

    if (strcmp(name, "mailq") == 0)
        return mailq(NULL);
    if (strcmp(name, "newaliases") == 0)
        return newaliases();
    m.a.cmd = &command;
    m.task = 'm';
    m.more.dot_ends = true;
    m.more.rcpt = rcpt;
    for (bool options_over = false; i < argc; i++) {
        if (!options_over && strcmp(argv[i], "--") == 0) {
            options_over = true;
        } else if (!options_over && argv[i][0] == '-' && argv[i][1]) {
            rc = option_word(&m, argc, argv, &i);
            if (rc)
                return rc;
        } else if (m.more.n_rcpt == SM_RCPT_MAX) {
            return sp_usage_error(&m.a, "more than %d recipients", SM_RCPT_MAX);
        } else {
            rcpt[m.more.n_rcpt++] = argv[i];
        }
    }
    find_place(m.config);
    place.socket = m.socket ? m.socket : place.socket;
    place.outbox = m.outbox ? m.outbox : place.outbox;
    m.more.fallback_from = own_address();
    rc = give(&m, 'q', NULL); /* programs take any output for a complaint */
    return rc ? rc : do_task(&m);
}
