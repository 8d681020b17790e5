#!/usr/bin/python3
# sets: default
# timeout: 300
"""`sallyport user` and `sallyport cert` with the server running and without, their exit
statuses and JSON; certificates that mail programs can import."""
import json, types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
USAGE, DATA, NOINPUT, EXISTS = 64, 65, 66, 73


def cli(*argv, status=0, stdin=b"", env=None):
    return call([SALLYPORT, *argv, "--config", HOLD.srv.config], ok=(status,), stdin=stdin, env=env)


def shown(name):
    return json.loads(next(l for l in cli("user", "list", name, "--json").splitlines() if l.startswith("{")))


def life(name):
    """Everything one can do with an account, once."""
    first = f"{name}@example.org"
    cli("user", "add", name, "--address", first, "--grant", "*@lists.example.org", "--message-size", "100000",
        env={"SALLYPORT_PASSWORD": "one"})
    got = shown(name)
    check(got["addresses"] == [first, "*@lists.example.org"] and got["password"] and got["enabled"]
          and got["message_size_max"] == 100000, str(got))
    cli("user", "add", name, "--no-password", status=EXISTS)
    cli("user", "add", "bad name", "--no-password", status=DATA)
    cli("user", "add", name + "2", "--address", first, "--no-password", status=EXISTS)  # the address is taken
    cli("user", "list", name + "2", status=NOINPUT)  # and no half-made account is left
    cli("user", "grant", name, f"second.{first}", "--own")
    cli("user", "grant", name, "no address", status=DATA)
    cli("user", "grant", name, "alice", "--act-as")
    cli("user", "grant", name, "nobody", "--act-as", status=NOINPUT)
    cli("user", "limits", name, "--recipients", "7")
    cli("user", "mechanisms", name, "EXTERNAL", "scram-sha-256")
    check(shown(name)["mechanisms"] == ["EXTERNAL", "SCRAM-SHA-256"], str(shown(name)))
    cli("user", "mechanisms", name, "NTLM", status=USAGE)
    cli("user", "mechanisms", name, status=USAGE)
    cli("user", "mechanisms", name, "any")
    check(shown(name)["mechanisms"] == [], str(shown(name)))
    got = shown(name)
    check(got["recipients_max"] == 7 and got["message_size_max"] == 100000, f"limits {got}")
    check(got["act_as"] == ["alice"] and f"second.{first}" in got["addresses"], str(got))
    cli("user", "revoke", name, "alice", "--act-as")
    cli("user", "revoke", name, "*@lists.example.org")
    cli("user", "revoke", name, "*@lists.example.org", status=NOINPUT)
    cli("user", "password", name, env={"SALLYPORT_PASSWORD": "two"})
    cli("user", "disable", name)
    check(not shown(name)["enabled"], "not disabled")
    cli("user", "enable", name)
    cli("user", "password", name, "--none")
    check(not shown(name)["password"], "the password is still there")
    cli("user", "limits", name, status=USAGE)
    cli("user", "list", "--nonsense", status=USAGE)
    cli("user", "remove", name)
    for argv in (("remove", name), ("disable", name), ("grant", name, "a@b.example"), ("limits", name, "--recipients", "1")):
        cli("user", *argv, status=NOINPUT)


@test("an account's life while no server runs, and while one does")
def _():
    life("before")
    HOLD.srv.start()
    life("during")
    with inside(HOLD.srv) as w:
        w.mail()
    check("two" not in HOLD.srv.process.output().split(), "a password is in the log")


@test("an account made while the server runs logs in within seconds")
def _():
    cli("user", "add", "late", "--address", "late@example.org", env={"SALLYPORT_PASSWORD": "sesame"})
    with inside(HOLD.srv, login=False) as w:
        w.login("late", "sesame")
        w.expect(250, "MAIL FROM:<late@example.org>")


