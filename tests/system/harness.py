"""harness.py - what every system test needs: a test frame, processes that are stopped
again, certificates, a server under test, Maildirs, and "is this the same message?".

    # sets: default
    from harness import *

    @test("a message arrives as it was sent")
    def _():
        with work() as tmp, server(tmp) as srv:
            clients.smtplib_(srv, MESSAGE)
            check_same(MESSAGE, srv.mailbox("bob").wait(1)[0])

    run()

Names that start with "sallyport" below are the program under test; $SALLYPORT names it.
With SALLYPORT=standin a small server by aiosmtpd takes its place (standin.py): that is
how the harness itself is tried, and its faults (standin.py --fault) prove that the tests
built on it can fail.

Everything is made below one folder that work() makes and removes; processes are stopped
by their own ids.  tests/runner.py fails a test that leaves a file or process behind.
"""
import atexit, contextlib, os, re, select, shutil, signal, socket, subprocess, sys, tempfile, time, traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # Debian's: aiosmtpd is installed for that one
SALLYPORT = os.environ.get("SALLYPORT", "")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sallyport"

# ---- the test frame: the same words as tests/t.h ----

_tests = []


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def test(name):
    def add(function):
        _tests.append((name, function))
        return function
    return add


def check(true, text):
    if not true:
        raise Failed(text)


def skip(reason):
    raise Skipped(reason)


def need_server():
    if not SALLYPORT:
        skip("this tree builds no sallyport program")


def need_root():
    if os.geteuid() != 0:
        skip("needs root (chroot, mount)")


def run():
    """Run the tests (or those whose names contain argv[1]; -l lists them) and exit."""
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = skipped = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that "with" blocks end
    for name, function in _tests:
        if only == "-l":
            print(name)
            continue
        if only not in name:
            continue
        try:
            function()
            passed += 1
        except Skipped as e:
            print(f"skipped: {name}: {e}")
            skipped += 1
        except Exception as e:  # any exception is a failed test, named as such
            if not isinstance(e, Failed):
                traceback.print_exc(file=sys.stdout)
            print(f"FAILED: {name}\n    {e}")
            failed += 1
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed else 0)


# ---- folders, ports, waiting ----

@contextlib.contextmanager
def work():
    """A folder for one test.  Others may pass through it: servers drop privileges."""
    outer = os.environ.get("SALLYPORT_TEST")
    if outer:
        os.chmod(outer, 0o711)
    tmp = Path(tempfile.mkdtemp(prefix="t-"))
    os.chmod(tmp, 0o711)
    try:
        yield tmp
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


_given = set()


def free_port():
    """A port of 127.0.0.1 that nothing listens on now, never the same one twice."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


@contextlib.contextmanager
def proxy(tmp, *argv, address="127.0.0.1"):
    """A SOCKS5 proxy of its own: (port, Process); its output names each host it connected to."""
    if not shutil.which("microsocks"):
        skip("microsocks is not installed")
    port = free_port()
    with Process("microsocks", ["microsocks", "-i", address, "-p", port, *argv], tmp / "proxy.log") as p:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def up():
            with socket.socket(family) as s:
                return s.connect_ex((address, port)) == 0
        p.wait_ready(up)
        yield port, p


def wait_until(true, seconds, what):
    """Poll until true() gives something true, and return that."""
    end = time.monotonic() + seconds
    while True:
        got = true()
        if got:
            return got
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def behind_asan(library):
    """LD_PRELOAD for this library: AddressSanitizer's own, where SALLYPORT has it, is first."""
    first = [l.split()[2] for l in call(["ldd", SALLYPORT]).splitlines() if "libasan" in l or "libubsan" in l]
    return " ".join([*first, str(library)])


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


# ---- processes ----

