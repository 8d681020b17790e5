/* cli_caps.c - see cli_caps.h. */
#include "cli_caps.h"

#include "alloc.h"
#include "text.h"

#include <string.h>

enum { TEXT_MAX = 16384 };

/* clang-format off */
static const struct keyword {
    const char *name;
    enum sp_ext ext;
} keywords[] = {
    { "PIPELINING",          SP_EXT_PIPELINING },
    { "SIZE",                SP_EXT_SIZE },
    { "8BITMIME",            SP_EXT_8BITMIME },
    { "SMTPUTF8",            SP_EXT_SMTPUTF8 },
    { "DSN",                 SP_EXT_DSN },
    { "ENHANCEDSTATUSCODES", SP_EXT_ENHANCED },
    { "CHUNKING",            SP_EXT_CHUNKING },
    { "BINARYMIME",          SP_EXT_BINARYMIME },
    { "LIMITS",              SP_EXT_LIMITS },
    { "DELIVERBY",           SP_EXT_DELIVERBY },
    { "FUTURERELEASE",       SP_EXT_FUTURERELEASE },
    { "MT-PRIORITY",         SP_EXT_MT_PRIORITY },
    { "REQUIRETLS",          SP_EXT_REQUIRETLS },
    { "STARTTLS",            SP_EXT_STARTTLS },
    { "AUTH",                SP_EXT_AUTH },
    { "XCLIENT",             SP_EXT_XCLIENT },
    { "XFORWARD",            SP_EXT_XFORWARD },
};
/* clang-format on */

struct sp_caps *sp_caps_new(unsigned epoch)
{
    struct sp_caps *c = sp_alloc(sizeof *c);

    if (c) {
        c->epoch = epoch;
        sp_buf_init(&c->text, TEXT_MAX);
    }
    return c;
}

void sp_caps_free(struct sp_caps *c)
{
    if (!c)
        return;
    sp_buf_free(&c->text);
    sp_free(c);
}

struct sp_caps *sp_caps_clone(const struct sp_caps *c)
{
    struct sp_caps *d = sp_caps_new(c->epoch);

    if (!d)
        return NULL;
    *d = *c;
    sp_buf_init(&d->text, TEXT_MAX);
    if (sp_buf_put(&d->text, c->text.p, c->text.n) < 0) {
        sp_caps_free(d);
        return NULL;
    }
    return d;
}

/* The next word of *rest; blanks and tabs in any number stand between words. */
static struct sp_str word(struct sp_str *rest)
{
    struct sp_str w;
    size_t i = 0;

    *rest = sp_str_trim(*rest);
    while (i < rest->n && rest->p[i] != ' ' && rest->p[i] != '\t')
        i++;
    w = (struct sp_str){rest->p, i};
    rest->p += i;
    rest->n -= i;
    return w;
}

/* Splits a line into keyword and the rest.  "AUTH=LOGIN PLAIN" is what servers said
 * before RFC 2554; servers still can. */
static struct sp_str keyword_of(struct sp_str line, struct sp_str *ret_rest)
{
    struct sp_str key = word(&line);

    if (key.n > 5 && sp_str_caseis((struct sp_str){key.p, 5}, "AUTH=")) {
        line = (struct sp_str){key.p + 5, (size_t)(line.p + line.n - (key.p + 5))};
        key.n = 4;
    } else if (sp_str_caseis(key, "AUTH=")) {
        key.n = 4;
    }
    *ret_rest = line;
    return key;
}

static uint32_t ext_of(struct sp_str key)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (sp_str_caseis(key, keywords[i].name))
            return keywords[i].ext;
    return 0;
}

static void read_size(struct sp_caps *c, struct sp_str rest)
{
    uint64_t n;

    /* Said twice, the smaller one is safe.  0 and what is no number: no maximum. */
    if (sp_str_u64(word(&rest), UINT64_MAX, &n) == 0 && n > 0 &&
        (c->size_max == 0 || n < c->size_max))
        c->size_max = n;
}

static void read_auth(struct sp_caps *c, struct sp_str rest)
{
    for (struct sp_str w = word(&rest); w.n; w = word(&rest)) {
        int m = sp_mech_by_name(w);

        if (m >= 0)
            c->mechs |= SP_MECH_BIT(m);
    }
}

static void read_limits(struct sp_caps *c, struct sp_str rest)
{
    for (struct sp_str w = word(&rest); w.n; w = word(&rest)) {
        struct sp_str name = sp_str_cut(&w, '=');
        uint64_t n;

        if (sp_str_u64(w, 999999, &n) < 0 || n == 0)
            continue;
        if (sp_str_caseis(name, "RCPTMAX"))
            c->rcpt_max = (uint32_t)n;
        else if (sp_str_caseis(name, "MAILMAX"))
            c->mail_max = (uint32_t)n;
    }
}

int sp_caps_line(struct sp_caps *c, struct sp_str line)
{
    struct sp_str rest, key = keyword_of(line, &rest);
    uint32_t ext = c->lines++ ? ext_of(key) : 0;
    int rc;

    c->ext |= ext;
    if (ext == SP_EXT_SIZE)
        read_size(c, rest);
    else if (ext == SP_EXT_AUTH)
        read_auth(c, rest);
    else if (ext == SP_EXT_LIMITS)
        read_limits(c, rest);
    if (line.n + 1 > c->text.max - c->text.n)
        return 0; /* kept for people only */
    rc = sp_buf_str(&c->text, line);
    return rc < 0 ? rc : sp_buf_put(&c->text, "\n", 1);
}

int sp_caps_auth_names(const struct sp_caps *c, struct sp_buf *ret)
{
    struct sp_str all = sp_buf_view(&c->text), rest;
    size_t from = ret->n;
    int rc = 0;

    sp_str_cut(&all, '\n'); /* the greeting */
    while (all.n && rc == 0) {
        struct sp_str key = keyword_of(sp_str_cut(&all, '\n'), &rest);

        if (!sp_str_caseis(key, "AUTH"))
            continue;
        for (struct sp_str w = word(&rest); w.n && rc == 0; w = word(&rest)) {
            if (ret->n > from)
                rc = sp_buf_puts(ret, " ");
            if (rc == 0)
                rc = sp_buf_str(ret, w);
        }
    }
    return rc;
}
