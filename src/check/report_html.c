/*
 * report_html.c - one page for a browser, a phone, or paper.  See report.h.
 *
 * Everything that is not in this file or in the catalogue goes through put_text(): it is
 * made visible first, then escaped for HTML.  A policy in the page forbids scripts and
 * everything from elsewhere, should that ever fail.
 */
#include "report_i.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const char style[] =
":root{color-scheme:light dark;--bg:#f4f6f8;--card:#fff;--ink:#17202a;--soft:#566270;--line:#dde3ea;"
"--code:#eef2f6;--insecure:#b42318;--broken:#8a2be2;--interop:#9a5b00;--advice:#0b6e8f;--good:#1f7a3a;"
"--client:#0b5cad;--server:#6b4e00}\n"
"@media(prefers-color-scheme:dark){:root{--bg:#12161b;--card:#1b2129;--ink:#e6eaf0;--soft:#9aa7b5;"
"--line:#2e3742;--code:#252d37;--insecure:#ff8a80;--broken:#d3a4ff;--interop:#f4b95a;--advice:#6cc7e6;"
"--good:#7bd694;--client:#86bdf7;--server:#e0c27a}}\n"
"*{box-sizing:border-box}"
"body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",\"DejaVu Sans\",sans-serif;"
"-webkit-text-size-adjust:100%}\n"
"main{max-width:56rem;margin:0 auto;padding:1.25rem 1rem 3rem}\n"
"h1{font-size:1.5rem;line-height:1.2;margin:.1rem 0 .3rem;overflow-wrap:anywhere}"
"h2{font-size:1.15rem;margin:2.2rem 0 .7rem}"
"h3{font-size:1.02rem;line-height:1.4;margin:.35rem 0 .5rem;font-weight:600}"
"p{margin:.4rem 0}a{color:var(--advice)}\n"
"code,pre,.talk{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;font-size:.875em}"
"code{background:var(--code);border-radius:.25rem;padding:.06em .3em;overflow-wrap:anywhere}"
"h3 code{font-weight:500}\n"
".fact{unicode-bidi:isolate;overflow-wrap:anywhere}"
".card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.1rem}\n"
".verdict{border-top:.4rem solid var(--c)}"
".verdict .word{color:var(--c);font-weight:700;font-size:1.1rem}"
".soft{color:var(--soft)}.small{font-size:.875rem}\n"
".chips{display:flex;flex-wrap:wrap;gap:.4rem;margin:.8rem 0 0;padding:0;list-style:none}"
".chips li{border:1px solid var(--line);border-radius:1rem;padding:.1rem .7rem;font-size:.875rem;color:var(--soft)}"
".chips .some{border-color:var(--c);color:var(--c);font-weight:600}\n"
".insecure{--c:var(--insecure)}.broken{--c:var(--broken)}.interoperability{--c:var(--interop)}"
".advice{--c:var(--advice)}.good{--c:var(--good)}.unknown{--c:var(--soft)}\n"
".finding{border-left:.35rem solid var(--c);margin:.8rem 0}"
".badge{color:var(--c);font-weight:700;font-size:.8rem;letter-spacing:.03em;text-transform:uppercase}"
".meta{display:flex;flex-wrap:wrap;gap:.2rem .7rem;align-items:baseline;font-size:.875rem;color:var(--soft)}\n"
"dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem .9rem;margin:.7rem 0 0}"
"dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere;white-space:pre-line}\n"
"details{margin-top:.7rem}summary{cursor:pointer;color:var(--soft);font-size:.875rem}\n"
".talk{background:var(--code);border-radius:.4rem;margin:.4rem 0 0;padding:.5rem .7rem;list-style:none}"
".talk li{padding-left:1.6rem;text-indent:-1.6rem;overflow-wrap:anywhere;white-space:pre-wrap;unicode-bidi:isolate}"
".talk .where{color:var(--soft);padding-left:0;text-indent:0;font-family:system-ui,sans-serif}"
".talk b{display:inline-block;width:1.6rem;text-indent:0}.talk .client b{color:var(--client)}.talk .server b{color:var(--server)}"
".talk .note{color:var(--soft);font-style:italic}\n"
".list,.card.list{padding:.3rem 1rem;margin:0;list-style:none}.list>li{padding:.4rem 0 .4rem 1.6rem;border-top:1px solid var(--line);position:relative}"
".list>li:first-child{border-top:0}.tick::before{content:\"\\2713\";position:absolute;left:.2rem;color:var(--good);font-weight:700}"
".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}"
"th,td{text-align:left;padding:.35rem .6rem;border-top:1px solid var(--line);vertical-align:top}"
"thead th{border-top:0;color:var(--soft);font-weight:600;font-size:.8rem}"
"td.yes,td.no{text-align:center}thead th.state{text-align:center}td.yes{color:var(--good);font-weight:700}td.no{color:var(--soft)}"
"tr.differs td:first-child{font-weight:600}\n"
"pre{background:var(--code);border-radius:.4rem;padding:.6rem .8rem;margin:.3rem 0 .8rem;white-space:pre-wrap;overflow-wrap:anywhere}\n"
".title{font-size:1.02rem;font-weight:600;color:var(--ink)}.title::first-letter{text-transform:uppercase}"
"h4{margin:.7rem 0 .2rem;font-size:.9rem}footer{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:.8rem}\n"
"@media(max-width:32rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}.card{padding:.85rem .85rem}th,td{padding:.35rem .35rem}}\n"
"@media print{:root{color-scheme:light;--bg:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--code:#f3f3f3;"
"--insecure:#b42318;--broken:#6d1fb5;--interop:#7d4a00;--advice:#095a75;--good:#17602d;--client:#0b5cad;--server:#6b4e00}"
"body{font-size:10.5pt}main{max-width:none;padding:0}.finding,.talk li,tr,pre{break-inside:avoid}h2,h3,h4{break-after:avoid}"
"details::details-content{content-visibility:visible;block-size:auto}details>*{display:block}summary{list-style:none}.list details{display:none}.wide{overflow:visible}}\n";
/* clang-format on */