class Process:
    """A program with its output in a file; stopped by its id, with its children."""

    def __init__(self, name, argv, log, env=None, cwd=None):
        self.name, self.log = name, Path(log)
        with open(log, "ab") as out:
            self.p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                      stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                      env={**os.environ, **(env or {})})
        atexit.register(self.stop)

    @property
    def pid(self):
        return self.p.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def running(self):
        return self.p.poll() is None

    def wait_ready(self, ready, seconds=60):
        """Until ready() is true; a program that ends first is a failure with its words."""
        def done():
            if not self.running():
                raise Failed(f"{self.name} ended with {self.p.returncode}:\n{self.tail()}")
            return ready()
        try:
            wait_until(done, seconds, f"{self.name} to be ready")
        except Failed as e:
            self.stop()
            raise Failed(f"{e}\n{self.tail()}") from None

    def tail(self, lines=25):
        return "\n".join("    > " + l for l in self.output().splitlines()[-lines:])

    def stop(self, sig=signal.SIGTERM, seconds=60):
        """End it; returns the exit status (negative: the signal that ended it)."""
        atexit.unregister(self.stop)
        if self.running():
            self.p.send_signal(sig)
            try:
                self.p.wait(seconds)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
                raise Failed(f"{self.name} did not stop within {seconds} s\n{self.tail()}") from None
        return self.p.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def children(pid):
    """Ids of the processes whose parent is pid."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path("/proc", entry, "stat").read_text()
                if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(entry))
    return found


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def call(argv, stdin=b"", env=None, seconds=180, ok=(0,)):
    """Run a command to its end; its exit status must be one of ok.  Returns its output."""
    try:
        done = subprocess.run([str(a) for a in argv], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds,
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired as e:
        said = (e.output or b"").decode(errors="replace")[-1000:]
        raise Failed(f"{argv[0]} not finished after {seconds} s:\n{said}") from None
    text = done.stdout.decode(errors="replace")
    if done.returncode not in ok:
        shown = "\n".join("    > " + l for l in text.splitlines()[-25:])
        raise Failed(f"{Path(str(argv[0])).name} ended with {done.returncode}:\n{shown}")
    return text


# ---- certificates, by the openssl command: not our code ----

def terminal(argv, answers=(), env=None, rows=24, columns=80, seconds=120):
    """(exit status, what is shown) of a program on a terminal of that size.

    answers: pairs of what it asks (a part of it) and what is typed then, once each; with
    the third part true only when the echo is off, as some throw away what came before.
    """
    import fcntl, pty, struct, termios
    pid, fd = pty.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(str(argv[0]), [str(a) for a in argv], {**os.environ, "TERM": "xterm", **(env or {})})
        os._exit(127)
    shown, asked, end = b"", list(answers), time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    shown += os.read(fd, 65536)
                except OSError:  # how Linux says that nobody has the other side any more
                    break
            for one in [a for a in asked if a[0].encode() in shown]:
                if not one[2:] or not termios.tcgetattr(fd)[3] & termios.ECHO:
                    asked.remove(one)
                    os.write(fd, one[1].encode() + b"\n")
        else:
            os.kill(pid, signal.SIGKILL)
            raise Failed(f"{argv[0]} did not end: {shown.decode(errors='replace')}")
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(fd)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace")


class Certificates:
    """A CA below folder, and what it signs.  P-256: made in milliseconds."""

    def __init__(self, folder, name="ca"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.ca_key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self._openssl("req", "-x509", *self._new_key(self.ca_key), "-days", 30, "-subj",
                      f"/CN=Test authority {name}", "-out", self.ca,
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _new_key(self, path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", path]

    def _openssl(self, *argv):
        call(["openssl", *argv])

    def sign(self, name, subject, san, purpose, days=30):
        """Returns (certificate, key); days may be negative: already expired."""
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text("basicConstraints=CA:false\nkeyUsage=digitalSignature\n"
                              f"extendedKeyUsage={purpose}\nsubjectAltName={san}\n")
        self._openssl("req", "-new", *self._new_key(key), "-subj", subject, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key,
                      "-CAcreateserial", "-extfile", extensions, "-days", days, "-out", cert)
        os.chmod(key, 0o644)  # peers in roots of their own read it as other users
        return cert, key

    def server(self, name="server"):
        return self.sign(name, "/CN=localhost", "DNS:localhost,IP:127.0.0.1,IP:::1", "serverAuth")

    def client(self, address, name=None):
        return self.sign(name or address.split("@")[0], f"/CN={address.split('@')[0]}",
                         f"email:{address}", "clientAuth")


# ---- messages ----

# Fields that servers put in front of a message; nothing else may differ.
ADDED = {b"return-path", b"received", b"delivered-to", b"x-original-to", b"envelope-to",
         b"delivery-date", b"received-spf"}


def _fields(header):
    """The fields of a header with LF ends, continuation lines included."""
    return re.findall(rb"[^\n]*\n(?:[ \t][^\n]*\n)*", header)


def without_added(delivered):
    """A delivered message without the fields that were put in front of it on the way."""
    position = 0
    for field in _fields(delivered.partition(b"\n\n")[0] + b"\n"):
        if field.split(b":")[0].strip().lower() not in ADDED:
            break
        position += len(field)
    return delivered[position:]


def lf(message):
    """CRLF to LF: mailboxes may keep either.  A submission holds no bare CR or LF, so
    this loses nothing."""
    return message.replace(b"\r\n", b"\n")


def field_names(message):
    if not has_header(message):
        return []
    header = lf(message).partition(b"\n\n")[0] + b"\n"
    return [f.split(b":")[0].strip().lower() for f in _fields(header)]


def without_fields(message, unwanted):
    """An LF message without the fields for which unwanted(name, value) is true."""
    header, gap, body = message.partition(b"\n\n")
    kept = []
    for field in _fields(header + b"\n"):
        name, _, value = field.partition(b":")
        if not unwanted(name.strip().lower(), value.strip()):
            kept.append(field)
    if not kept and gap:
        return b"\n" + body  # nothing but the empty line that ends a header
    return b"".join(kept).removesuffix(b"\n") + gap + body


def has_header(message):
    return re.match(rb"[!-9;-~]+[ \t]*:", message)


def check_same(submitted, delivered, completed=(), removed=()):
    """Byte for byte, but for fields put in front, those named in completed (Date and
    such, which a submission server adds when they are missing or empty) and those named
    in removed (Bcc)."""
    want, got = lf(submitted), lf(delivered)
    if not want.endswith(b"\n"):
        want += b"\n"
    mbox = re.match(rb"From [^\n]*\n(?=[!-9;-~]+[ \t]*:)", want)
    if mbox and "From " in removed:
        want = want[mbox.end():]
    if not has_header(want) and not want.startswith(b"\n"):
        want = b"\n" + want  # all of it is body
    completed = {n.lower().encode() for n in completed}
    removed = {n.lower().encode() for n in removed}
    want = without_fields(want, lambda name, value: name in removed
                          or name in completed and not value)
    added = completed - set(field_names(want))
    got = without_fields(got, lambda name, _: name in added)
    # A message that itself begins with such fields (a forwarded one) loses them alike.
    want, got = without_added(want), without_added(got)
    if want == got:
        return
    at = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
    raise Failed(f"delivered message differs at octet {at} of {len(want)} "
                 f"({len(got)} delivered):\n    sent      {want[max(0, at - 40):at + 40]!r}\n"
                 f"    delivered {got[max(0, at - 40):at + 40]!r}")


class Maildir:
    """Reads what was delivered.  Messages in arrival order as far as the clock tells."""

    def __init__(self, path):
        self.path = Path(path)

    def files(self):
        found = []
        for sub in ("new", "cur"):
            with contextlib.suppress(FileNotFoundError):
                found += [e for e in os.scandir(self.path / sub) if e.is_file()]
        return [e.path for e in sorted(found, key=lambda e: (e.stat().st_mtime_ns, e.name))]

    def messages(self):
        return [Path(f).read_bytes() for f in self.files()]

    def wait(self, count, seconds=60):
        """The messages, once there are count of them; more than that is a failure."""
        wait_until(lambda: len(self.files()) >= count, seconds,
                   f"{count} messages in {self.path} ({len(self.files())} there)")
        got = self.messages()
        check(len(got) == count, f"{len(got)} messages in {self.path}, not {count}")
        return got

    def clear(self):
        for f in self.files():
            os.unlink(f)


# ---- the server under test ----

class Server:
    """What a client needs to know of a running submission server."""
    host = "localhost"
    user, password = "alice", "correct horse battery staple"
    address = "alice@example.org"
    local_domain = "example.org"
    # What a submission server adds where it is missing, and what it takes out.
    completes = ["From", "Sender", "Date", "Message-ID", "MIME-Version"]
    removes = ["Bcc", "Resent-Bcc", "Return-Path", "From "]  # the last: a mailbox file's line

    def __init__(self, tmp, name):
        self.tmp, self.data = Path(tmp), Path(tmp) / name
        self.data.mkdir()
        os.chmod(self.data, 0o755)
        self.port, self.tls_port = free_port(), free_port()
        self.certificates = Certificates(self.data / "pki")
        self.ca = self.certificates.ca
        self.certificate, self.key = self.certificates.server()
        self.client_certificate, self.client_key = self.certificates.client(self.address)
        self.password_file = self.data / "password"
        self.password_file.write_text(self.password + "\n")
        os.chmod(self.password_file, 0o600)
        self.log, self.process = self.data / "log", None

    def start(self):
        before = self.starts()
        self.process = Process(self.name, self.command(), self.log)
        self.process.wait_ready(lambda: self.starts() > before)
        return self

    def starts(self):
        """How often the log (which a restart continues) says that the server is ready."""
        return len(re.findall(rb"^\S+ supervisor - ready ", self.log.read_bytes(), re.M)) \
            if self.log.exists() else 0

    def stop(self, sig=signal.SIGTERM):
        status = self.process.stop(sig)
        check(status == 0, f"{self.name} ended with {status}\n{self.process.tail()}")

    def restart(self):
        self.stop()
        return self.start()

    def roles(self):
        """(id, role) of the children of the supervisor."""
        found = []
        for pid in children(self.process.pid):
            hit = re.search(r"(?:sallyport: |role )([a-z-]+)", command_line(pid))
            found.append((pid, hit[1] if hit else "?"))
        return found

    def mailbox(self, user):
        return Maildir(self.data / "mail" / self.local_domain / user)


class Sallyport(Server):
    """routes and more: text of the configuration, see sallyport.conf(5)."""
    name = "sallyport"

    def __init__(self, tmp, routes="", more="", listener="", recipients="any"):
        super().__init__(tmp, "sallyport")
        owner = "nobody" if os.geteuid() == 0 else None
        store = self.data / "data"
        store.mkdir(mode=0o750)
        if owner:
            shutil.chown(store, owner, "nogroup")
        self.store = store
        self.config = self.data / "sallyport.conf"
        self.config.write_text(
            f"hostname = mail.example.org\ndata-directory = {store}\n"
            f"local-domains = {self.local_domain}\nlocal-recipients = {recipients}\n"
            + ("user = nobody\ngroup = nogroup\n" if owner else "")
            + f"{more}\n"
            f"tls main {{\n    certificate = {self.certificate}\n    key = {self.key}\n}}\n"
            + self._listener("submission", self.port, "starttls", listener)
            + self._listener("submissions", self.tls_port, "implicit", listener)
            + routes)
        call([SALLYPORT, "user", "add", "--data", store, self.user, "--address",
              self.address, "--password-file", self.password_file])
        if owner:
            for path in [store, *store.rglob("*")]:
                shutil.chown(path, owner, "nogroup")

    def _listener(self, name, port, tls, more):
        return (f"listener {name} {{\n    address = 127.0.0.1:{port}\n    tls = {tls}\n"
                f"    client-ca = {self.ca}\n{more}\n}}\n")

    def command(self):
        return [SALLYPORT, "serve", "--config", self.config]

    def mailbox(self, user):
        return Maildir(self.store / "mail" / self.local_domain / user)


class StandIn(Server):
    """aiosmtpd in Sallyport's place: see standin.py for its faults."""
    name = "standin"
    completes = removes = []

    def __init__(self, tmp, fault="none", **_):
        super().__init__(tmp, "standin")
        self.fault = fault

    def start(self):
        self.process = Process(self.name, self.command(), self.log)
        self.process.wait_ready(lambda: port_open(self.port) and port_open(self.tls_port))
        return self

    def command(self):
        return [PYTHON, HERE / "standin.py", "--port", self.port, "--tls-port", self.tls_port,
                "--certificate", self.certificate, "--key", self.key, "--client-ca", self.ca,
                "--user", self.user, "--password-file", self.password_file,
                "--mail", self.data / "mail", "--fault", self.fault]


@contextlib.contextmanager
def server(tmp, **options):
    """The server under test, running; afterwards it must end cleanly when told to."""
    need_server()
    srv = StandIn(tmp, **options) if SALLYPORT == "standin" else Sallyport(tmp, **options)
    srv.start()
    try:
        yield srv
    except BaseException:
        srv.process.stop(signal.SIGKILL)
        print(f"--- log of {srv.name}\n{srv.process.tail(40)}")
        raise
    srv.stop()
