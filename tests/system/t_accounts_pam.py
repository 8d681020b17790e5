#!/usr/bin/python3
# sets: default
# timeout: 240
"""Passwords that PAM judges (pam_pwdfile, a service file of our own: the machine's users are not
touched), with rights from users.db; and a module that hangs."""
import grp, types
from harness import *
from wire import *
from acct_lab import *
from acct_stores import *

HOLD = types.SimpleNamespace()


def lab():
    return HOLD.lab


def service(*lines):
    HOLD.service.write_text("\n".join(lines) + "\n")


def sections(tmp):
    HOLD.tmp = tmp
    file = tmp / "pwdfile"
    sha = "sha-512", "-R", "5000"
    file.write_text("".join(f"{n}:{crypt(p, *sha)}\n" for n, p in
                            (("carol", PASSWORD), ("dora", "doras secret"), ("plain", "plain secret"))))
    os.chmod(file, 0o644)
    HOLD.lines = [f"auth required {PAM_PWDFILE} pwdfile={file}", "account required pam_permit.so"]
    (tmp / "pam.d").mkdir(mode=0o755)
    HOLD.service = tmp / "pam.d" / "sallyport"
    service(*HOLD.lines)
    return (f"login-cache = 1s\naccounts system {{\n type = pam\n service-directory = {tmp}/pam.d\n domain = example.org\n"
            " local-rights = yes\n believe = 1s\n timeout = 1s\n connections = 2\n}\n")


@test("rights of users.db come to accounts that PAM knows")
def _():
    store = HOLD.srv.store
    owner = store.stat()
    for words in (["add", "carol", "--no-password", "--address", "carol@example.org", "--grant", "*@lists.example.org"],
                  ["add", "shared", "--no-password", "--address", "shared@example.org"],
                  ["grant", "carol", "shared", "--act-as"], ["grant", "carol", "carol.alias@example.org", "--own"],
                  ["add", "dora", "--no-password", "--address", "dora@example.org"], ["disable", "dora"]):
        call([SALLYPORT, "user", words[0], "--data", store, *words[1:]])
    for path in store.iterdir():
        os.chown(path, owner.st_uid, owner.st_gid)
    check(lab().may_send("carol@example.org"), "carol")


same_for_all(lab)


@test("an account that users.db does not have sends as NAME@domain, and a certificate cannot name it")
def _():
    check(lab().may_send("plain@example.org", "plain", "plain secret"), "plain")
    check(not lab().may_send("carol@example.org", "plain", "plain secret"), "another's address")
    certificate = HOLD.srv.certificates.client("plain@example.org", "plain")
    with Wire(HOLD.srv, implicit=True, certificate=certificate) as w:
        check("EXTERNAL" not in w.ehlo(), "EXTERNAL for an account that nobody knows to be there")
        w.expect(530, "MAIL FROM:<plain@example.org>")


@test("only mechanisms that PAM can judge are listed")
def _():
    check(lab().mechanisms() == ["PLAIN", "LOGIN"], f"{lab().mechanisms()}")


@test("a login that was right is remembered for login-cache, and not longer")
def _():
    check(lab().login("plain", "plain secret")[0] == 235, "plain")
    service("auth required pam_deny.so", "account required pam_permit.so")
    wait_until(lambda: lab().login("plain", "plain secret")[0] == 535, 15, "the end of the remembered login")
    service(*HOLD.lines)
    wait_until(lambda: lab().login("plain", "plain secret")[0] == 235, 15, "plain again")


@test("an account that PAM refuses after the password was right is refused")
def _():
    service(HOLD.lines[0], "account required pam_deny.so")
    wait_until(lambda: lab().login("plain", "plain secret")[0] == 535, 15, "the refusal")
    service(*HOLD.lines)


@test("a module that hangs costs its own logins 454")
def _():
    slow = HOLD.tmp / "slow"
    slow.write_text("#!/bin/sh\nsleep 8\n")
    os.chmod(slow, 0o755)
    service(f"auth required pam_exec.so {slow}", *HOLD.lines)
    time.sleep(1.1)
    check(lab().login("plain", "plain secret")[0] == 454, "454")
    service(*HOLD.lines)
    wait_until(lambda: lab().login("plain", "plain secret")[0] == 235, 30, "plain again")


class OwnShadow(Sallyport):
    """With an /etc/passwd and /etc/shadow of its own, in a mount namespace."""

    def command(self):
        mounts = " && ".join(f"mount --bind {self.data.parent}/{n} /etc/{n}" for n in ("passwd", "shadow"))
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts} && exec "$@"', "sh", *super().command()]


@test("pam_unix: the passwords of /etc/shadow, for a helper with the group that may read it")
def _():
    need_root()
    for group, code in (("auth-helper-group = shadow\n", 235), ("", 535)):
        with work() as tmp:
            srv = OwnShadow(tmp, more=group + "accounts system {\n type = pam\n service-directory = /etc/pam.d\n service = other\n}\n")
            here = srv.data.parent
            (here / "passwd").write_text(Path("/etc/passwd").read_text() + "pamela:x:54321:54321::/:/usr/sbin/nologin\n")
            (here / "shadow").write_text(Path("/etc/shadow").read_text() + f"pamela:{crypt('her secret', 'yescrypt', '-R', '5')}:19000:0:99999:7:::\n")
            os.chmod(here / "passwd", 0o644)
            os.chmod(here / "shadow", 0o640)
            os.chown(here / "shadow", 0, grp.getgrnam("shadow").gr_gid)
            srv.start()
            try:
                check(Lab(srv).login("pamela", "her secret")[0] == code, f"with {group!r} not {code}")
                check(Lab(srv).login("pamela", "another")[0] == 535, "a wrong password")
                check(Lab(srv).login("root", "x")[0] == 535, "root")
            finally:
                srv.stop()


if not PAM_PWDFILE:
    print("skipped: all of it: needs libpam-pwdfile\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)
with_accounts(HOLD, sections)
