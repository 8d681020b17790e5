/* conf_value.c - the types of values: words to members, members to words. */
#include "conf_in.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TEXT_MAX = 1900,     /* twice that with escapes, and the key, fit in a line */
    UNIX_PATH_MAX = 107, /* sockaddr_un */
};

/* Reading one word: whose value it is, and what to say when it does not fit. */
struct reader {
    struct conf_parser *p;
    struct conf_inst *in;
    const struct sp_conf_key *k;
    const struct conf_word *w;
};

/* What one type of value is. */
struct type {
    const char *noun; /* "a size" */
    bool list;
    size_t size; /* of an element */
    bool (*read)(const struct reader *r, void *element);
    int (*print)(const struct sp_conf_key *k, const void *element, struct sp_buf *out);
};
static const struct type types[SP_CONF_VALUES];

/* All lists of conf.h have this shape. */
struct vec {
    const void *v;
    size_t n;
};

bool conf_is_list(enum sp_conf_value type)
{
    return types[type].list;
}

/* ---- saying no ---- */

static void spoil(struct conf_inst *in, const struct conf_parser *p,
                  const struct sp_conf_key *k)
{
    unsigned bit = conf_bit(p->tables, k);

    in->bad[bit / 64] |= (uint64_t)1 << bit % 64;
}

static const char *expectation(struct conf_parser *p, const struct sp_conf_key *k)
{
    struct sp_buf b;
    const char *s = NULL;

    if (conf_crowded(p->errs))
        return NULL;
    sp_buf_init(&b, 1000);
    if (sp_conf_expect_text(k, &b) == 0)
        s = sp_arena_strndup(&p->scratch, b.p, b.n);
    sp_buf_free(&b);
    return s;
}

/* `why` follows the word: "message-size: "2x" is not a size". */
static bool refuse(const struct reader *r, const char *why, const char *help)
{
    struct conf_parser *p = r->p;

    conf_note(p,
              &(struct conf_note){.pos = r->w->pos,
                                  .expected = expectation(p, r->k),
                                  .example =
                                      conf_fmt(p, "%s = %s", r->k->name, r->k->example),
                                  .help = help},
              "%s: %s %s", r->k->name, conf_quote(p, r->w->s), why);
    return false;
}

static const char *copy(const struct reader *r, struct sp_str s)
{
    const char *d = sp_arena_strndup(r->p->arena, s.p, s.n);

    if (!d)
        r->p->full = true;
    return d;
}

static const char *copy_lower(const struct reader *r, struct sp_str s)
{
    char *d = sp_arena_strndup(r->p->arena, s.p, s.n);

    if (!d)
        r->p->full = true;
    for (size_t i = 0; d && i < s.n; i++)
        d[i] = (char)sp_lower(d[i]);
    return d;
}

