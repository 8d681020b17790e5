/* srv_hand.c - see srv_hand.h. */
#include "srv_hand.h"

#include "text.h"

#include <string.h>

static bool in(int v, const int *set)
{
    for (; *set >= 0; set++)
        if (*set == v)
            return true;
    return false;
}
#define IN(v, ...) in((int)(v), (const int[]){__VA_ARGS__, -1})

bool srv_hand_usable(const struct sp_srv_policy *p, const struct srv_hand_tls *t,
                     int mech)
{
    bool shows =
        IN(mech, SP_MECH_PLAIN, SP_MECH_LOGIN, SP_MECH_OAUTHBEARER, SP_MECH_XOAUTH2);
    bool plus = IN(mech, SP_MECH_SCRAM_SHA_256_PLUS, SP_MECH_SCRAM_SHA_1_PLUS);
    bool external = t->on && t->cert_usable &&
                    IN(p->cert_login, SP_CERT_LOGIN_EITHER, SP_CERT_LOGIN_EXPLICIT);

    if (mech < 0 || p->kind != SP_SRV_SUBMISSION)
        return false;
    if (mech == SP_MECH_EXTERNAL)
        return external;
    if (!t->on)
        return !shows && !plus && (p->mechs_clear >> mech & 1);
    if (external && (p->cert_list == SP_CERT_LIST_EXTERNAL ||
                     (p->cert_list == SP_CERT_LIST_ALL && t->cert_only)))
        return false;
    return (p->mechs_tls >> mech & 1) && (!plus || t->binding);
}

bool srv_hand_listed(const struct sp_srv_policy *p, const struct srv_hand_tls *t,
                     int mech)
{
    return srv_hand_usable(p, t, mech) &&
           !(mech == SP_MECH_EXTERNAL && p->cert_list == SP_CERT_LIST_PASSWORD);
}

static const char *line_form(struct sp_str l, bool greeting)
{
    if (l.n < 4 || l.n > 510)
        return "a line is too short or too long";
    for (size_t i = 0; i < l.n; i++)
        if (l.p[i] < 32 || l.p[i] > 126)
            return "a line holds what no line may hold";
    for (size_t i = 0; i < 3; i++)
        if (l.p[i] < '0' || l.p[i] > '9')
            return "a line begins with no code";
    if (l.p[0] < '2' || l.p[0] > '5' || (l.p[3] != ' ' && l.p[3] != '-'))
        return "a line has no code of a reply";
    if (l.p[0] != '3' && !greeting && !(l.n > 5 && l.p[4] == l.p[0] && l.p[5] == '.'))
        return "no enhanced status code";
    return NULL;
}

const char *srv_hand_form(struct sp_str said, const char *hostname,
                          struct sp_str *ret_line)
{
    struct sp_str name = sp_str(hostname), first = {NULL, 0};
    bool greeting = false;

    while (said.n) {
        struct sp_str l = {said.p, 0};
        const char *end = memmem(said.p, said.n, "\r\n", 2), *wrong;

        *ret_line = said;
        if (!end)
            return "a line does not end";
        l.n = (size_t)(end - said.p);
        *ret_line = l;
        said = (struct sp_str){end + 2, said.n - l.n - 2};
        if (!first.p) {
            greeting = l.n >= 4 + name.n && l.p[0] == '2' &&
                       memcmp(l.p + 4, name.p, name.n) == 0;
            first = l;
        } else if (l.n >= 3 && memcmp(l.p, first.p, 3) != 0) {
            return "the code changes within a reply";
        }
        wrong = line_form(l, greeting);
        if (wrong)
            return wrong;
        if (l.p[3] == ' ')
            first.p = NULL;
    }
    return first.p ? "a reply does not end" : NULL;
}

unsigned srv_hand_mechs(struct sp_str said, bool *ret_external_last)
{
    static const char *const names[SP_MECHS] = {
        "EXTERNAL",
        "GSSAPI",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-1",
        "OAUTHBEARER",
        "XOAUTH2",
        "CRAM-MD5",
        "PLAIN",
        "LOGIN",
    };
    unsigned got = 0;

    *ret_external_last = true;
    while (said.n) {
        struct sp_str l = sp_str_cut(&said, '\n'), word = {NULL, 0};

        if (l.n < 9 || memcmp(l.p + 4, "AUTH ", 5) != 0)
            continue;
        l = (struct sp_str){l.p + 9, l.n - 9 - (l.p[l.n - 1] == '\r')};
        while (l.n) {
            word = sp_str_cut(&l, ' ');
            for (int i = 0; i < SP_MECHS; i++)
                if (sp_str_is(word, names[i]))
                    got |= 1u << i;
        }
        *ret_external_last =
            !(got >> SP_MECH_EXTERNAL & 1) || sp_str_is(word, "EXTERNAL");
    }
    return got;
}
