/* accounts.c - see accounts.h. */
#include "accounts.h"

#include "conf_in.h"
#include "err.h"
#include "target.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20, ARENA_MAX = 4 << 20, PATH_LEN = 4096 };

const struct sp_option sp_account_keys[] = {
    SP_OPT_TARGET,
    {"from", 'f', "ADDRESS", "reverse-path; also From when the message has none"},
    SP_OPT_END,
};

#define SYSTEM_FILE "/etc/sallyport/accounts.conf"

void sp_accounts_init(struct sp_accounts *s)
{
    memset(s, 0, sizeof *s);
    sp_arena_init(&s->arena, ARENA_MAX);
    sp_conf_errors_init(&s->errs);
}

void sp_accounts_free(struct sp_accounts *s)
{
    sp_arena_reset(&s->arena);
    sp_conf_errors_free(&s->errs);
    s->first = s->last = NULL;
}

const struct sp_account *sp_accounts_find(const struct sp_accounts *s, const char *name)
{
    for (const struct sp_account *acc = s->first; acc; acc = acc->next)
        if (strcmp(acc->name, name) == 0)
            return acc;
    return NULL;
}

/* ---- reading ---- */

struct reading {
    struct sp_accounts *s;
    struct conf_parser p; /* only what conf_note() needs: text and errors */
    struct sp_account *in;
    struct conf_pos open;
    struct sp_str line;
    struct conf_pos pos; /* of the line; at and len are set for each word */
    const char *filename, *home;
};

/* A place in the present line. */
static struct conf_pos place(const struct reading *r, struct sp_str word)
{
    struct conf_pos pos = r->pos;

    pos.at = word.p ? (uint32_t)(word.p - r->line.p) : 0;
    pos.len = (uint32_t)word.n;
    return pos;
}

static struct sp_str cut_word(struct sp_str *rest)
{
    struct sp_str w;

    *rest = sp_str_trim(*rest);
    w = *rest;
    for (w.n = 0; w.n < rest->n && !strchr(" \t={}", rest->p[w.n]); w.n++)
        ;
    rest->p += w.n;
    rest->n -= w.n;
    return w;
}

static const char *did_you_mean(struct reading *r, const struct conf_nearest *near)
{
    return near->best ? conf_text(&r->p, "did you mean \"%s\"?", near->best) : NULL;
}

static bool nothing_more(struct sp_str s)
{
    s = sp_str_trim(s);
    return s.n == 0 || *s.p == '#';
}

static void open_account(struct reading *r, struct sp_str rest)
{
    struct sp_str word = cut_word(&rest), name;
    struct sp_account *acc;

    if (!sp_str_is(word, "account")) {
        struct conf_nearest near = {.want = word};

        conf_near(&near, "account");
        conf_note(&r->p,
                  &(struct conf_note){.pos = place(r, word),
                                      .example = "account default {",
                                      .help = did_you_mean(r, &near)},
                  "%s stands outside any account", conf_quote(&r->p, word));
        return;
    }
    name = cut_word(&rest);
    rest = sp_str_trim(rest);
    if (name.n == 0 || rest.n == 0 || *rest.p != '{' ||
        !nothing_more((struct sp_str){rest.p + 1, rest.n - 1})) {
        conf_note(&r->p,
                  &(struct conf_note){.pos = place(r, rest.n ? rest : word),
                                      .expected = "a name and an opening brace",
                                      .example = "account default {"},
                  "this begins no account");
        if (name.n == 0)
            return;
    }
    acc = sp_arena_alloc(&r->s->arena, sizeof *acc);
    if (acc)
        acc->name = sp_arena_strndup(&r->s->arena, name.p, name.n);
    if (!acc || !acc->name) {
        conf_errors_nomem(&r->s->errs);
        return;
    }
    if (sp_accounts_find(r->s, acc->name))
        conf_note(&r->p, &(struct conf_note){.pos = place(r, name)},
                  "there is an account %s already, in line %u", conf_quote(&r->p, name),
                  sp_accounts_find(r->s, acc->name)->line);
    acc->line = r->pos.line;
    r->in = acc;
    r->open = place(r, word);
    if (r->s->last)
        r->s->last->next = acc;
    else
        r->s->first = acc;
    r->s->last = acc;
}

