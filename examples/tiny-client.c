/*
 * tiny-client.c - the smallest useful client: one message to a local LMTP or SMTP port
 * (a delivery agent, a content filter's way back), blocking, in clear.
 *
 *     cc tiny-client.c $(pkg-config --cflags --libs libsallyport) -o tiny-client
 *     ./tiny-client lmtp|smtp PORT FROM TO < message
 *
 * With TLS it would shake hands at SP_CLI_HANDSHAKE, with a login answer SP_CLI_AUTH.
 * It is C11 and C++20.
 */
#include <sallyport/client.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void give_message(struct sp_cli *c)
{
    static char text[4096];
    static size_t n, at;

    if (at == n) {
        n = fread(text, 1, sizeof text, stdin);
        at = 0;
    }
    at += n ? sp_cli_body(c, text + at, n - at) : 0;
    if (n == 0)
        sp_cli_body_end(c);
}

/* Answers every event; false when the connection is done with. */
static bool turn(struct sp_cli *c, char **argv, int *status)
{
    struct sp_mail mail = {.path = {argv[3], strlen(argv[3])}};
    struct sp_rcpt rcpt = {.path = {argv[4], strlen(argv[4])}};
    struct sp_cli_event ev;

    while (sp_cli_next(c, &ev)) {
        if (ev.type == SP_CLI_READY && *status == 2)
            sp_cli_mail(c, &mail, &rcpt, 1, 0, NULL);
        else if (ev.type == SP_CLI_READY)
            sp_cli_quit(c);
        else if (ev.type == SP_CLI_BODY)
            give_message(c);
        else if (ev.type == SP_CLI_SENT)
            *status = ev.u.sent.accepted ? 0 : 1;
        else if (ev.type == SP_CLI_FAILED)
            fprintf(stderr, "%.*s\n", (int)ev.u.failed.words.n, ev.u.failed.words.p);
        else if (ev.type == SP_CLI_CLOSE)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    const struct sp_str lost = {"connection lost", 15};
    bool open = argc == 5;
    struct sp_cli_options o = {.helo = "localhost",
                               .lmtp = open && strcmp(argv[1], "lmtp") == 0,
                               .tls = SP_CLI_TLS_NONE};
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = 2;
    struct sp_cli *c = sp_cli_new(&o, NULL);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(open ? (uint16_t)strtoul(argv[2], NULL, 10) : 0);
    if (!open || !c || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return fputs("tiny-client lmtp|smtp PORT FROM TO < message\n", stderr), 2;
    while (open) {
        char in[4096];
        size_t len, used = 0;
        const char *out = sp_cli_out(c, &len);
        ssize_t n = len ? write(fd, out, len) : read(fd, in, sizeof in);

        if (n <= 0)
            sp_cli_gone(c, lost);
        else if (len)
            sp_cli_out_ack(c, (size_t)n);
        open = turn(c, argv, &status);
        for (; !len && open && used < (size_t)(n > 0 ? n : 0);
             open = turn(c, argv, &status))
            used += sp_cli_feed(c, in + used, (size_t)n - used);
    }
    sp_cli_free(c);
    close(fd);
    return status;
}
