/* users_i.h - what the files of the users database share.  Everybody else: users.h. */
#ifndef SP_USERS_I_H
#define SP_USERS_I_H

#include "users.h"

#include <sqlite3.h>

/* clang-format off */
#define SP_USERS_SQL(X)                                                                            \
    X(Q_BEGIN,        "BEGIN IMMEDIATE")                                                           \
    X(Q_COMMIT,       "COMMIT")                                                                    \
    X(Q_ROLLBACK,     "ROLLBACK")                                                                  \
    X(Q_READ,         "BEGIN")                                                                     \
    X(Q_VERSION,      "PRAGMA data_version")                                                       \
    X(Q_META,         "SELECT generation, fake_key, iterations FROM meta")                         \
    X(Q_NEXT,         "UPDATE meta SET generation = generation + 1")                               \
    X(Q_BUMP,         "UPDATE account SET generation = (SELECT generation FROM meta) WHERE id = ?1") \
    X(Q_BUMP_ACTORS,  "UPDATE account SET generation = (SELECT generation FROM meta)"              \
                      " WHERE id IN (SELECT account FROM act_as WHERE other = ?1)")                \
    X(Q_ITERATIONS,   "UPDATE meta SET iterations = ?1")                                           \
    X(Q_BY_NAME,      "SELECT id, name, enabled, crypt, scram256, scram1, first_address,"          \
                      " message_size_max, recipients_max, generation, secret_generation, sessions_max, messages_m,"             \
                      " messages_h, messages_d, recipients_m, recipients_h, recipients_d, mechanisms FROM account"     \
                      " WHERE name = ?1")                                                          \
    X(Q_NAME_OF_ADDRESS, "SELECT a.name FROM address d JOIN account a ON a.id = d.account"         \
                      " WHERE d.address = ?1 AND d.own LIMIT 2")                                   \
    X(Q_ADDRESSES,    "SELECT address, own FROM address WHERE account = ?1"                        \
                      " ORDER BY own DESC, address LIMIT 1000")                                    \
    X(Q_ACT_AS,       "SELECT a.name FROM act_as t JOIN account a ON a.id = t.other"               \
                      " WHERE t.account = ?1 ORDER BY a.name LIMIT 200")                           \
    X(Q_PINS,         "SELECT spki FROM pin WHERE account = ?1 ORDER BY spki LIMIT 200")           \
    X(Q_NAMES,        "SELECT name FROM account WHERE name > ?1 ORDER BY name LIMIT 1")            \
    X(Q_CHANGES,      "SELECT name FROM account WHERE generation > ?1 UNION"                       \
                      " SELECT name FROM removed WHERE generation > ?1")                           \
    X(Q_BY_PIN,       "SELECT a.name, a.enabled, a.crypt IS NOT NULL OR a.scram256 IS NOT NULL"    \
                      " OR a.scram1 IS NOT NULL FROM pin p JOIN account a ON a.id = p.account"     \
                      " WHERE p.spki = ?1")                                                        \
    X(Q_BY_ADDRESS,   "SELECT name, enabled, crypt IS NOT NULL OR scram256 IS NOT NULL"            \
                      " OR scram1 IS NOT NULL FROM account WHERE name = ?1 OR id IN"               \
                      " (SELECT account FROM address WHERE address = ?1 AND own)")                 \
    X(Q_BY_MAP,       "SELECT a.name, a.enabled, a.crypt IS NOT NULL OR a.scram256 IS NOT NULL"    \
                      " OR a.scram1 IS NOT NULL FROM mapping m JOIN account a ON a.id = m.account" \
                      " WHERE m.kind = ?3 AND m.value = ?1 AND m.second = ?2")                     \
    X(Q_ADD,          "INSERT INTO account(name, first_address, generation)"                       \
                      " VALUES (?1, ?2, (SELECT generation FROM meta))")                           \
    X(Q_UNREMOVE,     "DELETE FROM removed WHERE name = ?1")                                       \
    X(Q_REMOVED,      "INSERT OR REPLACE INTO removed(name, generation)"                           \
                      " VALUES (?1, (SELECT generation FROM meta))")                               \
    X(Q_DELETE,       "DELETE FROM account WHERE id = ?1")                                         \
    X(Q_ENABLE,       "UPDATE account SET enabled = ?2 WHERE id = ?1")                             \
    X(Q_PASSWORD,     "UPDATE account SET crypt = ?2, scram256 = ?3, scram1 = ?4,"                 \
                      " secret_generation = (SELECT generation FROM meta) WHERE id = ?1")          \
    /* The table is made when the first account opts in, so that no file needs it. */           \
    X(Q_HAS_CRAM,     "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'cram'")        \
    X(Q_MAKE_CRAM,    "CREATE TABLE cram(account INTEGER PRIMARY KEY REFERENCES account"           \
                      " ON DELETE CASCADE, context TEXT NOT NULL)")                                \
    X(Q_CRAM,         "SELECT context FROM cram WHERE account = ?1")                               \
    X(Q_SET_CRAM,     "INSERT OR REPLACE INTO cram(account, context) VALUES (?1, ?2)")             \
    X(Q_NO_CRAM,      "DELETE FROM cram WHERE account = ?1")                                       \
    X(Q_GRANT,        "INSERT INTO address(account, address, own) VALUES (?1, ?2, ?3)"             \
                      " ON CONFLICT(account, address) DO UPDATE SET own = max(own, excluded.own)") \
    X(Q_COUNT_GRANTS, "SELECT count(*) FROM address WHERE account = ?1")                           \
    X(Q_COUNT_ACT_AS, "SELECT count(*) FROM act_as WHERE account = ?1")                            \
    X(Q_REVOKE,       "DELETE FROM address WHERE account = ?1 AND address = ?2")                   \
    X(Q_OWNS,         "SELECT 1 FROM address WHERE account = ?1 AND address = ?2 AND own")         \
    X(Q_TAKEN,        "SELECT a.name FROM account a WHERE a.id <> ?1 AND (a.name = ?2 OR a.id IN"  \
                      " (SELECT account FROM address WHERE address = ?2 AND own)) LIMIT 1")        \
    X(Q_FIRST,        "UPDATE account SET first_address = ?2 WHERE id = ?1")                       \
    X(Q_FIRST_AGAIN,  "UPDATE account SET first_address = coalesce((SELECT address FROM address"   \
                      " WHERE account = ?1 AND own ORDER BY address LIMIT 1), '')"                 \
                      " WHERE id = ?1 AND first_address = ?2")                                     \
    X(Q_ALLOW,        "INSERT OR IGNORE INTO act_as(account, other) VALUES (?1, ?2)")              \
    X(Q_DISALLOW,     "DELETE FROM act_as WHERE account = ?1 AND other = ?2")                      \
    X(Q_LIMITS,       "UPDATE account SET message_size_max = ?2, recipients_max = ?3, sessions_max = ?4,"  \
                      " messages_m = ?5, messages_h = ?6, messages_d = ?7, recipients_m = ?8,"               \
                      " recipients_h = ?9, recipients_d = ?10 WHERE id = ?1") \
    X(Q_MECHANISMS,   "UPDATE account SET mechanisms = ?2 WHERE id = ?1")                          \
    X(Q_PIN,          "INSERT INTO pin(account, spki) VALUES (?1, ?2)")                            \
    X(Q_UNPIN,        "DELETE FROM pin WHERE account = ?1 AND spki = ?2")                          \
    X(Q_PIN_NOTE,     "UPDATE pin SET subject = ?3, until_s = ?4 WHERE account = ?1 AND spki = ?2") \
    X(Q_ALL_PINS,     "SELECT a.name, a.enabled, 0, p.spki, p.subject, p.until_s FROM pin p"       \
                      " JOIN account a ON a.id = p.account ORDER BY a.name, p.spki")               \
    X(Q_ALL_MAPS,     "SELECT a.name, a.enabled, m.kind, m.value, m.second, 0 FROM mapping m"      \
                      " JOIN account a ON a.id = m.account ORDER BY a.name, m.kind, m.value")      \
    X(Q_ANY_CERT,     "SELECT EXISTS(SELECT 1 FROM pin) OR EXISTS(SELECT 1 FROM mapping)")         \
    X(Q_MAP,          "INSERT INTO mapping(account, kind, value, second) VALUES (?1, ?2, ?3, ?4)") \
    X(Q_UNMAP,        "DELETE FROM mapping WHERE account = ?1 AND kind = ?2 AND value = ?3"        \
                      " AND second = ?4")
