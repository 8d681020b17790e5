/* catalogue.c - the rows as tables, looking them up, and doc/findings.md.  See finding.h. */
#include "finding.h"

#include "text.h"

#include <string.h>

/* clang-format off */
static const struct sp_check_row checks[SP_CHECK_COUNT] = {
#define SP_CHECK(name, ...) [SP_C_##name] = {.side = SP_SIDE_HERE, __VA_ARGS__},
#include "catalogue.h"
};

static const struct sp_finding_row findings[SP_FINDING_COUNT] = {
#define SP_FINDING(name, ...) [SP_F_##name] = {__VA_ARGS__},
#include "catalogue.h"
};

static const struct sp_recipe_row recipes[SP_RECIPE_COUNT] = {
#define SP_RECIPE(name, ...) [SP_R_##name] = {__VA_ARGS__},
#include "catalogue.h"
};

static const struct {
    const char *name, *heading, *meaning;
} severities[SP_SEV_COUNT] = {
    [SP_SEV_GOOD]     = {"good", "Good", "as it should be"},
    [SP_SEV_ADVICE]   = {"advice", "Advice", "works, and would be better otherwise, or is good to know"},
    [SP_SEV_INTEROP]  = {"interoperability", "Interoperability", "some programs do not get along with it; exit status 1"},
    [SP_SEV_BROKEN]   = {"broken", "Broken", "against the standard, or does not do what it announces; exit status 2"},
    [SP_SEV_INSECURE] = {"insecure", "Insecure", "passwords, mail or identities are exposed; exit status 3"},
};
/* clang-format on */

const struct sp_check_row *sp_check_row(enum sp_check_id id)
{
    return &checks[id];
}

const struct sp_finding_row *sp_finding_row(enum sp_finding_id id)
{
    return &findings[id];
}

const struct sp_recipe_row *sp_recipe_row(enum sp_recipe_id id)
{
    return id == SP_R_NONE ? NULL : &recipes[id];
}

int sp_check_by_id(struct sp_str id)
{
    for (int i = 0; i < SP_CHECK_COUNT; i++)
        if (sp_str_caseis(id, checks[i].id))
            return i;
    return -SP_ENOENT;
}

int sp_finding_by_id(struct sp_str id)
{
    for (int i = 0; i < SP_FINDING_COUNT; i++)
        if (sp_str_is(id, findings[i].id))
            return i;
    return -SP_ENOENT;
}

const char *sp_severity_name(enum sp_severity s)
{
    return severities[s].name;
}

const char *sp_product_name(enum sp_product p)
{
    static const char *const names[SP_PRODUCT_COUNT] = {
        "unknown", "Postfix",   "Exim",      "Sendmail",
        "Dovecot", "OpenSMTPD", "Sallyport", "other"};

    return names[p];
}

const char *sp_product_setting(const struct sp_finding_row *row, enum sp_product p)
{
    switch (p) {
    case SP_PRODUCT_POSTFIX:
        return row->postfix;
    case SP_PRODUCT_EXIM:
        return row->exim;
    case SP_PRODUCT_SENDMAIL:
        return row->sendmail;
    case SP_PRODUCT_DOVECOT:
        return row->dovecot;
    case SP_PRODUCT_OPENSMTPD:
        return row->opensmtpd;
    case SP_PRODUCT_UNKNOWN:
    case SP_PRODUCT_SALLYPORT:
    case SP_PRODUCT_OTHER:
    case SP_PRODUCT_COUNT:
        break;
    }
    return NULL;
}

const struct sp_recipe_client *sp_recipe_clients(void)
{
    static const struct sp_recipe_client c[] = {
        {"curl", "curl", offsetof(struct sp_recipe_row, curl),
         " \\\n     --cacert {ca}"},
        {"msmtp", "msmtp", offsetof(struct sp_recipe_row, msmtp),
         "\ntls_trust_file {ca}"},
        {"thunderbird", "Thunderbird", offsetof(struct sp_recipe_row, thunderbird),
         "\nAuthority to import (Settings, Certificates, Authorities): {ca}"},
        {"swaks", "swaks", offsetof(struct sp_recipe_row, swaks),
         " \\\n      --tls-ca-path {ca}"},
        {"sallyport", "sallyport send", offsetof(struct sp_recipe_row, sallyport),
         " \\\n     --ca {ca}"},
        {NULL, NULL, 0, NULL},
    };

    return c;
}

const char *sp_recipe_text(const struct sp_recipe_row *row,
                           const struct sp_recipe_client *c)
{
    return *(const char *const *)((const char *)row + c->offset);
}

/* ---- doc/findings.md ---- */

