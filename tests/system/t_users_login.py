#!/usr/bin/python3
# sets: default
# timeout: 300
"""Nobody learns from a failed login which accounts exist, and nobody can lock an account out:
replies, salts, the time class; the throttle by account and by address, live."""
import statistics, threading, time, types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
MISSES = ("nobody", "bob", "dave", "alice", "Alice", "alice@elsewhere.example", "x" * 100)  # bob: no password; dave: disabled


class From(Wire):
    """A client at another address of this machine: the throttle tells them apart."""

    def __init__(self, source, certificate=None, implicit=True):
        self.srv, self.buffer = HOLD.srv, b""
        self.context = context(HOLD.srv, certificate)
        port = HOLD.srv.tls_port if implicit else HOLD.srv.port
        self.s = socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if implicit:
            self.s = self.context.wrap_socket(self.s, server_hostname="localhost")
        self.expect(220)
        self.ehlo()
        if not implicit:
            self.starttls()
            self.ehlo()


def plain(w, user, password):
    """(code, text, seconds)"""
    begin = time.monotonic()
    w.send(f"AUTH PLAIN {b64(chr(0) + user + chr(0) + password)}\r\n")
    code, text = w.reply()
    return code, text, time.monotonic() - begin


_next = iter(range(10, 250))


def fresh():
    return f"127.0.9.{next(_next)}"


@test("unknown, disabled, without a password, wrong: one reply, by every mechanism")
def _():
    said = set()
    for user in MISSES:
        with From(fresh()) as w:
            said.add(plain(w, user, "wrong")[:2])
        with From(fresh()) as w:
            w.expect(334, "AUTH LOGIN")
            w.expect(334, b64(user))
            w.send(b64("wrong") + "\r\n")
            said.add(w.reply())
    check(said == {(535, "5.7.8 Authentication credentials invalid")}, str(said))


@test("SCRAM: a salt for everybody, the same each time, of one length and count; and one reply")
def _():
    def first(user):
        with From(fresh()) as w:
            w.send(f"AUTH SCRAM-SHA-256 {b64(f'n,,n={user},r=abcdefghijkl')}\r\n")
            code, text = w.reply()
            check(code == 334, f"{user}: {code} {text}")
            part = dict(p.split("=", 1) for p in base64.b64decode(text).decode().split(","))
            w.send(b64(f"c=biws,r={part['r']},p={b64(b'x' * 32)}") + "\r\n")
            return part["s"], part["i"], *w.reply()
    seen = {user: first(user) for user in MISSES}
    for user in MISSES:
        check(first(user)[:2] == seen[user][:2], f"{user}: another salt at the second try")
    check(len({len(base64.b64decode(s)) for s, *_ in seen.values()}) == 1, f"salts of different lengths {seen}")
    check(len({i for _s, i, *_ in seen.values()}) == 1, f"counts differ {seen}")
    check(len({s for s, *_ in seen.values()}) == len(MISSES), "two accounts with one salt")
    check({r[2:] for r in seen.values()} == {(535, "5.7.8 Authentication credentials invalid")}, f"{seen}")


@test("a mechanism that is too weak for the account: 534 to the right password, 535 to a wrong one; not counted")
def _():
    def mechanisms(*names):
        call([SALLYPORT, "user", "mechanisms", "erin", *names, "--config", HOLD.srv.config])

    mechanisms("SCRAM-SHA-256", "EXTERNAL")
    weak = (534, "5.7.9 This mechanism is too weak for this user: choose a stronger one")
    try:
        where = fresh()
        with From(where) as w:
            said = plain(w, "erin", HOLD.srv.password)[:2]
            check(said == weak, f"PLAIN: {said}")
            check(plain(w, "erin", "wrong")[0] == 535, "a wrong password is told more")
        for _i in range(12):  # an old phone goes on trying, and harms nobody behind its address
            with From(where) as w:
                code, text, seconds = plain(w, "erin", HOLD.srv.password)
                check((code, text) == weak and seconds < 5, f"{code} {text} after {seconds:.1f} s")
        out = call([SALLYPORT, "send", "--server", f"smtp://localhost:{HOLD.srv.port}", "--ca", HOLD.srv.ca, "--user", "erin", "--from",
                    "erin@example.org", "--to", "erin@example.org"], stdin=b"Subject: strong\r\n\r\nx\r\n",
                   env={"SALLYPORT_PASSWORD": HOLD.srv.password})
        print(out)
    finally:
        mechanisms("any")
    with From(fresh()) as w:
        check(plain(w, "erin", HOLD.srv.password)[0] == 235, "any again")


