/*
 * conf_rules.c - what was left out, and what does not go together.
 *
 * The rules are rows: which section, which key is pointed at, when it is broken, the
 * words.  A rule is not asked when one of the keys that it looks at was refused already,
 * so that one mistake gives one message.
 */
#include "conf_in.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TOP_OF(in)      ((const struct sp_conf *)(in)->data)
#define TLS_OF(in)      ((const struct sp_conf_tls *)(in)->data)
#define LISTENER_OF(in) ((const struct sp_conf_listener *)(in)->data)
#define ROUTE_OF(in)    ((const struct sp_conf_route *)(in)->data)

/* The implied route; a file cannot have one of this name. */
#define LOCAL_ROUTE "local-domains"
/* The implied listener for programs of this machine. */
#define LOCAL_LISTENER "local"

/* ---- looking at a section ---- */

static const struct sp_conf_key *key_of(struct conf_parser *p,
                                        const struct conf_inst *in, const char *name)
{
    return conf_find(p->tables, in->id, sp_str(name));
}

static bool given(struct conf_parser *p, const struct conf_inst *in, const char *name)
{
    unsigned bit = conf_bit(p->tables, key_of(p, in, name));

    return in->head->given[bit / 64] >> bit % 64 & 1;
}

static bool bad(struct conf_parser *p, const struct conf_inst *in, const char *name)
{
    unsigned bit = conf_bit(p->tables, key_of(p, in, name));

    return in->bad[bit / 64] >> bit % 64 & 1;
}

/* Where to put the caret: a word of the value, the key, or where the section begins. */
static struct conf_pos where(struct conf_parser *p, const struct conf_inst *in,
                             const char *name, long word)
{
    unsigned bit;

    if (!name || !given(p, in, name))
        return in->open;
    bit = conf_bit(p->tables, key_of(p, in, name));
    if (word < 0 || (size_t)word >= in->n_words[bit])
        return in->key[bit];
    return in->word[bit][word];
}

/* `listener "submission": `, nothing for the top. */
static const char *prefix(struct conf_parser *p, const struct conf_inst *in)
{
    if (in->id == SP_CONF_TOP)
        return "";
    return conf_fmt(p, "%s \"%s\": ", sp_conf_section(in->id)->name, in->head->name);
}

/* ---- when a rule is broken ---- */

/* word: which element of the key's list is looked at, with `each`. */
typedef bool broken(struct conf_parser *p, const struct conf_inst *in, size_t word);

