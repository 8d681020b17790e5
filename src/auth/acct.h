/*
 * acct.h - accounts that are kept elsewhere: a file, LDAP, PAM, PostgreSQL, Dovecot.
 *
 *     c = sp_acct_open(section, secret, &err);             one connection, made when needed
 *     sp_acct_init(&a);
 *     st = sp_acct_ask(c, &(struct sp_acct_ask){.what = SP_ACCT_FIND, .name = ...}, &a, &err);
 *     st == SP_ACCT_OK: sp_acct_user(&a, asked, domain, &user, &err)   as if from users.db
 *     sp_acct_reset(&a);  sp_acct_close(c);
 *
 * One interface for all of them: a question and an answer.  The answer is a list of fields
 * (name, address, ...), each known to one table in acct.c; what a field may hold is judged
 * there, for all types alike, because a directory is written by others.
 *
 * A question blocks, never longer than the section's timeout: the caller is a pool thread
 * of the auth-helper role, or the command line.  One connection must not be used by two
 * threads at a time.  A connection that failed reconnects at the next question.
 *
 * Names reach a type only after sp_acct_name() took them: no blank, no control octet, none
 * of / \ " < > ( ) , ; : * ? | `; what a type puts them into it escapes all the same.
 */
#ifndef SP_ACCT_H
#define SP_ACCT_H

#include "conf.h"
#include "users.h"

enum sp_acct_status {
    SP_ACCT_OK,   /* found; the password is right; the exchange succeeded */
    SP_ACCT_NO,   /* nobody; wrong */
    SP_ACCT_AWAY, /* cannot be asked just now: 454 */
    SP_ACCT_MORE, /* an exchange goes on */
};

enum sp_acct_what {
    SP_ACCT_FIND,        /* name: as typed */
    SP_ACCT_FIND_BY_PIN, /* name: SPKI SHA-256, hex */
    SP_ACCT_CHECK,       /* name, secret; the answer may have fields, too */
    SP_ACCT_SASL,        /* name: of an exchange that begins; secret: the first token, or */
    SP_ACCT_SASL_STEP,   /* the next one */
};

enum sp_acct_field {
    SP_ACCT_F_NAME,
    SP_ACCT_F_PASSWORD,
    SP_ACCT_F_SCRAM256,
    SP_ACCT_F_SCRAM1,
    SP_ACCT_F_ADDRESS,
    SP_ACCT_F_GRANT,
    SP_ACCT_F_ACT_AS,
    SP_ACCT_F_ENABLED,
    SP_ACCT_F_DISABLED,
    SP_ACCT_F_SIZE,
    SP_ACCT_F_RECIPIENTS,
    SP_ACCT_F_SESSIONS,
    SP_ACCT_F_MESSAGE_RATE,
    SP_ACCT_F_RECIPIENT_RATE,
    SP_ACCT_F_PIN,
    SP_ACCT_F_MECHANISMS,
    SP_ACCT_F_CHECKED, /* "yes": the password is judged by asking, not here */
    SP_ACCT_F_BLIND,   /* "yes": nobody knows whether there is such an account */
    SP_ACCT_F_LOCAL,   /* generation of the account in users.db that adds rights */
    SP_ACCT_FIELDS
};
const char *sp_acct_field_name(enum sp_acct_field f); /* "scram-sha-256" */
/* By name, - and _ alike; SP_ACCT_FIELDS: none.  CHECKED and BLIND are not for outside. */
enum sp_acct_field sp_acct_field_named(struct sp_str name);

enum { SP_ACCT_VALUES_MAX = 4000, SP_ACCT_VALUE_MAX = 2048 };

