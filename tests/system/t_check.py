#!/usr/bin/python3
"""t_check.py - `sallyport check HOST`: it finds what is wrong, only that, and gently.

The server is faulty.py, which does right but for the faults that a test asks for; then
our own, which has none.
"""
# sets: default
# timeout: 600
import json, re, socket, subprocess, threading, time
from concurrent.futures import ThreadPoolExecutor

from harness import *
from faulty import Faulty

ROWS = (ROOT / "src/check/cat_server.h").read_text()
INSECURE = set(re.findall(r'SP_FINDING\(\w+, \.id = "([^"]+)"[^;]*?\.severity = SP_SEV_(\w+)', ROWS))
SEVERITY = dict(INSECURE)
BAD = ("insecure", "broken", "interoperability", "interop")


def probe(srv, *options, user=True, cert=False, seconds=120, port=None, host="127.0.0.1"):
    argv = [SALLYPORT, "check", f"{host}:{port or srv.port}", "--json", "--ca", srv.ca,
            "--tls-name", "localhost", "--timeout", 8, *options]
    if getattr(srv, "implicit", False):
        argv.append("--tls")
    if user:
        argv += ["--user", srv.user, "--password-file", srv.password_file]
    if cert:
        argv += ["--certificate", srv.client[0], "--key", srv.client[1]]
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, timeout=seconds,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise Failed(f"{done.returncode}: {done.stdout[:400]} {done.stderr[:800]}") from None
    check(report["exit"] == done.returncode, f"exit status {done.returncode}, {report['exit']} said")
    check("Sanitizer" not in done.stderr, done.stderr[:2000])
    return report


def ids(report, *severities):
    return {f["id"] for f in report["findings"] if not severities or f["severity"] in severities}


def ran(report):
    return {c["id"] for c in report["checks"] if c["ran"]}


def why(report):
    return {c["id"]: c["why"] for c in report["checks"] if not c["ran"]}


def gentle(srv, report):
    check(srv.connections <= 12, f"{srv.connections} connections")
    check(max(srv.failed_logins) <= 1, f"failed logins: {srv.failed_logins}")
    check(sum(srv.failed_logins) <= 3, f"failed logins: {srv.failed_logins}")
    check(not srv.mails, "mail was sent")
    # A refusal that may count as a failed login (504) is taken for one.
    check(report["cost"]["connections"] == srv.connections and
          report["cost"]["failed_logins"] >= sum(srv.failed_logins),
          f"it says {report['cost']}, the server {srv.connections}, {srv.failed_logins}")


