/*
 * cmd_send.c - `sallyport send`: submit one message.
 *
 * The message is read twice (what is it? then make it fit), into unnamed files: memory
 * does not grow with its size, and the size is known before MAIL.
 */
#include "accounts.h"
#include "alloc.h"
#include "compose.h"
#include "err.h"
#include "fdio.h"
#include "outbox.h"
#include "send.h"
#include "sendexit.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 65536,
    RCPT_MAX = 50000,
    HEADERS_MAX = 200,
    ATTACH_MAX = 100,
    BAR_FROM = 1 << 20,
    SEEN = 1 << 17 /* more than twice RCPT_MAX */
};

static const struct sp_option options[] = {
    {"account", 'A', "NAME",
     "options from accounts.conf (default: `default` when it is there)"},
    SP_OPT_TARGET,
    {"from", 'f', "ADDRESS", "reverse-path; also From when the message has none"},
    {"to", 'T', "ADDRESS", "recipient; may be given again (default: To, Cc, Bcc)"},
    {"read-recipients", 't', NULL, "those of To, Cc and Bcc too when --to is given"},
    {"header", 'H', "FIELD", "add this header field; may be given again"},
    {"attach", 'a', "FILE", "attach this file; may be given again"},
    {"notify", 0, "WHEN", "ask for notices: never, or success,failure,delay"},
    {"ret", 0, "WHAT", "what a notice returns: full or hdrs"},
    {"envid", 0, "ID", "an identifier that notices repeat"},
    {"quit-after", 0, "STEP",
     "stop politely after greeting, ehlo, tls, ehlo-tls, auth, mail, rcpt"},
    {"import-msmtprc", 0, NULL,
     "print an accounts.conf made from msmtp's FILE and end"},
    {"trace", 'v', NULL, "show the dialogue, secrets hidden"},
    {"quiet", 'q', NULL, "say nothing when it went well"},
    SP_OPT_JSON,
    SP_OPT_END,
};

/* Something that can be read from its beginning as often as it takes. */
struct source {
    const char *path;
    int fd;
    off_t from; /* standard input may have been read from already */
};

struct send {
    const struct sp_args *a;
    struct sp_target t;
    uv_loop_t loop;
    struct sp_net *net;
    struct sp_talk *talk;
    uv_signal_t stop;
    const struct sp_send_more *more;
    struct source in;
    int out; /* the file with what is sent */
    uint64_t in_size, size, at;
    struct sp_str header[HEADERS_MAX];
    struct sp_attachment attach[ATTACH_MAX];
    struct source attached[ATTACH_MAX];
    size_t attachments;
    struct sp_norm facts; /* about the input */
    struct sp_compose_opts compose;
    struct sp_buf fields; /* the finished header, Bcc included */
    struct sp_rcpt *rcpt;
    size_t n_rcpt;
    uint32_t seen[SEEN]; /* open addressing by address: index in rcpt + 1 */
    struct sp_arena names;
    struct sp_mail mail;
    unsigned notify;
    int status;
    bool done; /* the outcome is known and was said */
    bool failed;
    bool later; /* nobody was there, or not now: it may be left for later */
    bool dot; /* the end of the message was given: it may be on its way */
    bool bar, stopped;
    bool header_8bit;  /* of the message: UTF-8 */
    bool utf8_address; /* of the envelope */
    const char *step;  /* of --quit-after; NULL */
    unsigned percent;  /* of the bar, as shown */
    char login[300], pin[40];
};

/* ---- the message ---- */

/* An unnamed file.  Not in /tmp by itself: that may be memory, and a message large. */
static int temporary(struct sp_err *err)
{
    const char *dirs[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    const char *dir = NULL;
    int fd = -1;

    for (size_t i = 0; fd < 0 && i < 3; i++) {
        char path[4096];

        if (!dirs[i] || !*dirs[i])
            continue;
        dir = dirs[i];
        fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        snprintf(path, sizeof path, "%s/sallyport.XXXXXX", dir);
        if (fd < 0 && (fd = mkostemp(path, O_CLOEXEC)) >= 0)
            (void)unlink(path);
    }
    return fd >= 0 ? fd
                   : sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO,
                                "cannot make a file in %s", dir);
}

static int put_out(int fd, const char *p, size_t n, struct sp_err *err)
{
    return sp_write_all(fd, (struct sp_str){p, n}) == 0
               ? 0
               : sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO,
                            "cannot write a temporary file");
}

/* Not there, not for us, or a directory: the user named the wrong thing. */
static int no_input(struct sp_err *err, const char *path)
{
    bool wrong = errno == ENOENT || errno == EACCES || errno == EPERM ||
                 errno == EISDIR || errno == ENOTDIR || errno == ELOOP;

    return sp_err_sys(err, wrong ? SP_CLASS_PEER : SP_CLASS_TEMPORARY,
                      wrong ? SP_ENOENT : SP_EIO, "cannot read %s",
                      strcmp(path, "-") == 0 ? "standard input" : path);
}

