/* t_conf_table.c - every row of the key table, at its default, its ends, and beyond. */
#include "conf_t.h"

#include <inttypes.h>

/* What else must be in the section so that this key may be there. */
static const struct {
    const char *section, *key, *value; /* value NULL: any */
    const char *more;
} company[] = {
    {"listener", "address", NULL, ""},
    {"listener", "type", "local", "address = unix:/run/submit\n"},
    {"listener", "type", "proxied", "address = *:587\nproxies = ::1\n"},
    {"listener", "type", "reinjection", "address = [::1]:10025\n"},
    {"listener", "proxies", "", "address = *:587\n"},
    {"listener", "proxies", NULL, "address = *:587\ntype = proxied\n"},
    {"listener", "proxy-protocol", NULL, "address = *:587\ntype = proxied\nproxies = ::1\n"},
    {"listener", "xclient", NULL, "address = *:587\ntype = proxied\nproxies = ::1\n"},
    {"listener", "tls", "none", "address = unix:/run/submit\ntype = local\n"},
    {"listener", "client-crl", NULL, "address = *:587\nclient-ca = /ca\n"},
    {"listener", "client-ca-domains", NULL, "address = *:587\nclient-ca = /ca\n"},
    {"listener", "require-binding", "yes",
     "address = *:587\nauth-tls = SCRAM-SHA-256-PLUS\n"},
    {"listener", NULL, NULL, "address = *:587\n"},
    {"tls", "certificate", NULL, ""},
    {"tls", NULL, NULL, "certificate = /main\n"},
    {"route", "match", NULL, "to = discard\n"},
    {"route", "to", "smarthost", "match = *\nhost = mx.example.org\n"},
    {"route", "to", "lmtp", "match = *\nlmtp = unix:/run/lmtp\n"},
    {"route", "mx-port", NULL, "match = *\nto = mx\n"},
    {"route", "address-literals", NULL, "match = *\nto = mx\n"},
    {"route", "mta-sts", NULL, "match = *\nto = mx\n"},
    {"route", "mta-sts-ca", NULL, "match = *\nto = mx\n"},
    {"route", "mta-sts-timeout", NULL, "match = *\nto = mx\n"},
    {"route", "to", "pipe", "match = *\ncommand = /bin/cat\n"},
    {"route", "to", NULL, "match = *\n"},
    {"route", "command", NULL, "match = *\nto = pipe\n"},
    {"route", "command-timeout", NULL, "match = *\nto = pipe\ncommand = /bin/cat\n"},
    {"route", "run-as", NULL, "match = *\nto = pipe\ncommand = /bin/cat\n"},
    {"route", "reason", NULL, "match = *\nto = bounce\n"},
    {"route", "host", NULL, "match = *\nto = smarthost\n"},
    {"route", "lmtp", NULL, "match = *\nto = lmtp\n"},
    {"route", "path", NULL, "match = *\nto = maildir\n"},
    {"route", "tls", "none", "match = *\nto = smarthost\nhost = localhost\n"},
    {"route", "user", NULL,
     "match = *\nto = smarthost\nhost = mx.example.org\npassword-file = /p\n"},
    {"route", "token-file", NULL,
     "match = *\nto = smarthost\nhost = mx.example.org\nuser = u\n"},
    {"route", "token-command", "",
     "match = *\nto = smarthost\nhost = mx.example.org\n"},
    {"route", "token-command", NULL,
     "match = *\nto = smarthost\nhost = mx.example.org\nuser = u\n"},
    {"oauth", "introspection-url", NULL, ""},
    {"oauth", "client-id", NULL, "introspection-url = https://h/i\n"},
    {"oauth", "tls-ca", NULL, "introspection-url = https://h/i\n"},
    {"oauth", "audience", NULL, "introspection-url = https://h/i\n"},
    {"oauth", "client-secret-file", NULL,
     "introspection-url = https://h/i\nclient-id = c\n"},
    {"oauth", "keys", NULL, "issuer = i\naudience = a\n"},
    {"oauth", "issuer", NULL, "keys = /k\naudience = a\n"},
    {"oauth", NULL, NULL, "keys = /k\nissuer = i\naudience = a\n"},
    {"dkim", "domain", NULL, "selector = s\nkey = /k\n"},
    {"dkim", "selector", NULL, "domain = d.example\nkey = /k\n"},
    {"dkim", "key", NULL, "domain = d.example\nselector = s\n"},
    {"dkim", NULL, NULL, "domain = d.example\nselector = s\nkey = /k\n"},
    {"milter", "address", NULL, ""},
    {"milter", NULL, NULL, "address = unix:/run/m\n"},
    {"content-filter", "address", NULL, ""},
    {"content-filter", NULL, NULL, "address = unix:/run/f\n"},
    {"policy", "address", NULL, ""},
    {"policy", NULL, NULL, "address = unix:/run/p\n"},
    {"accounts", "type", "sqlite", ""},
    {"accounts", "type", "file", "path = /p\n"},
    {"accounts", "type", "ldap", "url = ldaps://h\nbase = dc=x\n"},
    {"accounts", "type", "pam", ""},
    {"accounts", "type", "postgresql", "connection = x\nquery = $1\n"},
    {"accounts", "type", "dovecot", "socket = /s\n"},
    {"accounts", "path", NULL, "type = file\n"},
    {"accounts", "url", NULL, "type = ldap\nbase = dc=x\n"},
    {"accounts", "base", NULL, "type = ldap\nurl = ldaps://h\n"},
    {"accounts", "password-by", "attribute",
     "type = ldap\nurl = ldaps://h\nbase = dc=x\nfields = password=userPassword\n"},
    {"accounts", "connection", NULL, "type = postgresql\nquery = $1\n"},
    {"accounts", "query", NULL, "type = postgresql\nconnection = x\n"},
    {"accounts", "certificate-query", NULL,
     "type = postgresql\nconnection = x\nquery = $1\n"},
    {"accounts", "socket", NULL, "type = dovecot\n"},
    {"accounts", "user-socket", NULL, "type = dovecot\nsocket = /s\n"},
    {"accounts", "pass-through", NULL, "type = dovecot\nsocket = /s\n"},
    {"accounts", "domain", NULL, "type = pam\n"},
    {"accounts", "local-rights", NULL, "type = pam\n"},
    {"accounts", "believe", NULL, "type = pam\n"},
    {"accounts", "timeout", NULL, "type = pam\n"},
    {"accounts", "connections", NULL, "type = pam\n"},
    {"accounts", "scram-iterations", NULL, "type = file\npath = /p\n"},
    {"accounts", "service", NULL, "type = pam\n"},
    {"accounts", "service-directory", NULL, "type = pam\n"},
    {"accounts", NULL, NULL, "type = ldap\nurl = ldaps://h\nbase = dc=x\n"},
    {"route", "password-file", NULL,
     "match = *\nto = smarthost\nhost = mx.example.org\nuser = u\n"},
    {"route", "client-key", NULL,
     "match = *\nto = smarthost\nhost = mx.example.org\nclient-certificate = /c\n"},
    {"route", "certificate-login", NULL,
     "match = *\nto = smarthost\nhost = mx.example.org\nclient-certificate = /c\n"},
    {"route", NULL, NULL, "match = *\nto = smarthost\nhost = mx.example.org\n"},
};

