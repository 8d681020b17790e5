/* srv_listener.c - see server_role.h. */
#include "server_role.h"

#include "policy.h"

#include "acct.h"
#include "alloc.h"
#include "err.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { BEARER_ERROR_MAX = 375 }; /* base64 of it fits in one reply line */

static uint32_t mechs(const struct sp_conf_list *names)
{
    uint32_t set = 0;

    for (size_t i = 0; i < names->n; i++) {
        int m = sp_mech_by_name(sp_str(names->v[i]));

        if (m >= 0)
            set |= SP_MECH_BIT((enum sp_mech)m);
    }
    return set;
}

static enum sp_cert_login cert_login(enum sp_conf_cert_login v)
{
    switch (v) {
    case SP_CONF_LOGIN_EITHER:
        return SP_CERT_LOGIN_EITHER;
    case SP_CONF_LOGIN_EXPLICIT:
        return SP_CERT_LOGIN_EXPLICIT;
    case SP_CONF_LOGIN_IMPLICIT:
        return SP_CERT_LOGIN_IMPLICIT;
    case SP_CONF_LOGIN_OFF:
        return SP_CERT_LOGIN_OFF;
    }
    return SP_CERT_LOGIN_OFF;
}

static enum sp_cert_list cert_list(enum sp_conf_cert_list v)
{
    switch (v) {
    case SP_CONF_LIST_ALL:
        return SP_CERT_LIST_ALL;
    case SP_CONF_LIST_EXTERNAL:
        return SP_CERT_LIST_EXTERNAL;
    case SP_CONF_LIST_PASSWORD:
        return SP_CERT_LIST_PASSWORD;
    }
    return SP_CERT_LIST_ALL;
}

static enum sp_cert_want cert_want(enum sp_conf_client_certs v)
{
    switch (v) {
    case SP_CONF_CERTS_OFF:
        return SP_CERT_WANT_OFF;
    case SP_CONF_CERTS_OPTIONAL:
        return SP_CERT_WANT_OPTIONAL;
    case SP_CONF_CERTS_REQUIRED:
        return SP_CERT_WANT_REQUIRED;
    }
    return SP_CERT_WANT_OFF;
}

/* The keywords of conf_table.c are those of the EHLO reply. */
static uint32_t extensions(const struct sp_conf_list *words)
{
    static const struct {
        const char *word;
        enum sp_ext ext;
    } known[] = {
        {"PIPELINING", SP_EXT_PIPELINING},
        {"SIZE", SP_EXT_SIZE},
        {"8BITMIME", SP_EXT_8BITMIME},
        {"SMTPUTF8", SP_EXT_SMTPUTF8},
        {"DSN", SP_EXT_DSN},
        {"ENHANCEDSTATUSCODES", SP_EXT_ENHANCED},
        {"CHUNKING", SP_EXT_CHUNKING},
        {"BINARYMIME", SP_EXT_BINARYMIME},
        {"LIMITS", SP_EXT_LIMITS},
        {"DELIVERBY", SP_EXT_DELIVERBY},
        {"FUTURERELEASE", SP_EXT_FUTURERELEASE},
        {"MT-PRIORITY", SP_EXT_MT_PRIORITY},
        {"REQUIRETLS", SP_EXT_REQUIRETLS},
    };
    uint32_t set = 0;

    for (size_t i = 0; i < words->n; i++)
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            if (strcmp(words->v[i], known[k].word) == 0)
                set |= known[k].ext;
    return set;
}

/* Mechanisms that can work with where the accounts are: nobody's password could ever be
 * right by SCRAM where only PAM knows passwords, and clients would choose it first. */
