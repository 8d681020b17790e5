#!/usr/bin/python3
# sets: default
# timeout: 300
"""Pins, mappings and the listener that asks for certificates only while there is one; what
happens to live sessions when a certificate, an account or a password changes."""
import ssl, types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
SECONDS = 6  # within which a change takes effect: "within seconds"


class OwnCa(Sallyport):
    """Three pairs of listeners: without any client CA, with the CA of `sallyport cert`, and
    one where client-certificates = off is written."""

    def __init__(self, tmp):
        self.ports = {n: (free_port(), free_port()) for n in ("own", "off")}
        super().__init__(tmp)

    def _listener(self, name, port, tls, more):
        text = f"listener {name} {{\naddress = 127.0.0.1:{port}\ntls = {tls}\n}}\n"
        for n, key in (("own", f"client-ca = {self.data}/data/ca/ca.pem"), ("off", "client-certificates = off")):
            text += (f"listener {name}-{n} {{\naddress = 127.0.0.1:{self.ports[n][tls == 'implicit']}\ntls = {tls}\n"
                     f"{key}\n}}\n")
        return text


def listener(name):
    srv = HOLD.srv
    port, tls_port = srv.ports[name] if name else (srv.port, srv.tls_port)
    return types.SimpleNamespace(port=port, tls_port=tls_port, ca=srv.ca, user=srv.user, password=srv.password,
                                 address=srv.address)


def cli(*argv, ok=(0,)):
    return call([SALLYPORT, *argv, "--config", HOLD.srv.config], ok=ok)


def self_signed(name, subject="/CN=phone", days=9, *more):
    cert, key = HOLD.srv.data / f"{name}.pem", HOLD.srv.data / f"{name}.key"
    call(["openssl", "req", "-x509", *HOLD.srv.certificates._new_key(key), "-days", days, "-subj", subject,
          "-out", cert, *more])
    return cert, key


def asked(at, version):
    """Does the server ask for a certificate?  By OpenSSL's own client."""
    said = call(["openssl", "s_client", "-connect", f"127.0.0.1:{at.tls_port}", f"-tls{version}"], stdin=b"QUIT\r\n")
    return "Requested Signature Algorithms" in said


def external(at, pair, **more):
    """(code, text) of AUTH EXTERNAL in a new session."""
    with inside(at, pair, login=False, **more) as w:
        w.send("AUTH EXTERNAL =\r\n")
        return w.reply()


def until(true, what):
    def slowly():  # a session has 100 commands without a message
        time.sleep(0.2)
        return true()
    return wait_until(slowly, SECONDS, what)


def mechanisms(w):
    return next((l.split()[1:] for l in w.ehlo().split("\n") if l.startswith("AUTH ")), [])


@test("client-certificates by default: not asked for without CA, pin or mapping; asked for while there is one")
def _():
    at = listener("")
    check(not asked(at, "1_3") and not asked(at, "1_2"), "a certificate is asked for though none can count")
    check(asked(listener("own"), "1_3"), "a listener with a client-ca does not ask")
    pair = self_signed("phone")
    cli("cert", "pin", "bob", pair[0])
    until(lambda: asked(at, "1_3"), "the listener to ask for certificates")
    check(asked(at, "1_2"), "not in TLS 1.2")
    check(not asked(listener("off"), "1_3"), "client-certificates = off asks")
    cli("cert", "unpin", "bob", pair[0])
    until(lambda: not asked(at, "1_3"), "the listener to ask no more")
    cli("cert", "map", "bob", "--uri", "spiffe://example.org/bob")
    until(lambda: asked(at, "1_3"), "a mapping to be noticed")
    cli("cert", "unmap", "bob", "--uri", "spiffe://example.org/bob")
    until(lambda: not asked(at, "1_3"), "the mapping to be gone")


@test("a pinned self-signed certificate logs in where there is no client-ca, and EXTERNAL stands alone without a password")
def _():
    at, pair = listener(""), self_signed("phone2")
    cli("cert", "pin", "bob", pair[0])
    until(lambda: external(at, pair)[0] == 235, "the pin to count")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for implicit in (False, True):
            with inside(at, pair, login=False, version=version, implicit=implicit) as w:
                check(mechanisms(w) == ["EXTERNAL"], "not EXTERNAL alone")
                w.expect(504, "AUTH PLAIN " + b64("\0bob\0x"))
                w.expect(334, "AUTH EXTERNAL")
                w.expect(235, "", "bob")
                w.expect(250, "MAIL FROM:<bob@example.org>")
            with inside(at, pair, login=False, version=version, implicit=implicit) as w:
                w.expect(250, "MAIL FROM:<bob@example.org>")
    with inside(at, pair, login=False) as live, inside(at, pair, login=False) as waiting:
        live.expect(235, "AUTH EXTERNAL =")
        cli("cert", "unpin", "bob", pair[0])

        def over():
            live.send("MAIL FROM:<bob@example.org>\r\n")
            code, text = live.reply()
            if code == 250:
                live.expect(250, "RSET")
            return code == 421 and text
        text = until(over, "421 at MAIL")
        check("login no longer valid: " in text, text)
        live.closed()
        # It was good at the handshake and is not any more: the reason, not a 535.
        text = waiting.expect(504, "AUTH EXTERNAL =", "EXTERNAL not available: ")
        check("EXTERNAL" not in mechanisms(waiting), "EXTERNAL is still listed")
        waiting.expect(530, "MAIL FROM:<bob@example.org>", "does not count")