/* What comes from a pipe or a terminal goes into a file first. */
static int keep(struct source *in, struct sp_err *err)
{
    static char block[BLOCK];
    int fd = in->fd, rc = 0;
    ssize_t n;

    in->from = 0;
    if (isatty(fd))
        fputs("Type the message, then Ctrl-D.\n", stderr);
    in->fd = temporary(err);
    if (in->fd < 0)
        rc = in->fd;
    while (rc == 0 && (n = read(fd, block, sizeof block)) != 0)
        if (n > 0)
            rc = put_out(in->fd, block, (size_t)n, err);
        else if (errno != EINTR)
            rc = no_input(err, in->path);
    close(fd);
    return rc;
}

/* "-": standard input. */
static int open_source(const char *path, struct source *ret, struct sp_err *err)
{
    struct stat st;

    ret->path = path;
    ret->fd = strcmp(path, "-") == 0 ? fcntl(0, F_DUPFD_CLOEXEC, 3)
                                     : open(path, O_RDONLY | O_CLOEXEC);
    if (ret->fd < 0)
        return no_input(err, path);
    if (fstat(ret->fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return no_input(err, path);
    }
    ret->from = lseek(ret->fd, 0, SEEK_CUR);
    return ret->from >= 0 && !isatty(ret->fd) ? 0 : keep(ret, err);
}

static ssize_t read_source(void *arg, uint64_t at, char *buf, size_t cap)
{
    struct source *in = arg;
    ssize_t n;

    do
        n = pread(in->fd, buf, cap, in->from + (off_t)at);
    while (n < 0 && errno == EINTR);
    return n;
}

/* All are opened before anything else happens: a name that is wrong is said at once. */
static int open_attachments(struct send *s, struct sp_err *err)
{
    size_t n = sp_arg_count(s->a, "attach");
    int rc = 0;

    if (n > ATTACH_MAX)
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "more than %d attachments",
                          ATTACH_MAX);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const char *path = sp_arg_nth(s->a, "attach", i);

        s->attached[i].fd = -1;
        s->attachments = i + 1;
        s->attach[i] = (struct sp_attachment){
            .name = sp_str(path), .read = read_source, .arg = &s->attached[i]};
        rc = open_source(path, &s->attached[i], err);
    }
    return rc;
}

static int flush(struct send *s, struct sp_buf *out, struct sp_err *err)
{
    int rc = put_out(s->out, out->p, out->n, err);

    s->size += out->n;
    out->n = 0;
    return rc;
}

/* Runs `feed` over the whole input. */
static int each_block(struct send *s,
                      int (*feed)(struct send *s, struct sp_str in, void *arg),
                      void *arg, struct sp_err *err)
{
    static char block[BLOCK];
    uint64_t at = 0;
    ssize_t n;
    int rc = 0;

    while (rc >= 0 && (n = read_source(&s->in, at, block, sizeof block)) != 0) {
        if (n < 0)
            return no_input(err, s->in.path);
        at += (uint64_t)n;
        rc = feed(s, (struct sp_str){block, (size_t)n}, arg);
    }
    s->in_size = at;
    return rc;
}

static int look(struct send *s, struct sp_str in, void *arg)
{
    (void)arg;
    return sp_norm_feed(&s->facts, in, NULL);
}

struct making {
    struct sp_compose c;
    struct sp_buf out;
    struct sp_err *err;
};

static int make(struct send *s, struct sp_str in, void *arg)
{
    struct making *m = arg;
    int rc = sp_compose_feed(&m->c, in, &m->out);

    if (rc < 0) {
        *m->err = m->c.err;
        return rc;
    }
    return flush(s, &m->out, m->err);
}

/* The address for a From field: the null reverse-path is none. */
static struct sp_str from_address(const struct send *s)
{
    const char *from = sp_arg(s->a, "from");

    if (!from)
        from = s->more->fallback_from;
    return from && strcmp(from, "<>") != 0 ? sp_str(from) : (struct sp_str){NULL, 0};
}

static int compose_options(struct send *s, struct sp_err *err)
{
    struct sp_compose_opts *o = &s->compose;
    time_t now = time(NULL);
    struct tm tm;

    o->facts = &s->facts;
    o->add = s->header;
    o->attach = s->attach;
    o->attach_n = s->attachments;
    o->dot_ends = s->more->dot_ends;
    o->from = from_address(s);
    if (s->more->rcpt && s->more->fallback_from) {
        o->qualify = sp_str(s->more->fallback_from);
        (void)sp_str_cut(&o->qualify, '@');
    }
    o->from_name = sp_str(s->more->full_name);
    o->hostname = sp_str(s->t.helo);
    o->now_ms = (uint64_t)now * 1000;
    if (sp_arg_count(s->a, "header") > HEADERS_MAX)
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "more than %d header fields",
                          HEADERS_MAX);
    for (size_t i = 0; i < sp_arg_count(s->a, "header"); i++)
        s->header[o->add_n++] = sp_str(sp_arg_nth(s->a, "header", i));
    localtime_r(&now, &tm);
    o->zone_minutes = (int)(tm.tm_gmtoff / 60);
    if (RAND_bytes(o->random, sizeof o->random) != 1)
        return sp_err_set(err, SP_CLASS_BUG, SP_EIO, "no random numbers");
    return 0;
}

