/*
 * probe_wire.h - one connection of the prober: it may misbehave, it never hangs, and it
 * remembers what was said.
 *
 *     struct sp_pw_dial d = {.host = "mail.example.org", .port = 587, ...};
 *     rc = sp_pw_open(&d, &w, &err);                  connects
 *     code = sp_pw_reply(w, &r);                      the banner
 *     code = sp_pw_ehlo(w, "EHLO", caps, &r);         caps: one sp_caps_line() each
 *     code = sp_pw_cmd(w, &r, "STARTTLS");
 *     ok = sp_pw_handshake(w, &tls);                  then w->tls says what came of it
 *     code = sp_pw_cmd(w, &r, "MAIL FROM:<%s>", from);
 *     sp_pw_end(w); ... sp_pw_evidence(w, from, &ev); sp_pw_free(w);
 *
 * Blocks, but never longer than reply_ms for one reply (all of its lines together) and
 * total_ms for the connection; *stop ends it at once.  The first thing that goes wrong is
 * sticky: w->end says what, w->why in words, and every later call returns 0 at once.
 *
 * A function that reads a reply returns its code (200 to 599), or 0 when there is none.
 *
 * Secrets: sp_pw_secret() sends one and writes only its first words into the log.
 * The client engine is not used here on purpose: it refuses to do wrong.
 */
#ifndef SP_PROBE_WIRE_H
#define SP_PROBE_WIRE_H

#include "cli_caps.h"
#include "finding.h"
#include "reply.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>

enum sp_pw_end {
    SP_PW_OPEN,
    SP_PW_BYE,     /* we closed */
    SP_PW_EOF,     /* the server closed */
    SP_PW_RESET,   /* connection reset, or another error of the socket */
    SP_PW_TIMEOUT, /* no complete reply in time */
    SP_PW_GARBAGE, /* what came is no SMTP reply */
    SP_PW_ENDLESS, /* a reply without end */
    SP_PW_TLS,     /* the handshake failed, or an alert came */
    SP_PW_STOPPED, /* *stop */
    SP_PW_NOMEM,
};

struct sp_pw_dial {
    const char *host;
    uint16_t port;
    int family;         /* AF_UNSPEC, AF_INET, AF_INET6 */
    const char *source; /* NULL: the system's choice */
    const char *socks_host; /* NULL: no SOCKS5 proxy; else it resolves `host` each time */
    uint16_t socks_port;
    const char *socks_user, *socks_password; /* NULL: none */
    unsigned connect_ms, reply_ms, total_ms;
    const volatile sig_atomic_t *stop; /* may be NULL */
    /* Written by the first connection, used by all later ones: one machine is asked (of a
     * proxy: the proxy's address). */
    struct sockaddr_storage peer;
    socklen_t peer_len;
};

struct sp_pw_reply {
    int code;
    int enh[3];     /* enh[0] 0: none */
    bool enh_wrong; /* an enhanced code whose class is not the reply's */
    unsigned lines;
    char line[200]; /* the first line, fit for a terminal */
    char verb[12];  /* of the command; "" when it is not known: banner, groups */
};

/* What to offer in a handshake.  Pairs are OpenSSL objects of the caller. */
struct sp_pw_tls {
    const char *name;             /* for SNI and verification; NULL: none */
    const char *ca_path;          /* file or folder; NULL: the system's */
    int min_version, max_version; /* TLS1_2_VERSION ...; 0: ours, 1.2 and 1.3 */
    const char *ciphers;          /* NULL: OpenSSL's */
    X509 *cert;                   /* NULL: none */
    EVP_PKEY *key;
    STACK_OF(X509) * chain; /* of ours; may be NULL */
    /* DANE (RFC 7672): usage, selector, matching type, then the data. */
    const struct sp_str *tlsa;
    size_t n_tlsa;
};

enum { SP_PW_WORDS = 200 };

