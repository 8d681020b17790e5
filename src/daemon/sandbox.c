/* sandbox.c - see sandbox.h. */
#include "sandbox.h"

#include "err.h"
#include "frame.h"
#include "log.h"
#include "rolefiles.h"
#include "sandbox_i.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <openssl/crypto.h>
#include <sallyport/types.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- What there is to allow ---- */

static const char *const words[RIGHTS] = {
    "use what it holds: descriptors, memory, threads",
    "accept connections from sockets that it was given",
    "open sockets and connect",
    "open files to read them",
    "make, change, rename and remove files",
    "load libraries",
    "start programs (then only what no program of ours needs is forbidden)",
    "ask the name service of this machine by Unix sockets",
};

struct call {
    int nr;
    unsigned right;
};

#define CALL(right, name)                                                              \
    {                                                                                  \
        SCMP_SYS(name), right                                                          \
    }

/* As strace(1) shows the roles, over all tests, and what the same functions of the C
 * library use elsewhere. */
static const struct call calls[] = {
    /* descriptors that are open */
    CALL(HOLD, read),
    CALL(HOLD, readv),
    CALL(HOLD, write),
    CALL(HOLD, writev),
    CALL(HOLD, pread64),
    CALL(HOLD, preadv),
    CALL(HOLD, pwrite64),
    CALL(HOLD, pwritev),
    CALL(HOLD, close),
    CALL(HOLD, dup),
    CALL(HOLD, fcntl),
    CALL(HOLD, lseek),
    CALL(HOLD, fstat),
    CALL(HOLD, ftruncate),
    CALL(HOLD, fsync),
    CALL(HOLD, fdatasync),
    CALL(HOLD, sync_file_range),
    CALL(HOLD, fallocate),
    CALL(HOLD, fadvise64),
    CALL(HOLD, sendfile),
    CALL(HOLD, recvmsg),
    CALL(HOLD, sendmsg),
    CALL(HOLD, recvfrom),
    CALL(HOLD, sendto),
    CALL(HOLD, shutdown),
    CALL(HOLD, getsockopt),
    CALL(HOLD, setsockopt),
    CALL(HOLD, getsockname),
    CALL(HOLD, getpeername),
    CALL(HOLD, ioctl),
    /* waiting */
    CALL(HOLD, epoll_create1),
    CALL(HOLD, epoll_ctl),
    CALL(HOLD, epoll_wait),
    CALL(HOLD, epoll_pwait),
    CALL(HOLD, poll),
    CALL(HOLD, ppoll),
    CALL(HOLD, select),
    CALL(HOLD, pselect6),
    CALL(HOLD, eventfd2),
    CALL(HOLD, pipe2),
    CALL(HOLD, nanosleep),
    CALL(HOLD, clock_nanosleep),
    CALL(HOLD, restart_syscall),
    /* memory and threads */
    CALL(HOLD, brk),
    CALL(HOLD, munmap),
    CALL(HOLD, mremap),
    CALL(HOLD, madvise),
    CALL(HOLD, mlock),
    CALL(HOLD, mlock2),
    CALL(HOLD, munlock),
    CALL(HOLD, memfd_create),
    CALL(HOLD, futex),
    CALL(HOLD, set_robust_list),
    CALL(HOLD, rseq),
    CALL(HOLD, exit),
    CALL(HOLD, exit_group),
    CALL(HOLD, sched_yield),
    CALL(HOLD, sched_getaffinity),
    CALL(HOLD, membarrier),
    CALL(HOLD, gettid),
    CALL(HOLD, getpid),
    CALL(HOLD, getppid),
    /* signals */
    CALL(HOLD, rt_sigaction),
    CALL(HOLD, rt_sigprocmask),
    CALL(HOLD, rt_sigreturn),
    CALL(HOLD, sigaltstack),
    /* time, chance, facts */
    CALL(HOLD, clock_gettime),
    CALL(HOLD, clock_getres),
    CALL(HOLD, gettimeofday),
    CALL(HOLD, time),
    CALL(HOLD, times),
    CALL(HOLD, getrusage),
    CALL(HOLD, getrandom),
    CALL(HOLD, uname),
    CALL(HOLD, sysinfo),
    CALL(HOLD, getcwd),
    CALL(HOLD, umask),
    CALL(HOLD, getuid),
    CALL(HOLD, geteuid),
    CALL(HOLD, getgid),
    CALL(HOLD, getegid),

    CALL(ACCEPT, accept4),
    CALL(ACCEPT, accept),

    CALL(CONNECT, socket),
    CALL(CONNECT, connect),
    CALL(CONNECT, bind),
    CALL(CONNECT, socketpair),
    CALL(CONNECT, sendmmsg),
    CALL(CONNECT, recvmmsg),

    CALL(READ, access),
    CALL(READ, faccessat),
    CALL(READ, faccessat2),
    CALL(READ, stat),
    CALL(READ, lstat),
    CALL(READ, newfstatat),
    CALL(READ, statx),
    CALL(READ, readlink),
    CALL(READ, readlinkat),
    CALL(READ, getdents64),
    CALL(READ, statfs),
    CALL(READ, fstatfs),

    CALL(WRITE, open),
    CALL(WRITE, openat),
    CALL(WRITE, flock),
    CALL(WRITE, rename),
    CALL(WRITE, renameat),
    CALL(WRITE, renameat2),
    CALL(WRITE, link),
    CALL(WRITE, linkat),
    CALL(WRITE, unlink),
    CALL(WRITE, unlinkat),
    CALL(WRITE, mkdir),
    CALL(WRITE, mkdirat),
    CALL(WRITE, rmdir),
    CALL(WRITE, chmod),
    CALL(WRITE, fchmod),
    CALL(WRITE, fchmodat),
    CALL(WRITE, chown),
    CALL(WRITE, fchown),
    CALL(WRITE, fchownat),
    CALL(WRITE, lchown),
    CALL(WRITE, utimensat),
    CALL(WRITE, copy_file_range),

    CALL(LIBRARY, mmap),
    CALL(LIBRARY, mprotect),
};

