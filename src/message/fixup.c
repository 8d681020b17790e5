/* fixup.c - see fixup.h. */
#include "fixup.h"

#include "addr.h"
#include "fieldout.h"
#include "header.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- The table and its answers --------------------------------------------------- */

static const struct row {
    const char *name;
    unsigned char act, signed_act, may;
    unsigned code;
    const char *enhanced;
    const char *words;
    const char *repair;
} rows[SP_FIX_RULES] = {
#define ROW(id, name, act, signed_act, may, code, enh, words, repair)                  \
    [id] = {name, SP_FIX_##act, SP_FIX_##signed_act, may, code, enh, words, repair},
    SP_FIX_ROWS(ROW)
#undef ROW
};

void sp_fix_policy_default(struct sp_fix_policy *p)
{
    for (size_t i = 0; i < SP_FIX_RULES; i++) {
        p->act[i] = rows[i].act;
        p->signed_act[i] = rows[i].signed_act;
    }
    p->hops_max = 50;
}

int sp_fix_policy_set(struct sp_fix_policy *p, struct sp_str name, struct sp_str act)
{
    static const char *const acts[] = {"pass", "repair", "refuse"};
    bool is_signed = name.n > 7 && sp_str_is((struct sp_str){name.p, 7}, "signed-");
    size_t a = 0, i = 0;

    if (is_signed)
        name = (struct sp_str){name.p + 7, name.n - 7};
    while (i < SP_FIX_RULES && !sp_str_is(name, rows[i].name))
        i++;
    while (a < 3 && !sp_str_is(act, acts[a]))
        a++;
    if (i == SP_FIX_RULES)
        return -SP_ENOENT;
    if (a == 3)
        return -SP_EINPUT;
    if (!(rows[i].may & 1u << a))
        return -SP_EDENIED;
    (is_signed ? p->signed_act : p->act)[i] = (unsigned char)a;
    return 0;
}

enum sp_fix_act sp_fix_ask(const struct sp_fix_policy *p, enum sp_fix_rule rule,
                           bool is_signed)
{
    enum sp_fix_act act = is_signed ? p->signed_act[rule] : p->act[rule];

    if (is_signed && act == SP_FIX_REPAIR && rule != SP_FIX_NO_HEADER &&
        rule != SP_FIX_MBOX_LINE)
        return SP_FIX_PASS;
    return act;
}

const char *sp_fix_name(enum sp_fix_rule rule)
{
    return rows[rule].name;
}

const char *sp_fix_repair_text(enum sp_fix_rule rule)
{
    return rows[rule].repair;
}

/* ---- Reading the header ---------------------------------------------------------- */

/* RFC 5322 3.6: fields that may stand once; From and Sender have rows of their own. */
enum {
    F_FROM,
    F_SENDER,
    F_DATE,
    F_ID,
    F_MIME,
    F_BCC,
    F_RETURN,
    F_ONCE,
    F_N = F_ONCE + 6
};
static const char *const field_name[F_N] = {
    [F_FROM] = "From",
    [F_SENDER] = "Sender",
    [F_DATE] = "Date",
    [F_ID] = "Message-ID",
    [F_MIME] = "MIME-Version",
    [F_BCC] = "Bcc",
    [F_RETURN] = "Return-Path",
    [F_ONCE] = "Reply-To",
    [F_ONCE + 1] = "To",
    [F_ONCE + 2] = "Cc",
    [F_ONCE + 3] = "In-Reply-To",
    [F_ONCE + 4] = "References",
    [F_ONCE + 5] = "Subject",
};

struct work {
    const struct sp_fix_in *in;
    const struct sp_fix_policy *policy;
    struct sp_fix_plan *plan;
    struct sp_str header;
    struct sp_field first[F_N]; /* valid where count is not 0 */
    size_t count[F_N];
    size_t content_type;
    size_t bad_line, long_line; /* line numbers; 0 none */
    size_t twice;               /* line of a field that should stand once */
    bool no_header, mbox_line, bcc;
    bool new_from, new_sender; /* the field in the header is replaced */
    struct sp_addr own;        /* what completes From and Sender; n 0: nothing can */
    size_t from_mailboxes;
    struct sp_mbox from_first;
    int rc;
};

static bool add_refusal(struct work *w, enum sp_fix_rule rule, const char *words)
{
    struct sp_fix_plan *p = w->plan;
    struct sp_buf b;

    p->refused = true;
    p->rule = rule;
    p->code = rows[rule].code;
    snprintf(p->enhanced, sizeof p->enhanced, "%s", rows[rule].enhanced);
    sp_buf_init(&b, sizeof p->text);
    /* Replies carry printable ASCII only: RFC 5321 4.2. */
    if (sp_out_text(&b, sp_str(words), sizeof p->text - 1, false) == 0)
        snprintf(p->text, sizeof p->text, "%.*s", (int)b.n, b.n ? b.p : "");
    sp_buf_free(&b);
    return false;
}

/* false: the row refuses.  `words` NULL: the row's own. */
static bool judge(struct work *w, enum sp_fix_rule rule, const char *words,
                  enum sp_fix_act *ret)
{
    *ret = sp_fix_ask(w->policy, rule, w->plan->is_signed);
    if (*ret == SP_FIX_REFUSE)
        return add_refusal(w, rule, words ? words : rows[rule].words);
    return true;
}

/* The media type at the start of a Content-Type value, comments skipped. */
static bool type_is(struct sp_str v, const char *type)
{
    size_t n = strlen(type), depth = 0, i;

    for (i = 0; i < v.n; i++) {
        if (v.p[i] == '(')
            depth++;
        else if (v.p[i] == ')' && depth)
            depth--;
        else if (!depth && !strchr(" \t\r\n", v.p[i]))
            break;
    }
    v = (struct sp_str){v.p + i, v.n - i};
    return v.n >= n && sp_str_caseis((struct sp_str){v.p, n}, type) &&
           (v.n == n || strchr("; \t\r\n(", v.p[n]));
}

static bool contains_word(struct sp_str v, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= v.n; i++)
        if (sp_str_caseis((struct sp_str){v.p + i, n}, word))
            return true;
    return false;
}

