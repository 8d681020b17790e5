/*
 * conf.h - the configuration: one table of keys, read into plain structs.
 *
 *     struct sp_conf_errors errs;
 *     sp_conf_errors_init(&errs);
 *     struct sp_conf *c = sp_conf_load("/etc/sallyport/sallyport.conf", &errs);
 *     if (errs.errors || errs.warnings)
 *         sp_conf_errors_render(&errs, &text, isatty(2));   show it to the administrator
 *     sp_conf_errors_free(&errs);
 *     if (!c)
 *         ...                           errors: all of the file's, not only the first
 *     for (size_t i = 0; i < c->n_listeners; i++)
 *         use(&c->listeners[i]);        every member is filled, defaults included
 *     sp_conf_unref(c);
 *
 * The keys, their types, ranges, defaults and documentation are rows of one table
 * (conf_table.c).  The parser, the checks, the dump, the example file, the manual page
 * and doc/configuration.md all come from it.
 *
 * Memory: a struct sp_conf owns everything reachable from it and never changes after
 * it was returned; strings in it are NUL-terminated and live until the last unref.
 * The error list owns its texts; it does not need the configuration.
 *
 * Errors: sp_conf_parse() and sp_conf_load() return NULL when there was an error; the
 * list says why.  Warnings alone do not prevent success.
 *
 * The caller must not write to the structs, and must not assume that a file named in
 * them exists: nothing but the configuration file itself is opened here.
 */
#ifndef SP_CONF_H
#define SP_CONF_H

#include "arena.h"
#include "buf.h"
#include "log.h"
#include "rate.h"

enum {
    SP_CONF_FILE_MAX = 4 * 1024 * 1024, /* octets in a file */
    SP_CONF_LINE_MAX = 4096,            /* octets in a line, its end not counted */
    SP_CONF_SECTIONS_MAX = 1000,        /* sections of one kind */
    SP_CONF_LIST_MAX = 100000,          /* elements of one list */
    SP_CONF_KEYS_MAX = 128,             /* keys of one section */
};

/* Where a service of the whole machine keeps its data: others are somebody's own. */
#define SP_CONF_DATA_DIRECTORY "/var/lib/sallyport"

/* What every section, and the top of the file, begins with. */
struct sp_conf_head {
    const char *name; /* NAME of `listener NAME {`; "" for the top of the file */
    unsigned line;    /* where it begins; 0 when implied */
    bool implied; /* not written in the file: what stands there when it is left out */
    uint64_t given[2]; /* bit per key: it was written; ask sp_conf_given() */
};

struct sp_conf_list {
    const char *const *v;
    size_t n;
};

struct sp_conf_numbers {
    const uint64_t *v;
    size_t n;
};

/* An address to listen on or a host to connect to. */
enum sp_conf_addr_kind {
    SP_CONF_ADDR_ANY,  /* `*:587`: every address of the machine, IPv4 and IPv6 */
    SP_CONF_ADDR_IP4,  /* host is a literal that inet_pton(AF_INET) takes */
    SP_CONF_ADDR_IP6,  /* the same for AF_INET6, without brackets */
    SP_CONF_ADDR_NAME, /* a host name, to be looked up; only where one connects to it */
    SP_CONF_ADDR_UNIX, /* host is an absolute path of at most 107 octets */
};

struct sp_conf_addr {
    enum sp_conf_addr_kind kind;
    uint16_t port;    /* 0 only with UNIX; where none was written, the default one */
    const char *host; /* "" with ANY */
    const char *text; /* the whole, in canonical form: `[::1]:587`, `unix:/run/x` */
};

struct sp_conf_addrs {
    const struct sp_conf_addr *v;
    size_t n;
};

/* Which mail a route is for; one word of `match`. */
enum sp_conf_match_kind {
    SP_CONF_MATCH_ALL,       /* `*` */
    SP_CONF_MATCH_DOMAIN,    /* `example.org`: the recipient's domain, exactly */
    SP_CONF_MATCH_SUBDOMAIN, /* `*.example.org`: below it; text without the `*.` */
    SP_CONF_MATCH_RECIPIENT, /* `bob@example.org` */
    SP_CONF_MATCH_SENDER, /* `sender:bob@example.org`, `sender:example.org`, `sender:<>` */
    SP_CONF_MATCH_USER, /* `user:bob`: who submitted it */
};

