/* cli.c - see cli.h. */
#include "cli.h"

#include "conf_in.h"
#include "datadir.h"
#include "err.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* ---- help ---- */

static void list_sub(const struct sp_command *cmd, FILE *out)
{
    for (size_t i = 0; cmd->sub && cmd->sub[i]; i++)
        fprintf(out, "  %-12s %s\n", cmd->sub[i]->name, cmd->sub[i]->summary);
}

void sp_command_help(const struct sp_command *cmd, const char *path, FILE *out)
{
    fprintf(out, "%s - %s\n\nusage: %s %s\n", path, cmd->summary, path,
            cmd->usage ? cmd->usage
            : cmd->sub ? "COMMAND [OPTION ...]"
                       : "[OPTION ...]");
    if (cmd->sub) {
        fputs("\ncommands:\n", out);
        list_sub(cmd, out);
    }
    fputs("\noptions:\n", out);
    for (const struct sp_option *o = cmd->options; o && o->name; o++) {
        char left[80];

        snprintf(left, sizeof left, "%c%c%c --%s%s%s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
                 o->arg ? " " : "", o->arg ? o->arg : "");
        if (strlen(left) > 30)
            fprintf(out, "  %s\n  %-30s %s\n", left, "", o->help);
        else
            fprintf(out, "  %-30s %s\n", left, o->help);
    }
    fprintf(out, "  %-30s %s\n", "-h, --help", "this text");
    if (cmd->more)
        fprintf(out, "\n%s", cmd->more);
}

/* ---- what was meant ---- */

static int no_command(const struct sp_command *cmd, const char *path, const char *word)
{
    struct conf_nearest near = {.want = sp_str(word)};

    for (size_t i = 0; cmd->sub && cmd->sub[i]; i++)
        conf_near(&near, cmd->sub[i]->name);
    fputs("sallyport: there is no command `", stderr);
    sp_say_text(stderr, sp_str(word));
    if (near.best)
        fprintf(stderr, "`; did you mean `%s %s`?\n", path, near.best);
    else
        fprintf(stderr, "`; `%s --help` lists them\n", path);
    return EX_USAGE;
}

static const struct sp_command *find_sub(const struct sp_command *cmd, const char *word)
{
    for (size_t i = 0; cmd->sub && cmd->sub[i]; i++)
        if (strcmp(cmd->sub[i]->name, word) == 0)
            return cmd->sub[i];
    return NULL;
}

/* `sallyport help user add`: words are what stands behind "help". */
static int help_about(const struct sp_command *cmd, const char *path,
                      char *const *words, size_t n)
{
    char whole[200];

    snprintf(whole, sizeof whole, "%s", path);
    for (size_t i = 0; i < n; i++) {
        const struct sp_command *sub = find_sub(cmd, words[i]);
        size_t len = strlen(whole);

        if (!sub)
            return no_command(cmd, whole, words[i]);
        snprintf(whole + len, sizeof whole - len, " %s", words[i]);
        cmd = sub;
    }
    sp_command_help(cmd, whole, stdout);
    return 0;
}

/* A word that begins with two hyphens and is no option, or the beginning of several. */
static void no_long_option(const struct sp_command *cmd, struct sp_str word)
{
    static const char *const secrets[] = {"password", "passwd", "pass", "token"};
    struct sp_str rest = word,
                  name = sp_str_cut(&rest, '='); /* the value stays unsaid */
    struct conf_nearest near = {.want = name};
    bool has_secret = false;
    size_t begin = 0;

    fputs("sallyport: --", stderr);
    sp_say_text(stderr, name);
    for (const struct sp_option *o = cmd->options; o && o->name; o++) {
        has_secret = has_secret || strcmp(o->name, "password-file") == 0;
        conf_near(&near, o->name);
        if (strncmp(o->name, name.p, name.n) == 0 && name.n)
            fprintf(stderr, "%s--%s", begin++ ? ", " : " may mean ", o->name);
    }
    if (begin == 0)
        fputs(" is no option", stderr);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (has_secret && sp_str_is(name, secrets[i])) {
            fputs("; a secret is never taken from the command line, where other users "
                  "can read it\n",
                  stderr);
            return;
        }
    if (begin == 0 && near.best)
        fprintf(stderr, "; did you mean --%s?", near.best);
    fputc('\n', stderr);
}