static bool digits(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static bool begins(struct sp_str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static struct sp_str after(struct sp_str s, size_t n)
{
    return (struct sp_str){s.p + n, s.n - n};
}

/* ---- numbers ---- */

struct unit {
    char sign;
    uint64_t factor;
};
static const struct unit size_units[] = {
    {'G', 1024 * 1024 * 1024}, {'M', 1024 * 1024}, {'K', 1024}, {0, 1}};
static const struct unit time_units[] = {
    {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}, {0, 0}};

static bool in_range(const struct reader *r, uint64_t v)
{
    if (v < r->k->min)
        return refuse(r, "is too small", NULL);
    return v <= r->k->max || refuse(r, "is too large", NULL);
}

static bool read_number(const struct reader *r, void *element)
{
    uint64_t v;

    if (!digits(r->w->s))
        return refuse(r, "is not a number", NULL);
    if (sp_str_u64(r->w->s, UINT64_MAX, &v) < 0)
        return refuse(r, "is too large", NULL);
    if (!in_range(r, v))
        return false;
    memcpy(element, &v, sizeof v);
    return true;
}

/* Digits and one of the units; the last row of units is for a bare number. */
static bool read_unit(const struct reader *r, const struct unit *u, const char *noun,
                      void *element)
{
    struct sp_str n = r->w->s;
    uint64_t v;
    char sign = 0;

    if (n.n && !digits(after(n, n.n - 1)))
        sign = n.p[--n.n];
    if (!digits(n))
        return refuse(r, conf_fmt(r->p, "is not %s", noun), NULL);
    while (u->sign && u->sign != sign && u->sign != sp_lower(sign) &&
           sp_lower(u->sign) != sign)
        u++;
    if (u->sign != sign && sp_lower(u->sign) != sp_lower(sign))
        return refuse(r, conf_fmt(r->p, "is not %s", noun), NULL);
    if (sp_str_u64(n, UINT64_MAX, &v) < 0 || (u->factor && v > UINT64_MAX / u->factor))
        return refuse(r, "is too large", NULL);
    if (u->factor == 0 && v)
        return refuse(r, "has no unit",
                      conf_fmt(r->p, "write %.*ss, %.*sm, %.*sh or %.*sd", (int)n.n,
                               n.p, (int)n.n, n.p, (int)n.n, n.p, (int)n.n, n.p));
    v *= u->factor;
    if (!in_range(r, v))
        return false;
    memcpy(element, &v, sizeof v);
    return true;
}

static bool read_size(const struct reader *r, void *element)
{
    return read_unit(r, size_units, "a size", element);
}

static bool read_duration(const struct reader *r, void *element)
{
    return read_unit(r, time_units, "a time", element);
}

static int print_unit(const struct unit *u, uint64_t v, struct sp_buf *out)
{
    while (u->factor > 1 && (v == 0 || v % u->factor))
        u++;
    if (u->sign)
        return sp_buf_printf(out, "%" PRIu64 "%c", v / u->factor, u->sign);
    return sp_buf_printf(out, "%" PRIu64, v);
}

static int print_number(const struct sp_conf_key *k, const void *element,
                        struct sp_buf *out)
{
    uint64_t v;

    memcpy(&v, element, sizeof v);
    if (k->type == SP_CONF_SIZE)
        return print_unit(size_units, v, out);
    if (k->type == SP_CONF_DURATION || k->type == SP_CONF_DURATIONS)
        return print_unit(time_units, v, out);
    return sp_buf_printf(out, "%" PRIu64, v);
}

/* ---- yes, no and other words ---- */

static bool read_bool(const struct reader *r, void *element)
{
    static const char *const yes[] = {"true", "on", "1", "y"}, *const no[] = {"false",
                                                                              "off",
                                                                              "0", "n"};
    bool v = sp_str_caseis(r->w->s, "yes");

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (sp_str_caseis(r->w->s, yes[i]))
            return refuse(r, "is not yes or no", "write \"yes\"");
        if (sp_str_caseis(r->w->s, no[i]))
            return refuse(r, "is not yes or no", "write \"no\"");
    }
    if (!v && !sp_str_caseis(r->w->s, "no"))
        return refuse(r, "is not yes or no", NULL);
    memcpy(element, &v, sizeof v);
    return true;
}

static int print_bool(const struct sp_conf_key *k, const void *element,
                      struct sp_buf *out)
{
    (void)k;
    return sp_buf_puts(out, *(const bool *)element ? "yes" : "no");
}

/* The index of the word, or -1 when it was refused. */
static int find_word(const struct reader *r)
{
    struct conf_nearest near = {.want = r->w->s};

    for (int i = 0; r->k->words[i].word; i++) {
        if (!sp_str_caseis(r->w->s, r->k->words[i].word)) {
            if (!conf_crowded(r->p->errs))
                conf_near(&near, r->k->words[i].word);
            continue;
        }
        if (!r->k->words[i].later)
            return i;
        (void)refuse(r, "is not in this version", NULL);
        return -1;
    }
    (void)refuse(r, "is not one of the possible words",
                 near.best ? conf_fmt(r->p, "did you mean \"%s\"?", near.best) : NULL);
    return -1;
}

static bool read_enum(const struct reader *r, void *element)
{
    int i = find_word(r);

    if (i >= 0)
        memcpy(element, &i, sizeof i);
    return i >= 0;
}

static int print_enum(const struct sp_conf_key *k, const void *element,
                      struct sp_buf *out)
{
    int i;

    memcpy(&i, element, sizeof i);
    return sp_buf_puts(out, k->words[i].word);
}

static bool read_word(const struct reader *r, void *element)
{
    int i = find_word(r);
    struct sp_conf_list have;

    if (i < 0)
        return false;
    memcpy(&have, (const char *)r->in->data + r->k->offset, sizeof have);
    for (size_t j = 0; j < have.n; j++)
        if (have.v[j] == r->k->words[i].word)
            return refuse(r, "is in the list twice", NULL);
    memcpy(element, &r->k->words[i].word, sizeof(const char *));
    return true;
}

/* ---- strings ---- */

static bool store(const char *s, void *element)
{
    memcpy(element, &s, sizeof s);
    return s != NULL;
}

static bool read_text(const struct reader *r, void *element)
{
    if (r->w->s.n == 0)
        return refuse(r, "is empty", "leave the key out instead");
    if (r->w->s.n > TEXT_MAX)
        return refuse(r, "is too long", NULL);
    return store(copy(r, r->w->s), element);
}

static bool read_account(const struct reader *r, void *element)
{
    struct sp_str s = r->w->s;

    for (size_t i = 0; i < s.n; i++) {
        int c = sp_lower((unsigned char)s.p[i]);

        if (!((c >= 'a' && c <= 'z') || c == '_' ||
              (i && ((c >= '0' && c <= '9') || c == '-' || c == '.'))))
            return refuse(r, "is not the name of a system user or group", NULL);
    }
    if (s.n < 1 || s.n > 32)
        return refuse(r, "is not the name of a system user or group", NULL);
    return store(copy(r, s), element);
}

/* Letters, digits and hyphens in labels of 1 to 63 octets, and UTF-8 for international
 * names (RFC 5890); underscores are accepted because they are in use. */
bool conf_domain_ok(struct sp_str s)
{
    size_t label = 0;
    bool number = true;

    if (s.n == 0 || s.n > 253)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int c = sp_lower((unsigned char)s.p[i]);

        if (c == '.') {
            if (label == 0 || s.p[i - 1] == '-')
                return false;
            label = 0;
            number = true;
            continue;
        }
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
              c >= 0x80 || (c == '-' && label)) ||
            ++label > 63)
            return false;
        number = number && c >= '0' && c <= '9';
    }
    /* A last label of digits alone makes an address of it (RFC 1123 2.1). */
    return label > 0 && s.p[s.n - 1] != '-' && !number;
}

