/*
 * conf_table.c - every section, key and word of the configuration file.
 *
 * A new key is: a member in its struct (conf.h), a row here, a line in the expectation
 * of tests/config/t_conf_table.c.  The macros below tie the type of the row to the C type
 * of the member: a row that does not fit its member does not compile.
 */
#include "conf_in.h"

#include <string.h>

/* clang-format off */

/* ---- words ---- */

#define WORDS(name, ...) \
    static const struct sp_conf_word name[] = {__VA_ARGS__, {NULL, false, false}}
#define W(w) {w, false, false}
#define LATER(w) {w, true, false}
#define REFUSED(w) {w, false, true}

/* The order is that of the enums in conf.h (log-level: of log.h). */
WORDS(w_confinement, W("offered"), W("full"), W("attempted"));
WORDS(w_log_format, W("text"), W("json"));
WORDS(w_log_level, W("error"), W("warning"), W("info"), W("debug"));
WORDS(w_type, W("submission"), W("local"), W("reinjection"), W("proxied"));
WORDS(w_xclient, W("off"), W("address"), W("login"));
/* What sp_fix_policy_set() takes, but for rows that can only refuse; tests/daemon compares. */
#define PR(n) W(n "=pass"), W(n "=refuse")
#define MR(n) W(n "=repair"), W(n "=refuse")
#define PMR(n) W(n "=pass"), W(n "=repair"), W(n "=refuse")
WORDS(w_header_rule, MR("no-header"), PMR("mbox-line"), PR("not-a-field"), PR("8bit-header"),
      PR("non-utf8-header"), PR("duplicate-field"), PMR("foreign-from"), PMR("foreign-sender"),
      PMR("missing-from"), PMR("missing-sender"), PMR("missing-date"), PMR("missing-message-id"),
      PMR("missing-mime-version"), PMR("bcc"), PMR("return-path"));
WORDS(w_tls, W("starttls"), W("implicit"), W("none"));
WORDS(w_client_certs, W("off"), W("optional"), W("required"));
WORDS(w_cert_login, W("either"), W("explicit"), W("implicit"), W("off"));
WORDS(w_cert_list, W("all"), W("external"), W("password"));
WORDS(w_tls_min, W("TLSv1.2"), W("TLSv1.3"));
WORDS(w_sender_check, W("envelope+header"), W("envelope"), W("off"));
WORDS(w_to, W("smarthost"), W("lmtp"), W("maildir"), W("discard"), W("bounce"),
      W("mx"), W("pipe"));
WORDS(w_recipients, W("known"), W("any"));
WORDS(w_route_tls, W("required"), W("opportunistic"), W("implicit"), W("none"));
WORDS(w_cli_login, W("auto"), W("explicit"), W("implicit"));
/* IANA's spellings.  EXTERNAL is here so that its refusal can say why. */
WORDS(w_mechanism, W("SCRAM-SHA-256"), W("SCRAM-SHA-256-PLUS"), W("SCRAM-SHA-1"),
      W("SCRAM-SHA-1-PLUS"), W("CRAM-MD5"), W("PLAIN"), W("LOGIN"), W("OAUTHBEARER"),
      W("XOAUTH2"), W("GSSAPI"), REFUSED("EXTERNAL"));

/* What EHLO lists besides STARTTLS and AUTH, which follow from other keys. */
WORDS(w_extension, W("PIPELINING"), W("SIZE"), W("8BITMIME"), W("SMTPUTF8"), W("DSN"),
      W("ENHANCEDSTATUSCODES"), W("CHUNKING"), W("BINARYMIME"), W("LIMITS"), W("DELIVERBY"),
      W("FUTURERELEASE"), W("MT-PRIORITY"), W("REQUIRETLS"));
WORDS(w_jws, W("RS256"), W("RS384"), W("RS512"), W("PS256"), W("PS384"), W("PS512"), W("ES256"),
      W("ES384"), W("ES512"), W("EdDSA"), REFUSED("none"), REFUSED("HS256"), REFUSED("HS384"),
      REFUSED("HS512"));

WORDS(w_hop, W("smtp"), W("lmtp"));
WORDS(w_failure, W("tempfail"), W("accept"), W("reject"));
WORDS(w_canon, W("relaxed/relaxed"), W("relaxed/simple"), W("simple/relaxed"), W("simple/simple"));

WORDS(w_accounts, W("sqlite"), W("file"), W("ldap"), W("pam"), W("postgresql"), W("dovecot"));
WORDS(w_password_by, W("bind"), W("attribute"));
WORDS(w_scram, W("SCRAM-SHA-256"), W("SCRAM-SHA-1"));

/* ---- sections ---- */

static const struct sp_conf_section sections[SP_CONF_SECTIONS] = {
    [SP_CONF_TOP] = {"", sizeof(struct sp_conf),
        "What concerns the whole service stands at the top of the file, outside of any section."},
    [SP_CONF_TLS] = {"tls", sizeof(struct sp_conf_tls),
        "A server certificate and its key.  A listener names the ones that it shows; several "
        "are told apart by the name that the client asks for (SNI).  A file without any tls "
        "section gets a self-signed certificate, made at the first start: good enough to try "
        "things out, but every mail program will warn about it."},
    [SP_CONF_LISTENER] = {"listener", sizeof(struct sp_conf_listener),
        "Where clients connect, and what they may do there.  A file without any listener "
        "section gets two: submission on port 587 (STARTTLS) and submissions on port 465 "
        "(implicit TLS), both on every address."},
    [SP_CONF_ROUTE] = {"route", sizeof(struct sp_conf_route),
        "Where mail goes.  For each recipient the routes are tried in the order of the file; "
        "the first that matches is taken.  Mail for local-domains that no route names goes to "
        "Maildirs below the data directory: this built-in route, local-domains, stands in front "
        "of the first route that matches everything (*), or at the end.  So a file without any route "
        "delivers mail for local-domains and nothing else, and one route with match = * "
        "sends all the rest to a smart host.  A recipient that no route matches is never "
        "dropped silently: the message is returned to the sender with the reason \"no route\"."},
    [SP_CONF_OAUTH] = {"oauth", sizeof(struct sp_conf_oauth),
        "Whose access tokens are logins: an OAuth 2.0 or OpenID Connect issuer.  A listener offers them when "
        "auth-tls names OAUTHBEARER or XOAUTH2.  A token is judged either here, by the issuer's "
        "public keys (keys), or by asking the issuer each time (introspection-url).  One of its "
        "claims (user-claim) names the account, by its name or by one of its own addresses; a "
        "token for nobody, or for an account that is disabled, is no login.  Several sections are "
        "possible: a JWT goes to the one that has its issuer, other tokens to the first with "
        "introspection-url.  When a token expires, the sessions that it opened end at their next "
        "message."},
    [SP_CONF_DKIM] = {"dkim", sizeof(struct sp_conf_dkim),
        "A DKIM signature (RFC 6376) for mail of some authors.  sallyport cert dkim makes the key "
        "and prints the DNS record, which must be published first.  Each section that "
        "is for the domain of the first From address adds a signature of its own, so one "
        "message may get an RSA and an Ed25519 signature, and a new key can be used beside "
        "the old one.  A message is signed once, when it is accepted, as the next hop "
        "will get it."},
    [SP_CONF_MILTER] = {"milter", sizeof(struct sp_conf_milter),
        "A filter program that speaks the milter protocol, such as OpenDKIM, rspamd or clamav-milter.  It "
        "is asked while mail comes in and may refuse it, change it, or have it held in the queue.  "
        "Several are asked in the order of the listener's milters, each seeing what the "
        "ones before it made of the message.  DKIM signatures of our own (section dkim) are made behind "
        "all of them."},
    [SP_CONF_POLICY] = {"policy", sizeof(struct sp_conf_policy),
        "A service that is asked about each recipient, by Postfix's policy delegation protocol: quotas, "
        "rules of the house, greylisting.  It is asked when our own rules have accepted the "
        "recipient and before milters are."},
    [SP_CONF_ACCOUNTS] = {"accounts", sizeof(struct sp_conf_accounts),
        "Where accounts are kept.  A file without any accounts section has them in users.db, which sallyport "
        "user keeps in the data directory.  Several sections are asked in the order of the file, and the first that "
        "knows the name decides: a wrong password there is not tried at the next.  While a "
        "section cannot be asked, the names that the sections before it do not know get a temporary refusal.  "
        "doc/accounts.md says what each type can do, and gives examples."},
    [SP_CONF_FILTER] = {"content-filter", sizeof(struct sp_conf_filter),
        "A filter that takes whole messages by SMTP or LMTP and gives them back, such as amavis.  Mail is acknowledged to "
        "the client first, then goes from the queue to the filter, which delivers what passes to a listener "
        "with type = reinjection; from there it is sent on, and DKIM signatures are made there.  "
        "While the filter does not answer, mail waits in the queue."},
};

/* ---- keys ---- */

#define SAME(t, s, m) \
    (0 * sizeof(char[__builtin_types_compatible_p(t, __typeof__(((struct s *)0)->m)) ? 1 : -1]))
#define WIDE(s, m) (0 * sizeof(char[sizeof(((struct s *)0)->m) == sizeof(int) ? 1 : -1]))
#define AT(t, s, m) offsetof(struct s, m) + SAME(t, s, m)

#define BOOL(s, m, d) .type = SP_CONF_BOOL, .offset = AT(bool, s, m), .def = d
#define NUM(s, m, d, lo, hi) \
    .type = SP_CONF_NUMBER, .offset = AT(uint64_t, s, m), .def = d, .min = lo, .max = hi
#define SIZE(s, m, d, lo, hi) \
    .type = SP_CONF_SIZE, .offset = AT(uint64_t, s, m), .def = d, .min = lo, .max = hi
#define DURATION(s, m, d, lo, hi) \
    .type = SP_CONF_DURATION, .offset = AT(uint64_t, s, m), .def = d, .min = lo, .max = hi
#define ENUM(s, m, d, w) \
    .type = SP_CONF_ENUM, .offset = offsetof(struct s, m) + WIDE(s, m), .def = d, .words = w
#define STRING(t, s, m, d) .type = t, .offset = AT(const char *, s, m), .def = d
#define LIST(t, c, s, m, d) .type = t, .offset = AT(struct c, s, m), .def = d
#define V01 .since = "0.1"

