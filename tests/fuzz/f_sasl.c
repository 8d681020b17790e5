/*
 * f_sasl.c - challenge mechanisms, each side against anything.
 *
 * First octet: the mechanism; second: what is played.  A server against tokens of the
 * input; a client against them; or both of ours against each other with the input as
 * changes to their tokens: then both may only end well when no token was changed.
 */
#include "fz.h"

#include "sasl_i.h"
#include "text.h"

#include <sallyport/sasl.h>

static const char *const mechs[] = {"SCRAM-SHA-256", "SCRAM-SHA-1",
                                    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS",
                                    "CRAM-MD5"};
enum { MECHS = sizeof mechs / sizeof *mechs, ROUNDS = 6 };

static struct sp_scram_verifier verifier[2];

static const struct sp_scram_verifier *verifier_for(const char *mech)
{
    enum sp_scram_hash h = SP_SCRAM_SHA256;

    if (sp_sasl_scram_hash(sp_str(mech), &h) < 0)
        return NULL;
    if (verifier[h].iterations == 0)
        FZ_MUST(sp_scram_make(h, SP_LIT("pencil"), SP_LIT("0123456789abcdef"),
                              SP_SCRAM_ITERATIONS_MIN, &verifier[h]) == 0,
                "a verifier is made");
    return &verifier[h];
}

static struct sp_sasl *server(const char *mech, unsigned how)
{
    struct sp_sasl_server_opts o = {.plus_listed = how & 1, .require_binding = how & 2};
    struct sp_sasl *s = NULL;

    if (how & 4 || sp_sasl_is_plus(sp_str(mech)))
        o.binding.exporter = SP_LIT("exporter-octets");
    FZ_MUST(sp_sasl_server_new(sp_str(mech), &o, &s, NULL) == 0, "a server is made");
    sp_sasl_fix_nonce(s, SP_LIT("srvnonce"));
    return s;
}

static struct sp_sasl *client(const char *mech, unsigned how)
{
    struct sp_sasl_client_opts o = {
        .user = SP_LIT("user"), .password = SP_LIT("pencil"), .plus_listed = how & 1};
    struct sp_sasl *s = NULL;

    if (how & 4 || sp_sasl_is_plus(sp_str(mech)))
        o.binding.exporter = SP_LIT("exporter-octets");
    FZ_MUST(sp_sasl_client_new(sp_str(mech), &o, &s, NULL) == 0, "a client is made");
    sp_sasl_fix_nonce(s, SP_LIT("clinonce"));
    return s;
}

/* A server's step with the look-up behind it. */
static enum sp_sasl_status serve(struct sp_sasl *s, const char *mech, struct sp_str in,
                                 struct sp_str *out)
{
    enum sp_sasl_status st = sp_sasl_step(s, in, out);

    if (st != SP_SASL_VERIFIER)
        return st;
    FZ_MUST(sp_sasl_user(s).n > 0 && sp_sasl_user(s).n <= SP_SASL_NAME_MAX &&
                sp_utf8_valid(sp_sasl_user(s)),
            "a user to look up is a name");
    return verifier_for(mech) ? sp_sasl_give_scram(s, verifier_for(mech), out)
                              : sp_sasl_give_secret(s,
                                                    sp_str_is(sp_sasl_user(s), "user")
                                                        ? SP_LIT("pencil")
                                                        : (struct sp_str){NULL, 0},
                                                    out);
}

static void sticky(struct sp_sasl *s)
{
    struct sp_str out = {0};

    FZ_MUST(sp_sasl_error(s) != NULL, "a failure has a reason");
    FZ_MUST(sp_sasl_step(s, SP_LIT("n,,n=user,r=x"), &out) == SP_SASL_FAILED,
            "a failure is sticky");
}

