#!/usr/bin/python3
# sets: default
# timeout: 200
"""Limits of sessions count over all server processes, and what a dead one held is free."""
import signal, time
from harness import *
from wire import *

without_server()


def fill(srv, most):
    """Sessions, until one is refused; (open ones, the refusal)."""
    held = []
    for _ in range(most + 30):
        w = Wire(srv, banner=False)
        code, text = w.reply()
        if code != 220:
            check(w.closed() == b"", "more than the refusal")
            w.s.close()
            return held, (code, text)
        held.append(w)
    return held, None


def let_go(held):
    for w in held:
        w.s.close()


def room_for(srv, count):
    """Within seconds so many sessions fit again."""
    def fits():
        held, refusal = fill(srv, count)
        n = len(held)
        let_go(held)
        return n == count
    wait_until(fits, 15, f"room for {count}")


@test("three processes together take what the listener allows from one address, and not one more")
def _():
    with work() as tmp, server(tmp, more="server-processes = 3", listener="    max-sessions-per-address = 30") as srv:
        for _ in range(3):
            held, refusal = fill(srv, 30)
            check(len(held) == 30, f"{len(held)} sessions, not 30")
            check(refusal == (421, "4.7.0 too many sessions from 127.0.0.1; close some"), f"{refusal}")
            with inside(srv, implicit=True) as w:  # each listener counts its own
                w.mail()
            let_go(held)
            room_for(srv, 30)


@test("max-sessions likewise, whatever the address")
def _():
    with work() as tmp, server(tmp, more="server-processes = 3", listener="    max-sessions = 20") as srv:
        held, refusal = fill(srv, 20)
        check(len(held) == 20 and refusal == (421, "4.3.2 too many sessions; try again later"),
              f"{len(held)} {refusal}")
        let_go(held)
        room_for(srv, 20)


@test("kill -9 of a server process frees what it counted, and only that")
def _():
    with work() as tmp, server(tmp, more="server-processes = 2", listener="    max-sessions-per-address = 24") as srv:
        held, _ = fill(srv, 24)
        os.kill(next(p for p, r in srv.roles() if r == "server"), signal.SIGKILL)
        time.sleep(1)
        alive = []
        for w in held:
            try:
                w.expect(250, "NOOP")
                alive.append(w)
            except (Failed, OSError):
                w.s.close()
        check(0 < len(alive) < 24, f"{len(alive)} of 24 sessions are left: the test proves nothing")
        room_for(srv, 24 - len(alive))
        let_go(alive)
        room_for(srv, 24)


run()
