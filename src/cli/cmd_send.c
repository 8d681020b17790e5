/*
 * cmd_send.c - `sallyport send`: submit one message.
 *
 * The message is read twice (what is it? then make it fit), into unnamed files: memory
 * does not grow with its size, and the size is known before MAIL.
 */
#include "alloc.h"
#include "compose.h"
#include "err.h"
#include "sendexit.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 65536, RCPT_MAX = 50000, HEADERS_MAX = 200, ATTACH_MAX = 100,
       ATTACHMENT_MAX = 256 << 20, BAR_FROM = 1 << 20 };

static const struct sp_option options[] = {
    SP_OPT_TARGET,
    {"from", 'f', "ADDRESS", "reverse-path; also From when the message has none"},
    {"to", 't', "ADDRESS", "recipient; may be given again (default: To, Cc, Bcc)"},
    {"header", 'H', "FIELD", "add this header field; may be given again"},
    {"attach", 'a', "FILE", "attach this file; may be given again"},
    {"notify", 0, "WHEN", "ask for notices: never, or success,failure,delay"},
    {"ret", 0, "WHAT", "what a notice returns: full or hdrs"},
    {"envid", 0, "ID", "an identifier that notices repeat"},
    {"quit-after", 0, "STAGE", "stop politely after greeting, ehlo, starttls, auth, mail, rcpt"},
    {"trace", 'v', NULL, "show the dialogue, secrets hidden"},
    {"quiet", 'q', NULL, "say nothing when it went well"},
    SP_OPT_JSON,
    SP_OPT_END,
};

struct send {
    const struct sp_args *a;
    struct sp_target t;
    uv_loop_t loop;
    struct sp_net *net;
    struct sp_talk *talk;
    uv_signal_t stop;
    int in, out; /* files: as given, as it is sent */
    uint64_t size, at;
    struct sp_str header[HEADERS_MAX];
    struct sp_attachment attach[ATTACH_MAX];
    struct sp_buf attached[ATTACH_MAX];
    size_t attachments;
    struct sp_buf fields; /* the finished header, Bcc included */
    struct sp_rcpt *rcpt;
    size_t n_rcpt;
    struct sp_arena names;
    struct sp_mail mail;
    unsigned notify;
    int status;
    bool tried, done, bar;
    char login[300], pin[40];
};

/* ---- the message ---- */

static int temporary(struct sp_err *err)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    int fd;

    dir = dir && *dir ? dir : "/tmp";
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    snprintf(path, sizeof path, "%s/sallyport.XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot make a file in %s", dir);
    (void)unlink(path);
    return fd;
}

