#!/usr/bin/python3
# sets: default
# timeout: 400
"""The life of the service: it starts or says why not, ends after what is in flight, takes
a new configuration without dropping a session, and survives the death of each part."""
import os, pwd, signal, socket, ssl, sys, threading, time
import clients
from harness import *
from wire import *


class Hold:
    """An LMTP server in this process that answers the dot only when told to."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.at_dot, self.go, self.taken = threading.Event(), threading.Event(), []
        threading.Thread(target=self.serve, daemon=True).start()

    def route(self):
        return (f"route hold {{\n    match = hold.test\n    to = lmtp\n"
                f"    lmtp = 127.0.0.1:{self.port}\n}}\n")

    def serve(self):
        while True:
            with contextlib.suppress(OSError):
                c, _ = self.socket.accept()
                threading.Thread(target=self.session, args=(c,), daemon=True).start()

    def session(self, c):
        with contextlib.suppress(OSError), c, c.makefile("rwb", buffering=0) as f:
            f.write(b"220 hold\r\n")
            while line := f.readline():
                verb = line[:4].upper()
                if verb == b"LHLO":
                    f.write(b"250 hold\r\n")
                elif verb == b"DATA":
                    f.write(b"354 go\r\n")
                    got = b""
                    while not got.endswith(b"\r\n.\r\n"):
                        got += f.readline()
                    self.at_dot.set()
                    self.go.wait(60)
                    self.taken.append(got)
                    f.write(b"250 2.0.0 taken\r\n")
                elif verb == b"QUIT":
                    f.write(b"221 bye\r\n")
                    return
                else:
                    f.write(b"250 2.0.0 ok\r\n")


def submit(w, name, to="bob@example.org"):
    w.mail()
    w.rcpt(to)
    w.submit(message(name))


def logged(srv, words, seconds=10, after=0):
    return wait_until(lambda: words in srv.process.output()[after:], seconds, f"{words!r} in the log")


def reconfigure(srv, old, new):
    text = srv.config.read_text()
    check(old in text, f"no {old!r} in the configuration")
    srv.config.write_text(text.replace(old, new))
    srv.process.p.send_signal(signal.SIGHUP)


def with_key(srv, certificate, key):
    """certificate and key in place of the server's, at once."""
    for new, at in ((certificate, srv.certificate), (key, srv.key)):
        os.replace(new, at)


# ---- stopping ----

@test("SIGTERM: a message being sent is finished, acknowledged and still there afterwards")
def _():
    with work() as tmp, server(tmp) as srv:
        with inside(srv) as w, inside(srv) as idle:
            w.mail()
            w.rcpt()
            w.expect(354, "DATA")
            w.send(message("flying"))
            srv.process.p.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            check(srv.process.running(), "it ended with a message in flight")
            check(b"421" in idle.closed(20), "an idle session was not told 421")
            wait_until(lambda: not port_open(srv.port), 20, "the port to close")
            w.send(b"more\r\n.\r\n")
            w.expect(250)
            check(b"421" in w.closed(5), "no 421 after the message")
        srv.process.p.wait(20)
        check(srv.process.p.returncode == 0, f"ended with {srv.process.p.returncode}")
        srv.start()
        check(b"Subject: flying" in srv.mailbox("bob").wait(1)[0], "not the message")


@test("SIGTERM: a delivery under way ends well, and is not made again after the restart")
def _():
    hold = Hold()
    with work() as tmp, server(tmp, routes=hold.route()) as srv:
        with inside(srv) as w:
            submit(w, "delivering", "x@hold.test")
        check(hold.at_dot.wait(10), "no delivery began")
        srv.process.p.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        check(srv.process.running(), "it ended in the middle of a delivery")
        hold.go.set()
        srv.process.p.wait(20)
        check(srv.process.p.returncode == 0, f"ended with {srv.process.p.returncode}")
        srv.start()
        time.sleep(1)
        check(len(hold.taken) == 1, f"delivered {len(hold.taken)} times")


