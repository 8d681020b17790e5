#!/usr/bin/python3
# sets: default
# timeout: 300
"""Policy services: every action that Postfix documents, connections used again, and services that misbehave."""
import smtplib, socketserver, ssl, threading
from harness import *

HEAD = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: {}\r\n"
CLOSE = object()


class Policy:
    """`answer`: octets, CLOSE, or a number of seconds to wait first; in a list, one after the other."""

    def __init__(self):
        self.answer, self.asked, self.connections, outer = b"action=DUNNO\n\n", [], 0, self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                outer.connections += 1
                with contextlib.suppress(OSError):
                    while outer.serve(self.rfile, self.wfile):
                        pass
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, r, w):
        lines = [line.decode().rstrip("\n") for line in iter(r.readline, b"\n") if line]
        if not lines:
            return False
        self.asked.append(dict(line.split("=", 1) for line in lines))
        for a in self.answer if isinstance(self.answer, list) else [self.answer]:
            if a is CLOSE:
                return False
            if isinstance(a, (int, float)):
                time.sleep(a)
            else:
                w.write(a)
        return True

    def section(self, name="tested", more=""):
        return f"policy {name} {{\n  address = 127.0.0.1:{self.port}\n{more}}}\n"


def session(srv):
    smtp = smtplib.SMTP("localhost", srv.port, timeout=120)
    smtp.starttls(context=ssl.create_default_context(cafile=srv.ca))
    smtp.login(srv.user, srv.password)
    return smtp


def rcpt(srv, to="bob@example.org"):
    with contextlib.closing(session(srv)) as smtp:
        smtp.mail(srv.address, ("SIZE=1234",))
        code, said = smtp.rcpt(to)
        return code, said.decode()


def submit(srv, subject, to=("bob@example.org",)):
    with contextlib.closing(session(srv)) as smtp:
        smtp.sendmail(srv.address, list(to), (HEAD.format(subject) + "\r\nx\r\n").encode())


@test("what is asked are Postfix's attributes, on connections that are used again")
def _():
    with work() as tmp, Policy() as p, server(tmp, more="server-processes = 1\n" + p.section()) as srv:
        check(rcpt(srv)[0] == 250 and rcpt(srv, "carol@example.org")[0] == 250, "refused")
        a, b = p.asked
        for name, want in {"request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP",
                           "sender": srv.address, "recipient": "bob@example.org", "client_address": "127.0.0.1",
                           "sasl_username": srv.user, "size": "1234", "encryption_protocol": "TLSv1.3",
                           "recipient_count": "0", "policy_context": "submission"}.items():
            check(a.get(name) == want, f"{name}: {a.get(name)}, not {want}")
        check(a["sasl_method"] and a["instance"] and a["instance"] != b["instance"], (a, b))
        check({"helo_name", "queue_id", "client_name", "reverse_client_name", "ccert_subject", "ccert_issuer",
               "ccert_fingerprint", "encryption_cipher", "encryption_keysize", "etrn_domain", "stress"} <= set(a), a)
        check(p.connections == 1, f"{p.connections} connections for two questions")


@test("each action does what the table in doc/filters.md says")
def _():
    with work() as tmp, Policy() as p, Policy() as q, server(tmp, more=p.section() + q.section("second")) as srv:
        for action, code, words in [("REJECT no way", 554, "5.7.1 no way"), ("DEFER", 450, "4.7.1 Try again later"),
                                    ("DEFER_IF_PERMIT 4.2.0 greylisted", 450, "4.2.0 greylisted"), ("550 5.1.1 nobody", 550, "5.1.1 nobody"),
                                    ("452 4.2.2 full", 452, "4.2.2 full"), ("FILTER smtp:[127.0.0.1]:10024", 451, ""),
                                    ("permit_mynetworks", 451, ""), ("PREPEND rubbish", 451, "")]:
            p.answer = f"action={action}\n\n".encode()
            got = rcpt(srv)
            check(got[0] == code and words in got[1], f"{action}: {got}")
        check(srv.log.read_text().count("an action that is not known here") == 3, "unknown actions are not in the log")
        check(not q.asked, "the second was asked about what the first refused")
        box = srv.mailbox("bob")
        p.answer = b"action=PREPEND X-Policy: seen\n\n"
        submit(srv, "prepend")
        got = box.wait(1)[0]
        names = [n.decode() for n in field_names(got)]
        check(names.index("received") < names.index("x-policy") < names.index("subject"), names)
        check(len(q.asked) == 1, "DUNNO and the like go on to the next service")
        p.answer = b"action=OK\n\n"
        submit(srv, "ok")
        box.wait(2)
        check(len(q.asked) == 1, "the next service was asked behind OK")
        p.answer = b"action=DISCARD\n\n"
        submit(srv, "discard")
        p.answer = b"action=REDIRECT carol@example.org\n\n"
        submit(srv, "redirect", ("bob@example.org", "dave@example.org"))
        check(b"redirect" in srv.mailbox("carol").wait(1)[0], "not redirected")
        p.answer = b"action=BCC carol@example.org\n\n"
        submit(srv, "bcc")
        srv.mailbox("carol").wait(2)
        check(len(box.wait(3)) == 3 and not srv.mailbox("dave").files(), "who got what")
        p.answer = b"action=HOLD for a look\n\n"
        submit(srv, "hold")
        listed = call([SALLYPORT, "queue", "list", "--state", "held", "--config", srv.config])
        check("alice@example.org" in listed, listed)


@test("a service that is dead, slow, talks nonsense or closes: on-failure decides, and a kept connection that was closed is no failure")
def _():
    bad = {"closes": CLOSE, "never answers": 30, "answers nothing": b"\n", "no action": b"a=b\n\n", "too long": b"a" * 70000,
           "says more": b"action=DUNNO\n\naction=OK\n\n"}
    with work() as tmp, Policy() as p, server(tmp, more="server-processes = 1\n" + p.section(more="  timeout = 2s\n")) as srv:
        for what, how in bad.items():
            p.answer = how
            check(rcpt(srv)[0] == 451, what)
            p.answer = b"action=DUNNO\n\n"
            check(rcpt(srv)[0] == 250, f"behind: {what}")
        p.answer = [b"action=DUNNO\n\n", CLOSE]
        for i in range(4):
            got = rcpt(srv)
            check(got[0] == 250, f"closed behind its answer, {i}: {got}")
        text = srv.config.read_text()
        srv.config.write_text(text.replace("  timeout = 2s\n", "  timeout = 2s\n  on-failure = accept\n"))
        before = srv.log.read_text().count(" reload ")
        os.kill(srv.process.pid, signal.SIGHUP)
        wait_until(lambda: srv.log.read_text().count(" reload ") > before, 30, "the reload")
        p.answer = CLOSE
        wait_until(lambda: rcpt(srv)[0] == 250, 20, "accept")
        check("went on without it" in srv.log.read_text(), "not in the log")


run()
