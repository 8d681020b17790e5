#!/usr/bin/python3
# sets: default
# timeout: 300
"""Each reason why a client certificate does not count: it is told at EXTERNAL and at MAIL and
stands in the log; the handshake goes on and the password works; over STARTTLS and implicit
TLS, in TLS 1.2 and 1.3."""
import ssl, time, types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def der(tag, octets):
    return bytes([tag, len(octets)]) + octets


def raw_san(*names):
    """subjectAltName from its octets: names that the openssl command would not write."""
    return "DER:" + der(0x30, b"".join(names)).hex(":")


def make_certificates(srv, lists):
    """name: (certificate and key, listener, words of the reason)"""
    c = srv.certificates
    foreign = Certificates(srv.data / "foreign", "foreign")
    mail = "email:alice@example.org"
    revoked = c.sign("revoked", "/CN=r", mail, "clientAuth")
    lists.revoke(revoked[0])
    good = c.client("alice@example.org", "good")
    alone = srv.data / "alone.pem"
    call(["openssl", "req", "-x509", *c._new_key(srv.data / "alone.key"), "-days", 9, "-subj", "/CN=alice",
          "-addext", "subjectAltName=" + mail, "-out", alone])
    nul = raw_san(der(0x81, b"alice@example.org\0.evil.example"))
    return {
        "foreign CA": (foreign.client("alice@example.org"), "", "issuer not known to this listener"),
        "self-signed": ((alone, srv.data / "alone.key"), "", "self-signed certificate not known"),
        "expired": (lists.sign("old", "/CN=o", mail, "clientAuth", "20200101000000Z", "20210203000000Z"), "",
                    "certificate expired 2021-02-03"),
        "not yet valid": (lists.sign("early", "/CN=e", mail, "clientAuth", "20400506000000Z", "20410101000000Z"),
                          "", "certificate not valid before 2040-05-06"),
        "revoked": (revoked, "", "revoked"),
        "list out of date": (good, "stale", "revocation list out of date since 2021-01-08"),
        "list of another CA": (good, "nolist", "no revocation list"),
        "for servers only": (c.sign("eku", "/CN=e", mail, "serverAuth"), "", "not for client authentication"),
        "no account": (c.sign("nobody", "/CN=n", "email:nobody@example.org", "clientAuth"), "",
                       "no account has the certificate's address nobody@example.org"),
        "no name at all": (c.sign("noname", "/CN=alice", "DNS:alice.example.org", "clientAuth"), "",
                           "no account is known by this certificate"),
        "local part in capitals": (c.sign("caps", "/CN=n", "email:Alice@example.org", "clientAuth"), "",
                                   "no account has the certificate's address Alice@example.org"),
        "two accounts": (c.sign("two", "/CN=t", mail + ",email:carol@example.org", "clientAuth"), "",
                         "matches more than one account"),
        "disabled": (c.client("dave@example.org"), "", "account of this certificate is disabled"),
        "domain not allowed": (good, "domains", "may not vouch for alice@example.org"),
        "NUL in a name": (c.sign("nul", "/CN=n", nul, "clientAuth"), "", "NUL"),
    }


def listener(name):
    """The server, as seen by a client of this pair of listeners."""
    srv = HOLD.srv
    port, tls_port = HOLD.ports[name]
    return types.SimpleNamespace(port=port, tls_port=tls_port, ca=srv.ca, user=srv.user, password=srv.password,
                                 address=srv.address)


