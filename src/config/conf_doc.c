/*
 * conf_doc.c - the documents that are made from the table.
 *
 * Three forms of one text: Markdown, mdoc and a commented example file.  What stands in
 * front of the keys (the form of the file) is here too, so that the manual page and
 * doc/configuration.md cannot differ.  In texts a sentence ends in a full stop and two
 * blanks: mdoc wants each on a line of its own.
 */
#include "conf_in.h"

#include <string.h>

enum { WIDTH = 78 };

/* ---- the form of the file ---- */

/* A paragraph, or an example when it begins with a blank; "" begins nothing. */
struct passage {
    const char *heading; /* NULL: goes on under the last one */
    const char *text;
};

/* clang-format off */
static const struct passage about[] = {
    {"The file",
     "Sallyport reads one file, /etc/sallyport/sallyport.conf unless another one is named on "
     "the command line.  Every key has a default, and an empty file is a working "
     "configuration."},
    {NULL,
     " # who we are\n"
     " hostname = mail.example.org\n"
     " local-domains = example.org\n"
     "\n"
     " tls main {\n"
     "   certificate = /etc/letsencrypt/live/mail.example.org/fullchain.pem\n"
     "   key = /etc/letsencrypt/live/mail.example.org/privkey.pem\n"
     " }\n"
     "\n"
     " route everything-else {\n"
     "   match = *\n"
     "   to = smarthost\n"
     "   host = smtp.provider.example:587\n"
     "   user = alice\n"
     "   password-file = provider.password\n"
     " }\n"},
    {NULL,
     "A line is key = value, or the beginning of a section with a name, or the } that ends "
     "it.  Blanks at the beginning of a line mean nothing.  # at the beginning of a word "
     "begins a comment.  The file is UTF-8, its lines have at most 4096 octets."},
    {"Values",
     "A value with blanks, or one that begins with #, stands in quotes: \"a value\".  Inside "
     "quotes \\\" is a quote and \\\\ a backslash.  yes and no are written so.  A list is "
     "several words with blanks between them; it may be long: the same key on another line "
     "adds to it.  A key with nothing behind the = is an empty list."},
    {NULL,
     "A size is a number of octets, with K, M or G for units of 1024: 50M.  A time has a unit, "
     "s, m, h or d: 30s, 5m, 4h, 5d.  A path is absolute or begins at the directory of the file."},
    {"Mistakes",
     "sallyport config check reads the file and tells all that is wrong with it: where, what "
     "was expected, and an example.  An unknown key, a key given twice and a section given "
     "twice are errors.  serve refuses to start with an error in the file; a running "
     "service that is told to read it again keeps what it has."},
    {NULL,
     "sallyport config dump prints the configuration as it was understood: what differs from "
     "the defaults, or with --all every key with the value in force."},
};
/* clang-format on */

/* ---- pieces ---- */

static const char *kind_of(enum sp_conf_section_id id)
{
    return id == SP_CONF_TOP ? "Top of the file" : sp_conf_section(id)->name;
}

/* "5d", "\"every tls section ...\"", as people read it. */
static const char *default_of(const struct sp_conf_key *k)
{
    return k->def_doc ? k->def_doc : k->def && *k->def ? k->def : "none";
}

/* Lines of at most WIDTH octets that begin with lead; double blanks count as one. */
static int put_wrapped(struct sp_buf *out, const char *lead, const char *text)
{
    struct sp_str rest = sp_str(text), word;
    size_t column = 0;
    int rc = 0;

    while (rc == 0 && rest.n) {
        word = sp_str_cut(&rest, ' ');
        if (word.n == 0)
            continue;
        if (column && column + 1 + word.n > WIDTH) {
            rc = sp_buf_puts(out, "\n");
            column = 0;
        }
        if (rc == 0)
            rc = sp_buf_puts(out, column ? " " : lead);
        if (rc == 0)
            rc = sp_buf_str(out, word);
        column += (column ? 1 : strlen(lead)) + word.n;
    }
    return rc ? rc : sp_buf_puts(out, "\n");
}

