/* grade_case.c - stories as cases: see grade_i.h and stories/README.md. */
#include "grade_i.h"

#include "alloc.h"
#include "err.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* ---- words of conditions ---- */

static const char *const seen_words[] = {
#define X(name, word) word,
    GRADE_SEEN(X)
#undef X
};

static int seen_by_word(struct sp_str w)
{
    for (int i = 0; i < SEEN_COUNT; i++)
        if (sp_str_is(w, seen_words[i]))
            return i;
    return -SP_ENOENT;
}

int grade_holds(uint64_t seen, struct sp_str words, bool *ret)
{
    bool all = true;

    words = sp_str_trim(words);
    while (words.n) {
        struct sp_str w = sp_str_cut(&words, ' ');
        bool not = w.n && w.p[0] == '!';
        int i;

        if (w.n == 0)
            continue;
        if (not )
            w = (struct sp_str){w.p + 1, w.n - 1};
        i = seen_by_word(w);
        if (i < 0)
            return -SP_EINPUT;
        if (((seen & SEEN_BIT(i)) != 0) == not )
            all = false;
    }
    *ret = all;
    return 0;
}

uint64_t grade_words(struct sp_str words)
{
    uint64_t set = 0;

    while (words.n) {
        int i = seen_by_word(sp_str_cut(&words, ' '));

        if (i >= 0)
            set |= SEEN_BIT(i);
    }
    return set;
}

/* ---- settings ---- */

struct name_value {
    const char *name;
    unsigned value;
};

static int lookup(const struct name_value *t, size_t n, struct sp_str name)
{
    for (size_t i = 0; i < n; i++)
        if (sp_str_is(name, t[i].name))
            return (int)t[i].value;
    return -SP_EINPUT;
}
#define LOOKUP(t, name) lookup(t, sizeof(t) / sizeof *(t), name)

static const struct name_value messages[] = {
    {"plain", MESSAGE_PLAIN}, {"dots", MESSAGE_DOTS}, {"long", MESSAGE_LONG},
    {"bare", MESSAGE_BARE},   {"nul", MESSAGE_NUL},   {"open-end", MESSAGE_OPEN_END},
    {"8bit", MESSAGE_8BIT},
};
static const struct name_value certs[] = {
    {"good", CERT_GOOD},
    {"wrong-name", CERT_WRONG_NAME},
    {"untrusted", CERT_UNTRUSTED},
    {"expired", CERT_EXPIRED},
};
static const struct name_value scrams[] = {
    {"good", SCRAM_GOOD},
    {"bad-signature", SCRAM_BAD_SIGNATURE},
    {"no-signature", SCRAM_NO_SIGNATURE},
};
static const struct name_value needs[] = {
    {"starttls", NEED_STARTTLS},
    {"login", NEED_LOGIN},
    {"certificate", NEED_CERT},
    {"second-recipient", NEED_TO2},
};
static const struct name_value states[] = {
    {"clear", AT_CLEAR},         {"tls", AT_TLS},   {"ungreeted", AT_UNGREETED},
    {"anonymous", AT_ANONYMOUS}, {"cert", AT_CERT}, {"nobody", AT_NOBODY},
    {"wanted", AT_WANTED},
};

static int choose(const struct name_value *t, size_t n, struct sp_str v, unsigned *ret)
{
    int i = lookup(t, n, v);

    if (i < 0)
        return i;
    *ret = (unsigned)i;
    return 0;
}

static int number(struct sp_str v, unsigned max, unsigned *ret)
{
    uint64_t n;
    int rc = sp_str_u64(v, max, &n);

    if (rc == 0)
        *ret = (unsigned)n;
    return rc;
}

static int need_words(struct sp_str v, unsigned *ret)
{
    while (v.n) {
        int i = LOOKUP(needs, sp_str_cut(&v, ','));

        if (i < 0)
            return i;
        *ret |= (unsigned)i;
    }
    return 0;
}

