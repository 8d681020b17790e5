/* policydel.c - see policydel.h; Postfix SMTPD_POLICY_README, access(5). */
#include "policydel.h"

#include <string.h>

int sp_policy_ask(struct sp_buf *out, const char *name, struct sp_str value)
{
    int rc = sp_buf_puts(out, name);
    char *room = rc == 0 ? sp_buf_room(out, value.n + 2) : NULL;

    if (!room)
        return rc < 0 ? rc : -SP_ELIMIT;
    *room++ = '=';
    for (size_t i = 0; i < value.n; i++)
        room[i] = (char)((unsigned char)value.p[i] < 32 ? ' ' : value.p[i]);
    room[value.n] = '\n';
    out->n += value.n + 2;
    return 0;
}

int sp_policy_ask_end(struct sp_buf *out)
{
    return sp_buf_puts(out, "\n");
}

static void line_done(struct sp_policy_reader *r)
{
    static const char want[] = "action=";
    size_t n = r->n;

    r->n = 0;
    if (n && r->line[n - 1] == '\r')
        n--;
    if (n == 0) {
        r->done = r->has_action;
        r->bad = !r->has_action;
        return;
    }
    if (r->has_action || n < sizeof want - 1 ||
        memcmp(r->line, want, sizeof want - 1) != 0)
        return;
    n -= sizeof want - 1;
    memcpy(r->action, r->line + sizeof want - 1, n);
    r->action[n] = '\0';
    r->has_action = true;
}

size_t sp_policy_feed(struct sp_policy_reader *r, struct sp_str in)
{
    size_t i = 0;

    while (i < in.n && !r->done && !r->bad) {
        char c = in.p[i++];

        if (++r->seen > 4 * SP_POLICY_REPLY_MAX || c == '\0')
            r->bad = true;
        else if (c == '\n')
            line_done(r);
        else if (r->n == sizeof r->line - 1)
            r->bad = true;
        else
            r->line[r->n++] = c;
    }
    return i;
}

/* clang-format off */
static const struct {
    const char *word;
    enum sp_policy_kind kind;
    int code, enh[3];
    enum { NO_TEXT, ANY_TEXT, TEXT } argument;
    const char *text; /* where none is given */
} actions[] = {
    {"DUNNO",           SP_PA_DUNNO,    0,   {0},       ANY_TEXT, ""},
    {"DEFER_IF_REJECT", SP_PA_DUNNO,    0,   {0},       ANY_TEXT, ""}, /* ours come before */
    {"OK",              SP_PA_OK,       0,   {0},       ANY_TEXT, ""},
    {"REJECT",          SP_PA_REFUSE,   554, {5, 7, 1}, ANY_TEXT, "Access denied"},
    {"DEFER",           SP_PA_REFUSE,   450, {4, 7, 1}, ANY_TEXT, "Try again later"},
    {"DEFER_IF_PERMIT", SP_PA_REFUSE,   450, {4, 7, 1}, ANY_TEXT, "Try again later"},
    {"PREPEND",         SP_PA_PREPEND,  0,   {0},       TEXT, ""},
    {"HOLD",            SP_PA_HOLD,     0,   {0},       ANY_TEXT, "held by the policy service"},
    {"DISCARD",         SP_PA_DISCARD,  0,   {0},       ANY_TEXT, ""},
    {"WARN",            SP_PA_WARN,     0,   {0},       ANY_TEXT, ""},
    {"INFO",            SP_PA_WARN,     0,   {0},       ANY_TEXT, ""},
    {"REDIRECT",        SP_PA_REDIRECT, 0,   {0},       TEXT, ""},
    {"BCC",             SP_PA_BCC,      0,   {0},       TEXT, ""},
};
/* clang-format on */

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "5.7.1 words" */
static void enhanced(struct sp_policy_action *a)
{
    struct sp_str rest = a->text, word = sp_str_cut(&rest, ' '), part[3] = {{0}};
    uint64_t v[3];

    for (int i = 0; i < 3; i++)
        part[i] = sp_str_cut(&word, '.');
    if (word.p || sp_str_u64(part[0], 9, &v[0]) < 0 ||
        sp_str_u64(part[1], 999, &v[1]) < 0 || sp_str_u64(part[2], 999, &v[2]) < 0 ||
        (int)v[0] != a->code / 100)
        return;
    for (int i = 0; i < 3; i++)
        a->enh[i] = (int)v[i];
    a->text = sp_str_trim(rest);
}

/* "450 4.7.1 words": any reply that refuses. */
static bool numbered(struct sp_str word, struct sp_policy_action *a)
{
    if (word.n != 3 || (word.p[0] != '4' && word.p[0] != '5') || !digit(word.p[1]) ||
        !digit(word.p[2]))
        return false;
    a->kind = SP_PA_REFUSE;
    a->code = (word.p[0] - '0') * 100 + (word.p[1] - '0') * 10 + word.p[2] - '0';
    a->enh[0] = a->code / 100;
    a->enh[1] = 7;
    a->enh[2] = 1;
    return true;
}

/* What it says becomes a line of the header as it is. */
static bool field_ok(struct sp_str s)
{
    size_t i = 0;

    for (size_t k = 0; k < s.n; k++)
        if (((unsigned char)s.p[k] < 32 && s.p[k] != '\t') || s.p[k] == 127)
            return false;
    while (i < s.n && (unsigned char)s.p[i] > 32 && (unsigned char)s.p[i] < 127 &&
           s.p[i] != ':')
        i++;
    return i && i < s.n && s.p[i] == ':' && s.n < 900;
}

static bool address_ok(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 32 || s.p[i] == 127 || s.p[i] == '<' ||
            s.p[i] == '>')
            return false;
    return s.n && memchr(s.p, '@', s.n);
}

void sp_policy_action(struct sp_str action, struct sp_policy_action *ret)
{
    struct sp_str rest = sp_str_trim(action), word = sp_str_cut(&rest, ' ');

    memset(ret, 0, sizeof *ret);
    ret->kind = SP_PA_UNKNOWN;
    ret->text = rest.p ? sp_str_trim(rest) : (struct sp_str){"", 0};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (!sp_str_caseis(word, actions[i].word))
            continue;
        if (actions[i].argument == TEXT && !ret->text.n)
            return;
        ret->kind = actions[i].kind;
        ret->code = actions[i].code;
        memcpy(ret->enh, actions[i].enh, sizeof ret->enh);
        if (!ret->text.n)
            ret->text = sp_str(actions[i].text);
    }
    if (ret->kind == SP_PA_UNKNOWN && numbered(word, ret) && !ret->text.n)
        ret->text = sp_str(ret->code < 500 ? "Try again later" : "Access denied");
    if (ret->kind == SP_PA_REFUSE)
        enhanced(ret);
    if ((ret->kind == SP_PA_PREPEND && !field_ok(ret->text)) ||
        ((ret->kind == SP_PA_REDIRECT || ret->kind == SP_PA_BCC) &&
         !address_ok(ret->text)))
        ret->kind = SP_PA_UNKNOWN;
}
