/* program.c - see program.h. */
#include "program.h"

#include "alloc.h"
#include "buf.h"
#include "err.h"
#include "frame.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { GROUPS_MAX = 256, VARIABLES = 10 };

/* ---- the outcome ---- */

/* clang-format off */
static const struct sp_program_row rows[] = {
    {EX_OK,          SP__ACTION__ACTION_DELIVERED, "2.0.0", "the command took it"},
    {EX_DATAERR,     SP__ACTION__ACTION_BOUNCE,    "5.6.0", "the command says: wrong data"},
    {EX_NOINPUT,     SP__ACTION__ACTION_BOUNCE,    "5.3.0", "the command says: no input"},
    {EX_NOUSER,      SP__ACTION__ACTION_BOUNCE,    "5.1.1", "the command says: no such user"},
    {EX_NOHOST,      SP__ACTION__ACTION_BOUNCE,    "5.1.2", "the command says: no such host"},
    {EX_UNAVAILABLE, SP__ACTION__ACTION_BOUNCE,    "5.3.0", "the command says: not available"},
    {EX_SOFTWARE,    SP__ACTION__ACTION_BOUNCE,    "5.3.0", "the command says: internal error"},
    {EX_PROTOCOL,    SP__ACTION__ACTION_BOUNCE,    "5.5.0", "the command says: protocol error"},
    {EX_NOPERM,      SP__ACTION__ACTION_BOUNCE,    "5.7.0", "the command says: not permitted"},
    {EX_TEMPFAIL,    SP__ACTION__ACTION_RETRY,     "4.3.0", "the command says: try again later"},
    {EX_OSERR,       SP__ACTION__ACTION_RETRY,     "4.3.0", "the command says: the system fails"},
    {EX_IOERR,       SP__ACTION__ACTION_RETRY,     "4.3.0", "the command says: reading or writing fails"},
    /* An administrator mends these, and the mail waits for that. */
    {EX_USAGE,       SP__ACTION__ACTION_RETRY,     "4.3.5", "the command says: it is called in a wrong way"},
    {EX_CONFIG,      SP__ACTION__ACTION_RETRY,     "4.3.5", "the command says: its configuration is wrong"},
    {EX_OSFILE,      SP__ACTION__ACTION_RETRY,     "4.3.5", "the command says: a file of the system is missing"},
    {EX_CANTCREAT,   SP__ACTION__ACTION_RETRY,     "4.2.0", "the command says: it cannot write its file"},
    {-1,             SP__ACTION__ACTION_BOUNCE,    "5.3.0", "the command failed"},
};
/* clang-format on */

const struct sp_program_row *sp_program_outcome(int status)
{
    size_t i = 0;

    while (rows[i].status >= 0 && rows[i].status != status)
        i++;
    return &rows[i];
}

static void result(struct sp_program_result *ret, Sp__Action action,
                   const char *enhanced, const char *text)
{
    ret->action = action;
    ret->enhanced = enhanced;
    ret->code = action == SP__ACTION__ACTION_DELIVERED ? 250
                : action == SP__ACTION__ACTION_RETRY   ? 450
                                                       : 550;
    snprintf(ret->text, sizeof ret->text, "%s", text);
}

static void later(struct sp_program_result *ret, const char *enhanced, const char *what)
{
    result(ret, SP__ACTION__ACTION_RETRY, enhanced, what);
}

/* ---- words ---- */

int sp_program_words(struct sp_str command, char line[SP_PROGRAM_LINE],
                     const char *ret[SP_PROGRAM_WORDS])
{
    int words = 0;
    size_t out = 0, i = 0;

    while (i < command.n) {
        bool quoted = false;

        if (command.p[i] == ' ' || command.p[i] == '\t') {
            i++;
            continue;
        }
        if (words == SP_PROGRAM_WORDS || out + command.n - i + 1 > SP_PROGRAM_LINE)
            return -SP_ELIMIT;
        ret[words++] = line + out;
        for (;
             i < command.n && (quoted || (command.p[i] != ' ' && command.p[i] != '\t'));
             i++) {
            if (command.p[i] == '"')
                quoted = !quoted;
            else {
                if (command.p[i] == '\\' && quoted && i + 1 < command.n)
                    i++;
                line[out++] = command.p[i];
            }
        }
        line[out++] = '\0';
        if (quoted)
            return -SP_EINPUT;
    }
    return words;
}

