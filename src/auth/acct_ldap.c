/*
 * acct_ldap.c - accounts in an LDAP directory (libldap).
 *
 * Two handles: one is bound as ourselves and searches, the other binds as users to judge
 * their passwords, so that a search never runs with a user's rights.  Nothing is said in
 * clear where starttls is on, and a certificate that does not verify ends it.  Referrals
 * are not followed: they would take passwords to whoever is named in them.
 *
 * An empty password must never reach a bind: RFC 4513 5.1.2 makes it an anonymous one,
 * and that succeeds.
 */
#include "acct.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <ldap.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { TEXT_MAX = 4096, ENTRIES_MAX = 2 };

static const char system_ca[] = "/etc/ssl/certs/ca-certificates.crt";

struct ldap_acct {
    const struct sp_conf_accounts *c;
    struct sp_secret *password; /* ours; NULL: none */
    LDAP *search, *bind;        /* NULL: not connected */
    size_t first;               /* the url that worked last */
    uint64_t until_ms;          /* of the present question */
};

static void *ldap_acct_open(const struct sp_conf_accounts *c, struct sp_str secret,
                            struct sp_err *err)
{
    struct ldap_acct *l = sp_alloc(sizeof *l);

    if (l && secret.n)
        l->password = sp_secret_new(secret.p, secret.n);
    if (!l || (secret.n && !l->password)) {
        sp_free(l);
        (void)sp_err_nomem(err);
        return NULL;
    }
    l->c = c;
    return l;
}

static void drop(LDAP **ld)
{
    if (*ld)
        (void)ldap_unbind_ext_s(*ld, NULL, NULL);
    *ld = NULL;
}

static void ldap_acct_close(void *self)
{
    struct ldap_acct *l = self;

    drop(&l->search);
    drop(&l->bind);
    sp_secret_free(l->password);
    sp_free(l);
}

/* ---- connecting ---- */

static struct timeval time_left(const struct ldap_acct *l, size_t parts)
{
    uint64_t now = sp_acct_now_ms(),
             ms = now < l->until_ms ? (l->until_ms - now) / parts : 0;

    if (ms < 100)
        ms = 100; /* 0 would mean for ever */
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

static int set_times(const struct ldap_acct *l, LDAP *ld, size_t parts)
{
    struct timeval t = time_left(l, parts);
    int rc = ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &t);

    return rc == LDAP_SUCCESS ? ldap_set_option(ld, LDAP_OPT_TIMEOUT, &t) : rc;
}

/* The system's ldap.conf may say otherwise; a password does not depend on that. */
static int set_tls(const struct ldap_acct *l, LDAP *ld)
{
    const char *ca = l->c->tls_ca ? l->c->tls_ca : system_ca;
    int hard = LDAP_OPT_X_TLS_HARD, least = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, no = 0;
    int rc = ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &hard);

    if (rc == LDAP_SUCCESS && (l->c->tls_ca || access(ca, R_OK) == 0))
        rc = ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, ca);
    if (rc == LDAP_SUCCESS)
        rc = ldap_set_option(ld, LDAP_OPT_X_TLS_PROTOCOL_MIN, &least);
    if (rc == LDAP_SUCCESS)
        rc = ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &no);
    return rc;
}

static void why(LDAP *ld, int rc, const char *url, struct sp_err *err)
{
    char *more = NULL;

    if (ld)
        (void)ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
    (void)sp_acct_away(err, "%s: %s%s%.150s", url, ldap_err2string(rc), more && *more ? ": " : "",
                       more ? more : "");
    ldap_memfree(more);
}

static int simple_bind(LDAP *ld, const char *dn, struct sp_str secret)
{
    struct berval cred = {.bv_len = secret.n, .bv_val = (char *)(uintptr_t)secret.p};

    return ldap_sasl_bind_s(ld, dn, LDAP_SASL_SIMPLE, &cred, NULL, NULL, NULL);
}

static int connect_to(struct ldap_acct *l, const char *url, bool as_us, LDAP **ret,
                      struct sp_err *err)
{
    int version = LDAP_VERSION3, rc;
    bool clear = strncmp(url, "ldap://", 7) == 0;
    LDAP *ld = NULL;

    if (l->c->tls_ca && access(l->c->tls_ca, R_OK) < 0) {
        (void)sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read %s", l->c->tls_ca);
        return -1;
    }
    rc = ldap_initialize(&ld, url);
    if (rc == LDAP_SUCCESS)
        rc = ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    if (rc == LDAP_SUCCESS)
        rc = ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    if (rc == LDAP_SUCCESS)
        rc = set_times(l, ld, l->c->url.n);
    if (rc == LDAP_SUCCESS && strncmp(url, "ldapi:", 6) != 0)
        rc = set_tls(l, ld);
    if (rc == LDAP_SUCCESS && clear && l->c->starttls)
        rc = ldap_start_tls_s(ld, NULL, NULL);
    /* Without a bind nothing is known about the connection either: an anonymous one. */
    if (rc == LDAP_SUCCESS)
        rc = simple_bind(ld, as_us ? l->c->bind_dn : NULL,
                         as_us && l->password ? sp_secret_get(l->password)
                                              : (struct sp_str){"", 0});
    if (rc == LDAP_INAPPROPRIATE_AUTH && !as_us)
        rc = LDAP_SUCCESS; /* no anonymous bind there; the user's comes next */
    if (rc != LDAP_SUCCESS) {
        why(ld, rc, url, err);
        drop(&ld);
        return -1;
    }
    *ret = ld;
    return 0;
}

