/* mech.c - names of SASL mechanisms, see sallyport/smtp.h. */
#include <sallyport/smtp.h>

#include "text.h"

/* Registered at IANA under "SASL Mechanisms"; matched with ASCII case folded. */
static const char *const names[SP_MECHS] = {
    [SP_MECH_EXTERNAL] = "EXTERNAL",
    [SP_MECH_GSSAPI] = "GSSAPI",
    [SP_MECH_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
    [SP_MECH_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [SP_MECH_SCRAM_SHA_1_PLUS] = "SCRAM-SHA-1-PLUS",
    [SP_MECH_SCRAM_SHA_1] = "SCRAM-SHA-1",
    [SP_MECH_OAUTHBEARER] = "OAUTHBEARER",
    [SP_MECH_XOAUTH2] = "XOAUTH2",
    [SP_MECH_CRAM_MD5] = "CRAM-MD5",
    [SP_MECH_PLAIN] = "PLAIN",
    [SP_MECH_LOGIN] = "LOGIN",
};

/* The wire carries the password or the token itself. */
static const uint32_t shows_secret =
    SP_MECH_BIT(SP_MECH_PLAIN) | SP_MECH_BIT(SP_MECH_LOGIN) |
    SP_MECH_BIT(SP_MECH_OAUTHBEARER) | SP_MECH_BIT(SP_MECH_XOAUTH2);

const char *sp_mech_name(enum sp_mech m)
{
    return (unsigned)m < SP_MECHS ? names[m] : "";
}

int sp_mech_by_name(struct sp_str name)
{
    for (int m = 0; m < SP_MECHS; m++)
        if (sp_str_caseis(name, names[m]))
            return m;
    return -SP_ENOENT;
}

bool sp_mech_shows_secret(enum sp_mech m)
{
    return shows_secret >> m & 1;
}
