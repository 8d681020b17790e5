/*
 * users_write.c - see users.h: changing accounts.
 *
 * Each change is one transaction: begin, the account's id, the statement, a new
 * generation, commit.  change_begin() and change_end() are its two ends.
 */
#include "users_i.h"

#include "err.h"
#include "secret.h"
#include "verify.h"

#include <stdio.h>
#include <string.h>

struct change {
    char name[SP_NAME_MAX + 1]; /* canonical */
    struct sp_str name_str;
    int64_t id; /* 0: no such account yet */
};

static int bad_name(struct sp_err *err, struct sp_str name)
{
    return sp_err_set(
        err, SP_CLASS_PEER, SP_EINPUT,
        "\"%.*s\" cannot be an account's name: 1 to %d octets, no blanks, "
        "none of / \\ \" < > ( ) , ; : * ? | `, and not beginning with - "
        "or .",
        name.n > 100 ? 100 : (int)name.n, name.p, SP_NAME_MAX);
}

static int id_of(struct sp_users *u, struct sp_str name, int64_t *ret_id,
                 struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, Q_BY_NAME, err);
    int rc;

    if (!st)
        return -SP_EIO;
    sp_users_bind(st, 1, name);
    rc = sp_users_row(u, st, err);
    *ret_id = rc == 1 ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

/* exists: the account must be there.  On failure nothing is open. */
static int change_begin(struct sp_users *u, struct sp_str name, bool exists,
                        struct change *c, struct sp_err *err)
{
    int n = sp_account_canonical(name, c->name, sizeof c->name), rc;

    if (!u->writable)
        return sp_err_set(err, SP_CLASS_BUG, SP_EDENIED, "%s is open for reading only",
                          u->path);
    if (n < 0)
        return bad_name(err, name);
    c->name_str = (struct sp_str){c->name, (size_t)n};
    rc = sp_users_run(u, Q_BEGIN, 0, err);
    if (rc < 0)
        return rc;
    rc = sp_users_run(u, Q_NEXT, 0, err);
    if (rc == 0)
        rc = id_of(u, c->name_str, &c->id, err);
    if (rc == 0 && exists && !c->id)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "there is no account %s",
                        c->name);
    if (rc < 0)
        (void)sp_users_run(u, Q_ROLLBACK, 0, NULL);
    return rc;
}

static int change_end(struct sp_users *u, const struct change *c, int rc,
                      struct sp_err *err)
{
    if (rc == 0 && c->id)
        rc = sp_users_run(u, Q_BUMP, c->id, err);
    if (rc == 0)
        rc = sp_users_run(u, Q_COMMIT, 0, err);
    if (rc < 0 && !sqlite3_get_autocommit(u->db))
        (void)sp_users_run(u, Q_ROLLBACK, 0, NULL);
    return rc;
}

/* A statement with the account's id and up to three texts. */
static int run_texts(struct sp_users *u, enum sp_users_q q, int64_t id,
                     const struct sp_str *text, int n, struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, q, err);
    int rc;

    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, id);
    for (int i = 0; i < n; i++)
        sp_users_bind(st, 2 + i, text[i]);
    rc = sp_users_row(u, st, err);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st); /* a hash is not kept in the statement */
    return rc;
}

static int run_numbers(struct sp_users *u, enum sp_users_q q, int64_t id, int64_t a,
                       int64_t b, struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, q, err);
    int rc;

    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_int64(st, 2, a);
    if (sqlite3_bind_parameter_count(st) > 2)
        sqlite3_bind_int64(st, 3, b);
    rc = sp_users_row(u, st, err);
    sqlite3_reset(st);
    return rc;
}

static int count_of(struct sp_users *u, enum sp_users_q q, int64_t id, int64_t *ret,
                    struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, q, err);
    int rc;

    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, id);
    rc = sp_users_row(u, st, err);
    *ret = rc == 1 ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

/* An own address names one account; so does an account name of that form. */
static int not_taken(struct sp_users *u, int64_t id, struct sp_str address,
                     struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, Q_TAKEN, err);
    int rc;

    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, id);
    sp_users_bind(st, 2, address);
    rc = sp_users_row(u, st, err);
    if (rc == 1)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EEXIST,
                        "%.*s belongs to %s already; it can be granted for sending, "
                        "without being its own",
                        (int)address.n, address.p,
                        (const char *)sqlite3_column_text(st, 0));
    sqlite3_reset(st);
    return rc;
}