struct sp_conf_match {
    enum sp_conf_match_kind kind;
    const char *text; /* what to compare with; domains in lower case; "<>" as it is */
};

/* Addresses: 192.0.2.0/24, 2001:db8::/32, or one without a length. */
struct sp_conf_net {
    uint8_t a[16];    /* IPv4 as ::ffff:192.0.2.0 */
    unsigned bits;    /* of 128 */
    const char *text; /* canonical */
};

struct sp_conf_nets {
    const struct sp_conf_net *v;
    size_t n;
};

/* So many in a minute, hour or day: rate.h. */
struct sp_conf_rates {
    const struct sp_rate *v;
    size_t n;
};

struct sp_conf_matches {
    const struct sp_conf_match *v;
    size_t n;
};

enum sp_conf_confinement { SP_CONF_AS_OFFERED, SP_CONF_CONFINED_FULLY, SP_CONF_CONFINED_OR_NOT };
enum sp_conf_log_format { SP_CONF_LOG_TEXT, SP_CONF_LOG_JSON };

enum sp_conf_type {
    SP_CONF_SUBMISSION, /* mail programs: TLS, login */
    SP_CONF_LOCAL,      /* a Unix socket: the peer's user id is the identity */
    SP_CONF_REINJECTION,
    SP_CONF_PROXIED,
};

enum sp_conf_tls_mode { SP_CONF_STARTTLS, SP_CONF_IMPLICIT, SP_CONF_NONE };

enum sp_conf_client_certs {
    SP_CONF_CERTS_OFF,
    SP_CONF_CERTS_OPTIONAL,
    SP_CONF_CERTS_REQUIRED,
};

enum sp_conf_cert_login {
    SP_CONF_LOGIN_EITHER,
    SP_CONF_LOGIN_EXPLICIT,
    SP_CONF_LOGIN_IMPLICIT,
    SP_CONF_LOGIN_OFF,
};

enum sp_conf_cert_list {
    SP_CONF_LIST_ALL,
    SP_CONF_LIST_EXTERNAL,
    SP_CONF_LIST_PASSWORD,
};

enum sp_conf_tls_version { SP_CONF_TLS_1_2, SP_CONF_TLS_1_3 };

enum sp_conf_sender_check {
    SP_CONF_SENDER_BOTH, /* envelope+header */
    SP_CONF_SENDER_ENVELOPE,
    SP_CONF_SENDER_OFF,
};

/* What a listener with type = proxied believes of XCLIENT. */
enum sp_conf_xclient {
    SP_CONF_XCLIENT_OFF,
    SP_CONF_XCLIENT_ADDRESS, /* who the client is, not who is logged in */
    SP_CONF_XCLIENT_LOGIN,
};

enum sp_conf_to {
    SP_CONF_TO_SMARTHOST,
    SP_CONF_TO_LMTP,
    SP_CONF_TO_MAILDIR,
    SP_CONF_TO_DISCARD,
    SP_CONF_TO_BOUNCE,
    SP_CONF_TO_MX,
    SP_CONF_TO_PIPE,
};

enum sp_conf_route_tls {
    SP_CONF_RTLS_REQUIRED,
    SP_CONF_RTLS_OPPORTUNISTIC,
    SP_CONF_RTLS_IMPLICIT,
    SP_CONF_RTLS_NONE, /* loopback and Unix sockets only */
};

/* Which addresses of local domains there are. */
enum sp_conf_recipients {
    SP_CONF_RECIPIENTS_KNOWN, /* accounts and aliases */
    SP_CONF_RECIPIENTS_ANY,
};

enum sp_conf_cli_login {
    SP_CONF_CLOGIN_AUTO,
    SP_CONF_CLOGIN_EXPLICIT,
    SP_CONF_CLOGIN_IMPLICIT,
};

/* The name of the built-in certificate: what a listener has when the file has no tls
 * section.  serve makes the two files when they are missing. */
#define SP_CONF_SELF_SIGNED "self-signed"

