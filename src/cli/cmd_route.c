/*
 * cmd_route.c - `sallyport route`: where mail for an address would go, and why.
 *
 * What an address becomes is answered by what the auth role answers servers with, the
 * route by what the queue role asks.  Nothing is sent, and nobody is asked but DNS and the
 * host of the domain's MTA-STS policy.
 */
#include "addr.h"
#include "aliases.h"
#include "alloc.h"
#include "cli.h"
#include "datadir.h"
#include "err.h"
#include "maildir.h"
#include "mxlook.h"
#include "netaddr.h"
#include "stscache.h"
#include "stslook.h"
#include "tlspolicy.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

static const struct sp_option options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    {"sender", 's', "ADDRESS", "the sender (default: none is known)"},
    {"user", 'u', "ACCOUNT", "the account that submits it"},
    SP_OPT_JSON,
    SP_OPT_END};

enum { FILE_MAX = 4 << 20, FILES_MAX = 1100 };

struct ask {
    const struct sp_args *a;
    struct sp_conf *conf;
    struct sp_aliases *aliases;
    struct sp_users *users; /* NULL: there is no database */
    struct sp_arena arena;
    struct sp_buf file[FILES_MAX]; /* what aliases were read from */
    size_t files;
    struct sp_str sender, user;
    json_t *rows;
};

/* ---- files ---- */

static struct sp_str read_alias_file(void *arg, const char *path)
{
    struct ask *q = arg;
    struct sp_buf *b;
    struct sp_err err;

    if (q->files == FILES_MAX)
        return (struct sp_str){NULL, 0};
    b = &q->file[q->files++];
    sp_buf_init(b, FILE_MAX);
    if (sp_read_file(path, FILE_MAX, b, &err) < 0) {
        (void)sp_fail(0, "warning: %s", err.text);
        return (struct sp_str){NULL, 0};
    }
    return b->p ? sp_buf_view(b) : (struct sp_str){"", 0};
}

static void note(void *arg, const char *file, unsigned line, const char *text)
{
    (void)arg;
    (void)sp_fail(0, "warning: %s:%u: %s", file, line, text);
}

static int open_users(struct ask *q)
{
    char path[4200];
    struct sp_err err;
    const char *data =
        sp_arg(q->a, "data") ? sp_arg(q->a, "data") : q->conf->data_directory;

    (void)sp_data_path(path, sizeof path, data, SP_DATA_USERS, "users.db");
    if (sp_users_open(path, SP_USERS_READ, &q->users, &err) < 0 &&
        err.code != SP_ENOENT)
        return sp_fail_err(&err);
    return 0;
}

/* ---- one recipient ---- */

static void set(json_t *o, const char *key, const char *text)
{
    if (text)
        (void)json_object_set_new(o, key, json_string(text));
}

static void set_str(json_t *o, const char *key, struct sp_str s)
{
    if (s.n)
        (void)json_object_set_new(o, key, json_stringn_nocheck(s.p, s.n));
}

static const char *const to_word[] = {[SP_CONF_TO_SMARTHOST] = "smarthost",
                                      [SP_CONF_TO_LMTP] = "lmtp",
                                      [SP_CONF_TO_MAILDIR] = "maildir",
                                      [SP_CONF_TO_DISCARD] = "discard",
                                      [SP_CONF_TO_BOUNCE] = "bounce",
                                      [SP_CONF_TO_MX] = "mx",
                                      [SP_CONF_TO_PIPE] = "pipe"};

static void next_hops(json_t *o, const struct sp_conf_route *r)
{
    const struct sp_conf_addrs *l = r->to == SP_CONF_TO_LMTP ? &r->lmtp : &r->host;
    json_t *v = json_array();

    for (size_t i = 0; i < l->n; i++) {
        char text[400];

        if (r->host_weights.n)
            snprintf(text, sizeof text, "%s (weight %s)", l->v[i].text,
                     r->host_weights.v[i]);
        else
            snprintf(text, sizeof text, "%s", l->v[i].text);
        (void)json_array_append_new(v, json_string(text));
    }
    (void)json_object_set_new(o, "next-hops", v);
}

/* What a connection must be before mail goes over it, in words. */
static void tls_policy(json_t *o, const struct sp_conf_route *r)
{
    static const char *const words[] = {
        [SP_CONF_RTLS_REQUIRED] =
            "STARTTLS with a verified certificate, or the mail waits",
        [SP_CONF_RTLS_OPPORTUNISTIC] = "STARTTLS where it can be had, nothing verified",
        [SP_CONF_RTLS_IMPLICIT] =
            "TLS from the first octet with a verified certificate, or "
            "the mail waits",
        [SP_CONF_RTLS_NONE] = "in clear, on this machine"};

    set(o, "tls",
        r->server_pin.n && r->tls != SP_CONF_RTLS_NONE
            ? "TLS with a pinned key, or the mail waits"
            : words[r->tls]);
    set(o, "tls-name", r->tls_name);
    set(o, "login", r->user);
    set(o, "client-certificate", r->client_certificate);
}

