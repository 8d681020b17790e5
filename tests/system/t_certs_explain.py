#!/usr/bin/python3
# sets: default
# timeout: 300
"""`sallyport config explain` says what the live server says: EHLO, AUTH with every mechanism and
MAIL, over configurations x clear, TLS, kinds of certificate.  And nobody resumes a session."""
import json, itertools, types
from harness import *
from wire import *

HOLD = types.SimpleNamespace()
MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "GSSAPI", "OAUTHBEARER",
              "XOAUTH2", "CRAM-MD5", "PLAIN", "LOGIN", "EXTERNAL")

LOGINS = ("either", "explicit", "implicit", "off")
LISTS = ("all", "external", "password")
EXTRA = {
    "plus": "auth-tls = SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1 PLAIN",
    "clear": "auth-clear = SCRAM-SHA-256\nlegacy-auth-line = yes",
    "off": "client-certificates = off",
    "required": "client-certificates = required",
    "domains": "client-ca-domains = example.net",
}


def configurations():
    """name: lines of the listener"""
    found = {f"{login}-{shown}": f"certificate-login = {login}\nauth-list-with-certificate = {shown}"
             for login, shown in itertools.product(LOGINS, LISTS)}
    return {**found, **EXTRA}


def explain(name, implicit, *more):
    said = call([SALLYPORT, "config", "explain", "--config", HOLD.srv.config, "--listener",
                 f"{name}-{'implicit' if implicit else 'starttls'}", "--json", *more])
    return json.loads(next(l for l in said.splitlines() if l.startswith("{")))


def session(name, implicit, tls, pair):
    port, tls_port = HOLD.ports[name]
    at = types.SimpleNamespace(port=port, tls_port=tls_port, ca=HOLD.srv.ca, user="alice", address=HOLD.srv.address,
                               password=HOLD.srv.password)
    w = Wire(at, implicit=implicit, certificate=pair)
    w.send("EHLO client.example\r\n")
    got = raw(w)
    if tls and not implicit:
        w.expect(220, "STARTTLS")
        w.handshake()
        w.send("EHLO client.example\r\n")
        got = raw(w)
    return w, got


def raw(w):
    """A reply as it is on the wire, its lines without CRLF."""
    lines = [w.line()]
    while lines[-1][3:4] == "-":
        lines.append(w.line())
    return lines


def close_after(lines):
    return lines and lines[-1].startswith(("421", "554"))


def compare(name, implicit, tls, kind):
    pair = HOLD.kinds[kind]
    where = f"{name}, {'implicit' if implicit else 'starttls'}, {'TLS' if tls else 'clear'}, {kind}"
    said = explain(name, implicit, *(["--tls"] if tls else []), *(["--cert", pair[0]] if pair and tls else []))
    w, ehlo = session(name, implicit, tls, pair)
    with w:
        check(said["ehlo"] == ehlo, f"{where}: EHLO\n    explained {said['ehlo']}\n    live      {ehlo}")
        listed = {m for l in ehlo for m in l[4:].split()[1:] if l[4:].startswith("AUTH ")}
    told, count = {a["mechanism"]: a for a in said["auth"]}, 0
    check(set(told) == set(MECHANISMS), f"{where}: {sorted(told)}")
    w, ehlo = session(name, implicit, tls, pair)
    with w:  # EXTERNAL is the last: it may log in
        for mechanism in () if close_after(ehlo) else MECHANISMS:
            if mechanism == "GSSAPI" or (mechanism.startswith("CRAM") and told[mechanism]["listed"]):
                continue
            w.send(f"AUTH {mechanism}{' =' if mechanism == 'EXTERNAL' else ''}\r\n")
            live = raw(w)
            check(told[mechanism]["reply"] == live,
                  f"{where}: AUTH {mechanism}\n    explained {told[mechanism]['reply']}\n    live      {live}")
            check(told[mechanism]["listed"] == (mechanism in listed), f"{where}: {mechanism} listed")
            if live[-1].startswith("334"):
                w.expect(501, "*")
            count += 1
    w, ehlo = session(name, implicit, tls, pair)
    with w:
        w.send("MAIL FROM:<alice@example.org>\r\n")
        live = raw(w)
        check(said["mail"]["reply"] == live, f"{where}: MAIL\n    explained {said['mail']['reply']}\n    live      {live}")
    return count + 2


