/* f_certificate.c - a client's certificate, as DER from the handshake: two readers agree,
 * text from it is clean, and only what was mapped is usable. */
#include "fz.h"

#include "certmap.h"
#include "text.h"

#include <unistd.h>

enum { NOW = 1800000000 };

static struct sp_users *users;

/* alice by address, bob by URI, carol by DN: seeds are made for them. */
static void make_users(void)
{
    static const char *const name[] = {"alice", "bob", "carol"};
    char dir[] = "/tmp/fuzz-cert.XXXXXX", path[64];
    struct sp_err e;

    FZ_MUST(mkdtemp(dir), "a folder");
    snprintf(path, sizeof path, "%s/users.db", dir);
    FZ_MUST(sp_users_open(path, SP_USERS_WRITE, &users, &e) == 0, "a database");
    for (size_t i = 0; i < 3; i++)
        FZ_MUST(sp_users_add(users, sp_str(name[i]), sp_str(""), &e) == 0, "a user");
    (void)sp_users_grant(users, SP_LIT("alice"), SP_LIT("alice@example.org"), true, &e);
    (void)sp_users_map(users, SP_LIT("bob"), SP_USERS_BY_URI,
                       SP_LIT("spiffe://example.org/bob"), SP_LIT(""), true, &e);
    (void)sp_users_map(users, SP_LIT("carol"), SP_USERS_BY_DN, SP_LIT("CN=carol"),
                       SP_LIT("CN=carol"), true, &e);
    (void)unlink(path); /* the open handle keeps it */
    (void)rmdir(dir);
}

static void printable(const char *s, bool ascii)
{
    FZ_MUST(sp_utf8_valid(sp_str(s)) || !ascii, "words are text");
    for (; ascii && *s; s++)
        FZ_MUST(*s >= 32 && *s < 127, "what a client may see is printable ASCII");
}

static void look(const struct sp_cert_result *r, const struct sp_cert_look *q)
{
    printable(r->reason, true);
    FZ_MUST(r->usable == (r->reason[0] == '\0'), "usable, or a reason");
    FZ_MUST(r->usable == (r->user[0] != '\0'), "usable, or nobody");
    FZ_MUST(!r->usable || r->verified, "what is usable is verified");
    FZ_MUST(!r->verified || q->chain_ok || strcmp(r->rule, "pin") == 0 || !r->usable,
            "a broken chain is healed by a pin alone");
    if (r->usable)
        FZ_MUST(strcmp(r->user, "alice") == 0 || strcmp(r->user, "bob") == 0 ||
                    strcmp(r->user, "carol") == 0,
                "a user that exists");
}

FZ_TARGET
{
    struct fz f = {data, size};
    static const char *const domains[] = {"example.org"};
    unsigned flags = fz_byte(&f);
    struct sp_str der = fz_rest(&f);
    struct sp_cert_look q = {.leaf_der = der,
                             .chain_ok = flags & 1,
                             .chain_reason = SP_LIT("signed by nobody we know"),
                             .domains = flags & 2 ? domains : NULL,
                             .ndomains = flags & 2 ? 1 : 0,
                             .now_s = NOW};
    struct sp_cert_result r, again;
    struct sp_cert_facts facts;
    struct sp_err err;

    if (!users)
        make_users();
    memset(&r, 0, sizeof r);
    memset(&again, 0, sizeof again);
    memset(&facts, 0, sizeof facts);
    FZ_MUST(sp_certmap(users, &q, &r, &err) == 0, "a certificate gives a result");
    look(&r, &q);
    FZ_MUST(sp_certmap(users, &q, &again, &err) == 0 && r.usable == again.usable &&
                strcmp(r.user, again.user) == 0 && strcmp(r.reason, again.reason) == 0,
            "asked twice it is the same");
    if (sp_cert_facts(der, &facts, &err) == 0) {
        printable(facts.subject, false);
        FZ_MUST(strlen(facts.fingerprint) == 64 && strlen(facts.spki_sha256) == 64,
                "fingerprints are whole");
        if (der.n && der.p[0] == 0x30)
            FZ_MUST(r.fingerprint[0] == '\0' ||
                        strcmp(r.fingerprint, facts.fingerprint) == 0,
                    "both readers name the same certificate");
        for (const char *p = facts.address; *p; p++)
            FZ_MUST((unsigned char)*p >= 32 && *p != 127,
                    "an address has no control octet");
    } else {
        FZ_MUST(!r.usable, "what cannot be read is not usable");
    }
    return 0;
}