def told(reason, implicit, version, ask):
    pair, where, words = HOLD.certificates[reason]
    at = listener(where)
    before = len(HOLD.srv.process.output())
    with Wire(at, implicit=implicit, certificate=pair, version=VERSIONS[version]) as w:
        if not implicit:
            w.ehlo()
            w.starttls()
        auth = next(l for l in w.ehlo().split("\n") if l.startswith("AUTH "))
        check("EXTERNAL" not in auth, f"{auth} lists EXTERNAL")
        if ask == "EXTERNAL":
            text = w.expect(504, "AUTH EXTERNAL =", words)
            check(text.startswith("5.5.4 EXTERNAL not available: "), text)
        else:
            text = w.expect(530, "MAIL FROM:<alice@example.org>", words)
            check(text.startswith("5.7.0 "), text)
        w.login()
        w.mail()
    new = HOLD.srv.process.output()[before:]
    line = next((l for l in new.splitlines() if "certificate.unusable" in l), "")
    check(words in line, f"the log does not give the reason: {line!r}")


@test("every reason, at EXTERNAL and at MAIL, over STARTTLS and implicit TLS, in TLS 1.2 and 1.3")
def _():
    wrong = []
    for reason in HOLD.certificates:
        for implicit in (False, True):
            for version in VERSIONS:
                for ask in ("EXTERNAL", "MAIL"):
                    try:
                        told(reason, implicit, version, ask)
                    except (Failed, OSError) as e:
                        wrong.append(f"{reason}, {'implicit TLS' if implicit else 'STARTTLS'} {version}, {ask}: {e}")
    check(not wrong, "\n    ".join(["", *wrong]))
    print(f"{len(HOLD.certificates)} reasons x 2 ports x 2 versions x EXTERNAL, MAIL")


@test("the good certificate logs in on each of these ways, domains in capitals too")
def _():
    capitals = HOLD.srv.certificates.sign("big", "/CN=b", "email:alice@EXAMPLE.Org", "clientAuth")
    for pair in (HOLD.certificates["domain not allowed"][0], capitals):
        for implicit in (False, True):
            for version in VERSIONS.values():
                with inside(listener(""), pair, login=False, implicit=implicit, version=version) as w:
                    w.expect(235, "AUTH EXTERNAL =", "alice")
                with inside(listener(""), pair, login=False, implicit=implicit, version=version) as w:
                    w.mail()


@test("client-ca-domains: its own domains, whatever the case, never a domain below or above")
def _():
    def usable(address):
        pair = HOLD.srv.certificates.client(address, "d-" + address.replace("@", "-"))
        with inside(listener("domains"), pair, login=False) as w:
            w.send("AUTH EXTERNAL =\r\n")
            return w.reply()[0] == 235
    check(usable("erin@EXAMPLE.net"), "the CA's own domain is refused")
    check(not usable("erin@sub.example.net"), "a domain below it is accepted")
    check(not usable("frank@net"), "a domain above it is accepted")


# ---- client-certificates = required ----

@test("required: 554 with the reason to every command but QUIT, closed after the third")
def _():
    for reason in ("expired", "foreign CA", "revoked", "NUL in a name", "for servers only"):
        pair, _where, words = HOLD.certificates[reason]
        for version in VERSIONS.values():
            with Wire(listener("required"), implicit=True, certificate=pair, version=version) as w:
                w.expect(554, "EHLO client.test", words)
                w.expect(554, "NOOP", "5.7.0 Client certificate required: ")
                w.expect(554, "AUTH PLAIN " + b64("\0alice\0" + HOLD.srv.password), words)
                w.closed()
            with Wire(listener("required"), certificate=pair, version=version) as w:
                w.ehlo()
                w.starttls()
                w.expect(554, "MAIL FROM:<alice@example.org>", words)
                w.expect(221, "QUIT")
                w.closed()
    with Wire(listener("required"), implicit=True) as w:
        w.expect(554, "EHLO client.test", "none was sent")
        w.expect(554, "XYZZY")
        w.expect(554, "NOOP")
        w.closed()
    with Wire(listener("required")) as w:  # in clear there is nothing but STARTTLS
        w.ehlo()
        w.expect(530, "MAIL FROM:<alice@example.org>", "STARTTLS")