@test("a pin replaces the chain, never the dates")
def _():
    c = HOLD.srv.certificates
    lists = RevocationList(c, "pinned-old")
    pair = lists.sign("pinned", "/CN=p", "DNS:phone.example.org", "clientAuth", "20200101000000Z", "20210203000000Z")
    said = cli("cert", "pin", "bob", pair[0])
    check("expired 2021-02-03" in said, f"no warning: {said}")
    at = listener("")
    until(lambda: "expired 2021-02-03" in external(at, pair)[1], "the reason at EXTERNAL")
    check("expired" in cli("cert", "list").split("pin  ")[0], "not in the list")
    cli("cert", "unpin", "bob", pair[0])


@test("a certificate mapped by URI and by subject; the list says how; a mapping is one account's")
def _():
    at = listener("own")
    ca = Certificates.__new__(Certificates)  # the CA of `sallyport cert`, used by openssl
    ca.folder = HOLD.srv.data / "byown"
    ca.folder.mkdir()
    ca.ca, ca.ca_key = HOLD.srv.store / "ca/ca.pem", HOLD.srv.store / "ca/ca.key"
    uri = ca.sign("uri", "/CN=any", "URI:spiffe://example.org/bob", "clientAuth")
    dn = ca.sign("dn", "/O=Example/CN=Bob B", "DNS:x.example.org", "clientAuth")
    check(external(at, uri)[0] == 504 and external(at, dn)[0] == 504, "it counts before it was mapped")
    cli("cert", "map", "bob", uri[0])
    cli("cert", "map", "bob", dn[0], "--by", "dn")
    cli("cert", "map", "alice", dn[0], "--by", "dn", ok=(73,))  # EX_CANTCREAT: bob's already
    until(lambda: external(at, uri)[0] == 235, "the URI")
    until(lambda: external(at, dn)[0] == 235, "the subject")
    shown = cli("cert", "list", "--json")
    check('"mapped_by":"URI"' in shown and "spiffe://example.org/bob" in shown and '"mapped_by":"DN"' in shown, shown)
    check("CN=Bob B" in cli("user", "list", "bob"), "user list does not show it")
    with inside(at, dn, login=False) as live:
        live.expect(250, "MAIL FROM:<bob@example.org>")
        live.expect(250, "RSET")
        cli("cert", "unmap", "bob", dn[0], "--by", "dn")
        until(lambda: (live.send("MAIL FROM:<bob@example.org>\r\n"), live.reply())[1][0] == 421
              or (live.expect(250, "RSET") and False), "421 in the live session")
    cli("cert", "unmap", "bob", "--uri", "spiffe://example.org/bob")
    cli("cert", "unmap", "bob", "--uri", "spiffe://example.org/bob", ok=(66,))


def issued(user, name, *more):
    out = HOLD.srv.data / name
    out.mkdir()
    cli("cert", "client", user, "--out", out, *more)
    return out / f"{user}.pem", out / f"{user}.key"


@test("sallyport cert revoke: without a word in the configuration, on live sessions at the next MAIL")
def _():
    at, pair = listener("own"), issued("alice", "tobe")
    with inside(at, pair, login=False) as explicit, inside(at, pair, login=False) as implicit, \
            inside(at, pair, login=False) as waiting, inside(at, login=False) as by_password:
        explicit.expect(235, "AUTH EXTERNAL =")
        implicit.mail()
        by_password.login()
        fingerprint = call(["openssl", "x509", "-in", pair[0], "-noout", "-fingerprint", "-sha256"])
        cli("cert", "revoke", fingerprint.split("=")[1].strip().replace(":", "").lower())

        def over():
            explicit.send("MAIL FROM:<alice@example.org>\r\n")
            code, text = explicit.reply()
            if code == 250:
                explicit.expect(250, "RSET")
            return code == 421 and text
        text = until(over, "421 at MAIL")
        check("login no longer valid: revoked" in text, text)
        implicit.rcpt()  # a transaction that began before goes on
        implicit.submit(message("before"))
        implicit.expect(421, "MAIL FROM:<alice@example.org>", "revoked")
        waiting.expect(504, "AUTH EXTERNAL =", "revoked")
        waiting.expect(530, "MAIL FROM:<alice@example.org>", "revoked")
        by_password.mail()
    check(external(at, pair)[0] == 504, "it counts in a new session")
    check("revoked" in cli("cert", "list"), "not in the list")