/* ---- parsing ---- */

enum { LONG_BASE = 1000, HELP = 999, OPTIONS_MAX = 62 };

static const struct sp_option *by_value(const struct sp_command *cmd, int c)
{
    if (c >= LONG_BASE)
        return &cmd->options[c - LONG_BASE];
    for (const struct sp_option *o = cmd->options; o && o->name; o++)
        if (o->letter && o->letter == c)
            return o;
    return NULL;
}

/* getopt_long() has found a mistake: c is '?' or ':', the rest is in its globals. */
static int say_mistake(const struct sp_command *cmd, int c, const char *word)
{
    const struct sp_option *o = optopt ? by_value(cmd, optopt) : NULL;

    if (c == ':' && o)
        fprintf(stderr, "sallyport: --%s wants a value: %s, %s\n", o->name, o->arg,
                o->help);
    else if (optopt == HELP || (o && optopt >= LONG_BASE))
        fprintf(stderr, "sallyport: --%s takes no value\n", o ? o->name : "help");
    else if (optopt) {
        char letter = (char)optopt;

        fputs("sallyport: there is no option -", stderr);
        sp_say_text(stderr, (struct sp_str){&letter, 1});
        fputc('\n', stderr);
    } else
        no_long_option(cmd,
                       sp_str(word && strncmp(word, "--", 2) == 0 ? word + 2 : ""));
    return -1;
}

static int collect(const struct sp_command *cmd, int argc, char **argv,
                   struct sp_args *a, bool *ret_help)
{
    struct option longs[OPTIONS_MAX + 2] = {{"help", no_argument, NULL, HELP}};
    char shorts[3 * OPTIONS_MAX] = "+:h";
    size_t n = 1, s = 3;
    int c;

    for (const struct sp_option *o = cmd->options; o && o->name && n < OPTIONS_MAX;
         o++, n++) {
        longs[n] = (struct option){o->name, o->arg ? required_argument : no_argument,
                                   NULL, (int)(LONG_BASE + (o - cmd->options))};
        if (o->letter && s < sizeof shorts - 3) {
            shorts[s++] = o->letter;
            if (o->arg)
                shorts[s++] = ':';
        }
    }
    optind = 0;
    opterr = 0;
    /* Options may stand behind other words, but not behind the name of a subcommand. */
    while ((c = getopt_long(argc, argv, cmd->sub ? shorts : shorts + 1, longs, NULL)) !=
           -1) {
        if (c == 'h' || c == HELP) {
            *ret_help = true;
            return 0;
        }
        if (c == '?' || c == ':')
            return say_mistake(cmd, c, optind > 0 ? argv[optind - 1] : NULL);
        if (a->n_given == SP_ARGS_MAX)
            return sp_fail(-1, "more than %d options", SP_ARGS_MAX);
        a->given[a->n_given].option = by_value(cmd, c);
        a->given[a->n_given++].value = optarg;
    }
    a->rest = argv + optind;
    a->n_rest = (size_t)(argc - optind);
    return 0;
}

int sp_command_run(const struct sp_command *cmd, const char *path, int argc,
                   char **argv)
{
    struct sp_args a = {.cmd = cmd, .path = path};
    const struct sp_command *sub;
    bool help = false;
    char below[200];

    if (collect(cmd, argc, argv, &a, &help) < 0) {
        fprintf(stderr, "`%s --help` lists the options.\n", path);
        return EX_USAGE;
    }
    if (help) {
        sp_command_help(cmd, path, stdout);
        return 0;
    }
    if (!cmd->sub)
        return cmd->run(&a);
    if (a.n_rest == 0) {
        if (a.n_given && cmd->run)
            return cmd->run(&a);
        sp_command_help(cmd, path, stderr);
        return EX_USAGE;
    }
    sub = find_sub(cmd, a.rest[0]);
    if (!sub && strcmp(a.rest[0], "help") == 0)
        return help_about(cmd, path, a.rest + 1, a.n_rest - 1);
    if (!sub)
        return no_command(cmd, path, a.rest[0]);
    snprintf(below, sizeof below, "%s %s", path, a.rest[0]);
    return sp_command_run(sub, below, (int)a.n_rest, (char **)a.rest);
}

