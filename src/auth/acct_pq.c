/*
 * acct_pq.c - accounts in PostgreSQL: one query of the administrator's, with $1.
 *
 * libpq is driven without blocking, because only so a deadline can be kept: connecting,
 * sending and waiting all end in poll() with what is left of it.  What the user typed is
 * only ever a parameter.
 *
 * A query that we gave up must not go on in the database: a slow one, asked again by each
 * login, would fill it.  So the session's statement_timeout is the section's timeout.  A
 * cancel request would need the network just when it fails, and libpq before 17 sends it
 * in clear.
 */
#include "acct.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_MAX = 2000 };

/* The administrator's own limit stays where it is the stricter one. */
static const char limit_query[] =
    "SELECT set_config('statement_timeout', $1::text, false) FROM pg_settings"
    " WHERE name = 'statement_timeout'"
    " AND (setting::bigint = 0 OR setting::bigint > ($1::text)::bigint)";

struct pq {
    const struct sp_conf_accounts *c;
    char *password; /* NULL: none */
    PGconn *conn;   /* NULL: not connected */
};

static void *pq_open(const struct sp_conf_accounts *c, struct sp_str secret,
                     struct sp_err *err)
{
    struct pq *p = sp_alloc(sizeof *p);

    if (p && secret.n)
        p->password = sp_str_dup(secret);
    if (!p || (secret.n && !p->password)) {
        sp_free(p);
        (void)sp_err_nomem(err);
        return NULL;
    }
    p->c = c;
    return p;
}

static void drop(struct pq *p)
{
    PQfinish(p->conn);
    p->conn = NULL;
}

static void pq_close(void *self)
{
    struct pq *p = self;

    drop(p);
    if (p->password)
        sp_wipe(p->password, strlen(p->password));
    sp_free(p->password);
    sp_free(p);
}

/* libpq's words have a line end. */
static enum sp_acct_status failed(struct pq *p, struct sp_err *err, const char *what)
{
    const char *text = PQerrorMessage(p->conn);
    enum sp_acct_status st =
        sp_acct_away(err, "%s: %.*s", what, (int)strcspn(text, "\n"), text);

    drop(p);
    return st;
}

static enum sp_acct_status late(struct pq *p, struct sp_err *err)
{
    drop(p);
    (void)sp_err_set(err, SP_CLASS_TEMPORARY, SP_ETIMEDOUT,
                     "the database did not answer in time");
    return SP_ACCT_AWAY;
}

/* false: the deadline passed. */
static bool wait_for(struct pq *p, short events, uint64_t until_ms)
{
    struct pollfd f = {.fd = PQsocket(p->conn), .events = events};
    uint64_t now = sp_acct_now_ms();

    return f.fd >= 0 && now < until_ms && poll(&f, 1, (int)(until_ms - now)) > 0;
}

static enum sp_acct_status connect_now(struct pq *p, uint64_t until_ms,
                                       struct sp_err *err)
{
    const char *const key[] = {"dbname", "fallback_application_name", "password", NULL};
    const char *const value[] = {p->c->connection, "sallyport", p->password, NULL};
    const char *const key_only[] = {"dbname", "fallback_application_name", NULL};
    PostgresPollingStatusType st = PGRES_POLLING_WRITING;

    p->conn = PQconnectStartParams(p->password ? key : key_only, value, 1);
    if (!p->conn)
        return sp_acct_away(err, "out of memory");
    if (PQstatus(p->conn) == CONNECTION_BAD)
        return failed(p, err, "cannot connect to the database");
    while (st != PGRES_POLLING_OK && st != PGRES_POLLING_FAILED) {
        if (!wait_for(p, st == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms))
            return late(p, err);
        st = PQconnectPoll(p->conn);
    }
    if (st == PGRES_POLLING_FAILED || PQsetnonblocking(p->conn, 1) < 0)
        return failed(p, err, "cannot connect to the database");
    return SP_ACCT_OK;
}

/* Each row gives a value of each of its columns; the first column that is no field of an
 * account says so, for otherwise a slip of the pen would take a limit away. */
static enum sp_acct_status read_rows(const PGresult *r, struct sp_acct *a,
                                     struct sp_err *err)
{
    int rows = PQntuples(r), columns = PQnfields(r);