/* RFC 6376, RFC 8617; RFC 1847 multipart/signed (S/MIME and PGP/MIME); RFC 8551 3.5.2. */
static bool shows_signature(const struct sp_field *f)
{
    static const char *const names[] = {"DKIM-Signature", "ARC-Seal",
                                        "ARC-Message-Signature",
                                        "ARC-Authentication-Results"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (sp_field_named(f, names[i]))
            return true;
    if (!sp_field_named(f, "Content-Type"))
        return false;
    if (type_is(f->value, "multipart/signed"))
        return true;
    return (type_is(f->value, "application/pkcs7-mime") ||
            type_is(f->value, "application/x-pkcs7-mime")) &&
           contains_word(f->value, "signed-data");
}

static void note_kind(struct work *w, const struct sp_field *f)
{
    if (f->kind == SP_FIELD_MBOX)
        w->mbox_line = true;
    else if (f->kind == SP_FIELD_NONE && !w->bad_line)
        w->bad_line = f->line;
    if (f->longest > 998 && !w->long_line)
        w->long_line = f->line;
    if (f->has_8bit)
        w->plan->has_8bit_header = true;
}

static void note_field(struct work *w, const struct sp_field *f)
{
    note_kind(w, f);
    for (size_t i = 0; i < F_N; i++) {
        if (!sp_field_named(f, field_name[i]))
            continue;
        /* An empty one does not hide a full one behind it. */
        if (w->count[i] == 0 || w->first[i].value.n == 0)
            w->first[i] = *f;
        if (w->count[i]++ == 0)
            continue;
        if (i != F_BCC && i != F_RETURN && i != F_MIME && !w->twice)
            w->twice = f->line;
    }
    if (sp_field_named(f, "Bcc") || sp_field_named(f, "Resent-Bcc"))
        w->bcc = true;
    if (sp_field_named(f, "Content-Type"))
        w->content_type++;
    if (sp_field_named(f, "Received"))
        w->plan->hops++;
    if (sp_field_named(f, "TLS-Required") && sp_str_caseis(f->value, "no"))
        w->plan->tls_required_no = true;
    if (shows_signature(f))
        w->plan->is_signed = true;
}

static void read_header(struct work *w)
{
    struct sp_header_iter it;
    struct sp_field f;

    sp_header_start(&it, w->in->header);
    w->no_header = it.at_end && w->in->header.n != 0;
    while (sp_header_next(&it, &f))
        note_field(w, &f);
    w->plan->header_size = it.body;
    w->plan->work += it.work;
    w->header = (struct sp_str){w->in->header.p, it.body};
}

/* Only CRLF ends a line.  Other software may end one at a bare CR or LF too: what we
 * take for the inside of a value would be a From field there. */
static bool has_bare(struct sp_str h)
{
    for (size_t i = 0; i < h.n; i++) {
        bool lf_next = i + 1 < h.n && h.p[i + 1] == '\n';

        if (h.p[i] == '\0' || (h.p[i] == '\r' && !lf_next) ||
            (h.p[i] == '\n' && (i == 0 || h.p[i - 1] != '\r')))
            return true;
    }
    return false;
}

/* The first <...> of the value, or its first word; without blanks and control octets. */
static void note_message_id(struct work *w)
{
    struct sp_str v = w->first[F_ID].value;
    const char *open = v.n ? memchr(v.p, '<', v.n) : NULL;
    char *out = w->plan->message_id;
    size_t n = 0;

    if (!w->count[F_ID])
        return;
    if (open)
        v = (struct sp_str){open, v.n - (size_t)(open - v.p)};
    for (size_t i = 0; i < v.n && n < SP_FIX_MESSAGE_ID_MAX; i++) {
        unsigned char c = (unsigned char)v.p[i];

        if (!open && c <= 32)
            break;
        if (c > 32 && c != 127)
            out[n++] = (char)c;
        if (open && c == '>')
            break;
    }
    out[n] = '\0';
}

/* ---- Judging --------------------------------------------------------------------- */

static bool judge_form(struct work *w)
{
    enum sp_fix_act act;
    char words[100];

    if (has_bare(w->header) && !judge(w, SP_FIX_BARE, NULL, &act))
        return false;
    if (w->plan->hops > w->policy->hops_max && !judge(w, SP_FIX_LOOP, NULL, &act))
        return false;
    if (w->no_header && !judge(w, SP_FIX_NO_HEADER, NULL, &act))
        return false;
    if (w->mbox_line && !judge(w, SP_FIX_MBOX_LINE, NULL, &act))
        return false;
    snprintf(words, sizeof words, "line %zu of the header is no field", w->bad_line);
    if (w->bad_line && !judge(w, SP_FIX_NOT_A_FIELD, words, &act))
        return false;
    snprintf(words, sizeof words, "line %zu of the header is longer than 998 octets",
             w->long_line);
    if (w->long_line && !judge(w, SP_FIX_LONG_LINE, words, &act))
        return false;
    if (!w->plan->has_8bit_header)
        return true;
    if (!w->in->smtputf8)
        return judge(w, SP_FIX_8BIT, NULL, &act);
    return sp_utf8_valid(w->header) || judge(w, SP_FIX_NOT_UTF8, NULL, &act);
}

static bool judge_counts(struct work *w)
{
    enum sp_fix_act act;
    char words[100];

    if (w->count[F_FROM] > 1 && !judge(w, SP_FIX_TWO_FROM, NULL, &act))
        return false;
    if (w->count[F_SENDER] > 1 && !judge(w, SP_FIX_TWO_SENDER, NULL, &act))
        return false;
    snprintf(words, sizeof words, "line %zu: a field that may stand once stands twice",
             w->twice);
    return !w->twice || judge(w, SP_FIX_TWO_OTHER, words, &act);
}

static bool owned(const struct work *w, const struct sp_addr *a)
{
    for (size_t i = 0; i < w->in->own_n; i++)
        if (sp_addr_matches(w->in->own[i], sp_addr_text(a)))
            return true;
    return !w->in->check_owner;
}

/* Every mailbox of the field: readable, qualified, and the sender's own.  *foreign is
 * the first that is not.  0 or -SP_EINPUT; *n mailboxes. */
static int read_mailboxes(struct work *w, const struct sp_field *f, size_t *n,
                          struct sp_mbox *foreign, struct sp_mbox *first)
{
    struct sp_mbox_iter it;
    struct sp_mbox m;
    int rc;

    foreign->addr.n = 0;
    *n = 0;
    sp_mbox_start(&it, f->value, SP_ADDR_UTF8_OK);
    while ((rc = sp_mbox_next(&it, &m)) > 0) {
        if (m.verdict != SP_ADDR_OK)
            rc = -SP_EINPUT;
        if (rc < 0)
            break;
        if ((*n)++ == 0)
            *first = m;
        if (foreign->addr.n == 0 && !owned(w, &m.addr))
            *foreign = m;
    }
    w->plan->work += it.work;
    return *n ? rc : -SP_EINPUT;
}

static bool judge_mailboxes(struct work *w, size_t which, enum sp_fix_rule syntax,
                            enum sp_fix_rule own, size_t *n, bool *replace)
{
    struct sp_mbox foreign, first;
    enum sp_fix_act act;
    char words[300];

    if (!w->count[which])
        return true;
    if (read_mailboxes(w, &w->first[which], n, &foreign, &first) < 0 ||
        (which == F_SENDER && *n > 1))
        return judge(w, syntax, NULL, &act);
    if (which == F_FROM)
        w->from_first = first;
    if (foreign.addr.n == 0)
        return true;
    snprintf(words, sizeof words, "%.*s may not send as %.200s",
             (int)(w->in->user.n > 64 ? 64 : w->in->user.n),
             w->in->user.n ? w->in->user.p : "", foreign.addr.text);
    if (!judge(w, own, words, &act))
        return false;
    *replace = act == SP_FIX_REPAIR;
    return true;
}

/* What From and Sender are completed with. */
static void choose_own(struct work *w)
{
    unsigned flags = w->in->smtputf8 ? SP_ADDR_UTF8_OK : 0;

    if (w->in->reverse_path.n &&
        sp_addr_parse(w->in->reverse_path, flags, &w->own) == SP_ADDR_OK &&
        owned(w, &w->own))
        return;
    if (sp_addr_parse(w->in->first_address, flags, &w->own) != SP_ADDR_OK)
        w->own.n = 0;
}

/* ---- Writing --------------------------------------------------------------------- */

static void put(struct work *w, const char *s)
{
    if (w->rc == 0)
        w->rc = sp_buf_puts(&w->plan->prefix, s);
}

static void put_angle(struct work *w)
{
    if (w->rc == 0)
        w->rc = sp_out_angle(&w->plan->prefix, sp_addr_text(&w->own));
    put(w, "\r\n");
}

static void put_display_name(struct work *w)
{
    struct sp_buf name;

    sp_buf_init(&name, 1000);
    if (w->new_from && w->from_first.name.n && w->from_first.name.n <= 400 &&
        w->rc == 0 && sp_mbox_name(&w->from_first, &name) == 0 &&
        (w->in->smtputf8 || !w->first[F_FROM].has_8bit)) {
        w->rc = sp_out_phrase(&w->plan->prefix, sp_buf_view(&name));
        put(w, "\r\n ");
    }
    sp_buf_free(&name);
}

/* Is an addition wanted?  false in *ok: refused. */
static bool wants(struct work *w, bool lacking, enum sp_fix_rule rule, bool *ok)
{
    enum sp_fix_act act;

    if (!lacking || !*ok)
        return false;
    *ok = judge(w, rule, NULL, &act);
    return *ok && act == SP_FIX_REPAIR;
}

static bool lacks(const struct work *w, size_t which)
{
    return w->count[which] == 0 || w->first[which].value.n == 0;
}

static bool add_senders(struct work *w)
{
    bool ok = true, from, sender;

    from = w->new_from || wants(w, w->count[F_FROM] == 0, SP_FIX_NO_FROM, &ok);
    sender = w->new_sender ||
             wants(w, w->from_mailboxes > 1 && !w->new_from && !w->count[F_SENDER],
                   SP_FIX_NO_SENDER, &ok);
    if (!ok || (!from && !sender))
        return ok;
    if (w->own.n == 0)
        return add_refusal(w, from ? SP_FIX_NO_FROM : SP_FIX_NO_SENDER,
                           from ? "no From field, and no address to complete it"
                                : "no Sender field, and no address to complete it");
    if (from) {
        put(w, "From: ");
        put_display_name(w);
        put_angle(w);
    }
    if (sender) {
        put(w, "Sender: ");
        put_angle(w);
    }
    return true;
}

static void put_message_id(struct work *w)
{
    size_t at;

    put(w, "Message-ID: ");
    at = w->plan->prefix.n;
    if (w->rc == 0)
        w->rc = sp_out_message_id(&w->plan->prefix, w->in->now_ms, w->in->random,
                                  w->in->hostname);
    if (w->rc == 0)
        snprintf(w->plan->message_id, sizeof w->plan->message_id, "%.*s",
                 (int)(w->plan->prefix.n - at), w->plan->prefix.p + at);
    put(w, "\r\n");
}

static bool add_fields(struct work *w)
{
    bool ok = true;

    if (wants(w, lacks(w, F_DATE), SP_FIX_NO_DATE, &ok)) {
        put(w, "Date: ");
        if (w->rc == 0)
            w->rc = sp_out_date(&w->plan->prefix, w->in->now_ms, w->in->zone_minutes);
        put(w, "\r\n");
    }
    if (!ok || !add_senders(w))
        return false;
    if (wants(w, lacks(w, F_ID), SP_FIX_NO_ID, &ok))
        put_message_id(w);
    if (wants(w, w->content_type && !w->count[F_MIME], SP_FIX_NO_MIME, &ok))
        put(w, "MIME-Version: 1.0\r\n");
    if (w->no_header)
        put(w, "\r\n"); /* all that follows is body */
    return ok;
}

static bool add_cut(struct work *w, const struct sp_field *f)
{
    struct sp_fix_plan *p = w->plan;
    struct sp_fix_cut *last = p->cut_n ? &p->cut[p->cut_n - 1] : NULL;

    if (last && last->offset + last->length == f->offset) {
        last->length += f->raw.n;
        return true;
    }
    if (p->cut_n == SP_FIX_CUTS_MAX)
        return add_refusal(w, SP_FIX_BCC, "too many fields that must be left out");
    p->cut[p->cut_n++] = (struct sp_fix_cut){f->offset, f->raw.n};
    return true;
}

/* What is left out, per field; the acts were asked once before. */
static bool is_cut(const struct work *w, const struct sp_field *f,
                   const enum sp_fix_act act[SP_FIX_RULES])
{
    static const struct {
        const char *name;
        enum sp_fix_rule rule;
        bool only_empty;
    } cuts[] = {
        {"Bcc", SP_FIX_BCC, false},
        {"Resent-Bcc", SP_FIX_BCC, false},
        {"Return-Path", SP_FIX_RETURN_PATH, false},
        {"Date", SP_FIX_NO_DATE, true},
        {"Message-ID", SP_FIX_NO_ID, true},
    };

    if (f->kind == SP_FIELD_MBOX)
        return act[SP_FIX_MBOX_LINE] == SP_FIX_REPAIR;
    if ((w->new_from && sp_field_named(f, "From")) ||
        (w->new_sender && sp_field_named(f, "Sender")))
        return true;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        if (!sp_field_named(f, cuts[i].name) || act[cuts[i].rule] != SP_FIX_REPAIR)
            continue;
        /* An empty field goes only where a full one comes in its place. */
        return !cuts[i].only_empty ||
               (f->value.n == 0 &&
                lacks(w, cuts[i].rule == SP_FIX_NO_DATE ? F_DATE : F_ID));
    }
    return false;
}