@test("required: a password must be the certificate's user's, or of one that user may act as")
def _():
    def login(pair, user, code):
        with inside(listener("required"), pair, login=False) as w:
            w.expect(code, "AUTH PLAIN " + b64(f"\0{user}\0{HOLD.srv.password}"))
            if code == 235:
                w.expect(250, f"MAIL FROM:<{user}@example.org>")
    alice = HOLD.certificates["domain not allowed"][0]
    carol = HOLD.srv.certificates.client("carol@example.org")
    login(alice, "alice", 235)
    login(alice, "carol", 535)
    login(carol, "carol", 235)
    login(carol, "alice", 235)  # carol may act as alice
    login(HOLD.certificates["no account"][0], "alice", 535)  # verified, but nobody's
    with inside(listener("required"), carol, login=False) as w:
        w.expect(235, "AUTH EXTERNAL =", "carol")
    check("may not act as carol" in HOLD.srv.process.output(), "the log does not say why")


@test("required, SCRAM: the same")
def _():
    def by_scram(pair, user):
        with inside(listener("required"), pair, login=False) as w:
            return scram(w, user, HOLD.srv.password)
    alice = HOLD.certificates["domain not allowed"][0]
    check(by_scram(alice, "alice") == 235, "the certificate's own user is refused")
    got = by_scram(alice, "carol")
    check(got == 535, f"another user got {got}")


@test("required: a certificate that is revoked, and one whose account is taken away, end the password's session too")
def _():
    def over(w, sender):
        w.send(f"MAIL FROM:<{sender}>\r\n")
        code, text = w.reply()
        if code == 250:
            w.expect(250, "RSET")
            time.sleep(0.2)
            return ""
        check(code == 421, f"{code} {text}")
        return text

    c, at = HOLD.srv.certificates, listener("required")
    first = c.client("erin@example.net", "erin-first")
    cli("user", "grant", "--act-as", "erin", "alice")
    time.sleep(1.5)
    with inside(at, first) as w, inside(listener(""), first) as free:
        for s in (w, free):
            s.mail()
            s.expect(250, "RSET")
        HOLD.lists.revoke(first[0])
        text = wait_until(lambda: over(w, "alice@example.org"), 15, "421 at MAIL")
        check("login no longer valid: " in text and "revoked" in text, text)
        free.mail()  # where it is not required a password does not rest on it
    second = c.client("erin@example.net", "erin-second")
    with inside(at, second) as w:
        w.mail()
        w.expect(250, "RSET")
        cli("user", "disable", "erin")
        text = wait_until(lambda: over(w, "alice@example.org"), 15, "421 at MAIL")
        check("disabled" in text, text)
    cli("user", "enable", "erin")
    time.sleep(1.5)
    with inside(at, second) as w:
        cli("user", "grant", "erin", "elsewhere@example.net")
        time.sleep(1.5)
        w.mail()  # looked at again, and still good
        w.expect(250, "RSET")
        cli("user", "revoke", "--act-as", "erin", "alice")
        text = wait_until(lambda: over(w, "alice@example.org"), 15, "421 at MAIL")
        check("erin may not act as alice" in text, text)


@test("SmtpUTF8Mailbox (RFC 9598): the address that is not ASCII is the account's, over TLS 1.2 and 1.3; the reply stays ASCII")
def _():
    octets = "jürgen@example.org".encode()
    name = der(0xa0, bytes.fromhex("06082b06010505070809") + der(0xa0, der(0x0c, octets)))
    pair = HOLD.srv.certificates.sign("utf8", "/CN=j", raw_san(name), "clientAuth")
    with inside(listener(""), pair, login=False) as w:
        w.expect(504, "AUTH EXTERNAL =", "no account has the certificate's address")
    cli("user", "add", "juergen", "--address", "jürgen@example.org", "--password-file", HOLD.srv.password_file)
    time.sleep(1.5)
    for version in VERSIONS.values():
        for identity in ("=", b64(octets), b64("juergen")):
            with inside(listener(""), pair, login=False, version=version) as w:
                w.expect(235, f"AUTH EXTERNAL {identity}", "juergen")
                w.expect(250, "MAIL FROM:<jürgen@example.org> SMTPUTF8".encode())
        with inside(listener(""), pair, login=False, version=version) as w:
            w.expect(250, "MAIL FROM:<jürgen@example.org> SMTPUTF8".encode())
        with inside(listener(""), pair, login=False, version=version) as w:
            w.expect(535, "AUTH EXTERNAL " + b64("Jürgen@example.org".encode()))


