/* tlsrpt.c - see tlsrpt.h. */
#include "tlsrpt.h"

#include "alloc.h"
#include "fieldout.h"
#include "stspolicy.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

enum { DAY_S = 86400, STRINGS_MAX = 32, WORDS_MAX = 300 };

/* ---- who wants them: RFC 8460 3 ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'                       ? c - '0'
           : sp_lower(c) >= 'a' && sp_lower(c) <= 'f' ? sp_lower(c) - 'a' + 10
                                                      : -1;
}

/* mailto:who%40... without its header fields (RFC 6068); only plain addresses. */
static bool take_mail(struct sp_str s, char *out)
{
    static const char of[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789.!#$&'*+-/=^_`{|}~@";
    const char *at;
    size_t n = 0;

    s = sp_str_cut(&s, '?');
    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i];

        if (c == '%') {
            if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
                return false;
            c = hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]);
            i += 2;
        }
        if (c <= 0 || c > 126 || !strchr(of, c) || n + 1 >= SP_RPT_URI_MAX)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    at = strchr(out, '@');
    return at && at > out && at - out <= 64 && !strchr(at + 1, '@') &&
           sp_rpt_is_domain(at + 1);
}

/* No name and password, nothing but printable ASCII. */
static bool take_https(struct sp_str s, char *out)
{
    size_t host = strlen("https://");

    if (s.n <= host || s.n >= SP_RPT_URI_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("\"\\<>@", s.p[i]))
            return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return out[host] != '/';
}

static bool begins(struct sp_str s, const char *with)
{
    size_t n = strlen(with);

    return s.n > n && sp_str_caseis((struct sp_str){s.p, n}, with);
}

bool sp_rpt_uri(struct sp_str *rua, struct sp_rpt_uri *ret)
{
    while (rua->n) {
        struct sp_str s = sp_str_trim(sp_str_cut(rua, ','));

        ret->mail = begins(s, "mailto:");
        if (ret->mail && take_mail((struct sp_str){s.p + 7, s.n - 7}, ret->to))
            return true;
        if (begins(s, "https://") && take_https(s, ret->to))
            return true;
    }
    return false;
}

static bool read_record(struct sp_str text, struct sp_buf *rua)
{
    (void)sp_str_cut(&text, ';'); /* the version */
    while (text.n) {
        struct sp_str value = sp_str_trim(sp_str_cut(&text, ';')),
                      name = sp_str_trim(sp_str_cut(&value, '=')), list, again;
        struct sp_rpt_uri uri;

        if (!sp_str_is(name, "rua"))
            continue; /* an extension */
        list = again = sp_str_trim(value);
        return sp_rpt_uri(&list, &uri) && sp_buf_str(rua, again) == 0;
    }
    return false;
}

bool sp_rpt_record(const struct sp_str *rdata, size_t n, struct sp_buf *rua)
{
    char text[SP_TXT_MAX], found[SP_TXT_MAX];
    size_t len, found_n = 0, records = 0;

    for (size_t i = 0; i < n; i++) {
        struct sp_str rest, version;

        if (!sp_txt_join(rdata[i], text, &len))
            continue;
        rest = (struct sp_str){text, len};
        version = sp_str_cut(&rest, ';');
        if (!sp_str_is(sp_str_trim(version), "v=TLSRPTv1"))
            continue;
        records++;
        memcpy(found, text, len);
        found_n = len;
    }
    return records == 1 && read_record((struct sp_str){found, found_n}, rua);
}

/* ---- days and names ---- */

bool sp_rpt_is_domain(const char *s)
{
    static const char of[] = "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t n = strlen(s);

    return n && n < 254 && s[0] != '.' && strspn(s, of) == n;
}

void sp_rpt_day(uint64_t unix_s, char out[SP_RPT_DAY])
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(out, SP_RPT_DAY, "%Y-%m-%d", &tm) == 0)
        memcpy(out, "1970-01-01", SP_RPT_DAY);
}

