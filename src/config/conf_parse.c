/* conf_parse.c - lines, words and sections.  See conf_in.h for the steps. */
#include "conf_in.h"

#include "alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORDS_MAX = SP_CONF_LINE_MAX / 2 + 1,
    NAME_MAX_LEN = 64,
    HASH_SIZE = 8192, /* > 2 * SECTIONS_MAX * kinds */
    ARENA_MAX = 64 * 1024 * 1024,
};

/* The configuration and what is hidden from its users. */
struct owner {
    struct sp_conf conf; /* first: a struct sp_conf * is a struct owner * */
    atomic_uint refs;
    struct sp_arena arena;
};

struct sp_conf *sp_conf_ref(struct sp_conf *c)
{
    atomic_fetch_add(&((struct owner *)c)->refs, 1);
    return c;
}

void sp_conf_unref(struct sp_conf *c)
{
    struct owner *o = (struct owner *)c;

    if (!o || atomic_fetch_sub(&o->refs, 1) != 1)
        return;
    sp_arena_reset(&o->arena);
    sp_free(o);
}

/* ---- sections ---- */

static size_t hash(enum sp_conf_section_id id, struct sp_str name)
{
    uint32_t h = 2166136261u ^ (uint32_t)id;

    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 16777619u;
    return h % HASH_SIZE;
}

static struct conf_inst **slot(struct conf_parser *p, enum sp_conf_section_id id,
                               struct sp_str name)
{
    size_t i = hash(id, name);

    while (p->hash[i] &&
           (p->hash[i]->id != id || !sp_str_is(name, p->hash[i]->head->name)))
        i = (i + 1) % HASH_SIZE;
    return &p->hash[i];
}

struct conf_inst *conf_section_named(struct conf_parser *p, enum sp_conf_section_id id,
                                     struct sp_str name)
{
    return *slot(p, id, name);
}

static struct conf_inst *new_inst(struct conf_parser *p, enum sp_conf_section_id id,
                                  void *data, struct sp_str name)
{
    struct conf_inst *in = sp_arena_alloc(&p->scratch, sizeof *in);

    if (in) {
        in->id = id;
        in->data = data ? data : sp_arena_alloc(&p->scratch, sp_conf_section(id)->size);
        in->head = in->data;
        in->key = sp_arena_alloc(&p->scratch, SP_CONF_KEYS_MAX * sizeof *in->key);
        in->word = sp_arena_alloc(&p->scratch, SP_CONF_KEYS_MAX * sizeof *in->word);
        in->n_words =
            sp_arena_alloc(&p->scratch, SP_CONF_KEYS_MAX * sizeof *in->n_words);
    }
    if (!in || !in->data || !in->key || !in->word || !in->n_words ||
        !(in->head->name = sp_arena_strndup(p->arena, name.p, name.n))) {
        p->full = true;
        return NULL;
    }
    return in;
}

/* Puts a new section behind the others of its kind. */
static void add_inst(struct conf_parser *p, struct conf_inst *in)
{
    *slot(p, in->id, sp_str(in->head->name)) = in;
    *p->tail[in->id] = in;
    p->tail[in->id] = &in->next;
    p->n[in->id]++;
}

struct conf_inst *conf_imply(struct conf_parser *p, enum sp_conf_section_id id,
                             const char *name)
{
    struct conf_inst *in = new_inst(p, id, NULL, sp_str(name));

    if (in) {
        in->head->implied = true;
        add_inst(p, in);
    }
    return in;
}

/* ---- one line ---- */

struct line {
    struct sp_str s;     /* without its end */
    struct conf_pos pos; /* of its first octet */
    size_t at;           /* how far it was read */
};

/* Where in the file we are. */
struct place {
    struct conf_inst *in; /* NULL: inside a section that is not known */
    bool in_section;
    struct conf_pos open; /* of that section */
    const char *kind;     /* its name, for messages */
    bool brace_awaited;   /* `{` was missing: it may stand on the next line */
};