const char *sp_arg_nth(const struct sp_args *a, const char *name, size_t i)
{
    for (size_t k = 0; k < a->n_given; k++)
        if (strcmp(a->given[k].option->name, name) == 0 && i-- == 0)
            return a->given[k].value ? a->given[k].value : "";
    return NULL;
}

size_t sp_arg_count(const struct sp_args *a, const char *name)
{
    size_t n = 0;

    while (sp_arg_nth(a, name, n))
        n++;
    return n;
}

const char *sp_arg(const struct sp_args *a, const char *name)
{
    size_t n = sp_arg_count(a, name);

    return n ? sp_arg_nth(a, name, n - 1) : NULL;
}

bool sp_arg_given(const struct sp_args *a, const char *name)
{
    return sp_arg_count(a, name) > 0;
}

/* ---- saying ---- */

/* Quotes and backslashes are harmless to a terminal; the rest is escaped as in the log. */
void sp_age_text(long long ms, char out[24])
{
    long long s = ms > 0 ? ms / 1000 : 0;

    if (s < 120)
        snprintf(out, 24, "%llds", s);
    else if (s < 7200)
        snprintf(out, 24, "%lldm", s / 60);
    else if (s < 172800)
        snprintf(out, 24, "%lldh", s / 3600);
    else
        snprintf(out, 24, "%lldd", s / 86400);
}

void sp_say_text(FILE *out, struct sp_str s)
{
    struct sp_buf b;
    size_t from = 0;

    sp_buf_init(&b, 4 * s.n + 16);
    for (size_t i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != '"' && s.p[i] != '\\')
            continue;
        (void)sp_put_escaped(&b, (struct sp_str){s.p + from, i - from});
        if (i < s.n)
            (void)sp_buf_put(&b, s.p + i, 1);
        from = i + 1;
    }
    if (b.n)
        fwrite(b.p, 1, b.n, out);
    sp_buf_free(&b);
}

int sp_fail(int status, const char *fmt, ...)
{
    va_list ap;

    fputs("sallyport: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return status;
}

int sp_fail_err(const struct sp_err *err)
{
    static const struct {
        enum sp_code code;
        int status;
    } by_code[] = {
        {SP_EDENIED, EX_NOPERM}, {SP_ENOENT, EX_NOINPUT},     {SP_EEXIST, EX_CANTCREAT},
        {SP_EINPUT, EX_DATAERR}, {SP_EIO, EX_IOERR},          {SP_EAGAIN, EX_TEMPFAIL},
        {SP_ENOMEM, EX_OSERR},   {SP_ELIMIT, EX_DATAERR},     {SP_EVERSION, EX_CONFIG},
        {SP_ENOSPC, EX_IOERR},   {SP_ETIMEDOUT, EX_TEMPFAIL}, {SP_ECLOSED, EX_TEMPFAIL},
    };
    int status = EX_SOFTWARE;

    for (size_t i = 0; i < sizeof by_code / sizeof by_code[0]; i++)
        if (by_code[i].code == err->code)
            status = by_code[i].status;
    return sp_fail(status, "%s", err->text);
}

int sp_usage_error(const struct sp_args *a, const char *fmt, ...)
{
    va_list ap;

    fputs("sallyport: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nusage: %s %s\n", a->path ? a->path : a->cmd->name,
            a->cmd->usage ? a->cmd->usage : "");
    return EX_USAGE;
}

void sp_output_lost(void)
{
    /* A reader that has seen enough (`| head`) is no mistake to speak of. */
    if (errno != EPIPE)
        fprintf(stderr, "sallyport: cannot write the output%s%s\n", errno ? ": " : "",
                errno ? strerror(errno) : "");
    clearerr(stdout);
}

/* ---- files and secrets ---- */

/* Not there, not for us, not a file: what sysexits.h calls no input. */
static bool no_input(int e)
{
    return e == ENOENT || e == EACCES || e == EPERM || e == EISDIR || e == ENOTDIR ||
           e == ELOOP;
}

int sp_read_file(const char *path, size_t max, struct sp_buf *out, struct sp_err *err)
{
    int fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;
    int rc = 0;

    sp_buf_init(out, max);
    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_PEER, no_input(errno) ? SP_ENOENT : SP_EIO,
                          "cannot open %s", path);
    while (n > 0) {
        char *room = sp_buf_room(out, max - out->n < 65536 ? max - out->n : 65536);
        size_t cap = max - out->n < 65536 ? max - out->n : 65536;

        if (!room || cap == 0) {
            close(fd);
            sp_buf_free(out);
            return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT,
                              "%s is larger than %zu octets", path, max);
        }
        n = read(fd, room, cap);
        if (n > 0)
            out->n += (size_t)n;
    }
    if (n < 0)
        rc = sp_err_sys(err, SP_CLASS_TEMPORARY, no_input(errno) ? SP_ENOENT : SP_EIO,
                        "cannot read %s", path);
    close(fd);
    return rc;
}