@test("the time of a failed login is of one class (t_login counts the hashes; here the medians)")
def _():
    medians = {}
    for user in ("nobody", "bob", "dave", "alice"):
        times = []
        for _i in range(5):
            with From(fresh()) as w:  # a new address: no delay by the address; that by name is the same for all
                times.append(plain(w, user, "wrong")[2])
        medians[user] = statistics.median(times)
    print("median ms: " + ", ".join(f"{u} {1000 * m:.1f}" for u, m in medians.items()))
    # Without the hash it would be a twentieth.
    check(min(medians.values()) > max(medians.values()) / 3, f"{medians}")


@test("failures are slowed down, over STARTTLS and reconnects; the right password from elsewhere gets in")
def _():
    where, times = fresh(), []
    for i in range(9):  # one attempt a connection, both ports
        with From(where, implicit=i % 2 == 0) as w:
            code, _text, seconds = plain(w, "carol", "wrong")
            check(code == 535, str(code))
            times.append(seconds)
    print("seconds: " + " ".join(f"{t:.2f}" for t in times))
    check(times[8] >= 1.4, f"the ninth failure took {times[8]:.2f} s: the count did not survive reconnects")
    check(max(times) < 6, "more than two seconds and a hash")
    with From(fresh()) as w:  # the account's count delays, never refuses
        code, _text, seconds = plain(w, "carol", HOLD.srv.password)
        check(code == 235 and seconds < 6, f"{code} after {seconds:.1f} s from another address")
    with From(fresh(), certificate=HOLD.carol) as w:
        w.expect(235, "AUTH EXTERNAL =")
    with From(where) as w:  # and from the same address, too, while it is not far over the limit
        check(plain(w, "carol", HOLD.srv.password)[0] == 235, "locked out at the guesser's address")


@test("an address with a hundred failures is refused for a while; who logged in from there before is not")
def _():
    where = fresh()
    with From(where) as w:
        check(plain(w, "erin", HOLD.srv.password)[0] == 235, "erin")
    def guess(n):
        with contextlib.suppress(Failed, OSError):
            with From(where) as w:
                for i in range(3):
                    plain(w, f"guess{n}.{i}", "wrong")
    for _round in range(2):
        threads = [threading.Thread(target=guess, args=(n,)) for n in range(30)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    with From(where) as w:
        code, text, _s = plain(w, "alice", HOLD.srv.password)
        check(code == 454, f"not refused: {code} {text}")
    with From(where) as w:
        check(plain(w, "erin", HOLD.srv.password)[0] == 235, "a known account at this address is refused")
    with From(fresh()) as w:
        check(plain(w, "alice", HOLD.srv.password)[0] == 235, "alice is refused from elsewhere")
    with From(where, certificate=(HOLD.srv.client_certificate, HOLD.srv.client_key)) as w:
        w.expect(235, "AUTH EXTERNAL =")
    check("too many failures from this address" in HOLD.srv.process.output(), "the log does not say why")


@test("after a restart of auth the logins work, and the first failures are free again")
def _():
    pid = next(p for p, role in HOLD.srv.roles() if role == "auth")
    os.kill(pid, signal.SIGTERM)

    def back():
        with contextlib.suppress(Failed, OSError), From(fresh()) as w:
            return plain(w, "alice", HOLD.srv.password)[0] == 235
    wait_until(back, 20, "auth to be back")


def main():
    without_server()
    with work() as tmp:
        srv = HOLD.srv = Sallyport(tmp)
        for name, more in (("bob", ["--no-password"]), ("carol", []), ("dave", []), ("erin", [])):
            call([SALLYPORT, "user", "add", name, "--data", srv.store, "--address", f"{name}@example.org",
                  *(more or ["--password-file", srv.password_file])])
        call([SALLYPORT, "user", "disable", "dave", "--data", srv.store])
        if os.geteuid() == 0:
            for path in (srv.store, *srv.store.rglob("*")):
                shutil.chown(path, "nobody", "nogroup")
        HOLD.carol = srv.certificates.client("carol@example.org")
        srv.start()
        try:
            run()
        except SystemExit as e:
            status = e.code
        if status:
            print(srv.process.tail(30))
        srv.stop()
    sys.exit(status)


main()
