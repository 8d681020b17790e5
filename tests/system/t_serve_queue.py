#!/usr/bin/python3
# sets: default
# timeout: 500
"""The queue: an administrator's commands with and without a server, and what becomes of a
message when the next hop refuses, defers, hangs up, lies or is not there."""
import json, signal, socket, sqlite3, subprocess, time
from harness import *
from scripted import Scripted
from wire import *

FAST = "retry-intervals = 1s 2s"


def submit(srv, name, to=("x@remote.test",), sender=None):
    with inside(srv) as w:
        w.expect(250, f"MAIL FROM:<{srv.address if sender is None else sender}>")
        for address in to:
            w.rcpt(address)
        text = w.submit(message(name))
        return re.search(r"\b(0[0-9A-Z]{12})\b", text)[1]


def queue(srv, *argv, ok=(0,)):
    return call([SALLYPORT, "queue", argv[0], "--config", srv.config, *argv[1:]], ok=ok)


def rows(srv, *argv):
    return [json.loads(l) for l in queue(srv, "list", "--json", *argv).splitlines()]


def status(srv, name):
    row = json.loads(queue(srv, "show", "--json", name))
    return {r["address"]: r["status"] for r in row["recipients"]}


def notice(srv, user="alice"):
    got = srv.mailbox(user).wait(1)[0]
    check(b"multipart/report" in got and b"report-type=delivery-status" in got, f"no report: {got[:500]!r}")
    check(got.lower().startswith(b"return-path: <>"), f"a notice has a reverse-path: {got[:100]!r}")
    return got


def empty(srv):
    wait_until(lambda: not rows(srv), 20, "the queue to be empty")


# ---- commands ----

@test("hold, list, show, release, retry, remove over the control socket; --json is JSON")
def _():
    hop = Scripted()
    hop.answers["MAIL"] = "450 4.2.0 later"
    with work() as tmp, server(tmp, routes=hop.route()) as srv:
        check("empty" in queue(srv, "list"), "the empty queue is not said to be empty")
        name = submit(srv, "first")
        wait_until(lambda: rows(srv, "--state", "deferred"), 10, "the message to be deferred")
        text = queue(srv, "list")
        check(name in text and "450 4.2.0 later" in text and "alice@example.org" in text, text)
        row = json.loads(queue(srv, "show", "--json", name))
        check(row["recipients"][0]["history"][0]["code"] == 450 and row["user"] == "alice", f"{row}")
        check("1 message" in queue(srv, "hold", name), "hold")
        check(status(srv, name) == {"x@remote.test": "held"}, "not held")
        hop.answers.clear()
        queue(srv, "retry", name)
        time.sleep(0.7)
        check(not hop.taken, "a held message was sent")
        queue(srv, "release", name)
        queue(srv, "retry", name, ok=(0, 66))  # 66: it has left already
        wait_until(lambda: hop.taken, 10, "the released message")
        empty(srv)
        check(status(srv, name) == {"x@remote.test": "delivered"}, f"{status(srv, name)}")
        hop.answers["MAIL"] = "450 4.2.0 later"
        gone = submit(srv, "second")
        wait_until(lambda: rows(srv, "--state", "deferred"), 10, "the message to be deferred")
        queue(srv, "remove", gone)
        check(not rows(srv), "not removed")
        check(gone in srv.process.output().split("message.removed")[1], "the removal is not in the log")
        for wrong in ("01ZZZZZZZZZZZ", "x", "", "../../etc/passwd", "\n"):
            said = queue(srv, "show", wrong, ok=range(1, 100))
            check(said.strip() and "Sanitizer" not in said, f"{wrong!r}: {said}")
        time.sleep(0.5)
        check(not srv.mailbox("alice").files(), "a removed message bounced")


