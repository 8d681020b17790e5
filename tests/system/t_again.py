#!/usr/bin/python3
# sets: default
# timeout: 300
"""A submission that is sent again: by a key of the client's own, by what it is, and over
crashes between the commit and the 250 (doc/submission.md)."""
import random, smtplib, ssl
from harness import *

HEAD = (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: x\r\n"
        b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n")
TEXT = HEAD + b"\r\nhello\r\n"


def keyed(key, text=TEXT, blank=b" "):
    return b"Submission-Key:" + blank + key.encode() + b"\r\n" + text


def session(srv):
    s = smtplib.SMTP("127.0.0.1", srv.port, timeout=60)
    s.starttls(context=ssl.create_default_context(cafile=srv.ca))
    s.login(srv.user, srv.password)
    return s


def send(srv, message, to=("bob@example.org",), sender="alice@example.org"):
    """(code, the enhanced code, the last word of the reply: the queue id)."""
    with session(srv) as s:
        s.mail(sender)
        for r in to:
            s.rcpt(r)
        code, words = s.data(message)
        return code, words.decode().split()[0], words.decode().split()[-1]


@test("the same key gets the first 250 and its id, other content or recipients get 554 5.6.0")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        first = send(srv, keyed("k-1"))
        check(first[0] == 250, f"{first}")
        check(send(srv, keyed("k-1")) == first, "another answer to the same submission")
        check(send(srv, keyed("k-1", TEXT + b"more\r\n"))[:2] == (554, "5.6.0"), "other content")
        check(send(srv, keyed("k-1"), ["carol@example.org"])[:2] == (554, "5.6.0"), "other recipients")
        check(send(srv, keyed("k-1"), sender="")[:2] == (554, "5.6.0"), "another sender")
        two = send(srv, keyed("k-2"), ["bob@example.org", "carol@example.org"])
        check(send(srv, keyed("k-2"), ["carol@example.org", "bob@example.org"]) == two,
              "the order of recipients does not matter")
        large = keyed("k-3", TEXT + b"y\r\n" * 60000)
        third = send(srv, large)
        check(third[0] == 250 and send(srv, large) == third, f"in a file: {third}")
        check(send(srv, large + b"z\r\n")[:2] == (554, "5.6.0"), "other content in a file")
        got = srv.mailbox("bob").wait(3)
        check(not any(b"ubmission-Key" in m for m in got), "the key was sent on")
        check_same(TEXT, min(got, key=len))
        text = call([SALLYPORT, "queue", "show", first[2], "--config", srv.config])
        check("delivered" in text, f"queue show of a message that is through: {text}")
        time.sleep(0.5)
        check(len(srv.mailbox("bob").messages()) == 3, "queued twice")


@test("queue show finds a message by the id of its 250 for as long as history-keep says, and then no more")
def _():
    need_server()
    with work() as tmp, server(tmp, more="history-keep = 1h") as srv:
        code, _enhanced, id_ = send(srv, TEXT)
        check(code == 250, f"{code}")
        srv.mailbox("bob").wait(1)
        show = [SALLYPORT, "queue", "show", id_, "--config", srv.config]
        check("bob@example.org" in call(show), "not found after its delivery")
        srv.config.write_text(srv.config.read_text().replace("history-keep = 1h", "history-keep = 1s"))
        os.kill(srv.process.pid, signal.SIGHUP)
        # Old lines of the history are taken out now and then, not to the second.
        wait_until(lambda: "bob@example.org" not in call(show, ok=range(256)), 120, "the end of its history")


@test("keys: n characters and n+1, malformed ones, and a signed message keeps its field")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        check(send(srv, keyed("k" * 200))[0] == 250, "200 characters")
        check(send(srv, keyed("k" * 201))[:2] == (554, "5.6.0"), "201 characters")
        check(send(srv, keyed("a b"))[:2] == (554, "5.6.0"), "a blank in it")
        check(send(srv, keyed("", blank=b""))[:2] == (554, "5.6.0"), "an empty one")
        check(send(srv, keyed("a", keyed("b")))[:2] == (554, "5.6.0"), "two of them")
        signed = b"DKIM-Signature: v=1; a=rsa-sha256; b=x\r\n" + keyed("s-1")
        check(send(srv, signed)[0] == 250 and send(srv, signed)[0] == 250, "signed")
        got = srv.mailbox("bob").wait(2)
        check(sum(b"Submission-Key: s-1" in m for m in got) == 1, "a signed message was altered")


@test("without a key only deduplicate matches, and only what is the same in everything")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        check(send(srv, TEXT)[2] != send(srv, TEXT)[2], "matched though it is off")
        srv.mailbox("bob").wait(2)
    with work() as tmp, server(tmp, more="deduplicate = 1h") as srv:
        first = send(srv, TEXT)
        check(send(srv, TEXT) == first, "not recognised")
        others = [send(srv, TEXT, ["bob@example.org", "carol@example.org"]),
                  send(srv, TEXT + b"more\r\n"), send(srv, TEXT, sender=""),
                  send(srv, TEXT.replace(b"<1@", b"<2@"))]
        bare = TEXT.replace(b"Message-ID: <1@example.org>\r\n", b"")
        others += [send(srv, bare), send(srv, bare)]  # two reports are two reports
        ids = [o[2] for o in others]
        check(all(o[0] == 250 for o in others) and len({first[2], *ids}) == 7, f"{others}")
        large = TEXT + b"y\r\n" * 60000
        check(send(srv, large) == send(srv, large), "in a file")
        check(len(srv.mailbox("bob").wait(8)) == 8, "messages")


@test("a list manager's three transactions to 1,200 reach all 1,200")
def _():
    need_server()
    with work() as tmp, server(tmp, more="deduplicate = 1h") as srv:
        everybody = [f"u{i}@example.org" for i in range(1200)]
        for part in (everybody[:500], everybody[500:1000], everybody[1000:]):
            check(send(srv, TEXT, part)[0] == 250, "a part")
        check(send(srv, TEXT, everybody[500:1000])[0] == 250, "a part again")
        box = srv.store / "mail" / srv.local_domain
        wait_until(lambda: sum(1 for _ in box.glob("u*/new/*")) >= 1200, 120, "1,200 messages")
        time.sleep(1)
        check(sum(1 for _ in box.glob("u*/new/*")) == 1200, "somebody got it twice")


@test("the 250 is lost: killed at any moment, and sent again with its key, each arrives once")
def _():
    need_server()
    random.seed(5)
    with work() as tmp, server(tmp) as srv:
        sent = 0
        for _ in range(4):
            sessions = []
            for _ in range(6):
                s = session(srv)
                s.mail("alice@example.org")
                s.rcpt("bob@example.org")
                check(s.docmd("DATA")[0] == 354, "DATA")
                text = keyed(f"crash-{sent}", HEAD + b"X-Number: %d\r\n\r\nhello\r\n" % sent)
                s.send(text)
                sessions.append((s, text))
                sent += 1
            for s, _ in sessions:
                s.send(b".\r\n")
            time.sleep(random.uniform(0, 0.03))
            srv.process.stop(signal.SIGKILL)  # nobody reads a 250
            for s, _ in sessions:
                s.close()
            srv.start()
            for _, text in sessions:
                code = send(srv, text)
                check(code[0] == 250, f"sent again: {code}")
        got = srv.mailbox("bob").wait(sent, 60)
        numbers = sorted(int(re.search(rb"X-Number: (\d+)", m)[1]) for m in got)
        check(numbers == list(range(sent)), f"not each once: {numbers}")
        time.sleep(1)
        check(len(srv.mailbox("bob").messages()) == sent, "one more came later")


@test("the connection is cut behind the dot: the second attempt hears the first one's id")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        s = session(srv)
        s.mail("alice@example.org")
        s.rcpt("bob@example.org")
        check(s.docmd("DATA")[0] == 354, "DATA")
        s.send(keyed("cut") + b".\r\n")
        s.close()
        wait_until(lambda: b"message.accepted" in srv.log.read_bytes(), 20, "the first")
        first = re.search(rb"message.accepted id=(\w+)", srv.log.read_bytes())[1].decode()
        check(send(srv, keyed("cut"))[2] == first, "another id")
        srv.mailbox("bob").wait(1)


run()
