"""losses.py - the server under load, its disk recorded; then the power goes away many times,
and what was acknowledged must be there.

The load is Python's smtplib, what arrives is read from a Maildir, which is on the same disk:
a message is safe where it is in the queue, or whole in the Maildir under its name.
"""
import contextlib, hashlib, os, random, shutil, signal, smtplib, ssl, sys, threading, time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness import *
from crash import MaildirSink
from powerloss import Disk, Log, Recorder, SYNCED, same

INSIDE = "SALLYPORT_TEST_INSIDE"
SIZES = [300, 300, 2000, 10_000, 70_000, 200_000]  # 64 KB is a border of the spool
THREADS, SESSIONS = 6, 4


def inside():
    """This test again, where mounts are seen by nobody else."""
    need_root()
    if os.environ.get(INSIDE) != "1":
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def tmpfs(folder):
    call(["mount", "-t", "tmpfs", "-o", "mode=0755", "sallyport-test", folder])


def preload(recorder):
    """The recorder's environment."""
    variables = recorder.environment()
    variables["LD_PRELOAD"] = behind_asan(variables["LD_PRELOAD"])
    return [f"{k}={v}" for k, v in variables.items()]


class Watched(Sallyport):
    """Sallyport with its data on a tmpfs, recorded."""

    def __init__(self, tmp, done):
        super().__init__(tmp)
        aside = self.data / "aside"
        shutil.copytree(self.store, aside)
        self.owner = os.stat(self.store)  # the service takes over what it finds
        tmpfs(self.store)
        done.callback(call, ["umount", "--lazy", self.store])
        done.callback(lambda: self.process and self.process.stop(signal.SIGKILL))
        shutil.copytree(aside, self.store, dirs_exist_ok=True)
        for path in [self.store, *self.store.rglob("*")]:
            os.chown(path, self.owner.st_uid, self.owner.st_gid)
        os.chmod(self.store, 0o750)
        self.recorder = Recorder(self.data, self.store)
        self.before = Log(self.recorder.map, self.store)

    def command(self):
        return ["env", *preload(self.recorder), *super().command()]


class Talk(smtplib.SMTP):
    """Says when the message has left whole."""
    mark, name = None, None

    def send(self, s):
        super().send(s)
        if s[-5:] == b"\r\n.\r\n":
            self.mark(f"dot {self.name}")


