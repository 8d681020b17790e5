#!/usr/bin/python3
# sets: default
# timeout: 300
"""Logins by certificate and password under attack: foreign, expired, revoked and unmapped
certificates harm nobody and help nobody, and what is taken away counts at the next MAIL."""
import time, types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()


def mine():
    return HOLD.srv.client_certificate, HOLD.srv.client_key


def other(name, **sign):
    """A certificate of the same CA for another address."""
    return HOLD.srv.certificates.sign(f"other-{name}", f"/CN={name}", f"email:{name}@example.org",
                                      "clientAuth", **sign)


def lists_external(w):
    return any("EXTERNAL" in l for l in w.ehlo().split("\n") if l.startswith("AUTH"))


# ---- certificates that count ----

@test("a good certificate: EXTERNAL listed last; every spelling logs in; then MAIL")
def _():
    for spelling in ("=", b64("alice"), b64("alice@example.org")):
        with inside(HOLD.srv, mine(), login=False) as w:
            line = next(l for l in w.ehlo().split("\n") if l.startswith("AUTH "))
            check(line.endswith(" EXTERNAL") and "PLAIN" in line, line)
            w.expect(235, f"AUTH EXTERNAL {spelling}", "alice")
            w.mail()
    for answer in ("", "=", b64("alice")):
        with inside(HOLD.srv, mine(), login=False) as w:
            w.expect(334, "AUTH EXTERNAL")
            w.expect(235, answer)
    for wrong in ("bob", "alice@example.com", "ALICE@example.org", "alice\0bob"):
        with inside(HOLD.srv, mine(), login=False) as w:
            code = (w.send(f"AUTH EXTERNAL {b64(wrong)}\r\n"), w.reply())[1][0]
            check(code in (535, 501), f"{wrong!r} is {code}")


@test("a certificate alone: MAIL is the login, after EHLO and after HELO; then EXTERNAL once more is 235")
def _():
    with inside(HOLD.srv, mine(), login=False) as w:
        w.mail()
        w.expect(503, "AUTH EXTERNAL =", "5.5.1")
        w.expect(250, "RSET")
        w.expect(235, "AUTH EXTERNAL =")
        w.expect(503, "AUTH EXTERNAL =", "5.5.1")
        w.mail()
    with Wire(HOLD.srv, certificate=mine()) as w:
        w.ehlo()
        w.starttls()
        w.expect(250, "HELO old.client")
        w.mail()
        w.rcpt()
        w.submit(message("helo"))
    got = HOLD.srv.mailbox("bob").wait(1)[0]
    check(b"with ESMTPSA" in got, "the trace does not say ESMTPSA")
    HOLD.srv.mailbox("bob").clear()


@test("a failed AUTH switches the login by certificate off for the connection, a cancelled one does not")
def _():
    with inside(HOLD.srv, mine(), login=False) as w:
        w.expect(334, "AUTH PLAIN")
        w.expect(501, "*", "5.7.0")
        w.expect(535, f"AUTH PLAIN {b64(chr(0) + 'alice' + chr(0) + 'wrong')}")
        w.expect(530, "MAIL FROM:<alice@example.org>")
        w.ehlo()
        w.expect(530, "MAIL FROM:<alice@example.org>")


@test("a password beside another's certificate: the password's user counts, both are logged")
def _():
    with inside(HOLD.srv, mine(), login=False) as w:
        w.login("carol", HOLD.srv.password)
        w.expect(550, "MAIL FROM:<alice@example.org>", "5.7.1")
        w.expect(250, "MAIL FROM:<carol@example.org>")
    check("not the certificate's" in HOLD.srv.process.output(), "the difference is not in the log")


# ---- certificates that do not count ----

def useless(pair, *words):
    with inside(HOLD.srv, pair, login=False) as w:
        check(not lists_external(w), "EXTERNAL is listed")
        text = w.expect(504, "AUTH EXTERNAL =", "5.5.4")
        check(any(x in text for x in words), f"no reason in {text!r}")
        code, text = (w.send("MAIL FROM:<alice@example.org>\r\n"), w.reply())[1]
        check(code == 530 and any(x in text for x in words), f"MAIL: {code} {text!r}")
        w.login()
        w.mail()


@test("a foreign certificate: the handshake goes on, the reason is told, the password works")
def _():
    foreign = Certificates(HOLD.srv.data / "foreign", "foreign")
    useless(foreign.client("alice@example.org"), "issuer", "authority", "CA", "chain")


@test("an expired one, likewise, and one for servers only")
def _():
    useless(other("alice", days=-1), "expired")
    useless(HOLD.srv.certificates.sign("purpose", "/CN=p", "email:alice@example.org", "serverAuth"),
            "purpose", "clientAuth", "client")


