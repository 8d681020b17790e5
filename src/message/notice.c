/* notice.c - see notice.h. */
#include "notice.h"

#include "addr.h"
#include "fieldout.h"
#include "header.h"
#include "stored.h"

#include <stdio.h>
#include <string.h>

/* ---- Words ------------------------------------------------------------------------ */

/* RFC 3463 3 and its registry; the row with the longest match of subject.detail counts. */
static const struct {
    const char *code;
    const char *meaning, *advice;
} words[] = {
    /* clang-format off */
    {"1.1",  "There is no mailbox with this address.",
             "Check the spelling of the address, or ask the recipient for the present one."},
    {"1.2",  "The domain behind the @ does not exist or takes no mail.",
             "Check the spelling of the part behind the @."},
    {"1.3",  "The address is not written as an address must be.",
             "Check the address and send the message again."},
    {"1.6",  "The mailbox has moved.",
             "Ask the recipient for the new address."},
    {"1.10", "The domain says that it never takes mail.",
             "Check the part behind the @, or reach the recipient another way."},
    {"1.",   "The other side did not accept the address.",
             "Check the address and send the message again."},
    {"2.1",  "The mailbox is switched off.",
             "Reach the recipient another way."},
    {"2.2",  "The mailbox is full.",
             "Try again later, or reach the recipient another way."},
    {"2.3",  "The message is larger than this mailbox takes.",
             "Send a smaller message, or share large files by a link."},
    {"2.",   "The mailbox cannot take the message.",
             "Try again later, or reach the recipient another way."},
    {"3.4",  "The message is larger than the other side takes.",
             "Send a smaller message, or share large files by a link."},
    {"3.",   "The mail system on the other side has a problem.",
             "Try again later; if it goes on, tell the recipient's postmaster."},
    {"4.1",  "The server for this address did not answer.",
             "Check the part behind the @; if it is right, try again later."},
    {"4.4",  "No server could be found for this address.",
             "Check the spelling of the part behind the @."},
    {"4.6",  "The message went round in circles.",
             "Tell your postmaster: forwarding is set up in a loop."},
    {"4.7",  "It could not be delivered within the time allowed.",
             "Try again later, or reach the recipient another way."},
    {"4.",   "The connection to the other side failed.",
             "Try again later; if it goes on, tell your postmaster."},
    {"5.",   "The two mail systems did not understand each other.",
             "Tell your postmaster; this needs a technician."},
    {"6.7",  "An address or the header is not plain ASCII, and the other side cannot take that.",
             "Use an address and names in plain ASCII, or ask the recipient for one."},
    {"6.",   "The other side did not accept the form of the message.",
             "Send it in a simpler form, for example as plain text."},
    {"7.1",  "The other side's rules do not permit this message.",
             "Ask the recipient whether you are blocked; its words below may say why."},
    {"7.10", "The connection could not be protected as was required.",
             "Tell your postmaster, or send the message without that requirement."},
    {"7.30", "The message requires TLS on its whole way, and the other side does not offer that.",
             "Send it without that requirement, or reach the recipient another way."},
    {"7.",   "The other side refused the message for its security rules.",
             "Its words below may say why; otherwise tell your postmaster."},
    {"",     "The other side did not accept the message.",
             "Its words below may say why; otherwise tell your postmaster."},
    /* clang-format on */
};

/* RFC 3463 2: "5.1.10", digits and dots only, subject and detail of at most three. */
static bool is_enhanced(const char *s)
{
    size_t digits = 0;

    if (!s || !s[0] || !strchr("245", s[0]) || s[1] != '.')
        return false;
    for (s += 2; *s >= '0' && *s <= '9' && digits < 3; s++)
        digits++;
    if (!digits || *s++ != '.')
        return false;
    for (digits = 0; *s >= '0' && *s <= '9' && digits < 3; s++)
        digits++;
    return digits && *s == '\0';
}

/* "5.1.1" -> "1.1"; a code that is none gives "". */
static const char *subject_of(const char *enhanced)
{
    return is_enhanced(enhanced) ? enhanced + 2 : "";
}

static size_t word_row(const char *enhanced)
{
    const char *subject = subject_of(enhanced);
    size_t i = 0;

    for (; words[i].code[0]; i++) {
        size_t n = strlen(words[i].code);
        bool family = words[i].code[n - 1] == '.';

        if (family ? strncmp(subject, words[i].code, n) == 0
                   : strcmp(subject, words[i].code) == 0)
            break;
    }
    return i;
}

