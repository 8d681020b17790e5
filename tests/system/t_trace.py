#!/usr/bin/python3
# sets: default
# timeout: 200
"""sallyport trace: live sessions of a user or an address, secrets hidden."""
import base64, json, signal, smtplib, socket, ssl
from acct_lab import *
import clients

need_server()
if SALLYPORT == "standin":
    print("skipped: the stand-in has no control socket\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)

MESSAGE = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hidden subject\r\n\r\nhidden text\r\n"


class Trace(Process):
    def __init__(self, srv, tmp, *words):
        super().__init__("trace", [SALLYPORT, "trace", "--config", srv.config, *words], tmp / f"trace{time.monotonic()}")
        before = srv.process.output().count("command=trace")
        wait_until(lambda: srv.process.output().count("command=trace") > before - 1 and "command=trace" in srv.process.output(),
                   30, "the trace to begin")
        time.sleep(1)  # until every server has heard of it

    def has(self, text):
        wait_until(lambda: text in self.output(), 30, f"{text!r} in\n{self.output()}")


@test("a user's session is shown from its first line to its end; no password, no content; Ctrl-C ends it with 0")
def _():
    with work() as tmp, server(tmp) as srv:
        t = Trace(srv, tmp, "--user", "alice")
        clients.smtplib_(srv, MESSAGE)
        t.has("the session ends")
        out = t.output()
        for words in ("* connected to: submission", "S 220 mail.example.org", "C STARTTLS", "TLSv1.3", "C AUTH PLAIN ****",
                      "* logged in as: alice", "S 235 2.7.0", "C mail FROM:<alice@example.org>", "C rcpt TO:<bob@example.org>",
                      "S 354", f"C ({len(MESSAGE) + 3} octets of a message)", "S 250 2.0.0 Ok: queued as", "C QUIT", "S 221"):
            check(words in out, f"{words!r} is not in\n{out}")
        secret = base64.b64encode(f"\0alice\0{srv.password}".encode()).decode()
        for hidden in (srv.password, secret, secret[:12], "hidden"):
            check(hidden not in out, f"{hidden!r} is shown:\n{out}")
        check(t.stop(signal.SIGINT) == 0, "the exit status")
        check(re.search(r"control command=trace user=alice uid=\d+", srv.process.output()), "not logged")


@test("failed logins of a user are shown, every mechanism's secrets hidden, also of clients that are out of step")
def _():
    with work() as tmp, server(tmp) as srv:
        t = Trace(srv, tmp, "--address", "127.0.0.0/8")
        secrets = [base64.b64encode(s).decode() for s in (b"\0alice\0wrong-1", b"alice", b"wrong-2", b"wrong-3")]
        with smtplib.SMTP("localhost", srv.port, timeout=60) as s:
            s.starttls(context=ssl.create_default_context(cafile=srv.ca))
            s.ehlo()
            s.docmd("AUTH", f"PLAIN {secrets[0]}")
            s.docmd("AUTH", "LOGIN")
            s.docmd(secrets[1])
            s.docmd(secrets[2])
            s.docmd(secrets[3])  # as a command: the exchange was over
            s.docmd("NOOP", "\x01\x1b[31mred")
        t.has("the session ends")
        out = t.output()
        for hidden in (*secrets, "wrong-"):
            check(hidden not in out, f"{hidden!r} is shown:\n{out}")
        check("C AUTH PLAIN ****" in out and "C AUTH LOGIN\n" in out and out.count(" C ****\n") == 2 and "S 334 ****" in out, out)
        check("(no known command, " in out and "login failed" in out, out)
        check("\x1b" not in out, "a control octet came through")
        t.stop(signal.SIGINT)
        t = Trace(srv, tmp, "--user", "alice", "--json")
        with smtplib.SMTP("localhost", srv.port, timeout=60) as s:
            s.starttls(context=ssl.create_default_context(cafile=srv.ca))
            s.ehlo()
            s.docmd("AUTH", f"PLAIN {secrets[0]}")
        t.has("the session ends")
        rows = [json.loads(l) for l in t.output().splitlines()]
        check(rows[0]["text"].startswith("connected") and any("535" in r["text"] for r in rows), f"{rows}")
        check(all(r["session"] == rows[0]["session"] and r["from"].startswith("127.0.0.1:") for r in rows), f"{rows}")


@test("logins by SCRAM and by token are shown without what could be tried or used again")
def _():
    with work() as tmp, server(tmp) as srv:
        t = Trace(srv, tmp, "--address", "127.0.0.0/8")
        check(Lab(srv).scram("alice", srv.password)[0] == 235, "no login by SCRAM")
        t.has("logged in as: alice")
        token = base64.b64encode(b"n,a=alice,\x01auth=Bearer c2VjcmV0LXRva2Vu\x01\x01").decode()
        with smtplib.SMTP("localhost", srv.port, timeout=60) as s:
            s.starttls(context=ssl.create_default_context(cafile=srv.ca))
            s.ehlo()
            s.docmd("AUTH", f"OAUTHBEARER {token}")
            s.docmd("AUTH", f"XOAUTH2 {token}")
        wait_until(lambda: t.output().count("the session ends") >= 2, 30, "the second session")
        out = t.output()
        check("C AUTH SCRAM-SHA-256 ****" in out and "S 235 2.7.0" in out, out)
        check("C AUTH OAUTHBEARER ****" in out and "C AUTH XOAUTH2 ****" in out, out)
        for hidden in (token, token[:16], base64.b64encode(b"n,,n=alice,r=").decode()[:16], "biws", "c2VjcmV0"):
            check(hidden not in out, f"{hidden!r} is shown:\n{out}")
        t.stop(signal.SIGINT)


@test("others' sessions are not shown; two may watch; who is gone costs nothing")
def _():
    with work() as tmp, server(tmp) as srv:
        call([SALLYPORT, "user", "add", "--data", srv.store, "carol", "--address", "carol@example.org",
              "--password-file", srv.password_file])
        one, two = Trace(srv, tmp, "--user", "carol"), Trace(srv, tmp, "--address", "127.0.0.1")
        three = Trace(srv, tmp, "--address", "192.0.2.0/24")
        clients.smtplib_(srv, MESSAGE)
        two.has("the session ends")
        check(one.output() == "" and three.output() == "", f"{one.output()} {three.output()}")
        for t in (two, three):
            t.stop(signal.SIGKILL)
        srv.user, srv.address = "carol", "carol@example.org"
        clients.smtplib_(srv, MESSAGE.replace(b"alice", b"carol"))
        one.has("logged in as: carol")
        one.has("the session ends")


@test("a role that is started again is watched, too; a reader that stops reading loses lines, and mail goes on")
def _():
    with work() as tmp, server(tmp, more="server-processes = 1\n") as srv:
        t = Trace(srv, tmp, "--address", "127.0.0.1")
        [pid] = [pid for pid, role in srv.roles() if role == "server"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(re.findall("role.start role=server", srv.process.output())) == 2, 30, "its next start")
        time.sleep(1)
        clients.smtplib_(srv, MESSAGE)
        t.has("the session ends")
        os.kill(t.pid, signal.SIGSTOP)
        try:
            with socket.create_connection(("127.0.0.1", srv.port), 30) as s:
                s.recv(1000)
                s.sendall(b"EHLO x\r\n" + b"NOOP " + b"x" * 400 + b"\r\n")
                for _ in range(60):
                    s.sendall((b"NOOP " + b"x" * 400 + b"\r\n"))
                s.sendall(b"QUIT\r\n")
                while s.recv(65536):
                    pass
            clients.smtplib_(srv, MESSAGE)
            srv.mailbox("bob").wait(2)
        finally:
            os.kill(t.pid, signal.SIGCONT)


@test("what is asked wrongly is said; without a server it is, too")
def _():
    with work() as tmp:
        srv = Sallyport(tmp)
        trace = lambda *words, ok: call([SALLYPORT, "trace", "--config", srv.config, *words], ok=ok)
        check("give either --user NAME or --address" in trace(ok=(64,)), "neither")
        check("give either" in trace("--user", "a", "--address", "::1", ok=(64,)), "both")
        check("is no address or network" in trace("--address", "192.0.2.0/33", ok=(64,)), "a bad network")
        check("does not run here" in trace("--user", "a", ok=(69,)), "no server")


run()
