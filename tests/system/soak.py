"""soak.py - everything at once for a long time: nothing grows and every message is
accounted for.

    whole(60)        makes a server and lets it soak for so many minutes

The traffic: small and large messages, with a password and with a certificate, to one and
to many; sessions that break off, that hang, that guess passwords; an administrator who
lists, holds, releases and retries; SIGHUP with changed configurations; and a next hop
(Hop) that takes, defers, refuses and hangs up as it likes.  None of it is our code.

Accounting: each recipient of a message that was answered with 250 has it exactly once, or
its sender has been told that it did not arrive, exactly once.

Growth: from time to time all traffic stops for a moment.  Descriptors and memory (PSS) of
each role at the last of these moments are compared with the first one after the start.
"""
import base64, collections, contextlib, os, random, re, signal, smtplib, socket, ssl, subprocess, threading, time
from pathlib import Path

from harness import SALLYPORT, Failed, check, need_root, server, wait_until, work
from scripted import Scripted
from wire import Wire, inside, message

CONFIGURATION = "retry-intervals = 1s 2s\nmessage-size = 20M\n"
LISTENER = "    max-sessions-per-address = 400"
QUIET_S = 6        # longer than connections to the next hop stay open without work
FDS_MORE = 6
MEMORY_MORE = 0.25 # of the first measurement, and
MEMORY_KB = 6144   # so much in any case: allocators keep a little
# What AddressSanitizer keeps of freed memory to find mistakes is no growth of ours.
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=16"}


class Hop(Scripted):
    """Takes most, defers some, refuses what goes to no-…, and hangs up now and then."""

    def __init__(self):
        super().__init__()
        self.rng, self.counts, self.lock = random.Random(7), collections.Counter(), threading.Lock()
        self.lines, self.taken = collections.deque(maxlen=10), self
        self.answers = {"RCPT": self._rcpt, "MAIL": lambda _: self._sometimes(0.04, "450 4.3.2 not now"),
                        "DATA": lambda _: self._sometimes(0.01, ""), "EHLO": lambda _: self._sometimes(0.01, "421 4.3.2 busy")}

    def _sometimes(self, share, answer):
        with self.lock:
            return answer if self.rng.random() < share else None

    def _rcpt(self, line):
        if "<no-" in line:
            return "550 5.1.1 nobody of that name"
        return self._sometimes(0.03, "451 4.2.1 later")

    def append(self, taken):  # what Scripted does with a message
        _, to, octets = taken
        name = re.search(rb"^Message-ID: <([^@>]+)", octets, re.M | re.I)[1].decode()
        with self.lock:
            self.counts.update((name, r) for r in to)


