#!/usr/bin/python3
# sets: default
# timeout: 400
"""What is left in the memory of the processes once somebody has logged in: root reads all of it.

Of a build with sanitizers that says nothing: it keeps what was freed.  For the release
build: ./run-tests --binary FILE memory.
"""
import secrets
from harness import *
from wire import *

SANITIZED = b"__asan_init" in Path(SALLYPORT).read_bytes() if SALLYPORT else True


def release_only():
    need_root()
    if SANITIZED:
        skip("a build with sanitizers keeps what was freed")


def memory(pid):
    """Everything that is mapped and can be read; what no one else may see included."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if "r" not in rights or "[v" in line or end - start > 1 << 32:  # vdso; a sanitizer's shadow
                continue
            with contextlib.suppress(OSError, ValueError, OverflowError):
                mem.seek(start)
                while start < end:
                    octets = mem.read(min(1 << 22, end - start))
                    if not octets:
                        break
                    yield start, line.split()[-1], octets
                    start += len(octets)


def found(srv, needles):
    """(role, needle, where) of each needle that some process of the service still holds."""
    hits = []
    for pid, role in [(srv.process.pid, "supervisor"), *srv.roles()]:
        for start, what, octets in memory(pid):
            hits += [(role, name, f"{start + octets.find(n):x} {what} {octets[max(0, octets.find(n) - 24):][:100]!r}")
                     for name, n in needles.items() if n in octets]
    return hits


def encoded(secret):
    """How base64 shows it, whatever stands before it: only the part that does not depend on that."""
    return {f"base64+{n}": base64.b64encode(b"\0" * n + secret)[(n * 8 + 5) // 6:-4] for n in range(3)}


def log_in(srv, mechanism, password):
    w = inside(srv, login=False)
    if mechanism == "PLAIN":
        w.expect(235, "AUTH PLAIN " + b64(f"\0{srv.user}\0{password}"))
    else:
        w.expect(334, "AUTH LOGIN")
        w.expect(334, b64(srv.user))
        w.expect(235, b64(password))
    return w


@test("a password that somebody logged in with is in no process any more, while he is logged in and after")
def _():
    release_only()
    password = "Pw-" + secrets.token_hex(16)
    needles = {"password": password.encode(), **encoded(password.encode())}
    with work() as tmp, server(tmp, more="server-processes = 1\n") as srv:
        (tmp / "new").write_text(password + "\n")
        call([SALLYPORT, "user", "password", "--data", srv.store, srv.user, "--password-file", tmp / "new"])
        for mechanism in ("PLAIN", "LOGIN"):
            w = log_in(srv, mechanism, password)
            w.mail()
            w.rcpt()
            w.submit(message(f"by {mechanism}"))
            hits = found(srv, needles)
            check(not hits, f"logged in by {mechanism}: {hits}")
            w.expect(221, "QUIT")
        wrong = "Pw-" + secrets.token_hex(16)
        w = inside(srv, login=False)
        w.expect(535, "AUTH PLAIN " + b64(f"\0{srv.user}\0{wrong}"))
        hits = found(srv, {"wrong password": wrong.encode(), **encoded(wrong.encode()), **needles})
        check(not hits, f"afterwards: {hits}")


@test("the text of the TLS key is in the supervisor only, which hands it out; a server has it parsed, in locked memory")
def _():
    release_only()
    with work() as tmp, server(tmp, more="server-processes = 1\n") as srv:
        line = srv.key.read_bytes().splitlines()[1]
        inside(srv)
        hits = {role for role, *_ in found(srv, {"key": line})}
        check(hits == {"supervisor"}, f"found in {hits}")
        for pid, role in [(srv.process.pid, "supervisor"), *srv.roles()]:
            locked = re.search(r"^VmLck:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
            check(int(locked[1]) >= 4096, f"{role} has locked {locked[1]} kB")
            check(re.search(r"Max core file size +0 +0 ", Path(f"/proc/{pid}/limits").read_text()), role)
            check(os.stat(f"/proc/{pid}/mem").st_uid == 0, f"{role} can be traced by its own user")


@test("the search can find: what a client says that is no secret is there")
def _():
    need_root()
    name = "client-" + secrets.token_hex(8) + ".example"
    with work() as tmp, server(tmp, more="server-processes = 1\n") as srv:
        w = Wire(srv)
        w.expect(250, f"EHLO {name}")
        hits = {role for role, *_ in found(srv, {"name": name.encode()})}
        check(hits == {"server"}, f"found in {hits}")


run()