/* What Markdown would take for markup, in sentences of the catalogue: `<host>`. */
static int put_md(struct sp_buf *out, const char *s)
{
    int rc = 0;

    for (bool code = false; *s && rc == 0; s++) {
        code = code != (*s == '`');
        rc = !code && (*s == '<' || *s == '*' || *s == '_')
                 ? sp_buf_printf(out, "\\%c", *s)
                 : sp_buf_put(out, s, 1);
    }
    return rc;
}

/* %1 becomes `X`: a reader takes it for a place. */
static int put_sentence(struct sp_buf *out, const char *s)
{
    char text[1000];
    size_t n = 0;

    for (; *s && n < sizeof text - 4; s++) {
        if (s[0] == '%' && s[1] >= '1' && s[1] <= '0' + SP_FACTS) {
            text[n++] = '`';
            text[n++] = "XYZ"[s[1] - '1'];
            text[n++] = '`';
            s++;
        } else {
            text[n++] = *s;
        }
    }
    text[n] = '\0';
    return put_md(out, text);
}

static int put_line(struct sp_buf *out, const char *label, const char *text)
{
    int rc = text ? sp_buf_printf(out, "- **%s** ", label) : 0;

    if (text && rc == 0)
        rc = put_md(out, text);
    if (text && rc == 0)
        rc = sp_buf_puts(out, "\n");
    return rc;
}

static int put_settings(struct sp_buf *out, const struct sp_finding_row *r)
{
    int rc = 0;

    for (unsigned p = SP_PRODUCT_POSTFIX; p <= SP_PRODUCT_OPENSMTPD && rc == 0; p++)
        rc = put_line(out, sp_product_name((enum sp_product)p),
                      sp_product_setting(r, (enum sp_product)p));
    return rc;
}

static int put_finding(struct sp_buf *out, const struct sp_finding_row *r)
{
    int rc =
        sp_buf_printf(out, "\n#### `%s` (%s)\n\n", r->id, severities[r->severity].name);

    if (rc == 0)
        rc = put_sentence(out, r->sentence);
    if (rc == 0)
        rc = sp_buf_puts(out, "\n\n");
    if (rc == 0)
        rc = put_line(out, "Why", r->why);
    if (rc == 0)
        rc = put_line(out, "Standard", r->rfc);
    if (rc == 0)
        rc = put_line(out, "Change", r->change);
    if (rc == 0)
        rc = put_settings(out, r);
    if (rc == 0 && r->recipe)
        rc = sp_buf_printf(out, "- **Clients** [%s](#recipe-%s)\n",
                           recipes[r->recipe].title, recipes[r->recipe].id);
    return rc;
}

static const char *tier_words(enum sp_check_tier t)
{
    return t == SP_TIER_GENTLE     ? "in every run"
           : t == SP_TIER_THOROUGH ? "with `--thorough`"
                                   : "with `--intrusive`";
}

int sp_check_put_needs(struct sp_buf *out, unsigned needs)
{
    static const struct {
        unsigned bit;
        const char *words;
    } names[] = {
        {SP_NEEDS_PASSWORD, "a user and a password"},
        {SP_NEEDS_CERTIFICATE, "a client certificate"},
        {SP_NEEDS_BAD_CERT, "--bad-cert"},
        {SP_NEEDS_SEND_TO, "--send-to"},
        {SP_NEEDS_STARTTLS, "STARTTLS"},
        {SP_NEEDS_MX, "--profile mx"},
        {SP_NEEDS_SUBMISSION, "--profile submission"},
    };
    bool some = false;
    int rc = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == 0; i++)
        if (needs & names[i].bit) {
            rc = sp_buf_printf(out, "%s%s", some ? ", " : "", names[i].words);
            some = true;
        }
    return rc;
}

int sp_check_put_cost(struct sp_buf *out, const struct sp_check_row *c)
{
    int rc = c->connections ? sp_buf_printf(out, "%u connection%s", c->connections,
                                            c->connections == 1 ? "" : "s")
                            : sp_buf_puts(out, "no connection of its own");

    if (rc == 0 && c->failed_logins)
        rc = sp_buf_printf(out, ", %u failed login%s", c->failed_logins,
                           c->failed_logins == 1 ? "" : "s");
    if (rc == 0 && c->mails)
        rc = sp_buf_printf(out, ", %u message%s", c->mails, c->mails == 1 ? "" : "s");
    return rc;
}

