#!/usr/bin/python3
# sets: default
# timeout: 600
"""SCRAM and its -PLUS forms over real TLS 1.2 and 1.3, both ends, against three other
implementations: GNU SASL (also in msmtp), Cyrus SASL with OpenSSL's own bindings (cyrus.py),
and Perl in the unit tests; and a man in the middle, who must be noticed."""
import contextlib, ctypes, shutil, socket, threading
from harness import *
from saslwire import *
import cyrus

PLUS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]
PLAIN = ["SCRAM-SHA-256", "SCRAM-SHA-1"]
LIST = "    auth-tls = SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1\n"


def need():
    need_server()
    if SALLYPORT == "standin":
        skip("the stand-in knows no SCRAM")
    if not SSL:
        skip("python3-openssl is not installed")


# ---- our server, other clients ----

def add_cyrus_client(version, mechanism, kind):
    @test(f"server: Cyrus SASL logs in by {mechanism}, TLS {version}, {kind or 'no binding'}")
    def _():
        need()
        with work() as tmp, server(tmp, listener=LIST) as srv:
            for password, want in ((srv.password, 235), ("wrong", 535)):
                t, listed = inside(srv, version)
                check(listed == [*PLUS, *PLAIN], f"listed: {listed}")
                bind = binding_of(t.s, kind, True) if kind else None
                code, text = exchange(t, mechanism, cyrus.Client(mechanism, srv.user, password, bind))
                check(code == want, f"{password}: {code} {text}")
                t.s.shutdown()
            if kind:  # right password, other channel
                t, _ = inside(srv, version)
                bad = kind, bytes(c ^ 1 for c in binding_of(t.s, kind, True)[1])
                code, text = exchange(t, mechanism, cyrus.Client(mechanism, srv.user, srv.password, bad))
                check(code == 535, f"a foreign binding: {code} {text}")
            log = srv.process.output()
            check(f"mechanism={mechanism}" in log, "the mechanism is not in the log")
            check(not kind or "channel binding does not fit" in log, "no reason in the log")


for version in VERSIONS:
    for mechanism in PLAIN:
        add_cyrus_client(version, mechanism, None)
    for mechanism in PLUS:
        add_cyrus_client(version, mechanism, "tls-exporter")
for mechanism in PLUS:
    add_cyrus_client("1.2", mechanism, "tls-unique")


@test("server: y while -PLUS is listed is 535, n is accepted, tls-unique in TLS 1.3 is 535; require-binding refuses n")
def _():
    need()
    with work() as tmp, server(tmp, listener=LIST) as srv:
        for version in VERSIONS:
            t, _ = inside(srv, version)
            for mechanism in PLAIN:
                code, lines = t.ask(f"AUTH {mechanism} " + b64("y,,n=alice,r=abcdefgh"))
                check(code == 535, f"y was answered {code} {lines}")
        t, _ = inside(srv, "1.3")
        code, lines = t.ask("AUTH SCRAM-SHA-256-PLUS " + b64("p=tls-unique,,n=alice,r=abcdefgh"))
        check(code == 535, f"tls-unique in TLS 1.3: {code} {lines}")
        check("downgrade" in srv.process.output(), "no word of a downgrade in the log")
    with work() as tmp, server(tmp, listener=LIST + "    require-binding = yes\n") as srv:
        t, _ = inside(srv, "1.3")
        code, text = exchange(t, "SCRAM-SHA-256", cyrus.Client("SCRAM-SHA-256", srv.user, srv.password))
        check(code == 535, f"n with require-binding: {code} {text}")
        t, _ = inside(srv, "1.3")
        bind = binding_of(t.s, "tls-exporter", True)
        code, text = exchange(t, PLUS[0], cyrus.Client(PLUS[0], srv.user, srv.password, bind))
        check(code == 235, f"bound: {code} {text}")


def dialogue(argv, lines, seconds=60):
    """What a program that passes lines on shows, each line said after a whole reply."""
    left, out = list(lines), ""
    with subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, bufsize=1) as p:
        killer = threading.Timer(seconds, p.kill)
        killer.start()
        try:
            for line in p.stdout:
                out += line
                if left and re.match(r"[2-5]\d\d( |$)", line):
                    p.stdin.write(left.pop(0) + "\r\n")
                    p.stdin.flush()
        finally:
            killer.cancel()
            p.kill()
    return out


