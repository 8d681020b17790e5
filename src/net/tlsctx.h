/*
 * tlsctx.h - what a TLS session is made from, and what can be said about it afterwards.
 *
 * Server:
 *     struct sp_tls_pair pair = {{cert_pem, "server.pem"}, {key_pem, "server.key"}};
 *     struct sp_tls_server_opts o = {.pairs = &pair, .n_pairs = 1, .ask_client = true,
 *                                    .client_ca = {ca_pem, "ca.pem"}};
 *     rc = sp_tls_server(&o, &ctx, &err);
 *     sp_conn_start_tls(conn, ctx, NULL, &err);      see conn.h
 *     sp_tls_unref(ctx);                             sessions keep theirs: reload = swap
 *
 * Client:
 *     struct sp_tls_client_opts o = {.must_verify = true};
 *     rc = sp_tls_client(&o, &ctx, &err);
 *     sp_conn_start_tls(conn, ctx, "mail.example.org", &err);
 *
 * A context is immutable and counts its references (one thread only).  All input is PEM
 * in memory, because the server role cannot open files; `name` is only for messages.
 * The options may be given back as soon as the function returns.  Errors are sentences
 * that name the file; after an error nothing was made.
 *
 * Servers: TLS 1.2 and 1.3; no tickets, no session cache, no renegotiation, no early
 * data.  ALPN offered without "smtp" ends the handshake with no_application_protocol
 * (cross-protocol attacks); none offered is fine.  A client certificate is asked for but
 * never demanded, and never judged inside the handshake: whatever it is, the handshake
 * goes on and sp_tls_verdict says later what it is worth.
 *
 * Clients: the server is verified inside the handshake, before our certificate is sent:
 * chain and dNSName/iPAddress against the name that the user gave (RFC 6125; the CN is
 * never looked at), or a pin, which replaces chain and name but not the dates.
 */
#ifndef SP_TLSCTX_H
#define SP_TLSCTX_H

#include "buf.h"

struct sp_tls_ctx;

struct sp_pem {
    struct sp_str pem; /* n == 0: not given */
    const char *name;  /* the file it came from, for messages */
};

/* One certificate (leaf first, then its chain) with its key. */
struct sp_tls_pair {
    struct sp_pem cert, key;
    struct sp_pem ocsp; /* OCSP response (DER) about cert; n == 0: none */
    const char *const *names; /* servers: shown for these; n_names 0: for its own names */
    size_t n_names;
};

struct sp_tls_server_opts {
    /* Chosen by SNI: exact name, then wildcard, then the first pair.  A pair with the
     * same names as an earlier one and another kind of key (RSA, ECDSA) stands beside
     * it, and the client's abilities decide. */
    const struct sp_tls_pair *pairs;
    size_t n_pairs;
    bool ask_client;         /* ask for a client certificate */
    bool tls13_at_least;
    bool send_ca_names;      /* name the CAs when asking; default: an empty list */
    struct sp_pem client_ca; /* the only roots; nothing is ever taken from the system */
    bool use_crl;            /* revocation is checked: a missing list is not "fine" */
    struct sp_pem crl;       /* any number of PEM lists */
};

/* 0, or negative with the reason in err.  An expired server certificate is no error
 * (clients will say so), nor is an OCSP response that cannot be used: it is left out; see
 * sp_tls_warning(). */
int sp_tls_server(const struct sp_tls_server_opts *o, struct sp_tls_ctx **ret,
                  struct sp_err *err);

/* Asked for the passphrase of an encrypted key: fills buf (cap octets), returns the
 * length or -1.  buf is wiped afterwards. */
typedef int sp_tls_passphrase(char *buf, size_t cap, const char *name, void *arg);

/* One TLSA record (RFC 6698) of usage 2 or 3. */
struct sp_tls_dane {
    uint8_t usage, selector, matching;
    const uint8_t *data;
    size_t n;
};

