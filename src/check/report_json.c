/* report_json.c - for programs.  See report.h. */
#include "report_i.h"

#include <jansson.h>

/* A string of visible text: jansson refuses invalid UTF-8, and peers send it. */
static json_t *shown(struct sp_str s)
{
    struct sp_buf b;
    json_t *j = NULL;

    sp_buf_init(&b, 4 * s.n + 1);
    if (sp_rep_show(&b, s) == 0)
        j = json_stringn(b.n ? b.p : "", b.n);
    sp_buf_free(&b);
    return j;
}

static json_t *text(const char *s)
{
    return s ? shown(sp_str(s)) : json_null();
}

/* Catalogue text: ours, printable; its line ends must stay line ends. */
static json_t *ours(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *sentence(const struct sp_finding *x)
{
    struct sp_buf b;
    json_t *j = NULL;

    sp_buf_init(&b, 16384);
    if (sp_rep_sentence_text(x, &b) == 0)
        j = json_stringn(b.p, b.n);
    sp_buf_free(&b);
    return j;
}

static json_t *evidence(const struct sp_evidence *ev)
{
    static const char *const from[] = {"client", "server", "note"};
    json_t *list = json_array();

    for (unsigned i = 0; i < ev->n; i++) {
        const struct sp_ev_line *l = &ev->line[i];

        json_array_append_new(list,
                              json_pack("{s:s, s:o, s:o, s:b}", "from", from[l->dir],
                                        "where", text(l->where), "text",
                                        shown((struct sp_str){l->text, l->n}),
                                        "clipped", (int)l->clipped));
    }
    return list;
}

static json_t *settings(const struct sp_finding_row *row)
{
    json_t *o = json_object();

    for (unsigned p = SP_PRODUCT_POSTFIX; p <= SP_PRODUCT_OPENSMTPD; p++)
        if (sp_product_setting(row, (enum sp_product)p))
            json_object_set_new(o, sp_product_name((enum sp_product)p),
                                ours(sp_product_setting(row, (enum sp_product)p)));
    return o;
}

static json_t *finding(const struct sp_finding *x)
{
    const struct sp_recipe_row *recipe =
        sp_recipe_row((enum sp_recipe_id)x->row->recipe);
    json_t *facts = json_array();

    for (int i = 0; i < SP_FACTS; i++)
        if (x->fact[i])
            json_array_append_new(facts, text(x->fact[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
                     "id", x->row->id, "check",
                     sp_check_row((enum sp_check_id)x->row->check)->id, "severity",
                     sp_severity_name(x->severity), "sentence", sentence(x), "facts",
                     facts, "why", ours(x->row->why), "standard", ours(x->row->rfc),
                     "change", ours(x->row->change), "settings", settings(x->row),
                     "recipe", ours(recipe ? recipe->id : NULL), "evidence",
                     evidence(&x->ev), "evidence_dropped", (int)x->ev.dropped);
}

static json_t *recipe(const struct sp_findings *f, enum sp_recipe_id id)
{
    const struct sp_recipe_row *row = sp_recipe_row(id);
    json_t *o = json_pack("{s:s, s:s}", "id", row->id, "title", row->title);

    for (const struct sp_recipe_client *c = sp_recipe_clients(); c->key; c++) {
        const char *t = sp_recipe_text(row, c);
        struct sp_buf b;

        sp_buf_init(&b, 8192);
        if (t && sp_rep_recipe(f, c, t, &b) == 0)
            json_object_set_new(o, c->key, json_stringn(b.p, b.n));
        else
            json_object_set_new(o, c->key, json_null());
        sp_buf_free(&b);
    }
    return o;
}

static json_t *check(const struct sp_findings *f, enum sp_check_id id)
{
    const struct sp_check_result *c = &f->check[id];
    bool done = c->state == SP_CHECK_DONE;

    return json_pack("{s:s, s:s, s:b, s:o, s:i, s:i}", "id", sp_check_row(id)->id,
                     "title", sp_check_row(id)->title, "ran", (int)done, "why",
                     c->why[0] ? text(c->why) : json_null(), "connections",
                     (int)c->connections, "failed_logins", (int)c->failed_logins);
}

static json_t *capabilities(const struct sp_findings *f)
{
    json_t *o = json_object();

    for (unsigned w = 0; w < SP_CAPS_COUNT; w++) {
        json_t *list;

        if (!f->caps[w].seen)
            continue;
        list = json_array();
        for (size_t i = 0; i < f->caps[w].n; i++)
            json_array_append_new(list, text(f->caps[w].line[i]));
        json_object_set_new(o, sp_rep_caps_key((enum sp_caps_when)w), list);
    }
    return o;
}

static json_t *counts(const struct sp_findings *f)
{
    json_t *o = json_object();

    for (int s = SP_SEV_COUNT - 1; s >= 0; s--)
        json_object_set_new(
            o, sp_severity_name((enum sp_severity)s),
            json_integer((json_int_t)sp_findings_severity(f, (enum sp_severity)s)));
    return o;
}

static json_t *peer(const struct sp_findings *f)
{
    json_t *o = json_object();

    for (size_t i = 0; i < f->n_facts; i++)
        json_object_set_new(o, f->fact[i].key, text(f->fact[i].value));
    return o;
}

static json_t *all(const struct sp_findings *f, const struct sp_report_opts *o)
{
    struct sp_rep_cost cost = sp_rep_cost(f);
    json_t *list = json_array(), *checks = json_array(), *recipes = json_array();

    for (size_t i = 0; i < f->n; i++)
        json_array_append_new(list, finding(f->finding[i]));
    for (unsigned i = 0; i < SP_CHECK_COUNT; i++)
        if (sp_check_row((enum sp_check_id)i)->side == f->side)
            json_array_append_new(checks, check(f, (enum sp_check_id)i));
    for (size_t i = 0; i < f->n_recipes; i++)
        json_array_append_new(recipes, recipe(f, f->recipe[i]));
    return json_pack(
        "{s:i, s:o, s:o, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:i, s:i}, "
        "s:b, "
        "s:o}",
        "format", 1, "sallyport", text(o->version), "time", text(o->time), "side",
        f->side == SP_SIDE_SERVER ? "server" : "client", "worst", sp_rep_worst(f),
        "exit", sp_findings_exit(f), "peer", peer(f), "counts", counts(f),
        "capabilities", capabilities(f), "findings", list, "recipes", recipes, "checks",
        checks, "cost", "connections", (int)cost.connections, "failed_logins",
        (int)cost.failed_logins, "interrupted", (int)f->interrupted, "failed",
        f->status ? json_pack("{s:i, s:o}", "status", f->status, "text", text(f->words))
                  : json_null());
}

static int collect(const char *p, size_t n, void *arg)
{
    return sp_buf_put(arg, p, n) < 0 ? -1 : 0;
}

int sp_report_json(const struct sp_findings *f, const struct sp_report_opts *o,
                   struct sp_buf *out)
{
    json_t *j = all(f, o);
    int rc = j ? json_dump_callback(j, collect, out, JSON_INDENT(2)) : -1;

    json_decref(j);
    return rc < 0 ? -SP_ENOMEM : sp_buf_puts(out, "\n");
}
