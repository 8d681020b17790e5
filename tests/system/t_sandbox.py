#!/usr/bin/python3
# sets: default
# timeout: 600
"""A role that was taken over: a debugger makes it ask the kernel for what it has no right
to.  Each such call must end the process, be named in the log, and cost nobody a message.

A build with sanitizers forbids less (sandbox.h); what only the release build refuses is
tried when that is the build under test: ./run-tests --binary FILE sandbox.
"""
import concurrent.futures, errno, platform, types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
SANITIZED = b"__asan_init" in Path(SALLYPORT).read_bytes() if SALLYPORT else True
NR = {"openat": 257, "socket": 41, "execve": 59, "ptrace": 101, "mprotect": 10, "fork": 57, "kill": 62,
      "process_vm_readv": 310, "setuid": 105, "clone": 56, "io_uring_setup": 425, "unlink": 87}
CREATE, AT_FDCWD, INET, UNIX = 0o1101, -100, 2, 1
# (role, call, arguments, also refused by a build with sanitizers)
TRIED = [
    ("server", "execve", '"/bin/true", 0, 0', True),
    ("server", "ptrace", "16, 1, 0, 0", True),
    ("server", "process_vm_readv", "1, 0, 0, 0, 0, 0", True),
    ("server", "socket", f"{INET}, 1, 0", True),
    ("server", "socket", f"{UNIX}, 1, 0", True),
    ("server", "openat", f'{AT_FDCWD}, "/etc/passwd", 0, 0', False),
    ("server", "mprotect", "(long)$sp & ~4095L, 4096, 7", False),
    ("server", "fork", "", False),
    ("server", "clone", "17, 0, 0, 0, 0", False),
    ("server", "kill", "1, 0", False),
    ("server", "setuid", "0", False),
    ("server", "io_uring_setup", "1, 0", True),
    ("auth", "execve", '"/bin/true", 0, 0', True),
    ("auth", "socket", f"{INET}, 1, 0", False),
    ("auth", "ptrace", "16, 1, 0, 0", True),
    ("queue", "socket", f"{INET}, 1, 0", True),
    ("queue", "execve", '"/bin/true", 0, 0', True),
    ("queue", "process_vm_readv", "1, 0, 0, 0, 0, 0", True),
    ("delivery", "execve", '"/bin/true", 0, 0', True),
    ("delivery", "openat", f'{AT_FDCWD}, "/tmp/x", {CREATE}, 0600', False),
    ("delivery", "unlink", '"/tmp/x"', False),
    ("delivery", "ptrace", "16, 1, 0, 0", True),
    ("local", "socket", f"{INET}, 1, 0", True),
    ("local", "execve", '"/bin/true", 0, 0', True),
]


def pid_of(role):
    """None while there is none that has come as far as to be locked in."""
    with contextlib.suppress(OSError):
        return next((p for p, r in HOLD.srv.roles() if r == role
                     and "Seccomp:\t2" in Path(f"/proc/{p}/status").read_text()), None)


def ask(pid, call_, arguments):
    """What the debugger says of the system call that it makes the process make."""
    words = f"call (long)syscall({NR[call_]}{', ' if arguments else ''}{arguments})"
    return call(["gdb", "-nx", "--readnever", "-batch", "-p", str(pid), "-ex", "handle SIGSYS nostop noprint pass",
                 "-ex", words], ok=range(256), seconds=60)


def log():
    return HOLD.srv.log.read_text(errors="replace")


