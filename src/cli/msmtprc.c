/* msmtprc.c - an msmtp configuration as an accounts file; see accounts.h. */
#include "accounts.h"
#include "err.h"
#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* RC_LINE_MAX: an accounts file takes longer lines, but a line of ours holds two values. */
enum { RC_LINE_MAX = 900, RC_MAX = 1 << 20, OUT_MAX = 4 << 20, RC_ARENA = 8 << 20, RC_NAME_MAX = 64 };

/* What of msmtp's settings is used, in the order of the table below. */
enum setting {
    HOST,
    PORT,
    TLS,
    STARTTLS,
    TRUST,
    CERT,
    KEY,
    PRINT,
    CHECK,
    TLS_NAME,
    USER,
    EVAL,
    PASSWORD,
    FROM,
    AUTH,
    HELO,
    TIMEOUT,
    SOURCE,
    PROXY,
    PROXY_PORT,
    PROTOCOL,
    SETTINGS
};

/* clang-format off */
static const struct {
    const char *msmtp;
    const char *ours; /* copied as it is under this name; NULL: see put_account() */
} table[SETTINGS] = {
    [HOST]       = {"host",              NULL},
    [PORT]       = {"port",              NULL},
    [TLS]        = {"tls",               NULL},
    [STARTTLS]   = {"tls_starttls",      NULL},
    [TRUST]      = {"tls_trust_file",    NULL},
    [CERT]       = {"tls_cert_file",     "certificate"},
    [KEY]        = {"tls_key_file",      "key"},
    [PRINT]      = {"tls_fingerprint",   NULL},
    [CHECK]      = {"tls_certcheck",     NULL},
    [TLS_NAME]   = {"tls_host_override", "tls-name"},
    [USER]       = {"user",              "user"},
    [EVAL]       = {"passwordeval",      "password-command"}, /* or token-command */
    [PASSWORD]   = {"password",          NULL},
    [FROM]       = {"from",              "from"},
    [AUTH]       = {"auth",              NULL},
    [HELO]       = {"domain",            "helo"},
    [TIMEOUT]    = {"timeout",           NULL},
    [SOURCE]     = {"source_ip",         "source"},
    [PROXY]      = {"proxy_host",        NULL},
    [PROXY_PORT] = {"proxy_port",        NULL},
    [PROTOCOL]   = {"protocol",          NULL},
};
/* clang-format on */

struct imported {
    struct sp_str name;
    struct sp_str value[SETTINGS]; /* p NULL: not set */
    struct sp_str passed_over[RC_NAME_MAX];
    size_t n_passed_over;
    struct imported *next;
};

struct converting {
    struct sp_arena arena;
    struct imported defaults, *first, **tail, *in;
    struct sp_buf *out;
    unsigned line;
    int rc;
};

static void say(struct converting *c, const char *fmt, ...) SP_PRINTF(2, 3);
static void say(struct converting *c, const char *fmt, ...)
{
    char tmp[4200];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(tmp, sizeof tmp, fmt, ap);
    va_end(ap);
    if (c->rc == 0)
        c->rc = sp_buf_puts(c->out, tmp);
}

/* ---- reading ---- */

/* An octet of an account's name as it is written in ours. */
static char name_char(char o)
{
    return (unsigned char)o < 32 || o == 127 || strchr(" \t={}\"#", o) ? '-' : o;
}

/* Names that become the same are the same. */
static struct imported *named(struct converting *c, struct sp_str name)
{
    for (struct imported *i = c->first; i; i = i->next) {
        bool same = i->name.n == name.n;

        for (size_t k = 0; same && k < name.n; k++)
            same = name_char(i->name.p[k]) == name_char(name.p[k]);
        if (same)
            return i;
    }
    return NULL;
}

static void inherit(struct converting *c, struct imported *to, struct sp_str from)
{
    const struct imported *i = named(c, sp_str_trim(from));

    for (int k = 0; i && k < SETTINGS; k++)
        if (i->value[k].p)
            to->value[k] = i->value[k];
    if (!i)
        say(c, "# line %u of msmtp's file names an account that is not there\n",
            c->line);
}

/* "account NAME", "account NAME : OTHER, ..." */
static void begin(struct converting *c, struct sp_str rest)
{
    struct sp_str name = sp_str_trim(sp_str_cut(&rest, ':'));
    struct imported *i = sp_arena_alloc(&c->arena, sizeof *i);

    if (!i) {
        c->rc = -SP_ENOMEM;
        return;
    }
    *i = c->defaults;
    i->next = NULL;
    i->name = name;
    while (rest.n)
        inherit(c, i, sp_str_cut(&rest, ','));
    c->in = i;
    if (name.n == 0 || named(c, name)) { /* read on, but not written */
        say(c, "# line %u of msmtp's file begins an account %s\n", c->line,
            name.n ? "that is there already" : "without a name");
        return;
    }
    *c->tail = i;
    c->tail = &i->next;
}

