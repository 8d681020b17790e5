#!/usr/bin/python3
# sets: default
# timeout: 200
"""CRAM-MD5: only for an account that opted in; for everybody else it is a wrong password."""
import contextlib, hashlib, hmac, shutil, sqlite3, time
from harness import *
from saslwire import *
import cyrus

LIST = "    auth-tls = SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN\n"


def user(srv, *words, stdin=b""):
    return call([SALLYPORT, "user", words[0], "--data", srv.store, *words[1:]], stdin=stdin)


def cram(srv, name, password):
    """The last reply, and the seconds from our answer to it."""
    t, listed = inside(srv, "1.3")
    check("CRAM-MD5" in listed, f"{listed}")
    code, lines = t.ask("AUTH CRAM-MD5")
    check(code == 334, f"{code} {lines}")
    digest = hmac.new(password.encode(), base64.b64decode(lines[0]), hashlib.md5).hexdigest()
    begun = time.monotonic()
    code, lines = t.ask(b64(f"{name} {digest}"))
    return code, " ".join(lines), time.monotonic() - begun


def stored(srv):
    with contextlib.closing(sqlite3.connect(srv.store / "users/users.db")) as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cram'").fetchone():
            return []
        return [r[0] for r in db.execute("SELECT context FROM cram")]


def need():
    need_server()
    if SALLYPORT == "standin" or not SSL:
        skip("needs the program itself and python3-openssl")


@test("who did not opt in gets 535, with the words of a wrong password; who did logs in; opting out wipes it")
def _():
    need()
    with work() as tmp, server(tmp, listener=LIST) as srv:
        right = srv.password
        refused = cram(srv, "alice", right)
        check(refused[0] == 535, f"not opted in: {refused}")
        check(stored(srv) == [], "something is kept for CRAM-MD5 all the same")
        user(srv, "password", "alice", "--cram-md5", "--password-file", srv.password_file)
        check("password+md5" in user(srv, "list") and "CRAM-MD5" in user(srv, "list", "alice"), user(srv, "list"))
        check('"cram_md5":true' in user(srv, "list", "--json"), user(srv, "list", "--json"))
        check(len(stored(srv)) == 1 and right not in stored(srv)[0], "the password is stored")
        wait_until(lambda: cram(srv, "alice", right)[0] == 235, 20, "alice to log in by CRAM-MD5")
        check(cram(srv, "alice@example.org", right)[0] == 235, "by an own address")
        for name, password in (("alice", "wrong"), ("nobody", right), ("alice", "")):
            got = cram(srv, name, password)
            check(got[:2] == refused[:2], f"{name}: {got}, not as {refused}")
        user(srv, "password", "alice", "--no-cram-md5")
        check(stored(srv) == [] and "md5" not in user(srv, "list"), "it is still there")
        check(cram(srv, "alice", right)[0] == 535, "opted out")
        code, text = exchange(inside(srv, "1.3")[0], "SCRAM-SHA-256", cyrus.Client("SCRAM-SHA-256", "alice", right))
        check(code == 235, f"the password is gone with it: {code} {text}")
        user(srv, "password", "alice", "--cram-md5", "--password-file", srv.password_file)
        user(srv, "password", "alice", "--password-file", srv.password_file)
        check(stored(srv) == [], "a new password without --cram-md5 keeps the old opt-in")
        user(srv, "password", "alice", "--cram-md5", "--password-file", srv.password_file)
        user(srv, "password", "alice", "--none")
        check(stored(srv) == [], "--none keeps it")
        log = srv.process.output()
        check("mechanism=CRAM-MD5" in log and right not in log, "log")


@test("curl, msmtp, swaks, Cyrus SASL and our own send submit by CRAM-MD5, passwords longer than a block too")
def _():
    need()
    for password in ("correct horse battery staple", "long-" * 20):
        with work() as tmp, server(tmp, listener=LIST) as srv:
            srv.password_file.write_text(password + "\n")
            user(srv, "password", "alice", "--cram-md5", "--password-file", srv.password_file)
            wait_until(lambda: cram(srv, "alice", password)[0] == 235, 20, "alice to log in")
            m, rc, n = tmp / "m", tmp / "rc", 0
            m.write_bytes(MESSAGE)
            if shutil.which("curl"):
                call(["curl", "-sS", "--ssl-reqd", "--cacert", srv.ca, "--login-options", "AUTH=CRAM-MD5", "--user",
                      f"alice:{password}", "--mail-from", srv.address, "--mail-rcpt", "bob@example.org", "--upload-file",
                      m, f"smtp://localhost:{srv.port}/c"])
                n += 1
            if shutil.which("msmtp"):
                rc.write_text(f"account default\nhost localhost\nport {srv.port}\nfrom {srv.address}\ntls on\n"
                              f"tls_trust_file {srv.ca}\nauth cram-md5\nuser alice\npassword \"{password}\"\n")
                os.chmod(rc, 0o600)
                call(["msmtp", "-C", rc, "bob@example.org"], stdin=lf(MESSAGE))
                n += 1
            code, text = exchange(inside(srv, "1.2")[0], "CRAM-MD5", cyrus.Client("CRAM-MD5", "alice", password))
            check(code == 235, f"Cyrus SASL: {code} {text}")
            said = call([SALLYPORT, "send", "--server", f"smtp://localhost:{srv.port}", "--ca", srv.ca, "--user", "alice",
                         "--password-file", srv.password_file, "--mechanism", "CRAM-MD5"], stdin=lf(MESSAGE),
                        env={"XDG_CONFIG_HOME": str(tmp / "none")})
            check("CRAM-MD5" in said, said)
            srv.mailbox("bob").wait(n + 1)


run()
