/* f_xclient.c - what a proxy says of its client: whatever it is, nothing comes out that could
 * harm a log line or a trace field, an address is one, and saying it again means the same. */
#include "fz.h"

#include "text.h"
#include "xclient.h"

#include <arpa/inet.h>

static void harmless(const char *s)
{
    for (; *s; s++)
        FZ_MUST((unsigned char)*s > 32 && *s != 127, "no blank and no control octet");
}

static void check(const struct sp_xclient *x)
{
    uint8_t raw[16];
    uint64_t port;

    harmless(x->address);
    harmless(x->helo);
    harmless(x->login);
    harmless(x->ident);
    FZ_MUST(!x->address[0] || inet_pton(strchr(x->address, ':') ? AF_INET6 : AF_INET,
                                        x->address, raw) == 1,
            "an address is one");
    FZ_MUST(!x->port[0] || sp_str_u64(sp_str(x->port), 65535, &port) == 0,
            "a port is one");
}

static void put(struct sp_buf *b, const char *name, const char *value)
{
    (void)sp_buf_printf(b, "%s=", name);
    for (; *value; value++)
        (void)sp_buf_printf(b, "+%02X", (unsigned char)*value);
    (void)sp_buf_puts(b, " ");
}

static void again(const struct sp_xclient *x)
{
    struct sp_xclient two;
    struct sp_buf b;

    sp_buf_init(&b, 65536);
    if (x->address[0])
        (void)sp_buf_printf(&b, "ADDR=%s%s ", strchr(x->address, ':') ? "IPV6:" : "",
                            x->address);
    if (x->port[0])
        (void)sp_buf_printf(&b, "PORT=%s ", x->port);
    if (x->helo[0])
        put(&b, "HELO", x->helo);
    if (x->login[0])
        put(&b, "LOGIN", x->login);
    if (x->ident[0])
        put(&b, "IDENT", x->ident);
    FZ_MUST(sp_xclient_parse(sp_buf_view(&b), &two),
            "what was understood can be said again");
    FZ_MUST(strcmp(x->address, two.address) == 0 && strcmp(x->port, two.port) == 0 &&
                strcmp(x->helo, two.helo) == 0 && strcmp(x->login, two.login) == 0 &&
                strcmp(x->ident, two.ident) == 0,
            "and means the same");
    sp_buf_free(&b);
}

FZ_TARGET
{
    struct sp_xclient x;
    char *copy = fz_copy((struct sp_str){(const char *)data, size});

    if (sp_xclient_parse((struct sp_str){copy, size}, &x)) {
        check(&x);
        again(&x);
    }
    free(copy);
    return 0;
}