static int compose_rest(struct send *s, struct making *m, struct sp_err *err)
{
    int more, rc;

    do {
        more = sp_compose_end(&m->c, &m->out);
        if (more < 0)
            *err = m->c.err;
        rc = more < 0 ? more : flush(s, &m->out, err);
    } while (rc >= 0 && more > 0);
    return rc;
}

/* The second pass.  It may be made again with other options: Date and Message-ID stay. */
static int compose(struct send *s, struct sp_err *err)
{
    static struct making m;
    int rc;

    if (s->out >= 0)
        close(s->out);
    s->size = 0;
    s->out = temporary(err);
    if (s->out < 0)
        return s->out;
    m.err = err;
    sp_compose_init(&m.c, &s->compose);
    sp_buf_init(&m.out, 8 << 20);
    rc = each_block(s, make, &m, err);
    if (rc >= 0)
        rc = compose_rest(s, &m, err);
    if (rc >= 0) {
        sp_buf_free(&s->fields);
        sp_buf_init(&s->fields, SP_COMPOSE_HEADER_MAX);
        rc = sp_buf_str(&s->fields, sp_buf_view(&m.c.fields));
        s->mail.body = m.c.body_8bit ? SP_BODY_8BITMIME : SP_BODY_UNSET;
        s->header_8bit = m.c.header_8bit;
    }
    sp_compose_free(&m.c);
    sp_buf_free(&m.out);
    return rc;
}

/* The first pass: what kind of message is it? */
static int examine(struct send *s, struct sp_err *err)
{
    int rc = compose_options(s, err);

    if (rc < 0)
        return rc;
    sp_norm_init(&s->facts);
    s->facts.dot_ends = s->compose.dot_ends;
    rc = each_block(s, look, NULL, err);
    if (rc >= 0)
        rc = sp_norm_end(&s->facts, NULL);
    /* A program that failed in front of the pipe should not mail that it did; those that
     * call sendmail expect it to take anything. */
    if (rc >= 0 && s->in_size == 0 && !s->more->rcpt && !s->attachments &&
        !s->compose.add_n)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "the message is empty; to send one without a text give it "
                          "a --header or an --attach");
    return rc;
}

/* ---- the envelope ---- */

static bool not_ascii(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 126)
            return true;
    return false;
}

static int bad_rcpt(struct sp_str address, struct sp_err *err)
{
    struct sp_buf b;

    if (address.n > 200)
        address.n = 200;
    sp_buf_init(&b, 1000);
    (void)sp_put_escaped(&b, address);
    (void)sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "`%.*s` is no address to send to",
                     (int)b.n, b.p ? b.p : "");
    sp_buf_free(&b);
    return -SP_EINPUT;
}

/* Where this address is in the table of those seen, or where it would be. */
static uint32_t *seen(struct send *s, struct sp_str text)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)sp_lower((unsigned char)text.p[i])) * 1099511628211u;
    for (h %= SEEN; s->seen[h]; h = (h + 1) % SEEN)
        if (sp_addr_equal(s->rcpt[s->seen[h] - 1].path, text))
            break;
    return &s->seen[h];
}

static int add_rcpt(struct send *s, struct sp_str text, struct sp_err *err)
{
    uint32_t *at = seen(s, text);
    struct sp_rcpt *v;

    if (*at)
        return 0;
    if (s->n_rcpt == RCPT_MAX)
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "more than %d recipients",
                          RCPT_MAX);
    if ((s->n_rcpt & (s->n_rcpt - 1)) == 0) { /* doubles at each power of two */
        v = sp_realloc(s->rcpt, (s->n_rcpt ? s->n_rcpt * 2 : 1) * sizeof *v);
        if (!v)
            return sp_err_nomem(err);
        s->rcpt = v;
    }
    text = sp_arena_copy(&s->names, text);
    if (!text.p)
        return sp_err_nomem(err);
    s->rcpt[s->n_rcpt++] = (struct sp_rcpt){.path = text, .notify = s->notify};
    *at = (uint32_t)s->n_rcpt;
    s->utf8_address |= not_ascii(text);
    return 0;
}

static int add_address(struct send *s, struct sp_str address, struct sp_err *err)
{
    struct sp_addr a;

    if (sp_addr_parse(address, SP_ADDR_UTF8_OK | SP_ADDR_POSTMASTER, &a) != SP_ADDR_OK)
        return bad_rcpt(address, err);
    return add_rcpt(s, sp_addr_text(&a), err);
}

/* What a name without a domain gets, where that is allowed: the sender's domain. */
static int qualified(struct send *s, struct sp_str local, struct sp_err *err)
{
    struct sp_str from = s->mail.path, domain = sp_str(s->t.helo);
    char text[600];
    int n;

    if (!s->more->rcpt)
        return bad_rcpt(local, err);
    for (size_t i = from.n; i > 0; i--)
        if (from.p[i - 1] == '@') {
            domain = (struct sp_str){from.p + i, from.n - i};
            break;
        }
    n = snprintf(text, sizeof text, "%.*s@%.*s", (int)local.n, local.p, (int)domain.n,
                 domain.p);
    if (n < 0 || n >= (int)sizeof text)
        return bad_rcpt(local, err);
    return add_address(s, (struct sp_str){text, (size_t)n}, err);
}

