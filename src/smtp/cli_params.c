/* cli_params.c - see cli_params.h. */
#include "cli_params.h"

#include "err.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum param {
    P_SIZE,
    P_BODY_7BIT,
    P_BODY_8BIT,
    P_BODY_BINARY,
    P_SMTPUTF8,
    P_RET,
    P_ENVID,
    P_AUTH,
    P_BY_RETURN,
    P_BY_NOTIFY,
    P_HOLD,
    P_PRIORITY,
    P_REQUIRETLS,
    P_PARAMS
};

/* clang-format off */
static const struct {
    uint32_t needs;      /* enum sp_ext, all of them */
    const char *refusal; /* NULL: left out without a word */
    const char *code;    /* of a refusal: the enhanced status code */
} rule[P_PARAMS] = {
    [P_SIZE] =        {SP_EXT_SIZE, NULL, NULL},
    [P_BODY_7BIT] =   {SP_EXT_8BITMIME, NULL, NULL},
    /* RFC 6152 3: convert, or give up; sending on without saying so is the caller's choice */
    [P_BODY_8BIT] =   {SP_EXT_8BITMIME, "takes no 8-bit content (8BITMIME): encode it as quoted-printable or base64", "5.6.3"},
    [P_BODY_BINARY] = {SP_EXT_BINARYMIME | SP_EXT_CHUNKING, "takes no binary content (BINARYMIME)", "5.6.3"},
    [P_SMTPUTF8] =    {SP_EXT_SMTPUTF8, "takes no internationalized mail (SMTPUTF8)", "5.6.7"},
    [P_RET] =         {SP_EXT_DSN, NULL, NULL},           /* RFC 3461 5.2.2 */
    [P_ENVID] =       {SP_EXT_DSN, NULL, NULL},
    [P_AUTH] =        {SP_EXT_AUTH, NULL, NULL},          /* RFC 4954 5 */
    [P_BY_RETURN] =   {SP_EXT_DELIVERBY, "cannot return a message that is late (DELIVERBY)", "5.4.7"}, /* RFC 2852 4 */
    [P_BY_NOTIFY] =   {SP_EXT_DELIVERBY, NULL, NULL},
    [P_HOLD] =        {SP_EXT_FUTURERELEASE, "cannot hold a message back (FUTURERELEASE)", "5.3.3"},
    [P_PRIORITY] =    {SP_EXT_MT_PRIORITY, NULL, NULL},   /* RFC 6710 4.1 */
    [P_REQUIRETLS] =  {SP_EXT_REQUIRETLS, "does not promise TLS on the way (REQUIRETLS)", "5.7.30"}, /* RFC 8689 4.2.1, 8 */
};
/* clang-format on */

static bool given(const struct sp_mail *m, uint64_t size, enum param p)
{
    switch (p) {
    case P_SIZE:
        return size > 0;
    case P_BODY_7BIT:
        return m->body == SP_BODY_7BIT;
    case P_BODY_8BIT:
        return m->body == SP_BODY_8BITMIME;
    case P_BODY_BINARY:
        return m->body == SP_BODY_BINARYMIME;
    case P_SMTPUTF8:
        return m->smtputf8;
    case P_RET:
        return m->ret != SP_RET_UNSET;
    case P_ENVID:
        return m->envid.n > 0;
    case P_AUTH:
        return m->has_auth;
    case P_BY_RETURN:
        return m->has_by && !m->by_notify;
    case P_BY_NOTIFY:
        return m->has_by && m->by_notify;
    case P_HOLD:
        return m->has_hold;
    case P_PRIORITY:
        return m->has_priority;
    case P_REQUIRETLS:
        return m->requiretls;
    case P_PARAMS:
        break;
    }
    return false;
}

/* RFC 3461 4: graphic octets but "+" and "=" stand for themselves. */
static int put_xtext(struct sp_buf *b, struct sp_str s)
{
    int rc = 0;

    for (size_t i = 0; i < s.n && rc == 0; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c > 32 && c < 127 && c != '+' && c != '=')
            rc = sp_buf_put(b, s.p + i, 1);
        else
            rc = sp_buf_printf(b, "+%02X", c);
    }
    return rc;
}

/* Unix time as RFC 3339 UTC, for HOLDUNTIL (RFC 4865 4); days to date as in Howard
 * Hinnant's published calendar derivation: the year begins in March. */
static int put_time(struct sp_buf *b, uint64_t t)
{
    uint64_t days = t / 86400, s = t % 86400;
    uint64_t z = days + 719468, era = z / 146097, doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    uint64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    uint64_t year = yoe + era * 400 + (month <= 2);

    return sp_buf_printf(b, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year,
                         (unsigned)month, (unsigned)day, (unsigned)(s / 3600),
                         (unsigned)(s / 60 % 60), (unsigned)(s % 60));
}

static int put_param(struct sp_buf *b, const struct sp_mail *m, uint64_t size,
                     enum param p)
{
    int rc;