const char *sp_notice_meaning(const char *enhanced)
{
    return words[word_row(enhanced)].meaning;
}

const char *sp_notice_advice(const char *enhanced)
{
    return words[word_row(enhanced)].advice;
}

static const struct {
    const char *subject, *intro, *action;
    const char *closing;
    char class; /* first digit of a status we have to make up */
} kinds[] = {
    [SP_NOTICE_FAILURE] =
        {"Could not be delivered: ",
         "could NOT be delivered to the address below. It will not be "
         "tried again.",
         "failed", "", '5'},
    [SP_NOTICE_DELAY] = {"Delivery is delayed: ",
                         "could not be delivered to the address below YET.", "delayed",
                         "You need not do anything: the message is kept and will be "
                         "tried again.\r\nDo not send it a second time.\r\n",
                         '4'},
    [SP_NOTICE_SUCCESS] = {"Delivered: ", "was delivered to the address below.",
                           "delivered", "", '2'},
};

/* ---- Who is told ------------------------------------------------------------------ */

bool sp_notice_due(const Sp__Envelope *env, const Sp__Recipient *rcpt,
                   enum sp_notice_kind kind)
{
    static const uint32_t bit[] = {[SP_NOTICE_FAILURE] = SP_NOTIFY_FAILURE,
                                   [SP_NOTICE_DELAY] = SP_NOTIFY_DELAY,
                                   [SP_NOTICE_SUCCESS] = SP_NOTIFY_SUCCESS};

    if (env->is_notice || env->reverse_path.len == 0 || rcpt->notify & SP_NOTIFY_NEVER)
        return false;
    if (rcpt->notify == 0)
        return kind != SP_NOTICE_SUCCESS;
    return (rcpt->notify & bit[kind]) != 0;
}

/* ---- Writing ---------------------------------------------------------------------- */

struct w {
    const struct sp_notice *n;
    struct sp_buf *b;
    int rc;
    bool utf8;        /* RFC 6533: global forms */
    bool full;        /* the whole message goes back */
    bool capped;      /* it should have, but is too large */
    bool quotes_8bit; /* what is returned has octets above 127 */
    bool header_8bit;
    uint64_t size; /* of the message it is about */
    char boundary[48];
};

static void put(struct w *w, const char *s)
{
    if (w->rc == 0)
        w->rc = sp_buf_puts(w->b, s);
}

static void put_str(struct w *w, struct sp_str s, size_t max)
{
    if (w->rc == 0)
        w->rc = sp_out_text(w->b, s, max, w->utf8);
}

static void put_folded(struct w *w, struct sp_str s, size_t max, size_t column,
                       const char *indent)
{
    if (w->rc == 0)
        w->rc = sp_out_folded(w->b, s, max, w->utf8, column, indent);
}

static void put_date(struct w *w, uint64_t ms)
{
    if (w->rc == 0)
        w->rc = sp_out_date(w->b, ms, w->n->zone_minutes);
}

static void put_uint(struct w *w, uint64_t u)
{
    if (w->rc == 0)
        w->rc = sp_buf_printf(w->b, "%llu", (unsigned long long)u);
}

static struct sp_str bytes(ProtobufCBinaryData b)
{
    return (struct sp_str){(const char *)b.data, b.len};
}

static bool any_8bit(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 127)
            return true;
    return false;
}

static const Sp__Recipient *recipient(const struct w *w, size_t i)
{
    return w->n->env->rcpt[w->n->rcpt[i]->index];
}

/* The address the sender knows: the one before aliases. */
static struct sp_str known_address(const Sp__Recipient *r)
{
    return r->original.len ? bytes(r->original) : bytes(r->address);
}

static const Sp__Attempt *last_attempt(const Sp__RcptState *s)
{
    const Sp__Attempt *last = NULL;

    for (size_t i = 0; i < s->n_history; i++)
        if (!last || s->history[i]->at_ms >= last->at_ms)
            last = s->history[i];
    return last;
}

/* The attempt's code where it suits the action (a success does not tell of a failure);
 * otherwise one made up from the reply code, or from the action. */