static int write_all(int fd, const char *p, size_t n, struct sp_err *err)
{
    while (n) {
        ssize_t k = write(fd, p, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot write a temporary file");
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* Standard input, or the file named, as something that can be read twice. */
static int open_input(struct send *s, struct sp_err *err)
{
    static char block[BLOCK];
    const char *path = s->a->n_rest ? s->a->rest[0] : "-";
    int fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_PEER, SP_ENOENT, "cannot open %s", path);
    if (lseek(fd, 0, SEEK_CUR) >= 0 && !isatty(fd)) {
        s->in = fd;
        return 0;
    }
    if (isatty(fd))
        fputs("Type the message, then Ctrl-D.\n", stderr);
    s->in = temporary(err);
    if (s->in < 0) {
        close(fd);
        return s->in;
    }
    while ((n = read(fd, block, sizeof block)) > 0)
        if (write_all(s->in, block, (size_t)n, err) < 0)
            break;
    close(fd);
    if (n < 0)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read %s", path);
    return n == 0 ? 0 : -SP_EIO;
}

static int read_attachments(struct send *s, struct sp_err *err)
{
    for (size_t i = 0; i < sp_arg_count(s->a, "attach"); i++) {
        const char *path = sp_arg_nth(s->a, "attach", i);
        int rc;

        if (i == ATTACH_MAX)
            return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "more than %d attachments",
                              ATTACH_MAX);
        rc = sp_read_file(path, ATTACHMENT_MAX, &s->attached[i], err);
        if (rc < 0)
            return rc;
        s->attach[i] = (struct sp_attachment){.name = sp_str(path),
                                              .octets = sp_buf_view(&s->attached[i])};
        s->attachments++;
    }
    return 0;
}

static int flush(struct send *s, struct sp_buf *out, struct sp_err *err)
{
    int rc = write_all(s->out, out->p, out->n, err);

    s->size += out->n;
    out->n = 0;
    return rc;
}

/* Runs `feed` over the whole input. */
static int each_block(struct send *s, int (*feed)(struct send *s, struct sp_str in, void *arg),
                      void *arg, struct sp_err *err)
{
    static char block[BLOCK];
    off_t at = 0;
    ssize_t n;
    int rc = 0;

    while (rc >= 0 && (n = pread(s->in, block, sizeof block, at)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read the message");
        at += n;
        rc = feed(s, (struct sp_str){block, (size_t)n}, arg);
    }
    return rc;
}

static int look(struct send *s, struct sp_str in, void *arg)
{
    (void)s;
    return sp_norm_feed(arg, in, NULL);
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

static int compose(struct send *s, struct sp_err *err)
{
    static struct sp_norm facts;
    static struct making m;
    struct sp_compose_opts o = {
        .facts = &facts,
        .add = s->header,
        .attach = s->attach,
        .attach_n = s->attachments,
        .from = sp_str(sp_arg(s->a, "from")),
        .hostname = sp_str(s->t.helo),
        .now_ms = (uint64_t)time(NULL) * 1000,
    };
    time_t now = time(NULL);
    struct tm tm;
    int rc;

    for (size_t i = 0; i < sp_arg_count(s->a, "header") && o.add_n < HEADERS_MAX; i++)
        s->header[o.add_n++] = sp_str(sp_arg_nth(s->a, "header", i));
    localtime_r(&now, &tm);
    o.zone_minutes = (int)(tm.tm_gmtoff / 60);
    if (RAND_bytes(o.random, sizeof o.random) != 1)
        return sp_err_set(err, SP_CLASS_BUG, SP_EIO, "no random numbers");
    sp_norm_init(&facts);
    rc = each_block(s, look, &facts, err);
    if (rc >= 0)
        rc = sp_norm_end(&facts, NULL);
    s->out = rc >= 0 ? temporary(err) : -1;
    if (s->out < 0)
        return -SP_EIO;
    m.err = err;
    sp_compose_init(&m.c, &o);
    sp_buf_init(&m.out, 8 << 20);
    rc = each_block(s, make, &m, err);
    while (rc >= 0) {
        rc = sp_compose_end(&m.c, &m.out);
        if (rc < 0)
            *err = m.c.err;
        if (rc < 0 || flush(s, &m.out, err) < 0 || rc == 0)
            break;
    }
    if (rc >= 0) {
        sp_buf_init(&s->fields, SP_COMPOSE_HEADER_MAX);
        rc = sp_buf_str(&s->fields, sp_buf_view(&m.c.fields));
        s->mail.body = m.c.body_8bit ? SP_BODY_8BITMIME : SP_BODY_UNSET;
        s->mail.smtputf8 = m.c.header_8bit;
    }
    sp_compose_free(&m.c);
    sp_buf_free(&m.out);
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

static int add_rcpt(struct send *s, struct sp_str address, struct sp_err *err)
{
    struct sp_addr a;
    struct sp_rcpt *v;

    if (sp_addr_parse(address, SP_ADDR_UTF8_OK | SP_ADDR_POSTMASTER, &a) != SP_ADDR_OK)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "`%.*s` is no address to send to",
                          (int)(address.n > 200 ? 200 : address.n), address.p);
    for (size_t i = 0; i < s->n_rcpt; i++)
        if (sp_addr_equal(s->rcpt[i].path, sp_addr_text(&a)))
            return 0;
    if (s->n_rcpt == RCPT_MAX)
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "more than %d recipients", RCPT_MAX);
    v = sp_realloc(s->rcpt, (s->n_rcpt + 1) * sizeof *v);
    if (!v)
        return sp_err_nomem(err);
    s->rcpt = v;
    s->rcpt[s->n_rcpt++] = (struct sp_rcpt){
        .path = sp_arena_copy(&s->names, sp_addr_text(&a)), .notify = s->notify};
    s->mail.smtputf8 |= not_ascii(sp_addr_text(&a));
    return 0;
}

static int recipients(struct send *s, struct sp_err *err)
{
    struct sp_rcpt_iter it;
    struct sp_mbox m;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sp_arg_count(s->a, "to"); i++)
        rc = add_rcpt(s, sp_str(sp_arg_nth(s->a, "to", i)), err);
    if (rc < 0 || sp_arg_count(s->a, "to"))
        return rc;
    sp_rcpt_start(&it, sp_buf_view(&s->fields));
    while (rc == 0 && (rc = sp_rcpt_next(&it, &m)) > 0)
        rc = add_rcpt(s, sp_addr_text(&m.addr), err);
    if (rc == 0 && s->n_rcpt == 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "there is nobody to send to: give --to, or a To field");
    return rc == -SP_EINPUT && !err->text[0]
               ? sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "the recipient fields are malformed")
               : rc;
}

