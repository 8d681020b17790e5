#!/usr/bin/python3
# sets: default
# timeout: 300
"""Hostile and clumsy octets on the wire: nothing is executed that was not said inside TLS,
nothing is smuggled, nothing half is queued, and every mistake is told."""
import random, signal, socket, ssl, time, types, warnings
from harness import *
from wire import *

HOLD = types.SimpleNamespace()


def inbox(count, seconds=20):
    try:
        return HOLD.srv.mailbox("bob").wait(count, seconds)
    finally:
        HOLD.srv.mailbox("bob").clear()


def nothing_queued():
    """What was not acknowledged is not there.  A later message arrives alone."""
    with inside(HOLD.srv) as w:
        w.mail()
        w.rcpt()
        w.submit(message("after"))
    got = inbox(1)
    check(b"Subject: after" in got[0], f"another message arrived: {got[0][:300]!r}")


# ---- before TLS ----

@test("STARTTLS: commands behind it in the same packet are never executed")
def _():
    with Wire(HOLD.srv) as w:
        w.ehlo()
        w.send("STARTTLS\r\nMAIL FROM:<alice@example.org>\r\nRSET\r\n")
        w.expect(554, words="5.5.0")
        check(w.closed() == b"", "something was said after the 554")
    check(b"session.injection" in HOLD.srv.log.read_bytes(), "no injection in the log")


@test("STARTTLS: half a command behind it is an injection too")
def _():
    with Wire(HOLD.srv) as w:
        w.ehlo()
        w.send("STARTTLS\r\nM")
        w.expect(554)
        w.closed()


@test("STARTTLS: octets that come after the 220 fail the handshake and close")
def _():
    with Wire(HOLD.srv) as w:
        w.ehlo()
        w.expect(220, "STARTTLS")
        w.send("EHLO evil\r\nMAIL FROM:<alice@example.org>\r\n" * 20)
        said = w.closed(10)
        check(b"250" not in said and b"503" not in said, f"a clear command was answered: {said!r}")


@test("STARTTLS forgets EHLO: 503 with words until a new one, HELO is accepted")
def _():
    for verb in ("MAIL FROM:<alice@example.org>", "RCPT TO:<bob@example.org>", "DATA", "BDAT 0 LAST",
                 "VRFY x", "AUTH PLAIN AGFsaWNlAHg="):
        with Wire(HOLD.srv) as w:
            w.ehlo()
            w.starttls()
            w.expect(503, verb, "5.5.1")
            w.ehlo()
            w.login()
    with Wire(HOLD.srv) as w:
        w.ehlo()
        w.starttls()
        w.expect(250, "HELO client.test")
        w.expect(503, "AUTH PLAIN AGFsaWNlAHg=", "5.5.1")


@test("STARTTLS: argument 501, before a greeting 503, inside TLS 503 and not listed")
def _():
    with Wire(HOLD.srv) as w:
        w.expect(503, "STARTTLS", "5.5.1")
        check("STARTTLS" in w.ehlo().split("\n"), "STARTTLS is not listed")
        w.expect(501, "STARTTLS now", "5.5.4")
        w.starttls()
        check("STARTTLS" not in w.ehlo(), "STARTTLS is listed inside TLS")
        w.expect(503, "STARTTLS", "5.5.1")


@test("octets before the banner close the session")
def _():
    servers = [pid for pid, role in HOLD.srv.roles() if role == "server"]
    check(servers, "no server role is found")
    for early in (b"EHLO early\r\n", b"E", b"QUIT\r\n"):
        for pid in servers:
            os.kill(pid, signal.SIGSTOP)  # so that the octets are there before the banner
        try:
            s = socket.create_connection(("127.0.0.1", HOLD.srv.port), 10)
            s.sendall(early)
        finally:
            for pid in servers:
                os.kill(pid, signal.SIGCONT)
        with s:
            said = b""
            with contextlib.suppress(ConnectionError):
                while got := s.recv(4096):
                    said += got
            check(said.startswith(b"554 5.5.0") and said.count(b"\n") == 1, f"{early!r}: {said!r}")


@test("a web browser is told 421 and can do nothing")
def _():
    for first in ("GET / HTTP/1.1", "POST / HTTP/1.1", "Host: mail.example.org", "\x16\x03\x01",
                  "OPTIONS * HTTP/1.1", "1234"):
        with Wire(HOLD.srv) as w:
            w.send(first + "\r\n\r\nEHLO x\r\nSTARTTLS\r\n")
            check(w.closed().startswith(b"421 4.7.0"), f"{first!r} not refused")