/* `tls NAME { ... }`, or a path written in a listener's `certificate`. */
struct sp_conf_tls {
    struct sp_conf_head head;
    const char *certificate;   /* PEM, chain included; absolute */
    const char *key;           /* PEM; the same file as certificate where not given */
    struct sp_conf_list names; /* SNI; empty: the names in the certificate */
    const char *ocsp_response; /* DER, stapled; NULL: none */
    bool self_signed;          /* the built-in one: make it when it is not there */
};

/* `listener NAME { ... }` */
struct sp_conf_listener {
    struct sp_conf_head head;
    struct sp_conf_addrs address; /* at least one */
    enum sp_conf_type type;
    struct sp_conf_nets proxies;  /* PROXIED: who may connect; not empty there */
    bool proxy_protocol;          /* PROXIED: each connection begins with its header */
    enum sp_conf_xclient xclient; /* PROXIED */
    enum sp_conf_tls_mode tls;
    struct sp_conf_list certificate; /* as written: names and absolute paths */
    const struct sp_conf_tls *const
        *tls_certs;     /* what they mean; the first is the default */
    size_t n_tls_certs; /* > 0 unless tls is NONE */
    /* In force as far as this file decides: OPTIONAL when nothing was written and there
     * is a client-ca, else OFF.  When it was not written
     * (client_certificates_auto) and some user has a pin or a mapping, OFF means
     * OPTIONAL: the auth role tells the servers. */
    enum sp_conf_client_certs client_certificates;
    bool client_certificates_auto;
    const char *client_ca;  /* NULL: none */
    const char *client_crl; /* NULL: none */
    struct sp_conf_list client_ca_domains; /* empty: any; lower case */
    bool send_ca_names;
    enum sp_conf_cert_login certificate_login;
    enum sp_conf_cert_list auth_list_with_certificate;
    struct sp_conf_list auth_clear; /* mechanism names in the registered spelling */
    struct sp_conf_list auth_tls;   /* never EXTERNAL */
    bool require_binding;
    bool lenient_ehlo;
    bool legacy_auth_line;
    bool lenient_path;
    enum sp_conf_tls_version tls_min;
    struct sp_conf_list extensions; /* keywords of EHLO that may be listed */
    uint64_t future_release_max_s;  /* FUTURERELEASE: the longest time to hold mail */
    uint64_t deliver_by_min_s;      /* DELIVERBY: a shorter time is refused; 0: any */
    uint64_t priority_max;          /* MT-PRIORITY: a higher one is lowered to it */
    uint64_t recipients_max;
    uint64_t
        message_size; /* octets; the top's where the listener has none of its own */
    uint64_t max_sessions;
    uint64_t max_sessions_per_address;
    uint64_t idle_timeout_s;
    uint64_t user_sessions; /* of one account; 0: no limit */
    struct sp_conf_rates user_messages, user_recipients;       /* empty: no limit */
    struct sp_conf_rates address_messages, address_recipients; /* of one client address */
    struct sp_conf_list header_rules; /* "foreign-from=repair" ...: fixup.h */
    uint64_t login_timeout_s;
    enum sp_conf_sender_check sender_check;
    bool trace_identity;
    bool trace_hide_client;
    struct sp_conf_list milters, policies; /* names of sections; where not given: all */
    struct sp_conf_list content_filter;    /* at most one; where not given: the first */
};

/* `route NAME { ... }`, tried in this order; the first that matches a recipient wins. */
struct sp_conf_route {
    struct sp_conf_head head;
    struct sp_conf_matches match; /* any one of them is enough; never empty */
    enum sp_conf_to to;
    struct sp_conf_addrs host; /* smarthost: in order of preference, port filled in */
    struct sp_conf_addrs lmtp; /* lmtp: the same */
    struct sp_conf_list host_weights; /* empty, or one number from 1 to 1000 a host */
    uint64_t mx_port;
    bool address_literals;
    bool mta_sts;                     /* mx: RFC 8461 */
    const char *mta_sts_ca;           /* of policy hosts; NULL: the system's store */
    uint64_t mta_sts_timeout_s;
    const char *ehlo_name;            /* NULL: hostname */
    const char *source_address;       /* NULL or an address literal */
    enum sp_conf_route_tls tls;
    const char *tls_ca;   /* NULL: the system's store */
    const char *tls_name; /* NULL: the host as written */
    struct sp_conf_list
        server_pin;            /* 64 hexadecimal digits each: SHA-256 of the SPKI */
    const char *user;          /* NULL: no password login */
    const char *password_file; /* NULL: none; first line, read at each login */
    const char *token_file;    /* NULL: none; an OAuth 2.0 access token instead */
    struct sp_conf_list token_command; /* empty: none; program and arguments, no shell */
    const char *client_certificate; /* NULL: none */
    const char *client_key;         /* client_certificate's file where not given */
    enum sp_conf_cli_login certificate_login;
    const char *path; /* maildir: absolute, with %u %d %% */
    struct sp_conf_list command; /* pipe: program and arguments with %a %u %d %e %s %% */
    uint64_t command_timeout_s;
    const char *run_as; /* pipe: NULL, a system user, or "%u" */
    const char *reason; /* bounce: NULL or the words for the sender */
    uint64_t concurrency, concurrency_start;
    struct sp_conf_rates destination_rate; /* messages to one destination; empty: no limit */
    uint64_t connection_reuse; /* messages on one connection; 1: no reuse */
};

