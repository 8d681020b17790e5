#!/usr/bin/python3
# sets: default
# timeout: 200
"""STARTTLS, EHLO and AUTH as a stranger with a telnet tries them, on listeners that are not as
they are by default: a challenge mechanism in clear, lenient-ehlo, legacy-auth-line."""
import contextlib, os, shutil, socket, ssl, sys, time, types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
LISTENERS = {  # name: its lines, TLS
    "clear": ("auth-clear = SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5\n    auth-tls = PLAIN SCRAM-SHA-1\n"
              "    legacy-auth-line = yes", "starttls"),
    "lenient": ("lenient-ehlo = yes", "starttls"),
    "lenient-tls": ("lenient-ehlo = yes", "implicit"),
    "identity": ("trace-identity = yes", "starttls"),
    "ca": ("client-ca = {tmp}/clients.pem", "starttls"),
}


def listener(name):
    srv = HOLD.srv
    return types.SimpleNamespace(port=HOLD.ports[name], tls_port=HOLD.ports[name], ca=srv.ca, user=srv.user,
                                 password=srv.password, address=srv.address)


def mechanisms(text):
    return next((l.split()[1:] for l in text.split("\n") if l.startswith("AUTH ")), [])


def plain(user, password):
    return b64(f"\0{user}\0{password}")


# ---- the thread's server: one list in clear, another inside TLS ----

