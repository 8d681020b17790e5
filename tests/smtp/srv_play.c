/* srv_play.c - see srv_play.h. */
#include "srv_play.h"

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWERS = 64 };

struct player {
    const struct sp_story *st;
    struct sp_srv *s;
    size_t chunk;
    bool quiet, bad, closed;
    bool later; /* an event was left without its answer */
    const struct sp_story_step *at;
    char *pend; /* octets of the client not yet taken */
    size_t npend;
    char *out;
    size_t nout, out_seen; /* out_seen: compared already */
    char *events;          /* one line each */
    size_t nevents, events_seen;
    char *message;
    size_t nmessage;
    const char *answer[ANSWERS];
    size_t nanswers;
};

static void append(char **p, size_t *n, const char *data, size_t len)
{
    *p = realloc(*p, *n + len + 1);
    if (len)
        memcpy(*p + *n, data, len);
    *n += len;
    (*p)[*n] = '\0';
}

static void __attribute__((format(printf, 2, 3)))
complain(struct player *p, const char *fmt, ...)
{
    va_list ap;

    if (!p->bad && !p->quiet) {
        printf("%s:%u [chunk %zu] ", p->st->path, p->at ? p->at->line : 0, p->chunk);
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
        printf("\n");
    }
    p->bad = true;
}

/* ---- Policy ------------------------------------------------------------------------------ */

static bool mech_set(const char *v, uint32_t *ret)
{
    struct sp_str list = sp_str(v);

    *ret = 0;
    while (list.n) {
        int m = sp_mech_by_name(sp_str_cut(&list, ','));

        if (m < 0)
            return false;
        *ret |= SP_MECH_BIT(m);
    }
    return true;
}

static bool ext_set(const char *v, uint32_t *ret)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } exts[] = {
        {"PIPELINING", SP_EXT_PIPELINING},
        {"SIZE", SP_EXT_SIZE},
        {"8BITMIME", SP_EXT_8BITMIME},
        {"SMTPUTF8", SP_EXT_SMTPUTF8},
        {"DSN", SP_EXT_DSN},
        {"CHUNKING", SP_EXT_CHUNKING},
        {"BINARYMIME", SP_EXT_BINARYMIME},
        {"LIMITS", SP_EXT_LIMITS},
        {"DELIVERBY", SP_EXT_DELIVERBY},
        {"FUTURERELEASE", SP_EXT_FUTURERELEASE},
        {"MT-PRIORITY", SP_EXT_MT_PRIORITY},
        {"REQUIRETLS", SP_EXT_REQUIRETLS},
        {"XCLIENT", SP_EXT_XCLIENT},
        {"XFORWARD", SP_EXT_XFORWARD},
    };
    struct sp_str list = sp_str(v);

    *ret = 0;
    while (list.n) {
        struct sp_str word = sp_str_cut(&list, ',');
        uint32_t bit = 0;

        for (size_t i = 0; i < sizeof exts / sizeof *exts; i++)
            if (sp_str_is(word, exts[i].name))
                bit = exts[i].bit;
        if (!bit)
            return false;
        *ret |= bit;
    }
    return true;
}

static int one_of(const char *v, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(v, words[i]) == 0)
            return i;
    return -1;
}

static bool choice(const char *v, const char *const *words, int *ret)
{
    *ret = one_of(v, words);
    return *ret >= 0;
}

static bool flag(const char *key, struct sp_srv_policy *p)
{
    if (strcmp(key, "implicit-tls") == 0)
        p->implicit_tls = true, p->starttls = false;
    else if (strcmp(key, "no-starttls") == 0)
        p->starttls = false;
    else if (strcmp(key, "no-login") == 0)
        p->login_required = false;
    else if (strcmp(key, "lenient-ehlo") == 0)
        p->lenient_ehlo = true;
    else if (strcmp(key, "lenient-path") == 0)
        p->lenient_path = true;
    else if (strcmp(key, "legacy-auth") == 0)
        p->legacy_auth_line = true;
    else if (strcmp(key, "8bit-header") == 0)
        p->allow_8bit_header = true;
    else
        return false;
    return true;
}