/* `oauth NAME { ... }`: whose access tokens are good (OAUTHBEARER, XOAUTH2). */
struct sp_conf_oauth {
    struct sp_conf_head head;
    const char *issuer;           /* NULL only with introspection */
    struct sp_conf_list audience; /* any of them; empty only with introspection */
    const char *keys;             /* PEM or JWKS; NULL: introspection decides */
    const char *introspection_url; /* https; NULL: keys decide */
    const char *client_id;        /* NULL: none */
    const char *client_secret_file; /* NULL: none; first line */
    const char *tls_ca;           /* of the endpoint; NULL: the system's store */
    uint64_t introspection_timeout_s;
    uint64_t introspection_cache_s; /* 0: none */
    struct sp_conf_list scope;      /* all of them */
    const char *user_claim;
    struct sp_conf_list algorithms;
    uint64_t leeway_s;
    const char *openid_configuration; /* told to clients; NULL: nothing */
};

enum sp_conf_accounts_type {
    SP_CONF_ACCTS_SQLITE, /* users.db of the data directory */
    SP_CONF_ACCTS_FILE,
    SP_CONF_ACCTS_LDAP,
    SP_CONF_ACCTS_PAM,
    SP_CONF_ACCTS_POSTGRESQL,
    SP_CONF_ACCTS_DOVECOT,
};

enum sp_conf_password_by { SP_CONF_BY_BIND, SP_CONF_BY_ATTRIBUTE };

/* `accounts NAME { ... }`: where accounts are kept; asked in the order of the file. */
struct sp_conf_accounts {
    struct sp_conf_head head;
    enum sp_conf_accounts_type type;
    const char *domain;      /* NULL: none; of names without one */
    bool local_rights;       /* users.db adds rights to an account of the same name */
    uint64_t believe_s;      /* how long what was looked up is taken as true */
    uint64_t timeout_s;      /* of one look-up or password check */
    uint64_t connections;    /* at a time */
    uint64_t
        scram_iterations;    /* of the verifiers there; what unknown names are shown */
    const char *path;        /* file */
    struct sp_conf_list url; /* ldap: tried in this order */
    bool starttls;           /* ldap://: before anything else is said */
    const char *tls_ca;      /* NULL: the system's store */
    const char *bind_dn;     /* NULL: anonymous */
    const char *password_file; /* NULL: none; first line */
    const char *base;
    const char *filter;             /* with %u %n %d */
    const char *certificate_filter; /* with %p; NULL: none */
    const char *bind_template;      /* a DN with %u %n %d; NULL: search */
    enum sp_conf_password_by password_by;
    struct sp_conf_list fields; /* FIELD=ATTRIBUTE */
    const char *service, *service_directory; /* pam; the directory NULL: the system's */
    const char *connection, *query, *certificate_query; /* postgresql: $1 only */
    const char *socket, *user_socket; /* dovecot; the second NULL: none */
    struct sp_conf_list pass_through; /* dovecot: mechanisms it does itself */
};

enum sp_conf_canon { /* header/body, RFC 6376 3.4 */
    SP_CONF_CANON_RR,
    SP_CONF_CANON_RS,
    SP_CONF_CANON_SR,
    SP_CONF_CANON_SS,
};

