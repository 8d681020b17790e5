"""wire.py - a client that says whatever it is told to, and a server's test with one server.

    with Wire(srv) as w:                  # reads the banner
        w.ehlo(); w.starttls(); w.ehlo(); w.login()
        w.expect(250, "MAIL FROM:<alice@example.org>")
        w.send(b"RCPT TO:<bob@example.org>\\r\\nDATA\\r\\n")
        code, text = w.reply()            # text: all lines, joined by a newline
        w.closed(5)                       # the server hangs up within 5 s

    shared(main)                          # run() with one server for all tests of a file
"""
import base64, hashlib, hmac, os, re, select, socket, ssl, sys, time

from harness import SALLYPORT, Failed, call, check, run, server, work

HEADER = (b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: %s\r\n"
          b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@wire>\r\n\r\n")


def message(name="x", body=b"hello\r\n"):
    name = name.encode()
    return HEADER % (name, name) + body


def b64(octets):
    return base64.b64encode(octets if isinstance(octets, bytes) else octets.encode()).decode()


def context(srv, certificate=None, version=None, alpn=None):
    c = ssl.create_default_context(cafile=srv.ca)
    if certificate:
        c.load_cert_chain(*certificate)
    if version:
        c.minimum_version = c.maximum_version = version
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


class Wire:
    def __init__(self, srv, implicit=False, certificate=None, version=None, alpn=None, banner=True,
                 seconds=30):
        self.srv, self.buffer = srv, b""
        self.context = context(srv, certificate, version, alpn)
        self.s = socket.create_connection(("127.0.0.1", srv.tls_port if implicit else srv.port),
                                          seconds)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if implicit:
            self.s = self.context.wrap_socket(self.s, server_hostname="localhost")
        if banner:
            self.expect(220)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, octets):
        self.s.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def line(self):
        while b"\n" not in self.buffer:
            got = self.s.recv(65536)
            if not got:
                raise Failed(f"the server closed the connection after {self.buffer!r}")
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        check(line.endswith(b"\r"), f"a reply line ends without CR: {line!r}")
        check(len(line) <= 511, f"a reply line of {len(line)} octets")
        check(all(32 <= c <= 126 for c in line[:-1]), f"unprintable octets in a reply: {line!r}")
        return line[:-1].decode()

    def reply(self):
        lines = []
        while True:
            line = self.line()
            check(re.match(r"[2-5]\d\d[ -]", line), f"not a reply: {line!r}")
            lines.append(line[4:])
            if line[3] == " ":
                return int(line[:3]), "\n".join(lines)

    def expect(self, code, command=None, words=""):
        """Send a command (CRLF is added); the reply must have this code and these words."""
        if command is not None:
            self.send((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        got, text = self.reply()
        shown = command if command is None or len(command) < 100 else command[:100]
        check(got == code, f"{shown!r}: {got} {text}, not {code}")
        check(words in text, f"{shown!r}: {got} {text!r} lacks {words!r}")
        return text

    def ehlo(self, name="client.test"):
        return self.expect(250, f"EHLO {name}")

    def handshake(self):
        self.s = self.context.wrap_socket(self.s, server_hostname="localhost")
        self.buffer = b""

    def starttls(self):
        self.expect(220, "STARTTLS")
        self.handshake()

    def login(self, user=None, password=None):
        user, password = user or self.srv.user, password or self.srv.password
        self.expect(235, f"AUTH PLAIN {b64(chr(0) + user + chr(0) + password)}")

    def mail(self, more=""):
        self.expect(250, f"MAIL FROM:<{self.srv.address}>{more}")

    def rcpt(self, to="bob@example.org"):
        self.expect(250, f"RCPT TO:<{to}>")

    def submit(self, octets, code=250, words=""):
        self.expect(354, "DATA")
        self.send(octets)
        return self.expect(code, b"." if octets.endswith(b"\r\n") else b"\r\n.", words)

    def closed(self, seconds=5):
        """The server hangs up; returns what it said before."""
        said, end = self.buffer, time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            check(left > 0, f"not closed after {seconds} s; said {said!r}")
            self.s.settimeout(left)
            try:
                got = self.s.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return said
            except TimeoutError:
                raise Failed(f"not closed after {seconds} s; said {said!r}") from None
            if not got:
                return said
            said += got

    def silent(self, seconds=0.3):
        """Nothing comes."""
        check(not self.buffer, f"unexpected: {self.buffer!r}")
        ready = select.select([self.s], [], [], seconds)[0]
        if ready:
            raise Failed(f"unexpected: {self.s.recv(1000)!r}")


class RevocationList:
    """The CRL of a CA, and certificates with any dates and names, by the openssl command."""

    def __init__(self, certificates, name="crl"):
        self.c, self.folder = certificates, certificates.folder / name
        self.folder.mkdir()
        (self.folder / "index").touch()
        (self.folder / "serial").write_text("1000\n")
        self.config = self.folder / "config"
        self.config.write_text(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {self.folder}/index\n"
                               f"serial = {self.folder}/serial\nnew_certs_dir = {self.folder}\n"
                               "default_md = sha256\ndefault_crl_days = 7\nunique_subject = no\n"
                               "policy = any\n[any]\ncommonName = optional\n")
        self.path = certificates.folder / f"{name}.pem"
        self.write()

    def _ca(self, *argv):
        call(["openssl", "ca", "-config", self.config, "-keyfile", self.c.ca_key, "-cert", self.c.ca,
              "-batch", *argv])

    def write(self, *more):
        self._ca("-gencrl", "-out", self.folder / "new", *more)
        os.replace(self.folder / "new", self.path)

    def revoke(self, certificate):
        self._ca("-revoke", certificate)
        self.write()

    def sign(self, name, subject, san, purpose, start, end):
        """Like Certificates.sign(), with dates as openssl writes them: 20400101000000Z."""
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text("basicConstraints=CA:false\nkeyUsage=digitalSignature\n"
                              f"extendedKeyUsage={purpose}\nsubjectAltName={san}\n")
        call(["openssl", "req", "-new", *self.c._new_key(key), "-subj", subject, "-out", request])
        self._ca("-in", request, "-extfile", extensions, "-startdate", start, "-enddate", end,
                 "-notext", "-out", cert)
        return cert, key


def inside(srv, certificate=None, login=True, **more):
    """A session in TLS after EHLO, logged in."""
    w = Wire(srv, certificate=certificate, **more)
    if not more.get("implicit"):
        w.ehlo()
        w.starttls()
    w.ehlo()
    if login:
        w.login()
    return w


def scram(w, user, password, mechanism="SCRAM-SHA-256"):
    """A login by SCRAM, from RFC 5802 and hashlib; the last reply's code."""
    hash_ = "sha1" if mechanism == "SCRAM-SHA-1" else "sha256"
    first = f"n={user},r=abcdefgh"
    w.send(f"AUTH {mechanism} {b64('n,,' + first)}\r\n")
    code, text = w.reply()
    if code != 334:
        return code
    challenge = base64.b64decode(text).decode()
    part = dict(p.split("=", 1) for p in challenge.split(","))
    salted = hashlib.pbkdf2_hmac(hash_, password.encode(), base64.b64decode(part["s"]), int(part["i"]))
    bare = f"c=biws,r={part['r']}"
    key = hmac.digest(salted, b"Client Key", hash_)
    signature = hmac.digest(hashlib.new(hash_, key).digest(), f"{first},{challenge},{bare}".encode(), hash_)
    proof = bytes(a ^ b for a, b in zip(key, signature))
    w.send(b64(f"{bare},p={b64(proof)}") + "\r\n")
    code, text = w.reply()
    if code == 334:
        server = hmac.digest(hmac.digest(salted, b"Server Key", hash_), f"{first},{challenge},{bare}".encode(), hash_)
        check(base64.b64decode(text) == b"v=" + b64(server).encode(), f"the server proves nothing: {text}")
        w.send("\r\n")
        code, _ = w.reply()
    return code


def check_log(srv):
    """What must not be in any log: signs of damage, the password, forged lines."""
    log = srv.process.output()
    for bad in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "role.died", "role.bad",
                srv.password, b64(chr(0) + srv.user + chr(0) + srv.password), b64(srv.password)):
        hit = next((l for l in log.splitlines() if bad in l), None)
        check(hit is None, f"the log holds {bad!r}: {hit}")


def without_server():
    """For files with one server for all their tests: when there is none, end here."""
    if "-l" in sys.argv:
        run()
    if SALLYPORT in ("", "standin"):
        print("skipped: all of it: needs the sallyport program\n0 passed, 0 failed, 1 skipped")
        sys.exit(0)


def shared(hold, **options):
    """run() with one server, put into hold.srv; then its log is looked at."""
    without_server()
    with work() as tmp, server(tmp, **options) as srv:
        hold.srv = srv
        try:
            run()
        except SystemExit as e:
            status = e.code
        if not status:
            check_log(srv)
    sys.exit(status)
