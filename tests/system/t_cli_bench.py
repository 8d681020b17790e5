#!/usr/bin/python3
# sets: default
# timeout: 600
"""`sallyport bench`: the counts add up whatever the server does, nothing hangs silently."""
import itertools, json, pty, select, threading
from harness import *
from scripted import Scripted

NOBODY = {"XDG_CONFIG_HOME": "/nonexistent"}
ENVELOPE = ["--from", "alice@example.org", "--to", "bob@example.org"]


def bench(*argv, ok=(0,), seconds=60):
    """(JSON, what it said besides)"""
    done = subprocess.run([SALLYPORT, "bench", *map(str, argv), "--json"], capture_output=True,
                          text=True, timeout=seconds, env={**os.environ, **NOBODY})
    check(done.returncode in ok, f"ended with {done.returncode}: {done}")
    r = json.loads(done.stdout)
    good = r["sessions"] if r["measured"] == "connect to login" else r["messages"]
    check(good + r["refused"] + r["failed"] + r["not_tried"] == r["planned"], f"it does not add up: {r}")
    return r, done.stderr


@contextlib.contextmanager
def hop(**options):
    need_server()
    if SALLYPORT == "standin":
        skip("this is about the client")
    h = Scripted(**options)
    try:
        yield h, ["--server", f"smtp://127.0.0.1:{h.port}", "--no-tls", *ENVELOPE]
    finally:
        h.stop()


@test("all is sent: counts, rates and p50 <= p90 <= p99 <= max")
def _():
    with hop() as (h, to):
        r, said = bench(*to, "-n", 3, "-M", 5, "-S", 2000)
        check(r["messages"] == r["planned"] == 15 == len(h.taken), f"{r} {len(h.taken)}")
        check(r["sessions"] == 3 and r["not_tried"] == r["failed"] == 0, str(r))
        check(0 < r["p50_ms"] <= r["p90_ms"] <= r["p99_ms"] <= r["max_ms"], str(r))
        check(said == "", said)
        r, _ = bench(*to, "-n", 2, "-M", 3, "--reconnect")
        check(r["sessions"] == r["messages"] == 6, str(r))
        r, _ = bench(*to, "-n", 2, "-M", 3, "--login-only")
        check(r["sessions"] == r["planned"] == 6 and r["messages"] == 0 and r["max_ms"] > 0, str(r))
        text = call([SALLYPORT, "bench", *to, "-n", "2", "-M", "2"], env=NOBODY)
        check("4 messages in" in text and "p50" in text and "p99" in text and "max" in text, text)
        check(len(h.taken) == 25, f"{len(h.taken)} taken")
        sizes = {len(m[2]) for m in h.taken[:15]}
        check(sizes == {2000}, str(sizes))


@test("with --logins few come at a time, and all of them in the end")
def _():
    def most_at_once(h, *more):
        """Sessions that were there and had no reply to EHLO yet, at most."""
        lock, seen, greeted = threading.Lock(), [], []

        def ehlo(line):
            if not more:  # without the option all come before any is let in
                wait_until(lambda: h.sessions >= 6, 60, "six connections")
            with lock:
                seen.append(h.sessions - len(greeted))
                greeted.append(line)
        h.answers["EHLO"] = ehlo
        r, said = bench("--server", f"smtp://127.0.0.1:{h.port}", "--no-tls", *ENVELOPE, "-n", 6, "-M", 2, *more)
        check(r["messages"] == 12 == len(h.taken) and said == "", f"{r} {said}")
        return max(seen)

    with hop() as (h, _):
        check(most_at_once(h, "--logins", 2) <= 2, "more than two at a time")
    with hop() as (h, _):
        check(most_at_once(h, "--logins", 1, "--reconnect") <= 1, "more than one at a time")
    with hop() as (h, _):
        check(most_at_once(h) == 6, "not all at once")
    with hop() as (h, to):  # those who were kept back are not waited for
        h.answers[""] = "554 5.0.0 no"
        r, _ = bench(*to, "-n", 40, "-M", 1, "--logins", 3, ok=(69, 75))
        check(r["not_tried"] > 0, f"{r}")


@test("the keys of --json are those that --help and the manual page name")
def _():
    with hop() as (h, to):
        r, _ = bench(*to, "-n", 1, "-M", 1)
        text = call([SALLYPORT, "bench", "--help"])
        said = set(re.findall(r"[a-z0-9_]+", text[text.index("With --json"):text.index("Exit status")]))
        check(set(r) <= said, f"not in --help: {set(r) - said}")


@test("a server that never greets: it says what it waits for, and it ends")
def _():
    with hop() as (h, to):
        stop = threading.Event()
        h.answers[""] = lambda line: stop.wait(60) and ""
        began = time.monotonic()
        r, said = bench(*to, "-n", 3, "-M", 100, "--timeout", 1, ok=(75,))
        check(time.monotonic() - began < 30, "it took too long")
        check(r["messages"] == 0 and r["sessions"] == 0 and r["failed"] >= 10, str(r))
        check("greeting" in said and "given up" in said, said)
        master, slave = pty.openpty()
        p = subprocess.Popen([SALLYPORT, "bench", *map(str, to), "-n", "4", "--timeout", "3"], stdout=subprocess.DEVNULL,
                             stderr=slave, env={**os.environ, **NOBODY})
        os.close(slave)
        shown = b""
        while b"wait for" not in shown and select.select([master], [], [], 20)[0]:
            shown += os.read(master, 4096)
        check(b"4 wait for greeting" in shown and b"0 of 400 messages" in shown, shown.decode())
        p.send_signal(signal.SIGINT)
        check(p.wait(20) == 130, f"{p.returncode}")
        os.close(master)
        stop.set()


