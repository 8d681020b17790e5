/*
 * hot_smtp.c - the server engine's hot paths, to be counted by hot_paths.py.  Not a test.
 *
 *     hot_smtp reference|parse|data|ehlo COUNT [AGAIN]
 *
 * Does the work COUNT times; with AGAIN so many per cent of them twice (that is how
 * hot_paths.py shows that it notices).
 */
#include <sallyport/server.h>

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OCTETS = 10240 };

static char message[OCTETS + 8];
static size_t message_n;
static struct sp_srv *session;
static volatile uint32_t kept; /* so that nothing is left out */

/* The reference: four plain steps for each octet of the message. */
static void reference(void)
{
    uint32_t h = kept ^ 2166136261u;

    for (size_t i = 0; i < message_n; i++)
        h = (h ^ (unsigned char)message[i]) * 16777619u;
    kept = h;
}

static void answer(const struct sp_srv_event *ev)
{
    static const struct sp_srv_tls tls = {.cert = SP_CERT_NONE};

    if (ev->type == SP_SRV_HANDSHAKE)
        (void)sp_srv_tls_done(session, &tls);
    else if (ev->type == SP_SRV_AUTH)
        (void)sp_srv_auth_ok(session, SP_LIT("alice"), (struct sp_str){NULL, 0});
    else if (ev->type == SP_SRV_BODY)
        kept += (uint32_t)ev->u.body.octets.n, (void)sp_srv_accept(session);
    else
        (void)sp_srv_accept(session);
}

/* Feeds all of it and answers whatever is asked; the last reply must have this code. */
static void say(const char *octets, size_t n, const char *code)
{
    struct sp_srv_event ev;
    char last[4] = "";
    size_t at = 0, took, out_n;
    const char *out;
    bool any;

    do {
        took = at < n ? sp_srv_feed(session, octets + at, n - at) : 0;
        at += took;
        for (any = false; sp_srv_next(session, &ev); any = true)
            answer(&ev);
        out = sp_srv_out(session, &out_n);
        if (out_n >= 3 && (!last[0] || *code != '2'))
            memcpy(last, out, 3);
        sp_srv_out_ack(session, out_n);
    } while (took || any);
    if (at < n || (*code && strcmp(last, code) != 0)) {
        fprintf(stderr, "hot_smtp: %s in place of %s, %zu of %zu taken\n", last, code,
                at, n);
        exit(1);
    }
}

#define SAY(text, code) say(text, sizeof(text) - 1, code)

/* A transaction's commands, pipelined, and its end without a message. */
static void parse(void)
{
    SAY("MAIL FROM:<alice@example.org> BODY=8BITMIME SIZE=10240\r\n"
        "RCPT TO:<bob@elsewhere.test>\r\n"
        "RCPT TO:<carol.with.a.longer.name@another.elsewhere.test>\r\nRSET\r\n",
        "250");
}

static void data(void)
{
    SAY("MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@elsewhere.test>\r\nDATA\r\n",
        "");
    say(message, message_n, "250");
}

static void ehlo(void)
{
    SAY("EHLO client.example.org\r\n", "250");
}

static void prepare(void)
{
    static const struct sp_srv_policy policy = {
        .kind = SP_SRV_SUBMISSION,
        .hostname = "mail.example.org",
        .implicit_tls = true,
        .login_required = true,
        .mechs_tls = SP_MECH_BIT(SP_MECH_PLAIN) | SP_MECH_BIT(SP_MECH_LOGIN),
        .extensions = ~0u,
        .size_max = 50u << 20,
        .rcpt_max = 1000,
        .error_max = UINT32_MAX,
        .idle_commands_max = UINT32_MAX,
    };
    static const char line[] =
        "The quick brown fox jumps over the lazy dog and runs on to 76 octets.....\r\n";
    static const char header[] =
        "From: <alice@example.org>\r\nTo: <bob@elsewhere.test>\r\n"
        "Subject: load\r\n\r\n";
    char *p = (char *)memcpy(message, header, sizeof header - 1) + sizeof header - 1;

    while (p + sizeof line < message + OCTETS)
        p = (char *)memcpy(p, line, sizeof line - 1) + sizeof line - 1;
    memcpy(p, ".\r\n", 3);
    message_n = (size_t)(p + 3 - message);
    session = sp_srv_new(&policy, (struct sp_str){NULL, 0});
    SAY("", "");
    SAY("EHLO client.example.org\r\n", "");
    SAY("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", "235");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*work)(void);
    } works[] = {
        {"reference", reference}, {"parse", parse}, {"data", data}, {"ehlo", ehlo}};
    long count = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    long again = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
    void (*work)(void) = NULL;

    for (size_t i = 0; argc > 2 && i < sizeof works / sizeof *works; i++)
        if (strcmp(argv[1], works[i].name) == 0)
            work = works[i].work;
    if (!work) {
        fprintf(stderr, "usage: hot_smtp reference|parse|data|ehlo COUNT [AGAIN]\n");
        return 64;
    }
    prepare();
    for (long i = 0, owed = 0; i < count; i++) {
        work();
        for (owed += again; owed >= 100; owed -= 100)
            work();
    }
    sp_srv_free(session);
    return 0;
}