/* ---- escaping ---- */

static void put_html(struct sp_rep *r, struct sp_str s)
{
    for (size_t i = 0; i < s.n && r->rc == 0; i++) {
        const char *e = s.p[i] == '&'    ? "&amp;"
                        : s.p[i] == '<'  ? "&lt;"
                        : s.p[i] == '>'  ? "&gt;"
                        : s.p[i] == '"'  ? "&quot;"
                        : s.p[i] == '\'' ? "&#39;"
                                         : NULL;

        r->rc = e ? sp_buf_puts(r->out, e) : sp_buf_put(r->out, s.p + i, 1);
    }
}

/* What came from anywhere. */
static void put_text(struct sp_rep *r, struct sp_str s)
{
    struct sp_buf b;

    sp_buf_init(&b, 4 * s.n + 1);
    if (r->rc == 0)
        r->rc = sp_rep_show(&b, s);
    put_html(r, sp_buf_view(&b));
    sp_buf_free(&b);
}

/* What the catalogue says; `this` is code. */
static void put_ours(struct sp_rep *r, struct sp_str s)
{
    struct sp_str rest = s;

    for (bool code = false; rest.n; code = !code) {
        struct sp_str piece = sp_str_cut(&rest, '`');

        if (code)
            sp_rep_puts(r, "<code>");
        put_html(r, piece);
        if (code)
            sp_rep_puts(r, "</code>");
    }
}

static void sentence_piece(void *arg, struct sp_str s, bool fact)
{
    struct sp_rep *r = arg;

    if (!fact) {
        put_ours(r, s);
        return;
    }
    if (s.n == 0)
        return;
    sp_rep_puts(r, "<code class=\"fact\">");
    put_text(r, s);
    sp_rep_puts(r, "</code>");
}

/* ---- the head ---- */

static const char *verdict(const struct sp_findings *f)
{
    static const char *const words[2][SP_SEV_COUNT] = {
        {"Good: nothing to change.", "Good: it works; some things could be better.",
         "Works, but not for every mail program.",
         "Broken: it does not do what the standard says or what it announces.",
         "Insecure: passwords, mail or identities are exposed."},
        {"Good: nothing to change.", "Good: it works; some things could be better.",
         "Works, but not with every server.",
         "Broken: it does not do what the standard says.",
         "Insecure: passwords, mail or identities are exposed."},
    };

    return f->n ? words[f->side][f->finding[0]->severity] : "Nothing was found out.";
}