static bool is_in(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

static bool ends_plus(const char *s)
{
    size_t n = strlen(s);

    return n > 5 && strcmp(s + n - 5, "-PLUS") == 0;
}

static bool loopback(const struct sp_conf_addr *a)
{
    return a->kind == SP_CONF_ADDR_UNIX || strcmp(a->host, "localhost") == 0 ||
           (a->kind == SP_CONF_ADDR_IP4 && strncmp(a->host, "127.", 4) == 0) ||
           (a->kind == SP_CONF_ADDR_IP6 && strcmp(a->host, "::1") == 0);
}

static bool all_loopback(const struct sp_conf_addrs *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (!loopback(&l->v[i]))
            return false;
    return true;
}

/* A name that the system may have: letters, digits, and what is usual in them. */
static bool account_ok(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    return n > 0 && n <= 32 && s[n] == '\0' && s[0] != '-' && s[0] != '.';
}

static bool weight_ok(const char *s)
{
    uint64_t v;

    return sp_str_u64(sp_str(s), 1000, &v) == 0 && v > 0;
}

static bool literal_ok(const char *s)
{
    unsigned char a[16];

    return inet_pton(AF_INET, s, a) == 1 || inet_pton(AF_INET6, s, a) == 1;
}

static bool dns_server_ok(const char *s)
{
    struct sp_str rest = sp_str(s), host = sp_str_cut(&rest, '@');
    char text[64];
    uint64_t port;

    if (strcmp(s, "system") == 0)
        return true;
    if (host.n == 0 || host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return literal_ok(text) && (!rest.p || (sp_str_u64(rest, 65535, &port) == 0 && port > 0));
}

/* It becomes part of a reply and of a notice. */
static bool printable_ok(const char *s)
{
    for (const char *c = s; *c; c++)
        if (*c < 32 || *c > 126)
            return false;
    return strlen(s) <= 300;
}

/* A rule whose question is one expression about l (the section's struct). */
#define ASK(name, type, expr)                                                          \
    static bool name(struct conf_parser *p, const struct conf_inst *in, size_t word)   \
    {                                                                                  \
        const struct type *l = in->data;                                               \
        (void)p;                                                                       \
        (void)l;                                                                       \
        (void)word;                                                                    \
        return (expr);                                                                 \
    }

/* The same row of the table twice: the second word alone would count. */
static bool row_again(struct conf_parser *p, const struct conf_inst *in, size_t word)
{
    const struct sp_conf_list *l = &LISTENER_OF(in)->header_rules;
    size_t n = strcspn(l->v[word], "=");

    (void)p;
    for (size_t i = 0; i < word; i++)
        if (strncmp(l->v[i], l->v[word], n + 1) == 0)
            return true;
    return false;
}

static const char *const shows_secret[] = {"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2",
                                           NULL};

static bool is_token(const char *s)
{
    return strcmp(s, "OAUTHBEARER") == 0 || strcmp(s, "XOAUTH2") == 0;
}

static bool is_ticket(const char *s)
{
    return strcmp(s, "GSSAPI") == 0;
}

static bool any_ticket_listener(struct conf_parser *p)
{
    for (const struct conf_inst *in = p->first[SP_CONF_LISTENER]; in; in = in->next) {
        const struct sp_conf_listener *l = in->data;

        for (size_t i = 0; i < l->auth_tls.n; i++)
            if (is_ticket(l->auth_tls.v[i]))
                return true;
        for (size_t i = 0; i < l->auth_clear.n; i++)
            if (is_ticket(l->auth_clear.v[i]))
                return true;
    }
    return false;
}

static bool any_reinjection(struct conf_parser *p)
{
    for (const struct conf_inst *in = p->first[SP_CONF_LISTENER]; in; in = in->next)
        if (LISTENER_OF(in)->type == SP_CONF_REINJECTION)
            return true;
    return false;
}

static bool any_token_listener(struct conf_parser *p)
{
    for (const struct conf_inst *in = p->first[SP_CONF_LISTENER]; in; in = in->next)
        for (size_t i = 0; i < LISTENER_OF(in)->auth_tls.n; i++)
            if (is_token(LISTENER_OF(in)->auth_tls.v[i]))
                return true;
    return false;
}

/* Tokens and our secret go there: https, or this machine. */
static bool safe_url(const char *url)
{
    static const char *const begins[] = {"https://", "http://127.0.0.1:", "http://127.0.0.1/",
                                         "http://[::1]:", "http://[::1]/"};

    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (strncmp(url, begins[i], strlen(begins[i])) == 0)
            return url[strlen(begins[i])] != '\0' && !strpbrk(url, " @#");
    return false;
}

/* Letters, digits and hyphens, dots between labels: what can stand in a DNS name. */
static bool dns_labels(const char *s)
{
    for (size_t label = 0;; s++) {
        bool end = *s == '.' || *s == '\0';

        if (end && (label == 0 || label > 63))
            return false;
        if (*s == '\0')
            return true;
        label = end ? 0 : label + 1;
        if (!end && !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *s))
            return false;
    }
}

static bool ldap_url(const char *url)
{
    return strncmp(url, "ldap://", 7) == 0 || strncmp(url, "ldaps://", 8) == 0 ||
           strncmp(url, "ldapi://", 8) == 0;
}

static bool loopback_url(const char *url)
{
    static const char *const hosts[] = {"127.", "[::1]", "localhost/", "localhost:"};

    url = strstr(url, "://") + 3;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (strncmp(url, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return strcmp(url, "localhost") == 0;
}

/* The fields of an account: the same list as in acct.c, which a test compares. */
static const char *const account_fields[] = {
    "name", "password", "scram-sha-256", "scram-sha-1", "address", "grant", "act-as",
    "enabled", "disabled", "message-size", "recipients", "sessions", "message-rate",
    "recipient-rate", "pin", "mechanisms", NULL};

static bool known_field(const char *text)
{
    const char *eq = strchr(text, '=');

    for (size_t i = 0; eq && eq[1] && account_fields[i]; i++)
        if (strlen(account_fields[i]) == (size_t)(eq - text) &&
            strncmp(text, account_fields[i], (size_t)(eq - text)) == 0)
            return true;
    return false;
}

static bool secret_field(const struct sp_conf_list *fields)
{
    for (size_t i = 0; i < fields->n; i++)
        if (strncmp(fields->v[i], "password=", 9) == 0 ||
            strncmp(fields->v[i], "scram-", 6) == 0)
            return true;
    return false;
}

/* $1 is there, and no other: anything else would not be bound to the name. */
static bool first_parameter_only(const char *query)
{
    bool any = false;

    for (const char *s = strchr(query, '$'); s; s = strchr(s + 1, '$')) {
        if (s[1] < '0' || s[1] > '9')
            continue;
        if (s[1] != '1' || (s[2] >= '0' && s[2] <= '9'))
            return false;
        any = true;
    }
    return any;
}

static bool any_sqlite(struct conf_parser *p)
{
    for (const struct conf_inst *in = p->first[SP_CONF_ACCOUNTS]; in; in = in->next)
        if (((const struct sp_conf_accounts *)in->data)->type == SP_CONF_ACCTS_SQLITE)
            return true;
    return false;
}

/* clang-format off */
ASK(late_warning, sp_conf, l->delay_warning_s && l->delay_warning_s >= l->queue_lifetime_s)
ASK(idle_keytab, sp_conf, l->gssapi_keytab && !any_ticket_listener(p))
ASK(net_local, sp_conf, l->local_socket.v[word].kind != SP_CONF_ADDR_UNIX)
ASK(open_metrics, sp_conf, !loopback(&l->metrics.v[word]))
ASK(long_socket, sp_conf, !l->control_socket || strlen(l->control_socket) > 107)

ASK(tls_no_cert, sp_conf_tls, !given(p, in, "certificate"))
ASK(tls_reserved, sp_conf_tls, !in->head->implied && strcmp(in->head->name, SP_CONF_SELF_SIGNED) == 0)

ASK(no_address, sp_conf_listener, l->address.n == 0)
ASK(local_not_unix, sp_conf_listener, l->type == SP_CONF_LOCAL && l->address.v[word].kind != SP_CONF_ADDR_UNIX)
ASK(unix_not_local, sp_conf_listener, l->type != SP_CONF_LOCAL && l->type != SP_CONF_REINJECTION && l->address.v[word].kind == SP_CONF_ADDR_UNIX)
ASK(clear_submission, sp_conf_listener, l->type == SP_CONF_SUBMISSION && l->tls == SP_CONF_NONE)
ASK(local_tls, sp_conf_listener, (l->type == SP_CONF_LOCAL || l->type == SP_CONF_REINJECTION) && l->tls != SP_CONF_NONE)
ASK(no_cert, sp_conf_listener, l->tls != SP_CONF_NONE && l->certificate.n == 0)
ASK(clear_secret, sp_conf_listener, is_in(l->auth_clear.v[word], shows_secret))
ASK(clear_tls_only, sp_conf_listener, ends_plus(l->auth_clear.v[word]) || strcmp(l->auth_clear.v[word], "EXTERNAL") == 0)
ASK(external_listed, sp_conf_listener, strcmp(l->auth_tls.v[word], "EXTERNAL") == 0)
ASK(login_without_certs, sp_conf_listener,
    given(p, in, "certificate-login") && l->certificate_login != SP_CONF_LOGIN_OFF &&
    l->client_certificates == SP_CONF_CERTS_OFF && !l->client_certificates_auto)
ASK(crl_without_ca, sp_conf_listener, l->client_crl && !l->client_ca)
ASK(domains_without_ca, sp_conf_listener, l->client_ca_domains.n && !l->client_ca)
ASK(names_without_ca, sp_conf_listener, l->send_ca_names && !l->client_ca)
ASK(no_proxies, sp_conf_listener, l->type == SP_CONF_PROXIED && l->proxies.n == 0)
ASK(proxies_of_none, sp_conf_listener, l->type != SP_CONF_PROXIED && (l->proxies.n || given(p, in, "proxy-protocol") || given(p, in, "xclient")))
ASK(silent_proxy, sp_conf_listener, l->type == SP_CONF_PROXIED && !l->proxy_protocol && l->xclient == SP_CONF_XCLIENT_OFF)
ASK(ca_but_off, sp_conf_listener, l->type != SP_CONF_LOCAL && l->type != SP_CONF_REINJECTION && l->client_ca && l->client_certificates == SP_CONF_CERTS_OFF)
ASK(required_without_ca, sp_conf_listener, l->client_certificates == SP_CONF_CERTS_REQUIRED && !l->client_ca)
ASK(short_idle, sp_conf_listener, given(p, in, "idle-timeout") && l->idle_timeout_s < 300)
ASK(few_recipients, sp_conf_listener, l->recipients_max < 500)
ASK(mutt_fails, sp_conf_listener, ends_plus(l->auth_tls.v[word]) || is_ticket(l->auth_tls.v[word]))
ASK(no_login, sp_conf_listener,
    l->type != SP_CONF_LOCAL && l->type != SP_CONF_REINJECTION && l->xclient != SP_CONF_XCLIENT_LOGIN && l->auth_tls.n == 0 && l->auth_clear.n == 0 &&
    (l->certificate_login == SP_CONF_LOGIN_OFF ||
     (l->client_certificates == SP_CONF_CERTS_OFF && !l->client_certificates_auto)))

ASK(no_match, sp_conf_route, l->match.n == 0)
ASK(no_to, sp_conf_route, !given(p, in, "to"))
ASK(reserved_route, sp_conf_route, !in->head->implied && strcmp(in->head->name, LOCAL_ROUTE) == 0)
ASK(no_host, sp_conf_route, given(p, in, "to") && l->to == SP_CONF_TO_SMARTHOST && l->host.n == 0)
ASK(no_lmtp, sp_conf_route, given(p, in, "to") && l->to == SP_CONF_TO_LMTP && l->lmtp.n == 0)
ASK(unix_smarthost, sp_conf_route, l->host.v[word].kind == SP_CONF_ADDR_UNIX)
ASK(clear_host, sp_conf_route, l->to == SP_CONF_TO_SMARTHOST && l->tls == SP_CONF_RTLS_NONE && !loopback(&l->host.v[word]))
ASK(clear_lmtp, sp_conf_route, l->to == SP_CONF_TO_LMTP && l->tls == SP_CONF_RTLS_NONE && !loopback(&l->lmtp.v[word]))
ASK(no_password, sp_conf_route, l->user && !l->password_file && !l->token_file && !l->token_command.n)
ASK(no_user, sp_conf_route, !l->user && l->password_file)
ASK(no_token_user, sp_conf_route, !l->user && l->token_file)
ASK(no_command_user, sp_conf_route, !l->user && l->token_command.n)
ASK(two_secrets, sp_conf_route, !!l->password_file + !!l->token_file + !!l->token_command.n > 1)
ASK(relative_command, sp_conf_route, l->token_command.n && l->token_command.v[0][0] != '/')
ASK(clear_password, sp_conf_route, l->to == SP_CONF_TO_SMARTHOST && l->user && l->tls == SP_CONF_RTLS_NONE)
ASK(key_alone, sp_conf_route, given(p, in, "client-key") && !l->client_certificate)
ASK(clear_certificate, sp_conf_route, l->to == SP_CONF_TO_SMARTHOST && l->client_certificate && l->tls == SP_CONF_RTLS_NONE)
ASK(login_alone, sp_conf_route, given(p, in, "certificate-login") && !l->client_certificate)
ASK(clear_check, sp_conf_route, l->tls == SP_CONF_RTLS_NONE && (l->tls_ca || l->tls_name || l->server_pin.n))
ASK(relative_aliases, sp_conf, l->alias_files.v[word][0] != '/')
ASK(odd_delimiter, sp_conf, strlen(l->recipient_delimiter.v[word]) != 1 || !strchr("+-=_.#!~", l->recipient_delimiter.v[word][0]))
ASK(no_command, sp_conf_route, given(p, in, "to") && l->to == SP_CONF_TO_PIPE && l->command.n == 0)
ASK(relative_program, sp_conf_route, l->command.n && l->command.v[0][0] != '/')
ASK(odd_run_as, sp_conf_route, l->run_as && strcmp(l->run_as, "%u") != 0 && !account_ok(l->run_as))
ASK(root_run_as, sp_conf_route, l->run_as && strcmp(l->run_as, "root") == 0)
ASK(mx_tls, sp_conf_route, l->to == SP_CONF_TO_MX && given(p, in, "tls") && l->tls != SP_CONF_RTLS_REQUIRED && l->tls != SP_CONF_RTLS_OPPORTUNISTIC)
ASK(odd_dns, sp_conf, l->dns_server && !dns_server_ok(l->dns_server))
ASK(odd_weight, sp_conf_route, !weight_ok(l->host_weights.v[word]))
ASK(few_weights, sp_conf_route, l->host_weights.n && l->host_weights.n != l->host.n)
ASK(odd_source, sp_conf_route, l->source_address && !literal_ok(l->source_address))
ASK(odd_reason, sp_conf_route, l->reason && !printable_ok(l->reason))
ASK(ticket_nobody, sp_conf_listener, is_ticket(l->auth_tls.v[word]) && !given(p, p->top, "gssapi-keytab"))
ASK(clear_ticket_nobody, sp_conf_listener, is_ticket(l->auth_clear.v[word]) && !given(p, p->top, "gssapi-keytab"))
ASK(token_nobody, sp_conf_listener, is_token(l->auth_tls.v[word]) && !p->first[SP_CONF_OAUTH])

ASK(no_decision, sp_conf_oauth, !l->keys && !l->introspection_url)
ASK(two_decisions, sp_conf_oauth, l->keys && l->introspection_url)
ASK(no_issuer, sp_conf_oauth, l->keys && !l->issuer)
ASK(no_audience, sp_conf_oauth, l->keys && !l->audience.n)
ASK(any_audience, sp_conf_oauth, l->introspection_url && !l->audience.n)
ASK(clear_endpoint, sp_conf_oauth, l->introspection_url && !safe_url(l->introspection_url))
ASK(hmac_alg, sp_conf_oauth, strncmp(l->algorithms.v[word], "HS", 2) == 0)
ASK(none_alg, sp_conf_oauth, strcmp(l->algorithms.v[word], "none") == 0)
ASK(no_alg, sp_conf_oauth, l->keys && !l->algorithms.n)
ASK(secret_alone, sp_conf_oauth, l->client_secret_file && !l->client_id)
ASK(keys_only, sp_conf_oauth, !l->introspection_url && (l->client_id || l->client_secret_file || l->tls_ca))
ASK(no_listener, sp_conf_oauth, !any_token_listener(p))
ASK(no_signer, sp_conf_dkim, !l->domain || !l->selector || !l->key)
ASK(odd_selector, sp_conf_dkim, l->selector && !dns_labels(l->selector))
ASK(far_reinjection, sp_conf_listener, l->type == SP_CONF_REINJECTION && !loopback(&l->address.v[word]))
ASK(filtered_twice, sp_conf_listener, l->type == SP_CONF_REINJECTION && (l->milters.n || l->policies.n || l->content_filter.n))
ASK(two_filters, sp_conf_listener, l->content_filter.n > 1)
ASK(no_filter_address, sp_conf_filter, l->address.n == 0)
ASK(far_filter, sp_conf_filter, !loopback(&l->address.v[word]))
ASK(filter_port, sp_conf_filter, l->address.v[word].kind != SP_CONF_ADDR_UNIX && l->address.v[word].port == 0)
ASK(no_way_back, sp_conf_filter, !any_reinjection(p))
ASK(no_milter_address, sp_conf_milter, l->address.n == 0)
ASK(milter_port, sp_conf_milter, l->address.v[word].kind != SP_CONF_ADDR_UNIX && l->address.v[word].port == 0)
ASK(no_policy_address, sp_conf_policy, l->address.n == 0)
ASK(policy_port, sp_conf_policy, l->address.v[word].kind != SP_CONF_ADDR_UNIX && l->address.v[word].port == 0)
ASK(one_maildir, sp_conf_route, l->to == SP_CONF_TO_MAILDIR && l->path && !strstr(l->path, "%u"))
ASK(no_accounts_type, sp_conf_accounts, !given(p, in, "type"))
ASK(no_path, sp_conf_accounts, l->type == SP_CONF_ACCTS_FILE && !l->path)
ASK(no_url, sp_conf_accounts, l->type == SP_CONF_ACCTS_LDAP && !l->url.n)
ASK(odd_url, sp_conf_accounts, !ldap_url(l->url.v[word]))
ASK(clear_ldap, sp_conf_accounts, !l->starttls && strncmp(l->url.v[word], "ldap://", 7) == 0 && !loopback_url(l->url.v[word]))
ASK(no_base, sp_conf_accounts, l->type == SP_CONF_ACCTS_LDAP && !l->base && !l->bind_template)
ASK(odd_field, sp_conf_accounts, !known_field(l->fields.v[word]))
ASK(template_attribute, sp_conf_accounts, l->bind_template && l->password_by == SP_CONF_BY_ATTRIBUTE)
ASK(no_secret_field, sp_conf_accounts, l->type == SP_CONF_ACCTS_LDAP && l->password_by == SP_CONF_BY_ATTRIBUTE && !secret_field(&l->fields))
ASK(no_connection, sp_conf_accounts, l->type == SP_CONF_ACCTS_POSTGRESQL && !l->connection)
ASK(no_query, sp_conf_accounts, l->type == SP_CONF_ACCTS_POSTGRESQL && !l->query)
ASK(one_parameter, sp_conf_accounts, l->query && !first_parameter_only(l->query))
ASK(one_pin, sp_conf_accounts, l->certificate_query && !first_parameter_only(l->certificate_query))
ASK(no_socket, sp_conf_accounts, l->type == SP_CONF_ACCTS_DOVECOT && !l->socket)
ASK(blind, sp_conf_accounts, in->next && (l->type == SP_CONF_ACCTS_PAM || (l->type == SP_CONF_ACCTS_DOVECOT && !l->user_socket) || (l->type == SP_CONF_ACCTS_LDAP && l->bind_template)))
ASK(two_local, sp_conf_accounts, l->local_rights && any_sqlite(p))
/* clang-format on */

static bool no_plus(struct conf_parser *p, const struct conf_inst *in, size_t word)
{
    const struct sp_conf_listener *l = in->data;

    (void)p;
    (void)word;
    for (size_t i = 0; i < l->auth_tls.n; i++)
        if (ends_plus(l->auth_tls.v[i]))
            return false;
    return l->require_binding;
}

static bool matches_all(const struct sp_conf_route *r)
{
    for (size_t i = 0; i < r->match.n; i++)
        if (r->match.v[i].kind == SP_CONF_MATCH_ALL)
            return true;
    return false;
}

/* ---- the rules ---- */

enum { EACH = 1, WARN = 2, LACK = 4 };

struct rule {
    enum sp_conf_section_id section;
    /* LACK: something is missing; not asked when the section could not be read whole. */
    int flags; /* EACH: asked for every word of key, the word begins the message */
    const char *key;     /* pointed at */
    const char *also[3]; /* other keys that it looks at */
    broken *broken;
    const char *message;
    const char *example;
    const char *help;
};

/* clang-format off */
static const struct rule rules[] = {
    {SP_CONF_TOP, WARN, "delay-warning", {"queue-lifetime"}, late_warning,
     "delay-warning is not shorter than queue-lifetime: nobody will get the notice",
     NULL, "delay-warning = 0s says so on purpose"},
    {SP_CONF_TOP, WARN, "gssapi-keytab", {NULL}, idle_keytab,
     "no listener offers logins by Kerberos ticket", "auth-tls = SCRAM-SHA-256 PLAIN LOGIN GSSAPI", NULL},
    {SP_CONF_TOP, EACH, "local-socket", {NULL}, net_local,
     "is no Unix socket; nobody can tell who comes over a network address",
     "local-socket = unix:/run/sallyport/submit", NULL},
    {SP_CONF_TOP, EACH, "metrics", {NULL}, open_metrics,
     "is not on this machine alone; the metrics are not for everybody, and there is no TLS",
     "metrics = 127.0.0.1:9587", "a proxy of your own can bring them to another machine"},
    {SP_CONF_TOP, 0, "data-directory", {"control-socket"}, long_socket,
     "the path of the control socket, control in this directory, has more than 107 octets",
     "control-socket = /run/sallyport/control", "the system allows no more for a socket; give it a place of its own"},

    {SP_CONF_TOP, EACH, "alias-files", {NULL}, relative_aliases,
     "is no absolute path", "alias-files = /etc/aliases", NULL},
    {SP_CONF_TOP, EACH, "recipient-delimiter", {NULL}, odd_delimiter,
     "is not one of + - = _ . # ! ~", "recipient-delimiter = +", NULL},

    {SP_CONF_TOP, 0, "dns-server", {NULL}, odd_dns,
     "this is no address of a resolver", "dns-server = 127.0.0.1@53", NULL},

    {SP_CONF_TLS, LACK, "certificate", {NULL}, tls_no_cert,
     "there is no certificate", "certificate = /etc/letsencrypt/live/mail.example.org/fullchain.pem", NULL},
    {SP_CONF_TLS, 0, NULL, {NULL}, tls_reserved,
     "this is the name of the built-in certificate", NULL, "choose another name"},

    {SP_CONF_LISTENER, LACK, "address", {NULL}, no_address,
     "there is no address to listen on", "address = *:587", NULL},
    {SP_CONF_LISTENER, EACH, "address", {"type"}, local_not_unix,
     "is a network address; with type = local it must be a Unix socket", "address = unix:/run/sallyport/submit", NULL},
    {SP_CONF_LISTENER, EACH, "address", {"type"}, unix_not_local,
     "is a Unix socket; only a listener with type = local can have one", "type = local", NULL},
    {SP_CONF_LISTENER, 0, "tls", {"type"}, clear_submission,
     "submission without TLS would show passwords and mail to everybody on the way",
     "tls = starttls", NULL},
    {SP_CONF_LISTENER, 0, "tls", {"type"}, local_tls,
     "there is no TLS with type = local or reinjection", "tls = none", "leave the key out"},
    {SP_CONF_LISTENER, LACK, "proxies", {"type"}, no_proxies,
     "with type = proxied it must be said who the proxies are", "proxies = 192.0.2.10", NULL},
    {SP_CONF_LISTENER, 0, "proxies", {"type", "proxy-protocol", "xclient"}, proxies_of_none,
     "proxies, proxy-protocol and xclient mean something with type = proxied only", "type = proxied", NULL},
    {SP_CONF_LISTENER, WARN, "proxy-protocol", {"type", "xclient"}, silent_proxy,
     "neither proxy-protocol nor xclient: every client will have the proxy's address", NULL, NULL},
    {SP_CONF_LISTENER, 0, "certificate", {"tls", "type"}, no_cert,
     "TLS needs a certificate, and this listener has none", "certificate = main",
     "leave the key out to have all tls sections, or the self-signed one where there is none"},
    {SP_CONF_LISTENER, EACH, "auth-clear", {NULL}, clear_secret,
     "shows the secret to everybody on the way; it is never offered before TLS",
     "auth-clear = SCRAM-SHA-256", "take it out; inside TLS it is offered by auth-tls"},
    {SP_CONF_LISTENER, EACH, "auth-clear", {NULL}, clear_tls_only,
     "works only inside TLS", "auth-clear = SCRAM-SHA-256", NULL},
    {SP_CONF_LISTENER, EACH, "auth-tls", {NULL}, external_listed,
     "is not written here: it is offered by itself to a client with a good certificate",
     NULL, "take it out; certificate-login and auth-list-with-certificate decide about it"},
    {SP_CONF_LISTENER, 0, "certificate-login", {"client-certificates"}, login_without_certs,
     "with client-certificates = off no client is asked for a certificate",
     "client-certificates = optional", NULL},
    {SP_CONF_LISTENER, 0, "client-crl", {"client-ca"}, crl_without_ca,
     "client-crl needs client-ca: without it there is nothing to revoke", "client-ca = /etc/sallyport/client-ca.pem", NULL},
    {SP_CONF_LISTENER, 0, "client-ca-domains", {"client-ca"}, domains_without_ca,
     "client-ca-domains needs client-ca: without it no authority vouches for anybody", "client-ca = /etc/sallyport/client-ca.pem", NULL},
    {SP_CONF_LISTENER, WARN, "send-ca-names", {"client-ca"}, names_without_ca,
     "send-ca-names has no effect without client-ca", NULL, NULL},
    {SP_CONF_LISTENER, WARN, "client-ca", {"client-certificates", "type"}, ca_but_off,
     "client-ca has no effect with client-certificates = off", NULL, NULL},
    {SP_CONF_LISTENER, WARN, "client-certificates", {"client-ca"}, required_without_ca,
     "certificates are required but there is no client-ca: only pinned ones will be good", NULL, NULL},
    {SP_CONF_LISTENER, 0, "require-binding", {"auth-tls"}, no_plus,
     "require-binding needs a mechanism that can be bound to TLS in auth-tls",
     "auth-tls = SCRAM-SHA-256-PLUS SCRAM-SHA-256", NULL},
    {SP_CONF_LISTENER, WARN, "idle-timeout", {NULL}, short_idle,
     "idle-timeout is less than 5m: RFC 5321 asks for more, and slow clients will fail", NULL, NULL},
    {SP_CONF_LISTENER, WARN, "recipients-max", {NULL}, few_recipients,
     "recipients-max is less than 500: mailing list managers send that many at a time", NULL, NULL},
    {SP_CONF_LISTENER, WARN | EACH, "auth-tls", {NULL}, mutt_fails,
     "makes mutt and NeoMutt fail: they choose it when it is listed and then cannot do it", NULL, NULL},
    {SP_CONF_LISTENER, WARN, "auth-tls", {"auth-clear", "certificate-login", "client-certificates"}, no_login,
     "nobody can log in here: no mechanism and no certificate counts", NULL, NULL},
    {SP_CONF_LISTENER, EACH, "auth-tls", {NULL}, token_nobody,
     "needs an oauth section that says whose tokens are good",
     "oauth main {", "add the section, or take the mechanism out"},
    {SP_CONF_LISTENER, EACH, "auth-tls", {NULL}, ticket_nobody,
     "needs gssapi-keytab, the key table with which tickets are judged",
     "gssapi-keytab = /etc/sallyport/smtp.keytab", "add it at the top, or take the mechanism out"},
    {SP_CONF_LISTENER, EACH, "auth-clear", {NULL}, clear_ticket_nobody,
     "needs gssapi-keytab, the key table with which tickets are judged",
     "gssapi-keytab = /etc/sallyport/smtp.keytab", "add it at the top, or take the mechanism out"},

    {SP_CONF_LISTENER, EACH | WARN, "header-rules", {NULL}, row_again,
     "is about a row that was written before; the last one counts", NULL, "take one of them out"},

    {SP_CONF_ROUTE, 0, NULL, {NULL}, reserved_route,
     "this is the name of the built-in route for local-domains", NULL, "choose another name"},
    {SP_CONF_ROUTE, LACK, "match", {NULL}, no_match,
     "it does not say which mail it is for", "match = *", NULL},
    {SP_CONF_ROUTE, LACK, "to", {NULL}, no_to,
     "it does not say what happens to the mail", "to = smarthost", NULL},
    {SP_CONF_ROUTE, LACK, "host", {"to"}, no_host,
     "a smart host is wanted, but no host is given", "host = mx.example.org:587", NULL},
    {SP_CONF_ROUTE, LACK, "lmtp", {"to"}, no_lmtp,
     "delivery by LMTP is wanted, but not said where to", "lmtp = unix:/run/dovecot/lmtp", NULL},
    {SP_CONF_ROUTE, EACH, "host", {NULL}, unix_smarthost,
     "is a Unix socket; that is possible with to = lmtp only", NULL, NULL},
    {SP_CONF_ROUTE, EACH, "host", {"tls", "to"}, clear_host,
     "is not on this machine; without TLS everybody on the way could read the mail", "tls = required", NULL},
    {SP_CONF_ROUTE, EACH, "lmtp", {"tls", "to"}, clear_lmtp,
     "is not on this machine; without TLS everybody on the way could read the mail", "tls = required", NULL},
    {SP_CONF_ROUTE, 0, "user", {"password-file", "token-file", "token-command"}, no_password,
     "a user needs a password or a token", "password-file = /etc/sallyport/smarthost.password", NULL},
    {SP_CONF_ROUTE, 0, "password-file", {"user"}, no_user,
     "a password needs a user", "user = alice@example.org", NULL},
    {SP_CONF_ROUTE, 0, "token-file", {"user"}, no_token_user,
     "a token needs a user", "user = alice@example.org", NULL},
    {SP_CONF_ROUTE, 0, "token-command", {"user"}, no_command_user,
     "a token needs a user", "user = alice@example.org", NULL},
    {SP_CONF_ROUTE, 0, "user", {"password-file", "token-file", "token-command"}, two_secrets,
     "only one of password-file, token-file and token-command is possible", NULL, "take the others out"},
    {SP_CONF_ROUTE, 0, "token-command", {NULL}, relative_command,
     "the program needs an absolute path: there is no shell to look for it",
     "token-command = /usr/local/bin/get-token alice@example.org", NULL},
    {SP_CONF_ROUTE, 0, "user", {"tls", "to"}, clear_password,
     "a password is never sent in clear, and tls is none", "tls = required", NULL},
    {SP_CONF_ROUTE, 0, "client-key", {"client-certificate"}, key_alone,
     "client-key needs client-certificate", "client-certificate = /etc/sallyport/client.pem", NULL},
    {SP_CONF_ROUTE, 0, "client-certificate", {"tls", "to"}, clear_certificate,
     "a certificate cannot be shown without TLS, and tls is none", "tls = required", NULL},
    {SP_CONF_ROUTE, 0, "certificate-login", {"client-certificate"}, login_alone,
     "certificate-login needs client-certificate", "client-certificate = /etc/sallyport/client.pem", NULL},
    {SP_CONF_ROUTE, 0, "tls", {"tls-ca", "tls-name", "server-pin"}, clear_check,
     "tls-ca, tls-name and server-pin have nothing to check with tls = none", "tls = required", NULL},
    {SP_CONF_ROUTE, LACK, "command", {"to"}, no_command,
     "a command is wanted, but none is given", "command = /usr/bin/procmail -d %u", NULL},
    {SP_CONF_ROUTE, 0, "command", {NULL}, relative_program,
     "the program needs an absolute path: there is no shell to look for it",
     "command = /usr/bin/procmail -d %u", NULL},
    {SP_CONF_ROUTE, 0, "run-as", {NULL}, odd_run_as,
     "this is not the name of a system user", "run-as = vmail", NULL},
    {SP_CONF_ROUTE, 0, "run-as", {NULL}, root_run_as,
     "no command is ever run as root", "run-as = vmail", NULL},
    {SP_CONF_ROUTE, 0, "tls", {"to"}, mx_tls,
     "mail exchanges are asked for STARTTLS, required or opportunistic", "tls = opportunistic", NULL},
    {SP_CONF_ROUTE, EACH, "host-weights", {NULL}, odd_weight,
     "is not a number from 1 to 1000", "host-weights = 3 1", NULL},
    {SP_CONF_ROUTE, 0, "host-weights", {"host"}, few_weights,
     "there must be one weight for each host", "host-weights = 3 1", NULL},
    {SP_CONF_ROUTE, 0, "source-address", {NULL}, odd_source,
     "this is no address", "source-address = 192.0.2.25", NULL},
    {SP_CONF_ROUTE, 0, "reason", {NULL}, odd_reason,
     "the words must be ASCII, and at most 300 octets", "reason = \"this mailbox was closed\"", NULL},
    {SP_CONF_ROUTE, WARN, "path", {"to"}, one_maildir,
     "there is no %u in it: the mail of all users goes to one Maildir", NULL, NULL},

    {SP_CONF_OAUTH, LACK, "keys", {"introspection-url"}, no_decision,
     "it does not say how a token is judged: by keys or by introspection-url",
     "keys = /etc/sallyport/issuer.jwks", NULL},
    {SP_CONF_OAUTH, 0, "introspection-url", {"keys"}, two_decisions,
     "a token is judged either by keys or by introspection-url", NULL,
     "take one of them out, or make two sections"},
    {SP_CONF_OAUTH, LACK, "issuer", {"keys"}, no_issuer,
     "keys without issuer would believe any token signed with them", "issuer = https://id.example.org", NULL},
    {SP_CONF_OAUTH, LACK, "audience", {"keys"}, no_audience,
     "keys without audience would believe tokens made for other services", "audience = mail.example.org", NULL},
    {SP_CONF_OAUTH, WARN, "introspection-url", {"audience"}, any_audience,
     "without audience a token made for another service is a login here, too", "audience = mail.example.org", NULL},
    {SP_CONF_OAUTH, 0, "introspection-url", {NULL}, clear_endpoint,
     "this is no https:// address (http:// is for 127.0.0.1 and [::1] only)",
     "introspection-url = https://id.example.org/introspect", "tokens and our secret are sent there"},
    {SP_CONF_OAUTH, EACH, "algorithms", {NULL}, none_alg,
     "means no signature: everybody could make tokens", "algorithms = RS256 ES256", NULL},
    {SP_CONF_OAUTH, EACH, "algorithms", {NULL}, hmac_alg,
     "has one secret for making and for checking tokens; only public keys are possible",
     "algorithms = RS256 ES256", NULL},
    {SP_CONF_OAUTH, 0, "algorithms", {"keys"}, no_alg,
     "without an algorithm no token is good", "algorithms = RS256 ES256", NULL},
    {SP_CONF_OAUTH, 0, "client-secret-file", {"client-id"}, secret_alone,
     "a secret needs a client-id", "client-id = sallyport", NULL},
    {SP_CONF_OAUTH, WARN, "keys", {"client-id", "client-secret-file", "tls-ca"}, keys_only,
     "client-id, client-secret-file and tls-ca have no effect without introspection-url", NULL, NULL},
    {SP_CONF_OAUTH, WARN, NULL, {NULL}, no_listener,
     "no listener offers logins by token", "auth-tls = SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2", NULL},

    {SP_CONF_DKIM, LACK, "key", {"domain", "selector"}, no_signer,
     "a signature needs domain, selector and key", "key = /etc/sallyport/dkim/2026.pem",
     "sallyport cert dkim makes a key and prints the DNS record"},
    {SP_CONF_MILTER, LACK, "address", {NULL}, no_milter_address,
     "there is no address to connect to", "address = 127.0.0.1:8891", NULL},
    {SP_CONF_MILTER, EACH, "address", {NULL}, milter_port,
     "has no port", "address = 127.0.0.1:8891", "milters have no usual one; the milter's own configuration says it"},
    {SP_CONF_POLICY, LACK, "address", {NULL}, no_policy_address,
     "there is no address to connect to", "address = 127.0.0.1:10023", NULL},
    {SP_CONF_POLICY, EACH, "address", {NULL}, policy_port,
     "has no port", "address = 127.0.0.1:10023", "policy services have no usual one"},
    {SP_CONF_LISTENER, EACH, "address", {"type"}, far_reinjection,
     "can be reached from other machines; whoever reaches a reinjection listener sends mail as anybody",
     "address = 127.0.0.1:10025", NULL},
    {SP_CONF_LISTENER, 0, "type", {"milters", "policies", "content-filter"}, filtered_twice,
     "what comes back from a filter is not filtered again", "milters =", "leave milters, policies and content-filter out"},
    {SP_CONF_LISTENER, 0, "content-filter", {NULL}, two_filters,
     "mail goes through one content filter", "content-filter = amavis", "a filter can hand mail to the next one by itself"},
    {SP_CONF_FILTER, LACK, "address", {NULL}, no_filter_address,
     "there is no address to connect to", "address = 127.0.0.1:10024", NULL},
    {SP_CONF_FILTER, EACH, "address", {NULL}, far_filter,
     "is not on this machine, and mail goes there in clear", "address = 127.0.0.1:10024", NULL},
    {SP_CONF_FILTER, EACH, "address", {NULL}, filter_port,
     "has no port", "address = 127.0.0.1:10024", NULL},
    {SP_CONF_FILTER, WARN, NULL, {NULL}, no_way_back,
     "no listener has type = reinjection: mail cannot come back by one", NULL, "listener reinjection { ... } with address = 127.0.0.1:10025"},
    {SP_CONF_DKIM, 0, "selector", {NULL}, odd_selector,
     "this is no name for DNS: letters, digits, hyphens, with dots between labels", "selector = s2026", NULL},
    {SP_CONF_ACCOUNTS, LACK, "type", {NULL}, no_accounts_type,
     "it does not say what holds the accounts", "type = ldap", NULL},
    {SP_CONF_ACCOUNTS, LACK, "path", {"type"}, no_path, "a file needs its path", "path = /etc/sallyport/passwd", NULL},
    {SP_CONF_ACCOUNTS, LACK, "url", {"type"}, no_url,
     "a directory needs its address", "url = ldaps://ldap.example.org", NULL},
    {SP_CONF_ACCOUNTS, EACH, "url", {NULL}, odd_url,
     "is no address of a directory: ldap://, ldaps:// or ldapi://", "url = ldaps://ldap.example.org", NULL},
    {SP_CONF_ACCOUNTS, EACH | WARN, "url", {"starttls"}, clear_ldap,
     "is asked without TLS: passwords cross the network in clear", "url = ldaps://ldap.example.org",
     "starttls = yes, or ldaps://"},
    {SP_CONF_ACCOUNTS, LACK, "base", {"type", "bind-template"}, no_base,
     "a search needs to know where it begins", "base = ou=people,dc=example,dc=org", NULL},
    {SP_CONF_ACCOUNTS, EACH, "fields", {NULL}, odd_field,
     "is no FIELD=ATTRIBUTE with a field that accounts have", "fields = name=uid address=mail", NULL},
    {SP_CONF_ACCOUNTS, 0, "password-by", {"bind-template"}, template_attribute,
     "with bind-template the directory judges the password", NULL, "leave one of them out"},
    {SP_CONF_ACCOUNTS, 0, "password-by", {"fields", "type"}, no_secret_field,
     "fields does not say where the password's hash is", "fields = name=uid address=mail password=userPassword", NULL},
    {SP_CONF_ACCOUNTS, LACK, "connection", {"type"}, no_connection,
     "a database needs its connection", "connection = \"host=/run/postgresql dbname=mail\"", NULL},
    {SP_CONF_ACCOUNTS, LACK, "query", {"type"}, no_query,
     "a database needs the query that finds an account", "query = \"SELECT name, password FROM users WHERE name = $1\"", NULL},
    {SP_CONF_ACCOUNTS, 0, "query", {NULL}, one_parameter,
     "the name must come in as $1, and there is no other parameter", "query = \"SELECT name, password FROM users WHERE name = $1\"",
     "without quotes around it: it is a parameter, not text"},
    {SP_CONF_ACCOUNTS, 0, "certificate-query", {NULL}, one_pin,
     "the key must come in as $1, and there is no other parameter", "certificate-query = \"SELECT name FROM pins WHERE spki = $1\"", NULL},
    {SP_CONF_ACCOUNTS, LACK, "socket", {"type"}, no_socket,
     "Dovecot needs its socket for logins", "socket = /run/dovecot/auth-client", NULL},
    {SP_CONF_ACCOUNTS, 0, "type", {"user-socket", "bind-template"}, blind,
     "this one cannot say whom it knows, only whether a password is right: sections behind it would never be asked", NULL,
     "put it last; Dovecot with user-socket and LDAP with a search can stand anywhere"},
    {SP_CONF_ACCOUNTS, WARN, "local-rights", {"type"}, two_local,
     "users.db decides about its accounts by itself where type = sqlite is asked before", NULL,
     "take the section with type = sqlite out"},
};

/* Keys that mean nothing with one value of another key. */
static const struct {
    enum sp_conf_section_id section;
    const char *key, *why; /* of the decision */
    unsigned mask;         /* values of it that give the keys a meaning */
    const char *keys[17];
} useless[] = {
    {SP_CONF_LISTENER, "type", "with type = local", 1u << SP_CONF_SUBMISSION | 1u << SP_CONF_PROXIED,
     {"certificate", "client-certificates", "client-ca", "client-crl", "client-ca-domains", "send-ca-names",
      "certificate-login", "auth-list-with-certificate", "auth-clear", "auth-tls", "require-binding",
      "lenient-ehlo", "legacy-auth-line", "lenient-path", "tls-min"}},
    {SP_CONF_ROUTE, "to", "unless to = smarthost", 1u << SP_CONF_TO_SMARTHOST,
     {"host", "host-weights", "user", "password-file", "token-file", "token-command", "client-certificate", "client-key",
      "certificate-login"}},
    {SP_CONF_ROUTE, "to", "unless to = lmtp", 1u << SP_CONF_TO_LMTP, {"lmtp"}},
    {SP_CONF_ROUTE, "to", "unless to = smarthost or lmtp",
     1u << SP_CONF_TO_SMARTHOST | 1u << SP_CONF_TO_LMTP, {"tls-name", "server-pin"}},
    {SP_CONF_ROUTE, "to", "unless to = smarthost, lmtp or mx",
     1u << SP_CONF_TO_SMARTHOST | 1u << SP_CONF_TO_LMTP | 1u << SP_CONF_TO_MX,
     {"tls", "tls-ca", "connection-reuse", "concurrency-start", "destination-rate", "ehlo-name", "source-address"}},
    {SP_CONF_ROUTE, "to", "unless to = mx", 1u << SP_CONF_TO_MX, {"mx-port", "address-literals", "mta-sts", "mta-sts-ca", "mta-sts-timeout"}},
    {SP_CONF_ROUTE, "to", "unless to = maildir", 1u << SP_CONF_TO_MAILDIR, {"path"}},
    {SP_CONF_ROUTE, "to", "unless to = pipe", 1u << SP_CONF_TO_PIPE, {"command", "command-timeout", "run-as"}},
    {SP_CONF_ROUTE, "to", "unless to = bounce", 1u << SP_CONF_TO_BOUNCE, {"reason"}},
    {SP_CONF_ACCOUNTS, "type", "with type = sqlite", ~(1u << SP_CONF_ACCTS_SQLITE),
     {"domain", "local-rights", "believe", "timeout", "connections", "scram-iterations"}},
    {SP_CONF_ACCOUNTS, "type", "unless type = file", 1u << SP_CONF_ACCTS_FILE, {"path"}},
    {SP_CONF_ACCOUNTS, "type", "unless type = ldap", 1u << SP_CONF_ACCTS_LDAP,
     {"url", "starttls", "tls-ca", "bind-dn", "base", "filter", "certificate-filter", "bind-template", "password-by", "fields"}},
    {SP_CONF_ACCOUNTS, "type", "unless type = ldap or postgresql",
     1u << SP_CONF_ACCTS_LDAP | 1u << SP_CONF_ACCTS_POSTGRESQL, {"password-file"}},
    {SP_CONF_ACCOUNTS, "type", "unless type = pam", 1u << SP_CONF_ACCTS_PAM, {"service", "service-directory"}},
    {SP_CONF_ACCOUNTS, "type", "unless type = postgresql", 1u << SP_CONF_ACCTS_POSTGRESQL,
     {"connection", "query", "certificate-query"}},
    {SP_CONF_ACCOUNTS, "type", "unless type = dovecot", 1u << SP_CONF_ACCTS_DOVECOT,
     {"socket", "user-socket", "pass-through"}},
};
/* clang-format on */

const char *conf_rule_words(size_t i)
{
    return i < sizeof rules / sizeof rules[0] ? rules[i].message : NULL;
}

static void judge(struct conf_parser *p, const struct rule *r,
                  const struct conf_inst *in)
{
    unsigned bit = r->key ? conf_bit(p->tables, key_of(p, in, r->key)) : 0;
    size_t n = r->flags & EACH ? in->n_words[bit] : 1;

    /* With EACH the words that were refused are not there, the others are judged. */
    if ((r->key && !(r->flags & EACH) && bad(p, in, r->key)) ||
        (r->flags & LACK && in->broken))
        return;
    for (size_t i = 0; i < 3 && r->also[i]; i++)
        if (bad(p, in, r->also[i]))
            return;
    for (size_t i = 0; i < n && !p->full; i++) {
        const char *word = "";

        if (!r->broken(p, in, i))
            continue;
        if (r->flags & EACH) {
            struct conf_pos pos = in->word[bit][i];

            word = conf_fmt(
                p, "%s: %s ", r->key,
                conf_quote(
                    p, (struct sp_str){p->text.p + pos.line_start + pos.at, pos.len}));
        }
        conf_note(p,
                  &(struct conf_note){
                      .warning = (r->flags & WARN) != 0,
                      .pos = where(p, in, r->key, r->flags & EACH ? (long)i : -1),
                      .example = r->example,
                      .help = r->help},
                  "%s%s%s", prefix(p, in), word, r->message);
    }
}

static void judge_useless(struct conf_parser *p, const struct conf_inst *in)
{
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        int value;

        if (useless[i].section != in->id || bad(p, in, useless[i].key))
            continue;
        if (in->id == SP_CONF_ROUTE && !given(p, in, useless[i].key))
            continue;
        memcpy(&value, (const char *)in->data + key_of(p, in, useless[i].key)->offset,
               sizeof value);
        if (useless[i].mask >> value & 1)
            continue;
        for (const char *const *k = useless[i].keys; *k; k++)
            if (given(p, in, *k))
                conf_note(p,
                          &(struct conf_note){.pos = where(p, in, *k, -1),
                                              .help = "take it out"},
                          "%s%s has no meaning %s", prefix(p, in), *k, useless[i].why);
    }
}

/* ---- rules about several sections ---- */

struct taken {
    const char *text; /* canonical; every address of the machine as `*:port` */
    const struct conf_inst *in;
    struct conf_pos pos;
};

static int by_address(const void *a, const void *b)
{
    const struct taken *x = a, *y = b;
    int d = strcmp(x->text, y->text);

    if (d)
        return d;
    if (x->pos.line != y->pos.line)
        return x->pos.line < y->pos.line ? -1 : 1;
    return (x->pos.at > y->pos.at) - (x->pos.at < y->pos.at);
}

static void judge_addresses(struct conf_parser *p)
{
    size_t n = 0, all = 0;
    struct taken *t;

    for (struct conf_inst *in = p->first[SP_CONF_LISTENER]; in; in = in->next)
        all += LISTENER_OF(in)->address.n;
    t = sp_arena_alloc(&p->scratch, all * sizeof *t);
    if (!t) {
        p->full = true;
        return;
    }
    for (struct conf_inst *in = p->first[SP_CONF_LISTENER]; in; in = in->next)
        for (size_t i = 0; i < LISTENER_OF(in)->address.n; i++) {
            const struct sp_conf_addr *a = &LISTENER_OF(in)->address.v[i];
            bool any = strcmp(a->host, "0.0.0.0") == 0 || strcmp(a->host, "::") == 0;

            t[n].text = any ? conf_text(p, "*:%u", (unsigned)a->port) : a->text;
            t[n].in = in;
            t[n++].pos = where(p, in, "address", (long)i);
        }
    qsort(t, n, sizeof *t, by_address);
    for (size_t i = 1; i < n; i++)
        if (strcmp(t[i].text, t[i - 1].text) == 0)
            conf_note(p,
                      &(struct conf_note){
                          .pos = t[i].pos,
                          .help = conf_fmt(p, "it is taken on line %u already",
                                           (unsigned)t[i - 1].pos.line)},
                      "%stwo listeners on the same address %s", prefix(p, t[i].in),
                      t[i].text);
}

static void judge_order(struct conf_parser *p)
{
    const struct conf_inst *all = NULL;

    for (const struct conf_inst *in = p->first[SP_CONF_ROUTE]; in; in = in->next) {
        if (in->head->implied)
            continue;
        if (all)
            conf_note(
                p,
                &(struct conf_note){.warning = true,
                                    .pos = in->open,
                                    .help = conf_fmt(p, "move it in front of line %u",
                                                     (unsigned)all->open.line)},
                "%sno mail gets here: route \"%s\" takes everything", prefix(p, in),
                all->head->name);
        if (!all && matches_all(ROUTE_OF(in)))
            all = in;
    }
}

/* A certificate word that names a tls section that is not there. */
static void unknown_tls(struct conf_parser *p, const struct conf_inst *in, size_t i)
{
    const char *word = LISTENER_OF(in)->certificate.v[i];
    struct conf_nearest near = {.want = sp_str(word)};

    for (struct conf_inst *t = p->first[SP_CONF_TLS]; t && !conf_crowded(p->errs);
         t = t->next)
        conf_near(&near, t->head->name);
    conf_note(
        p,
        &(struct conf_note){
            .pos = where(p, in, "certificate", (long)i),
            .help = near.best
                        ? conf_fmt(p, "did you mean \"%s\"?", near.best)
                        : conf_fmt(p, "a file is written with a slash: ./%s", word)},
        "%sthere is no tls section %s", prefix(p, in), conf_quote(p, sp_str(word)));
}

/* Words of a listener that name sections of another kind. */
static void unknown_filters(struct conf_parser *p, const struct conf_inst *in, const char *key,
                            const struct sp_conf_list *l, enum sp_conf_section_id id)
{
    for (size_t i = 0; i < l->n && !conf_crowded(p->errs); i++) {
        struct conf_nearest near = {.want = sp_str(l->v[i])};

        if (conf_section_named(p, id, sp_str(l->v[i])))
            continue;
        for (struct conf_inst *t = p->first[id]; t; t = t->next)
            conf_near(&near, t->head->name);
        conf_note(p,
                  &(struct conf_note){
                      .pos = where(p, in, key, (long)i),
                      .help = near.best ? conf_fmt(p, "did you mean \"%s\"?", near.best) : NULL},
                  "%sthere is no %s section %s", prefix(p, in), sp_conf_section(id)->name,
                  conf_quote(p, sp_str(l->v[i])));
    }
}

/* ---- what was left out ---- */

/* The system's name, if it can be used as one. */
static void default_hostname(struct conf_parser *p)
{
    char name[256] = "";

    if (gethostname(name, sizeof name - 1) < 0 || !conf_domain_ok(sp_str(name)))
        memcpy(name, "localhost", 10);
    conf_put_text(p, p->top, key_of(p, p->top, "hostname"), name);
}

static void put(struct conf_parser *p, struct conf_inst *in, const char *key,
                const char *text)
{
    conf_put_text(p, in, key_of(p, in, key), text);
}

static void table_defaults(struct conf_parser *p, struct conf_inst *in)
{
    const struct sp_conf_key *k = p->tables->keys;

    for (size_t i = 0; i < p->tables->n_keys && !p->full; i++, k++)
        if (k->section == in->id && k->def && !k->deprecated_by &&
            (!given(p, in, k->name) || (bad(p, in, k->name) && !conf_is_list(k->type))))
            conf_put_text(p, in, k, k->def);
}

/* A domain whose mail stays here, for there is always a postmaster (RFC 5321 4.5.1): the host's
 * own name, but where that is none of them, the first. */
static const char *own_domain(const struct sp_conf *c)
{
    for (size_t i = 0; i < c->local_domains.n; i++)
        if (strcasecmp(c->local_domains.v[i], c->hostname) == 0)
            return c->hostname;
    return c->local_domains.n && isalnum((unsigned char)*c->local_domains.v[0])
               ? c->local_domains.v[0]
               : c->hostname;
}

static void top_defaults(struct conf_parser *p)
{
    struct sp_conf *c = p->conf;

    table_defaults(p, p->top);
    if (!c->hostname)
        default_hostname(p);
    if (p->full || !c->hostname || !c->data_directory)
        return;
    if (!given(p, p->top, "local-domains"))
        put(p, p->top, "local-domains", c->hostname);
    if (!c->postmaster)
        put(p, p->top, "postmaster", conf_text(p, "postmaster@%s", own_domain(c)));
    if (strcmp(c->data_directory, SP_CONF_DATA_DIRECTORY) == 0) {
        if (!given(p, p->top, "local-socket"))
            put(p, p->top, "local-socket", "unix:/run/sallyport/submit");
        if (!c->outbox)
            put(p, p->top, "outbox", "/var/spool/sallyport");
    }
    /* Too long a path is the rule's to say, which can point at data-directory. */
    if (!c->control_socket && strlen(c->data_directory) + strlen("/control") <= 107)
        put(p, p->top, "control-socket", conf_text(p, "%s/control", c->data_directory));
}

static void default_certificates(struct conf_parser *p, struct conf_inst *in)
{
    struct conf_inst *t = p->first[SP_CONF_TLS];

    for (; t && !p->full; t = t->next)
        if (!t->head->implied)
            put(p, in, "certificate", t->head->name);
    if (LISTENER_OF(in)->certificate.n == 0)
        put(p, in, "certificate", SP_CONF_SELF_SIGNED);
}

/* The CA that `sallyport cert` keeps comes with a list, and a revocation that nobody
 * looks at would be worse than none. */
static void default_crl(struct conf_parser *p, struct conf_inst *in)
{
    const struct sp_conf_listener *l = in->data;
    size_t n = strlen(p->conf->data_directory);

    if (l->client_ca && strncmp(l->client_ca, p->conf->data_directory, n) == 0 &&
        strcmp(l->client_ca + n, "/ca/ca.pem") == 0)
        put(p, in, "client-crl", conf_text(p, "%s/ca/crl.pem", p->conf->data_directory));
}

static void all_of(struct conf_parser *p, struct conf_inst *in, const char *key,
                   enum sp_conf_section_id id)
{
    for (struct conf_inst *t = p->first[id]; t && !p->full; t = t->next)
        put(p, in, key, t->head->name);
}

static void default_filters(struct conf_parser *p, struct conf_inst *in)
{
    if (!given(p, in, "milters"))
        all_of(p, in, "milters", SP_CONF_MILTER);
    if (!given(p, in, "policies"))
        all_of(p, in, "policies", SP_CONF_POLICY);
    if (!given(p, in, "content-filter") && p->first[SP_CONF_FILTER])
        put(p, in, "content-filter", p->first[SP_CONF_FILTER]->head->name);
}

static void listener_defaults(struct conf_parser *p, struct conf_inst *in)
{
    struct sp_conf_listener *l = in->data;

    table_defaults(p, in);
    if (!given(p, in, "tls"))
        l->tls = l->type == SP_CONF_LOCAL || l->type == SP_CONF_REINJECTION ? SP_CONF_NONE
                                                                            : SP_CONF_STARTTLS;
    if (!given(p, in, "certificate") && l->tls != SP_CONF_NONE)
        default_certificates(p, in);
    if (!given(p, in, "message-size"))
        /* What a filter adds must not make its mail too large to come back. */
        l->message_size = p->conf->message_size + (l->type == SP_CONF_REINJECTION ? 1 << 20 : 0);
    if (!given(p, in, "client-crl"))
        default_crl(p, in);
    if (l->type != SP_CONF_REINJECTION) /* what comes back ends the loop */
        default_filters(p, in);
    l->client_certificates_auto =
        !given(p, in, "client-certificates") && l->tls != SP_CONF_NONE;
    if (l->client_certificates_auto)
        l->client_certificates =
            l->client_ca ? SP_CONF_CERTS_OPTIONAL : SP_CONF_CERTS_OFF;
}

static void tls_defaults(struct conf_parser *p, struct conf_inst *in)
{
    struct sp_conf_tls *t = in->data;

    table_defaults(p, in);
    if (!t->key)
        t->key = t->certificate;
}

/* The canonical text again, after the port was filled in. */
static void fill_ports(struct conf_parser *p, struct sp_conf_addrs *l, uint16_t port)
{
    for (size_t i = 0; i < l->n; i++) {
        struct sp_conf_addr *a =
            (struct sp_conf_addr *)&l->v[i]; /* still ours to write */
        char text[300];
        struct sp_buf b;

        if (a->kind == SP_CONF_ADDR_UNIX || a->port)
            continue;
        a->port = port;
        sp_buf_init(&b, sizeof text);
        if (sp_buf_printf(&b, "%s:%u", a->text, (unsigned)port) == 0)
            a->text = sp_arena_strndup(p->arena, b.p, b.n);
        sp_buf_free(&b);
        if (!a->text) {
            a->text = "";
            p->full = true;
        }
    }
}

/* mail/%d/%u in the data directory, whose own % must not count. */
static const char *default_path(struct conf_parser *p)
{
    struct sp_buf b;
    const char *s = NULL;
    int rc = 0;

    sp_buf_init(&b, 8192);
    for (const char *d = p->conf->data_directory; rc == 0 && *d; d++)
        rc = sp_buf_puts(&b, *d == '%' ? "%%" : (char[]){*d, 0});
    if (rc == 0 && sp_buf_puts(&b, "/mail/%d/%u") == 0)
        s = sp_arena_strndup(p->arena, b.p, b.n);
    sp_buf_free(&b);
    p->full = p->full || !s;
    return s;
}

static void route_defaults(struct conf_parser *p, struct conf_inst *in)
{
    struct sp_conf_route *r = in->data;

    table_defaults(p, in);
    if (!given(p, in, "tls"))
        r->tls = r->to == SP_CONF_TO_SMARTHOST ||
                         (r->to == SP_CONF_TO_LMTP && !all_loopback(&r->lmtp))
                     ? SP_CONF_RTLS_REQUIRED
                 : r->to == SP_CONF_TO_MX ? SP_CONF_RTLS_OPPORTUNISTIC
                                          : SP_CONF_RTLS_NONE;
    fill_ports(p, &r->host, r->tls == SP_CONF_RTLS_IMPLICIT ? 465 : 587);
    fill_ports(p, &r->lmtp, 24);
    if (!r->client_key)
        r->client_key = r->client_certificate;
    if (r->to == SP_CONF_TO_MAILDIR && !r->path)
        r->path = default_path(p);
}

/* ---- sections that were left out ---- */

static void imply_listener(struct conf_parser *p, const char *name, const char *address,
                           const char *tls)
{
    struct conf_inst *in = conf_imply(p, SP_CONF_LISTENER, name);

    if (!in)
        return;
    put(p, in, "address", address);
    listener_defaults(p, in);
    put(p, in, "tls", tls);
}

static bool any_local(const struct conf_parser *p)
{
    for (const struct conf_inst *in = p->first[SP_CONF_LISTENER]; in; in = in->next)
        if (LISTENER_OF(in)->type == SP_CONF_LOCAL || strcmp(in->head->name, LOCAL_LISTENER) == 0)
            return true;
    return false;
}

/* Where programs of this machine submit; one of the file's own takes its place. */
static void imply_local(struct conf_parser *p)
{
    const struct sp_conf_addrs *a = &p->conf->local_socket;
    struct conf_inst *in;
    struct sp_conf_listener *l;

    if (a->n == 0 || any_local(p))
        return;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].kind != SP_CONF_ADDR_UNIX)
            return; /* the rule says so */
    in = conf_imply(p, SP_CONF_LISTENER, LOCAL_LISTENER);
    if (!in)
        return;
    for (size_t i = 0; i < a->n; i++)
        put(p, in, "address", a->v[i].text);
    table_defaults(p, in);
    put(p, in, "type", "local");
    put(p, in, "tls", "none");
    l = in->data;
    l->message_size = p->conf->message_size;
}