@test("server: TLS 1.2 without extended master secret lists no -PLUS, refuses it by name, and y is true there")
def _():
    need()
    if not shutil.which("gnutls-cli"):
        skip("gnutls-cli is not installed")
    with work() as tmp, server(tmp, listener=LIST) as srv:
        said = ["EHLO c", "AUTH SCRAM-SHA-256-PLUS " + b64("p=tls-unique,,n=alice,r=abcdefgh"),
                "AUTH SCRAM-SHA-256 " + b64("y,,n=alice,r=abcdefgh"), "*", "QUIT"]
        out = dialogue(["gnutls-cli", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH", "--x509cafile",
                        srv.ca, "-p", srv.tls_port, "localhost"], said)
        listed = [l for l in out.splitlines() if "AUTH " in l and l.startswith("250")]
        check(listed and "PLUS" not in listed[0], f"{listed}\n{out}")
        check("504 5.5.4 SCRAM-SHA-256-PLUS is not available" in out, out)
        check("334 " in out.split("not available")[1], f"y was refused:\n{out}")


class Gnu:
    """GNU SASL as the client, with the interface of cyrus.Client.  (Its command gsasl says
    STARTTLS without EHLO, which RFC 3207 does not know, so it cannot be used over SMTP.)"""
    AUTHID, PASSWORD = 1, 3
    BINDINGS = {"tls-unique": 18, "tls-exporter": 25}
    context = None

    def __init__(self, mechanism, user, password, binding=None):
        try:
            self.lib = ctypes.CDLL("libgsasl.so.18")
        except OSError:
            skip("GNU SASL is not installed")
        for name in ("gsasl_client_start", "gsasl_property_set", "gsasl_step64"):
            getattr(self.lib, name).argtypes = {"gsasl_client_start": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
                                                "gsasl_property_set": [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p],
                                                "gsasl_step64": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]}[name]
        if not Gnu.context:
            Gnu.context = ctypes.c_void_p()
            check(self.lib.gsasl_init(ctypes.byref(Gnu.context)) == 0, "gsasl_init")
        self.session = ctypes.c_void_p()
        rc = self.lib.gsasl_client_start(Gnu.context, mechanism.encode(), ctypes.byref(self.session))
        check(rc == 0, f"GNU SASL does not start {mechanism}: {rc}")
        for number, value in [(self.AUTHID, user), (self.PASSWORD, password)] + \
                ([(self.BINDINGS[binding[0]], b64(binding[1]))] if binding else []):
            self.lib.gsasl_property_set(self.session, number, value.encode())

    def start(self):
        return self.step(b"")[0]

    def step(self, challenge):
        out = ctypes.c_char_p()
        rc = self.lib.gsasl_step64(self.session, b64(challenge).encode(), ctypes.byref(out))
        check(rc in (0, 1), f"GNU SASL says {rc} to {challenge!r}")
        return base64.b64decode(out.value or b""), rc == 0


@test("server: GNU SASL logs in by every mechanism and binding, TLS 1.2 and 1.3; a foreign binding is 535")
def _():
    need()
    with work() as tmp, server(tmp, listener=LIST) as srv:
        for version, mechanism, kind in [(v, m, k) for v in VERSIONS for m in PLUS + PLAIN
                                         for k in ("tls-unique", "tls-exporter", None)]:
            if (mechanism in PLUS) != bool(kind) or (version == "1.3" and kind == "tls-unique"):
                continue
            t, _ = inside(srv, version)
            bind = binding_of(t.s, kind, True) if kind else None
            code, text = exchange(t, mechanism, Gnu(mechanism, srv.user, srv.password, bind))
            check(code == 235, f"{version} {mechanism} {kind}: {code} {text}")
            if kind:
                t, _ = inside(srv, version)
                code, text = exchange(t, mechanism, Gnu(mechanism, srv.user, srv.password, bind))
                check(code == 535, f"the binding of another connection: {code} {text}")


