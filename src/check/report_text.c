/* report_text.c - for people at a terminal.  See report.h. */
#include "report_i.h"

#include <stdio.h>
#include <string.h>

enum { COLUMN = 18, LABEL = 10, WIDTH_MIN = 40, WIDTH_MAX = 100, TAIL = 7 };

struct look {
    const char *word, *colour;
};

static const struct look looks[SP_SEV_COUNT] = {
    [SP_SEV_GOOD] = {"good", "32"},
    [SP_SEV_ADVICE] = {"advice", "36"},
    [SP_SEV_INTEROP] = {"interoperability", "33"},
    [SP_SEV_BROKEN] = {"BROKEN", "35;1"},
    [SP_SEV_INSECURE] = {"INSECURE", "31;1"},
};

static void coloured(struct sp_rep *r, const char *colour, const char *text)
{
    if (r->o->colour)
        sp_rep_printf(r, "\033[%sm%s\033[0m", colour, text);
    else
        sp_rep_puts(r, text);
}

static unsigned width(const struct sp_rep *r)
{
    unsigned w = r->o->width ? r->o->width : 80;

    return w < WIDTH_MIN ? WIDTH_MIN : w > WIDTH_MAX ? WIDTH_MAX : w;
}

/* ---- folding ---- */

/* How many octets of s stand in so many columns.  Characters are counted, not octets:
 * good enough for what peers say. */
static size_t octets_of(struct sp_str s, size_t cols)
{
    size_t i = 0;

    for (size_t n = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
        if (n > cols)
            break;
    }
    return i;
}

/* The piece of s that goes on a line of `room` columns; what is left stays in s. */
static struct sp_str next_line(struct sp_str *s, size_t room)
{
    const char *end = memchr(s->p, '\n', s->n);
    size_t n = octets_of(*s, room), cut;
    struct sp_str line;

    if (end && (size_t)(end - s->p) <= n) { /* a setting of several lines */
        line = (struct sp_str){s->p, (size_t)(end - s->p)};
        *s = (struct sp_str){end + 1, s->n - line.n - 1};
        return line;
    }
    for (cut = n; n < s->n && cut > 0 && s->p[cut] != ' ';)
        cut--;
    if (n < s->n && cut > 0)
        n = cut;
    line = (struct sp_str){s->p, n};
    while (n < s->n && s->p[n] == ' ')
        n++;
    *s = (struct sp_str){s->p + n, s->n - n};
    return line;
}

static unsigned lines_of(struct sp_str s, size_t room)
{
    unsigned n = 0;

    for (; s.n; n++)
        (void)next_line(&s, room);
    return n;
}

/* Folded behind `indent` columns, the first line being there already; at most `max`
 * lines (0: all), a longer text ends in "...". */
static void fold(struct sp_rep *r, struct sp_str s, size_t indent, unsigned max)
{
    size_t room = width(r) > indent + 20 ? width(r) - indent : 20;

    for (unsigned n = 1; s.n; n++) {
        struct sp_str line = next_line(&s, room);

        if (n > 1)
            sp_rep_printf(r, "%*s", (int)indent, "");
        if (s.n && n == max) {
            size_t keep = octets_of(line, room - 4);

            sp_rep_printf(r, "%.*s ...\n", (int)keep, line.p);
            return;
        }
        sp_rep_printf(r, "%.*s\n", (int)line.n, line.p);
    }
}

static void labelled(struct sp_rep *r, const char *label, const char *text)
{
    if (!text)
        return;
    sp_rep_printf(r, "  %-*s ", LABEL, label);
    fold(r, sp_str(text), LABEL + 3, 0);
}

static void sentence(struct sp_rep *r, const struct sp_finding *x, size_t indent,
                     unsigned max)
{
    struct sp_buf b;

    sp_buf_init(&b, 16384);
    if (r->rc == 0)
        r->rc = sp_rep_sentence_text(x, &b);
    fold(r, sp_buf_view(&b), indent, max);
    sp_buf_free(&b);
}

/* ---- details ---- */