static bool words(const char *key, const char *v, struct sp_srv_policy *p)
{
    static const char *const kinds[] = {"submission", "local", "reinject", "lmtp",
                                        NULL};
    static const char *const logins[] = {"either", "explicit", "implicit", "off", NULL};
    static const char *const lists[] = {"all", "external", "password", NULL};
    static const char *const wants[] = {"off", "optional", "required", NULL};
    uint32_t set;
    int i;

    if (strcmp(key, "clear") == 0)
        return mech_set(v, &p->mechs_clear);
    if (strcmp(key, "tls") == 0)
        return mech_set(v, &p->mechs_tls);
    if (strcmp(key, "kind") == 0 && choice(v, kinds, &i)) {
        p->kind = (enum sp_srv_kind)i;
        if (p->kind != SP_SRV_SUBMISSION)
            p->starttls = p->login_required = false;
        return true;
    }
    if (strcmp(key, "cert-login") == 0 && choice(v, logins, &i))
        return p->cert_login = (enum sp_cert_login)i, true;
    if (strcmp(key, "cert-list") == 0 && choice(v, lists, &i))
        return p->cert_list = (enum sp_cert_list)i, true;
    if (strcmp(key, "certs") == 0 && choice(v, wants, &i))
        return p->cert_want = (enum sp_cert_want)i, true;
    if (strcmp(key, "ext") == 0 && ext_set(v, &set))
        return p->extensions |= set, true;
    if (strcmp(key, "no-ext") == 0 && ext_set(v, &set))
        return p->extensions &= ~set, true;
    return false;
}

static bool number(const char *key, const char *v, struct sp_srv_policy *p)
{
    unsigned n = (unsigned)strtoul(v, NULL, 10);
    const struct {
        const char *key;
        unsigned *at;
    } small[] = {
        {"rcpt-max", &p->rcpt_max},          {"mail-max", &p->mail_max},
        {"line-max", &p->line_max},          {"auth-line-max", &p->auth_line_max},
        {"error-max", &p->error_max},        {"idle-max", &p->idle_commands_max},
        {"auth-max", &p->auth_failures_max},
    };

    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        if (strcmp(key, small[i].key) == 0)
            return *small[i].at = n, true;
    if (strcmp(key, "size") == 0)
        return p->size_max = n, true;
    if (strcmp(key, "by-min") == 0)
        return p->by_min = n, true;
    if (strcmp(key, "hold-max") == 0)
        return p->hold_max_seconds = n, true;
    return false;
}

bool srv_play_policy(const char *settings, struct sp_srv_policy *ret)
{
    char text[1024], *word, *save = NULL;

    memset(ret, 0, sizeof *ret);
    ret->hostname = "mx.example.org";
    ret->starttls = ret->login_required = true;
    ret->mechs_tls = SP_MECH_BIT(SP_MECH_SCRAM_SHA_256) | SP_MECH_BIT(SP_MECH_PLAIN) |
                     SP_MECH_BIT(SP_MECH_LOGIN);
    ret->cert_want = SP_CERT_WANT_OPTIONAL;
    ret->extensions = SP_EXT_PIPELINING | SP_EXT_SIZE | SP_EXT_8BITMIME |
                      SP_EXT_SMTPUTF8 | SP_EXT_DSN | SP_EXT_ENHANCED | SP_EXT_CHUNKING |
                      SP_EXT_LIMITS;
    ret->size_max = 1000000;
    ret->rcpt_max = 500;
    ret->hold_max_seconds = 86400;
    snprintf(text, sizeof text, "%s", settings);
    for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *v = strchr(word, '=');

        if (v)
            *v++ = '\0';
        if (v ? !words(word, v, ret) && !number(word, v, ret) : !flag(word, ret)) {
            printf("setting not understood: %s\n", word);
            return false;
        }
    }
    return true;
}

/* ---- Answers ------------------------------------------------------------------------------- */

