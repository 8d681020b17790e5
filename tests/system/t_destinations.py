#!/usr/bin/python3
# sets: default
# timeout: 200
"""Who gets how much of which destination: users in turn, a dead host left alone, few
connections at first, a rate."""
import json, signal, threading
from harness import *
from scripted import Scripted
from wire import *


class Gate(Scripted):
    """A next hop that answers no end of a message before it is let; then counts sessions."""
    def __init__(self, most=1000, **more):
        self.open, self.now, self.peak, self.refused, self.most = threading.Event(), 0, 0, 0, most
        self.lock = threading.Lock()
        super().__init__(**more)
        self.answers["."] = lambda line: self.open.wait(60) and None

    def _session(self, c):
        with self.lock:
            self.now += 1
            self.peak = max(self.peak, self.now)
            over = self.now > self.most
            self.refused += over
        try:
            if over:
                c.sendall(b"421 4.7.0 too many connections\r\n")
            else:
                super()._session(c)
        finally:
            with self.lock:
                self.now -= 1


def queue(srv, *argv, ok=(0,)):
    return call([SALLYPORT, "queue", argv[0], "--config", srv.config, *argv[1:]], ok=ok)


def rows(srv, *argv):
    return [json.loads(l) for l in queue(srv, "list", "--json", "--limit", "5000", *argv).splitlines()]


def attempts(srv):
    return [r["attempts"] for m in rows(srv) for r in m["recipients"]]


def submit(srv, names, to="x@remote.test", user=None):
    with inside(srv, login=False) as w:
        w.login(user)
        for name in names:
            w.expect(250, f"MAIL FROM:<{user + '@example.org' if user else srv.address}>")
            w.rcpt(to)
            w.submit(message(name).replace(srv.address.encode(), (user or srv.user).encode() + b"@example.org"))


def names(hop):
    return [re.search(rb"^Subject: (\S+)", t[2], re.M)[1].decode() for t in hop.taken]


@test("one message of a user is not behind the hundreds of another to the same destination")
def _():
    hop = Gate()
    with work() as tmp, server(tmp, routes=hop.route("    concurrency = 1", match="*.test")) as srv:
        call([SALLYPORT, "user", "add", "--config", srv.config, "bob", "--address", "bob@example.org",
              "--password-file", srv.password_file])
        submit(srv, [f"big{n}" for n in range(60)])
        submit(srv, ["small"], user="bob", to="y@other.test")
        wait_until(lambda: len(rows(srv)) == 61, 60, "all of it in the queue")
        hop.open.set()
        wait_until(lambda: len(hop.taken) == 61, 60, "all of it at the next hop")
        # Four were out already, and then it is bob's turn or alice's.
        check(names(hop).index("small") <= 8, f"small came as number {names(hop).index('small')}")
        check(len(set(names(hop))) == 61, "some came twice")
    hop.stop()