@test("explain is what the server answers: configurations x ports x clear, TLS x kinds of certificate")
def _():
    wrong, answers, states = [], 0, 0
    for name in HOLD.ports:
        for implicit, tls, kind in [(False, False, "none"), *itertools.product((False, True), (True,), HOLD.kinds)]:
            # Everything where the most differs; elsewhere one port, and kinds that differ there.
            if name not in ("either-all", "required") and (implicit or kind in ("foreign", "expired", "unmapped")):
                continue
            try:
                answers += compare(name, implicit, tls, kind)
                states += 1
            except (Failed, OSError) as e:
                wrong.append(str(e))
    check(not wrong, "\n    ".join(["", *wrong[:12], f"({len(wrong)} wrong)"]))
    print(f"{len(HOLD.ports)} configurations, {states} states, {answers} answers compared")


@test("explain names the account, the reason and the settings; in words, too")
def _():
    said = explain("either-all", True, "--cert", HOLD.kinds["alone"][0], "--user", "bob")
    check(said["certificate"]["user"] == "bob" and said["certificate"]["rule"] == "rfc822Name", said["certificate"])
    check(said["mail"]["implicit_login"] and not said["account"]["password"], said)
    said = explain("either-all", True, "--cert", HOLD.kinds["expired"][0])
    check("expired" in said["certificate"]["reason"] and not said["certificate"]["usable"], said["certificate"])
    check(said["settings"]["certificate-login"] == "either", said["settings"])
    text = call([SALLYPORT, "config", "explain", "--config", HOLD.srv.config, "--listener", "either-all-implicit",
                 "--cert", HOLD.kinds["expired"][0], "--user", "bob"])
    for words in ("does not count: certificate expired", "EXTERNAL not available", "535: the account has no password",
                  "530 5.7.0", "certificate-login = either", "RFC 4422 A"):
        check(words in text, f"{words!r} is not in\n{text}")
    call([SALLYPORT, "config", "explain", "--config", HOLD.srv.config, "--listener", "nonsense"], ok=(64,))
    call([SALLYPORT, "config", "explain", "--config", HOLD.srv.config, "--cert", "/nonexistent"], ok=(74, 66))


@test("no session can be resumed: no ticket, no id, in TLS 1.2 and 1.3, by OpenSSL's client")
def _():
    for version, more in (("1_2", ()), ("1_3", ())):
        saved = HOLD.srv.data / f"session{version}"
        said = call(["openssl", "s_client", "-connect", f"127.0.0.1:{HOLD.srv.tls_port}", f"-tls{version}",
                     "-cert", HOLD.srv.client_certificate, "-key", HOLD.srv.client_key, "-sess_out", saved, *more],
                    stdin=b"QUIT\r\n")
        check("ticket" not in said.lower() and "Reused" not in said, f"{version}: a ticket:\n{said}")
        # TLS 1.3: a session is only saved with a ticket.  TLS 1.2: one with an empty id.
        if saved.exists():
            text = call(["openssl", "sess_id", "-in", saved, "-noout", "-text"])
            ident = re.search(r"Session-ID: *(\S*)", text)
            check(ident and not ident[1], f"{version}: session id {text}")
            again = call(["openssl", "s_client", "-connect", f"127.0.0.1:{HOLD.srv.tls_port}", f"-tls{version}",
                          "-sess_in", saved], stdin=b"QUIT\r\n", ok=(0, 1))
            check("Reused, " not in again, f"{version}: resumed\n{again}")
        said = call(["openssl", "s_client", "-connect", f"127.0.0.1:{HOLD.srv.tls_port}", f"-tls{version}",
                     "-reconnect"], stdin=b"", ok=(0, 1))
        check("New, " in said and "Reused, " not in said, f"{version}: resumed by -reconnect\n{said[-800:]}")