/* RFC 3339 dates; counted by hand, because timegm() is not in POSIX. */
int sp_rpt_day_begin(const char *day, uint64_t *ret)
{
    uint64_t y, m, d, at;
    char again[SP_RPT_DAY];

    if (strlen(day) != 10 || day[4] != '-' || day[7] != '-' ||
        sp_str_u64((struct sp_str){(char *)(uintptr_t)day, 4}, 9999, &y) < 0 ||
        sp_str_u64((struct sp_str){(char *)(uintptr_t)day + 5, 2}, 12, &m) < 0 ||
        sp_str_u64((struct sp_str){(char *)(uintptr_t)day + 8, 2}, 31, &d) < 0 ||
        y < 1970 || m < 1 || d < 1)
        return -SP_EINPUT;
    /* Days since 1970; a year begins in March here, so that the odd day is its last. */
    if (m <= 2) {
        y--;
        m += 12;
    }
    at = (365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + d - 1 -
          719468) *
         DAY_S;
    sp_rpt_day(at, again);
    if (strcmp(again, day) != 0)
        return -SP_EINPUT;
    *ret = at;
    return 0;
}

/* ---- a session as a line ---- */

/* Words of strangers: what is no UTF-8 is left out. */
static json_t *words(const char *s)
{
    json_t *j = json_string(s);

    return j ? j : json_string("");
}

static bool known_type(const char *s)
{
    return strcmp(s, "tlsa") == 0 || strcmp(s, "sts") == 0 ||
           strcmp(s, "no-policy-found") == 0;
}

static int put_json(const json_t *j, size_t flags, struct sp_buf *out)
{
    char *text = json_dumps(j, flags);
    int rc = text ? sp_buf_puts(out, text) : -SP_ENOMEM;

    free(text);
    return rc;
}

int sp_rpt_line(const Sp__TlsSession *m, struct sp_buf *out)
{
    json_t *o, *strings;
    size_t before = out->n;
    int rc;

    if (!sp_rpt_is_domain(m->domain) || !known_type(m->policy_type) ||
        m->n_policy_string > STRINGS_MAX || strlen(m->rua) > SP_RPT_RUA_MAX)
        return -SP_EINPUT;
    o = json_object();
    strings = json_array();
    for (size_t i = 0; i < m->n_policy_string; i++)
        (void)json_array_append_new(strings, words(m->policy_string[i]));
    (void)json_object_set_new(o, "d", words(m->domain));
    (void)json_object_set_new(o, "t", words(m->policy_type));
    (void)json_object_set_new(o, "s", strings);
    (void)json_object_set_new(o, "r", words(m->result));
    (void)json_object_set_new(o, "mx", words(m->mx));
    (void)json_object_set_new(o, "ip", words(m->ip));
    (void)json_object_set_new(o, "why", words(m->reason));
    (void)json_object_set_new(o, "rua", words(m->rua));
    rc = put_json(o, JSON_COMPACT, out);
    json_decref(o);
    if (rc == 0 && out->n - before < SP_RPT_LINE_MAX)
        rc = sp_buf_puts(out, "\n");
    else if (rc == 0)
        rc = -SP_EINPUT;
    if (rc < 0)
        out->n = before;
    return rc;
}

/* ---- a day's lines together ---- */

/* domain -> {rua, policies: {key -> {policy, good, bad, details: {key -> detail}}}} */
struct sp_rpt {
    json_t *domains;
};

struct sp_rpt *sp_rpt_new(void)
{
    struct sp_rpt *r = sp_alloc(sizeof *r);

    if (r && !(r->domains = json_object())) {
        sp_free(r);
        return NULL;
    }
    return r;
}

