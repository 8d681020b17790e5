/* probe_step.c - the steps that scenes are made of, see probe_i.h. */
#include "probe_i.h"

#include "alloc.h"
#include "secret.h"
#include "text.h"

#include <sallyport/client.h>
#include <sallyport/sasl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* ---- checks and findings ---- */

bool sp_probe_want(struct sp_probe *p, enum sp_check_id c)
{
    return sp_check_begin(p->f, c);
}

void sp_probe_done(struct sp_probe *p, enum sp_check_id c)
{
    if (sp_check_wanted(p->f, c))
        sp_check_done(p->f, c, 0, 0);
}

/* A finding counts for its own check, and only when that one is wanted. */
static bool counts(struct sp_probe *p, enum sp_finding_id id)
{
    return sp_check_wanted(p->f, (enum sp_check_id)sp_finding_row(id)->check);
}

void sp_probe_found(struct sp_probe *p, const struct sp_pw *w, unsigned from,
                    enum sp_finding_id id, const char *f1, const char *f2,
                    const char *f3)
{
    sp_probe_found_as(p, (enum sp_severity)sp_finding_row(id)->severity, w, from, id,
                      f1, f2, f3);
}

void sp_probe_found_as(struct sp_probe *p, enum sp_severity s, const struct sp_pw *w,
                       unsigned from, enum sp_finding_id id, const char *f1,
                       const char *f2, const char *f3)
{
    struct sp_evidence ev = {0};

    if (!counts(p, id))
        return;
    /* Of a whole connection, what was said last is what matters. */
    if (w && from == 0 && w->n_lines > SP_EV_LINES)
        from = w->n_lines - SP_EV_LINES;
    if (w)
        sp_pw_evidence(w, from, w->n_lines, &ev);
    (void)sp_finding_add_as(p->f, id, s, w ? &ev : NULL, f1, f2, f3);
}

void sp_probe_found_seen(struct sp_probe *p, const struct sp_probe_seen *a,
                         const struct sp_probe_seen *b, enum sp_finding_id id,
                         const char *f1, const char *f2, const char *f3)
{
    struct sp_evidence ev = {0};

    if (!counts(p, id))
        return;
    if (a && a->w)
        sp_pw_evidence(a->w, a->from, a->to, &ev);
    if (b && b->w)
        sp_pw_evidence(b->w, b->from, b->to, &ev);
    (void)sp_finding_add(p->f, id, &ev, f1, f2, f3);
}

void sp_probe_found_reply(struct sp_probe *p, const struct sp_pw_reply *r,
                          enum sp_finding_id id, const char *f1, const char *f2,
                          const char *f3)
{
    struct sp_evidence ev = {0};
    char where[24];

    if (!counts(p, id))
        return;
    for (unsigned i = 0; i < p->n_wires; i++)
        if (p->wire[i]->n_seen && r >= p->wire[i]->seen &&
            r < p->wire[i]->seen + p->wire[i]->n_seen) {
            (void)snprintf(where, sizeof where, "connection %u", p->wire[i]->number);
            sp_ev_note(&ev, where, "the reply to %s:", r->verb);
            sp_ev_put(&ev, SP_EV_SERVER, where, sp_str(r->line));
        }
    (void)sp_finding_add(p->f, id, &ev, f1, f2, f3);
}

/* ---- logins that fail ---- */

bool sp_probe_may_fail(struct sp_probe *p, const struct sp_pw *w)
{
    return w->failed == 0 && (p->thorough || p->failed < SP_PROBE_FAILED);
}

void sp_probe_failed(struct sp_probe *p, struct sp_pw *w)
{
    w->failed++;
    p->failed++;
}

/* ---- beginning ---- */

static void refused_banner(struct sp_probe *p, struct sp_pw *w,
                           const struct sp_pw_reply *r)
{
    if (w->number != 1) {
        sp_pw_note(w, "the server takes no further connection");
        return;
    }
    if (r->code)
        sp_findings_failed(p->f, r->code < 500 ? EX_TEMPFAIL : EX_UNAVAILABLE,
                           "the server greets with a refusal: %s", r->line);
    else
        sp_findings_failed(p->f,
                           w->end == SP_PW_GARBAGE || w->end == SP_PW_ENDLESS
                               ? EX_PROTOCOL
                               : EX_UNAVAILABLE,
                           "no SMTP greeting: %s%s", w->why,
                           w->end == SP_PW_TIMEOUT && !w->tls.up
                               ? "; a port that speaks TLS first needs --tls"
                               : "");
    p->hopeless = true;
    (void)snprintf(p->hopeless_why, sizeof p->hopeless_why, "the server did not greet");
}

