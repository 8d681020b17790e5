#!/usr/bin/python3
# sets: default
# timeout: 300
"""GSSAPI (RFC 4752) with a real KDC: MIT krb5's, in a realm that the test makes on loopback.
Clients: curl, msmtp, Cyrus SASL, and our own send; tickets of strangers are no login."""
import contextlib, os, shutil, socket, subprocess
from harness import *
from realm import *
from saslwire import *
from scripted import Scripted
import cyrus

@contextlib.contextmanager
def kerberos(more="", listener="    auth-tls = GSSAPI SCRAM-SHA-256\n", keytab=None):
    need_server()
    if SALLYPORT == "standin":
        skip("the stand-in knows no GSSAPI")
    need_kerberos()
    if "gssapi" not in subprocess.run(["ldd", SALLYPORT], capture_output=True, text=True).stdout:
        skip("this program was built without GSSAPI")
    with work() as tmp:
        realm = Realm(tmp)
        os.environ.update({k: realm.env[k] for k in ("KRB5_CONFIG", "KRB5RCACHENAME")})
        try:
            with server(tmp, more=f"gssapi-keytab = {keytab or realm.keytab}\n{more}", listener=listener) as srv:
                yield realm, srv
        finally:
            realm.stop()


STRIP = f"gssapi-realm = {REALM}\n"


# Cyrus SASL in a process of its own: the library reads KRB5CCNAME once.  It logs in, says the
# reply, and then asks what it reads.
CLIENT = """import sys; sys.path.insert(0, sys.argv[1])
import types, cyrus
from saslwire import *
here, port, ca, principal, authzid, certificate, key = sys.argv[1:]
t, listed = inside(types.SimpleNamespace(port=int(port), ca=ca), "1.3", (certificate, key) if key else None)
assert "GSSAPI" in listed, listed
print(*exchange(t, "GSSAPI", cyrus.Client("GSSAPI", principal, "", host="localhost", authzid=authzid)), flush=True)
for line in sys.stdin:
    code, lines = t.ask(line.strip())
    print(code, *lines, flush=True)
"""


def client(srv, principal, authzid="", certificate=("", "")):
    return [str(a) for a in (PYTHON, "-c", CLIENT, HERE, srv.port, srv.ca, principal, authzid, *certificate)]


def login(srv, env, principal="alice", authzid="", certificate=("", "")):
    out = call(client(srv, principal, authzid, certificate), env=env, ok=(0, 1))
    return out.strip().splitlines()[-1]


