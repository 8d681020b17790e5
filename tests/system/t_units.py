#!/usr/bin/python3
# sets: default
# timeout: 300
"""systemd: its units as systemd-analyze judges them, and what it and the service say to each
other, with sockets and programs as systemd uses them (systemd itself need not run)."""
import ctypes, ctypes.util, fcntl, shutil, signal, socket, subprocess, sys, threading, time
from harness import *
from wire import *

UNITS = {"debian/sallyport.service": 2.5, "examples/systemd/sallyport-user.service": 1.9}
SOCKETS = sorted((ROOT / "examples/systemd").glob("*.socket"))


def needs(program):
    if not shutil.which(program):
        skip(f"{program} is not installed")


def analyze(*argv, ok=(0,)):
    return call(["systemd-analyze", "--no-pager", *argv], ok=ok)


def settings(unit, name):
    return re.findall(rf"^{name}=(.*)$", (ROOT / unit).read_text(), re.M)


class Notify(threading.Thread):
    """What a service tells systemd: datagrams at NOTIFY_SOCKET."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.s, self.said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), []
        self.s.bind("\0" + path[1:] if path[0] == "@" else path)
        if path[0] != "@":
            os.chmod(path, 0o666)
        self.start()

    def run(self):
        while True:
            self.said.append(self.s.recv(4096).decode().split("\n"))

    def count(self, word):
        return sum(word in lines for lines in self.said)


@test("systemd-analyze: exposure of both units stays low, and they verify")
def _():
    needs("systemd-analyze")
    with work() as tmp:
        for unit in [*UNITS, *SOCKETS]:
            text = (ROOT / unit).read_text().replace("/usr/bin/sallyport", "/bin/true")
            (tmp / Path(unit).name).write_text(re.sub("(?m)^Documentation=.*\n", "", text))
        for unit, most in UNITS.items():
            last = analyze("security", "--offline=yes", tmp / Path(unit).name).splitlines()[-1]
            found = re.search(r": ([0-9.]+)", last)
            check(found and float(found[1]) <= most, f"{unit}: {last}, at most {most} is wanted")
        said = analyze("verify", *(tmp / Path(u).name for u in [*UNITS, *SOCKETS]))
        check(not said.strip(), said)


def expand(words):
    """The system calls that a line of SystemCallFilter= names."""
    for word in words:
        if word[0] != "@":
            yield word
            continue
        lines = [l.strip() for l in analyze("syscall-filter", word).splitlines()[1:]]
        yield from expand([l for l in lines if l and l[0] != "#"])


def allowed(unit):
    have = set()
    for line in settings(unit, "SystemCallFilter"):
        names = set(expand(line.lstrip("~").split()))
        have = have - names if line[0] == "~" else have | names
    return have


def within(names):
    """Makes this process one of such a unit: every other call is answered with EPERM."""
    lib = ctypes.CDLL(ctypes.util.find_library("seccomp"))
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_init.argtypes = [ctypes.c_uint32]
    lib.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    lib.seccomp_load.argtypes = [ctypes.c_void_p]
    f = lib.seccomp_init(0x00050001)
    for name in names:
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            check(lib.seccomp_rule_add(f, 0x7FFF0000, number, 0) == 0, name)
    check(lib.seccomp_load(f) == 0, "the filter was not taken")


@test("within the unit's filter of system calls the service starts, locks in and takes mail")
def _():
    needs("systemd-analyze")
    for unit in UNITS if os.geteuid() == 0 else list(UNITS)[1:]:  # the first is for root
        with work() as tmp:
            srv = Sallyport(tmp)
            names = allowed(unit)
            if os.geteuid() == 0:  # here it changes its user; as User=sallyport it would not
                names |= set(expand(["@setuid"]))
            names = ",".join(sorted(names))
            check(names.count(",") > 150, f"only {names}")
            inner = [str(w) for w in srv.command()]
            srv.command = lambda: [PYTHON, __file__, "--within", names, *inner]
            os.environ["ASAN_OPTIONS"] = "detect_leaks=0"  # its leak checker is a debugger
            try:
                srv.start()
                with inside(srv) as w:
                    w.mail()
                    w.rcpt(f"bob@{srv.local_domain}")
                    w.submit(message("within"))
                srv.mailbox("bob").wait(1)
                check("sandbox.missing" not in srv.process.output(), "not locked in")
                check("sandbox.refused" not in srv.process.output(), "refused")
            finally:
                del os.environ["ASAN_OPTIONS"]
                srv.stop()


@test("NOTIFY_SOCKET: READY when all roles are, RELOADING and READY, STOPPING; WATCHDOG goes on, roles know nothing of it")
def _():
    for where in ("path", "abstract"):
        with work() as tmp:
            srv = Sallyport(tmp)
            path = str(tmp / "notify") if where == "path" else f"@sallyport-test-{os.getpid()}-{free_port()}"
            n = Notify(path)
            os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="600000")
            try:
                srv.start()
            finally:
                for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
                    del os.environ[name]
            try:
                wait_until(lambda: n.count("READY=1") == 1, 60, "READY")
                check("supervisor - ready" in srv.process.output(), "READY before it was")
                before = n.count("WATCHDOG=1")
                wait_until(lambda: n.count("WATCHDOG=1") > before + 3, 60, "WATCHDOG")
                for pid, role in srv.roles():
                    seen = Path(f"/proc/{pid}/environ").read_bytes()
                    check(b"NOTIFY_SOCKET" not in seen and b"WATCHDOG" not in seen, f"{role} could speak for the service")
                os.kill(srv.process.pid, signal.SIGHUP)
                wait_until(lambda: n.count("READY=1") == 2, 60, "READY behind the reload")
                order = [l[0] for l in n.said if l[0] != "WATCHDOG=1"]
                check(order == ["READY=1", "RELOADING=1", "READY=1"], f"{order}")
                text = srv.config.read_text()
                srv.config.write_text(text + "\nno-such-key = 1\n")
                os.kill(srv.process.pid, signal.SIGHUP)
                wait_until(lambda: n.count("READY=1") == 3, 60, "READY behind a refused reload")
                check("refused" in n.said[[i for i, l in enumerate(n.said) if "READY=1" in l][-1]][1], "not said to be refused")
                srv.config.write_text(text)
                os.kill(srv.process.pid, signal.SIGSTOP)  # a loop that hangs
                time.sleep(1)
                before = n.count("WATCHDOG=1")
                time.sleep(1)
                check(n.count("WATCHDOG=1") == before, "alive though it hangs")
                os.kill(srv.process.pid, signal.SIGCONT)
                wait_until(lambda: n.count("WATCHDOG=1") > before, 60, "WATCHDOG again")
            finally:
                srv.stop()
            wait_until(lambda: n.count("STOPPING=1"), 20, "STOPPING")


def passed(srv, tmp, *sockets, names):
    """srv with sockets as systemd passes them: from descriptor 3 on."""
    inner = [str(w) for w in srv.command()]
    srv.command = lambda: [PYTHON, __file__, "--passed", names, ",".join(str(s.fileno()) for s in sockets), *inner]
    for s in sockets:
        s.set_inheritable(True)
    popen = subprocess.Popen
    subprocess.Popen = lambda *a, **k: popen(*a, **{**k, "close_fds": False})
    try:
        srv.start()
    finally:
        subprocess.Popen = popen


@test("LISTEN_FDS: a passed socket serves the listener of its name, over a reload, and nothing is lost between two runs")
def _():
    with work() as tmp:
        s = socket.create_server(("127.0.0.1", 0))
        stray, plain = socket.create_server(("127.0.0.1", 0)), socket.socket()
        srv = Sallyport(tmp)
        own = srv.port
        name = re.search(r"^listener \"?([\w-]+)", srv.config.read_text(), re.M)[1]
        srv.port = s.getsockname()[1]
        passed(srv, tmp, s, stray, plain, names=f"{name}:nobody:bad")
        try:
            wait_until(lambda: "supervisor - ready" in srv.process.output(), 60, "ready")
            check(not port_open(own), "the address of the configuration was opened beside it")
            said = srv.process.output()
            check("name=nobody" in said and "(bad) is not used" in said, said)
            for _ in range(2):
                with inside(srv) as w:
                    w.mail()
                os.kill(srv.process.pid, signal.SIGHUP)
                wait_until(lambda: " reload " in srv.process.output(), 60, "the reload")
        finally:
            srv.process.stop()
        late = socket.create_connection(s.getsockname())  # systemd keeps it: the next run answers
        passed(srv, tmp, s, names=name)
        try:
            late.settimeout(60)
            check(late.recv(100).startswith(b"220 "), "who came between two runs is not served")
        finally:
            srv.stop()


if sys.argv[1:2] == ["--within"]:
    within(sys.argv[2].split(","))
    os.execv(sys.argv[3], sys.argv[3:])
if sys.argv[1:2] == ["--passed"]:
    fds = [int(n) for n in sys.argv[3].split(",")]
    high = [fcntl.fcntl(n, fcntl.F_DUPFD, 100) for n in fds]
    for at, n in enumerate(high):
        os.dup2(n, 3 + at)
        os.close(n)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
    os.execv(sys.argv[4], sys.argv[4:])
run()