def p12(name, *more):
    out = HOLD.srv.data / name
    out.mkdir()
    cli("cert", "client", "alice", "--out", out, *more, env={"SALLYPORT_P12_PASSWORD": "phone"})
    return out / "alice.p12"


@test("the small CA: made once, issues, lists, revokes; with the server running")
def _():
    cli("cert", "ca", "--name", "Test CA")
    cli("cert", "ca", status=EXISTS)
    cli("cert", "client", "nobody", status=NOINPUT)
    cli("cert", "client", "a/b", status=USAGE)
    cli("cert", "revoke", "abcdef", status=NOINPUT)
    cli("cert", "client", "alice", "--days", "0", status=USAGE)
    out = HOLD.srv.data / "plain"
    out.mkdir()
    cli("cert", "client", "alice", "--out", out)
    ca = HOLD.srv.store / "ca/ca.pem"
    call(["openssl", "verify", "-purpose", "sslclient", "-CAfile", ca, out / "alice.pem"])
    check(os.stat(out / "alice.key").st_mode & 0o77 == 0, "others can read the key")
    rows = [json.loads(l) for l in cli("cert", "list", "--json").splitlines() if l.startswith("{")]
    mine = [r for r in rows if r["kind"] == "client" and r["name"] == "alice"]
    check(len(mine) == 1 and mine[0]["state"] == "valid" and mine[0]["mapped_by"] == "rfc822Name"
          and re.fullmatch(r"20\d\d-\d\d-\d\d", mine[0]["until"]), str(rows))
    cli("cert", "revoke", mine[0]["id"])
    cli("cert", "revoke", mine[0]["id"], status=EXISTS)
    check(any(r["state"] == "revoked" for r in map(json.loads, (
        l for l in cli("cert", "list", "--json").splitlines() if l.startswith("{")))), "not revoked")


@test("PKCS#12: OpenSSL 3 opens the usual one, also the phone's; another password opens neither")
def _():
    for name, more, kind in (("modern", "--p12", "PBES2"), ("phone", "--p12-phone", "pbeWithSHA1And3-KeyTripleDES-CBC")):
        path = p12(name, more)
        said = call(["openssl", "pkcs12", "-in", path, "-passin", "pass:phone", "-info", "-nodes"])
        check(kind in said, f"{name}: {said[:300]}")
        check("BEGIN PRIVATE KEY" in said and said.count("BEGIN CERTIFICATE") == 2, f"{name}: key, own and CA's certificate")
        call(["openssl", "pkcs12", "-in", path, "-passin", "pass:wrong", "-nodes"], ok=(1,))
        check(os.stat(path).st_mode & 0o77 == 0, "others can read it")


@test("PKCS#12: NSS imports both (Thunderbird, Firefox)")
def _():
    if not shutil.which("pk12util"):
        skip("needs pk12util (libnss3-tools)")
    for name, more in (("nss", "--p12"), ("nssphone", "--p12-phone")):
        path = p12(name, more)
        db = HOLD.srv.data / f"{name}.db"
        db.mkdir()
        call(["certutil", "-N", "-d", f"sql:{db}", "--empty-password"])
        call(["pk12util", "-i", path, "-d", f"sql:{db}", "-W", "phone", "-K", ""])
        check("alice" in call(["certutil", "-L", "-d", f"sql:{db}"]), "no certificate in the database")
        check("alice" in call(["certutil", "-K", "-d", f"sql:{db}", "-f", "/dev/null"]), "no key in the database")
        call(["pk12util", "-i", path, "-d", f"sql:{db}", "-W", "wrong", "-K", ""], ok=(17, 18, 19, 20))


def main():
    without_server()
    with work() as tmp:
        srv = HOLD.srv = Sallyport(tmp)
        try:
            run()
        except SystemExit as e:
            status = e.code
        if srv.process:
            if status:
                print(srv.process.tail(30))
            srv.stop()
    sys.exit(status)


main()
