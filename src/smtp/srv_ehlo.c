/* srv_ehlo.c - the EHLO reply, from the tables of rules.c. */
#include "srv.h"

#include "text.h"

#include <stdio.h>

static int auth_line(const struct sp_srv *s, struct sp_buf *b, const char *keyword)
{
    int rc = sp_buf_puts(b, keyword);
    const char *sep = keyword[4] == '=' ? "" : " ";

    for (size_t i = 0; i < sp_nmechs && rc == 0; i++) {
        if (!sp_rule_mech_listed(s, sp_mechs[i].mech))
            continue;
        rc = sp_buf_puts(b, sep);
        if (rc == 0)
            rc = sp_buf_puts(b, sp_mech_name(sp_mechs[i].mech));
        sep = " ";
    }
    return rc;
}

static int limits_line(const struct sp_srv_policy *p, struct sp_buf *b)
{
    int rc = sp_buf_puts(b, "LIMITS");

    if (rc == 0 && p->rcpt_max)
        rc = sp_buf_printf(b, " RCPTMAX=%u", p->rcpt_max);
    if (rc == 0 && p->mail_max)
        rc = sp_buf_printf(b, " MAILMAX=%u", p->mail_max);
    return rc;
}

/* The keyword with what stands behind it. */
static int ext_line(const struct sp_srv *s, const struct sp_ext_rule *x,
                    struct sp_buf *b)
{
    const struct sp_srv_policy *p = s->policy;

    switch (x->ext) {
    case SP_EXT_SIZE:
        return p->size_max
                   ? sp_buf_printf(b, "SIZE %llu", (unsigned long long)p->size_max)
                   : sp_buf_puts(b, "SIZE");
    case SP_EXT_LIMITS:
        return limits_line(p, b);
    case SP_EXT_DELIVERBY:
        return p->by_min
                   ? sp_buf_printf(b, "DELIVERBY %llu", (unsigned long long)p->by_min)
                   : sp_buf_puts(b, "DELIVERBY");
    case SP_EXT_FUTURERELEASE:
        /* RFC 4865 3 wants a latest date too; the interval binds first, always. */
        return sp_buf_printf(b, "FUTURERELEASE %llu 9999-12-31T23:59:59Z",
                             (unsigned long long)p->hold_max_seconds);
    case SP_EXT_MT_PRIORITY:
        return sp_buf_puts(b, "MT-PRIORITY MIXER");
    case SP_EXT_XCLIENT:
        return sp_buf_puts(b,
                           "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT");
    case SP_EXT_XFORWARD:
        return sp_buf_puts(b, "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE");
    case SP_EXT_AUTH:
        if (s->policy->legacy_auth_line) { /* clients of the last century read this */
            int rc = auth_line(s, b, "AUTH=");

            if (rc < 0 || (rc = sp_buf_puts(b, "\n")) < 0)
                return rc;
        }
        return auth_line(s, b, "AUTH");
    default:
        return sp_buf_puts(b, x->keyword);
    }
}

int sp_format_ehlo(const struct sp_srv *s, struct sp_buf *b)
{
    uint32_t set = sp_rule_extensions(s);
    struct sp_buf text;
    int rc;

    sp_buf_init(&text, SP_LIMIT_REPLY_TEXT);
    rc = sp_buf_puts(&text, s->policy->hostname);
    for (size_t i = 0; i < sp_nexts && rc == 0; i++) {
        if (!(set & sp_exts[i].ext))
            continue;
        rc = sp_buf_puts(&text, "\n");
        if (rc == 0)
            rc = ext_line(s, &sp_exts[i], &text);
    }
    if (rc == 0) /* no enhanced code: RFC 2034 4 */
        rc = sp_format(b, 250, "", sp_buf_view(&text));
    sp_buf_free(&text);
    return rc;
}