static struct sp_str unquoted(struct sp_str s)
{
    s = sp_str_trim(s);
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s = (struct sp_str){s.p + 1, s.n - 2};
    return s;
}

static void set(struct converting *c, struct sp_str key, struct sp_str value)
{
    for (int k = 0; k < SETTINGS; k++)
        if (sp_str_caseis(key, table[k].msmtp)) {
            c->in->value[k] = value.p ? value : SP_LIT("");
            return;
        }
    if (c->in->n_passed_over < RC_NAME_MAX)
        c->in->passed_over[c->in->n_passed_over++] = key;
}

static void read_line(struct converting *c, struct sp_str line)
{
    struct sp_str key, rest;
    size_t n = 0;

    c->line++;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    line = sp_str_trim(line);
    if (line.n == 0 || *line.p == '#')
        return;
    if (line.n > RC_LINE_MAX) {
        say(c, "# line %u of msmtp's file is too long\n", c->line);
        return;
    }
    while (n < line.n && line.p[n] != ' ' && line.p[n] != '\t')
        n++;
    key = (struct sp_str){line.p, n};
    rest = unquoted((struct sp_str){line.p + n, line.n - n});
    if (sp_str_caseis(key, "defaults"))
        c->in = &c->defaults;
    else if (sp_str_caseis(key, "account"))
        begin(c, rest);
    else if (c->in)
        set(c, key, rest);
    else
        say(c, "# line %u of msmtp's file stands outside any account\n", c->line);
}

/* ---- writing ---- */

/* Control characters have no business in any of these, and reach a terminal. */
static void put_text(struct converting *c, struct sp_str v)
{
    for (size_t i = 0; i < v.n; i++)
        say(c, "%c", (unsigned char)v.p[i] < 32 || v.p[i] == 127 ? '?' : v.p[i]);
}

static void put_value(struct converting *c, struct sp_str v)
{
    bool quote = v.n && (*v.p == '"' || *v.p == '#');

    for (size_t i = 0; i + 1 < v.n; i++)
        quote = quote || ((v.p[i] == ' ' || v.p[i] == '\t') && v.p[i + 1] == '#');
    say(c, "%s", quote ? "\"" : "");
    for (size_t i = 0; i < v.n; i++)
        say(c, "%s%c", quote && (v.p[i] == '"' || v.p[i] == '\\') ? "\\" : "",
            (unsigned char)v.p[i] < 32 || v.p[i] == 127 ? '?' : v.p[i]);
    say(c, "%s", quote ? "\"" : "");
}

static void put(struct converting *c, const char *key, struct sp_str v)
{
    say(c, "    %s = ", key);
    put_value(c, v);
    say(c, "\n");
}

static bool on(struct sp_str v, bool otherwise)
{
    return v.p ? !sp_str_caseis(v, "off") : otherwise;
}

static void put_server(struct converting *c, const struct imported *i)
{
    const struct sp_str *v = i->value;
    bool tls = on(v[TLS], false), at_once = tls && !on(v[STARTTLS], true);
    bool lmtp = sp_str_caseis(v[PROTOCOL], "lmtp");
    bool colon = v[HOST].n && memchr(v[HOST].p, ':', v[HOST].n) && *v[HOST].p != '[';
    struct sp_buf url;

    if (v[HOST].n == 0) {
        say(c, "    # msmtp's account names no host: add server = ...\n");
        return;
    }
    sp_buf_init(&url, 2000);
    if (lmtp && *v[HOST].p == '/')
        (void)sp_buf_printf(&url, "lmtp:%.*s", (int)v[HOST].n, v[HOST].p);
    else
        (void)sp_buf_printf(&url, "%s://%s%.*s%s:%.*s",
                            lmtp      ? "lmtp"
                            : at_once ? "smtps"
                                      : "smtp",
                            colon ? "[" : "", (int)v[HOST].n, v[HOST].p,
                            colon ? "]" : "",
                            v[PORT].n ? (int)v[PORT].n
                            : at_once ? 3
                                      : 2,
                            v[PORT].n ? v[PORT].p
                            : at_once ? "465"
                                      : "25");
    put(c, "server", sp_buf_view(&url));
    sp_buf_free(&url);
    if (!tls && !lmtp)
        say(c,
            "    # msmtp used no TLS here; now it is required.  On this machine only,\n"
            "    # `no-tls = yes` goes without.\n");
}

static void put_trust(struct converting *c, const struct imported *i)
{
    const struct sp_str *v = i->value;
    size_t digits = 0;

    if (v[TRUST].n && !sp_str_caseis(v[TRUST], "system"))
        put(c, "ca", v[TRUST]);
    for (size_t k = 0; k < v[PRINT].n; k++)
        digits += v[PRINT].p[k] != ':';
    if (digits == 64)
        put(c, "server-pin", v[PRINT]);
    else if (digits)
        say(c, "    # tls_fingerprint is no SHA-256 and was not taken: server-pin "
               "wants one\n");
    if (!on(v[CHECK], true))
        say(c, "    # tls_certcheck was off: the server is verified now; server-pin or "
               "ca\n"
               "    # make an unusual certificate trusted\n");
}