@test("one that belongs to nobody, or to a NUL in a name, likewise")
def _():
    useless(other("mallory"), "mallory", "no account", "no user", "mapped", "belongs")
    useless(HOLD.srv.certificates.sign("none", "/CN=alice", "DNS:alice.example.org", "clientAuth"),
            "no account", "no user", "mapped", "belongs", "address", "name")


@test("a revoked one, from the moment the list is on disk: MAIL 421 in a live session, nothing in a new one")
def _():
    pair = other("carol")
    with inside(HOLD.srv, pair, login=False) as w, inside(HOLD.srv, mine(), login=False) as good:
        w.expect(250, "MAIL FROM:<carol@example.org>")
        w.expect(250, "RSET")
        good.mail()
        before = HOLD.srv.process.output().count(" reload ")
        HOLD.list.revoke(pair[0])
        wait_until(lambda: HOLD.srv.process.output().count(" reload ") > before, 10, "the list to be read")
        time.sleep(0.2)
        w.expect(421, "MAIL FROM:<carol@example.org>", "login no longer valid")
        w.closed()
        good.rcpt()
        good.expect(250, "RSET")
        good.mail()
    with inside(HOLD.srv, pair, login=False) as w:
        check(not lists_external(w), "EXTERNAL is listed")
        w.expect(504, "AUTH EXTERNAL =", "revoked")
        w.expect(530, "MAIL FROM:<carol@example.org>")
        w.login("carol", HOLD.srv.password)


@test("a user who is disabled: 421 at the next MAIL within seconds, and no login; enabled again it works")
def _():
    def user(verb):
        call([SALLYPORT, "user", verb, "carol", "--config", HOLD.srv.config])
    with inside(HOLD.srv, login=False) as w, inside(HOLD.srv, login=False) as at_work, inside(HOLD.srv) as alice:
        w.login("carol", HOLD.srv.password)
        at_work.login("carol", HOLD.srv.password)
        at_work.expect(250, "MAIL FROM:<carol@example.org>")
        user("disable")

        def thrown_out():
            code, text = (w.send("MAIL FROM:<carol@example.org>\r\n"), w.reply())[1]
            if code == 250:
                w.expect(250, "RSET")
            return code == 421 and text
        text = wait_until(thrown_out, 20, "421 at MAIL")
        check("login no longer valid" in text, text)
        w.closed()
        with inside(HOLD.srv, login=False) as new:
            new.expect(535, f"AUTH PLAIN {b64(chr(0) + 'carol' + chr(0) + HOLD.srv.password)}", "5.7.8")
        check(re.search("login.failed .*mechanism=PLAIN user=carol", HOLD.srv.process.output()),
              "the log does not say who could not log in")
        alice.mail()
    user("enable")

    def back():
        with inside(HOLD.srv, login=False) as new:
            new.send(f"AUTH PLAIN {b64(chr(0) + 'carol' + chr(0) + HOLD.srv.password)}\r\n")
            return new.reply()[0] == 235
    wait_until(back, 20, "the login to work again")


@test("a changed password ends live sessions at the next MAIL or lets them be; the old one fails at once")
def _():
    new = HOLD.srv.data / "new password"
    new.write_text("another one\n")
    call([SALLYPORT, "user", "password", "dave", "--config", HOLD.srv.config, "--password-file", new])

    def works():
        with inside(HOLD.srv, login=False) as w:
            w.send(f"AUTH PLAIN {b64(chr(0) + 'dave' + chr(0) + 'another one')}\r\n")
            return w.reply()[0] == 235
    wait_until(works, 20, "the new password")
    with inside(HOLD.srv, login=False) as w:
        w.expect(535, f"AUTH PLAIN {b64(chr(0) + 'dave' + chr(0) + HOLD.srv.password)}")


def main():
    without_server()
    with work() as tmp:
        srv = HOLD.srv = Sallyport(tmp, listener=f"    client-crl = {tmp}/sallyport/pki/crl.pem")
        HOLD.list = RevocationList(srv.certificates)
        for name in ("carol", "dave"):
            call([SALLYPORT, "user", "add", name, "--data", srv.store, "--address", f"{name}@example.org",
                  "--password-file", srv.password_file])
        for path in (srv.store, *srv.store.rglob("*")):
            if os.geteuid() == 0:
                shutil.chown(path, "nobody", "nogroup")
        srv.start()
        try:
            run()
        except SystemExit as e:
            status = e.code
        if status:
            print(srv.process.tail(60))
        else:
            check_log(srv)
        srv.stop()
    sys.exit(status)


main()