@test("by destination: shape, destinations; --text, --state and --domain choose recipients, also for hold and release")
def _():
    hop = Scripted()
    hop.answers["RCPT"] = lambda line: ("452 4.2.2 mailbox full" if "full" in line else
                                        "550 5.1.1 nobody" if "gone" in line else "451 4.7.1 try later")
    with work() as tmp, server(tmp, routes=hop.route(match="*.test")) as srv:
        name = submit(srv, "many", ["full@one.test", "a@one.test", "gone@one.test", "a@two.test", "b@Two.test", "full@three.test"])
        wait_until(lambda: len([r for m in rows(srv, "--state", "deferred") for r in m["recipients"] if r["attempts"]]) == 6,
                   20, "every recipient to be tried")
        got = [json.loads(l) for l in queue(srv, "shape", "--json", "--user", "alice").splitlines()]
        check([(r["destination"], r["recipients"], r["ages"]["5m"]) for r in got] ==
              [("one.test", 2, 2), ("two.test", 2, 2), ("three.test", 1, 1)], f"{got}")
        shown = queue(srv, "destinations", "--domain", "TWO.test")
        check(re.search(r"^ +2 +0 +0 .* two\.test$", shown, re.M) and "451 4.7.1 try later" in shown and "one" not in shown, shown)
        got = [json.loads(l) for l in queue(srv, "destinations", "--json", "--text", "Mailbox FULL").splitlines()]
        check([(r["destination"], r["recipients"]) for r in got] == [("one.test", 1), ("three.test", 1)], f"{got}")
        check("1 message" in queue(srv, "hold", "--text", "mailbox full", "--domain", "three.test"), "hold by text")
        check(status(srv, name)["full@three.test"] == "held", "not held")
        check(status(srv, name)["a@two.test"] == "queued", "another destination is held")
        check(status(srv, name)["gone@one.test"] == "bounced", "who is returned is not said to be")
        check([r["destination"] for r in map(json.loads, queue(srv, "shape", "-j", "-s", "held").splitlines())] == ["three.test"], "by state")
        check("1 message" in queue(srv, "release", "--state", "held"), "release by state")
        check("held" not in status(srv, name).values(), "still held")
        check(rows(srv, "--older", "1h") == [] and len(rows(srv, "--newer", "1h")) == 1, "by age")
        queue(srv, "remove", "--domain", "one.test", "--newer", "2d")
        left = [json.loads(l)["destination"] for l in queue(srv, "shape", "--json", "--user", "alice").splitlines()]
        check(left == ["two.test", "three.test"], f"{left}")
        for wrong in (["shape", "one.test"], ["shape", "-s", "finished"], ["list", "--older", "1x"], ["list", "--newer", "99999999999999999d"],
                      ["hold"], ["destinations", "--state", "odd"]):
            queue(srv, *wrong, ok=(64,))
        srv.stop()
        check("two.test" in queue(srv, "shape"), "not without a server")
        check("three.test" not in queue(srv, "destinations", "--limit", "1"), "more than the limit")


@test("expire gives mail up with a bounce that has the last words, held, deferred or without a server; remove stays silent")
def _():
    hop = Scripted()
    hop.answers["RCPT"] = "450 4.7.1 come back tomorrow"
    with work() as tmp, server(tmp, routes=hop.route(match="*.test")) as srv:
        name = submit(srv, "old", ["a@one.test", "b@two.test"])
        held = submit(srv, "held", ["c@three.test"])
        wait_until(lambda: len(rows(srv, "--state", "deferred", "--text", "tomorrow")) == 2, 30, "both to be deferred")
        wait_until(lambda: all(r["attempts"] for m in rows(srv) for r in m["recipients"]), 30, "every recipient to be tried")
        queue(srv, "hold", held)
        queue(srv, "expire", ok=(64,))
        check("1 message" in queue(srv, "expire", "--domain", "one.test"), "expire by filter")
        report = notice(srv)
        for words in (b"a@one.test", b"Action: failed", b"Status: 5.4.7", b"an administrator ended", b"450 4.7.1 come back tomorrow"):
            check(words in b" ".join(report.split()) or words in report, f"{words} is not in {report.decode(errors='replace')}")
        check(b"b@two.test" not in report, "the other destination is given up, too")
        wait_until(lambda: status(srv, name) == {"a@one.test": "bounced", "b@two.test": "queued"}, 30, "one of two to be given up")
        check("1 message" in queue(srv, "expire", held), "expire of a held one")
        wait_until(lambda: status(srv, held) == {"c@three.test": "bounced"}, 30, "the held one to be given up")
        check(len(srv.mailbox("alice").wait(2)) == 2, "no notice for the held one")
        srv.stop()
        check("1 message" in queue(srv, "expire", "--all"), "expire without a server")
        hop.answers.clear()
        srv.start()
        wait_until(lambda: status(srv, name)["b@two.test"] == "bounced", 30, "the last to be given up")
        srv.mailbox("alice").wait(3)
        empty(srv)
        check(not hop.taken, "what was given up was sent")
    hop.stop()


