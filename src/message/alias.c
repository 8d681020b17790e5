/* alias.c - see alias.h. */
#include "alias.h"

#include "addr.h"
#include "alloc.h"
#include "err.h"

#include <stdio.h>
#include <string.h>

enum kind { MAILBOX, EXACTLY, SAME_LOCAL, COMMAND, INTO_FILE, INCLUDE };

struct target {
    enum kind kind;
    const char
        *text; /* without the mark that says what it is; COMMAND, FILE: with it */
    struct target *next;
};

struct entry {
    struct sp_str name; /* ASCII letters in lower case */
    struct target *to;
};

struct include {
    const char *path;
    struct target *to;
    bool read;
    struct include *next;
};

struct sp_alias {
    struct sp_arena arena;
    struct entry *entry;
    size_t n, room;
    uint32_t *place; /* hash table: index + 1, or 0 */
    size_t places;
    struct include *includes, **last;
    size_t n_includes;
};

struct sp_alias *sp_alias_new(void)
{
    struct sp_alias *a = sp_alloc(sizeof *a);

    if (!a)
        return NULL;
    sp_arena_init(&a->arena, (size_t)256 << 20);
    a->last = &a->includes;
    return a;
}

void sp_alias_free(struct sp_alias *a)
{
    if (!a)
        return;
    sp_arena_reset(&a->arena);
    sp_free(a->entry);
    sp_free(a->place);
    sp_free(a);
}

size_t sp_alias_count(const struct sp_alias *a)
{
    return a->n;
}

const char *sp_alias_include(const struct sp_alias *a, size_t i)
{
    const struct include *f = a->includes;

    while (f && i--)
        f = f->next;
    return f ? f->path : NULL;
}

/* ---- the table ---- */

static uint32_t hash_of(struct sp_str s)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)sp_lower((unsigned char)s.p[i])) * 16777619u;
    return h;
}

static uint32_t *place_of(const struct sp_alias *a, struct sp_str name)
{
    size_t at = hash_of(name) & (a->places - 1);

    while (a->place[at] && !sp_str_caseeq(a->entry[a->place[at] - 1].name, name))
        at = (at + 1) & (a->places - 1);
    return &a->place[at];
}

static const struct entry *find(const struct sp_alias *a, struct sp_str name)
{
    uint32_t at = a && a->places ? *place_of(a, name) : 0;

    return at ? &a->entry[at - 1] : NULL;
}

static int more_room(struct sp_alias *a)
{
    size_t room = a->room ? a->room * 2 : 64;
    struct entry *v = sp_realloc(a->entry, room * sizeof *v);
    uint32_t *place = v ? sp_alloc(room * 2 * sizeof *place) : NULL;

    if (v)
        a->entry = v;
    if (!place)
        return -SP_ENOMEM;
    sp_free(a->place);
    a->place = place;
    a->places = room * 2;
    a->room = room;
    for (size_t i = 0; i < a->n; i++)
        *place_of(a, a->entry[i].name) = (uint32_t)i + 1;
    return 0;
}

static struct include *include_of(struct sp_alias *a, const char *path, bool make)
{
    struct include *f = a->includes;

    while (f && strcmp(f->path, path) != 0)
        f = f->next;
    if (f || !make || a->n_includes == SP_ALIAS_INCLUDES_MAX)
        return f;
    f = sp_arena_alloc(&a->arena, sizeof *f);
    if (!f)
        return NULL;
    f->path = path;
    *a->last = f;
    a->last = &f->next;
    a->n_includes++;
    return f;
}

/* ---- reading ---- */

struct reading {
    struct sp_arena *arena;
    struct sp_alias *a; /* NULL: lists are no targets here */
    bool programs;      /* commands and files count */
    const char *file;
    unsigned line;
    sp_alias_note *note;
    void *arg;
};

static void complain(const struct reading *r, const char *what, struct sp_str about)
{
    char text[300];

    snprintf(text, sizeof text, "%.*s%s%s", (int)(about.n > 100 ? 100 : about.n),
             about.n ? about.p : "", about.n ? ": " : "", what);
    if (r->note)
        r->note(r->arg, r->file, r->line, text);
}

