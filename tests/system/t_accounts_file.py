#!/usr/bin/python3
# sets: default
# timeout: 120
"""Accounts in a file: hashes as htpasswd, mkpasswd and Dovecot write them, fields, SCRAM, pins,
changes that are seen, several sections in order, and a file that is not there."""
import pwd, types
from harness import *
from wire import *
from acct_lab import *

HOLD = types.SimpleNamespace()


def lab():
    return HOLD.lab


def lines(srv):
    HOLD.pin = pin_of(srv)
    sha512 = crypt("a sha512 one", "sha-512", "-R", "5000")
    return [
        "# a comment", "",
        f"carol:{crypt(PASSWORD)}:address=carol@example.org address=carol.alias@example.org "
        "grant=*@lists.example.org act-as=shared",
        "shared::address=shared@example.org",
        f"dora:{crypt('doras secret')}:disabled=yes address=dora@example.org",
        f"dov:{{SHA512-CRYPT}}{sha512}:1000:1000:Dov E Cot:/home/dov:/bin/sh:userdb_mail=x address=dov@example.org",
        f"plain:{sha512}",
        f"bcrypt:{crypt('a bcrypt one', 'bcrypt', '-R', '5').replace('$2b$', '$2y$')}",
        f"erin::address=erin@example.org scram-sha-256={verifier('erins secret')}",
        f"pete::address=pete@example.org pin={HOLD.pin}",
        f"nets:{sha512}:address=nets@example.org allow_nets=127.0.0.0/8",
        f"odd:{sha512}:address=odd@example.org disabled=perhaps",
        f"locked:!{sha512}",
        f"few:{sha512}:address=few@example.org message-size=1000 recipients=1",
    ]


def write(text):
    new = HOLD.file.with_suffix(".new")
    new.write_text(text)
    os.chmod(new, 0o644)
    new.rename(HOLD.file)


def sections(tmp):
    HOLD.file = tmp / "passwd"
    HOLD.socket = tmp / "submit"
    write("")
    return f"listener here {{\n  type = local\n  address = unix:{HOLD.socket}\n}}\n" f"accounts people {{\n  type = file\n  path = {HOLD.file}\n  believe = 1s\n}}\n"


def prepare():
    HOLD.lines = lines(HOLD.srv)
    write("\n".join(HOLD.lines) + "\n")


@test("a new account is found as soon as nobody is believed no more")
def _():
    check(lab().login("carol") == FAILED, "carol is there already")
    prepare()
    wait_until(lambda: lab().login("carol")[0] == 235, 10, "carol's first login")


same_for_all(lab)


@test("hashes of Dovecot, mkpasswd and htpasswd")
def _():
    for user, password in (("dov", "a sha512 one"), ("plain", "a sha512 one"), ("bcrypt", "a bcrypt one")):
        check(lab().login(user, password)[0] == 235, user)
        check(lab().login(user, password + "x") == FAILED, user)


@test("a lock, and what restricts a login and is not understood, keep the account shut")
def _():
    for user in ("locked", "nets", "odd", "shared"):
        check(lab().login(user, "a sha512 one") == FAILED, user)


@test("a SCRAM verifier in the file logs in by SCRAM, and others get a salt that says nothing")
def _():
    check(lab().scram("erin", "erins secret")[0] == 235, "erin")
    for user, password in (("erin", "x"), ("nobody", "x"), ("carol", PASSWORD)):
        check(lab().scram(user, password) == FAILED, user)
    check("SCRAM-SHA-256" in lab().mechanisms(), f"{lab().mechanisms()}")


@test("a pinned certificate logs in as its account")
def _():
    srv = HOLD.srv
    with Wire(srv, implicit=True, certificate=(srv.client_certificate, srv.client_key)) as w:
        w.ehlo()
        w.expect(235, "AUTH EXTERNAL =")
        w.expect(250, "MAIL FROM:<pete@example.org>")


@test("limits of the file hold")
def _():
    with lab().in_("few", "a sha512 one") as w:
        w.expect(552, "MAIL FROM:<few@example.org> SIZE=1001")
        w.expect(250, "MAIL FROM:<few@example.org> SIZE=1000")
        w.expect(250, "RCPT TO:<bob@example.org>")
        w.expect(452, "RCPT TO:<eve@example.org>")


@test("a password that changes in the file ends old logins, the cached one and live sessions")
def _():
    with lab().in_() as w:
        w.expect(250, "MAIL FROM:<carol@example.org>")
        w.expect(250, "RSET")
        write("\n".join(HOLD.lines).replace(HOLD.lines[2].split(":")[1], crypt("another one")) + "\n")
        wait_until(lambda: lab().login("carol", "another one")[0] == 235, 10, "the new password")
        check(lab().login("carol") == FAILED, "the old password still works")

        wait_until(lambda: ended(w), 10, "the end of the session")
    write("\n".join(HOLD.lines) + "\n")
    wait_until(lambda: lab().login("carol")[0] == 235, 10, "the old password again")


@test("a client of a local socket whose account only the file has is logged in; one it has not is refused")
def _():
    need_root()
    def greeted(user):
        pw = pwd.getpwnam(user)
        return call(["setpriv", "--reuid", pw.pw_uid, "--regid", pw.pw_gid, "--clear-groups", PYTHON, "-c",
                     "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect(sys.argv[1])\n"
                     "print(s.recv(500).decode())", HOLD.socket])
    write("\n".join([*HOLD.lines, "daemon::address=daemon@example.org"]) + "\n")
    wait_until(lambda: greeted("daemon").startswith("220 "), 10, "the greeting")
    check("no account" in greeted("games"), "games")
    write("\n".join(HOLD.lines) + "\n")


@test("while the file cannot be read logins get 454")
def _():
    away = HOLD.file.with_suffix(".away")
    HOLD.file.rename(away)
    wait_until(lambda: lab().login("plain", "a sha512 one")[0] == 454, 10, "454")
    for _i in range(5):
        code, text = lab().login("plain", "a sha512 one")
        check((code, text[:5]) == AWAY, f"{code} {text}")
    away.rename(HOLD.file)
    wait_until(lambda: lab().login("plain", "a sha512 one")[0] == 235, 10, "a login")


@test("the helper dies: 454 for a moment, then logins again")
def _():
    pid = next(p for p, role in HOLD.srv.roles() if role == "auth-helper")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: lab().login("plain", "a sha512 one")[0] == 235, 10, "a login after the helper died")


@test("user list, show and test say where an account is kept")
def _():
    conf = HOLD.srv.config
    out = call([SALLYPORT, "user", "list", "--config", conf])
    check("carol" in out and "alice" not in out, out)
    out = call([SALLYPORT, "user", "show", "--config", conf, "carol@example.org"])
    check("people" in out and "*@lists.example.org" in out and "carol.alias@example.org" in out, out)
    secret = HOLD.file.with_suffix(".secret")
    test = [SALLYPORT, "user", "test", "--config", conf, "--password-file", secret]
    secret.write_text(PASSWORD + "\n")
    os.chmod(secret, 0o600)
    check("right" in call([*test, "carol"]), "carol")
    check("no account" in call([*test, "nobody"], ok=(67,)), "nobody")
    secret.write_text("not it\n")
    check("wrong" in call([*test, "carol"], ok=(77,)), "carol with a wrong password")
    out = call([SALLYPORT, "user", "disable", "--config", conf, "alice"])
    check("people" in out and "users.db" in out, out)


with_accounts(HOLD, sections)
