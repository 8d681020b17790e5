"""clients_lab.py - what the cells of t_clients.py share: a root in which a program
runs, a Sallyport server with its two accounts, a message, and the proof that it arrived.

    with Lab("msmtp", PACKAGES, PROGRAMS) as lab:
        mail = lab.mail()                       # its own recipient and its own octets
        text = lab.sh("msmtp ...", stdin=lf(mail.octets))
        return lab.arrived(mail, "explicit")    # "SCRAM-SHA-256"

The server's configuration names listeners, certificate, client-ca, local domain and data
directory, and nothing else: what an administrator must write.  Accounts:

    alice   a password; alice@example.org
    carl    no password; carl@example.org, by certificate

Lab.certificates has "alice", "carl", "foreign" (alice's address, another authority) and
"expired" (alice's address, our authority, yesterday), as .pem, .key and .both.pem.
"""
import contextlib, itertools, shlex, shutil, textwrap

from matrix import *
import harness

HEAD = ("From: Alice <{sender}>\r\nTo: Bob <{to}>\r\nSubject: {subject}\r\n"
        "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@client.example.org>\r\n")
TEXT_BODY = ("Hello {name},\r\n.\r\n..\r\n.dot\r\n...\r\n\tA tab, and \"quotes\" & <brackets>.\r\n"
             "\r\nThe end.\r\n")
MIME = ("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\nX-Folded: one\r\n two\r\n")
RAW_BODY = (TEXT_BODY + "Žluťoučký kůň, 日本語\r\n" + "x" * 900 + "\r\n." + "y" * 700
            + "\r\n.\r\nend.\r\n")
P12_PASSWORD = "p12 secret"
_numbers = itertools.count(1)


class Root:
    """A Debian root that stays open: sh() runs one script after the other in it."""
    AGENT = """\
        while read -r job seconds; do
            timeout -k 5 "$seconds" sh "$job" <"$job.in" >"$job.out" 2>&1
            echo $? >"$job.tmp"
            mv "$job.tmp" "$job.status"
        done <"$0.jobs"
        """

    def __init__(self, tmp, packages, release="bookworm"):
        need_root()
        if not shutil.which("debootstrap"):
            skip("debootstrap is not installed: run-tests installs it for this set")
        self.tmp = Path(tmp)
        self.folder = self.tmp / "root"
        self.folder.mkdir(mode=0o755)
        agent = self.folder / "agent"
        agent.write_text(textwrap.dedent(self.AGENT))
        os.mkfifo(f"{agent}.jobs")
        self.fifo = os.open(f"{agent}.jobs", os.O_RDWR)
        self.process = Process("root", [
            ROOT / "tools/fresh-root", "--packages", packages,
            *([] if release == "bookworm" else ["--release", release]),
            "--bind", tmp, "--", "sh", agent], self.folder / "log")
        try:
            self.run("true", seconds=600)  # the first time, the root is made
        except BaseException:
            self.stop()
            raise

    def run(self, script, stdin=b"", seconds=60):
        """(exit status, what it said)."""
        job = self.folder / f"job{next(_numbers)}"
        job.write_text(script)
        Path(f"{job}.in").write_bytes(stdin)
        os.write(self.fifo, f"{job} {seconds}\n".encode())

        def done():
            if not self.process.running():
                raise Failed(f"the root ended:\n{self.process.tail()}")
            return os.path.exists(f"{job}.status")
        wait_until(done, seconds + 30, "a script in the root")
        text = Path(f"{job}.out").read_bytes().decode(errors="replace")
        return int(Path(f"{job}.status").read_text()), text

    def versions(self, packages):
        status, text = self.run(f"dpkg-query -W -f '${{Package}} ${{Version}}, ' {packages}")
        if status:
            raise Failed(text)
        return text.rstrip(", ")

    def stop(self):
        self.process.stop()
        os.close(self.fifo)


class Mail:
    def __init__(self, name, sender, raw):
        self.name, self.sender, self.to = name, sender, f"{name}@example.org"
        self.subject = f"interop {name}"
        self.body = (RAW_BODY if raw else TEXT_BODY).format(name=name).encode()
        head = HEAD.format(sender=sender, to=self.to, subject=self.subject, name=name)
        self.octets = (head + (MIME if raw else "") + "\r\n").encode() + self.body