static void imply_tls(struct conf_parser *p)
{
    struct conf_inst *in = conf_imply(p, SP_CONF_TLS, SP_CONF_SELF_SIGNED);
    struct sp_conf_tls *t;

    if (!in || !p->conf->data_directory)
        return;
    t = in->data;
    t->self_signed = true;
    put(p, in, "certificate",
        conf_text(p, "%s/tls/self-signed.pem", p->conf->data_directory));
    put(p, in, "key", conf_text(p, "%s/tls/self-signed.key", p->conf->data_directory));
    tls_defaults(p, in);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The domains that routes name, other than by a wildcard, sorted. */
static const char **routed(struct conf_parser *p, size_t *ret_n)
{
    size_t n = 0, all = 0;
    const char **v;

    for (struct conf_inst *in = p->first[SP_CONF_ROUTE]; in; in = in->next)
        all += ROUTE_OF(in)->match.n;
    v = sp_arena_alloc(&p->scratch, all * sizeof *v);
    p->full = p->full || !v;
    for (struct conf_inst *in = p->first[SP_CONF_ROUTE]; v && in; in = in->next)
        for (size_t i = 0; i < ROUTE_OF(in)->match.n; i++)
            if (ROUTE_OF(in)->match.v[i].kind == SP_CONF_MATCH_DOMAIN)
                v[n++] = ROUTE_OF(in)->match.v[i].text;
    if (v)
        qsort(v, n, sizeof *v, by_text);
    *ret_n = n;
    return v;
}

/* Local domains without a route of their own: to Maildir, in front of the first route
 * that takes everything. */
static void imply_route(struct conf_parser *p)
{
    struct conf_inst **at = &p->first[SP_CONF_ROUTE], *in;
    const struct sp_conf_list *local = &p->conf->local_domains;
    size_t n;
    const char **named = routed(p, &n);

    in = named ? conf_imply(p, SP_CONF_ROUTE, LOCAL_ROUTE) : NULL;
    if (!in)
        return;
    for (size_t i = 0; i < local->n && !p->full; i++)
        if (!bsearch(&local->v[i], named, n, sizeof *named, by_text))
            put(p, in, "match", local->v[i]);
    put(p, in, "to", "maildir");
    route_defaults(p, in);
    /* It was put at the end: take it out, and in at its place. */
    while (*at != in)
        at = &(*at)->next;
    *at = NULL;
    for (at = &p->first[SP_CONF_ROUTE]; *at && !matches_all(ROUTE_OF(*at));)
        at = &(*at)->next;
    if (ROUTE_OF(in)->match.n == 0) {
        p->n[SP_CONF_ROUTE]--;
        return;
    }
    in->next = *at;
    *at = in;
}

/* The way to a content filter is a route that no address matches. */
static void imply_filter_route(struct conf_parser *p, const struct conf_inst *filter)
{
    const struct sp_conf_filter *f = filter->data;
    struct conf_inst *in = conf_imply(p, SP_CONF_ROUTE,
                                      conf_text(p, "content-filter %s", filter->head->name));
    struct sp_conf_route *r;

    if (!in)
        return;
    r = in->data;
    put(p, in, "to", f->protocol == SP_CONF_HOP_LMTP ? "lmtp" : "smarthost");
    route_defaults(p, in);
    r->tls = SP_CONF_RTLS_NONE;
    r->concurrency = f->connections;
    if (f->protocol == SP_CONF_HOP_LMTP)
        r->lmtp = f->address;
    else
        r->host = f->address;
}

/* ---- into the configuration ---- */

/* All sections of a kind in one array, in order. */
static void *collect(struct conf_parser *p, enum sp_conf_section_id id, size_t *ret_n)
{
    size_t size = sp_conf_section(id)->size, n = 0;
    char *d = sp_arena_alloc(p->arena, p->n[id] * size);

    for (struct conf_inst *in = p->first[id]; d && in && n < p->n[id]; in = in->next) {
        memcpy(d + n++ * size, in->data, size);
        in->data = d + (n - 1) * size;
        in->head = in->data;
    }
    p->full = p->full || !d;
    *ret_n = d ? n : 0;
    return d;
}

/* A path in `certificate` becomes a tls section without a name of its own. */
static void imply_path_tls(struct conf_parser *p, struct conf_inst *listener)
{
    const struct sp_conf_list *l = &LISTENER_OF(listener)->certificate;

    for (size_t i = 0; i < l->n && !p->full; i++) {
        struct conf_inst *in = conf_section_named(p, SP_CONF_TLS, sp_str(l->v[i]));

        if (!strchr(l->v[i], '/')) {
            if (!in && strcmp(l->v[i], SP_CONF_SELF_SIGNED) == 0)
                imply_tls(p);
            else if (!in)
                unknown_tls(p, listener, i);
            continue;
        }
        if (in)
            continue;
        if (p->n[SP_CONF_TLS] >= 2 * SP_CONF_SECTIONS_MAX) {
            conf_note(
                p,
                &(struct conf_note){.pos = where(p, listener, "certificate", (long)i)},
                "more than %d certificates", 2 * SP_CONF_SECTIONS_MAX);
            return;
        }
        in = conf_imply(p, SP_CONF_TLS, l->v[i]);
        if (!in)
            return;
        put(p, in, "certificate", l->v[i]);
        tls_defaults(p, in);
    }
}

static void connect_certificates(struct conf_parser *p, struct conf_inst *in)
{
    struct sp_conf_listener *l = in->data;
    const struct sp_conf_tls **v =
        sp_arena_alloc(p->arena, l->certificate.n * sizeof *v);

    p->full = p->full || !v;
    for (size_t i = 0; v && i < l->certificate.n; i++) {
        struct conf_inst *t =
            conf_section_named(p, SP_CONF_TLS, sp_str(l->certificate.v[i]));

        if (t)
            v[l->n_tls_certs++] = t->data;
    }
    l->tls_certs = v;
}

static void self_signed_warning(struct conf_parser *p)
{
    const struct conf_inst *t = p->first[SP_CONF_TLS];

    /* Not worth a word while there are mistakes to mend. */
    if (t && TLS_OF(t)->self_signed && p->errs->errors == 0)
        conf_note(p,
                  &(struct conf_note){.warning = true,
                                      .help =
                                          "add a tls section with certificate and key "
                                          "before real users come"},
                  "there is no tls section: the certificate is self-signed, and mail "
                  "programs will warn about it");
}

void conf_finish(struct conf_parser *p)
{
    top_defaults(p);
    if (!p->first[SP_CONF_LISTENER] && !p->full) {
        imply_listener(p, "submission", "*:587", "starttls");
        imply_listener(p, "submissions", "*:465", "implicit");
    } else
        for (struct conf_inst *in = p->first[SP_CONF_LISTENER]; in && !p->full;
             in = in->next)
            listener_defaults(p, in);
    if (!p->full)
        imply_local(p);
    for (struct conf_inst *in = p->first[SP_CONF_TLS]; in && !p->full; in = in->next)
        tls_defaults(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_ROUTE]; in && !p->full; in = in->next)
        route_defaults(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_OAUTH]; in && !p->full; in = in->next)
        table_defaults(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_DKIM]; in && !p->full; in = in->next)
        table_defaults(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_MILTER]; in && !p->full; in = in->next)
        table_defaults(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_POLICY]; in && !p->full; in = in->next)
        table_defaults(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_LISTENER]; in && !p->full; in = in->next) {
        unknown_filters(p, in, "milters", &LISTENER_OF(in)->milters, SP_CONF_MILTER);
        unknown_filters(p, in, "policies", &LISTENER_OF(in)->policies, SP_CONF_POLICY);
        unknown_filters(p, in, "content-filter", &LISTENER_OF(in)->content_filter, SP_CONF_FILTER);
    }
    for (struct conf_inst *in = p->first[SP_CONF_ACCOUNTS]; in && !p->full; in = in->next)
        table_defaults(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_FILTER]; in && !p->full; in = in->next)
        table_defaults(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_LISTENER]; in && !p->full;
         in = in->next)
        imply_path_tls(p, in);
    for (struct conf_inst *in = p->first[SP_CONF_FILTER]; in && !p->full; in = in->next)
        imply_filter_route(p, in);
    if (!p->full) /* the last of all: it moves what stands at the end */
        imply_route(p);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].section == SP_CONF_TOP)
            judge(p, &rules[i], p->top);
        else
            for (struct conf_inst *in = p->first[rules[i].section]; in && !p->full;
                 in = in->next)
                if (!in->head->implied)
                    judge(p, &rules[i], in);
    for (int s = 0; s < SP_CONF_SECTIONS; s++)
        for (struct conf_inst *in = p->first[s]; in && !p->full; in = in->next)
            judge_useless(p, in);
    judge_addresses(p);
    judge_order(p);
    self_signed_warning(p);
    p->conf->tls = collect(p, SP_CONF_TLS, &p->conf->n_tls);
    for (struct conf_inst *in = p->first[SP_CONF_LISTENER]; in && !p->full;
         in = in->next)
        connect_certificates(p, in);
    p->conf->listeners = collect(p, SP_CONF_LISTENER, &p->conf->n_listeners);
    p->conf->routes = collect(p, SP_CONF_ROUTE, &p->conf->n_routes);
    p->conf->oauth = collect(p, SP_CONF_OAUTH, &p->conf->n_oauth);
    p->conf->dkim = collect(p, SP_CONF_DKIM, &p->conf->n_dkim);
    p->conf->milters = collect(p, SP_CONF_MILTER, &p->conf->n_milters);
    p->conf->policies = collect(p, SP_CONF_POLICY, &p->conf->n_policies);
    p->conf->accounts = collect(p, SP_CONF_ACCOUNTS, &p->conf->n_accounts);
    p->conf->filters = collect(p, SP_CONF_FILTER, &p->conf->n_filters);
}
