/* f_proxyhead.c - the header of the PROXY protocol. */
#include "fz.h"

#include "proxyhead.h"

#include <arpa/inet.h>

FZ_TARGET
{
    struct sp_proxyhead whole = {0}, single = {0};
    size_t used = sp_proxyhead_feed(&whole, (const char *)data, size), one = 0;
    uint8_t raw[16];

    while (one < size && single.state == SP_PROXY_MORE)
        one += sp_proxyhead_feed(&single, (const char *)data + one, 1);
    FZ_MUST(used <= size && used == one, "any split takes the same octets");
    FZ_MUST(whole.state == single.state && whole.port == single.port &&
                strcmp(whole.address, single.address) == 0,
            "any split means the same");
    FZ_MUST(whole.state != SP_PROXY_CLIENT ||
                inet_pton(strchr(whole.address, ':') ? AF_INET6 : AF_INET, whole.address,
                          raw) == 1,
            "a client has an address");
    return 0;
}
