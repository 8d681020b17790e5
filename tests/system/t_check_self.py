#!/usr/bin/python3
# sets: default
# timeout: 600
"""`sallyport check` against our own server: in each configuration that the documentation
recommends it finds nothing above advice, within the cost that it promises."""
import json
from harness import *
from issuer import ISSUER, Issuer, jwt

HOLD = {}
# What a listener may be: rows of its section, and what a client holds.
BOTH = ("password", "certificate")
CONFIGURATIONS = {
    "as it comes": ("", BOTH),
    "password only": ("client-certificates = off", ("password",)),
    "certificate by AUTH EXTERNAL": ("certificate-login = explicit", BOTH),
    "certificate at MAIL": ("certificate-login = implicit", BOTH),
    "EXTERNAL alone in the list": ("auth-list-with-certificate = external", BOTH),
    "EXTERNAL hidden": ("auth-list-with-certificate = password", BOTH),
    "certificate required": ("client-certificates = required", BOTH),
    "names of CAs sent": ("send-ca-names = yes", BOTH),
    "channel binding": ("auth-tls = SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", BOTH),
    "channel binding required": ("auth-tls = SCRAM-SHA-256-PLUS SCRAM-SHA-256\n    require-binding = yes",
                                 ("password",)),
    "CRAM-MD5 beside the rest": ("auth-tls = SCRAM-SHA-256 PLAIN LOGIN CRAM-MD5", ("password",)),
    "SCRAM in clear as well": ("auth-clear = SCRAM-SHA-256", ("password",)),
    "the old AUTH= line": ("legacy-auth-line = yes", ("password",)),
    "EHLO forgiven": ("lenient-ehlo = yes", BOTH),
    "TLS 1.3 only": ("tls-min = TLSv1.3", BOTH),
    "every extension": ("extensions = PIPELINING SIZE 8BITMIME SMTPUTF8 DSN ENHANCEDSTATUSCODES CHUNKING LIMITS "
                        "BINARYMIME DELIVERBY FUTURERELEASE MT-PRIORITY REQUIRETLS", ("password",)),
}


def held(srv, what):
    words = []
    if "password" in what:
        words += ["--user", srv.user, "--password-file", srv.password_file]
    if "certificate" in what:
        words += ["--certificate", srv.client_certificate, "--key", srv.client_key]
    return words


def probe(srv, port, *words, ok=(0, 1, 2, 3)):
    said = call([SALLYPORT, "check", f"localhost:{port}", "--ca", srv.ca, "--json", *words], seconds=240, ok=ok)
    return json.loads(said[said.index("{"):])


def nothing_bad(found):
    bad = [f"{f['severity']}: {f['id']}: {f['sentence']}" for f in found["findings"]
           if f["severity"] not in ("good", "advice")]
    check(not bad, "\n".join(bad))
    check(found["failed"] is None, str(found["failed"]))
    check(found["exit"] == 0, str(found["exit"]))
    check(found["counts"]["good"] >= 5, f"only {found['counts']}")


def gentle(found):
    check(found["cost"]["connections"] <= 12, str(found["cost"]))
    check(found["cost"]["failed_logins"] <= 3, str(found["cost"]))


def counted(srv, since):
    """What a run cost, by the server's own log."""
    lines = srv.log.read_bytes()[since:].decode(errors="replace").splitlines()
    opened = sum(" session.open " in l for l in lines)
    failed = {}
    for l in lines:
        if " login.failed " in l:
            session = l.split(" ")[2]
            failed[session] = failed.get(session, 0) + 1
    return opened, failed


def each(name, listener, what):
    @test(f"nothing above advice: {name}")
    def _():
        need_server()
        with work() as tmp, server(tmp, listener=f"    {listener}\n") as srv:
            since = srv.log.stat().st_size
            found = probe(srv, srv.port, *held(srv, what))
            nothing_bad(found)
            gentle(found)
            opened, failed = counted(srv, since)
            check(opened == found["cost"]["connections"], f"{opened} in the log, {found['cost']} said")
            check(sum(failed.values()) <= 3 and max(failed.values(), default=0) <= 1, f"failed: {failed}")
            if name == "as it comes":
                found = probe(srv, srv.tls_port, "--tls", *held(srv, what))
                nothing_bad(found)
                gentle(found)
                found = probe(srv, srv.port)
                nothing_bad(found)
                gentle(found)
                check(any(not c["ran"] and "password" in c["why"] for c in found["checks"]), "not run: why?")


for name, (listener, what) in CONFIGURATIONS.items():
    each(name, listener, what)


@test("nothing above advice: access tokens, beside passwords and alone")
def _():
    need_server()
    if not jwt:
        skip("PyJWT is not installed")
    with work() as tmp:
        issuer = Issuer(tmp / "issuer.jwks")
        more = (f"oauth main {{\n    issuer = {ISSUER}\n    audience = mail\n    keys = {issuer.path}\n"
                "    scope = mail.send\n}\n")
        for number, listed in enumerate(("SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2", "OAUTHBEARER XOAUTH2")):
            folder = tmp / str(number)
            folder.mkdir(mode=0o711)
            with server(folder, more=more, listener=f"    auth-tls = {listed}\n") as srv:
                token = tmp / "token"
                token.write_text(issuer.token())
                for words in (["--user", srv.user, "--token-file", token],
                              held(srv, BOTH) if number == 0 else held(srv, ("certificate",))):
                    since = srv.log.stat().st_size
                    found = probe(srv, srv.port, *words)
                    nothing_bad(found)
                    gentle(found)
                    opened, failed = counted(srv, since)
                    check(opened == found["cost"]["connections"], f"{opened} in the log, {found['cost']} said")
                    check(sum(failed.values()) <= 3 and max(failed.values(), default=0) <= 1, f"failed: {failed}")
                    if "--token-file" in words:
                        check("own-client-in" in [f["id"] for f in found["findings"]], "our client did not get in")
                        check(token.read_text() not in json.dumps(found), "the token is in the report")


@test("through a SOCKS5 proxy each connection goes through it; --account names server and login")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv, proxy(tmp) as (port, p):
        (tmp / "mine/sallyport").mkdir(parents=True)
        (tmp / "mine/sallyport/accounts.conf").write_text(
            f"account here {{\n    server = smtp://localhost:{srv.port}\n    ca = {srv.ca}\n    user = {srv.user}\n"
            f"    password-file = {srv.password_file}\n    socks = 127.0.0.1:{port}\n}}\n")
        os.chmod(tmp / "mine/sallyport/accounts.conf", 0o600)
        since = srv.log.stat().st_size
        said = call([SALLYPORT, "check", "--account", "here", "--json"], seconds=240,
                    env={"XDG_CONFIG_HOME": str(tmp / "mine")})
        found = json.loads(said[said.index("{"):])
        nothing_bad(found)
        gentle(found)
        opened, _ = counted(srv, since)
        check("own-client-in" in [f["id"] for f in found["findings"]], "the account's login was not used")
        passed = p.output().count("connected to")
        check(opened == passed == found["cost"]["connections"], f"{opened} in the log, {passed} passed, {found['cost']}")


@test("nothing above advice with --thorough --intrusive, and --send-to delivers what it says")
def _():
    need_server()
    with work() as tmp, server(tmp) as srv:
        nothing_bad(probe(srv, srv.port, *held(srv, BOTH), "--thorough", "--intrusive",
                          "--send-to", srv.address, "--send-from", srv.address))


run()
