/*
 * cmd_check.c - `sallyport check`: what is wrong with a mail server.
 *
 * Here are the options, the terminal and the files; what is found, and how, is
 * in src/check.
 */
#include "accounts.h"
#include "addr.h"
#include "err.h"
#include "grade.h"
#include "probe.h"
#include "report.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WORD_MAX = 300, FACT_PORT = 8 };

static const struct sp_option options[] = {
    {"account", 'A', "NAME", "server and login from accounts.conf"},
    SP_OPT_SERVER,
    {"tls", 0, NULL, "TLS from the first octet (usual on port 465)"},
    {"starttls", 0, NULL, "STARTTLS, whatever the port"},
    {"profile", 'p', "WHICH",
     "submission (default), or mx: a server for incoming mail"},
    {"bad-cert", 0, "FILE",
     "client certificate that must be refused (expired, revoked), "
     "with its key"},
    {"bad-key", 0, "FILE", "its key, when it is in a file of its own"},
    {"thorough", 0, NULL,
     "all checks but the intrusive: more connections and failed "
     "logins"},
    {"intrusive", 0, NULL, "also what may disturb a server or set off its alarms"},
    {"send-to", 0, "ADDRESS", "messages may be sent, to this address"},
    {"send-from", 0, "ADDRESS", "their sender (default: the user)"},
    {"only", 'o', "CHECK[,..]", "only these checks, see --list"},
    {"list", 'l', NULL,
     "what there is to check, and what it costs; connects to nothing"},
    {"dns", 0, "ADDRESS[@PORT]",
     "for --profile mx: this resolver instead of the system's"},
    {"dns-anchor", 0, "RECORD", "DS or DNSKEY record to trust instead of the root's"},
    {"client", 0, NULL, "grade a mail program: -- COMMAND [WORD ...], or --listen"},
    {"listen", 0, "PORT",
     "--client: wait for the program there (implicit TLS: PORT+1)"},
    {"case", 0, "NAME", "--client: only this case, see --client --list"},
    {"stories", 0, "DIR", "--client: the cases of DIR instead of those built in"},
    {"queues", 0, NULL, "--client: COMMAND only queues; its exit status says nothing"},
    {"html", 0, "FILE", "write a page for a browser as well"},
    {"verbose", 'v', NULL, "all that was found and said, before the summary"},
    SP_OPT_JSON,
    SP_OPT_END,
};

struct check {
    const struct sp_args *a;
    struct sp_check_choice choice;
    struct sp_findings *f;
    struct sp_target target;
    char url[WORD_MAX];
    int html; /* -1: none wanted */
    bool terminal;
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

/* The first Ctrl-C ends the run with what there is, the second one ends the
 * program. */
static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore,
              NULL); /* servers close connections; that is a finding */
}

static void leave_signals(void)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};

    sigaction(SIGINT, &usual, NULL);
    sigaction(SIGTERM, &usual, NULL);
    sigaction(SIGPIPE, &usual, NULL);
}

/* ---- progress ---- */

static void on_progress(void *arg, enum sp_check_id id, const char *what, unsigned done,
                        unsigned total)
{
    char line[80];

    (void)arg;
    snprintf(line, sizeof line, "[%u/%u] %s: %s", done + (done < total), total,
             sp_check_row(id)->id, what);
    fputs("\r", stderr);
    sp_say_text(stderr, sp_str(line));
    fputs("\033[K", stderr);
    fflush(stderr);
}

static void progress(struct check *c)
{
    struct sp_progress p = {.said = on_progress};
    const char *term = getenv("TERM");

    c->terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    if (c->terminal)
        sp_findings_progress(c->f, &p);
}

/* ---- options ---- */

