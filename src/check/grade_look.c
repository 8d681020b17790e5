/*
 * grade_look.c - what the client shows of itself: see grade_i.h.
 *
 * The record of the dialogue never holds the password in any form: a line that carries it
 * is kept as what stands in front of it and "[hidden]".
 */
#include "grade_i.h"

#include "alloc.h"
#include "text.h"

#include <stdarg.h>
#include <string.h>

enum { BASE64_RUN = 8, DECODED = 12288, WIRE_LINE = 998 };

/* ---- the record ---- */

void grade_see(struct grade *g, enum grade_seen what)
{
    if (!(g->seen & SEEN_BIT(what)))
        g->seen_at[what] = g->n_record ? g->n_record - 1 : 0;
    g->seen |= SEEN_BIT(what);
}

void grade_record(struct grade *g, const struct grade_conn *c, enum sp_ev_dir dir,
                  struct sp_str s)
{
    struct grade_line *l;

    if (g->n_record == GRADE_RECORD)
        return;
    l = &g->record[g->n_record];
    l->text = sp_strndup(s.n ? s.p : "", s.n > 1000 ? 1000 : s.n);
    if (!l->text)
        return;
    l->n = s.n > 1000 ? 1000 : s.n;
    l->dir = (unsigned char)dir;
    l->where[0] = '\0';
    if (c)
        (void)grade_where(c, l->where);
    g->n_record++;
}

void grade_note(struct grade *g, const struct grade_conn *c, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    grade_record(g, c, SP_EV_NOTE, sp_str(text));
}

void grade_found(struct grade *g, enum sp_finding_id id, const char *fact1,
                 const char *fact2)
{
    const char *facts[SP_FACTS] = {fact1, fact2, NULL};
    struct grade_pending *p = &g->pending[g->n_pending];

    if (g->n_pending == GRADE_PENDING)
        return;
    memset(p, 0, sizeof *p);
    p->id = id;
    p->at = g->n_record ? g->n_record - 1 : 0;
    for (size_t i = 0; i < SP_FACTS; i++)
        if (facts[i])
            snprintf(p->fact[i], sizeof p->fact[i], "%s", facts[i]);
    for (size_t i = 0; i < g->n_pending; i++)
        if (g->pending[i].id == id &&
            memcmp(g->pending[i].fact, p->fact, sizeof p->fact) == 0)
            return;
    g->n_pending++;
}

void grade_stale(struct grade *g, enum sp_finding_id id, const char *what)
{
    grade_see(g, SEEN_STALE);
    grade_found(g, id, what, NULL);
}

void grade_forget(struct grade *g)
{
    for (size_t i = 0; i < g->n_record; i++)
        sp_free(g->record[i].text);
    g->n_record = g->n_pending = 0;
    g->seen = 0;
    memset(g->seen_at, 0, sizeof g->seen_at);
    g->conns = g->failed_logins = 0;
    if (g->o->choice.profile != SP_PROFILE_MX)
        g->seen = SEEN_BIT(SEEN_SUBMISSION);
}

/* ---- secrets ---- */

static bool is_base64(int c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '+' || c == '/';
}

/* Does this run of base64 say the secret?  It may begin anywhere in the run, as where an
 * encoded text is cut into pieces: all four alignments. */
static bool run_holds(struct sp_str run, const char *secret)
{
    static char raw[DECODED];

    for (size_t skip = 0; skip < 4 && skip < run.n; skip++) {
        struct sp_str s = {run.p + skip, (run.n - skip) / 4 * 4};
        char tail[4];
        size_t left = run.n - skip - s.n, k = 0;
        int n = s.n ? sp_base64_decode(s, raw, sizeof raw - 3) : 0;

        if (n < 0)
            continue;
        if (left > 1) { /* without its padding */
            memcpy(tail, s.p + s.n, left);
            while (left + k < 4)
                tail[left + k++] = '=';
            n += left == 3
                     ? (sp_base64_decode((struct sp_str){tail, 4}, raw + n, 3) > 0) * 2
                     : (sp_base64_decode((struct sp_str){tail, 4}, raw + n, 3) > 0);
        }
        if (memmem(raw, (size_t)n, secret, strlen(secret)))
            return true;
    }
    return false;
}

