#!/usr/bin/python3
# sets: default peers
# timeout: 900
"""Postfix and Dovecot as next hops.  First the peers themselves, driven by Python's
smtplib: what they take, refuse and store; then our delivery to them."""
import smtplib, ssl
import clients
from harness import *
from peers import Dovecot, Postfix

HEAD = (b"From: Alice <alice@example.org>\r\nTo: bob@remote.test\r\nSubject: x\r\n"
        b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n")
MESSAGE = HEAD + b"\r\n.dot\r\n..dots\r\nend\r\n"


def context(peer, certificate=None):
    c = ssl.create_default_context(cafile=peer.ca)
    if certificate:
        c.load_cert_chain(*certificate)
    return c


@test("Postfix relays for a password or a certificate, and for nobody else")
def _():
    with work() as tmp, Postfix(tmp) as peer:
        certificate = peer.certificates.client("relay@remote.test")
        with smtplib.SMTP("localhost", peer.port) as s:
            s.starttls(context=context(peer))
            try:
                s.sendmail("a@example.org", ["bob@remote.test"], MESSAGE)
            except smtplib.SMTPRecipientsRefused:
                pass
            else:
                raise Failed("relayed without a login")
            s.login(peer.user, peer.password)
            s.sendmail("a@example.org", ["bob@remote.test"], MESSAGE)
        with smtplib.SMTP_SSL("localhost", peer.tls_port, context=context(peer, certificate)) as s:
            refused = s.sendmail("a@example.org", ["bob@remote.test", "refused@remote.test",
                                                   "later@remote.test"], MESSAGE)
            check({r: c[0] for r, c in refused.items()} ==
                  {"refused@remote.test": 550, "later@remote.test": 450}, f"{refused}")
        with smtplib.SMTP("localhost", peer.clear_port) as s:
            s.sendmail("a@example.org", ["carol@remote.test"], MESSAGE)
        for got in peer.mailbox("bob").wait(2) + peer.mailbox("carol").wait(1):
            check_same(MESSAGE, got)


@test("Dovecot stores by LMTP over TCP and over its socket")
def _():
    with work() as tmp, Dovecot(tmp) as peer:
        for address in (("localhost", peer.port), (str(peer.socket), 0)):
            with smtplib.LMTP(*address) as s:
                refused = s.sendmail("a@example.org", ["bob@remote.test", "nobody@remote.test"],
                                     MESSAGE)
                check(list(refused) == ["nobody@remote.test"], f"refused: {refused}")
        for got in peer.mailbox("bob").wait(2):
            check_same(MESSAGE, got)


def smarthost(peer, more):
    return (f"route out {{\n    match = {peer.domain}\n    to = smarthost\n"
            f"    tls-ca = {peer.ca}\n    tls-name = localhost\n{more}\n}}\n")


def by_smarthost(tmp, more):
    """Submit with smtplib, deliver to Postfix with a route of these lines, compare."""
    with Postfix(tmp) as peer:
        password = tmp / "relay.password"
        password.write_text(peer.password + "\n")
        certificate, key = peer.certificates.client("relay@remote.test")
        for path in (password, key):
            shutil.chown(path, "nobody")
        text = more.format(peer=peer, password=password, certificate=certificate, key=key)
        with server(tmp, routes=smarthost(peer, text)) as srv:
            clients.smtplib_(srv, MESSAGE, to=["bob@remote.test"])
            check_same(MESSAGE, peer.mailbox("bob").wait(1)[0])
            return peer.output()


def needs_delivery():
    need_server()
    if SALLYPORT == "standin":
        skip("the stand-in relays nothing")


PASSWORD = "    user = {peer.user}\n    password-file = {password}\n"
CERTIFICATE = "    client-certificate = {certificate}\n    client-key = {key}\n"


@test("smart host by Postfix: STARTTLS and a password")
def _():
    needs_delivery()
    with work() as tmp:
        log = by_smarthost(tmp, "    host = 127.0.0.1:{peer.port}\n" + PASSWORD)
        check("sasl_username=relay" in log, "Postfix saw no login")


@test("smart host by Postfix: implicit TLS and a password")
def _():
    needs_delivery()
    with work() as tmp:
        by_smarthost(tmp, "    host = 127.0.0.1:{peer.tls_port}\n    tls = implicit\n" + PASSWORD)


@test("smart host by Postfix: STARTTLS and a client certificate")
def _():
    needs_delivery()
    with work() as tmp:
        log = by_smarthost(tmp, "    host = 127.0.0.1:{peer.port}\n" + CERTIFICATE)
        check("Trusted TLS connection" in log, "Postfix trusted no certificate")


@test("Dovecot by LMTP, TCP and socket")
def _():
    needs_delivery()
    for address in ("127.0.0.1:{peer.port}", "unix:{peer.socket}"):
        with work() as tmp, Dovecot(tmp) as peer:
            route = (f"route store {{\n    match = {peer.domain}\n    to = lmtp\n    lmtp = "
                     f"{address.format(peer=peer)}\n}}\n")
            with server(tmp, routes=route) as srv:
                clients.smtplib_(srv, MESSAGE, to=["bob@remote.test"])
                check_same(MESSAGE, peer.mailbox("bob").wait(1)[0])


@test("a recipient that the next hop refuses comes back as a notice")
def _():
    needs_delivery()
    with work() as tmp, Dovecot(tmp) as peer:
        route = (f"route store {{\n    match = {peer.domain}\n    to = lmtp\n    "
                 f"lmtp = 127.0.0.1:{peer.port}\n}}\n")
        with server(tmp, routes=route) as srv:
            clients.smtplib_(srv, MESSAGE, to=["bob@remote.test", "nobody@remote.test"])
            check_same(MESSAGE, peer.mailbox("bob").wait(1)[0])
            notice = srv.mailbox("alice").wait(1)[0]
            for words in (b"multipart/report", b"nobody@remote.test", b"Action: failed"):
                check(words in notice, f"no {words!r} in the notice")
            check(b"bob@remote.test\n" not in notice.partition(b"message/delivery-status")[2]
                  .partition(b"message/rfc822")[0], "bob stands in the notice though he got it")


run()
