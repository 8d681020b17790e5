/* srv_reply.c - what the session says; see srv.h and SP_REPLIES in rules.h. */
#include "srv.h"

#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- Formatting ---------------------------------------------------------------------------- */

/* "250-" or "250 2.1.0 ".  By hand: printf was half of what an EHLO reply costs. */
static size_t put_head(char *line, int code, const char *enh, bool last)
{
    size_t n = strlen(enh);

    assert(code >= 100 && code <= 999 && n < 24);
    line[0] = (char)('0' + code / 100);
    line[1] = (char)('0' + code / 10 % 10);
    line[2] = (char)('0' + code % 10);
    line[3] = last ? ' ' : '-';
    if (n == 0)
        return 4;
    memcpy(line + 4, enh, n);
    line[4 + n] = ' ';
    return 5 + n;
}

/* One line: code, hyphen or blank, enhanced code, text with every octet that is not
 * printable ASCII replaced, cut at 512 octets. */
static int format_line(struct sp_buf *b, int code, const char *enh, struct sp_str text,
                       bool last)
{
    char line[SP_LIMIT_REPLY_LINE + 1];
    size_t n = put_head(line, code, enh, last);

    for (size_t i = 0; i < text.n && n < SP_LIMIT_REPLY_LINE - 2; i++)
        line[n++] = (char)(text.p[i] < 32 || text.p[i] > 126 ? '?' : text.p[i]);
    line[n++] = '\r';
    line[n++] = '\n';
    return sp_buf_put(b, line, n);
}

int sp_format(struct sp_buf *b, int code, const char *enh, struct sp_str text)
{
    size_t before = b->n;
    int rc;

    if (text.n > SP_LIMIT_REPLY_TEXT)
        text.n = SP_LIMIT_REPLY_TEXT;
    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    do {
        struct sp_str line = sp_str_cut(&text, '\n');

        rc = format_line(b, code, enh, line, text.p == NULL);
    } while (rc == 0 && text.p);
    if (rc < 0)
        b->n = before; /* half a reply is worse than none */
    return rc;
}

int sp_format_rule(struct sp_buf *b, enum sp_r r, struct sp_str arg)
{
    const struct sp_reply_rule *rule = sp_reply_rule(r);
    const char *hole = strstr(rule->text, "%s");
    char text[SP_LIMIT_REPLY_LINE];
    size_t n;

    if (!hole)
        return sp_format(b, rule->code, rule->enh, sp_str(rule->text));
    n = (size_t)(hole - rule->text);
    memcpy(text, rule->text, n);
    for (size_t i = 0; i < arg.n && n < sizeof text - 128; i++)
        text[n++] = (char)(arg.p[i] < 32 || arg.p[i] > 126 ? '?' : arg.p[i]);
    for (const char *p = hole + 2; *p && n < sizeof text; p++)
        text[n++] = *p;
    return sp_format(b, rule->code, rule->enh, (struct sp_str){text, n});
}

int sp_format_owner(struct sp_buf *b, const struct sp_reply *r)
{
    char enh[16] = "";

    if (r->enh[0])
        snprintf(enh, sizeof enh, "%u.%u.%u", (unsigned)r->enh[0] % 10,
                 (unsigned)r->enh[1] % 1000, (unsigned)r->enh[2] % 1000);
    return sp_format(b, r->code, enh, r->text);
}

/* ---- Saying --------------------------------------------------------------------------------- */

void sp_no_memory(struct sp_srv *s)
{
    if (s->no_memory)
        return;
    s->no_memory = true;
    s->pend = SP_SRV_NOTHING;
    s->handed = false;
    sp_txn_over(s, false);
    s->mode = SP_IN_CLOSED;
    s->closing = true;
}

void sp_put(struct sp_srv *s, const char *p, size_t n)
{
    if (!s->no_memory && sp_buf_put(&s->out, p, n) < 0)
        sp_no_memory(s);
}

