#!/usr/bin/python3
# sets: peers
# timeout: 3600
"""Our client against real submission servers: host, port, the CA and credentials are all
that it is told.  Every server x what is held x transport; where there is no way in, the
client must say so and nothing may arrive.  See matrix.py for the frame."""
import json, threading
from matrix import *
import clients
import servers_peers as peers
from servers_peers import IMPLICIT, STARTTLS
from servers_wire import Between

NAMES = {"DovecotSubmission": "Dovecot submission", "SmtpServer": "nodemailer's smtp-server",
         "Aiosmtpd": "aiosmtpd", "Chasquid": "chasquid"}
HELD = ("password", "certificate", "both")
ROUTE = "smart host"
NO_PERMISSION, UNAVAILABLE = 77, 69  # sysexits.h

m = Matrix("servers")
numbers, lock = [0], threading.Lock()


def message(to="bob@remote.test", size=0, sender="alice@example.org"):
    """A new message and its Message-ID.  Dots, blanks at ends of lines, an empty line."""
    with lock:
        numbers[0] += 1
        name = f"n{numbers[0]}.{os.getpid()}@example.org"
    filler = b"The quick brown fox jumps over the lazy dog.\r\n"
    return name, (f"From: Alice <{sender}>\r\nTo: {to}\r\nSubject: {name}\r\n"
                  "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
                  f"Message-ID: <{name}>\r\n\r\n"
                  ".\r\n..dots\r\n.dot\r\n blanks \t\r\n\r\nFrom here\r\n").encode() \
        + filler * (size // len(filler))


# ---- one submission ----

def credentials(p, held, certificate=None, password_file=None):
    certificate = certificate or p.client
    words = []
    if held in ("password", "both"):
        words += ["--user", p.user, "--password-file", password_file or p.password_file]
    if held in ("certificate", "both"):
        words += ["--certificate", certificate[0], "--key", certificate[1]]
    return words


def send(p, port, transport, words, octets, ca=None, json_=False):
    """(exit status, what it said).  --source stands for "from elsewhere" where a server
    trusts its own address more than others."""
    scheme = "smtp" if transport == STARTTLS else "smtps"
    argv = [SALLYPORT, "send", "--server", f"{scheme}://localhost:{port}", "--ca", ca or p.ca,
            *words, *(["--source", p.source] if p.source else []), *(["--json"] if json_ else [])]
    done = subprocess.run([str(a) for a in argv], input=octets, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=90,
                          env={**os.environ, "XDG_CONFIG_HOME": str(p.folder / "none")})
    return done.returncode, done.stdout.decode(errors="replace").strip()


def mechanism_of(said, way, json_):
    """What the result says the server wanted; it must be what can be pinned."""
    if json_:
        result = json.loads(next(l for l in said.splitlines() if l.startswith("{")))
        pin, login = result["pin"], result["login"]
        check(result["accepted"], said)
    else:
        hit = re.search(r"accepted by .*\[(.*?)(?:; to insist on it: --certificate-login (\w+))?\]$",
                        said, re.M)
        check(hit, f"no word on the login: {said}")
        login, pin = hit[1], hit[2] or "password"
    check(pin == way, f"the result says {pin!r}, the server wants {way}: {said}")
    if way == "password":
        return re.match(r"AUTH (\S+)", login)[1]
    check(("EXTERNAL" in login) == (way == "explicit"), login)
    return "EXTERNAL" if way == "explicit" else None


def check_login(p, name, got, way, mechanism):
    """Did the server see who we are, and how we said it?  Returns that in a few words."""
    method, who = p.login(name, got)
    if mechanism is None or way != "password":
        check(method == mechanism, f"the server says {method}, we said {mechanism}")
    check(method in ("", mechanism), f"the server says {method}, we said {mechanism}")
    if who and way == "password":
        check(who.split("@")[0] == p.user.split("@")[0], f"logged in as {who}")
    elif who:
        check(who == "alice" or p.address in who, f"logged in as {who}")
    return (mechanism or "certificate alone") + (f" as {who}" if who else "")


def arrives(p, name, octets):
    got = p.wait(name)
    check_same(octets, p.without_its_own(got))
    check(len(p.arrived(name)) == 1, "it arrived more than once")
    return got


def submit(p, variant, transport, held, n, **more):
    """Delivered at the first invocation, byte for byte, as the right one."""
    way = p.way(variant, held)
    name, octets = message(**more)
    status, said = send(p, p.port(variant, transport), transport, credentials(p, held), octets,
                        json_=n == 2)
    check(status == 0, f"status {status}: {said}")
    mechanism = mechanism_of(said, way, n == 2)
    return check_login(p, name, arrives(p, name, octets), way, mechanism)


def refused(p, name, status, said, *words, ends=NO_PERMISSION):
    """Told why, with the status for it; what was not sent cannot arrive later either."""
    check(status == ends, f"status {status}: {said}")
    for word in words:
        check(word in said, f"nothing about {word!r}: {said}")
    p.never.append(name)
    check(not p.arrived(name), "it arrived all the same")
    return said.replace("sallyport: ", "").splitlines()[0]


# ---- the cells ----

def each_server(cls):
    name = NAMES.get(cls.__name__, cls.__name__)
    title = lambda variant, text: f"{variant}: {text}" if variant else text
    only_password = next(v for v, f in cls.variants.items()
                         if f["password"] and not f.get("needs"))

    @m.peer(name)
    @contextlib.contextmanager
    def _():
        need_server()
        with work() as tmp, cls(tmp) as p:
            p.never = []
            with Between(p.port(only_password)) as p.counted, routes(tmp, p) as p.smart:
                yield p
            late = [n for n in p.never if p.arrived(n)]
            check(not late, f"{len(late)} refused messages arrived later")

    for index, variant in enumerate(cls.variants):
        for held in HELD:
            way = cls.way(cls, variant, held)
            for transport in cls.transports:
                (accepted_cell if way else no_way_cell)(
                    name, title(variant, held), variant, transport, held)
            if way:
                route_cell(name, title(variant, held), index, variant, held)
    for variant, facts in cls.variants.items():
        if facts["certificate"]:
            for which in ("foreign", "expired"):
                bad_certificate_cell(name, title(variant, f"{which} certificate"), variant, which)
            if facts["password"] and not facts.get("needs"):
                password_beside_cell(name, title(variant, "foreign certificate and password"),
                                     variant)
    variant = only_password
    wrong_password_cell(name, title(variant, "wrong password"), variant)
    untrusted_cell(name, title(variant, "server of an unknown CA"), variant)
    stripped_cell(name, title(variant, "STARTTLS cut out on the way"), variant)
    big_cell(name, title(variant, "password, 20 MB, then 1 MB"), variant)
    utf8_cell(name, title(variant, "password, SMTPUTF8 sender"), variant, cls.smtputf8)
    reuse_cell(name, title(variant, "password, 5 messages on a connection"))


def accepted_cell(name, row, variant, transport, held):
    @m.cell(name, row, transport)
    def _(p, n):
        return submit(p, variant, transport, held, n)


def no_way_cell(name, row, variant, transport, held):
    @m.cell(name, row, transport, want="refused")
    def _(p, n):
        name, octets = message()
        status, said = send(p, p.port(variant, transport), transport, credentials(p, held), octets)
        wanted = "password" if held == "certificate" else "certificate"
        return refused(p, name, status, said, wanted)


def bad_certificate_cell(name, row, variant, which):
    @m.cell(name, row, STARTTLS, want="refused")
    def _(p, n):
        name, octets = message()
        status, said = send(p, p.port(variant), STARTTLS,
                            credentials(p, "certificate", getattr(p, which)), octets)
        return refused(p, name, status, said, "certificate")


def password_beside_cell(name, row, variant):
    @m.cell(name, row, STARTTLS)
    def _(p, n):
        name, octets = message()
        status, said = send(p, p.port(variant), STARTTLS, credentials(p, "both", p.foreign), octets)
        check(status == 0, f"status {status}: {said}")
        return check_login(p, name, arrives(p, name, octets), "password",
                           mechanism_of(said, "password", False))


def wrong_password_cell(name, row, variant):
    @m.cell(name, row, STARTTLS, want="refused")
    def _(p, n):
        name, octets = message()
        wrong = p.folder / "wrong"
        wrong.write_text("not this one\n")
        status, said = send(p, p.port(variant), STARTTLS,
                            credentials(p, "password", password_file=wrong), octets)
        return refused(p, name, status, said, "535", "password")


def untrusted_cell(name, row, variant):
    @m.cell(name, row, STARTTLS, want="refused")
    def _(p, n):
        name, octets = message()
        status, said = send(p, p.port(variant), STARTTLS, credentials(p, "both"), octets,
                            ca=p.other_ca)
        return refused(p, name, status, said, "verified", "--ca")


def stripped_cell(name, row, variant):
    @m.cell(name, row, STARTTLS, want="refused")
    def _(p, n):
        name, octets = message()
        with Between(p.port(variant), strip=True) as b:
            status, said = send(p, b.port, STARTTLS, credentials(p, "both"), octets)
        verbs = [l.split()[0].upper() for l in b.said if l.split()]
        check(verbs == ["EHLO", "QUIT"], f"said in clear: {b.said}")
        return refused(p, name, status, said, "nothing is sent in clear")


def big_cell(name, row, variant):
    @m.cell(name, row, STARTTLS)
    def _(p, n):
        return submit(p, variant, STARTTLS, "password", n, size=20_000_000 if n == 1 else 1_000_000)


def utf8_cell(name, row, variant, offered):
    @m.cell(name, row, STARTTLS, want="delivered" if offered else "refused")
    def _(p, n):
        if offered:
            return submit(p, variant, STARTTLS, "password", n, sender="älice@example.org")
        name, octets = message(sender="älice@example.org")
        status, said = send(p, p.port(variant), STARTTLS, credentials(p, "password"), octets)
        return refused(p, name, status, said, "SMTPUTF8", ends=UNAVAILABLE)


# ---- the delivery agent: the same servers as smart hosts of ours ----

@contextlib.contextmanager
def routes(tmp, p):
    """Our server with a route for each variant and what is held: to HELDn.remote.test."""
    secret = p.folder / "route.password"
    secret.write_text(p.password + "\n")
    key = p.folder / "route.key"
    shutil.copy(p.client[1], key)
    for path in (secret, key):
        shutil.chown(path, "nobody")
        os.chmod(path, 0o400)
    text = ""
    for index, variant in enumerate(p.variants):
        for held in HELD:
            text += (f"route {held}{index} {{\n    match = {held}{index}.remote.test\n"
                     f"    to = smarthost\n    host = 127.0.0.1:{p.port(variant)}\n"
                     f"    tls-ca = {p.ca}\n    tls-name = localhost\n")
            if held != "certificate":
                text += f"    user = {p.user}\n    password-file = {secret}\n"
            if held != "password":
                text += f"    client-certificate = {p.client[0]}\n    client-key = {key}\n"
            text += "}\n"
    text += (f"route counted {{\n    match = counted.remote.test\n    to = smarthost\n"
             f"    host = 127.0.0.1:{p.counted.port}\n    tls-ca = {p.ca}\n"
             f"    tls-name = localhost\n    user = {p.user}\n    password-file = {secret}\n"
             "    concurrency = 1\n}\n")
    with server(tmp, routes=text) as srv:
        yield srv


def route_cell(name, row, index, variant, held):
    @m.cell(name, row, ROUTE)
    def _(p, n):
        to = f"bob@{held}{index}.remote.test"
        name, octets = message(to)
        clients.smtplib_(p.smart, octets, to=[to])
        got = arrives(p, name, octets)
        method, who = p.login(name, got)
        way = p.way(variant, held)
        if way == "password":
            check(method is not None, "no AUTH was seen")
        else:
            check(method == ("EXTERNAL" if way == "explicit" else None), f"{method} as {who}")
        return (method if method else "AUTH" if method == "" else "certificate alone") \
            + (f" as {who}" if who else "")


def reuse_cell(name, row):
    @m.cell(name, row, ROUTE)
    def _(p, n):
        to, before = "bob@counted.remote.test", p.counted.connections
        sent = [message(to) for _ in range(5)]
        for _, octets in sent:
            clients.smtplib_(p.smart, octets, to=[to])
        for name, octets in sent:
            arrives(p, name, octets)
        new = p.counted.connections - before
        check(new <= 1, f"{new} connections for five messages")
        return "5 messages on one connection"


for cls in peers.ALL:
    each_server(cls)
m.run()