/* The next answer queued for this event, or NULL.  Its text begins behind the name. */
static const char *answer_for(struct player *p, const char *event)
{
    size_t n = strlen(event);

    for (size_t i = 0; i < p->nanswers; i++) {
        const char *a = p->answer[i];

        if (strncmp(a, event, n) != 0 || (a[n] != ' ' && a[n]))
            continue;
        memmove(&p->answer[i], &p->answer[i + 1],
                (p->nanswers - i - 1) * sizeof *p->answer);
        p->nanswers--;
        return a + n + (a[n] == ' ');
    }
    return NULL;
}

/* "550 5.7.1 text" */
static bool parse_reply(const char *a, struct sp_reply *r)
{
    char *end;

    memset(r, 0, sizeof *r);
    r->code = (int)strtol(a, &end, 10);
    if (r->code < 200)
        return false;
    a = end + (*end == ' ');
    if (a[0] && a[1] == '.') {
        r->enh[0] = (int)strtol(a, &end, 10);
        r->enh[1] = (int)strtol(end + 1, &end, 10);
        r->enh[2] = (int)strtol(end + 1, &end, 10);
        a = end + (*end == ' ');
    }
    r->text = sp_str(a);
    return true;
}

static void must(struct player *p, int rc, const char *what)
{
    if (rc < 0)
        complain(p, "%s was refused by the engine: %d", what, rc);
}

static void give(struct player *p, const char *event)
{
    const char *a = answer_for(p, event);
    struct sp_reply r;

    if (a && strcmp(a, "later") == 0)
        p->later = true;
    else if (!a || strcmp(a, "accept") == 0)
        must(p, sp_srv_accept(p->s), event);
    else if (strncmp(a, "ok ", 3) == 0 && strcmp(event, "xclient") == 0)
        must(p, sp_srv_xclient_ok(p->s, sp_str(a + 3)), event);
    else if (parse_reply(a, &r))
        must(p, sp_srv_reply(p->s, &r), event);
    else
        complain(p, "answer not understood: %s %s", event, a);
}

static void give_each(struct player *p, size_t n, const char *event)
{
    struct sp_reply r = {.code = 0};
    int rc = 0;

    /* -SP_ESTATE in the middle: the answer before it closed the session */
    for (size_t i = 0; i < n && rc == 0; i++) {
        const char *a = answer_for(p, event);

        if (!a || strcmp(a, "accept") == 0)
            rc = sp_srv_rcpt(p->s, i, NULL);
        else if (parse_reply(a, &r))
            rc = sp_srv_rcpt(p->s, i, &r);
        if (i == 0 || rc != -SP_ESTATE)
            must(p, rc, event);
    }
}

static struct sp_str word_of(const char **a)
{
    size_t n = strcspn(*a, " ");
    struct sp_str w = {*a, n};

    *a += n + ((*a)[n] == ' ');
    return w;
}

static void give_auth(struct player *p)
{
    const char *a = answer_for(p, "auth");
    struct sp_str w, user;
    struct sp_reply r;
    int rc;

    if (!a)
        a = "fail";
    if (strcmp(a, "later") == 0) {
        p->later = true;
        return;
    }
    if (parse_reply(a, &r)) {
        must(p, sp_srv_reply(p->s, &r), "auth");
        return;
    }
    w = word_of(&a);
    if (sp_str_is(w, "ok")) {
        user = word_of(&a);
        rc = sp_srv_auth_ok(p->s, user, (struct sp_str){*a ? a : NULL, strlen(a)});
    } else if (sp_str_is(w, "challenge")) {
        rc = sp_srv_auth_challenge(p->s, sp_str(a));
    } else {
        rc = sp_srv_auth_fail(p->s, sp_str_is(w, "weak")        ? SP_AUTH_TOO_WEAK
                                    : sp_str_is(w, "temporary") ? SP_AUTH_TEMPORARY
                                    : sp_str_is(w, "syntax")    ? SP_AUTH_SYNTAX
                                                                : SP_AUTH_FAILED);
    }
    must(p, rc, "auth");
}