/* An address goes into commands as it is: nothing else may. */
static int address(const struct sp_args *a, const char *name, unsigned flags)
{
    const char *v = sp_arg(a, name);
    struct sp_addr parsed;

    if (!v || sp_addr_parse(sp_str(v), SP_ADDR_UTF8_OK | flags, &parsed) == SP_ADDR_OK)
        return 0;
    return sp_usage_error(a, "--%s is a mail address, not `%s`", name, v);
}

static int choose(struct check *c)
{
    const struct sp_args *a = c->a;
    const char *profile = sp_arg(a, "profile");
    struct sp_err err;

    c->choice = (struct sp_check_choice){
        .only = sp_arg(a, "only"),
        .thorough = sp_arg_given(a, "thorough"),
        .intrusive = sp_arg_given(a, "intrusive"),
    };
    if (profile && strcmp(profile, "mx") == 0)
        c->choice.profile = SP_PROFILE_MX;
    else if (profile && strcmp(profile, "submission") != 0)
        return sp_usage_error(a, "--profile is submission or mx, not `%s`", profile);
    if (sp_arg_given(a, "tls") && sp_arg_given(a, "starttls"))
        return sp_usage_error(a, "--tls and --starttls exclude each other");
    if (sp_arg_given(a, "bad-key") && !sp_arg_given(a, "bad-cert"))
        return sp_usage_error(a, "--bad-key needs --bad-cert");
    if (address(a, "send-to", SP_ADDR_POSTMASTER) ||
        address(a, "send-from", SP_ADDR_NULL_OK))
        return EX_USAGE;
    if (sp_findings_choose(c->f, &c->choice, &err) < 0)
        return sp_usage_error(a, "%s", err.text);
    return 0;
}

/* Does HOST[:PORT] name a port?  "::1" does not. */
static bool has_port(const char *s)
{
    const char *colon = strrchr(s, ':');

    return colon && colon > s &&
           (colon[-1] == ']' || strchr(s, ':') == colon || strchr(s, '['));
}

/* HOST[:PORT] as the URL that target.h reads. */
static int make_url(struct check *c, const char *word)
{
    bool mx = c->choice.profile == SP_PROFILE_MX, port = has_port(word);
    bool implicit =
        sp_arg_given(c->a, "tls") || (port && strcmp(strrchr(word, ':'), ":465") == 0 &&
                                      !sp_arg_given(c->a, "starttls"));
    int n;

    if (strstr(word, "://"))
        n = snprintf(c->url, sizeof c->url, "%s", word);
    else
        n = snprintf(c->url, sizeof c->url, "%s://%s%s", implicit ? "smtps" : "smtp",
                     word, mx && !port ? ":25" : "");
    return n < 0 || (size_t)n >= sizeof c->url
               ? sp_usage_error(c->a, "a host name has at most 255 octets")
               : 0;
}

static const struct sp_option *option(const char *name)
{
    const struct sp_option *o = options;

    while (o->name && strcmp(o->name, name) != 0)
        o++;
    return o;
}

/* The word HOST[:PORT] becomes --server, as an account's `server` is. */
static int with_server(struct check *c, struct sp_args *ret)
{
    const struct sp_args *a = c->a;

    *ret = *a;
    if (a->n_rest > 1)
        return sp_usage_error(a, "one server at a time: `%s` is too much", a->rest[1]);
    if (a->n_rest && sp_arg_given(a, "server"))
        return sp_usage_error(a, "`%s` or --server, not both", a->rest[0]);
    if (a->n_rest == 0 && !sp_arg_given(a, "server") && !sp_arg_given(a, "account"))
        return sp_usage_error(a, "which server? `%s HOST[:PORT]`", a->path);
    if (a->n_rest == 0)
        return 0;
    if (a->n_given == SP_ARGS_MAX)
        return sp_fail(EX_USAGE, "more than %d options", SP_ARGS_MAX);
    if (make_url(c, a->rest[0]))
        return EX_USAGE;
    ret->given[ret->n_given].option = option("server");
    ret->given[ret->n_given++].value = c->url;
    ret->n_rest = 0;
    return 0;
}