/* One line, without its end. */
static void first_line(struct sp_buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->p[i] == '\n' || b->p[i] == '\r') {
            sp_wipe(b->p + i, b->n - i);
            b->n = i;
            return;
        }
}

static int64_t monotonic_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What a program prints, until it ends, 64 K are there, or its time is over. */
static int read_output(int fd, struct sp_buf *out, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - monotonic_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char *room = sp_buf_room(out, 4096);
        ssize_t n;

        if (!room)
            return -SP_ELIMIT;
        if (left <= 0)
            return -SP_EAGAIN;
        if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
            return -SP_EIO;
        if (p.revents == 0)
            continue;
        n = read(fd, room, 4096);
        if (n < 0 && errno != EINTR)
            return -SP_EIO;
        if (n == 0)
            return 0;
        out->n += n > 0 ? (size_t)n : 0;
    }
}

/* It stays in our process group: it may ask for a passphrase on the terminal. */
static pid_t start_shell(const char *command, int out)
{
    char *const argv[] = {(char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c",
                          (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t fa;
    pid_t pid;
    int rc;

    if (posix_spawn_file_actions_init(&fa) != 0)
        return -1;
    posix_spawn_file_actions_adddup2(&fa, out, 1);
    rc = posix_spawn(&pid, "/bin/sh", &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    errno = rc;
    return rc ? -1 : pid;
}

/* By the user's shell, as `password-command = pass show mail` wants.  The command comes
 * from the user's own options; no octet of anybody else's is in it. */
static int from_command(const char *command, struct sp_buf *out, struct sp_err *err)
{
    enum { LIMIT_MS = 120000 }; /* somebody may be typing a passphrase */
    int fd[2], status = 0, rc;
    pid_t pid;

    sp_buf_init(out, 65536);
    if (pipe2(fd, O_CLOEXEC) < 0)
        return sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "cannot run `%s`", command);
    pid = start_shell(command, fd[1]);
    close(fd[1]);
    rc = pid < 0 ? -SP_EIO : read_output(fd[0], out, monotonic_ms() + LIMIT_MS);
    close(fd[0]);
    if (pid < 0)
        return sp_err_sys(err, SP_CLASS_BUG, SP_EIO, "cannot run `%s`", command);
    if (rc < 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc < 0) {
        sp_buf_wipe(out);
        return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "`%s` %s", command,
                          rc == -SP_EAGAIN ? "did not end in two minutes" : "prints too much");
    }
    if (status != 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "`%s` ended with status %d",
                          command, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    first_line(out);
    return 0;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

/* A line without echo; false: Ctrl-C.  It is asked for when the echo is off: who types at
 * once would see the password, and it would be thrown away with the rest.  Without a
 * handler of our own a Ctrl-C would leave the terminal silent, or, where somebody catches
 * it already, not reach the read. */
static bool quiet_line(FILE *tty, const struct termios *was, const char *prompt,
                       char *line, int cap)
{
    struct sigaction stop = {.sa_handler = on_interrupt}, before;
    struct termios quiet = *was;

    interrupted = 0;
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, &before);
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
    dprintf(fileno(tty), "%s: ", prompt);
    if (!fgets(line, cap, tty))
        line[0] = '\0';
    tcsetattr(fileno(tty), TCSAFLUSH, was);
    sigaction(SIGINT, &before, NULL);
    return !interrupted;
}

static int ask(const char *prompt, struct sp_buf *out, struct sp_err *err)
{
    struct termios was;
    FILE *tty = fopen("/dev/tty", "r+e");
    char line[1024];
    bool ok;

    if (!tty || tcgetattr(fileno(tty), &was) < 0) {
        if (tty)
            fclose(tty);
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                          "no password was given and there is no terminal to ask on");
    }
    setvbuf(tty, NULL, _IONBF, 0); /* no copy of the password in a buffer of stdio's */
    ok = quiet_line(tty, &was, prompt, line, sizeof line);
    dprintf(fileno(tty), "\n");
    fclose(tty);
    sp_buf_init(out, sizeof line);
    if (ok)
        (void)sp_buf_puts(out, line);
    first_line(out);
    sp_wipe(line, sizeof line);
    return ok ? 0 : sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "interrupted");
}

/* Where it came from: an empty secret is never what was meant. */
static int nothing_in(struct sp_buf *out, struct sp_err *err, const char *where,
                      const char *what)
{
    if (out->n)
        return 0;
    return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "%s%s", where, what);
}

