/* aliases.c - see aliases.h. */
#include "aliases.h"

#include "alloc.h"
#include "err.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum {
    BUSY_MS = 300,
    STEPS = 10000,
    STEPS_MAX = 300,
    ROWS_MAX = 10000,
    DELIMITERS = 15
};

struct sp_aliases {
    struct sp_conf *conf;
    struct sp_alias *table;
    char delimiter[DELIMITERS + 1];
    struct sp_str postmaster;
    sqlite3 *db;
    sqlite3_stmt *query;
    unsigned steps; /* of the look-up under way */
    struct sp_users *users;
};

static void close_database(struct sp_aliases *al)
{
    (void)sqlite3_finalize(al->query);
    (void)sqlite3_close(al->db);
    al->query = NULL;
    al->db = NULL;
}

void sp_aliases_free(struct sp_aliases *al)
{
    if (!al)
        return;
    close_database(al);
    sp_alias_free(al->table);
    sp_conf_unref(al->conf);
    sp_free(al);
}

size_t sp_aliases_count(const struct sp_aliases *al)
{
    return sp_alias_count(al->table);
}

int sp_aliases_new(struct sp_conf *conf, sp_aliases_read *read, void *arg,
                   sp_alias_note *note, void *note_arg, struct sp_aliases **ret,
                   struct sp_err *err)
{
    struct sp_aliases *al = sp_alloc(sizeof *al);
    const char *path;
    int rc = 0;

    if (!al)
        return sp_err_nomem(err);
    al->conf = sp_conf_ref(conf);
    al->postmaster = sp_str(conf->postmaster);
    for (size_t i = 0; i < conf->recipient_delimiter.n && i < DELIMITERS; i++)
        al->delimiter[i] = conf->recipient_delimiter.v[i][0];
    al->table = sp_alias_new();
    for (size_t i = 0; al->table && i < conf->alias_files.n && rc == 0; i++) {
        struct sp_str text = read(arg, conf->alias_files.v[i]);

        if (text.p)
            rc = sp_alias_read(al->table, text, conf->alias_files.v[i], note, note_arg);
    }
    for (size_t i = 0; al->table && rc == 0 && (path = sp_alias_include(al->table, i));
         i++) {
        struct sp_str text = read(arg, path);

        if (text.p)
            rc = sp_alias_list(al->table, path, text, note, note_arg);
    }
    if (!al->table || rc < 0) {
        sp_aliases_free(al);
        return rc == -SP_ELIMIT ? sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT,
                                             "there are too many aliases")
                                : sp_err_nomem(err);
    }
    *ret = al;
    return 0;
}

/* ---- the database ---- */

/* A look-up that reads a whole table would hold up every login. */
static int too_long(void *arg)
{
    struct sp_aliases *al = arg;

    return ++al->steps > STEPS_MAX;
}

static int open_database(struct sp_aliases *al)
{
    const char *query = al->conf->alias_query ? al->conf->alias_query : SP_ALIAS_QUERY;

    if (al->query)
        return 0;
    if (sqlite3_open_v2(al->conf->alias_database, &al->db,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
                        NULL) == SQLITE_OK) {
        (void)sqlite3_busy_timeout(al->db, BUSY_MS);
        sqlite3_progress_handler(al->db, STEPS, too_long, al);
        if (sqlite3_prepare_v2(al->db, query, -1, &al->query, NULL) == SQLITE_OK &&
            al->query && sqlite3_stmt_readonly(al->query) &&
            sqlite3_column_count(al->query) == 1 &&
            sqlite3_bind_parameter_count(al->query) == 1)
            return 0;
    }
    close_database(al);
    return -SP_EIO;
}

