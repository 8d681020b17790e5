/* conf_dump.c - the configuration as text again, and questions to it. */
#include "conf_in.h"

#include <stdio.h>
#include <string.h>

enum {
    LINE_WISH = 88,   /* for people */
    LINE_LONG = 3900, /* for lists that nobody reads: a dump must not outgrow a file */
    VALUE_MAX = 16 * 1024 * 1024,
};

/* 1: the value is the table's default. */
static int is_default(const struct sp_conf_key *k, const struct sp_conf_head *h)
{
    struct sp_buf v;
    int rc;

    sp_buf_init(&v, VALUE_MAX);
    rc = sp_conf_value_text(k, h, &v);
    if (rc >= 0)
        rc = sp_str_is(sp_buf_view(&v), k->def);
    sp_buf_free(&v);
    return rc;
}

/* One line with as many elements from *i on as are wished for; at least one, if any. */
static int put_line(const struct sp_conf_key *k, const void *section, const char *lead,
                    size_t n, size_t *i, struct sp_buf *out)
{
    size_t wish = n > 1000 ? LINE_LONG : LINE_WISH, from = out->n, before;
    int rc = sp_buf_printf(out, "%s%s =", lead, k->name);

    for (size_t first = *i; rc == 0 && *i < n; ++*i) {
        before = out->n;
        if ((rc = sp_buf_puts(out, " ")) == 0)
            rc = conf_print_at(k, section, *i, out);
        if (rc == 0 && *i > first && out->n - from > wish) {
            out->n = before; /* it begins the next line */
            break;
        }
    }
    return rc ? rc : sp_buf_puts(out, "\n");
}

/* What to do with one key: leave it out, write it, or show it as a comment. */
static int dump_key(const struct sp_conf_key *k, const struct sp_conf_head *h, bool all,
                    const char *indent, struct sp_buf *out)
{
    bool written = sp_conf_given(h, k), comment = h->implied || !written;
    size_t n = conf_count(k, h), i = 0;
    char lead[8] = "";
    int rc;

    if (!all && (!written || h->implied))
        return 0;
    if (!all && k->def && (rc = is_default(k, h)) != 0)
        return rc < 0 ? rc : 0;
    /* What was not written stays a comment, so that it still is the default, and hangs
     * on what it hangs on, when the text is read again. */
    (void)snprintf(lead, sizeof lead, "%s%s", comment ? "# " : "", indent);
    if (n == 0 && comment && k->def_doc)
        return sp_buf_printf(out, "%s%s = (%s)\n", lead, k->name, k->def_doc);
    do
        rc = put_line(k, h, lead, n, &i, out);
    while (rc == 0 && i < n);
    return rc;
}

static int dump_section(enum sp_conf_section_id id, const struct sp_conf_head *h,
                        bool all, struct sp_buf *out)
{
    const char *lead = h->implied ? "# " : "", *indent = id == SP_CONF_TOP ? "" : "  ";
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    int rc = 0;

    if (h->implied && !all)
        return 0;
    if (id != SP_CONF_TOP)
        rc = sp_buf_printf(out, "\n%s%s %s {\n", lead, sp_conf_section(id)->name,
                           h->name);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (k[i].section == id && !k[i].deprecated_by)
            rc = dump_key(&k[i], h, all, indent, out);
    if (rc == 0 && id != SP_CONF_TOP)
        rc = sp_buf_printf(out, "%s}\n", lead);
    return rc;
}

int sp_conf_dump(const struct sp_conf *c, bool all, struct sp_buf *out)
{
    int rc = dump_section(SP_CONF_TOP, &c->head, all, out);

    for (size_t i = 0; rc == 0 && i < c->n_tls; i++)
        rc = dump_section(SP_CONF_TLS, &c->tls[i].head, all, out);
    for (size_t i = 0; rc == 0 && i < c->n_listeners; i++)
        rc = dump_section(SP_CONF_LISTENER, &c->listeners[i].head, all, out);
    for (size_t i = 0; rc == 0 && i < c->n_routes; i++)
        rc = dump_section(SP_CONF_ROUTE, &c->routes[i].head, all, out);
    for (size_t i = 0; rc == 0 && i < c->n_oauth; i++)
        rc = dump_section(SP_CONF_OAUTH, &c->oauth[i].head, all, out);
    for (size_t i = 0; rc == 0 && i < c->n_dkim; i++)
        rc = dump_section(SP_CONF_DKIM, &c->dkim[i].head, all, out);
    for (size_t i = 0; rc == 0 && i < c->n_milters; i++)
        rc = dump_section(SP_CONF_MILTER, &c->milters[i].head, all, out);
    for (size_t i = 0; rc == 0 && i < c->n_policies; i++)
        rc = dump_section(SP_CONF_POLICY, &c->policies[i].head, all, out);
    for (size_t i = 0; rc == 0 && i < c->n_accounts; i++)
        rc = dump_section(SP_CONF_ACCOUNTS, &c->accounts[i].head, all, out);
    for (size_t i = 0; rc == 0 && i < c->n_filters; i++)
        rc = dump_section(SP_CONF_FILTER, &c->filters[i].head, all, out);
    return rc;
}