int sp_read_secret(const struct sp_args *a, const char *file_option,
                   const char *command_option, const char *variable, const char *prompt,
                   struct sp_buf *out, struct sp_err *err)
{
    const char *file = file_option ? sp_arg(a, file_option) : NULL;
    const char *command = command_option ? sp_arg(a, command_option) : NULL;
    const char *env = variable ? getenv(variable) : NULL;
    int rc;

    if (file) {
        rc = sp_read_file(file, 65536, out, err);
        if (rc == 0)
            first_line(out);
        return rc ? rc
                  : nothing_in(out, err, file,
                               " holds no secret: its first line is empty");
    }
    if (command) {
        rc = from_command(command, out, err);
        return rc ? rc : nothing_in(out, err, command, " printed no secret");
    }
    if (env && *env) {
        sp_buf_init(out, 65536);
        return sp_buf_puts(out, env);
    }
    if (!prompt)
        return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "no password was given");
    rc = ask(prompt, out, err);
    return rc ? rc : nothing_in(out, err, "nothing was typed", "");
}

/* ---- configuration ---- */

struct sp_conf *sp_load_conf(const struct sp_args *a, bool warnings, int *ret_status)
{
    const char *path = sp_arg(a, "config");
    struct sp_conf_errors errs;
    struct sp_conf *c;
    struct sp_buf text;

    sp_conf_errors_init(&errs);
    if (!path && access(SP_CONFIG_PATH, F_OK) == 0)
        path = SP_CONFIG_PATH;
    c = path ? sp_conf_load(path, &errs) : sp_conf_parse(SP_LIT(""), NULL, &errs);
    sp_buf_init(&text, 1 << 20);
    if ((!c || warnings) && errs.n &&
        sp_conf_errors_render(&errs, &text, isatty(2)) == 0)
        fwrite(text.p, 1, text.n, stderr);
    sp_buf_free(&text);
    sp_conf_errors_free(&errs);
    if (!c)
        *ret_status = EX_CONFIG;
    return c;
}

const char *sp_data_dir(const struct sp_args *a, struct sp_conf **ret_conf,
                        int *ret_status)
{
    const char *dir = sp_arg(a, "data");

    *ret_conf = NULL;
    if (dir)
        return dir;
    *ret_conf = sp_load_conf(a, false, ret_status);
    return *ret_conf ? (*ret_conf)->data_directory : NULL;
}

int sp_become_keeper(const char *data_dir, const char *part, struct sp_err *err)
{
    char path[4200];
    struct stat st, own;

    if (stat(data_dir, &st) < 0)
        return sp_err_sys(err, SP_CLASS_PEER, SP_ENOENT, "no data directory %s",
                          data_dir);
    /* The directory is root's (firstrun.c), what the roles keep in it is theirs. */
    (void)sp_data_path(path, sizeof path, data_dir, part, "");
    if (st.st_uid == 0 && lstat(path, &own) == 0 && S_ISDIR(own.st_mode))
        st = own;
    (void)sp_data_path(path, sizeof path, data_dir, SP_DATA_USERS, "users.db");
    if (st.st_uid == 0 && lstat(path, &own) == 0 && S_ISREG(own.st_mode))
        st = own; /* as older versions had it */
    if (geteuid() != 0 || st.st_uid == 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
        return sp_err_sys(err, SP_CLASS_BUG, SP_EDENIED,
                          "cannot become the owner of %s", data_dir);
    return 0;
}

int sp_become_owner(const char *data_dir, struct sp_err *err)
{
    return sp_become_keeper(data_dir, SP_DATA_QUEUE, err);
}