/* Forbidden where programs are started or a sanitizer runs: nothing of a mail system. */
static const int never[] = {
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(io_uring_setup),
};

/* ---- Who has what ---- */

static unsigned auth_rights(const struct sp_conf *c)
{
    unsigned r =
        HOLD | READ | WRITE; /* a reader plays back the journal of a killed writer */

    for (size_t i = 0; i < c->n_oauth; i++)
        if (c->oauth[i].introspection_url)
            r |= CONNECT | LIBRARY;
    for (size_t i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].type == SP_CONF_LOCAL) /* user ids have names */
            r |= NAMES | LIBRARY;
    return r | (c->gssapi_keytab ? CONNECT | LIBRARY : 0);
}

static bool runs_commands(Sp__Role role, const struct sp_conf *c)
{
    for (size_t i = 0; i < c->n_routes; i++) {
        const struct sp_conf_route *t = &c->routes[i];

        if (role == SP__ROLE__ROLE_LOCAL ? t->to == SP_CONF_TO_PIPE
                                         : t->token_command.n > 0)
            return true;
    }
    return role == SP__ROLE__ROLE_LOCAL && c->alias_files.n;
}

static unsigned rights(Sp__Role role, const struct sp_conf *c)
{
    switch (role) {
    case SP__ROLE__ROLE_SERVER:
        return HOLD | ACCEPT;
    case SP__ROLE__ROLE_AUTH:
        return auth_rights(c);
    case SP__ROLE__ROLE_QUEUE:
        return HOLD | ACCEPT | READ | WRITE;
    case SP__ROLE__ROLE_LOCAL:
        return HOLD | READ | WRITE | (runs_commands(role, c) ? COMMAND : 0);
    case SP__ROLE__ROLE_DELIVERY:
        return HOLD | CONNECT | READ | LIBRARY | (runs_commands(role, c) ? COMMAND : 0);
    case SP__ROLE__ROLE_FILTER:
        return HOLD | CONNECT | READ | WRITE | LIBRARY;
    default: /* modules of PAM and others do what they like: auth-helper */
        return HOLD | COMMAND;
    }
}

/* ---- The filter ---- */

static unsigned held; /* 0: not locked */
static char refused_by[32];
static const char *call_names[512]; /* found before: the handler may not ask */