static int add_mailbox(struct send *s, const struct sp_mbox *m, struct sp_err *err)
{
    if (m->verdict == SP_ADDR_UNQUALIFIED)
        return qualified(s, m->spec, err);
    return m->verdict == SP_ADDR_OK ? add_rcpt(s, sp_addr_text(&m->addr), err)
                                    : bad_rcpt(m->spec, err);
}

/* "bob@example.org, Carol <carol@example.org>" */
static int add_list(struct send *s, struct sp_str list, struct sp_err *err)
{
    struct sp_mbox_iter it;
    struct sp_mbox m;
    int rc = 0, more = 0;
    size_t n = 0;

    sp_mbox_start(&it, list, SP_ADDR_UTF8_OK);
    while (rc == 0 && (more = sp_mbox_next(&it, &m)) > 0) {
        rc = add_mailbox(s, &m, err);
        n++;
    }
    return rc == 0 && (more < 0 || n == 0) ? bad_rcpt(list, err) : rc;
}

static int from_header(struct send *s, struct sp_err *err)
{
    struct sp_rcpt_iter it;
    struct sp_mbox m;
    int rc = 0, more = 0;

    sp_rcpt_start(&it, sp_buf_view(&s->fields));
    while (rc == 0 && (more = sp_rcpt_next(&it, &m)) > 0)
        rc = add_mailbox(s, &m, err);
    return more < 0 ? sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                                 "the recipient fields are malformed; give --to")
                    : rc;
}

static int recipients(struct send *s, struct sp_err *err)
{
    size_t to = sp_arg_count(s->a, "to");
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < to; i++)
        rc = add_list(s, sp_str(sp_arg_nth(s->a, "to", i)), err);
    for (size_t i = 0; rc == 0 && i < s->more->n_rcpt; i++)
        rc = add_list(s, sp_str(s->more->rcpt[i]), err);
    /* `send` takes those of the header by itself, `sendmail` only when asked. */
    if (rc == 0 &&
        (sp_arg_given(s->a, "read-recipients") || (to == 0 && !s->more->rcpt)))
        rc = from_header(s, err);
    if (rc == 0 && s->n_rcpt == 0)
        return sp_err_set(
            err, SP_CLASS_PEER, SP_EINPUT, "there is nobody to send to: %s",
            s->more->rcpt ? "name recipients, or give -t" : "give --to, or a To field");
    return rc;
}

/* --from, else the first From mailbox, else what the caller knows. */
static int sender(struct send *s, struct sp_err *err)
{
    const char *from = sp_arg(s->a, "from");
    struct sp_field f;
    struct sp_mbox_iter it;
    struct sp_mbox m;
    struct sp_addr a;

    if (!from && sp_header_find(sp_buf_view(&s->fields), "From", 0, &f)) {
        sp_mbox_start(&it, f.value, SP_ADDR_UTF8_OK);
        if (sp_mbox_next(&it, &m) > 0 && m.verdict == SP_ADDR_OK)
            a = m.addr;
        else if (!(from = s->more->fallback_from))
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                              "the From field holds no whole address; give --from");
    } else if (!from && !(from = s->more->fallback_from)) {
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "who is the sender? give --from");
    }
    if (from && strcmp(from, "<>") == 0)
        from = "";
    if (from && sp_addr_parse(sp_str(from), SP_ADDR_UTF8_OK | SP_ADDR_NULL_OK, &a) !=
                    SP_ADDR_OK)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "`%s` is no sender address",
                          from);
    s->mail.path = sp_arena_copy(&s->names, sp_addr_text(&a));
    s->utf8_address |= not_ascii(s->mail.path);
    return 0;
}

static int dsn(struct send *s)
{
    struct sp_str rest = sp_str(sp_arg(s->a, "notify")),
                  ret = sp_str(sp_arg(s->a, "ret"));

    while (rest.n) {
        struct sp_str w = sp_str_cut(&rest, ',');

        if (sp_str_caseis(w, "never"))
            s->notify |= SP_NOTIFY_NEVER;
        else if (sp_str_caseis(w, "success"))
            s->notify |= SP_NOTIFY_SUCCESS;
        else if (sp_str_caseis(w, "failure"))
            s->notify |= SP_NOTIFY_FAILURE;
        else if (sp_str_caseis(w, "delay"))
            s->notify |= SP_NOTIFY_DELAY;
        else
            return sp_usage_error(s->a,
                                  "--notify: `%.*s` is not never, success, failure or "
                                  "delay",
                                  (int)w.n, w.p);
    }
    if (sp_str_caseis(ret, "full"))
        s->mail.ret = SP_RET_FULL;
    else if (sp_str_caseis(ret, "hdrs"))
        s->mail.ret = SP_RET_HDRS;
    else if (ret.n)
        return sp_usage_error(s->a, "--ret is full or hdrs");
    s->mail.envid = sp_str(sp_arg(s->a, "envid"));
    return 0;
}