static struct conf_pos pos_at(const struct line *l, size_t at, size_t len)
{
    struct conf_pos pos = l->pos;

    pos.at = (uint32_t)at;
    pos.len = (uint32_t)len;
    return pos;
}

static void skip_blanks(struct line *l)
{
    while (l->at < l->s.n && (l->s.p[l->at] == ' ' || l->s.p[l->at] == '\t'))
        l->at++;
}

static bool at_end(const struct line *l)
{
    return l->at == l->s.n || l->s.p[l->at] == '#';
}

/* The remaining part without a comment behind it, for marks. */
static struct conf_pos rest_of(const struct line *l)
{
    size_t end = l->s.n;

    while (end > l->at && (l->s.p[end - 1] == ' ' || l->s.p[end - 1] == '\t'))
        end--;
    return pos_at(l, l->at, end - l->at);
}

/* The first word: letters up to a blank or a sign that means something. */
static struct sp_str first_word(struct line *l)
{
    size_t from = l->at;

    while (l->at < l->s.n && !strchr(" \t=#{}\"", l->s.p[l->at]))
        l->at++;
    return (struct sp_str){l->s.p + from, l->at - from};
}

static bool quoted_word(struct conf_parser *p, struct line *l, struct conf_word *w)
{
    size_t from = l->at++, n = 0;
    char *d = p->unquoted + from; /* never longer than what it is made from */

    for (; l->at < l->s.n && l->s.p[l->at] != '"'; l->at++) {
        if (l->s.p[l->at] == '\\') {
            char c = l->at + 1 < l->s.n ? l->s.p[l->at + 1] : '\0';

            if (c != '"' && c != '\\') {
                conf_note(p,
                          &(struct conf_note){.pos = pos_at(l, l->at, 2),
                                              .help = "inside quotes write \\\" for a "
                                                      "quote and \\\\ for a backslash"},
                          "a backslash must stand before a quote or a backslash");
                return false;
            }
            l->at++;
        }
        d[n++] = l->s.p[l->at];
    }
    if (l->at == l->s.n) {
        conf_note(p, &(struct conf_note){.pos = pos_at(l, from, l->s.n - from)},
                  "this quote is never closed");
        return false;
    }
    l->at++;
    *w = (struct conf_word){{d, n}, pos_at(l, from, l->at - from), true};
    return true;
}

static bool bare_word(struct conf_parser *p, struct line *l, struct conf_word *w)
{
    size_t from = l->at;

    while (l->at < l->s.n && l->s.p[l->at] != ' ' && l->s.p[l->at] != '\t' &&
           l->s.p[l->at] != '"')
        l->at++;
    *w = (struct conf_word){
        {l->s.p + from, l->at - from}, pos_at(l, from, l->at - from), false};
    if (l->at == l->s.n || l->s.p[l->at] != '"')
        return true;
    conf_note(p,
              &(struct conf_note){
                  .pos = pos_at(l, l->at, 1),
                  .help = "put the whole word in quotes, with \\\" for a quote in it"},
              "a quote in the middle of a word");
    return false;
}

/* Words up to the end of the line or a comment; -1 when something was noted. */
static long words_of(struct conf_parser *p, struct line *l)
{
    long n = 0;

    for (skip_blanks(l); !at_end(l); skip_blanks(l)) {
        bool quoted = l->s.p[l->at] == '"';

        if (!(quoted ? quoted_word : bare_word)(p, l, &p->words[n]))
            return -1;
        n++;
        if (quoted && l->at < l->s.n && !strchr(" \t", l->s.p[l->at])) {
            conf_note(p, &(struct conf_note){.pos = pos_at(l, l->at, 1)},
                      "a blank must follow the closing quote");
            return -1;
        }
    }
    return n;
}

/* ---- key = value ---- */