class Lab:
    """raw: the program sends a message as it is given; else it makes one, of a subject,
    addresses and a body.  options: of the server's configuration, where the default is not
    what is tried."""

    def __init__(self, packages, shown, release="bookworm", raw=True, options=None):
        self.packages, self.shown, self.release, self.raw = packages, shown, release, raw
        self.options = options or {}

    def __enter__(self):
        need_server()
        if SALLYPORT == "standin":
            skip("this is about Sallyport's server")
        self.stack = contextlib.ExitStack()
        try:
            self.tmp = self.stack.enter_context(work())
            self.root = Root(self.tmp, self.packages, self.release)
            self.stack.callback(self.root.stop)
            self.version = self.root.versions(self.shown)
            self._server()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind:
                print(f"--- log of the server\n{self.srv.process.tail(40)}")
            else:
                self.srv.stop()
        finally:
            self.stack.close()

    def _server(self):
        srv = self.srv = Sallyport(self.tmp, **self.options)
        self.stack.callback(lambda: srv.process and srv.process.stop(signal.SIGKILL))
        call([SALLYPORT, "user", "add", "--data", srv.store, "carl", "--address",
              "carl@example.org", "--no-password"])
        for path in [srv.store, *srv.store.rglob("*")]:
            shutil.chown(path, "nobody", "nogroup")
        pki = self.tmp / "pki"
        ours, others = srv.certificates, Certificates(self.tmp / "others", "other")
        made = {"alice": ours.client("alice@example.org"), "carl": ours.client("carl@example.org"),
                "foreign": others.client("alice@example.org", "foreign"),
                "expired": ours.sign("expired", "/CN=alice", "email:alice@example.org",
                                     "clientAuth", days=-1)}
        pki.mkdir(mode=0o755)
        for name, (certificate, key) in made.items():
            shutil.copy(certificate, pki / f"{name}.pem")
            shutil.copy(key, pki / f"{name}.key")
            both = pki / f"{name}.both.pem"
            both.write_bytes(certificate.read_bytes() + key.read_bytes())
            for path in (both, pki / f"{name}.key"):
                os.chmod(path, 0o600)
        shutil.copy(srv.ca, pki / "ca.pem")
        self.pki, self.ca = pki, pki / "ca.pem"
        srv.start()

    # ---- one run ----

    def mail(self, sender="alice@example.org"):
        self.since = self.srv.log.stat().st_size
        return Mail(f"r{next(_numbers)}", sender, self.raw)

    def file(self, name, content):
        """A file that only its owner reads, as the program's manual wants it."""
        path = self.tmp / name
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def p12(self, name):
        """Certificate and key as one file with a password, for programs that want that."""
        path = self.pki / f"{name}.p12"
        if not path.exists():
            call(["openssl", "pkcs12", "-export", "-in", f"{self.pki}/{name}.pem", "-inkey",
                  f"{self.pki}/{name}.key", "-name", name, "-out", path, "-passout",
                  f"pass:{P12_PASSWORD}"])
            os.chmod(path, 0o644)
        return path

    def port(self, tls):
        return self.srv.tls_port if tls == "implicit TLS" else self.srv.port

    def sh(self, script, stdin=b"", seconds=60, ok=(0,)):
        """Run it; a status that is not in ok is a failure with its words and ours."""
        status, text = self.root.run(script, stdin, seconds)
        if status not in ok:
            raise Failed(self.words(f"ended with {status}", text))
        return text

    def words(self, what, text=""):
        shown = "\n".join("    > " + l for l in text.splitlines()[-25:])
        ours = "\n".join("    | " + l for l in self.log().splitlines()[-25:])
        return f"{what}\n{shown}\n{ours}"

    def log(self, since=None):
        with open(self.srv.log, "rb") as f:
            f.seek(self.since if since is None else since)
            return f.read().decode(errors="replace")

    def events(self, since=None):
        """(session, event, {key: value}) of this run's lines."""
        for line in self.log(since).splitlines():
            words = line.split(" ", 4)
            if len(words) == 5:
                with contextlib.suppress(ValueError):  # a quote in a value, cut off
                    pairs = shlex.split(words[4])
                    yield words[2], words[3], dict(p.partition("=")[::2] for p in pairs)

    def arrived(self, mail, how, said="", account="alice", seconds=30):
        """Check that it did, as it was given, by this account's login; what to show of the
        login.  how: "explicit", "implicit" or a mechanism (which is explicit)."""
        box = self.srv.mailbox(mail.name)
        try:
            got = box.wait(1, seconds)[0]
        except Failed as e:
            raise Failed(self.words(str(e), said)) from None
        if self.raw:
            check_same(mail.octets, got, completed=["Return-Path"])
        else:
            self.same_parts(mail, got)

        def ids():
            return {kv["id"] for _, event, kv in self.events()
                    if event == "message.delivered" and mail.to in kv.get("to", "")}
        ids = wait_until(ids, 10, "the line of the log that says so")
        sessions = [s for s, event, kv in self.events() if event == "message.accepted"
                    and kv["id"] in ids]
        check(len(sessions) == 1, self.words(f"{len(sessions)} sessions brought it", said))
        # Relays keep a session for their next message: the login may be an earlier run's.
        logins = [kv for s, event, kv in self.events(0) if s == sessions[0] and event == "login.ok"]
        check(logins, self.words("no login in the log", said))
        login = logins[-1]
        seen = f"{login['user']} by {login['mechanism']}, {login['how']}"
        check(login["user"] == account and how in (login["how"], login["mechanism"])
              and (how == login["how"] or login["how"] == "explicit"),
              self.words(f"{account}, {how} was meant; the log says {seen}", said))
        return login["mechanism"] if login["how"] == "explicit" else "implicit"

    def same_parts(self, mail, got):
        """The body is what was given, and so are From, To and Subject."""
        got = lf(got)
        header, _, body = got.partition(b"\n\n")
        check(body == lf(mail.body), f"the body differs:\n    {lf(mail.body)!r}\n    {body!r}")
        fields = [f.partition(b":") for f in harness._fields(header + b"\n")]
        have = {name.lower(): value.strip() for name, _, value in fields}
        check(have.get(b"subject") == mail.subject.encode(), f"Subject is {have.get(b'subject')}")
        for name, address in ((b"from", mail.sender), (b"to", mail.to)):
            check(address.encode() in have.get(name, b""), f"{name} is {have.get(name)}")

    def refused(self, mail, event, words, said=""):
        """Check that nothing arrived and that the log has this event, with these words in
        its reason (or in the reply that it names); returns what the log says."""
        time.sleep(0.3)
        events = list(self.events())
        check(not self.srv.mailbox(mail.name).messages() and
              not any(e == "message.accepted" for _, e, _ in events),
              self.words("something was accepted", said))
        hits = [why for _, e, kv in events if e == event
                for why in [kv.get("reason") or kv.get("reply", "")] if words in why]
        check(hits, self.words(f"no {event} with {words!r}", said))
        return hits[0]