static int quit_after(struct send *s)
{
    static const struct {
        const char *name;
        enum sp_cli_stage stage;
    } steps[] = {
        {"connect", SP_STAGE_GREETING}, /* nobody can be polite before the greeting */
        {"greeting", SP_STAGE_GREETING},  {"ehlo", SP_STAGE_EHLO},
        {"starttls", SP_STAGE_HANDSHAKE}, {"tls", SP_STAGE_HANDSHAKE},
        {"ehlo-tls", SP_STAGE_EHLO_TLS},  {"auth", SP_STAGE_AUTH},
        {"mail", SP_STAGE_MAIL},          {"rcpt", SP_STAGE_RCPT},
    };
    struct sp_str name = sp_str(sp_arg(s->a, "quit-after"));
    size_t n = sizeof steps / sizeof steps[0];

    if (!name.n)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (sp_str_caseis(name, steps[i].name)) {
            s->t.talk.cli.quit_after = steps[i].stage;
            s->step = steps[i].name;
            return 0;
        }
    return sp_usage_error(
        s->a,
        "--quit-after: there is no step `%s`; the steps are greeting, "
        "ehlo, tls, ehlo-tls, auth, mail and rcpt",
        name.p);
}

/* ---- the session ---- */

/* Text in UTF-8 must not need a server that knows SMTPUTF8: where it does not, the header
 * is written in encoded words.  An address in UTF-8 cannot be written otherwise. */
static int suit_server(struct send *s, struct sp_talk *t, struct sp_err *err)
{
    bool knows = sp_cli_extensions(sp_talk_engine(t)) & SP_EXT_SMTPUTF8;
    int rc = 0;

    if (s->header_8bit && !knows && !s->utf8_address) {
        s->compose.encode_header = true;
        rc = compose(s, err);
    }
    s->mail.smtputf8 = s->header_8bit || s->utf8_address;
    return rc;
}

static void failed_json(const struct send *s, const struct sp_talk_failure *f);

/* The session stands, and this message cannot be given to this server.  It lacks what the
 * message needs: that is the server's refusal, said before it is asked; no permission of
 * ours is missing. */
static void cannot_give(struct send *s, const struct sp_err *err)
{
    struct sp_talk_failure f = {
        .cls = err->cls, .stage = SP_STAGE_MAIL, .words = err->text};

    s->status = sp_fail_err(err);
    if (err->code == SP_EDENIED)
        s->status = EX_UNAVAILABLE;
    if (sp_arg_given(s->a, "json"))
        failed_json(s, &f);
}

static void on_ready(struct sp_talk *t, enum sp_cli_login login, enum sp_mech mech,
                     struct sp_str words, struct sp_str pin, void *arg)
{
    struct send *s = arg;
    struct sp_err err;

    if (login == SP_LOGIN_PASSWORD)
        snprintf(s->login, sizeof s->login, "AUTH %s", sp_mech_name(mech));
    else if (words.n)
        snprintf(s->login, sizeof s->login, "%.*s",
                 (int)(words.n > 250 ? 250 : words.n), words.p);
    if (pin.n)
        snprintf(s->pin, sizeof s->pin, "%.*s", (int)(pin.n > 30 ? 30 : pin.n), pin.p);
    if (s->done) {
        sp_talk_quit(t);
        return;
    }
    if (s->t.talk.cli.quit_after && s->t.talk.cli.quit_after < SP_STAGE_MAIL) {
        s->status =
            sp_fail(EX_UNAVAILABLE,
                    "this session has no step `%s`; stopped before MAIL", s->step);
        s->done = true;
        sp_talk_quit(t);
        return;
    }
    s->at = 0; /* once more after a reconnect, from the beginning */
    s->dot = false;
    if (suit_server(s, t, &err) >= 0 &&
        sp_talk_mail(t, &s->mail, s->rcpt, s->n_rcpt, s->size, &err) == 0)
        return;
    cannot_give(s, &err);
    s->done = true;
    sp_talk_quit(t);
}

static void bar(struct send *s)
{
    enum { WIDTH = 40 };
    unsigned percent = s->size ? (unsigned)(s->at * 100 / s->size) : 100;
    unsigned done = percent * WIDTH / 100;

    if (!s->bar || percent == s->percent)
        return;
    s->percent = percent;
    fprintf(stderr, "\r[%.*s%*s] %3u %%%s", (int)done,
            "########################################", (int)(WIDTH - done), "",
            percent, percent == 100 ? ", waiting for the reply" : "");
    fflush(stderr);
}

static void clear_bar(struct send *s)
{
    if (s->bar && s->percent)
        fputs("\r\033[K", stderr);
    s->bar = false;
}

static void on_body(struct sp_talk *t, void *arg)
{
    struct send *s = arg;
    static char block[BLOCK];

    while (s->at < s->size) {
        ssize_t n = pread(s->out, block, sizeof block, (off_t)s->at);
        size_t took;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            sp_talk_body_abort(t);
            return;
        }
        took = sp_talk_body(t, block, (size_t)n);
        s->at += took;
        bar(s);
        if (took < (size_t)n)
            return;
    }
    s->dot = true;
    sp_talk_body_end(t);
}

static void say_reply(FILE *out, const struct sp_reply *r)
{
    fprintf(out, "%d ", r->code);
    if (r->enh[0])
        fprintf(out, "%d.%d.%d ", r->enh[0], r->enh[1], r->enh[2]);
    sp_say_text(out, r->text);
}