const struct sp_conf_milter *sp_conf_milter_named(const struct sp_conf *c, const char *name)
{
    for (size_t i = 0; i < c->n_milters; i++)
        if (strcmp(c->milters[i].head.name, name) == 0)
            return &c->milters[i];
    return NULL;
}

const struct sp_conf_route *sp_conf_filter_route(const struct sp_conf *c, const char *name)
{
    static const char kind[] = "content-filter ";

    for (size_t i = 0; i < c->n_routes; i++)
        if (strncmp(c->routes[i].head.name, kind, sizeof kind - 1) == 0 &&
            strcmp(c->routes[i].head.name + sizeof kind - 1, name) == 0)
            return &c->routes[i];
    return NULL;
}

const struct sp_conf_policy *sp_conf_policy_named(const struct sp_conf *c, const char *name)
{
    for (size_t i = 0; i < c->n_policies; i++)
        if (strcmp(c->policies[i].head.name, name) == 0)
            return &c->policies[i];
    return NULL;
}

const struct sp_conf_listener *sp_conf_listener_named(const struct sp_conf *c,
                                                      const char *name)
{
    for (size_t i = 0; i < c->n_listeners; i++)
        if (strcmp(c->listeners[i].head.name, name) == 0)
            return &c->listeners[i];
    return NULL;
}

/* ---- which route ---- */

static struct sp_str domain_of(struct sp_str address)
{
    size_t at = address.n;

    while (at && address.p[at - 1] != '@')
        at--;
    return (struct sp_str){address.p + at, at ? address.n - at : 0};
}

/* Local parts are compared exactly, domains without regard to case. */
static bool same_address(struct sp_str a, struct sp_str b)
{
    struct sp_str da = domain_of(a), db = domain_of(b);

    return a.n == b.n && sp_str_caseeq(da, db) &&
           sp_str_eq((struct sp_str){a.p, a.n - da.n},
                     (struct sp_str){b.p, b.n - db.n});
}

static bool below(struct sp_str domain, struct sp_str parent)
{
    return domain.n > parent.n + 1 && domain.p[domain.n - parent.n - 1] == '.' &&
           sp_str_caseeq((struct sp_str){domain.p + domain.n - parent.n, parent.n},
                         parent);
}

static bool sender_matches(struct sp_str want, struct sp_str sender)
{
    if (sp_str_is(want, "<>"))
        return sender.n == 0 || sp_str_is(sender, "<>");
    if (memchr(want.p, '@', want.n))
        return same_address(want, sender);
    return sp_str_caseeq(want, domain_of(sender));
}

static bool matches(const struct sp_conf_match *m, struct sp_str recipient,
                    struct sp_str sender, struct sp_str user)
{
    struct sp_str want = sp_str(m->text);

    switch (m->kind) {
    case SP_CONF_MATCH_ALL:
        return true;
    case SP_CONF_MATCH_DOMAIN:
        return sp_str_caseeq(want, domain_of(recipient));
    case SP_CONF_MATCH_SUBDOMAIN:
        return below(domain_of(recipient), want);
    case SP_CONF_MATCH_RECIPIENT:
        return same_address(want, recipient);
    case SP_CONF_MATCH_SENDER:
        return sender_matches(want, sender);
    case SP_CONF_MATCH_USER:
        return user.n && sp_str_eq(want, user);
    }
    return false;
}

const struct sp_conf_route *sp_conf_route_for(const struct sp_conf *c,
                                              struct sp_str recipient,
                                              struct sp_str sender, struct sp_str user)
{
    for (size_t i = 0; i < c->n_routes; i++)
        for (size_t j = 0; j < c->routes[i].match.n; j++)
            if (matches(&c->routes[i].match.v[j], recipient, sender, user))
                return &c->routes[i];
    return NULL;
}
