"""compare.py - drives the servers for bench/compare and reports; see its --help.

Interleaved: each round drives every server once, in an order that alternates, so that a
machine that speeds up or slows down does so for all of them.  A server's CPU time is that
of all of its processes (user and system, children that ended included) from before the
load until it is quiet again: work put off until after the 250 counts.
"""
import argparse, json, os, platform, re, signal, socket, statistics, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))
from harness import (SALLYPORT, Certificates, Failed, Process, call, command_line, free_port,  # noqa: E402
                     port_open, work)
from harness import Sallyport as SallyportBase  # noqa: E402
import peers  # noqa: E402

REPORT = ROOT / "doc/performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TICK = os.sysconf("SC_CLK_TCK")

SCENARIOS = {
    # letter: (what, connections, messages on each, options of `sallyport bench`)
    "A": ("10 KB, STARTTLS, AUTH PLAIN, 50 connections × 100 messages", 50, 100, []),
    "B": ("the same, one message a connection", 50, 40, ["--reconnect"]),
    "C": ("TLS and login only", 50, 40, ["--login-only"]),
    "G": ("one connection, one message at a time", 1, 1000, []),
}


# ---- what a tree of processes used ----

def stat(pid):
    """(parent, user + system ticks, those of ended children) of a process, or None."""
    try:
        f = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(f[1]), int(f[11]) + int(f[12]), int(f[13]) + int(f[14])


def tree(root):
    """The process and everything below it, with their stat()."""
    every = {int(e): s for e in os.listdir("/proc") if e.isdigit() and (s := stat(e))}
    below = {}
    for pid, (parent, _, _) in every.items():
        below.setdefault(parent, []).append(pid)
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if pid in every:
            found[pid] = every[pid]
            todo += below.get(pid, [])
    return found


def cpu_seconds(root):
    return sum(own + ended for _, own, ended in tree(root).values()) / TICK


def by_role(root):
    """CPU seconds of each role of ours."""
    sums = {}
    for pid, (_, own, ended) in tree(root).items():
        found = re.search(r" role ([a-z]+) ", command_line(pid))
        if found:
            sums[found[1]] = sums.get(found[1], 0) + (own + ended) / TICK
    return sums


def pss_mb(root):
    total = 0
    for pid in tree(root):
        try:
            found = re.search(r"^Pss:\s+(\d+)", Path("/proc", str(pid), "smaps_rollup").read_text(), re.M)
        except OSError:
            continue
        total += int(found[1]) if found else 0
    return total / 1024


def quiet(root, seconds=60):
    """Wait until the tree uses less than 4 % of a CPU."""
    end, before = time.monotonic() + seconds, cpu_seconds(root)
    while time.monotonic() < end:
        time.sleep(0.5)
        now = cpu_seconds(root)
        if now - before < 0.021:
            return
        before = now


# ---- the servers ----

class Sallyport(SallyportBase):
    """Holds by a next hop that takes connections and never says a word: what was handed
    to the delivery role waits there, the rest in the queue."""
    holds = "a next hop that never greets, concurrency 1"

    def __init__(self, tmp, certificates):
        self.hole = socket.create_server(("127.0.0.1", 0), backlog=8)
        super().__init__(tmp, more="log-level = info", routes=f"""
route everything {{
    match = *
    to = smarthost
    host = 127.0.0.1:{self.hole.getsockname()[1]}
    tls = none
    concurrency = 1
}}
""")
        text = self.config.read_text()
        text = text.replace(str(self.certificate), str(certificates.certificate))
        self.config.write_text(text.replace(str(self.key), str(certificates.key)))

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind:
            print(self.process.tail(40))
        self.stop()
        self.hole.close()

    @property
    def root(self):
        return self.process.pid

    def queued(self):
        listed = call([SALLYPORT, "queue", "list", "--config", self.config, "--limit", 10**7, "--json"])
        return listed.count('"id"')


TUNED = """
default_transport = smtp
defer_transports = smtp
smtpd_recipient_restrictions =
smtpd_tls_ask_ccert = no
smtpd_tls_loglevel = 0
smtpd_sasl_authenticated_header = no
smtpd_peername_lookup = no
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_new_tls_session_rate_limit = 0
smtpd_client_auth_rate_limit = 0
in_flow_delay = 0
default_process_limit = 200
max_use = 10000
hash_queue_names = deferred, defer, incoming, active
queue_run_delay = 1h
minimal_backoff_time = 1h
maximal_backoff_time = 2h
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
"""