static int put_check(struct sp_buf *out, int id)
{
    const struct sp_check_row *c = &checks[id];
    int rc = sp_buf_printf(out, "\n### %s: %s\n\n", c->id, c->title);

    if (rc == 0)
        rc = put_md(out, c->asks);
    if (rc == 0)
        rc = sp_buf_printf(out, " Runs %s", tier_words(c->tier));
    if (rc == 0 && c->needs) {
        rc = sp_buf_puts(out, "; needs ");
        rc = rc < 0 ? rc : sp_check_put_needs(out, c->needs);
    }
    if (rc == 0)
        rc = sp_buf_puts(out, ". Costs ");
    if (rc == 0)
        rc = sp_check_put_cost(out, c);
    if (rc == 0)
        rc = sp_buf_puts(out, ".\n");
    for (int i = 0; i < SP_FINDING_COUNT && rc == 0; i++)
        if ((int)findings[i].check == id)
            rc = put_finding(out, &findings[i]);
    return rc;
}

/* A setting as a block of code inside a list; it may have several lines. */
static int put_code(struct sp_buf *out, const char *name, const char *text)
{
    struct sp_str rest = sp_str(text);
    int rc = sp_buf_printf(out, "- **%s**\n\n  ```\n", name);

    while (rc == 0 && rest.n) {
        struct sp_str line = sp_str_cut(&rest, '\n');

        rc = sp_buf_printf(out, "  %.*s\n", (int)line.n, line.p);
    }
    return rc < 0 ? rc : sp_buf_puts(out, "  ```\n");
}

/* What trusts an authority, without the line break in front of it. */
static int put_addition(struct sp_buf *out, const struct sp_recipe_client *c)
{
    return sp_buf_printf(out, "%s%s `%s`", strcmp(c->key, "curl") ? ", " : "\n",
                         c->name, c->ca + strspn(c->ca, " \\\n"));
}

static int put_recipe(struct sp_buf *out, const struct sp_recipe_row *r)
{
    int rc =
        sp_buf_printf(out, "\n### <a id=\"recipe-%s\"></a>%s\n\n", r->id, r->title);

    for (const struct sp_recipe_client *c = sp_recipe_clients(); c->key && rc == 0; c++)
        rc = sp_recipe_text(r, c) ? put_code(out, c->name, sp_recipe_text(r, c))
                                  : sp_buf_printf(out, "- **%s** cannot.\n", c->name);
    return rc;
}

static int put_head(struct sp_buf *out)
{
    int rc = sp_buf_puts(
        out,
        "# What `sallyport check` can find\n\n"
        "Made from the table that the program uses (`src/check/cat_server.h`, "
        "`src/check/cat_client.h`); change it there.\n"
        "Ids are stable: scripts may rely on them. `X`, `Y` and `Z` stand for what "
        "was found in the run.\n\n"
        "| severity | findings | meaning |\n|---|---|---|\n");

    for (int s = SP_SEV_COUNT - 1; s >= 0 && rc == 0; s--) {
        unsigned n = 0;

        for (int i = 0; i < SP_FINDING_COUNT; i++)
            n += (int)findings[i].severity == s;
        rc = sp_buf_printf(out, "| %s | %u | %s |\n", severities[s].name, n,
                           severities[s].meaning);
    }
    return rc;
}

static int put_side(struct sp_buf *out, enum sp_side side, const char *heading)
{
    int rc = sp_buf_printf(out, "\n## %s\n", heading);

    for (int i = 0; i < SP_CHECK_COUNT && rc == 0; i++)
        if (checks[i].side == side)
            rc = put_check(out, i);
    return rc;
}

int sp_catalogue_markdown(struct sp_buf *out)
{
    int rc = put_head(out);

    if (rc == 0)
        rc = put_side(out, SP_SIDE_SERVER, "Servers: `sallyport check HOST`");
    if (rc == 0)
        rc = put_side(out, SP_SIDE_CLIENT, "Clients: `sallyport check --client`");
    if (rc == 0 && SP_RECIPE_COUNT > 1)
        rc = sp_buf_puts(
            out,
            "\n## Recipes: what a client must be set to\n\n"
            "What stands in braces is filled in by the run, `{cert}`, "
            "`{key}` and `{ca}` with the PEM files it was given; words "
            "in capitals are for the reader to replace. MESSAGE is a "
            "text file with header and body whose lines end in LF "
            "(with CRLF, curl must not be told --crlf). A run with `--ca` adds to each "
            "how to trust that authority:\n");
    for (const struct sp_recipe_client *c = sp_recipe_clients();
         SP_RECIPE_COUNT > 1 && c->key && rc == 0; c++)
        rc = put_addition(out, c);
    if (SP_RECIPE_COUNT > 1 && rc == 0)
        rc = sp_buf_puts(out, ".\n");
    for (int i = SP_R_NONE + 1; i < SP_RECIPE_COUNT && rc == 0; i++)
        rc = put_recipe(out, &recipes[i]);
    return rc;
}
