#!/usr/bin/python3
# sets: default
# timeout: 240
"""Accounts of a real Dovecot: PLAIN by its authentication protocol, look-ups by its user database,
SCRAM that it does itself, and a Dovecot that is stopped and started again."""
import types
from harness import *
from wire import *
from acct_lab import *
from acct_stores import *

HOLD = types.SimpleNamespace()


def lab():
    return HOLD.lab


def sections(tmp):
    scram = "{SCRAM-SHA-256}" + verifier("erins secret").split("$", 1)[1].replace(":", ",").replace("$", ",")
    HOLD.dovecot = Dovecot(tmp, [
        f"carol:{{CRYPT}}{crypt(PASSWORD)}:::::: userdb_address=carol@example.org userdb_grant=*@lists.example.org "
        "userdb_act_as=shared",
        "shared:{CRYPT}!:::::: userdb_address=shared@example.org",
        f"dora:{{CRYPT}}{crypt('doras secret')}:::::: nologin userdb_address=dora@example.org",
        f"erin:{scram}:::::: userdb_address=erin@example.org",
    ])
    atexit.register(lambda: HOLD.dovecot.process and HOLD.dovecot.process.stop(signal.SIGTERM))
    HOLD.dovecot.start()
    return f"""accounts dovecot {{
        type = dovecot
        socket = {HOLD.dovecot.socket}
        user-socket = {HOLD.dovecot.run}/auth-userdb
        pass-through = SCRAM-SHA-256
        scram-iterations = 4096
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
    check(lab().iterations("erin") == lab().iterations("nobody") == 4096, "the count of iterations tells who is known")
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