/* Where the secret begins, in clear or in base64; NULL: it is not there. */
static const char *secret_in(struct sp_str s, const char *secret)
{
    const char *at = s.n ? memmem(s.p, s.n, secret, strlen(secret)) : NULL;

    for (size_t i = 0; !at && i < s.n;) {
        size_t k = i;

        while (k < s.n && is_base64((unsigned char)s.p[k]))
            k++;
        if (k - i >= BASE64_RUN && run_holds((struct sp_str){s.p + i, k - i}, secret))
            at = s.p + i;
        i = k + 1;
    }
    return at;
}

static void record_client(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    bool token = c->mode == TALK_AUTH && c->mech != SP_MECH_EXTERNAL && line.n &&
                 !sp_str_is(line, "*");
    const char *at = secret_in(line, g->password);
    struct sp_str rest = line, verb = sp_str_cut(&rest, ' '), mech;
    char shown[200];

    if (sp_str_caseis(verb, "AUTH")) {
        mech = sp_str_cut(&rest, ' ');
        if (rest.n && !sp_str_caseis(mech, "EXTERNAL"))
            at = rest.p; /* whatever it is: a user's name is nobody's business either */
    }
    if (token)
        at = line.p;
    if (!at) {
        grade_record(g, c, SP_EV_CLIENT, line);
        return;
    }
    snprintf(shown, sizeof shown, "%.*s[hidden]",
             at - line.p > 150 ? 150 : (int)(at - line.p), line.p);
    grade_record(g, c, SP_EV_CLIENT, sp_str(shown));
}

static void look_for_secrets(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    bool challenge = c->mode == TALK_AUTH && line.n && !sp_str_is(line, "*") &&
                     !sp_mech_shows_secret(c->mech) && c->mech != SP_MECH_EXTERNAL;

    if (secret_in(line, g->password))
        grade_see(g, c->tls ? SEEN_SECRET_TLS : SEEN_SECRET_CLEAR);
    else if (challenge && !c->tls)
        grade_see(g, SEEN_CHALLENGE_CLEAR);
}

/* ---- commands ---- */

static bool begins(struct sp_str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && sp_str_caseis((struct sp_str){s.p, n}, with);
}

static bool holds(struct sp_str s, const char *what)
{
    return s.p && s.n && memmem(s.p, s.n, what, strlen(what)) != NULL;
}

static bool says(struct sp_str s, const char *what)
{
    size_t n = strlen(what);

    for (size_t i = 0; i + n <= s.n; i++)
        if (strncasecmp(s.p + i, what, n) == 0)
            return true;
    return false;
}

/* Parameters of MAIL and RCPT, and the extension that allows each. */
static const struct {
    const char *parameter, *extension;
} parameters[] = {
    {"SIZE", "SIZE"},
    {"BODY", "8BITMIME"},
    {"SMTPUTF8", "SMTPUTF8"},
    {"AUTH", "AUTH"},
    {"RET", "DSN"},
    {"ENVID", "DSN"},
    {"NOTIFY", "DSN"},
    {"ORCPT", "DSN"},
    {"BY", "DELIVERBY"},
    {"HOLDFOR", "FUTURERELEASE"},
    {"HOLDUNTIL", "FUTURERELEASE"},
    {"MT-PRIORITY", "MT-PRIORITY"},
    {"REQUIRETLS", "REQUIRETLS"},
};

static void look_at_parameter(struct grade *g, struct grade_conn *c, struct sp_str name)
{
    const char *extension = NULL;
    char shown[40];

    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (sp_str_caseis(name, parameters[i].parameter))
            extension = parameters[i].extension;
    snprintf(shown, sizeof shown, "%.*s", name.n > 30 ? 30 : (int)name.n, name.p);
    if (extension && grade_offers(c, c->tls, extension, NULL))
        return;
    if (extension && c->tls && grade_offers(c, false, extension, NULL))
        grade_stale(g, SP_F_STALE_EXTENSION, shown);
    else
        grade_found(g, SP_F_PARAMETER_NOT_OFFERED, shown, g->c->when);
}

/* "MAIL FROM:<a@b> SIZE=3": the path must be in angle brackets, without a blank. */
static void look_at_path(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    struct sp_str s = line;
    const char *end;

    (void)sp_str_cut(&s, ':');
    if (s.n && s.p[0] == ' ')
        grade_found(g, SP_F_BLANK_BEFORE_PATH, NULL, NULL);
    s = sp_str_trim(s);
    if (begins(line, "MAIL"))
        c->bounce = s.n > 1 && s.p[0] == '<' && s.p[1] == '>';
    if (s.n == 0 || s.p[0] != '<') {
        grade_found(g, SP_F_NO_ANGLE_BRACKETS, NULL, NULL);
        return;
    }
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 126 && !grade_offers(c, c->tls, "SMTPUTF8", NULL)) {
            grade_found(g, SP_F_UTF8_ADDRESS_NOT_OFFERED, NULL, NULL);
            break;
        }
    end = memchr(s.p, '>', s.n);
    s = end ? (struct sp_str){end + 1, s.n - (size_t)(end + 1 - s.p)}
            : (struct sp_str){NULL, 0};
    while (s.n) {
        struct sp_str w = sp_str_cut(&s, ' ');

        if (w.n)
            look_at_parameter(g, c, sp_str_cut(&w, '='));
    }
}