def submit(srv, mark, number, seed, sent):
    rng, context = random.Random(f"{seed}.{number}"), ssl.create_default_context(cafile=srv.ca)
    for session in range(SESSIONS):
        with Talk("localhost", srv.port, timeout=60) as s:
            s.mark = mark
            s.starttls(context=context)
            s.login(srv.user, srv.password)
            for i in range(rng.randrange(1, 4)):
                s.name = f"m{number}-{session}-{i}"
                line = rng.randbytes(35).hex().encode() + b"\r\n"
                body = line * (rng.choice(SIZES) // len(line) + 1)
                sent[s.name] = hashlib.sha256(body).hexdigest()
                s.sendmail(srv.address, ["bob@example.org"], (
                    f"From: <{srv.address}>\r\nTo: <bob@example.org>\r\nSubject: x\r\n"
                    f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{s.name}@load>\r\n\r\n").encode() + body)
                mark(f"ack {s.name}")


def record(srv, seed):
    """(the log; hashes of the bodies by name); the server has been stopped."""
    sent, failed = {}, []

    def one(number):
        try:
            submit(srv, mark, number, seed, sent)
        except Exception as e:  # told below
            failed.append(e)
    mark = srv.recorder.marker()
    srv.start()
    threads = [threading.Thread(target=one, args=(n,)) for n in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not failed, f"the load: {failed}")
    srv.mailbox("bob").wait(len(sent))
    srv.stop()
    log = srv.before.read()
    disk = Disk(log)
    for _ in log.records:
        disk.step()
    same(disk, srv.store)
    check(sum(m.startswith("ack ") for m in disk.marks) == len(sent), "not every message was acknowledged")
    return log, sent


class After(Server):
    """The server on a disk that lost its power."""
    name = "after"

    def __init__(self, srv, folder):
        self.srv, self.store, self.log, self.process = srv, folder, srv.data / "after.log", None
        self.config = srv.data / "after.conf"
        self.config.write_text(srv.config.read_text().replace(f"data-directory = {srv.store}", f"data-directory = {folder}"))

    def command(self):
        return [SALLYPORT, "serve", "--config", self.config]

    def mailbox(self, user):
        return Maildir(self.store / "mail/example.org" / user)


def lost(srv, disk, promised, sent, rng, how, idle_s):
    """Names of promised messages that are not there when the server has been started again
    on this disk and has delivered what it has."""
    folder = srv.data / "image"
    folder.mkdir()
    tmpfs(folder)
    try:
        os.chown(folder, srv.owner.st_uid, srv.owner.st_gid)
        disk.write(folder, rng, how)
        after = After(srv, folder)
        after.log.unlink(missing_ok=True)
        after.start()
        try:
            there = settled(after, promised, idle_s)
        finally:
            after.stop()
        names = [name for _, name, _ in there]
        check(len(names) == len(set(names)), f"twice in the Maildir: {sorted(names)}")
        for _, name, digest in there:
            check(sent.get(name) == digest, f"{name} has another body")
        return sorted(set(promised) - set(names))
    except Failed:
        print(f"position {disk.position}, {how}; the last marks: {disk.marks[-5:]}")
        raise
    finally:
        call(["umount", folder])
        folder.rmdir()


def settled(after, promised, idle_s):
    """What arrived, once everything promised has, nothing is in the queue any more, or for
    so long nothing has moved: mail whose octets are gone waits for its administrator."""
    sink, before, since, empty = MaildirSink(after), None, time.monotonic(), 0
    while True:
        there = sink.arrivals()
        listed = call([SALLYPORT, "queue", "list", "--config", after.config, "--json"])
        empty = empty + 1 if not listed.strip() else 0
        if set(promised) <= {name for _, name, _ in there} or empty == 2:
            return there
        if (listed, len(there)) != before:
            before, since = (listed, len(there)), time.monotonic()
        if time.monotonic() > since + idle_s:
            return there
        time.sleep(0.05)


def outages(log, rng, barriers, random_ones):
    """(position, how): after `barriers` of the syncs (None: each), with nothing more than what
    must be there; and at random moments with some of the rest."""
    after = [i + 1 for i, r in enumerate(log.records) if r.kind == SYNCED]
    chosen = after if barriers is None else rng.sample(after, min(barriers, len(after)))
    return sorted([(at, "none") for at in chosen] +
                  [(rng.randrange(1, len(log.records) + 1), rng.choice(("some", "some", "some", "all")))
                   for _ in range(random_ones)])


def play(srv, log, sent, rng, outages_, lasts=lambda disk, r: True, promise="ack ", idle_s=60):
    """Yields (position, how, promised, lost) for each outage."""
    disk = Disk(log, lasts)
    for at, how in outages_:
        while disk.position < at:
            disk.step()
        promised = [m[len(promise):] for m in disk.marks if m.startswith(promise)]
        yield at, how, promised, lost(srv, disk, promised, sent, rng, how, idle_s)


CONTROLS = {
    "synchronous = NORMAL (no commit is synced)": dict(lasts=lambda d, r: not d.names.get(r.node, "").endswith("-wal")),
    "no sync of a folder below": dict(lasts=lambda d, r: not d.nodes[r.node].folder or r.node == d.log.root),
    "the 250 before the commit": dict(promise="dot "),
}


class Run:
    """One recorded run for all tests of a file."""

    def __init__(self, seed):
        self.seed, self.srv, self.done = seed, None, contextlib.ExitStack()

    def get(self):
        if not self.srv:
            srv = Watched(self.done.enter_context(work()), self.done)
            self.log, self.sent = record(srv, self.seed)
            self.srv = srv
        return self.srv, self.log, self.sent


def run_losses(seed, barriers, random_ones, control_outages):
    inside()
    recorded = Run(seed)

    @test("what is recorded is what is on the disk")
    def _():
        _, log, sent = recorded.get()
        print(f"seed {seed}: {len(sent)} messages, {len(log.records)} records, "
              f"{sum(r.kind == SYNCED for r in log.records)} syncs")

    @test("nothing acknowledged is lost, wherever the power goes away")
    def _():
        srv, log, sent = recorded.get()
        rng, n, most = random.Random(seed), 0, 0
        for at, how, promised, gone in play(srv, log, sent, rng, outages(log, rng, barriers, random_ones)):
            check(not gone, f"{how} of what was open after record {at}: {gone} of {len(promised)} are lost")
            n, most = n + 1, max(most, len(promised))
        print(f"seed {seed}: {n} outages, up to {most} messages promised, none lost")
        check(most > 0, "nothing was promised at any of these moments")

    for what, how in CONTROLS.items():
        @test(f"control: {what} loses mail, and is seen to")
        def _(what=what, how=how):
            srv, log, sent = recorded.get()
            rng = random.Random(seed + 1)
            chosen = outages(log, rng, control_outages, 0)
            for at, _, promised, gone in play(srv, log, sent, rng, chosen, idle_s=10, **how):
                if gone:
                    print(f"{what}: {len(gone)} of {len(promised)} lost at record {at}")
                    return
            check(False, f"{len(chosen)} outages, and nothing was lost")

    try:
        run()
    finally:
        recorded.done.close()