    switch (p) {
    case P_SIZE:
        return sp_buf_printf(b, " SIZE=%llu", (unsigned long long)size);
    case P_BODY_7BIT:
        return sp_buf_puts(b, " BODY=7BIT");
    case P_BODY_8BIT:
        return sp_buf_puts(b, " BODY=8BITMIME");
    case P_BODY_BINARY:
        return sp_buf_puts(b, " BODY=BINARYMIME");
    case P_SMTPUTF8:
        return sp_buf_puts(b, " SMTPUTF8");
    case P_RET:
        return sp_buf_puts(b, m->ret == SP_RET_FULL ? " RET=FULL" : " RET=HDRS");
    case P_ENVID:
        return sp_buf_printf(b, " ENVID=%.*s", (int)m->envid.n, m->envid.p);
    case P_AUTH:
        rc = sp_buf_puts(b, m->auth.n ? " AUTH=" : " AUTH=<>");
        return rc < 0 ? rc : put_xtext(b, m->auth);
    case P_BY_RETURN:
    case P_BY_NOTIFY:
        return sp_buf_printf(b, " BY=%lld;%c%s", (long long)m->by_seconds,
                             m->by_notify ? 'N' : 'R', m->by_trace ? "T" : "");
    case P_HOLD:
        if (!m->hold_is_until)
            return sp_buf_printf(b, " HOLDFOR=%llu",
                                 (unsigned long long)m->hold_seconds);
        rc = sp_buf_puts(b, " HOLDUNTIL=");
        return rc < 0 ? rc : put_time(b, m->hold_seconds);
    case P_PRIORITY:
        return sp_buf_printf(b, " MT-PRIORITY=%d", m->priority);
    case P_REQUIRETLS:
        return sp_buf_puts(b, " REQUIRETLS");
    case P_PARAMS:
        break;
    }
    return 0;
}

/* May this stand between angle brackets?  Anything that could end the path or the line
 * is refused: a ">" with parameters behind it, CR LF with a command (injection). */
static int check_path(struct sp_str s, bool smtputf8, const char *what,
                      struct sp_err *err)
{
    bool quoted = false;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool loose = c == '<' || c == '>' || c == ' ';

        if (c < 32 || c == 127 || (!quoted && loose))
            return sp_err_set(
                err, SP_CLASS_PEER, SP_EINPUT,
                "%s \"%.*s\" holds a character that an address cannot have", what,
                (int)(s.n > 200 ? 200 : s.n), s.p);
        if (c > 126 && !smtputf8)
            return sp_err_set(err, SP_CLASS_PEER, SP_EDENIED,
                              "%s \"%.*s\" is not ASCII: it needs SMTPUTF8", what,
                              (int)(s.n > 200 ? 200 : s.n), s.p);
        if (quoted && c == '\\' && i + 1 < s.n && (unsigned char)s.p[i + 1] >= 32 &&
            (unsigned char)s.p[i + 1] < 127)
            i++;
        else if (c == '"')
            quoted = !quoted;
    }
    if (quoted || s.n > 1000)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "%s is too long or has an open "
                          "quotation mark",
                          what);
    return 0;
}

/* xtext and its like, given by the caller: no octet may end the word. */
static int check_word(struct sp_str s, const char *what, struct sp_err *err)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 32 || (unsigned char)s.p[i] > 126)
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                              "%s holds a blank, a control character or no ASCII",
                              what);
    if (s.n > 1000)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s is too long", what);
    return 0;
}

static int done(struct sp_buf *b, int rc, struct sp_err *err)
{
    if (rc == 0)
        rc = sp_buf_puts(b, "\r\n");
    if (rc == -SP_ENOMEM)
        return sp_err_nomem(err);
    if (rc < 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "the envelope line is too long");
    return 0;
}

const char *sp_cli_lacking(const struct sp_mail *m, uint32_t ext)
{
    for (enum param p = 0; p < P_PARAMS; p++)
        if (rule[p].refusal && rule[p].needs & ~ext && given(m, 0, p))
            return rule[p].code;
    return NULL;
}

int sp_cli_put_mail(struct sp_buf *b, const struct sp_mail *m, uint64_t size,
                    uint32_t ext, struct sp_err *err)
{
    int rc = check_path(m->path, m->smtputf8, "sender", err);

    if (rc == 0)
        rc = check_word(m->envid, "ENVID", err);
    if (rc == 0 && m->auth.n > 500)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "AUTH= is too long");
    if (rc < 0)
        return rc;
    for (enum param p = 0; p < P_PARAMS; p++)
        if (given(m, size, p) && rule[p].refusal && rule[p].needs & ~ext)
            return sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "the server %s",
                              rule[p].refusal);
    rc = sp_buf_printf(b, "MAIL FROM:<%.*s>", (int)m->path.n, m->path.p);
    for (enum param p = 0; p < P_PARAMS && rc == 0; p++)
        if (given(m, size, p) && (rule[p].needs & ~ext) == 0)
            rc = put_param(b, m, size, p);
    return done(b, rc, err);
}

static int put_notify(struct sp_buf *b, unsigned notify)
{
    static const char *const word[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    const char *sep = " NOTIFY=";
    int rc = 0;

    for (unsigned i = 0; i < 4 && rc == 0; i++)
        if (notify & 1u << i) {
            rc = sp_buf_printf(b, "%s%s", sep, word[i]);
            sep = ",";
        }
    return rc;
}

int sp_cli_put_rcpt(struct sp_buf *b, const struct sp_rcpt *r, bool smtputf8,
                    uint32_t ext, struct sp_err *err)
{
    int rc = check_path(r->path, smtputf8, "recipient", err);

    if (rc == 0)
        rc = check_word(r->orcpt, "ORCPT", err);
    if (rc == 0 && r->path.n == 0)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "a recipient is empty");
    if (rc < 0)
        return rc;
    rc = sp_buf_printf(b, "RCPT TO:<%.*s>", (int)r->path.n, r->path.p);
    if (rc == 0 && ext & SP_EXT_DSN && r->notify) /* RFC 3461 4 */
        rc = put_notify(b, r->notify);
    if (rc == 0 && ext & SP_EXT_DSN && r->orcpt.n)
        rc = sp_buf_printf(b, " ORCPT=%.*s", (int)r->orcpt.n, r->orcpt.p);
    return done(b, rc, err);
}