static void status_of(const struct w *w, const Sp__Attempt *a, char out[12])
{
    bool success = w->n->kind == SP_NOTICE_SUCCESS;
    char class = kinds[w->n->kind].class;

    if (!success && a && (a->code / 100 == 4 || a->code / 100 == 5))
        class = (char)('0' + a->code / 100);
    if (a && is_enhanced(a->enhanced) && success == (a->enhanced[0] == '2'))
        snprintf(out, 12, "%s", a->enhanced);
    else
        snprintf(out, 12, "%c.0.0", class);
}

/* ---- Header ----------------------------------------------------------------------- */

static void put_original_id(struct w *w)
{
    struct sp_str id = bytes(w->n->env->message_id);

    if (id.n < 3 || id.p[0] != '<' || id.n > 900 || any_8bit(id))
        return;
    put(w, "In-Reply-To: ");
    put_str(w, id, 900);
    put(w, "\r\nReferences: ");
    put_str(w, id, 900);
    put(w, "\r\n");
}

static void put_header(struct w *w, struct sp_notice_facts *facts)
{
    const struct sp_notice *n = w->n;
    size_t at;

    put(w, "Date: ");
    put_date(w, n->now_ms);
    put(w, "\r\nFrom: Mail Delivery System <MAILER-DAEMON@");
    if (w->rc == 0)
        w->rc = sp_out_token(w->b, n->hostname, 255, false);
    put(w, ">\r\nTo: ");
    if (w->rc == 0)
        w->rc = sp_out_angle(w->b, bytes(n->env->reverse_path));
    put(w, "\r\nSubject: ");
    put(w, kinds[n->kind].subject);
    put_str(w, known_address(recipient(w, 0)), 200);
    if (n->rcpt_n > 1)
        put(w, " and others");
    put(w, "\r\nMessage-ID: ");
    at = w->b->n;
    if (w->rc == 0)
        w->rc = sp_out_message_id(w->b, n->now_ms, n->random, n->hostname);
    if (w->rc == 0)
        snprintf(facts->message_id, sizeof facts->message_id, "%.*s",
                 (int)(w->b->n - at), w->b->p + at);
    put(w, "\r\n");
    put_original_id(w);
    /* RFC 3834 5: nobody shall answer this automatically. */
    put(w, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
           "Content-Type: multipart/report; report-type=delivery-status;\r\n"
           "\tboundary=\"");
    put(w, w->boundary);
    put(w, w->quotes_8bit || w->utf8 ? "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                                     : "\"\r\n\r\n");
}

static void put_boundary(struct w *w, const char *end)
{
    put(w, "\r\n--");
    put(w, w->boundary);
    put(w, end);
}

/* ---- For people -------------------------------------------------------------------- */

static void put_field_of_original(struct w *w, const char *name)
{
    struct sp_str header = w->n->content;
    struct sp_field f;

    if (header.n > w->n->env->header_size)
        header.n = (size_t)w->n->env->header_size;
    if (!sp_header_find(header, name, 0, &f) || f.value.n == 0)
        return;
    put(w, "    ");
    put(w, name);
    put(w, ": ");
    put_folded(w, f.value, 200, 6 + strlen(name), "      ");
    put(w, "\r\n");
}

static void put_attempt_words(struct w *w, const Sp__Attempt *a)
{
    if (!a || !a->text || !a->text[0])
        return;
    put(w, "    ");
    if (a->code && a->where && a->where[0]) {
        put(w, "The server ");
        put_str(w, sp_str(a->where), 200);
        put(w, " said:\r\n      ");
    } else if (a->where && a->where[0]) {
        put_str(w, sp_str(a->where), 200);
        put(w, ":\r\n      ");
    }
    if (a->code) {
        put_uint(w, a->code);
        put(w, " ");
        if (a->enhanced && a->enhanced[0]) {
            put_str(w, sp_str(a->enhanced), 12);
            put(w, " ");
        }
    }
    put_folded(w, sp_str(a->text), 800, 16, "      ");
    put(w, "\r\n");
}

static void put_recipient_words(struct w *w, size_t i)
{
    const Sp__Attempt *a = last_attempt(w->n->rcpt[i]);
    char status[12];

    status_of(w, a, status);
    put(w, "  ");
    if (w->rc == 0)
        w->rc = sp_out_angle(w->b, known_address(recipient(w, i)));
    put(w, "\r\n");
    if (w->n->kind != SP_NOTICE_SUCCESS) {
        put(w, "    ");
        put_folded(w, sp_str(sp_notice_meaning(status)), 300, 4, "    ");
        put(w, "\r\n");
    }
    if (w->n->kind == SP_NOTICE_FAILURE) {
        put(w, "    ");
        put_folded(w, sp_str(sp_notice_advice(status)), 300, 4, "    ");
        put(w, "\r\n");
    }
    if (w->n->kind == SP_NOTICE_FAILURE && status[0] == '4')
        put(w, "    It was tried again and again until the time allowed was over.\r\n");
    put_attempt_words(w, a);
    put(w, "\r\n");
}

