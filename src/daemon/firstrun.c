/* firstrun.c - see firstrun.h. */
#include "firstrun.h"

#include "ca.h"
#include "datadir.h"
#include "err.h"
#include "fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CA_DAYS = 3650, CERT_DAYS = 825 };

/* Makes one folder for that owner.  One that exists is left as it is. */
static int folder(const char *path, mode_t mode, uid_t uid, gid_t gid, struct sp_err *err)
{
    if (sp_mkdir_synced(path, mode) < 0) {
        if (errno == EEXIST)
            return 0;
        return sp_err_sys(err, SP_CLASS_PEER, SP_EIO,
                          "cannot make %s (make it yourself, or choose another place with "
                          "`data-directory`)",
                          path);
    }
    if (chmod(path, mode) < 0 || (geteuid() == 0 && lchown(path, uid, gid) < 0))
        return sp_err_sys(err, SP_CLASS_PEER, SP_EIO, "cannot give %s to its owner", path);
    return 0;
}

/* The roles write into the data directory, and root's own folders lie in it: the keys of
 * the CA and of TLS.  Whoever owns a directory can move away what others put there, so it
 * is root's, writable by the service's group, and sticky: a role that was taken over can
 * neither replace those folders nor put others in their place. */
static int root_keeps(const char *path, uid_t uid, gid_t gid, struct sp_err *err)
{
    struct stat st;

    /* One of root's that was not made so stays what it is: it may be /etc. */
    if (geteuid() != 0 || uid == 0 || lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) ||
        st.st_uid != uid)
        return 0;
    if (lchown(path, 0, gid) < 0 || chmod(path, 01770) < 0)
        return sp_err_sys(err, SP_CLASS_PEER, SP_EIO, "cannot take %s over", path);
    return 0;
}

/* ---- the parts of the data directory (datadir.h) ---- */

/* What older versions, and commands before the first start, left in DATA itself.  What
 * belongs to a file comes before it: a database whose log stays behind has lost what is
 * in the log. */
static const struct part {
    const char *folder;
    mode_t mode;
    const char *left[6];
} parts[] = {
    {SP_DATA_USERS, 0750, {"users.db-journal", "users.db", "krb5.rcache", NULL}},
    {SP_DATA_QUEUE, 0700, {"spool.db-wal", "spool.db-shm", "spool.db", "bodies", "lock", NULL}},
};

/* Who holds the lock of an older layout writes there now. */
static int lock_old(int dir, const char *data, int *ret, struct sp_err *err)
{
    *ret = openat(dir, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (*ret < 0 || flock(*ret, LOCK_EX | LOCK_NB) == 0)
        return 0;
    close(*ret);
    *ret = -1;
    return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN,
                      "the data directory %s is in use by another process", data);
}

/* A command may have made it as root before the first start. */
static void give(int dir, const char *name, uid_t uid, gid_t gid)
{
    int fd = geteuid() == 0 && uid
                 ? openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
                 : -1;
    struct stat st;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 &&
        st.st_nlink == 1 && fchown(fd, uid, gid) < 0)
        sp_log(SP_LOG_WARNING, "",
               SP_KVS("reason", "cannot be given to the user of the service"),
               SP_KVS("file", name));
    close(fd);
}

/* Into a folder that gets its name when all are there: a start that is cut off is gone on
 * with by the next one, and until then nobody takes half of it for the whole. */
