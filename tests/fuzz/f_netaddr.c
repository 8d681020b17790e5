/* f_netaddr.c - addresses and ports as text: what was read is written, and read again. */
#include "fz.h"

#include "netaddr.h"
#include "text.h"

FZ_TARGET
{
    char *text = malloc(size + 1), out[SP_ADDR_TEXT], again[SP_ADDR_TEXT];
    struct sockaddr_storage a, b;

    FZ_MUST(text, "memory");
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    if (sp_naddr_parse(text, &a) >= 0) {
        FZ_MUST(a.ss_family == AF_INET || a.ss_family == AF_INET6, "it is an address");
        sp_naddr_text((const struct sockaddr *)&a, out, sizeof out);
        FZ_MUST(sp_naddr_parse(out, &b) >= 0,
                "what was read is written, and read again");
        sp_naddr_text((const struct sockaddr *)&b, again, sizeof again);
        FZ_MUST(strcmp(out, again) == 0,
                "and is the same"); /* a mapped IPv4 one as IPv4 */
    }
    if (sp_addr_literal(text, 25, &a) >= 0) {
        FZ_MUST(sp_addr_port((const struct sockaddr *)&a) == 25,
                "the port is the one given");
        sp_addr_ip((const struct sockaddr *)&a, out, sizeof out);
        FZ_MUST(sp_addr_literal(out, 25, &b) >= 0, "a literal is one again");
    }
    free(text);
    return 0;
}
