/* rolefiles.c - see rolefiles.h; landlock(7). */
#include "rolefiles.h"

#include "alloc.h"
#include "datadir.h"
#include "dns.h"
#include "err.h"
#include "fdio.h"
#include "sandbox_i.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- What the kernel knows: newer ones more than the headers it is built with ---- */

#define FS_TRUNCATE         (1ULL << 14)
#define FS_IOCTL_DEV        (1ULL << 15)
#define NET_BIND_TCP        (1ULL << 0)
#define NET_CONNECT_TCP     (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)
#define SCOPE_SIGNAL        (1ULL << 1)
#define RULE_NET_PORT       2

struct ruleset_attr { /* as of version 6; an older kernel is told a smaller size */
    uint64_t fs, net, scoped;
};

struct net_port_attr {
    uint64_t allowed, port;
};

enum {
    V_REFER = 2, /* files move between folders: without it Maildirs do not work */
    V_TRUNCATE = 3,
    V_NET = 4,
    V_IOCTL = 5,
    V_SCOPE = 6,
};

/* clang-format off */
static const struct {
    int since;
    const char *what, *linux_version;
} parts[] = {
    {V_REFER,    "roles that write to the folders they have",       "5.19"},
    {V_TRUNCATE, "truncate(2) of files a role only reads",          "6.2"},
    {V_NET,      "TCP ports (system calls are still filtered)",     "6.7"},
    {V_IOCTL,    "commands to devices",                             "6.10"},
    {V_SCOPE,    "signals and abstract Unix sockets of others",     "6.12"},
};

/* What follows from the role's purpose, whatever is configured.  Files that an
 * administrator's tools replace stand as the folder they lie in, where nothing in it is
 * secret. */
static const struct {
    unsigned rights; /* any of them */
    enum how { READS, WRITES, EARLY } how;
    const char *path;
} always[] = {
    {HOLD,            EARLY,  "/etc/ssl/openssl.cnf"},
    {HOLD,            EARLY,  "/etc/localtime"},
    {HOLD,            EARLY,  "/usr/share/zoneinfo"},
    {HOLD,            EARLY,  "/sys/devices/system/cpu"},
    {HOLD,            WRITES, "/dev/null"},
    {HOLD,            EARLY,  "/dev/urandom"},
    {LIBRARY | NAMES, READS,  "/etc/nsswitch.conf"},
    {LIBRARY | NAMES, READS,  "/etc/passwd"},
    {LIBRARY | NAMES, READS,  "/etc/group"},
    {LIBRARY | NAMES, READS,  "/etc/ld.so.cache"},
    {LIBRARY | NAMES, READS,  "/usr/lib"},
    {LIBRARY | NAMES, READS,  "/usr/lib64"},
    {LIBRARY | NAMES, READS,  "/usr/local/lib"},
    {NAMES,           READS,  "/var/lib/extrausers"},
    {CONNECT,         READS,  "/etc/resolv.conf"},
    {CONNECT,         READS,  "/etc/hosts"},
    {CONNECT,         READS,  "/etc/host.conf"},
    {CONNECT,         READS,  "/etc/gai.conf"},
    {CONNECT,         READS,  "/etc/services"},
    {CONNECT,         READS,  "/etc/protocols"},
    {CONNECT,         READS,  "/etc/ssl/certs"},
    {CONNECT,         READS,  "/usr/share/ca-certificates"},
    {CONNECT,         READS,  "/usr/local/share/ca-certificates"},
};
/* clang-format on */

int sp_rolefiles_kernel(void)
{
    long v =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return v > 0 ? (int)v : 0;
}

void sp_rolefiles_lacks(char *out, size_t cap)
{
    int have = sp_rolefiles_kernel();
    size_t n = 0;

    out[0] = '\0';
    if (!have) {
        snprintf(out, cap,
                 "Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK, and `landlock` in "
                 "lsm=): roles are not confined to their files");
        return;
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && n < cap; i++)
        if (have < parts[i].since)
            n += (size_t)snprintf(out + n, cap - n, "%s%s (Linux %s)",
                                  n ? ", " : "Landlock for ", parts[i].what,
                                  parts[i].linux_version);
}