static int fill(int dir, const struct part *p, const char *made, uid_t uid, gid_t gid)
{
    int to = openat(dir, made, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = to < 0 ? -1 : 0;
    struct stat st;

    for (size_t i = 0; rc == 0 && p->left[i]; i++)
        if (fstatat(dir, p->left[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            rc = renameat(dir, p->left[i], to, p->left[i]);
    for (size_t i = 0; rc == 0 && p->left[i]; i++)
        give(to, p->left[i], uid, gid);
    if (rc == 0)
        rc = fsync(to);
    if (to >= 0)
        close(to);
    return rc == 0 && renameat(dir, made, dir, p->folder) == 0 ? fsync(dir) : -1;
}

static int part(const char *data, const struct part *p, uid_t uid, gid_t gid,
                struct sp_err *err)
{
    char path[4200], name[32];
    struct stat st;
    int dir, lock = -1, rc;

    snprintf(path, sizeof path, "%s/%s", data, p->folder);
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    dir = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return sp_err_sys(err, SP_CLASS_PEER, SP_EIO, "cannot open %s", data);
    snprintf(name, sizeof name, "%s.new", p->folder);
    snprintf(path, sizeof path, "%s/%s", data, name);
    rc = lock_old(dir, data, &lock, err);
    if (rc == 0)
        rc = folder(path, p->mode, uid, gid, err);
    if (rc == 0 && fill(dir, p, name, uid, gid) < 0)
        rc = sp_err_sys(err, SP_CLASS_PEER, SP_EIO, "cannot make %s/%s", data, p->folder);
    if (lock >= 0)
        close(lock);
    close(dir);
    return rc;
}

/* Root's folders are made before a role could make them. */
static int keys(const char *data, uid_t uid, struct sp_err *err)
{
    static const char *const names[] = {"ca", "tls"};
    char path[4200];
    struct stat st;
    int rc = 0;

    for (size_t i = 0; i < 2 && geteuid() == 0 && uid && rc == 0; i++) {
        snprintf(path, sizeof path, "%s/%s", data, names[i]);
        rc = folder(path, 0700, 0, 0, err);
        if (rc == 0 && lstat(path, &st) == 0 && (st.st_uid != 0 || !S_ISDIR(st.st_mode)))
            sp_log(SP_LOG_WARNING, "",
                   SP_KVS("reason", "this folder of keys should be root's"),
                   SP_KVS("file", path));
    }
    return rc;
}

static int writable(const char *path, uid_t uid, gid_t gid, struct sp_err *err)
{
    struct stat st;

    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return sp_err_set(err, SP_CLASS_PEER, SP_EIO, "%s is no directory", path);
    if (access(path, W_OK) < 0 && errno == EROFS)
        return sp_err_set(err, SP_CLASS_PEER, SP_EDENIED,
                          "the data directory %s is on a read-only file system: mount it for "
                          "writing, or choose another with `data-directory`",
                          path);
    if (geteuid() == 0 ? st.st_uid != uid && uid != 0 &&
                             !(st.st_uid == 0 && st.st_gid == gid && (st.st_mode & 01070) == 01070)
                       : access(path, W_OK | X_OK) < 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_EDENIED,
                          "the data directory %s does not belong to the service's user: "
                          "run `chown -R %u %s`, or choose another with `data-directory`",
                          path, (unsigned)uid, path);
    return 0;
}

static int parents(const char *path, struct sp_err *err)
{
    char part[4096];

    for (const char *p = path + 1; (p = strchr(p, '/')); p++) {
        snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
        if (sp_mkdir_synced(part, 0755) < 0 && errno != EEXIST)
            return sp_err_sys(err, SP_CLASS_PEER, SP_EIO, "cannot make %s", part);
    }
    return 0;
}

/* The built-in certificate comes from a small CA in the data directory: who wants to
 * trust it, trusts DATA/ca/ca.pem. */
static int self_signed(const struct sp_conf *c, const struct sp_conf_tls *t,
                       struct sp_err *err)
{
    const char *names[] = {c->hostname, "localhost", "127.0.0.1", "::1"};
    char ca_dir[4096], dir[4096];
    struct sp_ca *ca;
    int rc;

    if (access(t->certificate, F_OK) == 0 && access(t->key, F_OK) == 0)
        return 0;
    snprintf(ca_dir, sizeof ca_dir, "%s/ca", c->data_directory);
    snprintf(dir, sizeof dir, "%s", t->certificate);
    if (strrchr(dir, '/'))
        *strrchr(dir, '/') = '\0';
    rc = folder(dir, 0700, 0, 0, err);
    if (rc < 0)
        return rc;
    rc = sp_ca_create(ca_dir, c->hostname, CA_DAYS, err);
    if (rc < 0 && rc != -SP_EEXIST)
        return rc;
    rc = sp_ca_open(ca_dir, &ca, err);
    if (rc < 0)
        return rc;
    rc = sp_ca_issue_server(ca, names, sizeof names / sizeof names[0], CERT_DAYS,
                            t->certificate, t->key, err);
    sp_ca_close(ca);
    if (rc == 0)
        sp_log(SP_LOG_WARNING, "",
               SP_KVS("reason", "no certificate is configured: one was made by an own CA; "
                                "clients must be told to trust it"),
               SP_KVS("trust", ca_dir));
    return rc;
}

static bool uses(const struct sp_conf *c, const char *crl)
{
    for (size_t i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].client_crl && strcmp(c->listeners[i].client_crl, crl) == 0)
            return true;
    return false;
}

void sp_renew_own_crl(const struct sp_conf *c)
{
    char dir[4096], crl[4200];
    struct sp_ca *ca = NULL;
    struct sp_err err;
    int64_t next = 0;
    int rc;

    snprintf(dir, sizeof dir, "%s/ca", c->data_directory);
    snprintf(crl, sizeof crl, "%s/crl.pem", dir);
    if (!uses(c, crl))
        return;
    rc = sp_ca_crl_next(crl, &next, &err);
    if (rc == 0 && next - (int64_t)time(NULL) > SP_CA_CRL_DAYS / 2 * 86400)
        return;
    rc = sp_ca_open(dir, &ca, &err);
    if (rc == 0)
        rc = sp_ca_refresh_crl(ca, &err);
    sp_ca_close(ca);
    if (rc < 0 && rc != -SP_EAGAIN) /* locked: a command is writing it now */
        sp_log(SP_LOG_WARNING, "", SP_KVS("reason", err.text), SP_KVS("file", crl));
}

/* What users of this machine use: the folder of the local socket, and the one where they
 * leave mail while we are down, which is like /tmp.  Mail from the network does not wait
 * for these: what cannot be made is said, and that is all. */
static void for_users(const struct sp_conf *c)
{
    char path[4096];
    struct stat st;

    for (size_t i = 0; i < c->local_socket.n; i++) {
        snprintf(path, sizeof path, "%s", c->local_socket.v[i].host);
        if (strrchr(path, '/') && strrchr(path, '/') != path) {
            *strrchr(path, '/') = '\0';
            /* Opening the socket says what is wrong.  The umask would keep the users out. */
            if (mkdir(path, 0755) == 0)
                (void)chmod(path, 0755);
        }
    }
    if (!c->outbox || lstat(c->outbox, &st) == 0)
        return;
    if (mkdir(c->outbox, 0700) < 0 || chmod(c->outbox, 01777) < 0)
        sp_log(SP_LOG_WARNING, "", SP_KVS("reason", "cannot make the folder where sendmail leaves mail"),
               SP_KVS("file", c->outbox), SP_KVS("cause", strerror(errno)));
}

int sp_firstrun(const struct sp_conf *c, uid_t uid, gid_t gid, struct sp_err *err)
{
    char path[4096];
    int rc = parents(c->data_directory, err);

    if (rc == 0)
        rc = folder(c->data_directory, 0750, uid, gid, err);
    if (rc == 0)
        rc = root_keeps(c->data_directory, uid, gid, err);
    if (rc == 0)
        rc = writable(c->data_directory, uid, gid, err);
    if (rc == 0)
        rc = keys(c->data_directory, uid, err);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++)
        rc = part(c->data_directory, &parts[i], uid, gid, err);
    snprintf(path, sizeof path, "%s/mail", c->data_directory);
    if (rc == 0)
        rc = folder(path, 0750, uid, gid, err);
    /* The folder of the control socket: under /run, mostly. */
    snprintf(path, sizeof path, "%s", c->control_socket);
    if (rc == 0 && strrchr(path, '/') && strrchr(path, '/') != path) {
        *strrchr(path, '/') = '\0';
        rc = folder(path, 0755, uid, gid, err);
    }
    if (rc == 0)
        for_users(c);
    for (size_t i = 0; rc == 0 && i < c->n_tls; i++)
        if (c->tls[i].self_signed)
            rc = self_signed(c, &c->tls[i], err);
    if (rc == 0)
        sp_renew_own_crl(c);
    return rc;
}
