#!/usr/bin/python3
# sets: default
# timeout: 120
"""Who may send as whom, on the wire.  RFC 6409 6.1 lets a submission server insist on it; the
null reverse-path is what receipts (RFC 8098 3) and returned mail (RFC 5321 4.5.5, RFC 3464)
carry, so it is everybody's; but what the reader sees is From, and that stays judged."""
import types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
RECEIPT = (b"From: Alice <%s>\r\nTo: bob@example.org\r\nSubject: Read: x\r\n"
           b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@receipt>\r\nMIME-Version: 1.0\r\n"
           b"Content-Type: multipart/report; report-type=%s; boundary=b\r\n\r\n"
           b"--b\r\n\r\nIt was read.\r\n--b\r\nContent-Type: message/%s\r\n\r\n"
           b"Final-Recipient: rfc822;alice@example.org\r\n\r\n--b--\r\n")


def null(w, sender, kind=b"disposition-notification", code=250, words=""):
    """MAIL FROM:<> with this From."""
    w.expect(250, "MAIL FROM:<>")
    w.rcpt()
    return w.submit(RECEIPT % (sender, sender.replace(b"@", b"."), kind, kind), code, words)


def user(*words):
    call([SALLYPORT, "user", words[0], "--config", HOLD.srv.config, *words[1:]])


@test("a receipt by MAIL FROM:<> with the user's own From is taken and arrives with the null reverse-path")
def _():
    with inside(HOLD.srv) as w:
        null(w, b"alice@example.org")
        got = HOLD.srv.mailbox("bob").wait(1)[0]
        check(got.lower().startswith(b"return-path: <>"), f"{got[:100]!r}")
        HOLD.srv.mailbox("bob").clear()


@test("MAIL FROM:<> without a login is no way in")
def _():
    with inside(HOLD.srv, login=False) as w:
        w.expect(530, "MAIL FROM:<>")


@test("MAIL FROM:<> with somebody else's From is refused, in mail that says it is a bounce, too")
def _():
    with inside(HOLD.srv) as w:
        for sender in (b"boss@example.org", b"bob@elsewhere.example", b"mailer-daemon@example.org"):
            for kind in (b"disposition-notification", b"delivery-status"):
                said = null(w, sender, kind, 550, "alice may not send as")
                check(said.startswith("5.7.1 "), said)
        null(w, b"alice@example.org", b"delivery-status")  # the session goes on
        HOLD.srv.mailbox("bob").wait(1)
        HOLD.srv.mailbox("bob").clear()


@test("a program that returns mail in its own name gets the address granted, and then it may")
def _():
    user("grant", HOLD.srv.user, "mailer-daemon@example.org")

    def taken():
        with inside(HOLD.srv) as w:
            w.expect(250, "MAIL FROM:<>")
            w.rcpt()
            w.expect(354, "DATA")
            w.send(RECEIPT % (b"mailer-daemon@example.org", b"granted", b"delivery-status", b"delivery-status") + b".\r\n")
            return w.reply()[0] == 250
    wait_until(taken, 10, "the granted address to count")
    HOLD.srv.mailbox("bob").wait(1)
    HOLD.srv.mailbox("bob").clear()
    user("revoke", HOLD.srv.user, "mailer-daemon@example.org")


@test("sender-check = envelope looks at the reverse-path alone; off, at neither")
def _():
    for port, foreign in ((HOLD.ports["envelope"], 550), (HOLD.ports["off"], 250)):
        at = types.SimpleNamespace(**{**vars(HOLD.srv), "port": port, "user": HOLD.srv.user, "address": HOLD.srv.address,
                                      "password": HOLD.srv.password})
        with inside(at) as w:
            null(w, b"mailer-daemon@example.org", b"delivery-status")
            w.expect(foreign, "MAIL FROM:<boss@example.org>")
    HOLD.srv.mailbox("bob").wait(2)


HOLD.ports = {n: free_port() for n in ("envelope", "off")}
shared(HOLD, more="", routes="".join(
    f"listener {n} {{\n    address = 127.0.0.1:{p}\n    sender-check = {n}\n}}\n" for n, p in HOLD.ports.items()))