# Faults, options, and what must be found (besides whatever follows from it).
SINS = [
    (("no-starttls",), {}, "no-starttls"),
    (("ehlo-refused",), {}, "ehlo-refused"),
    (("clear-auth",), {}, "clear-password-offered clear-password-taken"),
    (("clear-mail",), {}, "clear-mail-accepted"),
    (("clear-late",), {}, "clear-mail-late"),
    (("clear-4xx",), {}, "tls-temporary-code"),
    (("continue",), {}, "clear-after-handshake"),
    (("continue-auth",), {}, "clear-auth-after-handshake"),
    (("injection",), {}, "starttls-injection"),
    (("clear-answer",), {}, "starttls-clear-answer"),
    (("old-tls",), {}, "tls-old"),
    (("no-secrecy",), {"more": ["--thorough", "--only", "P30,P33"]}, "tls-no-secrecy"),
    (("remember",), {}, "ehlo-remembered"),
    (("no-greeting",), {"user": False}, ""),
    (("starttls-listed",), {}, "starttls-listed-in-tls"),
    (("starttls-twice",), {}, "starttls-twice"),
    (("starttls-refused",), {}, "starttls-refused"),
    (("ehlo-refused-in-tls",), {}, "ehlo-refused-in-tls"),
    (("argument", "helo-refused"), {}, "starttls-argument-taken helo-refused-in-tls"),
    (("external-for-all",), {}, "external-for-all"),
    (("any-identity",), {"cert": True}, "external-any-identity"),
    (("refuse-equals",), {"cert": True}, "external-equals-refused external-identity"),
    (("ask-equals",), {"cert": True}, "external-ir-ignored"),
    (("implicit",), {"cert": True}, "cert-implicit"),
    (("implicit-after-failure",), {"cert": True}, "implicit-after-failure"),
    (("foreign",), {"user": False}, "foreign-cert-counts"),
    (("bad-cert",), {"bad": True, "cert": True}, "bad-cert-counts"),
    (("cert-hides-auth", "implicit"), {"cert": True}, "cert-removes-auth"),
    (("cert-closes",), {"cert": True}, "own-cert-refused"),
    (("password-not-with-cert",), {"cert": True}, "password-refused-with-cert"),
    (("any-password",), {}, "any-password"),
    (("star",), {}, "star-ignored"),
    (("listed-refused",), {}, "mechanism-listed-refused"),
    (("scram-plus",), {}, "channel-binding-broken"),
    (("relay",), {}, "open-relay"),
    (("auth-4xx",), {}, "auth-temporary-code"),
    (("legacy", "twice"), {}, "legacy-auth-only"),
    (("twice",), {}, "mechanism-twice"),
    (("second-auth", "no-ehlo-after-auth"), {}, "second-auth-taken ehlo-refused-after-auth"),
    (("size-refused",), {}, "size-refused"),
    (("size-late",), {}, "size-not-kept"),
    (("pipelining",), {}, "pipelining-broken"),
    (("chunk-executed",), {}, "chunk-executed"),
    (("chunk-unknown",), {}, "chunking-unknown"),
    (("enhanced-missing",), {}, "enhanced-missing"),
    (("enhanced-wrong",), {}, "enhanced-wrong"),
    (("short-lines",), {}, "long-auth-line-refused"),
    (("tickets", "no-close-notify"), {}, "no-close-notify"),
    (("impatient",), {"user": False}, "auth-at-mail no-relay mechanisms-consistent"),
    (("wants-cert",), {}, "certificate-required"),
    (("wants-cert-421",), {"user": False}, "certificate-required"),
    (("wants-cert-421", "implicit"), {"cert": True}, "certificate-required cert-implicit"),
    (("no-greeting", "relay", "auth-in-mail"), {"user": False}, "auth-in-transaction"),
    (("forgets-login",), {}, "login-forgotten"),
    (("short-commands",), {}, "command-line-refused"),
    (("message-end",), {"mail": True}, "message-end-variant"),
    (("message-end-late",), {"mail": True}, "message-end-variant"),
    (("message-end-refused",), {"mail": True}, "message-end-variant"),
    (("bare-newline",), {"mail": True}, "bare-newline-kept nul-accepted"),
]
triggered = set()


def sin(tmp, faults, how, expected):
    """What is wrong with what was found about a server with these faults."""
    with Faulty(tmp, *faults) as srv:
        options = ["--source", "127.0.0.1", *how.get("more", ())]
        if how.get("bad"):
            options += ["--bad-cert", srv.expired[0], "--bad-key", srv.expired[1]]
        if how.get("mail"):
            options += ["--intrusive", "--only", "P21", "--send-to", "bob@example.org"]
        report = probe(srv, *options, user=how.get("user", True), cert=how.get("cert"))
        triggered.update(ids(report, "insecure"))
        missing = set(expected.split()) - ids(report)
        if missing:
            return f"{faults}: {sorted(missing)} not among {sorted(ids(report))}"
        if not how.get("mail") and not how.get("more"):
            try:
                gentle(srv, report)
            except Failed as e:
                return f"{faults}: {e}"


@test("each fault is found, and what is insecure about it is said to be so")
def _():
    with work() as tmp, ThreadPoolExecutor(3) as pool:
        def one(n):
            folder = tmp / str(n)
            folder.mkdir()
            return sin(folder, *SINS[n])
        wrong = [w for w in pool.map(one, range(len(SINS))) if w]
        check(not wrong, "\n    ".join(wrong))


@test("settings for EXTERNAL are there for programs that can say it, in the spelling that is taken")
def _():
    able = {"refuse-equals": ("certificate-identity", {"curl", "msmtp", "sallyport"}),
            "ask-equals": ("certificate-at-once", {"curl", "sallyport"}),
            "implicit": ("certificate-implicit", {"curl", "msmtp", "thunderbird", "swaks", "sallyport"})}
    with work() as tmp:
        for fault, (first, programs) in able.items():
            folder = tmp / fault
            folder.mkdir()
            with Faulty(folder, fault, *(["cert-hides-auth"] if fault == "implicit" else [])) as srv:
                recipe = probe(srv, user=False, cert=True)["recipes"][0]
            got = {p for p in ("curl", "msmtp", "thunderbird", "swaks", "sallyport") if recipe[p]}
            check((recipe["id"], got) == (first, programs), f"{fault}: {recipe}")
            if fault == "ask-equals":
                check("--sasl-ir" in recipe["curl"] and f"--user {srv.address}:" in recipe["curl"], recipe["curl"])