static const struct sp_option *find_key(struct sp_str name)
{
    for (const struct sp_option *o = sp_account_keys; o->name; o++)
        if (sp_str_is(name, o->name))
            return o;
    return NULL;
}

static const struct sp_option *known_key(struct reading *r, struct sp_str word)
{
    const struct sp_option *o = find_key(word);
    struct conf_nearest near = {.want = word};
    const char *help;

    if (o)
        return o;
    for (o = sp_account_keys; o->name; o++)
        conf_near(&near, o->name);
    help = sp_str_is(word, "password")
               ? "a password does not belong into this file: password-command or "
                 "password-file says where it is"
               : did_you_mean(r, &near);
    conf_note(&r->p, &(struct conf_note){.pos = place(r, word), .help = help},
              "there is no key %s in an account", conf_quote(&r->p, word));
    return NULL;
}

/* Quotes and a comment behind the value are taken off; NULL: said what is wrong. */
static char *value_of(struct reading *r, struct sp_str v)
{
    char *out = sp_arena_alloc(&r->s->arena, v.n + 1);
    size_t n = 0, i;

    if (!out) {
        conf_errors_nomem(&r->s->errs);
        return NULL;
    }
    if (v.n == 0 || *v.p != '"') {
        for (i = 0;
             i < v.n && !(v.p[i] == '#' && (i == 0 || strchr(" \t", v.p[i - 1]))); i++)
            out[n++] = v.p[i];
        while (n && strchr(" \t", out[n - 1]))
            n--;
        out[n] = '\0';
        return out;
    }
    for (i = 1; i < v.n && v.p[i] != '"'; i++) {
        if (v.p[i] == '\\' && i + 1 < v.n && strchr("\"\\", v.p[i + 1]))
            i++;
        out[n++] = v.p[i];
    }
    out[n] = '\0';
    if (i < v.n && nothing_more((struct sp_str){v.p + i + 1, v.n - i - 1}))
        return out;
    conf_note(&r->p,
              &(struct conf_note){.pos = place(r, v),
                                  .help =
                                      "inside quotes write \\\" for a quote and \\\\ "
                                      "for a backslash"},
              i < v.n ? "there is more behind the closing quote"
                      : "this quote is never closed");
    return NULL;
}

/* "~/x" and "x" as whole paths. */
static const char *path_of(struct reading *r, const char *v)
{
    const char *slash = r->filename ? strrchr(r->filename, '/') : NULL;
    char path[PATH_LEN];
    int n = -1;

    if (strncmp(v, "~/", 2) == 0 && r->home)
        n = snprintf(path, sizeof path, "%s/%s", r->home, v + 2);
    else if (*v != '/' && slash)
        n = snprintf(path, sizeof path, "%.*s/%s", (int)(slash - r->filename),
                     r->filename, v);
    return n < 0 || n >= (int)sizeof path
               ? v
               : sp_arena_strndup(&r->s->arena, path, (size_t)n);
}

static void set_key(struct reading *r, const struct sp_option *o, struct sp_str word,
                    struct sp_str value)
{
    struct sp_account *acc = r->in;
    const char *v = value_of(r, value);
    bool yes = v && strcmp(v, "yes") == 0;

    if (!v)
        return;
    for (size_t i = 0; i < acc->n; i++)
        if (acc->set[i].option == o && strcmp(o->name, "mechanism") != 0) {
            conf_note(&r->p, &(struct conf_note){.pos = place(r, word)},
                      "%s stands twice in this account", conf_quote(&r->p, word));
            return;
        }
    if (o->arg ? !*v : !yes && strcmp(v, "no") != 0) {
        conf_note(&r->p,
                  &(struct conf_note){.pos = place(r, value.n ? value : word),
                                      .expected = o->arg ? o->help : "yes or no"},
                  *v ? "this is neither yes nor no" : "a value is missing");
        return;
    }
    if (!o->arg && !yes)
        return;
    if (acc->n == SP_ACCOUNT_KEYS_MAX) {
        conf_note(&r->p, &(struct conf_note){.pos = place(r, word)},
                  "an account has at most %d keys", SP_ACCOUNT_KEYS_MAX);
        return;
    }
    if (o->arg && strcmp(o->arg, "FILE") == 0)
        v = path_of(r, v);
    acc->set[acc->n].option = o;
    acc->set[acc->n++].value = o->arg ? v : NULL;
}