/* ---- the commented example ---- */

static int example_key(const struct sp_conf_key *k, struct sp_buf *out)
{
    const char *indent = k->section == SP_CONF_TOP ? "" : "  ";
    const char *value = k->def && *k->def ? k->def : k->example;
    struct sp_buf line;
    int rc = sp_buf_puts(out, "\n");

    if (rc == 0)
        rc = put_wrapped(out, "# ", k->doc);
    sp_buf_init(&line, 4096);
    if (rc == 0 && (rc = sp_buf_puts(&line, "Expected: ")) == 0 &&
        (rc = sp_conf_expect_text(k, &line)) == 0 &&
        (rc = sp_buf_printf(&line, ".  Default: %s.", default_of(k))) == 0)
        rc = sp_buf_cstr(&line) ? put_wrapped(out, "# ", line.p) : -SP_ENOMEM;
    sp_buf_free(&line);
    return rc ? rc : sp_buf_printf(out, "#%s%s = %s\n", indent, k->name, value);
}

static int example_section(enum sp_conf_section_id id, struct sp_buf *out)
{
    static const char *const names[SP_CONF_SECTIONS] = {
        [SP_CONF_TOP] = "",
        [SP_CONF_TLS] = "main",
        [SP_CONF_LISTENER] = "submission",
        [SP_CONF_ROUTE] = "everything-else",
        [SP_CONF_OAUTH] = "main",
        [SP_CONF_DKIM] = "s2026",
        [SP_CONF_MILTER] = "rspamd",
        [SP_CONF_POLICY] = "quota",
        [SP_CONF_ACCOUNTS] = "directory",
        [SP_CONF_FILTER] = "amavis"};
    const struct sp_conf_section *s = sp_conf_section(id);
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    int rc = sp_buf_puts(out, "\n\n");

    if (rc == 0)
        rc = put_wrapped(out, "## ", s->doc);
    if (rc == 0 && id != SP_CONF_TOP)
        rc = sp_buf_printf(out, "\n#%s %s {\n", s->name, names[id]);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (k[i].section == id && !k[i].deprecated_by)
            rc = example_key(&k[i], out);
    return rc || id == SP_CONF_TOP ? rc : sp_buf_puts(out, "#}\n");
}

int sp_conf_doc_example(struct sp_buf *out)
{
    int rc = put_wrapped(out, "# ",
                         "sallyport.conf: every key, what it is for, and its default "
                         "or an example.  All of it "
                         "is commented out: remove the # directly in front of a key "
                         "(and of the lines of its "
                         "section with { and }) to use it.  See sallyport.conf(5); "
                         "check your changes with "
                         "sallyport config check.");

    for (int i = 0; rc == 0 && i < SP_CONF_SECTIONS; i++)
        rc = example_section((enum sp_conf_section_id)i, out);
    return rc;
}

/* ---- Markdown ---- */

/* In running text these would be markup. */
static int md_text(struct sp_buf *out, const char *s)
{
    int rc = 0;

    for (; rc == 0 && *s; s++)
        if (!(s[0] == ' ' && s[1] == ' '))
            rc = sp_buf_printf(out, "%s%c", strchr("*<>\\_`[]", *s) ? "\\" : "", *s);
    return rc;
}

static int md_passage(struct sp_buf *out, const struct passage *a)
{
    int rc = 0;

    if (a->heading)
        rc = sp_buf_printf(out, "## %s\n\n", a->heading);
    if (rc == 0 && a->text[0] == ' ') {
        rc = sp_buf_puts(out, "```\n");
        for (const char *s = a->text; rc == 0 && *s; s++)
            if (!(*s == ' ' && (s == a->text || s[-1] == '\n')))
                rc = sp_buf_put(out, s, 1);
        return rc ? rc : sp_buf_puts(out, "```\n\n");
    }
    if (rc == 0)
        rc = md_text(out, a->text);
    return rc ? rc : sp_buf_puts(out, "\n\n");
}