static int setting(struct grade_case *c, struct sp_str k, struct sp_str v)
{
    unsigned u = 0;
    int rc = 0;

    if (sp_str_is(k, "check")) {
        rc = sp_check_by_id(v);
        if (rc >= 0)
            c->check = (enum sp_check_id)rc;
    } else if (sp_str_is(k, "needs")) {
        rc = need_words(v, &c->needs);
    } else if (sp_str_is(k, "message")) {
        rc = choose(messages, MESSAGE_KINDS, v, &u);
        c->message = (enum grade_message)u;
    } else if (sp_str_is(k, "certificate")) {
        rc = choose(certs, CERT_KINDS, v, &u);
        c->cert = (enum grade_cert)u;
    } else if (sp_str_is(k, "scram")) {
        rc = choose(scrams, sizeof scrams / sizeof *scrams, v, &u);
        c->scram = (enum grade_scram)u;
    } else if (sp_str_is(k, "slow")) {
        rc = number(v, 1000, &c->slow_ms);
    } else if (sp_str_is(k, "limit")) {
        rc = number(v, 1000, &u);
        c->limit_ms = u * 1000;
    } else if (sp_str_is(k, "ask-certificate")) {
        c->ask_cert = true;
    } else if (sp_str_is(k, "external-334")) {
        c->external_334 = true;
    } else if (sp_str_is(k, "utf8-recipient")) {
        c->utf8_to = true;
    } else if (sp_str_is(k, "thorough")) {
        c->thorough = true;
    } else if (!sp_str_is(k, "each")) {
        rc = -SP_EINPUT;
    }
    return rc < 0 ? rc : 0;
}

static int settings(struct grade_case *c, struct sp_str s, struct sp_err *err)
{
    c->check = SP_CHECK_COUNT;
    while (s.n) {
        struct sp_str v = sp_str_cut(&s, ' '), whole = v, k = sp_str_cut(&v, '=');

        if (k.n && setting(c, k, v) < 0)
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                              "%s: the setting `%.*s` is not understood", c->st.path,
                              whole.n > 60 ? 60 : (int)whole.n, whole.p);
    }
    if (c->check == SP_CHECK_COUNT)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "%s: no line `server check=ID`", c->st.path);
    return 0;
}

/* ---- rules ---- */

/* Where a story with each= takes its turn. */
static const struct {
    const char *name, *verb;
    unsigned at;
} stages[] = {
    {"greeting", "<connect>", 0},       {"ehlo", "EHLO", AT_CLEAR},
    {"starttls", "STARTTLS", AT_CLEAR}, {"ehlo-tls", "EHLO", AT_TLS},
    {"auth", "AUTH", AT_TLS},           {"mail", "MAIL", AT_TLS},
    {"rcpt", "RCPT", AT_TLS},           {"data", "DATA", AT_TLS},
    {"dot", "<dot>", AT_TLS},           {"quit", "QUIT", AT_TLS},
};

static int stage_by_name(struct sp_str name)
{
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (sp_str_is(name, stages[i].name))
            return (int)i;
    return -SP_EINPUT;
}

/* "(tls 2) EHLO": states, a number, then how the line begins. */
static int rule_head(struct grade_rule *r, struct sp_str s)
{
    struct sp_str in;

    s = sp_str_trim(s);
    if (s.n && s.p[0] == '(') {
        in = sp_str_cut(&s, ')');
        in = (struct sp_str){in.p + 1, in.n - 1};
        while (in.n) {
            struct sp_str w = sp_str_cut(&in, ' ');
            int i = LOOKUP(states, w);

            if (i < 0 && number(w, 100, &r->nth) < 0)
                return -SP_EINPUT;
            r->at |= i < 0 ? 0 : (unsigned)i;
        }
        s = sp_str_trim(s);
    }
    if (s.n == 0 || s.n >= sizeof r->verb)
        return -SP_EINPUT;
    snprintf(r->verb, sizeof r->verb, "%.*s", (int)s.n, s.p);
    return 0;
}

static int add_rule(struct grade_case *c, const struct sp_story_step *s, int stage)
{
    struct grade_rule *r;
    size_t n = s->len;

    if (c->rules == GRADE_RULES)
        return -SP_ELIMIT;
    r = &c->rule[c->rules++];
    memset(r, 0, sizeof *r);
    r->step = s + 1;
    while (n && (s->text[n - 1] == '\n' || s->text[n - 1] == '\r'))
        n--;
    if (!sp_str_is((struct sp_str){s->text, n}, "@"))
        return rule_head(r, (struct sp_str){s->text, n});
    if (stage < 0)
        return -SP_EINPUT;
    r->at = stages[stage].at;
    snprintf(r->verb, sizeof r->verb, "%s", stages[stage].verb);
    return 0;
}