/* clang-format on */

enum sp_users_q {
#define SP_USERS_Q(id, sql) id,
    SP_USERS_SQL(SP_USERS_Q)
#undef SP_USERS_Q
        Q_COUNT
};

struct sp_users {
    sqlite3 *db;
    char *path;
    bool writable;
    int64_t data_version; /* -1: not read yet */
    sqlite3_stmt *st[Q_COUNT];
    struct sp_users_cache *cache; /* of a handle for reading; NULL: none */
    struct sp_dir *dir; /* not a file at all but accounts sections (acct_dir.h); else NULL */
};

/* ---- Accounts sections (acct_dir.c): what users.h says, asked of all of them ---- */

struct sp_dir;
struct sp_users *sp_dir_db(const struct sp_dir *d); /* users.db beside them */
int sp_dir_find(struct sp_dir *d, struct sp_str text, struct sp_user **ret_user,
                struct sp_err *err);
int sp_dir_get(struct sp_dir *d, struct sp_str name, struct sp_user **ret_user,
               struct sp_err *err);
int sp_dir_by(struct sp_dir *d, enum sp_users_key key, struct sp_str value,
              struct sp_str second, struct sp_users_hit *ret_hits, size_t cap,
              struct sp_err *err);
int sp_dir_any_certificate(struct sp_dir *d, struct sp_err *err);

