/* stspolicy.c - see stspolicy.h. */
#include "stspolicy.h"

#include <string.h>

enum { HOST_MAX = 253 };

static const char *const modes[] = {[SP_STS_MODE_NONE] = "none",
                                    [SP_STS_MODE_TESTING] = "testing",
                                    [SP_STS_MODE_ENFORCE] = "enforce"};

const char *sp_sts_mode_name(enum sp_sts_mode m)
{
    return modes[m];
}

/* ---- the record: RFC 8461 3.1 ---- */

bool sp_txt_join(struct sp_str rdata, char out[SP_TXT_MAX], size_t *ret)
{
    size_t n = 0;

    while (rdata.n) {
        size_t len = (unsigned char)rdata.p[0];

        if (len + 1 > rdata.n || n + len > SP_TXT_MAX)
            return false;
        memcpy(out + n, rdata.p + 1, len);
        n += len;
        rdata.p += len + 1;
        rdata.n -= len + 1;
    }
    *ret = n;
    return true;
}

static bool alnum(char c)
{
    return (c >= '0' && c <= '9') || (sp_lower(c) >= 'a' && sp_lower(c) <= 'z');
}

static bool take_id(struct sp_str value, char id[SP_STS_ID_MAX + 1])
{
    if (value.n == 0 || value.n > SP_STS_ID_MAX)
        return false;
    for (size_t i = 0; i < value.n; i++)
        if (!alnum(value.p[i]))
            return false;
    memcpy(id, value.p, value.n);
    id[value.n] = '\0';
    return true;
}

static const char *read_fields(struct sp_str text, char id[SP_STS_ID_MAX + 1])
{
    bool have = false;

    (void)sp_str_cut(&text, ';'); /* the version */
    while (text.n) {
        struct sp_str value = sp_str_trim(sp_str_cut(&text, ';')), name;

        if (value.n == 0 && text.n == 0)
            break; /* behind the last semicolon */
        name = sp_str_cut(&value, '=');
        if (name.n == 0 || value.n == 0)
            return "a field has no value";
        if (!sp_str_is(name, "id"))
            continue; /* an extension */
        if (have || !take_id(value, id))
            return "its id is malformed";
        have = true;
    }
    return have ? NULL : "it has no id";
}

int sp_sts_record(const struct sp_str *rdata, size_t n, char id[SP_STS_ID_MAX + 1],
                  const char **ret_why)
{
    char text[SP_TXT_MAX];
    size_t len, found = 0;
    const char *why = NULL;

    for (size_t i = 0; i < n; i++) {
        struct sp_str rest, version;

        if (!sp_txt_join(rdata[i], text, &len))
            continue;
        rest = (struct sp_str){text, len};
        version = sp_str_cut(&rest, ';');
        if (!sp_str_is(sp_str_trim(version), "v=STSv1"))
            continue;
        found++;
        why = read_fields((struct sp_str){text, len}, id);
    }
    if (found > 1)
        why = "there are several";
    if (why)
        *ret_why = why;
    return why ? -SP_EINPUT : (int)found;
}

/* ---- the policy: RFC 8461 3.2 ---- */

enum { VERSION = 1, MODE = 2, MAX_AGE = 4, ID = 8, FETCHED = 16 };

static bool host_octet(char c)
{
    return alnum(c) || c == '-' || c == '_';
}

/* [*.]label.label; what is no host name must not get into a comparison or a file. */
static bool is_pattern(struct sp_str s)
{
    size_t label = 0;

    if (s.n > 2 && s.p[0] == '*' && s.p[1] == '.')
        s = (struct sp_str){s.p + 2, s.n - 2};
    if (s.n == 0 || s.n > HOST_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' ? label == 0 : !host_octet(s.p[i]))
            return false;
        label = s.p[i] == '.' ? 0 : label + 1;
    }
    return label > 0;
}

static const char *take_name(struct sp_sts_policy *p, struct sp_str value)
{
    if (value.n > 1 && value.p[value.n - 1] == '.')
        value.n--;
    if (!is_pattern(value))
        return "one of its mx lines is no host name";
    if (value.n + 1 > sizeof p->names - p->names_n)
        return "it lists too many exchanges";
    for (size_t i = 0; i < value.n; i++)
        p->names[p->names_n++] = (char)sp_lower(value.p[i]);
    p->names[p->names_n++] = '\0';
    return NULL;
}

static const char *take_mode(struct sp_sts_policy *p, struct sp_str value)
{
    for (int i = SP_STS_MODE_NONE; i <= SP_STS_MODE_ENFORCE; i++)
        if (sp_str_is(value, modes[i])) {
            p->mode = (enum sp_sts_mode)i;
            return NULL;
        }
    return "its mode is not enforce, testing or none";
}