@test("a second SIGTERM ends it at once; what was acknowledged is delivered later")
def _():
    hold = Hold()
    with work() as tmp, server(tmp, routes=hold.route()) as srv:
        with inside(srv) as w:
            submit(w, "hurried", "x@hold.test")
        check(hold.at_dot.wait(10), "no delivery began")
        srv.process.p.send_signal(signal.SIGTERM)
        wait_until(lambda: not port_open(srv.port), 20, "the first to be heard")
        check(srv.process.running(), "it ended in the middle of a delivery")
        srv.process.p.send_signal(signal.SIGTERM)
        srv.process.p.wait(20)
        hold.go.set()
        time.sleep(0.2)
        hold.taken.clear()
        srv.start()
        wait_until(lambda: hold.taken, 30, "the message after the restart")


# ---- reload ----

@test("SIGHUP: new configuration for new sessions; one that is open goes on")
def _():
    with work() as tmp, server(tmp, more="message-size = 200000") as srv:
        with inside(srv) as w:
            w.mail()
            reconfigure(srv, "message-size = 200000", "message-size = 300000")
            logged(srv, " reload ")
            w.rcpt()
            w.submit(message("over a reload"))
            submit(w, "after a reload")
            with inside(srv) as new:
                check("SIZE 300000" in new.ehlo(), "the new size is not in force")
        srv.mailbox("bob").wait(2)


@test("SIGHUP with mistakes: they stand in the log with their line, the old one stays")
def _():
    with work() as tmp, server(tmp, more="message-size = 200000") as srv:
        with inside(srv) as w:
            reconfigure(srv, "message-size = 200000", "message-siz = 300000")
            logged(srv, "reload.refused")
            said = srv.process.output().split("reload.refused")[1]
            line = srv.config.read_text().split("message-siz ")[0].count("\n") + 1
            check(f"{srv.config}:{line}:1: " in said and "message-size" in said,
                  "no line, or no suggestion")
            submit(w, "still")
        with inside(srv) as new:
            check("SIZE 200000" in new.ehlo(), "the old size is gone")
        srv.config.unlink()
        before = len(srv.process.output())
        srv.process.p.send_signal(signal.SIGHUP)
        logged(srv, "reload.refused", after=before)
        with inside(srv) as new:
            submit(new, "without a file")


@test("SIGHUP: listeners come and go; one that is renamed keeps its port")
def _():
    with work() as tmp, server(tmp) as srv:
        other = free_port()
        text = srv.config.read_text()
        reconfigure(srv, f"127.0.0.1:{srv.port}", f"127.0.0.1:{srv.port} 127.0.0.1:{other}")
        wait_until(lambda: port_open(other), 20, "the new port")
        reconfigure(srv, f" 127.0.0.1:{other}", "")
        wait_until(lambda: not port_open(other), 20, "the port to close")
        before = len(srv.process.output())
        reconfigure(srv, "listener submission {", "listener renamed {")
        logged(srv, "reload", after=before)
        time.sleep(0.2)
        check("reload.refused" not in srv.process.output()[before:],
              "a new name for a listener was refused")
        with inside(srv) as w:
            submit(w, "renamed")


@test("SIGHUP: an address in use is refused, and everything stays as it was")
def _():
    with work() as tmp, server(tmp) as srv, socket.create_server(("127.0.0.1", 0)) as taken:
        reconfigure(srv, f"127.0.0.1:{srv.port}",
                    f"127.0.0.1:{srv.port} 127.0.0.1:{taken.getsockname()[1]}")
        logged(srv, "reload.refused")
        with inside(srv) as w:
            submit(w, "stays")


@test("a certificate that is replaced on disk comes into force, and no session is dropped")
def _():
    with work() as tmp, server(tmp) as srv:
        with inside(srv) as w:
            old = w.s.getpeercert(True)
            with_key(srv, *srv.certificates.server("second"))

            def changed():
                with inside(srv) as new:
                    return new.s.getpeercert(True) != old
            wait_until(changed, 10, "the new certificate")
            submit(w, "kept")