static void chips(struct sp_rep *r)
{
    sp_rep_puts(r, "<ul class=\"chips\">\n");
    for (int s = SP_SEV_COUNT - 1; s >= 0; s--) {
        size_t n = sp_findings_severity(r->f, (enum sp_severity)s);
        const char *name = sp_severity_name((enum sp_severity)s);

        sp_rep_printf(r, "<li class=\"%s%s\">%zu %s</li>\n", n ? "some " : "", name, n,
                      name);
    }
    sp_rep_puts(r, "</ul>\n");
}

static void by_text(struct sp_rep *r,
                    int (*make)(const struct sp_findings *, struct sp_buf *))
{
    struct sp_buf b;

    sp_buf_init(&b, 65536);
    if (r->rc == 0)
        r->rc = make(r->f, &b);
    put_html(r, sp_buf_view(&b));
    sp_buf_free(&b);
}

static void head(struct sp_rep *r)
{
    sp_rep_puts(
        r, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
           "'none'; style-src 'unsafe-inline'\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, "
           "initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
           "<title>");
    by_text(r, sp_rep_subject);
    sp_rep_puts(r, ": sallyport check</title>\n<style>\n");
    sp_rep_puts(r, style);
    sp_rep_puts(r, "</style>\n</head>\n<body>\n<main>\n");
    sp_rep_printf(r, "<header class=\"card verdict %s\">\n", sp_rep_worst(r->f));
    sp_rep_printf(r, "<p class=\"soft small\">%s, %s</p>\n<h1>",
                  r->f->side == SP_SIDE_SERVER ? "Check of a mail server"
                                               : "Check of a mail client",
                  r->o->time ? r->o->time : "");
    by_text(r, sp_rep_subject);
    sp_rep_printf(r, "</h1>\n<p class=\"word\">%s</p>\n<p class=\"soft\">",
                  verdict(r->f));
    by_text(r, sp_rep_about);
    sp_rep_puts(r, "</p>\n");
    if (r->f->status) {
        sp_rep_puts(r, "<p><strong>Not finished:</strong> ");
        put_text(r, sp_str(r->f->words));
        sp_rep_puts(r, "</p>\n");
    }
    chips(r);
    sp_rep_puts(r, "</header>\n");
}

/* ---- findings ---- */

static void row(struct sp_rep *r, const char *label, const char *text)
{
    if (!text)
        return;
    sp_rep_printf(r, "<dt>%s</dt><dd>", label);
    put_ours(r, sp_str(text));
    sp_rep_puts(r, "</dd>\n");
}

static void settings(struct sp_rep *r, const struct sp_finding_row *f)
{
    enum sp_product known = r->f->product;
    char label[40];

    for (unsigned p = SP_PRODUCT_POSTFIX; p <= SP_PRODUCT_OPENSMTPD; p++) {
        if (known != SP_PRODUCT_UNKNOWN && known != p)
            continue;
        snprintf(label, sizeof label, "In %s", sp_product_name((enum sp_product)p));
        row(r, label, sp_product_setting(f, (enum sp_product)p));
    }
}

static void evidence(struct sp_rep *r, const struct sp_evidence *ev, bool open)
{
    static const char *const who[] = {"client", "server", "note"};
    static const char *const letter[] = {"C", "S", ""};
    const char *where = "";

    if (ev->n == 0)
        return;
    sp_rep_printf(r,
                  "<details%s><summary>What was sent and answered</summary>\n"
                  "<ul class=\"talk\">\n",
                  open ? " open" : "");
    for (unsigned i = 0; i < ev->n; i++) {
        const struct sp_ev_line *l = &ev->line[i];

        if (strcmp(l->where, where) != 0) {
            where = l->where;
            sp_rep_puts(r, "<li class=\"where\">");
            put_text(r, sp_str(where));
            sp_rep_puts(r, "</li>\n");
        }
        sp_rep_printf(r, "<li class=\"%s\">", who[l->dir]);
        if (letter[l->dir][0])
            sp_rep_printf(r, "<b>%s</b>", letter[l->dir]);
        put_text(r, (struct sp_str){l->text, l->n});
        sp_rep_puts(r, l->clipped ? " …</li>\n" : "</li>\n");
    }
    if (ev->dropped)
        sp_rep_printf(r, "<li class=\"note\">%u more lines</li>\n", ev->dropped);
    sp_rep_puts(r, "</ul></details>\n");
}