@test("reroute: another route for mail that waits, by id and filter, lasting; unknown names are refused with those there are; --normal takes it back")
def _():
    dead, good = Scripted(), Scripted()
    dead.answers["MAIL"] = "450 4.3.2 not now"
    routes = (f"route main {{\n    match = *.test\n    to = smarthost\n    host = 127.0.0.1:{dead.port}\n    tls = none\n}}\n"
              f"route spare {{\n    match = nothing.invalid\n    to = smarthost\n    host = 127.0.0.1:{good.port}\n    tls = none\n}}\n")
    with work() as tmp, server(tmp, routes=routes, more="retry-intervals = 1h") as srv:
        first, second = submit(srv, "first", ["a@one.test", "b@two.test"]), submit(srv, "second", ["c@one.test"])
        wait_until(lambda: len([r for m in rows(srv) for r in m["recipients"] if r["attempts"]]) == 3, 30, "every recipient to be tried")
        said = queue(srv, "reroute", "--route", "nowhere", "--all", ok=(64,))
        check("nowhere" in said and " main spare" in said, said)
        for wrong in (["reroute", "--all"], ["reroute", "--route", "spare", "--normal", "--all"], ["reroute", "--route", "spare"],
                      ["reroute", "--route", "", "--all"]):
            queue(srv, *wrong, ok=(64,))
        queue(srv, "hold", second)
        check("1 message" in queue(srv, "reroute", "--route", "spare", "--domain", "one.test", "--from", srv.address, first), "by id and filter")
        check("1 message" in queue(srv, "reroute", "--route", "spare", second), "by id")
        wait_until(lambda: good.taken, 30, "the message on its other route")
        check(good.taken[0][1] == ["a@one.test"], f"{good.taken}")
        row = json.loads(queue(srv, "show", "--json", second))["recipients"][0]
        check(row["status"] == "held" and row["route"] == "spare" and len(good.taken) == 1, f"{row}")
        check("by route spare" in queue(srv, "show", second), "show does not name the route")
        check(re.search(rf"control command=queue.reroute id={second} route=spare", srv.process.output()), "the change is not in the log")
        srv.stop()
        queue(srv, "reroute", "--route", "nowhere", "--all", ok=(64,))
        srv.start()
        check(json.loads(queue(srv, "show", "--json", second))["recipients"][0]["route"] == "spare", "forgotten at a restart")
        queue(srv, "reroute", "--normal", second)
        check("route" not in json.loads(queue(srv, "show", "--json", second))["recipients"][0], "not taken back")
        before = len(dead.lines)
        queue(srv, "release", second)
        wait_until(lambda: any(l.startswith("MAIL") for l in dead.lines[before:]), 30, "an attempt on the normal route")
        check(len(good.taken) == 1, "still on the other route")
        queue(srv, "reroute", "--route", "spare", "--all")
        wait_until(lambda: sorted(t[1] for t in good.taken) == [["a@one.test"], ["b@two.test"], ["c@one.test"]], 30, "all of it")
        empty(srv)
    dead.stop()
    good.stop()


@test("the same commands without a server, and not beside one that holds the lock")
def _():
    hop = Scripted()
    hop.answers["MAIL"] = "450 4.2.0 later"
    with work() as tmp, server(tmp, routes=hop.route()) as srv:
        names = [submit(srv, f"m{n}") for n in range(3)]
        wait_until(lambda: len(rows(srv, "--state", "deferred")) == 3, 10, "three deferred messages")
        srv.stop()
        check({r["id"] for r in rows(srv)} == set(names), f"{rows(srv)}")
        queue(srv, "hold", names[0])
        queue(srv, "remove", names[1])
        hop.answers.clear()
        queue(srv, "retry", "--all")
        keys = (srv.store / "ca", srv.store / "tls")  # root's, so that no role can change them
        strangers = [p for p in srv.store.rglob("*") if p.exists() and p.owner() == "root"
                     and p not in keys and p.parent not in keys]
        check(os.geteuid() or not strangers, f"root's files in the spool: {strangers}")
        srv.start()
        wait_until(lambda: len(hop.taken) == 1, 10, "the third message")
        check(status(srv, names[0]) == {"x@remote.test": "held"}, "the hold was forgotten")
        queue(srv, "release", "--all")
        wait_until(lambda: len(hop.taken) == 2, 90, "the released message")
        check(b"Subject: m1" not in b"".join(t[2] for t in hop.taken), "a removed message was sent")