static struct sp_srv_tls facts(const char *a)
{
    struct sp_srv_tls t = {.cert = SP_CERT_NONE};
    struct sp_str w = word_of(&a);

    if (sp_str_is(w, "binding")) {
        t.channel_binding = true;
    } else if (sp_str_is(w, "usable")) {
        t.cert = SP_CERT_USABLE;
        t.cert_verified = true;
        t.user = word_of(&a);
        t.external_only = strstr(a, "only") != NULL;
        t.channel_binding = strstr(a, "binding") != NULL;
    } else if (sp_str_is(w, "unusable")) {
        t.cert = SP_CERT_UNUSABLE;
        t.cert_verified = strncmp(a, "verified ", 9) == 0;
        t.reason = sp_str(t.cert_verified ? a + 9 : a);
    }
    return t;
}

static void give_tls(struct player *p)
{
    const char *a = answer_for(p, "tls");
    struct sp_srv_tls t = facts(a ? a : "none");

    if (a && strcmp(a, "fail") == 0)
        must(p, sp_srv_tls_failed(p->s), "tls");
    else if (a && strcmp(a, "clear") == 0)
        must(p, sp_srv_clear_on_tls(p->s), "tls");
    else
        must(p, sp_srv_tls_done(p->s, &t), "tls");
}

/* ---- Events --------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3)))
tell(struct player *p, const char *fmt, ...)
{
    char line[2048];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    if (n > (int)sizeof line - 2)
        n = sizeof line - 2;
    line[n++] = '\n';
    append(&p->events, &p->nevents, line, (size_t)n);
}

#define S(x) (int)(x).n, (x).p ? (x).p : ""

static void tell_auth(struct player *p, const struct sp_srv_event *e)
{
    tell(p, "auth %s%s%s authzid=%.*s authcid=%.*s secret=%.*s token=%.*s%s",
         sp_mech_name(e->u.auth.mech), e->u.auth.first ? " first" : "",
         e->u.auth.implicit ? " implicit" : "", S(e->u.auth.authzid),
         S(e->u.auth.authcid), S(e->u.auth.secret), S(e->u.auth.token),
         e->u.auth.has_token ? "" : " none");
}

static void tell_mail(struct player *p, const struct sp_srv_event *e)
{
    static const char *const bodies[] = {"", " body=7bit", " body=8bitmime",
                                         " body=binary"};
    static const char *const rets[] = {"", " ret=full", " ret=hdrs"};
    const struct sp_mail *m = &e->u.mail.m;
    char more[256] = "";
    size_t n = 0;

    if (m->has_size)
        n += (size_t)snprintf(more + n, sizeof more - n, " size=%llu",
                              (unsigned long long)m->size);
    if (m->has_by)
        n += (size_t)snprintf(more + n, sizeof more - n, " by=%lld;%c%s",
                              (long long)m->by_seconds, m->by_notify ? 'N' : 'R',
                              m->by_trace ? "T" : "");
    if (m->has_hold)
        n += (size_t)snprintf(more + n, sizeof more - n, " hold%s=%llu",
                              m->hold_is_until ? "until" : "for",
                              (unsigned long long)m->hold_seconds);
    if (m->has_priority)
        n += (size_t)snprintf(more + n, sizeof more - n, " priority=%d", m->priority);
    tell(p, "mail <%.*s>%s%s%s%s%.*s%s%.*s%s%s", S(m->path), bodies[m->body],
         m->smtputf8 ? " smtputf8" : "", rets[m->ret], m->envid.n ? " envid=" : "",
         S(m->envid), m->has_auth ? " auth=" : "", S(m->auth), more,
         m->requiretls ? " requiretls" : "");
}

static void tell_note(struct player *p, const struct sp_srv_event *e)
{
    static const char *const kinds[] = {"injection", "not-smtp", "refused", "too-many",
                                        "message-bad"};

    tell(p, "note %s %.*s %d", kinds[e->u.note.kind], S(e->u.note.verb),
         e->u.note.reply.code);
}

/* Octets that have arrived already are shown before the decision (server.h). */
static void show_early(struct player *p)
{
    if (p->npend && sp_srv_feed(p->s, p->pend, p->npend) != 0)
        complain(p, "input was taken while a decision was pending");
}