@test("server: msmtp by each of the mechanisms it knows")
def _():
    need()
    if not shutil.which("msmtp"):
        skip("msmtp is not installed")
    known = re.search(r"methods:\s*(.*?)\nIDN", call(["msmtp", "--version"]), re.S)[1].split()
    with work() as tmp, server(tmp, listener=LIST) as srv:
        n = 0
        for mechanism in [m for m in [*PLUS, *PLAIN] if m.lower() in known]:
            rc = tmp / "rc"
            rc.write_text(f"account default\nhost localhost\nport {srv.port}\nfrom {srv.address}\ntls on\n"
                          f"tls_trust_file {srv.ca}\nauth {mechanism.lower()}\nuser {srv.user}\n"
                          f"password {srv.password}\n")
            os.chmod(rc, 0o600)
            call(["msmtp", "-C", rc, "bob@example.org"], stdin=lf(MESSAGE))
            n += 1
            srv.mailbox("bob").wait(n)
        check(n >= 2, f"msmtp knows {known}")


# ---- our client, another server ----

class CyrusServer:
    """An SMTP server whose only login is Cyrus SASL's SCRAM.  kind: the binding it uses."""

    def __init__(self, tmp, srv, version, mechanisms, kind):
        self.tmp, self.srv, self.mechanisms, self.kind = tmp, srv, mechanisms, kind
        self.context = tls_context(version, server=(srv.certificate, srv.key))
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.taken, self.said = self.socket.getsockname()[1], [], []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                t = Talk(self.socket.accept()[0])
                with contextlib.suppress(OSError, EOFError, SSL.Error):
                    self.session(t)

    def login(self, t, words):
        s = cyrus.Server(self.tmp, self.srv.user, self.srv.password,
                         binding_of(t.s, self.kind, False) if self.kind else None)
        try:
            token, done = s.start(words[1], base64.b64decode(words[2]) if len(words) > 2 and words[2] != "=" else b"")
            while not done or token:
                t.say("334 " + b64(token or b""))
                answer = base64.b64decode(t.line())
                if done:
                    break
                token, done = s.step(answer)
            t.say("235 2.7.0 ok")
            self.said.append(words[1])
        except cyrus.Refused as e:
            self.said.append(str(e))
            t.say("535 5.7.8 no")

    def session(self, t):
        t.say("220 cyrus.test")
        secure = False
        while True:
            line = t.line()
            words = line.split(" ")
            verb = words[0].upper()
            if verb == "EHLO":
                t.say("250-cyrus.test\r\n250 " + (f"AUTH {' '.join(self.mechanisms)}" if secure else "STARTTLS"))
            elif verb == "STARTTLS":
                t.say("220 go")
                t.tls(self.context, False)
                secure = True
            elif verb == "AUTH":
                self.login(t, words)
            elif verb == "DATA":
                t.say("354 go")
                got = []
                while (line := t.line()) != ".":
                    got.append(line)
                self.taken.append(got)
                t.say("250 taken")
            elif verb == "QUIT":
                t.say("221 bye")
                return
            else:
                t.say("250 ok")


def send(srv, port, *more, ok=(0,), password=None):
    return call([SALLYPORT, "send", "--server", f"smtp://localhost:{port}", "--ca", srv.ca, "--user", srv.user,
                 "--password-file", password or srv.password_file, *more], stdin=lf(MESSAGE), ok=ok,
                env={"XDG_CONFIG_HOME": str(srv.data / "none")})


def add_cyrus_server(version, mechanisms, kind, expected):
    @test(f"client: to Cyrus SASL as server, TLS {version}, {' '.join(mechanisms)}, {kind or 'no binding'}: {expected}")
    def _():
        need()
        if not shutil.which("saslpasswd2"):
            skip("sasl2-bin is not installed")
        with work() as tmp:
            srv = Sallyport(tmp)  # not started: its user, password and certificates
            hop = CyrusServer(tmp, srv, version, mechanisms, kind)
            send(srv, hop.port)
            check(hop.said == [expected] and len(hop.taken) == 1, f"{hop.said}, {len(hop.taken)} messages")
            wrong = tmp / "wrong"
            wrong.write_text("wrong\n")
            send(srv, hop.port, ok=(77,), password=wrong)
            check(len(hop.taken) == 1, "a message with a wrong password")


