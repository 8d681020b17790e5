/* addr.c - see addr.h. */
#include "addr.h"

#include <arpa/inet.h>
#include <string.h>

/* Octets go through these as 0..255; -1 is the end of the input. */
static int octet(char c)
{
    return (unsigned char)c;
}

static bool is_8bit(int c)
{
    return c > 127;
}

static bool is_alnum(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 5322 3.2.3 atext, widened by RFC 6532 3.2. */
static bool is_atext(int c)
{
    return is_alnum(c) || is_8bit(c) || (c > 0 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* ---- An address from its two halves -------------------------------------------- */

/* Octets with quoting undone; `over` remembers that something did not fit. */
struct part {
    char p[SP_ADDR_LOCAL_MAX];
    size_t n;
    bool over;
};

static void add(struct part *t, char c)
{
    if (t->n < sizeof t->p)
        t->p[t->n++] = c;
    else
        t->over = true;
}

static void put(struct sp_addr *a, char c)
{
    a->text[a->n++] = c; /* SP_ADDR_TEXT_MAX covers the longest halves */
    if (is_8bit(octet(c)))
        a->utf8 = true;
}

static bool is_dot_string(const struct part *t)
{
    bool dot = true;

    for (size_t i = 0; i < t->n; i++) {
        if (t->p[i] == '.' ? dot : !is_atext(octet(t->p[i])))
            return false;
        dot = t->p[i] == '.';
    }
    return !dot;
}

/* RFC 5321 4.1.2: written without quotes wherever that is possible. */
static bool put_local(struct sp_addr *a, const struct part *t)
{
    bool plain = is_dot_string(t);

    if (t->over)
        return false;
    if (!plain)
        put(a, '"');
    for (size_t i = 0; i < t->n; i++) {
        if (octet(t->p[i]) < 32 || t->p[i] == 127)
            return false;
        if (t->p[i] == '"' || t->p[i] == '\\')
            put(a, '\\');
        put(a, t->p[i]);
    }
    if (!plain)
        put(a, '"');
    return true;
}

/* RFC 5321 4.1.3.  IPv6 is the only tag that was ever registered. */
static bool put_literal(struct sp_addr *a, struct sp_str d)
{
    struct sp_str in = {d.p + 1, d.n - 2};
    unsigned char raw[16];
    char text[64];
    bool six = in.n > 5 && sp_str_caseeq((struct sp_str){in.p, 5}, SP_LIT("IPv6:"));
    size_t skip = six ? 5 : 0;

    if (in.n - skip >= sizeof text)
        return false;
    memcpy(text, in.p + skip, in.n - skip);
    text[in.n - skip] = '\0';
    if (memchr(text, 0, in.n - skip) ||
        inet_pton(six ? AF_INET6 : AF_INET, text, raw) != 1)
        return false;
    a->literal = true;
    put(a, '[');
    for (size_t i = 0; i < skip; i++)
        put(a, "IPv6:"[i]);
    for (const char *p = text; *p; p++)
        put(a, (char)sp_lower(octet(*p)));
    put(a, ']');
    return true;
}

static bool label_ok(const char *p, size_t n)
{
    bool ascii = true;

    if (n == 0 || p[0] == '-' || p[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++) {
        if (is_8bit(octet(p[i])))
            ascii = false;
        else if (!is_alnum(octet(p[i])) && p[i] != '-' && p[i] != '_')
            return false;
    }
    return !ascii || n <= 63;
}

static bool put_domain(struct sp_addr *a, struct sp_str d)
{
    size_t labels = 0, start = 0;

    if (d.n == 0 || d.n > SP_ADDR_DOMAIN_MAX)
        return false;
    if (d.p[0] == '[')
        return d.n > 2 && d.p[d.n - 1] == ']' && put_literal(a, d);
    for (size_t i = 0; i <= d.n; i++) {
        if (i < d.n && d.p[i] != '.')
            continue;
        if (!label_ok(d.p + start, i - start))
            return false;
        start = i + 1;
        labels++;
    }
    for (size_t i = 0; i < d.n; i++)
        put(a, (char)sp_lower(octet(d.p[i])));
    a->single_label = labels == 1;
    return true;
}

/* `domain` NULL: a local part alone. */
static enum sp_addr_result build(const struct part *local, const struct sp_str *domain,
                                 unsigned flags, struct sp_addr *ret)
{
    struct sp_addr a;
    bool bare_ok;

    a.n = 0;
    a.literal = a.utf8 = a.single_label = false;
    if (!put_local(&a, local))
        return SP_ADDR_SYNTAX;
    a.at = a.n;
    if (domain) {
        put(&a, '@');
        if (!put_domain(&a, *domain))
            return SP_ADDR_SYNTAX;
    }
    if (a.utf8 && !sp_utf8_valid((struct sp_str){a.text, a.n}))
        return SP_ADDR_SYNTAX;
    a.text[a.n] = '\0';
    *ret = a;
    bare_ok = (flags & SP_ADDR_POSTMASTER) &&
              sp_str_caseis((struct sp_str){a.text, a.n}, "postmaster");
    if (!domain && !bare_ok)
        return SP_ADDR_UNQUALIFIED;
    return a.utf8 && !(flags & SP_ADDR_UTF8_OK) ? SP_ADDR_NEEDS_UTF8 : SP_ADDR_OK;
}

/* ---- RFC 5321 paths ------------------------------------------------------------ */

/* RFC 5321 4.1.1.3 and appendix C: a source route is taken and ignored. */
static bool drop_route(struct sp_str *in)
{
    struct sp_str rest = *in;

    while (rest.n && rest.p[0] == '@') {
        struct sp_addr scratch = {.n = 0};
        size_t i = 1;

        while (i < rest.n && rest.p[i] != ',' && rest.p[i] != ':')
            i++;
        /* An IPv6 literal holds colons of its own. */
        if (rest.n > 1 && rest.p[1] == '[')
            for (i = 1; i < rest.n && rest.p[i - 1] != ']';)
                i++;
        if (i >= rest.n || (rest.p[i] != ',' && rest.p[i] != ':') ||
            !put_domain(&scratch, (struct sp_str){rest.p + 1, i - 1}))
            return false;
        if (rest.p[i] == ':') {
            *in = (struct sp_str){rest.p + i + 1, rest.n - i - 1};
            return true;
        }
        rest = (struct sp_str){rest.p + i + 1, rest.n - i - 1};
    }
    return rest.p == in->p;
}

/* Takes a Local-part off the front; false when it is none. */
static bool take_local(struct sp_str *in, struct part *t)
{
    size_t i = 0;

    t->n = 0;
    t->over = false;
    if (in->n && in->p[0] == '"') {
        for (i = 1; i < in->n && in->p[i] != '"'; i++) {
            if (in->p[i] == '\\' && ++i == in->n)
                return false;
            add(t, in->p[i]);
        }
        if (i == in->n)
            return false;
        i++;
    } else {
        while (i < in->n && (is_atext(octet(in->p[i])) || in->p[i] == '.'))
            add(t, in->p[i++]);
        if (!is_dot_string(t))
            return false;
    }
    *in = (struct sp_str){in->p + i, in->n - i};
    return true;
}

enum sp_addr_result sp_addr_parse(struct sp_str in, unsigned flags, struct sp_addr *ret)
{
    struct part local;

    if (in.n == 0) {
        if (!(flags & SP_ADDR_NULL_OK))
            return SP_ADDR_SYNTAX;
        memset(ret, 0, sizeof *ret);
        return SP_ADDR_OK;
    }
    if (!drop_route(&in) || !take_local(&in, &local))
        return SP_ADDR_SYNTAX;
    if (in.n == 0)
        return build(&local, NULL, flags, ret);
    if (in.p[0] != '@')
        return SP_ADDR_SYNTAX;
    in = (struct sp_str){in.p + 1, in.n - 1};
    return build(&local, &in, flags, ret);
}

struct sp_str sp_addr_text(const struct sp_addr *a)
{
    return (struct sp_str){a->text, a->n};
}

struct sp_str sp_addr_local(const struct sp_addr *a)
{
    return (struct sp_str){a->text, a->at};
}

struct sp_str sp_addr_domain(const struct sp_addr *a)
{
    if (a->at == a->n)
        return (struct sp_str){a->text + a->n, 0};
    return (struct sp_str){a->text + a->at + 1, a->n - a->at - 1};
}

/* ---- Comparing ------------------------------------------------------------------- */

/* At the last '@': a domain has none, a quoted local part may. */
static void halves(struct sp_str s, struct sp_str *local, struct sp_str *domain)
{
    const char *at = s.n ? memrchr(s.p, '@', s.n) : NULL;

    if (!at) {
        *local = s;
        *domain = (struct sp_str){NULL, 0};
        return;
    }
    *local = (struct sp_str){s.p, (size_t)(at - s.p)};
    *domain = (struct sp_str){at + 1, s.n - local->n - 1};
}

bool sp_addr_equal(struct sp_str a, struct sp_str b)
{
    struct sp_str la, da, lb, db;

    halves(a, &la, &da);
    halves(b, &lb, &db);
    return sp_str_eq(la, lb) && sp_str_caseeq(da, db);
}

static struct sp_str tail(struct sp_str s, size_t n)
{
    return (struct sp_str){s.p + s.n - n, n};
}

bool sp_addr_matches(struct sp_str pattern, struct sp_str addr)
{
    struct sp_str pl, pd, al, ad;

    halves(pattern, &pl, &pd);
    halves(addr, &al, &ad);
    if (!pd.n || !ad.n || !al.n)
        return false;
    if (pl.n && pl.p[0] == '*') {
        pl = tail(pl, pl.n - 1);
        /* A longer one: "-bounces" itself is not a list's bounce address. */
        if (al.n <= pl.n || !sp_str_eq(tail(al, pl.n), pl))
            return false;
    } else if (!sp_str_eq(pl, al)) {
        return false;
    }
    if (pd.n > 2 && pd.p[0] == '*' && pd.p[1] == '.') {
        pd = tail(pd, pd.n - 1);
        return ad.n > pd.n && sp_str_caseeq(tail(ad, pd.n), pd);
    }
    return sp_str_caseeq(pd, ad);
}

/* ---- RFC 5322 mailbox lists ------------------------------------------------------ */

void sp_mbox_start(struct sp_mbox_iter *it, struct sp_str value, unsigned flags)
{
    memset(it, 0, sizeof *it);
    it->in = value;
    it->flags = flags;
}

static int peek(const struct sp_mbox_iter *it)
{
    return it->pos < it->in.n ? octet(it->in.p[it->pos]) : -1;
}

static void step(struct sp_mbox_iter *it)
{
    it->pos++;
    it->work++;
}

static bool take_comment(struct sp_mbox_iter *it)
{
    size_t start = it->pos + 1, depth = 0;

    for (; it->pos < it->in.n; step(it)) {
        int c = peek(it);

        if (c == '\\') {
            step(it);
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && --depth == 0) {
            if (!it->comment.p)
                it->comment = (struct sp_str){it->in.p + start, it->pos - start};
            step(it);
            return true;
        }
    }
    return false;
}

/* RFC 5322 3.2.2: comments nest; the depth is counted, not recursed into. */
static bool skip_cfws(struct sp_mbox_iter *it)
{
    for (;;) {
        switch (peek(it)) {
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            step(it);
            continue;
        case '(':
            if (!take_comment(it))
                return false;
            continue;
        }
        return true;
    }
}

static bool take_quoted(struct sp_mbox_iter *it, struct part *t)
{
    for (step(it); peek(it) != '"'; step(it)) {
        if (peek(it) == '\r' || peek(it) == '\n')
            continue; /* a fold; the blank behind it counts */
        if (peek(it) == '\\')
            step(it);
        if (peek(it) < 0)
            return false;
        add(t, (char)peek(it));
    }
    step(it);
    return true;
}

/* Words and dots: a phrase or a local part, only what follows tells which. */
struct words {
    struct part text;
    size_t start, end;
    size_t items;
    bool alternate; /* word . word . word: it can be a local part */
    bool dot_last;
};

static bool take_words(struct sp_mbox_iter *it, struct words *w)
{
    w->text.n = 0;
    w->text.over = false;
    w->items = 0;
    w->alternate = true;
    w->dot_last = false;
    w->start = w->end = it->pos;
    for (;;) {
        int c;

        if (!skip_cfws(it))
            return false;
        c = peek(it);
        if (c != '"' && c != '.' && !is_atext(c))
            return true;
        if (w->items == 0)
            w->start = it->pos;
        if (w->items ? (c == '.') == w->dot_last : c == '.')
            w->alternate = false;
        w->dot_last = c == '.';
        w->items++;
        if (c == '"') {
            if (!take_quoted(it, &w->text))
                return false;
        } else if (c == '.') {
            add(&w->text, '.');
            step(it);
        } else {
            for (; is_atext(peek(it)); step(it))
                add(&w->text, (char)peek(it));
        }
        w->end = it->pos;
    }
}

/* Leaves the octets of the domain, comments and blanks taken out, in *d. */
static bool take_domain(struct sp_mbox_iter *it, struct part *d, size_t *ret_end)
{
    d->n = 0;
    d->over = false;
    if (!skip_cfws(it))
        return false;
    if (peek(it) == '[') {
        for (; peek(it) != ']'; step(it)) {
            if (peek(it) < 0)
                return false;
            add(d, (char)peek(it));
        }
        add(d, ']');
        step(it);
        *ret_end = it->pos;
        return !d->over && skip_cfws(it);
    }
    while (peek(it) == '.' || is_atext(peek(it))) {
        add(d, (char)peek(it));
        step(it);
        *ret_end = it->pos;
        if (!is_atext(peek(it)) && !skip_cfws(it))
            return false;
        /* "a b" is two atoms, not a domain */
        if (is_atext(peek(it)) && d->p[d->n - 1] != '.' && *ret_end != it->pos)
            return false;
    }
    return d->n && !d->over;
}

/* RFC 5322 4.4 obs-route: "@a,@b:" in front of the address. */
static bool skip_route(struct sp_mbox_iter *it)
{
    struct part d;
    size_t end;

    while (peek(it) == '@' || peek(it) == ',') {
        if (peek(it) == '@') {
            step(it);
            if (!take_domain(it, &d, &end))
                return false;
        } else {
            step(it);
        }
        if (!skip_cfws(it))
            return false;
    }
    if (peek(it) != ':')
        return false;
    step(it);
    return true;
}

/* The words before it are the local part; the iterator stands behind them. */
static bool finish_spec(struct sp_mbox_iter *it, const struct words *w,
                        struct sp_mbox *ret)
{
    struct part d;
    struct sp_str domain, *dp = NULL;
    size_t end = w->end;

    if (w->items == 0 || !w->alternate || w->dot_last)
        return false;
    if (peek(it) == '@') {
        step(it);
        if (!take_domain(it, &d, &end))
            return false;
        domain = (struct sp_str){d.p, d.n};
        dp = &domain;
    }
    ret->spec = (struct sp_str){it->in.p + w->start, end - w->start};
    ret->verdict = build(&w->text, dp, it->flags, &ret->addr);
    return ret->verdict != SP_ADDR_SYNTAX;
}

static bool take_angle(struct sp_mbox_iter *it, struct sp_mbox *ret)
{
    struct words w;

    step(it);
    if (!skip_cfws(it))
        return false;
    if ((peek(it) == '@' || peek(it) == ',') && !skip_route(it))
        return false;
    if (!take_words(it, &w) || !finish_spec(it, &w, ret) || !skip_cfws(it) ||
        peek(it) != '>')
        return false;
    step(it);
    return true;
}

/* Behind an address: a separator or the end, perhaps after a comment with the name. */
static bool finish_mailbox(struct sp_mbox_iter *it, struct sp_mbox *ret)
{
    if (!skip_cfws(it))
        return false;
    if (ret->name.n == 0 && it->comment.p)
        ret->name = it->comment;
    it->comment = (struct sp_str){NULL, 0};
    ret->in_group = it->in_group;
    if (peek(it) == ',')
        step(it);
    else if (peek(it) != -1 && !(peek(it) == ';' && it->in_group))
        return false;
    return peek(it) != -1 || !it->in_group;
}

/* What stands between two addresses.  1: gone on, 0: an address begins, -1: malformed. */
static int between(struct sp_mbox_iter *it, const struct words *w)
{
    int c = peek(it);

    if (c == ',' && w->items == 0) {
        step(it); /* RFC 5322 4.4: empty elements */
        return 1;
    }
    if (c == ':') {
        if (w->items == 0 || it->in_group)
            return -1;
        it->in_group = true;
        step(it);
        return 1;
    }
    if (c == ';' && w->items == 0) {
        if (!it->in_group)
            return -1;
        it->in_group = false;
        step(it);
        if (!skip_cfws(it) || (peek(it) != ',' && peek(it) != -1))
            return -1;
        it->comment = (struct sp_str){NULL, 0};
        return 1;
    }
    return 0;
}

static int next(struct sp_mbox_iter *it, struct sp_mbox *ret)
{
    struct words w;
    int rc;

    do {
        if (!take_words(it, &w))
            return -1;
        if (peek(it) == -1 && w.items == 0)
            return it->in_group ? -1 : 0;
        rc = between(it, &w);
    } while (rc > 0);
    if (rc < 0)
        return -1;
    ret->name = (struct sp_str){NULL, 0};
    if (peek(it) == '<') {
        ret->name = (struct sp_str){it->in.p + w.start, w.items ? w.end - w.start : 0};
        if (!take_angle(it, ret))
            return -1;
    } else if (!finish_spec(it, &w, ret)) {
        return -1;
    }
    return finish_mailbox(it, ret) ? 1 : -1;
}

int sp_mbox_next(struct sp_mbox_iter *it, struct sp_mbox *ret)
{
    int rc = it->failed ? -1 : next(it, ret);

    if (rc >= 0)
        return rc;
    it->failed = true;
    return -SP_EINPUT;
}

int sp_mbox_name(const struct sp_mbox *m, struct sp_buf *out)
{
    bool quoted = false;
    int rc = 0;

    for (size_t i = 0; i < m->name.n && rc == 0; i++) {
        char c = m->name.p[i];

        if (c == '"') {
            quoted = !quoted;
            continue;
        }
        if (c == '\r' || c == '\n')
            continue;
        if (c == '\\' && i + 1 < m->name.n)
            c = m->name.p[++i];
        if (octet(c) < 32 || c == 127)
            c = ' ';
        rc = sp_buf_put(out, &c, 1);
    }
    return rc;
}