/* ---- The list ---- */

static int add_as(struct sp_rolefiles *f, enum how how, const char *path)
{
    bool write = how == WRITES;
    struct sp_rolefile *v = &f->v[f->n];
    struct stat st;

    if (!path || path[0] != '/')
        return 0;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].path, path) == 0 && f->v[i].write == write)
            return 0;
    if (f->n == SP_ROLEFILES_MAX)
        return -SP_ELIMIT;
    memset(v, 0, sizeof *v);
    v->path = sp_strdup(path);
    if (!v->path)
        return -SP_ENOMEM;
    v->write = write;
    v->early = how == EARLY;
    v->there = stat(path, &st) == 0;
    if (v->there) {
        v->dev = st.st_dev;
        v->ino = st.st_ino;
    }
    f->n++;
    return 0;
}

static int add(struct sp_rolefiles *f, bool write, const char *path)
{
    return add_as(f, write ? WRITES : READS, path);
}

static int addf(struct sp_rolefiles *f, bool write, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int addf(struct sp_rolefiles *f, bool write, const char *format, ...)
{
    char path[4096];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(path, sizeof path, format, ap);
    va_end(ap);
    return n < 0 || (size_t)n >= sizeof path ? -SP_ELIMIT : add(f, write, path);
}

static int add_part(struct sp_rolefiles *f, const struct sp_conf *c, const char *part)
{
    return addf(f, true, "%s/%s", c->data_directory, part);
}

/* Folders only: files of the configuration come with SETUP. */
static int add_if_folder(struct sp_rolefiles *f, const char *path)
{
    struct stat st;

    return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? add(f, false, path)
                                                               : 0;
}

/* Beside it lies what SQLite keeps for it; unless the folder holds more than that. */
static int add_database(struct sp_rolefiles *f, const struct sp_conf *c,
                        const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash - path) : 0, rc = 0;

    if (dir && strncmp(c->data_directory, path, (size_t)dir) != 0)
        return addf(f, false, "%.*s", dir, path);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0] && rc == 0; i++)
        rc = addf(f, false, "%s%s", path, ends[i]);
    return rc;
}

static int auth_files(struct sp_rolefiles *f, const struct sp_conf *c)
{
    static const char *const kerberos[] = {"/etc/krb5.conf", "/etc/krb5.conf.d",
                                           "/etc/gss"};
    const char *env = getenv("KRB5_CONFIG");
    int rc = add_part(f, c, SP_DATA_USERS);

    if (rc == 0 && c->alias_database)
        rc = add_database(f, c, c->alias_database);
    for (size_t i = 0; rc == 0 && i < c->n_oauth; i++)
        rc = add_if_folder(f, c->oauth[i].tls_ca);
    if (!c->gssapi_keytab)
        return rc;
    for (size_t i = 0; rc == 0 && i < sizeof kerberos / sizeof kerberos[0]; i++)
        rc = add(f, false, kerberos[i]);
    if (rc == 0 && env)
        rc = add(f, false, env);
    return rc == 0 ? add(f, false, c->gssapi_keytab) : rc;
}

/* early: whatever the rows say, it is for the start only. */
static int add_always(struct sp_rolefiles *f, unsigned rights, bool early)
{
    int rc = 0;

    for (size_t i = 0; i < sizeof always / sizeof always[0] && rc == 0; i++)
        if (always[i].rights & rights)
            rc = add_as(f, early ? EARLY : always[i].how, always[i].path);
    return rc;
}

/* The part of "/srv/mail/%d/%u" that is the same for all. */
static int local_files(struct sp_rolefiles *f, const struct sp_conf *c)
{
    int rc = add_always(f, NAMES, true); /* the service's user */

    for (size_t i = 0; i < c->n_routes && rc == 0; i++) {
        const char *path = c->routes[i].path;
        size_t n = path ? strcspn(path, "%") : 0;

        if (c->routes[i].to != SP_CONF_TO_MAILDIR || !path)
            continue;
        while (path[n] == '%' && n > 1 && path[n - 1] != '/')
            n--;
        while (n > 1 && path[n - 1] == '/')
            n--;
        rc = addf(f, true, "%.*s", (int)n, path);
    }
    return rc;
}