void sp_rpt_free(struct sp_rpt *r)
{
    if (!r)
        return;
    json_decref(r->domains);
    sp_free(r);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

/* The object of that name in o, made where there is none. */
static json_t *inside(json_t *o, const char *key)
{
    json_t *j = json_object_get(o, key);

    if (!j) {
        j = json_object();
        if (json_object_set_new(o, key, j) < 0)
            return NULL;
    }
    return j;
}

static void add_one(json_t *o, const char *key)
{
    (void)json_object_set_new(
        o, key, json_integer(json_integer_value(json_object_get(o, key)) + 1));
}

static void add_failure(json_t *policy, const json_t *line)
{
    json_t *details = inside(policy, "details"), *detail;
    char key[1200];

    add_one(policy, "bad");
    snprintf(key, sizeof key, "%s|%s|%s|%.200s", text_of(line, "r"),
             text_of(line, "mx"), text_of(line, "ip"), text_of(line, "why"));
    if (!details || (json_object_size(details) >= SP_RPT_DETAILS_MAX &&
                     !json_object_get(details, key)))
        return;
    detail = inside(details, key);
    if (!detail)
        return;
    (void)json_object_set_new(detail, "result-type", json_string(text_of(line, "r")));
    if (text_of(line, "mx")[0])
        (void)json_object_set_new(detail, "receiving-mx-hostname",
                                  json_string(text_of(line, "mx")));
    if (text_of(line, "ip")[0])
        (void)json_object_set_new(detail, "receiving-ip",
                                  json_string(text_of(line, "ip")));
    if (text_of(line, "why")[0])
        (void)json_object_set_new(
            detail, "failure-reason-code",
            json_stringn(text_of(line, "why"),
                         strnlen(text_of(line, "why"), WORDS_MAX)));
    add_one(detail, "failed-session-count");
}

int sp_rpt_add(struct sp_rpt *r, struct sp_str line)
{
    json_t *o = json_loadb(line.p, line.n, 0, NULL), *domain, *policy = NULL, *what;
    struct sp_buf key;

    if (!json_is_object(o) || !sp_rpt_is_domain(text_of(o, "d")) ||
        !known_type(text_of(o, "t")) || !json_is_array(json_object_get(o, "s"))) {
        json_decref(o);
        return -SP_EINPUT;
    }
    sp_buf_init(&key, SP_RPT_LINE_MAX + 64);
    domain = inside(r->domains, text_of(o, "d"));
    if (domain && sp_buf_puts(&key, text_of(o, "t")) == 0 &&
        put_json(json_object_get(o, "s"), JSON_COMPACT, &key) == 0 &&
        sp_buf_cstr(&key)) {
        (void)json_object_set_new(domain, "rua", json_string(text_of(o, "rua")));
        policy = inside(domain, "policies");
        policy = policy ? inside(policy, key.p) : NULL;
    }
    if (policy) {
        what = inside(policy, "policy");
        (void)json_object_set_new(what, "policy-type", json_string(text_of(o, "t")));
        if (json_array_size(json_object_get(o, "s")))
            (void)json_object_set(what, "policy-string", json_object_get(o, "s"));
        (void)json_object_set_new(what, "policy-domain", json_string(text_of(o, "d")));
        if (text_of(o, "r")[0])
            add_failure(policy, o);
        else
            add_one(policy, "good");
    }
    sp_buf_free(&key);
    json_decref(o);
    return policy ? 0 : -SP_ENOMEM;
}

const char *sp_rpt_first(const struct sp_rpt *r)
{
    return json_object_iter_key(json_object_iter(r->domains));
}

const char *sp_rpt_next(const struct sp_rpt *r, const char *domain)
{
    return json_object_iter_key(
        json_object_iter_next(r->domains, json_object_iter_at(r->domains, domain)));
}

const char *sp_rpt_rua(const struct sp_rpt *r, const char *domain)
{
    return text_of(json_object_get(r->domains, domain), "rua");
}

/* ---- the report: RFC 8460 4.4 ---- */

/* "mx" patterns of an MTA-STS policy stand beside its text, too (4.2). */
static json_t *patterns(const json_t *strings)
{
    json_t *v = json_array();
    size_t i;
    json_t *s;

    json_array_foreach(strings, i, s)
    {
        const char *text = json_string_value(s);

        if (text && strncmp(text, "mx: ", 4) == 0)
            (void)json_array_append_new(v, json_string(text + 4));
    }
    return v;
}

static json_t *policy_json(const json_t *p)
{
    json_t *o = json_object(), *details = json_array(), *d, *summary, *what, *mx;
    const char *key;

    what = json_deep_copy(json_object_get(p, "policy"));
    mx = patterns(json_object_get(what, "policy-string"));
    if (json_array_size(mx))
        (void)json_object_set(what, "mx-host", mx);
    json_decref(mx);
    summary = json_pack("{sIsI}", "total-successful-session-count",
                        json_integer_value(json_object_get(p, "good")),
                        "total-failure-session-count",
                        json_integer_value(json_object_get(p, "bad")));
    (void)json_object_set_new(o, "policy", what);
    (void)json_object_set_new(o, "summary", summary);
    json_object_foreach(json_object_get(p, "details"), key, d)(void)
        json_array_append(details, d);
    if (json_array_size(details))
        (void)json_object_set(o, "failure-details", details);
    json_decref(details);
    return o;
}

int sp_rpt_json(const struct sp_rpt *r, const char *domain, const struct sp_rpt_who *w,
                struct sp_buf *out)
{
    const json_t *of = json_object_get(r->domains, domain);
    json_t *policies = json_array(), *o, *p;
    char begin[32], end[32], id[320];
    const char *key;
    int rc;

    json_object_foreach(json_object_get(of, "policies"), key, p)(void)
        json_array_append_new(policies, policy_json(p));
    snprintf(begin, sizeof begin, "%sT00:00:00Z", w->day);
    snprintf(end, sizeof end, "%sT23:59:59Z", w->day);
    snprintf(id, sizeof id, "%s_%s", begin, domain);
    o = json_pack("{sss{ssss}sssssO}", "organization-name", w->organization,
                  "date-range", "start-datetime", begin, "end-datetime", end,
                  "contact-info", w->contact, "report-id", id, "policies", policies);
    json_decref(policies);
    rc = o ? put_json(o, JSON_INDENT(2) | JSON_ENSURE_ASCII, out) : -SP_ENOMEM;
    json_decref(o);
    return rc;
}

int sp_rpt_gzip(struct sp_str in, struct sp_buf *out)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
    char *room;
    size_t cap;
    int rc;

    if (in.n > SP_RPT_JSON_MAX || deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED,
                                               15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -SP_ENOMEM;
    cap = deflateBound(&z, (uLong)in.n);
    room = sp_buf_room(out, cap);
    z.next_out = (unsigned char *)room;
    z.avail_out = (uInt)cap;
    rc = room && deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -SP_ENOMEM;
    if (rc == 0)
        out->n += cap - z.avail_out;
    (void)deflateEnd(&z);
    return rc;
}

/* ---- the mail: RFC 8460 5.3 ---- */

static int put_head(const struct sp_rpt_who *w, const char *domain, const char *to,
                    uint64_t now_ms, const uint8_t random[16], const char *boundary,
                    struct sp_buf *b)
{
    if (sp_buf_printf(b, "From: <%s>\r\nTo: <%s>\r\nDate: ", w->contact, to) < 0 ||
        sp_out_date(b, now_ms, 0) < 0 || sp_buf_puts(b, "\r\nMessage-ID: ") < 0 ||
        sp_out_message_id(b, now_ms, random, sp_str(w->hostname)) < 0)
        return -SP_ELIMIT;
    return sp_buf_printf(
        b,
        "\r\nSubject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: "
        "<%sT00:00:00Z_%s>\r\n"
        "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\n"
        "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
        " boundary=\"%s\"\r\n\r\n",
        domain, w->hostname, w->day, domain, domain, w->hostname, boundary);
}

static int put_base64(struct sp_str in, struct sp_buf *b)
{
    enum { OCTETS = 57 }; /* 76 characters */
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < in.n; at += OCTETS) {
        size_t n = in.n - at < OCTETS ? in.n - at : OCTETS;
        char line[SP_BASE64_LEN(OCTETS)];
        int len = sp_base64_encode(in.p + at, n, line, sizeof line);

        rc = len < 0 ? len : sp_buf_put(b, line, (size_t)len);
        if (rc == 0)
            rc = sp_buf_puts(b, "\r\n");
    }
    return rc;
}