class Traffic:
    def __init__(self, srv, seed):
        self.srv, self.rng, self.lock = srv, random.Random(seed), threading.Lock()
        self.go, self.over = threading.Event(), threading.Event()
        self.accepted, self.numbers, self.trouble = {}, collections.Counter(), []
        self.idle, self.serial = threading.Semaphore(0), 0
        self.context = ssl.create_default_context(cafile=srv.ca)
        self.with_certificate = ssl.create_default_context(cafile=srv.ca)
        self.with_certificate.load_cert_chain(srv.client_certificate, srv.client_key)
        jobs = [self.password, self.password, self.certificate, self.large, self.many, self.aborted,
                self.slow, self.guess, self.administrate, self.reload]
        self.text = srv.config.read_text()
        self.threads = [threading.Thread(target=self._run, args=(j,), daemon=True) for j in jobs]
        for t in self.threads:
            t.start()

    def _run(self, job):
        while not self.over.is_set():
            if not self.go.is_set():
                self.idle.release()
                self.go.wait()
                continue
            try:
                job()
                self.numbers[job.__name__] += 1
            except smtplib.SMTPResponseException as e:
                self._refused(job, e.smtp_code, e)
            except smtplib.SMTPRecipientsRefused as e:
                self._refused(job, min(c for c, _ in e.recipients.values()), e)
            except (OSError, smtplib.SMTPException, Failed) as e:
                self.trouble.append(f"{job.__name__}: {e!r}"[:300])

    def _refused(self, job, code, e):
        """4xx is the server's right, if it is rare; anything else is not."""
        self.numbers["refused for now"] += 1
        if not 400 <= code < 500:
            self.trouble.append(f"{job.__name__}: {e!r}"[:300])

    def run(self, seconds):
        self.go.set()
        time.sleep(seconds)

    def pause(self):
        while self.idle.acquire(blocking=False):
            pass
        self.go.clear()
        for t in self.threads:
            check(self.idle.acquire(timeout=60), "a client still waits after 60 s")

    def end(self):
        self.over.set()
        self.go.set()
        for t in self.threads:
            t.join(60)
            check(not t.is_alive(), "a client still waits after 60 s")

    # ---- what is sent ----

    def _name(self):
        with self.lock:
            self.serial += 1
            return f"m{self.serial}"

    def _message(self, name, size):
        line = b"0123456789abcdef" * 4 + b"\r\n"
        return (f"From: <{self.srv.address}>\r\nTo: <bob@example.org>\r\nSubject: {name}\r\n"
                "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
                f"Message-ID: <{name}@soak>\r\n\r\n").encode() + line * (size // len(line) + 1)

    def _send(self, s, to, size):
        name = self._name()
        refused = s.sendmail(self.srv.address, to, self._message(name, size))
        with self.lock:
            self.accepted[name] = [r for r in to if r not in refused]

    def _session(self):
        s = smtplib.SMTP("localhost", self.srv.port, timeout=40)
        s.starttls(context=self.context)
        s.login(self.srv.user, self.srv.password)
        return s

    def _somewhere(self):
        with self.lock:
            return self.rng.choice(["bob@example.org", "bob@example.org", f"u{self.rng.randrange(50)}@remote.test",
                                    f"no-{self.rng.randrange(50)}@remote.test"])

    def password(self):
        with self._session() as s:
            for _ in range(5):
                self._send(s, [self._somewhere()], 2000)

    def certificate(self):
        with smtplib.SMTP_SSL("localhost", self.srv.tls_port, context=self.with_certificate, timeout=40) as s:
            for _ in range(5):
                self._send(s, [self._somewhere()], 500)

    def large(self):
        with self._session() as s:
            to = self._somewhere()
            self._send(s, [to], self.rng.choice([70_000, 900_000, 3_000_000]) if "bob" in to else 100_000)
        time.sleep(0.3)

    def many(self):
        with self._session() as s:
            self._send(s, [f"{'no-' if n % 10 == 0 else ''}r{n}@remote.test" for n in range(100)]
                       + ["bob@example.org"], 1000)
        time.sleep(1)

    def aborted(self):
        srv, n = self.srv, self.rng.randrange(6)
        if n == 0:
            socket.create_connection(("127.0.0.1", srv.port)).close()
        elif n == 1:
            with socket.create_connection(("127.0.0.1", srv.tls_port)) as s:
                s.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        elif n == 2:
            with Wire(srv) as w:
                w.ehlo()
                w.send(b"MAIL FROM:<")
        else:
            with inside(srv) as w:
                w.mail()
                w.rcpt()
                if n == 3:
                    w.expect(354, "DATA")
                    w.send(message("aborted") + b"x\r\n" * self.rng.randrange(40_000))
                elif n == 4:
                    w.send(b"BDAT 100000\r\n" + b"y" * 70_000)
                else:
                    w.send(b"\0\r\n")
                    w.reply()

    def slow(self):
        with inside(self.srv) as w:
            for octet in b"MAIL FROM:<alice@example.org>\r\n":
                w.send(bytes([octet]))
                time.sleep(0.02)
            w.reply()

    def guess(self):
        with inside(self.srv, login=False) as w:
            secret = base64.b64encode(f"\0mallory\0guess{self.rng.random()}".encode()).decode()
            w.send(f"AUTH PLAIN {secret}\r\n")
            code, text = w.reply()
            check(code in (535, 454, 421), f"a guessed password: {code} {text}")
        time.sleep(1)

    def administrate(self):
        command = self.rng.choice([["list"], ["list", "--json", "--state", "deferred"], ["retry", "--all"],
                                   ["hold", "--domain", "remote.test"], ["release", "--all"]])
        done = subprocess.run([SALLYPORT, "queue", command[0], "--data", self.srv.store, *command[1:]],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        # 66, 69: nothing matched, it has left meanwhile
        check(done.returncode in (0, 66, 69, 1), f"queue {command}: {done.returncode} {done.stdout[-300:]!r}")
        time.sleep(0.7)

    def reload(self):
        self.srv.config.write_text(self.rng.choice([
            self.text, self.text.replace("message-size = 20M", "message-size = 21M"),
            self.text.replace("message-size = 20M", "mistake = 1")]))
        self.srv.process.p.send_signal(signal.SIGHUP)
        time.sleep(2)


# ---- looking ----

def look(srv):
    """{role and number: (descriptors, PSS in kB)} of the supervisor and its roles."""
    found = {"supervisor": srv.process.pid}
    for pid, role in sorted(srv.roles()):
        found[f"{role}.{sum(k.startswith(role) for k in found)}"] = pid
    seen = {}
    for name, pid in found.items():
        pss = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        seen[name] = (len(os.listdir(f"/proc/{pid}/fd")), int(pss[1]), pid)
    return seen


def drained(srv, seconds):
    """Everything released and tried until the queue is empty."""
    def empty():
        for command in (["release", "--all"], ["retry", "--all"]):
            subprocess.run([SALLYPORT, "queue", *command[:1], "--config", srv.config, *command[1:]],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        out = subprocess.run([SALLYPORT, "queue", "list", "--config", srv.config],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, text=True).stdout
        time.sleep(0.5)
        return "the queue is empty" in out
    try:
        wait_until(empty, seconds, "the queue to be empty")
    except Failed as e:
        raise Failed(f"{e}:\n" + subprocess.run([SALLYPORT, "queue", "list", "--config", srv.config], stdout=subprocess.PIPE,
                                                  text=True, timeout=60).stdout[:3000]) from None


def compare(first, last):
    worse = []
    for name, (fds, pss, pid) in last.items():
        fds0, pss0, pid0 = first[name]
        if pid != pid0:
            worse.append(f"{name} is another process: it died")
        if fds > fds0 + FDS_MORE:
            worse.append(f"{name}: {fds0} descriptors, then {fds}")
        if pss > pss0 * (1 + MEMORY_MORE) + MEMORY_KB:
            worse.append(f"{name}: {pss0} kB, then {pss} kB")
    check(not worse, "; ".join(worse))


def account(srv, hop, accepted):
    names = collections.Counter()
    for path in srv.mailbox("bob").files():
        with open(path, "rb") as f:
            names[re.search(rb"^Message-ID: <([^@>]+)", f.read(4096), re.M)[1].decode()] += 1
    told = collections.Counter()
    for text in srv.mailbox("alice").messages():
        about = re.search(rb"^Message-ID: <(m\d+)@soak", text, re.M)
        check(about, f"a notice about nothing: {text[:300]!r}")
        for to in re.findall(rb"^Final-Recipient: rfc822; ?(\S+)", text, re.M):
            told[about[1].decode(), to.decode()] += 1
    wrong = []
    for name, to in accepted.items():
        for r in to:
            arrived = names[name] if r.startswith("bob@") else hop.counts[name, r]
            want = (0, 1) if r.startswith("no-") else (1, 0)
            if (arrived, told[name, r]) != want:
                wrong.append(f"{name} to {r}: arrived {arrived} times, sender told {told[name, r]} times")
    check(not wrong, f"{len(wrong)} not accounted for: {wrong[:5]}")
    return sum(map(len, accepted.values())), sum(told.values())


def run_soak(srv, hop, minutes, seed=1):
    pieces = max(3, min(12, int(minutes)))
    traffic, seen = Traffic(srv, seed), []
    try:
        for _ in range(pieces):
            traffic.run(minutes * 60 / pieces)
            traffic.pause()
            time.sleep(QUIET_S)
            seen.append(look(srv))
    finally:
        traffic.end()
    srv.config.write_text(traffic.text)
    drained(srv, 60)
    time.sleep(1)
    recipients, told = account(srv, hop, traffic.accepted)
    trouble = traffic.trouble
    check(len(trouble) <= len(traffic.accepted) // 100, f"{len(trouble)} sessions in trouble: {trouble[:5]}")
    compare(seen[0], seen[-1])
    print(f"{minutes} minutes, seed {seed}: {len(traffic.accepted)} messages to {recipients} recipients accepted, "
          f"all accounted for ({told} by notices); "
          + ", ".join(f"{n} {k}" for k, n in sorted(traffic.numbers.items())))
    for name in seen[0]:
        print(f"  {name:12} descriptors {seen[0][name][0]} -> {seen[-1][name][0]}, "
              f"PSS {seen[0][name][1]} -> {seen[-1][name][1]} kB")


def whole(minutes):
    need_root()  # the memory of processes of another user is looked at
    os.environ.update(ENVIRONMENT)
    hop = Hop()
    try:
        with work() as tmp, server(tmp, routes=hop.route(), more=CONFIGURATION, listener=LISTENER) as srv:
            run_soak(srv, hop, minutes, int(os.environ.get("SALLYPORT_SEED", "1")))
    finally:
        hop.stop()