class Postfix(peers.Postfix):
    """Tuned by TUNING_README, TLS_README and the manual pages for many local clients with
    durability untouched: no limits for clients, no pause when mail comes in faster than
    it leaves, more processes, processes that live long, no DNS, hashed queues."""
    name, user, password = "postfix", SallyportBase.user, SallyportBase.password
    holds = "defer_transports = smtp"

    def __init__(self, tmp, certificates):
        super().__init__(tmp, certificates.made)
        self.certificate, self.key = certificates.certificate, certificates.key

    def script(self):
        script = super().script()
        own = dict(line.split(" =", 1) for line in TUNED.strip().splitlines())
        base = (self.folder / "main.cf").read_text().splitlines()
        # A key given twice is a warning, and postlogd waits for ever for itself to log it.
        kept = [line for line in base if line.partition(" =")[0] not in own]
        self.file("main.cf", "\n".join(kept) + TUNED)
        with open(self.folder / "master.cf", "a") as f:
            f.write("smtp unix - - n - - smtp\n")
        return script

    @property
    def root(self):
        return self.process.pid

    @property
    def password_file(self):
        return self.file("password", self.password + "\n")

    def queued(self):
        """Files in its queue, seen through the root of its master process."""
        n, master = 0, next(p for p in tree(self.root) if "/master" in command_line(p))
        for name in ("maildrop", "incoming", "active", "deferred", "hold"):
            folder = f"/proc/{master}/root/var/spool/postfix/{name}"
            n += sum(len(files) for _, _, files in os.walk(folder))
        return n


class Sink:
    """bare_sink.c: what the load generator, the kernel and OpenSSL leave possible."""
    name, user = "bare sink", SallyportBase.user

    def __init__(self, tmp, certificates):
        self.program, self.password_file = tmp / "bare_sink", tmp / "any.password"
        self.password_file.write_text("anything\n")
        self.certificates, self.port = certificates, free_port()
        call(["cc", "-O2", "-D_GNU_SOURCE", "-o", self.program, ROOT / "bench/bare_sink.c", "-lssl", "-lcrypto"])

    def __enter__(self):
        made = self.certificates
        self.process = Process("sink", [self.program, self.port, made.certificate, made.key, os.cpu_count()],
                               self.program.with_suffix(".log"))
        self.process.wait_ready(lambda: port_open(self.port), 10)
        return self

    def __exit__(self, *_):
        self.process.stop()

    @property
    def root(self):
        return self.process.pid


class Shared:
    """The certificate that all show."""

    def __init__(self, folder):
        self.made = Certificates(folder)
        self.certificate, self.key = self.made.server()


# ---- one run ----