bool sp_probe_greet(struct sp_probe *p, struct sp_pw *w)
{
    struct sp_pw_reply r;
    int code = sp_pw_reply(w, &r);

    if (code == 220) {
        if (!sp_findings_get(p->f, "banner"))
            (void)sp_findings_fact(p->f, "banner", sp_str(r.line));
        return true;
    }
    refused_banner(p, w, &r);
    if (sp_pw_alive(w)) {
        (void)snprintf(w->why, sizeof w->why, "the server greeted with %.150s", r.line);
        w->end = SP_PW_BYE;
    }
    return false;
}

bool sp_probe_ehlo(struct sp_probe *p, struct sp_pw *w, struct sp_caps **ret,
                   struct sp_pw_reply *r)
{
    struct sp_caps *c = sp_caps_new(w->tls.up);
    int code = c ? sp_pw_ehlo(w, p->helo, c, r) : 0;

    if (code != 250 || !ret) {
        sp_caps_free(c);
        return code == 250;
    }
    sp_caps_free(*ret);
    *ret = c;
    return true;
}

struct sp_pw_tls sp_probe_tls(const struct sp_probe *p,
                              const struct sp_probe_pair *pair)
{
    struct sp_pw_tls t = {.name = p->tls_name, .ca_path = p->ca_path};

    if (pair && pair->cert) {
        t.cert = pair->cert;
        t.key = pair->key;
        t.chain = pair->chain;
    }
    return t;
}

bool sp_probe_secure(struct sp_probe *p, struct sp_pw *w, const struct sp_pw_tls *t)
{
    struct sp_pw_reply r;
    bool up;

    if (p->implicit) {
        p->tls_tried = true;
        up = sp_pw_handshake(w, t);
        p->tls_works |= up;
        return up && sp_probe_greet(p, w);
    }
    if (!sp_probe_greet(p, w) || !sp_probe_ehlo(p, w, p->clear ? NULL : &p->clear, &r))
        return false;
    p->tls_tried = true;
    up = sp_pw_cmd(w, &r, "STARTTLS") == 220 && sp_pw_handshake(w, t);
    p->tls_works |= up;
    return up;
}

bool sp_probe_verified(const struct sp_probe *p, const struct sp_pw *w)
{
    return w->tls.up && (p->o->talk->cli.allow_unverified ||
                         (w->tls.chain_ok && w->tls.name_ok && w->tls.dates_ok));
}

/* ---- commands ---- */

int sp_probe_ask(struct sp_pw *w, struct sp_probe_seen *s, const char *fmt, ...)
{
    char line[1000];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    s->w = w;
    s->from = w->n_lines;
    (void)sp_pw_cmd(w, &s->r, "%s", line);
    s->to = w->n_lines;
    return s->r.code;
}

int sp_probe_cancel(struct sp_probe *p, struct sp_pw *w, struct sp_pw_reply *r)
{
    struct sp_pw_reply more;
    int code = sp_pw_cmd(w, r, "*"), last = code;

    for (int i = 0; i < 2 && last == 334; i++)
        last = sp_pw_cmd(w, &more, "*");
    if (last == 535)
        sp_probe_failed(p, w);
    return code;
}

static void judge_star(struct sp_probe *p, struct sp_pw *w, unsigned from, int code,
                       const struct sp_pw_reply *r)
{
    if (code == 334)
        sp_probe_found(p, w, from, SP_F_STAR_IGNORED, r->line, NULL, NULL);
    else if (code == 235)
        sp_probe_found(p, w, from, SP_F_ANY_PASSWORD, "an answer of \"*\"", r->line,
                       NULL);
    else if (code == 501)
        sp_probe_found(p, w, from, SP_F_STAR_CANCELS, r->line, NULL, NULL);
    else if (code && code != 421) /* that is about all of the session */
        sp_probe_found(p, w, from, SP_F_STAR_ODDLY, r->line, NULL, NULL);
}

int sp_probe_auth_bare(struct sp_probe *p, struct sp_pw *w, const char *mech,
                       struct sp_pw_reply *r)
{
    struct sp_pw_reply cancelled;
    unsigned from = w->n_lines;
    int code, end;

    memset(r, 0, sizeof *r);
    if (!p->star_harmless && !sp_probe_may_fail(p, w))
        return 0; /* taking it back may count as a failed login here, as Courier does */
    code = sp_pw_cmd(w, r, "AUTH %s", mech);
    if (code == 334) {
        end = sp_probe_cancel(p, w, &cancelled);
        p->star_harmless = end == 501;
        judge_star(p, w, from, end, &cancelled);
    } else if (code == 535) {
        sp_probe_failed(p, w);
    }
    return code;
}