    if (rows > ROWS_MAX) /* a limit in a row that is not read would be lost */
        return sp_acct_away(err, "the database has too much about this account");
    for (int c = 0; c < columns; c++) {
        enum sp_acct_field f = sp_acct_field_named(sp_str(PQfname(r, c)));

        if (f == SP_ACCT_FIELDS)
            return sp_acct_away(err, "the query's column %s is no field of an account",
                                PQfname(r, c));
        for (int i = 0; i < rows; i++) {
            struct sp_str v = {PQgetvalue(r, i, c), (size_t)PQgetlength(r, i, c)};

            if (PQgetisnull(r, i, c))
                continue;
            if (f == SP_ACCT_F_NAME && i > 0 && !sp_str_eq(v, sp_acct_first(a, f)))
                return SP_ACCT_NO; /* two accounts: neither */
            if (i > 0 &&
                sp_str_eq(v, (struct sp_str){PQgetvalue(r, i - 1, c),
                                             (size_t)PQgetlength(r, i - 1, c)}))
                continue;
            if (sp_acct_put(a, f, v) < 0)
                return sp_acct_away(err,
                                    "the database has too much about this account");
        }
    }
    return rows ? SP_ACCT_OK : SP_ACCT_NO;
}

/* a NULL: what the rows hold is of no interest. */
static enum sp_acct_status take_results(struct pq *p, uint64_t until_ms,
                                        struct sp_acct *a, struct sp_err *err)
{
    enum sp_acct_status st = SP_ACCT_AWAY;
    PGresult *r;

    for (;;) {
        while (PQisBusy(p->conn)) {
            if (!wait_for(p, POLLIN, until_ms))
                return late(p, err);
            if (!PQconsumeInput(p->conn))
                return failed(p, err, "the database");
        }
        r = PQgetResult(p->conn);
        if (!r)
            return st;
        if (PQresultStatus(r) == PGRES_TUPLES_OK) {
            st = a ? read_rows(r, a, err) : SP_ACCT_OK;
            PQclear(r);
        } else {
            const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
            bool too_long = state && strcmp(state, "57014") == 0; /* query_canceled */

            PQclear(r);
            return too_long ? late(p, err) : failed(p, err, "the query failed");
        }
    }
}

static enum sp_acct_status run(struct pq *p, const char *query, const char *value,
                               uint64_t until_ms, struct sp_acct *a, struct sp_err *err)
{
    int rc;

    if (PQtransactionStatus(p->conn) != PQTRANS_IDLE ||
        !PQsendQueryParams(p->conn, query, 1, NULL, &value, NULL, NULL, 0))
        return failed(p, err, "the database");
    while ((rc = PQflush(p->conn)) == 1)
        if (!wait_for(p, POLLOUT, until_ms))
            return late(p, err);
    return rc < 0 ? failed(p, err, "the database") : take_results(p, until_ms, a, err);
}

static enum sp_acct_status connect_limited(struct pq *p, uint64_t until_ms,
                                           struct sp_err *err)
{
    char ms[24];
    enum sp_acct_status st = connect_now(p, until_ms, err);

    snprintf(ms, sizeof ms, "%llu", (unsigned long long)p->c->timeout_s * 1000);
    return st == SP_ACCT_OK ? run(p, limit_query, ms, until_ms, NULL, err) : st;
}

static enum sp_acct_status pq_ask(void *self, const struct sp_acct_ask *q,
                                  struct sp_acct *a, struct sp_err *err)
{
    struct pq *p = self;
    uint64_t until_ms = sp_acct_now_ms() + p->c->timeout_s * 1000;
    const char *query =
        q->what == SP_ACCT_FIND_BY_PIN ? p->c->certificate_query : p->c->query;
    enum sp_acct_status st = SP_ACCT_OK;
    char *name;

    if (q->what != SP_ACCT_FIND && q->what != SP_ACCT_FIND_BY_PIN)
        return sp_acct_away(err, "the database checks no passwords");
    name = query ? sp_str_dup(q->name) : NULL;
    if (!name)
        return SP_ACCT_NO; /* with a NUL inside: nobody */
    if (p->conn && PQstatus(p->conn) != CONNECTION_OK)
        drop(p);
    if (!p->conn)
        st = connect_limited(p, until_ms, err);
    if (st == SP_ACCT_OK)
        st = run(p, query, name, until_ms, a, err);
    sp_free(name);
    return st;
}

static bool pq_stale(void *self)
{
    return ((struct pq *)self)->conn != NULL;
}

const struct sp_acct_ops sp_acct_pq = {
    .can = SP_ACCT_CAN_FIND | SP_ACCT_CAN_SCRAM | SP_ACCT_CAN_PIN,
    .open = pq_open,
    .close = pq_close,
    .ask = pq_ask,
    .stale = pq_stale,
};
