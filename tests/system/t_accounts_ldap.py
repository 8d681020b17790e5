#!/usr/bin/python3
# sets: default
# timeout: 240
"""Accounts in a real slapd: by bind, by attribute, by a template; TLS and its refusal, a server that is
not there, a directory that is stopped and started again, escaping, pins."""
import threading, types
from harness import *
from wire import *
from acct_lab import *
from acct_stores import *

HOLD = types.SimpleNamespace()


def lab():
    return HOLD.lab


def sections(tmp):
    pki = Certificates(tmp / "ldap-pki")
    os.chmod(pki.ca, 0o644)  # the helper, which is nobody, reads it
    os.chmod(Path(pki.ca).parent, 0o755)
    HOLD.slapd = Slapd(tmp, pki)
    atexit.register(lambda: HOLD.slapd.process and HOLD.slapd.process.stop(signal.SIGKILL))
    HOLD.slapd.start()
    HOLD.slapd.change(
        f"dn: {BASE}\nobjectClass: domain\ndc: example\n\ndn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
        f"dn: cn=reader,{BASE}\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: readerpw\n\n"
        + person("carol", PASSWORD, "mail: carol@example.org", "mail: carol.alias@example.org",
                 "description: *@lists.example.org", "title: shared")
        + person("shared", "", "mail: shared@example.org")
        + person("dora", "doras secret", "mail: dora@example.org", "employeeType: yes")
        + person("erin", "{CRYPT}" + crypt("erins secret"), "mail: erin@example.org",
                 f"initials: {verifier('erins secret')}")
        + person("twin", "twins secret", "mail: both@example.org")
        + person("other", "twins secret", "mail: both@example.org"), "ldapadd")
    secret = tmp / "reader.password"
    secret.write_text("readerpw\n")
    os.chmod(secret, 0o600)
    dead = free_port()
    HOLD.common = f"""
        type = ldap
        bind-dn = cn=reader,{BASE}
        password-file = {secret}
        base = ou=people,{BASE}
        tls-ca = {pki.ca}
        fields = name=uid address=mail grant=description act-as=title disabled=employeeType pin=roomNumber
        certificate-filter = (roomNumber=%p)
        believe = 1s
        timeout = 4s
    """
    HOLD.ca, HOLD.secret = pki.ca, secret
    return f"accounts directory {{ {HOLD.common}\n url = ldap://localhost:{dead} {HOLD.slapd.url()}\n}}\n"


def again(text):
    """Another accounts section in the place of the one that there is."""
    config = HOLD.srv.config
    old = config.read_text()
    config.write_text(re.sub(r"accounts directory \{.*?\n\}", lambda _: f"accounts directory {{{text}\n}}", old, flags=re.S))
    count = HOLD.srv.log.read_text().count(" reload ")
    os.kill(HOLD.srv.process.pid, signal.SIGHUP)
    wait_until(lambda: HOLD.srv.log.read_text().count(" reload ") > count, 20, "the reload")
    return old


same_for_all(lab)


@test("two entries of one address are none")
def _():
    check(lab().login("both@example.org", "twins secret") == FAILED, "both")
    check(lab().login("twin", "twins secret")[0] == 235, "twin")


@test("an empty password is no anonymous bind, and binds offer no SCRAM")
def _():
    check(lab().login("carol", "")[0] in (501, 535), "empty")
    check(lab().mechanisms() == ["PLAIN", "LOGIN"], f"{lab().mechanisms()}")


@test("a certificate whose key the certificate-filter finds logs in")
def _():
    srv = HOLD.srv
    HOLD.slapd.change(f"dn: uid=erin,ou=people,{BASE}\nchangetype: modify\nadd: roomNumber\nroomNumber: {pin_of(srv)}\n")

    wait_until(lambda: logs_in_by_pin(srv, (250, "MAIL FROM:<erin@example.org>")), 15, "a login by the pinned certificate")


@test("the directory is killed: 454; started again: logins, without a restart of ours")
def _():
    HOLD.slapd.stop()
    wait_until(lambda: lab().login("dora", "x")[0] == 454, 15, "454")
    HOLD.slapd.start()
    wait_until(lambda: lab().login("twin", "twins secret")[0] == 235, 20, "a login")


@test("by attribute: hashes and SCRAM verifiers of the directory, over ldaps")
def _():
    old = again(HOLD.common.replace("address=mail", "address=mail password=userPassword scram-sha-256=initials")
                + f"url = {HOLD.slapd.url(True)}\npassword-by = attribute")
    wait_until(lambda: lab().scram("erin", "erins secret")[0] == 235, 15, "erin by SCRAM")
    check(lab().login("erin", "erins secret")[0] == 235, "erin by PLAIN")
    check(lab().login("erin", "x") == FAILED, "erin with a wrong password")
    check("SCRAM-SHA-256" in lab().mechanisms(), f"{lab().mechanisms()}")
    HOLD.srv.config.write_text(old)