static void read_line(struct reading *r)
{
    struct sp_str rest = sp_str_trim(r->line), word;
    const struct sp_option *o;

    if (rest.n == 0 || *rest.p == '#')
        return;
    if (!r->in) {
        open_account(r, rest);
        return;
    }
    if (*rest.p == '}') {
        if (!nothing_more((struct sp_str){rest.p + 1, rest.n - 1}))
            conf_note(&r->p, &(struct conf_note){.pos = place(r, rest)},
                      "the closing brace stands alone in its line");
        r->in = NULL;
        return;
    }
    word = cut_word(&rest);
    rest = sp_str_trim(rest);
    if (word.n == 0 || rest.n == 0 || *rest.p != '=') {
        conf_note(&r->p,
                  &(struct conf_note){.pos = place(r, word.n ? word : rest),
                                      .example = "server = smtp://mail.example.org"},
                  "= is missing");
        return;
    }
    o = known_key(r, word);
    if (o)
        set_key(r, o, word, sp_str_trim((struct sp_str){rest.p + 1, rest.n - 1}));
}

int sp_accounts_parse(struct sp_accounts *s, struct sp_str text, const char *filename,
                      const char *home)
{
    struct reading r = {.s = s, .filename = filename, .home = home};
    struct sp_str rest = text;

    s->errs.filename =
        sp_arena_strndup(&s->errs.arena, filename ? filename : "accounts",
                         strlen(filename ? filename : "accounts"));
    r.p.text = text;
    r.p.errs = &s->errs;
    sp_arena_init(&r.p.scratch, ARENA_MAX);
    while (rest.n) {
        r.pos.line++;
        r.pos.line_start = (uint32_t)(rest.p - text.p);
        r.line = sp_str_cut(&rest, '\n');
        if (r.line.n && r.line.p[r.line.n - 1] == '\r')
            r.line.n--;
        if (memchr(r.line.p, '\0', r.line.n))
            conf_note(&r.p, &(struct conf_note){.pos = place(&r, r.line)},
                      "this is no text: it holds a NUL");
        else
            read_line(&r);
    }
    if (r.in)
        conf_note(&r.p, &(struct conf_note){.pos = r.open, .example = "}"},
                  "this account is never closed");
    sp_arena_reset(&r.p.scratch);
    return s->errs.errors ? -SP_EINPUT : 0;
}

/* ---- merging ---- */

/* Options that answer the same question: one of them given puts out the others. */
static int question(const char *name)
{
    static const char *const same[][6] = {
        {"password-file", "password-command", "token-file", "token-command"},
        {"certificate", "key"},
        {"ipv4", "ipv6"},
        {"ca", "server-pin"},
        {"server", "tls-name"},
    };

    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        for (size_t k = 0; k < 6 && same[i][k]; k++)
            if (strcmp(same[i][k], name) == 0)
                return (int)i;
    return -1;
}

static bool overruled(const struct sp_args *a, const char *name)
{
    int q = question(name);

    for (size_t i = 0; i < a->n_given; i++)
        if (strcmp(a->given[i].option->name, name) == 0 ||
            (q >= 0 && question(a->given[i].option->name) == q))
            return true;
    return false;
}

int sp_account_merge(const struct sp_account *acc, const struct sp_args *a,
                     struct sp_args *ret_merged)
{
    struct sp_args *m = ret_merged;

    *m = *a;
    for (size_t i = 0; acc && i < acc->n; i++) {
        if (overruled(a, acc->set[i].option->name))
            continue;
        if (m->n_given == SP_ARGS_MAX)
            return sp_usage_error(a, "too many options");
        m->given[m->n_given].option = acc->set[i].option;
        m->given[m->n_given++].value = acc->set[i].value;
    }
    return 0;
}

/* ---- the files ---- */

static const char *home_dir(void)
{
    const char *home = getenv("HOME");
    struct passwd *pw = home && *home ? NULL : getpwuid(getuid());

    return home && *home ? home : pw ? pw->pw_dir : "/";
}

