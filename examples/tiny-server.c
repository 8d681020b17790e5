/*
 * tiny-server.c - an SMTP server on libsallyport in a hundred lines.
 *
 *     cc tiny-server.c $(pkg-config --cflags --libs libsallyport) -o tiny-server
 *     ./tiny-server 2525 3        listens on 127.0.0.1:2525, serves three connections
 *
 * It takes mail for one domain and prints it.  Blocking sockets, one client at a time,
 * neither TLS nor AUTH: it stands for the receiving end of a content filter.  What a
 * real server does besides: time limits (sp_srv_wait), and stable storage before it
 * accepts SP_SRV_END.
 */
#include <sallyport/server.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct sp_srv_policy policy = {
    .kind = SP_SRV_REINJECT,
    .hostname = "tiny.example.org",
    .extensions = SP_EXT_PIPELINING | SP_EXT_SIZE | SP_EXT_8BITMIME | SP_EXT_ENHANCED,
    .size_max = 1000000,
    .rcpt_max = 100,
};

static int is_local(struct sp_str path)
{
    static const char domain[] = "@example.org";
    size_t n = sizeof domain - 1;

    return path.n > n && memcmp(path.p + path.n - n, domain, n) == 0;
}

static void answer_recipients(struct sp_srv *s, const struct sp_srv_event *ev)
{
    const struct sp_reply no = {550, {5, 7, 1}, {"only example.org lives here", 27}};

    for (size_t i = 0; i < ev->u.rcpt.n; i++)
        sp_srv_rcpt(s, i, is_local(ev->u.rcpt.r[i].path) ? NULL : &no);
}

/* Returns 0 when the connection is to be closed. */
static int events(struct sp_srv *s)
{
    struct sp_srv_event ev;

    while (sp_srv_next(s, &ev)) {
        switch (ev.type) {
        case SP_SRV_MAIL:
            printf("from <%.*s>\n", (int)ev.u.mail.m.path.n, ev.u.mail.m.path.p);
            sp_srv_accept(s);
            break;
        case SP_SRV_RCPT:
            answer_recipients(s, &ev);
            break;
        case SP_SRV_BODY:
            fwrite(ev.u.body.octets.p, 1, ev.u.body.octets.n, stdout);
            sp_srv_accept(s);
            break;
        case SP_SRV_END:
            printf("(%llu octets)\n", (unsigned long long)ev.u.end.size);
            sp_srv_replyf(s, 250, 2, 0, 0, "printed");
            break;
        case SP_SRV_CLOSE:
            return 0;
        default: /* connect, EHLO, DATA, VRFY: the standard answer */
            sp_srv_accept(s);
        }
    }
    return 1;
}

static int flush(struct sp_srv *s, int fd)
{
    const char *out;
    size_t n;

    while ((out = sp_srv_out(s, &n)), n) {
        ssize_t sent = send(fd, out, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return 0;
        sp_srv_out_ack(s, (size_t)sent);
    }
    return 1;
}

static void serve(int fd)
{
    const struct sp_str nobody = {"", 0}; /* no login by the socket alone */
    struct sp_srv *s = sp_srv_new(&policy, nobody);
    char in[4096];
    int go = s != NULL && events(s) && flush(s, fd);

    while (go) {
        ssize_t n = recv(fd, in, sizeof in, 0);

        for (ssize_t at = 0; go && at < n;) {
            at += (ssize_t)sp_srv_feed(s, in + at, (size_t)(n - at));
            go = events(s);
            if (!flush(s, fd))
                go = 0;
        }
        if (n <= 0) {
            sp_srv_gone(s);
            go = 0;
        }
    }
    sp_srv_free(s);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    long clients = argc > 2 ? strtol(argv[2], NULL, 10) : -1;

    a.sin_port = htons((unsigned short)(argc > 1 ? strtol(argv[1], NULL, 10) : 2525));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 16) < 0) {
        perror("tiny-server");
        return 1;
    }
    for (; clients != 0; clients -= clients > 0) {
        int c = accept(fd, NULL, NULL);

        if (c >= 0)
            serve(c);
        fflush(stdout);
    }
    return 0;
}