@test("without a terminal it still says every ten seconds that it lives")
def _():
    with hop() as (h, to):
        stop = threading.Event()
        h.answers["."] = lambda line: stop.wait(60) and ""
        p = subprocess.Popen([SALLYPORT, "bench", *map(str, to), "-n", "2"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, env={**os.environ, **NOBODY})
        line = p.stderr.readline().decode()
        check("0 of 200 messages" in line and "2 wait for end of message" in line, line)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)
        check(p.returncode == 130, f"{p.returncode}")
        stop.set()


@test("a wrong password ends it at once, with the server's words")
def _():
    need_server()
    if SALLYPORT == "standin":
        skip("this is about the client")
    with work() as tmp, server(tmp) as srv:
        (tmp / "wrong").write_text("wrong\n")
        r, said = bench("-s", f"smtp://localhost:{srv.port}", "--ca", srv.ca, "-u", srv.user, "-P", tmp / "wrong",
                        *ENVELOPE, "-n", 5, ok=(77,))
        check(r["messages"] == 0 and r["failed"] <= 5 and r["not_tried"] >= 495, str(r))
        check("password" in said and "given up" in said, said)
        r, said = bench("-s", f"smtp://localhost:{srv.port}", *ENVELOPE, "-n", 5, ok=(77,))
        check("not verified" in said and "given up" in said, said)
        r, said = bench("-s", f"smtp://localhost:{srv.port}", "--ca", srv.ca, "-u", srv.user, "-P", srv.password_file,
                        *ENVELOPE, "-n", 2, "-M", 3)
        check(r["messages"] == 6, str(r))


@test("replies of every kind, mixed: each message is counted once")
def _():
    with hop() as (h, to):
        turn, lock = itertools.count(), threading.Lock()

        def dot(line):
            with lock:
                return [None, "452 4.3.1 full", None, "", "554 5.6.0 no", None][next(turn) % 6]
        h.answers["."] = dot
        r, said = bench(*to, "-n", 4, "-M", 30, ok=(75,))
        check(r["planned"] == 120 and r["not_tried"] == 0, str(r))
        check(r["messages"] == len(h.taken), f"{r}: {len(h.taken)} taken")
        check(r["messages"] == 60 and r["refused"] == 40 and r["failed"] == 20, str(r))
        check(r["sessions_failed"] == 20 and "first error" in said, f"{r} {said}")


@test("what cannot succeed is not tried a hundred times")
def _():
    with hop() as (h, to):
        h.answers["RCPT"] = "550 5.1.1 no such user"
        r, said = bench(*to, "-n", 2, ok=(67,))
        check(10 <= r["refused"] <= 12 and r["not_tried"] >= 188, str(r))
        check("550 no such user" in said and "given up" in said, said)
    with hop() as (h, to):
        h.answers["MAIL"] = ""
        r, said = bench(*to, "-n", 2, ok=(75,))
        check(10 <= r["failed"] <= 12, str(r))
    r, said = bench("-s", f"127.0.0.1:{free_port()}", *ENVELOPE, "-n", 2, ok=(75,))
    check("cannot connect" in said and r["sessions"] == 0, f"{r} {said}")


@test("a session that goes on without its certificate loses no message of the count")
def _():
    need_server()
    with work() as tmp:
        pki = Certificates(tmp / "pki")
        client, client_key = pki.client("alice@example.org")
        (tmp / "p").write_text("secret\n")
        with hop(tls=pki.server(), client_ca=pki.ca) as (h, _):
            for more in [[], ["--reconnect"]]:
                del h.taken[:]
                r, said = bench("-s", f"smtp://127.0.0.1:{h.port}", "--ca", pki.ca, "-C", client, "-K", client_key,
                                "-u", "alice", "-P", tmp / "p", *ENVELOPE, "-n", 2, "-M", 4, *more)
                check(r["messages"] == 8 == len(h.taken), f"{r}: {len(h.taken)} taken: {said}")
                check(h.sessions >= 4, f"{h.sessions} sessions: none was begun anew")


@test("mistakes on the command line: status 64 and words")
def _():
    need_server()
    for argv, words in [([], "--from and --to"), (ENVELOPE, "name a server"), (["-n", "0", *ENVELOPE], "--connections"),
                        (["-M", "x", *ENVELOPE], "--messages"), (["-S", "1.5", *ENVELOPE], "--size"),
                        (["extra", "-s", "x", *ENVELOPE], "too many"), (["-n", "99999999", *ENVELOPE], "--connections"),
                        (["--conections", "3"], "did you mean --connections?")]:
        said = call([SALLYPORT, "bench", *argv], ok=(64,), env=NOBODY)
        check(words in said, f"{argv}: {said}")
    said = call(["sh", "-c", f"ulimit -n 64; {SALLYPORT} bench -s 127.0.0.1 {' '.join(ENVELOPE)} -n 100"], ok=(64,))
    check("ulimit" in said, said)


run()
