#!/usr/bin/python3
# sets: default
# timeout: 400
"""What a person sees when something is wrong at the start: the words, the exit status, and
that nothing on the disk was touched.  t_serve_life.py has the first of these cases."""
import fcntl, signal, socket, sqlite3
from harness import *
from wire import *

without_server()


def make(tmp, **options):
    srv = Sallyport(tmp, **options)
    srv.start()
    with inside(srv) as w:  # a message that stays: nobody is there to take it
        w.mail()
        w.rcpt("x@remote.test")
        w.submit(message("kept"))
    srv.stop()
    return srv


NOBODY = "\nroute nobody {\n    match = remote.test\n    to = lmtp\n    lmtp = 127.0.0.1:9\n}\n"


def content(folder):
    return {p.relative_to(folder): (p.read_bytes() if p.is_file() else None, p.stat().st_mode, p.stat().st_uid)
            for p in folder.rglob("*") if p.name not in ("lock", "control")}


def refused(srv, status, *words, touched=False):
    """serve ends with this status, says these words, and leaves the data as they are."""
    before = content(srv.store)
    log = srv.data / "refused.log"
    log.unlink(missing_ok=True)
    p = Process("sallyport", srv.command(), log)
    try:
        p.p.wait(30)
    except subprocess.TimeoutExpired:
        raise Failed(f"it runs, though it should refuse\n{p.tail()}") from None
    finally:
        p.stop(signal.SIGKILL)
    check(p.p.returncode == status, f"ended with {p.p.returncode}, not {status}:\n{p.tail()}")
    for w in words:
        check(w in p.output(), f"does not say {w!r}:\n{p.tail()}")
    check(" fatal error " in p.output() and "Sanitizer" not in p.output(), p.tail())
    after = content(srv.store)
    check(touched or before == after, f"changed: {[str(k) for k in before.keys() | after.keys() if before.get(k) != after.get(k)]}")
    return p.output()


def goes_on(srv):
    """With what was wrong mended it starts, and the message is still there."""
    srv.start()
    row = call([SALLYPORT, "queue", "list", "--config", srv.config])
    check("x@remote.test" in row, f"the message is gone: {row}")
    srv.stop()


