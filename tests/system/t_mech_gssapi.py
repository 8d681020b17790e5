#!/usr/bin/python3
# sets: default
# timeout: 300
"""GSSAPI (RFC 4752) with a real KDC: MIT krb5's, in a realm that the test makes on loopback.
Clients: curl, msmtp, Cyrus SASL, and our own send; tickets of strangers are no login."""
import contextlib, shutil, socket, subprocess
from harness import *
from saslwire import *
import cyrus

REALM = "SALLYPORT.TEST"


class Realm:
    """A KDC with alice, bob, mallory (who has no account) and smtp/localhost."""

    def __init__(self, tmp):
        self.tmp, self.port = tmp / "krb", free_port()
        self.tmp.mkdir()
        os.chmod(self.tmp, 0o711)
        conf = self.tmp / "krb5.conf"
        conf.write_text(f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\nrdns = false\n"
                        "dns_canonicalize_hostname = false\nudp_preference_limit = 1\n"
                        f"[realms]\n{REALM} = {{\n kdc = localhost:{self.port}\n}}\n"
                        f"[domain_realm]\nlocalhost = {REALM}\n")
        kdc = self.tmp / "kdc.conf"
        kdc.write_text(f"[realms]\n{REALM} = {{\n database_name = {self.tmp}/db\n key_stash_file = {self.tmp}/stash\n"
                       f" kdc_listen = 127.0.0.1:{self.port}\n kdc_tcp_listen = 127.0.0.1:{self.port}\n"
                       f" acl_file = {self.tmp}/acl\n max_life = 1h\n}}\n[logging]\nkdc = FILE:{self.tmp}/kdc.log\n")
        self.env = {"KRB5_CONFIG": str(conf), "KRB5_KDC_PROFILE": str(kdc), "KRB5RCACHENAME": "dfl:",
                    "KRB5CCNAME": f"FILE:{self.tmp}/none", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        call(["/usr/sbin/kdb5_util", "create", "-s", "-P", "master"], env=self.env)
        self.keytab = self.tmp / "smtp.keytab"
        self.admin("addprinc -randkey smtp/localhost", f"ktadd -k {self.keytab} smtp/localhost",
                   *[f"addprinc -pw {n}-password {n}" for n in ("alice", "bob", "mallory", "alice/admin")])
        os.chmod(self.keytab, 0o644)  # the service's user reads it; the test's folder is not others'
        self.kdc = Process("krb5kdc", ["/usr/sbin/krb5kdc", "-n"], self.tmp / "kdc.out", env=self.env)
        self.kdc.wait_ready(lambda: port_open(self.port))

    def admin(self, *queries):
        for q in queries:
            call(["/usr/sbin/kadmin.local", "-q", q], env=self.env)

    def ticket(self, who):
        env = {**self.env, "KRB5CCNAME": f"FILE:{self.tmp}/cc-{who.replace('/', '-')}"}
        call(["kinit", who], stdin=f"{who}-password\n".encode(), env=env)
        return env

    def stop(self):
        self.kdc.stop()


@contextlib.contextmanager
def kerberos(more="", listener="    auth-tls = GSSAPI SCRAM-SHA-256\n", keytab=None):
    need_server()
    if SALLYPORT == "standin":
        skip("the stand-in knows no GSSAPI")
    for program in ("/usr/sbin/krb5kdc", "/usr/sbin/kadmin.local", "kinit"):
        if not shutil.which(program):
            skip(f"{program} is not installed")
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


def login(srv, env, principal="alice", authzid=""):
    """Cyrus SASL in a process of its own: the library reads KRB5CCNAME once."""
    script = ("import sys; sys.path.insert(0, sys.argv[1])\nimport types, cyrus\nfrom saslwire import *\n"
              "srv = types.SimpleNamespace(port=int(sys.argv[2]), ca=sys.argv[3])\n"
              "t, listed = inside(srv, '1.3')\nassert 'GSSAPI' in listed, listed\n"
              "print(*exchange(t, 'GSSAPI', cyrus.Client('GSSAPI', sys.argv[4], '', host='localhost', authzid=sys.argv[5])))\n")
    out = call([PYTHON, "-c", script, HERE, srv.port, srv.ca, principal, authzid], env=env, ok=(0, 1))
    return out.strip().splitlines()[-1]


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


run()
