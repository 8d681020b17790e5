/* t_proxyhead.c - the PROXY protocol: what is a header, and not an octet more. */
#include "t.h"

#include "proxyhead.h"
#include "text.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4  "\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x12\x67\2\x4b"
#define V6                                                                             \
    "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"                              \
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x67\2\x4b"
#define L(s) (s), sizeof(s) - 1

static const struct {
    const char *octets;
    size_t n;
    enum sp_proxy_state want;
    const char *address;
    unsigned port;
} rows[] = {
    {L("PROXY TCP4 192.0.2.7 198.51.100.1 4711 587\r\n"), SP_PROXY_CLIENT, "192.0.2.7", 4711},
    {L("PROXY TCP6 2001:DB8::7 ::1 65535 587\r\n"), SP_PROXY_CLIENT, "2001:db8::7", 65535},
    {L("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 587\r\n"), SP_PROXY_CLIENT, "192.0.2.7", 1},
    {L("PROXY UNKNOWN\r\n"), SP_PROXY_OWN, "", 0},
    {L("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), SP_PROXY_OWN, "", 0},
    {L(SIG V4), SP_PROXY_CLIENT, "192.0.2.7", 4711},
    {L(SIG V6), SP_PROXY_CLIENT, "2001:db8::7", 4711},
    {L(SIG "\x20\0\0\0"), SP_PROXY_OWN, "", 0},
    {L(SIG "\x21\x31\0\3abc"), SP_PROXY_OWN, "", 0}, /* Unix sockets */
    {L(SIG "\x21\x11\0\x0f\xc0\0\2\7\xc6\x33\x64\1\x12\x67\2\x4b\4\0\0"), SP_PROXY_CLIENT,
     "192.0.2.7", 4711},
    {L("EHLO x\r\n"), SP_PROXY_BAD, "", 0},
    {L("PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n"), SP_PROXY_BAD, "", 0},
    {L("PROXY TCP4 192.0.2.7 198.51.100.1 4711 587 x\r\n"), SP_PROXY_BAD, "", 0},
    {L("PROXY TCP4 192.0.2.7 198.51.100.1 65536 587\r\n"), SP_PROXY_BAD, "", 0},
    {L("PROXY TCP4 192.0.2.7 198.51.100.1 -1 587\r\n"), SP_PROXY_BAD, "", 0},
    {L("PROXY TCP4 2001:db8::7 198.51.100.1 1 587\r\n"), SP_PROXY_BAD, "", 0},
    {L("PROXY UDP4 192.0.2.7 198.51.100.1 1 587\r\n"), SP_PROXY_BAD, "", 0},
    {L("PROXY TCP4 192.0.2.7 198.51.100.1 4711 587\n"), SP_PROXY_BAD, "", 0},
    {L("proxy UNKNOWN\r\n"), SP_PROXY_BAD, "", 0},
    {L(SIG "\x22\x11\0\0"), SP_PROXY_BAD, "", 0},       /* an unknown command */
    {L(SIG "\x11\x11\0\0"), SP_PROXY_BAD, "", 0},       /* an unknown version */
    {L(SIG "\x21\x11\0\4\1\2\3\4"), SP_PROXY_BAD, "", 0}, /* shorter than its addresses */
    {L("\r\n\r\n\0\r\nQUIX"), SP_PROXY_BAD, "", 0},
    {L(SIG "\x21\x11\x10\1"), SP_PROXY_BAD, "", 0}, /* longer than anybody needs */
};

TEST("each header means what it says, however it is cut, and nothing behind it is taken")
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t cut = 1; cut <= rows[i].n; cut++) {
            struct sp_proxyhead h = {0};
            char with[200];
            size_t used = 0, total = rows[i].n;

            memcpy(with, rows[i].octets, total);
            memcpy(with + total, "EHLO", 4);
            while (used < total + 4 && h.state == SP_PROXY_MORE) {
                size_t n = total + 4 - used < cut ? total + 4 - used : cut;

                used += sp_proxyhead_feed(&h, with + used, n);
            }
            CHECK_INT(h.state, rows[i].want);
            if (h.state != SP_PROXY_BAD)
                CHECK_INT(used, total);
            else
                CHECK(used <= total);
            if (h.state == SP_PROXY_CLIENT) {
                CHECK_STR(h.address, rows[i].address);
                CHECK_INT(h.port, rows[i].port);
            }
        }
}

TEST("a line of 107 octets is the longest of version 1")
{
    char line[200];

    for (size_t n = 106; n <= 108; n++) {
        struct sp_proxyhead h = {0};

        memset(line, 'x', sizeof line);
        memcpy(line, "PROXY UNKNOWN ", 14);
        memcpy(line + n - 2, "\r\n", 2);
        (void)sp_proxyhead_feed(&h, line, n);
        CHECK_INT(h.state, n <= SP_PROXYHEAD_V1_MAX ? SP_PROXY_OWN : SP_PROXY_BAD);
    }
}
T_MAIN
