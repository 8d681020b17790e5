/* compose.c - see compose.h. */
#include "compose.h"

#include "err.h"
#include "fieldout.h"

#include <stdio.h>
#include <string.h>

enum { AS_IS, QUOTED_PRINTABLE };

static const char *const once[] = {"Date",
                                   "From",
                                   "Sender",
                                   "Reply-To",
                                   "To",
                                   "Cc",
                                   "Message-ID",
                                   "In-Reply-To",
                                   "Subject",
                                   "References",
                                   "MIME-Version",
                                   "Content-Type",
                                   "Content-Transfer-Encoding"};
static const char *const address_fields[] = {
    "From",      "Sender",    "Reply-To",   "To",          "Cc",           "Bcc",
    "Resent-To", "Resent-Cc", "Resent-Bcc", "Resent-From", "Resent-Sender"};

static bool is_one_of(struct sp_str name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sp_str_caseis(name, list[i]))
            return true;
    return false;
}
#define IS_ONE_OF(name, list) is_one_of(name, list, sizeof(list) / sizeof(list)[0])

static bool any_8bit(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 127)
            return true;
    return false;
}

/* ---- Added fields -------------------------------------------------------------------- */

/* RFC 2047 in base64; each word is whole characters of UTF-8, 75 octets at most.  What
 * is no UTF-8 is called so (RFC 1428 2): a guess would make it wrong for good. */
