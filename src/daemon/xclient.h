/*
 * xclient.h - the attributes of XCLIENT and XFORWARD (Postfix's XCLIENT_README).
 *
 *     struct sp_xclient x;
 *     if (!sp_xclient_parse(SP_LIT("ADDR=192.0.2.1 LOGIN=bob"), &x))
 *         501
 *
 * What a proxy says goes into logs, limits and trace fields, so nothing passes that is no
 * address or number where one belongs, or that holds a blank or a control octet.  Unknown
 * names refuse the whole line.
 */
#ifndef SP_XCLIENT_H
#define SP_XCLIENT_H

#include <sallyport/types.h>

/* Strings; "" where it was not said, or was said to be unavailable.  The address is as
 * inet_ntop() writes it. */
struct sp_xclient {
    char address[64], port[8], helo[256], login[256], ident[64];
};

/* False: malformed; *ret is not to be used then. */
bool sp_xclient_parse(struct sp_str line, struct sp_xclient *ret);

#endif