static void evidence(struct sp_rep *r, const struct sp_evidence *ev)
{
    static const char *const from[] = {"C:", "S:", "  "};

    for (unsigned i = 0; i < ev->n && r->rc == 0; i++) {
        const struct sp_ev_line *l = &ev->line[i];

        sp_rep_printf(r, "  %-*s %s ", LABEL, i ? "" : "Dialogue", from[l->dir]);
        if (l->where[0])
            sp_rep_printf(r, "(%s) ", l->where);
        if (r->rc == 0)
            r->rc = sp_rep_show(r->out, (struct sp_str){l->text, l->n});
        sp_rep_puts(r, l->clipped ? " ...\n" : "\n");
    }
    if (ev->dropped)
        sp_rep_printf(r, "  %-*s    %u more lines\n", LABEL, "", ev->dropped);
}

static void settings(struct sp_rep *r, const struct sp_finding_row *row)
{
    const char *mine = sp_product_setting(row, r->f->product);

    if (mine)
        labelled(r, sp_product_name(r->f->product), mine);
    for (unsigned p = SP_PRODUCT_POSTFIX;
         r->f->product == SP_PRODUCT_UNKNOWN && p <= SP_PRODUCT_OPENSMTPD; p++)
        labelled(r, sp_product_name((enum sp_product)p),
                 sp_product_setting(row, (enum sp_product)p));
}

static void finding(struct sp_rep *r, const struct sp_finding *x)
{
    const struct sp_recipe_row *recipe =
        sp_recipe_row((enum sp_recipe_id)x->row->recipe);

    coloured(r, looks[x->severity].colour, looks[x->severity].word);
    sp_rep_printf(r, "  %s (%s)\n  ", x->row->id,
                  sp_check_row((enum sp_check_id)x->row->check)->id);
    sentence(r, x, 2, 0);
    if (x->severity != SP_SEV_GOOD) {
        labelled(r, "Why", x->row->why);
        labelled(r, "Standard", x->row->rfc);
        labelled(r, "Change", x->row->change);
        settings(r, x->row);
        labelled(r, "Clients", recipe ? recipe->title : NULL);
    }
    evidence(r, &x->ev);
    sp_rep_puts(r, "\n");
}

static void capabilities(struct sp_rep *r)
{
    unsigned seen = 0;
    const char *line;

    for (unsigned w = 0; w < SP_CAPS_COUNT; w++)
        seen += r->f->caps[w].seen;
    if (!seen)
        return;
    coloured(r, "1", "Capabilities");
    sp_rep_puts(r, "\n");
    for (unsigned w = 0; w < SP_CAPS_COUNT; w++)
        if (r->f->caps[w].seen)
            sp_rep_printf(r, "  %-*s", COLUMN - 2,
                          sp_rep_caps_name((enum sp_caps_when)w));
    sp_rep_puts(r, "\n");
    for (size_t i = 0; (line = sp_rep_cap(r->f, i)) != NULL; i++) {
        for (unsigned w = 0; w < SP_CAPS_COUNT; w++)
            if (r->f->caps[w].seen)
                sp_rep_printf(r, "  %-*s", COLUMN - 2,
                              sp_rep_cap_in(r->f, (enum sp_caps_when)w, line) ? "x"
                                                                              : "-");
        if (r->rc == 0)
            r->rc = sp_rep_show(r->out, sp_str(line));
        sp_rep_puts(r, "\n");
    }
    sp_rep_puts(r, "\n");
}

static void recipe(struct sp_rep *r, const struct sp_recipe_row *row)
{
    coloured(r, "1", "Clients: ");
    coloured(r, "1", row->title);
    sp_rep_puts(r, "\n");
    for (const struct sp_recipe_client *c = sp_recipe_clients(); c->key; c++) {
        const char *t = sp_recipe_text(row, c);
        struct sp_buf b;
        struct sp_str rest;

        sp_rep_printf(r, "  %s%s\n", c->name, t ? "" : ": cannot");
        if (!t)
            continue;
        sp_buf_init(&b, 8192);
        if (r->rc == 0)
            r->rc = sp_rep_recipe(r->f, c, t, &b);
        for (rest = sp_buf_view(&b); rest.n;) {
            struct sp_str line = sp_str_cut(&rest, '\n');

            sp_rep_printf(r, "    %.*s\n", (int)line.n, line.p);
        }
        sp_buf_free(&b);
    }
    sp_rep_puts(r, "\n");
}