@test("every insecure finding of the catalogue is found at a server that deserves it")
def _():
    catalogue = {i for i, s in SEVERITY.items() if s == "INSECURE"}
    check(len(catalogue) > 10, f"the catalogue was not understood: {catalogue}")
    missing = catalogue - triggered
    check(not missing, f"never found: {sorted(missing)}")


@test("a server without faults gets no finding above advice, with everything that can be given")
def _():
    with work() as tmp:
        for options in ({}, {"cert": True}, {"user": False}):
            for implicit in (False, True):
                with Faulty(tmp, implicit=implicit) as srv:
                    more = ["--bad-cert", srv.expired[0], "--bad-key", srv.expired[1]] \
                        if options.get("cert") else []
                    report = probe(srv, *more, **options)
                    check(not ids(report, *BAD), f"{options}: {ids(report, *BAD)}")
                    check(report["exit"] == 0, f"exit {report['exit']}: {report['failed']}")
                    gentle(srv, report)
                    if options != {"user": False}:
                        check("P46" in ran(report), "our own client did not try")


@test("P05 and P06 come to a verdict in every run, and say what RFC 3207 makes of it")
def _():
    with work() as tmp:
        for faults, p05 in (((), "ehlo-required-in-tls"), (("remember",), "ehlo-remembered")):
            with Faulty(tmp, *faults) as srv:
                report = probe(srv)
                check({"P05", "P06"} <= ran(report), f"{faults}: {why(report)}")
                check({p05, "auth-needs-ehlo" if not faults else "auth-without-ehlo"} <= ids(report),
                      f"{faults}: {ids(report)}")


@test("a server that serves nobody without a certificate is not called broken, only said so")
def _():
    with work() as tmp:
        for fault in ("wants-cert", "wants-cert-421"):
            with Faulty(tmp, fault) as srv:
                report = probe(srv)
                check(not ids(report, *BAD), f"{fault}: {ids(report, *BAD)}")
                check(report["exit"] == 77 and "--certificate" in report["failed"]["text"],
                      f"{fault}: {report['exit']} {report['failed']}")
                report = probe(srv, cert=True)
                check(report["exit"] == 0, f"{fault}: {report['exit']} {report['failed']}")


@test("a user with a token is logged in by it, by our own client too, and it is in no report")
def _():
    with work() as tmp, Faulty(tmp, "tokens") as srv:
        report = probe(srv, "--user", srv.user, "--token-file", srv.token_file, user=False)
        check({"login-works", "own-client-in"} <= ids(report), f"{ids(report)} {why(report)}")
        check(not ids(report, *BAD), f"{ids(report, *BAD)}")
        check(srv.token not in json.dumps(report) and
              base64_of(srv.token).decode() not in json.dumps(report), "the token is in the report")
        gentle(srv, report)
        srv.token_file.write_text("another\n")
        srv.connections, srv.failed_logins = 0, []
        report = probe(srv, "--user", srv.user, "--token-file", srv.token_file, user=False)
        check("login-refused" in ids(report), f"{ids(report)}")
        gentle(srv, report)


@test("what was found about all replies, and by our own client, has its evidence")
def _():
    with work() as tmp:
        for faults, wanted in ((("enhanced-missing",), "enhanced-missing"),
                               (("enhanced-wrong",), "enhanced-wrong"), ((), "own-client-in")):
            with Faulty(tmp, *faults) as srv:
                found = [f for f in probe(srv)["findings"] if f["id"] == wanted]
                check(found and found[0]["evidence"], f"{wanted}: {found}")


@test("--ipv6 asks there")
def _():
    with work() as tmp, Faulty(tmp) as srv:
        report = probe(srv, "-6", user=False)
        check(report["exit"] in (68, 69) and srv.connections == 0, f"{report['exit']} {srv.connections}")
        try:
            six = socket.create_server(("::1", srv.port), family=socket.AF_INET6)
        except OSError as e:
            skip(f"no IPv6 here: {e}")
        with six:
            srv.socket, four = six, srv.socket
            threading.Thread(target=srv._serve, daemon=True).start()
            report = probe(srv, "-6", "--only", "P01", user=False, host="[::1]")
            srv.socket = four
            check("P01" in ran(report) and "::1" in report["peer"]["address"], str(report["peer"]))


@test("a faulty certificate of the server is found, and no password is shown to it")
def _():
    def expired(pki):
        return pki.sign("old", "/CN=localhost", "DNS:localhost", "serverAuth", days=-1)

    def other_name(pki):
        return pki.sign("other", "/CN=other", "DNS:other.example.org", "serverAuth")

    def foreign(pki):
        return Certificates(pki.folder, "elsewhere").server("far")

    with work() as tmp:
        for cert, expected in ((expired, "cert-expired"), (other_name, "cert-name"),
                               (foreign, "cert-issuer-unknown")):
            with Faulty(tmp, cert=cert) as srv:
                report = probe(srv)
                check(expected in ids(report, "broken"), f"{expected}: {ids(report)}")
                secret = base64_of(f"\0{srv.user}\0{srv.password}")
                check(not any(secret in l for l in srv.said), "the password was sent")


