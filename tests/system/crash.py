"""crash.py - kill -9 under load; what was acknowledged must arrive.

    run_crash(srv, LmtpSink(tmp), kills=20, seed=1)

None of what judges is our code: the load comes from Python's smtplib, the sink is
aiosmtpd (or a Maildir read from disk).  Each message has an id and is sent once, never
again.  When its 250 is read, the id goes to the ledger, a file synced after each line:
the ledger would survive what the server must survive.

Meanwhile a child of the supervisor, or from time to time the supervisor itself, gets
SIGKILL at moments that the seed decides.  Afterwards:

  - each id of the ledger has arrived, with the body that was sent;
  - nothing arrived that was not sent;
  - a second copy is allowed only where a kill explains it: the first copy was handed out
    before the kill and its success could not be noted, so it was handed out again;
    in a Maildir there is none (LMTP and SMTP know no way to ask what arrived before);
  - no command was refused with a 5xx: a crash is a temporary failure;
  - after each kill the service went on: something was acknowledged again.

What each kill hit is told from outside, by what clients, ledger and sink know of it
(PHASES); a kill under load hits several at once.
"""
import hashlib, os, random, re, signal, smtplib, ssl, threading, time
from pathlib import Path

from harness import (HERE, PYTHON, Failed, Maildir, Process, check, free_port, lf, port_open,
                     wait_until, without_added)

SIZES = [300, 300, 2000, 10_000, 10_000, 70_000, 300_000]  # 64 KB is a border of the spool
CLOCK_SLACK_S = 1.0

# A message at the moment of a kill, from its client's first octet to our note of its success;
# whose death can hit it then.
TAKES, GIVES = ("server", "queue", "supervisor"), ("queue", "delivery", "local", "supervisor")
PHASES = {
    "receive": TAKES,      # its client was between MAIL and the final dot
    "commit": TAKES,       # the dot was sent, there was no 250, and it never arrived
    "acknowledge": TAKES,  # the same, but it arrived: it was durable already
    "claim": GIVES,        # acknowledged before, handed over behind the kill: waiting or claimed
    "settle": GIVES,       # handed over, and again behind the kill: its success was not noted
}


class LmtpSink:
    """Arrivals by LMTP.  route() is the configuration that leads there."""

    def __init__(self, tmp, delay=0.01):
        self.port, self.file = free_port(), Path(tmp) / "arrivals"
        self.file.touch()
        self.process = Process("sink", [PYTHON, HERE / "sink.py", "--port", self.port,
                                        "--file", self.file, "--delay", delay],
                               Path(tmp) / "sink.log")
        self.process.wait_ready(lambda: port_open(self.port))
        self.recipient = "bob@remote.test"

    once = False  # between the other side's 250 and our note of it a kill means a second copy

    def route(self):
        return (f"route sink {{\n    match = remote.test\n    to = lmtp\n"
                f"    lmtp = 127.0.0.1:{self.port}\n}}\n")

    def arrivals(self):
        """(time, id, hash) of everything that came."""
        lines = self.file.read_text().splitlines()
        return [(float(t), i, h) for t, i, h in (l.split() for l in lines)]

    def stop(self):
        self.process.stop()


class MaildirSink:
    """Arrivals in a Maildir of the server's own delivery."""
    once = True  # what was delivered before is recognised

    def __init__(self, srv, user="bob"):
        self.maildir, self.recipient = srv.mailbox(user), f"{user}@{srv.local_domain}"

    def route(self):
        return ""

    def arrivals(self):
        found = []
        for path in self.maildir.files():
            message = without_added(lf(Path(path).read_bytes()))
            header, _, body = message.partition(b"\n\n")
            name = re.search(rb"^message-id:\s*<([^@>]+)", header, re.I | re.M)
            found.append((os.stat(path).st_mtime, name[1].decode() if name else "?",
                          hashlib.sha256(body.replace(b"\n", b"\r\n")).hexdigest()))
        return found

    def stop(self):
        pass


