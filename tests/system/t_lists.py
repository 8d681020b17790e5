#!/usr/bin/python3
# sets: default
# timeout: 200
"""What list managers need; the real Mailman is in t_mailman.py (./run-tests peers)."""
import signal, smtplib, ssl
from harness import *
import clients

need_server()
if SALLYPORT == "standin":
    print("skipped: the stand-in has no accounts\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)


@test("as Mailman speaks: an address literal in EHLO, 1,200 recipients in three transactions, one login, all of them taken")
def _():
    with work() as tmp:
        srv = Sallyport(tmp, more="deduplicate = 1h\n", listener="    sender-check = envelope",
                        routes="route all {\n    match = members.test\n    to = discard\n}\n")
        call([SALLYPORT, "user", "add", "--data", srv.store, "mailman", "--address", "mailman@lab.test",
              "--grant", "*-bounces@lab.test", "--password-file", srv.password_file])
        srv.start()
        try:
            members = [f"u{n}@members.test" for n in range(1200)]
            text = b"From: anybody@elsewhere.test\r\nTo: test@lab.test\r\nMessage-ID: <one@elsewhere.test>\r\nSubject: s\r\n\r\nx\r\n"
            with smtplib.SMTP("localhost", srv.port, local_hostname="[127.0.0.1]", timeout=60) as s:
                s.starttls(context=ssl.create_default_context(cafile=srv.ca))
                s.login("mailman", srv.password)
                for at in (0, 500, 1000):
                    refused = s.sendmail("test-bounces@lab.test", members[at:at + 500], text)
                    check(refused == {}, f"{refused}")
            log = srv.process.output()
            got = re.findall(r"message.accepted .*recipients=(\d+) user=mailman .*duplicate=no", log)
            check(got == ["500", "500", "200"], f"{got}")
            wait_until(lambda: len(set(re.findall(r"message.delivered .*to=(u\d+@members.test)", srv.process.output()))) == 1200,
                       60, "1,200 recipients")
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


@test("its account may send as its lists' bounce addresses only")
def _():
    with work() as tmp:
        srv = Sallyport(tmp, listener="    sender-check = envelope")
        call([SALLYPORT, "user", "add", "--data", srv.store, "mailman", "--address", "mailman@lab.test",
              "--grant", "*-bounces@lab.test", "--password-file", srv.password_file])
        srv.start()
        try:
            srv.user = "mailman"
            ok = b"From: anybody@elsewhere.test\r\nTo: bob@example.org\r\nSubject: s\r\n\r\nx\r\n"
            for address, words in (("a-bounces@lab.test", None), ("-bounces@lab.test", "may not send as"),
                                   ("a-bounces@evil.test", "may not send as"), ("owner@lab.test", "may not send as")):
                srv.address = address
                try:
                    clients.smtplib_(srv, ok)
                    said = None
                except Failed as e:
                    said = str(e)
                check((said is None) == (words is None) and (words is None or words in said), f"{address}: {said}")
            srv.stop()
        finally:
            srv.process.stop(signal.SIGKILL)


run()