/* ---- the result ---- */

/* JSON is UTF-8; what a server says may be anything. */
static json_t *json_text(struct sp_str s)
{
    struct sp_buf b;
    json_t *j = sp_utf8_valid(s) ? json_stringn(s.p ? s.p : "", s.n) : NULL;

    if (j)
        return j;
    sp_buf_init(&b, 4 * s.n + 16);
    (void)sp_put_escaped(&b, s);
    j = json_stringn_nocheck(b.p ? b.p : "", b.n);
    sp_buf_free(&b);
    return j;
}

static json_t *json_reply(const struct sp_reply *r)
{
    char enh[40] = "";

    if (r->code == 0)
        return json_null();
    if (r->enh[0])
        snprintf(enh, sizeof enh, "%d.%d.%d", r->enh[0], r->enh[1], r->enh[2]);
    return json_pack("{s:i,s:s,s:o}", "code", r->code, "enhanced", enh, "text",
                     json_text(r->text));
}

static void print_json(json_t *o)
{
    if (o)
        (void)json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static json_t *json_base(const struct send *s, bool accepted, const struct sp_reply *r)
{
    return json_pack("{s:b,s:o,s:o,s:s,s:s}", "accepted", (int)accepted, "reply",
                     json_reply(r), "queued",
                     accepted ? json_text(r->text) : json_null(), "login", s->login,
                     "pin", s->pin);
}

static void sent_json(struct send *s, struct sp_talk *t, const struct sp_cli_event *ev)
{
    json_t *o = json_base(s, ev->u.sent.accepted, &ev->u.sent.reply),
           *list = json_array();
    char peer[100];

    sp_talk_peer(t, peer, sizeof peer);
    for (size_t i = 0; i < ev->u.sent.n; i++) {
        const struct sp_cli_rcpt_result *r = &ev->u.sent.rcpt[i];

        (void)json_array_append_new(
            list,
            json_pack("{s:o,s:b,s:s,s:o}", "recipient", json_text(s->rcpt[i].path),
                      "accepted", (int)r->accepted, "stage",
                      sp_cli_stage_name(r->stage), "reply", json_reply(&r->reply)));
    }
    (void)json_object_set_new(o, "server", json_string(peer));
    (void)json_object_set_new(o, "unknown", json_boolean(ev->u.sent.unknown));
    (void)json_object_set_new(o, "recipients", list);
    print_json(o);
}

static void failed_json(const struct send *s, const struct sp_talk_failure *f)
{
    json_t *o = json_base(s, false, &f->reply);

    (void)json_object_set_new(o, "stage", json_string(sp_cli_stage_name(f->stage)));
    (void)json_object_set_new(o, "error", json_text(sp_str(f->words)));
    print_json(o);
}

static void refused(struct send *s, const struct sp_cli_rcpt_result *r,
                    struct sp_str path, bool login_doubt)
{
    int status = sp_send_exit(r->stage, r->reply.code, SP_CLASS_PEER, login_doubt);

    fputs("sallyport: not accepted for ", stderr);
    sp_say_text(stderr, path);
    fputs(": ", stderr);
    say_reply(stderr, &r->reply);
    fputc('\n', stderr);
    /* The gravest one: what cannot succeed by sending it again. */
    if (s->status == 0 || s->status == EX_TEMPFAIL)
        s->status = status;
}

static void say_accepted(const struct send *s, struct sp_talk *t,
                         const struct sp_reply *r)
{
    bool certificate = s->pin[0] && strcmp(s->pin, "password") != 0;
    char peer[100];

    sp_talk_peer(t, peer, sizeof peer);
    printf("accepted by %s: ", peer);
    say_reply(stdout, r);
    if (s->login[0])
        printf(" [%s%s%s]", s->login,
               certificate ? "; to insist on it: --certificate-login " : "",
               certificate ? s->pin : "");
    putchar('\n');
}

/* Servers refuse strangers and unknown recipients in the same words. */
static void say_login(const struct send *s)
{
    if (s->more->socket) {
        fprintf(stderr,
                "  over %s you are who the system says: the addresses of that "
                "account are set by `sallyport user`\n",
                s->more->socket);
        return;
    }
    fprintf(stderr,
            "  nobody is logged in%s: if that is the reason, give --user and a "
            "password%s\n",
            s->t.talk.cli.have_certificate
                ? ", the certificate alone may not be enough for this server"
                : "",
            s->t.talk.cli.have_certificate ? "" : ", or --certificate");
}

/* Not one recipient was taken or refused for good. */
static bool all_later(const struct sp_cli_event *ev)
{
    for (size_t i = 0; i < ev->u.sent.n; i++)
        if (ev->u.sent.rcpt[i].accepted || ev->u.sent.rcpt[i].reply.code / 100 != 4)
            return false;
    return true;
}

static void on_sent(struct sp_talk *t, const struct sp_cli_event *ev, void *arg)
{
    struct send *s = arg;
    bool waiting = false; /* for failed(), which says why */

    clear_bar(s);
    for (size_t i = 0; i < ev->u.sent.n; i++) {
        const struct sp_cli_rcpt_result *r = &ev->u.sent.rcpt[i];

        if (r->accepted)
            continue;
        if (s->more->outbox && !s->dot && all_later(ev))
            s->later = true;
        else if (r->reply.code >= 400)
            refused(s, r, s->rcpt[i].path, ev->u.sent.login_doubt);
        else
            waiting = true;
    }
    if (ev->u.sent.login_doubt)
        say_login(s);
    if (ev->u.sent.unknown)
        s->status =
            sp_fail(EX_TEMPFAIL,
                    "the connection was lost after the message was sent: it may or "
                    "may not have been accepted; if you send it again, keep the "
                    "Message-ID");
    else if (waiting && !s->t.talk.cli.quit_after)
        return;
    s->done = true;
    if (s->t.talk.cli.quit_after) /* nothing was meant to be accepted */
        return;
    if (sp_arg_given(s->a, "json"))
        sent_json(s, t, ev);
    else if (ev->u.sent.accepted && !sp_arg_given(s->a, "quiet"))
        say_accepted(s, t, &ev->u.sent.reply);
    /* The message is with the server: a status that says "failed" because this line could
     * not be written would have scripts send it again. */
    errno = 0;
    if (fflush(stdout) != 0)
        sp_output_lost();
}

/* A server that cannot be verified: how to go on, were it the right one. */
static void say_trust(struct sp_talk *t)
{
    struct sp_tls_facts facts;
    char hex[2 * sizeof facts.cert_sha256 + 1] = "";

    if (!sp_talk_facts(t, &facts) || facts.verified || facts.ended_by_peer)
        return;
    if (facts.peer_cert)
        (void)sp_hex_encode(facts.cert_sha256, sizeof facts.cert_sha256, hex,
                            sizeof hex);
    if (hex[0])
        fprintf(
            stderr,
            "  If it is the right server, this trusts exactly the certificate that it "
            "showed:\n"
            "      --server-pin %s\n"
            "  Compare the fingerprint first with what its administrator says, by "
            "telephone or on\n"
            "  paper: whoever sits between you and the server would show one too.\n",
            hex);
    fputs("  --ca FILE trusts the authority that issued its certificate.\n", stderr);
}

static void on_failed(struct sp_talk *t, const struct sp_talk_failure *f, void *arg)
{
    struct send *s = arg;

    clear_bar(s);
    if (s->done) /* trouble at QUIT changes nothing */
        return;
    s->done = s->failed = true;
    /* It will pass, nothing was taken, and there is a place to wait in. */
    s->later = s->more->outbox && !s->dot &&
               (f->cls == SP_CLASS_TEMPORARY || f->reply.code / 100 == 4);
    if (s->later)
        return;
    fprintf(stderr, "sallyport: ");
    sp_say_text(stderr, sp_str(f->words));
    fputc('\n', stderr);
    if (f->stage == SP_STAGE_HANDSHAKE && f->cls == SP_CLASS_INSECURE)
        say_trust(t);
    if (sp_arg_given(s->a, "json"))
        failed_json(s, f);
    s->status = sp_send_exit(f->stage, f->reply.code, f->cls,
                             f->auth_rejected || f->need_login);
}

static void say_stopped(const struct send *s)
{
    if (sp_arg_given(s->a, "json"))
        print_json(json_pack("{s:b,s:s,s:s,s:s}", "accepted", 0, "stopped_after",
                             s->step, "login", s->login, "pin", s->pin));
    else if (!sp_arg_given(s->a, "quiet"))
        printf("stopped after %s, as asked; nothing was sent\n", s->step);
}

static void on_closed(void *arg)
{
    struct send *s = arg;

    s->talk = NULL;
    if (s->step && !s->stopped && !s->failed && s->status == 0)
        say_stopped(s);
    else if (!s->done && !s->stopped)
        s->status = sp_fail(EX_SOFTWARE, "the session ended without a result");
    if (!uv_is_closing((uv_handle_t *)&s->stop))
        uv_close((uv_handle_t *)&s->stop, NULL);
}

static void on_trace(void *arg, bool from_server, struct sp_str line)
{
    (void)arg;
    fputs(from_server ? "S: " : "C: ", stderr);
    sp_say_text(stderr, line);
    fputc('\n', stderr);
}

static void on_stop(uv_signal_t *h, int sig)
{
    struct send *s = h->data;

    clear_bar(s);
    s->stopped = true;
    if (!s->done) { /* otherwise only the farewell is cut short */
        s->status = 128 + sig;
        (void)sp_fail(
            0, s->dot ? "interrupted after the message was sent: it may have been "
                        "accepted"
                      : "interrupted, nothing was sent");
    }
    if (s->talk)
        sp_talk_abort(s->talk);
}

static int talk(struct send *s)
{
    static const struct sp_talk_ops quiet = {on_ready,  on_body,   on_sent,
                                             on_failed, on_closed, NULL};
    static const struct sp_talk_ops traced = {on_ready,  on_body,   on_sent,
                                              on_failed, on_closed, on_trace};
    struct sp_err err = {
        .cls = SP_CLASS_BUG, .code = SP_ENOMEM, .text = "out of memory"};

    s->bar = isatty(2) && s->size >= BAR_FROM && !sp_arg_given(s->a, "quiet") &&
             !sp_arg_given(s->a, "trace");
    uv_loop_init(&s->loop);
    s->net = sp_net_new(&s->loop);
    uv_signal_init(&s->loop, &s->stop);
    s->stop.data = s;
    uv_signal_start(&s->stop, on_stop, SIGINT);
    s->talk = s->net
                  ? sp_talk_new(s->net, &s->t.talk,
                                sp_arg_given(s->a, "trace") ? &traced : &quiet, s, &err)
                  : NULL;
    if (!s->talk) {
        s->status = sp_fail_err(&err);
        s->done = true;
        uv_close((uv_handle_t *)&s->stop, NULL);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    sp_net_free(s->net);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&s->loop);
    return s->status;
}

static struct sp_str nth_rcpt(void *arg, size_t i)
{
    struct send *s = arg;

    return i < s->n_rcpt ? s->rcpt[i].path : (struct sp_str){NULL, 0};
}

static int leave(struct send *s)
{
    struct sp_outbox_entry e = {.from = s->mail.path,
                                .rcpt = nth_rcpt,
                                .arg = s,
                                .notify = sp_arg(s->a, "notify"),
                                .ret = sp_arg(s->a, "ret"),
                                .envid = sp_arg(s->a, "envid"),
                                .fd = s->out};
    struct sp_err err;

    if (sp_outbox_leave(s->more->outbox, &e, &err) == 0)
        return 0;
    (void)sp_fail_err(&err);
    return err.cls == SP_CLASS_TEMPORARY ? EX_TEMPFAIL : EX_DATAERR;
}

static int prepare(struct send *s)
{
    struct sp_err err = {.cls = SP_CLASS_PEER, .code = SP_EINPUT, .text = ""};
    int rc = open_attachments(s, &err);

    if (rc >= 0)
        rc = open_source(s->a->n_rest ? s->a->rest[0] : "-", &s->in, &err);
    if (rc >= 0)
        rc = examine(s, &err);
    if (rc >= 0)
        rc = compose(s, &err);
    if (rc >= 0)
        rc = sender(s, &err);
    if (rc >= 0)
        rc = recipients(s, &err);
    return rc < 0 ? sp_fail_err(&err) : 0;
}

static void cleanup(struct send *s)
{
    if (s->in.fd >= 0)
        close(s->in.fd);
    if (s->out >= 0)
        close(s->out);
    for (size_t i = 0; i < s->attachments; i++)
        if (s->attached[i].fd >= 0)
            close(s->attached[i].fd);
    sp_buf_free(&s->fields);
    sp_free(s->rcpt);
    sp_arena_reset(&s->names);
    sp_target_free(&s->t);
}

static int use_socket(const struct sp_args *given, const char *path, struct sp_args *ret)
{
    static const struct sp_option server = {"server", 0, "URL", ""};
    static char url[200];

    if (given->n_given == SP_ARGS_MAX)
        return sp_usage_error(given, "too many options");
    snprintf(url, sizeof url, "local:%s", path);
    *ret = *given;
    ret->given[ret->n_given].option = &server;
    ret->given[ret->n_given++].value = url;
    return 0;
}

int sp_send_run(const struct sp_args *given, const struct sp_send_more *more)
{
    static struct send s;
    static struct sp_args a;
    static struct sp_accounts accounts;
    int rc;

    s.a = &a;
    s.more = more;
    s.in.fd = s.out = -1;
    if (given->n_rest > 1)
        return sp_usage_error(given, "one message at a time: `%s` is too much",
                              given->rest[1]);
    sp_accounts_init(&accounts);
    sp_arena_init(&s.names, 64 << 20);
    rc = more->socket ? use_socket(given, more->socket, &a)
                      : sp_accounts_apply(&accounts, given, &a);
    if (rc == 0)
        rc = sp_target_read(&a, &s.t);
    if (rc == 0)
        rc = quit_after(&s);
    if (rc == 0)
        rc = dsn(&s);
    if (rc == 0)
        rc = prepare(&s);
    if (rc == 0)
        rc = talk(&s);
    if (s.later)
        rc = leave(&s);
    cleanup(&s);
    sp_accounts_free(&accounts);
    return rc;
}

static int run(const struct sp_args *a)
{
    static const struct sp_send_more nothing;

    if (sp_arg_given(a, "import-msmtprc"))
        return sp_accounts_import(a->n_rest ? a->rest[0] : NULL);
    return sp_send_run(a, &nothing);
}

const struct sp_command sp_cmd_send = {
    .name = "send",
    .summary = "submit a message",
    .usage = "[--server URL] [--from ADDRESS] [--to ADDRESS ...] [FILE]",
    .more = "The message is FILE or standard input.  What it lacks (Date, Message-ID,\n"
            "From, MIME) is completed, Bcc is removed.  TLS is used and the server\n"
            "verified unless an option says otherwise.  Without --server the account\n"
            "`default` of accounts.conf is used, see sallyport-accounts.conf(5).\n"
            "Exit status: sysexits.h, see sallyport(1).\n",
    .options = options,
    .run = run,
};