@test("what a role has no right to ends it, is named in the log, and the next process serves")
def _():
    def attack(which):  # roles at a time: one that goes on dying is started ever more slowly
        for role, what, arguments, always in TRIED:
            if role == which and (always or not SANITIZED):
                one(role, what, arguments)

    def one(role, what, arguments):
        pid = wait_until(lambda: pid_of(role), 30, f"a {role} that is locked in")
        before = log().count(f"sandbox.refused role={role} call={what} ")
        said = ask(pid, what, arguments)
        wait_until(lambda: log().count(f"sandbox.refused role={role} call={what} ") > before, 20,
                   f"the end of {role} by {what}({arguments}):\n{said[-600:]}")
        wait_until(lambda: pid_of(role) not in (None, pid), 30, f"no new {role}")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [pool.submit(attack, role) for role in sorted({t[0] for t in TRIED})]:
            done.result()
    print(f"{sum(always or not SANITIZED for *_x, always in TRIED)} calls refused, "
          f"{'a build with sanitizers' if SANITIZED else 'release build'}")
    with inside(HOLD.srv) as w:
        w.mail()
        w.rcpt()
        w.submit(message("after all of them"))
    HOLD.srv.mailbox("bob").wait(1)


def errors(pid, calls, thread=1):
    """What openat() of each says inside that process: a descriptor, or an error's name."""
    words = ["-ex", f"thread {thread}"]
    for path, flags in calls:
        words += ["-ex", f'call (long)syscall({NR["openat"]}, {AT_FDCWD}, "{path}", {flags}, 0600)',
                  "-ex", "call *((int *(*)(void))__errno_location)()"]
    said = call(["gdb", "-nx", "--readnever", "-batch", "-p", str(pid), "-ex", "handle SIGSYS nostop noprint pass",
                 *words], ok=range(256), seconds=60)
    got = [int(n) for n in re.findall(r"^\$\d+ = (-?\d+)$", said, re.M)]
    check(len(got) == 2 * len(calls), f"the debugger says:\n{said[-1500:]}")
    return ["opened" if fd >= 0 else errno.errorcode[e] for fd, e in zip(got[::2], got[1::2])]


def secrets():
    """Of whom each is, and where.  All of one user here, so that it is not the permissions that refuse."""
    srv = HOLD.srv
    store = srv.store
    mine = {"tls": srv.data / "copied.key", "dkim": srv.data / "dkim.key", "config": srv.data / "sallyport.conf",
            "auth": store / "users/users.db", "queue": store / "queue/spool.db",
            "local": next((store / "mail").rglob("new/*"))}
    shutil.copy(srv.key, mine["tls"])
    mine["dkim"].write_text("a key\n")
    for name in ("tls", "dkim", "config"):
        shutil.chown(mine[name], "nobody")
    readable = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "test", "-r"]
    for path in mine.values():
        call([*readable, path])
    return mine


@test("no role opens the secrets of another, though all have the same user; each opens its own")
def _():
    with inside(HOLD.srv) as w:
        w.mail()
        w.rcpt()
        w.submit(message("for the mailbox"))
    HOLD.srv.mailbox("bob").wait(1)
    of = secrets()
    # A server may not even ask, where it is not a build with sanitizers: shown above.
    for role in ("auth", "queue", "local", "delivery", *(["server"] if SANITIZED else [])):
        pid = wait_until(lambda: pid_of(role), 30, f"a {role}")
        owners = list(of)
        said = dict(zip(owners, errors(pid, [(of[o], 0) for o in owners])))
        want = {o: "opened" if o == role else "EACCES" for o in owners}
        check(said == want, f"{role}: {said}")
        folder = HOLD.srv.store / "mail" / "planted"
        if role in ("auth", "queue"):
            check(errors(pid, [(folder, CREATE)]) == ["EACCES"] and not folder.exists(), f"{role} made {folder}")
        check(pid_of(role) == pid, f"{role} did not survive")


@test("every thread of a role is confined, not only the first")
def _():
    pid = wait_until(lambda: pid_of("queue"), 30, "a queue")
    threads = len(os.listdir(f"/proc/{pid}/task"))
    check(threads > 1, "the queue has one thread only: nothing to see here")
    for n in range(1, threads + 1):
        said = errors(pid, [(HOLD.srv.store / "users/users.db", 0)], thread=n)
        check(said == ["EACCES"], f"thread {n} of {threads}: {said}")


