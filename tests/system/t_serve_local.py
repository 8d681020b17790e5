#!/usr/bin/python3
# sets: default
# timeout: 200
"""The listener type `local`: a Unix socket where the client's user id is the login."""
import grp, json, pwd, signal, socket, stat
from harness import *
from wire import *

without_server()

# What runs as another user: says each line when the reply to the one before is there.
TALK = r"""
import json, socket, sys
path, lines = sys.argv[1], json.loads(sys.argv[2])
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(path)
f = s.makefile("rwb", buffering=0)
def reply():
    while True:
        line = f.readline().decode()
        if not line:
            return False
        sys.stdout.write(line)
        if line[3:4] != "-":
            return True
if reply():
    for line in lines:
        f.write(line.encode() + b"\r\n")
        if not reply():
            break
"""


def talk(path, user, lines, ok=(0,)):
    uid, gid = (pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid) if isinstance(user, str) else (user, user)
    return call(["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", PYTHON, "-c", TALK, path,
                 json.dumps(lines)], ok=ok)


def mail(sender, to="bob@example.org", subject="x"):
    return ["EHLO here", f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>", "DATA",
            f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nhello\r\n.", "QUIT"]


def with_local(tmp, more="", account="daemon"):
    """A server with a socket, not started, and an account of that system user's name."""
    path = tmp / "submit"
    srv = Sallyport(tmp, more=more + f"\nlistener here {{\n    type = local\n    address = unix:{path}\n}}")
    call([SALLYPORT, "user", "add", "--data", srv.store, account, "--address", f"{account}@example.org",
          "--password-file", srv.password_file])
    return srv, path


@contextlib.contextmanager
def local(tmp, **options):
    need_root()
    srv, path = with_local(tmp, **options)
    srv.start()
    try:
        yield srv, path
        srv.stop()
    finally:
        srv.process.stop(signal.SIGKILL)


@test("the peer's user id is the login: no AUTH, no TLS, and the message is that user's")
def _():
    with work() as tmp, local(tmp) as (srv, path):
        said = talk(path, "daemon", mail("daemon@example.org", subject="from here"))
        check("220 " in said and "\n250 2.0.0 Ok: queued" in said and "221" in said, said)
        check("STARTTLS" not in said and "AUTH" not in said, f"offered on a local socket: {said}")
        got = srv.mailbox("bob").wait(1)[0]
        check(b"Subject: from here" in got and got.startswith(b"Return-Path: <daemon@example.org>"), f"{got[:400]}")
        check(re.search(r"message.accepted.* user=daemon", srv.process.output()), srv.process.tail())
        said = talk(path, "daemon", ["EHLO here", "STARTTLS", "AUTH PLAIN AGEAYg==", "QUIT"])
        check(re.search(r"^50[23] 5\.5\.1", said, re.M), f"STARTTLS or AUTH on a local socket: {said}")


@test("another's address is refused, the null reverse-path is not")
def _():
    with work() as tmp, local(tmp) as (srv, path):
        said = talk(path, "daemon", mail("alice@example.org"))
        check("550 5.7.1 daemon may not send as alice@example.org" in said, said)
        said = talk(path, "daemon", ["EHLO here", "MAIL FROM:<>", "QUIT"])
        check("550" not in said and said.count("\n250") >= 1, said)


@test("a user without an account, and a user id without a name, are refused in words")
def _():
    with work() as tmp, local(tmp) as (srv, path):
        for user in ("bin", 54321):
            said = talk(path, user, mail("bin@example.org"))
            check(said.strip() == "550 5.7.1 this user has no account here; an administrator makes one "
                  "with `sallyport user add`", f"{user}: {said!r}")
        call([SALLYPORT, "user", "disable", "--data", srv.store, "daemon"])
        said = talk(path, "daemon", mail("daemon@example.org"))
        check(said.startswith("550 5.7.1"), f"a disabled account: {said!r}")
        check(not srv.mailbox("bob").files(), "mail arrived")


@test("the socket: everybody may connect, only the service's folder owner may replace it; gone after the end")
def _():
    with work() as tmp:
        with local(tmp) as (srv, path):
            mode = os.stat(path).st_mode
            check(stat.S_ISSOCK(mode) and mode & 0o777 == 0o666, oct(mode))
        check(not path.exists(), "the socket's file is left behind")


@test("a socket left by kill -9 is replaced; a live one, and a file that is none, are not")
def _():
    need_root()
    with work() as tmp:
        srv, path = with_local(tmp)
        srv.start()
        srv.process.stop(signal.SIGKILL)
        check(path.exists(), "nothing left to try with")
        srv.start()
        check("250 2.0.0 Ok" in talk(path, "daemon", mail("daemon@example.org")), "not replaced")
        srv.stop()
        path.write_text("precious\n")
        p = Process("sallyport", srv.command(), tmp / "log2")
        p.p.wait(20)
        check(p.p.returncode == 78 and f"{path} exists and is no socket" in p.output(), p.output())
        check(path.read_text() == "precious\n", "a file that is no socket was touched")
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            p = Process("sallyport", srv.command(), tmp / "log3")
            p.p.wait(20)
            check(p.p.returncode == 75 and f"{path}: another process listens there" in p.output(), p.output())
            check(path.exists(), "somebody else's socket was removed")


@test("a path that is too long, TLS on it, or a network address: 78 with the line")
def _():
    need_root()
    with work() as tmp:
        srv, path = with_local(tmp)
        text = srv.config.read_text()
        for old, new, words in ((f"unix:{path}", "unix:/tmp/" + "x" * 120, "107"),
                                ("type = local", "type = local\n    tls = starttls", "there is no TLS with type = local"),
                                (f"unix:{path}", "127.0.0.1:2525", "must be a Unix socket")):
            srv.config.write_text(text.replace(old, new))
            p = Process("sallyport", srv.command(), tmp / f"log{len(new)}")
            p.p.wait(20)
            check(p.p.returncode == 78, f"{new[:40]}: ended with {p.p.returncode}: {p.output()}")
            check(re.search(rf"{re.escape(str(srv.config))}:\d+:\d+: ", p.output()) and words in p.output(),
                  f"{new[:40]}: {p.output()}")


@test("a folder that is not there, or that may not be written: said with the path")
def _():
    need_root()
    with work() as tmp:
        srv, path = with_local(tmp)
        text = srv.config.read_text()
        srv.config.write_text(text.replace(f"unix:{path}", f"unix:{tmp}/nowhere/submit"))
        p = Process("sallyport", srv.command(), tmp / "log2")
        p.p.wait(20)
        check(p.p.returncode == 75 and f"cannot listen on {tmp}/nowhere/submit: No such file" in p.output(),
              f"{p.p.returncode} {p.output()}")


@test("the session limit counts each user of this machine for himself")
def _():
    need_root()
    with work() as tmp:
        srv, path = with_local(tmp)
        text = srv.config.read_text()
        srv.config.write_text(text.replace("type = local", "type = local\n    max-sessions-per-address = 2"))
        call([SALLYPORT, "user", "add", "--data", srv.store, "games", "--address", "games@example.org",
              "--password-file", srv.password_file])
        srv.start()
        try:
            here = grp.getgrnam("daemon").gr_gid
            held = [subprocess.Popen(["setpriv", "--reuid", "daemon", "--regid", str(here), "--clear-groups", PYTHON,
                                      "-c", "import socket,sys,time\ns=socket.socket(socket.AF_UNIX)\n"
                                      f"s.connect({str(path)!r})\nprint(s.recv(1000).decode(), flush=True)\n"
                                      "time.sleep(60)"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
            try:
                for h in held:
                    check(h.stdout.readline().startswith("220 "), "no banner")
                said = talk(path, "daemon", ["QUIT"])
                check(said.startswith("421 4.7.0 too many sessions from user "), said)
                check(talk(path, "games", ["QUIT"]).startswith("220 "), "another user is turned away as well")
            finally:
                for h in held:
                    h.kill()
                    h.wait()
                    h.stdout.close()
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


run()