/* `dkim NAME { ... }`: a signature that mail of some authors gets. */
struct sp_conf_dkim {
    struct sp_conf_head head;
    const char *domain;   /* d= */
    const char *selector; /* s= */
    const char *key;      /* PEM */
    struct sp_conf_list authors; /* domains of From; empty: domain */
    enum sp_conf_canon canonicalization;
    struct sp_conf_list headers, oversign;
    uint64_t lifetime_s; /* 0: no x= */
};

/* What becomes of mail while a filter cannot be asked. */
enum sp_conf_failure { SP_CONF_FAIL_TEMPFAIL, SP_CONF_FAIL_ACCEPT, SP_CONF_FAIL_REJECT };

/* `milter NAME { ... }`: a filter program that is asked while mail comes in. */
struct sp_conf_milter {
    struct sp_conf_head head;
    struct sp_conf_addrs address; /* tried in this order; never empty, with ports */
    enum sp_conf_failure on_failure;
    uint64_t connect_timeout_s, command_timeout_s, content_timeout_s;
};

/* `policy NAME { ... }`: a service that is asked about each recipient. */
struct sp_conf_policy {
    struct sp_conf_head head;
    struct sp_conf_addrs address;
    enum sp_conf_failure on_failure;
    uint64_t timeout_s;
    uint64_t connections; /* at a time */
};

enum sp_conf_hop { SP_CONF_HOP_SMTP, SP_CONF_HOP_LMTP };

/* `content-filter NAME { ... }`: mail goes there, and comes back at a listener with type =
 * reinjection.  sp_conf_filter_route() is the way to it. */
struct sp_conf_filter {
    struct sp_conf_head head;
    struct sp_conf_addrs address; /* this machine */
    enum sp_conf_hop protocol;
    uint64_t connections;
};

struct sp_conf {
    struct sp_conf_head head;
    const char *filename;  /* as given; for messages */
    const char *directory; /* what relative paths began at; absolute */

    const char *hostname;
    const char *data_directory;
    enum sp_conf_log_format log_format;
    enum sp_conf_confinement confinement;
    enum sp_level log_level;
    const char *user;          /* whom root becomes */
    const char *group;         /* NULL: the user's own */
    uint64_t server_processes; /* 0: as many as there are CPUs */
    uint64_t delivery_processes;
    const char *admin_group; /* NULL: only root and the service's user */
    const char *control_socket;
    struct sp_conf_addrs local_socket; /* of the implied listener `local`; may be empty */
    const char *outbox; /* where sendmail leaves mail while we are down; NULL: nowhere */
    struct sp_conf_addrs metrics; /* for Prometheus; loopback or Unix sockets; empty: none */
    uint64_t queue_lifetime_s;
    uint64_t delay_warning_s;               /* 0: none */
    uint64_t destination_pause_s; /* the longest, behind failures of one */
    struct sp_conf_numbers retry_intervals; /* seconds; the last one repeats */
    const char *postmaster;
    bool tls_reports;                    /* RFC 8460 */
    const char *tls_reports_organization; /* NULL: hostname */
    const char *tls_reports_contact;     /* NULL: postmaster */
    const char *tls_reports_ca;          /* of hosts that take reports; NULL: the system's */
    uint64_t history_keep_s;
    uint64_t deduplicate_s; /* implicit matching of submissions sent again; 0: off */
    uint64_t hops_max;      /* Received fields; more is a loop */
    struct sp_conf_rates alert_rate; /* messages of an account; empty: no alert */
    uint64_t message_size;
    struct sp_conf_list local_domains; /* lower case */
    struct sp_conf_list alias_files;    /* absolute paths; empty: none */
    const char *alias_database;         /* NULL: none */
    const char *alias_query;            /* NULL: the usual one, see the table */
    uint64_t alias_recipients_max;
    struct sp_conf_list recipient_delimiter; /* one octet each */
    enum sp_conf_recipients local_recipients;
    const char *always_bcc; /* NULL: none */
    const char *dns_server;       /* NULL: from the root; "system": resolv.conf */
    const char *dns_trust_anchor; /* NULL: the root's */
    uint64_t dns_timeout_s;
    const char *gssapi_keytab;    /* NULL: no GSSAPI */
    const char *gssapi_principal; /* NULL: any key of it */
    const char *gssapi_realm;     /* NULL: principals keep their realm */

