/* xclient.c - see xclient.h. */
#include "xclient.h"

#include "text.h"

#include <arpa/inet.h>
#include <string.h>

/* "[UNAVAILABLE]" and "[TEMPUNAVAIL]" are as good as nothing said. */
static bool unavailable(struct sp_str v)
{
    return sp_str_caseis(v, "[UNAVAILABLE]") || sp_str_caseis(v, "[TEMPUNAVAIL]");
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xtext (RFC 3461 4) into a string; what could harm a log or a trace field is refused. */
static bool put_value(struct sp_str v, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < v.n; i++) {
        int c = (unsigned char)v.p[i];

        if (c == '+') {
            if (i + 2 >= v.n || hex(v.p[i + 1]) < 0 || hex(v.p[i + 2]) < 0)
                return false;
            c = hex(v.p[i + 1]) << 4 | hex(v.p[i + 2]);
            i += 2;
        }
        if (c <= 32 || c == 127 || n + 1 >= cap)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0;
}

/* "192.0.2.1" or "IPV6:2001:db8::1". */
static bool put_address(struct sp_str v, char *out, size_t cap)
{
    uint8_t raw[16];
    int family = AF_INET;

    if (v.n > 5 && sp_str_caseis((struct sp_str){v.p, 5}, "IPV6:")) {
        v = (struct sp_str){v.p + 5, v.n - 5};
        family = AF_INET6;
    }
    return put_value(v, out, cap) && inet_pton(family, out, raw) == 1 &&
           inet_ntop(family, raw, out, (socklen_t)cap);
}

static bool attribute(struct sp_xclient *x, struct sp_str name, struct sp_str v)
{
    uint64_t port;

    if (unavailable(v))
        return true;
    if (sp_str_caseis(name, "ADDR"))
        return put_address(v, x->address, sizeof x->address);
    if (sp_str_caseis(name, "PORT"))
        return sp_str_u64(v, 65535, &port) == 0 &&
               put_value(v, x->port, sizeof x->port);
    if (sp_str_caseis(name, "HELO"))
        return put_value(v, x->helo, sizeof x->helo);
    if (sp_str_caseis(name, "LOGIN"))
        return put_value(v, x->login, sizeof x->login);
    if (sp_str_caseis(name, "IDENT"))
        return put_value(v, x->ident, sizeof x->ident);
    return sp_str_caseis(name, "NAME") || sp_str_caseis(name, "SOURCE") ||
           sp_str_caseis(name, "PROTO") || sp_str_caseis(name, "DESTADDR") ||
           sp_str_caseis(name, "DESTPORT");
}

bool sp_xclient_parse(struct sp_str line, struct sp_xclient *ret)
{
    memset(ret, 0, sizeof *ret);
    while (line.n) {
        struct sp_str v = sp_str_cut(&line, ' '), name;

        if (v.n == 0)
            continue;
        name = sp_str_cut(&v, '=');
        if (!v.p || !attribute(ret, name, v))
            return false;
    }
    return true;
}