static uint32_t account_mechs(const struct sp_conf *c)
{
    uint32_t scram = SP_MECH_BIT(SP_MECH_SCRAM_SHA_256) | SP_MECH_BIT(SP_MECH_SCRAM_SHA_1),
             plus = SP_MECH_BIT(SP_MECH_SCRAM_SHA_256_PLUS) |
                    SP_MECH_BIT(SP_MECH_SCRAM_SHA_1_PLUS),
             cram = SP_MECH_BIT(SP_MECH_CRAM_MD5), can = 0;

    if (c->n_accounts == 0)
        return UINT32_MAX;
    for (size_t i = 0; i < c->n_accounts; i++) {
        const struct sp_conf_accounts *a = &c->accounts[i];

        if (sp_acct_can(a) & SP_ACCT_CAN_SCRAM)
            can |= scram | plus;
        if (a->type == SP_CONF_ACCTS_SQLITE)
            can |= cram;
        can |= mechs(&a->pass_through);
    }
    return ~(scram | plus | cram) | can;
}

/* From the configuration's words to the engine's: the one place that does it. */
void srv_policy(struct sp_srv_policy *p, const struct sp_conf *c,
                const struct sp_conf_listener *l)
{
    memset(p, 0, sizeof *p);
    p->kind = l->type == SP_CONF_LOCAL         ? SP_SRV_LOCAL
              : l->type == SP_CONF_REINJECTION ? SP_SRV_REINJECT
                                               : SP_SRV_SUBMISSION;
    p->hostname = c->hostname;
    p->implicit_tls = l->tls == SP_CONF_IMPLICIT;
    p->starttls = l->tls == SP_CONF_STARTTLS;
    p->login_required = p->kind == SP_SRV_SUBMISSION;
    p->mechs_clear = mechs(&l->auth_clear) & account_mechs(c);
    p->mechs_tls = mechs(&l->auth_tls) & account_mechs(c);
    p->cert_login = cert_login(l->certificate_login);
    p->cert_list = cert_list(l->auth_list_with_certificate);
    p->cert_want = cert_want(l->client_certificates);
    p->lenient_ehlo = l->lenient_ehlo;
    p->legacy_auth_line = l->legacy_auth_line;
    p->lenient_path = l->lenient_path;
    p->extensions = extensions(&l->extensions) | SP_EXT_STARTTLS | SP_EXT_AUTH;
    if (l->type == SP_CONF_REINJECTION)
        p->extensions = SP_EXT_PIPELINING | SP_EXT_SIZE | SP_EXT_8BITMIME | SP_EXT_SMTPUTF8 |
                        SP_EXT_DSN | SP_EXT_ENHANCED | SP_EXT_XFORWARD;
    p->hold_max_seconds = l->future_release_max_s;
    p->by_min = l->deliver_by_min_s;
    if (l->type == SP_CONF_PROXIED && l->xclient != SP_CONF_XCLIENT_OFF)
        p->extensions |= SP_EXT_XCLIENT;
    for (size_t i = 0; i < l->header_rules.n; i++)
        p->allow_8bit_header |= strcmp(l->header_rules.v[i], "8bit-header=pass") == 0;
    p->size_max = l->message_size;
    p->rcpt_max = (unsigned)l->recipients_max;
}

void srv_header_rules(struct sp_fix_policy *p, const struct sp_conf *c,
                      const struct sp_conf_listener *l)
{
    sp_fix_policy_default(p);
    p->hops_max = (uint32_t)c->hops_max;
    for (size_t i = 0; i < l->header_rules.n; i++) {
        struct sp_str act = sp_str(l->header_rules.v[i]), name = sp_str_cut(&act, '=');

        (void)sp_fix_policy_set(p, name, act); /* the table of words has what it takes */
    }
}

/* RFC 7628 3.2.2: what a client may need in order to get a better token.  NULL: nothing,
 * or no memory; the engine has words of its own then. */
static char *bearer_error(const struct sp_conf *c)
{
    const struct sp_conf_oauth *o = c->n_oauth ? &c->oauth[0] : NULL;
    struct sp_buf scope;
    json_t *j;
    char *text = NULL, *copy = NULL;

    if (!o || (!o->openid_configuration && !o->scope.n))
        return NULL;
    sp_buf_init(&scope, 1000);
    for (size_t i = 0; i < o->scope.n; i++)
        (void)sp_buf_printf(&scope, "%s%s", i ? " " : "", o->scope.v[i]);
    j = json_pack("{s:s,s:s}", "status", "invalid_token", "schemes", "bearer");
    if (j && scope.n && sp_buf_cstr(&scope))
        json_object_set_new(j, "scope", json_string(scope.p));
    if (j && o->openid_configuration)
        json_object_set_new(j, "openid-configuration", json_string(o->openid_configuration));
    if (j)
        text = json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (text && strlen(text) <= BEARER_ERROR_MAX)
        copy = sp_strdup(text);
    free(text);
    json_decref(j);
    sp_buf_free(&scope);
    return copy;
}