@test("half a key, a key of another certificate: the old pair stays until it is whole")
def _():
    with work() as tmp, server(tmp) as srv:
        with inside(srv) as w:
            old = w.s.getpeercert(True)
            certificate, key = srv.certificates.server("second")
            whole = key.read_bytes()
            srv.key.write_bytes(whole[:len(whole) // 2])
            logged(srv, "reload.refused")
            with inside(srv) as new:
                check(new.s.getpeercert(True) == old, "half a key is in force")
            before = len(srv.process.output())
            srv.key.write_bytes(whole)
            logged(srv, "reload.refused", after=before)
            with inside(srv) as new:
                check(new.s.getpeercert(True) == old, "a wrong key is in force")
            os.replace(certificate, srv.certificate)

            def renewed():
                with inside(srv) as new:
                    return new.s.getpeercert(True) != old
            wait_until(renewed, 20, "the whole pair to be in force")
            submit(w, "kept")


# ---- death ----

@test("kill -9 of any role: the service goes on, what was acknowledged arrives")
def _():
    with work() as tmp, server(tmp) as srv:
        sent = 0
        for role in sorted({r for _, r in srv.roles()}):
            with inside(srv) as w:
                submit(w, f"before-{role}")
            pid = next(p for p, r in srv.roles() if r == role)
            os.kill(pid, signal.SIGKILL)

            def works():
                with contextlib.suppress(Failed, OSError):
                    with inside(srv) as w:
                        submit(w, f"after-{role}")
                        return True
            wait_until(works, 20, f"service after the death of {role}")
            wait_until(lambda: any(r == role for _, r in srv.roles()), 20, f"{role} to be started again")
            sent += 2
        wait_until(lambda: len(srv.mailbox("bob").files()) >= sent, 30, "all of the mail")
        subjects = {re.search(rb"Subject: (\S+)", m)[1] for m in srv.mailbox("bob").messages()}
        check(len(subjects) >= sent, f"{len(subjects)} different messages of {sent}")
        check(srv.process.output().count("role.died") >= 5, "deaths are not in the log")


@test("kill -9 of the supervisor: every role is gone with it; a start goes on")
def _():
    hold = Hold()
    with work() as tmp, server(tmp, routes=hold.route()) as srv:
        with inside(srv) as w:
            submit(w, "survivor", "x@hold.test")
            check(hold.at_dot.wait(10), "no delivery began")
            family = [p for p, _ in srv.roles()]
            check(len(family) >= 5, f"only {len(family)} roles")
            srv.process.stop(signal.SIGKILL)
            wait_until(lambda: not any(Path(f"/proc/{p}/exe").exists() for p in family), 10,
                       "the roles to end")
        hold.go.set()
        time.sleep(0.2)
        hold.taken.clear()
        srv.start()
        wait_until(lambda: hold.taken, 30, "the message")
        with inside(srv) as w:
            submit(w, "again")


# ---- refusing to start ----

def refused(srv, status, *words):
    """serve must end by itself with this status and say these words."""
    before = len(srv.log.read_text()) if srv.log.exists() else 0
    p = Process("sallyport", srv.command(), srv.log)
    try:
        p.p.wait(20)
    except subprocess.TimeoutExpired:
        p.stop(signal.SIGKILL)
        raise Failed(f"it runs, though it should refuse\n{p.tail()}") from None
    finally:
        p.stop(signal.SIGKILL)
    said = p.output()[before:]
    check(p.p.returncode == status, f"ended with {p.p.returncode}, not {status}:\n{p.tail()}")
    for w in words:
        check(w in said, f"does not say {w!r}:\n{p.tail()}")
    check("Sanitizer" not in said, said)


def make(tmp, **options):
    need_server()
    if SALLYPORT == "standin":
        skip("about the program itself")
    return Sallyport(tmp, **options)


@test("a second server for the same data is refused, the first one is not disturbed")
def _():
    with work() as tmp, server(tmp) as srv:
        second = Process("second", srv.command(), tmp / "second.log")
        try:
            second.p.wait(20)
            check(second.p.returncode in (75, 78), f"ended with {second.p.returncode}")
            check(re.search("another process", second.output()), second.output())
        finally:
            second.stop(signal.SIGKILL)
        with inside(srv) as w:
            submit(w, "first")
        srv.mailbox("bob").wait(1)
        call([SALLYPORT, "queue", "list", "--config", srv.config])
        check("role.died" not in srv.process.output(), "a role of the first one died")
        # The same data with other ports, by mistake.
        text = srv.config.read_text()
        for port in (srv.port, srv.tls_port):
            text = text.replace(f":{port}", f":{free_port()}")
        srv.config.with_name("other.conf").write_text(text)
        second = Process("second", [SALLYPORT, "serve", "--config", srv.config.with_name("other.conf")],
                         tmp / "second.log")
        try:
            second.p.wait(20)
            check(second.p.returncode in (70, 75, 78), f"ended with {second.p.returncode}")
        finally:
            second.stop(signal.SIGKILL)
        with inside(srv) as w:
            submit(w, "still first")
        srv.mailbox("bob").wait(2)
        call([SALLYPORT, "queue", "list", "--config", srv.config])


@test("port in use: 75, and which one")
def _():
    with work() as tmp, socket.create_server(("127.0.0.1", 0)) as taken:
        srv = make(tmp)
        srv.config.write_text(srv.config.read_text().replace(f":{srv.port}\n",
                                                             f":{taken.getsockname()[1]}\n"))
        refused(srv, 75, "fatal", f"127.0.0.1:{taken.getsockname()[1]}", "in use")


@test("configuration: missing, unreadable, unknown key, wrong value: 78 with the place")
def _():
    with work() as tmp:
        srv = make(tmp)
        text = srv.config.read_text()
        srv.config.write_text("hostnme = x.example.org\n" + text)
        refused(srv, 78, f"{srv.config}:1:1", "hostname")
        srv.config.write_text("message-size = lots\n" + text)
        refused(srv, 78, f"{srv.config}:1:", "message-size")
        srv.config.write_bytes(b"\0\xff\n" * 100)
        refused(srv, 78, f"{srv.config}:1:")
        srv.config.unlink()
        refused(srv, 78, str(srv.config), "No such file")
        srv.config.mkdir()
        refused(srv, 78, str(srv.config))


@test("certificate: wrong key, no file, no certificate in it: 78, and which file")
def _():
    with work() as tmp:
        srv = make(tmp)
        _, other = srv.certificates.server("other")
        good = srv.key.read_bytes()
        srv.key.write_bytes(other.read_bytes())
        refused(srv, 78, str(srv.key))
        srv.key.write_bytes(b"nothing of use\n")
        refused(srv, 78, str(srv.key))
        srv.key.unlink()
        refused(srv, 78, str(srv.key), "No such file")
        srv.key.write_bytes(good)
        srv.certificate.write_bytes(b"")
        refused(srv, 78, str(srv.certificate))


@test("data directory: of another user, a file, not writable, below a file: 73 and what to do")
def _():
    need_root()
    with work() as tmp:
        srv = make(tmp)
        shutil.chown(srv.store, "root", "root")
        refused(srv, 73, str(srv.store), "chown")
        shutil.rmtree(srv.store)
        srv.store.write_text("a file")
        refused(srv, 73, str(srv.store), "no directory")
        srv.config.write_text(srv.config.read_text().replace(str(srv.store), str(srv.store / "below")))
        refused(srv, 73, str(srv.store))


@test("as another user: a data directory that cannot be written is refused")
def _():
    need_root()
    with work() as tmp:
        srv = make(tmp)
        shutil.chown(srv.store, "root", "root")
        os.chmod(srv.store, 0o755)
        command = srv.command()
        srv.command = lambda: ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
        refused(srv, 73, str(srv.store))


@test("no such user: 67, and how to make it")
def _():
    need_root()
    with work() as tmp:
        srv = make(tmp)
        srv.config.write_text(srv.config.read_text().replace("user = nobody", "user = nosuchuser"))
        refused(srv, 67, "nosuchuser", "useradd")


# ---- rights ----

@test("started as root: no role keeps root, its groups or its capabilities")
def _():
    need_root()
    with work() as tmp, server(tmp) as srv:
        nobody = pwd.getpwnam("nobody")
        for pid, role in srv.roles():
            status = Path(f"/proc/{pid}/status").read_text()
            uids = re.search(r"^Uid:\s+(.*)$", status, re.M)[1].split()
            gids = re.search(r"^Gid:\s+(.*)$", status, re.M)[1].split()
            check(set(uids) == {str(nobody.pw_uid)}, f"{role}: user ids {uids}")
            check(set(gids) == {str(nobody.pw_gid)}, f"{role}: group ids {gids}")
            check(not re.search(r"^Groups:\s*(.*\b0\b.*)$", status, re.M), f"{role}: group root")
            for cap in ("CapEff", "CapPrm"):
                check(int(re.search(rf"^{cap}:\s+(\w+)$", status, re.M)[1], 16) == 0, f"{role}: {cap}")
        keys = {srv.store / "ca", srv.store / "tls"}  # root's: see t_certs_accounts
        strangers = [p for p in srv.store.rglob("*") if p.stat().st_uid != nobody.pw_uid and p not in keys]
        check(not strangers, f"not the service's user's own: {strangers}")


@test("an empty file runs: its own certificate, ports 587 and 465")
def _():
    need_root()
    if port_open(587) or port_open(465):
        skip("port 587 or 465 is in use")
    try:
        pwd.getpwnam("sallyport")
    except KeyError:
        call(["useradd", "--system", "--home-dir", "/var/lib/sallyport", "--shell",
              "/usr/sbin/nologin", "sallyport"])
    if Path("/var/lib/sallyport").exists():
        skip("/var/lib/sallyport exists: not ours to use")
    with work() as tmp:
        srv = make(tmp)
        srv.config.write_text("")
        try:
            srv.start()
            srv.ca = Path("/var/lib/sallyport/ca/ca.pem")
            for port, implicit in ((587, False), (465, True)):
                with socket.create_connection(("127.0.0.1", port), 10) as s:
                    c = ssl.create_default_context(cafile=srv.ca)
                    c.check_hostname = False
                    if not implicit:
                        check(s.recv(1000).startswith(b"220 "), "no banner")
                        s.sendall(b"EHLO x\r\n")
                        check(b"STARTTLS" in s.recv(4096), "no STARTTLS")
                        s.sendall(b"STARTTLS\r\n")
                        check(s.recv(1000).startswith(b"220 "), "no 220")
                    with c.wrap_socket(s) as t:
                        t.sendall(b"QUIT\r\n")
            check(all(Path(f"/proc/{p}").stat().st_uid == pwd.getpwnam("sallyport").pw_uid
                      for p, _ in srv.roles()), "a role is not the user sallyport")
            srv.stop()
        finally:
            if srv.process:
                srv.process.stop(signal.SIGKILL)
            shutil.rmtree("/var/lib/sallyport", ignore_errors=True)


# ---- a full disk ----

def fill(path, room):
    """Until the disk is full, but for so many octets."""
    with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while f.write(b"\0" * 65536):
            pass
    os.truncate(path, os.stat(path).st_size - room)


@test("full disk: 452 for what does not fit, nothing lost, and it goes on when there is room")
def _():
    need_root()
    with work() as tmp:
        srv = make(tmp)
        size = 48 << 20
        call(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0750", "tmpfs", srv.store])
        try:
            shutil.chown(srv.store, "nobody", "nogroup")
            call([SALLYPORT, "user", "add", "--data", srv.store, srv.user, "--address", srv.address,
                  "--password-file", srv.password_file])
            for path in srv.store.rglob("*"):
                shutil.chown(path, "nobody", "nogroup")
            srv.start()
            try:
                with inside(srv) as w:
                    submit(w, "room")
                    fill(srv.store / "filler", 16384)
                    codes = set()
                    for n in range(8):
                        code, text = (w.send("MAIL FROM:<alice@example.org>\r\n"), w.reply())[1]
                        if code == 250:
                            w.rcpt()
                            w.send("DATA\r\n")
                            code, text = w.reply()
                        if code == 354:
                            w.send(message(f"full{n}", b"x" * 70 + b"\r\n" + b"0123456789\r\n" * 20_000)
                                   + b".\r\n")
                            code, text = w.reply()
                        else:
                            w.expect(250, "RSET")
                        codes.add(code)
                    check(452 in codes and codes <= {250, 452}, f"{codes} {text}")
                    (srv.store / "filler").unlink()

                    def room():
                        w.send("RSET\r\n")
                        w.reply()
                        w.mail()
                        w.rcpt()
                        w.send("DATA\r\n")
                        if w.reply()[0] != 354:
                            return False
                        w.send(message("again") + b".\r\n")
                        return w.reply()[0] == 250
                    wait_until(room, 20, "mail to be taken again")
                got = srv.mailbox("bob")
                wait_until(lambda: any(b"Subject: again" in m for m in got.messages()), 20, "mail")
                check("role.died" not in srv.process.output(), "a role died")
                srv.stop()
            finally:
                srv.process.stop(signal.SIGKILL)
        except Failed:
            print(srv.process.tail(30) if srv.process else "")
            raise
        finally:
            call(["umount", "-l", srv.store])


run()