static void look_at_name(struct grade *g, struct sp_str line)
{
    (void)sp_str_cut(&line, ' ');
    line = sp_str_trim(line);
    if (line.n == 0)
        grade_found(g, SP_F_EHLO_WITHOUT_NAME, NULL, NULL);
}

void grade_look(struct grade *g, struct grade_conn *c, struct sp_str line, bool crlf)
{
    record_client(g, c, line);
    look_for_secrets(g, c, line);
    if (!crlf)
        grade_found(g, SP_F_COMMAND_BARE_LF, NULL, NULL);
    if (c->mode == TALK_AUTH)
        return;
    if (g->marker[0] && line.n && memmem(line.p, line.n, g->marker, strlen(g->marker)))
        grade_see(g, SEEN_EXECUTED);
    if (begins(line, "MAIL FROM:") || begins(line, "RCPT TO:"))
        look_at_path(g, c, line);
    else if (begins(line, "EHLO") || begins(line, "HELO") || begins(line, "LHLO"))
        look_at_name(g, line);
}

/* ---- the message ---- */

/* Behind the first empty line. */
static struct sp_str body_of(struct sp_str m)
{
    const char *gap = m.n ? memmem(m.p, m.n, "\r\n\r\n", 4) : NULL;

    return gap ? (struct sp_str){gap + 4, m.n - (size_t)(gap + 4 - m.p)}
               : (struct sp_str){NULL, 0};
}

/* Did the client choose another encoding?  Then lines say nothing. */
static bool reencoded(struct sp_str m)
{
    struct sp_str body = body_of(m), head = {m.p, m.n - body.n};

    while (head.n) {
        struct sp_str l = sp_str_cut(&head, '\n');

        if (begins(l, "Content-Transfer-Encoding:") &&
            (holds(l, "quoted-printable") || holds(l, "base64")))
            return true;
        if (begins(l, "Content-Type: multipart/"))
            return true;
        /* mutt takes ISO 8859-1 where that is enough. */
        if (says(l, "charset=") && !says(l, "utf-8") && !says(l, "us-ascii"))
            return true;
    }
    return false;
}

/* Dot-stuffing undone: RFC 5321 4.5.2. */
static int unstuff(struct sp_str wire, struct sp_buf *out)
{
    bool start = true;

    for (size_t i = 0; i < wire.n; i++) {
        if (start && wire.p[i] == '.') {
            start = false;
            continue;
        }
        start = i > 0 && wire.p[i] == '\n' && wire.p[i - 1] == '\r';
        if (sp_buf_put(out, &wire.p[i], 1) < 0)
            return -SP_ENOMEM;
    }
    return 0;
}

/* Lone CRs and LFs, what a lax server would take for the end, NUL, long lines. */
static void look_at_octets(struct grade *g, struct sp_str wire)
{
    size_t line = 0;
    bool bare = false, nul = false, lone = false, is_long = false;

    for (size_t i = 0; i < wire.n; i++) {
        bool cr = wire.p[i] == '\r', lf = wire.p[i] == '\n';
        bool pair = cr ? i + 1 < wire.n && wire.p[i + 1] == '\n'
                       : i > 0 && wire.p[i - 1] == '\r';

        nul |= wire.p[i] == '\0';
        line = lf ? 0 : line + !cr;
        is_long |= line > WIRE_LINE;
        if ((!cr && !lf) || pair)
            continue;
        bare = true;
        if (lf && i + 2 < wire.n && wire.p[i + 1] == '.' &&
            (wire.p[i + 2] == '\r' || wire.p[i + 2] == '\n'))
            lone = true;
    }
    if (bare)
        grade_found(g, SP_F_BARE_LINE_END, NULL, NULL);
    if (lone)
        grade_found(g, SP_F_SMUGGLING_PASSED_ON, NULL, NULL);
    if (nul)
        grade_found(g, SP_F_NUL_SENT, NULL, NULL);
    if (is_long)
        grade_found(g, SP_F_LONG_LINE_SENT, NULL, NULL);
}