def drive(server, ca, letter, scale):
    _, connections, messages, options = SCENARIOS[letter]
    user = server.user + ("@remote.test" if server.name == "postfix" else "")
    count = max(1, messages * scale // 100)
    argv = [SALLYPORT, "bench", "--server", f"smtp://127.0.0.1:{server.port}", "--ca", ca,
            "--user", user, "--password-file", server.password_file, "--mechanism", "PLAIN",
            "--from", "alice@example.org", "--to", "bob@elsewhere.test", "--size", "10240",
            "--connections", connections, "--messages", count, "--json", *options]
    before, roles = cpu_seconds(server.root), by_role(server.root)
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Failed(f"bench against {server.name}, {letter}: {done.stdout}{done.stderr}")
    got = json.loads(done.stdout)
    quiet(server.root)
    work_done = got["sessions"] if letter == "C" else got["messages"]
    # The clock of the CPU times ticks in 10 ms a process; runs are long against that.
    return {"rate": got["sessions_per_second"] if letter == "C" else got["messages_per_second"],
            "p50": got["p50_ms"], "p99": got["p99_ms"], "messages": got["messages"],
            "cpu_ms": (cpu_seconds(server.root) - before) * 1000 / work_done,
            "client_ms": got["client_cpu_seconds"] * 1000 / work_done,
            "roles": {r: (t - roles.get(r, 0)) * 1000 / work_done for r, t in by_role(server.root).items()},
            "pss": pss_mb(server.root), "load": os.getloadavg()[0]}


def rounds(servers, ca, a, results):
    for letter in a.scenarios:
        for i in range(a.rounds if letter == "A" else a.other_rounds):
            for server in servers if i % 2 == 0 else servers[::-1]:
                run = drive(server, ca, letter, a.scale)
                results.setdefault((letter, server.name), []).append(run)
                print(f"{letter} round {i + 1} {server.name:9} {run['rate']:7.0f}/s  "
                      f"p50 {run['p50']:6.2f}  p99 {run['p99']:7.2f} ms  CPU {run['cpu_ms']:.3f} ms  "
                      f"PSS {run['pss']:.0f} MB  load {run['load']:.1f}", flush=True)


def check_queue(server, results):
    if isinstance(server, Sink):
        return "bare sink: no disk, no check of anything, any password is right (bench/bare_sink.c)"
    accepted = sum(r["messages"] for (letter, name), runs in results.items()
                   if name == server.name and letter != "C" for r in runs) + server.warmed
    quiet(server.root)
    queued = server.queued()
    if queued != accepted:
        raise Failed(f"{server.name} gave {accepted} 250s, {queued} messages are in its queue")
    return f"{server.name}: {accepted} × 250, {queued} in the queue ({server.holds})"


# ---- the report ----

COLUMNS = [  # key, head, decimals, what is better
    ("rate", "a second", 0), ("cpu_ms", "server CPU, ms each", 3), ("p50", "p50, ms", 2),
    ("p99", "p99, ms", 2), ("pss", "PSS, MB", 0)]


def cell(runs, key, digits):
    values = [r[key] for r in runs]
    text = f"{statistics.median(values):,.{digits}f}"
    return text + (f" ({min(values):,.{digits}f}–{max(values):,.{digits}f})" if len(values) > 1 else "")


def ratio(mine, other, key):
    m, o = (statistics.median(r[key] for r in runs) for runs in (mine, other))
    if not m or not o:
        return "–"
    return f"{m / o:.1f}×" if key == "rate" else f"1/{o / m:.1f}" if o > m else f"{m / o:.1f}×"


def table(results):
    names = list(dict.fromkeys(name for _, name in results))
    lines = ["| work | server | " + " | ".join(head for _, head, _ in COLUMNS) + " |",
             "|---|---|" + "---|" * len(COLUMNS)]
    for letter in dict.fromkeys(letter for letter, _ in results):
        for name in names:
            runs = results[letter, name]
            cells = [cell(runs, key, digits) if letter != "C" or key not in ("p50", "p99") else "–"
                     for key, _, digits in COLUMNS]
            lines.append(f"| {letter}, {len(runs)} rounds | {name} | " + " | ".join(cells) + " |")
        if {"sallyport", "postfix"} <= set(names):
            mine, other = (results[letter, n] for n in ("sallyport", "postfix"))
            cells = [ratio(mine, other, key) if letter != "C" or key not in ("p50", "p99") else "–"
                     for key, _, _ in COLUMNS]
            lines.append("| | **sallyport to postfix** | " + " | ".join(f"**{c}**" for c in cells) + " |")
    return "\n".join(lines)


def roles_of(results):
    """Where our CPU time goes, as notes."""
    notes = []
    for (letter, name), runs in results.items():
        if name == "sallyport":
            medians = {role: statistics.median(r["roles"].get(role, 0) for r in runs)
                       for role in ("server", "auth", "queue", "delivery", "local")}
            notes.append(f"sallyport's CPU in {letter} by role, ms: " +
                         ", ".join(f"{role} {ms:.3f}" for role, ms in medians.items() if ms >= 0.001))
    return notes


def facts():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20
    source = ["src", "include", "meson.build"]
    commit = call(["git", "-C", ROOT, "log", "-1", "--format=%h", "--", *source]).strip()
    dirty = call(["git", "-C", ROOT, "status", "--porcelain", "--", *source]).strip()
    disk = call(["stat", "-f", "-c", "%T", os.environ.get("TMPDIR", "/tmp")]).strip()
    return (f"Source of commit {commit}{' with changes' if dirty else ''}, {os.cpu_count()} CPUs "
            f"({cpu[1] if cpu else platform.machine()}), {memory:.0f} GB of memory, {disk}, "
            f"Linux {platform.release().split('-')[0]}, {time.strftime('%Y-%m-%d')}.")


def write_report(text):
    whole = REPORT.read_text()
    head, _, rest = whole.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise Failed(f"{REPORT} has no {BEGIN} … {END}")
    REPORT.write_text(head + BEGIN + "\n" + text + "\n" + END + tail)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--other-rounds", type=int, default=3)
    p.add_argument("--scenarios", default="ABCG")
    p.add_argument("--scale", type=int, default=100)
    p.add_argument("--only", default="")
    p.add_argument("--write", action="store_true")
    a = p.parse_args()
    results, notes = {}, []
    with work() as tmp:
        shared = Shared(tmp / "pki")
        servers = [kind(tmp, shared) for kind in (Sallyport, Postfix, Sink)
                   if a.only in ("", kind.__name__.lower())]
        try:
            for s in servers:
                s.__enter__()
                s.warmed = drive(s, shared.made.ca, "A", 2)["messages"]
            rounds(servers, shared.made.ca, a, results)
            notes = [check_queue(s, results) for s in servers] + roles_of(results)
        finally:
            for s in servers:
                s.__exit__(None)
    loads = [r["load"] for runs in results.values() for r in runs]
    text = "\n".join([facts(), 
                      f"Load average while measuring (the benchmark's own included): {min(loads):.1f} to "
                      f"{max(loads):.1f}." + (f"  {a.scale} % of the messages named above." if a.scale != 100 else ""), "",
                      table(results), "", *[f"- {n}" for n in notes]])
    print("\n" + text)
    if a.write:
        write_report(text)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that "finally" runs
try:
    main()
except Failed as e:
    sys.exit(f"compare: {e}")
