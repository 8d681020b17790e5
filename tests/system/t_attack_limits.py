#!/usr/bin/python3
# sets: default
# timeout: 300
"""Clients that take without giving: silence, one octet now and then, too many sessions, a
message of 60 MB.  A normal user beside them notices nothing."""
import contextlib, re, socket, time
from harness import *
from wire import *


def send_one(srv, name="normal"):
    """A normal user's message; returns the seconds it took."""
    start = time.monotonic()
    with inside(srv) as w:
        w.mail()
        w.rcpt()
        w.submit(message(name))
    return time.monotonic() - start


def peak_kb(pid):
    return int(re.search(r"^VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1])


@test("silence is 421 4.4.2: at the start, in a command, in DATA, in BDAT; nothing is queued")
def _():
    with work() as tmp, server(tmp, listener="    idle-timeout = 2s") as srv:
        def session(*octets):
            w = inside(srv)
            w.mail()
            w.rcpt()
            for o in octets:
                w.send(o)
            return w
        silent = [Wire(srv), session(), session(b"NOOP"), session(b"DATA\r\n", message("half")),
                  session(b"DATA\r\n", message("half") + b"."),
                  session(b"BDAT 100000 LAST\r\n", message("half"))]
        for w in silent:
            said = w.closed(15)
            check(b"421 4.4.2" in said, f"said {said!r}")
        send_one(srv)
        check(b"Subject: normal" in srv.mailbox("bob").wait(1)[0], "half a message arrived")


@test("no handshake behind the 220 or on the TLS port: closed in time, and nothing else waits")
def _():
    with work() as tmp, server(tmp, listener="    idle-timeout = 2s\n    login-timeout = 3s") as srv:
        with inside(srv, login=False) as w:
            end = time.monotonic() + 12
            with contextlib.suppress(Failed, OSError):
                while time.monotonic() < end:  # busy, but never logged in
                    w.expect(250, "NOOP")
                    time.sleep(0.4)
            check(time.monotonic() < end, "no login for 12 s and still there")


@test("100 commands without progress: 421")
def _():
    with work() as tmp, server(tmp) as srv:
        with inside(srv) as w:
            for n in range(150):
                code, _ = (w.send("NOOP\r\n"), w.reply())[1]
                if code == 421:
                    break
            check(80 <= n <= 120, f"421 after {n}")


@test("too many sessions from one address: 421 with words; with room again it goes on")
def _():
    with work() as tmp, server(tmp, more="server-processes = 1",
                               listener="    max-sessions-per-address = 20") as srv:
        taken = [Wire(srv) for _ in range(20)]
        with Wire(srv, banner=False) as w:
            text = w.expect(421, words="4.7.0")
            check("127.0.0.1" in text and "too many" in text, text)
            w.closed()
        for w in taken[:3]:
            w.s.close()
        wait_until(lambda: Wire(srv, banner=False).reply()[0] == 220, 20, "room")
        for w in taken:
            w.s.close()


@test("300 idle sessions and 200 that send an octet now and then: a user beside them is served")
def _():
    with work() as tmp, server(tmp, listener="    max-sessions-per-address = 1000") as srv:
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(Wire(srv)) for _ in range(300)]
            slow = [stack.enter_context(Wire(srv)) for _ in range(150)]
            bare = [stack.enter_context(socket.create_connection(("127.0.0.1", srv.tls_port), 10))
                    for _ in range(50)]
            line = b"EHLO a-name-that-never-ends"
            for octet in line:
                for w in slow:
                    w.send(bytes([octet]))
                for s in bare:
                    s.sendall(b"\x16\x03\x01\x02\x00" if octet == line[0] else b"\x01" if octet == line[1] else b"")
            took = send_one(srv)
            check(took < 10, f"a normal message took {took:.1f} s")
            for w in idle[::50]:
                w.ehlo()
            for w in slow[::30]:
                w.expect(250, "")  # the line's end at last
        check("role.died" not in srv.process.output(), "a role died")


@test("a message of 60 MB: over the limit it is refused without being kept, within it arrives; memory is bounded")
def _():
    line = b"0123456789abcdef" * 4 + b"\r\n"
    big = message("big") + line * (60_000_000 // len(line))
    with work() as tmp, server(tmp, more="message-size = 70M") as srv:
        before = {p: peak_kb(p) for p, _ in srv.roles()}
        with inside(srv) as w:
            w.mail()
            w.rcpt()
            w.submit(big)
        check_same(big, srv.mailbox("bob").wait(1, 60)[0])
        for pid, role in srv.roles():
            grown = (peak_kb(pid) - before[pid]) // 1024
            check(grown < 60, f"{role} grew by {grown} MB")
    with work() as tmp, server(tmp) as srv:
        with inside(srv) as w:
            w.expect(552, f"MAIL FROM:<alice@example.org> SIZE={len(big)}", "5.3.4")
            w.mail()
            w.rcpt()
            w.submit(big, 552, "5.3.4")
            w.expect(250, "NOOP")
        left = sum(p.stat().st_size for p in srv.store.rglob("*") if p.is_file())
        check(left < 20 << 20, f"{left >> 20} MB are left in the data directory")


@test("a client that never reads its replies is not served for ever")
def _():
    with work() as tmp, server(tmp, listener="    idle-timeout = 3s") as srv:
        with Wire(srv) as w:
            w.s.settimeout(1)
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 64 << 20:
                    sent += w.s.send(b"EHLO x\r\n" * 1000)
            check(sent < 64 << 20, "64 MB of commands were taken without a reply being read")
        send_one(srv)
        check(all(peak_kb(p) < 700_000 for p, _ in srv.roles()), "a role grew without bound")


# What is freed must be gone, or the measurement is one of the sanitizer's quarantine.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
run()