static int delivery_files(struct sp_rolefiles *f, const struct sp_conf *c)
{
    int rc = add(f, false, c->dns_trust_anchor ? c->dns_trust_anchor : SP_DNS_ROOT_KEY);

    if (rc == 0)
        rc = add_if_folder(f, c->tls_reports_ca);
    for (size_t i = 0; i < c->n_routes && rc == 0; i++)
        if ((rc = add_if_folder(f, c->routes[i].tls_ca)) == 0)
            rc = add_if_folder(f, c->routes[i].mta_sts_ca);
    return rc;
}

/* A store of CAs that is not Debian's, or named by the environment. */
static int add_store(struct sp_rolefiles *f)
{
    const char *file = getenv(X509_get_default_cert_file_env());
    const char *dir = getenv(X509_get_default_cert_dir_env());
    int rc = add(f, false, file ? file : X509_get_default_cert_file());

    return rc == 0 ? add(f, false, dir ? dir : X509_get_default_cert_dir()) : rc;
}

static int of_role(Sp__Role role, const struct sp_conf *c, struct sp_rolefiles *f)
{
    switch (role) {
    case SP__ROLE__ROLE_AUTH:
        return auth_files(f, c);
    case SP__ROLE__ROLE_QUEUE:
        return add_part(f, c, SP_DATA_QUEUE);
    case SP__ROLE__ROLE_LOCAL:
        return local_files(f, c);
    case SP__ROLE__ROLE_DELIVERY:
        return delivery_files(f, c);
    case SP__ROLE__ROLE_FILTER:
        return add(f, true, "/tmp"); /* unnamed files */
    default:
        return 0;
    }
}

int sp_rolefiles_list(Sp__Role role, unsigned rights, const struct sp_conf *conf,
                      struct sp_rolefiles *ret)
{
    int rc = 0;

    memset(ret, 0, sizeof *ret);
    ret->all = rights & COMMAND;
    if (ret->all)
        return 0;
    rc = add_always(ret, rights, false);
    if (rc == 0 && (rights & CONNECT))
        rc = add_store(ret);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    if (rc == 0) /* what a sanitizer reads for its report */
        rc = add(ret, false, "/proc");
#endif
    if (rc == 0)
        rc = of_role(role, conf, ret);
    ret->all = rc < 0;
    return rc;
}

void sp_rolefiles_free(struct sp_rolefiles *f)
{
    while (f->n)
        sp_free(f->v[--f->n].path);
}

void sp_rolefiles_make(const struct sp_rolefiles *f)
{
    for (size_t i = 0; i < f->n; i++) {
        char part[4096];
        size_t n = strlen(f->v[i].path);

        if (f->v[i].there || !f->v[i].write || n >= sizeof part)
            continue;
        for (size_t k = 1; k <= n; k++) {
            if (k < n && f->v[i].path[k] != '/')
                continue;
            snprintf(part, sizeof part, "%.*s", (int)k, f->v[i].path);
            (void)sp_mkdir_synced(part, 0700); /* the delivery says what is wrong */
        }
    }
}

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool covered(const struct sp_rolefile *w, const struct sp_rolefiles *have)
{
    for (size_t i = 0; i < have->n; i++) {
        const struct sp_rolefile *h = &have->v[i];
        bool same = h->there && h->dev == w->dev && h->ino == w->ino;

        if (h->there && (h->write || !w->write) &&
            (same || (strcmp(w->path, h->path) != 0 && is_below(w->path, h->path))))
            return true;
    }
    return false;
}

bool sp_rolefiles_within(const struct sp_rolefiles *want,
                         const struct sp_rolefiles *have)
{
    if (want->all || have->all)
        return have->all;
    for (size_t i = 0; i < want->n; i++)
        if (want->v[i].there && !want->v[i].early && !covered(&want->v[i], have))
            return false;
    return true;
}