static int connected(struct ldap_acct *l, bool as_us, struct sp_err *err)
{
    LDAP **ld = as_us ? &l->search : &l->bind;

    if (*ld)
        return set_times(l, *ld, 1) == LDAP_SUCCESS ? 0 : -1;
    for (size_t i = 0; i < l->c->url.n; i++) {
        size_t at = (l->first + i) % l->c->url.n;

        if (connect_to(l, l->c->url.v[at], as_us, ld, err) == 0) {
            l->first = at;
            return 0;
        }
    }
    return -1;
}

/* ---- escaping ---- */

/* RFC 4515 3: what has a meaning in a filter, as \XX. */
static int filter_escape(struct sp_buf *out, struct sp_str s)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        rc = c < 32 || c >= 127 || strchr("*()\\", c) ? sp_buf_printf(out, "\\%02x", c)
                                                      : sp_buf_put(out, &s.p[i], 1);
    }
    return rc;
}

/* RFC 4514 2.4: as \XX whatever is not plain, wherever it stands. */
static int dn_escape(struct sp_buf *out, struct sp_str s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@._-";
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        rc = c && strchr(plain, c) ? sp_buf_put(out, &s.p[i], 1)
                                   : sp_buf_printf(out, "\\%02x", c);
    }
    return rc;
}

/* ---- entries ---- */

static bool is_secret(const char *field)
{
    return strncmp(field, "password=", 9) == 0 || strncmp(field, "scram-", 6) == 0;
}

static enum sp_acct_status take_entry(struct ldap_acct *l, LDAP *ld, LDAPMessage *e,
                                      struct sp_acct *a, struct sp_err *err)
{
    bool checked = l->c->password_by == SP_CONF_BY_BIND;

    for (size_t i = 0; i < l->c->fields.n; i++) {
        const char *text = l->c->fields.v[i];
        struct sp_str attribute = sp_str(text), field = sp_str_cut(&attribute, '=');
        struct berval **v;

        if (checked && is_secret(text))
            continue;
        v = ldap_get_values_len(ld, e, attribute.p);
        for (int k = 0; v && v[k]; k++) {
            struct sp_str value = {v[k]->bv_val, v[k]->bv_len};

            if (sp_acct_put(a, sp_acct_field_named(field), value) < 0) {
                ldap_value_free_len(v);
                return sp_acct_away(err, "the directory has too much about this account");
            }
        }
        ldap_value_free_len(v);
    }
    if (checked && sp_acct_put(a, SP_ACCT_F_CHECKED, SP_LIT("yes")) < 0)
        return sp_acct_away(err, "out of memory");
    return SP_ACCT_OK;
}

/* Only what is asked for: an entry may hold photographs. */
static void attributes(const struct ldap_acct *l, char **list, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < l->c->fields.n && n + 1 < cap; i++)
        list[n++] = strchr((char *)(uintptr_t)l->c->fields.v[i], '=') + 1;
    if (n == 0)
        list[n++] = (char *)(uintptr_t)LDAP_NO_ATTRS;
    list[n] = NULL;
}

/* ret_dn: to be given to ldap_memfree(); NULL: not wanted. */
static enum sp_acct_status search(struct ldap_acct *l, LDAP **ld, const char *base, int scope,
                                  const char *filter, struct sp_acct *a, char **ret_dn,
                                  struct sp_err *err)
{
    char *list[64];
    struct timeval t = time_left(l, 1);
    LDAPMessage *res = NULL, *e;
    enum sp_acct_status st = SP_ACCT_NO;
    int rc;

    attributes(l, list, sizeof list / sizeof list[0]);
    rc = ldap_search_ext_s(*ld, base, scope, filter, list, 0, NULL, NULL, &t, ENTRIES_MAX, &res);
    if (rc != LDAP_SUCCESS && rc != LDAP_SIZELIMIT_EXCEEDED && rc != LDAP_NO_SUCH_OBJECT) {
        why(*ld, rc, l->c->url.v[l->first], err);
        (void)ldap_msgfree(res);
        drop(ld);
        return SP_ACCT_AWAY;
    }
    /* Two entries are none: neither may log in as the other. */
    e = rc == LDAP_SUCCESS && res && ldap_count_entries(*ld, res) == 1
            ? ldap_first_entry(*ld, res)
            : NULL;
    if (e)
        st = take_entry(l, *ld, e, a, err);
    if (st == SP_ACCT_OK && ret_dn && !(*ret_dn = ldap_get_dn(*ld, e)))
        st = sp_acct_away(err, "out of memory");
    (void)ldap_msgfree(res);
    return st;
}