/* ---- mail exchanges ---- */

struct looking {
    json_t *o;
    bool done, required;
    bool has_policy; /* of MTA-STS, and it counts now */
    struct sp_sts_policy policy;
};

static const char *exchange_policy(const struct looking *k, const struct sp_mx_host *h)
{
    bool enforced = k->has_policy && k->policy.mode == SP_STS_MODE_ENFORCE,
         required = k->required || enforced;

    if (enforced && !sp_sts_lists(&k->policy, h->name))
        return "MTA-STS: not used, the policy does not list it";
    switch (h->dane) {
    case SP_DANE_USABLE:
        return "DANE: TLS that agrees with its TLSA records";
    case SP_DANE_UNUSABLE:
        return required ? "TLS, verified"
                        : "DANE: TLS (none of its TLSA records is for SMTP)";
    case SP_DANE_FAILED:
        return "DANE: not used now, the look-up of its TLSA records failed";
    case SP_DANE_NONE:
        break;
    }
    return enforced   ? "MTA-STS: TLS, verified"
           : required ? "TLS, verified"
                      : "TLS where it can be had";
}

static void on_policy(const struct sp_sts_answer *a, void *arg)
{
    struct looking *k = arg;
    char text[600];
    size_t n;

    k->done = true;
    k->has_policy = a->policy && sp_sts_valid(a->policy, (uint64_t)time(NULL));
    if (k->has_policy)
        k->policy = *a->policy;
    n = (size_t)snprintf(text, sizeof text, "%s",
                         k->has_policy ? sp_sts_mode_name(k->policy.mode) : "none");
    if (k->has_policy)
        n += (size_t)snprintf(
            text + n, sizeof text - n, ", id %s, %s, counts until %llu", k->policy.id,
            a->fresh ? "fetched now" : "kept",
            (unsigned long long)(k->policy.fetched_s + k->policy.max_age));
    if (a->why[0] && n < sizeof text)
        snprintf(text + n, sizeof text - n, " (%s: %s)",
                 sp_sts_trouble_words(a->trouble), a->why);
    set(k->o, "mta-sts", text);
}

/* As the delivery role does it: what is kept, and what the domain says now. */
static void look_at_policy(struct looking *k, struct ask *q,
                           const struct sp_conf_route *r, const char *domain,
                           struct sp_dns *dns, uv_loop_t *loop)
{
    const char *data =
        sp_arg(q->a, "data") ? sp_arg(q->a, "data") : q->conf->data_directory;
    struct sp_sts_opts o = {.dns = dns,
                            .domain = domain,
                            .ca_path = r->mta_sts_ca,
                            .timeout_ms = (unsigned)r->mta_sts_timeout_s * 1000,
                            .now_s = (uint64_t)time(NULL)};
    struct sp_sts_policy known;
    char dir[SP_STS_DIR_MAX];
    struct sp_buf kept;

    if (!r->mta_sts || domain[0] == '[' || !(o.https = sp_https_new(loop)))
        return;
    sp_buf_init(&kept, SP_STS_STORED_MAX);
    sp_sts_cache_dir(data, dir);
    if (sp_sts_cache_get(dir, domain, &kept) == 0 &&
        sp_sts_restore(sp_buf_view(&kept), &known) == 0)
        o.known = &known;
    k->done = sp_sts_look(&o, on_policy, k) == NULL;
    while (!k->done && uv_run(loop, UV_RUN_ONCE))
        ;
    k->done = false;
    sp_buf_free(&kept);
    sp_https_free(o.https);
}

static void on_looked(const struct sp_mxlook_answer *a, void *arg)
{
    struct looking *k = arg;
    char text[600], address[SP_ADDR_TEXT];
    json_t *v = json_array();

    k->done = true;
    if (a->code) {
        snprintf(text, sizeof text, "%d %s %s", a->code, a->enhanced, a->words);
        set(k->o, "reason", text);
    }
    for (size_t i = 0; i < a->n && !a->code; i++) {
        const struct sp_mx_host *h = &a->host[i];
        size_t n = (size_t)snprintf(text, sizeof text, "%s", h->name);

        for (size_t j = 0; j < h->addresses && n < sizeof text; j++) {
            sp_addr_ip((const struct sockaddr *)&h->address[j], address,
                       sizeof address);
            n += (size_t)snprintf(text + n, sizeof text - n, " [%s]", address);
        }
        if (n < sizeof text)
            snprintf(text + n, sizeof text - n, ": %s", exchange_policy(k, h));
        (void)json_array_append_new(v, json_string(text));
    }
    set(k->o, "dnssec", a->secure ? "proven" : "not proven");
    (void)json_object_set_new(k->o, "next-hops", v);
}