static const char *company_of(const char *section, const char *key, const char *value)
{
    for (size_t i = 0; i < sizeof company / sizeof company[0]; i++)
        if (strcmp(company[i].section, section) == 0 &&
            (!company[i].key || strcmp(company[i].key, key) == 0) &&
            (!company[i].value || strcmp(company[i].value, value) == 0))
            return company[i].more;
    return "";
}

/* A file in which k has this value and everything around it is right. */
static void file_with(const struct sp_conf_key *k, const char *value,
                      struct sp_buf *out)
{
    const char *section = sp_conf_section(k->section)->name;

    sp_buf_init(out, 1 << 20);
    if (k->section == SP_CONF_TOP)
        (void)sp_buf_printf(out, "%s = %s\n", k->name, value);
    else
        (void)sp_buf_printf(
            out,
            "milter virus {\naddress = unix:/v\n}\nmilter signing {\naddress = unix:/s\n}\n"
            "policy quota {\naddress = unix:/q\n}\ncontent-filter amavis {\naddress = unix:/c\n}\n"
            "%s%s%s%s x {\n%s%s = %s\n}\n",
            strstr(value, "GSSAPI") ? "gssapi-keytab = /k\n" : "",
            k->section == SP_CONF_TLS ? "" : "tls main {\ncertificate = /m\n}\n",
            k->section == SP_CONF_OAUTH
                ? ""
                : "oauth main {\nkeys = /k\nissuer = i\naudience = a\n}\n",
            section, company_of(section, k->name, value), k->name, value);
    CHECK(sp_buf_cstr(out) != NULL);
}

