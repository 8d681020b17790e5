/* trace.c - see trace.h. */
#include "trace.h"

#include "addr.h"
#include "fieldout.h"

#include <string.h>

enum { EXT = 1, UTF8 = 2, TLS = 4, LOGIN = 8, LMTP = 16 };

/* RFC 3848 1, RFC 6531 4.3; one row per keyword IANA knows for mail over SMTP. */
static const struct {
    unsigned facts;
    const char *word;
} with[] = {
    /* clang-format off */
    {0,                           "SMTP"},
    {EXT,                         "ESMTP"},
    {EXT | TLS,                   "ESMTPS"},
    {EXT | LOGIN,                 "ESMTPA"},
    {EXT | TLS | LOGIN,           "ESMTPSA"},
    {EXT | UTF8,                  "UTF8SMTP"},
    {EXT | UTF8 | TLS,            "UTF8SMTPS"},
    {EXT | UTF8 | LOGIN,          "UTF8SMTPA"},
    {EXT | UTF8 | TLS | LOGIN,    "UTF8SMTPSA"},
    {LMTP,                        "LMTP"},
    {LMTP | TLS,                  "LMTPS"},
    {LMTP | LOGIN,                "LMTPA"},
    {LMTP | TLS | LOGIN,          "LMTPSA"},
    {LMTP | UTF8,                 "UTF8LMTP"},
    {LMTP | UTF8 | TLS,           "UTF8LMTPS"},
    {LMTP | UTF8 | LOGIN,         "UTF8LMTPA"},
    {LMTP | UTF8 | TLS | LOGIN,   "UTF8LMTPSA"},
    /* clang-format on */
};

const char *sp_trace_with(bool lmtp, bool esmtp, bool smtputf8, bool tls, bool login)
{
    unsigned facts = (smtputf8 ? UTF8 : 0u) | (tls ? TLS : 0u) | (login ? LOGIN : 0u);

    if (lmtp)
        facts |= LMTP;
    else if (esmtp || facts)
        facts |= EXT;
    for (size_t i = 0; i < sizeof with / sizeof with[0]; i++)
        if (with[i].facts == facts)
            return with[i].word;
    return "SMTP"; /* not reached: the table has every combination */
}

/* Collects the first failure of a row of writes. */
struct out {
    struct sp_buf *b;
    int rc;
};

static void lit(struct out *o, const char *s)
{
    if (o->rc == 0)
        o->rc = sp_buf_puts(o->b, s);
}

static void token(struct out *o, struct sp_str s, bool utf8)
{
    if (o->rc == 0)
        o->rc = sp_out_token(o->b, s, 255, utf8);
}

static void comment(struct out *o, struct sp_str s)
{
    if (o->rc == 0)
        o->rc = sp_out_comment(o->b, s, 255);
}

/* RFC 5321 4.4 TCP-info: the name if one is known, then the address as a literal. */
static void put_from(struct out *o, const struct sp_trace *t)
{
    bool six = memchr(t->client_address.p ? t->client_address.p : "", ':',
                      t->client_address.n) != NULL;

    if (t->hide_client) {
        /* RFC 2606: .invalid can be nobody's name. */
        lit(o, "from client.invalid (address withheld)");
        return;
    }
    lit(o, "from ");
    token(o, t->helo, t->smtputf8);
    if (!t->client_address.n)
        return;
    lit(o, " (");
    if (t->client_name.n) {
        token(o, t->client_name, false);
        lit(o, " ");
    }
    if (sp_str_is(t->client_address, "local")) {
        lit(o, "local");
    } else {
        lit(o, six ? "[IPv6:" : "[");
        token(o, t->client_address, false);
        lit(o, "]");
    }
    lit(o, ")");
}

static void put_tls(struct out *o, const struct sp_trace *t)
{
    lit(o, "\r\n\t(using ");
    token(o, t->tls_version, false);
    lit(o, " with cipher ");
    token(o, t->tls_cipher, false);
    if (t->tls_bits && o->rc == 0)
        o->rc = sp_buf_printf(o->b, " (%u bits)", (unsigned)t->tls_bits);
    lit(o, ")");
}

int sp_trace_received(struct sp_buf *out, const struct sp_trace *t)
{
    struct out o = {out, 0};
    struct sp_addr rcpt;

    lit(&o, "Received: ");
    put_from(&o, t);
    if (t->tls)
        put_tls(&o, t);
    if (t->identity.n) {
        lit(&o, "\r\n\t(authenticated as ");
        comment(&o, t->identity);
        lit(&o, ")");
    }
    lit(&o, "\r\n\tby ");
    token(&o, t->hostname, false);
    lit(&o, " (Sallyport) with ");
    lit(&o, sp_trace_with(t->lmtp, t->esmtp, t->smtputf8, t->tls, t->login));
    if (t->id.n) {
        lit(&o, "\r\n\tid ");
        token(&o, t->id, false);
    }
    /* An address that is none is left out rather than mended. */
    if (t->only_recipient.n &&
        sp_addr_parse(t->only_recipient,
                      SP_ADDR_POSTMASTER | (t->smtputf8 ? SP_ADDR_UTF8_OK : 0),
                      &rcpt) == SP_ADDR_OK) {
        lit(&o, "\r\n\tfor ");
        if (o.rc == 0)
            o.rc = sp_out_angle(out, sp_addr_text(&rcpt));
    }
    lit(&o, ";\r\n\t");
    if (o.rc == 0)
        o.rc = sp_out_date(out, t->now_ms, t->zone_minutes);
    lit(&o, "\r\n");
    return o.rc;
}

int sp_trace_return_path(struct sp_buf *out, struct sp_str reverse_path)
{
    int rc = sp_buf_puts(out, "Return-Path: ");

    if (rc == 0)
        rc = sp_out_angle(out, reverse_path);
    return rc < 0 ? rc : sp_buf_puts(out, "\r\n");
}
