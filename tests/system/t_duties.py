#!/usr/bin/python3
# sets: default
# timeout: 300
"""What an account and an address may send, at n and at n + 1; who may stand in From; when a
message loops (doc/submission.md)."""
import smtplib, ssl
from harness import *

HEAD = (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: x\r\n"
        b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n")
TEXT = HEAD + b"\r\nhello\r\n"


def session(srv):
    s = smtplib.SMTP("127.0.0.1", srv.port, timeout=60)
    s.starttls(context=ssl.create_default_context(cafile=srv.ca))
    s.ehlo()
    s.user, s.password = srv.user, srv.password
    try:
        code, words = s.auth("PLAIN", s.auth_plain, initial_response_ok=True)
    except smtplib.SMTPAuthenticationError as e:
        code, words = e.smtp_code, e.smtp_error
    s.login_reply = (code, words.decode())
    return s


def transaction(s, to=1, message=TEXT):
    """The codes of MAIL, each RCPT and the dot, as far as it came, and the last words."""
    codes = [s.mail("alice@example.org")]
    if codes[-1][0] == 250:
        codes += [s.rcpt(f"r{i}@example.org") for i in range(to)]
        if any(c[0] == 250 for c in codes[1:]):
            codes.append(s.data(message))
    last = next((c for c in codes if c[0] != 250), codes[-1])
    if codes[-1][0] != 250:
        s.rset()
    return [c[0] for c in codes], last[1].decode()


OK = [250, 250, 250]


@test("messages of an account: n pass, n + 1 is 451 4.7.1, whichever process it comes to")
def _():
    need_server()
    with work() as tmp, server(tmp, listener="    user-messages = 3/h\n") as srv:
        sessions = [session(srv) for _ in range(4)]
        for s in sessions[:3]:
            check(transaction(s)[0] == OK, "within the limit")
        for s in sessions:
            codes, words = transaction(s)
            check(codes == [451] and words.startswith("4.7.1 alice may send 3 messages an hour"),
                  f"{codes} {words}")
        srv.mailbox("r0").wait(3)


@test("messages under way at the same time: of n + 1 only n are taken")
def _():
    need_server()
    with work() as tmp, server(tmp, listener="    user-messages = 2/d\n") as srv:
        sessions = [session(srv) for _ in range(3)]
        for s in sessions:
            check(s.mail("alice@example.org")[0] == 250 and s.rcpt("bob@example.org")[0] == 250, "begun")
        got = sorted(s.data(TEXT)[0] for s in sessions)
        check(got == [250, 250, 451], f"{got}")


@test("recipients of an account: n pass, n + 1 is 451 at RCPT; what is refused costs nothing")
def _():
    need_server()
    with work() as tmp, server(tmp, listener="    user-recipients = 5/h\n") as srv:
        s = session(srv)
        codes, _ = transaction(s, to=2, message=b"From: x@y.example\r\n\r\nno\r\n")
        check(codes[-1] == 550, f"{codes}")
        codes, words = transaction(s, to=6)
        check(codes == [250] + [250] * 5 + [451, 250], f"{codes}")
        check(words.startswith("4.7.1 alice may send mail to 5 recipients an hour"), words)
        check(transaction(s)[0] == [451], "at MAIL, when nothing is left")


@test("an address: the same for everybody behind it")
def _():
    need_server()
    with work() as tmp, server(tmp, listener="    address-messages = 2/h\n    address-recipients = 3/h\n") as srv:
        check(transaction(session(srv), to=2)[0] == [250] * 4, "first")
        codes, words = transaction(session(srv), to=2)
        check(codes == [250, 250, 451, 250] and "127.0.0.1" in words, f"{codes} {words}")
        check(transaction(session(srv))[0] == [451], "third message")


@test("user limits: an account's own rates and sessions stand in the listener's place")
def _():
    need_server()
    with work() as tmp, server(tmp, listener="    user-messages = 1/h\n    user-sessions = 5\n") as srv:
        call([SALLYPORT, "user", "limits", "alice", "--data", srv.store, "--message-rate", "2/h,50/d",
              "--sessions", "2", "--recipients", "3", "--message-size", "2000"])
        shown = call([SALLYPORT, "user", "list", "alice", "--data", srv.store])
        for line in ("messages    2 an hour", "messages    50 a day", "sessions    2 at a time"):
            check(line in shown, shown)
        call([SALLYPORT, "user", "limits", "alice", "--data", srv.store, "--message-rate", "2/x"], ok=(64,))
        a, b = session(srv), session(srv)
        c = session(srv)
        check(c.login_reply[0] == 421 and c.login_reply[1].startswith("4.7.0 too many sessions of alice"),
              f"{c.login_reply}")
        codes, _ = transaction(a, to=4)
        check(codes == [250, 250, 250, 250, 452, 250], f"recipients of a message: {codes}")
        big = HEAD + b"\r\n"
        big += 15 * (b"x" * 98 + b"\r\n")
        big += b"x" * (2000 - len(big) - 2) + b"\r\n"
        check(len(big) == 2000 and transaction(b, message=big)[0] == OK, "2000 octets")
        check(transaction(b)[0] == [451], "third message")
        call([SALLYPORT, "user", "limits", "alice", "--data", srv.store, "--message-rate", "0"])
        b.quit()
        d = wait_until(lambda: next((s for s in [session(srv)] if s.login_reply[0] == 235), None), 20, "room")
        d.quit()


@test("size: n octets pass and n + 1 do not")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        call([SALLYPORT, "user", "limits", "alice", "--data", srv.store, "--message-size", "300"])
        s = session(srv)
        exact = HEAD + b"\r\n"
        exact += b"x" * (298 - len(exact)) + b"\r\n"
        check(transaction(s, message=exact)[0] == OK, "300")
        codes, words = transaction(s, message=exact[:-2] + b"x\r\n")
        check(codes == [250, 250, 552] and words.startswith("5.3.4"), f"{codes} {words}")


@test("an account that suddenly sends much is told to the log, once")
def _():
    need_server()
    with work() as tmp, server(tmp, more="alert-rate = 2/h") as srv:
        s = session(srv)
        for _ in range(2):
            check(transaction(s)[0] == OK, "quiet")
        check(b"account.busy" not in srv.log.read_bytes(), "too early")
        for _ in range(3):
            check(transaction(s)[0] == OK, "refuses nothing")
        lines = re.findall(rb"^.* account.busy warning .*$", srv.log.read_bytes(), re.M)
        check(len(lines) == 1 and b"user=alice" in lines[0] and b'"more than 2 an hour"' in lines[0], f"{lines}")


@test("From of somebody else: refused, or by configuration the account's own in its place")
def _():
    need_server()
    foreign = TEXT.replace(b"Alice <alice@example.org>", b"The Boss <boss@example.org>")
    with work() as tmp, server(tmp) as srv:
        codes, words = transaction(session(srv), message=foreign)
        check(codes == [250, 250, 550] and "5.7.1 alice may not send as boss@example.org" in words, words)
    rules = "    header-rules = foreign-from=repair missing-date=refuse missing-message-id=pass\n"
    with work() as tmp, server(tmp, listener=rules) as srv:
        s = session(srv)
        check(transaction(s, message=foreign)[0] == OK, "repaired")
        got = re.sub(rb"\r?\n[ \t]", b" ", srv.mailbox("r0").wait(1)[0])
        check(b"boss@" not in got.split(b"\n\n")[0] and re.search(rb"^From: .*The Boss.* <alice@example.org>", got, re.M),
              got.decode(errors="replace"))
        check(transaction(s, message=b"From: alice@example.org\r\n\r\nx\r\n")[0] == [250, 250, 554], "no Date")


@test("loops: as many Received fields as hops-max says pass, one more is 554 5.4.6")
def _():
    need_server()
    with work() as tmp, server(tmp, more="hops-max = 5") as srv:
        s = session(srv)
        field = b"Received: from a by b; Sun, 22 Nov 2026 10:00:00 +0000\r\n"
        check(transaction(s, message=5 * field + TEXT)[0] == OK, "5")
        codes, words = transaction(s, message=6 * field + TEXT)
        check(codes == [250, 250, 554] and words.startswith("5.4.6"), f"{codes} {words}")


@test("Received says how it came, and hides the client where that is wished")
def _():
    need_server()
    for hidden in (False, True):
        more = "    trace-hide-client = yes\n" if hidden else ""
        with work() as tmp, server(tmp, listener=more) as srv:
            check(transaction(session(srv))[0] == OK, "sent")
            got = srv.mailbox("r0").wait(1)[0].decode().replace("\n\t", " ").replace("\n ", " ")
            field = next(l for l in got.splitlines() if l.startswith("Received:"))
            check(("127.0.0.1" in field) != hidden, field)
            check(" with ESMTPSA" in field and "TLSv1.3" in field and "TLS_" in field, field)


run()