static const void *section_of(const struct sp_conf *c, enum sp_conf_section_id id)
{
    switch (id) {
    case SP_CONF_TOP:
        return c;
    case SP_CONF_TLS:
        return &c->tls[0];
    case SP_CONF_LISTENER:
        return &c->listeners[0];
    case SP_CONF_ROUTE:
        for (size_t i = 0; i < c->n_routes; i++)
            if (!c->routes[i].head.implied)
                return &c->routes[i];
        return NULL;
    case SP_CONF_OAUTH:
        return &c->oauth[0];
    case SP_CONF_DKIM:
        return &c->dkim[0];
    case SP_CONF_MILTER:
        return &c->milters[c->n_milters - 1];
    case SP_CONF_POLICY:
        return &c->policies[c->n_policies - 1];
    case SP_CONF_ACCOUNTS:
        return &c->accounts[0];
    case SP_CONF_FILTER:
        return &c->filters[c->n_filters - 1];
    case SP_CONF_SECTIONS:
        break;
    }
    return NULL;
}

/* The value is taken, means `canonical`, and survives dump and parse. */
static void takes(const struct sp_conf_key *k, const char *value, const char *canonical)
{
    struct sp_buf text, got;
    struct sp_conf *c;

    file_with(k, value, &text);
    c = t_good(text.p);
    if (c) {
        sp_buf_init(&got, 1 << 20);
        CHECK(sp_conf_value_text(k, section_of(c, k->section), &got) >= 0);
        CHECK_STR(sp_buf_cstr(&got), canonical);
        sp_buf_free(&got);
        t_round_trip(c);
    }
    sp_conf_unref(c);
    sp_buf_free(&text);
}

static void refuses(const struct sp_conf_key *k, const char *value, const char *why)
{
    struct sp_buf text;
    char message[1000], want[1000];

    file_with(k, value, &text);
    t_bad_text(text.p, message, sizeof message);
    (void)snprintf(want, sizeof want, "%s: \"%s\" %s", k->name, value, why);
    CHECK_STR(message, want);
    sp_buf_free(&text);
}

static bool numeric(const struct sp_conf_key *k)
{
    return k->type == SP_CONF_NUMBER || k->type == SP_CONF_SIZE ||
           k->type == SP_CONF_DURATION || k->type == SP_CONF_DURATIONS;
}

/* One more or less than n, in the smallest unit. */
static void unit_text(const struct sp_conf_key *k, uint64_t n, char *buf, size_t size)
{
    bool time = k->type == SP_CONF_DURATION || k->type == SP_CONF_DURATIONS;

    (void)snprintf(buf, size, "%" PRIu64 "%s", n, time ? "s" : "");
}

TEST("every key has a text, an example that is taken, and a version")
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);

    for (size_t i = 0; i < n; i++) {
        struct sp_buf text;

        CHECK(k[i].doc && strlen(k[i].doc) > 20 &&
              k[i].doc[strlen(k[i].doc) - 1] == '.');
        CHECK(k[i].since != NULL);
        CHECK(k[i].example != NULL);
        CHECK(k[i].def != NULL || k[i].def_doc != NULL);
        file_with(&k[i], k[i].example, &text);
        sp_conf_unref(t_good(text.p));
        sp_buf_free(&text);
    }
}