# ---- certificate and password ----

@test("a password beside another user's certificate counts as the password's; both are in the log, with a warning")
def _():
    carol = HOLD.srv.certificates.client("carol@example.org", "carol-beside")
    before = len(HOLD.srv.process.output())
    with inside(listener(""), carol) as w:
        w.expect(550, "MAIL FROM:<carol@example.org>", "alice may not send as carol@example.org")
        w.mail()
        w.expect(250, "RSET")
        w.expect(503, "AUTH EXTERNAL =")
    new = HOLD.srv.process.output()[before:].splitlines()
    line = next((l for l in new if " warning " in l and "not the certificate's" in l), "")
    check("user=alice" in line and "certificate=carol" in line, f"no warning: {line!r}")
    before = len(HOLD.srv.process.output())
    with inside(listener(""), HOLD.certificates["domain not allowed"][0]) as w:
        w.mail()  # the same user's: nothing to warn about
    check("not the certificate's" not in HOLD.srv.process.output()[before:], "a warning about nothing")


def cli(*words):
    call([SALLYPORT, *words, "--data", HOLD.srv.store])


def main():
    without_server()
    with work() as tmp:
        names = ("", "stale", "nolist", "domains", "required")
        HOLD.ports = {n: (free_port(), free_port()) for n in names}
        pki = tmp / "sallyport" / "pki"
        keys = {"stale": f"client-crl = {pki}/stale.pem\n", "nolist": f"client-crl = {pki}/elsewhere.pem\n",
                "domains": "client-ca-domains = example.net Example.COM\n",
                "required": f"client-crl = {pki}/crl.pem\nclient-certificates = required\n"}
        more = "".join(
            f"listener {n}-{tls} {{\naddress = 127.0.0.1:{port}\ntls = {tls}\nclient-ca = {pki}/ca.pem\n{keys[n]}}}\n"
            for n in names if n for tls, port in zip(("starttls", "implicit"), HOLD.ports[n]))
        srv = HOLD.srv = Sallyport(tmp, routes=more, listener=f"    client-crl = {pki}/crl.pem")
        HOLD.ports[""] = (srv.port, srv.tls_port)
        lists = HOLD.lists = RevocationList(srv.certificates)
        stale = RevocationList(srv.certificates, "stale")
        stale.write("-crl_lastupdate", "20210101000000Z", "-crl_nextupdate", "20210108000000Z")
        elsewhere = RevocationList(Certificates(srv.data / "elsewhere", "elsewhere"))
        os.replace(elsewhere.path, pki / "elsewhere.pem")
        for name, address in (("carol", "carol@example.org"), ("dave", "dave@example.org"),
                              ("erin", "erin@example.net"), ("sub", "erin@sub.example.net"), ("frank", "frank@net")):
            call([SALLYPORT, "user", "add", name, "--data", srv.store, "--address", address,
                  "--password-file", srv.password_file])
        call([SALLYPORT, "user", "disable", "dave", "--data", srv.store])
        call([SALLYPORT, "user", "grant", "carol", "alice", "--act-as", "--data", srv.store])
        if os.geteuid() == 0:
            for path in (srv.store, *srv.store.rglob("*")):
                shutil.chown(path, "nobody", "nogroup")
        HOLD.certificates = make_certificates(srv, lists)
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
