/*
 * oneshot.h - SASL mechanisms whose message is merely octets in a fixed order.
 *
 * The three results point into the message.  -SP_EINPUT: not that mechanism's form.
 */
#ifndef SP_ONESHOT_H
#define SP_ONESHOT_H

#include <sallyport/smtp.h>

struct sp_credential {
    struct sp_str authzid; /* authorization identity; empty: none given */
    struct sp_str authcid; /* authentication identity */
    struct sp_str secret;  /* password or token */
};

int sp_plain_parse(struct sp_str msg, struct sp_credential *ret);       /* RFC 4616 */
int sp_oauthbearer_parse(struct sp_str msg, struct sp_credential *ret); /* RFC 7628 */
int sp_xoauth2_parse(struct sp_str msg, struct sp_credential *ret);
int sp_external_parse(struct sp_str msg, struct sp_credential *ret); /* RFC 4422 A */
/* User name and password of LOGIN, each by itself. */
bool sp_login_valid(struct sp_str s);

#endif