@test("by template: one bind, and nothing of a name becomes part of the DN")
def _():
    old = again(f"""
        type = ldap
        bind-template = uid=%n,ou=people,{BASE}
        fields = name=uid address=mail grant=description
        tls-ca = {HOLD.ca}
        url = {HOLD.slapd.url()}
        believe = 1s""")
    wait_until(lambda: lab().login("carol")[0] == 235, 15, "carol")
    check(lab().login("carol", "x") == FAILED, "carol with a wrong password")
    check(lab().may_send("any@lists.example.org"), "her grant")
    for name in ("carol,ou=people", "carol+cn=carol", "x,uid=carol", "nobody"):
        check(lab().login(name)[0] in (535, 501), name)
    HOLD.srv.config.write_text(old)


@test("a certificate that does not verify, and STARTTLS that is refused, end the question")
def _():
    other = Certificates(HOLD.slapd.dir / "other")
    os.chmod(other.ca, 0o644)
    os.chmod(Path(other.ca).parent, 0o755)
    os.chmod(HOLD.slapd.dir, 0o755)
    for more in (f"tls-ca = {other.ca}\nurl = {HOLD.slapd.url()}", f"tls-ca = {other.ca}\nurl = {HOLD.slapd.url(True)}"):
        old = again(HOLD.common.replace(f"tls-ca = {HOLD.ca}", "") + more)
        wait_until(lambda: lab().login("twin", "twins secret")[0] == 454, 15, "454")
        check(lab().login("twin", "twins secret")[1].startswith("4.7.0"), "its enhanced code")
        HOLD.srv.config.write_text(old)


class Silent(threading.Thread):
    """A directory that takes every bind and answers no search.  said: (operation, its content)."""

    def __init__(self):
        super().__init__(daemon=True)
        self.port, self.said = free_port(), []
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.start()

    @staticmethod
    def element(octets):
        """(tag, content, what follows) of a BER element."""
        n, head = octets[1], 2
        if n & 0x80:
            head += n & 0x7F
            n = int.from_bytes(octets[2:head], "big")
        if len(octets) < head + n:
            raise IndexError
        return octets[0], octets[head:head + n], octets[head + n:]

    def one(self, s):
        got = b""
        while more := s.recv(65536):
            got += more
            with contextlib.suppress(IndexError):  # not all of it is there yet
                while got:
                    _, message, got = self.element(got)
                    _, number, rest = self.element(message)
                    operation, content, _ = self.element(rest)
                    if operation == 0x60:
                        ok = b"\x02" + bytes([len(number)]) + number + b"\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
                        s.sendall(b"\x30" + bytes([len(ok)]) + ok)
                    self.said.append((operation, content))
        self.said.append((0, b""))

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.one, args=(self.listener.accept()[0],), daemon=True).start()


@test("a directory that never answers a search: 454, and it was told to end the search at that time and then to leave it")
def _():
    silent = Silent()
    old = again(HOLD.common.replace("timeout = 4s", "timeout = 2s") + f"url = ldap://127.0.0.1:{silent.port}\nstarttls = no")
    wait_until(lambda: lab().login("never-seen-here")[0] == 454, 20, "454")
    wait_until(lambda: (0, b"") in silent.said, 20, "the end of its connection")
    searches = [content for operation, content in silent.said if operation == 0x63]
    check(searches, "nothing was asked")
    for rest in searches:
        for _field in ("base", "scope", "aliases", "size limit"):
            _, _, rest = Silent.element(rest)
        limit = int.from_bytes(Silent.element(rest)[1], "big")
        check(1 <= limit <= 2, f"a time limit of {limit} s")
    check({0x50, 0x42} & {operation for operation, _ in silent.said}, "the search was neither abandoned nor its connection unbound")
    silent.listener.close()
    HOLD.srv.config.write_text(old)


@test("without TLS over the network config check warns, on this machine it does not")
def _():
    def said(url):
        text = (f"accounts a {{\ntype = ldap\nurl = {url}\nstarttls = no\nbase = dc=x\n}}\n")
        file = HOLD.slapd.dir / "check.conf"
        file.write_text(text)
        return call([SALLYPORT, "config", "check", "--config", file], ok=(0, 1, 2, 78))
    check("in clear" in said("ldap://ldap.example.org"), said("ldap://ldap.example.org"))
    check("in clear" not in said("ldap://127.0.0.1"), said("ldap://127.0.0.1"))


if not Path("/usr/sbin/slapd").exists():
    print("skipped: all of it: needs slapd\n0 passed, 0 failed, 1 skipped")
    sys.exit(0)
with_accounts(HOLD, sections)
