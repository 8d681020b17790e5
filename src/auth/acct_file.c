/*
 * acct_file.c - accounts in a file of names and hashes (doc/accounts.md has the format).
 *
 *     alice:$y$j9T$...                                      as htpasswd -B and mkpasswd write
 *     bob:{SHA512-CRYPT}$6$...:1000:1000::/home/bob::k=v    a Dovecot passwd-file
 *     carol:$y$...:address=carol@example.org act-as=bob     with fields
 *
 * The whole file is kept while it is as it was: path, size, inode and times.  It is small.
 */
#include "acct.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 20, LINE_MAX_LEN = 8192, DOVECOT_FIELDS = 7 };

struct file {
    const char *path;
    struct stat st;
    struct sp_buf text;
    bool read;
};

static void *file_open(const struct sp_conf_accounts *c, struct sp_str secret,
                       struct sp_err *err)
{
    struct file *f = sp_alloc(sizeof *f);

    (void)secret;
    if (!f) {
        (void)sp_err_nomem(err);
        return NULL;
    }
    f->path = c->path;
    sp_buf_init(&f->text, FILE_MAX);
    return f;
}

static void file_close(void *self)
{
    struct file *f = self;

    sp_buf_wipe(&f->text);
    sp_free(f);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int take(struct file *f, int fd, struct sp_err *err)
{
    ssize_t n = 1;

    sp_buf_wipe(&f->text);
    while (n != 0) {
        char *room = sp_buf_room(&f->text, 65536);

        if (!room)
            return sp_err_set(err, SP_CLASS_TEMPORARY, SP_ELIMIT, "%s is too large", f->path);
        n = read(fd, room, 65536);
        if (n < 0 && errno != EINTR)
            return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read %s", f->path);
        f->text.n += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int refresh(struct file *f, struct sp_err *err)
{
    struct stat st;
    int fd, rc = 0;

    if (f->read && stat(f->path, &st) == 0 && same(&st, &f->st))
        return 0;
    f->read = false;
    fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot open %s", f->path);
    if (fstat(fd, &f->st) < 0 || !S_ISREG(f->st.st_mode))
        rc = sp_err_set(err, SP_CLASS_TEMPORARY, SP_EIO, "%s is no regular file", f->path);
    if (rc == 0)
        rc = take(f, fd, err);
    close(fd);
    f->read = rc == 0;
    return rc;
}

/* ---- one line ---- */

/* "name=value name=value": fields of ours, and Dovecot's.  What restricts a login there
 * and has no meaning here must not be lost: the account is disabled then. */
static int extra(struct sp_acct *a, struct sp_str rest)
{
    static const struct {
        const char *dovecot;
        enum sp_acct_field field; /* SP_ACCT_FIELDS: of no meaning for us */
    } known[] = {
        {"user", SP_ACCT_F_NAME},        {"nologin", SP_ACCT_F_DISABLED},
        {"mail", SP_ACCT_FIELDS},        {"quota_rule", SP_ACCT_FIELDS},
        {"home", SP_ACCT_FIELDS},        {"uid", SP_ACCT_FIELDS},
        {"gid", SP_ACCT_FIELDS},
    };
    int rc = 0;

    while (rc == 0 && rest.n) {
        struct sp_str value = sp_str_cut(&rest, ' '), key;
        bool bare = !value.n || !memchr(value.p, '=', value.n);
        enum sp_acct_field f;

        key = sp_str_cut(&value, '=');
        if (key.n == 0 || (key.n > 7 && memcmp(key.p, "userdb_", 7) == 0))
            continue;
        f = sp_acct_field_named(key);
        for (size_t i = 0; f == SP_ACCT_FIELDS && i < sizeof known / sizeof known[0]; i++)
            if (sp_str_is(key, known[i].dovecot)) {
                f = known[i].field;
                goto found;
            }
        if (f == SP_ACCT_FIELDS) { /* allow_nets=, nopassword, a slip of the pen */
            f = SP_ACCT_F_DISABLED;
            value = SP_LIT("yes");
            bare = false;
        }
    found:
        if (f == SP_ACCT_F_DISABLED && bare)
            value = SP_LIT("yes");
        if (f != SP_ACCT_FIELDS)
            rc = sp_acct_put(a, f, value);
    }
    return rc;
}

static bool begins_with_field(struct sp_str s)
{
    struct sp_str key = sp_str_cut(&s, '=');

    return s.p && sp_acct_field_named(key) != SP_ACCT_FIELDS;
}

/* 1 an account, 0 none (empty, a comment, nonsense), negative: no memory. */
static int parse(struct sp_str line, struct sp_acct *a)
{
    struct sp_str name, hash;
    int rc;

    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0 || line.n > LINE_MAX_LEN || line.p[0] == '#')
        return 0;
    name = sp_str_cut(&line, ':');
    if (!line.p || name.n == 0)
        return 0;
    hash = sp_str_cut(&line, ':');
    rc = sp_acct_put(a, SP_ACCT_F_NAME, name);
    /* crypt(5): ! and * in front of a hash lock the password. */
    if (rc == 0 && hash.n && hash.p[0] != '!' && hash.p[0] != '*')
        rc = sp_acct_put(a, SP_ACCT_F_PASSWORD, hash);
    if (rc == 0 && line.n && !begins_with_field(line))
        for (int i = 2; i < DOVECOT_FIELDS && line.p; i++)
            (void)sp_str_cut(&line, ':');
    if (rc == 0 && line.n)
        rc = extra(a, line);
    if (rc == -SP_ELIMIT)
        rc = 0;
    else if (rc == 0)
        rc = 1;
    return rc;
}

/* Is it this account's name, or one of its addresses? */
static bool matches(const struct sp_acct *a, const struct sp_acct_ask *q)
{
    for (size_t i = 0; i < a->n; i++) {
        struct sp_str v = a->v[i].value;

        if (q->what == SP_ACCT_FIND_BY_PIN
                ? a->v[i].field == SP_ACCT_F_PIN && sp_str_caseeq(v, q->name)
                : (a->v[i].field == SP_ACCT_F_NAME || a->v[i].field == SP_ACCT_F_ADDRESS) &&
                      (sp_str_eq(v, q->name) || sp_address_same(v, q->name)))
            return true;
    }
    return false;
}

static enum sp_acct_status file_ask(void *self, const struct sp_acct_ask *q,
                                    struct sp_acct *a, struct sp_err *err)
{
    struct file *f = self;
    struct sp_str rest, found = {NULL, 0};
    bool by_name = false;
    size_t hits = 0;
    struct sp_acct one;

    if (q->what != SP_ACCT_FIND && q->what != SP_ACCT_FIND_BY_PIN)
        return sp_acct_away(err, "a file checks no passwords");
    if (refresh(f, err) < 0)
        return SP_ACCT_AWAY;
    sp_acct_init(&one);
    rest = sp_buf_view(&f->text);
    while (rest.n && !by_name) {
        struct sp_str line = sp_str_cut(&rest, '\n');
        int rc = parse(line, &one);

        if (rc < 0) {
            sp_acct_reset(&one);
            (void)sp_err_nomem(err);
            return SP_ACCT_AWAY;
        }
        if (rc == 1 && matches(&one, q)) {
            by_name = q->what == SP_ACCT_FIND && sp_str_eq(one.v[0].value, q->name);
            hits = by_name ? 1 : hits + 1; /* a name counts before addresses */
            found = line;
        }
        sp_acct_reset(&one);
    }
    /* An address of two accounts names neither, as in users.db. */
    if (hits != 1)
        return SP_ACCT_NO;
    if (parse(found, a) == 1)
        return SP_ACCT_OK;
    (void)sp_err_nomem(err);
    return SP_ACCT_AWAY;
}

static int file_list(void *self, int (*each)(void *arg, const struct sp_acct *a), void *arg,
                     struct sp_err *err)
{
    struct file *f = self;
    struct sp_str rest;
    struct sp_acct a;
    int rc = refresh(f, err);

    rest = sp_buf_view(&f->text);
    sp_acct_init(&a);
    while (rc == 0 && rest.n) {
        rc = parse(sp_str_cut(&rest, '\n'), &a);
        if (rc == 1)
            rc = each(arg, &a);
        else if (rc < 0)
            (void)sp_err_nomem(err);
        sp_acct_reset(&a);
    }
    return rc;
}

const struct sp_acct_ops sp_acct_file = {
    .can = SP_ACCT_CAN_FIND | SP_ACCT_CAN_SCRAM | SP_ACCT_CAN_PIN | SP_ACCT_CAN_LIST,
    .open = file_open,
    .close = file_close,
    .ask = file_ask,
    .list = file_list,
};