static void put_closing(struct w *w)
{
    const struct sp_notice *n = w->n;

    put(w, kinds[n->kind].closing);
    if (n->kind == SP_NOTICE_DELAY && n->retry_until_ms) {
        put(w, "It will be given up on ");
        put_date(w, n->retry_until_ms);
        put(w, ".\r\n");
    }
    if (n->relayed && n->kind == SP_NOTICE_SUCCESS)
        put(w, "It was handed to a mail system that does not send such reports, so\r\n"
               "this is the last one you get.\r\n");
    if (w->capped) {
        put(w, "The message is large (");
        put_uint(w, w->size);
        put(w, " octets): only its header is returned.\r\n");
    }
    put(w, n->postmaster.n ? "\r\nQuestions? Ask " : "\r\nQuestions? Ask postmaster@");
    if (n->postmaster.n)
        put_str(w, n->postmaster, 320);
    else if (w->rc == 0)
        w->rc = sp_out_token(w->b, n->hostname, 255, false);
    if (n->id.n) {
        put(w, " and name the queue id ");
        put_str(w, n->id, 100);
    }
    put(w, ".\r\n");
}

static void put_words(struct w *w)
{
    put_boundary(w, "\r\nContent-Type: text/plain; charset=");
    put(w, w->utf8 ? "utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                   : "us-ascii\r\n\r\n");
    put(w, "This is the mail system at ");
    if (w->rc == 0)
        w->rc = sp_out_token(w->b, w->n->hostname, 255, false);
    put(w, ".\r\n\r\nYour message\r\n\r\n");
    put_field_of_original(w, "Subject");
    put_field_of_original(w, "Date");
    put_field_of_original(w, "To");
    put(w, "\r\n");
    put(w, kinds[w->n->kind].intro);
    put(w, "\r\n\r\n");
    for (size_t i = 0; i < w->n->rcpt_n; i++)
        put_recipient_words(w, i);
    put_closing(w);
}

/* ---- For programs: RFC 3464 2 -------------------------------------------------------- */

/* ORCPT and ENVID came as xtext; what does not decode to something printable is left
 * as it came. */
static void put_xtext(struct w *w, struct sp_str s)
{
    struct sp_buf plain;

    sp_buf_init(&plain, 1000);
    if (sp_fieldout_xtext_decode(&plain, s) == 0)
        s = sp_buf_view(&plain);
    put_str(w, s, 900);
    sp_buf_free(&plain);
}

static void put_address_field(struct w *w, const char *name, struct sp_str addr)
{
    put(w, name);
    /* RFC 6533 3: an address that is not ASCII has a type of its own. */
    put(w, any_8bit(addr) ? ": utf-8;" : ": rfc822;");
    put_str(w, addr, 900);
    put(w, "\r\n");
}

static void put_original_recipient(struct w *w, const Sp__Recipient *r)
{
    struct sp_str rest = bytes(r->orcpt), type = sp_str_cut(&rest, ';');

    if (type.n && rest.n) {
        put(w, "Original-Recipient: ");
        if (w->rc == 0)
            w->rc = sp_out_token(w->b, type, 60, false);
        put(w, ";");
        put_xtext(w, rest);
        put(w, "\r\n");
    } else if (r->original.len) {
        put_address_field(w, "Original-Recipient", bytes(r->original));
    }
}

static void put_remote(struct w *w, const Sp__Attempt *a)
{
    struct sp_str where = sp_str(a->where), host = sp_str_cut(&where, ' ');

    if (a->code && host.n) {
        put(w, "Remote-MTA: dns; ");
        if (w->rc == 0)
            w->rc = sp_out_token(w->b, host, 255, false);
        put(w, "\r\n");
    }
    if (a->code) {
        put(w, "Diagnostic-Code: smtp; ");
        put_uint(w, a->code);
        put(w, " ");
        if (a->enhanced && a->enhanced[0]) {
            put_str(w, sp_str(a->enhanced), 12);
            put(w, " ");
        }
    } else {
        put(w, "Diagnostic-Code: X-Sallyport; ");
    }
    put_folded(w, sp_str(a->text), 800, 40, " ");
    put(w, "\r\nLast-Attempt-Date: ");
    put_date(w, a->at_ms);
    put(w, "\r\n");
}

static void put_recipient_status(struct w *w, size_t i)
{
    const Sp__RcptState *s = w->n->rcpt[i];
    const Sp__Recipient *r = recipient(w, i);
    const Sp__Attempt *a = last_attempt(s);
    const char *action = kinds[w->n->kind].action;
    char status[12];

    if (w->n->kind == SP_NOTICE_SUCCESS && s->status == SP__RCPT_STATUS__RCPT_EXPANDED)
        action = "expanded";
    else if (w->n->kind == SP_NOTICE_SUCCESS && w->n->relayed)
        action = "relayed";
    status_of(w, a, status);
    put(w, "\r\n");
    put_original_recipient(w, r);
    put_address_field(w, "Final-Recipient", bytes(r->address));
    put(w, "Action: ");
    put(w, action);
    put(w, "\r\nStatus: ");
    put(w, status);
    put(w, "\r\n");
    if (a)
        put_remote(w, a);
    if (w->n->kind == SP_NOTICE_DELAY && w->n->retry_until_ms) {
        put(w, "Will-Retry-Until: ");
        put_date(w, w->n->retry_until_ms);
        put(w, "\r\n");
    }
}

static void put_status(struct w *w)
{
    const struct sp_notice *n = w->n;

    put_boundary(w, w->utf8 ? "\r\nContent-Type: message/global-delivery-status\r\n"
                              "Content-Transfer-Encoding: 8bit\r\n\r\n"
                            : "\r\nContent-Type: message/delivery-status\r\n\r\n");
    if (n->env->envid.len) {
        put(w, "Original-Envelope-Id: ");
        put_xtext(w, bytes(n->env->envid));
        put(w, "\r\n");
    }
    put(w, "Reporting-MTA: dns; ");
    if (w->rc == 0)
        w->rc = sp_out_token(w->b, n->hostname, 255, false);
    put(w, "\r\nArrival-Date: ");
    put_date(w, n->env->received_ms);
    put(w, "\r\n");
    if (n->id.n) {
        put(w, "X-Sallyport-Queue-ID: ");
        put_str(w, n->id, 100);
        put(w, "\r\n");
    }
    for (size_t i = 0; i < n->rcpt_n; i++)
        put_recipient_status(w, i);
}

/* ---- What is returned ----------------------------------------------------------------- */

/* RFC 3461 4.3 and 5.2.9: all of it only for a failure and unless RET=HDRS. */
static void choose_return(struct w *w)
{
    const struct sp_notice *n = w->n;
    const Sp__Envelope *env = n->env;
    struct sp_str shown = n->content;
    bool wanted = n->kind == SP_NOTICE_FAILURE && env->ret != SP__DSN_RET__RET_HDRS;

    w->size = sp_stored_size(env, n->prefix.n);
    w->full = wanted && w->size <= n->full_max && n->content.n >= env->content_size &&
              env->body != SP__BODY_TYPE__BODY_BINARYMIME; /* cannot go as 8BITMIME */
    w->capped = wanted && !w->full;
    if (!w->full && shown.n > env->header_size)
        shown.n = (size_t)env->header_size;
    w->quotes_8bit = any_8bit(shown) || any_8bit(n->prefix);
    if (shown.n > env->header_size)
        shown.n = (size_t)env->header_size;
    w->header_8bit = any_8bit(shown) || any_8bit(n->prefix);
}

static void put_returned(struct w *w)
{
    const struct sp_notice *n = w->n;
    uint64_t left = w->full ? w->size : sp_stored_header_size(n->env, n->prefix.n);
    bool global = w->utf8 && w->header_8bit;
    uint64_t at = 0;

    put_boundary(w, "\r\nContent-Type: ");
    if (w->full)
        put(w, global ? "message/global\r\n" : "message/rfc822\r\n");
    else
        put(w, global ? "message/global-headers\r\n" : "text/rfc822-headers\r\n");
    put(w, w->quotes_8bit ? "Content-Transfer-Encoding: 8bit\r\n\r\n" : "\r\n");
    while (left && w->rc == 0) {
        size_t want = left > 16384 ? 16384 : (size_t)left, got;
        char *p = sp_buf_room(w->b, want);

        if (!p) {
            w->rc = w->b->n + want > w->b->max ? -SP_ELIMIT : -SP_ENOMEM;
            return;
        }
        got = sp_stored_read(n->env, n->prefix, n->content, at, p, want);
        if (got == 0)
            break; /* the caller holds less of it than he should: what there is goes */
        w->b->n += got;
        at += got;
        left -= got;
    }
    if (w->rc == 0 && (w->b->n < 2 || w->b->p[w->b->n - 1] != '\n'))
        put(w, "\r\n");
}

/* ---- The calls ------------------------------------------------------------------------ */

static bool needs_utf8(const struct sp_notice *n)
{
    if (any_8bit(bytes(n->env->reverse_path)))
        return true;
    for (size_t i = 0; i < n->rcpt_n; i++) {
        const Sp__Recipient *r = n->env->rcpt[n->rcpt[i]->index];

        if (any_8bit(bytes(r->address)) || any_8bit(bytes(r->original)))
            return true;
    }
    return false;
}

int sp_notice_make(const struct sp_notice *n, struct sp_buf *out,
                   struct sp_notice_facts *ret)
{
    struct w w = {.n = n, .b = out, .utf8 = n->env->smtputf8};
    size_t start = out->n;
    char hex[33];

    if (n->env->is_notice || n->env->reverse_path.len == 0 || n->rcpt_n == 0)
        return -SP_EDENIED;
    memset(ret, 0, sizeof *ret);
    sp_hex_encode(n->random, 16, hex, sizeof hex);
    /* "=_" stands in no base64 and no quoted-printable text: RFC 2045 6.7. */
    snprintf(w.boundary, sizeof w.boundary, "=_%s", hex);
    choose_return(&w);
    put_header(&w, ret);
    ret->header_size = out->n - start;
    put_words(&w);
    put_status(&w);
    put_returned(&w);
    put_boundary(&w, "--\r\n");
    if (w.rc < 0) {
        out->n = start;
        return w.rc;
    }
    ret->content_size = out->n - start;
    ret->has_8bit_header =
        any_8bit((struct sp_str){out->p + start, (size_t)ret->header_size});
    ret->has_8bit_body =
        any_8bit((struct sp_str){out->p + start + ret->header_size,
                                 (size_t)(ret->content_size - ret->header_size)});
    /* A non-ASCII header inside message/global needs SMTPUTF8 too: RFC 6532 3.7. */
    ret->smtputf8 = ret->has_8bit_header || needs_utf8(n) || (w.utf8 && w.header_8bit);
    return 0;
}

int sp_notice_envelope(const struct sp_notice *n, const struct sp_notice_facts *facts,
                       struct sp_arena *arena, Sp__Envelope *ret)
{
    Sp__Recipient **list = sp_arena_alloc(arena, sizeof *list);
    Sp__Recipient *r = sp_arena_alloc(arena, sizeof *r);
    const char *id = facts->message_id;
    struct sp_str about = sp_arena_copy(arena, n->id);

    if (!list || !r || (n->id.n && !about.p))
        return -SP_ENOMEM;
    sp__recipient__init(r);
    r->address = n->env->reverse_path;
    /* RFC 3461 6.2: a notice itself asks for none. */
    r->notify = SP_NOTIFY_NEVER;
    list[0] = r;
    sp__envelope__init(ret);
    sp_stored_defaults(ret, n->now_ms);
    ret->rcpt = list;
    ret->n_rcpt = 1;
    ret->body =
        facts->has_8bit_body ? SP__BODY_TYPE__BODY_8BITMIME : SP__BODY_TYPE__BODY_7BIT;
    ret->smtputf8 = facts->smtputf8;
    ret->requiretls = n->env->requiretls; /* RFC 8689 5: bounces are protected alike */
    ret->header_size = facts->header_size;
    ret->content_size = facts->content_size;
    ret->has_8bit_body = facts->has_8bit_body;
    ret->has_8bit_header = facts->has_8bit_header;
    ret->priority = n->env->priority;
    ret->message_id.data = (uint8_t *)(uintptr_t)id;
    ret->message_id.len = strlen(id);
    ret->is_notice = true;
    ret->notice_for.data = (uint8_t *)(uintptr_t)about.p;
    ret->notice_for.len = about.n;
    return 0;
}