@test("renew: the same address; with --revoke-old the earlier one stops to count")
def _():
    at, old = listener("own"), issued("alice", "first")
    until(lambda: external(at, old)[0] == 235, "the first one")
    out = HOLD.srv.data / "second"
    out.mkdir()
    cli("cert", "renew", "alice", "--out", out, "--revoke-old")
    until(lambda: external(at, (out / "alice.pem", out / "alice.key"))[0] == 235, "the new one")
    until(lambda: external(at, old)[0] == 504, "the old one to be revoked")
    cli("cert", "renew", "nobody", ok=(66,))


@test("a changed password ends the live sessions of the old one at the next MAIL, not those by certificate")
def _():
    at, pair = listener("own"), issued("carol", "carol")
    with inside(at, login=False) as live, inside(at, pair, login=False) as by_certificate, \
            inside(at, login=False) as open_, inside(at) as other:
        live.login("carol", HOLD.srv.password)
        open_.login("carol", HOLD.srv.password)
        open_.expect(250, "MAIL FROM:<carol@example.org>")
        by_certificate.expect(235, "AUTH EXTERNAL =")
        new = HOLD.srv.data / "new"
        new.write_text("another one\n")
        cli("user", "password", "carol", "--password-file", new)

        def over():
            live.send("MAIL FROM:<carol@example.org>\r\n")
            code, text = live.reply()
            if code == 250:
                live.expect(250, "RSET")
            return code == 421 and text
        text = until(over, "421 at MAIL")
        check("login no longer valid: the password was changed" in text, text)
        live.closed()
        open_.rcpt()  # accepted before; only the next MAIL is another question
        open_.expect(250, "RSET")
        open_.expect(421, "MAIL FROM:<carol@example.org>", "the password was changed")
        by_certificate.expect(250, "MAIL FROM:<carol@example.org>")
        other.mail()
    with inside(at, login=False) as fresh:  # and a session with the new one lives on
        fresh.login("carol", "another one")
        fresh.expect(250, "MAIL FROM:<carol@example.org>")
        fresh.expect(250, "RSET")
        cli("user", "grant", "carol", "*@lists.example.org")
        until(lambda: (fresh.send("MAIL FROM:<x@lists.example.org>\r\n"), fresh.reply())[1][0] == 250,
              "the new right in the live session")


@test("a disabled user: 421 with the reason on every kind of session; the certificate does not count")
def _():
    at, pair = listener("own"), issued("dave", "dave")
    with inside(at, login=False) as live, inside(at, pair, login=False) as by_certificate:
        live.login("dave", HOLD.srv.password)
        by_certificate.expect(250, "MAIL FROM:<dave@example.org>")
        by_certificate.expect(250, "RSET")
        cli("user", "disable", "dave")
        for w in (live, by_certificate):
            def over():
                w.send("MAIL FROM:<dave@example.org>\r\n")
                code, text = w.reply()
                if code == 250:
                    w.expect(250, "RSET")
                return code == 421 and text
            text = until(over, "421 at MAIL")
            check("disabled" in text, text)
            w.closed()
    check("account of this certificate is disabled" in external(at, pair)[1], "no reason in a new session")
    cli("user", "enable", "dave")


@test("a role that was taken over can neither move root's keys away nor put others in their place")
def _():
    need_root()
    store = HOLD.srv.store
    check(store.stat().st_uid == 0 and store.stat().st_mode & 0o1000, "the data directory is not root's, or not sticky")
    for argv in (["mv", store / "ca", store / "ca.away"], ["mv", store / "tls", store / "tls.away"],
                 ["rmdir", store / "tls"], ["ls", store / "ca"], ["chmod", "755", store]):
        call(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", *argv], ok=(1, 2))
    call(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "touch", store / "own"])
    check((store / "ca/ca.key").exists(), "the CA is gone")
    os.unlink(store / "own")


@test("the list of the own CA is renewed in time, also after a month out of use")
def _():
    crl = HOLD.srv.store / "ca/crl.pem"
    lists = HOLD.srv.data / "tooold"
    lists.mkdir()
    (lists / "index").touch()
    (lists / "config").write_text(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {lists}/index\ndefault_md = sha256\n")
    def write(start, end):
        call(["openssl", "ca", "-config", lists / "config", "-keyfile", HOLD.srv.store / "ca/ca.key", "-cert",
              HOLD.srv.store / "ca/ca.pem", "-gencrl", "-crl_lastupdate", start, "-crl_nextupdate", end, "-out",
              crl])
    write("20210101000000Z", "20210131000000Z")
    HOLD.srv.restart()
    said = call(["openssl", "crl", "-in", crl, "-noout", "-nextupdate"])
    check("2021" not in said, f"not renewed: {said}")
    at = listener("own")
    check(external(at, issued("alice", "third"))[0] == 235, "the certificate does not count")


def main():
    without_server()
    with work() as tmp:
        srv = HOLD.srv = OwnCa(tmp)
        cli("cert", "ca")
        for name in ("bob", "carol", "dave"):
            cli("user", "add", name, "--address", f"{name}@example.org",
                *(("--no-password",) if name == "bob" else ("--password-file", srv.password_file)))
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