static void put(char *line, size_t cap, const char *s)
{
    size_t n = strlen(line);

    while (*s && n + 1 < cap)
        line[n++] = *s++;
    line[n] = '\0';
}

/* The call was made by this thread's own code, at a place it chose: nothing here takes a
 * lock or memory that it may hold. */
static void on_refused(int sig, siginfo_t *info, void *context)
{
    unsigned nr = (unsigned)info->si_syscall;
    char line[200] = "", digits[12];
    size_t at = sizeof digits - 1;

    (void)sig;
    (void)context;
    digits[at] = '\0';
    for (unsigned v = nr; at && (v || at == sizeof digits - 1); v /= 10)
        digits[--at] = (char)('0' + v % 10);
    put(line, sizeof line, "sallyport: sandbox.refused role=");
    put(line, sizeof line, refused_by);
    put(line, sizeof line, " call=");
    put(line, sizeof line,
        nr < sizeof call_names / sizeof call_names[0] && call_names[nr] ? call_names[nr]
                                                                        : "?");
    put(line, sizeof line, " number=");
    put(line, sizeof line, digits + at);
    put(line, sizeof line,
        " (this must not happen; the process ends and is started again)\n");
    (void)!write(2, line, strlen(line));
    _exit(EX_SOFTWARE);
}

static int watch(Sp__Role role)
{
    struct sigaction sa = {.sa_sigaction = on_refused,
                           .sa_flags = SA_SIGINFO | SA_NODEFER};

    snprintf(refused_by, sizeof refused_by, "%s", sp_role_name(role));
    for (unsigned i = 0; i < sizeof call_names / sizeof call_names[0]; i++)
        if (!call_names[i])
            call_names[i] =
                seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)i); /* kept */
    return sigaction(SIGSYS, &sa, NULL);
}

/* Calls whose arguments matter. */
static int special(scmp_filter_ctx f, unsigned r)
{
    const unsigned long thread = CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));

    /* Its flags lie in memory, where a filter cannot look: the C library goes on with
     * clone. */
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    if (rc == 0) /* a thread of ours: abort() */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    if (rc == 0 && !(r & READ)) /* what fstat() is */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                              SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
    if (rc == 0 && (r & NAMES) && !(r & CONNECT)) {
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
        if (rc == 0)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
    }
    if (rc == 0) /* limits are asked for, not set */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                              SCMP_A2(SCMP_CMP_EQ, 0));
    if (rc == 0 && !(r & LIBRARY)) {
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (rc == 0)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    if (rc == 0 && (r & READ) && !(r & WRITE)) {
        const scmp_datum_t writes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;

        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, writes, 0));
        if (rc == 0)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, writes, 0));
    }
    return rc;
}

/* Below 0: there is no such call on this kind of machine. */
static bool allowed(const struct call *c, unsigned r)
{
    return (c->right & r) && c->nr >= 0;
}

static int listed(scmp_filter_ctx f, unsigned r)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof calls / sizeof calls[0]; i++)
        if (allowed(&calls[i], r))
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i].nr, 0);
    return rc == 0 ? special(f, r) : rc;
}

/* Sanitizers read files and map memory as they like; what a role may never do is refused
 * all the same. */
static int forbidden(scmp_filter_ctx f, unsigned r)
{
    static const int starts[] = {SCMP_SYS(execve), SCMP_SYS(execveat)};
    static const int opens[] = {SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind)};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof never / sizeof never[0]; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_TRAP, never[i], 0);
    for (size_t i = 0; rc == 0 && !(r & COMMAND) && i < 2; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_TRAP, starts[i], 0);
    for (size_t i = 0; rc == 0 && !(r & (CONNECT | COMMAND | NAMES)) && i < 3; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_TRAP, opens[i], 0);
    return rc;
}

static struct sp_rolefiles files; /* what the process was confined to */
static bool confined;

bool sp_sandbox_fits(Sp__Role role, const struct sp_conf *conf)
{
    unsigned r = rights(role, conf);
    struct sp_rolefiles want;
    bool fits = !held || (r & ~held) == 0;

    /* Who may not even ask for files has none that could change. */
    if (!fits || !confined || !(r & READ))
        return fits;
    (void)sp_rolefiles_list(role, r, conf, &want);
    fits = sp_rolefiles_within(&want, &files);
    sp_rolefiles_free(&want);
    return fits;
}