class Ledger:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.path, self.lock, self.count = path, threading.Lock(), 0
        self.when = {}

    def add(self, name):
        with self.lock:
            os.write(self.fd, f"{name}\n".encode())
            os.fsync(self.fd)
            self.when[name] = time.time()
            self.count += 1

    def ids(self):
        return Path(self.path).read_text().split()


class Load:
    """Threads that submit, each message once, until stop()."""

    def __init__(self, srv, recipient, ledger, threads, seed):
        self.srv, self.recipient, self.ledger = srv, recipient, ledger
        self.context = ssl.create_default_context(cafile=srv.ca)
        self.stopping, self.sent, self.refused, self.lost = threading.Event(), {}, [], 0
        self.at = {}  # thread: (message, "receive" or "answer")
        self.threads = [threading.Thread(target=self._run, args=(n, random.Random(f"{seed}.{n}")),
                                         daemon=True) for n in range(threads)]
        for t in self.threads:
            t.start()

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
            check(not t.is_alive(), "a client still waits for an answer after 60 s")

    def _message(self, name, rng):
        line = b"%032x%032x%016x\r\n" % (rng.getrandbits(128), rng.getrandbits(128), rng.getrandbits(60))
        size = rng.choice(SIZES)
        body = (line * (size // len(line) + 1))[:size - 2].rstrip(b"\r\n") + b"\r\n"
        self.sent[name] = hashlib.sha256(body).hexdigest()
        return (f"From: <{self.srv.address}>\r\nTo: <{self.recipient}>\r\nSubject: {name}\r\n"
                f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@load>\r\n\r\n"
                ).encode() + body

    def _session(self, number, rng, serial):
        with smtplib.SMTP("localhost", self.srv.port, timeout=30) as s:
            s.starttls(context=self.context)
            s.login(self.srv.user, self.srv.password)
            for _ in range(rng.randrange(1, 30)):
                if self.stopping.is_set():
                    return serial
                serial += 1
                name = f"m{number}-{serial}"
                self._submit(s, number, name, self._message(name, rng))
                self.ledger.add(name)
                self.at.pop(number, None)
        return serial

    def _submit(self, s, number, name, message):
        """As smtplib's sendmail(), but it is known when the dot is out."""
        self.at[number] = name, "receive"
        for code, text in (s.mail(self.srv.address), s.rcpt(self.recipient), s.docmd("data")):
            if not 200 <= code <= 399:
                raise smtplib.SMTPResponseException(code, text)
        data = re.sub(rb"(?m)^\.", b"..", message) + b".\r\n"
        if len(data) > 65536:  # a slow line, so that some are killed in the middle
            s.send(data[:len(data) // 2])
            time.sleep(0.03)
            data = data[len(data) // 2:]
        s.send(data)
        self.at[number] = name, "answer"
        code, text = s.getreply()
        if code != 250:
            raise smtplib.SMTPDataError(code, text)

    def _run(self, number, rng):
        serial = 0
        while not self.stopping.is_set():
            serial += 1000  # ids of a broken session are never used again
            try:
                serial = self._session(number, rng, serial)
            except (OSError, smtplib.SMTPException) as e:
                self.at.pop(number, None)
                if 500 <= getattr(e, "smtp_code", 0) <= 599:
                    self.refused.append(f"{e!r}")
                self.lost += 1
                time.sleep(0.05)


def kill_one(srv, rng, supervisor_too):
    """Returns (role, time).  Every role is as likely as another, however many run it."""
    roles = {}
    for pid, role in srv.roles():
        roles.setdefault(role, []).append(pid)
    if supervisor_too or not roles:
        family = [pid for pid, _ in srv.roles()]
        when = time.time()
        srv.process.stop(signal.SIGKILL)
        # The roles must notice by themselves; a second is what is promised.
        wait_until(lambda: not any(Path(f"/proc/{p}/exe").exists() for p in family), 2,
                   "the roles to end after their supervisor was killed")
        srv.start()
        return "supervisor", when
    role = rng.choice(sorted(roles))
    when = time.time()
    os.kill(rng.choice(roles[role]), signal.SIGKILL)
    return role, when


def explained(first, second, kills):
    return any(first - CLOCK_SLACK_S <= when <= second for _, when in kills)


def judge(load, ledger, arrivals, kills):
    """Raises Failed; returns the number of second copies."""
    copies = {}
    for when, name, digest in arrivals:
        check(name in load.sent, f"{name} arrived though nobody sent it")
        check(digest == load.sent[name], f"{name} arrived with another body")
        copies.setdefault(name, []).append(when)
    lost = [n for n in ledger.ids() if n not in copies]
    check(not lost, f"{len(lost)} of {ledger.count} acknowledged messages lost: {lost[:10]}")
    check(not load.refused, f"permanent refusals because of a crash: {load.refused[:5]}")
    doubles = 0
    for name, times in copies.items():
        for first, second in zip(sorted(times), sorted(times)[1:]):
            doubles += 1
            check(explained(first, second, kills), f"{name} arrived twice without a reason")
    return doubles


def phases_hit(killed, under_way, ledger, arrivals):
    """under_way: {message: stage} at each kill.  {phase: [kills, messages]}"""
    copies, hit = {}, {p: [0, 0] for p in PHASES}
    n = [dict.fromkeys(PHASES, 0) for _ in killed]
    for when, name, _ in arrivals:
        copies.setdefault(name, []).append(when)

    def last_kill(phase, before):
        return max((i for i, (role, at) in enumerate(killed)
                    if role in PHASES[phase] and at <= before), default=None)

    for i, stages in enumerate(under_way):
        for name, stage in stages.items():
            phase = ("receive" if stage == "receive" else
                     "acknowledge" if name in copies else "commit")
            if name not in ledger.when and killed[i][0] in PHASES[phase]:
                n[i][phase] += 1
    for name, times in copies.items():
        first, *again = sorted(times)
        at = last_kill("claim", first)
        if name in ledger.when and at is not None and ledger.when[name] < killed[at][1]:
            n[at]["claim"] += 1
        for t in again:
            at = last_kill("settle", t)
            if at is not None:
                n[at]["settle"] += 1
    for one in n:
        for phase, messages in one.items():
            hit[phase][0] += messages > 0
            hit[phase][1] += messages
    return hit


def run_crash(srv, sink, kills, seed, threads=8, supervisor_every=6, settle_s=120):
    """srv is running.  Prints what happened; raises Failed."""
    rng = random.Random(seed)
    ledger = Ledger(srv.tmp / "ledger")
    load = Load(srv, sink.recipient, ledger, threads, seed)
    killed, under_way = [], []
    try:
        wait_until(lambda: ledger.count > 20, 60, "the first acknowledgements")
        for n in range(kills):
            time.sleep(rng.uniform(0.05, 0.8))
            under_way.append(dict(load.at.values()))
            killed.append(kill_one(srv, rng, n % supervisor_every == supervisor_every - 1))
            before = ledger.count
            wait_until(lambda: ledger.count > before, 30,
                       f"an acknowledgement after {killed[-1][0]} was killed")
    finally:
        load.stop()
    wanted = set(ledger.ids())
    try:
        wait_until(lambda: wanted <= {name for _, name, _ in sink.arrivals()}, settle_s, "arrivals")
    except Failed:
        pass  # judge() says what is missing
    time.sleep(0.5)  # a second copy may be on its way
    doubles = judge(load, ledger, sink.arrivals(), killed)
    check(not doubles or not sink.once, f"{doubles} second copies in a Maildir")
    by_role = {}
    for role, _ in killed:
        by_role[role] = by_role.get(role, 0) + 1
    hit = phases_hit(killed, under_way, ledger, sink.arrivals())
    print(f"seed {seed}: {ledger.count} acknowledged, all arrived; {doubles} second copies, "
          f"explained; {load.lost} sessions lost; killed "
          + ", ".join(f"{r} {n}×" for r, n in sorted(by_role.items()))
          + "; kills that hit (messages): "
          + ", ".join(f"{p} {k} ({m})" for p, (k, m) in hit.items()))