static int put_grant(struct sp_users *u, int64_t id, struct sp_str text, bool own,
                     struct sp_err *err)
{
    char canonical[SP_ADDRESS_MAX + 1];
    bool pattern = false;
    sqlite3_stmt *st;
    struct sp_str grant;
    int64_t count = 0;
    int n = sp_grant_canonical(text, canonical, sizeof canonical, &pattern), rc;

    if (n < 0 || (own && pattern))
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "\"%.*s\" is not an address%s",
                          text.n > 100 ? 100 : (int)text.n, text.p ? text.p : "",
                          own ? "" : ", *@domain or *-suffix@domain");
    grant = (struct sp_str){canonical, (size_t)n};
    rc = own ? not_taken(u, id, grant, err) : 0;
    if (rc == 0)
        rc = count_of(u, Q_COUNT_GRANTS, id, &count, err);
    if (rc == 0 && count >= SP_USER_GRANTS_MAX)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT,
                        "an account has at most %d grants", SP_USER_GRANTS_MAX);
    if (rc < 0)
        return rc;
    st = sp_users_q(u, Q_GRANT, err);
    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, id);
    sp_users_bind(st, 2, grant);
    sqlite3_bind_int(st, 3, own);
    rc = sp_users_row(u, st, err);
    /* The first own address becomes the one for messages without From. */
    if (rc == 0 && own) {
        struct sp_str both[] = {SP_LIT("")};

        rc = run_texts(u, Q_FIRST_AGAIN, id, both, 1, err);
    }
    return rc;
}

int sp_users_add(struct sp_users *u, struct sp_str name, struct sp_str first_address,
                 struct sp_err *err)
{
    struct change c;
    sqlite3_stmt *st;
    int rc = change_begin(u, name, false, &c, err);

    if (rc < 0)
        return rc;
    if (c.id) {
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EEXIST, "there is an account %s already",
                        c.name);
        goto out;
    }
    rc = not_taken(u, 0, c.name_str, err);
    st = rc == 0 ? sp_users_q(u, Q_ADD, err) : NULL;
    if (!st) {
        rc = rc ? rc : -SP_EIO;
        goto out;
    }
    sp_users_bind(st, 1, c.name_str);
    sp_users_bind(st, 2, SP_LIT(""));
    rc = sp_users_row(u, st, err);
    if (rc < 0)
        goto out;
    c.id = sqlite3_last_insert_rowid(u->db);
    st = sp_users_q(u, Q_UNREMOVE, err);
    if (!st) {
        rc = -SP_EIO;
        goto out;
    }
    sp_users_bind(st, 1, c.name_str);
    rc = sp_users_row(u, st, err);
    if (rc == 0 && first_address.n)
        rc = put_grant(u, c.id, first_address, true, err);
out:
    return change_end(u, &c, rc, err);
}

int sp_users_remove(struct sp_users *u, struct sp_str name, struct sp_err *err)
{
    struct change c;
    sqlite3_stmt *st;
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    rc = sp_users_run(u, Q_BUMP_ACTORS, c.id, err);
    if (rc == 0)
        rc = sp_users_run(u, Q_DELETE, c.id, err);
    if (rc == 0) {
        st = sp_users_q(u, Q_REMOVED, err);
        if (st)
            sp_users_bind(st, 1, c.name_str);
        rc = st ? sp_users_row(u, st, err) : -SP_EIO;
    }
    c.id = 0;
    return change_end(u, &c, rc, err);
}

int sp_users_enable(struct sp_users *u, struct sp_str name, bool enabled,
                    struct sp_err *err)
{
    struct change c;
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    rc = run_numbers(u, Q_ENABLE, c.id, enabled, 0, err);
    /* Whoever may act as this account loses or gains a right, too. */
    if (rc == 0)
        rc = sp_users_run(u, Q_BUMP_ACTORS, c.id, err);
    return change_end(u, &c, rc, err);
}

/* The three forms of a password that are stored: made before the transaction, because
 * they take tens of milliseconds. */