/* A copy has the same future; the original says so while a decision is open as well. */
static struct sp_srv *copy(struct player *p)
{
    struct sp_srv *c = sp_srv_clone(p->s);
    uint64_t a[2], b[2];

    if (!c)
        return NULL;
    sp_srv_digest(p->s, a);
    sp_srv_digest(c, b);
    if (a[0] != b[0] || a[1] != b[1])
        complain(p, "a copy has another digest");
    return c;
}

static void handle(struct player *p, const struct sp_srv_event *e)
{
    if (!p->quiet)
        sp_srv_free(copy(p));
    switch (e->type) {
    case SP_SRV_CONNECT:
        tell(p, "connect");
        show_early(p);
        give(p, "connect");
        break;
    case SP_SRV_EHLO:
        tell(p, "%s %.*s", e->u.ehlo.extended ? "ehlo" : "helo", S(e->u.ehlo.name));
        give(p, "ehlo");
        break;
    case SP_SRV_STARTTLS:
        tell(p, "starttls");
        show_early(p);
        give(p, "starttls");
        break;
    case SP_SRV_HANDSHAKE:
        tell(p, "handshake");
        give_tls(p);
        break;
    case SP_SRV_AUTH:
        tell_auth(p, e);
        give_auth(p);
        break;
    case SP_SRV_AUTH_END:
        tell(p, "auth-end");
        break;
    case SP_SRV_MAIL:
        p->nmessage = 0;
        tell_mail(p, e);
        give(p, "mail");
        break;
    case SP_SRV_RCPT:
        for (size_t i = 0; i < e->u.rcpt.n; i++)
            tell(p, "rcpt <%.*s>%s%.*s notify=%u", S(e->u.rcpt.r[i].path),
                 e->u.rcpt.r[i].orcpt.n ? " orcpt=" : "", S(e->u.rcpt.r[i].orcpt),
                 e->u.rcpt.r[i].notify);
        give_each(p, e->u.rcpt.n, "rcpt");
        break;
    case SP_SRV_DATA:
        tell(p, e->u.data.bdat ? "bdat" : "data");
        give(p, "data");
        break;
    case SP_SRV_BODY:
        append(&p->message, &p->nmessage, e->u.body.octets.p, e->u.body.octets.n);
        give(p, "body");
        break;
    case SP_SRV_END:
        tell(p, "end size=%llu header=%llu%s%s", (unsigned long long)e->u.end.size,
             (unsigned long long)e->u.end.header_size,
             e->u.end.has_8bit_header ? " 8bit-header" : "",
             e->u.end.has_8bit_body ? " 8bit-body" : "");
        if (e->u.end.size != p->nmessage)
            complain(p, "END says %llu octets, BODY gave %zu",
                     (unsigned long long)e->u.end.size, p->nmessage);
        give(p, "end");
        break;
    case SP_SRV_ABORT:
        tell(p, "abort");
        break;
    case SP_SRV_VRFY:
        tell(p, "vrfy %.*s", S(e->u.vrfy.argument));
        give(p, "vrfy");
        break;
    case SP_SRV_XCLIENT:
        tell(p, "%s %.*s", e->u.xclient.forward ? "xforward" : "xclient",
             S(e->u.xclient.attributes));
        give(p, "xclient");
        break;
    case SP_SRV_NOTE:
        tell_note(p, e);
        break;
    case SP_SRV_CLOSE:
        tell(p, "close");
        p->closed = true;
        break;
    case SP_SRV_NOTHING:
        complain(p, "SP_SRV_NOTHING was handed out");
    }
}

static void drain_out(struct player *p)
{
    size_t n;
    const char *o = sp_srv_out(p->s, &n);

    append(&p->out, &p->nout, o, n);
    sp_srv_out_ack(p->s, n);
}