@test("nor by Python's: session given back, session_reused stays false")
def _():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        c = context(HOLD.srv, (HOLD.srv.client_certificate, HOLD.srv.client_key), version)
        first = c.wrap_socket(socket.create_connection(("127.0.0.1", HOLD.srv.tls_port)), server_hostname="localhost")
        first.recv(1000)
        session_ = first.session
        check(not session_ or not session_.has_ticket, "a ticket")
        check(not session_ or version == ssl.TLSVersion.TLSv1_3 or session_.id == b"", "a session id")
        first.close()
        again = c.wrap_socket(socket.create_connection(("127.0.0.1", HOLD.srv.tls_port)), server_hostname="localhost",
                              session=session_)
        again.recv(1000)
        check(not again.session_reused, "resumed")
        again.close()


@test("tls-min = TLSv1.3 is kept")
def _():
    at = types.SimpleNamespace(port=0, tls_port=HOLD.modern, ca=HOLD.srv.ca)
    with Wire(at, implicit=True, version=ssl.TLSVersion.TLSv1_3) as w:
        w.ehlo()
    try:
        Wire(at, implicit=True, version=ssl.TLSVersion.TLSv1_2)
    except ssl.SSLError:
        return
    raise Failed("TLS 1.2 was accepted")


# ---- config check ----

@test("config check refuses what would show a password in clear, and warns about what breaks clients")
def _():
    def said(lines, status):
        path = HOLD.srv.data / "try.conf"
        path.write_text(f"hostname = mail.example.org\ndata-directory = {HOLD.srv.store}\n"
                        f"listener a {{\naddress = 127.0.0.1:1\n{lines}\n}}\n")
        return call([SALLYPORT, "config", "check", "--config", path], ok=(status,))
    for mechanism in ("PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"):
        text = said(f"auth-clear = {mechanism}", 78)
        check("shows the secret" in text or "not in this version" in text, text)
    check("without TLS would show passwords" in said("tls = none", 78), "tls = none")
    check("works only inside TLS" in said("auth-clear = SCRAM-SHA-256-PLUS", 78), "-PLUS in clear")
    check("offered by itself" in said("auth-tls = EXTERNAL", 78), "EXTERNAL by hand")
    check("mutt" in said("auth-tls = SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN", 0), "-PLUS and mutt")
    check("client-ca-domains needs client-ca" in said("client-ca-domains = example.org", 78), "domains without CA")
    check("nobody can log in" in said("auth-tls =\nclient-certificates = off", 0), "nobody can log in")


def main():
    without_server()
    with work() as tmp:
        names = configurations()
        HOLD.ports = {n: (free_port(), free_port()) for n in names}
        HOLD.modern = free_port()
        pki = tmp / "sallyport" / "pki"
        more = "".join(
            f"listener {n}-{tls} {{\naddress = 127.0.0.1:{port}\ntls = {tls}\nclient-ca = {pki}/ca.pem\n{names[n]}\n}}\n"
            for n in names for tls, port in zip(("starttls", "implicit"), HOLD.ports[n]))
        more += f"listener modern {{\naddress = 127.0.0.1:{HOLD.modern}\ntls = implicit\ntls-min = TLSv1.3\n}}\n"
        srv = HOLD.srv = Sallyport(tmp, routes=more)
        call([SALLYPORT, "user", "add", "bob", "--data", srv.store, "--address", "bob@example.org", "--no-password",
              "--grant", "alice@example.org"])
        if os.geteuid() == 0:
            for path in (srv.store, *srv.store.rglob("*")):
                shutil.chown(path, "nobody", "nogroup")
        c = srv.certificates
        HOLD.kinds = {"none": None, "good": (srv.client_certificate, srv.client_key),
                      "alone": c.client("bob@example.org"), "unmapped": c.client("nobody@example.org"),
                      "foreign": Certificates(srv.data / "foreign", "foreign").client("alice@example.org"),
                      "expired": c.sign("old", "/CN=o", "email:alice@example.org", "clientAuth", days=-1)}
        srv.start()
        try:
            run()
        except SystemExit as e:
            status = e.code
        if status:
            print(srv.process.tail(30))
        else:
            check_log(srv)
        srv.stop()
    sys.exit(status)


main()