TEST("names are unique in a section, and rows of a section stand together")
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    unsigned count[SP_CONF_SECTIONS] = {0};

    for (size_t i = 0; i < n; i++) {
        count[k[i].section]++;
        CHECK(sp_conf_key_named(k[i].section, sp_str(k[i].name)) == &k[i]);
        if (i)
            CHECK(k[i].section >= k[i - 1].section);
    }
    for (int s = 0; s < SP_CONF_SECTIONS; s++)
        CHECK(count[s] > 0 && count[s] <= SP_CONF_KEYS_MAX);
}

TEST("every key survives dump and parse at its default")
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);

    for (size_t i = 0; i < n; i++)
        /* Without a host their routes mean nothing: errors.txt has that. */
        if (k[i].def && strcmp(k[i].name, "host") != 0 &&
            strcmp(k[i].name, "lmtp") != 0 && strcmp(k[i].name, "command") != 0 &&
            strcmp(k[i].name, "url") != 0)
            takes(&k[i], k[i].def, k[i].def);
}

TEST("every number survives dump and parse at its ends, and n+1 is refused")
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    char buf[40];

    for (size_t i = 0; i < n; i++) {
        struct sp_buf low, high;
        struct sp_conf_key copy = k[i];

        if (!numeric(&k[i]))
            continue;
        CHECK(k[i].min < k[i].max);
        sp_buf_init(&low, 100);
        sp_buf_init(&high, 100);
        copy.type = k[i].type == SP_CONF_DURATIONS ? SP_CONF_DURATION : k[i].type;
        copy.offset = 0;
        CHECK_INT(sp_conf_value_text(&copy, &copy.min, &low), 1);
        CHECK_INT(sp_conf_value_text(&copy, &copy.max, &high), 1);
        takes(&k[i], sp_buf_cstr(&low), low.p);
        takes(&k[i], sp_buf_cstr(&high), high.p);
        unit_text(&k[i], k[i].max + 1, buf, sizeof buf);
        refuses(&k[i], buf, "is too large");
        if (k[i].min) {
            unit_text(&k[i], k[i].min - 1, buf, sizeof buf);
            refuses(&k[i], buf, "is too small");
        }
        refuses(&k[i], "2x",
                k[i].type == SP_CONF_NUMBER ? "is not a number"
                : k[i].type == SP_CONF_SIZE ? "is not a size"
                                            : "is not a time");
        sp_buf_free(&low);
        sp_buf_free(&high);
    }
}

TEST("every word survives dump and parse, those of later versions are refused")
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);

    for (size_t i = 0; i < n; i++)
        for (const struct sp_conf_word *w = k[i].words; w && w->word; w++) {
            if (w->unlisted ||
                strcmp(k[i].name, "auth-clear") == 0)
                continue; /* errors.txt has those */
            if (w->later)
                refuses(&k[i], w->word, "is not in this version");
            else
                takes(&k[i], w->word, w->word);
        }
}

TEST("yes and no survive dump and parse")
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);

    for (size_t i = 0; i < n; i++)
        if (k[i].type == SP_CONF_BOOL) {
            takes(&k[i], "yes", "yes");
            takes(&k[i], "NO", "no");
        }
}

static const struct sp_conf_key *key(enum sp_conf_section_id section, const char *name)
{
    const struct sp_conf_key *k = sp_conf_key_named(section, sp_str(name));

    CHECK(k != NULL);
    return k;
}