enum { K = 1024, M = 1024 * K, MIN = 60, HOUR = 3600, DAY = 86400 };
#define G ((uint64_t)1024 * M)

static const struct sp_conf_key keys[] = {
    /* ---- the top of the file ---- */
    {"hostname", SP_CONF_TOP, STRING(SP_CONF_DOMAIN, sp_conf, hostname, NULL), V01,
     .def_doc = "the system's name", .example = "mail.example.org",
     .doc = "The name of this server: in the greeting, in Received lines, in EHLO towards "
            "the next server, and in the addresses of returned mail.  It should be a full "
            "domain name that clients can look up."},
    {"data-directory", SP_CONF_TOP,
     STRING(SP_CONF_PATH, sp_conf, data_directory, SP_CONF_DATA_DIRECTORY), V01,
     .example = "/var/lib/sallyport",
     .doc = "The queue, the users, the certificates that sallyport cert makes and the mail "
            "of local domains are kept below this directory."},
    {"user", SP_CONF_TOP, STRING(SP_CONF_ACCOUNT, sp_conf, user, "sallyport"), V01,
     .example = "sallyport",
     .doc = "The system user whom the service becomes when it is started as root.  Started "
            "by anybody else it stays what it is and this key has no effect."},
    {"group", SP_CONF_TOP, STRING(SP_CONF_ACCOUNT, sp_conf, group, NULL), V01,
     .def_doc = "the user's own group", .example = "sallyport",
     .doc = "The system group whom the service becomes when it is started as root."},
    {"admin-group", SP_CONF_TOP, STRING(SP_CONF_ACCOUNT, sp_conf, admin_group, NULL), V01,
     .def_doc = "nobody but root and the service's user", .example = "adm",
     .doc = "Members of this system group may use the control socket, that is sallyport queue, "
            "sallyport user and the like, beside root and the service's own user."},
    {"control-socket", SP_CONF_TOP, STRING(SP_CONF_PATH, sp_conf, control_socket, NULL), .max = 107, V01,
     .def_doc = "control in the data directory", .example = "/run/sallyport/control",
     .doc = "The Unix socket at which the running service takes administrators' commands.  "
            "The path may have at most 107 octets, a limit of the system."},
    {"local-socket", SP_CONF_TOP, LIST(SP_CONF_ADDRESSES, sp_conf_addrs, sp_conf, local_socket, NULL), V01,
     .def_doc = "unix:/run/sallyport/submit where data-directory has its default, else none",
     .example = "unix:/run/sallyport/submit",
     .doc = "A Unix socket for programs of this machine, such as our sendmail: who they are is told by the "
            "system, without TLS and password, and each may send as its own account may.  It is a listener with "
            "type = local, named local.  Write the key with nothing behind it for none; a listener section with "
            "type = local takes its place."},
    {"outbox", SP_CONF_TOP, STRING(SP_CONF_PATH, sp_conf, outbox, NULL), V01,
     .def_doc = "/var/spool/sallyport where data-directory has its default, else none",
     .example = "/var/spool/sallyport",
     .doc = "Where sendmail leaves a message while the service is down, in a folder of the user's own.  The service "
            "collects them, with that user's rights, when it starts and every few minutes."},
    {"metrics", SP_CONF_TOP, LIST(SP_CONF_ADDRESSES, sp_conf_addrs, sp_conf, metrics, ""), V01,
     .def_doc = "none", .example = "127.0.0.1:9587",
     .doc = "Where Prometheus may fetch what the service counts (http, at /metrics): an address of this machine "
            "only, or unix:/path, which root, the service's user and admin-group can open.  doc/operation.md lists "
            "what is counted."},
    {"log-format", SP_CONF_TOP, ENUM(sp_conf, log_format, "text", w_log_format), V01,
     .example = "json",
     .doc = "How log lines are written to standard error: for people (text) or one JSON "
            "object a line (json)."},
    {"confinement", SP_CONF_TOP, ENUM(sp_conf, confinement, "offered", w_confinement), V01,
     .example = "full",
     .doc = "Whether a role may work without being locked in. offered: what this kernel can do "
            "must be in force in each role, or the server does not start. full: as well, all that "
            "we know of must be offered (`sallyport serve --explain-sandbox` says what is "
            "missing). attempted: a role goes on without, and says so in the log."},
    {"log-level", SP_CONF_TOP, ENUM(sp_conf, log_level, "info", w_log_level), V01,
     .example = "warning",
     .doc = "The least important lines that are still written.  No level ever shows a "
            "password, a token or the text of a message."},
    {"server-processes", SP_CONF_TOP, NUM(sp_conf, server_processes, "0", 0, 256), V01,
     .example = "2",
     .doc = "How many processes talk to clients.  0 means as many as the machine has CPUs."},
    {"delivery-processes", SP_CONF_TOP, NUM(sp_conf, delivery_processes, "1", 1, 64), V01,
     .example = "2",
     .doc = "How many processes deliver mail.  Each makes many deliveries at a time; more "
            "than one pays only where very much mail leaves over TLS."},
    {"local-domains", SP_CONF_TOP, LIST(SP_CONF_DOMAINS, sp_conf_list, sp_conf, local_domains, NULL),
     V01, .def_doc = "hostname", .example = "example.org example.net",
     .doc = "Domains whose mail is kept on this machine.  See the route section for how it is "
            "delivered.  Write the key with nothing behind it for none."},
    {"postmaster", SP_CONF_TOP, STRING(SP_CONF_MAILBOX, sp_conf, postmaster, NULL), V01,
     .def_doc = "postmaster at hostname where that is one of local-domains, else at the first of these", .example = "postmaster@example.org",
     .doc = "The address of the person who looks after this service.  It stands in returned "
            "mail, and gets what can be returned to nobody."},
    {"message-size", SP_CONF_TOP, SIZE(sp_conf, message_size, "50M", 64 * K, 4 * G), V01,
     .example = "50M",
     .doc = "The largest message that is accepted, in octets as transferred (attachments "
            "grow by a third when they are encoded)."},
    {"queue-lifetime", SP_CONF_TOP, DURATION(sp_conf, queue_lifetime_s, "5d", 1, 60 * DAY), V01,
     .example = "5d",
     .doc = "How long delivery is tried before a message is returned to its sender.  RFC 5321 "
            "recommends four to five days."},
    {"delay-warning", SP_CONF_TOP, DURATION(sp_conf, delay_warning_s, "4h", 0, 60 * DAY), V01,
     .example = "4h",
     .doc = "After this time the sender of a message that could not be delivered yet gets "
            "one notice that it is still being tried.  0s means no notice."},
    {"retry-intervals", SP_CONF_TOP,
     LIST(SP_CONF_DURATIONS, sp_conf_numbers, sp_conf, retry_intervals, "1m 5m 15m 30m 1h 2h 4h"),
     .min = 1, .max = 7 * DAY, V01, .example = "5m 15m 1h 4h",
     .doc = "The time between attempts to deliver: after the first failure, after the second, "
            "and so on; the last one repeats until queue-lifetime is over."},
    {"destination-pause", SP_CONF_TOP, DURATION(sp_conf, destination_pause_s, "15m", 1, 1 * DAY), V01, .example = "5m",
     .doc = "A destination that could not be reached is left alone by all messages for half of what retry-intervals "
            "says for so many failures, but not longer than this."},
    {"history-keep", SP_CONF_TOP, DURATION(sp_conf, history_keep_s, "7d", 0, 366 * DAY), V01,
     .example = "30d",
     .doc = "How long sallyport queue show can tell what became of a message that has left "
            "the queue.  Only the envelope is kept, not the message."},

    {"deduplicate", SP_CONF_TOP, DURATION(sp_conf, deduplicate_s, "0s", 0, 30 * DAY), V01, .example = "1h",
     .doc = "A message that an account sends again within this time - the same sender, recipients, Message-ID and octets - "
            "is acknowledged with the first one's queue id and not queued a second time.  It helps clients that "
            "lost the reply.  0s switches it off; a client that names a key of its own (Submission-Key, see "
            "doc/submission.md) is served in any case."},
    {"hops-max", SP_CONF_TOP, NUM(sp_conf, hops_max, "50", 5, 500), V01, .example = "30",
     .doc = "A message with more Received fields goes in circles and is refused."},
    {"alert-rate", SP_CONF_TOP, LIST(SP_CONF_RATES, sp_conf_rates, sp_conf, alert_rate, ""), V01,
     .def_doc = "none", .example = "200/h 1000/d",
     .doc = "When an account sends more messages than this, the event account.busy is logged, once an hour: an "
            "account that suddenly sends much may be in a stranger's hands.  Nothing is refused; user-messages does that."},

    {"alias-files", SP_CONF_TOP, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf, alias_files, ""), V01,
     .def_doc = "none", .example = "/etc/aliases /etc/sallyport/virtual",
     .doc = "Files of aliases, in the syntax of /etc/aliases: `name: target, target`.  A name is a local part "
            "(of every local domain), a whole address of any domain, or @example.org for whatever else is "
            "addressed there.  See doc/routing.md.  They are read again within seconds when they change, and so are "
            "the lists that they include."},
    {"alias-database", SP_CONF_TOP, STRING(SP_CONF_PATH, sp_conf, alias_database, NULL), V01,
     .def_doc = "none", .example = "/var/lib/mailadmin/aliases.sqlite",
     .doc = "An SQLite database that is asked for aliases that no file has.  The service's user must be able to "
            "read it."},
    {"alias-query", SP_CONF_TOP, STRING(SP_CONF_TEXT, sp_conf, alias_query, NULL), V01,
     .def_doc = "SELECT target FROM aliases WHERE name = ?1", .example = "\"SELECT goto FROM alias WHERE address = ?1 AND active\"",
     .doc = "What alias-database is asked.  ?1 is the name in lower case: a whole address, a local part of a local "
            "domain, or @example.org.  Each row is one target or several with commas between them."},
    {"alias-recipients-max", SP_CONF_TOP, NUM(sp_conf, alias_recipients_max, "1000", 1, 10000), V01, .example = "200",
     .doc = "How many recipients one address may become by its aliases."},
    {"recipient-delimiter", SP_CONF_TOP, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf, recipient_delimiter, "+"), V01,
     .example = "+ -",
     .doc = "What parts a local part from its extension: mail for alice+lists@example.org is alice's, unless there is "
            "an alias or a mailbox of the whole name.  Write the key with nothing behind it for none."},
    {"local-recipients", SP_CONF_TOP, ENUM(sp_conf, local_recipients, "known", w_recipients), V01, .example = "any",
     .doc = "Which addresses of local-domains there are where mail is kept in Maildirs or given to a command: those "
            "of accounts (sallyport user) and aliases, every other is refused (known), or any.  A mail store behind "
            "LMTP knows for itself."},
    {"always-bcc", SP_CONF_TOP, STRING(SP_CONF_MAILBOX, sp_conf, always_bcc, NULL), V01,
     .def_doc = "nobody", .example = "archive@example.org",
     .doc = "Gets a copy of every message that is accepted, unseen by the others.  What cannot be delivered there is "
            "not reported to the sender."},
    {"login-cache", SP_CONF_TOP, DURATION(sp_conf, login_cache_s, "5m", 0, 1 * DAY), V01, .example = "30m",
     .doc = "A password that was right is not checked again for this long, as long as the account stays as it is: a phone "
            "that connects often costs little then.  The password itself is not kept, only a keyed digest with a key "
            "that no other process has.  A password that is changed in users.db, a file, PostgreSQL or an "
            "LDAP attribute ends it as soon as the change is seen; of PAM, LDAP binds and Dovecot "
            "the old password works for this long.  0s checks each time."},
    {"login-cache-size", SP_CONF_TOP, NUM(sp_conf, login_cache_size, "65536", 64, 4194304), V01, .example = "10000",
     .doc = "How many logins are remembered so."},
    {"auth-helper-user", SP_CONF_TOP, STRING(SP_CONF_ACCOUNT, sp_conf, auth_helper_user, NULL), V01,
     .def_doc = "user", .example = "root",
     .doc = "The system user of the process that asks the accounts sections.  PAM may need more rights than "
            "the service has; nothing else runs in that process."},
    {"auth-helper-group", SP_CONF_TOP, STRING(SP_CONF_ACCOUNT, sp_conf, auth_helper_group, NULL), V01,
     .def_doc = "the group of that user", .example = "shadow",
     .doc = "Its group.  shadow is enough for pam_unix."},

    {"dns-server", SP_CONF_TOP, STRING(SP_CONF_TEXT, sp_conf, dns_server, NULL), V01,
     .def_doc = "none: DNS is asked from its root", .example = "127.0.0.1",
     .doc = "The resolver that delivery to mail exchanges (to = mx) asks: an address, with @ and a port where it is not "
            "53, or system for those of /etc/resolv.conf.  It must pass DNSSEC records on; answers are validated here."},
    {"dns-trust-anchor", SP_CONF_TOP, STRING(SP_CONF_PATH, sp_conf, dns_trust_anchor, NULL), V01,
     .def_doc = "the root's key, /usr/share/dns/root.key", .example = "/etc/sallyport/anchor.key",
     .doc = "The DNSSEC trust anchors: DS or DNSKEY records as text.  What they do not prove is delivered to all "
            "the same, but without DANE."},
    {"dns-timeout", SP_CONF_TOP, DURATION(sp_conf, dns_timeout_s, "15s", 1, 5 * MIN), V01, .example = "10s",
     .doc = "The longest wait for one answer of DNS; then the mail is tried again later."},

    {"tls-reports", SP_CONF_TOP, BOOL(sp_conf, tls_reports, "no"), V01, .example = "yes",
     .doc = "Whether domains that ask for it (TLSRPT, RFC 8460) are told once a day how TLS with their mail "
            "exchanges went: numbers, and for each failure the exchange and the reason.  Sessions of routes "
            "with to = mx count; only those with domains that ask are kept."},
    {"tls-reports-organization", SP_CONF_TOP, STRING(SP_CONF_TEXT, sp_conf, tls_reports_organization, NULL), V01,
     .def_doc = "hostname", .example = "\"Example Ltd\"",
     .doc = "Who reports, as it stands in TLSRPT reports."},
    {"tls-reports-contact", SP_CONF_TOP, STRING(SP_CONF_MAILBOX, sp_conf, tls_reports_contact, NULL), V01,
     .def_doc = "the postmaster", .example = "tlsrpt@example.org",
     .doc = "The address that TLSRPT reports come from, and where questions about them go.  Its domain needs a "
            "dkim section: many receivers take signed reports only."},
    {"tls-reports-ca", SP_CONF_TOP, STRING(SP_CONF_PATH, sp_conf, tls_reports_ca, NULL), V01,
     .def_doc = "the system's certificate authorities", .example = "/etc/ssl/certs/ca-certificates.crt",
     .doc = "The certificate authorities, in PEM form, that may vouch for the hosts that take reports by HTTPS."},
    {"gssapi-keytab", SP_CONF_TOP, STRING(SP_CONF_PATH, sp_conf, gssapi_keytab, NULL), V01,
     .def_doc = "none", .example = "/etc/sallyport/smtp.keytab",
     .doc = "The key table with which clients' Kerberos tickets are judged, for the mechanism "
            "GSSAPI.  It holds the key of smtp/hostname@REALM.  Nobody but root and the "
            "service's user should be able to read it, and the service's user must: sallyport "
            "config check --files says whether it can.  Tickets are for logins here and for "
            "sallyport send; a route has none, it logs in by password, token or certificate."},
    {"gssapi-principal", SP_CONF_TOP, STRING(SP_CONF_TEXT, sp_conf, gssapi_principal, NULL), V01,
     .def_doc = "any key of gssapi-keytab", .example = "smtp@mail.example.org",
     .doc = "The service principal for which tickets are taken: smtp@host, or in full "
            "smtp/host@REALM."},
    {"gssapi-realm", SP_CONF_TOP, STRING(SP_CONF_TEXT, sp_conf, gssapi_realm, NULL), V01,
     .def_doc = "none: a principal is the account or the own address of that name",
     .example = "EXAMPLE.ORG",
     .doc = "The Kerberos realm whose principals are accounts by their name alone: with "
            "EXAMPLE.ORG the ticket of alice@EXAMPLE.ORG is a login of the account alice.  "
            "Principals of other realms are looked up with their realm, as accounts or own "
            "addresses are; alice/admin is another name than alice."},

    /* ---- tls NAME ---- */
    {"certificate", SP_CONF_TLS, STRING(SP_CONF_PATH, sp_conf_tls, certificate, NULL), V01,
     .def_doc = "none; it must be given", .example = "/etc/letsencrypt/live/mail.example.org/fullchain.pem",
     .doc = "The certificate in PEM form, followed by the intermediate certificates of its "
            "chain.  The file is read again when it changes."},
    {"key", SP_CONF_TLS, STRING(SP_CONF_PATH, sp_conf_tls, key, NULL), V01,
     .def_doc = "the file of the certificate", .example = "/etc/letsencrypt/live/mail.example.org/privkey.pem",
     .doc = "The private key in PEM form, not encrypted.  It is read before the service gives "
            "up the rights of root."},
    {"names", SP_CONF_TLS, LIST(SP_CONF_SERVER_NAMES, sp_conf_list, sp_conf_tls, names, ""), V01,
     .def_doc = "the names in the certificate", .example = "mail.example.org smtp.example.org",
     .doc = "The server names (SNI) for which this certificate is shown, in place of those that it "
            "holds itself; *.example.org stands for every name with one label more.  A client that "
            "asks for another name, or for none, gets the first certificate of the listener."},
    {"ocsp-response", SP_CONF_TLS, STRING(SP_CONF_PATH, sp_conf_tls, ocsp_response, NULL), V01,
     .def_doc = "none", .example = "/var/lib/sallyport/mail.ocsp",
     .doc = "A file with the certificate authority's OCSP response about this certificate (DER, as openssl ocsp "
            "-respout writes it), shown to clients that ask for it (stapling).  It is read again when it changes.  "
            "One that is missing, expired or about another certificate is not sent, and the log says so; "
            "the service runs on without it."},

    /* ---- listener NAME ---- */
    {"address", SP_CONF_LISTENER,
     LIST(SP_CONF_ADDRESSES, sp_conf_addrs, sp_conf_listener, address, NULL), V01,
     .def_doc = "none; it must be given", .example = "*:587",
     .doc = "Where to listen: *:587 for every address of the machine, 192.0.2.1:587, "
            "[2001:db8::1]:587.  With type = local: unix:/run/sallyport/submit, a socket in the file "
            "system."},
    {"type", SP_CONF_LISTENER, ENUM(sp_conf_listener, type, "submission", w_type), V01,
     .example = "submission",
     .doc = "Who connects here.  submission: mail programs, with TLS and a login.  local: programs of this machine "
            "over a Unix socket; who they are is told by the system.  proxied: the same as submission, for clients "
            "behind a load balancer or a mail proxy; see proxies.  reinjection: a content filter gives back what it has "
            "seen; on this machine only, without TLS, login or further filters."},
    {"proxies", SP_CONF_LISTENER, LIST(SP_CONF_NETWORKS, sp_conf_nets, sp_conf_listener, proxies, ""), V01,
     .def_doc = "none; type = proxied needs it", .example = "192.0.2.10 2001:db8:1::/64",
     .doc = "The load balancers and mail proxies that may connect here: addresses, or networks with the "
            "length of their prefix.  They are believed about who the client is, so nobody else is let in."},
    {"proxy-protocol", SP_CONF_LISTENER, BOOL(sp_conf_listener, proxy_protocol, "yes"), V01, .example = "no",
     .doc = "Every connection from a proxy begins with a header of the PROXY protocol, version 1 or 2 (HAProxy, "
            "AWS, nginx stream); a connection without one is closed.  It comes before TLS."},
    {"xclient", SP_CONF_LISTENER, ENUM(sp_conf_listener, xclient, "off", w_xclient), V01, .example = "address",
     .doc = "What is believed when a proxy says XCLIENT (nginx mail, Postfix, Dovecot).  off: it is not offered.  "
            "address: the client's address and EHLO name.  login: also who has logged in at the proxy; that account "
            "can then send without a login here."},
    {"tls", SP_CONF_LISTENER, ENUM(sp_conf_listener, tls, NULL, w_tls), V01,
     .def_doc = "starttls; none with type = local", .example = "implicit",
     .doc = "starttls: the session begins in clear and the client asks for TLS (port 587). "
            "implicit: TLS from the first octet (port 465), what RFC 8314 prefers.  none only "
            "where no network is crossed: type = local."},
    {"certificate", SP_CONF_LISTENER,
     LIST(SP_CONF_CERTIFICATES, sp_conf_list, sp_conf_listener, certificate, NULL), V01,
     .def_doc = "every tls section of the file; self-signed when there is none",
     .example = "main",
     .doc = "The certificates to show: names of tls sections, or paths (with a slash in "
            "them) of PEM files that hold certificate and key together.  The first is the one "
            "for clients that ask for no name.  self-signed is the built-in one."},
    {"client-certificates", SP_CONF_LISTENER,
     ENUM(sp_conf_listener, client_certificates, NULL, w_client_certs), V01,
     .def_doc = "optional where there is a client-ca, and while some user has a pinned or "
                "mapped certificate, else off",
     .example = "optional",
     .doc = "Whether clients are asked for a certificate.  With optional, one that is foreign, "
            "expired or revoked does no harm: it does not count, the client is told why, and "
            "passwords work.  With required, a client without a good certificate can do "
            "nothing but QUIT."},
    {"client-ca", SP_CONF_LISTENER, STRING(SP_CONF_PATH, sp_conf_listener, client_ca, NULL), V01,
     .def_doc = "none", .example = "/etc/sallyport/client-ca.pem",
     .doc = "The certificate authorities, in PEM form, that may vouch for clients here.  The "
            "system's own list is never used for this."},
    {"client-crl", SP_CONF_LISTENER, STRING(SP_CONF_PATH, sp_conf_listener, client_crl, NULL), V01,
     .def_doc = "crl.pem beside it where client-ca is the CA of sallyport cert, else none",
     .example = "/etc/sallyport/client-ca.crl",
     .doc = "The list of revoked client certificates, in PEM form.  Where it is configured "
            "but missing or out of date no client certificate counts.  The list of the CA that "
            "sallyport cert keeps in the data directory is renewed by the service in time."},
    {"client-ca-domains", SP_CONF_LISTENER,
     LIST(SP_CONF_DOMAINS, sp_conf_list, sp_conf_listener, client_ca_domains, ""), V01,
     .def_doc = "any", .example = "example.org example.net",
     .doc = "The mail domains for which the authorities in client-ca may vouch: an address (or "
            "the host of a URI) in a certificate that lies in another domain does not count.  "
            "Write it when the authorities are not your own.  Pinned keys and mapped subjects "
            "are not limited by it: an administrator wrote each of them.  Two authorities with "
            "different domains want two listeners."},
    {"send-ca-names", SP_CONF_LISTENER, BOOL(sp_conf_listener, send_ca_names, "no"), V01,
     .example = "yes",
     .doc = "Tell clients the names of the authorities in client-ca.  Some programs need that "
            "to choose among several certificates; others offer none when the list does not "
            "please them, which is why it is off."},
    {"certificate-login", SP_CONF_LISTENER,
     ENUM(sp_conf_listener, certificate_login, "either", w_cert_login), V01, .example = "either",
     .doc = "How a client certificate becomes a login.  explicit: the client says AUTH EXTERNAL.  "
            "implicit: it just sends MAIL, and EXTERNAL is not offered.  either: both work, so "
            "that every client does.  off: certificates are never a login."},
    {"auth-list-with-certificate", SP_CONF_LISTENER,
     ENUM(sp_conf_listener, auth_list_with_certificate, "all", w_cert_list), V01, .example = "external",
     .doc = "What a client with a good certificate sees in the list of mechanisms.  all: the "
            "password mechanisms and EXTERNAL, which stands last.  external: EXTERNAL alone.  "
            "password: EXTERNAL is accepted but not shown, for clients that choose it and then "
            "fail."},
    {"auth-clear", SP_CONF_LISTENER,
     LIST(SP_CONF_WORDS, sp_conf_list, sp_conf_listener, auth_clear, ""), .words = w_mechanism, V01,
     .def_doc = "none", .example = "SCRAM-SHA-256",
     .doc = "Mechanisms offered before TLS.  Only ones that do not show the secret are possible: "
            "PLAIN, LOGIN, OAUTHBEARER and XOAUTH2 are refused here whatever else is configured."},
    {"auth-tls", SP_CONF_LISTENER,
     LIST(SP_CONF_WORDS, sp_conf_list, sp_conf_listener, auth_tls, "SCRAM-SHA-256 PLAIN LOGIN"),
     .words = w_mechanism, V01, .example = "SCRAM-SHA-256 PLAIN LOGIN",
     .doc = "Mechanisms offered inside TLS.  EXTERNAL is not written here: it is offered by "
            "itself to a client with a good certificate."},
    {"require-binding", SP_CONF_LISTENER, BOOL(sp_conf_listener, require_binding, "no"), V01,
     .example = "yes",
     .doc = "Refuse a SCRAM login that is not bound to the TLS connection.  Only clients that "
            "know the -PLUS mechanisms can then log in by SCRAM."},
    {"lenient-ehlo", SP_CONF_LISTENER, BOOL(sp_conf_listener, lenient_ehlo, "no"), V01,
     .example = "yes",
     .doc = "Accept MAIL after STARTTLS without a new EHLO, for broken clients.  It then "
            "counts as an old HELO: no extensions but SIZE and BODY, no login by certificate alone."},
    {"legacy-auth-line", SP_CONF_LISTENER, BOOL(sp_conf_listener, legacy_auth_line, "no"), V01,
     .example = "yes",
     .doc = "Show the list of mechanisms a second time in the form AUTH=LOGIN PLAIN that "
            "programs from before 1999 look for."},
    {"lenient-path", SP_CONF_LISTENER, BOOL(sp_conf_listener, lenient_path, "no"), V01,
     .example = "yes",
     .doc = "Accept MAIL FROM:alice@example.org and RCPT TO:bob@example.org without angle brackets, as old "
            "programs and devices write them.  doc/lenient.md has all such switches."},
    {"tls-min", SP_CONF_LISTENER, ENUM(sp_conf_listener, tls_min, "TLSv1.2", w_tls_min), V01,
     .example = "TLSv1.3",
     .doc = "The oldest version of TLS that is accepted."},
    {"extensions", SP_CONF_LISTENER,
     LIST(SP_CONF_WORDS, sp_conf_list, sp_conf_listener, extensions,
          "PIPELINING SIZE 8BITMIME SMTPUTF8 DSN ENHANCEDSTATUSCODES CHUNKING LIMITS DELIVERBY "
          "FUTURERELEASE MT-PRIORITY REQUIRETLS"),
     .words = w_extension, V01,
     .example = "PIPELINING SIZE 8BITMIME SMTPUTF8 DSN ENHANCEDSTATUSCODES CHUNKING LIMITS",
     .doc = "The extensions of SMTP that are offered.  doc/extensions.md says what each of them does here and "
            "what happens where the next server has it not.  BINARYMIME is left out unless it is "
            "written: programs that see it may send content that few servers take, and then the message "
            "comes back.  STARTTLS and AUTH follow from tls, auth-clear and auth-tls."},
    {"future-release-max", SP_CONF_LISTENER,
     DURATION(sp_conf_listener, future_release_max_s, "30d", 1 * MIN, 366 * DAY), V01, .example = "7d",
     .doc = "The longest time for which a client may ask to hold a message back (FUTURERELEASE)."},
    {"deliver-by-min", SP_CONF_LISTENER, DURATION(sp_conf_listener, deliver_by_min_s, "0s", 0, 1 * DAY), V01,
     .example = "1m",
     .doc = "The shortest time in which a client may ask for delivery (DELIVERBY with mode R); it is told in the EHLO "
            "reply.  0s: any."},
    {"priority-max", SP_CONF_LISTENER, NUM(sp_conf_listener, priority_max, "4", 0, 9), V01, .example = "0",
     .doc = "The highest priority that a client may give its mail (MT-PRIORITY); a higher one is lowered to "
            "it, and the client is told.  Above 0 mail is urgent and goes first, below 0 it waits for "
            "all other; with 0 nobody can make his mail urgent."},
    {"recipients-max", SP_CONF_LISTENER, NUM(sp_conf_listener, recipients_max, "1000", 100, 50000),
     V01, .example = "1000",
     .doc = "The most recipients of one message; more get a temporary refusal, and the client "
            "sends a second copy to them.  Programs count on at least 100 (RFC 5321), mailing list "
            "managers on 500."},
    {"message-size", SP_CONF_LISTENER, SIZE(sp_conf_listener, message_size, NULL, 64 * K, 4 * G), V01,
     .def_doc = "message-size at the top of the file", .example = "20M",
     .doc = "The largest message that is accepted here."},
    {"milters", SP_CONF_LISTENER, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_listener, milters, NULL), V01,
     .def_doc = "all milter sections, in the order of the file", .example = "virus signing",
     .doc = "Which milters are asked here, in this order.  Write the key with nothing behind it for none."},
    {"policies", SP_CONF_LISTENER, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_listener, policies, NULL), V01,
     .def_doc = "all policy sections, in the order of the file", .example = "quota",
     .doc = "Which policy services are asked here, in this order, until one refuses or says OK.  Write the key with "
            "nothing behind it for none."},
    {"content-filter", SP_CONF_LISTENER, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_listener, content_filter, NULL), V01,
     .def_doc = "the first content-filter section, if there is one", .example = "amavis",
     .doc = "The content filter that mail of this listener goes through.  Write the key with nothing behind it for none."},
    {"max-sessions", SP_CONF_LISTENER, NUM(sp_conf_listener, max_sessions, "10000", 1, 1000000), V01,
     .example = "10000",
     .doc = "The most sessions at a time on this listener, over all processes.  A client "
            "above it is told 421 and may try again."},
    {"max-sessions-per-address", SP_CONF_LISTENER,
     NUM(sp_conf_listener, max_sessions_per_address, "100", 1, 1000000), V01, .example = "20",
     .doc = "The most sessions at a time from one address (for IPv6: from one /64 network)."},
    {"user-sessions", SP_CONF_LISTENER, NUM(sp_conf_listener, user_sessions, "0", 0, 100000), V01, .example = "20",
     .doc = "The most sessions at a time of one account, over all processes; sallyport user limits can say "
            "otherwise for an account.  0: no limit."},
    {"user-messages", SP_CONF_LISTENER,
     LIST(SP_CONF_RATES, sp_conf_rates, sp_conf_listener, user_messages, ""), V01,
     .def_doc = "no limit", .example = "30/m 300/h 1000/d",
     .doc = "How many messages an account may send in a minute (m), an hour (h) and a day (d).  More get a "
            "temporary refusal that says when there is room again.  The count begins anew when the service "
            "starts.  sallyport user limits can say otherwise for an account."},
    {"user-recipients", SP_CONF_LISTENER,
     LIST(SP_CONF_RATES, sp_conf_rates, sp_conf_listener, user_recipients, ""), V01,
     .def_doc = "no limit", .example = "1000/h 5000/d",
     .doc = "The same for recipients, of all messages together."},
    {"address-messages", SP_CONF_LISTENER,
     LIST(SP_CONF_RATES, sp_conf_rates, sp_conf_listener, address_messages, ""), V01,
     .def_doc = "no limit", .example = "100/m 1000/h",
     .doc = "How many messages may come from one client address (for IPv6: from one /64 network), whoever sends "
            "them.  Many people can share an address."},
    {"address-recipients", SP_CONF_LISTENER,
     LIST(SP_CONF_RATES, sp_conf_rates, sp_conf_listener, address_recipients, ""), V01,
     .def_doc = "no limit", .example = "5000/h",
     .doc = "The same for recipients."},
    {"header-rules", SP_CONF_LISTENER,
     LIST(SP_CONF_WORDS, sp_conf_list, sp_conf_listener, header_rules, ""), .words = w_header_rule, V01,
     .def_doc = "the table in doc/submission.md", .example = "foreign-from=repair missing-date=refuse",
     .doc = "What happens to a message whose header is not as it should be, where it is not what "
            "doc/submission.md says: pass (as it is), repair or refuse.  foreign-from=repair writes the user's own "
            "address in the place of one that is not his.  A message that carries a signature is never repaired."},
    {"idle-timeout", SP_CONF_LISTENER, DURATION(sp_conf_listener, idle_timeout_s, "5m", 1, 1 * HOUR),
     V01, .example = "5m",
     .doc = "A client that says nothing for this long is told 421 and disconnected.  RFC 5321 "
            "asks for at least five minutes."},
    {"login-timeout", SP_CONF_LISTENER, DURATION(sp_conf_listener, login_timeout_s, "10m", 1, 1 * HOUR),
     V01, .example = "2m",
     .doc = "A client that has not logged in this long after it connected is told 421 and "
            "disconnected."},
    {"sender-check", SP_CONF_LISTENER,
     ENUM(sp_conf_listener, sender_check, "envelope+header", w_sender_check), V01,
     .example = "envelope",
     .doc = "Whether a user may only use sender addresses of his own: in the envelope and in "
            "the From and Sender lines of the message, in the envelope alone, or not checked.  "
            "The empty sender of receipts and returned mail (MAIL FROM:<>) is everybody's, but "
            "it says nothing about the From line: a receipt comes from its reader's own "
            "address, and a program that returns mail as mailer-daemon@its.name needs that "
            "address granted (sallyport user grant), or envelope here."},
    {"trace-identity", SP_CONF_LISTENER, BOOL(sp_conf_listener, trace_identity, "no"), V01,
     .example = "yes",
     .doc = "Name the user who logged in in the Received line.  Every reader of the message "
            "can see it; the log has it in any case."},
    {"trace-hide-client", SP_CONF_LISTENER, BOOL(sp_conf_listener, trace_hide_client, "no"), V01,
     .example = "yes",
     .doc = "Leave the client's address and EHLO name out of the Received line."},

    /* ---- route NAME ---- */
    {"match", SP_CONF_ROUTE, LIST(SP_CONF_MATCHES, sp_conf_matches, sp_conf_route, match, NULL), V01,
     .def_doc = "none; it must be given", .example = "example.org *.example.org",
     .doc = "Which recipients take this route; one of the words is enough.  A domain "
            "(example.org), everything below a domain (*.example.org), one address "
            "(bob@example.org), everything (*), or everything from a sender "
            "(sender:bob@example.org, sender:example.org, sender:<> for returned mail) or from a "
            "user who logged in (user:bob)."},
    {"to", SP_CONF_ROUTE, ENUM(sp_conf_route, to, NULL, w_to), V01,
     .def_doc = "none; it must be given", .example = "smarthost",
     .doc = "What happens to the mail.  smarthost: it is given to another server (host).  lmtp: "
            "to a mail store such as Dovecot (lmtp).  maildir: it is written to Maildirs (path).  "
            "pipe: to a program (command).  "
            "discard: it is thrown away.  bounce: it is returned to the sender (reason).  mx: to the "
            "mail exchanges that DNS names for the recipient's domain."},
    {"host", SP_CONF_ROUTE, LIST(SP_CONF_HOSTS, sp_conf_addrs, sp_conf_route, host, ""), V01,
     .def_doc = "none; to = smarthost needs it", .example = "mx.example.org:587",
     .doc = "The smart hosts, in order of preference: a name or an address, and a port where "
            "it is not 587 (465 with tls = implicit)."},
    {"host-weights", SP_CONF_ROUTE, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_route, host_weights, ""), V01,
     .def_doc = "none: the first that works", .example = "3",
     .doc = "One number from 1 to 1000 for each host: connections are shared among them in this proportion, instead of "
            "all going to the first.  The others still are what is tried when one fails."},
    {"ehlo-name", SP_CONF_ROUTE, STRING(SP_CONF_DOMAIN, sp_conf_route, ehlo_name, NULL), V01,
     .def_doc = "hostname", .example = "out.example.org",
     .doc = "The name that is said in EHLO and LHLO on this route."},
    {"source-address", SP_CONF_ROUTE, STRING(SP_CONF_TEXT, sp_conf_route, source_address, NULL), V01,
     .def_doc = "what the system chooses", .example = "192.0.2.25",
     .doc = "The address of this machine that connections come from.  Only next hops with an address of the same family "
            "can be reached."},
    {"mx-port", SP_CONF_ROUTE, NUM(sp_conf_route, mx_port, "25", 1, 65535), V01, .example = "25",
     .doc = "The port of the mail exchanges; another than 25 is for networks of one's own."},
    {"address-literals", SP_CONF_ROUTE, BOOL(sp_conf_route, address_literals, "no"), V01, .example = "yes",
     .doc = "Whether mail for bob@[192.0.2.1] is sent there.  Otherwise it is returned."},
    {"mta-sts", SP_CONF_ROUTE, BOOL(sp_conf_route, mta_sts, "yes"), V01, .example = "no",
     .doc = "Whether what a domain publishes by MTA-STS (RFC 8461) counts: to which exchanges its mail may go, and "
            "that they must have a verified certificate.  The policy is fetched by HTTPS from mta-sts.DOMAIN, kept in the data "
            "directory, and counts until it expires."},
    {"mta-sts-ca", SP_CONF_ROUTE, STRING(SP_CONF_PATH, sp_conf_route, mta_sts_ca, NULL), V01,
     .def_doc = "the system's certificate authorities", .example = "/etc/ssl/certs/ca-certificates.crt",
     .doc = "The certificate authorities, in PEM form, that may vouch for the hosts that MTA-STS policies come from."},
    {"mta-sts-timeout", SP_CONF_ROUTE, DURATION(sp_conf_route, mta_sts_timeout_s, "15s", 1, 2 * MIN), V01, .example = "30s",
     .doc = "How long a policy may take to come.  The first mail to a domain waits for it; without one it goes as if there were none."},
    {"lmtp", SP_CONF_ROUTE, LIST(SP_CONF_HOSTS, sp_conf_addrs, sp_conf_route, lmtp, ""), V01,
     .def_doc = "none; to = lmtp needs it", .example = "unix:/run/dovecot/lmtp",
     .doc = "Where the mail store takes LMTP: a Unix socket, or a host and a port (24 where "
            "none is written)."},
    {"tls", SP_CONF_ROUTE, ENUM(sp_conf_route, tls, NULL, w_route_tls), V01,
     .def_doc = "required; none where every address is on this machine and to = lmtp; opportunistic with to = mx",
     .example = "implicit",
     .doc = "required: STARTTLS with a verified certificate, or the mail waits.  implicit: the "
            "same, TLS from the first octet.  opportunistic: TLS where it can be had, nothing verified, "
            "and no login unless it was.  none: in clear, only to addresses of this machine.  With to = mx "
            "only required and opportunistic are possible, and what a domain publishes by DANE (RFC 7672) is asked for in any case."},
    {"tls-ca", SP_CONF_ROUTE, STRING(SP_CONF_PATH, sp_conf_route, tls_ca, NULL), V01,
     .def_doc = "the system's certificate authorities", .example = "/etc/sallyport/provider-ca.pem",
     .doc = "The certificate authorities, in PEM form, that may vouch for the next server."},
    {"tls-name", SP_CONF_ROUTE, STRING(SP_CONF_DOMAIN, sp_conf_route, tls_name, NULL), V01,
     .def_doc = "the name in host", .example = "smtp.example.org",
     .doc = "The name that the next server's certificate must have, and that is asked for (SNI)."},
    {"server-pin", SP_CONF_ROUTE, LIST(SP_CONF_PINS, sp_conf_list, sp_conf_route, server_pin, ""), V01,
     .def_doc = "none",
     .example = "sha256//n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
     .doc = "Accept the next server by its public key: the SHA-256 of the SubjectPublicKeyInfo, as "
            "sha256: and hexadecimal digits or as sha256// and base64.  "
            "It replaces the check of chain and name.  Several are possible, for a change of keys."},
    {"user", SP_CONF_ROUTE, STRING(SP_CONF_TEXT, sp_conf_route, user, NULL), V01,
     .def_doc = "none: no login by password", .example = "alice@example.org",
     .doc = "The user name for a login at the next server.  It needs password-file, token-file or "
            "token-command, and is never sent in clear."},
    {"password-file", SP_CONF_ROUTE, STRING(SP_CONF_PATH, sp_conf_route, password_file, NULL), V01,
     .def_doc = "none", .example = "/etc/sallyport/smarthost.password",
     .doc = "A file whose first line is the password.  Nobody but root and the service's user "
            "should be able to read it."},
    {"token-file", SP_CONF_ROUTE, STRING(SP_CONF_PATH, sp_conf_route, token_file, NULL), V01,
     .def_doc = "none", .example = "/run/sallyport/smarthost.token",
     .doc = "A file whose first line is an OAuth 2.0 access token, for a login by OAUTHBEARER or "
            "XOAUTH2 instead of a password.  It is read again within seconds when it changes; "
            "whatever renews the token should write a new file and rename it."},
    {"token-command", SP_CONF_ROUTE,
     LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_route, token_command, ""), V01,
     .def_doc = "none", .example = "/usr/local/bin/get-token alice@example.org",
     .doc = "A program, with an absolute path, and its arguments: the first line that it prints is the "
            "access token.  It is run as the service's user, without a shell, when a token is "
            "needed, and once more when the next server refuses the token; it has 30 seconds."},
    {"client-certificate", SP_CONF_ROUTE,
     STRING(SP_CONF_PATH, sp_conf_route, client_certificate, NULL), V01,
     .def_doc = "none", .example = "/etc/sallyport/client.pem",
     .doc = "A certificate, in PEM form, to show to the next server."},
    {"client-key", SP_CONF_ROUTE, STRING(SP_CONF_PATH, sp_conf_route, client_key, NULL), V01,
     .def_doc = "the file of client-certificate", .example = "/etc/sallyport/client.key",
     .doc = "The private key of client-certificate in PEM form."},
    {"certificate-login", SP_CONF_ROUTE,
     ENUM(sp_conf_route, certificate_login, "auto", w_cli_login), V01, .example = "explicit",
     .doc = "How the certificate becomes a login at the next server.  auto finds out.  explicit: "
            "by AUTH EXTERNAL.  implicit: by just sending mail."},
    {"path", SP_CONF_ROUTE, STRING(SP_CONF_TEMPLATE, sp_conf_route, path, NULL), V01,
     .def_doc = "mail/%d/%u in the data directory", .example = "/var/mail/%d/%u",
     .doc = "The Maildir of a recipient with to = maildir.  %d is the domain of the address, %u "
            "what is before the @, both in lower case and made safe for a file name; %% is a %."},
    {"command", SP_CONF_ROUTE, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_route, command, ""), V01,
     .def_doc = "none; to = pipe needs it", .example = "/usr/bin/procmail -a %e -d %u",
     .doc = "A program, with an absolute path, and its arguments; it gets the message on its standard input, once for "
            "each recipient.  There is no shell.  In an argument %a is the address, %u what is before the @, %d its "
            "domain, %e the extension that was left off, %s the sender, %% a %.  An address that would begin an argument with a "
            "hyphen is refused.  What an exit status means is in doc/routing.md."},
    {"command-timeout", SP_CONF_ROUTE, DURATION(sp_conf_route, command_timeout_s, "5m", 1, 1 * HOUR), V01, .example = "1m",
     .doc = "The command is killed after this time, and the mail is tried again later."},
    {"run-as", SP_CONF_ROUTE, STRING(SP_CONF_TEXT, sp_conf_route, run_as, NULL), V01,
     .def_doc = "the service's user", .example = "vmail",
     .doc = "The system user whom the command is run as, or %u: the one whose name the local part is.  It needs a "
            "service that was started by root.  The command is never run as root."},
    {"reason", SP_CONF_ROUTE, STRING(SP_CONF_TEXT, sp_conf_route, reason, NULL), V01,
     .def_doc = "refused by configuration", .example = "\"this mailbox was closed\"",
     .doc = "What the sender is told with to = bounce."},
    {"concurrency", SP_CONF_ROUTE, NUM(sp_conf_route, concurrency, "10", 1, 1000), V01,
     .example = "5",
     .doc = "The most connections at a time to one destination - a next hop, or with to = mx a recipient domain - or "
            "deliveries where no connection is made."},
    {"concurrency-start", SP_CONF_ROUTE, NUM(sp_conf_route, concurrency_start, "2", 1, 1000), V01,
     .example = "1",
     .doc = "How many connections a destination gets at first.  Messages that are taken allow more, up to concurrency; "
            "refusals fewer.  doc/routing.md has the rules."},
    {"destination-rate", SP_CONF_ROUTE, LIST(SP_CONF_RATES, sp_conf_rates, sp_conf_route, destination_rate, ""), V01,
     .def_doc = "no limit", .example = "60/m 1000/h",
     .doc = "How many messages one destination gets; more wait in the queue.  From rest so many go at once, then "
            "evenly."},
    {"connection-reuse", SP_CONF_ROUTE, NUM(sp_conf_route, connection_reuse, "100", 1, 10000), V01,
     .example = "20",
     .doc = "How many messages are sent on one connection before a new one is opened."},

    /* ---- oauth NAME ---- */
    {"issuer", SP_CONF_OAUTH, STRING(SP_CONF_TEXT, sp_conf_oauth, issuer, NULL), V01,
     .def_doc = "none; keys needs it", .example = "https://id.example.org/realms/mail",
     .doc = "What the claim iss of a token must be, octet for octet."},
    {"audience", SP_CONF_OAUTH, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_oauth, audience, ""), V01,
     .def_doc = "none; keys needs it", .example = "mail.example.org",
     .doc = "The claim aud of a token must have one of these: tokens that the issuer made for "
            "other services are not for us."},
    {"keys", SP_CONF_OAUTH, STRING(SP_CONF_PATH, sp_conf_oauth, keys, NULL), V01,
     .def_doc = "none", .example = "/etc/sallyport/issuer.jwks",
     .doc = "The issuer's public keys: a JWKS, or PEM with public keys or certificates.  The "
            "file is read again within seconds when it changes, so something like curl in a timer "
            "keeps it up to date.  A kid is looked for in this file only; addresses of keys "
            "in a token are never followed."},
    {"introspection-url", SP_CONF_OAUTH,
     STRING(SP_CONF_TEXT, sp_conf_oauth, introspection_url, NULL), V01,
     .def_doc = "none", .example = "https://id.example.org/introspect",
     .doc = "The endpoint (RFC 7662) that is asked about each token.  While it does not answer, "
            "logins by token get a temporary refusal."},
    {"client-id", SP_CONF_OAUTH, STRING(SP_CONF_TEXT, sp_conf_oauth, client_id, NULL), V01,
     .def_doc = "none", .example = "sallyport",
     .doc = "Our own name at the introspection endpoint."},
    {"client-secret-file", SP_CONF_OAUTH,
     STRING(SP_CONF_PATH, sp_conf_oauth, client_secret_file, NULL), V01,
     .def_doc = "none", .example = "/etc/sallyport/introspection.secret",
     .doc = "A file whose first line is our password at the introspection endpoint."},
    {"tls-ca", SP_CONF_OAUTH, STRING(SP_CONF_PATH, sp_conf_oauth, tls_ca, NULL), V01,
     .def_doc = "the system's certificate authorities", .example = "/etc/sallyport/id-ca.pem",
     .doc = "The certificate authorities, in PEM form, that may vouch for the introspection endpoint."},
    {"introspection-timeout", SP_CONF_OAUTH,
     DURATION(sp_conf_oauth, introspection_timeout_s, "10s", 1, 60), V01, .example = "5s",
     .doc = "The longest wait for the endpoint's answer."},
    {"introspection-cache", SP_CONF_OAUTH,
     DURATION(sp_conf_oauth, introspection_cache_s, "1m", 0, 1 * HOUR), V01, .example = "0s",
     .doc = "How long a good answer is believed without asking again, never longer than the token "
            "lives.  A token that is revoked may still log in for this long.  0s asks each time."},
    {"scope", SP_CONF_OAUTH, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_oauth, scope, ""), V01,
     .def_doc = "none", .example = "mail.send",
     .doc = "Scopes that a token must have, all of them."},
    {"user-claim", SP_CONF_OAUTH, STRING(SP_CONF_TEXT, sp_conf_oauth, user_claim, "email"), V01,
     .example = "preferred_username",
     .doc = "The claim that names the account.  Take one that users cannot choose for "
            "themselves: sub, or email where the issuer gives out the addresses.  A token whose claim "
            "email_verified says no names nobody by email."},
    {"algorithms", SP_CONF_OAUTH,
     LIST(SP_CONF_WORDS, sp_conf_list, sp_conf_oauth, algorithms,
          "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA"),
     .words = w_jws, V01, .example = "RS256 ES256",
     .doc = "The signatures that a token may have.  none and HS256 are never possible."},
    {"leeway", SP_CONF_OAUTH, DURATION(sp_conf_oauth, leeway_s, "1m", 0, 5 * MIN), V01, .example = "10s",
     .doc = "How far the issuer's clock may be off when exp and nbf are looked at."},
    {"openid-configuration", SP_CONF_OAUTH,
     STRING(SP_CONF_TEXT, sp_conf_oauth, openid_configuration, NULL), V01,
     .def_doc = "none", .example = "https://id.example.org/.well-known/openid-configuration",
     .doc = "Told to clients whose token was refused (RFC 7628), so that they can find the issuer."},

    /* ---- dkim NAME ---- */
    {"domain", SP_CONF_DKIM, STRING(SP_CONF_DOMAIN, sp_conf_dkim, domain, NULL), V01,
     .def_doc = "none; it must be given", .example = "example.org",
     .doc = "The domain that signs (d=)."},
    {"selector", SP_CONF_DKIM, STRING(SP_CONF_TEXT, sp_conf_dkim, selector, NULL), V01,
     .def_doc = "none; it must be given", .example = "s2026",
     .doc = "Which of the domain's keys this is (s=): the public key is looked for in DNS at "
            "SELECTOR._domainkey.DOMAIN."},
    {"key", SP_CONF_DKIM, STRING(SP_CONF_PATH, sp_conf_dkim, key, NULL), V01,
     .def_doc = "none; it must be given", .example = "/etc/sallyport/dkim/2026.pem",
     .doc = "The private key, in PEM form: RSA (rsa-sha256) or Ed25519 (ed25519-sha256).  It is "
            "read again within seconds when it changes.  Some receivers know RSA only: "
            "sign with both, or with RSA."},
    {"authors", SP_CONF_DKIM, LIST(SP_CONF_DOMAINS, sp_conf_list, sp_conf_dkim, authors, ""), V01,
     .def_doc = "the domain itself", .example = "example.org lists.example.org",
     .doc = "The domains of From addresses whose mail gets this signature, each spelt out."},
    {"canonicalization", SP_CONF_DKIM,
     ENUM(sp_conf_dkim, canonicalization, "relaxed/relaxed", w_canon), V01, .example = "relaxed/simple",
     .doc = "Which changes on the way header/body survive.  relaxed forgives white space."},
    {"headers", SP_CONF_DKIM,
     LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_dkim, headers,
          "From Reply-To Subject Date To Cc Message-ID In-Reply-To References MIME-Version Content-Type "
          "Content-Transfer-Encoding Content-ID Content-Description Sender Resent-Date Resent-From "
          "Resent-Sender Resent-To Resent-Cc Resent-Message-ID List-Id List-Help List-Unsubscribe "
          "List-Unsubscribe-Post List-Subscribe List-Post List-Owner List-Archive"),
     V01, .example = "From To Subject Date Message-ID",
     .doc = "The header fields that are signed where the message has them.  From always is."},
    {"oversign", SP_CONF_DKIM,
     LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_dkim, oversign,
          "From Reply-To Subject Date To Cc Message-ID In-Reply-To References MIME-Version Content-Type "
          "Content-Transfer-Encoding"),
     V01, .example = "From Subject To",
     .doc = "Those of them that nobody may add on the way: a second Subject in front of the signed "
            "one breaks the signature.  From always is one."},
    {"lifetime", SP_CONF_DKIM, DURATION(sp_conf_dkim, lifetime_s, "0s", 0, 366 * DAY), V01,
     .example = "30d",
     .doc = "How long the signature is said to be good (x=).  0s says nothing, which is usual: mail "
            "may wait long."},

    /* ---- milter NAME ---- */
    {"address", SP_CONF_MILTER, LIST(SP_CONF_HOSTS, sp_conf_addrs, sp_conf_milter, address, NULL), V01,
     .def_doc = "none; it must be given", .example = "127.0.0.1:8891",
     .doc = "Where the milter listens: host:port, or unix:/path for a Unix socket that the service's user may "
            "connect to.  With several the next one is tried where one does not answer."},
    {"on-failure", SP_CONF_MILTER, ENUM(sp_conf_milter, on_failure, "tempfail", w_failure), V01, .example = "accept",
     .doc = "What becomes of mail while the milter does not answer, answers too late or makes no sense.  tempfail: "
            "451, the client tries again later.  accept: the mail goes on without this milter.  reject: it "
            "is refused for good."},
    {"connect-timeout", SP_CONF_MILTER, DURATION(sp_conf_milter, connect_timeout_s, "10s", 1, 60), V01, .example = "5s",
     .doc = "The longest wait for a connection and for the negotiation behind it."},
    {"command-timeout", SP_CONF_MILTER, DURATION(sp_conf_milter, command_timeout_s, "30s", 1, 90), V01, .example = "10s",
     .doc = "The longest wait for an answer about the client, its greeting, the sender, a recipient or the start of the message."},
    {"content-timeout", SP_CONF_MILTER, DURATION(sp_conf_milter, content_timeout_s, "90s", 1, 90), V01, .example = "60s",
     .doc = "The longest wait for an answer about the message.  A milter that says that it still works on it is given more, "
            "but all milters together have 90 seconds: then the client is told 451 and nothing is queued."},

    /* ---- policy NAME ---- */
    {"address", SP_CONF_POLICY, LIST(SP_CONF_HOSTS, sp_conf_addrs, sp_conf_policy, address, NULL), V01,
     .def_doc = "none; it must be given", .example = "127.0.0.1:10023",
     .doc = "Where the service listens: host:port or unix:/path.  With several the next one is tried where one does not answer."},
    {"on-failure", SP_CONF_POLICY, ENUM(sp_conf_policy, on_failure, "tempfail", w_failure), V01, .example = "accept",
     .doc = "What becomes of a recipient while the service cannot be asked.  tempfail: 451.  accept: as if it had said DUNNO.  "
            "reject: refused for good.  An action that it gives and that is not known here is 451 in any case."},
    {"timeout", SP_CONF_POLICY, DURATION(sp_conf_policy, timeout_s, "30s", 1, 90), V01, .example = "10s",
     .doc = "The longest wait for an answer, waiting for a free connection included."},
    {"connections", SP_CONF_POLICY, NUM(sp_conf_policy, connections, "20", 1, 1000), V01, .example = "5",
     .doc = "The most connections at a time.  They are used again; further questions wait."},
    /* ---- accounts NAME ---- */
    {"type", SP_CONF_ACCOUNTS, ENUM(sp_conf_accounts, type, NULL, w_accounts), V01,
     .def_doc = "none; it must be given", .example = "ldap",
     .doc = "sqlite: users.db.  file: a file of names and hashes.  ldap: a directory.  pam: the system's PAM.  "
            "postgresql: a database.  dovecot: Dovecot's own logins."},
    {"domain", SP_CONF_ACCOUNTS, STRING(SP_CONF_DOMAIN, sp_conf_accounts, domain, NULL), V01,
     .def_doc = "none", .example = "example.org",
     .doc = "An account that comes without an address has NAME@ this domain as its own.  With type = pam the "
            "domain is taken off what the user typed."},
    {"local-rights", SP_CONF_ACCOUNTS, BOOL(sp_conf_accounts, local_rights, "no"), V01, .example = "yes",
     .doc = "The account of the same name in users.db, where there is one, adds its addresses, grants, limits and "
            "certificates, and can disable the login.  For what cannot hold them itself: pam, dovecot, ldap with "
            "a schema of others.  Its password is not used."},
    {"believe", SP_CONF_ACCOUNTS, DURATION(sp_conf_accounts, believe_s, "30s", 0, 1 * HOUR), V01, .example = "5s",
     .doc = "How long an account that was looked up is taken to be as it was.  A change (a new password, "
            "a disabled account, another address) is seen after this time at the latest, by sessions that are open, too."},
    {"timeout", SP_CONF_ACCOUNTS, DURATION(sp_conf_accounts, timeout_s, "5s", 1, 60), V01, .example = "10s",
     .doc = "The longest that one look-up or password check may take.  After it the client gets 454 4.7.0."},
    {"connections", SP_CONF_ACCOUNTS, NUM(sp_conf_accounts, connections, "4", 1, 32), V01, .example = "8",
     .doc = "The most questions asked at a time.  Others wait, but never those of another section."},
    {"scram-iterations", SP_CONF_ACCOUNTS, NUM(sp_conf_accounts, scram_iterations, "16384", 4096, 1000000), V01, .example = "4096",
     .doc = "How many iterations the SCRAM verifiers there have (PostgreSQL and Dovecot make them with 4096).  A client that names "
            "nobody is shown this number, so that it does not learn who has an account."},
    {"path", SP_CONF_ACCOUNTS, STRING(SP_CONF_PATH, sp_conf_accounts, path, NULL), V01,
     .def_doc = "none; type = file needs it", .example = "/etc/sallyport/passwd",
     .doc = "The file.  It is read again when it changes.  auth-helper-user must be able to read it."},
    {"url", SP_CONF_ACCOUNTS, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_accounts, url, ""), V01,
     .def_doc = "none; type = ldap needs it", .example = "ldaps://ldap1.example.org ldaps://ldap2.example.org",
     .doc = "The LDAP servers, ldap://, ldaps:// or ldapi://: the first that answers is asked."},
    {"starttls", SP_CONF_ACCOUNTS, BOOL(sp_conf_accounts, starttls, "yes"), V01, .example = "no",
     .doc = "Over ldap:// TLS is started first, and the server's certificate verified; without it nothing is "
            "sent.  no is for a directory on this machine."},
    {"tls-ca", SP_CONF_ACCOUNTS, STRING(SP_CONF_PATH, sp_conf_accounts, tls_ca, NULL), V01,
     .def_doc = "the system's certificate authorities", .example = "/etc/sallyport/ldap-ca.pem",
     .doc = "The certificate authorities, in PEM form, that may vouch for the LDAP servers."},
    {"bind-dn", SP_CONF_ACCOUNTS, STRING(SP_CONF_TEXT, sp_conf_accounts, bind_dn, NULL), V01,
     .def_doc = "none: anonymous", .example = "cn=sallyport,ou=services,dc=example,dc=org",
     .doc = "Who we are when we search the directory."},
    {"password-file", SP_CONF_ACCOUNTS, STRING(SP_CONF_PATH, sp_conf_accounts, password_file, NULL), V01,
     .def_doc = "none", .example = "/etc/sallyport/ldap.password",
     .doc = "A file whose first line is our own password at the directory or the database."},
    {"base", SP_CONF_ACCOUNTS, STRING(SP_CONF_TEXT, sp_conf_accounts, base, NULL), V01,
     .def_doc = "none; a search needs it", .example = "ou=people,dc=example,dc=org",
     .doc = "Where the search begins; everything below is searched."},
    {"filter", SP_CONF_ACCOUNTS,
     STRING(SP_CONF_TEXT, sp_conf_accounts, filter, "(|(uid=%u)(mail=%u))"), V01,
     .example = "(&(objectClass=inetOrgPerson)(|(uid=%u)(mail=%u)))",
     .doc = "Which entry is the account: %u is what the user typed, %n what is before the @, %d what is behind "
            "it.  What is put in is escaped.  Two entries are none."},
    {"certificate-filter", SP_CONF_ACCOUNTS,
     STRING(SP_CONF_TEXT, sp_conf_accounts, certificate_filter, NULL), V01,
     .def_doc = "none: no pins", .example = "(description=pin:%p)",
     .doc = "Which entry a client certificate's key stands for: %p is the SHA-256 of its "
            "SubjectPublicKeyInfo in hexadecimal digits."},
    {"bind-template", SP_CONF_ACCOUNTS, STRING(SP_CONF_TEXT, sp_conf_accounts, bind_template, NULL), V01,
     .def_doc = "none: the entry is searched", .example = "uid=%n,ou=people,dc=example,dc=org",
     .doc = "The DN of an account, when it follows from the name: then nothing is searched, a login is one "
            "bind, and the account's fields are read as the user."},
    {"password-by", SP_CONF_ACCOUNTS, ENUM(sp_conf_accounts, password_by, "bind", w_password_by), V01,
     .example = "attribute",
     .doc = "bind: the directory judges the password.  attribute: the hash or SCRAM verifier is read (fields) and "
            "judged here; SCRAM needs this."},
    {"fields", SP_CONF_ACCOUNTS, LIST(SP_CONF_TEXTS, sp_conf_list, sp_conf_accounts, fields, "name=uid address=mail"),
     V01, .example = "name=uid address=mail address=mailAlias grant=mailGrant",
     .doc = "Which attribute of the entry holds which field of the account.  The fields: name, password, "
            "scram-sha-256, scram-sha-1, address, grant, act-as, enabled, disabled, message-size, recipients, sessions, "
            "message-rate, recipient-rate, pin, mechanisms."},
    {"service", SP_CONF_ACCOUNTS, STRING(SP_CONF_TEXT, sp_conf_accounts, service, "sallyport"), V01,
     .example = "sallyport", .doc = "The PAM service: the file in /etc/pam.d."},
    {"service-directory", SP_CONF_ACCOUNTS, STRING(SP_CONF_PATH, sp_conf_accounts, service_directory, NULL), V01,
     .def_doc = "the system's, /etc/pam.d", .example = "/etc/sallyport/pam.d",
     .doc = "Another directory that the service file is read from."},
    {"connection", SP_CONF_ACCOUNTS, STRING(SP_CONF_TEXT, sp_conf_accounts, connection, NULL), V01,
     .def_doc = "none; type = postgresql needs it",
     .example = "\"host=db.example.org dbname=mail user=sallyport sslmode=verify-full\"",
     .doc = "How the database is reached, as libpq writes it."},
    {"query", SP_CONF_ACCOUNTS, STRING(SP_CONF_TEXT, sp_conf_accounts, query, NULL), V01,
     .def_doc = "none; type = postgresql needs it",
     .example = "\"SELECT name, password, address FROM users LEFT JOIN addresses USING (id) WHERE name = $1 OR address = $1\"",
     .doc = "The question: $1 is what the user typed, always as a parameter.  The columns are named like the "
            "fields of the key fields, with _ for -; several rows are several values.  No row: nobody."},
    {"certificate-query", SP_CONF_ACCOUNTS, STRING(SP_CONF_TEXT, sp_conf_accounts, certificate_query, NULL), V01,
     .def_doc = "none: no pins", .example = "\"SELECT name FROM users JOIN pins USING (id) WHERE spki = $1\"",
     .doc = "The same for a client certificate: $1 is the SHA-256 of its SubjectPublicKeyInfo in hexadecimal "
            "digits.  The column name is enough."},
    {"socket", SP_CONF_ACCOUNTS, STRING(SP_CONF_PATH, sp_conf_accounts, socket, NULL), V01,
     .def_doc = "none; type = dovecot needs it", .example = "/run/dovecot/auth-client",
     .doc = "Dovecot's socket for logins."},
    {"user-socket", SP_CONF_ACCOUNTS, STRING(SP_CONF_PATH, sp_conf_accounts, user_socket, NULL), V01,
     .def_doc = "none", .example = "/run/dovecot/auth-userdb",
     .doc = "Dovecot's socket for look-ups.  With it Dovecot can say whom it knows: sections may stand behind this "
            "one, and fields of its user database count."},
    {"pass-through", SP_CONF_ACCOUNTS,
     LIST(SP_CONF_WORDS, sp_conf_list, sp_conf_accounts, pass_through, ""), .words = w_scram, V01,
     .def_doc = "none", .example = "SCRAM-SHA-256",
     .doc = "Mechanisms of a listener's auth-tls that Dovecot does itself, step by step.  Passwords of PLAIN and LOGIN "
            "are always given to it."},

    /* ---- content-filter NAME ---- */
    {"address", SP_CONF_FILTER, LIST(SP_CONF_HOSTS, sp_conf_addrs, sp_conf_filter, address, NULL), V01,
     .def_doc = "none; it must be given", .example = "127.0.0.1:10024",
     .doc = "Where the filter listens, on this machine: host:port or unix:/path.  Mail goes there in clear."},
    {"protocol", SP_CONF_FILTER, ENUM(sp_conf_filter, protocol, "smtp", w_hop), V01, .example = "lmtp",
     .doc = "How mail is given to it.  With lmtp it answers for each recipient."},
    {"connections", SP_CONF_FILTER, NUM(sp_conf_filter, connections, "10", 1, 1000), V01, .example = "2",
     .doc = "The most messages that it is given at a time: not more than it has processes."},
};

