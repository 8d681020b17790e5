/* grant.c - see grant.h. */
#include "grant.h"

#include <sallyport/sasl.h>
#include <string.h>

static bool printable(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= 32 || c == 127 || c == '<' || c == '>')
            return false;
    }
    return sp_utf8_valid(s);
}

int sp_address_split(struct sp_str address, struct sp_str *ret_local,
                     struct sp_str *ret_domain)
{
    size_t at = address.n;
    struct sp_str local, domain;

    while (at > 0 && address.p[at - 1] != '@')
        at--;
    if (at == 0)
        return -SP_EINPUT;
    local = (struct sp_str){address.p, at - 1};
    domain = (struct sp_str){address.p + at, address.n - at};
    if (local.n == 0 || local.n > 64 || domain.n == 0 || domain.n > 255 ||
        !printable(local) || !printable(domain))
        return -SP_EINPUT;
    *ret_local = local;
    *ret_domain = domain;
    return 0;
}

bool sp_address_same(struct sp_str a, struct sp_str b)
{
    struct sp_str la, da, lb, db;

    return sp_address_split(a, &la, &da) == 0 && sp_address_split(b, &lb, &db) == 0 &&
           sp_str_eq(la, lb) && sp_str_caseeq(da, db);
}

bool sp_grant_matches(struct sp_str grant, struct sp_str address)
{
    struct sp_str gl, gd, l, d;

    if (sp_address_split(grant, &gl, &gd) < 0 ||
        sp_address_split(address, &l, &d) < 0 || !sp_str_caseeq(gd, d))
        return false;
    if (gl.p[0] != '*')
        return sp_str_eq(gl, l);
    gl.p++;
    gl.n--;
    /* The star stands for at least one octet. */
    return l.n > gl.n && (gl.n == 0 || memcmp(l.p + l.n - gl.n, gl.p, gl.n) == 0);
}

static int put_lower_domain(struct sp_str s, size_t domain_at, char *out, size_t cap)
{
    if (s.n >= cap)
        return -SP_ELIMIT;
    for (size_t i = 0; i < s.n; i++)
        out[i] = i >= domain_at ? (char)sp_lower((unsigned char)s.p[i]) : s.p[i];
    out[s.n] = '\0';
    return (int)s.n;
}

int sp_grant_canonical(struct sp_str text, char *out, size_t cap, bool *ret_pattern)
{
    struct sp_str local, domain;
    int n;

    if (sp_address_split(text, &local, &domain) < 0)
        return -SP_EINPUT;
    /* A star means something only as the first octet; a domain is never a pattern. */
    if (memchr(domain.p, '*', domain.n) || memchr(local.p + 1, '*', local.n - 1))
        return -SP_EINPUT;
    n = put_lower_domain(text, local.n + 1, out, cap);
    if (n >= 0)
        *ret_pattern = local.p[0] == '*';
    return n;
}

int sp_account_canonical(struct sp_str text, char *out, size_t cap)
{
    char prepared[SP_NAME_MAX + 1];
    struct sp_str local, domain;
    size_t domain_at = text.n;
    int n;

    if (text.n == 0 || text.n > SP_NAME_MAX || text.p[0] == '-' || text.p[0] == '.')
        return -SP_EINPUT;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= 32 || strchr("/\\\"<>(),;:*?|`\177", text.p[i]))
            return -SP_EINPUT;
    n = sp_saslprep(text, prepared, sizeof prepared);
    /* A name that preparation changes could never be asked for again. */
    if (n < 0 || !sp_str_eq(text, (struct sp_str){prepared, (size_t)n}))
        return -SP_EINPUT;
    if (sp_address_split(text, &local, &domain) == 0)
        domain_at = local.n + 1;
    return put_lower_domain(text, domain_at, out, cap);
}