int sp_probe_external(struct sp_probe *p, struct sp_pw *w, const char *initial,
                      const char *answer, struct sp_pw_reply *r)
{
    char b64[460] = "=";
    int code, n;

    if (initial && *initial) {
        n = sp_base64_encode(initial, strlen(initial), b64, sizeof b64 - 1);
        b64[n > 0 ? n : 0] = '\0';
    }
    code = initial ? sp_pw_cmd(w, r, "AUTH EXTERNAL %s", b64)
                   : sp_pw_cmd(w, r, "AUTH EXTERNAL");
    if (code == 334 && answer) {
        n = sp_base64_encode(answer, strlen(answer), b64, sizeof b64 - 1);
        b64[n > 0 ? n : 0] = '\0';
        code = sp_pw_cmd(w, r, "%s", strcmp(answer, "=") == 0 ? "=" : b64);
    }
    if (code == 334)
        (void)sp_probe_cancel(p, w, r);
    if (code == 535)
        sp_probe_failed(p, w);
    return code;
}

bool sp_probe_mail(struct sp_probe *p, struct sp_pw *w, struct sp_probe_seen *mail,
                   struct sp_probe_seen *rcpt)
{
    struct sp_pw_reply r;
    bool both = false;

    if (sp_probe_ask(w, mail, "MAIL FROM:<%s>", p->from) == 250) {
        both = sp_probe_ask(w, rcpt, "RCPT TO:<" SP_PROBE_FOREIGN_RCPT ">") / 10 == 25;
        (void)sp_pw_cmd(w, &r, "RSET");
    }
    return both;
}

/* ---- a login ---- */

/* Without channel binding on purpose: that is tried by the client engine later. */
static const enum sp_mech with_password[] = {SP_MECH_SCRAM_SHA_256, SP_MECH_SCRAM_SHA_1,
                                             SP_MECH_CRAM_MD5, SP_MECH_PLAIN,
                                             SP_MECH_LOGIN};
/* Where -PLUS is listed the other SCRAMs may be refused (RFC 5802 6; require-binding),
 * and -PLUS itself may be broken, which is P36's: those that cannot fail so come first. */
static const enum sp_mech with_plus[] = {SP_MECH_CRAM_MD5, SP_MECH_PLAIN, SP_MECH_LOGIN,
                                         SP_MECH_SCRAM_SHA_256_PLUS,
                                         SP_MECH_SCRAM_SHA_1_PLUS};
static const enum sp_mech with_token[] = {SP_MECH_OAUTHBEARER, SP_MECH_XOAUTH2};

static int choose_mech(const struct sp_probe *p, const struct sp_caps *c)
{
    const struct sp_cli_options *o = &p->o->talk->cli;
    bool plus = c && c->mechs & (SP_MECH_BIT(SP_MECH_SCRAM_SHA_256_PLUS) |
                                 SP_MECH_BIT(SP_MECH_SCRAM_SHA_1_PLUS));
    const enum sp_mech *list = p->have_token ? with_token
                               : plus        ? with_plus
                                             : with_password;
    size_t n = p->have_token ? sizeof with_token / sizeof with_token[0]
               : plus        ? sizeof with_plus / sizeof with_plus[0]
                             : sizeof with_password / sizeof with_password[0];

    for (size_t i = 0; c && i < n; i++)
        if (c->mechs & SP_MECH_BIT(list[i]) &&
            !(o->mechs_forbidden & SP_MECH_BIT(list[i])) &&
            (!o->mechs_only || o->mechs_only & SP_MECH_BIT(list[i])))
            return (int)list[i];
    return -1;
}

bool sp_probe_login_possible(const struct sp_probe *p, const struct sp_caps *caps)
{
    return (p->have_password || p->have_token) && choose_mech(p, caps) >= 0;
}

static int login_login(struct sp_probe *p, struct sp_pw *w, struct sp_pw_reply *r)
{
    int code = sp_pw_cmd(w, r, "AUTH LOGIN");

    if (code == 334)
        code = sp_pw_secret(w, r, "", sp_str(p->o->talk->cli.authcid));
    if (code == 334)
        code = sp_pw_secret(w, r, "", sp_buf_view(&p->password));
    return code;
}

static int login_one(struct sp_probe *p, struct sp_pw *w, enum sp_mech m,
                     struct sp_pw_reply *r)
{
    char token[18000], shown[40];
    const struct sp_cli_options *o = &p->o->talk->cli;
    struct sp_str none = {"", 0};
    int n = m == SP_MECH_PLAIN
                ? sp_cli_plain(none, sp_str(o->authcid), sp_buf_view(&p->password),
                               token, sizeof token)
                : sp_cli_bearer(m, sp_str(o->authcid), sp_str(p->host), p->dial.port,
                                sp_buf_view(&p->password), token, sizeof token);
    int code = 0;