void srv_cert_domains(struct sp_cert_look *q, const struct sp_conf_listener *l)
{
    if (l->client_ca_domains.n == 0)
        return; /* any */
    q->domains = l->client_ca_domains.v;
    q->ndomains = l->client_ca_domains.n;
}

bool srv_asks_certificate(const struct sp_conf_listener *l, bool some_certificate)
{
    return l->client_certificates != SP_CONF_CERTS_OFF ||
           (l->client_certificates_auto && some_certificate);
}

static int make_tls(struct srv_listener *x, const Sp__Setup *setup, struct sp_err *err)
{
    const struct sp_conf_listener *l = x->l;
    struct sp_tls_server_opts o = {0};
    struct sp_tls_pair *pairs = sp_alloc((l->n_tls_certs + 1) * sizeof *pairs);
    int rc;

    if (!pairs)
        return sp_err_nomem(err);
    for (size_t i = 0; i < l->n_tls_certs; i++)
        for (size_t j = 0; j < setup->n_key; j++) {
            const Sp__KeyPair *k = setup->key[j];

            if (strcmp(k->name, l->tls_certs[i]->head.name) == 0)
                pairs[o.n_pairs++] = (struct sp_tls_pair){{sp_pb_str(k->chain_pem), k->name},
                                                          {sp_pb_str(k->key_pem), k->name},
                                                          {sp_pb_str(k->ocsp_der), k->name},
                                                          l->tls_certs[i]->names.v,
                                                          l->tls_certs[i]->names.n};
        }
    o.pairs = pairs;
    o.ask_client = l->client_certificates != SP_CONF_CERTS_OFF;
    o.tls13_at_least = l->tls_min == SP_CONF_TLS_1_3;
    o.send_ca_names = l->send_ca_names;
    o.client_ca = (struct sp_pem){sp_setup_file(setup, l->client_ca), l->client_ca};
    o.use_crl = l->client_crl != NULL;
    o.crl = (struct sp_pem){sp_setup_file(setup, l->client_crl), l->client_crl};
    rc = sp_tls_server(&o, &x->tls, err);
    sp_free(pairs);
    return rc;
}

struct srv_listener *srv_listener_new(struct sp_conf *conf, const struct sp_conf_listener *l,
                                      const Sp__Setup *setup, struct sp_err *err)
{
    struct srv_listener *x = sp_alloc(sizeof *x);

    if (!x) {
        (void)sp_err_nomem(err);
        return NULL;
    }
    x->refs = 1;
    x->conf = sp_conf_ref(conf);
    x->l = l;
    srv_policy(&x->policy, conf, l);
    srv_header_rules(&x->fix, conf, l);
    srv_limit_set(&x->user_rates, &l->user_messages, &l->user_recipients);
    srv_limit_set(&x->address_rates, &l->address_messages, &l->address_recipients);
    x->policy.bearer_error = x->bearer_error = bearer_error(conf);
    if (l->tls != SP_CONF_NONE && make_tls(x, setup, err) < 0) {
        srv_listener_unref(x);
        return NULL;
    }
    return x;
}

void srv_listener_ask(struct srv_listener *l, bool some_certificate)
{
    if (l->tls)
        sp_tls_ask_clients(l->tls, srv_asks_certificate(l->l, some_certificate));
}

struct srv_listener *srv_listener_ref(struct srv_listener *l)
{
    l->refs++;
    return l;
}

void srv_listener_unref(struct srv_listener *l)
{
    if (!l || --l->refs)
        return;
    sp_tls_unref(l->tls);
    sp_conf_unref(l->conf);
    sp_free(l->bearer_error);
    sp_free(l);
}