@test("content that is gone, cut off or unreadable holds its message, says why once, and the others go on")
def _():
    hop = Scripted()
    hop.answers["MAIL"] = "450 4.2.0 later"
    big = b"0123456789abcdef0123456789abcdef\r\n" * 3000
    with work() as tmp, server(tmp, routes=hop.route(match="*.test")) as srv:
        with inside(srv) as w:
            for n in range(5):
                w.mail()
                w.rcpt("x@one.test")
                w.rcpt("x@two.test")
                w.submit(message(f"m{n}", b"small\r\n" if n == 4 else big))
        wait_until(lambda: len(rows(srv, "--state", "deferred")) == 5, 30, "five deferred messages")
        srv.stop()
        bodies = sorted(p for p in (srv.store / "queue/bodies").iterdir())
        check(len(bodies) == 4, f"{bodies}")
        gone, short, closed, _ = bodies
        whole = short.read_bytes()
        gone.rename(tmp / "kept")
        os.truncate(short, 50_000)
        closed.chmod(0)
        hop.answers.clear()
        queue(srv, "retry", "--all")
        srv.start()
        held = lambda: [r for r in rows(srv, "--state", "held") if r.get("damaged")]
        wait_until(lambda: len(held()) == 3, 60, "three held messages")
        wait_until(lambda: len(rows(srv)) == 3, 60, "the others to leave")
        check(sorted(len(t[2]) > 50_000 for t in hop.taken) == [False, False, True, True], "not both others, whole")
        why = sorted(r["damaged"] for r in held())
        for path, word in (gone, "No such file"), (short, "should have"), (closed, "Permission denied"):
            check(any(f"bodies/{path.name}" in t and word in t for t in why), f"{word}: {why}")
        shown = queue(srv, "show", held()[0]["id"])
        check("damaged: its content, bodies/" in shown and shown.count("held") == 2, shown)
        lines = [l for l in srv.process.output().splitlines() if "queue.error" in l]
        check(len(lines) == 3 and all("restore" in l and "release" in l for l in lines), f"{lines}")
        (tmp / "kept").rename(gone)
        with open(short, "r+b") as f:
            f.write(whole)
        closed.chmod(0o600)
        check(all("damaged" not in r for r in rows(srv)), "mended, and still said to be damaged")
        check(len(hop.taken) == 4, "a held message was sent")
        queue(srv, "release", "--all")
        wait_until(lambda: len(hop.taken) == 10, 60, "the released messages")
        empty(srv)
        check(sum(big.replace(b"\r\n", b"\n") in t[2].replace(b"\r\n", b"\n") for t in hop.taken) == 8, "not whole")


def copies(srv, count):
    """So many more of the one message in the spool, straight into the database."""
    db = sqlite3.connect(srv.store / "queue/spool.db", isolation_level=None)
    db.execute("BEGIN")
    for table, column in (("message", "message"), ("job", "job")):
        names = [r[1] for r in db.execute(f"PRAGMA table_info({table})")]
        row = list(db.execute(f"SELECT * FROM {table}").fetchone())
        key = next(n for n, r in enumerate(db.execute(f"PRAGMA table_info({table})")) if r[5])
        other = names.index("message") if table == "job" else key
        marks = ",".join("?" * len(row))

        def rows():
            for n in range(1, count + 1):
                new = list(row)
                for at in {key, other}:
                    new[at] += n * 4
                yield new
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows())
    db.execute("COMMIT")
    db.close()


@test("queue list of 30,000 messages lists them all, however slow the reader; mail goes on meanwhile")
def _():
    count = 30_000
    hop = Scripted()
    hop.answers["MAIL"] = "450 4.2.0 " + "later " * 60
    with work() as tmp:
        if SALLYPORT == "standin":
            skip("about the program itself")
        srv = Sallyport(tmp, routes=hop.route())
        srv.start()
        submit(srv, "first", to=["x" * 60 + str(n) + "@remote.test" for n in range(4)])
        wait_until(lambda: rows(srv, "--state", "deferred"), 10, "the message to be deferred")
        queue(srv, "hold", "--all")
        srv.stop()
        copies(srv, count)
        srv.start()
        try:
            p = subprocess.Popen([SALLYPORT, "queue", "list", "--json", "--config", srv.config],
                                 stdout=subprocess.PIPE)
            first = p.stdout.readline()
            json.loads(first)
            time.sleep(1)  # the pipe is full, and then the channel
            start = time.monotonic()
            with inside(srv) as w:
                w.mail()
                w.rcpt()
                w.submit(message("meanwhile"))
            check(time.monotonic() - start < 10, "mail waits for the reader of a list")
            rest = p.stdout.read()
            p.stdout.close()
            check(p.wait(60) == 0, f"queue list ended with {p.returncode}")
            octets = len(first) + len(rest)
            check(octets > 20_000_000, f"only {octets} octets: this proves nothing")
            ids = {json.loads(l)["id"] for l in [first, *rest.splitlines()]}
            # The one that was submitted meanwhile may be among them.
            check(count + 1 <= len(ids) <= count + 2, f"{len(ids)} of {count + 1} messages listed")
            few = rows(srv, "--limit", "1000")
            check(len(few) == 1000, f"--limit 1000 lists {len(few)}")
            srv.stop()
            direct = rows(srv)
            check(len(direct) >= count + 1, f"{len(direct)} without a server")
        finally:
            srv.process.stop(signal.SIGKILL)