static int make_hashes(struct sp_users *u, struct sp_str password, uint32_t iterations,
                       char crypt_text[SP_CRYPT_TEXT_MAX],
                       char scram[2][SP_SCRAM_TEXT_MAX], struct sp_err *err)
{
    struct sp_scram_verifier v;
    uint8_t key[32];
    uint32_t usual = 0;
    int rc = sp_users_scram_defaults(u, key, &usual, err);

    sp_wipe(key, sizeof key);
    if (rc < 0)
        return rc;
    rc = sp_password_hash(password, crypt_text, SP_CRYPT_TEXT_MAX);
    for (int h = SP_SCRAM_SHA256; rc == 0 && h <= SP_SCRAM_SHA1; h++) {
        rc = sp_scram_make((enum sp_scram_hash)h, password, (struct sp_str){0},
                           iterations ? iterations : usual, &v);
        if (rc == 0)
            rc = sp_scram_print(&v, scram[h], SP_SCRAM_TEXT_MAX);
        rc = rc > 0 ? 0 : rc;
    }
    sp_wipe(&v, sizeof v);
    if (rc == -SP_EINPUT || rc == -SP_ELIMIT)
        return sp_err_set(
            err, SP_CLASS_PEER, SP_EINPUT,
            "this password cannot be used: it must have 1 to %d octets, be "
            "UTF-8 and hold no control characters; iterations %d to %d",
            SP_PASSWORD_MAX, SP_SCRAM_ITERATIONS_MIN, SP_SCRAM_ITERATIONS_MAX);
    return rc < 0 ? sp_err_nomem(err) : 0;
}

static int forget_cram(struct sp_users *u, int64_t id, struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, Q_HAS_CRAM, err);
    int rc = st ? sp_users_row(u, st, err) : -SP_EIO;

    if (rc == 1) {
        sqlite3_reset(st);
        rc = sp_users_run(u, Q_NO_CRAM, id, err);
    }
    return rc;
}

static int put_cram(struct sp_users *u, int64_t id, struct sp_str password,
                    struct sp_err *err)
{
    uint8_t context[SP_CRAM_CONTEXT];
    char hex[2 * SP_CRAM_CONTEXT + 1];
    sqlite3_stmt *st = sp_users_q(u, Q_HAS_CRAM, err);
    struct sp_str text = {hex, sizeof hex - 1};
    int rc = st ? sp_users_row(u, st, err) : -SP_EIO;

    if (rc == 1)
        sqlite3_reset(st);
    else if (rc == 0)
        rc = sp_users_run(u, Q_MAKE_CRAM, 0, err);
    if (rc < 0)
        return rc;
    if (sp_cram_make(password, context) < 0)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "this password cannot be used for CRAM-MD5");
    (void)sp_hex_encode(context, sizeof context, hex, sizeof hex);
    rc = run_texts(u, Q_SET_CRAM, id, &text, 1, err);
    sp_wipe(context, sizeof context);
    sp_wipe(hex, sizeof hex);
    return rc;
}

int sp_users_set_cram(struct sp_users *u, struct sp_str name, struct sp_str password,
                      struct sp_err *err)
{
    struct change c;
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    rc = password.p ? put_cram(u, c.id, password, err) : forget_cram(u, c.id, err);
    return change_end(u, &c, rc, err);
}

int sp_users_set_password(struct sp_users *u, struct sp_str name,
                          struct sp_str password, uint32_t iterations,
                          struct sp_err *err)
{
    char crypt_text[SP_CRYPT_TEXT_MAX], scram[2][SP_SCRAM_TEXT_MAX];
    struct change c;
    int rc = make_hashes(u, password, iterations, crypt_text, scram, err);

    if (rc == 0)
        rc = change_begin(u, name, true, &c, err);
    if (rc == 0) {
        struct sp_str text[] = {sp_str(crypt_text), sp_str(scram[SP_SCRAM_SHA256]),
                                sp_str(scram[SP_SCRAM_SHA1])};

        rc = run_texts(u, Q_PASSWORD, c.id, text, 3, err);
        if (rc == 0)
            rc = forget_cram(u, c.id, err);
        rc = change_end(u, &c, rc, err);
    }
    sp_wipe(crypt_text, sizeof crypt_text);
    sp_wipe(scram, sizeof scram);
    return rc;
}

int sp_users_no_password(struct sp_users *u, struct sp_str name, struct sp_err *err)
{
    const struct sp_str none[3] = {{0}, {0}, {0}};
    struct change c;
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    rc = run_texts(u, Q_PASSWORD, c.id, none, 3, err);
    if (rc == 0)
        rc = forget_cram(u, c.id, err);
    return change_end(u, &c, rc, err);
}

int sp_users_grant(struct sp_users *u, struct sp_str name, struct sp_str grant,
                   bool own, struct sp_err *err)
{
    struct change c;
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    return change_end(u, &c, put_grant(u, c.id, grant, own, err), err);
}

/* Runs a statement that must hit a row. */
static int must_hit(struct sp_users *u, enum sp_users_q q, int64_t id,
                    const struct sp_str *text, int n, const char *what,
                    struct sp_err *err)
{
    int rc = run_texts(u, q, id, text, n, err);

    if (rc == 0 && sqlite3_changes(u->db) == 0)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "the account has no such %s",
                        what);
    return rc;
}