@test("the list in clear and the list inside TLS are two; what is not on the present one is 504 and says what it needs")
def _():
    at = listener("clear")
    with Wire(at) as w:
        said = w.ehlo()
        check(mechanisms(said) == ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"], said)
        check("AUTH=SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5" in said.split("\n"), f"no line of the old form: {said}")
        w.expect(504, "AUTH PLAIN " + plain(at.user, at.password), "5.5.4 PLAIN is not offered without TLS")
        w.expect(504, "AUTH EXTERNAL =", "5.5.4")
        w.expect(504, "AUTH LOGIN", "5.5.4")  # on neither list
        w.expect(530, "MAIL FROM:<alice@example.org>", "5.7.0 Must issue a STARTTLS or AUTH command first")
        w.expect(530, "VRFY alice", "STARTTLS or AUTH")
        w.starttls()
        said = w.ehlo()
        check(mechanisms(said) == ["SCRAM-SHA-1", "PLAIN"] and "AUTH=SCRAM-SHA-1 PLAIN" in said.split("\n"), said)
        w.expect(504, "AUTH SCRAM-SHA-256 " + b64("n,,n=alice,r=abcdefgh"), "5.5.4")
        w.expect(504, "AUTH CRAM-MD5", "5.5.4")
        w.login()
        w.mail()


@test("a login in clear counts in clear and is erased by STARTTLS, with the EHLO that went before it")
def _():
    at = listener("clear")
    with Wire(at) as w:
        w.ehlo()
        check(scram(w, at.user, at.password) == 235, "SCRAM in clear")
        w.mail()
        w.expect(503, "STARTTLS", "5.5.1")  # in a transaction
        w.expect(503, "AUTH CRAM-MD5", "5.5.1")
        w.rcpt()
        w.expect(250, "RSET")
        w.starttls()
        for command in ("MAIL FROM:<alice@example.org>", "RCPT TO:<bob@example.org>", "DATA", "BDAT 5 LAST\r\nabc",
                        "VRFY bob", "AUTH PLAIN " + plain(at.user, at.password)):
            w.expect(503, command, "5.5.1")
        w.expect(250, "NOOP")
        w.ehlo()
        w.expect(530, "MAIL FROM:<alice@example.org>", "5.7.0 Authentication required")
        w.login()  # not "a second AUTH"
        w.mail()


@test("failed logins before STARTTLS count after it: the third closes")
def _():
    at = listener("clear")
    with Wire(at) as w:
        w.ehlo()
        for _ in range(2):
            check(scram(w, at.user, "wrong") == 535, "a wrong password")
        w.starttls()
        w.ehlo()
        w.expect(535, "AUTH PLAIN " + plain(at.user, "wrong"), "5.7.8")
        w.expect(421, words="4.7.0")
        w.closed()


@test("CRAM-MD5 takes no initial response: 501 5.7.0; then it works as it is said")
def _():
    with Wire(listener("clear")) as w:
        w.ehlo()
        w.expect(501, "AUTH CRAM-MD5 " + b64("alice 00"), "5.7.0")
        w.expect(501, "AUTH CRAM-MD5 =", "5.7.0")
        w.expect(334, "AUTH CRAM-MD5")
        w.expect(501, "*", "5.7.0")
        check(scram(w, HOLD.srv.user, HOLD.srv.password, "SCRAM-SHA-1") == 235, "nothing was held against it")


# ---- EHLO ----

@test("EHLO again after a login: the same list, the identity stays, the transaction is gone; HELO likewise, without parameters")
def _():
    with Wire(HOLD.srv) as w:
        w.ehlo()
        w.starttls()
        before = w.ehlo()
        w.login()
        w.mail()
        w.rcpt()
        check(w.ehlo("another.test") == before, "another list after the login")
        w.expect(503, "RCPT TO:<bob@example.org>", "5.5.1")
        w.mail()
        w.expect(250, "HELO c")
        w.expect(503, "DATA")
        w.expect(555, "MAIL FROM:<alice@example.org> SIZE=10", "5.5.4")
        w.mail()
        w.expect(250, "RSET")
        w.expect(503, "AUTH PLAIN " + plain("alice", "x"), "5.5.1")


@test("EHLO that is malformed or refused changes nothing: greeting, transaction and login stay")
def _():
    with inside(HOLD.srv) as w:
        w.mail()
        for bad in ("EHLO", "EHLO a b", "EHLO <x>", "EHLO x\x01y"):
            w.expect(501, bad)
        w.rcpt()


@test("an empty challenge is 334 and a blank, octet for octet")
def _():
    with inside(HOLD.srv, login=False) as w:
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            w.send(f"AUTH {mechanism}\r\n")
            check(w.line() == "334 ", mechanism)
            w.expect(501, "*")


# ---- lenient-ehlo ----

@test("lenient-ehlo: MAIL without a greeting inside TLS asks for the login, not for EHLO; AUTH needs EHLO; nothing more is given")
def _():
    alice = (HOLD.srv.client_certificate, HOLD.srv.client_key)
    for implicit in (False, True):
        at = listener("lenient-tls" if implicit else "lenient")
        for pair in (None, alice):  # no implicit login without a greeting
            with Wire(at, implicit=implicit, certificate=pair) as w:
                if not implicit:
                    w.ehlo()
                    w.expect(530, "MAIL FROM:<alice@example.org>", "STARTTLS")
                    w.starttls()
                w.expect(530, "MAIL FROM:<alice@example.org>", "5.7.0")
                w.expect(503, "RCPT TO:<bob@example.org>", "5.5.1")
                w.expect(503, "AUTH PLAIN " + plain(at.user, at.password), "5.5.1")
                w.ehlo()
                if pair:
                    w.mail()
                else:
                    w.login()
                    w.mail()
    with Wire(listener("lenient")) as w:  # in clear it is as strict as everywhere
        w.expect(530, "MAIL FROM:<alice@example.org>", "STARTTLS")


# ---- certificates and accounts that change ----

@test("a client-ca that is replaced on disk: the old one's certificates end, in live sessions too; the new one's count")
def _():
    at, srv = listener("ca"), HOLD.srv
    old = (srv.client_certificate, srv.client_key)
    other = Certificates(srv.data / "next", "next")
    new = other.client("alice@example.org", "next-alice")
    with inside(at, new, login=False) as w:
        w.expect(504, "AUTH EXTERNAL =", "not known to this listener")
    with inside(at, old, login=False) as live:
        live.expect(235, "AUTH EXTERNAL =")
        live.mail()
        live.expect(250, "RSET")
        shutil.copy(other.ca, HOLD.tmp / "new.pem")
        os.replace(HOLD.tmp / "new.pem", HOLD.tmp / "clients.pem")

        def over():
            time.sleep(0.2)
            live.send("MAIL FROM:<alice@example.org>\r\n")
            code, text = live.reply()
            if code == 250:
                live.expect(250, "RSET")
            return code == 421 and text
        text = wait_until(over, 15, "421 at MAIL")
        check("login no longer valid: " in text and "not known to this listener" in text, text)
    with inside(at, old, login=False) as w:
        w.expect(504, "AUTH EXTERNAL =", "not known to this listener")
    with inside(at, new, login=False) as w:
        w.expect(235, "AUTH EXTERNAL =", "alice")


@test("limits of an account: size at MAIL and at the dot, recipients; they count at the next MAIL of a session that is open")
def _():
    def limits(*words):
        call([SALLYPORT, "user", "limits", "alice", *words, "--config", HOLD.srv.config])
    big = message("big", (b"x" * 70 + b"\r\n") * 100)
    with inside(HOLD.srv) as w:
        w.mail(" SIZE=7000")
        w.expect(250, "RSET")
        limits("--message-size", "5000", "--recipients", "2")

        def counts():
            time.sleep(0.2)
            w.send("MAIL FROM:<alice@example.org> SIZE=7000\r\n")
            code, text = w.reply()
            if code == 250:
                w.expect(250, "RSET")
            return code == 552 and text
        check(wait_until(counts, 10, "552 at MAIL").startswith("5.3.4"), "enhanced code")
        w.mail()
        w.rcpt("a@example.org")
        w.rcpt("b@example.org")
        w.expect(452, "RCPT TO:<c@example.org>", "4.5.3")
        w.submit(big, 552, "5.3.4")
        w.mail()
        w.rcpt()
        w.submit(message("small"))
    HOLD.srv.mailbox("bob").wait(1)
    HOLD.srv.mailbox("bob").clear()
    check(not HOLD.srv.mailbox("a").files(), "the large one was delivered")
    limits("--message-size", "0", "--recipients", "0")


# ---- the end of TLS ----

@test("the server ends TLS with close_notify, and never goes on in clear behind the client's")
def _():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for how in ("QUIT", "421"):
            with inside(HOLD.srv, login=False, version=version) as w:
                if how == "QUIT":
                    w.expect(221, "QUIT")
                else:
                    w.send("GET / HTTP/1.0\r\n")
                    w.expect(421)
                w.s.suppress_ragged_eofs = False  # an end without close_notify would raise
                check(w.s.recv(100) == b"", f"{how}, {version}")
        with inside(HOLD.srv, login=False, version=version) as w:
            raw = socket.socket(fileno=os.dup(w.s.fileno()))
            raw.settimeout(10)
            with contextlib.suppress(ssl.SSLError, OSError):
                w.s.settimeout(0.5)
                w.s.unwrap()
            with contextlib.suppress(OSError):
                raw.sendall(b"NOOP\r\nMAIL FROM:<alice@example.org>\r\n")
            said = b""
            with contextlib.suppress(OSError):
                while got := raw.recv(1000):
                    said += got
            raw.close()
            check(b"250" not in said and b"530" not in said and b"\r\n" not in said, f"in clear: {said!r}")


@test("the trace says how it came: ESMTP, S in TLS, A after a login; UTF8SMTPSA with SMTPUTF8, also by certificate alone")
def _():
    pair = (HOLD.srv.client_certificate, HOLD.srv.client_key)
    for certificate, more, word in ((None, "", b"with ESMTPSA"), (None, " SMTPUTF8", b"with UTF8SMTPSA"),
                                    (pair, "", b"with ESMTPSA"), (pair, " SMTPUTF8", b"with UTF8SMTPSA")):
        with inside(HOLD.srv, certificate, login=not certificate) as w:
            w.mail(more)
            w.rcpt()
            w.submit(message("trace"))
        got = HOLD.srv.mailbox("bob").wait(1)[0]
        trace = got.partition(b"\n\n")[0]
        received = trace.partition(b"Received:")[2].partition(b"\nFrom:")[0]
        check(word in received and b"TLSv1.3" in received and b"alice" not in received, trace.decode())
        HOLD.srv.mailbox("bob").clear()
    with inside(listener("identity")) as w:
        w.mail()
        w.rcpt()
        w.submit(message("named"))
    received = HOLD.srv.mailbox("bob").wait(1)[0].partition(b"Received:")[2].partition(b"\nFrom:")[0]
    check(b"alice" in received, f"trace-identity = yes: {received.decode()}")
    HOLD.srv.mailbox("bob").clear()


HOLD.ports = {n: free_port() for n in LISTENERS}


def main():
    without_server()
    with work() as tmp:
        routes = "".join(f"listener {n} {{\n    address = 127.0.0.1:{HOLD.ports[n]}\n    tls = {tls}\n"
                         + ("" if "client-ca" in lines else f"    client-ca = {tmp}/sallyport/pki/ca.pem\n")
                         + f"    {lines.format(tmp=tmp)}\n}}\n" for n, (lines, tls) in LISTENERS.items())
        HOLD.tmp = tmp
        srv = Sallyport(tmp, routes=routes)
        shutil.copy(srv.ca, tmp / "clients.pem")
        srv.start()
        try:
            HOLD.srv = srv
            try:
                run()
            except SystemExit as e:
                status = e.code
            if not status:
                check_log(srv)
        finally:
            srv.stop()
    sys.exit(status)


main()
