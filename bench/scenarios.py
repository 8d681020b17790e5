"""scenarios.py - what is done to the servers; results are lists of runs by (scenario, server).

Interleaved: each round drives every server once, in an order that alternates, so that a
machine that speeds up or slows down does so for all of them.
"""
import contextlib, json, os, re, socket, subprocess, sys, time
from pathlib import Path

from harness import SALLYPORT, Failed, Process, call, wait_until
from measure import (Peak, Syncs, by_role, cpu_seconds, disk_mb_per_second, flush_ms, pss_kb, quiet, tree)
from servers import BENCH, PEERS, ColdSallyport, OpenSMTPD, Postfix, DurableSink, Sallyport, Setup, Sink, compile_c
import peers

PATHS = ["--from", "alice@example.org", "--to", "bob@elsewhere.test"]

LOADS = {
    # letter: (what, connections, messages on each, octets, options of `sallyport bench`)
    "A": ("10 KB, STARTTLS, AUTH PLAIN, 50 connections × 100 messages", 50, 100, 10240, []),
    "B": ("the same, one message a connection", 50, 40, 10240, ["--reconnect"]),
    "C": ("TLS and login only, 50 at a time", 50, 40, 10240, ["--login-only"]),
    "F": ("50 MB messages on one connection", 1, 8, 50_000_000, []),
    "G": ("10 KB, one connection, one message at a time", 1, 1000, 10240, []),
    "H": ("A on a disk that is 4 ms slower a flush", 50, 40, 10240, []),
}
OTHERS = {
    "D": "accepted, queued and relayed by SMTP to a sink until the queue is empty",
    "E": "idle sessions, TLS and logged in",
    "I": "cold start to the first 220",
    "J": "growth: the same load with more queued, or more connections",
    "S": "`sallyport bench` beside smtp-source, in clear, no pipelining",
    "T": "one message at a time, traced: fsync and fdatasync that succeeded",
}
LETTERS = "ABCDEFGHIJST"


