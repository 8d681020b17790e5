/*
 * target.h - which server, how secured, with which credentials: options that send,
 * bench and check share.
 *
 *     static const struct sp_option options[] = {SP_OPT_TARGET, ..., SP_OPT_END};
 *     rc = sp_target_read(a, &t);        usage errors are said; 0 or an exit status
 *     sp_talk_new(net, &t.talk, ...);
 *     sp_target_free(&t);
 *
 * Passwords and tokens come from a file, a command or the environment, never from the
 * command line (other users can read that).
 */
#ifndef SP_TARGET_H
#define SP_TARGET_H

#include "cli.h"
#include "talk.h"

#define SP_OPT_SERVER                                                                  \
    {"server", 's', "URL",                                                             \
     "smtp://HOST[:587], smtps://HOST[:465], srv://DOMAIN, lmtp:/PATH, local:/PATH"}, \
        {"user", 'u', "NAME", "log in as this account"},                               \
        {"password-file", 'P', "FILE", "password: first line of FILE"},                \
        {"password-command", 0, "COMMAND", "password: what COMMAND prints"},           \
        {"token-file", 0, "FILE", "OAuth 2.0 token instead of a password"},            \
        {"token-command", 0, "COMMAND", "the same from what COMMAND prints"},          \
        {"certificate", 'C', "FILE", "client certificate, PEM or PKCS#12"},            \
        {"key", 'K', "FILE", "its key (default: in the certificate's file)"},          \
        {"certificate-login", 0, "HOW", "auto (default), explicit or implicit"},       \
        {"mechanism", 'm', "NAME", "only this SASL mechanism; may be given again"},    \
        {"ca", 0, "FILE", "trust these CAs instead of the system's"},                  \
        {"tls-name", 0, "NAME", "verify this name instead of HOST"},                   \
        {"insecure-no-verify", 0, NULL, "believe any server"},                         \
        {"helo", 0, "NAME", "our name (default: the system's)"},                       \
        {"ipv4", '4', NULL, "IPv4 only"}, {"ipv6", '6', NULL, "IPv6 only"},            \
        {"source", 0, "ADDRESS", "our own address"},                                   \
        {"socks", 0, "HOST:PORT", "through this SOCKS5 proxy"},                        \
    {                                                                                  \
        "timeout", 0, "SECONDS", "longest wait for one reply"                          \
    }

/* The same, and what the prober's own connections have no use for. */
#define SP_OPT_TARGET                                                                  \
    SP_OPT_SERVER,                                                                     \
        {"kerberos", 0, NULL, "log in with the Kerberos ticket that is there (kinit)"},  \
        {"server-pin", 0, "SHA256", "trust this certificate or key and no CA"},        \
        {"opportunistic", 0, NULL,                                                     \
         "send mail, never a password, without TLS if there is none"},                 \
        {"insecure-clear-password", 0, NULL, "send passwords even without TLS"},       \
        {"no-tls", 0, NULL, "no TLS at all (loopback only)"}

struct sp_target {
    struct sp_talk_opts talk;
    char host[260], socks[260], helo[260], verify[260], cert_address[400];
    struct sp_buf password, token; /* read when first asked for */
    const struct sp_args *a;
};

/* 0, or the exit status of an error that was said.  `t` is freed by sp_target_free() in
 * either case.  Nothing is asked on a terminal before the server wants a password. */
int sp_target_read(const struct sp_args *a, struct sp_target *t);
void sp_target_free(struct sp_target *t);

#endif
