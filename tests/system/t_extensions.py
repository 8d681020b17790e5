#!/usr/bin/python3
# sets: default
# timeout: 300
"""Extensions from the client to the next hop: what is passed on where the next hop has
them, and by the RFC's own rule where it has not (doc/extensions.md has the table)."""
import email, smtplib, ssl
from harness import *
from scripted import Scripted

HEAD = (b"From: Alice <alice@example.org>\r\nTo: bob@remote.test\r\nSubject: x\r\n"
        b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n")
TEXT = HEAD + b"\r\nhello\r\n"
EIGHT = HEAD + ("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n").encode()
ALL = "PIPELINING SIZE 8BITMIME SMTPUTF8 DSN ENHANCEDSTATUSCODES CHUNKING BINARYMIME LIMITS " \
      "DELIVERBY FUTURERELEASE MT-PRIORITY REQUIRETLS"


def session(srv):
    s = smtplib.SMTP("127.0.0.1", srv.port, timeout=60)
    s.starttls(context=ssl.create_default_context(cafile=srv.ca))
    s.login(srv.user, srv.password)
    return s


def say(s, line, code):
    got = s.docmd(line)
    check(got[0] == code, f"{line}: {got}, not {code}")
    return got[1].decode()


def submit(srv, mail="", rcpt="", message=TEXT, to=("bob@remote.test",), sender="alice@example.org"):
    """One transaction; returns the queue id."""
    with session(srv) as s:
        say(s, f"MAIL FROM:<{sender}>{mail}", 250)
        for r in to:
            say(s, f"RCPT TO:<{r}>{rcpt}", 250)
        if "BINARYMIME" in mail:
            s.send(f"BDAT {len(message)} LAST\r\n".encode() + message)
            code, words = s.getreply()
        else:
            code, words = s.data(message)
        check(code == 250, f"{code} {words}")
        return words.decode().split()[-1]


@contextlib.contextmanager
def hop_and_server(tmp, lists=(), listener=""):
    hop = Scripted(lists=lists)
    with server(tmp, routes=hop.route(), listener=f"    extensions = {ALL}\n{listener}") as srv:
        yield hop, srv
    hop.stop()


def envelope(hop, verb="MAIL"):
    return [l for l in hop.lines if l.startswith(verb)]


def notice(srv, n=1):
    """Action, status and words of the notices in the sender's mailbox."""
    got = srv.mailbox("alice").wait(n)
    texts = [m.decode(errors="replace") for m in got]
    return [(re.search(r"^Action: (\S+)", t, re.M)[1], re.search(r"^Status: (\S+)", t, re.M)[1], t)
            for t in texts]


needs = "MAIL FROM:<alice@example.org> "


@test("what the client asks for is asked of a next hop that has it")
def _():
    need_server()
    lists = ["DSN", "MT-PRIORITY", "DELIVERBY", "SMTPUTF8", "SIZE"]
    with work() as tmp, hop_and_server(tmp, lists) as (hop, srv):
        submit(srv, " RET=HDRS ENVID=q+2B1 BY=1000;R MT-PRIORITY=3 BODY=8BITMIME",
               " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@remote.test", EIGHT)
        wait_until(lambda: hop.taken, 20, "the mail")
        mail, rcpt = envelope(hop)[0], envelope(hop, "RCPT")[0]
        for word in ("RET=HDRS", "ENVID=q+2B1", "MT-PRIORITY=3", "BODY=8BITMIME"):
            check(f" {word}" in mail, f"{word} is not in {mail}")
        left = int(re.search(r" BY=(\d+);R", mail)[1])
        check(900 < left <= 1000, mail)
        check(" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@remote.test" in rcpt, rcpt)
        time.sleep(1)
        check(not srv.mailbox("alice").messages(), "the next hop reports success, not we")


@test("DSN: where the next hop has none the sender hears that it was relayed, once")
def _():
    need_server()
    with work() as tmp, hop_and_server(tmp) as (hop, srv):
        submit(srv, " ENVID=q1", " NOTIFY=SUCCESS")
        action, status, text = notice(srv)[0]
        check((action, status) == ("relayed", "2.0.0"), text)
        check("Original-Envelope-Id: q1" in text, text)
        check("NOTIFY" not in " ".join(hop.lines) and "ENVID" not in " ".join(hop.lines),
              f"{hop.lines}")


@test("DELIVERBY: notify goes on without the extension and says so; return comes back")
def _():
    need_server()
    with work() as tmp, hop_and_server(tmp) as (hop, srv):
        submit(srv, " BY=600;N")
        action, status, text = notice(srv)[0]
        check(action == "relayed", text)
        wait_until(lambda: len(hop.taken) == 1, 20, "the mail")
        submit(srv, " BY=600;R")
        action, status, text = notice(srv, 2)[-1]
        bounced = [n for n in notice(srv, 2) if n[0] == "failed"]
        check(bounced and bounced[0][1] == "5.4.7", text)
        check(len(hop.taken) == 1, "it was sent although it cannot be returned in time")


@test("DELIVERBY: nothing is delivered behind the time of return; notify warns at its time")
def _():
    need_server()
    with work() as tmp, hop_and_server(tmp, ["DELIVERBY"]) as (hop, srv):
        hop.answers["MAIL"] = "451 4.3.0 later"
        submit(srv, " BY=2;R")
        submit(srv, " BY=2;N")
        got = {n[0]: n[1] for n in notice(srv, 2)}
        check(got == {"failed": "5.4.7", "delayed": "4.3.0"}, f"{got}")
        hop.answers["MAIL"] = None
        time.sleep(1)
        check(not hop.taken, "delivered behind the time")


@test("8-bit, binary, SMTPUTF8 and REQUIRETLS come back where the next hop has them not")
def _():
    need_server()
    with work() as tmp, hop_and_server(tmp) as (hop, srv):
        hop.answers["EHLO"] = "250 hop.test"
        submit(srv, " BODY=8BITMIME", message=EIGHT)
        check(notice(srv)[-1][:2] == ("failed", "5.6.3"), notice(srv)[-1][2])
        srv.mailbox("alice").clear()
        submit(srv, " BODY=BINARYMIME", message=HEAD + b"\r\na\0b\nc")
        check(notice(srv)[-1][:2] == ("failed", "5.6.3"), notice(srv)[-1][2])
        srv.mailbox("alice").clear()
        submit(srv, " SMTPUTF8", message=HEAD.replace(b"Subject: x", "Subject: ü".encode())
               + b"\r\nhi\r\n")
        check(notice(srv)[-1][:2] == ("failed", "5.6.7"), notice(srv)[-1][2])
        srv.mailbox("alice").clear()
        submit(srv, " REQUIRETLS")
        check(notice(srv)[-1][:2] == ("failed", "5.7.30"), notice(srv)[-1][2])
        check(not hop.taken, f"{hop.taken}")
        srv.mailbox("alice").clear()
        submit(srv, " SMTPUTF8 MT-PRIORITY=2 RET=FULL ENVID=x BODY=7BIT")  # all ASCII
        wait_until(lambda: hop.taken, 20, "mail that needs none of them")
        check(envelope(hop)[-1].strip() == "MAIL FROM:<alice@example.org>", envelope(hop)[-1])


@test("REQUIRETLS goes over verified TLS to a next hop that has it, and nowhere else")
def _():
    need_server()
    with work() as tmp:
        keys = Certificates(tmp / "hopca")
        hop = Scripted(tls=keys.server(), lists=["REQUIRETLS"])
        route = hop.route(f"    tls-ca = {keys.ca}\n    tls = required")
        with server(tmp, routes=route) as srv:
            submit(srv, " REQUIRETLS")
            wait_until(lambda: hop.taken, 20, "the mail")
            check(envelope(hop)[-1].endswith(" REQUIRETLS"), envelope(hop)[-1])
    with work() as tmp:
        keys = Certificates(tmp / "hopca")
        hop = Scripted(tls=keys.server(), lists=["REQUIRETLS"])
        with server(tmp, routes=hop.route("    tls = opportunistic")) as srv:
            submit(srv, " REQUIRETLS")
            check(notice(srv)[-1][:2] == ("failed", "5.7.30"), "not verified")
            check(not hop.taken, "sent over TLS that nobody verified")


@test("binary content and a Maildir do not go together")
def _():
    need_server()
    with work() as tmp, hop_and_server(tmp) as (hop, srv):
        submit(srv, " BODY=BINARYMIME", message=HEAD + b"\r\na\0b\nc", to=["bob@example.org"])
        check(notice(srv)[-1][:2] == ("failed", "5.6.3"), notice(srv)[-1][2])


@test("LIMITS: a next hop that takes two recipients and one message at a time gets them so")
def _():
    need_server()
    with work() as tmp, hop_and_server(tmp, ["LIMITS RCPTMAX=2 MAILMAX=2"]) as (hop, srv):
        to = [f"r{i}@remote.test" for i in range(5)]
        submit(srv, to=to)
        wait_until(lambda: sum(len(t[1]) for t in hop.taken) == 5, 30, "five recipients")
        check(sorted(r for t in hop.taken for r in t[1]) == to, f"{hop.taken}")
        check([len(t[1]) for t in hop.taken] == [2, 2, 1], f"{hop.taken}")
        check(hop.sessions == 2, f"{hop.sessions} sessions")


@test("FUTURERELEASE: held until its time; n seconds are taken and n+1 are not")
def _():
    need_server()
    with work() as tmp, hop_and_server(tmp, listener="    future-release-max = 1m\n") as (hop, srv):
        with session(srv) as s:
            s.ehlo()
            check(s.esmtp_features["futurerelease"].split()[0] == "60", f"{s.esmtp_features}")
            say(s, needs + "HOLDFOR=60", 250)
            say(s, "RSET", 250)
            say(s, needs + "HOLDFOR=61", 501)
            soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 50))
            late = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 70))
            say(s, needs + f"HOLDUNTIL={soon}", 250)
            say(s, "RSET", 250)
            say(s, needs + f"HOLDUNTIL={late}", 501)
            say(s, needs + "HOLDFOR=30 BY=30;R", 501)
            say(s, needs + "HOLDFOR=30 BY=31;R", 250)
        begun = time.monotonic()
        submit(srv, " HOLDFOR=3")
        wait_until(lambda: hop.taken, 30, "the mail")
        check(time.monotonic() - begun >= 3, "released too early")