static void events(struct player *p)
{
    struct sp_srv_event e;

    do {
        drain_out(p);
        while (sp_srv_next(p->s, &e)) {
            handle(p, &e);
            drain_out(p);
        }
    } while (0);
    if (!p->quiet && !p->npend) { /* the copy plays on: what it has not is missed */
        struct sp_srv *c = copy(p);

        if (c) {
            sp_srv_free(p->s);
            p->s = c;
        }
    }
}

/* Feed what the client has said until nobody moves. */
static void run(struct player *p)
{
    size_t used, n;

    events(p);
    while (p->npend && !p->closed) {
        n = p->chunk && p->chunk < p->npend ? p->chunk : p->npend;
        used = sp_srv_feed(p->s, p->pend, n);
        {
            /* spans point into what was fed: handle events before it moves */
            char *fed = p->pend;
            size_t left = p->npend;

            p->pend += used;
            p->npend -= used;
            events(p);
            memmove(fed, fed + used, left - used);
            p->pend = fed;
        }
        if (used == 0 && p->npend && !p->closed) {
            struct sp_srv_event e;

            used = sp_srv_feed(p->s, p->pend, n);
            if (used == 0 && !sp_srv_next(p->s, &e)) {
                complain(p, "the server takes no input");
                return;
            }
            complain(p, "the server took input at the second try");
            return;
        }
    }
    if (p->closed)
        p->npend = 0;
}

/* ---- Steps ------------------------------------------------------------------------------------ */

static void show(const char *label, const char *s, size_t n)
{
    printf("    %s: ", label);
    for (size_t i = 0; i < n && i < 300; i++)
        printf(s[i] == '\r'                              ? "\\r"
               : s[i] == '\n'                            ? "\\n"
               : (unsigned char)s[i] < 32 || s[i] == 127 ? "?"
                                                         : "%c",
               s[i]);
    printf("\n");
}

static size_t line_len(const char *s, size_t n)
{
    const char *lf = n ? memchr(s, '\n', n) : NULL;

    return lf ? (size_t)(lf - s) + 1 : n;
}

static void differs(struct player *p, const char *want, size_t n)
{
    if (!p->bad && !p->quiet) {
        complain(p, "the server said something else");
        show("want", want, n);
        show("got ", p->out + p->out_seen,
             line_len(p->out + p->out_seen, p->nout - p->out_seen));
    }
    p->bad = true;
}

static void expect_line(struct player *p, const struct sp_story_step *st)
{
    run(p);
    if (p->nout - p->out_seen < st->len ||
        memcmp(p->out + p->out_seen, st->text, st->len) != 0)
        differs(p, st->text, st->len);
    else
        p->out_seen += st->len;
}

static void expect_reply(struct player *p, const struct sp_story_step *st)
{
    char *l;
    bool more = true;

    run(p);
    l = p->out + p->out_seen;
    if (p->nout - p->out_seen < st->len || memcmp(l, st->text, 3) != 0 ||
        (st->len > 4 && memcmp(l + 4, st->text + 4, st->len - 4) != 0)) {
        differs(p, st->text, st->len);
        return;
    }
    while (more && p->out_seen < p->nout) {
        l = p->out + p->out_seen;
        more = l[3] == '-';
        p->out_seen += line_len(l, p->nout - p->out_seen);
    }
}

static void expect_silence(struct player *p)
{
    run(p);
    if (p->out_seen != p->nout)
        differs(p, "(nothing)", 9);
}

static bool find_event(struct player *p, const char *want, size_t from, size_t *ret_end)
{
    size_t n = strlen(want);

    while (from < p->nevents) {
        size_t len = line_len(p->events + from, p->nevents - from);

        if (len > n && memcmp(p->events + from, want, n) == 0) {
            *ret_end = from + len;
            return true;
        }
        from += len;
    }
    return false;
}