static void finding(struct sp_rep *r, const struct sp_finding *x)
{
    const char *sev = sp_severity_name(x->severity);
    const struct sp_recipe_row *recipe =
        sp_recipe_row((enum sp_recipe_id)x->row->recipe);

    sp_rep_printf(r,
                  "<article class=\"card finding %s\">\n<div class=\"meta\"><span "
                  "class=\"badge\">%s</span><code>%s</code><span>%s</span></div>\n<h3>",
                  sev, sev, x->row->id,
                  sp_check_row((enum sp_check_id)x->row->check)->id);
    sp_rep_sentence(x, sentence_piece, r);
    sp_rep_puts(r, "</h3>\n<p>");
    put_ours(r, sp_str(x->row->why));
    sp_rep_puts(r, "</p>\n<dl>\n");
    row(r, "Change", x->row->change);
    settings(r, x->row);
    if (recipe) {
        sp_rep_printf(r, "<dt>Clients</dt><dd><a href=\"#recipe-%s\">", recipe->id);
        put_ours(r, sp_str(recipe->title));
        sp_rep_puts(r, "</a></dd>\n");
    }
    row(r, "Standard", x->row->rfc);
    sp_rep_puts(r, "</dl>\n");
    evidence(r, &x->ev, x->severity >= SP_SEV_INTEROP);
    sp_rep_puts(r, "</article>\n");
}

static void findings(struct sp_rep *r)
{
    size_t good = sp_findings_severity(r->f, SP_SEV_GOOD), n = r->f->n - good;

    if (n)
        sp_rep_puts(r, "<section>\n<h2>What to look at</h2>\n");
    for (size_t i = 0; i < n; i++)
        finding(r, r->f->finding[i]);
    if (n)
        sp_rep_puts(r, "</section>\n");
    if (!good)
        return;
    sp_rep_puts(r, "<section>\n<h2>As it should be</h2>\n<ul class=\"card list\">\n");
    for (size_t i = n; i < r->f->n; i++) {
        sp_rep_puts(r, "<li class=\"tick\">");
        sp_rep_sentence(r->f->finding[i], sentence_piece, r);
        evidence(r, &r->f->finding[i]->ev, false);
        sp_rep_puts(r, "</li>\n");
    }
    sp_rep_puts(r, "</ul>\n</section>\n");
}

/* ---- client settings ---- */

static void recipe(struct sp_rep *r, const struct sp_recipe_row *recipe_row, bool open)
{
    sp_rep_printf(r,
                  "<details class=\"card finding good\" id=\"recipe-%s\"%s>\n"
                  "<summary class=\"title\">",
                  recipe_row->id, open ? " open" : "");
    put_ours(r, sp_str(recipe_row->title));
    sp_rep_puts(r, "</summary>\n");
    for (const struct sp_recipe_client *c = sp_recipe_clients(); c->key; c++) {
        const char *t = sp_recipe_text(recipe_row, c);
        struct sp_buf b;

        sp_rep_printf(r, "<h4>%s</h4>\n", c->name);
        if (!t) {
            sp_rep_puts(r, "<p class=\"soft\">cannot do this</p>\n");
            continue;
        }
        sp_buf_init(&b, 8192);
        if (r->rc == 0)
            r->rc = sp_rep_recipe(r->f, c, t, &b);
        sp_rep_puts(r, "<pre>");
        put_html(r, sp_buf_view(&b));
        sp_rep_puts(r, "</pre>\n");
        sp_buf_free(&b);
    }
    sp_rep_puts(r, "</details>\n");
}

static void recipes(struct sp_rep *r)
{
    if (r->f->n_recipes == 0)
        return;
    sp_rep_puts(r, "<section>\n<h2>Settings for mail programs</h2>\n");
    for (size_t i = 0; i < r->f->n_recipes; i++)
        recipe(r, sp_recipe_row(r->f->recipe[i]), i == 0);
    sp_rep_puts(r, "</section>\n");
}

/* ---- facts ---- */