def base64_of(text):
    import base64
    return base64.b64encode(text.encode())


@test("what cannot run is listed with its reason; --only runs what it names")
def _():
    with work() as tmp, Faulty(tmp) as srv:
        report = probe(srv, user=False)
        for c in ("P13", "P17", "P18", "P21", "P35", "P47"):
            check(why(report).get(c), f"{c} has no reason")
        before = srv.connections
        report = probe(srv, "--only", "P07", user=False)
        check(ran(report) == {"P07"}, f"{ran(report)}")
        check(srv.connections == before + 1, f"{srv.connections - before} connections for one check")


@test("EXTERNAL is not said where it is not listed, though only that is asked for")
def _():
    with work() as tmp, Faulty(tmp, "cert-hides-auth") as srv:
        for c in ("P13", "P26"):
            report = probe(srv, "--thorough", "--only", c, user=False, cert=True)
            check("not listed" in why(report)[c] and sum(srv.failed_logins) == 0 and srv.connections <= 2,
                  f"{c}: {why(report)[c]}, {srv.failed_logins}")


@test("PLAIN for somebody else is tried where PLAIN is listed, though little else is asked for")
def _():
    with work() as tmp, Faulty(tmp) as srv:
        report = probe(srv, "--thorough", "--only", "P18,P23")
        check(ran(report) == {"P18", "P23"}, f"{ran(report)}, {why(report)}"[:300])


@test("the password appears nowhere in the report")
def _():
    with work() as tmp, Faulty(tmp) as srv:
        text = json.dumps(probe(srv, cert=True))
        for secret in (srv.password, base64_of(f"\0{srv.user}\0{srv.password}").decode(),
                       base64_of(srv.password).decode()):
            check(secret not in text, "a secret is in the report")


# ---- servers that mean harm ----

class Hostile:
    user, password_file = "alice", None

    def __init__(self, tmp, what):
        self.what, self.connections = what, 0
        self.ca = Certificates(tmp / f"h{len(list(tmp.iterdir()))}").ca
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        with contextlib.suppress(OSError), c:
            self.what(c)


def endless_banner(c):
    while True:
        c.sendall(b"220-more\r\n" * 100)


def endless_ehlo(c):
    c.sendall(b"220 hi\r\n")
    c.recv(1000)
    while True:
        c.sendall(b"250-X" + b"y" * 500 + b"\r\n")


def drops(c):
    for octet in b"220 a very slow banner indeed\r\n" * 100:
        c.sendall(bytes([octet]))
        time.sleep(0.3)


def silence(c):
    c.recv(1000)
    time.sleep(60)


def garbage(c):
    c.sendall(bytes(range(256)) * 10 + b"\r\n")
    c.recv(1000)


def escapes(c):
    c.sendall(b"220 \x1b[2J\x1b]0;owned\x07 \x00\x9b31m mail\r\n")
    c.recv(1000)
    c.sendall(b"250-mail\x1b[31m\r\n250-AUTH PLAIN <script>alert(1)</script>\r\n250 STARTTLS\r\n")
    while c.recv(1000):
        c.sendall(b"502 \x1b[41m\x00\xff no\r\n")


def closes_after(n):
    def closes(c):
        c.sendall(b"220 hi\r\n")
        for _ in range(n):
            if not c.recv(1000):
                return
            c.sendall(b"250-hi\r\n250 STARTTLS\r\n")
    return closes


def no_tls(c):
    c.sendall(b"220 hi\r\n")
    while line := c.recv(1000):
        if line.upper().startswith(b"EHLO"):
            c.sendall(b"250-hi\r\n250 STARTTLS\r\n")
        elif line.upper().startswith(b"STARTTLS"):
            c.sendall(b"220 go\r\n")
            c.recv(1000)
            c.sendall(b"\x15\x03\x01\x7f\xff" + b"x" * 70000)
        else:
            c.sendall(b"530 5.7.0 no\r\n")