/* ---- reports ---- */

/* Opened before anything is probed: to find out at the end that it cannot be
 * written would waste the run. */
static int open_html(struct check *c)
{
    const char *path = sp_arg(c->a, "html");

    c->html = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (path && c->html < 0)
        return sp_fail(EX_CANTCREAT, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int write_html(struct check *c, const struct sp_report_opts *o, struct sp_buf *b)
{
    const char *path = sp_arg(c->a, "html");
    struct stat st;
    int rc = 0;

    if (c->html < 0)
        return 0;
    if (sp_report_html(c->f, o, b) < 0)
        return sp_fail(EX_OSERR, "out of memory");
    if (fstat(c->html, &st) == 0 && S_ISREG(st.st_mode))
        rc = ftruncate(c->html, 0);
    for (size_t at = 0; rc == 0 && at < b->n;) {
        ssize_t n = write(c->html, b->p + at, b->n - at);

        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno != EINTR)
            rc = -1;
    }
    if (close(c->html) < 0)
        rc = -1;
    c->html = -1;
    return rc < 0 ? sp_fail(EX_IOERR, "cannot write %s: %s", path, strerror(errno)) : 0;
}

static void screen(struct sp_report_opts *o)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
    struct winsize w;

    if (!isatty(STDOUT_FILENO))
        return;
    o->colour = !(no && *no) && !(term && strcmp(term, "dumb") == 0);
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0) {
        o->width = w.ws_col;
        o->height = w.ws_row;
    }
}

static struct sp_report_opts report_opts(const struct check *c, char *when, size_t cap)
{
    time_t now = time(NULL);
    struct tm tm;