uint64_t sp_rolefiles_stamp(const struct sp_rolefiles *f)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].early)
            continue;
        h = (h ^ (uint64_t)f->v[i].dev) * 0x100000001b3u;
        h = (h ^ (uint64_t)f->v[i].ino) * 0x100000001b3u;
    }
    return h;
}

/* ---- Landlock ---- */

static const uint64_t reading =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t writing =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
    LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER;
static const uint64_t of_files =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;

static uint64_t known_fs(int version)
{
    uint64_t fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* those of version 1 */

    if (version >= V_REFER)
        fs |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= V_TRUNCATE)
        fs |= FS_TRUNCATE;
    if (version >= V_IOCTL)
        fs |= FS_IOCTL_DEV;
    return fs;
}

static int begin(unsigned rights, int version, uint64_t *ret_fs)
{
    struct ruleset_attr a = {.fs = known_fs(version)};
    size_t size = sizeof a.fs;

    if (version >= V_NET) {
        a.net = NET_BIND_TCP | (rights & CONNECT ? 0 : NET_CONNECT_TCP);
        size += sizeof a.net;
    }
    if (version >= V_SCOPE) {
        a.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
        size += sizeof a.scoped;
    }
    *ret_fs = a.fs;
    return (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
}

/* That it is gone by now is nothing to stop for: it stays out of reach. */
static int allow(int rules, struct sp_rolefile *v, uint64_t known)
{
    struct landlock_path_beneath_attr a = {.allowed_access =
                                               v->write ? writing : reading};
    struct stat st;
    int rc;

    a.parent_fd = open(v->path, O_PATH | O_CLOEXEC);
    v->there = a.parent_fd >= 0 && fstat(a.parent_fd, &st) == 0;
    if (!v->there)
        return 0;
    v->dev = st.st_dev;
    v->ino = st.st_ino;
    if (!S_ISDIR(st.st_mode))
        a.allowed_access &= of_files;
    a.allowed_access &= known;
    rc = (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &a, 0);
    close(a.parent_fd);
    return rc;
}

static unsigned threads(void)
{
    DIR *d = opendir("/proc/self/task");
    unsigned n = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static int load(struct sp_rolefiles *f, unsigned rights, int version)
{
    struct net_port_attr any = {NET_BIND_TCP, 0}; /* a port that the kernel chooses */
    uint64_t known;
    int rules = begin(rights, version, &known), rc = rules < 0 ? -1 : 0;

    for (size_t i = 0; i < f->n && rc == 0; i++)
        rc = allow(rules, &f->v[i], known);
    if (rc == 0 && version >= V_NET && (rights & CONNECT))
        rc = (int)syscall(SYS_landlock_add_rule, rules, RULE_NET_PORT, &any, 0);
    if (rc == 0)
        rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (rc == 0)
        rc = (int)syscall(SYS_landlock_restrict_self, rules, 0);
    if (rules >= 0)
        close(rules);
    return rc;
}

int sp_rolefiles_lock(struct sp_rolefiles *f, unsigned rights, struct sp_err *err)
{
    int version = sp_rolefiles_kernel();

    if (f->all || version == 0 || (version < V_REFER && (rights & WRITE))) {
        f->all = true;
        return 0;
    }
    if (threads() > 1)
        return sp_err_set(err, SP_CLASS_BUG, SP_EDENIED,
                          "there are threads already that would not be confined");
    if (load(f, rights, version) < 0)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EDENIED,
                          "this kernel does not confine the process to its files");
    return 0;
}

void sp_rolefiles_explain(const struct sp_rolefiles *f, FILE *out)
{
    if (f->all || !sp_rolefiles_kernel())
        fprintf(out, "  files   as the permissions say\n");
    for (size_t i = 0; i < f->n && !f->all && sp_rolefiles_kernel(); i++)
        fprintf(out, "  files   %s %s%s\n", f->v[i].write ? "writes" : "reads ",
                f->v[i].path, f->v[i].there ? "" : " (not there now)");
}