@test("whatever a server does, the prober ends within its timeouts and says what happened")
def _():
    kinds = [endless_banner, endless_ehlo, drops, silence, garbage, escapes, no_tls,
             *(closes_after(n) for n in range(4))]
    with work() as tmp:
        for what in kinds:
            srv = Hostile(tmp, what)
            began = time.monotonic()
            report = probe(srv, "--timeout", 1, user=False, seconds=100)
            took = time.monotonic() - began
            srv.socket.close()
            check(took < 90, f"{what.__name__}: {took:.0f} s")
            check(srv.connections <= 12, f"{what.__name__}: {srv.connections} connections")
            check(report["exit"] != 0, f"{what.__name__}: exit status 0, {ids(report)}")
            text = json.dumps(report, ensure_ascii=False)
            check("\x1b" not in text and "\x9b" not in text, f"{what.__name__}: escapes came through")


def imap(c):
    c.sendall(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
    while line := c.recv(1000):
        c.sendall(line.split(b" ")[0] + b" BAD what\r\n")


def pop3(c):
    c.sendall(b"+OK ready\r\n")
    c.recv(1000)


def ssh(c):
    c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    c.recv(1000)


def lmtp(c):
    c.sendall(b"220 here LMTP ready\r\n")
    while c.recv(1000):
        c.sendall(b"500 5.5.1 unknown\r\n")


@test("what is no server for mail programs is called what it is, and not broken")
def _():
    with work() as tmp:
        for what, words in ((imap, "IMAP"), (pop3, "POP3"), (ssh, "SSH"), (lmtp, "LMTP")):
            for implicit in (False, True) if what != lmtp else (False,):
                srv = Hostile(tmp, what)
                srv.implicit = implicit
                report = probe(srv, "--timeout", 3, user=False)
                srv.socket.close()
                check(report["exit"] == 76 and words in report["failed"]["text"],
                      f"{what.__name__} {implicit}: {report['exit']} {report['failed']}")
                check(srv.connections <= 2, f"{what.__name__}: {srv.connections} connections")


@test("a server that falls silent ends a --thorough run as well, with a word")
def _():
    with work() as tmp:
        for what in (silence, drops, no_tls):
            srv = Hostile(tmp, what)
            began = time.monotonic()
            report = probe(srv, "--timeout", 1, "--thorough", "--intrusive", user=False, seconds=100)
            srv.socket.close()
            check(time.monotonic() - began < 90, f"{what.__name__}: {time.monotonic() - began:.0f} s")
            check(report["exit"] and (report["failed"] or ids(report, *BAD)), f"{what.__name__}: {report['exit']}")


@test("nobody there, and no such host, are said with their status")
def _():
    with work() as tmp:
        nobody = Hostile(tmp, silence)
        nobody.socket.close()
        report = probe(nobody, user=False, port=free_port())
        check(report["exit"] == 69 and report["failed"], f"{report['exit']} {report['failed']}")
        check(not ran(report), f"{ran(report)}")


# ---- our own server ----

def ours(srv, *options, port=None, **how):
    class Target:
        ca, user, password_file = srv.ca, srv.user, srv.password_file
        client = (srv.client_certificate, srv.client_key)
        implicit = port == srv.tls_port
    return probe(Target, "--send-from", srv.address, *options, port=port or srv.port, **how)


@test("our own server gets no finding above advice, on both ports, with all that can be given")
def _():
    with work() as tmp, server(tmp) as srv:
        for port in (srv.port, srv.tls_port):
            for how in ({}, {"cert": True}, {"user": False}):
                report = ours(srv, port=port, **how)
                check(not ids(report, *BAD) and report["exit"] == 0,
                      f"{port == srv.tls_port} {how}: {ids(report, *BAD)} {report['failed']}")
                check(report["cost"]["connections"] <= 12, f"{report['cost']}")
                if "user" not in how:
                    check("own-client-in" in ids(report), f"our client: {ids(report)}")
        report = ours(srv, cert=True)
        for i in ("starttls-clean", "ehlo-required-in-tls", "auth-needs-ehlo", "starttls-once",
                  "external-not-for-all", "cert-adds-external", "external-equals",
                  "external-other-refused", "no-login-after-failure", "cert-implicit",
                  "foreign-cert-ignored", "password-with-cert", "second-auth-refused",
                  "no-session-tickets", "tls-new-only", "no-relay", "closed-after-handshake"):
            check(i in ids(report, "good"), f"{i} not among {sorted(ids(report))}")


@test("our own server gets no finding above advice from the thorough and the intrusive run")
def _():
    with work() as tmp, server(tmp) as srv:
        report = ours(srv, "--thorough", "--intrusive", "--send-to", "bob@example.org", cert=True)
        check(not ids(report, *BAD), f"{ids(report, *BAD)}")
        check({"P21", "P23", "P26", "P33"} <= ran(report),
              f"{[(c['id'], c['why']) for c in report['checks'] if not c['ran']]}")


run()