/* msmtp calls a token a password. */
static bool by_token(const struct imported *i)
{
    return sp_str_caseis(i->value[AUTH], "oauthbearer") ||
           sp_str_caseis(i->value[AUTH], "xoauth2");
}

static void put_login(struct converting *c, const struct imported *i)
{
    const struct sp_str *v = i->value;
    static const char *const plain[] = {"on", "off", "", "login", "ntlm", "digest-md5"};
    bool common = !v[AUTH].p;

    for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++)
        common = common || sp_str_caseis(v[AUTH], plain[k]);
    if (sp_str_caseis(v[AUTH], "external"))
        put(c, "certificate-login", SP_LIT("explicit"));
    else if (!common || sp_str_caseis(v[AUTH], "login"))
        put(c, "mechanism", v[AUTH]);
    if (v[PASSWORD].p && by_token(i))
        say(c, "    # The token in msmtp's file was not copied: token-file = FILE, or let a\n"
               "    # program print a new one: token-command = ...\n");
    else if (v[PASSWORD].p)
        say(c,
            "    # The password in msmtp's file was not copied.  Put it into a file of "
            "its\n"
            "    # own (chmod 600) and name that: password-file = "
            "~/.config/sallyport/NAME\n"
            "    # or let a password store print it: password-command = ...\n");
    if (v[TIMEOUT].n && !sp_str_caseis(v[TIMEOUT], "off"))
        put(c, "timeout", v[TIMEOUT]);
    if (v[PROXY].n) {
        struct sp_str port = v[PROXY_PORT].n ? v[PROXY_PORT] : SP_LIT("1080");
        struct sp_buf to;

        sp_buf_init(&to, 2 * RC_LINE_MAX + 2);
        (void)sp_buf_str(&to, v[PROXY]);
        (void)sp_buf_puts(&to, ":");
        (void)sp_buf_str(&to, port);
        put(c, "socks", sp_buf_view(&to));
        sp_buf_free(&to);
    }
}

static void put_account(struct converting *c, const struct imported *i)
{
    bool no_login = sp_str_caseis(i->value[AUTH], "off");

    say(c, "account ");
    for (size_t k = 0; k < i->name.n; k++)
        say(c, "%c", name_char(i->name.p[k]));
    say(c, " {\n");
    put_server(c, i);
    for (int k = 0; k < SETTINGS; k++)
        if (table[k].ours && i->value[k].n && !(no_login && (k == USER || k == EVAL)))
            put(c, k == EVAL && by_token(i) ? "token-command" : table[k].ours, i->value[k]);
    put_trust(c, i);
    put_login(c, i);
    for (size_t k = 0; k < i->n_passed_over; k++) {
        say(c, "    # ");
        put_text(c, i->passed_over[k]);
        say(c, " has no counterpart\n");
    }
    say(c, "}\n\n");
}

int sp_msmtprc_convert(struct sp_str text, struct sp_buf *out)
{
    struct converting c = {.out = out};

    c.tail = &c.first;
    sp_arena_init(&c.arena, RC_ARENA);
    while (text.n && c.rc == 0) {
        struct sp_str line = sp_str_cut(&text, '\n');

        if (!line.n || !memchr(line.p, '\0', line.n))
            read_line(&c, line);
    }
    for (const struct imported *i = c.first; i && c.rc == 0; i = i->next)
        put_account(&c, i);
    sp_arena_reset(&c.arena);
    return c.rc;
}

/* ---- where msmtp looks ---- */

static void usual_place(char *path, size_t cap)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");

    home = home ? home : "";
    snprintf(path, cap, "%s/.msmtprc", home);
    if (access(path, F_OK) == 0)
        return;
    if (xdg && *xdg)
        snprintf(path, cap, "%s/msmtp/config", xdg);
    else
        snprintf(path, cap, "%s/.config/msmtp/config", home);
    if (access(path, F_OK) != 0)
        snprintf(path, cap, "/etc/msmtprc");
}

int sp_accounts_import(const char *path)
{
    struct sp_buf text, out;
    struct sp_err err;
    char usual[4096];
    int rc;

    if (!path)
        usual_place(usual, sizeof usual);
    rc = sp_read_file(path ? path : usual, RC_MAX, &text, &err);
    if (rc < 0)
        return sp_fail_err(&err);
    sp_buf_init(&out, OUT_MAX);
    rc = sp_msmtprc_convert(sp_buf_view(&text), &out);
    sp_buf_wipe(&text); /* it may have held a password */
    if (rc == 0)
        fwrite(out.p, 1, out.n, stdout);
    sp_buf_wipe(&out);
    return rc == 0 ? 0 : sp_fail(EX_DATAERR, "the file is too large");
}