    if (!gmtime_r(&now, &tm) || strftime(when, cap, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        when[0] = '\0';
    return (struct sp_report_opts){
        .details = sp_arg_given(c->a, "verbose"), .version = SP_VERSION, .time = when};
}

static int print(struct check *c,
                 int (*make)(const struct sp_findings *, const struct sp_report_opts *,
                             struct sp_buf *),
                 const struct sp_report_opts *o)
{
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, SP_REPORT_MAX);
    rc = make(c->f, o, &b);
    if (rc == 0)
        fwrite(b.p, 1, b.n, stdout);
    sp_buf_free(&b);
    return rc < 0 ? sp_fail(EX_OSERR, "out of memory") : 0;
}

static int report(struct check *c)
{
    bool json = sp_arg_given(c->a, "json");
    char when[40];
    struct sp_report_opts o = report_opts(c, when, sizeof when);
    struct sp_buf b;
    int rc, html;

    if (c->terminal)
        fputs("\r\033[K", stderr);
    sp_buf_init(&b, SP_REPORT_MAX);
    html = write_html(c, &o, &b);
    sp_buf_free(&b);
    screen(&o);
    rc = print(c, json ? sp_report_json : sp_report_text, &o);
    return rc ? rc : html ? html : sp_findings_exit(c->f);
}

/* ---- the two sides ---- */

static void known_facts(struct check *c)
{
    const struct sp_talk_opts *t = &c->target.talk;
    char port[FACT_PORT];

    snprintf(port, sizeof port, "%u", (unsigned)t->dial.port);
    sp_findings_fact(c->f, "host", sp_str(t->dial.host));
    sp_findings_fact(c->f, "port", sp_str(port));
    if (t->cli.authcid)
        sp_findings_fact(c->f, "user", sp_str(t->cli.authcid));
}

/* What mail programs must be told as well, if they are to get in as this run did. */
static void known_files(struct check *c, const struct sp_args *a)
{
    const char *cert = sp_arg(a, "certificate"), *key = sp_arg(a, "key");

    sp_findings_fill(c->f, "ca", sp_arg(a, "ca"));
    sp_findings_fill(c->f, "cert", cert);
    sp_findings_fill(c->f, "key", key ? key : cert);
}

static int probe(struct check *c, const struct sp_args *a)
{
    const struct sp_talk_opts *t = &c->target.talk;
    struct sp_probe_options o = {
        .talk = t,
        .tls =
            t->cli.tls == SP_CLI_TLS_IMPLICIT ? SP_PROBE_IMPLICIT : SP_PROBE_STARTTLS,
        .choice = c->choice,
        .ca_path = sp_arg(a, "ca"),
        .cert_path = sp_arg(a, "certificate"),
        .key_path = sp_arg(a, "key"),
        .bad_cert_path = sp_arg(a, "bad-cert"),
        .bad_key_path = sp_arg(a, "bad-key"),
        .send_to = sp_arg(a, "send-to"),
        .send_from = sp_arg(a, "send-from"),
        .dns = sp_arg(a, "dns"),
        .dns_anchor = sp_arg(a, "dns-anchor"),
        .stop = &stopped,
    };
    struct sp_err err;

    o.choice.have |=
        (t->cli.have_password || t->cli.have_token ? SP_NEEDS_PASSWORD : 0u) |
        (t->cli.have_certificate ? SP_NEEDS_CERTIFICATE : 0u) |
        (o.bad_cert_path ? SP_NEEDS_BAD_CERT : 0u) |
        (o.send_to ? SP_NEEDS_SEND_TO : 0u) |
        (o.tls == SP_PROBE_STARTTLS ? SP_NEEDS_STARTTLS : 0u);
    if (sp_findings_choose(c->f, &o.choice, &err) < 0)
        return sp_fail_err(&err);
    known_facts(c);
    known_files(c, a);
    progress(c);
    catch_signals();
    (void)sp_probe_run(&o, c->f); /* what went wrong is in c->f */
    leave_signals();
    sp_findings_finish(c->f);
    return report(c);
}

/* What the prober's own connections would pass by without a word. */
static int not_here(const struct check *c, const struct sp_args *a)
{
    static const char *const names[] = {"no-tls", "opportunistic",
                                        "insecure-clear-password", "kerberos",
                                        "server-pin"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (sp_arg_given(a, names[i]))
            return sp_usage_error(c->a, "--%s is not for `check`", names[i]);
    if (sp_arg_given(a, "socks") && c->choice.profile == SP_PROFILE_MX)
        return sp_usage_error(c->a, "--profile mx asks DNS and web servers as well, and "
                                    "these not through --socks");
    return 0;
}

static int check_server(struct check *c)
{
    static struct sp_args a, merged;
    static struct sp_accounts accounts;
    int rc = with_server(c, &a);

    sp_accounts_init(&accounts);
    if (rc == 0)
        rc = sp_accounts_apply(&accounts, &a, &merged);
    if (rc == 0)
        rc = sp_target_read(&merged, &c->target);
    if (rc == 0 && (c->target.talk.cli.lmtp || c->target.talk.dial.unix_path))
        rc = sp_usage_error(c->a, "LMTP has nothing of what is checked here");
    if (rc == 0)
        rc = not_here(c, &merged);
    if (rc == 0)
        rc = open_html(c);
    if (rc == 0)
        rc = probe(c, &merged);
    sp_target_free(&c->target);
    sp_accounts_free(&accounts);
    return rc;
}

/* ---- mail programs ---- */

/* A number of seconds or a port. */
static int number(const struct check *c, const char *name, uint64_t max, unsigned *ret)
{
    const char *v = sp_arg(c->a, name);
    uint64_t n = 0;

    if (v && (sp_str_u64(sp_str(v), max, &n) < 0 || n == 0))
        return sp_usage_error(c->a, "--%s is a number from 1 to %llu, not `%s`", name,
                              (unsigned long long)max, v);
    *ret = (unsigned)n;
    return 0;
}

static int grade_options(struct check *c, struct sp_grade_options *o)
{
    const struct sp_args *a = c->a;
    unsigned port = 0, seconds = 0;

    *o = (struct sp_grade_options){
        .argv = a->n_rest ? a->rest : NULL, /* NULL-terminated: it is main's argv */
        .choice = c->choice,
        .only_case = sp_arg(a, "case"),
        .story_dir = sp_arg(a, "stories"),
        .ipv6 = sp_arg_given(a, "ipv6"),
        .queues = sp_arg_given(a, "queues"),
        .tell = stderr,
        .ask = isatty(STDIN_FILENO),
        .stop = &stopped,
    };
    if (number(c, "listen", 65534, &port) || number(c, "timeout", 3600, &seconds))
        return EX_USAGE;
    o->listen_port = (uint16_t)port;
    o->timeout_ms = seconds * 1000;
    if (port && a->n_rest)
        return sp_usage_error(a, "--listen waits for a program; it runs no command");
    if (!port && !a->n_rest)
        return sp_usage_error(a,
                              "which program? `%s --client -- COMMAND [WORD ...]`, "
                              "or --listen PORT",
                              a->path);
    return 0;
}

static int list_cases(struct check *c)
{
    struct sp_err err;
    struct sp_buf b;
    int rc;

    sp_buf_init(&b, SP_REPORT_MAX);
    rc = sp_grade_list(sp_arg(c->a, "stories"), &b, &err);
    if (rc == 0)
        fwrite(b.p, 1, b.n, stdout);
    sp_buf_free(&b);
    return rc < 0 ? sp_fail_err(&err) : 0;
}

static int check_client(struct check *c)
{
    struct sp_grade_options o;
    int rc;

    if (sp_arg_given(c->a, "list"))
        return list_cases(c);
    rc = grade_options(c, &o);
    if (rc == 0)
        rc = open_html(c);
    if (rc)
        return rc;
    if (o.argv)
        progress(c);
    catch_signals();
    (void)sp_grade_run(&o, c->f); /* what went wrong is in c->f */
    leave_signals();
    sp_findings_finish(c->f);
    return report(c);
}

static int list(struct check *c)
{
    struct sp_report_opts o = {.colour = false};

    screen(&o);
    return print(c, sp_report_list, &o);
}

static int run(const struct sp_args *a)
{
    struct check c = {.a = a, .html = -1};
    bool client = sp_arg_given(a, "client") || sp_arg_given(a, "listen");
    int rc;

    if (sp_findings_new(client ? SP_SIDE_CLIENT : SP_SIDE_SERVER, &c.f) < 0)
        return sp_fail(EX_OSERR, "out of memory");
    rc = choose(&c);
    if (rc == 0 && client)
        rc = check_client(&c);
    else if (rc == 0)
        rc = sp_arg_given(a, "list") ? list(&c) : check_server(&c);
    if (c.html >= 0)
        close(c.html);
    sp_findings_free(c.f);
    return rc;
}

const struct sp_command sp_cmd_check = {
    .name = "check",
    .summary = "find out what is wrong with a mail server or mail program",
    .usage = "HOST[:PORT] [OPTION ...] | --client [OPTION ...] -- COMMAND "
             "[WORD ...] | --list",
    .more = "Asks the server by real dialogue, with at most 12 connections and 3 "
            "failed\n"
            "logins, and sends no mail unless --send-to allows it.  With --user "
            "and a\n"
            "password, or --certificate, it also finds out how logging in works.\n"
            "With --client it is the other way round: COMMAND is run once for each "
            "case of a\n"
            "server that misbehaves, with a message as standard input.  In its "
            "words {host}\n"
            "{port} {tls-port} {ca} {cert} {key} {user} {password} {password-file} "
            "{message}\n"
            "{message-crlf} {from} {to} {to2} are replaced by what was made for "
            "the run.\n"
            "Exit status: 0 good or advice, 1 some programs do not get along, 2 "
            "broken,\n"
            "3 insecure; 64 and above (sysexits.h) when the check itself failed.\n",
    .options = options,
    .run = run,
};
