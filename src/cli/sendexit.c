/* sendexit.c - see sendexit.h. */
#include "sendexit.h"

#include <sysexits.h>

/* clang-format off */
static const struct {
    int stage;  /* -1: any */
    int digit;  /* first digit of the reply; 0: none; -1: any */
    int cls;    /* -1: any */
    int auth;   /* credentials were refused, or none fit; -1: any */
    int status;
} table[] = {
    {-1,               4, SP_CLASS_TEMPORARY, 1, EX_TEMPFAIL},
    {-1,              -1, -1,                 1, EX_NOPERM},
    {-1,              -1, SP_CLASS_INSECURE, -1, EX_NOPERM},
    {-1,              -1, SP_CLASS_BUG,      -1, EX_SOFTWARE},
    {-1,               4, -1,                -1, EX_TEMPFAIL},
    {SP_STAGE_CONNECT, 0, SP_CLASS_PEER,     -1, EX_NOHOST},
    {SP_STAGE_RCPT,    5, -1,                -1, EX_NOUSER},
    {SP_STAGE_DATA,    5, -1,                -1, EX_DATAERR},
    {SP_STAGE_DOT,     5, -1,                -1, EX_DATAERR},
    {-1,               5, -1,                -1, EX_UNAVAILABLE},
    {-1,               0, SP_CLASS_PEER,     -1, EX_PROTOCOL},
    {-1,              -1, -1,                -1, EX_TEMPFAIL},
};
/* clang-format on */

int sp_send_exit(enum sp_cli_stage stage, int code, enum sp_class cls, bool no_login)
{
    size_t i = 0;

    while ((table[i].stage >= 0 && table[i].stage != (int)stage) ||
           (table[i].digit >= 0 && table[i].digit != code / 100) ||
           (table[i].cls >= 0 && table[i].cls != (int)cls) ||
           (table[i].auth >= 0 && table[i].auth != (int)no_login))
        i++; /* the last row matches anything */
    return table[i].status;
}