/* ---- what these things are called elsewhere ---- */

/* Words that newcomers write from habit.  The error says which key it is here. */
static const struct conf_other others[] = {
    {SP_CONF_TOP, "myhostname", "hostname"},
    {SP_CONF_TOP, "server-name", "hostname"},
    {SP_CONF_TOP, "queue-directory", "data-directory"},
    {SP_CONF_TOP, "spool-directory", "data-directory"},
    {SP_CONF_TOP, "datadir", "data-directory"},
    {SP_CONF_TOP, "mydestination", "local-domains"},
    {SP_CONF_TOP, "virtual-mailbox-domains", "local-domains"},
    {SP_CONF_TOP, "domains", "local-domains"},
    {SP_CONF_TOP, "message-size-limit", "message-size"},
    {SP_CONF_TOP, "max-message-size", "message-size"},
    {SP_CONF_TOP, "maximal-queue-lifetime", "queue-lifetime"},
    {SP_CONF_TOP, "bounce-queue-lifetime", "queue-lifetime"},
    {SP_CONF_TOP, "delay-warning-time", "delay-warning"},
    {SP_CONF_TOP, "workers", "server-processes"},
    {SP_CONF_TOP, "worker-processes", "server-processes"},
    {SP_CONF_TOP, "run-as", "user"},
    {SP_CONF_TOP, "run-as-user", "user"},
    {SP_CONF_TOP, "run-as-group", "group"},
    {SP_CONF_LISTENER, "port", "address"},
    {SP_CONF_LISTENER, "listen", "address"},
    {SP_CONF_LISTENER, "bind", "address"},
    {SP_CONF_LISTENER, "cert", "certificate"},
    {SP_CONF_LISTENER, "ca", "client-ca"},
    {SP_CONF_LISTENER, "crl", "client-crl"},
    {SP_CONF_LISTENER, "ssl", "tls"},
    {SP_CONF_LISTENER, "mechanisms", "auth-tls"},
    {SP_CONF_LISTENER, "auth", "auth-tls"},
    {SP_CONF_LISTENER, "auth-mechanisms", "auth-tls"},
    {SP_CONF_LISTENER, "max-recipients", "recipients-max"},
    {SP_CONF_LISTENER, "max-message-size", "message-size"},
    {SP_CONF_TLS, "cert", "certificate"},
    {SP_CONF_TLS, "private-key", "key"},
    {SP_CONF_TLS, "sni", "names"},
    {SP_CONF_ROUTE, "smarthost", "host"},
    {SP_CONF_ROUTE, "relayhost", "host"},
    {SP_CONF_ROUTE, "server", "host"},
    {SP_CONF_ROUTE, "username", "user"},
    {SP_CONF_ROUTE, "password", "password-file"},
    {SP_CONF_ROUTE, "domain", "match"},
    {SP_CONF_ROUTE, "domains", "match"},
    {SP_CONF_ROUTE, "cert", "client-certificate"},
    {SP_CONF_ROUTE, "pin", "server-pin"},
    {SP_CONF_ROUTE, "maildir", "path"},
    {SP_CONF_OAUTH, "jwks", "keys"},
    {SP_CONF_OAUTH, "jwks-file", "keys"},
    {SP_CONF_OAUTH, "key-file", "keys"},
    {SP_CONF_OAUTH, "username-attribute", "user-claim"},
    {SP_CONF_OAUTH, "client-secret", "client-secret-file"},
    {SP_CONF_OAUTH, "iss", "issuer"},
    {SP_CONF_OAUTH, "aud", "audience"},
    {SP_CONF_DKIM, "key-file", "key"},
    {SP_CONF_DKIM, "private-key", "key"},
    {SP_CONF_DKIM, "d", "domain"},
    {SP_CONF_DKIM, "s", "selector"},
    {SP_CONF_DKIM, "sign-headers", "headers"},
    {SP_CONF_DKIM, "signing-domain", "domain"},
};
/* clang-format on */