static struct sp_str with_dashes(struct conf_parser *p, struct sp_str s)
{
    struct sp_str d = sp_arena_copy(&p->scratch, s);

    for (size_t i = 0; i < d.n; i++)
        ((char *)d.p)[i] = d.p[i] == '_' ? '-' : (char)sp_lower(d.p[i]);
    return d.p ? d : s;
}

static const char *label(struct conf_parser *p, enum sp_conf_section_id id)
{
    const char *kind = sp_conf_section(id)->name;

    if (id == SP_CONF_TOP)
        return "at the top of the file";
    return conf_fmt(p, "in a %s section", kind);
}

static void unknown_key(struct conf_parser *p, enum sp_conf_section_id id,
                        struct sp_str name, struct conf_pos pos)
{
    struct sp_str plain = with_dashes(p, name);
    struct conf_nearest near = {.want = plain};
    const struct conf_tables *t = p->tables;
    const char *help = NULL;

    for (size_t i = 0; i < t->n_others && !help; i++)
        if (t->others[i].section == id && sp_str_is(plain, t->others[i].word))
            help = conf_fmt(p, "here this is called \"%s\"", t->others[i].key);
    for (size_t i = 0; i < t->n_keys && !help; i++)
        if (t->keys[i].section == id && !t->keys[i].deprecated_by)
            conf_near(&near, t->keys[i].name);
    for (size_t i = 0; i < t->n_others && !help && !near.best; i++)
        if (sp_str_is(plain, t->others[i].word))
            help = conf_fmt(p, "perhaps you mean \"%s\", which stands %s",
                            t->others[i].key, label(p, t->others[i].section));
    if (!help && near.best && near.distance == 0)
        help = conf_fmt(p, "write \"%s\"", near.best);
    for (size_t i = 0; i < t->n_keys && !help; i++)
        if (sp_str_is(plain, t->keys[i].name))
            help = conf_fmt(p, "\"%s\" stands %s", t->keys[i].name,
                            label(p, t->keys[i].section));
    if (!help && near.best)
        help = conf_fmt(p, "did you mean \"%s\"?", near.best);
    conf_note(p, &(struct conf_note){.pos = pos, .help = help}, "there is no key %s %s",
              conf_quote(p, name), label(p, id));
}

/* The key to fill, or NULL when something was noted. */
static const struct sp_conf_key *key_for(struct conf_parser *p, struct conf_inst *in,
                                         struct sp_str name, struct conf_pos pos)
{
    const struct sp_conf_key *k = conf_find(p->tables, in->id, name), *now;
    unsigned bit;

    if (!k) {
        if (conf_crowded(p->errs))
            conf_note(p, &(struct conf_note){.pos = pos}, "not shown, only counted");
        else
            unknown_key(p, in->id, name, pos);
        return NULL;
    }
    if (k->deprecated_by) {
        now = conf_find(p->tables, in->id, sp_str(k->deprecated_by));
        conf_note(
            p,
            &(struct conf_note){.warning = true,
                                .pos = pos,
                                .help = conf_fmt(p, "write \"%s\" instead", now->name)},
            "\"%s\" is the old name of \"%s\"", k->name, now->name);
        k = now;
    }
    bit = conf_bit(p->tables, k);
    if (!(in->head->given[bit / 64] >> bit % 64 & 1)) {
        in->head->given[bit / 64] |= (uint64_t)1 << bit % 64;
        in->key[bit] = pos;
    } else if (!conf_is_list(k->type)) {
        conf_note(
            p,
            &(struct conf_note){
                .pos = pos,
                .help = conf_fmt(p, "the first one is on line %u; remove one of them",
                                 (unsigned)in->key[bit].line)},
            "\"%s\" is given twice", k->name);
        return NULL;
    }
    return k;
}

static void read_assignment(struct conf_parser *p, struct place *here, struct line *l,
                            struct sp_str name, struct conf_pos pos)
{
    const struct sp_conf_key *k;
    long n;

