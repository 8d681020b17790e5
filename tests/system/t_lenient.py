#!/usr/bin/python3
# sets: default
# timeout: 120
"""Switches for old clients: each works where it is on, none is on by itself, and config explain
shows them."""
import types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
SWITCHES = ("lenient-ehlo", "legacy-auth-line", "lenient-path")


def explained(listener):
    return call([SALLYPORT, "config", "explain", "--config", HOLD.srv.config, "--listener", listener])


@test("a message with paths without brackets arrives")
def _():
    with Wire(HOLD.srv, implicit=True) as w:
        text = w.ehlo()
        check("AUTH=SCRAM-SHA-256 PLAIN LOGIN" in text.split("\n"), text)
        w.login()
        w.expect(250, "MAIL FROM:alice@example.org")
        w.expect(250, "RCPT TO:alice@example.org")
        w.expect(354, "DATA")
        w.send(message("bare") + b".\r\n")
        check(w.reply()[0] == 250, "the message")
    HOLD.srv.mailbox("alice").wait(1)


@test("MAIL after STARTTLS without EHLO waits for a login as ever")
def _():
    with Wire(HOLD.srv) as w:
        w.ehlo()
        w.starttls()
        w.expect(530, "MAIL FROM:<alice@example.org>")


@test("config explain shows each switch, and config check takes it; by itself none is on")
def _():
    out = explained("submissions")
    for name in SWITCHES:
        check(f"{name} = yes" in out, f"{name}: {out}")
    plain = HOLD.srv.data / "plain.conf"
    text = HOLD.srv.config.read_text()
    for name in SWITCHES:
        text = text.replace(f"{name} = yes", "")
    plain.write_text(text)
    out = call([SALLYPORT, "config", "explain", "--config", plain, "--listener", "submissions"])
    for name in SWITCHES:
        check(f"{name} = no" in out, f"{name}: {out}")


shared(HOLD, listener="".join(f"    {name} = yes\n" for name in SWITCHES))