void sp_say(struct sp_srv *s, enum sp_r r, struct sp_str arg)
{
    if (!s->no_memory && sp_format_rule(&s->out, r, arg) < 0)
        sp_no_memory(s);
}

void sp_say_number(struct sp_srv *s, enum sp_r r, uint64_t arg)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)arg);

    sp_say(s, r, (struct sp_str){digits, (size_t)n});
}

void sp_say_owner(struct sp_srv *s, const struct sp_reply *r)
{
    if (!s->no_memory && sp_format_owner(&s->out, r) < 0)
        sp_no_memory(s);
}

void sp_say_challenge(struct sp_srv *s, struct sp_str token)
{
    size_t len = SP_BASE64_LEN(token.n);
    char *p = s->no_memory ? NULL : sp_buf_room(&s->out, 4 + len + 2);
    int n;

    if (!p) {
        sp_no_memory(s);
        return;
    }
    memcpy(p, "334 ", 4); /* the blank stays when the challenge is empty: RFC 4954 4 */
    n = sp_base64_encode(token.p, token.n, p + 4, len);
    assert(n >= 0);
    memcpy(p + 4 + n, "\r\n", 2);
    s->out.n += 4 + (size_t)n + 2;
}

void sp_close(struct sp_srv *s)
{
    s->pend = SP_SRV_NOTHING;
    s->handed = false;
    sp_srv_wipe(s, SP_AT_RSET);
    sp_set_mode(s, SP_IN_CLOSED);
    s->closing = true;
}

/* ---- Refusing --------------------------------------------------------------------------------- */

void sp_note(struct sp_srv *s, unsigned info, enum sp_r r, struct sp_str arg)
{
    const char *text = sp_reply_rule(r)->text, *hole = strstr(text, "%s");

    s->infos |= info;
    s->note_reply = r;
    s->note_verb = s->verb;
    s->note_text.n = 0;
    if (hole && arg.n &&
        (sp_buf_put(&s->note_text, text, (size_t)(hole - text)) < 0 ||
         sp_buf_put(&s->note_text, arg.p, arg.n > 200 ? 200 : arg.n) < 0 ||
         sp_buf_puts(&s->note_text, hole + 2) < 0))
        s->note_text.n = 0; /* a note is not worth a session */
}

void sp_too_many(struct sp_srv *s, enum sp_r r)
{
    sp_say(s, r, SP_LIT(""));
    s->infos &= ~SP_INFO_REFUSED; /* there is one note: the reason for the end */
    sp_note(s, SP_INFO_TOO_MANY, r, SP_LIT(""));
    sp_close(s);
}

void sp_count_error(struct sp_srv *s)
{
    if (s->policy->error_max == UINT32_MAX || s->closing)
        return;
    if (!sp_rule_over(++s->errors, s->policy->error_max, SP_LIMIT_ERRORS))
        return;
    sp_too_many(s, SP_R_TOO_MANY_ERRORS);
}

bool sp_idle_again(struct sp_srv *s)
{
    unsigned max = s->policy->idle_commands_max;

    if (max == UINT32_MAX)
        return true;
    if (!sp_rule_over(s->idle, max, SP_LIMIT_IDLE)) {
        s->idle++;
        return true;
    }
    sp_too_many(s, SP_R_TOO_MANY_IDLE);
    return false;
}

void sp_progress(struct sp_srv *s)
{
    s->errors = 0;
    s->idle = 0;
}

void sp_count_refusal(struct sp_srv *s, enum sp_r r)
{
    int code = sp_reply_rule(r)->code;

    if (code == 421 ||
        (r == SP_R_CERT_REQUIRED && ++s->cert_refusals >= SP_LIMIT_CERT_REFUSALS))
        sp_close(s);
    else if (code >= 500)
        sp_count_error(s);
}

void sp_refuse(struct sp_srv *s, struct sp_verdict v)
{
    sp_say(s, v.reply, v.arg);
    sp_note(s, SP_INFO_REFUSED, v.reply, v.arg);
    sp_count_refusal(s, v.reply);
}