int sp_rpt_mail(const struct sp_rpt_who *w, const char *domain, const char *to,
                struct sp_str gzip, uint64_t now_ms, const uint8_t random[16],
                struct sp_buf *out, uint64_t *ret_header)
{
    char boundary[40] = "=_";
    uint64_t begin;
    int rc;

    if (sp_rpt_day_begin(w->day, &begin) < 0 ||
        sp_hex_encode(random, 16, boundary + 2, sizeof boundary - 2) < 0)
        return -SP_EINPUT;
    rc = put_head(w, domain, to, now_ms, random, boundary, out);
    *ret_header = out->n;
    if (rc == 0)
        rc = sp_buf_printf(out,
                           "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
                           "This is a report about TLS in SMTP to %s on %s (UTC),\r\n"
                           "as RFC 8460 has it.  It was asked for by the DNS record of "
                           "_smtp._tls.%s.\r\n\r\n"
                           "--%s\r\nContent-Type: application/tlsrpt+gzip\r\n"
                           "Content-Transfer-Encoding: base64\r\n"
                           "Content-Disposition: attachment;\r\n"
                           " filename=\"%s!%s!%llu!%llu.json.gz\"\r\n\r\n",
                           boundary, domain, w->day, domain, boundary, w->hostname,
                           domain, (unsigned long long)begin,
                           (unsigned long long)begin + DAY_S - 1);
    if (rc == 0)
        rc = put_base64(gzip, out);
    return rc == 0 ? sp_buf_printf(out, "\r\n--%s--\r\n", boundary) : rc;
}
