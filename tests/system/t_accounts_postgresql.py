#!/usr/bin/python3
# sets: default
# timeout: 240
"""Accounts in PostgreSQL, a cluster of its own: passwords, SCRAM, grants, pins, injection, and a
database that is stopped, started again, or slow."""
import types
from harness import *
from wire import *
from acct_lab import *
from acct_stores import *

HOLD = types.SimpleNamespace()


def lab():
    return HOLD.lab


def sections(tmp):
    HOLD.db = Cluster(tmp)
    atexit.register(lambda: HOLD.db.process and HOLD.db.process.stop(signal.SIGQUIT))
    HOLD.db.start()
    HOLD.db.sql(SCHEMA)
    insert = "INSERT INTO users VALUES ('{}', '{}', {}, {}, {});"
    HOLD.db.sql("".join([
        insert.format("carol", crypt(PASSWORD), "NULL", "true", "NULL"),
        insert.format("shared", "", "NULL", "true", "NULL"),
        insert.format("dora", crypt("doras secret"), "NULL", "false", "NULL"),
        insert.format("erin", "", "'" + verifier("erins secret") + "'", "true", "'1000'"),
        "INSERT INTO addresses VALUES ('carol', 'carol@example.org', true), ('carol', 'carol.alias@example.org', true),"
        " ('carol', '*@lists.example.org', false), ('shared', 'shared@example.org', true), ('erin', 'erin@example.org', true);"
        "INSERT INTO acting VALUES ('carol', 'shared');"]))
    return f"""accounts base {{
        type = postgresql
        connection = "host={HOLD.db.dir}/run user=postgres dbname=postgres"
        query = "SELECT * FROM accounts WHERE name = $1 OR name IN (SELECT name FROM addresses WHERE own AND address = $1)"
        certificate-query = "SELECT accounts.* FROM accounts JOIN pins USING (name) WHERE spki = $1"
        believe = 1s
        timeout = 1s
        scram-iterations = 4096
    }}
    """


same_for_all(lab)


@test("a SCRAM verifier in a column logs in by SCRAM")
def _():
    check(lab().scram("erin", "erins secret")[0] == 235, "erin")
    check(lab().scram("erin", "x") == FAILED, "erin with a wrong password")


@test("SCRAM shows one count of iterations: to who has a verifier, who has none, and nobody")
def _():
    got = {name: lab().iterations(name) for name in ("erin", "carol", "nobody")}
    check(set(got.values()) == {4096}, f"{got}")


@test("a certificate whose key the certificate-query knows logs in")
def _():
    srv = HOLD.srv
    HOLD.db.sql(f"INSERT INTO pins VALUES ('erin', '{pin_of(srv)}')")

    wait_until(lambda: logs_in_by_pin(srv, (552, "MAIL FROM:<erin@example.org> SIZE=1001"), (250, "MAIL FROM:<erin@example.org>")), 15, "a login by the pinned certificate")


@test("a change of password or state in the table is seen, by open sessions too")
def _():
    with lab().in_() as w:
        HOLD.db.sql("UPDATE users SET active = false WHERE name = 'carol'")

        wait_until(lambda: ended(w), 15, "the end of the session")
    check(lab().login("carol") == FAILED, "disabled carol")
    HOLD.db.sql("UPDATE users SET active = true WHERE name = 'carol'")
    wait_until(lambda: lab().login("carol")[0] == 235, 15, "carol again")


@test("a slow database holds up its own logins for the timeout, and says 454")
def _():
    HOLD.db.sql("ALTER VIEW accounts RENAME TO fast; CREATE VIEW accounts AS SELECT fast.* FROM fast, pg_sleep(4)")
    began = time.monotonic()
    wait_until(lambda: lab().login("carol")[0] == 454, 20, "454")
    check(lab().login("carol")[1][:5] == AWAY[1], "the enhanced code")
    check(time.monotonic() - began < 25, "it waits too long")
    HOLD.db.sql("DROP VIEW accounts; ALTER VIEW fast RENAME TO accounts")
    wait_until(lambda: lab().login("carol")[0] == 235, 15, "carol again")


def ours(what):
    """Sessions of the service in the database of which this is true."""
    return int(HOLD.db.sql(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sallyport' AND {what}"))


@test("a query that takes too long ends in the database, too, and is not asked a second time")
def _():
    check(lab().login("also-unknown") == FAILED, "no connection that works")
    HOLD.db.sql("CREATE SEQUENCE asked; ALTER VIEW accounts RENAME TO fast; CREATE VIEW accounts AS"
                " SELECT fast.* FROM fast, (SELECT nextval('asked')) a, pg_sleep(600)")
    check(lab().login("never-seen")[0] == 454, "not 454")
    # Neither a closed connection nor the end of this test would stop it: only its own limit does.
    wait_until(lambda: ours("state = 'active'") == 0, 20, "the end of the query")
    check("1" == HOLD.db.sql("SELECT last_value FROM asked").strip(), "it was asked again")
    HOLD.db.sql("DROP VIEW accounts; ALTER VIEW fast RENAME TO accounts; DROP SEQUENCE asked")
    wait_until(lambda: lab().login("carol")[0] == 235, 15, "carol again")


@test("a shorter limit of the administrator's stays in force, a longer one does not")
def _():
    HOLD.db.sql("CREATE TABLE seen (ms text); ALTER VIEW accounts RENAME TO fast; CREATE FUNCTION note() RETURNS void LANGUAGE sql AS"
                " 'INSERT INTO seen VALUES (current_setting(''statement_timeout''))';"
                " CREATE VIEW accounts AS SELECT fast.* FROM fast, (SELECT note()) n")
    for set_, want in (("'300ms'", "300ms"), ("'1h'", "1s"), ("DEFAULT", "1s")):
        HOLD.db.sql(f"ALTER ROLE postgres SET statement_timeout TO {set_}; TRUNCATE seen;"
                    " SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sallyport'")
        wait_until(lambda: lab().login("carol")[0] == 235 and HOLD.db.sql("SELECT count(*) FROM seen").strip() != "0", 15, "a question")
        got = set(HOLD.db.sql("SELECT ms FROM seen").split())
        check(got == {want}, f"with {set_}: {got}")
    HOLD.db.sql("DROP VIEW accounts; ALTER VIEW fast RENAME TO accounts")


@test("a database that is away is 454, and back again without a restart of ours")
def _():
    HOLD.db.stop()
    wait_until(lambda: lab().login("carol")[0] == 454, 15, "454")
    for _i in range(4):
        check(lab().login("carol", "a wrong one")[0] == 454, "wrong or right, nobody can tell")
    HOLD.db.start()
    wait_until(lambda: lab().login("carol")[0] == 235, 20, "carol again")


@test("the mechanisms are those that can work")
def _():
    check(lab().mechanisms() == ["SCRAM-SHA-256", "PLAIN", "LOGIN"], f"{lab().mechanisms()}")


if not POSTGRESQL:
    print("skipped: all of it: needs PostgreSQL\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)
with_accounts(HOLD, sections)