struct sp_acct_value {
    enum sp_acct_field field;
    struct sp_str value;
};
/* An answer. */
struct sp_acct {
    struct sp_arena arena;
    struct sp_acct_value *v;
    size_t n, cap;
    struct sp_buf token; /* SP_ACCT_MORE, and what comes with success */
};
void sp_acct_init(struct sp_acct *a);
void sp_acct_reset(struct sp_acct *a); /* wipes; usable again */
/* Copies; what is too long or too much is -SP_ELIMIT. */
int sp_acct_put(struct sp_acct *a, enum sp_acct_field f, struct sp_str value);
struct sp_str sp_acct_first(const struct sp_acct *a, enum sp_acct_field f); /* p NULL: none */

struct sp_acct_ask {
    enum sp_acct_what what;
    struct sp_str name, secret, mechanism, client_address;
    struct sp_acct_exchange **exchange; /* SP_ACCT_SASL makes it */
};

struct sp_acct_conn;

/* secret: our own password there; empty: none.  Nothing is connected yet. */
int sp_acct_open(const struct sp_conf_accounts *c, struct sp_str secret,
                 struct sp_acct_conn **ret, struct sp_err *err);
void sp_acct_close(struct sp_acct_conn *c); /* NULL is fine */
/* *err says why with AWAY, and for the log with NO.  `a` is initialised. */
enum sp_acct_status sp_acct_ask(struct sp_acct_conn *c, const struct sp_acct_ask *q,
                                struct sp_acct *a, struct sp_err *err);
void sp_acct_exchange_free(struct sp_acct_exchange *e); /* NULL is fine */
/* All accounts, where the type can tell (a file): until `each` returns non-zero.
 * -SP_ESTATE: it cannot. */
int sp_acct_list(struct sp_acct_conn *c,
                 int (*each)(void *arg, const struct sp_acct *a), void *arg,
                 struct sp_err *err);

/* What a section can do, as one of its type and with its keys. */
enum {
    SP_ACCT_CAN_FIND = 1,  /* can say whom it knows, without a password */
    SP_ACCT_CAN_SCRAM = 2, /* may hold SCRAM verifiers */
    SP_ACCT_CAN_PIN = 4,
    SP_ACCT_CAN_LIST = 8,
};
unsigned sp_acct_can(const struct sp_conf_accounts *c);

/* Is it a name or an address that may be looked up?  Its canonical form. */
int sp_acct_name(struct sp_str text, char *out, size_t cap);
/* An account as users.h has it.  asked: what it was looked up by, its name where the answer
 * has none.  Values that no account could have are left out; a field that would restrict the
 * account and cannot be read disables it.  `checked` and `blind` of the user are set. */
int sp_acct_user(const struct sp_acct *a, struct sp_str asked, const char *domain,
                 struct sp_user **ret_user, struct sp_err *err);

/* ---- For the types (acct_*.c) ---- */

struct sp_acct_ops {
    unsigned can;
    void *(*open)(const struct sp_conf_accounts *c, struct sp_str secret,
                  struct sp_err *err);
    void (*close)(void *self);
    enum sp_acct_status (*ask)(void *self, const struct sp_acct_ask *q,
                               struct sp_acct *a, struct sp_err *err);
    int (*list)(void *self, int (*each)(void *arg, const struct sp_acct *a), void *arg,
                struct sp_err *err); /* NULL: cannot */
    /* Fails over a connection that had worked before: ask once more, it reconnects. */
    bool (*stale)(void *self); /* NULL: never */
};
extern const struct sp_acct_ops sp_acct_file, sp_acct_ldap, sp_acct_pam, sp_acct_pq,
    sp_acct_dovecot;

uint64_t sp_acct_now_ms(void); /* for deadlines */
/* %u %n %d (and %p) of the template, each put through `escape`. */
int sp_acct_fill(const char *template, struct sp_str name,
                 int (*escape)(struct sp_buf *out, struct sp_str s), struct sp_buf *out);
enum sp_acct_status sp_acct_away(struct sp_err *err, const char *fmt, ...)
    SP_PRINTF(2, 3);

struct sp_acct_exchange {
    void (*free)(struct sp_acct_exchange *e);
};

#endif