struct parts { /* of the recipient's address, and the sender */
    struct sp_str whole, local, domain, extension, sender;
};

static struct parts parts_of(const struct sp_program *p,
                             const struct sp_maildir_mail *m)
{
    struct parts a = {
        .whole = m->to, .local = m->to, .sender = sp_pb_str(m->env->reverse_path)};
    size_t n;

    for (size_t i = m->to.n; i-- > 0;)
        if (m->to.p[i] == '@') {
            a.local.n = i;
            a.domain = (struct sp_str){m->to.p + i + 1, m->to.n - i - 1};
            break;
        }
    /* alice+lists@... went to alice@...: what is between is the extension. */
    n = a.local.n + a.domain.n + 1;
    if (a.domain.n && p->original.n > n + 1 &&
        sp_str_caseeq((struct sp_str){p->original.p, a.local.n}, a.local) &&
        sp_str_caseeq(
            (struct sp_str){p->original.p + p->original.n - a.domain.n, a.domain.n},
            a.domain))
        a.extension =
            (struct sp_str){p->original.p + a.local.n + 1, p->original.n - n - 1};
    return a;
}

static bool plain(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 32 || s.p[i] == 127)
            return false;
    return true;
}

static int put_word(struct sp_buf *out, const char *t, const struct parts *a)
{
    size_t begin = out->n;
    int rc = 0;

    for (const char *c = t; *c && rc == 0; c++) {
        const struct sp_str *s = NULL;

        if (*c == '%' && c[1]) {
            c++;
            s = *c == 'a'   ? &a->whole
                : *c == 'u' ? &a->local
                : *c == 'd' ? &a->domain
                : *c == 'e' ? &a->extension
                : *c == 's' ? &a->sender
                            : NULL;
        }
        if (s && !plain(*s))
            return -SP_EINPUT;
        rc = s ? sp_buf_str(out, *s) : sp_buf_put(out, c, 1);
    }
    /* Argument injection: -oQ/tmp@example.org is an address, and must not be an option. */
    if (rc == 0 && t[0] != '-' && out->n > begin && out->p[begin] == '-')
        return -SP_EINPUT;
    return rc == 0 ? sp_buf_put(out, "", 1) : rc;
}

static int put_variable(struct sp_buf *out, const char *name, struct sp_str value)
{
    int rc = sp_buf_printf(out, "%s=", name);

    for (size_t i = 0; i < value.n && rc == 0; i++) {
        char c = value.p[i];
        int low = sp_lower((unsigned char)c);
        bool fine = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
                    memchr("@.-_+=", c, 6) != NULL;

        rc = sp_buf_put(out, fine ? &c : "_", 1);
    }
    return rc == 0 ? sp_buf_put(out, "", 1) : rc;
}

/* ---- who runs it ---- */

struct account {
    uid_t uid;
    gid_t gid;
    gid_t group[GROUPS_MAX];
    int groups;
    bool change;
    char home[1024];
};

static int find_account(const struct sp_program *p, const struct parts *a,
                        struct account *ret, struct sp_program_result *out)
{
    char name[64], text[8192];
    struct passwd pw, *hit = NULL;

    snprintf(ret->home, sizeof ret->home, "/");
    ret->uid = geteuid();
    ret->gid = getegid();
    if (p->run_as) {
        struct sp_str s = strcmp(p->run_as, "%u") == 0 ? a->local : sp_str(p->run_as);

        snprintf(name, sizeof name, "%.*s", (int)(s.n < 63 ? s.n : 63), s.p);
        if (s.n >= sizeof name || getpwnam_r(name, &pw, text, sizeof text, &hit) != 0 ||
            !hit) {
            later(out, "4.3.5", "there is no such system user to run the command as");
            return -1;
        }
        ret->change = pw.pw_uid != ret->uid;
        ret->uid = pw.pw_uid;
        ret->gid = pw.pw_gid;
        snprintf(ret->home, sizeof ret->home, "%s", pw.pw_dir);
        ret->groups = GROUPS_MAX;
        if (getgrouplist(name, pw.pw_gid, ret->group, &ret->groups) < 0)
            ret->groups = 0;
    }
    if (ret->uid != 0 && ret->gid != 0)
        return 0;
    later(out, "4.3.5", "a command is never run as root; run-as names another user");
    return -1;
}