    (void)snprintf(shown, sizeof shown, "AUTH %s ", sp_mech_name(m));
    if (n > 0)
        code = sp_pw_secret(w, r, shown, (struct sp_str){token, (size_t)n});
    sp_wipe(token, sizeof token);
    if (code == 334) /* the reasons of a refused token (RFC 7628 3.2.3) */
        code = sp_pw_cmd(w, r, "AQ==");
    return code;
}

/* A challenge has the salt of the password: it is nobody's business but the account's. */
static void hide_challenge(struct sp_pw *w)
{
    struct sp_pw_line *l = w->n_lines ? &w->line[w->n_lines - 1] : NULL;

    if (l && l->dir == SP_EV_SERVER && l->n >= 8) {
        l->n = (uint16_t)snprintf(l->text, l->n + 1u, "334 ...");
        l->clipped = false;
    }
}

static int login_steps(struct sp_probe *p, struct sp_pw *w, enum sp_mech m,
                       struct sp_pw_reply *r)
{
    struct sp_sasl_client_opts o = {.user = sp_str(p->o->talk->cli.authcid),
                                    .password = sp_buf_view(&p->password)};
    struct sp_str name = sp_str(sp_mech_name(m)), out = {"", 0};
    struct sp_sasl *s = NULL;
    enum sp_sasl_status st = SP_SASL_CONTINUE;
    char shown[40], challenge[2048];
    int code = 0, n;

    if (w->tls.exporter_ok && sp_sasl_is_plus(name)) {
        o.binding.exporter =
            (struct sp_str){(const char *)w->tls.exporter, sizeof w->tls.exporter};
        o.plus_listed = true;
    }
    if (sp_sasl_client_new(name, &o, &s, NULL) < 0)
        return 0;
    (void)snprintf(shown, sizeof shown, "AUTH %s ", sp_mech_name(m));
    if (sp_sasl_client_first(name)) {
        st = sp_sasl_step(s, out, &out);
        code = st == SP_SASL_FAILED ? 0 : sp_pw_secret(w, r, shown, out);
    } else {
        code = sp_pw_cmd(w, r, "AUTH %s", sp_mech_name(m));
    }
    for (int i = 0; i < 4 && code == 334; i++) {
        n = sp_pw_challenge(w, challenge, sizeof challenge);
        hide_challenge(w);
        if (n >= 0 && st != SP_SASL_DONE)
            st = sp_sasl_step(s, (struct sp_str){challenge, (size_t)n}, &out);
        else if (n >= 0)
            out = (struct sp_str){"", 0};
        code = n < 0 || st == SP_SASL_FAILED ? sp_probe_cancel(p, w, r)
                                             : sp_pw_secret(w, r, "", out);
    }
    sp_sasl_free(s);
    return code;
}

int sp_probe_login(struct sp_probe *p, struct sp_pw *w, const struct sp_caps *caps,
                   struct sp_pw_reply *r)
{
    int m = choose_mech(p, caps), code;

    memset(r, 0, sizeof *r);
    if (m < 0)
        return 0;
    switch ((enum sp_mech)m) {
    case SP_MECH_LOGIN:
        code = login_login(p, w, r);
        break;
    case SP_MECH_PLAIN:
    case SP_MECH_OAUTHBEARER:
    case SP_MECH_XOAUTH2:
        code = login_one(p, w, (enum sp_mech)m, r);
        break;
    default:
        code = login_steps(p, w, (enum sp_mech)m, r);
        break;
    }
    if (code == 235)
        (void)snprintf(p->mechanism, sizeof p->mechanism, "%s",
                       sp_mech_name((enum sp_mech)m));
    else if (code >= 400)
        sp_probe_failed(p, w);
    return code;
}

/* ---- small questions ---- */

bool sp_mech_listed(const struct sp_caps *c, enum sp_mech m)
{
    return c && c->mechs & SP_MECH_BIT(m);
}

void sp_probe_auth_list(const struct sp_caps *c, char *out, size_t cap)
{
    struct sp_buf b;
    const char *s = NULL;

    sp_buf_init(&b, 400);
    if (c && sp_caps_auth_names(c, &b) == 0)
        s = sp_buf_cstr(&b);
    (void)snprintf(out, cap, "%s", s && *s ? s : "none");
    sp_buf_free(&b);
}

bool sp_reply_is(const struct sp_pw_reply *r, int code, const char *enh)
{
    char have[24];

    (void)snprintf(have, sizeof have, "%d.%d.%d", r->enh[0], r->enh[1], r->enh[2]);
    return r->code == code && (!enh || strcmp(have, enh) == 0);
}