@test("without a free descriptor the queue role waits and does not spin; then it answers")
def _():
    if SALLYPORT == "standin":
        skip("about the program itself")
    with work() as tmp:
        srv = Sallyport(tmp)
        command = srv.command()
        srv.command = lambda: ["prlimit", "--nofile=48:48", *command]
        srv.start()
        pid = next(p for p, r in srv.roles() if r == "queue")

        def ticks():
            stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            return int(stat[11]) + int(stat[12])
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                s = stack.enter_context(socket.socket(socket.AF_UNIX))
                s.connect(str(srv.store / "control"))
            wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) >= 47, 20, "descriptors to run out: else this proves nothing")
            time.sleep(0.5)
            before = ticks()
            time.sleep(3)
            spent = ticks() - before
            check(spent < 60, f"{spent} ticks of CPU in 3 s")
        check("empty" in queue(srv, "list"), "no answer afterwards")
        with inside(srv) as w:
            w.mail()
            w.rcpt()
            w.submit(message("afterwards"))
        srv.mailbox("bob").wait(1)
        srv.stop()


@test("more administrators than there is room for wait; they do not use up the queue role")
def _():
    with work() as tmp, server(tmp) as srv:
        pid = next(p for p, r in srv.roles() if r == "queue")
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                s = stack.enter_context(socket.socket(socket.AF_UNIX))
                s.connect(str(srv.store / "control"))
            time.sleep(0.5)
            check(len(os.listdir(f"/proc/{pid}/fd")) < 110, "all of them are in")
            with inside(srv) as w:
                w.mail()
                w.rcpt()
                w.submit(message("beside them"))
        check(queue(srv, "list").strip(), "no answer once they are gone")
        srv.mailbox("bob").wait(1)
        empty(srv)


@test("a stranger on this machine cannot use the control socket or read the data")
def _():
    need_root()
    with work() as tmp, server(tmp) as srv:
        stranger = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
        said = call([*stranger, SALLYPORT, "queue", "list", "--config", srv.config], ok=range(1, 100))
        check("Sanitizer" not in said, said)
        for path in srv.store.rglob("*"):
            readable = subprocess.run([*stranger, "test", "-r", path]).returncode == 0
            check(not readable, f"everybody may read {path}")


# ---- next hops ----

@test("550 from the smart host: the sender gets a notice with its words, the queue is empty")
def _():
    for stage in ("MAIL", "RCPT", "DATA", "."):
        hop = Scripted()
        hop.answers[stage] = "550 5.7.99 not on a Sunday"
        with work() as tmp, server(tmp, routes=hop.route()) as srv:
            submit(srv, "refused")
            got = notice(srv)
            for words in (b"x@remote.test", b"Action: failed", b"5.7.99", b"not on a Sunday",
                          b"Subject: refused"):
                check(words in got, f"{stage}: no {words!r} in the notice")
            empty(srv)
        hop.stop()


@test("4xx is tried again, later and later, until it is taken; once")
def _():
    times = []

    def later(line):
        times.append(time.monotonic())
        return "451 4.3.0 not yet" if len(times) < 3 else None
    hop = Scripted()
    hop.answers["MAIL"] = later
    with work() as tmp, server(tmp, routes=hop.route(), more=FAST) as srv:
        submit(srv, "patient")
        wait_until(lambda: hop.taken, 20, "the third attempt")
        check(times[1] - times[0] >= 0.9 and times[2] - times[1] >= 1.9, f"too soon: {times}")
        empty(srv)
        time.sleep(0.5)
        check(len(hop.taken) == 1 and not srv.mailbox("alice").files(), "taken twice, or bounced")


@test("queue-lifetime over: the sender is told; delay-warning comes before")
def _():
    hop = Scripted()
    hop.answers["MAIL"] = "451 4.3.0 never"
    with work() as tmp, server(tmp, routes=hop.route(),
                               more=f"{FAST}\nqueue-lifetime = 5s\ndelay-warning = 1s") as srv:
        submit(srv, "late")
        wait_until(lambda: len(srv.mailbox("alice").files()) == 2, 25, "a warning and a notice")
        both = b"".join(srv.mailbox("alice").messages())
        for words in (b"Action: delayed", b"Action: failed", b"451 4.3.0 never"):
            check(both.count(words) >= 1, f"no {words!r}")
        empty(srv)