int sp_users_revoke(struct sp_users *u, struct sp_str name, struct sp_str grant,
                    struct sp_err *err)
{
    char canonical[SP_ADDRESS_MAX + 1];
    bool pattern;
    struct change c;
    int n = sp_grant_canonical(grant, canonical, sizeof canonical, &pattern);
    struct sp_str text = {canonical, n > 0 ? (size_t)n : 0};
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    rc = must_hit(u, Q_REVOKE, c.id, &text, 1, "address or grant", err);
    if (rc == 0)
        rc = run_texts(u, Q_FIRST_AGAIN, c.id, &text, 1, err);
    return change_end(u, &c, rc, err);
}

int sp_users_set_first(struct sp_users *u, struct sp_str name, struct sp_str address,
                       struct sp_err *err)
{
    char canonical[SP_ADDRESS_MAX + 1];
    bool pattern;
    struct change c;
    int n = sp_grant_canonical(address, canonical, sizeof canonical, &pattern);
    struct sp_str text = {canonical, n > 0 ? (size_t)n : 0};
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    rc = run_texts(u, Q_OWNS, c.id, &text, 1, err);
    if (rc == 0)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                        "that is none of the account's own addresses");
    else if (rc == 1)
        rc = run_texts(u, Q_FIRST, c.id, &text, 1, err);
    return change_end(u, &c, rc, err);
}

int sp_users_act_as(struct sp_users *u, struct sp_str name, struct sp_str other,
                    bool allowed, struct sp_err *err)
{
    char canonical[SP_NAME_MAX + 1];
    struct change c;
    int64_t other_id = 0, count = 0;
    int n = sp_account_canonical(other, canonical, sizeof canonical);
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    if (n > 0)
        rc = id_of(u, (struct sp_str){canonical, (size_t)n}, &other_id, err);
    if (rc == 0 && !other_id)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "there is no account %.*s",
                        other.n > 100 ? 100 : (int)other.n, other.p ? other.p : "");
    if (rc == 0 && allowed)
        rc = count_of(u, Q_COUNT_ACT_AS, c.id, &count, err);
    if (rc == 0 && count >= SP_USER_ACT_AS_MAX)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT,
                        "an account may act as at most %d others", SP_USER_ACT_AS_MAX);
    if (rc == 0)
        rc = run_numbers(u, allowed ? Q_ALLOW : Q_DISALLOW, c.id, other_id, 0, err);
    return change_end(u, &c, rc, err);
}

static int run_limits(struct sp_users *u, int64_t id, const struct sp_user_limits *l,
                      struct sp_err *err)
{
    sqlite3_stmt *st = sp_users_q(u, Q_LIMITS, err);
    int rc;

    if (!st)
        return -SP_EIO;
    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_int64(st, 2, (int64_t)l->message_size_max);
    sqlite3_bind_int64(st, 3, l->recipients_max);
    sqlite3_bind_int64(st, 4, l->sessions_max);
    for (int i = 0; i < SP_RATE_WHATS * SP_RATE_PERIODS; i++)
        sqlite3_bind_int64(st, 5 + i,
                           l->rates.n[i / SP_RATE_PERIODS][i % SP_RATE_PERIODS]);
    rc = sp_users_row(u, st, err);
    sqlite3_reset(st);
    return rc;
}

int sp_users_limits(struct sp_users *u, struct sp_str name,
                    const struct sp_user_limits *limits, struct sp_err *err)
{
    struct change c;
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    if (limits->message_size_max > INT64_MAX)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "the size limit is too large");
    else
        rc = run_limits(u, c.id, limits, err);
    return change_end(u, &c, rc, err);
}

/* RFC 4422 section 3.1: capitals, digits, - and _, at most 20 of them. */
static bool is_mechanism(struct sp_str s)
{
    if (s.n == 0 || s.n > 20)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'A' && s.p[i] <= 'Z') && !(s.p[i] >= '0' && s.p[i] <= '9') &&
            s.p[i] != '-' && s.p[i] != '_')
            return false;
    return true;
}

int sp_users_mechanisms(struct sp_users *u, struct sp_str name, struct sp_str list,
                        struct sp_err *err)
{
    char text[SP_USER_MECHS_MAX + 1] = "";
    size_t n = 0;
    struct change c;
    struct sp_str kept;
    int rc;

