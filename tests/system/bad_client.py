"""bad_client.py - a mail program with as many faults as are asked for: what a server
that grades mail programs must find.

    bad_client.py SIN[,SIN...] HOST PORT CA USER PASSWORD-FILE FROM TO... <message

Without a sin it does what it should, with plain sockets and nothing of smtplib.  Each sin
is one way to be wrong; the words are those of `sin("...")` below.
"""
import base64, hashlib, hmac, os, re, socket, ssl, sys, time
from pathlib import Path

sins, host, port, ca, user, password, sender, *to = sys.argv[1:]
password = Path(password).read_text().strip() if os.path.exists(password) else password
sins = set(sins.split(","))
sin = sins.__contains__
message = sys.stdin.buffer.read()
if not sin("raw"):
    message = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
if not message.endswith(b"\r\n"):
    message += b"\r\n"


class Refused(Exception):
    pass


class Session:
    def __init__(self):
        self.s = socket.create_connection((host, int(port)), 15)
        self.s.settimeout(15)
        self.buffer, self.tls, self.caps, self.old, self.last = b"", False, {}, {}, ""
        if sin("talk-first"):
            self.say("EHLO client.test")

    def send(self, octets):
        self.s.sendall(octets)

    def say(self, line, end=None):
        self.last = line.split(" ")[0]
        self.send(line.encode() + (end or (b"\n" if sin("bare-lf-command") else b"\r\n")))

    def line(self):
        while b"\n" not in self.buffer:
            more = self.s.recv(4096)
            if not more:
                raise Refused("closed")
            if sin("split") and not more.endswith(b"\n"):
                raise Refused("half a line")
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        if len(line) > 1000 and not sin("endless"):
            raise Refused("a long line")
        return line.rstrip(b"\r").decode(errors="replace")

    def reply(self):
        lines = []
        while True:
            line = self.line()
            if len(lines) < 200:
                lines.append(line)
            elif not sin("endless"):
                raise Refused("an endless reply")
            if line[3:4] != "-" or sin("single-line") and self.last != "EHLO":
                self.text = lines
                return int(line[:3] or 0)

    def ask(self, line, good=(2,)):
        self.say(line)
        code = self.reply()
        if code // 100 not in good:
            raise Refused(f"{line.split()[0]}: {self.text}")
        return code

    def ehlo(self):
        name = "" if sin("no-name") else " client.test"
        if sin("pipeline-ehlo") and self.tls:
            self.send(b"EHLO client.test\r\nNOOP\r\n")
            self.reply(), self.reply()
            self.text = ["", "250 AUTH PLAIN"]
        elif sin("helo") and self.tls:
            self.ask("HELO client.test")
        else:
            self.say("EHLO" + name)
            if self.reply() != 250:
                if not sin("helo-fallback"):
                    raise Refused("EHLO")
                if not (sin("no-greeting") and self.tls):
                    self.ask("HELO client.test")
                return False
        self.caps = {}
        for line in self.text[1:]:
            word, _, rest = line[4:].replace("=", " ").partition(" ")
            if sin("no-equals") and "=" in line:
                continue
            words = rest.split()[:1] if sin("first-mechanism") else rest.split()
            self.caps.setdefault(word.upper(), set()).update(words)
        return True

    def starttls(self):
        self.say("STARTTLS")
        if self.reply() != 220:
            raise Refused("STARTTLS")
        context = ssl.create_default_context(cafile=ca)
        if sin("any-name"):
            context.check_hostname = False
        if sin("any-certificate"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if sin("any-time"):
            context.verify_flags |= 0x200000  # X509_V_FLAG_NO_CHECK_TIME
        if sin("certificate"):
            context.load_cert_chain(os.environ["CERT"], os.environ["KEY"])
        kept = self.buffer
        self.buffer = kept if sin("believe") else b""
        self.s = context.wrap_socket(self.s, server_hostname=host)
        self.tls, self.old = True, self.caps

    def b64(self, octets):
        return base64.b64encode(octets).decode()

    def auth(self):
        mechs = self.caps.get("AUTH", set())
        if sin("stale-mechanism") and self.tls:
            mechs = mechs | self.old.get("AUTH", set())
        plain = self.b64(f"\0{user}\0{password}".encode())
        if sin("external") or sin("external-if-listed") and "EXTERNAL" in mechs:
            if "EXTERNAL" not in mechs:
                raise Refused("no EXTERNAL")
            self.ask("AUTH EXTERNAL =")
            return
        if sin("stale-mechanism") and "CRAM-MD5" in mechs or mechs == {"CRAM-MD5"}:
            self.ask("AUTH CRAM-MD5", (3,))
            challenge = base64.b64decode(self.text[0][4:])
            digest = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()
            self.ask(self.b64(f"{user} {digest}".encode()))
        elif mechs == {"SCRAM-SHA-256"}:
            self.scram()
        elif "LOGIN" in mechs and sin("login"):
            self.ask("AUTH LOGIN", (3,))
            self.ask(self.b64(user.encode()), (3,))
            self.ask(self.b64(password.encode()))
        elif "PLAIN" in mechs or sin("unlisted"):
            self.ask("AUTH PLAIN " + plain)
        else:
            raise Refused("no mechanism")

    def scram(self):
        first = f"n={user},r=abcdefghijklmnop"
        code = self.ask("AUTH SCRAM-SHA-256 " + self.b64(b"n,," + first.encode()), (2, 3))
        if code == 235:
            if sin("any-signature"):
                return
            raise Refused("no proof")
        server = base64.b64decode(self.text[0][4:]).decode()
        a = dict(f.split("=", 1) for f in server.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(a["s"]),
                                     int(a["i"]))
        last = f"c=biws,r={a['r']}"
        all_ = f"{first},{server},{last}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        proof = bytes(x ^ y for x, y in zip(key, hmac.digest(
            hashlib.sha256(key).digest(), all_, "sha256")))
        code = self.ask(self.b64(f"{last},p={self.b64(proof)}".encode()), (2, 3))
        if code == 235:
            if sin("any-signature"):
                return
            raise Refused("no proof")
        want = b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"),
                                                    all_, "sha256"))
        if base64.b64decode(self.text[0][4:]) != want and not sin("any-signature"):
            raise Refused("a false proof")
        self.ask("")

    def deliver(self):
        blank = " " if sin("blank") else ""
        path = (lambda a: a) if sin("no-brackets") else (lambda a: f"<{a}>")
        more = " SIZE=1000" if sin("size") else ""
        if sin("size-if-listed") and "SIZE" in self.old | self.caps:
            more = " SIZE=1000"
        try:
            self.ask(f"MAIL FROM:{blank}{path(sender)}{more}")
        except Refused:
            if not (sin("starttls-again") and self.tls):
                raise
            self.say("STARTTLS")
            self.reply()
            raise
        refused = 0
        for a in to:
            try:
                self.ask(f"RCPT TO:{blank}{path(a)}")
            except Refused:
                refused += 1
        if refused == len(to):
            raise Refused("nobody")
        stuffed = message if sin("no-stuffing") else re.sub(rb"(?m)^\.", b"..", message)
        if sin("cut"):
            stuffed = stuffed[:stuffed.rindex(b"\r\n", 0, len(stuffed) // 2) + 2]
        if sin("change"):
            stuffed = stuffed.replace(b"second", b"third")
        if sin("bdat"):  # stuffing is for DATA
            self.say(f"BDAT {len(message)} LAST", b"\r\n" + message)
        else:
            self.ask("DATA", (3,))
            if sin("bare-lf-data"):
                self.send(stuffed.replace(b"\r\n", b"\n") + b".\n")
            else:
                self.send(stuffed + b".\r\n")
        if sin("no-reply"):
            return
        if self.reply() // 100 != 2:
            raise Refused("the message")
        if refused and not sin("hide-refusals"):
            raise Refused("some")

    def run(self):
        if sin("talk-first"):
            self.reply()
            self.reply()
        elif self.reply() != 220:
            raise Refused("greeting")
        extended = sin("talk-first") or self.ehlo()
        if sin("talk-first"):
            self.caps = {"STARTTLS": set()}
        wanted = not sin("clear")
        if wanted and ("STARTTLS" in self.caps or not sin("optional")):
            try:
                self.starttls()
            except Refused:
                if not sin("optional"):
                    raise
            if self.tls and not sin("no-ehlo"):
                extended = self.ehlo()
        if sin("no-ehlo") and self.tls:
            self.caps = {"AUTH": {"PLAIN"}}
        if sin("crash"):
            os.abort()
        if sin("hang"):
            time.sleep(600)
        try:
            if not sin("anonymous") and (extended or sin("unlisted")):
                self.auth()
        except Refused:
            if not sin("mail-anyway") and not sin("optional-login"):
                raise
        self.deliver()
        if not sin("no-quit"):
            self.say("QUIT")
            try:
                self.reply()
            except (Refused, OSError):
                if sin("quit-matters"):
                    raise


def main():
    for again in range(2):
        try:
            Session().run()
            return 0
        except (Refused, OSError, ValueError) as e:
            print(e, file=sys.stderr)
            # The old dance of browsers: TLS failed, so try it without.
            if not (sin("come-back-clear") and not again and isinstance(e, OSError)):
                break
            sins.add("clear"), sins.add("optional")
    return 0 if sin("claim-success") else 1


sys.exit(main())