@test("a recipient named twice gets the message once, however many stand between")
def _():
    with work() as tmp, server(tmp) as srv:
        many = [f"u{i}@example.org" for i in range(40)]
        submit(srv, "twice", to=(*many, "U0@EXAMPLE.ORG", *many, "u39@example.org"))
        empty(srv)
        for who in ("u0", "u17", "u39"):
            check(len(srv.mailbox(who).files()) == 1, f"{who}: {srv.mailbox(who).files()}")
        check(len(srv.mailbox("U0").files()) == 1, "a local part in capitals is another mailbox")


@test("a next hop that never answers keeps its own mail waiting, not that of others")
def _():
    hole = socket.create_server(("127.0.0.1", 0), backlog=8)
    route = (f"route hop {{\n    match = remote.test\n    to = smarthost\n    tls = none\n    concurrency = 1\n"
             f"    host = 127.0.0.1:{hole.getsockname()[1]}\n}}\n")
    with work() as tmp, server(tmp, routes=route) as srv:
        def local(n):
            submit(srv, f"local{n}", to=("alice@example.org",))
            return srv.mailbox("alice").wait(n, 10)
        with inside(srv) as w:
            for n in range(300):  # more than the delivery role takes at a time
                w.expect(250, f"MAIL FROM:<{srv.address}>")
                w.rcpt("x@remote.test")
                w.submit(message(f"stuck{n}"))
        local(1)
        # Now nobody knows where the 300 go until each was looked at.
        [(queue_role, _)] = [r for r in srv.roles() if r[1] == "queue"]
        os.kill(queue_role, signal.SIGKILL)
        wait_until(lambda: len(rows(srv, "--limit", "1000")) == 300, 20, "the queue to come back")
        local(2)
        srv.restart()
        local(3)
        check(len(rows(srv, "--limit", "1000")) == 300, "the stuck ones are not all there")
    hole.close()


@test("smart host down, then up: nothing is lost, nothing comes twice")
def _():
    port = free_port()
    route = (f"route hop {{\n    match = remote.test\n    to = smarthost\n    tls = none\n"
             f"    host = 127.0.0.1:{port}\n}}\n")
    with work() as tmp, server(tmp, routes=route, more=FAST) as srv:
        for n in range(5):
            submit(srv, f"down{n}")
        wait_until(lambda: len(rows(srv, "--state", "deferred")) == 5, 10, "five deferred messages")
        check("refused" in queue(srv, "list").lower(), "the reason is not shown")
        hop = Scripted(port=port)
        wait_until(lambda: len(hop.taken) >= 5, 20, "five messages")
        empty(srv)
        check(len({t[2] for t in hop.taken}) == len(hop.taken) == 5, f"{len(hop.taken)} taken")


@test("a smart host that hangs up anywhere, or talks nonsense, is a reason to wait")
def _():
    for stage, answer in (("", ""), ("EHLO", ""), ("MAIL", ""), ("RCPT", ""), ("DATA", ""), (".", ""),
                          ("", "hello there"), ("MAIL", "999 what"), ("RCPT", "2"), (".", "250-never ends\r\n"),
                          ("MAIL", "250 " + "x" * 100_000)):
        hop = Scripted()
        bad = [True]

        def once(line, answer=answer, bad=bad):
            return answer if bad and bad.pop() else None
        hop.answers[stage] = once
        with work() as tmp, server(tmp, routes=hop.route(), more=FAST) as srv:
            submit(srv, "odd")
            if stage == "." and answer:
                time.sleep(1)  # it waits for the rest, as it must
                srv.process.stop(signal.SIGKILL)
                srv.start()
            wait_until(lambda: hop.taken, 20, f"another attempt after {stage!r} {answer[:20]!r}")
            empty(srv)
            check(not srv.mailbox("alice").files(), f"{stage!r} {answer[:20]!r} bounced")
        hop.stop()


@test("no STARTTLS, a foreign certificate, a wrong name: nothing is said to that smart host")
def _():
    with work() as tmp:
        ours, foreign = Certificates(tmp / "ours"), Certificates(tmp / "foreign", "foreign")
        password = tmp / "password"
        password.write_text("hop secret\n")
        password.chmod(0o600)
        shutil.chown(password, "nobody" if os.geteuid() == 0 else None)
        login = f"    tls-ca = {ours.ca}\n    user = relay\n    password-file = {password}\n"
        wrong_name = ours.sign("other", "/CN=other", "DNS:other.test", "serverAuth")
        for pair, stripped in ((None, True), (foreign.server(), False), (wrong_name, False)):
            hop = Scripted(tls=pair or ours.server())
            if stripped:
                hop.answers["EHLO"] = "250-hop.test\r\n250 AUTH PLAIN"
            with server(tmp, routes=hop.route(login), more=FAST) as srv:
                submit(srv, "secret")
                wait_until(lambda: rows(srv, "--state", "deferred"), 10, "the message to wait")
                said = [l.split()[0] for l in hop.lines]
                check("AUTH" not in said and "MAIL" not in said, f"it said {hop.lines}")
                check(not hop.taken, "it was sent")
            shutil.rmtree(tmp / "sallyport")
        hop = Scripted(tls=ours.server())
        with server(tmp, routes=hop.route(login), more=FAST) as srv:
            submit(srv, "good")
            wait_until(lambda: hop.taken, 10, "the message")
            check(any(l.startswith("AUTH PLAIN") for l in hop.lines), f"no login: {hop.lines}")
            check("hop secret" not in srv.process.output(), "the password is in the log")