static void one_side(struct sp_sasl *s, const char *mech, bool is_server, struct fz *f)
{
    enum sp_sasl_status st = SP_SASL_CONTINUE;
    bool first = true;

    for (int i = 0; i < ROUNDS && st == SP_SASL_CONTINUE; i++) {
        struct sp_str in = fz_line(f), out = {0};

        if (first && (!is_server || (in.n == 0 && !sp_sasl_client_first(sp_str(mech)))))
            in = (struct sp_str){0};
        st = is_server ? serve(s, mech, in, &out) : sp_sasl_step(s, in, &out);
        FZ_MUST(st == SP_SASL_FAILED || out.p, "a step that works has a token");
        FZ_MUST(st == SP_SASL_FAILED || out.n <= SP_SASL_TOKEN_MAX + 2048,
                "a token is bounded");
        /* Without the password nobody is DONE: the proof is 2^160 and more to guess, and
         * CRAM-MD5 would need the digest of a challenge with our nonce. */
        first = false;
    }
    FZ_MUST(!(is_server && st == SP_SASL_DONE), "a login without the password");
    FZ_MUST(!(!is_server && st == SP_SASL_DONE && strncmp(mech, "SCRAM", 5) == 0),
            "a server proved itself without the verifier");
    if (st == SP_SASL_FAILED)
        sticky(s);
}

/* The token with one change of the input's: position, octet, kind. */
static struct sp_str change(struct sp_str token, struct fz *f, char *room, size_t cap,
                            bool *changed)
{
    unsigned kind = fz_byte(f);
    size_t at, n = token.n;

    if (kind < 128 || !f->n || n + 1 > cap)
        return token;
    if (n)
        memcpy(room, token.p, n);
    at = n ? fz_byte(f) % n : 0;
    if (kind < 192 && n) {
        room[at] = (char)fz_byte(f);
    } else if (kind < 224 && n) {
        memmove(room + at, room + at + 1, n - at - 1);
        n--;
    } else {
        memmove(room + at + 1, room + at, n - at);
        room[at] = (char)fz_byte(f);
        n++;
    }
    *changed |= n != token.n || memcmp(room, token.p, n) != 0;
    return (struct sp_str){room, n};
}

static void both(const char *mech, unsigned how, struct fz *f)
{
    /* an honest pair: what the server lists is what the client was told */
    struct sp_sasl *s = server(mech, (how & ~2u)), *c = client(mech, how & ~2u);
    enum sp_sasl_status cs = SP_SASL_CONTINUE, ss = SP_SASL_CONTINUE;
    struct sp_str token = {0}, out;
    char room[12288];
    bool changed = false, to_client = !sp_sasl_client_first(sp_str(mech));
    bool downgrade = how & 1 && !sp_sasl_is_plus(sp_str(mech)) && how & 4;

    if (to_client)
        ss = serve(s, mech, token, &token);
    else
        cs = sp_sasl_step(c, token, &token);
    for (int i = 0; i < ROUNDS && ss != SP_SASL_FAILED && cs != SP_SASL_FAILED; i++) {
        if ((to_client ? cs : ss) == SP_SASL_DONE)
            break; /* nothing is sent to it any more */
        out = (struct sp_str){0};
        token = change(token, f, room, sizeof room, &changed);
        if (to_client)
            cs = sp_sasl_step(c, token, &out);
        else
            ss = serve(s, mech, token, &out);
        token = out;
        to_client = !to_client;
    }
    if (!changed && !downgrade)
        FZ_MUST(ss == SP_SASL_DONE && cs == SP_SASL_DONE, "an honest pair logs in");
    if (ss == SP_SASL_DONE && cs == SP_SASL_DONE)
        FZ_MUST(!changed, "a token was changed on the way and nobody saw it");
    sp_sasl_free(s);
    sp_sasl_free(c);
}

FZ_TARGET
{
    struct fz f = {data, size};
    const char *mech = mechs[fz_byte(&f) % MECHS];
    unsigned how = fz_byte(&f);
    struct sp_sasl *s;

    switch (how >> 6) {
    case 0:
    case 1:
        s = server(mech, how & 7);
        one_side(s, mech, true, &f);
        sp_sasl_free(s);
        break;
    case 2:
        s = client(mech, how & 7);
        one_side(s, mech, false, &f);
        sp_sasl_free(s);
        break;
    default:
        both(mech, how & 7, &f);
    }
    return 0;
}