    l->at++; /* the = */
    n = words_of(p, l);
    if (!here->in)
        return; /* in an unknown section: its name was complained about */
    k = key_for(p, here->in, name, pos);
    if (k && n >= 0)
        conf_put(p, here->in, k, pos, p->words, (size_t)n);
    else if (k) {
        unsigned bit = conf_bit(p->tables, k);

        here->in->bad[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

/* ---- sections ---- */

static int section_id(struct sp_str kind)
{
    for (int i = SP_CONF_TOP + 1; i < SP_CONF_SECTIONS; i++)
        if (sp_str_is(kind, sp_conf_section((enum sp_conf_section_id)i)->name))
            return i;
    return -1;
}

static bool name_ok(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        int c = sp_lower((unsigned char)s.p[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
              ((c == '-' || c == '.') && i)))
            return false;
    }
    return s.n >= 1 && s.n <= NAME_MAX_LEN;
}

static void unknown_section(struct conf_parser *p, struct sp_str kind,
                            struct conf_pos pos)
{
    struct conf_nearest near = {.want = kind};

    for (int i = SP_CONF_TOP + 1; i < SP_CONF_SECTIONS; i++)
        conf_near(&near, sp_conf_section((enum sp_conf_section_id)i)->name);
    conf_note(
        p,
        &(struct conf_note){
            .pos = pos,
            .expected = "one of the sections tls, listener, route, oauth, dkim, milter, policy, accounts, content-filter",
            .help = near.best ? conf_fmt(p, "did you mean \"%s\"?", near.best) : NULL},
        "there is no section %s", conf_quote(p, kind));
}

/* A section that may be used, or one to throw away so that its keys are checked too. */
static struct conf_inst *open_section(struct conf_parser *p, enum sp_conf_section_id id,
                                      const struct conf_word *name,
                                      struct conf_pos open)
{
    const char *kind = sp_conf_section(id)->name;
    struct conf_inst *in = NULL, *old = NULL;
    bool ok = name && name_ok(name->s);

    if (!name)
        conf_note(
            p,
            &(struct conf_note){.pos = open, .example = conf_fmt(p, "%s main {", kind)},
            "a %s section needs a name", kind);
    else if (!ok)
        conf_note(p,
                  &(struct conf_note){
                      .pos = name->pos,
                      .expected = "a name of 1 to 64 letters, digits and . _ -"},
                  "%s cannot be the name of a section", conf_quote(p, name->s));
    else if ((old = conf_section_named(p, id, name->s)))
        conf_note(
            p,
            &(struct conf_note){.pos = name->pos,
                                .help = conf_fmt(p,
                                                 "the first one is on line %u; put "
                                                 "both together or choose another name",
                                                 (unsigned)old->open.line)},
            "there are two %s sections \"%s\"", kind, old->head->name);
    else if (p->n[id] == SP_CONF_SECTIONS_MAX)
        conf_note(p, &(struct conf_note){.pos = open}, "more than %d %s sections",
                  SP_CONF_SECTIONS_MAX, kind);
    in = new_inst(p, id, NULL, ok ? name->s : SP_LIT("?"));
    if (!in)
        return NULL;
    in->open = open;
    in->head->line = open.line;
    in->name = name ? name->pos : open;
    if (ok && !old && p->n[id] < SP_CONF_SECTIONS_MAX)
        add_inst(p, in);
    return in;
}

static void unclosed(struct conf_parser *p, const struct place *here,
                     const char *before, bool nested)
{
    conf_note(p,
              &(struct conf_note){
                  .pos = here->open,
                  .help = nested ? "write } behind its last key; sections do not stand "
                                   "inside each other"
                                 : "write } on a line of its own behind its last key"},
              "this %s section is not closed before %s", here->kind, before);
}

/* What stands behind KIND. */
struct heading {
    const struct conf_word *name; /* NULL: none */
    bool brace;                   /* the { is there */
    bool broken;                  /* something was noted */
    bool closed;                  /* } stands on the same line */
};

static void bad_heading(struct conf_parser *p, struct heading *h, struct conf_pos pos,
                        const char *help, const char *message)
{
    h->broken = true;
    conf_note(p, &(struct conf_note){.pos = pos, .help = help}, "%s", message);
}

/* `main{` is meant as `main {`. */
static void split_brace(struct conf_parser *p, struct heading *h, struct conf_word *w)
{
    struct conf_pos pos = w->pos;
    const char *brace = w->s.n && !w->quoted ? memchr(w->s.p, '{', w->s.n) : NULL;

    if (!brace || h->brace)
        return;
    h->closed = w->s.p[w->s.n - 1] == '}';
    pos.at += (uint32_t)(brace - w->s.p);
    pos.len = 1;
    bad_heading(p, h, pos,
                h->closed ? "write { at the end of this line and } on one of its own"
                          : NULL,
                brace == w->s.p ? "{ must be the last thing on its line"
                                : "a blank must stand before {");
    w->pos.len = w->pos.len - (uint32_t)w->s.n + (uint32_t)(brace - w->s.p);
    w->s.n = (size_t)(brace - w->s.p);
    h->brace = true;
}

/* The n words behind KIND: [NAME] [{]. */
static struct heading read_heading(struct conf_parser *p, size_t n,
                                   struct conf_pos open, const char *kind)
{
    struct heading h = {.name = NULL};
    size_t brace = 0;

    while (brace < n && !sp_str_is(p->words[brace].s, "{"))
        brace++;
    h.brace = brace < n;
    if (n && !h.brace)
        split_brace(p, &h, &p->words[n - 1]);
    if (brace > 0 && p->words[0].s.n)
        h.name = &p->words[0];
    if (h.broken)
        return h;
    if (brace > 1)
        bad_heading(p, &h, p->words[1].pos, NULL, "the name of a section is one word");
    else if (!h.brace)
        bad_heading(p, &h, open, conf_fmt(p, "write it like this: %s main {", kind),
                    "{ is missing at the end of this line");
    else if (n > brace + 1) {
        h.closed = sp_str_is(p->words[n - 1].s, "}");
        bad_heading(p, &h, p->words[brace + 1].pos,
                    h.closed
                        ? "write each key on a line of its own, and } on the last one"
                        : "begin a new line behind {",
                    "{ must be the last thing on its line");
    }
    return h;
}

static void not_a_line(struct conf_parser *p, const struct place *here,
                       struct sp_str word, struct conf_pos pos)
{
    const struct sp_conf_key *k =
        here->in ? conf_find(p->tables, here->in->id, word) : NULL;

    if (k)
        conf_note(
            p,
            &(struct conf_note){.pos = pos,
                                .example = conf_fmt(p, "%s = %s", k->name, k->example)},
            "= is missing behind %s", conf_quote(p, word));
    else
        conf_note(
            p,
            &(struct conf_note){
                .pos = pos, .expected = "key = value, or a section: listener main {"},
            "%s is neither a key with = behind it nor a section", conf_quote(p, word));
}

/* KIND [NAME] [{] with the KIND read. */
static void read_section(struct conf_parser *p, struct place *here, struct line *l,
                         struct sp_str kind, struct conf_pos pos)
{
    int id = section_id(kind);
    struct conf_pos open = rest_of(l);
    bool has_brace = l->at < l->s.n && memchr(l->s.p + l->at, '{', l->s.n - l->at);
    struct heading h;
    long n;

    if (id < 0 && !has_brace) {
        not_a_line(p, here, kind, pos);
        return;
    }
    if (here->in_section)
        unclosed(
            p, here,
            conf_fmt(p, "line %u, where another section begins", (unsigned)pos.line),
            true);
    if (id < 0)
        unknown_section(p, kind, pos);
    n = words_of(p, l);
    open.len += open.at - pos.at;
    open.at = pos.at;
    here->kind =
        id < 0 ? "unknown" : sp_conf_section((enum sp_conf_section_id)id)->name;
    h = read_heading(p, n < 0 ? 0 : (size_t)n, open, id < 0 ? "listener" : here->kind);
    here->brace_awaited = !h.brace;
    here->in_section = !h.closed;
    here->open = open;
    here->in =
        id < 0 ? NULL : open_section(p, (enum sp_conf_section_id)id, h.name, open);
    if (here->in)
        here->in->broken = h.broken;
    if (h.closed)
        here->in = p->top;
}

/* true: something that may be a line stands behind the }. */
static bool close_section(struct conf_parser *p, struct place *here, struct line *l)
{
    struct conf_pos pos = pos_at(l, l->at, 1);

    if (!here->in_section)
        conf_note(p, &(struct conf_note){.pos = pos},
                  "this } closes nothing: no section is open here");
    here->in_section = false;
    here->in = p->top;
    l->at++;
    skip_blanks(l);
    if (at_end(l))
        return false;
    conf_note(
        p, &(struct conf_note){.pos = rest_of(l), .help = "begin a new line behind }"},
        "} must be the last thing on its line");
    return l->s.p[l->at] != '}';
}

static void read_line(struct conf_parser *p, struct place *here, struct line *l)
{
    struct sp_str word;
    struct conf_pos pos;
    size_t from;

    skip_blanks(l);
    if (at_end(l))
        return;
    if (l->s.p[l->at] == '}' && !close_section(p, here, l))
        return;
    if (l->s.p[l->at] == '{' && here->brace_awaited) {
        here->brace_awaited = false;
        return;
    }
    here->brace_awaited = false;
    from = l->at;
    word = first_word(l);
    pos = pos_at(l, from, word.n);
    skip_blanks(l);
    if (word.n == 0)
        conf_note(p,
                  &(struct conf_note){.pos = pos_at(l, from, 1),
                                      .expected =
                                          "key = value, or a section: listener main {"},
                  "a line cannot begin with %c", l->s.p[from]);
    else if (l->at < l->s.n && l->s.p[l->at] == '=')
        read_assignment(p, here, l, word, pos);
    else
        read_section(p, here, l, word, pos);
}

/* ---- the whole text ---- */

/* Length of the valid UTF-8 at the beginning of s. */
static size_t valid_prefix(struct sp_str s)
{
    size_t n = 0;

    while (n < s.n) {
        size_t len = 1;

        while (n + len < s.n && len < 4 && ((unsigned char)s.p[n + len] & 0xc0) == 0x80)
            len++;
        if (!sp_utf8_valid((struct sp_str){s.p + n, len}))
            break;
        n += len;
    }
    return n;
}

/* Controls, C1 (U+0080 to U+009F) included: terminals obey those too. */
static bool control(struct sp_str s, size_t i)
{
    unsigned c = (unsigned char)s.p[i];

    if (c == 0xc2 && i + 1 < s.n)
        return (unsigned char)s.p[i + 1] >= 0x80 && (unsigned char)s.p[i + 1] < 0xa0;
    return (c < 32 && c != '\t') || c == 127;
}

/* false: the line holds octets that no configuration has. */
static bool clean(struct conf_parser *p, const struct line *l)
{
    size_t bad;

    if (l->s.n > SP_CONF_LINE_MAX) {
        conf_note(
            p,
            &(struct conf_note){
                .pos = pos_at(l, SP_CONF_LINE_MAX, 1),
                .help = "a list can be written on several lines: repeat \"key = \""},
            "this line has %zu octets; at most %d are possible", l->s.n,
            SP_CONF_LINE_MAX);
        return false;
    }
    for (bad = 0; bad < l->s.n && !control(l->s, bad);)
        bad++;
    if (bad < l->s.n) {
        unsigned c = (unsigned char)l->s.p[bad];

        if (c == 0xc2)
            c = (unsigned char)l->s.p[bad + 1];
        conf_note(p,
                  &(struct conf_note){.pos = pos_at(l, bad, 1),
                                      .help = c ? NULL : "is this a text file?"},
                  c ? "a control character (0x%02x)" : "a NUL octet (0x%02x)", c);
        return false;
    }
    bad = valid_prefix(l->s);
    if (bad < l->s.n)
        conf_note(p,
                  &(struct conf_note){.pos = pos_at(l, bad, 1),
                                      .help = "save the file as UTF-8"},
                  "this is not UTF-8 (octet 0x%02x)", (unsigned char)l->s.p[bad]);
    return bad == l->s.n;
}

/* Byte order marks: UTF-8's is skipped, others mean another encoding altogether. */
static bool begin(struct conf_parser *p)
{
    if (p->text.n >= 2 && (memcmp(p->text.p, "\xff\xfe", 2) == 0 ||
                           memcmp(p->text.p, "\xfe\xff", 2) == 0)) {
        conf_note(p, &(struct conf_note){.help = "save the file as UTF-8"},
                  "this file is in UTF-16");
        return false;
    }
    if (p->text.n < 3 || memcmp(p->text.p, "\xef\xbb\xbf", 3) != 0)
        return true;
    p->text.p += 3;
    p->text.n -= 3;
    conf_note(p,
              &(struct conf_note){.warning = true,
                                  .pos = {.line = 1, .len = 1},
                                  .help = "save the file as UTF-8 without one"},
              "the file begins with a byte order mark; it is ignored");
    return true;
}

static void read_text(struct conf_parser *p)
{
    struct place here = {.in = p->top};
    struct sp_str rest;
    struct line l = {.pos = {.line = 0}};
    bool crlf_noted = false;

    if (!begin(p))
        return;
    rest = p->text;
    while (rest.n && !p->full) {
        l.pos.line++;
        l.pos.line_start = (uint32_t)(rest.p - p->text.p);
        l.s = sp_str_cut(&rest, '\n');
        l.at = 0;
        if (l.s.n && l.s.p[l.s.n - 1] == '\r') {
            l.s.n--;
            if (!crlf_noted)
                conf_note(
                    p,
                    &(struct conf_note){.warning = true,
                                        .pos = pos_at(&l, l.s.n, 1),
                                        .help = "save the file with Unix line ends"},
                    "lines end in CR LF; the CR is ignored");
            crlf_noted = true;
        }
        if (clean(p, &l))
            read_line(p, &here, &l);
    }
    if (here.in_section)
        unclosed(p, &here, "the end of the file", false);
}

static char *directory_of(struct sp_arena *a, const char *filename)
{
    const char *slash = filename ? strrchr(filename, '/') : NULL;
    size_t n = slash ? (size_t)(slash - filename) : 0;
    char cwd[4096];
    struct sp_buf b;
    char *r = NULL;

    if (slash && filename[0] == '/')
        return sp_arena_strndup(a, filename, n);
    /* A role without a file system still reads text whose paths are all absolute. */
    if (!getcwd(cwd, sizeof cwd))
        memcpy(cwd, "/", 2);
    sp_buf_init(&b, 16384);
    if (sp_buf_puts(&b, strcmp(cwd, "/") == 0 ? "" : cwd) == 0 &&
        (!n || sp_buf_puts(&b, "/") == 0) && sp_buf_put(&b, filename, n) == 0)
        r = sp_arena_strndup(a, b.p, b.n);
    sp_buf_free(&b);
    return r;
}

static bool set_up(struct conf_parser *p, struct owner *o, const char *filename)
{
    const char *shown = filename ? filename : "configuration";

    p->conf = &o->conf;
    p->arena = &o->arena;
    p->conf->filename = sp_arena_strndup(p->arena, shown, strlen(shown));
    p->conf->directory = directory_of(p->arena, filename);
    p->hash_size = HASH_SIZE;
    p->hash = sp_arena_alloc(&p->scratch, HASH_SIZE * sizeof *p->hash);
    p->words = sp_arena_alloc(&p->scratch, WORDS_MAX * sizeof *p->words);
    p->unquoted = sp_arena_alloc(&p->scratch, SP_CONF_LINE_MAX);
    for (int i = 0; i < SP_CONF_SECTIONS; i++)
        p->tail[i] = &p->first[i];
    if (!p->conf->filename || !p->conf->directory || !p->hash || !p->words ||
        !p->unquoted)
        return false;
    p->top = new_inst(p, SP_CONF_TOP, p->conf, SP_LIT(""));
    return p->top != NULL;
}

struct sp_conf *conf_parse_with(const struct conf_tables *t, struct sp_str text,
                                const char *filename, struct sp_conf_errors *errs)
{
    struct owner *o = sp_alloc(sizeof *o);
    struct conf_parser p = {.tables = t, .text = text, .errs = errs};
    size_t before = errs->errors;

    if (!o) {
        conf_errors_nomem(errs);
        return NULL;
    }
    atomic_init(&o->refs, 1);
    sp_arena_init(&o->arena, ARENA_MAX);
    sp_arena_init(&p.scratch, ARENA_MAX);
    if (filename && !errs->filename)
        errs->filename = sp_arena_strndup(&errs->arena, filename, strlen(filename));
    if (text.n > SP_CONF_FILE_MAX)
        conf_note(&p, &(struct conf_note){.help = "is this the right file?"},
                  "the file has %zu octets; at most %d are read", text.n,
                  SP_CONF_FILE_MAX);
    else if (!set_up(&p, o, filename))
        p.full = true;
    else {
        read_text(&p);
        if (!p.full)
            conf_finish(&p);
        conf_errors_sort(errs);
    }
    if (p.full)
        conf_errors_nomem(errs);
    sp_arena_reset(&p.scratch);
    if (errs->errors == before)
        return &o->conf;
    sp_conf_unref(&o->conf);
    return NULL;
}

struct sp_conf *sp_conf_parse(struct sp_str text, const char *filename,
                              struct sp_conf_errors *errs)
{
    return conf_parse_with(&conf_builtin, text, filename, errs);
}

/* ---- from a file ---- */

static void file_error(struct sp_conf_errors *errs, const char *filename,
                       const char *what, int e)
{
    struct conf_parser p = {.errs = errs};

    if (!errs->filename)
        errs->filename = sp_arena_strndup(&errs->arena, filename, strlen(filename));
    conf_note(&p,
              &(struct conf_note){
                  .help = e == ENOENT
                              ? "an empty file is enough: every key has a default"
                              : NULL},
              "%s: %s", what, strerror(e));
}

struct sp_conf *sp_conf_load(const char *filename, struct sp_conf_errors *errs)
{
    int fd = open(filename, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct sp_conf *c = NULL;
    struct sp_buf b;
    ssize_t n = 1;

    if (fd < 0) {
        file_error(errs, filename, "cannot be opened", errno);
        return NULL;
    }
    /* One octet more than allowed, so that the parser can say that it is too much. */
    sp_buf_init(&b, SP_CONF_FILE_MAX + 1);
    while (n > 0 && b.n < b.max) {
        size_t want = b.max - b.n < 65536 ? b.max - b.n : 65536;
        char *room = sp_buf_room(&b, want);

        n = room ? read(fd, room, want) : -1;
        if (n < 0 && room && errno == EINTR)
            n = 1;
        else if (n < 0)
            file_error(errs, filename, "cannot be read", room ? errno : ENOMEM);
        else
            b.n += (size_t)n;
    }
    if (n >= 0)
        c = sp_conf_parse(sp_buf_view(&b), filename, errs);
    sp_buf_free(&b);
    (void)close(fd);
    return c;
}