int sp_sandbox_confine(Sp__Role role, const struct sp_conf *conf, struct sp_err *err)
{
    unsigned r = rights(role, conf);
    int rc;

    if (confined)
        return 0;
    confined = true;
    rc = sp_rolefiles_list(role, r, conf, &files);
    if (rc < 0)
        return sp_err_set(err, SP_CLASS_BUG, -rc,
                          "there are too many files to confine it to");
    sp_rolefiles_make(&files);
    return sp_rolefiles_lock(&files, r, err);
}

static const Sp__Role all_roles[] = {SP__ROLE__ROLE_SERVER,     SP__ROLE__ROLE_AUTH,
                                     SP__ROLE__ROLE_QUEUE,      SP__ROLE__ROLE_DELIVERY,
                                     SP__ROLE__ROLE_LOCAL,      SP__ROLE__ROLE_FILTER,
                                     SP__ROLE__ROLE_AUTH_HELPER};

uint64_t sp_sandbox_stamp(const struct sp_conf *conf)
{
    uint64_t h = 0;

    for (size_t i = 0; i < sizeof all_roles / sizeof all_roles[0]; i++) {
        struct sp_rolefiles f;

        (void)sp_rolefiles_list(all_roles[i], rights(all_roles[i], conf), conf, &f);
        h = (h << 1 | h >> 63) ^ sp_rolefiles_stamp(&f);
        sp_rolefiles_free(&f);
    }
    return h;
}

int sp_sandbox_lock(Sp__Role role, const struct sp_conf *conf, struct sp_err *err)
{
    unsigned r = rights(role, conf);
    bool wide = SANITIZED || (r & COMMAND);
    scmp_filter_ctx f;
    int rc;

    if (held)
        return 0;
    f = seccomp_init(wide ? SCMP_ACT_ALLOW : SCMP_ACT_TRAP);
    if (!f || watch(role) < 0) {
        seccomp_release(f);
        return sp_err_nomem(err);
    }
    /* Every thread that is there already; and a binary tree, because a list would be
     * walked at each call. */
    rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = wide ? forbidden(f, r) : listed(f, r);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    if (rc < 0)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EDENIED,
                          "this kernel takes no filter of system calls: %s",
                          strerror(-rc));
    held = r;
    return 0;
}

/* ---- Memory ---- */

/* Keys of handshakes under way live there, too, and one that finds no room fails: room
 * for some 30,000.  Only pages in use are resident. */
enum { SECURE_HEAP = 4 << 20, SECURE_LEAST = 32 };

bool sp_sandbox_memory(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    return CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_LEAST) == 1;
}

/* ---- In words ---- */

void sp_sandbox_explain(const struct sp_conf *conf, FILE *out)
{
    char lacks[600];

    for (size_t i = 0; i < sizeof all_roles / sizeof all_roles[0]; i++) {
        unsigned r = rights(all_roles[i], conf);
        struct sp_rolefiles f;
        unsigned n = 6; /* those of special() */

        for (size_t k = 0; k < sizeof calls / sizeof calls[0]; k++)
            n += allowed(&calls[k], r);
        if (r & COMMAND)
            fprintf(out, "%s: all system calls but %zu\n", sp_role_name(all_roles[i]),
                    sizeof never / sizeof never[0]);
        else
            fprintf(out, "%s: %u system calls, any other ends the process\n",
                    sp_role_name(all_roles[i]), n);
        for (unsigned b = 0; b < RIGHTS; b++)
            fprintf(out, "  %s %s\n", r & 1U << b ? "may    " : "may not", words[b]);
        (void)sp_rolefiles_list(all_roles[i], r, conf, &f);
        sp_rolefiles_explain(&f, out);
        sp_rolefiles_free(&f);
    }
    sp_rolefiles_lacks(lacks, sizeof lacks);
    fprintf(out, "kernel: Landlock version %d\n", sp_rolefiles_kernel());
    if (lacks[0])
        fprintf(out, "  lacks   %s\n", lacks);
}
