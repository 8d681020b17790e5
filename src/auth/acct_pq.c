/*
 * acct_pq.c - accounts in PostgreSQL: one query of the administrator's, with $1.
 *
 * libpq is driven without blocking, because only so a deadline can be kept: connecting,
 * sending and waiting all end in poll() with what is left of it.  What the user typed is
 * only ever a parameter.
 */
#include "acct.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <libpq-fe.h>
#include <poll.h>
#include <string.h>

enum { ROWS_MAX = 2000 };

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

/* false: the deadline passed. */
static bool wait_for(struct pq *p, short events, uint64_t until_ms)
{
    struct pollfd f = {.fd = PQsocket(p->conn), .events = events};
    uint64_t now = sp_acct_now_ms();

    return f.fd >= 0 && now < until_ms && poll(&f, 1, (int)(until_ms - now)) > 0;
}

static enum sp_acct_status connect_now(struct pq *p, uint64_t until_ms, struct sp_err *err)
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
        if (!wait_for(p, st == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms)) {
            drop(p);
            return sp_acct_away(err, "the database did not answer in time");
        }
        st = PQconnectPoll(p->conn);
    }
    if (st == PGRES_POLLING_FAILED || PQsetnonblocking(p->conn, 1) < 0)
        return failed(p, err, "cannot connect to the database");
    return SP_ACCT_OK;
}

/* Each row gives a value of each of its columns; the first column that is no field of an
 * account says so, for otherwise a slip of the pen would take a limit away. */
static enum sp_acct_status read_rows(const PGresult *r, struct sp_acct *a, struct sp_err *err)
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
            if (i > 0 && sp_str_eq(v, (struct sp_str){PQgetvalue(r, i - 1, c),
                                                      (size_t)PQgetlength(r, i - 1, c)}))
                continue;
            if (sp_acct_put(a, f, v) < 0)
                return sp_acct_away(err, "the database has too much about this account");
        }
    }
    return rows ? SP_ACCT_OK : SP_ACCT_NO;
}

static enum sp_acct_status take_results(struct pq *p, uint64_t until_ms, struct sp_acct *a,
                                        struct sp_err *err)
{
    enum sp_acct_status st = SP_ACCT_AWAY;
    PGresult *r;

    for (;;) {
        while (PQisBusy(p->conn)) {
            if (!wait_for(p, POLLIN, until_ms)) {
                drop(p);
                return sp_acct_away(err, "the database did not answer in time");
            }
            if (!PQconsumeInput(p->conn))
                return failed(p, err, "the database");
        }
        r = PQgetResult(p->conn);
        if (!r)
            return st;
        if (PQresultStatus(r) == PGRES_TUPLES_OK) {
            st = read_rows(r, a, err);
            PQclear(r);
        } else {
            PQclear(r);
            return failed(p, err, "the query failed");
        }
    }
}

static enum sp_acct_status run(struct pq *p, const char *query, struct sp_str name,
                               uint64_t until_ms, struct sp_acct *a, struct sp_err *err)
{
    char *text = sp_str_dup(name);
    const char *values[] = {text};
    int rc;

    if (!text)
        return SP_ACCT_NO; /* with a NUL inside: nobody */
    if (PQserverVersion(p->conn) && PQtransactionStatus(p->conn) != PQTRANS_IDLE) {
        sp_free(text);
        return failed(p, err, "the database");
    }
    rc = PQsendQueryParams(p->conn, query, 1, NULL, values, NULL, NULL, 0);
    sp_free(text);
    if (!rc)
        return failed(p, err, "the database");
    while ((rc = PQflush(p->conn)) == 1)
        if (!wait_for(p, POLLOUT, until_ms)) {
            drop(p);
            return sp_acct_away(err, "the database did not answer in time");
        }
    return rc < 0 ? failed(p, err, "the database") : take_results(p, until_ms, a, err);
}

static enum sp_acct_status pq_ask(void *self, const struct sp_acct_ask *q, struct sp_acct *a,
                                  struct sp_err *err)
{
    struct pq *p = self;
    uint64_t until_ms = sp_acct_now_ms() + p->c->timeout_s * 1000;
    const char *query =
        q->what == SP_ACCT_FIND_BY_PIN ? p->c->certificate_query : p->c->query;
    enum sp_acct_status st = SP_ACCT_OK;

    if (q->what != SP_ACCT_FIND && q->what != SP_ACCT_FIND_BY_PIN)
        return sp_acct_away(err, "the database checks no passwords");
    if (!query)
        return SP_ACCT_NO;
    if (p->conn && PQstatus(p->conn) != CONNECTION_OK)
        drop(p);
    if (!p->conn)
        st = connect_now(p, until_ms, err);
    return st == SP_ACCT_OK ? run(p, query, q->name, until_ms, a, err) : st;
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