static void expect_event(struct player *p, const struct sp_story_step *st)
{
    struct sp_str user;
    size_t end;

    run(p);
    user = sp_srv_user(p->s);
    if (strncmp(st->text, "never ", 6) == 0) {
        if (find_event(p, st->text + 6, 0, &end))
            complain(p, "this event happened: %s", st->text + 6);
    } else if (strncmp(st->text, "message ", 8) == 0) {
        if (p->nmessage != st->len - 8 ||
            memcmp(p->message, st->text + 8, st->len - 8) != 0) {
            complain(p, "the message is another one");
            if (!p->quiet)
                show("got ", p->message, p->nmessage);
        }
    } else if (strncmp(st->text, "user ", 5) == 0) {
        if (!sp_str_is(user, st->text + 5))
            complain(p, "user is %.*s", S(user));
    } else if (strcmp(st->text, "nobody") == 0) {
        if (user.n)
            complain(p, "user is %.*s", S(user));
    } else if (find_event(p, st->text, p->events_seen, &end)) {
        p->events_seen = end;
    } else {
        complain(p, "no event \"%s\" after this point:", st->text);
        if (!p->quiet)
            printf("%s", p->events ? p->events : "");
    }
}

static void act(struct player *p, const struct sp_story_step *st)
{
    struct sp_srv_tls t;

    if (strcmp(st->text, "gone") == 0) {
        run(p);
        sp_srv_gone(p->s);
    } else if (strcmp(st->text, "expire") == 0) {
        run(p);
        sp_srv_expired(p->s);
        p->later = false;
    } else if (strcmp(st->text, "drain") == 0) {
        run(p);
        sp_srv_drain(p->s);
    } else if (strncmp(st->text, "cert ", 5) == 0) {
        run(p);
        t = facts(st->text + 5);
        must(p, sp_srv_cert_update(p->s, &t), "cert");
    } else if (p->nanswers < ANSWERS) {
        p->answer[p->nanswers++] = st->text;
    }
}

static void step(struct player *p, const struct sp_story_step *st)
{
    p->at = st;
    switch (st->kind) {
    case SP_STORY_CLIENT:
        if (st != p->st->step && st[-1].kind != SP_STORY_CLIENT)
            expect_silence(p);
        append(&p->pend, &p->npend, st->text, st->len);
        break;
    case SP_STORY_SERVER:
        expect_line(p, st);
        break;
    case SP_STORY_REPLY:
        expect_reply(p, st);
        break;
    case SP_STORY_DO:
        act(p, st);
        break;
    case SP_STORY_EXPECT:
        expect_event(p, st);
        break;
    case SP_STORY_CLOSED:
    case SP_STORY_OPEN:
        run(p);
        if (p->closed != (st->kind == SP_STORY_CLOSED))
            complain(p, p->closed ? "the session is closed" : "the session is open");
    }
}

static size_t longest_piece(const struct sp_story *st)
{
    size_t most = 1, n = 0;

    for (size_t i = 0; i < st->n; i++) {
        n = st->step[i].kind == SP_STORY_CLIENT ? n + st->step[i].len : 0;
        most = n > most ? n : most;
    }
    return most;
}

bool srv_play(const struct sp_story *st, size_t chunk, bool quiet,
              struct srv_play_result *ret)
{
    struct player p = {.st = st, .chunk = chunk, .quiet = quiet};
    struct sp_srv_policy policy;

    memset(ret, 0, sizeof *ret);
    ret->octets = longest_piece(st);
    if (!srv_play_policy(st->server, &policy))
        return false;
    p.s = sp_srv_new(&policy, sp_str("local-user"));
    append(&p.out, &p.nout, "", 0);
    append(&p.message, &p.nmessage, "", 0);
    for (size_t i = 0; p.s && i < st->n && !(p.bad && quiet && p.closed); i++) {
        if (p.bad && !quiet)
            break;
        step(&p, &st->step[i]);
    }
    if (p.s && !p.bad)
        expect_silence(&p);
    if (p.s && !p.bad && p.nanswers)
        complain(&p, "an answer was not used: %s", p.answer[0]);
    if (p.s && !p.closed)
        sp_srv_gone(p.s), events(&p);
    sp_srv_free(p.s);
    ret->good = p.s && !p.bad;
    ret->out = p.out;
    ret->out_len = p.nout;
    free(p.pend);
    free(p.events);
    free(p.message);
    return ret->good;
}