@test("MT-PRIORITY: a higher one than allowed is lowered, and the client hears it")
def _():
    need_server()
    with work() as tmp, hop_and_server(tmp, ["MT-PRIORITY"], "    priority-max = 2\n") as (hop, srv):
        with session(srv) as s:
            say(s, needs + "MT-PRIORITY=2", 250)
            say(s, "RSET", 250)
            text = say(s, needs + "MT-PRIORITY=3", 250)
            check(text.startswith("2.3.6 ") and "2" in text.split()[-1], text)
            say(s, "RCPT TO:<bob@remote.test>", 250)
            s.data(TEXT)
            wait_until(lambda: hop.taken, 20, "the mail")
            check(" MT-PRIORITY=2" in envelope(hop)[0], envelope(hop)[0])


@test("what the listener does not offer is not taken")
def _():
    need_server()
    with work() as tmp:
        with server(tmp, listener="    extensions = SIZE\n") as srv, session(srv) as s:
            s.ehlo()
            check(set(s.esmtp_features) == {"size", "auth"}, f"{s.esmtp_features}")
            for p in ("BODY=8BITMIME", "SMTPUTF8", "RET=FULL", "BY=100;N", "HOLDFOR=1",
                      "MT-PRIORITY=0", "REQUIRETLS"):
                say(s, needs + p, 555)
            say(s, "BDAT 0 LAST", 502)


run()