int sp_program_keep_rights(unsigned uid, unsigned gid)
{
    const uint32_t keep = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{keep, keep, 0}, {0, 0, 0}};

    if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return -1;
    return (int)syscall(SYS_capset, &head, data);
}

/* ---- running ---- */

struct run {
    char *argv[SP_PROGRAM_WORDS + 1];
    char *envp[VARIABLES + 1];
    struct sp_buf args, env;
    struct account who;
    int in, out[2];
};

static void split(struct sp_buf *b, char **ret, size_t max)
{
    size_t n = 0;

    for (size_t at = 0; at < b->n && n < max; at += strlen(b->p + at) + 1)
        ret[n++] = b->p + at;
    ret[n] = NULL;
}

static int prepare(struct run *r, const struct sp_program *p, const struct parts *a)
{
    int rc = 0;

    for (size_t i = 0; i < p->argc && i < SP_PROGRAM_WORDS && rc == 0; i++)
        rc = p->plain ? sp_buf_put(&r->args, p->argv[i], strlen(p->argv[i]) + 1)
                      : put_word(&r->args, p->argv[i], a);
    if (rc == 0 && (sp_buf_put(&r->env, "PATH=/usr/bin:/bin", 19) < 0 ||
                    sp_buf_printf(&r->env, "HOME=%s", r->who.home) < 0 ||
                    sp_buf_put(&r->env, "", 1) < 0 ||
                    put_variable(&r->env, "SENDER", a->sender) < 0 ||
                    put_variable(&r->env, "RECIPIENT", a->whole) < 0 ||
                    put_variable(&r->env, "ORIGINAL_RECIPIENT",
                                 p->original.n ? p->original : a->whole) < 0 ||
                    put_variable(&r->env, "LOCAL", a->local) < 0 ||
                    put_variable(&r->env, "EXTENSION", a->extension) < 0 ||
                    put_variable(&r->env, "DOMAIN", a->domain) < 0))
        rc = -SP_ENOMEM;
    if (rc < 0)
        return rc;
    split(&r->args, r->argv, SP_PROGRAM_WORDS);
    split(&r->env, r->envp, VARIABLES);
    return 0;
}

