/* tlspolicy.c - see tlspolicy.h. */
#include "tlspolicy.h"

/* What all that is asked for comes to. */
enum need { NOTHING, ENCRYPTED, VERIFIED, IMPOSSIBLE, NEEDS };

static enum need more(enum need a, enum need b)
{
    return a > b ? a : b;
}

/* clang-format off */
static const enum need by_dane[] = {
    [SP_DANE_NONE] = NOTHING, [SP_DANE_UNUSABLE] = ENCRYPTED, /* RFC 7672 2.2 */
    [SP_DANE_USABLE] = VERIFIED, [SP_DANE_FAILED] = IMPOSSIBLE};
static const enum need by_sts[] = {
    [SP_STS_NONE] = NOTHING, [SP_STS_TESTING] = NOTHING, /* RFC 8461 5 */
    [SP_STS_ENFORCE] = VERIFIED, [SP_STS_MISMATCH] = IMPOSSIBLE};
static const enum need by_setting[] = {
    [SP_TLS_MAY] = NOTHING, [SP_TLS_MUST] = ENCRYPTED, [SP_TLS_VERIFY] = VERIFIED};

static const struct sp_tls_row rows[NEEDS][4] = {
    [NOTHING] = {
        [SP_TLS_NOT_OFFERED] = {SP_TLS_DELIVER, NULL, "in clear: the host offers no TLS"},
        [SP_TLS_HANDSHAKE]   = {SP_TLS_CLEAR, NULL, "the handshake failed"},
        [SP_TLS_UNVERIFIED]  = {SP_TLS_DELIVER, NULL, "encrypted"},
        [SP_TLS_VERIFIED]    = {SP_TLS_DELIVER, NULL, "encrypted and verified"}},
    [ENCRYPTED] = {
        [SP_TLS_NOT_OFFERED] = {SP_TLS_NEXT, "4.7.5", "the host offers no TLS, and it is required"},
        [SP_TLS_HANDSHAKE]   = {SP_TLS_NEXT, "4.7.5", "the TLS handshake failed, and TLS is required"},
        [SP_TLS_UNVERIFIED]  = {SP_TLS_DELIVER, NULL, "encrypted"},
        [SP_TLS_VERIFIED]    = {SP_TLS_DELIVER, NULL, "encrypted and verified"}},
    [VERIFIED] = {
        [SP_TLS_NOT_OFFERED] = {SP_TLS_NEXT, "4.7.5", "the host offers no TLS, and it is required"},
        [SP_TLS_HANDSHAKE]   = {SP_TLS_NEXT, "4.7.5", "the TLS handshake failed, and TLS is required"},
        [SP_TLS_UNVERIFIED]  = {SP_TLS_NEXT, "4.7.5", "the host's certificate is not verified, and that is required"},
        [SP_TLS_VERIFIED]    = {SP_TLS_DELIVER, NULL, "encrypted and verified"}},
    [IMPOSSIBLE] = {
        [SP_TLS_NOT_OFFERED] = {SP_TLS_NEXT, "4.7.5", "what the host must prove cannot be found out, or it is none of the policy's hosts"},
        [SP_TLS_HANDSHAKE]   = {SP_TLS_NEXT, "4.7.5", "what the host must prove cannot be found out, or it is none of the policy's hosts"},
        [SP_TLS_UNVERIFIED]  = {SP_TLS_NEXT, "4.7.5", "what the host must prove cannot be found out, or it is none of the policy's hosts"},
        [SP_TLS_VERIFIED]    = {SP_TLS_NEXT, "4.7.5", "what the host must prove cannot be found out, or it is none of the policy's hosts"}},
};

/* RFC 8689 4.2.1: it goes no further, and the sender hears of it. */
static const struct sp_tls_row no_requiretls = {
    SP_TLS_BOUNCE, "5.7.30", "REQUIRETLS: the connection to the next server is not protected by TLS "
                             "with a verified certificate"};
/* clang-format on */

const struct sp_tls_row *sp_tls_policy(const struct sp_tls_case *c)
{
    bool ignore = c->tls_required_no && !c->requiretls;
    enum need need = by_setting[c->setting];

    if (!ignore)
        need = more(need, more(by_dane[c->dane], by_sts[c->sts]));
    if (c->requiretls && need != IMPOSSIBLE && c->happened != SP_TLS_VERIFIED &&
        c->happened != SP_TLS_HANDSHAKE)
        return &no_requiretls;
    if (c->requiretls)
        need = more(need, VERIFIED);
    return &rows[need][c->happened];
}