@test("a dead host is left alone by all messages together, each keeps its own times, and retry tries now")
def _():
    hop = Scripted()
    hop.answers[""] = "421 4.3.2 closed for today"
    with work() as tmp, server(tmp, routes=hop.route(), more="retry-intervals = 1h") as srv:
        submit(srv, [f"m{n}" for n in range(20)])
        wait_until(lambda: attempts(srv) == [1] * 20, 60, "each message to have its outcome")
        before = hop.sessions
        check(1 <= before <= 3, f"{before} connections for 20 messages")
        log = srv.process.output()
        check(log.count("destination.dead") == 1 and "closed for today" in log, "no word about it in the log")
        text = queue(srv, "list")
        check(re.search("not tried, the destination failed 1 time, the last time: 421 .*closed for today", text), text)
        waits = {r["next_ms"] // 60000 for m in rows(srv) for r in m["recipients"]}
        check(len(waits) > 3, f"no jitter: {waits}")
        queue(srv, "retry", "--all")
        wait_until(lambda: attempts(srv) == [2] * 20, 60, "the second attempts")
        check(before < hop.sessions <= before + 2, f"{hop.sessions - before} connections for the second attempts")
        del hop.answers[""]
        queue(srv, "retry", "--all")
        wait_until(lambda: not rows(srv), 60, "the queue to be empty")
        check(sorted(names(hop)) == sorted(f"m{n}" for n in range(20)), f"{names(hop)}")
        check("destination.alive" in srv.process.output(), "its answer is not in the log")
    hop.stop()


@test("few connections at first, more as messages are taken, and a host that has no more is not pressed")
def _():
    hop = Gate(most=4)
    with work() as tmp, server(tmp, routes=hop.route("    concurrency = 50")) as srv:
        submit(srv, [f"m{n}" for n in range(40)])
        wait_until(lambda: hop.now == 2, 60, "the first connections")
        check(hop.peak == 2, f"{hop.peak} connections before any message was taken")
        hop.open.set()
        wait_until(lambda: len(hop.taken) == 40, 60, "40 messages")
        check(len(set(names(hop))) == 40, "some came twice")
        check(hop.peak > 2, "it never opened more")
        check(hop.refused <= 4, f"{hop.refused} connections too many")
    hop.stop()


@test("destination-rate: what is above it waits in the queue, and goes when the limit is gone")
def _():
    hop = Scripted()
    with work() as tmp, server(tmp, routes=hop.route("    destination-rate = 5/h")) as srv:
        submit(srv, [f"m{n}" for n in range(8)])
        wait_until(lambda: len(rows(srv)) == 3, 60, "five to go")
        check(len(hop.taken) == 5 and attempts(srv) == [0] * 3, f"{len(hop.taken)} taken, {attempts(srv)}")
        srv.config.write_text(srv.config.read_text().replace("5/h", "1000/h"))
        srv.process.p.send_signal(signal.SIGHUP)
        wait_until(lambda: len(hop.taken) == 8, 60, "the others")
    hop.stop()


@test("a suspended domain or route: mail waits and says so, over a restart, and resume sends it at once")
def _():
    hop = Scripted()
    with work() as tmp, server(tmp, routes=hop.route(match="*.test"), more="retry-intervals = 1h") as srv:
        said = queue(srv, "suspend", "Remote.test", "--reason", "they asked for quiet")
        check("domain remote.test is suspended" in said.lower() and "they asked for quiet" in said, said)
        submit(srv, ["m0", "m1"])
        submit(srv, ["other"], to="y@other.test")
        wait_until(lambda: names(hop) == ["other"] and attempts(srv) == [1, 1], 60, "the other to go, these to wait")
        text = queue(srv, "list")
        check("0 4.3.2 the domain remote.test is suspended: they asked for quiet" in text, text)
        ident = rows(srv)[0]["id"]
        text = queue(srv, "show", ident)
        check("waits: domain remote.test is suspended since" in text, text)
        text = queue(srv, "destinations")
        check(re.search("^domain remote.test is suspended since .*: they asked for quiet$", text, re.M), text)
        srv.restart()
        got = [json.loads(l) for l in queue(srv, "destinations", "--json").splitlines()]
        check([(r["suspended"], r["name"], r["reason"]) for r in got if "suspended" in r]
              == [("domain", "remote.test", "they asked for quiet")], f"{got}")
        queue(srv, "retry", "--all")
        wait_until(lambda: attempts(srv) == [2, 2], 60, "the second attempts")
        check(names(hop) == ["other"], f"{names(hop)}")
        queue(srv, "resume", "remote.test")
        wait_until(lambda: not rows(srv), 60, "the queue to be empty")
        check(sorted(names(hop)) == ["m0", "m1", "other"], f"{names(hop)}")
        queue(srv, "resume", "remote.test", ok=(66,))
        queue(srv, "suspend", "hop")
        submit(srv, ["m2"], to="y@other.test")
        wait_until(lambda: attempts(srv) == [1], 60, "this one to wait")
        check("the route hop is suspended" in queue(srv, "list"), queue(srv, "list"))
        srv.stop()
        check("route hop is suspended" in queue(srv, "destinations"), "not without a server")
        queue(srv, "resume", "hop")
        queue(srv, "suspend", "a b", ok=(64,))
        queue(srv, "retry", "--all")
        srv.start()
        wait_until(lambda: not rows(srv), 60, "the queue to be empty")
        check(names(hop)[-1] == "m2", f"{names(hop)}")
    hop.stop()


run()