/* --from, else the first From mailbox. */
static int sender(struct send *s, struct sp_err *err)
{
    const char *from = sp_arg(s->a, "from");
    struct sp_field f;
    struct sp_mbox_iter it;
    struct sp_mbox m;
    struct sp_addr a;

    if (from && strcmp(from, "<>") == 0)
        from = "";
    if (!from) {
        if (!sp_header_find(sp_buf_view(&s->fields), "From", 0, &f))
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "who is the sender? give --from");
        sp_mbox_start(&it, f.value, SP_ADDR_UTF8_OK);
        if (sp_mbox_next(&it, &m) <= 0)
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "the From field is malformed");
        a = m.addr;
    } else if (sp_addr_parse(sp_str(from), SP_ADDR_UTF8_OK | SP_ADDR_NULL_OK, &a) !=
               SP_ADDR_OK) {
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "`%s` is no sender address", from);
    }
    s->mail.path = sp_arena_copy(&s->names, sp_addr_text(&a));
    s->mail.smtputf8 |= not_ascii(s->mail.path);
    return 0;
}

static int dsn(struct send *s)
{
    struct sp_str rest = sp_str(sp_arg(s->a, "notify")), ret = sp_str(sp_arg(s->a, "ret"));

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
            return sp_usage_error(s->a, "--notify: `%.*s` is not never, success, failure or "
                                  "delay", (int)w.n, w.p);
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
    const char *name = sp_arg(s->a, "quit-after");

    if (!name)
        return 0;
    for (int st = SP_STAGE_CONNECT; st <= SP_STAGE_QUIT; st++)
        if (strcmp(sp_cli_stage_name((enum sp_cli_stage)st), name) == 0) {
            s->t.talk.cli.quit_after = (unsigned)st;
            return 0;
        }
    return sp_usage_error(s->a, "--quit-after: there is no stage `%s`", name);
}

/* ---- the session ---- */

static void on_ready(struct sp_talk *t, enum sp_cli_login login, enum sp_mech mech,
                     struct sp_str words, struct sp_str pin, void *arg)
{
    struct send *s = arg;
    struct sp_err err;

    (void)login;
    (void)mech;
    if (words.n)
        snprintf(s->login, sizeof s->login, "%.*s", (int)(words.n > 250 ? 250 : words.n), words.p);
    if (pin.n)
        snprintf(s->pin, sizeof s->pin, "%.*s", (int)(pin.n > 30 ? 30 : pin.n), pin.p);
    if (s->tried) {
        sp_talk_quit(t);
        return;
    }
    s->tried = true;
    if (sp_talk_mail(t, &s->mail, s->rcpt, s->n_rcpt, s->size, &err) == 0)
        return;
    s->status = sp_fail_err(&err);
    s->done = true;
    sp_talk_quit(t);
}

static void bar(struct send *s)
{
    enum { WIDTH = 40 };
    unsigned done = s->size ? (unsigned)(s->at * WIDTH / s->size) : WIDTH;

    if (!s->bar)
        return;
    fprintf(stderr, "\r[%.*s%*s] %3u %%", (int)done, "########################################",
            (int)(WIDTH - done), "", s->size ? (unsigned)(s->at * 100 / s->size) : 100);
    fflush(stderr);
}

