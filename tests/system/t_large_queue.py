#!/usr/bin/python3
# sets: long
# timeout: 1500
"""100,000 messages in the queue: what they cost in memory, and how long a start takes until
the first 220 and the first delivery.

The numbers are those of the release build (./run-tests --binary FILE large_queue); one with
sanitizers is only held to what is ten times as much, with a tenth of the messages.
"""
import socket, threading
from harness import *
from scripted import Scripted
from wire import *

SANITIZED = b"__asan_init" in Path(SALLYPORT).read_bytes() if SALLYPORT else True
MESSAGES, FACTOR = (10_000, 10) if SANITIZED else (100_000, 1)


def pss(srv):
    """MB of all processes; what several share counts once."""
    total = 0
    for pid in [srv.process.pid, *(p for p, _ in srv.roles())]:
        found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        total += int(found[1])
    return total / 1024


def greeted(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 0.2) as c:
            c.settimeout(5)
            return c.recv(4) == b"220 "
    except OSError:
        return False


@test("100,000 queued messages: under 100 MB, and under 2 seconds to the first 220 and the first delivery")
def _():
    need_root()
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)  # takes connections, says nothing
    port = silent.getsockname()[1]
    routes = (f"route hop {{\n    match = remote.test\n    to = smarthost\n    tls = none\n"
              f"    host = 127.0.0.1:{port}\n}}\n")
    with work() as tmp, server(tmp, routes=routes) as srv:
        call([SALLYPORT, "bench", "--server", f"smtp://127.0.0.1:{srv.port}", "--user", srv.user,
              "--password-file", srv.password_file, "--ca", srv.ca, "--tls-name", "localhost", "--from", srv.address,
              "--to", "x@remote.test", "--connections", "20", "--messages", str(MESSAGES // 20),
              "--size", "2048"], seconds=1200)
        time.sleep(0 if SANITIZED else 3)  # idle: the cache of pages goes back
        running = pss(srv)
        srv.stop()
        silent.close()
        hop = Scripted(port=port)
        began, t220, tmail = time.monotonic(), [], []

        def look():
            while not t220 or not tmail:
                if not t220 and greeted(srv.port):
                    t220.append(time.monotonic() - began)
                if not tmail and hop.taken:
                    tmail.append(time.monotonic() - began)
                time.sleep(0.005)
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        srv.start()
        thread.join(60 * FACTOR)
        check(t220 and tmail, "no greeting, or no delivery")
        hop.answers["MAIL"] = "451 4.3.0 later"
        started = pss(srv)
        print(f"# {MESSAGES} messages: {running:.0f} MB behind their submission, {started:.0f} MB behind a start, "
              f"220 after {t220[0]:.2f} s, first delivery after {tmail[0]:.2f} s")
        check(max(running, started) < 100 * FACTOR, f"{running:.0f} MB, {started:.0f} MB")
        check(max(t220[0], tmail[0]) < 2 * FACTOR, f"220 after {t220[0]:.2f} s, delivery after {tmail[0]:.2f} s")
    hop.stop()


run()