@test("clear text on the TLS port: one 554 that says TLS first")
def _():
    for first in (b"EHLO client.test\r\n", b"GET / HTTP/1.1\r\n\r\n", b"QUIT\r\n"):
        with socket.create_connection(("127.0.0.1", HOLD.srv.tls_port), 10) as s:
            s.sendall(first)
            said = b""
            while got := s.recv(4096):
                said += got
            check(said.startswith(b"554 5.7.0 this port speaks TLS first") and
                  said.count(b"\n") == 1, f"said {said!r}")


@test("530 in the clear for everything that needs TLS, AUTH included")
def _():
    with Wire(HOLD.srv) as w:
        check("AUTH" not in w.ehlo(), "AUTH is offered in the clear")
        for verb in ("MAIL FROM:<alice@example.org>", "RCPT TO:<bob@example.org>", "DATA", "VRFY x",
                     "AUTH PLAIN AGFsaWNlAHg=", "BDAT 0 LAST"):
            w.expect(530, verb, "5.7.0 Must issue a STARTTLS command first")
        w.expect(250, "NOOP")
        w.expect(250, "RSET")


# ---- lines ----

@test("over-long command: one reply, swallowed, and the session goes on")
def _():
    with inside(HOLD.srv) as w:
        w.expect(500, b"NOOP " + b"x" * 200_000)
        w.expect(250, "NOOP")
        w.expect(500, b"x" * 5000)
        w.mail()


@test("over-long AUTH line: 500 5.5.6, the next login works")
def _():
    with inside(HOLD.srv, login=False) as w:
        w.expect(334, "AUTH PLAIN")
        w.expect(500, b"A" * 20000, "5.5.6")
        w.login()


@test("NUL, bare LF, bare CR in a command: 500 5.5.2 and close")
def _():
    for line in (b"NOOP a\0b\r\n", b"NOOP a\nNOOP b\r\n", b"NOOP a\rb\r\n", b"MAIL FROM:<alice@example.org>\n"
                 b"RCPT TO:<bob@example.org>\r\n"):
        with inside(HOLD.srv) as w:
            w.send(line)
            w.expect(500, words="5.5.2")
            check(w.closed() == b"", f"{line!r}: more than one reply")


@test("unknown commands are told so; twenty in a row end the session")
def _():
    with inside(HOLD.srv) as w:
        for i in range(19):
            w.expect(500, f"XYZZY{i} a")
        w.send("XYZZY\r\nXYZZY\r\n")
        check(b"421" in w.closed(), "no 421")


# ---- the end of data ----

SMUGGLED = (b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
            + message("smuggled") + b".\r\n")


@test("no other end of data than CRLF . CRLF; what hides behind one is never a message")
def _():
    for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\0\r\n.\0\r\n",
                b"\r\n.\r\r\n", b"\r\n\0.\r\n"):
        with inside(HOLD.srv) as w:
            w.mail()
            w.rcpt()
            w.expect(354, "DATA")
            w.send(message("outer") + b"text" + end + SMUGGLED)
            w.expect(554, words="5.6.0")
            w.silent(0.1)
            w.expect(250, "NOOP")
    nothing_queued()


@test("the end of data cut into single octets is found")
def _():
    with inside(HOLD.srv) as w:
        w.mail()
        w.rcpt()
        w.expect(354, "DATA")
        for octet in message("octets", b"\r\n..\r\n...x\r\nlast") + b"\r\n.\r\n":
            w.send(bytes([octet]))
        w.expect(250)
        check(b"\n.\n..x\nlast\n" in inbox(1)[0].replace(b"\r\n", b"\n"), "dots were not unstuffed")