/* A statement, reset and without bindings; NULL with *err set. */
sqlite3_stmt *sp_users_q(struct sp_users *u, enum sp_users_q q, struct sp_err *err);
/* SQLITE_ROW gives 1, SQLITE_DONE 0, all else -SP_E... with the reason. */
int sp_users_row(struct sp_users *u, sqlite3_stmt *st, struct sp_err *err);
/* Runs a statement that gives no row, ids and texts bound in order. */
int sp_users_run(struct sp_users *u, enum sp_users_q q, int64_t id, struct sp_err *err);
int sp_users_sqlite(struct sp_users *u, int rc, struct sp_err *err);
void sp_users_bind(sqlite3_stmt *st, int at, struct sp_str s); /* p NULL: SQL NULL */

/* ---- Accounts that were read (users_cache.c) ---- */

/* The file as it is: two equal stamps mean that no commit lies between.  0: not known. */
uint64_t sp_users_stamp(struct sp_users *u);

struct sp_users_cache *sp_users_cache_new(void); /* NULL: no memory */
void sp_users_cache_free(struct sp_users_cache *c); /* NULL is fine */

/* What sp_users_find() (any) or sp_users_get() gave for this text when the file had this
 * stamp: an account that the caller frees, or NULL for nobody.  False: not known. */
bool sp_users_cache_get(struct sp_users_cache *c, uint64_t stamp, bool any,
                        struct sp_str asked, struct sp_user **ret_user);
/* stamp: taken inside the transaction that read the account; user NULL: nobody. */
void sp_users_cache_put(struct sp_users_cache *c, uint64_t stamp, bool any,
                        struct sp_str asked, struct sp_user *user);

#endif
