/* report.c - what the reports share.  See report_i.h. */
#include "report_i.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sp_rep_puts(struct sp_rep *r, const char *s)
{
    if (r->rc == 0)
        r->rc = sp_buf_puts(r->out, s);
}

void sp_rep_printf(struct sp_rep *r, const char *fmt, ...)
{
    char text[2000];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (r->rc == 0 && (n < 0 || (size_t)n >= sizeof text))
        r->rc = -SP_ELIMIT;
    if (r->rc == 0)
        r->rc = sp_buf_put(r->out, text, (size_t)n);
}

/* ---- peer text ---- */

/* Octets of a character that changes how its neighbours are shown: embeddings, overrides,
 * isolates and marks of direction, separators of lines, the byte order mark (the attack is
 * known as Trojan Source, CVE-2021-42574).  0: it is none. */
static size_t turning(const char *p, size_t n)
{
    static const char *const marks[] = {
        "\xd8\x9c",     "\xe2\x80\x8b", "\xe2\x80\x8c", "\xe2\x80\x8d", "\xe2\x80\x8e",
        "\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaa", "\xe2\x80\xab",
        "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x81\xa7",
        "\xe2\x81\xa8", "\xe2\x81\xa9", "\xef\xbb\xbf"};

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        size_t len = strlen(marks[i]);

        if (len <= n && memcmp(p, marks[i], len) == 0)
            return len;
    }
    return 0;
}

int sp_rep_show(struct sp_buf *out, struct sp_str s)
{
    size_t from = 0, len;
    int rc = 0;

    for (size_t i = 0; i <= s.n && rc == 0; i++) {
        bool quote = i < s.n && s.p[i] == '"';

        len = i < s.n ? turning(s.p + i, s.n - i) : 0;
        if (i < s.n && !quote && len == 0)
            continue;
        if (i > from)
            rc = sp_put_escaped(out, (struct sp_str){s.p + from, i - from});
        if (rc == 0 && quote)
            rc = sp_buf_puts(out, "\"");
        for (size_t k = 0; k < len && rc == 0; k++)
            rc = sp_buf_printf(out, "\\x%02x", (unsigned char)s.p[i + k]);
        i += len ? len - 1 : 0;
        from = i + 1;
    }
    return rc;
}

/* ---- sentences ---- */

void sp_rep_sentence(const struct sp_finding *x,
                     void (*piece)(void *arg, struct sp_str s, bool fact), void *arg)
{
    const char *p = x->row->sentence, *from = p;

    for (; *p; p++) {
        unsigned i = (unsigned)(p[1] - '1');

        if (*p != '%' || i >= SP_FACTS)
            continue;
        if (p > from)
            piece(arg, (struct sp_str){from, (size_t)(p - from)}, false);
        piece(arg, sp_str(x->fact[i] ? x->fact[i] : "?"), true);
        from = ++p + 1;
    }
    if (p > from)
        piece(arg, (struct sp_str){from, (size_t)(p - from)}, false);
}

struct into {
    struct sp_buf *out;
    int rc;
};

static void add_piece(void *arg, struct sp_str s, bool fact)
{
    struct into *in = arg;

    if (in->rc == 0)
        in->rc = fact ? sp_rep_show(in->out, s) : sp_buf_str(in->out, s);
}

int sp_rep_sentence_text(const struct sp_finding *x, struct sp_buf *out)
{
    struct into in = {out, 0};

    sp_rep_sentence(x, add_piece, &in);
    return in.rc;
}

/* ---- recipes ---- */

/* Recipes are pasted into shells and files: a value that a shell could take for more than
 * a word is not filled in. */
static bool pastes(const char *s)
{
    return s && *s && *s != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                     "@._:+-/") == strlen(s);
}