static bool ascii(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

static bool read_domain(const struct reader *r, void *element)
{
    struct sp_str s = r->w->s;

    if (memchr(s.n ? s.p : "", '@', s.n))
        return refuse(r, "is an address, not a domain", "write what is behind the @");
    if (s.n && s.p[s.n - 1] == '.')
        return refuse(r, "is not a domain name", "leave the dot at the end out");
    /* In EHLO, SNI and certificates a name is ASCII (RFC 5890 2.3.2.1: the A-label). */
    if (r->k->type == SP_CONF_DOMAIN && !ascii(s))
        return refuse(r, "is not ASCII", "write the form that begins with xn--");
    if (!conf_domain_ok(s))
        return refuse(r, "is not a domain name", NULL);
    return store(copy_lower(r, s), element);
}

/* As a client asks for it (SNI): a name, or *. and a name for all one label longer. */
static bool read_server_name(const struct reader *r, void *element)
{
    struct sp_str s = r->w->s;

    if (!ascii(s))
        return refuse(r, "is not ASCII", "write the form that begins with xn--");
    if (!conf_domain_ok(s.n > 2 && memcmp(s.p, "*.", 2) == 0 ? after(s, 2) : s))
        return refuse(r, "is not a name of a server", NULL);
    return store(copy_lower(r, s), element);
}

/* A local part without quotes: RFC 5322 atext and dots, or UTF-8. */
static bool mailbox_ok(struct sp_str s)
{
    size_t at = s.n;

    while (at && s.p[at - 1] != '@')
        at--;
    if (at < 2 || at > 65 || !conf_domain_ok(after(s, at)))
        return false;
    for (size_t i = 0; i + 1 < at; i++)
        if ((unsigned char)s.p[i] <= 32 || strchr("()<>[]:;@\\,\"", s.p[i]))
            return false;
    return s.p[0] != '.' && s.p[at - 2] != '.';
}

static bool read_mailbox(const struct reader *r, void *element)
{
    if (!mailbox_ok(r->w->s))
        return refuse(r, "is not a mail address", NULL);
    return store(copy(r, r->w->s), element);
}

static int print_string(const struct sp_conf_key *k, const void *element,
                        struct sp_buf *out)
{
    const char *s;
    bool quote;
    int rc = 0;

    (void)k;
    memcpy(&s, element, sizeof s);
    quote = !*s || strpbrk(s, " \t\"\\{}") || s[0] == '#';
    if (!quote)
        return sp_buf_puts(out, s);
    rc = sp_buf_puts(out, "\"");
    for (; rc == 0 && *s; s++)
        rc = sp_buf_printf(out, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
    return rc ? rc : sp_buf_puts(out, "\"");
}

/* ---- files ---- */

/* The absolute path; NULL when it was refused. */
static const char *whole_path(const struct reader *r, struct sp_str s)
{
    const char *dir = r->p->conf->directory;
    size_t max = r->k->max ? (size_t)r->k->max : TEXT_MAX;
    struct sp_buf b;
    const char *path = NULL;
    int rc = 0;

    if (begins(s, "~")) {
        (void)refuse(r, "begins with ~, which only a shell understands",
                     "write the whole path");
        return NULL;
    }
    while (begins(s, "./"))
        s = after(s, 2);
    if (s.n == 0) {
        (void)refuse(r, "is not a path", NULL);
        return NULL;
    }
    sp_buf_init(&b, 16384);
    if (s.p[0] != '/' && (rc = sp_buf_puts(&b, dir)) == 0)
        rc = sp_buf_puts(&b, "/");
    if (rc < 0 || sp_buf_str(&b, s) < 0)
        r->p->full = true;
    else if (b.n > max)
        (void)refuse(
            r, "is too long",
            conf_fmt(r->p,
                     "with its directory it has %zu octets; at most %zu are possible",
                     b.n, max));
    else
        path = copy(r, sp_buf_view(&b));
    sp_buf_free(&b);
    return path;
}

static bool read_path(const struct reader *r, void *element)
{
    return store(whole_path(r, r->w->s), element);
}

static bool read_template(const struct reader *r, void *element)
{
    struct sp_str s = r->w->s;

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '%' && (++i == s.n || !strchr("ud%", s.p[i])))
            return refuse(r, "has a % that means nothing",
                          "write %u, %d, or %% for a % itself");
    return store(whole_path(r, s), element);
}

static bool read_certificate(const struct reader *r, void *element)
{
    struct sp_str s = r->w->s;

    if (s.n && memchr(s.p, '/', s.n))
        return read_path(r, element);
    return store(copy(r, s), element); /* looked up when all sections are read */
}

static bool read_pin(const struct reader *r, void *element)
{
    struct sp_str s = r->w->s;
    unsigned char raw[33];
    char hex[65];
    int n = -1;

    if (begins(s, "sha256//"))
        n = sp_base64_decode(after(s, 8), raw, sizeof raw);
    else if (begins(s, "sha256:"))
        n = sp_hex_decode(after(s, 7), raw, sizeof raw);
    if (n != 32)
        return refuse(r, "is not a pin", NULL);
    (void)sp_hex_encode(raw, 32, hex, sizeof hex);
    return store(copy(r, sp_str(hex)), element);
}

static int print_pin(const struct sp_conf_key *k, const void *element,
                     struct sp_buf *out)
{
    const char *s;

    (void)k;
    memcpy(&s, element, sizeof s);
    return sp_buf_printf(out, "sha256:%s", s);
}

/* ---- addresses ---- */

static const char *addr_text(const struct reader *r, const struct sp_conf_addr *a)
{
    const char *f = a->kind == SP_CONF_ADDR_IP6 ? "[%s]" : "%s";
    char host[SP_CONF_LINE_MAX + 8], text[SP_CONF_LINE_MAX + 16];

    if (a->kind == SP_CONF_ADDR_UNIX)
        (void)snprintf(text, sizeof text, "unix:%s", a->host);
    else {
        (void)snprintf(host, sizeof host, f[0] == '[' ? "[%s]" : "%s",
                       a->kind == SP_CONF_ADDR_ANY ? "*" : a->host);
        (void)snprintf(text, sizeof text, a->port ? "%s:%u" : "%s", host,
                       (unsigned)a->port);
    }
    return copy(r, sp_str(text));
}

static bool read_unix(const struct reader *r, struct sp_conf_addr *a)
{
    a->kind = SP_CONF_ADDR_UNIX;
    a->host = whole_path(r, after(r->w->s, 5));
    if (!a->host)
        return false;
    if (strlen(a->host) > UNIX_PATH_MAX)
        return refuse(r, "is too long",
                      "the system allows 107 octets for the path of a socket");
    return (a->text = addr_text(r, a)) != NULL;
}

static bool literal(const struct reader *r, struct sp_str host, int family,
                    struct sp_conf_addr *a)
{
    unsigned char raw[16];
    char text[INET6_ADDRSTRLEN];

    if (host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(family, text, raw) != 1 || !inet_ntop(family, raw, text, sizeof text))
        return false;
    a->kind = family == AF_INET ? SP_CONF_ADDR_IP4 : SP_CONF_ADDR_IP6;
    a->host = copy(r, sp_str(text));
    return true;
}

/* Cuts host and port apart; *ret_port is empty where there is none. */
static bool split_port(const struct reader *r, struct sp_str *ret_host,
                       struct sp_str *ret_port)
{
    struct sp_str s = r->w->s, rest = s;
    const char *end;
    size_t colons = 0;

    for (size_t i = 0; i < s.n; i++)
        colons += s.p[i] == ':';
    *ret_port = SP_LIT("");
    if (begins(s, "[")) {
        end = memchr(s.p, ']', s.n);
        if (!end)
            return refuse(r, "lacks the closing ]", NULL);
        *ret_host = (struct sp_str){s.p + 1, (size_t)(end - s.p) - 1};
        rest = after(s, (size_t)(end - s.p) + 1);
        if (rest.n && rest.p[0] != ':')
            return refuse(r, "is not an address",
                          "a port stands behind a colon: [::1]:587");
        if (rest.n)
            *ret_port = after(rest, 1);
        return !rest.n || ret_port->n ||
               refuse(r, "has no port behind the colon", NULL);
    }
    if (colons > 1)
        return refuse(r, "is not an address",
                      "write an IPv6 address in brackets: [2001:db8::1]:587");
    *ret_host = sp_str_cut(&rest, ':');
    if (colons)
        *ret_port = rest;
    return !colons || rest.n || refuse(r, "has no port behind the colon", NULL);
}

static bool read_port(const struct reader *r, struct sp_str port,
                      struct sp_conf_addr *a)
{
    uint64_t v;

    if (sp_str_u64(port, 65535, &v) < 0 || v == 0)
        return refuse(r, "has a port that is not a number from 1 to 65535", NULL);
    a->port = (uint16_t)v;
    return true;
}

static bool read_address(const struct reader *r, void *element)
{
    struct sp_conf_addr a = {.host = ""};
    struct sp_str s = r->w->s, host, port;

    if (begins(s, "unix:")) {
        if (!read_unix(r, &a))
            return false;
    } else if (digits(s)) {
        return refuse(r, "is only a port",
                      conf_fmt(r->p, "write *:%.*s for every address of this machine",
                               (int)(s.n > 5 ? 5 : s.n), s.p));
    } else if (begins(s, "/")) {
        return refuse(
            r, "is a path",
            conf_fmt(r->p, "write unix:%.*s", (int)(s.n > 107 ? 107 : s.n), s.p));
    } else {
        if (!split_port(r, &host, &port))
            return false;
        if (sp_str_is(host, "*"))
            a.kind = SP_CONF_ADDR_ANY;
        else if (!literal(r, host, begins(s, "[") ? AF_INET6 : AF_INET, &a))
            return refuse(r, "is not an address to listen on",
                          conf_domain_ok(host)
                              ? "names are not looked up here: write the address, "
                                "127.0.0.1 for localhost"
                              : NULL);
        if (port.n == 0)
            return refuse(
                r, "has no port",
                conf_fmt(r->p, "write %.*s:587", (int)(s.n > 60 ? 60 : s.n), s.p));
        if (!read_port(r, port, &a))
            return false;
        a.text = addr_text(r, &a);
    }
    memcpy(element, &a, sizeof a);
    return a.text != NULL;
}

static bool read_host(const struct reader *r, void *element)
{
    struct sp_conf_addr a = {.host = ""};
    struct sp_str s = r->w->s, host, port;

    if (begins(s, "unix:")) {
        if (!read_unix(r, &a))
            return false;
    } else if (begins(s, "/")) {
        return refuse(
            r, "is a path",
            conf_fmt(r->p, "write unix:%.*s", (int)(s.n > 107 ? 107 : s.n), s.p));
    } else {
        if (!split_port(r, &host, &port))
            return false;
        if (!literal(r, host, begins(s, "[") ? AF_INET6 : AF_INET, &a)) {
            if (begins(s, "[") || !conf_domain_ok(host))
                return refuse(r, "is not a host", NULL);
            a.kind = SP_CONF_ADDR_NAME;
            a.host = copy_lower(r, host);
        }
        if (port.n && !read_port(r, port, &a))
            return false;
        a.text = addr_text(r, &a);
    }
    memcpy(element, &a, sizeof a);
    return a.text != NULL;
}

static int print_addr(const struct sp_conf_key *k, const void *element,
                      struct sp_buf *out)
{
    struct sp_conf_addr a;

    memcpy(&a, element, sizeof a);
    return print_string(k, &a.text, out);
}

/* ---- match ---- */

static bool read_match(const struct reader *r, void *element)
{
    struct sp_conf_match m = {.kind = SP_CONF_MATCH_DOMAIN};
    struct sp_str s = r->w->s;
    bool ok;

    if (begins(s, "sender:")) {
        m.kind = SP_CONF_MATCH_SENDER;
        s = after(s, 7);
        ok = sp_str_is(s, "<>") || conf_domain_ok(s) || mailbox_ok(s);
    } else if (begins(s, "user:")) {
        m.kind = SP_CONF_MATCH_USER;
        s = after(s, 5);
        ok = s.n > 0 && s.n <= 255;
    } else if (sp_str_is(s, "*")) {
        m.kind = SP_CONF_MATCH_ALL;
        ok = true;
    } else if (begins(s, "*.")) {
        m.kind = SP_CONF_MATCH_SUBDOMAIN;
        s = after(s, 2);
        ok = conf_domain_ok(s);
    } else if (s.n && memchr(s.p, '@', s.n)) {
        m.kind = SP_CONF_MATCH_RECIPIENT;
        ok = mailbox_ok(s);
    } else
        ok = conf_domain_ok(s);
    if (!ok)
        return refuse(r, "is nothing that mail can be told apart by",
                      begins(s, ".")
                          ? "write *.example.org for everything below example.org"
                          : NULL);
    /* Local parts and users are compared exactly, domains without regard to case. */
    m.text = s.p && memchr(s.p, '@', s.n)   ? copy(r, s)
             : m.kind == SP_CONF_MATCH_USER ? copy(r, s)
                                            : copy_lower(r, s);
    memcpy(element, &m, sizeof m);
    return m.text != NULL;
}

static int print_match(const struct sp_conf_key *k, const void *element,
                       struct sp_buf *out)
{
    static const char *const prefix[] = {
        [SP_CONF_MATCH_ALL] = "",           [SP_CONF_MATCH_DOMAIN] = "",
        [SP_CONF_MATCH_SUBDOMAIN] = "*.",   [SP_CONF_MATCH_RECIPIENT] = "",
        [SP_CONF_MATCH_SENDER] = "sender:", [SP_CONF_MATCH_USER] = "user:"};
    struct sp_conf_match m;
    char text[SP_CONF_LINE_MAX];
    const char *s = text;

    memcpy(&m, element, sizeof m);
    (void)snprintf(text, sizeof text, "%s%s", prefix[m.kind], m.text);
    return print_string(k, &s, out);
}

/* ---- networks and rates ---- */

/* The bits behind the prefix must be 0: 192.0.2.7/24 is a mistake more often than not. */
static bool host_bits(const uint8_t a[16], unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        if (a[i / 8] & 0x80 >> i % 8)
            return true;
    return false;
}

static bool read_network(const struct reader *r, void *element)
{
    struct sp_str s = r->w->s, host = sp_str_cut(&s, '/');
    struct sp_conf_net net = {.bits = 128};
    char text[64], canonical[64];
    uint64_t bits = 0;
    bool six = memchr(host.n ? host.p : "", ':', host.n) != NULL;

    if (host.n >= sizeof text)
        return refuse(r, "is no address or network", NULL);
    memcpy(text, host.n ? host.p : "", host.n);
    text[host.n] = '\0';
    memset(net.a, 0, sizeof net.a);
    net.a[10] = net.a[11] = six ? 0 : 0xff;
    if (inet_pton(six ? AF_INET6 : AF_INET, text, six ? net.a : net.a + 12) != 1 ||
        (s.p && (!digits(s) || sp_str_u64(s, six ? 128 : 32, &bits) < 0)))
        return refuse(r, "is no address or network", NULL);
    if (s.p)
        net.bits = (unsigned)bits + (six ? 0 : 96);
    if (host_bits(net.a, net.bits))
        return refuse(r, "has bits behind its prefix", "write the first address of the network");
    (void)inet_ntop(six ? AF_INET6 : AF_INET, six ? net.a : net.a + 12, text, sizeof text);
    if (net.bits == 128)
        (void)snprintf(canonical, sizeof canonical, "%s", text);
    else
        (void)snprintf(canonical, sizeof canonical, "%.50s/%u", text, net.bits - (six ? 0 : 96));
    net.text = copy(r, sp_str(canonical));
    memcpy(element, &net, sizeof net);
    return net.text != NULL;
}

static int print_network(const struct sp_conf_key *k, const void *element,
                         struct sp_buf *out)
{
    struct sp_conf_net net;

    memcpy(&net, element, sizeof net);
    return print_string(k, &net.text, out);
}

bool sp_conf_nets_have(const struct sp_conf_nets *nets, const char *address)
{
    uint8_t a[16] = {[10] = 0xff, [11] = 0xff};

    if (inet_pton(AF_INET, address, a + 12) != 1 && inet_pton(AF_INET6, address, a) != 1)
        return false;
    for (size_t i = 0; i < nets->n; i++) {
        const struct sp_conf_net *net = &nets->v[i];
        unsigned whole = net->bits / 8, rest = net->bits % 8;

        if (memcmp(a, net->a, whole) == 0 &&
            (!rest || (a[whole] ^ net->a[whole]) >> (8 - rest) == 0))
            return true;
    }
    return false;
}

static bool read_rate(const struct reader *r, void *element)
{
    struct sp_conf_rates have;
    struct sp_rate rate;

    if (sp_rate_parse(r->w->s, &rate) < 0)
        return refuse(r, "is not a rate", NULL);
    memcpy(&have, (const char *)r->in->data + r->k->offset, sizeof have);
    for (size_t i = 0; i < have.n; i++)
        if (have.v[i].period == rate.period)
            return refuse(r, "is the second rate for this period", NULL);
    memcpy(element, &rate, sizeof rate);
    return true;
}

static int print_rate(const struct sp_conf_key *k, const void *element, struct sp_buf *out)
{
    struct sp_rate rate;

    (void)k;
    memcpy(&rate, element, sizeof rate);
    return sp_buf_printf(out, "%" PRIu64 "/%c", rate.n, sp_rate_letter(rate.period));
}

/* ---- the table of types ---- */

/* clang-format off */
static const struct type types[SP_CONF_VALUES] = {
    [SP_CONF_BOOL]         = {"yes or no", false, sizeof(bool), read_bool, print_bool},
    [SP_CONF_NUMBER]       = {"a number", false, sizeof(uint64_t), read_number, print_number},
    [SP_CONF_SIZE]         = {"a size", false, sizeof(uint64_t), read_size, print_number},
    [SP_CONF_DURATION]     = {"a time", false, sizeof(uint64_t), read_duration, print_number},
    [SP_CONF_ENUM]         = {"one of ", false, sizeof(int), read_enum, print_enum},
    [SP_CONF_TEXT]         = {"a text, in quotes where it has blanks", false, sizeof(char *), read_text, print_string},
    [SP_CONF_ACCOUNT]      = {"the name of a system user or group", false, sizeof(char *), read_account, print_string},
    [SP_CONF_DOMAIN]       = {"a domain name", false, sizeof(char *), read_domain, print_string},
    [SP_CONF_MAILBOX]      = {"a mail address", false, sizeof(char *), read_mailbox, print_string},
    [SP_CONF_PATH]         = {"a path, absolute or from the directory of this file", false, sizeof(char *), read_path, print_string},
    [SP_CONF_TEMPLATE]     = {"a path with %u and %d in it", false, sizeof(char *), read_template, print_string},
    [SP_CONF_WORDS]        = {"some of ", true, sizeof(char *), read_word, print_string},
    [SP_CONF_DOMAINS]      = {"domain names", true, sizeof(char *), read_domain, print_string},
    [SP_CONF_SERVER_NAMES] = {"names of servers: mail.example.org, or *.example.org for all one label longer", true, sizeof(char *), read_server_name, print_string},
    [SP_CONF_DURATIONS]    = {"times", true, sizeof(uint64_t), read_duration, print_number},
    [SP_CONF_ADDRESSES]    = {"addresses with ports: *:587, 127.0.0.1:587, [::1]:587, or unix:/path", true, sizeof(struct sp_conf_addr), read_address, print_addr},
    [SP_CONF_HOSTS]        = {"host names or addresses, with :port where it is not the usual one, or unix:/path", true, sizeof(struct sp_conf_addr), read_host, print_addr},
    [SP_CONF_MATCHES]      = {"domains, addresses, *, sender:ADDRESS or user:NAME", true, sizeof(struct sp_conf_match), read_match, print_match},
    [SP_CONF_CERTIFICATES] = {"names of tls sections, or paths of PEM files", true, sizeof(char *), read_certificate, print_string},
    [SP_CONF_PINS]         = {"sha256: and 64 hexadecimal digits, or sha256// and base64", true, sizeof(char *), read_pin, print_pin},
    [SP_CONF_NETWORKS]     = {"addresses or networks: 192.0.2.10, 192.0.2.0/24, 2001:db8::/32", true, sizeof(struct sp_conf_net), read_network, print_network},
    [SP_CONF_RATES]        = {"rates: 30/m, 500/h or 2000/d, one for each period", true, sizeof(struct sp_rate), read_rate, print_rate},
    [SP_CONF_TEXTS]        = {"texts, in quotes where they have blanks", true, sizeof(char *), read_text, print_string},
};
/* clang-format on */

static int put_words(const struct sp_conf_key *k, struct sp_buf *out)
{
    int rc = 0;
    bool first = true;

    for (size_t i = 0; rc == 0 && k->words[i].word; i++) {
        if (k->words[i].later || k->words[i].unlisted)
            continue;
        rc = sp_buf_printf(out, "%s%s", first ? "" : ", ", k->words[i].word);
        first = false;
    }
    return rc;
}

static int put_range(const struct sp_conf_key *k, struct sp_buf *out)
{
    int rc = sp_buf_puts(out, " from ");

    if (rc == 0)
        rc = print_number(k, &k->min, out);
    if (rc == 0)
        rc = sp_buf_puts(out, " to ");
    return rc ? rc : print_number(k, &k->max, out);
}

int sp_conf_expect_text(const struct sp_conf_key *k, struct sp_buf *out)
{
    int rc = sp_buf_puts(out, types[k->type].noun);

    if (rc == 0 && k->words)
        return put_words(k, out);
    if (rc == 0 && types[k->type].print == print_number)
        rc = put_range(k, out);
    if (rc == 0 && k->type == SP_CONF_SIZE)
        return sp_buf_puts(out, " (K, M, G: units of 1024)");
    if (rc == 0 && (k->type == SP_CONF_DURATION || k->type == SP_CONF_DURATIONS))
        return sp_buf_puts(out, " (s, m, h, d)");
    return rc;
}

/* ---- a whole value ---- */

/* Room for one element more; memory comes from the arena in powers of two. */
static bool append(const struct reader *r, void *field, size_t size,
                   const void *element)
{
    struct vec v;
    char *d;

    memcpy(&v, field, sizeof v);
    if ((v.n & (v.n - 1)) == 0) { /* 0, 1, 2, 4, 8: it is full */
        d = sp_arena_alloc(r->p->arena, (v.n ? v.n * 2 : 1) * size);
        if (!d) {
            r->p->full = true;
            return false;
        }
        if (v.n)
            memcpy(d, v.v, v.n * size);
        v.v = d;
    }
    memcpy((char *)v.v + v.n * size, element, size);
    v.n++;
    memcpy(field, &v, sizeof v);
    return true;
}

/* Remembers where element n of a list was written. */
static void remember(const struct reader *r, unsigned bit, size_t n)
{
    struct conf_pos *d = r->in->word[bit];

    if ((n & (n - 1)) == 0) {
        d = sp_arena_alloc(&r->p->scratch, (n ? n * 2 : 1) * sizeof *d);
        if (!d) {
            r->p->full = true;
            return;
        }
        if (n)
            memcpy(d, r->in->word[bit], n * sizeof *d);
        r->in->word[bit] = d;
    }
    d[n] = r->w->pos;
    r->in->n_words[bit] = (uint32_t)n + 1;
}

static void put_list(struct reader *r, const struct conf_word *w, size_t n)
{
    const struct type *t = &types[r->k->type];
    void *field = (char *)r->in->data + r->k->offset;
    union {
        struct sp_conf_addr a;
        struct sp_conf_match m;
        struct sp_conf_net net;
        struct sp_rate rate;
        uint64_t n;
        const char *s;
    } element;
    struct vec v;

    for (size_t i = 0; i < n && !r->p->full; i++) {
        memcpy(&v, field, sizeof v);
        r->w = &w[i];
        if (v.n == SP_CONF_LIST_MAX) {
            (void)refuse(r, "is one too many", "a list has at most 100000 elements");
            spoil(r->in, r->p, r->k);
            return;
        }
        if (!t->read(r, &element))
            spoil(r->in, r->p, r->k);
        else if (append(r, field, t->size, &element))
            remember(r, conf_bit(r->p->tables, r->k), v.n);
    }
}

void conf_put(struct conf_parser *p, struct conf_inst *in, const struct sp_conf_key *k,
              struct conf_pos at, const struct conf_word *w, size_t n)
{
    struct reader r = {p, in, k, w};
    const struct type *t = &types[k->type];

    if (t->list) {
        put_list(&r, w, n);
        return;
    }
    if (n == 0) {
        conf_note(
            p,
            &(struct conf_note){.pos = at,
                                .expected = expectation(p, k),
                                .example = conf_fmt(p, "%s = %s", k->name, k->example),
                                .help = "to have the default, leave the key out"},
            "%s: there is nothing behind the =", k->name);
    } else if (n > 1) {
        r.w = &w[1];
        (void)refuse(&r, "is one word too many",
                     k->type == SP_CONF_TEXT || k->type == SP_CONF_PATH ||
                             k->type == SP_CONF_TEMPLATE
                         ? "put a value with blanks in quotes"
                         : NULL);
    } else if (t->read(&r, (char *)in->data + k->offset)) {
        remember(&r, conf_bit(p->tables, k), 0);
        return;
    }
    spoil(in, p, k);
}

void conf_put_text(struct conf_parser *p, struct conf_inst *in,
                   const struct sp_conf_key *k, const char *text)
{
    struct sp_str rest = sp_str(text);
    struct conf_word w = {.pos = {0}};
    struct reader r = {p, in, k, &w};
    const struct type *t = &types[k->type];

    if (!t->list) {
        w.s = rest;
        (void)t->read(&r, (char *)in->data + k->offset);
        return;
    }
    while (rest.n && !p->full) {
        w.s = sp_str_cut(&rest, ' ');
        put_list(&r, &w, 1);
    }
}

/* ---- back to text ---- */

static const void *field_of(const struct sp_conf_key *k, const void *section)
{
    return (const char *)section + k->offset;
}

size_t conf_count(const struct sp_conf_key *k, const void *section)
{
    const struct type *t = &types[k->type];
    const char *s;
    struct vec v;

    if (t->list) {
        memcpy(&v, field_of(k, section), sizeof v);
        return v.n;
    }
    if (t->print != print_string)
        return 1;
    memcpy(&s, field_of(k, section), sizeof s);
    return s != NULL;
}

int conf_print_at(const struct sp_conf_key *k, const void *section, size_t i,
                  struct sp_buf *out)
{
    const struct type *t = &types[k->type];
    struct vec v = {field_of(k, section), 1};

    if (t->list)
        memcpy(&v, field_of(k, section), sizeof v);
    return t->print(k, (const char *)v.v + i * t->size, out);
}

int sp_conf_value_text(const struct sp_conf_key *k, const void *section,
                       struct sp_buf *out)
{
    size_t n = conf_count(k, section);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = i ? sp_buf_puts(out, " ") : 0;
        if (rc == 0)
            rc = conf_print_at(k, section, i, out);
    }
    return rc < 0 ? rc : n > 0;
}
