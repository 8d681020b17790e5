#!/usr/bin/python3
# sets: long crash
# timeout: 600
"""The queue does not answer: the client hears 451 in time, and then the message is not
queued - not now and not when the queue goes on - or it hears 250, and it is."""
import signal, threading, time
from harness import *
from wire import *

without_server()


def pid_of(srv, role):
    return next(p for p, r in srv.roles() if r == role)


def at_dot(srv, name, body=b"hello\r\n"):
    w = inside(srv)
    w.s.settimeout(200)
    w.mail()
    w.rcpt()
    w.expect(354, "DATA")
    w.send(message(name, body) + b".\r\n")
    return w


@test("451 after a queue that stood still, and nothing of it is queued or arrives; small and large")
def _():
    with work() as tmp, server(tmp) as srv:
        with inside(srv) as w:
            w.mail()
            w.rcpt()
            w.submit(message("before"))
        srv.mailbox("bob").wait(1)
        queue, start = pid_of(srv, "queue"), time.monotonic()
        os.kill(queue, signal.SIGSTOP)
        try:
            waiting = [at_dot(srv, "late"), at_dot(srv, "late-large", b"x" * 70 + b"\r\n" + b"y" * 60 + b"\r\n")]
            for w in waiting:
                code, text = w.reply()
                took = time.monotonic() - start
                check(code == 451 and text.startswith("4.3.0"), f"{code} {text}")
                check(105 < took < 120, f"answered after {took:.0f} s")
        finally:
            os.kill(queue, signal.SIGCONT)
        for w in waiting:  # the session goes on
            w.mail()
            w.rcpt()
            w.submit(message("again"))
            w.s.close()
        got = srv.mailbox("bob").wait(3)
        time.sleep(2)
        check(not any(b"late" in m for m in srv.mailbox("bob").messages()), "a message that was told 451 arrived")
        check(len(got) == 3, f"{len(got)}")
        check("empty" in call([SALLYPORT, "queue", "list", "--config", srv.config]), "something is queued")
        check("too late to say so" not in srv.process.output(), srv.process.tail())


@test("a queue that stood still for less than that: 250, and the message arrives once")
def _():
    with work() as tmp, server(tmp) as srv:
        queue = pid_of(srv, "queue")
        os.kill(queue, signal.SIGSTOP)
        try:
            with at_dot(srv, "slow") as w:
                w.silent(5)
                os.kill(queue, signal.SIGCONT)
                check(w.reply()[0] == 250, "not taken")
        finally:
            os.kill(queue, signal.SIGCONT)
        srv.mailbox("bob").wait(1)


@test("a server process that stood still itself says what the queue said, not what its clock says")
def _():
    with work() as tmp, server(tmp, more="server-processes = 1") as srv:
        queue, mine = pid_of(srv, "queue"), pid_of(srv, "server")
        os.kill(queue, signal.SIGSTOP)
        with at_dot(srv, "both") as w:
            time.sleep(1)  # the submission is on its way
            os.kill(mine, signal.SIGSTOP)
            os.kill(queue, signal.SIGCONT)  # it stores and answers; nobody reads that
            srv.mailbox("bob").wait(1)
            time.sleep(118)
            os.kill(mine, signal.SIGCONT)
            code, text = w.reply()
            check(code == 250, f"{code} {text}: the message was stored and has arrived")


@test("a disk that takes longer than the client waits: 451, and what it stored in the end is taken back")
def _():
    if not shutil.which("strace"):
        skip("strace, which makes the disk slow, is not installed")
    with work() as tmp, server(tmp) as srv:
        queue = pid_of(srv, "queue")
        slow = Process("strace", ["strace", "-f", "-p", queue, "-o", tmp / "trace", "-e", "trace=fdatasync,fsync",
                                  "-e", "inject=fdatasync,fsync:delay_enter=113s:when=1"], tmp / "strace.log")
        try:
            slow.wait_ready(lambda: "attached" in slow.output())
            start = time.monotonic()
            with at_dot(srv, "late") as w:
                code, text = w.reply()
                took = time.monotonic() - start
                check(code == 451 and text.startswith("4.3.0"), f"{code} {text}")
                check(105 < took < 120, f"answered after {took:.0f} s")
                wait_until(lambda: "too late to say so: taken back" in srv.process.output(), 60, "it in the log")
        finally:
            slow.stop(signal.SIGINT)
        check("empty" in call([SALLYPORT, "queue", "list", "--config", srv.config]), "something is queued")
        with inside(srv) as w:
            w.mail()
            w.rcpt()
            w.submit(message("after"))
        got = srv.mailbox("bob").wait(1)
        time.sleep(2)
        check(b"after" in got[0] and len(srv.mailbox("bob").files()) == 1, "what was told 451 arrived")


if __name__ == "__main__":
    # Each of them waits for two minutes and costs nothing: at the same time.
    run()