static int md_key(const struct sp_conf_key *k, struct sp_buf *out)
{
    int rc = sp_buf_printf(out, "### `%s`\n\n", k->name);

    if (rc == 0)
        rc = md_text(out, k->doc);
    if (rc == 0)
        rc = sp_buf_puts(out, "\n\n- Expected: ");
    if (rc == 0) {
        struct sp_buf e;

        sp_buf_init(&e, 4096);
        rc = sp_conf_expect_text(k, &e);
        if (rc == 0)
            rc = sp_buf_cstr(&e) ? md_text(out, e.p) : -SP_ENOMEM;
        sp_buf_free(&e);
    }
    if (rc == 0)
        rc = k->def_doc || !*default_of(k) ? sp_buf_puts(out, "\n- Default: ")
                                           : sp_buf_puts(out, "\n- Default: `");
    if (rc == 0)
        rc = k->def_doc ? md_text(out, k->def_doc)
                        : sp_buf_printf(out, "%s`", default_of(k));
    return rc ? rc
              : sp_buf_printf(out, "\n- Example: `%s = %s`\n- Since version %s\n\n",
                              k->name, k->example, k->since);
}

int sp_conf_doc_markdown(struct sp_buf *out)
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    int rc =
        sp_buf_puts(out, "# Configuration\n\n"
                         "<!-- Made from the table in src/config/conf_table.c by the "
                         "program confdoc; do not edit. -->\n\n");

    for (size_t i = 0; rc == 0 && i < sizeof about / sizeof about[0]; i++)
        rc = md_passage(out, &about[i]);
    for (int s = 0; rc == 0 && s < SP_CONF_SECTIONS; s++) {
        enum sp_conf_section_id id = (enum sp_conf_section_id)s;

        rc = id == SP_CONF_TOP ? sp_buf_puts(out, "## Top of the file\n\n")
                               : sp_buf_printf(out, "## `%s` NAME\n\n", kind_of(id));
        if (rc == 0)
            rc = md_text(out, sp_conf_section(id)->doc);
        if (rc == 0)
            rc = sp_buf_puts(out, "\n\n");
        for (size_t i = 0; rc == 0 && i < n; i++)
            if (k[i].section == id && !k[i].deprecated_by)
                rc = md_key(&k[i], out);
    }
    out->n -= out->n && rc == 0; /* no empty line at the end */
    return rc;
}

/* ---- mdoc ---- */

/* One word, without anything that troff would take for itself. */
static int man_word(struct sp_buf *out, struct sp_str w, bool first)
{
    int rc = 0;

    if (first && w.n && (w.p[0] == '.' || w.p[0] == '\''))
        rc = sp_buf_puts(out, "\\&");
    for (size_t i = 0; rc == 0 && i < w.n; i++)
        rc = w.p[i] == '\\'  ? sp_buf_puts(out, "\\e")
             : w.p[i] == '-' ? sp_buf_puts(out, "\\-")
             : w.p[i] == '"' ? sp_buf_puts(out, "\\(dq")
                             : sp_buf_put(out, w.p + i, 1);
    return rc;
}

/* Every blank counts. */
static int man_literal(struct sp_buf *out, const char *s)
{
    return man_word(out, sp_str(s), true);
}

/* Running text: a sentence begins a new line, and no line is long. */
static int man_text(struct sp_buf *out, const char *s)
{
    struct sp_str rest = sp_str(s), w;
    size_t start = out->n;
    int rc = 0;

    while (rc == 0 && rest.n) {
        w = sp_str_cut(&rest, ' ');
        if (w.n == 0)
            continue;
        if (out->n > start) {
            bool broken =
                out->n - start + w.n > WIDTH - 4 || out->p[out->n - 1] == '\n';

            if (out->p[out->n - 1] != '\n')
                rc = sp_buf_puts(out, broken ? "\n" : " ");
            if (broken)
                start = out->n;
        }
        if (rc == 0)
            rc = man_word(out, w, out->n == start);
        if (rc == 0 && rest.n && rest.p[0] == ' ' && w.p[w.n - 1] == '.')
            rc = sp_buf_puts(out, "\n");
    }
    return rc;
}