class Bench:
    """One comparison: options, results, and the files that servers share."""

    def __init__(self, options, tmp, shared):
        self.o, self.tmp, self.shared = options, tmp, shared
        self.results, self.notes, self.groups = {}, [], 0

    def scaled(self, n, least=1):
        return max(least, round(n * self.o.scale / 100))

    def rounds(self, letter):
        return self.o.rounds if letter == "A" else self.o.other_rounds

    def wanted(self, *kinds):
        return [k for k in kinds if not self.o.only or k.name in self.o.only or issubclass(k, Sink) and "sink" in self.o.only]

    def add(self, letter, server, **run):
        run["load"] = os.getloadavg()[0]
        self.results.setdefault((letter, server if isinstance(server, str) else server.name), []).append(run)
        name = server if isinstance(server, str) else server.name
        print(f"{letter} {name:15} " + "  ".join(
            f"{k} {v:,.3f}".rstrip("0").rstrip(".") for k, v in run.items() if isinstance(v, (int, float))), flush=True)

    @contextlib.contextmanager
    def group(self, *kinds, **more):
        """These servers, running, each in a folder of this group."""
        self.groups += 1
        tmp = self.tmp / f"group{self.groups}"
        tmp.mkdir()
        os.chmod(tmp, 0o755)
        with contextlib.ExitStack() as stack:
            servers = []
            for kind in kinds:
                s = kind(Setup(tmp, self.shared, **more))
                stack.callback(s.close)
                servers.append(stack.enter_context(s))
                s.accepted = 0
            yield servers
            for s in servers:
                if s.holds != "no disk" and not s.setup.relay:
                    self.same_number(s)

    def same_number(self, s):
        """What was acknowledged must be in the queue, neither less nor more."""
        quiet(s.root)
        n = s.queued()
        if n != s.accepted:
            raise Failed(f"{s.name} gave {s.accepted} 250s, {n} messages are in its queue")
        if n:
            self.notes.append(f"{s.name}: {n:,} × 250, {n:,} in the queue ({s.holds})")

    def interleaved(self, letter, servers, one):
        for i in range(self.rounds(letter)):
            for s in servers if i % 2 == 0 else servers[::-1]:
                one(s)

    # ---- the load generator ----

    def bench(self, s, connections, messages, size, options=(), seconds=3600):
        argv = [SALLYPORT, "bench", "--server", f"smtp://127.0.0.1:{s.port}", "--ca", self.shared.ca,
                "--user", s.login, "--password-file", s.password_file, "--mechanism", "PLAIN", *PATHS,
                "--size", size, "--connections", connections, "--messages", messages, "--json", *options]
        argv += ["--logins", s.logins] if s.logins else []
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=seconds)
        if done.returncode:
            raise Failed(f"bench against {s.name}: {done.stdout}{done.stderr}")
        got = json.loads(done.stdout)
        s.accepted += got["messages"]
        return got

    def drive(self, s, connections, messages, size, options=()):
        """One run, as numbers for a row."""
        before, roles = cpu_seconds(s.root), by_role(s.root)
        got = self.bench(s, connections, messages, size, options)
        quiet(s.root)
        login = "--login-only" in options
        n = got["sessions"] if login else got["messages"]
        # The clock of the CPU times ticks in 10 ms a process; runs are long against that.
        run = {"rate": got["sessions_per_second"] if login else got["messages_per_second"],
               "cpu_ms": (cpu_seconds(s.root) - before) * 1000 / n,
               "client_ms": got["client_cpu_seconds"] * 1000 / n, "pss": pss_kb(s.root) / 1024,
               "roles": {r: (t - roles.get(r, 0)) * 1000 / n for r, t in by_role(s.root).items()}}
        if not login:
            run |= {"p50": got["p50_ms"], "p99": got["p99_ms"]}
        return run

    def load(self, letter, s):
        _, connections, messages, size, options = LOADS[letter]
        if letter == "F":
            size = self.scaled(size, 1 << 20)
            with Peak(s.root) as peak:
                run = self.drive(s, connections, min(messages, self.scaled(messages, 3)), size, options)
            run |= {"mb": run["rate"] * size / 1e6, "peak": peak.mb}
        else:
            run = self.drive(s, connections, self.scaled(messages), size, options)
        self.add(letter, s, **run)

    # ---- A, B, C, F, G, T: all hold ----

    def holding(self):
        letters = [l for l in "ABCFG" if l in self.o.scenarios]
        if not letters and "T" not in self.o.scenarios:
            return
        with self.group(*self.wanted(Sallyport, ColdSallyport, *PEERS, Sink, DurableSink)) as servers:
            for s in servers:  # the cache, and processes that live on
                self.bench(s, 10, 2, 10240)
            for letter in letters:
                for_it = [s for s in servers if (letter in "ABC" or not isinstance(s, ColdSallyport)) and
                          (letter in "ABG" or not isinstance(s, DurableSink))]
                self.interleaved(letter, for_it, lambda s: self.load(letter, s))
                if letter == "F":
                    self.small_and_large(servers)
                    self.add("F", "the disk", mb=disk_mb_per_second(self.tmp, self.scaled(50_000_000, 1 << 20), 5))
            if "T" in self.o.scenarios:
                for s in servers:
                    if s.holds != "no disk" and not isinstance(s, ColdSallyport):
                        self.trace(s)

    def small_and_large(self, servers):
        """Memory must not grow with the size of a message: a tenth of it beside."""
        for s in servers:
            if isinstance(s, Sallyport) and not isinstance(s, ColdSallyport):
                with Peak(s.root) as peak:
                    self.bench(s, 1, 8, self.scaled(5_000_000, 100_000))
                self.add("F small", s, peak=peak.mb)

    def trace(self, s):
        n = self.scaled(200, 20)
        with Syncs(s.root, s.setup.tmp / f"{s.name}.strace") as syncs:
            self.bench(s, 1, n, 10240)
        self.add("T", s, messages=n, syncs=syncs.done, each=syncs.done / n, files=syncs.files)

    # ---- H ----

    def slow_disk(self):
        shim = self.tmp / "slow"
        shim.mkdir()
        os.chmod(shim, 0o755)
        slow = compile_c("slow_sync.c", shim / "slow_sync.so", "-shared", "-fPIC", "-ldl")
        with self.group(*self.wanted(Sallyport, *PEERS), slow=slow) as servers:
            for s in servers:
                self.bench(s, 10, 2, 10240)
                loaded = [p for p in tree(s.root) if slow.name in Path(f"/proc/{p}/maps").read_text()]
                if not loaded:
                    raise Failed(f"{s.name}: the slow disk is in none of its processes")
            self.add("H", "the disk", flush=flush_ms(self.tmp, self.scaled(200, 20), slow))
            self.interleaved("H", servers, lambda s: self.load("H", s))

    # ---- D ----

    def relay(self):
        sink = Sink(Setup(self.tmp, self.shared), clear=True)
        with sink, self.group(*self.wanted(Sallyport, *PEERS), relay=sink.port) as servers:
            for s in servers:
                self.relayed(s, sink, 1, record=False)
            self.interleaved("D", servers, lambda s: self.relayed(s, sink, self.scaled(100)))

    def relayed(self, s, sink, messages, record=True):
        # OpenSMTPD relays some 15 a second: a tenth of the load is long enough.
        messages = max(1, messages // 10) if isinstance(s, OpenSMTPD) else messages
        start, before, cpu = time.monotonic(), sink.taken(), cpu_seconds(s.root)
        n = self.bench(s, 50, messages, 10240)["messages"]
        wait_until(lambda: sink.taken() - before >= n, 3600, f"{n} messages of {s.name} in the sink")
        took = time.monotonic() - start
        wait_until(lambda: s.queued() == 0, 60, f"an empty queue of {s.name}")
        quiet(s.root)
        if sink.taken() - before != n:
            raise Failed(f"{s.name}: {n} × 250, the sink has {sink.taken() - before}")
        if record:
            self.add("D", s, rate=n / took, cpu_ms=(cpu_seconds(s.root) - cpu) * 1000 / n)

    # ---- E ----

    def idle(self):
        n = self.scaled(1000, 10)
        with self.group(*self.wanted(Sallyport, *PEERS), sessions=n) as servers:
            for s in servers:
                self.bench(s, 10, 2, 10240)
                quiet(s.root)
                self.add("E", s, **self.sessions(s, n))
        many = self.scaled(10_000, 100)
        with self.group(*self.wanted(Sallyport), sessions=many) as servers:
            for s in servers:
                self.bench(s, 10, 2, 10240)
                self.add("E many", s, **self.sessions(s, many))

    def sessions(self, s, n):
        before = pss_kb(s.root)
        with subprocess.Popen([str(a) for a in (sys.executable, BENCH / "idle.py", s.port, self.shared.ca, s.login,
                                                s.password_file, n)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            if client.stdout.readline() != "ready\n":
                raise Failed(f"{s.name}: {n} idle sessions: {client.stdout.read()}")
            quiet(s.root)
            now = pss_kb(s.root)
            client.stdin.close()
        return {"sessions": n, "each_kb": (now - before) / n, "whole_mb": now / 1024}

    # ---- I ----

    def first_220(self, s):
        """Start it; ms from when its daemon was executed to the banner."""
        import threading
        seen, over = [], threading.Event()

        def knock():
            while not over.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", s.port), 60) as c:
                        if c.recv(4).startswith(b"220"):
                            seen.append(time.time())
                            return
                except OSError:
                    time.sleep(0.0005)

        thread = threading.Thread(target=knock, daemon=True)
        thread.start()
        try:
            s.start()
            thread.join(120)
        finally:
            over.set()
        if not seen:
            raise Failed(f"{s.name}: no 220")
        return (seen[0] - s.begun()) * 1000

    def cold_start(self):
        with self.group(*self.wanted(Sallyport, *PEERS)) as servers:
            for s in servers:
                for _ in range(self.rounds("I")):
                    s.stop()
                    self.add("I", s, start_ms=self.first_220(s))

    # ---- J, and I with a full queue ----

    def growth(self):
        few, some, many = (self.scaled(n, 50) for n in (10_000, 100_000, 1_000_000))
        if "J" in self.o.scenarios:  # with a queue of its own: it fills fast
            with self.group(*self.wanted(Sallyport), sessions=self.scaled(10_000, 100)) as servers:
                for s in servers:
                    self.bench(s, 10, 2, 10240)
                    self.connections(s)
        with self.group(*self.wanted(Sallyport)) as servers:
            for s in servers:
                self.bench(s, 10, 2, 10240)
                if "J" in self.o.scenarios:
                    self.filled(s, few)
                self.fill(s, some)
                if "I" in self.o.scenarios:
                    s.stop()
                    self.add("I full", s, start_ms=self.first_220(s), queued=s.accepted)
                if "J" in self.o.scenarios:
                    self.filled(s, many)

    def fill(self, s, n):
        """Until so many are queued: small ones, it is about their number."""
        missing = n - s.accepted
        if missing > 0:
            self.bench(s, 50, -(-missing // 50), 1024)
            quiet(s.root)

    def filled(self, s, n):
        self.fill(s, n)
        for _ in range(self.rounds("J")):
            run = self.drive(s, 50, self.scaled(40), 10240)  # few beside what is queued
            self.add(f"J {n:,} queued", s, cpu_ms=run["cpu_ms"], rate=run["rate"], queued=s.accepted)

    def connections(self, s):
        """As many messages on each: the handshakes weigh the same."""
        for n in (1, self.scaled(100, 10), self.scaled(10_000, 100)):
            for _ in range(self.rounds("J")):
                # One or a hundred connections several times: for the ticks of the clock.
                runs = [self.drive(s, n, 20, 10240) for _ in range(10 if n < 1000 else 1)]
                self.add(f"J {n:,} connections", s, cpu_ms=sum(r["cpu_ms"] for r in runs) / len(runs),
                         rate=sum(r["rate"] for r in runs) / len(runs))

    # ---- S: the load generator beside one that is not ours ----

    def generators(self):
        """Against Postfix and the bare sink, in clear, as smtp-source can."""
        sink = Sink(Setup(self.tmp, self.shared), clear=True)
        with sink, self.group(Postfix) as (postfix,):
            program = postfix.inside("/master")
            for server, port in ((postfix, postfix.clear_port), (sink, sink.port)):
                for i in range(self.rounds("S")):
                    both = [("bench", self.bench_in_clear), ("smtp-source", self.smtp_source)]
                    for name, one in both if i % 2 == 0 else both[::-1]:
                        n, took = one(program, port)
                        server.accepted = getattr(server, "accepted", 0) + n
                        self.add(f"S {server.name}", name, rate=n / took)

    def counts(self):
        return 50, self.scaled(100)

    def bench_in_clear(self, _, port):
        connections, messages = self.counts()
        got = json.loads(call([SALLYPORT, "bench", "--server", f"smtp://127.0.0.1:{port}", "--no-tls",
                               "--no-pipelining", *PATHS, "--size", 10240, "--connections", connections,
                               "--messages", messages, "--json"]))
        return got["messages"], got["seconds"]

    def smtp_source(self, root, port):
        """-d: go on in the same session; -l counts the body."""
        connections, messages = self.counts()
        start = time.monotonic()
        call(["chroot", root, "/usr/sbin/smtp-source", "-d", "-s", connections, "-m", connections * messages,
              "-l", 10240, "-f", "alice@example.org", "-t", "bob@elsewhere.test", f"inet:127.0.0.1:{port}"],
             seconds=3600)
        return connections * messages, time.monotonic() - start

    def run(self):
        self.holding()
        for letters, part in (("H", self.slow_disk), ("D", self.relay), ("E", self.idle), ("I", self.cold_start),
                              ("IJ", self.growth), ("S", self.generators)):
            if set(letters) & set(self.o.scenarios):
                part()
