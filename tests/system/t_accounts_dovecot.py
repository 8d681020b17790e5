#!/usr/bin/python3
# sets: default
# timeout: 240
"""Accounts of a real Dovecot: PLAIN by its authentication protocol, look-ups by its user database,
SCRAM that it does itself, and a Dovecot that is stopped and started again."""
import types
from harness import *
from wire import *
from acct_lab import *

HOLD = types.SimpleNamespace()


def lab():
    return HOLD.lab


class Dovecot:
    def __init__(self, tmp):
        self.dir, self.process = tmp / "dovecot", None
        self.dir.mkdir(mode=0o755)
        self.users = self.dir / "users"
        self.run = self.dir / "run"
        scram = "{SCRAM-SHA-256}" + verifier("erins secret").split("$", 1)[1].replace(":", ",").replace("$", ",")
        self.users.write_text("\n".join([
            f"carol:{{CRYPT}}{crypt(PASSWORD)}:::::: userdb_address=carol@example.org userdb_grant=*@lists.example.org "
            "userdb_act_as=shared",
            "shared:{CRYPT}!:::::: userdb_address=shared@example.org",
            f"dora:{{CRYPT}}{crypt('doras secret')}:::::: nologin userdb_address=dora@example.org",
            f"erin:{scram}:::::: userdb_address=erin@example.org",
        ]) + "\n")
        os.chmod(self.users, 0o644)
        self.config = self.dir / "dovecot.conf"
        self.config.write_text(f"""\
base_dir = {self.run}
state_dir = {self.dir}/state
log_path = /dev/stderr
protocols =
ssl = no
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
auth_cache_size = 0
default_internal_user = dovecot
default_login_user = dovenull
passdb {{
    driver = passwd-file
    args = scheme=CRYPT username_format=%Lu {self.users}
}}
userdb {{
    driver = passwd-file
    args = username_format=%Lu {self.users}
    default_fields = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
    unix_listener auth-client {{
        mode = 0666
    }}
    unix_listener auth-userdb {{
        mode = 0666
    }}
    chroot =
}}
service stats {{
    chroot =
}}
""")
        self.socket = self.run / "auth-client"

    def start(self):
        self.process = Process("dovecot", ["dovecot", "-F", "-c", self.config], self.dir / "log")
        wait_until(self.socket.exists, 20, "Dovecot")

    def stop(self):
        # An auth process with a client outlives its master.
        pids = children(self.process.pid)
        self.process.stop()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def sections(tmp):
    HOLD.dovecot = Dovecot(tmp)
    atexit.register(lambda: HOLD.dovecot.process and HOLD.dovecot.process.stop(signal.SIGTERM))
    HOLD.dovecot.start()
    return f"""accounts dovecot {{
        type = dovecot
        socket = {HOLD.dovecot.socket}
        user-socket = {HOLD.dovecot.run}/auth-userdb
        pass-through = SCRAM-SHA-256
        believe = 1s
        timeout = 5s
    }}
    """


same_for_all(lab, address=False, aliases=False)


@test("SCRAM goes through to Dovecot, step by step, and its signature back to the client")
def _():
    check(lab().scram("erin", "erins secret")[0] == 235, f"{lab().scram('erin', 'erins secret')}")
    check(lab().scram("erin", "x") == FAILED, "erin with a wrong password")
    check(lab().scram("nobody", "x") == FAILED, "nobody")
    with lab().session() as w:  # given up in the middle, the next one works
        w.expect(334, f"AUTH SCRAM-SHA-256 {b64('n,,n=erin,r=abcdefghijkl')}")
        w.expect(501, "*")
        check(lab().plain(w, "carol", PASSWORD)[0] == 235, "carol after a cancelled exchange")


@test("Dovecot is stopped: 454; started again: logins, without a restart of ours")
def _():
    HOLD.dovecot.stop()
    wait_until(lambda: lab().login("carol", "another")[0] == 454, 15, "454")
    HOLD.dovecot.start()
    wait_until(lambda: lab().login("carol", "another")[0] == 535, 20, "an answer")
    wait_until(lambda: lab().scram("erin", "erins secret")[0] == 235, 10, "erin by SCRAM")
    check(lab().login("carol")[0] == 235, "carol")


if not shutil.which("dovecot") or os.geteuid() != 0:
    print("skipped: all of it: needs Dovecot, and root to run it\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)
with_accounts(HOLD, sections)