static void look_at_8bit(struct grade *g, struct grade_conn *c, struct sp_str m)
{
    bool high = false;

    for (size_t i = 0; i < m.n; i++)
        high |= (unsigned char)m.p[i] > 127;
    if (high && !grade_offers(c, c->tls, "8BITMIME", NULL))
        grade_found(g, SP_F_8BIT_NOT_OFFERED, NULL, NULL);
}

static struct sp_str without_end(struct sp_str s)
{
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

/* "line 3 is `.`, not `..`" */
static void first_difference(struct sp_str want, struct sp_str got, char *out,
                             size_t cap)
{
    unsigned line = 0;
    struct sp_str w = {NULL, 0}, s = {NULL, 0};
    char a[40], b[40];

    while ((want.n || got.n) && sp_str_eq(w, s)) {
        w = sp_str_trim(sp_str_cut(&want, '\r'));
        s = sp_str_trim(sp_str_cut(&got, '\r'));
        if (want.n && want.p[0] == '\n')
            want = (struct sp_str){want.p + 1, want.n - 1};
        if (got.n && got.p[0] == '\n')
            got = (struct sp_str){got.p + 1, got.n - 1};
        line++;
    }
    snprintf(a, sizeof a, "%.*s", s.n > 30 ? 30 : (int)s.n, s.n ? s.p : "");
    snprintf(b, sizeof b, "%.*s", w.n > 30 ? 30 : (int)w.n, w.n ? w.p : "");
    snprintf(out, cap, "line %u of the body is `%s`, not `%s`", line, a, b);
}

/* The text must be there as it was given: all of it (the last line has the marker), and
 * line by line where the client had no reason to change one. */
static void compare(struct grade *g, const struct grade_conn *c, struct sp_str got)
{
    struct sp_str want = without_end(body_of(sp_buf_view(&g->message)));
    struct sp_str text = without_end(body_of(got));
    enum grade_message kind = g->c->message;
    char end[48], where[120];

    if (reencoded(got) || c->bounce) /* of a relay: that is another message */
        return;
    if (g->o->queues && holds(got, "Marker ") && !holds(got, g->marker))
        return; /* an earlier case's, whose time has come */
    if (!g->o->argv && !holds(got, g->marker))
        return; /* what a person wrote into a window */
    snprintf(end, sizeof end, "The end %s", g->marker);
    if (!holds(got, end)) {
        grade_found(g, SP_F_MESSAGE_CUT, g->c->when, NULL);
    } else if (kind == MESSAGE_LONG && !holds(text, "Tail")) {
        grade_found(g, SP_F_MESSAGE_CHANGED, g->c->when, "the long line lost its end");
    } else if (kind != MESSAGE_BARE && kind != MESSAGE_NUL && kind != MESSAGE_LONG &&
               !sp_str_eq(want, text)) {
        first_difference(want, text, where, sizeof where);
        grade_found(g, SP_F_MESSAGE_CHANGED, g->c->when, where);
    } else {
        grade_see(g, SEEN_FAITHFUL);
    }
}

/* Lone CRs and LFs were judged already: what else is different? */
static int with_crlf(struct sp_str wire, struct sp_buf *out)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < wire.n; i++) {
        bool cr = wire.p[i] == '\r', lf = wire.p[i] == '\n';

        if (cr && i + 1 < wire.n && wire.p[i + 1] == '\n')
            continue;
        rc = cr || lf ? sp_buf_put(out, "\r\n", 2) : sp_buf_put(out, &wire.p[i], 1);
    }
    return rc;
}

void grade_look_message(struct grade *g, struct grade_conn *c)
{
    struct sp_str wire = sp_buf_view(&c->body);
    struct sp_buf m, lines;
    bool bdat = c->mode == TALK_BDAT;

    grade_see(g, c->tls ? SEEN_TEXT_TLS : SEEN_TEXT_CLEAR);
    look_at_octets(g, wire);
    look_at_8bit(g, c, wire);
    sp_buf_init(&m, 2 * GRADE_IN);
    sp_buf_init(&lines, 2 * GRADE_IN);
    if (with_crlf(wire, &lines) == 0 && (bdat ? sp_buf_str(&m, sp_buf_view(&lines))
                                              : unstuff(sp_buf_view(&lines), &m)) == 0)
        compare(g, c, sp_buf_view(&m));
    sp_buf_free(&lines);
    sp_buf_free(&m);
}