static void not_run(struct sp_rep *r)
{
    if (!sp_rep_any_left_out(r->f))
        return;
    coloured(r, "1", "Not run");
    sp_rep_puts(r, "\n");
    for (unsigned i = 0; i < SP_CHECK_COUNT; i++) {
        const struct sp_check_row *row = sp_check_row((enum sp_check_id)i);

        if (sp_rep_left_out(r->f, (enum sp_check_id)i)) {
            sp_rep_printf(r, "  %-4s %s: ", row->id, row->title);
            if (r->rc == 0)
                r->rc = sp_rep_show(r->out, sp_str(r->f->check[i].why));
            sp_rep_puts(r, "\n");
        }
    }
    sp_rep_puts(r, "\n");
}

static void facts(struct sp_rep *r)
{
    coloured(r, "1", "About the peer");
    sp_rep_puts(r, "\n");
    for (size_t i = 0; i < r->f->n_facts; i++) {
        sp_rep_printf(r, "  %-12s ", r->f->fact[i].key);
        if (r->rc == 0)
            r->rc = sp_rep_show(r->out, sp_str(r->f->fact[i].value));
        sp_rep_puts(r, "\n");
    }
    sp_rep_puts(r, "\n");
}

static void details(struct sp_rep *r)
{
    facts(r);
    capabilities(r);
    for (size_t i = 0; i < r->f->n; i++)
        finding(r, r->f->finding[i]);
    for (size_t i = 0; i < r->f->n_recipes; i++)
        recipe(r, sp_recipe_row(r->f->recipe[i]));
    not_run(r);
}

/* ---- the summary: one screen ---- */

static void head(struct sp_rep *r)
{
    struct sp_buf b;

    sp_buf_init(&b, 4096);
    if (r->rc == 0)
        r->rc = sp_rep_subject(r->f, &b);
    if (r->rc == 0)
        r->rc = sp_buf_puts(&b, "  ");
    if (r->rc == 0)
        r->rc = sp_rep_about(r->f, &b);
    fold(r, sp_buf_view(&b), 2, 2);
    sp_buf_free(&b);
    if (r->f->status) {
        sp_buf_init(&b, 4 * sizeof r->f->words);
        if (r->rc == 0)
            r->rc = sp_rep_show(&b, sp_str(r->f->words));
        sp_rep_puts(r, "Not finished: ");
        fold(r, sp_buf_view(&b), 2, 3);
        sp_buf_free(&b);
    }
    sp_rep_puts(r, "\n");
}

static unsigned sentence_lines(struct sp_rep *r, const struct sp_finding *x)
{
    struct sp_buf b;
    unsigned n = 0;

    sp_buf_init(&b, 16384);
    if (r->rc == 0)
        r->rc = sp_rep_sentence_text(x, &b);
    n = lines_of(sp_buf_view(&b), width(r) - COLUMN);
    sp_buf_free(&b);
    return n > 2 ? 2 : n;
}

/* The findings that there is room for, worst first; the good ones are only counted. */
static void worst_first(struct sp_rep *r, unsigned room)
{
    size_t n = r->f->n - sp_findings_severity(r->f, SP_SEV_GOOD), i = 0;

    for (; i < n; i++) {
        const struct sp_finding *x = r->f->finding[i];
        unsigned lines = sentence_lines(r, x);

        /* One line stays free for saying how many are left. */
        if (lines + (i + 1 < n) > room)
            break;
        room -= lines;
        coloured(r, looks[x->severity].colour, looks[x->severity].word);
        sp_rep_printf(r, "%*s", COLUMN - (int)strlen(looks[x->severity].word), "");
        sentence(r, x, COLUMN, 2);
    }
    if (i < n)
        sp_rep_printf(r, "%-*sand %zu more, none of them worse (-v)\n", COLUMN, "...",
                      n - i);
    if (n == 0 && r->f->n && !r->f->status)
        sp_rep_puts(r, "Nothing to change.\n");
}