/* Between fork and exec of a process with threads: nothing here allocates or locks. */
static void __attribute__((noreturn)) child(const struct run *r)
{
    static const int calm[] = {SIGINT,  SIGTERM, SIGHUP, SIGPIPE,
                               SIGUSR1, SIGUSR2, SIGCHLD};
    static const char trouble[] = "the command cannot be started: ";
    const char *why;
    sigset_t none;

    (void)setpgid(0, 0);
    (void)dup2(r->in, 0);
    (void)dup2(r->out[1], 1);
    (void)dup2(r->out[1], 2);
    (void)close_range(3, ~0U, 0);
    for (size_t i = 0; i < sizeof calm / sizeof calm[0]; i++)
        (void)signal(calm[i], SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    umask(077);
    if (r->who.change && (setgroups((size_t)r->who.groups, r->who.group) < 0 ||
                          setresgid(r->who.gid, r->who.gid, r->who.gid) < 0 ||
                          setresuid(r->who.uid, r->who.uid, r->who.uid) < 0)) {
        why = "no right to become that user (was run-as new at a reload? restart)";
    } else {
        if (chdir(r->who.home) < 0)
            (void)!chdir("/");
        execve(r->argv[0], r->argv, r->envp);
        why = errno == ENOENT   ? "there is no such file"
              : errno == EACCES ? "no permission"
                                : "the system refuses";
    }
    (void)!write(1, trouble, sizeof trouble - 1);
    (void)!write(1, why, strlen(why));
    _exit(EX_TEMPFAIL);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Reads what there is; keeps the first of it.  False: there will be no more. */
static bool drain(int fd, char *text, size_t *n)
{
    char block[4096];
    ssize_t got = read(fd, block, sizeof block);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    for (ssize_t i = 0; i < got && *n < SP_PROGRAM_TEXT; i++) {
        char c = block[i] == '\n' || block[i] == '\t' ? ' ' : block[i];

        text[(*n)++] = c >= 32 && c < 127 ? c : '?';
    }
    return got > 0;
}

/* Until it ends or its time is over.  The status as waitpid() gives it; -1: too slow. */
static int watch(pid_t pid, int out, unsigned timeout_ms, char *text, size_t *n)
{
    uint64_t end = now_ms() + timeout_ms;
    int ended = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
    struct pollfd p[2] = {{out, POLLIN, 0}, {ended, POLLIN, 0}};
    bool slow = ended < 0;

    while (!slow && !(p[1].revents & POLLIN)) {
        uint64_t now = now_ms();

        slow = now >= end;
        if (slow || (poll(p, 2, (int)(end - now)) < 0 && errno != EINTR))
            break;
        if (p[0].revents && !drain(out, text, n))
            p[0].fd = -1;
    }
    if (slow)
        (void)kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    while (!slow && p[0].fd >= 0 && poll(p, 1, 0) > 0 && drain(out, text, n))
        ;
    if (ended >= 0)
        close(ended);
    return slow ? -1 : status;
}

static void judge(int status, const char *said, struct sp_program_result *ret)
{
    const struct sp_program_row *row;
    char text[SP_PROGRAM_TEXT + 100];

    if (status == -1) {
        later(ret, "4.3.0", "the command took too long and was killed");
        return;
    }
    if (WIFSIGNALED(status)) {
        snprintf(text, sizeof text, "the command was ended by signal %d",
                 WTERMSIG(status));
        later(ret, "4.3.0", text);
        return;
    }
    row = sp_program_outcome(WEXITSTATUS(status));
    if (row->action == SP__ACTION__ACTION_DELIVERED)
        snprintf(text, sizeof text, "%s", row->words);
    else
        snprintf(text, sizeof text, "%s (%d)%s%s", row->words, WEXITSTATUS(status),
                 *said ? ": " : "", said);
    result(ret, row->action, row->enhanced, text);
}

static void start(struct run *r, const struct sp_program *p,
                  const struct sp_maildir_mail *m, struct sp_program_result *ret)
{
    char said[SP_PROGRAM_TEXT + 1] = "";
    struct sp_err err;
    size_t n = 0;
    pid_t pid;
    int status;

    r->in = sp_mailtext_open(m, &err);
    if (r->in < 0) {
        later(ret, "4.3.1", err.text);
        return;
    }
    if (pipe2(r->out, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        later(ret, "4.3.0", "no process can be started just now");
        close(r->in);
        return;
    }
    if (pid == 0)
        child(r);
    (void)setpgid(pid, pid); /* whoever is first */
    close(r->in);
    close(r->out[1]);
    (void)fcntl(r->out[0], F_SETFL, O_NONBLOCK);
    status = watch(pid, r->out[0], p->timeout_ms, said, &n);
    close(r->out[0]);
    said[n] = '\0';
    while (n && said[n - 1] == ' ')
        said[--n] = '\0';
    judge(status, said, ret);
}

void sp_program_run(const struct sp_program *p, const struct sp_maildir_mail *m,
                    struct sp_program_result *ret)
{
    struct parts a = parts_of(p, m);
    struct run *r = sp_alloc(sizeof *r);
    int rc;

    if (!r) {
        later(ret, "4.3.0", "out of memory");
        return;
    }
    sp_buf_init(&r->args, 65536);
    sp_buf_init(&r->env, 65536);
    if (find_account(p, &a, &r->who, ret) == 0) {
        rc = prepare(r, p, &a);
        if (rc == -SP_EINPUT)
            result(ret, SP__ACTION__ACTION_BOUNCE, "5.1.3",
                   "this address cannot be given to a command");
        else if (rc < 0 || !r->argv[0])
            later(ret, "4.3.0", "the command line is too long");
        else
            start(r, p, m, ret);
    }
    sp_buf_free(&r->args);
    sp_buf_free(&r->env);
    sp_free(r);
}