/* What the handshake told, and what came of the session. */
struct sp_pw_facts {
    bool up;
    int version;              /* TLS1_3_VERSION ... */
    const char *version_name; /* "TLSv1.3" */
    char cipher[64], group[40];
    bool extended_master_secret;
    bool forward_secrecy;
    unsigned tickets;          /* NewSessionTicket messages until now */
    bool cert_asked;           /* a CertificateRequest came */
    unsigned ca_names;         /* in it */
    char ca_name[SP_PW_WORDS]; /* the first */
    bool stapled;
    bool close_notify; /* came before the end of the connection */
    bool chain_ok, name_ok, dates_ok, must_staple, self_signed, missing_issuer;
    char chain_why[SP_PW_WORDS], names[SP_PW_WORDS], subject[SP_PW_WORDS];
    int64_t not_after_s;
    int key_type, key_bits;
    char signature[40]; /* "sha1WithRSAEncryption" */
    bool weak_signature;
    bool dane_asked, dane_ok, dane_usable;
    bool exporter_ok;
    uint8_t exporter[32];
    bool unique_ok;
    uint8_t unique[64];
    size_t unique_len;
    char failure[SP_PW_WORDS]; /* the handshake's, or the alert that came later */
    bool alert;                /* the failure is an alert of the server's */
    char behind_220[120];      /* octets that came in clear behind the 220, escaped */
};

struct sp_pw_line {
    uint8_t dir; /* enum sp_ev_dir */
    bool in_tls, clipped, hidden;
    uint16_t n;
    char *text;
};

struct sp_pw {
    int fd;
    SSL *ssl;
    unsigned number; /* the n-th connection of the run: set by the owner */
    unsigned failed; /* logins that the server refused on it */
    enum sp_pw_end end;
    char why[SP_PW_WORDS];
    struct sp_pw_facts tls;
    struct sp_pw_line *line; /* the dialogue */
    unsigned n_lines;
    struct sp_pw_reply *seen; /* every reply, for what concerns all of them */
    unsigned n_seen;
    /* private */
    struct sp_pw_dial d;
    struct sp_reply_reader reader;
    char in[4096];
    size_t in_at, in_n;
    uint64_t end_ms;
    unsigned max_lines, max_seen;
};

/* 0 and *ret_w, or negative with the reason: -SP_ENOENT no such host, -SP_ECLOSED no
 * connection, -SP_ETIMEDOUT, -SP_ENOMEM. */
int sp_pw_open(struct sp_pw_dial *d, struct sp_pw **ret_w, struct sp_err *err);
void sp_pw_free(struct sp_pw *w); /* NULL is fine */

bool sp_pw_alive(const struct sp_pw *w);
/* As they are; octets may be anything.  False: the connection is over. */
bool sp_pw_send(struct sp_pw *w, struct sp_str octets);
int sp_pw_reply(struct sp_pw *w, struct sp_pw_reply *ret);
/* A line, CRLF added, and its reply. */
int sp_pw_cmd(struct sp_pw *w, struct sp_pw_reply *ret, const char *fmt, ...)
    SP_PRINTF(3, 4);
/* `shown` and then the secret itself, base64 of it when it is more than nothing. */
int sp_pw_secret(struct sp_pw *w, struct sp_pw_reply *ret, const char *shown,
                 struct sp_str secret);
/* verb is EHLO; caps may be NULL. */
int sp_pw_ehlo(struct sp_pw *w, const char *name, struct sp_caps *caps,
               struct sp_pw_reply *ret);
/* The last 334's text, decoded; -SP_EINPUT when it is no base64. */
int sp_pw_challenge(struct sp_pw *w, char *out, size_t cap);
/* Are there octets within ms?  Does not read a reply; false also at the end. */
bool sp_pw_waiting(struct sp_pw *w, unsigned ms);
/* Octets in clear that the reply did not belong to, escaped; "" when none. */
/* "this is an IMAP server", by a greeting's first words; NULL: who knows. */
const char *sp_pw_kind(const char *line);
void sp_pw_leftover(struct sp_pw *w, char *out, size_t cap);

/* True: TLS is up.  False: w->tls.failure, and w->end is SP_PW_TLS (or what it was). */
bool sp_pw_handshake(struct sp_pw *w, const struct sp_pw_tls *o);
/* After a failed handshake: the socket in clear again, to see who still answers. */
void sp_pw_forget_tls(struct sp_pw *w);
/* QUIT where it is in step, then closes, and sees whether close_notify comes. */
void sp_pw_end(struct sp_pw *w);
/* The same without a word: for a session that is not in step, or half in TLS. */
void sp_pw_stop_quietly(struct sp_pw *w);
void sp_pw_note(struct sp_pw *w, const char *fmt, ...) SP_PRINTF(2, 3);
/* The dialogue from line `from` on, into ev. */
void sp_pw_evidence(const struct sp_pw *w, unsigned from, unsigned to,
                    struct sp_evidence *ev);

uint64_t sp_pw_now_ms(void);
/* A key and a certificate of nobody's CA for this address, valid for a day. */
int sp_pw_foreign(const char *address, X509 **ret_cert, EVP_PKEY **ret_key);

#endif
