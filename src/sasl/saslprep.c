/*
 * saslprep.c - RFC 4013, by libidn.
 *
 * Normalisation form KC needs the Unicode 3.2 tables that RFC 3454 names; a rule of our
 * own without them would let a password typed on one system (decomposed) fail on
 * another (composed).  libidn has exactly those tables and is what gsasl uses, so both
 * ends of most exchanges agree.  Plain ASCII, nearly all input, never gets there.
 */
#include <sallyport/sasl.h>

#include "secret.h"
#include "text.h"

#include <string.h>
#include <stringprep.h>

int sp_saslprep(struct sp_str in, char *out, size_t cap)
{
    bool ascii = true;
    char work[4 * SP_SASL_NAME_MAX];
    size_t n;
    int rc;

    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];

        /* RFC 4013 2.3: control characters are prohibited. */
        if (c < 32 || c == 127)
            return -SP_EINPUT;
        ascii = ascii && c < 128;
    }
    if (in.n > cap || in.n > SP_SASL_NAME_MAX)
        return -SP_ELIMIT;
    if (ascii) {
        if (in.n)
            memcpy(out, in.p, in.n);
        return (int)in.n;
    }
    if (!sp_utf8_valid(in))
        return -SP_EINPUT;
    memcpy(work, in.p, in.n);
    work[in.n] = '\0';
    rc = stringprep(work, sizeof work, 0, stringprep_saslprep);
    n = rc == STRINGPREP_OK ? strlen(work) : 0;
    if (rc == STRINGPREP_OK && n <= cap)
        memcpy(out, work, n);
    sp_wipe(work, sizeof work);
    if (rc == STRINGPREP_TOO_SMALL_BUFFER)
        return -SP_ELIMIT;
    if (rc == STRINGPREP_MALLOC_ERROR)
        return -SP_ENOMEM;
    if (rc != STRINGPREP_OK)
        return -SP_EINPUT;
    return n > cap ? -SP_ELIMIT : (int)n;
}
