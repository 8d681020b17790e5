#!/usr/bin/python3
# sets: default crash
# timeout: 300
"""kill -9 of each role while `sallyport bench` sends as fast as it can: how long until the
next message is acknowledged, as an independent client sees it."""
import signal, threading, time
from harness import *
from wire import inside, message, without_server

without_server()

MOST_S = 6.0  # with sanitizers, on a busy machine; see the figures that are printed


class Probe:
    """Submits small messages one after another, each in a session of its own as soon as
    one fails, and notes when each was acknowledged."""

    def __init__(self, srv):
        self.srv, self.times, self.over = srv, [], False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over:
            with contextlib.suppress(Failed, OSError):
                with inside(self.srv) as w:
                    w.s.settimeout(5)
                    while not self.over:
                        w.mail()
                        w.rcpt("probe@example.org")
                        w.submit(message(f"p{len(self.times)}"))
                        self.times.append(time.monotonic())
                        time.sleep(0.005)

    def gap(self, since):
        """The longest time without an acknowledgement from then on."""
        times = [since] + [t for t in self.times if t > since] + [time.monotonic()]
        return max(b - a for a, b in zip(times, times[1:]))

    def stop(self):
        self.over = True
        self.thread.join(20)


@test("kill -9 of each role under load: the service goes on within seconds, nothing acknowledged is lost")
def _():
    with work() as tmp, server(tmp, more="server-processes = 2",
                               listener="    max-sessions-per-address = 500") as srv:
        probe, said = Probe(srv), []
        wait_until(lambda: len(probe.times) > 5, 20, "the first acknowledgements")
        for role in ("server", "auth", "queue", "delivery", "local"):
            load = Process("bench", [SALLYPORT, "bench", "--server", f"smtp://127.0.0.1:{srv.port}", "--ca", srv.ca,
                                     "--user", srv.user, "--password-file", srv.password_file,
                                     "--from", srv.address, "--to", "bob@example.org", "--connections", 10,
                                     "--messages", 100000], tmp / "bench.log")
            time.sleep(1.5)
            calm = probe.gap(time.monotonic() - 1)
            pid = next(p for p, r in srv.roles() if r == role)
            since = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len([p for p, r in srv.roles() if r == role]) >= (2 if role == "server" else 1)
                       and pid not in [p for p, _ in srv.roles()], 10, f"a new {role}")
            time.sleep(2)
            gap = probe.gap(since)
            said.append(f"{role} {gap * 1000:.0f} ms")
            load.stop(signal.SIGKILL)
            check(gap < MOST_S, f"after kill -9 of {role} nothing was acknowledged for {gap:.1f} s")
            wait_until(lambda: probe.times and probe.times[-1] > since + 2, 10, f"service after {role} died")
        probe.stop()
        acknowledged = len(probe.times)
        got = srv.mailbox("probe")
        wait_until(lambda: len(got.files()) >= acknowledged, 120, "all of the probe's mail")
        subjects = {re.search(rb"^Subject: (p\d+)", m, re.M)[1].decode() for m in got.messages()}
        lost = [n for n in range(acknowledged) if f"p{n}" not in subjects]
        check(not lost, f"{len(lost)} of {acknowledged} lost")
        print(f"longest time without an acknowledgement (calm before: {calm * 1000:.0f} ms): " + ", ".join(said)
              + f"; {acknowledged} acknowledged, none lost")


run()