struct sp_tls_client_opts {
    struct sp_pem ca;    /* roots instead of the system's */
    const char *ca_path; /* the same as a file or a hashed directory on disk */
    /* SHA-256 of the server's public key (SubjectPublicKeyInfo) or of its certificate:
     * 64 hex digits, colons between octets allowed, "sha256:" in front allowed. */
    const char *pin;
    /* Verified is who agrees with one of these records (RFC 7672), and nobody else: usage 3
     * without a look at names and dates, usage 2 with them.  No roots are read then. */
    const struct sp_tls_dane *dane;
    size_t n_dane;
    bool must_verify; /* an unverified server fails the handshake; otherwise the facts
                       * say that it was not verified, and why */
    struct sp_pem cert, key;     /* our own; key empty: it is in cert's PEM */
    struct sp_pem pkcs12;        /* or as PKCS#12 (binary) instead of both */
    sp_tls_passphrase *ask_pass; /* may be NULL: then an encrypted key is an error */
    void *ask_pass_arg;
    bool alpn;          /* offer "smtp" */
    bool tls12_at_most; /* tests and probes */
};
int sp_tls_client(const struct sp_tls_client_opts *o, struct sp_tls_ctx **ret,
                  struct sp_err *err);

struct sp_tls_ctx *sp_tls_ref(struct sp_tls_ctx *ctx); /* returns ctx */
void sp_tls_unref(struct sp_tls_ctx *ctx);             /* NULL is fine */
/* Server: whether handshakes from now on ask for a certificate; at first as ask_client
 * said. */
void sp_tls_ask_clients(struct sp_tls_ctx *ctx, bool ask);

/* Something an operator should know though it is no error: "certificate server.pem
 * expired 2026-01-02", "revocation list of CN=... ends 2026-02-01" (from 7 days ahead;
 * `now` in seconds).  Returns false when there is nothing; the first thing otherwise. */
bool sp_tls_warning(const struct sp_tls_ctx *ctx, int64_t now, char *text, size_t cap);

/* ---- What a client certificate is worth (server side) ---- */

struct sp_tls_verdict {
    bool present;  /* the client showed a certificate */
    bool chain_ok; /* leads to this listener's CAs, for client use, not revoked */
    bool dates_ok; /* the certificate itself is valid now */
    bool names_ok; /* no NUL inside a name */
    int64_t until; /* the verdict stays as it is until then, for the same context */
    char chain_why[160]; /* empty when ok; otherwise plain words without a full stop, */
    char dates_why[80];  /* such as "issuer not known to this listener", "revoked", */
    char names_why[80];  /* "not for client authentication" */
};

/* The one answer: verified?  `pinned`: the key is pinned to a user, which replaces the
 * chain, never dates or names.  `why` (may be NULL) gets the first reason; it points
 * into v or to a constant. */
bool sp_tls_verified(const struct sp_tls_verdict *v, bool pinned, const char **why);

/* Judges leaf and chain (DER; chain certificates concatenated, may be empty) by this
 * context's CAs and lists as of `now`.  Use the listener's present context to judge a
 * live session again: its own may be older than a revocation. */
void sp_tls_judge_der(const struct sp_tls_ctx *ctx, struct sp_str leaf,
                      struct sp_str chain, int64_t now, struct sp_tls_verdict *ret);

/* ---- What the handshake came to ---- */

struct sp_tls_facts {
    const char *version;           /* "TLSv1.3"; constant */
    const char *cipher;            /* IANA's or OpenSSL's name; constant */
    int bits;                      /* strength of the cipher */
    bool extended_master_secret;   /* RFC 7627; true in TLS 1.3 */
    bool alpn_smtp;                /* "smtp" was agreed on */
    bool peer_cert;                /* the peer showed a certificate */
    uint8_t cert_sha256[32];       /* of the peer's certificate ... */
    uint8_t spki_sha256[32];       /* ... and its public key */
    char sni[256];                 /* server: the name the client asked for, or empty */
    bool staple_expired;           /* server: asked for OCSP, and ours was too old to send */
    struct sp_tls_verdict verdict; /* server */
    bool verified;                 /* client: the server is who it should be ... */
    char why_not[200];             /* ... or why that cannot be said */
    bool cert_asked;               /* client: the server asked for a certificate ... */
    bool cert_sent;                /* ... and ours was sent */
    /* The peer ended it, by an alert or by closing, not a verdict of ours.  With
     * cert_sent a client may read it as "certificate refused". */
    bool ended_by_peer;
};

enum sp_binding {
    SP_BINDING_EXPORTER, /* RFC 9266; in TLS 1.2 only with extended master secret */
    SP_BINDING_UNIQUE,   /* RFC 5929 tls-unique: TLS 1.2 with extended master secret */
};

#endif