static void exchanges(json_t *o, struct ask *q, const struct sp_conf_route *r,
                      struct sp_str address)
{
    const struct sp_conf *conf = q->conf;
    struct looking k = {.o = o, .required = r->tls == SP_CONF_RTLS_REQUIRED};
    char domain[300];
    struct sp_mxlook_opts m = {.domain = domain,
                               .port = (uint16_t)r->mx_port,
                               .literals = r->address_literals,
                               .self = {conf->hostname, r->ehlo_name}};
    struct sp_mxlook *look = NULL;
    struct sp_dns_opts d;
    struct sp_net *net;
    struct sp_err err;
    uv_loop_t loop;

    snprintf(domain, sizeof domain, "%.*s", (int)address.n, address.p);
    for (size_t i = 0; i < address.n && i < sizeof domain; i++)
        if (address.p[i] == '@')
            snprintf(domain, sizeof domain, "%.*s", (int)(address.n - i - 1),
                     address.p + i + 1);
    sp_mxlook_dns(conf, &d);
    if (uv_loop_init(&loop) < 0 || !(net = sp_net_new(&loop)))
        return;
    if (sp_dns_new(net, &d, &m.dns, &err) < 0)
        set(o, "reason", err.text);
    else {
        look_at_policy(&k, q, r, domain, m.dns, &loop);
        look = sp_mxlook(&m, on_looked, &k);
    }
    while (look && !k.done && uv_run(&loop, UV_RUN_ONCE))
        ;
    sp_dns_free(m.dns);
    sp_net_free(net);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
}

static void words_of(json_t *o, const char *key, const struct sp_conf_list *l)
{
    struct sp_buf b;

    sp_buf_init(&b, 65536);
    for (size_t i = 0; i < l->n; i++)
        (void)sp_buf_printf(&b, "%s%s", i ? " " : "", l->v[i]);
    set(o, key, sp_buf_cstr(&b));
    sp_buf_free(&b);
}

static void by_route(json_t *o, struct ask *q, const struct sp_conf_route *r,
                     struct sp_str address)
{
    char path[SP_MAILDIR_PATH_MAX];
    struct sp_err err;

    set(o, "route", r->head.name);
    if (r->head.line)
        (void)json_object_set_new(o, "line", json_integer(r->head.line));
    set(o, "to", to_word[r->to]);
    switch (r->to) {
    case SP_CONF_TO_SMARTHOST:
    case SP_CONF_TO_LMTP:
        next_hops(o, r);
        tls_policy(o, r);
        set(o, "ehlo-name", r->ehlo_name);
        set(o, "source-address", r->source_address);
        break;
    case SP_CONF_TO_MAILDIR:
        set(o, "path",
            sp_maildir_path(r->path, address, path, sizeof path, &err) < 0 ? err.text
                                                                           : path);
        break;
    case SP_CONF_TO_PIPE:
        words_of(o, "command", &r->command);
        set(o, "run-as", r->run_as);
        break;
    case SP_CONF_TO_BOUNCE:
        set(o, "reason", r->reason ? r->reason : "refused by configuration");
        break;
    case SP_CONF_TO_MX:
        exchanges(o, q, r, address);
        break;
    case SP_CONF_TO_DISCARD:
        break;
    }
}

static void one(struct ask *q, struct sp_str said, struct sp_str address,
                struct sp_str deliver)
{
    const struct sp_conf_route *r =
        sp_conf_route_for(q->conf, address, q->sender, q->user);
    json_t *o = json_object();

    set_str(o, "address", said);
    if (!sp_str_eq(said, address))
        set_str(o, "becomes", address);
    if (deliver.n) {
        set(o, "to",
            deliver.p[0] == '|'   ? "command"
            : deliver.p[0] == '/' ? "file"
                                  : "bounce");
        set_str(o,
                deliver.p[0] == '|'   ? "command"
                : deliver.p[0] == '/' ? "path"
                                      : "reason",
                deliver.p[0] == '/' ? deliver
                                    : (struct sp_str){deliver.p + 1, deliver.n - 1});
    } else if (r)
        by_route(o, q, r, address);
    else {
        set(o, "to", "refused");
        set(o, "reason", "550 5.1.2 no route to this domain is configured here");
    }
    (void)json_array_append_new(q->rows, o);
}