for version in VERSIONS:
    add_cyrus_server(version, ["SCRAM-SHA-256"], None, "SCRAM-SHA-256")
    add_cyrus_server(version, ["SCRAM-SHA-1", "SCRAM-SHA-256", *PLUS], "tls-unique" if version == "1.2" else
                     "tls-exporter", "SCRAM-SHA-256-PLUS")
    add_cyrus_server(version, ["SCRAM-SHA-256", PLUS[1]], "tls-unique" if version == "1.2" else "tls-exporter",
                     "SCRAM-SHA-1-PLUS")


# ---- our client, our server ----

@test("both ends ours: send takes -PLUS by itself, each mechanism by name, TLS 1.2 and 1.3")
def _():
    need()
    for version in VERSIONS:
        with work() as tmp, server(tmp, listener=LIST + ("    tls-min = TLSv1.3\n" if version == "1.3" else "")) as srv:
            send(srv, srv.port)
            for mechanism in [*PLUS, *PLAIN]:
                said = send(srv, srv.port, "--mechanism", mechanism)
                check(mechanism in said, said)
            log = srv.process.output()
            check(log.count("mechanism=SCRAM-SHA-256-PLUS ") == 2, "auto did not take SCRAM-SHA-256-PLUS")


# ---- a man in the middle ----

class Relay:
    """Ends TLS with a certificate that the client trusts and begins another one to the
    server.  change(line): what the server says, as the client sees it; answer(line): a
    reply of its own to what the client says, or None."""

    def __init__(self, srv, version, change=lambda l: l, answer=lambda l: None):
        self.srv, self.version, self.change, self.answer = srv, version, change, answer
        stolen = srv.certificates.server("stolen")  # another key: the worst case, a mis-issued one
        self.context = tls_context(version, server=stolen)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard = self.socket.getsockname()[1], []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                c = Talk(self.socket.accept()[0])
                with contextlib.suppress(OSError, EOFError, SSL.Error):
                    self.session(c, Talk(socket.create_connection(("127.0.0.1", self.srv.port))))
                c.s.close()

    def back(self, c, s):
        code, lines = s.reply()
        lines = [l for l in map(self.change, lines) if l is not None]
        for i, l in enumerate(lines):
            c.say(f"{code}{' ' if i == len(lines) - 1 else '-'}{l}")
        return code

    def session(self, c, s):
        self.back(c, s)
        in_data = False
        while True:
            line = c.line()
            self.heard.append(line)
            own = self.answer(line)
            if own:
                c.say(own)
                continue
            s.say(line)
            if in_data and line != ".":
                continue
            code = self.back(c, s)
            in_data = code == 354
            if line.upper() == "STARTTLS" and code == 220:
                s.tls(tls_context(self.version, ca=self.srv.ca), True)
                c.tls(self.context, False)


def without(*names):
    def change(line):
        if not line.startswith("AUTH "):
            return line
        return " ".join(w for w in line.split() if w not in names)
    return change


def refuse_plus(line):
    return "504 5.5.4 unknown mechanism" if re.match(r"AUTH \S+-PLUS", line) else None


def add_relay(version, name, words, change=lambda l: l, answer=lambda l: None):
    @test(f"a man in the middle, TLS {version}, {name}: noticed, nothing delivered")
    def _():
        need()
        with work() as tmp, server(tmp, listener=LIST) as srv:
            relay = Relay(srv, version, change, answer)
            said = send(srv, relay.port, ok=(77,))
            check(any("AUTH SCRAM" in l for l in relay.heard), f"the client said no AUTH: {relay.heard}\n{said}")
            log = srv.process.output()
            check(words in log and "login-ok" not in log, f"the server did not notice:\n{log[-1500:]}")
            check(srv.mailbox("bob").messages() == [], "delivered")


for version in VERSIONS:
    add_relay(version, "who passes everything on", "channel binding does not fit")
    add_relay(version, "who takes -PLUS out of the list", "downgrade", change=without(*PLUS))
    add_relay(version, "who leaves the weaker -PLUS", "channel binding does not fit", change=without(PLUS[0]))
    add_relay(version, "who refuses -PLUS by 504", "downgrade", answer=refuse_plus)


@test("the relay itself works: without -PLUS on the server it is not noticed (which is why there is -PLUS)")
def _():
    need()
    with work() as tmp, server(tmp, listener="    auth-tls = SCRAM-SHA-256\n") as srv:
        for version in VERSIONS:
            send(srv, Relay(srv, version).port)
        srv.mailbox("bob").wait(2)


run()