static int put_encoded(struct sp_buf *b, struct sp_str s)
{
    const char *charset = sp_utf8_valid(s) ? "utf-8" : "unknown-8bit";
    int rc = 0;

    while (s.n && rc == 0) {
        char text[SP_BASE64_LEN(42) + 1];
        size_t n = s.n < 42 ? s.n : 42;

        while (n < s.n && n > 38 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
            n--;
        text[sp_base64_encode(s.p, n, text, sizeof text)] = '\0';
        rc = sp_buf_printf(b, "=?%s?B?%s?=%s", charset, text, n < s.n ? "\r\n " : "");
        s = (struct sp_str){s.p + n, s.n - n};
    }
    return rc;
}

static int put_mailbox(struct sp_buf *b, const struct sp_mbox *m)
{
    struct sp_buf name;
    int rc;

    sp_buf_init(&name, 4096);
    rc = sp_mbox_name(m, &name);
    if (rc == 0 && name.n) {
        rc = any_8bit(sp_buf_view(&name)) ? put_encoded(b, sp_buf_view(&name))
                                          : sp_out_phrase(b, sp_buf_view(&name));
        if (rc == 0)
            rc = sp_buf_puts(b, " ");
    }
    sp_buf_free(&name);
    return rc < 0 ? rc : sp_out_angle(b, sp_addr_text(&m->addr));
}

/* A list whose display names are not ASCII is written anew, names encoded. */
static int put_address_list(struct sp_buf *b, struct sp_str value)
{
    struct sp_mbox_iter it;
    struct sp_mbox m;
    bool first = true;
    int rc;

    sp_mbox_start(&it, value, SP_ADDR_UTF8_OK);
    while ((rc = sp_mbox_next(&it, &m)) > 0) {
        rc = first ? 0 : sp_buf_puts(b, ",\r\n ");
        if (rc == 0)
            rc = put_mailbox(b, &m);
        if (rc < 0)
            return rc;
        first = false;
    }
    return rc;
}

static int put_value(struct sp_buf *b, struct sp_str name, struct sp_str value)
{
    if (!any_8bit(value) && name.n + 2 + value.n <= 78)
        return sp_buf_str(b, value);
    if (!any_8bit(value))
        return sp_out_folded(b, value, 65536, false, name.n + 2, " ");
    if (IS_ONE_OF(name, address_fields))
        return put_address_list(b, value);
    return put_encoded(b, value);
}

/* "Name: value" of the user's: it must be one field, and UTF-8. */
static bool split_added(struct sp_str line, struct sp_str *name, struct sp_str *value)
{
    struct sp_str v = line, n = sp_str_cut(&v, ':');

    if (n.n == 0 || n.n > 200 || v.p == NULL || !sp_utf8_valid(line))
        return false;
    for (size_t i = 0; i < n.n; i++)
        if (n.p[i] <= 32 || n.p[i] >= 127)
            return false;
    for (size_t i = 0; i < v.n; i++) /* header injection */
        if ((unsigned char)v.p[i] < 32 && v.p[i] != '\t')
            return false;
    *name = n;
    *value = sp_str_trim(v);
    return true;
}

static int put_added(struct sp_compose *c, struct sp_buf *b)
{
    for (size_t i = 0; i < c->o->add_n; i++) {
        struct sp_str name, value;
        int rc;

        if (!split_added(c->o->add[i], &name, &value))
            return sp_err_set(&c->err, SP_CLASS_PEER, SP_EINPUT,
                              "not a header field: \"%.*s\"; it is written \"Name: "
                              "value\", on one line, in UTF-8",
                              (int)(c->o->add[i].n > 100 ? 100 : c->o->add[i].n),
                              c->o->add[i].n ? c->o->add[i].p : "");
        rc = sp_buf_str(b, name);
        if (rc == 0)
            rc = sp_buf_puts(b, ": ");
        if (rc == 0)
            rc = put_value(b, name, value);
        if (rc == -SP_EINPUT)
            return sp_err_set(&c->err, SP_CLASS_PEER, SP_EINPUT,
                              "not a list of addresses: \"%.*s\"",
                              (int)(value.n > 100 ? 100 : value.n), value.p);
        if (rc == 0)
            rc = sp_buf_puts(b, "\r\n");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_replaced(const struct sp_compose *c, struct sp_str name)
{
    if (!IS_ONE_OF(name, once))
        return false;
    for (size_t i = 0; i < c->o->add_n; i++) {
        struct sp_str rest = c->o->add[i], n = sp_str_cut(&rest, ':');

        if (sp_str_caseeq(n, name))
            return true;
    }
    return false;
}

/* ---- The header ------------------------------------------------------------------------- */

/* Collects the first failure of a row of writes. */
struct out {
    struct sp_buf *b;
    int rc;
};

static void puts_(struct out *o, const char *s)
{
    if (o->rc == 0)
        o->rc = sp_buf_puts(o->b, s);
}

static bool has(const struct sp_compose *c, const char *name)
{
    struct sp_field f;

    return sp_header_find(sp_buf_view(&c->fields), name, 0, &f) && f.value.n;
}

static void complete_from(struct sp_compose *c, struct out *o)
{
    struct sp_addr a;

    if (has(c, "From") || sp_addr_parse(c->o->from, SP_ADDR_UTF8_OK, &a) != SP_ADDR_OK)
        return;
    puts_(o, "From: ");
    if (c->o->from_name.n && o->rc == 0) {
        o->rc = any_8bit(c->o->from_name) ? put_encoded(o->b, c->o->from_name)
                                          : sp_out_phrase(o->b, c->o->from_name);
        puts_(o, " ");
    }
    if (o->rc == 0)
        o->rc = sp_out_angle(o->b, sp_addr_text(&a));
    puts_(o, "\r\n");
}

/* What a message must have (RFC 5322 3.6) and has not. */
static void complete(struct sp_compose *c, struct out *o)
{
    const struct sp_compose_opts *opt = c->o;

    complete_from(c, o);
    if (opt->to.n && !has(c, "To") && !has(c, "Cc") && !has(c, "Bcc")) {
        puts_(o, "To: ");
        if (o->rc == 0)
            o->rc = any_8bit(opt->to)
                        ? put_address_list(o->b, opt->to)
                        : sp_out_folded(o->b, opt->to, 65536, false, 4, " ");
        puts_(o, "\r\n");
    }
    if (!has(c, "Date")) {
        puts_(o, "Date: ");
        if (o->rc == 0)
            o->rc = sp_out_date(o->b, opt->now_ms, opt->zone_minutes);
        puts_(o, "\r\n");
    }
    if (!has(c, "Message-ID")) {
        puts_(o, "Message-ID: ");
        if (o->rc == 0)
            o->rc = sp_out_message_id(o->b, opt->now_ms, opt->random, opt->hostname);
        puts_(o, "\r\n");
    }
}

static bool is_content_field(struct sp_str name)
{
    return name.n > 8 && sp_str_caseeq((struct sp_str){name.p, 8}, SP_LIT("Content-"));
}

static bool is_mime(const struct sp_compose *c)
{
    return has(c, "Content-Type") || has(c, "Content-Transfer-Encoding");
}

/* How the text of a message without MIME fields is declared. */
static void declare_text(struct sp_compose *c, struct out *o)
{
    const struct sp_norm *f = c->o->facts;
    bool high = !f || f->body_8bit;

    puts_(o, "Content-Type: text/plain; charset=");
    puts_(o, !high ? "us-ascii" : !f || f->body_utf8 ? "utf-8" : "unknown-8bit");
    puts_(o, "\r\nContent-Transfer-Encoding: ");
    puts_(o, c->encoding == QUOTED_PRINTABLE ? "quoted-printable\r\n"
             : high                          ? "8bit\r\n"
                                             : "7bit\r\n");
}

/* Bcc never leaves; with several parts the message's own Content- fields go into the
 * first part, and MIME-Version is ours. */
static bool is_sent(const struct sp_compose *c, const struct sp_field *f)
{
    if (sp_field_named(f, "Bcc") || sp_field_named(f, "Resent-Bcc"))
        return false;
    return !c->multipart ||
           (!is_content_field(f->name) && !sp_field_named(f, "MIME-Version"));
}

/* "From: root (Cron Daemon)": programs of old leave the domain to us.  False: it is not
 * one mailbox without a domain. */
static bool put_qualified(struct sp_compose *c, struct out *o, const struct sp_field *f)
{
    struct sp_mbox_iter it;
    struct sp_mbox m, more;
    struct sp_addr a;
    char text[600];
    int n;

    if (!c->o->qualify.n || !(sp_field_named(f, "From") || sp_field_named(f, "Sender")))
        return false;
    sp_mbox_start(&it, f->value, SP_ADDR_UTF8_OK);
    if (sp_mbox_next(&it, &m) <= 0 || m.verdict != SP_ADDR_UNQUALIFIED ||
        sp_mbox_next(&it, &more) != 0)
        return false;
    n = snprintf(text, sizeof text, "%.*s@%.*s", (int)m.spec.n, m.spec.p, (int)c->o->qualify.n,
                 c->o->qualify.p);
    if (n < 0 || n >= (int)sizeof text ||
        sp_addr_parse((struct sp_str){text, (size_t)n}, SP_ADDR_UTF8_OK, &a) != SP_ADDR_OK)
        return false;
    m.addr = a;
    o->rc = sp_buf_str(o->b, f->name);
    puts_(o, ": ");
    if (o->rc == 0)
        o->rc = put_mailbox(o->b, &m);
    puts_(o, "\r\n");
    return true;
}

static int collect_fields(struct sp_compose *c)
{
    struct out o = {&c->fields, 0};
    struct sp_header_iter it;
    struct sp_field f;

    sp_header_start(&it, sp_buf_view(&c->head));
    while (o.rc == 0 && sp_header_next(&it, &f)) {
        if (is_replaced(c, f.name))
            continue;
        /* An empty one of those we complete gives way: two would stand there. */
        if (f.value.n == 0 &&
            (sp_field_named(&f, "Date") || sp_field_named(&f, "From") ||
             sp_field_named(&f, "Message-ID")))
            continue;
        if (!put_qualified(c, &o, &f))
            o.rc = sp_buf_str(o.b, f.raw);
    }
    if (o.rc == 0)
        o.rc = put_added(c, o.b);
    complete(c, &o);
    return o.rc;
}

static int choose_encoding(struct sp_compose *c)
{
    const struct sp_norm *f = c->o->facts;

    if (!f || (f->longest <= 998 && !f->has_nul))
        return 0;
    if (is_mime(c) && f->longest <= 998) /* RFC 5322 2.3: text has no NUL */
        return sp_err_set(&c->err, SP_CLASS_PEER, SP_EINPUT,
                          "the message holds a NUL octet, which mail cannot carry, and "
                          "brings its own MIME structure, which is not changed");
    if (is_mime(c))
        return sp_err_set(
            &c->err, SP_CLASS_PEER, SP_EINPUT,
            "line %llu has %llu octets; a mail line has at most 998, and the "
            "message brings its own MIME structure, which is not changed",
            (unsigned long long)f->longest_line, (unsigned long long)f->longest);
    c->encoding = QUOTED_PRINTABLE;
    return 0;
}

/* Fields in which an encoded word is no text but a mistake (RFC 2047 5), besides those
 * whose names say it: Content-Type and the like. */
static const char *const structured[] = {
    "Message-ID",  "In-Reply-To",    "References",
    "Date",        "Received",       "Return-Path",
    "Resent-Date", "DKIM-Signature", "Resent-Message-ID"};

/* The field without folds and with encoded words; false: it has to stay as it is. */
static bool put_encoded_field(struct out *o, const struct sp_field *f)
{
    size_t start = o->b->n;
    struct sp_buf line;

    if (is_content_field(f->name) || IS_ONE_OF(f->name, structured))
        return false;
    sp_buf_init(&line, SP_COMPOSE_HEADER_MAX);
    for (size_t i = 0; i < f->value.n && o->rc == 0; i++)
        if (f->value.p[i] != '\r' && f->value.p[i] != '\n')
            o->rc = sp_buf_put(&line, f->value.p + i, 1);
    if (o->rc == 0)
        o->rc = sp_buf_str(o->b, f->name);
    puts_(o, ": ");
    if (o->rc == 0)
        o->rc = put_value(o->b, f->name, sp_str_trim(sp_buf_view(&line)));
    puts_(o, "\r\n");
    sp_buf_free(&line);
    if (o->rc != -SP_EINPUT)
        return true;
    o->rc = 0; /* no list of addresses */
    o->b->n = start;
    return false;
}

/* A header line over 998 octets gets folds before blanks it has: a script's To field
 * with a hundred addresses.  Unfolded it is the same. */
static void put_field(struct out *o, const struct sp_field *f)
{
    size_t start = 0, line = 0;

    if (f->longest <= 998) {
        o->rc = sp_buf_str(o->b, f->raw);
        return;
    }
    for (size_t i = 0; i < f->raw.n && o->rc == 0; i++) {
        bool blank = f->raw.p[i] == ' ' || f->raw.p[i] == '\t';

        if (f->raw.p[i] == '\n') {
            line = i + 1;
        } else if (blank && i - line > 70) {
            o->rc = sp_buf_put(o->b, f->raw.p + start, i - start);
            puts_(o, "\r\n");
            start = line = i;
        }
    }
    if (o->rc == 0)
        o->rc = sp_buf_put(o->b, f->raw.p + start, f->raw.n - start);
}

/* SMTPUTF8 is about UTF-8: other octets above 127 are taken by nobody. */
static bool to_be_encoded(const struct sp_compose *c, const struct sp_field *f)
{
    return any_8bit(f->raw) && (c->o->encode_header || !sp_utf8_valid(f->raw));
}

static void put_sent_fields(struct sp_compose *c, struct out *o)
{
    struct sp_header_iter it;
    struct sp_field f;

    sp_header_start(&it, sp_buf_view(&c->fields));
    while (o->rc == 0 && sp_header_next(&it, &f))
        if (is_sent(c, &f) && !(to_be_encoded(c, &f) && put_encoded_field(o, &f)))
            put_field(o, &f);
}

static void put_content_fields(struct sp_compose *c, struct out *o)
{
    struct sp_header_iter it;
    struct sp_field f;

    sp_header_start(&it, sp_buf_view(&c->fields));
    while (o->rc == 0 && sp_header_next(&it, &f))
        if (is_content_field(f.name))
            o->rc = sp_buf_str(o->b, f.raw);
}

static int emit_header(struct sp_compose *c, struct sp_buf *out)
{
    const struct sp_norm *facts = c->o->facts;
    struct out o = {out, 0};
    size_t start = out->n;
    bool declare = c->encoding == QUOTED_PRINTABLE || (facts && facts->body_8bit);

    put_sent_fields(c, &o);
    if (c->multipart) {
        puts_(&o,
              "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"");
        puts_(&o, c->boundary);
        puts_(&o, (!facts || facts->body_8bit) && c->encoding == AS_IS
                      ? "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--"
                      : "\"\r\n\r\n--");
        puts_(&o, c->boundary);
        puts_(&o, "\r\n");
        if (is_mime(c))
            put_content_fields(c, &o);
        else
            declare_text(c, &o);
    } else if (!is_mime(c) && declare) {
        if (!has(c, "MIME-Version"))
            puts_(&o, "MIME-Version: 1.0\r\n");
        declare_text(c, &o);
    }
    puts_(&o, "\r\n");
    if (o.rc == 0)
        c->header_8bit = any_8bit((struct sp_str){out->p + start, out->n - start});
    return o.rc;
}

static int finish_header(struct sp_compose *c, struct sp_buf *out)
{
    int rc = collect_fields(c);

    if (rc == 0)
        rc = choose_encoding(c);
    if (rc == 0)
        rc = emit_header(c, out);
    sp_buf_free(&c->head);
    c->header_done = true;
    return rc;
}

/* ---- The body ------------------------------------------------------------------------------ */

static int qp_break(struct sp_compose *c, struct out *o, size_t n)
{
    if (c->qp_column + n > 75) {
        puts_(o, "=\r\n");
        c->qp_column = 0;
    }
    c->qp_column += n;
    return o->rc;
}

static void qp_octet(struct sp_compose *c, struct out *o, unsigned char ch,
                     bool literal)
{
    qp_break(c, o, literal ? 1 : 3);
    if (o->rc == 0)
        o->rc = literal ? sp_buf_put(o->b, &ch, 1) : sp_buf_printf(o->b, "=%02X", ch);
}

/* A blank is held back: before a line end it must be encoded (RFC 2045 6.7). */
static void qp_flush(struct sp_compose *c, struct out *o, bool literal)
{
    if (c->qp_blank)
        qp_octet(c, o, (unsigned char)c->qp_blank, literal);
    c->qp_blank = 0;
}

static int put_qp(struct sp_compose *c, struct sp_str in, struct sp_buf *out)
{
    struct out o = {out, 0};

    for (size_t i = 0; i < in.n && o.rc == 0; i++) {
        unsigned char ch = (unsigned char)in.p[i];

        if (ch == '\r')
            continue; /* line ends are CRLF: the LF tells */
        if (ch == '\n') {
            qp_flush(c, &o, false);
            puts_(&o, "\r\n");
            c->qp_column = 0;
            continue;
        }
        qp_flush(c, &o, true);
        if (ch == ' ' || ch == '\t')
            c->qp_blank = (char)ch;
        else
            qp_octet(c, &o, ch, ch > 32 && ch < 127 && ch != '=');
    }
    return o.rc;
}

static int put_body(struct sp_compose *c, struct sp_str in, struct sp_buf *out)
{
    if (in.n == 0)
        return 0;
    if (c->encoding == QUOTED_PRINTABLE)
        return put_qp(c, in, out);
    c->body_8bit = c->body_8bit || any_8bit(in);
    return sp_buf_str(out, in);
}

/* c->tmp holds freshly normalised octets. */
static int pass_on(struct sp_compose *c, struct sp_buf *out)
{
    struct sp_str in = sp_buf_view(&c->tmp);
    size_t body = in.n;
    int rc = 0;

    if (!c->header_done) {
        if (c->norm.header_done)
            body = (size_t)(c->norm.size - c->norm.header_size);
        else
            body = 0;
        rc = sp_buf_put(&c->head, in.p, in.n - body);
        if (rc == -SP_ELIMIT)
            return sp_err_set(&c->err, SP_CLASS_PEER, SP_ELIMIT,
                              "the header is larger than %u octets",
                              SP_COMPOSE_HEADER_MAX);
        if (rc == 0 && c->norm.header_done)
            rc = finish_header(c, out);
    }
    if (rc == 0 && c->header_done)
        rc = put_body(c, (struct sp_str){in.p + in.n - body, body}, out);
    sp_buf_drop(&c->tmp, c->tmp.n);
    return rc;
}

/* ---- Attachments ------------------------------------------------------------------------------ */

static const struct {
    const char *ending, *type;
} types[] = {
    {".csv", "text/csv"},        {".gif", "image/gif"},
    {".gz", "application/gzip"}, {".html", "text/html"},
    {".ics", "text/calendar"},   {".jpeg", "image/jpeg"},
    {".jpg", "image/jpeg"},      {".json", "application/json"},
    {".mp3", "audio/mpeg"},      {".mp4", "video/mp4"},
    {".pdf", "application/pdf"}, {".png", "image/png"},
    {".svg", "image/svg+xml"},   {".txt", "text/plain"},
    {".xml", "application/xml"}, {".zip", "application/zip"},
};

/* RFC 2045 5.1 tokens and one slash.  message/ and multipart/ take no base64 (6.4). */
static bool type_ok(struct sp_str t)
{
    size_t slashes = 0;

    for (size_t i = 0; i < t.n; i++) {
        slashes += t.p[i] == '/';
        if (t.p[i] <= 32 || t.p[i] >= 127 || strchr("()<>@,;:\\\"[]?=", t.p[i]))
            return false;
    }
    return slashes == 1 && t.n < 100 && t.n > 2 && t.p[0] != '/' &&
           t.p[t.n - 1] != '/' &&
           !(t.n > 8 && sp_str_caseeq((struct sp_str){t.p, 8}, SP_LIT("message/"))) &&
           !(t.n > 10 && sp_str_caseeq((struct sp_str){t.p, 10}, SP_LIT("multipart/")));
}

static struct sp_str type_of(const struct sp_attachment *a, struct sp_str name)
{
    if (a->type.n)
        return type_ok(a->type) ? a->type : SP_LIT("application/octet-stream");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t n = strlen(types[i].ending);

        if (name.n > n &&
            sp_str_caseis((struct sp_str){name.p + name.n - n, n}, types[i].ending))
            return sp_str(types[i].type);
    }
    return SP_LIT("application/octet-stream");
}

static struct sp_str base_name(struct sp_str name)
{
    const char *slash = name.n ? memrchr(name.p, '/', name.n) : NULL;

    if (slash)
        name = (struct sp_str){slash + 1, name.n - (size_t)(slash - name.p) - 1};
    if (name.n > 255)
        name = (struct sp_str){name.p + name.n - 255, 255};
    return name.n ? name : SP_LIT("attachment");
}

static bool is_simple_name(struct sp_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] < 32 || name.p[i] >= 127 || name.p[i] == '"' || name.p[i] == '\\')
            return false;
    return name.n <= 60;
}

/* RFC 2231 3 and 4: sections of at most 60 octets, percent-encoded UTF-8. */
static void put_extended_name(struct out *o, struct sp_str name)
{
    bool utf8 = sp_utf8_valid(name);
    size_t section = 0, column = 60;

    for (size_t i = 0; i < name.n && o->rc == 0; i++) {
        unsigned char ch = (unsigned char)name.p[i];
        bool plain = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
                     (ch >= 'A' && ch <= 'Z') || ch == '.' || ch == '-' || ch == '_';

        if (column + (plain ? 1 : 3) > 60) {
            o->rc = sp_buf_printf(o->b, "%s\r\n filename*%zu*=%s", section ? ";" : "",
                                  section,
                                  section ? ""
                                  : utf8  ? "utf-8''"
                                          : "us-ascii''");
            column = 0;
            section++;
        }
        if (o->rc < 0)
            return;
        if (ch < 32 || ch == 127 || (ch > 127 && !utf8)) {
            ch = '_';
            plain = true;
        }
        column += plain ? 1 : 3;
        o->rc = plain ? sp_buf_put(o->b, &ch, 1) : sp_buf_printf(o->b, "%%%02X", ch);
    }
}

static void open_part(struct sp_compose *c, struct out *o,
                      const struct sp_attachment *a)
{
    struct sp_str name = base_name(a->name);

    puts_(o, "\r\n--");
    puts_(o, c->boundary);
    puts_(o, "\r\nContent-Type: ");
    if (o->rc == 0)
        o->rc = sp_buf_str(o->b, type_of(a, name));
    puts_(o,
          "\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;");
    if (is_simple_name(name)) {
        puts_(o, "\r\n filename=\"");
        if (o->rc == 0)
            o->rc = sp_buf_str(o->b, name);
        puts_(o, "\"");
    } else {
        put_extended_name(o, name);
    }
    puts_(o, "\r\n\r\n");
    c->attach_open = true;
    c->attach_at = 0;
}

enum { PART_LINES = 280 }; /* 57 octets make a line of 76: a good 21 KB */

/* The next octets of it; fewer than cap only at its end. */
static ssize_t next_octets(const struct sp_compose *c, const struct sp_attachment *a,
                           char *buf, size_t cap)
{
    uint64_t at = c->attach_at;
    size_t n = 0;

    if (!a->read) {
        n = a->octets.n - at < cap ? (size_t)(a->octets.n - at) : cap;
        if (n)
            memcpy(buf, a->octets.p + at, n);
        return (ssize_t)n;
    }
    while (n < cap) { /* a short read is not the end */
        ssize_t k = a->read(a->arg, at + n, buf + n, cap - n);

        if (k <= 0)
            return k < 0 ? k : (ssize_t)n;
        n += (size_t)k;
    }
    return (ssize_t)n;
}

/* True when it is through. */
static bool put_part(struct sp_compose *c, struct out *o, const struct sp_attachment *a)
{
    char octets[57 * PART_LINES];
    ssize_t n = next_octets(c, a, octets, sizeof octets);

    if (n < 0)
        o->rc = sp_err_sys(&c->err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read %.*s",
                           (int)(a->name.n > 200 ? 200 : a->name.n), a->name.p);
    for (ssize_t at = 0; at < n && o->rc == 0; at += 57) {
        char line[SP_BASE64_LEN(57)];
        size_t len = n - at < 57 ? (size_t)(n - at) : 57;

        o->rc = sp_buf_put(
            o->b, line, (size_t)sp_base64_encode(octets + at, len, line, sizeof line));
        puts_(o, "\r\n");
    }
    c->attach_at += n > 0 ? (uint64_t)n : 0;
    return n < (ssize_t)sizeof octets;
}

static int more_parts(struct sp_compose *c, struct sp_buf *out)
{
    struct out o = {out, 0};
    const struct sp_attachment *a;

    if (c->attach_i == c->o->attach_n) {
        puts_(&o, "\r\n--");
        puts_(&o, c->boundary);
        puts_(&o, "--\r\n");
        c->closed = true;
        return o.rc;
    }
    a = &c->o->attach[c->attach_i];
    if (!c->attach_open)
        open_part(c, &o, a);
    if (put_part(c, &o, a)) {
        c->attach_i++;
        c->attach_open = false;
    }
    return o.rc < 0 ? o.rc : 1;
}

/* ---- The calls ---------------------------------------------------------------------------------- */

#define SLICE 16384

void sp_compose_init(struct sp_compose *c, const struct sp_compose_opts *o)
{
    char hex[33];

    memset(c, 0, sizeof *c);
    c->o = o;
    sp_norm_init(&c->norm);
    c->norm.dot_ends = o->dot_ends;
    c->multipart = o->attach_n != 0;
    sp_buf_init(&c->head, SP_COMPOSE_HEADER_MAX);
    /* Room for what is added: 64 KB each for a few long lists. */
    sp_buf_init(&c->fields, SP_COMPOSE_HEADER_MAX * 2);
    sp_buf_init(&c->tmp, 2 * SLICE + 4096);
    sp_hex_encode(o->random, 16, hex, sizeof hex);
    snprintf(c->boundary, sizeof c->boundary, "=_%s", hex);
}

void sp_compose_free(struct sp_compose *c)
{
    sp_buf_free(&c->head);
    sp_buf_free(&c->fields);
    sp_buf_free(&c->tmp);
}

/* A failure without words of its own is about memory or the caller's buffer. */
static int told(struct sp_compose *c, int rc)
{
    if (rc < 0 && c->err.code == SP_OK)
        return sp_err_set(&c->err, SP_CLASS_BUG, (enum sp_code) - rc, "%s",
                          rc == -SP_ENOMEM ? "out of memory"
                                           : "the message does not fit its buffer");
    return rc;
}

int sp_compose_feed(struct sp_compose *c, struct sp_str in, struct sp_buf *out)
{
    int rc = 0;

    for (size_t at = 0; at < in.n && rc == 0; at += SLICE) {
        size_t n = in.n - at < SLICE ? in.n - at : SLICE;

        rc = sp_norm_feed(&c->norm, (struct sp_str){in.p + at, n}, &c->tmp);
        if (rc == 0)
            rc = pass_on(c, out);
    }
    return told(c, rc);
}

int sp_compose_end(struct sp_compose *c, struct sp_buf *out)
{
    int rc = 0;

    if (!c->body_ended) {
        c->body_ended = true;
        rc = sp_norm_end(&c->norm, &c->tmp);
        if (rc == 0)
            rc = pass_on(c, out);
        if (rc == 0 && !c->header_done)
            rc = finish_header(c, out);
        if (rc == 0 && c->encoding == QUOTED_PRINTABLE) {
            struct out o = {out, 0};

            qp_flush(c, &o, false);
            rc = o.rc;
        }
        return told(c, rc < 0 ? rc : c->multipart);
    }
    return c->multipart && !c->closed ? told(c, more_parts(c, out)) : 0;
}

/* ---- Recipients ------------------------------------------------------------------------------------ */

static bool is_resent(const struct sp_field *f)
{
    return f->name.n > 7 &&
           sp_str_caseeq((struct sp_str){f->name.p, 7}, SP_LIT("Resent-"));
}

static bool names_recipients(const struct sp_field *f, bool resent)
{
    static const char *const plain[] = {"To", "Cc", "Bcc"};
    struct sp_str name = f->name;

    if (resent != is_resent(f))
        return false;
    if (resent)
        name = (struct sp_str){name.p + 7, name.n - 7};
    return IS_ONE_OF(name, plain);
}

void sp_rcpt_start(struct sp_rcpt_iter *it, struct sp_str header)
{
    struct sp_field f;

    memset(it, 0, sizeof *it);
    sp_header_start(&it->fields, header);
    while (!it->resent && sp_header_next(&it->fields, &f))
        it->resent = names_recipients(&f, true);
    sp_header_start(&it->fields, header);
}

/* The next field that names recipients. */
static bool next_field(struct sp_rcpt_iter *it)
{
    while (!it->block_over && sp_header_next(&it->fields, &it->field)) {
        if (it->resent && it->in_block && !is_resent(&it->field))
            it->block_over = true;
        else if (names_recipients(&it->field, it->resent))
            return it->in_block = true;
    }
    return false;
}

int sp_rcpt_next(struct sp_rcpt_iter *it, struct sp_mbox *ret)
{
    int rc;

    for (;;) {
        if (!it->open) {
            if (!next_field(it))
                return 0;
            sp_mbox_start(&it->mailboxes, it->field.value, SP_ADDR_UTF8_OK);
            it->open = true;
        }
        rc = sp_mbox_next(&it->mailboxes, ret);
        if (rc != 0)
            return rc;
        it->open = false;
    }
}