/* One `key: value`; of a key that comes twice the first counts, mx aside. */
static const char *take_line(struct sp_sts_policy *p, struct sp_str key,
                             struct sp_str value, bool ours, unsigned *seen)
{
    unsigned bit = sp_str_is(key, "version")           ? VERSION
                   : sp_str_is(key, "mode")            ? MODE
                   : sp_str_is(key, "max_age")         ? MAX_AGE
                   : ours && sp_str_is(key, "id")      ? ID
                   : ours && sp_str_is(key, "fetched") ? FETCHED
                                                       : 0;

    if (sp_str_is(key, "mx"))
        return take_name(p, value);
    if (bit == 0 || *seen & bit)
        return NULL;
    *seen |= bit;
    switch (bit) {
    case VERSION:
        return sp_str_is(value, "STSv1") ? NULL : "version: STSv1 is missing";
    case MODE:
        return take_mode(p, value);
    case MAX_AGE:
        return sp_str_u64(value, SP_STS_AGE_MAX, &p->max_age) == 0
                   ? NULL
                   : "its max_age is none that is allowed";
    case ID:
        return take_id(value, p->id) ? NULL : "its id is malformed";
    default:
        return sp_str_u64(value, UINT32_MAX, &p->fetched_s) == 0
                   ? NULL
                   : "it was fetched at no time";
    }
}

static const char *parse(struct sp_str text, bool ours, struct sp_sts_policy *p)
{
    unsigned seen = 0;

    memset(p, 0, sizeof *p);
    if (text.n > SP_STS_TEXT_MAX)
        return "it is too large";
    while (text.n) {
        struct sp_str value = sp_str_cut(&text, '\n'), key;
        const char *why;

        if (value.n && value.p[value.n - 1] == '\r')
            value.n--;
        key = sp_str_trim(sp_str_cut(&value, ':'));
        why = take_line(p, key, sp_str_trim(value), ours, &seen);
        if (why)
            return why;
    }
    if (!(seen & VERSION))
        return "version: STSv1 is missing";
    if (!(seen & MODE))
        return "its mode is not enforce, testing or none";
    if (!(seen & MAX_AGE))
        return "it has no max_age";
    if (p->mode != SP_STS_MODE_NONE && p->names_n == 0)
        return "it lists no exchange";
    if (ours && (seen & (ID | FETCHED)) != (ID | FETCHED))
        return "it has no id, or no time";
    return NULL;
}

int sp_sts_parse(struct sp_str text, struct sp_sts_policy *ret, const char **ret_why)
{
    struct sp_sts_policy p;
    const char *why = parse(text, false, &p);

    if (why) {
        *ret_why = why;
        return -SP_EINPUT;
    }
    *ret = p;
    return 0;
}

static bool matches(const char *pattern, struct sp_str host)
{
    if (pattern[0] != '*')
        return sp_str_caseis(host, pattern);
    (void)sp_str_cut(&host, '.'); /* one label, and no empty one */
    return host.n && sp_str_caseis(host, pattern + 2);
}

bool sp_sts_lists(const struct sp_sts_policy *p, const char *host)
{
    struct sp_str h = sp_str(host);

    if (h.n && h.p[h.n - 1] == '.')
        h.n--;
    if (h.n == 0 || h.p[0] == '.')
        return false;
    for (size_t i = 0; i < p->names_n; i += strlen(p->names + i) + 1)
        if (matches(p->names + i, h))
            return true;
    return false;
}

/* A clock that was set back makes no policy live for ever. */
bool sp_sts_valid(const struct sp_sts_policy *p, uint64_t now_s)
{
    return p->fetched_s <= now_s + SP_STS_AGE_MAX && now_s < p->fetched_s + p->max_age;
}

int sp_sts_store(const struct sp_sts_policy *p, struct sp_buf *out)
{
    int rc = sp_buf_printf(
        out, "id: %s\nfetched: %llu\nversion: STSv1\nmode: %s\nmax_age: %llu\n", p->id,
        (unsigned long long)p->fetched_s, modes[p->mode],
        (unsigned long long)p->max_age);

    for (size_t i = 0; rc == 0 && i < p->names_n; i += strlen(p->names + i) + 1)
        rc = sp_buf_printf(out, "mx: %s\n", p->names + i);
    return rc;
}

int sp_sts_restore(struct sp_str text, struct sp_sts_policy *ret)
{
    struct sp_sts_policy p;

    if (parse(text, true, &p))
        return -SP_EINPUT;
    *ret = p;
    return 0;
}