@test("the spool database: not one, cut off, empty, of somebody else: 74, nothing is touched")
def _():
    need_root()
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        spool = srv.store / "queue/spool.db"
        good = spool.read_bytes()
        for bad, words in (
                (b"no database\n" * 1000, "spool.db is damaged (file is not a database); restore it or move it away"),
                (good[:len(good) // 2], "spool.db is damaged (database disk image is malformed); restore it or move it away"),
                (good[:100], "spool.db is damaged"),
                (b"", "spool.db is not a spool of this program, or damaged")):
            spool.write_bytes(bad)
            refused(srv, 74, words, "role=queue", "its last lines say why")
        spool.write_bytes(good)
        shutil.chown(spool, "root", "root")
        os.chmod(spool, 0o600)
        refused(srv, 74, f"cannot open spool.db in {srv.store}/queue: Permission denied")
        shutil.chown(spool, "nobody", "nogroup")
        os.chmod(spool, 0o640)
        goes_on(srv)


@test("a page of the spool overwritten: nothing that can be read is lost, what cannot is said")
def _():
    need_root()
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        spool = srv.store / "queue/spool.db"
        good = bytearray(spool.read_bytes())
        page = int.from_bytes(good[16:18], "big")
        for n in range(2, len(good) // page):  # every page but the first: the schema
            bad = bytearray(good)
            bad[n * page:n * page + 200] = b"\xff" * 200
            spool.write_bytes(bad)
            log = srv.data / "page.log"
            log.unlink(missing_ok=True)
            p = Process("sallyport", srv.command(), log)
            wait_until(lambda: not p.running() or " ready " in p.output(), 30, "an end or a start")
            running = p.running()
            said = call([SALLYPORT, "queue", "list", "--config", srv.config], ok=range(0, 100)) if running else ""
            p.stop()
            check("Sanitizer" not in p.output() and " signal " not in p.output(), p.tail())
            if running:
                check("x@remote.test" in said or "damaged" in said + p.output(),
                      f"page {n} is gone and nobody says so: {said}\n{p.tail()}")
            else:
                check("damaged" in p.output(), p.tail())
        spool.write_bytes(good)
        goes_on(srv)


@test("a spool of a newer version: 74, which versions, nothing is touched")
def _():
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        spool = srv.store / "queue/spool.db"
        db = sqlite3.connect(spool)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version = {version + 1}")
        db.close()
        refused(srv, 74, f"the spool has version {version + 1}, this program knows up to {version}: "
                "use a newer program")
        said = call([SALLYPORT, "queue", "list", "--config", srv.config], ok=range(1, 100))
        check(f"version {version + 1}" in said, said)
        db = sqlite3.connect(spool)
        db.execute(f"PRAGMA user_version = {version}")
        db.close()
        goes_on(srv)


@test("the accounts: damaged, cut off: 74, with the file and what to do")
def _():
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        users = srv.store / "users/users.db"
        good = users.read_bytes()
        for bad in (b"junk" * 5000, good[:3000]):
            users.write_bytes(bad)
            refused(srv, 74, f"the users database {users} is damaged",
                    "restore it from a backup, or remove it and add the accounts again", "role=auth",
                    touched=True)  # the queue role may have opened its spool meanwhile
            check(users.read_bytes() == bad, "the damaged database was touched")
        users.write_bytes(good)
        goes_on(srv)

MOVED = {"users": ["users.db-journal", "users.db"], "queue": ["spool.db-wal", "spool.db-shm", "spool.db", "bodies", "lock"]}


def older(srv, folder, done):
    """As an older version left this part; a start has moved the first `done` names of it (None: has not begun)."""
    half = srv.store / f"{folder}.new"
    there = srv.store / folder
    if done is not None:
        shutil.copytree(there, half, ignore=lambda *_: [p.name for p in there.iterdir()])
        if os.geteuid() == 0:
            shutil.chown(half, there.owner(), there.group())
    for path in there.iterdir():
        moved = done is not None and path.name in MOVED[folder][:done]
        path.rename((half if moved else srv.store) / path.name)
    there.rmdir()


@test("the layout of older versions: each part moves into its folder; a move that was cut off anywhere is gone on with")
def _():
    need_root()
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        srv.start()
        with inside(srv) as w:
            w.mail()
            w.rcpt("large@remote.test")
            w.submit(message("with a body file", b"0123456789abcde\r\n" * 20_000))
        srv.process.stop(signal.SIGKILL)  # what is in the log of the database is in no other place
        wal = srv.store / "queue/spool.db-wal"
        check(wal.stat().st_size > 0 and list((srv.store / "queue/bodies").iterdir()), "nothing that could be lost")
        aside = tmp / "aside"
        call(["cp", "-a", srv.store, aside])
        body = content(srv.store / "queue/bodies")
        for users, spool in [(None, None), (0, 0), *((2, n) for n in range(1, 6))]:
            shutil.rmtree(srv.store)
            call(["cp", "-a", aside, srv.store])
            older(srv, "users", users)
            older(srv, "queue", spool)
            if (srv.store / "lock").exists():
                with open(srv.store / "lock") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    refused(srv, 75, f"the data directory {srv.store} is in use by another process", touched=True)
            if spool is not None:  # half of it is not taken for the whole
                call([SALLYPORT, "queue", "list", "--config", srv.config], ok=range(1, 100))
                check(not (srv.store / "queue").exists(), "a command made the folder")
            goes_on(srv)
            left = {p.name for p in srv.store.iterdir()} - {"ca", "tls", "mail", "control"}
            check(left == {"users", "queue"}, f"after {spool} names: left in {srv.store}: {left}")
            rows = call([SALLYPORT, "queue", "list", "--config", srv.config])
            check("large@remote.test" in rows and "x@remote.test" in rows, f"after {spool} names: {rows}")
            check(content(srv.store / "queue/bodies") == body, f"after {spool} names: the bodies are others")
            check(srv.user in call([SALLYPORT, "user", "list", "--config", srv.config]), f"after {users} names: no user")
            check({(srv.store / p).owner() for p in ("users", "queue", "users/users.db", "queue/spool.db")} == {"nobody"},
                  "owners")


@test("a read-only file system: 73 at once, and what to do")
def _():
    need_root()
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        call(["mount", "--bind", srv.store, srv.store])
        try:
            call(["mount", "-o", "remount,bind,ro", srv.store])
            refused(srv, 73, f"the data directory {srv.store} is on a read-only file system: mount it for "
                    "writing, or choose another with `data-directory`")
            said = call([SALLYPORT, "queue", "hold", "--all", "--config", srv.config], ok=range(1, 100))
            check(re.search("(?i)read.?only", said), said)
        finally:
            call(["umount", srv.store])
        goes_on(srv)


@test("a disk without room at the start: 75, and it says that it is the disk")
def _():
    need_root()
    with work() as tmp:
        srv = Sallyport(tmp)
        call(["mount", "-t", "tmpfs", "-o", "size=64k,uid=65534,gid=65534,mode=0750", "tmpfs", srv.store])
        try:
            refused(srv, 75, "cannot create the spool: the disk is full", touched=True)
        finally:
            call(["umount", "-l", srv.store])


@test("a second server on the same data: 75 and the words; the first goes on")
def _():
    with work() as tmp, server(tmp) as srv:
        refused(srv, 75, f"{srv.store}/control: another process listens there: the service runs already, or "
                "another one with the same `control-socket`", touched=True)
        other = srv.config.with_name("other.conf")
        text = srv.config.read_text() + f"\ncontrol-socket = {tmp}/control2\n"
        lines = [l for l in text.splitlines() if not l.startswith("control-socket")]
        lines.insert(1, f"control-socket = {tmp}/control2")
        text = "\n".join(lines) + "\n"
        for port in (srv.port, srv.tls_port):
            text = text.replace(f":{port}", f":{free_port()}")
        other.write_text(text)
        first = srv.command
        srv.command = lambda: [SALLYPORT, "serve", "--config", other]
        refused(srv, 75, f"the data directory {srv.store}/queue is in use by process ", touched=True)
        srv.command = first
        with inside(srv) as w:
            w.mail()
            w.rcpt()
            w.submit(message("still here"))
        srv.mailbox("bob").wait(1)


@test("certificates: another's key, no CA, junk for a CA, a route's password: 78, each with its section")
def _():
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        text, key = srv.config.read_text(), srv.key.read_bytes()
        _, other = srv.certificates.server("other")
        srv.key.write_bytes(other.read_bytes())
        refused(srv, 78, f"listener submission: the key {srv.key} does not belong to the certificate {srv.certificate}")
        srv.key.write_bytes(key)
        junk = tmp / "junk.pem"
        junk.write_text("junk\n")
        for path, words in ((tmp / "none.pem", f"listener submission: cannot open {tmp}/none.pem: No such file or directory"),
                            (junk, f"listener submission: {junk}: no certificate (PEM) in it"),
                            (tmp, f"listener submission: {tmp} is no regular file")):
            srv.config.write_text(text.replace(f"client-ca = {srv.ca}", f"client-ca = {path}"))
            refused(srv, 78, words)
        srv.config.write_text(text + "\nroute x {\n    match = a.test\n    to = smarthost\n    host = h.test\n"
                              f"    user = u\n    password-file = {tmp}/none\n}}\n")
        refused(srv, 78, f"route x: cannot open {tmp}/none: No such file or directory")
        srv.config.write_text(text)
        goes_on(srv)


@test("a certificate that has expired is served and warned about: clients decide")
def _():
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        certificate, key = srv.certificates.sign("old", "/CN=localhost", "DNS:localhost", "serverAuth", days=-1)
        srv.certificate.write_bytes(certificate.read_bytes())
        srv.key.write_bytes(key.read_bytes())
        srv.start()
        check(re.search(rf"warning.*listener submission: certificate {srv.certificate} expired \d{{4}}-\d\d-\d\d",
                        srv.process.output()), srv.process.tail())
        srv.stop()


@test("an unknown key: 78, the place, the line and what was probably meant")
def _():
    with work() as tmp:
        srv = make(tmp, routes=NOBODY)
        text = srv.config.read_text()
        srv.config.write_text(text.replace("listener submission {", "listener submission {\n    adress = 127.0.0.1:1"))
        said = refused(srv, 78, "adress", "did you mean")
        check(re.search(rf"{re.escape(str(srv.config))}:\d+:5: .*adress.*address", said), said)


@test("a port in use: 75 and which; a port that only root may bind, as somebody else")
def _():
    need_root()
    with work() as tmp, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        srv = make(tmp, routes=NOBODY)
        text = srv.config.read_text()
        srv.config.write_text(text.replace(f":{srv.port}\n", f":{port}\n"))
        refused(srv, 75, f"cannot listen on 127.0.0.1:{port}: Address already in use")
        if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 587:
            srv.config.write_text(text.replace(f":{srv.port}\n", ":587\n"))
            command = srv.command()
            srv.command = lambda: ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
            refused(srv, 75, "cannot listen on 127.0.0.1:587: Permission denied")


run()