static void capability(struct sp_rep *r, const char *line)
{
    unsigned seen = 0, in = 0;

    for (unsigned w = 0; w < SP_CAPS_COUNT; w++) {
        seen += r->f->caps[w].seen;
        in += sp_rep_cap_in(r->f, (enum sp_caps_when)w, line);
    }
    sp_rep_puts(r, in < seen ? "<tr class=\"differs\"><td><code>" : "<tr><td><code>");
    put_text(r, sp_str(line));
    sp_rep_puts(r, "</code></td>");
    for (unsigned w = 0; w < SP_CAPS_COUNT; w++)
        if (r->f->caps[w].seen)
            sp_rep_puts(r, sp_rep_cap_in(r->f, (enum sp_caps_when)w, line)
                               ? "<td class=\"yes\">yes</td>"
                               : "<td class=\"no\">–</td>");
    sp_rep_puts(r, "</tr>\n");
}

static void capabilities(struct sp_rep *r)
{
    const char *line = sp_rep_cap(r->f, 0);

    if (!line)
        return;
    sp_rep_puts(r, "<section>\n<h2>Capabilities</h2>\n<div class=\"card wide\"><table>"
                   "<thead><tr><th>EHLO lists</th>");
    for (unsigned w = 0; w < SP_CAPS_COUNT; w++)
        if (r->f->caps[w].seen)
            sp_rep_printf(r, "<th class=\"state\">%s</th>",
                          sp_rep_caps_name((enum sp_caps_when)w));
    sp_rep_puts(r, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; (line = sp_rep_cap(r->f, i)) != NULL; i++)
        capability(r, line);
    sp_rep_puts(r, "</tbody></table></div>\n</section>\n");
}

static void facts(struct sp_rep *r)
{
    if (r->f->n_facts == 0)
        return;
    sp_rep_printf(r, "<section>\n<h2>About the %s</h2>\n<div class=\"card\"><dl>\n",
                  r->f->side == SP_SIDE_SERVER ? "server" : "client");
    for (size_t i = 0; i < r->f->n_facts; i++) {
        sp_rep_puts(r, "<dt>");
        put_text(r, sp_str(r->f->fact[i].key));
        sp_rep_puts(r, "</dt><dd class=\"fact\">");
        put_text(r, sp_str(r->f->fact[i].value));
        sp_rep_puts(r, "</dd>\n");
    }
    sp_rep_puts(r, "</dl></div>\n</section>\n");
}

static void not_run(struct sp_rep *r)
{
    if (!sp_rep_any_left_out(r->f))
        return;
    sp_rep_puts(
        r,
        "<section>\n<h2>Not checked</h2>\n<div class=\"card wide\"><table><tbody>\n");
    for (unsigned i = 0; i < SP_CHECK_COUNT; i++) {
        const struct sp_check_row *c = sp_check_row((enum sp_check_id)i);

        if (!sp_rep_left_out(r->f, (enum sp_check_id)i))
            continue;
        sp_rep_printf(r, "<tr><td>%s</td><td>", c->id);
        put_ours(r, sp_str(c->title));
        sp_rep_puts(r, "</td><td class=\"soft\">");
        put_text(r, sp_str(r->f->check[i].why));
        sp_rep_puts(r, "</td></tr>\n");
    }
    sp_rep_puts(r, "</tbody></table></div>\n</section>\n");
}

static void foot(struct sp_rep *r)
{
    struct sp_rep_cost c = sp_rep_cost(r->f);

    sp_rep_printf(
        r,
        "<footer class=\"soft small\">\n<p>%u check%s ran, with %u connection%s "
        "and %u failed login%s. Passwords are never part of this page.</p>\n"
        "<p>sallyport %s</p>\n</footer>\n</main>\n</body>\n</html>\n",
        c.ran, c.ran == 1 ? "" : "s", c.connections, c.connections == 1 ? "" : "s",
        c.failed_logins, c.failed_logins == 1 ? "" : "s",
        r->o->version ? r->o->version : "");
}

int sp_report_html(const struct sp_findings *f, const struct sp_report_opts *o,
                   struct sp_buf *out)
{
    struct sp_rep r = {.f = f, .o = o, .out = out};

    head(&r);
    findings(&r);
    recipes(&r);
    capabilities(&r);
    facts(&r);
    not_run(&r);
    foot(&r);
    return r.rc;
}
