/*
 * t_tlspolicy.c - the whole cross product of TLS policy against an expectation written
 * by hand: sentences of the RFCs in the order in which they count, sharing nothing with
 * the table.
 */
#include "t.h"
#include "tlspolicy.h"

enum want { DELIVER, CLEAR, NEXT, BOUNCE };

static enum want expected(const struct sp_tls_case *c)
{
    bool in_tls = c->happened == SP_TLS_UNVERIFIED || c->happened == SP_TLS_VERIFIED;
    /* RFC 8689 5: the header field takes the domain's policies away, unless the envelope
     * says REQUIRETLS (4.2.1: that one is followed). */
    bool domain_counts = !c->tls_required_no || c->requiretls;

    /* RFC 7672 2.1.1: a look-up that fails means: do not use this host. */
    if (domain_counts && c->dane == SP_DANE_FAILED)
        return NEXT;
    /* RFC 8461 4.1: a host that the enforced policy does not name is not used. */
    if (domain_counts && c->sts == SP_STS_MISMATCH)
        return NEXT;
    /* What was verified pleases everybody. */
    if (c->happened == SP_TLS_VERIFIED)
        return DELIVER;
    /* RFC 8689: never over anything else.  A handshake that fails may be this host's. */
    if (c->requiretls)
        return c->happened == SP_TLS_HANDSHAKE ? NEXT : BOUNCE;
    /* The administrator's word does not depend on header fields. */
    if (c->setting == SP_TLS_VERIFY)
        return NEXT;
    /* RFC 7672 2.2: usable records: authenticated or not at all.  RFC 8461 5: enforce. */
    if (domain_counts && (c->dane == SP_DANE_USABLE || c->sts == SP_STS_ENFORCE))
        return NEXT;
    /* RFC 7672 2.2: unusable ones: TLS, not authenticated. */
    if (c->setting == SP_TLS_MUST || (domain_counts && c->dane == SP_DANE_UNUSABLE))
        return in_tls ? DELIVER : NEXT;
    /* RFC 7435: opportunistic.  Testing is reported only: RFC 8461 5. */
    return c->happened == SP_TLS_HANDSHAKE ? CLEAR : DELIVER;
}

static const char *const names[] = {"deliver", "clear", "next", "bounce"};
static const enum sp_tls_action action[] = {SP_TLS_DELIVER, SP_TLS_CLEAR, SP_TLS_NEXT,
                                            SP_TLS_BOUNCE};

TEST("every case of DANE, MTA-STS, route, REQUIRETLS, TLS-Required and what happened")
{
    unsigned cases = 0, count[4] = {0};

    for (int dane = SP_DANE_NONE; dane <= SP_DANE_FAILED; dane++)
        for (int sts = SP_STS_NONE; sts <= SP_STS_MISMATCH; sts++)
            for (int setting = SP_TLS_MAY; setting <= SP_TLS_VERIFY; setting++)
                for (int bits = 0; bits < 4; bits++)
                    for (int h = SP_TLS_NOT_OFFERED; h <= SP_TLS_VERIFIED; h++) {
                        struct sp_tls_case c = {(enum sp_dane)dane,
                                                (enum sp_sts)sts,
                                                (enum sp_tls_setting)setting,
                                                (bits & 1) != 0,
                                                (bits & 2) != 0,
                                                (enum sp_tls_happened)h};
                        const struct sp_tls_row *row = sp_tls_policy(&c);
                        enum want want = expected(&c);

                        cases++;
                        count[want]++;
                        if (row->action != action[want])
                            printf("dane %d sts %d setting %d requiretls %d no %d "
                                   "happened %d: %s\n",
                                   dane, sts, setting, bits & 1, bits >> 1, h,
                                   names[want]);
                        CHECK(row->action == action[want]);
                        CHECK((row->enhanced == NULL) ==
                              (row->action == SP_TLS_DELIVER ||
                               row->action == SP_TLS_CLEAR));
                        CHECK(row->words != NULL);
                    }
    CHECK_INT(cases, 4 * 4 * 3 * 4 * 4);
    for (int i = 0; i < 4; i++)
        CHECK(count[i] > 0);
}

T_MAIN