class Session:
    """A login that stays."""

    def __init__(self, srv, env, *argv):
        self.p = subprocess.Popen(client(srv, *argv), env={**os.environ, **env}, text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        self.said = self.p.stdout.readline().strip()

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait()


@test("curl, msmtp and our own send submit with a ticket and no password; the log names account and mechanism")
def _():
    with kerberos(STRIP) as (realm, srv):
        env, n = realm.ticket("alice"), 0
        m = realm.tmp / "m"
        m.write_bytes(MESSAGE)
        call(["curl", "-sS", "--ssl-reqd", "--cacert", srv.ca, "--login-options", "AUTH=GSSAPI", "--user", f"alice@{REALM}:",
              "--service-name", "smtp", "--mail-from", srv.address, "--mail-rcpt", "bob@example.org", "--upload-file", m,
              f"smtp://localhost:{srv.port}/c"], env=env)
        rc = realm.tmp / "rc"
        rc.write_text(f"account default\nhost localhost\nport {srv.port}\nfrom {srv.address}\ntls on\n"
                      f"tls_trust_file {srv.ca}\nauth gssapi\nuser alice\n")
        os.chmod(rc, 0o600)
        call(["msmtp", "-C", rc, "bob@example.org"], stdin=lf(MESSAGE), env=env)
        for implicit in (False, True):
            said = call([SALLYPORT, "send", "--server", f"smtps://localhost:{srv.tls_port}" if implicit else
                         f"smtp://localhost:{srv.port}", "--ca", srv.ca, "--kerberos"], stdin=lf(MESSAGE),
                        env={**env, "XDG_CONFIG_HOME": str(srv.data / "none")})
            check("GSSAPI" in said, said)
        for got in srv.mailbox("bob").wait(4):
            check_same(MESSAGE, got)
        ok = [l for l in srv.process.output().splitlines() if " login.ok " in l]
        check(len(ok) == 4 and all("mechanism=GSSAPI" in l and "user=alice" in l for l in ok), "\n".join(ok))


@test("a stranger's ticket, an instance, no ticket, another service's key, garbage: no login; a password still works")
def _():
    with kerberos(STRIP) as (realm, srv):
        check(login(srv, realm.ticket("alice")).startswith("235"), "alice")
        got = login(srv, realm.ticket("mallory"))
        check(got.startswith("535"), f"mallory: {got}")
        got = login(srv, realm.ticket("alice/admin"), "alice/admin")
        check(got.startswith("535"), f"alice/admin: {got}")
        send = [SALLYPORT, "send", "--server", f"smtp://localhost:{srv.port}", "--ca", srv.ca, "--kerberos"]
        said = call(send, stdin=lf(MESSAGE), env={**realm.env, "XDG_CONFIG_HOME": "/nonexistent"}, ok=(77,))
        check("Kerberos" in said, said)
        for text in (b"x", b"\x60\x81", b"A" * 6000):
            t, _ = inside(srv, "1.3")
            code, lines = t.ask("AUTH GSSAPI " + b64(text))
            check(code in (535, 501), f"{text[:9]}: {code} {lines}")
        t, _ = inside(srv, "1.3")
        check(t.ask("AUTH GSSAPI")[0] == 334 and t.ask("*")[0] == 501, "cancelled")
        check(t.ask("AUTH GSSAPI")[0] == 334 and t.ask("!!")[0] == 501, "bad base64")
        realm.admin("change_password -randkey smtp/localhost")  # a key that the server has not
        got = login(srv, realm.ticket("bob"))
        check(got.startswith("535"), f"a ticket with a key that is not in the table: {got}")
        code, text = exchange(t, "SCRAM-SHA-256", cyrus.Client("SCRAM-SHA-256", srv.user, srv.password))
        check(code == 235, f"password: {code} {text}")
        check("AUTH GSSAPI" not in srv.process.output(), "tokens are in the log")


@test("who may act for whom: the ticket's account, its address, an account it may act for, and no other")
def _():
    with kerberos(STRIP) as (realm, srv):
        for words in (["add", "bob", "--no-password", "--address", "bob@example.org"], ["grant", "alice", "bob", "--act-as"]):
            call([SALLYPORT, "user", words[0], "--data", srv.store, *words[1:]])
        alice, bob = realm.ticket("alice"), realm.ticket("bob")
        for env, who, authzid, code in ((alice, "alice", "alice", "235"), (alice, "alice", "alice@example.org", "235"),
                                        (alice, "alice", "bob", "235"), (bob, "bob", "", "235"),
                                        (bob, "bob", "alice", "535"), (alice, "alice", "nobody", "535")):
            got = login(srv, env, who, authzid)
            check(got.startswith(code), f"{who} as {authzid}: {got}")
        call([SALLYPORT, "user", "disable", "--data", srv.store, "bob"])
        got = login(srv, bob, "bob")
        check(got.startswith("535"), f"a disabled account: {got}")


@test("without gssapi-realm a principal keeps its realm: alice@REALM is nobody, unless an account has that name")
def _():
    with kerberos() as (realm, srv):
        env = realm.ticket("alice")
        check(login(srv, env).startswith("535"), "alice@REALM became alice")
        call([SALLYPORT, "user", "grant", "--data", srv.store, "alice", f"alice@{REALM.lower()}", "--own"])
        got = login(srv, env)
        check(got.startswith("235"), f"an own address of that name: {got}")


@test("outside TLS GSSAPI is not listed and refused; a key table that cannot be read is temporary, for GSSAPI only")
def _():
    with kerberos(STRIP, keytab="/nonexistent/keytab") as (realm, srv):
        t = Talk(socket.create_connection(("127.0.0.1", srv.port)))
        t.reply()
        check(not any("AUTH" in l for l in t.ask("EHLO c")[1]), "AUTH is listed in clear")
        check(t.ask("AUTH GSSAPI")[0] == 530, "AUTH GSSAPI in clear")
        got = login(srv, realm.ticket("alice"))
        check(got.startswith("454"), f"no key table: {got}")
        t, _ = inside(srv, "1.2")
        code, text = exchange(t, "SCRAM-SHA-256", cyrus.Client("SCRAM-SHA-256", srv.user, srv.password))
        check(code == 235, f"password: {code} {text}")


def user(srv, *words):
    return call([SALLYPORT, "user", words[0], "--data", srv.store, *words[1:]])


def thrown_out(session, sender):
    """421 at MAIL, or nothing yet."""
    said = session.ask(f"MAIL FROM:<{sender}>")
    if said.startswith("250"):
        check(session.ask("RSET").startswith("250"), "RSET")
        time.sleep(0.2)
        return ""
    check(said.startswith("421 4.7.0 login no longer valid: "), said)
    return said


@test("a session by ticket goes on after a new password, and ends at the next MAIL when its account is disabled or gone")
def _():
    with kerberos(STRIP) as (realm, srv):
        user(srv, "add", "bob", "--no-password", "--address", "bob@example.org")
        alice, bob = realm.ticket("alice"), realm.ticket("bob")
        with Session(srv, alice, "alice") as a, Session(srv, bob, "bob") as b, Session(srv, bob, "bob") as c:
            for s, who in ((a, "alice"), (b, "bob"), (c, "bob")):
                check(s.said.startswith("235"), s.said)
                check(s.ask(f"MAIL FROM:<{who}@example.org>").startswith("250"), who)
                check(s.ask("RSET").startswith("250"), who)
            # it proves nothing about a ticket: only the password's own sessions end with it
            user(srv, "password", "alice", "--password-file", srv.password_file)
            user(srv, "grant", "alice", "desk@example.org", "--own")
            wait_until(lambda: a.ask("MAIL FROM:<desk@example.org>").startswith("250") or (time.sleep(0.2) and False), 10,
                       "the granted address to count in the session that is open")
            check(a.ask("RSET").startswith("250"), "RSET")
            user(srv, "disable", "bob")
            check("disabled" in wait_until(lambda: thrown_out(b, "bob@example.org"), 10, "421 at MAIL"), "no reason")
            user(srv, "enable", "bob")
            user(srv, "remove", "bob")
            wait_until(lambda: thrown_out(c, "bob@example.org"), 10, "421 at MAIL, the account is gone")
            user(srv, "remove", "alice")
            check("no such account" in wait_until(lambda: thrown_out(a, "desk@example.org"), 10, "421 at MAIL"), "reason")
            with Session(srv, alice, "alice") as again:
                check(again.said.startswith("535"), again.said)


@test("who acts for another by ticket loses that at the next MAIL when the right is taken away")
def _():
    with kerberos(STRIP) as (realm, srv):
        user(srv, "add", "bob", "--no-password", "--address", "bob@example.org")
        user(srv, "grant", "alice", "bob", "--act-as")
        with Session(srv, realm.ticket("alice"), "alice", "bob") as s:
            check(s.said.startswith("235"), s.said)
            check(s.ask("MAIL FROM:<bob@example.org>").startswith("250"), "as bob")
            check(s.ask("RSET").startswith("250"), "RSET")
            user(srv, "revoke", "alice", "bob", "--act-as")
            check("may not act as" in wait_until(lambda: thrown_out(s, "bob@example.org"), 10, "421"), "no reason")


@test("client-certificates = required: a ticket counts for the certificate's account and those it may act for, only")
def _():
    with kerberos(STRIP, listener="    auth-tls = GSSAPI SCRAM-SHA-256\n    client-certificates = required\n") as (realm, srv):
        for name in ("bob", "carol"):
            user(srv, "add", name, "--no-password", "--address", f"{name}@example.org")
        user(srv, "grant", "carol", "alice", "--act-as")
        # the list would be EXTERNAL alone for who has no password
        user(srv, "password", "carol", "--password-file", srv.password_file)
        alice, bob = realm.ticket("alice"), realm.ticket("bob")
        pair = {n: srv.certificates.client(f"{n}@example.org", f"{n}-required") for n in ("alice", "carol")}
        for env, who, certificate, code in ((alice, "alice", "alice", "235"), (alice, "alice", "carol", "235"),
                                            (bob, "bob", "alice", "535"), (bob, "bob", "carol", "535")):
            got = login(srv, env, who, "", pair[certificate])
            check(got.startswith(code), f"{who}'s ticket, {certificate}'s certificate: {got}")
        check("may not act as bob" in srv.process.output(), "the log does not say why")
        # without a certificate, or with another authority's, there is not even an EHLO
        foreign = Certificates(srv.data / "foreign", "foreign").client("alice@example.org")
        for certificate in (("", ""), foreign):
            out = call(client(srv, "alice", "", certificate), env=alice, ok=(1,))
            check("235" not in out.splitlines()[-1], out)


@test("config check: GSSAPI without a key table is refused; --files: one that is absent, unreadable or not a key table")
def _():
    with kerberos(STRIP) as (realm, srv):
        text = srv.config.read_text()

        def judged(change, *argv, ok=(78,)):
            conf = realm.tmp / "check.conf"
            conf.write_text(change(text))
            # MIT krb5 1.20 forgets a principal of its own where the table has no such key
            return call([SALLYPORT, "config", "check", "--config", conf, *argv], ok=ok,
                        env={"ASAN_OPTIONS": "detect_leaks=0"})
        table = str(realm.keytab)
        said = judged(lambda t: t.replace(f"gssapi-keytab = {table}\n", ""))
        check(said.count("needs gssapi-keytab") == 2, said)
        said = judged(lambda t: t.replace("auth-tls = GSSAPI", "auth-tls ="), ok=(0,))
        check("no listener offers logins by Kerberos ticket" in said, said)
        judged(lambda t: t, "--files", ok=(0,))
        said = judged(lambda t: t.replace(table, "/nonexistent/keytab"), "--files")
        check("logins by GSSAPI will fail" in said and "/nonexistent/keytab" in said, said)
        other = realm.tmp / "garbage"
        other.write_text("this is no key table")
        said = judged(lambda t: t.replace(table, str(other)), "--files")
        check("logins by GSSAPI will fail" in said, said)
        said = judged(lambda t: t.replace(STRIP, STRIP + "gssapi-principal = smtp/elsewhere.example\n"), "--files")
        check("logins by GSSAPI will fail" in said, said)
        if os.geteuid() == 0:  # root reads everything; the service's user does not
            os.chmod(realm.keytab, 0o600)
            said = judged(lambda t: t, "--files")
            check("the service's user nobody cannot read" in said and table in said, said)


@test("a key table that went away after the start is said in the log at the next reload, and passwords go on")
def _():
    with kerberos(STRIP) as (realm, srv):
        os.rename(realm.keytab, realm.tmp / "away")
        os.kill(srv.process.pid, signal.SIGHUP)
        wait_until(lambda: "logins by GSSAPI will fail" in srv.process.output(), 10, "the warning")
        check(login(srv, realm.ticket("alice")).startswith("454"), "a ticket that cannot be judged")
        os.rename(realm.tmp / "away", realm.keytab)
        check(login(srv, realm.ticket("alice")).startswith("235"), "the table is back")


@test("a smart host that wants a ticket and nothing else: the mail waits, and the log says what it offers and what we have")
def _():
    need_server()
    if SALLYPORT == "standin":
        skip("the stand-in relays nothing")
    with work() as tmp:
        certificates, password = Certificates(tmp / "hop"), tmp / "password"
        password.write_text("x\n")
        os.chmod(password, 0o644)  # the service's user reads it; the test's folder is not others'
        hop = Scripted(tls=certificates.server(), auth="GSSAPI")
        route = hop.route(f"    tls-ca = {certificates.ca}\n    user = relay\n    password-file = {password}\n")
        try:
            with server(tmp, routes=route) as srv:
                call([SALLYPORT, "send", "--server", f"smtp://localhost:{srv.port}", "--ca", srv.ca, "--user", "alice",
                      "--password-file", srv.password_file, "--to", "bob@remote.test"], stdin=lf(MESSAGE),
                     env={"XDG_CONFIG_HOME": str(tmp / "none")})
                line = wait_until(lambda: next((l for l in srv.process.output().splitlines()
                                                if " message.deferred " in l and "GSSAPI" in l), ""), 20, "it in the log")
                check("offers no mechanism that we can use" in line and "it offers GSSAPI" in line, line)
                check(not any(l.startswith("AUTH") for l in hop.lines), f"{hop.lines}")
        finally:
            hop.stop()


run()