TEST("values have one canonical form")
{
    takes(key(SP_CONF_TOP, "message-size"), "51200K", "50M");
    takes(key(SP_CONF_TOP, "message-size"), "65537", "65537");
    takes(key(SP_CONF_TOP, "message-size"), "1g", "1G");
    takes(key(SP_CONF_TOP, "queue-lifetime"), "120h", "5d");
    takes(key(SP_CONF_TOP, "queue-lifetime"), "90m", "90m");
    takes(key(SP_CONF_TOP, "delay-warning"), "0", "0s");
    takes(key(SP_CONF_TOP, "hostname"), "Mail.Example.ORG", "mail.example.org");
    takes(key(SP_CONF_TOP, "data-directory"), "spool", "/etc/sallyport/spool");
    takes(key(SP_CONF_TOP, "data-directory"), "././spool", "/etc/sallyport/spool");
    takes(key(SP_CONF_TOP, "data-directory"), "\"/a b\\\\c\\\"d#\"",
          "\"/a b\\\\c\\\"d#\"");
    takes(key(SP_CONF_LISTENER, "address"), "[0:0::1]:587 127.0.0.1:0587 *:1",
          "[::1]:587 127.0.0.1:587 *:1");
    takes(key(SP_CONF_LISTENER, "auth-tls"), "login Plain", "LOGIN PLAIN");
    takes(key(SP_CONF_LISTENER, "proxies"), "192.0.2.0/24 10.0.0.1/32 2001:DB8:0::/32 ::1 0.0.0.0/0",
          "192.0.2.0/24 10.0.0.1 2001:db8::/32 ::1 0.0.0.0/0");
    takes(key(SP_CONF_LISTENER, "user-messages"), "030/m 5/d", "30/m 5/d");
    takes(key(SP_CONF_LISTENER, "certificate"), "main ./other.pem",
          "main /etc/sallyport/other.pem");
    takes(key(SP_CONF_ROUTE, "host"), "MX.example.org 192.0.2.1:25 [2001:DB8:0::1]",
          "mx.example.org:587 192.0.2.1:25 [2001:db8::1]:587");
    takes(key(SP_CONF_ROUTE, "lmtp"), "localhost unix:run/lmtp",
          "localhost:24 unix:/etc/sallyport/run/lmtp");
    takes(
        key(SP_CONF_ROUTE, "match"),
        "Example.ORG *.Example.org Bob@Example.org sender:<> user:Bob sender:A.example",
        "example.org *.example.org Bob@Example.org sender:<> user:Bob "
        "sender:a.example");
    takes(key(SP_CONF_ROUTE, "server-pin"),
          "sha256//n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
          "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
}

/* Written by hand from the rules of the protocol: what a newcomer gets.  A change here
 * is a change of what Sallyport is. */
static const struct {
    enum sp_conf_section_id section;
    const char *key, *def;
    uint64_t min, max;
} expected[] = {
    {SP_CONF_TOP, "data-directory", "/var/lib/sallyport", 0, 0},
    {SP_CONF_TOP, "user", "sallyport", 0, 0},
    {SP_CONF_TOP, "log-format", "text", 0, 0},
    {SP_CONF_TOP, "log-level", "info", 0, 0},
    {SP_CONF_TOP, "server-processes", "0", 0, 256},
    {SP_CONF_TOP, "message-size", "50M", 65536, 4294967296},
    {SP_CONF_TOP, "queue-lifetime", "5d", 1, 60 * 86400},
    {SP_CONF_TOP, "delay-warning", "4h", 0, 60 * 86400},
    {SP_CONF_TOP, "history-keep", "7d", 0, 366 * 86400},
    {SP_CONF_TOP, "deduplicate", "0s", 0, 30 * 86400},
    {SP_CONF_TOP, "hops-max", "50", 5, 500},
    {SP_CONF_TOP, "alert-rate", "", 0, 0},
    {SP_CONF_TOP, "metrics", "", 0, 0},
    {SP_CONF_LISTENER, "type", "submission", 0, 0},
    {SP_CONF_LISTENER, "proxies", "", 0, 0},
    {SP_CONF_LISTENER, "proxy-protocol", "yes", 0, 0},
    {SP_CONF_LISTENER, "xclient", "off", 0, 0},
    {SP_CONF_LISTENER, "extensions",
     "PIPELINING SIZE 8BITMIME SMTPUTF8 DSN ENHANCEDSTATUSCODES CHUNKING LIMITS DELIVERBY "
     "FUTURERELEASE MT-PRIORITY REQUIRETLS", 0, 0},
    {SP_CONF_LISTENER, "future-release-max", "30d", 60, 366 * 86400},
    {SP_CONF_LISTENER, "deliver-by-min", "0s", 0, 86400},
    {SP_CONF_LISTENER, "priority-max", "4", 0, 9},
    {SP_CONF_LISTENER, "user-messages", "", 0, 0},
    {SP_CONF_LISTENER, "user-recipients", "", 0, 0},
    {SP_CONF_LISTENER, "address-messages", "", 0, 0},
    {SP_CONF_LISTENER, "address-recipients", "", 0, 0},
    {SP_CONF_LISTENER, "user-sessions", "0", 0, 100000},
    {SP_CONF_LISTENER, "header-rules", "", 0, 0},
    {SP_CONF_LISTENER, "certificate-login", "either", 0, 0},
    {SP_CONF_LISTENER, "auth-list-with-certificate", "all", 0, 0},
    {SP_CONF_LISTENER, "auth-clear", "", 0, 0},
    {SP_CONF_LISTENER, "auth-tls", "SCRAM-SHA-256 PLAIN LOGIN", 0, 0},
    {SP_CONF_LISTENER, "send-ca-names", "no", 0, 0},
    {SP_CONF_LISTENER, "require-binding", "no", 0, 0},
    {SP_CONF_LISTENER, "lenient-ehlo", "no", 0, 0},
    {SP_CONF_LISTENER, "legacy-auth-line", "no", 0, 0},
    {SP_CONF_LISTENER, "lenient-path", "no", 0, 0},
    {SP_CONF_LISTENER, "tls-min", "TLSv1.2", 0, 0},
    {SP_CONF_LISTENER, "recipients-max", "1000", 100, 50000},
    {SP_CONF_LISTENER, "idle-timeout", "5m", 1, 3600},
    {SP_CONF_LISTENER, "login-timeout", "10m", 1, 3600},
    {SP_CONF_LISTENER, "sender-check", "envelope+header", 0, 0},
    {SP_CONF_LISTENER, "trace-identity", "no", 0, 0},
    {SP_CONF_LISTENER, "trace-hide-client", "no", 0, 0},
    {SP_CONF_ROUTE, "certificate-login", "auto", 0, 0},
    {SP_CONF_ROUTE, "command-timeout", "5m", 1, 3600},
    {SP_CONF_ROUTE, "mx-port", "25", 1, 65535},
    {SP_CONF_ROUTE, "address-literals", "no", 0, 0},
    {SP_CONF_ROUTE, "mta-sts", "yes", 0, 0},
    {SP_CONF_ROUTE, "mta-sts-timeout", "15s", 1, 120},
    {SP_CONF_TOP, "dns-timeout", "15s", 1, 300},
    {SP_CONF_TOP, "tls-reports", "no", 0, 0},
    {SP_CONF_TOP, "alias-recipients-max", "1000", 1, 10000},
    {SP_CONF_TOP, "recipient-delimiter", "+", 0, 0},
    {SP_CONF_TOP, "local-recipients", "known", 0, 0},
    {SP_CONF_OAUTH, "user-claim", "email", 0, 0},
    {SP_CONF_OAUTH, "leeway", "1m", 0, 300},
    {SP_CONF_OAUTH, "introspection-timeout", "10s", 1, 60},
    {SP_CONF_OAUTH, "introspection-cache", "1m", 0, 3600},
    {SP_CONF_OAUTH, "algorithms",
     "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA", 0, 0},
    {SP_CONF_TOP, "login-cache", "5m", 0, 86400},
    {SP_CONF_TOP, "login-cache-size", "65536", 64, 4194304},
    {SP_CONF_ACCOUNTS, "believe", "30s", 0, 3600},
    {SP_CONF_ACCOUNTS, "timeout", "5s", 1, 60},
    {SP_CONF_ACCOUNTS, "connections", "4", 1, 32},
    {SP_CONF_ACCOUNTS, "scram-iterations", "16384", 4096, 1000000},
    {SP_CONF_ACCOUNTS, "starttls", "yes", 0, 0},
    {SP_CONF_ACCOUNTS, "password-by", "bind", 0, 0},
    {SP_CONF_ACCOUNTS, "local-rights", "no", 0, 0},
    {SP_CONF_ACCOUNTS, "filter", "(|(uid=%u)(mail=%u))", 0, 0},
    {SP_CONF_ACCOUNTS, "service", "sallyport", 0, 0},
    {SP_CONF_DKIM, "canonicalization", "relaxed/relaxed", 0, 0},
    {SP_CONF_DKIM, "oversign",
     "From Reply-To Subject Date To Cc Message-ID In-Reply-To References MIME-Version Content-Type "
     "Content-Transfer-Encoding", 0, 0},
    {SP_CONF_DKIM, "lifetime", "0s", 0, 366 * 86400},
    {SP_CONF_MILTER, "on-failure", "tempfail", 0, 0},
    {SP_CONF_MILTER, "connect-timeout", "10s", 1, 60},
    {SP_CONF_MILTER, "command-timeout", "30s", 1, 90},
    {SP_CONF_MILTER, "content-timeout", "90s", 1, 90},
    {SP_CONF_POLICY, "on-failure", "tempfail", 0, 0},
    {SP_CONF_POLICY, "timeout", "30s", 1, 90},
    {SP_CONF_POLICY, "connections", "20", 1, 1000},
    {SP_CONF_FILTER, "protocol", "smtp", 0, 0},
    {SP_CONF_FILTER, "connections", "10", 1, 1000},
};

TEST("an address is in a network by its prefix, to the bit")
{
    static const struct {
        const char *address;
        bool in;
    } rows[] = {
        {"192.0.2.0", true},         {"192.0.2.127", true},   {"192.0.2.128", false},
        {"192.0.1.255", false},      {"::ffff:192.0.2.5", true}, {"10.0.0.1", true},
        {"10.0.0.2", false},         {"2001:db8:8000::", true},  {"2001:db8:ffff:1::2", true},
        {"2001:db8:7fff::1", false}, {"2001:db9:8000::", false}, {"", false},
        {"unix", false},             {"local", false},
    };
    struct sp_conf *c = t_good("listener x {\naddress = *:587\ntype = proxied\nproxies = 192.0.2.0/25 "
                               "10.0.0.1 2001:db8:8000::/33\n}\n");

    for (size_t i = 0; c && i < sizeof rows / sizeof rows[0]; i++)
        CHECK_INT(sp_conf_nets_have(&c->listeners[0].proxies, rows[i].address), rows[i].in);
    sp_conf_unref(c);
}

TEST("the defaults are the ones that were decided")
{
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct sp_conf_key *k = key(expected[i].section, expected[i].key);

        CHECK_STR(k->def, expected[i].def);
        CHECK_INT(k->min, expected[i].min);
        CHECK_INT(k->max, expected[i].max);
    }
}

TEST("the example file has every key and changes nothing")
{
    struct sp_buf doc, text;
    struct sp_conf *c;
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);

    sp_buf_init(&doc, 1 << 20);
    CHECK_INT(sp_conf_doc_example(&doc), 0);
    c = t_good(sp_buf_cstr(&doc));
    t_dump(c, false, &text);
    CHECK_STR(text.p, "");
    for (size_t i = 0; i < n; i++) {
        char line[200];

        (void)snprintf(line, sizeof line,
                       "\n#%s%s = ", k[i].section == SP_CONF_TOP ? "" : "  ",
                       k[i].name);
        CHECK(strstr(doc.p, line) != NULL);
    }
    sp_buf_free(&text);
    sp_conf_unref(c);
    sp_buf_free(&doc);
}
T_MAIN