static void on_body(struct sp_talk *t, void *arg)
{
    struct send *s = arg;
    static char block[BLOCK];

    while (s->at < s->size) {
        ssize_t n = pread(s->out, block, sizeof block, (off_t)s->at);
        size_t took;

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
    sp_talk_body_end(t);
}

static void say_reply(FILE *out, const struct sp_reply *r)
{
    fprintf(out, "%d ", r->code);
    if (r->enh[0])
        fprintf(out, "%d.%d.%d ", r->enh[0], r->enh[1], r->enh[2]);
    sp_say_text(out, r->text);
}

static void on_sent(struct sp_talk *t, const struct sp_cli_event *ev, void *arg)
{
    struct send *s = arg;
    char peer[100];

    s->done = true;
    if (s->bar)
        fputs("\r\033[K", stderr);
    for (size_t i = 0; i < ev->u.sent.n; i++)
        if (!ev->u.sent.rcpt[i].accepted && !ev->u.sent.unknown) {
            fputs("sallyport: not accepted for ", stderr);
            sp_say_text(stderr, s->rcpt[i].path);
            fputs(": ", stderr);
            say_reply(stderr, &ev->u.sent.rcpt[i].reply);
            fputc('\n', stderr);
            s->status = sp_send_exit(ev->u.sent.rcpt[i].stage, ev->u.sent.rcpt[i].reply.code,
                                     SP_CLASS_PEER, false);
        }
    if (ev->u.sent.unknown) {
        s->status = sp_fail(EX_TEMPFAIL,
                            "the connection was lost after the message was sent: it may or "
                            "may not have been accepted; if you send it again, keep the "
                            "Message-ID");
        return;
    }
    if (!ev->u.sent.accepted || sp_arg_given(s->a, "quiet"))
        return;
    sp_talk_peer(t, peer, sizeof peer);
    printf("accepted by %s: ", peer);
    say_reply(stdout, &ev->u.sent.reply);
    putchar('\n');
    if (s->login[0] && sp_arg_given(s->a, "trace"))
        fprintf(stderr, "login: %s\n", s->login);
}

static void on_failed(struct sp_talk *t, const struct sp_talk_failure *f, void *arg)
{
    struct send *s = arg;

    (void)t;
    if (s->bar)
        fputs("\r\033[K", stderr);
    if (s->done) /* trouble at QUIT changes nothing */
        return;
    s->done = true;
    fprintf(stderr, "sallyport: ");
    sp_say_text(stderr, sp_str(f->words));
    fputc('\n', stderr);
    s->status = sp_send_exit(f->stage, f->reply.code, f->cls, f->auth_rejected);
}

static void on_closed(void *arg)
{
    struct send *s = arg;

    s->talk = NULL;
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

    (void)sig;
    s->status = 130;
    s->done = true;
    if (s->at == s->size && s->size)
        fputs("\nsallyport: interrupted after the message was sent: it may have been "
              "accepted\n", stderr);
    else
        fputs("\nsallyport: interrupted, nothing was sent\n", stderr);
    if (s->talk)
        sp_talk_abort(s->talk);
}

static int talk(struct send *s)
{
    static const struct sp_talk_ops quiet = {on_ready, on_body, on_sent,
                                             on_failed, on_closed, NULL};
    static const struct sp_talk_ops traced = {on_ready, on_body, on_sent,
                                              on_failed, on_closed, on_trace};
    struct sp_err err;

    s->bar = isatty(2) && s->size >= BAR_FROM && !sp_arg_given(s->a, "quiet") &&
             !sp_arg_given(s->a, "trace");
    uv_loop_init(&s->loop);
    s->net = sp_net_new(&s->loop);
    uv_signal_init(&s->loop, &s->stop);
    s->stop.data = s;
    uv_signal_start(&s->stop, on_stop, SIGINT);
    s->talk = s->net ? sp_talk_new(s->net, &s->t.talk,
                                   sp_arg_given(s->a, "trace") ? &traced : &quiet, s, &err)
                     : NULL;
    if (!s->talk) {
        s->status = sp_fail_err(&err);
        uv_close((uv_handle_t *)&s->stop, NULL);
    }
    uv_run(&s->loop, UV_RUN_DEFAULT);
    sp_net_free(s->net);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&s->loop);
    return s->status;
}

static int prepare(struct send *s)
{
    struct sp_err err = {.cls = SP_CLASS_PEER, .code = SP_EINPUT, .text = ""};
    int rc = open_input(s, &err);

    if (rc >= 0)
        rc = read_attachments(s, &err);
    if (rc >= 0)
        rc = compose(s, &err);
    if (rc >= 0)
        rc = sender(s, &err);
    if (rc >= 0)
        rc = recipients(s, &err);
    return rc < 0 ? sp_fail_err(&err) : 0;
}

static int run(const struct sp_args *a)
{
    static struct send s;
    int rc;

    s.a = a;
    s.in = s.out = -1;
    if (a->n_rest > 1)
        return sp_usage_error(a, "one message at a time: `%s` is too much", a->rest[1]);
    sp_arena_init(&s.names, 64 << 20);
    rc = sp_target_read(a, &s.t);
    if (rc == 0)
        rc = quit_after(&s);
    if (rc == 0)
        rc = dsn(&s);
    if (rc == 0)
        rc = prepare(&s);
    if (rc == 0)
        rc = talk(&s);
    if (s.in >= 0)
        close(s.in);
    if (s.out >= 0)
        close(s.out);
    for (size_t i = 0; i < s.attachments; i++)
        sp_buf_free(&s.attached[i]);
    sp_buf_free(&s.fields);
    sp_free(s.rcpt);
    sp_arena_reset(&s.names);
    sp_target_free(&s.t);
    return rc;
}

const struct sp_command sp_cmd_send = {
    .name = "send",
    .summary = "submit a message",
    .usage = "--server URL [--from ADDRESS] [--to ADDRESS ...] [FILE]",
    .more = "The message is FILE or standard input.  What it lacks (Date, Message-ID, From,\n"
            "MIME) is completed, Bcc is removed.  TLS is used and the server verified unless\n"
            "an option says otherwise.  Exit status: sysexits.h.\n",
    .options = options,
    .run = run,
};