static int more(void *arg, struct sp_str name, struct sp_buf *out)
{
    struct sp_aliases *al = arg;
    char key[600];
    int rc, rows = 0;

    if (name.n >= sizeof key)
        return 0;
    for (size_t i = 0; i < name.n; i++)
        key[i] = (char)sp_lower((unsigned char)name.p[i]);
    if (open_database(al) < 0)
        return -SP_EIO;
    al->steps = 0;
    (void)sqlite3_bind_text(al->query, 1, key, (int)name.n, SQLITE_STATIC);
    while ((rc = sqlite3_step(al->query)) == SQLITE_ROW && rows < ROWS_MAX) {
        const char *text = (const char *)sqlite3_column_text(al->query, 0);

        if (text && (sp_buf_puts(out, text) < 0 || sp_buf_puts(out, "\n") < 0))
            rc = SQLITE_TOOBIG;
        if (rc != SQLITE_ROW)
            break;
        rows += text != NULL;
    }
    (void)sqlite3_reset(al->query);
    (void)sqlite3_clear_bindings(al->query);
    if (rc == SQLITE_DONE)
        return rows > 0;
    close_database(al);
    return -SP_EIO;
}

/* ---- accounts, domains ---- */

bool sp_conf_is_local(const struct sp_conf *conf, struct sp_str domain)
{
    for (size_t i = 0; i < conf->local_domains.n; i++)
        if (sp_str_caseis(domain, conf->local_domains.v[i]))
            return true;
    return false;
}

static bool is_local(void *arg, struct sp_str domain)
{
    return sp_conf_is_local(((struct sp_aliases *)arg)->conf, domain);
}

/* Are its mailboxes ours to know?  Behind LMTP and smart hosts somebody else knows. */
static bool kept_here(const struct sp_conf *conf, struct sp_str address)
{
    const struct sp_conf_route *r = sp_conf_route_for(
        conf, address, (struct sp_str){"", 0}, (struct sp_str){"", 0});

    return !r || r->to == SP_CONF_TO_MAILDIR || r->to == SP_CONF_TO_PIPE;
}

static int find(struct sp_aliases *al, struct sp_str name)
{
    struct sp_user *u;
    int rc = al->users ? sp_users_find(al->users, name, &u, NULL) : -SP_ENOENT;

    if (rc == 0)
        sp_user_free(u);
    return rc == 0 ? 1 : rc == -SP_ENOENT || rc == -SP_EINPUT ? 0 : rc;
}

/* An own address of an account, or its name in any of the local domains. */
static int account(void *arg, struct sp_str address)
{
    struct sp_aliases *al = arg;
    struct sp_str rest = address, local;
    char low[600];
    int rc;

    if (!kept_here(al->conf, address))
        return 1;
    if (address.n >= sizeof low)
        return 0;
    for (size_t i = 0; i < address.n; i++)
        low[i] = (char)sp_lower((unsigned char)address.p[i]);
    rc = find(al, address);
    if (rc == 0)
        rc = find(al, (struct sp_str){low, address.n});
    local = sp_str_cut(&rest, '@');
    if (rc == 0 && local.n)
        rc = find(al, local);
    return rc ? rc : find(al, (struct sp_str){low, local.n});
}

bool sp_aliases_matter(const struct sp_conf *conf, struct sp_str address)
{
    struct sp_str domain = address;

    if (conf->alias_files.n || conf->alias_database)
        return true;
    for (size_t i = 0; i < address.n; i++)
        if (address.p[i] == '@')
            domain = (struct sp_str){address.p + i + 1, address.n - i - 1};
    return sp_conf_is_local(conf, domain) && kept_here(conf, address);
}

void sp_aliases_expand(struct sp_aliases *al, struct sp_users *users,
                       struct sp_str address, struct sp_arena *arena,
                       struct sp_alias_result *ret)
{
    struct sp_alias_rules r = {
        .table = al->table,
        .delimiter = al->delimiter,
        .most = (size_t)al->conf->alias_recipients_max,
        .postmaster = al->postmaster,
        .known_only = al->conf->local_recipients == SP_CONF_RECIPIENTS_KNOWN,
        .is_local = is_local,
        .account = account,
        .more = al->conf->alias_database ? more : NULL,
        .arg = al,
    };

    al->users = users;
    sp_alias_expand(&r, address, arena, ret);
    al->users = NULL;
}

bool sp_aliases_name(const struct sp_aliases *al, struct sp_str deliver)
{
    return sp_alias_programs(al->table, deliver);
}