static int man_line(struct sp_buf *out, const char *s)
{
    int rc = man_text(out, s);

    return rc ? rc : sp_buf_puts(out, "\n");
}

static int man_passage(struct sp_buf *out, const struct passage *a)
{
    int rc = 0;

    if (a->heading)
        rc = sp_buf_printf(out, ".Ss %s\n", a->heading);
    if (rc || a->text[0] != ' ') {
        if (rc == 0 && !a->heading)
            rc = sp_buf_puts(out, ".Pp\n");
        return rc ? rc : man_line(out, a->text);
    }
    rc = sp_buf_puts(out, ".Bd -literal -offset indent\n");
    for (struct sp_str rest = sp_str(a->text), line; rc == 0 && rest.n;) {
        char tmp[200];

        line = sp_str_cut(&rest, '\n');
        memcpy(tmp, line.p, line.n);
        tmp[line.n] = '\0';
        rc = man_literal(out, line.n ? tmp + 1 : "");
        if (rc == 0)
            rc = sp_buf_puts(out, "\n");
    }
    return rc ? rc : sp_buf_puts(out, ".Ed\n");
}

static int man_key(const struct sp_conf_key *k, struct sp_buf *out)
{
    struct sp_buf e;
    int rc = sp_buf_puts(out, ".It Cm ");

    if (rc == 0)
        rc = man_line(out, k->name);
    if (rc == 0)
        rc = man_line(out, k->doc);
    sp_buf_init(&e, 4096);
    if (rc == 0 && (rc = sp_buf_puts(&e, "Expected: ")) == 0 &&
        (rc = sp_conf_expect_text(k, &e)) == 0 &&
        (rc = sp_buf_printf(&e, ".  Default: %s.", default_of(k))) == 0)
        rc = sp_buf_cstr(&e) ? sp_buf_puts(out, ".br\n") : -SP_ENOMEM;
    if (rc == 0)
        rc = man_line(out, e.p);
    sp_buf_free(&e);
    if (rc == 0)
        rc = sp_buf_puts(out, ".Dl ");
    if (rc == 0)
        rc = man_literal(out, k->name);
    if (rc == 0)
        rc = sp_buf_puts(out, " = ");
    if (rc == 0)
        rc = man_literal(out, k->example);
    return rc ? rc : sp_buf_puts(out, "\n");
}

int sp_conf_doc_man(struct sp_buf *out)
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof about / sizeof about[0]; i++)
        rc = man_passage(out, &about[i]);
    for (int s = 0; rc == 0 && s < SP_CONF_SECTIONS; s++) {
        enum sp_conf_section_id id = (enum sp_conf_section_id)s;

        rc = id == SP_CONF_TOP
                 ? sp_buf_puts(out, ".Sh KEYS AT THE TOP OF THE FILE\n")
                 : sp_buf_printf(out, ".Sh KEYS OF %s SECTIONS\n", kind_of(id));
        if (rc == 0)
            rc = man_line(out, sp_conf_section(id)->doc);
        if (rc == 0)
            rc = sp_buf_puts(out, ".Bl -tag -width 4n\n");
        for (size_t i = 0; rc == 0 && i < n; i++)
            if (k[i].section == id && !k[i].deprecated_by)
                rc = man_key(&k[i], out);
        if (rc == 0)
            rc = sp_buf_puts(out, ".El\n");
    }
    return rc;
}

/* ---- words for completion ---- */

int sp_conf_doc_words(struct sp_buf *out)
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const char *section = sp_conf_section(k[i].section)->name;

        if (k[i].deprecated_by)
            continue;
        rc = sp_buf_printf(out, "%s %s", *section ? section : "-", k[i].name);
        if (k[i].type == SP_CONF_BOOL && rc == 0)
            rc = sp_buf_puts(out, " yes no");
        for (const struct sp_conf_word *w = k[i].words; rc == 0 && w && w->word; w++)
            if (!w->later && !w->unlisted)
                rc = sp_buf_printf(out, " %s", w->word);
        if (rc == 0)
            rc = sp_buf_puts(out, "\n");
    }
    return rc;
}