const struct conf_tables conf_builtin = {
    .keys = keys,
    .n_keys = sizeof keys / sizeof keys[0],
    .others = others,
    .n_others = sizeof others / sizeof others[0],
};

const struct sp_conf_key *sp_conf_keys(size_t *ret_n)
{
    *ret_n = sizeof keys / sizeof keys[0];
    return keys;
}

const struct sp_conf_section *sp_conf_section(enum sp_conf_section_id id)
{
    return &sections[id];
}

const struct sp_conf_key *conf_find(const struct conf_tables *t,
                                    enum sp_conf_section_id section, struct sp_str name)
{
    for (size_t i = 0; i < t->n_keys; i++)
        if (t->keys[i].section == section && sp_str_is(name, t->keys[i].name))
            return &t->keys[i];
    return NULL;
}

const struct sp_conf_key *sp_conf_key_named(enum sp_conf_section_id section,
                                            struct sp_str name)
{
    return conf_find(&conf_builtin, section, name);
}

/* The bit of a key is its place in the table counted from its section's first row. */
unsigned conf_bit(const struct conf_tables *t, const struct sp_conf_key *k)
{
    const struct sp_conf_key *first = k;

    while (first > t->keys && first[-1].section == k->section)
        first--;
    return (unsigned)(k - first);
}

bool sp_conf_given(const struct sp_conf_head *h, const struct sp_conf_key *k)
{
    unsigned bit = conf_bit(&conf_builtin, k);

    return h->given[bit / 64] >> bit % 64 & 1;
}