    while (list.n) {
        struct sp_str m = sp_str_cut(&list, ' ');

        if (m.n == 0)
            continue;
        if (!is_mechanism(m) || n + m.n + 1 > SP_USER_MECHS_MAX)
            return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                              "this is no list of mechanisms: capitals, digits, - and _, "
                              "at most %d octets in all",
                              SP_USER_MECHS_MAX);
        memcpy(text + n, m.p, m.n);
        n += m.n;
        text[n++] = ' ';
    }
    kept = (struct sp_str){text, n};
    rc = change_begin(u, name, true, &c, err);
    if (rc < 0)
        return rc;
    rc = run_texts(u, Q_MECHANISMS, c.id, &kept, 1, err);
    return change_end(u, &c, rc, err);
}

int sp_users_pin(struct sp_users *u, struct sp_str name, struct sp_str spki_sha256_hex,
                 bool pinned, struct sp_err *err)
{
    uint8_t raw[32];
    char hex[65];
    struct change c;
    struct sp_users_hit hit;
    struct sp_str text;
    int rc;

    if (spki_sha256_hex.n != 64 ||
        sp_hex_decode(spki_sha256_hex, raw, sizeof raw) != (int)sizeof raw)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "a pin is the SHA-256 of the public key: 64 hex digits");
    (void)sp_hex_encode(raw, sizeof raw, hex, sizeof hex);
    text = sp_str(hex);
    rc = change_begin(u, name, true, &c, err);
    if (rc < 0)
        return rc;
    if (!pinned)
        return change_end(u, &c, must_hit(u, Q_UNPIN, c.id, &text, 1, "pin", err), err);
    rc = sp_users_by(u, SP_USERS_BY_PIN, text, (struct sp_str){0}, &hit, 1, err);
    if (rc == 1)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EEXIST,
                        "this key is pinned for %s already", hit.name);
    if (rc == 0)
        rc = run_texts(u, Q_PIN, c.id, &text, 1, err);
    return change_end(u, &c, rc, err);
}

int sp_users_pin_note(struct sp_users *u, struct sp_str name,
                      struct sp_str spki_sha256_hex, struct sp_str subject,
                      int64_t until_s, struct sp_err *err)
{
    char digits[24];
    struct sp_str text[] = {spki_sha256_hex, subject, {digits, 0}};
    struct change c;
    int rc = change_begin(u, name, true, &c, err);

    if (rc < 0)
        return rc;
    /* As text: the column makes a number of it. */
    text[2].n = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)until_s);
    return change_end(u, &c, must_hit(u, Q_PIN_NOTE, c.id, text, 3, "pin", err), err);
}

int sp_users_map(struct sp_users *u, struct sp_str name, enum sp_users_key key,
                 struct sp_str value, struct sp_str second, bool mapped,
                 struct sp_err *err)
{
    struct change c;
    struct sp_users_hit hit;
    sqlite3_stmt *st;
    int rc;

    if ((key != SP_USERS_BY_URI && key != SP_USERS_BY_DN) || value.n == 0 ||
        value.n > 1000 || second.n > 1000 || (key == SP_USERS_BY_DN && second.n == 0))
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT,
                          "a mapping is a URI, or a subject with its issuer");
    rc = change_begin(u, name, true, &c, err);
    if (rc < 0)
        return rc;
    rc = mapped ? sp_users_by(u, key, value, second, &hit, 1, err) : 0;
    if (rc > 0)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_EEXIST,
                        "this name is mapped to %s already", hit.name);
    st = rc == 0 ? sp_users_q(u, mapped ? Q_MAP : Q_UNMAP, err) : NULL;
    if (st) {
        sqlite3_bind_int64(st, 1, c.id);
        sqlite3_bind_int(st, 2, (int)key);
        sp_users_bind(st, 3, value);
        sp_users_bind(st, 4, second.p ? second : SP_LIT(""));
        rc = sp_users_row(u, st, err);
        if (rc == 0 && sqlite3_changes(u->db) == 0)
            rc = sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                            "the account has no such mapping");
    } else if (rc == 0) {
        rc = -SP_EIO;
    }
    return change_end(u, &c, rc, err);
}

int sp_users_set_iterations(struct sp_users *u, uint32_t iterations, struct sp_err *err)
{
    if (!u->writable)
        return sp_err_set(err, SP_CLASS_BUG, SP_EDENIED, "%s is open for reading only",
                          u->path);
    if (iterations < SP_SCRAM_ITERATIONS_MIN || iterations > SP_SCRAM_ITERATIONS_MAX)
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "iterations: %d to %d",
                          SP_SCRAM_ITERATIONS_MIN, SP_SCRAM_ITERATIONS_MAX);
    return sp_users_run(u, Q_ITERATIONS, iterations, err);
}