static bool plain(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 32 || s.p[i] == 127)
            return false;
    return s.n > 0;
}

/* "a\"b" without the quotes; a local part in quotes is read by who reads addresses. */
static struct sp_str unquoted(struct sp_arena *arena, struct sp_str s)
{
    char *out;
    size_t n = 0;

    if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
        return s;
    out = sp_arena_alloc(arena, s.n);
    if (!out)
        return (struct sp_str){NULL, 0};
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (s.p[i] == '\\' && i + 2 < s.n)
            i++;
        out[n++] = s.p[i];
    }
    return (struct sp_str){out, n};
}

static bool starts(struct sp_str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static struct sp_str behind(struct sp_str s, size_t n)
{
    return sp_str_trim((struct sp_str){s.p + n, s.n - n});
}

/* A mailbox, with or without a domain. */
static bool mailbox_ok(struct sp_str s)
{
    struct sp_addr a;
    enum sp_addr_result rc = sp_addr_parse(s, SP_ADDR_UTF8_OK, &a);

    return rc == SP_ADDR_OK || rc == SP_ADDR_UNQUALIFIED;
}

static bool domain_ok(struct sp_str s)
{
    struct sp_addr a;
    char text[300];

    if (s.n == 0 || s.n > SP_ADDR_DOMAIN_MAX)
        return false;
    snprintf(text, sizeof text, "x@%.*s", (int)s.n, s.p);
    return sp_addr_parse(sp_str(text), SP_ADDR_UTF8_OK, &a) == SP_ADDR_OK;
}

/* The word of which kind it is; false: none, and it was said. */
static bool judge(const struct reading *r, struct sp_str *s, enum kind *ret)
{
    struct sp_str whole = *s;

    if (starts(*s, ":include:")) {
        *s = behind(*s, 9);
        *ret = INCLUDE;
        if (r->a && starts(*s, "/"))
            return true;
        complain(r,
                 r->a ? "a list needs an absolute path" : "no lists are possible here",
                 whole);
        return false;
    }
    if (starts(*s, "|") || starts(*s, "/")) {
        *ret = s->p[0] == '|' ? COMMAND : INTO_FILE;
        if (r->programs && (*ret == INTO_FILE || starts(behind(*s, 1), "/")))
            return true;
        complain(r,
                 r->programs ? "a program needs an absolute path: no shell looks for it"
                             : "commands and files are possible in alias files only",
                 whole);
        return false;
    }
    *ret = starts(*s, "\\") ? EXACTLY : starts(*s, "@") ? SAME_LOCAL : MAILBOX;
    if (*ret != MAILBOX)
        *s = behind(*s, 1);
    if (*ret == SAME_LOCAL ? domain_ok(*s) : mailbox_ok(*s))
        return true;
    complain(r, "this is no address", whole);
    return false;
}

static struct target *make_target(const struct reading *r, struct sp_str word)
{
    struct sp_str s = word;
    struct target *t;
    enum kind kind;

    /* "|program a,b" and "/path": the quotes are about the whole of it. */
    if (starts(s, "\"|") || starts(s, "\"/") || starts(s, "\":"))
        s = unquoted(r->arena, s);
    if (!plain(s)) {
        complain(r, "there is an octet in it that cannot be", word);
        return NULL;
    }
    if (!judge(r, &s, &kind))
        return NULL;
    t = sp_arena_alloc(r->arena, sizeof *t);
    if (!t)
        return NULL;
    t->kind = kind;
    t->text = sp_arena_strndup(r->arena, s.p, s.n);
    if (kind == INCLUDE && t->text && !include_of(r->a, t->text, true)) {
        complain(r, "too many lists", word);
        return NULL;
    }
    return t->text ? t : NULL;
}

/* How long the first target in s is: up to a comma that is in no quotes, or a line's end. */
static size_t word_length(struct sp_str s)
{
    bool quoted = false;
    size_t i;

    for (i = 0; i < s.n && (quoted || (s.p[i] != ',' && s.p[i] != '\n')); i++) {
        if (s.p[i] == '\\' && quoted && i + 1 < s.n)
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
    }
    return i;
}

/* |"program a b" is another way to write "|program a b". */
static struct sp_str bar_outside(const struct reading *r, struct sp_str w)
{
    struct sp_str in;
    char *out;

    if (!starts(w, "|\"") || w.p[w.n - 1] != '"')
        return w;
    in = unquoted(r->arena, behind(w, 1));
    out = sp_arena_alloc(r->arena, in.n + 2);
    if (!out)
        return w;
    out[0] = '|';
    memcpy(out + 1, in.p, in.n);
    return (struct sp_str){out, in.n + 1};
}

static struct target **read_targets(const struct reading *r, struct sp_str s,
                                    struct target **tail)
{
    while (s.n) {
        size_t n = word_length(s);
        struct sp_str w = sp_str_trim((struct sp_str){s.p, n});

        s = n < s.n ? (struct sp_str){s.p + n + 1, s.n - n - 1}
                    : (struct sp_str){s.p, 0};
        while (w.n && (w.p[w.n - 1] == '\r' || w.p[w.n - 1] == ' '))
            w.n--;
        if (w.n == 0)
            continue;
        *tail = make_target(r, bar_outside(r, w));
        if (*tail)
            tail = &(*tail)->next;
    }
    return tail;
}

static bool name_ok(struct sp_str s)
{
    return starts(s, "@") ? domain_ok((struct sp_str){s.p + 1, s.n - 1})
                          : mailbox_ok(s);
}

/* The name before the colon; a quoted one may have colons in it. */
static bool cut_name(struct sp_str *line, struct sp_str *name)
{
    bool quoted = false;

    for (size_t i = 0; i < line->n; i++) {
        if (line->p[i] == '\\' && quoted)
            i++;
        else if (line->p[i] == '"')
            quoted = !quoted;
        else if (line->p[i] == ':' && !quoted) {
            *name = sp_str_trim((struct sp_str){line->p, i});
            *line = (struct sp_str){line->p + i + 1, line->n - i - 1};
            return true;
        }
    }
    return false;
}

/* As it is compared: the canonical form of an address. */
static struct sp_str canonical_name(struct sp_alias *a, struct sp_str s)
{
    struct sp_addr addr;

    if (starts(s, "@"))
        return sp_arena_copy(&a->arena, s);
    (void)sp_addr_parse(s, SP_ADDR_UTF8_OK, &addr);
    return sp_arena_copy(&a->arena, sp_addr_text(&addr));
}

static int add_entry(struct sp_alias *a, const struct reading *r, struct sp_str line)
{
    struct sp_str name, whole = sp_str_trim(line);
    struct entry e = {.to = NULL};

    if (!cut_name(&line, &name) || !name_ok(name)) {
        complain(r, "an alias is written `name: target, target`", whole);
        return 0;
    }
    if (a->n == SP_ALIAS_ENTRIES_MAX)
        return -SP_ELIMIT;
    if (a->n == a->room && more_room(a) < 0)
        return -SP_ENOMEM;
    e.name = canonical_name(a, name);
    if (!e.name.p)
        return -SP_ENOMEM;
    if (find(a, e.name)) {
        complain(r, "this name was there before; the first one counts", name);
        return 0;
    }
    (void)read_targets(r, line, &e.to);
    if (!e.to) {
        complain(r, "it leads nowhere", name);
        return 0;
    }
    a->entry[a->n] = e;
    *place_of(a, e.name) = (uint32_t)++a->n;
    return 0;
}

/* The next line without its end; an empty one is no end. */
static bool next_line(struct sp_str *rest, struct sp_str *ret)
{
    if (!rest->n)
        return false;
    *ret = sp_str_cut(rest, '\n');
    if (ret->n && ret->p[ret->n - 1] == '\r')
        ret->n--;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int sp_alias_read(struct sp_alias *a, struct sp_str text, const char *file,
                  sp_alias_note *note, void *arg)
{
    struct reading r = {.arena = &a->arena,
                        .a = a,
                        .programs = true,
                        .file = file,
                        .note = note,
                        .arg = arg};
    struct sp_buf whole;
    struct sp_str line;
    unsigned at = 0;
    int rc = 0;

    sp_buf_init(&whole, SP_ALIAS_LINE_MAX);
    while (rc == 0 && next_line(&text, &line)) {
        struct sp_str bare = sp_str_trim(line);

        at++;
        if (bare.n == 0 || bare.p[0] == '#')
            continue;
        if (!is_blank(line.p[0]) && whole.n) {
            rc = add_entry(a, &r, sp_buf_view(&whole));
            whole.n = 0;
        }
        if (!whole.n)
            r.line = at;
        if (is_blank(line.p[0]) && !whole.n) {
            complain(&r, "this line continues nothing", bare);
            continue;
        }
        if (rc == 0 && (sp_buf_str(&whole, line) < 0)) {
            complain(&r, "too long", (struct sp_str){NULL, 0});
            whole.n = 0;
        }
    }
    if (rc == 0 && whole.n)
        rc = add_entry(a, &r, sp_buf_view(&whole));
    sp_buf_free(&whole);
    return rc;
}

int sp_alias_list(struct sp_alias *a, const char *path, struct sp_str text,
                  sp_alias_note *note, void *arg)
{
    struct reading r = {
        .arena = &a->arena, .a = a, .file = path, .note = note, .arg = arg};
    struct include *f = include_of(a, path, false);
    struct target **tail;
    struct sp_str line;

    if (!f || f->read)
        return 0;
    for (tail = &f->to; next_line(&text, &line);) {
        r.line++;
        line = sp_str_trim(line);
        if (line.n && line.p[0] != '#')
            tail = read_targets(&r, line, tail);
    }
    f->read = true;
    return 0;
}

bool sp_alias_programs(const struct sp_alias *a, struct sp_str deliver)
{
    for (size_t i = 0; i < a->n; i++)
        for (const struct target *t = a->entry[i].to; t; t = t->next)
            if ((t->kind == COMMAND || t->kind == INTO_FILE) &&
                sp_str_is(deliver, t->text))
                return true;
    return false;
}

/* ---- expansion ---- */

struct expanding {
    const struct sp_alias_rules *r;
    struct sp_arena *arena;
    struct sp_alias_result *ret;
    struct sp_alias_to *to;
    size_t n, room;
    struct sp_str chain[SP_ALIAS_DEPTH + 1]; /* the names that led here */
    size_t depth;
    struct sp_str *seen; /* addresses that were followed already */
    size_t n_seen, seen_room;
};

static int fail(struct expanding *x, enum sp_alias_verdict v, const char *why)
{
    x->ret->verdict = v;
    x->ret->why = why;
    return -1;
}

static int no_memory(struct expanding *x)
{
    return fail(x, SP_ALIAS_TEMPORARY, "out of memory");
}

static int give(struct expanding *x, struct sp_str address, struct sp_str deliver)
{
    for (size_t i = 0; i < x->n; i++)
        if (sp_str_eq(x->to[i].address, address) &&
            sp_str_eq(x->to[i].deliver, deliver))
            return 0;
    if (x->n >= x->r->most)
        return fail(x, SP_ALIAS_TOO_MANY, "the alias becomes too many recipients");
    if (x->n == x->room) {
        size_t room = x->room ? x->room * 2 : 8;
        struct sp_alias_to *v = sp_arena_alloc(x->arena, room * sizeof *v);

        if (!v)
            return no_memory(x);
        if (x->n)
            memcpy(v, x->to, x->n * sizeof *v);
        x->to = v;
        x->room = room;
    }
    x->to[x->n++] = (struct sp_alias_to){address, deliver};
    return 0;
}

/* False: this address was followed before. */
static bool first_time(struct expanding *x, struct sp_str address)
{
    for (size_t i = 0; i < x->n_seen; i++)
        if (sp_str_caseeq(x->seen[i], address))
            return false;
    if (x->n_seen == x->seen_room) {
        size_t room = x->seen_room ? x->seen_room * 2 : 8;
        struct sp_str *v = sp_arena_alloc(x->arena, room * sizeof *v);

        if (!v)
            return true; /* the depth still ends it */
        if (x->n_seen)
            memcpy(v, x->seen, x->n_seen * sizeof *v);
        x->seen = v;
        x->seen_room = room;
    }
    x->seen[x->n_seen++] = address;
    return true;
}

static struct sp_str join(struct sp_arena *arena, struct sp_str local,
                          struct sp_str domain)
{
    char *p = sp_arena_alloc(arena, local.n + domain.n + 1);

    if (!p)
        return (struct sp_str){NULL, 0};
    memcpy(p, local.p, local.n);
    p[local.n] = '@';
    memcpy(p + local.n + 1, domain.p, domain.n);
    return (struct sp_str){p, local.n + 1 + domain.n};
}

/* The names by which an address is looked up. */
struct names {
    struct sp_str whole, local, domain;
    struct sp_str base,
        base_whole;    /* without the extension; empty where there is none */
    struct sp_str all; /* @domain */
    bool is_local;
};

static bool names_of(struct expanding *x, struct sp_str address, struct names *ret)
{
    const char *at = NULL, *d = x->r->delimiter;

    for (size_t i = 0; i < address.n; i++) /* the last one parts the domain off */
        if (address.p[i] == '@')
            at = address.p + i;
    memset(ret, 0, sizeof *ret);
    if (!at)
        return false;
    ret->whole = address;
    ret->local = (struct sp_str){address.p, (size_t)(at - address.p)};
    ret->domain = (struct sp_str){at + 1, address.n - ret->local.n - 1};
    ret->all = (struct sp_str){at, ret->domain.n + 1};
    ret->is_local = x->r->is_local && x->r->is_local(x->r->arg, ret->domain);
    /* A local part in quotes has its delimiters for its own ends. */
    for (size_t i = 1; d && *d && i < ret->local.n && ret->local.p[0] != '"'; i++)
        if (strchr(d, ret->local.p[i])) {
            ret->base = (struct sp_str){ret->local.p, i};
            ret->base_whole = join(x->arena, ret->base, ret->domain);
            return ret->base_whole.p != NULL;
        }
    return true;
}

static int follow(struct expanding *x, struct sp_str address);

static int follow_list(struct expanding *x, const struct target *t,
                       const struct names *from, unsigned lists);

static int follow_one(struct expanding *x, const struct target *t,
                      const struct names *from, unsigned lists)
{
    const struct include *f;
    struct sp_addr a;
    struct sp_str address = {NULL, 0};

    switch (t->kind) {
    case COMMAND:
    case INTO_FILE:
        return give(x, from->whole, sp_str(t->text));
    case INCLUDE:
        for (f = x->r->table->includes; f && strcmp(f->path, t->text) != 0;)
            f = f->next;
        if (!f || !f->read)
            return fail(x, SP_ALIAS_TEMPORARY, "a list cannot be read just now");
        if (lists >= SP_ALIAS_DEPTH)
            return fail(x, SP_ALIAS_LOOP, "a list includes itself");
        return follow_list(x, f->to, from, lists + 1);
    case SAME_LOCAL:
        address = join(x->arena, from->local, sp_str(t->text));
        break;
    case MAILBOX:
    case EXACTLY:
        (void)sp_addr_parse(sp_str(t->text), SP_ADDR_UTF8_OK, &a);
        address = a.at < a.n ? sp_arena_copy(x->arena, sp_addr_text(&a))
                             : join(x->arena, sp_addr_local(&a), from->domain);
        break;
    }
    if (!address.p)
        return no_memory(x);
    /* bob: bob, carol - he keeps his own mailbox. */
    if (t->kind == EXACTLY || sp_str_caseeq(address, from->whole) ||
        sp_str_caseeq(address, from->base_whole))
        return give(x, address, (struct sp_str){NULL, 0});
    return follow(x, address);
}

static int follow_list(struct expanding *x, const struct target *t,
                       const struct names *from, unsigned lists)
{
    for (; t; t = t->next)
        if (follow_one(x, t, from, lists) < 0)
            return -1;
    return 0;
}

/* 1: the name leads on, and was followed; 0: there is no such name. */
static int try_name(struct expanding *x, struct sp_str name, const struct names *from)
{
    const struct entry *e;
    struct target *t = NULL;
    struct sp_buf more;
    int rc;

    if (!name.n)
        return 0;
    e = find(x->r->table, name);
    if (e)
        return follow_list(x, e->to, from, 0) < 0 ? -1 : 1;
    if (!x->r->more)
        return 0;
    sp_buf_init(&more, 1 << 20);
    rc = x->r->more(x->r->arg, name, &more);
    if (rc > 0)
        (void)read_targets(&(struct reading){.arena = x->arena, .file = ""},
                           sp_buf_view(&more), &t);
    sp_buf_free(&more);
    if (rc < 0 || (rc > 0 && !t))
        return fail(x, SP_ALIAS_TEMPORARY,
                    rc < 0 ? "aliases cannot be looked up just now"
                           : "an alias in the database is malformed");
    return rc ? (follow_list(x, t, from, 0) < 0 ? -1 : 1) : 0;
}

/* The mailbox behind all names. */
static int at_the_end(struct expanding *x, const struct names *n)
{
    struct sp_str base = n->base.n ? n->base_whole : n->whole;
    int rc, whole = n->is_local ? x->r->account(x->r->arg, n->whole) : 1;

    if (whole > 0 || !n->is_local)
        return give(x, n->whole, (struct sp_str){NULL, 0});
    rc = n->base.n && whole == 0 ? x->r->account(x->r->arg, base) : whole;
    if (rc < 0)
        return fail(x, SP_ALIAS_TEMPORARY, "accounts cannot be looked up just now");
    if (rc > 0)
        return give(x, base, (struct sp_str){NULL, 0});
    rc = try_name(x, n->all, n);
    if (rc)
        return rc < 0 ? -1 : 0;
    /* RFC 5321 4.5.1: there is always a postmaster. */
    if (sp_str_caseis(n->local, "postmaster"))
        return x->r->postmaster.n && !sp_str_caseeq(n->whole, x->r->postmaster)
                   ? follow(x, x->r->postmaster)
                   : give(x, n->whole, (struct sp_str){NULL, 0});
    if (!x->r->known_only)
        return give(x, base, (struct sp_str){NULL, 0});
    if (x->depth > 1) /* behind an alias: the others on the list get theirs */
        return give(x, n->whole, sp_str("!there is no such mailbox here"));
    return fail(x, SP_ALIAS_UNKNOWN, "there is no such mailbox here");
}

static int follow_names(struct expanding *x, const struct names *n)
{
    struct sp_str none = {NULL, 0};
    const struct sp_str name[] = {n->whole, n->base_whole,
                                  n->is_local ? n->local : none,
                                  n->is_local ? n->base : none};
    int rc = 0;

    for (size_t i = 0; i < sizeof name / sizeof name[0] && rc == 0; i++)
        rc = try_name(x, name[i], n);
    if (rc == 0 && !n->is_local)
        rc = try_name(x, n->all, n);
    return rc < 0 ? -1 : rc ? 0 : at_the_end(x, n);
}

static int follow(struct expanding *x, struct sp_str address)
{
    struct names n;
    int rc;

    for (size_t i = 0; i < x->depth; i++)
        if (sp_str_caseeq(x->chain[i], address))
            return fail(x, SP_ALIAS_LOOP, "the alias leads back to itself");
    if (x->depth > SP_ALIAS_DEPTH)
        return fail(x, SP_ALIAS_LOOP, "the alias leads through too many others");
    if (!first_time(x, address))
        return 0;
    if (!names_of(x, address, &n))
        return no_memory(x);
    x->chain[x->depth++] = address;
    rc = follow_names(x, &n);
    x->depth--;
    return rc;
}

void sp_alias_expand(const struct sp_alias_rules *r, struct sp_str address,
                     struct sp_arena *arena, struct sp_alias_result *ret)
{
    struct expanding x = {.r = r, .arena = arena, .ret = ret};

    memset(ret, 0, sizeof *ret);
    if (follow(&x, address) < 0)
        return;
    ret->to = x.to;
    ret->n = x.n;
    ret->verdict = x.n == 1 && !x.to[0].deliver.n && sp_str_eq(x.to[0].address, address)
                       ? SP_ALIAS_SAME
                       : SP_ALIAS_BECOMES;
    if (x.n == 0)
        (void)fail(&x, SP_ALIAS_LOOP, "the alias leads nowhere");
}