static int judgement(struct sp_str s)
{
    struct sp_str id = sp_str_cut(&s, ':'), words = sp_str_cut(&s, '|');
    bool hold;

    return sp_finding_by_id(id) < 0 ? -SP_EINPUT : grade_holds(0, words, &hold);
}

static int rules(struct grade_case *c, int stage, struct sp_err *err)
{
    for (size_t i = 0; i < c->st.n; i++) {
        const struct sp_story_step *s = &c->st.step[i];
        int rc = 0;

        switch (s->kind) {
        case SP_STORY_CLIENT:
            rc = add_rule(c, s, stage);
            break;
        case SP_STORY_SERVER:
        case SP_STORY_DO:
            rc = c->rules ? 0 : -SP_EINPUT;
            if (c->rules)
                c->rule[c->rules - 1].n++;
            break;
        case SP_STORY_EXPECT:
            rc = judgement((struct sp_str){s->text, s->len});
            break;
        case SP_STORY_REPLY:
        case SP_STORY_CLOSED:
        case SP_STORY_OPEN:
            rc = -SP_EINPUT;
        }
        if (rc < 0)
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                              "%s:%u: not understood in a story of `check`", c->st.path,
                              s->line);
    }
    return 0;
}

/* ---- cases ---- */

static void describe(struct grade_case *c, const char *stage)
{
    const char *slash = strrchr(c->st.path, '/'),
               *base = slash ? slash + 1 : c->st.path;
    size_t n = strcspn(base, ".");
    struct sp_str name = sp_str(c->st.name), when = sp_str_cut(&name, ':');

    snprintf(c->name, sizeof c->name, "%.*s%s%s", n > 50 ? 50 : (int)n, base,
             *stage ? "@" : "", stage);
    snprintf(c->when, sizeof c->when, "%.*s%s%s", when.n > 90 ? 90 : (int)when.n,
             when.p, *stage ? ", step " : "", stage);
}

/* One case out of a text; stage: which of each=, or -1. */
static int add_case(struct grade *g, const char *path, struct sp_str text, int stage,
                    struct sp_err *err)
{
    struct grade_case *c = &g->cases[g->n_cases];
    int rc;

    if (g->n_cases == GRADE_CASES)
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "more than %d cases",
                          GRADE_CASES);
    memset(c, 0, sizeof *c);
    g->n_cases++;
    rc = sp_story_parse(&c->st, path, text, err);
    if (rc == 0)
        rc = settings(c, sp_str(c->st.server), err);
    describe(c, stage < 0 ? "" : stages[stage].name);
    return rc < 0 ? rc : rules(c, stage, err);
}

/* The value of each= in the server line. */
static struct sp_str each_of(struct sp_str text)
{
    while (text.n) {
        struct sp_str l = sp_str_cut(&text, '\n');

        if (l.n < 7 || memcmp(l.p, "server ", 7) != 0)
            continue;
        while (l.n) {
            struct sp_str w = sp_str_cut(&l, ' ');

            if (w.n > 5 && memcmp(w.p, "each=", 5) == 0)
                return (struct sp_str){w.p + 5, w.n - 5};
        }
    }
    return (struct sp_str){NULL, 0};
}

static int add_story(struct grade *g, const char *path, struct sp_str text,
                     struct sp_err *err)
{
    struct sp_str each = each_of(text);
    int rc = 0;

    if (each.n == 0)
        return add_case(g, path, text, -1, err);
    while (rc == 0 && each.n) {
        struct sp_str name = sp_str_cut(&each, ',');
        int stage = stage_by_name(name);

        rc = stage < 0
                 ? sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                              "%s: each=%.*s: no such step", path, (int)name.n, name.p)
                 : add_case(g, path, text, stage, err);
    }
    return rc;
}

static bool is_named(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash ? slash + 1 : path, name) == 0;
}

/* The server that is like any other, then the case with nothing else in it. */
static int rank(const char *path)
{
    return is_named(path, "common.story") ? 2 : is_named(path, "ordinary.story");
}