    const struct sp_conf_tls *tls; /* named sections and, implied, paths and built-in */
    size_t n_tls;
    const struct sp_conf_listener *listeners; /* at least one */
    size_t n_listeners;
    const struct sp_conf_route *routes; /* the built-in `local-domains` among them */
    size_t n_routes;
    const struct sp_conf_oauth *oauth; /* in the order of the file; mostly none */
    size_t n_oauth;
    const struct sp_conf_accounts *accounts; /* none: users.db alone */
    size_t n_accounts;
    uint64_t login_cache_s; /* a password that was right is known for so long; 0: off */
    uint64_t login_cache_size;
    const char *auth_helper_user, *auth_helper_group; /* NULL: as all roles */
    const struct sp_conf_dkim *dkim; /* in the order of the file; mostly none */
    size_t n_dkim;
    const struct sp_conf_milter *milters; /* likewise */
    size_t n_milters;
    const struct sp_conf_policy *policies; /* likewise */
    size_t n_policies;
    const struct sp_conf_filter *filters; /* likewise; content filters */
    size_t n_filters;
};

/* One thing to say about a file. */
struct sp_conf_error {
    bool warning;
    unsigned line;   /* from 1; 0: about the whole file */
    unsigned column; /* from 1, in characters */
    const char *message;
    const char *expected; /* NULL or "a size from 64K to 10G" */
    const char *example;  /* NULL or a line that would be right */
    const char *help;     /* NULL or what to do: did you mean, where the first one is */
    const char *text;     /* NULL or the line (a piece of it when long), printable */
    unsigned mark, mark_len; /* octets of text to put the carets under */
};

/* In the order of the file.  At most SP_CONF_ERRORS_MAX are kept, all are counted. */
enum { SP_CONF_ERRORS_MAX = 200 };
struct sp_conf_errors {
    size_t n;        /* kept */
    size_t errors;   /* counted */
    size_t warnings; /* counted */
    const char *filename;
    struct sp_conf_error *v;
    struct sp_arena arena;
    bool nomem; /* something could not even be noted */
};

void sp_conf_errors_init(struct sp_conf_errors *errs);
void sp_conf_errors_free(struct sp_conf_errors *errs); /* usable again, empty */
/* Appends one entry, or all and a summary line, as text.  Colour is for terminals.
 * Returns 0 or what sp_buf_put() returned. */
int sp_conf_error_render(const struct sp_conf_errors *errs, size_t i,
                         struct sp_buf *out, bool colour);
int sp_conf_errors_render(const struct sp_conf_errors *errs, struct sp_buf *out,
                          bool colour);

/* text need not outlive the call.  filename is for messages and for relative paths;
 * NULL means text that came from no file.  Returns NULL on any error, else a
 * configuration with one reference.  errs must be initialised; the list is added to. */
struct sp_conf *sp_conf_parse(struct sp_str text, const char *filename,
                              struct sp_conf_errors *errs);
/* Reads the file and parses it; that it cannot be read is an error in the list. */
struct sp_conf *sp_conf_load(const char *filename, struct sp_conf_errors *errs);

/* Counting is atomic: processes' threads may share one.  NULL is fine for unref. */
struct sp_conf *sp_conf_ref(struct sp_conf *c);
void sp_conf_unref(struct sp_conf *c);

/* The first route for this recipient, or NULL: bounce with the reason "no route".
 * Addresses without angle brackets; sender "" or "<>" is the null reverse-path; user "" when
 * nobody logged in.  Domains and users as in PROTOCOL: domain case-insensitive. */
const struct sp_conf_route *sp_conf_route_for(const struct sp_conf *c,
                                              struct sp_str recipient,
                                              struct sp_str sender, struct sp_str user);
/* Is the address (as text, without a port) in one of them? */
bool sp_conf_nets_have(const struct sp_conf_nets *nets, const char *address);
const struct sp_conf_listener *sp_conf_listener_named(const struct sp_conf *c,
                                                      const char *name);
const struct sp_conf_milter *sp_conf_milter_named(const struct sp_conf *c, const char *name);
const struct sp_conf_policy *sp_conf_policy_named(const struct sp_conf *c, const char *name);
/* The route to the content filter of this name; NULL: there is none any more. */
const struct sp_conf_route *sp_conf_filter_route(const struct sp_conf *c, const char *name);

