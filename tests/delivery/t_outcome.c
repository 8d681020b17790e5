/* t_outcome.c - what a reply means for the message, written by hand. */
#include "t.h"

#include "outcome.h"

#define DONE  SP__ACTION__ACTION_DELIVERED
#define AGAIN SP__ACTION__ACTION_RETRY
#define GONE  SP__ACTION__ACTION_BOUNCE

/* clang-format off */
static const struct {
    enum sp_cli_stage stage;
    int code;
    enum sp_class cls;
    Sp__Action action;
    bool host;
    const char *enhanced;
} rows[] = {
    /* Before MAIL nothing is said about this mail: it never bounces. */
    {SP_STAGE_CONNECT,    0, SP_CLASS_TEMPORARY, AGAIN, true,  "4.4.1"},
    {SP_STAGE_GREETING, 421, SP_CLASS_TEMPORARY, AGAIN, true,  "4.4.1"},
    {SP_STAGE_GREETING, 554, SP_CLASS_PEER,      AGAIN, true,  "4.4.1"},
    {SP_STAGE_EHLO,     500, SP_CLASS_PEER,      AGAIN, true,  "4.4.1"},
    {SP_STAGE_STARTTLS, 454, SP_CLASS_TEMPORARY, AGAIN, true,  "4.4.1"},
    {SP_STAGE_STARTTLS,   0, SP_CLASS_INSECURE,  AGAIN, true,  "4.7.5"},
    {SP_STAGE_HANDSHAKE,  0, SP_CLASS_INSECURE,  AGAIN, true,  "4.7.5"},
    {SP_STAGE_EHLO_TLS, 554, SP_CLASS_PEER,      AGAIN, true,  "4.4.1"},
    {SP_STAGE_AUTH,     535, SP_CLASS_PEER,      AGAIN, true,  "4.4.1"},
    {SP_STAGE_RSET,     500, SP_CLASS_PEER,      AGAIN, true,  "4.4.1"},
    {SP_STAGE_QUIT,       0, SP_CLASS_TEMPORARY, AGAIN, true,  "4.4.1"},
    /* The envelope: the reply decides; silence is the host's. */
    {SP_STAGE_MAIL,     451, SP_CLASS_TEMPORARY, AGAIN, false, "4.0.0"},
    {SP_STAGE_MAIL,     552, SP_CLASS_PEER,      GONE,  false, "5.0.0"},
    {SP_STAGE_MAIL,       0, SP_CLASS_TEMPORARY, AGAIN, true,  "4.4.2"},
    {SP_STAGE_MAIL,       0, SP_CLASS_INSECURE,  AGAIN, true,  "4.4.2"},
    {SP_STAGE_RCPT,     250, SP_CLASS_TEMPORARY, AGAIN, false, "4.3.0"}, /* not the end */
    {SP_STAGE_RCPT,     450, SP_CLASS_TEMPORARY, AGAIN, false, "4.0.0"},
    {SP_STAGE_RCPT,     550, SP_CLASS_PEER,      GONE,  false, "5.0.0"},
    {SP_STAGE_RCPT,     354, SP_CLASS_TEMPORARY, AGAIN, true,  "4.4.2"}, /* nonsense */
    /* RFC 5321 4.2.5: only 2xx to the end of the data is a delivery. */
    {SP_STAGE_DATA,     250, SP_CLASS_TEMPORARY, AGAIN, false, "4.3.0"},
    {SP_STAGE_DATA,     354, SP_CLASS_TEMPORARY, AGAIN, true,  "4.4.2"},
    {SP_STAGE_DATA,     451, SP_CLASS_TEMPORARY, AGAIN, false, "4.0.0"},
    {SP_STAGE_DATA,     554, SP_CLASS_PEER,      GONE,  false, "5.0.0"},
    {SP_STAGE_DOT,      250, SP_CLASS_TEMPORARY, DONE,  false, "2.0.0"},
    {SP_STAGE_DOT,      452, SP_CLASS_TEMPORARY, AGAIN, false, "4.0.0"},
    {SP_STAGE_DOT,      552, SP_CLASS_PEER,      GONE,  false, "5.0.0"},
    {SP_STAGE_DOT,        0, SP_CLASS_TEMPORARY, AGAIN, true,  "4.4.2"},
    {SP_STAGE_DOT,      999, SP_CLASS_PEER,      AGAIN, true,  "4.4.2"},
};
/* clang-format on */

TEST("each reply at each stage has the outcome that was written down by hand")
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct sp_outcome_row *r =
            sp_outcome(rows[i].stage, rows[i].code, rows[i].cls);

        CHECK_INT(r->action, rows[i].action);
        CHECK_INT(r->host, rows[i].host);
        CHECK_STR(r->enhanced, rows[i].enhanced);
    }
}

TEST("mail is lost by no reply: only 5xx inside a transaction bounces")
{
    for (int stage = SP_STAGE_CONNECT; stage <= SP_STAGE_QUIT; stage++)
        for (int code = 0; code < 1000; code++) {
            bool inside = stage >= SP_STAGE_MAIL && stage <= SP_STAGE_DOT;
            const struct sp_outcome_row *r =
                sp_outcome((enum sp_cli_stage)stage, code, SP_CLASS_PEER);

            CHECK_INT(r->action == GONE, inside && code / 100 == 5);
            if (r->action == DONE)
                CHECK(stage == SP_STAGE_DOT && code / 100 == 2);
        }
}

T_MAIN