static void counted(struct sp_rep *r)
{
    sp_rep_puts(r, "\n");
    for (int s = SP_SEV_COUNT - 1; s >= 0; s--) {
        char text[60];
        size_t n = sp_findings_severity(r->f, (enum sp_severity)s);

        snprintf(text, sizeof text, "%zu %s", n, sp_severity_name((enum sp_severity)s));
        if (n)
            coloured(r, looks[s].colour, text);
        else
            sp_rep_puts(r, text);
        sp_rep_puts(r, s ? ", " : "\n");
    }
}

static void tail(struct sp_rep *r)
{
    struct sp_rep_cost c = sp_rep_cost(r->f);

    counted(r);
    if (r->f->n_recipes) {
        const struct sp_recipe_row *row = sp_recipe_row(r->f->recipe[0]);
        struct sp_str rest, line;
        struct sp_buf b;

        sp_buf_init(&b, 8192);
        (void)sp_buf_printf(&b, "Clients: %s", row->title);
        if (row->sallyport) {
            const struct sp_recipe_client *our = sp_recipe_clients();

            while (strcmp(our->key, "sallyport") != 0)
                our++;
            (void)sp_buf_puts(&b, ": ");
            (void)sp_rep_recipe(r->f, our, row->sallyport, &b);
        }
        rest = sp_buf_view(&b);
        line = sp_str_cut(&rest, '\n'); /* how to log in; the rest is in the details */
        line.n -= line.n && line.p[line.n - 1] == '\\';
        fold(r, sp_str_trim(line), 2, 2);
        sp_buf_free(&b);
    }
    sp_rep_printf(
        r,
        "%u check%s ran, with %u connection%s and %u failed login%s; %u did not run\n",
        c.ran, c.ran == 1 ? "" : "s", c.connections, c.connections == 1 ? "" : "s",
        c.failed_logins, c.failed_logins == 1 ? "" : "s", c.not_run);
    if (!r->o->details)
        sp_rep_puts(
            r, "What was said, why, and what to change: -v, --html FILE, --json\n");
}

int sp_report_text(const struct sp_findings *f, const struct sp_report_opts *o,
                   struct sp_buf *out)
{
    struct sp_rep r = {.f = f, .o = o, .out = out};
    unsigned height = o->height ? o->height : 24, head_lines = 0;
    size_t from;

    if (o->details)
        details(&r);
    from = out->n;
    head(&r);
    for (size_t i = from; i < out->n; i++)
        head_lines += out->p[i] == '\n';
    worst_first(&r, height > head_lines + TAIL + 4 ? height - head_lines - TAIL : 4);
    tail(&r);
    return r.rc;
}

/* ---- --list ---- */

static const char *tier(enum sp_check_tier t)
{
    return t == SP_TIER_GENTLE     ? ""
           : t == SP_TIER_THOROUGH ? "; --thorough"
                                   : "; --intrusive";
}

int sp_report_list(const struct sp_findings *f, const struct sp_report_opts *o,
                   struct sp_buf *out)
{
    struct sp_rep r = {.f = f, .o = o, .out = out};

    for (unsigned i = 0; i < SP_CHECK_COUNT && r.rc == 0; i++) {
        const struct sp_check_row *row = sp_check_row((enum sp_check_id)i);
        struct sp_buf b;

        if (row->side != f->side)
            continue;
        sp_buf_init(&b, 1000);
        sp_rep_printf(&r, "%-4s ", row->id);
        coloured(&r, "1", row->title);
        sp_rep_puts(&r, "\n     ");
        fold(&r, sp_str(row->asks), 5, 0);
        r.rc = r.rc ? r.rc : sp_check_put_cost(&b, row);
        if (r.rc == 0)
            r.rc = sp_buf_puts(&b, tier(row->tier));
        if (r.rc == 0 && row->needs)
            r.rc = sp_buf_puts(&b, "; needs ");
        if (r.rc == 0)
            r.rc = sp_check_put_needs(&b, row->needs);
        sp_rep_puts(&r, "     ");
        fold(&r, sp_buf_view(&b), 5, 0);
        sp_buf_free(&b);
    }
    return r.rc;
}
