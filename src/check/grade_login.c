/*
 * grade_login.c - AUTH with the one account of a run: see grade_i.h.
 *
 * The mechanism must be one that the last EHLO reply of this TLS state listed.  SCRAM is
 * done by src/sasl; where a story says so its last token is a lie.
 */
#include "grade_i.h"

#include "text.h"

#include <string.h>

enum { TOKEN_MAX = 4096 };

static struct sp_str drop_crlf(struct sp_str s)
{
    while (s.n && (s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n'))
        s.n--;
    return s;
}

static void challenge(struct grade *g, struct grade_conn *c, struct sp_str token)
{
    char line[TOKEN_MAX * 2] = "334 ";
    int n = sp_base64_encode(token.p, token.n, line + 4, sizeof line - 8);

    if (n < 0)
        return;
    memcpy(line + 4 + n, "\r\n", 2);
    c->mode = TALK_AUTH;
    (void)grade_send(g, c, (struct sp_str){line, (size_t)n + 6}, false);
}

static void done(struct grade *g, struct grade_conn *c, bool good)
{
    c->mode = TALK_COMMAND;
    sp_sasl_free(c->sasl);
    c->sasl = NULL;
    if (grade_say(g, c, good ? SP_LIT("<login-good>") : SP_LIT("<login-bad>"),
                  good ? "235 2.7.0 Welcome" : "535 5.7.8 Credentials invalid") ==
        235) {
        c->login = true;
        grade_see(g, SEEN_LOGIN);
        return;
    }
    c->login_refused = true;
    g->failed_logins++;
    grade_see(g, SEEN_LOGIN_REFUSED);
}

static void refuse(struct grade *g, struct grade_conn *c, struct sp_str reply)
{
    c->mode = TALK_COMMAND;
    sp_sasl_free(c->sasl);
    c->sasl = NULL;
    c->login_refused = true;
    grade_see(g, SEEN_LOGIN_REFUSED);
    (void)grade_send(g, c, reply, false);
}

static bool contains(struct sp_str s, const char *what)
{
    return s.n && memmem(s.p, s.n, what, strlen(what)) != NULL;
}

/* authzid NUL authcid NUL password */
static bool plain_ok(const struct grade *g, struct sp_str t)
{
    (void)sp_str_cut(&t, '\0');
    return sp_str_is(sp_str_cut(&t, '\0'), g->user) && sp_str_is(t, g->password);
}

/* ---- SCRAM and CRAM-MD5 ---- */

static int give(struct grade *g, struct grade_conn *c, struct sp_str *out)
{
    struct sp_scram_verifier v;
    enum sp_scram_hash hash;

    if (sp_sasl_scram_hash(sp_str(sp_mech_name(c->mech)), &hash) < 0)
        return sp_sasl_give_secret(c->sasl, sp_str(g->password), out);
    if (sp_scram_make(hash, sp_str(g->password), SP_LIT("salt of no account"),
                      SP_SCRAM_ITERATIONS_MIN, &v) < 0)
        return SP_SASL_FAILED;
    return sp_sasl_give_scram(c->sasl, &v, out);
}

/* A signature that no server who knows the verifier would make. */
static void lie(struct grade *g, struct grade_conn *c)
{
    c->scram_lied = true;
    challenge(g, c, SP_LIT("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
}

static void sasl_step(struct grade *g, struct grade_conn *c, struct sp_str token)
{
    struct sp_str out = {NULL, 0};
    bool scram = c->mech != SP_MECH_CRAM_MD5;
    int st;

    if (c->scram_lied) { /* the client answered a proof that it must not believe */
        done(g, c, true);
        return;
    }
    if (scram && g->c->scram == SCRAM_NO_SIGNATURE && c->step > 0) {
        done(g, c, true);
        return;
    }
    if (scram && g->c->scram == SCRAM_BAD_SIGNATURE && c->step > 0) {
        lie(g, c);
        return;
    }
    st = sp_sasl_step(c->sasl, token, &out);
    if (st == SP_SASL_VERIFIER)
        st = give(g, c, &out);
    c->step++;
    if (st == SP_SASL_CONTINUE)
        challenge(g, c, out);
    else if (st == SP_SASL_DONE && out.n) /* the signature; its answer is empty */
        c->step = 100, challenge(g, c, out);
    else
        done(g, c, st == SP_SASL_DONE);
}

/* ---- one token of any mechanism ---- */

static void external(struct grade *g, struct grade_conn *c, struct sp_str t)
{
    done(g, c, c->cert && (t.n == 0 || sp_str_is(t, g->user) || sp_str_is(t, g->from)));
}

static void token(struct grade *g, struct grade_conn *c, struct sp_str t)
{
    switch (c->mech) {
    case SP_MECH_PLAIN:
        done(g, c, plain_ok(g, t));
        return;
    case SP_MECH_LOGIN:
        if (c->step++ == 0)
            challenge(g, c, SP_LIT("Password:"));
        else
            done(g, c, sp_str_is(t, g->password));
        return;
    case SP_MECH_EXTERNAL:
        external(g, c, t);
        return;
    case SP_MECH_OAUTHBEARER:
    case SP_MECH_XOAUTH2:
        done(g, c, contains(t, g->password));
        return;
    case SP_MECH_CRAM_MD5:
    case SP_MECH_SCRAM_SHA_256:
    case SP_MECH_SCRAM_SHA_1:
        if (c->step == 100)
            done(g, c, t.n == 0);
        else
            sasl_step(g, c, t);
        return;
    case SP_MECH_GSSAPI:
    case SP_MECH_SCRAM_SHA_256_PLUS:
    case SP_MECH_SCRAM_SHA_1_PLUS:
    case SP_MECHS:
        break;
    }
    refuse(g, c, SP_LIT("504 5.5.4 Unrecognized authentication type\r\n"));
}

void grade_answer(struct grade *g, struct grade_conn *c, struct sp_str line)
{
    char raw[TOKEN_MAX];
    int n;

    line = drop_crlf(line);
    if (sp_str_is(line, "*")) {
        refuse(g, c, SP_LIT("501 5.7.0 Authentication cancelled\r\n"));
        return;
    }
    n = sp_str_is(line, "=") ? 0 : sp_base64_decode(line, raw, sizeof raw);
    if (n < 0)
        refuse(g, c, SP_LIT("501 5.5.2 That is no base64\r\n"));
    else
        token(g, c, (struct sp_str){raw, (size_t)n});
}

/* ---- AUTH itself ---- */

static bool listed(const struct grade_conn *c, bool tls, struct sp_str mech)
{
    struct sp_str rest;

    if (!grade_offers(c, tls, "AUTH", &rest))
        return false;
    for (size_t i = 0; i < rest.n;) {
        size_t k = i;

        while (k < rest.n && rest.p[k] != ' ' && rest.p[k] != '=')
            k++;
        if (sp_str_caseeq((struct sp_str){rest.p + i, k - i}, mech))
            return true;
        i = k + 1;
    }
    return false;
}

/* Not in the list of this TLS state.  In the other one's?  RFC 3207 4.2: forgotten. */
static bool allowed(struct grade *g, struct grade_conn *c, struct sp_str mech)
{
    char name[40];

    /* Without EHLO there is no list; that it was not said is found elsewhere. */
    if (listed(c, c->tls, mech) || (c->tls && !c->greeted))
        return true;
    snprintf(name, sizeof name, "%.*s", mech.n > 30 ? 30 : (int)mech.n, mech.p);
    if (c->tls && listed(c, false, mech))
        grade_stale(g, SP_F_STALE_MECHANISM, name);
    else
        grade_found(g, SP_F_MECHANISM_NOT_OFFERED, name, g->c->when);
    return false;
}

static void start_sasl(struct grade *g, struct grade_conn *c)
{
    const struct sp_sasl_server_opts o = {.host = "mail.check.test"};
    struct sp_str name = sp_str(sp_mech_name(c->mech));

    sp_sasl_free(c->sasl);
    c->sasl = NULL;
    if (sp_sasl_known(name) && sp_sasl_server_new(name, &o, &c->sasl, NULL) < 0)
        grade_note(g, c, "this program cannot do %s", sp_mech_name(c->mech));
}

void grade_auth(struct grade *g, struct grade_conn *c, struct sp_str arguments)
{
    struct sp_str ir = drop_crlf(arguments), name = sp_str_cut(&ir, ' ');
    int m = sp_mech_by_name(name);

    if (m == SP_MECH_EXTERNAL)
        grade_see(g, SEEN_EXTERNAL);
    if (m == SP_MECH_SCRAM_SHA_256 || m == SP_MECH_SCRAM_SHA_1)
        grade_see(g, SEEN_SCRAM);
    if (!allowed(g, c, name) || m < 0) {
        refuse(g, c, SP_LIT("504 5.5.4 That mechanism is not offered here\r\n"));
        return;
    }
    c->mech = (enum sp_mech)m;
    c->step = 0;
    c->scram_lied = false;
    start_sasl(g, c);
    if (c->mech == SP_MECH_EXTERNAL && g->c->external_334)
        challenge(g, c, SP_LIT("")); /* Courier does so whatever the client sent */
    else if (c->mech == SP_MECH_CRAM_MD5 && c->sasl)
        sasl_step(g, c, (struct sp_str){NULL, 0});
    else if (ir.n)
        grade_answer(g, c, ir);
    else
        challenge(g, c, c->mech == SP_MECH_LOGIN ? SP_LIT("Username:") : SP_LIT(""));
}