static int from_folder(struct grade *g, const char *dir, struct sp_err *err)
{
    char **list;
    size_t n = sp_story_list(dir, &list);
    int rc = 0;

    if (n == 0)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "no *.story in %s", dir);
    for (size_t i = 0; i < n; i++) {
        struct sp_buf b;

        sp_buf_init(&b, SP_STORY_FILE_MAX);
        if (rc == 0 && !rank(list[i]))
            rc = sp_story_load(list[i], &b, err);
        if (rc == 0 && b.n)
            rc = add_story(g, list[i], sp_buf_view(&b), err);
        sp_buf_free(&b);
        sp_free(list[i]);
    }
    sp_free(list);
    return rc;
}

static int by_check(const void *a, const void *b)
{
    const struct grade_case *x = a, *y = b;
    int first = rank(y->st.path) - rank(x->st.path);

    if (first)
        return first;
    return x->check != y->check ? (int)x->check - (int)y->check
           : x->st.path == y->st.path || strcmp(x->st.path, y->st.path) == 0
               ? (x < y ? -1 : 1) /* steps of one story: as they stand */
               : strcmp(x->st.path, y->st.path);
}

int grade_load(struct grade *g, const char *dir, struct sp_err *err)
{
    int rc = 0;

    g->cases = sp_alloc(GRADE_CASES * sizeof *g->cases);
    if (!g->cases)
        return sp_err_nomem(err);
    for (size_t i = 0; rc == 0 && i < grade_builtins; i++)
        if (!dir || rank(grade_builtin[i].name))
            rc =
                add_story(g, grade_builtin[i].name, sp_str(grade_builtin[i].text), err);
    if (rc == 0 && dir)
        rc = from_folder(g, dir, err);
    if (rc == 0)
        qsort(g->cases, g->n_cases, sizeof *g->cases, by_check);
    return rc;
}

void grade_unload(struct grade *g)
{
    for (size_t i = 0; i < g->n_cases; i++)
        sp_story_free(&g->cases[i].st);
    sp_free(g->cases);
}

/* ---- which rule ---- */

static unsigned state_of(const struct grade *g, const struct grade_conn *c)
{
    return (g->login_wanted ? AT_WANTED : 0u) | (c->tls ? AT_TLS : AT_CLEAR) |
           (c->greeted ? 0u : AT_UNGREETED) | (c->cert ? AT_CERT : 0u) |
           (c->login ? 0u : AT_NOBODY) | (c->login || c->cert ? 0u : AT_ANONYMOUS);
}

/* "MAIL" begins "mail from:<...>", not "MAILBOX". */
static bool begins(struct sp_str said, const char *verb)
{
    size_t n = strlen(verb);

    return said.n >= n && sp_str_caseis((struct sp_str){said.p, n}, verb) &&
           (said.n == n || said.p[n] == ' ' || said.p[n] == ':' || verb[n - 1] == ' ');
}

static const struct grade_rule *match_in(unsigned now, const struct grade_case *k,
                                         unsigned char *times, struct sp_str said)
{
    const struct grade_rule *hit = NULL;

    for (size_t i = 0; i < k->rules; i++) {
        const struct grade_rule *r = &k->rule[i];

        if ((r->at & now) != r->at || !begins(said, r->verb))
            continue;
        if (times[i] < 255)
            times[i]++;
        if (!hit && (r->nth == 0 || r->nth == times[i]))
            hit = r;
    }
    return hit;
}

const struct grade_rule *grade_match(struct grade *g, struct grade_conn *c,
                                     struct sp_str said)
{
    const struct grade_rule *r = NULL;
    unsigned now = state_of(g, c);

    if (g->c != &g->cases[0])
        r = match_in(now, g->c, c->times[0], said);
    if (r)
        grade_see(g, SEEN_FIRED);
    else
        r = match_in(now, &g->cases[0], c->times[1], said);
    return r;
}

int sp_grade_list(const char *story_dir, struct sp_buf *out, struct sp_err *err)
{
    struct grade *g = sp_alloc(sizeof *g);
    int rc = g ? grade_load(g, story_dir, err) : sp_err_nomem(err);

    for (size_t i = 1; g && rc == 0 && i < g->n_cases; i++)
        rc = sp_buf_printf(out, "%-4s %-26s %s\n", sp_check_row(g->cases[i].check)->id,
                           g->cases[i].name, g->cases[i].st.name);
    if (g)
        grade_unload(g);
    sp_free(g);
    return rc;
}
