#!/usr/bin/python3
# sets: default
# timeout: 120
"""Three accounts sections at once, two files and users.db: asked in order, the first that knows a name decides,
and one that cannot be asked holds up those behind it and nobody before it."""
import types
from acct_lab import *

HOLD = types.SimpleNamespace()


def write(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    os.chmod(new, 0o644)
    new.rename(path)


def sections(tmp):
    HOLD.staff, HOLD.guests = tmp / "staff", tmp / "guests"
    HOLD.text = {HOLD.staff: f"carol:{crypt('carol of staff')}:address=carol@example.org\n"
                             f"anna:{crypt('annas secret')}:address=anna@example.org\n",
                 HOLD.guests: f"carol:{crypt('carol of guests')}:address=guest@example.org\n"
                              f"gus:{crypt('gus secret')}:address=gus@example.org\n"
                              f"alice:{crypt('alice of guests')}:disabled=yes\n"}
    for path, text in HOLD.text.items():
        write(path, text)
    file = "accounts {0} {{\n  type = file\n  path = {1}\n  believe = 1s\n}}\n"
    return file.format("staff", HOLD.staff) + file.format("guests", HOLD.guests) + "accounts ours {\n  type = sqlite\n}\n"


def lab():
    return HOLD.lab



@test("who is in one section only logs in, wherever it stands")
def _():
    srv = lab().srv
    call([SALLYPORT, "user", "add", "--data", srv.store, "uta", "--address", "uta@example.org", "--password-file", srv.password_file])
    for name, password in (("anna", "annas secret"), ("gus", "gus secret"), ("uta", srv.password)):
        check(lab().login(name, password)[0] == 235, name)
        check(lab().login(f"{name}@example.org", password)[0] == 235, f"{name}'s address")
        check(lab().login(name, "x") == FAILED, f"{name} with a wrong password")
    check(lab().login("nobody") == FAILED, "nobody")


@test("the first section that knows a name decides: neither password nor rights of a later one count")
def _():
    check(lab().login("carol", "carol of staff")[0] == 235, "the first carol")
    check(lab().login("carol", "carol of guests") == FAILED, "the second carol logged in")
    check(lab().may_send("carol@example.org", password="carol of staff"), "her own address")
    check(not lab().may_send("guest@example.org", password="carol of staff"), "an address of the other carol")
    check(lab().login("alice", lab().srv.password) == FAILED, "disabled in guests, and let in by users.db")


@test("a section that cannot be asked: 454 for whom those before it do not know, everybody else logs in")
def _():
    srv, hidden = lab().srv, HOLD.guests.with_suffix(".hidden")
    HOLD.guests.rename(hidden)
    wait_until(lambda: lab().login("gus", "gus secret")[0] == 454, 30, "454 for gus")
    wait_until(lambda: lab().login("uta", srv.password)[0] == 454, 30, "users.db not to be asked past a section that is away")
    check(lab().login("anna", "annas secret")[0] == 235, "anna, whom the first section knows")
    check(lab().login("carol", "carol of staff")[0] == 235, "carol")
    hidden.rename(HOLD.guests)
    for name, password in (("gus", "gus secret"), ("uta", srv.password)):  # each helper finds out by itself
        wait_until(lambda: lab().login(name, password)[0] == 235, 30, f"{name} to be back")


@test("a name that moves to an earlier section is that one's from then on")
def _():
    write(HOLD.staff, HOLD.text[HOLD.staff] + f"gus:{crypt('gus of staff')}:address=gus@example.org\n")
    wait_until(lambda: lab().login("gus", "gus of staff")[0] == 235, 30, "gus of staff")
    wait_until(lambda: lab().login("gus", "gus secret") == FAILED, 30, "the old password to end")


with_accounts(HOLD, sections)