static void refused(struct ask *q, struct sp_str said, const struct sp_alias_result *r)
{
    json_t *o = json_object();
    char text[300];

    snprintf(text, sizeof text, "%s %s",
             r->verdict == SP_ALIAS_UNKNOWN     ? "550 5.1.1"
             : r->verdict == SP_ALIAS_TEMPORARY ? "451 4.3.0"
                                                : "550 5.4.6",
             r->why);
    set_str(o, "address", said);
    set(o, "to", "refused");
    set(o, "reason", text);
    (void)json_array_append_new(q->rows, o);
}

/* ---- showing ---- */

static void show(const json_t *rows)
{
    const char *key;
    const json_t *o, *v, *w;
    size_t i, j;

    json_array_foreach(rows, i, o)
    {
        if (i)
            printf("\n");
        json_object_foreach((json_t *)(uintptr_t)o, key, v)
        {
            if (json_is_array(v)) {
                json_array_foreach(v, j, w)
                    printf("%-16s %s\n", j ? "" : key, json_string_value(w));
                continue;
            }
            printf("%-16s ", key);
            if (json_is_integer(v))
                printf("%lld", (long long)json_integer_value(v));
            else
                sp_say_text(stdout, sp_str(json_string_value(v)));
            printf("\n");
        }
    }
}

static int explain(struct ask *q, const char *address)
{
    struct sp_alias_result r;
    struct sp_addr addr;
    enum sp_addr_result rc =
        sp_addr_parse(sp_str(address), SP_ADDR_UTF8_OK | SP_ADDR_POSTMASTER, &addr);
    struct sp_str said = sp_addr_text(&addr);

    if (rc != SP_ADDR_OK)
        return sp_fail(EX_DATAERR, "%s is not an address with a domain", address);
    if (addr.at == addr.n) /* <postmaster> */
        said = sp_str(q->conf->postmaster);
    memset(&r, 0, sizeof r);
    if (sp_aliases_matter(q->conf, said))
        sp_aliases_expand(q->aliases, q->users, said, &q->arena, &r);
    if (r.verdict == SP_ALIAS_SAME)
        one(q, said, said, (struct sp_str){NULL, 0});
    else if (r.verdict != SP_ALIAS_BECOMES)
        refused(q, said, &r);
    for (size_t i = 0; r.verdict == SP_ALIAS_BECOMES && i < r.n; i++)
        one(q, said, r.to[i].address, r.to[i].deliver);
    if (q->conf->always_bcc)
        one(q, sp_str(q->conf->always_bcc), sp_str(q->conf->always_bcc),
            (struct sp_str){NULL, 0});
    return r.verdict == SP_ALIAS_TEMPORARY                               ? EX_TEMPFAIL
           : r.verdict == SP_ALIAS_SAME || r.verdict == SP_ALIAS_BECOMES ? 0
                                                                         : EX_NOUSER;
}

static int run_route(const struct sp_args *a)
{
    struct ask *q = sp_alloc(sizeof *q);
    struct sp_err err;
    int status = 0;

    if (!q)
        return sp_fail(EX_OSERR, "out of memory");
    q->a = a;
    q->sender = sp_str(sp_arg(a, "sender") ? sp_arg(a, "sender") : "");
    q->user = sp_str(sp_arg(a, "user") ? sp_arg(a, "user") : "");
    sp_arena_init(&q->arena, 64 << 20);
    if (a->n_rest != 1)
        status = sp_usage_error(a, "name one address");
    else if ((q->conf = sp_load_conf(a, false, &status)))
        status = open_users(q);
    if (status == 0 && q->conf &&
        sp_aliases_new(q->conf, read_alias_file, q, note, NULL, &q->aliases, &err) < 0)
        status = sp_fail_err(&err);
    if (status == 0 && q->aliases) {
        q->rows = json_array();
        status = explain(q, a->rest[0]);
        if (sp_arg_given(a, "json"))
            (void)json_dumpf(q->rows, stdout, JSON_INDENT(2)), (void)putchar('\n');
        else
            show(q->rows);
        json_decref(q->rows);
    }
    sp_aliases_free(q->aliases);
    sp_users_close(q->users);
    for (size_t i = 0; i < q->files; i++)
        sp_buf_free(&q->file[i]);
    sp_arena_reset(&q->arena);
    sp_conf_unref(q->conf);
    sp_free(q);
    return status;
}

const struct sp_command sp_cmd_route = {
    .name = "route",
    .summary = "say where mail for an address would go, and why",
    .usage = "ADDRESS [--sender ADDRESS] [--user ACCOUNT]",
    .more =
        "Aliases, route, next hops and what they must prove are those of the\n"
        "configuration as it is on disk; for to = mx DNS is asked, and the host of\n"
        "an MTA-STS policy.  Nothing is sent.\n",
    .options = options,
    .run = run_route};