@test("another sallyport as smart host: STARTTLS and SCRAM, PLAIN, or a client certificate")
def _():
    with work() as tmp:
        (tmp / "far").mkdir(mode=0o755)
        with server(tmp / "far", listener="    sender-check = off") as far:
            shutil.copy(far.password_file, tmp / "password")
            for path in (tmp / "password", far.client_key):
                shutil.chown(path, "nobody" if os.geteuid() == 0 else None)
            ways = {"SCRAM-SHA-256": f"    user = {far.user}\n    password-file = {tmp}/password",
                    "EXTERNAL": f"    client-certificate = {far.client_certificate}\n"
                                f"    client-key = {far.client_key}"}
            for mechanism, login in ways.items():
                for tls, port in (("required", far.port), ("implicit", far.tls_port)):
                    route = (f"route far {{\n    match = example.org\n    to = smarthost\n"
                             f"    host = localhost:{port}\n    tls = {tls}\n"
                             f"    tls-ca = {far.ca}\n{login}\n}}\n")
                    with server(tmp, routes=route, more=FAST) as near:
                        submit(near, "relayed", ["bob@example.org"])
                        check_same(message("relayed"), far.mailbox("bob").wait(1)[0])
                        far.mailbox("bob").clear()
                        empty(near)
                    shutil.rmtree(tmp / "sallyport")
                check(f"mechanism={mechanism}" in far.process.output(), f"no login by {mechanism}")


@test("LMTP: each recipient has its own answer; only the refused one is in the notice")
def _():
    hop = Scripted(lmtp=True)
    hop.answers["RCPT"] = lambda line: "550 5.1.1 nobody" if "unknown@" in line else None
    later = []

    def dot(to):
        if to.startswith("full"):
            return "552 5.2.2 full"
        if to.startswith("later") and not later:
            later.append(1)
            return "452 4.2.2 later"
        return None
    hop.answers["."] = dot
    with work() as tmp, server(tmp, routes=hop.route(), more=FAST) as srv:
        submit(srv, "parts", [f"{n}@remote.test" for n in ("good", "unknown", "full", "later", "fine")])
        empty(srv)
        wait_until(lambda: srv.mailbox("alice").files(), 10, "a notice")
        time.sleep(0.5)
        report = b"".join(m.partition(b"message/delivery-status")[2] for m in srv.mailbox("alice").messages())
        for name, times in (("good", 0), ("fine", 0), ("later", 0), ("unknown", 1), ("full", 1)):
            got = report.count(b"Final-Recipient: rfc822; %s@remote.test" % name.encode()) + \
                report.count(b"Final-Recipient: rfc822;%s@remote.test" % name.encode())
            check(got == times, f"{name} stands {got} times in the reports, not {times}")
        check([t[1] for t in hop.taken if "later@remote.test" in t[1]][-1] == ["later@remote.test"],
              f"who had it got it again: {[t[1] for t in hop.taken]}")


@test("the null reverse-path never bounces; a notice that bounces goes to the postmaster")
def _():
    hop = Scripted()
    hop.answers["RCPT"] = "550 5.1.1 nobody"
    with work() as tmp, server(tmp, routes=hop.route(match="remote.test far.test"),
                               more="postmaster = pm@example.org", listener="    sender-check = off") as srv:
        submit(srv, "null", sender="")
        empty(srv)
        submit(srv, "double", ["y@remote.test"], sender="gone@far.test")
        got = srv.mailbox("pm").wait(2)  # what can be told to nobody else is told here
        for name in (b"null", b"double"):
            check(any(b"Subject: " + name in m for m in got), f"the postmaster knows nothing of {name}")
        empty(srv)
        check(not srv.mailbox("alice").files(), "the null reverse-path bounced to somebody")