/* Canonical text that parses to the same configuration: what was written and is not the
 * default anyway.  all: also what was written and is the default, and as comments every
 * key and section that was not written, with the value in force.  Paths come out
 * absolute, so the text may be parsed with any filename.  Returns 0 or what sp_buf_put()
 * returned. */
int sp_conf_dump(const struct sp_conf *c, bool all, struct sp_buf *out);

/* ---- the table, for documentation, completion and `config explain` ---- */

enum sp_conf_section_id {
    SP_CONF_TOP,
    SP_CONF_TLS,
    SP_CONF_LISTENER,
    SP_CONF_ROUTE,
    SP_CONF_OAUTH,
    SP_CONF_DKIM,
    SP_CONF_MILTER,
    SP_CONF_POLICY,
    SP_CONF_ACCOUNTS,
    SP_CONF_FILTER,
    SP_CONF_SECTIONS /* how many */
};

enum sp_conf_value {
    SP_CONF_BOOL,
    SP_CONF_NUMBER,
    SP_CONF_SIZE,
    SP_CONF_DURATION,
    SP_CONF_ENUM,
    SP_CONF_TEXT,
    SP_CONF_ACCOUNT, /* a user or group of the system */
    SP_CONF_DOMAIN,
    SP_CONF_MAILBOX, /* an address */
    SP_CONF_PATH,
    SP_CONF_TEMPLATE, /* a path with %u %d */
    SP_CONF_WORDS,    /* lists from here on */
    SP_CONF_DOMAINS,
    SP_CONF_SERVER_NAMES, /* *.NAME too */
    SP_CONF_DURATIONS,
    SP_CONF_ADDRESSES, /* to listen on */
    SP_CONF_HOSTS,     /* to connect to */
    SP_CONF_MATCHES,
    SP_CONF_CERTIFICATES,
    SP_CONF_PINS,
    SP_CONF_TEXTS,
    SP_CONF_NETWORKS,
    SP_CONF_RATES,
    SP_CONF_VALUES /* how many */
};

struct sp_conf_word {
    const char *word; /* NULL ends the list */
    bool later;       /* known, but "not in this version" */
    bool unlisted;    /* known so that a rule can say why it is refused */
};

struct sp_conf_key {
    const char *name;
    enum sp_conf_section_id section;
    enum sp_conf_value type;
    size_t offset;                    /* of the member in the section's struct */
    const char *def;                  /* as one would write it; NULL: see def_doc */
    const char *def_doc;              /* in words, where it depends on something */
    uint64_t min, max;                /* numbers, sizes (octets), durations (seconds) */
    const struct sp_conf_word *words; /* enums and lists of words */
    const char *example;              /* a value, as one would write it */
    const char *since;
    const char *deprecated_by; /* NULL or the key to write instead */
    const char *doc;           /* one paragraph, plain text */
};

struct sp_conf_section {
    const char *name; /* "" for the top of the file */
    size_t size;      /* of its struct */
    const char *doc;
};

const struct sp_conf_key *sp_conf_keys(size_t *ret_n); /* section by section */
const struct sp_conf_section *sp_conf_section(enum sp_conf_section_id id);
const struct sp_conf_key *sp_conf_key_named(enum sp_conf_section_id section,
                                            struct sp_str name); /* NULL: none */
bool sp_conf_given(const struct sp_conf_head *h, const struct sp_conf_key *k);
/* The value of k in a section's struct as one would write it; nothing for an unset
 * one (returns 0); 1 when something was appended, negative when out is full. */
int sp_conf_value_text(const struct sp_conf_key *k, const void *section,
                       struct sp_buf *out);
/* "a size from 64K to 10G": what the key expects, in words. */
int sp_conf_expect_text(const struct sp_conf_key *k, struct sp_buf *out);

/* Documents made from the table (conf_doc.c): 0 or what sp_buf_put() returned. */
int sp_conf_doc_example(struct sp_buf *out);  /* a file with everything in comments */
int sp_conf_doc_markdown(struct sp_buf *out); /* doc/configuration.md */
int sp_conf_doc_man(struct sp_buf *out);      /* the middle of sallyport.conf(5) */
int sp_conf_doc_words(struct sp_buf *out);    /* a line a key: section key word... */

#endif