static void user_file(char *path, size_t cap)
{
    const char *xdg = getenv("XDG_CONFIG_HOME");

    if (xdg &&
        *xdg == '/') /* a relative one is to be ignored, says its specification */
        snprintf(path, cap, "%s/sallyport/accounts.conf", xdg);
    else
        snprintf(path, cap, "%s/.config/sallyport/accounts.conf", home_dir());
}

static void warn_readable(const struct sp_accounts *s, const char *path)
{
    static const char *const secret[] = {"password-file", "password-command",
                                         "token-file", "token-command", "key"};
    struct stat st;

    if (stat(path, &st) < 0 || !(st.st_mode & (S_IRGRP | S_IROTH)))
        return;
    for (const struct sp_account *acc = s->first; acc; acc = acc->next)
        for (size_t i = 0; i < acc->n; i++)
            for (size_t k = 0; k < sizeof secret / sizeof secret[0]; k++)
                if (strcmp(acc->set[i].option->name, secret[k]) == 0) {
                    (void)sp_fail(
                        0,
                        "warning: others can read %s, which says where secrets "
                        "are (chmod 600)",
                        path);
                    return;
                }
}

static int load(struct sp_accounts *s, const char *path, bool warn)
{
    struct sp_buf text, said;
    struct sp_err err;
    int rc = sp_read_file(path, FILE_MAX, &text, &err);

    if (rc < 0)
        return sp_fail_err(&err);
    rc = sp_accounts_parse(s, sp_buf_view(&text), path, home_dir());
    sp_buf_free(&text);
    if (rc == 0 && warn)
        warn_readable(s, path);
    sp_buf_init(&said, 1 << 20);
    if (rc < 0 && sp_conf_errors_render(&s->errs, &said, isatty(2)) == 0)
        fwrite(said.p, 1, said.n, stderr);
    sp_buf_free(&said);
    return rc < 0 ? EX_CONFIG : 0;
}

static int no_account(const struct sp_accounts *s, const struct sp_args *a,
                      const char *path, const char *name)
{
    struct conf_nearest near = {.want = sp_str(name)};

    for (const struct sp_account *acc = s->first; acc; acc = acc->next)
        conf_near(&near, acc->name);
    if (!sp_arg_given(a, "account"))
        return sp_usage_error(
            a,
            "name a server with --server, or write an account `default` "
            "in %s",
            path);
    return sp_fail(EX_CONFIG, "there is no account `%s` in %s%s%s%s", name, path,
                   near.best ? "; did you mean `" : "", near.best ? near.best : "",
                   near.best ? "`?" : "");
}

int sp_accounts_apply(struct sp_accounts *s, const struct sp_args *a,
                      struct sp_args *ret_merged)
{
    const char *name = sp_arg(a, "account");
    const struct sp_account *acc = NULL;
    char own[PATH_LEN];
    const char *path = own;
    int rc = 0;

    if (!name && sp_arg_given(a, "server"))
        return sp_account_merge(NULL, a, ret_merged);
    name = name ? name : "default";
    user_file(own, sizeof own);
    if (access(own, F_OK) == 0)
        rc = load(s, own, true);
    acc = rc == 0 ? sp_accounts_find(s, name) : NULL;
    if (rc == 0 && !acc && access(SYSTEM_FILE, F_OK) == 0) {
        sp_accounts_free(s);
        rc = load(s, path = SYSTEM_FILE, false);
        acc = rc == 0 ? sp_accounts_find(s, name) : NULL;
    }
    if (rc)
        return rc;
    return acc ? sp_account_merge(acc, a, ret_merged) : no_account(s, a, path, name);
}

bool sp_accounts_default(void)
{
    const char *const path[2] = {NULL, SYSTEM_FILE};
    char own[PATH_LEN];
    bool is = false;

    user_file(own, sizeof own);
    for (size_t i = 0; !is && i < 2; i++) {
        const char *p = path[i] ? path[i] : own;
        struct sp_accounts s;
        struct sp_buf text;
        struct sp_err err;

        if (access(p, F_OK) < 0)
            continue;
        sp_accounts_init(&s);
        if (sp_read_file(p, FILE_MAX, &text, &err) < 0)
            return true;
        is = sp_accounts_parse(&s, sp_buf_view(&text), p, home_dir()) < 0 ||
             sp_accounts_find(&s, "default");
        sp_buf_free(&text);
        sp_accounts_free(&s);
    }
    return is;
}
