/* initsys.c - see initsys.h. */
#include "initsys.h"

#include "log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

static struct {
    int fd; /* datagrams to systemd; -1: nobody listens */
    struct sockaddr_un to;
    socklen_t to_len;
    uint64_t watchdog_ms;
    size_t n;
    int sock[INITSYS_SOCKETS];
    char name[INITSYS_SOCKETS][INITSYS_NAME];
} sys = {.fd = -1};

/* A whole number and nothing else. */
static bool number(const char *s, unsigned long long max, unsigned long long *ret)
{
    unsigned long long v = 0;

    if (!s || !*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || v > max / 10)
            return false;
        v = v * 10 + (unsigned)(*s - '0');
    }
    *ret = v;
    return v <= max;
}

static bool for_us(const char *variable, bool or_absent)
{
    const char *s = getenv(variable);
    unsigned long long pid = 0;

    return s ? number(s, INT32_MAX, &pid) && pid == (unsigned long long)getpid()
             : or_absent;
}

/* A path, or with @ a name of the abstract kind. */
static void open_notify(const char *where)
{
    size_t n = where ? strlen(where) : 0;

    if (n < 2 || n >= sizeof sys.to.sun_path || (where[0] != '/' && where[0] != '@'))
        return;
    sys.to.sun_family = AF_UNIX;
    memcpy(sys.to.sun_path, where, n);
    if (where[0] == '@')
        sys.to.sun_path[0] = '\0';
    sys.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    sys.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static bool listens(int fd)
{
    int yes = 0, type = 0;
    socklen_t n = sizeof yes, m = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes;
}

static void take_one(int fd, const char *name, size_t len)
{
    char text[INITSYS_NAME + 100];

    if (!listens(fd) || sys.n == INITSYS_SOCKETS || len >= INITSYS_NAME) {
        snprintf(
            text, sizeof text,
            "descriptor %d that was passed (%.*s) is not used: no stream socket that "
            "listens",
            fd, (int)(len < INITSYS_NAME ? len : INITSYS_NAME), name);
        sp_log(SP_LOG_WARNING, "", SP_KVS("reason", text));
        close(fd);
        return;
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    memcpy(sys.name[sys.n], name, len);
    sys.name[sys.n][len] = '\0';
    sys.sock[sys.n++] = fd;
}

static void take_sockets(void)
{
    const char *names = getenv("LISTEN_FDNAMES");
    unsigned long long n;

    if (!for_us("LISTEN_PID", false) || !number(getenv("LISTEN_FDS"), 1024, &n))
        return;
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)n; fd++) {
        size_t len = names ? strcspn(names, ":") : 0;

        take_one(fd, len ? names : "unknown", len ? len : strlen("unknown"));
        names = names && names[len] == ':' ? names + len + 1 : NULL;
    }
}

void initsys_begin(void)
{
    static const char *const ours[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
                                       "WATCHDOG_PID",  "LISTEN_PID",
                                       "LISTEN_FDS",    "LISTEN_FDNAMES"};
    unsigned long long usec;

    open_notify(getenv("NOTIFY_SOCKET"));
    if (for_us("WATCHDOG_PID", true) &&
        number(getenv("WATCHDOG_USEC"), INT64_MAX, &usec) && sys.fd >= 0)
        sys.watchdog_ms = usec && usec < 1000 ? 1 : usec / 1000;
    take_sockets();
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        (void)unsetenv(ours[i]);
}

bool initsys_say(const char *lines)
{
    return sys.fd >= 0 && sendto(sys.fd, lines, strlen(lines), MSG_NOSIGNAL,
                                 (const struct sockaddr *)&sys.to, sys.to_len) >= 0;
}

void initsys_say_reloading(void)
{
    struct timespec t;
    char text[80];

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)t.tv_sec * 1000000 +
                 (unsigned long long)t.tv_nsec / 1000);
    (void)initsys_say(text);
}

uint64_t initsys_watchdog_ms(void)
{
    return sys.watchdog_ms;
}

size_t initsys_sockets(void)
{
    return sys.n;
}

const char *initsys_name(size_t i)
{
    return sys.name[i];
}

int initsys_fd(size_t i)
{
    return sys.sock[i];
}

void initsys_address(size_t i, char *ret, size_t cap)
{
    struct sockaddr_storage ss = {0};
    socklen_t n = sizeof ss;
    char host[INET6_ADDRSTRLEN] = "?";

    if (getsockname(sys.sock[i], (struct sockaddr *)&ss, &n) < 0)
        ss.ss_family = AF_UNSPEC;
    if (ss.ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&ss;

        (void)inet_ntop(AF_INET, &a->sin_addr, host, sizeof host);
        snprintf(ret, cap, "%s:%u", host, ntohs(a->sin_port));
    } else if (ss.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&ss;

        (void)inet_ntop(AF_INET6, &a->sin6_addr, host, sizeof host);
        snprintf(ret, cap, "[%s]:%u", host, ntohs(a->sin6_port));
    } else if (ss.ss_family == AF_UNIX && n > offsetof(struct sockaddr_un, sun_path)) {
        snprintf(ret, cap, "unix:%.*s",
                 (int)sizeof((struct sockaddr_un *)&ss)->sun_path,
                 ((struct sockaddr_un *)&ss)->sun_path);
    } else {
        snprintf(ret, cap, "passed:%zu", i);
    }
}

size_t initsys_named(const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < sys.n; i++)
        n += sys.sock[i] >= 0 && strcmp(sys.name[i], name) == 0;
    return n;
}

void initsys_close(void)
{
    for (size_t i = 0; i < sys.n; i++)
        if (sys.sock[i] >= 0) {
            close(sys.sock[i]);
            sys.sock[i] = -1;
        }
}
