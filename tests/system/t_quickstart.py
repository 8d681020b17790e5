#!/usr/bin/python3
# sets: long
# timeout: 1800
"""./quickstart in this tree: twice with --once, then each command it prints is run."""
import socket
from harness import *


def quickstart(folder, *more):
    return [ROOT / "quickstart", "--dir", folder, *more]


@test("the quickstart checks itself, uses what is there, and every printed command works")
def _():
    need_server()
    with work() as tmp:
        ports = ["--port", free_port(), "--tls-port", free_port()]
        folder = tmp / "q"
        for _ in range(2):
            out = call(quickstart(folder, "--once", *ports), seconds=1500)
            check("quickstart: everything works" in out, out)
        mailbox = Maildir(folder / "data/mail/example.org/alice")
        check(len(mailbox.files()) == 4, f"{len(mailbox.files())} messages after two runs")
        check(os.stat(folder / "alice.password").st_mode & 0o777 == 0o600, "password file mode")
        p = Process("quickstart", quickstart(folder, *ports), tmp / "out")
        p.wait_ready(lambda: "serving until Ctrl-C" in p.output(), 120)
        second = call(quickstart(folder, "--once", *ports), ok=[1], seconds=120)
        check("another quickstart is running" in second, second)
        commands = re.findall(r"^\$ (.*)$", p.output(), re.M)
        check(len(commands) >= 5, f"only {len(commands)} commands printed")
        mailbox.clear()
        for n, command in enumerate(commands, 1):
            call(["sh", "-c", command])
            mailbox.wait(n)
        check(p.stop(signal.SIGINT) in (0, 130), "Ctrl-C: exit status")


@test("a port in use is said so")
def _():
    with work() as tmp, socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        out = call(quickstart(tmp / "q", "--once", "--port", port, "--tls-port", free_port()), ok=[1])
        check(f"port {port} is in use" in out and "failed at: checking that ports" in out, out)


run()