static enum sp_acct_status find(struct ldap_acct *l, const char *template, struct sp_str name,
                                struct sp_acct *a, char **ret_dn, struct sp_err *err)
{
    struct sp_buf filter;
    enum sp_acct_status st = SP_ACCT_AWAY;

    sp_buf_init(&filter, TEXT_MAX);
    if (sp_acct_fill(template, name, filter_escape, &filter) < 0 || !sp_buf_cstr(&filter))
        st = sp_acct_away(err, "the filter becomes too long");
    else if (connected(l, true, err) == 0)
        st = search(l, &l->search, l->c->base ? l->c->base : "", LDAP_SCOPE_SUBTREE, filter.p,
                    a, ret_dn, err);
    sp_buf_free(&filter);
    return st;
}

/* ---- passwords ---- */

static enum sp_acct_status bind_as(struct ldap_acct *l, const char *dn, struct sp_str secret,
                                   struct sp_err *err)
{
    int rc;

    if (secret.n == 0 || memchr(secret.p, '\0', secret.n) || !*dn)
        return SP_ACCT_NO;
    if (connected(l, false, err) < 0)
        return SP_ACCT_AWAY;
    rc = simple_bind(l->bind, dn, secret);
    switch (rc) {
    case LDAP_SUCCESS:
        return SP_ACCT_OK;
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_NO_SUCH_OBJECT:
    case LDAP_INVALID_DN_SYNTAX:
    case LDAP_INAPPROPRIATE_AUTH:
    case LDAP_INSUFFICIENT_ACCESS:
    case LDAP_CONSTRAINT_VIOLATION: /* locked, in many a directory */
    case LDAP_UNWILLING_TO_PERFORM: /* no password there */
        (void)sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "LDAP: %s", ldap_err2string(rc));
        return SP_ACCT_NO;
    }
    why(l->bind, rc, l->c->url.v[l->first], err);
    drop(&l->bind);
    return SP_ACCT_AWAY;
}

static enum sp_acct_status check_template(struct ldap_acct *l, const struct sp_acct_ask *q,
                                          struct sp_acct *a, struct sp_err *err)
{
    struct sp_buf dn;
    enum sp_acct_status st;

    sp_buf_init(&dn, TEXT_MAX);
    if (sp_acct_fill(l->c->bind_template, q->name, dn_escape, &dn) < 0 || !sp_buf_cstr(&dn)) {
        sp_buf_free(&dn);
        return sp_acct_away(err, "the DN becomes too long");
    }
    st = bind_as(l, dn.p, q->secret, err);
    if (st == SP_ACCT_OK)
        st = search(l, &l->bind, dn.p, LDAP_SCOPE_BASE, "(objectClass=*)", a, NULL, err);
    if (st == SP_ACCT_OK && sp_acct_put(a, SP_ACCT_F_BLIND, SP_LIT("yes")) < 0)
        st = sp_acct_away(err, "out of memory");
    sp_buf_free(&dn);
    return st;
}

static enum sp_acct_status check(struct ldap_acct *l, const struct sp_acct_ask *q,
                                 struct sp_acct *a, struct sp_err *err)
{
    char *dn = NULL;
    enum sp_acct_status st;

    if (l->c->bind_template)
        return check_template(l, q, a, err);
    st = find(l, l->c->filter, q->name, a, &dn, err);
    if (st == SP_ACCT_OK)
        st = bind_as(l, dn, q->secret, err);
    ldap_memfree(dn);
    return st;
}

static enum sp_acct_status ldap_acct_ask(void *self, const struct sp_acct_ask *q,
                                         struct sp_acct *a, struct sp_err *err)
{
    struct ldap_acct *l = self;

    l->until_ms = sp_acct_now_ms() + l->c->timeout_s * 1000;
    switch (q->what) {
    case SP_ACCT_FIND:
        if (!l->c->bind_template)
            return find(l, l->c->filter, q->name, a, NULL, err);
        if (sp_acct_put(a, SP_ACCT_F_CHECKED, SP_LIT("yes")) < 0 ||
            sp_acct_put(a, SP_ACCT_F_BLIND, SP_LIT("yes")) < 0)
            return sp_acct_away(err, "out of memory");
        return SP_ACCT_OK;
    case SP_ACCT_FIND_BY_PIN:
        return l->c->certificate_filter
                   ? find(l, l->c->certificate_filter, q->name, a, NULL, err)
                   : SP_ACCT_NO;
    case SP_ACCT_CHECK:
        return check(l, q, a, err);
    case SP_ACCT_SASL:
    case SP_ACCT_SASL_STEP:
        break;
    }
    return SP_ACCT_NO;
}

static bool ldap_acct_stale(void *self)
{
    const struct ldap_acct *l = self;

    return l->search || l->bind;
}

const struct sp_acct_ops sp_acct_ldap = {
    .can = SP_ACCT_CAN_FIND | SP_ACCT_CAN_SCRAM | SP_ACCT_CAN_PIN,
    .open = ldap_acct_open,
    .close = ldap_acct_close,
    .ask = ldap_acct_ask,
    .stale = ldap_acct_stale,
};