@test("a reply after the dot belongs to its message when commands follow in the same packet")
def _():
    with inside(HOLD.srv) as w:
        w.send(b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n")
        for code in (250, 250, 354):
            w.expect(code)
        w.send(message("one") + b".\r\nMAIL FROM:<eve@example.com>\r\nMAIL FROM:<alice@example.org>\r\n"
               b"RCPT TO:<bob@example.org>\r\nDATA\r\n")
        for code in (250, 550, 250, 250, 354):
            w.expect(code)
        w.send(message("two") + b".\r\nQUIT\r\n")
        w.expect(250)
        w.expect(221)
        inbox(2)


@test("PIPELINING: a whole session behind the login in one packet is answered in order")
def _():
    with inside(HOLD.srv, login=False) as w:
        w.send(f"AUTH PLAIN {b64(chr(0) + w.srv.user + chr(0) + w.srv.password)}\r\n".encode() +
               b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
               b"RCPT TO:<nobody@[>\r\nRCPT TO:<x@discard.test>\r\n" +
               b"BDAT %d LAST\r\n" % len(message("piped")) + message("piped") +
               b"NOOP\r\nQUIT\r\n")
        codes = [w.reply()[0] for _ in range(8)]
        check(codes == [235, 250, 250, 501, 250, 250, 250, 221], f"{codes}")
    inbox(1)


@test("lines behind a failed AUTH are commands, never credentials")
def _():
    with inside(HOLD.srv, login=False) as w:
        w.send(f"AUTH PLAIN {b64(chr(0) + 'alice' + chr(0) + 'wrong')}\r\nNOOP\r\n")
        w.expect(535, words="5.7.8")
        w.expect(250)


# ---- half a message ----

@test("half a message and a broken connection queue nothing: DATA and BDAT")
def _():
    for how in ("close", "reset"):
        for command in (b"DATA\r\n" + message("half"), b"DATA\r\n" + message("half") + b".",
                        b"DATA\r\n" + message("half") + b".\r",
                        b"BDAT 5000 LAST\r\n" + message("half"),
                        b"BDAT %d\r\n" % len(message("half")) + message("half")):
            with inside(HOLD.srv) as w:
                w.mail()
                w.rcpt()
                w.send(command)
                time.sleep(0.05)
                if how == "reset":
                    w.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    nothing_queued()


# ---- BDAT ----

@test("BDAT: chunks, LAST 0, LAST alone; the message is the sum")
def _():
    whole = message("bdat", b"one\r\n.\r\n..two\r\n")
    for chunks in ([whole], [whole[:10], whole[10:]], [whole[:100], whole[100:101], whole[101:]]):
        for last0 in (False, True):
            with inside(HOLD.srv) as w:
                w.mail()
                w.rcpt()
                for i, chunk in enumerate(chunks):
                    last = b" LAST" if i == len(chunks) - 1 and not last0 else b""
                    w.send(b"BDAT %d%s\r\n" % (len(chunk), last) + chunk)
                    w.expect(250)
                if last0:
                    w.expect(250, "BDAT 0 LAST")
            check_same(whole, inbox(1)[0])


@test("BDAT refused: its octets are swallowed, not obeyed")
def _():
    bad = b"MAIL FROM:<alice@example.org>\r\nQUIT\r\n"
    with inside(HOLD.srv) as w:
        w.send(b"BDAT %d LAST\r\n" % len(bad) + bad)
        w.expect(503)
        w.expect(250, "NOOP")
        w.mail()
        w.send(b"BDAT %d LAST\r\n" % len(bad) + bad)
        w.expect(554, words="5.5.1")
        w.expect(250, "RSET")
        w.mail()
        w.rcpt()
        w.send(b"BDAT 5\r\nFrom:")
        w.expect(250)
        w.expect(503, "DATA", "5.5.1")
    nothing_queued()


@test("BDAT: sizes that are no numbers are 501; a huge one is not believed")
def _():
    for size in ("", "x", "-1", "1 2", "0x10", "99999999999999999999999", "5 LAST LAST", "1 FIRST"):
        with inside(HOLD.srv) as w:
            w.mail()
            w.rcpt()
            w.expect(501, f"BDAT {size}".rstrip() if not size else f"BDAT {size}")
    for size in (b"18446744073709551615", b"4000000000"):
        with inside(HOLD.srv) as w:
            w.mail()
            w.rcpt()
            w.send(b"BDAT " + size + b" LAST\r\n" + b"x" * 100_000)
            w.s.settimeout(0.3)
            try:
                check(w.line()[0] in "45", "a chunk of all octets was accepted")
            except TimeoutError:
                pass  # it reads on, as it must: those octets were announced
    nothing_queued()


@test("BDAT: bare LF without BINARYMIME is 554, the session goes on")
def _():
    with inside(HOLD.srv) as w:
        w.mail()
        w.rcpt()
        body = message("lf", b"a\nb\r\n")
        w.send(b"BDAT %d LAST\r\n" % len(body) + body)
        w.expect(554, words="5.6.0")
        w.mail()
    nothing_queued()


# ---- limits ----

@test("the 1,001st recipient is 452 4.5.3, the thousand get the message")
def _():
    with inside(HOLD.srv) as w:
        w.mail()
        for n in range(0, 1000, 100):
            w.send("".join(f"RCPT TO:<u{i}@discard.test>\r\n" for i in range(n, n + 100)))
            for _ in range(100):
                w.expect(250)
        w.expect(452, "RCPT TO:<u1001@discard.test>", "4.5.3")
        w.submit(message("many"))


@test("SIZE: too large at MAIL is 552 5.3.4, wrong numbers 501")
def _():
    with inside(HOLD.srv) as w:
        check("SIZE 200000" in w.ehlo(), "SIZE is not listed")
        w.expect(552, "MAIL FROM:<alice@example.org> SIZE=200001", "5.3.4")
        for bad in ("x", "-1", "1e3", "99999999999999999999999", ""):
            w.expect(501, f"MAIL FROM:<alice@example.org> SIZE={bad}")
        w.mail(" SIZE=200000")


@test("a message that grows over the limit is read to its end: 552, nothing queued")
def _():
    big = message("big", b"0123456789abcdef\r\n" * 30_000)
    with inside(HOLD.srv) as w:
        w.mail()
        w.rcpt()
        w.submit(big, 552, "5.3.4")
        w.mail()
        w.rcpt()
        w.send(b"BDAT %d LAST\r\n" % len(big) + big)
        w.expect(552, words="5.3.4")
        w.expect(250, "NOOP")
    nothing_queued()


@test("8-bit octets: in the body fine, in envelope or header without SMTPUTF8 refused")
def _():
    with inside(HOLD.srv) as w:
        w.expect(553, "MAIL FROM:<ålice@example.org>", "5.6.7")
        w.mail()
        w.expect(553, "RCPT TO:<bøb@example.org>", "5.6.7")
        w.rcpt()
        w.submit(message("8bit").replace(b"Subject: ", "Subject: ž".encode()), 554, "5.6.7")
        w.mail()
        w.rcpt()
        w.submit(message("8body", "kůň\r\n".encode()))
        w.mail(" SMTPUTF8")
        w.rcpt()
        w.submit(message("utf8").replace(b"Subject: ", "Subject: ž".encode()))
    inbox(2)


@test("a line of 998 octets passes, 999 is 554 5.6.0")
def _():
    with inside(HOLD.srv) as w:
        for n, code in ((998, 250), (999, 554), (100_000, 554)):
            w.mail()
            w.rcpt()
            w.submit(message("line", b"x" * n + b"\r\n"), code)
    inbox(1)


# ---- who may say what ----

@test("another sender than one's own is 550 5.7.1, in the header too")
def _():
    with inside(HOLD.srv) as w:
        w.expect(550, "MAIL FROM:<bob@example.org>", "5.7.1")
        w.expect(550, "MAIL FROM:<alice@example.com>", "5.7.1")
        w.mail()
        w.rcpt()
        w.submit(message("forged").replace(b"From: alice", b"From: bob"), 550, "5.7.1")
        w.mail()
        w.rcpt()
        w.submit(b"From: alice@example.org\r\n" + message("two"), 554, "5.6.0")
    nothing_queued()


@test("no mail without a login, whatever was tried before")
def _():
    with inside(HOLD.srv, login=False) as w:
        for verb in ("MAIL FROM:<alice@example.org>", "MAIL FROM:<>", "RCPT TO:<bob@example.org>", "DATA"):
            w.expect(530, verb, "5.7.0 Authentication required")
        w.expect(535, f"AUTH PLAIN {b64(chr(0) + 'alice' + chr(0) + 'x')}")
        w.expect(530, "MAIL FROM:<alice@example.org>")


@test("a second AUTH, or one in a transaction, is 503 5.5.1")
def _():
    with inside(HOLD.srv) as w:
        again = f"AUTH PLAIN {b64(chr(0) + w.srv.user + chr(0) + w.srv.password)}"
        w.expect(503, again, "5.5.1")
        w.mail()
        w.expect(503, again, "5.5.1")
        w.rcpt()


@test("the third failed AUTH is 535, then 421 and closed")
def _():
    with inside(HOLD.srv, login=False) as w:
        for _ in range(3):
            w.expect(535, f"AUTH PLAIN {b64(chr(0) + 'mallory' + chr(0) + 'x')}", "5.7.8")
        w.expect(421, words="4.7.0")
        w.closed()


@test("AUTH: cancelled 501 5.7.0, bad base64 501 5.5.2, unknown 504 5.5.4; then it works")
def _():
    with inside(HOLD.srv, login=False) as w:
        for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
            w.expect(334, f"AUTH {mechanism}")
            w.expect(501, "*", "5.7.0")
        w.expect(501, "AUTH PLAIN !!!", "5.5.2")
        w.expect(504, "AUTH NTLM", "5.5.4")
        w.expect(504, "AUTH EXTERNAL =", "5.5.4")
        w.expect(334, "AUTH LOGIN")
        w.expect(334, b64("alice"))
        w.expect(235, b64(w.srv.password), "2.7.0")


# ---- TLS ----

@test("TLS 1.2 and 1.3 work, older ones do not; ALPN smtp or none, nothing else")
def _():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with inside(HOLD.srv, implicit=True, version=version) as w:
            check(w.s.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2"}.get(version, "TLSv1.3"), "version")
            check(not w.s.session_reused, "reused")
    with inside(HOLD.srv, implicit=True, alpn=["smtp"]) as w:
        check(w.s.selected_alpn_protocol() == "smtp", "ALPN smtp was not taken")
    for wrong in (["http/1.1"], ["h2", "http/1.1"], ["imap"]):
        try:
            Wire(HOLD.srv, implicit=True, alpn=wrong).s.close()
        except (ssl.SSLError, ConnectionError):
            continue
        raise Failed(f"ALPN {wrong} was accepted")
    old = context(HOLD.srv)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    try:
        with socket.create_connection(("127.0.0.1", HOLD.srv.tls_port), 10) as s:
            old.wrap_socket(s, server_hostname="localhost")
    except (ssl.SSLError, ConnectionError):
        return
    raise Failed("TLS 1.1 was accepted")


@test("no session tickets, no resumption")
def _():
    for option in ("-tls1_2", "-tls1_3"):
        p = subprocess.run(["openssl", "s_client", option, "-connect", f"127.0.0.1:{HOLD.srv.tls_port}",
                            "-CAfile", str(HOLD.srv.ca), "-quiet", "-no_ign_eof", "-msg"],
                           input=b"QUIT\r\n", capture_output=True, timeout=30)
        check(b"NewSessionTicket" not in p.stdout + p.stderr, f"{option}: a ticket was sent")
        check(b"Handshake" in p.stdout + p.stderr, "no handshake seen")


@test("garbage instead of a handshake: closed, and the next client is served")
def _():
    rng = random.Random(7)
    for n in (1, 5, 100, 70_000):
        with socket.create_connection(("127.0.0.1", HOLD.srv.tls_port), 10) as s:
            with contextlib.suppress(ConnectionError):
                s.sendall(b"\x16\x03\x01" + rng.randbytes(n))
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
    with inside(HOLD.srv):
        pass


# ---- the log ----

@test("EHLO and user names cannot forge lines in the log")
def _():
    forged = "x\n2026-11-22T00:00:00Z supervisor - ready forged=1"
    with inside(HOLD.srv, login=False) as w:
        w.send(f"AUTH PLAIN {b64(chr(0) + forged + chr(0) + 'x')}\r\n")
        check(w.reply()[0] in (535, 501), "not refused")
        w.expect(535, f"AUTH PLAIN {b64(chr(0) + chr(27) + '[2Jalice' + chr(0) + 'x')}")
    with Wire(HOLD.srv) as w:
        w.send("EHLO a\x1b[2Jb\r\n")
        w.reply()
    log = HOLD.srv.process.output()
    check("\x1b" not in log, "an escape sequence is in the log")
    check(not any(re.match(r"^2026-11-22T00:00:00Z", l) for l in log.splitlines()), "a forged line")


shared(HOLD, routes="route many {\n    match = discard.test\n    to = discard\n}\n",
       more="message-size = 200000\n")