@test("a folder of mailboxes that comes later: its role starts anew and delivers")
def _():
    srv = HOLD.srv
    late = srv.data / "late"
    was = srv.config.read_text()
    srv.config.write_text(was + "route late {\n    match = late.test\n    to = maildir\n"
                          f"    path = {late}/%u\n}}\n")
    generation = log().count("generation=")
    os.kill(srv.process.pid, signal.SIGHUP)
    wait_until(lambda: log().count("generation=") > generation, 20, "the reload")
    before = pid_of("local")
    check(not late.exists(), "made by a role that has no right to")
    late.mkdir()
    shutil.chown(late, "nobody", "nogroup")
    wait_until(lambda: pid_of("local") not in (None, before), 30, "another local")
    with inside(srv) as w:
        w.mail()
        w.rcpt("carl@late.test")
        w.submit(message("for the late folder"))
    wait_until(lambda: list(late.rglob("new/*")), 30, "the delivery")
    srv.config.write_text(was)


@test("what a role has a right to is answered: the test can tell the difference")
def _():
    for role, what, arguments in (("delivery", "socket", f"{INET}, 1, 0"),
                                  ("queue", "openat", f'{AT_FDCWD}, "/dev/null", 0, 0'),
                                  ("local", "openat", f'{AT_FDCWD}, "/dev/null", 0, 0')):
        pid = pid_of(role)
        said = ask(pid, what, arguments)
        check(re.search(r"\$1 = \d+", said) and pid_of(role) == pid, f"{role} {what}: {said[-600:]}")


@test("no new privileges, no core files, no memory that others may read")
def _():
    for pid, role in HOLD.srv.roles():
        status = Path(f"/proc/{pid}/status").read_text()
        check("NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, f"{role}: {status}")
        check(re.search(r"Max core file size +0 +0 ", Path(f"/proc/{pid}/limits").read_text()), role)
        check(os.stat(f"/proc/{pid}/mem").st_uid == 0, f"{role} can be traced by its own user")
        check("CapEff:\t0000000000000000" in status or os.geteuid() != 0, f"{role} has capabilities")


@test("a configuration that needs more rights starts its role anew; what is in flight is finished")
def _():
    srv = HOLD.srv
    before = pid_of("delivery")
    token = srv.data / "token.sh"
    token.write_text("#!/bin/sh\necho token\n")
    token.chmod(0o755)
    text = srv.config.read_text()
    srv.config.write_text(text + "route hop {\n    match = far.example\n    to = smarthost\n    host = localhost\n"
                          f"    user = alice\n    token-command = {token}\n}}\n")
    said = call([SALLYPORT, "config", "check", "--config", srv.config])
    os.kill(srv.process.pid, signal.SIGHUP)
    wait_until(lambda: pid_of("delivery") not in (None, before), 30, f"another process\n{said}")
    check("role.again" in log() and "role=delivery" not in "".join(
        l for l in log().splitlines() if "role.died" in l and "status=\"exit 0\"" in l), log()[-2000:])
    explained = call([SALLYPORT, "serve", "--explain-sandbox", "--config", srv.config])
    part = explained.split("delivery:")[1].split("local:")[0]
    check("files   as the permissions say" in part, part)
    queue = explained.split("queue:")[1].split("delivery:")[0]
    check(f"files   writes {srv.store}/queue\n" in queue and "users" not in queue, queue)
    check(re.search(r"^kernel: Landlock version \d+$", explained, re.M), explained)
    check("may     start programs" in part and "may not start programs" in explained.split("auth:")[0], explained)


@test("serve --explain-sandbox names each role and what it may")
def _():
    said = call([SALLYPORT, "serve", "--explain-sandbox", "--config", "/dev/null"])
    for role in ("server", "auth", "queue", "delivery", "local"):
        check(re.search(rf"^{role}: \d+ system calls", said, re.M), said)
    server_part = said.split("auth:")[0]
    check("may not open sockets" in server_part and "may not open files" in server_part, said)


if os.geteuid() != 0 or not shutil.which("gdb") or platform.machine() != "x86_64":
    @test("roles as they are confined")
    def _():
        skip("root, gdb and x86-64 are needed to act inside a role")
    run()
else:
    with work() as tmp, server(tmp, more="server-processes = 1\n") as HOLD.srv:
        run()