static bool make_cuts(struct work *w)
{
    enum sp_fix_act act[SP_FIX_RULES], ignored;
    struct sp_header_iter it;
    struct sp_field f;

    if (w->bcc && !judge(w, SP_FIX_BCC, NULL, &ignored))
        return false;
    if (w->count[F_RETURN] && !judge(w, SP_FIX_RETURN_PATH, NULL, &ignored))
        return false;
    for (size_t i = 0; i < SP_FIX_RULES; i++)
        act[i] = sp_fix_ask(w->policy, (enum sp_fix_rule)i, w->plan->is_signed);
    sp_header_start(&it, w->header);
    while (sp_header_next(&it, &f))
        if (is_cut(w, &f, act) && !add_cut(w, &f))
            return false;
    w->plan->work += it.work;
    return true;
}

/* ---- The call -------------------------------------------------------------------- */

void sp_fix_plan_init(struct sp_fix_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    sp_buf_init(&plan->prefix, SP_FIX_PREFIX_MAX);
}

void sp_fix_plan_free(struct sp_fix_plan *plan)
{
    sp_buf_free(&plan->prefix);
    plan->cut_n = 0;
}

static bool make(struct work *w)
{
    size_t senders = 0;

    return judge_form(w) && judge_counts(w) &&
           judge_mailboxes(w, F_FROM, SP_FIX_FROM_SYNTAX, SP_FIX_FROM_OWN,
                           &w->from_mailboxes, &w->new_from) &&
           judge_mailboxes(w, F_SENDER, SP_FIX_SENDER_SYNTAX, SP_FIX_SENDER_OWN,
                           &senders, &w->new_sender) &&
           add_fields(w) && make_cuts(w);
}

int sp_fix_make(const struct sp_fix_in *in, struct sp_fix_plan *plan)
{
    struct sp_fix_policy standard;
    struct work w = {.in = in, .policy = in->policy, .plan = plan};

    if (!w.policy) {
        sp_fix_policy_default(&standard);
        w.policy = &standard;
    }
    sp_fix_plan_free(plan);
    sp_fix_plan_init(plan);
    choose_own(&w);
    read_header(&w);
    note_message_id(&w);
    if (!make(&w)) {
        assert(plan->refused);
        plan->cut_n = 0;
        sp_buf_free(&plan->prefix);
    }
    return w.rc;
}
