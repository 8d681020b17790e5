#!/usr/bin/python3
# sets: default
# timeout: 300
"""The harness notices what it is there to notice: each test makes a stand-in server wrong
on purpose, or leaves something behind, and checks that the harness says so."""
import clients, crash
from harness import *

MESSAGE = (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: dots\r\n"
           b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n"
           b".\r\n..two\r\n.one at the start\r\nlast line\r\n")


def fails(function, text):
    try:
        function()
    except Failed as e:
        check(text in str(e), f"the failure does not speak of {text!r}: {e}")
        return
    raise Failed("the harness did not notice")


def deliver_with(fault):
    with work() as tmp:
        srv = StandIn(tmp, fault=fault).start()
        try:
            clients.smtplib_(srv, MESSAGE)
            check_same(MESSAGE, srv.mailbox("bob").wait(1)[0])
        finally:
            srv.process.stop(signal.SIGKILL)


@test("a right server passes with every client, STARTTLS and implicit TLS")
def _():
    with work() as tmp:
        srv = StandIn(tmp).start()
        try:
            for name, client in clients.ALL.items():
                for tls in ("starttls", "implicit"):
                    client(srv, MESSAGE, tls=tls)
                    try:
                        check_same(MESSAGE, srv.mailbox("bob").wait(1)[0])
                    except Failed as e:
                        raise Failed(f"{name}, {tls}: {e}")
                    srv.mailbox("bob").clear()
        finally:
            srv.process.stop(signal.SIGTERM)


@test("a wrong password fails with every client")
def _():
    with work() as tmp:
        srv = StandIn(tmp).start()
        srv.password = "wrong"
        try:
            for name, client in clients.ALL.items():
                fails(lambda: client(srv, MESSAGE), "")
            check(not srv.mailbox("bob").files(), "a message arrived without a login")
        finally:
            srv.process.stop(signal.SIGTERM)


@test("one changed octet is noticed")
def _():
    fails(lambda: deliver_with("change-octet"), "differs at octet")


@test("a lost dot at the start of a line is noticed")
def _():
    fails(lambda: deliver_with("lose-dot"), "differs at octet")


@test("a second copy is noticed")
def _():
    fails(lambda: deliver_with("twice"), "2 messages in")


def crash_with(fault):
    with work() as tmp:
        srv = StandIn(tmp, fault=fault).start()
        try:
            crash.run_crash(srv, crash.MaildirSink(srv), kills=3, seed=1, threads=3, settle_s=3)
        finally:
            srv.process.stop(signal.SIGKILL)


@test("the crash ledger passes a server that stores before it acknowledges")
def _():
    crash_with("none")


@test("the crash ledger catches a server that acknowledges before it stores")
def _():
    fails(lambda: crash_with("ack-first"), "acknowledged messages lost")


@test("the crash ledger catches a changed octet and a second copy")
def _():
    fails(lambda: crash_with("change-octet"), "another body")
    fails(lambda: crash_with("twice"), "arrived twice without a reason")


@test("added fields are set aside only where they were put in front")
def _():
    added = b"Return-Path: <a@b>\nReceived: from x\n\tby y; z\n"
    check_same(MESSAGE, added + MESSAGE)
    fails(lambda: check_same(MESSAGE, b"X-Other: 1\n" + MESSAGE), "differs")
    fails(lambda: check_same(MESSAGE, MESSAGE.replace(b"Subject", b"Received: q\r\nSubject")),
          "differs")
    fails(lambda: check_same(MESSAGE, added + MESSAGE[:-1] + b"\n\n"), "differs")
    bare = MESSAGE.replace(b"Message-ID: <1@example.org>\r\n", b"")
    check_same(bare, added + MESSAGE, completed=["Message-ID", "Date"])
    fails(lambda: check_same(bare, added + MESSAGE), "differs")


@test("a program that ends before it is ready is shown with its words")
def _():
    with work() as tmp:
        p = Process("broken", ["sh", "-c", "echo port in use; exit 3"], tmp / "log")
        fails(lambda: p.wait_ready(lambda: False), "port in use")


def runner(script, only=""):
    """Run tests/runner.py's run_test on a script; returns its Result."""
    import sys
    sys.path.insert(0, str(ROOT / "tests"))
    import runner as r
    env = {k: v for k, v in os.environ.items() if k != "SALLYPORT_TEST"}
    return r.run_test(r.Test("sample", {"x"}, ["/bin/sh", "-c", script], "/", {}, 2),
                      only, env, False)


@test("the runner counts, and fails what crashes, hangs, says nothing or leaves things")
def _():
    ok = runner("echo 3 passed, 0 failed")
    check((ok.passed, ok.failed, ok.why) == (3, 0, []), f"{vars(ok)}")
    for script, why in [
        ("echo hello", "no line"),
        ("kill -SEGV $$", "no line"),
        ("echo 1 passed, 0 failed; kill -SEGV $$", "SIGSEGV"),
        ("echo 1 passed, 0 failed; exit 4", "exit status 4"),
        ("sleep 60", "not finished after 2 s"),
        ("touch $TMPDIR/x; echo 1 passed, 0 failed", "left x behind"),
        ("setsid sleep 50 & echo 1 passed, 0 failed", "left process"),
    ]:
        got = runner(script)
        check(got.failed == 1, f"{script}: {got.failed} failed")
        check(any(why in w for w in got.why), f"{script}: {got.why}")


run()