/* What depends on how TLS begins: STARTTLS, implicit TLS. */
static const struct {
    const char *name, *starttls, *implicit;
} transports[] = {{"scheme", "smtp", "smtps"},
                  {"starttls", "on", "off"},             /* msmtp */
                  {"security", "STARTTLS", "SSL/TLS"},   /* Thunderbird */
                  {"tls", "--tls", "--tls-on-connect"}}; /* swaks */

static const char *transport(const struct sp_findings *f, struct sp_str name)
{
    const char *tls = sp_findings_get(f, "tls");

    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++)
        if (sp_str_is(name, transports[i].name))
            return tls && strcmp(tls, "implicit") == 0 ? transports[i].implicit
                                                       : transports[i].starttls;
    return NULL;
}

static const char *place(const struct sp_findings *f, struct sp_str name)
{
    static const char *const keys[] = {"host", "port", "user"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (sp_str_is(name, keys[i]))
            return sp_findings_get(f, keys[i]);
    return sp_findings_filled(f, name);
}

static bool ends(const struct sp_buf *out, const char *s)
{
    size_t n = strlen(s);

    return out->n >= n && memcmp(out->p + out->n - n, s, n) == 0;
}

/* An address of IPv6 stands in brackets where a port may follow it: in URLs, for swaks. */
static bool bracketed(struct sp_str name, const char *value, const struct sp_buf *out)
{
    return sp_str_is(name, "host") && strchr(value, ':') &&
           (ends(out, "://") || ends(out, "--server "));
}

/* "{user}" that is not known stays a word to be replaced: USER. */
static int put_place(const struct sp_findings *f, struct sp_str name,
                     struct sp_buf *out)
{
    const char *v = transport(f, name);
    int rc = 0;

    if (v)
        return sp_buf_puts(out, v);
    v = place(f, name);
    if (pastes(v))
        return sp_buf_printf(out, bracketed(name, v, out) ? "[%s]" : "%s", v);
    for (size_t i = 0; i < name.n && rc == 0; i++)
        rc = sp_buf_printf(out, "%c", name.p[i] - 'a' + 'A');
    return rc;
}

static int put_places(const struct sp_findings *f, const char *recipe,
                      struct sp_buf *out)
{
    int rc = 0;

    for (const char *p = recipe; *p && rc == 0;) {
        size_t n = *p == '{' ? strspn(p + 1, "abcdefghijklmnopqrstuvwxyz") : 0;

        if (n && p[n + 1] == '}') {
            rc = put_place(f, (struct sp_str){p + 1, n}, out);
            p += n + 2;
        } else {
            rc = sp_buf_put(out, p++, 1);
        }
    }
    return rc;
}

int sp_rep_recipe(const struct sp_findings *f, const struct sp_recipe_client *c,
                  const char *recipe, struct sp_buf *out)
{
    int rc = put_places(f, recipe, out);

    return rc == 0 && sp_findings_filled(f, SP_LIT("ca")) ? put_places(f, c->ca, out)
                                                          : rc;
}

/* ---- capabilities ---- */

static bool earlier(const struct sp_findings *f, unsigned when, const char *line)
{
    for (unsigned w = 0; w < when; w++)
        if (sp_rep_cap_in(f, (enum sp_caps_when)w, line))
            return true;
    return false;
}

const char *sp_rep_cap(const struct sp_findings *f, size_t i)
{
    for (unsigned w = 0; w < SP_CAPS_COUNT; w++)
        for (size_t k = 0; k < f->caps[w].n; k++)
            if (!earlier(f, w, f->caps[w].line[k]) && i-- == 0)
                return f->caps[w].line[k];
    return NULL;
}

bool sp_rep_cap_in(const struct sp_findings *f, enum sp_caps_when when,
                   const char *line)
{
    for (size_t i = 0; i < f->caps[when].n; i++)
        if (sp_str_caseis(sp_str(line), f->caps[when].line[i]))
            return true;
    return false;
}

const char *sp_rep_caps_name(enum sp_caps_when when)
{
    static const char *const names[SP_CAPS_COUNT] = {[SP_CAPS_CLEAR] = "in clear",
                                                     [SP_CAPS_TLS] = "inside TLS",
                                                     [SP_CAPS_CERT] =
                                                         "with certificate",
                                                     [SP_CAPS_LOGIN] = "after login"};

    return names[when];
}

const char *sp_rep_caps_key(enum sp_caps_when when)
{
    static const char *const keys[SP_CAPS_COUNT] = {[SP_CAPS_CLEAR] = "clear",
                                                    [SP_CAPS_TLS] = "tls",
                                                    [SP_CAPS_CERT] = "certificate",
                                                    [SP_CAPS_LOGIN] = "login"};

    return keys[when];
}

/* ---- the run in a few words ---- */

struct sp_rep_cost sp_rep_cost(const struct sp_findings *f)
{
    struct sp_rep_cost c = {0};

    for (unsigned i = 0; i < SP_CHECK_COUNT; i++) {
        if (sp_check_row((enum sp_check_id)i)->side != f->side)
            continue;
        c.ran += f->check[i].state == SP_CHECK_DONE;
        c.not_run += f->check[i].state == SP_CHECK_NOT_RUN;
        c.connections += f->check[i].connections;
        c.failed_logins += f->check[i].failed_logins;
    }
    if (f->connections) {
        c.connections = f->connections;
        c.failed_logins = f->failed_logins;
    }
    return c;
}

bool sp_rep_left_out(const struct sp_findings *f, enum sp_check_id id)
{
    return sp_check_row(id)->side == f->side &&
           (f->check[id].state == SP_CHECK_NOT_RUN || f->check[id].why[0]);
}

bool sp_rep_any_left_out(const struct sp_findings *f)
{
    for (int i = 0; i < SP_CHECK_COUNT; i++)
        if (sp_rep_left_out(f, (enum sp_check_id)i))
            return true;
    return false;
}

int sp_rep_subject(const struct sp_findings *f, struct sp_buf *out)
{
    const char *host = sp_findings_get(f, "host"), *port = sp_findings_get(f, "port"),
               *client = sp_findings_get(f, "client");
    bool v6 = host && strchr(host, ':');
    int rc;

    if (f->side == SP_SIDE_CLIENT)
        return sp_rep_show(out, sp_str(client ? client : "client"));
    rc = v6 ? sp_buf_puts(out, "[") : 0;
    if (rc == 0)
        rc = sp_rep_show(out, sp_str(host ? host : "server"));
    if (rc == 0 && v6)
        rc = sp_buf_puts(out, "]");
    return rc || !port ? rc : sp_buf_printf(out, ":%s", port);
}

int sp_rep_about(const struct sp_findings *f, struct sp_buf *out)
{
    static const char *const keys[] = {"product", "version",     "address", "proxy",
                                       "tls",     "tls-version", "login"};
    bool some = false;
    int rc = 0;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && rc == 0; i++) {
        const char *v = sp_findings_get(f, keys[i]);

        if (!v || strcmp(v, "unknown") == 0)
            continue;
        if (strcmp(keys[i], "tls") == 0)
            v = strcmp(v, "starttls") == 0   ? "STARTTLS"
                : strcmp(v, "implicit") == 0 ? "implicit TLS"
                                             : "no TLS";
        rc = !some                             ? 0
             : strcmp(keys[i], "version") == 0 ? sp_buf_puts(out, " ")
             : strcmp(keys[i], "login") == 0   ? sp_buf_puts(out, ", logged in by ")
             : strcmp(keys[i], "proxy") == 0   ? sp_buf_puts(out, ", through ")
                                               : sp_buf_puts(out, ", ");
        some = true;
        if (rc == 0)
            rc = sp_rep_show(out, sp_str(v));
    }
    return rc;
}

const char *sp_rep_worst(const struct sp_findings *f)
{
    return f->n ? sp_severity_name(f->finding[0]->severity) : "unknown";
}