@test("a postmaster who cannot be reached is told once, not for ever")
def _():
    hop = Scripted()
    hop.answers["RCPT"] = "550 5.1.1 nobody"
    with work() as tmp, server(tmp, routes=hop.route(match="remote.test far.test"),
                               more="postmaster = pm@far.test", listener="    sender-check = off") as srv:
        submit(srv, "lost", sender="gone@far.test")
        logged = lambda: "the postmaster cannot be reached" in srv.process.output()
        wait_until(logged, 10, "the end of it")
        empty(srv)
        tries = [l for l in hop.lines if l.startswith("RCPT")]
        check(len(tries) == 3, f"message, notice, double bounce; but {len(tries)}")


# ---- 530: TLS is wanted, or a login ----

def clear_route(hop, more=""):
    return (f"route hop {{\n    match = remote.test\n    to = smarthost\n    host = 127.0.0.1:{hop.port}\n"
            f"    tls = none\n{more}}}\n")


def relay_login(tmp, ca):
    password = tmp / "password"
    password.write_text("hop secret\n")
    password.chmod(0o600)
    shutil.chown(password, "nobody" if os.geteuid() == 0 else None)
    return f"    tls-ca = {ca}\n    user = relay\n    password-file = {password}\n"


def waits(srv, *words):
    """It is deferred, not bounced, and the administrator reads why."""
    wait_until(lambda: rows(srv, "--state", "deferred"), 10, "the message to wait")
    line = next(l for l in srv.process.output().splitlines() if " message.deferred " in l)
    said = line + queue(srv, "show", rows(srv)[0]["id"])
    for w in words:
        check(w in said, f"{w!r} is not in {said}")
    check(not srv.mailbox("alice").files(), "it bounced")


@test("530 from a next hop, at MAIL or RCPT: in clear with STARTTLS offered TLS is meant, else a login; the mail waits")
def _():
    with work() as tmp:
        pki = Certificates(tmp / "pki")
        for verb in ("MAIL", "RCPT"):
            # the words of the reply say the opposite each time: nobody reads them
            hop = Scripted(tls=pki.server())
            hop.answers[verb] = "530 5.7.0 Authentication required"
            with server(tmp, routes=clear_route(hop), more=FAST) as srv:
                submit(srv, "clear")
                waits(srv, "use STARTTLS")
                check(not any(l.startswith(("AUTH", "STARTTLS")) for l in hop.lines), f"{hop.lines}")
            shutil.rmtree(tmp / "sallyport")
            hop.stop()
            hop = Scripted(tls=pki.server())
            hop.answers[verb] = "530 5.7.0 Must issue a STARTTLS command first"
            with server(tmp, routes=hop.route(f"    tls-ca = {pki.ca}\n"), more=FAST) as srv:
                submit(srv, "inside")
                waits(srv, "the server wants a login", "it offers PLAIN", "give a user name and password")
                hop.answers.clear()  # an administrator mended it
                queue(srv, "retry", "--all")
                wait_until(lambda: hop.taken, 20, "the message")
                empty(srv)
            shutil.rmtree(tmp / "sallyport")
            hop.stop()


@test("530 after a login is about this mail: it comes back to its sender with the next hop's words")
def _():
    with work() as tmp:
        pki = Certificates(tmp / "pki")
        for verb in ("MAIL", "RCPT"):
            hop = Scripted(tls=pki.server())
            hop.answers[verb] = "530 5.7.1 not for the likes of relay"
            with server(tmp, routes=hop.route(relay_login(tmp, pki.ca)), more=FAST) as srv:
                submit(srv, "known")
                got = notice(srv)
                for words in (b"x@remote.test", b"Action: failed", b"530 5.7.1 not for the likes of relay"):
                    check(words in got, f"no {words!r} in the notice:\n{got.decode()}")
                empty(srv)
                check(any(l.startswith("AUTH PLAIN") for l in hop.lines), f"{hop.lines}")
                check("message.bounced" in srv.process.output(), "not in the log")
            shutil.rmtree(tmp / "sallyport")
            hop.stop()


@test("530 to AUTH inside TLS is a refused login: the mail waits; it bounces with these words when its time is over")
def _():
    with work() as tmp:
        pki = Certificates(tmp / "pki")
        hop = Scripted(tls=pki.server())
        hop.answers["AUTH"] = "530 5.7.0 no"
        with server(tmp, routes=hop.route(relay_login(tmp, pki.ca)),
                    more="retry-intervals = 1s\nqueue-lifetime = 5s\ndelay-warning = 0s") as srv:
            submit(srv, "refused")
            got = notice(srv)
            for words in (b"x@remote.test", b"Action: failed", b"530 5.7.0 no"):
                check(words in got, f"no {words!r} in the notice:\n{got.decode()}")
            check(hop.sessions > 1, "it was tried once")
            check(not any(l.startswith("MAIL") for l in hop.lines), f"{hop.lines}")
            check("hop secret" not in srv.process.output(), "the password is in the log")


run()
